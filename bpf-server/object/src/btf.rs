//! BTF: the types behind `.maps`, and the line information of `.BTF.ext`.

use crate::reader::{Part, push, room};
use crate::{Line, ObjectError, short};
use alloc::format;
use alloc::vec::Vec;
use axiom_bpf_isa::{MapDef, MapType};

const MAGIC: u16 = 0xeb9f;
const KIND_INT: u32 = 1;
const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FWD: u32 = 7;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_VAR: u32 = 14;
const KIND_DATASEC: u32 = 15;
const KIND_FLOAT: u32 = 16;
const KIND_DECL_TAG: u32 = 17;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

pub(crate) struct Btf<'a> {
    types: Part<'a>,
    strings: Part<'a>,
    /// Offset of each type, from type 1.
    offsets: Vec<u32>,
    /// The types that list a section's variables.
    sections: Vec<u32>,
    /// The first type of a kind that is not known here, and the kind: if its length could not be told from what follows, no
    /// type behind it can be read.
    unknown: Option<(u32, u32)>,
}

/// Only the names and lines of a BTF section.
#[derive(Clone, Copy)]
pub(crate) struct Strings<'a>(Part<'a>);

impl<'a> Strings<'a> {
    pub(crate) fn of(section: Part<'a>) -> Result<Strings<'a>, ObjectError> {
        header(section).map(|(_, strings)| Strings(strings))
    }

    fn get(self, offset: u32) -> Option<&'a str> {
        self.0.text(offset as usize).ok()
    }
}

#[derive(Clone, Copy)]
struct Type<'a> {
    name: u32,
    kind: u32,
    count: usize,
    /// Size or type, by kind.
    size_or_type: u32,
    extra: Part<'a>,
}

impl<'a> Btf<'a> {
    pub(crate) fn parse(section: Part<'a>) -> Result<Btf<'a>, ObjectError> {
        let (types, strings) = header(section)?;
        let mut btf = Btf { types, strings, offsets: Vec::new(), sections: Vec::new(), unknown: None };
        // No type takes fewer than 12 bytes; most take 12 to 28.
        room(&mut btf.offsets, types.len() / 16)?;
        let mut at = 0;
        while at < types.len() {
            push(&mut btf.offsets, at as u32)?;
            let info = types.u32(at + 4)?;
            let (kind, count) = (info >> 24 & 31, (info & 0xffff) as usize);
            if kind == KIND_DATASEC {
                push(&mut btf.sections, btf.offsets.len() as u32)?;
            }
            let Some(length) = length(kind, count) else {
                btf.unknown.get_or_insert((btf.offsets.len() as u32, kind));
                match skip(types, strings, at, count) {
                    Some(length) => {
                        at += length;
                        continue;
                    }
                    None => break,
                }
            };
            at += length;
        }
        Ok(btf)
    }

    fn get(&self, id: u32) -> Result<Type<'a>, ObjectError> {
        let offset = (id as usize).checked_sub(1).and_then(|i| self.offsets.get(i));
        let Some(&offset) = offset else {
            let text = match self.unknown {
                Some((first, kind)) if id > first => format!(
                    "BTF type {id} cannot be read: type {first} before it is of kind {kind}, which is not known here"
                ),
                _ => format!("BTF type {id} does not exist"),
            };
            return Err(ObjectError::new(self.types.at, text));
        };
        let at = offset as usize;
        let head = self.types.record::<12>(at, "a BTF type")?;
        let info = head.u32(4);
        let rest = self.types.len().saturating_sub(at + 12);
        Ok(Type {
            name: head.u32(0),
            kind: info >> 24 & 31,
            count: (info & 0xffff) as usize,
            size_or_type: head.u32(8),
            extra: self.types.slice(at + 12, rest, "a BTF type")?,
        })
    }

    /// The type behind typedefs and qualifiers.
    fn plain(&self, mut id: u32) -> Result<Type<'a>, ObjectError> {
        for _ in 0..32 {
            let t = self.get(id)?;
            match t.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = t.size_or_type
                }
                _ => return Ok(t),
            }
        }
        Err(ObjectError::new(self.types.at, format!("BTF type {id}: typedefs nest deeper than 32")))
    }

    fn size_of(&self, id: u32) -> Result<u32, ObjectError> {
        let mut factor = 1u64;
        let mut id = id;
        for _ in 0..16 {
            let t = self.plain(id)?;
            let size = match t.kind {
                KIND_INT | KIND_STRUCT | KIND_UNION | KIND_ENUM | KIND_ENUM64 | KIND_FLOAT => {
                    t.size_or_type as u64
                }
                KIND_PTR => 8,
                KIND_ARRAY => {
                    factor = factor.saturating_mul(t.extra.u32(8)? as u64);
                    id = t.extra.u32(0)?;
                    continue;
                }
                kind => {
                    return Err(ObjectError::new(
                        self.types.at,
                        format!("BTF type {id} (kind {kind}) has no size"),
                    ));
                }
            };
            return u32::try_from(factor.saturating_mul(size))
                .map_err(|_| ObjectError::new(self.types.at, format!("BTF type {id} is larger than 4 GiB")));
        }
        Err(ObjectError::new(self.types.at, "BTF arrays nest deeper than 16".into()))
    }

    /// `int (*name)[N]` is how `__uint` writes a number.
    fn number(&self, id: u32) -> Result<u32, ObjectError> {
        let pointer = self.plain(id)?;
        if pointer.kind == KIND_PTR {
            let array = self.plain(pointer.size_or_type)?;
            if array.kind == KIND_ARRAY {
                return array.extra.u32(8);
            }
        }
        Err(ObjectError::new(self.types.at, "a map attribute is not written with __uint".into()))
    }

    /// `type *name` is how `__type` writes a type.
    fn pointee_size(&self, id: u32) -> Result<u32, ObjectError> {
        let pointer = self.plain(id)?;
        if pointer.kind == KIND_PTR {
            return self.size_of(pointer.size_or_type);
        }
        Err(ObjectError::new(self.types.at, "a map attribute is not written with __type".into()))
    }

    /// The shape of the map that the variable `name` in `.maps` declares.
    pub(crate) fn map(&self, name: &str) -> Result<MapDef, ObjectError> {
        let mut declared = None;
        'types: for &id in &self.sections {
            let t = self.get(id)?;
            if !self.strings.name(t.name as usize)?.is(".maps") {
                continue;
            }
            for i in 0..t.count {
                let var = self.get(t.extra.u32(i * 12)?)?;
                if var.kind == KIND_VAR && self.strings.name(var.name as usize)?.is(name) {
                    declared = Some(var.size_or_type);
                    break 'types;
                }
            }
        }
        let name = short(name);
        let Some(id) = declared else {
            let text = match self.unknown {
                Some((id, kind)) => format!(
                    "map '{name}' has no BTF type that can be read: type {id} is of kind {kind}, which is not known here"
                ),
                None => {
                    format!("map '{name}' has no BTF type: compile with -g and declare it in libbpf's style")
                }
            };
            return Err(ObjectError::new(self.types.at, text));
        };
        let t = self.plain(id)?;
        if t.kind != KIND_STRUCT {
            return Err(ObjectError::new(self.types.at, format!("map '{name}' is not declared as a struct")));
        }
        let mut kind = None;
        let mut def = MapDef {
            map_type: MapType::Array,
            key_size: 0,
            value_size: 0,
            max_entries: 0,
            flags: 0,
            read_only: false,
        };
        for i in 0..t.count {
            let member = t.extra.slice(i * 12, 12, "a BTF member")?;
            let ty = member.u32(4)?;
            let attribute = self.strings.name(member.u32(0)? as usize)?;
            let is = |name| attribute.is(name);
            if is("type") {
                kind = Some(self.number(ty)?);
            } else if is("max_entries") {
                def.max_entries = self.number(ty)?;
            } else if is("map_flags") {
                def.flags = self.number(ty)?;
            } else if is("key_size") {
                def.key_size = self.number(ty)?;
            } else if is("value_size") {
                def.value_size = self.number(ty)?;
            } else if is("key") {
                def.key_size = self.pointee_size(ty)?;
            } else if is("value") {
                def.value_size = self.pointee_size(ty)?;
            } else if !["pinning", "numa_node", "map_extra"].into_iter().any(is) {
                let other = short(attribute.text(self.types.at)?);
                let text = format!("map '{name}': attribute '{other}' is not supported");
                return Err(ObjectError::new(self.types.at, text));
            }
        }
        let number = kind
            .ok_or_else(|| ObjectError::new(self.types.at, format!("map '{name}' does not say its type")))?;
        def.map_type = MapType::from_number(number).ok_or_else(|| {
            ObjectError::new(
                self.types.at,
                format!("map '{name}': map type {number} is not supported ({})", MapType::LIST),
            )
        })?;
        Ok(def)
    }
}

/// Bytes of a type of this kind with so many members; `None` if the kind is not known.
fn length(kind: u32, count: usize) -> Option<usize> {
    Some(
        12 + match kind {
            KIND_INT | KIND_VAR | KIND_DECL_TAG => 4,
            KIND_ARRAY => 12,
            KIND_STRUCT | KIND_UNION | KIND_DATASEC | KIND_ENUM64 => count * 12,
            KIND_ENUM | KIND_FUNC_PROTO => count * 8,
            KIND_PTR | KIND_FWD..=KIND_RESTRICT | KIND_FUNC | KIND_FLOAT | KIND_TYPE_TAG => 0,
            _ => return None,
        },
    )
}

/// The length of a type of an unknown kind, if the types behind it say it: the shortest of the lengths that kinds have had so
/// far with which everything to the end of the section reads as types with names.
#[cold]
fn skip(types: Part, strings: Part, at: usize, count: usize) -> Option<usize> {
    let mut lengths = [0, 4, 8, 12, 16, count * 4, count * 8, count * 12, count * 16].map(|extra| 12 + extra);
    lengths.sort_unstable();
    lengths.into_iter().find(|length| reads_to_the_end(types, strings, at + length))
}

fn reads_to_the_end(types: Part, strings: Part, mut at: usize) -> bool {
    while at < types.len() {
        let (Ok(name), Ok(info)) = (types.u32(at), types.u32(at + 4)) else { return false };
        // Bits 16 to 23 and 29 to 30 mean nothing in any kind so far.
        if info & 0x60ff_0000 != 0 || name as usize >= strings.len() {
            return false;
        }
        match length(info >> 24 & 31, (info & 0xffff) as usize) {
            Some(length) => at += length,
            None => return false,
        }
    }
    at == types.len()
}

/// Checks a BTF header; returns the type and string parts.
fn header(section: Part) -> Result<(Part, Part), ObjectError> {
    if section.u16(0)? != MAGIC {
        return Err(ObjectError::new(
            section.at,
            "the .BTF section does not start with its magic number eb9f".into(),
        ));
    }
    let length = section.u32(4)? as usize;
    let body = section.slice(length, section.len().saturating_sub(length), "the BTF header")?;
    let types = body.slice(section.u32(8)? as usize, section.u32(12)? as usize, "BTF types")?;
    let strings = body.slice(section.u32(16)? as usize, section.u32(20)? as usize, "BTF strings")?;
    Ok((types, strings))
}

/// The source line of the instruction at byte `offset` of `section`.
pub(crate) fn line<'a>(ext: Part<'a>, strings: Strings<'a>, section: &str, offset: u32) -> Option<Line<'a>> {
    if ext.u16(0).ok()? != MAGIC {
        return None;
    }
    let header = ext.u32(4).ok()? as usize;
    let (start, len) = (ext.u32(16).ok()? as usize, ext.u32(20).ok()? as usize);
    let info = ext.slice(header.checked_add(start)?, len, "line information").ok()?;
    let record = info.u32(0).ok()? as usize;
    if record < 16 {
        return None;
    }
    let mut at = 4;
    while at + 8 <= info.len() {
        let name = strings.get(info.u32(at).ok()?)?;
        let count = info.u32(at + 4).ok()? as usize;
        at += 8;
        let block = info.slice(at, count.checked_mul(record)?, "line information").ok()?;
        if name == section {
            let mut best = None;
            for i in 0..count {
                let r = block.slice(i * record, 16, "a line").ok()?;
                if r.u32(0).ok()? > offset {
                    break;
                }
                best = Some(r);
            }
            let r = best?;
            let position = r.u32(12).ok()?;
            return Some(Line {
                file: strings.get(r.u32(4).ok()?)?,
                line: position >> 10,
                column: position & 0x3ff,
                text: strings.get(r.u32(8).ok()?).unwrap_or("").trim(),
            });
        }
        at += count * record;
    }
    None
}
