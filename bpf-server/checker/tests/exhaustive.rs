//! The value domain on few bits: every operation, with everything that can be known of its operands and all their values.
//!
//! On 4 bits (halves of 2) all pairs are tried; on 6 bits (halves of 3) all single operands with all constants and all
//! simple ones, and pairs chosen evenly. What numbers do is written here a second time, with plain arithmetic on wide
//! integers, and compared with the interpreter in `full_width.rs`.
//!
//! That nothing is missing is what must be. What is there beside it is counted as well, for each operation, and is not more than
//! `precision.txt` has: a rule that became less exact shows, and whoever meant it accepts it with `AXIOM_ACCEPT_PRECISION=1`.
use axiom_bpf_checker::alu::{lengths, of_lengths, result};
use axiom_bpf_checker::bits::Bits;
use axiom_bpf_checker::num::Num;
use axiom_bpf_checker::refine::{self, compare};
use axiom_bpf_checker::ring::Ring;
use std::collections::{BTreeMap, HashSet};

/// Numbers that a result holds and that cannot be, by operation.
#[derive(Default)]
struct Excess(BTreeMap<String, u64>);

impl Excess {
    fn add(&mut self, what: &str, n: u64) {
        match self.0.get_mut(what) {
            Some(all) => *all += n,
            None => drop(self.0.insert(what.into(), n)),
        }
    }

    /// No more than is recorded under a test's name.
    fn check(&self, test: &str) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/precision.txt");
        let text = std::fs::read_to_string(path).expect("precision.txt");
        if std::env::var_os("AXIOM_ACCEPT_PRECISION").is_some() {
            let others = text.lines().filter(|l| !l.starts_with(&format!("{test}: ")));
            let mine = self.0.iter().map(|(what, n)| format!("{test}: {what}: {n}"));
            let mut all: Vec<String> = others.map(String::from).chain(mine).collect();
            all.sort();
            std::fs::write(path, all.join("\n") + "\n").expect("precision.txt can be written");
            return;
        }
        let mut wrong = String::new();
        for (what, n) in &self.0 {
            let line = format!("{test}: {what}: ");
            let recorded = text.lines().find_map(|l| l.strip_prefix(&line)?.parse::<u64>().ok());
            match recorded {
                None => wrong += &format!("{line}{n}, and nothing is recorded\n"),
                Some(was) if *n > was => wrong += &format!("{line}{n}, it was {was}\n"),
                Some(_) => {}
            }
        }
        assert!(
            wrong.is_empty(),
            "less exact than precision.txt says:\n{wrong}AXIOM_ACCEPT_PRECISION=1 accepts it"
        );
    }
}

/// Sets of numbers below 64.
type Set = u64;

fn of<const W: u32, const H: u32>(n: &Num<W, H>) -> Set {
    (0..1u64 << W).filter(|v| n.contains(*v)).fold(0, |s, v| s | 1 << v)
}

fn rings<const B: u32>() -> Vec<Ring<B>> {
    let n = 1u64 << B;
    let mut all: Vec<Ring<B>> =
        (0..n).flat_map(|lo| (0..n - 1).map(move |span| Ring::new(lo, lo.wrapping_add(span)))).collect();
    all.push(Ring::TOP);
    all
}

fn patterns<const W: u32>() -> Vec<Bits<W>> {
    let mut all = Vec::new();
    for unknown in 0..1u64 << W {
        for value in 0..1u64 << W {
            if value & unknown == 0 {
                all.push(Bits::cut(value, unknown));
            }
        }
    }
    all
}

/// Everything that can be known of a number: all combinations, reduced. Reducing must lose no number, and may only find a
/// contradiction where there is one.
fn everything<const W: u32, const H: u32>(every: usize, excess: &mut Excess) -> Vec<(Num<W, H>, Set)> {
    let mut found = HashSet::new();
    let mut all = Vec::new();
    let mut k = 0;
    let (halves, bits) = (rings::<H>(), patterns::<W>());
    for r64 in rings::<W>() {
        for &r32 in &halves {
            for &b in &bits {
                k += 1;
                if k % every != 0 {
                    continue;
                }
                let raw = Num { r64, r32, bits: b };
                let mut n = raw;
                let members = of(&raw);
                if !n.reduce() {
                    assert_eq!(members, 0, "{raw:?} was called empty");
                    continue;
                }
                assert_eq!(members & !of(&n), 0, "{raw:?} reduced to {n:?}");
                assert_eq!(n.bits.value & n.bits.unknown, 0);
                excess.add("empty, and not called so", u64::from(members == 0));
                // What each part says by itself.
                let part = |r64, r32, bits| of(&Num::<W, H> { r64, r32, bits });
                let (r64, r32) = (part(n.r64, Ring::TOP, Bits::TOP), part(Ring::TOP, n.r32, Bits::TOP));
                let bits = part(Ring::TOP, Ring::TOP, n.bits);
                let beside = |set: Set| u64::from((set & !members).count_ones());
                excess.add("reduced, the whole", beside(r64));
                excess.add("reduced, the low half", beside(r32));
                excess.add("reduced, bits", beside(bits));
                if found.insert((n.r64.lo, n.r64.hi, n.r32.lo, n.r32.hi, n.bits.value, n.bits.unknown)) {
                    all.push((n, of(&n)));
                }
            }
        }
    }
    all
}

/// Intervals alone, halves alone, bits alone, reduced.
fn simple<const W: u32, const H: u32>() -> Vec<(Num<W, H>, Set)> {
    let top = Num::<W, H>::TOP;
    let mut all: Vec<Num<W, H>> = rings::<W>().into_iter().map(|r64| Num { r64, ..top }).collect();
    all.extend(rings::<H>().into_iter().map(|r32| Num { r32, ..top }));
    all.extend(patterns::<W>().into_iter().map(|bits| Num { bits, ..top }));
    all.into_iter().filter_map(|mut n| if n.reduce() { Some((n, of(&n))) } else { None }).collect()
}

fn sign(v: u64, b: u32) -> i128 {
    let v = (v & ((1 << b) - 1)) as i128;
    if v >> (b - 1) & 1 == 1 { v - (1 << b) } else { v }
}

/// What the operation does, from RFC 9669, for `w` bits of which the low `h` are the narrow form.
fn concrete(op: u8, off: i16, wide: bool, x: u64, y: u64, w: u32, h: u32) -> u64 {
    let b = if wide { w } else { h };
    let mask = (1u64 << b) - 1;
    let (ux, uy) = ((x & mask) as i128, (y & mask) as i128);
    let (sx, sy) = (sign(x, b), sign(y, b));
    let by = (uy % b as i128) as u32;
    let v: i128 = match (op, off) {
        (0x00, _) => ux + uy,
        (0x10, _) => ux - uy,
        (0x20, _) => ux * uy,
        (0x30, 0) => ux.checked_div(uy).unwrap_or(0),
        (0x30, _) => sx.checked_div(sy).unwrap_or(0),
        (0x40, _) => ux | uy,
        (0x50, _) => ux & uy,
        (0x60, _) => ux << by,
        (0x70, _) => ux >> by,
        (0x80, _) => -ux,
        (0x90, 0) => ux.checked_rem(uy).unwrap_or(ux),
        (0x90, _) => sx.checked_rem(sy).unwrap_or(sx),
        (0xa0, _) => ux ^ uy,
        (0xb0, 0) => uy,
        (0xb0, n) => sign(y, n as u32),
        (0xc0, _) => sx >> by,
        _ => unreachable!(),
    };
    (v & mask as i128) as u64
}

/// Each operation: opcode, offset, whether it has a narrow form, whether it looks at the second operand only.
fn operations(h: i16) -> Vec<(u8, i16, bool)> {
    let mut all: Vec<(u8, i16, bool)> = [0x00, 0x10, 0x20, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xc0, 0xb0]
        .into_iter()
        .map(|op| (op, 0, true))
        .collect();
    all.extend([(0x30, 0, true), (0x30, 1, true), (0x90, 0, true), (0x90, 1, true)]);
    all.extend((1..=h).map(|n| (0xb0, n, n < h)));
    all
}

fn alu<const W: u32, const H: u32>(
    left: &[(Num<W, H>, Set)],
    right: &[(Num<W, H>, Set)],
    excess: &mut Excess,
) {
    for (op, off, narrow) in operations(H as i16) {
        for wide in [true, false] {
            if !wide && !narrow {
                continue;
            }
            let (left, right) = if op == 0xb0 { (&left[..1], right) } else { (left, right) };
            let mut beside = 0;
            for (a, xs) in left {
                // What each second operand can give with any of the first.
                let images: Vec<Set> = (0..1u64 << W)
                    .map(|y| {
                        (0..1u64 << W)
                            .filter(|x| xs >> x & 1 == 1)
                            .fold(0, |s, x| s | 1 << concrete(op, off, wide, x, y, W, H))
                    })
                    .collect();
                for (b, ys) in right {
                    let n = result(op, off, wide, false, a, b);
                    let got = of(&n);
                    let mut need = 0;
                    let mut rest = *ys;
                    while rest != 0 {
                        need |= images[rest.trailing_zeros() as usize];
                        rest &= rest - 1;
                    }
                    assert_eq!(
                        need & !got,
                        0,
                        "{op:#x}/{off} wide={wide}: {a:?} and {b:?} give {n:?}, which lacks {:#b}",
                        need & !got
                    );
                    beside += u64::from((got & !need).count_ones());
                }
            }
            excess.add(&format!("{op:#x}/{off} wide={wide}"), beside);
        }
    }
}

fn unary<const W: u32, const H: u32>(all: &[(Num<W, H>, Set)], excess: &mut Excess) {
    let members = |s: Set| (0..1u64 << W).filter(move |v| s >> v & 1 == 1);
    for (a, xs) in all {
        for wide in [true, false] {
            let n = result(0x80, 0, wide, false, a, a);
            excess.add("negated", u64::from(of(&n).count_ones()));
            for x in members(*xs) {
                assert!(n.contains(concrete(0x80, 0, wide, x, 0, W, H)), "-{a:?} = {n:?}");
            }
            // Both operands in one register.
            for (op, off, narrow) in operations(H as i16) {
                if !wide && !narrow {
                    continue;
                }
                let n = result(op, off, wide, true, a, a);
                excess.add("operands in one register", u64::from(of(&n).count_ones()));
                for x in members(*xs) {
                    let v = concrete(op, off, wide, x, x, W, H);
                    assert!(n.contains(v), "{op:#x}/{off} wide={wide} of {a:?} twice = {n:?} lacks {v}");
                }
            }
        }
        let (least, most) = lengths(a.r64);
        excess.add("lengths", u64::from(most - least));
        excess.add("low half", u64::from(of(&a.zext32()).count_ones()));
        for x in members(*xs) {
            assert!((least..=most).contains(&(64 - x.leading_zeros())), "length of {a:?}");
            assert!(a.zext32().contains(x & ((1 << H) - 1)));
        }
        for bits in 1..=W {
            for reverse in [false, true] {
                if reverse && !matches!(bits, 2 | 4) {
                    continue;
                }
                let n = Num::<W, H>::of_width(bits);
                excess.add("swapped", u64::from(of(&n).count_ones()));
                for x in members(*xs) {
                    let low = x & ((1 << bits) - 1);
                    let v = if reverse { low.reverse_bits() >> (64 - bits) } else { low };
                    assert!(n.contains(v), "swap {bits} of {a:?} = {n:?} lacks {v}");
                }
            }
        }
    }
}

const COMPARISONS: [u8; 11] = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];

fn holds(op: u8, x: u64, y: u64, b: u32) -> bool {
    let mask = (1u64 << b) - 1;
    let (u, v, s, t) = (x & mask, y & mask, sign(x, b), sign(y, b));
    match op {
        0x10 => u == v,
        0x20 => u > v,
        0x30 => u >= v,
        0x40 => u & v != 0,
        0x50 => u != v,
        0x60 => s > t,
        0x70 => s >= t,
        0xa0 => u < v,
        0xb0 => u <= v,
        0xc0 => s < t,
        _ => s <= t,
    }
}

fn branches<const W: u32, const H: u32>(
    left: &[(Num<W, H>, Set)],
    right: &[(Num<W, H>, Set)],
    excess: &mut Excess,
) {
    let n = 1u64 << W;
    for op in COMPARISONS {
        for wide in [true, false] {
            let b = if wide { W } else { H };
            // For each value of the one operand, the values of the other for which it holds.
            let mut of_x = vec![0; n as usize];
            let mut of_y = vec![0; n as usize];
            for x in 0..n {
                for y in 0..n {
                    let yes = holds(op, x, y, b);
                    let real = if wide { compare::<W>(op, x, y) } else { compare::<H>(op, x, y) };
                    assert_eq!(yes, real, "{op:#x} {x} {y}");
                    of_x[x as usize] |= u64::from(yes) << y;
                    of_y[y as usize] |= u64::from(yes) << x;
                }
            }
            let all: Set = if n == 64 { u64::MAX } else { (1 << n) - 1 };
            let (mut beside, mut not_seen) = (0, 0);
            for (a, xs) in left {
                for (c, ys) in right {
                    for outcome in [true, false] {
                        let flip = if outcome { 0 } else { all };
                        let members = |s: Set| (0..n).filter(move |v| s >> v & 1 == 1);
                        let keep = |s: Set, of: &[Set], other: Set| {
                            members(s)
                                .filter(|v| (of[*v as usize] ^ flip) & other != 0)
                                .fold(0, |s, v| s | 1 << v)
                        };
                        let (need_x, need_y): (Set, Set) = (keep(*xs, &of_x, *ys), keep(*ys, &of_y, *xs));
                        let (mut x, mut y) = (*a, *c);
                        let possible = refine::refine(op, &mut x, &mut y, wide, outcome);
                        match possible.then_some((x, y)) {
                            None => assert_eq!(need_x | need_y, 0, "{op:#x} {outcome} of {a:?}, {c:?}"),
                            Some((p, q)) => {
                                assert_eq!(need_x & !of(&p), 0, "{op:#x} {outcome} of {a:?}, {c:?}: {p:?}");
                                assert_eq!(need_y & !of(&q), 0, "{op:#x} {outcome} of {a:?}, {c:?}: {q:?}");
                                let more = (of(&p) & !need_x).count_ones() + (of(&q) & !need_y).count_ones();
                                beside += u64::from(more);
                                not_seen += u64::from(need_x | need_y == 0);
                            }
                        }
                    }
                }
            }
            excess.add(&format!("{op:#x} wide={wide}"), beside);
            excess.add(&format!("{op:#x} wide={wide}, impossible, and not seen"), not_seen);
        }
    }
}

fn lattice<const W: u32, const H: u32>(
    left: &[(Num<W, H>, Set)],
    right: &[(Num<W, H>, Set)],
    excess: &mut Excess,
) {
    for (a, xs) in left {
        for (b, ys) in right {
            let joined = of(&a.join(*b));
            assert_eq!((xs | ys) & !joined, 0, "{a:?} or {b:?}");
            excess.add("either", u64::from((joined & !(xs | ys)).count_ones()));
            excess.add("a part, not seen", u64::from(xs & !ys == 0 && !a.subset_of(*b)));
            match a.meet(*b) {
                Some(m) => {
                    assert_eq!(xs & ys & !of(&m), 0, "{a:?} and {b:?}: {m:?}");
                    excess.add("both", u64::from((of(&m) & !(xs & ys)).count_ones()));
                    excess.add("both, never", u64::from(xs & ys == 0));
                }
                None => assert_eq!(xs & ys, 0, "{a:?} and {b:?} were called disjoint"),
            }
            if a.subset_of(*b) {
                assert_eq!(xs & !ys, 0, "{a:?} is not in {b:?}");
            }
        }
    }
}

/// One of so many is tried, by AXIOM_EXHAUSTIVE_THIN: where the checker itself is changed again and again, and slow. The excess is not
/// comparable then.
fn thin() -> usize {
    std::env::var("AXIOM_EXHAUSTIVE_THIN").ok().and_then(|n| n.parse().ok()).unwrap_or(1).max(1)
}

fn thinned<T: Copy>(all: Vec<T>) -> Vec<T> {
    if thin() > 1 { evenly(&all, 3000 / thin(), 0) } else { all }
}

fn evenly<T: Copy>(all: &[T], n: usize, from: usize) -> Vec<T> {
    let step = (all.len() / n).max(1);
    all.iter().copied().skip(from % step).step_by(step).collect()
}

/// One for each set of numbers that can be told apart.
fn distinct<const W: u32, const H: u32>(all: &[(Num<W, H>, Set)]) -> Vec<(Num<W, H>, Set)> {
    let mut found = HashSet::new();
    all.iter().copied().filter(|n| found.insert(n.1)).collect()
}

/// A part of what the others try, for who has little time: a change is mostly seen here.
#[test]
fn four_bits_in_short() {
    let mut excess = Excess::default();
    let all = everything::<4, 2>(101, &mut excess);
    let (some, others) = (evenly(&all, 80, 1), evenly(&all, 40, 2));
    unary(&some, &mut excess);
    alu(&some, &others, &mut excess);
    alu(&others, &some, &mut excess);
    branches(&some, &others, &mut excess);
    lattice(&some, &others, &mut excess);
    lattice(&others, &some, &mut excess);
    excess.check("four_bits_in_short");
}

/// Numbers that have so many bits: all of them, and none else. Where the least is more than there are, only the greatest counts.
#[test]
fn numbers_of_so_many_bits() {
    for least in -2i128..=8 {
        for greatest in least.max(-1)..=8 {
            let r = of_lengths::<6>(least, greatest);
            for v in 0..64u64 {
                let bits = 64 - v.leading_zeros() as i128;
                let wanted = bits <= greatest.clamp(0, 6) && (least > 6 || bits >= least);
                assert_eq!(r.contains(v), wanted, "{v} has {bits} bits, {least} to {greatest}");
            }
        }
    }
}

#[test]
fn arithmetic_on_four_bits() {
    let mut excess = Excess::default();
    let all = thinned(everything::<4, 2>(thin(), &mut excess));
    let sets = distinct(&all);
    assert!(thin() > 1 || all.len() > 9000 && sets.len() > 1200, "{} and {}", all.len(), sets.len());
    unary(&all, &mut excess);
    alu(&sets, &sets, &mut excess);
    alu(&all, &evenly(&all, 40, 0), &mut excess);
    alu(&evenly(&all, 40, 1), &all, &mut excess);
    if thin() == 1 {
        excess.check("arithmetic_on_four_bits");
    }
}

#[test]
fn comparisons_on_four_bits() {
    let mut excess = Excess::default();
    let all = thinned(everything::<4, 2>(thin(), &mut excess));
    let sets = distinct(&all);
    branches(&sets, &sets, &mut excess);
    lattice(&sets, &sets, &mut excess);
    lattice(&all, &evenly(&all, 100, 0), &mut excess);
    branches(&all, &evenly(&all, 40, 0), &mut excess);
    branches(&evenly(&all, 40, 1), &all, &mut excess);
    if thin() == 1 {
        excess.check("comparisons_on_four_bits");
    }
}

#[test]
fn six_bits() {
    let mut excess = Excess::default();
    let simple = thinned(simple::<6, 3>());
    let all = thinned(everything::<6, 3>(997 * thin(), &mut excess));
    println!("{} simple, {} others", simple.len(), all.len());
    unary(&simple, &mut excess);
    unary(&all, &mut excess);
    let constants: Vec<_> = simple.iter().copied().filter(|n| n.1.count_ones() == 1).collect();
    let (some, others) = (evenly(&simple, 150, 1), evenly(&all, 150, 2));
    alu(&simple, &evenly(&constants, 64, 0), &mut excess);
    for (left, right) in [(&simple, &others), (&others, &simple), (&others, &some), (&some, &others)] {
        alu(&evenly(left, 150, 3), right, &mut excess);
        branches(&evenly(left, 150, 5), &evenly(right, 150, 7), &mut excess);
        lattice(left, right, &mut excess);
    }
    if thin() == 1 {
        excess.check("six_bits");
    }
}
