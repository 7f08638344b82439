//! A small AArch64 assembler: words into a caller's slice, nothing else.
//!
//! Only what the compiler needs, named by the Arm ARM's mnemonics. An emission beyond the slice is counted, not
//! written, so that a compile which did not fit can say how much room it needs.

pub use crate::Width;

/// A general register, 0..=30; 31 is the zero register or the stack pointer, as the instruction defines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reg(pub u8);

/// The zero register (or the stack pointer, where an instruction takes one).
pub const ZR: Reg = Reg(31);
/// The stack pointer, in the instructions that take one.
pub const SP: Reg = Reg(31);

/// Condition codes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Cond {
    Eq = 0,
    Ne = 1,
    Hs = 2,
    Lo = 3,
    Hi = 8,
    Ls = 9,
    Ge = 10,
    Lt = 11,
    Gt = 12,
    Le = 13,
}

/// The bit of a word that makes its registers X.
fn sf(width: Width) -> u32 {
    match width {
        Width::W32 => 0,
        Width::X64 => 1 << 31,
    }
}

/// The output: instruction words in a byte slice.
pub struct Asm<'a> {
    out: &'a mut [u32],
    words: usize,
}

impl<'a> Asm<'a> {
    /// Starts at the first word of `out`: what lies before a multiple of four is left alone.
    pub fn new(out: &'a mut [u8]) -> Asm<'a> {
        // SAFETY: any four bytes are a word, and any word four bytes.
        let (_, out, _) = unsafe { out.align_to_mut() };
        Asm { out, words: 0 }
    }

    /// Words emitted (or counted) so far.
    pub fn words(&self) -> usize {
        self.words
    }

    /// Whether everything fitted.
    pub fn fits(&self) -> bool {
        self.words <= self.out.len()
    }

    /// Appends one instruction word.
    #[inline]
    pub fn put(&mut self, word: u32) {
        if let Some(room) = self.out.get_mut(self.words) {
            *room = word.to_le();
        }
        self.words += 1;
    }

    /// Reads back a word, for patching.
    pub fn word(&self, index: usize) -> u32 {
        self.out.get(index).map_or(0, |word| u32::from_le(*word))
    }

    /// Replaces a word.
    pub fn patch(&mut self, index: usize, word: u32) {
        if let Some(room) = self.out.get_mut(index) {
            *room = word.to_le();
        }
    }

    fn rrr(&mut self, base: u32, w: Width, d: Reg, n: Reg, m: Reg) {
        self.put(base | sf(w) | (m.0 as u32) << 16 | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// `add d, n, m` (registers; 31 is the zero register).
    pub fn add(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x0b00_0000, w, d, n, m);
    }
    /// `sub d, n, m`.
    pub fn sub(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x4b00_0000, w, d, n, m);
    }
    /// `subs zr, n, m`.
    pub fn cmp(&mut self, w: Width, n: Reg, m: Reg) {
        self.rrr(0x6b00_0000, w, ZR, n, m);
    }
    /// `and d, n, m`.
    pub fn and(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x0a00_0000, w, d, n, m);
    }
    /// `orr d, n, m`.
    pub fn orr(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x2a00_0000, w, d, n, m);
    }
    /// `eor d, n, m`.
    pub fn eor(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x4a00_0000, w, d, n, m);
    }
    /// `ands zr, n, m`.
    pub fn tst(&mut self, w: Width, n: Reg, m: Reg) {
        self.rrr(0x6a00_0000, w, ZR, n, m);
    }
    /// `mvn d, m`.
    pub fn mvn(&mut self, w: Width, d: Reg, m: Reg) {
        self.rrr(0x2a20_0000, w, d, ZR, m);
    }
    /// `mov d, m` between registers.
    pub fn mov(&mut self, w: Width, d: Reg, m: Reg) {
        self.orr(w, d, ZR, m);
    }
    /// `mul d, n, m`.
    pub fn mul(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1b00_7c00, w, d, n, m);
    }
    /// `msub d, n, m, a`: `a - n * m`.
    pub fn msub(&mut self, w: Width, d: Reg, n: Reg, m: Reg, a: Reg) {
        self.rrr(0x1b00_8000 | (a.0 as u32) << 10, w, d, n, m);
    }
    /// `udiv d, n, m`.
    pub fn udiv(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1ac0_0800, w, d, n, m);
    }
    /// `sdiv d, n, m`.
    pub fn sdiv(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1ac0_0c00, w, d, n, m);
    }
    /// `lslv d, n, m`.
    pub fn lslv(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1ac0_2000, w, d, n, m);
    }
    /// `lsrv d, n, m`.
    pub fn lsrv(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1ac0_2400, w, d, n, m);
    }
    /// `asrv d, n, m`.
    pub fn asrv(&mut self, w: Width, d: Reg, n: Reg, m: Reg) {
        self.rrr(0x1ac0_2800, w, d, n, m);
    }

    fn bitfield(&mut self, base: u32, w: Width, d: Reg, n: Reg, immr: u32, imms: u32) {
        let size = if w == Width::X64 { 1 << 31 | 1 << 22 } else { 0 };
        self.put(base | size | immr << 16 | imms << 10 | (n.0 as u32) << 5 | d.0 as u32);
    }
    /// `lsl d, n, #shift`.
    pub fn lsl_imm(&mut self, w: Width, d: Reg, n: Reg, shift: u32) {
        let bits = w.bits();
        self.bitfield(0x5300_0000, w, d, n, (bits - shift) % bits, bits - 1 - shift);
    }
    /// `lsr d, n, #shift`.
    pub fn lsr_imm(&mut self, w: Width, d: Reg, n: Reg, shift: u32) {
        self.bitfield(0x5300_0000, w, d, n, shift, w.bits() - 1);
    }
    /// `asr d, n, #shift`.
    pub fn asr_imm(&mut self, w: Width, d: Reg, n: Reg, shift: u32) {
        self.bitfield(0x1300_0000, w, d, n, shift, w.bits() - 1);
    }
    /// Sign-extends the low `from` bits of `n` into `d`.
    pub fn sxt(&mut self, w: Width, d: Reg, n: Reg, from: u32) {
        self.bitfield(0x1300_0000, w, d, n, 0, from - 1);
    }
    /// Zero-extends the low 16 bits.
    pub fn uxth(&mut self, d: Reg, n: Reg) {
        self.bitfield(0x5300_0000, Width::W32, d, n, 0, 15);
    }
    /// `rev16 d, n` on the W view.
    pub fn rev16(&mut self, d: Reg, n: Reg) {
        self.put(0x5ac0_0400 | (n.0 as u32) << 5 | d.0 as u32);
    }
    /// `rev d, n`: reverses the bytes of the operand width.
    pub fn rev(&mut self, w: Width, d: Reg, n: Reg) {
        let base = if w == Width::X64 { 0xdac0_0c00 } else { 0x5ac0_0800 };
        self.put(base | (n.0 as u32) << 5 | d.0 as u32);
    }

    /// `add d, n, #imm` or `sub` for a negative one, where 12 bits (or 12 shifted by 12) hold it. 31 is SP.
    pub fn try_add_imm(&mut self, w: Width, d: Reg, n: Reg, imm: i64) -> bool {
        let Some(field) = add_field(imm) else { return false };
        let base = if imm < 0 { 0x5100_0000 } else { 0x1100_0000 };
        self.put(base | sf(w) | field << 10 | (n.0 as u32) << 5 | d.0 as u32);
        true
    }
    /// `cmp n, #imm` (or `cmn`), where it can be encoded.
    pub fn try_cmp_imm(&mut self, w: Width, n: Reg, imm: i64) -> bool {
        let Some(field) = add_field(imm) else { return false };
        let base = if imm < 0 { 0x3100_0000 } else { 0x7100_0000 };
        self.put(base | sf(w) | field << 10 | (n.0 as u32) << 5 | ZR.0 as u32);
        true
    }
    fn try_logical(&mut self, base: u32, w: Width, d: Reg, n: Reg, imm: u64) -> bool {
        let Some(field) = logical_field(imm, w) else { return false };
        self.put(base | sf(w) | field << 10 | (n.0 as u32) << 5 | d.0 as u32);
        true
    }
    /// `and d, n, #imm`, where it can be encoded.
    pub fn try_and_imm(&mut self, w: Width, d: Reg, n: Reg, imm: u64) -> bool {
        self.try_logical(0x1200_0000, w, d, n, imm)
    }
    /// `orr d, n, #imm`, where it can be encoded.
    pub fn try_orr_imm(&mut self, w: Width, d: Reg, n: Reg, imm: u64) -> bool {
        self.try_logical(0x3200_0000, w, d, n, imm)
    }
    /// `eor d, n, #imm`, where it can be encoded.
    pub fn try_eor_imm(&mut self, w: Width, d: Reg, n: Reg, imm: u64) -> bool {
        self.try_logical(0x5200_0000, w, d, n, imm)
    }
    /// `tst n, #imm`, where it can be encoded.
    pub fn try_tst_imm(&mut self, w: Width, n: Reg, imm: u64) -> bool {
        self.try_logical(0x7200_0000, w, ZR, n, imm)
    }

    /// Loads a constant in as few instructions as MOVZ/MOVN/ORR/MOVK allow.
    pub fn mov_imm(&mut self, d: Reg, value: u64) {
        let d5 = d.0 as u32;
        if value < 1 << 16 {
            return self.put(0x5280_0000 | (value as u32) << 5 | d5);
        }
        if !value < 1 << 16 {
            return self.put(0x9280_0000 | (!value as u32) << 5 | d5);
        }
        self.mov_wide(d, d5, value);
    }

    fn mov_wide(&mut self, d: Reg, d5: u32, value: u64) {
        // A value with a clear upper half is built in the W register: its upper half clears itself.
        let narrow = value >> 32 == 0;
        let halves = if narrow { 2 } else { 4 };
        let half = |i: u32| (value >> (16 * i)) as u16 as u32;
        let zeros = (0..halves).filter(|&i| half(i) == 0).count();
        let ones = (0..halves).filter(|&i| half(i) == 0xffff).count();
        let w = if narrow { Width::W32 } else { Width::X64 };
        if zeros < halves as usize - 1 && ones < halves as usize - 1 && self.try_orr_imm(w, d, ZR, value) {
            return;
        }
        let inverted = ones > zeros;
        let skip = if inverted { 0xffff } else { 0 };
        let mut first = true;
        for i in 0..halves {
            let h = half(i);
            if h == skip {
                continue;
            }
            let word = match (first, inverted) {
                (true, false) => 0x5280_0000 | h << 5,
                (true, true) => 0x1280_0000 | (!h & 0xffff) << 5,
                (false, _) => 0x7280_0000 | h << 5,
            };
            self.put(word | sf(w) | i << 21 | d5);
            first = false;
        }
        if first {
            // All halves equal to the skipped one: 0 or all ones.
            let base = if inverted { 0x1280_0000 } else { 0x5280_0000 };
            self.put(base | sf(w) | d5);
        }
    }

    /// `b` by a distance in words from this instruction.
    pub fn b(&mut self, words: i32) {
        self.put(0x1400_0000 | (words as u32 & 0x03ff_ffff));
    }
    /// `bl` by a distance in words.
    pub fn bl(&mut self, words: i32) {
        self.put(0x9400_0000 | (words as u32 & 0x03ff_ffff));
    }
    /// `b.cond` by a distance in words.
    pub fn b_cond(&mut self, cond: Cond, words: i32) {
        self.put(0x5400_0000 | (words as u32 & 0x7ffff) << 5 | cond as u32);
    }
    /// `cbz` (or `cbnz`) by a distance in words.
    pub fn cbz(&mut self, w: Width, nonzero: bool, t: Reg, words: i32) {
        self.put(0x3400_0000 | sf(w) | (nonzero as u32) << 24 | (words as u32 & 0x7ffff) << 5 | t.0 as u32);
    }
    /// `tbz` (or `tbnz`) on one bit, by a distance in words.
    pub fn tbz(&mut self, nonzero: bool, t: Reg, bit: u32, words: i32) {
        let b5 = if bit >= 32 { 1 << 31 } else { 0 };
        self.put(
            0x3600_0000
                | b5
                | (nonzero as u32) << 24
                | (bit & 31) << 19
                | (words as u32 & 0x3fff) << 5
                | t.0 as u32,
        );
    }
    /// `ret`.
    pub fn ret(&mut self) {
        self.put(0xd65f_03c0);
    }
    /// `blr n`.
    pub fn blr(&mut self, n: Reg) {
        self.put(0xd63f_0000 | (n.0 as u32) << 5);
    }
    /// `dmb ish`.
    pub fn dmb_ish(&mut self) {
        self.put(0xd503_3bbf);
    }

    /// Load or store with an unsigned scaled offset, where it can be encoded; else with the 9-bit signed one.
    pub fn try_mem(&mut self, op: Mem, t: Reg, n: Reg, offset: i64) -> bool {
        let (size, opc) = op.fields();
        let scale = size;
        let base = size << 30 | opc << 22 | (n.0 as u32) << 5 | t.0 as u32;
        if offset >= 0 && offset & ((1 << scale) - 1) == 0 && offset >> scale < 4096 {
            self.put(0x3900_0000 | base | ((offset >> scale) as u32) << 10);
            true
        } else if (-256..256).contains(&offset) {
            self.put(0x3800_0000 | base | (offset as u32 & 0x1ff) << 12);
            true
        } else {
            false
        }
    }
    /// Load or store at `n + m`.
    pub fn mem_reg(&mut self, op: Mem, t: Reg, n: Reg, m: Reg) {
        let (size, opc) = op.fields();
        self.put(0x3820_6800 | size << 30 | opc << 22 | (m.0 as u32) << 16 | (n.0 as u32) << 5 | t.0 as u32);
    }
    /// `ldr t, [n, m, lsl #3]`.
    pub fn ldr_indexed(&mut self, t: Reg, n: Reg, m: Reg) {
        self.put(0xf860_7800 | (m.0 as u32) << 16 | (n.0 as u32) << 5 | t.0 as u32);
    }
    /// `stp t, t2, [sp, #offset]` in bytes; `pre` also moves SP there first.
    pub fn stp_sp(&mut self, t: Reg, t2: Reg, offset: i32, pre: bool) {
        self.pair(if pre { 0xa980_0000 } else { 0xa900_0000 }, t, t2, SP, offset);
    }
    /// `stp t, t2, [n, #offset]`.
    pub fn stp(&mut self, t: Reg, t2: Reg, n: Reg, offset: i32) {
        self.pair(0xa900_0000, t, t2, n, offset);
    }
    /// `ldp t, t2, [sp, #offset]`; `post` adds the offset to SP afterwards instead.
    pub fn ldp_sp(&mut self, t: Reg, t2: Reg, offset: i32, post: bool) {
        self.pair(if post { 0xa8c0_0000 } else { 0xa940_0000 }, t, t2, SP, offset);
    }
    fn pair(&mut self, base: u32, t: Reg, t2: Reg, n: Reg, offset: i32) {
        let imm7 = ((offset / 8) as u32 & 0x7f) << 15;
        self.put(base | imm7 | (t2.0 as u32) << 10 | (n.0 as u32) << 5 | t.0 as u32);
    }

    /// An LSE atomic (`ldadd` family, `swp`) with acquire and release when `ordered`.
    pub fn lse(&mut self, op: Lse, w: Width, ordered: bool, s: Reg, t: Reg, n: Reg) {
        let size = if w == Width::X64 { 3 << 30 } else { 2 << 30 };
        let order = if ordered { 3 << 22 } else { 0 };
        self.put(
            0x3820_0000
                | size
                | order
                | (op as u32) << 12
                | (s.0 as u32) << 16
                | (n.0 as u32) << 5
                | t.0 as u32,
        );
    }
    /// `casal s, t, [n]`.
    pub fn casal(&mut self, w: Width, s: Reg, t: Reg, n: Reg) {
        let size = if w == Width::X64 { 3 << 30 } else { 2 << 30 };
        self.put(0x08e0_fc00 | size | (s.0 as u32) << 16 | (n.0 as u32) << 5 | t.0 as u32);
    }
    /// `ldxr t, [n]` (or `ldaxr`).
    pub fn ldxr(&mut self, w: Width, acquire: bool, t: Reg, n: Reg) {
        let size = if w == Width::X64 { 3 << 30 } else { 2 << 30 };
        self.put(0x085f_7c00 | size | (acquire as u32) << 15 | (n.0 as u32) << 5 | t.0 as u32);
    }
    /// `stxr s, t, [n]` (or `stlxr`).
    pub fn stxr(&mut self, w: Width, release: bool, s: Reg, t: Reg, n: Reg) {
        let size = if w == Width::X64 { 3 << 30 } else { 2 << 30 };
        self.put(
            0x0800_7c00 | size | (release as u32) << 15 | (s.0 as u32) << 16 | (n.0 as u32) << 5 | t.0 as u32,
        );
    }
}

/// LSE operations (value is the `o3:opc` field).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum Lse {
    Add = 0,
    Clr = 1,
    Eor = 2,
    Set = 3,
    Swp = 8,
}

/// Loads and stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Mem {
    Strb,
    Strh,
    StrW,
    StrX,
    Ldrb,
    Ldrh,
    LdrW,
    LdrX,
    /// Sign-extended to 64 bits.
    Ldrsb,
    Ldrsh,
    Ldrsw,
}

impl Mem {
    fn fields(self) -> (u32, u32) {
        match self {
            Mem::Strb => (0, 0),
            Mem::Strh => (1, 0),
            Mem::StrW => (2, 0),
            Mem::StrX => (3, 0),
            Mem::Ldrb => (0, 1),
            Mem::Ldrh => (1, 1),
            Mem::LdrW => (2, 1),
            Mem::LdrX => (3, 1),
            Mem::Ldrsb => (0, 2),
            Mem::Ldrsh => (1, 2),
            Mem::Ldrsw => (2, 2),
        }
    }
}

fn add_field(imm: i64) -> Option<u32> {
    let magnitude = imm.unsigned_abs();
    if magnitude < 1 << 12 {
        Some(magnitude as u32)
    } else if magnitude < 1 << 24 && magnitude & 0xfff == 0 {
        Some((magnitude >> 12) as u32 | 1 << 12)
    } else {
        None
    }
}

/// The `N:immr:imms` field of a logical immediate, if the value is a rotated run of ones, repeated.
pub fn logical_field(value: u64, w: Width) -> Option<u32> {
    let value = match w {
        Width::X64 => value,
        // A W value is the same pattern twice.
        Width::W32 => (value & 0xffff_ffff) | value << 32,
    };
    if value == 0 || value == u64::MAX {
        return None;
    }
    // The shortest period of the pattern.
    let mut size = 64;
    while size > 2 {
        let half = size / 2;
        if value.rotate_right(half) != value {
            break;
        }
        size = half;
    }
    let mask = if size == 64 { u64::MAX } else { (1 << size) - 1 };
    let element = value & mask;
    let ones = element.count_ones();
    // Rotate so that the run of ones starts at bit 0.
    let rotate_element = |e: u64, by: u32| {
        if by == 0 { e } else { ((e >> by) | (e << (size - by))) & mask }
    };
    let start = if element & 1 == 0 {
        element.trailing_zeros()
    } else {
        // The run wraps (or starts at 0): it starts after the highest zero.
        let highest_zero = 63 - (!element & mask).leading_zeros();
        (highest_zero + 1) % size
    };
    if rotate_element(element, start) != (1u64 << ones) - 1 {
        return None;
    }
    let immr = (size - start) % size;
    let n = (size == 64) as u32;
    let imms = (!(size * 2 - 1) & 0x3f) | (ones - 1);
    let imms = if size == 64 { ones - 1 } else { imms };
    Some(n << 12 | immr << 6 | imms)
}
