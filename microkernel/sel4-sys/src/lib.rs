//! The seL4 ABI (16.x, MCS configuration, aarch64 and x86_64) and Axiom's extensions to it, for kernel and user space.
//!
//! Everything here is a number, a layout or a bit field that both sides of the system call must agree on; the
//! source of each is libsel4's interface headers and the seL4 reference manual. The one dependency, axiom-trace,
//! is numbers, too; without the `syscall` feature there is no `unsafe`.
//!
//! Extensions never collide with seL4's numbers: object types start at 32, invocation labels at 1024, and their
//! capabilities are announced in an extra BootInfo chunk ([`ext`]) that an seL4 root task skips by its length.
#![no_std]

pub mod arch;
pub mod bootinfo;
pub mod cap;
pub mod error;
pub mod ext;
pub mod fault;
#[cfg(all(feature = "syscall", not(target_os = "none")))]
pub mod host;
pub mod label;
pub mod message;
pub mod object;
pub mod regs;
#[cfg(feature = "syscall")]
pub mod stubs;
pub mod syscall;

/// The examples of README.md are tests, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use bootinfo::BootInfo;
pub use cap::{Badge, CNodeCapData, CPtr, CapRights};
pub use error::Error;
pub use message::{IpcBuffer, MessageInfo};

/// A machine word of the ABI.
pub type Word = u64;
