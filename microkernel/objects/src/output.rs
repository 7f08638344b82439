//! The kernel's lines on their way to a UART that takes them slowly: a ring of bytes, and a limit for reports.
//!
//! Bytes come out in the order in which they went in. What finds no room is lost, and counted: as soon as there is room again,
//! a line says how much is missing at that place. Nothing here waits.
use crate::time::Ticks;
use core::cell::Cell;
use core::fmt::{self, Write};

/// Room that the line about a loss takes at most.
const NOTICE: usize = 64;

/// Text that waits.
pub struct Output<const N: usize> {
    bytes: [Cell<u8>; N],
    first: Cell<usize>,
    count: Cell<usize>,
    lost: Cell<u64>,
}

impl<const N: usize> Default for Output<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Output<N> {
    /// Nothing.
    pub const fn new() -> Self {
        const { assert!(N > 2 * NOTICE) };
        Output {
            bytes: [const { Cell::new(0) }; N],
            first: Cell::new(0),
            count: Cell::new(0),
            lost: Cell::new(0),
        }
    }

    /// Whether nothing waits, and nothing is to be said.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.count.get() == 0 && self.lost.get() == 0
    }

    #[inline]
    fn push(&self, byte: u8) -> bool {
        let count = self.count.get();
        if count == N {
            return false;
        }
        self.bytes[(self.first.get() + count) % N].set(byte);
        self.count.set(count + 1);
        true
    }

    /// Says what is missing, if there is room for it.
    fn tell_loss(&self) {
        struct Line<'a, const N: usize>(&'a Output<N>);
        impl<const N: usize> Write for Line<'_, N> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                if text.bytes().all(|byte| self.0.push(byte)) { Ok(()) } else { Err(fmt::Error) }
            }
        }
        let lost = self.lost.get();
        if lost > 0 && N - self.count.get() >= NOTICE {
            self.lost.set(0);
            // It fits: NOTICE is longer than the text with the largest number.
            let _ = write!(Line(self), "\r\naxiom: {lost} bytes of output lost here\r\n");
        }
    }

    /// Puts a byte behind the others, or counts it as lost.
    #[inline]
    pub fn put(&self, byte: u8) {
        if self.lost.get() > 0 || !self.push(byte) {
            self.put_behind_loss(byte);
        }
    }

    #[cold]
    fn put_behind_loss(&self, byte: u8) {
        self.tell_loss();
        if self.lost.get() > 0 || !self.push(byte) {
            self.lost.set(self.lost.get() + 1);
        }
    }

    /// Counts bytes that were lost elsewhere.
    pub fn lose(&self, bytes: u64) {
        self.lost.set(self.lost.get() + bytes);
    }

    /// Gives up to `most` bytes to `take`, until it takes none.
    pub fn drain(&self, most: usize, mut take: impl FnMut(u8) -> bool) {
        for _ in 0..most {
            if self.count.get() == 0 {
                self.tell_loss();
            }
            if self.count.get() == 0 || !take(self.bytes[self.first.get()].get()) {
                return;
            }
            self.first.set((self.first.get() + 1) % N);
            self.count.set(self.count.get() - 1);
        }
    }
}

/// A limit for lines that somebody can cause as often as they like.
pub struct Limit {
    most: u32,
    since: Cell<Ticks>,
    said: Cell<u32>,
    skipped: Cell<u64>,
}

impl Limit {
    /// At most so many in a period.
    pub const fn new(most: u32) -> Limit {
        Limit { most, since: Cell::new(0), said: Cell::new(0), skipped: Cell::new(0) }
    }

    /// Whether one more may be said now: then with how many were not since the last one. Periods start with their first.
    pub fn allow(&self, now: Ticks, period: Ticks) -> Option<u64> {
        if now.wrapping_sub(self.since.get()) >= period {
            self.since.set(now);
            self.said.set(0);
        }
        if self.said.get() >= self.most {
            self.skipped.set(self.skipped.get() + 1);
            return None;
        }
        self.said.set(self.said.get() + 1);
        Some(self.skipped.replace(0))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::string::String;
    use std::vec::Vec;

    fn all<const N: usize>(out: &Output<N>) -> String {
        let mut text = Vec::new();
        out.drain(usize::MAX, |byte| {
            text.push(byte);
            true
        });
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let out = Output::<200>::new();
        assert!(out.is_empty());
        (0..210).for_each(|i| out.put(b'a' + (i % 26) as u8));
        let mut taken = 0;
        out.drain(100, |_| {
            taken += 1;
            true
        });
        assert_eq!(taken, 100);
        out.put(b'X');
        let text = all(&out);
        assert!(text.ends_with("\r\naxiom: 10 bytes of output lost here\r\nX"), "{text}");
        assert!(out.is_empty());
        // Said even if nothing more is written.
        out.lose(u64::MAX);
        assert!(!out.is_empty());
        assert_eq!(all(&out), "\r\naxiom: 18446744073709551615 bytes of output lost here\r\n");
    }

    #[test]
    fn a_uart_that_takes_nothing_keeps_what_waits() {
        let out = Output::<200>::new();
        b"line".iter().for_each(|b| out.put(*b));
        out.drain(10, |_| false);
        let mut first = Vec::new();
        out.drain(10, |byte| {
            let room = first.len() < 2;
            if room {
                first.push(byte);
            }
            room
        });
        assert_eq!((&first[..], all(&out).as_str()), (&b"li"[..], "ne"));
    }

    #[test]
    fn a_limit_skips_and_says_how_many() {
        let limit = Limit::new(2);
        let said: Vec<_> = [100, 101, 102, 103, 109, 110, 111, 112].map(|now| limit.allow(now, 10)).into();
        assert_eq!(said, [Some(0), Some(0), None, None, None, Some(3), Some(0), None]);
        assert_eq!((limit.allow(1000, 10), limit.allow(1000, 10)), (Some(1), Some(0)));
    }

    proptest! {
        /// However writing and draining take turns: what comes out is what went in but for stretches that a line in their place
        /// counts, and the counts are true.
        #[test]
        fn nothing_is_lost_without_a_word(steps in prop::collection::vec((0usize..120, 0usize..120), 1..60)) {
            let out = Output::<160>::new();
            let (mut text, mut put) = (Vec::new(), 0u64);
            for (write, read) in steps {
                for _ in 0..write {
                    out.put(if put % 2 == 0 { b'#' } else { b'%' });
                    put += 1;
                }
                let mut left = read;
                out.drain(200, |byte| {
                    let room = left > 0;
                    if room { text.push(byte); left -= 1; }
                    room
                });
            }
            text.extend(all(&out).into_bytes());
            let text = String::from_utf8(text).unwrap();
            let (mut seen, mut rest) = (0u64, &text[..]);
            while !rest.is_empty() {
                if let Some(told) = rest.strip_prefix("\r\naxiom: ") {
                    let (number, behind) = told.split_once(" bytes of output lost here\r\n").unwrap();
                    seen += number.parse::<u64>().unwrap();
                    rest = behind;
                    continue;
                }
                let expected = if seen % 2 == 0 { "#" } else { "%" };
                prop_assert!(rest.starts_with(expected), "byte {seen} is missing: {rest}");
                seen += 1;
                rest = &rest[1..];
            }
            prop_assert_eq!(seen, put);
            prop_assert!(out.is_empty());
        }
    }
}
