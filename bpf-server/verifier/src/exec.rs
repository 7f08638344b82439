//! What one instruction does to what is known.
//!
//! A rule that is broken is noted in [`Machine::fail`] and the analysis goes on as if the access had stayed inside its
//! memory. That is sound, since a program with a noted failure is refused, and it keeps passes over a loop that has not
//! converged yet from failing: they run with `quiet` set.

use crate::Env;
use crate::num::Num;
use crate::report::Reason;
use crate::state::{Kind, Reg, State, why};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, opcode::*};

/// What a pass learned about an instruction, for the loop bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    None,
    /// The second operand of a subtraction; for a left shift, that it loses no bits.
    Range(i64, i64),
    /// Both operands of an addition, the second one first.
    Sum((i64, i64), (i64, i64)),
    /// A call of a function of the program that cannot reach the frame.
    Kept,
    /// An access to bytes of the function's own frame, from its lowest address.
    Frame(u16, u16),
}

/// The part of the verifier that instructions need.
pub struct Machine<'a> {
    pub insns: &'a [Insn],
    pub env: &'a Env<'a>,
    /// Failures are not noted.
    pub quiet: bool,
    pub fail: Option<(u32, Reason)>,
    /// Nesting of the function under analysis, 0 = entry.
    pub depth: usize,
    /// Filled only for functions with loops.
    pub notes: Vec<Note>,
    /// Slot of the first note.
    pub notes_from: usize,
    pub helpers: Vec<u32>,
    pub maps: Vec<u32>,
    pub zero_stack: bool,
    /// Lowest stack byte used, by depth.
    pub used: [i64; crate::state::DEPTH],
}

impl Machine<'_> {
    pub fn fail(&mut self, at: usize, reason: Reason) {
        if !self.quiet && self.fail.is_none() {
            self.fail = Some((at as u32, reason));
        }
    }

    /// Whether so many bytes, and what a block needs, can still be had.
    pub fn room(&self, bytes: usize) -> bool {
        self.env.limits.room.is_none_or(|room| room(bytes + crate::BLOCK_MEMORY))
    }

    pub(crate) fn note(&mut self, at: usize, note: Note) {
        if let Some(n) = at.checked_sub(self.notes_from).and_then(|i| self.notes.get_mut(i)) {
            *n = note;
        }
    }

    #[inline]
    pub(crate) fn reg(&self, s: &State, r: u8) -> Reg {
        if r < 10 { s.regs[r as usize] } else { Reg::pointer(Kind::Stack, self.depth as u32) }
    }

    /// Reads a register, which must hold something.
    #[inline]
    pub(crate) fn read(&mut self, at: usize, s: &State, r: u8) -> Reg {
        let v = self.reg(s, r);
        if v.kind == Kind::Unusable {
            self.unusable(at, r, v.at);
            return Reg::number(Num::TOP);
        }
        v
    }

    #[cold]
    fn unusable(&mut self, at: usize, register: u8, reason: u32) {
        let reason = match reason {
            why::CALL => Reason::LostByCall { register },
            why::DIFFERS => Reason::DiffersByPath { register },
            why::GIVEN_BACK => Reason::GivenBack { register },
            why::VOID => Reason::NoResult,
            _ => Reason::Unwritten { register },
        };
        self.fail(at, reason);
    }

    /// Reads a register, which must hold a number.
    #[inline]
    pub(crate) fn read_number(&mut self, at: usize, s: &State, r: u8) -> Reg {
        let v = self.read(at, s, r);
        if v.kind != Kind::Number {
            self.fail(at, Reason::PointerArithmetic { register: r });
            return Reg::number(Num::TOP);
        }
        v
    }

    /// Executes anything but jumps, calls of functions and exits.
    #[inline]
    pub fn step(&mut self, at: usize, s: &mut State) {
        let i = self.insns[at];
        match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 => self.alu(at, i, s),
            CLASS_LD => self.wide_load(at, i, s),
            CLASS_LDX => self.load(at, i, s),
            CLASS_ST => {
                let v = Reg::number(Num::of(i.imm as i64 as u64));
                self.store(at, i, s, v);
            }
            CLASS_STX if i.op == ATOMICW || i.op == ATOMICDW => self.atomic(at, i, s),
            CLASS_STX => {
                let v = self.read(at, s, i.src());
                self.store(at, i, s, v);
            }
            _ => match i.op {
                CALL => self.helper(at, i.imm as u32, s),
                CALLX => match self.read(at, s, i.dst()).constant() {
                    Some(id) if id <= u32::MAX as u64 => self.helper(at, id as u32, s),
                    _ => self.fail(at, Reason::UnknownCallTarget { register: i.dst() }),
                },
                _ => {}
            },
        }
    }
}
