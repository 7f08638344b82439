//! Loops as compilers make them from everyday C (`loops/`, `just everyday-loops`), each with the bound that it must get, and each with
//! a change that makes it endless.
mod common;
use axiom_bpf_isa::Insn;
use axiom_bpf_verifier::{Program, verify};
use common::{EXIT, i};

fn worst(code: &[Insn]) -> Option<u64> {
    verify(&Program { insns: code, lines: None }, &common::env()).ok().map(|a| a.max_insns)
}

/// `while (x) { n += x; x >>= by; }` as -Oz makes it: tested at its head.
fn shifted_until_zero(by: i32) -> Vec<Insn> {
    vec![
        i(0xb4, 0, 0, 0, 0),
        i(0x61, 1, 1, 16, 0),
        i(0x16, 1, 0, 3, 0),
        i(0x0c, 0, 1, 0, 0),
        i(0x74, 1, 0, 0, by),
        i(0x05, 0, 0, -4, 0),
        EXIT,
    ]
}

#[test]
fn a_shift_that_is_tested_at_the_head() {
    // Ways out are paid for as passes are.
    for (by, passes) in [(1, 32), (4, 8)] {
        let worst = worst(&shifted_until_zero(by)).expect("it ends");
        assert!((passes * 4 + 4..=passes * 4 + 8).contains(&worst), "by {by}: {worst}");
    }
    // By nothing, or by a multiple of the width, is no progress.
    assert_eq!((worst(&shifted_until_zero(0)), worst(&shifted_until_zero(32))), (None, None));
    // A test that a pass can go round shows nothing: the jump over it leads to the head again.
    let mut round = shifted_until_zero(1);
    round[2] = i(0x66, 1, 0, 3, 0);
    assert_eq!(worst(&round), None);
}

/// `for (k = 0; k < 32 && x; k++) x &= x - 1`: the exit looks at a copy of the counter from one pass ago.
fn lagging_copy(step: i32) -> Vec<Insn> {
    vec![
        i(0xb4, 0, 0, 0, 0),
        i(0x61, 1, 1, 16, 0),
        i(0x16, 1, 0, 9, 0),
        i(0xb4, 2, 0, 0, 0),
        i(0x04, 0, 0, 0, step),
        i(0x26, 2, 0, 6, 0x1e),
        i(0xbc, 3, 1, 0, 0),
        i(0x04, 3, 0, 0, -1),
        i(0x5c, 3, 1, 0, 0),
        i(0xbc, 2, 0, 0, 0),
        i(0xbc, 1, 3, 0, 0),
        i(0x56, 3, 0, -8, 0),
        EXIT,
    ]
}

#[test]
fn a_counter_whose_lagging_copy_is_tested() {
    let worst_of_32 = worst(&lagging_copy(1)).expect("it ends after 32 passes");
    assert!((4 + 31 * 8..=4 + 34 * 8).contains(&worst_of_32), "{worst_of_32}");
    assert_eq!(worst(&lagging_copy(0)), None);
    // The copy is of another register.
    let mut other = lagging_copy(1);
    other[9] = i(0xbc, 2, 3, 0, 0);
    assert_eq!(worst(&other), None);
}

/// `k += condition ? 1 : 3`: the compiler adds the counter to the step.
fn chosen_step(other: i32) -> Vec<Insn> {
    vec![
        i(0xb4, 2, 0, 0, 0),
        i(0x61, 1, 1, 16, 0),
        i(0xb4, 0, 0, 0, 0),
        i(0xb4, 3, 0, 0, 3),
        i(0x46, 1, 0, 1, 8),
        i(0xb4, 3, 0, 0, other),
        i(0x0c, 3, 2, 0, 0),
        i(0xbc, 2, 3, 0, 0),
        i(0xa6, 3, 0, -6, 64),
        EXIT,
    ]
}

#[test]
fn a_step_that_a_condition_chooses() {
    assert_eq!(worst(&chosen_step(1)), Some(3 + 64 * 6 + 1));
    assert_eq!((worst(&chosen_step(0)), worst(&chosen_step(-3))), (None, None));
}

/// A counter on the stack around a call of a function; what the function is given in r2.
fn counter_around_a_call(given: Insn, inside: Insn) -> Vec<Insn> {
    vec![
        i(0x7a, 10, 0, -8, 0),
        i(0xb7, 1, 0, 0, 7),
        given,
        i(0x85, 0, 1, 0, 5),
        i(0x79, 1, 10, -8, 0),
        i(0x07, 1, 0, 0, 1),
        i(0x7b, 10, 1, -8, 0),
        i(0xa5, 1, 0, -7, 10),
        EXIT,
        inside,
        i(0xb7, 0, 0, 0, 0),
        EXIT,
    ]
}

#[test]
fn a_counter_on_the_stack_around_a_call() {
    let nothing = i(0xb7, 3, 0, 0, 0);
    assert_eq!(worst(&counter_around_a_call(i(0xb7, 2, 0, 0, 0), nothing)), Some(1 + 10 * 10 + 1));
    // Given the frame, the function may set the counter back: and does.
    let frame = counter_around_a_call(i(0xbf, 2, 10, 0, 0), i(0x7a, 2, 0, -8, 0));
    assert_eq!(worst(&frame), None);
}

/// `while (x) { n++; x >>= by; }` as -O0 makes it: all of it lies in the stack, x at r10-12, n at r10-16.
fn shifted_in_the_stack(by: i32) -> Vec<Insn> {
    vec![
        i(0x61, 1, 1, 16, 0),
        i(0x63, 10, 1, -12, 0),
        i(0x62, 10, 0, -16, 0),
        i(0x61, 1, 10, -12, 0), // 3: the head
        i(0x16, 1, 0, 7, 0),
        i(0x61, 1, 10, -16, 0),
        i(0x04, 1, 0, 0, 1),
        i(0x63, 10, 1, -16, 0),
        i(0x61, 1, 10, -12, 0), // 8
        i(0x74, 1, 0, 0, by),
        i(0x63, 10, 1, -12, 0),
        i(0x05, 0, 0, -9, 0),
        i(0x61, 0, 10, -16, 0),
        EXIT,
    ]
}

#[test]
fn a_shift_that_is_kept_in_the_stack() {
    for (by, passes) in [(1, 32), (4, 8)] {
        let worst = worst(&shifted_in_the_stack(by)).expect("it ends");
        assert!((passes * 9 + 6..=passes * 9 + 16).contains(&worst), "by {by}: {worst}");
    }
    assert_eq!((worst(&shifted_in_the_stack(0)), worst(&shifted_in_the_stack(32))), (None, None));
    // A whole number that is shifted has another low half than that which is shifted by itself.
    let mut whole = shifted_in_the_stack(1);
    whole[0] = i(0x79, 1, 1, 16, 0);
    whole[1] = i(0x7b, 10, 1, -12 - 12, 0);
    whole[3] = i(0x61, 1, 10, -24, 0);
    whole[8] = i(0x79, 1, 10, -24, 0);
    whole[9] = i(0x77, 1, 0, 0, 1);
    whole[10] = i(0x63, 10, 1, -24, 0);
    assert_eq!(worst(&whole), None);
    // Nor does what is stored elsewhere shrink what is tested.
    let mut elsewhere = shifted_in_the_stack(1);
    elsewhere[10] = i(0x63, 10, 1, -20, 0);
    assert_eq!(worst(&elsewhere), None);
}

/// `do { n++; x /= by; } while (x)` at -O0: what was divided is tested at the end of the pass.
fn divided_in_the_stack(by: i32) -> Vec<Insn> {
    vec![
        i(0x61, 1, 1, 16, 0),
        i(0x63, 10, 1, -12, 0),
        i(0x61, 1, 10, -12, 0), // 2: the head
        i(0x34, 1, 0, 0, by),
        i(0x63, 10, 1, -12, 0),
        i(0x61, 1, 10, -12, 0),
        i(0x56, 1, 0, -5, 0),
        i(0xb7, 0, 0, 0, 0),
        EXIT,
    ]
}

#[test]
fn a_quotient_that_is_kept_in_the_stack() {
    let most = worst(&divided_in_the_stack(10)).expect("it ends");
    assert!((10 * 5..=12 * 5 + 4).contains(&most), "{most}");
    assert_eq!((worst(&divided_in_the_stack(1)), worst(&divided_in_the_stack(0))), (None, None));
}

/// `while (x) { sum += x % 10; x /= by; }` as -Oz makes it: the quotient comes back through another register.
fn quotient_by_a_copy(by: i32) -> Vec<Insn> {
    vec![
        i(0xb4, 0, 0, 0, 0),
        i(0x61, 1, 1, 16, 0),
        i(0x16, 1, 0, 8, 0),
        i(0xbc, 2, 1, 0, 0),
        i(0x34, 2, 0, 0, by),
        i(0xbc, 3, 2, 0, 0),
        i(0x24, 3, 0, 0, 10),
        i(0x1c, 1, 3, 0, 0),
        i(0x0c, 0, 1, 0, 0),
        i(0xbc, 1, 2, 0, 0),
        i(0x05, 0, 0, -9, 0),
        EXIT,
    ]
}

#[test]
fn a_quotient_that_comes_back_by_a_copy() {
    let most = worst(&quotient_by_a_copy(10)).expect("it ends");
    assert!((10 * 9..=12 * 9 + 8).contains(&most), "{most}");
    assert_eq!((worst(&quotient_by_a_copy(1)), worst(&quotient_by_a_copy(0))), (None, None));
    // A copy of what was not divided.
    let mut same = quotient_by_a_copy(10);
    same[9] = i(0xbc, 1, 1, 0, 0);
    assert_eq!(worst(&same), None);
}

/// `for (k = 1; k < 1 << 20; k <<= by)` at -O1: what is tested is the counter from before it doubles.
fn doubled_before_the_test(by: i32) -> Vec<Insn> {
    vec![
        i(0xb4, 0, 0, 0, 0),
        i(0xb4, 3, 0, 0, 1),
        i(0xbc, 2, 3, 0, 0), // 2: the head
        i(0x0c, 0, 2, 0, 0),
        i(0xbc, 3, 2, 0, 0),
        i(0x64, 3, 0, 0, by),
        i(0xa6, 2, 0, -5, 0x8_0000),
        EXIT,
    ]
}

#[test]
fn a_counter_that_is_tested_before_it_doubles() {
    let all = |by| worst(&doubled_before_the_test(by));
    for (by, passes) in [(1, 20), (2, 11)] {
        let most = all(by).expect("it ends");
        assert!((passes * 5..=(passes + 2) * 5 + 4).contains(&most), "by {by}: {most}");
    }
    assert_eq!((all(0), all(32)), (None, None));
    // What is tested is not what doubles; or it doubles out of its 32 bits, and is 0 for ever.
    let mut other = doubled_before_the_test(1);
    other[4] = i(0xbc, 3, 1, 0, 0);
    other.insert(0, i(0x61, 1, 1, 16, 0));
    assert_eq!(worst(&other), None);
    let mut lossy = doubled_before_the_test(1);
    lossy[6] = i(0x56, 2, 0, -5, 7);
    assert_eq!(worst(&lossy), None);
    // As 64 bits.
    let mut whole = doubled_before_the_test(1);
    whole[2] = i(0xbf, 2, 3, 0, 0);
    whole[4] = i(0xbf, 3, 2, 0, 0);
    whole[5] = i(0x67, 3, 0, 0, 1);
    whole[6] = i(0xa5, 2, 0, -5, 0x8_0000);
    assert!(worst(&whole).is_some());
}

/// A sum that any number is added to moves further than a proof has room to state: then it states less, and holds.
#[test]
fn a_sum_that_moves_by_anything() {
    let sum = |first: i32| {
        [
            i(0xb7, 0, 0, 0, 0),
            i(0xb7, 7, 0, 0, 0),
            i(0x79, 2, 1, 0, 0),
            i(0x25, 2, 0, 1, 0),
            i(0x07, 0, 0, 0, first),
            i(0x0f, 2, 0, 0, 0),
            i(0x25, 2, 0, 1, 1),
            i(0x07, 0, 0, 0, 1),
            i(0x0f, 2, 0, 0, 0),
            i(0x07, 7, 0, 0, 1),
            i(0xa5, 7, 0, -8, 16),
            EXIT,
        ]
    };
    for first in [0, 1] {
        let worst = worst(&sum(first));
        assert!(worst.is_some_and(|n| (16 * 8..=16 * 9 + 8).contains(&n)), "{first}: {worst:?}");
    }
}
