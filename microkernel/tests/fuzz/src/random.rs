//! Numbers: a generator whose seed repeats a run, and the values that break things.
use crate::arena::State;
use core::sync::atomic::Ordering::Relaxed;

/// Numbers of system calls, without those that end the run or fill its log: a fault's answer can put any value into x7, and the
/// call is then made again.
const SMALL_NEGATIVE: [u64; 13] = {
    let mut numbers = [1u64, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 33];
    let mut i = 0;
    while i < numbers.len() {
        numbers[i] = numbers[i].wrapping_neg();
        i += 1;
    }
    numbers
};

/// The next state of xorshift64, which never is 0.
pub fn step(mut x: u64) -> u64 {
    if x == 0 {
        x = 0x9e37_79b9_7f4a_7c15;
    }
    x ^= x << 13;
    x ^= x >> 7;
    x ^ x << 17
}

/// Mixes numbers into a seed.
pub fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x1234_5678_9abc_def1, |x, part| {
        step(step(x ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0x2545_f491_4f6c_dd1d))
    })
}

impl State {
    /// A random word.
    pub fn word(&self) -> u64 {
        let next = step(self.rng.load(Relaxed));
        self.rng.store(next, Relaxed);
        next.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A random number below `n`.
    pub fn below(&self, n: u64) -> u64 {
        ((self.word() >> 32) * n) >> 32
    }

    /// True once in `n` times.
    pub fn once_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn one_of(&self, of: &[u64]) -> u64 {
        of.get(self.below(of.len() as u64) as usize).copied().unwrap_or(0)
    }

    /// A value at some edge.
    pub fn hostile(&self) -> u64 {
        match self.below(14) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << self.below(64),
            3 => (1 << self.below(64)) - 1,
            4 => self.word(),
            5 | 6 => self.below(16),
            7 => self.one_of(&SMALL_NEGATIVE),
            8 => 1 << 47,
            9 => 0xffff_8000_0000_0000 | self.below(1 << 32),
            10 => self.below(1 << 20) << 12,
            11 => 0xffff_ffff_8000_0000 + (self.below(1 << 16) << 3),
            12 => self.below(1 << 10),
            _ => u64::MAX - self.below(1 << 13),
        }
    }
}
