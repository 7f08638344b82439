//! Finding devices: by what the device tree says, never by address.
use crate::memory::Memory;
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
#[derive(Clone, Debug)]
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
}

/// Looks a device up; `Ok(None)` if the machine does not have it.
pub fn find(fdt: &Fdt<'_>, memory: &mut Memory, request: &DeviceRequest) -> Result<Option<Found>, Error> {
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
            candidates.push(Found { phys, size, interrupts, windows, pins, messages, ports: None });
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
