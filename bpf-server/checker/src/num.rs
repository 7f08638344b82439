//! What is known of a number of `W` bits: an interval of all its bits, one of its low `H` bits, and bits that are known.
//!
//! Programs compute on 64 bits and on 32 of them, so the real one is [`Num<64, 32>`](crate::Number); the tests try every
//! operation on 4 bits (2) and 6 bits (3), with all that can be known of the operands and all their values. Nothing here
//! may know the width otherwise.
//!
//! The three parts are kept apart and inform each other in [`Num::reduce`]. 32-bit instructions need the second: `w1 s>= 0`
//! says nothing simple about r1 as a whole, but cuts its low half exactly.
//!
//! Invariant: each operation on what is known of numbers holds for every such number. That it holds nothing else is hoped
//! for, and costs only precision.

use crate::bits::Bits;
use crate::ring::Ring;

/// What is known of one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Num<const W: u32, const H: u32> {
    /// All bits.
    pub r64: Ring<W>,
    /// The low half.
    pub r32: Ring<H>,
    /// Bit by bit.
    pub bits: Bits<W>,
}

// Operators would suggest that these are numbers.
#[allow(clippy::should_implement_trait)]
impl<const W: u32, const H: u32> Num<W, H> {
    /// Nothing is known.
    pub const TOP: Self = Num { r64: Ring::TOP, r32: Ring::TOP, bits: Bits::TOP };

    /// One number.
    pub const fn of(v: u64) -> Self {
        Num { r64: Ring::of(v), r32: Ring::of(v), bits: Bits::of(v) }
    }

    /// Any number of so many bits (8, 16, 32, 64), zero-extended.
    pub const fn of_width(bits: u32) -> Self {
        let most = Ring::<W>::MASK >> (W - bits);
        Num { r64: Ring::<W>::new(0, most), r32: Ring::<H>::new(0, most), bits: Bits::cut(0, most) }
    }

    /// Any number of so many bits, sign-extended.
    pub const fn signed_width(bits: u32) -> Self {
        let least = u64::MAX << (bits - 1);
        let r32 = if bits < H { Ring::<H>::new(least, !least) } else { Ring::TOP };
        Num { r64: Ring::<W>::new(least, !least), r32, bits: Bits::TOP }
    }

    /// From `lo` up to `hi` modulo 2^64.
    pub fn between(lo: u64, hi: u64) -> Self {
        let mut n = Num { r64: Ring::<W>::new(lo, hi), r32: Ring::<H>::TOP, bits: Bits::TOP };
        n.reduce();
        n
    }

    /// The number, if there is only one.
    pub fn constant(self) -> Option<u64> {
        self.r64.constant()
    }

    /// Lets each part tighten the others; false if they contradict each other, so that no number is left.
    pub fn reduce(&mut self) -> bool {
        // The common case: the intervals reach from where all unknown bits are clear to where all are set. They have nothing
        // to tell each other then.
        let (low, high) = (self.bits.value, self.bits.value | self.bits.unknown);
        let half = Ring { lo: low & Ring::<H>::MASK, hi: high & Ring::<H>::MASK };
        if (self.r64, self.r32) == (Ring { lo: low, hi: high }, half) {
            return true;
        }
        let tight = self.tight(low, high);
        *self = tight.unwrap_or(*self);
        tight.is_some()
    }

    fn tight(self, low: u64, high: u64) -> Option<Self> {
        let half = |r64: Ring<W>, r32: Ring<H>| match r64.span() <= Ring::<H>::MASK {
            true => r32.meet(Ring::new(r64.lo, r64.hi)),
            false => Some(r32),
        };
        // Bits to the interval, and that to the low half.
        let mut r64 = self.r64.meet(Ring::new(low, high))?;
        let r32 = half(r64, self.r32)?;
        // The low half to the interval: where the high half is one constant, or what signed numbers have there.
        let ((a, b), (least, most)) = (r64.signed(), Ring::<H>::TOP.signed());
        if r64.lo <= r64.hi && r64.lo >> H == r64.hi >> H {
            let (base, (a, b)) = (r64.lo >> H << H, r32.unsigned());
            r64 = r64.meet(Ring::new(base | a, base | b))?;
        } else if a >= least && b <= most {
            let (a, b) = r32.signed();
            r64 = r64.meet(Ring::new(a as u64, b as u64))?;
        }
        // Ends that the known low bits exclude.
        let step = !(u64::MAX << self.bits.unknown.trailing_zeros().min(63));
        let (up, down) = (low.wrapping_sub(r64.lo) & step, r64.hi.wrapping_sub(low) & step);
        if up.checked_add(down)? > r64.span() {
            return None;
        }
        let r64 = Ring::new(r64.lo.wrapping_add(up), r64.hi.wrapping_sub(down));
        let r32 = half(r64, r32)?;
        // Intervals to bits.
        let bits = self.bits.meet(Bits::of_ring(r64))?.meet(Bits::of_ring(r32))?;
        if bits.unknown > 0 {
            return Some(Num { r64, r32, bits });
        }
        (r64.contains(bits.value) && r32.contains(bits.value)).then_some(Num::of(bits.value))
    }

    fn reduced(mut self) -> Self {
        // A contradiction can only mean code that cannot run; what it computes does not matter.
        self.reduce();
        self
    }

    /// The low half, zero-extended.
    pub fn zext32(self) -> Self {
        let (a, b) = self.r32.unsigned();
        Num { r64: Ring::new(a, b), r32: self.r32, bits: self.bits.low(Ring::<H>::MASK) }
    }

    /// The low `bits` bits, of the low half, sign-extended.
    pub fn sext(self, bits: u32) -> Self {
        let (by, all) = (H - bits, W - bits);
        let r32 = if by == 0 { self.r32 } else { self.r32.shl((by, by)).ashr((by, by)) };
        let (a, b) = r32.signed();
        Num { r64: Ring::new(a as u64, b as u64), r32, bits: self.bits.shl(all).ashr(all) }.reduced()
    }

    /// The sum.
    pub fn add(self, o: Self) -> Self {
        Num { r64: self.r64.add(o.r64), r32: self.r32.add(o.r32), bits: self.bits.add(o.bits) }
    }

    /// The difference.
    pub fn sub(self, o: Self) -> Self {
        Num { r64: self.r64.sub(o.r64), r32: self.r32.sub(o.r32), bits: self.bits.sub(o.bits) }
    }

    /// The product.
    pub fn mul(self, o: Self) -> Self {
        Num { r64: self.r64.mul(o.r64), r32: self.r32.mul(o.r32), bits: self.bits.mul(o.bits) }.reduced()
    }

    /// Bits set in both: no result exceeds either operand.
    pub fn and(self, o: Self) -> Self {
        let r64 = Ring::new(0, self.r64.unsigned().1.min(o.r64.unsigned().1));
        let r32 = Ring::new(0, self.r32.unsigned().1.min(o.r32.unsigned().1));
        Num { r64, r32, bits: self.bits.and(o.bits) }.reduced()
    }

    /// Bits set in either: no result is below either operand.
    pub fn or(self, o: Self) -> Self {
        let r64 = Ring::new(self.r64.unsigned().0.max(o.r64.unsigned().0), u64::MAX);
        let r32 = Ring::new(self.r32.unsigned().0.max(o.r32.unsigned().0), u64::MAX);
        Num { r64, r32, bits: self.bits.or(o.bits) }.reduced()
    }

    /// Bits set in one.
    pub fn xor(self, o: Self) -> Self {
        Num { bits: self.bits.xor(o.bits), ..Num::TOP }.reduced()
    }

    /// Shifted left by a count in `by`, below the width.
    pub fn shl(self, by: (u32, u32)) -> Self {
        let r32 = if by.1 < H { self.r32.shl(by) } else { Ring::TOP };
        let some = Bits::cut(0, u64::MAX << by.0);
        let bits = if by.0 == by.1 { self.bits.shl(by.0) } else { self.bits.mul(some) };
        Num { r64: self.r64.shl(by), r32, bits }.reduced()
    }

    /// Shifted right, unsigned, as `shl`.
    pub fn shr(self, by: (u32, u32)) -> Self {
        let bits = if by.0 == by.1 { self.bits.shr(by.0) } else { Bits::TOP };
        Num { r64: self.r64.shr(by), r32: Ring::TOP, bits }.reduced()
    }

    /// Shifted right, signed, as `shl`.
    pub fn ashr(self, by: (u32, u32)) -> Self {
        let bits = if by.0 == by.1 { self.bits.ashr(by.0) } else { Bits::TOP };
        Num { r64: self.r64.ashr(by), r32: Ring::TOP, bits }.reduced()
    }

    /// Quotients, or remainders if `rest`; a zero divisor gives 0, or leaves the dividend.
    pub fn div(self, by: Self, signed: bool, rest: bool) -> Self {
        Num { r64: self.r64.div(by.r64, signed, rest), ..Num::TOP }.reduced()
    }

    /// What both hold.
    pub fn join(self, o: Self) -> Self {
        Num { r64: self.r64.join(o.r64), r32: self.r32.join(o.r32), bits: self.bits.join(o.bits) }.reduced()
    }

    /// What holds of numbers of which both hold; `None` if there are none.
    pub fn meet(self, o: Self) -> Option<Self> {
        let mut n =
            Num { r64: self.r64.meet(o.r64)?, r32: self.r32.meet(o.r32)?, bits: self.bits.meet(o.bits)? };
        n.reduce().then_some(n)
    }

    /// `o` holds everything that `self` holds, part by part.
    pub fn subset_of(self, o: Self) -> bool {
        self.r64.subset_of(o.r64) && self.r32.subset_of(o.r32) && self.bits.subset_of(o.bits)
    }

    /// `v` is one of the numbers.
    pub fn contains(self, v: u64) -> bool {
        self.r64.contains(v) && self.r32.contains(v) && self.bits.contains(v)
    }
}
