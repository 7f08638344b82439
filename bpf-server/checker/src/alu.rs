//! Arithmetic instructions on numbers: what is known of the result.
//!
//! Generic over the width, as [`Num`]: the tests try every operation here on few bits with everything that can be known
//! of the operands.

use crate::num::Num;
use crate::ring::Ring;
use axiom_bpf_isa::alu::*;

/// The result of operation `op` (the high nibble of the opcode) with offset `off` on `W` bits, or on the low `H`, if not
/// `wide`: then the operands' halves are extended first, and the result is cut afterwards. Moves with `off` bits sign-extend; divisions
/// with `off` 1 are signed. `same`: both operands are one register. Of what is no such operation, nothing is known.
pub fn result<const W: u32, const H: u32>(
    op: u8,
    off: i16,
    wide: bool,
    same: bool,
    a: &Num<W, H>,
    b: &Num<W, H>,
) -> Num<W, H> {
    let signed = matches!(op, DIV | MOD) && off == 1;
    let cut = |n: &Num<W, H>, signed| match (wide, signed) {
        (true, _) => *n,
        (false, false) => n.zext32(),
        (false, true) => n.sext(H),
    };
    let (a, b) = (cut(a, signed || op == ARSH), cut(b, signed));
    let n = match op {
        SUB | XOR if same => Num::of(0),
        ADD => a.add(b),
        SUB => a.sub(b),
        MUL => a.mul(b),
        DIV | MOD => a.div(b, signed, op == MOD),
        OR => a.or(b),
        AND => a.and(b),
        LSH => a.shl(count(b, wide)),
        RSH => a.shr(count(b, wide)),
        NEG => Num::of(0).sub(a),
        XOR => a.xor(b),
        MOV if off == 0 => b,
        MOV => b.sext(off as u32),
        ARSH => a.ashr(count(b, wide)),
        _ => Num::TOP,
    };
    if wide { n } else { n.zext32() }
}

/// Least and greatest count of a shift: only the count's low bits matter.
fn count<const W: u32, const H: u32>(n: Num<W, H>, wide: bool) -> (u32, u32) {
    let (width, (lo, hi)) = (if wide { W } else { H } as u64, n.r64.unsigned());
    match n.constant() {
        Some(c) => ((c % width) as u32, (c % width) as u32),
        None if hi < width => (lo as u32, hi as u32),
        None => (0, width as u32 - 1),
    }
}

/// The number of bits of the greatest and of the least of some numbers, as unsigned ones of `B` bits; 0 has none.
pub fn lengths<const B: u32>(r: Ring<B>) -> (u32, u32) {
    let (lo, hi) = r.unsigned();
    (64 - lo.leading_zeros(), 64 - hi.leading_zeros())
}

/// Numbers of `B` bits that have at least and at most so many of them; all that are short enough, if none has as many.
pub fn of_lengths<const B: u32>(least: i128, greatest: i128) -> Ring<B> {
    let most = u64::MAX.checked_shr(64 - greatest.clamp(0, B as i128) as u32).unwrap_or(0);
    Ring::new(if (1..=B as i128).contains(&least) { 1 << (least - 1) } else { 0 }, most)
}
