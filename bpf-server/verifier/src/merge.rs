//! Joining states of the checker, and giving them the names that a proof can write down.

use alloc::vec::Vec;
use axiom_bpf_checker::Number;
use axiom_bpf_checker::proof::MAX_CURVE;
use axiom_bpf_checker::state::{Kind, Moved, SLOTS, State, Value, extent};

/// What holds in both of two states. Equalities and elements of maps get names as they are found.
#[derive(Default)]
struct Join {
    /// Name in the one and in the other (0 = a constant), difference of deltas, and the name in both.
    names: Vec<(u32, u32, u64, u32, u64)>,
    elements: Vec<(u32, u32, u32)>,
    last: u32,
}

impl Join {
    fn value(&mut self, a: &Value, b: &Value) -> Value {
        let null = |p: &Value, n: &Value| {
            (p.kind == Kind::Value && p.num.constant() == Some(0) && n.constant() == Some(0))
                .then(|| Value { null: true, ..p.alone() })
        };
        let mut r = if a.kind == b.kind && a.kind != Kind::Nothing {
            let element = a.kind == Kind::Value;
            if a.at != b.at || !element && a.of != b.of {
                return Value::NOTHING;
            }
            let mut r = Value { null: a.null || b.null, num: a.num.join(b.num), ..a.alone() };
            if element && (a.of, b.of) != (0, 0) {
                r.of = match self.elements.iter().find(|e| (e.0, e.1) == (a.of, b.of)) {
                    Some(e) => e.2,
                    None => {
                        self.last += 1;
                        self.elements.push((a.of, b.of, self.last));
                        self.last
                    }
                };
            }
            if a.moved.line != 0 && a.moved.line == b.moved.line {
                r.moved = Moved {
                    line: a.moved.line,
                    half: a.moved.half || b.moved.half,
                    lo: a.moved.lo.min(b.moved.lo),
                    hi: a.moved.hi.max(b.moved.hi),
                    rise: a.moved.rise.max(b.moved.rise),
                };
            }
            r
        } else if let Some(mut r) = null(a, b).or_else(|| null(b, a)) {
            self.last += 1;
            r.of = if r.of == 0 { 0 } else { self.last };
            r
        } else {
            return Value::NOTHING;
        };
        let name = |v: &Value| match v.constant() {
            Some(c) => Some((0, c, false)),
            None if v.id == 0 => None,
            None => Some((v.id, v.delta, v.half)),
        };
        if let (Some((x, dx, hx)), Some((y, dy, hy))) = (name(a), name(b))
            && (x, y) != (0, 0)
        {
            let apart = dx.wrapping_sub(dy);
            r.half = hx || hy;
            match self.names.iter().find(|n| (n.0, n.1, n.2) == (x, y, apart)) {
                Some(n) => (r.id, r.delta) = (n.3, dx.wrapping_sub(n.4)),
                None => {
                    self.last += 1;
                    self.names.push((x, y, apart, self.last, dx));
                    (r.id, r.delta) = (self.last, 0);
                }
            }
        }
        r
    }
}

/// What holds in both; `None` if they hold different records.
pub fn join(a: &State, b: &State) -> Option<State> {
    if a.held != b.held || a.frames.len() != b.frames.len() {
        return None;
    }
    let mut j = Join::default();
    let mut s = a.clone();
    for (r, (x, y)) in (0..).zip(a.regs.iter().zip(b.regs.iter())) {
        s.write(r, j.value(x, y));
    }
    for (f, (x, y)) in s.frames_mut().iter_mut().zip(a.frames.iter().zip(b.frames.iter())) {
        for w in 0..8 {
            f.written[w] = x.written[w] & y.written[w];
            f.clean[w] = x.clean[w] & y.clean[w];
        }
        f.slots.retain_mut(|(slot, v)| match y.get(*slot) {
            Some(other) => {
                *v = j.value(v, other);
                v.kind != Kind::Nothing
            }
            None => false,
        });
    }
    s.gaps.retain_mut(|g| match b.gap(g.of, g.from) {
        Some(v) => {
            g.value = j.value(&g.value, &v);
            g.value.kind != Kind::Nothing
        }
        None => false,
    });
    s.ghosts.retain_mut(|g| match b.ghost(g.0) {
        Some(most) => {
            g.1 = g.1.max(most);
            true
        }
        None => false,
    });
    Some(s)
}

/// The form of a proof has room for how something moved: who knows less proves less.
fn sayable(m: &Moved) -> bool {
    m.hi.checked_sub(m.lo).is_some() && u64::try_from(m.rise).is_ok_and(|rise| rise <= MAX_CURVE)
}

/// As the proof can say it: names counted from 1, none for what equals nothing else, what is known reduced, dead registers
/// dropped.
pub fn canonical(s: &mut State, live: u16) {
    for r in (0..10).filter(|r| live >> r & 1 == 0) {
        s.regs.lose(r..r + 1);
    }
    s.gaps.retain(|g| live >> g.of & live >> g.from & 1 == 1);
    let mut room = SLOTS;
    for f in s.frames_mut() {
        f.slots.retain(|(_, v)| v.is_pointer() || v.num != Number::TOP || v.id != 0 || v.moved.line != 0);
        while f.slots.len() > room {
            let last = f.slots[f.slots.len() - 1].0;
            let pointer = f.slots[f.slots.len() - 1].1.is_pointer();
            f.slots.pop();
            if pointer {
                let (at, size) = extent(last);
                for (w, m) in axiom_bpf_checker::state::bytes(at, size).iter().enumerate() {
                    f.written[w] &= !m;
                }
            }
        }
        room -= f.slots.len();
    }
    let mut seen: Vec<(u32, u32, u64)> = Vec::new();
    s.each(|v| {
        v.root = 0;
        v.num.reduce();
        if !sayable(&v.moved) {
            v.moved = Moved::default();
        }
        if v.id != 0 {
            match seen.iter_mut().find(|x| x.0 == v.id) {
                Some(x) => x.1 += 1,
                None => seen.push((v.id, 1, v.delta)),
            }
        }
    });
    seen.retain(|x| x.1 > 1);
    let mut elements: Vec<u32> = Vec::new();
    s.each(|v| {
        if v.id != 0 {
            match seen.iter().position(|x| x.0 == v.id) {
                Some(k) => (v.id, v.delta) = (k as u32 + 1, v.delta.wrapping_sub(seen[k].2)),
                None => (v.id, v.delta, v.half) = (0, 0, false),
            }
        }
        if v.kind == Kind::Value && v.of != 0 {
            let k = elements.iter().position(|e| *e == v.of).unwrap_or_else(|| {
                elements.push(v.of);
                elements.len() - 1
            });
            v.of = k as u32 + 1;
        }
    });
}
