//! What a run says at its end.
use crate::arena::{self, ARENA, COLUMNS};
use crate::options::Options;
use crate::supervisor::Supervisor;
use crate::watchdog;
use axiom_root_test::say;
use core::sync::atomic::Ordering::Relaxed;
use sel4_sys::ext::stretch;

/// What a stretch was for.
struct Cause(usize);

impl core::fmt::Display for Cause {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            stretch::INTERRUPT => write!(f, "an interrupt"),
            stretch::FAULT => write!(f, "a fault"),
            stretch::MESSAGE => write!(f, "a call with another label"),
            stretch::OTHER_CALL => write!(f, "another system call"),
            index => match (1..64).chain(1024..1043).find(|label| stretch::of_label(*label) == index) {
                Some(label) => write!(f, "label {label}"),
                None => write!(f, "nothing known"),
            },
        }
    }
}

/// Prints it: machine-readable lines, each beginning with `fuzz:`.
pub fn print(s: &Supervisor<'_>, us: u64) {
    let mut seen = 0;
    for (row, counts) in ARENA.results.iter().enumerate() {
        let counts: [u32; COLUMNS] = core::array::from_fn(|i| counts[i].load(Relaxed));
        if counts.iter().all(|c| *c == 0) {
            continue;
        }
        seen += counts.iter().filter(|c| **c != 0).count();
        match arena::label_of(row) {
            Some(label) => say!("fuzz: label {label} {counts:?}"),
            None => say!("fuzz: label other {counts:?}"),
        }
    }
    for (number, count) in ARENA.numbers.iter().enumerate() {
        let count = count.load(Relaxed);
        if count > 0 {
            say!("fuzz: syscall -{number} {count}");
        }
    }
    say!("fuzz: {seen} pairs of label and error code");
    say!(
        "fuzz: the supervisor: {} calls, {} refused, {} workers started again",
        s.refused.1,
        s.refused.0,
        s.kicks
    );
    say!(
        "fuzz: watchdog at most {} us late; worlds taken back within {} us",
        watchdog::latest_us(),
        watchdog::longest_us()
    );
    match s.stretches() {
        None => say!("fuzz: interrupts off: not measured by this kernel"),
        Some(stretches) => {
            let named = &stretches[1..=stretch::FAULT];
            let (mut longest, mut cause) = (0, 0);
            for (i, instructions) in named.iter().enumerate().filter(|(_, n)| **n > 0) {
                say!("fuzz: interrupts off for {instructions} instructions at most in {}", Cause(i + 1));
                if *instructions > longest {
                    (longest, cause) = (*instructions, i + 1);
                }
            }
            say!("fuzz: longest stretch with interrupts off: {longest} instructions, in {}", Cause(cause));
        }
    }
    say!(
        "fuzz: END ok seed {} calls {} worlds {} in {us} us of the machine's time",
        Options::get().seed,
        arena::calls(),
        s.worlds
    );
}
