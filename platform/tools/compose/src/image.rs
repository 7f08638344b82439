//! Reading a server's ELF: the segments to map, or why it cannot be mapped.
use crate::takes::{self, Takes};
use axiom_layout::note;
use object::LittleEndian;
use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

/// A loadable segment, starting on a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Page-aligned address.
    pub vaddr: u64,
    /// Bytes in memory.
    pub mem_size: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

impl Segment {
    /// The page after it.
    pub fn end(&self) -> u64 {
        (self.vaddr + self.mem_size).next_multiple_of(4096)
    }
}

/// What an image runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// AArch64.
    Aarch64,
    /// x86-64.
    X86_64,
}

impl Machine {
    fn of(number: elf::Machine) -> Option<Machine> {
        match number {
            elf::EM_AARCH64 => Some(Machine::Aarch64),
            elf::EM_X86_64 => Some(Machine::X86_64),
            _ => None,
        }
    }

    /// Its number in ELF's headers.
    pub fn number(self) -> u16 {
        match self {
            Machine::Aarch64 => elf::EM_AARCH64.0,
            Machine::X86_64 => elf::EM_X86_64.0,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Machine::Aarch64 => "aarch64",
            Machine::X86_64 => "x86_64",
        }
    }
}

/// An image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// What it runs on.
    pub machine: Machine,
    /// Where it starts.
    pub entry: u64,
    /// What it maps.
    pub segments: Vec<Segment>,
    /// It has a heap: its program allocates.
    pub heap: bool,
    /// What its program takes, if it says so.
    pub takes: Option<Takes>,
}

/// The kinds of this system's notes among some bytes (`Elf64_Nhdr`, name, description, each filled to four bytes), and what they say.
fn notes(mut bytes: &[u8]) -> Vec<([u8; 4], &[u8])> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(note::HEAD) {
        let size =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
        let (name, length) = (size(0), size(4));
        if name == note::NAME.len() && head[12..].starts_with(note::NAME) {
            let Some(said) = rest.get(..length) else { break };
            found.push(([head[8], head[9], head[10], head[11]], said));
        }
        let next =
            12usize.saturating_add(name.next_multiple_of(4)).saturating_add(length.next_multiple_of(4));
        bytes = bytes.get(next..).unwrap_or(&[]);
    }
    found
}

/// Why an image cannot be used: what, the rule, what to try.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub String, pub &'static str, pub &'static str);

fn refuse<T>(what: impl Into<String>, rule: &'static str, advice: &'static str) -> Result<T, Refusal> {
    Err(Refusal(what.into(), rule, advice))
}

const BUILD: &str = "build it with platform/tools/axiom-cargo server build --profile system";
const SAYS: &str =
    "a program's takes.toml names interfaces, rights, timers and settings as compose's module `takes` says";
const TAKES: &str = "mend takes.toml beside the program's Cargo.toml, and build it again";
const WINDOW: &str = "an image lies between low and high end of its window, no byte twice";

/// Nobody reads a mapped file header's section table, and where it lies depends on the build folder's name: e_shoff, e_shnum and
/// e_shstrndx become 0, so that equal sources give equal bundles.
fn forget_sections(header: &mut [u8]) {
    for range in [0x28..0x30, 0x3c..0x40] {
        if let Some(field) = header.get_mut(range) {
            field.fill(0);
        }
    }
}

/// Reads an image that must lie in `window`.
pub fn read(data: &[u8], window: std::ops::Range<u64>) -> Result<Image, Refusal> {
    const STATIC: &str = "an image is a static 64-bit little-endian ELF executable for aarch64 or x86_64";
    if !data.starts_with(b"\x7fELF") {
        return refuse("is not an ELF file", STATIC, BUILD);
    }
    let broken = |e: object::Error| Refusal(format!("is a damaged ELF file: {e}"), STATIC, BUILD);
    let header = elf::FileHeader64::<LittleEndian>::parse(data).map_err(broken)?;
    let endian = LittleEndian;
    header.endian().map_err(broken)?;
    let Some(machine) = Machine::of(header.e_machine(endian)) else {
        return refuse(format!("is for machine number {}", header.e_machine(endian)), STATIC, BUILD);
    };
    if header.e_type(endian) != elf::ET_EXEC {
        return refuse(
            "is not a fixed-address executable",
            STATIC,
            "relocation-model=static, a linker script",
        );
    }
    let mut segments: Vec<Segment> = Vec::new();
    let (mut heap, mut takes) = (false, None);
    for ph in header.program_headers(endian, data).map_err(broken)? {
        match ph.p_type(endian) {
            elf::PT_INTERP | elf::PT_DYNAMIC => return refuse("is dynamically linked", STATIC, BUILD),
            elf::PT_NOTE => {
                let said = ph.data(endian, data).unwrap_or(&[]);
                for (kind, said) in notes(said) {
                    heap |= kind == note::HEAP;
                    if kind == note::TAKES {
                        let said = String::from_utf8_lossy(said);
                        takes =
                            Some(takes::read(&said).map_err(|why| {
                                Refusal(format!("says what it takes, but {why}"), SAYS, TAKES)
                            })?);
                    }
                }
                continue;
            }
            elf::PT_LOAD if ph.p_memsz(endian) > 0 => {}
            _ => continue,
        }
        let (vaddr, mem) = (ph.p_vaddr(endian), ph.p_memsz(endian));
        let (write, execute) =
            (ph.p_flags(endian).0 & elf::PF_W.0 != 0, ph.p_flags(endian).0 & elf::PF_X.0 != 0);
        if write && execute {
            return refuse(
                format!("has a segment at {vaddr:#x} that is writable and executable"),
                "no memory is both: write or execute",
                "give data and text sections of their own segments in the linker script",
            );
        }
        let end = vaddr.checked_add(mem).filter(|end| vaddr >= window.start && *end <= window.end);
        if end.is_none() {
            return refuse(
                format!(
                    "has a segment at {vaddr:#x}+{mem:#x} outside {:#x}..{:#x}",
                    window.start, window.end
                ),
                WINDOW,
                "link it to the window's start",
            );
        }
        let Ok(file) = ph.data(endian, data) else {
            return refuse(format!("ends before its segment at {vaddr:#x} does"), STATIC, BUILD);
        };
        if file.len() as u64 > mem {
            return refuse(format!("has more file than memory in its segment at {vaddr:#x}"), STATIC, BUILD);
        }
        let before = vaddr % 4096;
        let mut bytes = vec![0; before as usize];
        bytes.extend_from_slice(file);
        if ph.p_offset(endian) == 0 {
            forget_sections(&mut bytes[before as usize..]);
        }
        segments.push(Segment { vaddr: vaddr - before, mem_size: mem + before, bytes, write, execute });
    }
    segments.sort_by_key(|s| s.vaddr);
    for pair in segments.windows(2) {
        if pair[0].end() > pair[1].vaddr {
            return refuse(
                format!("has segments at {:#x} and {:#x} that share a page", pair[0].vaddr, pair[1].vaddr),
                "each segment has pages of its own, because rights are by page",
                "link with -z separate-loadable-segments, or ALIGN(4096) in the linker script",
            );
        }
    }
    let entry = header.e_entry(endian);
    if !segments.iter().any(|s| s.execute && (s.vaddr..s.vaddr + s.mem_size).contains(&entry)) {
        return refuse(
            format!("starts at {entry:#x}, where no code is"),
            "the entry point lies in an executable segment",
            "ENTRY(_start) in the linker script, and axiom_runtime::entry!(main) in the server",
        );
    }
    Ok(Image { machine, entry, segments, heap, takes })
}
