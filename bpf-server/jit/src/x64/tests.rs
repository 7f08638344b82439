//! The table of plain instructions against the general emission: the same bytes, or the same refusal.

extern crate std;
use super::{Features, emit};
use crate::program::Tables;
use crate::samples::{each_opcode, each_random};
use crate::{CompileError, Insn};
use std::vec::Vec;

fn compiled<const TABLED: bool>(
    program: &[Insn],
    zero_stack: bool,
    blind: Option<u64>,
    room: usize,
) -> (Result<usize, CompileError>, Vec<u8>) {
    let mut tables = Tables { zero_stack, ..Tables::default() };
    let mut out = std::vec![0; room];
    let resolve = |_: u8, imm: i32, next: i32| Some(u64::from(imm as u32) << 20 | u64::from(next as u32));
    let result = emit::compile::<TABLED>(
        Features { bmi2: zero_stack, blind },
        &mut tables,
        program,
        &resolve,
        &mut out,
    );
    (result, out)
}

fn same(program: &[Insn], zero_stack: bool, blind: Option<u64>, room: usize) -> Result<usize, CompileError> {
    let (tabled, code) = compiled::<true>(program, zero_stack, blind, room);
    let (general, wanted) = compiled::<false>(program, zero_stack, blind, room);
    assert_eq!(tabled, general, "{program:x?}");
    let length = tabled.unwrap_or(0);
    assert_eq!(code[..length], wanted[..length], "{program:x?}");
    tabled
}

#[test]
fn every_opcode_with_every_register_and_number_is_the_same_by_the_table() {
    let mut compiled = 0;
    each_opcode(|program| compiled += u32::from(same(program, false, None, 1024).is_ok()));
    assert!(compiled > 50_000, "{compiled}");
}

#[test]
fn any_program_is_the_same_by_the_table() {
    let (mut compiled, mut refused, mut large) = (0, 0, 0);
    each_random(20_000, |n, program| {
        // Where constants are blinded, the table is left alone.
        let blind = n.is_multiple_of(3).then_some(u64::from(n));
        match same(program, n % 2 == 0, blind, if n % 16 == 0 { 64 } else { 4096 }) {
            Ok(_) => compiled += 1,
            Err(CompileError::NoRoom { .. }) => large += 1,
            Err(_) => refused += 1,
        }
    });
    assert!(
        compiled > 7000 && refused > 700 && large > 350,
        "{compiled} compiled, {refused} refused, {large} large"
    );
}

#[test]
fn what_is_not_written_is_counted() {
    use super::asm::{Asm, Cond, Op, Reg, Width};
    let mut out = [0xee; 8];
    let mut asm = Asm::new(&mut out[..6]);
    assert!(asm.is_empty() && asm.fits());
    asm.rr(Op::Add, Width::X64, Reg::RAX, Reg::R9);
    assert!(!asm.is_empty() && asm.fits() && asm.len() == 3);
    asm.jcc(Cond::Equal, -2);
    assert!(!asm.fits() && asm.len() == 9);
    // Beyond the end and before the beginning there is nothing to patch.
    asm.patch32(9, 1);
    asm.patch32(3, 1);
    asm.patch8(0, 1);
    asm.patch8(7, 1);
    assert_eq!(out, [0x4c, 0x01, 0xc8, 0x0f, 0x84, 0xfe, 0xee, 0xee]);
    let mut asm = Asm::new(&mut out);
    asm.jcc(Cond::Equal, 0);
    asm.patch32(6, 0x1234_5678);
    asm.patch8(6, 0x11);
    asm.align(8);
    asm.align(8);
    assert_eq!(out, [0x0f, 0x84, 0x78, 0x56, 0x34, 0x11, 0x66, 0x90]);
    // What does nothing, in every length that there is.
    for missing in 0..32 {
        let mut out = [0x90; 64];
        let mut asm = Asm::new(&mut out);
        (0..32 - missing).for_each(|_| asm.ret());
        asm.align(32);
        assert_eq!(asm.len(), 32);
        let mut at = 32 - missing;
        while at < 32 {
            at += match out[at..] {
                [0x90, ..] => 1,
                [0x66, 0x90, ..] => 2,
                [0x0f, 0x1f, 0x00, ..] => 3,
                [0x0f, 0x1f, 0x40, 0, ..] => 4,
                [0x0f, 0x1f, 0x44, 0, 0, ..] => 5,
                [0x66, 0x0f, 0x1f, 0x44, 0, 0, ..] => 6,
                [0x0f, 0x1f, 0x80, 0, 0, 0, 0, ..] => 7,
                [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, ..] => 8,
                [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, ..] => 9,
                ref other => panic!("{missing}: no NOP: {other:02x?}"),
            };
        }
        assert_eq!(at, 32);
    }
}

/// What the table is for does not go past it: else it would be as slow as without, and every other test would pass.
#[test]
fn the_table_takes_what_it_is_for() {
    let general = |program: &[Insn]| {
        let mut tables = Tables::default();
        let mut out = [0u8; 4096];
        let features = Features { bmi2: false, blind: None };
        emit::compile::<true>(features, &mut tables, program, &|_, _, _| None, &mut out).unwrap();
        tables.general
    };
    let exit = Insn::new(0x95, 0, 0, 0, 0);
    let taken = |i: Insn| general(&[i, exit, exit]) == 2;
    let constant = |op, imm| taken(Insn::new(op, 1, 0, 0, imm));
    let at = |op, off| taken(Insn::new(op, 1, 2, off, 0));
    for wide in [4u8, 7] {
        for op in [0x08, 0x18, 0x28, 0x48, 0x58, 0xa8] {
            assert!(at(op | wide, 0) && taken(Insn::new(op | wide, 9, 10, 0, 0)), "{op:#x}");
        }
        assert!([0x38, 0x68, 0x78, 0x98, 0xc8].into_iter().all(|op| !at(op | wide, 0)));
        assert!(at(0xb8 | wide, 0) && !at(0xb8 | wide, 8));
        assert_eq!(taken(Insn::new(0xb8 | wide, 1, 1, 0, 0)), wide == 4);
        for op in [0x00, 0x10, 0x40, 0xa0, 0xb0] {
            assert!(
                [0, 1, -1, 127, 128, i32::MIN].into_iter().all(|imm| constant(op | wide, imm)),
                "{op:#x}"
            );
        }
        assert!([0, 5, -1, 0xfe, 0xfffe].into_iter().all(|imm| constant(0x50 | wide, imm)));
        assert!(!constant(0x50 | wide, 0xff) && !constant(0x50 | wide, 0xffff));
        assert!([0, 1, 3, 5, 9, 7, -1, -2, 1000].into_iter().all(|imm| constant(0x20 | wide, imm)));
        assert!([2, 4, 64, 1 << 30].into_iter().all(|imm| !constant(0x20 | wide, imm)));
        // r9 as a base needs a distance, and nothing else does.
        let times = |r, imm| taken(Insn::new(0x20 | wide, r, 0, 0, imm));
        assert!(!times(9, 3) && !times(9, 9) && times(9, 7) && times(8, 3) && times(0, 5));
        for op in [0x60 | wide, 0x70 | wide, 0xc0 | wide] {
            assert!([1, 31, 33, 63].into_iter().all(|imm| constant(op, imm)), "{op:#x}");
            assert!(!constant(op, 0) && !constant(op, 64) && constant(op, 32) == (wide == 7), "{op:#x}");
        }
        let class = if wide == 7 { 5 } else { 6 };
        for op in [0x10, 0x20, 0x30, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            assert!(at(op | 8 | class, 0) && taken(Insn::new(op | 8 | class, 10, 9, 0, 0)), "{op:#x}");
            assert!([0, 1, -1, 128].into_iter().all(|imm| constant(op | class, imm)), "{op:#x}");
        }
        assert!(!at(0x48 | class, 0) && !constant(0x40 | class, 1));
    }
    for op in [0x71, 0x69, 0x61, 0x79, 0x91, 0x89, 0x81, 0x73, 0x6b, 0x63, 0x7b] {
        for off in [0, 1, -1, 127, 128, -128, -129, i16::MAX] {
            assert!(at(op, off), "{op:#x} at {off}");
        }
    }
    assert!(taken(Insn::new(0x79, 1, 10, -8, 0)) && taken(Insn::new(0x7b, 10, 10, -8, 0)));
    assert!(!constant(0x7a, 1) && !constant(0xd4, 16));
    // The first half of a pair is left, and of other pairs is not.
    let add = Insn::new(0x07, 3, 0, 0, 5);
    for first in [Insn::new(0xbf, 3, 4, 0, 0), Insn::new(0x0f, 3, 4, 0, 0), Insn::new(0x67, 3, 0, 0, 2), add]
    {
        assert!(general(&[first, add, exit]) >= 2, "{first:x?}");
        assert_eq!(general(&[first, Insn::new(0x07, 4, 0, 0, 5), exit]), 1, "{first:x?}");
    }
    for first in [Insn::new(0xbc, 3, 4, 0, 0), Insn::new(0x0c, 3, 4, 0, 0), Insn::new(0x1f, 3, 4, 0, 0)] {
        assert_eq!(general(&[first, Insn::new(0x17, 3, 0, 0, 5), exit]), 1, "{first:x?}");
    }
    // Loops are aligned: what one leads back to is left.
    assert_eq!(general(&[add, Insn::new(0x55, 3, 0, -2, 0), exit]), 2);
}

/// Addresses and extensions are one instruction: the bytes, as the GNU assembler makes them.
#[test]
fn chains_are_fused() {
    let bytes = |program: &[Insn]| {
        let exit = [Insn::new(0x95, 0, 0, 0, 0)];
        let mut out = std::vec![0; 256];
        let mut tables = Tables::default();
        let features = Features { bmi2: false, blind: None };
        let program = [program, &exit].concat();
        let length =
            emit::compile::<true>(features, &mut tables, &program, &|_, _, _| None, &mut out).unwrap();
        out.truncate(length);
        assert_eq!(out.pop(), Some(0xc3));
        out
    };
    let i = Insn::new;
    let copy = |s| i(0xbf, 3, s, 0, 0);
    let (plus, add) = (|s| i(0x0f, 3, s, 0, 0), |n| i(0x07, 3, 0, 0, n));
    let left = |n| i(0x67, 3, 0, 0, n);
    let load = |op| i(op, 3, 3, 5, 0);
    let all: &[(&[Insn], &[u8])] = &[
        // lea rcx, [r8 + 5]; [rcx * 4 + 7]; [rdx + r8]; [rdx + r8 + 0x12345678]
        (&[copy(4), add(5)], &[0x49, 0x8d, 0x48, 0x05]),
        (&[left(2), add(7)], &[0x48, 0x8d, 0x0c, 0x8d, 7, 0, 0, 0]),
        (&[copy(2), plus(4)], &[0x4a, 0x8d, 0x0c, 0x02]),
        (&[copy(2), plus(4), add(0x1234_5678)], &[0x4a, 0x8d, 0x8c, 0x02, 0x78, 0x56, 0x34, 0x12]),
        // Three parts of two instructions, shifts by more or less, and the register itself, are not.
        (&[plus(2), add(9)], &[0x48, 0x01, 0xd1, 0x48, 0x83, 0xc1, 9]),
        (&[left(4), add(7)], &[0x48, 0xc1, 0xe1, 4, 0x48, 0x83, 0xc1, 7]),
        (&[left(64), add(7)], &[0x48, 0x83, 0xc1, 7]),
        (&[plus(3), add(7)], &[0x48, 0x01, 0xc9, 0x48, 0x83, 0xc1, 7]),
        (&[copy(4), i(0x07, 2, 0, 0, 5)], &[0x4c, 0x89, 0xc1, 0x48, 0x83, 0xc2, 5]),
        // Five instructions at most.
        (&[copy(4), add(1), add(1), add(1), add(1), add(1)], &[0x49, 0x8d, 0x48, 4, 0x48, 0x83, 0xc1, 1]),
        // movzx ecx, cl; movzx ecx, cx; and ecx, 0xfe
        (&[i(0x57, 3, 0, 0, 0xff)], &[0x0f, 0xb6, 0xc9]),
        (&[i(0x57, 3, 0, 0, 0xffff)], &[0x0f, 0xb7, 0xc9]),
        (&[i(0x57, 3, 0, 0, 0x7e)], &[0x83, 0xe1, 0x7e]),
        // mov ecx, ecx; movsxd rcx, ecx
        (&[left(32), i(0x77, 3, 0, 0, 32)], &[0x89, 0xc9]),
        (&[left(32), i(0xc7, 3, 0, 0, 32)], &[0x48, 0x63, 0xc9]),
        (&[left(32), i(0x77, 3, 0, 0, 31)], &[0x48, 0xc1, 0xe1, 32, 0x48, 0xc1, 0xe9, 31]),
        (&[left(31), i(0x77, 3, 0, 0, 32)], &[0x48, 0xc1, 0xe1, 31, 0x48, 0xc1, 0xe9, 32]),
        // Loads from such addresses.
        (&[copy(4), plus(2), load(0x71)], &[0x41, 0x0f, 0xb6, 0x4c, 0x10, 5]),
        (&[left(3), load(0x79)], &[0x48, 0x8b, 0x0c, 0xcd, 5, 0, 0, 0]),
        (&[copy(4), load(0x69)], &[0x41, 0x0f, 0xb7, 0x48, 5]),
        (&[copy(4), load(0x61)], &[0x41, 0x8b, 0x48, 5]),
        (&[copy(4), load(0x79)], &[0x49, 0x8b, 0x48, 5]),
        (&[copy(4), load(0x81)], &[0x49, 0x63, 0x48, 5]),
        (&[copy(4), load(0x89)], &[0x49, 0x0f, 0xbf, 0x48, 5]),
        (&[copy(4), load(0x91)], &[0x49, 0x0f, 0xbe, 0x48, 5]),
        // From another base, or into another register, they are loads of their own.
        (&[copy(4), i(0x61, 3, 2, 5, 0)], &[0x4c, 0x89, 0xc1, 0x8b, 0x4a, 5]),
        (&[copy(4), i(0x61, 2, 3, 5, 0)], &[0x4c, 0x89, 0xc1, 0x8b, 0x51, 5]),
        // No prefix where none is needed: mov esi, [rdx + rcx + 5]; mov esi, [rsi * 8 + 5]
        (&[i(0xbf, 1, 2, 0, 0), i(0x0f, 1, 3, 0, 0), i(0x61, 1, 1, 5, 0)], &[0x8b, 0x74, 0x0a, 5]),
        (&[i(0x67, 1, 0, 0, 3), i(0x61, 1, 1, 5, 0)], &[0x8b, 0x34, 0xf5, 5, 0, 0, 0]),
    ];
    for (program, wanted) in all {
        assert_eq!(bytes(program), *wanted, "{program:x?}");
    }
    // A jump to the next instruction is none.
    assert_eq!(bytes(&[i(0x05, 0, 0, 0, 0), i(0x06, 0, 0, 0, 0)]), []);
    // What is not named is not kept. push rbx, r12; sub rsp, 8; mov r12, rdi; and push rbx, r13, r12; mov r12, rdi
    let kept = bytes(&[i(0xb7, 6, 0, 0, 5), i(0x85, 0, 0, 0, 1)]);
    assert_eq!(kept[..10], [0x53, 0x41, 0x54, 0x48, 0x83, 0xec, 8, 0x49, 0x89, 0xfc]);
    let kept = bytes(&[i(0xb7, 6, 0, 0, 5), i(0xb7, 9, 0, 0, 5), i(0x85, 0, 0, 0, 1)]);
    assert_eq!(kept[..8], [0x53, 0x41, 0x55, 0x41, 0x54, 0x49, 0x89, 0xfc]);
    // Divisions and shifts keep r0, r2 and r3 only where these are wanted: mov rdi, rdx; mov r11, rcx
    let (keeps_r2, keeps_r3) = ([0x48, 0x89, 0xd7], [0x49, 0x89, 0xcb]);
    let has = |code: &[u8], what: [u8; 3]| code.windows(3).any(|w| w == what);
    let (divide, shift) = (i(0x3f, 4, 5, 0, 0), i(0x6f, 4, 5, 0, 0));
    assert!(!has(&bytes(&[divide]), keeps_r2) && !has(&bytes(&[shift]), keeps_r3));
    assert!(has(&bytes(&[divide, i(0xb7, 2, 0, 0, 1)]), keeps_r2));
    assert!(has(&bytes(&[shift, i(0xb7, 3, 0, 0, 1)]), keeps_r3));
    let call = i(0x85, 0, 0, 0, 1);
    assert!(has(&bytes(&[divide, call]), keeps_r2) && has(&bytes(&[shift, call]), keeps_r3));
    // What something jumps to stays.
    let jumped = bytes(&[copy(4), add(5), i(0x55, 3, 0, -2, 0)]);
    assert_eq!(jumped[..3], [0x4c, 0x89, 0xc1]);
}
