//! Which registers are read before they are written: what else a proof states would only make it longer.

use crate::cfg::{Function, Graph, NONE, is_jump};
use alloc::vec;
use alloc::vec::Vec;
use axiom_bpf_isa::proto::{self, Arg};
use axiom_bpf_isa::{Insn, alu::*, atomic, opcode::*, pseudo};

/// Registers that an instruction reads, and those that it writes, one bit each.
fn effect(i: Insn) -> (u16, u16) {
    let (d, s) = (1 << i.dst(), if i.op & 8 != 0 { 1 << i.src() } else { 0 });
    match i.op & 7 {
        CLASS_ALU | CLASS_ALU64 => match i.operation() {
            MOV => (s, d),
            END | NEG => (d, d),
            _ => (d | s, d),
        },
        CLASS_LD => (0, d),
        CLASS_LDX => (1 << i.src(), d),
        CLASS_ST => (d, 0),
        CLASS_STX if i.op == ATOMICW || i.op == ATOMICDW => {
            (d | 1 << i.src() | u16::from(i.imm == atomic::CMPXCHG), 0)
        }
        CLASS_STX => (d | 1 << i.src(), 0),
        _ => match i.op {
            JA | JA32 => (0, 0),
            EXIT => (1, 0),
            CALL if i.src() == pseudo::LOCAL_CALL => (0x3e, 0x3f),
            CALL => {
                let reads = proto::find(i.imm as u32).map_or(0x3e, |p| {
                    let used = |(r, a): (u16, Arg)| if a == Arg::None { 0 } else { 1 << r };
                    (1..).zip(p.args).map(used).fold(0, |a, b| a | b)
                });
                // The first two are told to whoever checks what the program drives; all may be printed.
                (reads | if i.imm as u32 >= axiom_bpf_isa::helper::OWN_FIRST { 6 } else { 0 }, 0x3f)
            }
            CALLX => (d | 0x3e, 0x3f),
            _ => (d | s, 0),
        },
    }
}

/// For each block of a function, the registers that are live at its start.
pub fn live(insns: &[Insn], graph: &Graph, f: &Function) -> Vec<u16> {
    let count = f.count as usize;
    let mut at = vec![0u16; count];
    // What a block reads before it writes it, and what it writes.
    let effects: Vec<(u16, u16)> = (0..count)
        .map(|b| {
            let block = &graph.blocks[f.first as usize + b];
            let (mut reads, mut writes) = (0, 0);
            let mut k = block.start as usize;
            while k <= block.end as usize {
                let (r, w) = effect(insns[k]);
                reads |= r & !writes;
                writes |= w;
                k += if insns[k].op == LDDW { 2 } else { 1 };
            }
            (reads, writes)
        })
        .collect();
    let mut again = true;
    while again {
        again = false;
        for b in (0..count).rev() {
            let block = &graph.blocks[f.first as usize + b];
            let out = [block.falls, block.jumps]
                .into_iter()
                .filter(|t| *t != NONE)
                .fold(0, |a, t| a | at[(t - f.first) as usize]);
            let (reads, writes) = effects[b];
            let new = reads | out & !writes;
            again |= new != at[b];
            at[b] = new;
        }
    }
    at
}

/// Whether each block of a function is where a jump leads: the proof says something there.
pub fn targets(insns: &[Insn], graph: &Graph, f: &Function) -> Vec<bool> {
    let mut found = vec![false; f.count as usize];
    for b in f.first..f.first + f.count {
        let block = &graph.blocks[b as usize];
        if block.jumps != NONE && is_jump(insns[block.end as usize].op) {
            found[(block.jumps - f.first) as usize] = true;
        }
    }
    found
}
