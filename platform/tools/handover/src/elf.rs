//! ELF files of 64 bits, as far as a kernel's segments go: read, and written again with more of them.
//!
//! Everything is little-endian; positions and sizes are looked at before they are followed.

/// A segment that is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Readable 4, writable 2, executable 1.
    pub flags: u32,
    /// Where it is linked.
    pub virtual_address: u64,
    /// Where it is loaded.
    pub physical_address: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Bytes in memory: what is more than its own are zeroes.
    pub memory: u64,
}

/// A kernel: its segments, and its physical entry.
#[derive(Debug)]
pub struct Kernel {
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// The entry, which is linked where it is loaded.
    pub entry: u32,
}

const HEADER: usize = 64;
const ENTRY: usize = 56;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
const X86_64: u16 = 62;
const ALIGNMENT: u64 = 4096;

fn word<const N: usize>(bytes: &[u8], at: u64) -> Result<[u8; N], String> {
    let at = usize::try_from(at).map_err(|_| "a position beyond the file")?;
    let end = at.checked_add(N).ok_or("a position beyond the file")?;
    let word = bytes.get(at..end).and_then(|w| w.try_into().ok());
    word.ok_or_else(|| format!("cut short at byte {at}"))
}

impl Kernel {
    /// Reads a kernel's file.
    pub fn parse(file: &[u8]) -> Result<Kernel, String> {
        if word::<6>(file, 0)? != *b"\x7fELF\x02\x01" || u16::from_le_bytes(word(file, 18)?) != X86_64 {
            return Err("no ELF file of 64 bits for x86-64".into());
        }
        let entry = u64::from_le_bytes(word(file, 24)?);
        let table = u64::from_le_bytes(word(file, 32)?);
        let mut segments = Vec::new();
        for i in 0..u64::from(u16::from_le_bytes(word(file, 56)?)) {
            let at = table.checked_add(i * ENTRY as u64).ok_or("a table of segments beyond the file")?;
            let long = |offset: u64| word(file, at.saturating_add(offset)).map(u64::from_le_bytes);
            if u32::from_le_bytes(word(file, at)?) != LOAD {
                continue;
            }
            let (start, size) = (long(8)?, long(32)?);
            let bytes = usize::try_from(start)
                .ok()
                .zip(start.checked_add(size).and_then(|e| usize::try_from(e).ok()));
            let bytes =
                bytes.and_then(|(start, end)| file.get(start..end)).ok_or("a segment beyond the file")?;
            segments.push(Segment {
                flags: u32::from_le_bytes(word(file, at + 4)?),
                virtual_address: long(16)?,
                physical_address: long(24)?,
                bytes: bytes.to_vec(),
                memory: long(40)?,
            });
        }
        let entry = u32::try_from(entry).map_err(|_| format!("its entry {entry:#x} is above 4 GiB"))?;
        Ok(Kernel { segments, entry })
    }
}

/// A file with these segments, and PVH's note with the entry.
pub fn write(segments: &[Segment], entry: u32) -> Vec<u8> {
    let mut note = Vec::new();
    [4u32, 4, 18].iter().for_each(|w| note.extend(w.to_le_bytes()));
    note.extend(b"Xen\0");
    note.extend(entry.to_le_bytes());
    let note_at = HEADER + ENTRY * (segments.len() + 1);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(2u16.to_le_bytes());
    file.extend(X86_64.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for long in [entry.into(), HEADER as u64, 0] {
        file.extend(long.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for short in [HEADER as u16, ENTRY as u16, segments.len() as u16 + 1, 64, 0, 0] {
        file.extend(short.to_le_bytes());
    }
    let mut header = |kind: u32, flags: u32, longs: [u64; 6]| {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        longs.iter().for_each(|long| file.extend(long.to_le_bytes()));
    };
    let size = note.len() as u64;
    header(NOTE, 4, [note_at as u64, 0, 0, size, size, 4]);
    let mut at = (note_at + note.len()) as u64;
    for s in segments {
        at = at.next_multiple_of(ALIGNMENT) + s.physical_address % ALIGNMENT;
        let size = s.bytes.len() as u64;
        header(LOAD, s.flags, [at, s.virtual_address, s.physical_address, size, s.memory, ALIGNMENT]);
        at += size;
    }
    file.extend(note);
    for s in segments {
        let at = (file.len() as u64).next_multiple_of(ALIGNMENT) + s.physical_address % ALIGNMENT;
        file.resize(at as usize, 0);
        file.extend(&s.bytes);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments() -> Vec<Segment> {
        let at = |physical_address, bytes: &[u8], memory| Segment {
            flags: 5,
            virtual_address: physical_address | 0xffff_ffff_8000_0000,
            physical_address,
            bytes: bytes.to_vec(),
            memory,
        };
        vec![at(0x20_0000, b"boot", 4), at(0x20_1010, &[7; 5000], 9000), at(0x100_0000, b"", 64)]
    }

    #[test]
    fn what_is_written_is_read_again() {
        let kernel = Kernel::parse(&write(&segments(), 0x20_0040)).unwrap();
        assert_eq!((kernel.segments, kernel.entry), (segments(), 0x20_0040));
    }

    #[test]
    fn a_damaged_file_is_refused_at_every_length() {
        let file = write(&segments()[..2], 0x20_0040);
        for length in 0..file.len() {
            assert!(Kernel::parse(&file[..length]).is_err(), "{length}");
        }
        let mut other = file.clone();
        other[18] = 183;
        assert!(Kernel::parse(&other).unwrap_err().contains("x86-64"));
        let mut far = file;
        far[HEADER + ENTRY + 8..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Kernel::parse(&far).unwrap_err().contains("beyond"));
    }
}
