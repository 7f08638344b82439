//! Ticks and time, against arithmetic of 128 bits.

use hpet::{BadPeriod, Period};
use proptest::prelude::*;

const YEAR_NS: u128 = 366 * 86_400 * 1_000_000_000;

fn period(fs: u32) -> Period {
    Period::from_femtoseconds(fs).unwrap()
}

fn check(p: Period, ticks: u64, ns: u64) {
    let fs = u128::from(p.femtoseconds());
    let exact = u128::from(ticks) * fs;
    let floor = exact / 1_000_000;
    assert_eq!(u128::from(p.nanoseconds(ticks)), floor.min(u64::MAX.into()), "{p}, {ticks} ticks");
    assert_eq!(p.duration(ticks).as_nanos(), floor, "{p}, {ticks} ticks");
    // The smallest number that is not early, the largest that is not late.
    let wanted = u128::from(ns) * 1_000_000;
    let fits = |n: u128| u64::try_from(n).ok();
    assert_eq!(p.ticks_ceil(ns), fits(wanted.div_ceil(fs)), "{p}, {ns} ns");
    assert_eq!(p.ticks_floor(ns), fits(wanted / fs), "{p}, {ns} ns");
}

/// The project's predecessor took ticks for nanoseconds: its "boot time" was a tenth of the true one.
#[test]
fn a_tick_is_not_a_nanosecond() {
    let qemu = period(10_000_000);
    let boot_ticks = 3_400_000;
    assert_eq!(qemu.nanoseconds(boot_ticks), 34_000_000, "34 ms");
    assert_eq!(qemu.nanoseconds(boot_ticks), 10 * boot_ticks, "ten times what the predecessor printed");
    // Twenty-four megahertz, where whole nanoseconds per tick would be 1.6 % off, and 14.318 MHz, 1.2 %.
    assert_eq!(period(41_666_667).nanoseconds(24_000_000), 1_000_000_008);
    assert_eq!(period(69_841_279).nanoseconds(14_318_180), 1_000_000_004);
    assert_eq!(period(69_841_279).frequency_hz(), 14_318_180);
    assert_eq!(period(41_666_667).to_string(), "41666667 fs per tick (24.000000 MHz)");
    // The other way round: a millisecond is not a million ticks.
    assert_eq!(qemu.ticks_ceil(1_000_000), Some(100_000));
    assert_eq!(period(69_841_279).ticks_ceil(1_000_000), Some(14_319));
}

#[test]
fn periods_by_the_specification() {
    assert_eq!(Period::from_femtoseconds(0), Err(BadPeriod::Zero));
    assert_eq!(Period::from_femtoseconds(1).unwrap().femtoseconds(), 1);
    assert!(Period::from_femtoseconds(100_000_000).is_ok());
    for femtoseconds in [100_000_001, u32::MAX] {
        assert_eq!(Period::from_femtoseconds(femtoseconds), Err(BadPeriod::TooLong { femtoseconds }));
    }
    let text = Period::from_femtoseconds(u32::MAX).unwrap_err().to_string();
    assert_eq!(
        text,
        "COUNTER_CLK_PERIOD is 4294967295 fs, and the specification allows at most 100000000 fs (100 ns)"
    );
}

/// Every number of a small world: the first ticks and nanoseconds at periods around each edge of the arithmetic.
#[test]
fn every_small_number() {
    let mut periods: Vec<u32> = (1..=64).collect();
    periods.extend((0..=8).flat_map(|e| {
        let p = 10u32.pow(e);
        [p.saturating_sub(1).max(1), p, (p + 1).min(100_000_000)]
    }));
    periods.extend((0..26).map(|b| 1 << b));
    periods.extend([10_000_000, 41_666_667, 52_083_333, 69_841_279, 40_000_000, 99_999_999]);
    for fs in periods {
        let p = period(fs);
        for n in 0..3000 {
            check(p, n, n);
            check(p, u64::MAX - n, u64::MAX - n);
            // Around the splits of both directions.
            let near = |m: u64| (m * 7).wrapping_add(n).wrapping_sub(1500);
            check(p, near(1_000_000), near(fs.into()));
            check(p, near(1_000_000_000), near(1_000_000));
        }
    }
}

/// Every period of the hardware that is known, over every hour of a hundred years.
#[test]
fn a_hundred_years() {
    for fs in [1_000_000, 10_000_000, 40_000_000, 41_666_667, 52_083_333, 69_841_279, 100_000_000] {
        let p = period(fs);
        for hour in 0..100 * 366 * 24u64 {
            let ns = hour * 3_600_000_000_000 + hour;
            assert!(u128::from(ns) <= 101 * YEAR_NS);
            let ticks = p.ticks_ceil(ns).expect("a hundred years of ticks fit");
            check(p, ticks, ns);
            // Never early, and less than a tick late (to the rounding of showing it, 1 ns).
            let back = p.nanoseconds(ticks);
            assert!(back >= ns && back <= ns + u64::from(fs) / 1_000_000, "{p}: {ns} ns became {back}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_period_any_number(fs in 1u32..=100_000_000, ticks: u64, ns: u64, cut in 0u32..64) {
        check(period(fs), ticks >> cut, ns >> cut);
    }

    #[test]
    fn there_and_back(fs in 1u32..=100_000_000, ns in 0u64..3_200_000_000_000_000_000, cut in 0u32..62) {
        let (p, ns) = (period(fs), ns >> cut);
        if let Some(ticks) = p.ticks_ceil(ns) {
            prop_assert!(p.nanoseconds(ticks) >= ns, "early");
            prop_assert!(ticks == 0 || u128::from(ticks - 1) * u128::from(fs) < u128::from(ns) * 1_000_000, "a tick later than needed");
            prop_assert!(p.ticks_ceil(p.nanoseconds(ticks)).is_some_and(|t| t <= ticks));
        }
    }

    #[test]
    fn time_keeps_its_order(fs in 1u32..=100_000_000, a: u64, b: u64) {
        let p = period(fs);
        prop_assert_eq!(a.cmp(&b), a.cmp(&b).then(p.duration(a).cmp(&p.duration(b))));
        prop_assert!(p.nanoseconds(a.min(b)) <= p.nanoseconds(a.max(b)));
    }
}
