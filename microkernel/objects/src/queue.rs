//! Doubly linked queues of threads: ready queues by one pair of links, endpoints and notifications by the other.
//!
//! An endpoint's queue is ordered by priority, and by arrival within one. Neighbours of equal priority are a *run*; the two ends
//! of a run of two or more name each other, so finding a thread's place takes at most as many steps as there are distinct priorities
//! before it, however many threads wait. A thread that is alone in its run, and one in the middle, name nobody.
use crate::object::{Ends, Link, Tcb};
use crate::ptr::Ptr;

/// Which pair of links a queue uses.
pub trait Links {
    /// The link towards the head.
    fn prev(tcb: &Tcb) -> &Link<Tcb>;
    /// The link towards the tail.
    fn next(tcb: &Tcb) -> &Link<Tcb>;
    /// Takes a thread that is still linked out of its run.
    fn leave_run(tcb: Ptr<Tcb>);
}

/// Links of ready queues.
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
    #[inline(always)]
    fn leave_run(_: Ptr<Tcb>) {}
}
impl Links for Ep {
    fn prev(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.ep_prev
    }
    fn next(tcb: &Tcb) -> &Link<Tcb> {
        &tcb.ep_next
    }
    #[inline(always)]
    fn leave_run(tcb: Ptr<Tcb>) {
        if let Some(other) = tcb.ep_run.take() {
            shorten(tcb, other);
        }
    }
}

/// One end of a run goes: its neighbour is the end now, unless only `other` is left.
#[cold]
#[inline(never)]
fn shorten(end: Ptr<Tcb>, other: Ptr<Tcb>) {
    // The first of a run is behind a thread of another priority, the last is not.
    let is_first = end.ep_prev.get().is_none_or(|prev| prev.priority.get() != end.priority.get());
    let neighbour = if is_first { end.ep_next.get() } else { end.ep_prev.get() };
    let neighbour = neighbour.filter(|neighbour| *neighbour != other);
    other.ep_run.set(neighbour);
    if let Some(neighbour) = neighbour {
        neighbour.ep_run.set(Some(other));
    }
}

impl Ends {
    /// The queue of a thread that is in none, alone.
    #[inline(always)]
    pub fn of(tcb: Ptr<Tcb>) -> Ends {
        Ends { head: Some(tcb), tail: Some(tcb) }
    }

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

    /// The queue with `tcb` behind the last thread of its priority or above. Its priority may not change while it is in the queue.
    pub fn insert_by_priority(self, tcb: Ptr<Tcb>) -> Ends {
        let priority = tcb.priority.get();
        let mut at = None;
        let mut last = self.tail;
        // `last` is the last of a run: over to the one before it.
        while let Some(end) = last.filter(|end| end.priority.get() < priority) {
            let first = end.ep_run.get().unwrap_or(end);
            at = Some(first);
            last = first.ep_prev.get();
        }
        if let Some(end) = last.filter(|end| end.priority.get() == priority) {
            let first = end.ep_run.take().unwrap_or(end);
            first.ep_run.set(Some(tcb));
            tcb.ep_run.set(Some(first));
        }
        self.insert_before::<Ep>(tcb, at)
    }

    /// An endpoint's queue without its first thread, which is `head`.
    #[inline(always)]
    pub fn without_head(self, head: Ptr<Tcb>) -> Ends {
        let next = head.ep_next.take();
        if let Some(last) = head.ep_run.take() {
            // The next is of the same run, and its first now.
            let first = next.filter(|next| *next != last);
            last.ep_run.set(first);
            if let Some(first) = first {
                first.ep_run.set(Some(last));
            }
        }
        match next {
            Some(next) => {
                next.ep_prev.set(None);
                Ends { head: Some(next), ..self }
            }
            None => Ends { head: None, tail: None },
        }
    }

    /// The queue without `tcb`.
    pub fn remove<L: Links>(self, tcb: Ptr<Tcb>) -> Ends {
        L::leave_run(tcb);
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
    use crate::ptr::tests::leak;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    fn tcb(priority: u8) -> Ptr<Tcb> {
        let tcb: Ptr<Tcb> = leak();
        tcb.priority.set(priority);
        tcb
    }

    /// The threads of a queue, from its head, and that its links and runs are what the module says.
    fn members(q: Ends) -> Vec<Ptr<Tcb>> {
        let members: Vec<_> = std::iter::successors(q.head, |t| t.ep_next.get()).collect();
        let mut back: Vec<_> = std::iter::successors(q.tail, |t| t.ep_prev.get()).collect();
        back.reverse();
        assert_eq!(members, back);
        for run in members.chunk_by(|a, b| a.priority.get() == b.priority.get()) {
            let (first, last) = (run[0], run[run.len() - 1]);
            for t in run {
                let expected = match *t {
                    _ if run.len() == 1 => None,
                    t if t == first => Some(last),
                    t if t == last => Some(first),
                    _ => None,
                };
                assert_eq!(t.ep_run.get(), expected, "the end of a run of {}", run.len());
            }
        }
        members
    }

    fn sorted(threads: &[Ptr<Tcb>]) -> Vec<Ptr<Tcb>> {
        let mut sorted = threads.to_vec();
        sorted.sort_by_key(|t| core::cmp::Reverse(t.priority.get()));
        sorted
    }

    /// All queues of up to six threads of three priorities, by every way to make them: states are the priorities in order,
    /// which is all that a step depends on.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn every_small_queue_is_well_formed() {
        const MOST: usize = 6;
        let mut seen: HashSet<Vec<u8>> = HashSet::from([Vec::new()]);
        let mut todo: Vec<Vec<u8>> = std::vec![Vec::new()];
        let mut steps = 0;
        while let Some(from) = todo.pop() {
            let insertions = if from.len() < MOST { 3 } else { 0 };
            let removals = if from.is_empty() { 0 } else { from.len() + 1 };
            for step in 0..insertions + removals {
                let mut threads: Vec<_> = from.iter().map(|p| tcb(*p)).collect();
                let mut q = threads.iter().fold(Ends::default(), |q, t| q.insert_by_priority(*t));
                if step < insertions {
                    let new = tcb(step as u8);
                    q = q.insert_by_priority(new);
                    threads.push(new);
                } else {
                    // The head leaves in either of two ways.
                    let gone = threads.remove((step - insertions).saturating_sub(1));
                    let is_head = q.head == Some(gone) && step > insertions;
                    q = if is_head { q.without_head(gone) } else { q.remove::<Ep>(gone) };
                    assert!(gone.ep_run.get().is_none() && gone.ep_next.get().is_none());
                }
                assert_eq!(members(q), sorted(&threads));
                let to: Vec<u8> = members(q).iter().map(|t| t.priority.get()).collect();
                if seen.insert(to.clone()) {
                    todo.push(to);
                }
                steps += 1;
            }
        }
        // Multisets of up to six of three.
        assert_eq!(seen.len(), 84);
        assert!(steps > 500);
    }

    /// How many threads are looked at for a place depends on the priorities, not on the threads.
    #[test]
    fn a_long_queue_is_crossed_in_steps_of_a_priority() {
        let long = if cfg!(miri) { 60 } else { 3000 };
        let mut q = Ends::default();
        for i in 0..long {
            q = q.insert_by_priority(tcb((i % 3) as u8));
        }
        let runs = std::iter::successors(q.tail, |t| t.ep_run.get().unwrap_or(*t).ep_prev.get());
        assert_eq!(runs.count(), 3);
        let first = tcb(9);
        q = q.insert_by_priority(first);
        assert_eq!((q.head, members(q).len()), (Some(first), long + 1));
    }

    proptest! {
        #[test]
        fn priority_order_is_stable(priorities in prop::collection::vec(0u8..5, 1..40), out in prop::collection::vec(0usize..40, 0..40)) {
            let mut threads: Vec<_> = priorities.iter().map(|p| tcb(*p)).collect();
            let mut q = threads.iter().fold(Ends::default(), |q, t| q.insert_by_priority(*t));
            prop_assert_eq!(members(q), sorted(&threads));
            for at in out {
                if threads.is_empty() { break }
                q = q.remove::<Ep>(threads.remove(at % threads.len()));
                prop_assert_eq!(members(q), sorted(&threads));
                prop_assert_eq!(q.tail, sorted(&threads).last().copied());
            }
        }
    }
}
