//! What a program's worst case is in machine instructions.
//!
//! The checker's worst case counts instructions of the program; some of them become several machine instructions, and a call of a
//! helper many. Each instruction has a *weight* on each machine that is never too small ([`weight`]; the tests hold it against what
//! the compilers make of every kind of instruction, and the helpers' are taken from their code). A run executes whole basic blocks:
//!
//! - a block that no cycle goes through runs once, and costs its weight;
//! - all others together execute no more instructions than the worst case allows, and none of them has more weight per instruction
//!   than the heaviest block that is in a cycle.
//!
//! So the sum of both is never below what a run costs. Which blocks may be in a cycle: those between a jump backwards and its
//! target (any way back crosses them), and every function that is called. One pass over the program, linear, without heuristics.

use alloc::vec::Vec;
use axiom_bpf_isa::opcode::{CLASS, OPERATION, REGISTER};
use axiom_bpf_isa::{Insn, MapDef, MapType, alu, helper, jump, opcode, pseudo};

/// What a run costs besides the program: from the event to its first instruction, and back.
pub const RUN: u64 = 600;
/// Machine instructions of the interpreter for each that the compiler would make (85 for one of a program, counted on a host with
/// checked memory).
const INTERPRETED: u64 = 96;
/// A printed line: the text's 256 bytes, the number's digits, the message.
const PRINT: u64 = 6000;
/// Looking at an output's owner, rights and stop, and at its chip's registers.
const OUTPUT: u64 = 400;
/// The emergency stop: every motor's outputs.
const STOP: u64 = 3000;
/// Memory that one call copies at most where only a size that the program computes says how much.
const COPIED: u64 = 1 << 20;

/// A machine that programs are compiled for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// AArch64.
    A64 = 0,
    /// x86-64.
    X64 = 1,
    /// AArch64 with blinded constants.
    A64Blinded = 2,
    /// x86-64 with blinded constants.
    X64Blinded = 3,
}

impl Machine {
    /// The machine that a server of this build runs on.
    pub const BOARD: Machine = crate::arch::BOARD;

    /// The same with blinded constants.
    pub const fn blinded(self) -> Machine {
        match self {
            Machine::A64 | Machine::A64Blinded => Machine::A64Blinded,
            Machine::X64 | Machine::X64Blinded => Machine::X64Blinded,
        }
    }

    /// What comes before a loop's first instruction: x86-64 aligns it, by at most two instructions that do nothing.
    const fn before_loop(self) -> u64 {
        match self {
            Machine::A64 | Machine::A64Blinded => 0,
            Machine::X64 | Machine::X64Blinded => 2,
        }
    }
}

/// A program's worst case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Machine instructions, compiled.
    pub compiled: u64,
    /// The jump that leads back in the innermost loop, by instruction.
    pub hot: Option<usize>,
}

impl Cost {
    /// Machine instructions, if the program is interpreted.
    pub fn interpreted(&self) -> u64 {
        self.compiled.saturating_mul(INTERPRETED)
    }
}

/// Clearing a frame.
const CLEARED: u64 = 84;

/// Copying bytes.
fn copy(bytes: u64) -> u64 {
    20 + bytes / 4
}

/// The longest that one of the maps takes for an operation of a helper.
fn map_cost(maps: &[MapDef], of: impl Fn(&MapDef) -> Option<u64>) -> u64 {
    maps.iter().filter_map(of).max().unwrap_or(0)
}

/// A walk of a hash's longest chain: keys can be chosen so that all of them are in one.
fn walk(def: &MapDef) -> u64 {
    let key = u64::from(def.key_size);
    // Keys of up to seven bytes are compared byte by byte, longer ones by eights.
    let compared = 30 + key + 6 * key.min(7);
    80 + 2 * key + u64::from(def.max_entries).saturating_mul(compared)
}

fn keyed(def: &MapDef, writes: bool) -> Option<u64> {
    let value = if writes { copy(def.value_size.into()) } else { 0 };
    match def.map_type {
        MapType::Array | MapType::PercpuArray => Some(40 + value),
        MapType::Hash | MapType::PercpuHash => Some(120 + walk(def) + value + copy(def.key_size.into())),
        // The oldest entry is found in its own chain.
        MapType::LruHash => Some(240 + 2 * walk(def) + value + copy(def.key_size.into())),
        MapType::Queue | MapType::Stack | MapType::RingBuf => None,
    }
}

/// The worst case of a call of a helper, without what leads to it.
fn helper_cost(id: u32, maps: &[MapDef]) -> u64 {
    let queue = |d: &MapDef| {
        matches!(d.map_type, MapType::Queue | MapType::Stack).then(|| 60 + copy(d.value_size.into()))
    };
    let ring = |copied: bool| {
        move |d: &MapDef| {
            // What is larger than the ring is not copied.
            let bytes = COPIED.min(d.max_entries.into());
            (d.map_type == MapType::RingBuf).then(|| 120 + if copied { copy(bytes) } else { 0 })
        }
    };
    match id {
        helper::MAP_LOOKUP_ELEM => map_cost(maps, |d| keyed(d, false)),
        helper::MAP_UPDATE_ELEM | helper::MAP_DELETE_ELEM => map_cost(maps, |d| keyed(d, true)),
        helper::MAP_PUSH_ELEM | helper::MAP_POP_ELEM | helper::MAP_PEEK_ELEM => map_cost(maps, queue),
        helper::RINGBUF_OUTPUT => map_cost(maps, ring(true)),
        helper::RINGBUF_RESERVE | helper::RINGBUF_QUERY => map_cost(maps, ring(false)),
        helper::RINGBUF_SUBMIT | helper::RINGBUF_DISCARD => 60,
        helper::KTIME_GET_NS | helper::GET_SMP_PROCESSOR_ID => 30,
        helper::TRACE_PRINTK | helper::TRACE_VPRINTK => PRINT,
        helper::GPIO_GET | helper::GPIO_SET | helper::PWM_SET => OUTPUT,
        helper::MOTOR_EMERGENCY_STOP => STOP,
        // Served nowhere.
        _ => 60,
    }
}

/// The costliest helper, for a call whose number is in a register.
fn any_helper(maps: &[MapDef]) -> u64 {
    axiom_bpf_isa::proto::HELPERS.iter().map(|h| helper_cost(h.id, maps)).max().unwrap_or(PRINT)
}

/// Machine instructions that bring an immediate into a register, where an operation has no room for it.
const fn immediate(imm: i32, simple: bool) -> u64 {
    match imm {
        0..4096 if simple => 0,
        0..4096 => 1,
        _ => 2,
    }
}

/// Machine instructions of an access at an offset from a register; the frame's lies further away.
const fn access(base: u8, off: i16) -> u64 {
    match base {
        10 if off % 8 != 0 || off < -512 || off > 512 => 5,
        10 => 1,
        _ if off >= -128 && off < 256 => 1,
        _ => 4,
    }
}

/// The frame's address is computed where it is used.
const fn frame(register: u8) -> u64 {
    if register == 10 { 1 } else { 0 }
}

/// What an instruction may cost, in machine instructions. Divisions and atomic operations are counted as what they take, not as
/// what they are.
pub fn weight(machine: Machine, insn: &Insn, maps: &[MapDef], zero_stack: bool) -> u64 {
    match insn.op & CLASS {
        opcode::CLASS_JMP if insn.op == opcode::CALL => match insn.src() {
            0 => 4 + helper_cost(insn.imm as u32, maps),
            // The callee's frame, made and given back.
            _ => 16 + if zero_stack { CLEARED } else { 0 },
        },
        // A call through a register.
        opcode::CLASS_JMP if insn.op & OPERATION == jump::CALLS => 16 + any_helper(maps),
        _ => plain(machine, insn),
    }
}

/// The weight of what is no call.
const fn plain(machine: Machine, insn: &Insn) -> u64 {
    match machine {
        Machine::A64 => plain_a64(insn),
        Machine::X64 => plain_x64(insn),
        // On AArch64 up to two for a number, two for what splits it, and one that joins them.
        Machine::A64Blinded => plain_a64(insn) + if is_blinded(insn) { 5 } else { 0 },
        Machine::X64Blinded => plain_x64(insn) + if is_blinded(insn) { 2 } else { 0 },
    }
}

/// Whether an instruction has a constant that can be split.
const fn is_blinded(insn: &Insn) -> bool {
    let operation = insn.op & OPERATION;
    match insn.op & CLASS {
        opcode::CLASS_LD | opcode::CLASS_ST => true,
        opcode::CLASS_LDX | opcode::CLASS_STX => false,
        opcode::CLASS_JMP | opcode::CLASS_JMP32 => {
            insn.op & REGISTER == 0 && !matches!(operation, jump::ALWAYS | jump::CALLS | jump::EXITS)
        }
        _ => {
            insn.op & REGISTER == 0
                && !matches!(operation, alu::LSH | alu::RSH | alu::ARSH | alu::END | alu::NEG)
        }
    }
}

/// On AArch64, whose instructions hold small numbers only, and where the frame has no register.
const fn plain_a64(insn: &Insn) -> u64 {
    let operation = insn.op & OPERATION;
    match insn.op & CLASS {
        opcode::CLASS_LD => 4,
        opcode::CLASS_LDX => access(insn.src(), insn.off),
        opcode::CLASS_ST => 2 + access(insn.dst(), insn.off),
        opcode::CLASS_STX if insn.op & opcode::MODE == opcode::MODE_ATOMIC => 24,
        opcode::CLASS_STX => 1 + access(insn.dst(), insn.off),
        opcode::CLASS_JMP if insn.op == opcode::EXIT => 8,
        opcode::CLASS_JMP | opcode::CLASS_JMP32 if operation == jump::ALWAYS => 1,
        opcode::CLASS_JMP | opcode::CLASS_JMP32 if insn.op & REGISTER != 0 => {
            2 + frame(insn.dst()) + frame(insn.src())
        }
        opcode::CLASS_JMP | opcode::CLASS_JMP32 => {
            2 + frame(insn.dst()) + immediate(insn.imm, operation != jump::JSET)
        }
        // Division and remainder; swaps; then those whose immediate has room in the instruction.
        _ if operation == alu::DIV || operation == alu::MOD => 16,
        _ if operation == alu::END => 2,
        _ if insn.op & REGISTER != 0 => 1 + frame(insn.src()),
        _ => {
            1 + immediate(
                insn.imm,
                matches!(operation, alu::ADD | alu::SUB | alu::LSH | alu::RSH | alu::MOV | alu::ARSH),
            )
        }
    }
}

/// On x86-64: one instruction for most, whatever the number and the offset.
const fn plain_x64(insn: &Insn) -> u64 {
    let operation = insn.op & OPERATION;
    match insn.op & CLASS {
        opcode::CLASS_LD | opcode::CLASS_LDX | opcode::CLASS_ST => 1,
        opcode::CLASS_STX if insn.op & opcode::MODE == opcode::MODE_ATOMIC => 24,
        opcode::CLASS_STX => 1,
        opcode::CLASS_JMP if insn.op == opcode::EXIT => 8,
        opcode::CLASS_JMP | opcode::CLASS_JMP32 if operation == jump::ALWAYS => 1,
        // A comparison and the jump.
        opcode::CLASS_JMP | opcode::CLASS_JMP32 => 2,
        // There are registers to save, a zero and a -1 to look for, and the machine takes longer than for anything else.
        _ if operation == alu::DIV || operation == alu::MOD => 32,
        _ if operation == alu::END => 2,
        // Without BMI2 the count is moved to the one register that counts.
        _ if insn.op & REGISTER != 0 && matches!(operation, alu::LSH | alu::RSH | alu::ARSH) => 4,
        _ => 1,
    }
}

/// What most instructions weigh, by opcode: those that lead nowhere but on or ahead, and whose operands are simple, without the
/// frame's register, with small immediates and offsets that are not negative. 0: whatever the operands, there is more to look at.
struct Simple([u8; 256]);

static SIMPLE: [Simple; 4] = [
    Simple::of(Machine::A64),
    Simple::of(Machine::X64),
    Simple::of(Machine::A64Blinded),
    Simple::of(Machine::X64Blinded),
];

/// By the byte of an instruction's registers: all bits if the frame's is not among them, or none.
static NO_FRAME: [u8; 256] = {
    let mut masks = [u8::MAX; 256];
    let mut n = 0;
    while n < 256 {
        if n & 15 == 10 || n >> 4 == 10 {
            masks[n] = 0;
        }
        n += 1;
    }
    masks
};

impl Simple {
    const fn of(machine: Machine) -> Simple {
        let mut weights = [0; 256];
        let mut n = 0;
        while n < 256 {
            // A call's weight depends on more than its operands, and a wide load has two slots.
            let call = n as u8 & CLASS == opcode::CLASS_JMP && n as u8 & OPERATION == jump::CALLS;
            if !call && n as u8 != opcode::LDDW {
                weights[n] = plain(machine, &Insn::new(n as u8, 0, 0, 0, 0)) as u8;
            }
            n += 1;
        }
        Simple(weights)
    }

    /// [`weight`] of a simple instruction, 0 of another.
    #[inline]
    fn weight(&self, insn: &Insn) -> u64 {
        // Immediates from 0 to 4095, offsets from 0 to 255.
        if insn.imm as u32 & !0xfff | u32::from(insn.off as u16 & 0xff00) != 0 {
            return 0;
        }
        (self.0[insn.op as usize] & NO_FRAME[insn.regs as usize]).into()
    }

    /// Weights of the simple instructions up to the first other one, which comes with them.
    #[inline(never)]
    fn sum<'i>(&self, insns: &mut core::slice::Iter<'i, Insn>) -> (u64, Option<&'i Insn>) {
        // Less than 256 for each of at most 2^32 slots.
        let mut sum = 0;
        for insn in insns {
            match self.weight(insn) {
                0 => return (sum, Some(insn)),
                weight => sum += weight,
            }
        }
        (sum, None)
    }
}

/// Where a jump leads, in slots, if it is one within its function.
fn target(at: usize, insn: &Insn) -> Option<i64> {
    let class = insn.op & CLASS;
    let operation = insn.op & OPERATION;
    if !matches!(class, opcode::CLASS_JMP | opcode::CLASS_JMP32)
        || matches!(operation, jump::CALLS | jump::EXITS)
    {
        return None;
    }
    let delta = if class == opcode::CLASS_JMP32 && operation == jump::ALWAYS {
        insn.imm.into()
    } else {
        i64::from(insn.off)
    };
    Some(at as i64 + 1 + delta)
}

/// The worst case on this machine of a program that executes at most `most` instructions. `None`: there is no memory to find it.
pub fn worst(insns: &[Insn], maps: &[MapDef], most: u64, zero_stack: bool) -> Option<Cost> {
    worst_on(Machine::BOARD, insns, maps, most, zero_stack)
}

/// The same on another machine.
#[inline]
pub fn worst_on(
    machine: Machine,
    insns: &[Insn],
    maps: &[MapDef],
    most: u64,
    zero_stack: bool,
) -> Option<Cost> {
    // The entry's own frame, and its event.
    let first = RUN + 16 + if zero_stack { CLEARED } else { 0 };
    let mut all = first;
    let (mut back, mut calls) = (false, false);
    let mut rest = insns.iter();
    loop {
        let (simple, other) = SIMPLE[machine as usize].sum(&mut rest);
        all = all.saturating_add(simple);
        let Some(insn) = other else { break };
        all = all.saturating_add(weight(machine, insn, maps, zero_stack));
        back |= target(0, insn).is_some_and(|t| t <= 0);
        calls |= insn.op == opcode::CALL && insn.src() == pseudo::LOCAL_CALL;
        if insn.op == opcode::LDDW {
            rest.next();
        }
    }
    if !back && !calls {
        // Each instruction runs once at most.
        return Some(Cost { compiled: all, hot: None });
    }
    in_cycles(machine, insns, maps, most, zero_stack, first)
}

/// Slots of a program, as far as cycles go.
struct Marks {
    /// By slot: how many cycles begin there minus how many end before it.
    depth: Vec<i32>,
    /// By slot: a block begins.
    begins: Vec<bool>,
    /// By slot: a jump behind it leads back there.
    loops: Vec<bool>,
}

fn marks(insns: &[Insn]) -> Option<Marks> {
    let slots = insns.len() + 1;
    let (mut depth, mut begins, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    depth.try_reserve_exact(slots).ok()?;
    begins.try_reserve_exact(slots).ok()?;
    loops.try_reserve_exact(slots).ok()?;
    depth.resize(slots, 0i32);
    begins.resize(slots, false);
    loops.resize(slots, false);
    let mut called = insns.len();
    for (at, insn) in insns.iter().enumerate() {
        if insn.op == opcode::CALL && insn.src() == pseudo::LOCAL_CALL {
            let callee = at as i64 + 1 + i64::from(insn.imm);
            called = usize::try_from(callee).map_or(called, |c| c.min(called));
        }
        let Some(to) = target(at, insn) else {
            begins[at + 1] |= insn.op == opcode::EXIT;
            continue;
        };
        begins[at + 1] = true;
        let Some(to) = usize::try_from(to).ok().filter(|t| *t < insns.len()) else { continue };
        begins[to] = true;
        if to <= at {
            loops[to] = true;
            depth[to] += 1;
            depth[at + 1] -= 1;
        }
    }
    // The entry lies before everything that is called.
    depth[called] += 1;
    Some(Marks { depth, begins, loops })
}

fn in_cycles(
    machine: Machine,
    insns: &[Insn],
    maps: &[MapDef],
    most: u64,
    zero_stack: bool,
    first: u64,
) -> Option<Cost> {
    let Marks { depth, begins, loops } = marks(insns)?;
    let mut once = first;
    // The heaviest block of a cycle: weight and instructions.
    let mut heaviest = (0u64, 1u64);
    let mut block = (0u64, 0u64);
    let (mut now, mut deepest, mut hot) = (0, 0, None);
    let mut cyclic = false;
    let mut end = |block: (u64, u64), cyclic: bool| {
        if !cyclic {
            once = once.saturating_add(block.0);
        } else if u128::from(block.0) * u128::from(heaviest.1) > u128::from(heaviest.0) * u128::from(block.1)
        {
            heaviest = block;
        }
    };
    let mut at = 0;
    while let Some(insn) = insns.get(at) {
        now += depth[at];
        if begins[at] || (now > 0) != cyclic {
            end(block, cyclic);
            block = (0, 0);
            cyclic = now > 0;
        }
        let weight = match SIMPLE[machine as usize].weight(insn) {
            0 => weight(machine, insn, maps, zero_stack),
            weight => weight,
        };
        block.0 = block.0.saturating_add(weight);
        if loops[at] {
            // Whoever does not jump there comes through it.
            block.0 = block.0.saturating_add(machine.before_loop());
        }
        block.1 += 1;
        if target(at, insn).is_some_and(|t| t <= at as i64) && now > deepest {
            (deepest, hot) = (now, Some(at));
        }
        at += 1;
        if insn.op == opcode::LDDW {
            now += depth.get(at).copied().unwrap_or(0);
            at += 1;
        }
    }
    end(block, cyclic);
    let cycles = u128::from(most) * u128::from(heaviest.0);
    let cycles = u64::try_from(cycles.div_ceil(u128::from(heaviest.1))).unwrap_or(u64::MAX);
    Some(Cost { compiled: once.saturating_add(cycles), hot })
}

#[cfg(test)]
mod tests;
