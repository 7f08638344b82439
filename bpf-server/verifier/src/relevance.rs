//! Which results of arithmetic nothing needs that has to be proved: no address, no argument and no comparison that bears on one
//! comes from them. The proof says so of each, and the checker then does not find out what they are.
//!
//! One pass from the end to the beginning, for programs whose jumps all lead forwards. A guess: what is kept in stack slots, or
//! is known because two registers are equal, is not followed. If the checker needs what was called unneeded, it says so.

use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::shape;
use axiom_bpf_isa::{Insn, opcode::*};

/// A proof of a program without loops and without functions of its own that says what is not needed; `None` if it has some.
pub fn straight(insns: &[Insn]) -> Option<Vec<u8>> {
    let mut proof = MAGIC.to_vec();
    proof.push(0);
    let bits = proof.len();
    proof.resize(bits + insns.len().div_ceil(8), 0);
    // Registers that are needed before each slot.
    let mut needed = vec![0u16; insns.len() + 1];
    for (at, &i) in insns.iter().enumerate().rev() {
        let (d, s) = (1u16 << i.dst(), 1u16 << i.src());
        let behind = needed[at + 1];
        let source = if i.op & 8 != 0 { s } else { 0 };
        let mut unneeded = false;
        needed[at] = match i.op & 7 {
            CLASS_ALU | CLASS_ALU64 => {
                unneeded = behind & d == 0;
                match i.op & 0xf0 {
                    _ if unneeded => behind,
                    0xb0 => behind & !d | source,
                    0x80 | 0xd0 => behind,
                    _ => behind | source,
                }
            }
            // The second half of a wide load reads as one, too, and changes nothing.
            CLASS_LD => {
                if i.op == LDDW {
                    behind & !d
                } else {
                    behind
                }
            }
            CLASS_LDX => behind & !d | s,
            CLASS_ST => behind | d,
            CLASS_STX => behind | d | s | 1,
            _ if shape::is_local_call(i) => return None,
            _ => match i.op {
                EXIT => 0,
                CALL => behind & !0x3f | 0x3e,
                CALLX => behind & !0x3f | 0x3e | d,
                _ => {
                    let to = usize::try_from(shape::target(at, i)).ok().filter(|to| *to > at)?;
                    let there = *needed.get(to)?;
                    if !shape::is_conditional(i.op) {
                        there
                    } else {
                        let either = there | behind;
                        unneeded = either & (d | source) == 0;
                        if unneeded { either } else { either | d | source }
                    }
                }
            },
        };
        if unneeded {
            proof[bits + at / 8] |= 1 << (at % 8);
        }
    }
    Some(proof)
}
