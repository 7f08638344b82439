//! Boot: from the device tree to the root task.
//!
//! Nothing here knows a board. The device tree says where RAM, interrupt controller, timer, UART, firmware and the initial
//! RAM disk are; what is missing is named on the UART and the machine stops.
use crate::arch::{self, paging};
use crate::drivers::gic::Gic;
use crate::machine::Core;
use crate::node::node;
use crate::print::{self, println};
use axiom_boot::{Refusal, chosen, gic};
use axiom_fdt::{Fdt, Node};
use axiom_objects::machine::record;
use axiom_objects::trace::class;
use axiom_objects::{PhysAddr, Ptr};
use sel4_sys::ext::event;

mod found;
mod memory;
mod root;

use found::{CONTROLLER_BLOCKS, Fatal, Machine, RING, image_sizes};
use memory::Memory;

pub use found::Entry;

/// Boots: afterwards the root task is the current thread.
pub fn start(entry: Entry) {
    arch::stack::guard();
    // SAFETY: the ring is zeroed memory of this image, a valid `Ring`, used by nothing else.
    node().trace.start(unsafe { Ptr::new((&raw const RING).expose_provenance()) }, arch::timer::frequency());
    node().trace.record_at(entry.counter, event::BOOT_ENTRY, 0, 0);
    record(Core, class::BOOT, event::BOOT_MMU, 0, 0);
    if let Err(reason) = find_machine(entry).and_then(|fdt| boot(entry, fdt)) {
        println!("axiom: boot stopped: {reason}");
        arch::cpu::power_off();
    }
    print::buffer();
    record(Core, class::BOOT, event::BOOT_ROOT_START, 0, 0);
}

/// The device tree, and what has to be known first: where lines go, and how the machine is turned off.
fn find_machine(entry: Entry) -> Result<Fdt<'static>, Fatal> {
    let fdt = device_tree(entry.dtb)?;
    find_console(&fdt, entry.image);
    find_firmware(&fdt);
    record(Core, class::BOOT, event::BOOT_DTB, 0, 0);
    Ok(fdt)
}

#[inline(never)]
fn boot(entry: Entry, fdt: Fdt<'static>) -> Result<(), Fatal> {
    let Entry { dtb, image, .. } = entry;
    let sizes = image_sizes();
    let image = (image, image + sizes.iter().sum::<u64>());
    let initrd = chosen::initrd(&fdt)?;
    chosen::apart(initrd, "the kernel's image", image)?;
    chosen::apart(initrd, "the device tree", (dtb, dtb + fdt.size() as u64))?;
    let mut memory = Memory::of(&fdt)?;
    memory.reserve_listed(&fdt)?;
    // Behind the new window only this memory is there: what boot goes on reading must lie in it.
    if !memory.mapped().contain(image.0, image.1) {
        return Err(Refusal::Rule(
            "the kernel was not loaded into RAM that the device tree describes and lets be mapped",
        ));
    }
    if !memory.mapped().contain(dtb, dtb + fdt.size() as u64) {
        return Err(Refusal::Rule(
            "the device tree does not lie in RAM that it describes itself and lets be mapped",
        ));
    }
    if !paging::build_window(memory.mapped().as_slice(), image.0, image.0 + sizes[0] + sizes[1]) {
        return Err(Refusal::Rule(
            "the RAM that the device tree describes is too scattered, or lies above 512 GiB",
        ));
    }
    memory.reserve(image.0, image.1)?;
    memory.reserve(initrd.0 & !4095, initrd.1)?;
    memory.reserve(dtb & !4095, dtb + fdt.size() as u64)?;
    record(Core, class::BOOT, event::BOOT_MEMORY, 0, 0);
    let kernel_devices = interrupt_controller(&fdt)?;
    timer(&fdt);
    record(Core, class::BOOT, event::BOOT_IRQ, 0, 0);
    let machine = Machine { fdt, initrd, image, kernel_devices, entry };
    root::create(&machine, &mut memory)
}

#[inline(never)]
fn device_tree(dtb: u64) -> Result<Fdt<'static>, Fatal> {
    const BAD: Fatal = Refusal::Rule(
        "no usable device tree at the address in x0; start the kernel by the arm64 Linux boot protocol",
    );
    if dtb == 0 || !dtb.is_multiple_of(8) {
        return Err(BAD);
    }
    let at: *const u8 = core::ptr::with_exposed_provenance(PhysAddr(dtb).kernel());
    // SAFETY: the first instructions mapped at least 2 MiB from the device tree's address in the window.
    let header = unsafe { core::slice::from_raw_parts(at, 40) };
    let size = axiom_fdt::stated_size(header).ok_or(BAD)?;
    if size > 2 << 20 {
        return Err(Refusal::Rule("the device tree is larger than 2 MiB, which is all that is mapped of it"));
    }
    // SAFETY: as above; the size was checked, and nobody writes there: the range is reserved.
    Ok(Fdt::new(unsafe { core::slice::from_raw_parts(at, size) })?)
}

/// The console is the PL011 that `/chosen/stdout-path` names, or else the first in the tree, which its first line says.
#[inline(never)]
fn find_console(fdt: &Fdt<'_>, image: u64) {
    let Some(console) = chosen::console(fdt) else { return };
    if let Some(base) = paging::map_boot_device(console.base, console.size.min(4096), image) {
        arch::console::init(base);
        if let Some(why) = console.instead {
            println!("axiom: {why}; writing to {} instead", console.path);
        }
    }
}

#[inline(never)]
fn find_firmware(fdt: &Fdt<'_>) {
    use arch::cpu::Conduit;
    let psci = fdt.compatible(&["arm,psci-1.0", "arm,psci-0.2"]);
    arch::cpu::set_conduit(match psci.and_then(|n| n.text("method")) {
        Some("smc") => Conduit::Smc,
        Some("hvc") => Conduit::Hvc,
        _ => Conduit::None,
    });
}

#[inline(never)]
fn interrupt_controller(fdt: &Fdt<'_>) -> Result<[(u64, u64); CONTROLLER_BLOCKS], Fatal> {
    const NONE: Fatal = Refusal::Rule(
        "no interrupt controller: the device tree has no enabled node compatible with arm,gic-400, arm,cortex-a15-gic or arm,gic-v3",
    );
    const BAD: Fatal =
        Refusal::Rule("the interrupt controller's registers in the device tree cannot be read or mapped");
    let v3 = fdt.compatible(&["arm,gic-v3"]);
    let is_v3 = v3.is_some();
    let node = v3.or_else(|| fdt.compatible(&["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a9-gic"]));
    let node = node.ok_or(NONE)?;
    let (mut blocks, mut count) = ([(0, 0); CONTROLLER_BLOCKS], 0);
    axiom_boot::memory::registers(&node, |start, size| {
        let end = start.checked_add(size).and_then(|end| end.checked_next_multiple_of(4096)).ok_or(BAD)?;
        *blocks.get_mut(count).ok_or(Refusal::ControllerBlocks(CONTROLLER_BLOCKS))? = (start & !4095, end);
        count += 1;
        Ok(())
    })?;
    let (dist, cpu) = (node.reg(0).ok_or(BAD)?, node.reg(1).ok_or(BAD)?);
    if is_v3 {
        let own = redistributor(&node)?;
        let dist = paging::map_device(dist.0, dist.1.min(0x1_0000)).ok_or(BAD)?;
        let own = paging::map_device(own, gic::FRAME).ok_or(BAD)?;
        // SAFETY: both are mapped; the redistributor has this core's affinity; the first instructions enabled the
        // system register interface for EL1 where they ran at EL2, else firmware did (Linux boot protocol).
        let gic = unsafe { Gic::v3(dist, own) };
        arch::irq::init(gic.ok_or(Refusal::Rule(
            "the GICv3's redistributor of this core does not wake up (GICR_WAKER.ChildrenAsleep stays set): firmware keeps it \
             asleep, or its registers are elsewhere",
        ))?);
    } else {
        let dist = paging::map_device(dist.0, 0x1000).ok_or(BAD)?;
        let cpu = paging::map_device(cpu.0, 0x1000).ok_or(BAD)?;
        // SAFETY: both are mapped, and the device tree says what they are.
        arch::irq::init(unsafe { Gic::v2(dist, cpu) });
    }
    Ok(blocks)
}

/// Physical address of this core's redistributor: in one of the regions that follow the distributor in the node's `reg`.
fn redistributor(node: &Node<'_>) -> Result<u64, Fatal> {
    let (_, mpidr) = arch::cpu::identity();
    let own = gic::affinity(mpidr);
    let mut seen = 0;
    for index in 1..=node.u32("#redistributor-regions").unwrap_or(1) as usize {
        let Some((start, size)) = node.reg(index) else { break };
        let typer = |offset| paging::peek_device(start + offset + gic::TYPER);
        match gic::redistributor(own, size, node.u64("redistributor-stride"), typer) {
            Ok(offset) => return Ok(start + offset),
            Err(more) => seen += more,
        }
    }
    Err(Refusal::NoRedistributor(own, seen))
}

/// The virtual timer is the third interrupt of the timer node (secure, non-secure, virtual, hypervisor).
#[inline(never)]
fn timer(fdt: &Fdt<'_>) {
    const USUAL: u32 = 27;
    let node = fdt.compatible(&["arm,armv8-timer"]);
    let irq = match node.and_then(|n| n.gic_interrupt(2)) {
        Some((irq, _)) => irq,
        None => {
            println!(
                "axiom: no node arm,armv8-timer with a third interrupt; taking {USUAL} for the virtual timer"
            );
            USUAL
        }
    };
    arch::timer::init();
    crate::node::node().init(arch::timer::frequency(), irq);
    arch::irq::unmask(irq);
    arch::cpu::enable_user_counters();
}
