//! Armed timers, and the accounts that pay for them.
use super::heap;
use super::rules::{Broken, Caps, holds};
use crate::cap::Cap;
use crate::machine::Machine;
use crate::object::{Place, SchedContext, Timer};
use crate::ptr::Ptr;

pub fn check<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let accounts = &m.node().accounts;
    // Every account is in the heap that it says, and the heaps hold no others.
    let (mut waiting, mut due) = (0usize, 0usize);
    for cap in caps.objects() {
        match cap {
            Cap::SchedContext { sc, .. } => {
                account(caps, sc)?;
                waiting += usize::from(sc.place.get() == Place::Waiting);
                due += usize::from(sc.place.get() == Place::Due);
            }
            Cap::Timer { timer } => lone(caps, timer)?,
            _ => {}
        }
    }
    let first_of = |timer: Ptr<Timer>, place: Place| {
        let at = timer.addr();
        caps.requires(Cap::Timer { timer }, "an armed timer is alive", at)?;
        let Some(sc) = timer.account.get() else {
            return holds(false, "an account's first timer knows it", at);
        };
        caps.requires(Cap::SchedContext { sc, bits: 0 }, "who pays for a timer is alive", at)?;
        holds(sc.timers.first.get() == Some(timer), "an account and its first timer name each other", at)?;
        holds(sc.place.get() == place, "an account knows where it is", at)
    };
    let found = heap::each(accounts.waiting.first(), |timer| {
        first_of(timer, Place::Waiting)?;
        holds(
            timer.key.get() >= timer.deadline.get(),
            "no account is looked at before its first deadline",
            timer.addr(),
        )
    })?;
    holds(found == waiting, "the accounts that wait are those that say so", 0)?;
    let mut found = 0;
    for priority in 0..=u8::MAX {
        found += heap::each(accounts.due[priority as usize].first(), |timer| {
            first_of(timer, Place::Due)?;
            let served = timer.account.get().map(|sc| sc.served_at.get());
            holds(served == Some(priority), "an account is due at the priority that it says", timer.addr())
        })?;
    }
    let counted = accounts.due_count.get() as usize;
    holds(found == due && counted == due, "the accounts that are due are those that say so", 0)
}

/// An account's timers: the first is the earliest, and only the root of the others knows the account.
fn account(caps: Caps, sc: Ptr<SchedContext>) -> Result<(), Broken> {
    let at = sc.addr();
    let (first, rest) = (sc.timers.first.get(), sc.timers.rest.first());
    let Some(first) = first else {
        holds(rest.is_none(), "an account without a first timer has none", at)?;
        return holds(sc.place.get() == Place::Nowhere, "an account without timers is nowhere", at);
    };
    holds(sc.place.get() != Place::Nowhere, "an account with timers waits or is due", at)?;
    holds(first.account.get() == Some(sc), "an account and its first timer name each other", at)?;
    caps.requires(Cap::Timer { timer: first }, "an account's first timer is alive", at)?;
    heap::each(rest, |timer| {
        let at = timer.addr();
        caps.requires(Cap::Timer { timer }, "an armed timer is alive", at)?;
        holds(timer.key.get() == timer.deadline.get(), "the others stand by their deadlines", at)?;
        holds(timer.deadline.get() >= first.deadline.get(), "an account's first timer is its earliest", at)?;
        let known = timer.account.get() == rest.filter(|root| *root == timer).map(|_| sc);
        holds(known, "only the root of an account's other timers knows the account", at)
    })
    .map(|_| ())
}

/// A timer in a heap that lost its account is linked to live timers; one in no heap to nobody.
fn lone(caps: Caps, timer: Ptr<Timer>) -> Result<(), Broken> {
    let at = timer.addr();
    if !timer.links.is_inside() {
        return holds(timer.account.get().is_none(), "a timer that is not armed has no account", at);
    }
    for other in heap::neighbours(&timer.links) {
        caps.requires(Cap::Timer { timer: other }, "a timer is linked to live ones", at)?;
        let mutual = heap::neighbours(&other.links).any(|back| back == timer);
        holds(mutual, "linked timers name each other", at)?;
    }
    Ok(())
}
