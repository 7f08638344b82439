//! Real programs from C: accepted with a bound, or refused for the right reason.
mod common;
use axiom_bpf_verifier::{Accepted, Program, Refusal, verify};

fn run(name: &str) -> Result<Accepted, Box<Refusal>> {
    let insns = common::program(name);
    verify(&Program { insns: &insns, lines: None }, &common::env())
}

/// Each with the most instructions that it may be said to take: the real worst case is below.
const GOOD: [(&str, u64); 28] = [
    ("fir", 700),
    ("fnv", 2_000),
    ("crc32", 5_000),
    ("median", 5_000),
    ("sieve", 200_000),
    ("biquad", 30),
    ("average", 40),
    ("threshold", 20),
    ("copy", 2_000),
    ("fib", 8_000),
    ("isqrt", 3_000),
    ("updates", 250),
    ("topdown", 1_300),
    ("struct24", 200),
    ("calls", 500),
    ("ring", 30),
    ("bsearch", 250),
    ("matrix", 3_000),
    ("bubble", 3_000),
    ("datalen", 400),
    ("down", 500),
    ("ringloop", 150),
    ("stackarr", 500),
    ("strlen", 600),
    ("memcmp", 1_000),
    ("sieve16", 12_000),
    ("log2", 300),
    ("gcd", 500),
];

#[test]
fn accepts_with_a_close_bound() {
    let mut failed = Vec::new();
    for (name, most) in GOOD {
        match run(name) {
            Ok(a) => {
                println!("{name}: {a:?}");
                assert!(a.max_insns <= most, "{name}: {a:?}");
                // Filled by one loop and read by another: that every byte was written is not proved.
                assert_eq!(a.zero_stack, name == "stackarr", "{name}");
            }
            Err(r) => {
                println!("{name} was refused:\n{r}\n");
                failed.push(name);
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn refuses_with_the_right_reason() {
    for (name, reason) in [
        (
            "bad_bounds",
            "reads 4 bytes at an offset between 0 and 2048 of a value of map 0, which has 2048 bytes",
        ),
        (
            "bad_loop",
            "the loop at instruction 11 may run for ever: no register or stack slot moves towards an exit on every pass",
        ),
        (
            "bad_delay",
            "the loop at instruction 2 may run for ever: no register or stack slot moves towards an exit on every pass",
        ),
        ("bad_uninit", "reads 8 bytes of stack at r10-8, which were never written"),
        ("bad_null", "r0 may be NULL: the lookup in map 0 may not have found the key"),
        ("bad_leak", "the program may end while the ring buffer record of instruction 5 is still reserved"),
    ] {
        match run(name) {
            Ok(a) => panic!("{name} was accepted: {a:?}"),
            Err(r) => {
                println!("{name}:\n{r}\n");
                assert_eq!(r.reason.to_string(), reason, "{name}");
            }
        }
    }
}
