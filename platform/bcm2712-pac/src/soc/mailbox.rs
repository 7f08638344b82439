//! The mailbox to the firmware: property tags on channel 8.
//!
//! ```
//! use bcm2712_pac::soc::mailbox;
//! assert_eq!((mailbox::READ.offset(), mailbox::STATUS0.offset(), mailbox::WRITE.offset(), mailbox::STATUS1.offset()), (0, 0x18, 0x20, 0x38));
//! ```

/// The channel of property tags. Source: Circle `bcm2835.h`.
pub const CHANNEL_PROPERTIES: u32 = 8;

axiom_mmio::value! {
    /// A word: a buffer's address with a channel in its low bits.
    Letter {
        /// Whom it is for.
        channel / with_channel: [3:0]
        /// The address, less its four low bits.
        address_16 / with_address_16: [31:4]
    }
    /// A direction's state.
    Status {
        /// Nothing to read.
        empty / with_empty: [30]
        /// No room to write.
        full / with_full: [31]
    }
}

axiom_mmio::block! {
    /// The mailbox.
    Mailbox from "Circle bcm2835.h, bcm2712.dtsi";
    /// From the firmware.
    READ @ 0x00: Letter, ReadOnly;
    /// State of that direction.
    STATUS0 @ 0x18: Status, ReadOnly;
    /// Bit 0: SPI 33 when a letter is there.
    CONFIG0 @ 0x1c: u32, ReadWrite;
    /// To the firmware.
    WRITE @ 0x20: Letter, WriteOnly;
    /// State of that direction.
    STATUS1 @ 0x38: Status, ReadOnly;
}
