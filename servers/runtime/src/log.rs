//! The log: whole lines, sent to the console server. A server without a channel to it prints through the kernel, if the manifest leaves the
//! debugging calls to servers. A panic is told to init, which is always there.

use crate::ipc::{Buffer, call};
use axiom_proto::console::{INTERFACE, MAX_TEXT, Reply, Request};
use axiom_proto::env::Env;
use axiom_proto::supervisor;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use sel4_sys::{CPtr, stubs};

pub use axiom_proto::console::Level;

static CONSOLE: AtomicU64 = AtomicU64::new(0);
static INIT: AtomicU64 = AtomicU64::new(0);
static ENV: AtomicPtr<Env<'static>> = AtomicPtr::new(core::ptr::null_mut());

pub(crate) fn init(env: &'static Env<'static>) {
    ENV.store((&raw const *env).cast_mut(), Ordering::Relaxed);
    for channel in env.channels {
        if channel.serves.iter().any(|interface| interface == INTERFACE) {
            CONSOLE.store(channel.slot, Ordering::Relaxed);
        }
        if channel.serves.iter().any(|interface| interface == supervisor::INTERFACE) {
            INIT.store(channel.slot, Ordering::Relaxed);
        }
    }
}

fn env() -> Option<&'static Env<'static>> {
    // SAFETY: set once to a value that stays, or null.
    unsafe { ENV.load(Ordering::Relaxed).as_ref() }
}

/// Text of limited length; what does not fit is cut.
struct Line {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl Line {
    const fn new() -> Line {
        Line { bytes: [0; MAX_TEXT], len: 0 }
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut n = s.len().min(MAX_TEXT - self.len);
        while !s.is_char_boundary(n) {
            n -= 1;
        }
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        if n == s.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Prints a line. Use the macros.
#[inline(never)]
pub fn print(level: Level, args: fmt::Arguments<'_>) {
    let mut line = Line::new();
    let _ = line.write_fmt(args);
    let text = core::str::from_utf8(&line.bytes[..line.len]).unwrap_or("");
    let console = CONSOLE.load(Ordering::Relaxed);
    if console != 0 {
        let mut reply = Buffer::new();
        let request = Request::Line { level, text };
        if call::<_, Reply>(crate::Endpoint(CPtr(console)), INTERFACE, &request, &mut reply).is_ok() {
            return;
        }
    }
    // Whoever has no console is not heard, unless the manifest leaves the debug calls to the servers.
    let Some(env) = env().filter(|e| e.debug_calls) else { return };
    debug(env.name);
    debug(": ");
    debug(text);
    debug("\n");
}

/// Prints on the kernel's debug output. Only where the debug calls are there.
fn debug(text: &str) {
    for byte in text.bytes() {
        if byte == b'\n' {
            stubs::debug_put_char(b'\r');
        }
        stubs::debug_put_char(byte);
    }
}

/// Reports a panic to init and faults, so that init deals with this server by its policy.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    report(info.location(), format_args!("{}", info.message()));
    die()
}

/// Tells init of a panic, once: where, and with which words.
pub fn report(place: Option<&core::panic::Location<'_>>, message: fmt::Arguments<'_>) {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let init = INIT.load(Ordering::Relaxed);
    // A panic while the first one is reported has nothing to add.
    if init != 0 && !PANICKED.swap(true, Ordering::Relaxed) {
        let mut line = Line::new();
        // In one line, of which is cut what does not fit.
        let _ = match place {
            Some(place) => write!(line, "panicked at {place}: {message}"),
            None => write!(line, "panicked: {message}"),
        };
        let mut length = line.len.min(supervisor::MAX_TEXT);
        while length > 0 && core::str::from_utf8(&line.bytes[..length]).is_err() {
            length -= 1;
        }
        let text = core::str::from_utf8(&line.bytes[..length]).unwrap_or("");
        // The fault that follows says it again, without the text.
        let _ = call::<_, supervisor::Reply<'_>>(
            crate::Endpoint(CPtr(init)),
            supervisor::INTERFACE,
            &supervisor::Request::Panicked { text },
            &mut Buffer::new(),
        );
    }
}

/// Faults, on purpose: init gets the message, with this address.
pub(crate) fn die() -> ! {
    loop {
        crate::arch::undefined();
    }
}

/// Prints a line for the user.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::log::print($crate::log::Level::Info, format_args!($($arg)*)) };
}
/// Prints a warning.
#[macro_export]
macro_rules! warn {
    ($($arg:tt)*) => { $crate::log::print($crate::log::Level::Warn, format_args!($($arg)*)) };
}
/// Prints an error.
#[macro_export]
macro_rules! error {
    ($($arg:tt)*) => { $crate::log::print($crate::log::Level::Error, format_args!($($arg)*)) };
}
/// Prints a line for people or tools, without a word on its importance.
#[macro_export]
macro_rules! plain {
    ($($arg:tt)*) => { $crate::log::print($crate::log::Level::Plain, format_args!($($arg)*)) };
}
