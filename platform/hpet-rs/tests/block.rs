//! The block: what is accepted as an HPET, its counter, its switches.

mod model;

use hpet::regs::*;
use hpet::{BadPeriod, EnableError, Hpet, NoLegacyReplacement, NoSuchTimer, NotHalted, ProbeError, Quirks};
use model::*;

fn probe(capabilities: u64, quirks: Quirks) -> Result<Hpet<Bus<false>>, ProbeError> {
    // The model's timers by the number that it claims.
    Hpet::new(Bus::new(Device::new(capabilities, QEMU_TIMER)), quirks)
}

fn with_period(fs: u32) -> u64 {
    u64::from(fs) << 32 | QEMU & 0xffff_ffff
}

#[test]
fn qemu_is_read_right() {
    let hpet = probe(QEMU, Quirks::NONE).unwrap();
    let c = hpet.capabilities();
    assert_eq!((c.vendor_id(), c.rev_id(), c.timers()), (0x8086, 1, 3));
    assert!(c.count_size_cap() && c.leg_rt_cap());
    assert_eq!(hpet.period().femtoseconds(), 10_000_000);
    assert_eq!(hpet.timers(), 3);
}

#[test]
fn what_is_no_hpet() {
    for (capabilities, error) in [
        (0, ProbeError::Absent),
        (u64::MAX, ProbeError::Absent),
        (QEMU & !0xff, ProbeError::Revision),
        (with_period(0), ProbeError::Period(BadPeriod::Zero)),
        (with_period(100_000_001), ProbeError::Period(BadPeriod::TooLong { femtoseconds: 100_000_001 })),
        (with_period(999_999), ProbeError::PeriodTooShort { femtoseconds: 999_999 }),
        (with_period(69_841), ProbeError::PeriodTooShort { femtoseconds: 69_841 }),
    ] {
        assert_eq!(probe(capabilities, Quirks::NONE).err(), Some(error), "{capabilities:#x}");
    }
    assert!(probe(with_period(1_000_000), Quirks::NONE).is_ok());
    let text = ProbeError::PeriodTooShort { femtoseconds: 69_841 }.to_string();
    assert!(text.contains("69841 fs") && text.contains("period-in-picoseconds"), "{text}");
}

#[test]
fn quirks_have_names() {
    let quirk = Quirks::by_name("period-in-picoseconds").unwrap();
    assert_eq!(probe(with_period(69_841), quirk).unwrap().period().femtoseconds(), 69_841_000);
    assert!(matches!(
        probe(with_period(u32::MAX - 1), quirk),
        Err(ProbeError::Period(BadPeriod::TooLong { .. }))
    ));
    assert_eq!(probe(QEMU, Quirks::by_name("absent").unwrap()).err(), Some(ProbeError::Absent));
    assert!(probe(QEMU, Quirks::STOPS_IN_DEEP_SLEEP).unwrap().stops_in_deep_sleep());
    assert!(!probe(QEMU, quirk).is_ok_and(|h| h.stops_in_deep_sleep()));
    assert_eq!(Quirks::by_name("x"), None);
    let both = quirk | Quirks::SLOW_COMPARATOR;
    assert_eq!(both.to_string(), "period-in-picoseconds, slow-comparator");
    assert_eq!(format!("{:?}", Quirks::NONE), "Quirks(none)");
    for name in both.to_string().split(", ") {
        assert!(both.contains(Quirks::by_name(name).unwrap()));
    }
}

#[test]
fn probing_writes_nothing() {
    let bus = Bus::<false>::new(Device::new(QEMU, QEMU_TIMER));
    let hpet = Hpet::new(bus.clone(), Quirks::NONE).unwrap();
    assert!(bus.0.borrow().writes.is_empty());
    assert!(!hpet.is_enabled() && !hpet.legacy_replacement());
}

#[test]
fn the_counter_is_seen_to_run() {
    let bus = Bus::<false>::new(Device::new(QEMU, QEMU_TIMER));
    let mut hpet = Hpet::new(bus.clone(), Quirks::NONE).unwrap();
    // A bit that is not ours stays.
    bus.0.borrow_mut().config = 1 << 9;
    assert_eq!(hpet.enable(), Ok(()));
    assert_eq!(bus.0.borrow().config, 1 << 9 | ENABLE_CNF);
    assert_eq!(hpet.set_main_counter(5), Err(NotHalted));
    hpet.halt();
    assert_eq!(hpet.set_main_counter(0x1_2345_6789_abcd), Ok(()));
    assert_eq!(hpet.main_counter(), 0x1_2345_6789_abcd);
    bus.0.borrow_mut().stuck = true;
    assert_eq!(hpet.enable(), Err(EnableError::Stuck { count: 0x1_2345_6789_abcd }));
    bus.0.borrow_mut().config = 0;
    bus.0.borrow_mut().locked = true;
    assert_eq!(hpet.enable(), Err(EnableError::Ignored));
}

#[test]
fn legacy_replacement_where_it_is() {
    let mut hpet = probe(QEMU, Quirks::NONE).unwrap();
    assert_eq!(hpet.set_legacy_replacement(true), Ok(()));
    assert!(hpet.legacy_replacement());
    assert_eq!(hpet.set_legacy_replacement(false), Ok(()));
    assert!(!hpet.legacy_replacement());
    let mut hpet = probe(QEMU & !(1 << 15), Quirks::NONE).unwrap();
    assert_eq!(hpet.set_legacy_replacement(true), Err(NoLegacyReplacement));
    assert_eq!(hpet.set_legacy_replacement(false), Ok(()));
    assert!(!hpet.legacy_replacement());
}

#[test]
fn timers_are_those_that_exist() {
    for n in 0..32u64 {
        let mut hpet = probe(QEMU & !0x1f00 | n << 8, Quirks::NONE).unwrap();
        let timers = n as u8 + 1;
        assert_eq!(hpet.timers(), timers);
        assert!(hpet.timer(n as u8).is_ok());
        for number in [timers, 32, 255] {
            assert_eq!(hpet.timer(number).err(), Some(NoSuchTimer { number, timers }));
        }
    }
}

/// Every place around the carry of the lower half, at every speed: the result is a count that the counter had during the call.
#[test]
fn no_torn_reads() {
    let (mut naive_torn, mut reads) = (0, 0);
    for per_access in 0..=40 {
        for before in 0..=200u64 {
            let bus = Bus::<false>::new(Device::new(QEMU, QEMU_TIMER));
            let mut hpet = Hpet::new(bus.clone(), Quirks::NONE).unwrap();
            {
                let mut d = bus.0.borrow_mut();
                (d.config, d.per_access, d.counter) = (ENABLE_CNF, per_access, (7 << 32) - before);
            }
            let start = bus.counter();
            let got = hpet.main_counter();
            assert!((start..=bus.counter()).contains(&got), "{start:#x} {got:#x} {:#x}", bus.counter());
            reads += 1;
            // The tempting version, two halves, is wrong here: the test bites.
            bus.0.borrow_mut().counter = (7 << 32) - before;
            let start = bus.counter();
            let torn = hpet::Registers::read64(&bus, MAIN_CNT);
            naive_torn += u32::from(!(start..=bus.counter()).contains(&torn));
        }
    }
    assert_eq!(reads, 41 * 201);
    assert!(naive_torn > 500, "{naive_torn}");
}

#[test]
fn a_wide_bus_reads_once() {
    let bus = Bus::<true>::new(Device::new(QEMU, QEMU_TIMER));
    let mut hpet = Hpet::new(bus.clone(), Quirks::NONE).unwrap();
    for before in 0..20u64 {
        let mut d = bus.0.borrow_mut();
        (d.config, d.per_access, d.counter) = (ENABLE_CNF, 5, (1 << 32) - before);
        drop(d);
        assert_eq!(hpet.main_counter(), (1 << 32) - before + 5);
    }
}

#[test]
fn a_counter_of_32_bits_goes_on() {
    let bus = Bus::<false>::new(Device::new(PC32, 0x00ff_0000_0000_0010));
    let mut hpet = Hpet::new(bus.clone(), Quirks::NONE).unwrap();
    hpet.enable().unwrap();
    let mut last = 0;
    for n in 0..1000u64 {
        // Up to just below half a wrap.
        bus.advance(n * 2_147_000);
        let now = hpet.main_counter();
        assert_eq!(now, bus.counter());
        assert!(now > last);
        last = now;
    }
    assert!(last > 200 << 32);
    // 69.841279 ns each.
    let ns = u128::from(bus.counter() + 1) * 69_841_279 / 1_000_000;
    assert_eq!(u128::from(hpet.nanoseconds()), ns);
    assert_eq!(hpet.now().as_nanos(), u128::from(bus.counter()) * 69_841_279 / 1_000_000);
    // Set beyond 32 bits, it goes on from there.
    hpet.halt();
    hpet.set_main_counter(5 << 32 | 0xffff_fff0).unwrap();
    bus.0.borrow_mut().counter &= 0xffff_ffff;
    hpet.enable().unwrap();
    bus.advance(1000);
    assert!((6 << 32..(6 << 32) + 2000).contains(&hpet.main_counter()));
}
