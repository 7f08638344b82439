//! A device's interrupt: the PL011 of QEMU's `virt` raises its transmit interrupt when it is unmasked.
use crate::table::{SAMPLES, Table, WARM_UP};
use axiom_root_test::world::{self as w, World, cycles};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{BootInfo, CPtr, Error, label, stubs};

/// The PL011 of QEMU's `virt`, and its interrupt (QEMU, hw/arch/virt.c).
const UART: u64 = 0x900_0000;
const UART_INTERRUPT: u64 = 33;
const AT: u64 = 0x7100_0000;
/// PL011 TRM: data, interrupt mask, interrupt clear.
const DATA: u64 = 0x00;
const MASK: u64 = 0x38;
const CLEAR: u64 = 0x44;
const TRANSMIT: u32 = 1 << 5;

static WOKEN: AtomicU64 = AtomicU64::new(0);
static ACK: AtomicU64 = AtomicU64::new(0);
static HANDLER: AtomicU64 = AtomicU64::new(0);

fn register(offset: u64) -> *mut u32 {
    (AT + offset) as *mut u32
}

extern "C" fn driver(ntfn: u64, _: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        WOKEN.store(cycles(), Relaxed);
        // SAFETY: the device's page is mapped at AT for as long as this task runs.
        unsafe {
            register(MASK).write_volatile(0);
            register(CLEAR).write_volatile(TRANSMIT);
        }
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
    map_uart(world, info)?;
    let handler = CPtr(world.slots(1));
    w::invoke(init::IRQ_CONTROL, label::IRQ_ISSUE_HANDLER, &[init::CNODE], &[UART_INTERRUPT, handler.0, 64])?;
    HANDLER.store(handler.0, Relaxed);
    let ntfn = world.make(kind::NOTIFICATION, 0);
    w::invoke(handler, label::IRQ_SET_HANDLER, &[ntfn], &[])?;
    world.thread(254, driver, ntfn.0, 0);
    let (mut latency, mut ack) = ([0; SAMPLES], [0; SAMPLES]);
    for i in 0..WARM_UP + SAMPLES {
        // SAFETY: as in `driver`. A byte that was sent latches the transmit interrupt; unmasking raises the line.
        let start = unsafe {
            register(DATA).write_volatile(0);
            let start = cycles();
            register(MASK).write_volatile(TRANSMIT);
            start
        };
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

/// Maps the UART: pages of its device untyped up to the one that is its.
fn map_uart(world: &mut World, info: &BootInfo) -> Result<(), Error> {
    let count = (info.untyped.end - info.untyped.start) as usize;
    let holds = |u: &sel4_sys::bootinfo::UntypedDesc| {
        u.is_device != 0 && u.paddr <= UART && UART - u.paddr < 1 << u.size_bits
    };
    let index = info.untyped_list[..count].iter().position(holds).ok_or(Error::InvalidArgument)?;
    let untyped = CPtr(info.untyped.start + index as u64);
    let before = (UART - info.untyped_list[index].paddr) / 4096;
    if before > 0 {
        // The rest in front of it, as smaller untypeds: one for each bit of the distance.
        for bit in (0..52).rev().filter(|bit| before & 1 << bit != 0) {
            let slot = world.slots(1);
            let words = [kind::UNTYPED, bit + 12, 0, 0, slot, 1];
            w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &words)?;
        }
    }
    let frame = world.slots(1);
    w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind::SMALL_PAGE, 0, 0, 0, frame, 1])?;
    world.map_tables(AT);
    // Device memory: no attribute of normal memory.
    w::invoke(CPtr(frame), label::PAGE_MAP, &[init::VSPACE], &[AT, 3, 0]).map(drop)
}
