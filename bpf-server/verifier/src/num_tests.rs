//! Every operation on what is known of numbers, against the numbers themselves.
use crate::branch::compare;
use crate::num::refine;
use crate::num::{Num, Thresholds, widen};
use axiom_bpf_checker::alu::result;
use axiom_bpf_isa::alu::*;
use std::vec::Vec;
use std::{panic, vec};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Numbers that sit at the edges more often than chance would put them there.
    fn value(&mut self) -> u64 {
        let r = self.next();
        let small = (r >> 32 & 31).wrapping_sub(8);
        match r % 12 {
            0 => small,
            1 => (i64::MIN as u64).wrapping_add(small),
            2 => (u32::MAX as u64).wrapping_add(small),
            3 => (i32::MAX as u64).wrapping_add(small),
            4 => (i32::MIN as i64 as u64).wrapping_add(small),
            5 => self.next() as u32 as u64,
            6 => self.next() as i32 as i64 as u64,
            7 => self.next() & 0xff,
            8 => (1u64 << (r >> 40 & 63)).wrapping_add(small),
            9 => self.next() << (r >> 40 & 63),
            _ => self.next(),
        }
    }

    /// A few values and what is known of them together.
    fn set(&mut self) -> (Vec<u64>, Num) {
        let n = 1 + self.next() as usize % 4;
        let close = self.next().is_multiple_of(2);
        let first = self.value();
        let mut all = vec![first];
        let step = self.next() % 70;
        for _ in 1..n {
            let v =
                if close { first.wrapping_add((self.next() % 8).wrapping_mul(step)) } else { self.value() };
            all.push(v);
        }
        let mut known = Num::of(all[0]);
        for v in &all[1..] {
            known = if self.next().is_multiple_of(5) {
                let t: Vec<u64> = vec![0, 1, 63, 64, 255, i32::MAX as u64, u32::MAX as u64, i64::MAX as u64];
                let narrow: Vec<u64> = t.iter().copied().filter(|x| *x <= u32::MAX as u64).collect();
                widen(
                    known,
                    Num::of(*v),
                    &Thresholds { wide: &t, narrow: &narrow },
                    self.next().is_multiple_of(4),
                )
            } else {
                known.join(Num::of(*v))
            };
        }
        (all, known)
    }
}

/// Arithmetic by its operation.
fn calc(op: u8, off: i16, a: Num, b: Num, wide: bool) -> Num {
    result(op, off, wide, false, &a, &b)
}

fn check(what: &str, x: u64, y: u64, result: u64, known: Num) {
    assert!(known.contains(result), "{what} {x:#x} {y:#x} = {result:#x} is not in {known:x?}");
}

#[test]
fn results_lie_in_what_is_known_of_them() {
    let mut r = Random(0x9e37_79b9_7f4a_7c15);
    let rounds = std::env::var("AXIOM_FUZZ_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(60_000);
    for _ in 0..rounds {
        let (xs, a) = r.set();
        let (ys, b) = r.set();
        let shift = r.next() as u32 % 64;
        let wide = r.next().is_multiple_of(2);
        for &x in &xs {
            assert!(a.contains(x), "{x:#x} not in {a:x?}");
            check("zext", x, 0, x as u32 as u64, a.zext32());
            for bits in [8, 16, 32] {
                let s = ((x << (64 - bits)) as i64 >> (64 - bits)) as u64;
                check("sext", x, bits as u64, s, a.sext(bits));
            }
            let cut = |v: u64| if wide { v } else { v as u32 as u64 };
            let k = if wide { shift } else { shift % 32 };
            let by = Num::of(k as u64);
            check(
                "shl",
                x,
                k as u64,
                if wide { x << k } else { cut((x as u32 as u64) << k) },
                calc(LSH, 0, a, by, wide),
            );
            check(
                "shr",
                x,
                k as u64,
                if wide { x >> k } else { (x as u32 >> k) as u64 },
                calc(RSH, 0, a, by, wide),
            );
            let s = if wide { (x as i64 >> k) as u64 } else { (x as i32 >> k) as u32 as u64 };
            check("ashr", x, k as u64, s, calc(ARSH, 0, a, by, wide));
            let range = Num::between(k as u64 / 2, k as u64);
            for j in [k / 2, k, (k / 2 + k) / 2] {
                check(
                    "shl",
                    x,
                    j as u64,
                    if wide { x << j } else { cut((x as u32 as u64) << j) },
                    calc(LSH, 0, a, range, wide),
                );
                check(
                    "shr",
                    x,
                    j as u64,
                    if wide { x >> j } else { (x as u32 >> j) as u64 },
                    calc(RSH, 0, a, range, wide),
                );
                let s = if wide { (x as i64 >> j) as u64 } else { (x as i32 >> j) as u32 as u64 };
                check("ashr", x, j as u64, s, calc(ARSH, 0, a, range, wide));
            }
            for &y in &ys {
                check("add", x, y, cut(x.wrapping_add(y)), calc(ADD, 0, a, b, wide));
                check("sub", x, y, cut(x.wrapping_sub(y)), calc(SUB, 0, a, b, wide));
                check("mul", x, y, cut(x.wrapping_mul(y)), calc(MUL, 0, a, b, wide));
                check("and", x, y, cut(x & y), calc(AND, 0, a, b, wide));
                check("or", x, y, cut(x | y), calc(OR, 0, a, b, wide));
                check("xor", x, y, cut(x ^ y), calc(XOR, 0, a, b, wide));
                let (u, v) = (cut(x), cut(y));
                check("div", x, y, u.checked_div(v).unwrap_or(0), calc(DIV, 0, a, b, wide));
                check("mod", x, y, u.checked_rem(v).unwrap_or(u), calc(MOD, 0, a, b, wide));
                let (s, t) = if wide { (x as i64, y as i64) } else { (x as i32 as i64, y as i32 as i64) };
                let q = if t == 0 { 0 } else { s.wrapping_div(t) };
                let m = if t == 0 { s } else { s.wrapping_rem(t) };
                check("sdiv", x, y, cut(q as u64), calc(DIV, 1, a, b, wide));
                check("smod", x, y, cut(m as u64), calc(MOD, 1, a, b, wide));
                for op in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0] {
                    let holds = compare(op, x, y, wide);
                    let Some((c, d)) = refine(op, a, b, wide, holds) else {
                        panic!(
                            "{op:#x} wide={wide} {x:#x} {y:#x} is {holds}, but that was ruled out: {a:x?} {b:x?}"
                        )
                    };
                    assert!(
                        c.contains(x) && d.contains(y),
                        "{op:#x} wide={wide} {x:#x} {y:#x} {holds}: {c:x?} {d:x?} from {a:x?} {b:x?}"
                    );
                }
            }
            if b.contains(x) {
                assert!(
                    a.meet(b).is_some_and(|m| m.contains(x)),
                    "{x:#x} in both, not in the meet of {a:x?} {b:x?}"
                );
            }
            assert!(a.join(b).contains(x) && b.join(a).contains(x));
            assert!(!a.subset_of(b) || b.contains(x));
        }
    }
}
