//! A proof taken apart, changed as somebody would who wants to cheat, and written again.
use crate::generate::Random;
use axiom_bpf_checker::Number;
use axiom_bpf_checker::Why;
use axiom_bpf_checker::proof::{Ghost, Line, MAGIC, Place, Reader};
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_checker::state::{Frame, Kind, State, Value};

#[allow(dead_code)]
#[path = "../../src/writer.rs"]
mod writer;

/// A context as the proof has it.
#[derive(Clone)]
pub struct Part {
    pub start: u64,
    pub depth: u64,
    pub ghosts: Vec<Ghost>,
    pub lines: Vec<Line>,
    pub worst: u64,
    pub entry: State,
    pub exit: Option<State>,
    pub places: Vec<(Place, State)>,
    pub calls: Vec<(u64, u64)>,
}

/// The contexts of a proof that the checker can read; none of one that states nothing.
pub fn read(proof: &[u8]) -> Result<Vec<Part>, Why> {
    let mut r = Reader::new(proof, 0);
    if proof.is_empty() {
        return Ok(Vec::new());
    }
    r.take(MAGIC.len())?;
    (0..r.number()?).map(|_| part(proof, &mut r)).collect()
}

fn state(r: &mut Reader) -> Result<State, Why> {
    let mut s = State::new(0);
    r.state(&mut s).map(|()| s)
}

fn part(proof: &[u8], r: &mut Reader) -> Result<Part, Why> {
    let (start, depth) = (r.number()?, r.number()?);
    let ghosts = (0..r.number()?).map(|_| r.ghost()).collect::<Result<_, _>>()?;
    let lines = (0..r.number()?).map(|_| r.line()).collect::<Result<_, _>>()?;
    let worst = r.number()?;
    let entry = state(r)?;
    let exit = if r.number()? == 1 { Some(state(r)?) } else { None };
    let n = r.number()? as usize;
    let table = r.take(n * Place::SIZE)?;
    let calls = (0..r.number()?).map(|_| Ok((r.number()?, r.number()?))).collect::<Result<_, _>>()?;
    let length = r.number()? as usize;
    let states = r.at;
    r.take(length)?;
    let place = |k| {
        let p = Place::get(table, 0, k).ok_or(Why::Format)?;
        // A state may reach into what is behind all of them: the checker does not mind.
        Ok((p, state(&mut Reader::new(proof, states + p.state as usize))?))
    };
    let places = (0..n).map(place).collect::<Result<_, _>>()?;
    Ok(Part { start, depth, ghosts, lines, worst, entry, exit, places, calls })
}

/// The proof with these contexts.
pub fn write(parts: &[Part], proof: &mut Vec<u8>) {
    proof.clear();
    proof.extend_from_slice(&MAGIC);
    let mut w = writer::Writer { bytes: std::mem::take(proof) };
    w.number(parts.len() as u64);
    for p in parts {
        w.number(p.start);
        w.number(p.depth);
        w.number(p.ghosts.len() as u64);
        p.ghosts.iter().for_each(|g| w.ghost(g));
        w.number(p.lines.len() as u64);
        p.lines.iter().for_each(|l| w.line(l));
        w.number(p.worst);
        w.state(&p.entry);
        w.number(u64::from(p.exit.is_some()));
        p.exit.iter().for_each(|e| w.state(e));
        w.number(p.places.len() as u64);
        let mut states = writer::Writer::default();
        for (place, s) in &p.places {
            w.place(&Place { state: states.bytes.len() as u32, ..*place });
            states.state(s);
        }
        w.number(p.calls.len() as u64);
        for (slot, callee) in &p.calls {
            w.number(*slot);
            w.number(*callee);
        }
        w.number(states.bytes.len() as u64);
        w.bytes.extend_from_slice(&states.bytes);
    }
    *proof = w.bytes;
}

/// A state as a proof would have it.
pub fn bytes_of(s: &State) -> Vec<u8> {
    let mut w = writer::Writer::default();
    w.state(s);
    w.bytes
}

/// States that functions leave an address of their own frames: in r0, or where r1 led, if that is a caller's frame.
pub fn hand_out(in_r0: bool, parts: &mut [Part]) {
    for part in parts.iter_mut().filter(|p| p.depth > 0) {
        let own = Value::pointer(Kind::Stack, part.depth as u32);
        let Some(exit) = &mut part.exit else { continue };
        let r1 = part.entry.reg(1);
        if in_r0 {
            exit.write(0, own);
        } else if let (Kind::Stack, Some(n)) = (r1.kind, r1.num.constant())
            && let Some(frame) = exit.frames_mut().get_mut(r1.at as usize)
        {
            frame.store((512 + n as i64) as usize & 511, 8, Some(own));
        }
    }
}

/// A number near another one, or a great one.
pub fn near(r: &mut Random, v: u64) -> u64 {
    match r.below(8) {
        0 => v << 1,
        1 => v >> 1,
        2 => 1 << r.pick(&[16, 31, 32, 33, 63]),
        3 => 0,
        n => v.wrapping_add(r.pick(&[1, 2, 4, 8])).wrapping_sub((n & 1) * 9),
    }
}

/// Changes one thing.
pub fn change(r: &mut Random, parts: &mut [Part]) {
    let k = r.below(parts.len() as u64) as usize;
    let part = &mut parts[k];
    match r.below(16) {
        0 if !part.ghosts.is_empty() => {
            let g = r.below(part.ghosts.len() as u64) as usize;
            let g = &mut part.ghosts[g];
            match r.below(5) {
                0 => g.head = g.head.wrapping_add(r.pick(&[1, u32::MAX])),
                1 => g.most = near(r, g.most),
                2 => g.cost = near(r, g.cost),
                3 => (g.most, g.cost) = (1 << 32, 1 << 32),
                _ => (g.most, g.cost) = (near(r, g.most), near(r, g.cost)),
            }
        }
        1 | 2 if !part.lines.is_empty() => {
            let l = r.below(part.lines.len() as u64) as usize;
            let l = &mut part.lines[l];
            match r.below(5) {
                0 => l.low = near(r, l.low as u64) as i64,
                1 => l.high = near(r, l.high as u64) as i64,
                2 => l.curve = near(r, l.curve as u64) as i64 & 0xffff_ffff,
                _ => l.start = number(r, l.start),
            }
        }
        3 => part.worst = near(r, part.worst),
        4 => changed(r, &mut part.entry, part.lines.len()),
        5 if part.exit.is_some() => part.exit.iter_mut().for_each(|s| changed(r, s, part.lines.len())),
        _ if part.places.is_empty() => changed(r, &mut part.entry, part.lines.len()),
        6 => {
            let p = r.below(part.places.len() as u64) as usize;
            part.places[p].0.budget = near(r, part.places[p].0.budget);
        }
        7 | 8 => {
            let p = r.below(part.places.len() as u64) as usize;
            changed(r, &mut part.places[p].1, part.lines.len());
        }
        // The same everywhere: what is said of a loop is said at several places.
        _ => {
            let (seed, lines) = (r.next(), part.lines.len());
            part.places.iter_mut().for_each(|p| changed(&mut Random(seed | 1), &mut p.1, lines));
        }
    }
}

fn number(r: &mut Random, n: Number) -> Number {
    match r.below(7) {
        0 => Number::TOP,
        1 => Number { r64: Ring::TOP, ..n },
        2 => Number { r32: Ring::TOP, ..n },
        3 => Number::of(n.r64.lo.wrapping_add(r.pick(&[0, 1, u64::MAX]))),
        4 => Number::between(
            n.r64.lo.wrapping_sub(r.pick(&[0, 1, 8])),
            n.r64.hi.wrapping_add(r.pick(&[0, 1, 8])),
        ),
        5 => Number::of_width(r.pick(&[8, 16, 32])),
        _ => n.join(Number::of(r.next() >> r.below(64))),
    }
}

fn changed(r: &mut Random, s: &mut State, lines: usize) {
    let reg = r.below(10) as u8;
    match r.below(10) {
        0 if !s.ghosts.is_empty() => {
            let g = r.below(s.ghosts.len() as u64) as usize;
            if r.one_in(4) {
                s.ghosts.remove(g);
            } else {
                s.ghosts[g].1 = near(r, s.ghosts[g].1);
            }
        }
        1 => {
            let (frame, bits) = (r.below(s.frames.len().max(1) as u64) as usize, r.next() & r.next());
            let (written, grow, w) = (r.one_in(2), r.one_in(2), 7 - r.below(8).min(1) as usize);
            if let Some(Frame { written: a, clean: b, .. }) = s.frames_mut().get_mut(frame) {
                let mask = if written { a } else { b };
                if grow { mask[w] |= bits } else { mask[w] &= bits }
            }
        }
        2 => {
            let slot = 255 - r.below(16) as u16;
            let from = *s.reg(reg);
            if let Some(f) = s.frames_mut().last_mut() {
                match f.slots.binary_search_by_key(&slot, |x| x.0) {
                    Ok(k) if r.one_in(2) => drop(f.slots.remove(k)),
                    Ok(k) => f.slots[k].1 = from,
                    Err(k) if from.kind != Kind::Nothing => f.slots.insert(k, (slot, from)),
                    Err(_) => {}
                }
            }
        }
        3 => {
            let other = *s.reg(r.below(10) as u8);
            s.write(reg, other);
        }
        4 => {
            let slots: usize = s.slots();
            if slots > 0 {
                let mut left = r.below(slots as u64);
                let seed = r.next() | 1;
                for (_, v) in s.frames_mut().iter_mut().flat_map(|f| &mut f.slots) {
                    if left == 0 {
                        value(&mut Random(seed), v, lines);
                    }
                    left = left.wrapping_sub(1);
                }
            }
        }
        5 if !s.gaps.is_empty() => {
            let g = r.below(s.gaps.len() as u64) as usize;
            value(r, &mut s.gaps[g].value, lines);
        }
        _ => {
            let mut v = *s.reg(reg);
            value(r, &mut v, lines);
            s.write(reg, v);
        }
    }
}

fn value(r: &mut Random, v: &mut Value, lines: usize) {
    match r.below(12) {
        0 => *v = Value::NOTHING,
        1 => v.null = !v.null,
        2 => v.half = !v.half,
        3 => v.id = r.pick(&[0, v.id, 1, 2, 1 << 20, (1 << 20) + 1, (1 << 20) + 2]),
        4 => v.delta = near(r, v.delta),
        5 => v.of = r.pick(&[0, v.of.wrapping_add(1), v.of.wrapping_sub(1), 1 << 20]),
        6 => v.moved.half = !v.moved.half,
        7 => {
            v.moved.half = true;
            v.num = Number { r64: Ring::TOP, ..v.num };
        }
        8 => v.moved.line = r.below(lines as u64 + 1) as u16,
        9 => {
            v.moved.lo = near(r, v.moved.lo as u64) as i64;
            v.moved.hi = near(r, v.moved.hi as u64) as i64;
        }
        _ => v.num = number(r, v.num),
    }
}
