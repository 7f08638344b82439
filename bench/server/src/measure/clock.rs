//! Clocks: ticks of the counter, and cycles; what reading them costs.
use axiom_runtime::time;

/// Iterations of the calibration loop.
const LOOP: u64 = 10_000;

/// What the cycle counter counts here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cycles {
    /// Instructions, exactly: an emulator that counts them.
    Instructions,
    /// Something else.
    Cycles,
}

fn counted_loop() -> u64 {
    let start = time::cycles();
    axiom_runtime::arch::count_down(LOOP);
    time::cycles().wrapping_sub(start)
}

/// Finds out what the cycle counter counts: a loop of known length must show its number of instructions, twice in a row the same. An
/// interrupt may fall into a loop, so there are several attempts.
pub fn kind() -> Cycles {
    let exact = |count: u64| (2 * LOOP..2 * LOOP + 32).contains(&count);
    let counts: [u64; 16] = core::array::from_fn(|_| counted_loop());
    if counts.windows(2).any(|w| w[0] == w[1] && exact(w[0])) { Cycles::Instructions } else { Cycles::Cycles }
}

/// What two readings of the cycle counter in a row differ by: the least of many.
pub fn cycle_overhead() -> u64 {
    (0..64)
        .map(|_| {
            let start = time::cycles();
            time::cycles().wrapping_sub(start)
        })
        .min()
        .unwrap_or(0)
}

/// The same for the tick counter.
pub fn tick_overhead() -> u64 {
    (0..64)
        .map(|_| {
            let start = time::ticks();
            time::ticks().wrapping_sub(start)
        })
        .min()
        .unwrap_or(0)
}
