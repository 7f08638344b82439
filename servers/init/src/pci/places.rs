//! What lies where: the addresses that no BAR of a function may cover, and whether one does.
//!
//! Firmware has placed the BARs, or nobody has: either may be wrong. Whoever gets the pages of a BAR gets whatever is at those addresses. So
//! each of these pages must be registers that the kernel offers, and nobody else's: not RAM, not configuration space, not a device whose
//! place init knows, not another BAR of this function or of another. A function that nobody asked for was not measured; of each of its BARs
//! the first page counts.
use alloc::vec::Vec;
use axiom_pci::{Bar, Place};
use core::fmt;

const PAGE: u64 = 4096;

/// Addresses, first and end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub end: u64,
}

impl Span {
    /// The pages that some bytes are on. What a device claims may be any number.
    pub fn pages(from: u64, bytes: u64) -> Span {
        let end = from.saturating_add(bytes.max(1)).checked_next_multiple_of(PAGE);
        Span { from: from & !(PAGE - 1), end: end.unwrap_or(!(PAGE - 1)) }
    }

    /// The pages of a BAR.
    pub fn of(bar: &Bar) -> Span {
        Span::pages(bar.base, bar.size)
    }

    /// Whether they have an address in common.
    pub fn meets(self, other: Span) -> bool {
        self.from.max(other.from) < self.end.min(other.end)
    }

    /// Bytes.
    pub fn bytes(self) -> u64 {
        self.end.saturating_sub(self.from)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x} to {:#x}", self.from, self.end.saturating_sub(1))
    }
}

/// What is somewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// Memory.
    Ram,
    /// Neither memory nor registers that the kernel offers: its own devices, its own memory, or nothing.
    Kernels,
    /// PCI configuration space.
    Config,
    /// A device that every machine of this architecture may have.
    Device(&'static str),
    /// A BAR of a function: measured.
    Bar(Place, u8),
    /// Registers of a function that nobody has measured.
    Somewhere(Place),
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Ram => f.write_str("RAM"),
            What::Kernels => f.write_str("what the kernel keeps for itself"),
            What::Config => f.write_str("PCI configuration space"),
            What::Device(name) => f.write_str(name),
            What::Bar(place, index) => write!(f, "BAR {index} of {place}"),
            What::Somewhere(place) => write!(f, "registers of {place}"),
        }
    }
}

/// What the kernel offered at boot, by address.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    ram: Vec<Span>,
    registers: Vec<Span>,
}

impl Offered {
    /// Blocks of memory and of registers, in any order.
    pub fn new(ram: Vec<Span>, registers: Vec<Span>) -> Offered {
        Offered { ram: joined(ram), registers: joined(registers) }
    }

    /// What is among these addresses that is no register: `None` if all of them are.
    pub fn other(&self, span: Span) -> Option<(What, Span)> {
        if let Some(ram) = self.ram.iter().find(|ram| ram.meets(span)) {
            return Some((What::Ram, *ram));
        }
        let covers = |at: u64| self.registers.iter().find(|r| r.from <= at && at < r.end);
        let missing = match covers(span.from) {
            Some(registers) if registers.end >= span.end => return None,
            Some(registers) => registers.end,
            None => span.from,
        };
        let all = || self.ram.iter().chain(&self.registers);
        let from = all().map(|s| s.end).filter(|end| *end <= missing).max().unwrap_or(0);
        let end = all().map(|s| s.from).filter(|from| *from > missing).min().unwrap_or(u64::MAX);
        Some((What::Kernels, Span { from, end }))
    }
}

/// In order, those that touch as one.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable_by_key(|span| span.from);
    let mut all: Vec<Span> = Vec::new();
    for span in spans {
        match all.last_mut() {
            Some(last) if span.from <= last.end => last.end = last.end.max(span.end),
            _ => all.push(span),
        }
    }
    all
}

/// What BARs must not cover besides what the kernel did not offer.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Configuration space, and devices that every machine may have.
    pub fixed: Vec<(What, Span)>,
    /// Where registers of functions begin, as firmware left them.
    pub bases: Vec<(Place, u64)>,
    /// BARs of functions that were measured and given.
    pub given: Vec<(Place, u8, Span)>,
}

impl Places {
    /// What a BAR of the function at `place` covers that it must not, were it at `bar.base`. `own` are the BARs of that function.
    pub fn under(
        &self,
        offered: &Offered,
        place: Place,
        bar: &Bar,
        own: &[Option<Bar>],
    ) -> Option<(What, Span)> {
        let span = Span::of(bar);
        let met = |(what, other): (What, Span)| other.meets(span).then_some((what, other));
        // One of its own that has no address yet is not there.
        let beside = own.iter().flatten().filter(|b| b.index != bar.index && b.base != 0);
        let beside = beside.map(|b| (What::Bar(place, b.index), Span::of(b)));
        let given = self.given.iter().filter(|g| g.0 != place).map(|g| (What::Bar(g.0, g.1), g.2));
        let measured = |other: Place| other == place || self.given.iter().any(|g| g.0 == other);
        let bases = self.bases.iter().filter(|(other, _)| !measured(*other));
        let bases = bases.map(|(other, base)| (What::Somewhere(*other), Span::pages(*base, 1)));
        let fixed = self.fixed.iter().copied();
        let known = fixed.chain(beside).chain(given).chain(bases).find_map(met);
        known.or_else(|| offered.other(span))
    }

    /// What an address of the window must not meet. Where nobody has said how large others are, they keep the window of `around` bytes, a
    /// power of two, that their first address is in.
    pub fn others(&self, around: u64, own: &[Option<Bar>]) -> Vec<(u64, u64)> {
        let bases = self
            .bases
            .iter()
            .map(|(_, base)| (base & !(around - 1), (base | (around - 1)).saturating_add(1)));
        let fixed = self.fixed.iter().map(|(_, span)| (span.from, span.end));
        let given = self.given.iter().map(|(_, _, span)| (span.from, span.end));
        let own = own.iter().flatten().filter(|bar| bar.base != 0).map(Span::of).map(|s| (s.from, s.end));
        bases.chain(fixed).chain(given).chain(own).collect()
    }
}
