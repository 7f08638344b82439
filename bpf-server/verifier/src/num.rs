//! What is known of a 64-bit number: an interval of all 64 bits, one of the low 32, and bits that are known.
//!
//! The three are kept apart and inform each other in [`Num::reduce`]. 32-bit instructions need the second: `w1 s>= 0`
//! says nothing simple about r1 as a whole, but cuts its low half exactly.

use crate::ring::Ring;

type R64 = Ring<64>;
type R32 = Ring<32>;

/// Known bits: a bit of `unknown` may be anything, others are as in `value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits {
    pub value: u64,
    pub unknown: u64,
}

impl Bits {
    pub const TOP: Bits = Bits { value: 0, unknown: u64::MAX };

    #[inline]
    pub const fn of(value: u64) -> Bits {
        Bits { value, unknown: 0 }
    }

    #[inline]
    fn add(self, o: Bits) -> Bits {
        let low = self.value.wrapping_add(o.value);
        let high = low.wrapping_add(self.unknown).wrapping_add(o.unknown);
        // A bit where the sums of all-zeros and all-ones differ has a carry that is not known.
        let unknown = (low ^ high) | self.unknown | o.unknown;
        Bits { value: low & !unknown, unknown }
    }

    #[inline]
    fn sub(self, o: Bits) -> Bits {
        let base = self.value.wrapping_sub(o.value);
        let unknown =
            (base.wrapping_add(self.unknown) ^ base.wrapping_sub(o.unknown)) | self.unknown | o.unknown;
        Bits { value: base & !unknown, unknown }
    }

    fn and(self, o: Bits) -> Bits {
        let value = self.value & o.value;
        Bits { value, unknown: (self.value | self.unknown) & (o.value | o.unknown) & !value }
    }

    fn or(self, o: Bits) -> Bits {
        let value = self.value | o.value;
        Bits { value, unknown: (self.unknown | o.unknown) & !value }
    }

    fn xor(self, o: Bits) -> Bits {
        let unknown = self.unknown | o.unknown;
        Bits { value: (self.value ^ o.value) & !unknown, unknown }
    }

    fn mul(self, o: Bits) -> Bits {
        if self.unknown | o.unknown == 0 {
            return Bits::of(self.value.wrapping_mul(o.value));
        }
        let zeros = self.zeros() + o.zeros();
        if zeros >= 64 { Bits::of(0) } else { Bits { value: 0, unknown: u64::MAX << zeros } }
    }

    /// Low bits known to be zero.
    pub fn zeros(self) -> u32 {
        (self.value | self.unknown).trailing_zeros()
    }

    fn shl(self, by: u32) -> Bits {
        Bits { value: self.value << by, unknown: self.unknown << by }
    }

    fn shr(self, by: u32) -> Bits {
        Bits { value: self.value >> by, unknown: self.unknown >> by }
    }

    fn ashr(self, by: u32) -> Bits {
        let unknown = (self.unknown as i64 >> by) as u64;
        Bits { value: (self.value as i64 >> by) as u64 & !unknown, unknown }
    }

    pub fn low(self, mask: u64) -> Bits {
        Bits { value: self.value & mask, unknown: self.unknown & mask }
    }

    #[inline]
    fn join(self, o: Bits) -> Bits {
        let unknown = self.unknown | o.unknown | (self.value ^ o.value);
        Bits { value: self.value & !unknown, unknown }
    }

    fn meet(self, o: Bits) -> Option<Bits> {
        if (self.value ^ o.value) & !self.unknown & !o.unknown != 0 {
            return None;
        }
        let unknown = self.unknown & o.unknown;
        Some(Bits { value: (self.value | o.value) & !unknown, unknown })
    }

    fn subset_of(self, o: Bits) -> bool {
        self.unknown & !o.unknown == 0 && (self.value ^ o.value) & !o.unknown == 0
    }
}

/// What is known of one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Num {
    pub r64: R64,
    pub r32: R32,
    pub bits: Bits,
}

impl Num {
    pub const TOP: Num = Num { r64: R64::TOP, r32: R32::TOP, bits: Bits::TOP };

    #[inline]
    pub const fn of(v: u64) -> Num {
        Num { r64: R64::of(v), r32: R32::of(v), bits: Bits::of(v) }
    }

    /// Any number of so many bits (8, 16, 32, 64), zero-extended.
    pub fn of_width(bits: u32) -> Num {
        if bits >= 64 {
            return Num::TOP;
        }
        Num::between(0, (1 << bits) - 1)
    }

    /// Any number of so many bits, sign-extended.
    pub fn signed_width(bits: u32) -> Num {
        if bits >= 64 {
            return Num::TOP;
        }
        let half = 1i64 << (bits - 1);
        Num::between(-half as u64, (half - 1) as u64)
    }

    /// From `lo` up to `hi` modulo 2^64.
    pub fn between(lo: u64, hi: u64) -> Num {
        let mut n = Num { r64: R64::new(lo, hi), r32: R32::TOP, bits: Bits::TOP };
        n.reduce();
        n
    }

    #[inline]
    pub fn constant(self) -> Option<u64> {
        self.r64.constant()
    }

    /// Lets each part tighten the others; false if they contradict each other, so that no number is left.
    #[inline]
    pub fn reduce(&mut self) -> bool {
        // Nothing is known: the common case in code that computes.
        if self.bits.unknown == u64::MAX && self.r64.is_top() && self.r32.is_top() {
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
        // Bits to intervals.
        let low = self.bits.value;
        let high = self.bits.value | self.bits.unknown;
        if low != 0 || high != u64::MAX {
            match self.r64.meet(R64::new(low, high)) {
                Some(m) => self.r64 = m,
                None => return false,
            }
        }
        // 64 to 32.
        if self.r64.span() <= u32::MAX as u64 {
            match self.r32.meet(R32::new(self.r64.lo, self.r64.hi)) {
                Some(m) => self.r32 = m,
                None => return false,
            }
        }
        // 32 to 64, when the high half is one constant.
        if self.r64.lo <= self.r64.hi && self.r64.lo >> 32 == self.r64.hi >> 32 && !self.r32.is_top() {
            let base = self.r64.lo >> 32 << 32;
            let (a, b) = self.r32.unsigned();
            match self.r64.meet(R64::new(base | a, base | b)) {
                Some(m) => self.r64 = m,
                None => return false,
            }
        } else if !self.r32.is_top() {
            // A sign-extended number: both readings agree.
            let (a, b) = self.r64.signed();
            if a >= i32::MIN as i64 && b <= i32::MAX as i64 {
                let (c, d) = self.r32.signed();
                match self.r64.meet(R64::new(c as u64, d as u64)) {
                    Some(m) => self.r64 = m,
                    None => return false,
                }
            }
        }
        // Ends that the known low bits exclude.
        let known = self.bits.unknown.trailing_zeros();
        if known > 0 && known < 64 {
            let step = (1u64 << known) - 1;
            let up = self.bits.value.wrapping_sub(self.r64.lo) & step;
            let down = self.r64.hi.wrapping_sub(self.bits.value) & step;
            match up.checked_add(down) {
                Some(s) if s <= self.r64.span() => {
                    self.r64 = R64::new(self.r64.lo.wrapping_add(up), self.r64.hi.wrapping_sub(down))
                }
                _ => return false,
            }
        }
        // Interval to bits: the common prefix.
        if self.r64.lo <= self.r64.hi {
            let differ = self.r64.lo ^ self.r64.hi;
            let unknown = if differ == 0 { 0 } else { u64::MAX >> differ.leading_zeros() };
            match self.bits.meet(Bits { value: self.r64.lo & !unknown, unknown }) {
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
            let with = Bits { value: self.r32.lo & !unknown, unknown: unknown | !R32::MASK };
            match self.bits.meet(with) {
                Some(b) => self.bits = b,
                None => return false,
            }
        }
        true
    }

    fn reduced(mut self) -> Num {
        // A contradiction can only mean code that cannot run; what it computes does not matter.
        let before = self;
        if self.reduce() { self } else { before }
    }

    /// The low 32 bits, zero-extended.
    pub fn zext32(self) -> Num {
        let (a, b) = self.r32.unsigned();
        Num { r64: R64::new(a, b), r32: self.r32, bits: self.bits.low(R32::MASK) }
    }

    /// The low `bits` bits, sign-extended to 64.
    pub fn sext(self, bits: u32) -> Num {
        if bits == 32 {
            let (a, b) = self.r32.signed();
            let n =
                Num { r64: R64::new(a as u64, b as u64), r32: self.r32, bits: self.bits.shl(32).ashr(32) };
            return n.reduced();
        }
        self.shl((64 - bits, 64 - bits), true).ashr((64 - bits, 64 - bits), true)
    }

    #[inline]
    fn finish(r64: R64, r32: R32, bits: Bits, wide: bool) -> Num {
        let n = Num { r64, r32, bits };
        if wide { n } else { n.zext32() }
    }

    #[inline]
    pub fn add(self, o: Num, wide: bool) -> Num {
        Num::finish(self.r64.add(o.r64), self.r32.add(o.r32), self.bits.add(o.bits), wide)
    }

    #[inline]
    pub fn sub(self, o: Num, wide: bool) -> Num {
        Num::finish(self.r64.sub(o.r64), self.r32.sub(o.r32), self.bits.sub(o.bits), wide)
    }

    pub fn mul(self, o: Num, wide: bool) -> Num {
        Num::finish(self.r64.mul(o.r64), self.r32.mul(o.r32), self.bits.mul(o.bits), wide).reduced()
    }

    pub fn and(self, o: Num, wide: bool) -> Num {
        let bits = self.bits.and(o.bits);
        // No result exceeds either operand.
        let cap = self.r64.unsigned().1.min(o.r64.unsigned().1);
        let cap32 = self.r32.unsigned().1.min(o.r32.unsigned().1);
        Num::finish(R64::new(0, cap), R32::new(0, cap32), bits, wide).reduced()
    }

    pub fn or(self, o: Num, wide: bool) -> Num {
        let floor = self.r64.unsigned().0.max(o.r64.unsigned().0);
        let floor32 = self.r32.unsigned().0.max(o.r32.unsigned().0);
        let (r64, r32) = (R64::new(floor, u64::MAX), R32::new(floor32, R32::MASK));
        Num::finish(r64, r32, self.bits.or(o.bits), wide).reduced()
    }

    pub fn xor(self, o: Num, wide: bool) -> Num {
        Num::finish(R64::TOP, R32::TOP, self.bits.xor(o.bits), wide).reduced()
    }

    /// Shifts by a count in `by`, already below the width.
    pub fn shl(self, by: (u32, u32), wide: bool) -> Num {
        let bits = if by.0 == by.1 {
            self.bits.shl(by.0)
        } else {
            let zeros = (self.bits.zeros() + by.0).min(64);
            Bits { value: 0, unknown: if zeros == 64 { 0 } else { u64::MAX << zeros } }
        };
        if wide {
            let r32 = if by.1 < 32 { self.r32.shl(by) } else { R32::TOP };
            Num { r64: self.r64.shl(by), r32, bits }.reduced()
        } else {
            Num::finish(R64::TOP, self.r32.shl(by), bits, false).reduced()
        }
    }

    pub fn shr(self, by: (u32, u32), wide: bool) -> Num {
        let from = if wide { self.bits } else { self.bits.low(R32::MASK) };
        let bits = if by.0 == by.1 { from.shr(by.0) } else { Bits::TOP };
        if wide {
            Num { r64: self.r64.shr(by), r32: R32::TOP, bits }.reduced()
        } else {
            Num::finish(R64::TOP, self.r32.shr(by), bits, false).reduced()
        }
    }

    pub fn ashr(self, by: (u32, u32), wide: bool) -> Num {
        let from = if wide { self.bits } else { self.bits.shl(32).ashr(32) };
        let bits = if by.0 == by.1 { from.ashr(by.0) } else { Bits::TOP };
        if wide {
            Num { r64: self.r64.ashr(by), r32: R32::TOP, bits }.reduced()
        } else {
            Num::finish(R64::TOP, self.r32.ashr(by), bits, false).reduced()
        }
    }

    /// Quotients and remainders; a zero divisor gives 0 or leaves the dividend.
    pub fn div(self, by: Num, signed: bool, rest: bool, wide: bool) -> Num {
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
            Num { r64: go(self.r64, by.r64, signed, rest), r32: R32::TOP, bits: Bits::TOP }.reduced()
        } else {
            let r32 = go(self.r32, by.r32, signed, rest);
            Num::finish(R64::TOP, r32, Bits::TOP, false).reduced()
        }
    }

    #[inline]
    pub fn join(self, o: Num) -> Num {
        if self == o {
            return self;
        }
        Num { r64: self.r64.join(o.r64), r32: self.r32.join(o.r32), bits: self.bits.join(o.bits) }.reduced()
    }

    pub fn meet(self, o: Num) -> Option<Num> {
        let mut n =
            Num { r64: self.r64.meet(o.r64)?, r32: self.r32.meet(o.r32)?, bits: self.bits.meet(o.bits)? };
        n.reduce().then_some(n)
    }

    pub fn subset_of(self, o: Num) -> bool {
        self.r64.subset_of(o.r64) && self.r32.subset_of(o.r32) && self.bits.subset_of(o.bits)
    }

    #[cfg(test)]
    pub fn contains(self, v: u64) -> bool {
        self.r64.contains(v) && self.r32.contains(v) && (v ^ self.bits.value) & !self.bits.unknown == 0
    }

    /// Holds `self` (older) and `newer`, and grows only to thresholds, or, `far`, to everything at once.
    pub fn widen(self, newer: Num, t: &Thresholds, far: bool) -> Num {
        let joined = self.bits.join(newer.bits);
        let bits = if joined == self.bits {
            joined
        } else if far {
            Bits::TOP
        } else {
            // Low bits that never changed stay known: that is the alignment of strided counters.
            let unknown = u64::MAX << joined.unknown.trailing_zeros();
            Bits { value: joined.value & !unknown, unknown }
        };
        let r64 = self.r64.widen(newer.r64, t.wide, far);
        let r32 = self.r32.widen(newer.r32, t.narrow, far);
        let n = Num { r64, r32, bits };
        // Not reduced beyond what the older value implies: reducing could undo the growth again and again. Only the
        // known low bits may trim the ends.
        n.trim()
    }

    fn trim(mut self) -> Num {
        let known = self.bits.unknown.trailing_zeros();
        if known > 0 && known < 64 && !self.r64.is_top() {
            let step = (1u64 << known) - 1;
            let up = self.bits.value.wrapping_sub(self.r64.lo) & step;
            let down = self.r64.hi.wrapping_sub(self.bits.value) & step;
            if up.checked_add(down).is_some_and(|s| s <= self.r64.span()) {
                self.r64 = R64::new(self.r64.lo.wrapping_add(up), self.r64.hi.wrapping_sub(down));
            }
        }
        self
    }
}

/// Where widening stops: the constants of the program, sorted, as 64-bit and as 32-bit numbers.
pub struct Thresholds<'a> {
    pub wide: &'a [u64],
    pub narrow: &'a [u64],
}
