//! What stands at the beginning (or the end) of a disk or partition that belongs to something larger: volume groups, encrypted
//! containers, pools, arrays, swap. Such a disk is in use although nothing of it is mounted now.
//!
//! Only marks are looked for, at the places that each format's own documentation fixes; nothing is interpreted further, so a
//! damaged or hostile disk costs a few short reads and at worst a refusal that `--yes-really` lifts.
use std::io::{self, Read, Seek, SeekFrom};

/// A mark: name, offset, bytes. Offsets below zero count from the end of the disk.
struct Mark {
    name: &'static str,
    at: i64,
    bytes: &'static [u8],
}

const fn mark(name: &'static str, at: i64, bytes: &'static [u8]) -> Mark {
    Mark { name, at, bytes }
}

/// Linux RAID's magic number 0xa92b4efc, little-endian.
const MD: &[u8] = &[0xfc, 0x4e, 0x2b, 0xa9];
/// A ZFS uberblock's magic number 0x00bab10c, in both byte orders.
const ZFS: [&[u8]; 2] = [&[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0, 0xba, 0xb1, 0x0c]];

const MARKS: &[Mark] = &[
    mark("LUKS container", 0, b"LUKS\xba\xbe"),
    // The label is in one of the first four sectors; its type follows 24 bytes later.
    mark("LVM physical volume", 24, b"LVM2 001"),
    mark("LVM physical volume", 512 + 24, b"LVM2 001"),
    mark("LVM physical volume", 1024 + 24, b"LVM2 001"),
    mark("LVM physical volume", 1536 + 24, b"LVM2 001"),
    mark("btrfs file system", 0x1_0040, b"_BHRfS_M"),
    mark("bcache member", 4096 + 24, &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca]),
    mark("swap area", 4096 - 10, b"SWAPSPACE2"),
    mark("swap area", 16_384 - 10, b"SWAPSPACE2"),
    mark("swap area", 65_536 - 10, b"SWAPSPACE2"),
    mark("RAID member", 0, MD),
    mark("RAID member", 4096, MD),
    mark("RAID member", -8192, MD),
];

/// Uberblocks stand in a ring of 128 KiB from here on.
const ZFS_RING: u64 = 128 << 10;

fn holds(disk: &mut (impl Read + Seek), at: u64, bytes: &[u8]) -> io::Result<bool> {
    disk.seek(SeekFrom::Start(at))?;
    let mut found = vec![0; bytes.len()];
    match disk.read_exact(&mut found) {
        Ok(()) => Ok(found == bytes),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// What the disk (or partition) is a member of; `None` if it carries no known mark.
///
/// # Errors
/// Whatever reading gives; the end of the disk is no error.
pub fn of(disk: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    let size = disk.seek(SeekFrom::End(0))?;
    for mark in MARKS {
        let at = if mark.at < 0 {
            // Version 1.0 counts from the end in whole blocks of 4 KiB.
            (size & !4095).checked_sub(mark.at.unsigned_abs())
        } else {
            Some(mark.at.unsigned_abs())
        };
        if let Some(at) = at
            && holds(disk, at, mark.bytes)?
        {
            return Ok(Some(mark.name));
        }
    }
    // Version 0.90: 64 KiB before the end, in whole blocks of 64 KiB.
    if let Some(at) = (size & !0xffff).checked_sub(0x1_0000)
        && holds(disk, at, MD)?
    {
        return Ok(Some("RAID member"));
    }
    let slots: [u64; 2] = [1 << 10, 4 << 10];
    for slot in slots {
        for place in (0..ZFS_RING / slot).map(|i| ZFS_RING + i * slot) {
            for magic in ZFS {
                if holds(disk, place, magic)? {
                    return Ok(Some("ZFS pool member"));
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const SIZE: usize = 1 << 20;

    fn disk(at: usize, bytes: &[u8]) -> Cursor<Vec<u8>> {
        let mut disk = vec![0; SIZE];
        disk[at..at + bytes.len()].copy_from_slice(bytes);
        Cursor::new(disk)
    }

    #[test]
    fn every_mark_is_found_at_its_place_and_only_there() {
        for (at, bytes, name) in [
            (0, &b"LUKS\xba\xbe"[..], "LUKS container"),
            (0x218, b"LVM2 001", "LVM physical volume"),
            (0x618, b"LVM2 001", "LVM physical volume"),
            (0x1_0040, b"_BHRfS_M", "btrfs file system"),
            (4086, b"SWAPSPACE2", "swap area"),
            (65_526, b"SWAPSPACE2", "swap area"),
            (0, MD, "RAID member"),
            (4096, MD, "RAID member"),
            (SIZE - 8192, MD, "RAID member"),
            (SIZE - 65_536, MD, "RAID member"),
            (128 << 10, ZFS[0], "ZFS pool member"),
            ((128 << 10) + 17 * 1024, ZFS[1], "ZFS pool member"),
        ] {
            assert_eq!(of(&mut disk(at, bytes)).unwrap(), Some(name), "{name} at {at:#x}");
            assert_eq!(of(&mut disk(at + 1, bytes)).unwrap(), None, "{name} at {:#x}", at + 1);
        }
    }

    #[test]
    fn an_empty_or_tiny_disk_is_a_member_of_nothing() {
        for size in [0, 1, 4095, 4096, 65_535, 200_000] {
            assert_eq!(of(&mut Cursor::new(vec![0; size])).unwrap(), None, "{size} bytes");
        }
    }
}
