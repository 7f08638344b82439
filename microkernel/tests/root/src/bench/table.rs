//! Samples to lines of the report.
use axiom_bench_metrics::{Metric, Summary, Unit};
use axiom_root_test::world::cycles;
use axiom_root_test::{arch, say};

/// Samples of a metric, after [`WARM_UP`] that are not kept.
pub const SAMPLES: usize = 64;
/// Iterations before the first sample.
pub const WARM_UP: usize = 8;

/// Prints metrics as they come.
pub struct Table {
    overhead: u64,
    /// Metrics that were printed.
    pub printed: u32,
    /// Metrics that could not be measured.
    pub missing: u32,
}

impl Table {
    /// Finds out what reading the counter costs.
    pub fn new() -> Table {
        let overhead = (0..64)
            .map(|_| {
                let start = cycles();
                cycles().wrapping_sub(start)
            })
            .min()
            .unwrap_or(0);
        Table { overhead, printed: 0, missing: 0 }
    }

    /// A metric from its samples, of which each stands for `operations`.
    pub fn add(&mut self, name: &str, samples: &[u64], operations: u64) {
        let mut net = [0.0; SAMPLES];
        let count = samples.len().min(SAMPLES);
        for (to, from) in net.iter_mut().zip(samples) {
            *to = from.saturating_sub(self.overhead) as f64 / operations as f64;
        }
        match Summary::of(&mut net[..count]) {
            Some(summary) => {
                self.printed += 1;
                say!(
                    "{}",
                    Metric {
                        name,
                        unit: Unit::Instructions,
                        summary,
                        overhead: self.overhead as f64,
                        samples: &net[..count]
                    }
                )
            }
            None => self.miss(name, "no samples"),
        }
    }

    /// A metric that could not be measured.
    pub fn miss(&mut self, name: &str, why: &str) {
        self.missing += 1;
        say!("kernel-bench: {name}: not measured: {why}");
    }

    /// Measures `operation`, which says how many instructions passed.
    pub fn sample(&mut self, name: &str, mut operation: impl FnMut() -> u64) {
        let mut samples = [0; SAMPLES];
        for _ in 0..WARM_UP {
            operation();
        }
        for sample in &mut samples {
            *sample = operation();
        }
        self.add(name, &samples, 1);
    }
}

/// Instructions of `operation`, the reading included.
pub fn timed(operation: impl FnOnce()) -> u64 {
    let start = cycles();
    operation();
    cycles().wrapping_sub(start)
}

/// Whether a loop of known length counts as its number of instructions, several times the same.
pub fn counts_instructions() -> bool {
    const LOOP: u64 = 1000;
    let counts: [u64; 8] = core::array::from_fn(|_| {
        timed(|| {
            arch::count_down(LOOP);
        })
    });
    counts.windows(2).any(|w| w[0] == w[1] && (2 * LOOP..2 * LOOP + 16).contains(&w[0]))
}
