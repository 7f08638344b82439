extern crate std;
use super::super::tests::Memory;
use super::*;
use proptest::prelude::*;
use std::vec::Vec;

fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut t = signature.to_vec();
    t.extend((HEADER + body.len() as u32).to_le_bytes());
    t.resize(HEADER as usize, 1);
    t.extend(body);
    sum(&mut t, 9);
    t
}

/// Sets the byte at `at` so that all add up to 0.
fn sum(t: &mut [u8], at: usize) {
    t[at] = 0;
    t[at] = t.iter().fold(0u8, |s, b| s.wrapping_sub(*b));
}

fn pointer(revision: u8, old: u32, new: u64) -> [u8; 36] {
    let mut p = [0; 36];
    p[..8].copy_from_slice(b"RSD PTR ");
    p[15] = revision;
    p[16..20].copy_from_slice(&old.to_le_bytes());
    p[24..32].copy_from_slice(&new.to_le_bytes());
    sum(&mut p[..20], 8);
    p
}

/// q35's, as QEMU 7.2 has them.
fn q35_apic() -> Vec<u8> {
    let mut b = [0xfee0_0000u32.to_le_bytes(), 1u32.to_le_bytes()].concat();
    b.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    b.extend([1, 12, 0, 0]);
    b.extend(0xfec0_0000u32.to_le_bytes());
    b.extend([0; 4]);
    for (source, global, flags) in [(0u8, 2u32, 0u16), (5, 5, 0xd), (9, 9, 0xd), (10, 10, 0xd), (11, 11, 0xd)]
    {
        b.extend([2, 10, 0, source]);
        b.extend(global.to_le_bytes());
        b.extend(flags.to_le_bytes());
    }
    b.extend([4, 6, 0xff, 0, 0, 1]);
    b
}

fn hpet_body(space: u8, address: u64) -> Vec<u8> {
    let mut b = 0x8086_a201u32.to_le_bytes().to_vec();
    b.extend([space, 0, 0, 0]);
    b.extend(address.to_le_bytes());
    b.extend([0; 4]);
    b
}

fn fadt_body(port: u32, bytes: u8, flags: u32) -> Vec<u8> {
    let mut b = std::vec![0; 116 - HEADER as usize];
    b[76 - 36..80 - 36].copy_from_slice(&port.to_le_bytes());
    b[91 - 36] = bytes;
    b[112 - 36..116 - 36].copy_from_slice(&flags.to_le_bytes());
    b
}

fn mcfg_body() -> Vec<u8> {
    let mut b = std::vec![0; 8];
    b.extend(0xb000_0000u64.to_le_bytes());
    b.extend([0, 0, 0, 0xff, 0, 0, 0, 0]);
    b
}

fn machine(apic: &[u8]) -> Memory {
    let mut memory = Memory::default();
    memory.put(0xf_5000, &pointer(0, 0x10_0000, 0));
    let tables = [0x10_1000u32, 0x10_2000, 0x10_3000, 0x10_4000, 0xffff_f000];
    memory.put(0x10_0000, &table(b"RSDT", &tables.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<_>>()));
    memory.put(0x10_1000, &table(b"APIC", apic));
    memory.put(0x10_2000, &table(b"HPET", &hpet_body(0, 0xfed0_0000)));
    memory.put(0x10_3000, &table(b"FACP", &fadt_body(0x608, 4, 0)));
    memory.put(0x10_4000, &table(b"MCFG", &mcfg_body()));
    memory
}

#[test]
fn q35s_tables_are_read() {
    let tables = read(&machine(&q35_apic()), Some(Root::At(0xf_5000))).unwrap();
    assert_eq!((tables.local_apic, tables.processors), (0xfee0_0000, 1));
    assert_eq!(tables.ioapics(), [Ioapic { address: 0xfec0_0000, base: 0 }]);
    assert_eq!(tables.overrides()[0], Override { source: 0, global: 2, flags: 0 });
    assert_eq!(tables.overrides()[4], Override { source: 11, global: 11, flags: 0xd });
    assert_eq!(tables.hpet, Some(0xfed0_0000));
    assert_eq!(tables.pm_timer, Some(PmTimer { port: 0x608, is_32_bits: false }));
    assert_eq!(tables.config_space, Some((0xb000_0000, 0xff)));
    // Without a word of the boot loader, the pointer is looked for.
    assert_eq!(read(&machine(&q35_apic()), None), Ok(tables));
}

#[test]
fn microvms_extended_list_is_read() {
    let mut memory = Memory::default();
    memory.put(0x20_0000, &table(b"XSDT", &[0x10_1000u64, 0x10_3000].map(u64::to_le_bytes).concat()));
    let mut apic = q35_apic();
    apic.extend([1, 12, 1, 0, 0, 0x10, 0xc1, 0xfe, 24, 0, 0, 0]);
    apic.extend([5, 12, 0, 0, 0, 0, 0xe0, 0xfe, 1, 0, 0, 0]);
    memory.put(0x10_1000, &table(b"APIC", &apic));
    memory.put(0x10_3000, &table(b"FACP", &fadt_body(0x608, 4, 1 << 8)));
    let tables = read(&memory, Some(Root::Copied(pointer(2, 0, 0x20_0000)))).unwrap();
    assert_eq!(tables.ioapics()[1], Ioapic { address: 0xfec1_1000, base: 24 });
    assert_eq!(tables.local_apic, 0x1_fee0_0000, "the 64-bit address");
    assert_eq!((tables.hpet, tables.pm_timer.unwrap().is_32_bits), (None, true));
}

#[test]
fn damage_is_named() {
    let at = Some(Root::At(0xf_5000));
    let mut memory = machine(&q35_apic());
    memory.0.get_mut(&0x10_1000).unwrap()[50] ^= 1;
    assert_eq!(read(&memory, at), Err(Bad::Checksum(*b"APIC", 0x10_1000)));
    let mut memory = machine(&q35_apic());
    memory.0.get_mut(&0x10_2000).unwrap()[4] = 3;
    assert_eq!(read(&memory, at), Err(Bad::Length(*b"HPET", 0x10_2000, 3)));
    let mut memory = machine(&q35_apic());
    memory.put(0x10_0000, &table(b"RSDT", &0x10_2000u32.to_le_bytes()));
    assert!(matches!(read(&memory, at), Err(Bad::Missing([b'A', b'P', b'I', b'C'], _))));
    let mut memory = machine(&q35_apic());
    memory.0.get_mut(&0xf_5000).unwrap()[20 - 1] ^= 1;
    assert_eq!(read(&memory, at), Err(Bad::Checksum(*b"RSDP", 0xf_5000)));
    assert_eq!(read(&memory, None), Err(Bad::NoRoot));
    assert!(matches!(read(&Memory::default(), at), Err(Bad::Reach(_, 0xf_5000))));
    for (extra, offset) in [(&[1u8, 11, 0][..], 120), (&[9, 0], 120), (&[2, 200, 0, 0], 120), (&[7], 120)] {
        let mut apic = q35_apic();
        apic.extend(extra);
        let bad = read(&machine(&apic), at);
        assert!(matches!(bad, Err(Bad::Entry(o, _)) if o == offset), "{extra:?}: {bad:?}");
    }
    let mut apic = q35_apic();
    (0..8).for_each(|_| apic.extend([1, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(read(&machine(&apic), at), Err(Bad::Ioapics(IOAPICS)));
}

#[test]
fn an_hpet_that_is_not_in_memory_is_none() {
    let mut memory = machine(&q35_apic());
    memory.put(0x10_2000, &table(b"HPET", &hpet_body(1, 0x400)));
    memory.put(0x10_3000, &table(b"FACP", &fadt_body(0, 0, 0)));
    let tables = read(&memory, Some(Root::At(0xf_5000))).unwrap();
    assert_eq!((tables.hpet, tables.pm_timer), (None, None));
}

proptest! {
    /// Whatever the bytes are, reading ends, and never reaches out of the memory.
    #[test]
    fn any_table_is_read_or_refused(
        list in proptest::collection::vec(any::<u8>(), 0..64),
        apic in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0usize..100,
    ) {
        let mut memory = machine(&apic);
        let mut tables = 0x10_1000u32.to_le_bytes().to_vec();
        tables.extend(&list);
        memory.put(0x10_0000, &table(b"RSDT", &tables));
        let whole = read(&memory, None);
        if let Ok(tables) = whole {
            prop_assert!(tables.ioapics().len() <= IOAPICS);
        }
        let t = memory.0.get_mut(&0x10_1000).unwrap();
        let keep = t.len().saturating_sub(cut + 1);
        t.truncate(keep);
        prop_assert!(read(&memory, None).is_err(), "the end of the table is out of reach");
    }
}
