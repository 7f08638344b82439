//! The cases: what is handed over, and what the kernel must say of it.
//!
//! The machine is QEMU's q35 with 1 GiB; what is not a case's is as its firmware says it.
use crate::acpi::Tables;
use crate::loader::{
    ACPI, Entry, Handover, MODULE, Module, Module2, Protocol, REGISTERS, line_tag, map_tag, module_tag, tag,
};

/// How a run ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The kernel says the sentence and stops.
    Refused,
    /// The same, after seconds: time is not to be counted by instructions.
    Patience,
    /// The root task runs to its end.
    Boots,
}

/// A case.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// How it ends.
    pub ending: Ending,
    /// What must be on COM1.
    pub says: &'static str,
    /// What is handed over.
    pub handover: fn() -> Handover,
}

const RAM: u32 = 1;
const RESERVED: u32 = 2;
const LOW: u64 = 0x10_0000;

/// What SeaBIOS says of a q35 with 1 GiB.
const Q35: [Entry; 7] = [
    (0, 0x9_fc00, RAM),
    (0x9_fc00, 0x400, RESERVED),
    (0xf_0000, 0x1_0000, RESERVED),
    (LOW, 0x3fee_0000, RAM),
    (0x3ffe_0000, 0x2_0000, RESERVED),
    (0xb000_0000, 0x1000_0000, RESERVED),
    (0xfffc_0000, 0x4_0000, RESERVED),
];

/// The same in another order, with overlaps, twice the same, nothing, types that do not exist, and reservations that reach into RAM, over its end and
/// round the address space: what is left are the same pieces, without 16 MiB.
const RUBBISH: [Entry; 14] = [
    (0xfffc_0000, 0x4_0000, RESERVED),
    (0x2000_0000, 0x1ffe_0000, RAM),
    (0, 0, 0),
    (0x3000_0000, 0x100_0000, 0xffff_ffff),
    (LOW, 0x3fee_0000, RAM),
    (0x3ffe_0000, 0x2_0000, RESERVED),
    (LOW, 0x3fee_0000, RAM),
    (u64::MAX, 0, RAM),
    (0x3fff_f001, 0x1, 77),
    (0x9_fc00, 0x400, RESERVED),
    (0xffff_ffff_0000_0000, u64::MAX, RESERVED),
    (0, 0x9_fc00, RAM),
    (0xb000_0000, 0x1000_0000, RESERVED),
    (0xf_0000, 0x1_0000, RESERVED),
];

fn handover() -> Handover {
    Handover {
        protocol: Protocol::Pvh(1),
        map: Q35.to_vec(),
        tables: Tables::default(),
        root: None,
        module: Module::There,
        contents: None,
        registers: Vec::new(),
    }
}

fn with_tables(tables: Tables) -> Handover {
    Handover { tables, ..handover() }
}

fn damaged(signature: &[u8; 4]) -> Handover {
    with_tables(Tables { damaged: vec![*signature], ..Tables::default() })
}

fn absent(signatures: &[&[u8; 4]]) -> Handover {
    with_tables(Tables { absent: signatures.iter().map(|s| **s).collect(), ..Tables::default() })
}

fn with_map(map: &[Entry]) -> Handover {
    Handover { map: map.to_vec(), ..handover() }
}

/// An HPET that is a page of memory: it has this period, and never counts. The map says that the page is none of RAM's.
fn hpet(period: u32) -> Handover {
    let mut registers = 0x8086_a201u32.to_le_bytes().to_vec();
    registers.extend(period.to_le_bytes());
    let mut map = Q35.to_vec();
    map.push((REGISTERS, 4096, RESERVED));
    Handover { tables: Tables { hpet: REGISTERS, ..Tables::default() }, map, registers, ..handover() }
}

fn claimed(start: u64, size: u64) -> Handover {
    Handover { module: Module::Claimed(start, size), ..handover() }
}

fn multiboot2(tags: fn(Module2, &[Entry], &[u8]) -> Vec<u8>) -> Handover {
    Handover { protocol: Protocol::Multiboot2(tags), ..handover() }
}

/// Pieces of RAM with holes of 64 KiB between them, all below the usual end.
fn pieces(count: u64) -> Vec<Entry> {
    let mut map = vec![(0, 0x9_fc00, RAM), (LOW, 0x7ff_0000, RAM)];
    map.extend((2..count).map(|i| (0x100_0000 * (6 + i), 0xff_0000, RAM)));
    map
}

/// All cases.
pub fn all() -> Vec<Case> {
    let case = |ending: Ending| move |name, says, handover| Case { name, ending, says, handover };
    let (refused, boots) = (case(Ending::Refused), case(Ending::Boots));
    let mut cases: Vec<Case> = Vec::new();
    // Both ways of being loaded, with everything as it should be: else no refusal would mean anything.
    cases.push(boots("pvh", " checks, 0 failed", handover));
    cases.push(boots("multiboot2", " checks, 0 failed", || {
        multiboot2(|module, map, root| {
            [line_tag(), tag(15, root), module_tag(module), map_tag(map, 24), tag(0, &[])].concat()
        })
    }));
    // ACPI.
    cases.push(refused("root-pointer-checksum", "the ACPI table RSDP at 0x1002000 is damaged", || {
        damaged(b"RSDP")
    }));
    cases.push(refused("list-checksum", "the ACPI table RSDT at 0x1002028 is damaged", || damaged(b"RSDT")));
    cases.push(refused("extended-list-checksum", "the ACPI table XSDT at 0x1002028 is damaged", || {
        with_tables(Tables { is_extended: true, damaged: vec![*b"XSDT"], ..Tables::default() })
    }));
    cases.push(refused("controllers-checksum", "the ACPI table APIC at 0x10020d8 is damaged", || {
        damaged(b"APIC")
    }));
    cases.push(refused("hpet-checksum", "the ACPI table HPET at 0x1002150 is damaged", || damaged(b"HPET")));
    cases.push(refused("fixed-checksum", "the ACPI table FACP at 0x1002060 is damaged", || damaged(b"FACP")));
    cases.push(refused("configuration-checksum", "the ACPI table MCFG at 0x1002188 is damaged", || {
        damaged(b"MCFG")
    }));
    cases.push(refused(
        "no-controllers",
        "there is no ACPI table APIC: the interrupt controllers are unknown",
        || absent(&[b"APIC"]),
    ));
    cases.push(refused("no-clock", "neither an HPET nor an ACPI power management timer", || {
        absent(&[b"HPET", b"FACP"])
    }));
    cases.push(refused(
        "long-table",
        "the ACPI table APIC at 0x10020d8 says that it has 0x7fffffff bytes",
        || with_tables(Tables { wrong_length: Some(0x7fff_ffff), ..Tables::default() }),
    ));
    cases.push(refused("short-table", "the ACPI table APIC at 0x10020d8 says that it has 0x3 bytes", || {
        with_tables(Tables { wrong_length: Some(3), ..Tables::default() })
    }));
    cases.push(refused(
        "entry-without-length",
        "the ACPI table APIC is damaged at offset 0x72: an entry of 0 bytes",
        || with_tables(Tables { more_controllers: vec![9, 0], ..Tables::default() }),
    ));
    cases.push(refused(
        "entry-over-the-end",
        "the ACPI table APIC is damaged at offset 0x72: an entry of 200 bytes",
        || with_tables(Tables { more_controllers: vec![9, 200, 0], ..Tables::default() }),
    ));
    cases.push(refused("nine-ioapics", "there are more than 8 I/O APICs", || {
        with_tables(Tables { ioapics: 9, ..Tables::default() })
    }));
    cases.push(refused("root-out-of-reach", "the ACPI root pointer at 0x100000000 lies above 4 GiB", || {
        Handover { root: Some(1 << 32), ..handover() }
    }));
    cases.push(refused("root-is-something-else", "the ACPI table RSDP at 0x2000000 is damaged", || {
        Handover { root: Some(MODULE), ..handover() }
    }));
    // Registers that would be memory: the kernel's own, for example.
    cases.push(refused(
        "local-apic-in-ram",
        "ACPI has the local APIC at 0x201000, where the memory map has RAM",
        || with_tables(Tables { local_apic: 0x20_1000, ..Tables::default() }),
    ));
    cases.push(refused(
        "ioapic-in-ram",
        "ACPI has an I/O APIC at 0x202000, where the memory map has RAM",
        || with_tables(Tables { ioapic: 0x20_2000, ..Tables::default() }),
    ));
    cases.push(refused("hpet-in-ram", "ACPI has the HPET at 0x203000, where the memory map has RAM", || {
        with_tables(Tables { hpet: 0x20_3000, ..Tables::default() })
    }));
    // The HPET.
    cases.push(refused(
        "hpet-period-zero",
        "the HPET at 0x1004000 says that it counts every 0 femtoseconds",
        || hpet(0),
    ));
    cases.push(refused("hpet-period-too-long", "counts every 100000001 femtoseconds", || hpet(100_000_001)));
    cases.push(refused("hpet-period-ones", "counts every 4294967295 femtoseconds", || hpet(u32::MAX)));
    cases.push(refused("hpet-period-picoseconds", "counts every 69841 femtoseconds", || hpet(69_841)));
    cases.push(Case {
        name: "hpet-stands-still",
        ending: Ending::Patience,
        says: "the HPET, or the ACPI timer, stands still",
        handover: || hpet(69_841_279),
    });
    // The memory map.
    cases.push(boots("rubbish-map", " checks, 0 failed", || with_map(&RUBBISH)));
    cases.push(boots("rubbish-map-backwards", " checks, 0 failed", || {
        with_map(&RUBBISH.iter().rev().copied().collect::<Vec<_>>())
    }));
    cases.push(boots("rubbish-map-multiboot2", " checks, 0 failed", || Handover {
        map: RUBBISH.to_vec(),
        // The old root pointer after the new one, entries of the future, a tag that nobody knows.
        ..multiboot2(|module, map, root| {
            [
                tag(99, b"?"),
                map_tag(map, 40),
                tag(15, root),
                tag(14, &[0; 20]),
                line_tag(),
                module_tag(module),
                tag(0, &[]),
            ]
            .concat()
        })
    }));
    cases.push(boots("holes", " checks, 0 failed", || with_map(&pieces(20))));
    cases.push(boots("extended-tables", " checks, 0 failed", || {
        with_tables(Tables { is_extended: true, ..Tables::default() })
    }));
    cases.push(boots("64-mib", " checks, 0 failed", || {
        with_map(&[(0, 0x9_fc00, RAM), (LOW, 0x3f0_0000, RAM)])
    }));
    cases.push(refused(
        "too-many-holes",
        "memory, or what the firmware reserves of it, is in more than 32 pieces",
        || with_map(&pieces(50)),
    ));
    cases.push(refused("too-many-entries", "the memory map has more than 128 entries", || {
        with_map(&[(LOW, 0x3fee_0000, RAM); 129])
    }));
    cases.push(refused("no-map", "none of the memory map's 0 entries is RAM", || with_map(&[])));
    cases.push(refused("no-ram", "none of the memory map's 1 entries is RAM", || {
        with_map(&[(LOW, 0x3fee_0000, RESERVED)])
    }));
    cases.push(refused("map-wraps", "RAM at 0xfffffffffffff000 of 0x2000 bytes", || {
        let mut map = Q35.to_vec();
        map.push((0xffff_ffff_ffff_f000, 0x2000, RAM));
        with_map(&map)
    }));
    cases.push(refused("kernel-not-in-ram", "the kernel (0x201000 to ", || {
        with_map(&[(0, 0x9_fc00, RAM), (0x100_0000, 0x3000_0000, RAM)])
    }));
    cases.push(refused("too-little-ram", "there is too little RAM for the root task", || {
        with_map(&[(0x20_0000, 0x8_0000, RAM), (MODULE, 0xb_0000, RAM)])
    }));
    // The module.
    cases.push(refused("no-module", "no module: the root task", || Handover {
        module: Module::Absent,
        ..handover()
    }));
    cases.push(refused("module-empty", "the module from 0x2000000 to 0x2000000 has no byte", || {
        claimed(MODULE, 0)
    }));
    cases.push(refused("module-wraps", "the module at 0xfffffffffffff000", || {
        claimed(0xffff_ffff_ffff_f000, 0x2000)
    }));
    cases.push(refused("module-over-kernel", "(0x210000 to 0x310000) lies over the kernel's image", || {
        claimed(0x21_0000, 0x10_0000)
    }));
    cases.push(refused(
        "module-not-in-ram",
        "the module (0x3fff0000 to 0x40000000) does not lie in RAM",
        || claimed(0x3fff_0000, 0x1_0000),
    ));
    cases.push(refused(
        "module-above-4-gib",
        "the module (0x100000000 to 0x100100000) does not lie in RAM",
        || claimed(1 << 32, 0x10_0000),
    ));
    cases.push(refused("module-is-text", "neither a bundle nor an ELF file", || Handover {
        contents: Some(b"GRUB was told to load a README\n".repeat(200)),
        ..handover()
    }));
    // How it was started.
    cases.push(refused(
        "no-protocol",
        "started neither by PVH nor by Multiboot2 (eax 0x1badb002, ebx 0x1002000)",
        || Handover { protocol: Protocol::Neither(0x1bad_b002, ACPI as u32), ..handover() },
    ));
    cases.push(refused("old-start-info", "the PVH start info (version 0) has no memory map", || Handover {
        protocol: Protocol::Pvh(0),
        ..handover()
    }));
    cases.push(refused("multiboot2-without-end", "the Multiboot2 information is damaged at offset", || {
        multiboot2(|module, map, root| [tag(15, root), module_tag(module), map_tag(map, 24)].concat())
    }));
    cases.push(refused(
        "multiboot2-short-tag",
        "the Multiboot2 information is damaged at offset 0x8",
        || multiboot2(|_, _, _| [3u32.to_le_bytes(), 7u32.to_le_bytes()].concat()),
    ));
    cases.push(refused(
        "multiboot2-tiny-entries",
        "the Multiboot2 information is damaged at offset 0x8",
        || {
            multiboot2(|module, _, root| {
                let tiny = [8u32.to_le_bytes(), [0; 4], [0; 4], [0; 4]].concat();
                [tag(6, &tiny), tag(15, root), module_tag(module), tag(0, &[])].concat()
            })
        },
    ));
    cases.push(refused("multiboot2-root-checksum", "the ACPI table RSDP", || Handover {
        tables: Tables { damaged: vec![*b"RSDP"], ..Tables::default() },
        ..multiboot2(|module, map, root| {
            [tag(15, root), module_tag(module), map_tag(map, 24), tag(0, &[])].concat()
        })
    }));
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_words_and_each_is_its_own() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(
            names.iter().all(|n| n.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
        assert!(all.iter().all(|case| !case.says.contains('\t') && case.says.len() >= 10));
    }

    /// What the rubbish leaves of RAM, by counting pages one by one.
    #[test]
    fn rubbish_leaves_what_the_good_map_has_without_16_mib() {
        let is_ram = |map: &[Entry], page: u64| {
            let covers =
                |(start, size, _): &Entry| *start < page + 4096 && page < start.saturating_add(*size);
            let whole = |e: &&Entry| e.2 == RAM && e.0 <= page && page + 4096 <= e.0.saturating_add(e.1);
            map.iter().any(|e| whole(&e)) && !map.iter().any(|e| e.2 != RAM && e.1 != 0 && covers(e))
        };
        for page in (0..0x5000_0000).step_by(4096) {
            let hole = (0x3000_0000..0x3100_0000).contains(&page);
            assert_eq!(is_ram(&RUBBISH, page), is_ram(&Q35, page) && !hole, "{page:#x}");
        }
    }
}
