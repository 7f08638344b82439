//! A sensor's scans, read out of a ring that the IIO server shares: no message, no copy, a few dozen instructions for each.
//!
//! The ring's first page holds the reader's position and is the only one that the reader can write. What it writes there can make the
//! ring look full or empty to itself; the server keeps its own position, and nobody else has this ring.
#![no_std]

use axiom_bpf_maps::Consumer;
use axiom_runtime::proto::Error;
use axiom_runtime::proto::iio::{INTERFACE, RING_PAGES, Reply, Request};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Buffer, CNode, Endpoint, Frame, Pages, Slots, call, call_with_cap, ipc};
use core::fmt;

/// Why there are no scans to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The server could not be asked.
    Call(Error),
    /// It has no such device, or no memory for its ring (`untyped_kib`).
    NotFound,
    /// The manifest does not give this client the device.
    NotGranted,
    /// Another client reads it.
    Taken,
    /// This client has no slot or address (`scratch_kib`) left, or the kernel refused the mapping.
    NoRoom,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::NotFound => {
                f.write_str("there is no such sensor, or no memory for its ring (untyped_kib)")
            }
            Failure::NotGranted => f.write_str("the manifest does not give this client the sensor (iio)"),
            Failure::Taken => f.write_str("another client reads it"),
            Failure::NoRoom => f.write_str("this client has no slot or address left (scratch_kib)"),
        }
    }
}

/// Which scans are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The device.
    pub device: u32,
    /// Bit n: channel n is part of a scan.
    pub channels: u8,
    /// Scans that wait at most; later ones are lost.
    pub length: u32,
    /// Scans that are worth telling.
    pub watermark: u32,
}

/// A scan, still in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    /// Nanoseconds.
    #[inline]
    pub fn timestamp(self) -> u64 {
        self.0.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The raw value of the `n`-th chosen channel.
    #[inline]
    pub fn value(self, n: usize) -> Option<i32> {
        let (elements, _) = self.0.split_last_chunk::<8>()?;
        elements.get(n * 4..)?.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))
    }
}

/// A ring of scans, mapped.
pub struct Scans {
    server: Endpoint,
    device: u32,
    consumer: Consumer,
    slots: CPtr,
    address: u64,
}

/// What a reply is where a failure should be.
fn failure(reply: Result<Reply<'_>, Error>) -> Failure {
    match reply {
        Err(error) => Failure::Call(error),
        Ok(Reply::NotGranted) => Failure::NotGranted,
        Ok(Reply::Taken) => Failure::Taken,
        Ok(_) => Failure::NotFound,
    }
}

/// From now on accepted scans go into a ring, mapped here. `doorbell` is signalled when so many wait as are worth telling.
///
/// # Errors
/// Then nothing of this client's is used up, and the buffer is stopped if it was started.
pub fn start(
    server: Endpoint,
    wanted: Wanted,
    doorbell: Option<CPtr>,
    slots: &mut Slots,
    space: &mut Pages,
) -> Result<Scans, Failure> {
    let Wanted { device, channels, length, watermark } = wanted;
    let request = Request::Buffer { device, channels, length, watermark };
    let mut buffer = Buffer::new();
    match call_with_cap::<_, Reply<'_>>(server, INTERFACE, &request, doorbell, &mut buffer) {
        Ok((Reply::Done, _)) => {}
        other => return Err(failure(other.map(|(reply, _)| reply))),
    }
    let mapped = map(server, device, slots, space);
    if mapped.is_err() {
        stop_buffer(server, device);
    }
    mapped
}

fn stop_buffer(server: Endpoint, device: u32) {
    let request = Request::Buffer { device, channels: 0, length: 0, watermark: 0 };
    // The server takes its pages back at the next start, whoever asks for it.
    let _ = call::<_, Reply<'_>>(server, INTERFACE, &request, &mut Buffer::new());
}

fn map(server: Endpoint, device: u32, slots: &mut Slots, space: &mut Pages) -> Result<Scans, Failure> {
    let row = slots.take_row(RING_PAGES.into()).ok_or(Failure::NoRoom)?;
    let Some(address) = space.take(RING_PAGES as usize) else {
        slots.give_row(row, RING_PAGES.into());
        return Err(Failure::NoRoom);
    };
    let mapped = (0..RING_PAGES).try_for_each(|page| map_page(server, device, page, row, address));
    // SAFETY: the ring's pages were mapped in a row, the first one writable; this is the only reader that the server lets have them.
    let consumer = mapped.map(|()| unsafe { Consumer::new(address as *mut u8, (RING_PAGES - 2) * 4096) });
    match consumer {
        Ok(Some(consumer)) => Ok(Scans { server, device, consumer, slots: row, address }),
        other => {
            unmap(row, address, slots, space);
            Err(other.err().unwrap_or(Failure::NoRoom))
        }
    }
}

fn map_page(server: Endpoint, device: u32, page: u32, row: CPtr, address: u64) -> Result<(), Failure> {
    let slot = CPtr(row.0 + u64::from(page));
    let mut buffer = Buffer::new();
    let request = Request::BufferFrame { device, page };
    match call_with_cap::<_, Reply<'_>>(server, INTERFACE, &request, None, &mut buffer) {
        Ok((Reply::Frame { writable }, true)) => {
            CNode::OWN.move_to(slot, ipc::received()).map_err(|_| Failure::NoRoom)?;
            let at = address + u64::from(page) * 4096;
            Frame(slot).map_data(at, writable).map_err(|_| Failure::NoRoom)
        }
        other => Err(failure(other.map(|(reply, _)| reply))),
    }
}

fn unmap(row: CPtr, address: u64, slots: &mut Slots, space: &mut Pages) {
    for page in 0..u64::from(RING_PAGES) {
        // A slot that is empty, or a frame that the server has taken back, is no error.
        let _ = CNode::OWN.delete(CPtr(row.0 + page));
    }
    slots.give_row(row, RING_PAGES.into());
    space.give(address, RING_PAGES as usize);
}

impl Scans {
    /// Hands the oldest scan that waits to `f`, and gives its room back.
    #[inline]
    pub fn next<R>(&mut self, f: impl FnOnce(Scan<'_>) -> R) -> Option<R> {
        self.consumer.next(|record| f(Scan(record.bytes)))
    }

    /// Ends it: the server keeps no more scans.
    pub fn stop(self, slots: &mut Slots, space: &mut Pages) {
        unmap(self.slots, self.address, slots, space);
        stop_buffer(self.server, self.device);
    }
}
