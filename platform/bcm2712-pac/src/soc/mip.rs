//! MIP: messages of PCIe devices as interrupts of the GIC. A device writes vector `n` to the block's message address, and SPI
//! 128 + n (MIP0) is raised, as an edge.
//!
//! ```
//! use bcm2712_pac::soc::mip;
//! assert_eq!((mip::INT_CLEAR.offset(), mip::MASK_LOW.offset(), mip::MASK_HIGH_VPU.offset()), (0x10, 0x40, 0x70));
//! ```

/// The PCI address that messages for MIP0 are written to. Source: `bcm2712.dtsi`.
pub const MIP0_MESSAGE_ADDRESS: u64 = 0xff_ffff_f000;

axiom_mmio::block! {
    /// The block. Not in the model: there the messages reach the GIC by themselves.
    Mip from "drivers/irqchip/irq-bcm2712-mip.c";
    /// Raises vectors 0 to 31, for tests.
    INT_RAISE @ 0x00: u32, WriteOnly;
    /// Clears vectors 0 to 31.
    INT_CLEAR @ 0x10: u32, WriteOnly;
    /// 1: edge, vectors 0 to 31.
    CONFIG_LOW @ 0x20: u32, ReadWrite;
    /// 1: edge, vectors 32 to 63.
    CONFIG_HIGH @ 0x30: u32, ReadWrite;
    /// 1: kept from the processor, vectors 0 to 31.
    MASK_LOW @ 0x40: u32, ReadWrite;
    /// 1: kept from the processor, vectors 32 to 63.
    MASK_HIGH @ 0x50: u32, ReadWrite;
    /// 1: kept from the video processor, vectors 0 to 31.
    MASK_LOW_VPU @ 0x60: u32, ReadWrite;
    /// 1: kept from the video processor, vectors 32 to 63.
    MASK_HIGH_VPU @ 0x70: u32, ReadWrite;
}
