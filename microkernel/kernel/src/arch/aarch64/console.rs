//! The debug UART: a PL011 as firmware or emulator set it up. Its baud rate is not touched.
use core::cell::Cell;

struct Uart(Cell<usize>);
// SAFETY: written once at boot; one core runs in the kernel at a time.
unsafe impl Sync for Uart {}
static UART: Uart = Uart(Cell::new(0));

const DR: usize = 0x00;
const FR: usize = 0x18;
const FR_TXFF: u32 = 1 << 5;

/// Uses the PL011 whose registers are mapped at `base`.
pub fn init(base: usize) {
    UART.0.set(base);
}

/// Writes a byte if the UART has room for it now; before a UART is known, every byte goes nowhere.
pub fn offer(byte: u8) -> bool {
    let base = UART.0.get();
    if base == 0 {
        return true;
    }
    // SAFETY: `base` is the mapped register block of a PL011 (`init`); reading FR has no effect.
    let room = unsafe { ((base + FR) as *const u32).read_volatile() } & FR_TXFF == 0;
    if room {
        // SAFETY: as above; writing DR sends a byte.
        unsafe { ((base + DR) as *mut u32).write_volatile(u32::from(byte)) };
    }
    room
}
