//! The verifier: proves that a program stays inside its memory and ends.
//!
//! *Nothing that it accepts may read or write outside its memory or run for ever.* It interprets a program over what is
//! known of its values instead of the values: intervals on the ring of 64-bit numbers, known bits, which memory an
//! address belongs to ([`num`], [`state`]). Loops are solved as fixpoints ([`engine`]) and bounded by counters that move
//! one way ([`rank`]), so the cost of the analysis depends on the size of a program, not on how often its loops run.
//!
//! A refusal says Reason, At, Path, Suggestion ([`Refusal`]); an acceptance the worst-case instruction count, the stack
//! and the helpers and maps that the program uses ([`Accepted`]).
//!
//! Sources: Cousot and Cousot 1977 (abstract interpretation), Bourdoncle 1993 (iteration order), Navas et al. 2012
//! (intervals on a ring), RFC 9669 (the instruction set).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod alu;
mod branch;
mod call;
mod cfg;
mod engine;
mod exec;
mod live;
mod memory;
mod merge;
mod num;
#[cfg(test)]
mod num_tests;
mod prove;
mod rank;
mod relevance;
mod report;
mod state;
mod words;
mod writer;

pub use axiom_bpf_checker::{Accepted, Env, Fault, Limits, MEMORY, OwnCall, Why, check};
/// Proofs in objects.
pub mod proof {
    pub use crate::writer::{SECTION, add, find, fingerprint};
}

pub use words::Words;

pub use report::{Memory, Place, Reason, Refusal, Step, Unbounded, Way};

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, LineInfo, Lines, disasm::Disasm, opcode};
use cfg::{Graph, NONE};
use engine::Engine;
use exec::Machine;
use num::Thresholds;
use state::{Kind, Reg, State};

/// A program after relocation: the entry at slot 0, functions behind it.
#[derive(Clone, Copy)]
pub struct Program<'a> {
    /// Instruction slots.
    pub insns: &'a [Insn],
    /// Source lines for reports.
    pub lines: Option<&'a dyn Lines>,
}

/// What one block may add to the memory in use.
const BLOCK_MEMORY: usize = 96 << 10;
/// What the tables of the analysis take for an instruction.
const TABLE_MEMORY: usize = 112;

/// The verifier, with buffers that the next verification uses again.
#[derive(Default)]
pub struct Verifier {
    graph: Graph,
    wide: Vec<u64>,
    narrow: Vec<u64>,
    pool: engine::Pool,
    marks: Vec<u8>,
    needed: Vec<u16>,
}

/// Verifies one program.
pub fn verify(program: &Program, env: &Env) -> Result<Accepted, Box<Refusal>> {
    Verifier::default().verify(program, env)
}

impl Verifier {
    /// A verifier without buffers yet.
    pub fn new() -> Verifier {
        Verifier::default()
    }

    /// Verifies one program: finds a proof, and has it checked.
    pub fn verify(&mut self, program: &Program, env: &Env) -> Result<Accepted, Box<Refusal>> {
        match self.straight(program.insns, env) {
            Some(accepted) => Ok(accepted),
            None => self.search(program, env).map(|(_, accepted)| accepted),
        }
    }

    /// Finds a proof of one program, and has it checked.
    pub fn prove(&mut self, program: &Program, env: &Env) -> Result<(Vec<u8>, Accepted), Box<Refusal>> {
        match self.straight(program.insns, env) {
            Some(accepted) => Ok((core::mem::take(&mut self.marks), accepted)),
            None => self.search(program, env),
        }
    }

    /// Without loops and calls there is nothing to find out but what is not needed: the checker joins what paths bring. What it accepts
    /// is of the proof in `marks`. Stack that nobody wrote may be read as zeros, it says; the analysis knows who forgot to write it.
    fn straight(&mut self, insns: &[Insn], env: &Env) -> Option<Accepted> {
        if !env.limits.room.is_none_or(|room| room(BLOCK_MEMORY + 4 * insns.len())) {
            return None;
        }
        relevance::straight(insns, &mut self.marks, &mut self.needed)?;
        // With what is not needed, and without.
        loop {
            match check(insns, &self.marks, env) {
                Ok(accepted) if !accepted.zero_stack => return Some(accepted),
                _ if self.marks.is_empty() => return None,
                _ => self.marks.clear(),
            }
        }
    }

    /// Finds a proof of a program that has loops or functions of its own, or is wrong.
    fn search(&mut self, program: &Program, env: &Env) -> Result<(Vec<u8>, Accepted), Box<Refusal>> {
        let room = |bytes| env.limits.room.is_none_or(|room| room(bytes));
        if !room(TABLE_MEMORY * program.insns.len() + BLOCK_MEMORY) {
            return Err(refusal(program, 0, Reason::TooComplex, Vec::new(), 0));
        }
        if let Err((at, reason)) = self.graph.build(program.insns) {
            return Err(refusal(program, at, reason, Vec::new(), 0));
        }
        // Without loops there is nothing to find out first: the analysis is only asked why not.
        let plain = self.graph.functions.iter().all(|f| f.order.is_empty());
        if plain
            && let Ok(proved) = prove::prove(program.insns, env, &self.graph, &[])
            && !proved.1.zero_stack
        {
            return Ok(proved);
        }
        self.thresholds(program.insns, env);
        let machine = Machine {
            insns: program.insns,
            env,
            quiet: false,
            fail: None,
            depth: 0,
            notes: Vec::new(),
            notes_from: 0,
            helpers: Vec::new(),
            maps: Vec::new(),
            zero_stack: false,
            used: [0; state::DEPTH],
        };
        let thresholds = Thresholds { wide: &self.wide, narrow: &self.narrow };
        let pool = core::mem::take(&mut self.pool);
        let mut e = Engine::new(machine, &self.graph, thresholds, pool, env.limits.work);
        let mut entry = e.pool.pop().unwrap_or_else(|| Box::new(State::new()));
        entry.reset();
        entry.regs[1] = Reg::pointer(Kind::Ctx, 0);
        let result = e.function(0, entry);
        if let Some((at, reason)) = e.m.fail.take() {
            let (path, omitted) = path(program, &e, at);
            return Err(refusal(program, at as usize, reason, path, omitted));
        }
        let max_insns = match &result {
            Ok((_, n)) => *n,
            Err(_) => u64::MAX,
        };
        let frames = e.m.used;
        self.pool = e.pool;
        if max_insns > env.limits.instructions {
            let reason = Reason::TooExpensive { count: max_insns, limit: env.limits.instructions };
            // Where most passes are; of several the innermost, which comes last.
            let most = e.hints.iter().max_by_key(|h| h.passes);
            return Err(refusal(program, most.map_or(0, |h| h.head as usize), reason, Vec::new(), 0));
        }
        let stack_depth: u32 = frames.iter().map(|low| (low.unsigned_abs() as u32).next_multiple_of(8)).sum();
        if stack_depth > env.limits.stack {
            return Err(refusal(program, 0, Reason::StackTooDeep, Vec::new(), 0));
        }
        let hints = e.hints;
        prove::prove(program.insns, env, &self.graph, &hints)
            .map_err(|f| refusal(program, f.at, Reason::NotProved { why: f.why }, Vec::new(), 0))
    }

    /// Collects the numbers at which widening stops: constants of the program and their neighbours, ends of types, sizes
    /// of memory. Only loops need them.
    fn thresholds(&mut self, insns: &[Insn], env: &Env) {
        self.wide.clear();
        self.narrow.clear();
        if self.graph.functions.iter().all(|f| f.loops.is_empty()) {
            return;
        }
        let mut one = |v: i64| {
            self.wide.push(v as u64);
            self.narrow.push(v as u32 as u64);
        };
        for v in [
            -1,
            0,
            1,
            i32::MAX as i64,
            i32::MIN as i64,
            u32::MAX as i64,
            i64::MAX,
            i64::MIN,
            -512,
            env.ctx.size as i64,
        ] {
            one(v);
        }
        for m in env.maps {
            one(m.value_size as i64 - 1);
            one(m.value_size as i64);
        }
        for i in insns {
            let v = i.imm as i64;
            if cfg::is_conditional(i.op) && i.op & 8 == 0 {
                for n in [v - 1, v, v + 1] {
                    one(n);
                }
                if i.op & 7 == opcode::CLASS_JMP32 && v < 0 {
                    one(v as u32 as i64);
                }
            } else if matches!(i.op, opcode::MOV64K | opcode::MOV32K) {
                // A constant that may become a bound.
                one(v);
                one(v.wrapping_sub(1));
            } else if matches!(i.op, opcode::ADD64K | opcode::ADD32K | opcode::AND64K | opcode::AND32K) {
                one(v);
                one(-v);
            }
        }
        self.wide.sort_unstable();
        self.wide.dedup();
        self.narrow.sort_unstable();
        self.narrow.dedup();
    }
}

/// An instruction as a report shows it.
pub fn place(program: &Program, insn: usize) -> Place {
    let code = match Disasm::at(program.insns, insn) {
        Some(d) => d.to_string(),
        None => "(past the end)".to_string(),
    };
    let source =
        program.lines.and_then(|l| l.line(insn)).map(|l| (l.file.to_string(), l.line, l.text.to_string()));
    Place { insn, code, source }
}

fn refusal(program: &Program, at: usize, reason: Reason, path: Vec<Step>, omitted: usize) -> Box<Refusal> {
    let related = match reason {
        Reason::Leak { reserved_at } | Reason::StillHeld { reserved_at } => {
            Some(place(program, reserved_at as usize))
        }
        _ => None,
    };
    Box::new(Refusal { reason, at: place(program, at), related, path, omitted })
}

/// Steps that a report shows.
const SHOWN: usize = 12;

/// The branches that first led to an instruction, and the calls around them.
fn path(program: &Program, e: &Engine, at: u32) -> (Vec<Step>, usize) {
    let mut steps: Vec<(u32, Way)> = Vec::new();
    let mut at = at;
    let chain = e.fail_chain.clone().unwrap_or_default();
    let mut calls = chain.iter().rev();
    loop {
        let mut b = e.graph.blocks.partition_point(|b| b.start <= at) as u32;
        b = b.saturating_sub(1);
        let mut guard = 0;
        loop {
            let function = e.graph.functions.iter().any(|f| f.first == b);
            let (from, way) = e.came[b as usize];
            guard += 1;
            if function || from == NONE || guard > e.graph.blocks.len() {
                break;
            }
            let end = e.graph.blocks[from as usize].end;
            if cfg::is_conditional(program.insns[end as usize].op) {
                steps.push((end, way));
            }
            b = from;
        }
        match calls.next() {
            Some(call) => {
                steps.push((*call, Way::Called));
                at = *call;
            }
            None => break,
        }
    }
    steps.reverse();
    let omitted = steps.len().saturating_sub(SHOWN);
    let shown = steps[omitted..].iter().map(|&(at, taken)| {
        let (at, here) = (place(program, at as usize), at as usize);
        let to = match taken {
            Way::Taken => cfg::target(here, program.insns[here]) as usize,
            Way::NotTaken | Way::Called => here + 1,
        };
        // What follows without a jump is where it leads, too: the first of another line is looked for.
        let straight = program.insns[to..].iter().position(|i| cfg::is_jump(i.op) || i.op == opcode::EXIT);
        let mut lines = (to..=to + straight.unwrap_or(0)).map_while(|n| program.lines?.line(n));
        let elsewhere =
            |l: &LineInfo<'_>| at.source.as_ref().is_none_or(|s| (&*s.0, s.1) != (l.file, l.line));
        let line = lines.find(elsewhere).filter(|l| at.source.as_ref().is_some_and(|s| s.0 == l.file));
        Step { to: (to, line.map(|l| l.line)), at, taken }
    });
    (shown.collect(), omitted)
}
