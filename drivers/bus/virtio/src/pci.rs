//! PCI (virtio 1.2, 4.1): modern devices, by the capabilities that name their registers, with MSI-X.
//!
//! The driver has its function's configuration space to read and the pages of its BARs. Bus mastering and the table of messages are not
//! its own; init has set them up before the driver runs, entry 0 for the driver's interrupt.

use crate::{Parts, Transport};
use axiom_mmio::{Io, Mmio};
use axiom_pci::{BARS, Config, Identity, VENDOR, capabilities, field};
use core::ptr::NonNull;

/// The vendor of all virtio devices.
pub const VENDOR_ID: u16 = 0x1af4;
/// Modern devices are numbered from here, by their type.
const FIRST_DEVICE: u16 = 0x1040;
/// Bytes of a virtio capability, and of that for notifications.
const CAPABILITY: u32 = 16;
const NOTIFY_CAPABILITY: u32 = 20;
/// No message.
const NO_VECTOR: u32 = 0xffff;
/// The message of every queue: entry 0 of the table.
const VECTOR: u32 = 0;

/// The common registers.
mod common {
    pub const DEVICE_FEATURE_SELECT: u32 = 0x00;
    pub const DEVICE_FEATURE: u32 = 0x04;
    pub const DRIVER_FEATURE_SELECT: u32 = 0x08;
    pub const DRIVER_FEATURE: u32 = 0x0c;
    pub const CONFIG_MSIX_VECTOR: u32 = 0x10;
    pub const DEVICE_STATUS: u32 = 0x14;
    pub const QUEUE_SELECT: u32 = 0x16;
    pub const QUEUE_SIZE: u32 = 0x18;
    pub const QUEUE_MSIX_VECTOR: u32 = 0x1a;
    pub const QUEUE_ENABLE: u32 = 0x1c;
    pub const QUEUE_NOTIFY_OFF: u32 = 0x1e;
    pub const QUEUE_DESC: u32 = 0x20;
    pub const QUEUE_DRIVER: u32 = 0x28;
    pub const QUEUE_DEVICE: u32 = 0x30;
    pub const BYTES: u32 = 0x38;
}

/// How wide an access is, bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// One.
    Byte = 1,
    /// Two.
    Half = 2,
    /// Four.
    Word = 4,
}

/// Registers of a function's BARs.
pub trait Space {
    /// Bytes of a BAR that can be reached; 0 where it is not there.
    fn bytes(&self, bar: u8) -> u64;
    /// Reads; what cannot be reached is ones.
    fn read(&self, bar: u8, offset: u64, width: Width) -> u32;
    /// Writes; what cannot be reached stays.
    fn write(&mut self, bar: u8, offset: u64, width: Width, value: u32);
}

/// BARs that are mapped.
pub struct Mapped([(Option<Mmio>, u64); BARS]);

impl Mapped {
    /// With each BAR's address and bytes.
    ///
    /// # Safety
    /// Each range that is not empty is where registers of that BAR are mapped from its start on, uncached, for as long as this lives.
    pub unsafe fn new(bars: [(u64, u64); BARS]) -> Mapped {
        Mapped(bars.map(|(start, bytes)| {
            let start = NonNull::new(start as *mut u32).filter(|_| bytes > 0);
            // SAFETY: the caller's promise; `at` stays inside of the bytes.
            (start.map(|start| unsafe { Mmio::new(start) }), bytes)
        }))
    }

    fn at(&self, bar: u8, offset: u64, width: Width) -> Option<(&Mmio, usize)> {
        let (start, bytes) = self.0.get(usize::from(bar))?;
        let inside = offset.checked_add(width as u64)? <= *bytes && offset.is_multiple_of(width as u64);
        start.as_ref().filter(|_| inside).map(|start| (start, offset as usize))
    }
}

impl Space for Mapped {
    fn bytes(&self, bar: u8) -> u64 {
        self.0.get(usize::from(bar)).map_or(0, |range| range.1)
    }
    fn read(&self, bar: u8, offset: u64, width: Width) -> u32 {
        let Some((registers, at)) = self.at(bar, offset, width) else { return u32::MAX };
        match width {
            Width::Byte => registers.read_byte(at).into(),
            Width::Half => registers.read_half(at).into(),
            Width::Word => registers.read(at),
        }
    }
    fn write(&mut self, bar: u8, offset: u64, width: Width, value: u32) {
        let Some((registers, at)) = self.at(bar, offset, width) else { return };
        match width {
            Width::Byte => registers.write_byte(at, value as u8),
            Width::Half => registers.write_half(at, value as u16),
            Width::Word => registers.write(at, value),
        }
    }
}

/// A piece of a BAR.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Region {
    bar: u8,
    offset: u64,
    bytes: u32,
}

/// What the capabilities name.
#[derive(Clone, Copy)]
struct Regions {
    common: Region,
    notify: Region,
    multiplier: u32,
    device: Option<Region>,
}

/// The first region of each kind whose BAR there is, by its bytes, and that lies inside it: others of the kind may be for other machines.
fn regions(config: &impl Config, bytes: impl Fn(u8) -> u64) -> Option<Regions> {
    const COMMON: u8 = 1;
    const NOTIFY: u8 = 2;
    const DEVICE: u8 = 4;
    let (mut common, mut notify, mut device) = (None, None, None);
    for (_, at) in capabilities(config).filter(|c| c.0 == VENDOR) {
        let head = field(config, at, 0);
        let (length, kind) = (head >> 16 & 0xff, (head >> 24) as u8);
        if length < CAPABILITY {
            continue;
        }
        let bar = field(config, at, 4) as u8;
        let region = Region { bar, offset: field(config, at, 8).into(), bytes: field(config, at, 12) };
        if region.offset + u64::from(region.bytes) > bytes(bar) {
            continue;
        }
        match kind {
            COMMON if region.bytes >= common::BYTES => {
                common.get_or_insert(region);
            }
            NOTIFY if length >= NOTIFY_CAPABILITY => {
                notify.get_or_insert((region, field(config, at, 16)));
            }
            DEVICE => {
                device.get_or_insert(region);
            }
            _ => {}
        }
    }
    let (notify, multiplier) = notify?;
    Some(Regions { common: common?, notify, multiplier, device })
}

/// The device's type, if the function is a modern one.
fn id(config: &impl Config) -> Option<u32> {
    let identity = Identity::of(config).filter(|i| i.vendor == VENDOR_ID)?;
    identity.device.checked_sub(FIRST_DEVICE).map(u32::from)
}

/// The BAR and the offset of a modern device's status, a byte: 0 resets the device, and it reads 0 once it is reset. With the bytes of each BAR.
pub fn status_register(config: &impl Config, bytes: impl Fn(u8) -> u64) -> Option<(u8, u64)> {
    id(config)?;
    let common = regions(config, bytes)?.common;
    Some((common.bar, common.offset + u64::from(common::DEVICE_STATUS)))
}

/// The transport.
pub struct Pci<S> {
    space: S,
    id: u32,
    regions: Regions,
    /// Where each queue is notified, by its number.
    places: [u64; QUEUES],
}

/// Queues that a device has here at most.
pub const QUEUES: usize = 4;

impl<S: Space> Pci<S> {
    /// A device, if the function is a modern one with the registers that are needed.
    pub fn new(config: &impl Config, space: S) -> Option<Pci<S>> {
        let id = id(config)?;
        let regions = regions(config, |bar| space.bytes(bar))?;
        Some(Pci { space, id, regions, places: [u64::MAX; QUEUES] })
    }

    fn read(&self, register: u32, width: Width) -> u32 {
        self.space.read(self.regions.common.bar, self.regions.common.offset + u64::from(register), width)
    }

    fn write(&mut self, register: u32, width: Width, value: u32) {
        let at = self.regions.common.offset + u64::from(register);
        self.space.write(self.regions.common.bar, at, width, value);
    }

    fn write_wide(&mut self, register: u32, value: u64) {
        self.write(register, Width::Word, value as u32);
        self.write(register + 4, Width::Word, (value >> 32) as u32);
    }
}

impl<S: Space> Transport for Pci<S> {
    fn device_id(&self) -> Option<u32> {
        Some(self.id)
    }
    fn status(&self) -> u8 {
        self.read(common::DEVICE_STATUS, Width::Byte) as u8
    }
    fn set_status(&mut self, status: u8) {
        self.write(common::DEVICE_STATUS, Width::Byte, status.into());
    }
    fn features(&mut self, word: u32) -> u32 {
        self.write(common::DEVICE_FEATURE_SELECT, Width::Word, word);
        self.read(common::DEVICE_FEATURE, Width::Word)
    }
    fn set_features(&mut self, word: u32, taken: u32) {
        self.write(common::DRIVER_FEATURE_SELECT, Width::Word, word);
        self.write(common::DRIVER_FEATURE, Width::Word, taken);
    }
    fn most(&mut self, queue: u16) -> u16 {
        self.write(common::QUEUE_SELECT, Width::Half, queue.into());
        self.read(common::QUEUE_SIZE, Width::Half) as u16
    }
    fn set_queue(&mut self, queue: u16, entries: u16, parts: Parts) -> bool {
        // Changes of the device's configuration interrupt nobody.
        self.write(common::CONFIG_MSIX_VECTOR, Width::Half, NO_VECTOR);
        self.write(common::QUEUE_SELECT, Width::Half, queue.into());
        self.write(common::QUEUE_SIZE, Width::Half, entries.into());
        self.write(common::QUEUE_MSIX_VECTOR, Width::Half, VECTOR);
        if self.read(common::QUEUE_MSIX_VECTOR, Width::Half) != VECTOR {
            return false;
        }
        self.write_wide(common::QUEUE_DESC, parts.descriptors);
        self.write_wide(common::QUEUE_DRIVER, parts.available);
        self.write_wide(common::QUEUE_DEVICE, parts.used);
        let place =
            u64::from(self.read(common::QUEUE_NOTIFY_OFF, Width::Half)) * u64::from(self.regions.multiplier);
        let Some(kept) = self.places.get_mut(usize::from(queue)) else { return false };
        if place + 2 > u64::from(self.regions.notify.bytes) {
            return false;
        }
        *kept = self.regions.notify.offset + place;
        self.write(common::QUEUE_ENABLE, Width::Half, 1);
        true
    }
    fn notify(&mut self, queue: u16) {
        if let Some(place) = self.places.get(usize::from(queue)) {
            self.space.write(self.regions.notify.bar, *place, Width::Half, queue.into());
        }
    }
    fn acknowledge(&mut self) {
        // A message is gone when it has come.
    }
    fn config(&self, offset: u16) -> u8 {
        match self.regions.device {
            Some(region) if u32::from(offset) < region.bytes => {
                self.space.read(region.bar, region.offset + u64::from(offset), Width::Byte) as u8
            }
            _ => 0,
        }
    }
}
