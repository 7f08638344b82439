//! What an instruction does to what is known beside the number: a line along which it moves, a number that it equals. What
//! was true before must be true after it, says the reference interpreter.
use axiom_bpf_checker::bits::Bits;
use axiom_bpf_checker::proof::{Form, Line};
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_checker::state::{Gap, Moved, State, Value};
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
