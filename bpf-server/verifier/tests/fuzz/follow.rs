//! Runs an accepted program beside its proof: at every step, each register and stack slot is compared with what the proof
//! states there, or what the checker's rules make of it since.
use crate::concrete::{Did, Run, V, What};
use crate::proofs::{self, Part};
use axiom_bpf_checker::proof::{Form, Ghost, Line};
use axiom_bpf_checker::state::{Kind, State, Value, extent};
use axiom_bpf_checker::{Accepted, Env, Fault, Machine, come_back, enter, observe};
use axiom_bpf_isa::Insn;

struct Context {
    ghosts: Vec<Ghost>,
    lines: Vec<Line>,
    entry: State,
    exit: Option<State>,
    /// Where the proof states something: only there do ghost counters grow.
    stated: Vec<u32>,
    /// Where ways meet, and what is known there.
    places: Vec<(u32, State)>,
    calls: Vec<(u64, u64)>,
}

impl Context {
    fn of(part: Part) -> Context {
        let Part { ghosts, lines, worst, mut entry, exit, calls, .. } = part;
        entry.budget = worst;
        let stated = part.places.iter().map(|p| p.0.slot).collect();
        Context { ghosts, lines, entry, exit, stated, places: Vec::new(), calls }
    }

    fn new(entry: State) -> Context {
        let (ghosts, lines, stated) = (Vec::new(), Vec::new(), Vec::new());
        Context { ghosts, lines, entry, exit: None, stated, places: Vec::new(), calls: Vec::new() }
    }
}

/// A proof, as it is read once, and what the checker found wherever ways meet when it last checked it.
#[derive(Default)]
pub struct Known {
    proof: Vec<u8>,
    contexts: Vec<Context>,
    /// How many contexts the proof has.
    count: usize,
    spare: Vec<State>,
}

impl Known {
    /// Has a proof checked, and reads it if it is accepted; places where the checker joins itself are its contexts', too.
    pub fn accepted(&mut self, code: &[Insn], proof: &[u8], env: &Env) -> Result<Accepted, Fault> {
        self.contexts.truncate(self.count);
        for c in &mut self.contexts {
            self.spare.extend(c.places.drain(..).map(|p| p.1));
        }
        let (contexts, spare) = (&mut self.contexts, &mut self.spare);
        let accepted = observe(code, proof, env, |context, at, s| {
            contexts.resize_with(contexts.len().max(context + 1), || Context::new(State::new(0)));
            let mut state = spare.pop().unwrap_or_else(|| State::new(0));
            state.clone_from(s);
            contexts[context].places.push((at as u32, state));
        })?;
        if self.count == 0 || proof != self.proof {
            self.proof.clear();
            self.proof.extend_from_slice(proof);
            let mut contexts = read(proof, env.limits.instructions);
            for (new, old) in contexts.iter_mut().zip(&mut self.contexts) {
                new.places.append(&mut old.places);
            }
            self.contexts = contexts;
            self.count = self.contexts.len();
        }
        Ok(accepted)
    }

    /// All places where ways meet, and what is known there.
    pub fn places(&self) -> impl Iterator<Item = &(u32, State)> {
        self.contexts.iter().flat_map(|c| &c.places)
    }
}

fn read(proof: &[u8], instructions: u64) -> Vec<Context> {
    let parts = proofs::read(proof).expect("a proof that was accepted");
    let mut all: Vec<Context> = parts.into_iter().map(Context::of).collect();
    if all.is_empty() {
        let mut entry = State::new(0);
        entry.write(1, Value::pointer(Kind::Ctx, 0));
        entry.budget = instructions;
        all.push(Context::new(entry));
    }
    all
}

struct Level {
    context: usize,
    state: State,
    ghosts: Vec<(u16, u64)>,
    /// What the ghost counters were at the place before.
    before: Vec<(u16, u64)>,
    shared: bool,
    began: u64,
}

impl Level {
    fn new() -> Level {
        Level {
            context: 0,
            state: State::new(0),
            ghosts: Vec::new(),
            before: Vec::new(),
            shared: false,
            began: 0,
        }
    }

    fn begin(&mut self, context: usize, known: &Known, began: u64) {
        (self.context, self.shared, self.began) = (context, false, began);
        self.state.clone_from(&known.contexts[context].entry);
        self.ghosts.clear();
    }
}

/// What was known when a run came to an instruction.
pub struct Seen {
    pub context: usize,
    pub at: u32,
    pub state: State,
}

/// Follows runs; its buffers serve the next one.
pub struct Follower<'a> {
    /// What was known at each instruction that runs came to, once for each context; `None`: nobody wants to know.
    pub seen: Option<Vec<Seen>>,
    marks: Vec<bool>,

    run: Run<'a>,
    levels: Vec<Level>,
    names: Vec<Name>,
    elements: Vec<(u32, u32)>,
    /// Steps of all runs.
    pub steps: u64,
}

impl<'a> Follower<'a> {
    pub fn new(env: &Env<'a>) -> Follower<'a> {
        let run = Run::new(env.maps);
        let (names, elements) = (Vec::new(), Vec::new());
        Follower { seen: None, marks: Vec::new(), run, levels: Vec::new(), names, elements, steps: 0 }
    }

    /// From now on, what is known at each instruction is kept, and what was kept is gone.
    pub fn look(&mut self) {
        self.seen.get_or_insert_default().clear();
        self.marks.clear();
    }

    /// A run to its end, or of `longest` steps.
    pub fn run(
        &mut self,
        (code, env): (&[Insn], &Env),
        (known, accepted): (&Known, &Accepted),
        ctx: &[u8],
        seed: u64,
        longest: u64,
    ) -> Result<(), String> {
        self.run.begin(ctx, accepted.zero_stack, seed);
        let end = self.follow(code, env, known, accepted, longest);
        self.steps += self.run.steps;
        end
    }

    fn follow(
        &mut self,
        code: &[Insn],
        env: &Env,
        known: &Known,
        accepted: &Accepted,
        longest: u64,
    ) -> Result<(), String> {
        let mut m = Machine::new(code, env);
        // Names in what the checker knew must not be given again.
        m.fresh = 1 << 30;
        let main = known.contexts.len() - 1;
        m.lines.clone_from(&known.contexts[main].lines);
        let (mut depth, run) = (0, &mut self.run);
        if self.levels.is_empty() {
            self.levels.push(Level::new());
        }
        self.levels[0].begin(main, known, 0);
        loop {
            let top = &mut self.levels[depth];
            let c = &known.contexts[top.context];
            let at = run.pc;
            if let Ok(k) = c.places.binary_search_by_key(&(at as u32), |p| p.0) {
                arrive(top, c, at, &c.places[k].1, run.steps)?;
            }
            if let Some(seen) = &mut self.seen {
                let mark = top.context * code.len() + at;
                if self.marks.len() <= mark {
                    self.marks.resize(mark + 1, false);
                }
                if !core::mem::replace(&mut self.marks[mark], true) {
                    seen.push(Seen { context: top.context, at: at as u32, state: top.state.clone() });
                }
                top.state.budget = top.state.budget.saturating_sub(1);
            }
            let scratch = (&mut self.names, &mut self.elements);
            holds(&top.state, run, c, &top.ghosts, scratch).map_err(|e| format!("at {at}: {e}"))?;
            if run.met {
                return Ok(());
            }
            let did = run.step(code).map_err(|e| format!("at {at}: {e}"))?;
            let i = code[at];
            if run.steps == longest {
                return Ok(());
            }
            if run.steps > accepted.max_insns {
                return Err(format!("at {at}: more than {} instructions", accepted.max_insns));
            }
            let wrong = |w| format!("at {at}: the checker's rules refuse: {w:?}");
            match did {
                Did::Next => m.step(at, i, &mut top.state).map_err(wrong)?,
                Did::Branch(taken) => {
                    if !m.branch(i, &mut top.state, taken).map_err(wrong)? {
                        return Err(format!(
                            "at {at}: a branch goes where it was thought never to go ({taken})"
                        ));
                    }
                }
                Did::Jump => {}
                Did::Call => {
                    let call = c.calls.iter().find(|x| x.0 == at as u64);
                    let context = call.ok_or_else(|| format!("at {at}: no context"))?.1 as usize;
                    top.shared = enter(&mut top.state.clone());
                    top.state.budget = top.state.budget.saturating_sub(known.contexts[context].entry.budget);
                    m.lines.clone_from(&known.contexts[context].lines);
                    depth += 1;
                    if depth == self.levels.len() {
                        self.levels.push(Level::new());
                    }
                    self.levels[depth].begin(context, known, run.steps);
                }
                Did::Return => {
                    let exit = c.exit.clone();
                    let mut exit =
                        exit.ok_or_else(|| format!("at {at}: a function returns that was thought not to"))?;
                    depth -= 1;
                    let top = &mut self.levels[depth];
                    m.lines.clone_from(&known.contexts[top.context].lines);
                    come_back(&mut m, &mut top.state, &mut exit, top.shared).map_err(wrong)?;
                }
                Did::End => {
                    let used: u64 = run.lowest.iter().map(|n| n.next_multiple_of(8)).sum();
                    if used > accepted.stack_depth as u64 {
                        return Err(format!("{used} bytes of stack, {} were stated", accepted.stack_depth));
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// A run comes to a stated place: ghost counters and budget hold, and what is stated is known from now on.
fn arrive(top: &mut Level, c: &Context, at: usize, stated: &State, steps: u64) -> Result<(), String> {
    core::mem::swap(&mut top.ghosts, &mut top.before);
    top.ghosts.clear();
    let grows = |head: u32| head as usize == at && c.stated.contains(&head);
    let count = |g: u16| {
        let now = top.before.iter().find(|x| x.0 == g);
        (g, now.map_or(0, |n| n.1 + u64::from(grows(c.ghosts[g as usize].head))))
    };
    top.ghosts.extend(stated.ghosts.iter().map(|g| count(g.0)));
    top.state.clone_from(stated);
    let mut rest = 0u128;
    for ((g, is), (_, most)) in top.ghosts.iter().zip(&stated.ghosts) {
        let ghost = &c.ghosts[*g as usize];
        if is > most || is > &ghost.most {
            return Err(format!("at {at}: ghost counter {g} is {is}, stated up to {most}"));
        }
        rest += (ghost.most - is) as u128 * ghost.cost as u128;
    }
    if (steps - top.began) as u128 + stated.budget as u128 + rest > c.entry.budget as u128 {
        return Err(format!("at {at}: the budget is used up"));
    }
    Ok(())
}

/// What equals what: a name, and the number or the object and offset that it stands for.
type Name = (u32, Option<u32>, u64, bool);

fn holds(
    s: &State,
    run: &Run,
    c: &Context,
    ghosts: &[(u16, u64)],
    (names, elements): (&mut Vec<Name>, &mut Vec<(u32, u32)>),
) -> Result<(), String> {
    names.clear();
    elements.clear();
    if s.frames.len() != run.frames.len() {
        return Err("frames are missing".into());
    }
    for r in 0..10 {
        let is = run.r[r as usize];
        if s.regs.any() >> r & 1 == 1 {
            if !matches!(is, V::Num(_)) && run.met_as(is).is_none() {
                return Err(format!("r{r}: some number is said of {is:?}"));
            }
            continue;
        }
        let v = s.regs.get(r);
        value(v, is, run, c, ghosts, names, elements)
            .map_err(|e| format!("r{r}: {e}; {v:?} is said of {is:?}"))?;
    }
    for (d, f) in s.frames.iter().enumerate() {
        let o = &run.objects[run.frames[d] as usize];
        for w in 0..8 {
            let (not_written, torn) = (f.written[w] & f.clean[w] & o.undefined[w], f.clean[w] & o.part[w]);
            if not_written | torn != 0 {
                let k = 64 * w as u32 + (not_written | torn).trailing_zeros();
                let what = if torn == 0 { "not written" } else { "part of an address" };
                return Err(format!("byte {k} of frame {d} is {what}"));
            }
        }
        for (slot, v) in &f.slots {
            let (at, len) = extent(*slot);
            let is = o.holds(at, len);
            value(v, is, run, c, ghosts, names, elements)
                .map_err(|e| format!("frame {d}, byte {at}: {e}; {v:?} is said of {is:?}"))?;
        }
    }
    for g in &s.gaps {
        let apart = match (run.r[g.of as usize], run.r[g.from as usize]) {
            (V::Num(a), V::Num(b)) => a.wrapping_sub(b),
            (V::Ptr { object: p, offset: a }, V::Ptr { object: q, offset: b }) if p == q => a.wrapping_sub(b),
            (a, b) if run.met => run.address(a)?.wrapping_sub(run.address(b)?),
            other => return Err(format!("a difference of {other:?}")),
        };
        let err = |e: String| format!("r{} - r{}: {e}; {:?} is said of {apart}", g.of, g.from, g.value);
        value(&g.value, V::Num(apart), run, c, ghosts, names, elements).map_err(err)?;
    }
    // Held is also what was asked for in vain, until the program has looked.
    let known = run.objects.iter().all(|o| match o.what {
        What::Record(site, true) => s.held.contains(&(site + 1)),
        _ => true,
    });
    let there = |site: u32| {
        run.objects.iter().any(|o| o.what == What::Record(site, true)) || run.no_room.contains(&site)
    };
    if !known || !s.held.iter().all(|h| *h == 0 || there(h - 1)) {
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
    names: &mut Vec<Name>,
    elements: &mut Vec<(u32, u32)>,
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
        _ if v.kind == Kind::Number && run.met_as(is).is_some_and(|n| v.num.contains(n)) => return Ok(()),
        V::Map(k) if v.kind == Kind::Map && v.at == k => (None, 0),
        V::Map(_) => return wrong("a map"),
        V::Ptr { object, offset } => {
            let o = &run.objects[object as usize];
            let fits = match (v.kind, o.what) {
                (Kind::Ctx, What::Ctx) => true,
                (Kind::Stack, What::Frame(d)) => v.at as usize == d && run.frames.get(d) == Some(&object),
                (Kind::Value, What::Element(m, k)) => v.at == m && (v.of != 0 || k == 0),
                (Kind::Record, What::Record(site, held)) => v.at == site && held && v.of as usize == o.size,
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
        // Where ways meet of which one knows the loop, nobody can say how often it went round, and it says nothing.
        let Some((_, i)) = ghosts.iter().find(|g| g.0 == l.ghost) else { return Ok(()) };
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
