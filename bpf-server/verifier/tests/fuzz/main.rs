//! Random programs of dangerous kinds, and what is accepted of them run beside its proof, by an interpreter that checks
//! everything. So are changed proofs that are accepted all the same. `AXIOM_FUZZ_MINUTES` runs longer, `AXIOM_FUZZ_FIRST` from another seed, `AXIOM_FUZZ_KIND` one kind alone.
#[path = "../common/mod.rs"]
mod common;
mod concrete;
mod follow;
mod generate;

use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::{Env, Limits};
use axiom_bpf_isa::{Insn, MapDef, MapType, disasm::Disasm};
use axiom_bpf_verifier::{Program, Verifier};
use generate::{KINDS, Random};
use std::time::{Duration, Instant};

const MAPS: [MapDef; 2] = [common::map(MapType::Array, 4, 64, 4), common::map(MapType::RingBuf, 0, 0, 4096)];

fn env(kind: usize) -> Env<'static> {
    // Short runs: what is wrong shows in few passes. Only counts that wrap must be able to grow.
    let instructions = if KINDS[kind] == "wraps" { 1_000_000 } else { 4_000 };
    let limits = Limits { instructions, work: 100_000, ..Limits::default() };
    Env { maps: &MAPS, limits, ..common::env() }
}

fn listing(code: &[Insn]) -> String {
    let line = |i| Disasm::at(code, i).map_or(String::new(), |d| format!("{i:4}: {d}\n"));
    (0..code.len()).map(line).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|v| v.parse().ok())
}

/// Runs a program some times with what it is given; what is wrong, if anything.
fn tried(code: &[Insn], kind: usize, verifier: &mut Verifier, seed: u64) -> Result<bool, String> {
    let env = env(kind);
    let program = Program { insns: code, lines: None };
    let Ok((proof, _)) = verifier.prove(&program, &env) else { return Ok(false) };
    let Some((accepted, contexts)) = follow::accepted(code, &proof, &env) else {
        return Err("a proof that was accepted is refused".into());
    };
    let mut r = Random(seed | 1);
    for round in 0..3 {
        let ctx: Vec<u8> = (0..32).map(|_| r.next() as u8 & [0xff, 0x07, 0xff][round]).collect();
        follow::run(code, &env, &contexts, &accepted, &ctx, r.next())?;
    }
    // Nor does it matter what of a program without loops is called unneeded.
    for all in [0xff, r.next()] {
        let mut unneeded = [&MAGIC[..], &[0]].concat();
        unneeded.resize(unneeded.len() + code.len().div_ceil(8), all as u8);
        if let Some((accepted, contexts)) = follow::accepted(code, &unneeded, &env) {
            let ctx: Vec<u8> = (0..32).map(|_| r.next() as u8).collect();
            follow::run(code, &env, &contexts, &accepted, &ctx, r.next())
                .map_err(|e| format!("with {all:#x} unneeded: {e}"))?;
        }
    }
    // What is accepted with a changed proof must do what that one states.
    for _ in 0..4 {
        if proof.is_empty() {
            break;
        }
        let mut changed = proof.clone();
        for _ in 0..1 + r.below(2) {
            let at = r.below(changed.len() as u64) as usize;
            changed[at] = match r.below(4) {
                0 => changed[at] ^ 1 << r.below(8),
                1 => changed[at].wrapping_sub(1 + r.below(4) as u8),
                2 => changed[at].wrapping_add(1 + r.below(4) as u8),
                _ => 0,
            };
        }
        if changed != proof
            && let Some((accepted, contexts)) = follow::accepted(code, &changed, &env)
        {
            let ctx: Vec<u8> = (0..32).map(|_| r.next() as u8).collect();
            follow::run(code, &env, &contexts, &accepted, &ctx, r.next())
                .map_err(|e| format!("with a changed proof: {e}"))?;
        }
    }
    Ok(true)
}

#[test]
fn accepted_programs_do_what_their_proofs_state() {
    let minutes = number("AXIOM_FUZZ_MINUTES");
    let first = number("AXIOM_FUZZ_FIRST").unwrap_or(1);
    let only = std::env::var("AXIOM_FUZZ_KIND").ok().and_then(|k| KINDS.iter().position(|n| *n == k));
    let end = Instant::now() + Duration::from_secs(60 * minutes.unwrap_or(0));
    let mut verifier = Verifier::new();
    let mut counts = [(0u64, 0u64); KINDS.len()];
    let mut seed = first;
    while match minutes {
        Some(_) => Instant::now() < end,
        None => seed < first + 12_000,
    } {
        let kind = only.unwrap_or(seed as usize % KINDS.len());
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        r.next();
        let code = generate::program(&mut r, kind);
        counts[kind].0 += 1;
        match tried(&code, kind, &mut verifier, seed) {
            Ok(accepted) => counts[kind].1 += u64::from(accepted),
            Err(e) => panic!("seed {seed}, kind {}: {e}\n{}", KINDS[kind], listing(&code)),
        }
        seed += 1;
    }
    let accepted: u64 = counts.iter().map(|c| c.1).sum();
    let tried: u64 = counts.iter().map(|c| c.0).sum();
    for (name, (tried, accepted)) in KINDS.iter().zip(counts) {
        println!("{name}: {accepted} of {tried} accepted");
    }
    println!("{accepted} of {tried} accepted, seeds {first} to {}", seed - 1);
    assert!(accepted * 20 > tried, "only {accepted} of {tried} were accepted: the test tests little");
}
