//! Which disks a card may be written to. Everything is read from sysfs and procfs, below folders that tests replace.
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Larger disks are rarely cards.
pub const LARGEST: u64 = 256_000_000_000;

/// Where the system describes its disks.
#[derive(Clone, Debug)]
pub struct System {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
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
    /// Built in; may be forced.
    NotRemovable(String),
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

impl System {
    /// The whole disks, by name; memory disks and loop devices are left out.
    pub fn disks(&self) -> Vec<Disk> {
        let names = names(&self.sys.join("block"));
        let real =
            |n: &&String| !["loop", "ram", "zram", "dm-", "md", "sr", "fd"].iter().any(|p| n.starts_with(p));
        names.iter().filter(real).map(|n| self.disk(n)).collect()
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
            read_only: of("ro") == "1",
            model: if model.is_empty() { "no model name".into() } else { model.join(" ") },
            used_by: self.users(name),
        }
    }

    /// Mounts, swap areas and stacked volumes of a disk and its partitions.
    fn users(&self, disk: &str) -> Vec<String> {
        let folder = self.sys.join("block").join(disk);
        let mut parts = vec![(disk.to_owned(), folder.clone())];
        for name in names(&folder) {
            let path = folder.join(&name);
            if path.join("partition").exists() {
                parts.push((name, path));
            }
        }
        let numbers: BTreeSet<String> =
            parts.iter().map(|(_, p)| text(p.join("dev"))).filter(|d| !d.is_empty()).collect();
        let mut users = Vec::new();
        // mountinfo: id, parent, major:minor, root, mount point, ...; its own namespace's view, by number or by source.
        for line in text(self.proc.join("self/mountinfo")).lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let source =
                words.iter().position(|w| *w == "-").and_then(|at| words.get(at + 2)).copied().unwrap_or("");
            let named = parts.iter().any(|(name, _)| Path::new(source) == self.dev.join(name));
            if let (Some(number), Some(point)) = (words.get(2), words.get(4))
                && (numbers.contains(*number) || named)
            {
                users.push(format!("mounted on {}", point.replace("\\040", " ")));
            }
        }
        for line in text(self.proc.join("swaps")).lines().skip(1) {
            let source = line.split_whitespace().next().unwrap_or("");
            if let Some((name, _)) = parts.iter().find(|(name, _)| Path::new(source) == self.dev.join(name)) {
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

    /// The disk of that name (`sdb` or `/dev/sdb`), if it may be written to. `forced` admits what is not removable or large, never
    /// what is in use, write-protected or absent.
    pub fn choose(&self, wanted: &str, image: u64, forced: bool) -> Result<Disk, Refusal> {
        let path = Path::new(wanted);
        // Names below /dev/disk are links.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let dev = fs::canonicalize(&self.dev).unwrap_or_else(|_| self.dev.clone());
        let name = real.strip_prefix(&dev).unwrap_or(path).to_string_lossy().into_owned();
        if name.is_empty() || name.contains('/') {
            return Err(Refusal::Unknown(wanted.into()));
        }
        let disks = names(&self.sys.join("block"));
        if !disks.contains(&name) {
            let of =
                disks.iter().find(|d| self.sys.join("block").join(d).join(&name).join("partition").exists());
            return Err(match of {
                Some(disk) => Refusal::Partition(name, disk.clone()),
                None => Refusal::Unknown(wanted.into()),
            });
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
        if !forced && !disk.removable {
            return Err(Refusal::NotRemovable(name));
        }
        if !forced && disk.bytes > LARGEST {
            return Err(Refusal::Large(name, disk.bytes));
        }
        Ok(disk)
    }
}
