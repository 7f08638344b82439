//! The walk that emission is on each machine: functions one after the other, each instruction by its class, then the branches whose targets
//! came later. What an instruction becomes is the machine's affair: [`Emission`].

use crate::program::{Fixup, Function, Kind, LOOP, TARGET, Tables, scan};
use crate::{CompileError, Insn, Resolve, abi};
use alloc::vec::Vec;
use axiom_bpf_isa::opcode::*;

/// BPF's stack per function.
pub(crate) const BPF_STACK: i32 = 512;

/// The width of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    /// 32 bits; results are zero-extended.
    W32,
    /// 64 bits.
    X64,
}

impl Width {
    /// Width in bits.
    pub fn bits(self) -> u32 {
        match self {
            Width::W32 => 32,
            Width::X64 => 64,
        }
    }
}

/// Where a walk is.
pub(crate) struct Walk<'b> {
    /// Before a slot is emitted flags, then where its code is.
    pub offsets: &'b mut [u32],
    fixups: &'b mut Vec<Fixup>,
    /// The function that is emitted.
    pub function: Function,
    is_entry: bool,
    uses_helpers: bool,
    /// Functions clear their BPF stack first.
    pub zero_stack: bool,
    /// A note could not be kept.
    no_memory: bool,
    /// Instructions (with what is fused) that were not made by the table.
    #[cfg(test)]
    general: u32,
}

impl Walk<'_> {
    /// Whether the function keeps the runtime's address for the helpers that are called.
    pub fn keeps_runtime(&self) -> bool {
        self.function.calls && self.is_entry && self.uses_helpers
    }

    /// How many slots from `at` on may become one instruction: itself, and at most `most` in a row to which nothing jumps.
    pub fn free(&self, at: usize, end: usize, most: usize) -> usize {
        let reached = |slot: usize| slot >= end || self.offsets[slot] & TARGET != 0;
        (1..=most).find(|n| reached(at + n)).unwrap_or(most + 1)
    }

    /// Notes a branch to fill in later. Where there is no memory for the note, the program is not compiled.
    #[inline(always)]
    pub fn fix(&mut self, fixup: Fixup) {
        if self.fixups.len() == self.fixups.capacity() && self.fixups.try_reserve(1).is_err() {
            self.no_memory = true;
            return;
        }
        self.fixups.push(fixup);
    }
}

/// What a jump compares.
pub(crate) struct Comparison {
    pub insn: Insn,
    pub width: Width,
    /// Where the jump stands, and where it leads.
    pub at: usize,
    pub target: usize,
}

/// What a machine adds to the walk. Positions in the code are words or bytes, as the machine counts them.
pub(crate) trait Emission<'b>: Sized {
    /// Code must be shorter than this, so that branches reach.
    const REACH: usize;
    /// Bytes of a position.
    const UNIT: usize;

    fn walk(&mut self) -> &mut Walk<'b>;
    /// The position of what comes next.
    fn here(&self) -> u32;
    /// Whether there was room for everything so far.
    fn fits(&self) -> bool;
    /// Fills up to where functions and loops begin well.
    fn align(&mut self);
    fn prologue(&mut self);
    fn epilogue(&mut self);
    /// Emits instructions from `at` on by the table; returns the first that is not in it, or `end`.
    fn plain(&mut self, at: usize, end: usize, program: &[Insn]) -> usize;
    /// Arithmetic, maybe with what comes after it and before `end`; returns how many slots were emitted. `None`, here and below: there is no
    /// such opcode.
    fn alu(&mut self, at: usize, end: usize, width: Width, program: &[Insn]) -> Option<usize>;
    fn load(&mut self, insn: Insn) -> Option<()>;
    fn store(&mut self, insn: Insn) -> Option<()>;
    /// A constant of the program's.
    fn constant(&mut self, dst: u8, value: u64);
    /// An address of ours.
    fn address_of_ours(&mut self, dst: u8, value: u64);
    /// Calls what the runtime's table has in a slot.
    fn call_helper(&mut self, slot: usize);
    /// Calls the function at a slot of the program.
    fn call_function(&mut self, target: u32);
    /// Calls a helper whose number is in a register: the number becomes a table slot, the last one when there is none.
    fn call_register(&mut self, dst: u8);
    /// A jump without a condition.
    fn jump(&mut self, at: usize, target: usize, program: &[Insn]);
    fn compare(&mut self, c: &Comparison, program: &[Insn]) -> Option<()>;
    /// What was emitted from position `start` for some instructions: for a check in tests.
    fn emitted(&self, _start: u32, _insns: &[Insn]) {}
    /// Fills in a branch that leads to a position.
    fn patch(&mut self, fixup: Fixup, to: u32) -> Result<(), CompileError>;
}

/// Emits a program with what `machine` makes of the walk; returns its length in bytes. `TABLED`: what the table knows is left to it (tests
/// look at the same without it).
pub(crate) fn compile<'b, E: Emission<'b>, const TABLED: bool>(
    tables: &'b mut Tables,
    program: &[Insn],
    resolve: Resolve,
    machine: impl FnOnce(Walk<'b>) -> E,
) -> Result<usize, CompileError> {
    let uses_helpers = scan(tables, program)?;
    tables.fixups.clear();
    let functions = &mut tables.functions;
    let mut e = machine(Walk {
        offsets: &mut tables.offsets,
        fixups: &mut tables.fixups,
        function: Function::default(),
        is_entry: true,
        uses_helpers,
        zero_stack: tables.zero_stack,
        no_memory: false,
        #[cfg(test)]
        general: 0,
    });
    for (index, function) in functions.iter_mut().enumerate() {
        e.align();
        function.entry = e.here();
        let walk = e.walk();
        (walk.function, walk.is_entry) = (*function, index == 0);
        emit_function::<E, TABLED>(&mut e, program, resolve)?;
    }
    #[cfg(test)]
    {
        tables.general = e.walk().general;
    }
    if e.walk().no_memory {
        return Err(CompileError::NoMemory);
    }
    let length = e.here() as usize;
    if length >= E::REACH {
        return Err(CompileError::TooLarge);
    }
    if !e.fits() {
        return Err(CompileError::NoRoom { needed: length * E::UNIT });
    }
    for i in 0..e.walk().fixups.len() {
        let fixup = e.walk().fixups[i];
        let to = match fixup.kind {
            Kind::Call => {
                let index = functions.binary_search_by_key(&fixup.target, |f| f.start);
                index.map_or(0, |i| functions[i].entry)
            }
            Kind::Jump | Kind::Short => e.walk().offsets[fixup.target as usize],
        };
        e.patch(fixup, to)?;
    }
    Ok(length * E::UNIT)
}

fn emit_function<'b, E: Emission<'b>, const TABLED: bool>(
    e: &mut E,
    program: &[Insn],
    resolve: Resolve,
) -> Result<(), CompileError> {
    e.prologue();
    let function = e.walk().function;
    let (mut at, end) = (function.start as usize, function.end as usize);
    // The first slot's offset lies after the prologue: jumps go there, calls to the function's entry.
    while at < end {
        if TABLED {
            at = e.plain(at, end, program);
            if at == end {
                break;
            }
        }
        #[cfg(test)]
        {
            e.walk().general += 1;
        }
        at = emit_insn(e, at, end, program, resolve)?;
    }
    Ok(())
}

/// Emits the instruction at `at` (and what is fused with it); returns the next slot.
fn emit_insn<'b, E: Emission<'b>>(
    e: &mut E,
    at: usize,
    end: usize,
    program: &[Insn],
    resolve: Resolve,
) -> Result<usize, CompileError> {
    if e.walk().offsets[at] & LOOP != 0 {
        e.align();
    }
    let start = e.here();
    e.walk().offsets[at] = start;
    let insn = program[at];
    let bad = CompileError::BadOpcode { at, op: insn.op };
    let named = |most: u8| if insn.dst() <= most && insn.src() < 11 { Ok(()) } else { Err(bad) };
    let used = match insn.class() {
        CLASS_ALU64 => e.alu(at, end, Width::X64, program).ok_or(bad)?,
        CLASS_ALU => e.alu(at, end, Width::W32, program).ok_or(bad)?,
        CLASS_LDX => named(9).and_then(|()| e.load(insn).ok_or(bad)).map(|()| 1)?,
        CLASS_ST | CLASS_STX => named(10).and_then(|()| e.store(insn).ok_or(bad)).map(|()| 1)?,
        CLASS_JMP | CLASS_JMP32 => emit_jump(e, at, insn, program).map(|()| 1)?,
        _ => wide_load(e, at, insn, program, resolve).map(|()| 2)?,
    };
    e.emitted(start, &program[at..at + used]);
    let here = e.here();
    e.walk().offsets[at + 1..at + used].fill(here);
    Ok(at + used)
}

fn wide_load<'b, E: Emission<'b>>(
    e: &mut E,
    at: usize,
    insn: Insn,
    program: &[Insn],
    resolve: Resolve,
) -> Result<(), CompileError> {
    if insn.op != LDDW || insn.dst() > 9 {
        return Err(CompileError::BadOpcode { at, op: insn.op });
    }
    let Some(next) = program.get(at + 1) else {
        return Err(CompileError::BadTarget { at, target: at as i64 + 1 });
    };
    if insn.src() == 0 {
        e.constant(insn.dst(), u64::from(insn.imm as u32) | u64::from(next.imm as u32) << 32);
    } else {
        let value = resolve(insn.src(), insn.imm, next.imm).ok_or(CompileError::Unresolved { at })?;
        e.address_of_ours(insn.dst(), value);
    }
    Ok(())
}

fn emit_jump<'b, E: Emission<'b>>(
    e: &mut E,
    at: usize,
    insn: Insn,
    program: &[Insn],
) -> Result<(), CompileError> {
    let bad = CompileError::BadOpcode { at, op: insn.op };
    let delta = if insn.op == JA32 { i64::from(insn.imm) } else { i64::from(insn.off) };
    let target = (at as i64 + 1 + delta) as usize; // `scan` has checked it
    match insn.op {
        EXIT => e.epilogue(),
        CALLX if insn.dst() < 10 => e.call_register(insn.dst()),
        CALLX => return Err(bad),
        CALL => return emit_call(e, at, insn),
        JA | JA32 if target == at + 1 => {}
        JA | JA32 => e.jump(at, target, program),
        _ => {
            let width = if insn.class() == CLASS_JMP { Width::X64 } else { Width::W32 };
            if insn.dst() > 10 || insn.src() > 10 {
                return Err(bad);
            }
            e.compare(&Comparison { insn, width, at, target }, program).ok_or(bad)?;
        }
    }
    Ok(())
}

fn emit_call<'b, E: Emission<'b>>(e: &mut E, at: usize, insn: Insn) -> Result<(), CompileError> {
    let id = insn.imm as u32;
    match insn.src() {
        0 => e.call_helper(abi::slot(id).ok_or(CompileError::UnknownHelper { at, id })?),
        1 => e.call_function((at as i64 + 1 + i64::from(insn.imm)) as u32),
        _ => return Err(CompileError::UnknownHelper { at, id }),
    }
    Ok(())
}
