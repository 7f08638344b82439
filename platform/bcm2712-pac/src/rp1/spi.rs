//! SPI: Synopsys DesignWare APB SSI v4.02. 200 MHz, FIFOs of 64, frames of 4 to 32 bits.
//!
//! ```
//! use bcm2712_pac::rp1::spi;
//! let at = |r: &str| spi::REGISTERS.iter().find(|(name, _)| *name == r).unwrap().1;
//! assert_eq!((at("CTRLR0"), at("SSIENR"), at("SER"), at("BAUDR")), (0x00, 0x08, 0x10, 0x14));
//! assert_eq!((at("TXFLR"), at("RXFLR"), at("SR"), at("DR")), (0x20, 0x24, 0x28, 0x60));
//! assert_eq!(spi::Ctrlr0(0).with_frame_bits(7).with_phase(true).0, 7 << 16 | 1 << 6);
//! ```

/// What [`VERSION`] reads as: "402*". Source: `rp1.dtsi`, Circle `spimaster-rp1.cpp`.
pub const VERSION_VALUE: u32 = 0x3430_322a;
/// Entries of each FIFO on RP1. Source: `rp1.dtsi`.
pub const FIFO: usize = 64;

axiom_mmio::value! {
    /// How frames look. Change it only while the controller is disabled.
    Ctrlr0 {
        /// Format: 0 is Motorola's.
        format / with_format: [5:4]
        /// Data is taken at the second edge (CPHA).
        phase / with_phase: [6]
        /// The clock rests high (CPOL).
        polarity / with_polarity: [7]
        /// 0 both ways, 1 send only, 2 receive only, 3 EEPROM.
        mode / with_mode: [9:8]
        /// Receives what it sends, inside the chip.
        loopback / with_loopback: [11]
        /// Bits of a frame, less one (instances with frames up to 32 bits).
        frame_bits / with_frame_bits: [20:16]
    }
    /// State.
    Sr {
        /// A transfer runs.
        busy / with_busy: [0]
        /// The transmit FIFO has room.
        tx_not_full / with_tx_not_full: [1]
        /// The transmit FIFO is empty.
        tx_empty / with_tx_empty: [2]
        /// The receive FIFO holds something.
        rx_not_empty / with_rx_not_empty: [3]
        /// The receive FIFO is full.
        rx_full / with_rx_full: [4]
    }
    /// Interrupt causes.
    Intr {
        /// The transmit FIFO holds its threshold or less.
        tx_empty / with_tx_empty: [0]
        /// Written to a full FIFO.
        tx_over / with_tx_over: [1]
        /// Read from an empty FIFO.
        rx_under / with_rx_under: [2]
        /// A frame was lost.
        rx_over / with_rx_over: [3]
        /// The receive FIFO holds more than its threshold.
        rx_full / with_rx_full: [4]
    }
}

axiom_mmio::block! {
    /// A DesignWare SSI controller.
    Spi from "rp1.dtsi, Circle spimaster-rp1.cpp, drivers/spi/spi-dw.h";
    /// How frames look.
    CTRLR0 @ 0x00: Ctrlr0, ReadWrite;
    /// Frames to receive, less one, in the receive-only modes.
    CTRLR1 @ 0x04: u32, ReadWrite;
    /// 1: it works.
    SSIENR @ 0x08: u32, ReadWrite;
    /// Chip selects of the controller's own, a bit each. None: nothing is clocked.
    SER @ 0x10: u32, ReadWrite;
    /// The clock's divider: even, from 2.
    BAUDR @ 0x14: u32, ReadWrite;
    /// Threshold of the transmit FIFO.
    TXFTLR @ 0x18: u32, ReadWrite;
    /// Threshold of the receive FIFO.
    RXFTLR @ 0x1c: u32, ReadWrite;
    /// Frames in the transmit FIFO.
    TXFLR @ 0x20: u32, ReadOnly;
    /// Frames in the receive FIFO.
    RXFLR @ 0x24: u32, ReadOnly;
    /// State.
    SR @ 0x28: Sr, ReadOnly;
    /// Causes that are enabled.
    IMR @ 0x2c: Intr, ReadWrite;
    /// Causes that are enabled and raised.
    ISR @ 0x30: Intr, ReadOnly;
    /// Causes that are raised.
    RISR @ 0x34: Intr, ReadOnly;
    /// Reading clears all causes.
    ICR @ 0x48: u32, ReadOnly;
    /// The identification that the maker chose.
    IDR @ 0x58: u32, ReadOnly;
    /// Version, in ASCII: [`VERSION_VALUE`].
    VERSION @ 0x5c: u32, ReadOnly;
    /// Both FIFOs.
    DR @ 0x60: u32, ReadWrite;
    /// Clocks by which the sampling of received data is late.
    RX_SAMPLE_DLY @ 0xf0: u32, ReadWrite;
}
