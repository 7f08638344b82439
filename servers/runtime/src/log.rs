//! The log: whole lines to the console server; the kernel's debug output where there is none.

use crate::ipc::{Buffer, call};
use axiom_proto::console::{INTERFACE, MAX_TEXT, Reply, Request};
use axiom_proto::env::Env;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use sel4_sys::{CPtr, stubs};

pub use axiom_proto::console::Level;

static CONSOLE: AtomicU64 = AtomicU64::new(0);
static ENV: AtomicPtr<Env> = AtomicPtr::new(core::ptr::null_mut());

pub(crate) fn init(env: &'static Env) {
    ENV.store((&raw const *env).cast_mut(), Ordering::Relaxed);
    if let Some(console) = env.channels.iter().find(|c| c.name == "console") {
        CONSOLE.store(console.slot, Ordering::Relaxed);
    }
}

fn name() -> &'static str {
    let env = ENV.load(Ordering::Relaxed);
    // SAFETY: set once to a leaked value, or null.
    unsafe { env.as_ref() }.map_or("?", |e| e.name.as_str())
}

/// Text of limited length; what does not fit is cut.
struct Line {
    bytes: [u8; MAX_TEXT],
    len: usize,
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
    let mut line = Line { bytes: [0; MAX_TEXT], len: 0 };
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
    debug(name());
    debug(": ");
    debug(text);
    debug("\n");
}

/// Prints on the kernel's debug output, which works without any server.
pub fn debug(text: &str) {
    for byte in text.bytes() {
        if byte == b'\n' {
            stubs::debug_put_char(b'\r');
        }
        stubs::debug_put_char(byte);
    }
}

struct Debug;

impl Write for Debug {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        debug(s);
        Ok(())
    }
}

/// Reports a panic and faults, so that init deals with this server by its policy.
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Debug, "{}: {info}", name());
    loop {
        // SAFETY: faults, on purpose: init gets the message, with this address.
        unsafe { core::arch::asm!("brk #0xdead") };
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
