//! Finding devices: by what the device tree or PCI says, never by address.
use crate::arch;
use crate::memory::Memory;
use crate::pci::places::Span;
use crate::pci::{Asked, Function, Mapped, Pci};
use crate::sys;
use alloc::vec::Vec;
use axiom_fdt::{Fdt, Interrupt, Messages, Walk};
use axiom_mmio::{Io, Mmio};
use axiom_pci::Bar;
use axiom_proto::bundle::DeviceRequest;
use core::ptr::NonNull;
use sel4_sys::cap::init;
use sel4_sys::{CPtr, CapRights, Error};

/// Where init looks at registers.
const PROBE: u64 = axiom_layout::address::INIT_PROBE;

/// Addresses beyond a bridge.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The first.
    pub from: u64,
    /// How many.
    pub bytes: u64,
}

/// I/O ports in a row.
#[derive(Clone, Copy, Debug)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

/// A device that was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Physical address of the registers.
    pub phys: u64,
    /// Bytes.
    pub size: u64,
    /// Its interrupts.
    pub interrupts: Vec<Interrupt>,
    /// For a bridge: the addresses of what is beyond it.
    pub windows: Vec<Window>,
    /// For a bridge: interrupts of its pins.
    pub pins: Vec<Interrupt>,
    /// For a block that turns messages into interrupts: these.
    pub messages: Option<Messages>,
    /// I/O ports.
    pub ports: Option<PortRange>,
    /// A PCI function: its registers above are its configuration space, to read.
    pub function: Option<Function>,
}

impl Found {
    /// Rows of pages that its server gets: its registers, then what is the server's of a PCI function's BARs.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        rows(self.phys, self.size, self.function.as_ref())
    }

    /// Addresses that these take in the server, with a free page after each.
    pub fn room(&self) -> u64 {
        room_of(self.phys, self.size, self.function.as_ref())
    }
}

const PAGE: u64 = 4096;

/// Registers in whole pages, as a server gets them.
pub struct Row {
    /// The pages.
    pub pages: Span,
    /// The registers among them: the first's address, and bytes.
    pub registers: (u64, u64),
    /// The BAR that they are of, and where in it they begin. Of none: the device's own, which are configuration space if it is a function.
    pub bar: Option<(u8, u64)>,
}

impl Row {
    fn new(start: u64, bytes: u64, bar: Option<(u8, u64)>) -> Row {
        Row { pages: Span::pages(start, bytes), registers: (start, bytes), bar }
    }

    /// Addresses that it takes in a server: a free page is after it.
    pub fn room(&self) -> u64 {
        self.pages.bytes().saturating_add(PAGE)
    }
}

/// The rows of a device with these registers, and of a function. One without registers has none.
fn rows(phys: u64, size: u64, function: Option<&Function>) -> impl Iterator<Item = Row> {
    let own = (size > 0).then(|| Row::new(phys, size, None));
    let bars = function.into_iter().flat_map(|f| f.bars().iter().flatten().flat_map(|bar| pieces(f, bar)));
    own.into_iter().chain(bars)
}

/// The rows of a BAR.
fn pieces(function: &Function, bar: &Bar) -> impl Iterator<Item = Row> {
    let (base, index) = (bar.base, bar.index);
    let row = move |(offset, len)| Row::new(base.saturating_add(offset), len, Some((index, offset)));
    function.pieces(bar).map(row)
}

/// Addresses that such a device takes in its server.
pub fn room_of(phys: u64, size: u64, function: Option<&Function>) -> u64 {
    rows(phys, size, function).map(|row| row.room()).fold(0, u64::saturating_add)
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
            return Ok(match self.pci.find(&mut Mapped::new(memory), request)? {
                Asked::Absent => None,
                Asked::Given(phys, function) => Some(Found {
                    phys,
                    size: axiom_pci::CONFIG_BYTES,
                    function: Some(function),
                    ..Found::default()
                }),
                Asked::Refused(place, why) => {
                    crate::say!("PCI function {place} ({}) is not used: {why}", request.compatible);
                    None
                }
            });
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
                let window = |(from, bytes)| Window { from, bytes };
                windows = (0..).map_while(|i| node.window(i).map(window)).collect();
                pins = (0..).map_while(|i| node.pin_interrupt(i)).collect();
            }
            let messages = node.message_interrupts().filter(|_| request.messages);
            candidates.push(Found { phys, size, interrupts, windows, pins, messages, ..Found::default() });
        }
        Walk::On
    });
    if walked.is_err() {
        crate::say!("the device tree is damaged; devices after the damage are not found");
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
