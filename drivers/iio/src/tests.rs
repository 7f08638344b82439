use super::*;
use crate::lm75::Lm75;
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, Operation};

/// A bus with an LM75 at 0x48 whose register holds two bytes.
struct Bus([u8; 2]);

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
        if address != 0x48 {
            return Err(Nack);
        }
        for o in operations {
            if let Operation::Read(bytes) = o {
                bytes.copy_from_slice(&self.0[..bytes.len()]);
            }
        }
        Ok(())
    }
}

#[test]
fn temperatures_below_zero_are_below_zero() {
    let mut raw = [0];
    for (bytes, steps, milli) in
        [([0x19, 0x00], 200, 25_000), ([0xe7, 0x00], -200, -25_000), ([0x00, 0x20], 1, 125)]
    {
        let mut chip = Lm75::new(0x48);
        chip.read(&mut Bus(bytes), &mut raw).unwrap();
        assert_eq!(raw, [steps]);
        let channel = Sensor::<Bus>::channels(&chip)[0];
        assert_eq!(channel.processed(raw[0]), Decimal { integer: milli, nanos: 0 });
    }
    assert_eq!(Lm75::new(0x49).probe(&mut Bus([0, 0])), Err(Fault::Bus(Nack)));
}

#[test]
fn decimals_keep_their_sign() {
    let channel = Channel { name: "in_accel_x", point: "accel_x", scale_nano: 38_300_000, offset: 0 };
    assert_eq!(channel.processed(-100), Decimal { integer: -3, nanos: -830_000_000 });
    assert_eq!(channel.processed(-1), Decimal { integer: 0, nanos: -38_300_000 });
    assert_eq!(channel.attribute("scale"), Some(Decimal { integer: 0, nanos: 38_300_000 }));
    assert_eq!(channel.attribute("offset"), Some(Decimal { integer: 0, nanos: 0 }));
    assert_eq!(channel.attribute("colour"), None);
}

#[test]
fn a_chip_is_given_up_after_three_failures_and_looked_for_later() {
    let mut h = Health::missing();
    assert_eq!(h.step(0), Step::Probe);
    assert!(h.good());
    assert!(!h.bad(10, 100) && !h.bad(11, 100));
    assert!(!h.good(), "a success in between starts the count again");
    assert!(!h.bad(20, 100) && !h.bad(21, 100));
    assert!(h.bad(22, 100), "this one is reported");
    assert_eq!((h.step(23), h.step(121), h.step(122)), (Step::Skip, Step::Skip, Step::Probe));
    assert!(!h.bad(122, 100), "said once");
    assert_eq!(h.step(123), Step::Skip);
    assert!(h.good() && h.present());
}

#[test]
fn the_buffer_keeps_the_newest_and_counts_the_lost() {
    let mut b = Buffer::default();
    let scan = |i: u64| Scan { timestamp: i, raw: [i as i32; 8] };
    assert!(!b.push(scan(9), 0xff), "it is off");
    b.enable(0b101, 4, 3);
    assert!(!b.push(scan(9), 0b001), "a chosen channel was dropped by a program");
    let told: std::vec::Vec<bool> = (0..6).map(|i| b.push(scan(i), 0b111)).collect();
    assert_eq!(told, [false, false, true, true, true, true]);
    assert_eq!((b.len(), b.lost()), (4, 2));
    let mut out = [0xee; 40];
    assert_eq!(b.read(&mut out), (2, 32), "as many as fit");
    assert_eq!(out[..16], [2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(out[16..24], [3, 0, 0, 0, 3, 0, 0, 0]);
    assert_eq!(b.read(&mut out), (2, 32));
    assert_eq!(b.read(&mut out), (0, 0));
    b.enable(0b010, 1000, 0);
    assert_eq!((b.shape(), b.scan_bytes()), ((CAPACITY as u32, 1), 16));
    assert!(b.push(scan(7), 0b010));
    assert_eq!(b.read(&mut out), (1, 16));
    assert_eq!(out[..16], [7, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0], "padding is zero");
}

#[test]
fn timestamps_of_batches_rise_and_end_at_the_newest() {
    let list = |s: Stamps, n| (1..=n).map(|i| s.of(i)).collect::<std::vec::Vec<_>>();
    assert_eq!(list(Stamps::new(0, 100, 10, 3), 3), [80, 90, 100]);
    assert_eq!(list(Stamps::new(85, 100, 10, 3), 3), [90, 95, 100], "squeezed behind the last batch");
    assert_eq!(list(Stamps::new(100, 100, 10, 1), 1), [100]);
    assert_eq!(list(Stamps::new(0, 0, 10, 0), 0), []);
}

#[test]
fn the_event_is_the_programs_struct() {
    assert_eq!(size_of::<Event>(), 32);
    assert_eq!(core::mem::offset_of!(Event, value), 16);
    assert_eq!(core::mem::offset_of!(Event, offset), 24);
}
