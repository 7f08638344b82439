//! System calls of a program that runs on the developer's machine, for tests: there is no kernel, so a function stands in for it.
//!
//! ```
//! use sel4_sys::{Badge, CPtr, MessageInfo, host, stubs};
//!
//! let kernel = |call: host::Syscall| {
//!     assert_eq!((call.number, call.cap), (sel4_sys::syscall::WAIT, CPtr(6)));
//!     stubs::Received { info: MessageInfo(0), badge: Badge(1 << 3), mrs: [0; 4] }
//! };
//! assert_eq!(host::with(kernel, || stubs::wait(CPtr(6)).badge), Badge(8));
//! ```
extern crate std;

use crate::stubs::Received;
use crate::{CPtr, MessageInfo};
use core::cell::RefCell;
use std::boxed::Box;

/// A system call, as its caller made it. What a call does not use is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Syscall {
    /// Which ([`crate::syscall`]).
    pub number: i64,
    /// The invoked capability, or the one that is received from.
    pub cap: CPtr,
    /// Tag of the message.
    pub info: MessageInfo,
    /// MR0..MR3; the rest is in the caller's IPC buffer.
    pub mrs: [u64; 4],
    /// The reply object; for a combined send without one, its destination.
    pub reply: CPtr,
    /// The destination of a combined send.
    pub dest: CPtr,
}

type Kernel = Box<dyn FnMut(Syscall) -> Received>;

std::thread_local! {
    static KERNEL: RefCell<Option<Kernel>> = const { RefCell::new(None) };
}

/// Runs `program` on this thread with `kernel` as its kernel. A program that never ends is ended by a panic of the kernel's.
pub fn with<T>(kernel: impl FnMut(Syscall) -> Received + 'static, program: impl FnOnce() -> T) -> T {
    struct Taken;
    impl Drop for Taken {
        fn drop(&mut self) {
            KERNEL.with_borrow_mut(|kernel| *kernel = None);
        }
    }
    KERNEL.with_borrow_mut(|there| *there = Some(Box::new(kernel)));
    let _taken = Taken;
    program()
}

/// The system call with all registers.
pub(crate) fn raw(number: i64, cap: u64, info: u64, mrs: [u64; 4], reply: u64, dest: u64) -> Received {
    let call = Syscall {
        number,
        cap: CPtr(cap),
        info: MessageInfo(info),
        mrs,
        reply: CPtr(reply),
        dest: CPtr(dest),
    };
    // Not held meanwhile: whoever stands in for the kernel may make system calls in another's name.
    let kernel = KERNEL.with_borrow_mut(Option::take);
    let Some(mut kernel) = kernel else {
        panic!("a system call without a kernel: sel4_sys::host::with says what stands in for it ({call:?})")
    };
    let received = kernel(call);
    KERNEL.with_borrow_mut(|there| *there = Some(kernel));
    received
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Badge, stubs, syscall};

    #[test]
    fn every_stub_says_what_it_means() {
        let (a, b, c) = (CPtr(1), CPtr(2), CPtr(3));
        let (info, mrs) = (MessageInfo::new(4, 0, 0, 2), [5, 6, 7, 8]);
        let calls = std::rc::Rc::new(RefCell::new(std::vec::Vec::new()));
        let seen = calls.clone();
        let kernel = move |call: Syscall| {
            seen.borrow_mut().push((call.number, call.cap, call.info, call.mrs, call.reply, call.dest));
            Received { info: call.info, badge: Badge(9), mrs: call.mrs }
        };
        with(kernel, || {
            assert_eq!(stubs::call(a, info, mrs).badge, Badge(9));
            stubs::send(a, info, mrs);
            stubs::nb_send(a, info, mrs);
            stubs::signal(a);
            stubs::recv(a, b);
            stubs::nb_recv(a, b);
            stubs::reply_recv(a, info, mrs, b);
            stubs::nb_send_recv(a, info, mrs, b, c);
            stubs::nb_send_wait(a, info, mrs, b);
            stubs::wait(a);
            stubs::nb_wait(a);
            stubs::yield_now();
        });
        let (none, nothing, nil) = (CPtr(0), MessageInfo(0), [0; 4]);
        assert_eq!(
            *calls.borrow(),
            [
                (syscall::CALL, a, info, mrs, none, none),
                (syscall::SEND, a, info, mrs, none, none),
                (syscall::NB_SEND, a, info, mrs, none, none),
                (syscall::SEND, a, nothing, nil, none, none),
                (syscall::RECV, a, nothing, nil, b, none),
                (syscall::NB_RECV, a, nothing, nil, b, none),
                (syscall::REPLY_RECV, a, info, mrs, b, none),
                (syscall::NB_SEND_RECV, b, info, mrs, c, a),
                (syscall::NB_SEND_WAIT, b, info, mrs, a, none),
                (syscall::WAIT, a, nothing, nil, none, none),
                (syscall::NB_WAIT, a, nothing, nil, none, none),
                (syscall::YIELD, none, nothing, nil, none, none),
            ]
        );
    }

    #[test]
    #[should_panic(expected = "a system call without a kernel")]
    fn without_a_kernel_there_are_no_system_calls() {
        stubs::yield_now();
    }
}
