//! What bpf-server offers: loading, attaching, listing, and why a program was refused.
//!
//! A small object comes in the load request itself ([`Source::Inline`]). Of a larger one, the client sends all but the end first
//! ([`Request::Upload`]), and the load request brings the end ([`Source::Rest`]). An object of the system's bundle is only named
//! ([`Source::Blob`]). The server copies an object before it reads it, so a client cannot change what was verified.
//!
//! Refusals carry a short [`Refusal`]; the verdict's full text (reason, source line, path, suggestion) is fetched in
//! pieces with [`Request::Verdict`], because it may be longer than a message.

use crate::largest::{Largest, message};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The interface's number: the label of its messages.
pub const INTERFACE: u16 = 0x20;
/// Most bytes of an object inside a load request, which has names and settings besides.
pub const MAX_INLINE: usize = 472;
/// Most bytes of a piece of an upload.
pub const MAX_PIECE: usize = 928;
/// Longest name.
pub const MAX_NAME: usize = crate::MAX_NAME;
/// Longest piece of a verdict in one reply.
pub const MAX_TEXT: usize = 800;
/// Largest object that can be uploaded.
pub const MAX_OBJECT: usize = 128 << 10;
/// Most settings of globals in one load.
pub const MAX_SETTINGS: usize = 4;
/// Longest map key and value that [`Request::MapRead`] handles.
pub const MAX_VALUE: usize = 256;

/// A loaded program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Hash, PartialOrd, Ord)]
pub struct ProgramId(pub u32);

message! {
    /// Where the object's bytes are.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Source<'a> {
        /// Here.
        Inline(#[serde(serialize_with = "crate::wire::bytes")] &'a [u8] = MAX_INLINE),
        /// Uploaded before by this client.
        Uploaded,
        /// A blob that the manifest gave to bpf-server.
        Blob(&'a str = MAX_NAME),
        /// Uploaded before by this client, but for its end, which is here.
        Rest {
            /// Where the end begins: as long as what was uploaded.
            offset: u32,
            /// The end.
            #[serde(serialize_with = "crate::wire::bytes")]
            bytes: &'a [u8] = MAX_INLINE,
        },
    }
}

message! {
    /// A value for a global variable in `.rodata` or `.data`, set before verification.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub struct Setting<'a> {
        /// The variable.
        pub name: &'a str = MAX_NAME,
        /// Its value; cut to the variable's size.
        pub value: i64,
    }
}

message! {
    /// A request to bpf-server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request<'a> {
        /// Puts bytes of an object at an offset of this client's upload buffer; offset 0 starts a new one.
        Upload {
            /// Where.
            offset: u32,
            /// At most [`MAX_PIECE`].
            #[serde(serialize_with = "crate::wire::bytes")]
            bytes: &'a [u8] = MAX_PIECE,
        },
        /// Reads, verifies, compiles and places a program; attaches it if told to. Answered by [`Reply::Loaded`].
        Load {
            /// The object.
            source: Source<'a>,
            /// The program's name; empty takes the object's only (or first) one.
            program: &'a str = MAX_NAME,
            /// The attach point; empty takes the section's name.
            point: &'a str = MAX_NAME,
            /// Attach at once.
            attach: bool,
            /// Takes the place of this program, between two events.
            replaces: Option<ProgramId>,
            /// Settings of globals.
            settings: [Option<Setting<'a>>; MAX_SETTINGS],
        },
        /// Attaches a loaded program.
        Attach {
            /// Which.
            program: ProgramId,
        },
        /// Detaches it; it stays loaded.
        Detach {
            /// Which.
            program: ProgramId,
        },
        /// Detaches it and frees everything.
        Unload {
            /// Which.
            program: ProgramId,
        },
        /// The first loaded program after this number (0: the first). Answered by [`Reply::Info`] or [`Reply::End`].
        List {
            /// Continue after this one.
            after: u32,
        },
        /// The text of this client's last refusal, from an offset; it goes when the client loads again. Answered by [`Reply::Text`].
        Verdict {
            /// From here.
            offset: u32,
        },
        /// A value of a map of one of the client's programs. Answered by [`Reply::Value`].
        MapRead {
            /// Whose.
            program: ProgramId,
            /// The map's name.
            map: &'a str = MAX_NAME,
            /// The key.
            #[serde(serialize_with = "crate::wire::bytes")]
            key: &'a [u8] = MAX_VALUE,
        },
        /// A frame of a ring buffer of the program, to map and consume. Answered by [`Reply::Frame`] with a capability.
        MapFrame {
            /// Whose.
            program: ProgramId,
            /// The map's name.
            map: &'a str = MAX_NAME,
            /// Which page of it.
            page: u32,
        },
        /// Signals the notification that comes along (a capability with the right to send) when the program has put records
        /// into this ring buffer: once for all records of an event, by the server that runs the program. Takes the place of an
        /// earlier one.
        Notify {
            /// Whose.
            program: ProgramId,
            /// The ring buffer's name.
            map: &'a str = MAX_NAME,
        },
        /// How long the stages of the last load took. Answered by [`Reply::Stages`].
        Stages,
    }
}

message! {
    /// What a load did, by stage, in counter ticks.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
    pub struct Stages {
        /// From the request's arrival to the object's bytes being at hand.
        pub receive: u64,
        /// Reading the object.
        pub parse: u64,
        /// Finding a proof and checking it, or checking the object's; and whether its client may have what it does.
        pub verify: u64,
        /// How many machine instructions it may take at worst, and compiling, with the code's frame and its write mapping.
        pub compile: u64,
        /// Making maps and mapping them.
        pub map: u64,
        /// Handing code to the hosting server and attaching.
        pub attach: u64,
        /// The same six in cycles (PMCCNTR), in this order.
        pub cycles: [u64; 6],
    }
}

message! {
    /// A loaded program, described.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub struct Info<'a> {
        /// Its number.
        pub id: ProgramId,
        /// Its function's name.
        pub name: &'a str = MAX_NAME,
        /// Its attach point.
        pub point: &'a str = MAX_NAME,
        /// Whether it is attached.
        pub attached: bool,
        /// Compiled (or interpreted).
        pub compiled: bool,
        /// BPF instructions.
        pub insns: u32,
        /// Bytes of compiled code.
        pub code_bytes: u32,
        /// Bytes of its maps.
        pub map_bytes: u32,
        /// The verifier's bound on executed instructions.
        pub worst_case: u64,
        /// Times it ran.
        pub runs: u64,
        /// Times it returned something other than 0.
        pub accepted: u64,
    }
}

message! {
    /// Why a request was not done.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Refusal {
        /// The object could not be read: see the verdict.
        Object,
        /// The verifier refused the program: see the verdict.
        Verifier,
        /// The compiler, or the memory for code or maps, refused: see the verdict.
        Resources,
        /// No such program, blob, map, or setting.
        NotFound,
        /// Nobody serves that attach point.
        NoSuchPoint,
        /// The manifest does not grant the program a line, channel or motor that it uses: see the verdict.
        NotGranted,
        /// The program belongs to another client, or the manifest pins it.
        NotOwner,
        /// The hosting server refused or is restarting.
        Host,
        /// The hosting server has no time for the program's worst case: see the verdict.
        Overload,
        /// The request itself makes no sense.
        BadRequest,
    }
}

message! {
    /// An answer of bpf-server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply<'a> {
        /// Done.
        Done,
        /// A program is loaded.
        Loaded {
            /// Its number.
            program: ProgramId,
            /// BPF instructions.
            insns: u32,
            /// Bytes of compiled code; 0 when it is interpreted.
            code_bytes: u32,
            /// The verifier's bound on executed instructions.
            worst_case: u64,
            /// What that is in machine instructions, helpers included: its time is held against the hosting server's budget.
            cost: u64,
        },
        /// A program of the list.
        Info(Info<'a>),
        /// The list ends.
        End,
        /// Part of a text; shorter than asked for means that it ends here.
        Text(&'a str = MAX_TEXT),
        /// A map's value.
        Value(#[serde(serialize_with = "crate::wire::bytes")] &'a [u8] = MAX_VALUE),
        /// A frame; the capability came with the message.
        Frame {
            /// Pages of the whole map.
            pages: u32,
            /// Whether the frame may be mapped writable.
            writable: bool,
        },
        /// Durations of the last load.
        Stages(Stages),
        /// Not done.
        Refused(Refusal),
    }
}

impl fmt::Display for Refusal {
    /// In words, after "refused:".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Object => "the object cannot be read",
            Refusal::Verifier => "the verifier finds that the program may do what it must not",
            Refusal::Resources => "it cannot be compiled, or there is no memory for its code or maps",
            Refusal::NotFound => "there is no such program, file, map or setting",
            Refusal::NoSuchPoint => "nobody serves that attach point",
            Refusal::NotGranted => "the manifest does not grant what the program uses",
            Refusal::NotOwner => "the program belongs to another client, or the manifest pins it",
            Refusal::Host => "the server that would run it refuses, or is being restarted",
            Refusal::Overload => "the server that would run it has no time for its worst case",
            Refusal::BadRequest => "the request makes no sense",
        })
    }
}

impl Largest for ProgramId {
    const LARGEST: usize = u32::LARGEST;
}
