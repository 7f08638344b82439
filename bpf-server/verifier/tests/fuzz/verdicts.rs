//! What the checker says of some thousand pairs of program and proof, and what the analysis says of the programs, written down by kind in
//! `verdicts.txt`: each refusal with its place and reason, and all that is told of what is accepted.
//!
//! The file does not say what is right. It shows that a change made a verdict different; if that was meant, `AXIOM_ACCEPT_VERDICTS=1`
//! writes the file again.
use crate::generate::{self, KINDS, Random};
use crate::{env, neighbour, say_something};
use axiom_bpf_checker::check;
use axiom_bpf_verifier::{Program, Verifier};

const PROGRAMS: u64 = 150;
const NEIGHBOURS: u64 = 40;

/// FNV-1a.
fn add(digest: &mut u64, bytes: &[u8]) {
    for b in bytes {
        *digest = (*digest ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
    }
}

fn of_a_kind(kind: usize) -> String {
    let mut verifier = Verifier::new();
    let mut digest = 0xcbf2_9ce4_8422_2325;
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
                add(&mut digest, refusal.to_string().as_bytes());
                continue;
            }
        };
        proved += 1;
        add(&mut digest, format!("{accepted:?}").as_bytes());
        add(&mut digest, &proof);
        say_something(&mut r, &code, &mut proof);
        for _ in 0..NEIGHBOURS {
            let (mut other, mut other_proof) = (code.clone(), proof.clone());
            neighbour(&mut r, (&code, &proof), (&mut other, &mut other_proof), kind);
            let verdict = check(&other, &other_proof, &env);
            add(&mut digest, format!("{verdict:?}").as_bytes());
            if verdict.is_ok() {
                held += 1;
                if r.one_in(2) {
                    (code, proof) = (other, other_proof);
                }
            }
        }
    }
    format!(
        "{}: {proved} of {PROGRAMS} programs, {held} of {} around them, {digest:016x}",
        KINDS[kind],
        proved * NEIGHBOURS
    )
}

#[test]
fn verdicts_are_what_they_were() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/verdicts.txt");
    let now: String = (0..KINDS.len()).map(|kind| of_a_kind(kind) + "\n").collect();
    if std::env::var_os("AXIOM_ACCEPT_VERDICTS").is_some() {
        std::fs::write(path, &now).expect("verdicts.txt can be written");
        return;
    }
    let was = include_str!("verdicts.txt");
    let differ: String = was
        .lines()
        .zip(now.lines())
        .filter(|(a, b)| a != b)
        .map(|(a, b)| format!("was {a}\nis  {b}\n"))
        .collect();
    assert!(
        differ.is_empty() && was.lines().count() == now.lines().count(),
        "the checker's or the analysis' verdicts are others than in verdicts.txt:\n{differ}if that is meant, AXIOM_ACCEPT_VERDICTS=1 writes them down anew"
    );
}
