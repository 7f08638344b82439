//! x86-64: what enters a program, stands for the helpers, and makes the process.

use super::{DONE, Machine, mail};
use crate::space::{self, BASE, at};
use axiom_bpf_jit::x64::{Asm, Cond, Features, Op, Reg, Rm, Size, Width};
use axiom_bpf_jit::{CompileError, Compiler, Insn, Resolve};

/// x86-64, on an x86-64 machine or under qemu-x86_64.
pub const X64: Machine = Machine {
    name: "x86_64",
    elf: 62,
    emulator: "qemu-x86_64",
    override_emulator: "AXIOM_QEMU_X86_64",
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
    // What an emulator can do is not known here: then without.
    let mut compiler = Compiler::new(Features::of_this_machine().unwrap_or_default());
    compiler.set_zero_stack(zero_stack);
    compiler.compile(insns, resolve, out)
}

const READ: u64 = 0;
const WRITE: u64 = 1;
const MMAP: u64 = 9;
const EXIT: u64 = 60;

/// RCX and R11 do not survive it.
fn system_call(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg::RAX, number);
    a.bytes(&[0x0f, 0x05]);
}

/// A word of the mailbox, whose address is in RBX.
fn word(index: usize) -> Rm {
    Rm::Mem(Reg::RBX, index as i32 * 8)
}

/// Sends or receives one byte.
fn byte(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg::RDI, if number == WRITE { 1 } else { 0 });
    a.lea(Width::X64, Reg::RSI, word(mail::BYTE));
    a.mov_imm(Reg::RDX, 1);
    system_call(a, number);
}

/// The code that enters the program, and a stub for each helper; fills the helper table.
fn stubs(code: &mut [u8], table: &mut [u64]) -> Option<()> {
    let mut a = Asm::new(code);
    // So often as wanted: r0 = program(table, context, length).
    a.mov_imm(Reg::RBX, BASE as u64);
    let again = a.len();
    a.load(Size::B8, Reg::RSI, word(mail::CONTEXT));
    a.load(Size::B8, Reg::RDX, word(mail::LENGTH));
    a.mov_imm(Reg::RDI, (BASE + at::TABLE) as u64);
    a.call_mem(word(mail::ENTRY));
    a.store(Size::B8, word(mail::RESULT), Reg::RAX);
    a.load(Size::B8, Reg::RAX, word(mail::RUNS));
    a.ri(Op::Sub, Width::X64, Reg::RAX, 1);
    a.store(Size::B8, word(mail::RUNS), Reg::RAX);
    let back = again as i64 - a.len() as i64 - 6;
    a.jcc(Cond::NotEqual, back as i32);
    a.mov_imm(Reg::RAX, DONE);
    a.store(Size::B8, word(mail::SLOT), Reg::RAX);
    byte(&mut a, WRITE);
    a.mov_imm(Reg::RDI, 0);
    system_call(&mut a, EXIT);
    // What all helpers share: R11 holds the slot.
    let common = a.len();
    a.push(Reg::RBX);
    a.mov_imm(Reg::RBX, BASE as u64);
    a.store(Size::B8, word(mail::SLOT), Reg::R11);
    for (n, argument) in [Reg::RSI, Reg::RDX, Reg::RCX, Reg::R8, Reg::R9].into_iter().enumerate() {
        a.store(Size::B8, word(mail::ARGUMENTS + n), argument);
    }
    byte(&mut a, WRITE);
    byte(&mut a, READ);
    a.load(Size::B8, Reg::RAX, word(mail::RETURNED));
    a.pop(Reg::RBX);
    a.ret();
    for (slot, entry) in table.iter_mut().enumerate() {
        *entry = (BASE + at::STUBS + a.len()) as u64;
        a.mov_imm(Reg::R11, slot as u64);
        let back = common as i64 - a.len() as i64 - 5;
        a.jmp(back as i32);
    }
    a.fits().then_some(())
}

/// What the process does first: maps the memory behind a file that it inherits, and enters it.
fn entry(code: &mut [u8], file: i32) -> usize {
    let mut a = Asm::new(code);
    // Readable, writable, executable; shared, fixed.
    for (register, value) in [
        (Reg::RDI, BASE as u64),
        (Reg::RSI, space::SIZE as u64),
        (Reg::RDX, 7),
        (Reg::R10, 0x11),
        (Reg::R8, file as u64),
        (Reg::R9, 0),
    ] {
        a.mov_imm(register, value);
    }
    system_call(&mut a, MMAP);
    // Calls want a stack at a multiple of 16, and this one pushes 8.
    a.mov_imm(Reg::RSP, (BASE + at::CONTEXT - 4096 + 8) as u64);
    a.mov_imm(Reg::RAX, (BASE + at::STUBS) as u64);
    a.call_mem(Rm::Reg(Reg::RAX));
    a.len()
}
