//! Sensors on a bus of the test's: what the server does when a chip loses its configuration, overruns its FIFO, is asked for rates that it
//! does not have, or has no timer.

use super::board::{ADXL345, Board, LM75, MS, PLAN, Plan, SECOND, Scan, lock};
use super::bus::Adxl345;
use axiom_runtime::proto::iio::{Reply, Request};

fn rate(millihertz: u64) -> Reply<'static> {
    Reply::Rate { millihertz }
}

/// All of them are samples that the chip took, one after the other, none of them twice.
fn honest(scans: &[Scan]) {
    for pair in scans.windows(2) {
        assert!(pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1, "{pair:?}");
    }
    assert!(scans.iter().all(|scan| scan.2 == 256), "a sample that nobody measured: {scans:?}");
}

#[test]
fn a_dip_of_power_is_noticed_within_a_second_by_a_timers_stream() {
    for (hz, phase) in [1, 2, 3, 10, 100].into_iter().flat_map(|hz| [(hz, 0), (hz, 7), (hz, 430)]) {
        let mut board = Board::new();
        board.read_scans();
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz }), rate(u64::from(hz) * 1000));
        board.pass(2 * SECOND + phase * MS);
        let before = board.scans();
        assert!(before.len() >= 2 * hz as usize - 1, "{hz} Hz: {} scans", before.len());
        honest(&before);
        let set = board.adxl345(|chip| chip.rate());
        assert_eq!(board.said("lost its configuration"), 0);
        board.adxl345(Adxl345::dip);
        board.pass(SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, board.said("lost its configuration")), (1, 1), "{hz} Hz {phase}");
        assert_eq!(board.adxl345(|chip| chip.rate()), set, "{hz} Hz: its rate");
        let period = SECOND / u64::from(hz);
        board.pass(period);
        let after = board.scans();
        assert!(!after.is_empty(), "{hz} Hz {phase}: no sample a period after it was set up again");
        honest(&after);
        assert_eq!((counts.errors, counts.samples / 3), (0, (before.len() + after.len()) as u64 - 1));
        board.pass(2 * SECOND);
        assert_eq!(board.counts(ADXL345).reconfigured, 1, "{hz} Hz: once is enough");
    }
}

#[test]
fn a_dip_of_power_is_noticed_within_a_second_where_the_chip_itself_samples() {
    for (hz, phase) in [1, 3, 7, 100, 800].into_iter().flat_map(|hz| [(hz, 0), (hz, 90), (hz, 430)]) {
        let mut board = Board::new();
        board.read_scans();
        let Reply::Rate { millihertz } = board.ask(Request::DataReady { device: ADXL345, hz }) else {
            panic!("{hz} Hz: refused")
        };
        board.pass(3 * SECOND + phase * MS);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.late, counts.overruns, counts.reconfigured), (0, 0, 0), "{hz} Hz {phase}");
        honest(&board.scans());
        board.adxl345(Adxl345::dip);
        board.pass(SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, board.said("lost its configuration")), (1, 1), "{hz} Hz {phase}");
        // A batch later there are values again.
        let batch = u64::from((hz / 100).max(1));
        board.pass(batch * 1_000_000_000_000 / millihertz);
        let after = board.scans();
        assert!(after.iter().any(|scan| scan.0 > board.now - SECOND), "{hz} Hz {phase}: no sample since");
        honest(&after);
        board.pass(2 * SECOND);
        let counts = board.counts(ADXL345);
        assert_eq!((counts.reconfigured, counts.overruns, counts.errors), (1, 0, 0), "{hz} Hz {phase}");
    }
}

#[test]
fn a_dip_of_power_is_noticed_by_a_single_reading() {
    let mut board = Board::new();
    board.pass(SECOND);
    assert_eq!(board.raw(ADXL345, 2), Reply::Value { integer: 256, nanos: 0 });
    for wait in [0, 400, 3000] {
        board.adxl345(Adxl345::dip);
        board.pass(wait * MS);
        // Never the zeros of a chip that stands by.
        assert_eq!(board.raw(ADXL345, 2), Reply::NoValue, "after {wait} ms");
        board.pass(SECOND - wait.min(1000) * MS);
        board.raw(ADXL345, 2);
        assert_eq!(board.said("lost its configuration"), 1, "after {wait} ms");
        board.pass(20 * MS);
        assert_eq!(board.raw(ADXL345, 2), Reply::Value { integer: 256, nanos: 0 }, "after {wait} ms");
        board.pass(SECOND);
    }
    let counts = board.counts(ADXL345);
    // The first two answers came of a chip that nobody had looked at yet.
    assert_eq!((counts.reconfigured, counts.not_ready, counts.errors, counts.samples), (3, 2, 0, 0));
}

#[test]
fn a_thermometer_that_somebody_sent_to_sleep_gives_no_old_value() {
    let mut board = Board::new();
    let degrees = |n: i64| Reply::Value { integer: 16 * n, nanos: 0 };
    assert_eq!(board.raw(LM75, 0), Reply::NoValue, "its power has just come: it reads 0 degrees");
    board.pass(SECOND);
    assert_eq!(board.raw(LM75, 0), degrees(25));
    board.lm75(|chip| (chip.configuration, chip.temperature) = (1, 90 << 8));
    board.pass(SECOND);
    for wait in [0, 50, 200] {
        board.pass(wait * MS);
        assert_eq!(board.raw(LM75, 0), Reply::NoValue, "what it measured before it slept");
    }
    board.pass(100 * MS);
    assert_eq!(board.raw(LM75, 0), degrees(90));
    assert_eq!((board.counts(LM75).reconfigured, board.said("lm75: it has lost")), (1, 1));
    assert_eq!(board.lm75(|chip| chip.configuration), 0);
}

#[test]
fn what_a_fifo_had_to_give_up_is_counted_in_samples() {
    for (hz, away, pause) in
        [(100, 1000, 0), (100, 400, 10_000), (800, 250, 3000), (3200, 50, 1), (1, 60_000, 9000)]
    {
        let mut board = Board::new();
        // A stream that ended before must not count, nor the time since.
        assert!(matches!(board.ask(Request::DataReady { device: ADXL345, hz }), Reply::Rate { .. }));
        board.pass(SECOND);
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz: 0 }), rate(0));
        board.pass(pause * MS);
        assert!(matches!(board.ask(Request::DataReady { device: ADXL345, hz }), Reply::Rate { .. }));
        board.stall(away * MS);
        let lost = board.adxl345(|chip| chip.given_up as u64);
        assert!(lost > 1, "{hz} Hz: the FIFO has room for {away} ms");
        // The last one may be due just now.
        let counted = board.counts(ADXL345).overruns;
        assert!(counted.abs_diff(lost) <= 1, "{hz} Hz, {away} ms: {counted} counted, {lost} lost");
        board.pass(SECOND);
        assert_eq!(board.counts(ADXL345).overruns, counted, "{hz} Hz: nothing more is lost");
    }
}

#[test]
fn a_stream_that_could_not_be_changed_goes_on_as_it_was() {
    // The last thing that the chip is told of a stream of its own, and the first ones.
    for refused in [(0x2e, 2), (0x38, 0x80 | 1), (0x2c, 10), (0x38, 0), (0x2e, 0)] {
        let mut board = Board::new();
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz: 800 }), rate(800_000));
        board.read_scans();
        board.pass(SECOND / 10);
        let interval = board.adxl345(|chip| chip.interval());
        lock(&board.chips).refused = Some(refused);
        assert_eq!(
            board.ask(Request::DataReady { device: ADXL345, hz: 100 }),
            Reply::NotFound,
            "{refused:x?}"
        );
        assert_eq!(
            board.adxl345(|chip| (chip.interval(), chip.rises_at())),
            (interval, None),
            "{refused:x?}"
        );
        assert_eq!(board.counts(ADXL345).errors, 1, "{refused:x?}");
        board.pass(SECOND / 10);
        let scans = board.scans();
        // Being set up again takes as long as a few samples.
        assert!(scans.len() > 140, "{refused:x?}: {} scans", scans.len());
        honest(&scans);
    }
}

#[test]
fn a_reading_takes_nothing_out_of_a_stream() {
    let mut board = Board::new();
    board.read_scans();
    assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz: 800 }), rate(800_000));
    assert_eq!(board.raw(ADXL345, 2), Reply::NoValue, "nothing has come yet");
    for _ in 0..100 {
        board.pass(3 * MS);
        assert!(matches!(board.raw(ADXL345, 2), Reply::Value { integer: 256, .. } | Reply::NoValue));
    }
    let scans = board.scans();
    let taken: Vec<i32> = scans.iter().map(|scan| scan.1).collect();
    let first = taken[0];
    assert_eq!(taken, (first..first + taken.len() as i32).collect::<Vec<_>>(), "one is missing");
    assert!(taken.len() >= 230, "{} samples", taken.len());
}

#[test]
fn a_rate_that_cannot_be_is_refused_and_every_answer_is_the_real_one() {
    let mut board = Board::new();
    let frequency = |device| Request::Read { device, channel: 0, attribute: "sampling_frequency" };
    let value = |integer, nanos| Reply::Value { integer, nanos };
    let out = |fastest| Reply::OutOfRange { slowest: 1000, fastest };
    for (hz, answer, told) in [
        (60, rate(100_000), value(100, 0)),
        (0, out(3_200_000), value(100, 0)),
        (5000, out(3_200_000), value(100, 0)),
        (u32::MAX, out(3_200_000), value(100, 0)),
        (1, rate(1562), value(1, 562_000_000)),
        (3200, rate(3_200_000), value(3200, 0)),
    ] {
        assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz }), answer, "{hz} Hz");
        assert_eq!(board.ask(frequency(ADXL345)), told, "{hz} Hz");
        let interval = board.adxl345(|chip| chip.interval());
        let Reply::Value { integer, nanos } = told else { unreachable!() };
        let nanohertz = i128::from(integer) * 1_000_000_000 + i128::from(nanos);
        let chips = 1_000_000_000_000_000_000 / i128::from(interval);
        assert!((nanohertz - chips).abs() <= 1_000_000, "{hz} Hz: the chip samples at {chips} nHz");
    }
    for (hz, answer) in [(60, rate(60_000)), (3201, out(3_200_000)), (u32::MAX, out(3_200_000)), (0, rate(0))]
    {
        assert_eq!(board.ask(Request::Sample { device: ADXL345, hz }), answer, "{hz} Hz by a timer");
    }
    // A thermometer measures three times a second.
    for (hz, answer) in [(3, rate(3000)), (4, out(3000)), (100, out(3000)), (0, rate(0))] {
        assert_eq!(board.ask(Request::Sample { device: LM75, hz }), answer, "{hz} Hz by a timer");
    }
    assert_eq!(board.ask(Request::DataReady { device: LM75, hz: 1 }), Reply::NotFound, "it has no wire");
}

#[test]
fn the_rates_that_a_chip_has_are_a_list() {
    let mut board = Board::new();
    let mut list = |device| {
        let rates = (0..).map_while(|index| match board.ask(Request::Rate { device, index }) {
            Reply::Rate { millihertz } => Some(millihertz),
            other => {
                assert_eq!(other, if device < 2 { Reply::End } else { Reply::NotFound });
                None
            }
        });
        rates.collect::<Vec<_>>()
    };
    let adxl345 = list(ADXL345);
    assert_eq!((adxl345.len(), adxl345[0], adxl345[15]), (16, 97, 3_200_000));
    assert!(adxl345.is_sorted());
    assert_eq!(list(LM75), [3000]);
    assert!(list(2).is_empty());
    // Each that a client can name is one that it gets.
    for millihertz in adxl345.into_iter().filter(|rate| rate % 1000 == 0) {
        let hz = (millihertz / 1000) as u32;
        assert_eq!(board.ask(Request::DataReady { device: ADXL345, hz }), rate(millihertz));
    }
}

#[test]
fn sensors_without_a_timer_or_beyond_the_eighth_are_left_out_and_the_server_lives() {
    let mut board = Board::of(Plan { timers: &["bus", "sensor/lm75"], ..PLAN });
    assert_eq!(board.said("adxl345: left out: it has no timer"), 1);
    assert!(matches!(board.ask(Request::Device { device: 0 }), Reply::Device { name: "lm75", .. }));
    assert_eq!(board.ask(Request::Device { device: 1 }), Reply::End);
    drop(board);
    let mut board = Board::of(Plan { timers: &["bus"], ..PLAN });
    assert_eq!(board.ask(Request::Device { device: 0 }), Reply::End);
    assert_eq!(board.ask(Request::Sample { device: 0, hz: 1 }), Reply::NotFound);
    drop(board);
    let words: Vec<String> = (0x48..0x54).map(|at| format!("lm75@{at:#x}")).collect();
    let timers: Vec<String> = words.iter().map(|word| format!("sensor/{word}")).collect();
    let timers: Vec<&str> = ["bus"].into_iter().chain(timers.iter().map(String::as_str)).collect();
    let mut board = Board::of(Plan { sensors: &words.join(" "), timers: &timers, ..PLAN });
    assert_eq!(board.said("left out: this server serves 8 sensors"), 4);
    assert_eq!(board.ask(Request::Device { device: 8 }), Reply::End);
    board.pass(SECOND);
    assert_eq!(board.raw(0, 0), Reply::Value { integer: 25 * 16, nanos: 0 });
    assert_eq!(board.raw(7, 0), Reply::Absent);
}

#[test]
fn the_manifests_rate_is_each_chips_or_its_fastest() {
    let frequency = |device| Request::Read { device, channel: 0, attribute: "sampling_frequency" };
    let plans = [Plan { hz: Some("50"), ..PLAN }, Plan { restarts: 1, ..PLAN }];
    for (plan, hz, said) in plans.into_iter().zip([50, 100]).zip([1, 0]).map(|((a, b), c)| (a, b, c)) {
        let mut board = Board::of(plan);
        assert_eq!(board.ask(frequency(ADXL345)), Reply::Value { integer: hz, nanos: 0 });
        assert_eq!(board.ask(frequency(LM75)), Reply::Value { integer: 3, nanos: 0 });
        assert_eq!(board.said("lm75: it cannot be sampled 50 times a second"), said);
        board.pass(2 * SECOND);
        assert!(board.counts(LM75).samples >= 5, "{:?}", board.counts(LM75));
    }
}

#[test]
fn an_absent_chip_keeps_the_bus_from_nobody_however_often_it_is_asked_for() {
    let mut board = Board::new();
    board.pass(SECOND);
    let chip = lock(&board.chips).lm75.take();
    let lost = |board: &mut Board| {
        let before = board.counts(LM75).errors;
        (0..100).for_each(|_| assert_eq!(board.raw(LM75, 0), Reply::Absent));
        board.counts(LM75).errors - before
    };
    // Three failures in a row, and it is given up; then it is looked for twice a second.
    assert_eq!(lost(&mut board), 3);
    assert_eq!(board.said("lm75: does not answer any more"), 1);
    board.stall(499 * MS);
    let before = board.counts(LM75).errors;
    assert_eq!((lost(&mut board), board.counts(LM75).errors), (0, before));
    board.stall(MS);
    assert!(lost(&mut board) <= 1);
    lock(&board.chips).lm75 = chip;
    assert_eq!(board.raw(LM75, 0), Reply::Absent, "it was looked for just now");
    board.stall(500 * MS);
    assert_eq!(board.raw(LM75, 0), Reply::NoValue, "it has just been set up");
    board.stall(SECOND);
    assert!(matches!(board.raw(LM75, 0), Reply::Value { .. }));
}
