//! Deleting and revoking capabilities: taking apart, in small steps, whatever loses its last capability.
//!
//! An object that holds slots (a CNode, a TCB) can hold the last capability to another such object, to any depth and in
//! rings. Deletion neither recurses nor searches: all that it has to remember is in the capabilities themselves, so it can be
//! preempted after any step, given up for good, met by another deletion half way, and made again.
//!
//! # How
//! The last capability to an object that holds slots becomes a *zombie* ([`crate::zombie`]) that counts the slots left. The
//! slot that the deletion is about holds the *root*. Its object's slots are emptied from the last to the first. When such a slot
//! holds a zombie of another object, that one *goes home*: it is exchanged with slot 0 of its own object, joins the
//! root's ring, and what was in slot 0 is what is emptied next. When the root's own object is empty, the members of its
//! ring are emptied in the same way, where they are, and go; their finds join the same ring. The root goes last. A root that
//! another deletion left behind joins with its whole ring. A revocation that meets a member takes it out of its ring: it is
//! a root from then on, and what is left of the other ring remains the other deletion's.
//!
//! # Why it is sound
//! *Cover.* A zombie covers its object until it is removed, and it is removed only when no slot of the object but its own
//! is occupied. A zombie is in its object's own memory, or in a slot of another object that some capability or zombie
//! covers: it goes home before that one is empty, and once at home nothing moves it. So the memory of every
//! occupied slot, and with it every link of the derivation tree and of a ring, is covered after every step, and an untyped
//! without children in the tree has nothing in its memory that anything refers to.
//!
//! *Nobody gets in.* No capability leads into a zombie's object: slots that were emptied stay empty, and capabilities that
//! going home exchanges are exchanged between slots that nobody reaches.
//!
//! *Termination.* Every step lowers, in lexicographic order, (1) the capabilities that are not zombies, (2) the zombies
//! outside their own object, (3) slots left + zombies + waiting threads, over the whole machine and whatever other
//! deletions are half done; so two of them cannot undo each other's work. A zombie goes home at most once, and is a member of a
//! ring at most once. For a target below which there are `S` slots in `K` objects and for whose endpoints and notifications
//! `W` threads wait, a deletion takes at most `2 S + 3 K + W + 2` steps, that is at most `4 S + W + 2`.
//!
//! *Done means done.* The root goes when its ring is empty. So a deletion that reports success has emptied all that it found,
//! except what the revocation of another untyped has taken over meanwhile. What an abandoned deletion leaves
//! is a zombie below the untyped whose memory it is, where the next revocation finds it. A revocation that takes its own
//! capability along ends there.
//!
//! *Constant time.* A step moves one capability, or takes one object out of what refers to it, or releases one thread: an
//! endpoint or notification with waiting threads is a zombie too, until the last of them is released.
use crate::cap::Cap;
use crate::finalise::{finalise, remains, signalled_slot};
use crate::machine::Machine;
use crate::object::Slot;
use crate::preempt::{Preempted, preemption_point};
use crate::ptr::Ptr;
use crate::slot;
use crate::waiting;
use crate::zombie::{self, Remains, Zombie};

/// Empties a slot. What the capability designated is taken apart if it was the last one.
pub fn delete<M: Machine>(m: M, target: Ptr<Slot>) -> Result<(), Preempted> {
    match target.cap() {
        Cap::Null => return Ok(()),
        Cap::Zombie(found) if found.is_member() => zombie::leave(target),
        _ => {}
    }
    let mut root = target;
    while let Some(at) = step(m, root) {
        root = at;
        preemption_point(m)?;
    }
    Ok(())
}

/// Deletes all capabilities that were derived from this one.
pub fn revoke<M: Machine>(m: M, target: Ptr<Slot>) -> Result<(), Preempted> {
    while let Some(child) = slot::first_child(target) {
        delete(m, child)?;
        preemption_point(m)?;
    }
    Ok(())
}

/// What a step is in units of work, about 250 instructions ...
const STEP: u32 = 6;
/// ... and what taking an object apart or moving a capability adds, up to 1,700: interrupts wait for two of them.
const HEAVY: u32 = 44;

/// One step of the deletion of what is in `root`: where the root is afterwards, if it still is.
fn step<M: Machine>(m: M, root: Ptr<Slot>) -> Option<Ptr<Slot>> {
    m.node().add_units(STEP);
    let own = match root.cap() {
        Cap::Zombie(own) if own.holds_slots() => own,
        other => {
            delete_or_release(m, root, other);
            return (!root.is_empty()).then_some(root);
        }
    };
    if own.left() > 0 {
        return Some(empty_next(m, root, root, own));
    }
    let at = zombie::next(root);
    match at.cap() {
        Cap::Zombie(member) if at != root && member.left() > 0 => Some(empty_next(m, root, at, member)),
        _ => {
            zombie::leave(at);
            slot::remove(at);
            (at != root).then_some(root)
        }
    }
}

/// One step of emptying the object of the zombie in `at`, on behalf of the root: where the root is afterwards.
fn empty_next<M: Machine>(m: M, root: Ptr<Slot>, at: Ptr<Slot>, own: Zombie) -> Ptr<Slot> {
    let victim = own.slot(own.left() - 1);
    if victim == at || victim.is_empty() {
        own.with_left(own.left() - 1).store(at);
        return root;
    }
    match victim.cap() {
        Cap::Zombie(found) if found.holds_slots() => {
            m.node().add_units(HEAVY);
            go_home(root, victim, found)
        }
        other => {
            delete_or_release(m, victim, other);
            root
        }
    }
}

/// The zombie in `victim` goes to slot 0 of its own object and joins the root's ring, unless it is the root. What was there takes
/// its place. Where the root is afterwards: it may have been either of the two.
fn go_home(root: Ptr<Slot>, victim: Ptr<Slot>, found: Zombie) -> Ptr<Slot> {
    let home = found.slot(0);
    if home.is_empty() {
        slot::move_to(victim.cap(), victim, home);
    } else {
        slot::swap(victim.cap(), victim, home.cap(), home);
    }
    if victim == root {
        return home;
    }
    let root = if home == root { victim } else { root };
    zombie::join(root, home);
    root
}

/// Deletes a capability that is no zombie of slots: it goes, or becomes a zombie, or one of those who wait is released.
fn delete_or_release<M: Machine>(m: M, at: Ptr<Slot>, cap: Cap) {
    m.node().add_units(HEAVY);
    if let Cap::Zombie(queue) = cap {
        let released = match queue.remains() {
            Remains::Endpoint(ep) => waiting::release_first(m.node(), ep),
            Remains::Notification(ntfn) => waiting::release_first_notified(m.node(), ntfn),
            Remains::CNode { .. } | Remains::Tcb => false,
        };
        if !released {
            slot::remove(at);
        }
        return;
    }
    let is_final = slot::is_final(at);
    finalise(m, &cap, is_final);
    if !is_final {
        slot::remove(at);
    } else if let Some(new) = remains(&cap) {
        new.store(at);
    } else {
        let signalled = signalled_slot(m, &cap).filter(|inner| !inner.is_empty());
        slot::remove(at);
        if let Some(inner) = signalled {
            // The object's own notification takes its place, and goes as any other: perhaps with a long queue.
            slot::move_to(inner.cap(), inner, at);
            if Zombie::in_slot(&at).is_none() {
                delete_or_release(m, at, at.cap());
            }
        }
    }
}

/// Whether emptying the slot can take more than one step. A TCB's root slots are not replaced in passing then.
pub fn is_long(at: Ptr<Slot>) -> bool {
    matches!(at.cap(), Cap::CNode { .. } | Cap::Tcb { .. } | Cap::Zombie(_)) && slot::is_final(at)
}
