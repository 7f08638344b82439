//! What each metric means, once: for the page, for the comparison with other systems, and for the regression guard.
//!
//! A definition covers every metric whose name fits its pattern (`*` stands for one part between dots). The report tool
//! refuses to publish a metric without a definition.

/// Whether the regression guard compares a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// The same program gives the same figure under instruction counting: 2 % more is a change of the program.
    Exact,
    /// Not compared, and why.
    No(&'static str),
}

/// One definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The metrics' names.
    pub pattern: &'static str,
    /// The event at which measuring starts; for sizes, what is counted.
    pub from: &'static str,
    /// The event at which it ends.
    pub to: &'static str,
    /// What is in, what is out.
    pub notes: &'static str,
    /// Whether a figure may be compared with an older one.
    pub guard: Guard,
}

impl Definition {
    /// Whether the definition covers that metric.
    pub fn covers(&self, name: &str) -> bool {
        let (mut pattern, mut name) = (self.pattern.split('.'), name.split('.'));
        loop {
            match (pattern.next(), name.next()) {
                (None, None) => return true,
                (Some(p), Some(n)) if p == "*" || p == n => {}
                _ => return false,
            }
        }
    }
}

/// The definition of a metric: the first that covers it.
pub fn of(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|d| d.covers(name))
}

const fn exact(
    pattern: &'static str,
    from: &'static str,
    to: &'static str,
    notes: &'static str,
) -> Definition {
    Definition { pattern, from, to, notes, guard: Guard::Exact }
}

const fn loose(
    pattern: &'static str,
    from: &'static str,
    to: &'static str,
    notes: &'static str,
    why: &'static str,
) -> Definition {
    Definition { pattern, from, to, notes, guard: Guard::No(why) }
}

const HOST: &str = "the sensor simulator is a process of the host, which answers when it is scheduled";
const STAGE: &str =
    "a stage lasts few ticks of the counter, so that one tick is more than 2 %; the total is guarded";
const START: &str = "the emulator's own start is in it";
const ONLY_LINUX: &str = "another system's figure";

/// All of them; longer patterns that end alike stand before shorter ones.
pub const ALL: &[Definition] = &[
    exact(
        "boot.entry_to_init",
        "the kernel's first instructions (counter read there)",
        "first Rust line of the root task",
        "Linux: the kernel's own time stamp when init starts",
    ),
    loose(
        "boot.reset_to_init",
        "reset (counter 0)",
        "first instruction of init",
        "firmware and decompression are in it; Axiom's kernel starts within microseconds of reset under QEMU",
        START,
    ),
    loose(
        "boot.entry_to_all_ready",
        "the kernel's first instructions",
        "the last server's readiness signal has reached init",
        "the drivers' probing of their sensors is in it",
        HOST,
    ),
    exact(
        "boot.*",
        "the kernel's first instructions",
        "the trace record of that phase",
        "records are written by the kernel and kept in the trace ring's header",
    ),
    loose(
        "boot.entry_to_all_ready.hpet",
        "as without `hpet`",
        "the look at both clocks right after that record",
        "as the others of both clocks",
        HOST,
    ),
    loose(
        "boot.difference.hpet",
        "the HPET's start, by the counter and by the HPET",
        "the last phase's look at both clocks",
        "less than two steps of the HPET where instructions are counted",
        "a part of a step",
    ),
    exact(
        "boot.*.hpet",
        "the kernel's first instructions",
        "the look at both clocks right after that phase's record",
        "a PC: the counter's time until the HPET was started, then the HPET's; `boot.difference.hpet` is how far the two are apart at the last phase",
    ),
    exact("memory.kernel.*", "the section of the kernel's image", "", "`image` is their sum, `bss` included"),
    exact(
        "memory.boot_allocated",
        "page tables and root objects that the kernel made at boot",
        "",
        "the root task's image is not in it",
    ),
    exact("memory.root_image_and_bundle", "the initrd in RAM", "", "every server's code is in it, once"),
    exact(
        "memory.init_allocated",
        "what init took from untyped memory",
        "",
        "servers' objects, stacks, heaps, private memory",
    ),
    exact(
        "memory.in_use",
        "kernel image + boot_allocated + root_image_and_bundle + init_allocated",
        "",
        "Linux: RAM of the machine minus free, after boot with this init alone; pages of our init's data are counted twice, so ours is an upper bound",
    ),
    exact("memory.slab", "Linux: Slab of /proc/meminfo", "", ""),
    exact(
        "memory.server.*.own",
        "a server's own memory and kernel objects",
        "",
        "heap, stack, tables, private untyped memory",
    ),
    exact(
        "memory.server.*.shared",
        "pages of the bundle mapped into a server",
        "",
        "not copied, not counted again in `in_use`",
    ),
    exact(
        "memory.server.*.stack_touched",
        "pages of a server's stack that were ever written, in this life",
        "",
        "whole pages, the high-water mark",
    ),
    exact(
        "memory.server.*.heap_touched",
        "pages of a server's heap that were ever written, in this life",
        "",
        "whole pages; servers without a heap have none",
    ),
    exact("memory.*", "Linux: the field of /proc/meminfo", "", ""),
    exact(
        "bpf.load.*.total",
        "before the client's first upload message (Linux: before `bpf(BPF_PROG_LOAD)`)",
        "the reply: verified, compiled, attached (Linux: the call's return: verified, compiled)",
        "10 loads; unloading in between is not timed",
    ),
    loose("bpf.load.*.*", "a stage's start in bpf-server", "its end", "one sample per load", STAGE),
    exact(
        "timer.*.interval",
        "wake-up",
        "next wake-up",
        "100 samples; Axiom: a thread below everybody keeps the processor busy",
    ),
    exact("timer.*.lateness", "the deadline that was armed", "the first instruction of the woken thread", ""),
    exact(
        "timer.*.irq_to_driver",
        "the counter at the timer interrupt's kernel entry",
        "the first instruction after `Wait`",
        "",
    ),
    exact(
        "timer.*.drift",
        "the grid of whole periods from the first deadline",
        "the last deadline",
        "exactly 0, or wrong",
    ),
    loose("timer.*.overruns", "periods that passed unseen", "", "", HOST),
    exact(
        "timer.*.program.lateness",
        "the deadline of `timer/<n>hz`",
        "`bpf_ktime_get_ns()` as the program's first statement",
        "a PC: beside the same by the HPET",
    ),
    exact(
        "timer.*.program.interval",
        "the program's first statement",
        "the next time there",
        "the same samples",
    ),
    exact(
        "timer.*.program.lateness.hpet",
        "the deadline of `timer/<n>hz/hpet`, by the HPET",
        "`bpf_ktime_get_ns()` as the program's first statement",
        "a PC: the HPET's comparator interrupts through the I/O APIC",
    ),
    exact(
        "timer.*.program.interval.hpet",
        "the program's first statement",
        "the next time there",
        "the same samples",
    ),
    exact(
        "timer.deadline_to_first_bpf_instruction",
        "the timer's deadline",
        "`bpf_ktime_get_ns()` as the program's first statement",
        "in the timer server, 100 Hz; Linux: `bpf_timer` re-armed by its own callback, 10 ms after the clock just before `bpf_timer_start`",
    ),
    loose(
        "sample.trigger_to_program",
        "the trigger's time stamp",
        "the first statement of the program that sees the sample",
        "the bus transfer is in it",
        HOST,
    ),
    loose(
        "sample.program_to_consumer",
        "the program's first statement",
        "the consumer, woken by its doorbell, runs",
        "through a ring buffer",
        HOST,
    ),
    exact(
        "sample.ring.scan",
        "before the reader asks its ring for the next scan",
        "it has the time and a value, and has given the room back",
        "one of 32 scans in a row, no message; the goal is 60 instructions",
    ),
    loose("sample.to_consumer", "the trigger's time stamp", "the consumer runs", "the whole way", HOST),
    loose(
        "ipc.pipe.round_trip",
        "before `write`",
        "after `read`: another process has answered",
        "4 bytes each way; Linux",
        ONLY_LINUX,
    ),
    loose(
        "ipc.futex.round_trip",
        "before waking the partner",
        "after it has woken us",
        "shared memory between two processes; Linux",
        ONLY_LINUX,
    ),
    loose(
        "ipc.eventfd.round_trip",
        "before `write`",
        "after `read`",
        "two processes, 8 bytes; Linux",
        ONLY_LINUX,
    ),
    loose("syscall.null", "before a system call that does nothing", "after it", "Linux", ONLY_LINUX),
    exact(
        "ipc.postcard.round_trip",
        "before encoding",
        "after decoding the answer",
        "another address space, postcard at both ends; `insns`: the same in instructions, where they are counted",
    ),
    exact(
        "ipc.postcard.round_trip.insns",
        "before encoding",
        "after decoding the answer",
        "as above, where instructions are counted",
    ),
    exact(
        "ipc.round_trip.*.*.*",
        "before `Call`",
        "after it: the partner has received and answered",
        "user stubs included, clock reading subtracted; `active`: the partner has its own scheduling context, `passive`: it runs on the caller's; warm",
    ),
    exact(
        "notification.*",
        "before the stub",
        "after it; `signal_to_higher_priority_waiter`: in the waiter",
        "",
    ),
    exact("yield.*", "before the stub", "after it", ""),
    exact(
        "context_switch.by_yield",
        "before a yield that runs another thread which yields back",
        "after it",
        "half of it",
    ),
    exact("page.*", "before the stub", "after it", "one 4 KiB page"),
    exact(
        "kernel.call.*.*",
        "before `Call`",
        "the first instruction of the server",
        "one way; a plain root task, threads in one address space",
    ),
    exact(
        "kernel.reply_recv.*.*",
        "before `ReplyRecv` in the server",
        "the first instruction of the client after it",
        "one way",
    ),
    exact("kernel.round_trip.*.*", "before `Call`", "after it", "user stubs included"),
    exact(
        "kernel.*",
        "before the stub",
        "after it",
        "a plain root task; `interrupt_to_driver`: from the raised line to the first instruction after `Wait`",
    ),
    exact("kernel.*.*", "before the stub", "after it", "a plain root task"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_whole_parts() {
        assert_eq!(of("bpf.load.2.total").map(|d| d.pattern), Some("bpf.load.*.total"));
        assert_eq!(of("bpf.load.2.parse").map(|d| d.pattern), Some("bpf.load.*.*"));
        assert_eq!(of("boot.entry_to_mmu").map(|d| d.pattern), Some("boot.*"));
        assert_eq!(of("boot.entry_to_init").map(|d| d.pattern), Some("boot.entry_to_init"));
        assert_eq!(of("bpf.load"), None);
        assert_eq!(of("other"), None);
    }

    #[test]
    fn no_definition_hides_behind_an_earlier_one() {
        for (index, definition) in ALL.iter().enumerate() {
            let name = definition.pattern;
            assert_eq!(ALL.iter().position(|d| d.covers(name)), Some(index), "{name}");
        }
    }
}
