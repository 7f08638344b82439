//! The maps of an object: those that `.maps` declares by BTF, and a map of one value for every data section.

use crate::btf::Btf;
use crate::elf::{Elf, SHT_NOBITS, STT_FILE, STT_SECTION, Section};
use crate::reader::{Name, push};
use crate::{Contents, MAX_DATA, MAX_MAPS, Map, ObjectError};
use alloc::format;
use alloc::vec::Vec;
use axiom_bpf_isa::{MapDef, MapType};

pub(crate) fn maps<'a>(elf: &Elf<'a>) -> Result<Vec<Map<'a>>, ObjectError> {
    let mut maps = Vec::new();
    let mut declared = false;
    for (index, section) in elf.sections.iter().enumerate() {
        if section.size == 0 || section.is_code() {
            continue;
        }
        let index = index as u16;
        let at = section.data.at;
        if section.name.is(".maps") {
            if core::mem::replace(&mut declared, true) {
                return Err(ObjectError::new(at, "the object has two sections named '.maps'".into()));
            }
            declared_maps(elf, index, at, &mut maps)?;
        } else if section.name.is("maps") {
            return Err(ObjectError::new(
                at,
                "maps in a section 'maps' are of the old kind: declare them with SEC(\".maps\") and __uint/__type".into(),
            ));
        } else if is_data(section.name) {
            add(&mut maps, data_map(section, index)?, at)?;
        }
    }
    Ok(maps)
}

fn add<'a>(maps: &mut Vec<Map<'a>>, map: Map<'a>, at: usize) -> Result<(), ObjectError> {
    if maps.len() == MAX_MAPS {
        return Err(ObjectError::new(at, format!("the object has more than {MAX_MAPS} maps")));
    }
    push(maps, map)
}

fn declared_maps<'a>(
    elf: &Elf<'a>,
    index: u16,
    at: usize,
    maps: &mut Vec<Map<'a>>,
) -> Result<(), ObjectError> {
    let Some(types) = elf.section(".BTF") else {
        return Err(ObjectError::new(at, "the object declares maps but has no BTF: compile with -g".into()));
    };
    let btf = Btf::parse(types.data)?;
    let variables =
        elf.symbols().filter(|s| s.section == index && ![STT_SECTION, STT_FILE].contains(&s.kind));
    for symbol in variables {
        // A second name of the same variable is the same map.
        if maps.iter().any(|m| m.section == index && m.offset == Some(symbol.value)) {
            continue;
        }
        let name = elf.name(&symbol)?;
        let def = btf.map(name)?;
        let map = Map { name, def, contents: Contents::Zero, section: index, offset: Some(symbol.value) };
        add(maps, map, at)?;
    }
    Ok(())
}

fn data_map<'a>(section: &Section<'a>, index: u16) -> Result<Map<'a>, ObjectError> {
    let name = section.text()?;
    let value_size =
        u32::try_from(section.size).ok().filter(|&s| u64::from(s) <= MAX_DATA).ok_or_else(|| {
            ObjectError::new(
                section.data.at,
                format!("{} is larger than {} MiB", crate::short(name), MAX_DATA >> 20),
            )
        })?;
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
    Ok(Map { name, def, contents, section: index, offset: None })
}

pub(crate) fn is_data(name: Name) -> bool {
    [".rodata", ".data", ".bss"].iter().any(|p| matches!(name.behind(p), Some(0 | b'.')))
}
