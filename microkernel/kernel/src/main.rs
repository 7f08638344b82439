//! The Axiom microkernel.
//!
//! It schedules threads, delivers messages and interrupts, keeps time, maps memory and records trace points; nothing else
//! runs in it. Its interface is seL4's (MCS configuration) with two additions, Timer objects and trace points.
//!
//! Reading order: [`entry`] is what happens on a system call, [`fast`] its short way for calls; [`invoke`] decodes invocations; [`ipc`], [`notify`] and
//! [`fault`] move messages; [`sched`] decides who runs; [`delete`] takes objects apart; [`boot`] makes the first thread. Objects and
//! their invariants are the crate `axiom-objects`, which also runs on the host. Architecture code is only under
//! [`arch`].
//!
//! Principles: no heap; no panic on user input; no loop without a preemption point or a bound; memory is zeroed before it is
//! handed out; user memory is reached only through IPC buffer frames.
#![no_std]
#![no_main]

mod arch;
mod boot;
mod cspace;
mod delete;
mod drivers;
mod entry;
mod fast;
mod fault;
mod interrupt;
mod invoke;
mod ipc;
mod message;
mod node;
mod notify;
mod panic;
mod print;
mod sched;
mod trace;
