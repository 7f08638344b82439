//! Finds arithmetic whose result matters for no rule: it becomes no address and no argument, and no comparison that decides about one
//! uses it. The proof marks these instructions, and the checker does not compute what their results can be.
//!
//! One pass from the end to the beginning, for programs whose jumps all lead forwards. It is a guess: values that go through stack slots,
//! or that are known because two registers are equal, are not followed. If the checker needs a result that was marked, it refuses
//! this proof, and one without marks is tried.

use alloc::vec::Vec;
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::shape;
use axiom_bpf_isa::{Insn, alu::*, opcode::*};

/// Makes a proof of a program without loops and without functions of its own that says what is not needed; `None` if it has some.
/// `needed` holds, after it, the registers that are needed before each slot.
pub fn straight(insns: &[Insn], proof: &mut Vec<u8>, needed: &mut Vec<u16>) -> Option<()> {
    let bits = MAGIC.len() + 1;
    proof.clear();
    proof.resize(bits + insns.len().div_ceil(8), 0);
    proof[..MAGIC.len()].copy_from_slice(&MAGIC);
    needed.clear();
    needed.resize(insns.len(), 0);
    // Of the walk backwards, what is needed behind the one at hand; slots of which nothing is.
    let (mut behind, mut byte) = (0, 0u8);
    for (at, &i) in insns.iter().enumerate().rev() {
        let d = 1u16 << i.dst();
        let unneeded = if matches!(i.op & 7, CLASS_ALU | CLASS_ALU64) {
            if behind & d != 0 {
                behind = before(i, behind);
                false
            } else {
                true
            }
        } else if shape::is_conditional(i.op) {
            let compared = d | if i.op & 8 != 0 { 1 << i.src() } else { 0 };
            behind |= there(needed, at, i)?;
            let unneeded = behind & compared == 0;
            if !unneeded {
                behind |= compared;
            }
            unneeded
        } else {
            behind = match i.op {
                _ if shape::is_jump(i.op) => there(needed, at, i)?,
                _ if shape::is_local_call(i) => return None,
                _ => before(i, behind),
            };
            false
        };
        needed[at] = behind;
        byte = byte << 1 | u8::from(unneeded);
        if at % 8 == 0 {
            proof[bits + at / 8] = byte;
            byte = 0;
        }
    }
    Some(())
}

/// What is needed where a jump leads, if that is ahead.
#[inline]
fn there(needed: &[u16], at: usize, i: Insn) -> Option<u16> {
    let to = usize::try_from(shape::target(at, i)).ok().filter(|to| *to > at)?;
    needed.get(to).copied()
}

/// What is needed before an instruction whose result is, other than a jump.
fn before(i: Insn, behind: u16) -> u16 {
    let (d, s) = (1u16 << i.dst(), 1u16 << i.src());
    let source = if i.op & 8 != 0 { s } else { 0 };
    match i.op & 7 {
        CLASS_ALU | CLASS_ALU64 => match i.operation() {
            MOV => behind & !d | source,
            NEG | END => behind,
            _ => behind | source,
        },
        CLASS_LD if i.op == LDDW => behind & !d,
        // The second half of a wide load reads as one, too, and changes nothing.
        CLASS_LD => behind,
        CLASS_LDX => behind & !d | s,
        CLASS_ST => behind | d,
        CLASS_STX => behind | d | s | 1,
        _ if i.op == CALL => behind & !0x3f | 0x3e,
        _ if i.op == CALLX => behind & !0x3f | 0x3e | d,
        // An exit.
        _ => 0,
    }
}
