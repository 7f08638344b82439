//! I2C: Synopsys DesignWare APB I2C. 200 MHz, FIFOs of 32, up to 1 MHz.
//!
//! ```
//! use bcm2712_pac::rp1::i2c;
//! let at = |r: &str| i2c::REGISTERS.iter().find(|(name, _)| *name == r).unwrap().1;
//! assert_eq!((at("CON"), at("TAR"), at("DATA_CMD")), (0x00, 0x04, 0x10));
//! assert_eq!((at("FS_SCL_HCNT"), at("RAW_INTR_STAT"), at("CLR_TX_ABRT")), (0x1c, 0x34, 0x54));
//! assert_eq!((at("ENABLE"), at("STATUS"), at("SDA_HOLD"), at("COMP_TYPE")), (0x6c, 0x70, 0x7c, 0xfc));
//! ```

/// What [`COMP_TYPE`] reads as. Source: `drivers/i2c/busses/i2c-designware-core.h`.
pub const COMP_TYPE_VALUE: u32 = 0x4457_0140;
/// Entries of each FIFO on RP1. Source: `rp1.dtsi`, Circle `i2cmaster-rp1.cpp`.
pub const FIFO: usize = 32;

axiom_mmio::value! {
    /// How the controller works. Change it only while it is disabled.
    Con {
        /// It is a master.
        master / with_master: [0]
        /// 1 standard (100 kHz), 2 fast (400 kHz and 1 MHz), 3 high speed.
        speed / with_speed: [2:1]
        /// Ten-bit addresses as a slave.
        ten_bit_slave / with_ten_bit_slave: [3]
        /// Ten-bit addresses as a master (older versions; newer ones look at [`Tar::ten_bit`]).
        ten_bit_master / with_ten_bit_master: [4]
        /// It may send repeated starts.
        restart_enable / with_restart_enable: [5]
        /// It is no slave.
        slave_disable / with_slave_disable: [6]
        /// TX_EMPTY is raised when the last byte has left, not when the FIFO has room.
        tx_empty_control / with_tx_empty_control: [8]
        /// A full receive FIFO holds the clock.
        rx_fifo_full_hold / with_rx_fifo_full_hold: [9]
        /// It releases a stuck data line when asked ([`Enable::sda_recovery`]); not in every instance.
        bus_clear / with_bus_clear: [11]
    }
    /// The chip that is spoken to.
    Tar {
        /// Its address.
        address / with_address: [9:0]
        /// The address has ten bits.
        ten_bit / with_ten_bit: [12]
    }
    /// An entry of the FIFO.
    DataCmd {
        /// The byte.
        data / with_data: [7:0]
        /// Read a byte; else write it.
        read / with_read: [8]
        /// End with a stop.
        stop / with_stop: [9]
        /// Begin with a repeated start.
        restart / with_restart: [10]
    }
    /// Interrupt causes.
    Intr {
        /// Read from an empty FIFO.
        rx_under / with_rx_under: [0]
        /// A byte was lost: the receive FIFO was full.
        rx_over / with_rx_over: [1]
        /// The receive FIFO holds more than its threshold.
        rx_full / with_rx_full: [2]
        /// Written to a full FIFO.
        tx_over / with_tx_over: [3]
        /// The transmit FIFO holds its threshold or less.
        tx_empty / with_tx_empty: [4]
        /// A transfer was given up; see [`super::i2c::TX_ABRT_SOURCE`].
        tx_abrt / with_tx_abrt: [6]
        /// Something happened.
        activity / with_activity: [8]
        /// A stop was seen.
        stop_det / with_stop_det: [9]
        /// A start was seen.
        start_det / with_start_det: [10]
        /// The clock line is held low for too long.
        scl_stuck / with_scl_stuck: [14]
    }
    /// Whether it works.
    Enable {
        /// It works.
        enable / with_enable: [0]
        /// Gives the transfer up; clears itself.
        abort / with_abort: [1]
        /// Clocks a stuck data line free; clears itself.
        sda_recovery / with_sda_recovery: [3]
    }
    /// State.
    Status {
        /// Something runs.
        activity / with_activity: [0]
        /// The transmit FIFO has room.
        tx_not_full / with_tx_not_full: [1]
        /// The transmit FIFO is empty.
        tx_empty / with_tx_empty: [2]
        /// The receive FIFO holds something.
        rx_not_empty / with_rx_not_empty: [3]
        /// The receive FIFO is full.
        rx_full / with_rx_full: [4]
        /// The master works.
        master_activity / with_master_activity: [5]
        /// Recovery did not free the data line.
        sda_stuck / with_sda_stuck: [11]
    }
    /// Why a transfer was given up.
    Abort {
        /// Nobody answered a seven-bit address.
        addr7_nack / with_addr7_nack: [0]
        /// Nobody answered the first byte of a ten-bit address.
        addr10_first_nack / with_addr10_first_nack: [1]
        /// Nobody answered the second byte of a ten-bit address.
        addr10_second_nack / with_addr10_second_nack: [2]
        /// A data byte was not acknowledged.
        data_nack / with_data_nack: [3]
        /// Another master won.
        lost / with_lost: [12]
        /// Software gave it up.
        user / with_user: [16]
        /// The data line is held low.
        sda_stuck / with_sda_stuck: [17]
    }
    /// How long data is held after the clock's edge, in clocks.
    Hold {
        /// When sending.
        transmit / with_transmit: [15:0]
        /// When receiving.
        receive / with_receive: [23:16]
    }
    /// What the instance was built with.
    Parameters {
        /// Entries of the receive FIFO, less one.
        rx_depth / with_rx_depth: [15:8]
        /// Entries of the transmit FIFO, less one.
        tx_depth / with_tx_depth: [23:16]
    }
}

axiom_mmio::block! {
    /// A DesignWare I2C controller.
    I2c from "rp1.dtsi, Circle i2cmaster-rp1.cpp, drivers/i2c/busses/i2c-designware-core.h";
    /// How it works.
    CON @ 0x00: Con, ReadWrite;
    /// Whom it speaks to.
    TAR @ 0x04: Tar, ReadWrite;
    /// Both FIFOs.
    DATA_CMD @ 0x10: DataCmd, ReadWrite;
    /// Clocks that SCL is high, standard speed.
    SS_SCL_HCNT @ 0x14: u32, ReadWrite;
    /// Clocks that SCL is low, standard speed.
    SS_SCL_LCNT @ 0x18: u32, ReadWrite;
    /// Clocks that SCL is high, fast.
    FS_SCL_HCNT @ 0x1c: u32, ReadWrite;
    /// Clocks that SCL is low, fast.
    FS_SCL_LCNT @ 0x20: u32, ReadWrite;
    /// Causes that are enabled and raised.
    INTR_STAT @ 0x2c: Intr, ReadOnly;
    /// Causes that are enabled.
    INTR_MASK @ 0x30: Intr, ReadWrite;
    /// Causes that are raised.
    RAW_INTR_STAT @ 0x34: Intr, ReadOnly;
    /// Threshold of the receive FIFO.
    RX_TL @ 0x38: u32, ReadWrite;
    /// Threshold of the transmit FIFO.
    TX_TL @ 0x3c: u32, ReadWrite;
    /// Reading clears all causes and [`TX_ABRT_SOURCE`].
    CLR_INTR @ 0x40: u32, ReadOnly;
    /// Reading clears it.
    CLR_RX_UNDER @ 0x44: u32, ReadOnly;
    /// Reading clears it.
    CLR_RX_OVER @ 0x48: u32, ReadOnly;
    /// Reading clears it.
    CLR_TX_OVER @ 0x4c: u32, ReadOnly;
    /// Reading clears it and [`TX_ABRT_SOURCE`], and lets the FIFO take entries again.
    CLR_TX_ABRT @ 0x54: u32, ReadOnly;
    /// Reading clears it.
    CLR_ACTIVITY @ 0x5c: u32, ReadOnly;
    /// Reading clears it.
    CLR_STOP_DET @ 0x60: u32, ReadOnly;
    /// Reading clears it.
    CLR_START_DET @ 0x64: u32, ReadOnly;
    /// Whether it works.
    ENABLE @ 0x6c: Enable, ReadWrite;
    /// State.
    STATUS @ 0x70: Status, ReadOnly;
    /// Entries in the transmit FIFO.
    TXFLR @ 0x74: u32, ReadOnly;
    /// Entries in the receive FIFO.
    RXFLR @ 0x78: u32, ReadOnly;
    /// How long data is held.
    SDA_HOLD @ 0x7c: Hold, ReadWrite;
    /// Why a transfer was given up.
    TX_ABRT_SOURCE @ 0x80: Abort, ReadOnly;
    /// Whether it still works after it was disabled.
    ENABLE_STATUS @ 0x9c: Enable, ReadOnly;
    /// Spikes that are suppressed, in clocks, up to 1 MHz.
    FS_SPKLEN @ 0xa0: u32, ReadWrite, from "drivers/i2c/busses/i2c-designware-core.h (not in the model)";
    /// What the instance was built with.
    COMP_PARAM_1 @ 0xf4: Parameters, ReadOnly;
    /// Version, in ASCII.
    COMP_VERSION @ 0xf8: u32, ReadOnly;
    /// [`COMP_TYPE_VALUE`].
    COMP_TYPE @ 0xfc: u32, ReadOnly;
}
