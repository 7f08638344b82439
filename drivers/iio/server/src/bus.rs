//! The I2C bus of this server, and how it waits for the adapter.

use axiom_runtime::proto::env::{NOTIFIED, slot};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{IrqHandler, Notification, Runtime, Timer, time, warn};
use axiom_virtio_i2c::{DMA_BYTES, Dma, Mmio, VirtioI2c, Wait};

/// The bus.
pub type Bus = VirtioI2c<Mmio, Waiter>;

/// A transaction that takes longer than this has failed. Chips answer within milliseconds; behind a virtio adapter there is a
/// process of the host, which a busy host may keep waiting.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Waits on the server's notification for the adapter's interrupt or the end of patience; what else is signalled
/// meanwhile is kept.
pub struct Waiter {
    handler: IrqHandler,
    interrupt: u64,
    timer: Timer,
    timeout: u64,
    deadline: u64,
    pending: u64,
}

impl Waiter {
    /// Bits that were signalled while a transaction ran.
    pub fn take_pending(&mut self) -> u64 {
        core::mem::take(&mut self.pending)
    }

    /// Bits that belong to the bus alone.
    pub fn own_bits(&self) -> u64 {
        self.interrupt | self.timeout
    }
}

impl Wait for Waiter {
    fn begin(&mut self) {
        self.deadline = time::ticks() + time::from_nanoseconds(PATIENCE_NS);
        let _ = self.timer.arm(self.deadline, 0);
    }

    fn wait(&mut self) -> bool {
        loop {
            let bits = Notification(CPtr(slot::NOTIFICATION)).wait() & !NOTIFIED;
            self.pending |= bits & !self.own_bits();
            if bits & self.interrupt != 0 {
                return true;
            }
            // A timeout signal may be left over from an earlier transaction: the clock decides.
            if bits & self.timeout != 0 && time::ticks() >= self.deadline {
                let _ = self.handler.ack();
                return false;
            }
        }
    }

    fn handled(&mut self) {
        let _ = self.handler.ack();
    }
}

/// Finds the adapter that the manifest gives this server.
pub fn open(rt: Runtime) -> Option<Bus> {
    let env = rt.env();
    let device = env.devices.iter().find(|d| d.name == "i2c").filter(|d| d.registers.len > 0);
    let (Some(device), Some(dma), Some((timer, timeout))) = (device, env.dma, rt.timer(0)) else {
        warn!(
            "no I2C adapter: the manifest or the machine has no device 'i2c', or no DMA memory or timer for it"
        );
        return None;
    };
    let interrupt = device.interrupts.first()?;
    if (dma.len as usize) < DMA_BYTES {
        warn!("the manifest gives {} bytes of DMA memory; the I2C adapter needs {DMA_BYTES}", dma.len);
        return None;
    }
    let waiter = Waiter {
        handler: IrqHandler(CPtr(interrupt.slot)),
        interrupt: 1 << interrupt.bit,
        timer,
        timeout,
        deadline: 0,
        pending: 0,
    };
    // SAFETY: init mapped the device's registers, and DMA memory physically in a row, for this server alone; both stay.
    let (registers, dma) =
        unsafe { (Mmio::new(device.registers.start as *mut u32), Dma::new(dma.virt as *mut u8, dma.phys)) };
    match VirtioI2c::new(registers, dma, waiter) {
        Ok(bus) => Some(bus),
        Err(error) => {
            warn!("{error}");
            None
        }
    }
}
