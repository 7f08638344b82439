//! The compiler against the interpreter: fixed cases for every instruction, then random programs.

mod common;

use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{Compiler, Features, Machine, no_maps};
use common::*;

#[test]
fn every_alu_instruction_on_interesting_values() {
    let mut cases = Vec::new();
    for class in [4u8, 7] {
        for operation in [0x00u8, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0] {
            for off in [0i16, 1, 8, 16, 32] {
                let valid_reg = match (operation, off) {
                    (0x30 | 0x90, 0 | 1) | (_, 0) | (0xb0, 8 | 16) => true,
                    (0xb0, 32) => class == 7,
                    _ => false,
                };
                if !valid_reg {
                    continue;
                }
                for a in INTERESTING {
                    for b in INTERESTING {
                        let mut p = Vec::new();
                        p.extend(lddw(0, a));
                        p.extend(lddw(6, b));
                        if operation != 0x80 {
                            p.push(i(class | operation | 8, 0, 6, off, 0));
                        } else {
                            p.push(i(class | operation, 0, 0, 0, 0));
                        }
                        p.push(i(0x95, 0, 0, 0, 0));
                        cases.push((format!("op {:#x} off {off} {a:#x} {b:#x}", class | operation | 8), p));
                        if off > 1 || (off == 1 && operation == 0xb0) {
                            continue;
                        }
                        let mut p = Vec::new();
                        p.extend(lddw(0, a));
                        p.push(i(class | operation, 0, 0, off, b as i32));
                        p.push(i(0x95, 0, 0, 0, 0));
                        cases.push((
                            format!("op {:#x} off {off} {a:#x} imm {:#x}", class | operation, b as i32),
                            p,
                        ));
                    }
                }
            }
        }
    }
    for (op, imm) in [0xd4u8, 0xdc, 0xd7].into_iter().flat_map(|o| [16, 32, 64].map(|w| (o, w))) {
        for a in INTERESTING {
            let mut p = lddw(0, a).to_vec();
            p.push(i(op, 0, 0, 0, imm));
            p.push(i(0x95, 0, 0, 0, 0));
            cases.push((format!("swap {op:#x} {imm} {a:#x}"), p));
        }
    }
    check_all(&cases);
}

#[test]
fn every_jump_on_interesting_values() {
    let mut cases = Vec::new();
    for class in [5u8, 6] {
        for operation in [0x10u8, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
            for a in INTERESTING {
                for b in INTERESTING {
                    for register in [false, true] {
                        let mut p = Vec::new();
                        p.extend(lddw(3, a));
                        p.extend(lddw(4, b));
                        let imm = if register { 0 } else { b as i32 };
                        let op = class | operation | if register { 8 } else { 0 };
                        p.push(i(op, 3, if register { 4 } else { 0 }, 2, imm));
                        p.push(i(0xb7, 0, 0, 0, 1));
                        p.push(i(0x95, 0, 0, 0, 0));
                        p.push(i(0xb7, 0, 0, 0, 2));
                        p.push(i(0x95, 0, 0, 0, 0));
                        cases.push((format!("jump {op:#x} {a:#x} {b:#x}"), p));
                    }
                }
            }
        }
    }
    check_all(&cases);
}

#[test]
fn every_load_store_and_atomic() {
    let mut cases = Vec::new();
    for op in [0x61u8, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91] {
        for off in 0..64i16 {
            cases.push((format!("load {op:#x} {off}"), vec![i(op, 0, 1, off, 0), i(0x95, 0, 0, 0, 0)]));
        }
    }
    // Large offsets, both signs: the base moves the other way first.
    for op in [0x61u8, 0x79, 0x63, 0x7b, 0x7a, 0x62, 0xc3, 0xdb] {
        for off in [-32768i16, -4096, -512, -257, -256, 255, 256, 257, 4095, 4096, 32760, 32767] {
            let mut p = vec![i(0xb7, 0, 0, 0, 77), i(0xbf, 6, 1, 0, 0), i(0x07, 6, 0, 0, -(off as i32) + 8)];
            let (d, s) = if op & 7 == 1 { (0, 6) } else { (6, 0) };
            p.push(i(op, d, if op & 7 == 2 { 0 } else { s }, off, if op > 0xc0 { 1 } else { 0x1234_5678 }));
            p.push(i(0x95, 0, 0, 0, 0));
            cases.push((format!("far {op:#x} {off}"), p));
        }
    }
    for op in [0x62u8, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b] {
        for value in INTERESTING {
            let mut p = lddw(5, value).to_vec();
            let src = if op & 1 == 1 { 5 } else { 0 };
            p.push(i(op, 1, src, 16, value as i32));
            p.push(i(0x7a, 10, 0, -8, 0x55));
            p.push(i(op, 10, src, -8, value as i32));
            p.push(i(0x79, 0, 10, -8, 0));
            p.push(i(0x95, 0, 0, 0, 0));
            cases.push((format!("store {op:#x} {value:#x}"), p));
        }
    }
    for op in [0xc3u8, 0xdb] {
        for imm in [0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1] {
            for value in INTERESTING {
                for stack in [false, true] {
                    for matching in [false, true] {
                        let mut p = lddw(7, value).to_vec();
                        p.extend(lddw(0, 0xdead_beef_0bad_cafe));
                        let (base, off) = if stack { (10, -16) } else { (1, 24) };
                        p.extend(lddw(8, 0x8877_6655_4433_2211));
                        if stack {
                            p.push(i(0x7b, 10, 8, -16, 0));
                        } else {
                            p.push(i(0x7b, 1, 8, 24, 0));
                        }
                        if matching {
                            p.push(i(0xbf, 0, 8, 0, 0));
                        }
                        p.push(i(op, base, 7, off, imm));
                        p.push(i(0x79, 4, base, off, 0));
                        p.push(i(0x27, 4, 0, 0, 31));
                        p.push(i(0x0f, 0, 4, 0, 0));
                        p.push(i(0x27, 0, 0, 0, 17));
                        p.push(i(0x0f, 0, 7, 0, 0));
                        p.push(i(0x95, 0, 0, 0, 0));
                        cases.push((format!("atomic {op:#x} {imm:#x} {value:#x} {stack} {matching}"), p));
                    }
                }
            }
        }
    }
    check_all(&cases);
}

#[test]
fn calls_keep_what_they_must() {
    let exit = i(0x95, 0, 0, 0, 0);
    let mut cases = Vec::new();
    // A helper, a helper by register (known, unknown, own, absurd), callee-saved registers across it.
    for id in [1u64, 5, 77, 223, 224, 255, 0x1_0000, 0x1_001e, 0x1_001f, 0x2_0000, u64::MAX] {
        let mut p = Vec::new();
        for r in 1..=9u8 {
            p.extend(lddw(r, 0x1111_1111_1111_1111 * r as u64));
        }
        p.extend(lddw(9, id));
        p.push(i(0x8d, 9, 0, 0, 0));
        for r in 6..=9u8 {
            p.push(i(0x27, 0, 0, 0, 31));
            p.push(i(0x0f, 0, r, 0, 0));
        }
        p.push(exit);
        cases.push((format!("callx {id:#x}"), p));
    }
    // The entry calls a function that loops back to its own first slot.
    let p = vec![
        i(0xb7, 3, 0, 0, 1),
        i(0xb7, 4, 0, 0, 2),
        i(0xb7, 5, 0, 0, 3),
        i(0xb7, 1, 0, 0, 5),
        i(0xb7, 6, 0, 0, 9),
        i(0xb7, 0, 0, 0, 0),
        i(0x85, 0, 1, 0, 3), // the function below
        i(0x85, 0, 0, 0, 2), // helper
        i(0x0f, 0, 6, 0, 0),
        exit,
        i(0x07, 0, 0, 0, 3), // the function: r0 += 3
        i(0x7b, 10, 0, -8, 0),
        i(0x07, 1, 0, 0, -1),
        i(0x55, 1, 0, -4, 0), // to its first slot
        i(0xb7, 6, 0, 0, 1),
        exit,
    ];
    cases.push(("a function that loops to its entry".into(), p));
    // The entry itself is a loop target, with a frame.
    let p = vec![
        i(0x07, 2, 0, 0, -1),
        i(0x7b, 10, 2, -8, 0),
        i(0xbf, 8, 2, 0, 0),
        i(0x55, 2, 0, -4, 0),
        i(0xbf, 1, 8, 0, 0),
        i(0xb7, 3, 0, 0, 1),
        i(0xb7, 4, 0, 0, 2),
        i(0xb7, 5, 0, 0, 3),
        i(0x85, 0, 0, 0, 1),
        exit,
    ];
    cases.push(("the entry loops to slot 0".into(), p.clone()));
    // Recursion by argument, bounded: f(n) = n == 0 ? 0 : n + f(n - 1).
    let p = vec![
        i(0xb7, 1, 0, 0, 6),
        i(0x85, 0, 1, 0, 1),
        exit,
        i(0xb7, 0, 0, 0, 0),
        i(0x15, 1, 0, 4, 0),
        i(0xbf, 6, 1, 0, 0),
        i(0x07, 1, 0, 0, -1),
        i(0x85, 0, 1, 0, -5),
        i(0x0f, 0, 6, 0, 0),
        exit,
    ];
    cases.push(("nested calls".into(), p));
    check_all(&cases);
}

#[test]
fn a_cleared_stack_reads_as_zero() {
    fn check<M: Machine>(runner: &Runner, machine: M) {
        let mut p = vec![i(0xb7, 0, 0, 0, 0)];
        for slot in 1..=64 {
            p.push(i(0x79, 3, 10, -8 * slot, 0));
            p.push(i(0x4f, 0, 3, 0, 0));
        }
        p.push(i(0x95, 0, 0, 0, 0));
        let mut with_call = p.clone();
        with_call.insert(0, i(0x85, 0, 0, 0, 1));
        for program in [p, with_call] {
            let mut compiler = Compiler::new(machine);
            compiler.set_zero_stack(true);
            let mut code = vec![0; 4096];
            let n = compiler.compile(&program, &no_maps, &mut code).unwrap();
            let mut input = (n as u32).to_le_bytes().to_vec();
            input.extend(&code[..n]);
            input.extend(0u32.to_le_bytes());
            assert_eq!(runner.run(input), [1u64.to_le_bytes(), 0u64.to_le_bytes()].concat());
        }
    }
    if let Some(runner) = Runner::new("aarch64") {
        check(&runner, Features::default());
    }
    if let Some(runner) = Runner::new("x86_64") {
        x64_features().into_iter().for_each(|f| check(&runner, f));
    }
}

/// A random body over r0..r8 (r9 holds the context's address) and the stack, ending in a digest of the registers.
fn random_body(r: &mut Random, p: &mut Vec<Insn>, entry: bool, callees: usize, calls: &mut Vec<usize>) {
    p.push(i(0xbf, 9, 1, 0, 0));
    for reg in 0..9 {
        p.extend(lddw(reg, r.value()));
    }
    for slot in 1..=8 {
        p.push(i(0x7b, 10, r.below(9) as u8, -8 * slot, 0));
    }
    let start = p.len();
    let count = 10 + r.below(60) as usize;
    let mut pending: Vec<(usize, usize)> = Vec::new();
    for n in 0..count {
        let d = r.below(9) as u8;
        let s = r.below(9) as u8;
        match r.below(20) {
            0..=8 => {
                let class = r.pick(&[4u8, 7]);
                let operation =
                    r.pick(&[0x00u8, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0]);
                let register = operation != 0x80 && r.below(2) == 0;
                let off = match operation {
                    0x30 | 0x90 => r.pick(&[0i16, 1]),
                    0xb0 if register => r.pick(&[0i16, 0, 8, 16, if class == 7 { 32 } else { 0 }]),
                    _ => 0,
                };
                let imm = if register || operation == 0x80 { 0 } else { r.value() as i32 };
                let (op, s) = if register { (class | operation | 8, s) } else { (class | operation, 0) };
                p.push(i(op, d, s, off, imm));
            }
            9 => {
                let op = r.pick(&[0xd4u8, 0xdc, 0xd7]);
                p.push(i(op, d, 0, 0, r.pick(&[16, 32, 64])));
            }
            10 => {
                // The pairs that are fused.
                match r.below(3) {
                    0 => p.extend([i(0xbf, d, s, 0, 0), i(0x07, d, 0, 0, r.value() as i16 as i32)]),
                    1 => p.extend([i(0x67, d, 0, 0, 32), i(0x77, d, 0, 0, 32)]),
                    _ => p.extend([i(0x67, d, 0, 0, 32), i(0xc7, d, 0, 0, 32)]),
                }
            }
            11 | 12 => {
                let op = r.pick(&[0x61u8, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91]);
                let (base, off) =
                    if r.below(2) == 0 { (10, -(8 + r.below(57) as i16)) } else { (9, r.below(248) as i16) };
                p.push(i(op, d, base, off, 0));
            }
            13 | 14 => {
                let op = r.pick(&[0x62u8, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b]);
                let (base, off) =
                    if r.below(2) == 0 { (10, -(8 + r.below(57) as i16)) } else { (9, r.below(248) as i16) };
                let imm = r.value() as i32;
                p.push(i(op, base, if op & 1 == 1 { s } else { 0 }, off, if op & 1 == 1 { 0 } else { imm }));
            }
            15 => {
                let op = r.pick(&[0xc3u8, 0xdb]);
                let imm = r.pick(&[0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1]);
                let off = 8 * r.below(8) as i16;
                let (base, off) = if r.below(2) == 0 { (10, -64 + off) } else { (9, off) };
                p.push(i(op, base, s, off, imm));
            }
            16 | 17 => {
                let class = r.pick(&[5u8, 6]);
                let operation = r.pick(&[0x10u8, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0]);
                let register = r.below(2) == 0;
                let imm = if register { 0 } else { r.value() as i32 };
                pending.push((p.len(), n + 1 + r.below(6) as usize));
                p.push(i(
                    class | operation | if register { 8 } else { 0 },
                    d,
                    if register { s } else { 0 },
                    0,
                    imm,
                ));
            }
            18 if entry && callees > 0 => {
                // r1 must be the context for the callee.
                p.push(i(0xbf, 1, 9, 0, 0));
                calls.push(p.len());
                p.push(i(0x85, 0, 1, 0, 0));
                for reg in 1..6 {
                    p.extend(lddw(reg, r.value()));
                }
            }
            18 | 19 if callees > 0 => {
                p.push(i(0x85, 0, 0, 0, 1 + r.below(6) as i32));
                for reg in 1..6 {
                    p.extend(lddw(reg, r.value()));
                }
            }
            _ => p.push(i(0x05, 0, 0, 0, 0)),
        }
        let here = p.len();
        pending.retain(|&(at, until)| {
            let land = until <= n;
            if land {
                p[at].off = (here - at - 1) as i16;
            }
            !land
        });
    }
    let here = p.len();
    for (at, _) in pending {
        p[at].off = (here - at - 1) as i16;
    }
    let _ = start;
    for reg in 1..9 {
        p.push(i(0x27, 0, 0, 0, 31));
        p.push(i(0x0f, 0, reg, 0, 0));
    }
    for slot in 1..=8 {
        p.push(i(0x79, 1, 10, -8 * slot, 0));
        p.push(i(0x27, 0, 0, 0, 33));
        p.push(i(0x0f, 0, 1, 0, 0));
    }
    p.push(i(0x95, 0, 0, 0, 0));
}

#[test]
fn random_programs() {
    let count = std::env::var("AXIOM_JIT_PROGRAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(1500);
    let seed = std::env::var("AXIOM_JIT_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0x5eed);
    let mut r = Random(seed);
    let mut cases = Vec::new();
    for n in 0..count {
        let mut p = Vec::new();
        let callees = r.below(3) as usize;
        let mut calls = Vec::new();
        random_body(&mut r, &mut p, true, callees, &mut calls);
        let mut starts = Vec::new();
        for _ in 0..callees {
            starts.push(p.len());
            let helpers = r.below(2) as usize;
            random_body(&mut r, &mut p, false, helpers, &mut Vec::new());
        }
        for at in calls {
            p[at].imm = (r.pick(&starts) as i64 - at as i64 - 1) as i32;
        }
        cases.push((format!("random {n}"), p));
    }
    check_all(&cases);
}

/// How long compiling takes: `cargo test --release -p axiom-bpf-jit -- --ignored speed --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let mut r = Random(7);
    let mut p = Vec::new();
    while p.len() < 16_000 {
        random_body(&mut r, &mut p, false, 0, &mut Vec::new());
        p.pop();
    }
    p.push(i(0x95, 0, 0, 0, 0));
    fn measure<M: Machine + core::fmt::Debug>(machine: M, p: &[Insn]) {
        let mut compiler = Compiler::new(machine);
        let mut code = vec![0; 1 << 20];
        let mut best = std::time::Duration::MAX;
        for _ in 0..50 {
            let start = std::time::Instant::now();
            compiler.compile(p, &no_maps, &mut code).unwrap();
            best = best.min(start.elapsed());
        }
        let each = best.as_nanos() as f64 / p.len() as f64;
        println!("{machine:?}: {} instructions in {best:?}: {each:.1} ns each", p.len());
    }
    measure(Features::default(), &p);
    x64_features().into_iter().for_each(|f| measure(f, &p));
}
