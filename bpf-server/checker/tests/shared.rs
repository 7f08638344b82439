//! A jump ahead shares what is known with the walk, until an instruction changes it. Whatever the instruction is: the place where the
//! jump leads must find what was known at the jump.
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::{Accepted, Env, Limits, Why, check};
use axiom_bpf_isa::{Insn, ProgramKind};

const ANY: Insn = Insn::new(0x79, 2, 1, 0, 0);
const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);
const ZERO: Insn = Insn::new(0xb7, 0, 0, 0, 0);
/// Stores a byte at r10 - 8 + r3: r3 may be from 0 to 7.
const STORE: [Insn; 3] =
    [Insn::new(0xbf, 4, 10, 0, 0), Insn::new(0x0f, 4, 3, 0, 0), Insn::new(0x72, 4, 0, -8, 0)];

fn r3(value: i32) -> Insn {
    Insn::new(0xb7, 3, 0, 0, value)
}

/// A jump over so many instructions; it bears on nothing.
fn over(count: i16) -> Insn {
    Insn::new(0x25, 2, 0, count, 5)
}

/// Checks code with a proof that calls these jumps, and what else is named, unneeded.
fn checked(code: &[&[Insn]], unneeded: &[usize]) -> Result<Accepted, Why> {
    let code = code.concat();
    let (ctx, limits) = (ProgramKind::Timer.layout(), Limits::default());
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    let mut proof = [&MAGIC[..], &[0]].concat();
    let bits = proof.len();
    proof.resize(bits + code.len().div_ceil(8), 0);
    unneeded.iter().for_each(|at| proof[bits + at / 8] |= 1 << (at % 8));
    check(&code, &proof, &env).map_err(|f| f.why)
}

/// r3 is `first` at an unneeded jump to the store, and `second` if it is not taken.
fn either(first: i32, second: i32) -> [Result<Accepted, Why>; 4] {
    [
        // The next instruction changes it.
        checked(&[&[ANY, r3(first), over(1), r3(second)], &STORE, &[ZERO, EXIT]], &[2]),
        // Two jumps lead there, and a third beyond the store.
        checked(
            &[&[ANY, r3(first), over(6), over(2), over(1), r3(second)], &STORE, &[ZERO, EXIT]],
            &[2, 3, 4],
        ),
        // What another way brings, to the next instruction, changes it.
        checked(
            &[
                &[ANY, r3(second), Insn::new(0x15, 2, 0, 2, 0), r3(first), over(1), r3(second)],
                &STORE,
                &[ZERO, EXIT],
            ],
            &[4],
        ),
        // The walk ends.
        checked(
            &[&[ANY, r3(first), over(6), r3(second)], &STORE, &[ZERO, EXIT], &STORE, &[ZERO, EXIT]],
            &[2],
        ),
    ]
}

#[test]
fn a_place_finds_what_was_known_at_the_jump() {
    for accepted in either(0, 7).into_iter().chain(either(7, 0)) {
        assert!(accepted.is_ok(), "{accepted:?}");
    }
    for refused in either(8, 0).into_iter().chain(either(0, 8)) {
        assert_eq!(refused, Err(Why::OutOfBounds));
    }
}

#[test]
fn what_changes_behind_the_place_does_not_matter() {
    // The walk passes the place, and only then changes something.
    let code = [&[ANY, r3(3), over(1), Insn::new(0x07, 2, 0, 0, 1)], &STORE[..], &[r3(8), ZERO, EXIT]];
    assert!(checked(&code, &[2, 3]).is_ok());
    let code = [&[ANY, r3(3), over(1), Insn::new(0x07, 2, 0, 0, 1), r3(8)], &STORE[..], &[ZERO, EXIT]];
    assert_eq!(checked(&code, &[2, 3]).map(drop), Err(Why::OutOfBounds));
}

#[test]
fn the_longest_way_counts() {
    let count = |code: &[&[Insn]], unneeded: &[usize]| checked(code, unneeded).map(|a| a.max_insns);
    let sums = [Insn::new(0x07, 2, 0, 0, 1); 5];
    let all: Vec<usize> = (1..8).collect();
    // Over five instructions: none of them changes anything, or one does.
    for needed in [&all[..], &[1]] {
        assert_eq!(count(&[&[ANY, over(5)], &sums, &[ZERO, EXIT]], needed), Ok(9));
    }
    // To an end of its own, which is longer than the other one, or shorter.
    assert_eq!(count(&[&[ANY, over(2), ZERO, EXIT], &sums, &[ZERO, EXIT]], &all), Ok(9));
    assert_eq!(count(&[&[ANY, over(7)], &sums, &[ZERO, EXIT, ZERO, EXIT]], &all), Ok(9));
    // Of two jumps to one place, the last one has spent more.
    let jumps = [&[ANY, over(4)], &sums[..1], &[over(2), ZERO, EXIT], &sums, &[ZERO, EXIT]];
    assert_eq!(count(&jumps, &all), Ok(11));
    let needed: Vec<usize> = (1..4).collect();
    assert_eq!(count(&jumps, &needed), Ok(11));
}

#[test]
fn nothing_leads_back() {
    for back in [-1, -2, -3] {
        let code = [&[ANY, Insn::new(0x07, 2, 0, 0, 1), over(back), ZERO, EXIT][..]];
        for unneeded in [&[1, 2][..], &[2], &[]] {
            assert_eq!(checked(&code, unneeded).map(drop), Err(Why::NothingStated));
        }
    }
}

#[test]
fn so_many_places_wait_and_no_more() {
    for (jumps, expected) in [(12i16, Ok(())), (13, Err(Why::TooComplex))] {
        // Each to a place of its own, behind all of them.
        let code: Vec<Insn> = (0..jumps).map(|_| over(jumps)).collect();
        let rest = vec![Insn::new(0x07, 2, 0, 0, 1); jumps as usize + 1];
        let unneeded: Vec<usize> = (1..=2 * jumps as usize + 1).collect();
        let verdict = checked(&[&[ANY], &code, &rest, &[ZERO, EXIT]], &unneeded);
        assert_eq!(verdict.map(drop), expected);
    }
    // Those that the walk has passed do not wait; nor does one place wait twice.
    let code: Vec<Insn> = (0..40).flat_map(|_| [over(1), Insn::new(0x07, 2, 0, 0, 1)]).collect();
    assert!(checked(&[&[ANY], &code, &[ZERO, EXIT]], &(1..81).collect::<Vec<_>>()).is_ok());
    let code: Vec<Insn> = (0..40).map(|k| over(39 - k)).collect();
    assert!(checked(&[&[ANY], &code, &[ZERO, EXIT]], &(1..41).collect::<Vec<_>>()).is_ok());
}
