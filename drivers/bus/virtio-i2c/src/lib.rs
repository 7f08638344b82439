//! virtio-i2c (virtio 1.2, section 5.21) as an embedded-hal 1.0 `I2c`, over whatever [`Transport`] reaches the device.
//!
//! The driver sees the device through its transport, memory through [`Dma`], and time through [`Wait`], so that it runs
//! against a model of the device in tests. A transaction that does not end in time resets the device: a bus that hangs
//! costs one error, never the server.
//!
//! A request takes up to three descriptors. As many requests are sent at once as the queue has room for: by registers in memory all of a
//! transaction's, by PCI, where QEMU's device has four entries, one after the other.
//!
//! DMA memory: descriptor table at 0, available ring at 256, used ring at 512, request headers at 1024, data at 2048.
#![no_std]
#[cfg(test)]
extern crate std;

pub use axiom_bus::Wait;
pub use axiom_virtio::Dma;
use axiom_virtio::{DESC_NEXT, DESC_WRITE, Layout, Queue, Transport, Unusable, fail, negotiate, start};
use core::fmt;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress};

/// virtio device type of an I2C adapter.
pub const DEVICE_ID: u32 = 34;

/// VIRTIO_I2C_F_ZERO_LENGTH_REQUEST, which a driver must accept.
const ZERO_LENGTH: u32 = 1;

const LAYOUT: Layout = Layout { descriptors: 0, available: 256, used: 512, most: 16 };
const REQUESTS: u16 = 0;
/// Descriptors of a request: header, data, status.
const PER_REQUEST: u16 = 3;
/// Entries that hold a request.
const LEAST: u16 = 4;
const HEADERS: usize = 1024;
const DATA: usize = 2048;
/// Bytes of DMA memory that the driver uses.
pub const DMA_BYTES: usize = 4096;
const DATA_BYTES: usize = DMA_BYTES - DATA;
/// Operations of one transaction.
const MAX_OPS: usize = 5;

const FAIL_NEXT: u32 = 1;
const READ: u32 = 2;

/// What can go wrong on the bus.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VirtioError {
    /// The chip (or the adapter) did not acknowledge.
    NoAcknowledge,
    /// The transaction did not end in time; the adapter was reset.
    Timeout,
    /// More operations or bytes than one transaction takes.
    TooLong,
    /// The adapter answered nonsense, or is not there.
    Adapter,
}

impl fmt::Display for VirtioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VirtioError::NoAcknowledge => "no chip acknowledged the transfer",
            VirtioError::Timeout => "the transfer did not end in time; the adapter was reset",
            VirtioError::TooLong => "the transfer is longer than the adapter takes",
            VirtioError::Adapter => "the I2C adapter does not work as virtio 1.2 says",
        })
    }
}

impl embedded_hal::i2c::Error for VirtioError {
    fn kind(&self) -> ErrorKind {
        match self {
            VirtioError::NoAcknowledge => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown),
            VirtioError::Timeout => ErrorKind::Bus,
            VirtioError::TooLong => ErrorKind::Overrun,
            VirtioError::Adapter => ErrorKind::Other,
        }
    }
}

impl From<Unusable> for VirtioError {
    fn from(_: Unusable) -> VirtioError {
        VirtioError::Adapter
    }
}

/// The adapter.
pub struct VirtioI2c<T, W> {
    transport: T,
    dma: Dma,
    queue: Queue,
    wait: W,
    /// Resets after transactions that did not end.
    pub resets: u32,
}

impl<T: Transport, W: Wait> VirtioI2c<T, W> {
    /// Sets up the device that the transport reaches, with [`DMA_BYTES`] of memory.
    pub fn new(transport: T, dma: Dma, wait: W) -> Result<VirtioI2c<T, W>, VirtioError> {
        let queue = Queue::new(REQUESTS, dma, LAYOUT);
        let mut bus = VirtioI2c { transport, dma, queue, wait, resets: 0 };
        bus.set_up()?;
        Ok(bus)
    }

    /// An interrupt that came when nothing was waited for (the answer had been seen already): the line falls, and the next one
    /// can come.
    pub fn stray(&mut self) {
        self.transport.acknowledge();
        self.wait.handled();
    }

    /// The waiting side.
    pub fn waiter(&mut self) -> &mut W {
        &mut self.wait
    }

    fn set_up(&mut self) -> Result<(), VirtioError> {
        negotiate(&mut self.transport, DEVICE_ID, ZERO_LENGTH)?;
        if let Err(unusable) = self.queue.set_up(&mut self.transport, LEAST) {
            fail(&mut self.transport);
            return Err(unusable.into());
        }
        start(&mut self.transport);
        Ok(())
    }

    /// Puts a request into the queue, of two or three descriptors from `desc` on; returns the next free one. Header and status are those of
    /// number `i`; `data` is where its bytes are.
    fn put(
        &mut self,
        desc: u16,
        i: usize,
        address: u8,
        flags: u32,
        operation: &Operation<'_>,
        data: usize,
    ) -> u16 {
        let header = HEADERS + i * 16;
        self.dma.put(header, u16::from(address) << 1);
        self.dma.put(header + 2, 0u16);
        self.dma.put(header + 4, flags);
        self.dma.put(header + 8, 0xffu8); // status: not written yet
        self.queue.describe(desc, header, 8, DESC_NEXT);
        let mut next = desc + 1;
        let len = length(operation);
        if len > 0 {
            let direction = if let Operation::Write(bytes) = operation {
                for (j, b) in bytes.iter().enumerate() {
                    self.dma.put(data + j, *b);
                }
                0
            } else {
                DESC_WRITE
            };
            self.queue.describe(next, data, len, direction | DESC_NEXT);
            next += 1;
        }
        self.queue.describe(next, header + 8, 1, DESC_WRITE);
        self.queue.offer(desc);
        next + 1
    }

    /// Has the device do what was put into the queue.
    fn run(&mut self) -> Result<(), VirtioError> {
        self.queue.publish();
        self.transport.notify(REQUESTS);
        while !self.queue.is_done() {
            // What was done is done, even if it was late.
            if !self.wait.wait() && !self.queue.is_done() {
                // Whatever the device still does with the memory ends with the reset.
                self.resets += 1;
                self.set_up()?;
                return Err(VirtioError::Timeout);
            }
            self.transport.acknowledge();
            self.wait.handled();
        }
        Ok(())
    }
}

fn length(operation: &Operation<'_>) -> usize {
    match operation {
        Operation::Read(b) => b.len(),
        Operation::Write(b) => b.len(),
    }
}

impl<T, W> ErrorType for VirtioI2c<T, W> {
    type Error = VirtioError;
}

impl<T: Transport, W: Wait> I2c<SevenBitAddress> for VirtioI2c<T, W> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), VirtioError> {
        if operations.is_empty() {
            return Ok(());
        }
        let total: usize = operations.iter().map(length).sum();
        if operations.len() > MAX_OPS || total > DATA_BYTES {
            return Err(VirtioError::TooLong);
        }
        let at_once = usize::from(self.queue.entries() / PER_REQUEST).max(1);
        let last = operations.len() - 1;
        let (mut number, mut data) = (0, DATA);
        self.wait.begin();
        for group in operations.chunks_mut(at_once) {
            let (mut desc, mut at) = (0, data);
            for (i, operation) in (number..).zip(group.iter()) {
                let mut flags = if i == last { 0 } else { FAIL_NEXT };
                if let Operation::Read(_) = operation {
                    flags |= READ;
                }
                desc = self.put(desc, i, address, flags, operation, at);
                at += length(operation);
            }
            self.run()?;
            for operation in group {
                // A request that failed takes those with it that were to follow: those of later groups are not sent.
                if self.dma.get::<u8>(HEADERS + number * 16 + 8) != 0 {
                    return Err(VirtioError::NoAcknowledge);
                }
                let len = length(operation);
                if let Operation::Read(bytes) = operation {
                    for (j, b) in bytes.iter_mut().enumerate() {
                        *b = self.dma.get(data + j);
                    }
                }
                data += len;
                number += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
