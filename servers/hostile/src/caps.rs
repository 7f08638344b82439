//! Capabilities that are not what they are said to be.

use crate::Tries;
use axiom_bpf_client::BpfServer;
use axiom_runtime::proto::gpio::{Edges, INTERFACE, Line, Reply, Request};
use axiom_runtime::proto::wire;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, MessageInfo, stubs};
use axiom_runtime::{Buffer, Untyped, call_with_cap, ipc, plain};

/// Two capabilities in one message: the first is the server's own endpoint, which arrives as a number, the second fills its receive
/// slot.
pub fn two(tries: &mut Tries) {
    let Some(server) = tries.channel("gpio-server") else {
        return tries.works("the manifest gives this server a channel to gpio-server", false);
    };
    let own = tries.doorbell().0.0;
    let subscribe = Request::Subscribe { line: Line { chip: 0, line: 5 }, edges: Edges::Both };
    let subscribes = |what: &str, tries: &mut Tries| {
        let mut buffer = Buffer::new();
        let reply = call_with_cap::<_, Reply>(server, INTERFACE, &subscribe, Some(own), &mut buffer);
        plain!("{what}: {reply:?}");
        tries.works(what, matches!(reply, Ok((Reply::Done, _))));
    };
    subscribes("a subscription before", tries);
    for pair in [[server.0, own], [own, server.0], [own, own]] {
        // A request that takes no capability leaves them where they arrived.
        let mut bytes = [0; 32];
        let words = wire::encode(&Request::Motors, &mut bytes).unwrap_or(0);
        let mrs = core::array::from_fn(|i| u64::from_le_bytes(core::array::from_fn(|b| bytes[8 * i + b])));
        pair.iter().enumerate().for_each(|(i, cap)| ipc::set_cap(i, *cap));
        let _ = stubs::call(server.0, MessageInfo::new(INTERFACE.into(), 0, 2, words as u64), mrs);
        subscribes("a subscription after two capabilities in one message", tries);
    }
}

/// An endpoint where a notification should be, with nobody who receives from it: whoever sends to it and waits, waits for ever.
pub fn endpoint(tries: &mut Tries) {
    let Some(server) = tries.channel("bpf-server").map(BpfServer) else {
        return tries.works("the manifest gives this server a channel to bpf-server", false);
    };
    let untyped = tries.rt.env().untyped.map(|u| Untyped(CPtr(u.slot)));
    let end = tries.slots.take().unwrap_or(CPtr::NULL);
    let made = untyped.is_some_and(|u| u.retype(kind::ENDPOINT, 0, end, 1).is_ok());
    tries.works("an endpoint of its own", made);
    let Ok(loaded) = server.load("timer_latency.o", None, [None; 4]) else {
        return tries.works("a program of its own", false);
    };
    let given = server.notify(loaded.id, "latencies", end);
    plain!("an endpoint is given as a doorbell: {}", if given.is_ok() { "taken" } else { "refused" });
    let mut before = 0;
    for _ in 0..5 {
        tries.sleep(100);
        let runs = server.counts(loaded.id).map_or(0, |c| c.0);
        plain!("the program ran {runs} times");
        tries.works("the timer server runs on", runs > before);
        before = runs;
    }
    tries.works("unload", server.unload(loaded.id).is_ok());
}
