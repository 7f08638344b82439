//! The interpreter beside RFC 9669: every instruction against a second reading of the specification, in 128-bit arithmetic where
//! that says it plainly, and every way in which a run ends.

use axiom_bpf_interp::{
    Bare, Fault, MAX_DEPTH, Memory, Region, Regions, STACK, Size, Stack, Trusted, World, run,
};
use axiom_bpf_isa::Insn;

const BASE: u64 = 0x10_0000;
const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

fn lddw(dst: u8, value: u64) -> [Insn; 2] {
    [i(0x18, dst, 0, 0, value as i32), i(0, 0, 0, 0, (value >> 32) as i32)]
}

fn with(bytes: &mut [u8], writable: bool) -> Bare<Regions<'_>> {
    Bare(Regions(vec![Region { base: BASE, bytes, writable }]))
}

fn run_in(world: &mut impl World, program: &[Insn]) -> Result<u64, Fault> {
    run(program, world, &mut Stack::default(), BASE, 16, &mut 100_000)
}

fn result(program: &[Insn]) -> Result<u64, Fault> {
    run_in(&mut with(&mut [0; 16], true), program)
}

/// r0 after one instruction, with r0 and r6 as given before it.
fn one(insn: Insn, r0: u64, r6: u64) -> Result<u64, Fault> {
    result(&[lddw(0, r0), lddw(6, r6), [insn, EXIT]].concat())
}

const VALUES: [u64; 20] = [
    0,
    1,
    2,
    3,
    7,
    31,
    32,
    33,
    63,
    64,
    0x7f,
    0x80,
    0xff80,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0001,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

fn signed(v: u64, bits: u32) -> i128 {
    let v = i128::from(v) & ((1 << bits) - 1);
    if v >> (bits - 1) & 1 == 1 { v - (1 << bits) } else { v }
}

fn unsigned(v: u64, bits: u32) -> i128 {
    i128::from(v) & ((1 << bits) - 1)
}

/// What the specification says of an operation on operands of so many bits.
fn expected(operation: u8, off: i16, bits: u32, d: u64, s: u64) -> Option<u64> {
    let (ud, us, sd, ss) = (unsigned(d, bits), unsigned(s, bits), signed(d, bits), signed(s, bits));
    let shift = (us as u32) % bits;
    let value = match (operation, off) {
        (0x00, 0) => ud + us,
        (0x10, 0) => ud - us,
        (0x20, 0) => return Some(((ud as u128 * us as u128) & ((1 << bits) - 1)) as u64),
        (0x30, 0) => {
            if us == 0 {
                0
            } else {
                ud / us
            }
        }
        (0x30, 1) => {
            if ss == 0 {
                0
            } else {
                sd / ss
            }
        }
        (0x40, 0) => ud | us,
        (0x50, 0) => ud & us,
        (0x60, 0) => (ud as u128).wrapping_shl(shift) as i128,
        (0x70, 0) => ud >> shift,
        (0x80, 0) => -ud,
        (0x90, 0) => {
            if us == 0 {
                ud
            } else {
                ud % us
            }
        }
        (0x90, 1) => {
            if ss == 0 {
                ud
            } else {
                sd % ss
            }
        }
        (0xa0, 0) => ud ^ us,
        (0xb0, 0) => us,
        (0xb0, 8) => signed(s, 8),
        (0xb0, 16) => signed(s, 16),
        (0xb0, 32) if bits == 64 => signed(s, 32),
        (0xc0, 0) => sd >> shift,
        _ => return None,
    };
    Some((value & ((1i128 << bits) - 1)) as u64)
}

#[test]
fn arithmetic_is_the_specifications() {
    let mut tried = 0;
    for (class, bits) in [(4u8, 32), (7, 64)] {
        for operation in (0..=0xc0u8).step_by(0x10) {
            for off in [0i16, 1, 8, 16, 32, 64, -1] {
                for d in VALUES {
                    for s in VALUES {
                        let by_register = one(i(class | operation | 8, 0, 6, off, 0), d, s).ok();
                        let by_number = one(i(class | operation, 0, 0, off, s as i32), d, 0).ok();
                        // Operations without variants do not look at the offset: the verifier refuses it there.
                        let plain = !matches!(operation, 0x30 | 0x90 | 0xb0);
                        let off = if plain { 0 } else { off };
                        let number = s as i32 as i64 as u64;
                        assert_eq!(
                            by_register,
                            expected(operation, off, bits, d, s),
                            "{operation:#x} {off} {bits}: {d:#x} {s:#x}"
                        );
                        let immediate = if matches!((operation, off), (0xb0, 8 | 16 | 32)) {
                            None
                        } else {
                            expected(operation, off, bits, d, number)
                        };
                        assert_eq!(
                            by_number, immediate,
                            "{operation:#x} {off} {bits}: {d:#x} imm {number:#x}"
                        );
                        tried += 2;
                    }
                }
            }
        }
        for operation in [0xe0u8, 0xf0] {
            assert!(one(i(class | operation, 0, 0, 0, 0), 1, 1).is_err());
        }
    }
    assert!(tried > 100_000);
}

#[test]
fn byte_orders() {
    let v = 0x0123_4567_89ab_cdef;
    for (op, width, value) in [
        (0xd4, 16, 0xcdef),
        (0xd4, 32, 0x89ab_cdef),
        (0xd4, 64, v),
        (0xdc, 16, 0xefcd),
        (0xdc, 32, 0xefcd_ab89),
        (0xdc, 64, 0xefcd_ab89_6745_2301),
        (0xd7, 16, 0xefcd),
        (0xd7, 32, 0xefcd_ab89),
        (0xd7, 64, 0xefcd_ab89_6745_2301),
    ] {
        assert_eq!(one(i(op, 0, 0, 0, width), v, 0), Ok(value), "{op:#x} {width}");
    }
    for (op, width) in [(0xdf, 16), (0xd4, 8), (0xdc, 0), (0xd7, 128)] {
        assert_eq!(one(i(op, 0, 0, 0, width), v, 0), Err(Fault::BadInsn { at: 4, op }), "{op:#x} {width}");
    }
}

#[test]
fn every_comparison_both_ways() {
    for (class, bits) in [(5u8, 64), (6, 32)] {
        for operation in (0x10..=0xf0u8).step_by(0x10) {
            if matches!(operation, 0x80 | 0x90) {
                continue; // call and exit
            }
            for d in VALUES {
                for s in VALUES {
                    let taken = |s: u64| {
                        let (ud, us, sd, ss) =
                            (unsigned(d, bits), unsigned(s, bits), signed(d, bits), signed(s, bits));
                        Some(match operation {
                            0x10 => ud == us,
                            0x20 => ud > us,
                            0x30 => ud >= us,
                            0x40 => ud & us != 0,
                            0x50 => ud != us,
                            0x60 => sd > ss,
                            0x70 => sd >= ss,
                            0xa0 => ud < us,
                            0xb0 => ud <= us,
                            0xc0 => sd < ss,
                            0xd0 => sd <= ss,
                            _ => return None,
                        })
                    };
                    let jump = |insn: Insn| {
                        let tail = [insn, i(0xb7, 0, 0, 0, 0), EXIT, i(0xb7, 0, 0, 0, 1), EXIT];
                        result(&[&lddw(1, d)[..], &lddw(6, s), &tail].concat()).ok().map(|r| r == 1)
                    };
                    let by_register = jump(i(class | operation | 8, 1, 6, 2, 0));
                    assert_eq!(by_register, taken(s), "{operation:#x} {bits}: {d:#x} {s:#x}");
                    let by_number = jump(i(class | operation, 1, 0, 2, s as i32));
                    assert_eq!(
                        by_number,
                        taken(s as i32 as i64 as u64),
                        "{operation:#x} {bits}: {d:#x} imm {s:#x}"
                    );
                }
            }
        }
    }
}

#[test]
fn jumps_land_where_they_say() {
    // Over one slot, back, and by the 32-bit form.
    let forward = [i(0xb7, 0, 0, 0, 1), i(0x05, 0, 0, 1, 9), i(0xb7, 0, 0, 0, 2), EXIT];
    assert_eq!(result(&forward), Ok(1));
    let long = [i(0xb7, 0, 0, 0, 1), i(0x06, 0, 0, 9, 1), i(0xb7, 0, 0, 0, 2), EXIT];
    assert_eq!(result(&long), Ok(1));
    let back = [i(0xb7, 0, 0, 0, 0), i(0x07, 0, 0, 0, 1), i(0xa5, 0, 0, -2, 5), EXIT];
    assert_eq!(result(&back), Ok(5));
    // To the last slot, and one beyond each end.
    assert_eq!(result(&[i(0xb7, 0, 0, 0, 3), i(0x05, 0, 0, 0, 0), EXIT]), Ok(3));
    for (op, off, imm) in
        [(0x05, 1, 0), (0x05, -3, 0), (0x06, 0, 1), (0x06, 0, -3), (0x15, 1, 0), (0x15, -3, 0)]
    {
        assert_eq!(
            result(&[i(0xb7, 0, 0, 0, 0), i(op, 0, 0, off, imm), EXIT]),
            Err(Fault::OutOfProgram { at: 1 }),
            "{op:#x} {off} {imm}"
        );
    }
    assert_eq!(
        result(&[i(0xb7, 0, 0, 0, 0), i(0x05, 0, 0, -2, 0), EXIT]).unwrap_err(),
        Fault::OutOfBudget { at: 0 }
    );
    assert_eq!(result(&[]), Err(Fault::OutOfProgram { at: 0 }));
    assert_eq!(result(&[i(0xb7, 0, 0, 0, 0)]), Err(Fault::OutOfProgram { at: 1 }));
}

#[test]
fn loads_and_stores_of_every_size() {
    let bytes: [u8; 16] = core::array::from_fn(|n| 0x81 + n as u8);
    for (op, size, sign) in [
        (0x71, 1, false),
        (0x69, 2, false),
        (0x61, 4, false),
        (0x79, 8, false),
        (0x91, 1, true),
        (0x89, 2, true),
        (0x81, 4, true),
    ] {
        for off in [0usize, 1, 5, 16 - size] {
            let mut copy = bytes;
            let got = run_in(&mut with(&mut copy, false), &[i(op, 0, 1, off as i16, 0), EXIT]);
            let mut word = [0; 8];
            word[..size].copy_from_slice(&bytes[off..off + size]);
            let value = u64::from_le_bytes(word);
            let up = 64 - 8 * size as u32;
            assert_eq!(
                got,
                Ok(if sign { ((value << up) as i64 >> up) as u64 } else { value }),
                "{op:#x} at {off}"
            );
        }
        for off in [-1i16, 17 - size as i16, 16, 4000] {
            let mut copy = bytes;
            let got = run_in(&mut with(&mut copy, false), &[i(op, 0, 1, off, 0), EXIT]);
            let address = BASE.wrapping_add(off as i64 as u64);
            assert_eq!(got, Err(Fault::BadAccess { at: 0, address, size: size as u8, write: false }));
        }
    }
    for (number, register, size) in
        [(0x72u8, 0x73u8, 1usize), (0x6a, 0x6b, 2), (0x62, 0x63, 4), (0x7a, 0x7b, 8)]
    {
        for (op, value) in [(number, -0x1234_5678i64 as u64), (register, 0xfedc_ba98_7654_3210)] {
            for off in [0usize, 3, 16 - size] {
                let mut copy = bytes;
                let store = i(op, 1, if op == register { 6 } else { 0 }, off as i16, -0x1234_5678);
                let program =
                    [&lddw(6, 0xfedc_ba98_7654_3210)[..], &[i(0xb7, 0, 0, 0, 0), store, EXIT]].concat();
                assert_eq!(run_in(&mut with(&mut copy, true), &program), Ok(0));
                let mut wanted = bytes;
                wanted[off..off + size].copy_from_slice(&value.to_le_bytes()[..size]);
                assert_eq!(copy, wanted, "{op:#x} at {off}");
                let mut copy = bytes;
                let fault = run_in(&mut with(&mut copy, false), &program).unwrap_err();
                assert_eq!(
                    fault,
                    Fault::BadAccess { at: 3, address: BASE + off as u64, size: size as u8, write: true }
                );
                assert_eq!(copy, bytes);
            }
        }
    }
}

#[test]
fn regions_are_searched_to_their_ends() {
    let (mut a, mut b) = ([1u8; 4], [2u8; 8]);
    let mut regions = Regions(vec![
        Region { base: BASE, bytes: &mut a, writable: false },
        Region { base: BASE + 4, bytes: &mut b, writable: true },
    ]);
    assert_eq!(regions.load(BASE, Size::B4), Some(0x0101_0101));
    assert_eq!(regions.load(BASE + 2, Size::B4), None, "an access does not cross regions");
    assert_eq!(regions.load(BASE + 4, Size::B8), Some(0x0202_0202_0202_0202));
    assert_eq!((regions.load(BASE + 12, Size::B1), regions.load(u64::MAX, Size::B8)), (None, None));
    assert_eq!((regions.store(BASE, Size::B1, 9), regions.store(BASE + 11, Size::B1, 9)), (None, Some(())));
    assert_eq!(regions.update(BASE + 8, Size::B4, &mut |old| old + 1), Some(0x0902_0202));
    assert_eq!(regions.load(BASE + 8, Size::B4), Some(0x0902_0203));
    assert_eq!((Size::B2.truncate(0x12345), Size::B2.sign_extend(0x8000)), (0x2345, 0xffff_ffff_ffff_8000));
    assert_eq!((Size::B8.truncate(u64::MAX), Size::B4.sign_extend(0x7fff_ffff)), (u64::MAX, 0x7fff_ffff));
    assert_eq!((Size::B1.truncate(0x1ff), Size::B1.sign_extend(0x80)), (0xff, 0xffff_ffff_ffff_ff80));
    assert_eq!(Size::B4.truncate(0x1_0000_0001), 1);
}

#[test]
fn atomics_return_what_was_there_when_asked() {
    let run_one = |class: u8, imm: i32, memory: u64, r6: u64, r0: u64| {
        let mut bytes = [0u8; 16];
        bytes[..8].copy_from_slice(&memory.to_le_bytes());
        let program = [
            &lddw(6, r6)[..],
            &lddw(0, r0),
            &[i(class, 1, 6, 0, imm), i(0xbf, 7, 0, 0, 0), i(0x7b, 1, 6, 8, 0), i(0xbf, 0, 7, 0, 0), EXIT],
        ]
        .concat();
        let got = run_in(&mut with(&mut bytes, true), &program);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        got.map(|r0| (word(0), word(8), r0))
    };
    let (m, s, r0) = (0xff00_ff00_1234_5678u64, 0x0ff0_0ff0_9000_000fu64, 0xff00_ff00_1234_5678u64);
    for (class, bits) in [(0xdbu8, 64u32), (0xc3, 32)] {
        let low = |v: u64| if bits == 64 { v } else { v & 0xffff_ffff };
        let put = |v: u64| if bits == 64 { v } else { (m & !0xffff_ffff) | low(v) };
        for (imm, value) in [(0x00, m.wrapping_add(s)), (0x40, m | s), (0x50, m & s), (0xa0, m ^ s)] {
            assert_eq!(run_one(class, imm, m, s, r0), Ok((put(value), s, r0)), "{imm:#x} {bits}");
            assert_eq!(
                run_one(class, imm | 1, m, s, r0),
                Ok((put(value), low(m), r0)),
                "{imm:#x} fetch {bits}"
            );
        }
        assert_eq!(run_one(class, 0xe1, m, s, r0), Ok((put(s), low(m), r0)));
        assert_eq!(run_one(class, 0xf1, m, s, r0), Ok((put(s), s, low(m))), "equal: exchanged");
        assert_eq!(
            run_one(class, 0xf1, m, s, 5),
            Ok((m, s, low(m))),
            "different: left, and r0 says what is there"
        );
        for imm in [0x10, 0x41 | 2, 0xe0, 0xf0, 0xff] {
            assert_eq!(run_one(class, imm, m, s, r0), Err(Fault::BadInsn { at: 4, op: class }), "{imm:#x}");
        }
    }
    // On the stack; beyond memory; with r10 as the operand.
    let stack = [
        i(0x7a, 10, 0, -8, 40),
        i(0xb7, 6, 0, 0, 2),
        i(0xdb, 10, 6, -8, 1),
        i(0x79, 0, 10, -8, 0),
        i(0x2f, 0, 6, 0, 0),
        EXIT,
    ];
    assert_eq!(result(&stack), Ok(42 * 40));
    let outside = [i(0xb7, 6, 0, 0, 2), i(0xc3, 1, 6, 16, 0), EXIT];
    assert_eq!(result(&outside), Err(Fault::BadAccess { at: 1, address: BASE + 16, size: 4, write: true }));
    assert_eq!(result(&[i(0xdb, 1, 10, 0, 0), EXIT]), Err(Fault::BadInsn { at: 0, op: 0xdb }));
    for op in [0xcb, 0xd3, 0xc2, 0xda] {
        assert!(
            result(&[i(0xb7, 6, 0, 0, 0), i(op, 1, 6, 0, 0), i(0xb7, 0, 0, 0, 0), EXIT]).is_err(),
            "{op:#x}"
        );
    }
}

#[test]
fn functions_have_their_own_stack_and_keep_their_callers_registers() {
    // main: r6..r9 = 6..9, [r10-8] = 77; f destroys r6..r9, writes its own stack and the caller's through r1.
    let mut main: Vec<Insn> = (6..10).map(|r| i(0xb7, r, 0, 0, r.into())).collect();
    main.extend([i(0x7a, 10, 0, -8, 77), i(0xbf, 1, 10, 0, 0), i(0x85, 0, 1, 0, 7)]);
    main.extend([i(0x0f, 0, 6, 0, 0), i(0x0f, 0, 7, 0, 0), i(0x0f, 0, 8, 0, 0), i(0x0f, 0, 9, 0, 0)]);
    main.extend([i(0x79, 1, 10, -8, 0), i(0x0f, 0, 1, 0, 0), EXIT]);
    let function = [
        i(0x7a, 10, 0, -8, 1000),
        i(0x79, 2, 1, -8, 0),
        i(0x7a, 1, 0, -8, 500),
        i(0xb7, 6, 0, 0, 0),
        i(0xb7, 7, 0, 0, 0),
        i(0xb7, 8, 0, 0, 0),
        i(0xb7, 9, 0, 0, 0),
        i(0xbf, 0, 2, 0, 0),
        EXIT,
    ];
    main.extend(function);
    assert_eq!(result(&main), Ok(77 + 6 + 7 + 8 + 9 + 500));
    // Back in a function that was itself called, r10 is that function's again.
    let middle = [
        i(0x85, 0, 1, 0, 1),
        EXIT,
        i(0x7a, 10, 0, -8, 7),
        i(0x85, 0, 1, 0, 2),
        i(0x79, 0, 10, -8, 0),
        EXIT,
        i(0x7a, 10, 0, -8, 9),
        i(0xb7, 0, 0, 0, 0),
        EXIT,
    ];
    assert_eq!(result(&middle), Ok(7));
    // Frames are adjacent, so the address of the callee's top is 512 above the caller's.
    let distance =
        [i(0xbf, 1, 10, 0, 0), i(0x85, 0, 1, 0, 1), EXIT, i(0xbf, 0, 10, 0, 0), i(0x1f, 0, 1, 0, 0), EXIT];
    assert_eq!(result(&distance), Ok(STACK as u64));
}

#[test]
fn nesting_and_stack_end_where_they_should() {
    // Calls itself r1 times.
    let nested = |times: i32| {
        result(&[
            i(0xb7, 1, 0, 0, times),
            i(0x85, 0, 1, 0, 1),
            EXIT,
            i(0xb7, 0, 0, 0, 5),
            i(0x15, 1, 0, 2, 0),
            i(0x17, 1, 0, 0, 1),
            i(0x85, 0, 1, 0, -4),
            EXIT,
        ])
    };
    assert_eq!(nested(MAX_DEPTH as i32 - 2), Ok(5));
    assert_eq!(nested(MAX_DEPTH as i32 - 1), Err(Fault::TooDeep { at: 6 }));
    assert_eq!(result(&[i(0x85, 0, 1, 0, 5), EXIT]), Err(Fault::OutOfProgram { at: 0 }));
    // The whole frame, and not a byte more on either side.
    for (off, good) in [(-8i16, true), (-512, true), (-7, false), (0, false), (-513, false), (-520, false)] {
        let got = result(&[i(0x7a, 10, 0, off, 3), i(0x79, 0, 10, off, 0), EXIT]);
        assert_eq!(got.ok(), good.then_some(3), "{off}");
    }
    assert!(result(&[i(0x71, 0, 10, 511, 0), EXIT]).is_err(), "frames that are not in use are not there");
}

#[test]
fn a_function_starts_with_zeros_on_its_stack() {
    let mut stack = Stack::default();
    let mut memory = [0; 16];
    let mut once =
        |program: &[Insn]| run(program, &mut with(&mut memory, true), &mut stack, BASE, 16, &mut 1000);
    let fills: Vec<Insn> = (0..64).map(|n| i(0x7a, 10, 0, -8 * (n + 1), -1)).collect();
    let call = [i(0x85, 0, 1, 0, 2), i(0xb7, 0, 0, 0, 0), EXIT];
    assert_eq!(once(&[&fills[..], &call, &fills, &[i(0xb7, 0, 0, 0, 0), EXIT]].concat()), Ok(0));
    let sums: Vec<Insn> =
        (0..64).flat_map(|n| [i(0x79, 2, 10, -8 * (n + 1), 0), i(0x4f, 0, 2, 0, 0)]).collect();
    let zero = [i(0xb7, 0, 0, 0, 0)];
    let program = [&zero[..], &sums, &[i(0x85, 0, 1, 0, 1), EXIT], &sums, &[EXIT]].concat();
    assert_eq!(once(&program), Ok(0));
}

/// Helpers and addresses that can be told apart.
struct Told;

impl Memory for Told {
    fn load(&mut self, _: u64, _: Size) -> Option<u64> {
        None
    }
    fn store(&mut self, _: u64, _: Size, _: u64) -> Option<()> {
        None
    }
}

impl World for Told {
    fn helper(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
        (id < 10).then(|| id * 1_000_000 + a[0] + 10 * a[1] + 100 * a[2] + 1000 * a[3] + 10_000 * a[4])
    }
    fn resolve(&self, source: u8, imm: i32, next: i32) -> Option<u64> {
        (source < 6).then(|| u64::from(source) << 40 | (imm as u32 as u64) << 8 | next as u32 as u64)
    }
}

#[test]
fn helpers_and_addresses_go_to_the_world() {
    let arguments: Vec<Insn> = (1..6).map(|r| i(0xb7, r, 0, 0, r.into())).collect();
    let call = |last: &[Insn]| run_in(&mut Told, &[&arguments[..], last, &[EXIT]].concat());
    let sum = 1 + 20 + 300 + 4000 + 50_000;
    assert_eq!(call(&[i(0x85, 0, 0, 0, 7)]), Ok(7_000_000 + sum));
    assert_eq!(call(&[i(0xb7, 6, 0, 0, 9), i(0x8d, 6, 0, 0, 0)]), Ok(9_000_000 + sum));
    assert_eq!(call(&[i(0x85, 0, 0, 0, 10)]), Err(Fault::BadHelper { at: 5, id: 10 }));
    assert_eq!(call(&[i(0x85, 0, 0, 0, -1)]), Err(Fault::BadHelper { at: 5, id: 0xffff_ffff }));
    assert_eq!(call(&[i(0x85, 0, 2, 0, 1)]), Err(Fault::BadInsn { at: 5, op: 0x85 }));
    assert_eq!(call(&[i(0x18, 0, 2, 0, 3), i(0, 0, 0, 0, 7)]), Ok(2 << 40 | 3 << 8 | 7));
    assert_eq!(call(&[i(0x18, 0, 0, 0, -1), i(0, 0, 0, 0, 7)]), Ok(7 << 32 | 0xffff_ffff));
    assert_eq!(call(&[i(0x18, 0, 6, 0, 3), i(0, 0, 0, 0, 7)]), Err(Fault::Unresolved { at: 5 }));
    assert_eq!(run_in(&mut Told, &[i(0x18, 0, 0, 0, 3)]), Err(Fault::OutOfProgram { at: 1 }));
    let mut bare = with(&mut [], true);
    assert_eq!(run_in(&mut bare, &[i(0x85, 0, 0, 0, 1), EXIT]), Err(Fault::BadHelper { at: 0, id: 1 }));
    assert_eq!(
        run_in(&mut bare, &[i(0x18, 0, 1, 0, 0), i(0, 0, 0, 0, 0), EXIT]),
        Err(Fault::Unresolved { at: 0 })
    );
}

#[test]
fn registers_that_do_not_exist_or_may_not_be_written() {
    for insn in [
        i(0xb7, 10, 0, 0, 1),
        i(0xb7, 11, 0, 0, 1),
        i(0xbf, 0, 11, 0, 0),
        i(0xbf, 0, 15, 0, 0),
        i(0x18, 10, 0, 0, 1),
        i(0x20, 0, 0, 0, 1),
        i(0x79, 10, 1, 0, 0),
        i(0x79, 0, 11, 0, 0),
        i(0x99, 0, 1, 0, 0),
        i(0x7b, 1, 11, 0, 0),
        i(0x7b, 12, 0, 0, 0),
        i(0x1d, 0, 11, 0, 0),
        i(0xe5, 0, 0, 0, 0),
    ] {
        assert_eq!(
            result(&[insn, i(0, 0, 0, 0, 0), EXIT]),
            Err(Fault::BadInsn { at: 0, op: insn.op }),
            "{insn:x?}"
        );
    }
    // r9 may be written everywhere, and is the last.
    assert_eq!(result(&[&lddw(9, 7)[..], &[i(0xbf, 0, 9, 0, 0), EXIT]].concat()), Ok(7));
    assert_eq!(result(&[i(0x7a, 10, 0, -8, 6), i(0x79, 9, 10, -8, 0), i(0xbf, 0, 9, 0, 0), EXIT]), Ok(6));
    let atomic = i(0xdb, 10, 9, -8, 1);
    let add = [i(0x7a, 10, 0, -8, 6), i(0xb7, 9, 0, 0, 3), atomic, i(0xbf, 0, 9, 0, 0), EXIT];
    assert_eq!(result(&add), Ok(6));
    // r10 may be read everywhere: compared with, too.
    assert_eq!(
        result(&[i(0xbf, 1, 10, 0, 0), i(0xb7, 0, 0, 0, 1), i(0x1d, 1, 10, 1, 0), i(0xb7, 0, 0, 0, 2), EXIT]),
        Ok(1)
    );
    assert_eq!(result(&[i(0xbf, 0, 10, 0, 0), i(0x1f, 0, 10, 0, 0), EXIT]), Ok(0));
    assert_eq!(result(&[i(0xb7, 0, 0, 0, 4), i(0x2d, 10, 0, 0, 0), i(0x7b, 1, 10, 0, 0), EXIT]), Ok(4));
}

#[test]
fn the_budget_counts_instructions() {
    let program = [i(0xb7, 0, 0, 0, 1), i(0x18, 1, 0, 0, 0), i(0, 0, 0, 0, 0), i(0x07, 0, 0, 0, 1), EXIT];
    for (budget, left, end) in [
        (10u64, 6, Ok(2)),
        (4, 0, Ok(2)),
        (3, 0, Err(Fault::OutOfBudget { at: 4 })),
        (0, 0, Err(Fault::OutOfBudget { at: 0 })),
    ] {
        let mut b = budget;
        let mut memory = [];
        assert_eq!(run(&program, &mut with(&mut memory, true), &mut Stack::default(), 0, 0, &mut b), end);
        assert_eq!(b, left);
    }
    // r1 and r2 are the arguments, everything else starts as 0.
    let sum: Vec<Insn> = (1..10).map(|r| i(0x0f, 0, r, 0, 0)).chain([EXIT]).collect();
    assert_eq!(result(&sum), Ok(BASE + 16));
}

#[test]
fn faults_are_sentences() {
    for (fault, text) in [
        (Fault::BadInsn { at: 3, op: 0xe5 }, "instruction 3: 0xe5 is not a valid BPF instruction"),
        (Fault::OutOfProgram { at: 1 }, "instruction 1: control leaves the program"),
        (
            Fault::BadAccess { at: 2, address: 64, size: 8, write: false },
            "instruction 2: read of 8 bytes at 0x40, which is not the program's memory",
        ),
        (
            Fault::BadAccess { at: 2, address: 64, size: 1, write: true },
            "instruction 2: write of 1 bytes at 0x40, which is not the program's memory",
        ),
        (Fault::BadHelper { at: 0, id: 7 }, "instruction 0: helper 7 does not exist"),
        (Fault::Unresolved { at: 0 }, "instruction 0: loads an address that nothing resolves"),
        (Fault::TooDeep { at: 0 }, "instruction 0: more than 8 nested calls"),
        (Fault::OutOfBudget { at: 0 }, "instruction 0: the instruction budget is used up"),
    ] {
        assert_eq!(fault.to_string(), text);
    }
}

#[test]
fn trusted_memory_is_the_servers_own() {
    #[repr(align(8))]
    struct Words([u8; 24]);
    let mut words = Words(core::array::from_fn(|n| n as u8 + 0x80));
    let base = words.0.as_mut_ptr() as u64;
    // SAFETY: every access below lies in `words`.
    let mut memory = unsafe { Trusted::new() };
    assert_eq!(memory.load(base + 1, Size::B1), Some(0x81));
    assert_eq!(memory.load(base + 1, Size::B2), Some(0x8281));
    assert_eq!(memory.load(base + 1, Size::B4), Some(0x8483_8281));
    assert_eq!(memory.load(base + 1, Size::B8), Some(0x8887_8685_8483_8281));
    for (size, value) in
        [(Size::B1, 0x11), (Size::B2, 0x2211), (Size::B4, 0x4433_2211), (Size::B8, 0x8877_6655_4433_2211)]
    {
        memory.store(base + 8, Size::B8, 0).unwrap();
        memory.store(base + 16, Size::B8, 0).unwrap();
        memory.store(base + 9, size, 0x8877_6655_4433_2211).unwrap();
        assert_eq!(memory.load(base + 9, Size::B8), Some(value));
    }
    memory.store(base + 8, Size::B8, 0xffff_ffff_0000_0005).unwrap();
    assert_eq!(
        memory.update(base + 8, Size::B8, &mut |old| old.wrapping_add(2)),
        Some(0xffff_ffff_0000_0005)
    );
    assert_eq!(memory.update(base + 8, Size::B4, &mut |old| old * 3), Some(7));
    assert_eq!(memory.load(base + 8, Size::B8), Some(0xffff_ffff_0000_0015));
    for (address, size) in [(base + 4, Size::B8), (base + 2, Size::B4), (base, Size::B1), (base, Size::B2)] {
        assert_eq!(memory.update(address, size, &mut |_| 0), None, "atomics of 4 and 8 aligned bytes only");
    }
    assert_eq!(memory.load(base, Size::B8), Some(0x8786_8584_8382_8180));
}
