//! The DesignWare SSI controller, RP1's SPI, as embedded-hal's `SpiBus` with frames of eight bits.
//!
//! Chip selects are GPIO's: the controller's own rises whenever its FIFO runs empty, which would end a message in the middle. An
//! `embedded_hal_bus::spi::ExclusiveDevice` (or any other `SpiDevice`) joins this bus and a pin. Every byte that is sent is also
//! received, so nothing is on its way when a call returns, and the FIFOs cannot overflow.
#![no_std]
#[cfg(test)]
extern crate std;

#[cfg(test)]
mod tests;

pub use axiom_bus::Wait;

use bcm2712_pac::rp1::spi::{self, Ctrlr0, FIFO, Intr, Spi, VERSION_VALUE};
use bcm2712_pac::{Block, Io};
use core::fmt;
use embedded_hal::spi::{ErrorKind, ErrorType, Mode, Phase, Polarity, SpiBus};

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpiError {
    /// What answers is not this controller: what its version register reads as.
    NotThere(u32),
    /// The transfer did not end in time; it was given up.
    Timeout,
    /// Received bytes were lost.
    Overrun,
}

impl fmt::Display for SpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpiError::NotThere(id) => {
                write!(f, "no DesignWare SSI controller answers: its version reads as {id:#010x}")
            }
            SpiError::Timeout => f.write_str("the SPI transfer did not end in time; it was given up"),
            SpiError::Overrun => f.write_str("received bytes were lost"),
        }
    }
}

impl core::error::Error for SpiError {}

impl embedded_hal::spi::Error for SpiError {
    fn kind(&self) -> ErrorKind {
        match self {
            SpiError::Overrun => ErrorKind::Overrun,
            SpiError::NotThere(_) | SpiError::Timeout => ErrorKind::Other,
        }
    }
}

/// The controller.
pub struct DwSpi<I, W> {
    registers: Block<Spi, I>,
    wait: W,
    divider: u32,
}

/// The divider for a clock not above `hz`: even, from 2.
pub fn divider(clock_hz: u32, hz: u32) -> u32 {
    let at_least = clock_hz.div_ceil(hz.max(1));
    at_least.next_multiple_of(2).clamp(2, 65_534)
}

impl<I: Io, W: Wait> DwSpi<I, W> {
    /// Sets up the controller that `io` reaches, whose clock has `clock_hz`, for a bus of at most `hz`.
    pub fn new(io: I, wait: W, clock_hz: u32, hz: u32, mode: Mode) -> Result<DwSpi<I, W>, SpiError> {
        let registers: Block<Spi, I> = Block::new(io);
        let version = registers.read(spi::VERSION);
        if version != VERSION_VALUE {
            return Err(SpiError::NotThere(version));
        }
        let mut bus = DwSpi { registers, wait, divider: divider(clock_hz, hz) };
        bus.configure(mode);
        Ok(bus)
    }

    /// Changes the mode, between transfers.
    pub fn configure(&mut self, mode: Mode) {
        let r = &self.registers;
        r.write(spi::SSIENR, 0);
        r.write(spi::IMR, Intr(0));
        let frames = Ctrlr0(0)
            .with_frame_bits(7)
            .with_phase(mode.phase == Phase::CaptureOnSecondTransition)
            .with_polarity(mode.polarity == Polarity::IdleHigh);
        r.write(spi::CTRLR0, frames);
        r.write(spi::BAUDR, self.divider);
        r.write(spi::TXFTLR, 0);
        // Without a chip select of its own the controller clocks nothing; its pin is not switched to it.
        r.write(spi::SER, 1);
        r.write(spi::SSIENR, 1);
        r.read(spi::ICR);
    }

    /// The waiting side.
    pub fn waiter(&mut self) -> &mut W {
        &mut self.wait
    }

    /// Moves `length` bytes both ways: what `send` gives out, what comes to `receive`.
    fn run(
        &mut self,
        length: usize,
        mut send: impl FnMut(usize) -> u8,
        mut receive: impl FnMut(usize, u8),
    ) -> Result<(), SpiError> {
        let (mut sent, mut got) = (0, 0);
        self.wait.begin();
        while got < length {
            let r = &self.registers;
            while sent < length && sent - got < FIFO {
                r.write(spi::DR, send(sent).into());
                sent += 1;
            }
            // An interrupt when half a FIFO has come, or the rest.
            r.write(spi::RXFTLR, (sent - got).min(FIFO / 2) as u32 - 1);
            r.write(spi::IMR, Intr(0).with_rx_full(true).with_rx_over(true));
            let in_time = self.wait.wait();
            let r = &self.registers;
            let raised = r.read(spi::RISR);
            let came = r.read(spi::RXFLR) as usize;
            for _ in 0..came.min(sent - got) {
                receive(got, r.read(spi::DR) as u8);
                got += 1;
            }
            r.write(spi::IMR, Intr(0));
            let failed = match () {
                () if raised.rx_over() => Some(SpiError::Overrun),
                () if !in_time && came == 0 => Some(SpiError::Timeout),
                () => None,
            };
            if let Some(error) = failed {
                // Off and on empties the FIFOs.
                r.write(spi::SSIENR, 0);
                r.read(spi::ICR);
                r.write(spi::SSIENR, 1);
                self.wait.handled();
                return Err(error);
            }
            self.wait.handled();
        }
        Ok(())
    }
}

impl<I, W> ErrorType for DwSpi<I, W> {
    type Error = SpiError;
}

impl<I: Io, W: Wait> SpiBus for DwSpi<I, W> {
    fn read(&mut self, words: &mut [u8]) -> Result<(), SpiError> {
        self.run(words.len(), |_| 0, |i, byte| words[i] = byte)
    }
    fn write(&mut self, words: &[u8]) -> Result<(), SpiError> {
        self.run(words.len(), |i| words[i], |_, _| {})
    }
    fn transfer(&mut self, read: &mut [u8], write: &[u8]) -> Result<(), SpiError> {
        let length = read.len().max(write.len());
        let receive = |i: usize, byte| {
            if let Some(to) = read.get_mut(i) {
                *to = byte;
            }
        };
        self.run(length, |i| write.get(i).copied().unwrap_or(0), receive)
    }
    fn transfer_in_place(&mut self, words: &mut [u8]) -> Result<(), SpiError> {
        let cells = core::cell::Cell::from_mut(words).as_slice_of_cells();
        // A byte is sent before the one at its place has come.
        self.run(cells.len(), |i| cells[i].get(), |i, byte| cells[i].set(byte))
    }
    fn flush(&mut self) -> Result<(), SpiError> {
        // Every call has received as many bytes as it has sent.
        Ok(())
    }
}
