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
    room: usize,
) -> (Result<usize, CompileError>, Vec<u8>) {
    let mut tables = Tables { zero_stack, ..Tables::default() };
    let mut out = std::vec![0; room];
    let resolve = |_: u8, imm: i32, next: i32| Some(u64::from(imm as u32) << 20 | u64::from(next as u32));
    let result = emit::compile::<TABLED>(
        Features { bmi2: zero_stack, blind: None },
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
    let length = tabled.unwrap_or(0);
    assert_eq!(code[..length], wanted[..length], "{program:x?}");
    tabled
}

#[test]
fn every_opcode_with_every_register_and_number_is_the_same_by_the_table() {
    let mut compiled = 0;
    each_opcode(|program| compiled += u32::from(same(program, false, 1024).is_ok()));
    assert!(compiled > 200_000, "{compiled}");
}

#[test]
fn any_program_is_the_same_by_the_table() {
    let (mut compiled, mut refused, mut large) = (0, 0, 0);
    each_random(30_000, |n, program| match same(program, n % 2 == 0, if n % 16 == 0 { 64 } else { 4096 }) {
        Ok(_) => compiled += 1,
        Err(CompileError::NoRoom { .. }) => large += 1,
        Err(_) => refused += 1,
    });
    assert!(
        compiled > 10_000 && refused > 1000 && large > 500,
        "{compiled} compiled, {refused} refused, {large} large"
    );
}
