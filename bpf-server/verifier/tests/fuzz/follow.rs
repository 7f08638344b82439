//! Runs an accepted program beside its proof: at every step, each register and stack slot is compared with what the proof
//! states there, or what the checker's rules make of it since.
use crate::concrete::{Byte, Did, Run, V, What};
use axiom_bpf_checker::proof::{Form, Ghost, Line, MAGIC, Place, Reader};
use axiom_bpf_checker::state::{Kind, State, Value, extent};
use axiom_bpf_checker::{Accepted, Env, Machine, come_back, enter, observe};
use axiom_bpf_isa::Insn;

pub struct Context {
    pub ghosts: Vec<Ghost>,
    pub lines: Vec<Line>,
    pub entry: State,
    pub exit: Option<State>,
    pub places: Vec<(u32, State)>,
    pub calls: Vec<(u64, u64)>,
}

/// Has a proof checked, and reads it if it is accepted; places where the checker joins itself are its contexts', too.
pub fn accepted(code: &[Insn], proof: &[u8], env: &Env) -> Option<(Accepted, Vec<Context>)> {
    let mut places: Vec<Vec<(u32, State)>> = Vec::new();
    let accepted = observe(code, proof, env, |context, at, s| {
        places.resize_with(places.len().max(context + 1), Vec::new);
        places[context].push((at as u32, s.clone()));
    });
    let accepted = accepted.ok()?;
    let mut all = Vec::new();
    if !proof.is_empty() {
        let mut r = Reader::new(proof, 0);
        assert_eq!(r.take(MAGIC.len()).expect("magic"), MAGIC);
        for _ in 0..r.number().expect("contexts") {
            all.push(context(&mut r).expect("a context"));
        }
    }
    if all.is_empty() {
        let mut entry = State::new(0);
        entry.write(1, Value::pointer(Kind::Ctx, 0));
        entry.budget = env.limits.instructions;
        let (ghosts, lines, calls) = (Vec::new(), Vec::new(), Vec::new());
        all.push(Context { ghosts, lines, entry, exit: None, places: Vec::new(), calls });
    }
    for (c, places) in all.iter_mut().zip(places) {
        c.places = places;
    }
    Some((accepted, all))
}

fn context(r: &mut Reader) -> Result<Context, axiom_bpf_checker::Why> {
    let state = |r: &mut Reader| {
        let mut s = State::new(0);
        r.state(&mut s).map(|()| s)
    };
    r.number()?;
    r.number()?;
    let ghosts = (0..r.number()?).map(|_| r.ghost()).collect::<Result<_, _>>()?;
    let lines = (0..r.number()?).map(|_| r.line()).collect::<Result<_, _>>()?;
    let worst = r.number()?;
    let mut entry = state(r)?;
    entry.budget = worst;
    let exit = if r.number()? == 1 { Some(state(r)?) } else { None };
    let n = r.number()? as usize;
    r.take(n * Place::SIZE)?;
    let calls = (0..r.number()?).map(|_| Ok((r.number()?, r.number()?))).collect::<Result<_, _>>()?;
    let length = r.number()? as usize;
    r.take(length)?;
    Ok(Context { ghosts, lines, entry, exit, places: Vec::new(), calls })
}

/// Runs are not followed further.
const LONGEST: u64 = 10_000;

struct Level {
    context: usize,
    state: State,
    ghosts: Vec<(u16, u64)>,
    shared: bool,
    began: u64,
}

/// A run to its end.
pub fn run(
    code: &[Insn],
    env: &Env,
    proof: &[Context],
    accepted: &Accepted,
    ctx: &[u8],
    seed: u64,
) -> Result<u64, String> {
    let mut run = Run::new(code, env.maps, ctx, accepted.zero_stack, seed);
    let mut m = Machine::new(code, env);
    // Names in what the checker knew must not be given again.
    m.fresh = 1 << 30;
    let main = proof.len() - 1;
    m.lines.clone_from(&proof[main].lines);
    let level = |k: usize, began| Level {
        context: k,
        state: proof[k].entry.clone(),
        ghosts: Vec::new(),
        shared: false,
        began,
    };
    let mut levels = vec![level(main, 0)];
    loop {
        let depth = levels.len() - 1;
        let top = &mut levels[depth];
        let c = &proof[top.context];
        let at = run.pc;
        if let Ok(k) = c.places.binary_search_by_key(&(at as u32), |p| p.0) {
            let stated = &c.places[k].1;
            let count = |g: u16| {
                let ghost = c.ghosts[g as usize];
                let now = top.ghosts.iter().find(|x| x.0 == g);
                (g, now.map_or(0, |n| n.1 + u64::from(ghost.head as usize == at)))
            };
            top.ghosts = stated.ghosts.iter().map(|g| count(g.0)).collect();
            top.state.clone_from(stated);
            for ((g, is), (_, most)) in top.ghosts.iter().zip(&stated.ghosts) {
                if is > most {
                    return Err(format!("at {at}: ghost counter {g} is {is}, stated up to {most}"));
                }
            }
            let rest: u64 = top
                .ghosts
                .iter()
                .map(|(g, is)| (c.ghosts[*g as usize].most - is) * c.ghosts[*g as usize].cost)
                .sum();
            if run.steps - top.began + rest + stated.budget > c.entry.budget {
                return Err(format!("at {at}: the budget is used up"));
            }
        }
        holds(&top.state, &run, c, &top.ghosts).map_err(|e| format!("at {at}: {e}"))?;
        let i = code[at];
        let did = run.step().map_err(|e| format!("at {at}: {e}"))?;
        if run.steps == LONGEST {
            return Ok(run.steps);
        }
        if run.steps > accepted.max_insns {
            return Err(format!("at {at}: more than {} instructions", accepted.max_insns));
        }
        let wrong = |w| format!("at {at}: the checker's rules refuse: {w:?}");
        match did {
            Did::Next => m.step(at, i, &mut top.state).map_err(wrong)?,
            Did::Branch(taken) => {
                if !m.branch(i, &mut top.state, taken).map_err(wrong)? {
                    return Err(format!("at {at}: a branch goes where it was thought never to go ({taken})"));
                }
            }
            Did::Jump => {}
            Did::Call => {
                let call = c.calls.iter().find(|x| x.0 == at as u64).ok_or(format!("at {at}: no context"))?;
                let mut inside = top.state.clone();
                top.shared = enter(&mut inside);
                let next = level(call.1 as usize, run.steps);
                m.lines.clone_from(&proof[next.context].lines);
                levels.push(next);
            }
            Did::Return => {
                let exit = c.exit.clone();
                let mut exit = exit.ok_or(format!("at {at}: a function returns that was thought not to"))?;
                levels.pop();
                let top = &mut levels[depth - 1];
                m.lines.clone_from(&proof[top.context].lines);
                come_back(&mut m, &mut top.state, &mut exit, top.shared).map_err(wrong)?;
            }
            Did::End => {
                let used: u64 = run.lowest.iter().map(|n| n.next_multiple_of(8)).sum();
                if used > accepted.stack_depth as u64 {
                    return Err(format!("{used} bytes of stack, {} were stated", accepted.stack_depth));
                }
                return Ok(run.steps);
            }
        }
    }
}

/// What equals what: a name, and the number or the object and offset that it stands for.
type Names = Vec<(u32, Option<usize>, u64, bool)>;

fn holds(s: &State, run: &Run, c: &Context, ghosts: &[(u16, u64)]) -> Result<(), String> {
    let (mut names, mut elements) = (Names::new(), Vec::new());
    if s.frames.len() != run.frames.len() {
        return Err("frames are missing".into());
    }
    for (r, v) in s.regs.iter().enumerate().take(10) {
        let err = |e: String| format!("r{r}: {e}; {v:?} is said of {:?}", run.r[r]);
        value(v, run.r[r], run, c, ghosts, &mut names, &mut elements).map_err(err)?;
    }
    for (d, f) in s.frames.iter().enumerate() {
        let bytes = &run.objects[run.frames[d]].bytes;
        for (k, b) in bytes.iter().enumerate() {
            let is = |m: &[u64; 8]| m[k / 64] >> (k % 64) & 1 == 1;
            if is(&f.written) && *b == Byte::Undef && is(&f.clean) {
                return Err(format!("byte {k} of frame {d} is not written"));
            }
            if is(&f.clean) && matches!(b, Byte::Part(_)) {
                return Err(format!("byte {k} of frame {d} is part of an address"));
            }
        }
        for (slot, v) in &f.slots {
            let (at, len) = extent(*slot);
            let o = &run.objects[run.frames[d]];
            let is = match bytes[at] {
                Byte::Part(first) if first as usize == at && len == 8 => {
                    o.stored.iter().find(|s| s.0 == first).map_or(V::Undef, |s| s.1)
                }
                _ => bytes[at..at + len].iter().rev().fold(V::Num(0), |n, b| match (n, b) {
                    (V::Num(n), Byte::Val(b)) => V::Num(n << 8 | *b as u64),
                    _ => V::Undef,
                }),
            };
            let err = |e: String| format!("frame {d}, byte {at}: {e}; {v:?} is said of {is:?}");
            value(v, is, run, c, ghosts, &mut names, &mut elements).map_err(err)?;
        }
    }
    for g in &s.gaps {
        let apart = match (run.r[g.of as usize], run.r[g.from as usize]) {
            (V::Num(a), V::Num(b)) => a.wrapping_sub(b),
            (V::Ptr { object: p, offset: a }, V::Ptr { object: q, offset: b }) if p == q => a.wrapping_sub(b),
            other => return Err(format!("a difference of {other:?}")),
        };
        let err = |e: String| format!("r{} - r{}: {e}; {:?} is said of {apart}", g.of, g.from, g.value);
        value(&g.value, V::Num(apart), run, c, ghosts, &mut names, &mut elements).map_err(err)?;
    }
    let held = |site: u32| run.objects.iter().any(|o| o.what == What::Record(site, true));
    let stated = s.held.iter().filter(|h| **h != 0);
    if !stated.clone().all(|h| held(h - 1))
        || run.objects.iter().filter(|o| matches!(o.what, What::Record(_, true))).count() != stated.count()
    {
        return Err("other records are held".into());
    }
    Ok(())
}

fn value(
    v: &Value,
    is: V,
    run: &Run,
    c: &Context,
    ghosts: &[(u16, u64)],
    names: &mut Names,
    elements: &mut Vec<(u32, usize)>,
) -> Result<(), String> {
    let wrong = |e: &str| Err(e.to_string());
    if v.kind == Kind::Nothing {
        return Ok(());
    }
    let (object, n) = match is {
        V::Undef => return wrong("never written"),
        V::Num(n) if v.kind == Kind::Number => (None, n),
        V::Num(0) if v.null => return Ok(()),
        V::Num(_) => return wrong("a number"),
        V::Map(k) if v.kind == Kind::Map && v.at == k => (None, 0),
        V::Map(_) => return wrong("a map"),
        V::Ptr { object, offset } => {
            let o = &run.objects[object];
            let fits = match (v.kind, o.what) {
                (Kind::Ctx, What::Ctx) => true,
                (Kind::Stack, What::Frame(d)) => v.at as usize == d && run.frames.get(d) == Some(&object),
                (Kind::Value, What::Element(m, k)) => v.at == m && (v.of != 0 || k == 0),
                (Kind::Record, What::Record(site, held)) => {
                    v.at == site && held && v.of as usize == o.bytes.len()
                }
                _ => false,
            };
            if !fits {
                return Err(format!("an address in {:?}", o.what));
            }
            if v.kind == Kind::Value && v.of != 0 {
                match elements.iter().find(|e| e.0 == v.of) {
                    Some(e) if e.1 != object => return wrong("another element"),
                    Some(_) => {}
                    None => elements.push((v.of, object)),
                }
            }
            (Some(object), if v.kind == Kind::Stack { offset.wrapping_sub(512) } else { offset })
        }
    };
    if !v.num.contains(n) {
        return wrong("another number");
    }
    if v.id != 0 {
        let base = n.wrapping_sub(v.delta);
        for (id, of, number, half) in names.iter() {
            let differs = if *half || v.half { *number as u32 != base as u32 } else { *number != base };
            if *id == v.id && (*of != object || differs) {
                return wrong("not equal to what it is said to equal");
            }
        }
        names.push((v.id, object, base, v.half));
    }
    if let Some(l) = (v.moved.line as usize).checked_sub(1).and_then(|k| c.lines.get(k)) {
        let Some((_, i)) = ghosts.iter().find(|g| g.0 == l.ghost) else { return wrong("moves in no loop") };
        let i = *i as i128;
        let lo = l.low as i128 * i + v.moved.lo as i128;
        let hi = l.high as i128 * i
            + l.curve as i128 * (i * (i - 1) / 2)
            + v.moved.rise as i128 * i
            + v.moved.hi as i128;
        let cut = |n: u64| if v.moved.half { n as u32 as u64 } else { n };
        let fits = match l.form {
            Form::Length => {
                let bits = 64 - cut(n).leading_zeros() as i128;
                lo <= bits && bits <= hi.max(0)
            }
            Form::Sum if hi - lo >= 1 << 62 => true,
            Form::Sum => {
                let start = |d: i128| n.wrapping_sub(d as u64);
                // Some start in what is stated, and some move in what is stated, make this number.
                if v.moved.half {
                    let span = (l.start.r32.span() as i128) + (hi - lo);
                    span > u32::MAX as i128
                        || (start(hi).wrapping_sub(l.start.r32.hi.wrapping_sub(l.start.r32.span())) as u32
                            as i128
                            + (hi - lo))
                            .rem_euclid(1 << 32)
                            <= span
                } else {
                    let span = (l.start.r64.span() as i128) + (hi - lo);
                    span > u64::MAX as i128
                        || (start(hi).wrapping_sub(l.start.r64.lo) as i128 + (hi - lo)).rem_euclid(1 << 64)
                            <= span
                }
            }
        };
        if !fits {
            return Err(format!("does not move along {l:?} with i = {i}"));
        }
    }
    Ok(())
}
