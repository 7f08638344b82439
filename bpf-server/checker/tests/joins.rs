//! Where ways meet and the proof states nothing: of everything that is known, what holds on both ways stays. And what nobody needs
//! to know: only numbers are forgotten.
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::state::{Frame, Gap, Kind, Moved, State, Value, bytes};
use axiom_bpf_checker::{Accepted, Env, Limits, Number, Why, check};
use axiom_bpf_isa::{Insn, ProgramKind};

fn number(lo: u64, hi: u64) -> Value {
    Value::number(Number::between(lo, hi))
}

fn element(of: u32) -> Value {
    Value { of, ..Value::pointer(Kind::Value, 0) }
}

/// What is known of r0, joined from both sides: the same either way.
fn joined(a: Value, b: Value) -> Value {
    let one = |a: Value, b: Value| {
        let (mut s, mut t) = (State::new(0), State::new(0));
        s.write(0, a);
        t.write(0, b);
        s.join(&t).expect("the same records and frames");
        *s.reg(0)
    };
    let both = one(a, b);
    assert_eq!(both, one(b, a), "{a:?} and {b:?}");
    both
}

#[test]
fn values_hold_on_both_ways() {
    assert_eq!(joined(number(1, 3), number(5, 9)), number(1, 9));
    assert_eq!(joined(number(1, 3), Value::ANY), Value::ANY);
    assert_eq!(joined(number(1, 3), Value::NOTHING), Value::NOTHING);
    assert_eq!(joined(Value::ANY, Value::NOTHING), Value::NOTHING);
    let at = |kind, at| Value::pointer(kind, at);
    assert_eq!(joined(at(Kind::Ctx, 0), Value::ANY), Value::NOTHING);
    assert_eq!(joined(at(Kind::Ctx, 0), at(Kind::Stack, 0)), Value::NOTHING);
    assert_eq!(joined(at(Kind::Stack, 0), at(Kind::Stack, 1)), Value::NOTHING);
    assert_eq!(joined(element(1), element(2)), Value::NOTHING);
    assert_eq!(joined(element(1), element(1)), element(1));
    let null = |v: Value| Value { null: true, ..v };
    assert_eq!(joined(null(element(1)), element(1)), null(element(1)));
    let moved = |v: Value, n: u64| Value { num: Number::of(n), ..v };
    assert_eq!(joined(moved(element(1), 4), moved(element(1), 8)).num, Number::of(4).join(Number::of(8)));
}

#[test]
fn relations_hold_on_both_ways() {
    let named = |id, delta| Value { id, delta, ..number(0, 9) };
    assert_eq!(joined(named(7, 1), named(7, 1)), named(7, 1));
    assert_eq!(joined(named(7, 1), named(7, 2)), number(0, 9));
    assert_eq!(joined(named(7, 1), named(8, 1)), number(0, 9));
    assert_eq!(joined(named(7, 1), number(0, 9)), number(0, 9));
    let half = |v: Value| Value { half: true, ..v };
    assert_eq!(joined(half(named(7, 1)), named(7, 1)), half(named(7, 1)));
    let square = |root| Value { root, ..number(0, 9) };
    assert_eq!(joined(square(7), square(7)), square(7));
    assert_eq!(joined(square(7), square(8)), number(0, 9));
    let on = |line, lo, hi, rise, half| Value { moved: Moved { line, half, lo, hi, rise }, ..number(0, 9) };
    assert_eq!(joined(on(1, 2, 3, 4, true), on(1, 1, 5, 0, true)), on(1, 1, 5, 4, true));
    // Of the whole on one way, of the half on the other: how many bits the one has does not tell of the other.
    assert_eq!(joined(on(1, 2, 3, 4, false), on(1, 1, 5, 0, true)), number(0, 9));
    assert_eq!(joined(on(1, 2, 3, 0, false), on(2, 2, 3, 0, false)), number(0, 9));
    assert_eq!(joined(on(1, 2, 3, 0, false), number(0, 9)), number(0, 9));
}

#[test]
fn registers_are_joined_however_they_were_changed() {
    let mut s = State::new(0);
    s.write(1, number(1, 2));
    for change in 0..4 {
        let mut t = s.clone();
        match change {
            0 => t.write(1, number(7, 8)),
            1 => t.regs.change(1).expect("r1").num = Number::between(7, 8),
            2 => t.each(|v| v.num = if v.kind == Kind::Number { Number::between(7, 8) } else { v.num }),
            _ => t.regs.forget(1),
        }
        let mut j = s.clone();
        j.join(&t).expect("joined");
        let expected = if change == 3 { Value::ANY } else { number(1, 8) };
        assert_eq!(*j.reg(1), expected, "{change}");
        t.join(&s).expect("joined");
        assert_eq!(*t.reg(1), expected, "{change}");
    }
    let mut lost = s.clone();
    lost.regs.lose(1..2);
    lost.join(&s).expect("joined");
    assert_eq!(*lost.reg(1), Value::NOTHING);
}

#[test]
fn frames_hold_on_both_ways() {
    let mut s = State::new(0);
    s.store(0, 504, 8, Some(number(1, 2))).expect("a store");
    s.store(0, 496, 8, Some(Value::pointer(Kind::Ctx, 0))).expect("a store");
    s.store(0, 488, 8, Some(number(5, 5))).expect("a store");
    let mut t = State::new(0);
    t.store(0, 504, 8, Some(number(7, 8))).expect("a store");
    t.store(0, 496, 8, Some(number(0, 0))).expect("a store");
    t.store(0, 484, 4, Some(number(5, 5))).expect("a store");
    for (a, b) in [(&s, &t), (&t, &s)] {
        let mut j = a.clone();
        j.join(b).expect("joined");
        let f: &Frame = &j.frames[0];
        assert_eq!(f.slots, [(252, number(1, 8))]);
        assert_eq!(f.written, bytes(496, 16));
        // What is an address on one of them is not read as a number.
        assert_eq!(f.readable(496, 8), None);
        assert_eq!(f.readable(504, 8), Some(true));
        assert_eq!(f.readable(488, 8), Some(false));
    }
    let mut more = s.clone();
    more.nest(2);
    assert_eq!(more.join(&s), Err(Why::Held));
    let mut holds = s.clone();
    assert!(holds.hold(3));
    assert_eq!(holds.join(&s), Err(Why::Held));
}

#[test]
fn budgets_counters_and_gaps_hold_on_both_ways() {
    let gap = |of, value| Gap { of, from: 1, value };
    let (mut s, mut t) = (State::new(0), State::new(0));
    (s.budget, t.budget) = (5, 7);
    (s.ghosts, t.ghosts) = (vec![(0, 3), (1, 4)], vec![(0, 5), (2, 4)]);
    s.gaps = vec![gap(0, number(1, 2)), gap(2, number(1, 2)), gap(3, number(1, 2))];
    t.gaps = vec![gap(0, number(4, 5)), gap(3, element(1))];
    for (a, b) in [(&s, &t), (&t, &s)] {
        let mut j = a.clone();
        j.join(b).expect("joined");
        assert_eq!((j.budget, &j.ghosts[..]), (5, &[(0, 5)][..]));
        assert_eq!(j.gaps, [gap(0, number(1, 5))]);
    }
    let (mut s, mut t) = (State::new(0), State::new(0));
    (s.budget, t.budget) = (9, 7);
    s.join(&t).expect("joined");
    assert_eq!(s.budget, 7);
}

fn insn(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

/// Checks code with a proof that says of the instructions in `unneeded` that nobody needs to know what they do.
fn straight(code: &[Insn], unneeded: &[usize]) -> Result<Accepted, Why> {
    let limits = Limits::default();
    let ctx = ProgramKind::Timer.layout();
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    let mut proof = MAGIC.to_vec();
    proof.push(0);
    let bits = proof.len();
    proof.resize(bits + code.len().div_ceil(8), 0);
    unneeded.iter().for_each(|at| proof[bits + at / 8] |= 1 << (at % 8));
    check(code, &proof, &env).map_err(|f| f.why)
}

const END: [Insn; 2] = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];

#[test]
fn only_numbers_are_forgotten() {
    let wrong = |register| Err(Why::NotANumber { register });
    // An address stays one, whatever is done with it: r0 = it, and the end.
    for (first, refused) in [
        (vec![insn(0xbf, 0, 1, 0, 0)], wrong(0)),
        (vec![insn(0xbf, 0, 10, 0, 0)], wrong(0)),
        (vec![insn(0xbf, 0, 1, 0, 0), insn(0x07, 0, 0, 0, 4)], wrong(0)),
        (vec![insn(0xb7, 0, 0, 0, 4), insn(0x0f, 0, 1, 0, 0)], wrong(0)),
        (vec![insn(0xbc, 0, 1, 0, 0)], wrong(1)),
        (vec![insn(0xb7, 0, 0, 0, 4), insn(0x5f, 0, 1, 0, 0)], wrong(1)),
        (vec![insn(0xbf, 0, 1, 0, 0), insn(0x57, 0, 0, 0, 4)], wrong(0)),
        (vec![insn(0xbf, 0, 1, 0, 0), insn(0x87, 0, 0, 0, 0)], wrong(0)),
        (vec![insn(0xbf, 0, 1, 0, 0), insn(0xd7, 0, 0, 0, 64)], wrong(0)),
        // Registers that hold nothing are not read.
        (vec![insn(0xbf, 0, 5, 0, 0)], Err(Why::Unusable { register: 5 })),
        (vec![insn(0x07, 0, 0, 0, 1)], Err(Why::Unusable { register: 0 })),
        (vec![insn(0xb7, 0, 0, 0, 4), insn(0x0f, 0, 5, 0, 0)], Err(Why::Unusable { register: 5 })),
        (vec![insn(0x15, 5, 0, 0, 1)], Err(Why::Unusable { register: 5 })),
        (vec![insn(0xb7, 0, 0, 0, 4), insn(0x1d, 0, 5, 0, 0)], Err(Why::Unusable { register: 5 })),
    ] {
        let code = [&first[..], &[insn(0x95, 0, 0, 0, 0)]].concat();
        assert_eq!(straight(&code, &[]), refused, "{code:?}");
        assert_eq!(straight(&code, &(0..code.len()).collect::<Vec<_>>()), refused, "{code:?}");
    }
}

#[test]
fn what_is_forgotten_bears_nothing_out() {
    // r2 = byte & 7; r2 > 3 leaves; r3 = r1 + r2; a byte of the context there.
    let code = [
        &[
            insn(0x71, 2, 1, 0, 0),
            insn(0x57, 2, 0, 0, 7),
            insn(0x25, 2, 0, 3, 3),
            insn(0xbf, 3, 1, 0, 0),
            insn(0x0f, 3, 2, 0, 0),
            insn(0x71, 3, 3, 0, 0),
        ][..],
        &END,
    ]
    .concat();
    let accepted = straight(&code, &[]).expect("in bounds");
    assert_eq!(accepted.max_insns, 8);
    assert_eq!(straight(&code, &[1]).map(|a| a.max_insns), Ok(8));
    assert_eq!(straight(&code, &[1, 2]), Err(Why::OutOfBounds));
    // A move of an address is not forgotten, whatever the proof calls it.
    assert_eq!(straight(&code, &[3, 5]).map(|a| a.max_insns), Ok(8));
    // Both ways out of a comparison of which nothing is learned: the dead one is looked at, too.
    let code =
        [&[insn(0xb7, 2, 0, 0, 1), insn(0x15, 2, 0, 1, 1), insn(0x71, 3, 1, 999, 0)][..], &END].concat();
    assert!(straight(&code, &[]).is_ok());
    assert_eq!(straight(&code, &[1]), Err(Why::OutOfBounds));
    let code =
        [
            &[
                insn(0xb7, 2, 0, 0, 0),
                insn(0x15, 2, 0, 1, 1),
                insn(0x05, 0, 0, 1, 0),
                insn(0x71, 3, 1, 999, 0),
            ][..],
            &END,
        ]
        .concat();
    assert!(straight(&code, &[]).is_ok());
    assert_eq!(straight(&code, &[1]), Err(Why::OutOfBounds));
}

#[test]
fn the_worst_case_is_the_longest_way() {
    // A branch over three instructions, one of them a branch over two.
    let code = [
        &[
            insn(0x79, 2, 1, 0, 0),
            insn(0x15, 2, 0, 3, 1),
            insn(0x15, 2, 0, 2, 2),
            insn(0x07, 2, 0, 0, 1),
            insn(0x07, 2, 0, 0, 1),
        ][..],
        &END,
    ]
    .concat();
    for (long, expected) in [(0i16, 7), (1, 4)] {
        let mut code = code.clone();
        if long == 1 {
            code[1] = insn(0x05, 0, 0, 3, 0);
        }
        assert_eq!(straight(&code, &[]).map(|a| a.max_insns), Ok(expected), "{long}");
    }
    // Nothing is stated where a jump leads back, and no bits too many or too few are taken.
    let back = [insn(0xb7, 0, 0, 0, 0), insn(0x05, 0, 0, -2, 0)];
    assert_eq!(straight(&back, &[]), Err(Why::NothingStated));
    let limits = Limits { instructions: 1, ..Limits::default() };
    let env = Env { maps: &[], contents: &[], ctx: ProgramKind::Timer.layout(), helpers: None, limits };
    assert_eq!(check(&END, &[], &env).map_err(|f| f.why), Err(Why::Budget));
    for bytes in [2, 3] {
        let proof = [&MAGIC[..], &vec![0; bytes]].concat();
        let wide = Env { limits: Limits::default(), ..env };
        assert_eq!(check(&END, &proof, &wide).is_ok(), bytes == 2, "{bytes}");
    }
}
