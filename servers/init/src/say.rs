//! What init says: lines on the kernel's console, and the verdict that ends a run.
use crate::sys;
use axiom_proto::console::printable;
use axiom_proto::supervisor::MAX_TEXT;
use core::fmt::{self, Write};
use sel4_sys::Error;

/// The kernel's console: init's lines must come out whatever happens to the console server.
pub struct Debug;
impl Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                sys::write(b"\r\n");
            }
            sys::write(line.as_bytes());
        }
        Ok(())
    }
}

/// Prints a line of init's.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => {{
        // The console takes every byte; there is nothing to report a failure to.
        // Its first character says that the line before may not have ended: init speaks above everybody, also in the middle of a line.
        let _ = core::fmt::Write::write_fmt(&mut $crate::say::Debug, format_args!("\rinit: {}\n", format_args!($($arg)*)));
    }};
}

/// Why something of init's failed, in words.
pub struct Reason(pub Error);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            Error::NotEnoughMemory => {
                "no memory or no slot is left: the manifest asks for more than this machine has"
            }
            Error::FailedLookup => "an address or a capability is not there, or was given away already",
            Error::RangeError => "a number is beyond its bound",
            Error::RevokeFirst => "it is in use",
            Error::DeleteFirst => "something is there already",
            _ => "the kernel refuses it",
        };
        write!(f, "{words} ({:?})", self.0)
    }
}

/// What makes a verdict this run's: whoever started the machine chose it, and only init knows it (`axiom.verdict=...` among the boot
/// arguments). Every server can print to the serial port; none can print this.
struct Token(core::cell::Cell<&'static str>);
// SAFETY: init has one thread.
unsafe impl Sync for Token {}
static TOKEN: Token = Token(core::cell::Cell::new(""));

/// Which it is, if whoever started the machine chose one: from the boot arguments.
pub fn choose_token(arguments: &'static str) {
    TOKEN.0.set(token_of(arguments));
}

fn token_of(arguments: &'static str) -> &'static str {
    let mut words = arguments.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix("axiom.verdict=")).unwrap_or("")
}

/// A verdict in words. It takes nothing from the heap, which may be full.
struct Verdict<'a> {
    failure: &'a str,
    token: &'a str,
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.failure.is_empty() {
            f.write_str("ok")?;
        } else {
            f.write_str("FAILED: ")?;
            // Somebody else's words: one line of what can be printed, and no more than whoever keeps to the interface can say.
            printable(self.failure).take(MAX_TEXT).try_for_each(|c| f.write_char(c))?;
        }
        if self.token.is_empty() { Ok(()) } else { write!(f, " ({})", self.token) }
    }
}

/// Ends the run with its verdict: empty is well.
pub fn finish(failure: &str) -> ! {
    // As for `say`. A new line first: whoever wrote last may not have ended its own.
    let _ =
        Debug.write_fmt(format_args!("\naxiom: run ended: {}\n", Verdict { failure, token: TOKEN.0.get() }));
    sys::power_off();
    loop {
        core::hint::spin_loop();
    }
}
