//! The kernel's rules: objects, capabilities, scheduling, messages, deletion, invocations, as a library that runs on the host.
//!
//! What only a machine has (entry and traps, translation hardware, the interrupt controller, the timer's register) is behind one
//! narrow trait, [`machine::Machine`]; rules are free functions generic over it. In the kernel the machine has no size; on the host it is
//! a world in ordinary memory ([`fake`]), where all of this runs under proptest and Miri.
//!
//! # Layers
//! From bottom to top; a file uses files of lower lines only, never the other way (`just check-deps` looks for circles). Values go
//! down (`&Node`, the time), results come up ([`sched::Budget`]).
//!
//! | files | what |
//! |---|---|
//! | `ptr`, `time`, `output`, `heap`, `arch/*/{registers,context,tables,ports,interrupts}` | addresses, ticks, text on its way to a UART, an architecture's thread context and its kinds of objects |
//! | `object` | layouts of all objects, slots, queues' ends |
//! | `timer`, `queue`, `refill`, `zombie`, `cap`, `arch/*/paging` | one kind of object each |
//! | `account` | timers by the context that pays for them |
//! | `slot`, `cspace`, `message`, `trace` | derivation tree, lookup, message registers, trace ring |
//! | `derive`, `node` | what a copy of a capability is; all state of a core |
//! | `machine` | what the rules need from a machine |
//! | `space`, `fpu`, `fault_message` | address spaces, lazy FPU, faults as messages |
//! | `sched` | who runs, on which budget |
//! | `waiting` | leaving what a thread waits in |
//! | `notify`, `thread`, `transfer` | signals; suspend, restart, priority, yield; the message itself |
//! | `ipc` | send, receive, call, reply |
//! | `fault`, `interrupt` | faults and interrupts become messages and signals |
//! | `expiry` | timers that are due |
//! | `finalise` | taking an object out of all that refers to it |
//! | `preempt`, `delete` | long work that asks whether to stop; deleting and revoking |
//! | `invoke/args`, `invoke/*`, `invoke/arch/*`, `invoke` | invocations: arguments, one file per kind of object, what an architecture does to them, the dispatch |
//! | `invariants` | what holds whenever the kernel leaves, over the whole state |
//! | `fast`, `entry` | the short ways; system calls, faults, interrupts, each ending in [`entry::leave`] |
//!
//! # How objects are shared
//! Objects live in memory that user space provided (untyped). The kernel reaches them through [`ptr::Ptr`], a copyable
//! reference whose fields are all [`core::cell::Cell`]s: there is never a `&mut` to an object, so two paths to the same
//! one (a queue link and a capability) cannot be undefined behaviour. The one unsafe step is making a `Ptr` from an address; its
//! conditions are on [`ptr::Ptr::new`]. The kernel runs on one core with interrupts masked, so no `Cell` is ever shared
//! between cores.
#![no_std]
#![cfg_attr(not(test), forbid(clippy::unwrap_used))]

pub mod account;
pub mod arch;
pub mod cap;
pub mod cspace;
pub mod delete;
pub mod derive;
pub mod entry;
pub mod expiry;
#[cfg(test)]
mod expiry_tests;
#[cfg(not(target_os = "none"))]
pub mod fake;
pub mod fast;
#[cfg(test)]
mod fast_tests;
pub mod fault;
pub mod fault_message;
pub mod finalise;
pub mod fpu;
pub mod heap;
pub mod interrupt;
pub mod invariants;
pub mod invoke;
pub mod ipc;
pub mod machine;
pub mod message;
pub mod node;
pub mod notify;
pub mod object;
pub mod output;
pub mod preempt;
pub mod ptr;
pub mod queue;
pub mod refill;
pub mod sched;
pub mod slot;
pub mod space;
pub mod thread;
pub mod time;
#[cfg(test)]
mod time_tests;
pub mod timer;
pub mod trace;
pub mod transfer;
pub mod waiting;
#[cfg(test)]
mod worlds;
pub mod zombie;

pub use cap::Cap;
pub use object::{SchedContext, Slot, Tcb};
pub use ptr::{PhysAddr, Ptr};
