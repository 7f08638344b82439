//! PCI functions: found in configuration space, which stays init's; given to a server by vendor and device, as the manifest says.
//!
//! A driver gets its function's configuration space to read, and the pages of its BARs but for those with the table of messages. Bus
//! mastering is power over all memory where there is no IOMMU: it is on only while the server lives that the function belongs to, and the function
//! is reset before: else it would go on with what firmware or an earlier life told it, in memory that is others' now. One that cannot be
//! reset is no bus master. Messages come at handlers that the server has, by a table that init alone writes. A BAR that shares its page with somebody else's is refused.
use crate::arch;
use crate::memory::{Look, Memory};
use crate::say::Reason;
use crate::spawn::map_own;
use crate::sys;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_layout::address::{DEVICES, INIT_CONFIG, INIT_PROBE, TRACE};
use axiom_layout::bits::INTERRUPTS_PER_DEVICE;
use axiom_mmio::Io;
use axiom_pci::{BARS, Bar, Entry, Found, Mmio, MsiX, Place, Reset, Window};
use axiom_proto::bundle::DeviceRequest;
use core::ptr::NonNull;
use sel4_sys::object::LARGE_PAGE_BITS;
use sel4_sys::{CapRights, Error};

const LARGE: u64 = 1 << LARGE_PAGE_BITS;
const LAYOUT_OF_DEVICES: u8 = 0;

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

/// A function that belongs to a server.
#[derive(Clone, Debug)]
pub struct Function {
    found: Found,
    /// Its registers.
    pub bars: [Option<Bar>; BARS],
    msix: Option<MsiX>,
    /// What its messages are, from entry 0 on: a reset takes them from it.
    messages: Vec<Entry>,
}

impl Function {
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
}

/// The functions of the machine.
pub struct Pci {
    space: Option<ConfigSpace>,
    found: Vec<Found>,
    /// Addresses of everybody's BARs.
    bases: Vec<u64>,
    window: Window,
    /// The counter's, Hz.
    frequency: u64,
}

impl Pci {
    /// Looks at what there is; functions that have no address may get one of the window, its first and how many. `frequency` is the counter's.
    pub fn new(
        memory: &mut Memory,
        space: Option<ConfigSpace>,
        window: (u64, u64),
        frequency: u64,
    ) -> Result<Pci, Error> {
        let window = Window { next: window.0, end: window.0.saturating_add(window.1) };
        let mut pci = Pci { space, found: Vec::new(), bases: Vec::new(), window, frequency };
        let Some(space) = space else { return Ok(pci) };
        if !space.base.is_multiple_of(LARGE) {
            crate::say!(
                "PCI configuration space at {:#x} is not at a multiple of 2 MiB: not looked at",
                space.base
            );
            pci.space = None;
            return Ok(pci);
        }
        let mut looks: Vec<Option<Look>> = Vec::new();
        let mut failure = None;
        let mut open = |place: Place| {
            let number = usize::from(place.bus / 2);
            if place.bus > space.last_bus {
                return None;
            }
            if looks.len() <= number {
                looks.resize_with(number + 1, || None);
            }
            let at = INIT_CONFIG + number as u64 * LARGE;
            if looks[number].is_none() {
                match look(memory, space.base + number as u64 * LARGE, at) {
                    Ok(look) => looks[number] = Some(look),
                    Err(error) => {
                        failure = Some(error);
                        return None;
                    }
                }
            }
            let page = (INIT_CONFIG + place.page()) as *mut u32;
            // SAFETY: configuration space of this place's two buses is mapped, to read, until the walk is over.
            Some(unsafe { Mmio::new(page) })
        };
        axiom_pci::walk(&mut open, &mut |config, found| {
            pci.bases.extend(axiom_pci::bases(config, found.identity.layout));
            pci.found.push(found);
        });
        if let Some(error) = failure {
            crate::say!("a part of PCI configuration space cannot be mapped: {}", Reason(error));
        }
        looks.into_iter().flatten().try_for_each(|look| memory.give_back(look))?;
        Ok(pci)
    }

    /// Where a function's configuration space is.
    fn page(&self, place: Place) -> Result<u64, Error> {
        self.space.map(|space| space.base + place.page()).ok_or(Error::FailedLookup)
    }

    /// Does something with a function's configuration space.
    fn with<T>(
        &self,
        memory: &mut Memory,
        place: Place,
        act: impl FnOnce(&mut Mmio) -> T,
    ) -> Result<T, Error> {
        let frame = memory.device_frame(self.page(place)?)?;
        map_own(memory, frame, INIT_PROBE, CapRights::READ_WRITE)?;
        // SAFETY: the page of the function's configuration space is mapped at INIT_PROBE, to read and write, until `unmap`.
        let done = act(&mut unsafe { Mmio::new(INIT_PROBE as *mut u32) });
        sys::unmap(frame)?;
        Ok(done)
    }

    /// The function that is asked for, with addresses, and off; where its configuration space is. `None`, and a line if there is something
    /// to say, if the machine has none that can be given.
    pub fn find(
        &mut self,
        memory: &mut Memory,
        request: &DeviceRequest,
    ) -> Result<Option<(u64, Function)>, Error> {
        let mut fitting = self.found.iter().filter(|f| f.identity.is_compatible(&request.compatible));
        let Some(found) = fitting.nth(request.instance as usize).copied() else { return Ok(None) };
        let refused = |why: String| {
            crate::say!("PCI function {} ({}) is not used: {why}", found.place, request.compatible);
            Ok(None)
        };
        if found.identity.layout != LAYOUT_OF_DEVICES {
            return refused("it is a bridge, which leads to what belongs to others".into());
        }
        let mut bars = self.with(memory, found.place, axiom_pci::bars)?;
        for bar in bars.iter_mut().flatten() {
            if let Some(why) = self.settle(memory, &found, bar)? {
                return refused(why);
            }
        }
        // What a function claims may be any number.
        let pages = bars.iter().flatten().map(|bar| bar.size.max(4096).saturating_add(4096));
        let room = pages.fold(0, u64::saturating_add);
        if room > (TRACE - DEVICES) / 2 {
            return refused(alloc::format!(
                "its registers take {room:#x} bytes of addresses, more than half of what a server has"
            ));
        }
        let msix = self.with(memory, found.place, |config| {
            axiom_pci::enable_memory(config);
            MsiX::of(config, &bars)
        })?;
        for bridge in found.bridges.iter().flatten() {
            self.with(memory, *bridge, axiom_pci::enable_bridge)?;
        }
        let function = Function { found, bars, msix, messages: Vec::new() };
        match self.mask(memory, &function) {
            // Where it says that its table is, there is RAM, or nothing.
            Err(Error::FailedLookup) => {
                return refused("the addresses of its message table are no device's".into());
            }
            other => other?,
        }
        Ok(Some((self.page(found.place)?, function)))
    }

    /// Gives a BAR an address if it has none; says why it cannot be used.
    fn settle(&mut self, memory: &mut Memory, found: &Found, bar: &mut Bar) -> Result<Option<String>, Error> {
        if bar.base == 0 {
            if found.bridges[0].is_some() {
                return Ok(Some("firmware gave it no address, and it is behind a bridge".into()));
            }
            // Where nobody has said how large the others are, those that have addresses keep the whole page or window around them.
            let others: Vec<(u64, u64)> = self
                .bases
                .iter()
                .map(|base| (base & !(LARGE - 1), (base | (LARGE - 1)).saturating_add(1)))
                .collect();
            let Some(base) = self.window.place(bar.size, bar.wide, &others) else {
                return Ok(Some(alloc::format!(
                    "firmware gave it no address, and the manifest's PCI window (pci_window_mib) has no room for {:#x} bytes{}",
                    bar.size,
                    if bar.wide { "" } else { " below 4 GiB, above which its 32 bits do not reach" }
                )));
            };
            self.with(memory, found.place, |config| axiom_pci::assign(config, bar, base))?;
        } else if bar.size < 4096 {
            let page = bar.base & !4095;
            let shared = self.bases.iter().filter(|base| **base & !4095 == page).count();
            if shared > 1 {
                return Ok(Some(alloc::format!("its registers at {:#x} share a page with others", bar.base)));
            }
        }
        Ok(None)
    }

    /// Masks all messages of a function, and switches them on.
    fn mask(&self, memory: &mut Memory, function: &Function) -> Result<(), Error> {
        let Some(msix) = function.msix else { return Ok(()) };
        for entry in 0..msix.entries {
            self.write_entry(memory, function, &msix, entry, Entry::MASKED)?;
        }
        self.with(memory, function.found.place, |config| msix.enable(config, true))
    }

    fn write_entry(
        &self,
        memory: &mut Memory,
        function: &Function,
        msix: &MsiX,
        entry: u16,
        words: [u32; 4],
    ) -> Result<(), Error> {
        // An entry lies in one page, because it is aligned to its size.
        let offset = msix.offset + u64::from(entry) * Entry::BYTES;
        self.with_register(memory, function, msix.bar, offset, |entry| {
            // The mask first, then what it protects, then the last word says whether it is masked.
            for (i, word) in [(3, 1), (0, words[0]), (1, words[1]), (2, words[2]), (3, words[3])] {
                entry.write(4 * i, word);
            }
        })
    }

    /// Does something with the registers of a BAR from an offset on, to the end of its page.
    fn with_register<T>(
        &self,
        memory: &mut Memory,
        function: &Function,
        bar: u8,
        offset: u64,
        act: impl FnOnce(&axiom_mmio::Mmio) -> T,
    ) -> Result<T, Error> {
        let bar = function.bars.iter().flatten().find(|b| b.index == bar).ok_or(Error::FailedLookup)?;
        let at = bar.base + offset;
        let frame = memory.device_frame(at & !4095)?;
        map_own(memory, frame, INIT_PROBE, CapRights::READ_WRITE)?;
        let place = NonNull::new((INIT_PROBE + (at & 4095)) as *mut u32).ok_or(Error::FailedLookup)?;
        // SAFETY: the page is mapped at INIT_PROBE, uncached, until `unmap`; what is in it are the function's registers.
        let done = act(&unsafe { axiom_mmio::Mmio::new(place) });
        sys::unmap(frame)?;
        Ok(done)
    }

    fn wait(&self, microseconds: u64) {
        let ticks = u128::from(microseconds) * u128::from(self.frequency) / 1_000_000;
        let start = sys::ticks();
        while u128::from(sys::ticks().wrapping_sub(start)) < ticks {
            core::hint::spin_loop();
        }
    }

    /// Makes a function forget what anybody told it, while it may not access memory; false if there is no way. Its messages are what
    /// they were, afterwards.
    fn reset(&self, memory: &mut Memory, function: &Function) -> Result<bool, Error> {
        const LOOKS: usize = 100;
        const LOOK_US: u64 = 1000;
        let place = function.found.place;
        let bytes =
            |index: u8| function.bars.iter().flatten().find(|b| b.index == index).map_or(0, |b| b.size);
        let (way, status) = self.with(memory, place, |config| {
            axiom_pci::set_master(config, false);
            (Reset::of(&*config), axiom_virtio::pci::status_register(&*config, bytes))
        })?;
        match (way, status) {
            (Some(way), status) if way.is_function_level() || status.is_none() => {
                for _ in 0..LOOKS {
                    if !self.with(memory, place, |config| way.is_pending(&*config))? {
                        break;
                    }
                    self.wait(LOOK_US);
                }
                let microseconds = self.with(memory, place, |config| way.begin(config))?;
                self.wait(microseconds);
                let microseconds = self.with(memory, place, |config| way.end(config))?;
                self.wait(microseconds);
                self.with(memory, place, |config| {
                    axiom_pci::restore(config, &function.bars);
                    axiom_pci::enable_memory(config);
                })?;
                self.mask(memory, function)?;
                if let Some(msix) = function.msix {
                    for (number, entry) in (0..).zip(&function.messages) {
                        self.write_entry(memory, function, &msix, number, entry.words())?;
                    }
                }
                Ok(true)
            }
            (_, Some((bar, offset))) => {
                self.with_register(memory, function, bar, offset, |status| status.write_byte(0, 0))?;
                for _ in 0..LOOKS {
                    if self.with_register(memory, function, bar, offset, |status| status.read_byte(0))? == 0 {
                        return Ok(true);
                    }
                    self.wait(LOOK_US);
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Makes the handler of a function's message in `slot`, and has the function send it.
    pub fn message(
        &self,
        memory: &mut Memory,
        function: &mut Function,
        entry: u16,
        slot: u64,
    ) -> Result<(), Error> {
        let (Some(msix), Some(space)) = (function.msix, self.space) else {
            return Err(Error::IllegalOperation);
        };
        let (address, data) = arch::message_handler(space.processor, function.found.place, slot)?;
        function.messages.push(Entry { address, data });
        self.write_entry(memory, function, &msix, entry, Entry { address, data }.words())
    }

    /// Lets a function make accesses of its own, once it is reset.
    pub fn let_master(&self, memory: &mut Memory, function: &Function) -> Result<(), Error> {
        if !self.reset(memory, function)? {
            crate::say!(
                "PCI function {} cannot be reset: it gets no access to memory, for it could go on with what it was told before",
                function.found.place
            );
            return Ok(());
        }
        self.with(memory, function.found.place, |config| axiom_pci::set_master(config, true))
    }

    /// Ends a function's accesses of its own.
    pub fn stop_master(&self, memory: &mut Memory, function: &Function) -> Result<(), Error> {
        self.with(memory, function.found.place, |config| axiom_pci::set_master(config, false))
    }
}

/// Maps two buses' configuration space, to read.
fn look(memory: &mut Memory, base: u64, at: u64) -> Result<Look, Error> {
    let look = memory.device_look(base)?;
    map_own(memory, look.frame, at, CapRights::READ)?;
    Ok(look)
}
