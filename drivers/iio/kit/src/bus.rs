//! A bus with one chip on it, which does to a driver what real buses do: no acknowledge at a chosen place, never an acknowledge, a
//! chip that is taken away and put back.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

/// A chip as the bus sees it.
pub trait Model {
    /// Its address.
    fn address(&self) -> u8;
    /// Bytes that were written to it; false if it does not acknowledge them.
    fn write(&mut self, bytes: &[u8]) -> bool;
    /// Bytes that are read from it; false if it does not acknowledge its address.
    fn read(&mut self, bytes: &mut [u8]) -> bool;
    /// Whether these bytes change something; all that is longer than an address, unless the chip is told by commands.
    fn changes(&self, bytes: &[u8]) -> bool {
        bytes.len() > 1
    }
    /// Power comes: every register as the data sheet says, nothing measured.
    fn power_on(&mut self);
    /// Leaves the chip as somebody else may have: settings of all kinds, old samples. `variant` chooses which.
    fn disturb(&mut self, variant: u8);
    /// Everything that decides what the chip measures and tells, in a form that can be compared.
    fn settings(&self) -> Vec<u8>;
    /// Brings about a condition; false if this chip knows no such thing.
    fn set(&mut self, condition: Condition) -> bool;
}

/// What a chip can be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// It has measured value number so-and-so of the subject's list.
    Measured(usize),
    /// It has measured nothing (new).
    NotReady,
    /// A value is outside its range.
    Overflow,
    /// Its next answer is damaged.
    BadChecksum,
    /// Another chip stands in its place.
    Stranger,
}

/// A transfer that was not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nack;

impl embedded_hal::i2c::Error for Nack {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
    }
}

/// The bus.
pub struct Bus {
    /// The chip.
    pub model: Box<dyn Model>,
    /// The part of a transfer (write or read, counted from now on) that is not acknowledged.
    pub nack_at: Option<u32>,
    /// Nothing is acknowledged: the chip is unplugged, or the bus is stuck.
    pub dead: bool,
    /// Parts of transfers so far.
    pub parts: u32,
    /// Parts that changed something so far.
    pub writes: u32,
}

impl Bus {
    /// With this chip, which has just got its power.
    pub fn new(mut model: Box<dyn Model>) -> Bus {
        model.power_on();
        Bus { model, nack_at: None, dead: false, parts: 0, writes: 0 }
    }
}

impl ErrorType for Bus {
    type Error = Nack;
}

impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Nack> {
        for operation in operations {
            self.parts += 1;
            let refused = match &mut self.nack_at {
                Some(0) => self.nack_at.take().is_some(),
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            };
            if refused || self.dead || address != self.model.address() {
                return Err(Nack);
            }
            let acknowledged = match operation {
                Operation::Write(bytes) => {
                    self.writes += u32::from(self.model.changes(bytes));
                    self.model.write(bytes)
                }
                Operation::Read(bytes) => self.model.read(bytes),
            };
            if !acknowledged {
                return Err(Nack);
            }
        }
        Ok(())
    }
}
