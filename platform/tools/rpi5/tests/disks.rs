//! Refusals, on a machine made of files.
use axiom_rpi5::disks::{LARGEST, Refusal, SystemFolders};
use axiom_rpi5::flash::{self, Failed, Step};
use axiom_rpi5::target::{Kind, Number};
use std::fs;
use std::io::Cursor;
use std::path::Path;

const IMAGE: u64 = 80 << 20;

/// A file that is called like a disk stands for one; its number is made from its name.
fn kind(path: &Path) -> std::io::Result<Kind> {
    let real = axiom_rpi5::target::kind(path)?;
    let name = match fs::canonicalize(path) {
        Ok(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
        Err(_) => return Ok(real),
    };
    let disk = ["sd", "mmcblk", "loop", "zram", "dm-", "md", "nbd"].iter().any(|p| name.starts_with(p));
    Ok(if real == Kind::File && disk { Kind::Block(number(&name)) } else { real })
}

/// `sdb` is 8:980, `sdb1` 8:981.
fn number(name: &str) -> Number {
    let (disk, part) = match name.strip_suffix('1') {
        Some(disk) => (disk, 1),
        None => (name, 0),
    };
    Number(format!("8:{}{part}", disk.bytes().last().unwrap()))
}

/// A path as the kernel's lists have it.
fn escaped(path: &Path) -> String {
    let octal = |c| match c {
        ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", c as u32),
        c => String::from(c),
    };
    path.display().to_string().chars().map(octal).collect()
}

struct Machine {
    _folder: tempfile::TempDir,
    system: SystemFolders,
}

impl Machine {
    fn new() -> Self {
        // A path with what the kernel writes in octal.
        let folder = tempfile::Builder::new().prefix("a \\ disk's \tü").tempdir().unwrap();
        let [sys, proc, dev] = ["sys", "proc", "dev"].map(|n| folder.path().join(n));
        fs::create_dir_all(proc.join("self")).unwrap();
        fs::create_dir_all(&dev).unwrap();
        fs::create_dir_all(sys.join("block")).unwrap();
        fs::write(proc.join("swaps"), "Filename Type Size Used Priority\n").unwrap();
        fs::write(proc.join("self/mountinfo"), "").unwrap();
        Self { _folder: folder, system: SystemFolders { sys, proc, dev, kind } }
    }

    /// A disk with one partition.
    fn disk(&self, name: &str, bytes: u64, removable: bool) {
        let folder = self.system.sys.join("block").join(name);
        let part = folder.join(format!("{name}1"));
        fs::create_dir_all(folder.join("device")).unwrap();
        fs::create_dir_all(part.join("holders")).unwrap();
        fs::create_dir_all(folder.join("holders")).unwrap();
        for (file, text) in [
            ("size", format!("{}\n", bytes / 512)),
            ("removable", format!("{}\n", u8::from(removable))),
            ("ro", "0\n".into()),
            ("dev", format!("{}\n", number(name).0)),
            ("device/vendor", "Generic \n".into()),
            ("device/model", "Reader\n".into()),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        fs::write(part.join("partition"), "1\n").unwrap();
        fs::write(part.join("dev"), format!("{}\n", number(&format!("{name}1")).0)).unwrap();
        for node in [name.to_owned(), format!("{name}1")] {
            fs::write(self.system.dev.join(node), "").unwrap();
        }
    }

    fn set(&self, disk: &str, file: &str, text: &str) {
        fs::write(self.system.sys.join("block").join(disk).join(file), text).unwrap();
    }

    fn refusal(&self, name: &str, forced: bool) -> Refusal {
        self.system.choose(&number(name), IMAGE, forced).unwrap_err()
    }
}

#[test]
fn a_card_in_a_reader_is_taken_by_name_and_by_path() {
    let m = Machine::new();
    m.disk("sdb", 32 << 30, true);
    let dev = m.system.dev.display().to_string();
    std::os::unix::fs::symlink(m.system.dev.join("sdb"), m.system.proc.join("link")).unwrap();
    let link = m.system.proc.join("link").display().to_string();
    for word in
        ["sdb".to_owned(), format!("{dev}/sdb"), format!("/{dev}/sdb"), format!("{dev}/../dev/sdb"), link]
    {
        let (path, disk) = m.system.target(&word, IMAGE, false, |_| false).unwrap();
        assert_eq!(path, m.system.dev.join("sdb"), "{word}");
        let disk = disk.unwrap();
        assert_eq!(
            (disk.name.as_str(), disk.bytes, disk.model.as_str()),
            ("sdb", 32 << 30, "Generic Reader")
        );
    }
    // Built-in slots do not call their cards removable.
    m.disk("mmcblk0", 32 << 30, false);
    assert_eq!(m.refusal("mmcblk0", false), Refusal::NotRemovable("mmcblk0".into()));
    m.set("mmcblk0", "device/type", "SD\n");
    assert!(m.system.choose(&number("mmcblk0"), IMAGE, false).is_ok());
}

#[test]
fn what_is_mounted_is_refused_even_if_forced() {
    let m = Machine::new();
    m.disk("sdb", 32 << 30, true);
    let mounts = "22 1 8:981 / /media/my\\040card rw shared:1 - vfat /dev/x rw\n";
    fs::write(m.system.proc.join("self/mountinfo"), mounts).unwrap();
    for forced in [false, true] {
        let refusal = m.refusal("sdb", forced);
        assert_eq!(refusal.to_string(), "sdb is in use (mounted on /media/my card); unmount it first");
    }
    // Some file systems have a number of their own; the source tells.
    let source = m.system.dev.join("sdb1");
    fs::write(
        m.system.proc.join("self/mountinfo"),
        format!("22 1 0:55 / /data rw - btrfs {} rw\n", escaped(&source)),
    )
    .unwrap();
    assert_eq!(m.refusal("sdb", true), Refusal::Used("sdb".into(), vec!["mounted on /data".into()]));
    // Under another name, too.
    let link = m.system.proc.join("by label");
    std::os::unix::fs::symlink(&source, &link).unwrap();
    fs::write(
        m.system.proc.join("self/mountinfo"),
        format!("22 1 0:55 / /data rw - btrfs {} rw\n", escaped(&link)),
    )
    .unwrap();
    assert_eq!(m.refusal("sdb", true), Refusal::Used("sdb".into(), vec!["mounted on /data".into()]));
}

#[test]
fn swap_and_stacked_volumes_are_refused() {
    let m = Machine::new();
    m.disk("sdc", 32 << 30, true);
    let swaps = format!(
        "Filename Type Size Used Priority\n{} partition 1 0 -2\n",
        escaped(&m.system.dev.join("sdc1"))
    );
    fs::write(m.system.proc.join("swaps"), swaps).unwrap();
    fs::write(m.system.sys.join("block/sdc/sdc1/holders/dm-0"), "").unwrap();
    let Refusal::Used(_, users) = m.refusal("sdc", true) else { panic!("not refused as used") };
    assert_eq!(users, ["swap on sdc1", "dm-0 is built on sdc1"]);
}

#[test]
fn what_is_hardly_a_card_needs_force() {
    let m = Machine::new();
    m.disk("sda", 32 << 30, false);
    m.disk("sdb", LARGEST + 512, true);
    assert_eq!(m.refusal("sda", false), Refusal::NotRemovable("sda".into()));
    assert_eq!(m.refusal("sdb", false), Refusal::Large("sdb".into(), LARGEST + 512));
    assert!(m.refusal("sda", false).to_string().contains("--yes-really"));
    assert!(m.refusal("sdb", false).to_string().contains("--yes-really"));
    assert!(m.system.choose(&number("sda"), IMAGE, true).is_ok());
    assert!(m.system.choose(&number("sdb"), IMAGE, true).is_ok());
}

#[test]
fn what_cannot_be_written_is_refused() {
    let m = Machine::new();
    m.disk("sdb", 0, true);
    assert_eq!(m.refusal("sdb", true), Refusal::Empty("sdb".into()));
    m.disk("sdb", 32 << 20, true);
    assert_eq!(m.refusal("sdb", true), Refusal::Small("sdb".into(), 32 << 20, IMAGE));
    m.disk("sdb", 32 << 30, true);
    m.set("sdb", "ro", "1\n");
    assert_eq!(m.refusal("sdb", true), Refusal::ReadOnly("sdb".into()));
    assert_eq!(m.refusal("sdb1", true), Refusal::Partition("sdb1".into(), "sdb".into()));
    for word in ["sdz", "zz"] {
        let said = m.system.target(word, IMAGE, true, |_| true).unwrap_err();
        assert!(said.starts_with(&format!("there is no disk {word}; ")), "{said}");
    }
}

#[test]
fn the_disk_under_the_root_is_never_written_to() {
    let m = Machine::new();
    m.disk("sda", 32 << 30, true);
    m.disk("sdb", 32 << 30, true);
    m.disk("dm-2", 32 << 30, false);
    let mounted = |line: String| fs::write(m.system.proc.join("self/mountinfo"), line).unwrap();
    mounted(format!("1 0 {} / / rw - ext4 /dev/root rw\n", number("sda1").0));
    for name in ["sda", "sda1"] {
        assert_eq!(m.refusal(name, true), Refusal::Root("sda".into()), "{name}");
    }
    assert!(m.system.choose(&number("sdb"), IMAGE, true).is_ok());
    // By the source, where the file system has a number of its own.
    mounted(format!("1 0 0:31 / / rw - btrfs {} rw\n", escaped(&m.system.dev.join("sdb1"))));
    assert_eq!(m.refusal("sdb", true), Refusal::Root("sdb".into()));
    // Through a volume.
    let slave = m.system.sys.join("block/dm-2/slaves/sda1");
    fs::create_dir_all(&slave).unwrap();
    fs::write(slave.join("dev"), number("sda1").0).unwrap();
    mounted(format!("1 0 {} / / rw - ext4 /dev/mapper/root rw\n", number("dm-2").0));
    assert_eq!(m.refusal("sda", true), Refusal::Root("sda".into()));
    assert!(m.refusal("dm-2", true).to_string().contains("never written to"));
}

#[test]
fn members_of_something_larger_need_force() {
    let m = Machine::new();
    m.disk("sdb", 32 << 30, true);
    let mut bytes = vec![0; 1 << 17];
    bytes[..6].copy_from_slice(b"LUKS\xba\xbe");
    fs::write(m.system.dev.join("sdb1"), &bytes).unwrap();
    let refusal = m.refusal("sdb", false);
    assert_eq!(refusal, Refusal::Member("sdb1".into(), "LUKS container"));
    assert!(refusal.to_string().contains("--yes-really"));
    assert!(m.system.choose(&number("sdb"), IMAGE, true).is_ok());
    fs::remove_file(m.system.dev.join("sdb1")).unwrap();
    assert!(matches!(m.refusal("sdb", false), Refusal::Unreadable(part, _) if part == "sdb1"));
}

#[test]
fn storage_on_the_board_and_the_systems_own_devices_need_force() {
    let m = Machine::new();
    m.disk("mmcblk0", 32 << 30, true);
    m.set("mmcblk0", "device/type", "MMC\n");
    assert_eq!(m.refusal("mmcblk0", false), Refusal::Emmc("mmcblk0".into()));
    assert!(m.system.choose(&number("mmcblk0"), IMAGE, true).is_ok());
    for (at, name) in ["loop7", "dm-6", "md5", "zram4", "nbd3"].into_iter().enumerate() {
        m.disk(name, 32 << 30, true);
        assert_eq!(m.refusal(name, false), Refusal::Virtual(name.into()), "{at}");
        assert!(m.system.choose(&number(name), IMAGE, true).is_ok(), "{at}");
    }
}

#[test]
fn files_are_overwritten_only_if_they_are_ours() {
    let m = Machine::new();
    let file = m.system.proc.join("notes.txt");
    fs::write(&file, "dear diary").unwrap();
    let word = file.display().to_string();
    let said = m.system.target(&word, IMAGE, false, |_| false).unwrap_err();
    assert!(said.contains("no card image of ours") && said.contains("--yes-really"), "{said}");
    assert!(m.system.target(&word, IMAGE, false, |_| true).is_ok());
    assert!(m.system.target(&word, IMAGE, true, |_| false).is_ok());
    assert!(m.system.target(&format!("{word}.new"), IMAGE, false, |_| false).is_ok());
    let said = m.system.target("/dev/null", IMAGE, true, |_| true).unwrap_err();
    assert_eq!(said, "/dev/null is no disk: it is a character device");
    let said = m.system.target(&m.system.sys.display().to_string(), IMAGE, true, |_| true).unwrap_err();
    assert!(said.ends_with("is no disk: it is a folder"), "{said}");
}

#[test]
fn the_list_leaves_out_what_is_no_disk() {
    let m = Machine::new();
    for name in ["sdb", "loop0", "zram0", "dm-0", "sr0"] {
        m.disk(name, 1 << 30, true);
    }
    let names: Vec<String> = m.system.disks().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["sdb"]);
}

#[test]
fn a_file_is_written_whole_and_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.img");
    fs::write(&path, vec![9; 5 << 20]).unwrap();
    let image: Vec<u8> = (0..(3u32 << 20) + 17).map(|i| i as u8).collect();
    let mut steps = Vec::new();
    flash::write(&path, &image, |step, at| steps.push((step, at))).unwrap();
    assert!(fs::read(&path).unwrap() == image);
    let last = |wanted| steps.iter().rfind(|(step, _)| *step == wanted).unwrap().1;
    assert_eq!((last(Step::Writing), last(Step::Verifying)), (image.len() as u64, image.len() as u64));
    assert!(matches!(flash::write(&folder.path().join("no/where"), &image, |_, _| ()), Err(Failed::Io(..))));
}

#[test]
fn a_card_that_gives_other_bytes_back_is_found_out() {
    let image = vec![1; 2 << 20];
    let mut worn = image.clone();
    worn[1_500_000] = 0;
    let failed = flash::compare(Cursor::new(worn), &image, |_| ()).unwrap_err();
    assert!(failed.to_string().starts_with("byte 1500000 was read back differently"), "{failed}");
    let short = flash::compare(Cursor::new(&image[..100]), &image, |_| ()).unwrap_err();
    assert!(short.to_string().starts_with("reading back:"), "{short}");
}
