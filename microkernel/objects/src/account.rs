//! Who pays for the expiries of timers: each armed timer belongs to a scheduling context, its *account*.
//!
//! An account's timers are its own affair. The node knows the account by its earliest timer alone, so what others
//! see of an account costs the same whether it has one timer or a thousand:
//! - *waiting*: in the heap of accounts by the time they want attention: the earliest deadline, or the refill that the account
//!   waits for if that is later;
//! - *due*: that time has come; in the heap of its priority by the turn that the context had last. The scheduler
//!   serves it there, one expiry at a time, as it would run the context's thread, and charges the context.
//!
//! The earliest timer stands for its account in the node's heaps; the others are in the account's own heap, and only
//! the root of that heap knows the account. So a context that is deleted lets go of all its timers at once: they stay a
//! heap that nobody looks at, from which each leaves when it is armed again or deleted.
//!
//! # Invariant
//! An account without timers is nowhere; one with timers is in exactly one heap of the node unless the scheduler is serving
//! it. No timer of an account is earlier than its first.
use crate::heap::{self, Heap};
use crate::object::{Link, Place, SchedContext, Timer, Timers};
use crate::ptr::Ptr;
use crate::time::Ticks;
use core::cell::Cell;

const PRIORITIES: usize = 256;

impl Timers {
    /// The deadline of the earliest.
    pub fn deadline(&self) -> Option<Ticks> {
        self.first.get().map(|first| first.deadline.get())
    }
}

/// The priority at which no account is due any more, which the ready queues' index has to hear of.
#[must_use = "the ready queues' index names a priority at which an account is due"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emptied(pub Option<u8>);

/// A core's accounts that have armed timers.
pub struct Accounts {
    pub(crate) waiting: Heap<Timer>,
    pub(crate) due: [Heap<Timer>; PRIORITIES],
    /// How many are due, with the one in hand.
    pub(crate) due_count: Cell<u32>,
    /// One that is due while no other is: mostly it is served at once, and does not have to go through the heaps.
    hand: Link<SchedContext>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

impl Accounts {
    /// None.
    pub const fn new() -> Accounts {
        Accounts {
            waiting: Heap::new(),
            due: [const { Heap::new() }; PRIORITIES],
            due_count: Cell::new(0),
            hand: Cell::new(None),
        }
    }

    /// When the next account wants attention.
    #[inline(always)]
    pub fn next(&self) -> Option<Ticks> {
        self.waiting.first().map(|first| first.key.get())
    }

    /// Whether an account is due at any priority.
    #[inline(always)]
    pub fn is_any_due(&self) -> bool {
        self.due_count.get() > 0
    }

    /// Takes an account that is nowhere in hand: it is due, and nobody else.
    pub fn hold(&self, sc: Ptr<SchedContext>) {
        self.hand.set(Some(sc));
        self.due_count.set(self.due_count.get() + 1);
    }

    /// The account in hand, which is nowhere then.
    pub fn take_held(&self) -> Option<Ptr<SchedContext>> {
        let sc = self.hand.take()?;
        self.due_count.set(self.due_count.get() - 1);
        Some(sc)
    }

    /// Whether an account is due at this priority.
    #[inline(always)]
    pub fn is_due(&self, priority: u8) -> bool {
        self.due[priority as usize].first().is_some()
    }

    /// The account that is served next at this priority.
    pub fn due(&self, priority: u8) -> Option<Ptr<SchedContext>> {
        self.due[priority as usize].first().and_then(|first| first.account.get())
    }

    /// Arms a timer at the cost of `sc`, or arms it anew.
    pub fn arm(&self, timer: Ptr<Timer>, sc: Ptr<SchedContext>, deadline: Ticks, period: Ticks) -> Emptied {
        let emptied = self.disarm(timer);
        timer.deadline.set(deadline);
        timer.period.set(period);
        timer.key.set(deadline);
        match sc.timers.first.get() {
            None => {
                adopt(sc, timer);
                self.wait(sc, deadline);
            }
            Some(first) if deadline < first.deadline.get() => {
                self.replace(sc, first, timer);
                first.key.set(first.deadline.get());
                insert_rest(sc, first);
            }
            Some(_) => insert_rest(sc, timer),
        }
        emptied
    }

    /// Stops a timer, if it is armed.
    pub fn disarm(&self, timer: Ptr<Timer>) -> Emptied {
        match timer.account.get() {
            Some(sc) if sc.timers.first.get() == Some(timer) => match pop_rest(sc) {
                Some(next) => self.replace(sc, timer, next),
                None => {
                    let emptied = self.leave(sc);
                    sc.timers.first.set(None);
                    timer.account.set(None);
                    return emptied;
                }
            },
            _ if timer.links.is_inside() => leave_rest(timer),
            _ => {}
        }
        Emptied(None)
    }

    /// Lets go of all timers of an account whose context is deleted: they will not expire.
    pub fn drop_account(&self, sc: Ptr<SchedContext>) -> Emptied {
        let emptied = self.leave(sc);
        if let Some(first) = sc.timers.first.take() {
            first.account.set(None);
        }
        if let Some(root) = sc.timers.rest.first() {
            root.account.set(None);
        }
        sc.timers.rest.set_root(None);
        emptied
    }

    /// Takes out an account whose time has come.
    #[inline(always)]
    pub fn pop(&self, now: Ticks) -> Option<Ptr<SchedContext>> {
        let first = self.waiting.first().filter(|first| first.key.get() <= now)?;
        let sc = first.account.get()?;
        self.waiting.remove(first);
        sc.place.set(Place::Nowhere);
        Some(sc)
    }

    /// Puts an account that is nowhere among those that wait: until its first deadline, and until `time`.
    #[inline(always)]
    pub fn wait(&self, sc: Ptr<SchedContext>, time: Ticks) {
        let Some(first) = sc.timers.first.get() else { return };
        first.key.set(first.deadline.get().max(time));
        self.waiting.insert(first);
        sc.place.set(Place::Waiting);
    }

    /// Puts an account that is nowhere among those that are due, at a priority.
    pub fn make_due(&self, sc: Ptr<SchedContext>, priority: u8) {
        let Some(first) = sc.timers.first.get() else { return };
        first.key.set(sc.turn.get());
        self.due[priority as usize].insert(first);
        sc.place.set(Place::Due);
        sc.served_at.set(priority);
        self.due_count.set(self.due_count.get() + 1);
    }

    /// Takes an account out of wherever it is.
    pub fn leave(&self, sc: Ptr<SchedContext>) -> Emptied {
        let Some(heap) = self.heap(sc) else { return Emptied(None) };
        if let Some(first) = sc.timers.first.get() {
            heap.remove(first);
        }
        if sc.place.replace(Place::Nowhere) != Place::Due {
            return Emptied(None);
        }
        self.due_count.set(self.due_count.get() - 1);
        Emptied(heap.first().is_none().then(|| sc.served_at.get()))
    }

    /// Counts the expiry of the first timer of an account that is nowhere, if its deadline is not after `now`, and arms it again
    /// if it is periodic.
    #[inline(always)]
    pub fn expire(&self, sc: Ptr<SchedContext>, now: Ticks) -> Option<Ptr<Timer>> {
        let timer = sc.timers.first.get().filter(|first| first.deadline.get() <= now)?;
        if timer.expire(now) {
            timer.key.set(timer.deadline.get());
            if let Some(next) = sc.timers.rest.first().filter(|next| next.before_deadline(&timer)) {
                set_rest(sc, heap::detach(next).flatten());
                insert_rest(sc, timer);
                adopt(sc, next);
            }
        } else {
            timer.account.set(None);
            match pop_rest(sc) {
                Some(next) => adopt(sc, next),
                None => sc.timers.first.set(None),
            }
        }
        Some(timer)
    }

    fn heap(&self, sc: Ptr<SchedContext>) -> Option<&Heap<Timer>> {
        match sc.place.get() {
            Place::Nowhere => None,
            Place::Waiting => Some(&self.waiting),
            Place::Due => Some(&self.due[sc.served_at.get() as usize]),
        }
    }

    /// `to`, which is in no heap, is the account's first timer instead of `from`. An account that waits for a refill goes on
    /// waiting; one that is due stays so: whoever serves it looks at the deadline.
    fn replace(&self, sc: Ptr<SchedContext>, from: Ptr<Timer>, to: Ptr<Timer>) {
        let heap = self.heap(sc);
        if let Some(heap) = heap {
            heap.remove(from);
        }
        let key = from.key.get();
        match sc.place.get() {
            Place::Waiting if key > from.deadline.get() => to.key.set(key.max(to.deadline.get())),
            Place::Waiting | Place::Nowhere => to.key.set(to.deadline.get()),
            Place::Due => to.key.set(key),
        }
        from.account.set(None);
        adopt(sc, to);
        if let Some(heap) = heap {
            heap.insert(to);
        }
    }
}

/// Makes a timer that is in no heap an account's first.
fn adopt(sc: Ptr<SchedContext>, timer: Ptr<Timer>) {
    timer.account.set(Some(sc));
    sc.timers.first.set(Some(timer));
}

/// Stores the root of an account's own heap; the root, and nothing else in there, knows the account.
fn set_rest(sc: Ptr<SchedContext>, root: Option<Ptr<Timer>>) {
    if let Some(root) = root {
        root.account.set(Some(sc));
    }
    sc.timers.rest.set_root(root);
}

fn insert_rest(sc: Ptr<SchedContext>, timer: Ptr<Timer>) {
    let rest = &sc.timers.rest;
    if let Some(root) = rest.first() {
        root.account.set(None);
    }
    timer.account.set(None);
    rest.insert(timer);
    set_rest(sc, rest.first());
}

fn pop_rest(sc: Ptr<SchedContext>) -> Option<Ptr<Timer>> {
    let next = sc.timers.rest.first()?;
    leave_rest(next);
    Some(next)
}

/// Takes a timer out of its account's own heap, or out of a heap that lost its account.
fn leave_rest(timer: Ptr<Timer>) {
    if let Some(root) = heap::detach(timer)
        && let Some(sc) = timer.account.take()
    {
        set_rest(sc, root);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::heap::tests::members;
    use crate::ptr::tests::leak;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// The priorities at which the contexts are served.
    const SERVED: core::ops::Range<u8> = 10..14;

    /// Some contexts and timers, beside a list of who is armed by whom and for when.
    struct World {
        accounts: Accounts,
        contexts: Vec<Ptr<SchedContext>>,
        timers: Vec<Ptr<Timer>>,
        /// Context, deadline and period of each timer; none if it will not expire.
        armed: Vec<Option<(usize, Ticks, Ticks)>>,
        /// When a context that waits for its refill wants attention.
        refill: Vec<Ticks>,
    }

    #[derive(Clone, Debug)]
    enum Step {
        Arm {
            timer: usize,
            sc: usize,
            deadline: Ticks,
            period: Ticks,
        },
        Disarm(usize),
        /// The counter is at this value: whoever is due becomes so; contexts without budget wait, for so long.
        Tick {
            now: Ticks,
            broke: Option<(usize, Ticks)>,
        },
        /// One expiry of a context that is due.
        Serve {
            now: Ticks,
            sc: usize,
        },
        Drop(usize),
    }

    impl World {
        fn new(contexts: usize, timers: usize) -> World {
            World {
                accounts: Accounts::new(),
                contexts: (0..contexts).map(|_| leak()).collect(),
                timers: (0..timers).map(|_| leak()).collect(),
                armed: std::vec![None; timers],
                refill: std::vec![0; contexts],
            }
        }

        fn run(&mut self, step: &Step) {
            match *step {
                Step::Arm { timer, sc, deadline, period } => {
                    self.arm(timer, sc, deadline, period);
                }
                Step::Disarm(timer) => {
                    let due = self.due_at();
                    let emptied = self.accounts.disarm(self.timers[timer]);
                    self.armed[timer] = None;
                    self.check_emptied(due, emptied);
                }
                Step::Tick { now, broke } => {
                    while let Some(sc) = self.accounts.pop(now) {
                        let i = self.contexts.iter().position(|c| *c == sc).unwrap();
                        match broke.filter(|(who, _)| *who == i) {
                            Some((_, pause)) => {
                                self.refill[i] = now + pause;
                                self.accounts.wait(sc, now + pause);
                            }
                            None => self.accounts.make_due(sc, 10 + i as u8),
                        }
                    }
                }
                Step::Serve { now, sc } => self.serve(now, sc),
                Step::Drop(sc) => {
                    let due = self.due_at();
                    let emptied = self.accounts.drop_account(self.contexts[sc]);
                    self.armed.iter_mut().filter(|a| a.is_some_and(|a| a.0 == sc)).for_each(|a| *a = None);
                    self.check_emptied(due, emptied);
                }
            }
            self.check();
        }

        fn arm(&mut self, timer: usize, sc: usize, deadline: Ticks, period: Ticks) {
            let due = self.due_at();
            let emptied = self.accounts.arm(self.timers[timer], self.contexts[sc], deadline, period);
            self.armed[timer] = Some((sc, deadline, period));
            self.check_emptied(due, emptied);
        }

        fn serve(&mut self, now: Ticks, i: usize) {
            let sc = self.contexts[i];
            if sc.place.get() != Place::Due {
                return;
            }
            assert_eq!(self.accounts.due(sc.served_at.get()), Some(sc));
            let due = self.due_at();
            let emptied = self.accounts.leave(sc);
            self.check_emptied(due, emptied);
            let expected = self.earliest(i).filter(|deadline| *deadline <= now);
            let timer = self.accounts.expire(sc, now);
            assert_eq!(timer.map(|t| t.last_deadline.get()), expected);
            if let Some(timer) = timer {
                let t = self.timers.iter().position(|t| *t == timer).unwrap();
                let (owner, deadline, period) = self.armed[t].unwrap();
                assert_eq!((owner, deadline), (i, timer.last_deadline.get()));
                // The first deadline on the timer's grid that is after `now`.
                self.armed[t] = (period > 0).then(|| {
                    (i, (1..).map(|n| deadline + n * period).find(|next| *next > now).unwrap(), period)
                });
            }
            self.accounts.wait(sc, 0);
        }

        fn due_at(&self) -> Vec<bool> {
            SERVED.map(|p| self.accounts.is_due(p)).collect()
        }
        fn check_emptied(&self, before: Vec<bool>, emptied: Emptied) {
            let gone: Vec<u8> = SERVED
                .zip(before)
                .filter(|(p, due)| *due && !self.accounts.is_due(*p))
                .map(|(p, _)| p)
                .collect();
            assert_eq!(gone, emptied.0.into_iter().collect::<Vec<_>>());
        }
        fn earliest(&self, sc: usize) -> Option<Ticks> {
            self.armed.iter().flatten().filter(|a| a.0 == sc).map(|a| a.1).min()
        }

        /// The invariant of the module, and agreement with the list.
        fn check(&self) {
            let waiting: Vec<_> = members(self.accounts.waiting.first());
            let due: Vec<_> = SERVED.flat_map(|p| members(self.accounts.due[p as usize].first())).collect();
            for (i, sc) in self.contexts.iter().enumerate() {
                let first = sc.timers.first.get();
                assert_eq!(sc.timers.deadline(), self.earliest(i));
                assert_eq!(
                    waiting.iter().filter(|t| Some(**t) == first).count(),
                    usize::from(sc.place.get() == Place::Waiting)
                );
                assert_eq!(
                    due.iter().filter(|t| Some(**t) == first).count(),
                    usize::from(sc.place.get() == Place::Due)
                );
                assert_eq!(first.is_none(), sc.place.get() == Place::Nowhere);
                let mut own: Vec<_> = members(sc.timers.rest.first());
                own.iter()
                    .enumerate()
                    .for_each(|(at, t)| assert_eq!(t.account.get(), (at == 0).then_some(*sc)));
                own.iter().for_each(|t| assert_eq!(t.key.get(), t.deadline.get()));
                if let Some(first) = first {
                    assert_eq!(first.account.get(), Some(*sc));
                    if sc.place.get() == Place::Waiting {
                        assert!(first.key.get() >= first.deadline.get());
                        assert!(first.key.get() <= first.deadline.get().max(self.refill[i]));
                    }
                }
                own.extend(first);
                for (t, timer) in self.timers.iter().enumerate() {
                    let expected = self.armed[t].filter(|a| a.0 == i);
                    assert_eq!(own.contains(timer), expected.is_some(), "timer {t} of context {i}");
                    if let Some((_, deadline, period)) = expected {
                        assert_eq!((timer.deadline.get(), timer.period.get()), (deadline, period));
                    }
                }
            }
            assert_eq!(
                waiting.len() + due.len(),
                self.contexts.iter().filter(|c| c.place.get() != Place::Nowhere).count()
            );
            assert_eq!(self.accounts.is_any_due(), !due.is_empty());
            let next = waiting.iter().map(|t| t.key.get()).min();
            assert_eq!(self.accounts.next(), next);
        }
    }

    fn step(contexts: usize, timers: usize) -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..timers, 0..contexts, 0u64..100, 0u64..20).prop_map(|(timer, sc, deadline, period)| Step::Arm { timer, sc, deadline, period }),
            2 => (0..timers).prop_map(Step::Disarm),
            3 => (0u64..120, prop::option::of((0..contexts, 1u64..50))).prop_map(|(now, broke)| Step::Tick { now, broke }),
            4 => (0u64..120, 0..contexts).prop_map(|(now, sc)| Step::Serve { now, sc }),
            1 => (0..contexts).prop_map(Step::Drop),
        ]
    }

    proptest! {
        #[test]
        fn accounts_are_what_a_list_says(steps in prop::collection::vec(step(3, 12), 1..if cfg!(miri) { 12 } else { 120 })) {
            let mut world = World::new(3, 12);
            steps.iter().for_each(|s| world.run(s));
        }
    }

    /// Every sequence of four steps on three timers and two contexts, with deadlines that are past, equal and future.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn every_short_history() {
        let mut steps = Vec::new();
        for timer in 0..3 {
            for (sc, deadline, period) in [(0, 5, 0), (0, 5, 3), (0, 20, 0), (1, 5, 0)] {
                steps.push(Step::Arm { timer, sc, deadline, period });
            }
            steps.push(Step::Disarm(timer));
        }
        steps.push(Step::Tick { now: 10, broke: None });
        steps.push(Step::Tick { now: 10, broke: Some((0, 7)) });
        steps.push(Step::Serve { now: 10, sc: 0 });
        steps.push(Step::Serve { now: 10, sc: 1 });
        steps.push(Step::Drop(0));
        const DEPTH: u32 = 4;
        let mut count = 0;
        for history in 0..steps.len().pow(DEPTH) {
            let mut world = World::new(2, 3);
            // Everything begins with one timer that is due.
            world.run(&Step::Arm { timer: 0, sc: 0, deadline: 5, period: 3 });
            world.run(&Step::Tick { now: 10, broke: None });
            for at in 0..DEPTH {
                world.run(&steps[history / steps.len().pow(at) % steps.len()]);
            }
            count += 1;
        }
        assert_eq!(count, steps.len().pow(DEPTH));
    }

    #[test]
    fn an_account_that_waits_for_its_refill_stays_there_when_its_first_timer_changes() {
        let mut world = World::new(1, 3);
        world.arm(0, 0, 10, 0);
        world.run(&Step::Tick { now: 10, broke: Some((0, 90)) });
        assert_eq!(world.accounts.next(), Some(100));
        world.arm(1, 0, 5, 0);
        assert_eq!(world.accounts.next(), Some(100));
        world.run(&Step::Disarm(1));
        assert_eq!(world.accounts.next(), Some(100));
        world.arm(2, 0, 200, 0);
        world.run(&Step::Disarm(0));
        assert_eq!(world.accounts.next(), Some(200));
    }

    #[test]
    fn accounts_of_a_priority_take_turns() {
        let world = World::new(2, 2);
        for (i, turn) in [(0, 7), (1, 3)] {
            world.contexts[i].turn.set(turn);
            let _ = world.accounts.arm(world.timers[i], world.contexts[i], 1, 0);
        }
        while let Some(sc) = world.accounts.pop(1) {
            world.accounts.make_due(sc, 9);
        }
        assert_eq!(world.accounts.due(9), Some(world.contexts[1]));
        assert_eq!(world.accounts.leave(world.contexts[1]), Emptied(None));
        assert_eq!(world.accounts.due(9), Some(world.contexts[0]));
        assert_eq!(world.accounts.leave(world.contexts[0]), Emptied(Some(9)));
    }
}
