//! Blocks of the BCM2712 itself, at fixed addresses of the processor. A device tree says the same; prefer it where there is one.
//!
//! ```
//! use bcm2712_pac::soc;
//! assert_eq!(soc::UART10, 0x10_7d00_1000);
//! assert_eq!(soc::GICC - soc::GICD, 0x1000);
//! ```

pub mod gic;
pub mod mailbox;
pub mod mip;
pub mod pcie;
pub mod pm;
pub mod system_timer;
pub mod uart;

/// Interrupt distributor (GIC-400). Source: `bcm2712.dtsi`.
pub const GICD: u64 = 0x10_7fff_9000;
/// Interrupt interface of a core. Source: `bcm2712.dtsi`.
pub const GICC: u64 = 0x10_7fff_a000;
/// System timer; SPI 64 to 67. Source: `bcm2712.dtsi`.
pub const SYSTEM_TIMER: u64 = 0x10_7c00_3000;
/// Mailbox to the firmware; SPI 33. Source: `bcm2712.dtsi`, Circle `bcm2835.h`.
pub const MAILBOX: u64 = 0x10_7c01_3880;
/// UART10, the 3-pin debug connector; SPI 121 (steppings up to C1) or 120 (D0). Its clock is disputed (9.216 or 44 MHz): leave the
/// rate as firmware set it. Source: `bcm2712.dtsi`, Circle `bcm2711int.h`.
pub const UART10: u64 = 0x10_7d00_1000;
/// Power management and watchdog. Source: `bcm2712.dtsi`, Arm Trusted Firmware `rpi3_pm.c`.
pub const PM: u64 = 0x10_7d20_0000;
/// The PCIe root complex that RP1 hangs on; INTA to INTD are SPI 229 to 232. Source: `bcm2712.dtsi`.
pub const PCIE2: u64 = 0x10_0012_0000;
/// The block that turns messages of RP1 into SPI 128 to 191. Source: `bcm2712.dtsi`.
pub const MIP0: u64 = 0x10_0013_0000;
/// SPI of RP1's INTA. Source: `bcm2712.dtsi`.
pub const SPI_PCIE2_INTA: u32 = 229;
/// First SPI of [`MIP0`]. Source: `bcm2712.dtsi`.
pub const SPI_MIP0: u32 = 128;
/// Hz of the generic timer. Source: Arm Trusted Firmware `platform_def.h`, `bcm2712.dtsi` (clk-osc).
pub const CRYSTAL_HZ: u32 = 54_000_000;
