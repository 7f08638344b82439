//! A bus for the server's tests, with chips that live by the test's clock: an ADXL345 whose FIFO fills and whose interrupt line rises while
//! nobody looks, and an LM75. A test takes their power away, leaves them alone for as long as it likes, and knows each sample that was
//! measured by its number.

use super::MODELS;
use crate::bus::BusError;
use axiom_dw_i2c::I2cError;
use axiom_runtime::time;
use embedded_hal::i2c::Operation;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

const FIFO: usize = 32;

/// The chips of a bus.
#[derive(Default)]
pub struct Chips {
    /// The accelerometer, where there is one.
    pub adxl345: Option<Adxl345>,
    /// The thermometer, where there is one.
    pub lm75: Option<Lm75>,
    /// A register of the accelerometer and a value that it does not acknowledge the next time.
    pub refused: Option<(u8, u8)>,
}

/// The server's end of it.
pub struct FakeBus(Arc<Mutex<Chips>>);

impl FakeBus {
    /// The bus that a test has put down under this number.
    pub fn open(number: u64) -> Option<FakeBus> {
        MODELS.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned().map(FakeBus)
    }

    /// A transfer with whoever has the address.
    pub fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), BusError> {
        let mut chips = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Chips { adxl345, lm75, refused } = &mut *chips;
        for operation in operations {
            if address == 0x53
                && let Operation::Write([register, value]) = operation
                && *refused == Some((*register, *value))
            {
                *refused = None;
                return Err(BusError::Dw(I2cError::Refused));
            }
            match (address, &mut *adxl345, &mut *lm75) {
                (0x53, Some(chip), _) => chip.part(operation),
                (0x48, _, Some(chip)) => chip.part(operation),
                _ => return Err(BusError::Dw(I2cError::NoSuchChip)),
            }
        }
        Ok(())
    }
}

/// An ADXL345: sample n reads (n, 0, 256). It measures by its own clock, from the moment at which it is told to.
pub struct Adxl345 {
    registers: [u8; 64],
    pointer: usize,
    fifo: VecDeque<i16>,
    /// Samples measured so far.
    pub measured: i16,
    /// Those that it had to give up since the power came.
    pub given_up: i16,
    overrun: bool,
    fresh: bool,
    /// When the next one is due, nanoseconds.
    due: u64,
}

impl Adxl345 {
    /// Just plugged in.
    pub fn new() -> Adxl345 {
        let mut registers = [0; 64];
        (registers[0x00], registers[0x2c]) = (0xe5, 0x0a);
        let (fifo, measured, given_up, due) = (VecDeque::new(), 0, 0, u64::MAX);
        Adxl345 { registers, pointer: 0, fifo, measured, given_up, overrun: false, fresh: false, due }
    }

    /// Its power dips: it answers as before, with everything as after plugging in.
    pub fn dip(&mut self) {
        let measured = self.measured;
        *self = Adxl345 { measured, ..Adxl345::new() };
    }

    /// Nanoseconds between samples.
    pub fn interval(&self) -> u64 {
        312_500 << (15 - (self.registers[0x2c] & 0xf))
    }

    /// The rate's code, as somebody with a logic analyser would read it.
    pub fn rate(&self) -> u8 {
        self.registers[0x2c]
    }

    fn streams(&self) -> bool {
        self.registers[0x38] >> 6 == 0b10
    }

    /// When its line rises next; `None` while it does not measure or has no interrupt switched on.
    pub fn rises_at(&self) -> Option<u64> {
        let missing = usize::from(self.registers[0x38] & 0x1f).checked_sub(self.fifo.len() + 1)?;
        (self.registers[0x2e] & 2 != 0 && self.due != u64::MAX)
            .then(|| self.due + missing as u64 * self.interval())
    }

    /// Measures what is due.
    pub fn live(&mut self, now: u64) {
        while self.due <= now {
            self.due += self.interval();
            self.measured += 1;
            self.fresh = true;
            if self.streams() {
                self.fifo.push_back(self.measured);
                if self.fifo.len() > FIFO {
                    self.fifo.pop_front();
                    (self.overrun, self.given_up) = (true, self.given_up + 1);
                }
            }
        }
    }

    fn sample(&mut self) {
        let value = match self.fifo.pop_front() {
            Some(value) => value,
            // Nothing is measured since its power came: its outputs are as the power left them.
            None if self.due == u64::MAX => 0,
            None => self.measured,
        };
        let z: i16 = if self.due == u64::MAX { 0 } else { 256 };
        (self.overrun, self.fresh) = (false, false);
        self.registers[0x32..0x34].copy_from_slice(&value.to_le_bytes());
        self.registers[0x36..0x38].copy_from_slice(&z.to_le_bytes());
    }

    fn part(&mut self, operation: &mut Operation<'_>) {
        let now = time::nanoseconds(time::ticks());
        self.live(now);
        match operation {
            Operation::Write(bytes) => {
                self.pointer = usize::from(bytes[0]);
                for byte in &bytes[1..] {
                    self.registers[self.pointer] = *byte;
                    if self.pointer == 0x2d {
                        let starts = self.due == u64::MAX;
                        let due = if starts { now + self.interval() } else { self.due };
                        self.due = if byte & 8 != 0 { due } else { u64::MAX };
                    }
                    if self.pointer == 0x38 && !self.streams() {
                        self.fifo.clear();
                        self.overrun = false;
                    }
                    self.pointer += 1;
                }
            }
            Operation::Read(bytes) => {
                let waiting = self.fifo.len() as u8;
                let watermark = waiting >= self.registers[0x38] & 0x1f;
                self.registers[0x30] = u8::from(self.fresh || waiting > 0) << 7
                    | u8::from(self.streams() && watermark) << 1
                    | u8::from(self.overrun);
                self.registers[0x39] = waiting;
                if self.pointer == 0x32 {
                    self.sample();
                }
                bytes.copy_from_slice(&self.registers[self.pointer..][..bytes.len()]);
            }
        }
    }
}

/// An LM75: it measures `temperature` (256ths of a degree) all the time, unless it is shut down.
pub struct Lm75 {
    /// What it would measure.
    pub temperature: i16,
    /// What it did measure.
    output: i16,
    /// Its configuration.
    pub configuration: u8,
    pointer: u8,
    /// When its measurement is done, nanoseconds.
    due: Option<u64>,
}

impl Lm75 {
    /// A measurement.
    const LASTS: u64 = 100_000_000;

    /// Just plugged in.
    pub fn new(temperature: i16) -> Lm75 {
        Lm75 { temperature, output: 0, configuration: 0, pointer: 0, due: None }
    }

    fn part(&mut self, operation: &mut Operation<'_>) {
        let now = time::nanoseconds(time::ticks());
        let sleeps = self.configuration & 1 != 0;
        let due = *self.due.get_or_insert(now + Lm75::LASTS);
        if !sleeps && now >= due {
            (self.output, self.due) = (self.temperature, Some(now + Lm75::LASTS));
        }
        match operation {
            Operation::Write(bytes) => {
                self.pointer = bytes[0];
                if let (1, Some(value)) = (bytes[0], bytes.get(1)) {
                    if sleeps && value & 1 == 0 {
                        self.due = Some(now + Lm75::LASTS);
                    }
                    self.configuration = *value;
                }
            }
            Operation::Read(bytes) if self.pointer == 0 => bytes.copy_from_slice(&self.output.to_be_bytes()),
            Operation::Read(bytes) => bytes.fill(self.configuration),
        }
    }
}
