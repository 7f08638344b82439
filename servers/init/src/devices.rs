//! Finding devices: by what the device tree or PCI says, never by address.
use crate::arch;
use crate::memory::Memory;
use crate::pci::{Function, Pci};
use crate::sys;
use alloc::vec::Vec;
use axiom_fdt::{Fdt, Walk};
use axiom_mmio::{Io, Mmio};
use axiom_proto::bundle::DeviceRequest;
use core::ptr::NonNull;
use sel4_sys::cap::init;
use sel4_sys::{CPtr, CapRights, Error};

/// Where init looks at registers.
const PROBE: u64 = axiom_layout::address::INIT_PROBE;

/// A device that was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Physical address of the registers.
    pub phys: u64,
    /// Bytes.
    pub size: u64,
    /// Interrupts: number, edge.
    pub interrupts: Vec<(u32, bool)>,
    /// For a bridge: addresses behind it and their sizes.
    pub windows: Vec<(u64, u64)>,
    /// For a bridge: interrupts of its pins.
    pub pins: Vec<(u32, bool)>,
    /// For a block that turns messages into interrupts: the first, edge, how many.
    pub messages: Option<(u32, bool, u32)>,
    /// I/O ports, first and last.
    pub ports: Option<(u16, u16)>,
    /// A PCI function: its registers above are its configuration space, to read.
    pub function: Option<Function>,
}

impl Found {
    /// Rows of pages that its server gets, first and end: its registers, then what is the server's of a PCI function's BARs.
    pub fn rows(&self) -> impl Iterator<Item = (u64, u64)> {
        let own = (self.size > 0).then(|| pages(self.phys, self.size));
        let function = self.function.iter();
        let bars = function
            .flat_map(|f| f.bars.iter().flatten().flat_map(|bar| f.pieces(bar).map(|p| (bar.base, p))));
        own.into_iter().chain(bars.map(|(base, (offset, len))| pages(base.saturating_add(offset), len)))
    }

    /// Addresses that these take in the server, with a free page after each.
    pub fn room(&self) -> u64 {
        self.rows().map(|(first, end)| (end - first).saturating_add(PAGE)).fold(0, u64::saturating_add)
    }
}

const PAGE: u64 = 4096;

/// The pages of some bytes, first and end. What a device claims may be any number.
fn pages(start: u64, bytes: u64) -> (u64, u64) {
    let end = start.saturating_add(bytes.max(1)).checked_next_multiple_of(PAGE);
    (start & !(PAGE - 1), end.unwrap_or(!(PAGE - 1)))
}

/// What says which devices there are.
pub struct Machine<'a> {
    /// The device tree.
    pub fdt: Option<Fdt<'a>>,
    /// PCI.
    pub pci: Pci,
}

impl Machine<'_> {
    /// Looks a device up; `Ok(None)` if the machine does not have it.
    pub fn find(&mut self, memory: &mut Memory, request: &DeviceRequest) -> Result<Option<Found>, Error> {
        if let Some(found) = arch::find(request) {
            return Ok(Some(found));
        }
        if axiom_pci::parse(&request.compatible).is_some() {
            let found = self.pci.find(memory, request)?;
            return Ok(found.map(|(phys, function)| Found {
                phys,
                size: axiom_pci::CONFIG_BYTES,
                function: Some(function),
                ..Found::default()
            }));
        }
        self.fdt.as_ref().map_or(Ok(None), |fdt| find(fdt, memory, request))
    }
}

/// Looks a device up in the device tree.
fn find(fdt: &Fdt<'_>, memory: &mut Memory, request: &DeviceRequest) -> Result<Option<Found>, Error> {
    let mut candidates: Vec<Found> = Vec::new();
    let walked = fdt.walk(|node| {
        if node.is_enabled()
            && node.is_compatible(&request.compatible)
            && let Some((phys, size)) = node.reg(0)
        {
            let interrupts = (0..).map_while(|i| node.gic_interrupt(i)).collect();
            let (mut windows, mut pins) = (Vec::new(), Vec::new());
            if request.ranges {
                windows = (0..).map_while(|i| node.window(i)).collect();
                pins = (0..).map_while(|i| node.pin_interrupt(i)).collect();
            }
            let messages = node.message_interrupts().filter(|_| request.messages);
            candidates.push(Found { phys, size, interrupts, windows, pins, messages, ..Found::default() });
        }
        Walk::On
    });
    if walked.is_err() {
        crate::say!("the device tree is damaged; devices behind the damage are not found");
    }
    let mut instance = request.instance;
    let mut probe = Probe::default();
    for found in candidates {
        let matches = match request.virtio_id {
            Some(id) => probe.virtio_id(memory, found.phys)? == Some(id),
            None => true,
        };
        if matches {
            if instance == 0 {
                probe.end()?;
                return Ok(Some(found));
            }
            instance -= 1;
        }
    }
    probe.end()?;
    Ok(None)
}

/// A page of registers that is mapped for a look.
#[derive(Default)]
struct Probe {
    mapped: Option<(u64, CPtr)>,
}

impl Probe {
    fn virtio_id(&mut self, memory: &mut Memory, phys: u64) -> Result<Option<u32>, Error> {
        const MAGIC: u32 = u32::from_le_bytes(*b"virt");
        /// Where virtio-mmio says that it is one.
        const MAGIC_AT: usize = 0;
        /// And which device.
        const DEVICE_ID_AT: usize = 8;
        let page = phys & !4095;
        if self.mapped.is_none_or(|(p, _)| p != page) {
            self.end()?;
            let frame = memory.device_frame(page)?;
            crate::spawn::map_own(memory, frame, PROBE, CapRights::READ)?;
            self.mapped = Some((page, frame));
        }
        let Some(start) = NonNull::new((PROBE + (phys & 4095)) as *mut u32) else { return Ok(None) };
        // SAFETY: the page of the virtio-mmio registers is mapped at PROBE, as device memory; these two may always be read.
        let registers = unsafe { Mmio::new(start) };
        Ok((registers.read(MAGIC_AT) == MAGIC).then(|| registers.read(DEVICE_ID_AT)))
    }

    fn end(&mut self) -> Result<(), Error> {
        match self.mapped.take() {
            Some((_, frame)) => sys::unmap(frame),
            None => Ok(()),
        }
    }
}

/// init's own address space.
pub const OWN: CPtr = init::VSPACE;
