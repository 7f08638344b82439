//! PL011 serial port. **Leave the rate of the debug port alone**: its clock differs between reports, and firmware has set it.
//!
//! ```
//! use bcm2712_pac::soc::uart;
//! assert_eq!((uart::DR.offset(), uart::FR.offset(), uart::IMSC.offset(), uart::ICR.offset()), (0, 0x18, 0x38, 0x44));
//! ```

axiom_mmio::value! {
    /// A byte, and what was wrong with it.
    Dr {
        /// The byte.
        data / with_data: [7:0]
        /// Framing, parity, break, overrun.
        errors / with_errors: [11:8]
    }
    /// State.
    Fr {
        /// It still sends.
        busy / with_busy: [3]
        /// Nothing received.
        rx_empty / with_rx_empty: [4]
        /// No room to send.
        tx_full / with_tx_full: [5]
        /// Nothing left to send.
        tx_empty / with_tx_empty: [7]
    }
    /// Interrupt causes.
    Intr {
        /// Received up to the threshold.
        receive / with_receive: [4]
        /// Sent up to the threshold.
        transmit / with_transmit: [5]
        /// Received something, and then nothing for 32 bits' time.
        receive_timeout / with_receive_timeout: [6]
    }
}

axiom_mmio::block! {
    /// The port.
    Uart from "Arm DDI 0183G";
    /// Both FIFOs.
    DR @ 0x00: Dr, ReadWrite;
    /// State.
    FR @ 0x18: Fr, ReadOnly;
    /// The rate's divider, whole part.
    IBRD @ 0x24: u32, ReadWrite;
    /// The rate's divider, 64ths.
    FBRD @ 0x28: u32, ReadWrite;
    /// Bits, parity, FIFOs.
    LCR_H @ 0x2c: u32, ReadWrite;
    /// Whether it works.
    CR @ 0x30: u32, ReadWrite;
    /// Thresholds.
    IFLS @ 0x34: u32, ReadWrite;
    /// Causes that are enabled.
    IMSC @ 0x38: Intr, ReadWrite;
    /// Causes that are raised.
    RIS @ 0x3c: Intr, ReadOnly;
    /// Causes that are enabled and raised.
    MIS @ 0x40: Intr, ReadOnly;
    /// Clears causes.
    ICR @ 0x44: Intr, WriteOnly;
}
