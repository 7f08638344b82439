//! What a run says at its end.
use crate::arena::{self, ARENA, COLUMNS};
use crate::options::Options;
use crate::supervisor::Supervisor;
use crate::watchdog;
use axiom_root_test::say;
use core::sync::atomic::Ordering::Relaxed;

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
    say!("fuzz: the supervisor: {} calls, {} refused, {} workers started again", s.refused.1, s.refused.0, s.kicks);
    say!(
        "fuzz: watchdog at most {} us late; worlds taken back within {} us",
        watchdog::latest_us(),
        watchdog::longest_us()
    );
    say!(
        "fuzz: END ok seed {} calls {} worlds {} in {us} us of the machine's time",
        Options::get().seed,
        arena::calls(),
        s.worlds
    );
}
