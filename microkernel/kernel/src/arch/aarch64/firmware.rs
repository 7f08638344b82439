//! What the device tree says: where RAM, interrupt controller, timer, UART, firmware and the initial RAM disk are. What is missing
//! is a sentence.
use super::controller::Gic;
use super::{console, cpu, irq, paging, timer};
use crate::print::println;
use axiom_boot::{Ranges, Refusal, TooManyPieces, chosen, gic};
use axiom_fdt::{Fdt, Node, kernels};
use axiom_objects::PhysAddr;
use sel4_sys::bootinfo::{HEADER_FDT, Header};

/// Why boot cannot go on.
pub type Fatal = Refusal;

/// Most blocks of registers that an interrupt controller may have.
pub const CONTROLLER_BLOCKS: usize = 16;

/// How the kernel was entered.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Where the device tree is.
    pub description: u64,
    /// Where the image is.
    pub image: u64,
    /// The counter at the first instruction.
    pub counter: u64,
    /// The exception level.
    pub level: u64,
}

/// What describes the machine.
pub struct Firmware {
    fdt: Fdt<'static>,
    at: u64,
}

/// The device tree, and what has to be known first: where lines go, and how the machine is turned off.
pub fn find(entry: Entry) -> Result<Firmware, Fatal> {
    let fdt = device_tree(entry.description)?;
    find_console(&fdt, entry.image);
    find_power(&fdt);
    Ok(Firmware { fdt, at: entry.description })
}

impl Firmware {
    /// First byte of the initial RAM disk, and the byte behind its last, apart from all that boot goes on using.
    pub fn initrd(&self, image: (u64, u64)) -> Result<(u64, u64), Fatal> {
        let initrd = chosen::initrd(&self.fdt)?;
        chosen::apart(initrd, "the kernel's image", image)?;
        chosen::apart(initrd, "the device tree", self.extent())?;
        Ok(initrd)
    }

    /// Where the description itself lies.
    pub fn extent(&self) -> (u64, u64) {
        (self.at, self.at + self.fdt.size() as u64)
    }

    /// RAM.
    pub fn ram(&self) -> Result<Ranges, Fatal> {
        axiom_boot::memory::ram(&self.fdt)
    }

    /// Everything that is reserved: start, end, and whether not even a mapping is allowed.
    pub fn reserved(
        &self,
        reserve: impl FnMut(u64, u64, bool) -> Result<(), TooManyPieces>,
    ) -> Result<(), Fatal> {
        axiom_boot::memory::reserved(&self.fdt, reserve)
    }

    /// Refuses memory in which boot cannot go on: what it reads must lie in RAM that is mapped.
    pub fn check(&self, mapped: &Ranges, image: (u64, u64)) -> Result<(), Fatal> {
        if !mapped.contain(image.0, image.1) {
            return Err(Refusal::Rule(
                "the kernel was not loaded into RAM that the device tree describes and lets be mapped",
            ));
        }
        let (start, end) = self.extent();
        if !mapped.contain(start, end) {
            return Err(Refusal::Rule(
                "the device tree does not lie in RAM that it describes itself and lets be mapped",
            ));
        }
        Ok(())
    }

    /// Prepares the interrupt controller: its registers, which are not handed out.
    #[inline(never)]
    pub fn interrupts(&self) -> Result<[(u64, u64); CONTROLLER_BLOCKS], Fatal> {
        interrupt_controller(&self.fdt)
    }

    /// Starts the clock.
    pub fn clock(&self) -> Result<(), Fatal> {
        start_timer(&self.fdt);
        Ok(())
    }

    /// What the facts of the machine are, for whoever reads the console: the device tree says them.
    pub fn report(&self) {}

    /// Bytes of BootInfo's chunks that describe the machine: the device tree. Emulators pad theirs a lot, so only what means something.
    pub fn chunks_size(&self) -> u64 {
        (size_of::<Header>() + self.fdt.used()).next_multiple_of(8) as u64
    }

    /// Writes those chunks.
    pub fn write_chunks(&self, mut write: impl FnMut(&[u8])) {
        let used = self.fdt.used();
        let length = self.chunks_size();
        write(&HEADER_FDT.to_le_bytes());
        write(&length.to_le_bytes());
        let blob = self.fdt.bytes();
        write(&blob[..4]);
        write(&(used as u32).to_be_bytes());
        write(&blob[8..used]);
        write(&[0; 8][..length as usize - size_of::<Header>() - used]);
    }
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
        console::init(base);
        if let Some(why) = console.instead {
            println!("axiom: {why}; writing to {} instead", console.path);
        }
    }
}

#[inline(never)]
fn find_power(fdt: &Fdt<'_>) {
    use cpu::Conduit;
    let psci = fdt.compatible(kernels::FIRMWARE);
    cpu::set_conduit(match psci.and_then(|n| n.text("method")) {
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
    let v3 = fdt.compatible(kernels::GIC_V3);
    let is_v3 = v3.is_some();
    let node = v3.or_else(|| fdt.compatible(kernels::GIC_V2));
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
        irq::init(gic.ok_or(Refusal::Rule(
            "the GICv3's redistributor of this core does not wake up (GICR_WAKER.ChildrenAsleep stays set): firmware keeps it \
             asleep, or its registers are elsewhere",
        ))?);
    } else {
        let dist = paging::map_device(dist.0, 0x1000).ok_or(BAD)?;
        let cpu = paging::map_device(cpu.0, 0x1000).ok_or(BAD)?;
        // SAFETY: both are mapped, and the device tree says what they are.
        irq::init(unsafe { Gic::v2(dist, cpu) });
    }
    Ok(blocks)
}

/// Physical address of this core's redistributor: in one of the regions that follow the distributor in the node's `reg`.
fn redistributor(node: &Node<'_>) -> Result<u64, Fatal> {
    let (_, mpidr) = cpu::identity();
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
fn start_timer(fdt: &Fdt<'_>) {
    const USUAL: u32 = 27;
    let node = fdt.compatible(kernels::TIMER);
    let irq = match node.and_then(|n| n.gic_interrupt(2)) {
        Some(interrupt) => interrupt.id,
        None => {
            println!(
                "axiom: no node arm,armv8-timer with a third interrupt; taking {USUAL} for the virtual timer"
            );
            USUAL
        }
    };
    timer::init();
    crate::node::node().init(timer::frequency(), irq);
    irq::unmask(irq);
    cpu::enable_user_counters();
}
