//! The ACPI table, as QEMU writes it, and everything that is near to it.

use hpet::acpi::{HpetTable, PageProtection, TABLE_BYTES, TableError};

fn sealed(mut table: Vec<u8>) -> Vec<u8> {
    table[9] = 0;
    table[9] = table.iter().fold(0u8, |s, b| s.wrapping_sub(*b));
    table
}

fn qemu() -> Vec<u8> {
    let mut t = b"HPET\x38\0\0\0\x01\0BOCHS BXPC    ".to_vec();
    t.extend([1, 0, 0, 0]);
    t.extend(b"BXPC");
    t.extend([1, 0, 0, 0]);
    t.extend(0x8086_a201u32.to_le_bytes());
    t.extend([0, 0, 0, 0]);
    t.extend(0xfed0_0000u64.to_le_bytes());
    t.extend([0, 0, 0, 0]);
    assert_eq!(t.len(), TABLE_BYTES);
    sealed(t)
}

#[test]
fn qemus_table() {
    let table = HpetTable::parse(&qemu()).unwrap();
    let expected = HpetTable {
        address: 0xfed0_0000,
        number: 0,
        event_timer_block_id: 0x8086_a201,
        minimum_tick: 0,
        page_protection: PageProtection::None,
    };
    assert_eq!(table, expected);
    // The field is the number of the last one.
    assert_eq!(table.timers(), 3);
    // What follows does not matter, and a longer table is one, too.
    let mut more = qemu();
    more.extend([9; 100]);
    assert_eq!(HpetTable::parse(&more), Ok(expected));
    more[4] = 60;
    assert_eq!(HpetTable::parse(&sealed_to(more, 60)), Ok(expected));
}

fn sealed_to(mut t: Vec<u8>, length: usize) -> Vec<u8> {
    let head = sealed(t[..length].to_vec());
    t[..length].copy_from_slice(&head);
    t
}

#[test]
fn fields_at_their_places() {
    let mut t = qemu();
    t[44..52].copy_from_slice(&0x12_3456_7000u64.to_le_bytes());
    t[52] = 7;
    t[53..55].copy_from_slice(&0x1234u16.to_le_bytes());
    for (low, protection) in [
        (0, PageProtection::None),
        (1, PageProtection::Page4K),
        (2, PageProtection::Page64K),
        (9, PageProtection::Reserved(9)),
    ] {
        t[55] = low | 0xa0; // the upper half is the maker's
        let table = HpetTable::parse(&sealed(t.clone())).unwrap();
        assert_eq!((table.address, table.number, table.minimum_tick), (0x12_3456_7000, 7, 0x1234));
        assert_eq!(table.page_protection, protection);
    }
}

#[test]
fn every_truncation_and_every_bit() {
    let good = qemu();
    for bytes in 0..good.len() {
        assert_eq!(HpetTable::parse(&good[..bytes]), Err(TableError::TooShort { bytes }));
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(HpetTable::parse(&bad).is_err(), "bit {bit}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let change = |at: usize, bytes: &[u8]| {
        let mut t = qemu();
        t[at..at + bytes.len()].copy_from_slice(bytes);
        HpetTable::parse(&sealed(t)).unwrap_err()
    };
    for (error, text) in [
        (change(0, b"HPEX"), "ACPI table HPET: its signature is HPEX"),
        (change(4, &[57]), "ACPI table HPET: it claims 57 bytes, and 56 are there"),
        (change(4, &[55]), "ACPI table HPET: 55 bytes, and it has 56"),
        (change(4, &[255; 4]), "ACPI table HPET: it claims 4294967295 bytes, and 56 are there"),
        (
            change(40, &[1]),
            "ACPI table HPET: the block is in address space 1, and only memory (0) is understood",
        ),
        (change(44, &[0; 8]), "ACPI table HPET: the block's address 0x0 is 0 or not a multiple of 8"),
        (change(44, &[4]), "ACPI table HPET: the block's address 0xfed00004 is 0 or not a multiple of 8"),
    ] {
        assert_eq!(error.to_string(), text);
    }
    let mut t = qemu();
    t[9] ^= 0xff;
    assert!(matches!(HpetTable::parse(&t), Err(TableError::Checksum { .. })));
}
