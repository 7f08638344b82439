//! Refusals: Reason, At, Path, Suggestion, in words for the author of the program.

use crate::words::Words;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::{MapType, ProgramKind, proto};
use core::fmt;

/// Kinds of memory, as messages name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Memory {
    Stack,
    Context,
    Value { map: u32 },
    Reserved,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Stack => write!(f, "the stack frame"),
            Memory::Context => write!(f, "the context"),
            Memory::Value { map } => write!(f, "a value of map {map}"),
            Memory::Reserved => write!(f, "the reserved ring buffer record"),
        }
    }
}

/// Why nothing bounds a loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unbounded {
    /// No edge leaves it.
    NoExit,
    /// No register or stack slot moves in one direction on every pass.
    NoProgress,
    /// The best counter takes this many passes, which makes more instructions than the limit.
    TooMany {
        /// The register, or, from 11, 11 + 2 * (4-byte slot from the frame's lowest address) + (1 if it has 4 bytes).
        counter: u16,
        /// Passes.
        passes: u64,
    },
}

/// Why a program was refused.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Reason {
    Empty,
    TooLong,
    UnknownOpcode { op: u8 },
    ReservedField { op: u8 },
    BadRegister { register: u8 },
    WriteFramePointer,
    CutWideLoad,
    UnknownWideLoad { kind: u8 },
    UnknownCall { kind: u8 },
    UnknownAtomic { imm: i32 },
    JumpOutside { to: i64 },
    JumpIntoWideLoad { to: i64 },
    JumpToOtherFunction { to: i64 },
    FallsOff,
    Irreducible { to: i64 },
    LoopsTooDeep,
    UnknownMap { index: i32 },
    Unwritten { register: u8 },
    LostByCall { register: u8 },
    DiffersByPath { register: u8 },
    GivenBack { register: u8 },
    NoResult,
    NotAnAddress { register: u8 },
    MaybeNull { register: u8, map: Option<u32> },
    OutOfBounds { memory: Memory, write: bool, low: i64, high: i64, size: u32, limit: u32 },
    UnwrittenStack { offset: i64, size: u32 },
    ReadOnly { memory: Memory },
    Misaligned { size: u32 },
    PointerArithmetic { register: u8 },
    PointerLeak { into: &'static str },
    UnknownHelper { id: u32 },
    UnknownCallTarget { register: u8 },
    Argument { helper: &'static str, argument: u8, wants: &'static str, has: &'static str },
    PrintsAddress { helper: &'static str, value: u8, argument: u8, has: &'static str },
    WrongMap { helper: &'static str, map: u32, is: MapType },
    NoSuchByte { map: u32, is: MapType, offset: u32 },
    SizeUnbounded { helper: &'static str, argument: u8 },
    Leak { reserved_at: u32 },
    StillHeld { reserved_at: u32 },
    TooManyHeld,
    ReturnsPointer,
    TooManyCalls,
    StackTooDeep,
    Loop { head: u32, why: Unbounded },
    TooExpensive { count: u64, limit: u64 },
    TooComplex,
    NotProved { why: axiom_bpf_checker::Why },
}

/// What a helper wants of an argument, in words.
pub(crate) mod wants {
    pub const NUMBER: &str = "a number";
    pub const MAP: &str = "a map";
    pub const KEY: &str = "the address of a key";
    pub const VALUE: &str = "the address of a value";
    pub const SIZE: &str = "a size";
    pub const MEMORY: &str = "the address of readable memory";
    pub const ROOM: &str = "the address of memory that takes a value";
    pub const RESERVED_SIZE: &str = "a constant size, not 0 and not larger than the ring buffer";
    pub const RESERVATION: &str = "the address that bpf_ringbuf_reserve returned";
    /// What the first arguments of a format's numbers must be.
    pub const FORMAT: &str =
        "a format of %d %i %u %x %X %c %p (with l, ll, h, a width) and at most three of them";
}

/// The article before a kind of map.
fn article(kind: MapType) -> &'static str {
    if matches!(kind, MapType::Array | MapType::LruHash) { "an" } else { "a" }
}

struct Name(u16);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 11 {
            write!(f, "r{}", self.0)
        } else {
            write!(f, "the variable at r10-{}", 512 - (self.0 as i64 - 11) / 2 * 4)
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Reason::*;
        match self {
            Empty => write!(f, "the program has no instructions"),
            TooLong => write!(f, "the program has more than 1048576 instructions"),
            UnknownOpcode { op } => write!(f, "{op:#04x} is not an instruction of RFC 9669"),
            ReservedField { op } => write!(f, "a field that instruction {op:#04x} does not use is not zero"),
            BadRegister { register } => write!(f, "there is no register r{register}"),
            WriteFramePointer => write!(f, "r10, the frame pointer, may not be written or given away"),
            CutWideLoad => write!(f, "a 64-bit load without its second half"),
            UnknownWideLoad { kind } => write!(f, "a 64-bit load of kind {kind}, which is not supported"),
            UnknownCall { kind } => write!(f, "a call of kind {kind}, which is not supported"),
            UnknownAtomic { imm } => write!(f, "{imm:#x} is not an atomic operation of RFC 9669"),
            JumpOutside { to } => write!(f, "jumps to instruction {to}, outside the program"),
            JumpIntoWideLoad { to } => write!(f, "jumps to {to}, the second half of a 64-bit load"),
            JumpToOtherFunction { to } => {
                write!(f, "jumps to instruction {to}, which belongs to another function")
            }
            FallsOff => write!(f, "the function does not end here: execution would run into what follows"),
            Irreducible { to } => write!(f, "jumps into the middle of a loop, to instruction {to}"),
            LoopsTooDeep => write!(f, "more than 16 nested loops"),
            UnknownMap { index } => write!(f, "there is no map {index}"),
            Unwritten { register } => write!(f, "r{register} is read, but was never written"),
            LostByCall { register } => write!(f, "r{register} is read, but a call has overwritten it"),
            DiffersByPath { register } => {
                write!(f, "r{register} holds different kinds of value on different paths that lead here")
            }
            GivenBack { register } => {
                write!(
                    f,
                    "r{register} points to a ring buffer record that was already submitted or discarded"
                )
            }
            NoResult => write!(f, "r0 is read after a helper that returns nothing"),
            NotAnAddress { register } => write!(f, "r{register} holds a number, not an address"),
            MaybeNull { register, map: Some(m) } => {
                write!(f, "r{register} may be NULL: the lookup in map {m} may not have found the key")
            }
            MaybeNull { register, map: None } => {
                write!(f, "r{register} may be NULL: the ring buffer may have been full")
            }
            OutOfBounds { memory, write, low, high, size, limit } => {
                let does = if *write { "writes" } else { "reads" };
                let (first, last) = (*low, high.saturating_add(*size as i64));
                write!(f, "{does} {size} byte{} at ", if *size == 1 { "" } else { "s" })?;
                if low == high {
                    write!(f, "offset {first} of {memory}")?;
                } else if *high == i64::MAX || *low == i64::MIN {
                    write!(f, "an unbounded offset of {memory}")?;
                } else {
                    write!(f, "an offset between {first} and {high} of {memory}")?;
                }
                if *memory == Memory::Stack {
                    write!(f, ", which spans -{limit} to 0")
                } else {
                    let _ = last;
                    write!(f, ", which has {limit} bytes")
                }
            }
            UnwrittenStack { offset, size } => {
                write!(
                    f,
                    "reads {size} byte{} of stack at r10{offset:+}, which were never written",
                    if *size == 1 { "" } else { "s" }
                )
            }
            ReadOnly { memory } => write!(f, "writes {memory}, which is read-only"),
            Misaligned { size } => {
                write!(f, "an atomic operation at an address that is not a multiple of {size}")
            }
            PointerArithmetic { register } => {
                write!(
                    f,
                    "arithmetic on the address in r{register} other than adding or subtracting a number"
                )
            }
            PointerLeak { into } => write!(f, "an address would become readable as a number in {into}"),
            UnknownHelper { id } => match proto::find(*id) {
                Some(p) => {
                    write!(f, "bpf_{} (helper {id}) is not there for programs of this kind", p.name)?;
                    let there = ProgramKind::ALL.into_iter().filter(|k| k.helpers().contains(id));
                    for (n, kind) in there.enumerate() {
                        let before = if n == 0 { ": those that have it are at" } else { " and" };
                        write!(f, "{before} {}/...", kind.first())?;
                    }
                    Ok(())
                }
                None => write!(f, "there is no helper {id}"),
            },
            UnknownCallTarget { register } => {
                write!(f, "calls through r{register}, which is not one known helper number")
            }
            Argument { helper, argument, wants, has } => {
                write!(f, "bpf_{helper}: argument {argument} (r{argument}) must be {wants}, and is {has}")
            }
            PrintsAddress { helper, value, argument, has } => write!(
                f,
                "bpf_printk would print an address: number {value} after the format (in r{argument} of bpf_{helper}) is {has}"
            ),
            WrongMap { helper, map, is } => {
                let on = proto::HELPERS.iter().find(|p| p.name == *helper).map_or(&[][..], |p| p.maps);
                write!(
                    f,
                    "bpf_{helper} does not work on map {map}, {} {}; it works on ",
                    article(*is),
                    is.words()
                )?;
                for (n, kind) in on.iter().enumerate() {
                    let before = if n == 0 { "" } else { ", " };
                    write!(f, "{before}{}", kind.words())?;
                }
                Ok(())
            }
            NoSuchByte { map, is: MapType::Array, offset } => {
                write!(
                    f,
                    "takes the address of byte {offset} of map {map}, whose first value ends before that"
                )
            }
            NoSuchByte { map, is, .. } => write!(
                f,
                "takes the address of a byte of map {map}, {} {}: only an array's first value lies at a fixed place",
                article(*is),
                is.words()
            ),
            SizeUnbounded { helper, argument } => {
                write!(f, "bpf_{helper}: the size in r{argument} may be larger than the memory before it")
            }
            Leak { reserved_at } => {
                write!(
                    f,
                    "the program may end while the ring buffer record of instruction {reserved_at} is still reserved"
                )
            }
            StillHeld { reserved_at } => write!(
                f,
                "instruction {reserved_at} reserves again while the record that it reserved before may still be held"
            ),
            TooManyHeld => write!(f, "more than 4 ring buffer records are reserved at once"),
            ReturnsPointer => {
                write!(f, "an address outlives its memory: it is returned, or left in the caller's stack")
            }
            TooManyCalls => write!(f, "more than 8 functions nested, or a function that calls itself"),
            StackTooDeep => write!(f, "the functions nested here need more than 4096 bytes of stack"),
            Loop { head, why } => {
                write!(f, "the loop at instruction {head} ")?;
                match why {
                    Unbounded::NoExit => write!(f, "has no exit: it would run for ever"),
                    Unbounded::NoProgress => write!(
                        f,
                        "may run for ever: no register or stack slot moves towards an exit on every pass"
                    ),
                    Unbounded::TooMany { counter, passes: u64::MAX } => write!(
                        f,
                        "may run more often than 64 bits can count: {} counts the passes, and nothing bounds it sooner",
                        Name(*counter)
                    ),
                    Unbounded::TooMany { counter, passes } => write!(
                        f,
                        "may run {passes} times, which is too many: {} counts the passes, and nothing bounds it sooner",
                        Name(*counter)
                    ),
                }
            }
            TooExpensive { count: u64::MAX, limit } => {
                write!(f, "may execute more instructions than 64 bits can count; the limit is {limit}")
            }
            TooExpensive { count, limit } => {
                write!(f, "may execute {count} instructions; the limit is {limit}")
            }
            NotProved { why } => write!(f, "no proof was found that can be checked: {}", Words(*why)),
            TooComplex => write!(f, "the analysis was given up: too many different states"),
        }
    }
}

impl Reason {
    /// What to try.
    pub fn suggestion(&self) -> &'static str {
        use Reason::*;
        match self {
            Empty => "check that the section of the object holds the program",
            TooLong => "split the program",
            UnknownOpcode { .. }
            | ReservedField { .. }
            | BadRegister { .. }
            | CutWideLoad
            | UnknownAtomic { .. } => {
                "compile with clang -target bpf -mcpu=v4; a damaged object looks like this, too"
            }
            UnknownWideLoad { .. } | UnknownCall { .. } => {
                "callbacks, kernel functions and BTF variables of a kernel do not exist here"
            }
            WriteFramePointer => "copy r10 to another register first",
            JumpOutside { .. } | JumpIntoWideLoad { .. } | JumpToOtherFunction { .. } => {
                "assembler labels must stay inside their function; a compiler does not emit this"
            }
            FallsOff => "end every path of every function with exit",
            Irreducible { .. } => "write the loop with for, while or do; no goto into its body",
            LoopsTooDeep => "move inner loops into functions of their own",
            UnknownMap { .. } => "declare the map in SEC(\".maps\") of the same object",
            Unwritten { .. } => "give the variable a value on every path before it is used",
            LostByCall { .. } => "calls overwrite r0 to r5; keep the value in r6 to r9 or on the stack",
            DiffersByPath { .. } => {
                "use one variable per kind of value, or check it on each path before they join"
            }
            GivenBack { .. } => "use the record before bpf_ringbuf_submit or bpf_ringbuf_discard",
            NoResult => "do not use the result of a helper that returns void",
            NotAnAddress { .. } => {
                "follow only addresses from the context, the stack, map lookups and reservations"
            }
            MaybeNull { .. } => "compare it with NULL and leave when it is, before the first access",
            OutOfBounds { memory: Memory::Context, .. } => {
                "read only the members that the context structure has"
            }
            OutOfBounds { .. } => {
                "compare the index with the array's length just before the access, as unsigned, or mask it"
            }
            UnwrittenStack { .. } => {
                "initialise the variable or the whole structure, with padding, before it is used"
            }
            ReadOnly { .. } => "copy it to a variable of your own and change that",
            Misaligned { .. } => "align the variable to its size; do not use packed structures with atomics",
            PointerArithmetic { .. } => "compute an index as a number and add it to the address once",
            PointerLeak { .. } => "store what the address points to, or an offset, instead of the address",
            UnknownHelper { .. } => "see the list of helpers in the documentation, by kind of program",
            UnknownCallTarget { .. } => "call the function or helper directly",
            Argument { wants, .. } => match *wants {
                wants::MAP => "pass the address of a map that is declared in SEC(\".maps\"): &name",
                wants::NUMBER => "pass a number: what the address points to, or an index",
                wants::SIZE => "pass how many bytes are meant: sizeof(variable)",
                wants::FORMAT => "print numbers only; text and more numbers go through a ring buffer",
                wants::RESERVED_SIZE => {
                    "reserve a constant number of bytes, sizeof(struct record), of a ring that has room for it"
                }
                wants::RESERVATION => {
                    "pass what bpf_ringbuf_reserve returned, unchanged and compared with NULL"
                }
                _ => "put it into a variable and pass the variable's address: &key, &value",
            },
            PrintsAddress { .. } => {
                "print what it points to (event->now, *value): who reads the log must not learn where a server's memory lies"
            }
            WrongMap { .. } => "declare the map as one of these kinds, or use the helpers that its kind has",
            NoSuchByte { .. } => "compile the object again: compilers do this for global variables only",
            SizeUnbounded { .. } => "pass a constant size, or compare it with the buffer's size first",
            Leak { .. } => {
                "call bpf_ringbuf_submit or bpf_ringbuf_discard on every path after a successful reserve"
            }
            StillHeld { .. } => {
                "submit or discard the record before the loop or the function reserves the next"
            }
            TooManyHeld => "submit or discard records before you reserve more",
            ReturnsPointer => {
                "return a number (1 accepts, 0 drops); keep addresses of local variables in their function"
            }
            TooManyCalls => "replace recursion by a loop; make small functions inline",
            StackTooDeep => "keep large buffers in an array map",
            Loop { why: Unbounded::TooMany { .. }, .. } => "compare the counter with a smaller constant, too",
            Loop { .. } => "count the passes and leave at a constant maximum: for (int i = 0; i < 64; i++)",
            TooExpensive { .. } => "lower the bounds of the loops, or do part of the work at each event",
            NotProved { .. } => {
                "write loops with a counter that is tested on every pass; or simplify what happens here"
            }
            TooComplex => "split the program, or lower the number of paths through its loops",
        }
    }
}

/// A place in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The instruction slot.
    pub insn: usize,
    /// The instruction in words.
    pub code: String,
    /// File, line, text.
    pub source: Option<(String, u32, String)>,
}

/// A branch on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The conditional jump, or the call.
    pub at: Place,
    /// What happened there.
    pub taken: Way,
    /// Where that leads: the instruction, and the next line of the same file, if no jump comes before it.
    pub to: (usize, Option<u32>),
}

/// What a step did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Way {
    Taken,
    NotTaken,
    Called,
}

/// A refused program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What is wrong.
    pub reason: Reason,
    /// Where.
    pub at: Place,
    /// Where the record was reserved that is not given back.
    pub related: Option<Place>,
    /// The branches from the entry that lead there (the last ones, if there are many).
    pub path: Vec<Step>,
    /// How many earlier branches are left out of `path`.
    pub omitted: usize,
}

impl Refusal {
    /// What to try.
    pub fn suggestion(&self) -> &'static str {
        self.reason.suggestion()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some((file, line, text)) => {
                write!(f, "{file}:{line}")?;
                if !text.is_empty() {
                    write!(f, ": {}", text.trim())?;
                }
                Ok(())
            }
            None => write!(f, "instruction {}: {}", self.insn, self.code),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Reason:     {}", self.reason)?;
        writeln!(f, "At:         {}", self.at)?;
        if self.at.source.is_some() {
            writeln!(f, "            instruction {}: {}", self.at.insn, self.at.code)?;
        }
        if let Some(r) = &self.related {
            writeln!(f, "Reserved:   {r}")?;
        }
        let mut label = "Path:       ";
        if self.omitted > 0 {
            writeln!(f, "{label}({} earlier branches)", self.omitted)?;
            label = "            ";
        }
        for s in &self.path {
            write!(f, "{label}{} ", s.at)?;
            // A jump may be taken where the condition in C does not hold, so beside C stands where it leads.
            match (s.taken, &s.at.source, s.to) {
                (Way::Called, _, _) => writeln!(f, "[called]")?,
                (_, Some(_), (_, Some(line))) => writeln!(f, "[to line {line}]")?,
                (_, Some(_), (insn, None)) => writeln!(f, "[to instruction {insn}]")?,
                (Way::Taken, None, _) => writeln!(f, "[taken]")?,
                (Way::NotTaken, None, _) => writeln!(f, "[not taken]")?,
            }
            label = "            ";
        }
        write!(f, "Suggestion: {}", self.suggestion())
    }
}

impl core::error::Error for Refusal {}
