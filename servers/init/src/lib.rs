//! init, the root task: reads the bundle, builds the servers that the manifest names with exactly what it grants, then watches
//! over them. It is every server's fault handler; it restarts a server that crashed as that server's policy says.
//!
//! init runs at the highest priority and only on requests, readiness signals, faults, and restarts and resets that are due; it waits for
//! no device and never calls a server, so nobody can make it wait. Of what servers send it prints the verdict of one that may end the run, and
//! the beginning of the text with which a server panics, once in each life; both as printable ASCII, and no more than a line.
//!
//! What it decides is this library, which tests run on the developer's machine on the kernel's own rules (`tests/`); its stack, heap and
//! first instructions are the program's.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod arch;
pub mod devices;
mod down;
pub mod extra;
pub mod heap;
pub mod memory;
pub mod pci;
mod permanent;
mod rows;
pub mod say;
mod spawn;
pub mod supervise;
pub mod sys;

use crate::extra::Extra;
use crate::supervise::Supervisor;
use axiom_proto::bundle::{ADDRESS, MAGIC, System};
use sel4_sys::bootinfo::BootInfo;
use sel4_sys::cap::init;
use sel4_sys::ext::event;

/// The system of the bundle.
fn payload() -> Result<System, &'static str> {
    let at = ADDRESS as *const u8;
    // SAFETY: `compose` puts the payload's segment at this address in the very file that this code is in; without it,
    // this read faults, and the kernel reports the root task's fault with its address.
    let head = unsafe { core::slice::from_raw_parts(at, 24) };
    if head[..16] != MAGIC {
        return Err(
            "the payload does not begin with the bundle's magic; was it made by another version of compose?",
        );
    }
    let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
    // SAFETY: compose wrote the length of the description that follows, inside the same segment.
    let description = unsafe { core::slice::from_raw_parts(at.add(24), length) };
    postcard::from_bytes(description).map_err(|_| "the bundle's description cannot be decoded")
}

/// Builds and starts the system of the bundle. `own_pages` are those of init's image, before the bundle's. Whatever cannot be done ends the
/// run, with a sentence.
pub fn prepare(info: &BootInfo, extra: &Extra, own_pages: u64) -> Supervisor {
    if let Some(axiom) = &extra.axiom {
        sys::init_debug(sel4_sys::CPtr(axiom.debug_cap));
        sys::trace(sel4_sys::CPtr(axiom.trace_cap), event::BOOT_INIT, 0, Some(init::TCB));
    }
    arch::remember(extra);
    say::choose_token(arch::arguments(extra));
    let system = payload().unwrap_or_else(|reason| say::finish(reason));
    if sys::debug_calls(system.debug_calls).is_err() {
        say::finish("the kernel keeps the debugging calls open")
    }
    let servers = system.servers.len();
    // The machine's own name, where it has one for people: whose board this is, when somebody sends the log.
    let fdt = extra.fdt.and_then(|bytes| axiom_fdt::Fdt::new(bytes).ok());
    let model =
        fdt.as_ref().and_then(|fdt| fdt.at_path("/")?.text("model")).filter(|name| name.contains(' '));
    say!(
        "system '{}' for {}: {servers} server{}{}{}",
        system.name,
        system.board,
        if servers == 1 { "" } else { "s" },
        if model.is_some() { ", on " } else { "" },
        model.unwrap_or("")
    );
    let mut supervisor = Supervisor::new(info, extra, system, own_pages).unwrap_or_else(|error| {
        say!("cannot prepare the system: {}", say::Reason(error));
        say::finish("init could not prepare the system")
    });
    let count = supervisor.count();
    let failed = (0..count).filter(|i| !supervisor.start(*i)).count();
    if failed > 0 {
        say::finish("a server could not be started");
    }
    supervisor
}
