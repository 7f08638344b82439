//! Messages, signals, threads that give way.
use crate::table::{SAMPLES, Table, WARM_UP, timed};
use axiom_root_test::world::{self as w, Thread, World, cycles};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::object::kind;
use sel4_sys::{CPtr, MessageInfo, cap::init, label, stubs};

/// When the other side last came out of the kernel.
static ARRIVED: AtomicU64 = AtomicU64::new(0);
/// When the other side last went into the kernel.
static LEFT: AtomicU64 = AtomicU64::new(0);

const TOP: u64 = 254;

/// Answers with messages of the length that came.
extern "C" fn server(endpoint: u64, reply: u64) -> ! {
    let mut m = stubs::recv(CPtr(endpoint), CPtr(reply));
    loop {
        ARRIVED.store(cycles(), Relaxed);
        let info = MessageInfo::new(0, 0, 0, m.info.length() as u64);
        LEFT.store(cycles(), Relaxed);
        m = stubs::reply_recv(CPtr(endpoint), info, m.mrs, CPtr(reply));
    }
}

extern "C" fn receiver(endpoint: u64, reply: u64) -> ! {
    loop {
        stubs::recv(CPtr(endpoint), CPtr(reply));
        ARRIVED.store(cycles(), Relaxed);
    }
}

extern "C" fn waiter(ntfn: u64, _: u64) -> ! {
    loop {
        stubs::wait(CPtr(ntfn));
        ARRIVED.store(cycles(), Relaxed);
    }
}

/// All of them.
pub fn measure(world: &mut World, table: &mut Table) {
    own_priority(TOP - 1);
    calls(world, table);
    one_way(world, table);
    signals(world, table);
    refusals(table);
    table.sample("kernel.yield.nobody_else_ready", || timed(stubs::yield_now));
}

/// This thread's priority: below the other side's.
fn own_priority(priority: u64) {
    if let Err(e) = w::invoke(init::TCB, label::TCB_SET_PRIORITY, &[init::TCB], &[priority]) {
        panic!("cannot change the own priority: {e:?}");
    }
}

fn suspend(thread: Thread) {
    if let Err(e) = w::invoke(thread.tcb, label::TCB_SUSPEND, &[], &[]) {
        panic!("cannot suspend a thread: {e:?}");
    }
}

fn calls(world: &mut World, table: &mut Table) {
    let (endpoint, reply) = (world.make(kind::ENDPOINT, 0), world.make(kind::REPLY, 0));
    let thread = world.thread(TOP, server, endpoint.0, reply.0);
    lengths(table, endpoint, "active", &[0]);
    // Without a scheduling context of its own it runs on its callers'.
    if let Err(e) = w::invoke(thread.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]) {
        panic!("cannot make the server passive: {e:?}");
    }
    lengths(table, endpoint, "passive", &[0, 4, 5, 10, 120]);
    suspend(thread);
}

fn lengths(table: &mut Table, endpoint: CPtr, kind: &str, lengths: &[u64]) {
    for &words in lengths {
        let info = MessageInfo::new(0, 0, 0, words);
        let (mut call, mut answer, mut both) = ([0; SAMPLES], [0; SAMPLES], [0; SAMPLES]);
        for i in 0..WARM_UP + SAMPLES {
            let start = cycles();
            stubs::call(endpoint, info, [1, 2, 3, 4]);
            let end = cycles();
            if let Some(at) = i.checked_sub(WARM_UP) {
                call[at] = ARRIVED.load(Relaxed).wrapping_sub(start);
                answer[at] = end.wrapping_sub(LEFT.load(Relaxed));
            }
        }
        // The round trip has no reading of the counter inside: what the server's own two cost is taken out of it.
        for (i, both) in both.iter_mut().enumerate() {
            *both = call[i] + answer[i];
        }
        let mut name = Name::new();
        table.add(name.set(format_args!("kernel.call.{kind}.{words}w")), &call, 1);
        table.add(name.set(format_args!("kernel.reply_recv.{kind}.{words}w")), &answer, 1);
        table.add(name.set(format_args!("kernel.round_trip.{kind}.{words}w")), &both, 1);
    }
}

fn one_way(world: &mut World, table: &mut Table) {
    let (endpoint, reply) = (world.make(kind::ENDPOINT, 0), world.make(kind::REPLY, 0));
    let thread = world.thread(TOP, receiver, endpoint.0, reply.0);
    table.sample("kernel.send.to_higher_priority_receiver", || {
        let start = cycles();
        stubs::send(endpoint, MessageInfo::new(0, 0, 0, 0), [0; 4]);
        ARRIVED.load(Relaxed).wrapping_sub(start)
    });
    suspend(thread);
}

fn signals(world: &mut World, table: &mut Table) {
    let ntfn = world.make(kind::NOTIFICATION, 0);
    table.sample("kernel.signal.nobody_waits", || {
        let spent = timed(|| stubs::signal(ntfn));
        stubs::nb_wait(ntfn);
        spent
    });
    table.sample("kernel.nb_wait", || {
        timed(|| {
            stubs::nb_wait(ntfn);
        })
    });
    let thread = world.thread(TOP, waiter, ntfn.0, 0);
    table.sample("kernel.signal.to_higher_priority_waiter", || {
        let start = cycles();
        stubs::signal(ntfn);
        ARRIVED.load(Relaxed).wrapping_sub(start)
    });
    suspend(thread);
}

fn refusals(table: &mut Table) {
    let none = CPtr(0);
    table.sample("kernel.call.null_capability", || {
        timed(|| {
            stubs::call(none, MessageInfo::new(0, 0, 0, 0), [0; 4]);
        })
    });
    table.sample("kernel.nb_send.invalid_capability", || {
        timed(|| stubs::nb_send(CPtr(u64::MAX), MessageInfo::new(0, 0, 0, 0), [0; 4]))
    });
}

/// A metric's name, put together without a heap.
struct Name {
    bytes: [u8; 64],
    length: usize,
}

impl Name {
    fn new() -> Name {
        Name { bytes: [0; 64], length: 0 }
    }

    fn set(&mut self, text: core::fmt::Arguments<'_>) -> &str {
        self.length = 0;
        if core::fmt::Write::write_fmt(self, text).is_err() {
            panic!("a metric's name is too long");
        }
        core::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

impl core::fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}
