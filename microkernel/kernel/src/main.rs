//! The Axiom microkernel.
//!
//! It schedules threads, delivers messages and interrupts, keeps time, maps memory and records trace points; nothing else
//! runs in it. Its interface is seL4's (MCS configuration) with two additions, Timer objects and trace points.
//!
//! The rules (who runs, what a message is, what deleting does, what invocations mean) are the library `axiom-objects`, which also
//! runs on the host; read there. Here is what only a machine has, from bottom to top: [`arch`] (instructions, registers,
//! tables, the interrupt controller), [`print`], [`node`] (where the state is), [`debug`] (the debugging calls), [`machine`] (the core as the rules
//! see it), [`panic`], `arch::trap` (in and out), [`boot`] (makes the first thread). No file knows one further up.
//!
//! Principles: no heap; no panic on user input; no loop without a preemption point or a bound; memory is zeroed before it is
//! handed out; user memory is reached only through IPC buffer frames.
#![no_std]
#![no_main]

mod arch;
mod boot;
mod checked;
mod debug;
mod machine;
mod node;
mod panic;
mod print;
mod stretch;
