//! Power management: the watchdog and the reset.
//!
//! ```
//! use bcm2712_pac::soc::pm;
//! assert_eq!((pm::RSTC.offset(), pm::RSTS.offset(), pm::WDOG.offset()), (0x1c, 0x20, 0x24));
//! assert_eq!(pm::Wdog::from_ticks(65536).0, 0x5a01_0000);
//! assert_eq!(pm::Rstc(0x102).armed().0, 0x5a00_0122);
//! assert_eq!(pm::Rstc(0x122).disarmed().0, 0x5a00_0102);
//! ```

/// What every write has in its top byte. Source: Arm Trusted Firmware `rpi3_pm.c`.
pub const PASSWORD: u32 = 0x5a00_0000;
/// Ticks of the watchdog in a second. Source: Circle `bcmwatchdog.cpp`.
pub const WDOG_HZ: u32 = 65536;
/// The longest time of the watchdog, in ticks: 16 seconds less one tick. Source: Circle `bcmwatchdog.cpp`.
pub const WDOG_MAX: u32 = 0xf_ffff;

axiom_mmio::value! {
    /// What happens when the watchdog runs out.
    Rstc {
        /// 2: everything is reset; 0: nothing.
        wrcfg / with_wrcfg: [5:4]
    }
    /// Why the last reset happened, and which partition is booted after the next.
    Rsts {
        /// The watchdog's reset, of all.
        full / with_full: [5]
    }
    /// The watchdog.
    Wdog {
        /// Ticks that are left.
        ticks / with_ticks: [19:0]
    }
}

impl Rstc {
    /// With the password, and everything reset when the time is over.
    pub const fn armed(self) -> Rstc {
        Rstc(self.0 & 0x00ff_ffff | PASSWORD).with_wrcfg(2)
    }
    /// With the password, and nothing reset.
    pub const fn disarmed(self) -> Rstc {
        Rstc(self.0 & 0x00ff_ffff | PASSWORD).with_wrcfg(0)
    }
}

impl Wdog {
    /// With the password; at most [`WDOG_MAX`].
    pub const fn from_ticks(ticks: u32) -> Wdog {
        Wdog(PASSWORD | if ticks > WDOG_MAX { WDOG_MAX } else { ticks })
    }
}

axiom_mmio::block! {
    /// The watchdog's part of power management.
    Pm from "Arm Trusted Firmware rpi3_pm.c, Circle bcm2835.h and bcmwatchdog.cpp";
    /// What happens when the watchdog runs out.
    RSTC @ 0x1c: Rstc, ReadWrite;
    /// Why the last reset happened.
    RSTS @ 0x20: Rsts, ReadWrite;
    /// The watchdog: writing restarts it.
    WDOG @ 0x24: Wdog, ReadWrite;
}
