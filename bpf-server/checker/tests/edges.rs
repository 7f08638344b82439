//! Each rule about what a proof may state, with the smallest statement that breaks it: what has come about is on the left,
//! what is stated on the right.
use axiom_bpf_checker::edge::{Edges, GAPS, Loops, count};
use axiom_bpf_checker::proof::{Form, Ghost, Line};
use axiom_bpf_checker::state::{Gap, Kind, Moved, State, Value, bytes};
use axiom_bpf_checker::{Number, Why};

const HEAD: u32 = 10;
const GHOSTS: [Ghost; 2] = [Ghost { head: HEAD, most: 9, cost: 5 }, Ghost { head: 20, most: 3, cost: 7 }];

fn lines() -> [Line; 4] {
    let sum = Line { ghost: 0, form: Form::Sum, low: 2, high: 3, curve: 0, start: Number::between(0, 4) };
    [
        sum,
        Line { form: Form::Length, low: i64::MIN >> 1, high: -1, start: Number::TOP, ..sum },
        Line { curve: 1, ..sum },
        Line { ghost: 1, ..sum },
    ]
}

fn check(now: &State, spent: u64, to: u32, there: &State) -> Result<(), Why> {
    let lines = lines();
    let mut now = now.clone();
    now.budget = now.budget.checked_sub(spent).ok_or(Why::Budget)?;
    Edges::default().check(Loops { ghosts: &GHOSTS, lines: &lines }, &mut now, to, there)
}

fn number(lo: u64, hi: u64) -> Value {
    Value::number(Number::between(lo, hi))
}

fn element(of: u32) -> Value {
    Value { of, ..Value::pointer(Kind::Value, 0) }
}

fn moved(line: u16, lo: i64, hi: i64) -> Moved {
    Moved { line, lo, hi, ..Moved::default() }
}

/// r0 of both states.
fn pair(now: Value, there: Value) -> (State, State) {
    pairs(&[now], &[there])
}

fn pairs(now: &[Value], there: &[Value]) -> (State, State) {
    let (mut a, mut b) = (State::new(0), State::new(0));
    (0..).zip(now).for_each(|(r, v)| a.write(r, *v));
    (0..).zip(there).for_each(|(r, v)| b.write(r, *v));
    a.budget = 100;
    (a, b)
}

fn holds(now: &[Value], there: &[Value]) {
    let (a, b) = pairs(now, there);
    assert_eq!(check(&a, 1, 99, &b), Ok(()), "{now:?} and {there:?}");
}

fn fails(now: &[Value], there: &[Value]) {
    let (a, b) = pairs(now, there);
    assert!(matches!(check(&a, 1, 99, &b), Err(Why::NotImplied { .. })), "{now:?} and {there:?}");
}

#[test]
fn numbers_are_contained() {
    holds(&[number(3, 5)], &[number(3, 5)]);
    holds(&[number(3, 5)], &[Value::NOTHING]);
    fails(&[number(3, 5)], &[number(3, 4)]);
    fails(&[number(3, 5)], &[number(4, 5)]);
    fails(&[Value::NOTHING], &[number(0, u64::MAX)]);
    // Known only together: 4 or 5, and even.
    let mut even = Number::between(4, 5);
    even.bits.unknown &= !1;
    even.bits.value &= !1;
    holds(&[Value::number(even)], &[Value::number(Number::of(4))]);
}

#[test]
fn addresses_stay_in_their_memory() {
    let ctx = Value::pointer(Kind::Ctx, 0);
    let stack = |at| Value::pointer(Kind::Stack, at);
    let record = |at, of| Value { of, ..Value::pointer(Kind::Record, at) };
    holds(&[ctx], &[ctx]);
    fails(&[ctx], &[Value::number(Number::TOP)]);
    fails(&[Value::number(Number::of(0))], &[ctx]);
    fails(&[stack(0)], &[stack(1)]);
    fails(&[record(3, 8)], &[record(3, 16)]);
    fails(&[record(3, 8)], &[record(4, 8)]);
    fails(&[element(0)], &[Value { at: 1, ..element(0) }]);
    let null = |v: Value| Value { null: true, ..v };
    holds(&[element(5)], &[null(element(1))]);
    fails(&[null(element(5))], &[element(1)]);
    holds(&[Value::number(Number::of(0))], &[null(element(1))]);
    fails(&[Value::number(Number::of(1))], &[null(element(1))]);
    fails(&[Value::number(Number::of(0))], &[null(record(3, 8))]);
    fails(&[Value { num: Number::of(8), ..ctx }], &[ctx]);
}

#[test]
fn elements_are_told_apart() {
    holds(&[element(7), element(7)], &[element(1), element(1)]);
    holds(&[element(7), element(7)], &[element(1), element(2)]);
    fails(&[element(7), element(8)], &[element(1), element(1)]);
    fails(&[element(7)], &[element(0)]);
    holds(&[element(0), element(0)], &[element(1), element(1)]);
    fails(&[element(0), element(7)], &[element(1), element(1)]);
}

#[test]
fn equalities_hold() {
    let named = |id, delta: u64| Value { id, delta, ..Value::number(Number::TOP) };
    let half = |v: Value| Value { half: true, ..v };
    holds(&[named(7, 0), named(7, 4)], &[named(1, 0), named(1, 4)]);
    holds(&[named(7, 8), named(7, 12)], &[named(1, 0), named(1, 4)]);
    fails(&[named(7, 0), named(7, 4)], &[named(1, 0), named(1, 5)]);
    fails(&[named(7, 0), named(8, 4)], &[named(1, 0), named(1, 4)]);
    fails(&[named(7, 0), Value::number(Number::TOP)], &[named(1, 0), named(1, 0)]);
    fails(&[Value::number(Number::TOP); 2], &[named(1, 0), named(1, 0)]);
    let five = Value::number(Number::of(5));
    holds(&[five, Value::number(Number::of(9))], &[named(1, 0), named(1, 4)]);
    fails(&[five, Value::number(Number::of(9))], &[named(1, 0), named(1, 3)]);
    fails(&[five, named(7, 4)], &[named(1, 0), named(1, 4)]);
    holds(&[named(7, 0), half(named(7, 0))], &[named(1, 0), half(named(1, 0))]);
    holds(&[named(7, 0), named(7, 0)], &[named(1, 0), half(named(1, 0))]);
    fails(&[named(7, 0), half(named(7, 0))], &[named(1, 0), named(1, 0)]);
}

#[test]
fn frames_and_records() {
    let (a, b) = pairs(&[], &[]);
    let (mut less, mut more) = (a.clone(), b.clone());
    less.frames_mut()[0].clean[2] = !1;
    assert_eq!(check(&less, 1, 99, &b), Err(Why::Frame));
    more.frames_mut()[0].written[7] = 1 << 63;
    assert_eq!(check(&a, 1, 99, &more), Err(Why::Frame));
    less = a.clone();
    less.frames_mut()[0].written = bytes(0, 512);
    assert_eq!(check(&less, 1, 99, &more), Ok(()));
    let mut slots = (a.clone(), b.clone());
    slots.0.frames_mut()[0].store(504, 8, Some(number(1, 2)));
    slots.1.frames_mut()[0].store(504, 8, Some(number(1, 3)));
    assert_eq!(check(&slots.0, 1, 99, &slots.1), Ok(()));
    let place = 16 + 252;
    slots.1.budget = 200;
    assert_eq!(check(&slots.1, 1, 99, &slots.0), Err(Why::NotImplied { place }));
    slots.1.budget = 0;
    // A slot of 4 bytes is none of 8.
    let mut half = a.clone();
    half.frames_mut()[0].store(504, 4, Some(number(1, 2)));
    half.frames_mut()[0].store(508, 4, Some(number(0, 0)));
    assert_eq!(check(&half, 1, 99, &slots.1), Err(Why::NotImplied { place }));
    let mut deeper = b.clone();
    let fresh = axiom_bpf_checker::state::Frame::FRESH;
    deeper.frames = deeper.frames.iter().cloned().chain([fresh]).collect();
    assert_eq!(check(&a, 1, 99, &deeper), Err(Why::WrongContext));
    let mut holding = a.clone();
    assert!(holding.hold(3));
    assert_eq!(check(&holding, 1, 99, &b), Err(Why::Held));
    let mut there = b.clone();
    there.held = holding.held;
    assert_eq!(check(&a, 1, 99, &there), Err(Why::Held));
    assert_eq!(check(&holding, 1, 99, &there), Ok(()));
}

#[test]
fn budgets_pay() {
    let (mut a, mut b) = pairs(&[], &[]);
    a.budget = 10;
    b.budget = 7;
    assert_eq!(check(&a, 3, 99, &b), Ok(()));
    assert_eq!(check(&a, 4, 99, &b), Err(Why::Budget));
    b.budget = u64::MAX;
    assert_eq!(check(&a, u64::MAX, 99, &b), Err(Why::Budget));
    // Entering the loop costs all its passes: 9 of 5.
    b.budget = 0;
    b.ghosts = vec![(0, 0)];
    a.budget = 46;
    assert_eq!(check(&a, 1, HEAD, &b), Ok(()));
    a.budget = 45;
    assert_eq!(check(&a, 1, HEAD, &b), Err(Why::Budget));
    // A pass gains what it may cost, and only after a jump to the head.
    a.ghosts = vec![(0, 3)];
    b.ghosts = vec![(0, 4)];
    (a.budget, b.budget) = (10, 10);
    assert_eq!(check(&a, 5, HEAD, &b), Ok(()));
    assert_eq!(check(&a, 6, HEAD, &b), Err(Why::Budget));
    assert_eq!(check(&a, 1, 11, &b), Err(Why::Budget));
    assert_eq!(check(&a, 0, 11, &b), Ok(()));
    // A counter of another loop gains nothing here.
    a.ghosts.push((1, 0));
    b.ghosts.push((1, 0));
    assert_eq!(check(&a, 6, HEAD, &b), Err(Why::Budget));
    assert_eq!(check(&a, 6, 20, &b), Err(Why::Ghost { ghost: 1 }));
}

#[test]
fn ghost_counters_stay_below_what_is_stated() {
    let (mut a, mut b) = pairs(&[], &[]);
    for (now, there, to, wrong) in
        [(3, 3, 11, false), (3, 2, 11, true), (3, 3, HEAD, true), (3, 4, HEAD, false), (9, 10, HEAD, true)]
    {
        a.ghosts = vec![(0, now)];
        b.ghosts = vec![(0, there)];
        let expected = if wrong { Err(Why::Ghost { ghost: 0 }) } else { Ok(()) };
        assert_eq!(check(&a, 0, to, &b), expected, "{now} to {there} at {to}");
    }
    b.ghosts = vec![(2, 0)];
    assert_eq!(check(&a, 0, HEAD, &b), Err(Why::Format));
}

/// r0 moves along a line while ghost counter 0 is at most `most`.
fn on_line(v: Value, m: Moved, most: u64) -> State {
    let (mut s, _) = pair(Value { moved: m, ..v }, Value::NOTHING);
    s.ghosts = vec![(0, most)];
    s
}

#[test]
fn where_a_value_is_bounds_its_ghost_counter() {
    // It began in 0..=4 and moved by 2 or 3 a pass, and is below 13 now: 6 passes, and one more after the jump back.
    let there = |most| {
        let mut s = State::new(0);
        s.ghosts = vec![(0, most)];
        s
    };
    let now = on_line(number(0, 12), moved(1, 0, 0), 9);
    assert_eq!(check(&now, 0, HEAD, &there(7)), Ok(()));
    assert_eq!(check(&now, 0, HEAD, &there(6)), Err(Why::Ghost { ghost: 0 }));
    // What was added in this pass does not count.
    let now = on_line(number(0, 12), moved(1, 2, 3), 9);
    assert_eq!(check(&now, 0, HEAD, &there(6)), Ok(()));
    // Of half a number, only the low half is known to move.
    let half = Moved { half: true, ..moved(1, 0, 0) };
    let mut v = number(0, 12);
    v.num = Number { r32: v.num.r32, ..Number::TOP };
    assert_eq!(check(&on_line(v, half, 9), 0, HEAD, &there(7)), Ok(()));
    assert_eq!(check(&on_line(v, moved(1, 0, 0), 9), 0, HEAD, &there(7)), Err(Why::Ghost { ghost: 0 }));
    // A line of lengths: at most 8 bits at first, one less in each pass, and still not 0.
    let now = on_line(number(1, 255), moved(2, 0, 8), 9);
    assert_eq!(check(&now, 0, HEAD, &there(8)), Ok(()));
    assert_eq!(check(&now, 0, HEAD, &there(7)), Err(Why::Ghost { ghost: 0 }));
    let now = on_line(number(0, 255), moved(2, 0, 8), 8);
    assert_eq!(check(&now, 0, HEAD, &there(8)), Err(Why::Ghost { ghost: 0 }));
}

/// How far a value moved is known modulo 2^32 of its low half: so many places tell where it is, and one more does not.
#[test]
fn all_places_of_a_half_are_told_apart() {
    let line = Line { ghost: 0, form: Form::Sum, low: 1, high: 1, curve: 0, start: Number::of(0) };
    for (hi, most) in [(u32::MAX as i64 - 10, 3), (u32::MAX as i64 - 9, 3), (u32::MAX as i64 - 8, 9)] {
        let half = Moved { line: 1, half: true, hi, ..Moved::default() };
        let mut s = on_line(number(0, 3), half, 9);
        count(Loops { ghosts: &GHOSTS, lines: &[line] }, &mut s);
        assert_eq!(s.ghosts, [(0, most)], "{hi}");
    }
}

#[test]
fn lines_are_followed() {
    let top = Value::number(Number::TOP);
    let state = |m: Moved, most| on_line(top, m, most);
    let not = Err(Why::NotImplied { place: 0 });
    // Inside the loop.
    assert_eq!(check(&state(moved(1, 1, 2), 5), 0, 11, &state(moved(1, 1, 2), 5)), Ok(()));
    assert_eq!(check(&state(moved(1, 1, 2), 5), 0, 11, &state(moved(1, 2, 2), 5)), not);
    assert_eq!(check(&state(moved(1, 1, 2), 5), 0, 11, &state(moved(1, 1, 1), 5)), not);
    assert_eq!(check(&state(moved(1, 1, 2), 5), 0, 11, &state(moved(3, 1, 2), 5)), not);
    assert_eq!(check(&state(Moved::default(), 5), 0, 11, &state(moved(1, 0, 0), 5)), not);
    let half = |m| Moved { half: true, ..m };
    assert_eq!(check(&state(half(moved(1, 0, 0)), 5), 0, 11, &state(moved(1, 0, 0), 5)), not);
    assert_eq!(check(&state(moved(1, 0, 0), 5), 0, 11, &state(half(moved(1, 0, 0)), 5)), Ok(()));
    // Behind the jump back: what the pass added is what the line says.
    assert_eq!(check(&state(moved(1, 2, 3), 5), 0, HEAD, &state(moved(1, 0, 0), 6)), Ok(()));
    assert_eq!(check(&state(moved(1, 1, 3), 5), 0, HEAD, &state(moved(1, 0, 0), 6)), not);
    assert_eq!(check(&state(moved(1, 2, 4), 5), 0, HEAD, &state(moved(1, 0, 0), 6)), not);
    // With a curve of 1: the pass from i adds up to 3 + i.
    let rise = |m, rise| Moved { rise, ..m };
    assert_eq!(check(&state(rise(moved(3, 2, 3), 1), 5), 0, HEAD, &state(moved(3, 0, 0), 6)), Ok(()));
    assert_eq!(check(&state(rise(moved(3, 2, 4), 1), 5), 0, HEAD, &state(moved(3, 0, 0), 6)), not);
    assert_eq!(check(&state(rise(moved(3, 2, 3), 2), 5), 0, HEAD, &state(moved(3, 0, 0), 6)), not);
    assert_eq!(check(&state(rise(moved(3, 2, 3), 1), 5), 0, 11, &state(moved(3, 2, 3), 6)), not);
    // Where the loop is entered, every value begins to move; where it is left, lines end.
    let enter = |v: Value, m| {
        let (mut a, _) = pair(v, Value::NOTHING);
        a.budget = 1000;
        check(&a, 0, HEAD, &state(m, 0))
    };
    assert_eq!(enter(number(1, 4), moved(1, 0, 0)), Ok(()));
    assert_eq!(enter(number(1, 5), moved(1, 0, 0)), not);
    assert_eq!(enter(number(1, 4), moved(1, 1, 1)), not);
    assert_eq!(enter(number(1, 255), moved(2, 1, 8)), Ok(()));
    assert_eq!(enter(number(1, 255), moved(2, 2, 8)), not);
    assert_eq!(enter(number(1, 255), moved(2, 1, 7)), not);
    let mut outside = state(moved(1, 0, 0), 5);
    outside.ghosts.clear();
    assert_eq!(check(&state(moved(1, 0, 0), 5), 0, 99, &outside), not);
    assert_eq!(
        check(&state(moved(4, 0, 0), 5), 0, 11, &state(moved(4, 0, 0), 5)),
        not,
        "of a loop that is not around"
    );
}

#[test]
fn moving_values_are_bounded_by_their_ghost_counter() {
    let at_most = |hi| {
        let mut s = State::new(0);
        s.write(0, number(0, hi));
        s.ghosts = vec![(0, 5)];
        s
    };
    let top = Value::number(Number::TOP);
    // 4 at first, and 3 in each of 5 passes.
    assert_eq!(check(&on_line(top, moved(1, 0, 0), 5), 0, 11, &at_most(19)), Ok(()));
    assert_eq!(
        check(&on_line(top, moved(1, 0, 0), 5), 0, 11, &at_most(18)),
        Err(Why::NotImplied { place: 0 })
    );
    // And 1 more in each than in the one before.
    assert_eq!(check(&on_line(top, moved(3, 0, 0), 5), 0, 11, &at_most(29)), Ok(()));
    assert_eq!(
        check(&on_line(top, moved(3, 0, 0), 5), 0, 11, &at_most(28)),
        Err(Why::NotImplied { place: 0 })
    );
    // 6 bits at first.
    assert_eq!(check(&on_line(top, moved(2, 0, 6), 5), 0, 11, &at_most(63)), Ok(()));
    assert_eq!(
        check(&on_line(top, moved(2, 0, 6), 5), 0, 11, &at_most(62)),
        Err(Why::NotImplied { place: 0 })
    );
}

#[test]
fn gaps_are_what_lies_between() {
    let gap = |lo: u64, hi| Gap { of: 0, from: 1, value: number(lo, hi) };
    let state = |a: Value, b: Value, g: &[Gap]| {
        let mut s = pairs(&[a, b], &[]).0;
        s.gaps = g.to_vec();
        s
    };
    let there = |g| {
        let mut s = State::new(0);
        s.gaps = vec![g];
        s
    };
    let top = Value::number(Number::TOP);
    let not = Err(Why::NotImplied { place: GAPS });
    assert_eq!(check(&state(top, top, &[gap(1, 5)]), 0, 99, &there(gap(1, 5))), Ok(()));
    assert_eq!(check(&state(top, top, &[gap(1, 5)]), 0, 99, &there(gap(1, 4))), not);
    assert_eq!(check(&state(top, top, &[]), 0, 99, &there(gap(1, 5))), not);
    assert_eq!(check(&state(number(7, 9), number(4, 6), &[]), 0, 99, &there(gap(1, 5))), Ok(()));
    assert_eq!(check(&state(element(1), element(2), &[]), 0, 99, &there(gap(0, 0))), not);
    assert_eq!(check(&state(element(1), element(1), &[]), 0, 99, &there(gap(0, 0))), Ok(()));
    assert_eq!(check(&state(top, element(1), &[]), 0, 99, &there(gap(0, u64::MAX))), not);
}
