//! Numbers that grow in loops: widening at thresholds. The numbers themselves are the checker's.

pub use axiom_bpf_checker::Number as Num;
pub use axiom_bpf_checker::bits;
use axiom_bpf_checker::ring::Ring;

pub type Bits = bits::Bits<64>;

/// The operands of a comparison that came out as `holds`; `None` if it cannot.
pub fn refine(op: u8, a: Num, b: Num, wide: bool, holds: bool) -> Option<(Num, Num)> {
    let (mut a, mut b) = (a, b);
    axiom_bpf_checker::refine::refine(op, &mut a, &mut b, wide, holds).then_some((a, b))
}

/// Holds `old` and `newer`, and grows only to thresholds, or, `far`, to everything at once.
pub fn widen(old: Num, newer: Num, t: &Thresholds, far: bool) -> Num {
    let joined = old.bits.join(newer.bits);
    let bits = if joined == old.bits {
        joined
    } else if far {
        Bits::TOP
    } else {
        // Low bits that never changed stay known: that is the alignment of strided counters.
        let unknown = u64::MAX << joined.unknown.trailing_zeros();
        Bits::cut(joined.value, unknown)
    };
    let r64 = widen_ring(old.r64, newer.r64, t.wide, far);
    let r32 = widen_ring(old.r32, newer.r32, t.narrow, far);
    let n = Num { r64, r32, bits };
    // Not reduced beyond what the older value implies: reducing could undo the growth again and again. Only the
    // known low bits may trim the ends.
    trim(n)
}

fn trim(mut n: Num) -> Num {
    let known = n.bits.unknown.trailing_zeros();
    if known > 0 && known < 64 && !n.r64.is_top() {
        let step = (1u64 << known) - 1;
        let up = n.bits.value.wrapping_sub(n.r64.lo) & step;
        let down = n.r64.hi.wrapping_sub(n.bits.value) & step;
        if up.checked_add(down).is_some_and(|s| s <= n.r64.span()) {
            n.r64 = Ring::new(n.r64.lo.wrapping_add(up), n.r64.hi.wrapping_sub(down));
        }
    }
    n
}

/// Grows `old` so that it holds `newer`, up to the next thresholds. `low` and `high` are sorted.
fn widen_ring<const B: u32>(old: Ring<B>, newer: Ring<B>, thresholds: &[u64], far: bool) -> Ring<B> {
    let j = old.join(newer);
    if j == old || j.is_top() {
        return j;
    }
    let (mut lo, mut hi) = (j.lo, j.hi);
    if far {
        return Ring::<B>::TOP;
    }
    if hi != old.hi {
        let i = thresholds.partition_point(|&t| t < hi);
        hi = thresholds.get(i).copied().unwrap_or(Ring::<B>::MASK);
    }
    if lo != old.lo {
        let i = thresholds.partition_point(|&t| t <= lo);
        lo = if i == 0 { 0 } else { thresholds[i - 1] };
    }
    let grown = hi.wrapping_sub(j.lo) & Ring::<B>::MASK >= j.span();
    let down = j.hi.wrapping_sub(lo) & Ring::<B>::MASK >= j.span();
    // Both growths together must not meet.
    let up_by = hi.wrapping_sub(j.hi) & Ring::<B>::MASK;
    let down_by = j.lo.wrapping_sub(lo) & Ring::<B>::MASK;
    let room = Ring::<B>::MASK - j.span();
    if grown && down && up_by.checked_add(down_by).is_some_and(|s| s <= room) {
        Ring::<B>::new(lo, hi)
    } else {
        Ring::<B>::TOP
    }
}

/// Where widening stops: the constants of the program, sorted, as 64-bit and as 32-bit numbers.
pub struct Thresholds<'a> {
    pub wide: &'a [u64],
    pub narrow: &'a [u64],
}
