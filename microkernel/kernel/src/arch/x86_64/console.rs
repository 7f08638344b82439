//! The debug UART: COM1, a 16550, 115200 8N1.
use super::port::{inb, outb};
use core::cell::Cell;

const COM1: u16 = 0x3f8;
const DATA: u16 = COM1;
const INTERRUPTS: u16 = COM1 + 1;
const FIFO: u16 = COM1 + 2;
const LINE: u16 = COM1 + 3;
const MODEM: u16 = COM1 + 4;
const STATUS: u16 = COM1 + 5;
const SCRATCH: u16 = COM1 + 7;
const EMPTY: u8 = 1 << 5;

struct There(Cell<bool>);
// SAFETY: written once at boot; one core runs in the kernel at a time.
unsafe impl Sync for There {}
static THERE: There = There(Cell::new(false));

/// Sets COM1 up, if it is there: its scratch register keeps what is written.
pub fn init() {
    outb(SCRATCH, 0xa5);
    let there = inb(SCRATCH) == 0xa5;
    if there {
        outb(INTERRUPTS, 0);
        outb(LINE, 0x80);
        outb(DATA, 1);
        outb(INTERRUPTS, 0);
        outb(LINE, 3);
        outb(FIFO, 7);
        outb(MODEM, 3);
    }
    THERE.0.set(there);
}

/// Writes a byte if the UART has room for it now; without a UART every byte goes nowhere.
pub fn offer(byte: u8) -> bool {
    if !THERE.0.get() {
        return true;
    }
    let room = inb(STATUS) & EMPTY != 0;
    if room {
        outb(DATA, byte);
    }
    room
}
