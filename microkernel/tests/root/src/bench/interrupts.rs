//! A device's interrupt: to its driver, and its acknowledgement.
use crate::table::{SAMPLES, Table, WARM_UP};
use axiom_root_test::arch::device;
use axiom_root_test::world::{self as w, World, cycles};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::object::kind;
use sel4_sys::{BootInfo, CPtr, Error, label, stubs};

static WOKEN: AtomicU64 = AtomicU64::new(0);
static ACK: AtomicU64 = AtomicU64::new(0);
static HANDLER: AtomicU64 = AtomicU64::new(0);

extern "C" fn driver(ntfn: u64, _: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        WOKEN.store(cycles(), Relaxed);
        device::quiet();
        let start = cycles();
        if w::invoke(CPtr(HANDLER.load(Relaxed)), label::IRQ_ACK, &[], &[]).is_err() {
            panic!("the interrupt cannot be acknowledged");
        }
        ACK.store(cycles().wrapping_sub(start), Relaxed);
    }
}

/// Interrupt to driver, and its acknowledgement.
pub fn measure(world: &mut World, table: &mut Table, info: &BootInfo) {
    match run(world, table, info) {
        Ok(()) => {}
        Err(e) => {
            axiom_root_test::say!("kernel-bench: interrupts: {e:?}");
            table.miss("kernel.interrupt", "an invocation failed");
        }
    }
}

fn run(world: &mut World, table: &mut Table, info: &BootInfo) -> Result<(), Error> {
    let handler = device::prepare(world, info)?;
    HANDLER.store(handler.0, Relaxed);
    let ntfn = world.make(kind::NOTIFICATION, 0);
    w::invoke(handler, label::IRQ_SET_HANDLER, &[ntfn], &[])?;
    world.thread(254, driver, ntfn.0, 0);
    let (mut latency, mut ack) = ([0; SAMPLES], [0; SAMPLES]);
    for i in 0..WARM_UP + SAMPLES {
        device::arm();
        let start = cycles();
        device::raise();
        // The line is seen at one of the next instructions.
        while WOKEN.load(Relaxed) == 0 {
            core::hint::spin_loop();
        }
        let woken = WOKEN.swap(0, Relaxed);
        if let Some(at) = i.checked_sub(WARM_UP) {
            latency[at] = woken.wrapping_sub(start);
            ack[at] = ACK.load(Relaxed);
        }
    }
    table.add("kernel.interrupt_to_driver", &latency, 1);
    table.add("kernel.irq_ack", &ack, 1);
    Ok(())
}
