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
    pub const fn of(v: u64) -> Self {
        Ring { lo: v & Self::MASK, hi: v & Self::MASK }
    }

    /// `lo..=hi` on the ring; the full ring has one representation.
    pub const fn new(lo: u64, hi: u64) -> Self {
        let (lo, hi) = (lo & Self::MASK, hi & Self::MASK);
        if hi.wrapping_add(1) & Self::MASK == lo { Self::TOP } else { Ring { lo, hi } }
    }

    /// Every number is one of them.
    pub const fn is_top(self) -> bool {
        self.lo == 0 && self.hi == Self::MASK
    }

    /// The number, if there is only one.
    pub const fn constant(self) -> Option<u64> {
        if self.lo == self.hi { Some(self.lo) } else { None }
    }

    /// How many numbers, less one.
    pub const fn span(self) -> u64 {
        self.hi.wrapping_sub(self.lo) & Self::MASK
    }

    /// `v` is one of the numbers.
    pub const fn contains(self, v: u64) -> bool {
        v.wrapping_sub(self.lo) & Self::MASK <= self.span()
    }

    /// Least and greatest, unsigned.
    pub const fn unsigned(self) -> (u64, u64) {
        if self.lo <= self.hi { (self.lo, self.hi) } else { (0, Self::MASK) }
    }

    /// Sign-extends a number of `B` bits.
    pub const fn extend(v: u64) -> i64 {
        ((v << (64 - B)) as i64) >> (64 - B)
    }

    /// Least and greatest, signed.
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

    /// The smallest interval that holds both. On a tie the unsigned reading stays in one piece.
    pub fn join(self, other: Self) -> Self {
        let both = |r: &Self| self.subset_of(*r) && other.subset_of(*r);
        let ways = [self, other, Self::new(self.lo, other.hi), Self::new(other.lo, self.hi)];
        ways.into_iter().filter(both).min_by_key(|r| (r.span(), r.lo)).unwrap_or(Self::TOP)
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
        if self.is_top() {
            return Some(Self::new(v.wrapping_add(1), v.wrapping_sub(1)));
        }
        let (first, last) = (u64::from(self.lo == v), u64::from(self.hi == v));
        (first + last < 2).then(|| Self::new(self.lo.wrapping_add(first), self.hi.wrapping_sub(last)))
    }

    /// From `lo` to `hi`, where these are so far apart.
    fn wide(lo: u64, hi: u64, apart: Option<u64>) -> Self {
        if apart.is_some_and(|a| a <= Self::MASK) { Self::new(lo, hi) } else { Self::TOP }
    }

    /// Sums.
    pub fn add(self, o: Self) -> Self {
        let (lo, hi) = (self.lo.wrapping_add(o.lo), self.hi.wrapping_add(o.hi));
        Self::wide(lo, hi, self.span().checked_add(o.span()))
    }

    /// Differences.
    pub fn sub(self, o: Self) -> Self {
        let (lo, hi) = (self.lo.wrapping_sub(o.hi), self.hi.wrapping_sub(o.lo));
        Self::wide(lo, hi, self.span().checked_add(o.span()))
    }

    /// Products.
    pub fn mul(self, other: Self) -> Self {
        let ((a, b), (c, d)) = (self.unsigned(), other.unsigned());
        if let Some(high) = b.checked_mul(d).filter(|high| *high <= Self::MASK) {
            return Self::new(a * c, high);
        }
        let ((a, b), (c, d)) = (self.signed(), other.signed());
        let mut p = [(a, c), (a, d), (b, c), (b, d)].map(|(x, y)| x as i128 * y as i128);
        p.sort_unstable();
        Self::wide(p[0] as u64, p[3] as u64, u64::try_from(p[3] - p[0]).ok())
    }

    /// Quotients, or remainders if `rest`; a zero divisor gives 0, or leaves the dividend.
    pub fn div(self, by: Self, signed: bool, rest: bool) -> Self {
        let ends = |r: Self| {
            let ((a, b), (c, d)) = (r.signed(), r.unsigned());
            if signed { (a as i128, b as i128) } else { (c as i128, d as i128) }
        };
        let ((a, b), (c, d)) = (ends(self), ends(by));
        let (low, high) = match rest {
            // The divisor may be 0.
            _ if a >= 0 && c == 0 => (0, b),
            _ if c <= 0 => return Self::TOP,
            false => ((a / c).min(a / d), (b / c).max(b / d)),
            true if a >= 0 && b < c => (a, b),
            true => (a.max(1 - d).min(0), b.min(d - 1).max(0)),
        };
        Self::new(low as u64, high as u64)
    }

    /// Shifted left by a count in `by`, below the width.
    pub fn shl(self, by: (u32, u32)) -> Self {
        self.mul(Ring { lo: 1 << by.0, hi: 1 << by.1 })
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
