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
pub fn refine<const W: u32, const H: u32>(
    op: u8,
    a: Num<W, H>,
    b: Num<W, H>,
    wide: bool,
    holds: bool,
) -> Option<(Num<W, H>, Num<W, H>)> {
    let (mut a, mut b) = (a, b);
    if op == 0x40 {
        let Some(mask) = b.constant().map(|m| if wide { m } else { m & Ring::<H>::MASK }) else {
            return Some((a, b));
        };
        if holds {
            if mask.is_power_of_two() {
                if (a.bits.value | a.bits.unknown) & mask == 0 {
                    return None;
                }
                a.bits.value |= mask;
                a.bits.unknown &= !mask;
            } else if (a.bits.value | a.bits.unknown) & mask == 0 {
                return None;
            }
        } else {
            if a.bits.value & mask != 0 {
                return None;
            }
            a.bits.unknown &= !mask;
        }
        return a.reduce().then_some((a, b));
    }
    let op = if holds {
        op
    } else {
        match op {
            0x10 => 0x50,
            0x50 => 0x10,
            0x20 => 0xb0,
            0xb0 => 0x20,
            0x30 => 0xa0,
            0xa0 => 0x30,
            0x60 => 0xd0,
            0xd0 => 0x60,
            0x70 => 0xc0,
            _ => 0x70,
        }
    };
    if wide {
        (a.r64, b.r64) = cut(op, a.r64, b.r64)?;
        if op == 0x10 {
            let m = a.meet(b)?;
            return Some((m, m));
        }
    } else {
        (a.r32, b.r32) = cut(op, a.r32, b.r32)?;
    }
    (a.reduce() && b.reduce()).then_some((a, b))
}

/// The parts of two intervals for which a comparison holds.
fn cut<const B: u32>(op: u8, a: Ring<B>, b: Ring<B>) -> Option<(Ring<B>, Ring<B>)> {
    let top = Ring::<B>::MASK;
    let sign = 1u64 << (B - 1);
    Some(match op {
        0x10 => {
            let m = a.meet(b)?;
            (m, m)
        }
        0x50 => {
            let x = match b.constant() {
                Some(v) => a.without(v)?,
                None => a,
            };
            let y = match a.constant() {
                Some(v) => b.without(v)?,
                None => b,
            };
            (x, y)
        }
        0x20 | 0x30 | 0x60 | 0x70 => {
            let mirrored = match op {
                0x20 => 0xa0,
                0x30 => 0xb0,
                0x60 => 0xc0,
                _ => 0xd0,
            };
            let (y, x) = cut(mirrored, b, a)?;
            (x, y)
        }
        0xa0 | 0xb0 => {
            let strict = u64::from(op == 0xa0);
            let most = b.unsigned().1.checked_sub(strict)?;
            let least = a.unsigned().0;
            if strict == 1 && least == top {
                return None;
            }
            (a.meet(Ring::new(0, most))?, b.meet(Ring::new(least + strict, top))?)
        }
        _ => {
            let strict = i64::from(op == 0xc0);
            let most = b.signed().1;
            let least = a.signed().0;
            let (min, max) = Ring::<B>::TOP.signed();
            if strict == 1 && (most == min || least == max) {
                return None;
            }
            let (most, least) = ((most - strict) as u64, (least + strict) as u64);
            (a.meet(Ring::new(sign, most))?, b.meet(Ring::new(least, sign - 1))?)
        }
    })
}
