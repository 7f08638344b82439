//! ARM Generic Interrupt Controller, versions 2 (GIC-400: IHI 0048B) and 3 (IHI 0069).
//!
//! All interrupts have one priority and go to the boot core. The kernel masks a line until its handler acknowledges, so
//! neither priorities nor preemption of interrupts are needed.
use crate::arch::cpu::{read, write};

const CTLR: usize = 0x000;
const TYPER: usize = 0x004;
const IIDR: usize = 0x008;
const IGROUPR: usize = 0x080;
const ISENABLER: usize = 0x100;
const ICENABLER: usize = 0x180;
const ICPENDR: usize = 0x280;
const ICACTIVER: usize = 0x380;
const IPRIORITYR: usize = 0x400;
const ITARGETSR: usize = 0x800;
const ICFGR: usize = 0xc00;
const IROUTER: usize = 0x6000;
const GICC_CTLR: usize = 0x00;
const GICC_PMR: usize = 0x04;
const GICC_IAR: usize = 0x0c;
const GICC_EOIR: usize = 0x10;
const REDIST_SGI: usize = 0x1_0000;
const REDIST_WAKER: usize = 0x14;
const PRIORITY: u32 = 0xa0a0_a0a0;

/// An interrupt controller whose registers are mapped.
#[derive(Clone, Copy)]
pub struct Gic {
    dist: usize,
    /// GICv2: the CPU interface. GICv3: this core's redistributor.
    cpu: usize,
    v3: bool,
    lines: u32,
}

fn get(address: usize) -> u32 {
    // SAFETY: callers add register offsets of their block to a base that `Gic::v2`/`v3` required to be its mapping.
    unsafe { (address as *const u32).read_volatile() }
}
fn put(address: usize, value: u32) {
    // SAFETY: as for `get`; the values are those that the architecture defines for the registers.
    unsafe { (address as *mut u32).write_volatile(value) };
}

impl Gic {
    /// Initialises a GICv2.
    ///
    /// # Safety
    /// `dist` and `cpu` are mapped device addresses of a GICv2 distributor and CPU interface.
    pub unsafe fn v2(dist: usize, cpu: usize) -> Gic {
        let gic = Gic { dist, cpu, v3: false, lines: lines(dist) };
        put(dist + CTLR, 0);
        gic.reset_lines(dist, 0);
        let target = (0..8).map(|i| get(dist + ITARGETSR + 4 * i)).find(|t| *t != 0).unwrap_or(0x0101_0101);
        for i in 8..gic.lines as usize / 4 {
            put(dist + ITARGETSR + 4 * i, target);
        }
        put(dist + CTLR, 1);
        put(cpu + GICC_PMR, 0xf0);
        put(cpu + GICC_CTLR, 1);
        gic
    }

    /// Initialises a GICv3 and this core's redistributor; none if that does not wake up.
    ///
    /// # Safety
    /// `dist` and `redist` are mapped device addresses of a GICv3 distributor and of this core's redistributor; the system
    /// register interface is enabled for this exception level.
    pub unsafe fn v3(dist: usize, redist: usize) -> Option<Gic> {
        const ARE_AND_GROUP1: u32 = 1 << 4 | 1 << 1;
        let gic = Gic { dist, cpu: redist, v3: true, lines: lines(dist) };
        put(dist + CTLR, 0);
        put(redist + REDIST_WAKER, get(redist + REDIST_WAKER) & !2);
        if !(0..1_000_000).any(|_| get(redist + REDIST_WAKER) & 4 == 0) {
            return None;
        }
        gic.reset_lines(redist + REDIST_SGI, 0);
        gic.reset_lines(dist, 32);
        put(dist + CTLR, ARE_AND_GROUP1);
        let affinity = read!("mpidr_el1");
        let route = affinity & 0xff_00ff_ffff;
        for irq in 32..gic.lines.min(1020) as usize {
            // SAFETY: IROUTER registers of existing lines, 64 bits each.
            unsafe { ((dist + IROUTER + 8 * irq) as *mut u64).write_volatile(route) };
        }
        // SAFETY: the system register interface is enabled (condition of this function).
        unsafe {
            write!("S3_0_C12_C12_5", 7); // ICC_SRE_EL1
            core::arch::asm!("isb");
            write!("S3_0_C4_C6_0", 0xff); // ICC_PMR_EL1
            write!("S3_0_C12_C12_7", 1); // ICC_IGRPEN1_EL1
            core::arch::asm!("isb");
        }
        Some(gic)
    }

    /// Masks all lines of a bank, gives them one priority and group 1, and clears what was pending.
    fn reset_lines(&self, bank: usize, first: u32) {
        let (from, to) = match (self.v3, first) {
            (true, 0) => (0, 1),
            (true, _) => (1, self.lines as usize / 32),
            (false, _) => (0, self.lines as usize / 32),
        };
        for i in from..to {
            put(bank + ICENABLER + 4 * i, u32::MAX);
            put(bank + ICPENDR + 4 * i, u32::MAX);
            put(bank + ICACTIVER + 4 * i, u32::MAX);
            if self.v3 {
                put(bank + IGROUPR + 4 * i, u32::MAX);
            }
            for j in 0..8 {
                put(bank + IPRIORITYR + 4 * (8 * i + j), PRIORITY);
            }
        }
    }

    /// What the distributor says of itself: type, implementer.
    pub fn identity(&self) -> (u32, u32) {
        (get(self.dist + TYPER), get(self.dist + IIDR))
    }

    /// Number of interrupt lines.
    pub fn lines(&self) -> u32 {
        self.lines.min(axiom_objects::node::MAX_IRQS as u32)
    }

    fn bank(&self, irq: u32) -> usize {
        if self.v3 && irq < 32 { self.cpu + REDIST_SGI } else { self.dist }
    }

    /// Takes the most urgent pending interrupt.
    #[inline(always)]
    pub fn acknowledge(&self) -> Option<u32> {
        let irq = if self.v3 {
            (read!("S3_0_C12_C12_0") & 0xff_ffff) as u32 // ICC_IAR1_EL1
        } else {
            get(self.cpu + GICC_IAR) & 0x3ff
        };
        (irq < 1020).then_some(irq)
    }

    /// Ends an acknowledged interrupt.
    #[inline(always)]
    pub fn complete(&self, irq: u32) {
        if self.v3 {
            // SAFETY: ends the interrupt that `acknowledge` returned.
            unsafe { write!("S3_0_C12_C12_1", u64::from(irq)) }; // ICC_EOIR1_EL1
        } else {
            put(self.cpu + GICC_EOIR, irq);
        }
    }

    /// Keeps a line from interrupting.
    pub fn mask(&self, irq: u32) {
        put(self.bank(irq) + ICENABLER + 4 * (irq as usize / 32), 1 << (irq % 32));
    }

    /// Lets a line interrupt.
    pub fn unmask(&self, irq: u32) {
        put(self.bank(irq) + ISENABLER + 4 * (irq as usize / 32), 1 << (irq % 32));
    }

    /// Edge or level. SGIs are fixed.
    pub fn set_trigger(&self, irq: u32, edge: bool) {
        if irq < 16 {
            return;
        }
        let register = self.bank(irq) + ICFGR + 4 * (irq as usize / 16);
        let bit = 2 << (2 * (irq % 16));
        let old = get(register);
        put(register, if edge { old | bit } else { old & !bit });
    }
}

fn lines(dist: usize) -> u32 {
    32 * ((get(dist + TYPER) & 0x1f) + 1)
}
