//! What outlives a server's restarts: the objects that others hold capabilities to, its devices and their interrupts.
use crate::arch;
use crate::devices::{Found, Machine};
use crate::memory::{DeviceBlock, Memory, Object};
use crate::pci::{Function, Mapped};
use crate::rows::SlotRows;
use crate::sys;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_fdt::{Interrupt, Messages};
use axiom_layout::address::DEVICES_BYTES;
use axiom_layout::{Bit, Bits, Class};
use axiom_proto::bundle::{DeviceRequest, Server};
use sel4_sys::{Badge, CPtr, CapRights, Error};

/// What outlives a server's restarts.
pub struct Permanent {
    /// Its endpoint, so that clients' capabilities stay good.
    pub endpoint: CPtr,
    /// Its notification.
    pub notification: CPtr,
    /// Its reply object: init answers a waiting client through it.
    pub reply: CPtr,
    /// Its scheduling context: what a life has used up of its budget, the next one does not have.
    pub sc: CPtr,
    /// For the server that places programs: its untyped memory, whose frames outlive it.
    pub untyped: Option<CPtr>,
    /// Frames that it shares with clients: what they were given stays theirs.
    pub shared: SlotRows,
    /// Devices that were found, in the manifest's order.
    pub devices: Vec<Option<Found>>,
    /// Untyped memory beyond bridges, in the order of devices.
    pub windows: Vec<Vec<DeviceBlock>>,
    /// Handlers of interrupts that messages raise, in the order of devices.
    pub messages: Vec<Vec<CPtr>>,
    /// Capabilities to I/O ports, in the order of devices.
    pub ports: Vec<Option<CPtr>>,
    /// Interrupt handlers and their bits, flat in the order of devices; those of a bridge's pins follow its own.
    pub handlers: Vec<Handler>,
    /// Bits of its timers.
    pub timer_bits: Vec<Bit>,
}

/// An interrupt's handler, and the bit that it signals.
#[derive(Clone, Copy)]
pub struct Handler {
    /// The handler.
    pub cap: CPtr,
    /// The bit.
    pub bit: Bit,
}

impl Permanent {
    /// Its PCI functions, in the order of devices.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.devices.iter().flatten().filter_map(|found| found.function.as_ref())
    }
}

const SC_BITS: u32 = 8;
const EXTRA_REFILLS: u64 = 8;

/// The size of a server's untyped memory.
pub fn untyped_bits(server: &Server) -> Option<u32> {
    (server.untyped_kib > 0).then(|| (u64::from(server.untyped_kib) * 1024).next_power_of_two().ilog2())
}

/// The earlier server that has a page of this device, and the page.
fn owner_of(device: &Found, earlier: &[Permanent]) -> Option<(usize, u64)> {
    let shared = |other: &Found| {
        device.rows().find_map(|own| {
            let mut met = other.rows().filter(|row| row.pages.meets(own.pages));
            met.next().map(|row| row.pages.from.max(own.pages.from))
        })
    };
    let servers = earlier.iter().enumerate();
    servers
        .flat_map(|(i, p)| p.devices.iter().flatten().map(move |d| (i, d)))
        .find_map(|(i, d)| Some((i, shared(d)?)))
}

/// Makes the handler of a device's interrupt, which has one owner.
fn interrupt(
    memory: &mut Memory,
    server: &Server,
    request: &DeviceRequest,
    wanted: Interrupt,
) -> Result<u64, Error> {
    let slot = memory.slot()?;
    sys::irq_handler(wanted, slot).inspect_err(|error| {
        crate::say!(
            "interrupt {} of '{}' cannot be given to '{}': {}",
            wanted.id,
            request.name,
            server.name,
            match error {
                Error::RevokeFirst => "it was given already, and an interrupt belongs to one server",
                _ => "the kernel does not have it",
            }
        );
    })?;
    Ok(slot)
}

/// Makes a server's permanent objects.
pub fn make(
    memory: &mut Memory,
    machine: &mut Machine<'_>,
    servers: &[Server],
    index: usize,
    earlier: &[Permanent],
    sched_control: CPtr,
    loader: bool,
) -> Result<Permanent, Error> {
    let server = &servers[index];
    let endpoint = memory.make(Object::ENDPOINT)?;
    let notification = memory.make(Object::NOTIFICATION)?;
    let reply = memory.make(Object::REPLY)?;
    let sc = memory.make(Object::sched_context(SC_BITS))?;
    sys::configure_sc(sched_control, sc, server.budget_us, server.period_us, EXTRA_REFILLS, index as u64)?;
    let untyped = match untyped_bits(server).filter(|_| loader) {
        Some(bits) => Some(memory.make(Object::untyped(bits))?),
        None => None,
    };
    let mut shared = SlotRows::new();
    for _ in 0..u64::from(server.shared_kib).div_ceil(4) {
        shared.add(memory.make(Object::PAGE)?, 1);
    }
    let mut p = Permanent {
        endpoint,
        notification,
        reply,
        sc,
        untyped,
        shared,
        devices: Vec::new(),
        windows: Vec::new(),
        messages: Vec::new(),
        ports: Vec::new(),
        handlers: Vec::new(),
        timer_bits: Vec::new(),
    };
    let mut bits = Bits::new();
    let mut bit = |class| bits.take(class).ok_or(Error::RangeError);
    for request in &server.devices {
        let mut found = machine.find(memory, request)?;
        if found.is_none() && !request.optional {
            crate::say!(
                "'{}' asks for a device compatible with {}{}; this machine has none",
                server.name,
                request.compatible,
                request.virtio_id.map_or(String::new(), |id| alloc::format!(" and virtio id {id}"))
            );
        }
        if let Some((other, page)) = found.as_ref().and_then(|f| owner_of(f, earlier)) {
            crate::say!(
                "'{}' and '{}' are given the same registers at {page:#x}: a device belongs to one server, with all that shares its \
                 pages, whatever `compatible` it is asked for by",
                servers[other].name,
                server.name
            );
            return Err(Error::RangeError);
        }
        if let Some(found) = found.as_mut().filter(|_| request.interrupts) {
            let mut slots = Vec::new();
            for wanted in found.interrupts.iter().chain(&found.pins) {
                slots.push(interrupt(memory, server, request, *wanted)?);
            }
            if let Some(function) = &mut found.function {
                for entry in 0..function.messages() {
                    let slot = memory.slot()?;
                    machine.pci.message(&mut Mapped::new(memory), function, entry, slot)?;
                    slots.push(slot);
                }
            }
            for slot in slots {
                let bit = bit(Class::Interrupt)?;
                let signal = CPtr(memory.slot()?);
                sys::mint(signal.0, notification, CapRights::WRITE, Badge(bit.badge()))?;
                sys::irq_notify(CPtr(slot), signal)?;
                p.handlers.push(Handler { cap: CPtr(slot), bit });
            }
        }
        let mut blocks = Vec::new();
        for window in found.iter().flat_map(|f| &f.windows) {
            blocks.extend(memory.device_range(window.from, window.bytes.next_multiple_of(4096))?);
        }
        p.windows.push(blocks);
        let mut messages = Vec::new();
        if let Some(Messages { first, count }) = found.as_ref().and_then(|f| f.messages) {
            for id in first.id..first.id.saturating_add(count) {
                messages.push(CPtr(interrupt(memory, server, request, Interrupt { id, ..first })?));
            }
        }
        p.messages.push(messages);
        p.ports.push(match found.as_ref().and_then(|f| f.ports) {
            Some(range) => Some(arch::ports(range, memory.slot()?)?),
            None => None,
        });
        p.devices.push(found);
    }
    let room = p.devices.iter().flatten().map(Found::room).fold(0, u64::saturating_add);
    if room > DEVICES_BYTES {
        crate::say!(
            "the devices of '{}' take {room:#x} bytes of addresses, and a server has {:#x}: give some of them to another server",
            server.name,
            DEVICES_BYTES
        );
        return Err(Error::RangeError);
    }
    for _ in &server.timers {
        p.timer_bits.push(bit(Class::Timer)?);
    }
    Ok(p)
}
