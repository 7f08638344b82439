//! PCI functions: found in configuration space, which stays init's; given to a server by vendor and device, as the manifest says.
//!
//! A driver gets its function's configuration space to read, and the pages of its BARs, except those with the table of messages: only init
//! writes that table, and messages arrive at interrupt handlers that the server has. Where there is no IOMMU, a bus master can reach all
//! memory. So a function is bus master only while its server lives, and is reset before ([`reset`]): otherwise it would go on with what
//! firmware or the server's earlier life told it, in memory that now belongs to others. A function that cannot be reset never becomes
//! bus master.
//!
//! A function whose registers lie where something else is ([`places`]) is refused by name, and the run goes on without it. The lists of
//! functions have a bound. On a machine with more functions than that, init does not know who has which addresses, so it gives none.
use crate::extra::Extra;
use crate::pci::places::{Offered, Places, Span, What};
use alloc::vec::Vec;
use axiom_layout::bits::INTERRUPTS_PER_DEVICE;
use axiom_mmio::Io;
use axiom_pci::{BARS, Bar, ConfigMut, Entry, Found, Identity, MsiX, Place, Window};
use axiom_proto::bundle::DeviceRequest;
use core::fmt;
use sel4_sys::Error;
use sel4_sys::object::LARGE_PAGE_BITS;

mod mapped;
pub mod places;
pub mod reset;

pub use axiom_pci::Mmio as MappedConfig;
pub use mapped::Mapped;

const LARGE: u64 = 1 << LARGE_PAGE_BITS;
const PAGE: u64 = 4096;
const LAYOUT_OF_DEVICES: u8 = 0;

/// Functions that a machine may have.
pub const MOST_FUNCTIONS: usize = 256;
/// Addresses that their BARs may have together.
pub const MOST_BASES: usize = 1024;

/// Registers of a function, some of which are bytes.
pub trait Registers: Io {
    /// Reads the byte at an offset.
    fn read_byte(&self, offset: usize) -> u8;
    /// Writes it.
    fn write_byte(&self, offset: usize, value: u8);
}

/// How functions are reached: on the machine, by pages that are mapped for a moment.
pub trait Hardware {
    /// A function's configuration space.
    type Config: ConfigMut;
    /// Registers in a page.
    type Registers: Registers;

    /// Configuration space of the function at a place, to read during a walk; `base` is bus 0's.
    fn open(&mut self, base: u64, place: Place) -> Result<Self::Config, Error>;

    /// The walk is over.
    fn close(&mut self) -> Result<(), Error>;

    /// Does something with the configuration space at a page.
    fn config<T>(&mut self, page: u64, act: impl FnOnce(&mut Self::Config) -> T) -> Result<T, Error>;

    /// Does something with the registers from an address on, to the end of its page.
    fn registers<T>(&mut self, at: u64, act: impl FnOnce(&Self::Registers) -> T) -> Result<T, Error>;

    /// What the kernel offered at boot.
    fn offered(&self) -> &Offered;

    /// Makes the handler of a function's message in a slot; where the function writes, and what.
    fn handler(&mut self, processor: u64, place: Place, slot: u64) -> Result<(u64, u32), Error>;
}

/// Where configuration space is.
#[derive(Clone, Copy, Debug)]
pub struct ConfigSpace {
    /// Bus 0's.
    pub base: u64,
    /// The last bus.
    pub last_bus: u8,
    /// The processor that takes messages, as the interrupt controller numbers it.
    pub processor: u64,
}

impl ConfigSpace {
    /// Where the kernel said that it is, if it did: it does where the machine has somebody who takes messages, a local APIC.
    pub fn of(extra: &Extra) -> Option<ConfigSpace> {
        let (base, last_bus) = extra.config_space?;
        Some(ConfigSpace { base, last_bus, processor: extra.axiom?.mpidr })
    }

    /// Its addresses.
    fn span(&self) -> Span {
        let buses = u64::from(self.last_bus) + 1;
        Span { from: self.base, end: self.base.saturating_add(buses << 20) }
    }
}

/// A function that belongs to a server.
#[derive(Clone, Debug)]
pub struct Function {
    found: Found,
    bars: [Option<Bar>; BARS],
    msix: Option<MsiX>,
    /// What its messages are, from entry 0 on: a reset takes them from it.
    messages: Vec<Entry>,
}

impl Function {
    /// Where it is.
    pub fn place(&self) -> Place {
        self.found.place
    }

    /// Who it is.
    fn identity(&self) -> Identity {
        self.found.identity
    }

    /// Its registers.
    pub fn bars(&self) -> &[Option<Bar>; BARS] {
        &self.bars
    }

    fn bar(&self, index: u8) -> Option<&Bar> {
        self.bars.iter().flatten().find(|bar| bar.index == index)
    }

    /// Where a register is.
    fn address(&self, bar: u8, offset: u64) -> Result<u64, Error> {
        let bar = self.bar(bar).ok_or(Error::FailedLookup)?;
        bar.base.checked_add(offset).ok_or(Error::FailedLookup)
    }

    /// Messages that it has, as many as a server gets.
    pub fn messages(&self) -> u16 {
        self.msix.map_or(0, |msix| msix.entries.min(INTERRUPTS_PER_DEVICE.into()))
    }

    /// The pieces of a BAR that are the server's, offset and bytes: all but the pages of the table of messages.
    pub fn pieces(&self, bar: &Bar) -> impl Iterator<Item = (u64, u64)> {
        let table = self.msix.filter(|msix| msix.bar == bar.index).map(|msix| msix.pages());
        let (from, to) = table.map_or((bar.size, bar.size), |(from, to)| (from, to.min(bar.size)));
        [(0, from), (to, bar.size - to)].into_iter().filter(|piece| piece.1 > 0)
    }

    /// Writes entries of its table of messages from one on: in each page of the table, all at once.
    fn write_entries<H: Hardware>(
        &self,
        hardware: &mut H,
        mut number: u16,
        mut entries: &[[u32; 4]],
    ) -> Result<(), Error> {
        let Some(msix) = self.msix else { return Ok(()) };
        while !entries.is_empty() {
            let at = self.address(msix.bar, msix.offset + u64::from(number) * Entry::BYTES)?;
            // An entry lies in one page, because it is aligned to its size.
            let room = ((PAGE - at % PAGE) / Entry::BYTES) as usize;
            let (here, rest) = entries.split_at(room.min(entries.len()));
            hardware.registers(at, |table| {
                for (i, words) in here.iter().enumerate() {
                    // The mask first, then what it protects, then the last word says whether it is masked.
                    for (word, value) in [(3, 1), (0, words[0]), (1, words[1]), (2, words[2]), (3, words[3])]
                    {
                        table.write(Entry::BYTES as usize * i + 4 * word, value);
                    }
                }
            })?;
            number += here.len() as u16;
            entries = rest;
        }
        Ok(())
    }

    /// Writes its messages into its table, unmasked.
    fn write_messages<H: Hardware>(&self, hardware: &mut H) -> Result<(), Error> {
        let words: Vec<_> = self.messages.iter().map(|entry| entry.words()).collect();
        self.write_entries(hardware, 0, &words)
    }
}

/// Why a function is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is a bridge.
    Bridge,
    /// It has no address, and is behind a bridge.
    Behind,
    /// It has no address, and the window has no room for so many bytes; whether 64 bits of address would do.
    NoRoom(u64, bool),
    /// What is where one of its BARs is.
    Over(u8, Span, What, Span),
    /// The addresses that it takes in a server, and how many it may.
    Large(u64, u64),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Bridge => f.write_str("it is a bridge, which leads to what belongs to others"),
            Why::Behind => f.write_str("firmware gave it no address, and it is behind a bridge"),
            Why::NoRoom(bytes, wide) => write!(
                f,
                "firmware gave it no address, and the manifest's PCI window (pci_window_mib) has no room for {bytes:#x} bytes{}",
                if *wide { "" } else { " below 4 GiB, above which its 32 bits do not reach" }
            ),
            Why::Over(index, span, what, other) => {
                write!(f, "its BAR {index}, {span}, is over {what}, {other}")
            }
            Why::Large(room, most) => write!(
                f,
                "its registers take {room:#x} bytes of the server's addresses, and the manifest says {most:#x} (registers_kib)"
            ),
        }
    }
}

/// What became of a request for a function.
pub enum Asked {
    /// There is none.
    Absent,
    /// Where its configuration space is, and the function.
    Given(u64, Function),
    /// There is one that nobody gets.
    Refused(Place, Why),
}

/// What there is to say of a machine's functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Configuration space is not where it can be mapped.
    Crooked(u64),
    /// There are too many of them.
    TooMany,
    /// A part of configuration space cannot be mapped.
    Missing(Error),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Crooked(base) => {
                write!(f, "PCI configuration space at {base:#x} is not at a multiple of 2 MiB: not looked at")
            }
            Trouble::TooMany => write!(
                f,
                "there are more than {MOST_FUNCTIONS} PCI functions, or {MOST_BASES} addresses of them: none is used, for whose \
                 addresses are whose is not known"
            ),
            Trouble::Missing(error) => write!(
                f,
                "a part of PCI configuration space cannot be mapped: {}",
                crate::say::Reason(*error)
            ),
        }
    }
}

/// The functions of the machine.
pub struct Pci {
    space: Option<ConfigSpace>,
    found: Vec<Found>,
    places: Places,
    window: Window,
}

impl Pci {
    /// Looks at what there is; functions that have no address may get one of the window, its first and how many. `devices` are those that
    /// every machine of this architecture may have.
    pub fn new<H: Hardware>(
        hardware: &mut H,
        space: Option<ConfigSpace>,
        window: (u64, u64),
        devices: &[(&'static str, Span)],
    ) -> Result<(Pci, Option<Trouble>), Error> {
        let window = Window { next: window.0, end: window.0.saturating_add(window.1) };
        let mut pci = Pci { space, found: Vec::new(), places: Places::default(), window };
        let Some(space) = space else { return Ok((pci, None)) };
        if !space.base.is_multiple_of(LARGE) {
            pci.space = None;
            return Ok((pci, Some(Trouble::Crooked(space.base))));
        }
        pci.places.fixed.push((What::Config, space.span()));
        pci.places.fixed.extend(devices.iter().map(|(name, span)| (What::Device(name), *span)));
        let mut trouble = None;
        let (found, bases) = (&mut pci.found, &mut pci.places.bases);
        let mut many = false;
        let mut open = |place: Place| {
            let opened = (place.bus <= space.last_bus).then(|| hardware.open(space.base, place))?;
            opened.inspect_err(|error| trouble = Some(Trouble::Missing(*error))).ok()
        };
        axiom_pci::walk(&mut open, &mut |config, function| {
            let room = MOST_BASES - bases.len();
            let mut its =
                axiom_pci::bases(config, function.identity.layout).map(|base| (function.place, base));
            bases.extend(its.by_ref().take(room));
            many |= its.next().is_some() || found.len() == MOST_FUNCTIONS;
            if found.len() < MOST_FUNCTIONS {
                found.push(function);
            }
        });
        hardware.close()?;
        if many {
            pci.found.clear();
            trouble = Some(Trouble::TooMany);
        }
        Ok((pci, trouble))
    }

    /// Where a function's configuration space is.
    fn page(&self, place: Place) -> Result<u64, Error> {
        self.space.map(|space| space.base + place.page()).ok_or(Error::FailedLookup)
    }

    /// The function that is asked for, with addresses, and off.
    pub fn find<H: Hardware>(&mut self, hardware: &mut H, request: &DeviceRequest) -> Result<Asked, Error> {
        let mut fitting = self.found.iter().filter(|f| f.identity.is_compatible(&request.compatible));
        let Some(found) = fitting.nth(request.instance as usize).copied() else { return Ok(Asked::Absent) };
        let refused = |why| Ok(Asked::Refused(found.place, why));
        if found.identity.layout != LAYOUT_OF_DEVICES {
            return refused(Why::Bridge);
        }
        let page = self.page(found.place)?;
        let mut bars = hardware.config(page, axiom_pci::bars)?;
        for index in 0..BARS {
            if let Some(why) = self.settle(hardware, &found, &mut bars, index)? {
                return refused(why);
            }
        }
        let msix = hardware.config(page, |config| MsiX::of(&*config, &bars))?;
        let function = Function { found, bars, msix, messages: Vec::new() };
        let most = u64::from(request.registers_kib) * 1024;
        let room = crate::devices::room_of(page, axiom_pci::CONFIG_BYTES, Some(&function));
        if room > most {
            return refused(Why::Large(room, most));
        }
        hardware.config(page, axiom_pci::enable_memory)?;
        for bridge in found.bridges.iter().flatten() {
            hardware.config(self.page(*bridge)?, axiom_pci::enable_bridge)?;
        }
        self.mask(hardware, &function)?;
        let mine = bars.iter().flatten().map(|bar| (found.place, bar.index, Span::of(bar)));
        self.places.given.retain(|given| given.0 != found.place);
        self.places.given.extend(mine);
        Ok(Asked::Given(page, function))
    }

    /// Gives a BAR an address if it has none, and looks at what is there; says why it cannot be used. Nothing is written that would put it over
    /// something.
    fn settle<H: Hardware>(
        &mut self,
        hardware: &mut H,
        found: &Found,
        bars: &mut [Option<Bar>; BARS],
        index: usize,
    ) -> Result<Option<Why>, Error> {
        let Some(mut bar) = bars[index] else { return Ok(None) };
        let assigned = bar.base == 0;
        if assigned {
            if found.bridges[0].is_some() {
                return Ok(Some(Why::Behind));
            }
            let others = self.places.others(LARGE, bars);
            let Some(base) = self.window.place(bar.size, bar.wide, &others) else {
                return Ok(Some(Why::NoRoom(bar.size, bar.wide)));
            };
            bar.base = base;
        }
        if let Some((what, other)) = self.places.under(hardware.offered(), found.place, &bar, bars) {
            return Ok(Some(Why::Over(bar.index, Span::of(&bar), what, other)));
        }
        if assigned {
            let page = self.page(found.place)?;
            let base = bar.base;
            hardware.config(page, |config| axiom_pci::assign(config, &mut bar, base))?;
            bars[index] = Some(bar);
        }
        Ok(None)
    }

    /// Masks all messages of a function, and switches them on.
    fn mask<H: Hardware>(&self, hardware: &mut H, function: &Function) -> Result<(), Error> {
        let Some(msix) = function.msix else { return Ok(()) };
        const AT_ONCE: usize = (PAGE / Entry::BYTES) as usize;
        let masked = [Entry::MASKED; AT_ONCE];
        for first in (0..msix.entries).step_by(AT_ONCE) {
            let count = usize::from(msix.entries - first).min(AT_ONCE);
            function.write_entries(hardware, first, &masked[..count])?;
        }
        hardware.config(self.page(function.place())?, |config| msix.enable(config, true))
    }

    /// Makes the handler of a function's message in `slot`, and has the function send it.
    pub fn message<H: Hardware>(
        &self,
        hardware: &mut H,
        function: &mut Function,
        entry: u16,
        slot: u64,
    ) -> Result<(), Error> {
        let Some(space) = self.space.filter(|_| function.msix.is_some()) else {
            return Err(Error::IllegalOperation);
        };
        let (address, data) = hardware.handler(space.processor, function.place(), slot)?;
        let message = Entry { address, data };
        function.messages.push(message);
        function.write_entries(hardware, entry, &[message.words()])
    }

    /// Lets a function make accesses of its own, which it is told to only once it is reset; or ends them.
    pub fn set_master<H: Hardware>(
        &self,
        hardware: &mut H,
        function: &Function,
        on: bool,
    ) -> Result<(), Error> {
        hardware.config(self.page(function.place())?, |config| axiom_pci::set_master(config, on))
    }
}
