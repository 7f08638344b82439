//! What the walk asks of AArch64, but arithmetic.

use super::Features;
use super::asm::{Asm, Cond, Mem, Reg, SP, Width, ZR};
use super::plain::NONE;
use crate::program::{Fixup, Kind, Tables};
use crate::walk::{self, BPF_STACK, Comparison, Emission, Walk};
use crate::{CompileError, Insn, Keys, Resolve, abi};
use axiom_bpf_isa::jump::*;
use axiom_bpf_isa::opcode::*;

/// No BPF instruction becomes more words than this.
const MAX_WORDS_PER_INSN: i64 = 24;

pub(crate) const TMP: Reg = Reg(16);
pub(crate) const TMP2: Reg = Reg(17);
pub(crate) const TMP3: Reg = Reg(15);
const RT: Reg = Reg(23);
const LR: Reg = Reg(30);

/// Where r0 to r9 are in a function that calls something, and in one that does not.
const SAVED: [u8; 16] = registers(19);
const FREE: [u8; 16] = registers(9);

const fn registers(r6: u8) -> [u8; 16] {
    let mut regs = [NONE; 16];
    let mut r = 0;
    while r < 10 {
        regs[r as usize] = if r < 6 { r } else { r6 + r - 6 };
        r += 1;
    }
    regs
}

pub(crate) struct Emitter<'a, 'b> {
    pub(crate) asm: Asm<'a>,
    pub(crate) features: Features,
    random: Keys,
    pub(super) walk: Walk<'b>,
    /// Bytes of saved registers below the BPF stack.
    save_bytes: i32,
    /// The whole frame.
    pub(super) frame: i32,
    /// The registers of r0 to r9; [`NONE`] for all other numbers.
    pub(super) regs: [u8; 16],
}

/// Words are stored whole: where the slice starts between two, they lie after that until they are done.
pub(crate) fn compile<const TABLED: bool>(
    features: Features,
    tables: &mut Tables,
    program: &[Insn],
    resolve: Resolve,
    out: &mut [u8],
) -> Result<usize, CompileError> {
    let skew = out.as_ptr().align_offset(4).min(out.len());
    let asm = Asm::new(&mut out[skew..]);
    let random = Keys::new(features.blind);
    let machine = |walk| Emitter { asm, features, random, walk, save_bytes: 0, frame: 0, regs: [NONE; 16] };
    match walk::compile::<_, TABLED>(tables, program, resolve, machine) {
        Ok(bytes) => {
            if skew > 0 {
                out.copy_within(skew..skew + bytes, 0);
            }
            Ok(bytes)
        }
        Err(CompileError::NoRoom { needed }) => Err(CompileError::NoRoom { needed: needed + skew }),
        Err(error) => Err(error),
    }
}

impl Emitter<'_, '_> {
    /// The register of a BPF register; r10 has none and is a caller's mistake here.
    pub(crate) fn reg(&self, r: u8) -> Reg {
        Reg(self.regs[usize::from(r & 15)])
    }

    /// A constant of the program's in a register; split where constants are blinded.
    pub(super) fn split(&mut self, w: Width, d: Reg, value: u64) {
        let a = &mut self.asm;
        if self.features.blind.is_none() {
            return a.mov_imm(d, value);
        }
        let other = if d == TMP2 { TMP3 } else { TMP2 };
        let key = self.random.next();
        // What is a number of 32 bits, extended, is split by one.
        let key = match w {
            Width::W32 => u64::from(key as u32),
            _ if i32::try_from(value as i64).is_ok() => key as i32 as u64,
            _ => key,
        };
        a.mov_imm(d, value ^ key);
        a.mov_imm(other, key);
        a.eor(w, d, d, other);
    }

    /// A source register; r10 is computed into `tmp`.
    pub(super) fn src(&mut self, r: u8, tmp: Reg) -> Reg {
        if r == 10 {
            self.asm.try_add_imm(Width::X64, tmp, SP, self.frame as i64);
            tmp
        } else {
            self.reg(r)
        }
    }

    fn saved_registers(&self) -> ([Reg; 6], usize) {
        let mut regs = [ZR; 6];
        let mut n = 0;
        let f = &self.walk.function;
        if f.calls {
            regs[n] = LR;
            n += 1;
            if self.walk.keeps_runtime() {
                regs[n] = RT;
                n += 1;
            }
            for r in 0..4 {
                if f.saved() & 1 << r != 0 {
                    regs[n] = Reg(19 + r);
                    n += 1;
                }
            }
        }
        (regs, n.div_ceil(2))
    }

    /// Saves registers and moves the stack pointer.
    fn save(&mut self) {
        let (regs, pairs) = self.saved_registers();
        let frame = self.frame;
        if frame == 0 {
            return;
        }
        if pairs == 0 {
            self.asm.try_add_imm(Width::X64, SP, SP, -(frame as i64));
            return;
        }
        let pre = frame <= 504;
        if !pre {
            self.asm.try_add_imm(Width::X64, SP, SP, -(frame as i64));
        }
        for p in 0..pairs {
            let (offset, index) = if p == 0 && pre { (-frame, true) } else { (p as i32 * 16, false) };
            self.asm.stp_sp(regs[p * 2], regs[p * 2 + 1], offset, index);
        }
        if self.walk.keeps_runtime() {
            self.asm.mov(Width::X64, RT, Reg(0));
        }
    }

    /// Emits an access at `base + off`, through scratch registers where the offset does not fit.
    fn access(&mut self, op: Mem, t: Reg, base: u8, off: i16) {
        let (n, offset) =
            if base == 10 { (SP, off as i64 + self.frame as i64) } else { (self.reg(base), off as i64) };
        if !self.asm.try_mem(op, t, n, offset) {
            self.asm.mov_imm(TMP2, offset as u64);
            self.asm.mem_reg(op, t, n, TMP2);
        }
    }

    /// The address `base + off` in a register: the base's own where the offset is zero.
    pub(crate) fn address(&mut self, base: u8, off: i16, tmp: Reg) -> Reg {
        let (n, offset) =
            if base == 10 { (SP, off as i64 + self.frame as i64) } else { (self.reg(base), off as i64) };
        if base != 10 && offset == 0 {
            return n;
        }
        if !self.asm.try_add_imm(Width::X64, tmp, n, offset) {
            // Only a large offset from an ordinary register comes here: the frame is at most 560 bytes.
            if base == 10 {
                self.asm.try_add_imm(Width::X64, tmp, SP, self.frame as i64);
                self.asm.mov_imm(TMP2, off as i64 as u64);
                self.asm.add(Width::X64, tmp, tmp, TMP2);
            } else {
                self.asm.mov_imm(tmp, offset as u64);
                self.asm.add(Width::X64, tmp, n, tmp);
            }
        }
        tmp
    }

    /// A distance in words for a branch to `target`: zero and a fix-up when it lies ahead.
    fn distance(&mut self, at: usize, target: usize) -> i32 {
        let here = self.asm.words() as u32;
        if target <= at {
            self.walk.offsets[target].wrapping_sub(here) as i32
        } else {
            self.walk.fix(Fixup { at: here, target: target as u32, kind: Kind::Jump });
            0
        }
    }

    /// A branch on the sign, on zero or on one bit, where one instruction does it.
    fn branch_alone(&mut self, c: &Comparison, d: Reg, imm: u64) -> bool {
        let operation = c.insn.operation();
        if let (JEQ | JNE, 0) = (operation, c.insn.imm) {
            let distance = self.distance(c.at, c.target);
            self.asm.cbz(c.width, operation == JNE, d, distance);
            return true;
        }
        let near = (c.target as i64 - c.at as i64).abs() * MAX_WORDS_PER_INSN < 1 << 13;
        let sign = c.width.bits() - 1;
        let (set, bit) = match (operation, c.insn.imm) {
            (JSET, _) if imm.is_power_of_two() => (true, imm.trailing_zeros()),
            // Below zero, or not.
            (JSLT, 0) | (JSLE, -1) => (true, sign),
            (JSGE, 0) | (JSGT, -1) => (false, sign),
            _ => return false,
        };
        if near {
            let distance = self.distance(c.at, c.target);
            self.asm.tbz(set, d, bit, distance);
        }
        near
    }
}

impl<'b> Emission<'b> for Emitter<'_, 'b> {
    /// Reach of a conditional branch, in words.
    const REACH: usize = 1 << 18;
    const UNIT: usize = 4;

    fn walk(&mut self) -> &mut Walk<'b> {
        &mut self.walk
    }

    fn here(&self) -> u32 {
        self.asm.words() as u32
    }

    fn fits(&self) -> bool {
        self.asm.fits()
    }

    fn align(&mut self) {}

    fn prologue(&mut self) {
        let function = self.walk.function;
        self.regs = if function.calls { SAVED } else { FREE };
        let (_, pairs) = self.saved_registers();
        self.save_bytes = pairs as i32 * 16;
        self.frame = self.save_bytes + if function.stack() { BPF_STACK } else { 0 };
        self.save();
        if self.walk.zero_stack && function.stack() {
            self.asm.try_add_imm(Width::X64, TMP, SP, self.save_bytes as i64);
            for offset in (0..BPF_STACK).step_by(16) {
                self.asm.stp(ZR, ZR, TMP, offset);
            }
        }
    }

    fn epilogue(&mut self) {
        let (regs, pairs) = self.saved_registers();
        let frame = self.frame;
        if pairs == 0 {
            if frame != 0 {
                self.asm.try_add_imm(Width::X64, SP, SP, frame as i64);
            }
        } else {
            let post = frame <= 504;
            for p in (0..pairs).rev() {
                let (offset, index) = if p == 0 && post { (frame, true) } else { (p as i32 * 16, false) };
                self.asm.ldp_sp(regs[p * 2], regs[p * 2 + 1], offset, index);
            }
            if !post {
                self.asm.try_add_imm(Width::X64, SP, SP, frame as i64);
            }
        }
        self.asm.ret();
    }

    fn plain(&mut self, at: usize, end: usize, program: &[Insn]) -> usize {
        self.by_table(at, end, program)
    }

    fn alu(&mut self, at: usize, end: usize, width: Width, program: &[Insn]) -> Option<usize> {
        let next = (self.walk.free(at, end, 1) > 1).then(|| program[at + 1]);
        self.arithmetic(program[at], width, next).map(|absorbed| 1 + usize::from(absorbed))
    }

    fn load(&mut self, insn: Insn) -> Option<()> {
        let op = match insn.op {
            LDXW => Mem::LdrW,
            LDXH => Mem::Ldrh,
            LDXB => Mem::Ldrb,
            LDXDW => Mem::LdrX,
            LDXSW => Mem::Ldrsw,
            LDXSH => Mem::Ldrsh,
            LDXSB => Mem::Ldrsb,
            _ => return None,
        };
        let d = self.reg(insn.dst());
        self.access(op, d, insn.src(), insn.off);
        Some(())
    }

    fn store(&mut self, insn: Insn) -> Option<()> {
        let op = match insn.op | 1 {
            STXW => Mem::StrW,
            STXH => Mem::Strh,
            STXB => Mem::Strb,
            STXDW => Mem::StrX,
            ATOMICW => return self.atomic(insn, Width::W32),
            ATOMICDW => return self.atomic(insn, Width::X64),
            _ => return None,
        };
        let t = if insn.class() == CLASS_STX {
            self.src(insn.src(), TMP)
        } else if insn.imm == 0 {
            ZR
        } else {
            let keep = match op {
                Mem::Strb => insn.imm as u8 as u64,
                Mem::Strh => insn.imm as u16 as u64,
                Mem::StrW => insn.imm as u32 as u64,
                _ => insn.imm as i64 as u64,
            };
            self.split(if op == Mem::StrX { Width::X64 } else { Width::W32 }, TMP, keep);
            TMP
        };
        self.access(op, t, insn.dst(), insn.off);
        Some(())
    }

    fn constant(&mut self, dst: u8, value: u64) {
        let d = self.reg(dst);
        self.split(Width::X64, d, value);
    }

    fn address_of_ours(&mut self, dst: u8, value: u64) {
        let d = self.reg(dst);
        self.asm.mov_imm(d, value);
    }

    fn call_helper(&mut self, slot: usize) {
        self.asm.mov(Width::X64, Reg(0), RT);
        self.asm.try_mem(Mem::LdrX, TMP, Reg(0), slot as i64 * 8);
        self.asm.blr(TMP);
    }

    fn call_function(&mut self, target: u32) {
        self.walk.fix(Fixup { at: self.asm.words() as u32, target, kind: Kind::Call });
        self.asm.bl(0);
    }

    fn call_register(&mut self, dst: u8) {
        let id = self.reg(dst);
        let a = &mut self.asm;
        let own = abi::OWN_FIRST_SLOT as i64;
        a.mov(Width::X64, TMP, id);
        // Axiom's own numbers start at 0x1_0000 and follow Linux's in the table.
        a.try_cmp_imm(Width::X64, TMP, abi::OWN_FIRST as i64);
        a.b_cond(Cond::Lo, 4);
        a.mov_imm(TMP2, (own - abi::OWN_FIRST as i64) as u64);
        a.add(Width::X64, TMP, TMP, TMP2);
        a.b(3);
        // Between the two ranges there is nothing.
        a.try_cmp_imm(Width::X64, TMP, own);
        a.b_cond(Cond::Hs, 3);
        a.try_cmp_imm(Width::X64, TMP, abi::HELPER_SLOTS as i64 - 1);
        a.b_cond(Cond::Lo, 2);
        a.mov_imm(TMP, abi::HELPER_SLOTS as u64 - 1);
        a.mov(Width::X64, Reg(0), RT);
        a.ldr_indexed(TMP, Reg(0), TMP);
        a.blr(TMP);
    }

    fn jump(&mut self, at: usize, target: usize, _program: &[Insn]) {
        let distance = self.distance(at, target);
        self.asm.b(distance);
    }

    fn compare(&mut self, c: &Comparison, _program: &[Insn]) -> Option<()> {
        let (insn, w) = (c.insn, c.width);
        let operation = insn.operation();
        let cond = match operation {
            JEQ => Cond::Eq,
            JGT => Cond::Hi,
            JGE => Cond::Hs,
            JSET | JNE => Cond::Ne,
            JSGT => Cond::Gt,
            JSGE => Cond::Ge,
            JLT => Cond::Lo,
            JLE => Cond::Ls,
            JSLT => Cond::Lt,
            JSLE => Cond::Le,
            _ => return None,
        };
        let d = self.src(insn.dst(), TMP);
        let imm = if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 };
        if insn.has_register() {
            let s = self.src(insn.src(), TMP2);
            match operation {
                JSET => self.asm.tst(w, d, s),
                _ => self.asm.cmp(w, d, s),
            }
        } else if self.branch_alone(c, d, imm) {
            // A sign, zero or one bit: no constant.
            return Some(());
        } else if self.features.blind.is_some() {
            self.split(w, TMP2, imm);
            match operation {
                JSET => self.asm.tst(w, d, TMP2),
                _ => self.asm.cmp(w, d, TMP2),
            }
        } else if operation == JSET {
            if !self.asm.try_tst_imm(w, d, imm) {
                self.asm.mov_imm(TMP2, imm);
                self.asm.tst(w, d, TMP2);
            }
        } else if !self.asm.try_cmp_imm(w, d, insn.imm as i64) {
            self.asm.mov_imm(TMP2, imm);
            self.asm.cmp(w, d, TMP2);
        }
        let distance = self.distance(c.at, c.target);
        self.asm.b_cond(cond, distance);
        Some(())
    }

    fn patch(&mut self, fixup: Fixup, to: u32) -> Result<(), CompileError> {
        let old = self.asm.word(fixup.at as usize);
        let distance = to.wrapping_sub(fixup.at);
        let new = if old & 0x7c00_0000 == 0x1400_0000 {
            old | (distance & 0x03ff_ffff) // b, bl
        } else if old & 0x7e00_0000 == 0x3600_0000 {
            old | (distance & 0x3fff) << 5 // tbz, tbnz
        } else {
            old | (distance & 0x7ffff) << 5 // b.cond, cbz, cbnz
        };
        self.asm.patch(fixup.at as usize, new);
        Ok(())
    }
}
