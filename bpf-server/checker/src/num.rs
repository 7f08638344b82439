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

impl<const W: u32, const H: u32> Num<W, H> {
    /// Nothing is known.
    pub const TOP: Self = Num { r64: Ring::TOP, r32: Ring::TOP, bits: Bits::TOP };

    /// One number.
    #[inline]
    pub const fn of(v: u64) -> Self {
        Num { r64: Ring::of(v), r32: Ring::of(v), bits: Bits::of(v) }
    }

    /// Any number of so many bits (8, 16, 32, 64), zero-extended.
    #[inline]
    pub const fn of_width(bits: u32) -> Self {
        let most = Ring::<W>::MASK >> (W - bits);
        Num { r64: Ring::<W>::new(0, most), r32: Ring::<H>::new(0, most), bits: Bits::cut(0, most) }
    }

    /// Any number of so many bits, sign-extended.
    #[inline]
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
    #[inline]
    pub fn constant(self) -> Option<u64> {
        self.r64.constant()
    }

    /// Lets each part tighten the others; false if they contradict each other, so that no number is left.
    #[inline]
    pub fn reduce(&mut self) -> bool {
        // The common case: the intervals reach from where all unknown bits are clear to where all are set. They have nothing
        // to tell each other then.
        let (low, high) = (self.bits.value, self.bits.value | self.bits.unknown);
        let halves = (low & Ring::<H>::MASK, high & Ring::<H>::MASK);
        if (self.r64.lo, self.r64.hi) == (low, high) && (self.r32.lo, self.r32.hi) == halves {
            return true;
        }
        self.reduce_known()
    }

    fn reduce_known(&mut self) -> bool {
        if self.bits.unknown == 0 {
            let v = self.bits.value;
            if !self.r64.contains(v) || !self.r32.contains(v) {
                return false;
            }
            *self = Num::of(v);
            return true;
        }
        if let Some(v) = self.r64.constant() {
            if (v ^ self.bits.value) & !self.bits.unknown != 0 || !self.r32.contains(v) {
                return false;
            }
            *self = Num::of(v);
            return true;
        }
        let whole = self.r64.lo <= self.r64.hi && self.r32.lo <= self.r32.hi;
        if whole && self.r64.hi <= Ring::<H>::MASK {
            return self.reduce_low();
        }
        // Bits to intervals.
        let (low, high) = (self.bits.value, self.bits.value | self.bits.unknown);
        let within = low <= self.r64.lo && self.r64.lo <= self.r64.hi && self.r64.hi <= high;
        if !within {
            match self.r64.meet(Ring::<W>::new(low, high)) {
                Some(m) => self.r64 = m,
                None => return false,
            }
        }
        // 64 to 32.
        if self.r64.span() <= Ring::<H>::MASK && self.r32.is_top() {
            self.r32 = Ring::<H>::new(self.r64.lo, self.r64.hi);
        } else if self.r64.span() <= Ring::<H>::MASK {
            match self.r32.meet(Ring::<H>::new(self.r64.lo, self.r64.hi)) {
                Some(m) => self.r32 = m,
                None => return false,
            }
        }
        // 32 to 64, when the high half is one constant.
        if self.r64.lo <= self.r64.hi && self.r64.lo >> H == self.r64.hi >> H && !self.r32.is_top() {
            let base = self.r64.lo >> H << H;
            let (a, b) = self.r32.unsigned();
            let same = (base | a, base | b) == (self.r64.lo, self.r64.hi);
            match if same { Some(self.r64) } else { self.r64.meet(Ring::<W>::new(base | a, base | b)) } {
                Some(m) => self.r64 = m,
                None => return false,
            }
        } else if !self.r32.is_top() {
            // A sign-extended number: both readings agree.
            let (a, b) = self.r64.signed();
            let (least, most) = Ring::<H>::TOP.signed();
            if a >= least && b <= most {
                let (c, d) = self.r32.signed();
                match self.r64.meet(Ring::<W>::new(c as u64, d as u64)) {
                    Some(m) => self.r64 = m,
                    None => return false,
                }
            }
        }
        // Ends that the known low bits exclude.
        let known = self.bits.unknown.trailing_zeros();
        if known > 0 && known < W {
            let step = (1u64 << known) - 1;
            let up = self.bits.value.wrapping_sub(self.r64.lo) & step;
            let down = self.r64.hi.wrapping_sub(self.bits.value) & step;
            match up.checked_add(down) {
                Some(s) if s <= self.r64.span() => {
                    self.r64 = Ring::<W>::new(self.r64.lo.wrapping_add(up), self.r64.hi.wrapping_sub(down))
                }
                _ => return false,
            }
        }
        // Interval to bits: the common prefix.
        if self.r64.lo <= self.r64.hi {
            let differ = self.r64.lo ^ self.r64.hi;
            let unknown = if differ == 0 { 0 } else { u64::MAX >> differ.leading_zeros() };
            match self.bits.meet(Bits::cut(self.r64.lo, unknown)) {
                Some(b) => self.bits = b,
                None => return false,
            }
            if self.bits.unknown == 0 {
                let v = self.bits.value;
                if !self.r64.contains(v) || !self.r32.contains(v) {
                    return false;
                }
                *self = Num::of(v);
                return true;
            }
        }
        if self.r32.lo <= self.r32.hi {
            let differ = self.r32.lo ^ self.r32.hi;
            let unknown = if differ == 0 { 0 } else { u64::MAX >> differ.leading_zeros() };
            let with = Bits::cut(self.r32.lo, unknown | !Ring::<H>::MASK);
            match self.bits.meet(with) {
                Some(b) => self.bits = b,
                None => return false,
            }
        }
        true
    }

    /// The same, of numbers without a high half whose low half is known by an interval in one piece.
    fn reduce_low(&mut self) -> bool {
        let (low, high) = (self.bits.value, self.bits.value | self.bits.unknown);
        let (mut lo, mut hi) =
            (low.max(self.r64.lo).max(self.r32.lo), high.min(self.r64.hi).min(self.r32.hi));
        if lo > hi {
            return false;
        }
        // Ends that the known low bits exclude.
        let step = (1u64 << self.bits.unknown.trailing_zeros()) - 1;
        lo += low.wrapping_sub(lo) & step;
        hi = hi.wrapping_sub(hi.wrapping_sub(low) & step);
        if lo > hi {
            return false;
        }
        // Bits that both ends have in common, from the highest on.
        let Some(bits) =
            self.bits.meet(Bits::cut(lo, u64::MAX.checked_shr((lo ^ hi).leading_zeros()).unwrap_or(0)))
        else {
            return false;
        };
        *self = Num { r64: Ring::<W>::new(lo, hi), r32: Ring::<H>::new(lo, hi), bits };
        if bits.unknown == 0 {
            *self = Num::of(bits.value);
            return lo <= bits.value && bits.value <= hi;
        }
        true
    }

    fn reduced(mut self) -> Self {
        // A contradiction can only mean code that cannot run; what it computes does not matter.
        let before = self;
        if self.reduce() { self } else { before }
    }

    /// The low 32 bits, zero-extended.
    pub fn zext32(self) -> Self {
        let (a, b) = self.r32.unsigned();
        Num { r64: Ring::<W>::new(a, b), r32: self.r32, bits: self.bits.low(Ring::<H>::MASK) }
    }

    /// The low `bits` bits, sign-extended to 64.
    pub fn sext(self, bits: u32) -> Self {
        if bits == H {
            let (a, b) = self.r32.signed();
            let n = Num {
                r64: Ring::<W>::new(a as u64, b as u64),
                r32: self.r32,
                bits: self.bits.shl(W - H).ashr(W - H),
            };
            return n.reduced();
        }
        self.shl((W - bits, W - bits), true).ashr((W - bits, W - bits), true)
    }

    #[inline]
    fn finish(r64: Ring<W>, r32: Ring<H>, bits: Bits<W>, wide: bool) -> Self {
        let n = Num { r64, r32, bits };
        if wide { n } else { n.zext32() }
    }

    /// The sum; of the low halves, zero-extended, unless `wide`.
    #[inline]
    pub fn add(self, o: Self, wide: bool) -> Self {
        Num::finish(self.r64.add(o.r64), self.r32.add(o.r32), self.bits.add(o.bits), wide)
    }

    /// The difference.
    #[inline]
    pub fn sub(self, o: Self, wide: bool) -> Self {
        Num::finish(self.r64.sub(o.r64), self.r32.sub(o.r32), self.bits.sub(o.bits), wide)
    }

    /// The product.
    pub fn mul(self, o: Self, wide: bool) -> Self {
        Num::finish(self.r64.mul(o.r64), self.r32.mul(o.r32), self.bits.mul(o.bits), wide).reduced()
    }

    /// Bits set in both.
    pub fn and(self, o: Self, wide: bool) -> Self {
        let bits = self.bits.and(o.bits);
        // No result exceeds either operand.
        let cap = self.r64.unsigned().1.min(o.r64.unsigned().1);
        let cap32 = self.r32.unsigned().1.min(o.r32.unsigned().1);
        Num::finish(Ring::<W>::new(0, cap), Ring::<H>::new(0, cap32), bits, wide).reduced()
    }

    /// Bits set in either.
    pub fn or(self, o: Self, wide: bool) -> Self {
        let floor = self.r64.unsigned().0.max(o.r64.unsigned().0);
        let floor32 = self.r32.unsigned().0.max(o.r32.unsigned().0);
        let (r64, r32) = (Ring::<W>::new(floor, Ring::<W>::MASK), Ring::<H>::new(floor32, Ring::<H>::MASK));
        Num::finish(r64, r32, self.bits.or(o.bits), wide).reduced()
    }

    /// Bits set in one.
    pub fn xor(self, o: Self, wide: bool) -> Self {
        Num::finish(Ring::<W>::TOP, Ring::<H>::TOP, self.bits.xor(o.bits), wide).reduced()
    }

    /// Shifts by a count in `by`, already below the width.
    pub fn shl(self, by: (u32, u32), wide: bool) -> Self {
        let bits = if by.0 == by.1 {
            self.bits.shl(by.0)
        } else {
            let zeros = (self.bits.zeros() + by.0).min(W);
            if zeros == W { Bits::of(0) } else { Bits::cut(0, u64::MAX << zeros) }
        };
        if wide {
            let r32 = if by.1 < H { self.r32.shl(by) } else { Ring::<H>::TOP };
            Num { r64: self.r64.shl(by), r32, bits }.reduced()
        } else {
            Num::finish(Ring::<W>::TOP, self.r32.shl(by), bits, false).reduced()
        }
    }

    /// Unsigned shift to the right, as `shl`.
    pub fn shr(self, by: (u32, u32), wide: bool) -> Self {
        let from = if wide { self.bits } else { self.bits.low(Ring::<H>::MASK) };
        let bits = if by.0 == by.1 { from.shr(by.0) } else { Bits::TOP };
        if wide {
            Num { r64: self.r64.shr(by), r32: Ring::<H>::TOP, bits }.reduced()
        } else {
            Num::finish(Ring::<W>::TOP, self.r32.shr(by), bits, false).reduced()
        }
    }

    /// Signed shift to the right, as `shl`.
    pub fn ashr(self, by: (u32, u32), wide: bool) -> Self {
        let from = if wide { self.bits } else { self.bits.shl(W - H).ashr(W - H) };
        let bits = if by.0 == by.1 { from.ashr(by.0) } else { Bits::TOP };
        if wide {
            Num { r64: self.r64.ashr(by), r32: Ring::<H>::TOP, bits }.reduced()
        } else {
            Num::finish(Ring::<W>::TOP, self.r32.ashr(by), bits, false).reduced()
        }
    }

    /// Quotients and remainders; a zero divisor gives 0 or leaves the dividend.
    pub fn div(self, by: Self, signed: bool, rest: bool, wide: bool) -> Self {
        fn go<const B: u32>(a: Ring<B>, b: Ring<B>, signed: bool, rest: bool) -> Ring<B> {
            // Signed division of numbers that are not negative is unsigned division.
            let unsigned = !signed || a.signed().0 >= 0 && b.signed().0 >= 0;
            match (unsigned, rest) {
                (true, false) => a.udiv(b),
                (true, true) => a.umod(b),
                (false, false) => a.sdiv(b),
                (false, true) => a.smod(b),
            }
        }
        if wide {
            Num { r64: go(self.r64, by.r64, signed, rest), r32: Ring::<H>::TOP, bits: Bits::TOP }.reduced()
        } else {
            let r32 = go(self.r32, by.r32, signed, rest);
            Num::finish(Ring::<W>::TOP, r32, Bits::TOP, false).reduced()
        }
    }

    /// What both hold.
    #[inline]
    pub fn join(self, o: Self) -> Self {
        if self == o {
            return self;
        }
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
