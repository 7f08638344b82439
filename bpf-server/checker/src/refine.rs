//! Comparisons: whether they hold, and what their outcome tells about the operands.

use crate::num::Num;
use crate::ring::Ring;
use axiom_bpf_isa::jump::*;

/// How a comparison orders its operands: whether the first is to be the greater one, as signed numbers, strictly.
fn order(op: u8) -> (bool, bool, bool) {
    (op < JLT, matches!(op, JSGT | JSGE | JSLT | JSLE), matches!(op, JGT | JSGT | JLT | JSLT))
}

/// Whether a comparison of `B` bits holds of two numbers.
pub fn compare<const B: u32>(op: u8, x: u64, y: u64) -> bool {
    let (greater, signed, strict) = order(op);
    let sign = if signed { 1 << (B - 1) } else { 0 };
    let (x, y) = ((x ^ sign) & Ring::<B>::MASK, (y ^ sign) & Ring::<B>::MASK);
    match op {
        JEQ => x == y,
        JSET => x & y != 0,
        JNE => x != y,
        _ if x == y => !strict,
        _ => greater == (x > y),
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
    match op {
        JEQ | JNE if holds == (op == JEQ) => return equal(a, b, wide),
        JEQ | JNE => return differ(a, b, wide),
        JSET => return test(a, b, wide, holds),
        _ => {}
    }
    // Everything else is one of four, perhaps with the operands exchanged. What does not hold is the opposite, exchanged:
    // a >= b, where a < b does not hold.
    let (greater, signed, strict) = order(op);
    let (x, y) = if greater == holds { (b, a) } else { (a, b) };
    let possible = if wide {
        less(&mut x.r64, &mut y.r64, signed, strict == holds)
    } else {
        less(&mut x.r32, &mut y.r32, signed, strict == holds)
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
    let ends = |r: &Ring<B>| Ring::<B>::new(r.lo.wrapping_sub(base), r.hi.wrapping_sub(base)).unsigned();
    let (least, most) = (ends(a).0, ends(b).1);
    if most < strict || top - least < strict {
        return false;
    }
    let (most, least) = (most - strict, least + strict);
    let ring = |lo: u64, hi: u64| Ring::new(base.wrapping_add(lo), base.wrapping_add(hi));
    let (Some(x), Some(y)) = (a.meet(ring(0, most)), b.meet(ring(least, top))) else { return false };
    (*a, *b) = (x, y);
    true
}
