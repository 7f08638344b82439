//! What every server links: entry, typed capabilities, messages, the server loop, the log, time. Nothing here allocates; a server
//! that has time for a heap takes `axiom-heap` besides.
//!
//! A server is `axiom_runtime::entry!(main)` with `fn main(rt: Runtime) -> !`. It sets itself up from [`Runtime::env`], calls
//! [`Runtime::ready`], and ends in [`serve()`]. Single-threaded by design: one thread, one endpoint, one bound notification.
//!
//! On the developer's machine it is there for tests: `axiom-fake-kernel` runs a server on it.
#![cfg_attr(target_os = "none", no_std)]

#[cfg(target_os = "none")]
pub mod arch;
#[cfg(not(target_os = "none"))]
#[path = "host.rs"]
pub mod arch;
pub mod cap;
mod entry;
pub mod ipc;
pub mod log;
pub mod pages;
#[cfg(target_os = "none")]
mod place;
#[cfg(not(target_os = "none"))]
#[path = "host_place.rs"]
mod place;
mod serve;
pub mod time;

pub use axiom_layout::{Bit, Bits, CNODE_BITS, Class, ClientBadge, Note, Signals, form, note};
pub use axiom_proto as proto;
/// Instructions that this program wrote.
pub mod code {
    pub use crate::arch::publish;
}
pub use cap::{
    CNode, Doorbell, Endpoint, Frame, IrqHandler, Notification, PageTable, Probe, Timer, Trace, Untyped,
    VSpace,
};
pub use entry::{Runtime, heap_range, start};
pub use ipc::{Buffer, call, call_with_cap};
pub use pages::{Pages, Slots};
pub use place::Place;
pub use sel4_sys as sel4;
pub use serve::{Incoming, Reply, Service, count_refused, malformed_count, refused_count, serve};

/// Says what the program takes, in its image, where compose reads it: `takes!(include_str!("../takes.toml"))`. What the text may say
/// stands in compose's module `takes`.
#[macro_export]
macro_rules! takes {
    ($text:expr) => {
        const _: () = {
            const TEXT: &str = $text;
            #[used]
            #[unsafe(link_section = ".note.axiom.takes")]
            static NOTE: $crate::Note<{ TEXT.len() }> = $crate::Note::text($crate::note::TAKES, TEXT);
        };
    };
}

/// Defines the program's entry: `entry!(main)` with `fn main(rt: axiom_runtime::Runtime) -> !`.
#[cfg(not(target_os = "none"))]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        /// The program, for its tests.
        pub(crate) const MAIN: fn($crate::Runtime) -> ! = $main;
    };
}

/// Defines the program's entry: `entry!(main)` with `fn main(rt: axiom_runtime::Runtime) -> !`.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        $crate::first_instructions!();
        #[unsafe(no_mangle)]
        extern "C" fn axiom_start(env: *const u8) -> ! {
            let main: fn($crate::Runtime) -> ! = $main;
            // SAFETY: called once, by the first instructions of the program, with what init passed.
            main(unsafe { $crate::start(env) })
        }
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::log::panicked(info)
        }
    };
}
