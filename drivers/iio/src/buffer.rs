//! The buffer of scans: what was accepted, oldest first, with 64-bit nanosecond timestamps, as Linux's IIO buffers have them.
//!
//! A scan holds one element for each channel that was chosen, in the channels' order. Elements are `le:s32/32>>0`, each
//! aligned to its own size; the timestamp, `le:s64/64>>0`, is aligned to eight bytes and comes last.

/// Most channels of a scan.
pub const CHANNELS: usize = 8;
/// Most bytes of a scan.
pub const SCAN_BYTES: usize = CHANNELS * 4 + 8;
/// Scans that a buffer can hold.
pub const CAPACITY: usize = 256;
/// The format of a channel's element, as Linux writes it.
pub const FORMAT: &str = "le:s32/32>>0";

/// One scan: the channels of a device at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Nanoseconds.
    pub timestamp: u64,
    /// Raw values, of all the device's channels.
    pub raw: [i32; CHANNELS],
}

/// A ring of scans; the oldest is lost when it is full, and counted.
#[derive(Clone, Debug)]
pub struct Buffer {
    scans: [Scan; CAPACITY],
    written: u64,
    read: u64,
    channels: u8,
    length: u32,
    watermark: u32,
    lost: u64,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer {
            scans: [Scan::default(); CAPACITY],
            written: 0,
            read: 0,
            channels: 0,
            length: 0,
            watermark: 0,
            lost: 0,
        }
    }
}

impl Buffer {
    /// Starts anew with these channels (bit n: channel n), for so many scans (at most [`CAPACITY`]); `watermark` scans are
    /// worth telling. No channel stops it.
    pub fn enable(&mut self, channels: u8, length: u32, watermark: u32) {
        (self.written, self.read, self.lost) = (0, 0, 0);
        self.channels = channels;
        self.length = length.clamp(1, CAPACITY as u32);
        self.watermark = watermark.clamp(1, self.length);
    }

    /// The chosen channels; 0 while it is off.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Scans that it holds at most, and how many are worth telling.
    pub fn shape(&self) -> (u32, u32) {
        (self.length, self.watermark)
    }

    /// Scans that nobody read in time.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds a scan if all chosen channels are among the accepted ones. Says whether the watermark was reached by it.
    pub fn push(&mut self, scan: Scan, accepted: u8) -> bool {
        if self.channels == 0 || accepted & self.channels != self.channels {
            return false;
        }
        if self.len() as u32 == self.length {
            self.read += 1;
            self.lost += 1;
        }
        self.scans[(self.written % CAPACITY as u64) as usize] = scan;
        self.written += 1;
        self.len() as u32 >= self.watermark
    }

    /// Scans that can be read.
    pub fn len(&self) -> usize {
        (self.written - self.read) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a scan of the chosen channels.
    pub fn scan_bytes(&self) -> usize {
        (self.channels.count_ones() as usize * 4).next_multiple_of(8) + 8
    }

    /// Takes the oldest scans, as many as fit. Returns their number and bytes.
    pub fn read(&mut self, out: &mut [u8]) -> (usize, usize) {
        let size = self.scan_bytes();
        let (mut count, mut at) = (0, 0);
        while !self.is_empty() && out.len() - at >= size {
            let scan = self.scans[(self.read % CAPACITY as u64) as usize];
            self.read += 1;
            self.encode(&scan, &mut out[at..at + size]);
            (count, at) = (count + 1, at + size);
        }
        (count, at)
    }

    fn encode(&self, scan: &Scan, out: &mut [u8]) {
        let (elements, timestamp) = out.split_at_mut(out.len() - 8);
        elements.fill(0);
        let chosen = scan.raw.iter().enumerate().filter(|(i, _)| self.channels & 1 << i != 0);
        for (place, (_, value)) in elements.chunks_exact_mut(4).zip(chosen) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        timestamp.copy_from_slice(&scan.timestamp.to_le_bytes());
    }
}
