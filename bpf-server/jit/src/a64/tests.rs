//! The table of plain instructions against the general emission: the same words, or the same refusal.

extern crate std;
use super::{Features, emit};
use crate::program::Tables;
use crate::samples::{each_opcode, each_random};
use crate::{CompileError, Insn};
use std::vec::Vec;

fn compiled<const TABLED: bool>(
    program: &[Insn],
    zero_stack: bool,
    room: usize,
) -> (Result<usize, CompileError>, Vec<u8>) {
    let mut tables = Tables { zero_stack, ..Tables::default() };
    let mut out = std::vec![0; room];
    let resolve = |_: u8, imm: i32, next: i32| Some(u64::from(imm as u32) << 20 | u64::from(next as u32));
    let result = emit::compile::<TABLED>(
        Features { lse: true, blind: None },
        &mut tables,
        program,
        &resolve,
        &mut out,
    );
    (result, out)
}

fn same(program: &[Insn], zero_stack: bool, room: usize) -> Result<usize, CompileError> {
    let (tabled, code) = compiled::<true>(program, zero_stack, room);
    let (general, wanted) = compiled::<false>(program, zero_stack, room);
    assert_eq!(tabled, general, "{program:x?}");
    assert_eq!(code, wanted, "{program:x?}");
    tabled
}

#[test]
fn every_opcode_with_every_register_and_number_is_the_same_by_the_table() {
    let mut compiled = 0;
    each_opcode(|program| compiled += u32::from(same(program, false, 1024).is_ok()));
    assert!(compiled > 50_000, "{compiled}");
}

#[test]
fn any_program_is_the_same_by_the_table() {
    let (mut compiled, mut refused, mut large) = (0, 0, 0);
    each_random(20_000, |n, program| match same(program, n % 2 == 0, if n % 16 == 0 { 64 } else { 4096 }) {
        Ok(_) => compiled += 1,
        Err(CompileError::NoRoom { .. }) => large += 1,
        Err(_) => refused += 1,
    });
    assert!(
        compiled > 7000 && refused > 700 && large > 350,
        "{compiled} compiled, {refused} refused, {large} large"
    );
}

#[test]
fn a_slice_that_starts_anywhere_gets_the_same_code() {
    let mut program: Vec<Insn> = (0..40).map(|n| Insn::new(0x07, n % 6, 0, 0, 1 + i32::from(n))).collect();
    program.push(Insn::new(0x95, 0, 0, 0, 0));
    let (length, code) = compiled::<true>(&program, false, 512);
    let length = length.unwrap();
    for start in 0..8 {
        let mut out = std::vec![0xee; 512];
        let mut tables = Tables::default();
        let mut into = |out: &mut [u8]| {
            emit::compile::<true>(
                Features { lse: true, blind: None },
                &mut tables,
                &program,
                &|_, _, _| None,
                out,
            )
        };
        assert_eq!(into(&mut out[start..]), Ok(length));
        assert_eq!(out[start..start + length], code[..length]);
        assert!(out[..start].iter().all(|byte| *byte == 0xee));
        // As much room as is said to be needed is enough; a byte less is not, and nothing behind it is written.
        let Err(CompileError::NoRoom { needed }) = into(&mut out[start..start + length - 1]) else {
            panic!("it fits")
        };
        assert!((length..length + 4).contains(&needed));
        assert_eq!(into(&mut out[start..start + needed]), Ok(length));
        assert!(out[start + needed..].iter().all(|byte| *byte == 0xee));
    }
}

/// What runs on one core alone cannot tell whether an atomic is ordered: the words themselves, as the GNU assembler makes them.
#[test]
fn atomics_are_ordered_where_they_fetch() {
    let ldadd = [(false, 0xb823_009fu32, 0xf823_009f), (true, 0xb8e3_0083, 0xf8e3_0083)];
    let ldset = [(false, 0xb823_309f, 0xf823_309f), (true, 0xb8e3_3083, 0xf8e3_3083)];
    let ldeor = [(false, 0xb823_209f, 0xf823_209f), (true, 0xb8e3_2083, 0xf8e3_2083)];
    let ldclr = [(false, 0xb831_109f, 0xf831_109f), (true, 0xb8f1_1083, 0xf8f1_1083)];
    let lse = [(0x00, ldadd), (0x40, ldset), (0xa0, ldeor), (0x50, ldclr)];
    let words = |lse: bool, op: u8, imm: i32| -> Vec<u32> {
        let program = [Insn::new(op, 4, 3, 0, imm), Insn::new(0x95, 0, 0, 0, 0)];
        let mut out = [0u8; 256];
        let mut tables = Tables::default();
        let length = emit::compile::<true>(
            Features { lse, blind: None },
            &mut tables,
            &program,
            &|_, _, _| None,
            &mut out,
        )
        .unwrap();
        out[..length].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect()
    };
    for (operation, forms) in lse {
        for (fetch, narrow, wide) in forms {
            let imm = operation | i32::from(fetch);
            assert!(words(true, 0xc3, imm).contains(&narrow), "{imm:#x}");
            assert!(words(true, 0xdb, imm).contains(&wide), "{imm:#x}");
        }
    }
    assert!(words(true, 0xc3, 0xe1).contains(&0xb8e3_8083) && words(true, 0xdb, 0xe1).contains(&0xf8e3_8083));
    assert!(words(true, 0xc3, 0xf1).contains(&0x88e0_fc83) && words(true, 0xdb, 0xf1).contains(&0xc8e0_fc83));
    // Without them: ldxr and stxr into x15 and x14; with FETCH ldaxr, stlxr and a barrier behind the loop.
    const BARRIER: u32 = 0xd503_3bbf;
    for operation in [0x00, 0x40, 0xa0, 0x50] {
        for (op, size) in [(0xc3, 2 << 30), (0xdb, 3 << 30)] {
            let (plain, ordered) = (words(false, op, operation), words(false, op, operation | 1));
            assert!(
                plain.contains(&(0x085f_7c91 | size)) && plain.contains(&(0x080e_7c8f | size)),
                "{plain:x?}"
            );
            assert!(!plain.contains(&BARRIER));
            assert!(
                ordered.contains(&(0x085f_fc91 | size)) && ordered.contains(&(0x080e_fc8f | size)),
                "{ordered:x?}"
            );
            let store = ordered.iter().position(|w| *w == 0x080e_fc8f | size).unwrap();
            assert_eq!(ordered.iter().position(|w| *w == BARRIER), Some(store + 2));
        }
    }
    for operation in [0xe1, 0xf1] {
        for (op, size) in [(0xc3, 2 << 30), (0xdb, 3 << 30)] {
            // What is stored is r3 itself.
            let ordered = words(false, op, operation);
            assert!(
                ordered.contains(&(0x085f_fc91 | size)) && ordered.contains(&(0x080e_fc83 | size)),
                "{ordered:x?}"
            );
            assert!(ordered.contains(&BARRIER));
        }
    }
}

/// What the table is for does not go past it: else it would be as slow as without, and every other test would pass.
#[test]
fn the_table_takes_what_it_is_for() {
    let general = |program: &[Insn]| {
        let mut tables = Tables::default();
        let mut out = [0u8; 4096];
        let features = Features { lse: true, blind: None };
        emit::compile::<true>(features, &mut tables, program, &|_, _, _| None, &mut out).unwrap();
        tables.general
    };
    let exit = Insn::new(0x95, 0, 0, 0, 0);
    let taken = |i: Insn| general(&[i, exit, exit]) == 2;
    let constant = |op, imm| taken(Insn::new(op, 1, 0, 0, imm));
    let at = |op, off| taken(Insn::new(op, 1, 2, off, 0));
    for wide in [4u8, 7] {
        for op in [0x08, 0x18, 0x28, 0x38, 0x48, 0x58, 0x68, 0x78, 0xa8, 0xc8] {
            assert!(at(op | wide, 0) && taken(Insn::new(op | wide, 9, 9, 0, 0)), "{op:#x}");
            assert!(!taken(Insn::new(op | wide, 1, 10, 0, 0)), "{op:#x} of r10");
        }
        assert!(!at(0x38 | wide, 1) && !at(0x98 | wide, 0) && at(0xb8 | wide, 0) && !at(0xb8 | wide, 8));
        assert_eq!(taken(Insn::new(0xb8 | wide, 1, 1, 0, 0)), wide == 4);
        for op in [wide, 0x10 | wide] {
            assert!([1, 2, 4095, -1, -4095].into_iter().all(|imm| constant(op, imm)));
            assert!([0, 4096, -4096, i32::MAX, i32::MIN].into_iter().all(|imm| !constant(op, imm)));
        }
        for op in [0x40 | wide, 0x50 | wide, 0xa0 | wide] {
            assert!([1, 3, 0xff, 0x7fff_ffff].into_iter().all(|imm| constant(op, imm)));
            assert!([0, 2, 5, -1, -2].into_iter().all(|imm| !constant(op, imm)));
        }
        assert!([3, 5, 0xffff].into_iter().all(|imm| constant(0x20 | wide, imm)));
        assert!([0, 1, 2, 4, 0x1_0001, -1].into_iter().all(|imm| !constant(0x20 | wide, imm)));
        for op in [0x60 | wide, 0x70 | wide, 0xc0 | wide] {
            assert!([0, 1, 31, 33, 63, 65].into_iter().all(|imm| constant(op, imm)));
            assert_eq!(constant(op, 32), op & 0xf0 != 0x60 || wide == 4, "{op:#x}");
        }
        assert!([0, 1, 0xffff].into_iter().all(|imm| constant(0xb0 | wide, imm)));
        assert!(!constant(0xb0 | wide, 0x1_0000) && !constant(0xb0 | wide, -0x1_0001));
        assert_eq!([-1, -0x1_0000].map(|imm| constant(0xb0 | wide, imm)), [wide == 7; 2]);
        let class = if wide == 7 { 5 } else { 6 };
        for op in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            assert!(at(op | 8 | class, 0), "{op:#x}");
            assert!([1, 4095].into_iter().all(|imm| constant(op | class, imm)), "{op:#x}");
            assert!([-1, 4096].into_iter().all(|imm| !constant(op | class, imm)), "{op:#x}");
            assert_eq!(constant(op | class, 0), matches!(op, 0x10 | 0x50), "{op:#x}");
        }
        assert!(!at(0x48 | class, 0) && !constant(0x40 | class, 1));
    }
    for (op, size) in [(0x71, 1), (0x69, 2), (0x61, 4), (0x79, 8), (0x91, 1), (0x89, 2), (0x81, 4)] {
        for op in if op < 0x80 { [op, op + 2, op + 1] } else { [op; 3] } {
            // A store of a constant has no second register.
            let at = |off| match op & 7 {
                2 => taken(Insn::new(op, 1, 0, off, 0)),
                _ => at(op, off),
            };
            assert!([0, size, 1, -1, -256, 255, 4095 * size].into_iter().all(at), "{op:#x}");
            let beyond = [-257, 4096i32 * i32::from(size)].map(|off| i16::try_from(off).is_ok_and(at));
            assert_eq!(beyond, [false; 2], "{op:#x}");
            assert_eq!(at(257), size == 1, "{op:#x}");
            let frame = match op & 7 {
                1 => Insn::new(op, 1, 10, -8, 0),
                3 => Insn::new(op, 10, 1, -8, 0),
                _ => Insn::new(op, 10, 0, -8, 0),
            };
            assert!(taken(frame), "{op:#x} of the frame");
        }
    }
    assert!(!constant(0x7a, 1) && !taken(Insn::new(0x7b, 1, 10, 0, 0)) && !constant(0xd4, 16));
    // The first half of a pair is left, and of other pairs is not.
    let (copy, add) = (Insn::new(0xbf, 3, 4, 0, 0), Insn::new(0x07, 3, 0, 0, 5));
    assert_eq!(general(&[copy, add, exit]), 2);
    assert_eq!(general(&[copy, Insn::new(0x07, 5, 0, 0, 5), exit]), 1);
    assert_eq!(general(&[copy, Insn::new(0x17, 3, 0, 0, 5), exit]), 1);
}

/// Pairs are one instruction: the words, as the GNU assembler makes them.
#[test]
fn pairs_are_fused() {
    let words = |program: &[Insn]| -> Vec<u32> {
        let exit = [Insn::new(0x95, 0, 0, 0, 0)];
        let mut out = [0u8; 256];
        let mut tables = Tables::default();
        let program = [program, &exit].concat();
        let resolve = |_: u8, _: i32, _: i32| None;
        let length =
            emit::compile::<true>(Features::default(), &mut tables, &program, &resolve, &mut out).unwrap();
        out[..length].chunks(4).map(|w| u32::from_le_bytes(w.try_into().unwrap())).collect()
    };
    const RET: u32 = 0xd65f_03c0;
    let i = Insn::new;
    // add x3, x4, #5; mov w3, w3; sxtw x3, w3
    assert_eq!(words(&[i(0xbf, 3, 4, 0, 0), i(0x07, 3, 0, 0, 5)]), [0x9100_1483, RET]);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 32), i(0x77, 3, 0, 0, 32)]), [0x2a03_03e3, RET]);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 32), i(0xc7, 3, 0, 0, 32)]), [0x9340_7c63, RET]);
    // sub sp, sp, #512; add x3, sp, #504; add sp, sp, #512
    let frame = words(&[i(0xbf, 3, 10, 0, 0), i(0x07, 3, 0, 0, -8)]);
    assert_eq!(frame, [0xd108_03ff, 0x9107_e3e3, 0x9108_03ff, RET]);
    // A jump to the next instruction is none, and what is not named is not kept: LR, the runtime and r6 are two pairs.
    assert_eq!(words(&[i(0x05, 0, 0, 0, 0), i(0x06, 0, 0, 0, 0)]), [RET]);
    for r in 6..10 {
        assert_eq!(words(&[i(0xb7, r, 0, 0, 5), i(0x85, 0, 0, 0, 1)]).len(), 10, "r{r}");
    }
    assert_eq!(words(&[i(0xb7, 6, 0, 0, 5), i(0xb7, 9, 0, 0, 5), i(0x85, 0, 0, 0, 1)]).len(), 11);
    // Other registers, other amounts, and what something jumps to, are not fused.
    assert_eq!(words(&[i(0xbf, 3, 4, 0, 0), i(0x07, 5, 0, 0, 5)]).len(), 3);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 32), i(0x77, 3, 0, 0, 31)]).len(), 3);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 31), i(0x77, 3, 0, 0, 32)]).len(), 3);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 32), i(0x77, 4, 0, 0, 32)]).len(), 3);
    assert_eq!(words(&[i(0xbf, 3, 4, 0, 0), i(0x07, 3, 0, 0, 5), i(0x55, 3, 0, -2, 0)]).len(), 4);
    assert_eq!(words(&[i(0x67, 3, 0, 0, 32), i(0x77, 3, 0, 0, 32), i(0x55, 3, 0, -2, 0)]).len(), 4);
}

/// Each mask that an instruction has room for, as the Arm ARM decodes its field (DecodeBitMasks), and no other.
#[test]
fn every_logical_immediate() {
    use super::asm::{Width, logical_field};
    let mut all = std::collections::HashMap::new();
    for field in 0..1u32 << 13 {
        let (n, immr, imms) = (field >> 12, field >> 6 & 63, field & 63);
        let Some(length) = (n << 6 | !imms & 63).checked_ilog2().filter(|length| *length > 0) else {
            continue;
        };
        let (size, levels) = (1u32 << length, (1u32 << length) - 1);
        let (ones, by) = ((imms & levels) + 1, immr & levels);
        // All ones are no mask, and rotations beyond the size are others' names.
        if ones == size || immr != by {
            continue;
        }
        let element = (1u128 << ones) - 1;
        let rotated = (element >> by | element << (size - by)) & ((1u128 << size) - 1);
        let value = (0..64 / size).fold(0u128, |v, k| v | rotated << (k * size)) as u64;
        assert_eq!(all.insert(value, field), None);
    }
    assert_eq!(all.len(), 5334);
    for (value, field) in &all {
        assert_eq!(logical_field(*value, Width::X64), Some(*field), "{value:#x}");
        let low = *value & 0xffff_ffff;
        let narrow = all.get(&(low | low << 32)).copied().filter(|field| field >> 12 == 0);
        assert_eq!(logical_field(low, Width::W32), narrow, "{low:#x}");
        for other in
            [value ^ 1, value ^ 1 << 63, value ^ 1 << 31, value.wrapping_add(1), !value, value & value << 1]
        {
            assert_eq!(logical_field(other, Width::X64), all.get(&other).copied(), "{other:#x}");
        }
    }
    for width in [Width::W32, Width::X64] {
        assert_eq!([0, u64::MAX].map(|v| logical_field(v, width)), [None; 2]);
    }
}
