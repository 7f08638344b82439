//! `run`: r0, the time, and what is in memory afterwards.

use crate::args::{Engine, Origin, Run};
use crate::load::{self, Ready};
use crate::world::{Helpers, World};
use crate::{Failure, Out, child};
use axiom_bpf_interp::Stack;
use std::time::{Duration, Instant};

/// Instructions after which a program that was not verified is stopped.
const BUDGET: u64 = 200_000_000;

/// Runs a program with an engine; returns r0 and the time of all runs.
pub fn execute(
    world: &mut World,
    ready: &Ready,
    engine: Engine,
    runs: u64,
) -> Result<(u64, Duration), Failure> {
    match engine {
        Engine::Jit(machine) => {
            let zero = ready.accepted.as_ref().is_none_or(|a| a.zero_stack);
            child::run(child::Machine::of(machine), world, &ready.insns, zero, runs)
        }
        Engine::Interp => {
            let mut stack = Box::new(Stack::default());
            let start = &raw const *stack as usize;
            world.stack = start..start + size_of::<Stack>();
            let (address, length) = (world.context_address(), world.context_now().len() as u64);
            let mut r0 = 0;
            let started = Instant::now();
            for _ in 0..runs {
                let mut budget = ready.accepted.as_ref().map_or(BUDGET, |a| a.max_insns);
                r0 = axiom_bpf_interp::run(&ready.insns, world, &mut stack, address, length, &mut budget)
                    .map_err(|fault| Failure::Refused(fault.to_string()))?;
            }
            Ok((r0, started.elapsed()))
        }
    }
}

/// Runs a program as the command line says.
pub fn run(out: &mut Out, wanted: &Run) -> Result<(), Failure> {
    let given = wanted.context.as_deref().map(load::file).transpose()?;
    let raw = matches!(wanted.program, Origin::Raw(_));
    let length = given.as_ref().map_or(0, Vec::len);
    let ready = load::ready(&wanted.program, wanted.verify, length)?;
    let context = match (given, ready.context) {
        (Some(bytes), Some(size)) if bytes.len() != size => {
            let text = format!("the context has {} bytes, and programs of this kind get {size}", bytes.len());
            return Err(Failure::Usage(text));
        }
        (Some(bytes), _) => bytes,
        (None, size) => vec![0; size.unwrap_or(0)],
    };
    let helpers = if raw { Helpers::Lookup } else { Helpers::Device };
    let mut world = World::new(&ready, &context, helpers)?;
    let (r0, time) = execute(&mut world, &ready, wanted.engine, wanted.repeat)?;
    let by = match wanted.engine {
        Engine::Interp => "interpreter".into(),
        Engine::Jit(machine) => child::Machine::of(machine).by(),
    };
    out.line(format_args!("{}: r0 = {r0} ({r0:#x})", ready.name));
    let each = time.as_nanos() / u128::from(wanted.repeat);
    let runs = wanted.repeat;
    out.line(format_args!("time: {each} ns per run ({by}; {runs} run{})", if runs == 1 { "" } else { "s" }));
    world.printed.iter().for_each(|line| out.line(format_args!("printed: {line}")));
    out.line(format_args!("memory after: {} bytes of context", context.len()));
    for (n, row) in world.context_now().chunks(16).enumerate() {
        let hex: Vec<String> = row.iter().map(|b| format!("{b:02x}")).collect();
        out.line(format_args!("  {:04x}  {}", n * 16, hex.join(" ")));
    }
    world.describe().iter().for_each(|line| out.line(format_args!("{line}")));
    Ok(())
}
