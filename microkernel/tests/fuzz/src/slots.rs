//! The two shared CNodes as workers see them: where a kind of capability probably is.
//!
//! Every worker's capability space is a root CNode of four bits (behind a guard) with CNodes of [`RADIX`] bits below: its
//! private one, the two shared ones, and for some a fourth with what cannot be made again.
use crate::arena::{ARENA, RADIX, SLOTS, State};
use crate::calls::{Call, perform};
use core::sync::atomic::Ordering::Relaxed;
use sel4_sys::syscall;

/// Kinds of capabilities, as workers note them.
#[allow(missing_docs)]
pub mod kind {
    pub const EMPTY: u8 = 0;
    pub const UNTYPED: u8 = 1;
    pub const TCB: u8 = 2;
    pub const ENDPOINT: u8 = 3;
    pub const NOTIFICATION: u8 = 4;
    pub const CNODE: u8 = 5;
    pub const CONTEXT: u8 = 6;
    pub const REPLY: u8 = 7;
    pub const FRAME: u8 = 8;
    pub const VSPACE: u8 = 9;
    pub const TABLE: u8 = 10;
    pub const TIMER: u8 = 11;
    pub const IRQ: u8 = 12;
    pub const SCHED_CONTROL: u8 = 13;
    pub const ASID_CONTROL: u8 = 14;
    pub const ASID_POOL: u8 = 15;
    pub const DOMAIN: u8 = 16;
    pub const TRACE: u8 = 17;
    pub const OTHER: u8 = 18;
}

/// Entries of a worker's root CNode.
pub mod top {
    /// The private CNode.
    pub const PRIVATE: u64 = 1;
    /// The first shared CNode; the second follows.
    pub const SHARED: u64 = 2;
    /// What cannot be made again: it can be invoked, but not deleted, for its CNode has no capability there.
    pub const FIXED: u64 = 4;
}

/// Slots of a worker's private CNode.
pub mod private {
    /// The worker's TCB.
    pub const TCB: u64 = 1;
    /// Its root CNode; empty for those that reach the fixed one.
    pub const ROOT: u64 = 2;
    /// The first shared CNode; the second follows.
    pub const SHARED: u64 = 3;
    /// This CNode.
    pub const SELF: u64 = 5;
    /// Its address space.
    pub const VSPACE: u64 = 6;
    /// Its IPC buffer's frame.
    pub const BUFFER: u64 = 7;
    /// Its scheduling context.
    pub const CONTEXT: u64 = 8;
    /// A reply object.
    pub const REPLY: u64 = 9;
    /// A notification.
    pub const NOTIFICATION: u64 = 10;
    /// A timer bound to it.
    pub const TIMER: u64 = 11;
    /// Another worker's TCB.
    pub const PREY: u64 = 12;
    /// The first slot for the worker's own use.
    pub const FREE: u64 = 16;
}

/// Slots of the fixed CNode.
pub mod fixed {
    /// SchedControl.
    pub const SCHED_CONTROL: u64 = 1;
    /// IRQControl.
    pub const IRQ_CONTROL: u64 = 2;
    /// ASIDControl.
    pub const ASID_CONTROL: u64 = 3;
    /// The domain capability.
    pub const DOMAIN: u64 = 4;
}

/// A capability pointer.
pub const fn pointer(top: u64, index: u64) -> u64 {
    top << RADIX | index
}

/// A slot of a shared CNode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Which of the two.
    pub node: u64,
    /// Its slot.
    pub index: u64,
}

impl Shared {
    /// A slot by number.
    pub fn new(number: u64) -> Shared {
        Shared { node: number >> RADIX & 1, index: number & (SLOTS as u64 - 1) }
    }

    /// The pointer to what it holds.
    pub fn pointer(self) -> u64 {
        pointer(top::SHARED + self.node, self.index)
    }

    /// The slot as CNode invocations name it: root, index, depth.
    pub fn path(self, w: &State) -> (u64, u64, u64) {
        if w.index().is_multiple_of(2) && w.once_in(4) {
            (pointer(top::PRIVATE, private::ROOT), self.pointer(), 64)
        } else {
            (pointer(top::PRIVATE, private::SHARED + self.node), self.index, RADIX)
        }
    }

    /// What it is believed to hold.
    pub fn kind(self) -> u8 {
        ARENA.shadow[self.node as usize & 1][self.index as usize & (SLOTS - 1)].load(Relaxed)
    }

    /// Notes what it holds.
    pub fn note(self, kind: u8) {
        ARENA.shadow[self.node as usize & 1][self.index as usize & (SLOTS - 1)].store(kind, Relaxed);
    }

    /// Asks the kernel what it holds.
    pub fn ask(self, w: &State) {
        let mut call = Call::invocation(self.pointer(), 0, &[], &[]);
        call.number = syscall::DEBUG_CAP_IDENTIFY;
        self.note(match perform(w, &call).badge {
            0 => kind::EMPTY,
            1 => kind::FRAME,
            2 => kind::UNTYPED,
            3 | 5 | 7 => kind::TABLE,
            4 => kind::ENDPOINT,
            6 => kind::NOTIFICATION,
            8 => kind::REPLY,
            9 => kind::VSPACE,
            10 => kind::CNODE,
            11 => kind::ASID_CONTROL,
            12 => kind::TCB,
            13 => kind::ASID_POOL,
            16 => kind::IRQ,
            20 => kind::DOMAIN,
            22 => kind::CONTEXT,
            24 => kind::SCHED_CONTROL,
            64 => kind::TIMER,
            65 => kind::TRACE,
            _ => kind::OTHER,
        });
    }

    /// A slot that probably holds this kind; any slot if there seems to be none.
    pub fn find(w: &State, kind: u8) -> Shared {
        let start = w.word();
        let mut number = start;
        for _ in 0..2 * SLOTS {
            let slot = Shared::new(number);
            if slot.kind() == kind {
                return slot;
            }
            number = number.wrapping_add(1);
        }
        Shared::new(start >> 20)
    }

    /// A slot that probably holds something.
    pub fn any(w: &State) -> Shared {
        let mut number = w.word();
        for _ in 0..2 * SLOTS {
            let slot = Shared::new(number);
            if slot.kind() != kind::EMPTY {
                break;
            }
            number = number.wrapping_add(1);
        }
        Shared::new(number)
    }
}
