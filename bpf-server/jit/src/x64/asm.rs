//! A small x86-64 assembler: bytes into a caller's slice, nothing else.
//!
//! Only what the compiler needs, named by Intel's mnemonics. An emission beyond the slice is counted, not written, so that a compile which
//! did not fit can say how much room it needs.

pub use crate::Width;

/// A general register, 0..=15 as it is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg(pub u8);

#[allow(missing_docs)]
impl Reg {
    pub const RAX: Reg = Reg(0);
    pub const RCX: Reg = Reg(1);
    pub const RDX: Reg = Reg(2);
    pub const RBX: Reg = Reg(3);
    pub const RSP: Reg = Reg(4);
    pub const RBP: Reg = Reg(5);
    pub const RSI: Reg = Reg(6);
    pub const RDI: Reg = Reg(7);
    pub const R8: Reg = Reg(8);
    pub const R9: Reg = Reg(9);
    pub const R10: Reg = Reg(10);
    pub const R11: Reg = Reg(11);
    pub const R12: Reg = Reg(12);
    pub const R13: Reg = Reg(13);
    pub const R14: Reg = Reg(14);
    pub const R15: Reg = Reg(15);
}

/// The bit of a REX prefix for operands of this width.
fn wide(width: Width) -> u8 {
    match width {
        Width::W32 => 0,
        Width::X64 => 8,
    }
}

/// A register or a place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rm {
    /// A register.
    Reg(Reg),
    /// `[base + disp]`.
    Mem(Reg, i32),
    /// `[base + index << scale + disp]`; the index is not RSP.
    Index(Reg, Reg, u8, i32),
    /// `[index << scale + disp]`.
    Scaled(Reg, u8, i32),
}

/// The two-operand instructions that share one encoding: value is the opcode's number, /n of the immediate form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Op {
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// Shifts: /n of `C1` and `D3`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Shift {
    Shl = 4,
    Shr = 5,
    Sar = 7,
}

/// Condition codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Below = 2,
    AboveEqual = 3,
    Equal = 4,
    NotEqual = 5,
    BelowEqual = 6,
    Above = 7,
    Sign = 8,
    NotSign = 9,
    Less = 12,
    GreaterEqual = 13,
    LessEqual = 14,
    Greater = 15,
}

/// Sizes of a load or a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Size {
    B1,
    B2,
    B4,
    B8,
}

/// The output.
pub struct Asm<'a> {
    out: &'a mut [u8],
    at: usize,
}

/// `NOP`s of 1 to 9 bytes, as Intel's manual recommends them.
const NOPS: [&[u8]; 10] = [
    &[],
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0],
    &[0x0f, 0x1f, 0x44, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x44, 0, 0],
    &[0x0f, 0x1f, 0x80, 0, 0, 0, 0],
    &[0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    &[0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
];

impl<'a> Asm<'a> {
    /// Starts at the beginning of `out`.
    pub fn new(out: &'a mut [u8]) -> Asm<'a> {
        Asm { out, at: 0 }
    }

    /// Bytes emitted (or counted) so far.
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing was emitted.
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Whether everything fitted.
    pub fn fits(&self) -> bool {
        self.at <= self.out.len()
    }

    /// Appends the lower `n` bytes (at most 8).
    #[inline]
    pub(super) fn put(&mut self, bytes: u64, n: usize) {
        let word = bytes.to_le_bytes();
        if let Some(room) = self.out.get_mut(self.at..).and_then(|rest| rest.first_chunk_mut::<8>()) {
            *room = word;
        } else {
            for (k, byte) in word.iter().take(n).enumerate() {
                if let Some(room) = self.out.get_mut(self.at + k) {
                    *room = *byte;
                }
            }
        }
        self.at += n;
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(u64::from(*byte), 1);
        }
    }

    /// Fills up to a multiple of `to` with what does nothing.
    pub fn align(&mut self, to: usize) {
        let mut missing = self.at.next_multiple_of(to) - self.at;
        while missing > 0 {
            let n = missing.min(9);
            self.bytes(NOPS[n]);
            missing -= n;
        }
    }

    /// Replaces the 4 bytes before `end`.
    pub fn patch32(&mut self, end: usize, value: i32) {
        if let Some(room) = end.checked_sub(4).and_then(|start| self.out.get_mut(start..end)) {
            room.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Replaces the byte before `end`.
    pub fn patch8(&mut self, end: usize, value: i8) {
        if let Some(room) = end.checked_sub(1).and_then(|at| self.out.get_mut(at)) {
            *room = value as u8;
        }
    }

    /// Prefix (0 for none), REX, opcode (one byte, or 0F in the lower and the second in the upper), ModRM, SIB, displacement. `byte`: `reg` is one
    /// of 8 bits, and SIL, DIL, BPL need a REX.
    fn op(&mut self, prefix: u8, rex_w: u8, opcode: u16, reg: u8, rm: Rm, byte: bool) {
        let n = if opcode > 0xff { 2 } else { 1 };
        let (base, index, byte) = match rm {
            Rm::Reg(r) => (r.0, 0, byte && ((4..8).contains(&reg) || (4..8).contains(&r.0))),
            Rm::Mem(b, _) => (b.0, 0, byte && (4..8).contains(&reg)),
            Rm::Index(b, i, _, _) => (b.0, i.0, byte && (4..8).contains(&reg)),
            Rm::Scaled(i, _, _) => (0, i.0, byte && (4..8).contains(&reg)),
        };
        let rex = rex_w | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
        let (mut word, mut shift) = (0u64, 0);
        if prefix != 0 {
            word = u64::from(prefix);
            shift = 8;
        }
        if rex != 0 || byte {
            word |= u64::from(rex | 0x40) << shift;
            shift += 8;
        }
        word |= u64::from(opcode) << shift;
        shift += 8 * n;
        let reg = (reg & 7) << 3;
        let mode = |disp: i32, low: u8| match disp {
            0 if low != 5 => (0u8, 0),
            -128..=127 => (0x40, 1),
            _ => (0x80, 4),
        };
        let (modrm, sib, disp, length) = match rm {
            Rm::Reg(r) => (0xc0 | reg | r.0 & 7, None, 0, 0),
            Rm::Mem(b, disp) => {
                let (m, length) = mode(disp, b.0 & 7);
                let sib = (b.0 & 7 == 4).then_some(0x24);
                (m | reg | b.0 & 7, sib, disp, length)
            }
            Rm::Index(b, i, scale, disp) => {
                let (m, length) = mode(disp, b.0 & 7);
                (m | reg | 4, Some(scale << 6 | (i.0 & 7) << 3 | b.0 & 7), disp, length)
            }
            Rm::Scaled(i, scale, disp) => (reg | 4, Some(scale << 6 | (i.0 & 7) << 3 | 5), disp, 4),
        };
        word |= u64::from(modrm) << shift;
        shift += 8;
        if let Some(sib) = sib {
            word |= u64::from(sib) << shift;
            shift += 8;
        }
        self.put(word, (shift / 8) as usize);
        if length > 0 {
            self.put(disp as u32 as u64, length);
        }
    }

    /// `op d, s`.
    pub fn rr(&mut self, op: Op, w: Width, d: Reg, s: Reg) {
        self.op(0, wide(w), (op as u16) << 3 | 1, s.0, Rm::Reg(d), false);
    }
    /// `op d, imm`, sign-extended.
    pub fn ri(&mut self, op: Op, w: Width, d: Reg, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.op(0, wide(w), 0x83, op as u8, Rm::Reg(d), false);
            self.put(imm as u8 as u64, 1);
        } else {
            self.op(0, wide(w), 0x81, op as u8, Rm::Reg(d), false);
            self.put(imm as u32 as u64, 4);
        }
    }
    /// `test d, s`.
    pub fn test(&mut self, w: Width, d: Reg, s: Reg) {
        self.op(0, wide(w), 0x85, s.0, Rm::Reg(d), false);
    }
    /// `test d, imm`, sign-extended.
    pub fn test_imm(&mut self, w: Width, d: Reg, imm: i32) {
        self.op(0, wide(w), 0xf7, 0, Rm::Reg(d), false);
        self.put(imm as u32 as u64, 4);
    }
    /// `mov d, s`.
    pub fn mov(&mut self, w: Width, d: Reg, s: Reg) {
        self.op(0, wide(w), 0x89, s.0, Rm::Reg(d), false);
    }
    /// Loads a constant in the fewest bytes; changes the flags.
    pub fn mov_imm(&mut self, d: Reg, value: u64) {
        if value == 0 {
            self.rr(Op::Xor, Width::W32, d, d);
        } else if value <= u64::from(u32::MAX) {
            self.mov_imm_keeping_flags(d, value as u32);
        } else if i32::try_from(value as i64).is_ok() {
            self.op(0, 8, 0xc7, 0, Rm::Reg(d), false);
            self.put(value & 0xffff_ffff, 4);
        } else {
            self.put(0x48 | u64::from(d.0 >> 3) | u64::from(0xb8 | d.0 & 7) << 8, 2);
            self.put(value, 8);
        }
    }
    /// `mov d, imm` that leaves the flags.
    pub fn mov_imm_keeping_flags(&mut self, d: Reg, value: u32) {
        if d.0 > 7 {
            self.put(0x41, 1);
        }
        self.put(0xb8 | u64::from(d.0 & 7) | u64::from(value) << 8, 5);
    }
    /// `lea d, m`.
    pub fn lea(&mut self, w: Width, d: Reg, m: Rm) {
        self.op(0, wide(w), 0x8d, d.0, m, false);
    }
    /// `imul d, s`.
    pub fn imul(&mut self, w: Width, d: Reg, s: Reg) {
        self.op(0, wide(w), 0xaf0f, d.0, Rm::Reg(s), false);
    }
    /// `imul d, s, imm`, sign-extended.
    pub fn imul_imm(&mut self, w: Width, d: Reg, s: Reg, imm: i32) {
        if i8::try_from(imm).is_ok() {
            self.op(0, wide(w), 0x6b, d.0, Rm::Reg(s), false);
            self.put(imm as u8 as u64, 1);
        } else {
            self.op(0, wide(w), 0x69, d.0, Rm::Reg(s), false);
            self.put(imm as u32 as u64, 4);
        }
    }
    /// `mul s`: RDX:RAX = RAX × s.
    pub fn mul(&mut self, w: Width, s: Reg) {
        self.op(0, wide(w), 0xf7, 4, Rm::Reg(s), false);
    }
    /// `div s`, or `idiv`: RAX and RDX = quotient and remainder of RDX:RAX.
    pub fn div(&mut self, w: Width, signed: bool, s: Reg) {
        self.op(0, wide(w), 0xf7, if signed { 7 } else { 6 }, Rm::Reg(s), false);
    }
    /// `cdq` or `cqo`: RDX = the sign of RAX.
    pub fn sign_of_rax(&mut self, w: Width) {
        match w {
            Width::W32 => self.put(0x99, 1),
            Width::X64 => self.put(0x9948, 2),
        }
    }
    /// `neg d`.
    pub fn neg(&mut self, w: Width, d: Reg) {
        self.op(0, wide(w), 0xf7, 3, Rm::Reg(d), false);
    }
    /// A shift by a constant.
    pub fn shift_imm(&mut self, shift: Shift, w: Width, d: Reg, by: u32) {
        self.op(0, wide(w), 0xc1, shift as u8, Rm::Reg(d), false);
        self.put(u64::from(by), 1);
    }
    /// A shift by CL.
    pub fn shift_cl(&mut self, shift: Shift, w: Width, d: Reg) {
        self.op(0, wide(w), 0xd3, shift as u8, Rm::Reg(d), false);
    }
    /// BMI2: `shlx d, s, by` and its kin, which leave the flags.
    pub fn shift_reg(&mut self, shift: Shift, w: Width, d: Reg, s: Reg, by: Reg) {
        let pp = match shift {
            Shift::Shl => 1,
            Shift::Sar => 2,
            Shift::Shr => 3,
        };
        let second = (!d.0 >> 3 & 1) << 7 | 1 << 6 | (!s.0 >> 3 & 1) << 5 | 2;
        let third = (wide(w) >> 3) << 7 | (!by.0 & 15) << 3 | pp;
        let modrm = 0xc0 | (d.0 & 7) << 3 | s.0 & 7;
        self.put(u64::from(u32::from_le_bytes([0xc4, second, third, 0xf7])) | u64::from(modrm) << 32, 5);
    }
    /// `rol d, 8` of the lower 16 bits.
    pub fn rol16(&mut self, d: Reg) {
        self.op(0x66, 0, 0xc1, 0, Rm::Reg(d), false);
        self.put(8, 1);
    }
    /// `bswap d`.
    pub fn bswap(&mut self, w: Width, d: Reg) {
        let rex = 0x40 | wide(w) | d.0 >> 3;
        let word = u64::from(0x0f | u16::from(0xc8 | d.0 & 7) << 8);
        if rex == 0x40 { self.put(word, 2) } else { self.put(word << 8 | u64::from(rex), 3) }
    }
    /// Zero-extends from 1, 2 or 4 bytes, or copies 8.
    pub fn load(&mut self, size: Size, d: Reg, m: Rm) {
        match size {
            Size::B1 => self.op(0, 0, 0xb60f, d.0, m, matches!(m, Rm::Reg(_))),
            Size::B2 => self.op(0, 0, 0xb70f, d.0, m, false),
            Size::B4 => self.op(0, 0, 0x8b, d.0, m, false),
            Size::B8 => self.op(0, 8, 0x8b, d.0, m, false),
        }
    }
    /// Sign-extends from 1, 2 or 4 bytes (4 to 64 bits only), or copies 8.
    pub fn load_signed(&mut self, w: Width, size: Size, d: Reg, m: Rm) {
        match size {
            Size::B1 => self.op(0, wide(w), 0xbe0f, d.0, m, matches!(m, Rm::Reg(_))),
            Size::B2 => self.op(0, wide(w), 0xbf0f, d.0, m, false),
            Size::B4 => self.op(0, 8, 0x63, d.0, m, false),
            Size::B8 => self.op(0, 8, 0x8b, d.0, m, false),
        }
    }
    /// Stores the lower bytes.
    pub fn store(&mut self, size: Size, m: Rm, s: Reg) {
        match size {
            Size::B1 => self.op(0, 0, 0x88, s.0, m, true),
            Size::B2 => self.op(0x66, 0, 0x89, s.0, m, false),
            Size::B4 => self.op(0, 0, 0x89, s.0, m, false),
            Size::B8 => self.op(0, 8, 0x89, s.0, m, false),
        }
    }
    /// Stores a constant, sign-extended.
    pub fn store_imm(&mut self, size: Size, m: Rm, imm: i32) {
        match size {
            Size::B1 => {
                self.op(0, 0, 0xc6, 0, m, false);
                self.put(imm as u8 as u64, 1);
            }
            Size::B2 => {
                self.op(0x66, 0, 0xc7, 0, m, false);
                self.put(imm as u16 as u64, 2);
            }
            Size::B4 | Size::B8 => {
                let w = if size == Size::B8 { 8 } else { 0 };
                self.op(0, w, 0xc7, 0, m, false);
                self.put(imm as u32 as u64, 4);
            }
        }
    }
    /// `lock op m, s`.
    pub fn lock_op(&mut self, op: Op, w: Width, m: Rm, s: Reg) {
        self.op(0xf0, wide(w), (op as u16) << 3 | 1, s.0, m, false);
    }
    /// `lock xadd m, s`.
    pub fn lock_xadd(&mut self, w: Width, m: Rm, s: Reg) {
        self.op(0xf0, wide(w), 0xc10f, s.0, m, false);
    }
    /// `lock cmpxchg m, s`: RAX is what is expected, and becomes what was there.
    pub fn lock_cmpxchg(&mut self, w: Width, m: Rm, s: Reg) {
        self.op(0xf0, wide(w), 0xb10f, s.0, m, false);
    }
    /// `xchg m, s`, which locks by itself.
    pub fn xchg(&mut self, w: Width, m: Rm, s: Reg) {
        self.op(0, wide(w), 0x87, s.0, m, false);
    }
    /// `push r`.
    pub fn push(&mut self, r: Reg) {
        self.stack(0x50, r);
    }
    /// `pop r`.
    pub fn pop(&mut self, r: Reg) {
        self.stack(0x58, r);
    }
    fn stack(&mut self, opcode: u8, r: Reg) {
        let byte = u64::from(opcode | r.0 & 7);
        if r.0 > 7 { self.put(byte << 8 | 0x41, 2) } else { self.put(byte, 1) }
    }
    /// `ret`.
    pub fn ret(&mut self) {
        self.put(0xc3, 1);
    }
    /// `call m`.
    pub fn call_mem(&mut self, m: Rm) {
        self.op(0, 0, 0xff, 2, m, false);
    }
    /// `call` by a distance from behind it.
    pub fn call(&mut self, distance: i32) {
        self.put(0xe8 | (distance as u32 as u64) << 8, 5);
    }
    /// `jmp` by a distance from behind it, in 5 bytes.
    pub fn jmp(&mut self, distance: i32) {
        self.put(0xe9 | (distance as u32 as u64) << 8, 5);
    }
    /// `jmp` in 2 bytes.
    pub fn jmp_short(&mut self, distance: i8) {
        self.put(0xeb | u64::from(distance as u8) << 8, 2);
    }
    /// `jcc` by a distance from behind it, in 6 bytes.
    pub fn jcc(&mut self, cond: Cond, distance: i32) {
        self.put(0x800f | u64::from(cond as u8) << 8 | (distance as u32 as u64) << 16, 6);
    }
    /// `jcc` in 2 bytes.
    pub fn jcc_short(&mut self, cond: Cond, distance: i8) {
        self.put(u64::from(0x70 | cond as u8) | u64::from(distance as u8) << 8, 2);
    }
}
