//! Functions of the machine: their pages are mapped into init for a moment.
use super::{Hardware, MappedConfig, Registers};
use crate::arch;
use crate::memory::{Look, Memory};
use crate::pci::places::Offered;
use crate::spawn::map_own;
use crate::sys;
use alloc::vec::Vec;
use axiom_layout::address::{INIT_CONFIG, INIT_PROBE};
use axiom_mmio::Mmio;
use axiom_pci::Place;
use core::ptr::NonNull;
use sel4_sys::object::LARGE_PAGE_BITS;
use sel4_sys::{CapRights, Error};

const LARGE: u64 = 1 << LARGE_PAGE_BITS;

/// The machine's functions, by init's memory.
pub struct Mapped<'a> {
    memory: &'a mut Memory,
    /// What is mapped of configuration space during a walk, two buses each: at most 128.
    looks: Vec<Option<Look>>,
}

impl Mapped<'_> {
    /// By this memory.
    pub fn new(memory: &mut Memory) -> Mapped<'_> {
        Mapped { memory, looks: Vec::new() }
    }
}

impl Registers for Mmio {
    fn read_byte(&self, offset: usize) -> u8 {
        Mmio::read_byte(self, offset)
    }

    fn write_byte(&self, offset: usize, value: u8) {
        Mmio::write_byte(self, offset, value);
    }
}

impl Hardware for Mapped<'_> {
    type Config = MappedConfig;
    type Registers = Mmio;

    fn open(&mut self, base: u64, place: Place) -> Result<MappedConfig, Error> {
        let number = usize::from(place.bus / 2);
        if self.looks.len() <= number {
            self.looks.resize_with(number + 1, || None);
        }
        if self.looks[number].is_none() {
            let offset = number as u64 * LARGE;
            let look = self.memory.device_look(base + offset)?;
            map_own(self.memory, look.frame, INIT_CONFIG + offset, CapRights::READ)?;
            self.looks[number] = Some(look);
        }
        let page = (INIT_CONFIG + place.page()) as *mut u32;
        // SAFETY: configuration space of this place's two buses is mapped, to read, until the walk is over.
        Ok(unsafe { MappedConfig::new(page) })
    }

    fn close(&mut self) -> Result<(), Error> {
        core::mem::take(&mut self.looks)
            .into_iter()
            .flatten()
            .try_for_each(|look| self.memory.give_back(look))
    }

    fn config<T>(&mut self, page: u64, act: impl FnOnce(&mut MappedConfig) -> T) -> Result<T, Error> {
        let frame = self.memory.device_frame(page)?;
        map_own(self.memory, frame, INIT_PROBE, CapRights::READ_WRITE)?;
        // SAFETY: the page of the function's configuration space is mapped at INIT_PROBE, to read and write, until `unmap`.
        let done = act(&mut unsafe { MappedConfig::new(INIT_PROBE as *mut u32) });
        sys::unmap(frame)?;
        Ok(done)
    }

    fn registers<T>(&mut self, at: u64, act: impl FnOnce(&Mmio) -> T) -> Result<T, Error> {
        let frame = self.memory.device_frame(at & !4095)?;
        map_own(self.memory, frame, INIT_PROBE, CapRights::READ_WRITE)?;
        let place = NonNull::new((INIT_PROBE + (at & 4095)) as *mut u32).ok_or(Error::FailedLookup)?;
        // SAFETY: the page is mapped at INIT_PROBE, uncached, until `unmap`; what is in it are the function's registers.
        let done = act(&unsafe { Mmio::new(place) });
        sys::unmap(frame)?;
        Ok(done)
    }

    fn offered(&self) -> &Offered {
        self.memory.offered()
    }

    fn handler(&mut self, processor: u64, place: Place, slot: u64) -> Result<(u64, u32), Error> {
        arch::message_handler(processor, place, slot)
    }
}
