//! The ELF container: header, sections, symbols.

use crate::ObjectError;
use crate::reader::{Name, Part, Record, room};
use alloc::format;
use alloc::vec::Vec;

pub(crate) const SHT_SYMTAB: u32 = 2;
pub(crate) const SHT_RELA: u32 = 4;
pub(crate) const SHT_NOBITS: u32 = 8;
pub(crate) const SHT_REL: u32 = 9;
pub(crate) const SHF_ALLOC: u64 = 2;
pub(crate) const SHF_EXECINSTR: u64 = 4;
pub(crate) const STT_SECTION: u8 = 3;
pub(crate) const STT_FILE: u8 = 4;
pub(crate) const STT_FUNC: u8 = 2;
const EM_BPF: u16 = 247;
/// Bytes of a symbol.
const SYMBOL: usize = 24;

#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) name: Name<'a>,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) data: Part<'a>,
    /// Size in memory; differs from the data's only for NOBITS.
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
    /// For code: the section with its relocations, or 0. Set by [`crate::link::check_tables`].
    pub(crate) relocations: u16,
}

impl<'a> Section<'a> {
    /// Its name as text.
    pub(crate) fn text(&self) -> Result<&'a str, ObjectError> {
        self.name.text(self.data.at)
    }

    pub(crate) fn is_code(&self) -> bool {
        self.flags & SHF_EXECINSTR != 0 && self.size > 0
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Symbol {
    /// Offset of its name: see [`Elf::name`].
    pub(crate) name: u32,
    pub(crate) kind: u8,
    pub(crate) section: u16,
    pub(crate) value: u64,
    pub(crate) size: u64,
}

pub(crate) struct Elf<'a> {
    pub(crate) sections: Vec<Section<'a>>,
    symbols: Option<Part<'a>>,
    strings: Part<'a>,
}

impl<'a> Elf<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, ObjectError> {
        let file = Part::new(bytes);
        let head = file.record::<64>(0, "the ELF header")?;
        if head.0[..4] != *b"\x7fELF" {
            return Err(ObjectError::new(
                0,
                "this is not an ELF object: it does not start with 7f 45 4c 46".into(),
            ));
        }
        if head.u8(4) != 2 || head.u8(5) != 1 {
            return Err(ObjectError::new(
                4,
                "the object is not 64-bit little-endian: compile with clang -target bpf (or bpfel)".into(),
            ));
        }
        let machine = head.u16(18);
        if machine != EM_BPF {
            return Err(ObjectError::new(
                18,
                format!(
                    "the object is for ELF machine {machine}, not for BPF (247): compile with clang -target bpf"
                ),
            ));
        }
        let table_at = usize::try_from(head.u64(0x28)).unwrap_or(usize::MAX);
        let entry_size = head.u16(0x3a) as usize;
        let count = head.u16(0x3c) as usize;
        let names_index = head.u16(0x3e) as usize;
        if entry_size != 64 {
            return Err(ObjectError::new(0x3a, format!("section headers of {entry_size} bytes, not 64")));
        }
        let table = file.slice(table_at, count * 64, "the section header table")?;
        if names_index >= count {
            return Err(ObjectError::new(
                0x3e,
                format!(
                    "section {names_index} should hold the section names, but there are {count} sections"
                ),
            ));
        }
        let to = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
        let contents = |h: &Record<64>| -> Result<Part<'a>, ObjectError> {
            match h.u32(4) {
                SHT_NOBITS | 0 => file.slice(0, 0, "nothing"),
                _ => file.slice(to(h.u64(24)), to(h.u64(32)), "a section"),
            }
        };
        let names = contents(&table.record(names_index * 64, "a section header")?)?;
        let mut sections = Vec::new();
        room(&mut sections, count)?;
        for index in 0..count {
            let h = table.record(index * 64, "a section header")?;
            sections.push(Section {
                name: if index == 0 { Name::NONE } else { names.name(h.u32(0) as usize)? },
                kind: h.u32(4),
                flags: h.u64(8),
                data: contents(&h)?,
                size: h.u64(32),
                link: h.u32(40),
                info: h.u32(44),
                relocations: 0,
            });
        }
        let mut symbols = None;
        let mut strings = names;
        if let Some(table) = sections.iter().find(|s| s.kind == SHT_SYMTAB) {
            symbols = Some(table.data);
            if let Some(linked) = sections.get(table.link as usize) {
                strings = linked.data;
            }
        }
        Ok(Elf { sections, symbols, strings })
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section<'a>> {
        self.sections.iter().find(|s| s.name.is(name))
    }

    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.map_or(0, |t| t.len() / SYMBOL)
    }

    pub(crate) fn symbol(&self, index: usize) -> Result<Symbol, ObjectError> {
        let Some(table) = self.symbols else {
            return Err(ObjectError::new(0, "the object has no symbol table".into()));
        };
        let s = table.record::<SYMBOL>(index.saturating_mul(SYMBOL), "a symbol")?;
        let info = s.u8(4);
        Ok(Symbol { name: s.u32(0), kind: info & 15, section: s.u16(6), value: s.u64(8), size: s.u64(16) })
    }

    /// Whether a symbol is a function that other files see; nothing else of it is read.
    #[inline]
    pub(crate) fn is_global_function(&self, index: usize) -> bool {
        let info = self.symbols.and_then(|t| t.bytes.get(index.saturating_mul(SYMBOL) + 4));
        info.is_some_and(|i| i & 15 == STT_FUNC && i >> 4 != 0)
    }

    /// A symbol's name.
    pub(crate) fn name(&self, symbol: &Symbol) -> Result<&'a str, ObjectError> {
        self.strings.text(symbol.name as usize)
    }

    /// Whether a symbol has this name.
    pub(crate) fn is_named(&self, symbol: &Symbol, name: &str) -> bool {
        let rest = self.strings.bytes.get(symbol.name as usize..).unwrap_or(&[]);
        rest.strip_prefix(name.as_bytes()).is_some_and(|r| r.first() == Some(&0))
    }

    /// All symbols that can be read; damaged ones end the walk.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol> + '_ {
        (0..self.symbol_count()).map_while(|i| self.symbol(i).ok())
    }
}
