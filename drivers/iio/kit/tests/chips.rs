//! Every chip of this tree, through the kit; the table of `docs/src/sensor-conformance.md` is what comes out.

use axiom_chips::adxl345::Range;
use axiom_chips::{Adxl345, Bme280, Dps310, Lm75, Lsm303Accel, Lsm303Magn, Shtc3};
use axiom_iio_kit::{CHECKS, Condition, Model, Outcome, Registers, Row, Subject, Tables, run};
use std::fmt::Write;

static ADXL345: Tables = Tables {
    address: 0x53,
    power_on: &[(0x00, &[0xe5]), (0x2c, &[0x0a])],
    settings: &[
        (0x1e, 0xff),
        (0x1f, 0xff),
        (0x20, 0xff),
        (0x2c, 0x1f),
        (0x2d, 0x3f),
        (0x2e, 0xff),
        (0x2f, 0xff),
        (0x31, 0xef),
        (0x38, 0xff),
    ],
    width: 1,
    count_up: None,
    values: &[
        &[(0x30, &[0x80]), (0x32, &[0x00, 0x01, 0xff, 0xff, 0x00, 0x00])],
        &[(0x30, &[0x80]), (0x32, &[0xff, 0x0f, 0x00, 0xf0, 0x01, 0x00])],
    ],
    not_ready: &[(0x30, &[0]), (0x32, &[0; 6])],
    overflow: &[],
    stranger: &[(0x00, &[0xe6])],
    measures: |file| file[0x2d] & 8 != 0,
};

static LM75: Tables = Tables {
    address: 0x48,
    power_on: &[],
    settings: &[(2, 0x1f)],
    width: 2,
    count_up: None,
    values: &[&[(0, &[0x19, 0x00])], &[(0, &[0xff, 0xf0])], &[(0, &[0x80, 0x00])], &[(0, &[0x4b, 0x01])]],
    not_ready: &[],
    overflow: &[],
    stranger: &[],
    measures: |_| true,
};

/// Calibration of the data sheet's example, as in the chip's own tests.
const BOSCH: &[u8] = &[
    0x70, 0x6b, 0x43, 0x67, 0x18, 0xfc, 0x7d, 0x8e, 0x43, 0xd6, 0xd0, 0x0b, 0x27, 0x0b, 0x8c, 0x00, 0xf9,
    0xff, 0x8c, 0x3c, 0xf8, 0xc6, 0x70, 0x17, 0x00, 0x4b,
];

static BME280: Tables = Tables {
    address: 0x76,
    power_on: &[(0xd0, &[0x60]), (0x88, BOSCH), (0xe1, &[0x6a, 0x01, 0, 0x14, 0x24, 0x03, 30])],
    settings: &[(0xf2, 0x07), (0xf4, 0xff), (0xf5, 0xfd)],
    width: 1,
    count_up: None,
    values: &[&[(0xf7, &[0x65, 0x5a, 0xc0, 0x7e, 0xed, 0x00, 0x70, 0x00])]],
    not_ready: &[(0xf7, &[0x80, 0, 0, 0x80, 0, 0, 0x80, 0])],
    overflow: &[],
    stranger: &[(0xd0, &[0x58])],
    measures: |file| file[0xf4] & 3 == 3,
};

static DPS310: Tables = Tables {
    address: 0x77,
    power_on: &[
        (0x0d, &[0x10]),
        (0x08, &[0xc0]),
        (
            0x10,
            &[
                0x0c, 0xfe, 0xfc, 0x13, 0x6f, 0x0f, 0x33, 0x1e, 0xf3, 0xe4, 0x05, 0x14, 0xd9, 0xb8, 0, 0x6e,
                0xfa, 0x24,
            ],
        ),
        (0x28, &[0x80]),
        (0x32, &[2]),
    ],
    settings: &[(0x06, 0xff), (0x07, 0xff), (0x08, 0x07), (0x09, 0xff)],
    width: 1,
    count_up: None,
    values: &[&[(0x08, &[0xf7]), (0x00, &[0, 0, 0, 0, 0, 0])]],
    not_ready: &[(0x08, &[0xc0]), (0x00, &[0x80, 0, 0, 0x80, 0, 0])],
    overflow: &[],
    stranger: &[(0x0d, &[0x11])],
    measures: |file| file[0x08] & 7 == 7,
};

static MAGN: Tables = Tables {
    address: 0x1e,
    power_on: &[(0x00, &[0x10, 0x20, 0x03]), (0x0a, b"H43")],
    settings: &[(0x00, 0xff), (0x01, 0xe0), (0x02, 0x03)],
    width: 1,
    count_up: None,
    values: &[
        &[(0x09, &[1]), (0x03, &[0x04, 0x4c, 0x00, 0x00, 0xfb, 0xb4])],
        &[(0x09, &[1]), (0x03, &[0x07, 0xff, 0xf8, 0x00, 0x00, 0x01])],
    ],
    not_ready: &[(0x09, &[0])],
    overflow: &[(0x09, &[1]), (0x03, &[0x04, 0x4c, 0xf0, 0x00, 0xfb, 0xb4])],
    stranger: &[(0x0a, b"I")],
    measures: |file| file[0x02] & 3 == 0,
};

static ACCEL: Tables = Tables {
    address: 0x19,
    power_on: &[(0x0f, &[0x33]), (0x20, &[0x07])],
    settings: &[
        (0x20, 0xff),
        (0x21, 0xff),
        (0x22, 0xff),
        (0x23, 0xff),
        (0x24, 0xff),
        (0x25, 0xff),
        (0x2e, 0xff),
    ],
    width: 1,
    count_up: Some(0x80),
    values: &[&[(0x27, &[0x0f, 0x00, 0x40, 0xf0, 0xff, 0x00, 0x80])]],
    not_ready: &[(0x27, &[0])],
    overflow: &[],
    stranger: &[(0x0f, &[0x32])],
    measures: |file| file[0x20] >> 4 != 0,
};

/// The SHTC3 is told by commands of two bytes, and ends each word with a checksum.
#[derive(Default)]
struct Sht {
    asleep: bool,
    command: u16,
    measured: Option<usize>,
    stranger: bool,
    damaged: bool,
}

const SHT_VALUES: [[u16; 2]; 2] = [[0x6666, 0x8000], [0x0000, 0xffff]];

fn crc(bytes: [u8; 2]) -> u8 {
    bytes.iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x31 } else { crc << 1 })
    })
}

impl Model for Sht {
    fn address(&self) -> u8 {
        0x70
    }
    fn write(&mut self, bytes: &[u8]) -> bool {
        let &[high, low] = bytes else { return false };
        self.command = u16::from_be_bytes([high, low]);
        if self.command == 0x3517 {
            self.asleep = false;
        }
        !self.asleep
    }
    fn read(&mut self, bytes: &mut [u8]) -> bool {
        let words = match (self.command, self.measured) {
            (0xefc8, _) => [if self.stranger { 0 } else { 0x0887 }, 0],
            (0x7866 | 0x58e0 | 0x7ca2 | 0x5c24, Some(value)) => SHT_VALUES[value],
            _ => return false,
        };
        for (word, to) in words.into_iter().zip(bytes.chunks_mut(3)) {
            let [high, low] = word.to_be_bytes();
            to.copy_from_slice(&[high, low, crc([high, low]) ^ u8::from(self.damaged)]);
        }
        true
    }
    fn changes(&self, bytes: &[u8]) -> bool {
        !matches!(bytes, [0x35, 0x17] | [0xef, 0xc8])
    }
    fn power_on(&mut self) {
        *self = Sht::default();
    }
    fn disturb(&mut self, variant: u8) {
        (self.asleep, self.command) = (variant & 1 == 0, 0x58e0);
    }
    fn settings(&self) -> Vec<u8> {
        vec![self.asleep.into()]
    }
    fn set(&mut self, condition: Condition) -> bool {
        match condition {
            Condition::Measured(value) => (self.measured, self.damaged) = (Some(value), false),
            Condition::BadChecksum => (self.measured, self.damaged) = (Some(0), true),
            Condition::Stranger => self.stranger = true,
            Condition::NotReady | Condition::Overflow => return false,
        }
        true
    }
}

fn subjects() -> Vec<Subject> {
    vec![
        Subject {
            driver: || Box::new(Adxl345::new(0x53, Range::G16)),
            chip: || Box::new(Registers::new(&ADXL345)),
            values: &[
                &[(9, 804_800_000), (0, -38_300_000), (0, 0)],
                &[(156, 838_500_000), (-156, -876_800_000), (0, 38_300_000)],
            ],
            rates: &[
                (60, Some(100_000)),
                (3200, Some(3_200_000)),
                (3201, None),
                (5000, None),
                (1, Some(1562)),
            ],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Lm75::new(0x48)),
            chip: || Box::new(Registers::new(&LM75)),
            values: &[&[(25_000, 0)], &[(-62, -500_000_000)], &[(-128_000, 0)], &[(150_000, 0)]],
            rates: &[(1, Some(1000)), (3, Some(3000)), (4, None), (100, None)],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Bme280::new(0x76)),
            chip: || Box::new(Registers::new(&BME280)),
            values: &[&[(25_080, 0), (100, 653_250_000)]],
            rates: &[(1, Some(1000)), (100, Some(100_000)), (101, None)],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Dps310::new(0x77)),
            chip: || Box::new(Registers::new(&DPS310)),
            // Nothing but the constant terms: c0 / 2 degrees and c00 pascals.
            values: &[&[(103_500, 0), (79, 600_000_000)]],
            rates: &[(1, Some(1000)), (100, Some(128_000)), (129, None)],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Lsm303Magn::default()),
            chip: || Box::new(Registers::new(&MAGN)),
            values: &[&[(1, 100), (-1, -100), (0, 0)], &[(1, 860_909_277), (0, 909_091), (-2, -89_795_584)]],
            rates: &[(1, Some(1500)), (220, Some(220_000)), (221, None)],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Lsm303Accel::default()),
            chip: || Box::new(Registers::new(&ACCEL)),
            values: &[&[(10, 42_009_600), (0, -9_806_650), (-20, -84_019_200)]],
            rates: &[(400, Some(400_000)), (401, Some(1_344_000)), (1345, None)],
            reads: 0,
        },
        Subject {
            driver: || Box::new(Shtc3::default()),
            chip: || Box::new(Sht::default()),
            values: &[&[(24_998, 0), (50_000, 0)], &[(-45_000, 0), (99_998, 0)]],
            rates: &[(1, Some(1000)), (80, Some(80_000)), (81, None)],
            reads: 1,
        },
    ]
}

#[test]
fn every_chip_passes_every_check() {
    let failed: Vec<String> = subjects()
        .iter()
        .flat_map(|subject| {
            let name = (subject.driver)().name();
            run(subject).into_iter().filter_map(move |row| match row.outcome {
                Outcome::Failed(what) => Some(format!("{name}: {}: {what}", row.name)),
                _ => None,
            })
        })
        .collect();
    assert!(failed.is_empty(), "\n{}\n", failed.join("\n"));
}

/// The table of the documentation.
fn table() -> String {
    let columns: Vec<(&str, Vec<Row>)> =
        subjects().iter().map(|subject| ((subject.driver)().name(), run(subject))).collect();
    let mut text = String::from("| check |");
    columns.iter().for_each(|(name, _)| write!(text, " {name} |").unwrap());
    text += "\n|---|";
    columns.iter().for_each(|_| text += "---|");
    text.push('\n');
    for (i, (check, _)) in CHECKS.iter().enumerate() {
        write!(text, "| {check} |").unwrap();
        for (_, rows) in &columns {
            let cell = match rows[i].outcome {
                Outcome::Passed => "yes",
                Outcome::DoesNotApply => "-",
                Outcome::Failed(_) => "NO",
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_documentation_has_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/src/sensor-conformance.md");
    let mut page = std::fs::read_to_string(path).unwrap();
    let table = table();
    if std::env::var_os("BLESS").is_some() {
        let start = page.find("| check |").expect("a table on the page");
        let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
        page.replace_range(start..end, &table);
        std::fs::write(path, &page).unwrap();
    }
    assert!(page.contains(&table), "{path} needs this table:\n{table}");
}

/// A driver that does everything wrong: each check must notice its fault.
mod careless {
    use super::*;
    use axiom_iio::{Channel, DelayNs, Fault, Sensor};
    use axiom_iio_kit::{Bus, Nack};
    use embedded_hal::i2c::I2c;

    static CHANNELS: [Channel; 3] =
        [Channel { name: "x", point: "accel_x", scale_nano: 38_300_000, offset: 1 }; 3];
    static RATES: [u32; 1] = [100_000];

    struct Careless;
    impl Sensor<Bus> for Careless {
        fn name(&self) -> &'static str {
            "careless"
        }
        fn channels(&self) -> &'static [Channel] {
            &CHANNELS
        }
        fn rates(&self) -> &'static [u32] {
            &RATES
        }
        fn probe(&mut self, bus: &mut Bus, _: &mut dyn DelayNs) -> Result<(), Fault<Nack>> {
            // Errors are swallowed, nothing is identified, one setting is made, and a stuck bus is asked for ever.
            let _ = bus.write(0x53, &[0x2d, 8]);
            for _ in 0..3000 {
                let mut byte = [0];
                if bus.write_read(0x53, &[0], &mut byte).is_ok() {
                    break;
                }
            }
            Ok(())
        }
        fn set_rate(&mut self, _: &mut Bus, hz: u32) -> Result<u64, Fault<Nack>> {
            Ok(u64::from(hz) * 1000)
        }
        fn read(&mut self, bus: &mut Bus, raw: &mut [i32]) -> Result<(), Fault<Nack>> {
            let mut bytes = [0; 6];
            let _ = bus.write_read(0x53, &[0x32], &mut bytes);
            for (value, pair) in raw.iter_mut().zip(bytes.chunks(2)) {
                *value = i32::from(u16::from_le_bytes([pair[0], pair[1]]));
            }
            Ok(())
        }
        fn check(&mut self, _: &mut Bus) -> Result<bool, Fault<Nack>> {
            Ok(true)
        }
    }

    #[test]
    fn a_careless_driver_fails() {
        static TABLES: Tables = Tables { overflow: &[(0x32, &[0xff; 6])], ..ADXL345_COPY };
        const ADXL345_COPY: Tables = Tables {
            address: 0x53,
            power_on: &[(0x00, &[0xe5]), (0x2c, &[0x0a])],
            settings: &[(0x1e, 0xff), (0x2d, 0x3f)],
            width: 1,
            count_up: None,
            values: &[&[(0x32, &[1, 0, 2, 0, 0xff, 0xff])]],
            not_ready: &[(0x32, &[0; 6])],
            overflow: &[],
            stranger: &[(0x00, &[0xe6])],
            measures: |file| file[0x2d] & 8 != 0,
        };
        let subject = Subject {
            driver: || Box::new(Careless),
            chip: || Box::new(Registers::new(&TABLES)),
            values: &[&[(0, 38_300_000), (0, 76_600_000), (0, -38_300_000)]],
            rates: &[(60, Some(100_000))],
            reads: 0,
        };
        let passed: Vec<&str> = run(&subject)
            .into_iter()
            .filter(|row| !matches!(row.outcome, Outcome::Failed(_)))
            .map(|row| row.name)
            .collect();
        // It keeps no samples, and its chip has no checksums.
        let cannot =
            ["no value from a damaged answer", "kept samples: bounded, and old ones are thrown away"];
        assert_eq!(passed, cannot);
    }
}
