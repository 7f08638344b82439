//! Why a program was not accepted.

use core::fmt;

/// Where, and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The instruction slot.
    pub at: usize,
    /// The rule.
    pub why: Why,
}

/// Rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// The proof ends early, or holds something that is not of its format.
    Format,
    /// The proof is of another version.
    Version,
    /// Not a well-formed instruction, or a jump or call to where it may not go.
    Shape,
    /// Nothing is stated where a jump leads.
    NothingStated,
    /// What is stated of a register or stack slot does not follow.
    NotImplied {
        /// r0 to r9, then 16 + 256 * frame + slot; from [`crate::edge::GAPS`], differences.
        place: u32,
    },
    /// What is stated of a frame's bytes does not follow.
    Frame,
    /// Different ring buffer records are held than is stated.
    Held,
    /// A ghost counter may exceed its bound.
    Ghost {
        /// Which, by its place in the proof.
        ghost: u16,
    },
    /// The stated budget of instructions does not suffice.
    Budget,
    /// Control runs off the end of a function.
    FallsOff,
    /// The worst case exceeds the limit.
    TooExpensive {
        /// Instructions.
        count: u64,
    },
    /// The nested frames exceed the limit.
    StackTooDeep,
    /// The check itself exceeds the limit.
    TooComplex,
    /// A register that holds nothing is used.
    Unusable {
        /// Which.
        register: u8,
    },
    /// A register holds a number, not an address.
    NotAnAddress {
        /// Which.
        register: u8,
    },
    /// A register holds an address, not a number.
    NotANumber {
        /// Which.
        register: u8,
    },
    /// The address may be 0.
    MaybeNull {
        /// In which register.
        register: u8,
    },
    /// An access outside its memory.
    OutOfBounds,
    /// A write to memory that is read-only.
    ReadOnly,
    /// An atomic operation that is not aligned.
    Misaligned,
    /// Stack that holds an address, or a part of one, is read as a number.
    TornAddress,
    /// An address would be stored where it can be read as a number.
    Leak,
    /// There is no such map, or it is of the wrong kind.
    WrongMap,
    /// There is no such helper for this program, or its number is not known.
    UnknownHelper,
    /// An argument is not what the helper wants.
    Argument {
        /// In which register.
        register: u8,
    },
    /// A ring buffer record is still held where it may not be.
    StillHeld,
    /// An address outlives its memory, or is the program's result.
    Outlives,
    /// The context that the proof names for a call does not fit.
    WrongContext,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Why::*;
        match self {
            Format => write!(f, "the proof is cut off or damaged here"),
            Version => write!(f, "the proof is of another version"),
            Shape => write!(f, "not a well-formed instruction, or it leads where it may not"),
            NothingStated => write!(f, "the proof states nothing about the place to which this leads"),
            NotImplied { place } if *place < 16 => {
                write!(f, "what the proof states of r{place} at the next place does not follow")
            }
            NotImplied { place } if *place >= crate::edge::GAPS => {
                write!(f, "what the proof states of the difference of two registers does not follow")
            }
            NotImplied { place } => {
                let offset = (place - 16) % 256 / 2 * 4;
                write!(f, "what the proof states of the stack at r10-{} does not follow", 512 - offset)
            }
            Frame => write!(f, "the proof calls stack written, or free of addresses, that is not"),
            Held => write!(f, "the proof states that other ring buffer records are held"),
            Ghost { ghost } => write!(f, "loop {ghost} of the proof may run more often than it states"),
            Budget => write!(f, "more instructions may be executed than the proof states"),
            FallsOff => write!(f, "execution would run off the end of the function"),
            TooExpensive { count } => write!(f, "the program may execute {count} instructions"),
            StackTooDeep => write!(f, "the nested functions need too much stack"),
            TooComplex => write!(f, "the check was given up: too much to look at"),
            Unusable { register } => write!(f, "r{register} holds nothing that may be used"),
            NotAnAddress { register } => write!(f, "r{register} holds no address"),
            NotANumber { register } => write!(f, "r{register} holds no number"),
            MaybeNull { register } => write!(f, "r{register} may be NULL"),
            OutOfBounds => write!(f, "the access may lie outside its memory"),
            ReadOnly => write!(f, "the memory is read-only"),
            Misaligned => write!(f, "an atomic operation that may not be aligned"),
            TornAddress => write!(f, "a part of an address would become readable"),
            Leak => write!(f, "an address would be stored where it can be read as a number"),
            WrongMap => write!(f, "there is no such map, or it is of the wrong kind"),
            UnknownHelper => write!(f, "there is no such helper for this program"),
            Argument { register } => write!(f, "r{register} is not what the helper wants"),
            StillHeld => write!(f, "a ring buffer record is still held, or too many are"),
            Outlives => write!(f, "an address would outlive its memory"),
            WrongContext => write!(f, "the proof names a context for this call that does not fit"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {}: {}", self.at, self.why)
    }
}

impl core::error::Error for Fault {}
