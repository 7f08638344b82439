//! Weights against the compilers' own output, for every kind of instruction and each machine; the sum against every path through every
//! small program.

mod length;

extern crate std;
use super::*;
use axiom_bpf_isa::{Insn, MapDef};
use axiom_bpf_jit::{Compiler, Features, x64};
use std::vec;
use std::vec::Vec;

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false }
}

/// A machine as it is compiled for: AArch64 with and without single-instruction atomics, x86-64 with and without BMI2, and both with
/// blinded constants.
const MACHINES: [(Machine, bool); 7] = [
    (Machine::A64, false),
    (Machine::A64, true),
    (Machine::X64, false),
    (Machine::X64, true),
    (Machine::A64Blinded, false),
    (Machine::X64Blinded, false),
    (Machine::X64Blinded, true),
];

/// Machine instructions of a program; `None` if the compiler does not know it.
fn count((machine, newer): (Machine, bool), program: &[Insn], zero_stack: bool) -> Option<u64> {
    let mut out = [0; 4096];
    let resolve = |_: u8, _: i32, _: i32| Some(0x1234_5678_9abc_def0);
    // A number whose halves are long.
    let blind = (machine == machine.blinded()).then_some(0x9e37_79b9_7f4a_7c15);
    match machine {
        Machine::A64 | Machine::A64Blinded => {
            let mut compiler = Compiler::new(Features { lse: newer, blind });
            compiler.set_zero_stack(zero_stack);
            compiler.compile(program, &resolve, &mut out).ok().map(|bytes| bytes as u64 / 4)
        }
        Machine::X64 | Machine::X64Blinded => {
            let mut compiler = Compiler::new(x64::Features { bmi2: newer, blind });
            compiler.set_zero_stack(zero_stack);
            let bytes = compiler.compile(program, &resolve, &mut out).ok()?;
            Some(length::instructions(&out[..bytes]))
        }
    }
}

#[test]
fn no_instruction_becomes_more_than_its_weight() {
    let numbers =
        [0, 1, -1, 2, 255, 4095, 4096, 65535, 65536, -129, 0x1234_5678, -0x1234_5678, i32::MIN, i32::MAX];
    let offsets = [0, 1, 7, 8, -8, -128, -129, 255, 256, 257, 4095, 4096, -512, i16::MAX, i16::MIN];
    let (mut tried, mut most, mut tight) = ([0; 4], [0; 4], [0; 4]);
    for op in 0..=255u8 {
        if op & 7 == 0 && op != 0x18 || op == 0x95 {
            continue;
        }
        for (dst, src) in [(0, 1), (6, 7), (1, 1), (0, 10), (10, 2), (10, 10), (9, 0)] {
            for imm in numbers {
                for off in offsets {
                    let jump = matches!(op & 7, 5 | 6);
                    // A jump leads to the next instruction or the one behind it.
                    let (off, imm) = if jump && op != 0x85 {
                        ((off & 1), if op == 0x06 { imm & 1 } else { imm })
                    } else if op == 0x85 {
                        (0, if src == 1 { 1 } else { 5 })
                    } else {
                        (off, imm)
                    };
                    let insn = i(op, dst, src, off, imm);
                    let second = (op == 0x18).then(|| i(0, 0, 0, 0, 0x7654_3210));
                    // With and without it, among instructions that name everything that a frame may have to hold.
                    let frame =
                        [i(0xbf, 6, 10, 0, 0), i(0xbf, 7, 1, 0, 0), i(0xbf, 8, 9, 0, 0), i(0x85, 0, 0, 0, 5)];
                    let end = [i(0x07, 0, 0, 0, 1), EXIT, i(0xb7, 0, 0, 0, 0), EXIT];
                    let build = |middle: &[Insn]| {
                        let mut p = frame.to_vec();
                        p.extend(middle);
                        p.extend(end);
                        p
                    };
                    let middle: Vec<Insn> = core::iter::once(insn).chain(second).collect();
                    // A local call makes a function of what is called, with a frame of its own.
                    if op == 0x85 && src == 1 {
                        continue;
                    }
                    let (with, without) = (build(&middle), build(&[]));
                    for on in MACHINES {
                        let both = count(on, &with, false).zip(count(on, &without, false));
                        let Some((with, without)) = both else { continue };
                        let weight = weight(on.0, &insn, &[], false);
                        let simple = SIMPLE[on.0 as usize].weight(&insn);
                        assert!(simple == 0 || simple == weight, "{insn:?}");
                        let leads_back = target(0, &insn).is_some_and(|t| t <= 0);
                        assert!(simple == 0 || !leads_back && op != opcode::LDDW, "{insn:?}");
                        let makes = with - without.min(with);
                        assert!(makes <= weight, "{on:?}, {insn:?}: {makes} instructions, weight {weight}");
                        tried[on.0 as usize] += 1;
                        most[on.0 as usize] = makes.max(most[on.0 as usize]);
                        tight[on.0 as usize] += u32::from(makes == weight);
                    }
                }
            }
        }
    }
    for machine in 0..4 {
        assert!(tried[machine] > 10_000, "{tried:?}");
        assert!(most[machine] >= 10, "{most:?}: the costliest are among them");
    }
    // Weights of one machine say less of the other.
    assert!(tight[0] * 3 > tried[0] && tight[1] * 3 > tried[1] * 2, "{tight:?} of {tried:?}");
}

#[test]
fn frames_cost_no_more_than_is_counted() {
    // A function that saves everything, and is called.
    let callee = [i(0xbf, 6, 1, 0, 0), i(0xbf, 7, 10, 0, 0), i(0xbf, 8, 9, 0, 0), i(0x85, 0, 0, 0, 5), EXIT];
    let mut program = vec![i(0x85, 0, 1, 0, 1), EXIT];
    program.extend(callee);
    for (on, zero_stack) in MACHINES.into_iter().flat_map(|on| [(on, false), (on, true)]) {
        let all = count(on, &program, zero_stack).unwrap();
        let cost = worst_on(on.0, &program, &[], 7, zero_stack).unwrap();
        assert!(cost.compiled >= RUN + all, "{} < {RUN} + {all}", cost.compiled);
        let entry = count(on, &callee, zero_stack).unwrap();
        let cost = worst_on(on.0, &callee, &[], 5, zero_stack).unwrap();
        assert!(cost.compiled >= RUN + entry, "{} < {RUN} + {entry}", cost.compiled);
    }
}

/// What x86-64 clears a frame with is a loop: two constants, and eight stores, an addition and a jump for each 64 of 512 bytes.
const _: () = assert!(CLEARED >= 2 + 8 * (8 + 2));

/// x86-64 aligns loops with what does nothing: by no more than is counted, and by that much at some places.
#[test]
fn what_comes_before_a_loop_is_counted() {
    let mut most = 0;
    for before in 0..16 {
        // An addition has a different length for each kind of number; then a loop, and an inner one.
        let mut program = vec![i(0xb7, 0, 0, 0, 1); 1 + before % 3];
        program.extend(vec![i(0x57, 0, 0, 0, 7); before]);
        program.extend([i(0x17, 0, 0, 0, 1), i(0x57, 0, 0, 0, 1), i(0x17, 1, 0, 0, 1)]);
        program.extend([i(0x55, 1, 0, -2, 0), i(0x55, 0, 0, -5, 0), EXIT]);
        let mut straight = program.clone();
        straight.iter_mut().filter(|insn| insn.op == 0x55).for_each(|insn| insn.off = 0);
        let nothing = count((Machine::X64, true), &program, false).unwrap()
            - count((Machine::X64, true), &straight, false).unwrap();
        assert!(nothing <= 2 * Machine::X64.before_loop(), "{before}: {nothing}");
        most = nothing.max(most);
        // Counted: each pass of the outer loop goes through what aligns the inner one.
        let with = worst_on(Machine::X64, &program, &[], 100, false).unwrap();
        let without = worst_on(Machine::A64, &program, &[], 100, false).unwrap();
        assert!(with.compiled >= without.compiled + 25, "{with:?} {without:?}");
    }
    assert!(most >= 3, "{most}: both loops were aligned");
}

/// The costliest way through a program to its end, if it gets there in so many instructions.
fn costliest(program: &[Insn], maps: &[MapDef], at: usize, left: u64) -> Option<u64> {
    let insn = program.get(at).filter(|_| left > 0)?;
    let way = |to: i64| costliest(program, maps, usize::try_from(to).ok()?, left - 1);
    let next = at as i64 + 1;
    let there = next + i64::from(insn.off);
    let rest = match insn.op {
        0x95 => Some(0),
        0x05 => way(there),
        0x15 => way(next).max(way(there)),
        _ => way(next),
    };
    Some(weight(Machine::A64, insn, maps, false) + rest?)
}

#[test]
fn no_way_through_any_small_program_costs_more_than_is_counted() {
    let maps = [map(MapType::Hash, 4, 8, 64)];
    let length = 5usize;
    let mut alphabet = vec![i(0xb7, 0, 0, 0, 0), i(0x85, 0, 0, 0, 1), EXIT];
    for off in -4..=2i16 {
        alphabet.extend([i(0x05, 0, 0, off, 0), i(0x15, 1, 0, off, 0)]);
    }
    let mut tried = 0u64;
    let mut tight = 0u64;
    let total = alphabet.len().pow(length as u32);
    for n in 0..total {
        let mut rest = n;
        let program: Vec<Insn> = (0..length)
            .map(|_| {
                let insn = alphabet[rest % alphabet.len()];
                rest /= alphabet.len();
                insn
            })
            .chain([EXIT])
            .collect();
        let inside =
            |at: usize, insn: &Insn| target(at, insn).is_none_or(|t| (0..program.len() as i64).contains(&t));
        // Every 23rd: each pair of instructions comes in every place many times.
        if n % 23 != 0 || !program.iter().enumerate().all(|(at, insn)| inside(at, insn)) {
            continue;
        }
        tried += 1;
        for most in [6, 9] {
            let bound = worst(&program, &maps, most, false).unwrap().compiled - RUN - 16;
            // Without a way back each instruction runs once, whatever `most` says.
            let Some(real) = costliest(&program, &maps, 0, most) else { continue };
            assert!(real <= bound, "{program:?}: {real} > {bound} in {most}");
            tight += u64::from(real * 2 > bound);
        }
    }
    assert!(tried > 5_000, "{tried}");
    assert!(tight * 3 > tried, "{tight} of {tried}: the sum says little");
}

#[test]
fn the_loop_that_is_named_is_the_innermost() {
    let outer = [
        i(0xb7, 1, 0, 0, 0),
        i(0xb7, 2, 0, 0, 0),
        i(0x07, 2, 0, 0, 1),
        i(0xa5, 2, 0, -2, 10),
        i(0x07, 1, 0, 0, 1),
        i(0xa5, 1, 0, -5, 10),
        EXIT,
    ];
    assert_eq!(worst(&outer, &[], 300, false).unwrap().hot, Some(3));
    assert_eq!(worst(&[EXIT], &[], 1, false).unwrap(), Cost { compiled: RUN + 24, hot: None });
}

#[test]
fn a_helper_in_a_loop_counts_for_its_block_only() {
    let maps = [map(MapType::Array, 4, 8, 4)];
    let lookup = weight(Machine::BOARD, &i(0x85, 0, 0, 0, 1), &maps, false);
    // One call, then a loop of additions.
    let program = [i(0x85, 0, 0, 0, 1), i(0x07, 6, 0, 0, 1), i(0xa5, 6, 0, -2, 1000), EXIT];
    let cost = worst(&program, &maps, 2002, false).unwrap().compiled;
    assert!(cost > RUN + lookup && cost < RUN + lookup + 2002 * 4 + 100, "{cost}");
    // The same call in the loop.
    let program = [i(0x85, 0, 0, 0, 1), i(0x07, 6, 0, 0, 1), i(0xa5, 6, 0, -3, 1000), EXIT];
    assert!(worst(&program, &maps, 3001, false).unwrap().compiled > 1000 * lookup);
}

#[test]
fn what_keys_can_be_chosen_for_is_counted() {
    let call = i(0x85, 0, 0, 0, 1);
    let of = |def| weight(Machine::BOARD, &call, &[def], false);
    assert!(of(map(MapType::Hash, 4, 8, 1000)) > 14_000, "all entries in one chain");
    assert!(of(map(MapType::LruHash, 4, 8, 1000)) > 2 * 14_000);
    assert!(of(map(MapType::Array, 4, 8, 100_000)) < 100);
    let output = i(0x85, 0, 0, 0, 130);
    assert!(weight(Machine::BOARD, &output, &[map(MapType::RingBuf, 0, 0, 4096)], false) > 1024);
    let dynamic = i(0x8d, 1, 0, 0, 0);
    assert!(weight(Machine::BOARD, &dynamic, &[], false) > PRINT, "whatever it calls");
    assert_eq!(
        worst(&[call, EXIT], &[map(MapType::Hash, 4, u32::MAX, u32::MAX)], 2, false).map(|c| c.hot),
        Some(None)
    );
}
