//! Comparisons: whether they hold, and what their outcome tells about the operands.

use crate::num::Num;
use crate::ring::Ring;

/// Whether a comparison of `B` bits holds of two numbers.
pub fn compare<const B: u32>(op: u8, x: u64, y: u64) -> bool {
    let (x, y) = (x & Ring::<B>::MASK, y & Ring::<B>::MASK);
    let (a, b) = (Ring::<B>::extend(x), Ring::<B>::extend(y));
    match op {
        0x10 => x == y,
        0x20 => x > y,
        0x30 => x >= y,
        0x40 => x & y != 0,
        0x50 => x != y,
        0x60 => a > b,
        0x70 => a >= b,
        0xa0 => x < y,
        0xb0 => x <= y,
        0xc0 => a < b,
        _ => a <= b,
    }
}

/// The operands of a comparison that came out as `holds`; `None` if it cannot.
#[inline(always)]
pub fn refine<const W: u32, const H: u32>(
    op: u8,
    a: Num<W, H>,
    b: Num<W, H>,
    wide: bool,
    holds: bool,
) -> Option<(Num<W, H>, Num<W, H>)> {
    // Everything but equality and a test of bits is one of four, perhaps with the operands exchanged. What does not hold is
    // the opposite, exchanged: a >= b, where a < b does not hold.
    let (greater, signed, strict) = match op {
        0x10 | 0x50 => return if holds == (op == 0x10) { equal(a, b, wide) } else { differ(a, b, wide) },
        0x40 => return test(a, b, wide, holds),
        0x20 => (true, false, true),
        0x30 => (true, false, false),
        0x60 => (true, true, true),
        0x70 => (true, true, false),
        0xa0 => (false, false, true),
        0xb0 => (false, false, false),
        0xc0 => (false, true, true),
        _ => (false, true, false),
    };
    let (exchange, strict) = (greater == holds, strict == holds);
    let (mut x, mut y) = if exchange { (b, a) } else { (a, b) };
    if wide {
        (x.r64, y.r64) = less(x.r64, y.r64, signed, strict)?;
    } else {
        (x.r32, y.r32) = less(x.r32, y.r32, signed, strict)?;
    }
    let possible = x.reduce() && y.reduce();
    possible.then_some(if exchange { (y, x) } else { (x, y) })
}

/// Both are the same, or their low halves are.
fn equal<const W: u32, const H: u32>(
    mut a: Num<W, H>,
    mut b: Num<W, H>,
    wide: bool,
) -> Option<(Num<W, H>, Num<W, H>)> {
    if wide {
        let m = a.meet(b)?;
        return Some((m, m));
    }
    a.r32 = a.r32.meet(b.r32)?;
    b.r32 = a.r32;
    (a.reduce() && b.reduce()).then_some((a, b))
}

/// They, or their low halves, differ.
fn differ<const W: u32, const H: u32>(
    mut a: Num<W, H>,
    mut b: Num<W, H>,
    wide: bool,
) -> Option<(Num<W, H>, Num<W, H>)> {
    fn apart<const B: u32>(a: Ring<B>, b: Ring<B>) -> Option<(Ring<B>, Ring<B>)> {
        let without = |r: Ring<B>, v: Option<u64>| v.map_or(Some(r), |v| r.without(v));
        without(a, b.constant()).zip(without(b, a.constant()))
    }
    if wide {
        (a.r64, b.r64) = apart(a.r64, b.r64)?;
    } else {
        (a.r32, b.r32) = apart(a.r32, b.r32)?;
    }
    (a.reduce() && b.reduce()).then_some((a, b))
}

/// Some bit of `b` is set in `a`, or none is.
fn test<const W: u32, const H: u32>(
    mut a: Num<W, H>,
    b: Num<W, H>,
    wide: bool,
    holds: bool,
) -> Option<(Num<W, H>, Num<W, H>)> {
    let Some(mask) = b.constant().map(|m| if wide { m } else { m & Ring::<H>::MASK }) else {
        return Some((a, b));
    };
    let impossible =
        if holds { (a.bits.value | a.bits.unknown) & mask == 0 } else { a.bits.value & mask != 0 };
    if impossible {
        return None;
    }
    if !holds {
        a.bits.unknown &= !mask;
    } else if mask.is_power_of_two() {
        a.bits.value |= mask;
        a.bits.unknown &= !mask;
    }
    a.reduce().then_some((a, b))
}

/// The parts of two intervals of which the first is less, or not greater, than the second.
#[inline]
fn less<const B: u32>(a: Ring<B>, b: Ring<B>, signed: bool, strict: bool) -> Option<(Ring<B>, Ring<B>)> {
    // Signed numbers are ordered as unsigned ones with the other sign.
    let base = if signed { 1u64 << (B - 1) } else { 0 };
    let at = |v: u64| v.wrapping_sub(base) & Ring::<B>::MASK;
    let ends = |r: Ring<B>| if at(r.lo) <= at(r.hi) { (at(r.lo), at(r.hi)) } else { (0, Ring::<B>::MASK) };
    let (least, most) = (ends(a).0, ends(b).1);
    let below = most.checked_sub(u64::from(strict))?;
    let above = least.checked_add(u64::from(strict)).filter(|v| *v <= Ring::<B>::MASK)?;
    let from = |lo: u64, hi: u64| Ring::new(base.wrapping_add(lo), base.wrapping_add(hi));
    Some((a.meet(from(0, below))?, b.meet(from(above, Ring::<B>::MASK))?))
}
