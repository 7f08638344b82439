//! Where each peripheral's registers are in RP1, page by page as clients ask for them, and which interrupt it has.

use axiom_proto::rp1::Peripheral;
use bcm2712_pac::rp1::{ADC, I2C, IO_BANK, PADS, PWM, SPI, SYS_RIO, Source, UART};

/// Pages in a row, from a byte offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Offset from the peripherals' start.
    pub offset: usize,
    /// Pages of 4 KiB.
    pub pages: u8,
}

/// A peripheral's registers and interrupt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    spans: [Span; 3],
    /// Its interrupt.
    pub source: Option<Source>,
}

const NOTHING: Span = Span { offset: 0, pages: 0 };

impl Place {
    const fn one(offset: usize, pages: u8, source: Option<Source>) -> Place {
        Place { spans: [Span { offset, pages }, NOTHING, NOTHING], source }
    }

    /// How many pages it has.
    pub fn pages(&self) -> u8 {
        self.spans.iter().map(|s| s.pages).sum()
    }

    /// The offset of one of its pages.
    pub fn page(&self, mut page: u8) -> Option<usize> {
        for span in self.spans {
            if page < span.pages {
                return Some(span.offset + page as usize * 4096);
            }
            page -= span.pages;
        }
        None
    }
}

/// Where a peripheral is; `None` for a number that names nothing.
pub fn place(peripheral: Peripheral) -> Option<Place> {
    let name = peripheral.name();
    let digit = name.len().checked_sub(1)?;
    let (class, number) = match name.as_bytes()[digit] {
        n @ b'0'..=b'9' => (&name[..digit], n - b'0'),
        _ => (name, 0),
    };
    let at = |table: &[usize]| table.get(number as usize).copied();
    Some(match class {
        "gpio" => {
            let bank = |offset| Span { offset, pages: 4 };
            Place { spans: [bank(IO_BANK[0]), bank(SYS_RIO[0]), bank(PADS[0])], source: Source::io_bank(0) }
        }
        // "pwm0", "i2c1": the class ends in the digit that was cut off. I2C's own name has a digit inside.
        "pwm" => Place::one(at(&PWM)?, 4, Source::pwm(number)),
        "i2c" => Place::one(at(&I2C)?, 1, Source::i2c(number)),
        "spi" => Place::one(at(&SPI)?, 1, Source::spi(number)),
        "uart" => Place::one(at(&UART)?, 1, Source::uart(number)),
        "adc" => Place::one(ADC, 1, Some(Source::ADC)),
        _ => return None,
    })
}
