//! Random invocations, by seed, and what the kernel answers: a plain static root task for an seL4 MCS BootInfo, so that the same file
//! runs on any kernel with that interface, and two logs can be compared call by call (`platform/tools/compare-answers`).
//!
//! An *episode* makes one capability of each kind, or a few, and lets a thread that has only those make some calls. Each call
//! and its answer is a line. A fault of the thread, or a call in which it waits, ends the episode; that is a line as well. Then all
//! is revoked. What depends on time or on where memory lies is left out of a line.
#![no_std]
#![no_main]

mod draw;
mod ops;
mod scene;

use axiom_root_test::ops::{Kind, Op, Word, op};
use axiom_root_test::{arch, end, say, world};
use core::fmt::Write;
use draw::Draw;
use scene::{PLACES, Stage};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::stubs::{self, Received};
use sel4_sys::{BootInfo, CPtr, Error, MessageInfo, fault, label, syscall};
use world::{self as w, World};

const EPISODES: u64 = 2500;
const CALLS: u64 = 24;
/// Words of an answer that a line shows.
const SHOWN: usize = 40;

/// A line that is printed at once, so that nobody else's text comes between.
struct Line {
    text: [u8; 1024],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = self.text.get_mut(self.length..self.length + text.len()).ok_or(core::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl Line {
    fn new() -> Line {
        Line { text: [0; 1024], length: 0 }
    }

    fn add(&mut self, text: core::fmt::Arguments<'_>) {
        // What has no room is cut off, on every kernel at the same place.
        let _ = self.write_fmt(text);
    }

    fn print(&self) {
        say!("{}", core::str::from_utf8(&self.text[..self.length]).unwrap_or("?"));
    }
}

/// The seed of the calls, from the build.
fn seed() -> u64 {
    option_env!("AXIOM_ANSWERS_SEED").and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What of an answer's word is compared.
fn compared(label: u64, answer: u64, word: u64) -> u64 {
    match label {
        label::SCHED_CONTEXT_CONSUMED | label::SCHED_CONTEXT_YIELD_TO => 0,
        label::PAGE_GET_ADDRESS => word & 0xfff,
        // How many interrupts there are is the kernel's own.
        arch::answers::ISSUE | arch::answers::ISSUE_TRIGGER if answer == Error::RangeError as u64 => 0,
        _ => word,
    }
}

fn show_answer(line: &mut Line, label: u64, r: Received) {
    let info = r.info;
    line.add(format_args!("-> {} {} {}", info.label(), info.length(), info.extra_caps()));
    let buffer = w::buffer();
    for i in 0..info.length().min(SHOWN) {
        let word = if i < 4 { r.mrs[i] } else { buffer.msg[i] };
        line.add(format_args!(" {:x}", compared(label, info.label(), word)));
    }
}

/// A capability for this; if `proper`, mostly.
fn slot_of(draw: &mut Draw, kind: Kind, proper: bool) -> u64 {
    if !draw.percent(if proper { 97 } else { 80 }) || kind == Kind::Any {
        // A pointer that leads nowhere is a fault, which ends the episode.
        return if draw.percent(8) {
            draw.of(&[0, 0, 127, 128, 1 << 40])
        } else {
            draw.below(scene::EMPTY + 8)
        };
    }
    let count = PLACES.iter().filter(|(k, _)| *k == kind).count() as u64;
    let nth = draw.below(count.max(1)) as usize;
    PLACES.iter().filter(|(k, _)| *k == kind).nth(nth).map_or(0, |(_, slot)| *slot)
}

/// The message of an invocation, in the buffer and the registers.
fn message(draw: &mut Draw, op: &Op, proper: bool, line: &mut Line) -> (MessageInfo, [u64; 4]) {
    let whole = if proper { 100 } else { 85 };
    let caps = if draw.percent(whole) { op.caps.len() as u64 } else { draw.below(4) };
    let words =
        if draw.percent(whole) { op.words.len() as u64 } else { draw.below(op.words.len() as u64 + 2) };
    let b = w::buffer();
    b.msg = [0; 120];
    line.add(format_args!(" c"));
    for i in 0..caps as usize {
        b.caps_or_badges[i] = slot_of(draw, op.caps.get(i).copied().unwrap_or(Kind::Any), proper);
        line.add(format_args!(" {:x}", b.caps_or_badges[i]));
    }
    line.add(format_args!(" w"));
    let mut mrs = [0; 4];
    let all = mrs.iter_mut().chain(b.msg[4..].iter_mut());
    for (i, place) in all.enumerate().take(words as usize) {
        *place = draw.word(op.words.get(i).copied().unwrap_or(Word::Data), proper);
        line.add(format_args!(" {place:x}"));
    }
    line.add(format_args!(" "));
    (MessageInfo::new(op.label, 0, caps, words), mrs)
}

fn invocation(draw: &mut Draw, line: &mut Line) {
    let index = draw.below((ops::ALL.len() + arch::answers::OPS.len()) as u64) as usize;
    let mut chosen = *ops::ALL.get(index).unwrap_or_else(|| &arch::answers::OPS[index - ops::ALL.len()]);
    let proper = draw.percent(60);
    // The scene's CNode with the guard that makes its pointers as long as the thread's.
    let target =
        if proper && chosen.target == Kind::CNode { 1 } else { slot_of(draw, chosen.target, proper) };
    if draw.percent(3) {
        chosen.label = draw.below(60);
    }
    line.add(format_args!("call {} t {target:x}", chosen.label));
    let (info, mrs) = message(draw, &chosen, proper, line);
    show_answer(line, chosen.label, stubs::call(CPtr(target), info, mrs));
}

/// A message, a signal or a poll.
fn exchange(draw: &mut Draw, line: &mut Line) {
    const ANY: Op = op(
        0,
        Kind::Any,
        &[Kind::Any],
        &[Word::Data, Word::Data, Word::Slot, Word::Slot, Word::Data, Word::Data],
    );
    let kind = draw.of(&[Kind::Endpoint, Kind::Notification, Kind::Endpoint, Kind::Reply]);
    let (target, reply) = (slot_of(draw, kind, true), slot_of(draw, Kind::Reply, true));
    let b = w::buffer();
    b.receive_cnode = 1;
    b.receive_index = scene::EMPTY + draw.below(8);
    b.receive_depth = draw.word(Word::Depth, true);
    match draw.below(4) {
        0 => {
            line.add(format_args!("nbsend t {target:x}"));
            let (info, mrs) = message(draw, &ANY, true, line);
            stubs::nb_send(CPtr(target), info, mrs);
        }
        1 => {
            line.add(format_args!("nbrecv t {target:x} r {reply:x} "));
            let r = stubs::nb_recv(CPtr(target), CPtr(reply));
            line.add(format_args!("badge {:x} ", r.badge.0));
            show_answer(line, 0, r);
        }
        2 => {
            line.add(format_args!("nbwait t {target:x} "));
            let r = stubs::nb_wait(CPtr(target));
            line.add(format_args!("badge {:x} ", r.badge.0));
            // A poll that finds nothing leaves the other registers as they are.
            if r.badge.0 != 0 {
                show_answer(line, 0, r);
            }
        }
        _ => {
            line.add(format_args!("send t {target:x}"));
            let (info, mrs) = message(draw, &ANY, true, line);
            stubs::send(CPtr(target), info, mrs);
        }
    }
}

extern "C" fn caller(seed: u64, episode: u64) -> ! {
    let mut draw = Draw::new(seed, episode);
    for step in 0..CALLS {
        let mut line = Line::new();
        line.add(format_args!("answer {episode}.{step} "));
        if draw.percent(85) {
            invocation(&mut draw, &mut line)
        } else {
            exchange(&mut draw, &mut line)
        }
        line.print();
    }
    arch::undefined();
    loop {
        core::hint::spin_loop();
    }
}

/// Runs when nobody else can: the caller waits.
extern "C" fn watcher(endpoint: u64, _: u64) -> ! {
    loop {
        stubs::call(CPtr(endpoint), MessageInfo(0), [0; 4]);
    }
}

/// The control capability that cannot be copied is the root task's to use.
fn interrupts(draw: &mut Draw, stage: &Stage, episode: u64) {
    for (i, op) in arch::answers::INTERRUPT_OPS.iter().enumerate() {
        let mut line = Line::new();
        line.add(format_args!("answer {episode}.i{i} call {} of IRQControl", op.label));
        let proper = draw.percent(50);
        let (info, mrs) = message(draw, op, proper, &mut line);
        // A pointer that leads nowhere would be this thread's own fault.
        w::buffer().caps_or_badges = [stage.cnode.0; 3];
        show_answer(&mut line, op.label, stubs::call(init::IRQ_CONTROL, info, mrs));
        line.print();
    }
}

fn run(t: &mut World, info: &BootInfo) -> Result<(), Error> {
    let (endpoint, reply) = (t.make(kind::ENDPOINT, 0), t.make(kind::REPLY, 0));
    let watching = CPtr(t.slots(1));
    w::invoke(init::CNODE, label::CNODE_MINT, &[init::CNODE], &[watching.0, 64, endpoint.0, 64, 15, 1])?;
    let stage = Stage::new(t, caller, endpoint, CPtr(info.schedcontrol.start));
    t.thread(1, watcher, watching.0, 0);
    let mut watcher_waits = false;
    for episode in 0..EPISODES {
        stage.set()?;
        let mut draw = Draw::new(!seed(), episode);
        interrupts(&mut draw, &stage, episode);
        stage.start(t, seed(), episode);
        if core::mem::take(&mut watcher_waits) {
            stubs::send(reply, MessageInfo(0), [0; 4]);
        }
        let m = stubs::recv(endpoint, reply);
        if m.badge.0 == 1 {
            watcher_waits = true;
            say!("answer {episode}.end waits");
            continue;
        }
        let mut line = Line::new();
        line.add(format_args!("answer {episode}.end fault "));
        show_answer(&mut line, 0, m);
        if m.info.label() != fault::kind::USER_EXCEPTION {
            line.print();
        }
    }
    Ok(())
}

#[unsafe(no_mangle)]
extern "C" fn root_main(info: &'static BootInfo) -> ! {
    let mut world = World::new(info);
    say!("answers: seed {}, {EPISODES} episodes of {CALLS} calls, syscalls from {}", seed(), syscall::CALL);
    match run(&mut world, info) {
        Ok(()) => end(None),
        Err(e) => end(Some(format_args!("an episode could not be set up: {e:?}"))),
    }
}
