//! The card's image: the same bytes every time, readable by foreign tools, and refused when the board could not boot from it.
use axiom_rpi5::card::{self, Contents, Entry, Loaded, TREE_C1, TREE_D0};
use std::path::Path;
use std::process::{Command, Output};

const CONFIG: &str = include_str!("../../../rpi5/config.txt");

fn kernel(memory: u64) -> Vec<u8> {
    let mut image = vec![0xa5; 130_001];
    image[0x10..0x18].copy_from_slice(&memory.to_le_bytes());
    image[0x38..0x3c].copy_from_slice(b"ARM\x64");
    image
}

fn contents() -> Contents {
    let tree = |path: &str, fill| Entry {
        path: path.into(),
        bytes: [&[0xd0, 0x0d, 0xfe, 0xed], &[fill; 3000][..]].concat(),
    };
    Contents {
        config: CONFIG.into(),
        kernel: kernel(400_000),
        bundle: [b"\x7fELF".as_slice(), &[7; 1_000_000]].concat(),
        trees: vec![tree(TREE_C1, 1), tree(TREE_D0, 2)],
    }
}

#[test]
fn two_builds_are_equal_byte_for_byte() {
    let entries = contents().entries().unwrap();
    let first = card::build(&entries).unwrap();
    // FAT's clock counts two seconds.
    std::thread::sleep(std::time::Duration::from_millis(2100));
    assert!(card::build(&entries).unwrap() == first, "the image depends on something else than its contents");
}

#[test]
fn what_goes_in_comes_out() {
    let entries = contents().entries().unwrap();
    let mut back = card::read(&card::build(&entries).unwrap()).unwrap();
    back.sort_by_key(|e| entries.iter().position(|o| o.path == e.path));
    assert_eq!(back, entries);
    let loaded = Loaded::of(&back, false).unwrap();
    assert_eq!((loaded.tree[4], loaded.config.kernel_address), (1, 0x8_0000));
    assert_eq!(Loaded::of(&back, true).unwrap().tree[4], 2);
}

fn run(program: &str, args: &[&str]) -> Output {
    let search = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(program).args(args).env("PATH", search).output();
    output.unwrap_or_else(|e| panic!("{program}: {e}; ./justw setup installs it"))
}

#[test]
fn foreign_tools_read_the_card() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let entries = contents().entries().unwrap();
    let image = card::build(&entries).unwrap();
    let start = u32::from_le_bytes(image[0x1be + 8..0x1be + 12].try_into().unwrap()) as usize * 512;
    assert_eq!((&image[510..512], image[0x1be + 4], start), ([0x55, 0xaa].as_slice(), 0x0c, 4 << 20));
    std::fs::write(path("card.img"), &image).unwrap();
    std::fs::write(path("partition.img"), &image[start..]).unwrap();
    let check = run("fsck.fat", &["-n", "-v", &path("partition.img")]);
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success(), "fsck.fat found faults:\n{said}");
    assert!(said.contains("32 bit entries"), "not FAT32:\n{said}");
    for entry in &entries {
        let copy = path("copy");
        let from = format!("::/{}", entry.path);
        let output =
            run("mcopy", &["-n", "-o", "-i", &format!("{}@@{start}", path("card.img")), &from, &copy]);
        assert!(output.status.success(), "{}: {}", entry.path, String::from_utf8_lossy(&output.stderr));
        assert!(std::fs::read(Path::new(&copy)).unwrap() == entry.bytes, "{} differs", entry.path);
    }
}

#[test]
fn what_could_not_boot_is_refused() {
    type Change = fn(&mut Contents);
    let cases: [(Change, &str); 9] = [
        (|c| c.kernel = vec![0; 200], "the kernel is no arm64 Image"),
        (
            |c| c.kernel = kernel(0x200_0000),
            "the kernel with its zeroed memory takes 0x80000 .. 0x2080000, and the bundle 0x2000000",
        ),
        (|c| c.bundle[0] = 0, "the bundle is no ELF file"),
        (|c| c.trees[0].bytes[0] = 0, "bcm2712-rpi-5-b.dtb is no flattened device tree"),
        (|c| drop(c.trees.remove(0)), "no device tree bcm2712-rpi-5-b.dtb"),
        (|c| c.config = c.config.replace("=0x80000", "=0x40000"), "would overwrite the resident firmware"),
        (|c| c.config = c.config.replace("0x02000000", "0x27ffffff"), "memory is sure only up to 0x28000000"),
        (|c| c.config = c.config.replace("0x02000000", "0x02000100"), "is not on a page's start"),
        (|c| c.config.push_str("device_tree=other.dtb\n"), "no device tree other.dtb"),
    ];
    for (change, message) in cases {
        let mut contents = contents();
        change(&mut contents);
        let said = contents.entries().unwrap_err();
        assert!(said.contains(message), "expected '{message}', got '{said}'");
    }
    let large = [Entry { path: "large".into(), bytes: vec![0; 80 << 20] }];
    assert!(card::build(&large).unwrap_err().contains("the partition has room for"));
    let folder = [Entry { path: "a/b".into(), bytes: vec![] }];
    assert!(card::build(&folder).unwrap_err().contains("only the top folder"));
}

#[test]
fn damaged_images_are_refused() {
    let image = card::build(&contents().entries().unwrap()).unwrap();
    for (damaged, message) in [
        (vec![0; 4096], "no partition table"),
        (image[..8 << 20].to_vec(), "it is cut short"),
        ([&image[..4 << 20], &vec![0; 76 << 20][..]].concat(), "no FAT file system"),
    ] {
        let said = card::read(&damaged).unwrap_err();
        assert!(said.contains(message), "expected '{message}', got '{said}'");
    }
}
