//! Kernel objects as state machines: capabilities and their derivation tree, thread control blocks, queues,
//! scheduling contexts with their refills, timers.
//!
//! Nothing here knows an architecture's instructions, so all of it runs on the host too, under proptest and Miri.
//!
//! # How objects are shared
//! Objects live in memory that user space provided (untyped). The kernel reaches them through [`Ptr`], a copyable
//! reference whose fields are all [`core::cell::Cell`]s: there is never a `&mut` to an object, so two paths to the same
//! one (a queue link and a capability) cannot be undefined behaviour. The one unsafe step is making a `Ptr` from an address; its
//! conditions are on [`Ptr::new`]. The kernel runs on one core with interrupts masked, so no `Cell` is ever shared
//! between cores.
#![no_std]
#![cfg_attr(not(test), forbid(clippy::unwrap_used))]

pub mod cap;
pub mod object;
pub mod ptr;
pub mod queue;
pub mod ranges;
pub mod refill;
pub mod registers;
pub mod slot;
pub mod timer;

pub use cap::{Cap, FrameSize, VmRights};
pub use object::{
    Endpoint, EndpointState, Notification, NotificationState, Reply, SchedContext, Tcb, ThreadState,
};
pub use ptr::{PhysAddr, Ptr};
pub use ranges::Ranges;
pub use slot::Slot;
pub use timer::Timer;

/// Counter ticks, the kernel's unit of time.
pub type Ticks = u64;
