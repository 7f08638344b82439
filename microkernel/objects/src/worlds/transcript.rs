//! One session with every invocation and every refusal, written down: what each call answers, what it changes, and what it asks of the
//! hardware. `transcript.txt` is how it was when it was last accepted; a rule that becomes another shows as a difference there.
//! `AXIOM_ACCEPT_TRANSCRIPT=1 cargo test -p axiom-objects transcript` writes the file anew.
extern crate std;
use super::scene::*;
use super::session::{Act, script};
use crate::arch::paging::{self, Entry};
use crate::arch::registers;
use crate::cap::{Cap, VmRights};
use crate::machine::Machine;
use crate::message;
use crate::object::{Ends, TCB_BUFFER, TCB_SLOTS, Tcb, ThreadState};
use crate::ptr::{PhysAddr, Ptr};
use crate::{entry, slot, space, thread};
use sel4_sys::CapRights;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Writes addresses as places in the world's memory.
fn placed(scene: &Scene, text: &str) -> String {
    let (start, size) = scene.world.extent();
    // A slot of a thread is told by the thread and its number, wherever it is in there.
    let place = |value: u64| {
        let tcb = start + (value - start) / 2048 * 2048;
        let first = core::mem::offset_of!(Tcb, slots) as u64;
        let slots = tcb + first..tcb + first + 32 * TCB_SLOTS as u64;
        let is_slot = slots.contains(&value) && scene.all_threads().any(|other| other.addr() as u64 == tcb);
        if is_slot {
            format!("@{:x}.{}", tcb - start, (value - slots.start) / 32)
        } else {
            format!("@{:x}", value - start)
        }
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = &rest[at + 2..];
        let length = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
        out.push_str(&rest[..at]);
        match u64::from_str_radix(&digits[..length], 16) {
            Ok(value) if (start..start + size).contains(&value) => out.push_str(&place(value)),
            _ => out.push_str(&rest[at..at + 2 + length]),
        }
        rest = &digits[length..];
    }
    out.push_str(rest);
    out
}

fn waiters(queue: Ends) -> Vec<Ptr<Tcb>> {
    std::iter::successors(queue.head, |t| t.ep_next.get()).collect()
}

/// The state, a line for each thing.
fn told(scene: &Scene) -> Vec<String> {
    let (m, n) = (&scene.world, (&scene.world).node().current());
    let mut out = Vec::from([format!("runs {n:?}, on {:?}", (&m).node().current_sc.get())]);
    let mut slots: Vec<Ptr<crate::object::Slot>> = Vec::new();
    let mut at = (&m).shared().anchor().next();
    while let Some(slot) = at {
        slots.push(slot);
        at = slot.next();
    }
    let mut seen: Vec<Cap> = Vec::new();
    let before = std::iter::once(None).chain(slots.iter().map(Some));
    for (slot, before) in slots.iter().zip(before) {
        let cap = slot.cap();
        let place = if slot::first_child(*slot).is_some() { ", parent" } else { "" };
        out.push(format!("slot {slot:?} after {before:?}: {cap:x?}{place}"));
        if seen.iter().any(|other| other.same_object(&cap)) {
            continue;
        }
        seen.push(cap);
        match cap {
            Cap::Tcb { tcb } => thread_told(scene, tcb, &mut out),
            Cap::Endpoint { ep, .. } => {
                out.push(format!("{ep:?} {:?} {:?}", ep.state(), waiters(ep.queue())))
            }
            Cap::Notification { ntfn, .. } => {
                let queue = waiters(Ends { head: ntfn.head.get(), tail: ntfn.tail.get() });
                let (state, badge) = (ntfn.state.get(), ntfn.badge.get());
                out.push(format!(
                    "{ntfn:?} {state:?} {badge} {queue:?} bound {:?} sc {:?}",
                    ntfn.bound.get(),
                    ntfn.sc.get()
                ));
            }
            Cap::Reply { reply, .. } => out.push(format!(
                "{reply:?} of {:?}, below {:?}, above {:?}, sc {:?}",
                reply.tcb.get(),
                reply.prev.get(),
                reply.next.get(),
                reply.sc.get()
            )),
            Cap::SchedContext { sc, .. } => {
                let refills: Vec<_> = (0..sc.count.get()).map(|i| sc.refill_at(i)).collect();
                out.push(format!(
                    "{sc:?} of {:?} ntfn {:?} reply {:?} yield {:?} badge {} period {} max {} sporadic {} consumed {} {refills:?}",
                    sc.tcb.get(),
                    sc.ntfn(),
                    sc.reply.get(),
                    sc.yield_from.get(),
                    sc.badge.get(),
                    sc.period.get(),
                    sc.refill_max.get(),
                    sc.sporadic.get(),
                    sc.consumed.get()
                ));
            }
            Cap::Timer { timer } => out.push(format!(
                "{timer:?} deadline {} period {} expirations {} overruns {} last {} seen {}",
                timer.deadline.get(),
                timer.period.get(),
                timer.expirations.get(),
                timer.overruns.get(),
                timer.last_deadline.get(),
                timer.last_seen.get()
            )),
            Cap::VSpace { base, asid: Some(asid) } if space::root_of((&m).shared(), asid) == Some(base) => {
                table(base, 0, 0, &mut out);
            }
            _ => {}
        }
    }
    for (i, pool) in (&m).shared().asid_pools.iter().enumerate().filter(|(_, pool)| pool.get() != 0) {
        out.push(format!("pool {i}: {:#x}", pool.get()));
    }
    let active = (0..64).filter(|irq| (&m).shared().irq_active(*irq).get());
    out.push(format!("interrupts {:?}", active.collect::<Vec<u32>>()));
    out.push(format!("trace {:?}", (&m).node().trace.info()));
    out.iter().map(|line| placed(scene, line)).collect()
}

fn thread_told(scene: &Scene, tcb: Ptr<Tcb>, out: &mut Vec<String>) {
    out.push(format!(
        "{tcb:?} {:?} priority {} mcp {} flags {} sc {:?} reply {:?} bound {:?} yield {:?} fault {:x?}",
        tcb.state.get(),
        tcb.priority.get(),
        tcb.mcp.get(),
        tcb.flags.get(),
        tcb.sc.get(),
        tcb.reply.get(),
        tcb.bound_ntfn.get(),
        tcb.yield_to.get(),
        tcb.fault.get()
    ));
    out.push(format!(
        "{tcb:?} queues: ready {} release {} buffer {:#x}",
        tcb.in_ready_queue.get(),
        tcb.in_release_queue.get(),
        tcb.ipc_buffer.get()
    ));
    if matches!(tcb.state.get(), ThreadState::BlockedOnSend | ThreadState::BlockedOnReceive) {
        out.push(format!(
            "{tcb:?} waits at {:?} badge {} grant {} grant-reply {} call {}",
            tcb.blocked_ep.get(),
            tcb.sender_badge.get(),
            tcb.can_grant.get(),
            tcb.can_grant_reply.get(),
            tcb.is_call.get()
        ));
    }
    let registers: Vec<String> = (0..registers::COUNT)
        .filter(|r| tcb.regs.get(*r) != 0)
        .map(|r| format!("{r}={:#x}", tcb.regs.get(r)))
        .collect();
    out.push(format!("{tcb:?} registers {}", registers.join(" ")));
    if scene.threads.contains(&tcb)
        && let Some(buffer) = message::buffer(tcb, false)
    {
        let words = buffer.iter().enumerate().filter(|(_, word)| word.get() != 0);
        let words: Vec<String> = words.map(|(i, word)| format!("{i}={:#x}", word.get())).collect();
        out.push(format!("{tcb:?} buffer {}", words.join(" ")));
    }
    let slots: Vec<String> = (0..TCB_SLOTS).map(|i| format!("{:x?}", tcb.slot(i).cap())).collect();
    out.push(format!("{tcb:?} slots {}", slots.join(", ")));
}

fn table(base: PhysAddr, level: u32, vaddr: u64, out: &mut Vec<String>) {
    for i in 0..paging::ENTRIES as u64 {
        // SAFETY: a live root, or a table that an entry of one names.
        let entry = unsafe { paging::table_at(base) }[i as usize].get();
        let here = vaddr | i << paging::shift(level);
        let bits = entry & !paging::ADDRESS;
        match paging::decode(entry, level) {
            Entry::Invalid => {}
            Entry::Leaf(frame) => out.push(format!("maps {here:x} to {frame:?} with {bits:x}")),
            Entry::Table(next) => {
                out.push(format!("table of {here:x}, level {level}: {next:?}"));
                table(next, level + 1, here, out);
            }
        }
    }
}

/// What is told of a thread that is not in a state to act.
const CANNOT_RUN: &str = " cannot run";

/// Does it; a line that says what, and what the thread finds afterwards.
fn act(scene: &mut Scene, step: &Act, alone: bool) -> String {
    act_after(scene, step, alone, |_| ())
}

/// The same; `last` comes when the message is written, right before the kernel is entered.
fn act_after(scene: &mut Scene, act: &Act, alone: bool, last: impl FnOnce(&Scene)) -> String {
    let name = |thread: usize| format!("thread {thread}");
    let caller = act.thread().map(|i| scene.threads[i]);
    if let Some(tcb) = caller {
        // Who was stopped by a fault goes on, and who waits for nobody in particular.
        if tcb.state.get() == ThreadState::Inactive || alone {
            thread::restart((&scene.world).node(), tcb);
            entry::leave(&scene.world);
        }
        scene.world.run(tcb);
        if scene.world.current() != tcb {
            return format!("{}{CANNOT_RUN}", act.thread().map_or(String::new(), name));
        }
    }
    match act {
        Act::Call(i, call, at) => {
            let tcb = scene.threads[*i];
            scene.begin_call(tcb, call);
            last(scene);
            match at {
                Some(at) => scene.world.preempt_at(*at),
                None => scene.world.preempt_when(|| false),
            }
            scene.world.system_call(tcb, call.number);
            let cut = at.map_or(String::new(), |at| format!(", preempted at {at}"));
            let rest = if call.reply == 0 { String::new() } else { format!(" with {}", call.reply) };
            let said = format!(
                "{} calls {} of {}{rest}: {} {:x?} {:?}{cut}",
                name(*i),
                call.number,
                call.cptr,
                call.label,
                call.words,
                call.caps
            );
            format!("{said}\n  {}", answer(scene, tcb))
        }
        Act::Again(i) => {
            let tcb = scene.threads[*i];
            let number = tcb.regs.get(registers::SYSCALL) as i64;
            scene.world.preempt_when(|| false);
            last(scene);
            scene.world.system_call(tcb, number);
            format!("{} goes on\n  {}", name(*i), answer(scene, tcb))
        }
        Act::Fault(i, fault) => {
            let tcb = scene.threads[*i];
            last(scene);
            scene.world.fault(tcb, *fault);
            format!("{} faults: {fault:x?}\n  {}", name(*i), answer(scene, tcb))
        }
        Act::Interrupt(irq, time) => {
            scene.world.advance(*time);
            scene.world.raise(*irq);
            last(scene);
            scene.world.interrupt();
            format!("after {time} ticks interrupt {irq}")
        }
        Act::Tick(time) => {
            scene.world.advance(*time);
            last(scene);
            scene.world.interrupt();
            format!("{time} ticks")
        }
    }
}

fn answer(scene: &Scene, tcb: Ptr<Tcb>) -> String {
    if scene.world.current() != tcb {
        return format!("does not go on: {:?}", tcb.state.get());
    }
    if tcb.regs.get(registers::PC) == tcb.regs.get(registers::FAULT_PC) {
        return String::from("has to make the call again");
    }
    let answer = scene.world.answer(tcb);
    let info = sel4_sys::MessageInfo(tcb.regs.get(registers::INFO));
    let words: Vec<String> =
        answer.words.iter().take(info.length()).map(|word| format!("{word:#x}")).collect();
    let caps = (info.extra_caps(), info.caps_unwrapped());
    format!("answer {} badge {:#x} {} {caps:?}", answer.label, answer.badge, words.join(" "))
}

fn transcript() -> String {
    let (mut scene, acts, alone) = script();
    let mut out = String::new();
    let mut before = told(&scene);
    before.iter().for_each(|line| out.push_str(&format!("{line}\n")));
    scene.world.take_log();
    for (number, step) in acts.iter().enumerate() {
        let line = act(&mut scene, step, number < alone);
        let line = format!("{}\n", placed(&scene, &line));
        let after = told(&scene);
        out.push_str(&line);
        // What the caller has in its registers and its buffer is its answer.
        let own = step.thread().map(|i| placed(&scene, &format!("{:?}", scene.threads[i])));
        let is_answer = |line: &str| {
            let own = own.as_ref().and_then(|own| line.strip_prefix(own.as_str()));
            own.is_some_and(|rest| rest.starts_with(" registers") || rest.starts_with(" buffer"))
        };
        for line in after.iter().filter(|line| !before.contains(line) && !is_answer(line)) {
            out.push_str(&format!("  + {line}\n"));
        }
        // A thing is told by its first words: what is told anew is not told as gone.
        let thing = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        for line in before.iter().filter(|line| !after.iter().any(|other| thing(other) == thing(line))) {
            out.push_str(&format!("  - {}\n", thing(line)));
        }
        for asked in scene.world.take_log() {
            out.push_str(&placed(&scene, &format!("  ! {asked:x?}\n")));
        }
        if let Err(what) = scene.check() {
            panic!("{out}\nbroken: {what}");
        }
        before = after;
    }
    out
}

/// The frames of the threads' IPC buffers with these rights; how many there are.
fn set_buffer_rights(scene: &Scene, rights: VmRights) -> usize {
    let slots = scene.threads.iter().map(|tcb| tcb.slot(TCB_BUFFER));
    let frames = slots.filter_map(|slot| match slot.cap() {
        Cap::Frame { base, size, device, mapping, .. } => {
            Some((slot, Cap::Frame { base, size, device, rights, mapping }))
        }
        _ => None,
    });
    frames.map(|(slot, cap)| slot.update(cap)).count()
}

fn buffer_words(scene: &Scene) -> Vec<Option<[u64; 128]>> {
    let buffers = scene.threads.iter().map(|tcb| message::buffer(*tcb, false));
    buffers.map(|buffer| buffer.map(|b| core::array::from_fn(|i| b[i].get()))).collect()
}

/// Whatever is asked, sent or answered: a frame that its thread may only read is as it was.
#[test]
#[cfg_attr(miri, ignore = "the session itself is run; nothing else is in this one than comparisons")]
fn no_call_writes_into_a_buffer_that_its_thread_may_only_read() {
    let (mut scene, acts, alone) = script();
    let mut compared = 0;
    for (number, step) in acts.iter().enumerate() {
        let mut before = Vec::new();
        let line = act_after(&mut scene, step, number < alone, |scene| {
            compared += set_buffer_rights(scene, VmRights::READ_WRITE.masked(CapRights::READ));
            before = buffer_words(scene);
        });
        let after = buffer_words(&scene);
        for (thread, (before, after)) in before.iter().zip(&after).enumerate() {
            // Who has another buffer since, or none, is looked at from the next step on.
            let (Some(before), Some(after)) = (before, after) else { continue };
            assert!(before == after, "the buffer of thread {thread} was written, in:\n{line}");
        }
        set_buffer_rights(&scene, VmRights::READ_WRITE);
    }
    assert!(compared > 2 * acts.len(), "{compared} buffers in {} acts", acts.len());
}

/// The session alone, for Miri, which has no time to write it down.
#[test]
fn the_session_keeps_the_invariants() {
    let (mut scene, acts, alone) = script();
    let mut idle = 0;
    for (number, step) in acts.iter().enumerate() {
        let line = act(&mut scene, step, number < alone);
        idle += usize::from(line.ends_with(CANNOT_RUN));
        if !cfg!(miri) || number + 1 == acts.len() {
            scene.check().unwrap();
        }
    }
    assert!(
        20 * idle < acts.len(),
        "{idle} of {} acts are of threads that cannot run: the session hangs",
        acts.len()
    );
}

#[test]
#[cfg_attr(miri, ignore = "takes too long there; the session itself is run")]
fn every_invocation_answers_and_does_what_it_did() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/worlds/transcript.txt");
    let now = transcript();
    if std::env::var_os("AXIOM_ACCEPT_TRANSCRIPT").is_some() {
        std::fs::write(path, &now).expect("the transcript is writable");
        return;
    }
    let then = include_str!("transcript.txt");
    let differs = now.lines().zip(then.lines()).enumerate().find(|(_, (now, then))| now != then);
    if let Some((line, (now, then))) = differs {
        panic!(
            "line {} of {path} was\n  {then}\nand is now\n  {now}\nif that is right, accept it: \
             AXIOM_ACCEPT_TRANSCRIPT=1 cargo test -p axiom-objects transcript",
            line + 1
        );
    }
    assert_eq!(now.lines().count(), then.lines().count(), "the transcript is longer or shorter than it was");
}
