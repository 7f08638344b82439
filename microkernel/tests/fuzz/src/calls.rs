//! One system call: its registers and its IPC buffer, what becomes of its answer.
use crate::arch;
use crate::arena::{ARENA, COLUMNS, State, row};
use core::sync::atomic::Ordering::Relaxed;
use sel4_sys::message::IpcBuffer;
use sel4_sys::{MessageInfo, syscall};

/// Where a worker's IPC buffer lies in its address space.
pub const BUFFERS: u64 = 0x5000_0000;
/// Words that a call can carry here; a TCB's registers are the most that means something.
pub const WORDS: usize = 40;

/// A system call to make.
#[derive(Clone, Copy)]
pub struct Call {
    /// The number.
    pub number: i64,
    /// Capability.
    pub cap: u64,
    /// Label.
    pub label: u64,
    /// Capabilities to send along.
    pub caps: [u64; 3],
    /// How many of them.
    pub extra: u64,
    /// The message.
    pub words: [u64; WORDS],
    /// Its length.
    pub length: u64,
    /// The reply capability.
    pub reply: u64,
    /// The destination of a combined send.
    pub dest: u64,
}

impl Call {
    /// An invocation.
    pub fn invocation(cap: u64, label: u64, caps: &[u64], words: &[u64]) -> Call {
        let mut call = Call {
            number: syscall::CALL,
            cap,
            label,
            caps: [0; 3],
            extra: caps.len() as u64,
            words: [0; WORDS],
            length: words.len() as u64,
            reply: 0,
            dest: 0,
        };
        call.caps.iter_mut().zip(caps).for_each(|(to, from)| *to = *from);
        call.words.iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        call
    }
}

/// What came back.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Badge.
    pub badge: u64,
    /// Label of the message.
    pub label: u64,
    /// Its first word.
    pub first: u64,
}

/// The worker's IPC buffer. Whether it is mapped is the kernel's and the other workers' business.
pub fn buffer(w: &State) -> *mut IpcBuffer {
    core::ptr::with_exposed_provenance_mut((BUFFERS + ((w.index() as u64) << 12)) as usize)
}

/// Makes the call, and counts it.
pub fn perform(w: &State, call: &Call) -> Answer {
    w.calls.fetch_add(1, Relaxed);
    repeat(w, call)
}

/// Makes the call, which is one of many of the same: only its number is counted.
pub fn repeat(w: &State, call: &Call) -> Answer {
    if let Some(count) = ARENA.numbers.get(call.number.unsigned_abs() as usize) {
        count.fetch_add(1, Relaxed);
    }
    if call.length > 4 || call.extra > 0 {
        let b = buffer(w);
        // SAFETY: the page is this worker's alone, or it is not mapped and the worker's fault is part of the test.
        unsafe {
            (&raw mut (*b).caps_or_badges).write_volatile(call.caps);
            let count = (call.length as usize).min(WORDS);
            for (i, word) in call.words.iter().enumerate().take(count).skip(4) {
                (&raw mut (*b).msg).cast::<u64>().add(i).write_volatile(*word);
            }
        }
    }
    let info = MessageInfo::new(call.label, 0, call.extra, call.length).0;
    let mrs = [call.words[0], call.words[1], call.words[2], call.words[3]];
    let [badge, info, first] = arch::raw(call.number as u64, call.cap, info, mrs, call.reply, call.dest);
    Answer { badge, label: info >> 12, first }
}

/// Makes an invocation and counts its answer: the error code.
pub fn invoke(w: &State, call: &Call) -> u64 {
    let label = perform(w, call).label;
    if call.number == syscall::CALL {
        let column = (label as usize).min(COLUMNS - 1);
        ARENA.results[row(call.label)][column].fetch_add(1, Relaxed);
    }
    label
}
