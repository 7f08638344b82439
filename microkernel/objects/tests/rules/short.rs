//! When a system call has its short way: exactly when each of its conditions holds. That the short way then does what the ordinary one
//! does is shown elsewhere; here no condition is missing, and none is stricter than it says.
use axiom_objects::arch::registers::{CAP, INFO, REPLY};
use axiom_objects::fake::{BUDGET, FakeWorld};
use axiom_objects::machine::Machine;
use axiom_objects::object::Reply;
use axiom_objects::object::{Fault, NotificationState, ThreadState};
use axiom_objects::{Cap, Ptr, Tcb, fast, ipc, notify, sched};
use sel4_sys::{Badge, CapRights, MessageInfo};

const ENDPOINT: u64 = 1;
const NOTIFICATION: u64 = 2;
const REPLY_CAP: u64 = 3;

/// The context that the partner has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Own {
    None,
    Ready,
    Unconfigured,
    Waiting,
    Sporadic,
}

const OWN: [Own; 5] = [Own::None, Own::Ready, Own::Unconfigured, Own::Waiting, Own::Sporadic];

struct Scene {
    world: FakeWorld,
    space: Cap,
    caller: Ptr<Tcb>,
    partner: Ptr<Tcb>,
}

/// A running thread of priority 10, and a partner of a priority, on a context of its own or without.
fn scene(priority: u8, own: Own) -> Scene {
    let world = FakeWorld::with_memory(17);
    let space = world.cnode(4);
    let (caller, partner) = (world.thread(10, space), world.passive_thread(priority, space));
    if own != Own::None {
        let sc = world.context(1000, 10_000);
        partner.sc.set(Some(sc));
        sc.tcb.set(Some(partner));
        match own {
            Own::Unconfigured => sc.refill_max.set(0),
            Own::Sporadic => sc.sporadic.set(true),
            Own::Waiting => {
                sc.configure(4, 1000, 10_000, world.time() + 5000);
                sched::postpone((&&world).node(), sc);
            }
            _ => {}
        }
    }
    world.run(caller);
    Scene { world, space, caller, partner }
}

/// What else may stand in a short way's way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hindrance {
    Nothing,
    /// A ready thread below, equal to or above the partner.
    Ready(i16),
    /// An account that is due at the partner's priority.
    Due,
    /// Capabilities go along.
    Caps,
    /// Time is charged to another context than the caller's.
    Charged,
    /// Less than the smallest budget is left, or just that.
    Left(u64),
}

const HINDRANCES: [Hindrance; 9] = [
    Hindrance::Nothing,
    Hindrance::Ready(-1),
    Hindrance::Ready(0),
    Hindrance::Ready(1),
    Hindrance::Due,
    Hindrance::Caps,
    Hindrance::Charged,
    Hindrance::Left(19),
    Hindrance::Left(20),
];

impl Scene {
    /// Puts the hindrance there; the caller's message has no words.
    fn hinder(&self, hindrance: Hindrance) {
        let machine = &self.world;
        let n = machine.node();
        let caps = u64::from(hindrance == Hindrance::Caps);
        self.caller.regs.set(INFO, MessageInfo::new(0, 0, caps, 0).0);
        match hindrance {
            Hindrance::Ready(above) => {
                let priority = i16::from(self.partner.priority.get()) + above;
                self.world.thread(priority as u8, self.space);
                n.action.set(axiom_objects::node::Action::Resume);
            }
            Hindrance::Due => {
                let sc = self.world.context(1000, 10_000);
                let timer = self.world.timer();
                n.emptied(n.accounts.arm(timer, sc, 0, 0));
                n.emptied(n.accounts.leave(sc));
                n.make_due(sc, self.partner.priority.get());
            }
            Hindrance::Charged => n.current_sc.set(Some(self.world.context(1000, 10_000))),
            Hindrance::Left(left) => self.world.advance(BUDGET - left),
            Hindrance::Nothing | Hindrance::Caps => {}
        }
    }

    fn endpoint(&self, rights: u64) -> Ptr<axiom_objects::object::Endpoint> {
        let ep = self.world.endpoint();
        let cap = Cap::Endpoint { ep, badge: Badge(0), rights: CapRights(rights) };
        self.world.put(self.space, ENDPOINT, cap);
        ep
    }

    fn notification(&self, rights: u64) -> Ptr<axiom_objects::object::Notification> {
        let ntfn = self.world.notification();
        let cap = Cap::Notification { ntfn, badge: Badge(8), rights: CapRights(rights) };
        self.world.put(self.space, NOTIFICATION, cap);
        ntfn
    }

    fn reply(&self) -> Ptr<Reply> {
        let reply = self.world.reply();
        self.world.put(self.space, REPLY_CAP, Cap::Reply { reply, can_grant: true });
        reply
    }
}

/// Whether a change of contexts is covered: the other's is there and is no server of its own kind, and this one has budget left.
fn contexts_change(own: Own, hindrance: Hindrance) -> bool {
    own == Own::None || (own == Own::Ready && hindrance != Hindrance::Left(19))
}

/// Whether nobody comes before the partner.
fn partner_is_next(hindrance: Hindrance) -> bool {
    !matches!(hindrance, Hindrance::Ready(1) | Hindrance::Due)
}

#[test]
fn a_call_to_a_server_that_waits_with_a_reply_object() {
    for own in OWN {
        for hindrance in HINDRANCES {
            for (rights, has_reply, state) in
                (0..16).flat_map(|r| [(r, true, 2), (r, false, 2), (r, true, 1), (r, true, 0)])
            {
                let s = scene(12, own);
                let ep = s.endpoint(rights);
                let reply = has_reply.then(|| s.reply());
                match state {
                    2 => ipc::receive(
                        &s.world,
                        s.partner,
                        ep,
                        ipc::ReceiveOptions { can_grant: true, blocking: true, reply },
                    ),
                    1 => {
                        let options = ipc::SendOptions {
                            blocking: true,
                            call: true,
                            badge: 0,
                            can_grant: true,
                            can_grant_reply: true,
                            can_donate: false,
                        };
                        ipc::send(&s.world, s.partner, ep, options);
                    }
                    _ => {}
                }
                s.hinder(hindrance);
                s.caller.regs.set(CAP, ENDPOINT);
                let may_call = rights & 1 != 0 && rights & 12 != 0;
                let clear =
                    partner_is_next(hindrance) && !matches!(hindrance, Hindrance::Caps | Hindrance::Charged);
                let expected =
                    may_call && has_reply && state == 2 && clear && contexts_change(own, hindrance);
                let taken = fast::call(&s.world, s.caller);
                assert_eq!(
                    taken, expected,
                    "{own:?}, {hindrance:?}, rights {rights}, reply {has_reply}, {state}"
                );
                assert_eq!(s.world.current() == s.partner, expected);
            }
        }
    }
    let s = scene(12, Own::None);
    s.notification(15);
    for cptr in [NOTIFICATION, 9, 1 << 40] {
        s.caller.regs.set(CAP, cptr);
        assert!(!fast::call(&s.world, s.caller));
    }
}

/// What the server finds when it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    Calls,
    Faulted,
    /// It receives with the object itself.
    Receives,
    Nobody,
}

#[test]
fn an_answer_of_a_server_for_which_nobody_waits() {
    let bound = [
        None,
        Some((NotificationState::Idle, false)),
        Some((NotificationState::Idle, true)),
        Some((NotificationState::Active, false)),
    ];
    for own in OWN {
        for hindrance in HINDRANCES {
            for client in [Client::Calls, Client::Faulted, Client::Receives, Client::Nobody] {
                for (rights, sender_waits, signalled) in
                    (0..4).flat_map(|r| bound.map(|b| (r, false, b))).chain([(15, true, None)])
                {
                    let s = scene(12, own);
                    let ep = s.endpoint(rights);
                    let (reply, machine) = (s.reply(), &s.world);
                    if matches!(client, Client::Calls | Client::Faulted) {
                        reply.tcb.set(Some(s.partner));
                        s.partner.reply.set(Some(reply));
                        s.partner.state.set(ThreadState::BlockedOnReply);
                        // A caller without a context has lent it to the server.
                        if own == Own::None {
                            let sc = s.caller.sc.get().expect("the server has a context");
                            reply.sc.set(Some(sc));
                            sc.reply.set(Some(reply));
                        }
                    } else if client == Client::Receives {
                        let other = s.world.endpoint();
                        ipc::receive(
                            machine,
                            s.partner,
                            other,
                            ipc::ReceiveOptions { can_grant: true, blocking: true, reply: Some(reply) },
                        );
                    }
                    if client == Client::Faulted {
                        s.partner.fault.set(Fault::UserException { number: 1, code: 2 });
                    }
                    if sender_waits {
                        let third = s.world.passive_thread(3, s.space);
                        let options = ipc::SendOptions {
                            blocking: true,
                            call: false,
                            badge: 0,
                            can_grant: true,
                            can_grant_reply: true,
                            can_donate: false,
                        };
                        ipc::send(machine, third, ep, options);
                    }
                    if let Some((state, lends)) = signalled {
                        let ntfn = s.notification(3);
                        ntfn.bound.set(Some(s.caller));
                        s.caller.bound_ntfn.set(Some(ntfn));
                        ntfn.state.set(state);
                        if lends {
                            let sc = s.world.context(1000, 10_000);
                            axiom_objects::owner::bind_ntfn(sc, ntfn);
                        }
                    }
                    s.hinder(hindrance);
                    s.caller.regs.set(CAP, ENDPOINT);
                    s.caller.regs.set(REPLY, REPLY_CAP);
                    let clear = partner_is_next(hindrance)
                        && !matches!(hindrance, Hindrance::Caps | Hindrance::Charged);
                    let quiet = matches!(signalled, None | Some((NotificationState::Idle, false)));
                    let expected = rights & 2 != 0
                        && !sender_waits
                        && client == Client::Calls
                        && clear
                        && quiet
                        && contexts_change(own, hindrance);
                    let taken = fast::reply_recv(machine, s.caller);
                    let what = format!("{own:?}, {hindrance:?}, {client:?}, rights {rights}, {signalled:?}");
                    assert_eq!(taken, expected, "{what}");
                    assert_eq!(s.caller.state.get() == ThreadState::BlockedOnReceive, expected, "{what}");
                    if expected {
                        assert_eq!(s.caller.can_grant.get(), rights & 4 != 0);
                    }
                }
            }
        }
    }
}

#[test]
fn an_answer_takes_only_the_newest_call_off_a_stack() {
    for own in [Own::None, Own::Ready] {
        for (newer, older) in [(false, false), (true, false), (false, true), (true, true)] {
            let s = scene(12, own);
            s.endpoint(15);
            let (reply, machine) = (s.reply(), &s.world);
            reply.tcb.set(Some(s.partner));
            s.partner.reply.set(Some(reply));
            s.partner.state.set(ThreadState::BlockedOnReply);
            let others = [s.world.reply(), s.world.reply()];
            if newer {
                reply.next.set(Some(others[0]));
                others[0].prev.set(Some(reply));
            }
            if older {
                reply.prev.set(Some(others[1]));
                others[1].next.set(Some(reply));
            }
            // The context hangs on the newest.
            let sc = s.caller.sc.get().expect("the server has a context");
            let newest = if newer { others[0] } else { reply };
            if own == Own::None {
                newest.sc.set(Some(sc));
                sc.reply.set(Some(newest));
            }
            s.hinder(Hindrance::Nothing);
            s.caller.regs.set(CAP, ENDPOINT);
            s.caller.regs.set(REPLY, REPLY_CAP);
            let expected = !newer && (own == Own::None || !older);
            assert_eq!(
                fast::reply_recv(machine, s.caller),
                expected,
                "{own:?}, newer {newer}, older {older}"
            );
            if expected && own == Own::None {
                let then = older.then_some(others[1]);
                assert_eq!((sc.reply.get(), others[1].sc.get().is_some()), (then, older));
                assert!(
                    reply.sc.get().is_none() && reply.prev.get().is_none() && others[1].next.get().is_none()
                );
            }
        }
    }
}

#[test]
fn a_message_or_a_signal_to_who_takes_the_core() {
    for own in OWN {
        for hindrance in HINDRANCES {
            for priority in [9, 10, 11] {
                for rights in 0..4 {
                    for how in 0..6 {
                        let s = scene(priority, own);
                        let machine = &s.world;
                        let (ep, ntfn) = (s.endpoint(rights), s.notification(rights));
                        // 0: the partner receives; 1: nobody does; 2: it waits for the signal; 3: it is bound and receives; 4: nobody
                        // waits; 5: it is bound, and a signal is stored.
                        match how {
                            0 => ipc::receive(
                                machine,
                                s.partner,
                                ep,
                                ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None },
                            ),
                            2 => notify::wait(machine.node(), s.partner, ntfn, true),
                            3 | 5 => {
                                ntfn.bound.set(Some(s.partner));
                                s.partner.bound_ntfn.set(Some(ntfn));
                                ipc::receive(
                                    machine,
                                    s.partner,
                                    ep,
                                    ipc::ReceiveOptions { can_grant: true, blocking: true, reply: None },
                                );
                            }
                            _ => {}
                        }
                        if how == 5 {
                            ntfn.state.set(NotificationState::Active);
                            ntfn.badge.set(12);
                        }
                        s.hinder(hindrance);
                        s.caller.regs.set(CAP, if how < 2 { ENDPOINT } else { NOTIFICATION });
                        let may = rights & 1 != 0 && hindrance != Hindrance::Caps;
                        let next = !matches!(
                            hindrance,
                            Hindrance::Ready(0 | 1) | Hindrance::Due | Hindrance::Charged
                        );
                        let takes =
                            priority > 10 && next && own != Own::None && contexts_change(own, hindrance);
                        let expected = may && (matches!(how, 4 | 5) || (how != 1 && takes));
                        let taken = fast::send(machine, s.caller);
                        let what = format!(
                            "{own:?}, {hindrance:?}, priority {priority}, rights {rights}, way {how}"
                        );
                        assert_eq!(taken, expected, "{what}");
                        let runs = expected && matches!(how, 0 | 2 | 3);
                        assert_eq!(s.world.current() == s.partner, runs, "{what}");
                        if matches!(how, 4 | 5) {
                            let badge = if how == 5 { 12 } else { 0 } | if expected { 8 } else { 0 };
                            assert_eq!(ntfn.badge.get(), badge, "{what}");
                        }
                    }
                }
            }
        }
    }
    let s = scene(11, Own::Ready);
    s.reply();
    for cptr in [REPLY_CAP, 9, 1 << 40] {
        s.caller.regs.set(CAP, cptr);
        assert!(!fast::send(&s.world, s.caller));
    }
}

#[test]
fn a_poll_of_ones_own_notification_or_nobodys() {
    for rights in 0..4 {
        for bound in [None, Some(true), Some(false)] {
            for (active, lends) in [(true, false), (false, false), (true, true), (false, true)] {
                let s = scene(11, Own::Ready);
                let ntfn = s.notification(rights);
                if let Some(own) = bound {
                    let to = if own { s.caller } else { s.partner };
                    ntfn.bound.set(Some(to));
                    to.bound_ntfn.set(Some(ntfn));
                }
                if active {
                    ntfn.state.set(NotificationState::Active);
                    ntfn.badge.set(5);
                }
                if lends {
                    ntfn.sc.set(Some(s.world.context(1000, 10_000)));
                }
                s.caller.regs.set(CAP, NOTIFICATION);
                let expected = rights & 2 != 0 && bound != Some(false) && !lends;
                assert_eq!(fast::poll(s.caller), expected, "rights {rights}, {bound:?}, {active}, {lends}");
                if expected {
                    assert_eq!(s.caller.regs.get(CAP), if active { 5 } else { 0 });
                    assert_eq!(ntfn.state.get(), NotificationState::Idle);
                } else {
                    assert_eq!(ntfn.state.get() == NotificationState::Active, active);
                }
            }
        }
    }
    let s = scene(11, Own::Ready);
    s.endpoint(15);
    s.caller.regs.set(CAP, ENDPOINT);
    assert!(!fast::poll(s.caller));
}
