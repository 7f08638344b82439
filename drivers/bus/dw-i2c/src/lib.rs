//! The DesignWare I2C controller, RP1's, as embedded-hal's `I2c` with addresses of seven and ten bits.
//!
//! A transaction's bytes go through the FIFOs. Between two fillings the driver waits ([`Wait`]: for an interrupt, or by polling); a
//! transaction that fits the FIFO waits exactly once. It ends with a stop that was seen on the bus, or with an error that says what
//! went wrong: no chip answered, a chip refused a byte, another master won the bus, or the time was over. In the last case the
//! controller is told to give the transaction up, and a data line that a chip still holds low is clocked free. The caller sees one
//! error; if the bus does not work after that, the next transaction says so.
#![no_std]
#[cfg(test)]
extern crate std;

mod recover;
#[cfg(test)]
mod tests;
mod timing;

pub use axiom_bus::Wait;
pub use timing::{Speed, Timing};

use bcm2712_pac::rp1::i2c::{self, COMP_TYPE_VALUE, Con, DataCmd, Enable, Intr, Tar};
use bcm2712_pac::{Block, Io};
use core::fmt;
use embedded_hal::i2c::{
    ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress, TenBitAddress,
};

/// How often a status register is read after a command. If the command has not taken effect by then, the controller counts as broken.
const PATIENCE: u32 = 100_000;

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum I2cError {
    /// What answers is not this controller: what its type register reads as.
    NotThere(u32),
    /// No chip acknowledged the address.
    NoSuchChip,
    /// The chip did not acknowledge a byte.
    Refused,
    /// Another master won the bus.
    ArbitrationLost,
    /// The transaction did not end in time; it was given up.
    Timeout,
    /// A line of the bus is held low, and recovery did not free it.
    Stuck,
    /// Received bytes were lost.
    Overrun,
    /// The controller cannot address a chip without moving a byte.
    Empty,
    /// The controller gave up for a reason of its own: its abort register.
    Controller(u32),
}

impl fmt::Display for I2cError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            I2cError::NotThere(id) => {
                return write!(f, "no DesignWare I2C controller answers: its type reads as {id:#010x}");
            }
            I2cError::NoSuchChip => "no chip acknowledged the address",
            I2cError::Refused => "the chip did not acknowledge a byte",
            I2cError::ArbitrationLost => "another master won the bus",
            I2cError::Timeout => "the transfer did not end in time; it was given up",
            I2cError::Stuck => {
                "a line of the bus is held low; is a chip without power, or the pull-up missing?"
            }
            I2cError::Overrun => "received bytes were lost",
            I2cError::Empty => "the controller cannot address a chip without a byte",
            I2cError::Controller(why) => {
                return write!(f, "the I2C controller gave up: abort source {why:#x}");
            }
        })
    }
}

impl core::error::Error for I2cError {}

impl embedded_hal::i2c::Error for I2cError {
    fn kind(&self) -> ErrorKind {
        match self {
            I2cError::NoSuchChip => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            I2cError::Refused => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
            I2cError::ArbitrationLost => ErrorKind::ArbitrationLoss,
            I2cError::Timeout | I2cError::Stuck => ErrorKind::Bus,
            I2cError::Overrun => ErrorKind::Overrun,
            I2cError::NotThere(_) | I2cError::Empty | I2cError::Controller(_) => ErrorKind::Other,
        }
    }
}

/// The controller.
pub struct DwI2c<I, W> {
    registers: Block<i2c::I2c, I>,
    wait: W,
    con: Con,
    fifo: usize,
    stuck: bool,
    /// Transactions that were given up.
    pub given_up: u32,
}

impl<I: Io, W: Wait> DwI2c<I, W> {
    /// Sets up the controller that `io` reaches, whose clock has `clock_hz`.
    pub fn new(io: I, wait: W, clock_hz: u32, speed: Speed) -> Result<DwI2c<I, W>, I2cError> {
        let registers: Block<i2c::I2c, I> = Block::new(io);
        let kind = registers.read(i2c::COMP_TYPE);
        if kind != COMP_TYPE_VALUE {
            return Err(I2cError::NotThere(kind));
        }
        // Instances that do not tell their depths have RP1's at least.
        let p = registers.read(i2c::COMP_PARAM_1);
        let fifo = p.rx_depth().min(p.tx_depth()) as usize + 1;
        let con = Con(0)
            .with_master(true)
            .with_slave_disable(true)
            .with_restart_enable(true)
            .with_rx_fifo_full_hold(true)
            .with_speed(if speed == Speed::Standard { 1 } else { 2 });
        let fifo = if fifo > 1 { fifo } else { i2c::FIFO };
        let mut bus = DwI2c { registers, wait, con, fifo, stuck: false, given_up: 0 };
        bus.disable()?;
        let t = Timing::new(clock_hz, speed);
        let r = &bus.registers;
        r.write(i2c::INTR_MASK, Intr(0));
        let (high, low) = match speed {
            Speed::Standard => (i2c::SS_SCL_HCNT, i2c::SS_SCL_LCNT),
            _ => (i2c::FS_SCL_HCNT, i2c::FS_SCL_LCNT),
        };
        r.write(high, t.high);
        r.write(low, t.low);
        r.write(i2c::FS_SPKLEN, t.spike);
        r.write(i2c::SDA_HOLD, i2c::Hold(0).with_transmit(t.hold));
        r.write(i2c::CON, con);
        Ok(bus)
    }

    /// An interrupt that came when nothing was waited for: its cause is masked, and the next one can come.
    pub fn stray(&mut self) {
        self.registers.write(i2c::INTR_MASK, Intr(0));
        self.wait.handled();
    }

    /// The waiting side.
    pub fn waiter(&mut self) -> &mut W {
        &mut self.wait
    }

    /// Turns the controller off, which empties its FIFOs.
    fn disable(&mut self) -> Result<(), I2cError> {
        self.registers.write(i2c::ENABLE, Enable(0));
        let off = (0..PATIENCE).any(|_| !self.registers.read(i2c::ENABLE_STATUS).enable());
        if off { Ok(()) } else { Err(I2cError::Stuck) }
    }

    fn run(&mut self, tar: Tar, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        if operations.is_empty() {
            return Ok(());
        }
        if operations.iter().any(|o| length(o) == 0) {
            return Err(I2cError::Empty);
        }
        if self.stuck {
            self.recover()?;
        }
        self.disable()?;
        let r = &self.registers;
        r.write(i2c::CON, self.con);
        r.write(i2c::TAR, tar);
        r.write(i2c::INTR_MASK, Intr(0));
        r.write(i2c::ENABLE, Enable(0).with_enable(true));
        r.read(i2c::CLR_INTR);
        self.wait.begin();
        let done = self.transfer(operations);
        self.registers.write(i2c::INTR_MASK, Intr(0));
        if done == Err(I2cError::Timeout) {
            self.give_up();
        }
        done
    }

    fn transfer(&mut self, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        let (mut put, mut got) = (Cursor::default(), Cursor::default());
        // Reads that were asked for and have not come.
        let mut owed = 0;
        loop {
            let r = &self.registers;
            let mut room = self.fifo - (r.read(i2c::TXFLR) as usize).min(self.fifo);
            while room > 0
                && let Some(command) = put.command(operations)
            {
                if command.read() {
                    if owed == self.fifo {
                        break;
                    }
                    owed += 1;
                }
                r.write(i2c::DATA_CMD, command);
                put.advance(operations);
                room -= 1;
            }
            let all_asked = put.command(operations).is_none();
            let mut wanted = Intr(0).with_tx_abrt(true).with_stop_det(true);
            if !all_asked {
                // Reads go on when bytes have come, writes when bytes have left.
                if owed == self.fifo {
                    r.write(i2c::RX_TL, self.fifo as u32 / 2 - 1);
                    wanted = wanted.with_rx_full(true);
                } else {
                    r.write(i2c::TX_TL, self.fifo as u32 / 2);
                    wanted = wanted.with_tx_empty(true);
                }
            }
            r.write(i2c::INTR_MASK, wanted);
            let in_time = self.wait.wait();
            let r = &self.registers;
            let raised = r.read(i2c::RAW_INTR_STAT);
            // Whoever waits may have been kept from running; what counts is whether the controller got on.
            if !in_time && raised.0 & wanted.0 == 0 {
                return Err(I2cError::Timeout);
            }
            let mut lost = raised.rx_over();
            for _ in 0..r.read(i2c::RXFLR) {
                let byte = r.read(i2c::DATA_CMD).data() as u8;
                lost |= !got.store(operations, byte);
                owed = owed.saturating_sub(1);
            }
            if raised.tx_abrt() || raised.stop_det() || lost {
                r.write(i2c::INTR_MASK, Intr(0));
                let why = r.read(i2c::TX_ABRT_SOURCE);
                r.read(i2c::CLR_INTR);
                self.wait.handled();
                return match () {
                    () if raised.tx_abrt() => Err(self.abort(why)),
                    () if lost || owed > 0 || !all_asked => Err(I2cError::Overrun),
                    () => Ok(()),
                };
            }
            // The cause of this interrupt is gone from the mask, or from the FIFO, when it is let in again.
            r.write(i2c::INTR_MASK, Intr(0));
            self.wait.handled();
        }
    }

    fn abort(&mut self, why: i2c::Abort) -> I2cError {
        if why.addr7_nack() || why.addr10_first_nack() || why.addr10_second_nack() {
            I2cError::NoSuchChip
        } else if why.data_nack() {
            I2cError::Refused
        } else if why.lost() {
            I2cError::ArbitrationLost
        } else if why.sda_stuck() {
            self.stuck = true;
            I2cError::Stuck
        } else {
            I2cError::Controller(why.0)
        }
    }
}

fn length(operation: &Operation<'_>) -> usize {
    match operation {
        Operation::Read(bytes) => bytes.len(),
        Operation::Write(bytes) => bytes.len(),
    }
}

/// A place in a transaction's bytes.
#[derive(Clone, Copy, Default)]
struct Cursor {
    operation: usize,
    byte: usize,
}

impl Cursor {
    /// The FIFO's entry for the byte here; `None` after the last.
    fn command(self, operations: &[Operation<'_>]) -> Option<DataCmd> {
        let operation = operations.get(self.operation)?;
        let reads = |o: &Operation<'_>| matches!(o, Operation::Read(_));
        let data = match operation {
            Operation::Write(bytes) => bytes[self.byte].into(),
            Operation::Read(_) => 0,
        };
        // Operations of one direction are one message: no start between them.
        let turns = self.byte == 0
            && self.operation > 0
            && reads(&operations[self.operation - 1]) != reads(operation);
        let last = self.operation + 1 == operations.len() && self.byte + 1 == length(operation);
        Some(DataCmd(0).with_data(data).with_read(reads(operation)).with_restart(turns).with_stop(last))
    }

    fn advance(&mut self, operations: &[Operation<'_>]) {
        self.byte += 1;
        if operations.get(self.operation).is_none_or(|o| self.byte == length(o)) {
            *self = Cursor { operation: self.operation + 1, byte: 0 };
        }
    }

    /// Puts a received byte to the next place that reads; false if there is none.
    fn store(&mut self, operations: &mut [Operation<'_>], byte: u8) -> bool {
        while let Some(Operation::Write(_)) = operations.get(self.operation) {
            *self = Cursor { operation: self.operation + 1, byte: 0 };
        }
        let Some(Operation::Read(bytes)) = operations.get_mut(self.operation) else { return false };
        bytes[self.byte] = byte;
        self.advance(operations);
        true
    }
}

impl<I, W> ErrorType for DwI2c<I, W> {
    type Error = I2cError;
}

impl<I: Io, W: Wait> I2c<SevenBitAddress> for DwI2c<I, W> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        self.run(Tar(0).with_address((address & 0x7f).into()), operations)
    }
}

impl<I: Io, W: Wait> I2c<TenBitAddress> for DwI2c<I, W> {
    fn transaction(&mut self, address: u16, operations: &mut [Operation<'_>]) -> Result<(), I2cError> {
        self.run(Tar(0).with_address(address.into()).with_ten_bit(true), operations)
    }
}
