//! The PL011, as firmware set it up: its baud rate is not touched.
use axiom_mmio::{Block, Mmio};
use bcm2712_pac::soc::uart::{self, Dr, FBRD, FR, IBRD};

/// Bytes of registers that are used.
pub const REGISTER_BYTES: u64 = 0x48;
/// A transmitter that takes nothing for so many polls is given up for this byte.
const PATIENCE: u32 = 1_000_000;

/// A serial port.
pub struct Uart {
    registers: Block<uart::Uart, Mmio>,
}

impl Uart {
    /// The port with these registers.
    pub fn new(registers: Mmio) -> Uart {
        Uart { registers: Block::new(registers) }
    }

    /// Sends a byte; false when the transmitter is stuck.
    pub fn put(&mut self, byte: u8) -> bool {
        let free = (0..PATIENCE).any(|_| !self.registers.read(FR).tx_full());
        if free {
            self.registers.write(uart::DR, Dr::default().with_data(byte.into()));
        }
        free
    }

    /// The divisors that firmware chose: whole part, sixty-fourths.
    pub fn divisors(&self) -> (u32, u32) {
        (self.registers.read(IBRD), self.registers.read(FBRD))
    }

    /// Waits until everything is sent.
    pub fn flush(&self) {
        let _ = (0..PATIENCE).any(|_| !self.registers.read(FR).busy());
    }

    /// A byte that arrived.
    pub fn get(&mut self) -> Option<u8> {
        (!self.registers.read(FR).rx_empty()).then(|| self.registers.read(uart::DR).data() as u8)
    }
}
