//! Error codes of invocations (libsel4 `seL4_Error`), returned as the label of the reply.

/// Why an invocation was refused. The order of the kernel's checks is the manual's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Error {
    /// Not an error.
    NoError = 0,
    /// An argument has a value that is never valid here. MR0: the argument's number.
    InvalidArgument = 1,
    /// A capability argument is of the wrong kind or state. MR0: the argument's number.
    InvalidCapability = 2,
    /// The invoked capability does not know this operation.
    IllegalOperation = 3,
    /// A number is out of range. MR0: smallest, MR1: largest allowed.
    RangeError = 4,
    /// Something is not aligned as it must be.
    AlignmentError = 5,
    /// A capability lookup failed. MR0: 1 if it was a source; MR1..: the lookup failure.
    FailedLookup = 6,
    /// The invocation has too few arguments.
    TruncatedMessage = 7,
    /// Something that must not exist yet does: an occupied slot, a mapping.
    DeleteFirst = 8,
    /// The capability has children and may have none.
    RevokeFirst = 9,
    /// The untyped has too little room. MR0: bytes that are left.
    NotEnoughMemory = 10,
}

impl Error {
    /// The error of a reply's label; `None` for a label that is no error code.
    pub const fn from_label(label: u64) -> Option<Error> {
        Some(match label {
            0 => Error::NoError,
            1 => Error::InvalidArgument,
            2 => Error::InvalidCapability,
            3 => Error::IllegalOperation,
            4 => Error::RangeError,
            5 => Error::AlignmentError,
            6 => Error::FailedLookup,
            7 => Error::TruncatedMessage,
            8 => Error::DeleteFirst,
            9 => Error::RevokeFirst,
            10 => Error::NotEnoughMemory,
            _ => return None,
        })
    }
}

/// Why a capability lookup failed (libsel4 `seL4_LookupFailureType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum LookupFailureType {
    /// The root is not a CNode.
    InvalidRoot = 1,
    /// The slot is empty. One word: bits left.
    MissingCapability = 2,
    /// The lookup ended at another depth. Two words: bits left, bits found.
    DepthMismatch = 3,
    /// A guard differs. Three words: bits left, the guard, its size.
    GuardMismatch = 4,
}
