//! What is not a request, or not as long as it says: typed errors are asked for.

use crate::Tries;
use alloc::string::String;
use axiom_runtime::proto::{Error, LABEL_ERROR};
use axiom_runtime::sel4::{CPtr, MessageInfo, stubs};
use axiom_runtime::{Buffer, Endpoint, call, plain};

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

/// Nonsense to everybody who may be called.
pub fn run(tries: &mut Tries) {
    for channel in tries.rt.env().channels {
        let server = Endpoint(CPtr(channel.slot));
        let mut good = true;
        // A variant that no request has, an interface that nobody has, and text where a request should be.
        for (interface, expected) in
            [(0x10, None), (0x11, None), (0x20, None), (0x40, None), (0x50, None), (0x7777, Some(()))]
        {
            let nonsense = [*b"\xee\x0dnot a request\xff\xff\xff"; 2];
            let answer = call::<_, u8>(server, interface, &nonsense, &mut Buffer::new());
            let typed = matches!(answer, Err(Error::NoSuchInterface | Error::Malformed));
            if !typed || (expected.is_some() && answer != Err(Error::NoSuchInterface)) {
                good = false;
                tries.works(
                    &alloc::format!("{} answered {answer:?} to nonsense on {interface:#x}", channel.name),
                    false,
                );
            }
        }
        if good {
            plain!("{}: nonsense is answered with typed errors", channel.name);
        }
        match lies(server) {
            Some(lie) => tries.works(&alloc::format!("{}: {lie}", channel.name), false),
            None => plain!("{}: lies about lengths are answered with typed errors", channel.name),
        }
    }
}
