//! Reads BPF objects as clang makes them (`-target bpf -mcpu=v4 -g`): programs by section name, maps by BTF, source lines.
//!
//! The object comes from whoever may load programs, so nothing in it is believed: all reading is bounds-checked, memory
//! and time are bounded by the object's size (see the constants here), an allocation that fails is a refusal, and every
//! refusal is a sentence with the byte offset that caused it.
//!
//! What a program becomes here: the function's instructions, then every function that it reaches by local calls, with
//! calls made relative; wide loads that named a map symbol carry `pseudo::MAP` and the map's index in `imm`, those that
//! named data carry `pseudo::MAP_VALUE`, the index, and in the second slot the offset, which lies inside the value: that
//! is its one meaning for verifier, loader, interpreter and compiler ([`axiom_bpf_isa::MapDef::value_offset`]). `.rodata`,
//! `.data` and `.bss` become arrays of one value, as libbpf does it.
//!
//! A relocation says *section of the symbol, plus its value, plus the addend in the field*, everywhere. What no rule here
//! applies is refused with its section, its symbol and the line of C: pointers in data, externs, unknown types.
#![no_std]
extern crate alloc;

mod btf;
mod elf;
mod link;
mod maps;
mod reader;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, MapDef};
use btf::Strings;
use core::fmt;
use elf::{Elf, STT_FUNC, Section};

/// Most instructions that a program may have, its functions included.
pub const MAX_INSNS: usize = 1 << 16;
/// Most functions that a program may reach.
pub const MAX_FUNCTIONS: usize = 64;
/// Most maps in an object.
pub const MAX_MAPS: usize = 32;
/// Most programs in an object.
pub const MAX_PROGRAMS: usize = 64;
/// Largest data section.
pub const MAX_DATA: u64 = 1 << 20;
/// Reading an object takes at most this many times its size in memory, beside the program's instructions.
pub const MEMORY_FACTOR: usize = 4;

/// Why an object was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObjectError {
    /// Byte offset in the object.
    pub at: usize,
    /// A sentence.
    pub text: Cow<'static, str>,
    /// There was no memory for it: nothing is known about the object.
    pub out_of_memory: bool,
}

impl ObjectError {
    #[cold]
    pub(crate) fn new(at: usize, text: String) -> ObjectError {
        ObjectError { at, text: Cow::Owned(text), out_of_memory: false }
    }

    #[cold]
    pub(crate) fn no_memory() -> ObjectError {
        ObjectError {
            at: 0,
            text: Cow::Borrowed("there is not enough memory left to read the object"),
            out_of_memory: true,
        }
    }
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the object)", self.text, self.at)
    }
}

impl core::error::Error for ObjectError {}

/// A name for a sentence: not longer than a line.
pub(crate) fn short(name: &str) -> &str {
    const LONGEST: usize = 80;
    let mut end = name.len().min(LONGEST);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// What a map holds at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contents<'a> {
    /// Zeros.
    Zero,
    /// A data section.
    Data(&'a [u8]),
}

/// A map of the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Map<'a> {
    /// The variable's name, or the section's.
    pub name: &'a str,
    /// Its shape.
    pub def: MapDef,
    /// Its first contents.
    pub contents: Contents<'a>,
    /// Section, and for a declared map the offset of its variable.
    section: u16,
    offset: Option<u64>,
}

/// A program's name and where to attach it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// The function's name.
    pub name: &'a str,
    /// The section's name: what to attach to.
    pub section: &'a str,
    section_index: u16,
    offset: u64,
    size: u64,
}

/// Part of a program that came from one function of the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece {
    start: usize,
    len: usize,
    section: u16,
    offset: u64,
}

/// A program, ready to be verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// Its instructions; the entry is the first.
    pub insns: Vec<Insn>,
    pieces: Vec<Piece>,
}

impl Program {
    /// The slots where its functions start, the entry's first.
    pub fn functions(&self) -> impl Iterator<Item = usize> + '_ {
        self.pieces.iter().map(|p| p.start)
    }
}

/// A line of source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Line<'a> {
    /// File, as the compiler was given it.
    pub file: &'a str,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
    /// The source text, trimmed.
    pub text: &'a str,
}

/// A variable in a data section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Global {
    /// Index of its map.
    pub map: usize,
    /// Offset in the map's value.
    pub offset: usize,
    /// In bytes.
    pub size: usize,
}

/// A parsed object.
pub struct Object<'a> {
    elf: Elf<'a>,
    maps: Vec<Map<'a>>,
    programs: Vec<Entry<'a>>,
}

impl<'a> Object<'a> {
    /// Reads the object's structure. Programs are read when asked for, line information when needed.
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, ObjectError> {
        let mut elf = Elf::parse(bytes)?;
        link::check_tables(&mut elf)?;
        let maps = maps::maps(&elf)?;
        let mut programs = Vec::new();
        for index in (0..elf.symbol_count()).filter(|&i| elf.is_global_function(i)) {
            let symbol = elf.symbol(index)?;
            let Some(section) = elf.sections.get(symbol.section as usize) else { continue };
            if !section.is_code() || section.name.is(".text") {
                continue;
            }
            if programs.len() == MAX_PROGRAMS {
                return Err(ObjectError::new(
                    section.data.at,
                    format!("the object has more than {MAX_PROGRAMS} programs"),
                ));
            }
            let entry = Entry {
                name: elf.name(&symbol)?,
                section: section.text()?,
                section_index: symbol.section,
                offset: symbol.value,
                size: symbol.size,
            };
            reader::push(&mut programs, entry)?;
        }
        if programs.is_empty() {
            return Err(ObjectError::new(
                0,
                "the object holds no program: mark a function with SEC(\"iio/<device>/<channel>\") or SEC(\"timer/<n>hz\")"
                    .into(),
            ));
        }
        Ok(Object { elf, maps, programs })
    }

    /// Its maps; programs name them by their index here.
    pub fn maps(&self) -> &[Map<'a>] {
        &self.maps
    }

    /// Its programs.
    pub fn programs(&self) -> &[Entry<'a>] {
        &self.programs
    }

    /// The text of the `license` section, if there is one.
    pub fn license(&self) -> Option<&'a str> {
        self.elf.section("license").and_then(|s| s.data.text(0).ok())
    }

    /// The bytes of a section that is not part of any program, such as a proof.
    pub fn section_bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.elf.section(name).map(|s| s.data.bytes)
    }

    /// A variable by name.
    pub fn global(&self, name: &str) -> Option<Global> {
        let symbol = self.elf.symbols().find(|s| s.section != 0 && self.elf.is_named(s, name))?;
        let map = self.maps.iter().position(|m| m.offset.is_none() && m.section == symbol.section)?;
        let offset = usize::try_from(symbol.value).ok()?;
        let size = usize::try_from(symbol.size).ok()?;
        let end = offset.checked_add(size)?;
        (end <= self.maps[map].def.value_size as usize).then_some(Global { map, offset, size })
    }

    /// The source line of an instruction of a program.
    pub fn line(&self, program: &Program, insn: usize) -> Option<Line<'a>> {
        let piece = program.pieces.iter().find(|p| insn >= p.start && insn < p.start + p.len)?;
        let offset = piece.offset.checked_add((insn - piece.start) as u64 * 8)?;
        line_at(&self.elf, self.elf.sections.get(piece.section as usize)?, offset)
    }

    /// The name of the function that holds an instruction of a program.
    pub fn function(&self, program: &Program, insn: usize) -> Option<&'a str> {
        let piece = program.pieces.iter().find(|p| insn >= p.start && insn < p.start + p.len)?;
        let found = self
            .elf
            .symbols()
            .find(|s| s.kind == STT_FUNC && s.section == piece.section && s.value == piece.offset);
        found.and_then(|s| self.elf.name(&s).ok())
    }
}

/// The source line of the instruction at byte `offset` of a code section. It needs only the strings of the BTF, so a kind of
/// type that nobody knows costs nothing here.
fn line_at<'a>(elf: &Elf<'a>, section: &Section<'a>, offset: u64) -> Option<Line<'a>> {
    let strings = Strings::of(elf.section(".BTF")?.data).ok()?;
    let ext = elf.section(".BTF.ext")?.data;
    btf::line(ext, strings, section.text().ok()?, u32::try_from(offset).ok()?)
}
