//! What the checker says of some ten thousand pairs of program and proof, and what the analysis says of the programs, written down by kind in
//! `verdicts.txt`: each refusal with its place and reason, and all that is told of what is accepted. Of forged proofs, also
//! what is known wherever ways meet, and at each instruction that runs come to.
//!
//! The file does not say what is right. It shows that a change made something different; if that was meant, `AXIOM_ACCEPT_VERDICTS=1`
//! writes the file again. A kind has tests of its own, so that who tries many changes finds what differs soon.
use crate::generate::{self, KINDS, Random};
use crate::{Fuzz, env, neighbour, proofs, say_something};
use axiom_bpf_checker::state::State;
use axiom_bpf_checker::{Env, Limits, check};
use axiom_bpf_isa::Insn;
use axiom_bpf_verifier::{Program, Verifier};
use std::sync::{Mutex, PoisonError};

const PROGRAMS: u64 = 150;
const NEIGHBOURS: u64 = 40;
/// Programs of a kind from which proofs are forged, and how many of each.
const FORGED: u64 = 12;
const TRIES: u64 = 500;

/// FNV-1a.
pub struct Digest(u64);

impl Digest {
    const NEW: Digest = Digest(0xcbf2_9ce4_8422_2325);

    pub fn add(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// What is known at an instruction.
    pub fn state(&mut self, at: u32, s: &State) {
        self.add(&at.to_le_bytes());
        self.add(&s.budget.to_le_bytes());
        self.add(&proofs::bytes_of(s));
    }
}

/// With how little work a pair is checked: what each part of a proof costs is counted.
fn least_work(code: &[Insn], proof: &[u8], env: &Env) -> u64 {
    let (mut low, mut high) = (0, env.limits.work);
    while low < high {
        let work = low + (high - low) / 2;
        let limits = Limits { work, ..env.limits };
        if check(code, proof, &Env { limits, ..*env }).is_ok() { high = work } else { low = work + 1 }
    }
    low
}

fn of_a_kind(kind: usize) -> String {
    let mut verifier = Verifier::new();
    let mut digest = Digest::NEW;
    let (mut proved, mut held) = (0, 0);
    for seed in 0..PROGRAMS {
        let mut r = Random((seed * 13 + kind as u64 + 77).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        r.next();
        let mut code = generate::program(&mut r, kind);
        let env = env(kind);
        let found = verifier.prove(&Program { insns: &code, lines: None }, &env);
        let (mut proof, accepted) = match found {
            Ok(found) => found,
            Err(refusal) => {
                digest.add(refusal.to_string().as_bytes());
                continue;
            }
        };
        proved += 1;
        digest.add(format!("{accepted:?}").as_bytes());
        digest.add(&proof);
        digest.add(&least_work(&code, &proof, &env).to_le_bytes());
        say_something(&mut r, &code, &mut proof);
        for _ in 0..NEIGHBOURS {
            let (mut other, mut other_proof) = (code.clone(), proof.clone());
            neighbour(&mut r, (&code, &proof), (&mut other, &mut other_proof), kind);
            let verdict = check(&other, &other_proof, &env);
            digest.add(format!("{verdict:?}").as_bytes());
            if verdict.is_ok() {
                held += 1;
                if r.one_in(2) {
                    (code, proof) = (other, other_proof);
                }
            }
        }
    }
    let all = proved * NEIGHBOURS;
    format!("{proved} of {PROGRAMS} programs, {held} of {all} around them, {:016x}", digest.0)
}

/// What is said of forged proofs: walks that only the checker's own verdicts lead.
fn forged(kind: usize) -> String {
    let mut fuzz = Fuzz::new();
    fuzz.digest = Some(Digest::NEW);
    for seed in (kind as u64 + 1) << 20.. {
        if fuzz.counts[kind].proved == FORGED {
            break;
        }
        if let Err(e) = fuzz.forge(kind, seed, TRIES) {
            panic!("seed {seed}, kind {}: {e}", KINDS[kind]);
        }
    }
    let (count, digest) = (fuzz.counts[kind], fuzz.digest.map_or(0, |d| d.0));
    format!(
        "{} of {} programs, {} of {} forged, {digest:016x}",
        count.proved, count.made, count.held, count.changed
    )
}

/// The line of a name is as it was.
fn is_what_it_was(name: &str, now: &str) {
    static FILE: Mutex<()> = Mutex::new(());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/verdicts.txt");
    let (line, begins) = (format!("{name}: {now}"), format!("{name}: "));
    if std::env::var_os("AXIOM_ACCEPT_VERDICTS").is_some() {
        let _alone = FILE.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::fs::read_to_string(path).expect("verdicts.txt");
        let mut all: Vec<&str> = text.lines().filter(|l| !l.starts_with(&begins)).collect();
        all.push(&line);
        all.sort_unstable();
        std::fs::write(path, all.join("\n") + "\n").expect("verdicts.txt can be written");
        return;
    }
    let was = include_str!("verdicts.txt").lines().find(|l| l.starts_with(&begins));
    assert_eq!(
        was,
        Some(&line[..]),
        "the checker's or the analysis' verdicts are others than in verdicts.txt; if that is meant, AXIOM_ACCEPT_VERDICTS=1 writes them down anew"
    );
}

/// A module for each kind, in the order of [`KINDS`].
macro_rules! kinds {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        $(mod $name {
            use super::*;

            fn kind() -> usize {
                KINDS.iter().position(|k| *k == stringify!($name)).expect("a kind")
            }

            #[test]
            fn verdicts_are_what_they_were() {
                is_what_it_was(stringify!($name), &of_a_kind(kind()));
            }

            #[test]
            fn verdicts_on_forgeries_are_what_they_were() {
                is_what_it_was(concat!(stringify!($name), ", forged"), &forged(kind()));
            }
        })*
    };
}

kinds!(dense halves shifts series frame torn elements calls ends wraps straight helpers sums records mixed apart);

#[test]
fn each_kind_has_its_verdicts() {
    assert_eq!(NAMES, KINDS);
    assert_eq!(include_str!("verdicts.txt").lines().count(), 2 * KINDS.len());
}
