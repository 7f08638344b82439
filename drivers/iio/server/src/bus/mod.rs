//! The I2C bus of this server: virtio-i2c, or a controller of RP1, as the manifest says. Chips see embedded-hal's `I2c`.

mod waiter;

use axiom_dw_i2c::{DwI2c, Speed};
use axiom_iio::DelayNs;
use axiom_mmio::Mmio;
use axiom_runtime::proto::env::Device;
use axiom_runtime::proto::iio::{Grants, INTERFACE};
use axiom_runtime::proto::rp1::Refusal;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Bit, Bits, Class, IrqHandler, Pages, Runtime, Slots, info, time, warn};
use axiom_virtio::{mmio, pci};
use axiom_virtio_i2c::{DMA_BYTES, Dma, VirtioI2c};
use bcm2712_pac::rp1::CLK_SYS_HZ;
use core::fmt;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation, SevenBitAddress};
use waiter::{Acknowledge, Waiter};

/// Behind a virtio adapter there is a process of the host, which a busy host may keep waiting.
const VIRTIO_PATIENCE_NS: u64 = 1_000_000_000;
/// A controller is as fast as its clock: 256 bytes at 100 kHz take 25 ms, and a chip may stretch the clock.
const DW_PATIENCE_NS: u64 = 100_000_000;
/// Fast mode, which every sensor here can do.
const DEFAULT_HZ: u64 = 400_000;

/// The bus.
pub enum Bus {
    /// A virtio adapter, by registers in memory.
    Virtio(VirtioI2c<mmio::Mmio<Mmio>, Waiter>),
    /// A virtio adapter that is a PCI function.
    Pci(VirtioI2c<pci::Pci<pci::Mapped>, Waiter>),
    /// A DesignWare controller of RP1.
    Dw(DwI2c<Mmio, Waiter>),
    /// Chips that a test plays.
    #[cfg(test)]
    Fake(crate::tests::bus::FakeBus, Waiter),
}

/// What can go wrong on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BusError {
    /// On the virtio adapter.
    Virtio(axiom_virtio_i2c::VirtioError),
    /// On the DesignWare controller.
    Dw(axiom_dw_i2c::I2cError),
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusError::Virtio(error) => error.fmt(f),
            BusError::Dw(error) => error.fmt(f),
        }
    }
}

impl embedded_hal::i2c::Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            BusError::Virtio(error) => error.kind(),
            BusError::Dw(error) => error.kind(),
        }
    }
}

impl ErrorType for Bus {
    type Error = BusError;
}

impl I2c<SevenBitAddress> for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        match self {
            Bus::Virtio(bus) => bus.transaction(address, operations).map_err(BusError::Virtio),
            Bus::Pci(bus) => bus.transaction(address, operations).map_err(BusError::Virtio),
            Bus::Dw(bus) => {
                I2c::<SevenBitAddress>::transaction(bus, address, operations).map_err(BusError::Dw)
            }
            #[cfg(test)]
            Bus::Fake(bus, _) => bus.transaction(address, operations),
        }
    }
}

impl Bus {
    /// The waiting side.
    pub fn waiter(&mut self) -> &mut Waiter {
        match self {
            Bus::Virtio(bus) => bus.waiter(),
            Bus::Pci(bus) => bus.waiter(),
            Bus::Dw(bus) => bus.waiter(),
            #[cfg(test)]
            Bus::Fake(_, waiter) => waiter,
        }
    }

    /// An interrupt that came when nothing was waited for.
    pub fn stray(&mut self) {
        match self {
            Bus::Virtio(bus) => bus.stray(),
            Bus::Pci(bus) => bus.stray(),
            Bus::Dw(bus) => bus.stray(),
            #[cfg(test)]
            Bus::Fake(..) => {}
        }
    }
}

/// Waits by the clock: chips ask for milliseconds at most, when they are set up.
pub struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        let end = time::ticks() + time::from_nanoseconds(u64::from(ns)) + 1;
        while time::ticks() < end {
            core::hint::spin_loop();
        }
    }
}

/// Opens the bus that the manifest gives this server: the argument `rp1_i2c = "i2c1"` names a controller of RP1; without it, it is
/// the device `i2c`.
pub fn open(rt: Runtime, slots: &mut Slots, pages: &mut Pages, bits: &mut Bits) -> Option<Bus> {
    #[cfg(test)]
    if let Some(bus) = rt.arg_number("test_bus").and_then(crate::tests::bus::FakeBus::open) {
        let waiter = Waiter::new(Acknowledge::Nobody, bits.take(Class::Doorbell)?, rt.timer("bus")?, 0);
        return Some(Bus::Fake(bus, waiter));
    }
    match rt.arg("rp1_i2c") {
        Some(name) => rp1(rt, slots, pages, bits.take(Class::Doorbell)?, name),
        None => virtio(rt),
    }
}

/// Whether the manifest lets somebody use a sensor.
fn wanted(rt: Runtime) -> bool {
    let grants = rt.env().clients.iter().filter_map(|c| rt.env().grant::<Grants<'_>>(c.badge, INTERFACE));
    grants.into_iter().any(|names| names.iter().next().is_some())
}

fn virtio(rt: Runtime) -> Option<Bus> {
    let env = rt.env();
    let (Some(device), Some(dma), Some(timer)) = (env.device("i2c"), env.dma, rt.timer("bus")) else {
        // Where nobody may use a sensor, nobody misses one.
        if wanted(rt) {
            warn!(
                "no I2C adapter: the manifest or the machine has no device 'i2c', or no DMA memory or timer for it"
            );
        }
        return None;
    };
    let Some(interrupt) = env.interrupts_of(&device, false).next() else {
        warn!("the I2C adapter has no interrupt: a PCI function needs messages (MSI-X)");
        return None;
    };
    if (dma.len as usize) < DMA_BYTES {
        warn!("the manifest gives {} bytes of DMA memory; the I2C adapter needs {DMA_BYTES}", dma.len);
        return None;
    }
    let acknowledge = Acknowledge::Handler(IrqHandler(CPtr(interrupt.slot)));
    let waiter = Waiter::new(acknowledge, interrupt.bit, timer, VIRTIO_PATIENCE_NS);
    // SAFETY: init gave this memory, physically in a row, to this server for its devices; nothing else here uses it, and it stays.
    let dma = unsafe { Dma::new(dma.virt as *mut u8, dma.phys, dma.len as usize) };
    let bus = if env.is_function(&device) {
        VirtioI2c::new(function(rt, &device)?, dma, waiter).map(Bus::Pci)
    } else {
        let registers = rt.registers("i2c", mmio::REGISTERS_BYTES)?;
        VirtioI2c::new(mmio::Mmio(registers), dma, waiter).map(Bus::Virtio)
    };
    bus.inspect_err(|error| warn!("{error}")).ok()
}

/// A virtio device that is a PCI function.
fn function(rt: Runtime, device: &Device<'_>) -> Option<pci::Pci<pci::Mapped>> {
    let bars = rt.env().bars_of(device);
    // SAFETY: init mapped the function's configuration space to read, and each of these pieces of its BARs, for this server alone; they
    // stay.
    let (config, space) =
        unsafe { (axiom_pci::Mmio::new(device.registers.start as *mut u32), pci::Mapped::new(bars)) };
    let found = pci::Pci::new(&config, space);
    if found.is_none() {
        warn!(
            "the PCI function '{}' is no modern virtio device, or its registers are elsewhere",
            device.name
        );
    }
    found
}

/// `bit` is this server's notification's, for the interrupt.
fn rp1(rt: Runtime, slots: &mut Slots, pages: &mut Pages, bit: Bit, name: &str) -> Option<Bus> {
    let hz = rt.arg_number("i2c_hz").unwrap_or(DEFAULT_HZ);
    let (Some(speed), Some(timer)) = (Speed::at_most(hz), rt.timer("bus")) else {
        warn!("{name}: i2c_hz = {hz} is below 100000, or the manifest gives this server no timer");
        return None;
    };
    let registers = match axiom_rp1_client::open(rt, slots, pages, name) {
        Ok(registers) => registers,
        Err(failure) => {
            warn!("{name}: no I2C bus: {failure}");
            return None;
        }
    };
    let acknowledge = match axiom_rp1_client::interrupt(rt, slots, name, bit) {
        Ok(served) => Acknowledge::Rp1(served),
        Err(failure) => {
            if failure != axiom_rp1_client::Failure::Refused(Refusal::NoInterrupt) {
                warn!("{name}: {failure}");
            }
            warn!("{name}: works without interrupts, by polling");
            Acknowledge::Nobody
        }
    };
    let waiter = Waiter::new(acknowledge, bit, timer, DW_PATIENCE_NS);
    match DwI2c::new(registers.whole(), waiter, CLK_SYS_HZ, speed) {
        Ok(bus) => {
            info!("{name}: I2C at {speed:?} speed");
            Some(Bus::Dw(bus))
        }
        Err(error) => {
            warn!("{name}: {error}");
            None
        }
    }
}
