//! A server's world: what init tells it at its start, in a read-only page at [`ADDRESS`] (also in x0).
//!
//! The page begins with a [`Header`] of plain numbers; a postcard [`Env`] follows it. Its texts and lists are read where they lie, as
//! often as they are needed. The well-known slots of every server's CNode are in [`slot`]; everything else is named in the lists.
//! What an interface alone understands, a client's rights or what its server owns, comes as that interface's bytes.

use crate::List;
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

pub use axiom_layout::{Bit, Bits, Class, ClientBadge, Signals};

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
    /// Bytes of postcard after this header.
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Channel<'a> {
    /// Its name in the manifest.
    pub name: &'a str,
    /// The endpoint.
    pub slot: u64,
    /// The interfaces that it serves.
    #[serde(borrow)]
    pub serves: List<'a, u16>,
}

/// A client: who has which badge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Client<'a> {
    /// Its name in the manifest.
    pub name: &'a str,
    /// Its badge.
    pub badge: ClientBadge,
    /// It may place programs in this server.
    pub loader: bool,
}

/// What the manifest grants a client at this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant<'a> {
    /// The client's badge.
    pub badge: ClientBadge,
    /// By this interface.
    pub interface: u16,
    /// In the interface's own words.
    pub bytes: &'a [u8],
}

/// What the manifest gives this server to serve an interface with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part<'a> {
    /// The interface.
    pub interface: u16,
    /// In its own words.
    pub bytes: &'a [u8],
}

/// Attach points of a server that runs programs, for the one that places them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Host<'a> {
    /// The server's name.
    pub name: &'a str,
    /// The first part of the attach points' names: `gpio`.
    pub kind: &'a str,
    /// The endpoint.
    pub slot: u64,
}

/// An interrupt of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interrupt {
    /// The device's place in the list.
    pub device: u8,
    /// It is that of a bridge's pin (INTA to INTD of PCI).
    pub pin: bool,
    /// Its handler.
    pub slot: u64,
    /// Its bit of the bound notification.
    pub bit: Bit,
    /// The interrupt controller's number for it: on a PC, the I/O APIC's input.
    pub number: u32,
}

/// Addresses behind a bridge, as untyped memory for device frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// The bridge's place in the list of devices.
    pub device: u8,
    /// The capability.
    pub slot: u64,
    /// The first address, as the processor sees it.
    pub base: u64,
    /// Its size, as a power of two.
    pub bits: u8,
}

/// Registers of a PCI function, mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bar {
    /// The function's place in the list of devices.
    pub device: u8,
    /// The BAR.
    pub index: u8,
    /// Where in the BAR this begins, bytes: a BAR in which the table of messages lies, which is init's, is given in pieces.
    pub offset: u64,
    /// Where it is mapped.
    pub registers: Range,
}

/// A device's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Device<'a> {
    /// Its name in the manifest.
    pub name: &'a str,
    /// Its place in the list.
    pub index: u8,
    /// Its registers, mapped; none: this machine does not have it. Those of a PCI function are its configuration space, to read.
    pub registers: Range,
    /// For a block that turns messages into interrupts: the first handler's slot, and how many follow each other; they signal
    /// nobody yet.
    pub messages: (u64, u32),
    /// The slot of a capability to its I/O ports; 0 where it has none.
    pub ports: u64,
}

/// A timer, bound to the server's notification.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Timer<'a> {
    /// Its name, as the server's program declares it.
    pub name: &'a str,
    /// The timer.
    pub slot: u64,
    /// Its bit of the bound notification.
    pub bit: Bit,
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

/// Memory of the server's that it may share with its clients, frame by frame: it outlives the server, with what clients were given of it.
/// It is empty in the first life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shared {
    /// The first frame's capability; the others follow.
    pub slot: u64,
    /// Where they are mapped, in a row.
    pub address: u64,
    /// How many.
    pub pages: u32,
}

/// A file of the bundle, mapped read-only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Blob<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its bytes.
    pub bytes: Range,
}

/// A notification of another server that may be signalled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signal<'a> {
    /// That server's name.
    pub name: &'a str,
    /// The capability.
    pub slot: u64,
}

/// The thread of a server that may be debugged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thread<'a> {
    /// That server's name.
    pub name: &'a str,
    /// The capability. It is gone when that life of the server is.
    pub slot: u64,
}

/// A setting of the manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Setting<'a> {
    /// Its key.
    pub key: &'a str,
    /// Its value.
    pub value: &'a str,
}

/// Everything else.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Env<'a> {
    /// The server's name.
    pub name: &'a str,
    /// Its index in the system.
    pub index: u16,
    /// How often it was restarted.
    pub restarts: u32,
    /// Its budget and period, microseconds; none in the background.
    pub budget_us: Option<(u64, u64)>,
    /// Slots that are free, from here to there.
    pub free_slots: (u64, u64),
    /// Addresses without mappings whose page tables exist, for frames that the server maps itself.
    pub scratch: Range,
    /// Whom it may call.
    #[serde(borrow)]
    pub channels: List<'a, Channel<'a>>,
    /// Who may call it.
    #[serde(borrow)]
    pub clients: List<'a, Client<'a>>,
    /// What they may do here.
    #[serde(borrow)]
    pub grants: List<'a, Grant<'a>>,
    /// What it owns, by interface.
    #[serde(borrow)]
    pub parts: List<'a, Part<'a>>,
    /// Its devices.
    #[serde(borrow)]
    pub devices: List<'a, Device<'a>>,
    /// Their interrupts.
    #[serde(borrow)]
    pub interrupts: List<'a, Interrupt>,
    /// What lies behind bridges.
    #[serde(borrow)]
    pub windows: List<'a, Window>,
    /// Registers of PCI functions.
    #[serde(borrow)]
    pub bars: List<'a, Bar>,
    /// Its timers.
    #[serde(borrow)]
    pub timers: List<'a, Timer<'a>>,
    /// Its memory for objects.
    pub untyped: Option<Untyped>,
    /// Its memory for devices.
    pub dma: Option<Dma>,
    /// Its memory for clients.
    pub shared: Option<Shared>,
    /// Its files.
    #[serde(borrow)]
    pub blobs: List<'a, Blob<'a>>,
    /// Whom it may signal.
    #[serde(borrow)]
    pub signals: List<'a, Signal<'a>>,
    /// Whose threads it may stop and change.
    #[serde(borrow)]
    pub threads: List<'a, Thread<'a>>,
    /// Where it places programs.
    #[serde(borrow)]
    pub hosts: List<'a, Host<'a>>,
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
    #[serde(borrow)]
    pub args: List<'a, Setting<'a>>,
    /// The kernel's debug system calls are there.
    pub debug_calls: bool,
    /// Where to report ready: a notification, or 0.
    pub ready: u64,
}

impl<'a> Env<'a> {
    /// Whether every list can be read to its end.
    pub fn is_whole(&self) -> bool {
        self.channels.is_whole()
            && self.clients.is_whole()
            && self.grants.is_whole()
            && self.parts.is_whole()
            && self.devices.is_whole()
            && self.interrupts.is_whole()
            && self.windows.is_whole()
            && self.bars.is_whole()
            && self.timers.is_whole()
            && self.blobs.is_whole()
            && self.signals.is_whole()
            && self.threads.is_whole()
            && self.hosts.is_whole()
            && self.args.is_whole()
    }

    /// The device of a name, if the manifest names one and the machine has it.
    pub fn device(&self, name: &str) -> Option<Device<'a>> {
        self.devices.iter().find(|d| d.name == name && (d.registers.len > 0 || d.ports != 0))
    }

    /// A device's interrupts; `pin` asks for those of a bridge's pins.
    pub fn interrupts_of(&self, device: &Device<'_>, pin: bool) -> impl Iterator<Item = Interrupt> + use<'a> {
        let index = device.index;
        self.interrupts.iter().filter(move |i| i.device == index && i.pin == pin)
    }

    /// The BARs of a PCI function as far as they are given from their beginning on, by number: address and bytes; nothing where one is not.
    pub fn bars_of(&self, device: &Device<'_>) -> [(u64, u64); 6] {
        let mut ranges = [(0, 0); 6];
        for bar in self.bars.iter().filter(|bar| bar.device == device.index && bar.offset == 0) {
            if let Some(range) = ranges.get_mut(usize::from(bar.index)) {
                *range = (bar.registers.start, bar.registers.len);
            }
        }
        ranges
    }

    /// Whether a device is a PCI function: its registers are then its configuration space.
    pub fn is_function(&self, device: &Device<'_>) -> bool {
        self.bars.iter().any(|bar| bar.device == device.index)
    }

    /// What a client may do here by an interface; `None` for one that is granted nothing.
    pub fn grant<T: Deserialize<'a>>(&self, badge: ClientBadge, interface: u16) -> Option<T> {
        let grant = self.grants.iter().find(|g| g.badge == badge && g.interface == interface)?;
        postcard::from_bytes(grant.bytes).ok()
    }

    /// What this server owns to serve an interface with.
    pub fn part<T: Deserialize<'a>>(&self, interface: u16) -> Option<T> {
        let part = self.parts.iter().find(|p| p.interface == interface)?;
        postcard::from_bytes(part.bytes).ok()
    }
}
