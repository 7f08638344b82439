//! The PCIe root complex as firmware left it: is the link up, which windows are open, where are the device's BARs. Bringing up a
//! complex that was reset is not covered.
//!
//! The order that touches no dead link: [`STATUS`] first; only with the link up [`EXT_CFG_INDEX`] and [`ext_cfg`]; then the
//! windows; only then an address inside one.
//!
//! ```
//! use bcm2712_pac::soc::pcie;
//! assert_eq!(pcie::STATUS.offset(), 0x4068);
//! assert_eq!((pcie::win_lo(0).offset(), pcie::win_hi(0).offset(), pcie::win_lo(3).offset()), (0x400c, 0x4010, 0x4024));
//! assert_eq!((pcie::win_base_limit(1).offset(), pcie::win_base_hi(1).offset(), pcie::win_limit_hi(1).offset()), (0x4074, 0x4088, 0x408c));
//! assert_eq!((pcie::EXT_CFG_INDEX.offset(), pcie::ext_cfg(0x14).offset()), (0x9000, 0x8014));
//! let status = pcie::Status(0xb0);
//! assert!(status.root_mode() && status.data_link_active() && status.phy_up());
//! ```

use crate::{ReadWrite, Register};

/// Outbound windows. Source: `drivers/pci/controller/pcie-brcmstb.c`.
pub const WINDOWS: usize = 4;

axiom_mmio::value! {
    /// The link.
    Status {
        /// The physical layer is up.
        phy_up / with_phy_up: [4]
        /// The data link is active.
        data_link_active / with_data_link_active: [5]
        /// It is a root complex, not an endpoint.
        root_mode / with_root_mode: [7]
    }
    /// Megabytes of a window, low part.
    BaseLimit {
        /// Bits 31 to 20 of the first address.
        base / with_base: [15:4]
        /// Bits 31 to 20 of the last address.
        limit / with_limit: [31:20]
    }
    /// Which function [`ext_cfg`] shows.
    ExtCfgIndex {
        /// Function.
        function / with_function: [14:12]
        /// Device.
        device / with_device: [19:15]
        /// Bus.
        bus / with_bus: [27:20]
    }
}

axiom_mmio::block! {
    /// The root complex.
    Pcie from "drivers/pci/controller/pcie-brcmstb.c";
    /// The link.
    STATUS @ 0x4068: Status, ReadOnly;
    /// Which function [`ext_cfg`] shows.
    EXT_CFG_INDEX @ 0x9000: ExtCfgIndex, ReadWrite;
}

/// PCI address of an outbound window, low half.
pub const fn win_lo(window: usize) -> Register<Pcie, u32, ReadWrite> {
    Register::at(0x400c + 8 * window)
}
/// PCI address of an outbound window, high half.
pub const fn win_hi(window: usize) -> Register<Pcie, u32, ReadWrite> {
    Register::at(0x4010 + 8 * window)
}
/// First and last megabyte of a window as the processor sees it.
pub const fn win_base_limit(window: usize) -> Register<Pcie, BaseLimit, ReadWrite> {
    Register::at(0x4070 + 4 * window)
}
/// Bits 39 to 32 of a window's first address as the processor sees it.
pub const fn win_base_hi(window: usize) -> Register<Pcie, u32, ReadWrite> {
    Register::at(0x4080 + 8 * window)
}
/// Bits 39 to 32 of its last one.
pub const fn win_limit_hi(window: usize) -> Register<Pcie, u32, ReadWrite> {
    Register::at(0x4084 + 8 * window)
}
/// Configuration space of the function that [`EXT_CFG_INDEX`] names. Only with the link up.
pub const fn ext_cfg(offset: usize) -> Register<Pcie, u32, ReadWrite> {
    Register::at(0x8000 + offset)
}
