//! The serial console, shared by the servers: whole lines, and input.

use crate::largest::message;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x10;
/// Longest text of one message.
pub const MAX_TEXT: usize = 900;
/// Most bytes that one answer to [`Request::Read`] brings.
pub const MAX_TYPED: usize = 64;

message! {
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
        /// Output for people or tools, as it is.
        Plain,
    }
}

/// A line as it is printed: what is not a printable ASCII character or a tab is `?`. Control characters, those from 0x80 to 0x9f among
/// them, would let a client draw over other clients' lines, or take the terminal over.
pub fn printable(line: &str) -> impl Iterator<Item = char> + '_ {
    line.chars().map(|c| if c == '\t' || (' '..='~').contains(&c) { c } else { '?' })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn no_character_passes_that_moves_a_cursor() {
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let mut utf8 = [0; 4];
            let said: String = printable(c.encode_utf8(&mut utf8)).collect();
            let visible = c == '\t' || c.is_ascii_graphic() || c == ' ';
            assert_eq!(said, if visible { String::from(c) } else { "?".into() }, "{c:?}");
        }
    }
}

message! {
    /// A request to the console.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request<'a> {
        /// Prints a line (the console adds the name of the server and the line end).
        Line {
            /// Its importance.
            level: Level,
            /// The line.
            text: &'a str = MAX_TEXT,
        },
        /// Waits until everything was sent out of the machine.
        Flush,
        /// Reads what was typed.
        Read,
    }
}

message! {
    /// An answer of the console.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply<'a> {
        /// Done.
        Done,
        /// What was typed since the last read.
        Typed(&'a [u8] = MAX_TYPED),
    }
}
