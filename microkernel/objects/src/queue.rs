//! Doubly linked queues of threads: ready and release queues by one pair of links, endpoints and notifications by the other.
use crate::object::{Ends, Link, Tcb};
use crate::ptr::Ptr;

/// Which pair of links a queue uses.
pub trait Links {
    /// The link towards the head.
    fn prev(tcb: &Tcb) -> &Link<Tcb>;
    /// The link towards the tail.
    fn next(tcb: &Tcb) -> &Link<Tcb>;
}

/// Links of ready and release queues.
pub struct Sched;
/// Links of endpoint and notification queues.
pub struct Ep;

impl Links for Sched {
    fn prev(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.sched_prev
    }
    fn next(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.sched_next
    }
}
impl Links for Ep {
    fn prev(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.ep_prev
    }
    fn next(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.ep_next
    }
}

impl Ends {
    /// The queue with `tcb` put before `at`, or at the end.
    pub fn insert_before<L: Links>(self, tcb: Ptr<Tcb>, at: Option<Ptr<Tcb>>) -> Ends {
        let prev = match at {
            Some(at) => L::prev(&at).get(),
            None => self.tail,
        };
        L::prev(&tcb).set(prev);
        L::next(&tcb).set(at);
        let mut ends = self;
        match prev {
            Some(prev) => L::next(&prev).set(Some(tcb)),
            None => ends.head = Some(tcb),
        }
        match at {
            Some(at) => L::prev(&at).set(Some(tcb)),
            None => ends.tail = Some(tcb),
        }
        ends
    }

    /// The queue with `tcb` behind the last thread of its priority or above.
    pub fn insert_by_priority<L: Links>(self, tcb: Ptr<Tcb>) -> Ends {
        let priority = tcb.priority.get();
        let mut before = self.tail;
        let mut at = None;
        while let Some(candidate) = before.filter(|c| c.priority.get() < priority) {
            at = Some(candidate);
            before = L::prev(&candidate).get();
        }
        self.insert_before::<L>(tcb, at)
    }

    /// The queue without `tcb`.
    pub fn remove<L: Links>(self, tcb: Ptr<Tcb>) -> Ends {
        let (prev, next) = (L::prev(&tcb).get(), L::next(&tcb).get());
        let mut ends = self;
        match prev {
            Some(prev) => L::next(&prev).set(next),
            None => ends.head = next,
        }
        match next {
            Some(next) => L::prev(&next).set(prev),
            None => ends.tail = prev,
        }
        L::prev(&tcb).set(None);
        L::next(&tcb).set(None);
        ends
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn tcb(priority: u8) -> Ptr<Tcb> {
        let layout = std::alloc::Layout::new::<Tcb>();
        // SAFETY: the layout is not empty; all-zero bytes are a valid TCB; the allocation is leaked.
        let tcb: Ptr<Tcb> = unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) };
        tcb.priority.set(priority);
        tcb
    }
    fn members(q: Ends) -> Vec<Ptr<Tcb>> {
        std::iter::successors(q.head, |t| t.ep_next.get()).collect()
    }

    proptest! {
        #[test]
        fn priority_order_is_stable(priorities in prop::collection::vec(0u8..5, 1..20), out in 0usize..20) {
            let threads: Vec<_> = priorities.iter().map(|p| tcb(*p)).collect();
            let mut q = Ends::default();
            for t in &threads { q = q.insert_by_priority::<Ep>(*t); }
            let mut expected: Vec<_> = threads.clone();
            expected.sort_by_key(|t| core::cmp::Reverse(t.priority.get()));
            prop_assert_eq!(members(q), expected.clone());
            let gone = threads[out % threads.len()];
            q = q.remove::<Ep>(gone);
            expected.retain(|t| *t != gone);
            prop_assert_eq!(members(q), expected.clone());
            prop_assert_eq!(q.tail, expected.last().copied());
        }
    }
}
