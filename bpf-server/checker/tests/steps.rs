//! What an instruction does to what is known beside the number: a line along which it moves, a number that it equals. What
//! was true before must be true after it, says the reference interpreter.
use axiom_bpf_checker::bits::Bits;
use axiom_bpf_checker::proof::{Form, Line};
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_checker::state::{Gap, Kind, Moved, State, Value};
use axiom_bpf_checker::{Env, Limits, Machine, Number};
use axiom_bpf_interp::{Bare, Insn, Memory, Size, Stack, run};
use axiom_bpf_isa::ProgramKind;

struct Nowhere;

impl Memory for Nowhere {
    fn load(&mut self, _: u64, _: Size) -> Option<u64> {
        None
    }
    fn store(&mut self, _: u64, _: Size, _: u64) -> Option<()> {
        None
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }
    fn value(&mut self) -> u64 {
        let near = self.below(9).wrapping_sub(4);
        match self.below(6) {
            0 => near,
            1 => (1u64 << self.below(64)).wrapping_add(near),
            2 => self.next() as u32 as u64,
            3 => self.next() as i32 as i64 as u64,
            4 => self.below(300),
            _ => self.next(),
        }
    }
    /// Something that is known of a number.
    fn known(&mut self, v: u64) -> Number {
        let mut n = Number::TOP;
        match self.below(5) {
            0 => return Number::of(v),
            1 => n.r64 = Ring::new(v.wrapping_sub(self.below(9)), v.wrapping_add(self.below(9))),
            2 => n.r32 = Ring::new(v.wrapping_sub(self.below(9)), v.wrapping_add(self.below(9))),
            3 => n.bits = Bits::cut(v, self.next() & self.next()),
            _ => {}
        }
        assert!(n.reduce() && n.contains(v), "{n:?} {v:#x}");
        n
    }
}

fn interpret(x: u64, y: u64, one: Insn) -> [u64; 2] {
    let load = |r: u8, v: u64| [Insn::new(0x18, r, 0, 0, v as i32), Insn::new(0, 0, 0, 0, (v >> 32) as i32)];
    [0u8, 1].map(|r| {
        let end = [Insn::new(0xbf, 0, r, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];
        let code = [&load(0, x)[..], &load(1, y), &[one], &end].concat();
        run(&code, &mut Bare(Nowhere), &mut Stack::default(), 0, 0, &mut 100).expect("a run")
    })
}

fn instruction(r: &mut Random) -> Insn {
    let class = [4u8, 7][r.below(2) as usize];
    let op = [0x00u8, 0x00, 0x10, 0x20, 0x30, 0x60, 0x70, 0x70, 0xb0, 0xc0, 0x50, 0x80][r.below(12) as usize];
    let (d, s) = (r.below(2) as u8, r.below(2) as u8);
    match op {
        0x80 => Insn::new(class | op, d, 0, 0, 0),
        _ if r.below(2) == 0 => Insn::new(class | op | 8, d, s, 0, 0),
        0x60 | 0x70 | 0xc0 => {
            Insn::new(class | op, d, 0, 0, r.below(if class == 7 { 66 } else { 34 }) as i32)
        }
        _ => Insn::new(class | op, d, 0, 0, r.value() as i32),
    }
}

/// A number of which `m` says that it moves along the line, after `i` passes.
fn follows(l: &Line, m: &Moved, i: i64, v: u64) -> bool {
    let (low, high) = if m.half { (v as u32 as u64, u32::MAX as i128) } else { (v, u64::MAX as i128) };
    let (least, most) = (
        l.low as i128 * i as i128 + m.lo as i128,
        l.high as i128 * i as i128
            + l.curve as i128 * (i as i128 * (i as i128 - 1) / 2)
            + m.rise as i128 * i as i128
            + m.hi as i128,
    );
    match l.form {
        Form::Length => {
            let bits = 64 - low.leading_zeros() as i128;
            least <= bits && bits <= most.max(0)
        }
        Form::Sum => {
            let start = l.start.constant().expect("one start");
            let apart = (v.wrapping_sub(start) as i128) - least;
            most - least > high || (apart & high) <= most - least
        }
    }
}

#[test]
fn what_moves_and_what_is_equal_stays_true() {
    let env = Env {
        maps: &[],
        contents: &[],
        ctx: ProgramKind::Iio.layout(),
        helpers: None,
        limits: Limits::default(),
    };
    let (mut r, mut lines, mut names, mut gaps) = (Random(3), 0u64, 0u64, 0u64);
    for _ in 0..100_000 {
        let i = r.below(5) as i64;
        let form = if r.below(2) == 0 { Form::Sum } else { Form::Length };
        let curve = if form == Form::Sum && r.below(3) == 0 { 1 + r.below(4) as i64 } else { 0 };
        let step = r.below(5) as i64 - if curve == 0 { 2 } else { 0 };
        let start = r.value();
        let line = Line { ghost: 0, form, low: step, high: step, curve, start: Number::of(start) };
        let other =
            Line { form: Form::Sum, curve: 0, low: 1, high: 2, start: Number::of(r.below(20)), ..line };
        let all = [line, other];
        // Two numbers that do what is said of them.
        let mut known = [(0, Value::NOTHING); 2];
        let sym = r.value();
        for (k, l) in all.iter().enumerate() {
            let half = r.below(2) == 0;
            let v = match l.form {
                Form::Sum => {
                    let v = l.start.constant().expect("one").wrapping_add((l.low * i) as u64);
                    if half { v as u32 as u64 | r.value() << 32 } else { v }
                }
                Form::Length => r.value(),
            };
            let low = if half { v as u32 as u64 } else { v };
            let bits = 64 - low.leading_zeros() as i64;
            let slack = r.below(2) as i64;
            let at = if l.form == Form::Length { bits - l.low * i } else { 0 };
            let moved = Moved { line: k as u16 + 1, half, lo: at - slack, hi: at + slack, rise: 0 };
            assert!(follows(l, &moved, i, v), "{l:?} {moved:?} {v:#x}");
            let by = r.below(2) == 0;
            let value = Value {
                id: 7,
                delta: v.wrapping_sub(sym),
                half: by,
                moved: if r.below(4) == 0 { Moved::default() } else { moved },
                ..Value::number(r.known(v))
            };
            let value = if r.below(2) == 0 { Value { id: 0, delta: 0, half: false, ..value } } else { value };
            known[k] = (v, value);
        }
        let insn = instruction(&mut r);
        let code = [insn, Insn::new(0x95, 0, 0, 0, 0)];
        let mut m = Machine::new(&code, &env);
        m.lines.extend(all);
        let mut s = State::new(0);
        s.write(0, known[0].1);
        s.write(1, known[1].1);
        let apart = known[0].0.wrapping_sub(known[1].0);
        s.gaps.push(Gap { of: 0, from: 1, value: Value::number(r.known(apart)) });
        m.step(0, insn, &mut s).expect("numbers");
        let now = interpret(known[0].0, known[1].0, insn);
        for (v, is) in s.regs.iter().zip(now) {
            let told = format!("{insn:?} on {known:#x?} with i = {i} and {all:?}: {v:?} is said of {is:#x}");
            assert!(v.num.contains(is), "{told}");
            if let Some(l) = (v.moved.line as usize).checked_sub(1).map(|k| &all[k]) {
                lines += 1;
                assert!(follows(l, &v.moved, i, is), "{told}");
            }
            if v.id == 7 {
                names += 1;
                let equal = sym.wrapping_add(v.delta);
                assert!(if v.half { equal as u32 == is as u32 } else { equal == is }, "{told}");
            }
        }
        for g in &s.gaps {
            gaps += 1;
            let apart = now[g.of as usize].wrapping_sub(now[g.from as usize]);
            assert!(g.value.num.contains(apart), "{insn:?} on {known:#x?}: {g:?} is said of {apart:#x}");
        }
    }
    println!("{lines} lines, {names} equalities, {gaps} differences");
    assert!(lines > 60_000 && names > 30_000 && gaps > 15_000, "{lines} {names} {gaps}");
}

/// How far registers are apart is known until one of them is written, by whatever instruction, and follows what is added.
#[test]
fn differences_end_where_a_register_is_written() {
    let (ctx, limits) = (ProgramKind::Iio.layout(), Limits::default());
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    let number = |n| Value::number(Number::of(n));
    let pairs = [(0u8, 1u8), (1, 2), (2, 3), (4, 5), (6, 7), (7, 0), (8, 9), (4, 4)];
    let left = |insn: Insn| {
        let code = [insn, Insn::new(0, 0, 0, 0, 0)];
        let mut s = State::new(0);
        (0..10).for_each(|r| s.write(r, Value::ANY));
        s.store(0, 504, 8, Some(number(5))).expect("a store");
        s.gaps.extend(pairs.map(|(of, from)| Gap { of, from, value: number(3) }));
        Machine::new(&code, &env).step(0, insn, &mut s).expect("an instruction");
        s.gaps
    };
    for (insn, written) in [
        (Insn::new(0x79, 2, 10, -8, 0), vec![2]),
        (Insn::new(0x18, 6, 0, 0, 9), vec![6]),
        (Insn::new(0xb7, 9, 0, 0, 9), vec![9]),
        (Insn::new(0xbf, 1, 5, 0, 0), vec![1]),
        (Insn::new(0x27, 5, 0, 0, 1), vec![5]),
        (Insn::new(0x0f, 4, 4, 0, 0), vec![4]),
        (Insn::new(0x7a, 10, 0, -8, 1), vec![]),
        (Insn::new(0x7b, 10, 4, -8, 0), vec![]),
        // What was there before goes to the source, or to r0.
        (Insn::new(0xdb, 10, 5, -8, 1), vec![0, 5]),
        (Insn::new(0xdb, 10, 8, -8, 0xf1), vec![0, 8]),
        (Insn::new(0xdb, 10, 0, -8, 1), vec![0]),
        (Insn::new(0x85, 0, 0, 0, 5), vec![0, 1, 2, 3, 4, 5]),
    ] {
        let stay = pairs.into_iter().filter(|(a, b)| !written.contains(a) && !written.contains(b));
        let now = left(insn);
        assert_eq!(
            now.iter().map(|g| (g.of, g.from)).collect::<Vec<_>>(),
            stay.collect::<Vec<_>>(),
            "{insn:?}"
        );
        assert!(now.iter().all(|g| g.value == number(3)), "{insn:?}");
    }
    // Added to the one, or to the other; of a register and itself nothing is told then.
    for (op, dst, apart_now) in [(0x07, 4, 5), (0x17, 4, 1), (0x07, 5, 1), (0x17, 5, 5)] {
        let now = left(Insn::new(op, dst, 0, 0, 2));
        let apart = |of, from| now.iter().find(|g| (g.of, g.from) == (of, from)).map(|g| g.value);
        assert_eq!(apart(4, 5), Some(number(apart_now)), "{op:#x} r{dst}");
        assert_eq!(apart(4, 4), if dst == 4 { None } else { Some(number(3)) }, "{op:#x} r{dst}");
    }
    // An address is no number that is added.
    let code = [Insn::new(0x0f, 6, 7, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];
    let mut s = State::new(0);
    s.write(6, Value::pointer(Kind::Ctx, 0));
    s.write(7, number(4));
    s.write(8, Value::pointer(Kind::Ctx, 0));
    s.gaps.push(Gap { of: 6, from: 8, value: number(0) });
    Machine::new(&code, &env).step(0, code[0], &mut s).expect("an address moves");
    assert_eq!(s.gaps, [Gap { of: 6, from: 8, value: number(4) }]);
}
