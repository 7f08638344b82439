//! Storms of edges. A line that chatters, or a program that answers each edge with another one, must not use up the server's time,
//! because a limit switch waits for the same server. If all lines together have more edges in a window than the server has time
//! for, the lines that made most of them are not watched for a while.

use crate::Line;
use axiom_proto::gpio::{CHIPS, LINES};

/// Edges in the present window, by line.
pub struct Storm {
    window: u64,
    most: u32,
    ends: u64,
    total: u32,
    counts: [[u32; LINES as usize]; CHIPS],
}

/// A line is loud with this share of the edges that are too many.
const LOUD: u32 = 8;

impl Storm {
    /// So many edges in a window of so many nanoseconds are too many.
    pub const fn new(window: u64, most: u32) -> Storm {
        Storm { window, most, ends: 0, total: 0, counts: [[0; LINES as usize]; CHIPS] }
    }

    /// From now on so many edges in a window are too many.
    pub const fn set_most(&mut self, most: u32) {
        self.most = most;
    }

    /// An edge at a time; true if it is one too many: then [`Storm::loud`] says whose they are.
    #[inline]
    pub fn edge(&mut self, line: Line, now: u64) -> bool {
        if now >= self.ends {
            self.begin(now);
        }
        let count = self.counts.get_mut(line.chip as usize).and_then(|c| c.get_mut(line.line as usize));
        if let Some(count) = count {
            *count += 1;
            self.total += 1;
        }
        self.total > self.most
    }

    fn begin(&mut self, now: u64) {
        self.ends = now + self.window;
        if self.total > 0 {
            self.total = 0;
            self.counts = [[0; LINES as usize]; CHIPS];
        }
    }

    /// The lines that made the storm; the count begins anew.
    pub fn loud(&mut self, now: u64) -> impl Iterator<Item = Line> + use<> {
        let counts = self.counts;
        let loudest = counts.iter().flatten().copied().max().unwrap_or(0);
        let share = self.most / LOUD;
        // Where so many lines take part that none has its share, the loudest ones: as many as leave half of the time to the others. One
        // edge is no chatter.
        let rest = |least: u32| counts.iter().flatten().filter(|c| **c <= least).sum::<u32>();
        let quieter = || (1..loudest).rev().find(|least| rest(*least) <= self.most / 2);
        let least = if loudest > share { share } else { quieter().unwrap_or(1) };
        self.begin(now);
        let lines = (0..CHIPS as u8).flat_map(|chip| (0..LINES).map(move |line| Line { chip, line }));
        lines.filter(move |l| counts[l.chip as usize][l.line as usize] > least)
    }
}
