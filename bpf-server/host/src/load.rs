//! Whether there is time for a program: admission by worst case.
//!
//! A server that runs programs has a budget in each period. Half of it is its own; the other half is for programs. What they may
//! need is known before they run: each one's worst case ([`crate::Host`] gets it with the program), and how often each attach
//! point's events come at most ([`Stream`]). Two rules are asked whenever a program is attached or replaced, and whenever a rate
//! changes:
//!
//! 1. **Budget.** In one period, the programs of all events that can come take at most half of the budget: so the server never
//!    waits for its refill because of them. One client's programs take at most half of that.
//! 2. **Waiting.** Events are served one after the other, each program to its end. An event that just missed its turn waits for
//!    one round of all programs, and is served in the next: two rounds fit into half of the shortest time in which events of
//!    one kind follow each other. Without this a program that runs once a second could make a fast timer miss its deadlines.
//!
//! What the server's own half pays is not asked for here: its device's work, and the messages of its clients and of whoever places
//! programs. Nothing bounds their number but the budgets of those who send.
//!
//! What is refused has changed nothing. What is detached, replaced or stopped is given back at once, because nothing is kept but
//! the programs themselves: sums are made when they are asked for.

use axiom_proto::bpf_host::{Limit, Overload};

/// A server's time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Nanoseconds in each period.
    pub time: u64,
    /// The period, nanoseconds.
    pub period: u64,
}

/// How often the events of an attach point come at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Not at all.
    Silent,
    /// One at a time, so many nanoseconds apart; each must have been served when the next one comes.
    Periodic(u64),
    /// Kept by the device, and told of in batches.
    Batches {
        /// Nanoseconds between two.
        spacing: u64,
        /// So many are told of at a time.
        batch: u32,
        /// So many may be there at most.
        backlog: u32,
    },
    /// At most so many in a window of so many nanoseconds, of all points of a group together; the server sees to it that there are no
    /// more. Nobody waits for them at a known time.
    Shared {
        /// Which group: 0 or 1.
        group: u8,
        /// Points that one event concerns at most: 1 or 2.
        points: u8,
        /// Events in a window.
        most: u32,
        /// The window.
        window: u64,
    },
}

impl Stream {
    /// Events that are served in so many nanoseconds at most. Events of a known rate may be served up to half of their distance
    /// late (rule 2); those of a window may lie at the end of one and at the beginning of the next.
    fn events(self, time: u64) -> u64 {
        let apart = |spacing: u64| (time + spacing / 2) / spacing.max(1);
        match self {
            Stream::Silent => 0,
            Stream::Periodic(spacing) => 1 + apart(spacing),
            Stream::Batches { spacing, backlog, .. } => u64::from(backlog) + apart(spacing),
            Stream::Shared { most, window, .. } => u64::from(most) * (1 + time.div_ceil(window.max(1))),
        }
    }

    /// When events of this kind follow each other, nanoseconds, if they have to be served by then.
    fn deadline(self) -> Option<u64> {
        match self {
            Stream::Periodic(spacing) => Some(spacing),
            Stream::Batches { spacing, batch, .. } => Some(spacing.saturating_mul(batch.into())),
            Stream::Silent | Stream::Shared { .. } => None,
        }
    }

    /// Events in one round.
    fn in_a_round(self) -> u64 {
        match self {
            Stream::Silent => 0,
            Stream::Periodic(_) => 1,
            Stream::Batches { backlog, .. } => backlog.into(),
            Stream::Shared { most, .. } => most.into(),
        }
    }

    /// Events in a thousand seconds.
    pub fn millihertz(self) -> u64 {
        const SECONDS: u128 = 1_000_000_000_000;
        let rate = match self {
            Stream::Silent => 0,
            Stream::Periodic(spacing) | Stream::Batches { spacing, .. } => {
                SECONDS / u128::from(spacing.max(1))
            }
            Stream::Shared { most, window, .. } => u128::from(most) * SECONDS / u128::from(window.max(1)),
        };
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

/// The two costliest points of a group.
#[derive(Clone, Copy, Default)]
struct Group {
    events: u64,
    round: u64,
    points: u8,
    costs: [u64; 2],
}

impl Group {
    fn cost(&self) -> u64 {
        self.costs[0].saturating_add(if self.points > 1 { self.costs[1] } else { 0 })
    }
}

/// What points with programs need.
#[derive(Clone, Copy)]
pub(crate) struct Sum {
    period: u64,
    alone: u64,
    round: u64,
    shortest: u64,
    groups: [Group; 2],
}

impl Sum {
    pub(crate) fn new(budget: &Budget) -> Sum {
        Sum { period: budget.period, alone: 0, round: 0, shortest: u64::MAX, groups: [Group::default(); 2] }
    }

    /// A point whose programs take so many nanoseconds at one event, all together.
    pub(crate) fn add(&mut self, stream: Stream, cost: u64) {
        let events = stream.events(self.period);
        self.shortest = self.shortest.min(stream.deadline().unwrap_or(u64::MAX));
        if let Stream::Shared { group, points, .. } = stream {
            let g = &mut self.groups[usize::from(group & 1)];
            // Points that share a bound and disagree: the most that one of them says.
            (g.events, g.round) = (g.events.max(events), g.round.max(stream.in_a_round()));
            g.points = g.points.max(points);
            let [first, second] = g.costs;
            g.costs = if cost > first { [cost, first] } else { [first, second.max(cost)] };
            return;
        }
        self.alone = self.alone.saturating_add(events.saturating_mul(cost));
        self.round = self.round.saturating_add(stream.in_a_round().saturating_mul(cost));
    }

    /// Nanoseconds in a period.
    pub(crate) fn time(&self) -> u64 {
        let groups = self.groups.iter().map(|g| g.events.saturating_mul(g.cost()));
        groups.fold(self.alone, u64::saturating_add)
    }

    /// Nanoseconds of a round.
    fn round(&self) -> u64 {
        let groups = self.groups.iter().map(|g| g.round.saturating_mul(g.cost()));
        groups.fold(self.round, u64::saturating_add)
    }

    /// A group's time in a period, and the cost of one of its events.
    pub(crate) fn group(&self, group: u8) -> (u64, u64) {
        let g = &self.groups[usize::from(group & 1)];
        (g.events.saturating_mul(g.cost()), g.cost())
    }
}

/// The part of a budget that programs may have.
pub(crate) fn for_programs(budget: &Budget) -> u64 {
    budget.time / 2
}

/// The part of that which one client's programs may have.
fn for_a_client(budget: &Budget) -> u64 {
    for_programs(budget) / 2
}

/// Everything as it is, and as it would be; and, if somebody's share counts, the same of that client's programs alone.
pub(crate) struct Change {
    pub(crate) before: Sum,
    pub(crate) after: Sum,
    pub(crate) share: Option<(Sum, Sum)>,
    pub(crate) stream: Stream,
}

/// Whether all that there will be fits under every rule, one client's part included: then nothing has to be told apart.
pub(crate) fn fits(all: &Sum, budget: &Budget) -> bool {
    all.time() <= for_a_client(budget) && all.round() <= all.shortest / 4
}

impl Change {
    /// Refuses what there is no time for. What needs no more than before is never refused.
    pub(crate) fn admit(&self, budget: &Budget) -> Result<(), Overload> {
        let millihertz = self.stream.millihertz();
        let thousandths = |time: u64| {
            let budget = u128::from(budget.time.max(1));
            (u128::from(time) * 1000 / budget, (u128::from(time) * 1000).div_ceil(budget))
        };
        let word = |n: u128| u32::try_from(n).unwrap_or(u32::MAX);
        let over = |limit, before: u64, after: u64, most: u64| {
            (after > most && after > before).then(|| Overload {
                limit,
                millihertz,
                needs: word(thousandths(after - before).1),
                left: word(thousandths(most.saturating_sub(before)).0),
            })
        };
        let (before, after) = (self.before.time(), self.after.time());
        if let Some(refused) = over(Limit::Budget, before, after, for_programs(budget)) {
            return Err(refused);
        }
        let share = self.share.as_ref().map(|(before, after)| (before.time(), after.time()));
        if let Some((before, after)) = share
            && let Some(refused) = over(Limit::Share, before, after, for_a_client(budget))
        {
            return Err(refused);
        }
        // Either of them may be what makes it too much: longer programs, or a shorter time to wait for them.
        let (before, after) = (self.before.round(), self.after.round());
        let most = self.after.shortest / 4;
        let worse = after > before || self.after.shortest < self.before.shortest;
        if after > most && worse {
            let needs = if after > before { after - before } else { after };
            let left = most.saturating_sub(after - needs);
            return Err(Overload {
                limit: Limit::Waiting,
                millihertz,
                needs: u32::try_from(needs.div_ceil(1000)).unwrap_or(u32::MAX),
                left: u32::try_from(left / 1000).unwrap_or(u32::MAX),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
