//! Which disks a card may be written to. Everything is read from sysfs, procfs and the disks' first bytes, below folders that
//! tests replace. A disk is known by its device number: how its path was spelled plays no part.
//!
//! Never written to, whatever flag is given: the disk that `/` is on (through volumes, too), and what is mounted, swapped on or
//! built upon at this moment. Only with `--yes-really`: what is hardly a card.
use crate::members;
use crate::target::{self, Kind, Number};
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger disks are rarely cards.
pub const LARGEST: u64 = 256_000_000_000;

/// Where the system describes its disks.
#[derive(Clone)]
pub struct SystemFolders {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// What stands at a path: [`target::kind`].
    pub kind: fn(&Path) -> std::io::Result<Kind>,
}

impl Default for SystemFolders {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into(), kind: target::kind }
    }
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// `sdb`, `mmcblk0`.
    pub name: String,
    /// Its size; 0 is a reader without a card.
    pub bytes: u64,
    /// The medium can be taken out: sysfs says so, or it is an SD card.
    pub removable: bool,
    /// Soldered to the board: sysfs calls it MMC and not SD.
    pub emmc: bool,
    /// Writing is not possible.
    pub read_only: bool,
    /// Maker and model, as far as known.
    pub model: String,
    /// Who uses it: mounts, swap, and volumes stacked upon it.
    pub used_by: Vec<String>,
}

/// Why a disk is not written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No such disk.
    Unknown(String),
    /// A partition: its disk.
    Partition(String, String),
    /// In use.
    Used(String, Vec<String>),
    /// Cannot be written.
    ReadOnly(String),
    /// No medium.
    Empty(String),
    /// Smaller than the image: its size, the image's.
    Small(String, u64, u64),
    /// The running system's own disk.
    Root(String),
    /// Its first bytes cannot be read.
    Unreadable(String, String),
    /// Built in; may be forced.
    NotRemovable(String),
    /// Soldered to the board; may be forced.
    Emmc(String),
    /// A loop device, a volume, an array, a memory disk, a network disk; may be forced.
    Virtual(String),
    /// It (or a partition) is a part of something larger, by this mark; may be forced.
    Member(String, &'static str),
    /// Suspiciously large; may be forced.
    Large(String, u64),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(
                f,
                "there is no disk {name}; without a name, `just flash-rpi5` lists those that can be removed"
            ),
            Self::Partition(name, disk) => {
                write!(
                    f,
                    "{name} is a partition; the image holds a partition table, so it goes on the whole disk: {disk}"
                )
            }
            Self::Used(name, by) => write!(f, "{name} is in use ({}); unmount it first", by.join(", ")),
            Self::ReadOnly(name) => write!(f, "{name} cannot be written to: is the card's lock slid down?"),
            Self::Empty(name) => write!(f, "{name} has no card in it"),
            Self::Small(name, has, needs) => write!(f, "{name} has {has} bytes; the image needs {needs}"),
            Self::Root(name) => {
                write!(f, "{name} is the disk that this system runs from; it is never written to")
            }
            Self::Unreadable(name, error) => write!(
                f,
                "{name} cannot be looked at before it is written to: {error}; disks need root: try with sudo"
            ),
            Self::Emmc(name) => write!(
                f,
                "{name} is storage that is soldered to the board (eMMC), not a card; if you are certain, add --yes-really"
            ),
            Self::Virtual(name) => write!(
                f,
                "{name} is no disk of its own but made by the system (loop, volume, array, memory or network); if you are \
                 certain, add --yes-really"
            ),
            Self::Member(name, what) => write!(
                f,
                "{name} is part of something: a {what} stands on it; if you are certain that it may go, add --yes-really"
            ),
            Self::NotRemovable(name) => {
                write!(
                    f,
                    "{name} is not removable, so it is hardly a card; if you are certain, add --yes-really"
                )
            }
            Self::Large(name, bytes) => write!(
                f,
                "{name} has {}, more than a card usually has; if you are certain, add --yes-really",
                size(*bytes)
            ),
        }
    }
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    if bytes >= 1_000_000_000 {
        format!("{:.1} GB", bytes as f64 / 1e9)
    } else {
        format!("{:.1} MB", bytes as f64 / 1e6)
    }
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

impl SystemFolders {
    /// The whole disks, by name; memory disks and loop devices are left out.
    pub fn disks(&self) -> Vec<Disk> {
        let names = names(&self.sys.join("block"));
        names.iter().filter(|n| !is_virtual(n)).map(|n| self.disk(n)).collect()
    }

    fn disk(&self, name: &str) -> Disk {
        let folder = self.sys.join("block").join(name);
        let of = |path: &str| text(folder.join(path));
        let model = [of("device/vendor"), of("device/model"), of("device/name")];
        let model: Vec<&str> = model.iter().map(String::as_str).filter(|t| !t.is_empty()).collect();
        Disk {
            name: name.into(),
            // The kernel counts in 512 bytes, whatever the disk does.
            bytes: of("size").parse::<u64>().unwrap_or(0) * 512,
            removable: of("removable") == "1" || of("device/type") == "SD",
            emmc: of("device/type") == "MMC",
            read_only: of("ro") == "1",
            model: if model.is_empty() { "no model name".into() } else { model.join(" ") },
            used_by: self.users(name),
        }
    }

    /// The disk itself and its partitions, with their folders.
    fn parts(&self, disk: &str) -> Vec<(String, PathBuf)> {
        let folder = self.sys.join("block").join(disk);
        let mut parts = vec![(disk.to_owned(), folder.clone())];
        for name in names(&folder) {
            let path = folder.join(&name);
            if path.join("partition").exists() {
                parts.push((name, path));
            }
        }
        parts
    }

    /// The disk with this device number, or the disk of the partition with it; and the name that has the number.
    fn find(&self, number: &Number) -> Option<(String, String)> {
        for disk in names(&self.sys.join("block")) {
            let found = self.parts(&disk).into_iter().find(|(_, path)| text(path.join("dev")) == number.0);
            if let Some((name, _)) = found {
                return Some((disk, name));
            }
        }
        None
    }

    /// The disks that the file system at `/` is on, through volumes and arrays.
    fn under_root(&self) -> BTreeSet<String> {
        let mut numbers = Vec::new();
        for line in text(self.proc.join("self/mountinfo")).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if words.get(4) != Some(&"/") {
                continue;
            }
            numbers.extend(words.get(2).map(|n| Number((*n).to_owned())));
            // File systems over several devices have a number of their own; their source is one of the devices.
            if let Some(source) = source(&words).filter(|s| s.starts_with('/'))
                && let Ok(Kind::Block(number)) = (self.kind)(Path::new(&source))
            {
                numbers.push(number);
            }
        }
        let mut disks = BTreeSet::new();
        while let Some(number) = numbers.pop() {
            let Some((disk, _)) = self.find(&number) else { continue };
            let below = self.sys.join("block").join(&disk).join("slaves");
            if disks.insert(disk) {
                numbers.extend(names(&below).iter().map(|n| Number(text(below.join(n).join("dev")))));
            }
        }
        disks
    }

    /// What the disk or one of its partitions is a member of.
    fn member(&self, disk: &str) -> Result<Option<(String, &'static str)>, Refusal> {
        for (name, _) in self.parts(disk) {
            let path = self.dev.join(&name);
            let what = fs::File::open(&path).and_then(|mut file| members::of(&mut file));
            match what {
                Ok(Some(what)) => return Ok(Some((name, what))),
                Ok(None) => {}
                Err(e) => return Err(Refusal::Unreadable(name, e.to_string())),
            }
        }
        Ok(None)
    }

    /// Which of a disk's parts a path names, by its spelling or by the device behind it.
    fn names_one_of<'p>(&self, path: &str, parts: &'p [(String, PathBuf)]) -> Option<&'p str> {
        let number = match (self.kind)(Path::new(path)) {
            Ok(Kind::Block(number)) if path.starts_with('/') => Some(number.0),
            _ => None,
        };
        let same = |(name, part): &&(String, PathBuf)| {
            Path::new(path) == self.dev.join(name)
                || number.as_ref().is_some_and(|n| *n == text(part.join("dev")))
        };
        parts.iter().find(same).map(|(name, _)| name.as_str())
    }

    /// Mounts, swap areas and stacked volumes of a disk and its partitions.
    fn users(&self, disk: &str) -> Vec<String> {
        let parts = self.parts(disk);
        let numbers: BTreeSet<String> =
            parts.iter().map(|(_, p)| text(p.join("dev"))).filter(|d| !d.is_empty()).collect();
        let mut users = Vec::new();
        // mountinfo: id, parent, major:minor, root, mount point, ...; its own namespace's view, by number or by source.
        for line in text(self.proc.join("self/mountinfo")).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let named = source(&words).is_some_and(|source| self.names_one_of(&source, &parts).is_some());
            if let (Some(number), Some(point)) = (words.get(2), words.get(4))
                && (numbers.contains(*number) || named)
            {
                users.push(format!("mounted on {}", unescaped(point)));
            }
        }
        for line in text(self.proc.join("swaps")).lines().skip(1) {
            let source = unescaped(line.split_whitespace().next().unwrap_or(""));
            if let Some(name) = self.names_one_of(&source, &parts) {
                users.push(format!("swap on {name}"));
            }
        }
        for (name, path) in &parts {
            for holder in names(&path.join("holders")) {
                users.push(format!("{holder} is built on {name}"));
            }
        }
        users
    }

    /// The whole disk with this number, if it may be written to. `forced` admits what is hardly a card, never the system's own
    /// disk nor what is in use, write-protected or absent.
    ///
    /// # Errors
    /// The [`Refusal`]; the gravest one where there are several.
    pub fn choose(&self, number: &Number, image: u64, forced: bool) -> Result<Disk, Refusal> {
        let Some((name, part)) = self.find(number) else { return Err(Refusal::Unknown(number.0.clone())) };
        if self.under_root().contains(&name) {
            return Err(Refusal::Root(name));
        }
        if part != name {
            return Err(Refusal::Partition(part, name));
        }
        let disk = self.disk(&name);
        if !disk.used_by.is_empty() {
            return Err(Refusal::Used(name, disk.used_by));
        }
        if disk.bytes == 0 {
            return Err(Refusal::Empty(name));
        }
        if disk.read_only {
            return Err(Refusal::ReadOnly(name));
        }
        if disk.bytes < image {
            return Err(Refusal::Small(name, disk.bytes, image));
        }
        if forced {
            return Ok(disk);
        }
        if is_virtual(&name) {
            return Err(Refusal::Virtual(name));
        }
        if disk.emmc {
            return Err(Refusal::Emmc(name));
        }
        if !disk.removable {
            return Err(Refusal::NotRemovable(name));
        }
        if disk.bytes > LARGEST {
            return Err(Refusal::Large(name, disk.bytes));
        }
        match self.member(&name)? {
            Some((part, what)) => Err(Refusal::Member(part, what)),
            None => Ok(disk),
        }
    }

    /// What a word of the command line names, and whether that may be written to: the path to write. `ours` tells whether a
    /// file's content is an image of ours.
    ///
    /// # Errors
    /// A sentence.
    pub fn target(
        &self,
        word: &str,
        image: u64,
        forced: bool,
        ours: impl Fn(&Path) -> bool,
    ) -> Result<(PathBuf, Option<Disk>), String> {
        let path = target::path(word, &self.dev);
        match (self.kind)(&path).map_err(|e| format!("{word}: {e}"))? {
            Kind::Block(number) => match self.choose(&number, image, forced) {
                Ok(disk) => Ok((self.dev.join(&disk.name), Some(disk))),
                Err(Refusal::Unknown(_)) => Err(Refusal::Unknown(word.into()).to_string()),
                Err(refusal) => Err(refusal.to_string()),
            },
            Kind::File if forced || ours(&path) => Ok((path, None)),
            Kind::File => Err(format!(
                "{word} is a file and no card image of ours; it would be overwritten: if you are certain, add --yes-really"
            )),
            Kind::Other(what) => Err(format!("{word} is no disk: it is {what}")),
            Kind::Nothing if path.starts_with(&self.dev) => Err(Refusal::Unknown(word.into()).to_string()),
            Kind::Nothing => Ok((path, None)),
        }
    }
}

/// Whether the name is one of the system's own devices: no hardware of that name exists.
fn is_virtual(name: &str) -> bool {
    ["loop", "ram", "zram", "dm-", "md", "nbd", "rbd", "zd", "sr", "fd"].iter().any(|p| name.starts_with(p))
}

/// The source of a mount: the second word after the dash.
fn source(words: &[&str]) -> Option<String> {
    words.iter().position(|w| *w == "-").and_then(|at| words.get(at + 2)).map(|source| unescaped(source))
}

/// A word of the kernel's lists of mounts and swap areas: blanks and backslashes stand there in octal, as `\040`.
fn unescaped(word: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), word.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        let octal = more.get(..3).filter(|d| *first == b'\\' && d.iter().all(|d| (b'0'..b'8').contains(d)));
        match octal.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
