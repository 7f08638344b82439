//! Whose a scheduling context is: the thread that it is bound to, and the notification that lends it.
//!
//! A holder of the context's capability says so, when it binds or unbinds; who runs on the context in between, by a call, an
//! answer, a message or a signal, changes nothing. A stack of calls may be cut anywhere: the context stays its thread's
//! even if it never comes back.
//!
//! # Invariant
//! A context and the thread that it is bound to name each other; so do a context and the notification that lends it. A thread owns at most
//! one context: binding it to another gives up the one before.
//!
//! A context has room for one name. Bound to both, it names the thread, and the thread the notification.
use crate::object::{Notification, SchedContext, Tcb};
use crate::ptr::Ptr;

/// Bit 0 of a context's `owner`: it is a notification.
const NOTIFICATION: usize = 1;

impl SchedContext {
    /// The thread that it is bound to.
    pub fn thread(&self) -> Option<Ptr<Tcb>> {
        let owner = self.owner.get();
        // SAFETY: a number that is neither 0 nor marked was stored by `set` from a `Ptr<Tcb>`; a thread gives its context
        // up before its TCB goes.
        (owner != 0 && owner & NOTIFICATION == 0).then(|| unsafe { Ptr::new(owner) })
    }

    /// The notification that lends it.
    pub fn ntfn(&self) -> Option<Ptr<Notification>> {
        if let Some(tcb) = self.thread() {
            return tcb.owned_ntfn.get();
        }
        let owner = self.owner.get();
        // SAFETY: a marked number was stored by `set` from a `Ptr<Notification>`; a notification gives its context up before
        // it goes.
        (owner != 0).then(|| unsafe { Ptr::new(owner & !NOTIFICATION) })
    }
}

/// Stores both names in the context; the thread's and the notification's are the caller's business.
fn set(sc: Ptr<SchedContext>, thread: Option<Ptr<Tcb>>, ntfn: Option<Ptr<Notification>>) {
    match (thread, ntfn) {
        (Some(tcb), ntfn) => {
            tcb.owned_ntfn.set(ntfn);
            sc.owner.set(tcb.addr());
        }
        (None, Some(ntfn)) => sc.owner.set(ntfn.addr() | NOTIFICATION),
        (None, None) => sc.owner.set(0),
    }
}

/// Binds a context to a thread.
pub fn bind_thread(sc: Ptr<SchedContext>, tcb: Ptr<Tcb>) {
    let ntfn = sc.ntfn();
    unbind_thread(sc);
    if let Some(other) = tcb.owned_sc.get() {
        unbind_thread(other);
    }
    tcb.owned_sc.set(Some(sc));
    set(sc, Some(tcb), ntfn);
}

/// The context is no thread's.
pub fn unbind_thread(sc: Ptr<SchedContext>) {
    let Some(tcb) = sc.thread() else { return };
    let ntfn = tcb.owned_ntfn.take();
    tcb.owned_sc.set(None);
    set(sc, None, ntfn);
}

/// Binds a context that no notification lends to one that lends none.
pub fn bind_ntfn(sc: Ptr<SchedContext>, ntfn: Ptr<Notification>) {
    ntfn.sc.set(Some(sc));
    set(sc, sc.thread(), Some(ntfn));
}

/// No notification lends the context.
pub fn unbind_ntfn(sc: Ptr<SchedContext>) {
    if let Some(ntfn) = sc.ntfn() {
        ntfn.sc.set(None);
        set(sc, sc.thread(), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptr::tests::leak;

    fn bound(sc: Ptr<SchedContext>) -> (Option<Ptr<Tcb>>, Option<Ptr<Notification>>) {
        (sc.thread(), sc.ntfn())
    }

    #[test]
    fn thread_and_notification_come_and_go_in_any_order() {
        let (sc, tcb, ntfn): (Ptr<SchedContext>, Ptr<Tcb>, Ptr<Notification>) = (leak(), leak(), leak());
        assert_eq!(bound(sc), (None, None));
        for thread_first in [true, false] {
            if thread_first {
                bind_thread(sc, tcb);
                assert_eq!(bound(sc), (Some(tcb), None));
                bind_ntfn(sc, ntfn);
            } else {
                bind_ntfn(sc, ntfn);
                assert_eq!(bound(sc), (None, Some(ntfn)));
                bind_thread(sc, tcb);
            }
            assert_eq!(bound(sc), (Some(tcb), Some(ntfn)));
            assert_eq!((tcb.owned_sc.get(), ntfn.sc.get()), (Some(sc), Some(sc)));
            if thread_first {
                unbind_thread(sc);
                assert_eq!((bound(sc), tcb.owned_sc.get()), ((None, Some(ntfn)), None));
                unbind_ntfn(sc);
            } else {
                unbind_ntfn(sc);
                assert_eq!((bound(sc), ntfn.sc.get()), ((Some(tcb), None), None));
                unbind_thread(sc);
            }
            assert_eq!((bound(sc), tcb.owned_sc.get(), ntfn.sc.get()), ((None, None), None, None));
            assert_eq!(tcb.owned_ntfn.get(), None);
        }
    }

    #[test]
    fn a_thread_owns_one_context_and_a_context_has_one_owner() {
        let (a, b): (Ptr<SchedContext>, Ptr<SchedContext>) = (leak(), leak());
        let (tcb, other, ntfn): (Ptr<Tcb>, Ptr<Tcb>, Ptr<Notification>) = (leak(), leak(), leak());
        bind_ntfn(a, ntfn);
        bind_thread(a, tcb);
        bind_thread(b, tcb);
        assert_eq!((bound(a), bound(b)), ((None, Some(ntfn)), (Some(tcb), None)));
        bind_thread(a, other);
        bind_thread(a, tcb);
        assert_eq!((bound(a), bound(b)), ((Some(tcb), Some(ntfn)), (None, None)));
        assert_eq!((other.owned_sc.get(), other.owned_ntfn.get()), (None, None));
        bind_thread(a, tcb);
        assert_eq!((bound(a), tcb.owned_sc.get()), ((Some(tcb), Some(ntfn)), Some(a)));
    }
}
