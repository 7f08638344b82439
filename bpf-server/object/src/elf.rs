//! The ELF container: header, sections, symbols.

use crate::Error;
use crate::reader::Part;
use alloc::format;
use alloc::vec::Vec;

pub(crate) const SHT_SYMTAB: u32 = 2;
pub(crate) const SHT_NOBITS: u32 = 8;
pub(crate) const SHT_REL: u32 = 9;
pub(crate) const SHF_EXECINSTR: u64 = 4;
pub(crate) const STT_FUNC: u8 = 2;
const EM_BPF: u16 = 247;

#[derive(Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) data: Part<'a>,
    /// Size in memory; differs from the data's only for NOBITS.
    pub(crate) size: u64,
    pub(crate) link: u32,
    pub(crate) info: u32,
}

impl Section<'_> {
    pub(crate) fn is_code(&self) -> bool {
        self.flags & SHF_EXECINSTR != 0 && self.size > 0
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u8,
    pub(crate) global: bool,
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
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Elf<'a>, Error> {
        let file = Part::new(bytes);
        let ident = file.slice(0, 64, "the ELF header")?;
        if ident.bytes[..4] != *b"\x7fELF" {
            return Err(Error::new(
                0,
                "this is not an ELF object: it does not start with 7f 45 4c 46".into(),
            ));
        }
        if ident.bytes[4] != 2 || ident.bytes[5] != 1 {
            return Err(Error::new(
                4,
                "the object is not 64-bit little-endian: compile with clang -target bpf (or bpfel)".into(),
            ));
        }
        let machine = file.u16(18)?;
        if machine != EM_BPF {
            return Err(Error::new(
                18,
                format!(
                    "the object is for ELF machine {machine}, not for BPF (247): compile with clang -target bpf"
                ),
            ));
        }
        let table_at = usize::try_from(file.u64(0x28)?).unwrap_or(usize::MAX);
        let entry_size = file.u16(0x3a)? as usize;
        let count = file.u16(0x3c)? as usize;
        let names_index = file.u16(0x3e)? as usize;
        if entry_size != 64 {
            return Err(Error::new(0x3a, format!("section headers of {entry_size} bytes, not 64")));
        }
        let table = file.slice(table_at, count * 64, "the section header table")?;
        if names_index >= count {
            return Err(Error::new(
                0x3e,
                format!(
                    "section {names_index} should hold the section names, but there are {count} sections"
                ),
            ));
        }
        let contents = |index: usize| -> Result<(Part<'a>, u64), Error> {
            let h = table.slice(index * 64, 64, "a section header")?;
            let (kind, offset, size) = (h.u32(4)?, h.u64(24)?, h.u64(32)?);
            if kind == SHT_NOBITS || kind == 0 {
                return Ok((file.slice(0, 0, "nothing")?, size));
            }
            let to = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
            Ok((file.slice(to(offset), to(size), "a section")?, size))
        };
        let names = contents(names_index)?.0;
        let mut sections = Vec::with_capacity(count);
        for index in 0..count {
            let h = table.slice(index * 64, 64, "a section header")?;
            let (data, size) = contents(index)?;
            let name = if index == 0 { "" } else { names.text(h.u32(0)? as usize)? };
            sections.push(Section {
                name,
                kind: h.u32(4)?,
                flags: h.u64(8)?,
                data,
                size,
                link: h.u32(40)?,
                info: h.u32(44)?,
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
        self.sections.iter().find(|s| s.name == name)
    }

    pub(crate) fn symbol_count(&self) -> usize {
        self.symbols.map_or(0, |t| t.len() / 24)
    }

    pub(crate) fn symbol(&self, index: usize) -> Result<Symbol<'a>, Error> {
        let Some(table) = self.symbols else {
            return Err(Error::new(0, "the object has no symbol table".into()));
        };
        let at = index.saturating_mul(24);
        let s = table.slice(at, 24, "a symbol")?;
        let info = s.u8(4)?;
        Ok(Symbol {
            name: self.strings.text(s.u32(0)? as usize)?,
            kind: info & 15,
            global: info >> 4 != 0,
            section: s.u16(6)?,
            value: s.u64(8)?,
            size: s.u64(16)?,
        })
    }

    /// All symbols that can be read; damaged ones end the walk.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = Symbol<'a>> + '_ {
        (0..self.symbol_count()).map_while(|i| self.symbol(i).ok())
    }
}
