//! The developer's machine in an architecture's place, for tests of servers: time passes when a test says so, and nothing that a program
//! wrote is ever executed. What stands in for the kernel is `sel4_sys::host`.
use crate::cap::invoke;
use sel4_sys::{CPtr, Error};
use std::sync::atomic::{AtomicU64, Ordering};

static NOW: AtomicU64 = AtomicU64::new(1);

/// Sets the counter.
pub fn set_ticks(now: u64) {
    NOW.store(now, Ordering::SeqCst);
}

/// The counter, in ticks.
pub fn ticks() -> u64 {
    NOW.load(Ordering::SeqCst)
}

/// The same: nobody counts instructions here.
pub fn cycles() -> u64 {
    ticks()
}

/// Ticks per second are what the environment says.
pub fn frequency() -> Option<u64> {
    None
}

/// A row of the report is named after what the kernel reads of the machine: here it reads nothing.
pub const MACHINE_READ: &str = "boot.entry_to_nothing_read";

/// Instructions of a pass of [`mixed`].
pub const MIXED: u64 = 10;

/// Measured by nobody.
pub fn mixed(_words: &mut [u64; 2], _passes: u64) {}

/// As many moments.
pub fn count_down(times: u64) {
    (0..times).for_each(|_| std::hint::spin_loop());
}

/// A moment.
pub fn idle() {
    std::hint::spin_loop();
}

/// The thread's end.
pub fn undefined() {
    panic!("the server ended itself");
}

/// # Safety
/// None is asked for: no code is run here.
pub unsafe fn publish(_start: *const u8, _len: usize) {}

/// Words of a thread's first registers.
pub const FIRST_REGISTERS: usize = 3;

/// Program counter, stack pointer, argument.
pub fn first_registers(pc: u64, sp: u64, argument: u64) -> [u64; FIRST_REGISTERS] {
    [pc, sp, argument]
}

/// A range of I/O ports, by the invocations of x86-64's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports(pub CPtr);

impl Ports {
    /// Reads a byte.
    pub fn in8(self, port: u16) -> Result<u8, Error> {
        let label = sel4_sys::arch::x86_64::label::IO_PORT_IN8;
        invoke(self.0, label, &[port.into()], &[]).map(|words| words[0] as u8)
    }
    /// Writes a byte.
    pub fn out8(self, port: u16, byte: u8) -> Result<(), Error> {
        let label = sel4_sys::arch::x86_64::label::IO_PORT_OUT8;
        invoke(self.0, label, &[port.into(), byte.into()], &[]).map(drop)
    }
}
