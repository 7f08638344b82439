//! Several instructions that become one: extensions of 32 bits, and addresses.

use super::asm::{Reg, Rm, Size, Width};
use super::emit::{Emitter, REGS};
use crate::Insn;
use axiom_bpf_isa::opcode::*;

/// An address as one instruction can form it.
#[derive(Clone, Copy)]
struct Address {
    base: Option<Reg>,
    index: Option<(Reg, u8)>,
    disp: i64,
}

impl Address {
    fn place(&self) -> Option<Rm> {
        let disp = i32::try_from(self.disp).ok()?;
        match (self.base, self.index) {
            (Some(base), None) => Some(Rm::Mem(base, disp)),
            (Some(base), Some((index, scale))) => Some(Rm::Index(base, index, scale, disp)),
            (None, Some((index, scale))) => Some(Rm::Scaled(index, scale, disp)),
            (None, None) => None,
        }
    }

    /// This plus a register.
    fn plus(self, r: Reg) -> Option<Address> {
        match (self.base, self.index) {
            (None, _) => Some(Address { base: Some(r), ..self }),
            (Some(_), None) => Some(Address { index: Some((r, 0)), ..self }),
            _ => None,
        }
    }

    /// This plus a constant.
    fn plus_constant(self, n: i64) -> Option<Address> {
        let disp = self.disp + n;
        i32::try_from(disp).ok().map(|_| Address { disp, ..self })
    }

    /// This, shifted left by 1 to 3.
    fn shifted(self, by: i32) -> Option<Address> {
        match (self.base, self.index, self.disp) {
            (Some(r), None, 0) if (1..=3).contains(&by) => {
                Some(Address { base: None, index: Some((r, by as u8)), disp: 0 })
            }
            _ => None,
        }
    }

    fn parts(&self) -> usize {
        usize::from(self.base.is_some()) + usize::from(self.index.is_some()) + usize::from(self.disp != 0)
    }
}

impl Emitter<'_, '_> {
    /// Emits the first instructions of `program` (64-bit arithmetic; nothing jumps between them) as one, if that is possible; returns how many.
    pub fn fuse(&mut self, program: &[Insn]) -> Option<usize> {
        let [first, second, ..] = program else { return None };
        if second.dst() != first.dst() {
            return None;
        }
        let d = REGS[first.dst() as usize];
        // lsh 32 followed by a right shift by 32 extends the low half.
        if first.op == LSH64K && first.imm & 63 == 32 {
            match (second.op, second.imm & 63) {
                (RSH64K, 32) => self.asm.mov(Width::W32, d, d),
                (ARSH64K, 32) => self.asm.load_signed(Width::X64, Size::B4, d, Rm::Reg(d)),
                _ => return None,
            }
            return Some(2);
        }
        self.fuse_address(program)
    }

    fn fuse_address(&mut self, program: &[Insn]) -> Option<usize> {
        let dst = program[0].dst();
        let d = REGS[dst as usize];
        let blind = self.features.blind.is_some();
        let mut sum = Address { base: Some(d), index: None, disp: 0 };
        // The longest that an addition of addresses can do so far.
        let mut best = None;
        for (n, insn) in program.iter().enumerate() {
            if insn.dst() != dst || insn.src() > 10 {
                break;
            }
            let source = REGS[insn.src() as usize];
            let next = match insn.op {
                MOV64X if n == 0 && insn.off == 0 => {
                    Some(Address { base: Some(source), index: None, disp: 0 })
                }
                ADD64X if insn.src() != dst => sum.plus(source),
                ADD64K if !blind => sum.plus_constant(insn.imm.into()),
                LSH64K => sum.shifted(insn.imm & 63),
                LDXW | LDXH | LDXB | LDXDW | LDXSW | LDXSH | LDXSB if n > 0 && insn.src() == dst => {
                    let place = sum.plus_constant(insn.off.into())?.place()?;
                    self.load_from(*insn, place)?;
                    return Some(n + 1);
                }
                _ => None,
            };
            let Some(next) = next else { break };
            sum = next;
            // Three parts take a second cycle: only for three instructions.
            if n > 0 && (sum.parts() < 3 || n > 1) {
                best = Some((n + 1, sum));
            }
        }
        let (used, sum) = best?;
        self.asm.lea(Width::X64, d, sum.place()?);
        Some(used)
    }
}
