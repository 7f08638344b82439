//! The PL011 (ARM DDI 0183G), as firmware set it up: its baud rate is not touched.
use core::ptr;

const DR: usize = 0x00;
const FR: usize = 0x18;
const IBRD: usize = 0x24;
const FBRD: usize = 0x28;
const FR_BUSY: u32 = 1 << 3;
const FR_RXFE: u32 = 1 << 4;
const FR_TXFF: u32 = 1 << 5;
/// A transmitter that takes nothing for so many polls is given up for this byte.
const PATIENCE: u32 = 1_000_000;

/// A serial port.
pub struct Uart {
    base: usize,
}

impl Uart {
    /// The port whose registers are at `base`.
    ///
    /// # Safety
    /// `base` is the mapping of a PL011's registers (at least 4 KiB), and nobody else in this address space uses it.
    pub unsafe fn new(base: usize) -> Uart {
        Uart { base }
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: the registers are mapped (`new`), and reading these has no effect but taking a byte from DR.
        unsafe { ptr::read_volatile((self.base + offset) as *const u32) }
    }

    /// Sends a byte; false when the transmitter is stuck.
    pub fn put(&mut self, byte: u8) -> bool {
        let free = (0..PATIENCE).any(|_| self.read(FR) & FR_TXFF == 0);
        if free {
            // SAFETY: as for `read`; writing DR sends a byte.
            unsafe { ptr::write_volatile((self.base + DR) as *mut u32, u32::from(byte)) };
        }
        free
    }

    /// The divisors that firmware chose: whole part, sixty-fourths.
    pub fn divisors(&self) -> (u32, u32) {
        (self.read(IBRD), self.read(FBRD))
    }

    /// Waits until everything is sent.
    pub fn flush(&self) {
        let _ = (0..PATIENCE).any(|_| self.read(FR) & FR_BUSY == 0);
    }

    /// A byte that arrived.
    pub fn get(&mut self) -> Option<u8> {
        (self.read(FR) & FR_RXFE == 0).then(|| self.read(DR) as u8)
    }
}
