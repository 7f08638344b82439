//! The value domain on 64 and 32 bits, against the reference interpreter: whatever is known of two numbers, what is known of
//! the result holds for the result.
use axiom_bpf_checker::bits::Bits;
use axiom_bpf_checker::refine::refine;
use axiom_bpf_checker::ring::Ring;
use axiom_bpf_checker::{Number, alu};
use axiom_bpf_interp::{Bare, Insn, Memory, Size, Stack, run};
use proptest::prelude::*;

struct Nowhere;

impl Memory for Nowhere {
    fn load(&mut self, _: u64, _: Size) -> Option<u64> {
        None
    }
    fn store(&mut self, _: u64, _: Size, _: u64) -> Option<()> {
        None
    }
}

fn wide(register: u8, v: u64) -> [Insn; 2] {
    [Insn::new(0x18, register, 0, 0, v as i32), Insn::new(0, 0, 0, 0, (v >> 32) as i32)]
}

/// r0, after an instruction on r0 = x and r1 = y; the instruction may skip the one that sets r0 to 0.
fn interpret(x: u64, y: u64, one: Insn, then: &[Insn]) -> u64 {
    let code = [&wide(0, x)[..], &wide(1, y), &[one], then, &[Insn::new(0x95, 0, 0, 0, 0)]].concat();
    run(&code, &mut Bare(Nowhere), &mut Stack::default(), 0, 0, &mut 100).expect("a run")
}

/// Numbers that sit at the edges more often than chance would put them there.
fn number() -> impl Strategy<Value = u64> {
    let near = |at: u64| (-9i64..10).prop_map(move |d| at.wrapping_add(d as u64));
    prop_oneof![
        any::<u64>(),
        any::<u32>().prop_map(u64::from),
        any::<i32>().prop_map(|v| v as i64 as u64),
        any::<u8>().prop_map(u64::from),
        near(0),
        near(1 << 63),
        near(1 << 31),
        near(1 << 32),
        (0u32..64).prop_flat_map(move |k| near(1 << k)),
    ]
}

/// A number and something that is known of it.
fn known() -> impl Strategy<Value = (u64, Number)> {
    let part =
        prop_oneof![Just(Reading::Nothing), (number(), number()).prop_map(|(a, b)| Reading::Around(a, b))];
    (number(), part.clone(), part, prop_oneof![Just(u64::MAX), number(), Just(0)]).prop_map(
        |(v, all, low, unknown)| {
            let mut n = Number::TOP;
            if let Reading::Around(a, b) = all
                && a.checked_add(b).is_some()
            {
                n.r64 = Ring::new(v.wrapping_sub(a), v.wrapping_add(b));
            }
            if let Reading::Around(a, b) = low
                && (a & 0xffff_ffff) + (b & 0xffff_ffff) < 1 << 32
            {
                n.r32 = Ring::new(v.wrapping_sub(a & 0xffff_ffff), v.wrapping_add(b & 0xffff_ffff));
            }
            n.bits = Bits::cut(v, unknown);
            assert!(n.contains(v));
            assert!(n.reduce() && n.contains(v), "{n:?} lost {v:#x}");
            (v, n)
        },
    )
}

/// What is known of one reading of a number.
#[derive(Clone, Debug)]
enum Reading {
    Nothing,
    Around(u64, u64),
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn arithmetic((x, a) in known(), (y, b) in known(), op in 0u8..14, class in prop_oneof![Just(4u8), Just(7u8)], off in 0i16..4) {
        let op = op << 4;
        let wide = class == 7;
        let off = match (op, off) {
            (0x30 | 0x90, n) => n & 1,
            (0xb0, 1) => 8,
            (0xb0, 2) => 16,
            (0xb0, 3) if wide => 32,
            _ => 0,
        };
        let (r, insn) = match op {
            0x80 => (alu::result(op, 0, wide, false, &a, &a), Insn::new(class | op, 0, 0, 0, 0)),
            0xd0 => {
                let bits = [16, 32, 64][(x % 3) as usize];
                (Number::of_width(bits), Insn::new(class | op | if wide { 0 } else { (y as u8 & 1) << 3 }, 0, 0, 0, bits as i32))
            }
            _ => (alu::result(op, off, wide, false, &a, &b), Insn::new(class | op | 8, 0, 1, off, 0)),
        };
        let real = interpret(x, y, insn, &[]);
        prop_assert!(r.contains(real), "{op:#x}/{off} wide={wide}: {a:?}, {b:?} give {r:?}, which lacks {real:#x}");
    }

    #[test]
    fn comparisons((x, a) in known(), (y, b) in known(), k in 0usize..11, wide in any::<bool>()) {
        let op = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0][k];
        let insn = Insn::new(op | 8 | if wide { 5 } else { 6 }, 0, 1, 2, 0);
        // Behind it, 0 is returned; two further, 1.
        let then = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x05, 0, 0, 1, 0), Insn::new(0xb7, 0, 0, 0, 1)];
        let holds = interpret(x, y, insn, &then) == 1;
        let (mut c, mut d) = (a, b);
        let r = refine(op, &mut c, &mut d, wide, holds).then_some((c, d));
        prop_assert!(r.is_some_and(|(p, q)| p.contains(x) && q.contains(y)), "{op:#x} {holds}: {a:?}, {b:?} give {r:?}");
    }

    #[test]
    fn lattice((x, a) in known(), (y, b) in known()) {
        let j = a.join(b);
        prop_assert!(j.contains(x) && j.contains(y), "{a:?} or {b:?} is {j:?}");
        if b.contains(x) {
            prop_assert!(a.meet(b).is_some_and(|m| m.contains(x)), "{a:?} and {b:?}");
        }
        if a.subset_of(b) {
            prop_assert!(b.contains(x), "{a:?} in {b:?}");
        }
    }
}
