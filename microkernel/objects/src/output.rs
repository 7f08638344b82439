//! The kernel's lines on their way to a UART that takes them slowly: a ring of bytes, and a limit for reports.
//!
//! Bytes come out in the order in which they went in. What finds no room is lost, and counted: as soon as there is room again,
//! a line says how much is missing at that place. Nothing here waits.
use crate::time::Ticks;
use core::cell::Cell;
use core::fmt::{self, Write};

/// Room that the line about a loss takes at most.
const NOTICE: usize = 64;

/// Text that waits for a UART, which is a function here: it takes a byte, or has no room.
pub struct Output<const N: usize> {
    bytes: [Cell<u8>; N],
    first: Cell<usize>,
    count: Cell<usize>,
    lost: Cell<u64>,
    /// When the UART was first found full since it last took a byte.
    full_since: Cell<Option<Ticks>>,
}

impl<const N: usize> Default for Output<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[inline(never)]
fn copy(room: &[Cell<u8>], bytes: &[u8]) {
    room.iter().zip(bytes).for_each(|(to, from)| to.set(*from));
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
            full_since: Cell::new(None),
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

    /// Puts bytes behind the others, or counts as lost what finds no room.
    pub fn put_all(&self, bytes: &[u8]) {
        if self.lost.get() > 0 || bytes.len() > N - self.count.get() {
            return bytes.iter().for_each(|byte| self.put(*byte));
        }
        // Up to the ring's end, and on from its beginning.
        let at = (self.first.get() + self.count.get()) % N;
        let (before, behind) = bytes.split_at(bytes.len().min(N - at));
        copy(&self.bytes[at..], before);
        copy(&self.bytes, behind);
        self.count.set(self.count.get() + bytes.len());
    }

    #[cold]
    fn put_behind_loss(&self, byte: u8) {
        self.tell_loss();
        if self.lost.get() > 0 || !self.push(byte) {
            self.lost.set(self.lost.get() + 1);
        }
    }

    /// Whether the UART took the byte, which is remembered.
    fn offered(&self, taken: bool, now: Ticks) -> bool {
        if taken {
            self.full_since.set(None);
        } else if self.full_since.get().is_none() {
            self.full_since.set(Some(now));
        }
        taken
    }

    /// Whether the UART has had no room for longer than `patience`: nobody waits for it any more.
    pub fn is_stuck(&self, now: Ticks, patience: Ticks) -> bool {
        self.full_since.get().is_some_and(|since| now.wrapping_sub(since) > patience)
    }

    /// Gives a thread's byte to the UART, behind what waits, of which it gets up to `most` bytes first. False if there is no room
    /// yet: the thread asks again. For a UART that is stuck the byte counts as lost.
    pub fn put_through(
        &self,
        byte: u8,
        most: usize,
        now: Ticks,
        patience: Ticks,
        mut uart: impl FnMut(u8) -> bool,
    ) -> bool {
        self.drain(most, now, &mut uart);
        if self.is_empty() && self.offered(uart(byte), now) {
            return true;
        }
        let stuck = self.is_stuck(now, patience);
        if stuck {
            self.lost.set(self.lost.get() + 1);
        }
        stuck
    }

    /// Gives up to `most` bytes to the UART, until it takes none.
    pub fn drain(&self, most: usize, now: Ticks, mut uart: impl FnMut(u8) -> bool) {
        for _ in 0..most {
            // A line about a loss is made when there is room for it, so that one line tells of all of it: its first byte asks.
            if self.count.get() == 0 && self.lost.get() > 0 && self.offered(uart(b'\r'), now) {
                self.tell_loss();
            }
            if self.count.get() == 0 || !self.offered(uart(self.bytes[self.first.get()].get()), now) {
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
        out.drain(usize::MAX, 0, |byte| {
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
        out.drain(100, 0, |_| {
            taken += 1;
            true
        });
        assert_eq!(taken, 100);
        out.put(b'X');
        let text = all(&out);
        assert!(text.ends_with("\r\naxiom: 10 bytes of output lost here\r\nX"), "{text}");
        assert!(out.is_empty());
        // Said even if nothing more is written.
        out.lost.set(u64::MAX);
        assert!(!out.is_empty());
        assert_eq!(all(&out), "\r\r\naxiom: 18446744073709551615 bytes of output lost here\r\n");
    }

    #[test]
    fn a_uart_that_takes_nothing_keeps_what_waits() {
        let out = Output::<200>::new();
        b"line".iter().for_each(|b| out.put(*b));
        out.drain(10, 0, |_| false);
        let mut first = Vec::new();
        out.drain(10, 0, |byte| {
            let room = first.len() < 2;
            if room {
                first.push(byte);
            }
            room
        });
        assert_eq!((&first[..], all(&out).as_str()), (&b"li"[..], "ne"));
    }

    /// A UART with room for one byte in every ten ticks, from a time on.
    struct Slow {
        works_from: Ticks,
        next: Ticks,
        sent: Vec<u8>,
    }
    impl Slow {
        fn take(&mut self, byte: u8, now: Ticks) -> bool {
            let room = now >= self.works_from && now >= self.next;
            if room {
                self.sent.push(byte);
                self.next = now + 10;
            }
            room
        }
    }

    #[test]
    fn a_threads_bytes_come_behind_what_the_kernel_wrote_before_them() {
        let out = Output::<200>::new();
        let mut uart = Slow { works_from: 0, next: 0, sent: Vec::new() };
        let (mut now, mut asked) = (0, 0);
        for byte in b"abcdef" {
            if *byte == b'd' {
                b"KERNEL".iter().for_each(|b| out.put(*b));
            }
            while !out.put_through(*byte, 32, now, 1000, |b| uart.take(b, now)) {
                asked += 1;
                now += 1;
            }
        }
        assert_eq!((uart.sent.as_slice(), asked), (&b"abcKERNELdef"[..], 11 * 10));
        assert!(out.is_empty());
    }

    #[test]
    fn a_uart_that_is_stuck_holds_nobody_up_and_is_used_again_when_it_works() {
        let out = Output::<200>::new();
        let mut uart = Slow { works_from: 5000, next: 0, sent: Vec::new() };
        let mut put = |byte: u8, now: Ticks| out.put_through(byte, 32, now, 1000, |b| uart.take(b, now));
        // It waits for its patience once, and not again for the next bytes.
        assert_eq!([0, 500, 1000, 1001, 1002].map(|now| put(b'x', now)), [false, false, false, true, true]);
        assert!(out.is_stuck(1002, 1000) && !out.is_stuck(1000, 1000));
        let mut now = 5000;
        while !put(b'y', now) {
            now += 1;
        }
        assert_eq!(String::from_utf8_lossy(&uart.sent), "\r\r\naxiom: 2 bytes of output lost here\r\ny");
        assert!(!out.is_stuck(1 << 60, 1000) && out.is_empty());
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
        fn nothing_is_lost_without_a_word(
            steps in prop::collection::vec((0usize..120, 0usize..120, any::<bool>()), 1..60),
        ) {
            let out = Output::<160>::new();
            let (mut text, mut put) = (Vec::new(), 0u64);
            for (write, read, whole) in steps {
                let bytes: Vec<_> = (put..).take(write).map(|i| if i % 2 == 0 { b'#' } else { b'%' }).collect();
                put += write as u64;
                if whole {
                    out.put_all(&bytes);
                } else {
                    bytes.iter().for_each(|byte| out.put(*byte));
                }
                let mut left = read;
                out.drain(200, 0, |byte| {
                    let room = left > 0;
                    if room { text.push(byte); left -= 1; }
                    room
                });
            }
            text.extend(all(&out).into_bytes());
            let text = String::from_utf8(text).unwrap();
            let (mut seen, mut rest) = (0u64, &text[..]);
            while !rest.is_empty() {
                if let Some(told) = rest.trim_start_matches('\r').strip_prefix("\naxiom: ") {
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
