//! One pass to emit, then the forward branches are patched.

use super::Features;
use super::asm::{Asm, Cond, Mem, Reg, SP, Width, ZR};
use super::plain::NONE;
use crate::program::*;
use crate::{CompileError, Insn, Resolve, abi};

/// BPF's stack per function.
const BPF_STACK: i32 = 512;
/// No BPF instruction becomes more words than this.
const MAX_WORDS_PER_INSN: i64 = 24;
/// Reach of a conditional branch, in words.
const MAX_WORDS: usize = 1 << 18;

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

const BL: u32 = 0x9400_0000;
const BL_MASK: u32 = 0xfc00_0000;

pub(crate) struct Emitter<'a, 'b> {
    pub(crate) asm: Asm<'a>,
    pub(crate) features: Features,
    pub(super) offsets: &'b mut [u32],
    pub(super) fixups: &'b mut alloc::vec::Vec<Fixup>,
    function: Function,
    is_entry: bool,
    uses_helpers: bool,
    zero_stack: bool,
    /// Bytes of saved registers below the BPF stack.
    save_bytes: i32,
    /// The whole frame.
    pub(super) frame: i32,
    /// The registers of r0 to r9; [`NONE`] for all other numbers.
    pub(super) regs: [u8; 16],
    /// A note could not be kept.
    pub(super) no_memory: bool,
    #[cfg(test)]
    general: u32,
}

/// Words are stored whole: where the slice starts between two, they lie behind that until they are done.
pub(crate) fn compile<const TABLED: bool>(
    features: Features,
    c: &mut Tables,
    program: &[Insn],
    resolve: Resolve,
    out: &mut [u8],
) -> Result<usize, CompileError> {
    let skew = out.as_ptr().align_offset(4).min(out.len());
    match compile_aligned::<TABLED>(features, c, program, resolve, &mut out[skew..]) {
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

/// `TABLED`: what [`super::plain`] knows is left to it (tests look at the same without it).
fn compile_aligned<const TABLED: bool>(
    features: Features,
    c: &mut Tables,
    program: &[Insn],
    resolve: Resolve,
    out: &mut [u8],
) -> Result<usize, CompileError> {
    let uses_helpers = scan(c, program)?;
    c.fixups.clear();
    let mut e = Emitter {
        asm: Asm::new(out),
        features,
        offsets: &mut c.offsets,
        fixups: &mut c.fixups,
        function: Function::default(),
        is_entry: true,
        uses_helpers,
        zero_stack: c.zero_stack,
        save_bytes: 0,
        frame: 0,
        regs: [NONE; 16],
        no_memory: false,
        #[cfg(test)]
        general: 0,
    };
    for index in 0..c.functions.len() {
        c.functions[index].entry = e.asm.words() as u32;
        e.function::<TABLED>(c.functions[index], index == 0, program, resolve)?;
    }
    #[cfg(test)]
    {
        c.general = e.general;
    }
    if e.no_memory {
        return Err(CompileError::NoMemory);
    }
    let words = e.asm.words();
    if words >= MAX_WORDS {
        return Err(CompileError::TooLarge);
    }
    if !e.asm.fits() {
        return Err(CompileError::NoRoom { needed: words * 4 });
    }
    for i in 0..e.fixups.len() {
        let Fixup { word, target, .. } = e.fixups[i];
        let old = e.asm.word(word as usize);
        let to = if old & BL_MASK == BL {
            let index = c.functions.binary_search_by_key(&target, |f| f.start);
            index.map_or(0, |i| c.functions[i].entry)
        } else {
            e.offsets[target as usize]
        };
        let distance = to.wrapping_sub(word);
        let new = if old & 0x7c00_0000 == 0x1400_0000 {
            old | (distance & 0x03ff_ffff) // b, bl
        } else if old & 0x7e00_0000 == 0x3600_0000 {
            old | (distance & 0x3fff) << 5 // tbz, tbnz
        } else {
            old | (distance & 0x7ffff) << 5 // b.cond, cbz, cbnz
        };
        e.asm.patch(word as usize, new);
    }
    Ok(words * 4)
}

impl Emitter<'_, '_> {
    /// The register of a BPF register; r10 has none and is a caller's mistake here.
    pub(crate) fn reg(&self, r: u8) -> Reg {
        Reg(self.regs[usize::from(r & 15)])
    }

    /// A source register; r10 is computed into `tmp`.
    fn src(&mut self, r: u8, tmp: Reg) -> Reg {
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
        let f = &self.function;
        if f.calls {
            regs[n] = LR;
            n += 1;
            if self.is_entry && self.uses_helpers {
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

    fn function<const TABLED: bool>(
        &mut self,
        function: Function,
        is_entry: bool,
        program: &[Insn],
        resolve: Resolve,
    ) -> Result<(), CompileError> {
        self.function = function;
        self.is_entry = is_entry;
        self.regs = if function.calls { SAVED } else { FREE };
        let (_, pairs) = self.saved_registers();
        self.save_bytes = pairs as i32 * 16;
        self.frame = self.save_bytes + if function.stack() { BPF_STACK } else { 0 };
        self.prologue();
        if self.zero_stack && function.stack() {
            self.asm.try_add_imm(Width::X64, TMP, SP, self.save_bytes as i64);
            for offset in (0..BPF_STACK).step_by(16) {
                self.asm.stp(ZR, ZR, TMP, offset);
            }
        }
        let mut at = function.start as usize;
        let end = function.end as usize;
        // The first slot's offset lies behind the prologue: jumps go there, calls to the function's entry.
        while at < end {
            if TABLED {
                at = self.plain(at, end, program);
                if at == end {
                    break;
                }
            }
            #[cfg(test)]
            {
                self.general += 1;
            }
            at = self.insn(at, end, program, resolve)?;
        }
        Ok(())
    }

    fn prologue(&mut self) {
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
        if self.is_entry && self.uses_helpers {
            self.asm.mov(Width::X64, RT, Reg(0));
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
}

/// What one instruction's emission needs to know of its surroundings.
struct Next {
    /// The following instruction, if it may be fused with this one (nothing jumps to it).
    insn: Option<Insn>,
}

impl Emitter<'_, '_> {
    fn mark(&mut self, at: usize) {
        self.offsets[at] = self.asm.words() as u32;
    }

    /// Emits the instruction at `at` (and what is fused with it); returns the next slot.
    fn insn(
        &mut self,
        at: usize,
        end: usize,
        program: &[Insn],
        resolve: Resolve,
    ) -> Result<usize, CompileError> {
        self.mark(at);
        let insn = program[at];
        let next = Next {
            insn: program.get(at + 1).copied().filter(|_| at + 1 < end && self.offsets[at + 1] & TARGET == 0),
        };
        let fused = match insn.op & 7 {
            CLASS_ALU64 => self.alu(at, insn, Width::X64, next)?,
            CLASS_ALU => self.alu(at, insn, Width::W32, next)?,
            CLASS_LDX => {
                self.load(at, insn)?;
                false
            }
            CLASS_ST | CLASS_STX => {
                self.store(at, insn)?;
                false
            }
            CLASS_JMP | CLASS_JMP32 => {
                self.jump(at, insn)?;
                false
            }
            _ => {
                self.wide_load(at, insn, program, resolve)?;
                true
            }
        };
        if fused {
            self.mark(at + 1);
            return Ok(at + 2);
        }
        Ok(at + 1)
    }

    fn wide_load(
        &mut self,
        at: usize,
        insn: Insn,
        program: &[Insn],
        resolve: Resolve,
    ) -> Result<(), CompileError> {
        if insn.op != LDDW || insn.dst() > 9 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let Some(next) = program.get(at + 1) else {
            return Err(CompileError::BadTarget { at, target: at as i64 + 1 });
        };
        let value = if insn.src() == 0 {
            insn.imm as u32 as u64 | (next.imm as u32 as u64) << 32
        } else {
            resolve(insn.src(), insn.imm, next.imm).ok_or(CompileError::Unresolved { at })?
        };
        let dst = self.reg(insn.dst());
        self.asm.mov_imm(dst, value);
        Ok(())
    }

    /// Arithmetic. Returns whether the next instruction was absorbed.
    fn alu(&mut self, at: usize, insn: Insn, w: Width, next: Next) -> Result<bool, CompileError> {
        let bad = CompileError::BadOpcode { at, op: insn.op };
        if insn.dst() > 9 || insn.src() > 10 {
            return Err(bad);
        }
        let d = self.reg(insn.dst());
        let operation = insn.op & 0xf0;
        let immediate = insn.op & 8 == 0;
        // Byte swaps and negation have no second operand.
        match operation {
            0xd0 => return self.swap(insn, w, d, immediate).ok_or(bad).map(|()| false),
            0x80 => {
                self.asm.sub(w, d, ZR, d);
                return Ok(false);
            }
            _ => {}
        }
        if immediate {
            return self.alu_imm(insn, w, d, operation, next).ok_or(bad);
        }
        if operation == 0xb0 && insn.off == 0 && w == Width::X64 {
            // mov d, s; add d, imm is one addition.
            if let Some(n) = next.insn
                && n.op == 0x07
                && n.dst() == insn.dst()
            {
                let (base, extra) =
                    if insn.src() == 10 { (SP, self.frame as i64) } else { (self.reg(insn.src()), 0) };
                if self.asm.try_add_imm(w, d, base, n.imm as i64 + extra) {
                    return Ok(true);
                }
            }
            if insn.src() == 10 {
                self.asm.try_add_imm(w, d, SP, self.frame as i64);
                return Ok(false);
            }
        }
        let s = self.src(insn.src(), TMP);
        match operation {
            0x00 => self.asm.add(w, d, d, s),
            0x10 => self.asm.sub(w, d, d, s),
            0x20 => self.asm.mul(w, d, d, s),
            0x30 if insn.off == 0 => self.asm.udiv(w, d, d, s),
            0x30 if insn.off == 1 => self.asm.sdiv(w, d, d, s),
            0x90 if insn.off == 0 => {
                self.asm.udiv(w, TMP2, d, s);
                self.asm.msub(w, d, TMP2, s, d);
            }
            0x90 if insn.off == 1 => {
                self.asm.sdiv(w, TMP2, d, s);
                self.asm.msub(w, d, TMP2, s, d);
            }
            0x40 => self.asm.orr(w, d, d, s),
            0x50 => self.asm.and(w, d, d, s),
            0xa0 => self.asm.eor(w, d, d, s),
            0x60 => self.asm.lslv(w, d, d, s),
            0x70 => self.asm.lsrv(w, d, d, s),
            0xc0 => self.asm.asrv(w, d, d, s),
            0xb0 => match (insn.off, w) {
                (0, _) => {
                    if w == Width::W32 || d != s {
                        self.asm.mov(w, d, s);
                    }
                }
                (8 | 16, _) | (32, Width::X64) => self.asm.sxt(w, d, s, insn.off as u32),
                _ => return Err(bad),
            },
            _ => return Err(bad),
        }
        Ok(false)
    }

    fn alu_imm(&mut self, insn: Insn, w: Width, d: Reg, operation: u8, next: Next) -> Option<bool> {
        // The immediate as the operation sees it: sign-extended, then cut to the width.
        let signed = insn.imm as i64;
        let imm = if w == Width::X64 { signed as u64 } else { insn.imm as u32 as u64 };
        let shift = insn.imm as u32 & (w.bits() - 1);
        let a = &mut self.asm;
        match operation {
            0x00 if signed == 0 && w == Width::X64 => {}
            0x00 => {
                if !a.try_add_imm(w, d, d, signed) {
                    a.mov_imm(TMP, imm);
                    a.add(w, d, d, TMP);
                }
            }
            0x10 => {
                if !a.try_add_imm(w, d, d, -signed) {
                    a.mov_imm(TMP, imm);
                    a.sub(w, d, d, TMP);
                }
            }
            0x20 => {
                if imm.is_power_of_two() {
                    a.lsl_imm(w, d, d, imm.trailing_zeros());
                } else {
                    a.mov_imm(TMP, imm);
                    a.mul(w, d, d, TMP);
                }
            }
            0x30 | 0x90 => self.divide_imm(insn, w, d, imm, operation == 0x90)?,
            0x40 => {
                if !a.try_orr_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.orr(w, d, d, TMP);
                }
            }
            0x50 => {
                if !a.try_and_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.and(w, d, d, TMP);
                }
            }
            0xa0 => {
                if !a.try_eor_imm(w, d, d, imm) {
                    a.mov_imm(TMP, imm);
                    a.eor(w, d, d, TMP);
                }
            }
            0x60 => {
                // lsl 32 followed by a right shift by 32 extends the low half.
                if w == Width::X64
                    && shift == 32
                    && let Some(n) = next.insn
                    && n.dst() == insn.dst()
                    && n.imm & 63 == 32
                {
                    if n.op == 0x77 {
                        a.mov(Width::W32, d, d);
                        return Some(true);
                    }
                    if n.op == 0xc7 {
                        a.sxt(Width::X64, d, d, 32);
                        return Some(true);
                    }
                }
                a.lsl_imm(w, d, d, shift);
            }
            0x70 => a.lsr_imm(w, d, d, shift),
            0xc0 => a.asr_imm(w, d, d, shift),
            0xb0 => a.mov_imm(d, imm),
            _ => return None,
        }
        Some(false)
    }

    fn divide_imm(&mut self, insn: Insn, w: Width, d: Reg, imm: u64, remainder: bool) -> Option<()> {
        let signed = match insn.off {
            0 => false,
            1 => true,
            _ => return None,
        };
        let a = &mut self.asm;
        match (remainder, signed) {
            (false, false) if imm.is_power_of_two() => a.lsr_imm(w, d, d, imm.trailing_zeros()),
            (true, false) if imm == 1 => a.mov_imm(d, 0),
            (true, false) if imm.is_power_of_two() && a.try_and_imm(w, d, d, imm - 1) => {}
            _ => {
                a.mov_imm(TMP, imm);
                let q = if remainder { TMP2 } else { d };
                if signed {
                    a.sdiv(w, q, d, TMP)
                } else {
                    a.udiv(w, q, d, TMP)
                }
                if remainder {
                    a.msub(w, d, TMP2, TMP, d);
                }
            }
        }
        Some(())
    }

    fn swap(&mut self, insn: Insn, w: Width, d: Reg, to_little: bool) -> Option<()> {
        let a = &mut self.asm;
        // ALU: to little (nothing but truncation here) or to big endian; ALU64: swap always.
        let swap = match (w, to_little) {
            (Width::W32, source) => !source,
            (Width::X64, true) => true,
            (Width::X64, false) => return None,
        };
        match (insn.imm, swap) {
            (16, false) => a.uxth(d, d),
            (32, false) => a.mov(Width::W32, d, d),
            (64, false) => {}
            (16, true) => {
                a.rev16(d, d);
                a.uxth(d, d);
            }
            (32, true) => a.rev(Width::W32, d, d),
            (64, true) => a.rev(Width::X64, d, d),
            _ => return None,
        }
        Some(())
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

    fn load(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        let op = match insn.op {
            0x61 => Mem::LdrW,
            0x69 => Mem::Ldrh,
            0x71 => Mem::Ldrb,
            0x79 => Mem::LdrX,
            0x81 => Mem::Ldrsw,
            0x89 => Mem::Ldrsh,
            0x91 => Mem::Ldrsb,
            op => return Err(CompileError::BadOpcode { at, op }),
        };
        if insn.dst() > 9 || insn.src() > 10 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let d = self.reg(insn.dst());
        self.access(op, d, insn.src(), insn.off);
        Ok(())
    }

    fn store(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        let bad = CompileError::BadOpcode { at, op: insn.op };
        if insn.dst() > 10 || insn.src() > 10 {
            return Err(bad);
        }
        let op = match insn.op & !1 | 1 {
            0x63 => Mem::StrW,
            0x6b => Mem::Strh,
            0x73 => Mem::Strb,
            0x7b => Mem::StrX,
            0xc3 => return self.atomic(insn, Width::W32).ok_or(bad),
            0xdb => return self.atomic(insn, Width::X64).ok_or(bad),
            _ => return Err(bad),
        };
        let t = if insn.op & 7 == CLASS_STX {
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
            self.asm.mov_imm(TMP, keep);
            TMP
        };
        self.access(op, t, insn.dst(), insn.off);
        Ok(())
    }

    /// A distance in words for a branch to `target`: zero and a fix-up when it lies ahead.
    fn distance(&mut self, at: usize, target: usize) -> i32 {
        let word = self.asm.words() as u32;
        if target <= at {
            self.offsets[target].wrapping_sub(word) as i32
        } else {
            self.fix(word, target as u32);
            0
        }
    }

    /// Notes a branch to fill in later.
    fn fix(&mut self, word: u32, target: u32) {
        fix(self.fixups, &mut self.no_memory, Fixup { word, target, kind: Kind::Jump });
    }

    fn call(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        if insn.op == CALLX {
            return self.call_register(at, insn);
        }
        match insn.src() {
            0 => {
                let id = insn.imm as u32;
                let slot = abi::slot(id).ok_or(CompileError::UnknownHelper { at, id })?;
                self.asm.mov(Width::X64, Reg(0), RT);
                self.asm.try_mem(Mem::LdrX, TMP, Reg(0), slot as i64 * 8);
                self.asm.blr(TMP);
            }
            1 => {
                let target = (at as i64 + 1 + insn.imm as i64) as u32;
                self.fix(self.asm.words() as u32, target);
                self.asm.bl(0);
            }
            _ => return Err(CompileError::UnknownHelper { at, id: insn.imm as u32 }),
        }
        Ok(())
    }

    /// A helper whose number is in a register: the number becomes a table slot, the last one when there is none.
    fn call_register(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        if insn.dst() > 9 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let id = self.reg(insn.dst());
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
        Ok(())
    }

    fn jump(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        match insn.op {
            EXIT => {
                self.epilogue();
                return Ok(());
            }
            CALL | CALLX => return self.call(at, insn),
            _ => {}
        }
        let delta = if insn.op == 0x06 { insn.imm as i64 } else { insn.off as i64 };
        let target = (at as i64 + 1 + delta) as usize; // `scan` has checked it
        if insn.op == 0x05 || insn.op == 0x06 {
            if target != at + 1 {
                let distance = self.distance(at, target);
                self.asm.b(distance);
            }
            return Ok(());
        }
        if insn.dst() > 10 || insn.src() > 10 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let w = if insn.op & 7 == CLASS_JMP { Width::X64 } else { Width::W32 };
        let immediate = insn.op & 8 == 0;
        let d = self.src(insn.dst(), TMP);
        let near = (target as i64 - at as i64).abs() * MAX_WORDS_PER_INSN < 1 << 13;
        let imm = if w == Width::X64 { insn.imm as i64 as u64 } else { insn.imm as u32 as u64 };
        let sign_bit = w.bits() - 1;
        let operation = insn.op & 0xf0;
        if immediate {
            match (operation, insn.imm) {
                (0x10 | 0x50, 0) => {
                    let distance = self.distance(at, target);
                    self.asm.cbz(w, operation == 0x50, d, distance);
                    return Ok(());
                }
                (0x40, _) if imm.is_power_of_two() && near => {
                    let distance = self.distance(at, target);
                    self.asm.tbz(true, d, imm.trailing_zeros(), distance);
                    return Ok(());
                }
                // Below zero, or not.
                (0xc0, 0) | (0xd0, -1) if near => {
                    let distance = self.distance(at, target);
                    self.asm.tbz(true, d, sign_bit, distance);
                    return Ok(());
                }
                (0x70, 0) | (0x60, -1) if near => {
                    let distance = self.distance(at, target);
                    self.asm.tbz(false, d, sign_bit, distance);
                    return Ok(());
                }
                _ => {}
            }
        }
        if operation == 0x40 {
            if immediate {
                if !self.asm.try_tst_imm(w, d, imm) {
                    self.asm.mov_imm(TMP2, imm);
                    self.asm.tst(w, d, TMP2);
                }
            } else {
                let s = self.src(insn.src(), TMP2);
                self.asm.tst(w, d, s);
            }
        } else if immediate {
            if !self.asm.try_cmp_imm(w, d, insn.imm as i64) {
                self.asm.mov_imm(TMP2, imm);
                self.asm.cmp(w, d, TMP2);
            }
        } else {
            let s = self.src(insn.src(), TMP2);
            self.asm.cmp(w, d, s);
        }
        let cond = match operation {
            0x10 => Cond::Eq,
            0x20 => Cond::Hi,
            0x30 => Cond::Hs,
            0x40 | 0x50 => Cond::Ne,
            0x60 => Cond::Gt,
            0x70 => Cond::Ge,
            0xa0 => Cond::Lo,
            0xb0 => Cond::Ls,
            0xc0 => Cond::Lt,
            0xd0 => Cond::Le,
            _ => return Err(CompileError::BadOpcode { at, op: insn.op }),
        };
        let distance = self.distance(at, target);
        self.asm.b_cond(cond, distance);
        Ok(())
    }
}
