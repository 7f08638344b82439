//! Checks of what is left when objects go: their memory is handed out when nothing refers to it any more, and not before.
use crate::checks::{Check, same};
use axiom_root_test::world::{self as w, World};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{Badge, CPtr, Error, MessageInfo, label, stubs};

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[
    ("memory of a half-deleted object is handed out when the object is gone", half_deleted),
    ("a thread that holds its own last capability goes", holds_itself),
    ("cancelled senders that send again wait again", send_again),
];

static COUNT: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

fn retype(untyped: CPtr, kind: u64, bits: u64, slot: CPtr) -> Result<(), Error> {
    w::invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind, bits, 0, 0, slot.0, 1]).map(drop)
}

extern "C" fn counts(_: u64, _: u64) -> ! {
    loop {
        COUNT.fetch_add(1, SeqCst);
    }
}

extern "C" fn revokes(untyped: u64, ntfn: u64) -> ! {
    let result = w::revoke(CPtr(untyped));
    DONE.store(if result.is_ok() { 1 } else { 2 }, SeqCst);
    loop {
        stubs::wait(CPtr(ntfn));
    }
}

/// Two CNodes hold each other's last capability; the large one also holds a running thread's. While one untyped's revocation is
/// preempted again and again, the other one's memory is asked for.
fn half_deleted(t: &mut World) -> bool {
    const LARGE: u64 = 16;
    let (large_memory, small_memory) = (t.make(kind::UNTYPED, LARGE + 5), t.make(kind::UNTYPED, 12));
    let ntfn = t.make(kind::NOTIFICATION, 0);
    let slot = t.slots(3);
    let (large, small, page) = (CPtr(slot), CPtr(slot + 1), CPtr(slot + 2));
    same!("large CNode", retype(large_memory, kind::CNODE, LARGE, large), Ok(()));
    same!("small CNode", retype(small_memory, kind::CNODE, 1, small), Ok(()));
    COUNT.store(0, SeqCst);
    DONE.store(0, SeqCst);
    let counter = t.thread(50, counts, 0, 0);
    let put = |label, into, at: [u64; 2], cap: CPtr| {
        w::invoke(into, label, &[init::CNODE], &[at[0], at[1], cap.0, 64, 15]).map(drop)
    };
    same!("thread", put(label::CNODE_MOVE, large, [1, LARGE], counter.tcb), Ok(()));
    same!("large in small", put(label::CNODE_COPY, small, [0, 1], large), Ok(()));
    same!("small in large", put(label::CNODE_COPY, large, [(1 << LARGE) - 1, LARGE], small), Ok(()));
    same!("delete", (w::delete(large), w::delete(small)), (Ok(()), Ok(())));
    t.sleep_us(1000);
    same!("the thread runs", COUNT.load(SeqCst) > 0, true);
    t.thread(100, revokes, large_memory.0, ntfn.0);
    let mut taken = false;
    for _ in 0..5000 {
        t.sleep_us(200);
        taken = taken || retype(small_memory, kind::SMALL_PAGE, 0, page).is_ok();
        if DONE.load(SeqCst) != 0 {
            break;
        }
    }
    same!("revoked", DONE.load(SeqCst), 1);
    let count = COUNT.load(SeqCst);
    t.sleep_us(3000);
    same!("the thread is stopped", COUNT.load(SeqCst), count);
    same!("small memory", taken || retype(small_memory, kind::SMALL_PAGE, 0, page).is_ok(), true);
    let again = CPtr(t.slots(1));
    same!("large memory", retype(large_memory, kind::LARGE_PAGE, 0, again), Ok(()));
    same!("give back", (w::revoke(small_memory), w::revoke(large_memory)), (Ok(()), Ok(())));
    true
}

/// A thread's CSpace is a CNode from another untyped, and holds the only capability to the thread.
fn holds_itself(t: &mut World) -> bool {
    let memory = [t.make(kind::UNTYPED, 11), t.make(kind::UNTYPED, 7)];
    for (first, second) in [(0, 1), (1, 0)] {
        let slot = t.slots(2);
        let (tcb, cnode) = (CPtr(slot), CPtr(slot + 1));
        same!("thread", retype(memory[0], kind::TCB, 0, tcb), Ok(()));
        same!("CNode", retype(memory[1], kind::CNODE, 2, cnode), Ok(()));
        let space = w::invoke(tcb, label::TCB_SET_SPACE, &[CPtr::NULL, cnode, init::VSPACE], &[0, 0]);
        same!("space", space.map(drop), Ok(()));
        let moved = w::invoke(cnode, label::CNODE_MOVE, &[init::CNODE], &[3, 2, tcb.0, 64]);
        same!("own capability", moved.map(drop), Ok(()));
        same!("delete", w::delete(cnode), Ok(()));
        same!("in use", retype(memory[first], kind::ENDPOINT, 0, tcb), Err(Error::NotEnoughMemory));
        same!("revoke", w::revoke(memory[first]), Ok(()));
        same!("first", retype(memory[first], kind::ENDPOINT, 0, tcb), Ok(()));
        same!("second", retype(memory[second], kind::ENDPOINT, 0, cnode), Ok(()));
        same!("give back", (w::revoke(memory[0]), w::revoke(memory[1])), (Ok(()), Ok(())));
    }
    true
}

extern "C" fn sends(ep: u64, _: u64) -> ! {
    loop {
        stubs::send(CPtr(ep), MessageInfo(0), [0; 4]);
        COUNT.fetch_add(1, SeqCst);
    }
}

/// A sender whose send was cancelled sends again: it waits, and the cancellation does not meet it twice.
fn send_again(t: &mut World) -> bool {
    let ep = t.make(kind::ENDPOINT, 0);
    let slot = t.slots(1);
    let mint = w::invoke(init::CNODE, label::CNODE_MINT, &[init::CNODE], &[slot, 64, ep.0, 64, 15, 7]);
    same!("mint", mint.map(drop), Ok(()));
    COUNT.store(0, SeqCst);
    let senders = [(); 3].map(|()| t.thread(200, sends, slot, 0));
    for sender in senders {
        t.run_until_blocked(sender);
    }
    let cancel = || w::invoke(init::CNODE, label::CNODE_CANCEL_BADGED_SENDS, &[], &[slot, 64]).map(drop);
    same!("cancel", (cancel(), cancel()), (Ok(()), Ok(())));
    t.sleep_us(3000);
    same!("nothing was sent", COUNT.load(SeqCst), 0);
    // They wait again: each message can be received.
    let reply = t.make(kind::REPLY, 0);
    for _ in 0..3 {
        same!("badge", stubs::nb_recv(ep, reply).badge, Badge(7));
    }
    for sender in senders {
        same!("delete", w::delete(sender.tcb), Ok(()));
    }
    same!("delete all", (w::revoke(ep), w::delete(ep)), (Ok(()), Ok(())));
    true
}
