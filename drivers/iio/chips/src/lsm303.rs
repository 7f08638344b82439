//! LSM303DLHC: a magnetometer and an accelerometer in one case, each a chip of its own on the bus (ST data sheet DocID018771).

use crate::fill;
use axiom_iio::{Channel, Fault, Sensor};
use embedded_hal::i2c::I2c;

mod magn {
    pub const ADDRESS: u8 = 0x1e;
    pub const CRA: u8 = 0x00;
    pub const CRB: u8 = 0x01;
    pub const MODE: u8 = 0x02;
    pub const DATA: u8 = 0x03;
    pub const IDENTITY: u8 = 0x0a;
    /// IRA: "H" of "H43".
    pub const CHIP: u8 = 0x48;
    /// Gain for 1.3 gauss.
    pub const GAIN: u8 = 1 << 5;
    pub const CONTINUOUS: u8 = 0;
}

mod accel {
    pub const ADDRESS: u8 = 0x19;
    pub const WHO_AM_I: u8 = 0x0f;
    pub const CHIP: u8 = 0x33;
    pub const CONTROL_1: u8 = 0x20;
    pub const CONTROL_4: u8 = 0x23;
    /// The address of the data, counted up.
    pub const DATA: u8 = 0x28 | 0x80;
    pub const ALL_AXES: u8 = 7;
    /// Registers are updated as a whole; 2 g; high resolution.
    pub const WHOLE_2G_HIGH_RESOLUTION: u8 = 1 << 7 | 1 << 3;
}

/// The magnetometer.
#[derive(Default)]
pub struct Lsm303Magn;

/// The accelerometer.
#[derive(Default)]
pub struct Lsm303Accel;

impl Lsm303Magn {
    /// The magnetometer's only address.
    pub const ADDRESS: u8 = magn::ADDRESS;

    /// DO bits of the slowest output rate that is not below `hz`; 220 Hz is the fastest.
    pub(crate) fn rate_code(hz: u32) -> u8 {
        // Code n is 0.75, 1.5, 3, 7.5, 15, 30, 75, 220 Hz.
        const QUARTERS: [u32; 8] = [3, 6, 12, 30, 60, 120, 300, 880];
        QUARTERS.iter().position(|q| *q >= hz.saturating_mul(4)).unwrap_or(7) as u8
    }
}

impl Lsm303Accel {
    /// The accelerometer's only address.
    pub const ADDRESS: u8 = accel::ADDRESS;

    /// ODR bits of the slowest output rate that is not below `hz`; 1344 Hz is the fastest.
    pub(crate) fn rate_code(hz: u32) -> u8 {
        const CODES: [(u32, u8); 8] =
            [(1, 1), (10, 2), (25, 3), (50, 4), (100, 5), (200, 6), (400, 7), (1344, 9)];
        CODES.iter().find(|(rate, _)| *rate >= hz).map_or(9, |(_, code)| *code)
    }
}

/// 1100 steps to a gauss for x and y, 980 for z.
static MAGN: [Channel; 3] = [
    Channel { name: "in_magn_x", point: "magn_x", scale_nano: 909_091, offset: 0 },
    Channel { name: "in_magn_y", point: "magn_y", scale_nano: 909_091, offset: 0 },
    Channel { name: "in_magn_z", point: "magn_z", scale_nano: 1_020_408, offset: 0 },
];

/// A milli-g a step.
static ACCEL: [Channel; 3] = [
    Channel { name: "in_accel_x", point: "accel_x", scale_nano: 9_806_650, offset: 0 },
    Channel { name: "in_accel_y", point: "accel_y", scale_nano: 9_806_650, offset: 0 },
    Channel { name: "in_accel_z", point: "accel_z", scale_nano: 9_806_650, offset: 0 },
];

fn identity<B: I2c>(bus: &mut B, address: u8, register: u8, chip: u8) -> Result<(), Fault<B::Error>> {
    let mut id = [0];
    bus.write_read(address, &[register], &mut id)?;
    if id[0] == chip { Ok(()) } else { Err(Fault::WrongChip(id[0])) }
}

impl<B: I2c> Sensor<B> for Lsm303Magn {
    fn name(&self) -> &'static str {
        "lsm303dlhc_magn"
    }
    fn channels(&self) -> &'static [Channel] {
        &MAGN
    }
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>> {
        identity(bus, magn::ADDRESS, magn::IDENTITY, magn::CHIP)?;
        bus.write(magn::ADDRESS, &[magn::CRB, magn::GAIN])?;
        bus.write(magn::ADDRESS, &[magn::MODE, magn::CONTINUOUS])?;
        Ok(())
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<(), Fault<B::Error>> {
        bus.write(magn::ADDRESS, &[magn::CRA, Lsm303Magn::rate_code(hz) << 2])?;
        Ok(())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut data = [0; 6];
        bus.write_read(magn::ADDRESS, &[magn::DATA], &mut data)?;
        // The chip's order is x, z, y.
        let at = |i: usize| i32::from(i16::from_be_bytes([data[i], data[i + 1]]));
        fill(raw, &[at(0), at(4), at(2)]);
        Ok(())
    }
}

impl<B: I2c> Sensor<B> for Lsm303Accel {
    fn name(&self) -> &'static str {
        "lsm303dlhc_accel"
    }
    fn channels(&self) -> &'static [Channel] {
        &ACCEL
    }
    fn probe(&mut self, bus: &mut B) -> Result<(), Fault<B::Error>> {
        identity(bus, accel::ADDRESS, accel::WHO_AM_I, accel::CHIP)?;
        bus.write(accel::ADDRESS, &[accel::CONTROL_4, accel::WHOLE_2G_HIGH_RESOLUTION])?;
        <Lsm303Accel as Sensor<B>>::set_rate(self, bus, 100)
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<(), Fault<B::Error>> {
        let value = Lsm303Accel::rate_code(hz) << 4 | accel::ALL_AXES;
        bus.write(accel::ADDRESS, &[accel::CONTROL_1, value])?;
        Ok(())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut data = [0; 6];
        bus.write_read(accel::ADDRESS, &[accel::DATA], &mut data)?;
        // Twelve bits, left in sixteen.
        let at = |i: usize| i32::from(i16::from_le_bytes([data[i], data[i + 1]]) >> 4);
        fill(raw, &[at(0), at(2), at(4)]);
        Ok(())
    }
}
