//! Registers in memory (virtio 1.2, 4.2.2).

use crate::{Parts, Transport};
use axiom_mmio::Io;

/// Bytes of them.
pub const REGISTERS_BYTES: u64 = 512;

#[allow(missing_docs)]
pub mod reg {
    //! Their offsets.
    pub const MAGIC: usize = 0x000;
    pub const VERSION: usize = 0x004;
    pub const DEVICE_ID: usize = 0x008;
    pub const DEVICE_FEATURES: usize = 0x010;
    pub const DEVICE_FEATURES_SEL: usize = 0x014;
    pub const DRIVER_FEATURES: usize = 0x020;
    pub const DRIVER_FEATURES_SEL: usize = 0x024;
    pub const QUEUE_SEL: usize = 0x030;
    pub const QUEUE_NUM_MAX: usize = 0x034;
    pub const QUEUE_NUM: usize = 0x038;
    pub const QUEUE_READY: usize = 0x044;
    pub const QUEUE_NOTIFY: usize = 0x050;
    pub const INTERRUPT_STATUS: usize = 0x060;
    pub const INTERRUPT_ACK: usize = 0x064;
    pub const STATUS: usize = 0x070;
    pub const QUEUE_DESC: usize = 0x080;
    pub const QUEUE_DRIVER: usize = 0x090;
    pub const QUEUE_DEVICE: usize = 0x0a0;
    pub const CONFIG: usize = 0x100;
}

/// What the first register reads.
pub const MAGIC: u32 = u32::from_le_bytes(*b"virt");

/// The transport.
pub struct Mmio<R>(pub R);

impl<R: Io> Transport for Mmio<R> {
    fn device_id(&self) -> Option<u32> {
        let modern = self.0.read(reg::MAGIC) == MAGIC && self.0.read(reg::VERSION) == 2;
        modern.then(|| self.0.read(reg::DEVICE_ID))
    }
    fn status(&self) -> u8 {
        self.0.read(reg::STATUS) as u8
    }
    fn set_status(&mut self, status: u8) {
        self.0.write(reg::STATUS, status.into());
    }
    fn features(&mut self, word: u32) -> u32 {
        self.0.write(reg::DEVICE_FEATURES_SEL, word);
        self.0.read(reg::DEVICE_FEATURES)
    }
    fn set_features(&mut self, word: u32, taken: u32) {
        self.0.write(reg::DRIVER_FEATURES_SEL, word);
        self.0.write(reg::DRIVER_FEATURES, taken);
    }
    fn most(&mut self, queue: u16) -> u16 {
        self.0.write(reg::QUEUE_SEL, queue.into());
        u16::try_from(self.0.read(reg::QUEUE_NUM_MAX)).unwrap_or(u16::MAX)
    }
    fn set_queue(&mut self, queue: u16, entries: u16, parts: Parts) -> bool {
        self.0.write(reg::QUEUE_SEL, queue.into());
        self.0.write(reg::QUEUE_NUM, entries.into());
        for (register, address) in [
            (reg::QUEUE_DESC, parts.descriptors),
            (reg::QUEUE_DRIVER, parts.available),
            (reg::QUEUE_DEVICE, parts.used),
        ] {
            self.0.write(register, address as u32);
            self.0.write(register + 4, (address >> 32) as u32);
        }
        self.0.write(reg::QUEUE_READY, 1);
        true
    }
    fn notify(&mut self, queue: u16) {
        self.0.write(reg::QUEUE_NOTIFY, queue.into());
    }
    fn acknowledge(&mut self) {
        let raised = self.0.read(reg::INTERRUPT_STATUS);
        self.0.write(reg::INTERRUPT_ACK, raised);
    }
    fn config(&self, offset: u16) -> u8 {
        let word = self.0.read(reg::CONFIG + usize::from(offset & !3));
        (word >> (8 * (offset & 3))) as u8
    }
}
