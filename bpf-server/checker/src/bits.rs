//! Known bits of a number of `W` bits.

use crate::ring::Ring;

/// Known bits: a bit of `unknown` may be anything, others are as in `value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bits<const W: u32> {
    /// The bits that are known to be set.
    pub value: u64,
    /// The bits that are not known.
    pub unknown: u64,
}

impl<const W: u32> Bits<W> {
    /// Nothing is known.
    pub const TOP: Self = Bits { value: 0, unknown: Ring::<W>::MASK };

    /// Bits that are both known and not are not.
    pub const fn cut(value: u64, unknown: u64) -> Self {
        let unknown = unknown & Ring::<W>::MASK;
        Bits { value: value & Ring::<W>::MASK & !unknown, unknown }
    }

    /// All bits are known.
    pub const fn of(value: u64) -> Self {
        Self::cut(value, 0)
    }

    /// What is known of numbers with low bits in an interval: what both its ends begin with.
    pub(crate) const fn of_ring<const B: u32>(r: Ring<B>) -> Self {
        let differ = if r.lo <= r.hi { r.lo ^ r.hi } else { u64::MAX };
        let below = match differ {
            0 => 0,
            _ => u64::MAX >> differ.leading_zeros(),
        };
        Self::cut(r.lo, below | !Ring::<B>::MASK)
    }

    pub(crate) fn add(self, o: Self) -> Self {
        let low = self.value.wrapping_add(o.value);
        let high = low.wrapping_add(self.unknown).wrapping_add(o.unknown);
        // A bit where the sums of all-zeros and all-ones differ has a carry that is not known.
        let unknown = (low ^ high) | self.unknown | o.unknown;
        Self::cut(low, unknown)
    }

    pub(crate) fn sub(self, o: Self) -> Self {
        let base = self.value.wrapping_sub(o.value);
        let unknown =
            (base.wrapping_add(self.unknown) ^ base.wrapping_sub(o.unknown)) | self.unknown | o.unknown;
        Self::cut(base, unknown)
    }

    pub(crate) fn and(self, o: Self) -> Self {
        let value = self.value & o.value;
        Self::cut(value, (self.value | self.unknown) & (o.value | o.unknown) & !value)
    }

    pub(crate) fn or(self, o: Self) -> Self {
        let value = self.value | o.value;
        Self::cut(value, (self.unknown | o.unknown) & !value)
    }

    pub(crate) fn xor(self, o: Self) -> Self {
        let unknown = self.unknown | o.unknown;
        Self::cut(self.value ^ o.value, unknown)
    }

    pub(crate) fn mul(self, o: Self) -> Self {
        let zeros = self.zeros() + o.zeros();
        match (self.unknown | o.unknown, u64::MAX.checked_shl(zeros)) {
            (0, _) => Self::of(self.value.wrapping_mul(o.value)),
            (_, unknown) => Self::cut(0, unknown.unwrap_or(0)),
        }
    }

    /// Low bits known to be zero.
    pub fn zeros(self) -> u32 {
        (self.value | self.unknown).trailing_zeros().min(W)
    }

    pub(crate) fn shl(self, by: u32) -> Self {
        Self::cut(self.value << by, self.unknown << by)
    }

    pub(crate) fn shr(self, by: u32) -> Self {
        Self::cut(self.value >> by, self.unknown >> by)
    }

    pub(crate) fn ashr(self, by: u32) -> Self {
        let signed = |v: u64| (Ring::<W>::extend(v) >> by) as u64;
        Self::cut(signed(self.value), signed(self.unknown))
    }

    /// The bits of `mask`; the others are zero.
    pub fn low(self, mask: u64) -> Self {
        Self::cut(self.value & mask, self.unknown & mask)
    }

    /// What both hold.
    pub fn join(self, o: Self) -> Self {
        let unknown = self.unknown | o.unknown | (self.value ^ o.value);
        Self::cut(self.value, unknown)
    }

    /// What holds of numbers of which both hold; `None` if there are none.
    pub fn meet(self, o: Self) -> Option<Self> {
        if (self.value ^ o.value) & !self.unknown & !o.unknown != 0 {
            return None;
        }
        let unknown = self.unknown & o.unknown;
        Some(Self::cut(self.value | o.value, unknown))
    }

    /// `o` holds everything that `self` holds.
    pub fn subset_of(self, o: Self) -> bool {
        self.unknown & !o.unknown == 0 && (self.value ^ o.value) & !o.unknown == 0
    }

    /// `v` is one of the numbers.
    pub fn contains(self, v: u64) -> bool {
        (v ^ self.value) & !self.unknown & Ring::<W>::MASK == 0
    }
}
