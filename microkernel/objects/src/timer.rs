//! Timers: user-armed deadlines, kept in a leftist heap whose links are in the objects.
//!
//! The heap's root is the earliest deadline. Insertion, removal and taking the root cost O(log n) steps in the worst case,
//! and recursion is bounded by the right spine's length, log2(n + 1); so the work of a timer interrupt is
//! bounded by the timers that expire in it.
use crate::object::{Link, Slot};
use crate::ptr::Ptr;
use crate::time::Ticks;
use core::cell::Cell;

/// A Timer object: 128 bytes.
#[repr(C)]
pub struct Timer {
    slot: Slot,
    /// The next deadline.
    pub deadline: Cell<Ticks>,
    /// Period, or 0 for one shot.
    pub period: Cell<Ticks>,
    /// Expirations since the last read.
    pub expirations: Cell<u64>,
    /// Deadlines that were missed whole since the last read.
    pub overruns: Cell<u64>,
    /// The last deadline that expired.
    pub last_deadline: Cell<Ticks>,
    /// The counter at the entry of the interrupt that noticed.
    pub last_seen: Cell<Ticks>,
    /// In the heap.
    pub armed: Cell<bool>,
    rank: Cell<u32>,
    left: Link<Timer>,
    right: Link<Timer>,
    parent: Link<Timer>,
}

impl Timer {
    /// The slot with the notification to signal.
    pub fn slot(&self) -> Ptr<Slot> {
        // SAFETY: the slot is part of the timer that `self` refers to, which lives as long as any reference to it.
        unsafe { Ptr::new((&raw const self.slot).expose_provenance()) }
    }
}

const _: () = assert!(size_of::<Timer>() <= 1 << sel4_sys::ext::TIMER_BITS);

/// All armed timers of a core.
#[derive(Default)]
pub struct TimerHeap {
    root: Link<Timer>,
}

fn rank(timer: Option<Ptr<Timer>>) -> u32 {
    timer.map_or(0, |t| t.rank.get())
}

/// Joins two heaps.
fn merge(a: Option<Ptr<Timer>>, b: Option<Ptr<Timer>>) -> Option<Ptr<Timer>> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b) };
    let (first, second) = if b.deadline.get() < a.deadline.get() { (b, a) } else { (a, b) };
    let right = merge(first.right.get(), Some(second));
    first.right.set(right);
    if let Some(right) = right {
        right.parent.set(Some(first));
    }
    settle(first);
    Some(first)
}

/// Restores the leftist order of one node's children and its rank; whether the rank changed.
fn settle(node: Ptr<Timer>) -> bool {
    let (left, right) = (node.left.get(), node.right.get());
    if rank(left) < rank(right) {
        node.left.set(right);
        node.right.set(left);
    }
    let new = rank(node.right.get()) + 1;
    node.rank.replace(new) != new
}

impl TimerHeap {
    /// No timers.
    pub const fn new() -> TimerHeap {
        TimerHeap { root: Cell::new(None) }
    }

    /// The earliest armed timer.
    #[inline(always)]
    pub fn first(&self) -> Option<Ptr<Timer>> {
        self.root.get()
    }

    /// Arms a timer that is not armed, with its `deadline` set.
    pub fn insert(&self, timer: Ptr<Timer>) {
        timer.left.set(None);
        timer.right.set(None);
        timer.parent.set(None);
        timer.rank.set(1);
        timer.armed.set(true);
        let root = merge(self.root.get(), Some(timer));
        self.set_root(root);
    }

    /// Disarms a timer; nothing if it is not armed.
    pub fn remove(&self, timer: Ptr<Timer>) {
        if !timer.armed.replace(false) {
            return;
        }
        let joined = merge(timer.left.get(), timer.right.get());
        match timer.parent.get() {
            None => self.set_root(joined),
            Some(parent) => {
                if parent.left.get() == Some(timer) {
                    parent.left.set(joined);
                } else {
                    parent.right.set(joined);
                }
                if let Some(joined) = joined {
                    joined.parent.set(Some(parent));
                }
                // Ranks upwards change along at most log2(n + 1) nodes.
                let mut at = Some(parent);
                while let Some(node) = at.filter(|n| settle(*n)) {
                    at = node.parent.get();
                }
            }
        }
    }

    fn set_root(&self, root: Option<Ptr<Timer>>) {
        if let Some(root) = root {
            root.parent.set(None);
        }
        self.root.set(root);
    }

    /// Takes one timer whose deadline is not after `now`, counts its expiry, and arms it again if it is periodic.
    pub fn expire_one(&self, now: Ticks) -> Option<Ptr<Timer>> {
        let timer = self.root.get().filter(|t| t.deadline.get() <= now)?;
        self.remove(timer);
        let deadline = timer.deadline.get();
        timer.last_deadline.set(deadline);
        timer.last_seen.set(now);
        timer.expirations.set(timer.expirations.get().saturating_add(1));
        let period = timer.period.get();
        if let Some(missed) = (now - deadline).checked_div(period) {
            timer.overruns.set(timer.overruns.get().saturating_add(missed));
            timer.deadline.set(deadline.saturating_add(period.saturating_mul(missed + 1)));
            self.insert(timer);
        }
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn timer(deadline: Ticks, period: Ticks) -> Ptr<Timer> {
        let layout = std::alloc::Layout::new::<Timer>();
        // SAFETY: the layout is not empty; all-zero bytes are a valid timer; the allocation is leaked.
        let t: Ptr<Timer> = unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) };
        t.deadline.set(deadline);
        t.period.set(period);
        t
    }

    #[test]
    fn a_periodic_timer_does_not_drift_and_counts_what_it_missed() {
        let heap = TimerHeap::new();
        let t = timer(100, 10);
        heap.insert(t);
        assert!(heap.expire_one(99).is_none());
        assert_eq!(heap.expire_one(134), Some(t));
        assert_eq!((t.overruns.get(), t.deadline.get(), t.expirations.get()), (3, 140, 1));
        assert!(heap.expire_one(134).is_none());
    }

    proptest! {
        #[test]
        fn deadlines_come_out_in_order(deadlines in prop::collection::vec(0u64..1000, 1..100), drop in prop::collection::vec(0usize..100, 0..40)) {
            let heap = TimerHeap::new();
            let timers: Vec<_> = deadlines.iter().map(|d| timer(*d, 0)).collect();
            for t in &timers { heap.insert(*t); }
            for i in &drop { heap.remove(timers[i % timers.len()]); }
            let mut expected: Vec<_> = timers.iter().filter(|t| t.armed.get()).map(|t| t.deadline.get()).collect();
            expected.sort_unstable();
            let mut out = Vec::new();
            while let Some(t) = heap.expire_one(1000) { out.push(t.last_deadline.get()); }
            prop_assert_eq!(out, expected);
        }
    }
}
