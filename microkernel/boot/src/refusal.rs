//! Why boot cannot go on, as a sentence for whoever stands at the serial port.
use crate::elf;
use crate::ranges::{MAX_RANGES, TooManyPieces};
use axiom_fdt::{Bad, Node};
use core::fmt::{self, Display, Formatter};

/// A node's path, cut after [`Name::LENGTH`] bytes: refusals outlive the tree that they are about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; Name::LENGTH],
    length: usize,
}

impl Name {
    /// Bytes that are kept.
    pub const LENGTH: usize = 64;

    /// The path of a node.
    pub fn of(node: &Node<'_>) -> Name {
        let mut name = Name { bytes: [0; Name::LENGTH], length: 0 };
        // Cutting is not an error.
        let _ = node.write_path(&mut name);
        name
    }

    /// Text from the tree; what is not printable ASCII becomes `?`.
    pub fn text(text: &str) -> Name {
        let mut name = Name { bytes: [0; Name::LENGTH], length: 0 };
        let _ = fmt::Write::write_str(&mut name, text);
        name
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(place) = self.bytes.get_mut(self.length) else { return Err(fmt::Error) };
            *place = if byte.is_ascii_graphic() || byte == b' ' { byte } else { b'?' };
            self.length += 1;
        }
        Ok(())
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Always printable ASCII.
        f.write_str(core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("?"))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Why boot cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A rule that needs no number.
    Rule(&'static str),
    /// The device tree cannot be read, or not to its end.
    Tree(Bad),
    /// Memory, or what is left of it, is in too many pieces.
    TooManyPieces,
    /// A node's `reg` is no list of addresses that reach the processor.
    Registers(Name),
    /// A bound of the initial RAM disk is missing: the one that is, and the other.
    NoBound(&'static str, &'static str),
    /// A bound of the initial RAM disk is text.
    TextBound(&'static str, Name),
    /// A bound of the initial RAM disk has that many bytes.
    OddBound(&'static str, usize),
    /// The initial RAM disk has no byte: start, end.
    Empty(u64, u64),
    /// The initial RAM disk lies over something: start, end, what, its start, its end.
    DiskOver(u64, u64, &'static str, u64, u64),
    /// No redistributor has this core's affinity; how many were looked at.
    NoRedistributor(u64, usize),
    /// The interrupt controller has more register blocks than the kernel keeps from being handed out.
    ControllerBlocks(usize),
    /// The root task's ELF file.
    Elf(elf::ElfError),
}

impl Refusal {
    /// A rule that needs no number.
    pub const fn rule(text: &'static str) -> Refusal {
        Refusal::Rule(text)
    }
}

impl From<TooManyPieces> for Refusal {
    fn from(_: TooManyPieces) -> Refusal {
        Refusal::TooManyPieces
    }
}

impl From<Bad> for Refusal {
    fn from(bad: Bad) -> Refusal {
        Refusal::Tree(bad)
    }
}

impl From<elf::ElfError> for Refusal {
    fn from(error: elf::ElfError) -> Refusal {
        Refusal::Elf(error)
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Rule(text) => f.write_str(text),
            Refusal::Tree(Bad::Magic) => f.write_str(
                "no device tree at the address in x0: start the kernel by the arm64 Linux boot protocol",
            ),
            Refusal::Tree(Bad::Header) => f.write_str(
                "the device tree's header names blocks outside of the tree, or its reservation block has no end",
            ),
            Refusal::Tree(Bad::Structure) => write!(
                f,
                "the device tree is damaged, or nested deeper than {}: what it reserves behind that is unknown. Check it with dtc",
                axiom_fdt::MAX_DEPTH
            ),
            Refusal::TooManyPieces => {
                write!(f, "memory, or what the firmware reserves of it, is in more than {MAX_RANGES} pieces")
            }
            Refusal::Registers(node) => write!(
                f,
                "{node}: its reg is not a whole number of addresses and sizes, or a bus above it has no ranges property"
            ),
            Refusal::NoBound(missing, there) => write!(
                f,
                "the initial RAM disk has no {missing}: /chosen has {there} alone; whoever writes one writes both"
            ),
            Refusal::TextBound(bound, text) => write!(
                f,
                "the initial RAM disk's {bound} in /chosen is the text \"{text}\"; it is a number of one or two cells, <0x0 0x48000000>"
            ),
            Refusal::OddBound(bound, bytes) => write!(
                f,
                "the initial RAM disk's {bound} in /chosen has {bytes} bytes; it is a number of one or two cells, 4 or 8 bytes"
            ),
            Refusal::Empty(start, end) => write!(
                f,
                "the initial RAM disk ends ({end:#x}) before it starts ({start:#x}), or has no byte: linux,initrd-end is the first byte behind it"
            ),
            Refusal::DiskOver(start, end, what, from, to) => write!(
                f,
                "the initial RAM disk ({start:#x} to {end:#x}) lies over {what} ({from:#x} to {to:#x}); load it elsewhere"
            ),
            Refusal::NoRedistributor(affinity, seen) => write!(
                f,
                "the GICv3 has no redistributor for this core (affinity {affinity:#x}): none of the {seen} in the device tree's \
                 regions has it, so there would be no timer interrupt"
            ),
            Refusal::ControllerBlocks(most) => write!(
                f,
                "the interrupt controller has more than {most} blocks of registers, and none of them may be handed out"
            ),
            Refusal::Elf(error) => error.fmt(f),
        }
    }
}
