//! Where RP1's peripherals are, read from the root complex alone. An access to a window whose link is down may abort, and one to
//! another function's configuration space too, so the order matters: the root complex's own status first, configuration
//! space only over a live link, the window only when every step on the way to it is open.

use axiom_proto::rp1::Absence;
use bcm2712_pac::rp1::{BAR1_BYTES, PCI_ID};
use bcm2712_pac::soc::pcie::{
    self, EXT_CFG_INDEX, ExtCfgIndex, Pcie, STATUS, Status, WINDOWS, win_base_hi, win_base_limit, win_hi,
    win_limit_hi, win_lo,
};
use bcm2712_pac::{Block, Io, ReadOnly, Register};

/// Bus number of the only device behind the root port, as firmware and operating systems number it.
const BUS: u32 = 1;
const COMMAND: usize = 0x04;
const COMMAND_MEMORY: u32 = 1 << 1;
const BAR1: usize = 0x14;
/// Of a bridge: first and last megabyte that it passes on.
const MEMORY_WINDOW: usize = 0x20;
/// What reads over a dead link give on some implementations.
const DEAD: [u32; 2] = [0xdead_dead, u32::MAX];

/// An outbound window of the root complex.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Window {
    /// Its first PCI address.
    pub pci: u64,
    /// Its first address for the processor.
    pub start: u64,
    /// Its last address for the processor.
    pub last: u64,
}

/// What the root complex's registers say; for the log, since a board's owner may be asked for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// The status register.
    pub status: u32,
    /// The windows that are open.
    pub windows: [Option<Window>; WINDOWS],
    /// PCI vendor and device behind the link.
    pub id: u32,
    /// PCI address of the peripherals.
    pub bar1: u32,
}

/// The root port's own configuration space, at the root complex's start.
const fn port(offset: usize) -> Register<Pcie, u32, ReadOnly> {
    Register::at(offset)
}

/// Where RP1's peripherals are for the processor, or why they are not there; and what was read, as far as that went.
pub fn find<I: Io>(rc: &Block<Pcie, I>) -> (Facts, Result<u64, Absence>) {
    let mut facts = Facts::default();
    let found = look(rc, &mut facts);
    (facts, found)
}

fn look<I: Io>(rc: &Block<Pcie, I>, facts: &mut Facts) -> Result<u64, Absence> {
    let status: Status = rc.read(STATUS);
    facts.status = status.0;
    // A root complex that is held in reset reads as all ones or as zeros.
    if status.0 == u32::MAX || !status.root_mode() {
        return Err(Absence::NotSetUp);
    }
    if !status.data_link_active() || !status.phy_up() {
        return Err(Absence::LinkDown);
    }
    for (i, window) in facts.windows.iter_mut().enumerate() {
        *window = read_window(rc, i);
    }
    rc.write(EXT_CFG_INDEX, ExtCfgIndex(0).with_bus(BUS));
    facts.id = rc.read(pcie::ext_cfg(0));
    if DEAD.contains(&facts.id) {
        return Err(Absence::LinkDown);
    }
    if facts.id != PCI_ID {
        return Err(Absence::OtherDevice(facts.id));
    }
    let bar1: u32 = rc.read(pcie::ext_cfg(BAR1));
    facts.bar1 = bar1 & !0xf;
    let commands: [u32; 2] = [rc.read(port(COMMAND)), rc.read(pcie::ext_cfg(COMMAND))];
    if commands.iter().any(|c| c & COMMAND_MEMORY == 0) {
        return Err(Absence::NotSetUp);
    }
    let (first, last) = (u64::from(facts.bar1), u64::from(facts.bar1) + BAR1_BYTES - 1);
    let passed: u32 = rc.read(port(MEMORY_WINDOW));
    let passes_first = u64::from(passed & 0xfff0) << 16;
    let passes_last = u64::from(passed & 0xfff0_0000) | 0xf_ffff;
    if first < passes_first || last > passes_last {
        return Err(Absence::NoWindow(facts.bar1));
    }
    facts.address(facts.bar1, BAR1_BYTES).ok_or(Absence::NoWindow(facts.bar1))
}

impl Facts {
    /// Where the processor sees so many bytes at a PCI address.
    pub fn address(&self, pci: u32, bytes: u64) -> Option<u64> {
        let (first, last) = (u64::from(pci), u64::from(pci) + bytes - 1);
        let covers = |w: &&Window| first >= w.pci && last - w.pci <= w.last - w.start;
        let window = self.windows.iter().flatten().find(covers)?;
        Some(window.start + (first - window.pci))
    }
}

fn read_window<I: Io>(rc: &Block<Pcie, I>, i: usize) -> Option<Window> {
    let (lo, hi): (u32, u32) = (rc.read(win_lo(i)), rc.read(win_hi(i)));
    let low = rc.read(win_base_limit(i));
    let (base_hi, limit_hi): (u32, u32) = (rc.read(win_base_hi(i)), rc.read(win_limit_hi(i)));
    if low.0 == 0 && base_hi == 0 && limit_hi == 0 {
        return None;
    }
    let at = |high: u32, megabytes: u32| u64::from(high & 0xff) << 32 | u64::from(megabytes) << 20;
    let (start, last) = (at(base_hi, low.base()), at(limit_hi, low.limit()) | 0xf_ffff);
    (start <= last).then_some(Window { pci: u64::from(hi) << 32 | u64::from(lo), start, last })
}

/// Whether that is RP1's CHIP_ID, of whatever stepping.
pub fn chip(id: u32) -> Result<u32, Absence> {
    use bcm2712_pac::rp1::sysinfo::CHIP_ID_C0;
    const STEPPING: u32 = 0xf000_0000;
    if id & !STEPPING == CHIP_ID_C0 & !STEPPING { Ok(id) } else { Err(Absence::NotRp1(id)) }
}
