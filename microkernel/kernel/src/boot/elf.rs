//! The root task's ELF file: checked, and its loadable segments listed. It comes from outside, so every offset is
//! suspect.
use super::found::Fatal;

/// A loadable segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Virtual address.
    pub vaddr: u64,
    /// Bytes in memory.
    pub mem_size: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

/// A checked static executable.
pub struct Elf<'a> {
    file: &'a [u8],
    /// First instruction.
    pub entry: u64,
    headers: u64,
    count: u16,
}

const MAX_SEGMENTS: u16 = 64;
const NOT_ELF: Fatal = Fatal(
    "the initial RAM disk is neither a bundle nor an ELF file: it does not begin with the ELF magic number. Give a bundle made by \
     `just bundle`, or a static aarch64 ELF",
);
const WRONG_KIND: Fatal =
    Fatal("the root task is an ELF file, but not a static executable for 64-bit little-endian aarch64");
const DAMAGED: Fatal =
    Fatal("the root task's ELF file is damaged: a header points outside the file, or outside user addresses");

fn word<const N: usize>(file: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

impl<'a> Elf<'a> {
    /// Checks the file header and all program headers.
    pub fn new(file: &'a [u8]) -> Result<Elf<'a>, Fatal> {
        if file.get(..4) != Some(b"\x7fELF") {
            return Err(NOT_ELF);
        }
        let half = |at| word(file, at).map(u16::from_le_bytes).ok_or(DAMAGED);
        let long = |at| word(file, at).map(u64::from_le_bytes).ok_or(DAMAGED);
        const EXECUTABLE: u16 = 2;
        const AARCH64: u16 = 183;
        if file.get(4..6) != Some(&[2, 1]) || half(16)? != EXECUTABLE || half(18)? != AARCH64 {
            return Err(WRONG_KIND);
        }
        let elf = Elf { file, entry: long(24)?, headers: long(32)?, count: half(56)? };
        if half(54)? != 56 || elf.count == 0 || elf.count > MAX_SEGMENTS {
            return Err(DAMAGED);
        }
        for i in 0..elf.count {
            if let Some(s) = elf.header(i)? {
                let fits = s.offset.checked_add(s.file_size).is_some_and(|end| end <= file.len() as u64);
                let end = s.vaddr.checked_add(s.mem_size);
                let in_user = end.is_some_and(|e| e < axiom_objects::arch::paging::USER_TOP - (64 << 20));
                if !fits || !in_user || s.file_size > s.mem_size || s.mem_size > 1 << 32 {
                    return Err(DAMAGED);
                }
            }
        }
        if elf.segments().next().is_none() {
            return Err(DAMAGED);
        }
        Ok(elf)
    }

    fn header(&self, index: u16) -> Result<Option<Segment>, Fatal> {
        let at = self.headers.checked_add(u64::from(index) * 56).ok_or(DAMAGED)?;
        let [kind, flags] = [0, 4].map(|o| word(self.file, at + o).map(u32::from_le_bytes));
        let [offset, vaddr, file_size, mem_size] =
            [8, 16, 32, 40].map(|o| word(self.file, at + o).map(u64::from_le_bytes));
        let (Some(kind), Some(flags)) = (kind, flags) else { return Err(DAMAGED) };
        let (Some(offset), Some(vaddr), Some(file_size), Some(mem_size)) =
            (offset, vaddr, file_size, mem_size)
        else {
            return Err(DAMAGED);
        };
        const LOAD: u32 = 1;
        Ok((kind == LOAD && mem_size > 0).then_some(Segment {
            vaddr,
            mem_size,
            offset,
            file_size,
            execute: flags & 1 != 0,
            write: flags & 2 != 0,
        }))
    }

    /// The loadable segments.
    pub fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        (0..self.count).filter_map(|i| self.header(i).ok().flatten())
    }

    /// The file's bytes of a segment.
    pub fn bytes(&self, s: &Segment) -> &'a [u8] {
        &self.file[s.offset as usize..(s.offset + s.file_size) as usize]
    }
}
