//! RP1, the I/O chip of the Raspberry Pi 5: who may have which of its peripherals.
//!
//! One server owns the way to the chip. A client opens a peripheral page by page ([`Request::Open`]: the answer brings the
//! page's frame, to be mapped as device memory) and gives a notification for its interrupt ([`Request::Interrupt`]: the
//! answer brings a notification that the client signals when it has served the peripheral; until then the interrupt stays
//! masked). The manifest says which server may open what (`rp1 = ["i2c1"]`).

use crate::largest::{Largest, message};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x60;

/// Peripherals that may be opened, by number. `gpio` is bank 0 with its header lines: IO_BANK0 (pages 0 to 3, the last three
/// its atomic XOR, SET and CLEAR views), SYS_RIO0 (4 to 7), PADS0 (8 to 11). `pwm0` and `pwm1` have four pages alike; the others
/// have one.
pub const NAMES: [&str; 26] = [
    "gpio", "pwm0", "pwm1", "i2c0", "i2c1", "i2c2", "i2c3", "i2c4", "i2c5", "i2c6", "spi0", "spi1", "spi2",
    "spi3", "spi4", "spi5", "spi6", "spi7", "spi8", "uart0", "uart1", "uart2", "uart3", "uart4", "uart5",
    "adc",
];

/// A peripheral: its place in [`NAMES`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Peripheral(u8);

impl Largest for Peripheral {
    const LARGEST: usize = u8::LARGEST;
}

impl Peripheral {
    /// By its name.
    pub fn from_name(name: &str) -> Option<Peripheral> {
        NAMES.iter().position(|n| *n == name).map(|i| Peripheral(i as u8))
    }
    /// Its name; `?` for a number that came over the wire and names nothing.
    pub fn name(self) -> &'static str {
        NAMES.get(self.0 as usize).copied().unwrap_or("?")
    }
}

/// The peripherals that a client may open. None by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Grants(u32);

impl Grants {
    /// Adds one.
    pub fn grant(&mut self, peripheral: Peripheral) {
        if (peripheral.0 as usize) < NAMES.len() {
            self.0 |= 1 << peripheral.0;
        }
    }
    /// Whether it may be opened.
    pub fn has(self, peripheral: Peripheral) -> bool {
        (peripheral.0 as usize) < NAMES.len() && self.0 >> peripheral.0 & 1 != 0
    }
    /// All of them.
    pub fn iter(self) -> impl Iterator<Item = Peripheral> {
        (0..NAMES.len() as u8).map(Peripheral).filter(move |p| self.has(*p))
    }
}

message! {
    /// A request to RP1's server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request {
        /// What is there. Answered by [`Reply::Chip`].
        Chip,
        /// A page of a peripheral's registers, from 0. Answered by [`Reply::Page`] with the frame's capability.
        Open {
            /// Which.
            peripheral: Peripheral,
            /// Which page of it.
            page: u8,
        },
        /// From now on the peripheral's interrupt signals the notification that comes along. Answered by [`Reply::Interrupt`]
        /// with a notification to signal after service, or by [`Reply::Handler`] with the interrupt itself. Asked again, the new notification takes the old one's place.
        Interrupt(Peripheral),
    }
}

message! {
    /// Why RP1 is not there.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Absence {
        /// The device tree names no PCIe root complex for it.
        NoRootComplex,
        /// The root complex is not in root mode: firmware did not set it up.
        NotSetUp,
        /// The PCIe link is down.
        LinkDown,
        /// Another device answers behind the link: vendor and device as configuration space gives them.
        OtherDevice(u32),
        /// No outbound window of the root complex covers its peripherals at this PCI address.
        NoWindow(u32),
        /// The window lies where the device tree gives this server nothing.
        Elsewhere(u64),
        /// The window is there, but what answers in it is not RP1: what its identification read as.
        NotRp1(u32),
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Absence::NoRootComplex => f.write_str("the device tree names no PCIe root complex for RP1"),
            Absence::NotSetUp => {
                f.write_str("the PCIe root complex is not set up: does config.txt say pciex4_reset=0?")
            }
            Absence::LinkDown => {
                f.write_str("the PCIe link to RP1 is down: does config.txt say pciex4_reset=0?")
            }
            Absence::OtherDevice(id) => {
                write!(f, "the device behind the PCIe link is {:04x}:{:04x}, not RP1", id & 0xffff, id >> 16)
            }
            Absence::NoWindow(bar) => {
                write!(
                    f,
                    "no outbound window of the root complex covers RP1's peripherals at PCI address {bar:#x}"
                )
            }
            Absence::Elsewhere(at) => {
                write!(f, "RP1's peripherals are at {at:#x}, outside the windows that the device tree names")
            }
            Absence::NotRp1(id) => write!(f, "what answers in RP1's window identifies itself as {id:#010x}"),
        }
    }
}

message! {
    /// Why a request was not done.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Refusal {
        /// RP1 is not there.
        Absent(Absence),
        /// The manifest does not grant the peripheral to this client.
        NotGranted,
        /// The peripheral has no such page.
        NoSuchPage,
        /// The peripheral has no interrupt, or the machine has no way for it.
        NoInterrupt,
        /// No capability came along.
        NoCapability,
        /// The server has no room for more.
        Full,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Absent(absence) => return absence.fmt(f),
            Refusal::NotGranted => "the manifest does not grant it (rp1 = [...] of this server)",
            Refusal::NoSuchPage => "it has no such page",
            Refusal::NoInterrupt => "it has no interrupt, or none reaches the processor",
            Refusal::NoCapability => "no notification came along",
            Refusal::Full => "RP1's server has no room for more",
        })
    }
}

message! {
    /// How interrupts of the chip reach the processor.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum InterruptPath {
        /// Not at all.
        None,
        /// All over one line: INTA, level-triggered.
        IntA,
        /// Each over its own message.
        Msi,
    }
}

message! {
    /// An answer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply {
        /// The chip.
        Chip {
            /// CHIP_ID of its SYSINFO block.
            id: u32,
            /// Where its peripherals begin for the processor.
            base: u64,
            /// How its interrupts come.
            interrupts: InterruptPath,
        },
        /// A page, whose frame comes along.
        Page {
            /// Pages of the peripheral.
            pages: u8,
        },
        /// The notification to signal after service comes along.
        Interrupt,
        /// The handler of an interrupt of the peripheral's own comes along: it is an edge, so whoever serves the peripheral leaves
        /// its line low before acknowledging. The client binds its notification itself.
        Handler,
        /// Not done.
        Refused(Refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn grants_hold_what_was_granted_and_nothing_else() {
        let mut grants = Grants::default();
        let i2c1 = Peripheral::from_name("i2c1").unwrap();
        grants.grant(i2c1);
        grants.grant(Peripheral(26));
        grants.grant(Peripheral(255));
        assert_eq!(grants.iter().map(Peripheral::name).collect::<std::vec::Vec<_>>(), ["i2c1"]);
        assert!(!grants.has(Peripheral(255)) && !grants.has(Peripheral(36)));
        assert_eq!(Peripheral(255).name(), "?");
        assert_eq!(Peripheral::from_name("i2c7"), None);
    }

    #[test]
    fn an_absence_is_a_sentence_with_its_numbers() {
        assert_eq!(
            Refusal::Absent(Absence::OtherDevice(0x0001_1de5)).to_string(),
            "the device behind the PCIe link is 1de5:0001, not RP1"
        );
    }
}
