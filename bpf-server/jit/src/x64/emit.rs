//! One pass to emit, then the forward branches are patched.

use super::Features;
use super::asm::{Asm, Cond, Op, Reg, Rm, Size, Width};
use crate::program::*;
use crate::{CompileError, Insn, Resolve, abi};
use alloc::vec::Vec;

/// BPF's stack per function.
const BPF_STACK: i32 = 512;
/// Distances are 32 bits; nothing near that is ever wanted.
const MAX_BYTES: usize = 1 << 28;

pub(super) const TMP: Reg = Reg::R11;
pub(super) const TMP2: Reg = Reg::R10;
pub(super) const TMP3: Reg = Reg::RDI;
const RT: Reg = Reg::R12;

pub(super) const REGS: [Reg; 11] = [
    Reg::RAX,
    Reg::RSI,
    Reg::RDX,
    Reg::RCX,
    Reg::R8,
    Reg::R9,
    Reg::RBX,
    Reg::R14,
    Reg::R15,
    Reg::R13,
    Reg::RBP,
];

pub(super) struct Emitter<'a, 'b> {
    pub asm: Asm<'a>,
    pub features: Features,
    pub offsets: &'b mut [u32],
    fixups: &'b mut Vec<Fixup>,
    pub function: Function,
    is_entry: bool,
    uses_helpers: bool,
    zero_stack: bool,
    /// Bytes between the saved registers and the return to come: the BPF stack and what aligns calls.
    frame: i32,
    /// A note could not be kept.
    no_memory: bool,
    random: u64,
    #[cfg(test)]
    general: u32,
}

/// `TABLED`: what [`super::plain`] knows is left to it (tests look at the same without it).
pub(super) fn compile<const TABLED: bool>(
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
        frame: 0,
        no_memory: false,
        random: features.blind.unwrap_or(0) | 1,
        #[cfg(test)]
        general: 0,
    };
    for index in 0..c.functions.len() {
        e.asm.align(16);
        c.functions[index].entry = e.asm.len() as u32;
        e.function::<TABLED>(c.functions[index], index == 0, program, resolve)?;
    }
    #[cfg(test)]
    {
        c.general = e.general;
    }
    if e.no_memory {
        return Err(CompileError::NoMemory);
    }
    let bytes = e.asm.len();
    if bytes >= MAX_BYTES {
        return Err(CompileError::TooLarge);
    }
    if !e.asm.fits() {
        return Err(CompileError::NoRoom { needed: bytes });
    }
    for i in 0..e.fixups.len() {
        let Fixup { word: end, target, kind } = e.fixups[i];
        let to = match kind {
            Kind::Call => {
                let index = c.functions.binary_search_by_key(&target, |f| f.start);
                index.map_or(0, |i| c.functions[i].entry)
            }
            _ => e.offsets[target as usize],
        };
        let distance = to.wrapping_sub(end) as i32;
        match kind {
            // `bound` promised that it fits.
            Kind::Short => {
                e.asm.patch8(end as usize, i8::try_from(distance).map_err(|_| CompileError::TooLarge)?)
            }
            _ => e.asm.patch32(end as usize, distance),
        }
    }
    Ok(bytes)
}

/// A jump of one byte's distance where what lies between is at most this long.
const SHORT: u32 = 127;

/// The most bytes of each opcode, with its constants as they are, and split.
static BOUNDS: [[u8; 256]; 2] = [bounds(0), bounds(20)];

const fn bounds(split: u8) -> [u8; 256] {
    let mut bounds = [0; 256];
    let mut op = 0;
    while op < 256 {
        bounds[op] = bytes_of(op as u8, split);
        op += 1;
    }
    bounds
}

const fn bytes_of(op: u8, split: u8) -> u8 {
    match op & 7 {
        CLASS_LD => 10 + split,
        CLASS_LDX => 9,
        CLASS_ST => 13 + split,
        CLASS_STX if op & 0xe0 == 0xc0 => 60,
        CLASS_STX => 9,
        CLASS_ALU | CLASS_ALU64 => match op & 0xf0 {
            0x30 | 0x90 => 90 + split,
            0x60 | 0x70 | 0xc0 => 14,
            _ => 14 + split,
        },
        _ => match op {
            CALLX => 70,
            EXIT => 24,
            _ => 14 + split,
        },
    }
}

impl Emitter<'_, '_> {
    fn saved_registers(&self) -> ([Reg; 6], usize) {
        let mut regs = [Reg::RAX; 6];
        let mut n = 0;
        let f = &self.function;
        let mut add = |wanted: bool, r: Reg| {
            if wanted {
                regs[n] = r;
                n += 1;
            }
        };
        add(f.stack(), Reg::RBP);
        for r in 0..4 {
            add(f.saved() & 1 << r != 0, REGS[6 + r]);
        }
        add(f.calls && self.is_entry && self.uses_helpers, RT);
        (regs, n)
    }

    /// Whether the value of a BPF register may be wanted later: what this function names, or what one that it calls may find there.
    pub fn lives(&self, r: usize) -> bool {
        r == 0 || self.function.calls || self.function.named & 1 << r != 0
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
        let (regs, n) = self.saved_registers();
        let stack = if function.stack() { BPF_STACK } else { 0 };
        // Calls need RSP at a multiple of 16; the return address and the saved registers are below one.
        let odd = function.calls && n % 2 == 0;
        self.frame = stack + if odd { 8 } else { 0 };
        for r in &regs[..n] {
            self.asm.push(*r);
        }
        if function.stack() {
            // The BPF stack ends at RBP, and begins at or above RSP.
            self.asm.mov(Width::X64, Reg::RBP, Reg::RSP);
        }
        if self.frame != 0 {
            self.asm.ri(Op::Sub, Width::X64, Reg::RSP, self.frame);
        }
        if function.calls && is_entry && self.uses_helpers {
            self.asm.mov(Width::X64, RT, Reg::RDI);
        }
        if self.zero_stack && function.stack() {
            self.clear_stack();
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

    /// Eight words at a time, from the lowest.
    fn clear_stack(&mut self) {
        let a = &mut self.asm;
        a.mov_imm(TMP, 0);
        a.mov_imm(TMP2, -BPF_STACK as i64 as u64);
        let top = a.len();
        for n in 0..8 {
            a.store(Size::B8, Rm::Index(Reg::RBP, TMP2, 0, 8 * n), TMP);
        }
        a.ri(Op::Add, Width::X64, TMP2, 64);
        let back = top as i64 - a.len() as i64 - 2;
        a.jcc_short(Cond::NotEqual, back as i8);
    }

    fn epilogue(&mut self) {
        let (regs, n) = self.saved_registers();
        if self.frame != 0 {
            self.asm.ri(Op::Add, Width::X64, Reg::RSP, self.frame);
        }
        for r in regs[..n].iter().rev() {
            self.asm.pop(*r);
        }
        self.asm.ret();
    }

    fn mark(&mut self, at: usize) {
        self.offsets[at] = self.asm.len() as u32;
    }

    /// Emits the instruction at `at` (and what is fused with it); returns the next slot.
    fn insn(
        &mut self,
        at: usize,
        end: usize,
        program: &[Insn],
        resolve: Resolve,
    ) -> Result<usize, CompileError> {
        if self.offsets[at] & LOOP != 0 {
            self.asm.align(16);
        }
        self.mark(at);
        let insn = program[at];
        let start = self.asm.len();
        // What may be fused begins so, and goes on with what nothing jumps to.
        let mut free = 1;
        if matches!(insn.op, 0xbf | 0x0f | 0x07 | 0x67) {
            while free < 5 && at + free < end && self.offsets[at + free] & TARGET == 0 {
                free += 1;
            }
        }
        let used = match insn.op & 7 {
            CLASS_ALU64 => self.alu(at, insn, Width::X64, &program[at..at + free])?,
            CLASS_ALU => self.alu(at, insn, Width::W32, &program[at..at + free])?,
            CLASS_LDX => {
                self.load(at, insn)?;
                1
            }
            CLASS_ST | CLASS_STX => {
                self.store(at, insn)?;
                1
            }
            CLASS_JMP | CLASS_JMP32 => {
                self.jump(at, insn, program)?;
                1
            }
            _ => {
                self.wide_load(at, insn, program, resolve)?;
                2
            }
        };
        debug_assert!(
            self.asm.len() - start
                <= program[at..at + used].iter().map(|i| self.bound(*i)).sum::<u32>() as usize,
            "{:02x?} takes {} bytes",
            insn,
            self.asm.len() - start
        );
        for slot in at + 1..at + used {
            self.mark(slot);
        }
        Ok(at + used)
    }

    /// No instruction becomes more bytes than this (the test build checks that).
    fn bound(&self, insn: Insn) -> u32 {
        BOUNDS[usize::from(self.features.blind.is_some())][usize::from(insn.op)].into()
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
        let d = REGS[insn.dst() as usize];
        if insn.src() == 0 {
            let value = insn.imm as u32 as u64 | (next.imm as u32 as u64) << 32;
            self.constant(d, value);
        } else {
            let value = resolve(insn.src(), insn.imm, next.imm).ok_or(CompileError::Unresolved { at })?;
            self.asm.mov_imm(d, value);
        }
        Ok(())
    }

    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A constant of the program, in a register of `d`'s choice; split where constants are blinded.
    pub fn constant(&mut self, d: Reg, value: u64) {
        if self.features.blind.is_none() {
            self.asm.mov_imm(d, value);
        } else if i32::try_from(value as i64).is_ok() {
            let key = self.next_random() as i32;
            // Sign extension and exclusive or can change places.
            self.asm.mov_imm(d, (value as i32 ^ key) as i64 as u64);
            self.asm.ri(Op::Xor, Width::X64, d, key);
        } else {
            let key = self.next_random();
            let other = if d == TMP { TMP2 } else { TMP };
            self.asm.mov_imm(d, value ^ key);
            self.asm.mov_imm(other, key);
            self.asm.rr(Op::Xor, Width::X64, d, other);
        }
    }

    /// The register that holds an immediate, where constants are blinded.
    pub fn blinded(&mut self, imm: i32) -> Option<Reg> {
        self.features.blind?;
        self.constant(TMP, imm as i64 as u64);
        Some(TMP)
    }

    fn load(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        if insn.dst() > 9 || insn.src() > 10 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let m = Rm::Mem(REGS[insn.src() as usize], insn.off.into());
        self.load_from(insn, m).ok_or(CompileError::BadOpcode { at, op: insn.op })
    }

    /// The load `insn` from a place that may be another than it says.
    pub fn load_from(&mut self, insn: Insn, m: Rm) -> Option<()> {
        let d = REGS[insn.dst() as usize];
        let a = &mut self.asm;
        match insn.op {
            0x61 => a.load(Size::B4, d, m),
            0x69 => a.load(Size::B2, d, m),
            0x71 => a.load(Size::B1, d, m),
            0x79 => a.load(Size::B8, d, m),
            0x81 => a.load_signed(Width::X64, Size::B4, d, m),
            0x89 => a.load_signed(Width::X64, Size::B2, d, m),
            0x91 => a.load_signed(Width::X64, Size::B1, d, m),
            _ => return None,
        }
        Some(())
    }

    fn store(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        let bad = CompileError::BadOpcode { at, op: insn.op };
        if insn.dst() > 10 || insn.src() > 10 {
            return Err(bad);
        }
        let size = match insn.op & !1 | 1 {
            0x63 => Size::B4,
            0x6b => Size::B2,
            0x73 => Size::B1,
            0x7b => Size::B8,
            0xc3 => return self.atomic(insn, Width::W32).ok_or(bad),
            0xdb => return self.atomic(insn, Width::X64).ok_or(bad),
            _ => return Err(bad),
        };
        let m = Rm::Mem(REGS[insn.dst() as usize], insn.off.into());
        if insn.op & 7 == CLASS_STX {
            self.asm.store(size, m, REGS[insn.src() as usize]);
        } else if let Some(value) = self.blinded(insn.imm) {
            self.asm.store(size, m, value);
        } else {
            self.asm.store_imm(size, m, insn.imm);
        }
        Ok(())
    }

    /// Notes a branch to fill in later.
    fn fix(&mut self, target: u32, kind: Kind) {
        let word = self.asm.len() as u32;
        fix(self.fixups, &mut self.no_memory, Fixup { word, target, kind });
    }

    /// A jump to a slot, on a condition or always.
    pub(super) fn branch(&mut self, cond: Option<Cond>, at: usize, target: usize, program: &[Insn]) {
        if target <= at {
            let distance = self.offsets[target] as i64 - self.asm.len() as i64;
            match (cond, i8::try_from(distance - 2)) {
                (Some(cond), Ok(d)) => self.asm.jcc_short(cond, d),
                (None, Ok(d)) => self.asm.jmp_short(d),
                (Some(cond), Err(_)) => self.asm.jcc(cond, distance as i32 - 6),
                (None, Err(_)) => self.asm.jmp(distance as i32 - 5),
            }
            return;
        }
        // Nothing is shorter than this by `bound`.
        let mut between = if target - at > SHORT as usize / 9 + 1 { SHORT + 1 } else { 0 };
        let mut slot = at + 1;
        while slot <= target && between <= SHORT {
            // What aligns a loop counts, also where it is the target that is aligned.
            between += if self.offsets[slot] & LOOP != 0 { 15 } else { 0 };
            if slot < target {
                between += self.bound(program[slot]);
            }
            slot += 1;
        }
        let kind = if between <= SHORT { Kind::Short } else { Kind::Jump };
        match (cond, kind) {
            (Some(cond), Kind::Short) => self.asm.jcc_short(cond, 0),
            (None, Kind::Short) => self.asm.jmp_short(0),
            (Some(cond), _) => self.asm.jcc(cond, 0),
            (None, _) => self.asm.jmp(0),
        }
        self.fix(target as u32, kind);
    }

    fn call(&mut self, at: usize, insn: Insn) -> Result<(), CompileError> {
        if insn.op == CALLX {
            return self.call_register(at, insn);
        }
        match insn.src() {
            0 => {
                let id = insn.imm as u32;
                let slot = abi::slot(id).ok_or(CompileError::UnknownHelper { at, id })?;
                self.asm.mov(Width::X64, Reg::RDI, RT);
                self.asm.call_mem(Rm::Mem(RT, slot as i32 * 8));
            }
            1 => {
                let target = (at as i64 + 1 + insn.imm as i64) as u32;
                self.asm.call(0);
                self.fix(target, Kind::Call);
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
        let own = abi::OWN_FIRST_SLOT as i32;
        let last = abi::HELPER_SLOTS as i32 - 1;
        let id = REGS[insn.dst() as usize];
        let a = &mut self.asm;
        // Axiom's own numbers start at 0x1_0000 and follow Linux's in the table; between the two ranges there is nothing.
        a.mov(Width::X64, TMP, id);
        a.ri(Op::Cmp, Width::X64, TMP, own);
        a.jcc_short(Cond::Below, 0);
        let linux = a.len();
        // What is below 0x1_0000 becomes large by this.
        a.ri(Op::Sub, Width::X64, TMP, abi::OWN_FIRST as i32);
        a.ri(Op::Cmp, Width::X64, TMP, last - own);
        a.mov_imm_keeping_flags(TMP2, (last - own) as u32);
        a.jcc_short(Cond::AboveEqual, 0);
        let none = a.len();
        a.mov(Width::X64, TMP2, TMP);
        let here = a.len();
        a.patch8(none, (here - none) as i8);
        a.lea(Width::X64, TMP, Rm::Mem(TMP2, own));
        let here = a.len();
        a.patch8(linux, (here - linux) as i8);
        a.mov(Width::X64, Reg::RDI, RT);
        a.call_mem(Rm::Index(RT, TMP, 3, 0));
        Ok(())
    }

    fn jump(&mut self, at: usize, insn: Insn, program: &[Insn]) -> Result<(), CompileError> {
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
                self.branch(None, at, target, program);
            }
            return Ok(());
        }
        if insn.dst() > 10 || insn.src() > 10 {
            return Err(CompileError::BadOpcode { at, op: insn.op });
        }
        let operation = insn.op & 0xf0;
        let cond = match operation {
            0x10 => Cond::Equal,
            0x20 => Cond::Above,
            0x30 => Cond::AboveEqual,
            0x40 | 0x50 => Cond::NotEqual,
            0x60 => Cond::Greater,
            0x70 => Cond::GreaterEqual,
            0xa0 => Cond::Below,
            0xb0 => Cond::BelowEqual,
            0xc0 => Cond::Less,
            0xd0 => Cond::LessEqual,
            _ => return Err(CompileError::BadOpcode { at, op: insn.op }),
        };
        let w = if insn.op & 7 == CLASS_JMP { Width::X64 } else { Width::W32 };
        let d = REGS[insn.dst() as usize];
        let register = if insn.op & 8 != 0 {
            Some(REGS[insn.src() as usize])
        } else if insn.imm == 0 {
            None
        } else {
            self.blinded(insn.imm)
        };
        let a = &mut self.asm;
        match (operation, register) {
            (0x40, Some(s)) => a.test(w, d, s),
            // A mask that the sign does not reach tests the lower half alone.
            (0x40, None) if insn.imm >= 0 => a.test_imm(Width::W32, d, insn.imm),
            (0x40, None) => a.test_imm(w, d, insn.imm),
            (_, Some(s)) => a.rr(Op::Cmp, w, d, s),
            // Against zero a test gives the same flags.
            (_, None) if insn.imm == 0 => a.test(w, d, d),
            (_, None) => a.ri(Op::Cmp, w, d, insn.imm),
        }
        self.branch(Some(cond), at, target, program);
        Ok(())
    }
}
