//! virtio-i2c over virtio-mmio (virtio 1.2, sections 4.2 and 5.21), as an embedded-hal 1.0 `I2c`.
//!
//! The driver sees registers through [`Io`], memory through [`Dma`], and time through [`Wait`], so that it runs
//! against a model of the device in tests. A transaction that does not end in time resets the device: a bus that hangs
//! costs one error, never the server.
//!
//! DMA memory: descriptor table at 0, available ring at 256, used ring at 512, request headers at 1024, data at 2048.
#![no_std]
#[cfg(test)]
extern crate std;

pub use axiom_bus::Wait;
use axiom_mmio::{Block, Io};
use core::fmt;
use core::sync::atomic::{Ordering, fence};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress};

/// virtio device type of an I2C adapter.
pub const DEVICE_ID: u32 = 34;

mod reg {
    axiom_mmio::block! {
        /// A virtio device behind its memory-mapped transport.
        Virtio from "virtio 1.2, 4.2.2";
        /// "virt".
        MAGIC @ 0x000: u32, ReadOnly;
        /// Of the transport.
        VERSION @ 0x004: u32, ReadOnly;
        /// What kind of device it is.
        DEVICE_ID @ 0x008: u32, ReadOnly;
        /// A word of what it can do.
        DEVICE_FEATURES @ 0x010: u32, ReadOnly;
        /// Which word.
        DEVICE_FEATURES_SEL @ 0x014: u32, WriteOnly;
        /// A word of what is used of that.
        DRIVER_FEATURES @ 0x020: u32, WriteOnly;
        /// Which word.
        DRIVER_FEATURES_SEL @ 0x024: u32, WriteOnly;
        /// Which queue the next registers speak of.
        QUEUE_SEL @ 0x030: u32, WriteOnly;
        /// Its longest.
        QUEUE_NUM_MAX @ 0x034: u32, ReadOnly;
        /// Its length.
        QUEUE_NUM @ 0x038: u32, WriteOnly;
        /// It is used.
        QUEUE_READY @ 0x044: u32, ReadWrite;
        /// There is something in a queue.
        QUEUE_NOTIFY @ 0x050: u32, WriteOnly;
        /// Why it interrupts.
        INTERRUPT_STATUS @ 0x060: u32, ReadOnly;
        /// That was seen.
        INTERRUPT_ACK @ 0x064: u32, WriteOnly;
        /// How far setting up is.
        STATUS @ 0x070: u32, ReadWrite;
        /// Where the descriptors are: the low half, and the high one after it.
        QUEUE_DESC @ 0x080: u32, WriteOnly;
        /// The high half.
        QUEUE_DESC_HIGH @ 0x084: u32, WriteOnly;
        /// Where the driver's ring is.
        QUEUE_DRIVER @ 0x090: u32, WriteOnly;
        /// The high half.
        QUEUE_DRIVER_HIGH @ 0x094: u32, WriteOnly;
        /// Where the device's ring is.
        QUEUE_DEVICE @ 0x0a0: u32, WriteOnly;
        /// The high half.
        QUEUE_DEVICE_HIGH @ 0x0a4: u32, WriteOnly;
    }
}

const MAGIC: u32 = 0x7472_6976;
const ACKNOWLEDGE: u32 = 1;
const DRIVER: u32 = 2;
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const FAILED: u32 = 128;
/// VIRTIO_I2C_F_ZERO_LENGTH_REQUEST, which a driver must accept.
const ZERO_LENGTH: u32 = 1;
/// VIRTIO_F_VERSION_1, in the second feature word.
const VERSION_1: u32 = 1;

const QUEUE: u16 = 16;
const AVAIL: usize = 256;
const USED: usize = 512;
const HEADERS: usize = 1024;
const DATA: usize = 2048;
/// Bytes of registers that the driver uses.
pub const REGISTER_BYTES: u64 = 0x100;
/// Bytes of DMA memory that the driver uses.
pub const DMA_BYTES: usize = 4096;
const DATA_BYTES: usize = DMA_BYTES - DATA;
/// Operations of one transaction.
const MAX_OPS: usize = 5;

const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;
const FAIL_NEXT: u32 = 1;
const READ: u32 = 2;

/// Memory that the device reads and writes.
#[derive(Clone, Copy)]
pub struct Dma {
    virt: *mut u8,
    phys: u64,
}

impl Dma {
    /// # Safety
    /// `virt` points to [`DMA_BYTES`] bytes, page-aligned, which the device sees at `phys` and nobody else uses.
    pub unsafe fn new(virt: *mut u8, phys: u64) -> Dma {
        Dma { virt, phys }
    }

    fn put<T>(&self, offset: usize, value: T) {
        debug_assert!(offset + size_of::<T>() <= DMA_BYTES);
        // SAFETY: inside the memory (all offsets are below DMA_BYTES by construction), aligned to T.
        unsafe { self.virt.add(offset).cast::<T>().write_volatile(value) }
    }
    fn get<T: Copy>(&self, offset: usize) -> T {
        debug_assert!(offset + size_of::<T>() <= DMA_BYTES);
        // SAFETY: as for `put`.
        unsafe { self.virt.add(offset).cast::<T>().read_volatile() }
    }
}

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

/// The adapter.
pub struct VirtioI2c<R, W> {
    registers: Block<reg::Virtio, R>,
    dma: Dma,
    wait: W,
    available: u16,
    used: u16,
    /// Resets after transactions that did not end.
    pub resets: u32,
}

impl<R: Io, W: Wait> VirtioI2c<R, W> {
    /// Finds the device behind the registers and sets it up.
    pub fn new(registers: R, dma: Dma, wait: W) -> Result<VirtioI2c<R, W>, VirtioError> {
        let mut bus =
            VirtioI2c { registers: Block::new(registers), dma, wait, available: 0, used: 0, resets: 0 };
        bus.set_up()?;
        Ok(bus)
    }

    /// An interrupt that came when nothing was waited for (the answer had been seen already): the line falls, and the next one
    /// can come.
    pub fn stray(&mut self) {
        let status = self.registers.read(reg::INTERRUPT_STATUS);
        self.registers.write(reg::INTERRUPT_ACK, status);
        self.wait.handled();
    }

    /// The waiting side.
    pub fn waiter(&mut self) -> &mut W {
        &mut self.wait
    }

    fn set_up(&mut self) -> Result<(), VirtioError> {
        let r = &self.registers;
        if r.read(reg::MAGIC) != MAGIC || r.read(reg::VERSION) != 2 || r.read(reg::DEVICE_ID) != DEVICE_ID {
            return Err(VirtioError::Adapter);
        }
        r.write(reg::STATUS, 0);
        r.write(reg::STATUS, ACKNOWLEDGE | DRIVER);
        for (word, wanted) in [(0, ZERO_LENGTH), (1, VERSION_1)] {
            r.write(reg::DEVICE_FEATURES_SEL, word);
            let offered = r.read(reg::DEVICE_FEATURES);
            r.write(reg::DRIVER_FEATURES_SEL, word);
            r.write(reg::DRIVER_FEATURES, offered & wanted);
        }
        r.write(reg::STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if r.read(reg::STATUS) & FEATURES_OK == 0 {
            r.write(reg::STATUS, FAILED);
            return Err(VirtioError::Adapter);
        }
        r.write(reg::QUEUE_SEL, 0);
        if r.read(reg::QUEUE_NUM_MAX) < QUEUE as u32 {
            r.write(reg::STATUS, FAILED);
            return Err(VirtioError::Adapter);
        }
        for offset in (0..DATA).step_by(8) {
            self.dma.put(offset, 0u64);
        }
        self.available = 0;
        self.used = 0;
        let phys = self.dma.phys;
        r.write(reg::QUEUE_NUM, QUEUE as u32);
        for (low, high, address) in [
            (reg::QUEUE_DESC, reg::QUEUE_DESC_HIGH, phys),
            (reg::QUEUE_DRIVER, reg::QUEUE_DRIVER_HIGH, phys + AVAIL as u64),
            (reg::QUEUE_DEVICE, reg::QUEUE_DEVICE_HIGH, phys + USED as u64),
        ] {
            r.write(low, address as u32);
            r.write(high, (address >> 32) as u32);
        }
        r.write(reg::QUEUE_READY, 1);
        r.write(reg::STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        Ok(())
    }

    fn descriptor(&self, index: u16, offset: usize, len: usize, flags: u16) {
        let at = index as usize * 16;
        self.dma.put(at, self.dma.phys + offset as u64);
        self.dma.put(at + 8, len as u32);
        self.dma.put(at + 12, flags);
        self.dma.put(at + 14, index + 1);
    }

    /// Queues the operations, each a request of two or three descriptors; returns how many.
    fn queue(&mut self, address: u8, operations: &[Operation<'_>]) -> Result<usize, VirtioError> {
        let total: usize = operations.iter().map(length).sum();
        if operations.len() > MAX_OPS || total > DATA_BYTES {
            return Err(VirtioError::TooLong);
        }
        let mut data = DATA;
        let mut desc = 0u16;
        for (i, operation) in operations.iter().enumerate() {
            let len = length(operation);
            let last = i + 1 == operations.len();
            let mut flags = if last { 0 } else { FAIL_NEXT };
            if let Operation::Read(_) = operation {
                flags |= READ;
            }
            let header = HEADERS + i * 16;
            self.dma.put(header, (address as u16) << 1);
            self.dma.put(header + 2, 0u16);
            self.dma.put(header + 4, flags);
            self.dma.put(header + 8, 0xffu8); // status: not written yet
            let head = desc;
            self.descriptor(desc, header, 8, DESC_NEXT);
            desc += 1;
            if len > 0 {
                let direction = if let Operation::Write(bytes) = operation {
                    for (j, b) in bytes.iter().enumerate() {
                        self.dma.put(data + j, *b);
                    }
                    0
                } else {
                    DESC_WRITE
                };
                self.descriptor(desc, data, len, direction | DESC_NEXT);
                desc += 1;
            }
            self.descriptor(desc, header + 8, 1, DESC_WRITE);
            desc += 1;
            data += len;
            let slot = (self.available.wrapping_add(i as u16) % QUEUE) as usize;
            self.dma.put(AVAIL + 4 + slot * 2, head);
        }
        Ok(operations.len())
    }

    fn run(&mut self, requests: u16) -> Result<(), VirtioError> {
        fence(Ordering::SeqCst);
        self.available = self.available.wrapping_add(requests);
        self.dma.put(AVAIL + 2, self.available);
        fence(Ordering::SeqCst);
        self.wait.begin();
        self.registers.write(reg::QUEUE_NOTIFY, 0);
        let goal = self.used.wrapping_add(requests);
        while self.dma.get::<u16>(USED + 2) != goal {
            // What was done is done, even if it was late.
            if !self.wait.wait() && self.dma.get::<u16>(USED + 2) != goal {
                // Whatever the device still does with the memory ends with the reset.
                self.resets += 1;
                self.set_up()?;
                return Err(VirtioError::Timeout);
            }
            let status = self.registers.read(reg::INTERRUPT_STATUS);
            self.registers.write(reg::INTERRUPT_ACK, status);
            self.wait.handled();
        }
        fence(Ordering::SeqCst);
        self.used = goal;
        Ok(())
    }
}

fn length(operation: &Operation<'_>) -> usize {
    match operation {
        Operation::Read(b) => b.len(),
        Operation::Write(b) => b.len(),
    }
}

impl<R, W> ErrorType for VirtioI2c<R, W> {
    type Error = VirtioError;
}

impl<R: Io, W: Wait> I2c<SevenBitAddress> for VirtioI2c<R, W> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), VirtioError> {
        if operations.is_empty() {
            return Ok(());
        }
        let requests = self.queue(address, operations)?;
        self.run(requests as u16)?;
        let mut data = DATA;
        for (i, operation) in operations.iter_mut().enumerate() {
            if self.dma.get::<u8>(HEADERS + i * 16 + 8) != 0 {
                return Err(VirtioError::NoAcknowledge);
            }
            let len = length(operation);
            if let Operation::Read(bytes) = operation {
                for (j, b) in bytes.iter_mut().enumerate() {
                    *b = self.dma.get(data + j);
                }
            }
            data += len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
