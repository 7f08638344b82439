//! Proofs that are wrong: each costs a refusal, a bounded time and bounded memory. `AXIOM_FUZZ_SEEDS` tries more.
mod common;
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::{Env, Limits, MEMORY, Why, check};
use axiom_bpf_verifier::{Accepted, Program, Verifier, proof};
use axiom_test_memory::{Counting, most};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 20) % n as u64) as usize
    }
}

const NAMES: [&str; 12] = [
    "crc32", "median", "sieve", "isqrt", "calls", "topdown", "matrix", "updates", "ringloop", "stackarr",
    "memcmp", "log2",
];

fn proved(name: &str, env: &Env) -> (Vec<axiom_bpf_isa::Insn>, Vec<u8>, Accepted) {
    let insns = common::program(name);
    let (proof, accepted) = Verifier::new().prove(&Program { insns: &insns, lines: None }, env).expect(name);
    (insns, proof, accepted)
}

/// A changed proof may still be one: of the same program, with another bound. It may not promise less than is true.
#[test]
fn mutated_proofs() {
    let rounds = std::env::var("AXIOM_FUZZ_SEEDS").ok().and_then(|v| v.parse().ok()).unwrap_or(4_000);
    let env = Env { limits: Limits { work: 50_000, ..Limits::default() }, ..common::env() };
    let mut r = Random(77);
    let (mut refused, mut held, mut slowest, mut largest) = (0, 0, Duration::ZERO, 0);
    for name in NAMES {
        let (insns, good, real) = proved(name, &common::env());
        for _ in 0..rounds {
            let mut bad = good.clone();
            for _ in 0..1 + r.below(3) {
                let at = r.below(bad.len());
                match r.below(6) {
                    0 => bad[at] ^= 1 << r.below(8),
                    1 => bad[at] = r.next() as u8,
                    2 => bad[at] = bad[at].wrapping_add(1),
                    3 => drop(bad.remove(at)),
                    4 => bad.insert(at, r.next() as u8),
                    _ => {
                        let (from, n) = (r.below(bad.len()), r.below(12));
                        let piece: Vec<u8> = bad[from..(from + n).min(bad.len())].to_vec();
                        bad.splice(at..at, piece);
                    }
                }
                if bad.is_empty() {
                    bad.push(0);
                }
            }
            let began = Instant::now();
            let (verdict, bytes) = most(|| check(&insns, &bad, &env));
            match verdict {
                Ok(a) => {
                    held += 1;
                    assert_eq!((&a.own_calls, &a.helpers), (&real.own_calls, &real.helpers), "{name}");
                    // What the proof may choose is how closely it bounds, never that stack is zeroed that need not be.
                    assert!(a.zero_stack >= real.zero_stack || real.zero_stack, "{name}");
                }
                Err(_) => refused += 1,
            }
            largest = largest.max(bytes);
            slowest = slowest.max(began.elapsed());
        }
    }
    println!(
        "{refused} refused, {held} still hold; the slowest took {slowest:?}, the largest {largest} bytes"
    );
    // Beside its own, 64 bytes for each context that a proof names: at most 512.
    assert!(largest <= MEMORY + 512 * 64, "{largest} bytes");
    assert!(refused > 10 * held, "{refused} refused, {held} accepted: the changes change little");
    assert!(slowest < Duration::from_secs(20), "{slowest:?}");
}

#[test]
fn cut_proofs_and_noise() {
    let env = common::env();
    for name in NAMES {
        let (insns, good, _) = proved(name, &env);
        for n in 0..good.len() {
            check(&insns, &good[..n], &env).expect_err("a part of a proof");
        }
        let longer: Vec<u8> = good.iter().copied().chain([0]).collect();
        check(&insns, &longer, &env).expect_err("more than a proof");
    }
    let insns = common::program("crc32");
    let mut r = Random(5);
    for _ in 0..20_000 {
        let mut noise = MAGIC.to_vec();
        noise.extend((0..r.below(200)).map(|_| [r.next() as u8, r.next() as u8 & 3][r.below(2)]));
        check(&insns, &noise, &env).expect_err("noise");
    }
}

#[test]
fn the_proof_of_another_program_is_none() {
    let env = common::env();
    for name in NAMES {
        let (_, proof, _) = proved(name, &env);
        for other in NAMES.iter().filter(|n| **n != name) {
            check(&common::program(other), &proof, &env).expect_err(other);
        }
    }
    // A changed program, too: a larger bound in the loop of the checksum.
    let (mut insns, proof, _) = proved("crc32", &env);
    let k = insns.iter().rposition(|i| i.op & 7 == 5 && i.off < 0).expect("a loop");
    insns[k].imm += 1;
    check(&insns, &proof, &env).expect_err("another program");
}

#[test]
fn a_section_holds_several() {
    let env = common::env();
    let (a, b) = (proved("crc32", &env), proved("fir", &env));
    let mut section = Vec::new();
    proof::add(&mut section, &a.0, &a.1);
    proof::add(&mut section, &b.0, &b.1);
    assert_eq!(proof::find(&section, &a.0), Some(&a.1[..]));
    assert_eq!(proof::find(&section, &b.0), Some(&b.1[..]));
    assert_eq!(proof::find(&section, &common::program("ring")), None);
    for n in 0..section.len() {
        let found = proof::find(&section[..n], &b.0);
        assert!(found.is_none(), "cut off at {n}");
    }
}

#[test]
fn another_version_is_refused() {
    let env = common::env();
    let (insns, mut proof, _) = proved("fir", &env);
    proof[4] += 1;
    assert_eq!(check(&insns, &proof, &env).expect_err("of another version").why, Why::Version);
}

/// What a proof needs is little: it travels in the object.
#[test]
fn proofs_are_small() {
    let env = common::env();
    let (mut bytes, mut slots) = (0, 0);
    for name in NAMES {
        let (insns, proof, _) = proved(name, &env);
        println!("{name}: {} bytes for {} instructions", proof.len(), insns.len());
        (bytes, slots) = (bytes + proof.len(), slots + insns.len());
    }
    assert!(bytes < 24 * slots, "{bytes} bytes for {slots} instructions");
}
