//! SYSINFO: which chip this is.
//!
//! ```
//! assert_eq!(bcm2712_pac::rp1::sysinfo::CHIP_ID.offset(), 0);
//! ```

/// CHIP_ID of the chip's stepping C0, the one on every board sold. Source: `rp1_platform.h`, `drivers/mfd/rp1.c`.
pub const CHIP_ID_C0: u32 = 0x2000_1927;

axiom_mmio::block! {
    /// Chip identity.
    SysInfo from "rp1_platform.h, drivers/mfd/rp1.c";
    /// The chip's identification: [`CHIP_ID_C0`].
    CHIP_ID @ 0x0: u32, ReadOnly;
    /// Platform: hardware or simulation of the chip's makers.
    PLATFORM @ 0x4: u32, ReadOnly;
}
