//! Rules about single instructions that programs seldom meet: each with what it is for, and beside it what it must not do.
use axiom_bpf_checker::proof::{Form, Line, MAGIC};
use axiom_bpf_checker::state::{Gap, Kind, Moved, State, Value};
use axiom_bpf_checker::{Env, Limits, Machine, Number, Why, check, come_back};
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind};

const END: Insn = Insn::new(0x95, 0, 0, 0, 0);
const ARRAY: MapDef = MapDef {
    map_type: MapType::Array,
    key_size: 4,
    value_size: 16,
    max_entries: 1,
    flags: 0,
    read_only: true,
};

fn env<'a>(maps: &'a [MapDef], contents: &'a [Option<&'a [u8]>]) -> Env<'a> {
    Env { maps, contents, ctx: ProgramKind::Iio.layout(), helpers: None, limits: Limits::default() }
}

fn number(lo: u64, hi: u64) -> Value {
    Value::number(Number::between(lo, hi))
}

fn one(n: u64) -> Value {
    Value::number(Number::of(n))
}

/// After an instruction on these registers, r0 first.
fn after(env: &Env, lines: &[Line], registers: &[Value], i: Insn) -> Result<State, Why> {
    let code = [i, END];
    let mut m = Machine::new(&code, env);
    m.lines.extend(lines);
    let mut s = State::new(0);
    (0..).zip(registers).for_each(|(r, v)| s.write(r, *v));
    m.step(0, i, &mut s)?;
    Ok(s)
}

#[test]
fn a_square_is_of_one_whole_small_number() {
    let env = env(&[], &[]);
    let v = Value { id: 7, ..number(0, u32::MAX as u64) };
    let times = |r0: Value, r1: Value, op, src| {
        let s = after(&env, &[], &[r0, r1], Insn::new(op, 0, src, 0, 0)).expect("numbers");
        s.reg(0).root
    };
    assert_eq!(times(v, v, 0x2f, 0), 7);
    assert_eq!(times(v, v, 0x2f, 1), 0, "of two registers");
    assert_eq!(times(v, v, 0x2c, 0), 0, "of halves");
    assert_eq!(times(Value { id: 7, ..number(0, 1 << 32) }, v, 0x2f, 0), 0, "it may overflow");
    assert_eq!(times(Value { delta: 1, ..v }, v, 0x2f, 0), 0, "of what is one more");
    assert_eq!(times(Value { half: true, ..v }, v, 0x2f, 0), 0, "of what is known by half");
    let square = Value { root: 7, id: 9, ..number(0, 100) };
    assert_eq!(square.alone(), number(0, 100));
    // Where it is at most 50, the number is at most 7; and what is three more at most 10.
    let m = Machine::new(&[END], &env);
    let mut s = State::new(0);
    let half = Value { half: true, ..v };
    let ctx = Value { id: 7, num: v.num, ..Value::pointer(Kind::Ctx, 0) };
    let other = Value { id: 8, ..v };
    for (r, v) in (0..).zip([Value { id: 0, ..square }, v, Value { delta: 3, ..v }, half, ctx, other]) {
        s.write(r, v);
    }
    assert_eq!(m.branch(Insn::new(0xb5, 0, 0, 1, 50), &mut s, true), Ok(true));
    let most = |r| s.reg(r).num.r64.unsigned();
    assert_eq!([0, 1, 2].map(most), [(0, 50), (0, 7), (3, 10)]);
    assert_eq!([*s.reg(3), *s.reg(4), *s.reg(5)], [half, ctx, other]);
    s.write(1, Value { id: 7, ..number(9, 12) });
    assert_eq!(m.branch(Insn::new(0xb5, 0, 0, 1, 40), &mut s, true), Ok(false), "9 is no root of 40");
}

#[test]
fn what_curves_grows_by_a_line_of_the_same_loop() {
    let env = env(&[], &[]);
    let curved = Line { ghost: 0, form: Form::Sum, low: 1, high: 2, curve: 3, start: Number::TOP };
    let by = Line { low: 0, high: 3, curve: 0, start: Number::between(1, 5), ..curved };
    let on = |line, lo, hi, rise, half| Value { moved: Moved { line, lo, hi, rise, half }, ..Value::ANY };
    let r0 = on(1, 0, 0, 0, false);
    let moved = |lines: [Line; 2], r0, r1, op| {
        after(&env, &lines, &[r0, r1], Insn::new(op, 0, 1, 0, 0)).expect("numbers").reg(0).moved
    };
    let r1 = on(2, 1, 2, 0, false);
    let whole = moved([curved, by], r0, r1, 0x0f);
    assert_eq!(whole, Moved { line: 1, half: false, lo: 2, hi: 7, rise: 3 });
    // Half the sum, if it is one of halves; of a number that is known by half, too.
    assert_eq!(moved([curved, by], r0, r1, 0x0c), Moved { half: true, ..whole });
    assert_eq!(moved([curved, by], r0, on(2, 1, 2, 0, true), 0x0c), Moved { half: true, ..whole });
    assert_eq!(moved([curved, by], r0, on(2, 1, 2, 0, true), 0x0f).rise, 0);
    assert_eq!(moved([curved, by], on(1, 0, 0, 0, true), r1, 0x0f), Moved { half: true, ..whole });
    // What is taken away does not make it grow; nor what moves along no line, or along such a one.
    assert_eq!(moved([curved, by], r0, r1, 0x1f).rise, 0);
    assert_eq!(moved([curved, by], r0, Value::ANY, 0x0f).rise, 0);
    assert_eq!(moved([curved, by], r0, on(2, 1, 2, 1, false), 0x0f).rise, 0);
    for wrong in [
        Line { form: Form::Length, ..by },
        Line { curve: 1, ..by },
        Line { ghost: 1, ..by },
        Line { low: -1, ..by },
        Line { high: -1, ..by },
        Line { high: 1 << 32, ..by },
    ] {
        assert_eq!(moved([curved, wrong], r0, r1, 0x0f).rise, 0, "{wrong:?}");
    }
    assert_eq!(moved([curved, Line { high: (1 << 32) - 1, ..by }], r0, r1, 0x0f).rise, (1 << 32) - 1);
    assert_eq!(moved([Line { curve: 0, ..curved }, by], r0, r1, 0x0f).rise, 0);
    // Sums that have no room are not known.
    assert_eq!(moved([curved, by], on(1, 0, i64::MAX - 5, 0, false), r1, 0x0f).rise, 0);
    let rises = |rise| moved([curved, by], on(1, 0, 0, rise, false), r1, 0x0f).rise;
    assert_eq!(rises((1 << 40) - 4), (1 << 40) - 1);
    // No more than that: what is left is that it moved by any number.
    assert_eq!(rises((1 << 40) - 3), (1 << 40) - 3);
}

#[test]
fn how_many_bits_shifts_and_quotients_have() {
    let env = env(&[], &[]);
    let line = Line { ghost: 0, form: Form::Length, low: -1, high: 0, curve: 0, start: Number::TOP };
    let with = |num: Number, half, by: Value, op, off| {
        let moved = Moved { line: 1, half, lo: 8, hi: 9, rise: 0 };
        let registers = [Value { moved, ..Value::number(num) }, by];
        let s = after(&env, &[line], &registers, Insn::new(op, 0, 1, off, 0)).expect("numbers");
        let m = s.reg(0).moved;
        (m.line == 1).then_some((m.lo, m.hi, m.half))
    };
    let small = Number::between(128, 511);
    let wide = |num, by, op| with(num, false, one(by), op, 0);
    // A quotient by 2^k has k bits less, by other numbers perhaps one bit less than that.
    for (by, expected) in
        [(1, Some((8, 9))), (2, Some((7, 8))), (3, Some((6, 8))), (4, Some((6, 7))), (0, None)]
    {
        assert_eq!(wide(small, by, 0x3f), expected.map(|(lo, hi)| (lo, hi, false)), "by {by}");
        assert_eq!(with(small, true, one(by), 0x3c, 0), expected.map(|(lo, hi)| (lo, hi, true)), "by {by}");
    }
    assert_eq!(wide(Number::TOP, u32::MAX as u64, 0x3f), Some((-24, -22, false)));
    assert_eq!(wide(Number::TOP, 1 << 32, 0x3f), None);
    assert_eq!(with(small, false, one(2), 0x3f, 1), None, "signed");
    assert_eq!(with(small, false, number(1, 2), 0x3f, 0), None, "by one of two");
    // Shifts count by their low bits.
    for (by, less) in [(0u64, 0), (1, 1), (63, 63), (64, 0), (65, 1)] {
        assert_eq!(wide(small, by, 0x7f), Some((8 - less, 9 - less, false)), "by {by}");
        assert_eq!(wide(small, by, 0xcf), Some((8 - less, 9 - less, false)), "by {by}");
    }
    assert_eq!(with(small, true, one(33), 0x7c, 0), Some((7, 8, true)));
    assert_eq!(with(small, true, one(33), 0xcc, 0), Some((7, 8, true)));
    // A negative number stays long.
    assert_eq!(wide(Number::TOP, 1, 0xcf), None);
    assert_eq!(wide(Number::between(0, i64::MAX as u64), 1, 0xcf), Some((7, 8, false)));
    assert_eq!(with(Number::between(0, 1 << 31), true, one(1), 0xcc, 0), None);
    assert_eq!(with(Number::between(0, (1 << 31) - 1), true, one(1), 0xcc, 0), Some((7, 8, true)));
    // To the left while nothing is lost, and there is something.
    assert_eq!(wide(small, 55, 0x6f), Some((63, 64, false)));
    assert_eq!(wide(small, 56, 0x6f), None);
    assert_eq!(with(small, true, one(23), 0x6c, 0), Some((31, 32, true)));
    assert_eq!(with(small, true, one(24), 0x6c, 0), None);
    assert_eq!(wide(Number::between(0, 511), 1, 0x6f), None);
    // Of the whole, or of the half that is the whole; never of one for the other.
    assert_eq!(with(Number::between(0, 1 << 32), true, one(1), 0x77 | 8, 0), None);
    assert_eq!(with(Number::between(0, 1 << 32), false, one(1), 0x74 | 8, 0), None);
    assert_eq!(with(Number::between(0, 1 << 32), true, one(1), 0x74 | 8, 0), Some((7, 8, true)));
    assert_eq!(with(Number::between(0, 1 << 32), false, one(1), 0x77 | 8, 0), Some((7, 8, false)));
    // Sums have no number of bits.
    let sum = Line { form: Form::Sum, ..line };
    let moved = Moved { line: 1, lo: 8, hi: 9, ..Moved::default() };
    let s = after(&env, &[sum], &[Value { moved, ..Value::number(small) }], Insn::new(0x77, 0, 0, 0, 1));
    assert_eq!(s.expect("a number").reg(0).moved, Moved::default());
}

#[test]
fn constants_are_those_of_the_first_element() {
    let bytes: Vec<u8> = (1..=16).collect();
    let load = |map: MapDef, contents: Option<&[u8]>, address: Value, op, off| {
        let (maps, contents) = ([map], [contents]);
        let s = after(&env(&maps, &contents), &[], &[address], Insn::new(op, 1, 0, off, 0)).expect("inside");
        s.reg(1).constant()
    };
    let element = |of| Value { of, ..Value::pointer(Kind::Value, 0) };
    let all = Some(&bytes[..]);
    assert_eq!(load(ARRAY, all, element(0), 0x61, 4), Some(0x08070605));
    assert_eq!(load(ARRAY, all, element(0), 0x79, 8), Some(0x100f0e0d0c0b0a09));
    assert_eq!(load(ARRAY, all, element(5), 0x71, 4), Some(5), "the only element");
    let two = MapDef { max_entries: 2, ..ARRAY };
    assert_eq!(load(two, all, element(0), 0x71, 4), Some(5));
    assert_eq!(load(two, all, element(5), 0x71, 4), None);
    assert_eq!(load(MapDef { read_only: false, ..ARRAY }, all, element(0), 0x71, 4), None);
    assert_eq!(load(ARRAY, None, element(0), 0x71, 4), None);
    assert_eq!(load(ARRAY, Some(&bytes[..7]), element(0), 0x61, 4), None, "the contents end before");
    assert_eq!(load(ARRAY, Some(&bytes[..8]), element(0), 0x61, 4), Some(0x08070605));
    let somewhere = Value { num: Number::between(0, 1), ..element(0) };
    assert_eq!(load(ARRAY, all, somewhere, 0x71, 4), None);
    let signed = [0xffu8; 16];
    assert_eq!(load(ARRAY, Some(&signed), element(0), 0x91, 4), Some(u64::MAX));
    assert_eq!(load(ARRAY, Some(&signed), element(0), 0x71, 4), Some(255));
}

#[test]
fn what_a_format_does_not_print_is_not_looked_at() {
    let print = |map: MapDef, text: Option<&[u8]>, r1: Value, r2: Value, numbers: usize| {
        let (maps, contents) = ([map], [text]);
        let mut registers = vec![Value::NOTHING, r1, r2];
        registers.extend(vec![Value::ANY; numbers]);
        after(&env(&maps, &contents), &[], &registers, Insn::new(0x85, 0, 0, 0, 6)).map(drop)
    };
    let format = |of| Value { of, ..Value::pointer(Kind::Value, 0) };
    let text: Option<&[u8]> = Some(b"%d %u\0..........");
    let unusable = |register| Err(Why::Unusable { register });
    assert_eq!(print(ARRAY, text, format(0), one(6), 2), Ok(()));
    assert_eq!(print(ARRAY, text, format(0), one(6), 1), unusable(4));
    assert_eq!(print(ARRAY, Some(b"none\0..........."), format(0), one(5), 0), Ok(()));
    assert_eq!(print(ARRAY, Some(b"%d%d%d\0........."), format(0), one(7), 3), Ok(()));
    assert_eq!(print(ARRAY, Some(b"%d%d%d\0........."), format(0), one(7), 2), unusable(5));
    // Where the format is not certain, all three are.
    assert_eq!(print(MapDef { read_only: false, ..ARRAY }, text, format(0), one(6), 2), unusable(5));
    assert_eq!(print(MapDef { max_entries: 2, ..ARRAY }, text, format(9), one(6), 2), unusable(5));
    assert_eq!(print(ARRAY, None, format(0), one(6), 2), unusable(5));
    assert_eq!(print(ARRAY, text, format(0), number(5, 6), 2), unusable(5));
    assert_eq!(print(ARRAY, text, Value { num: Number::between(0, 1), ..format(0) }, one(6), 2), unusable(5));
    assert_eq!(print(MapDef { read_only: false, ..ARRAY }, text, format(0), one(6), 3), Ok(()));
    // A format that nobody can read, and one that is not there.
    assert_eq!(
        print(ARRAY, Some(b"%d%d%d%d\0......."), format(0), one(9), 3),
        Err(Why::Argument { register: 1 })
    );
    assert_eq!(
        print(ARRAY, Some(b"%q\0............."), format(0), one(3), 3),
        Err(Why::Argument { register: 1 })
    );
    assert_eq!(
        print(ARRAY, Some(b"%d\0"), Value { num: Number::of(4), ..format(0) }, one(3), 3),
        Err(Why::OutOfBounds)
    );
}

#[test]
fn what_is_loaded_equals_its_slot() {
    let env = env(&[], &[]);
    let load = |slot: Value, size: usize, op, off| {
        let code = [Insn::new(op, 1, 10, off, 0), END];
        let mut s = State::new(0);
        s.store(0, 504, size, Some(slot)).expect("a store");
        Machine::new(&code, &env).step(0, code[0], &mut s).expect("inside");
        let kept = s.frames[0].slots[0].1;
        (*s.reg(1), kept)
    };
    let (r1, kept) = load(number(0, 9), 8, 0x79, -8);
    assert!(r1.id != 0 && r1 == kept && r1.num == number(0, 9).num, "{r1:?} and {kept:?}");
    let named = Value { id: 7, delta: 2, half: true, ..number(0, 9) };
    assert_eq!(load(named, 8, 0x79, -8), (named, named));
    assert_eq!(load(one(5), 8, 0x79, -8), (one(5), one(5)), "constants need no name");
    let (r1, kept) = load(number(0, 9), 4, 0x61, -8);
    assert!(r1.id != 0 && r1 == kept, "{r1:?} and {kept:?}");
    // Extended, it is another number; of eight bytes, the low ones are known.
    let negative = Value::number(Number::between(0xffff_fff0, 0xffff_fff5));
    let extended = Value::number(Number::between(-16i64 as u64, -11i64 as u64));
    assert_eq!(load(negative, 4, 0x81, -8).0.num.r64, extended.num.r64);
    assert_eq!(load(negative, 4, 0x81, -8).1, negative);
    assert_eq!(load(number(0, 9), 8, 0x71, -8).0, number(0, 9));
    assert_eq!(load(one(0x1234_5678_9abc), 8, 0x69, -8).0, one(0x9abc));
    assert_eq!(load(one(0x1234_5678_9abc), 8, 0x89, -8).0, one(-0x6544i64 as u64));
    assert_eq!(load(one(0x1234_5678_9abc), 8, 0x69, -6).0, Value::number(Number::of_width(16)));
}

#[test]
fn a_function_leaves_elements_by_new_names() {
    let env = env(&[], &[]);
    let element = |of| Value { of, ..Value::pointer(Kind::Value, 0) };
    let moved = Moved { line: 1, ..Moved::default() };
    let named = |v: Value| Value { id: 4, delta: 1, half: true, root: 3, moved, ..v };
    let (mut s, mut exit) = (State::new(0), State::new(0));
    (0..10).for_each(|r| s.write(r, one(r as u64)));
    let gap = |of, from| Gap { of, from, value: one(1) };
    s.gaps.extend([gap(0, 6), gap(6, 5), gap(6, 7), gap(5, 9), gap(9, 6)]);
    exit.write(0, named(element(3)));
    for (at, v) in [(504, element(3)), (496, named(element(5))), (488, element(0)), (480, named(one(8)))] {
        exit.store(0, at, 8, Some(v)).expect("a store");
    }
    let (before, mut m) = (s.clone(), Machine::new(&[END], &env));
    assert_eq!(come_back(&mut m, &mut s, &mut exit, true), Ok(()));
    let slots: Vec<Value> = s.frames[0].slots.iter().map(|s| s.1).collect();
    let [number, first, other, same] = slots[..] else { panic!("four slots: {slots:?}") };
    assert_eq!((number, first), (one(8), element(0)));
    assert_eq!(*s.reg(0), same, "one element by one name");
    assert!(same.of > 5 && other.of > 5 && same.of != other.of, "{slots:?}");
    assert_eq!((same, other), (element(same.of), element(other.of)), "nothing else is left of them");
    assert!((1..6).all(|r| *s.reg(r) == Value::NOTHING));
    assert!((6..10).all(|r| s.reg(r) == before.reg(r)));
    assert_eq!(s.gaps, [gap(6, 7), gap(9, 6)]);
    // Frames that are not shared stay as they were.
    let mut alone = before.clone();
    assert_eq!(come_back(&mut m, &mut alone, &mut exit, false), Ok(()));
    assert_eq!(alone.frames, before.frames);
    // Records: what was given to this function is not held again once it is gone; a new one is.
    for (given, held, now, expected) in [
        (0u32, 0u32, 6, Ok(())),
        (6, 6, 6, Ok(())),
        (6, 0, 6, Err(Why::StillHeld)),
        (6, 0, 0, Ok(())),
        (6, 0, 8, Ok(())),
    ] {
        let (mut s, mut exit) = (before.clone(), State::new(0));
        (s.held[0], exit.held[0], m.given) = (held, now, [given, 0, 0, 0]);
        s.write(7, Value { of: 8, ..Value::pointer(Kind::Record, 5) });
        assert_eq!(come_back(&mut m, &mut s, &mut exit, true), expected, "{given} {held} {now}");
        if expected.is_ok() {
            assert_eq!((s.held, s.reg(7).kind == Kind::Record), ([now, 0, 0, 0], now == 6));
        }
    }
}

#[test]
fn a_copy_has_the_name_of_what_it_copies() {
    let env = env(&[], &[]);
    let copied = |v: Value, op| {
        let s = after(&env, &[], &[v], Insn::new(op, 1, 0, 0, 0)).expect("a copy");
        (*s.reg(0), *s.reg(1))
    };
    let named = Value { id: 7, delta: 2, half: true, ..number(0, 9) };
    assert_eq!(copied(named, 0xbf), (named, named));
    assert_eq!(copied(one(5), 0xbf), (one(5), one(5)), "a constant needs none");
    let constant = Value { id: 7, ..one(5) };
    assert_eq!(copied(constant, 0xbf), (constant, constant));
    let (from, to) = copied(Value { delta: 3, half: true, ..number(0, 9) }, 0xbf);
    assert!(from.id != 0 && (from.delta, from.half) == (0, false) && from == to, "{from:?}");
    // The low half of what has more is known by half.
    let (from, to) = copied(number(0, 1 << 40), 0xbc);
    assert!(from.id != 0 && !from.half && to.half && to.id == from.id, "{from:?} {to:?}");
    let (from, to) = copied(number(0, u32::MAX as u64), 0xbc);
    assert!(from.id != 0 && to == from, "{from:?} {to:?}");
}

#[test]
fn positions_in_one_memory_are_ordered() {
    let env = env(&[ARRAY], &[]);
    let m = Machine::new(&[END], &env);
    let element = |of, lo, hi| Value { of, num: Number::between(lo, hi), ..Value::pointer(Kind::Value, 0) };
    let compared = |r0: Value, r1: Value, op, taken| {
        let mut s = State::new(0);
        s.write(0, r0);
        s.write(1, r1);
        let goes = m.branch(Insn::new(op, 0, 1, 1, 0), &mut s, taken).expect("registers hold something");
        goes.then(|| [0, 1].map(|r| s.reg(r).num.r64.signed()))
    };
    let (a, b) = (element(3, 0, 8), element(3, 2, 16));
    assert_eq!(compared(a, b, 0x2d, true), Some([(3, 8), (2, 7)]));
    assert_eq!(compared(a, b, 0x2d, false), Some([(0, 8), (2, 16)]));
    assert_eq!(compared(a, b, 0xad, false), Some([(2, 8), (2, 8)]));
    assert_eq!(compared(a, b, 0x1d, true), Some([(2, 8), (2, 8)]));
    assert_eq!(compared(element(3, 0, 1), b, 0x1d, true), None);
    assert_eq!(compared(element(3, 0, 1), b, 0xad, false), None);
    assert_eq!(compared(element(3, 2, 2), b, 0x5d, true), Some([(2, 2), (3, 16)]));
    // In a frame, from its lowest address.
    let stack = |lo: i64, hi: i64| Value {
        num: Number::between(lo as u64, hi as u64),
        ..Value::pointer(Kind::Stack, 0)
    };
    assert_eq!(compared(stack(-16, 0), stack(-8, -4), 0x2d, true), Some([(-7, 0), (-8, -4)]));
    assert_eq!(compared(stack(-16, 0), stack(-12, -8), 0xbd, true), Some([(-16, -8), (-12, -8)]));
    // Outside of their memory, addresses may wrap: only equality tells. Of two elements, of what may be null, of halves, and as
    // signed numbers they tell nothing.
    let outside = element(3, 0, 17);
    assert_eq!(compared(outside, element(3, 4, 4), 0x2d, true), Some([(0, 17), (4, 4)]));
    assert_eq!(compared(outside, element(3, 4, 4), 0x1d, true), Some([(4, 4), (4, 4)]));
    let null = |v: Value| Value { null: true, ..v };
    for (x, y) in
        [(a, element(4, 2, 16)), (null(a), b), (a, null(b)), (a, stack(-8, -4)), (a, number(20, 30))]
    {
        for op in [0x1d, 0x5d, 0x2d, 0xad, 0x3d, 0xbd, 0x6d, 0x1e, 0x2e] {
            let same = Some([x.num.r64.signed(), y.num.r64.signed()]);
            assert_eq!(
                (compared(x, y, op, true), compared(x, y, op, false)),
                (same, same),
                "{op:#x}: {x:?}, {y:?}"
            );
        }
    }
    for op in [0x6d, 0x7d, 0xcd, 0xdd, 0x4d, 0x2e, 0x1e] {
        assert_eq!(compared(element(3, 0, 1), b, op, true), Some([(0, 1), (2, 16)]), "{op:#x}");
        assert_eq!(compared(element(3, 0, 1), b, op, false), Some([(0, 1), (2, 16)]), "{op:#x}");
    }
}

/// What is allowed to the last instruction, and to the last byte of stack.
#[test]
fn limits_are_reached_and_not_exceeded() {
    let code =
        [Insn::new(0x7a, 10, 0, -16, 1), Insn::new(0x72, 10, 0, -17, 1), Insn::new(0xb7, 0, 0, 0, 0), END];
    // One context of the entry, which may execute so many; r1 is the context, and nothing is stated elsewhere.
    let mut proof = MAGIC.to_vec();
    proof.extend([1, 0, 0, 0, 0, 4, 0, 2, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for (instructions, stack, expected) in [
        (4, 24, Ok((4, 24))),
        (3, 24, Err(Why::TooExpensive { count: 4 })),
        (4, 23, Err(Why::StackTooDeep)),
        (9, 99, Ok((4, 24))),
    ] {
        let limits = Limits { instructions, stack, ..Limits::default() };
        let allowed = Env { limits, ..env(&[], &[]) };
        let said = check(&code, &proof, &allowed).map(|a| (a.max_insns, a.stack_depth)).map_err(|f| f.why);
        assert_eq!(said, expected, "{instructions} instructions, {stack} bytes");
        // Without a proof, what is allowed is what may be spent.
        let said = check(&code, &[], &allowed).map(|a| (a.max_insns, a.stack_depth)).map_err(|f| f.why);
        let spent = if instructions < 4 { Err(Why::Budget) } else { expected };
        assert_eq!(said, spent, "{instructions} instructions, {stack} bytes");
    }
}

#[test]
fn wide_loads_are_numbers_maps_or_places_in_the_first_element() {
    let queue = MapDef { map_type: MapType::Queue, ..ARRAY };
    let maps = [ARRAY, queue];
    let env = env(&maps, &[]);
    let load = |src, low, high| {
        let code = [Insn::new(0x18, 3, src, 0, low), Insn::new(0, 0, 0, 0, high), END];
        let (mut m, mut s) = (Machine::new(&code, &env), State::new(0));
        m.step(0, code[0], &mut s).map(|()| (*s.reg(3), m.found.maps.clone()))
    };
    assert_eq!(load(0, -1, 7), Ok((one(0x7_ffff_ffff), vec![])));
    assert_eq!(load(1, 0, 0), Ok((Value::pointer(Kind::Map, 0), vec![0])));
    assert_eq!(load(1, 1, 0), Ok((Value::pointer(Kind::Map, 1), vec![1])));
    assert_eq!(load(1, 2, 0), Err(Why::WrongMap));
    for offset in [0, 1, 8, 15] {
        let place = Value { num: Number::of(offset), ..Value::pointer(Kind::Value, 0) };
        assert_eq!(load(2, 0, offset as i32), Ok((place, vec![0])));
    }
    for (map, offset) in [(0, 16), (0, -1), (0, i32::MIN), (1, 0), (2, 0), (-1, 0)] {
        assert_eq!(load(2, map, offset), Err(Why::WrongMap), "{map} + {offset}");
    }
    // A map is listed once.
    let code = [Insn::new(0x18, 3, 1, 0, 0), Insn::new(0, 0, 0, 0, 0), END];
    let (mut m, mut s) = (Machine::new(&code, &env), State::new(0));
    for _ in 0..2 {
        assert_eq!(m.step(0, code[0], &mut s), Ok(()));
    }
    assert_eq!(m.found.maps, [0]);
}

#[test]
fn no_bytes_are_read_at_any_address() {
    let ring = MapDef { map_type: MapType::RingBuf, key_size: 0, value_size: 0, max_entries: 4096, ..ARRAY };
    let maps = [MapDef { read_only: false, ..ring }];
    let env = env(&maps, &[]);
    let output = |data: Value, size: Value| {
        let registers = [Value::NOTHING, Value::pointer(Kind::Map, 0), data, size, one(0)];
        after(&env, &[], &registers, Insn::new(0x85, 0, 0, 0, 130)).map(|s| *s.reg(0))
    };
    let stack = |at: i64| Value { num: Number::of(at as u64), ..Value::pointer(Kind::Stack, 0) };
    assert!(output(stack(-8), one(8)).is_ok());
    assert_eq!(output(stack(-8), one(9)), Err(Why::OutOfBounds));
    assert_eq!(output(stack(-8), number(0, 9)), Err(Why::OutOfBounds));
    assert_eq!(output(stack(-8), number(0, 1 << 31)), Err(Why::Argument { register: 3 }));
    assert!(output(stack(8), one(0)).is_ok());
    assert_eq!(output(stack(8), number(0, 1)), Err(Why::OutOfBounds));
    // But it must be an address, and of something.
    assert_eq!(output(one(0), one(0)), Err(Why::NotAnAddress { register: 2 }));
    assert_eq!(output(Value::pointer(Kind::Map, 0), one(0)), Err(Why::NotAnAddress { register: 2 }));
    let null = Value { null: true, of: 3, ..Value::pointer(Kind::Record, 5) };
    assert_eq!(output(null, one(0)), Err(Why::MaybeNull { register: 2 }));
}
