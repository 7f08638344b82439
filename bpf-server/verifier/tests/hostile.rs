//! Anything at all as input: an answer, never a panic, in bounded time.
mod common;
use axiom_bpf_isa::{Insn, disasm::Disasm};
use axiom_bpf_verifier::{Program, Verifier};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

fn answer(v: &mut Verifier, code: &[Insn]) {
    for at in 0..code.len() {
        let _ = Disasm::at(code, at).map(|d| d.to_string());
    }
    let from = std::time::Instant::now();
    let result = v.verify(&Program { insns: code, lines: None }, &common::env());
    let took = from.elapsed();
    if took.as_millis() > 20 {
        let what =
            result.as_ref().map_or_else(|e| e.reason.to_string(), |a| format!("{} at most", a.max_insns));
        println!("{} instructions took {took:?}: {what}", code.len());
    }
    if let Err(e) = result {
        assert!(!e.to_string().is_empty());
    }
}

#[test]
fn random_words() {
    let mut r = Random(42);
    let mut v = Verifier::new();
    for _ in 0..30_000 {
        let n = 1 + r.next() as usize % 24;
        let code: Vec<Insn> = (0..n).map(|_| Insn::from_bytes(r.next().to_le_bytes())).collect();
        answer(&mut v, &code);
    }
}

/// Valid instructions with random fields: these get past the structure.
#[test]
fn random_instructions() {
    const OPS: &[u8] = &[
        0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x57, 0x5f, 0x67, 0x6f, 0x77, 0x7f, 0x87,
        0x97, 0x9f, 0xa7, 0xaf, 0xb7, 0xbf, 0xc7, 0xcf, 0x04, 0x0c, 0x14, 0xb4, 0xbc, 0x64, 0x74, 0xc4, 0x15,
        0x1d, 0x25, 0x2d, 0x35, 0x45, 0x55, 0x5d, 0x65, 0x6d, 0xa5, 0xad, 0xb5, 0xc5, 0xcd, 0xd5, 0x16, 0x26,
        0x56, 0xa6, 0xc6, 0x05, 0x61, 0x69, 0x71, 0x79, 0x81, 0x62, 0x63, 0x72, 0x73, 0x7a, 0x7b, 0xdb, 0xc3,
        0x85, 0x85, 0x95, 0x95, 0x18,
    ];
    let mut r = Random(7);
    let mut v = Verifier::new();
    for _ in 0..60_000 {
        let n = 2 + r.next() as usize % 30;
        let mut code = Vec::new();
        for _ in 0..n {
            let w = r.next();
            let op = OPS[(w % OPS.len() as u64) as usize];
            let (d, s) = ((w >> 8) as u8 % 11, (w >> 16) as u8 % 11);
            let off = (w >> 24) as i16 % 12 - 4;
            let imm = if w >> 40 & 3 == 0 { (w >> 32) as i32 } else { (w >> 44) as i32 % 64 };
            let register = op & 8 != 0;
            let one = match op & 7 {
                4 | 7 if op & 0xf0 == 0x80 => Insn::new(op, d % 10, 0, 0, 0),
                4 | 7 if register => Insn::new(op, d % 10, s, 0, 0),
                4 | 7 => Insn::new(op, d % 10, 0, 0, imm),
                5 | 6 if op == 0x05 => Insn::new(op, 0, 0, off, 0),
                5 if op == 0x85 && w >> 50 & 1 == 0 => Insn::new(op, 0, 1, 0, (w >> 32) as i32 % 16),
                5 if op == 0x85 => Insn::new(op, 0, 0, 0, [1, 2, 5, 131, 132][(w >> 32) as usize % 5]),
                5 if op == 0x95 => Insn::new(op, 0, 0, 0, 0),
                5 | 6 if register => Insn::new(op, d, s, off, 0),
                5 | 6 => Insn::new(op, d, 0, off, imm),
                1 => Insn::new(op, d % 10, s, off * 4, 0),
                2 => Insn::new(op, d, 0, off * 4, imm),
                3 if op == 0xdb || op == 0xc3 => Insn::new(op, d, s % 10, off * 4, 1),
                3 => Insn::new(op, d, s, off * 4, 0),
                _ => {
                    let kind = (w >> 50) as u8 % 3;
                    code.push(Insn::new(0x18, d % 10, kind, 0, imm.rem_euclid(4)));
                    Insn::new(0, 0, 0, 0, if kind == 1 { 0 } else { imm })
                }
            };
            code.push(one);
        }
        code.push(Insn::new(0x95, 0, 0, 0, 0));
        answer(&mut v, &code);
    }
}

/// Real programs with a few bits flipped.
#[test]
fn damaged_programs() {
    let mut r = Random(9);
    let mut v = Verifier::new();
    for name in ["crc32", "median", "sieve", "isqrt", "calls", "ring", "matrix", "updates"] {
        let good = common::program(name);
        for _ in 0..1500 {
            let mut code = good.clone();
            for _ in 0..1 + r.next() % 3 {
                let at = r.next() as usize % code.len();
                let mut b = code[at].to_bytes();
                b[r.next() as usize % 8] ^= 1 << (r.next() % 8);
                code[at] = Insn::from_bytes(b);
            }
            code.truncate(1 + r.next() as usize % (code.len() * 8));
            answer(&mut v, &code);
        }
    }
}

/// Shapes that make careless analyses explode.
#[test]
fn costly_shapes() {
    let mut v = Verifier::new();
    let end = Insn::new(0x95, 0, 0, 0, 0);
    let mov = |d: u8, imm: i32| Insn::new(0xb7, d, 0, 0, imm);
    // 16000 branches in a row.
    let mut code = vec![mov(0, 0), Insn::new(0x61, 2, 1, 16, 0)];
    for k in 0..16_000 {
        code.push(Insn::new(0x25, 2, 0, 1, k));
        code.push(Insn::new(0x07, 0, 0, 0, k));
    }
    code.push(end);
    answer(&mut v, &code);
    // Loops nested 15 deep, all around one counter, and 40 deep.
    for depth in [15, 40] {
        let mut code = vec![mov(0, 0)];
        code.extend((0..depth).map(|k| mov(k as u8 % 9, 0)));
        for k in 0..depth {
            code.push(Insn::new(0x07, 8 - k as u8 % 9, 0, 0, 1));
            code.push(Insn::new(0xa5, 8 - k as u8 % 9, 0, -2 * (k + 1) as i16, 3 + k));
        }
        code.push(end);
        answer(&mut v, &code);
    }
    // Many loops in a row, and one over a long body.
    let mut code = vec![mov(0, 0)];
    for _ in 0..3000 {
        code.push(mov(2, 0));
        code.push(Insn::new(0x07, 2, 0, 0, 1));
        code.push(Insn::new(0xa5, 2, 0, -2, 10));
    }
    code.push(end);
    answer(&mut v, &code);
    let mut code = vec![mov(0, 0), mov(2, 0), Insn::new(0x61, 3, 1, 16, 0)];
    for k in 0..8000 {
        code.push(Insn::new(0x25, 3, 0, 1, k));
        code.push(Insn::new(0x07, 0, 0, 0, k));
    }
    code.push(Insn::new(0x07, 2, 0, 0, 1));
    code.push(Insn::new(0xa5, 2, 0, -16_002, 10));
    code.push(end);
    answer(&mut v, &code);
    // Functions that call the next one twice each: 2^7 contexts.
    let mut code = Vec::new();
    for _ in 0..7 {
        code.push(Insn::new(0x85, 0, 1, 0, 2));
        code.push(Insn::new(0x85, 0, 1, 0, 1));
        code.push(end);
    }
    code.push(mov(0, 0));
    code.push(end);
    answer(&mut v, &code);
    // A call of itself.
    answer(&mut v, &[Insn::new(0x85, 0, 1, 0, -1), end]);
}
