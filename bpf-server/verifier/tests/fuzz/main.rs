//! Random programs of dangerous kinds, and what is accepted of them run beside its proof, by an interpreter that checks
//! everything.
//!
//! For a program that the generator makes, the analysis finds a proof. From there a walk goes from one accepted pair of
//! program and proof to the next: an instruction is changed, or a byte of the proof, and whatever the checker accepts all the same is
//! another accepted program, which must do what that proof states. Nobody meant these proofs for these programs, so they
//! lean on the checker alone; and they cost no analysis.
//!
//! By themselves these tests try the same few thousand programs each time; `just search-programs`, which is a part of `just test-host`,
//! goes on for two minutes from another seed at each commit. `AXIOM_FUZZ_MINUTES` runs longer, `AXIOM_FUZZ_PROGRAMS` tries as many programs,
//! `AXIOM_FUZZ_FIRST` from another seed, `AXIOM_FUZZ_KIND` one kind alone. What is found wrong is
//! told as a line for `corpus.txt`, whose pairs are tried first, always.
extern crate alloc;
#[path = "../common/mod.rs"]
mod common;
mod concrete;
mod follow;
mod forge;
mod generate;
mod proofs;
mod verdicts;

use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::{Env, Limits};
use axiom_bpf_isa::{Insn, MapDef, MapType, disasm::Disasm, insn::decode_all};
use axiom_bpf_verifier::{Program, Verifier};
use follow::{Follower, Known};
use generate::{CALLS, HELPERS, KINDS, Random, WRAPS, change, hand_out};
use std::time::{Duration, Instant};
use verdicts::Digest;

const MAPS: [MapDef; 3] = [
    common::map(MapType::Array, 4, 64, 4),
    common::map(MapType::RingBuf, 0, 0, 4096),
    common::map(MapType::Queue, 0, 8, 4),
];
/// Programs that are tried by themselves: the same ones each time.
const PROGRAMS: u64 = 3_000;
/// Programs that are tried at least, whatever the time: a slow machine searches longer, and does not fail for having tried little.
const LEAST: u64 = 600;
/// Pairs that are tried from each accepted program on.
const NEIGHBOURS: u64 = 128;

fn env(kind: usize) -> Env<'static> {
    // Short runs: what is wrong shows in few passes. Only counts that wrap must be able to grow.
    let instructions = if kind == WRAPS { 1_000_000 } else { 4_000 };
    let limits = Limits { instructions, work: 20_000, ..Limits::default() };
    Env { maps: &MAPS, helpers: Some(&HELPERS), limits, ..common::env() }
}

/// Steps after which a run is not followed further.
fn longest(kind: usize) -> u64 {
    if kind == WRAPS { 500 } else { 4_000 }
}

fn listing(code: &[Insn]) -> String {
    let line = |i| Disasm::at(code, i).map_or(String::new(), |d| format!("{i:4}: {d}\n"));
    (0..code.len()).map(line).collect()
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: a whole number is wanted")))
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".into() } else { bytes.iter().map(|b| format!("{b:02x}")).collect() }
}

/// What the test goes on with, from one program to the next.
struct Fuzz {
    verifier: Verifier,
    known: Known,
    follower: Follower<'static>,
    counts: [Count; KINDS.len()],
    /// Of all verdicts, and what is known where ways meet, if somebody wants to know.
    digest: Option<Digest>,
}

/// Programs of a kind, and what became of them.
#[derive(Clone, Copy, Default)]
struct Count {
    made: u64,
    proved: u64,
    changed: u64,
    held: u64,
}

impl Fuzz {
    fn new() -> Fuzz {
        Fuzz {
            verifier: Verifier::new(),
            known: Known::default(),
            follower: Follower::new(&env(0)),
            counts: Default::default(),
            digest: None,
        }
    }

    /// Has a pair checked, and if it is accepted runs it: each run is given numbers of its own.
    fn pair(
        &mut self,
        code: &[Insn],
        proof: &[u8],
        kind: usize,
        seed: u64,
        runs: u64,
    ) -> Result<bool, String> {
        let env = env(kind);
        let verdict = self.known.accepted(code, proof, &env);
        if let Some(digest) = &mut self.digest {
            digest.add(format!("{verdict:?}").as_bytes());
        }
        let Ok(accepted) = verdict else { return Ok(false) };
        if let Some(digest) = &mut self.digest {
            self.known.places().for_each(|(at, s)| digest.state(*at, s));
        }
        let mut r = Random(seed | 1);
        for run in 0..runs {
            let mut ctx = [0; 32];
            for eight in ctx.chunks_exact_mut(8) {
                // Numbers whose halves are small, great, or of either sign: comparisons must fall both ways.
                let (n, small) = (r.next(), r.below(12).wrapping_sub(4));
                let n = match (run + seed + r.below(3)) % 6 {
                    0 => n,
                    1 => n & 0x0707_0707_0707_0707,
                    2 => n << 32 | small & 0xffff_ffff,
                    3 => small,
                    4 => small << 32 | n >> 32,
                    _ => small & 0xffff_ffff,
                };
                eight.copy_from_slice(&n.to_le_bytes());
            }
            let what = (&self.known, &accepted);
            self.follower.run((code, &env), what, &ctx, r.next(), longest(kind)).map_err(|e| {
                let bytes: Vec<u8> = code.iter().flat_map(|i| i.to_bytes()).collect();
                format!("{e}\n{}corpus: {} {} {}", listing(code), KINDS[kind], hex(&bytes), hex(proof))
            })?;
        }
        Ok(true)
    }

    /// A program of the generator's, and those around it.
    fn seed(&mut self, kind: usize, seed: u64) -> Result<(), String> {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        r.next();
        let mut code = generate::program(&mut r, kind);
        self.counts[kind].made += 1;
        let Ok((mut proof, _)) = self.verifier.prove(&Program { insns: &code, lines: None }, &env(kind))
        else {
            return Ok(());
        };
        if !self.pair(&code, &proof, kind, r.next(), 3)? {
            return Err(format!("a proof that was accepted is refused\n{}", listing(&code)));
        }
        self.counts[kind].proved += 1;
        say_something(&mut r, &code, &mut proof);
        let (mut other, mut other_proof) = (code.clone(), proof.clone());
        for _ in 0..NEIGHBOURS {
            other.clone_from(&code);
            other_proof.clone_from(&proof);
            neighbour(&mut r, (&code, &proof), (&mut other, &mut other_proof), kind);
            self.counts[kind].changed += 1;
            if self.pair(&other, &other_proof, kind, r.next(), 2)? {
                self.counts[kind].held += 1;
                if r.one_in(2) {
                    std::mem::swap(&mut code, &mut other);
                    std::mem::swap(&mut proof, &mut other_proof);
                }
            }
        }
        Ok(())
    }
}

/// It does not matter what of a program without loops is called unneeded.
fn say_something(r: &mut Random, code: &[Insn], proof: &mut Vec<u8>) {
    if proof.is_empty() {
        proof.extend_from_slice(&MAGIC);
        proof.push(0);
        proof.resize(proof.len() + code.len().div_ceil(8), if r.one_in(2) { 0xff } else { r.next() as u8 });
    }
}

/// Makes another pair of what is the same pair yet.
fn neighbour(
    r: &mut Random,
    (code, proof): (&[Insn], &[u8]),
    (other, other_proof): (&mut [Insn], &mut Vec<u8>),
    kind: usize,
) {
    if kind == CALLS
        && r.one_in(8)
        && let Some(in_r0) = hand_out(other)
        && let Ok(mut parts) = proofs::read(other_proof)
    {
        proofs::hand_out(in_r0, &mut parts);
        return proofs::write(&parts, other_proof);
    }
    match r.below(8) {
        0 => change_bytes(r, other_proof),
        1 | 2 => change_proof(r, other_proof),
        _ => {}
    }
    while other == code && *other_proof == proof || r.one_in(3) {
        change(r, other, kind);
    }
}

/// Changes what a proof says, if it says something.
fn change_proof(r: &mut Random, proof: &mut Vec<u8>) {
    match proofs::read(proof) {
        Ok(mut parts) if !parts.is_empty() => {
            while !r.one_in(3) {
                proofs::change(r, &mut parts);
            }
            proofs::write(&parts, proof);
        }
        _ => change_bytes(r, proof),
    }
}

/// Changes bytes of a proof.
fn change_bytes(r: &mut Random, proof: &mut [u8]) {
    for _ in 0..1 + r.below(2) {
        let at = r.below(proof.len() as u64) as usize;
        proof[at] = match r.below(4) {
            0 => proof[at] ^ 1 << r.below(8),
            1 => proof[at].wrapping_sub(1 + r.below(4) as u8),
            2 => proof[at].wrapping_add(1 + r.below(4) as u8),
            _ => 0,
        };
    }
}

#[test]
fn accepted_programs_do_what_their_proofs_state() {
    let minutes = number("AXIOM_FUZZ_MINUTES");
    let first = number("AXIOM_FUZZ_FIRST").unwrap_or(1);
    let programs = number("AXIOM_FUZZ_PROGRAMS").unwrap_or(PROGRAMS);
    let only = std::env::var("AXIOM_FUZZ_KIND").ok().and_then(|k| KINDS.iter().position(|n| *n == k));
    let began = Instant::now();
    let end = began + Duration::from_secs(60 * minutes.unwrap_or(0));
    let mut told = began;
    let mut fuzz = Fuzz::new();
    let mut seed = first;
    while match minutes {
        Some(_) => Instant::now() < end || seed < first + LEAST,
        None => seed < first + programs,
    } {
        let kind = only.unwrap_or(seed as usize % KINDS.len());
        if let Err(e) = fuzz.seed(kind, seed) {
            panic!("after {:?}, seed {seed}, kind {}: {e}", began.elapsed(), KINDS[kind]);
        }
        seed += 1;
        if told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            let accepted: u64 = fuzz.counts.iter().map(|c| c.proved + c.held).sum();
            println!("{accepted} accepted so far, seeds {first} to {}", seed - 1);
        }
    }
    let mut all = Count::default();
    for (name, c) in KINDS.iter().zip(fuzz.counts) {
        println!(
            "{name}: {} of {} programs accepted, {} of {} around them",
            c.proved, c.made, c.held, c.changed
        );
        all.made += c.made;
        all.proved += c.proved;
        all.changed += c.changed;
        all.held += c.held;
    }
    let accepted = all.proved + all.held;
    println!(
        "{accepted} accepted ({} of {} programs, {} of {} around them), {} steps, seeds {first} to {}",
        all.proved,
        all.made,
        all.held,
        all.changed,
        fuzz.follower.steps,
        seed - 1
    );
    assert!(all.proved * 20 > all.made, "only {} were accepted: the test tests little", all.proved);
    assert!(all.held * 8 > all.changed, "only {} around them were accepted: the test tests little", all.held);
    assert!(fuzz.follower.steps > 40 * accepted, "runs of {} steps in all are short", fuzz.follower.steps);
}

/// Pairs that a checker with one of its former faults accepted: each is refused, or does what its proof states.
#[test]
fn what_was_once_wrongly_accepted() {
    let mut fuzz = Fuzz::new();
    let bytes = |hex: &str| -> Vec<u8> {
        let digit = |k: usize| hex.get(k..k + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
        (0..hex.len() / 2).map(|k| digit(2 * k).expect("two hexadecimal digits")).collect()
    };
    let mut lines = 0;
    for line in include_str!("corpus.txt").lines().filter(|l| !l.starts_with('#')) {
        let words: Vec<&str> = line.split(' ').collect();
        let [fault, kind, code, proof] = words[..] else { panic!("not four words: {line}") };
        let kind = KINDS.iter().position(|k| *k == kind).expect("a kind");
        let code = decode_all(&bytes(code)).expect("whole instructions");
        let proof = if proof == "-" { Vec::new() } else { bytes(proof) };
        for seed in 0..50 {
            fuzz.pair(&code, &proof, kind, seed, 4).unwrap_or_else(|e| panic!("{fault}: {e}"));
        }
        lines += 1;
    }
    assert!(lines > 0, "no corpus");
}
