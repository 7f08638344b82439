//! The console as people read it.
//!
//! [`Lines`] turns the bytes of a serial port into whole lines without carriage returns. init speaks above everybody, so its line may
//! come in the middle of another's: it begins with a carriage return, and the two are put apart again here. [`Show`] says what a
//! terminal shows of a line: nothing of what the benchmark prints for tools, which stays in the log; long lines broken at words; colours
//! where they are wanted, and only there. What a log holds is the whole lines, nothing left out.
//!
//! Every tool of ours that prints calls [`end_with_the_pipe`] first: whoever reads `| head` has read enough.
mod lines;
mod pipe;
mod show;

pub use lines::Lines;
pub use pipe::{CLOSED, end_with_the_pipe};
pub use show::{COLUMNS, Show, below};

use std::io::IsTerminal;

/// Whether colours are wanted: on a terminal that can show them, unless NO_COLOR (no-color.org) says otherwise.
pub fn colours_wanted() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    std::io::stdout().is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_some_and(|t| t != "dumb")
}
