//! What takes several statements at once, or a statement and the code that uses it: each alone is refused, or nobody notices it.
use super::{get, places, put, rename, some};
use crate::follow::Seen;
use crate::generate::{self, Random};
use crate::proofs::{self, Part};
use axiom_bpf_checker::proof::{Form, Line, Place};
use axiom_bpf_checker::state::{Kind, Moved, State, Value};
use axiom_bpf_checker::{Number, shape};
use axiom_bpf_isa::Insn;

/// A story, if the program is one for it.
pub fn tell(r: &mut Random, code: &mut [Insn], parts: &mut [Part], seen: &[Seen]) {
    if r.one_in(2)
        && let Some(in_r0) = generate::hand_out(code)
    {
        return proofs::hand_out(in_r0, parts);
    }
    match r.below(2) {
        0 => {
            let k = r.below(parts.len() as u64) as usize;
            halved(r, code, &mut parts[k]);
        }
        _ => looks_alike(r, code, parts, seen),
    }
}

/// Whatever follows a line does so by half from now on, and began with something else in its other half; what grows by it does so by
/// that.
fn halved(r: &mut Random, code: &[Insn], part: &mut Part) {
    let sums: Vec<usize> = (0..part.lines.len())
        .filter(|k| part.lines[*k].form == Form::Sum && part.lines[*k].curve == 0)
        .collect();
    let Some(k) = some(r, &sums) else { return };
    let was = part.lines[k];
    let start = match r.below(3) {
        0 => was.start.zext32(),
        1 => was.start.sext(32),
        _ => was.start.add(Number::of(1 << 32)),
    };
    part.lines[k].start = start;
    let by = start.r64.lo.wrapping_sub(was.start.r64.lo) as i64;
    let mut grown = Vec::new();
    for (n, line) in part.lines.iter_mut().enumerate() {
        if line.ghost == was.ghost && line.curve > 0 && line.high.saturating_add(by) >= 0 {
            line.low = line.low.saturating_add(by);
            line.high = line.high.saturating_add(by);
            grown.push(n + 1);
        }
    }
    if grown.is_empty()
        && let Some((sum, line)) = growing(r, code, part, k)
    {
        part.lines.push(line);
        grown.push(part.lines.len());
        let moved = Moved { line: part.lines.len() as u16, ..Moved::default() };
        part.places.iter_mut().map(|p| &mut p.1).filter(|s| s.ghost(line.ghost).is_some()).for_each(|s| {
            s.write(sum, Value { moved, ..Value::ANY });
        });
    }
    for s in part.places.iter_mut().map(|p| &mut p.1) {
        for at in places(s) {
            let mut v = get(s, at);
            let (line, half) = (v.moved.line as usize, v.moved.line as usize == k + 1);
            let irregular = part.lines.get(line.wrapping_sub(1)).is_some_and(|l| l.low != l.high);
            if half || grown.contains(&line) {
                v.moved.half |= half;
                v.num = if half { Number { r32: v.num.r32, ..Number::TOP } } else { Number::TOP };
                put(s, at, v);
            } else if irregular && v.kind == Kind::Number {
                // It may move by what is not known now.
                put(s, at, Value::ANY);
            }
        }
    }
}

/// A register to which what follows line `k` is added in each pass, and the line on which it then is.
fn growing(r: &mut Random, code: &[Insn], part: &Part, k: usize) -> Option<(u8, Line)> {
    let by = part.lines[k];
    let follows = |d: u8| part.places.iter().any(|p| p.1.reg(d).moved.line as usize == k + 1);
    let (at, sum) =
        code.iter().enumerate().find(|(_, i)| i.op == 0x0f && i.dst() != i.src() && follows(i.src()))?;
    // It began with the constant that was written last, and adds what the other one began with, or that and one step.
    let first = code[..at].iter().rfind(|i| i.op == 0xb7 && i.dst() == sum.dst())?;
    let low = (by.start.constant()? as i64).checked_add(r.pick(&[0, by.high]))?;
    let (start, curve) = (Number::of(first.imm as i64 as u64), by.high);
    let fits = low >= 0 && by.low == curve && (1..1 << 32).contains(&curve) && part.lines.len() < 24;
    fits.then_some((sum.dst(), Line { low, high: low, curve, start, ..by }))
}

/// A register is 0, and is said to be an element or nothing: the very element whose address another one holds; the two are compared.
fn looks_alike(r: &mut Random, code: &mut [Insn], parts: &mut [Part], seen: &[Seen]) {
    let Some(k) = some(r, &(0..seen.len()).collect::<Vec<_>>()) else { return };
    let Seen { context, at, state } = &seen[k];
    let (at, Some(part)) = (*at as usize, parts.get_mut(*context)) else { return };
    let fits = |i: &Insn| shape::width(*i) == 1 && i.op != 0 && !matches!(i.op, 0x05 | 0x06 | 0x85 | 0x95);
    if !code.get(at..at + 2).is_some_and(|two| two.iter().all(fits)) {
        return;
    }
    let mut s: State = state.clone();
    rename(&mut s);
    let elements: Vec<u8> = (0..10).filter(|d| s.reg(*d).kind == Kind::Value).collect();
    let Some(b) = some(r, &elements) else { return };
    let a = r.below(10) as u8;
    if a == b {
        return;
    }
    let (mut like, null) = (s.reg(b).alone(), !r.one_in(4));
    like.null = null;
    if r.one_in(4) {
        like.num = like.num.add(Number::of(r.pick(&[1, 8, 64])));
    }
    code[at] = Insn::new(0xb7, a, 0, 0, 0);
    let (d, other) = if r.one_in(2) { (a, b) } else { (b, a) };
    let op = r.pick(&[0x1d, 0x5d, 0x2d, 0x3d, 0xad, 0xbd, 0x1f]);
    code[at + 1] = Insn::new(op, d, other, if op == 0x1f { 0 } else { r.pick(&[1, 1, 2, 3]) }, 0);
    s.write(a, like);
    let place = Place { slot: at as u32 + 1, state: 0, budget: s.budget.saturating_sub(1) };
    match part.places.binary_search_by_key(&place.slot, |p| p.0.slot) {
        Ok(k) => part.places[k].1 = s,
        Err(k) => part.places.insert(k, (place, s)),
    }
}
