//! LSM303DLHC: a magnetometer and an accelerometer in one case, each a chip of its own on the bus (ST data sheet DocID018771).

use axiom_iio::{Channel, DelayNs, Fault, Sensor, fill, slowest_rate};
use embedded_hal::i2c::I2c;

mod magn {
    pub const ADDRESS: u8 = 0x1e;
    pub const CRA: u8 = 0x00;
    pub const CRB: u8 = 0x01;
    pub const MODE: u8 = 0x02;
    pub const DATA: u8 = 0x03;
    pub const STATUS: u8 = 0x09;
    /// All axes have been measured and not been read.
    pub const READY: u8 = 1;
    /// What stands in the place of an axis whose field is outside the range of the gain.
    pub const OVERFLOW: i32 = -4096;
    pub const IDENTITY: u8 = 0x0a;
    /// IRA: "H" of "H43".
    pub const CHIP: u8 = 0x48;
    /// Gain for 1.3 gauss.
    pub const GAIN: u8 = 1 << 5;
    pub const CONTINUOUS: u8 = 0;
    /// Output rates of codes 0 to 7 of CRA, millihertz.
    pub static RATES: [u32; 8] = [750, 1500, 3000, 7500, 15_000, 30_000, 75_000, 220_000];
}

mod accel {
    pub const ADDRESS: u8 = 0x19;
    pub const WHO_AM_I: u8 = 0x0f;
    pub const CHIP: u8 = 0x33;
    pub const CONTROL_1: u8 = 0x20;
    pub const CONTROL_2: u8 = 0x21;
    pub const CONTROL_3: u8 = 0x22;
    pub const CONTROL_4: u8 = 0x23;
    pub const CONTROL_5: u8 = 0x24;
    pub const CONTROL_6: u8 = 0x25;
    pub const FIFO_CONTROL: u8 = 0x2e;
    /// This bit of an address lets it count up.
    pub const COUNT_UP: u8 = 0x80;
    /// The status, and the data after it.
    pub const STATUS_AND_DATA: u8 = 0x27 | COUNT_UP;
    /// All axes have been measured and not been read.
    pub const READY: u8 = 1 << 3;
    /// Output rates in high resolution, millihertz, with their codes of CTRL_REG1_A.
    pub static RATES: [u32; 8] = [1000, 10_000, 25_000, 50_000, 100_000, 200_000, 400_000, 1_344_000];
    pub const CODES: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 9];
    pub const ALL_AXES: u8 = 7;
    /// Registers are updated as a whole; 2 g; high resolution.
    pub const WHOLE_2G_HIGH_RESOLUTION: u8 = 1 << 7 | 1 << 3;
}

/// The magnetometer.
pub struct Lsm303Magn {
    /// The code of its rate.
    rate: u8,
}

/// The accelerometer.
pub struct Lsm303Accel {
    /// The code of its rate.
    rate: u8,
}

impl Default for Lsm303Magn {
    /// At 15 Hz, its rate after power-on.
    fn default() -> Self {
        Lsm303Magn { rate: 4 }
    }
}

impl Default for Lsm303Accel {
    /// At 100 Hz.
    fn default() -> Self {
        Lsm303Accel { rate: 5 }
    }
}

impl Lsm303Magn {
    /// The magnetometer's only address.
    pub const ADDRESS: u8 = magn::ADDRESS;

    /// What CRA, CRB and MODE are to hold.
    fn settings(&self) -> [u8; 3] {
        [self.rate << 2, magn::GAIN, magn::CONTINUOUS]
    }
}

impl Lsm303Accel {
    /// The accelerometer's only address.
    pub const ADDRESS: u8 = accel::ADDRESS;

    /// What CTRL_REG1_A to CTRL_REG6_A are to hold: no filters, no interrupts, no FIFO.
    fn settings(&self) -> [u8; 6] {
        [self.rate << 4 | accel::ALL_AXES, 0, 0, accel::WHOLE_2G_HIGH_RESOLUTION, 0, 0]
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
    fn rates(&self) -> &'static [u32] {
        &magn::RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        identity(bus, magn::ADDRESS, magn::IDENTITY, magn::CHIP)?;
        for (register, value) in [magn::CRA, magn::CRB, magn::MODE].into_iter().zip(self.settings()) {
            bus.write(magn::ADDRESS, &[register, value])?;
        }
        Ok(())
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        let code = slowest_rate(&magn::RATES, hz)?;
        self.rate = code as u8;
        bus.write(magn::ADDRESS, &[magn::CRA, self.rate << 2])?;
        Ok(magn::RATES[code].into())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut status = [0];
        bus.write_read(magn::ADDRESS, &[magn::STATUS], &mut status)?;
        if status[0] & magn::READY == 0 {
            return Err(Fault::NotReady);
        }
        let mut data = [0; 6];
        bus.write_read(magn::ADDRESS, &[magn::DATA], &mut data)?;
        // The chip's order is x, z, y.
        let at = |i: usize| i32::from(i16::from_be_bytes([data[i], data[i + 1]]));
        let values = [at(0), at(4), at(2)];
        if values.contains(&magn::OVERFLOW) {
            return Err(Fault::Overflow);
        }
        fill(raw, &values);
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        let mut now = [0; 3];
        bus.write_read(magn::ADDRESS, &[magn::CRA], &mut now)?;
        Ok(now == self.settings())
    }
}

impl<B: I2c> Sensor<B> for Lsm303Accel {
    fn name(&self) -> &'static str {
        "lsm303dlhc_accel"
    }
    fn channels(&self) -> &'static [Channel] {
        &ACCEL
    }
    fn rates(&self) -> &'static [u32] {
        &accel::RATES
    }
    fn probe(&mut self, bus: &mut B, _delay: &mut dyn DelayNs) -> Result<(), Fault<B::Error>> {
        identity(bus, accel::ADDRESS, accel::WHO_AM_I, accel::CHIP)?;
        let settings = self.settings();
        // CTRL_REG1_A last: it starts the measurements.
        let registers = [
            (accel::FIFO_CONTROL, 0),
            (accel::CONTROL_2, settings[1]),
            (accel::CONTROL_3, settings[2]),
            (accel::CONTROL_4, settings[3]),
            (accel::CONTROL_5, settings[4]),
            (accel::CONTROL_6, settings[5]),
            (accel::CONTROL_1, settings[0]),
        ];
        for (register, value) in registers {
            bus.write(accel::ADDRESS, &[register, value])?;
        }
        Ok(())
    }
    fn set_rate(&mut self, bus: &mut B, hz: u32) -> Result<u64, Fault<B::Error>> {
        let place = slowest_rate(&accel::RATES, hz)?;
        self.rate = accel::CODES[place];
        bus.write(accel::ADDRESS, &[accel::CONTROL_1, self.settings()[0]])?;
        Ok(accel::RATES[place].into())
    }
    fn read(&mut self, bus: &mut B, raw: &mut [i32]) -> Result<(), Fault<B::Error>> {
        let mut bytes = [0; 7];
        bus.write_read(accel::ADDRESS, &[accel::STATUS_AND_DATA], &mut bytes)?;
        let [status, data @ ..] = bytes;
        if status & accel::READY == 0 {
            return Err(Fault::NotReady);
        }
        // Twelve bits, left in sixteen.
        let at = |i: usize| i32::from(i16::from_le_bytes([data[i], data[i + 1]]) >> 4);
        fill(raw, &[at(0), at(2), at(4)]);
        Ok(())
    }
    fn check(&mut self, bus: &mut B) -> Result<bool, Fault<B::Error>> {
        let mut now = [0; 6];
        bus.write_read(accel::ADDRESS, &[accel::CONTROL_1 | accel::COUNT_UP], &mut now)?;
        Ok(now == self.settings())
    }
}
