//! Times the verifier: straight-line code that branches at every 7th instruction, and the test programs with loops.
//!
//! `cargo run --release -p axiom-bpf-verifier --example timing`. Prints the minimum and the median over many runs; quiet
//! minima on a shared machine are what to compare.
#[path = "../tests/common/mod.rs"]
mod common;
use axiom_bpf_isa::Insn;
use axiom_bpf_verifier::{Program, Verifier};
use std::time::Instant;

/// Instructions over all registers, with a conditional jump over two others at every 7th.
fn straight(n: usize) -> Vec<Insn> {
    let mut code = vec![Insn::new(0xb7, 0, 0, 0, 1)];
    if n > 2 {
        code.push(Insn::new(0x61, 2, 1, 8, 0));
        code.push(Insn::new(0x61, 3, 1, 16, 0));
    }
    let mut k = 0i32;
    while code.len() + 1 < n {
        let left = n - 1 - code.len();
        k += 1;
        code.push(match k % 7 {
            0 if left > 3 => Insn::new(0x25, 2, 0, 2, 100 + k),
            1 => Insn::new(0x0f, 0, 3, 0, 0),
            2 => Insn::new(0x07, 0, 0, 0, k),
            3 => Insn::new(0xbf, 4, 0, 0, 0),
            4 => Insn::new(0x57, 4, 0, 0, 255),
            5 => Insn::new(0x6f, 3, 4, 0, 0),
            _ => Insn::new(0xaf, 0, 4, 0, 0),
        });
    }
    code.push(Insn::new(0x95, 0, 0, 0, 0));
    code
}

fn time(name: &str, code: &[Insn], v: &mut Verifier) {
    let env = common::env();
    let program = Program { insns: code, lines: None };
    let mut samples: Vec<f64> = (0..(2_000_000 / code.len()).clamp(20, 3000))
        .map(|_| {
            let from = Instant::now();
            let r = v.verify(&program, &env);
            let t = from.elapsed().as_nanos() as f64 / 1000.0;
            if let Err(e) = r {
                panic!("{name}: {e}");
            }
            t
        })
        .collect();
    samples.sort_by(f64::total_cmp);
    println!(
        "{name:<16} {:>6} insns  min {:>9.2} us  median {:>9.2} us",
        code.len(),
        samples[0],
        samples[samples.len() / 2]
    );
}

fn main() {
    let mut v = Verifier::new();
    let only = std::env::args().nth(1);
    if let Some(name) = only {
        return time(&name, &common::program(&name), &mut v);
    }
    for n in [2, 100, 1000, 4000, 16000] {
        time("straight", &straight(n), &mut v);
    }
    for name in [
        "fir",
        "fnv",
        "crc32",
        "median",
        "sieve",
        "biquad",
        "average",
        "threshold",
        "copy",
        "fib",
        "isqrt",
        "updates",
        "topdown",
        "struct24",
        "calls",
        "ring",
        "bsearch",
        "matrix",
    ] {
        time(name, &common::program(name), &mut v);
    }
}
