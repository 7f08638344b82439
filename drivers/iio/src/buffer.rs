//! The buffer of scans: what was accepted, oldest first, with 64-bit nanosecond timestamps.

/// Most channels of a scan.
pub const CHANNELS: usize = 8;

/// One scan: the channels of a device at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Nanoseconds.
    pub timestamp: u64,
    /// Bit n: channel n was accepted and is valid.
    pub valid: u8,
    /// Raw values.
    pub raw: [i32; CHANNELS],
}

/// A ring of scans; the oldest is lost when it is full, and counted.
#[derive(Clone, Debug)]
pub struct Buffer<const N: usize> {
    scans: [Scan; N],
    written: u64,
    read: u64,
    /// Scans that nobody read in time.
    pub lost: u64,
}

impl<const N: usize> Default for Buffer<N> {
    fn default() -> Self {
        Buffer { scans: [Scan::default(); N], written: 0, read: 0, lost: 0 }
    }
}

impl<const N: usize> Buffer<N> {
    /// Adds a scan.
    pub fn push(&mut self, scan: Scan) {
        if self.written - self.read == N as u64 {
            self.read += 1;
            self.lost += 1;
        }
        self.scans[(self.written % N as u64) as usize] = scan;
        self.written += 1;
    }

    /// Takes the oldest scan.
    pub fn pop(&mut self) -> Option<Scan> {
        if self.read == self.written {
            return None;
        }
        let scan = self.scans[(self.read % N as u64) as usize];
        self.read += 1;
        Some(scan)
    }

    /// Scans that can be read.
    pub fn len(&self) -> usize {
        (self.written - self.read) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a scan into Linux's layout: the valid channels as `le:s32`, then padding to 8, then the `le:s64` timestamp.
    /// Returns the bytes used.
    pub fn encode(scan: &Scan, out: &mut [u8; CHANNELS * 4 + 8]) -> usize {
        let mut at = 0;
        for (i, value) in scan.raw.iter().enumerate() {
            if scan.valid & 1 << i != 0 {
                out[at..at + 4].copy_from_slice(&value.to_le_bytes());
                at += 4;
            }
        }
        let aligned = at.next_multiple_of(8);
        out[at..aligned].fill(0);
        out[aligned..aligned + 8].copy_from_slice(&scan.timestamp.to_le_bytes());
        aligned + 8
    }
}
