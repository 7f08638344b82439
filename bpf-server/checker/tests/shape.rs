//! What an instruction must look like, beside a second list of RFC 9669's instructions: every opcode with every pair of registers, and with
//! what may stand in its other fields.
use axiom_bpf_checker::shape::{functions, is_conditional, is_jump, is_local_call, target, width};
use axiom_bpf_isa::Insn;

/// Whether an instruction is one, but for where it leads: the tables of RFC 9669, one after the other. Of calls and wide loads, what
/// Axiom knows of their sources.
fn is_instruction(i: Insn) -> bool {
    let (class, code, source) = (i.op & 7, i.op >> 4, i.op >> 3 & 1 == 1);
    let (dst, src) = (i.dst(), i.src());
    // The second operand: a register, or a number.
    let operand = if source { src <= 10 && i.imm == 0 } else { src == 0 };
    match class {
        4 | 7 => {
            let written = dst <= 9;
            match code {
                0 | 1 | 2 | 4 | 5 | 6 | 7 | 0xa | 0xc => written && operand && i.off == 0,
                3 | 9 => written && operand && (i.off == 0 || i.off == 1),
                8 => written && !source && src == 0 && i.off == 0 && i.imm == 0,
                0xb if source => {
                    let extends: &[i16] = if class == 7 { &[0, 8, 16, 32] } else { &[0, 8, 16] };
                    written && src <= 10 && i.imm == 0 && extends.contains(&i.off)
                }
                0xb => written && src == 0 && i.off == 0,
                // Byte order: ALU to little or big endian, ALU64 without condition.
                0xd => {
                    let known = class == 4 || !source;
                    known && written && src == 0 && i.off == 0 && [16, 32, 64].contains(&i.imm)
                }
                _ => false,
            }
        }
        5 | 6 => match (code, class, source) {
            (0, 5, false) => dst == 0 && src == 0 && i.imm == 0,
            (0, 6, false) => dst == 0 && src == 0 && i.off == 0,
            (8, 5, false) => dst == 0 && src <= 1 && i.off == 0,
            (8, 5, true) => dst <= 9 && src == 0 && i.off == 0 && i.imm == 0,
            (9, 5, false) => dst == 0 && src == 0 && i.off == 0 && i.imm == 0,
            (1..=7 | 0xa..=0xd, _, _) => dst <= 10 && operand,
            _ => false,
        },
        0 => i.op == 0x18 && dst <= 9 && src <= 2 && i.off == 0,
        // Modes: 3 memory, 4 sign-extended (not of 8 bytes), 6 atomic (of 4 and 8 bytes).
        1 => {
            let mode = i.op >> 5;
            (mode == 3 || mode == 4 && i.op != 0x99) && dst <= 9 && src <= 10 && i.imm == 0
        }
        2 => i.op >> 5 == 3 && dst <= 10 && src == 0,
        _ => match i.op >> 5 {
            3 => dst <= 10 && src <= 10 && i.imm == 0,
            6 => {
                let operations = [0x00, 0x01, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1];
                matches!(i.op, 0xc3 | 0xdb) && dst <= 10 && src <= 9 && operations.contains(&i.imm)
            }
            _ => false,
        },
    }
}

const MOVE: Insn = Insn::new(0xb7, 0, 0, 0, 0);
const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);

/// The instruction in the middle of a program whose other instructions are good, with what belongs behind it.
fn around(i: Insn) -> Vec<Insn> {
    let second = if i.op == 0x18 { Insn::default() } else { MOVE };
    vec![MOVE, MOVE, MOVE, i, second, MOVE, MOVE, EXIT, MOVE, EXIT]
}

/// Where the instruction in slot 3 of [`around`] may lead: to what is no second half of a wide load, in the function that it is in. A call
/// makes a function of what it leads to, which then must not be run into.
fn leads_well(i: Insn) -> bool {
    let code = around(i);
    let opcode = |to: i64| usize::try_from(to).ok().and_then(|to| code.get(to)).map(|n| n.op);
    match i.op {
        0x85 if i.src() == 1 => matches!(4 + i64::from(i.imm), 0 | 8),
        0x05 => opcode(4 + i64::from(i.off)).is_some(),
        0x06 => opcode(4 + i64::from(i.imm)).is_some(),
        0x85 | 0x8d | 0x95 => true,
        op if matches!(op & 7, 5 | 6) => opcode(4 + i64::from(i.off)).is_some(),
        // The address of a map has nothing in its second half.
        _ => true,
    }
}

#[test]
fn every_opcode_with_every_register() {
    let offs =
        [0i16, 1, 2, 3, 4, 5, 6, -1, -4, -5, 7, 8, 15, 16, 17, 31, 32, 33, 64, 255, i16::MAX, i16::MIN];
    let imms = [
        0,
        1,
        2,
        3,
        4,
        5,
        6,
        -1,
        -4,
        -5,
        8,
        16,
        17,
        32,
        64,
        0x40,
        0x41,
        0x50,
        0x51,
        0x60,
        0x61,
        0xa0,
        0xa1,
        0xe0,
        0xe1,
        0xf0,
        0xf1,
        0x100,
        0x101,
        1 << 16,
        i32::MAX,
        i32::MIN,
    ];
    let (mut accepted, mut refused) = (0, 0);
    for op in 0..=255u8 {
        for regs in 0..=255u8 {
            for (k, off) in offs.into_iter().enumerate() {
                // Each number of one field with a few of the other; all of both where the registers are none.
                for (n, imm) in imms.into_iter().enumerate() {
                    if regs != 0 && off != 0 && imm != 0 && (k + n) % 16 != usize::from(regs) % 16 {
                        continue;
                    }
                    let i = Insn { op, regs, off, imm };
                    let wanted = is_instruction(i) && leads_well(i);
                    let got = functions(&around(i));
                    assert_eq!(got.is_ok(), wanted, "{i:x?}: {got:?}");
                    if let Err(fault) = &got {
                        assert!(fault.at == 3 || op == 0x85, "{i:x?}: {got:?}");
                    }
                    accepted += u32::from(wanted);
                    refused += u32::from(!wanted);
                }
            }
        }
    }
    assert!(accepted > 40_000 && refused > 1_000_000, "{accepted} and {refused}");
}

#[test]
fn what_opcodes_are() {
    for op in 0..=255u8 {
        let i = Insn::new(op, 0, 1, 5, 7);
        let jump = matches!(op & 7, 5 | 6) && !matches!(op >> 4, 8 | 9);
        assert_eq!(is_jump(op), jump, "{op:#x}");
        assert_eq!(is_conditional(op), jump && op >> 4 != 0, "{op:#x}");
        assert_eq!(width(i), if op == 0x18 { 2 } else { 1 }, "{op:#x}");
        assert_eq!(is_local_call(i), op == 0x85, "{op:#x}");
        assert!(!is_local_call(Insn::new(op, 0, 0, 0, 0)) && !is_local_call(Insn::new(op, 0, 2, 0, 0)));
        assert_eq!(target(3, i), if op == 0x06 { 11 } else { 9 }, "{op:#x}");
    }
}

#[test]
fn second_halves_and_ends() {
    let wide = |src| Insn::new(0x18, 1, src, 0, 7);
    let half = |imm| Insn { imm, ..Insn::default() };
    let at = |code: &[Insn]| functions(code).map_err(|f| f.at);
    assert_eq!(at(&[wide(0), half(9), EXIT]), Ok(vec![]));
    assert_eq!(at(&[wide(2), half(9), EXIT]), Ok(vec![]));
    assert_eq!(at(&[wide(1), half(0), EXIT]), Ok(vec![]));
    assert_eq!(at(&[wide(1), half(9), EXIT]), Err(0));
    assert_eq!(at(&[wide(0), Insn::new(0, 1, 0, 0, 0), EXIT]), Err(0));
    assert_eq!(at(&[wide(0), Insn::new(0, 0, 1, 0, 0), EXIT]), Err(0));
    assert_eq!(at(&[wide(0), Insn::new(0, 0, 0, 1, 0), EXIT]), Err(0));
    assert_eq!(at(&[wide(0), MOVE, EXIT]), Err(0));
    assert_eq!(at(&[MOVE, wide(0)]), Err(1));
    assert_eq!(at(&[half(0), EXIT]), Err(0));
    // Into the second half, and over it.
    assert_eq!(at(&[Insn::new(0x05, 0, 0, 1, 0), wide(0), half(0), EXIT]), Err(0));
    assert_eq!(at(&[Insn::new(0x05, 0, 0, 2, 0), wide(0), half(0), EXIT]), Ok(vec![]));
    assert_eq!(at(&[Insn::new(0x85, 0, 1, 0, 2), EXIT, wide(0), half(0), EXIT]), Err(0));
    // The end: what goes on after it is told with the instruction, not with its second half.
    assert_eq!(at(&[MOVE]), Err(0));
    assert_eq!(at(&[MOVE, wide(0), half(0)]), Err(1));
    assert_eq!(at(&[EXIT, Insn::new(0x55, 1, 0, -2, 0)]), Err(1));
    assert_eq!(at(&[EXIT, Insn::new(0x05, 0, 0, -2, 0)]), Ok(vec![]));
    assert_eq!(at(&[EXIT, Insn::new(0x06, 0, 0, 0, -2)]), Ok(vec![]));
    assert_eq!(at(&[]), Err(0));
    // A function is not run into, and not jumped into or out of.
    let call = |imm| Insn::new(0x85, 0, 1, 0, imm);
    assert_eq!(at(&[call(1), EXIT, MOVE, EXIT]), Ok(vec![2]));
    assert_eq!(at(&[call(1), MOVE, MOVE, EXIT]), Err(1));
    assert_eq!(at(&[call(2), Insn::new(0x05, 0, 0, 1, 0), EXIT, EXIT]), Err(1));
    assert_eq!(at(&[call(2), MOVE, EXIT, Insn::new(0x05, 0, 0, -2, 0)]), Err(3));
    assert_eq!(at(&[call(2), MOVE, EXIT, Insn::new(0x05, 0, 0, -1, 0)]), Ok(vec![3]));
    // Functions are told in their order, each once.
    let code = [call(5), call(2), call(3), EXIT, EXIT, EXIT, EXIT];
    assert_eq!(at(&code), Ok(vec![4, 6]));
}

/// As many functions and slots as there may be, and one more.
#[test]
fn the_most_functions_and_slots() {
    let program = |functions: usize| {
        let mut code: Vec<Insn> =
            (0..functions).map(|_| Insn::new(0x85, 0, 1, 0, functions as i32)).collect();
        code.push(EXIT);
        code.extend((0..functions).map(|_| EXIT));
        code
    };
    assert_eq!(functions(&program(1023)).map(|s| s.len()), Ok(1023));
    assert_eq!(functions(&program(1024)).map_err(|f| f.at), Err(1023));
    let mut code = vec![MOVE; 1 << 20];
    code[(1 << 20) - 1] = EXIT;
    assert_eq!(functions(&code), Ok(vec![]));
    code.push(EXIT);
    assert_eq!(functions(&code).map_err(|f| f.at), Err(0));
}
