//! What a PC's firmware or boot loader leaves in memory: PVH's start info, Multiboot2's information, the ACPI tables.
//!
//! All of it is bytes from outside, read through [`Physical`] piece by piece: every length is checked before it is followed, loops are
//! bounded, nothing is assumed to be aligned. What is damaged is a sentence ([`Bad`]).
use core::fmt::{self, Display, Formatter};

pub mod acpi;
pub mod fpu;
pub mod map;
pub mod multiboot;
pub mod speculation;
pub mod start_info;

pub use acpi::Tables;
pub use map::Map;

/// Physical memory.
pub trait Physical {
    /// Copies bytes from an address; false if they are not all within reach.
    fn read(&self, at: u64, bytes: &mut [u8]) -> bool;
}

/// The bytes at an address.
pub fn bytes<const N: usize>(memory: &impl Physical, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    memory.read(at, &mut bytes).then_some(bytes)
}

/// A 32-bit word in a slice; the caller's slice is long enough.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// A 64-bit word in a slice; the caller's slice is long enough.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// The root pointer of the ACPI tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// It lies in memory.
    At(u64),
    /// The boot loader copied it.
    Copied([u8; 36]),
}

/// What the boot loader handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handover {
    /// The first module: start and end.
    pub module: Option<(u64, u64)>,
    /// How many there are.
    pub modules: u32,
    /// The ACPI root pointer, if it is known.
    pub root: Option<Root>,
    /// Where the command line begins; it ends with a zero.
    pub command_line: Option<u64>,
}

/// What is wrong with what was left in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Neither PVH nor Multiboot2: eax, ebx.
    Protocol(u32, u32),
    /// The start info, or something that it names, lies out of reach: what, where.
    Reach(&'static str, u64),
    /// The start info has no memory map: its version.
    NoMap(u32),
    /// Multiboot2's information is damaged at this offset.
    Information(u32),
    /// No RAM in the memory map; its entries.
    NoRam(usize),
    /// More entries than there is room for.
    Entries(usize),
    /// An entry of the memory map goes round the end of the address space: start, size.
    Wraps(u64, u64),
    /// No ACPI root pointer anywhere.
    NoRoot,
    /// A table's checksum is wrong: signature, address.
    Checksum([u8; 4], u64),
    /// A table's length is absurd: signature, address, length.
    Length([u8; 4], u64, u32),
    /// A table that is needed is not there.
    Missing([u8; 4], &'static str),
    /// An entry of the table of interrupt controllers has an impossible length: offset, length.
    Entry(u32, u8),
    /// More I/O APICs than the kernel keeps apart.
    Ioapics(usize),
    /// No module.
    NoModule,
    /// The module has no byte: start, end.
    EmptyModule(u64, u64),
    /// The processor lacks something.
    Processor(&'static str),
    /// There is nothing to measure the clock with.
    Clock(&'static str),
    /// The HPET counts in an impossible period: its address, femtoseconds.
    Period(u64, u64),
    /// A device's registers lie in RAM: which, where.
    InRam(&'static str, u64),
    /// Something was loaded where the memory map has no RAM: what, start, end.
    NotInRam(&'static str, u64, u64),
}

struct Signature([u8; 4]);

impl Display for Signature {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{}", if byte.is_ascii_graphic() { byte as char } else { '?' })?;
        }
        Ok(())
    }
}

impl Display for Bad {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Bad::Protocol(eax, ebx) => write!(
                f,
                "started neither by PVH nor by Multiboot2 (eax {eax:#x}, ebx {ebx:#x}); with QEMU, -kernel; with GRUB, multiboot2"
            ),
            Bad::Reach(what, at) => write!(f, "{what} at {at:#x} lies above 4 GiB, or runs over it: out of reach at boot"),
            Bad::NoMap(version) => {
                write!(f, "the PVH start info (version {version}) has no memory map: version 1 or later has one")
            }
            Bad::Information(offset) => write!(
                f,
                "the Multiboot2 information is damaged at offset {offset:#x}: a tag there is too short, or runs over the end"
            ),
            Bad::NoRam(entries) => write!(f, "no memory: none of the memory map's {entries} entries is RAM (type 1)"),
            Bad::Entries(most) => write!(f, "the memory map has more than {most} entries"),
            Bad::Wraps(start, size) => write!(
                f,
                "the memory map has RAM at {start:#x} of {size:#x} bytes, which is more than an address can name"
            ),
            Bad::NoRoot => f.write_str(
                "no ACPI: the boot loader names no root pointer, and none lies below 1 MiB; the interrupt controller is unknown",
            ),
            Bad::Checksum(table, at) => {
                write!(f, "the ACPI table {} at {at:#x} is damaged: its bytes do not add up to 0", Signature(table))
            }
            Bad::Length(table, at, length) => {
                write!(f, "the ACPI table {} at {at:#x} says that it has {length:#x} bytes", Signature(table))
            }
            Bad::Missing(table, why) => write!(f, "there is no ACPI table {}: {why}", Signature(table)),
            Bad::Entry(offset, length) => write!(
                f,
                "the ACPI table APIC is damaged at offset {offset:#x}: an entry of {length} bytes is too short, or runs over the end"
            ),
            Bad::Ioapics(most) => write!(f, "there are more than {most} I/O APICs"),
            Bad::NoModule => f.write_str(
                "no module: the root task (a bundle or a static ELF) is loaded as one; with QEMU, add -initrd FILE; with GRUB, \
                 module2 FILE",
            ),
            Bad::EmptyModule(start, end) => write!(f, "the module from {start:#x} to {end:#x} has no byte"),
            Bad::Processor(what) => write!(f, "the processor has no {what}, which this kernel needs"),
            Bad::Clock(what) => write!(f, "the clock cannot be measured: {what}"),
            Bad::Period(at, period) => write!(
                f,
                "the HPET at {at:#x} says that it counts every {period} femtoseconds; what exists is between 1,000,000 and 100,000,000"
            ),
            Bad::InRam(what, at) => write!(
                f,
                "ACPI has {what} at {at:#x}, where the memory map has RAM: one of the two is wrong, and writing there would be damage"
            ),
            Bad::NotInRam(what, start, end) => write!(
                f,
                "{what} ({start:#x} to {end:#x}) does not lie in RAM of the memory map, in one piece; load it elsewhere"
            ),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Pieces of memory; all else is out of reach.
    #[derive(Default)]
    pub struct Memory(pub BTreeMap<u64, Vec<u8>>);

    impl Memory {
        pub fn put(&mut self, at: u64, bytes: &[u8]) {
            self.0.insert(at, bytes.to_vec());
        }
    }

    impl Physical for Memory {
        fn read(&self, at: u64, bytes: &mut [u8]) -> bool {
            let Some((start, piece)) = self.0.range(..=at).next_back() else { return false };
            let from = (at - start) as usize;
            match piece.get(from..from.saturating_add(bytes.len())) {
                Some(source) => {
                    bytes.copy_from_slice(source);
                    true
                }
                None => false,
            }
        }
    }

    #[test]
    fn refusals_are_sentences() {
        for (bad, says) in [
            (Bad::Protocol(1, 2), "eax 0x1, ebx 0x2"),
            (Bad::Checksum(*b"AP\0C", 0x1000), "table AP?C at 0x1000 is damaged"),
            (Bad::Entry(0x2c, 1), "offset 0x2c: an entry of 1 bytes"),
            (Bad::NoModule, "add -initrd FILE"),
            (
                Bad::Period(0xfed0_0000, 69_841),
                "the HPET at 0xfed00000 says that it counts every 69841 femtoseconds",
            ),
            (
                Bad::NotInRam("the module", 0x1000, 0x2000),
                "the module (0x1000 to 0x2000) does not lie in RAM",
            ),
        ] {
            let text = std::format!("{bad}");
            assert!(text.contains(says), "{text}");
        }
    }
}
