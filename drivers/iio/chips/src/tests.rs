use crate::bme280::Calibration;
use crate::dps310::Coefficients;
use crate::*;
use axiom_iio::{DelayNs, Fault, Sensor};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};
use std::vec::Vec;

/// Time that passes at once.
struct Now;
impl DelayNs for Now {
    fn delay_ns(&mut self, _ns: u32) {}
}

/// One chip with registers at an address.
struct Bus {
    address: u8,
    registers: [u8; 256],
    pointer: usize,
    writes: Vec<(u8, u8)>,
}
#[derive(Debug, PartialEq)]
struct Nack;
impl embedded_hal::i2c::Error for Nack {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}
impl ErrorType for Bus {
    type Error = Nack;
}
impl I2c for Bus {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Nack> {
        if address != self.address {
            return Err(Nack);
        }
        for o in operations {
            match o {
                Operation::Write(bytes) => {
                    self.pointer = bytes[0] as usize;
                    for b in &bytes[1..] {
                        self.writes.push((self.pointer as u8, *b));
                        self.pointer += 1;
                    }
                }
                Operation::Read(bytes) => {
                    for b in bytes.iter_mut() {
                        *b = self.registers[self.pointer];
                        self.pointer += 1;
                    }
                }
            }
        }
        Ok(())
    }
}

fn bus(address: u8, contents: &[(usize, &[u8])]) -> Bus {
    let mut registers = [0; 256];
    for (at, bytes) in contents {
        registers[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    Bus { address, registers, pointer: 0, writes: Vec::new() }
}

/// Calibration and measurement of the data sheet's example (BMP280, section 3.12: the same formulas), with humidity added.
fn bosch() -> ([u8; 26], [u8; 7], [u8; 8]) {
    let words: [i32; 12] = [27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000];
    let mut low = [0; 26];
    for (i, word) in words.iter().enumerate() {
        low[2 * i..2 * i + 2].copy_from_slice(&(*word as u16).to_le_bytes());
    }
    low[25] = 75;
    // H2 = 362, H3 = 0, H4 = 324, H5 = 50, H6 = 30.
    let high = [0x6a, 0x01, 0, 0x14, 0x24, 0x03, 30];
    let (p, t) = (415_148u32, 519_888u32);
    let twenty = |v: u32| [(v >> 12) as u8, (v >> 4) as u8, (v << 4) as u8];
    let (p, t) = (twenty(p), twenty(t));
    (low, high, [p[0], p[1], p[2], t[0], t[1], t[2], 0x70, 0x00])
}

#[test]
fn bme280_gives_the_data_sheets_values() {
    let (low, high, data) = bosch();
    let c = Calibration::new(&low, &high);
    // The data sheet computes with fractions: 100653.27 Pa.
    assert!((c.pressure(415_148, 128_422) as f64 / 256.0 - 100_653.27).abs() < 0.02);
    let [temperature, pressure, humidity] = c.values(&data).unwrap();
    assert_eq!((temperature, pressure), (2508, 10_065_325));
    // The data sheet's formula in floating point, for these numbers.
    let f = 128_422.0 - 76_800.0;
    let h = 28_672.0 - (324.0 * 64.0 + 50.0 / 16384.0 * f);
    let h = h * (362.0 / 65536.0 * (1.0 + 30.0 / 67_108_864.0 * f * (1.0 + 0.0)));
    let h: f64 = h * (1.0 - 75.0 * h / 524_288.0);
    assert!((f64::from(humidity) / 1000.0 - h).abs() < 0.01, "{humidity} {h}");
}

#[test]
fn bme280_is_probed_set_up_and_read() {
    let (low, high, data) = bosch();
    let mut bus = bus(0x76, &[(0xd0, &[0x60]), (0x88, &low), (0xe1, &high), (0xf7, &data)]);
    let mut chip = Bme280::new(0x76);
    chip.probe(&mut bus, &mut Now).unwrap();
    assert_eq!(bus.writes, [(0xf4, 0), (0xf2, 1), (0xf5, 0), (0xf4, 0x27)]);
    let mut raw = [0; 3];
    chip.read(&mut bus, &mut raw).unwrap();
    let channels = <Bme280 as Sensor<Bus>>::channels(&chip);
    let value = |i: usize| channels[i].processed(raw[i]);
    // 25.08 degrees are 25080 milli degrees; 100653.25 Pa are 100.65325 kPa.
    assert_eq!((value(0).integer, value(1).integer, value(1).nanos), (25_080, 100, 653_250_000));
    bus.registers[0xd0] = 0x58;
    assert_eq!(chip.probe(&mut bus, &mut Now), Err(Fault::WrongChip(0x58)));
}

#[test]
fn dps310_compensates_as_the_formula_says() {
    let c: [i64; 9] = [207, -260, 79_600, -52_450, -3100, 1300, -9800, 110, -1500];
    let [c0, c1, c00, c10, c01, c11, c20, c21, c30] = c.map(|v| v as u32);
    let mut b = Vec::from([(c0 >> 4) as u8, (c0 << 4) as u8 | (c1 >> 8 & 0xf) as u8, c1 as u8]);
    b.extend([
        (c00 >> 12) as u8,
        (c00 >> 4) as u8,
        (c00 << 4) as u8 | (c10 >> 16 & 0xf) as u8,
        (c10 >> 8) as u8,
        c10 as u8,
    ]);
    [c01, c11, c20, c21, c30].iter().for_each(|v| b.extend((*v as u16).to_be_bytes()));
    let coefficients = Coefficients::new(&b.try_into().unwrap());
    for (p, t) in [(-411_000i32, 123_000i32), (300_000, -90_000), (-8_388_608 / 16, 0)] {
        let bytes = |v: i32| [(v >> 16) as u8, (v >> 8) as u8, v as u8];
        let (pb, tb) = (bytes(p), bytes(t));
        let got = coefficients.values(&[pb[0], pb[1], pb[2], tb[0], tb[1], tb[2]]);
        let [c0, c1, c00, c10, c01, c11, c20, c21, c30] = c.map(|v| v as f64);
        let (ps, ts) = (f64::from(p) / 524_288.0, f64::from(t) / 524_288.0);
        let temperature = c0 * 0.5 + c1 * ts;
        let pressure = c00 + ps * (c10 + ps * (c20 + ps * c30)) + ts * c01 + ts * ps * (c11 + ps * c21);
        assert!((f64::from(got[0]) - temperature * 1000.0).abs() <= 1.0, "{got:?} {temperature}");
        assert!((f64::from(got[1]) - pressure * 100.0).abs() <= 1.0, "{got:?} {pressure}");
    }
}

#[test]
fn bme280_gives_no_value_that_it_never_measured() {
    let (low, high, data) = bosch();
    let c = Calibration::new(&low, &high);
    for (at, bytes) in [(0, &[0x80, 0, 0][..]), (3, &[0x80, 0, 0]), (6, &[0x80, 0])] {
        let mut data = data;
        data[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(c.values(&data), None, "byte {at}");
    }
    let mut bus = bus(0x76, &[(0xd0, &[0x60]), (0xf3, &[1])]);
    assert_eq!(
        Bme280::new(0x76).probe(&mut bus, &mut Now),
        Err(Fault::NotReady),
        "it copies its calibration"
    );
    assert_eq!(bus.writes, []);
}

#[test]
fn dps310_is_probed_with_the_sensor_that_its_coefficients_are_for() {
    let mut bus = bus(0x77, &[(0x0d, &[0x10]), (0x08, &[0xf0]), (0x28, &[0x80]), (0x32, &[2])]);
    let mut chip = Dps310::new(0x77);
    chip.probe(&mut bus, &mut Now).unwrap();
    assert_eq!(bus.writes, [(0x08, 0), (0x09, 0), (0x06, 0x70), (0x07, 0xf0), (0x08, 0x07)]);
    assert_eq!(Dps310::new(0x76).probe(&mut bus, &mut Now), Err(Fault::Bus(Nack)));
    for (id, state, is) in [
        (0xff, 0xf0, Ok(())),
        (0xff, 0xff, Err(Fault::WrongChip(0xff))),
        (0xff, 0x07, Ok(())),
        (0x10, 0x40, Err(Fault::NotReady)),
        (0x58, 0xf0, Err(Fault::WrongChip(0x58))),
    ] {
        (bus.registers[0x0d], bus.registers[0x08]) = (id, state);
        assert_eq!(chip.probe(&mut bus, &mut Now), is, "{id:#x} {state:#x}");
    }
}

#[test]
fn dps310_with_wrong_fuses_gets_the_manufacturers_correction() {
    let mut bus = bus(0x77, &[(0x0d, &[0x10]), (0x08, &[0xf0])]);
    Dps310::new(0x77).probe(&mut bus, &mut Now).unwrap();
    let correction = [(0x0e, 0xa5), (0x0f, 0x96), (0x62, 0x02), (0x0e, 0x00), (0x0f, 0x00)];
    assert_eq!(bus.writes[..5], correction);
}

#[test]
fn dps310_gives_no_value_before_it_has_measured() {
    let mut bus = bus(0x77, &[(0x0d, &[0x10]), (0x08, &[0xf0]), (0x32, &[2])]);
    let mut chip = Dps310::new(0x77);
    chip.probe(&mut bus, &mut Now).unwrap();
    let mut raw = [0; 2];
    for (state, ready) in [(0xc7, false), (0xd7, false), (0xe7, false), (0xf7, true)] {
        bus.registers[0x08] = state;
        let expected = if ready { Ok(()) } else { Err(Fault::NotReady) };
        assert_eq!(chip.read(&mut bus, &mut raw), expected, "{state:#x}");
    }
}

#[test]
fn lsm303_axes_come_in_order() {
    let mut magn = bus(0x1e, &[(0x0a, b"H43"), (0x03, &[0, 1, 0xff, 0xfe, 0, 3]), (0x09, &[1])]);
    let mut chip = Lsm303Magn::default();
    chip.probe(&mut magn, &mut Now).unwrap();
    assert_eq!(magn.writes, [(0, 0x10), (1, 0x20), (2, 0)]);
    let mut raw = [0; 3];
    chip.read(&mut magn, &mut raw).unwrap();
    assert_eq!(raw, [1, 3, -2]);
    magn.registers[5..7].copy_from_slice(&(-4096i16).to_be_bytes());
    assert_eq!(chip.read(&mut magn, &mut raw), Err(Fault::Overflow));
    magn.registers[9] = 0;
    assert_eq!(chip.read(&mut magn, &mut raw), Err(Fault::NotReady));
    let mut accel = bus(0x19, &[(0x0f, &[0x33]), (0xa7, &[8, 0x10, 0, 0xf0, 0xff, 0, 0x40])]);
    let mut chip = Lsm303Accel::default();
    chip.probe(&mut accel, &mut Now).unwrap();
    let settings = [(0x2e, 0), (0x21, 0), (0x22, 0), (0x23, 0x88), (0x24, 0), (0x25, 0), (0x20, 0x57)];
    assert_eq!(accel.writes, settings);
    chip.read(&mut accel, &mut raw).unwrap();
    assert_eq!(raw, [1, -1, 1024]);
    accel.registers[0xa7] = 0;
    assert_eq!(chip.read(&mut accel, &mut raw), Err(Fault::NotReady));
    accel.registers[0x0f] = 0x32;
    assert_eq!(chip.probe(&mut accel, &mut Now), Err(Fault::WrongChip(0x32)));
}

/// The rate that a chip really has, for some that are asked for; `None` is a refusal.
fn rates(chip: &mut dyn Sensor<Bus>, address: u8, expected: &[(u32, Option<u64>)]) {
    let mut bus = bus(address, &[]);
    let (slowest, fastest) = (chip.rates()[0], *chip.rates().last().unwrap());
    assert!(chip.rates().is_sorted());
    for (hz, millihertz) in expected {
        let expected = millihertz.ok_or(Fault::Rate { slowest, fastest });
        bus.writes.clear();
        assert_eq!(chip.set_rate(&mut bus, *hz), expected, "{hz} Hz");
        assert_eq!(bus.writes.is_empty(), millihertz.is_none(), "{hz} Hz: a refusal changes nothing");
    }
}

#[test]
fn rates_are_the_next_that_the_chip_has_or_refused() {
    let magn = [(0, None), (1, Some(1500)), (15, Some(15_000)), (76, Some(220_000)), (221, None)];
    rates(&mut Lsm303Magn::default(), 0x1e, &magn);
    let accel = [(0, None), (1, Some(1000)), (11, Some(25_000)), (401, Some(1_344_000)), (1345, None)];
    rates(&mut Lsm303Accel::default(), 0x19, &accel);
    let pressure =
        [(0, None), (1, Some(1000)), (3, Some(4000)), (100, Some(128_000)), (129, None), (u32::MAX, None)];
    rates(&mut Dps310::new(0x77), 0x77, &pressure);
}

/// A chip is set up, loses that, and is asked.
fn dip(chip: &mut dyn Sensor<Bus>, mut with: Bus, registers: &[usize]) {
    chip.probe(&mut with, &mut Now).unwrap();
    for (at, value) in with.writes.clone() {
        // The address bit that lets LSM303's count up.
        (with.registers[at as usize], with.registers[at as usize | 0x80]) = (value, value);
    }
    assert_eq!(chip.check(&mut with), Ok(true));
    for &at in registers {
        let kept = with.registers[at];
        with.registers[at] ^= 1;
        assert_eq!(chip.check(&mut with), Ok(false), "register {at:#x}");
        with.registers[at] = kept;
    }
    with.address = 0;
    assert_eq!(chip.check(&mut with), Err(Fault::Bus(Nack)));
}

#[test]
fn a_lost_configuration_is_noticed() {
    dip(&mut Bme280::new(0x76), bus(0x76, &[(0xd0, &[0x60])]), &[0xf2, 0xf4, 0xf5]);
    let dps310 = bus(0x77, &[(0x0d, &[0x10]), (0x08, &[0xf0]), (0x32, &[2])]);
    dip(&mut Dps310::new(0x77), dps310, &[0x06, 0x07, 0x08, 0x09]);
    dip(&mut Lsm303Magn::default(), bus(0x1e, &[(0x0a, b"H43")]), &[0, 1, 2]);
    let accel = bus(0x19, &[(0x0f, &[0x33])]);
    dip(&mut Lsm303Accel::default(), accel, &[0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5]);
}
