//! Budgets: the refill queue of a scheduling context (sporadic server, seL4 reference manual, "MCS").
//!
//! A context's budget is a queue of refills, each usable from its time on. Using time takes it from the head and schedules the
//! same amount one period after the head's time, so that no window of a period ever grants more than the budget. A round-robin
//! context (period 0) has two refills that pass one amount to and fro.
//!
//! # Invariant
//! Of a context that is configured: the refills add up to the budget; each begins when the one before it could be used up, or later;
//! the head holds at least the smallest budget. A walk over them is bounded by [`MAX_REFILLS`].
use crate::object::{Refill, SchedContext};
use crate::time::Ticks;
use core::cell::Cell;

/// Refills that a context keeps at most, however many its object has room for: what unblocking, or an overrun, may walk over. Who
/// asks for more gets them joined, never early.
pub const MAX_REFILLS: u32 = 64;

impl SchedContext {
    /// How many refills fit into an object of 2^`bits` bytes.
    pub fn capacity(bits: u32) -> u32 {
        use sel4_sys::object::{CORE_SCHED_CONTEXT_BYTES, REFILL_BYTES};
        ((1u64 << bits).saturating_sub(CORE_SCHED_CONTEXT_BYTES) / REFILL_BYTES) as u32 + 2
    }

    fn refill(&self, index: u32) -> &Cell<Refill> {
        // The refills go on behind the structure, so the address is the object's, whose provenance is exposed, not the field's.
        let address = (&raw const self.refills).addr() + index as usize * size_of::<Cell<Refill>>();
        // SAFETY: the object's memory continues behind the structure for the refills that its size allows
        // (`capacity`), and `refill_max`, below which every index lies, was checked against that by SchedControl.
        unsafe { &*core::ptr::with_exposed_provenance(address) }
    }

    fn index(&self, position: u32) -> u32 {
        let i = self.head.get() + position;
        if i >= self.refill_max.get() { i - self.refill_max.get() } else { i }
    }

    /// The refill that is used now.
    #[inline(always)]
    pub fn head_refill(&self) -> Refill {
        self.refill(self.head.get()).get()
    }

    /// The refill at a position from the head.
    pub(crate) fn refill_at(&self, position: u32) -> Refill {
        self.refill(self.index(position)).get()
    }

    /// Moves the refill at a position in time.
    #[cfg(test)]
    pub(crate) fn move_refill(&self, position: u32, to: impl Fn(Ticks) -> Ticks) {
        let refill = self.refill(self.index(position));
        refill.set(Refill { time: to(refill.get().time), ..refill.get() });
    }

    fn set_head(&self, refill: Refill) {
        self.refill(self.head.get()).set(refill);
    }

    fn tail(&self) -> &Cell<Refill> {
        self.refill(self.index(self.count.get() - 1))
    }

    fn pop(&self) -> Refill {
        let head = self.head_refill();
        self.head.set(self.index(1));
        self.count.set(self.count.get() - 1);
        head
    }

    fn push(&self, refill: Refill) {
        self.refill(self.index(self.count.get())).set(refill);
        self.count.set(self.count.get() + 1);
    }

    /// Whether threads on it take turns instead of having a period.
    #[inline(always)]
    pub fn is_round_robin(&self) -> bool {
        self.period.get() == 0
    }

    /// Whether it was configured with a budget.
    pub fn is_active(&self) -> bool {
        self.refill_max.get() > 0
    }

    /// Whether the head refill may be used at `now`.
    #[inline(always)]
    pub fn is_ready(&self, now: Ticks, slack: Ticks) -> bool {
        self.head_refill().time <= now.saturating_add(slack)
    }

    /// Whether the head holds more than `usage` and a minimum.
    #[inline(always)]
    pub fn is_sufficient(&self, usage: Ticks, min_budget: Ticks) -> bool {
        let amount = self.head_refill().amount;
        amount >= usage && amount - usage >= min_budget
    }

    /// The refills, in order.
    pub fn refills(&self) -> impl Iterator<Item = Refill> + '_ {
        (0..self.count.get()).map(|i| self.refill(self.index(i)).get())
    }

    /// All the budget: the sum of its refills.
    pub fn total(&self) -> Ticks {
        self.refills().map(|refill| refill.amount).sum()
    }

    /// Starts with a full budget, usable from `now` on. `period` 0 is round robin. The budget is at least the smallest, and
    /// below the period.
    pub fn configure(&self, max_refills: u32, budget: Ticks, period: Ticks, now: Ticks) {
        self.period.set(period);
        self.head.set(0);
        self.count.set(1);
        self.refill_max.set(max_refills.min(MAX_REFILLS));
        self.set_head(Refill { time: now, amount: budget });
        if period == 0 {
            self.push(Refill { time: now, amount: 0 });
        }
    }

    /// Gives a running context new parameters without granting more than the new budget in a period.
    pub fn reconfigure(&self, max_refills: u32, budget: Ticks, period: Ticks, now: Ticks, min_budget: Ticks) {
        let head = self.head_refill();
        self.configure(max_refills, budget, period, now);
        if period == 0 {
            return;
        }
        let head = Refill { time: head.time.max(now), amount: head.amount.min(budget) };
        self.set_head(head);
        if head.amount < budget {
            let rest = Refill { time: head.time.saturating_add(period), amount: budget - head.amount };
            self.schedule(rest, min_budget);
        }
    }

    /// Adds `refill` behind the others, joined to the last where they touch, or where there is no room.
    fn schedule(&self, refill: Refill, min_budget: Ticks) {
        let tail = self.tail();
        let last = tail.get();
        if last.time.saturating_add(last.amount) >= refill.time {
            tail.set(Refill { amount: last.amount + refill.amount, ..last });
        } else if self.count.get() == self.refill_max.get() {
            // No room: the last is delayed to where both are contiguous; never early.
            tail.set(Refill { time: refill.time - last.amount, amount: last.amount + refill.amount });
        } else if refill.amount < min_budget && last.amount + refill.amount >= 2 * min_budget {
            // Too small to run on its own: take enough from the last.
            let moved = min_budget - refill.amount;
            tail.set(Refill { amount: last.amount - moved, ..last });
            self.push(Refill { time: refill.time - moved, amount: min_budget });
        } else {
            self.push(refill);
        }
    }

    /// Takes `usage` from the budget. Whether that ends the turn: the head did not hold that much and a minimum. A round-robin
    /// context then has its whole budget again, for its next turn.
    #[must_use = "a thread whose turn has ended does not go on"]
    #[inline(always)]
    pub fn charge(&self, usage: Ticks, min_budget: Ticks) -> bool {
        let ended = !self.is_sufficient(usage, min_budget);
        if ended {
            self.end_turn(usage, min_budget);
        } else {
            self.use_part(usage, min_budget);
        }
        ended
    }

    /// Takes `usage` from the head, which holds more.
    fn use_part(&self, usage: Ticks, min_budget: Ticks) {
        if usage == 0 {
            return;
        }
        let head = self.head_refill();
        let left = head.amount - usage;
        if self.is_round_robin() {
            let tail = self.tail();
            self.set_head(Refill { amount: left, ..head });
            tail.set(Refill { amount: tail.get().amount + usage, ..head });
        } else {
            self.set_head(Refill { time: head.time + usage, amount: left });
            let used = Refill { time: head.time.saturating_add(self.period.get()), amount: usage };
            self.schedule(used, min_budget);
        }
    }

    /// Takes more than the head can give: from the refills behind it, as if they had been used in time.
    #[cold]
    fn end_turn(&self, usage: Ticks, min_budget: Ticks) {
        if self.is_round_robin() {
            let head = self.head_refill();
            self.set_head(Refill { amount: self.total(), ..head });
            self.tail().set(Refill { amount: 0, ..head });
            return;
        }
        // Whole budgets are whole periods.
        let total = self.total();
        let rounds = usage.checked_div(total).unwrap_or(0);
        for i in 0..if rounds > 0 { self.count.get() } else { 0 } {
            let refill = self.refill(self.index(i));
            let Refill { time, amount } = refill.get();
            refill
                .set(Refill { time: time.saturating_add(rounds.saturating_mul(self.period.get())), amount });
        }
        let mut usage = usage - rounds * total;
        while self.head_refill().amount <= usage {
            let head = self.head_refill();
            usage -= head.amount;
            let later = Refill { time: head.time.saturating_add(self.period.get()), ..head };
            if self.count.get() == 1 {
                self.set_head(later);
            } else {
                self.pop();
                self.schedule(later, min_budget);
            }
        }
        self.use_part(usage, min_budget);
        self.join_small_heads(min_budget);
    }

    /// A head too small to enter the kernel with is joined to the next.
    fn join_small_heads(&self, min_budget: Ticks) {
        while self.count.get() > 1 && self.head_refill().amount < min_budget {
            let small = self.pop();
            let next = self.head_refill();
            self.set_head(Refill {
                time: next.time.saturating_sub(small.amount),
                amount: next.amount + small.amount,
            });
        }
    }

    /// The context becomes usable again at `now`: refills that lie in the past start now and are joined where they overlap. One that
    /// may be used a little too early keeps its time.
    pub fn unblock(&self, now: Ticks, slack: Ticks) {
        if self.is_round_robin() || !self.is_ready(now, slack) {
            return;
        }
        let head = self.head_refill();
        let mut head = Refill { time: head.time.max(now), ..head };
        while self.count.get() > 1 {
            let next = self.refill(self.index(1)).get();
            if next.time > head.time.saturating_add(head.amount) {
                break;
            }
            self.pop();
            head.amount += next.amount;
        }
        self.set_head(head);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ptr::Ptr;
    use std::collections::HashSet;
    use std::vec::Vec;

    fn context(bits: u32) -> Ptr<SchedContext> {
        let layout = std::alloc::Layout::from_size_align(1 << bits, 128).unwrap();
        // SAFETY: the layout is not empty; all-zero bytes are a valid context; the allocation is leaked.
        unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) }
    }

    fn refills(sc: Ptr<SchedContext>) -> Vec<Refill> {
        sc.refills().collect()
    }

    /// The module's invariant.
    fn check(sc: Ptr<SchedContext>, budget: Ticks, min: Ticks) {
        let refills = refills(sc);
        assert_eq!(refills.iter().map(|r| r.amount).sum::<Ticks>(), budget, "the sum of {refills:?}");
        assert!(refills[0].amount >= min, "a small head: {refills:?}");
        assert!(refills.len() <= sc.refill_max.get().max(2) as usize);
        if sc.is_round_robin() {
            assert_eq!(refills.len(), 2);
            return;
        }
        for pair in refills.windows(2) {
            assert!(pair[0].time + pair[0].amount <= pair[1].time, "overlap or disorder: {refills:?}");
        }
    }

    #[test]
    fn a_full_budget_comes_back_one_period_later() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 50);
        assert!(sc.charge(100, 10));
        assert_eq!(sc.head_refill(), Refill { time: 1050, amount: 100 });
    }

    #[test]
    fn a_part_that_was_used_comes_back_on_its_own() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        assert!(!sc.charge(40, 10));
        assert_eq!(sc.head_refill(), Refill { time: 40, amount: 60 });
        assert!(sc.charge(60, 10));
        assert_eq!(sc.head_refill(), Refill { time: 1000, amount: 100 });
    }

    #[test]
    fn a_small_part_takes_from_the_last_what_both_can_do_with() {
        let sc = context(8);
        sc.configure(10, 20, 1000, 0);
        assert!(!sc.charge(5, 10));
        assert_eq!(refills(sc), [Refill { time: 5, amount: 10 }, Refill { time: 995, amount: 10 }]);
        sc.configure(10, 19, 1000, 0);
        assert!(!sc.charge(5, 10));
        assert_eq!(refills(sc), [Refill { time: 5, amount: 14 }, Refill { time: 1000, amount: 5 }]);
    }

    #[test]
    fn a_head_too_small_waits_for_the_next_refill() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        assert!(!sc.charge(40, 10));
        // 5 of the 60 are left: they are had with the 40, which they delay nothing, at the end of the period.
        assert!(sc.charge(55, 10));
        assert_eq!(refills(sc), [Refill { time: 995, amount: 100 }]);
    }

    #[test]
    fn a_head_of_the_smallest_budget_is_used_on_its_own() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        assert!(!sc.charge(40, 10));
        sc.unblock(200, 0);
        assert!(!sc.charge(20, 10));
        assert!(sc.charge(70, 10));
        let expected = [(1030, 10), (1200, 60), (2000, 30)].map(|(time, amount)| Refill { time, amount });
        assert_eq!(refills(sc), expected);
    }

    #[test]
    fn an_overrun_of_many_budgets_costs_as_many_periods() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        assert!(!sc.charge(40, 10));
        assert!(sc.charge(1_000_000_060, 10));
        check(sc, 100, 10);
        assert_eq!(sc.head_refill().time, 10_000_000 * 1000 + 1000);
    }

    #[test]
    fn more_refills_than_a_walk_may_have_are_joined() {
        let sc = context(13);
        sc.configure(500, 10_000, 1_000_000, 0);
        let mut now = 0;
        for _ in 0..400 {
            sc.unblock(now, 0);
            assert!(!sc.charge(10, 10));
            now += 1000;
            check(sc, 10_000, 10);
        }
        assert_eq!(sc.count.get(), MAX_REFILLS);
    }

    #[test]
    fn a_round_robin_turn_ends_when_less_than_the_minimum_is_left_and_begins_whole() {
        let sc = context(8);
        sc.configure(2, 100, 0, 0);
        assert!(!sc.charge(90, 10));
        assert_eq!(refills(sc).iter().map(|r| r.amount).collect::<Vec<_>>(), [10, 90]);
        sc.unblock(5000, 0);
        assert_eq!(sc.head_refill().amount, 10);
        assert!(sc.charge(1, 10));
        assert_eq!(refills(sc).iter().map(|r| r.amount).collect::<Vec<_>>(), [100, 0]);
        // An overrun is not carried into the next turn.
        assert!(sc.charge(250, 10));
        assert_eq!(sc.head_refill().amount, 100);
        check(sc, 100, 10);
    }

    #[test]
    fn new_parameters_do_not_bring_time_back() {
        let used = |sc: Ptr<SchedContext>| {
            sc.configure(10, 100, 1000, 0);
            assert!(!sc.charge(70, 10));
        };
        let sc = context(8);
        used(sc);
        sc.reconfigure(10, 100, 1000, 80, 10);
        assert_eq!(refills(sc), [Refill { time: 80, amount: 30 }, Refill { time: 1080, amount: 70 }]);
        used(sc);
        sc.reconfigure(10, 20, 500, 80, 10);
        assert_eq!(refills(sc), [Refill { time: 80, amount: 20 }]);
        used(sc);
        // The rest, too small to run on its own, takes from the head.
        sc.reconfigure(10, 33, 500, 80, 10);
        assert_eq!(refills(sc), [Refill { time: 80, amount: 23 }, Refill { time: 573, amount: 10 }]);
        // Before its time it stays so.
        assert!(sc.charge(33, 10));
        let waits = sc.head_refill().time;
        sc.reconfigure(10, 33, 600, 100, 10);
        assert_eq!(sc.head_refill().time, waits);
        // From and to round robin.
        sc.reconfigure(2, 50, 0, 200, 10);
        check(sc, 50, 10);
        assert!(!sc.charge(30, 10));
        sc.reconfigure(10, 100, 1000, 300, 10);
        assert_eq!(refills(sc), [Refill { time: 300, amount: 20 }, Refill { time: 1300, amount: 80 }]);
    }

    #[test]
    fn a_refill_that_is_used_a_little_early_keeps_its_time() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        assert!(sc.charge(100, 10));
        sc.unblock(995, 4);
        assert_eq!(sc.head_refill().time, 1000);
        sc.unblock(996, 4);
        assert_eq!(sc.head_refill().time, 1000);
        sc.unblock(1003, 4);
        assert_eq!(sc.head_refill().time, 1003);
    }

    // ---- the whole of small worlds ----

    /// A context and what was used of it, as far as it matters: times are relative to now.
    #[derive(Clone, PartialEq, Eq, Hash)]
    struct State {
        refills: Vec<(i64, Ticks)>,
        /// Bit `i`: the tick that ended `i` before now was used.
        used: u32,
        /// The last step was a run that went on to now, and whose turn goes on.
        running: bool,
    }

    /// A context of which every history is tried.
    #[derive(Clone, Copy)]
    struct Small {
        budget: Ticks,
        period: Ticks,
        max: u32,
        slack: Ticks,
    }
    const MIN: Ticks = 2;
    const NOW: Ticks = 1000;

    impl Small {
        fn load(self, sc: Ptr<SchedContext>, state: &State) {
            sc.configure(self.max, self.budget, self.period, NOW);
            sc.count.set(state.refills.len() as u32);
            for (i, (time, amount)) in state.refills.iter().enumerate() {
                let time = NOW.checked_add_signed(*time).unwrap();
                sc.refill(i as u32).set(Refill { time, amount: *amount });
            }
        }
        fn store(sc: Ptr<SchedContext>, now: Ticks, used: u32, running: bool) -> State {
            // How long ago a refill became usable does not matter: unblocking makes it now.
            let relative = |r: Refill| ((r.time as i64 - now as i64).max(-32), r.amount);
            State { refills: refills(sc).into_iter().map(relative).collect(), used, running }
        }

        /// An independent judge, which knows the rule and not the refills: in no window of a period is more used than the budget. A
        /// refill may be used early by the slack, so windows are shorter by that.
        fn judge(self, used: u32) {
            let window = self.period - self.slack;
            for start in 0..=32 - window {
                let in_window = (used >> start) & ((1u32 << window) - 1);
                assert!(u64::from(in_window.count_ones()) <= self.budget, "{used:b}");
            }
        }

        fn explore(self, overruns: bool) -> usize {
            let sc = context(8);
            sc.configure(self.max, self.budget, self.period, NOW);
            let start = Small::store(sc, NOW, 0, false);
            let mut seen = HashSet::from([start.clone()]);
            let mut todo = std::vec![start];
            let most = if overruns { 2 * self.budget + 3 } else { 0 };
            while let Some(from) = todo.pop() {
                let mut reach = |to: State| {
                    if seen.insert(to.clone()) {
                        todo.push(to);
                    }
                };
                // Time passes.
                self.load(sc, &from);
                reach(Small::store(sc, NOW + 1, from.used << 1, false));
                // The thread runs, after it was chosen, or on and on.
                for (chosen, usage) in
                    [true, false].into_iter().flat_map(|c| (1..=self.budget.max(most)).map(move |u| (c, u)))
                {
                    self.load(sc, &from);
                    if !(sc.is_ready(NOW, self.slack) && sc.is_sufficient(0, MIN))
                        || !(chosen || from.running)
                    {
                        continue;
                    }
                    if chosen {
                        sc.unblock(NOW, self.slack);
                        check(sc, self.budget, MIN);
                    }
                    if usage > sc.head_refill().amount && !overruns {
                        continue;
                    }
                    let ended = sc.charge(usage, MIN);
                    check(sc, self.budget, MIN);
                    let used = if overruns { 0 } else { from.used << usage | ((1 << usage) - 1) };
                    if !overruns {
                        self.judge(used);
                        // Nothing is lost either: all of the budget is there a period from now.
                        assert!(
                            refills(sc).iter().all(|r| r.time <= NOW + usage + self.period),
                            "{:?}",
                            refills(sc)
                        );
                    }
                    reach(Small::store(sc, NOW + usage, used & ((1 << (self.period - 1)) - 1), !ended));
                }
            }
            seen.len()
        }
    }

    /// Every history, without end, of contexts with budgets of 2 to 5 ticks in periods of up to 9, and 2 to 4 refills: the smallest
    /// budget is 2 ticks.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn no_window_of_a_period_grants_more_than_the_budget() {
        let mut states = 0;
        for budget in 2..=5 {
            for period in budget + 1..=9 {
                for max in 2..=4 {
                    for slack in 0..=1 {
                        states += Small { budget, period, max, slack }.explore(false);
                    }
                }
            }
        }
        std::println!("{states} states");
        assert!(states > 10_000);
    }

    /// The same with runs that go on too long, by up to two budgets: the refills stay well formed, whatever the debt.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn an_overrun_leaves_the_refills_well_formed() {
        let mut states = 0;
        for (budget, period, max) in [(2, 3, 2), (3, 5, 2), (4, 6, 3), (5, 9, 4), (4, 9, 2)] {
            states += Small { budget, period, max, slack: 0 }.explore(true);
        }
        std::println!("{states} states");
        assert!(states > 1000);
    }

    /// Histories in which the parameters change at any time, to periodic and to round robin: what could be used before the change
    /// is what can be used after it at most, unless the context was round robin.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn parameters_may_change_at_any_time() {
        const KINDS: [Small; 4] = [
            Small { budget: 5, period: 9, max: 3, slack: 0 },
            Small { budget: 2, period: 3, max: 2, slack: 0 },
            Small { budget: 4, period: 8, max: 2, slack: 0 },
            Small { budget: 4, period: 0, max: 2, slack: 0 },
        ];
        let sc = context(8);
        KINDS[0].load(sc, &State { refills: std::vec![(0, 5)], used: 0, running: false });
        let start = (0, Small::store(sc, NOW, 0, false));
        let mut seen = HashSet::from([start.clone()]);
        let mut todo = std::vec![start];
        while let Some((kind, from)) = todo.pop() {
            let small = KINDS[kind];
            let mut reach = |to: (usize, State)| {
                if seen.insert(to.clone()) {
                    todo.push(to);
                }
            };
            small.load(sc, &from);
            reach((kind, Small::store(sc, NOW + 1, 0, false)));
            for usage in 1..=5 {
                small.load(sc, &from);
                if sc.is_ready(NOW, 0) && sc.is_sufficient(0, MIN) {
                    sc.unblock(NOW, 0);
                    let _ = sc.charge(usage.min(sc.head_refill().amount), MIN);
                    check(sc, small.budget, MIN);
                    reach((kind, Small::store(sc, NOW + usage, 0, false)));
                }
            }
            for (to, new) in KINDS.iter().enumerate() {
                small.load(sc, &from);
                let before = sc.head_refill();
                sc.reconfigure(new.max, new.budget, new.period, NOW, MIN);
                check(sc, new.budget, MIN);
                let now: Ticks = refills(sc).iter().filter(|r| r.time <= NOW).map(|r| r.amount).sum();
                if new.period > 0 {
                    assert!(now <= before.amount && sc.head_refill().time >= before.time.max(NOW));
                }
                reach((to, Small::store(sc, NOW, 0, false)));
            }
        }
        std::println!("{} states", seen.len());
        assert!(seen.len() > 500);
    }
}
