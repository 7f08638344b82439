//! What the kernel's test root tasks share: the entry, a console on the kernel's debug UART, objects and threads.
//!
//! A root task defines `extern "C" fn root_main(info: &'static BootInfo) -> !`. There is no runtime and no bundle: such a
//! task is what any static ELF for an seL4 MCS BootInfo is to the kernel.
#![no_std]

pub mod arch;
pub mod ops;
pub mod world;

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::stubs;

const STACK_SIZE: usize = 32768;
#[repr(C, align(16))]
struct Stack(core::cell::UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: only the stack pointer uses it.
unsafe impl Sync for Stack {}
static STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK_SIZE]));

/// The kernel's debug UART.
pub struct Debug;
impl Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(stubs::debug_put_char);
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => {{ let _ = core::fmt::Write::write_fmt(&mut $crate::Debug, format_args!("{}\r\n", format_args!($($arg)*))); }};
}

/// Ends a check that finds something else than expected.
#[macro_export]
macro_rules! same {
    ($what:expr, $left:expr, $right:expr) => {{
        let (left, right) = ($left, $right);
        if left != right {
            $crate::say!("root-test:   {}: got {:?}, expected {:?}", $what, left, right);
            return false;
        }
    }};
}

static EXPENDABLE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Threads whose stacks lie in this range are expendable: a panic there is a fault of the thread, not the end of the run.
pub fn expendable(start: u64, end: u64) {
    EXPENDABLE[0].store(start, Relaxed);
    EXPENDABLE[1].store(end, Relaxed);
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let local = 0u8;
    let at = &raw const local as u64;
    if (EXPENDABLE[0].load(Relaxed)..EXPENDABLE[1].load(Relaxed)).contains(&at) {
        loop {
            arch::undefined();
        }
    }
    say!("root task: {info}");
    say!("axiom: run ended: FAILED: the root task panicked");
    stubs::debug_halt();
    loop {
        core::hint::spin_loop();
    }
}

/// Ends the run: what failed, or nothing.
pub fn end(failed: Option<fmt::Arguments<'_>>) -> ! {
    match failed {
        None => say!("axiom: run ended: ok"),
        Some(what) => say!("axiom: run ended: FAILED: {what}"),
    }
    stubs::debug_halt();
    loop {
        core::hint::spin_loop();
    }
}
