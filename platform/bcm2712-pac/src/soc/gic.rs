//! GIC-400 (GICv2): distributor and a core's interface.
//!
//! ```
//! use bcm2712_pac::soc::gic::{cpu, dist};
//! assert_eq!((dist::CTLR.offset(), dist::TYPER.offset(), dist::enable(229 + 32).offset()), (0, 4, 0x120));
//! assert_eq!(dist::priority(261).offset(), 0x504);
//! assert_eq!((cpu::CTLR.offset(), cpu::PMR.offset(), cpu::IAR.offset(), cpu::EOIR.offset()), (0, 4, 0xc, 0x10));
//! assert_eq!(dist::Typer(0x0000_0068).interrupts(), 288);
//! ```

/// The distributor.
pub mod dist {
    use crate::{ReadWrite, Register};

    axiom_mmio::value! {
        /// What it was built with.
        Typer {
            /// Interrupts, in 32s, less one.
            lines_32 / with_lines_32: [4:0]
            /// Cores, less one.
            cores_1 / with_cores_1: [7:5]
        }
    }

    impl Typer {
        /// Interrupts, with those of the cores.
        pub const fn interrupts(self) -> u32 {
            32 * (self.lines_32() + 1)
        }
    }

    axiom_mmio::block! {
        /// The distributor.
        Distributor from "Arm IHI 0048B (GICv2)";
        /// Bit 0: it works.
        CTLR @ 0x000: u32, ReadWrite;
        /// What it was built with. On a board not yet read: 288 SPIs are an assumption of models.
        TYPER @ 0x004: Typer, ReadOnly;
        /// Who made it.
        IIDR @ 0x008: u32, ReadOnly;
    }

    /// The word in which an interrupt's bit enables it.
    pub const fn enable(id: u32) -> Register<Distributor, u32, ReadWrite> {
        Register::at(0x100 + 4 * (id as usize / 32))
    }
    /// The word in which an interrupt's bit disables it.
    pub const fn disable(id: u32) -> Register<Distributor, u32, ReadWrite> {
        Register::at(0x180 + 4 * (id as usize / 32))
    }
    /// The word with an interrupt's priority, a byte each.
    pub const fn priority(id: u32) -> Register<Distributor, u32, ReadWrite> {
        Register::at(0x400 + 4 * (id as usize / 4))
    }
    /// The word with the cores that get an interrupt, a byte each.
    pub const fn targets(id: u32) -> Register<Distributor, u32, ReadWrite> {
        Register::at(0x800 + 4 * (id as usize / 4))
    }
    /// The word with an interrupt's trigger, two bits each: 2 is edge.
    pub const fn trigger(id: u32) -> Register<Distributor, u32, ReadWrite> {
        Register::at(0xc00 + 4 * (id as usize / 16))
    }
}

/// A core's interface.
pub mod cpu {
    axiom_mmio::value! {
        /// An interrupt that was taken.
        Iar {
            /// Which: 1023 is none.
            id / with_id: [9:0]
            /// For interrupts between cores: from which.
            core / with_core: [12:10]
        }
    }

    axiom_mmio::block! {
        /// A core's interface.
        Interface from "Arm IHI 0048B (GICv2)";
        /// Bit 0: it works.
        CTLR @ 0x00: u32, ReadWrite;
        /// Interrupts of lower priority (greater numbers) are held back.
        PMR @ 0x04: u32, ReadWrite;
        /// Reading takes an interrupt.
        IAR @ 0x0c: Iar, ReadOnly;
        /// Writing ends it.
        EOIR @ 0x10: Iar, WriteOnly;
    }
}
