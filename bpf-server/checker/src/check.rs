//! The walk over a program, context by context, instruction by instruction.

use crate::ahead::{Ahead, NOWHERE};
use crate::edge::{Edges, Loops};
use crate::fault::{Fault, Why};
use crate::proof::{Ghost, MAGIC, MAX_CONTEXTS, MAX_GHOSTS, MAX_LINES, Place, Reader};
use crate::shape::{self, MORE, NAMES, SOURCES};
use crate::state::{DEPTH, Frame, Kind, State, Value};
use crate::step::{Machine, forget, on_numbers};
use crate::{Accepted, Env, MEMORY};
use alloc::boxed::Box;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, opcode::*};

/// What is remembered of a context that was checked.
struct Context {
    start: u32,
    depth: u32,
    /// Where its states at entry and exit are in the proof.
    entry: usize,
    exit: Option<usize>,
    /// Instructions in the worst case.
    worst: u64,
    used: [u16; DEPTH],
}

/// The parts of a context in the proof.
#[derive(Default)]
struct Header<'a> {
    /// A bit for each slot of the program: nobody needs to know what arithmetic there results in, or a comparison tells.
    unneeded: &'a [u8],
    worst: u64,
    entry: usize,
    exit: Option<usize>,
    table: usize,
    places: usize,
    states: usize,
    end: usize,
}

impl Header<'_> {
    /// From a slot on, at least so many are unneeded.
    #[inline]
    fn run(&self, at: usize) -> usize {
        let bytes = self.unneeded.get(at / 8..).unwrap_or(&[]);
        let word = match bytes.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => bytes.first().map_or(0, |byte| *byte as u64),
        };
        (word >> (at % 8)).trailing_ones() as usize
    }
}

struct Checker<'a, F> {
    m: Machine<'a>,
    proof: &'a [u8],
    edges: Edges,
    ghosts: Vec<Ghost>,
    contexts: Vec<Context>,
    /// What is known at the instruction at hand.
    now: Box<State>,
    /// The state of the proof that was read last, and at which byte it is; 0: it is none.
    there: State,
    cached: usize,
    ahead: Ahead,
    work: u64,
    /// Calls of the context that were not met yet: how many, and where they are in the proof.
    calls: (u64, usize),
    /// The least that was left of the budget where a function of the context's ended.
    left: Option<u64>,
    at: usize,
    /// Is told what is known at each place where ways meet: the context's number, the slot, the state.
    observe: F,
}

/// Checks a proof; only what this returns may be loaded. Of a program that neither loops nor calls functions of its own, a proof
/// states nothing: there is nothing that the checker does not see itself. Such a proof may be no bytes at all.
pub fn check(insns: &[Insn], proof: &[u8], env: &Env) -> Result<Accepted, Fault> {
    observe(insns, proof, env, |_, _, _| {})
}

/// [`check`], for tests: `f` is told what is known wherever ways meet, by the context's number and the slot.
pub fn observe(
    insns: &[Insn],
    proof: &[u8],
    env: &Env,
    f: impl FnMut(usize, usize, &State),
) -> Result<Accepted, Fault> {
    let starts = shape::functions(insns)?;
    let now = Box::new(State::new(0));
    let mut c = Checker {
        m: Machine::new(insns, env),
        proof,
        edges: Edges::default(),
        ghosts: Vec::new(),
        contexts: Vec::new(),
        there: State::of(now.frames.clone()),
        now,
        cached: 0,
        ahead: Ahead::default(),
        work: 0,
        calls: (0, 0),
        left: None,
        at: 0,
        observe: f,
    };
    let result = c.program(&starts);
    let at = c.at;
    result.map_err(|why| Fault { at, why })
}

/// Of a comparison that may jump: its bit in the sets of [`NEEDLESS`].
const COMPARISON: u64 = 2 * MORE;

/// What need not hold a number of what an instruction names, by opcode, in sets like those of [`NAMES`]: an immediate's place for a
/// register. [`MORE`] is in those of arithmetic, to which nothing else matters.
static NEEDLESS: [u64; 256] = {
    let mut sets = [0; 256];
    let mut n = 0;
    while n < 256 {
        let op = n as u8;
        if op & REGISTER == 0 {
            sets[n] |= SOURCES;
        }
        if matches!(op & CLASS, CLASS_ALU | CLASS_ALU64) {
            sets[n] |= MORE;
        }
        if shape::is_conditional(op) {
            sets[n] |= COMPARISON;
        }
        n += 1;
    }
    sets
};

/// Of what an instruction names, what is not among registers that hold some number; and [`MORE`], unless it is arithmetic.
#[inline]
fn other(i: &Insn, any: u16) -> u64 {
    let any = any as u64;
    NAMES[i.regs as usize] & !(any | any << 16 | NEEDLESS[i.op as usize])
}

/// How many instructions, from the first one on, are arithmetic of registers that hold some number.
#[inline(never)]
fn plain(insns: &[Insn], any: u16) -> usize {
    insns.iter().position(|i| other(i, any) != 0).unwrap_or(insns.len())
}

impl<F: FnMut(usize, usize, &State)> Checker<'_, F> {
    fn program(&mut self, starts: &[u32]) -> Result<Accepted, Why> {
        let limits = &self.m.env.limits;
        // What holds before the first instruction, whatever the proof states.
        self.now.write(1, Value::pointer(Kind::Ctx, 0));
        let mut r = Reader::new(self.proof, 0);
        if !self.proof.is_empty() && r.take(MAGIC.len())? != MAGIC {
            return Err(Why::Version);
        }
        let contexts = if self.proof.is_empty() { 0 } else { r.up_to(MAX_CONTEXTS)? };
        let (worst, used) = if contexts == 0 {
            let none = Header { unneeded: r.rest(), worst: limits.instructions, ..Header::default() };
            if !none.unneeded.is_empty() && none.unneeded.len() != self.m.insns.len().div_ceil(8) {
                return Err(Why::Format);
            }
            self.now.budget = none.worst;
            let end = starts.first().map_or(self.m.insns.len(), |s| *s as usize);
            (self.walk(&none, 0, 0, end)?, self.m.used)
        } else {
            let main = self.contexts(&mut r, contexts, starts)?;
            let (worst, entry, used) = (main.worst, main.entry, main.used);
            self.at = 0;
            let mut before = State::new(0);
            before.write(1, Value::pointer(Kind::Ctx, 0));
            self.decode(entry, 0)?;
            self.edges.check(Loops::NONE, &mut before, 0, &self.there)?;
            (worst, used)
        };
        if worst > limits.instructions {
            return Err(Why::TooExpensive { count: worst });
        }
        let stack_depth = used.iter().map(|n| (*n as u32).next_multiple_of(8)).sum();
        if stack_depth > limits.stack {
            return Err(Why::StackTooDeep);
        }
        Ok(Accepted { max_insns: worst, stack_depth, ..core::mem::take(&mut self.m.found) })
    }

    /// Checks the contexts of the proof, and returns the last one: the entry's.
    fn contexts(&mut self, r: &mut Reader, contexts: u64, starts: &[u32]) -> Result<&Context, Why> {
        let bytes = MEMORY + contexts as usize * size_of::<Context>();
        let there = self.m.env.limits.room.is_none_or(|room| room(bytes));
        if !there || self.contexts.try_reserve_exact(contexts as usize).is_err() {
            return Err(Why::TooComplex);
        }
        for _ in 0..contexts {
            self.context(r, starts)?;
        }
        let main = self.contexts.last().ok_or(Why::Format)?;
        if (main.start, main.depth) != (0, 0) || r.at != self.proof.len() {
            return Err(Why::Format);
        }
        Ok(main)
    }

    /// Puts the state at a byte of the proof, with its budget, into `there`.
    fn decode(&mut self, at: usize, budget: u64) -> Result<(), Why> {
        // The place to which a jump leads is often the next one.
        if self.cached != at {
            let mut r = Reader::new(self.proof, at);
            self.cached = 0;
            r.state(&mut self.there)?;
            self.cached = at;
            self.pay(1 + (r.at - at) as u64 / 16)?;
        }
        self.there.budget = budget;
        Ok(())
    }

    /// Pays for the check itself.
    fn pay(&mut self, work: u64) -> Result<(), Why> {
        self.work = self.work.saturating_add(work);
        if self.work > self.m.env.limits.work { Err(Why::TooComplex) } else { Ok(()) }
    }

    /// Reads the parts of a context; what is known at its entry goes into `now`.
    fn header(&mut self, r: &mut Reader) -> Result<Header<'static>, Why> {
        self.cached = 0;
        self.ghosts.clear();
        self.m.lines.clear();
        for _ in 0..r.up_to(MAX_GHOSTS)? {
            self.ghosts.push(r.ghost()?);
        }
        for _ in 0..r.up_to(MAX_LINES)? {
            self.m.lines.push(r.line()?);
        }
        let worst = r.number()?;
        let entry = r.at;
        r.state(&mut self.now)?;
        self.pay(1 + (r.at - entry) as u64 / 16)?;
        let mut exit = None;
        if r.up_to(1)? == 1 {
            exit = Some(r.at);
            r.state(&mut self.there)?;
        }
        let places = r.up_to(shape::MAX_SLOTS as u64)? as usize;
        let table = r.at;
        r.take(places * Place::SIZE)?;
        let number_of_calls = r.up_to(shape::MAX_SLOTS as u64)?;
        self.calls = (number_of_calls, r.at);
        for _ in 0..number_of_calls {
            r.number()?;
            r.number()?;
        }
        let length = r.up_to(u32::MAX as u64)? as usize;
        let states = r.at;
        r.take(length)?;
        Ok(Header { unneeded: &[], worst, entry, exit, table, places, states, end: r.at })
    }

    /// What the proof states at a slot, if it states something. The same answer whenever it is asked.
    fn stated(&self, h: &Header, slot: u32) -> Option<Place> {
        let (mut low, mut high) = (0, h.places);
        while low < high {
            let middle = low + (high - low) / 2;
            match Place::get(self.proof, h.table, middle) {
                Some(p) if p.slot == slot => return Some(p),
                Some(p) if p.slot < slot => low = middle + 1,
                _ => high = middle,
            }
        }
        None
    }

    fn context(&mut self, r: &mut Reader, starts: &[u32]) -> Result<(), Why> {
        let start = r.up_to(u32::MAX as u64)? as u32;
        let depth = r.up_to(DEPTH as u64 - 1)? as u32;
        self.at = start as usize;
        let next = match start {
            0 => 0,
            _ => starts.binary_search(&start).map_err(|_| Why::WrongContext)? + 1,
        };
        let end = starts.get(next).map_or(self.m.insns.len(), |s| *s as usize);
        let h = self.header(r)?;
        self.m.used = [0; DEPTH];
        self.m.given = self.now.held;
        self.now.budget = h.worst;
        if self.now.frames.len() != depth as usize + 1 || !self.now.ghosts.is_empty() || lines(&mut self.now)
        {
            return Err(Why::Format);
        }
        let worst = self.walk(&h, depth, start as usize, end)?;
        r.at = h.end;
        self.contexts.push(Context { start, depth, entry: h.entry, exit: h.exit, worst, used: self.m.used });
        Ok(())
    }

    /// Goes through a function's instructions, from what is known in `now`; the most of them that a call executes.
    fn walk(&mut self, h: &Header, depth: u32, start: usize, end: usize) -> Result<u64, Why> {
        self.pay((end - start) as u64)?;
        self.left = None;
        let mut live = true;
        let (mut met, mut at) = (0, start);
        let place = |met| Place::get(self.proof, h.table, met).filter(|_| met < h.places);
        let mut next = place(0);
        let mut slot = next.map_or(NOWHERE, |p| p.slot);
        let mut stop = slot;
        while at < end {
            self.at = at;
            // Ways meet here.
            if at as u32 == stop {
                match next.filter(|p| p.slot as usize == at) {
                    Some(_) if slot == self.ahead.next() => return Err(Why::Format),
                    Some(p) => {
                        self.begin(h, p, live)?;
                        met += 1;
                        next = place(met);
                        slot = next.map_or(NOWHERE, |p| p.slot);
                    }
                    None => self.ahead.arrive(&mut self.now, live)?,
                }
                live = true;
                if self.now.frames.len() != depth as usize + 1 {
                    return Err(Why::Format);
                }
                stop = slot.min(self.ahead.next());
                (self.observe)(self.contexts.len(), at, &self.now);
            }
            if live {
                let from = at;
                at = self.quiet(h, at, end.min(stop as usize))?;
                if at > from {
                    continue;
                }
            }
            let i = self.m.insns[at];
            if live {
                self.spend(1)?;
                self.ahead.settle(at, &self.now)?;
                live = h.run(at) > 0 && forget(i, &mut self.now) || self.instruction(h, at, i)?;
                stop = slot.min(self.ahead.next());
            }
            at += shape::width(i);
        }
        if live || met != h.places || self.ahead.next() != NOWHERE {
            return Err(if live { Why::FallsOff } else { Why::Format });
        }
        // What is left wherever the function ends is never used.
        h.worst.checked_sub(self.left.unwrap_or(0)).ok_or(Why::Budget)
    }

    /// Goes from `at` to the first instruction that may change what is known, but for the budget. Others are arithmetic of which
    /// nothing is needed, which makes some number of some numbers; and comparisons of numbers that bear on nothing: both ways
    /// out start with what is known.
    #[inline]
    fn quiet(&mut self, h: &Header, at: usize, end: usize) -> Result<usize, Why> {
        let run = h.run(at);
        if run == 0 || !self.now.gaps.is_empty() {
            return Ok(at);
        }
        let run = self.m.insns.get(at..end.min(at + run)).unwrap_or(&[]);
        let (any, budget) = (self.now.regs.any(), self.now.budget);
        let mut done = 0;
        loop {
            done += plain(&run[done..], any);
            let Some(i) = run.get(done) else { break };
            let here = at + done;
            let to = shape::target(here, *i) as u32;
            if NEEDLESS[i.op as usize] & COMPARISON == 0
                || to as usize <= here
                || h.places > 0
                || other(i, any) != MORE && !on_numbers(*i, &self.now)
            {
                break;
            }
            done += 1;
            self.ahead.share(here, to, budget.checked_sub(done as u64).ok_or(Why::Budget)?)?;
        }
        self.spend(done as u64)?;
        Ok(at + done)
    }

    /// From a stated place on, what is stated there is what is known; `live`: the walk comes there, too.
    fn begin(&mut self, h: &Header, p: Place, live: bool) -> Result<(), Why> {
        self.ahead.settle(p.slot as usize, &self.now)?;
        self.decode(h.states + p.state as usize, p.budget)?;
        let mut came = core::mem::replace(&mut self.now, Box::new(self.there.clone()));
        if live { self.edge(h, p, &mut came) } else { Ok(()) }
    }

    #[inline]
    fn spend(&mut self, instructions: u64) -> Result<(), Why> {
        self.now.budget = self.now.budget.checked_sub(instructions).ok_or(Why::Budget)?;
        Ok(())
    }

    /// Checks an edge to a place.
    fn edge(&mut self, h: &Header, p: Place, from: &mut State) -> Result<(), Why> {
        self.decode(h.states + p.state as usize, p.budget)?;
        let loops = Loops { ghosts: &self.ghosts, lines: &self.m.lines };
        self.edges.check(loops, from, p.slot, &self.there)?;
        let (ghosts, known, names) = (from.ghosts.len(), 10 + from.slots(), self.edges.names());
        self.pay((ghosts * known + names * names / 2) as u64 / 16)
    }

    /// A jump with what is known now; the walk goes on with `behind`.
    fn jump(&mut self, h: &Header, at: usize, to: u32, behind: Box<State>) -> Result<(), Why> {
        let mut from = core::mem::replace(&mut self.now, behind);
        match self.stated(h, to) {
            Some(p) => self.edge(h, p, &mut from),
            None if to as usize <= at => Err(Why::NothingStated),
            None => self.ahead.send(to, from),
        }
    }

    /// One instruction; false if execution does not go on after it.
    #[inline]
    fn instruction(&mut self, h: &Header, at: usize, i: Insn) -> Result<bool, Why> {
        if !matches!(i.op & 7, CLASS_JMP | CLASS_JMP32) {
            self.m.step(at, i, &mut self.now)?;
            return Ok(true);
        }
        if shape::is_local_call(i) {
            return self.call(at, i);
        }
        if i.op == EXIT {
            self.leave(h)?;
            return Ok(false);
        }
        if !shape::is_jump(i.op) {
            self.m.step(at, i, &mut self.now)?;
            return Ok(true);
        }
        let to = shape::target(at, i) as u32;
        if !shape::is_conditional(i.op) {
            self.jump(h, at, to, Box::new(State::default()))?;
            return Ok(false);
        }
        let behind = self.now.clone();
        if self.m.branch(i, &mut self.now, true)? {
            self.jump(h, at, to, behind)?;
        } else {
            self.now = behind;
        }
        self.m.branch(i, &mut self.now, false)
    }

    /// The end of a function.
    fn leave(&mut self, h: &Header) -> Result<(), Why> {
        let budget = self.now.budget;
        self.left = Some(self.left.map_or(budget, |left| left.min(budget)));
        if self.now.frames.len() == 1 {
            self.now.number(0)?;
            return if self.now.held.iter().any(|h| *h != 0) { Err(Why::StillHeld) } else { Ok(()) };
        }
        leave(&mut self.now)?;
        self.decode(h.exit.ok_or(Why::WrongContext)?, 0)?;
        if !self.there.ghosts.is_empty() || lines(&mut self.there) {
            return Err(Why::Format);
        }
        let loops = Loops { ghosts: &self.ghosts, lines: &self.m.lines };
        self.edges.check(loops, &mut self.now, u32::MAX, &self.there)
    }

    /// A call of a function: what is known implies what its context wants, and becomes what its context leaves.
    fn call(&mut self, at: usize, i: Insn) -> Result<bool, Why> {
        let to = (at as i64 + 1 + i.imm as i64) as u32;
        let (left, mut r) = (self.calls.0.checked_sub(1), Reader::new(self.proof, self.calls.1));
        let left = left.ok_or(Why::WrongContext)?;
        let (slot, named) = (r.number()?, r.number()?);
        self.calls = (left, r.at);
        if slot != at as u64 {
            return Err(Why::WrongContext);
        }
        let c = usize::try_from(named).ok().and_then(|n| self.contexts.get(n)).ok_or(Why::WrongContext)?;
        let depth = self.now.frames.len();
        if (c.start, c.depth as usize) != (to, depth) {
            return Err(Why::WrongContext);
        }
        let (entry, exit, worst) = (c.entry, c.exit, c.worst);
        for (mine, its) in self.m.used.iter_mut().zip(c.used) {
            *mine = (*mine).max(its);
        }
        self.spend(worst)?;
        let mut inside = self.now.clone();
        let shared = enter(&mut inside);
        self.decode(entry, 0)?;
        self.edges.check(Loops::NONE, &mut inside, to, &self.there)?;
        let Some(exit) = exit else { return Ok(false) };
        self.decode(exit, 0)?;
        self.cached = 0;
        if self.there.frames.len() != depth {
            return Err(Why::WrongContext);
        }
        come_back(&mut self.m, &mut self.now, &mut self.there, shared)?;
        Ok(true)
    }
}

/// From a caller's state at a call to its function's at the entry. Tells whether they share frames: a function that is
/// given no address of a frame, and finds none in any, leaves all as they are.
pub fn enter(s: &mut State) -> bool {
    let frame = |v: &Value| v.kind == Kind::Stack;
    let shared = s.regs.iter().take(6).skip(1).any(frame)
        || s.frames.iter().flat_map(|f| &f.slots).any(|s| frame(&s.1));
    s.regs.lose(0..1);
    s.regs.lose(6..10);
    s.ghosts.clear();
    s.gaps.clear();
    s.budget = 0;
    if !shared {
        s.frames_mut().fill(Frame::UNKNOWN);
    }
    s.each(|v| *v = v.alone());
    s.nest(s.frames.len() + 1);
    shared
}

/// From a caller's state at a call, and its function's at the end, to the one after the call.
pub fn come_back(m: &mut Machine, s: &mut State, exit: &mut State, shared: bool) -> Result<(), Why> {
    // What a function leaves speaks of elements of maps by names of its own: they get names that are new here.
    let mut known: Vec<(u32, u32)> = Vec::new();
    let mut wrong = Ok(());
    exit.each(|v| {
        *v = v.alone();
        if v.kind == Kind::Value && v.of != 0 {
            let of = v.of;
            v.of = match known.iter().find(|k| k.0 == of) {
                Some(k) => k.1,
                None => {
                    let fresh = m.name().unwrap_or_else(|why| {
                        wrong = Err(why);
                        0
                    });
                    known.push((of, fresh));
                    fresh
                }
            };
        }
    });
    wrong?;
    s.regs.lose(0..6);
    s.gaps.retain(|g| g.of > 5 && g.from > 5);
    s.regs.write(0, *exit.reg(0));
    // A record given to this function that is held again is another one.
    if exit.held.iter().any(|h| *h != 0 && m.given.contains(h) && !s.held.contains(h)) {
        return Err(Why::StillHeld);
    }
    s.held = exit.held;
    if shared {
        s.frames.clone_from(&exit.frames);
    }
    // A record that the function gave back is gone for its caller, too.
    s.kill_records();
    Ok(())
}

/// From a function's state at an exit to what it leaves: r0, and the frames of its callers.
pub fn leave(s: &mut State) -> Result<(), Why> {
    s.regs.lose(1..10);
    s.gaps.clear();
    let (depth, mut outlives) = (s.frames.len() - 1, false);
    s.nest(depth);
    s.each(|v| outlives |= v.kind == Kind::Stack && v.at as usize >= depth);
    if outlives { Err(Why::Outlives) } else { Ok(()) }
}

/// Something in it moves along a line.
fn lines(s: &mut State) -> bool {
    let mut any = false;
    s.each(|v| any |= v.moved.line != 0);
    any
}
