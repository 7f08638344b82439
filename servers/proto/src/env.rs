//! A server's world: what init tells it at its start, in a read-only page at [`ADDRESS`] (also in x0).
//!
//! The page begins with a [`Header`] of plain numbers, which is enough to set up the heap; a postcard [`Env`] follows it.
//! The well-known slots of every server's CNode are in [`slot`]; everything else is named in the lists.

use crate::gpio::{Grants, Motor, ProgramGrants};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Where the page is.
pub const ADDRESS: usize = axiom_layout::address::ENVIRONMENT as usize;
/// Pages of it at most.
pub const MAX_PAGES: usize = 2;
/// First word of the page.
pub const MAGIC: u64 = u64::from_le_bytes(*b"AXIOMENV");

/// Well-known slots of a server's CNode. A capability pointer is the slot's number.
#[allow(missing_docs)]
pub mod slot {
    pub const TCB: u64 = 1;
    pub const CNODE: u64 = 2;
    pub const VSPACE: u64 = 3;
    pub const REPLY: u64 = 4;
    /// The endpoint on which the server receives.
    pub const ENDPOINT: u64 = 5;
    /// The notification bound to the server's thread.
    pub const NOTIFICATION: u64 = 6;
    pub const SCHED_CONTEXT: u64 = 7;
    /// Where a capability that comes with a message lands.
    pub const RECEIVED: u64 = 8;
    /// SchedControl, for servers whose manifest says that they make threads.
    pub const SCHED_CONTROL: u64 = 9;
    /// The first slot that lists name.
    pub const FIRST: u64 = 16;
}

pub use axiom_layout::bits::{Bits, NOTIFIED, OWN as OWN_BITS, PEER_RESTARTED};

/// The page's start.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// Address of the IPC buffer.
    pub ipc_buffer: u64,
    /// The heap.
    pub heap: u64,
    /// Bytes of it.
    pub heap_len: u64,
    /// Bytes of postcard behind this header.
    pub env_len: u64,
}

/// A range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub len: u64,
}

/// A server that may be called.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Channel {
    /// Its name in the manifest.
    pub name: String,
    /// The endpoint.
    pub slot: u64,
}

/// A client: who has which badge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Client {
    /// Its name in the manifest.
    pub name: String,
    /// Its badge.
    pub badge: u64,
    /// What it may do with this server's lines and channels.
    pub grants: Grants,
    /// What it may open of the chip behind this server's bridge.
    pub rp1: crate::rp1::Grants,
    /// Sensors of this server that it may start, stop and read out.
    pub iio: Vec<String>,
    /// It may place programs in this server.
    pub loader: bool,
}

/// A server that runs programs, for the one that places them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// The first parts of the attach points that it serves: `gpio`, `pwm`.
    pub kinds: Vec<String>,
    /// The endpoint.
    pub slot: u64,
}

/// An interrupt of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interrupt {
    /// Its handler.
    pub slot: u64,
    /// Its bit in the bound notification's badge.
    pub bit: u8,
}

/// Addresses behind a bridge, as untyped memory for device frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The capability.
    pub slot: u64,
    /// The first address, as the processor sees it.
    pub base: u64,
    /// Its size, as a power of two.
    pub bits: u8,
}

/// A device's registers and interrupts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Device {
    /// Its name in the manifest.
    pub name: String,
    /// Its registers, mapped.
    pub registers: Range,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
    /// For a bridge: the addresses behind it.
    pub windows: Vec<Window>,
    /// For a bridge: the interrupts of its pins (INTA to INTD of PCI).
    pub pins: Vec<Interrupt>,
    /// For a block that turns messages into interrupts: the first handler's slot, and how many follow each other; they signal
    /// nobody yet.
    pub messages: (u64, u32),
    /// The slot of a capability to its I/O ports; 0 where it has none.
    pub ports: u64,
}

/// A timer, bound to the server's notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timer {
    /// The timer.
    pub slot: u64,
    /// Its bit in the bound notification's badge.
    pub bit: u8,
}

/// Untyped memory of the server's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Untyped {
    /// The capability.
    pub slot: u64,
    /// Its size, as a power of two.
    pub bits: u8,
}

/// Memory for devices: physically in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dma {
    /// Where it is mapped.
    pub virt: u64,
    /// Where devices see it.
    pub phys: u64,
    /// Bytes.
    pub len: u64,
}

/// A file of the bundle, mapped read-only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Blob {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Range,
}

/// A notification of another server that may be signalled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signal {
    /// That server's name.
    pub name: String,
    /// The capability.
    pub slot: u64,
}

/// Everything else.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Env {
    /// The server's name.
    pub name: String,
    /// Its index in the system.
    pub index: u16,
    /// How often it was restarted.
    pub restarts: u32,
    /// Its budget and period, microseconds; none in the background.
    pub budget_us: Option<(u64, u64)>,
    /// Slots that are free, from here to there.
    pub free_slots: (u64, u64),
    /// Bits of the CNode.
    pub cnode_bits: u8,
    /// Addresses without mappings whose page tables exist, for frames that the server maps itself.
    pub scratch: Range,
    /// Whom it may call.
    pub channels: Vec<Channel>,
    /// Who may call it.
    pub clients: Vec<Client>,
    /// Its devices.
    pub devices: Vec<Device>,
    /// Its timers.
    pub timers: Vec<Timer>,
    /// Its memory for objects.
    pub untyped: Vec<Untyped>,
    /// Its memory for devices.
    pub dma: Option<Dma>,
    /// Its files.
    pub blobs: Vec<Blob>,
    /// Whom it may signal.
    pub signals: Vec<Signal>,
    /// Where it places programs.
    pub hosts: Vec<Host>,
    /// A timer that tells capabilities of notifications from others: only a notification can be bound to it. Or 0.
    pub probe: u64,
    /// This is the last life of the server: its restarts are used up, and another crash leaves it down. What drives outputs parks
    /// them and drives nothing more.
    pub last_life: bool,
    /// The Trace capability, or 0.
    pub trace: u64,
    /// The trace ring, mapped read-only, or nothing.
    pub trace_ring: Range,
    /// Hertz of the counter.
    pub counter_frequency: u64,
    /// Settings from the manifest.
    pub args: Vec<(String, String)>,
    /// Memory figures for the report, where the manifest grants trace: (what, bytes).
    pub memory: Vec<(String, u64)>,
    /// GPIO chips by number, for their owner and for who loads programs that may use them.
    pub gpio_chips: Vec<String>,
    /// PWM chips by number, as above.
    pub pwm_chips: Vec<String>,
    /// The rights of programs among its files.
    pub programs: Vec<ProgramGrants>,
    /// Motors, for the owner of the chips.
    pub motors: Vec<Motor>,
    /// The kernel's debug system calls are there.
    pub debug_calls: bool,
    /// Where to report ready: a notification, or 0.
    pub ready: u64,
}
