//! The compilers against the interpreter at what a sample of changes of the compilers showed to be looked at by no test: every operation
//! with every pair of registers, r10 as an operand, every base of a load and a store, the source of an atomic that is its base, jumps as
//! far as there are, helpers by number at the ends of the table, and the numbers that split constants.

mod common;

use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{CompileError, Compiler, Features, Machine, no_maps, x64};
use common::*;

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

/// r0 becomes a digest of all registers.
fn digest(p: &mut Vec<Insn>) {
    for r in 1..10 {
        p.push(i(0x27, 0, 0, 0, 31));
        p.push(i(0x0f, 0, r, 0, 0));
    }
    p.push(EXIT);
}

/// Each register holds a number of its own.
fn numbers(p: &mut Vec<Insn>) {
    for r in 0..10u8 {
        p.extend(lddw(r, 0x9182_7364_5546_3728u64.wrapping_mul(2 * u64::from(r) + 1)));
    }
}

/// Operations without those of division, with their `off`.
const OPERATIONS: [(u8, i16); 14] = [
    (0x00, 0),
    (0x10, 0),
    (0x20, 0),
    (0x40, 0),
    (0x50, 0),
    (0xa0, 0),
    (0x60, 0),
    (0x70, 0),
    (0xc0, 0),
    (0x80, 0),
    (0xb0, 0),
    (0xb0, 8),
    (0xb0, 16),
    (0xb0, 32),
];

#[test]
fn every_operation_with_every_pair_of_registers() {
    let mut cases = Vec::new();
    for class in [4u8, 7] {
        for (operation, off) in OPERATIONS {
            if (operation, class) == (0xb0, 4) && off == 32 {
                continue;
            }
            for d in 0..10u8 {
                for s in 0..10u8 {
                    let mut p = Vec::new();
                    numbers(&mut p);
                    match operation {
                        0x80 => p.push(i(class | operation, d, 0, 0, 0)),
                        _ => p.push(i(class | operation | 8, d, s, off, 0)),
                    }
                    digest(&mut p);
                    cases.push((format!("{:#x} off {off} r{d} r{s}", class | operation), p));
                }
            }
        }
    }
    check_all(&cases);
}

#[test]
fn every_operation_with_every_register_and_a_constant() {
    let immediates = [0, 1, -1, 2, 3, 5, 8, 9, 31, 127, 128, -128, -129, 255, 0xffff, 0x1234_5678, i32::MIN];
    let mut cases = Vec::new();
    for class in [4u8, 7] {
        for operation in [0x00u8, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xb0, 0xc0] {
            for imm in immediates {
                for d in 0..10u8 {
                    let mut p = Vec::new();
                    numbers(&mut p);
                    // Once where every register is wanted, once where nothing but the result is.
                    p.push(i(class | operation, d, 0, 0, imm));
                    digest(&mut p);
                    cases.push((format!("{:#x} r{d} {imm}", class | operation), p));
                    let mut p = lddw(d, 0xfedc_ba98_8654_3210).to_vec();
                    p.extend([i(class | operation, d, 0, 0, imm), i(0xbf, 0, d, 0, 0), EXIT]);
                    cases.push((format!("alone {:#x} r{d} {imm}", class | operation), p));
                }
            }
        }
    }
    for (op, width) in [0xd4u8, 0xdc, 0xd7].into_iter().flat_map(|op| [16, 32, 64].map(|w| (op, w))) {
        for d in 0..10u8 {
            let mut p = Vec::new();
            numbers(&mut p);
            p.push(i(op, d, 0, 0, width));
            digest(&mut p);
            cases.push((format!("{op:#x} r{d} {width}"), p));
        }
    }
    check_all(&cases);
}

/// The engines' frames lie elsewhere: what an operation makes of r10 is compared with what it makes of a copy.
#[test]
fn the_frame_as_an_operand() {
    let mut cases = Vec::new();
    for class in [4u8, 7] {
        for (operation, off) in OPERATIONS.into_iter().chain([(0x30, 0), (0x30, 1), (0x90, 0), (0x90, 1)]) {
            if operation == 0x80 || (operation, class) == (0xb0, 4) && off == 32 {
                continue;
            }
            for d in 0..10u8 {
                for calls in [false, true] {
                    let (e, f) = ((d + 3) % 10, (d + 5) % 10);
                    let mut p = Vec::new();
                    if calls {
                        p.extend((1..6).map(|r| i(0xb7, r, 0, 0, 1)));
                        p.push(i(0x85, 0, 0, 0, 1));
                    }
                    p.extend(lddw(d, 0xfedc_ba98_7654_3210));
                    p.extend(lddw(e, 0xfedc_ba98_7654_3210));
                    p.push(i(0xbf, f, 10, 0, 0));
                    p.push(i(class | operation | 8, d, 10, off, 0));
                    p.push(i(class | operation | 8, e, f, off, 0));
                    p.extend([i(0xaf, d, e, 0, 0), i(0xbf, 0, d, 0, 0), EXIT]);
                    cases.push((format!("{:#x} off {off} r{d} r10 calls {calls}", class | operation | 8), p));
                }
            }
        }
    }
    // Stored, and compared with what is above it and below it.
    for by in [-8, 0, 8] {
        for operation in [0x10u8, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            for r in 0..10u8 {
                for (d, s) in [(10, r), (r, 10)] {
                    let mut p = vec![i(0xbf, r, 10, 0, 0), i(0x7b, 10, 10, -16, 0)];
                    p.push(i(0x79, r, 10, -16, 0));
                    p.push(i(0x07, r, 0, 0, by));
                    p.push(i(5 | operation | 8, d, s, 2, 0));
                    p.extend([i(0xb7, 0, 0, 0, 1), EXIT, i(0xb7, 0, 0, 0, 2), EXIT]);
                    cases.push((format!("{:#x} r{d} r{s} {by}", 5 | operation | 8), p));
                }
            }
        }
    }
    check_all(&cases);
}

#[test]
fn every_jump_with_every_pair_of_registers() {
    let pairs =
        [(7u64, 9u64), (9, 7), (1 << 63 | 5, 5), (5, 1 << 63 | 5), (0x8000_0001, 3), (3, 0x8000_0001)];
    let mut cases = Vec::new();
    for class in [5u8, 6] {
        for operation in [0x10u8, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            for d in 0..10u8 {
                for s in 0..10u8 {
                    for (a, b) in pairs {
                        let mut p = lddw(d, a).to_vec();
                        p.extend(lddw(s, b));
                        p.push(i(class | operation | 8, d, s, 2, 0));
                        p.extend([i(0xb7, 0, 0, 0, 1), EXIT, i(0xb7, 0, 0, 0, 2), EXIT]);
                        cases.push((format!("{:#x} r{d} r{s} {a:#x} {b:#x}", class | operation | 8), p));
                    }
                }
                for imm in [0, 1, -1, 127, 128, -129, 0x100, 0x1234_5678, i32::MIN] {
                    for a in [0u64, 1, 1 << 63, 0xffff_ffff, imm as i64 as u64, imm as u32 as u64 | 1 << 40] {
                        let mut p = lddw(d, a).to_vec();
                        p.push(i(class | operation, d, 0, 2, imm));
                        p.extend([i(0xb7, 0, 0, 0, 1), EXIT, i(0xb7, 0, 0, 0, 2), EXIT]);
                        cases.push((format!("{:#x} r{d} {a:#x} {imm}", class | operation), p));
                    }
                }
            }
        }
    }
    check_all(&cases);
}

/// The context's address at `base`, such that `base + off` is its byte 64, then the access; no address is left anywhere.
fn access(base: u8, other: u8, off: i16, insn: Insn) -> Vec<Insn> {
    let mut p = vec![i(0xbf, base, 1, 0, 0)];
    for r in (0..10u8).filter(|r| *r != base) {
        p.extend(lddw(r, 0x9182_7364_5546_3728u64.wrapping_mul(2 * u64::from(r) + 1)));
    }
    p.push(i(0x07, base, 0, 0, 64 - i32::from(off)));
    p.push(insn);
    if base != other || matches!(insn.op & 7, 2 | 3) {
        p.push(i(0xb7, base, 0, 0, 5));
    }
    digest(&mut p);
    p
}

#[test]
fn every_base_of_a_load_and_a_store() {
    let mut cases = Vec::new();
    for off in [0i16, 1, 8, -1, 127, 128, -128, -129, 255, 256, -256, -257, 4095, 4096, 8191, 32760, i16::MIN]
    {
        for base in 0..10u8 {
            for other in 0..10u8 {
                for op in [0x61u8, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91] {
                    let p = access(base, other, off, i(op, other, base, off, 0));
                    cases.push((format!("load {op:#x} r{other} [r{base} {off:+}]"), p));
                }
                for op in [0x63u8, 0x6b, 0x73, 0x7b].into_iter().filter(|_| base != other) {
                    let p = access(base, other, off, i(op, base, other, off, 0));
                    cases.push((format!("store {op:#x} [r{base} {off:+}] r{other}"), p));
                }
            }
            for op in [0x62u8, 0x6a, 0x72, 0x7a] {
                for imm in [0, 0x7f, -2, 0x1234_5678, i32::MIN] {
                    let p = access(base, base, off, i(op, base, 0, off, imm));
                    cases.push((format!("store {op:#x} [r{base} {off:+}] {imm}"), p));
                }
            }
        }
    }
    for off in [-8i16, -16, -64, -128, -136, -256, -264, -504, -512] {
        for other in 0..10u8 {
            for (store, load) in [
                (0x63u8, 0x61u8),
                (0x6b, 0x69),
                (0x73, 0x71),
                (0x7b, 0x79),
                (0x63, 0x81),
                (0x6b, 0x89),
                (0x73, 0x91),
            ] {
                let mut p = Vec::new();
                numbers(&mut p);
                p.extend([i(0x7a, 10, 0, off, -1), i(store, 10, other, off, 0), i(load, 0, 10, off, 0)]);
                p.push(i(0x79, 6, 10, off, 0));
                p.extend([i(0x72, 10, 0, off, 77), i(0x62, 10, 0, off + 4, 0), i(0x79, 7, 10, off, 0)]);
                digest(&mut p);
                cases.push((format!("frame {off} {store:#x} {load:#x} r{other}"), p));
            }
        }
    }
    check_all(&cases);
}

/// The source is the base: what is stored is an address, which is taken away again; what is fetched is a number.
#[test]
fn an_atomic_whose_source_is_its_base() {
    let mut cases = Vec::new();
    for op in [0xc3u8, 0xdb] {
        for imm in [0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1] {
            for base in 0..9u8 {
                for off in [0i16, 24, -8, 300] {
                    for stack in [false, true] {
                        let mut p = vec![i(0xbf, 9, 1, 0, 0)];
                        for r in (0..9u8).filter(|r| *r != base) {
                            p.extend(lddw(r, 0x0102_0304_0506_0708 * u64::from(r + 1)));
                        }
                        let (from, at) = if stack { (10, -64) } else { (9, 64) };
                        p.extend([i(0xbf, base, from, 0, 0), i(0x07, base, 0, 0, at - i32::from(off))]);
                        p.extend(lddw(if base == 8 { 7 } else { 8 }, 0x8877_6655_4433_2211));
                        p.push(i(0x7b, from, if base == 8 { 7 } else { 8 }, at as i16, 0));
                        p.push(i(op, base, base, off, imm));
                        p.push(i(0x7a, from, 0, at as i16, 6));
                        // Compare-and-exchange fetches into r0; without FETCH the base is as it was.
                        let fetched = imm & 1 == 1 && (imm != 0xf1 || base == 0);
                        if !fetched {
                            p.push(i(0xb7, base, 0, 0, 5));
                        }
                        p.push(i(0xb7, 9, 0, 0, 3));
                        digest(&mut p);
                        cases.push((format!("{op:#x} {imm:#x} r{base} off {off} stack {stack}"), p));
                    }
                }
            }
        }
    }
    check_all(&cases);
}

/// A function may name its frame as a source alone, and what it is given, and so may its caller: each has its own all the same.
#[test]
fn what_is_named_as_a_source_alone() {
    let mut cases = Vec::new();
    for in_entry in [false, true] {
        for r in [0u8, 2, 3, 6, 9] {
            let own = |p: &mut Vec<Insn>, n: i32| {
                p.extend([i(0xbf, 5, 10, 0, 0), i(0x07, 5, 0, 0, -8), i(0x7a, 5, 0, 0, n)]);
            };
            let mut p = vec![i(0xb7, 4, 0, 0, 9)];
            if in_entry {
                own(&mut p, 77);
                p.push(i(0xbf, 1, 5, 0, 0));
            }
            p.extend([i(0x85, 0, 1, 0, 0), i(0xb7, 7, 0, 0, 0)]);
            let call = p.len() - 2;
            if in_entry {
                p.extend([i(0xbf, 5, 10, 0, 0), i(0x79, 7, 5, -8, 0)]);
            }
            p.extend([i(0x0f, 0, 7, 0, 0), EXIT]);
            p[call].imm = (p.len() - call - 1) as i32;
            own(&mut p, 1000);
            // r4 is what the caller left there.
            p.extend([i(0xb7, r, 0, 0, 3), i(0x79, 8, 5, 0, 0), i(0x0f, 8, 4, 0, 0), i(0x0f, 8, r, 0, 0)]);
            p.extend([i(0xbf, 0, 8, 0, 0), EXIT]);
            cases.push((format!("in the entry {in_entry} r{r}"), p));
        }
    }
    check_all(&cases);
}

/// Jumps of every kind, to both sides of what fits into the shorter of two forms, and as far as there are.
#[test]
fn far_jumps() {
    let mut cases = Vec::new();
    let kinds = [
        (0x05u8, 0),
        (0x55, 0),
        (0x15, 0),
        (0x56, 0),
        (0x45, 4),
        (0x45, 6),
        (0x45, -1),
        (0x46, i32::MIN),
        (0xc5, 0),
        (0xd5, -1),
        (0x65, -1),
        (0x75, 0),
        (0x76, 0),
        (0xc6, 0),
        (0xa5, 100),
        (0x1d, 0),
        (0x2e, 0),
    ];
    for (op, imm) in kinds {
        for distance in [335i16, 340, 341, 342, 345, 2100, 32_000] {
            for value in [0u64, 4, u64::MAX] {
                for wide in [false, true] {
                    if distance > 400 && (wide || value == 0) {
                        continue;
                    }
                    let filler = if wide {
                        lddw(7, 0x1234_5678_9abc_def1).to_vec()
                    } else {
                        vec![i(0x07, 7, 0, 0, 1)]
                    };
                    let s = if op & 8 != 0 && op & 7 > 4 { 8 } else { 0 };
                    let fill = |p: &mut Vec<Insn>, slots: i16| {
                        while !p.len().is_multiple_of(2) {
                            p.push(i(0x07, 7, 0, 0, 1));
                        }
                        let end = (p.len() + slots as usize) & !1;
                        while p.len() < end {
                            p.extend(&filler);
                        }
                    };
                    // On.
                    let mut p = lddw(3, value).to_vec();
                    p.extend(lddw(8, 4));
                    p.extend([i(0xb7, 7, 0, 0, 0), i(0xb7, 0, 0, 0, 1)]);
                    let at = p.len();
                    p.push(i(op, if op == 0x05 { 0 } else { 3 }, s, 0, imm));
                    fill(&mut p, distance);
                    p.push(i(0xb7, 0, 0, 0, 2));
                    p[at].off = (p.len() - at - 1) as i16;
                    p.extend([i(0x0f, 0, 7, 0, 0), EXIT]);
                    cases.push((format!("{op:#x} {imm} {value:#x} on by {distance} wide {wide}"), p));
                    // Back, once.
                    let mut p = lddw(3, value).to_vec();
                    p.extend(lddw(8, 4));
                    p.extend([i(0xb7, 7, 0, 0, 0), i(0xb7, 6, 0, 0, 0)]);
                    let top = p.len();
                    p.extend([i(0x07, 6, 0, 0, 1), i(0x25, 6, 0, 0, 1)]);
                    let over = p.len() - 1;
                    fill(&mut p, distance);
                    let at = p.len();
                    p.push(i(
                        op,
                        if op == 0x05 { 0 } else { 3 },
                        s,
                        (top as i64 - at as i64 - 1) as i16,
                        imm,
                    ));
                    p[over].off = (p.len() - over - 1) as i16;
                    p.extend([i(0xbf, 0, 7, 0, 0), i(0x27, 0, 0, 0, 8), i(0x0f, 0, 6, 0, 0), EXIT]);
                    cases.push((format!("{op:#x} {imm} {value:#x} back by {distance} wide {wide}"), p));
                }
            }
        }
    }
    // Further than 16 bits: on, back, and out.
    let mut p = vec![i(0xb7, 0, 0, 0, 1), i(0x06, 0, 0, 0, 40_000)];
    p.extend((0..40_000).map(|_| i(0x07, 0, 0, 0, 2)));
    p.extend([i(0x07, 0, 0, 0, 4), i(0x25, 0, 0, 1, 50_000), i(0x06, 0, 0, 0, -40_003), EXIT]);
    cases.push(("far".into(), p));
    check_all(&cases);
}

/// Functions that lie in every order, far from each other, called from several places.
#[test]
fn calls_of_many_functions() {
    const FUNCTIONS: usize = 40;
    let mut r = Random(7);
    let mut cases = Vec::new();
    for n in 0..30 {
        let mut p = vec![i(0xb7, 0, 0, 0, 0)];
        let mut calls = Vec::new();
        for f in 0..FUNCTIONS {
            p.push(i(0xb7, 1, 0, 0, f as i32));
            calls.push((p.len(), f));
            p.extend([i(0x85, 0, 1, 0, 0), i(0x27, 6, 0, 0, 31), i(0x0f, 6, 0, 0, 0)]);
        }
        p.insert(0, i(0xb7, 6, 0, 0, 1));
        calls.iter_mut().for_each(|c| c.0 += 1);
        p.extend([i(0xbf, 0, 6, 0, 0), EXIT]);
        let mut starts = vec![0; FUNCTIONS];
        let mut order: Vec<usize> = (0..FUNCTIONS).collect();
        for k in (1..FUNCTIONS).rev() {
            order.swap(k, r.below(k as u64 + 1) as usize);
        }
        for f in order {
            starts[f] = p.len();
            p.extend([i(0xbf, 0, 1, 0, 0), i(0x27, 0, 0, 0, 1 + f as i32), i(0xb7, 7, 0, 0, n)]);
            p.extend((0..r.below(300)).map(|_| i(0x07, 0, 0, 0, 3)));
            // Some call the next one: four deep at most.
            if r.below(2) == 0 && f % 4 != 3 {
                p.push(i(0xbf, 7, 0, 0, 0));
                p.push(i(0xb7, 1, 0, 0, 9));
                calls.push((p.len(), f + 1));
                p.extend([i(0x85, 0, 1, 0, 0), i(0x0f, 0, 7, 0, 0)]);
            }
            p.push(EXIT);
        }
        for (at, f) in calls {
            p[at].imm = (starts[f] as i64 - at as i64 - 1) as i32;
        }
        cases.push((format!("functions {n}"), p));
    }
    check_all(&cases);
}

/// The ends of both ranges of helpers, by number and by register.
#[test]
fn helpers_at_the_ends_of_the_table() {
    let ids = [
        0u64,
        1,
        5,
        6,
        222,
        223,
        224,
        225,
        254,
        255,
        256,
        0xffff,
        0x1_0000,
        0x1_0001,
        0x1_001e,
        0x1_001f,
        0x1_0020,
        0x1_0100,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_0000_0001,
        0x1_0001_0000,
        1 << 63,
        u64::MAX,
    ];
    let known = |id: u64| id < 224 || (0x1_0000..0x1_001f).contains(&id);
    let mut cases = Vec::new();
    for id in ids {
        for r in [0u8, 6, 7, 8, 9] {
            let mut p = Vec::new();
            numbers(&mut p);
            p.extend(lddw(r, id));
            p.push(i(0x8d, r, 0, 0, 0));
            p.extend((1..6).map(|r| i(0xb7, r, 0, 0, 1)));
            digest(&mut p);
            cases.push((format!("callx {id:#x} in r{r}"), p));
        }
        if known(id) {
            let mut p = Vec::new();
            numbers(&mut p);
            p.push(i(0x85, 0, 0, 0, id as i32));
            p.extend((1..6).map(|r| i(0xb7, r, 0, 0, 1)));
            digest(&mut p);
            cases.push((format!("call {id:#x}"), p));
        }
    }
    check_all(&cases);
}

/// Where constants are blinded, no instruction that could take one in goes past that: pairs, addresses, masks, comparisons.
#[test]
fn no_form_takes_a_constant_past_the_blinding() {
    const WORD: i32 = 0x0f05_90cc;
    let programs: Vec<Vec<Insn>> = vec![
        vec![i(0xbf, 3, 1, 0, 0), i(0x07, 3, 0, 0, WORD)],
        vec![i(0x0f, 3, 1, 0, 0), i(0x07, 3, 0, 0, WORD)],
        vec![i(0x07, 3, 0, 0, WORD), i(0x0f, 3, 1, 0, 0)],
        vec![i(0x67, 3, 0, 0, 2), i(0x07, 3, 0, 0, WORD)],
        vec![i(0xbf, 3, 1, 0, 0), i(0x07, 3, 0, 0, WORD), i(0x79, 3, 3, 0, 0)],
        vec![i(0xbf, 3, 1, 0, 0), i(0x0f, 3, 2, 0, 0), i(0x07, 3, 0, 0, WORD), i(0x71, 3, 3, 0, 0)],
        lddw(3, WORD as u64).to_vec(),
        lddw(3, (WORD as u64) << 16 | 1 << 60).to_vec(),
        vec![i(0x45, 3, 0, 0, WORD)],
        vec![i(0x46, 3, 0, 0, WORD)],
        vec![i(0x54, 3, 0, 0, WORD)],
        vec![i(0x24, 3, 0, 0, WORD)],
        vec![i(0x94, 3, 0, 0, WORD)],
    ];
    let bytes = WORD.to_le_bytes();
    for mut p in programs {
        p.extend([i(0xb7, 0, 0, 0, 0), EXIT]);
        for seed in 0..100u64 {
            let features =
                x64::Features { bmi2: false, blind: Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) };
            let code = compiled(features, &p);
            assert!(!code.windows(3).any(|w| w == &bytes[..3]), "seed {seed}: {p:x?}\n{code:02x?}");
        }
    }
}

fn compiled(features: x64::Features, p: &[Insn]) -> Vec<u8> {
    let mut code = vec![0; 1 << 16];
    let n = Compiler::new(features).compile(p, &no_maps, &mut code).unwrap_or_else(|e| panic!("{e}"));
    code.truncate(n);
    code
}

/// What splits constants: the numbers of xorshift64* from the seed, one for each constant, 32 bits of it or all.
#[test]
fn constants_are_split_by_the_numbers_of_the_seed() {
    for seed in [0u64, 1, 2, 77, u64::MAX, 0x1234_5678_9abc_def0] {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let wide = 0x0123_4567_89ab_cdefu64;
        let mut p = Vec::new();
        for n in 0..50 {
            match n % 2 {
                0 => p.push(i(0xb7, 6, 0, 0, 0x0102_0304)),
                _ => p.extend(lddw(6, wide)),
            }
        }
        p.push(EXIT);
        let code = compiled(x64::Features { bmi2: false, blind: Some(seed) }, &p);
        let mut from = 0;
        let mut find = |what: &[u8]| {
            let at = code[from..].windows(what.len()).position(|w| w == what);
            from +=
                at.unwrap_or_else(|| panic!("seed {seed:#x}: no {what:02x?} from {from} on")) + what.len();
        };
        let mut keys = Vec::new();
        for n in 0..50 {
            let key = next();
            keys.push(key);
            if n % 2 == 0 {
                // As `mov` has it, then the key in `xor rbx, key`.
                find(&(0x0102_0304 ^ key as i32).to_le_bytes());
                find(&[&[0x48, 0x81, 0xf3], &(key as i32).to_le_bytes()[..]].concat());
            } else {
                find(&(wide ^ key).to_le_bytes());
                find(&key.to_le_bytes());
            }
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 50, "seed {seed:#x}: numbers come again");
    }
}

/// What is refused is named by its place.
#[test]
fn refusals_name_their_place() {
    fn check<M: Machine>(machine: M) {
        let refused = |p: &[Insn]| {
            let mut code = vec![0; 4096];
            Compiler::new(machine).compile(p, &no_maps, &mut code).expect_err("it is refused")
        };
        let (mov, wide) = (i(0xb7, 0, 0, 0, 1), |src| i(0x18, 1, src, 0, 7));
        let beyond = |at, target| CompileError::BadTarget { at, target };
        assert_eq!(refused(&[]), beyond(0, 0));
        assert_eq!(refused(&[mov, wide(0)]), beyond(1, 2));
        assert_eq!(refused(&[mov, i(0x05, 0, 0, 1, 0), EXIT]), beyond(1, 3));
        assert_eq!(refused(&[mov, i(0x15, 0, 0, -3, 0), EXIT]), beyond(1, -1));
        assert_eq!(refused(&[mov, i(0x06, 0, 0, 0, 70_000), EXIT]), beyond(1, 70_002));
        assert_eq!(refused(&[mov, i(0x85, 0, 1, 0, 5), EXIT]), beyond(1, 7));
        assert_eq!(refused(&[mov, i(0x85, 0, 1, 0, -3), EXIT]), beyond(1, -1));
        assert_eq!(refused(&[mov, wide(1), i(0, 0, 0, 0, 0), EXIT]), CompileError::Unresolved { at: 1 });
        for id in [224, 255, 0xffff, 0x1_001f, -1] {
            let unknown = CompileError::UnknownHelper { at: 1, id: id as u32 };
            assert_eq!(refused(&[mov, i(0x85, 0, 0, 0, id), EXIT]), unknown);
        }
        assert_eq!(refused(&[mov, i(0x85, 0, 2, 0, 1), EXIT]), CompileError::UnknownHelper { at: 1, id: 1 });
        for bad in [
            i(0xff, 0, 0, 0, 0),
            i(0x0f, 11, 0, 0, 0),
            i(0x0f, 10, 0, 0, 0),
            i(0x0f, 0, 11, 0, 0),
            i(0x79, 10, 1, 0, 0),
            i(0x79, 0, 11, 0, 0),
            i(0x7b, 11, 0, 0, 0),
            i(0x7b, 1, 11, 0, 0),
            i(0x1d, 11, 0, 0, 0),
            i(0x1d, 0, 11, 0, 0),
            i(0x8d, 10, 0, 0, 0),
            i(0xdb, 1, 10, 0, 0),
            i(0xdb, 1, 0, 0, 2),
            i(0x3f, 1, 0, 2, 0),
            i(0x37, 1, 0, 2, 5),
            i(0xbf, 1, 0, 7, 0),
            i(0xbc, 1, 0, 32, 0),
            i(0xd7, 1, 0, 0, 8),
            i(0xdf, 1, 0, 0, 16),
            i(0x20, 0, 0, 0, 0),
        ] {
            let program = if bad.op == 0x20 { vec![mov, bad, mov, EXIT] } else { vec![mov, bad, EXIT] };
            assert_eq!(refused(&program), CompileError::BadOpcode { at: 1, op: bad.op }, "{bad:x?}");
        }
    }
    check(Features { lse: false, blind: None });
    check(Features { lse: true, blind: None });
    x64_features().into_iter().for_each(check);
}
