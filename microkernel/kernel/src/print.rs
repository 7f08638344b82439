//! The kernel's own lines on the debug UART.
//!
//! While nobody else runs (boot, a panic, power-off) they wait for the UART. As soon as there is a thread they do not: a line
//! goes to a buffer, and from there to the UART as far as it takes bytes: at interrupts, while the core is idle, and at once but for
//! reports that a thread can cause at will. What the buffer has no room for is counted, and a line says so in its place. The UART is
//! shared with the console server, which
//! has the same registers: between two pieces of a kernel's line its bytes may come, never within what one entry writes.
use crate::arch::{console, irq, timer};
use axiom_objects::output::{Limit, Output};
use axiom_objects::time::Ticks;
use core::cell::Cell;
use core::fmt::{self, Write};

/// Prints a line on the debug UART.
macro_rules! println {
    ($($arg:tt)*) => { $crate::print::line(format_args!($($arg)*)) };
}
pub(crate) use println;

/// Bytes that wait.
const BUFFERED: usize = 2048;
/// Bytes that one entry into the kernel gives to the UART: what its transmitter holds.
const PIECE: usize = 32;
/// A UART that takes nothing for so long is given up until it takes a byte again.
const PATIENCE_US: u64 = 100_000;
/// So many reports that a thread can cause at will, in a second.
const REPORTS: u32 = 8;

struct State {
    out: Output<BUFFERED>,
    reports: Limit,
    /// Lines wait for the UART.
    waits: Cell<bool>,
}
// SAFETY: one core runs in the kernel at a time, and interrupts do not come there.
unsafe impl Sync for State {}
static STATE: State = State { out: Output::new(), reports: Limit::new(REPORTS), waits: Cell::new(true) };

/// How long anybody waits for a UART that takes nothing, ticks.
fn patience() -> Ticks {
    timer::frequency() * PATIENCE_US / 1_000_000
}

fn is_stuck() -> bool {
    STATE.out.is_stuck(timer::now(), patience())
}

/// Writes all that waits.
fn flush() {
    while !STATE.out.is_empty() && !is_stuck() {
        drain_piece();
    }
}

/// From now on lines go to the buffer: threads run.
pub fn buffer() {
    STATE.waits.set(false);
}

/// From now on lines wait for the UART: no thread runs any more.
pub fn wait() {
    STATE.waits.set(true);
    flush();
}

/// Gives the UART what it takes of what waits.
#[inline(always)]
pub fn drain() {
    if !STATE.out.is_empty() {
        drain_piece();
    }
}

#[cold]
fn drain_piece() {
    STATE.out.drain(PIECE, timer::now(), console::offer);
}

/// Gives the UART what waits while there is nothing else to do: until all is written, an interrupt waits, or it is stuck.
pub fn drain_idle() {
    while !STATE.out.is_empty() && !irq::is_pending() && !is_stuck() {
        drain_piece();
    }
}

/// Writes a byte of a thread's behind what the kernel wrote; false if the UART has no room yet: the thread asks again. For
/// a UART that is stuck the byte counts as lost.
pub fn put_user(byte: u8) -> bool {
    STATE.out.put_through(byte, PIECE, timer::now(), patience(), console::offer)
}

/// Prints a report that a thread can cause at will, unless there were too many; then that is said before the next one. Interrupts
/// wait for this, so the UART gets it later.
#[cold]
#[inline(never)]
pub fn report(args: fmt::Arguments<'_>) {
    let Some(skipped) = STATE.reports.allow(timer::now(), timer::frequency()) else { return };
    if skipped > 0 {
        write(format_args!("axiom: {skipped} more reports of threads were left out"));
    }
    write(args);
}

struct Uart;

impl Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !STATE.waits.get() {
            // Interrupts wait for this. What is said while threads run are single lines.
            STATE.out.put_all(text.as_bytes());
            return Ok(());
        }
        for byte in text.bytes() {
            if byte == b'\n' {
                STATE.out.put(b'\r');
            }
            STATE.out.put(byte);
            flush();
        }
        Ok(())
    }
}

/// Writes a line to the buffer.
fn write(args: fmt::Arguments<'_>) {
    // The buffer takes or counts every byte; a formatting error comes from a Display implementation, and ours return none.
    let _ = Uart.write_fmt(args);
    STATE.out.put_all(b"\r\n");
    if STATE.waits.get() {
        flush();
    }
}

/// Writes a line. Use the macro.
pub fn line(args: fmt::Arguments<'_>) {
    write(args);
    drain();
}
