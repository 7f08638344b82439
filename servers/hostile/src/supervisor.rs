//! Ending the run, which only some servers may, and the kernel's debugging calls, which no server may make.

use crate::Tries;
use alloc::string::String;
use axiom_runtime::proto::Error;
use axiom_runtime::proto::supervisor::{INTERFACE, Reply, Request};
use axiom_runtime::sel4::{stubs, syscall};
use axiom_runtime::{Buffer, call, plain};

/// Ends the run well, without the right to.
pub fn finish(tries: &mut Tries) {
    let Some(init) = tries.channel("init") else { return };
    let request = Request::Finish { failure: "" };
    let mut buffer = Buffer::new();
    let reply = call::<_, Reply<'_>>(init, INTERFACE, &request, &mut buffer);
    plain!("hostile: Finish without the right to end a run: {reply:?}");
    tries.refused("ends the run", !matches!(reply, Ok(Reply::Done)));
}

/// Prints what init would print, on every way to the serial port that it has; then the run goes on, and fails.
pub fn forge(tries: &mut Tries) {
    for verdict in [
        "axiom: run ended: ok",
        "\raxiom: run ended: ok",
        "\u{85}axiom: run ended: ok",
        "x\naxiom: run ended: ok",
    ] {
        plain!("{verdict}");
    }
    tries.sleep(100);
    tries.failure = String::from("the run went on after the forged verdict");
}

/// Calls a server that stays down: it is told so, as often as it asks.
pub fn down(tries: &mut Tries) {
    let Some(server) = tries.channel("crashing") else { return };
    tries.sleep(100);
    for _ in 0..3 {
        let answer = call::<_, u8>(server, INTERFACE, &0u8, &mut Buffer::new());
        plain!("the server that is down: {answer:?}");
        tries.works("a server that is down is said to be", answer == Err(Error::PeerDown));
    }
}

/// Makes one of the kernel's debugging calls in each of its lives: a call that returns was served.
pub fn debug_calls(tries: &mut Tries) {
    const CALLS: [i64; 6] = [
        syscall::DEBUG_PUT_CHAR,
        syscall::DEBUG_DUMP_SCHEDULER,
        syscall::DEBUG_HALT,
        syscall::DEBUG_CAP_IDENTIFY,
        syscall::DEBUG_SNAPSHOT,
        syscall::DEBUG_NAME_THREAD,
    ];
    let life = tries.rt.env().restarts as usize;
    if let Some(number) = CALLS.get(life) {
        stubs::debug_call(*number, u64::from(b'!'));
        tries.refused(&alloc::format!("debugging call {number} came back"), false);
    }
    plain!("hostile: {life} debugging calls were faults");
}
