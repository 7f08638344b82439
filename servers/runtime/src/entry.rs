//! The first code of a server: it reads what init says about the server's world, and looks things up in it by name.

use crate::{Place, ipc, log};
use axiom_mmio::Mmio;
use axiom_proto::env::{Bit, ClientBadge, Env, Header, MAGIC, slot};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use sel4_sys::{CPtr, stubs};

/// A server's world.
#[derive(Clone, Copy)]
pub struct Runtime {
    env: &'static Env<'static>,
}

static ENV: Place<Env<'static>> = Place::new();
static HEAP: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];

/// Memory for a heap: its first address and bytes, as the manifest gives them (`heap_kib`). For whoever makes the heap.
pub fn heap_range() -> (usize, usize) {
    (HEAP[0].load(Ordering::Relaxed), HEAP[1].load(Ordering::Relaxed))
}

/// Sets the runtime up. Used by [`crate::entry!`].
///
/// # Safety
/// Called once, before anything else, with the address of the environment page.
pub unsafe fn start(page: *const u8) -> Runtime {
    // SAFETY: init has mapped the page and filled its header; it is aligned to a page.
    let header = unsafe { page.cast::<Header>().read() };
    if header.magic != MAGIC {
        // Nobody is known to tell it to: the fault says it to init.
        log::die();
    }
    // SAFETY: init gave this page to this server alone; once.
    unsafe { ipc::init(header.ipc_buffer as *mut _) };
    HEAP[0].store(header.heap as usize, Ordering::Relaxed);
    HEAP[1].store(header.heap_len as usize, Ordering::Relaxed);
    // SAFETY: the description follows the header in pages that stay mapped and never change.
    let bytes =
        unsafe { core::slice::from_raw_parts(page.add(size_of::<Header>()), header.env_len as usize) };
    let env: Env<'static> = match axiom_proto::wire::decode_plain(bytes) {
        Ok(env) => env,
        Err(_) => panic!("the environment page cannot be read"),
    };
    assert!(env.is_whole(), "a list of the environment page cannot be read");
    let env: &'static Env<'static> = ENV.put(|| env);
    log::init(env);
    crate::time::init(env.counter_frequency);
    ipc::receive_into(CPtr(slot::RECEIVED));
    Runtime { env }
}

impl Runtime {
    /// What init said about this server's world.
    pub fn env(&self) -> &'static Env<'static> {
        self.env
    }

    /// The server of this name, if the manifest lets this one call it.
    pub fn channel(&self, name: &str) -> Option<crate::Endpoint> {
        let found = self.env.channels.iter().find(|c| c.name == name);
        found.map(|c| crate::Endpoint(CPtr(c.slot)))
    }

    /// A server that serves an interface, if the manifest lets this one call it: whatever its name is.
    pub fn serving(&self, interface: u16) -> Option<crate::Endpoint> {
        let found = self.env.channels.iter().find(|c| c.serves.iter().any(|i| i == interface));
        found.map(|c| crate::Endpoint(CPtr(c.slot)))
    }

    /// The name of the client with this badge.
    pub fn client(&self, badge: ClientBadge) -> &'static str {
        self.env.clients.iter().find(|c| c.badge == badge).map_or("?", |c| c.name)
    }

    /// A setting of the manifest.
    pub fn arg(&self, name: &str) -> Option<&'static str> {
        self.env.args.iter().find(|s| s.key == name).map(|s| s.value)
    }

    /// A number among the settings.
    pub fn arg_number(&self, name: &str) -> Option<u64> {
        self.arg(name).and_then(axiom_layout::form::number)
    }

    /// The bytes of a file of the bundle.
    pub fn blob(&self, name: &str) -> Option<&'static [u8]> {
        let blob = self.env.blobs.iter().find(|b| b.name == name)?;
        // SAFETY: init has mapped the file read-only for this server's life.
        Some(unsafe { core::slice::from_raw_parts(blob.bytes.start as *const u8, blob.bytes.len as usize) })
    }

    /// Another server's notification, to signal.
    pub fn signal_to(&self, name: &str) -> Option<crate::Notification> {
        let found = self.env.signals.iter().find(|s| s.name == name);
        found.map(|s| crate::Notification(CPtr(s.slot)))
    }

    /// The thread of a server that this one may debug, if that lived when this one started.
    pub fn thread_of(&self, name: &str) -> Option<crate::cap::Tcb> {
        let found = self.env.threads.iter().find(|t| t.name == name);
        found.map(|t| crate::cap::Tcb(CPtr(t.slot)))
    }

    /// The timer of a name that this server's program declares, with its bit.
    pub fn timer(&self, name: &str) -> Option<(crate::Timer, Bit)> {
        let found = self.env.timers.iter().find(|t| t.name == name);
        found.map(|t| (crate::Timer(CPtr(t.slot)), t.bit))
    }

    /// The timer of one of several things of a kind: `sensor/lm75`.
    pub fn timer_of(&self, kind: &str, thing: &str) -> Option<(crate::Timer, Bit)> {
        let found = self.env.timers.iter().find(|t| t.name.split_once('/') == Some((kind, thing)));
        found.map(|t| (crate::Timer(CPtr(t.slot)), t.bit))
    }

    /// All timers of a kind.
    pub fn timers_of(&self, kind: &'static str) -> impl Iterator<Item = (crate::Timer, Bit)> {
        let timers =
            self.env.timers.iter().filter(move |t| t.name.split_once('/').is_some_and(|(k, _)| k == kind));
        timers.map(|t| (crate::Timer(CPtr(t.slot)), t.bit))
    }

    /// What tells notifications from other capabilities.
    pub fn probe(&self) -> Option<crate::cap::Probe> {
        let timer = crate::Timer(CPtr(self.env.probe));
        (self.env.probe != 0).then(|| crate::cap::Probe::new(timer))
    }

    /// The Trace capability, if granted.
    pub fn trace(&self) -> Option<crate::Trace> {
        (self.env.trace != 0).then_some(crate::Trace(CPtr(self.env.trace)))
    }

    /// The registers of the device of a name, if the manifest names one, the machine has it, and it has so many bytes of them.
    pub fn registers(&self, name: &str, bytes: u64) -> Option<Mmio> {
        let mapped = self.env.device(name)?.registers;
        if mapped.len < bytes {
            return None;
        }
        let start = NonNull::new(mapped.start as *mut u32)?;
        // SAFETY: init mapped the device's registers, as many as are used, as device memory for this server alone, for its life.
        Some(unsafe { Mmio::new(start) })
    }

    /// Tells init that this server is ready to be called.
    pub fn ready(&self) {
        if self.env.ready != 0 {
            stubs::signal(CPtr(self.env.ready));
        }
    }
}
