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
    let result = emit::compile::<TABLED>(Features { lse: true }, &mut tables, program, &resolve, &mut out);
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
            emit::compile::<true>(Features { lse: true }, &mut tables, &program, &|_, _, _| None, out)
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
        let length =
            emit::compile::<true>(Features { lse }, &mut tables, &program, &|_, _, _| None, &mut out)
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
