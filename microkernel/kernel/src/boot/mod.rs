//! Boot: from the device tree to the root task.
//!
//! Nothing here knows a board. The device tree says where RAM, interrupt controller, timer, UART, firmware and the initial
//! RAM disk are; what is missing is named on the UART and the machine stops.
use crate::arch::{self, paging};
use crate::drivers::gic::Gic;
use crate::machine::Core;
use crate::node::node;
use crate::print::println;
use axiom_fdt::Fdt;
use axiom_objects::machine::record;
use axiom_objects::trace::class;
use axiom_objects::{PhysAddr, Ptr};
use sel4_sys::ext::event;

mod elf;
mod found;
mod memory;
mod root;

use found::{Fatal, Machine, RING, image_sizes};
use memory::Memory;

pub use found::Entry;

/// Boots: afterwards the root task is the current thread.
pub fn start(entry: Entry) {
    // SAFETY: the ring is zeroed memory of this image, a valid `Ring`, used by nothing else.
    node().trace.start(unsafe { Ptr::new((&raw const RING).expose_provenance()) }, arch::timer::frequency());
    node().trace.record_at(entry.counter, event::BOOT_ENTRY, 0, 0);
    record(Core, class::BOOT, event::BOOT_MMU, 0, 0);
    if let Err(Fatal(reason)) = boot(entry) {
        println!("axiom: boot stopped: {reason}");
        arch::cpu::power_off();
    }
    record(Core, class::BOOT, event::BOOT_ROOT_START, 0, 0);
}

fn boot(entry: Entry) -> Result<(), Fatal> {
    let Entry { dtb, image, .. } = entry;
    let fdt = device_tree(dtb)?;
    find_console(&fdt, image);
    find_firmware(&fdt);
    record(Core, class::BOOT, event::BOOT_DTB, 0, 0);
    let sizes = image_sizes();
    let image = (image, image + sizes.iter().sum::<u64>());
    let initrd = initrd(&fdt)?;
    let mut memory = Memory::of(&fdt)?;
    memory.reserve_listed(&fdt)?;
    // Behind the new window only this memory is there: what boot goes on reading must lie in it.
    if !memory.mapped().contain(image.0, image.1) {
        return Err(Fatal(
            "the kernel was not loaded into RAM that the device tree describes and lets be mapped",
        ));
    }
    if !memory.mapped().contain(dtb, dtb + fdt.len() as u64) {
        return Err(Fatal("the device tree does not lie in RAM that it describes itself and lets be mapped"));
    }
    if !paging::build_window(memory.mapped().as_slice(), image.0, image.0 + sizes[0] + sizes[1]) {
        return Err(Fatal("the RAM that the device tree describes is too scattered, or lies above 512 GiB"));
    }
    memory.reserve(image.0, image.1)?;
    memory.reserve(initrd.0 & !4095, initrd.1)?;
    memory.reserve(dtb & !4095, dtb + fdt.len() as u64)?;
    record(Core, class::BOOT, event::BOOT_MEMORY, 0, 0);
    let kernel_devices = interrupt_controller(&fdt)?;
    timer(&fdt);
    record(Core, class::BOOT, event::BOOT_IRQ, 0, 0);
    let machine = Machine { fdt, initrd, image, kernel_devices, entry };
    root::create(&machine, &mut memory)
}

fn device_tree(dtb: u64) -> Result<Fdt<'static>, Fatal> {
    const BAD: Fatal = Fatal(
        "no usable device tree at the address in x0; start the kernel by the arm64 Linux boot protocol",
    );
    if dtb == 0 || !dtb.is_multiple_of(8) {
        return Err(BAD);
    }
    let at: *const u8 = core::ptr::with_exposed_provenance(PhysAddr(dtb).kernel());
    // SAFETY: the first instructions mapped at least 2 MiB from the device tree's address in the window.
    let header = unsafe { core::slice::from_raw_parts(at, 40) };
    let size = axiom_fdt::stated_size(header).filter(|s| *s <= 2 << 20).ok_or(BAD)?;
    // SAFETY: as above; the size was checked, and nobody writes there: the range is reserved.
    Fdt::new(unsafe { core::slice::from_raw_parts(at, size) }).map_err(|_| BAD)
}

/// The console is the PL011 that `/chosen/stdout-path` names, or else the first in the tree.
fn find_console(fdt: &Fdt<'_>, image: u64) {
    let named = fdt
        .at_path("/chosen")
        .and_then(|c| c.text("stdout-path"))
        .and_then(|p| fdt.at_path(p.split(':').next().unwrap_or(p)))
        .filter(|n| n.is_compatible("arm,pl011"));
    let uart = named.or_else(|| fdt.compatible(&["arm,pl011"]));
    if let Some(base) = uart
        .and_then(|n| n.reg(0))
        .and_then(|(base, size)| paging::map_boot_device(base, size.min(4096), image))
    {
        arch::console::init(base);
    }
}

fn find_firmware(fdt: &Fdt<'_>) {
    use arch::cpu::Conduit;
    let psci = fdt.compatible(&["arm,psci-1.0", "arm,psci-0.2"]);
    arch::cpu::set_conduit(match psci.and_then(|n| n.text("method")) {
        Some("smc") => Conduit::Smc,
        Some("hvc") => Conduit::Hvc,
        _ => Conduit::None,
    });
}

fn initrd(fdt: &Fdt<'_>) -> Result<(u64, u64), Fatal> {
    let chosen = fdt.at_path("/chosen");
    let bound = |name| chosen.as_ref().and_then(|c| c.u64(name));
    match (bound("linux,initrd-start"), bound("linux,initrd-end")) {
        (Some(start), Some(end)) if start < end => Ok((start, end)),
        _ => Err(Fatal(
            "no initial RAM disk: /chosen has no linux,initrd-start and -end. The root task (a bundle or a static ELF) \
             is loaded as the initrd; with QEMU, add -initrd FILE",
        )),
    }
}

fn interrupt_controller(fdt: &Fdt<'_>) -> Result<[(u64, u64); 4], Fatal> {
    const NONE: Fatal = Fatal(
        "no interrupt controller: the device tree has no enabled node compatible with arm,gic-400, arm,cortex-a15-gic or arm,gic-v3",
    );
    const BAD: Fatal =
        Fatal("the interrupt controller's registers in the device tree cannot be read or mapped");
    let mut devices = [(0, 0); 4];
    if let Some(gic) = fdt.compatible(&["arm,gic-v3"]) {
        let (dist, redist) = (gic.reg(0).ok_or(BAD)?, gic.reg(1).ok_or(BAD)?);
        devices[..2].copy_from_slice(&[range(dist), range(redist)]);
        let dist = paging::map_device(dist.0, dist.1.min(0x1_0000)).ok_or(BAD)?;
        let own = paging::map_device(redist.0, redist.1.min(0x2_0000)).ok_or(BAD)?;
        // SAFETY: both are mapped; the boot core's redistributor is the first frame; the first instructions enabled the
        // system register interface for EL1 where they ran at EL2, else firmware did (Linux boot protocol).
        arch::irq::init(unsafe { Gic::v3(dist, own) });
    } else {
        let gic = fdt.compatible(&["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a9-gic"]).ok_or(NONE)?;
        let (dist, cpu) = (gic.reg(0).ok_or(BAD)?, gic.reg(1).ok_or(BAD)?);
        devices[..2].copy_from_slice(&[range(dist), range(cpu)]);
        let dist = paging::map_device(dist.0, 0x1000).ok_or(BAD)?;
        let cpu = paging::map_device(cpu.0, 0x1000).ok_or(BAD)?;
        // SAFETY: both are mapped, and the device tree says what they are.
        arch::irq::init(unsafe { Gic::v2(dist, cpu) });
    }
    Ok(devices)
}

fn range((start, size): (u64, u64)) -> (u64, u64) {
    (start & !4095, (start + size).next_multiple_of(4096))
}

/// The virtual timer is the third interrupt of the timer node (secure, non-secure, virtual, hypervisor).
fn timer(fdt: &Fdt<'_>) {
    let node = fdt.compatible(&["arm,armv8-timer"]);
    let irq = node.and_then(|n| n.gic_interrupt(2)).map_or(27, |(irq, _)| irq);
    arch::timer::init();
    crate::node::node().init(arch::timer::frequency(), irq);
    arch::irq::unmask(irq);
    arch::cpu::enable_user_counters();
}
