//! RP1, the I/O chip behind the BCM2712's PCIe port 2. Offsets are from its peripherals' start, which is BAR1 as the processor sees
//! it: firmware and operating systems put it at 0x1f_0000_0000 or at 0x1c_0000_0000, so **read it from the root complex's
//! registers** ([`crate::soc::pcie`]) and never touch the window while the link is down.
//!
//! ```
//! use bcm2712_pac::rp1::{self, Source};
//! assert_eq!(rp1::I2C[1], 0x74000);
//! assert_eq!(rp1::SPI[0], 0x50000);
//! assert_eq!(rp1::UART[5], 0x44000);
//! assert_eq!(rp1::IO_BANK[0], 0xd0000);
//! assert_eq!(Source::i2c(1), Some(Source(8)));
//! ```

pub mod gpio;
pub mod i2c;
pub mod intc;
pub mod pwm;
pub mod rio;
pub mod spi;
pub mod sysinfo;
pub mod uart;

/// PCI vendor and device as the first word of configuration space shows them: 1de4:0001. Source: `drivers/mfd/rp1.c`.
pub const PCI_ID: u32 = 0x0001_1de4;
/// Bytes of BAR1. Source: `drivers/mfd/rp1.c`.
pub const BAR1_BYTES: u64 = 0x40_0000;
/// `clk_sys` in Hz, which I2C, SPI and others run from. Source: `rp1.dtsi`.
pub const CLK_SYS_HZ: u32 = 200_000_000;
/// Clock of the PWM blocks in Hz as the device tree sets it. Source: `rp1.dtsi`.
pub const CLK_PWM_HZ: u32 = 50_000_000;

/// Chip identity. Source: `rp1_platform.h`, `drivers/mfd/rp1.c`.
pub const SYSINFO: usize = 0;
/// Universal asynchronous ports: PL011 with 32-bit accesses. Source: `rp1.dtsi`.
pub const UART: [usize; 6] = [0x30000, 0x34000, 0x38000, 0x3c000, 0x40000, 0x44000];
/// SPI controllers 0 to 8; 4 and 7 are targets on the chip. Source: `rp1.dtsi`.
pub const SPI: [usize; 9] = [0x50000, 0x54000, 0x58000, 0x5c000, 0x60000, 0x64000, 0x68000, 0x6c000, 0x4c000];
/// I2C controllers. Source: `rp1.dtsi`.
pub const I2C: [usize; 7] = [0x70000, 0x74000, 0x78000, 0x7c000, 0x80000, 0x84000, 0x88000];
/// PWM blocks. Source: `rp1.dtsi`, Circle `pwmoutput-rp1.cpp`.
pub const PWM: [usize; 2] = [0x98000, 0x9c000];
/// The analog converter. Source: `rp1.dtsi`.
pub const ADC: usize = 0xc8000;
/// Function select and interrupts of the GPIO banks (28, 6 and 20 lines). Source: `pinctrl-rp1.c`.
pub const IO_BANK: [usize; 3] = [0xd0000, 0xd4000, 0xd8000];
/// Levels of the GPIO banks. Source: `pinctrl-rp1.c`.
pub const SYS_RIO: [usize; 3] = [0xe0000, 0xe4000, 0xe8000];
/// Electrical settings of the GPIO banks. Source: `pinctrl-rp1.c`.
pub const PADS: [usize; 3] = [0xf0000, 0xf4000, 0xf8000];
/// The interrupt block (PCIE_APBS). Source: `drivers/mfd/rp1.c`.
pub const INTC: usize = 0x10_8000;

/// A source of interrupts. Source of the numbers: `include/dt-bindings/mfd/rp1.h`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Source(pub u8);

impl Source {
    /// How many there are.
    pub const COUNT: u8 = 61;
    /// GPIO bank 0, 1 or 2.
    pub const fn io_bank(n: u8) -> Option<Source> {
        if n < 3 { Some(Source(n)) } else { None }
    }
    /// PWM block 0 or 1.
    pub const fn pwm(n: u8) -> Option<Source> {
        match n {
            0 => Some(Source(5)),
            1 => Some(Source(41)),
            _ => None,
        }
    }
    /// I2C controller 0 to 6.
    pub const fn i2c(n: u8) -> Option<Source> {
        if n < 7 { Some(Source(7 + n)) } else { None }
    }
    /// SPI controller 0 to 8.
    pub const fn spi(n: u8) -> Option<Source> {
        match n {
            0..=5 => Some(Source(19 + n)),
            6..=8 => Some(Source(54 + n - 6)),
            _ => None,
        }
    }
    /// UART 0 to 5.
    pub const fn uart(n: u8) -> Option<Source> {
        match n {
            0 => Some(Source(25)),
            1..=5 => Some(Source(42 + n - 1)),
            _ => None,
        }
    }
    /// The analog converter's FIFO.
    pub const ADC: Source = Source(52);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_16_kib_apart_and_inside_bar1() {
        let all = [&UART[..], &SPI, &I2C, &PWM, &IO_BANK, &SYS_RIO, &PADS].concat();
        for (i, a) in all.iter().enumerate() {
            assert_eq!(a % 0x4000, 0, "{a:#x}");
            assert!((*a as u64) < BAR1_BYTES && all[..i].iter().all(|b| a != b));
        }
    }

    #[test]
    fn sources_have_the_numbers_of_the_device_tree_binding() {
        assert_eq!(Source::i2c(6), Some(Source(13)));
        assert_eq!(
            (Source::spi(5), Source::spi(6), Source::spi(8)),
            (Some(Source(24)), Some(Source(54)), Some(Source(56)))
        );
        assert_eq!(
            (Source::uart(0), Source::uart(1), Source::uart(5)),
            (Some(Source(25)), Some(Source(42)), Some(Source(46)))
        );
        assert_eq!((Source::pwm(1), Source::pwm(2), Source::i2c(7)), (Some(Source(41)), None, None));
    }
}
