//! A server that misbehaves, for the system tests: `args = { mode = "loop" }` never waits, at whatever priority the manifest
//! gives it; `mode = "malformed"` sends every server it may call what is not a request, or not as long as it says, and asks for typed
//! errors; `mode = "debug-calls"` makes one of the kernel's debugging system calls in each of its lives, then ends the run;
//! `mode = "finish"` asks init to end the run without the right to.
#![no_std]
#![no_main]
extern crate alloc;

use alloc::string::String;
use axiom_proto::{Error, LABEL_ERROR, supervisor};
use axiom_runtime::sel4::{CPtr, MessageInfo, stubs, syscall};
use axiom_runtime::{Buffer, Endpoint, Runtime, call, plain};

axiom_runtime::entry!(main);

fn main(rt: Runtime) -> ! {
    rt.ready();
    match rt.arg("mode") {
        Some("malformed") => malformed(rt),
        Some("debug-calls") => debug_calls(rt),
        Some("finish") => plain!("hostile: init answers {:?} to the end of the run", finish(rt, "hostile")),
        _ => {}
    }
    loop {
        core::hint::spin_loop();
    }
}

/// Messages whose first two bytes, the length of what follows, are not true, on every interface. Returns what was not
/// answered with a typed error.
fn lies(server: Endpoint) -> Option<String> {
    /// Words of the message, and the length that it states.
    const LIES: [(u64, u16); 7] = [(0, 0), (0, 100), (1, 7), (1, 0xffff), (4, 31), (119, 0xffff), (120, 959)];
    for interface in 0x10..=0x60u64 {
        for (words, stated) in LIES {
            // Bytes of all ones: no variant has this number, no count is this large.
            let first = u64::MAX << 16 | stated as u64;
            let info = MessageInfo::new(interface, 0, 0, words);
            let got = stubs::call(server.0, info, [first, u64::MAX, u64::MAX, u64::MAX]);
            // An error of the protocol: two bytes of length, then the variant.
            let typed = got.info.label() == LABEL_ERROR && got.mrs[0] as u16 == 1;
            if !typed {
                return Some(alloc::format!(
                    "{words} words that state {stated} bytes on {interface:#x} were answered with label {:#x}",
                    got.info.label()
                ));
            }
        }
    }
    None
}

fn malformed(rt: Runtime) {
    let mut failure = String::new();
    for channel in &rt.env().channels {
        let server = Endpoint(CPtr(channel.slot));
        // A variant that no request has, an interface that nobody has, and text where a request should be.
        for (interface, expected) in
            [(0x10, None), (0x11, None), (0x20, None), (0x40, None), (0x50, None), (0x7777, Some(()))]
        {
            let nonsense = (0xeeu8, "not a request", [0xffu8; 32]);
            let answer = call::<_, u8>(server, interface, &nonsense, &mut Buffer::new());
            let typed = matches!(answer, Err(Error::NoSuchInterface | Error::Malformed));
            if !typed || (expected.is_some() && answer != Err(Error::NoSuchInterface)) {
                failure =
                    alloc::format!("{} answered {answer:?} to nonsense on {interface:#x}", channel.name);
            }
        }
        plain!("{}: nonsense is answered with typed errors", channel.name);
        match lies(server) {
            Some(lie) => failure = alloc::format!("{}: {lie}", channel.name),
            None => plain!("{}: lies about lengths are answered with typed errors", channel.name),
        }
    }
    // The run ends here: there is nobody to report a failure to.
    let _ = finish(rt, &failure);
}

/// Asks init to end the run.
fn finish(rt: Runtime, failure: &str) -> Result<(), Error> {
    let init = rt.channel("init").ok_or(Error::NoSuchInterface)?;
    let request = supervisor::Request::Finish { failure };
    call::<_, supervisor::Reply<'_>>(init, supervisor::INTERFACE, &request, &mut Buffer::new()).map(drop)
}

/// A call that returns was served.
fn debug_calls(rt: Runtime) {
    const CALLS: [i64; 6] = [
        syscall::DEBUG_PUT_CHAR,
        syscall::DEBUG_DUMP_SCHEDULER,
        syscall::DEBUG_HALT,
        syscall::DEBUG_CAP_IDENTIFY,
        syscall::DEBUG_SNAPSHOT,
        syscall::DEBUG_NAME_THREAD,
    ];
    let life = rt.env().restarts as usize;
    let failure = match CALLS.get(life) {
        Some(number) => {
            stubs::debug_call(*number, u64::from(b'!'));
            alloc::format!("debugging call {number} came back")
        }
        None => String::new(),
    };
    plain!("hostile: {life} debugging calls were faults");
    // As above.
    let _ = finish(rt, &failure);
}
