//! What the checker's refusals are in words.

use axiom_bpf_checker::Why;
use axiom_bpf_checker::edge::GAPS;
use core::fmt;

/// Prints a reason as a part of a sentence.
pub struct Words(pub Why);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Why::*;
        match self.0 {
            Format => write!(f, "the proof is cut off or damaged here"),
            Version => write!(f, "the proof is of another version"),
            Shape => write!(f, "not a well-formed instruction, or it leads where it may not"),
            NothingStated => write!(f, "the proof states nothing about the place to which this leads"),
            NotImplied { place } if place < 16 => {
                write!(f, "what the proof states of r{place} at the next place does not follow")
            }
            NotImplied { place } if place >= GAPS => {
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
            TooExpensive { count: u64::MAX } => {
                write!(f, "the program may execute more instructions than 64 bits can count")
            }
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
