//! AArch64: what enters a program, stands for the helpers, and makes the process.

use super::{DONE, Machine, mail};
use crate::space::{self, BASE, at};
use axiom_bpf_jit::a64::{Asm, Mem, Reg, SP, Width};
use axiom_bpf_jit::{CompileError, Compiler, Features, Insn, Resolve};

/// AArch64, on an AArch64 machine or under qemu-aarch64.
pub const A64: Machine = Machine {
    name: "aarch64",
    elf: 183,
    emulator: "qemu-aarch64",
    override_emulator: "AXIOM_QEMU_AARCH64",
    compile,
    stubs,
    entry,
};

fn compile(
    insns: &[Insn],
    zero_stack: bool,
    resolve: Resolve,
    out: &mut [u8],
) -> Result<usize, CompileError> {
    let mut compiler = Compiler::new(Features { lse: false, blind: None });
    compiler.set_zero_stack(zero_stack);
    compiler.compile(insns, resolve, out)
}

const WRITE: u64 = 64;
const READ: u64 = 63;
const EXIT: u64 = 93;
const MMAP: u64 = 222;
const SVC: u32 = 0xd400_0001;

fn system_call(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg(8), number);
    a.put(SVC);
}

fn load(a: &mut Asm<'_>, to: Reg, word: usize) {
    a.try_mem(Mem::LdrX, to, Reg(9), word as i64 * 8);
}

fn store(a: &mut Asm<'_>, from: Reg, word: usize) {
    a.try_mem(Mem::StrX, from, Reg(9), word as i64 * 8);
}

/// Sends or receives one byte; x9 holds the mailbox.
fn byte(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg(0), if number == WRITE { 1 } else { 0 });
    a.try_add_imm(Width::X64, Reg(1), Reg(9), mail::BYTE as i64 * 8);
    a.mov_imm(Reg(2), 1);
    system_call(a, number);
}

/// The code that enters the program, and a stub for each helper; fills the helper table.
fn stubs(code: &mut [u8], table: &mut [u64]) -> Option<()> {
    let mut a = Asm::new(code);
    // So often as wanted: r0 = program(table, context, length).
    a.mov_imm(Reg(9), BASE as u64);
    let again = a.words();
    load(&mut a, Reg(1), mail::CONTEXT);
    load(&mut a, Reg(2), mail::LENGTH);
    load(&mut a, Reg(10), mail::ENTRY);
    a.mov_imm(Reg(0), (BASE + at::TABLE) as u64);
    a.blr(Reg(10));
    a.mov_imm(Reg(9), BASE as u64);
    store(&mut a, Reg(0), mail::RESULT);
    load(&mut a, Reg(10), mail::RUNS);
    a.try_add_imm(Width::X64, Reg(10), Reg(10), -1);
    store(&mut a, Reg(10), mail::RUNS);
    let back = again as i32 - a.words() as i32;
    a.cbz(Width::X64, true, Reg(10), back);
    a.mov_imm(Reg(10), DONE);
    store(&mut a, Reg(10), mail::SLOT);
    byte(&mut a, WRITE);
    a.mov_imm(Reg(0), 0);
    system_call(&mut a, EXIT);
    // What all helpers share: x16 holds the slot.
    let common = a.words();
    a.mov_imm(Reg(9), BASE as u64);
    store(&mut a, Reg(16), mail::SLOT);
    for n in 0..5 {
        store(&mut a, Reg(n as u8 + 1), mail::ARGUMENTS + n);
    }
    byte(&mut a, WRITE);
    byte(&mut a, READ);
    load(&mut a, Reg(0), mail::RETURNED);
    a.ret();
    for (slot, entry) in table.iter_mut().enumerate() {
        *entry = (BASE + at::STUBS + a.words() * 4) as u64;
        a.mov_imm(Reg(16), slot as u64);
        let back = common as i32 - a.words() as i32;
        a.b(back);
    }
    a.fits().then_some(())
}

/// What the process does first: maps the memory behind a file that it inherits, and enters it.
fn entry(code: &mut [u8], file: i32) -> usize {
    let mut a = Asm::new(code);
    // Readable, writable, executable; shared, fixed.
    for (register, value) in
        [(0, BASE as u64), (1, space::SIZE as u64), (2, 7), (3, 0x11), (4, file as u64), (5, 0)]
    {
        a.mov_imm(Reg(register), value);
    }
    system_call(&mut a, MMAP);
    a.mov_imm(Reg(9), (BASE + at::CONTEXT - 4096) as u64);
    a.try_add_imm(Width::X64, SP, Reg(9), 0);
    a.mov_imm(Reg(9), (BASE + at::STUBS) as u64);
    a.blr(Reg(9));
    a.words() * 4
}
