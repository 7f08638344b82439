//! A server that misbehaves, for the system tests: `args = { mode = "loop" }` never waits, at whatever priority the manifest
//! gives it; `mode = "malformed"` sends every server it may call what is not a request, and asks for typed errors.
#![no_std]
#![no_main]
extern crate alloc;

use alloc::string::String;
use axiom_proto::{Error, supervisor};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Buffer, Endpoint, Runtime, call, plain};

axiom_runtime::entry!(main);

fn main(rt: Runtime) -> ! {
    rt.ready();
    if rt.arg("mode") == Some("malformed") {
        malformed(rt);
    }
    loop {
        core::hint::spin_loop();
    }
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
    }
    if let Some(init) = rt.channel("init") {
        let request = supervisor::Request::Finish { failure: &failure };
        // The run ends here: there is nobody to report a failure to.
        let _ = call::<_, supervisor::Reply<'_>>(init, supervisor::INTERFACE, &request, &mut Buffer::new());
    }
}
