//! The system bundle: what compose writes and init reads.
//!
//! The payload, mapped at [`ADDRESS`]: [`MAGIC`], a u32 with the description's length, a u32 zero, the postcard
//! [`System`], then blobs, each on a page boundary. Offsets count from the payload's start.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Where the payload's segment is mapped in init.
pub const ADDRESS: usize = axiom_layout::address::PAYLOAD as usize;
/// The payload's first bytes.
pub const MAGIC: [u8; 16] = *b"AXIOM BUNDLE 1\n\0";

/// A segment of a server's image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// Page-aligned address.
    pub vaddr: u64,
    /// Bytes in memory.
    pub mem_size: u64,
    /// Page-aligned offset of its bytes in the payload.
    pub offset: u64,
    /// Bytes there.
    pub file_size: u64,
    /// May be written.
    pub write: bool,
    /// May be executed.
    pub execute: bool,
}

/// A device that a server gets, by its place in the device tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The server's name for it.
    pub name: String,
    /// The `compatible` string to look for.
    pub compatible: String,
    /// For virtio-mmio: the device type that its DeviceID register must show.
    pub virtio_id: Option<u32>,
    /// Which of several, from 0.
    pub instance: u32,
    /// Whether its interrupts are given too.
    pub interrupts: bool,
    /// For a bridge: whether the addresses behind it (`ranges`) are given as untyped memory, and with its interrupts those of
    /// its pins (`interrupt-map`).
    pub ranges: bool,
    /// For a block that turns messages into interrupts (`msi-ranges`): whether these are given, bound to no notification.
    pub messages: bool,
    /// The system goes on without it.
    pub optional: bool,
    /// For a PCI function: most addresses that its registers take in the server, KiB.
    pub registers_kib: u32,
}

/// What happens when a server crashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Restart {
    /// It stays down.
    #[default]
    Never,
    /// It is started again, always.
    Always,
    /// So many times.
    Max(u32),
}

/// A file that a server gets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BlobRequest {
    /// Its name.
    pub name: String,
    /// Page-aligned offset in the payload.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// What a server may do at another.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The other's index.
    pub at: u16,
    /// By this interface.
    pub interface: u16,
    /// In the interface's own words.
    pub bytes: Vec<u8>,
}

/// What a server owns to serve an interface with.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The interface.
    pub interface: u16,
    /// In its own words.
    pub bytes: Vec<u8>,
}

/// A server.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its image.
    pub segments: Vec<Segment>,
    /// Where it starts.
    pub entry: u64,
    /// Its priority.
    pub priority: u8,
    /// Microseconds per period.
    pub budget_us: u64,
    /// The period.
    pub period_us: u64,
    /// Stack.
    pub stack_kib: u32,
    /// Heap.
    pub heap_kib: u32,
    /// Indices of the servers that it may call.
    pub calls: Vec<u16>,
    /// Indices of the servers whose notification it may signal.
    pub signals: Vec<u16>,
    /// Its devices.
    pub devices: Vec<DeviceRequest>,
    /// Its timers, by name.
    pub timers: Vec<String>,
    /// The interfaces that it serves, as the list that its clients read.
    pub serves: crate::Values,
    /// Memory for its own objects.
    pub untyped_kib: u32,
    /// Memory for devices, physically in a row.
    pub dma_kib: u32,
    /// Memory that it shares with clients, which outlives it.
    pub shared_kib: u32,
    /// Addresses for its own mappings.
    pub scratch_kib: u32,
    /// Gets the Trace capability and the ring.
    pub trace: bool,
    /// Makes threads of its own: gets SchedControl.
    pub makes_threads: bool,
    /// Runs BPF programs on attach points of these kinds: the first parts of their names.
    pub hosts: Vec<String>,
    /// Index of the server that places those programs.
    pub loader: Option<u16>,
    /// May end the run.
    pub ends_run: bool,
    /// Indices of the servers whose threads it may stop and change: those that live when it starts.
    pub debugs: Vec<u16>,
    /// Is told when a peer was restarted.
    pub watches_restarts: bool,
    /// What happens when it crashes.
    pub restart: Restart,
    /// init waits for it before it starts servers of lower priority.
    pub reports_ready: bool,
    /// Its files.
    pub blobs: Vec<BlobRequest>,
    /// Settings.
    pub args: Vec<(String, String)>,
    /// What it may do at others.
    pub grants: Vec<Grant>,
    /// What it owns.
    pub parts: Vec<Part>,
    /// It has outputs that must not stay as they were: before it is given up it lives once more to park them.
    pub parks: bool,
    /// Others hand it capabilities of notifications: it gets what tells these from others.
    pub takes_notifications: bool,
}

impl Server {
    /// Whether it has windows for programs.
    pub fn hosts_bpf(&self) -> bool {
        !self.hosts.is_empty()
    }
}

/// A system.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct System {
    /// Its name.
    pub name: String,
    /// Its board.
    pub board: String,
    /// init prints what the machine says of itself once all servers are ready.
    pub print_facts: bool,
    /// The kernel's debug system calls stay, for every server; otherwise they are unknown system calls.
    pub debug_calls: bool,
    /// Addresses for PCI functions that firmware gave none: the first, and bytes.
    pub pci_window: (u64, u64),
    /// Its servers, in the order of their start.
    pub servers: Vec<Server>,
}
