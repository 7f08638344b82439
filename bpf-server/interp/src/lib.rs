//! The reference interpreter for eBPF (RFC 9669, cpu v4).
//!
//! It is written to be read beside the specification, and every compiler test runs here too. It needs no verifier:
//! registers are plain numbers, each access goes through a [`Memory`] that may refuse, the call depth and the number of
//! executed instructions are bounded. A server whose compiler refuses a program runs it here over [`Trusted`] memory, after
//! verification.
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;

mod alu;
mod memory;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use axiom_bpf_isa::{Insn, abi};
pub use memory::{Memory, Size, Trusted};
#[cfg(feature = "alloc")]
pub use memory::{Region, Regions};

use axiom_bpf_isa::{atomic, opcode::*};
use core::fmt;

/// Nested functions, the entry included.
pub const MAX_DEPTH: usize = 8;
/// Bytes of stack per function.
pub const STACK: usize = 512;

/// Why a run stopped. `at` is the instruction slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Fault {
    /// An opcode, register or variant outside the instruction set.
    BadInsn { at: usize, op: u8 },
    /// The program counter left the program.
    OutOfProgram { at: usize },
    /// An access to memory that is not the program's.
    BadAccess { at: usize, address: u64, size: u8, write: bool },
    /// A helper that does not exist or refused to run.
    BadHelper { at: usize, id: u64 },
    /// An address that the loader did not resolve.
    Unresolved { at: usize },
    /// More than [`MAX_DEPTH`] nested calls.
    TooDeep { at: usize },
    /// The instruction budget is used up.
    OutOfBudget { at: usize },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Fault::BadInsn { at, op } => {
                write!(f, "instruction {at}: {op:#04x} is not a valid BPF instruction")
            }
            Fault::OutOfProgram { at } => write!(f, "instruction {at}: control leaves the program"),
            Fault::BadAccess { at, address, size, write } => write!(
                f,
                "instruction {at}: {} of {size} bytes at {address:#x}, which is not the program's memory",
                if write { "write" } else { "read" }
            ),
            Fault::BadHelper { at, id } => write!(f, "instruction {at}: helper {id} does not exist"),
            Fault::Unresolved { at } => write!(f, "instruction {at}: loads an address that nothing resolves"),
            Fault::TooDeep { at } => write!(f, "instruction {at}: more than {MAX_DEPTH} nested calls"),
            Fault::OutOfBudget { at } => write!(f, "instruction {at}: the instruction budget is used up"),
        }
    }
}

impl core::error::Error for Fault {}

/// What a program can reach outside its registers.
pub trait World: Memory {
    /// Calls a helper; `None` if there is no such helper.
    fn helper(&mut self, id: u64, args: [u64; 5]) -> Option<u64>;
    /// The value of a wide load with a pseudo source.
    fn resolve(&self, src: u8, imm: i32, next: i32) -> Option<u64>;
}

/// Memory with no helpers and no maps.
pub struct Bare<M>(pub M);

impl<M: Memory> Memory for Bare<M> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.0.load(address, size)
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.0.store(address, size, value)
    }
}

impl<M: Memory> World for Bare<M> {
    fn helper(&mut self, _id: u64, _args: [u64; 5]) -> Option<u64> {
        None
    }
    fn resolve(&self, _src: u8, _imm: i32, _next: i32) -> Option<u64> {
        None
    }
}

#[derive(Clone, Copy)]
struct Frame {
    back_to: usize,
    saved: [u64; 4],
}

/// The stack of one run, apart so that a server keeps it out of its own frames.
#[repr(align(16))]
pub struct Stack([u8; STACK * MAX_DEPTH]);

impl Default for Stack {
    fn default() -> Stack {
        Stack([0; STACK * MAX_DEPTH])
    }
}

/// Runs `program` with `r1` and `r2`, each function on a stack of zeros, so that nothing is read that another program left; returns r0 and leaves what is left of `budget` (instructions) there.
pub fn run<W: World>(
    program: &[Insn],
    world: &mut W,
    stack: &mut Stack,
    r1: u64,
    r2: u64,
    budget: &mut u64,
) -> Result<u64, Fault> {
    let mut m = Machine {
        world,
        base: stack.0.as_ptr() as u64,
        stack: &mut stack.0,
        r: [0; 16],
        frames: [Frame { back_to: 0, saved: [0; 4] }; MAX_DEPTH],
        depth: 0,
    };
    m.r[1] = r1;
    m.r[2] = r2;
    m.r[10] = m.base + STACK as u64;
    m.clear_frame();
    m.run(program, budget)
}

struct Machine<'a, W> {
    world: &'a mut W,
    base: u64,
    stack: &'a mut [u8; STACK * MAX_DEPTH],
    r: [u64; 16],
    frames: [Frame; MAX_DEPTH],
    depth: usize,
}

impl<W: World> Machine<'_, W> {
    fn run(&mut self, program: &[Insn], budget: &mut u64) -> Result<u64, Fault> {
        let mut pc = 0usize;
        loop {
            let Some(&insn) = program.get(pc) else { return Err(Fault::OutOfProgram { at: pc }) };
            let at = pc;
            if *budget == 0 {
                return Err(Fault::OutOfBudget { at });
            }
            *budget -= 1;
            let bad = Fault::BadInsn { at, op: insn.op };
            let (dst, src) = (insn.dst() as usize, insn.src() as usize);
            if dst > 10 {
                return Err(bad);
            }
            pc += 1;
            match insn.op & 7 {
                4 | 7 => {
                    if dst > 9 || src > 10 {
                        return Err(bad);
                    }
                    let wide = insn.op & 7 == 7;
                    self.r[dst] = alu::eval(insn, wide, self.r[dst], self.r[src]).ok_or(bad)?;
                }
                5 | 6 => match insn.op {
                    EXIT => {
                        if self.depth == 0 {
                            return Ok(self.r[0]);
                        }
                        self.depth -= 1;
                        let frame = self.frames[self.depth];
                        self.r[6..10].copy_from_slice(&frame.saved);
                        self.r[10] = self.base + (STACK * (self.depth + 1)) as u64;
                        pc = frame.back_to;
                    }
                    JA => pc = target(at, insn.off as i64, program.len())?,
                    JA32 => pc = target(at, insn.imm as i64, program.len())?,
                    CALL if src == 1 => {
                        if self.depth + 1 == MAX_DEPTH {
                            return Err(Fault::TooDeep { at });
                        }
                        let mut frame = Frame { back_to: pc, saved: [0; 4] };
                        frame.saved.copy_from_slice(&self.r[6..10]);
                        self.frames[self.depth] = frame;
                        self.depth += 1;
                        self.clear_frame();
                        self.r[10] = self.base + (STACK * (self.depth + 1)) as u64;
                        pc = target(at, insn.imm as i64, program.len())?;
                    }
                    CALL if src == 0 => self.helper(at, insn.imm as u32 as u64)?,
                    CALLX => self.helper(at, self.r[dst])?,
                    _ => {
                        if src > 10 {
                            return Err(bad);
                        }
                        let wide = insn.op & 7 == 5;
                        if alu::compare(insn, wide, self.r[dst], self.r[src]).ok_or(bad)? {
                            pc = target(at, insn.off as i64, program.len())?;
                        }
                    }
                },
                0 => {
                    if insn.op != LDDW || dst > 9 {
                        return Err(bad);
                    }
                    let Some(next) = program.get(pc) else { return Err(Fault::OutOfProgram { at: pc }) };
                    self.r[dst] = if src == 0 {
                        insn.imm as u32 as u64 | (next.imm as u32 as u64) << 32
                    } else {
                        self.world.resolve(src as u8, insn.imm, next.imm).ok_or(Fault::Unresolved { at })?
                    };
                    pc += 1;
                }
                1 => {
                    if dst > 9 || src > 10 {
                        return Err(bad);
                    }
                    let (size, signed) = match insn.op {
                        LDXW => (Size::B4, false),
                        LDXH => (Size::B2, false),
                        LDXB => (Size::B1, false),
                        LDXDW => (Size::B8, false),
                        LDXSW => (Size::B4, true),
                        LDXSH => (Size::B2, true),
                        LDXSB => (Size::B1, true),
                        _ => return Err(bad),
                    };
                    let value = self.load(at, self.address(src, insn.off), size)?;
                    self.r[dst] = if signed { size.sign_extend(value) } else { value };
                }
                _ => {
                    if src > 10 {
                        return Err(bad);
                    }
                    let size = match insn.op {
                        STW | STXW => Size::B4,
                        STH | STXH => Size::B2,
                        STB | STXB => Size::B1,
                        STDW | STXDW => Size::B8,
                        ATOMICW => {
                            self.atomic(at, insn, Size::B4)?;
                            continue;
                        }
                        ATOMICDW => {
                            self.atomic(at, insn, Size::B8)?;
                            continue;
                        }
                        _ => return Err(bad),
                    };
                    let value = if insn.op & 1 == 1 { self.r[src] } else { insn.imm as i64 as u64 };
                    self.store(at, self.address(dst, insn.off), size, value)?;
                }
            }
        }
    }

    /// The function that starts now finds zeros on its stack, as in compiled code.
    fn clear_frame(&mut self) {
        self.stack[STACK * self.depth..STACK * (self.depth + 1)].fill(0);
    }

    fn address(&self, register: usize, off: i16) -> u64 {
        self.r[register].wrapping_add(off as i64 as u64)
    }

    /// The offset of an access inside the stack, if it lies there: the frames in use, not those that are not.
    fn on_stack(&self, address: u64, size: Size) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        let used = (STACK * (self.depth + 1)) as u64;
        (offset < used && offset + size.bytes() as u64 <= used).then_some(offset as usize)
    }

    fn load(&mut self, at: usize, address: u64, size: Size) -> Result<u64, Fault> {
        if let Some(o) = self.on_stack(address, size) {
            return Ok(size.get(&self.stack[o..]));
        }
        let fault = Fault::BadAccess { at, address, size: size.bytes() as u8, write: false };
        self.world.load(address, size).ok_or(fault)
    }

    fn store(&mut self, at: usize, address: u64, size: Size, value: u64) -> Result<(), Fault> {
        if let Some(o) = self.on_stack(address, size) {
            size.put(&mut self.stack[o..], value);
            return Ok(());
        }
        let fault = Fault::BadAccess { at, address, size: size.bytes() as u8, write: true };
        self.world.store(address, size, value).ok_or(fault)
    }

    fn helper(&mut self, at: usize, id: u64) -> Result<(), Fault> {
        let args = [self.r[1], self.r[2], self.r[3], self.r[4], self.r[5]];
        self.r[0] = self.world.helper(id, args).ok_or(Fault::BadHelper { at, id })?;
        Ok(())
    }

    fn atomic(&mut self, at: usize, insn: Insn, size: Size) -> Result<(), Fault> {
        let bad = Fault::BadInsn { at, op: insn.op };
        if insn.src() > 9 {
            return Err(bad);
        }
        let src = insn.src() as usize;
        let operand = size.truncate(self.r[src]);
        let expected = size.truncate(self.r[0]);
        let operation: fn(u64, u64, u64) -> u64 = match insn.imm {
            atomic::ADD | atomic::FETCH_ADD => |old, s, _| old.wrapping_add(s),
            atomic::OR | atomic::FETCH_OR => |old, s, _| old | s,
            atomic::AND | atomic::FETCH_AND => |old, s, _| old & s,
            atomic::XOR | atomic::FETCH_XOR => |old, s, _| old ^ s,
            atomic::XCHG => |_, s, _| s,
            atomic::CMPXCHG => |old, s, expected| if old == expected { s } else { old },
            _ => return Err(bad),
        };
        let address = self.address(insn.dst() as usize, insn.off);
        let old = if let Some(o) = self.on_stack(address, size) {
            let old = size.get(&self.stack[o..]);
            size.put(&mut self.stack[o..], operation(old, operand, expected));
            old
        } else {
            let fault = Fault::BadAccess { at, address, size: size.bytes() as u8, write: true };
            self.world.update(address, size, &mut |old| operation(old, operand, expected)).ok_or(fault)?
        };
        match insn.imm {
            atomic::CMPXCHG => self.r[0] = old,
            other if other & 1 == 1 => self.r[src] = old,
            _ => {}
        }
        Ok(())
    }
}

fn target(at: usize, delta: i64, len: usize) -> Result<usize, Fault> {
    let to = at as i64 + 1 + delta;
    if to < 0 || to >= len as i64 { Err(Fault::OutOfProgram { at }) } else { Ok(to as usize) }
}
