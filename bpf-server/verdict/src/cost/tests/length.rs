//! How many instructions some bytes of x86-64 are: those that the compiler makes, and a panic at any other.

/// Instructions of a whole program, which end with its last byte.
pub(super) fn instructions(mut code: &[u8]) -> u64 {
    let mut count = 0;
    while !code.is_empty() {
        code = &code[length(code)..];
        count += 1;
    }
    count
}

/// Bytes of the first instruction.
fn length(code: &[u8]) -> usize {
    let mut at = 0;
    let mut short = false;
    while matches!(code[at], 0x66 | 0xf0) {
        short |= code[at] == 0x66;
        at += 1;
    }
    let mut wide = false;
    if code[at] & 0xf0 == 0x40 {
        wide = code[at] & 8 != 0;
        at += 1;
    }
    let constant = if short { 2 } else { 4 };
    let opcode = code[at];
    at += 1;
    match opcode {
        // VEX: two bytes, the opcode, two registers.
        0xc4 => at + 2 + 1 + place(&code[at + 3..]),
        0x0f => {
            let second = code[at];
            at += 1;
            match second {
                0x80..=0x8f => at + 4,
                0xc8..=0xcf => at,
                0x1f | 0xaf | 0xb1 | 0xb6 | 0xb7 | 0xbe | 0xbf | 0xc1 => at + place(&code[at..]),
                _ => panic!("{code:02x?}"),
            }
        }
        0x50..=0x5f | 0x90 | 0x99 | 0xc3 => at,
        0x70..=0x7f | 0xeb => at + 1,
        0xe8 | 0xe9 => at + 4,
        0xb8..=0xbf => at + if wide { 8 } else { 4 },
        0x01 | 0x09 | 0x21 | 0x29 | 0x31 | 0x39 | 0x63 | 0x85 | 0x87..=0x89 | 0x8b | 0x8d | 0xd3 | 0xff => {
            at + place(&code[at..])
        }
        0x6b | 0x83 | 0xc1 | 0xc6 => at + place(&code[at..]) + 1,
        0x69 | 0x81 | 0xc7 => at + place(&code[at..]) + constant,
        // Of these only `test` has a constant.
        0xf7 => at + place(&code[at..]) + if code[at] >> 3 & 7 == 0 { 4 } else { 0 },
        _ => panic!("{code:02x?}"),
    }
}

/// Bytes of a register or a place in memory.
fn place(code: &[u8]) -> usize {
    let (mode, low) = (code[0] >> 6, code[0] & 7);
    let scaled = mode != 3 && low == 4;
    let distance = match mode {
        0 if low == 5 || scaled && code[1] & 7 == 5 => 4,
        1 => 1,
        2 => 4,
        _ => 0,
    };
    1 + usize::from(scaled) + distance
}
