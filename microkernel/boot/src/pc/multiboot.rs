//! Multiboot2: the boot information (specification 2.0, section 3.6), a list of tags.
use super::map::{Entry, Map};
use super::{Bad, Handover, Physical, Root, bytes, u32_at, u64_at};

/// What eax holds at entry.
pub const MAGIC: u32 = 0x36d7_6289;

const END: u32 = 0;
const COMMAND_LINE: u32 = 1;
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const OLD_ACPI: u32 = 14;
const NEW_ACPI: u32 = 15;

/// Reads the information at an address, and its memory map into `map`.
pub fn read(memory: &impl Physical, at: u64, map: &mut Map) -> Result<Handover, Bad> {
    const WHAT: &str = "the Multiboot2 information";
    let head = bytes::<8>(memory, at).ok_or(Bad::Reach(WHAT, at))?;
    let total = u32_at(&head, 0);
    let mut handover = Handover { module: None, modules: 0, root: None, command_line: None };
    let mut offset = 8;
    while offset + 8 <= total {
        let place = at + u64::from(offset);
        let tag = bytes::<8>(memory, place).ok_or(Bad::Reach(WHAT, place))?;
        let (kind, size) = (u32_at(&tag, 0), u32_at(&tag, 4));
        if kind == END {
            return Ok(handover);
        }
        if size < 8 || size > total - offset {
            return Err(Bad::Information(offset));
        }
        let needs = |bytes| if size < bytes { Err(Bad::Information(offset)) } else { Ok(()) };
        match kind {
            COMMAND_LINE => handover.command_line = Some(place + 8),
            MODULE => {
                needs(16)?;
                let range = bytes::<8>(memory, place + 8).ok_or(Bad::Reach(WHAT, place))?;
                handover.modules += 1;
                let module = (u32_at(&range, 0).into(), u32_at(&range, 4).into());
                handover.module = handover.module.or(Some(module));
            }
            MEMORY_MAP => {
                needs(16)?;
                let entry_size = u32_at(&bytes::<8>(memory, place + 8).ok_or(Bad::Reach(WHAT, place))?, 0);
                if entry_size < 24 {
                    return Err(Bad::Information(offset));
                }
                for i in 0..(size - 16) / entry_size {
                    let at = place + 16 + u64::from(i) * u64::from(entry_size);
                    let e = bytes::<24>(memory, at).ok_or(Bad::Reach(WHAT, at))?;
                    map.push(Entry { start: u64_at(&e, 0), size: u64_at(&e, 8), kind: u32_at(&e, 16) })?;
                }
            }
            // The newer root pointer is the better one, whichever comes first.
            OLD_ACPI if handover.root.is_none() => {
                needs(28)?;
                let old = bytes::<20>(memory, place + 8).ok_or(Bad::Reach(WHAT, place))?;
                let mut copy = [0; 36];
                copy[..20].copy_from_slice(&old);
                handover.root = Some(Root::Copied(copy));
            }
            NEW_ACPI => {
                needs(44)?;
                handover.root =
                    Some(Root::Copied(bytes::<36>(memory, place + 8).ok_or(Bad::Reach(WHAT, place))?));
            }
            _ => {}
        }
        // No overflow: the tag ends within `total`.
        offset += size;
        offset = offset.checked_next_multiple_of(8).ok_or(Bad::Information(offset))?;
    }
    Err(Bad::Information(offset))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::tests::Memory;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn tag(kind: u32, body: &[u8]) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(kind.to_le_bytes());
        b.extend((8 + body.len() as u32).to_le_bytes());
        b.extend(body);
        b.resize(b.len().next_multiple_of(8), 0xcc);
        b
    }

    fn information(tags: &[Vec<u8>]) -> Memory {
        let body = tags.concat();
        let mut b = (8 + body.len() as u32).to_le_bytes().to_vec();
        b.extend([0; 4]);
        b.extend(body);
        let mut memory = Memory::default();
        memory.put(0x6000, &b);
        memory
    }

    fn module(start: u32, end: u32) -> Vec<u8> {
        tag(MODULE, &[&start.to_le_bytes()[..], &end.to_le_bytes(), b"bundle\0"].concat())
    }

    #[test]
    fn grubs_information_is_read() {
        let entries = [(0u64, 0x9_fc00u64, 1u32), (0x10_0000, 0x1ff0_0000, 1)];
        let mut body = [24u32.to_le_bytes(), 0u32.to_le_bytes()].concat();
        for (start, size, kind) in entries {
            body.extend(start.to_le_bytes());
            body.extend(size.to_le_bytes());
            body.extend(kind.to_le_bytes());
            body.extend([0; 4]);
        }
        let memory = information(&[
            tag(COMMAND_LINE, b"quiet\0"),
            tag(NEW_ACPI, &[7; 36]),
            tag(OLD_ACPI, &[9; 20]),
            module(0x5000, 0x5100),
            module(0x8000, 0x9000),
            tag(MEMORY_MAP, &body),
            tag(END, &[]),
        ]);
        let mut map = Map::new();
        let handover = read(&memory, 0x6000, &mut map).unwrap();
        assert_eq!((handover.module, handover.modules), (Some((0x5000, 0x5100)), 2));
        assert_eq!(handover.root, Some(Root::Copied([7; 36])), "the newer one");
        assert_eq!(handover.command_line, Some(0x6010));
        assert_eq!(map.entries()[1], Entry { start: 0x10_0000, size: 0x1ff0_0000, kind: 1 });
    }

    #[test]
    fn damage_is_refused_where_it_is() {
        let mut map = Map::new();
        let mut short = tag(MODULE, &[0; 8]);
        short[4..8].copy_from_slice(&7u32.to_le_bytes());
        assert_eq!(read(&information(&[short]), 0x6000, &mut map), Err(Bad::Information(8)));
        let mut long = tag(MODULE, &[0; 8]);
        long[4..8].copy_from_slice(&1000u32.to_le_bytes());
        assert_eq!(read(&information(&[long]), 0x6000, &mut map), Err(Bad::Information(8)));
        let tiny = tag(MEMORY_MAP, &[vec![8, 0, 0, 0, 0, 0, 0, 0], vec![0; 24]].concat());
        assert_eq!(read(&information(&[tiny]), 0x6000, &mut map), Err(Bad::Information(8)));
        assert_eq!(
            read(&information(&[module(1, 2)]), 0x6000, &mut map),
            Err(Bad::Information(32)),
            "no end"
        );
        assert!(matches!(read(&Memory::default(), 0x6000, &mut map), Err(Bad::Reach(_, 0x6000))));
    }
}
