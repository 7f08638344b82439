//! virtio 1.2: what drivers of all devices share. A device is reached by its [`Transport`]: registers in memory ([`mmio`], chapter 4.2) or
//! PCI ([`pci`], chapter 4.1); its work by split queues ([`Queue`], chapter 2.7) in memory that it sees too ([`Dma`]).
//!
//! Modern devices only (VIRTIO_F_VERSION_1). What a device says is not trusted: it gets a queue of the size that was agreed, and what it
//! writes is read as numbers that are compared, never as places.
#![no_std]
#[cfg(test)]
extern crate std;

pub mod mmio;
pub mod pci;
mod queue;

pub use queue::{DESC_NEXT, DESC_WRITE, Dma, Layout, Queue};

/// Bits of the device's status.
mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const FAILED: u8 = 128;
}

/// VIRTIO_F_VERSION_1, in the second word of features.
const VERSION_1: u32 = 1;
/// How often a device is asked whether its reset is done.
const RESET_LOOKS: u32 = 100_000;

/// Where the parts of a queue are, as the device sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts {
    /// The descriptors.
    pub descriptors: u64,
    /// What the driver offers.
    pub available: u64,
    /// What the device is done with.
    pub used: u64,
}

/// The way to a device.
pub trait Transport {
    /// The device's type, if this is a modern virtio device at all.
    fn device_id(&self) -> Option<u32>;
    /// The device's status.
    fn status(&self) -> u8;
    /// Sets it; 0 resets the device.
    fn set_status(&mut self, status: u8);
    /// A word of the features that the device offers.
    fn features(&mut self, word: u32) -> u32;
    /// A word of those that the driver takes.
    fn set_features(&mut self, word: u32, taken: u32);
    /// Most entries of a queue; 0 where there is none.
    fn most(&mut self, queue: u16) -> u16;
    /// Sets a queue up, with its interrupt, and lets the device use it; false if the device has no interrupt for it.
    #[must_use]
    fn set_queue(&mut self, queue: u16, entries: u16, parts: Parts) -> bool;
    /// Tells the device that a queue has something for it.
    fn notify(&mut self, queue: u16);
    /// Takes the device's interrupt back, where that is to be done.
    fn acknowledge(&mut self);
    /// A byte of the device's own configuration; zero where it has none.
    fn config(&self, offset: u16) -> u8;
}

/// A device does not work as virtio 1.2 says: it is not there, wants what the driver has not, or has too small a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unusable;

/// Resets a device and negotiates: the driver wants these features of the first word, and gets those of them that there are.
pub fn negotiate(transport: &mut impl Transport, device_id: u32, wanted: u32) -> Result<u32, Unusable> {
    use status::{ACKNOWLEDGE, DRIVER, FEATURES_OK};
    if transport.device_id() != Some(device_id) {
        return Err(Unusable);
    }
    transport.set_status(0);
    let mut looks = 0..RESET_LOOKS;
    while transport.status() != 0 {
        looks.next().ok_or(Unusable)?;
    }
    transport.set_status(ACKNOWLEDGE | DRIVER);
    let taken = transport.features(0) & wanted;
    transport.set_features(0, taken);
    let version = transport.features(1) & VERSION_1;
    transport.set_features(1, version);
    transport.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK);
    if version == 0 || transport.status() & FEATURES_OK == 0 {
        return Err(fail(transport));
    }
    Ok(taken)
}

/// Gives a device up.
pub fn fail(transport: &mut impl Transport) -> Unusable {
    transport.set_status(status::FAILED);
    Unusable
}

/// The driver is ready.
pub fn start(transport: &mut impl Transport) {
    use status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK};
    transport.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
