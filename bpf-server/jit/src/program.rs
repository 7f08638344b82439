//! What emission starts from: the functions of a program and the targets of its jumps, found in one pass.

use crate::{CompileError, Insn};
use alloc::vec::Vec;
use axiom_bpf_isa::opcode::{CALL, CALLX, CLASS_JMP, CLASS_JMP32, CLASS_LD, EXIT, JA32};

/// A BPF function: the entry, or the target of a local call.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Function {
    pub start: u32,
    pub end: u32,
    /// Where its prologue is (in words of AArch64, in bytes of x86-64).
    pub entry: u32,
    /// Bit n: rn is named by some instruction.
    pub named: u16,
    /// Calls a helper or a function.
    pub calls: bool,
}

impl Function {
    /// Bit n: r(6+n) is used.
    pub fn saved(&self) -> u8 {
        (self.named >> 6 & 15) as u8
    }
    /// Uses its BPF stack.
    pub fn stack(&self) -> bool {
        self.named & 1 << 10 != 0
    }
}

/// A branch whose target was not emitted yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixup {
    /// Where it is: a word of AArch64; of x86-64 the byte behind the distance.
    pub at: u32,
    /// The slot that it leads to.
    pub target: u32,
    pub kind: Kind,
}

/// What a fix-up fills in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// The distance of a jump, as wide as the instruction has it (4 bytes of x86-64).
    Jump,
    /// One byte of x86-64.
    Short,
    /// The distance to a function.
    Call,
}

/// The tables of one compile. `offsets`: before emission flags, then where each slot's code is.
#[derive(Default)]
pub struct Tables {
    pub(crate) zero_stack: bool,
    pub(crate) offsets: Vec<u32>,
    pub(crate) functions: Vec<Function>,
    pub(crate) fixups: Vec<Fixup>,
    /// Instructions (with what is fused) that the last compile did not make by the table.
    #[cfg(test)]
    pub(crate) general: u32,
}

/// In `offsets`, before emission: the slot is a jump target.
pub(crate) const TARGET: u32 = 1;
/// In `offsets`, before emission: the slot starts a function.
pub(crate) const ENTRY: u32 = 2;
/// In `offsets`, before emission: a jump behind the slot goes back to it.
pub(crate) const LOOP: u32 = 4;

/// The classes whose instructions have one slot and one successor.
const LEADS_ON: u32 = !(1 << CLASS_LD | 1 << CLASS_JMP | 1 << CLASS_JMP32);

/// Finds jump targets and functions. Returns whether any helper is called.
pub(crate) fn scan(c: &mut Tables, program: &[Insn]) -> Result<bool, CompileError> {
    let n = program.len();
    c.offsets.clear();
    c.offsets.try_reserve(n + 1).map_err(|_| CompileError::NoMemory)?;
    c.offsets.resize(n + 1, 0);
    c.functions.clear();
    c.functions.try_reserve(1).map_err(|_| CompileError::NoMemory)?;
    if n == 0 {
        return Err(CompileError::BadTarget { at: 0, target: 0 });
    }
    c.offsets[0] = ENTRY;
    let mut uses_helpers = false;
    let mut many = false;
    // Bit n: rn is named by some instruction. (Pseudo sources are below 6 and add nothing that matters.)
    let mut named = 0u32;
    let mut at = 0;
    while let Some(&insn) = program.get(at) {
        named |= 1 << insn.dst() | 1 << insn.src();
        at += 1;
        // Most instructions only go on to the next.
        if LEADS_ON & 1 << (insn.op & 7) != 0 {
            continue;
        }
        let (delta, flag) = match insn.op & 7 {
            CLASS_LD => {
                at += 1;
                if at > n {
                    return Err(CompileError::BadTarget { at: at - 2, target: at as i64 - 1 });
                }
                continue;
            }
            CLASS_JMP | CLASS_JMP32 => match insn.op {
                CALL if insn.src() == 1 => {
                    many = true;
                    (insn.imm as i64, ENTRY)
                }
                CALL | CALLX => {
                    uses_helpers = true;
                    continue;
                }
                EXIT => continue,
                JA32 => (insn.imm as i64, TARGET),
                _ => (insn.off as i64, TARGET),
            },
            _ => continue,
        };
        let target = at as i64 + delta;
        let flag = if flag == TARGET && delta < 0 { TARGET | LOOP } else { flag };
        match usize::try_from(target).ok().and_then(|t| c.offsets[..n].get_mut(t)) {
            Some(slot) => *slot |= flag,
            None => return Err(CompileError::BadTarget { at: at - 1, target }),
        }
    }
    if !many {
        c.functions.push(Function {
            end: n as u32,
            named: named as u16,
            calls: uses_helpers,
            ..Function::default()
        });
        return Ok(uses_helpers);
    }
    // Function extents and what each needs.
    let count = c.offsets.iter().filter(|o| *o & ENTRY != 0).count();
    c.functions.try_reserve(count).map_err(|_| CompileError::NoMemory)?;
    let mut f = Function::default();
    let mut named = 0u32;
    let mut finish = |mut f: Function, named: u32, end: usize| {
        f.end = end as u32;
        f.named = named as u16;
        c.functions.push(f);
    };
    for (at, insn) in program.iter().enumerate() {
        if at != 0 && c.offsets[at] & ENTRY != 0 {
            finish(f, named, at);
            f = Function { start: at as u32, ..Function::default() };
            named = 0;
        }
        match insn.op {
            0 => continue, // the second half of a wide load
            CALL | CALLX => f.calls = true,
            _ => {}
        }
        named |= 1 << insn.dst() | 1 << insn.src();
    }
    finish(f, named, n);
    Ok(uses_helpers)
}
