//! Messages: call and reply round trips of 0, 4, 10 and 120 words, to a server in another address space, to a thread in this
//! one (passive, on the caller's time), and with postcard at both ends.
use super::memory::Series;
use super::report::Report;
use super::threads::Resources;
use crate::text;
use axiom_proto::bench::{INTERFACE, Reply, Request};
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, Error, MessageInfo, stubs};
use axiom_runtime::{Buffer, Endpoint, Runtime, call, time};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

const SAMPLES: usize = 100;
const WARM_UP: usize = 8;
const LENGTHS: [u64; 4] = [0, 4, 10, 120];

/// Measures all of them.
pub fn measure(rt: &Runtime, resources: &mut Resources, report: &mut Report) {
    match rt.channel("bench-partner") {
        Some(partner) => {
            for words in LENGTHS {
                let name = text!("ipc.round_trip.active.{words}w.other_space");
                report.cycles(&name, round_trips(partner.0, words).iter().copied());
            }
            postcard(partner, report);
        }
        None => report.missing("ipc.*.other_space", "the manifest has no bench-partner"),
    }
    if let Err(error) = same_space(resources, report) {
        report.missing("ipc.*.same_space", &text!("{error:?}"));
    }
}

fn round_trips(endpoint: CPtr, words: u64) -> Series<u64, SAMPLES> {
    let info = MessageInfo::new(1, 0, 0, words);
    let mut samples = Series::new();
    for i in 0..WARM_UP + SAMPLES {
        let start = time::cycles();
        let answer = stubs::call(endpoint, info, [1, 2, 3, 4]);
        let end = time::cycles();
        if i >= WARM_UP && answer.info.length() as u64 == words {
            samples.push(end.wrapping_sub(start));
        }
    }
    samples
}

fn postcard(partner: Endpoint, report: &mut Report) {
    let (mut cycles, mut ticks) = (Series::<_, SAMPLES>::new(), Series::<_, SAMPLES>::new());
    let mut wrong = 0;
    for value in 0..(WARM_UP + SAMPLES) as u32 {
        let mut buffer = Buffer::new();
        let (start, start_ticks) = (time::cycles(), time::ticks());
        let reply = call(partner, INTERFACE, &Request::Echo { value }, &mut buffer);
        let (end_ticks, end) = (time::ticks(), time::cycles());
        if reply != Ok(Reply::Echo { value }) {
            wrong += 1;
        } else if value as usize >= WARM_UP {
            cycles.push(end.wrapping_sub(start));
            ticks.push(end_ticks - start_ticks);
        }
    }
    if wrong > 0 {
        report.missing("ipc.postcard", &text!("{wrong} answers were not what was sent"));
    }
    report.instructions("ipc.postcard.round_trip.insns", cycles.iter().copied());
    report.ticks("ipc.postcard.round_trip", ticks.iter().copied(), true);
}

static ENDPOINT: AtomicU64 = AtomicU64::new(0);

extern "C" fn echo(reply: u64) -> ! {
    let (endpoint, reply) = (CPtr(ENDPOINT.load(Relaxed)), CPtr(reply));
    let mut m = stubs::recv(endpoint, reply);
    loop {
        m = stubs::reply_recv(endpoint, m.info, m.mrs, reply);
    }
}

fn same_space(resources: &mut Resources, report: &mut Report) -> Result<(), Error> {
    let Some(priority) = resources.priority() else { return Err(Error::InvalidArgument) };
    for passive in [false, true] {
        let endpoint = resources.make(kind::ENDPOINT, 0)?;
        let reply = resources.make(kind::REPLY, 0)?;
        ENDPOINT.store(endpoint.0, Relaxed);
        // The server runs above this thread, so that it waits again before the next call.
        resources.set_own_priority(priority - 1)?;
        let thread = resources.thread(priority, echo, reply.0)?;
        stubs::call(endpoint, MessageInfo::new(1, 0, 0, 0), [0; 4]);
        if passive {
            resources.make_passive(thread)?;
        }
        for words in LENGTHS {
            let kind = if passive { "passive" } else { "active" };
            let name = text!("ipc.round_trip.{kind}.{words}w.same_space");
            report.cycles(&name, round_trips(endpoint, words).iter().copied());
        }
        thread.tcb.suspend()?;
        resources.set_own_priority(priority)?;
    }
    Ok(())
}
