//! The system timer: 64 bits at 1 MHz, four comparators.
//!
//! ```
//! use bcm2712_pac::soc::system_timer as t;
//! assert_eq!((t::CS.offset(), t::CLO.offset(), t::CHI.offset(), t::C3.offset()), (0, 4, 8, 0x18));
//! ```

axiom_mmio::block! {
    /// The timer.
    SystemTimer from "bcm2712.dtsi (brcm,bcm2835-system-timer), BCM2835 ARM Peripherals";
    /// Comparators that matched, a bit each; writing 1 clears.
    CS @ 0x00: u32, ReadWrite;
    /// Low half of the count.
    CLO @ 0x04: u32, ReadOnly;
    /// High half.
    CHI @ 0x08: u32, ReadOnly;
    /// Comparator 0.
    C0 @ 0x0c: u32, ReadWrite;
    /// Comparator 1.
    C1 @ 0x10: u32, ReadWrite;
    /// Comparator 2.
    C2 @ 0x14: u32, ReadWrite;
    /// Comparator 3.
    C3 @ 0x18: u32, ReadWrite;
}
