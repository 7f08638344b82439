//! What the walk asks of x86-64, but arithmetic.

use super::Features;
use super::asm::{Asm, Cond, Op, Reg, Rm, Size, Width};
use crate::program::{Fixup, Kind, LOOP, Tables};
use crate::walk::{self, BPF_STACK, Comparison, Emission, Walk};
use crate::{CompileError, Insn, Keys, Resolve, abi};
use axiom_bpf_isa::jump::*;
use axiom_bpf_isa::{alu, opcode::*};

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
    pub walk: Walk<'b>,
    /// Bytes between the saved registers and the return to come: the BPF stack and what aligns calls.
    frame: i32,
    random: Keys,
}

pub(super) fn compile<const TABLED: bool>(
    features: Features,
    tables: &mut Tables,
    program: &[Insn],
    resolve: Resolve,
    out: &mut [u8],
) -> Result<usize, CompileError> {
    let (asm, random) = (Asm::new(out), Keys::new(features.blind));
    let machine = |walk| Emitter { asm, features, walk, frame: 0, random };
    walk::compile::<_, TABLED>(tables, program, resolve, machine)
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
    match op & CLASS {
        CLASS_LD => 10 + split,
        CLASS_LDX => 9,
        CLASS_ST => 13 + split,
        CLASS_STX if op & MODE == MODE_ATOMIC => 60,
        CLASS_STX => 9,
        CLASS_ALU | CLASS_ALU64 => match op & OPERATION {
            alu::DIV | alu::MOD => 90 + split,
            alu::LSH | alu::RSH | alu::ARSH => 14,
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
        let f = &self.walk.function;
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
        add(self.walk.keeps_runtime(), RT);
        (regs, n)
    }

    /// Whether the value of a BPF register may be wanted later: what this function names, or what one that it calls may find there.
    pub fn lives(&self, r: usize) -> bool {
        r == 0 || self.walk.function.calls || self.walk.function.named & 1 << r != 0
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

    /// No instruction becomes more bytes than this (the test build checks that).
    fn bound(&self, insn: Insn) -> u32 {
        BOUNDS[usize::from(self.features.blind.is_some())][usize::from(insn.op)].into()
    }

    /// A constant of the program's in a register; split where constants are blinded.
    pub fn split(&mut self, d: Reg, value: u64) {
        if self.features.blind.is_none() {
            self.asm.mov_imm(d, value);
        } else if i32::try_from(value as i64).is_ok() {
            let key = self.random.next() as i32;
            // Sign extension and exclusive or can change places.
            self.asm.mov_imm(d, (value as i32 ^ key) as i64 as u64);
            self.asm.ri(Op::Xor, Width::X64, d, key);
        } else {
            let key = self.random.next();
            let other = if d == TMP { TMP2 } else { TMP };
            self.asm.mov_imm(d, value ^ key);
            self.asm.mov_imm(other, key);
            self.asm.rr(Op::Xor, Width::X64, d, other);
        }
    }

    /// The register that holds an immediate, where constants are blinded.
    pub fn blinded(&mut self, imm: i32) -> Option<Reg> {
        self.features.blind?;
        self.split(TMP, imm as i64 as u64);
        Some(TMP)
    }

    /// The load `insn` from a place that may be another than it says.
    pub fn load_from(&mut self, insn: Insn, m: Rm) -> Option<()> {
        let d = REGS[insn.dst() as usize];
        let a = &mut self.asm;
        match insn.op {
            LDXW => a.load(Size::B4, d, m),
            LDXH => a.load(Size::B2, d, m),
            LDXB => a.load(Size::B1, d, m),
            LDXDW => a.load(Size::B8, d, m),
            LDXSW => a.load_signed(Width::X64, Size::B4, d, m),
            LDXSH => a.load_signed(Width::X64, Size::B2, d, m),
            LDXSB => a.load_signed(Width::X64, Size::B1, d, m),
            _ => return None,
        }
        Some(())
    }

    /// A jump to a slot, on a condition or always.
    pub(super) fn branch(&mut self, cond: Option<Cond>, at: usize, target: usize, program: &[Insn]) {
        if target <= at {
            let distance = self.walk.offsets[target] as i64 - self.asm.len() as i64;
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
            between += if self.walk.offsets[slot] & LOOP != 0 { 15 } else { 0 };
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
        self.walk.fix(Fixup { at: self.asm.len() as u32, target: target as u32, kind });
    }
}

impl<'b> Emission<'b> for Emitter<'_, 'b> {
    /// Distances are 32 bits; nothing near that is ever wanted.
    const REACH: usize = 1 << 28;
    const UNIT: usize = 1;

    fn walk(&mut self) -> &mut Walk<'b> {
        &mut self.walk
    }

    fn here(&self) -> u32 {
        self.asm.len() as u32
    }

    fn fits(&self) -> bool {
        self.asm.fits()
    }

    fn align(&mut self) {
        self.asm.align(16);
    }

    fn prologue(&mut self) {
        let function = self.walk.function;
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
        if self.walk.keeps_runtime() {
            self.asm.mov(Width::X64, RT, Reg::RDI);
        }
        if self.walk.zero_stack && function.stack() {
            self.clear_stack();
        }
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

    fn plain(&mut self, at: usize, end: usize, program: &[Insn]) -> usize {
        self.by_table(at, end, program)
    }

    fn alu(&mut self, at: usize, end: usize, width: Width, program: &[Insn]) -> Option<usize> {
        // What may be fused begins so, and goes on with what nothing jumps to.
        let may = matches!(program[at].op, MOV64X | ADD64X | ADD64K | LSH64K);
        let free = if may { self.walk.free(at, end, 4) } else { 1 };
        self.arithmetic(width, &program[at..at + free])
    }

    fn load(&mut self, insn: Insn) -> Option<()> {
        let m = Rm::Mem(REGS[insn.src() as usize], insn.off.into());
        self.load_from(insn, m)
    }

    fn store(&mut self, insn: Insn) -> Option<()> {
        let size = match insn.op | 1 {
            STXW => Size::B4,
            STXH => Size::B2,
            STXB => Size::B1,
            STXDW => Size::B8,
            ATOMICW => return self.atomic(insn, Width::W32),
            ATOMICDW => return self.atomic(insn, Width::X64),
            _ => return None,
        };
        let m = Rm::Mem(REGS[insn.dst() as usize], insn.off.into());
        if insn.class() == CLASS_STX {
            self.asm.store(size, m, REGS[insn.src() as usize]);
        } else if let Some(value) = self.blinded(insn.imm) {
            self.asm.store(size, m, value);
        } else {
            self.asm.store_imm(size, m, insn.imm);
        }
        Some(())
    }

    fn constant(&mut self, dst: u8, value: u64) {
        self.split(REGS[dst as usize], value);
    }

    fn address_of_ours(&mut self, dst: u8, value: u64) {
        self.asm.mov_imm(REGS[dst as usize], value);
    }

    fn call_helper(&mut self, slot: usize) {
        self.asm.mov(Width::X64, Reg::RDI, RT);
        self.asm.call_mem(Rm::Mem(RT, slot as i32 * 8));
    }

    fn call_function(&mut self, target: u32) {
        self.asm.call(0);
        self.walk.fix(Fixup { at: self.asm.len() as u32, target, kind: Kind::Call });
    }

    fn call_register(&mut self, dst: u8) {
        let own = abi::OWN_FIRST_SLOT as i32;
        let last = abi::HELPER_SLOTS as i32 - 1;
        let id = REGS[dst as usize];
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
    }

    fn jump(&mut self, at: usize, target: usize, program: &[Insn]) {
        self.branch(None, at, target, program);
    }

    fn compare(&mut self, c: &Comparison, program: &[Insn]) -> Option<()> {
        let (insn, w) = (c.insn, c.width);
        let operation = insn.operation();
        let cond = match operation {
            JEQ => Cond::Equal,
            JGT => Cond::Above,
            JGE => Cond::AboveEqual,
            JSET | JNE => Cond::NotEqual,
            JSGT => Cond::Greater,
            JSGE => Cond::GreaterEqual,
            JLT => Cond::Below,
            JLE => Cond::BelowEqual,
            JSLT => Cond::Less,
            JSLE => Cond::LessEqual,
            _ => return None,
        };
        let d = REGS[insn.dst() as usize];
        let register = if insn.has_register() {
            Some(REGS[insn.src() as usize])
        } else if insn.imm == 0 {
            None
        } else {
            self.blinded(insn.imm)
        };
        let a = &mut self.asm;
        match (operation, register) {
            (JSET, Some(s)) => a.test(w, d, s),
            // A mask that the sign does not reach tests the lower half alone.
            (JSET, None) if insn.imm >= 0 => a.test_imm(Width::W32, d, insn.imm),
            (JSET, None) => a.test_imm(w, d, insn.imm),
            (_, Some(s)) => a.rr(Op::Cmp, w, d, s),
            // Against zero a test gives the same flags.
            (_, None) if insn.imm == 0 => a.test(w, d, d),
            (_, None) => a.ri(Op::Cmp, w, d, insn.imm),
        }
        self.branch(Some(cond), c.at, c.target, program);
        Some(())
    }

    fn emitted(&self, start: u32, insns: &[Insn]) {
        debug_assert!(
            self.here() - start <= insns.iter().map(|i| self.bound(*i)).sum::<u32>(),
            "{insns:02x?} take {} bytes",
            self.here() - start
        );
    }

    fn patch(&mut self, fixup: Fixup, to: u32) -> Result<(), CompileError> {
        let distance = to.wrapping_sub(fixup.at) as i32;
        match fixup.kind {
            // `bound` promised that it fits.
            Kind::Short => {
                let near = i8::try_from(distance).map_err(|_| CompileError::TooLarge)?;
                self.asm.patch8(fixup.at as usize, near);
            }
            Kind::Jump | Kind::Call => self.asm.patch32(fixup.at as usize, distance),
        }
        Ok(())
    }
}
