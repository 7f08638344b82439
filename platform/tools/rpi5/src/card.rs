//! The card's image: a partition table, one FAT32 partition, the files that the firmware looks for. The same input gives the
//! same bytes: identifiers and times are fixed.
use crate::config::{Config, FIRMWARE_END, SURE_RAM_END};
use fatfs::{Date, DateTime, FatType, FileSystem, FormatVolumeOptions, FsOptions, Time, TimeProvider};
use mbrman::{CHS, MBR, MBRPartitionEntry};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Read, Write};

const SECTOR: u32 = 512;
const MIB: u64 = 1 << 20;
/// Erase blocks of cards are up to 4 MiB; the partition starts on one.
const START: u64 = 4 * MIB;
/// With clusters of 1 KiB, enough of them to be FAT32 (at least 65525).
const SIZE: u64 = 76 * MIB;
const CLUSTER: u32 = 1024;
/// FAT32 with LBA.
const PARTITION_TYPE: u8 = 0x0c;
/// "AXRP", and a number of its own for the file system.
const DISK_SIGNATURE: [u8; 4] = *b"AXRP";
const VOLUME_ID: u32 = 0x4158_0005;
const LABEL: [u8; 11] = *b"AXIOM RPI5 ";
/// The trees that the firmware looks for, by stepping of the SoC.
pub const TREE_C1: &str = "bcm2712-rpi-5-b.dtb";
/// For boards with stepping D0.
pub const TREE_D0: &str = "bcm2712d0-rpi-5-b.dtb";
/// For the other boards with this SoC: Raspberry Pi 500, and Compute Module 5 (with and without eMMC) on either carrier.
pub const TREES_OF_OTHERS: [&str; 5] = [
    "bcm2712-rpi-500.dtb",
    "bcm2712-rpi-cm5-cm4io.dtb",
    "bcm2712-rpi-cm5-cm5io.dtb",
    "bcm2712-rpi-cm5l-cm4io.dtb",
    "bcm2712-rpi-cm5l-cm5io.dtb",
];

/// Every file is from the first day that FAT knows.
#[derive(Debug)]
struct NoClock;

impl TimeProvider for NoClock {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        DateTime { date: self.get_current_date(), time: Time { hour: 0, min: 0, sec: 0, millis: 0 } }
    }
}

/// A file on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its path on the card; below the top folder only when it was read from a foreign one.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Entry {
    /// Its digest, in hexadecimal.
    pub fn sha256(&self) -> String {
        sha256(&self.bytes)
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// What goes on a card.
pub struct Contents {
    /// The firmware's settings.
    pub config: String,
    /// The kernel's image.
    pub kernel: Vec<u8>,
    /// The system's bundle.
    pub bundle: Vec<u8>,
    /// Device trees, by name on the card.
    pub trees: Vec<Entry>,
}

impl Contents {
    /// Checks what would keep the board from booting, and says which files the card gets.
    pub fn entries(&self) -> Result<Vec<Entry>, String> {
        let config = Config::read(&self.config).map_err(|e| e.to_string())?;
        let memory = kernel_memory(&self.kernel)?;
        let (start, end) = (config.kernel_address, config.kernel_address + memory);
        let bundle = (config.initramfs_address, config.initramfs_address + self.bundle.len() as u64);
        if start < FIRMWARE_END {
            return Err(format!(
                "the kernel at {start:#x} would overwrite the resident firmware, which ends at {FIRMWARE_END:#x}"
            ));
        }
        if end > bundle.0 && start < bundle.1 {
            return Err(format!(
                "the kernel with its zeroed memory takes {start:#x} .. {end:#x}, and the bundle {:#x} .. {:#x}: they overlap; \
                 change kernel_address or the initramfs line of config.txt",
                bundle.0, bundle.1
            ));
        }
        if bundle.1 > SURE_RAM_END || end > SURE_RAM_END {
            return Err(format!(
                "kernel and bundle reach up to {:#x}; memory is sure only up to {SURE_RAM_END:#x}",
                end.max(bundle.1)
            ));
        }
        if !bundle.0.is_multiple_of(4096) {
            return Err(format!("the bundle's address {:#x} is not on a page's start", bundle.0));
        }
        if !self.bundle.starts_with(b"\x7fELF") {
            return Err("the bundle is no ELF file; `just bundle` makes one".into());
        }
        for tree in self.trees.iter() {
            if !tree.bytes.starts_with(&[0xd0, 0x0d, 0xfe, 0xed]) {
                return Err(format!(
                    "{} is no flattened device tree: its magic number is missing",
                    tree.path
                ));
            }
        }
        let needed = config.device_tree.as_deref().unwrap_or(TREE_C1);
        if !self.trees.iter().any(|t| t.path == needed) {
            return Err(format!("no device tree {needed}: the firmware would not find one"));
        }
        let mut entries = vec![
            Entry { path: "config.txt".into(), bytes: self.config.clone().into_bytes() },
            Entry { path: config.kernel, bytes: self.kernel.clone() },
            Entry { path: config.initramfs, bytes: self.bundle.clone() },
        ];
        entries.extend(self.trees.iter().cloned());
        Ok(entries)
    }
}

/// What a kernel needs at its address, zeroed memory included; from the arm64 Image header.
fn kernel_memory(image: &[u8]) -> Result<u64, String> {
    if image.get(0x38..0x3c) != Some(b"ARM\x64") {
        return Err(
            "the kernel is no arm64 Image: byte 0x38 does not start with ARM\\x64; `just kernel` makes one"
                .into(),
        );
    }
    let size = image[0x10..0x18].try_into().map(u64::from_le_bytes).unwrap_or(0);
    Ok(size.max(image.len() as u64))
}

/// The image of a card with these files.
pub fn build(entries: &[Entry]) -> Result<Vec<u8>, String> {
    let room = SIZE - 4 * MIB;
    let sum: u64 = entries.iter().map(|e| (e.bytes.len() as u64).next_multiple_of(CLUSTER.into())).sum();
    if sum > room {
        return Err(format!("the files take {sum} bytes, but the partition has room for {room}"));
    }
    let failed = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    let mut image = vec![0; (START + SIZE) as usize];
    let table = |e: mbrman::Error| format!("partition table: {e}");
    let mut cursor = Cursor::new(image.as_mut_slice());
    let mut mbr = MBR::new_from(&mut cursor, SECTOR, DISK_SIGNATURE).map_err(table)?;
    mbr[1] = MBRPartitionEntry {
        boot: mbrman::BOOT_INACTIVE,
        first_chs: CHS::empty(),
        sys: PARTITION_TYPE,
        last_chs: CHS::empty(),
        starting_lba: (START / u64::from(SECTOR)) as u32,
        sectors: (SIZE / u64::from(SECTOR)) as u32,
    };
    mbr.write_into(&mut cursor).map_err(table)?;

    let partition = &mut image[START as usize..];
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(CLUSTER)
        .volume_id(VOLUME_ID)
        .volume_label(LABEL);
    fatfs::format_volume(Cursor::new(&mut *partition), options).map_err(failed("formatting"))?;
    // The boot sector and its copy say how many sectors lie before the partition.
    for sector in [0, 6] {
        let at = sector * SECTOR as usize + 0x1c;
        partition[at..at + 4].copy_from_slice(&((START / u64::from(SECTOR)) as u32).to_le_bytes());
    }
    let volume = FileSystem::new(Cursor::new(&mut *partition), FsOptions::new().time_provider(&NoClock))
        .map_err(failed("file system"))?;
    for entry in entries {
        // The library gives long names to a folder's "." and "..", which fsck.fat calls a fault.
        if entry.path.contains('/') {
            return Err(format!("{}: only the top folder of the card is written", entry.path));
        }
        let written = volume.root_dir().create_file(&entry.path).and_then(|mut file| {
            file.truncate()?;
            file.write_all(&entry.bytes)?;
            file.flush()
        });
        written.map_err(|e| format!("{}: {e}", entry.path))?;
    }
    // Counts the free clusters, so that nobody else has to.
    volume.stats().map_err(failed("file system"))?;
    volume.unmount().map_err(failed("file system"))?;
    Ok(image)
}

/// Whether these are the bytes of a card's image that [`build`] made: its length, and the disk's signature.
pub fn is_ours(image: &[u8]) -> bool {
    image.len() as u64 == START + SIZE && image.get(440..444) == Some(&DISK_SIGNATURE) && read(image).is_ok()
}

/// The files in an image's first FAT partition.
pub fn read(image: &[u8]) -> Result<Vec<Entry>, String> {
    let mut all = Cursor::new(image);
    let mbr = MBR::read_from(&mut all, SECTOR).map_err(|e| format!("no partition table: {e}"))?;
    let (_, entry) = mbr
        .iter()
        .find(|(_, p)| matches!(p.sys, 0x0b | PARTITION_TYPE))
        .ok_or("no FAT32 partition in the partition table")?;
    let start = u64::from(entry.starting_lba) * u64::from(SECTOR);
    let end = start + u64::from(entry.sectors) * u64::from(SECTOR);
    let partition = image
        .get(start as usize..end as usize)
        .ok_or("the partition reaches past the end of the image: it is cut short")?;
    // The library wants to write, be it never used.
    let mut copy = partition.to_vec();
    let volume = FileSystem::new(Cursor::new(copy.as_mut_slice()), FsOptions::new())
        .map_err(|e| format!("the partition holds no FAT file system: {e}"))?;
    let mut entries = Vec::new();
    collect(&volume.root_dir(), "", &mut entries).map_err(|e| format!("the file system is damaged: {e}"))?;
    Ok(entries)
}

type Folder<'a, 'b> = fatfs::Dir<'a, Cursor<&'b mut [u8]>>;

fn collect(folder: &Folder<'_, '_>, prefix: &str, out: &mut Vec<Entry>) -> std::io::Result<()> {
    for item in folder.iter() {
        let item = item?;
        let name = item.file_name();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{prefix}{name}");
        if item.is_dir() {
            collect(&item.to_dir(), &format!("{path}/"), out)?;
        } else {
            let mut bytes = Vec::new();
            item.to_file().read_to_end(&mut bytes)?;
            out.push(Entry { path, bytes });
        }
    }
    Ok(())
}

/// What the firmware would load from a card: settings, kernel, bundle, device tree for that stepping.
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The bundle.
    pub bundle: Vec<u8>,
    /// The device tree.
    pub tree: Vec<u8>,
}

impl Loaded {
    /// Follows `config.txt`, as the firmware does.
    pub fn of(entries: &[Entry], d0: bool) -> Result<Self, String> {
        let file = |path: &str| {
            let found = entries.iter().find(|e| e.path == path);
            found.map(|e| e.bytes.clone()).ok_or_else(|| format!("the card has no file {path}"))
        };
        let text = String::from_utf8(file("config.txt")?).map_err(|_| "config.txt is not text")?;
        let config = Config::read(&text).map_err(|e| e.to_string())?;
        let tree = match (&config.device_tree, d0) {
            (Some(name), _) => file(name)?,
            (None, true) => file(TREE_D0).or_else(|_| file(TREE_C1))?,
            (None, false) => file(TREE_C1)?,
        };
        Ok(Self { kernel: file(&config.kernel)?, bundle: file(&config.initramfs)?, tree, config })
    }
}
