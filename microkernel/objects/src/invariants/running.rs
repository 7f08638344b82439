//! Who runs, who is ready, who waits for time.
use super::heap;
use super::rules::{Broken, Caps, LONGEST, holds};
use crate::cap::Cap;
use crate::machine::Machine;
use crate::node::Node;
use crate::object::{Ends, Tcb, ThreadState};
use crate::ptr::Ptr;

pub fn check(n: &Node) -> Result<(), Broken> {
    (0..n.ready_bits.len()).try_for_each(|word| empty(n, word))?;
    check_most(n)
}

/// The same, but for priorities at which nobody is said to be ready: of those it looks at a quarter, which `turn` chooses.
pub fn check_in_turn(n: &Node, turn: usize) -> Result<(), Broken> {
    empty(n, turn % n.ready_bits.len())?;
    check_most(n)
}

fn check_most(n: &Node) -> Result<(), Broken> {
    current(n)?;
    ready(n)?;
    release(n)
}

/// The thread that the kernel returns to.
fn current(n: &Node) -> Result<(), Broken> {
    let tcb = n.current();
    let at = tcb.addr();
    if tcb == n.idle() {
        return holds(tcb.state.get() == ThreadState::Idle, "the idle thread is idle", at);
    }
    holds(tcb.state.get() == ThreadState::Running, "the thread that runs next is running", at)?;
    let queued = tcb.in_ready_queue.get() || tcb.in_release_queue.get();
    holds(!queued, "the thread that runs next stands in no queue", at)?;
    holds(n.current_sc.get() == tcb.sc.get(), "time goes to the context of who runs", at)?;
    has_time(n, tcb)
}

/// A thread that may run has a context of its own, whose refill is there and large enough.
fn has_time(n: &Node, tcb: Ptr<Tcb>) -> Result<(), Broken> {
    let at = tcb.addr();
    let Some(sc) = tcb.sc.get() else {
        return holds(false, "a thread that may run has a scheduling context", at);
    };
    holds(sc.tcb.get() == Some(tcb), "a scheduling context and its thread name each other", at)?;
    holds(sc.is_active(), "a thread that may run has a context that is configured", at)?;
    holds(sc.is_sufficient(0, n.min_budget.get()), "a thread that may run has the smallest budget", at)?;
    holds(
        sc.is_ready(n.now.get(), n.slack.get()),
        "a thread that may run has a refill whose time has come",
        at,
    )
}

const INDEX: &str = "the index of ready queues names those with threads or accounts";

/// Nobody is ready where the index says that, in one word of it.
fn empty(n: &Node, word: usize) -> Result<(), Broken> {
    let bits = n.ready_bits[word].get();
    for bit in 0..64 {
        let priority = 64 * word + bit;
        let queue = n.ready[priority].get();
        if bits >> bit & 1 == 0 && (queue != Ends::default() || n.accounts.is_due(priority as u8)) {
            return holds(false, INDEX, queue.head.map_or(0, |head| head.addr()));
        }
    }
    Ok(())
}

fn ready(n: &Node) -> Result<(), Broken> {
    for word in 0..n.ready_bits.len() {
        let mut bits = n.ready_bits[word].get();
        let marked = n.ready_words.get() >> word & 1 != 0;
        holds(marked == (bits != 0), "the index of ready queues has an index", 0)?;
        while bits != 0 {
            queue_of(n, (64 * word) as u8 + bits.trailing_zeros() as u8)?;
            bits &= bits - 1;
        }
    }
    Ok(())
}

/// Who is ready at a priority that the index names.
fn queue_of(n: &Node, priority: u8) -> Result<(), Broken> {
    let queue = n.ready[priority as usize].get();
    holds(queue.head.is_some() || n.accounts.is_due(priority), INDEX, 0)?;
    each(queue, |tcb| {
        let at = tcb.addr();
        let flags = tcb.in_ready_queue.get() && !tcb.in_release_queue.get();
        holds(flags, "a thread in a ready queue knows that, and does not wait for time", at)?;
        holds(tcb.priority.get() == priority, "a ready thread stands in the queue of its priority", at)?;
        holds(tcb.is_runnable(), "a thread in a ready queue can run", at)?;
        holds(tcb != n.current(), "the thread that runs is not ready as well", at)?;
        has_time(n, tcb)
    })
}

fn release(n: &Node) -> Result<(), Broken> {
    heap::each(n.release.first(), |tcb| {
        let at = tcb.addr();
        let flags = tcb.in_release_queue.get() && !tcb.in_ready_queue.get();
        holds(flags, "a thread in the release queue knows that, and is not ready", at)?;
        let Some(sc) = tcb.sc.get() else { return holds(false, "a thread waits for a context's time", at) };
        let time = tcb.release_at.get().0;
        // What timers use of the context meanwhile makes the refill later: whoever is released too early waits again.
        holds(
            time <= sc.head_refill().time,
            "nobody waits for longer than for its context's first refill",
            at,
        )
    })
    .map(|_| ())
}

fn each(ends: Ends, mut rule: impl FnMut(Ptr<Tcb>) -> Result<(), Broken>) -> Result<(), Broken> {
    let (mut before, mut at, mut count) = (None, ends.head, 0);
    while let Some(tcb) = at {
        holds(tcb.sched_prev.get() == before, "neighbours in a queue name each other", tcb.addr())?;
        rule(tcb)?;
        count += 1;
        holds(count < LONGEST, "a queue is no circle", tcb.addr())?;
        (before, at) = (at, tcb.sched_next.get());
    }
    holds(before == ends.tail, "a queue's tail is its last thread", ends.tail.map_or(0, |tail| tail.addr()))
}

/// Every thread that could run is in a queue or runs, and the queues hold no others.
pub fn nobody_is_forgotten<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let n = m.node();
    let (mut ready, mut waiting) = (0usize, 0usize);
    for cap in caps.objects() {
        let Cap::Tcb { tcb } = cap else { continue };
        ready += usize::from(tcb.in_ready_queue.get());
        waiting += usize::from(tcb.in_release_queue.get());
        let forgotten = tcb.is_schedulable() && !tcb.in_ready_queue.get() && tcb != n.current();
        holds(!forgotten, "a thread that could run is in a queue", tcb.addr())?;
    }
    for priority in 0..=u8::MAX {
        each(n.ready[priority as usize].get(), |tcb| {
            ready = ready.wrapping_sub(1);
            caps.requires(Cap::Tcb { tcb }, "a ready thread is alive", tcb.addr())
        })?;
    }
    let inside = heap::each(n.release.first(), |tcb| {
        caps.requires(Cap::Tcb { tcb }, "a thread that waits for time is alive", tcb.addr())
    })?;
    waiting = waiting.wrapping_sub(inside);
    holds(ready == 0 && waiting == 0, "who believes to be in a queue is in it", 0)?;
    let tcb = n.current();
    if tcb != n.idle() {
        caps.requires(Cap::Tcb { tcb }, "the thread that runs is alive", tcb.addr())?;
    }
    match n.fpu_owner.get() {
        Some(tcb) => caps.requires(Cap::Tcb { tcb }, "the thread in the FPU is alive", tcb.addr()),
        None => Ok(()),
    }
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

    fn run(n: &Node, tcb: Ptr<Tcb>) {
        n.set_current(tcb);
        n.current_sc.set(tcb.sc.get());
    }

    fn told(change: impl FnOnce(&Node)) -> &'static str {
        let node = node();
        change(&node);
        check(&node).expect_err("a broken state passes").rule
    }

    fn waits(n: &Node, time: Ticks) -> Ptr<Tcb> {
        let tcb = thread(50);
        tcb.in_release_queue.set(true);
        tcb.release_at.set((time, 0));
        if let Some(sc) = tcb.sc.get() {
            sc.configure(2, 50, 0, time);
        }
        n.release.insert(tcb);
        tcb
    }

    #[test]
    fn a_good_state_passes() {
        let node = node();
        assert_eq!(check(&node), Ok(()));
        run(&node, thread(50));
        node.enqueue(thread(20), false);
        waits(&node, 300);
        waits(&node, 300);
        assert_eq!(check(&node), Ok(()));
    }

    #[test]
    fn the_next_thread_may_run() {
        assert!(told(|n| run(n, thread(19))).contains("smallest budget"));
        let stopped = thread(50);
        stopped.state.set(ThreadState::Inactive);
        assert!(told(|n| run(n, stopped)).contains("is running"));
        let queued = thread(50);
        queued.in_ready_queue.set(true);
        assert!(told(|n| run(n, queued)).contains("stands in no queue"));
        let bare = thread(50);
        bare.sc.set(None);
        assert!(told(|n| run(n, bare)).contains("has a scheduling context"));
        let (one, other) = (thread(50), thread(50));
        one.sc.set(other.sc.get());
        assert!(told(|n| run(n, one)).contains("name each other"));
        let early = thread(50);
        if let Some(sc) = early.sc.get() {
            sc.configure(2, 50, 0, 200);
        }
        assert!(told(|n| run(n, early)).contains("time has come"));
    }

    #[test]
    fn ready_queues_hold_who_may_run() {
        assert!(told(|n| n.enqueue(thread(19), false)).contains("smallest budget"));
        let stopped = thread(50);
        stopped.state.set(ThreadState::BlockedOnReply);
        assert!(told(|n| n.enqueue(stopped, false)).contains("can run"));
        let lost = thread(50);
        assert!(
            told(|n| {
                n.enqueue(lost, false);
                lost.in_ready_queue.set(false);
            })
            .contains("knows that")
        );
        let moved = thread(50);
        assert!(
            told(|n| {
                n.enqueue(moved, false);
                moved.priority.set(4);
            })
            .contains("of its priority")
        );
    }

    #[test]
    fn the_index_of_ready_queues_is_right() {
        let wrong = |change: &dyn Fn(&Node)| {
            assert_eq!(told(change), INDEX);
            let node = node();
            change(&node);
            // In turn, one of four looks sees it.
            assert!((0..4).any(|turn| check_in_turn(&node, turn).is_err()));
        };
        wrong(&|n| {
            n.enqueue(thread(50), false);
            n.ready_bits[0].set(0);
            n.ready_words.set(0);
        });
        wrong(&|n| {
            n.ready_bits[2].set(1 << 7);
            n.ready_words.set(1 << 2);
        });
        wrong(&|n| n.ready[200].set(Ends { head: None, tail: Some(thread(50)) }));
        assert!(told(|n| n.ready_words.set(1)).contains("has an index"));
    }

    #[test]
    fn who_is_released_next_knows_it_and_has_a_context() {
        assert!(told(|n| waits(n, 300).in_release_queue.set(false)).contains("knows that"));
        assert!(told(|n| waits(n, 300).sc.set(None)).contains("waits for a context"));
    }
}
