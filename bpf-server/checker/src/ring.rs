//! Intervals on the ring of integers modulo 2^B.
//!
//! `Ring<B> { lo, hi }` stands for lo, lo+1, ..., hi, counted modulo 2^B. One representation serves signed and unsigned
//! readings: -1..=15 is as exact as 3..=7, and a comparison of either kind cuts it exactly. Addition and subtraction can
//! never go wrong by overflow. What it cannot hold is a set with two holes; joins then fill the smaller one.

/// The numbers from `lo` up to `hi` modulo 2^B.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ring<const B: u32> {
    /// The first.
    pub lo: u64,
    /// The last.
    pub hi: u64,
}

// Operators would suggest that these are numbers.
#[allow(clippy::should_implement_trait)]
impl<const B: u32> Ring<B> {
    /// All ones.
    pub const MASK: u64 = if B == 64 { u64::MAX } else { (1 << (B & 63)) - 1 };
    const SIGN: u64 = 1 << (B - 1);
    /// Every number.
    pub const TOP: Self = Ring { lo: 0, hi: Self::MASK };

    /// One number.
    #[inline]
    pub const fn of(v: u64) -> Self {
        Ring { lo: v & Self::MASK, hi: v & Self::MASK }
    }

    /// `lo..=hi` on the ring; the full ring has one representation.
    #[inline]
    pub const fn new(lo: u64, hi: u64) -> Self {
        let (lo, hi) = (lo & Self::MASK, hi & Self::MASK);
        if hi.wrapping_add(1) & Self::MASK == lo { Self::TOP } else { Ring { lo, hi } }
    }

    /// Every number is one of them.
    #[inline]
    pub const fn is_top(self) -> bool {
        self.lo == 0 && self.hi == Self::MASK
    }

    /// The number, if there is only one.
    #[inline]
    pub const fn constant(self) -> Option<u64> {
        if self.lo == self.hi { Some(self.lo) } else { None }
    }

    /// How many numbers, less one.
    #[inline]
    pub const fn span(self) -> u64 {
        self.hi.wrapping_sub(self.lo) & Self::MASK
    }

    /// `v` is one of the numbers.
    #[inline]
    pub const fn contains(self, v: u64) -> bool {
        v.wrapping_sub(self.lo) & Self::MASK <= self.span()
    }

    /// Least and greatest, unsigned.
    #[inline]
    pub const fn unsigned(self) -> (u64, u64) {
        if self.lo <= self.hi { (self.lo, self.hi) } else { (0, Self::MASK) }
    }

    /// Sign-extends a number of `B` bits.
    pub const fn extend(v: u64) -> i64 {
        ((v << (64 - B)) as i64) >> (64 - B)
    }

    /// Least and greatest, signed.
    #[inline]
    pub const fn signed(self) -> (i64, i64) {
        let (lo, hi) = (Self::extend(self.lo), Self::extend(self.hi));
        if lo <= hi { (lo, hi) } else { (Self::extend(Self::SIGN), (Self::SIGN - 1) as i64) }
    }

    /// All of `self` is in `other`.
    pub const fn subset_of(self, other: Self) -> bool {
        if other.is_top() {
            return true;
        }
        let a = self.lo.wrapping_sub(other.lo) & Self::MASK;
        let b = self.hi.wrapping_sub(other.lo) & Self::MASK;
        a <= b && b <= other.span()
    }

    /// The smallest interval that holds both.
    pub fn join(self, other: Self) -> Self {
        if self.lo == other.lo && self.hi == other.hi || other.subset_of(self) {
            return self;
        }
        if self.subset_of(other) {
            return other;
        }
        match (self.contains(other.lo), other.contains(self.lo)) {
            (true, true) => Self::TOP,
            (true, false) => Self::new(self.lo, other.hi),
            (false, true) => Self::new(other.lo, self.hi),
            (false, false) => {
                let after_self = other.lo.wrapping_sub(self.hi) & Self::MASK;
                let after_other = self.lo.wrapping_sub(other.hi) & Self::MASK;
                // On a tie the unsigned reading stays in one piece.
                if after_self < after_other || after_self == after_other && self.lo < other.lo {
                    Self::new(self.lo, other.hi)
                } else {
                    Self::new(other.lo, self.hi)
                }
            }
        }
    }

    /// An interval that holds everything in both; `None` if nothing is.
    pub fn meet(self, other: Self) -> Option<Self> {
        if self.subset_of(other) {
            return Some(self);
        }
        if other.subset_of(self) {
            return Some(other);
        }
        match (self.contains(other.lo), other.contains(self.lo)) {
            // Two pieces: no single interval is exact, the shorter operand is the best that holds both.
            (true, true) => Some(if self.span() <= other.span() { self } else { other }),
            (true, false) => Some(Self::new(other.lo, self.hi)),
            (false, true) => Some(Self::new(self.lo, other.hi)),
            (false, false) => None,
        }
    }

    /// Without `v`, if that is an end.
    pub fn without(self, v: u64) -> Option<Self> {
        let v = v & Self::MASK;
        if self.lo == self.hi {
            return if self.lo == v { None } else { Some(self) };
        }
        if self.is_top() {
            return Some(Self::new(v.wrapping_add(1), v.wrapping_sub(1)));
        }
        if self.lo == v {
            Some(Self::new(v.wrapping_add(1), self.hi))
        } else if self.hi == v {
            Some(Self::new(self.lo, v.wrapping_sub(1)))
        } else {
            Some(self)
        }
    }

    /// Sums.
    #[inline]
    pub fn add(self, other: Self) -> Self {
        match self.span().checked_add(other.span()) {
            Some(s) if s <= Self::MASK => {
                Self::new(self.lo.wrapping_add(other.lo), self.hi.wrapping_add(other.hi))
            }
            _ => Self::TOP,
        }
    }

    /// Differences.
    #[inline]
    pub fn sub(self, other: Self) -> Self {
        match self.span().checked_add(other.span()) {
            Some(s) if s <= Self::MASK => {
                Self::new(self.lo.wrapping_sub(other.hi), self.hi.wrapping_sub(other.lo))
            }
            _ => Self::TOP,
        }
    }

    /// Products.
    pub fn mul(self, other: Self) -> Self {
        // Times 2 or more, or times -1, everything stays everything.
        if self.is_top() && other.unsigned().1 > 1 || other.is_top() && self.unsigned().1 > 1 {
            return Self::TOP;
        }
        let ((a, b), (c, d)) = (self.unsigned(), other.unsigned());
        if let Some(high) = b.checked_mul(d)
            && high <= Self::MASK
        {
            return Self::new(a.wrapping_mul(c), high);
        }
        let ((a, b), (c, d)) = (self.signed(), other.signed());
        let p = [a as i128 * c as i128, a as i128 * d as i128, b as i128 * c as i128, b as i128 * d as i128];
        let (mut low, mut high) = (p[0], p[0]);
        for v in p {
            low = low.min(v);
            high = high.max(v);
        }
        if high - low >= Self::MASK as i128 { Self::TOP } else { Self::new(low as u64, high as u64) }
    }

    /// Both operands as unsigned; a zero divisor gives 0.
    pub fn udiv(self, by: Self) -> Self {
        let ((a, b), (c, d)) = (self.unsigned(), by.unsigned());
        match b.checked_div(c) {
            Some(most) => Self::new(a / d, most),
            None => Self::new(0, b),
        }
    }

    /// Both operands as unsigned; a zero divisor leaves the dividend.
    pub fn umod(self, by: Self) -> Self {
        let ((_, b), (c, d)) = (self.unsigned(), by.unsigned());
        if c == 0 {
            Self::new(0, b)
        } else if b < c {
            self
        } else {
            Self::new(0, b.min(d - 1))
        }
    }

    /// Both operands as signed; a zero divisor gives 0.
    pub fn sdiv(self, by: Self) -> Self {
        let ((a, b), (c, d)) = (self.signed(), by.signed());
        if c >= 1 {
            let (w, x, y, z) = (a / c, a / d, b / c, b / d);
            return Self::new(w.min(x) as u64, y.max(z) as u64);
        }
        Self::TOP
    }

    /// Both operands as signed; a zero divisor leaves the dividend.
    pub fn smod(self, by: Self) -> Self {
        let ((a, b), (c, d)) = (self.signed(), by.signed());
        if c >= 1 {
            let low = if a >= 0 { 0 } else { a.max(1 - d) };
            let high = if b <= 0 { 0 } else { b.min(d - 1) };
            return Self::new(low as u64, high as u64);
        }
        Self::TOP
    }

    /// Shifted left by a count in `by`, below the width.
    pub fn shl(self, by: (u32, u32)) -> Self {
        if by.0 == by.1 {
            return self.mul(Self::of_shift(by.0));
        }
        let (a, b) = self.unsigned();
        if b.leading_zeros().saturating_sub(64 - B) >= by.1 && b <= Self::MASK >> by.1 {
            Self::new(a << by.0, b << by.1)
        } else {
            Self::TOP
        }
    }

    const fn of_shift(by: u32) -> Self {
        Ring { lo: 1 << by, hi: 1 << by }
    }

    /// Shifted right, unsigned.
    pub fn shr(self, by: (u32, u32)) -> Self {
        let (a, b) = self.unsigned();
        Self::new(a >> by.1, b >> by.0)
    }

    /// Shifted right, signed.
    pub fn ashr(self, by: (u32, u32)) -> Self {
        let (a, b) = self.signed();
        Self::new((a >> by.0).min(a >> by.1) as u64, (b >> by.0).max(b >> by.1) as u64)
    }
}
