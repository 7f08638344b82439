//! Why a program was not accepted. `axiom-bpf-verifier` has the words for it.

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
