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

/// Narrows the operands of a comparison that came out as `holds`; false if it cannot.
pub fn refine<const W: u32, const H: u32>(
    op: u8,
    a: &mut Num<W, H>,
    b: &mut Num<W, H>,
    wide: bool,
    holds: bool,
) -> bool {
    // Everything but equality and a test of bits is one of four, perhaps with the operands exchanged. What does not hold is
    // the opposite, exchanged: a >= b, where a < b does not hold.
    let (greater, signed, strict) = match op {
        0x10 | 0x50 if holds == (op == 0x10) => return equal(a, b, wide),
        0x10 | 0x50 => return differ(a, b, wide),
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
    let strict = strict == holds;
    let (x, y) = if greater == holds { (b, a) } else { (a, b) };
    let possible = if wide {
        less(&mut x.r64, &mut y.r64, signed, strict)
    } else {
        less(&mut x.r32, &mut y.r32, signed, strict)
    };
    possible && x.reduce() && y.reduce()
}

/// Both are the same, or their low halves are.
fn equal<const W: u32, const H: u32>(a: &mut Num<W, H>, b: &mut Num<W, H>, wide: bool) -> bool {
    if wide {
        let Some(m) = a.meet(*b) else { return false };
        (*a, *b) = (m, m);
        return true;
    }
    let Some(m) = a.r32.meet(b.r32) else { return false };
    (a.r32, b.r32) = (m, m);
    a.reduce() && b.reduce()
}

/// They, or their low halves, differ.
fn differ<const W: u32, const H: u32>(a: &mut Num<W, H>, b: &mut Num<W, H>, wide: bool) -> bool {
    fn apart<const B: u32>(a: &mut Ring<B>, b: &mut Ring<B>) -> bool {
        let without = |r: Ring<B>, v: Option<u64>| v.map_or(Some(r), |v| r.without(v));
        let (Some(x), Some(y)) = (without(*a, b.constant()), without(*b, a.constant())) else { return false };
        (*a, *b) = (x, y);
        true
    }
    let possible = if wide { apart(&mut a.r64, &mut b.r64) } else { apart(&mut a.r32, &mut b.r32) };
    possible && a.reduce() && b.reduce()
}

/// Some bit of `b` is set in `a`, or none is.
fn test<const W: u32, const H: u32>(a: &mut Num<W, H>, b: &Num<W, H>, wide: bool, holds: bool) -> bool {
    let Some(mask) = b.constant().map(|m| if wide { m } else { m & Ring::<H>::MASK }) else {
        return true;
    };
    let impossible =
        if holds { (a.bits.value | a.bits.unknown) & mask == 0 } else { a.bits.value & mask != 0 };
    if impossible {
        return false;
    }
    if !holds {
        a.bits.unknown &= !mask;
    } else if mask.is_power_of_two() {
        a.bits.value |= mask;
        a.bits.unknown &= !mask;
    }
    a.reduce()
}

/// Cuts two intervals to where the first is less, or not greater, than the second.
fn less<const B: u32>(a: &mut Ring<B>, b: &mut Ring<B>, signed: bool, strict: bool) -> bool {
    let (top, strict) = (Ring::<B>::MASK, u64::from(strict));
    // Signed numbers are ordered as unsigned ones that are counted from the least of them.
    let base = if signed { 1u64 << (B - 1) } else { 0 };
    let ends = |r: &Ring<B>| {
        let (lo, hi) = (r.lo.wrapping_sub(base) & top, r.hi.wrapping_sub(base) & top);
        (lo, hi, lo <= hi)
    };
    let ((a_lo, a_hi, a_whole), (b_lo, b_hi, b_whole)) = (ends(a), ends(b));
    let (least, most) = (if a_whole { a_lo } else { 0 }, if b_whole { b_hi } else { top });
    if most < strict || top - least < strict {
        return false;
    }
    let (most, least) = (most - strict, least + strict);
    let ring = |lo: u64, hi: u64| Ring::new(base.wrapping_add(lo), base.wrapping_add(hi));
    let x = if !a_whole { a.meet(ring(0, most)) } else { (a_lo <= most).then(|| ring(a_lo, a_hi.min(most))) };
    let y = if !b_whole {
        b.meet(ring(least, top))
    } else {
        (least <= b_hi).then(|| ring(b_lo.max(least), b_hi))
    };
    let (Some(x), Some(y)) = (x, y) else { return false };
    (*a, *b) = (x, y);
    true
}
