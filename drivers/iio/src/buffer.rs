//! The buffer of scans: what was accepted, oldest first, with 64-bit nanosecond timestamps, as Linux's IIO buffers have them.
//!
//! A scan holds one element for each channel that was chosen, in the channels' order. Elements are `le:s32/32>>0`, each
//! aligned to its own size; the timestamp, `le:s64/64>>0`, is aligned to eight bytes and comes last.
//!
//! Scans lie as records in a ring buffer of programs' layout (`axiom_bpf_maps`), which one reader maps: nobody is asked for a scan. A
//! scan that finds no room is lost and counted, as in Linux's kfifo; the reader's position is its own, and whatever it writes there, it
//! can only make the ring look full or empty to itself.

use axiom_bpf_isa::{MapDef, MapType};
use axiom_bpf_maps::{Map, PAGE};

/// Most channels of a scan.
pub const CHANNELS: usize = 8;
/// Most bytes of a scan.
pub const SCAN_BYTES: usize = CHANNELS * 4 + 8;
/// Scans that a buffer can hold.
pub const CAPACITY: usize = 256;
/// Bytes of a ring that hold scans.
pub const RING_BYTES: usize = 4 * PAGE;
/// The format of a channel's element, as Linux writes it.
pub const FORMAT: &str = "le:s32/32>>0";

/// Bytes of a record's header.
const HEADER: usize = 8;
const _: () = assert!(CAPACITY * (SCAN_BYTES + HEADER) + SCAN_BYTES + HEADER <= RING_BYTES);

/// One scan: the channels of a device at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Nanoseconds.
    pub timestamp: u64,
    /// Raw values, of all the device's channels.
    pub raw: [i32; CHANNELS],
}

/// The writing end of a ring of scans, or none.
#[derive(Default)]
pub struct Buffer {
    ring: Option<Map>,
    channels: u8,
    length: u32,
    watermark: u32,
    lost: u64,
}

impl Buffer {
    /// Starts anew with these channels (bit n: channel n), for so many scans (at most [`CAPACITY`]); `watermark` scans are
    /// worth telling. False if there is no channel: then it is off.
    ///
    /// # Safety
    /// `memory` is page-aligned and has two pages and [`RING_BYTES`], zeroed, which stay until the next start or stop; the writer's page
    /// and the scans are written by this buffer alone.
    pub unsafe fn start(&mut self, memory: *mut u8, channels: u8, length: u32, watermark: u32) -> bool {
        let def = MapDef {
            map_type: MapType::RingBuf,
            key_size: 0,
            value_size: 0,
            max_entries: RING_BYTES as u32,
            flags: 0,
            read_only: false,
        };
        self.stop();
        if channels != 0 {
            // SAFETY: the caller's promise.
            self.ring = unsafe { Map::new(def, memory) }.ok();
        }
        self.channels = if self.ring.is_some() { channels } else { 0 };
        self.length = length.clamp(1, CAPACITY as u32);
        self.watermark = watermark.clamp(1, self.length);
        self.lost = 0;
        self.ring.is_some()
    }

    /// Ends it.
    pub fn stop(&mut self) {
        self.ring = None;
        self.channels = 0;
    }

    /// The chosen channels; 0 while it is off.
    pub fn channels(&self) -> u8 {
        self.channels
    }

    /// Scans that it holds at most, and how many are worth telling.
    pub fn shape(&self) -> (u32, u32) {
        (self.length, self.watermark)
    }

    /// Scans that found no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds a scan if all chosen channels are among the accepted ones. Says whether as many wait as are worth telling.
    pub fn push(&mut self, scan: Scan, accepted: u8) -> bool {
        if self.channels == 0 || accepted & self.channels != self.channels {
            return false;
        }
        let (waiting, size, channels) = (self.len() as u32, self.scan_bytes(), self.channels);
        let Some(ring) = self.ring.as_mut() else { return false };
        let room = if waiting < self.length { ring.ring_reserve(size as u64) } else { core::ptr::null_mut() };
        if room.is_null() {
            self.lost += 1;
            return waiting >= self.watermark;
        }
        // SAFETY: the ring just reserved so many bytes for this record, which nobody reads before it is committed.
        encode(&scan, channels, unsafe { core::slice::from_raw_parts_mut(room, size) });
        // SAFETY: reserved above, and committed once.
        unsafe { Map::ring_commit(room, false) };
        waiting + 1 >= self.watermark
    }

    /// Scans that wait, as far as the reader's position can be believed.
    pub fn len(&self) -> usize {
        let bytes = self.ring.as_ref().map_or(0, |ring| ring.ring_query(0)) as usize;
        // What is left out at the ring's end is less than a record.
        bytes / (self.scan_bytes() + HEADER)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of a scan of the chosen channels.
    pub fn scan_bytes(&self) -> usize {
        (self.channels.count_ones() as usize * 4).next_multiple_of(8) + 8
    }
}

fn encode(scan: &Scan, channels: u8, out: &mut [u8]) {
    let (elements, timestamp) = out.split_at_mut(out.len() - 8);
    elements.fill(0);
    let chosen = scan.raw.iter().enumerate().filter(|(i, _)| channels & 1 << i != 0);
    for (place, (_, value)) in elements.chunks_exact_mut(4).zip(chosen) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    timestamp.copy_from_slice(&scan.timestamp.to_le_bytes());
}
