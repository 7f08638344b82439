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
