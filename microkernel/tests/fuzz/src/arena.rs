//! Memory that all workers and the supervisor see: the workers' states and stacks, the counts, and what the workers believe the
//! shared CNodes hold.
//!
//! A worker that a call has thrown off its path can write anything here. The supervisor therefore decides nothing by it but
//! which worker stands still; its own state lies in pages that workers can only read.
use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Workers of a world that the supervisor starts.
pub const WORKERS: usize = 10;
/// States for the threads that workers start themselves.
pub const STUNTS: usize = 6;
/// All of them.
pub const STATES: usize = WORKERS + STUNTS;
/// Rows of the table of results: labels, then the extensions' labels, then one for labels that do not exist.
pub const ROWS: usize = 96;
/// Columns: error codes, then one for anything else.
pub const COLUMNS: usize = 12;
/// Slots of a shared CNode, as a power of two.
pub const RADIX: u64 = 7;
/// Slots of a shared CNode.
pub const SLOTS: usize = 1 << RADIX;

const STATE_BYTES: usize = 8192;

/// What a worker keeps between two calls, and its stack.
#[repr(C, align(8192))]
pub struct State {
    /// The random number generator.
    pub rng: AtomicU64,
    /// Calls so far.
    pub calls: AtomicU64,
    /// What the worker is for; `worker::Role` as a number.
    pub role: AtomicU64,
    stack: core::cell::UnsafeCell<[u8; STATE_BYTES - 24]>,
}
// SAFETY: the stack is only used by the thread that runs on it.
unsafe impl Sync for State {}

/// Everything shared.
#[repr(C, align(8192))]
pub struct Arena {
    /// The workers' states.
    pub states: [State; STATES],
    /// Answers: label by error code.
    pub results: [[AtomicU32; COLUMNS]; ROWS],
    /// System calls by number, negated.
    pub numbers: [AtomicU32; 40],
    /// The kinds of capabilities in the two shared CNodes, as far as the workers know.
    pub shadow: [[AtomicU8; SLOTS]; 2],
    /// Features that this run leaves out.
    pub without: AtomicU64,
}

/// A page that only the predator's address space can write: any thread can be thrown into the predator's code, and what it
/// finds in a page that others share means nothing.
#[repr(C, align(4096))]
pub struct Finding {
    /// What the predator found in memory that the kernel gave it as new: where in the page, with [`FOUND`] added; the page's
    /// address; the word.
    pub found: [AtomicU64; 3],
}

/// Tells a finding from none.
pub const FOUND: u64 = 0x1357_0000_0000_0000;

/// The one finding, which ends the run.
pub static FINDING: Finding = Finding { found: [const { AtomicU64::new(0) }; 3] };

/// The one arena.
pub static ARENA: Arena = Arena {
    states: [const {
        State {
            rng: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            role: AtomicU64::new(0),
            stack: core::cell::UnsafeCell::new([0; STATE_BYTES - 24]),
        }
    }; STATES],
    results: [const { [const { AtomicU32::new(0) }; COLUMNS] }; ROWS],
    numbers: [const { AtomicU32::new(0) }; 40],
    shadow: [const { [const { AtomicU8::new(0) }; SLOTS] }; 2],
    without: AtomicU64::new(0),
};

impl State {
    /// The state's number.
    pub fn index(&self) -> usize {
        (core::ptr::from_ref(self) as usize - ARENA.states.as_ptr() as usize) / size_of::<State>()
    }

    /// Where the stack begins.
    pub fn stack_top(&self) -> u64 {
        core::ptr::from_ref(self) as u64 + STATE_BYTES as u64
    }
}

/// What the supervisor makes of the workers' counts, in pages that workers can only read.
struct Tally {
    /// Each count at the last look.
    seen: [AtomicU64; STATES],
    total: AtomicU64,
}

static TALLY: Tally = Tally { seen: [const { AtomicU64::new(0) }; STATES], total: AtomicU64::new(0) };

/// Calls of all workers, for the supervisor, who looks after each world. A count that somebody wrote over is not believed: it counts nothing
/// from its last look to this one.
pub fn calls() -> u64 {
    /// More than a worker makes in a world.
    const MOST: u64 = 1 << 20;
    for (state, seen) in ARENA.states.iter().zip(&TALLY.seen) {
        let now = state.calls.load(Relaxed);
        let new = now.wrapping_sub(seen.swap(now, Relaxed));
        if new < MOST {
            TALLY.total.fetch_add(new, Relaxed);
        }
    }
    counted()
}

/// The same as it was at the last look.
pub fn counted() -> u64 {
    TALLY.total.load(Relaxed)
}

/// First and last address of the arena's pages.
pub fn range() -> (u64, u64) {
    let start = core::ptr::from_ref(&ARENA) as u64;
    (start, start + size_of::<Arena>() as u64)
}

/// The row of a label.
pub fn row(label: u64) -> usize {
    match label {
        0..=63 => label as usize,
        1024..=1042 => (label - 1024) as usize + 64,
        _ => ROWS - 1,
    }
}

/// The label of a row, for the report.
pub fn label_of(row: usize) -> Option<u64> {
    match row {
        0..=63 => Some(row as u64),
        64..=82 => Some(row as u64 - 64 + 1024),
        _ => None,
    }
}
