//! Weights against the compiler's own output, for every kind of instruction; the sum against every path through every small program.

extern crate std;
use super::*;
use axiom_bpf_isa::{Insn, MapDef};
use axiom_bpf_jit::{Compiler, Features};
use std::vec;
use std::vec::Vec;

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false }
}

/// Machine instructions of a program; `None` if the compiler does not know it.
fn words(program: &[Insn], lse: bool, zero_stack: bool) -> Option<u64> {
    let mut compiler = Compiler::new(Features { lse });
    compiler.set_zero_stack(zero_stack);
    let mut out = [0; 2048];
    let bytes = compiler.compile(program, &|_, _, _| Some(0x1234_5678_9abc_def0), &mut out).ok()?;
    Some(bytes as u64 / 4)
}

#[test]
fn no_instruction_becomes_more_than_its_weight() {
    let numbers =
        [0, 1, -1, 2, 255, 4095, 4096, 65535, 65536, -129, 0x1234_5678, -0x1234_5678, i32::MIN, i32::MAX];
    let offsets = [0, 1, 7, 8, -8, -128, -129, 255, 256, 257, 4095, 4096, -512, i16::MAX, i16::MIN];
    let (mut tried, mut most) = (0, 0);
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
                    for lse in [false, true] {
                        // A local call makes a function of what is called, with a frame of its own.
                        let without = if op == 0x85 && src == 1 {
                            continue;
                        } else {
                            words(&build(&[]), lse, false)
                        };
                        let Some((with, without)) = words(&build(&middle), lse, false).zip(without) else {
                            continue;
                        };
                        let weight = weight(&insn, &[], false);
                        assert_eq!(quick(&insn, &[], false), weight, "{insn:?}");
                        assert!(
                            with <= without + weight,
                            "{insn:?}: {} words, weight {weight}",
                            with - without
                        );
                        tried += 1;
                        most = most.max(with - without);
                    }
                }
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
    assert!(most >= 10, "{most}: the costliest are among them");
}

#[test]
fn frames_cost_no_more_than_is_counted() {
    // A function that saves everything, and is called.
    let callee = [i(0xbf, 6, 1, 0, 0), i(0xbf, 7, 10, 0, 0), i(0xbf, 8, 9, 0, 0), i(0x85, 0, 0, 0, 5), EXIT];
    let mut program = vec![i(0x85, 0, 1, 0, 1), EXIT];
    program.extend(callee);
    for zero_stack in [false, true] {
        let all = words(&program, false, zero_stack).unwrap();
        let cost = worst(&program, &[], 7, zero_stack).unwrap();
        assert!(cost.compiled >= RUN + all, "{} < {RUN} + {all}", cost.compiled);
        let entry = words(&callee, false, zero_stack).unwrap();
        let cost = worst(&callee, &[], 5, zero_stack).unwrap();
        assert!(cost.compiled >= RUN + entry, "{} < {RUN} + {entry}", cost.compiled);
    }
}

/// x86-64 shifts by CL alone where it has no BMI2, and clears a frame in a loop. Its moves and shifts have 3 bytes at most, so there
/// are at least a third as many of them as bytes.
#[test]
fn what_x86_64_has_no_instruction_for_is_counted_too() {
    use axiom_bpf_jit::x64;
    let bytes = |program: &[Insn]| {
        let mut compiler = Compiler::new(x64::Features { bmi2: false, blind: None });
        let mut out = [0; 2048];
        compiler.compile(program, &|_, _, _| None, &mut out).unwrap() as u64
    };
    for op in [0x6f, 0x7f, 0xcf, 0x6c, 0x7c, 0xcc] {
        for (dst, src) in [(0, 1), (1, 2), (4, 1), (1, 4), (4, 4), (3, 0), (0, 3)] {
            // What is in r3 is needed afterwards.
            let behind = [i(0x0f, 0, 3, 0, 0), EXIT];
            let shift = i(op, dst, src, 0, 0);
            let takes = bytes(&[&[shift][..], &behind].concat()) - bytes(&behind);
            assert!(3 * weight(&shift, &[], false) >= takes, "{shift:?}: {takes} bytes");
        }
    }
    // Two constants, and eight stores, an addition and a jump for each 64 of 512 bytes.
    const { assert!(CLEARED >= 2 + 8 * (8 + 2)) };
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
    Some(weight(insn, maps, false) + rest?)
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
    let lookup = weight(&i(0x85, 0, 0, 0, 1), &maps, false);
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
    let of = |def| weight(&call, &[def], false);
    assert!(of(map(MapType::Hash, 4, 8, 1000)) > 14_000, "all entries in one chain");
    assert!(of(map(MapType::LruHash, 4, 8, 1000)) > 2 * 14_000);
    assert!(of(map(MapType::Array, 4, 8, 100_000)) < 100);
    let output = i(0x85, 0, 0, 0, 130);
    assert!(weight(&output, &[map(MapType::RingBuf, 0, 0, 4096)], false) > 1024);
    let dynamic = i(0x8d, 1, 0, 0, 0);
    assert!(weight(&dynamic, &[], false) > PRINT, "whatever it calls");
    assert_eq!(
        worst(&[call, EXIT], &[map(MapType::Hash, 4, u32::MAX, u32::MAX)], 2, false).map(|c| c.hot),
        Some(None)
    );
}
