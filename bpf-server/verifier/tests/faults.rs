//! Ten ways in which the verifier once accepted what it must not, as an outsider found them. Each must be refused; what the
//! checker says is not asked of the analysis, so that the one is tested without the other where that is possible.
mod common;
use axiom_bpf_isa::{Insn, MapDef, MapType};
use axiom_bpf_verifier::{Env, Program, verify};
use common::{EXIT, i};

const MAPS: [MapDef; 1] = [common::map(MapType::Array, 4, 64, 4)];

fn refused(code: &[Insn]) -> String {
    let env = Env { maps: &MAPS, ..common::env() };
    match verify(&Program { insns: code, lines: None }, &env) {
        Ok(a) => panic!("accepted: {a:?}"),
        Err(r) => r.reason.to_string(),
    }
}

fn accepted(code: &[Insn]) -> u64 {
    let env = Env { maps: &MAPS, ..common::env() };
    verify(&Program { insns: code, lines: None }, &env).unwrap_or_else(|r| panic!("{r}")).max_insns
}

/// r`to` = the element of the map with this key; leaves the program if there is none.
fn lookup(to: u8, key: i32) -> Vec<Insn> {
    vec![
        i(0x62, 10, 0, -4, key),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -4),
        i(0x18, 1, 1, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0x85, 0, 0, 0, 1),
        i(0x55, 0, 0, 1, 0),
        EXIT,
        i(0xbf, to, 0, 0, 0),
    ]
}

/// r9 = the context; r7 and r8 two elements of the map.
fn two(rest: &[Insn]) -> Vec<Insn> {
    [&[i(0xbf, 9, 1, 0, 0)], &lookup(7, 0)[..], &lookup(8, 3)[..], rest].concat()
}

/// 1: two elements of one map are not one object.
#[test]
fn elements_of_a_map_are_not_one() {
    let store = [i(0x61, 1, 9, 0, 0), i(0x67, 1, 0, 0, 20), i(0x0f, 7, 1, 0, 0), i(0x72, 7, 0, 0, 1)];
    let zero = i(0xb7, 0, 0, 0, 0);
    // if (a != b) *anywhere = 1;
    refused(&two(&[&[i(0x1d, 7, 8, 4, 0)], &store[..], &[zero, EXIT]].concat()));
    // *(a + (a - b)) = 1;
    let difference = [i(0xbf, 1, 7, 0, 0), i(0x1f, 1, 8, 0, 0), i(0x0f, 7, 1, 0, 0), i(0x72, 7, 0, 0, 1)];
    refused(&two(&[&difference[..], &[zero, EXIT]].concat()));
    // for (p = a; p != b + 16; p++) *p = 1;
    let walk = [i(0x07, 8, 0, 0, 16), i(0x72, 7, 0, 0, 1), i(0x07, 7, 0, 0, 1), i(0x5d, 7, 8, -3, 0)];
    refused(&two(&[&walk[..], &[zero, EXIT]].concat()));
    // Inside one element all of that is well.
    let one = [
        i(0xbf, 8, 7, 0, 0),
        i(0x07, 8, 0, 0, 16),
        i(0x72, 7, 0, 0, 1),
        i(0x07, 7, 0, 0, 1),
        i(0x5d, 7, 8, -3, 0),
        zero,
        EXIT,
    ];
    accepted(&two(&one));
    // The element of an earlier pass is not that of this one.
    let mut passes = vec![i(0xbf, 9, 1, 0, 0), i(0xb7, 6, 0, 0, 0)];
    passes.extend(lookup(8, 0));
    let head = passes.len();
    passes.push(i(0xbf, 7, 8, 0, 0));
    passes.extend(lookup(8, 0));
    passes.extend([i(0x1d, 7, 8, 4, 0)]);
    passes.extend(store);
    passes.push(i(0x07, 6, 0, 0, 1));
    let back = head as i16 - passes.len() as i16 - 1;
    passes.extend([i(0xa5, 6, 0, back, 3), zero, EXIT]);
    refused(&passes);
}

/// 2: the offset of a map value has one meaning.
#[test]
fn offsets_of_map_values_are_not_negative() {
    for offset in [-1, 65, i32::MIN] {
        refused(&[
            i(0x18, 2, 2, 0, 0),
            i(0, 0, 0, 0, offset),
            i(0x72, 2, 0, 1, 7),
            i(0xb7, 0, 0, 0, 1),
            EXIT,
        ]);
    }
    accepted(&[i(0x18, 2, 2, 0, 0), i(0, 0, 0, 0, 63), i(0x72, 2, 0, 0, 7), i(0xb7, 0, 0, 0, 1), EXIT]);
    for kind in 3..16 {
        refused(&[i(0x18, 2, kind, 0, 0), i(0, 0, 0, 0, 0), i(0xb7, 0, 0, 0, 1), EXIT]);
    }
}

/// 3: shifts by a multiple of the width change nothing.
#[test]
fn shifts_by_the_width_are_no_progress() {
    for (op, class, by) in
        [(0x70, 7, 64), (0x70, 4, 32), (0x60, 7, 64), (0x60, 4, 32), (0x60, 7, 128), (0xc0, 7, 64)]
    {
        let jump = if class == 7 { 0x55 } else { 0x56 };
        refused(&[i(0x79, 0, 1, 0, 0), i(op | class, 0, 0, 0, by), i(jump, 0, 0, -2, 0), EXIT]);
    }
    for (class, jump) in [(7, 0x55), (4, 0x56)] {
        accepted(&[i(0x79, 0, 1, 0, 0), i(0x70 | class, 0, 0, 0, 65), i(jump, 0, 0, -2, 0), EXIT]);
    }
}

/// 4: shifting the whole of what is known in its low half.
#[test]
fn half_known_values_shift_as_a_whole() {
    refused(&[
        i(0xb7, 0, 0, 0, 0),
        i(0xb7, 2, 0, 0, 8),
        i(0xbc, 1, 2, 0, 0),
        i(0x07, 1, 0, 0, -5),
        i(0xbc, 1, 1, 0, 0),
        i(0x07, 1, 0, 0, 5),
        i(0x77, 1, 0, 0, 1),
        i(0xbf, 2, 1, 0, 0),
        i(0x56, 2, 0, -7, 0),
        EXIT,
    ]);
}

/// 5: a sum over passes of a value of which half is known.
#[test]
fn sums_of_half_known_values() {
    let mut code = lookup(9, 0);
    code.extend([
        i(0xb7, 2, 0, 0, 3),
        i(0xb7, 3, 0, 0, 0),
        i(0xb7, 4, 0, 0, 0),
        i(0xbf, 5, 9, 0, 0),
        i(0x0f, 5, 3, 0, 0),
        i(0x72, 5, 0, 0, 0),
        i(0x0f, 3, 2, 0, 0),
        i(0x04, 2, 0, 0, -5),
        i(0x07, 2, 0, 0, 5),
        i(0x07, 4, 0, 0, 1),
        i(0xa5, 4, 0, -8, 4),
        i(0xb7, 0, 0, 0, 0),
        EXIT,
    ]);
    refused(&code);
}

/// 6: a store of 4 bytes at one of two offsets is none of 8 bytes.
#[test]
fn stores_at_computed_offsets_are_not_exact() {
    // The counter at r10-8 is reset by a store to r10-8 or r10-4.
    let code = [
        i(0x7a, 10, 0, -8, 0),
        i(0x61, 6, 1, 0, 0),
        i(0x57, 6, 0, 0, 4),
        i(0xb7, 0, 0, 0, 0),
        i(0x79, 2, 10, -8, 0),
        i(0x07, 2, 0, 0, 1),
        i(0x7b, 10, 2, -8, 0),
        i(0xbf, 3, 10, 0, 0),
        i(0x0f, 3, 6, 0, 0),
        i(0x63, 3, 0, -8, 0),
        i(0xa5, 2, 0, -7, 9),
        EXIT,
    ];
    refused(&code);
}

/// 7: a torn address stays one.
#[test]
fn torn_addresses_are_not_read() {
    let torn = |index: &[Insn]| {
        let mut code = vec![i(0x61, 6, 1, 0, 0), i(0x57, 6, 0, 0, 7), i(0x7b, 10, 1, -8, 0)];
        code.extend(index);
        code.extend([i(0x79, 0, 10, -8, 0), EXIT]);
        code
    };
    let byte = [i(0x72, 10, 0, -8, 0)];
    let computed = [i(0xbf, 3, 10, 0, 0), i(0x0f, 3, 6, 0, 0), i(0x72, 3, 0, -8, 0)];
    refused(&torn(&byte));
    refused(&torn(&computed));
    refused(&torn(&[&byte[..], &computed].concat()));
    refused(&torn(&[&computed[..], &byte].concat()));
    refused(&torn(&[&byte[..], &computed, &computed].concat()));
    accepted(&torn(&[i(0x7a, 10, 0, -8, 0)]));
}

/// 8: worst cases do not wrap.
#[test]
fn worst_cases_do_not_wrap() {
    let mut code = vec![i(0x85, 0, 1, 0, 1), EXIT];
    for r in [1, 2, 3, 4] {
        code.push(i(0xb7, r, 0, 0, 0));
    }
    let head = code.len();
    for r in [4, 3, 2, 1] {
        code.push(i(0x07, r, 0, 0, 1));
        // Each loop begins where the counters of those inside it are set.
        let to = if r == 4 { head as i16 } else { head as i16 - (4 - r as i16) };
        let at = code.len() as i16;
        code.push(i(0xa5, r, 0, to - at - 1, 900_000));
    }
    code.extend([i(0xb7, 0, 0, 0, 0), EXIT]);
    refused(&code);
}

/// 9: sums of 32-bit values that mix signs.
#[test]
fn sums_of_mixed_signs() {
    refused(&[
        i(0x71, 4, 1, 0, 0),
        i(0xb4, 3, 0, 0, -0x532c_db7d),
        i(0xb7, 8, 0, 0, 0),
        i(0x0c, 4, 3, 0, 0),
        i(0x07, 8, 0, 0, 1),
        i(0xa5, 8, 0, -3, 6),
        EXIT,
    ]);
}

/// A record that a function may have given back is not used after it.
#[test]
fn records_that_a_function_may_give_back() {
    let maps = [common::map(MapType::RingBuf, 0, 0, 4096)];
    let code = [
        i(0xbf, 9, 1, 0, 0),
        i(0x18, 1, 1, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0xb7, 2, 0, 0, 8),
        i(0xb7, 3, 0, 0, 0),
        i(0x85, 0, 0, 0, 131),
        i(0x55, 0, 0, 1, 0),
        EXIT,
        i(0xbf, 6, 0, 0, 0),
        i(0xbf, 1, 6, 0, 0),
        i(0x61, 2, 9, 0, 0),
        i(0x85, 0, 1, 0, 6),
        i(0x7a, 6, 0, 0, 0),
        i(0xbf, 1, 6, 0, 0),
        i(0xb7, 2, 0, 0, 0),
        i(0x85, 0, 0, 0, 132),
        i(0xb7, 0, 0, 0, 0),
        EXIT,
        i(0x15, 2, 0, 2, 0),
        i(0xb7, 2, 0, 0, 0),
        i(0x85, 0, 0, 0, 132),
        i(0xb7, 0, 0, 0, 0),
        EXIT,
    ];
    let env = Env { maps: &maps, ..common::env() };
    let r = verify(&Program { insns: &code, lines: None }, &env).expect_err("given back twice");
    println!("{r}");
}

/// 11: what a function reserves is not what it gave back, although the same instruction did both.
#[test]
fn a_record_that_a_function_gave_back_is_gone() {
    const RING: [MapDef; 1] = [common::map(MapType::RingBuf, 0, 0, 4096)];
    // The function at 15 reserves; the one at 11 gives back what it is given, and calls it.
    let code = |then: &[Insn]| {
        let mut code = vec![
            i(0x85, 0, 1, 0, 12), // 0: r0 = reserve
            i(0x15, 0, 0, 7, 0),
            i(0xbf, 6, 0, 0, 0), // 2: r6 = r0
            i(0xbf, 1, 0, 0, 0),
            i(0x85, 0, 1, 0, 5), // 4: r0 = exchange(r1)
            i(0x15, 0, 0, 3, 0),
        ];
        code.extend_from_slice(then); // 6: three
        code.extend([
            i(0xb7, 0, 0, 0, 0), // 9
            EXIT,
            i(0xb7, 2, 0, 0, 0), // 11
            i(0x85, 0, 0, 0, 132),
            i(0x85, 0, 1, 0, 1),
            EXIT,
            i(0x18, 1, 1, 0, 0), // 15
            i(0, 0, 0, 0, 0),
            i(0xb7, 2, 0, 0, 8),
            i(0xb7, 3, 0, 0, 0),
            i(0x85, 0, 0, 0, 131),
            EXIT,
        ]);
        // Calls lead to 11 and 15.
        code[0].imm = 14;
        code[4].imm = 6;
        code
    };
    let verdict = |code: &[Insn]| {
        let env = Env { maps: &RING, ..common::env() };
        verify(&Program { insns: code, lines: None }, &env).map_err(|r| r.to_string())
    };
    // r1 = r6; submit(r6): given back already, and what is held instead never is.
    let old = code(&[i(0xbf, 1, 6, 0, 0), i(0xb7, 2, 0, 0, 0), i(0x85, 0, 0, 0, 132)]);
    let said = verdict(&old);
    eprintln!("{said:?}");
    assert!(said.is_err(), "accepted: {said:?}");
}

/// The same where one function does both, at one instruction: it gives back what it is given, and reserves.
#[test]
fn a_function_does_not_reserve_again_what_it_gave_back() {
    const RING: [MapDef; 1] = [common::map(MapType::RingBuf, 0, 0, 4096)];
    let code = |given: [Insn; 2]| {
        vec![
            i(0xb7, 1, 0, 0, 0), // 0: r6 = exchange(nothing)
            i(0x85, 0, 1, 0, 9),
            i(0x15, 0, 0, 6, 0),
            i(0xbf, 6, 0, 0, 0),
            given[0], // 4
            given[1],
            i(0xbf, 1, 6, 0, 0), // 6: submit(r6)
            i(0xb7, 2, 0, 0, 0),
            i(0x85, 0, 0, 0, 132),
            i(0xb7, 0, 0, 0, 0), // 9
            EXIT,
            i(0x15, 1, 0, 2, 0), // 11: exchange
            i(0xb7, 2, 0, 0, 0),
            i(0x85, 0, 0, 0, 132),
            i(0x18, 1, 1, 0, 0), // 14
            i(0, 0, 0, 0, 0),
            i(0xb7, 2, 0, 0, 8),
            i(0xb7, 3, 0, 0, 0),
            i(0x85, 0, 0, 0, 131),
            EXIT,
        ]
    };
    let verdict = |code: &[Insn]| {
        let env = Env { maps: &RING, ..common::env() };
        verify(&Program { insns: code, lines: None }, &env).map_err(|r| r.to_string())
    };
    let nothing = i(0xb7, 0, 0, 0, 0);
    let once = verdict(&code([nothing, nothing]));
    assert!(once.is_ok(), "{once:?}");
    // exchange(r6): r6 is gone, and something else is held.
    let again = verdict(&code([i(0xbf, 1, 6, 0, 0), i(0x85, 0, 1, 0, 5)]));
    assert!(again.is_err(), "accepted: {again:?}");
}
