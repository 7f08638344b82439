//! The board with chips that remember, and everything that user code could try against a stop.

use super::*;
use axiom_proto::env::ClientBadge;
use core::cell::RefCell;
use proptest::prelude::*;
use std::boxed::Box;
use std::rc::Rc;
use std::vec;

/// A chip of eight lines and two channels.
#[derive(Default)]
struct Model {
    outputs: u64,
    levels: u64,
    inputs: u64,
    duties: [u16; 2],
    watched: [Option<Edges>; 8],
}

#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Model>>);

impl Chip for Shared {
    fn lines(&self) -> u8 {
        8
    }
    fn is_output(&self, line: u8) -> bool {
        self.0.borrow().outputs >> line & 1 != 0
    }
    fn level(&self, line: u8) -> bool {
        let m = self.0.borrow();
        (if m.outputs >> line & 1 != 0 { m.levels } else { m.inputs }) >> line & 1 != 0
    }
    fn drive(&mut self, line: u8, level: bool) {
        let mut m = self.0.borrow_mut();
        m.outputs |= 1 << line;
        m.levels = m.levels & !(1 << line) | u64::from(level) << line;
    }
    fn release(&mut self, line: u8) {
        self.0.borrow_mut().outputs &= !(1 << line);
    }
    fn watch(&mut self, line: u8, edges: Option<Edges>) {
        self.0.borrow_mut().watched[line as usize] = edges;
    }
    fn take_edges(&mut self) -> Seen {
        Seen::default()
    }
}

impl PwmChip for Shared {
    fn channels(&self) -> u8 {
        2
    }
    fn set_duty(&mut self, channel: u8, duty: u16) {
        self.0.borrow_mut().duties[channel as usize] = duty;
    }
}

const ENABLE: Line = Line { chip: 0, line: 6 };
const BRAKE: Line = Line { chip: 0, line: 5 };
const LED: Line = Line { chip: 0, line: 2 };
const SOFT: Line = Line { chip: 0, line: 7 };
const LED_PWM: Line = Line { chip: 0, line: 1 };
const SPEED: Channel = Channel { chip: 0, channel: 1 };
const FAN: Channel = Channel { chip: 0, channel: 0 };
const SOFT_SPEED: Channel = Channel { chip: 1, channel: 0 };

/// Everything but the right to rearm.
fn everything() -> Grants {
    let mut g = Grants::NONE;
    for line in 0..64 {
        g.grant_line(Line { chip: 0, line }, true);
    }
    for channel in [SPEED, FAN, SOFT_SPEED] {
        g.grant_channel(channel);
    }
    g.motor_stop = true;
    g
}

/// A motor stands with ENABLE low, BRAKE high and no duty; a second one hangs on a channel made in software.
fn board(stop: EmergencyStop) -> (Board, Shared) {
    let chip = Shared::default();
    let belt = Motor {
        gpio: [(ENABLE, false), (BRAKE, true)].into_iter().collect(),
        pwm: [SPEED].into_iter().collect(),
    };
    let fan = Motor { gpio: Default::default(), pwm: [SOFT_SPEED].into_iter().collect() };
    let mut board = Board::new([belt, fan].into_iter().collect(), stop);
    board.add_chip(Some(Box::leak(Box::new(chip.clone())))).unwrap();
    board.add_chip(None).unwrap();
    board.add_pwm(Some(Box::leak(Box::new(chip.clone())))).unwrap();
    board.add_soft_pwm(SoftPwm { line: SOFT, period: 1000 }).unwrap();
    board.take_line(LED_PWM);
    board.park();
    (board, chip)
}

fn stands(chip: &Shared) -> bool {
    let m = chip.0.borrow();
    let motor = 1 << ENABLE.line | 1 << BRAKE.line | 1 << SOFT.line;
    m.outputs & motor == motor && m.levels & motor == 1 << BRAKE.line && m.duties[1] == 0
}

fn update(b: &mut Board) {
    while let Some(u) = b.next_update() {
        b.apply(u, FULL_DUTY);
    }
}

fn badge(word: u64) -> ClientBadge {
    ClientBadge::new(word)
}

#[test]
fn nothing_is_driven_without_a_grant() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let none = Grants::NONE;
    assert_eq!(b.set(&none, LED, true), Err(Refusal::NotGranted));
    assert_eq!(b.level(&none, LED), Err(Refusal::NotGranted));
    assert_eq!(b.release(&none, LED), Err(Refusal::NotGranted));
    assert_eq!(b.request_duty(&none, FAN, 9), Err(Refusal::NotGranted));
    assert_eq!(b.emergency_stop(&none), Err(Refusal::NotGranted));
    assert_eq!(b.rearm(&everything()), Err(Refusal::NotGranted));
    let mut reads = Grants::NONE;
    reads.grant_line(LED, false);
    chip.0.borrow_mut().inputs = 1 << LED.line;
    assert_eq!(b.level(&reads, LED), Ok(true));
    assert_eq!(b.set(&reads, LED, true), Err(Refusal::NotGranted));
    assert_eq!(chip.0.borrow().outputs & 1 << LED.line, 0);
    assert!(stands(&chip), "a board begins with its motors parked");
    // Lines and chips that are not there.
    let all = everything();
    assert_eq!(b.set(&all, Line { chip: 0, line: 8 }, true), Err(Refusal::NoSuchLine));
    let mut absent = Grants::NONE;
    absent.grant_line(Line { chip: 1, line: 0 }, true);
    assert_eq!(b.set(&absent, Line { chip: 1, line: 0 }, true), Err(Refusal::NoSuchLine));
    for line in [SOFT, LED_PWM] {
        assert_eq!(b.set(&all, line, true), Err(Refusal::Taken));
        assert_eq!(b.release(&all, line), Err(Refusal::Taken));
    }
}

#[test]
fn a_stop_holds_until_it_is_rearmed_and_rearming_starts_nothing() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let all = everything();
    let mut rearms = Grants::NONE;
    rearms.motor_rearm = true;
    b.set(&all, ENABLE, true).unwrap();
    b.request_duty(&all, SPEED, 30_000).unwrap();
    update(&mut b);
    assert_eq!(chip.0.borrow().duties, [0, 30_000]);
    // One waits for its programs while the stop comes.
    b.request_duty(&all, SPEED, 40_000).unwrap();
    b.emergency_stop(&all).unwrap();
    update(&mut b);
    assert!(stands(&chip));
    assert_eq!(b.set(&all, ENABLE, true), Err(Refusal::Stopped));
    assert_eq!(b.set(&all, ENABLE, false), Ok(()), "standing still is allowed");
    assert_eq!(b.request_duty(&all, SPEED, 1), Err(Refusal::Stopped));
    // What is no motor goes on.
    b.set(&all, LED, true).unwrap();
    b.request_duty(&all, FAN, 7).unwrap();
    update(&mut b);
    assert_eq!(chip.0.borrow().duties, [7, 0]);
    assert_eq!(b.motors(), (EmergencyStop::Held, 2, 2));
    b.rearm(&rearms).unwrap();
    assert!(stands(&chip));
    b.set(&all, ENABLE, true).unwrap();
    assert!(!stands(&chip));
}

#[test]
fn an_update_taken_before_the_stop_is_refused_after_it() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let all = everything();
    b.request_duty(&all, SPEED, 40_000).unwrap();
    let update = b.next_update().unwrap();
    b.emergency_stop(&all).unwrap(); // by a program on the channel itself
    b.apply(update, FULL_DUTY);
    assert!(stands(&chip));
}

#[test]
fn programs_lower_a_duty_and_never_raise_it() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let all = everything();
    for (requested, allowed, duty) in [(100, 60, 60), (100, 200, 100), (100, 0, 0)] {
        b.request_duty(&all, FAN, requested).unwrap();
        let update = b.next_update().unwrap();
        assert_eq!((update.channel(), update.requested()), (FAN, requested));
        b.apply(update, allowed);
        assert_eq!(chip.0.borrow().duties[0], duty);
    }
}

#[test]
fn software_switches_a_line_for_the_duty_s_share_of_the_period() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let all = everything();
    b.request_duty(&all, SOFT_SPEED, u16::MAX / 4).unwrap();
    update(&mut b);
    let high = || chip.0.borrow().levels >> SOFT.line & 1 != 0;
    assert_eq!((b.soft_edge(1), high()), (Some(249), true));
    assert_eq!((b.soft_edge(1), high()), (Some(751), false));
    assert_eq!((b.soft_edge(1), high()), (Some(249), true));
    b.emergency_stop(&all).unwrap();
    assert!(!high());
    assert_eq!((b.soft_edge(1), high()), (None, false));
    let mut rearms = Grants::NONE;
    rearms.motor_rearm = true;
    b.rearm(&rearms).unwrap();
    assert_eq!((b.soft_edge(1), high()), (None, false));
    b.request_duty(&all, SOFT_SPEED, FULL_DUTY).unwrap();
    update(&mut b);
    assert_eq!((b.soft_edge(1), high()), (None, true));
    assert_eq!((b.soft_edge(1), high()), (None, true));
}

fn watchers() -> Watchers<u32, u32> {
    Watchers::new(["pl061", "absent"], ["pwm", "soft"])
}

#[test]
fn attach_points_are_lines_and_channels_that_are_there() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let mut w = watchers();
    for good in
        ["gpio/pl061/2/rising", "gpio/pl061/2/falling", "gpio/pl061/0/both", "pwm/pwm/1", "pwm/soft/0"]
    {
        assert!(w.open(&b, good), "{good}");
    }
    for bad in [
        "gpio/pl061/8/rising",
        "gpio/pl061/300/rising",
        "gpio/pl061/-1/rising",
        "gpio/pl061/02/rising",
        "gpio/pl061/+2/rising",
        "pwm/pwm/01",
        "pwm/pwm/+1",
        "gpio/pl061/2/up",
        "gpio/pl061/2",
        "gpio/pl061/2/both/more",
        "gpio/absent/2/both",
        "gpio/rp1/2/both",
        "gpio/",
        "pwm/pwm/2",
        "pwm/soft/1",
        "pwm/pwm/1/more",
        "pwm/rp1/0",
        "iio/pl061/2",
    ] {
        assert!(!w.open(&b, bad), "{bad}");
    }
    w.changed(&mut b, "gpio/pl061/2/rising", 7, 1);
    assert_eq!(chip.0.borrow().watched[2], Some(Edges::Rising));
    assert_eq!(w.at_edge(LED, true).collect::<std::vec::Vec<_>>(), [7]);
    assert_eq!(w.at_edge(LED, false).count(), 0, "nobody is attached to falling edges yet");
    w.changed(&mut b, "gpio/pl061/2/falling", 8, 1);
    assert_eq!(chip.0.borrow().watched[2], Some(Edges::Both));
    assert_eq!(w.at_edge(LED, false).collect::<std::vec::Vec<_>>(), [8]);
    w.changed(&mut b, "gpio/pl061/2/rising", 7, 0);
    w.changed(&mut b, "gpio/pl061/2/falling", 8, 0);
    assert_eq!(chip.0.borrow().watched[2], None);
    assert_eq!(w.at_duty(SPEED), None);
    w.changed(&mut b, "pwm/pwm/1", 9, 1);
    assert_eq!((w.at_duty(SPEED), w.at_duty(FAN)), (Some(9), None));
    // What is closed is gone, and its edges with it.
    w.changed(&mut b, "gpio/pl061/2/rising", 7, 1);
    let open = w.open_points();
    for name in
        ["gpio/pl061/2/rising", "gpio/pl061/2/falling", "gpio/pl061/0/both", "pwm/pwm/1", "pwm/soft/0"]
    {
        w.close(&mut b, name);
    }
    assert_eq!((open, w.open_points(), w.at_duty(SPEED)), (5, 0, None));
    assert_eq!(chip.0.borrow().watched[2], None);
}

#[test]
fn clients_are_told_what_they_asked_for_and_one_cannot_take_all_room() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let mut w = watchers();
    assert_eq!(w.subscribe(&mut b, badge(1), LED, Edges::Rising, 10), Ok(None));
    assert_eq!(w.subscribe(&mut b, badge(2), LED, Edges::Falling, 20), Ok(None));
    assert_eq!(chip.0.borrow().watched[2], Some(Edges::Both));
    let told = |w: &Watchers<u32, u32>, rising| w.told(LED, rising).collect::<std::vec::Vec<_>>();
    assert_eq!((told(&w, true), told(&w, false)), (vec![10], vec![20]));
    assert_eq!(
        w.subscribe(&mut b, badge(1), LED, Edges::Both, 11),
        Ok(Some(10)),
        "another one takes its place"
    );
    assert_eq!((told(&w, true), told(&w, false)), (vec![11], vec![20, 11]));
    assert_eq!(
        (w.unsubscribe(&mut b, badge(1), LED), w.unsubscribe(&mut b, badge(1), LED)),
        (Some(11), None)
    );
    assert_eq!(chip.0.borrow().watched[2], Some(Edges::Falling));
    for line in 0..PER_CLIENT as u8 {
        assert!(w.has_room(badge(3), Line { chip: 0, line }));
        w.subscribe(&mut b, badge(3), Line { chip: 0, line }, Edges::Both, 30).unwrap();
    }
    let other = Line { chip: 1, line: 0 };
    assert!(!w.has_room(badge(3), other) && w.has_room(badge(3), LED) && w.has_room(badge(1), other));
}

/// A switch that bounces keeps being watched beside as many lines as it takes that are louder.
#[test]
fn a_quiet_line_is_not_silenced_with_the_loud_ones() {
    for (lines, edges, quiet) in [(25u8, 8u32, 5u32), (20, 10, 4), (9, 23, 20)] {
        let mut storm = Storm::new(1000, 200);
        let line = |line| Line { chip: 0, line };
        for _ in 0..quiet {
            storm.edge(line(63), 0);
        }
        let stormy = (0..edges).flat_map(|_| 0..lines).map(|n| storm.edge(line(n), 0));
        assert!(stormy.fold(false, |_, stormy| stormy), "{lines} lines of {edges} edges");
        let loud: std::vec::Vec<u8> = storm.loud(1).map(|l| l.line).collect();
        assert_eq!(
            loud,
            (0..lines).collect::<std::vec::Vec<u8>>(),
            "{lines} lines of {edges} edges, and one of {quiet}"
        );
    }
}

/// Whoever drives, or shakes, many lines a little each makes a storm, too.
#[test]
fn a_storm_of_many_lines_has_loud_ones_whatever_their_number() {
    let line = |line: u8| Line { chip: line / 64, line: line % 64 };
    let quiet = line(200);
    for shaken in 1..=100u8 {
        let mut storm = Storm::new(1000, 200);
        assert!(!storm.edge(quiet, 1));
        // In turn, until it is one too many.
        let mut edges = (0..shaken).cycle();
        while !storm.edge(line(edges.next().unwrap()), 2) {}
        let loud: std::vec::Vec<Line> = storm.loud(3).collect();
        assert!(loud.iter().all(|l| (0..shaken).map(line).any(|s| s == *l)), "{shaken}: nobody else");
        // Those that are left have no more than half of the time, each with as many edges as there were whole turns.
        let left = usize::from(shaken) - loud.len();
        assert!(left * (200 / usize::from(shaken)) <= 100, "{shaken}: {left} are left");
    }
    // One edge each is no chatter: nobody is left alone for it.
    let mut storm = Storm::new(1000, 8);
    assert!((0..8).all(|n| !storm.edge(line(n), 1)) && storm.edge(line(8), 1));
    assert_eq!(storm.loud(2).count(), 0);
}

#[test]
fn too_many_edges_silence_those_who_made_them_until_it_is_calm() {
    let (mut b, chip) = board(EmergencyStop::Clear);
    let mut w = watchers();
    let (loud, quiet) = (LED, Line { chip: 0, line: 4 });
    w.subscribe(&mut b, badge(1), loud, Edges::Both, 10).unwrap();
    w.subscribe(&mut b, badge(1), quiet, Edges::Both, 11).unwrap();
    let mut storm = Storm::new(1000, 80);
    // As many as allowed, window after window.
    for window in 0..5 {
        assert!((0..80).all(|i| !storm.edge(loud, window * 1000 + 5000 + i)));
    }
    let mut over = false;
    for i in 0..81 {
        over = storm.edge(if i % 20 == 0 { quiet } else { loud }, 20_000 + i);
    }
    assert!(over);
    let lines: std::vec::Vec<Line> = storm.loud(20_100).collect();
    assert_eq!(lines, [loud], "a line with few edges goes on");
    lines.into_iter().for_each(|l| w.silence(&mut b, l));
    assert_eq!((chip.0.borrow().watched[2], chip.0.borrow().watched[4]), (None, Some(Edges::Both)));
    assert!(!storm.edge(quiet, 20_101), "the count began anew");
    // Nobody wakes it by attaching something else.
    w.subscribe(&mut b, badge(2), loud, Edges::Rising, 12).unwrap();
    assert_eq!(chip.0.borrow().watched[2], None);
    w.calm(&mut b);
    assert_eq!(chip.0.borrow().watched[2], Some(Edges::Both));
}

#[derive(Clone, Copy, Debug)]
enum Try {
    Set(u8, u8, bool),
    Release(u8, u8),
    Duty(u8, u8, u16),
    Watch(u8, u8),
    Edges(u8),
    Soft(u8),
    Update(u16),
    Stop,
    Rearm,
    Park,
}

fn attempt() -> impl Strategy<Value = Try> {
    prop_oneof![
        (0..3u8, 0..10u8, any::<bool>()).prop_map(|(c, l, v)| Try::Set(c, l, v)),
        (0..3u8, 0..10u8).prop_map(|(c, l)| Try::Release(c, l)),
        (0..3u8, 0..3u8, any::<u16>()).prop_map(|(c, n, d)| Try::Duty(c, n, d)),
        (0..3u8, 0..10u8).prop_map(|(c, l)| Try::Watch(c, l)),
        (0..3u8).prop_map(Try::Edges),
        (0..3u8).prop_map(Try::Soft),
        any::<u16>().prop_map(Try::Update),
        Just(Try::Stop),
        Just(Try::Rearm),
        Just(Try::Park),
    ]
}

fn act(b: &mut Board, by: &Grants, what: Try) {
    // Whether it is refused is not the point here: what the pins do is.
    let _ = match what {
        Try::Set(chip, line, level) => b.set(by, Line { chip, line }, level),
        Try::Release(chip, line) => b.release(by, Line { chip, line }),
        Try::Duty(chip, channel, duty) => b.request_duty(by, Channel { chip, channel }, duty),
        Try::Watch(chip, line) => b.watch(Line { chip, line }, Some(Edges::Both)),
        Try::Stop => b.emergency_stop(by),
        Try::Rearm => b.rearm(by),
        Try::Edges(chip) => {
            b.take_edges(chip);
            Ok(())
        }
        Try::Soft(chip) => {
            b.soft_edge(chip);
            Ok(())
        }
        Try::Update(allowed) => {
            if let Some(u) = b.next_update() {
                b.apply(u, allowed);
            }
            Ok(())
        }
        Try::Park => {
            b.park();
            Ok(())
        }
    };
}

proptest! {
    /// Whatever was going on before the stop, and whatever is tried after it with every right but rearming: at no moment
    /// does a motor's output leave where it stands.
    #[test]
    fn no_user_code_drives_a_motor_after_a_stop(
        before in proptest::collection::vec(attempt(), 0..40),
        after in proptest::collection::vec(attempt(), 0..80),
    ) {
        let (mut b, chip) = board(EmergencyStop::Clear);
        let all = everything();
        for t in before {
            act(&mut b, &all, t);
        }
        b.emergency_stop(&all).unwrap();
        prop_assert!(stands(&chip));
        for t in after {
            act(&mut b, &all, t);
            prop_assert!(stands(&chip), "after {t:?}");
        }
    }

    /// The same for a server that was started again after a crash.
    #[test]
    fn nor_after_a_restart_of_the_server(after in proptest::collection::vec(attempt(), 0..80)) {
        let (mut b, chip) = board(EmergencyStop::Held);
        for t in after {
            act(&mut b, &everything(), t);
            prop_assert!(stands(&chip), "after {t:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_else_changes() {
    let (mut b, _) = board(EmergencyStop::Clear);
    let mut w: Watchers<u32, u32> = watchers();
    // Eight clients with eight subscriptions each fill the table; the ninth has none, and nobody loses one.
    for client in 0..8 {
        for line in 0..8 {
            let token = client as u32 * 8 + u32::from(line);
            assert_eq!(
                w.subscribe(&mut b, badge(client), Line { chip: 0, line }, Edges::Both, token),
                Ok(None)
            );
        }
    }
    assert!(!w.has_room(badge(8), LED));
    assert_eq!(w.subscribe(&mut b, badge(8), LED, Edges::Both, 99), Err(99));
    assert_eq!(w.told(LED, true).count(), 8);
    // Whoever has one may have another in its place.
    assert_eq!(w.subscribe(&mut b, badge(3), LED, Edges::Rising, 98), Ok(Some(26)));
    assert_eq!(w.unsubscribe(&mut b, badge(0), LED), Some(2));
    assert_eq!(w.subscribe(&mut b, badge(8), LED, Edges::Both, 99), Ok(None));
    // Motors, and chips.
    let lines: std::vec::Vec<u8> = {
        let all = (0..9u8).map(|line| (Line { chip: 0, line }, false));
        axiom_proto::Values::of(all).map(|values| {
            let motor = axiom_proto::gpio::Motor { name: "m", gpio: values.list(), pwm: Default::default() };
            assert_eq!(Motor::try_from(motor).err(), Some(TooMany));
            motor.gpio.iter().map(|(line, _)| line.line).collect()
        })
    }
    .unwrap();
    assert_eq!(lines.len(), 9);
    while b.add_chip(None).is_ok() {}
    assert_eq!((b.add_pwm(None), b.add_pwm(None), b.add_pwm(None)), (Ok(()), Ok(()), Err(TooMany)));
    assert_eq!((b.lines(3), b.lines(4)), (Some(0), None));
    assert!(newest_of_each(&mut b));
}

/// A duty can be asked for on every channel at once, the newest counts, and none is lost.
fn newest_of_each(b: &mut Board) -> bool {
    let mut g = everything();
    g.grant_channel(SPEED);
    for duty in 1..100 {
        for channel in [SPEED, FAN] {
            assert_eq!(b.request_duty(&g, channel, duty), Ok(()));
        }
    }
    update(b);
    b.current(SPEED) == Some(99) && b.current(FAN) == Some(99)
}
