//! Times the verifier: straight-line code that branches at every 7th instruction, and the test programs with loops.
//!
//! `cargo run --release -p axiom-bpf-verifier --example timing`. Prints the least of many runs, apart for
//! finding a proof and for checking it, which is what a machine does that is given one.
#[path = "../tests/common/mod.rs"]
mod common;
use axiom_bpf_isa::Insn;
use axiom_bpf_verifier::{Program, Verifier, check};
use std::time::Instant;

/// The program of `bench` (`bpf-server/programs/build`): arithmetic on two registers, with a jump over one instruction at every 7th.
fn straight(n: usize) -> Vec<Insn> {
    let mut code = vec![Insn::new(0xb7, 0, 0, 0, 0)];
    if n > 2 {
        code.push(Insn::new(0x79, 2, 1, 0, 0));
    }
    for i in 3..n as i32 {
        code.push(match (i % 7, i % 5) {
            (0, _) if i + 2 <= n as i32 => Insn::new(0x25, 2, 0, 1, i),
            (_, 0) => Insn::new(0x07, 2, 0, 0, i),
            (_, 1) => Insn::new(0xaf, 0, 2, 0, 0),
            (_, 2) => Insn::new(0x27, 2, 0, 0, 3),
            (_, 3) => Insn::new(0x77, 2, 0, 0, 1),
            _ => Insn::new(0x07, 0, 0, 0, i),
        });
    }
    code.push(Insn::new(0x95, 0, 0, 0, 0));
    code
}

fn least(n: usize, mut f: impl FnMut()) -> f64 {
    let one = |_| {
        let from = Instant::now();
        f();
        from.elapsed().as_nanos() as f64 / 1000.0
    };
    (0..n).map(one).fold(f64::MAX, f64::min)
}

fn time(name: &str, code: &[Insn], v: &mut Verifier) {
    let env = common::env();
    let program = Program { insns: code, lines: None };
    let n = (2_000_000 / code.len()).clamp(20, 3000);
    let (proof, _) = v.prove(&program, &env).unwrap_or_else(|r| panic!("{name}: {r}"));
    let prove = least(n, || drop(v.prove(&program, &env)));
    let checked = least(n, || drop(check(code, &proof, &env).unwrap_or_else(|f| panic!("{name}: {f:?}"))));
    println!(
        "{name:<16} {:>6} insns  prove {prove:>9.2} us  check {checked:>9.2} us  {:>6} bytes",
        code.len(),
        proof.len()
    );
}

/// Checks a program so often.
#[inline(never)]
fn count(code: &[Insn], v: &mut Verifier, times: usize) {
    let env = common::env();
    let (proof, _) = v.prove(&Program { insns: code, lines: None }, &env).expect("a proof");
    for _ in 0..times {
        check(code, &proof, &env).expect("checked");
    }
}

fn main() {
    let mut v = Verifier::new();
    let mut arguments = std::env::args().skip(1);
    if let Some(name) = arguments.next() {
        let straight = name.parse().map(straight);
        let code = straight.unwrap_or_else(|_| common::program(&name));
        // So often, and nothing else: for counting instructions (`valgrind --tool=callgrind`).
        if let Some(times) = arguments.next().and_then(|n| n.parse().ok()) {
            return count(&code, &mut v, times);
        }
        return time(&name, &code, &mut v);
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
