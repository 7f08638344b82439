//! The High Precision Event Timer of PCs, by the names of Intel's *IA-PC HPET Specification 1.0a* (October 2004).
//!
//! No operating system, no dependencies, no allocation. The registers are reached by a trait ([`Registers`]), so that everything here runs
//! on a model as well as on the machine. Units stand in the names and in the documentation of every number: **a tick is not a
//! nanosecond** (10 ns in QEMU, 69.84 ns or 41.67 ns on most PCs), and a program that takes one for the other is wrong by that factor.
//!
//! ```no_run
//! use hpet::{Hpet, Mmio32, Quirks, acpi::HpetTable};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let bytes: &[u8] = &[];
//! let table = HpetTable::parse(bytes)?; // the ACPI table "HPET" says where the block is
//! // SAFETY: the page at this address is the HPET's, mapped uncached, and nobody else writes there.
//! let registers = unsafe { Mmio32::new(table.address as *mut u32) };
//! let mut hpet = Hpet::new(registers, Quirks::NONE)?;
//! hpet.enable()?;
//! let now = hpet.main_counter(); // ticks
//! let deadline = now + hpet.period().ticks_ceil(1_000_000).ok_or("too long")?; // 1 ms, never early
//! let mut timer = hpet.timer(0)?;
//! timer.route(2, hpet::Trigger::Edge)?;
//! timer.arm_oneshot(deadline)?;
//! # Ok(()) }
//! ```
//!
//! # What it refuses
//!
//! A block that is not there (all zeros, all ones), a period that the specification forbids (0, or above 100 ns) or that no hardware has
//! (below 1 ns: some chips report picoseconds, [`Quirks::PERIOD_IN_PICOSECONDS`]), a route or a mode that the timer lacks, a deadline that
//! has passed ([`ArmError`]: hardware compares for *equality*, so a deadline in the past would come after a whole wrap), one so far ahead
//! that 32 bits would make it early.
//!
//! # Invariants
//!
//! * [`Hpet::main_counter`] never goes back, also where the hardware counts 32 bits or the bus reads 64 bits in two halves.
//! * A time in nanoseconds is at most 1 ns below the counter's true one ([`Period`]: exact, no overflow in 584 years); a time in ticks
//!   that was made from nanoseconds is never early, and less than one tick late.
//! * An interrupt of a timer that was armed here comes at its deadline, never before. Where none would come, arming returns an error.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod acpi;
mod error;
mod extend;
mod hpet;
mod mmio;
mod period;
mod quirks;
pub mod regs;
mod timer;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use error::{ArmError, EnableError, NoLegacyReplacement, NoSuchTimer, NotHalted, ProbeError, RouteError};
pub use extend::Extender;
pub use hpet::Hpet;
pub use mmio::{Mmio, Mmio32, Mmio64};
pub use period::{BadPeriod, Period};
pub use quirks::Quirks;
pub use regs::{Capabilities, Registers, TimerConfig};
pub use timer::{MIN_DISTANCE, Periodic, Timer, Trigger};
