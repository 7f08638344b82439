//! The smallest program that breaks each rule, and the words of the report.
mod common;
use axiom_bpf_isa::{Insn, LineInfo, Lines, MapDef, MapType, ProgramKind};
use axiom_bpf_verifier::{Env, Limits, Memory, Program, Reason, Unbounded, Way, verify};
use common::{EXIT, i};

const ZERO: Insn = i(0xb7, 0, 0, 0, 0);

const RODATA: i32 = 3;
const MAPS: [MapDef; 4] = [
    common::MAPS[0],
    common::MAPS[1],
    common::MAPS[2],
    MapDef { read_only: true, ..common::map(MapType::Array, 4, 8, 1) },
];

fn env() -> Env<'static> {
    const BYTES: &[u8] = &[5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    Env { maps: &MAPS, contents: &[None, None, None, Some(BYTES)], ..common::env() }
}

fn refused(code: &[Insn]) -> (usize, Reason) {
    match verify(&Program { insns: code, lines: None }, &env()) {
        Err(r) => (r.at.insn, r.reason.clone()),
        Ok(a) => panic!("accepted: {a:?}"),
    }
}

fn accepted(code: &[Insn]) -> u64 {
    match verify(&Program { insns: code, lines: None }, &env()) {
        Ok(a) => a.max_insns,
        Err(r) => panic!("{r}"),
    }
}

/// r0 = a value of map 0, not NULL, else the program has ended.
fn lookup() -> Vec<Insn> {
    vec![
        i(0x62, 10, 0, -4, 0),
        i(0xbf, 2, 10, 0, 0),
        i(0x07, 2, 0, 0, -4),
        i(0x18, 1, 1, 0, 0),
        i(0, 0, 0, 0, 0),
        i(0x85, 0, 0, 0, 1),
        i(0x55, 0, 0, 1, 0),
        EXIT,
    ]
}

fn after_lookup(more: &[Insn]) -> Vec<Insn> {
    let mut code = lookup();
    code.extend_from_slice(more);
    code
}

#[test]
fn structure() {
    assert_eq!(refused(&[]), (0, Reason::Empty));
    assert_eq!(refused(&[i(0x06 | 0x80, 0, 0, 0, 0), EXIT]), (0, Reason::UnknownOpcode { op: 0x86 }));
    assert_eq!(
        refused(&[i(0x20, 0, 0, 0, 0), EXIT]),
        (0, Reason::UnknownOpcode { op: 0x20 }),
        "legacy packet access"
    );
    assert_eq!(refused(&[i(0xb7, 0, 3, 0, 0), EXIT]), (0, Reason::ReservedField { op: 0xb7 }));
    assert_eq!(refused(&[i(0xb7, 11, 0, 0, 0), EXIT]), (0, Reason::BadRegister { register: 11 }));
    assert_eq!(refused(&[i(0xb7, 10, 0, 0, 0), EXIT]), (0, Reason::WriteFramePointer));
    assert_eq!(refused(&[ZERO]), (0, Reason::FallsOff));
    assert_eq!(refused(&[ZERO, i(0x05, 0, 0, 5, 0), EXIT]), (1, Reason::JumpOutside { to: 7 }));
    assert_eq!(refused(&[ZERO, i(0x05, 0, 0, -3, 0), EXIT]), (1, Reason::JumpOutside { to: -1 }));
    let wide = [ZERO, i(0x15, 0, 0, 1, 0), i(0x18, 2, 0, 0, 1), i(0, 0, 0, 0, 0), EXIT];
    assert_eq!(refused(&wide), (1, Reason::JumpIntoWideLoad { to: 3 }));
    assert_eq!(refused(&[ZERO, i(0x18, 2, 0, 0, 1)]), (1, Reason::CutWideLoad));
    assert_eq!(
        refused(&[i(0x18, 2, 4, 0, 1), i(0, 0, 0, 0, 0), ZERO, EXIT]),
        (0, Reason::UnknownWideLoad { kind: 4 })
    );
    assert_eq!(
        refused(&[i(0x18, 2, 1, 0, 9), i(0, 0, 0, 0, 0), ZERO, EXIT]),
        (0, Reason::UnknownMap { index: 9 })
    );
    assert_eq!(refused(&[i(0x85, 0, 2, 0, 1), EXIT]), (0, Reason::UnknownCall { kind: 2 }));
    assert_eq!(refused(&[ZERO, i(0xdb, 10, 0, -8, 0x77), EXIT]), (1, Reason::UnknownAtomic { imm: 0x77 }));
    // Two functions; the first jumps into the second.
    let other = [i(0x85, 0, 1, 0, 2), i(0x05, 0, 0, 1, 0), EXIT, ZERO, EXIT];
    assert_eq!(refused(&other), (1, Reason::JumpToOtherFunction { to: 3 }));
    // A cycle with two entries.
    let tangled = [
        ZERO,
        i(0x61, 2, 1, 0, 0),
        i(0x15, 2, 0, 2, 0),
        i(0x07, 0, 0, 0, 1),
        i(0xa5, 0, 0, 1, 9),
        i(0xa5, 0, 0, -3, 9),
        i(0xa5, 0, 0, -3, 9),
        EXIT,
    ];
    assert!(matches!(refused(&tangled).1, Reason::Irreducible { .. }));
    // Even code that never runs must be instructions.
    assert_eq!(refused(&[ZERO, EXIT, i(0xff, 0, 0, 0, 0), EXIT]), (2, Reason::UnknownOpcode { op: 0xff }));
}

#[test]
fn code_that_only_a_backward_jump_reaches_is_checked() {
    // goto 3; 1: r0 = *(r2 + 0); exit; 3: r2 = 5; goto 1
    let back = [i(0x05, 0, 0, 2, 0), i(0x61, 0, 2, 0, 0), EXIT, i(0xb7, 2, 0, 0, 5), i(0x05, 0, 0, -4, 0)];
    assert_eq!(refused(&back), (1, Reason::NotAnAddress { register: 2 }));
    let fine = [i(0x05, 0, 0, 2, 0), i(0xbf, 0, 2, 0, 0), EXIT, i(0xb7, 2, 0, 0, 5), i(0x05, 0, 0, -4, 0)];
    assert_eq!(accepted(&fine), 5);
}

#[test]
fn registers() {
    assert_eq!(refused(&[EXIT]), (0, Reason::Unwritten { register: 0 }));
    assert_eq!(refused(&[i(0xbf, 0, 2, 0, 0), EXIT]), (0, Reason::Unwritten { register: 2 }));
    let call = [i(0xb7, 3, 0, 0, 1), i(0x85, 0, 0, 0, 5), i(0xbf, 0, 3, 0, 0), EXIT];
    assert_eq!(refused(&call), (2, Reason::LostByCall { register: 3 }));
    // r2 is the context on one path and 1 on the other.
    let mixed = [
        ZERO,
        i(0xbf, 2, 1, 0, 0),
        i(0x61, 3, 1, 0, 0),
        i(0x15, 3, 0, 1, 0),
        i(0xb7, 2, 0, 0, 1),
        i(0xbf, 0, 2, 0, 0),
        EXIT,
    ];
    assert_eq!(refused(&mixed), (5, Reason::DiffersByPath { register: 2 }));
    assert_eq!(refused(&[i(0xbf, 0, 1, 0, 0), EXIT]), (1, Reason::ReturnsPointer));
    assert_eq!(refused(&[ZERO, i(0x2f, 1, 0, 0, 0), EXIT]), (1, Reason::PointerArithmetic { register: 1 }));
    assert_eq!(refused(&[ZERO, i(0x0c, 1, 0, 0, 0), EXIT]), (1, Reason::PointerArithmetic { register: 1 }));
    assert_eq!(
        refused(&[i(0xb7, 2, 0, 0, 8), i(0x61, 0, 2, 0, 0), EXIT]),
        (1, Reason::NotAnAddress { register: 2 })
    );
}

#[test]
fn memory() {
    // The context has 32 bytes and is read-only.
    assert_eq!(accepted(&[i(0x61, 0, 1, 28, 0), EXIT]), 2);
    let beyond = refused(&[i(0x61, 0, 1, 29, 0), EXIT]);
    let bounds = |memory, write, at, size, limit| Reason::OutOfBounds {
        memory,
        write,
        low: at,
        high: at,
        size,
        limit,
    };
    assert_eq!(beyond, (0, bounds(Memory::Context, false, 29, 4, 32)));
    assert_eq!(refused(&[i(0x61, 0, 1, -4, 0), EXIT]).1, bounds(Memory::Context, false, -4, 4, 32));
    assert_eq!(
        refused(&[ZERO, i(0x63, 1, 0, 0, 0), EXIT]),
        (1, Reason::ReadOnly { memory: Memory::Context })
    );
    // The stack.
    assert_eq!(refused(&[i(0x79, 0, 10, -8, 0), EXIT]), (0, Reason::UnwrittenStack { offset: -8, size: 8 }));
    let half = [i(0x62, 10, 0, -8, 1), i(0x79, 0, 10, -8, 0), EXIT];
    assert_eq!(refused(&half), (1, Reason::UnwrittenStack { offset: -4, size: 4 }));
    assert_eq!(refused(&[ZERO, i(0x7b, 10, 0, -520, 0), EXIT]).1, bounds(Memory::Stack, true, -520, 8, 512));
    assert_eq!(refused(&[ZERO, i(0x7b, 10, 0, -4, 0), EXIT]).1, bounds(Memory::Stack, true, -4, 8, 512));
    // Map values.
    assert_eq!(accepted(&after_lookup(&[i(0x79, 0, 0, 2040, 0), EXIT])), 8);
    let map = Memory::Value { map: 0 };
    assert_eq!(
        refused(&after_lookup(&[i(0x79, 0, 0, 2041, 0), EXIT])),
        (8, bounds(map, false, 2041, 8, 2048))
    );
    let mut unchecked = after_lookup(&[i(0x79, 0, 0, 0, 0), EXIT]);
    unchecked[6] = i(0x05, 0, 0, 1, 0);
    assert_eq!(refused(&unchecked), (8, Reason::MaybeNull { register: 0, map: Some(0) }));
    // An index that is cut one too far.
    let index = |most| {
        vec![
            i(0x61, 6, 1, 8, 0),
            i(0x25, 6, 0, 11, most),
            i(0x62, 10, 0, -4, 0),
            i(0xbf, 2, 10, 0, 0),
            i(0x07, 2, 0, 0, -4),
            i(0x18, 1, 1, 0, 0),
            i(0, 0, 0, 0, 0),
            i(0x85, 0, 0, 0, 1),
            i(0x55, 0, 0, 1, 0),
            EXIT,
            i(0x0f, 0, 6, 0, 0),
            i(0x71, 0, 0, 0, 0),
            EXIT,
            ZERO,
            EXIT,
        ]
    };
    accepted(&index(2047));
    let far = Reason::OutOfBounds { memory: map, write: false, low: 0, high: 2048, size: 1, limit: 2048 };
    assert_eq!(refused(&index(2048)), (11, far));
    // Addresses do not leave.
    assert_eq!(
        refused(&after_lookup(&[i(0x7b, 0, 10, 0, 0), ZERO, EXIT])),
        (8, Reason::PointerLeak { into: "a map value" })
    );
    // Atomics.
    let odd = [i(0x7a, 10, 0, -8, 0), i(0x7a, 10, 0, -16, 0), ZERO, i(0xdb, 10, 0, -12, 0), EXIT];
    assert_eq!(refused(&odd), (3, Reason::Misaligned { size: 8 }));
}

#[test]
fn read_only_data() {
    let load = |op, off| [i(0x18, 2, 2, 0, RODATA), i(0, 0, 0, 0, 0), i(op, 0, 2, off, 0), EXIT];
    assert_eq!(accepted(&load(0x61, 0)), 3);
    let write = [i(0x18, 2, 2, 0, RODATA), i(0, 0, 0, 0, 0), ZERO, i(0x63, 2, 0, 0, 0), EXIT];
    assert_eq!(refused(&write), (3, Reason::ReadOnly { memory: Memory::Value { map: 3 } }));
    // Its constants are known: 5 iterations.
    let counted = [
        i(0x18, 2, 2, 0, RODATA),
        i(0, 0, 0, 0, 0),
        i(0x61, 3, 2, 0, 0),
        ZERO,
        i(0x07, 0, 0, 0, 1),
        i(0x5d, 0, 3, -2, 0),
        EXIT,
    ];
    assert_eq!(accepted(&counted), 3 + 5 * 2 + 1);
}

#[test]
fn helpers() {
    assert_eq!(refused(&[i(0x85, 0, 0, 0, 9999), ZERO, EXIT]), (0, Reason::UnknownHelper { id: 9999 }));
    assert_eq!(
        refused(&[i(0x61, 2, 1, 0, 0), i(0x8d, 2, 0, 0, 0), ZERO, EXIT]),
        (1, Reason::UnknownCallTarget { register: 2 })
    );
    assert_eq!(accepted(&[i(0xb7, 2, 0, 0, 5), i(0x8d, 2, 0, 0, 0), EXIT]), 3);
    let no_map = [i(0xb7, 1, 0, 0, 0), i(0xbf, 2, 10, 0, 0), i(0x85, 0, 0, 0, 1), ZERO, EXIT];
    assert_eq!(
        refused(&no_map),
        (2, Reason::Argument { helper: "map_lookup_elem", argument: 1, wants: "a map", has: "a number" })
    );
    let mut bare_key = after_lookup(&[ZERO, EXIT]);
    bare_key[0] = ZERO;
    assert_eq!(refused(&bare_key), (5, Reason::UnwrittenStack { offset: -4, size: 4 }));
    let mut ring = after_lookup(&[ZERO, EXIT]);
    ring[3].imm = 2;
    assert_eq!(
        refused(&ring),
        (5, Reason::WrongMap { helper: "map_lookup_elem", map: 2, is: MapType::RingBuf })
    );
    let mut allowed = env();
    allowed.helpers = Some(&[5]);
    let r = verify(&Program { insns: &after_lookup(&[ZERO, EXIT]), lines: None }, &allowed);
    assert_eq!(r.map_err(|r| r.reason), Err(Reason::UnknownHelper { id: 1 }));
}

/// r0 = 8 bytes reserved; `then` runs if that is not NULL, and ends the program.
fn reserve(then: &[Insn]) -> Vec<Insn> {
    let mut code = vec![
        i(0x18, 1, 1, 0, 2),
        i(0, 0, 0, 0, 0),
        i(0xb7, 2, 0, 0, 8),
        i(0xb7, 3, 0, 0, 0),
        i(0x85, 0, 0, 0, 131),
        i(0x55, 0, 0, 1, 0),
        EXIT,
    ];
    code.extend_from_slice(then);
    code
}

#[test]
fn reservations() {
    let submit = [i(0xbf, 1, 0, 0, 0), i(0xb7, 2, 0, 0, 0), i(0x85, 0, 0, 0, 132), ZERO, EXIT];
    accepted(&reserve(&submit));
    assert_eq!(refused(&reserve(&[ZERO, EXIT])), (8, Reason::Leak { reserved_at: 4 }));
    let after = [
        i(0xbf, 6, 0, 0, 0),
        i(0xbf, 1, 0, 0, 0),
        i(0xb7, 2, 0, 0, 0),
        i(0x85, 0, 0, 0, 132),
        i(0x79, 0, 6, 0, 0),
        EXIT,
    ];
    assert_eq!(refused(&reserve(&after)), (11, Reason::GivenBack { register: 6 }));
    let outside = [i(0x7a, 0, 0, 8, 0), EXIT];
    assert!(matches!(
        refused(&reserve(&outside)).1,
        Reason::OutOfBounds { memory: Memory::Reserved, limit: 8, .. }
    ));
    let void = [i(0xbf, 1, 0, 0, 0), i(0xb7, 2, 0, 0, 0), i(0x85, 0, 0, 0, 132), EXIT];
    assert_eq!(refused(&reserve(&void)), (10, Reason::NoResult));
    let middle =
        [i(0x07, 0, 0, 0, 4), i(0xbf, 1, 0, 0, 0), i(0xb7, 2, 0, 0, 0), i(0x85, 0, 0, 0, 132), ZERO, EXIT];
    assert!(matches!(refused(&reserve(&middle)).1, Reason::Argument { helper: "ringbuf_submit", .. }));
}

#[test]
fn loops() {
    let endless = [ZERO, i(0x07, 0, 0, 0, 1), i(0x05, 0, 0, -2, 0), EXIT];
    assert_eq!(refused(&endless), (1, Reason::Loop { head: 1, why: Unbounded::NoExit }));
    // Waits for the context to change.
    let waits = [ZERO, i(0x61, 2, 1, 0, 0), i(0x55, 2, 0, -2, 7), EXIT];
    assert_eq!(refused(&waits), (1, Reason::Loop { head: 1, why: Unbounded::NoProgress }));
    // Steps over its end: 0, 3, 6, ... never equals 7 soon.
    let over = [ZERO, i(0x07, 0, 0, 0, 3), i(0x55, 0, 0, -2, 7), EXIT];
    assert!(matches!(refused(&over).1, Reason::Loop { head: 1, .. }));
    // On one path the counter does not move.
    let stuck =
        [ZERO, i(0x61, 2, 1, 0, 0), i(0x15, 2, 0, 1, 0), i(0x07, 0, 0, 0, 1), i(0xa5, 0, 0, -4, 9), EXIT];
    assert!(matches!(refused(&stuck).1, Reason::Loop { head: 1, why: Unbounded::NoProgress }));
    // Bounded, but by 2^32.
    let long = [ZERO, i(0x61, 2, 1, 0, 0), i(0x07, 0, 0, 0, 1), i(0xad, 0, 2, -2, 0), EXIT];
    let r = refused(&long);
    assert!(
        matches!(r.1, Reason::Loop { head: 2, why: Unbounded::TooMany { counter: 0, passes } } if passes > 1 << 31),
        "{r:?}"
    );
    // Bounded, but too expensive together.
    let nested = [
        ZERO,
        i(0xb7, 2, 0, 0, 0),
        i(0x07, 2, 0, 0, 1),
        i(0xa5, 2, 0, -2, 30_000),
        i(0x07, 0, 0, 0, 1),
        i(0xa5, 0, 0, -5, 30_000),
        EXIT,
    ];
    assert!(
        matches!(refused(&nested).1, Reason::TooExpensive { limit: 1_000_000, count } if count > 1_800_000_000)
    );
    // The worst case of a simple loop is exact.
    assert_eq!(accepted(&[ZERO, i(0x07, 0, 0, 0, 1), i(0xa5, 0, 0, -2, 10), EXIT]), 1 + 20 + 1);
    // An equality that only some passes test does not end the loop: r0 moves, but may pass 8 unseen.
    let skipped =
        [ZERO, i(0x61, 2, 1, 0, 0), i(0x07, 0, 0, 0, 1), i(0x15, 2, 0, -3, 0), i(0x55, 0, 0, -4, 8), EXIT];
    assert!(matches!(refused(&skipped).1, Reason::Loop { head: 1, .. }));
    // Runs down and never up to its end: an astronomic number of passes is no bound for the address either.
    let down = after_lookup(&[
        i(0xb7, 2, 0, 0, 0),
        i(0xbf, 3, 0, 0, 0),
        i(0x0f, 3, 2, 0, 0),
        i(0x61, 3, 3, 0, 0),
        i(0x07, 2, 0, 0, -4),
        i(0xd5, 2, 0, -5, 0x60),
        ZERO,
        EXIT,
    ]);
    assert!(matches!(refused(&down), (11, Reason::OutOfBounds { .. })));
    // r2 != r3 with unknown r3 <= 16: one step at a time, it cannot be missed.
    let meets = [
        ZERO,
        i(0x61, 3, 1, 0, 0),
        i(0x57, 3, 0, 0, 15),
        i(0x07, 3, 0, 0, 1),
        i(0x07, 0, 0, 0, 1),
        i(0x5d, 0, 3, -2, 0),
        EXIT,
    ];
    assert_eq!(accepted(&meets), 4 + 2 * 16 + 1);
}

#[test]
fn functions() {
    let recursive = [i(0x85, 0, 1, 0, -1), EXIT];
    assert_eq!(refused(&recursive), (0, Reason::TooManyCalls));
    // Nine functions, one inside the other.
    let mut deep = Vec::new();
    for _ in 0..8 {
        deep.extend([i(0x85, 0, 1, 0, 1), EXIT]);
    }
    deep.extend([ZERO, EXIT]);
    assert_eq!(refused(&deep).1, Reason::TooManyCalls);
    deep.drain(..2);
    assert_eq!(accepted(&deep), 7 * 2 + 2);
    // A caller's r6 survives, its r1 does not; the callee starts with neither.
    let saved = [i(0xb7, 6, 0, 0, 4), i(0x85, 0, 1, 0, 2), i(0xbf, 0, 6, 0, 0), EXIT, ZERO, EXIT];
    assert_eq!(accepted(&saved), 6);
    let lost = [i(0xb7, 2, 0, 0, 4), i(0x85, 0, 1, 0, 2), i(0xbf, 0, 2, 0, 0), EXIT, ZERO, EXIT];
    assert_eq!(refused(&lost), (2, Reason::LostByCall { register: 2 }));
    let unseen = [i(0xb7, 6, 0, 0, 4), i(0x85, 0, 1, 0, 1), EXIT, i(0xbf, 0, 6, 0, 0), EXIT];
    assert_eq!(refused(&unseen), (3, Reason::Unwritten { register: 6 }));
    // A frame's address does not outlive it.
    let dangling = [i(0x85, 0, 1, 0, 2), i(0x61, 0, 0, -8, 0), EXIT, i(0xbf, 0, 10, 0, 0), EXIT];
    assert_eq!(refused(&dangling), (4, Reason::ReturnsPointer));
    let left = [
        i(0xbf, 1, 10, 0, 0),
        i(0x85, 0, 1, 0, 3),
        i(0x79, 2, 10, -8, 0),
        i(0x62, 2, 0, -4, 0),
        EXIT,
        i(0x7b, 1, 10, -8, 0),
        ZERO,
        EXIT,
    ];
    assert_eq!(refused(&left), (1, Reason::ReturnsPointer));
}

struct Source;

impl Lines for Source {
    fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
        let (line, text) = match insn {
            0..=1 => (11, "\tif (e->channel > 3)"),
            2 => (13, "\t\tn = e->value;"),
            3..=4 => (14, "\tif (n > 40)"),
            5 => (16, "\treturn table[n];"),
            _ => return None,
        };
        Some(LineInfo { file: "filter.c", line, text })
    }
}

#[test]
fn the_report_reads_like_this() {
    let code = [
        i(0x61, 0, 1, 12, 0),
        i(0x25, 0, 0, 1, 3),
        i(0x61, 0, 1, 16, 0),
        i(0x25, 0, 0, 3, 40),
        i(0x0f, 1, 0, 0, 0),
        i(0x71, 0, 1, 0, 0),
        EXIT,
        ZERO,
        EXIT,
    ];
    let env = Env { ctx: ProgramKind::Timer.layout(), limits: Limits::default(), ..env() };
    let r = verify(&Program { insns: &code, lines: Some(&Source) }, &env).unwrap_err();
    assert_eq!(r.path.iter().map(|s| s.taken).collect::<Vec<_>>(), [Way::Taken, Way::NotTaken]);
    assert_eq!(
        r.to_string(),
        "\
Reason:     reads 1 byte at an offset between 0 and 40 of the context, which has 24 bytes
At:         filter.c:16: return table[n];
            instruction 5: w0 = *(u8 *)(r1 + 0x0)
Path:       filter.c:11: if (e->channel > 3) [to line 14]
            filter.c:14: if (n > 40) [to line 16]
Suggestion: read only the members that the context structure has"
    );
    let endless = [ZERO, i(0x07, 0, 0, 0, 1), i(0x05, 0, 0, -2, 0), EXIT];
    let r = verify(&Program { insns: &endless, lines: None }, &env).unwrap_err();
    assert_eq!(
        r.to_string(),
        "\
Reason:     the loop at instruction 1 has no exit: it would run for ever
At:         instruction 1: r0 += 0x1
Suggestion: count the passes and leave at a constant maximum: for (int i = 0; i < 64; i++)"
    );
}

/// Which way a jump goes is the compiler's choice: of `if (v)` it is not taken where `v` is not 0. So beside C stands where it leads.
#[test]
fn beside_c_a_path_says_where_it_leads() {
    struct Same;
    impl Lines for Same {
        fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
            let (file, line) = match insn {
                0..=3 => ("a.c", 7),
                4 => ("a.c", 8),
                _ => ("a.h", 9),
            };
            Some(LineInfo { file, line, text: "text" })
        }
    }
    // Two jumps of one line (`a && b`), the second to the next line, and one into another file.
    let code = [
        i(0x61, 0, 1, 12, 0),
        i(0x25, 0, 0, 4, 100),
        i(0x25, 0, 0, 1, 50),
        i(0x05, 0, 0, 2, 0),
        i(0x25, 0, 0, 1, 60),
        i(0x71, 0, 1, 24, 0),
        EXIT,
    ];
    let env = Env { ctx: ProgramKind::Timer.layout(), limits: Limits::default(), ..env() };
    let told = verify(&Program { insns: &code, lines: Some(&Same) }, &env).unwrap_err().to_string();
    let path: Vec<_> = told.lines().filter(|l| l.contains(" [")).map(str::trim).collect();
    let wanted = [
        "Path:       a.c:7: text [to instruction 2]",
        "a.c:7: text [to line 8]",
        "a.c:8: text [to instruction 5]",
    ];
    assert_eq!(path, wanted, "{told}");
}
