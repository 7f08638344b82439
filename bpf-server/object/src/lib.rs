//! Reads BPF objects as clang makes them (`-target bpf -mcpu=v4 -g`): programs by section name, maps by BTF, source lines.
//!
//! The object comes from whoever may load programs, so nothing in it is believed: all reading is bounds-checked, all
//! walks are bounded by the object's size, and every refusal is a sentence with the byte offset that caused it.
//!
//! What a program becomes here: the function's instructions, then every function that it reaches by local calls, with
//! calls made relative; wide loads that named a map symbol carry [`pseudo::MAP`] and the map's index in `imm`, those that
//! named data carry [`pseudo::MAP_VALUE`], the index, and the offset in the second slot. `.rodata`, `.data` and `.bss`
//! become arrays of one value, as libbpf does it.
#![no_std]
extern crate alloc;

mod btf;
mod elf;
mod reader;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, MapDef, MapType, opcode, pseudo};
use btf::Btf;
use core::fmt;
use elf::{Elf, SHT_NOBITS, SHT_REL, STT_FUNC, Section};
use reader::Name;

/// Most instructions that a program may have, its functions included.
pub const MAX_INSNS: usize = 1 << 16;
/// Most functions that a program may reach.
pub const MAX_FUNCTIONS: usize = 64;
/// Most maps in an object.
pub const MAX_MAPS: usize = 32;

const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;

/// Why an object was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Error {
    /// Byte offset in the object.
    pub at: usize,
    /// A sentence.
    pub text: String,
}

impl Error {
    #[cold]
    pub(crate) fn new(at: usize, text: String) -> Error {
        Error { at, text }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {} of the object)", self.text, self.at)
    }
}

impl core::error::Error for Error {}

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
    pub fn parse(bytes: &'a [u8]) -> Result<Object<'a>, Error> {
        let elf = Elf::parse(bytes)?;
        let maps = maps(&elf)?;
        let mut programs = Vec::new();
        for symbol in elf.symbols() {
            if symbol.kind != STT_FUNC || !symbol.global {
                continue;
            }
            let Some(section) = elf.sections.get(symbol.section as usize) else { continue };
            if !section.is_code() || section.name.is(".text") {
                continue;
            }
            programs.push(Entry {
                name: elf.name(&symbol)?,
                section: section.text()?,
                section_index: symbol.section,
                offset: symbol.value,
                size: symbol.size,
            });
        }
        if programs.is_empty() {
            return Err(Error::new(
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

    /// A variable by name.
    pub fn global(&self, name: &str) -> Option<Global> {
        let symbol = self.elf.symbols().find(|s| s.section != 0 && self.elf.is_named(s, name))?;
        let map = self.maps.iter().position(|m| m.offset.is_none() && m.section == symbol.section)?;
        let offset = usize::try_from(symbol.value).ok()?;
        let size = usize::try_from(symbol.size).ok()?;
        let end = offset.checked_add(size)?;
        (end <= self.maps[map].def.value_size as usize).then_some(Global { map, offset, size })
    }

    /// Reads a program with everything that it calls, relocated.
    pub fn program(&self, entry: &Entry) -> Result<Program, Error> {
        let mut program = Program { insns: Vec::new(), pieces: Vec::new() };
        self.append(&mut program, entry.section_index, entry.offset, entry.size)?;
        let mut done = 0;
        while done < program.pieces.len() {
            let piece = program.pieces[done];
            self.relocate(&mut program, piece)?;
            self.link_calls(&mut program, piece)?;
            done += 1;
        }
        Ok(program)
    }

    /// The source line of an instruction of a program.
    pub fn line(&self, program: &Program, insn: usize) -> Option<Line<'a>> {
        let piece = program.pieces.iter().find(|p| insn >= p.start && insn < p.start + p.len)?;
        let btf = Btf::parse(self.elf.section(".BTF")?.data).ok()?;
        let ext = self.elf.section(".BTF.ext")?.data;
        let section = self.elf.sections.get(piece.section as usize)?;
        let offset = piece.offset.checked_add((insn - piece.start) as u64 * 8)?;
        btf::line(ext, &btf, section.text().ok()?, u32::try_from(offset).ok()?)
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

    fn append(&self, program: &mut Program, section: u16, offset: u64, size: u64) -> Result<usize, Error> {
        let code = self.section(section)?;
        // A function written in assembly may have no size: it ends with its section.
        let size = if size == 0 { code.size.saturating_sub(offset) } else { size };
        let to = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
        let bytes = code.data.slice(to(offset), to(size), "a function")?;
        if !offset.is_multiple_of(8) || !size.is_multiple_of(8) || size == 0 {
            return Err(Error::new(bytes.at, "a function is not made of whole 8-byte instructions".into()));
        }
        let start = program.insns.len();
        if start + bytes.len() / 8 > MAX_INSNS {
            return Err(Error::new(bytes.at, format!("the program has more than {MAX_INSNS} instructions")));
        }
        if program.pieces.len() == MAX_FUNCTIONS {
            return Err(Error::new(
                bytes.at,
                format!("the program reaches more than {MAX_FUNCTIONS} functions"),
            ));
        }
        program.insns.reserve_exact(bytes.len() / 8);
        axiom_bpf_isa::insn::decode_into(bytes.bytes, &mut program.insns);
        program.pieces.push(Piece { start, len: bytes.len() / 8, section, offset });
        Ok(start)
    }

    fn section(&self, index: u16) -> Result<&Section<'a>, Error> {
        self.elf
            .sections
            .get(index as usize)
            .ok_or_else(|| Error::new(0, format!("section {index} does not exist")))
    }

    /// Applies the relocations of one piece.
    fn relocate(&self, program: &mut Program, piece: Piece) -> Result<(), Error> {
        let tables = self.elf.sections.iter().filter(|s| s.kind == SHT_REL && s.info == piece.section as u32);
        for table in tables {
            for r in 0..table.data.len() / 16 {
                let record = table.data.slice(r * 16, 16, "a relocation")?;
                let (offset, info) = (record.u64(0)?, record.u64(8)?);
                let within = offset.wrapping_sub(piece.offset);
                if within >= piece.len as u64 * 8 {
                    continue;
                }
                if within % 8 != 0 {
                    return Err(Error::new(
                        record.at,
                        format!("a relocation points into an instruction ({offset:#x})"),
                    ));
                }
                let at = piece.start + (within / 8) as usize;
                let (kind, symbol) = (info as u32, (info >> 32) as usize);
                self.relocate_one(program, piece, at, kind, symbol, record.at)?;
            }
        }
        Ok(())
    }

    fn relocate_one(
        &self,
        program: &mut Program,
        piece: Piece,
        at: usize,
        kind: u32,
        symbol: usize,
        where_: usize,
    ) -> Result<(), Error> {
        let symbol = self.elf.symbol(symbol)?;
        let insn = program.insns[at];
        if symbol.section == 0 {
            return Err(Error::new(
                where_,
                format!(
                    "symbol '{}' is not defined in the object: externs are not available here",
                    self.elf.name(&symbol)?
                ),
            ));
        }
        match (kind, insn.op) {
            (R_BPF_64_32, opcode::CALL) => {
                // The call's field holds the target in slots from the symbol, minus one. Make it a distance inside the
                // section of the target, for `link_calls`.
                let slot = (symbol.value / 8) as i64 + insn.imm as i64 + 1;
                let index = self.function_at(program, symbol.section, slot, where_)?;
                program.insns[at].imm = (index as i64 - at as i64 - 1) as i32;
                program.insns[at].off = 1; // linked; cleared by `link_calls`
                Ok(())
            }
            (R_BPF_64_64, opcode::LDDW) if at + 1 < piece.start + piece.len => {
                let declared = self
                    .maps
                    .iter()
                    .position(|m| m.section == symbol.section && m.offset == Some(symbol.value));
                if let Some(map) = declared {
                    program.insns[at] = Insn::new(opcode::LDDW, insn.dst(), pseudo::MAP, 0, map as i32);
                    program.insns[at + 1].imm = 0;
                    return Ok(());
                }
                let data = self.maps.iter().position(|m| m.section == symbol.section && m.offset.is_none());
                if let Some(map) = data {
                    let offset = symbol.value as i64 + insn.imm as i64;
                    if offset < 0 || offset > self.maps[map].def.value_size as i64 {
                        return Err(Error::new(
                            where_,
                            format!(
                                "a reference to '{}' lies outside {}",
                                self.elf.name(&symbol)?,
                                self.maps[map].name
                            ),
                        ));
                    }
                    program.insns[at] = Insn::new(opcode::LDDW, insn.dst(), pseudo::MAP_VALUE, 0, map as i32);
                    program.insns[at + 1].imm = offset as i32;
                    return Ok(());
                }
                Err(Error::new(
                    where_,
                    format!(
                        "an instruction takes the address of '{}', which is neither map nor data",
                        self.elf.name(&symbol)?
                    ),
                ))
            }
            _ => Err(Error::new(
                where_,
                format!("relocation type {kind} does not fit instruction {:#04x}", insn.op),
            )),
        }
    }

    /// Turns calls inside a section, which need no relocation, into calls of the linked program.
    fn link_calls(&self, program: &mut Program, piece: Piece) -> Result<(), Error> {
        let mut at = piece.start;
        while at < piece.start + piece.len {
            let insn = program.insns[at];
            if insn.op == opcode::LDDW {
                at += 2;
                continue;
            }
            if insn.op == opcode::CALL && insn.src() == pseudo::LOCAL_CALL {
                if insn.off == 1 {
                    program.insns[at].off = 0;
                } else {
                    let slot = (piece.offset / 8) as i64 + (at - piece.start) as i64 + 1 + insn.imm as i64;
                    let where_ = self.section(piece.section)?.data.at + piece.offset as usize;
                    let index = self.function_at(program, piece.section, slot, where_)?;
                    program.insns[at].imm = (index as i64 - at as i64 - 1) as i32;
                }
            }
            at += 1;
        }
        Ok(())
    }

    /// Where the function at `slot` of a section lies in the program; appends it if it is new.
    fn function_at(
        &self,
        program: &mut Program,
        section: u16,
        slot: i64,
        where_: usize,
    ) -> Result<usize, Error> {
        let offset = u64::try_from(slot).ok().and_then(|s| s.checked_mul(8));
        let Some(offset) = offset else {
            return Err(Error::new(where_, "a call leads before the start of its section".into()));
        };
        if let Some(piece) = program.pieces.iter().find(|p| p.section == section && p.offset == offset) {
            return Ok(piece.start);
        }
        let symbol =
            self.elf.symbols().find(|s| s.kind == STT_FUNC && s.section == section && s.value == offset);
        match symbol {
            Some(s) => self.append(program, section, offset, s.size),
            None => Err(Error::new(
                where_,
                format!("a call leads to byte {offset:#x} of its section, where no function starts"),
            )),
        }
    }
}

fn maps<'a>(elf: &Elf<'a>) -> Result<Vec<Map<'a>>, Error> {
    let mut maps = Vec::new();
    let mut push = |map: Map<'a>, at: usize| {
        if maps.len() == MAX_MAPS {
            return Err(Error::new(at, format!("the object has more than {MAX_MAPS} maps")));
        }
        maps.push(map);
        Ok(())
    };
    for (index, section) in elf.sections.iter().enumerate() {
        if section.size == 0 || section.is_code() {
            continue;
        }
        let index = index as u16;
        let at = section.data.at;
        if section.name.is(".maps") {
            let Some(types) = elf.section(".BTF") else {
                return Err(Error::new(
                    at,
                    "the object declares maps but has no BTF: compile with -g".into(),
                ));
            };
            let btf = Btf::parse(types.data)?;
            for s in elf.symbols().filter(|s| s.section == index && s.kind != 3) {
                let name = elf.name(&s)?;
                let def = btf.map(name)?;
                push(Map { name, def, contents: Contents::Zero, section: index, offset: Some(s.value) }, at)?;
            }
        } else if section.name.is("maps") {
            return Err(Error::new(
                at,
                "maps in a section 'maps' are of the old kind: declare them with SEC(\".maps\") and __uint/__type".into(),
            ));
        } else if is_data(section.name) {
            let name = section.text()?;
            let value_size = u32::try_from(section.size)
                .ok()
                .filter(|&s| s <= 1 << 20)
                .ok_or_else(|| Error::new(at, format!("{name} is larger than 1 MiB")))?;
            let contents =
                if section.kind == SHT_NOBITS { Contents::Zero } else { Contents::Data(section.data.bytes) };
            let def = MapDef {
                map_type: MapType::Array,
                key_size: 4,
                value_size,
                max_entries: 1,
                flags: 0,
                read_only: name.starts_with(".rodata"),
            };
            push(Map { name, def, contents, section: index, offset: None }, at)?;
        }
    }
    Ok(maps)
}

fn is_data(name: Name) -> bool {
    [".rodata", ".data", ".bss"]
        .iter()
        .any(|p| name.0.strip_prefix(p.as_bytes()).is_some_and(|r| matches!(r.first(), None | Some(b'.'))))
}
