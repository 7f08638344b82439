//! PCI configuration space, as far as somebody needs it who finds a function, gives its registers to a driver and routes its messages:
//! identity, BARs, capabilities, MSI-X, the bus master bit, resets, and a walk over the buses.
//!
//! Source: PCI Local Bus 3.0 (chapter 6), PCI Express Base 3.0 (7.5, 7.7). Two rights, two traits: [`Config`] reads, which changes nothing
//! in any function, so that a driver may have its own function's space to read; [`ConfigMut`] writes, which is power over every BAR and
//! over bus mastering, and therefore over all memory.
//!
//! What a function says of itself is a claim: lists of capabilities end after as many as there is room for, sizes that are no power of two
//! are no BAR, a table that lies outside its BAR is no table.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_mmio::Io;
use core::ptr::NonNull;

mod bars;
mod msix;
mod reset;
mod walk;

pub use bars::{BARS, Bar, Window, assign, bars, bases};
pub use msix::{Entry, MsiX};
pub use reset::{Reset, holds, restore};
pub use walk::{Found, MOST_DEPTH, Place, walk};

/// Bytes of a function's configuration space, a page of the memory-mapped one (ECAM).
pub const CONFIG_BYTES: u64 = 4096;
/// Capabilities that the first 256 bytes have room for.
const MOST_CAPABILITIES: usize = 48;

/// Registers' offsets.
mod at {
    pub const ID: u16 = 0x00;
    pub const COMMAND: u16 = 0x04;
    pub const CLASS: u16 = 0x08;
    pub const HEADER: u16 = 0x0c;
    pub const BARS: u16 = 0x10;
    pub const BUSES: u16 = 0x18;
    pub const CAPABILITIES: u16 = 0x34;
}

/// Answers to accesses to memory.
const MEMORY: u32 = 1 << 1;
/// Answers to accesses to ports.
const PORTS: u32 = 1 << 0;
/// Makes accesses of its own.
const MASTER: u32 = 1 << 2;
/// In the status register, which is the upper half of the command register's word.
const HAS_CAPABILITIES: u32 = 1 << (16 + 4);

/// A function's configuration space, to read.
pub trait Config {
    /// The 32 bits at an offset, a multiple of 4.
    fn read(&self, offset: u16) -> u32;
}

/// A function's configuration space, to write.
pub trait ConfigMut: Config {
    /// Writes the 32 bits at an offset, a multiple of 4.
    fn write(&mut self, offset: u16, value: u32);
}

/// The MSI-X capability's number.
pub const MSIX: u8 = 0x11;
/// Vendor-specific capabilities: virtio's are such.
pub const VENDOR: u8 = 0x09;

/// Configuration space that is mapped.
pub struct Mmio(axiom_mmio::Mmio);

impl Mmio {
    /// # Safety
    /// `page` is where a function's configuration space is mapped ([`CONFIG_BYTES`] bytes, uncached), for as long as this lives; if
    /// [`ConfigMut::write`] is called, it is mapped writable.
    pub unsafe fn new(page: *mut u32) -> Mmio {
        // SAFETY: the caller's promise, by which nothing is mapped at 0 either.
        Mmio(unsafe { axiom_mmio::Mmio::new(NonNull::new_unchecked(page)) })
    }
}

impl Config for Mmio {
    fn read(&self, offset: u16) -> u32 {
        debug_assert!(offset.is_multiple_of(4) && u64::from(offset) < CONFIG_BYTES);
        self.0.read(usize::from(offset & 0xffc))
    }
}

impl ConfigMut for Mmio {
    fn write(&mut self, offset: u16, value: u32) {
        debug_assert!(offset.is_multiple_of(4) && u64::from(offset) < CONFIG_BYTES);
        self.0.write(usize::from(offset & 0xffc), value);
    }
}

/// Who a function is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Its vendor.
    pub vendor: u16,
    /// Its number at that vendor.
    pub device: u16,
    /// Base class, subclass and interface.
    pub class: u32,
    /// The layout of its header: 0 for a device, 1 for a bridge.
    pub layout: u8,
    /// Its device has more functions.
    pub several: bool,
}

impl Identity {
    /// What is there; none where nobody answers.
    pub fn of(config: &impl Config) -> Option<Identity> {
        let id = config.read(at::ID);
        let header = (config.read(at::HEADER) >> 16) as u8;
        (id as u16 != u16::MAX).then(|| Identity {
            vendor: id as u16,
            device: (id >> 16) as u16,
            class: config.read(at::CLASS) >> 8,
            layout: header & 0x7f,
            several: header & 0x80 != 0,
        })
    }

    /// Whether this is what a device tree calls `pciVVVV,DDDD` (IEEE 1275's binding to PCI).
    pub fn is_compatible(&self, name: &str) -> bool {
        parse(name) == Some((self.vendor, self.device))
    }
}

/// Vendor and device of a name `pciVVVV,DDDD`: hexadecimal, lower case, without leading zeroes, so that each function has one name.
pub fn parse(name: &str) -> Option<(u16, u16)> {
    let (vendor, device) = name.strip_prefix("pci")?.split_once(',')?;
    let number = |text: &str| {
        let fits = (1..=4).contains(&text.len());
        let plain = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && (text.len() == 1 || !text.starts_with('0'));
        u16::from_str_radix(text, 16).ok().filter(|_| fits && plain)
    };
    Some((number(vendor)?, number(device)?))
}

/// A function's capabilities: number and offset. A list that leads in a circle ends.
pub fn capabilities<C: Config>(config: &C) -> impl Iterator<Item = (u8, u16)> + '_ {
    let first = match config.read(at::COMMAND) & HAS_CAPABILITIES {
        0 => 0,
        _ => config.read(at::CAPABILITIES) as u8,
    };
    let mut next = first;
    (0..MOST_CAPABILITIES).map_while(move |_| {
        let offset = next & 0xfc;
        if offset < 0x40 {
            return None;
        }
        let head = config.read(offset.into());
        next = (head >> 8) as u8;
        Some((head as u8, offset.into()))
    })
}

/// The 32 bits of a capability at a byte offset of it; zeroes beyond the first 256 bytes.
pub fn field(config: &impl Config, capability: u16, offset: u16) -> u32 {
    match capability + offset {
        at @ ..0x100 => config.read(at & 0xfc),
        _ => 0,
    }
}

/// Lets a function answer to accesses to its memory, and not to those to ports.
pub fn enable_memory(config: &mut impl ConfigMut) {
    // The upper half is status: its bits are cleared by ones.
    let command = config.read(at::COMMAND) & 0xffff & !PORTS;
    config.write(at::COMMAND, command | MEMORY);
}

/// Lets a function make accesses of its own, to all of memory where nothing stands between; or not.
pub fn set_master(config: &mut impl ConfigMut, on: bool) {
    let command = config.read(at::COMMAND) & 0xffff & !MASTER;
    config.write(at::COMMAND, if on { command | MASTER } else { command });
}

/// Lets a bridge pass on accesses, in both directions.
pub fn enable_bridge(config: &mut impl ConfigMut) {
    let command = config.read(at::COMMAND) & 0xffff;
    config.write(at::COMMAND, command | MEMORY | MASTER);
}

/// Whether a function makes accesses of its own.
pub fn is_master(config: &impl Config) -> bool {
    config.read(at::COMMAND) & MASTER != 0
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
