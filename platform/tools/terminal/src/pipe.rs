//! What happens when nobody reads any more.

/// The status of a tool whose output nobody reads any more: what a shell reports of other tools that the signal of a closed pipe ended.
/// It is not 0, because what was asked for after the last line that could be printed has not been done.
pub const CLOSED: i32 = 141;

/// From now on, printing into a pipe that its reader has closed ends the program with [`CLOSED`] and without a word. Rust's programs
/// ignore the signal, and `println!` makes a panic of the error; any other failure to print (a full disk) stays one.
pub fn end_with_the_pipe() {
    let other = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(is_closed_pipe) {
            std::process::exit(CLOSED);
        }
        other(panic);
    }));
}

/// Whether a panic's text is that of `println!` at a closed pipe.
fn is_closed_pipe(text: &str) -> bool {
    let printing = text.starts_with("failed printing to std");
    printing && text.contains(&std::io::Error::from_raw_os_error(BROKEN_PIPE).to_string())
}

/// EPIPE, on every system that has it.
const BROKEN_PIPE: i32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_ends_quietly() {
        assert!(is_closed_pipe("failed printing to stdout: Broken pipe (os error 32)"));
        assert!(!is_closed_pipe("failed printing to stdout: No space left on device (os error 28)"));
        assert!(!is_closed_pipe("a sentence with Broken pipe (os error 32)"));
    }
}
