//! The 16550 (National Semiconductor PC16550D) at COM1, as firmware or the kernel set it up: its baud rate is not touched. Every access of
//! a register is a system call; the kernel writes to the same port, so the transmitter is asked before each byte.
use axiom_runtime::arch::Ports;

const COM1: u16 = 0x3f8;
const DATA: u16 = COM1;
const IIR: u16 = COM1 + 2;
const LCR: u16 = COM1 + 3;
const LSR: u16 = COM1 + 5;
const LSR_DATA_READY: u8 = 1 << 0;
const LSR_THR_EMPTY: u8 = 1 << 5;
const LSR_TRANSMITTER_EMPTY: u8 = 1 << 6;
/// A transmitter that takes nothing for so many polls is given up for this byte.
const PATIENCE: u32 = 100_000;

/// A serial port.
pub struct Uart {
    ports: Ports,
}

impl Uart {
    /// The port that these I/O ports reach.
    pub fn new(ports: Ports) -> Uart {
        Uart { ports }
    }

    fn has(&self, status: u8) -> bool {
        // What the kernel refuses to read is never ready.
        self.ports.in8(LSR).is_ok_and(|s| s & status != 0)
    }

    /// Sends a byte; false when the transmitter is stuck.
    pub fn put(&mut self, byte: u8) -> bool {
        (0..PATIENCE).any(|_| self.has(LSR_THR_EMPTY)) && self.ports.out8(DATA, byte).is_ok()
    }

    /// Line control and interrupt identification (whose upper bits say whether there is a FIFO); 0 where the kernel refuses to read.
    pub fn settings(&self) -> (u8, u8) {
        (self.ports.in8(LCR).unwrap_or(0), self.ports.in8(IIR).unwrap_or(0))
    }

    /// Waits until everything is sent.
    pub fn flush(&self) {
        let _ = (0..PATIENCE).any(|_| self.has(LSR_TRANSMITTER_EMPTY));
    }

    /// A byte that arrived.
    pub fn get(&mut self) -> Option<u8> {
        if self.has(LSR_DATA_READY) { self.ports.in8(DATA).ok() } else { None }
    }
}
