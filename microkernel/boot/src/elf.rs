//! The root task's ELF file: checked, and its image page by page.
//!
//! What the ELF specification calls a static executable is loaded; anything else is refused with what is wrong and where.
//! After [`Elf::new`], no sum of a segment's numbers wraps, all bytes of segments lie in the file, all memory lies below
//! the limit, and no byte of memory belongs to two segments.
use core::fmt::{self, Display, Formatter};

const PAGE: u64 = 4096;
/// Bytes of a program header.
const HEADER: u64 = 56;
const MAX_HEADERS: u16 = 64;
/// Most loadable segments.
pub const MAX_SEGMENTS: usize = 16;
/// Most bytes of a segment.
const MAX_SEGMENT: u64 = 1 << 32;
/// Gaps between segments up to this size are filled, so that frame capabilities are in the order of addresses.
const FILLED_GAP: u64 = 1 << 20;

/// A loadable segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Number of its program header.
    pub number: u16,
    /// Virtual address.
    pub vaddr: u64,
    /// Bytes in memory, at least one.
    pub mem_size: u64,
    /// Offset in the file; means nothing without bytes there.
    pub offset: u64,
    /// Bytes in the file.
    pub file_size: u64,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
}

impl Segment {
    /// The byte behind its memory.
    pub fn end(&self) -> u64 {
        self.vaddr + self.mem_size
    }

    fn touches(&self, page: u64) -> bool {
        self.vaddr < page + PAGE && page < self.end()
    }
}

/// What an ELF file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name, as one asks a compiler for it.
    pub name: &'static str,
    /// `e_machine`.
    pub machine: u16,
    /// Instructions begin at multiples of this.
    pub alignment: u64,
}

/// 64-bit ARM.
pub const AARCH64: Architecture = Architecture { name: "aarch64", machine: 183, alignment: 4 };
/// 64-bit x86.
pub const X86_64: Architecture = Architecture { name: "x86_64", machine: 62, alignment: 1 };

/// What is wrong with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// No ELF at all.
    Magic,
    /// Shorter than an ELF header: its bytes.
    Short(u64),
    /// Not 64-bit, not little-endian.
    Class,
    /// For that machine.
    Machine {
        /// The file's machine.
        file: u16,
        /// What the kernel runs on.
        wanted: Architecture,
    },
    /// Of that type, not an executable at fixed addresses.
    Kind(u16),
    /// Program headers of that many bytes.
    HeaderSize(u16),
    /// That many program headers.
    HeaderCount(u16),
    /// Program headers from there to beyond the end of the file of that many bytes.
    HeadersOutside(u64, u64),
    /// More loadable segments than are kept.
    TooManySegments,
    /// Nothing to load.
    NothingToLoad,
    /// Needs a dynamic loader.
    Dynamic(u16),
    /// A segment's bytes: offset, count, bytes of the file.
    Bytes(u16, u64, u64, u64),
    /// More bytes in the file than in memory: these, those.
    MoreFile(u16, u64, u64),
    /// More memory than 4 GiB.
    TooLarge(u16, u64),
    /// Memory that ends above the limit, or wraps: address, size, limit.
    Memory(u16, u64, u64, u64),
    /// An alignment that is no power of two, or not kept: alignment, address, offset.
    Alignment(u16, u64, u64, u64),
    /// Two segments share memory at an address.
    Overlap(u16, u16, u64),
    /// The first instruction is not in an executable segment, or not on a word.
    Entry(u64),
}

impl Display for ElfError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if *self == ElfError::Magic {
            return f.write_str(
                "the initial RAM disk is neither a bundle nor an ELF file: it does not begin with the ELF magic number. \
                 Give a bundle made by `just bundle`, or a static ELF",
            );
        }
        f.write_str("the root task's ELF file ")?;
        match *self {
            ElfError::Magic => Ok(()),
            ElfError::Short(bytes) => {
                write!(f, "is cut short: it has {bytes} bytes, its header alone has 64")
            }
            ElfError::Class => {
                f.write_str("is not 64-bit little-endian; build it for this kernel's processor")
            }
            ElfError::Machine { file, wanted } => {
                write!(f, "is for machine {file}; build it for {} ({})", wanted.name, wanted.machine)
            }
            ElfError::Kind(kind) => write!(
                f,
                "has type {kind}; a root task is an executable at fixed addresses (2): link it with -static -no-pie"
            ),
            ElfError::HeaderSize(bytes) => {
                write!(f, "is damaged: its program headers have {bytes} bytes instead of {HEADER}")
            }
            ElfError::HeaderCount(0) => f.write_str("has no program headers: it is not linked"),
            ElfError::HeaderCount(count) => {
                write!(f, "has {count} program headers; the kernel reads up to {MAX_HEADERS}")
            }
            ElfError::HeadersOutside(at, file) => write!(
                f,
                "is damaged or cut short: its program headers at {at:#x} reach beyond its end at {file:#x}"
            ),
            ElfError::TooManySegments => write!(f, "has more than {MAX_SEGMENTS} loadable segments"),
            ElfError::NothingToLoad => f.write_str("has no loadable segment with memory"),
            ElfError::Dynamic(n) => {
                write!(f, "needs a dynamic loader (program header {n}): link it with -static -no-pie")
            }
            ElfError::Bytes(n, offset, bytes, file) => write!(
                f,
                "is damaged or cut short: segment {n} has {bytes:#x} bytes at {offset:#x}, and the file ends at {file:#x}"
            ),
            ElfError::MoreFile(n, bytes, memory) => write!(
                f,
                "is damaged: segment {n} has {bytes:#x} bytes in the file and only {memory:#x} in memory"
            ),
            ElfError::TooLarge(n, memory) => {
                write!(f, "has a segment {n} of {memory:#x} bytes; a segment has up to {MAX_SEGMENT:#x}")
            }
            ElfError::Memory(n, address, memory, top) => write!(
                f,
                "has a segment {n} at {address:#x} of {memory:#x} bytes, which ends outside of the user's addresses (below {top:#x})"
            ),
            ElfError::Alignment(n, align, address, offset) => write!(
                f,
                "is damaged: segment {n} says alignment {align:#x}, but its address {address:#x} and its offset {offset:#x} are not \
                 alike in that, or it is no power of two"
            ),
            ElfError::Overlap(a, b, address) => {
                write!(
                    f,
                    "has segments {a} and {b} that both have memory at {address:#x}; no byte belongs to two"
                )
            }
            ElfError::Entry(at) => write!(
                f,
                "starts at {at:#x}, which is not an instruction's place in an executable segment; name the entry point (ENTRY, -e)"
            ),
        }
    }
}

/// A checked static executable.
#[derive(Clone, Copy, Debug)]
pub struct Elf<'a> {
    file: &'a [u8],
    entry: u64,
    segments: [Segment; MAX_SEGMENTS],
    count: usize,
}

fn bytes<const N: usize>(file: &[u8], at: u64) -> Option<[u8; N]> {
    let at = usize::try_from(at).ok()?;
    file.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn half(file: &[u8], at: u64) -> Option<u16> {
    bytes(file, at).map(u16::from_le_bytes)
}

fn word(file: &[u8], at: u64) -> Option<u32> {
    bytes(file, at).map(u32::from_le_bytes)
}

fn long(file: &[u8], at: u64) -> Option<u64> {
    bytes(file, at).map(u64::from_le_bytes)
}

/// A program header as it stands in the file.
struct Header {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    file_size: u64,
    mem_size: u64,
    align: u64,
}

impl Header {
    fn read(file: &[u8], at: u64) -> Option<Header> {
        let field = |offset: u64| at.checked_add(offset);
        Some(Header {
            kind: word(file, at)?,
            flags: word(file, field(4)?)?,
            offset: long(file, field(8)?)?,
            vaddr: long(file, field(16)?)?,
            file_size: long(file, field(32)?)?,
            mem_size: long(file, field(40)?)?,
            align: long(file, field(48)?)?,
        })
    }

    fn segment(&self, number: u16) -> Option<Segment> {
        const LOAD: u32 = 1;
        const EXECUTE: u32 = 1;
        const WRITE: u32 = 2;
        (self.kind == LOAD && self.mem_size > 0).then_some(Segment {
            number,
            vaddr: self.vaddr,
            mem_size: self.mem_size,
            offset: self.offset,
            file_size: self.file_size,
            write: self.flags & WRITE != 0,
            execute: self.flags & EXECUTE != 0,
        })
    }
}

impl<'a> Elf<'a> {
    /// Checks a file whose image must end at or below `top`.
    pub fn new(file: &'a [u8], wanted: Architecture, top: u64) -> Result<Elf<'a>, ElfError> {
        const EXECUTABLE: u16 = 2;
        if file.get(..4) != Some(b"\x7fELF") {
            return Err(ElfError::Magic);
        }
        let length = file.len() as u64;
        let short = ElfError::Short(length);
        let header: &[u8; 64] = file.first_chunk().ok_or(short)?;
        if header[4..6] != [2, 1] {
            return Err(ElfError::Class);
        }
        let [kind, machine] = [half(header, 16).ok_or(short)?, half(header, 18).ok_or(short)?];
        if machine != wanted.machine {
            return Err(ElfError::Machine { file: machine, wanted });
        }
        if kind != EXECUTABLE {
            return Err(ElfError::Kind(kind));
        }
        let (headers, count) = (long(header, 32).ok_or(short)?, half(header, 56).ok_or(short)?);
        let size = half(header, 54).ok_or(short)?;
        if count == 0 || count > MAX_HEADERS {
            return Err(ElfError::HeaderCount(count));
        }
        if u64::from(size) != HEADER {
            return Err(ElfError::HeaderSize(size));
        }
        let entry = long(header, 24).ok_or(short)?;
        let mut elf = Elf { file, entry, segments: [Segment::default(); MAX_SEGMENTS], count: 0 };
        for number in 0..count {
            let at = headers.checked_add(u64::from(number) * HEADER);
            let header = at.and_then(|at| Header::read(file, at));
            elf.add(number, &header.ok_or(ElfError::HeadersOutside(headers, length))?, top)?;
        }
        elf.check(wanted)?;
        Ok(elf)
    }

    /// Takes a program header, if it is a segment's.
    fn add(&mut self, number: u16, header: &Header, top: u64) -> Result<(), ElfError> {
        const INTERPRETER: u32 = 3;
        if header.kind == INTERPRETER {
            return Err(ElfError::Dynamic(number));
        }
        if let Some(segment) = header.segment(number) {
            check_segment(&segment, header.align, self.file.len() as u64, top)?;
            *self.segments.get_mut(self.count).ok_or(ElfError::TooManySegments)? = segment;
            self.count += 1;
        }
        Ok(())
    }

    fn check(&self, wanted: Architecture) -> Result<(), ElfError> {
        for s in self.segments() {
            // Two ranges share a byte exactly if one of them starts in the other.
            let other =
                self.segments().find(|o| o.number != s.number && o.vaddr <= s.vaddr && s.vaddr < o.end());
            if let Some(other) = other {
                let (a, b) = (s.number.min(other.number), s.number.max(other.number));
                return Err(ElfError::Overlap(a, b, s.vaddr));
            }
        }
        if self.segments().next().is_none() {
            return Err(ElfError::NothingToLoad);
        }
        let runs = |s: &Segment| s.execute && s.vaddr <= self.entry && self.entry < s.end();
        if !self.entry.is_multiple_of(wanted.alignment) || !self.segments().any(runs) {
            return Err(ElfError::Entry(self.entry));
        }
        Ok(())
    }

    /// Address of the first instruction.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// The loadable segments that have memory.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments[..self.count].iter()
    }

    /// First page of the image, and the page behind its last.
    pub fn bounds(&self) -> (u64, u64) {
        self.segments().fold((u64::MAX, 0), |(first, last), s| {
            (first.min(s.vaddr & !(PAGE - 1)), last.max(s.end().next_multiple_of(PAGE)))
        })
    }

    /// The image's pages in the order of addresses, with those of small gaps between segments.
    pub fn pages(&self) -> impl Iterator<Item = u64> + '_ {
        let (first, last) = self.bounds();
        let mut next = first;
        core::iter::from_fn(move || {
            if next >= last {
                return None;
            }
            // The first segment that is not yet passed; there is one, because `last` is a segment's end.
            let start = self.segments().filter(|s| s.end() > next).map(|s| s.vaddr & !(PAGE - 1)).min()?;
            if start.saturating_sub(next) > FILLED_GAP {
                next = start;
            }
            let page = next;
            next += PAGE;
            Some(page)
        })
    }

    /// What the page at an address of [`Elf::pages`] is, in a file whose first byte has a physical address that ends in `phase`.
    pub fn page(&self, page: u64, phase: u64) -> Page {
        let mut found = Page { write: false, execute: false, empty: true, in_place: None };
        let mut sharers = 0;
        for s in self.segments().filter(|s| s.touches(page)) {
            found.write |= s.write;
            found.execute |= s.execute;
            found.empty = false;
            sharers += 1;
            // Whole pages of the file, on pages of memory.
            if page >= s.vaddr && page + PAGE <= s.vaddr + s.file_size {
                let offset = s.offset + (page - s.vaddr);
                found.in_place = offset.wrapping_add(phase).is_multiple_of(PAGE).then_some(offset);
            }
        }
        if sharers != 1 || found.write {
            found.in_place = None;
        }
        found
    }

    /// The parts of the file that belong on a page: where on the page, and the bytes. The rest of the page is zero.
    pub fn parts(&self, page: u64) -> impl Iterator<Item = (usize, &'a [u8])> + '_ {
        self.segments().filter_map(move |s| {
            let from = page.max(s.vaddr);
            let to = (page + PAGE).min(s.vaddr + s.file_size);
            let length = to.checked_sub(from).filter(|length| *length > 0)?;
            let start = s.offset + (from - s.vaddr);
            let bytes = self.file.get(start as usize..(start + length) as usize)?;
            Some(((from - page) as usize, bytes))
        })
    }
}

/// A page of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// A segment on it is writable.
    pub write: bool,
    /// A segment on it is executable.
    pub execute: bool,
    /// No segment is on it.
    pub empty: bool,
    /// It is not written, and is a page of the file as it lies, at this offset.
    pub in_place: Option<u64>,
}

fn check_segment(s: &Segment, align: u64, file: u64, top: u64) -> Result<(), ElfError> {
    let n = s.number;
    if s.mem_size > MAX_SEGMENT {
        return Err(ElfError::TooLarge(n, s.mem_size));
    }
    if s.vaddr.checked_add(s.mem_size).is_none_or(|end| end > top) {
        return Err(ElfError::Memory(n, s.vaddr, s.mem_size, top));
    }
    if s.file_size > s.mem_size {
        return Err(ElfError::MoreFile(n, s.file_size, s.mem_size));
    }
    // A segment that only reserves memory has no bytes in the file: linkers leave any offset, also one behind its end.
    if s.file_size == 0 {
        return Ok(());
    }
    if s.offset.checked_add(s.file_size).is_none_or(|end| end > file) {
        return Err(ElfError::Bytes(n, s.offset, s.file_size, file));
    }
    let alike = align <= 1 || align.is_power_of_two() && s.vaddr % align == s.offset % align;
    if !alike {
        return Err(ElfError::Alignment(n, align, s.vaddr, s.offset));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
