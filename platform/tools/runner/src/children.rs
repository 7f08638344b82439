//! Child processes that never outlive this one, signals, and the terminal's settings.
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

static SIGNAL: AtomicI32 = AtomicI32::new(0);

extern "C" fn note(signal: libc::c_int) {
    SIGNAL.store(signal, Ordering::Relaxed);
}

/// From now on, signals that ask to end are noted instead of obeyed.
pub fn catch_signals() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic, which is async-signal-safe.
        unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// The signal that came, if any.
pub fn signal() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|s| *s != 0)
}

/// A child that is stopped when this value goes away, and by the kernel should this process be killed.
pub struct Tied(Child);

impl Tied {
    /// Starts it.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let parent = std::process::id();
        // SAFETY: between fork and exec only prctl, getppid and _exit are called, which are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                if libc::getppid() as u32 != parent {
                    libc::_exit(1);
                }
                Ok(())
            });
        }
        Ok(Self(command.spawn()?))
    }

    /// The child.
    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    /// The status that it ended with, if it has, by itself.
    pub fn status(&mut self) -> Option<i32> {
        self.0.try_wait().ok().flatten()?.code()
    }

    /// Waits for its end, at most that long.
    pub fn wait(&mut self, most: Duration) -> bool {
        let end = Instant::now() + most;
        while self.runs() {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        if self.runs() {
            // SAFETY: the child was not waited for yet, so its number is its own.
            unsafe { libc::kill(self.0.id() as libc::pid_t, libc::SIGTERM) };
            // QEMU under -icount may not listen.
            if !self.wait(Duration::from_millis(1500)) {
                // Errors mean that it is gone, which is what is wanted.
                let _ = self.0.kill();
                let _ = self.0.wait();
            }
        }
    }
}

/// The terminal's settings, put back when this value goes away: QEMU changes them and may be killed.
pub struct Terminal(Option<libc::termios>);

impl Terminal {
    /// Remembers them, if there is a terminal.
    pub fn remember() -> Self {
        // SAFETY: termios is plain data; tcgetattr fills it and fails if standard input is no terminal.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let is_terminal = unsafe { libc::tcgetattr(0, &mut settings) } == 0;
        Self(is_terminal.then_some(settings))
    }

    /// Whether somebody can type.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // SAFETY: settings came from tcgetattr on this terminal.
            unsafe { libc::tcsetattr(0, libc::TCSANOW, settings) };
        }
    }
}
