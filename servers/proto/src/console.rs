//! The serial console, shared by the servers: whole lines, and input.

use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x10;
/// Longest text of one message.
pub const MAX_TEXT: usize = 900;

/// How important a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Level {
    /// The system cannot do something that it was asked for.
    Error,
    /// Something is wrong and was dealt with.
    Warn,
    /// What a user wants to see.
    Info,
    /// Details.
    Debug,
    /// Output as it is, without a server's name in front.
    Plain,
}

/// A request to the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Prints a line (the console adds the name of the server and the line end).
    Line {
        /// Its importance.
        level: Level,
        /// The line.
        text: &'a str,
    },
    /// Waits until everything was sent out of the machine.
    Flush,
    /// Reads what was typed.
    Read,
}

/// An answer of the console.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Done.
    Done,
    /// What was typed since the last read.
    Typed(&'a [u8]),
}
