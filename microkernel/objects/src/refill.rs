//! Budgets: the refill queue of a scheduling context (sporadic server, seL4 reference manual, "MCS").
//!
//! A context's budget is a queue of refills, each usable from its time on. Using time takes it from the head and schedules the
//! same amount one period after the head's time, so that no window of a period ever grants more than the budget. A round-robin
//! context (period 0) has two refills that pass one amount to and fro.
use crate::object::{Refill, SchedContext};
use crate::time::Ticks;
use core::cell::Cell;

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

    /// All the budget: the sum of its refills.
    pub fn total(&self) -> Ticks {
        (0..self.count.get()).map(|i| self.refill(self.index(i)).get().amount).sum()
    }

    /// Starts with a full budget, usable from `now` on. `period` 0 is round robin.
    pub fn configure(&self, max_refills: u32, budget: Ticks, period: Ticks, now: Ticks) {
        self.period.set(period);
        self.head.set(0);
        self.count.set(1);
        self.refill_max.set(max_refills);
        self.set_head(Refill { time: now, amount: budget });
        if period == 0 {
            self.push(Refill { time: now, amount: 0 });
        }
    }

    /// Gives a running context new parameters without granting more than the new budget in a period.
    pub fn reconfigure(&self, max_refills: u32, budget: Ticks, period: Ticks, now: Ticks, slack: Ticks) {
        if period == 0 || self.count.get() == 0 {
            return self.configure(max_refills, budget, period, now);
        }
        let mut head = self.head_refill();
        self.period.set(period);
        self.head.set(0);
        self.count.set(1);
        self.refill_max.set(max_refills);
        if head.time <= now.saturating_add(slack) {
            head.time = now;
        }
        if head.amount >= budget {
            self.set_head(Refill { time: head.time, amount: budget });
        } else {
            self.set_head(head);
            let rest = Refill { time: head.time + period, amount: budget - head.amount };
            self.schedule(rest, 0);
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

    /// Takes `usage` from the budget.
    pub fn charge(&self, usage: Ticks, min_budget: Ticks) {
        if self.is_round_robin() {
            return self.charge_round_robin(usage);
        }
        let mut usage = usage;
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
            if head.amount == 0 {
                break;
            }
        }
        if usage > 0 && self.head_refill().amount > usage {
            let head = self.head_refill();
            self.set_head(Refill { time: head.time + usage, amount: head.amount - usage });
            let used = Refill { time: head.time.saturating_add(self.period.get()), amount: usage };
            self.schedule(used, min_budget);
        }
        self.join_small_heads(min_budget);
    }

    fn charge_round_robin(&self, usage: Ticks) {
        let head = self.head_refill();
        let tail = self.tail().get();
        let used = usage.min(head.amount);
        self.set_head(Refill { amount: head.amount - used, ..head });
        self.tail().set(Refill { amount: tail.amount + used, ..tail });
    }

    /// The end of a round-robin turn: the whole budget is there again.
    pub fn restart_round_robin(&self) {
        let total = self.total();
        let head = self.head_refill();
        self.set_head(Refill { amount: total, ..head });
        self.tail().set(Refill { amount: 0, ..head });
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

    /// The context becomes usable again at `now`: refills that lie in the past start now and are joined where they overlap.
    pub fn unblock(&self, now: Ticks, slack: Ticks) {
        if self.is_round_robin() || !self.is_ready(now, slack) {
            return;
        }
        let head = self.head_refill();
        self.set_head(Refill { time: now, ..head });
        while self.count.get() > 1 {
            let next = self.refill(self.index(1)).get();
            let head = self.head_refill();
            if next.time > now.saturating_add(head.amount) {
                break;
            }
            self.pop();
            self.set_head(Refill { time: now, amount: head.amount + next.amount });
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::ptr::Ptr;
    use proptest::prelude::*;

    fn context(bits: u32) -> Ptr<SchedContext> {
        let layout = std::alloc::Layout::from_size_align(1 << bits, 128).unwrap();
        // SAFETY: the layout is not empty; all-zero bytes are a valid context; the allocation is leaked.
        unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) }
    }

    #[test]
    fn a_full_budget_comes_back_one_period_later() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 50);
        sc.charge(100, 10);
        assert_eq!(sc.head_refill(), Refill { time: 1050, amount: 100 });
    }

    #[test]
    fn a_part_that_was_used_comes_back_on_its_own() {
        let sc = context(8);
        sc.configure(10, 100, 1000, 0);
        sc.charge(40, 10);
        assert_eq!(sc.head_refill(), Refill { time: 40, amount: 60 });
        sc.charge(60, 10);
        assert_eq!(sc.head_refill(), Refill { time: 1000, amount: 100 });
    }

    proptest! {
        /// The sum of refills is the budget, whatever is used and whenever it blocks; refills are in order.
        #[test]
        fn budget_is_conserved(max in 2u32..10, steps in prop::collection::vec((1u64..200, 0u64..3000), 1..60)) {
            let sc = context(8);
            let (budget, period, min) = (100u64, 1000u64, 10u64);
            sc.configure(max, budget, period, 0);
            let mut now = 0u64;
            for (usage, pause) in steps {
                now += pause;
                now = now.max(sc.head_refill().time);
                sc.unblock(now, 0);
                let usage = usage.min(sc.head_refill().amount);
                sc.charge(usage, min);
                now += usage;
                prop_assert_eq!(sc.total(), budget);
                prop_assert!(sc.count.get() <= max);
                let times: std::vec::Vec<_> = (0..sc.count.get()).map(|i| sc.refill(sc.index(i)).get()).collect();
                for pair in times.windows(2) {
                    prop_assert!(pair[0].time + pair[0].amount <= pair[1].time, "{:?}", times);
                }
            }
        }
    }
}
