//! Arithmetic instructions on numbers: what is known of the result.
//!
//! Generic over the width, as [`Num`]: the tests try every operation here on few bits with everything that can be known
//! of the operands.

use crate::num::Num;
use crate::ring::Ring;

/// The result of operation `op` (the high nibble of the opcode) with offset `off` on `W` bits, or on the low `H`, if not
/// `wide`. Moves with `off` bits sign-extend; divisions with `off` 1 are signed. `same`: both operands are one register.
/// Of what is no such operation, nothing is known.
#[inline(always)]
pub fn result<const W: u32, const H: u32>(
    op: u8,
    off: i16,
    wide: bool,
    same: bool,
    a: &Num<W, H>,
    b: &Num<W, H>,
) -> Num<W, H> {
    match op {
        0x00 => a.add(*b, wide),
        0x10 if !same => a.sub(*b, wide),
        _ => rarer(op, off, wide, same, a, b),
    }
}

#[inline(never)]
fn rarer<const W: u32, const H: u32>(
    op: u8,
    off: i16,
    wide: bool,
    same: bool,
    a: &Num<W, H>,
    b: &Num<W, H>,
) -> Num<W, H> {
    let (a, b) = (*a, *b);
    match op {
        0x10 | 0xa0 if same => Num::of(0),
        0x20 => a.mul(b, wide),
        0x30 => a.div(b, off == 1, false, wide),
        0x40 => a.or(b, wide),
        0x50 => a.and(b, wide),
        0x60 => a.shl(count(b, wide), wide),
        0x70 => a.shr(count(b, wide), wide),
        0x80 => Num::of(0).sub(a, wide),
        0x90 => a.div(b, off == 1, true, wide),
        0xa0 => a.xor(b, wide),
        0xb0 if off == 0 && wide => b,
        0xb0 if off == 0 => b.zext32(),
        0xb0 if wide => b.sext(off as u32),
        0xb0 => b.sext(off as u32).zext32(),
        0xc0 => a.ashr(count(b, wide), wide),
        _ => Num::TOP,
    }
}

/// Least and greatest count of a shift: only the count's low bits matter.
fn count<const W: u32, const H: u32>(n: Num<W, H>, wide: bool) -> (u32, u32) {
    let width = if wide { W } else { H } as u64;
    if let Some(c) = n.constant().map(|c| if wide { c } else { c & Ring::<H>::MASK }) {
        return ((c % width) as u32, (c % width) as u32);
    }
    let (lo, hi) = n.r64.unsigned();
    if hi < width { (lo as u32, hi as u32) } else { (0, width as u32 - 1) }
}

/// Byte order: the low `bits` bits, zero-extended, their bytes (of `byte` bits) reversed if `reverse`.
pub fn swap<const W: u32, const H: u32>(n: Num<W, H>, bits: u32, byte: u32, reverse: bool) -> Num<W, H> {
    match n.constant() {
        Some(c) => Num::of(swapped(c, bits, byte, reverse)),
        None => Num::of_width(bits),
    }
}

/// The same of one number.
pub fn swapped(v: u64, bits: u32, byte: u32, reverse: bool) -> u64 {
    let mask = |bits: u32| u64::MAX >> (64 - bits);
    if !reverse {
        return v & mask(bits);
    }
    (0..bits / byte).fold(0, |r, k| r << byte | (v >> (k * byte)) & mask(byte))
}

/// The number of bits of the greatest and of the least of some numbers, as unsigned ones of `B` bits; 0 has none.
pub fn lengths<const B: u32>(r: Ring<B>) -> (u32, u32) {
    let (lo, hi) = r.unsigned();
    (64 - lo.leading_zeros(), 64 - hi.leading_zeros())
}
