//! Programs for the tests of both machines.

extern crate std;
use crate::Insn;
use std::vec::Vec;

/// A sequence of numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

const IMMEDIATES: [i32; 34] = [
    127,
    128,
    -128,
    -129,
    0,
    1,
    -1,
    2,
    3,
    5,
    7,
    8,
    15,
    31,
    32,
    33,
    63,
    64,
    255,
    256,
    4095,
    4096,
    -4095,
    -4096,
    0x7fff,
    0xffff,
    0x1_0000,
    -0xffff,
    -0x1_0000,
    -0x1_0001,
    0x12_3000,
    0x1234_5678,
    i32::MAX,
    i32::MIN,
];
const OFFSETS: [i16; 26] = [
    127,
    128,
    -128,
    -129,
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    -1,
    -2,
    -8,
    -16,
    -255,
    -256,
    -257,
    255,
    256,
    4095,
    4096,
    -512,
    32760,
    i16::MAX,
    i16::MIN,
];

/// Every opcode with all kinds of registers and numbers, before what it may be fused with.
pub(crate) fn each_opcode(mut take: impl FnMut(&[Insn])) {
    let mut numbers = Numbers(1);
    for op in 0..=255u8 {
        for (dst, src) in
            [(0, 1), (6, 9), (1, 1), (0, 10), (10, 2), (10, 10), (9, 0), (11, 0), (0, 11), (15, 15)]
        {
            for (k, imm) in IMMEDIATES.into_iter().enumerate() {
                for (n, off) in OFFSETS.into_iter().enumerate() {
                    // Nothing is made of both together: a fifth of the pairs, another one for each pair of registers.
                    if !(k + n + usize::from(op ^ dst)).is_multiple_of(5) {
                        continue;
                    }
                    // Jumps of a form that both know: to itself, on, and over one.
                    let jump = matches!(op & 7, 5 | 6) && op != 0x85;
                    let (off, imm) = match jump {
                        true => (off.rem_euclid(4) - 1, if op == 6 { imm.rem_euclid(4) - 1 } else { imm }),
                        false => (off, imm),
                    };
                    // What follows may be fused with it.
                    let second = match op & 0xf0 {
                        0x60 => numbers.of(&[Insn::new(0x77, dst, 0, 0, 32), Insn::new(0xc7, dst, 0, 0, 32)]),
                        _ => Insn::new(0x07, dst, 0, 0, imm),
                    };
                    let end = [Insn::new(0xb7, 0, 0, 0, 1), Insn::new(0x95, 0, 0, 0, 0)];
                    let program = [Insn::new(op, dst, src, off, imm), second, end[0], end[1]];
                    take(&program);
                }
            }
        }
    }
}

/// Random programs: mostly of the instruction set, so that most of them can be compiled.
pub(crate) fn each_random(count: u32, mut take: impl FnMut(u32, &[Insn])) {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for n in 0..count {
        let length = 2 + numbers.below(40) as usize;
        // Mostly what is in the instruction set, so that most programs get to their end.
        let mut program: Vec<Insn> = Vec::new();
        while program.len() < length {
            let at = program.len() as i64;
            let class = numbers.of(&[1u8, 2, 3, 4, 5, 6, 7, 7, 7]);
            let operation = numbers.below(16) as u8;
            let op = match class {
                1 => numbers.of(&[0x61, 0x69, 0x71, 0x79, 0x81, 0x89, 0x91]),
                2 | 3 => class | numbers.of(&[0x60, 0x68, 0x70, 0x78]),
                _ => class | (operation % 13) << 4 | numbers.of(&[0, 8]),
            };
            let op = if op & 7 > 4 && op & 7 < 7 && op & 0xf0 == 0x90 { 0x95 } else { op };
            let to = numbers.below(length as u64) as i64 - at - 1;
            let jump = matches!(op & 7, 5 | 6);
            let (off, imm) = match op {
                0x06 => (0, to as i32),
                0x85 => (0, 5),
                _ if jump => (to as i16, numbers.of(&IMMEDIATES)),
                0x30..=0x3f | 0x90..=0x9f | 0xb0..=0xbf if matches!(op & 7, 4 | 7) => {
                    (0, numbers.of(&IMMEDIATES))
                }
                _ => (numbers.of(&OFFSETS), numbers.of(&IMMEDIATES)),
            };
            let most = if numbers.below(200) == 0 { 16 } else { 10 };
            let frame = |n: &mut Numbers| if n.below(4) == 0 { 10 } else { n.below(most) as u8 };
            let (dst, src) = match op & 7 {
                1 => (numbers.below(most) as u8, frame(&mut numbers)),
                2 | 3 => (frame(&mut numbers), numbers.below(most) as u8),
                _ if op == 0x85 => (0, 0),
                _ => (numbers.below(most) as u8, numbers.below(most) as u8),
            };
            program.push(Insn::new(op, dst, src, off, imm));
            if op == 0x85 && numbers.below(3) == 0 {
                program.extend([Insn::new(0x18, dst, 0, 0, imm), Insn::new(0, 0, 0, 0, imm)]);
            }
        }
        program.truncate(length);
        program.push(Insn::new(0x95, 0, 0, 0, 0));
        take(n, &program);
    }
}
