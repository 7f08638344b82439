//! init as the servers see it: the state of the system, memory that outlives a crash, the end of the run.
//!
//! A server says that it is ready by a signal, and dies by a fault: neither is a request.
use crate::MAX_NAME;
use crate::largest::message;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x11;
/// Longest text of a message.
pub const MAX_TEXT: usize = 400;

message! {
    /// A request to init.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request<'a> {
        /// The server panicked; it will not go on after this call. init says it, once in a server's life.
        Panicked {
            /// Where and why.
            text: &'a str = MAX_TEXT,
        },
        /// State of server number `index`. Answered by [`Reply::Server`] or [`Reply::End`].
        Server {
            /// Its place in the manifest.
            index: u32,
        },
        /// Whether a page of a server's own memory was ever written: it came empty, and is not now. One page at a time, because init works
        /// above everybody; only for servers whose manifest lets them see the kernel's events (`trace`). Answered by [`Reply::Touched`] or,
        /// after the last page, by [`Reply::End`].
        Touched {
            /// The server's place in the manifest.
            index: u32,
            /// Which of its memory.
            area: Area,
            /// From 0, by address.
            page: u32,
        },
        /// Figures of the kernel and the boot. Answered by [`Reply::System`].
        System,
        /// Empties the caller's untyped memory and gives it to this life: for the server that places programs, whose frames outlive it
        /// until its next life has told the servers that run them.
        Reclaim,
        /// Ends the run. Only for servers whose manifest says so; [`crate::Error::NotGranted`] to others.
        Finish {
            /// Empty: all is well; else why not.
            failure: &'a str = MAX_TEXT,
        },
    }
}

message! {
    /// Memory of a server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Area {
        /// Its stack, which grows down from its last page.
        Stack,
        /// Its heap, which grows up from its first page.
        Heap,
    }
}

message! {
    /// What a server is doing.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum State {
        /// Started, not yet ready.
        Starting,
        /// Ready.
        Ready,
        /// Dead, and not to be restarted.
        Down,
    }
}

message! {
    /// A server's figures.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub struct Server<'a> {
        /// Name in the manifest.
        pub name: &'a str = MAX_NAME,
        /// What it does.
        pub state: State,
        /// How often it was restarted.
        pub restarts: u32,
        /// Bytes of image used where the bundle lies (shared, read-only).
        pub shared_bytes: u64,
        /// Bytes of its own: data, stack, heap, tables, kernel objects.
        pub own_bytes: u64,
    }
}

message! {
    /// Figures of the system.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct Figures {
        /// Kernel code, bytes.
        pub kernel_text: u64,
        /// Kernel constants, bytes.
        pub kernel_rodata: u64,
        /// Kernel data, bytes.
        pub kernel_data: u64,
        /// Kernel zeroed data, bytes.
        pub kernel_bss: u64,
        /// RAM that boot allocated, bytes.
        pub boot_allocated: u64,
        /// All RAM, bytes.
        pub ram_bytes: u64,
        /// The bundle in RAM, bytes.
        pub bundle_bytes: u64,
        /// Allocated by init, bytes.
        pub init_allocated: u64,
        /// Counter at kernel entry.
        pub entry_counter: u64,
    }
}

message! {
    /// An answer of init.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply<'a> {
        /// Done.
        Done,
        /// A server.
        #[serde(borrow)]
        Server(Server<'a>),
        /// No such server or page: the list ends.
        End,
        /// The page was written.
        Touched(bool),
        /// The system.
        System(Figures),
    }
}
