//! The compilers against the interpreter where x86-64 is unlike BPF: every pair of registers for what needs RAX, RCX, RDX or a scratch
//! register, every divisor's neighbourhood, every fusion, every distance of a jump; and what no program may do to a compiler.

mod common;

use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{CompileError, Compiler, Features, Machine, no_maps, x64};
use common::*;

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

/// A function's digest of all registers but r1, if that holds the context.
fn digest(p: &mut Vec<Insn>, without: u16) {
    for r in 1..10 {
        if without >> r & 1 == 0 {
            p.push(i(0x27, 0, 0, 0, 31));
            p.push(i(0x0f, 0, r, 0, 0));
        }
    }
    p.push(EXIT);
}

#[test]
fn every_pair_of_registers() {
    let mut cases = Vec::new();
    let values = [
        (0x8000_0000_8000_0000u64, u64::MAX),
        (0xfedc_ba98_7654_3210, 0x1_0000_0000),
        (77, 5),
        (0, 0),
        (9, 0xffff_fff9),
    ];
    for class in [4u8, 7] {
        for (operation, off) in [
            (0x30u8, 0i16),
            (0x30, 1),
            (0x90, 0),
            (0x90, 1),
            (0x60, 0),
            (0x70, 0),
            (0xc0, 0),
            (0xb0, 8),
            (0xb0, 16),
            (0x20, 0),
        ] {
            for d in 0..10u8 {
                for s in 0..10u8 {
                    for (a, b) in values {
                        let mut p = Vec::new();
                        for r in 0..10u8 {
                            let other = 0x0101_0101_0101_0101u64.wrapping_mul(r as u64 + 1);
                            p.extend(lddw(
                                r,
                                if r == s {
                                    b
                                } else if r == d {
                                    a
                                } else {
                                    other
                                },
                            ));
                        }
                        p.push(i(class | operation | 8, d, s, off, 0));
                        digest(&mut p, 0);
                        cases.push((
                            format!("op {:#x} off {off} r{d} r{s} {a:#x} {b:#x}", class | operation | 8),
                            p.clone(),
                        ));
                        // The same, where nothing else is named: what is not kept must not be wanted.
                        let mut p = Vec::new();
                        p.extend(lddw(d, a));
                        p.extend(lddw(s, b));
                        p.push(i(class | operation | 8, d, s, off, 0));
                        p.push(i(0xbf, 0, d, 0, 0));
                        p.push(EXIT);
                        cases.push((
                            format!("alone {:#x} off {off} r{d} r{s} {a:#x} {b:#x}", class | operation | 8),
                            p,
                        ));
                    }
                }
            }
        }
    }
    check_all(&cases);
}

/// What a caller hands to its callee in a register that it does not name itself must survive the caller's divisions.
#[test]
fn arguments_pass_through() {
    let mut cases = Vec::new();
    for op in [0x3fu8, 0x9f, 0x6f, 0x37, 0x97] {
        for d in [0u8, 3, 4] {
            let mut p = vec![i(0xb7, 0, 0, 0, 1000), i(0xb7, d, 0, 0, 1000), i(0xb7, 5, 0, 0, 7)];
            p.push(i(op, d, if op & 8 != 0 { 5 } else { 0 }, 0, if op & 8 != 0 { 0 } else { 7 }));
            p.push(i(0x85, 0, 1, 0, 1));
            p.push(EXIT);
            // r2 is the length, which the entry never named.
            p.extend([i(0xbf, 0, 2, 0, 0), i(0x27, 0, 0, 0, 3), i(0x0f, 0, d, 0, 0), EXIT]);
            cases.push((format!("{op:#x} r{d}"), p));
        }
    }
    check_all(&cases);
}

#[test]
fn every_base_of_an_atomic() {
    let mut cases = Vec::new();
    for op in [0xc3u8, 0xdb] {
        for imm in [0, 1, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1] {
            for base in 0..10u8 {
                for s in 0..10u8 {
                    for off in [0i16, 24, -8] {
                        if s == base && imm == 0xf1 {
                            continue;
                        }
                        let mut p = Vec::new();
                        p.push(i(0xbf, 9, 1, 0, 0));
                        for r in (0..9u8).filter(|r| *r != base) {
                            p.extend(lddw(r, 0x9876_5432_1011_1213u64.wrapping_mul(r as u64 * 2 + 1)));
                        }
                        if base != 9 {
                            p.push(i(0xbf, base, 9, 0, 0));
                        }
                        p.push(i(0x07, base, 0, 0, 32));
                        // Addresses differ between the engines: a source that is the base would store one.
                        if s == base {
                            continue;
                        }
                        p.push(i(op, base, s, off, imm));
                        // Clears what holds addresses, then all the rest counts. (r9 may have been the source.)
                        if !(base == 0 && imm == 0xf1) {
                            p.push(i(0xb7, base, 0, 0, 3));
                        }
                        if s != 9 && base != 9 {
                            p.push(i(0xb7, 9, 0, 0, 5));
                        }
                        if s == 9 || base == 0 && imm == 0xf1 {
                            // The source was an address: only that nothing else changed.
                            p.push(i(0xb7, 0, 0, 0, 0));
                            p.push(i(0xb7, 9, 0, 0, 0));
                            p.push(EXIT);
                            continue;
                        }
                        digest(&mut p, 0);
                        cases
                            .push((format!("atomic {op:#x} {imm:#x} base r{base} source r{s} off {off}"), p));
                    }
                }
            }
        }
    }
    assert!(cases.len() > 3000, "{}", cases.len());
    check_all(&cases);
}

#[test]
fn every_divisor() {
    let mut divisors: Vec<i32> = (-20..300).collect();
    divisors
        .extend((0..31).flat_map(|b| [(1i32 << b) - 1, 1 << b, (1i32 << b).wrapping_add(1), -(1i32 << b)]));
    divisors.extend([
        i32::MIN,
        i32::MAX,
        i32::MAX - 1,
        1_000_000,
        1_000_000_007,
        999_999_937,
        641,
        6_700_417,
        0x5555_5555,
    ]);
    let mut cases = Vec::new();
    for imm in divisors {
        for op in [0x34u8, 0x37, 0x94, 0x97] {
            for off in [0i16, 1] {
                // Around multiples, where a wrong magic number shows, and at the edges.
                let m = imm.unsigned_abs().max(1) as u64;
                let mut values = vec![0, 1, m - 1, m, m + 1, u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) - 1];
                for top in [u32::MAX as u64, u64::MAX, 1 << 63, 1 << 31] {
                    let whole = top - top % m;
                    values.extend([
                        whole,
                        whole.wrapping_sub(1),
                        whole - whole.min(m),
                        whole.wrapping_add(1),
                    ]);
                }
                let mut p = vec![i(0xb7, 7, 0, 0, 0)];
                for (n, v) in values.into_iter().enumerate() {
                    let d = [0u8, 2, 3, 6][n % 4];
                    p.extend(lddw(0, 0x1111_2222_3333_4444));
                    p.extend(lddw(2, 0x5555_6666_7777_8888));
                    p.extend(lddw(d, v));
                    p.push(i(op, d, 0, off, imm));
                    for r in [0u8, 2, d] {
                        p.push(i(0x27, 7, 0, 0, 31));
                        p.push(i(0x0f, 7, r, 0, 0));
                    }
                }
                p.push(i(0xbf, 0, 7, 0, 0));
                p.push(EXIT);
                cases.push((format!("{op:#x} off {off} by {imm}"), p));
            }
        }
    }
    check_all(&cases);
}

/// Chains of moves, shifts and additions that end in a load or not, over registers that are equal or not.
#[test]
fn every_fused_address() {
    let mut cases = Vec::new();
    let mut r = Random(99);
    // A step: what is done to the destination.
    let step = |kind: u64, d: u8, x: u8, n: i32| match kind {
        0 => i(0x0f, d, x, 0, 0),
        1 => i(0x07, d, 0, 0, n),
        2 => i(0x67, d, 0, 0, n & 3),
        _ => i(0xbf, d, x, 0, 0),
    };
    for load in [None, Some(0x71u8), Some(0x79), Some(0x91), Some(0x81)] {
        for shape in 0..64u64 {
            for regs in 0..32u64 {
                let kinds = [shape & 3, shape >> 2 & 3, shape >> 4];
                // d and two others, which may be the same, or d.
                let d = if regs & 1 == 0 { 3u8 } else { 6 };
                let x = if regs & 2 == 0 { 4u8 } else { 7 };
                let y = match (regs & 4, regs & 16) {
                    (_, 16) => d,
                    (0, _) => 4u8,
                    _ => 2,
                };
                let mut p = vec![i(0xbf, 9, 1, 0, 0)];
                for reg in [0u8, 2, 3, 4, 5, 6, 7, 8] {
                    p.extend(lddw(reg, r.below(20)));
                }
                let mut address = 0u8;
                if load.is_some() {
                    // The base holds the context; where it is shifted or doubled, the sum is made small again below.
                    address = if regs & 8 == 0 { x } else { d };
                    p.push(i(0xbf, address, 9, 0, 0));
                }
                let mut ok = true;
                let mut tracked: [i64; 10] = [0; 10];
                tracked[address as usize] = load.is_some() as i64;
                for (n, kind) in kinds.into_iter().enumerate() {
                    let other = if n == 0 { x } else { y };
                    let insn = step(kind, d, other, 3 + n as i32);
                    // How often the context's address is in the sum.
                    let mut t = tracked[d as usize];
                    match kind {
                        0 => t += tracked[other as usize],
                        2 => t <<= insn.imm,
                        3 => t = tracked[other as usize],
                        _ => {}
                    }
                    tracked[d as usize] = t;
                    p.push(insn);
                }
                match load {
                    Some(op) if tracked[d as usize] == 1 => p.push(i(op, d, d, 5, 0)),
                    Some(_) => ok = false,
                    None => {}
                }
                if !ok {
                    continue;
                }
                if load.is_some() && address != d {
                    p.push(i(0xb7, address, 0, 0, 0));
                }
                p.push(i(0xb7, 9, 0, 0, 0));
                p.push(i(0xb7, 1, 0, 0, 0));
                digest(&mut p, 0);
                cases.push((format!("load {load:x?} shape {shape} regs {regs}"), p));
            }
        }
    }
    assert!(cases.len() > 1500, "{}", cases.len());
    check_all(&cases);
}

/// Jumps over 0 to 40 instructions of each size, forward and back, with loops in between: one-byte distances must fit, whatever is aligned.
#[test]
fn every_distance() {
    let fillers = [
        i(0x07, 7, 0, 0, 1),
        i(0x07, 7, 0, 0, 0x1234_5678),
        i(0x3f, 7, 8, 0, 0),
        i(0x7b, 9, 7, 200, 0),
        i(0x7a, 9, 0, 200, 0x1234_5678),
        i(0xdb, 9, 7, 200, 0x41),
        i(0x15, 7, 0, 0, 0x1234_5678),
        i(0x6f, 7, 8, 0, 0),
    ];
    let mut cases = Vec::new();
    for filler in fillers {
        for count in 0..=40i16 {
            for taken in [false, true] {
                for loops in [false, true] {
                    let mut p = vec![
                        i(0xbf, 9, 1, 0, 0),
                        i(0xb7, 7, 0, 0, 3),
                        i(0xb7, 8, 0, 0, 2),
                        i(0xb7, 6, 0, 0, 4),
                        i(0xb7, 0, 0, 0, taken as i32),
                    ];
                    let extra = if loops { 2 } else { 0 };
                    p.push(i(0x55, 0, 0, count + extra, 0));
                    for n in 0..count {
                        p.push(filler);
                        if loops && n == count / 2 {
                            // Two instructions of a loop to itself.
                            p.push(i(0x07, 6, 0, 0, -1));
                            p.push(i(0x55, 6, 0, -2, 0));
                        }
                    }
                    if count == 0 && loops {
                        continue;
                    }
                    p.push(i(0x0f, 0, 7, 0, 0));
                    p.push(i(0x0f, 0, 6, 0, 0));
                    p.push(EXIT);
                    cases.push((format!("over {count} of {filler:x?} taken {taken} loops {loops}"), p));
                    // And back over them, twice.
                    let mut p = vec![
                        i(0xbf, 9, 1, 0, 0),
                        i(0xb7, 7, 0, 0, 3),
                        i(0xb7, 8, 0, 0, 2),
                        i(0xb7, 6, 0, 0, 2),
                    ];
                    p.extend((0..count).map(|_| filler));
                    p.push(i(0x07, 6, 0, 0, -1));
                    p.push(i(0x55, 6, 0, -count - 2, 0));
                    p.extend([i(0xbf, 0, 7, 0, 0), EXIT]);
                    cases.push((format!("back over {count} of {filler:x?}"), p));
                }
            }
        }
    }
    check_all(&cases);
}

/// Bytes of the program's choice are in the code as it is by default, and are not where constants are blinded.
#[test]
fn constants_that_are_not_in_the_code() {
    const WORD: u32 = 0x0f05_90cc;
    let wide = lddw(3, (WORD as u64) << 32 | WORD as u64);
    let mut programs: Vec<Vec<Insn>> = vec![wide.to_vec()];
    for op in [
        0x07u8, 0x04, 0x17, 0x27, 0x37, 0x34, 0x97, 0x47, 0x57, 0xa7, 0xb7, 0xb4, 0x15, 0x16, 0x25, 0x45,
        0x65, 0xc6,
    ] {
        programs.push(vec![i(0xb7, 2, 0, 0, 1), i(op, 2, 0, 0, WORD as i32)]);
    }
    for op in [0x62u8, 0x7a] {
        programs.push(vec![i(op, 1, 0, 8, WORD as i32)]);
    }
    let has = |code: &[u8], n: usize| code.windows(n).any(|w| w == &WORD.to_le_bytes()[..n]);
    for mut p in programs {
        p.extend([i(0xb7, 0, 0, 0, 0), EXIT]);
        let compile = |features| {
            let mut code = vec![0; 4096];
            let n = Compiler::new(features).compile(&p, &no_maps, &mut code).unwrap();
            code.truncate(n);
            code
        };
        for bmi2 in [false, true] {
            let plain = compile(x64::Features { bmi2, blind: None });
            let divides = matches!(p[1].op, 0x37 | 0x34);
            assert!(divides || has(&plain, 4), "{p:x?}");
            for seed in 0..200u64 {
                let code =
                    compile(x64::Features { bmi2, blind: Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) });
                assert!(!has(&code, 3), "seed {seed}: {p:x?}\n{code:02x?}");
            }
        }
    }
}

/// The same on AArch64, whose instructions hold 16 bits of a constant at a time, 12 or a mask.
#[test]
fn constants_that_are_not_in_the_code_of_aarch64() {
    /// What an instruction holds of a constant, if it holds any.
    fn held(word: u32) -> Option<u32> {
        match word >> 23 & 0x3f {
            // movn, movz, movk
            0b10_0101 => Some(word >> 5 & 0xffff),
            // add, sub, adds, subs; and, orr, eor, ands
            0b10_0010 | 0b10_0100 => Some(word >> 10 & 0xfff),
            _ => None,
        }
    }
    // Two halves; a small number, what is said as its complement, and masks.
    for imm in [0x0f05_90cc, 0x5a5, -0x5a6, 0x00ff_ff00, 0x5a5a_0000u32 as i32] {
        let mut programs: Vec<Vec<Insn>> = vec![lddw(3, (imm as u64) << 32 | imm as u32 as u64).to_vec()];
        for op in [
            0x07u8, 0x04, 0x17, 0x27, 0x37, 0x34, 0x97, 0x47, 0x57, 0xa7, 0xb7, 0xb4, 0x15, 0x16, 0x25, 0x45,
            0x46, 0x65, 0xc6,
        ] {
            programs.push(vec![i(0xb7, 2, 0, 0, 0), i(op, 2, 0, 0, imm)]);
        }
        programs.push(vec![i(0xbf, 2, 1, 0, 0), i(0x07, 2, 0, 0, imm)]);
        for op in [0x62u8, 0x7a, 0x6a, 0x72] {
            programs.push(vec![i(op, 1, 0, 8, imm)]);
        }
        for mut p in programs {
            p.extend([i(0xb7, 0, 0, 0, 0), EXIT]);
            let compile = |blind| {
                let mut code = vec![0; 4096];
                let n =
                    Compiler::new(Features { lse: true, blind }).compile(&p, &no_maps, &mut code).unwrap();
                let words = code[..n].chunks_exact(4).map(|w| u32::from_le_bytes(w.try_into().unwrap()));
                let mut held: Vec<u32> = words.filter_map(held).collect();
                held.sort_unstable();
                held
            };
            let plain = compile(None);
            let stores_none = p[0].op == 0x72 && imm as u8 == 0 || p[0].op == 0x6a && imm as u16 == 0;
            assert_eq!(plain.iter().any(|h| *h != 0), !stores_none, "{p:x?}");
            // Whatever the numbers: what all of them have in common is not the program's.
            let all: Vec<_> = (1..40).map(|seed| compile(Some(mixed(seed)))).collect();
            for what in plain.iter().filter(|h| **h != 0) {
                let seen = all.iter().filter(|held| held.contains(what)).count();
                assert!(seen < 4, "{what:#x} is in {seen} of {} codes of {p:x?}", all.len());
            }
        }
    }
}

fn mixed(seed: u64) -> u64 {
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Another number for each compile, if constants are blinded; the number alone does not make them so.
#[test]
fn each_compile_has_numbers_of_its_own() {
    let p = [i(0xb7, 0, 0, 0, 0x0f05_90cc), EXIT];
    fn codes<M: Machine>(machine: M, p: &[Insn]) -> std::collections::BTreeSet<Vec<u8>> {
        let mut compiler = Compiler::new(machine);
        let compile = |n| {
            compiler.stir(n);
            let mut code = vec![0; 256];
            let n = compiler.compile(p, &no_maps, &mut code).unwrap();
            code.truncate(n);
            code
        };
        // The same number again and again stirs, too.
        [1, 2, 3, 3, 3].map(compile).into_iter().collect()
    }
    let blind = Some(0);
    assert_eq!(codes(Features { lse: false, blind }, &p).len(), 5);
    assert_eq!(codes(Features { lse: false, blind: None }, &p).len(), 1);
    assert_eq!(codes(x64::Features { bmi2: false, blind }, &p).len(), 5);
    assert_eq!(codes(x64::Features { bmi2: false, blind: None }, &p).len(), 1);
}

/// Whatever the bytes, and however little room: an answer, and the same length whether it fits or not.
#[test]
fn rubbish_and_no_room() {
    let mut r = Random(4242);
    let (mut compiled, mut refused) = (0, 0);
    for n in 0..30_000 {
        let count = 1 + r.below(12) as usize;
        let p: Vec<Insn> = (0..count)
            .map(|k| {
                let op = r.next() as u8;
                let off =
                    if r.below(2) == 0 { r.below(count as u64) as i16 - k as i16 } else { r.next() as i16 };
                let imm = if r.below(2) == 0 { r.below(260) as i32 } else { r.next() as i32 };
                i(op, r.below(if n % 3 == 0 { 16 } else { 11 }) as u8, r.below(11) as u8, off, imm)
            })
            .collect();
        let features = x64::Features { bmi2: r.below(2) == 0, blind: (r.below(2) == 0).then(|| r.next()) };
        let mut code = vec![0; 8192];
        match Compiler::new(features).compile(&p, &no_maps, &mut code) {
            Ok(length) => {
                compiled += 1;
                for room in [0, 1, length / 2, length - 1].into_iter().filter(|r| *r < length) {
                    let mut small = vec![0xaa; room];
                    let result = Compiler::new(features).compile(&p, &no_maps, &mut small);
                    assert_eq!(result, Err(CompileError::NoRoom { needed: length }));
                }
                let mut exact = vec![0; length];
                assert_eq!(Compiler::new(features).compile(&p, &no_maps, &mut exact), Ok(length));
                assert_eq!(exact, code[..length]);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(compiled > 300 && refused > 10_000, "{compiled} compiled, {refused} refused");
}
