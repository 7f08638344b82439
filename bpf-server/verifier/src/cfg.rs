//! Structure: every slot is an instruction of RFC 9669, jumps stay in their function, and each function is a graph of
//! basic blocks whose cycles are natural loops (one entry each).
//!
//! Functions whose jumps all go forward, the common case, need no graph search at all: the order of their instructions
//! is an order in which every block follows those that lead to it.

use crate::report::Reason;
use alloc::vec;
use alloc::vec::Vec;
pub use axiom_bpf_checker::shape::{is_conditional, is_jump, target};
use axiom_bpf_isa::{Insn, alu::*, atomic, jump::*, opcode::*, pseudo};

/// No block, no instruction.
pub const NONE: u32 = u32::MAX;

/// Instructions `start..=end`, entered only at the start.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub start: u32,
    /// The last instruction's slot.
    pub end: u32,
    /// The next block, when control falls through; `NONE` after `exit` and `goto`.
    pub falls: u32,
    /// Where the jump at the end leads.
    pub jumps: u32,
    /// Edges in.
    pub preds: u32,
    /// The loop of which this is the entry.
    pub heads: u32,
    /// The innermost loop that it is part of.
    pub within: u32,
    /// Position in the order of analysis.
    pub rank: u32,
}

/// Loops nested deeper than this are refused.
const MAX_NESTING: u32 = 16;

/// A natural loop.
#[derive(Clone, Debug)]
pub struct Loop {
    pub head: u32,
    /// The enclosing loop.
    pub outer: u32,
    /// Nesting, from 1.
    pub depth: u32,
    /// Blocks of the loop in the order of analysis, those of inner loops included.
    pub body: Vec<u32>,
}

/// One function.
#[derive(Clone, Debug)]
pub struct Function {
    pub start: u32,
    pub end: u32,
    /// Its blocks are `first..first + count`.
    pub first: u32,
    pub count: u32,
    /// Blocks in the order of analysis; empty = as they stand.
    pub order: Vec<u32>,
    /// Outer loops come before their inner ones.
    pub loops: Vec<Loop>,
}

/// A whole program.
#[derive(Default)]
pub struct Graph {
    pub blocks: Vec<Block>,
    pub functions: Vec<Function>,
    flags: Vec<u8>,
    /// The block that starts at a slot.
    pub leader: Vec<u32>,
}

const SECOND: u8 = 1; // second half of a wide load
const LEADER: u8 = 2;
const ENTRY: u8 = 4; // of a function

/// How most instructions are checked, by opcode: which fields must be zero and whether the destination may be r10.
const SHAPES: [Shape; 256] = shapes();

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Anything else: [`malformed`] knows.
    Other,
    /// Writes a register; the source and offset are unused.
    WritesImmediate,
    /// Writes a register; the offset and immediate are unused.
    WritesRegister,
    /// Loads into a register; the immediate is unused.
    Loads,
    /// Compares with an immediate; the source is unused.
    ComparesImmediate,
    /// Compares registers, or stores one; the immediate is unused.
    ReadsRegisters,
}

const fn shapes() -> [Shape; 256] {
    let mut shapes = [Shape::Other; 256];
    let mut op = 0;
    while op < 256 {
        let (class, register, kind) = (op as u8 & CLASS, op as u8 & REGISTER != 0, op as u8 & OPERATION);
        shapes[op] = match class {
            CLASS_ALU | CLASS_ALU64 if !matches!(kind, NEG | END..) => {
                if register {
                    Shape::WritesRegister
                } else {
                    Shape::WritesImmediate
                }
            }
            CLASS_JMP | CLASS_JMP32 if matches!(kind, JEQ..=JSGE | JLT..=JSLE) => {
                if register {
                    Shape::ReadsRegisters
                } else {
                    Shape::ComparesImmediate
                }
            }
            CLASS_LDX if matches!(op as u8, LDXW | LDXH | LDXB | LDXDW | LDXSW | LDXSH | LDXSB) => {
                Shape::Loads
            }
            CLASS_STX if matches!(op as u8, STXW | STXH | STXB | STXDW) => Shape::ReadsRegisters,
            _ => Shape::Other,
        };
        op += 1;
    }
    shapes
}

/// An instruction of a common shape with nothing wrong. What this does not know is not wrong yet.
#[inline(always)]
fn well_formed(i: Insn) -> bool {
    let (d, s) = (i.dst(), i.src());
    match SHAPES[i.op as usize] {
        Shape::Other => false,
        Shape::WritesImmediate => d < 10 && s == 0 && i.off == 0,
        Shape::WritesRegister => d < 10 && s <= 10 && i.off == 0 && i.imm == 0,
        Shape::Loads => d < 10 && s <= 10 && i.imm == 0,
        Shape::ComparesImmediate => d <= 10 && s == 0,
        Shape::ReadsRegisters => d <= 10 && s <= 10 && i.imm == 0,
    }
}

/// Why a slot is not an instruction; `None` if it is one.
fn malformed(i: Insn, next: Option<Insn>) -> Option<Reason> {
    let (d, s) = (i.dst(), i.src());
    let register = i.op & 8 != 0;
    let bad = Some(Reason::UnknownOpcode { op: i.op });
    let reserved = Some(Reason::ReservedField { op: i.op });
    let ok = |b: bool| if b { None } else { reserved.clone() };
    if d > 10 {
        return Some(Reason::BadRegister { register: d });
    }
    let calls_or_loads = matches!(i.op, LDDW | CALL);
    if s > 10 && !calls_or_loads {
        return Some(Reason::BadRegister { register: s });
    }
    match i.op & 7 {
        CLASS_ALU | CLASS_ALU64 => {
            if d == 10 {
                return Some(Reason::WriteFramePointer);
            }
            let wide = i.class() == CLASS_ALU64;
            match i.operation() {
                NEG => ok(!register && s == 0 && i.off == 0 && i.imm == 0),
                END => {
                    if wide && register {
                        return bad;
                    }
                    ok(s == 0 && i.off == 0 && matches!(i.imm, 16 | 32 | 64))
                }
                MOV if register => {
                    let signed = matches!(i.off, 8 | 16) || i.off == 32 && wide;
                    ok((i.off == 0 || signed) && i.imm == 0)
                }
                DIV | MOD => ok(matches!(i.off, 0 | 1) && if register { i.imm == 0 } else { s == 0 }),
                // END is the last operation that there is.
                operation if operation > END => bad,
                _ => ok(i.off == 0 && if register { i.imm == 0 } else { s == 0 }),
            }
        }
        CLASS_JMP | CLASS_JMP32 => match i.op {
            JA => ok(d == 0 && s == 0 && i.imm == 0),
            JA32 => ok(d == 0 && s == 0 && i.off == 0),
            CALL => match s {
                0 | pseudo::LOCAL_CALL => ok(d == 0 && i.off == 0),
                _ => Some(Reason::UnknownCall { kind: s }),
            },
            CALLX => ok(s == 0 && i.off == 0 && i.imm == 0),
            EXIT => ok(d == 0 && s == 0 && i.off == 0 && i.imm == 0),
            op if !matches!(op & OPERATION, JEQ..=JSGE | JLT..=JSLE) => bad,
            _ => ok(if register { i.imm == 0 } else { s == 0 }),
        },
        CLASS_LD => {
            if i.op != LDDW {
                return bad;
            }
            if d == 10 {
                return Some(Reason::WriteFramePointer);
            }
            let Some(n) = next else { return Some(Reason::CutWideLoad) };
            if n.op != 0 || n.regs != 0 || n.off != 0 {
                return Some(Reason::CutWideLoad);
            }
            match s {
                pseudo::IMM64 | pseudo::MAP_VALUE => ok(i.off == 0),
                pseudo::MAP => ok(i.off == 0 && n.imm == 0),
                _ => Some(Reason::UnknownWideLoad { kind: s }),
            }
        }
        CLASS_LDX => {
            if d == 10 {
                return Some(Reason::WriteFramePointer);
            }
            match i.op {
                LDXW | LDXH | LDXB | LDXDW | LDXSW | LDXSH | LDXSB => ok(i.imm == 0),
                _ => bad,
            }
        }
        CLASS_ST => match i.op {
            STW | STH | STB | STDW => ok(s == 0),
            _ => bad,
        },
        _ => match i.op {
            STXW | STXH | STXB | STXDW => ok(i.imm == 0),
            ATOMICW | ATOMICDW => {
                if s == 10 {
                    // An address may not be given away, and a fetch would overwrite r10.
                    return Some(Reason::WriteFramePointer);
                }
                (!atomic::ALL.contains(&i.imm)).then_some(Reason::UnknownAtomic { imm: i.imm })
            }
            _ => bad,
        },
    }
}

impl Graph {
    /// Checks the structure and finds blocks and loops. Returns the offending slot.
    pub fn build(&mut self, insns: &[Insn]) -> Result<(), (usize, Reason)> {
        self.blocks.clear();
        self.functions.clear();
        self.flags.clear();
        self.flags.resize(insns.len(), 0);
        self.leader.clear();
        self.leader.resize(insns.len(), NONE);
        if insns.is_empty() {
            return Err((0, Reason::Empty));
        }
        if insns.len() > 1 << 20 {
            return Err((0, Reason::TooLong));
        }
        self.flags[0] = LEADER | ENTRY;
        let mut functions = 1;
        let mut backward = false;
        let len = insns.len();
        let mut at = 0;
        while at < len {
            let i = insns[at];
            if !well_formed(i)
                && let Some(reason) = malformed(i, insns.get(at + 1).copied())
            {
                return Err((at, reason));
            }
            if i.op == LDDW {
                self.flags[at + 1] |= SECOND;
                at += 2;
                continue;
            }
            if is_jump(i.op) || i.op == CALL && i.src() == pseudo::LOCAL_CALL {
                let call = i.op == CALL;
                let to = if call { at as i64 + 1 + i.imm as i64 } else { target(at, i) };
                if to < 0 || to >= len as i64 {
                    return Err((at, Reason::JumpOutside { to }));
                }
                let to = to as usize;
                if call {
                    functions += usize::from(self.flags[to] & ENTRY == 0);
                    self.flags[to] |= ENTRY | LEADER;
                } else {
                    backward |= to <= at;
                    self.flags[to] |= LEADER;
                    if at + 1 < len {
                        self.flags[at + 1] |= LEADER;
                    }
                }
            } else if i.op == EXIT && at + 1 < len {
                self.flags[at + 1] |= LEADER;
            }
            at += 1;
        }
        self.cut(insns)?;
        for f in 0..self.functions.len() {
            let has_backward = backward && self.has_backward(f);
            if has_backward {
                self.find_loops(f)?;
            }
        }
        debug_assert_eq!(self.functions.len(), functions);
        Ok(())
    }

    /// Cuts the program into functions and blocks.
    fn cut(&mut self, insns: &[Insn]) -> Result<(), (usize, Reason)> {
        let len = insns.len();
        let mut at = 0;
        let mut start = 0;
        while at < len {
            if at > start && self.flags[at] & LEADER != 0 {
                self.block(start, insns, at)?;
                start = at;
            }
            at += 1;
        }
        self.block(start, insns, len)?;
        for (i, b) in self.blocks.iter().enumerate() {
            self.leader[b.start as usize] = i as u32;
        }
        // Functions.
        for i in 0..self.blocks.len() {
            let b = self.blocks[i];
            if self.flags[b.start as usize] & ENTRY != 0 {
                if let Some(f) = self.functions.last_mut() {
                    f.count = i as u32 - f.first;
                    f.end = b.start - 1;
                }
                let end = len as u32 - 1;
                self.functions.push(Function {
                    start: b.start,
                    end,
                    first: i as u32,
                    count: 0,
                    order: Vec::new(),
                    loops: Vec::new(),
                });
            }
        }
        let blocks = self.blocks.len() as u32;
        if let Some(f) = self.functions.last_mut() {
            f.count = blocks - f.first;
        }
        // Edges.
        for f in 0..self.functions.len() {
            let (first, count) = (self.functions[f].first, self.functions[f].count);
            self.blocks[first as usize].preds += 1;
            for b in first..first + count {
                let at = self.blocks[b as usize].end as usize;
                let i = insns[at];
                let falls = !matches!(i.op, EXIT | JA | JA32);
                if is_jump(i.op) {
                    let to = target(at, i) as usize;
                    let t = self.leader[to];
                    if self.flags[to] & SECOND != 0 || t == NONE {
                        return Err((at, Reason::JumpIntoWideLoad { to: to as i64 }));
                    }
                    if t < first || t >= first + count {
                        return Err((at, Reason::JumpToOtherFunction { to: to as i64 }));
                    }
                    self.blocks[b as usize].jumps = t;
                    self.blocks[t as usize].preds += 1;
                }
                if falls {
                    if b + 1 >= first + count {
                        return Err((at, Reason::FallsOff));
                    }
                    self.blocks[b as usize].falls = b + 1;
                    self.blocks[b as usize + 1].preds += 1;
                }
            }
        }
        Ok(())
    }

    fn block(&mut self, start: usize, insns: &[Insn], end: usize) -> Result<(), (usize, Reason)> {
        if self.flags[start] & SECOND != 0 {
            // Something jumps or calls into a wide load; find it for the report.
            let by = insns.iter().enumerate().position(|(at, i)| {
                (is_jump(i.op) && target(at, *i) == start as i64)
                    || i.op == CALL
                        && i.src() == pseudo::LOCAL_CALL
                        && at as i64 + 1 + i.imm as i64 == start as i64
            });
            return Err((by.unwrap_or(start), Reason::JumpIntoWideLoad { to: start as i64 }));
        }
        let mut last = end - 1;
        if self.flags[last] & SECOND != 0 {
            last -= 1;
        }
        let rank = self.blocks.len() as u32;
        self.blocks.push(Block {
            start: start as u32,
            end: last as u32,
            falls: NONE,
            jumps: NONE,
            preds: 0,
            heads: NONE,
            within: NONE,
            rank,
        });
        Ok(())
    }

    fn has_backward(&self, f: usize) -> bool {
        let f = &self.functions[f];
        (f.first..f.first + f.count).any(|b| {
            let t = self.blocks[b as usize].jumps;
            t != NONE && t <= b
        })
    }

    fn find_loops(&mut self, f: usize) -> Result<(), (usize, Reason)> {
        let (first, count) = (self.functions[f].first as usize, self.functions[f].count as usize);
        // Depth-first search for an order in which blocks follow their predecessors, but for back edges. The jump is
        // searched first, so that fall-through code comes early.
        let mut seen = vec![0u8; count];
        let mut post = Vec::with_capacity(count);
        let mut stack = vec![(first as u32, 0u8)];
        seen[0] = 1;
        while let Some(top) = stack.last_mut() {
            let (b, step) = *top;
            top.1 += 1;
            let block = &self.blocks[b as usize];
            let next = match step {
                0 => block.jumps,
                1 => block.falls,
                _ => {
                    post.push(b);
                    seen[b as usize - first] = 2;
                    stack.pop();
                    continue;
                }
            };
            if next != NONE && seen[next as usize - first] == 0 {
                seen[next as usize - first] = 1;
                stack.push((next, 0));
            }
        }
        post.reverse();
        let mut order = post;
        for b in first..first + count {
            self.blocks[b].rank = NONE;
        }
        for (i, &b) in order.iter().enumerate() {
            self.blocks[b as usize].rank = i as u32;
        }
        // Predecessors, by rank.
        let n = order.len();
        let mut preds: Vec<Vec<u32>> = vec![Vec::new(); n];
        for (i, &b) in order.iter().enumerate() {
            for s in [self.blocks[b as usize].falls, self.blocks[b as usize].jumps] {
                if s != NONE {
                    preds[self.blocks[s as usize].rank as usize].push(i as u32);
                }
            }
        }
        // Dominators (Cooper, Harvey, Kennedy).
        let mut idom = vec![NONE; n];
        idom[0] = 0;
        let mut again = true;
        while again {
            again = false;
            for i in 1..n {
                let mut new = NONE;
                for &p in &preds[i] {
                    if idom[p as usize] == NONE {
                        continue;
                    }
                    new = if new == NONE { p } else { meet(&idom, p, new) };
                }
                if idom[i] != new {
                    idom[i] = new;
                    again = true;
                }
            }
        }
        // Back edges and their loops. Heads come in the order of analysis, so an outer loop precedes its inner ones.
        let mut loops: Vec<Loop> = Vec::new();
        let mut mark = vec![NONE; n];
        for i in 0..n {
            let mut body: Vec<u32> = Vec::new();
            for &p in &preds[i] {
                if (p as usize) < i {
                    continue;
                }
                let mut up = p;
                while up as usize > i {
                    up = idom[up as usize];
                }
                let from = self.blocks[order[p as usize] as usize];
                if up as usize != i {
                    let into = self.blocks[order[i] as usize].start as i64;
                    return Err((from.end as usize, Reason::Irreducible { to: into }));
                }
                if body.is_empty() {
                    mark[i] = i as u32;
                    body.push(i as u32);
                }
                let mut work = vec![p];
                while let Some(x) = work.pop() {
                    if mark[x as usize] != i as u32 {
                        mark[x as usize] = i as u32;
                        body.push(x);
                        work.extend_from_slice(&preds[x as usize]);
                    }
                }
            }
            if body.is_empty() {
                continue;
            }
            body.sort_unstable();
            let k = loops.len() as u32;
            let head = order[i];
            let outer = self.blocks[head as usize].within;
            let depth = if outer == NONE { 1 } else { loops[outer as usize].depth + 1 };
            if depth > MAX_NESTING {
                return Err((self.blocks[head as usize].start as usize, Reason::LoopsTooDeep));
            }
            self.blocks[head as usize].heads = k;
            for x in &mut body {
                *x = order[*x as usize];
                self.blocks[*x as usize].within = k;
            }
            loops.push(Loop { head, outer, depth, body });
        }
        // Bodies in one piece: blocks behind a loop come after all of it.
        order = contiguous(&order, &loops, &self.blocks);
        for (i, &b) in order.iter().enumerate() {
            self.blocks[b as usize].rank = i as u32;
        }
        for l in &mut loops {
            l.body.sort_unstable_by_key(|b| self.blocks[*b as usize].rank);
        }
        self.functions[f].order = order;
        self.functions[f].loops = loops;
        Ok(())
    }
}

fn meet(idom: &[u32], mut a: u32, mut b: u32) -> u32 {
    while a != b {
        while a > b {
            a = idom[a as usize];
        }
        while b > a {
            b = idom[b as usize];
        }
    }
    a
}

/// Reorders so that each loop's blocks are adjacent, keeping the order otherwise.
fn contiguous(order: &[u32], loops: &[Loop], blocks: &[Block]) -> Vec<u32> {
    fn emit(level: u32, items: &[u32], loops: &[Loop], blocks: &[Block], out: &mut Vec<u32>) {
        for &b in items {
            let mut l = blocks[b as usize].within;
            if l == level {
                out.push(b);
                continue;
            }
            // The loop directly below `level` that holds b; emitted when its head is met.
            while l != NONE && loops[l as usize].outer != level {
                l = loops[l as usize].outer;
            }
            if l != NONE && loops[l as usize].head == b {
                let body = &loops[l as usize].body;
                emit(l, body, loops, blocks, out);
            }
        }
    }
    let mut out = Vec::with_capacity(order.len());
    emit(NONE, order, loops, blocks, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quick check never passes what the full one refuses.
    #[test]
    fn well_formed_is_not_malformed() {
        let mut passed = 0u32;
        for op in 0..=255u8 {
            for regs in [0x00u8, 0x01, 0x09, 0x0a, 0x0b, 0x10, 0xa1, 0xb1, 0xaa, 0xf0] {
                for off in [0i16, 1, 8, 16, 32, -1] {
                    for imm in [0i32, 1, 16, 64, -1] {
                        let i = Insn { op, regs, off, imm };
                        if well_formed(i) {
                            passed += 1;
                            assert!(malformed(i, None).is_none(), "{i:?}");
                        }
                    }
                }
            }
        }
        assert!(passed > 1000, "{passed}");
    }
}
