//! What holds whenever the kernel leaves, as one function over the state; a checked kernel asks it at every exit.
//!
//! A broken invariant is a mistake in the kernel, whatever user space did: the kernel stops with its sentence.
use crate::node::Node;
use crate::object::{Ends, Tcb, ThreadState};
use crate::ptr::Ptr;

/// Longer queues than memory could hold on a small board are a circle.
const LONGEST: usize = 1 << 20;

fn walk(ends: Ends, mut each: impl FnMut(Ptr<Tcb>) -> Result<(), &'static str>) -> Result<(), &'static str> {
    let (mut before, mut at) = (None, ends.head);
    for _ in 0..LONGEST {
        let Some(tcb) = at else {
            return if before == ends.tail { Ok(()) } else { Err("a queue's tail is not its last thread") };
        };
        if tcb.sched_prev.get() != before {
            return Err("a queue's links do not agree in both directions");
        }
        each(tcb)?;
        (before, at) = (at, tcb.sched_next.get());
    }
    Err("a queue is a circle")
}

fn has_time(tcb: Ptr<Tcb>, n: &Node) -> Result<(), &'static str> {
    let Some(sc) = tcb.sc.get() else { return Err("a thread that may run has no scheduling context") };
    if sc.tcb.get() != Some(tcb) {
        return Err("a scheduling context and its thread do not name each other");
    }
    if !sc.is_active() {
        return Err("a thread that may run has a context that is not configured");
    }
    if !sc.is_sufficient(0, n.min_budget.get()) {
        return Err("a thread that may run has less than the smallest budget");
    }
    if !sc.is_ready(n.now.get(), n.slack.get()) {
        return Err("a thread that may run has a refill whose time has not come");
    }
    Ok(())
}

/// Whether the state is as it must be; the first rule that is broken, as a sentence.
pub fn check(n: &Node) -> Result<(), &'static str> {
    let current = n.current();
    if current.state.get() != ThreadState::Idle {
        if current.state.get() != ThreadState::Running {
            return Err("the thread that runs next is not running");
        }
        if current.in_ready_queue.get() || current.in_release_queue.get() {
            return Err("the thread that runs next stands in a queue");
        }
        has_time(current, n)?;
    }
    for priority in 0..=u8::MAX {
        walk(n.ready(priority), |tcb| {
            if !tcb.in_ready_queue.get() || tcb.in_release_queue.get() {
                return Err("a thread in a ready queue does not know, or believes to wait for time");
            }
            if tcb.priority.get() != priority {
                return Err("a thread stands in the ready queue of another priority");
            }
            if !tcb.is_runnable() {
                return Err("a thread in a ready queue cannot run");
            }
            has_time(tcb, n)
        })?;
    }
    // The heap's order is the heap's own test; its first decides when somebody is released.
    if let Some(tcb) = n.release.first() {
        if !tcb.in_release_queue.get() || tcb.in_ready_queue.get() {
            return Err("a thread in the release queue does not know, or believes to be ready");
        }
        if tcb.sc.get().is_none() {
            return Err("a thread waits for the time of no context");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::object::SchedContext;
    use crate::time::Ticks;

    fn zeroed<T>() -> Ptr<T> {
        let layout = std::alloc::Layout::new::<T>();
        // SAFETY: the layout is not empty; all-zero bytes are a valid object of the types used; the allocation is leaked.
        unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) }
    }

    /// A running thread of priority 3 with a round-robin context.
    fn thread(amount: Ticks) -> Ptr<Tcb> {
        let (tcb, sc): (Ptr<Tcb>, Ptr<SchedContext>) = (zeroed(), zeroed());
        sc.configure(2, amount, 0, 0);
        sc.tcb.set(Some(tcb));
        tcb.sc.set(Some(sc));
        tcb.state.set(ThreadState::Running);
        tcb.priority.set(3);
        tcb
    }

    /// A core at tick 100 of a counter of 1 MHz: the smallest budget is 20 ticks.
    fn node() -> Node {
        let node = Node::new(zeroed());
        node.init(1_000_000, 27);
        node.now.set(100);
        node
    }

    fn told(change: impl FnOnce(&Node)) -> &'static str {
        let node = node();
        change(&node);
        check(&node).expect_err("a broken state passes")
    }

    fn waits(n: &Node, time: Ticks) -> Ptr<Tcb> {
        let tcb = thread(50);
        tcb.in_release_queue.set(true);
        tcb.release_at.set((time, 0));
        n.release.insert(tcb);
        tcb
    }

    #[test]
    fn a_good_state_passes() {
        let node = node();
        assert_eq!(check(&node), Ok(()));
        node.set_current(thread(50));
        node.enqueue(thread(20), false);
        waits(&node, 300);
        waits(&node, 300);
        assert_eq!(check(&node), Ok(()));
    }

    #[test]
    fn the_next_thread_may_run() {
        assert!(told(|n| n.set_current(thread(19))).contains("smallest budget"));
        let stopped = thread(50);
        stopped.state.set(ThreadState::Inactive);
        assert!(told(|n| n.set_current(stopped)).contains("not running"));
        let queued = thread(50);
        queued.in_ready_queue.set(true);
        assert!(told(|n| n.set_current(queued)).contains("stands in a queue"));
        let bare = thread(50);
        bare.sc.set(None);
        assert!(told(|n| n.set_current(bare)).contains("no scheduling context"));
        let (one, other) = (thread(50), thread(50));
        one.sc.set(other.sc.get());
        assert!(told(|n| n.set_current(one)).contains("name each other"));
        let early = thread(50);
        if let Some(sc) = early.sc.get() {
            sc.configure(2, 50, 0, 200);
        }
        assert!(told(|n| n.set_current(early)).contains("has not come"));
    }

    #[test]
    fn ready_queues_hold_who_may_run() {
        assert!(told(|n| n.enqueue(thread(19), false)).contains("smallest budget"));
        let stopped = thread(50);
        stopped.state.set(ThreadState::BlockedOnReply);
        assert!(told(|n| n.enqueue(stopped, false)).contains("cannot run"));
        let lost = thread(50);
        assert!(
            told(|n| {
                n.enqueue(lost, false);
                lost.in_ready_queue.set(false);
            })
            .contains("does not know")
        );
        let moved = thread(50);
        assert!(
            told(|n| {
                n.enqueue(moved, false);
                moved.priority.set(4);
            })
            .contains("another priority")
        );
    }

    #[test]
    fn who_is_released_next_knows_it_and_has_a_context() {
        assert!(told(|n| waits(n, 300).in_release_queue.set(false)).contains("does not know"));
        assert!(told(|n| waits(n, 300).sc.set(None)).contains("no context"));
    }
}
