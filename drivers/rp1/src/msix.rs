//! Messages for RP1's interrupts: each source has a vector in the chip's MSI-X table, whose message the MIP block turns into an
//! interrupt of the processor.
//!
//! This is what device trees and drivers say; on the emulated board the messages come whatever these registers hold, so nothing of it
//! has been tested. What firmware leaves of the root complex's inbound window for messages is not known either: use the shared line
//! (INTA) where messages do not come.

use crate::Facts;
use axiom_proto::rp1::Absence;
use bcm2712_pac::rp1::Source;
use bcm2712_pac::soc::mip::{self, MIP0_MESSAGE_ADDRESS, Mip};
use bcm2712_pac::soc::pcie::{self, Pcie};
use bcm2712_pac::{Block, Io};

const BAR0: usize = 0x10;
/// Where RP1's MSI-X capability is in its configuration space, and the identification that tells.
const CAPABILITY: usize = 0xb0;
const CAPABILITY_ID: u32 = 0x11;
const ENABLE: u32 = 1 << 31;
const ALL_MASKED: u32 = 1 << 30;
/// A vector's entry in the table: address, data, mask.
const ENTRY: usize = 16;

/// Where the table is for the processor, if the function has what is expected.
pub fn table<I: Io>(rc: &Block<Pcie, I>, facts: &Facts) -> Result<u64, Absence> {
    let bar0: u32 = rc.read(pcie::ext_cfg(BAR0));
    let (capability, place): (u32, u32) =
        (rc.read(pcie::ext_cfg(CAPABILITY)), rc.read(pcie::ext_cfg(CAPABILITY + 4)));
    // The table is in the BAR that the low three bits name.
    if capability & 0xff != CAPABILITY_ID || place & 7 != 0 {
        return Err(Absence::NotSetUp);
    }
    let bar0 = bar0 & !0xf;
    facts.address(bar0, 4096).map(|at| at + u64::from(place & !7)).ok_or(Absence::NoWindow(bar0))
}

/// Gives every source its message and lets the function send them. `table` is the page that the table begins in, at `offset`.
pub fn enable<R: Io, T: Io, M: Io>(rc: &Block<Pcie, R>, (table, offset): (&T, usize), mip: &Block<Mip, M>) {
    for n in 0..Source::COUNT as usize {
        let words = [MIP0_MESSAGE_ADDRESS as u32, (MIP0_MESSAGE_ADDRESS >> 32) as u32, n as u32, 0];
        for (i, word) in words.into_iter().enumerate() {
            table.write(offset + n * ENTRY + i * 4, word);
        }
    }
    for (low, high, value) in [
        (mip::MASK_LOW, mip::MASK_HIGH, 0),
        (mip::MASK_LOW_VPU, mip::MASK_HIGH_VPU, u32::MAX),
        (mip::CONFIG_LOW, mip::CONFIG_HIGH, u32::MAX),
    ] {
        mip.write(low, value);
        mip.write(high, value);
    }
    let capability: u32 = rc.read(pcie::ext_cfg(CAPABILITY));
    rc.write(pcie::ext_cfg(CAPABILITY), capability & !ALL_MASKED | ENABLE);
}
