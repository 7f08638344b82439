//! Ends another server's life from outside, as a debugger can: the right is a test's alone (`debugs`). The victim's code knows nothing
//! of it, and can be anywhere: in a request, in its loop, waiting.

use crate::{Tries, idle};
use axiom_runtime::proto::gpio::{Edges, INTERFACE, Line, Reply, Request};
use axiom_runtime::{Buffer, Notification, call_with_cap, plain};

/// Sends the victim to address 0, where nothing is mapped: after a while, or when a line has had an edge.
pub fn run(tries: &mut Tries) -> ! {
    let victim = tries.rt.arg("victim").unwrap_or("");
    let Some(thread) = tries.rt.thread_of(victim) else {
        panic!("the manifest lets this server debug nobody of the name '{victim}'");
    };
    if let Some(line) = tries.rt.arg_number("line") {
        wait_for(tries, Line { chip: 0, line: line as u8 });
    }
    tries.sleep(tries.rt.arg_number("after_ms").unwrap_or(0));
    match thread.start(0, 0, 0) {
        Ok(()) => plain!("hostile: {victim} was sent to address 0"),
        Err(error) => panic!("'{victim}' could not be sent to address 0: {error:?}"),
    }
    idle()
}

/// Waits for an edge.
fn wait_for(tries: &mut Tries, line: Line) {
    let Some(server) = tries.rt.serving(INTERFACE) else {
        panic!("the manifest gives this server nobody to ask for lines");
    };
    let (bell, bit) = tries.doorbell();
    let request = Request::Subscribe { line, edges: Edges::Both };
    let mut buffer = Buffer::new();
    let reply = call_with_cap::<_, Reply>(server, INTERFACE, &request, Some(bell.0), &mut buffer);
    assert!(matches!(reply, Ok((Reply::Done, _))), "no word of line {}: {reply:?}", line.line);
    while !Notification::OWN.wait().has(bit) {}
}
