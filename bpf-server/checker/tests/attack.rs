//! Programs with proofs that were once accepted, and are wrong.
use axiom_bpf_checker::{Env, Fault, Limits, Why, check, proof::MAGIC};
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind};

fn number(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn signed(out: &mut Vec<u8>, v: i64) {
    number(out, (v << 1 ^ v >> 63) as u64);
}

/// A state with ghost counter 0 if `ghost`, and what is written of r1.
fn state(ghost: bool, r1: &[u8]) -> Vec<u8> {
    let mut out = if ghost { vec![1, 0, 0] } else { vec![0] };
    out.push(1 << 1);
    out.extend(r1);
    // One frame, of which nothing is known; no differences, no records.
    out.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    out
}

/// What the checker says of `code` and a proof with one ghost counter of a loop at slot 4, one line of lengths, and these places.
fn accepted(code: &[Insn], places: &[(u32, Vec<u8>)]) -> bool {
    let mut proof = MAGIC.to_vec();
    proof.extend([1, 0, 0]); // one context, from slot 0, at depth 0
    proof.extend([1, 4, 0, 0]); // a ghost counter: head, most, cost
    proof.extend([1, 1, 0, 0, 0, 1]); // a line of lengths
    proof.push(50);
    proof.extend(state(false, &[2, 0, 0])); // r1 = the context
    proof.extend([0, places.len() as u8]);
    let mut states = Vec::new();
    for (slot, s) in places {
        proof.extend(slot.to_le_bytes());
        proof.extend((states.len() as u32).to_le_bytes());
        proof.extend((40 - *slot as u64).to_le_bytes());
        states.extend_from_slice(s);
    }
    proof.push(0);
    number(&mut proof, states.len() as u64);
    proof.extend(states);
    let (ctx, limits) = (ProgramKind::Iio.layout(), Limits::default());
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    let said = check(code, &proof, &env);
    assert!(matches!(said, Ok(_) | Err(Fault { why: Why::NotImplied { place: 1 }, .. })), "{said:?}");
    said.is_ok()
}

/// r1 is a number that has so many bits, or its low half has.
fn moved(half: bool, lo: i64, hi: i64) -> Vec<u8> {
    let mut out = vec![1 | 64 | if half { 128 } else { 0 }, 1, 1];
    signed(&mut out, lo);
    number(&mut out, (hi - lo) as u64);
    out.push(0);
    out
}

/// The low half of r1 has 32 bits.
fn low() -> Vec<u8> {
    let mut low = vec![1, 3];
    [0, -1, 1 << 31, -1, 0, -1].into_iter().for_each(|v| signed(&mut low, v));
    low
}

const fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

/// From slot 0: r1 is a number of 41 bits or more, or nothing is done.
fn program(middle: &[Insn]) -> Vec<Insn> {
    let mut code = vec![i(0x79, 1, 1, 0, 0), i(0xb7, 2, 0, 0, 1), i(0x67, 2, 0, 0, 40)];
    code.push(i(0xad, 1, 2, middle.len() as i16 + 5, 0));
    code.extend_from_slice(middle);
    // If the low half of r1 has 32 bits, this stores to the last bytes of the frame.
    code.extend([i(0xbc, 2, 1, 0, 0), i(0x07, 2, 0, 0, i32::MIN), i(0x77, 2, 0, 0, 31)]);
    code.extend([i(0x0f, 2, 10, 0, 0), i(0x72, 2, 0, -8, 0), i(0xb7, 0, 0, 0, 0), i(0x95, 0, 0, 0, 0)]);
    code
}

/// The length of a whole number says nothing of the length of its low half.
#[test]
fn the_length_of_the_whole_is_not_that_of_the_half() {
    let code = program(&[i(0xb7, 0, 0, 0, 0), i(0xb7, 0, 0, 0, 0)]);
    let places = |half: Vec<u8>| {
        [(4, state(true, &moved(false, 41, 64))), (5, state(true, &half)), (6, state(false, &low()))]
    };
    assert!(!accepted(&code, &places(moved(true, 32, 64))));
}

/// The same where two ways meet, of which one tells of the whole, the other of the half.
#[test]
fn lengths_of_the_whole_and_of_the_half_do_not_meet() {
    // 4: if w1 s< 0 goto 6; 5: goto 7; 6: r0 = 0; 7: r0 = 0
    let zero = i(0xb7, 0, 0, 0, 0);
    let code = program(&[i(0xc6, 1, 0, 1, 0), i(0x05, 0, 0, 1, 0), zero, zero]);
    let places = [
        (5, state(true, &moved(false, 41, 64))),
        (6, state(true, &moved(true, 32, 32))),
        (8, state(false, &low())),
    ];
    assert!(!accepted(&code, &places));
}

/// What equals how far two registers are apart does so until one of them moves: a difference has no name.
#[test]
fn a_difference_that_moves_is_another() {
    let code = [
        i(0x61, 4, 1, 0, 0),
        i(0xb7, 1, 0, 0, 5),
        i(0xb7, 2, 0, 0, 0),
        i(0xb7, 3, 0, 0, 5),
        i(0x15, 4, 0, 2, 0), // 4
        i(0xb7, 1, 0, 0, 6),
        i(0xb7, 3, 0, 0, 6),
        i(0x07, 1, 0, 0, -5),  // 7: r3 is 5 or 6, and r1 - r2
        i(0x15, 3, 0, 0, 5),   // 8: r1 - r2 is 0 or 1, but r3 may be either
        i(0x7a, 10, 0, 64, 0), // 9
        i(0xb7, 0, 0, 0, 0),
        i(0x95, 0, 0, 0, 0),
    ];
    let named = [1 | 32, 2, 10, 1, 7, 0]; // 5 or 6, by the name 7
    let mut place = vec![0, 0b1110, 1, 1, 1, 1];
    place.extend(named);
    place.extend([1, 0, 0, 0, 1, 1 | 2 << 4]);
    place.extend(named);
    place.extend([0; 4]);
    let mut proof = MAGIC.to_vec();
    proof.extend([1, 0, 0, 0, 0, 50]);
    proof.extend(state(false, &[2, 0, 0]));
    proof.extend([0, 1]);
    for word in [7u32, 0, 30, 0] {
        proof.extend(word.to_le_bytes());
    }
    proof.extend([0, place.len() as u8]);
    proof.extend(place);
    let (ctx, limits) = (ProgramKind::Iio.layout(), Limits::default());
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    assert_eq!(check(&code, &proof, &env), Err(Fault { at: 4, why: Why::Format }));
}

/// A record was not reserved only if its address is 0: not if something added to it is.
#[test]
fn an_address_beside_a_record_tells_not_that_there_is_none() {
    let code = [
        i(0x79, 7, 1, 0, 0),
        i(0x18, 1, 1, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0xb7, 2, 0, 0, 8),
        i(0xb7, 3, 0, 0, 0),
        i(0x85, 0, 0, 0, 131), // 5
        i(0x15, 0, 0, 8, 0),
        i(0xbf, 8, 0, 0, 0),
        i(0xbf, 6, 0, 0, 0),
        i(0x0f, 6, 7, 0, 0),
        i(0xb7, 0, 0, 0, 0), // 10: r6 is anywhere; the proof calls it null, perhaps
        i(0x15, 6, 0, 3, 0), // 11
        i(0xbf, 1, 8, 0, 0),
        i(0xb7, 2, 0, 0, 0),
        i(0x85, 0, 0, 0, 132),
        i(0xb7, 0, 0, 0, 0), // 15
        i(0x95, 0, 0, 0, 0),
    ];
    // r6 and r8, no frame's bytes, one record.
    let place = [0, 0xc0, 0x02, 6 | 8, 5, 8, 1, 6, 5, 8, 0, 0, 1, 0, 0, 0, 0, 6, 0, 0, 0];
    let mut proof = MAGIC.to_vec();
    proof.extend([1, 0, 0, 0, 0, 50]);
    proof.extend(state(false, &[2, 0, 0]));
    proof.extend([0, 1]);
    for word in [10u32, 0, 30, 0] {
        proof.extend(word.to_le_bytes());
    }
    proof.extend([0, place.len() as u8]);
    proof.extend(place);
    let (ctx, limits) = (ProgramKind::Iio.layout(), Limits::default());
    let ring = MapDef {
        map_type: MapType::RingBuf,
        key_size: 0,
        value_size: 0,
        max_entries: 4096,
        flags: 0,
        read_only: false,
    };
    let env = Env { maps: &[ring], contents: &[], ctx, helpers: None, limits };
    let said = check(&code, &proof, &env);
    assert!(matches!(said, Err(Fault { why: Why::Held, .. })), "{said:?}");
}

/// Where no run comes, a proof may state what it likes: also a record of the last instruction that there could be.
#[test]
fn a_record_of_the_last_number_does_not_overflow() {
    let zero = i(0xb7, 0, 0, 0, 0);
    let exit = i(0x95, 0, 0, 0, 0);
    let code = [zero, exit, i(0xb7, 2, 0, 0, 0), i(0x85, 0, 0, 0, 132), zero, exit];
    let place = [0, 2, 6, 0xff, 0xff, 0xff, 0xff, 0x0f, 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut proof = MAGIC.to_vec();
    proof.extend([1, 0, 0, 0, 0, 50]);
    proof.extend(state(false, &[2, 0, 0]));
    proof.extend([0, 1]);
    for word in [2u32, 0, 30, 0] {
        proof.extend(word.to_le_bytes());
    }
    proof.extend([0, place.len() as u8]);
    proof.extend(place);
    let (ctx, limits) = (ProgramKind::Iio.layout(), Limits::default());
    let env = Env { maps: &[], contents: &[], ctx, helpers: None, limits };
    assert_eq!(check(&code, &proof, &env), Err(Fault { at: 2, why: Why::Format }));
}
