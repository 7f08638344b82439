//! Real programs from C: accepted with a bound, or refused for the right reason.
mod common;
use axiom_bpf_verifier::{Accepted, Program, Reason, Refusal, verify};

fn run(name: &str) -> Result<Accepted, Box<Refusal>> {
    let insns = common::program(name);
    verify(&Program { insns: &insns, lines: None }, &common::env())
}

#[test]
fn accepts() {
    let mut failed = false;
    for name in [
        "fir", "fnv", "crc32", "median", "sieve", "biquad", "average", "threshold", "copy", "fib", "isqrt", "updates",
        "topdown", "struct24", "calls", "ring", "bsearch", "matrix",
    ] {
        match run(name) {
            Ok(a) => println!("{name}: {a:?}"),
            Err(r) => {
                failed = true;
                println!("{name} was refused:\n{r}\n");
            }
        }
    }
    assert!(!failed);
}

#[test]
fn refuses() {
    for name in ["bad_bounds", "bad_loop", "bad_uninit", "bad_null", "bad_leak"] {
        match run(name) {
            Ok(a) => panic!("{name} was accepted: {a:?}"),
            Err(r) => println!("{name}:\n{r}\n"),
        }
    }
}
