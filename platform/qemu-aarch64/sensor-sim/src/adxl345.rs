//! A model of the ADXL345 (data sheet rev. G): identification, output rate, range and resolution, measurement mode, the FIFO in
//! all its modes, and interrupts.
//!
//! With [`Clock::Host`] samples come at the programmed output rate by the host's clock, whether they are read or not.
//! With [`Clock::Reads`] no time passes between reads: each read of the data (or, with the FIFO on, of its status) makes what
//! it asks for, so that a run of the guest is the same however fast the emulator is; the interrupt lines then stay still.
//!
//! Not modelled: tap, activity and free fall, offsets, self test, sleep. The trigger mode of the FIFO never meets its
//! trigger, since the sources of triggers are among these: it behaves like the stream mode.

use crate::Chip;
use crate::recording::Recording;
use std::collections::VecDeque;
use std::time::Duration;

const DEVID: usize = 0x00;
const BW_RATE: usize = 0x2c;
const POWER_CTL: usize = 0x2d;
const INT_ENABLE: usize = 0x2e;
const INT_MAP: usize = 0x2f;
const INT_SOURCE: usize = 0x30;
const DATA_FORMAT: usize = 0x31;
const DATAX0: usize = 0x32;
const FIFO_CTL: usize = 0x38;
const FIFO_STATUS: usize = 0x39;
const MEASURE: u8 = 1 << 3;
const FULL_RES: u8 = 1 << 3;
const JUSTIFY: u8 = 1 << 2;
const INVERT: u8 = 1 << 5;
const DATA_READY: u8 = 0x80;
const WATERMARK: u8 = 0x02;
const OVERRUN: u8 = 0x01;
/// 32 places, and the sample that stands at the output.
const DEPTH: usize = 33;

/// What makes samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clock {
    /// The host's time and the output rate.
    Host,
    /// Reading.
    Reads,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Bypass,
    Fifo,
    Stream,
}

/// The chip.
pub struct Adxl345 {
    registers: [u8; 0x3a],
    pointer: usize,
    recording: Recording,
    next: usize,
    clock: Clock,
    /// When the next sample is due; none while standing by.
    due: Option<Duration>,
    fifo: VecDeque<[u8; 6]>,
    overrun: bool,
    line: bool,
}

impl Adxl345 {
    /// After power-on.
    pub fn new(recording: Recording, clock: Clock) -> Adxl345 {
        let mut registers = [0; 0x3a];
        registers[DEVID] = 0xe5;
        registers[BW_RATE] = 0x0a;
        let fifo = VecDeque::with_capacity(DEPTH);
        Adxl345 {
            registers,
            pointer: 0,
            recording,
            next: 0,
            clock,
            due: None,
            fifo,
            overrun: false,
            line: false,
        }
    }

    /// The data register's value of an acceleration.
    fn raw(&self, g: f64) -> i16 {
        let format = self.registers[DATA_FORMAT];
        let range = 2 << (format & 3);
        let (scale, bits) = if format & FULL_RES != 0 {
            (256.0, 10 + (format & 3) as u32)
        } else {
            (512.0 / range as f64, 10)
        };
        let limit = 1i32 << (bits - 1);
        let value = ((g * scale).round() as i32).clamp(-limit, limit - 1);
        let shift = if format & JUSTIFY != 0 { 16 - bits } else { 0 };
        (value << shift) as i16
    }

    fn measuring(&self) -> bool {
        self.registers[POWER_CTL] & MEASURE != 0
    }

    fn mode(&self) -> Mode {
        match self.registers[FIFO_CTL] >> 6 {
            0 => Mode::Bypass,
            1 => Mode::Fifo,
            _ => Mode::Stream,
        }
    }

    /// Time between samples: 3200 Hz at code 15, half of it with each code below.
    fn period(&self) -> Duration {
        let code = self.registers[BW_RATE] & 15;
        Duration::from_nanos(312_500 << (15 - code))
    }

    /// A new sample, to where the mode says.
    fn sample(&mut self) {
        let sample = self.recording.at(self.next);
        self.next += 1;
        let mut bytes = [0; 6];
        for (axis, g) in sample.into_iter().enumerate() {
            bytes[axis * 2..axis * 2 + 2].copy_from_slice(&self.raw(g).to_le_bytes());
        }
        let room = if self.mode() == Mode::Bypass { 1 } else { DEPTH };
        if self.fifo.len() == room {
            self.overrun = true;
            if self.mode() == Mode::Fifo {
                return; // full: what comes is lost until something is read
            }
            self.fifo.pop_front();
        }
        self.fifo.push_back(bytes);
    }

    /// The samples that are due at `now`.
    fn advance(&mut self, now: Duration) {
        if self.clock == Clock::Reads || !self.measuring() {
            return;
        }
        let period = self.period();
        let mut due = *self.due.get_or_insert(now + period);
        // After a long pause of the host only the newest matter.
        if now.saturating_sub(due) > period * (4 * DEPTH as u32) {
            due = now - period * (DEPTH as u32);
            self.overrun = true;
        }
        while due <= now {
            self.sample();
            due += period;
        }
        self.due = Some(due);
    }

    fn source(&self) -> u8 {
        let wanted = (self.registers[FIFO_CTL] & 31) as usize;
        let full = self.mode() != Mode::Bypass && self.fifo.len() >= wanted;
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        // By reads, a sample is made when it is asked for: there always is one.
        let ready = !self.fifo.is_empty() || self.clock == Clock::Reads && self.measuring();
        bit(ready, DATA_READY) | bit(full, WATERMARK) | bit(self.overrun, OVERRUN)
    }

    /// The level of INT1.
    fn int1(&self) -> bool {
        let on = self.source() & self.registers[INT_ENABLE] & !self.registers[INT_MAP] != 0;
        on != (self.registers[DATA_FORMAT] & INVERT != 0)
    }

    /// The first register of the data is read: the oldest sample comes to the output.
    fn output(&mut self) {
        if self.clock == Clock::Reads && self.measuring() && self.fifo.is_empty() {
            self.sample();
        }
        if let Some(bytes) = self.fifo.pop_front() {
            self.registers[DATAX0..DATAX0 + 6].copy_from_slice(&bytes);
        }
        self.overrun = false;
    }

    fn status(&mut self) -> u8 {
        if self.clock == Clock::Reads && self.measuring() && self.mode() != Mode::Bypass {
            let wanted = (self.registers[FIFO_CTL] & 31).max(1) as usize;
            while self.fifo.len() < wanted {
                self.sample();
            }
        }
        self.fifo.len() as u8
    }
}

impl Chip for Adxl345 {
    fn address(&self) -> u8 {
        0x53
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some((&register, data)) = bytes.split_first() else { return };
        self.pointer = register as usize;
        for &value in data {
            // Identification, tap and interrupt status, data and FIFO status are read-only.
            let writable = matches!(self.pointer, 0x1d..=0x2a | 0x2c..=0x2f | DATA_FORMAT | FIFO_CTL);
            if writable {
                let before = (self.mode(), self.measuring(), self.period());
                self.registers[self.pointer] = value;
                if self.mode() != before.0 && self.mode() == Mode::Bypass {
                    self.fifo.clear();
                    self.overrun = false;
                }
                if (self.measuring(), self.period()) != (before.1, before.2) {
                    self.due = None;
                }
            }
            self.pointer += 1;
        }
    }

    fn read(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            match self.pointer {
                DATAX0 => self.output(),
                INT_SOURCE => self.registers[INT_SOURCE] = self.source(),
                FIFO_STATUS => self.registers[FIFO_STATUS] = self.status(),
                _ => {}
            }
            *byte = self.registers.get(self.pointer).copied().unwrap_or(0);
            self.pointer += 1;
        }
    }

    fn tick(&mut self, now: Duration) -> Option<bool> {
        self.advance(now);
        let level = self.clock == Clock::Host && self.int1();
        (std::mem::replace(&mut self.line, level) != level).then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chip(clock: Clock) -> Adxl345 {
        Adxl345::new(Recording::built_in().unwrap(), clock)
    }

    fn read(chip: &mut Adxl345, register: u8, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        chip.write(&[register]);
        chip.read(&mut bytes);
        bytes
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn it_identifies_itself_and_sleeps_until_told_to_measure() {
        let mut c = chip(Clock::Reads);
        assert_eq!(read(&mut c, 0x00, 1), [0xe5]);
        assert_eq!(read(&mut c, 0x32, 6), [0; 6]);
        c.write(&[0x2d, 0x08]);
        assert_ne!(read(&mut c, 0x32, 6), [0; 6]);
        c.write(&[0x00, 0x11]);
        assert_eq!(read(&mut c, 0x00, 1), [0xe5], "identification is read-only");
    }

    #[test]
    fn ranges_and_resolutions_scale_and_clip() {
        let mut c = chip(Clock::Reads);
        for (format, g, raw) in [
            (0x08, 1.0, 256),
            (0x0b, 1.0, 256),
            (0x0b, 20.0, 4095),
            (0x08, -20.0, -512),
            (0x00, 1.0, 256),
            (0x03, 1.0, 32),
            (0x04, 1.0, 256 << 6),
        ] {
            c.registers[DATA_FORMAT] = format;
            assert_eq!(c.raw(g), raw, "format {format:#x}, {g} g");
        }
    }

    #[test]
    fn by_reads_every_read_of_the_data_is_the_next_sample() {
        let mut c = chip(Clock::Reads);
        c.write(&[0x31, 0x0b]);
        c.write(&[0x2d, 0x08]);
        let expected: Vec<i16> = (0..3).map(|i| c.raw(c.recording.at(i)[2])).collect();
        let got: Vec<i16> =
            (0..3).map(|_| read(&mut c, 0x32, 6)).map(|b| i16::from_le_bytes([b[4], b[5]])).collect();
        assert_eq!(got, expected);
        c.write(&[0x38, 0x80 | 5]);
        assert_eq!(read(&mut c, 0x39, 1), [5], "the FIFO fills to its watermark");
    }

    #[test]
    fn by_the_clock_samples_come_at_the_output_rate() {
        let mut c = chip(Clock::Host);
        c.write(&[0x2e, DATA_READY]);
        c.tick(ms(0));
        c.write(&[0x2d, 0x08]);
        assert_eq!(c.tick(ms(100)), None, "measuring starts now; 100 Hz");
        assert_eq!(c.tick(ms(109)), None);
        assert_eq!(c.tick(ms(110)), Some(true), "data ready on INT1");
        assert_eq!(read(&mut c, 0x30, 1), [DATA_READY]);
        let first = read(&mut c, 0x32, 6);
        assert_eq!(c.tick(ms(111)), Some(false), "read");
        assert_eq!(read(&mut c, 0x32, 6), first, "nothing new yet");
        c.tick(ms(130));
        assert_eq!(read(&mut c, 0x30, 1), [DATA_READY | OVERRUN], "two came, one was lost");
        assert_ne!(read(&mut c, 0x32, 6), first);
        assert_eq!(read(&mut c, 0x30, 1), [0]);
    }

    #[test]
    fn the_fifo_keeps_counts_and_overruns_by_its_mode() {
        for (mode, kept) in [(0x40, 0), (0x80, 7)] {
            let mut c = chip(Clock::Host);
            c.write(&[0x38, mode | 16]);
            c.write(&[0x2e, WATERMARK]);
            c.write(&[0x2d, 0x08]);
            c.tick(ms(0));
            assert_eq!(c.tick(ms(150)), None);
            assert_eq!(read(&mut c, 0x39, 1), [15]);
            assert_eq!(c.tick(ms(160)), Some(true));
            assert_eq!(read(&mut c, 0x30, 1), [DATA_READY | WATERMARK]);
            c.tick(ms(400));
            assert_eq!(read(&mut c, 0x39, 1), [33]);
            assert_eq!(read(&mut c, 0x30, 1)[0] & OVERRUN, OVERRUN);
            let z = c.raw(c.recording.at(kept)[2]).to_le_bytes();
            assert_eq!(read(&mut c, 0x32, 6)[4..], z, "FIFO mode keeps the oldest, stream mode the newest");
            for _ in 0..18 {
                read(&mut c, 0x32, 6);
            }
            assert_eq!(c.tick(ms(400)), Some(false), "below the watermark");
            c.write(&[0x38, 0]);
            assert_eq!(read(&mut c, 0x39, 1), [0], "bypass empties it");
        }
    }

    #[test]
    fn interrupts_can_be_mapped_away_and_inverted() {
        let mut c = chip(Clock::Host);
        c.write(&[0x2e, DATA_READY, DATA_READY]);
        c.write(&[0x2d, 0x08]);
        c.tick(ms(0));
        assert_eq!(c.tick(ms(20)), None, "on INT2");
        c.write(&[0x31, INVERT]);
        assert_eq!(c.tick(ms(20)), Some(true), "INT1 is high when inactive");
    }
}
