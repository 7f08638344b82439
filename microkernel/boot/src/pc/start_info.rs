//! PVH: `hvm_start_info` (Xen's public header arch-x86/hvm/start_info.h), version 1.
use super::map::{Entry, Map};
use super::{Bad, Handover, Physical, Root, bytes, u32_at, u64_at};

/// What the structure begins with.
pub const MAGIC: u32 = 0x336e_c578;

/// Reads the start info at an address, and its memory map into `map`. None if it is no start info.
pub fn read(memory: &impl Physical, at: u64, map: &mut Map) -> Result<Option<Handover>, Bad> {
    const WHAT: &str = "the PVH start info";
    let Some(head) = bytes::<56>(memory, at) else { return Ok(None) };
    if u32_at(&head, 0) != MAGIC {
        return Ok(None);
    }
    let (version, modules) = (u32_at(&head, 4), u32_at(&head, 12));
    let (list, command_line, root) = (u64_at(&head, 16), u64_at(&head, 24), u64_at(&head, 32));
    if version == 0 {
        return Err(Bad::NoMap(version));
    }
    let (entries, count) = (u64_at(&head, 40), u32_at(&head, 48));
    for i in 0..u64::from(count) {
        let at = entries.wrapping_add(24 * i);
        let entry = bytes::<24>(memory, at).ok_or(Bad::Reach("the memory map of the start info", at))?;
        map.push(Entry { start: u64_at(&entry, 0), size: u64_at(&entry, 8), kind: u32_at(&entry, 16) })?;
    }
    let mut module = None;
    if modules > 0 {
        let entry = bytes::<16>(memory, list).ok_or(Bad::Reach(WHAT, list))?;
        let (start, size) = (u64_at(&entry, 0), u64_at(&entry, 8));
        module = Some((start, start.checked_add(size).ok_or(Bad::Reach("the module", start))?));
    }
    Ok(Some(Handover {
        module,
        modules,
        root: (root != 0).then_some(Root::At(root)),
        command_line: (command_line != 0).then_some(command_line),
    }))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::tests::Memory;
    use super::*;
    use std::vec::Vec;

    fn info(version: u32, modules: u32, count: u32) -> Vec<u8> {
        let mut b = Vec::new();
        [MAGIC, version, 0, modules].iter().for_each(|w| b.extend(w.to_le_bytes()));
        [0x2004u64, 0x3000, 0xf_5000, 0x1002].iter().for_each(|w| b.extend(w.to_le_bytes()));
        b.extend(count.to_le_bytes());
        b.extend([0; 4]);
        b
    }

    fn entry(start: u64, size: u64, kind: u32) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(start.to_le_bytes());
        b.extend(size.to_le_bytes());
        b.extend(kind.to_le_bytes());
        b.extend([0xaa; 4]);
        b
    }

    #[test]
    fn a_start_info_of_qboot_is_read() {
        let mut memory = Memory::default();
        memory.put(0x5a8, &info(1, 1, 2));
        memory.put(0x1002, &[entry(0x10_0000, 0x1000_0000, 1), entry(0, 0x9_fc00, 1)].concat());
        let module = [0x0f00_0000u64, 1234, 0, u64::MAX];
        memory.put(0x2004, &module.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<_>>());
        let mut map = Map::new();
        let handover = read(&memory, 0x5a8, &mut map).unwrap().unwrap();
        assert_eq!(handover.module, Some((0x0f00_0000, 0x0f00_0000 + 1234)));
        assert_eq!((handover.root, handover.command_line), (Some(Root::At(0xf_5000)), Some(0x3000)));
        assert_eq!(map.entries().len(), 2);
        assert_eq!(map.entries()[1], Entry { start: 0, size: 0x9_fc00, kind: 1 });
    }

    #[test]
    fn what_is_missing_or_out_of_reach_is_said() {
        let mut memory = Memory::default();
        let mut map = Map::new();
        assert_eq!(read(&memory, 0x5a8, &mut map), Ok(None), "nothing there");
        memory.put(0x5a8, &info(0, 0, 0));
        assert_eq!(read(&memory, 0x5a8, &mut map), Err(Bad::NoMap(0)));
        memory.put(0x5a8, &info(1, 0, 1));
        assert!(matches!(read(&memory, 0x5a8, &mut map), Err(Bad::Reach(_, 0x1002))));
        memory.put(0x5a8, &info(1, 1, 0));
        assert!(matches!(read(&memory, 0x5a8, &mut map), Err(Bad::Reach(_, 0x2004))));
        let mut other = info(1, 0, 0);
        other[0] = 0;
        memory.put(0x5a8, &other);
        assert_eq!(read(&memory, 0x5a8, &mut map), Ok(None), "another magic");
        // A count that cannot be: the map's room ends before the world does.
        memory.put(0x5a8, &info(1, 0, u32::MAX));
        memory.put(0x1002, &entry(0x1000, 0x1000, 1).repeat(200));
        assert_eq!(read(&memory, 0x5a8, &mut map), Err(Bad::Entries(super::super::map::MAX_ENTRIES)));
    }
}
