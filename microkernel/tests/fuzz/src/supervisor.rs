//! Worlds: made from one untyped, left to the workers for a while, and taken back whole.
//!
//! What the workers cannot touch is made once: address spaces for most of them, and what the supervisor and the watchdog
//! need. All else comes from [`Supervisor::memory`], and a world ends by revoking that: the revocation has to end in time, and
//! afterwards all of the memory has to be there again.
use crate::arch;
use crate::arena::{self, ARENA, FINDING, FOUND, RADIX, SLOTS, STATES, WORKERS};
use crate::calls::BUFFERS;
use crate::objects::PLAYGROUND;
use crate::options::Options;
use crate::random::{mix, step};
use crate::slots::{fixed, kind as k, private, top};
use crate::{watchdog, worker};
use axiom_root_test::arch as tables;
use axiom_root_test::world::{self as world, World};
use axiom_root_test::{end, say};
use core::sync::atomic::Ordering::Relaxed;
use sel4_sys::cap::init;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{BootInfo, CNodeCapData, CPtr, Error, ext, label};

/// Size of a world, as a power of two of bytes.
const WORLD_BITS: u64 = 21;
/// Address spaces that outlive worlds.
const SPACES: usize = 6;
/// The one that only the predator runs in.
const PREDATORS_SPACE: usize = 0;
/// The first worker that only has what is in its world: the supervisor cannot start it again.
const MORTAL: usize = 6;
/// Endpoints for faults and messages.
const ENDPOINTS: u64 = 5;
/// Sizes of the untypeds that workers make things from.
const POOLS: [u64; 22] =
    [17, 16, 16, 15, 15, 14, 14, 13, 13, 13, 12, 12, 12, 12, 12, 11, 11, 10, 10, 10, 9, 8];
/// Slots of the root CNode for a world: more than it needs.
const WORLD_SLOTS: u64 = 600;
const ROOT_BITS: u64 = 13;
/// Where the trace ring's header is mapped, in the canary's neighbourhood.
const TRACE: u64 = 0x6101_0000;
const CANARY: u64 = 0x5555_aaaa_1234_8765;

unsafe extern "C" {
    static __image_start: u8;
}

/// Ends the run with what went wrong, and what repeats it.
pub fn fail(what: core::fmt::Arguments<'_>) -> ! {
    let o = Options::get();
    say!(
        "fuzz: END FAIL seed {} after {} calls, {} features left out: {what}",
        o.seed,
        arena::calls(),
        o.without
    );
    end(Some(format_args!("seed {}: {what}", o.seed)))
}

/// A worker of the present world.
#[derive(Clone, Copy, Default)]
struct Worker {
    tcb: u64,
    context: u64,
    root: u64,
    vspace: u64,
    buffer: u64,
    seen: u64,
    still: u32,
}

/// The supervisor.
pub struct Supervisor<'a> {
    t: &'a mut World,
    memory: CPtr,
    canary: u64,
    image: (u64, u64),
    spaces: [u64; SPACES],
    sched_control: CPtr,
    device: u64,
    first: u64,
    next: u64,
    rng: u64,
    workers: [Worker; WORKERS],
    endpoints: u64,
    fixed: u64,
    /// Worlds so far.
    pub worlds: u64,
    /// Workers started again.
    pub kicks: u64,
    /// The supervisor's own calls that were refused, and its own calls.
    pub refused: (u64, u64),
}

impl<'a> Supervisor<'a> {
    /// What outlives worlds.
    pub fn new(t: &'a mut World, info: &BootInfo) -> Supervisor<'a> {
        let memory = t.make(kind::UNTYPED, WORLD_BITS);
        let canary = t.make(kind::SMALL_PAGE, 0).0;
        let first = t.slots(WORLD_SLOTS);
        let mut s = Supervisor {
            t,
            memory,
            canary,
            image: (info.user_image_frames.start, info.user_image_frames.end),
            spaces: [0; SPACES],
            sched_control: CPtr(info.schedcontrol.start),
            device: device(info),
            first,
            next: first,
            rng: Options::get().seed,
            workers: [Worker::default(); WORKERS],
            endpoints: 0,
            fixed: 0,
            worlds: 0,
            kicks: 0,
            refused: (0, 0),
        };
        s.map_canary();
        s.map_trace(info);
        for i in 0..SPACES {
            let vspace = s.t.make(kind::VSPACE, 0).0;
            s.must("assign an ASID", init::ASID_POOL, label::ASID_POOL_ASSIGN, &[vspace], &[]);
            for at in TABLES {
                for (kind, map) in tables::TABLES {
                    let table = s.t.make(*kind, 0);
                    s.map_table(table, *map, vspace, at);
                }
            }
            let copies = s.t.slots(s.image.1 - s.image.0);
            s.map_image(vspace, copies, i == PREDATORS_SPACE);
            s.spaces[i] = vspace;
        }
        // IRQControl exists once: it lives where workers can invoke it and not delete it.
        s.fixed = s.t.make(kind::CNODE, RADIX).0;
        for (slot, cap) in [
            (fixed::ASID_CONTROL, init::ASID_CONTROL.0),
            (fixed::SCHED_CONTROL, s.sched_control.0),
            (fixed::DOMAIN, init::DOMAIN.0),
        ] {
            s.copy_to(s.fixed, slot, cap);
        }
        s.must(
            "move IRQControl",
            CPtr(s.fixed),
            label::CNODE_MOVE,
            &[init::CNODE.0],
            &[fixed::IRQ_CONTROL, RADIX, init::IRQ_CONTROL.0, 64],
        );
        s
    }

    /// Maps a table. Where each level has a kind of its own, upper ones may be there already.
    fn map_table(&mut self, table: CPtr, map: u64, vspace: u64, at: u64) {
        if tables::TABLES.len() == 1 {
            return self.must("map a table", table, map, &[vspace], &[at, vm_attributes::DEFAULT]);
        }
        let words = [at, vm_attributes::DEFAULT];
        match world::invoke(table, map, &[CPtr(vspace)], &words) {
            Ok(_) | Err(Error::DeleteFirst) => {}
            Err(e) => fail(format_args!("the supervisor cannot map a table: {e:?}")),
        }
    }

    /// The header of the kernel's trace ring, where a checked kernel notes how long interrupts were off.
    fn map_trace(&mut self, info: &BootInfo) {
        if let Some(axiom) = world::extensions(info) {
            self.must(
                "map the trace ring",
                CPtr(axiom.trace_frames),
                label::PAGE_MAP,
                &[init::VSPACE.0],
                &[TRACE, 2, tables::DATA],
            );
        }
    }

    /// The longest stretches with interrupts off, instructions, by what they were for; `None` if the kernel does not measure.
    pub fn stretches(&self) -> Option<[u64; ext::TRACE_STRETCHES]> {
        // SAFETY: `map_trace` mapped the header there, and the kernel only changes its words.
        let stretches = unsafe {
            let header = core::ptr::with_exposed_provenance::<ext::TraceHeader>(TRACE as usize);
            (&raw const (*header).stretches).read_volatile()
        };
        (stretches[ext::stretch::MEASURED] != 0).then_some(stretches)
    }

    fn map_canary(&mut self) {
        const AT: u64 = 0x6100_0000;
        self.t.map_tables(AT);
        self.must(
            "map the canary",
            CPtr(self.canary),
            label::PAGE_MAP,
            &[init::VSPACE.0],
            &[AT, 3, tables::DATA],
        );
        for i in 0..512 {
            // SAFETY: the page was just mapped for this.
            unsafe {
                core::ptr::with_exposed_provenance_mut::<u64>(AT as usize)
                    .add(i)
                    .write_volatile(CANARY ^ i as u64)
            };
        }
        self.canary = AT;
    }

    fn random(&mut self) -> u64 {
        self.rng = step(self.rng);
        self.rng >> 16
    }

    fn below(&mut self, n: u64) -> u64 {
        self.random() % n
    }

    fn try_call(&mut self, cap: CPtr, label: u64, caps: &[u64], words: &[u64]) -> bool {
        let mut pointers = [CPtr::NULL; 3];
        pointers.iter_mut().zip(caps).for_each(|(to, from)| *to = CPtr(*from));
        let done = world::invoke(cap, label, &pointers[..caps.len()], words).is_ok();
        self.refused.0 += u64::from(!done);
        self.refused.1 += 1;
        done
    }

    /// A call that the workers cannot make fail.
    fn must(&mut self, what: &str, cap: CPtr, label: u64, caps: &[u64], words: &[u64]) {
        let mut pointers = [CPtr::NULL; 3];
        pointers.iter_mut().zip(caps).for_each(|(to, from)| *to = CPtr(*from));
        self.refused.1 += 1;
        if let Err(e) = world::invoke(cap, label, &pointers[..caps.len()], words) {
            fail(format_args!("the supervisor cannot {what}: {e:?}"));
        }
    }

    /// The image's pages in another address space: the arena can be written there, and by the predator the finding, all else only
    /// read.
    fn map_image(&mut self, vspace: u64, copies: u64, predators: bool) {
        let (from, to) = arena::range();
        let finding = (&raw const FINDING) as u64;
        let base = (&raw const __image_start) as u64 & !4095;
        for i in 0..self.image.1 - self.image.0 {
            let at = base + (i << 12);
            let copy = copies + i;
            self.must(
                "copy a frame",
                init::CNODE,
                label::CNODE_COPY,
                &[init::CNODE.0],
                &[copy, 64, self.image.0 + i, 64, 15],
            );
            let writable = (from..to).contains(&at) || predators && at == finding;
            let (rights, attributes) = if writable { (3, tables::DATA) } else { (2, vm_attributes::DEFAULT) };
            self.must("map the image", CPtr(copy), label::PAGE_MAP, &[vspace], &[at, rights, attributes]);
        }
    }

    fn slot(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// An object of the present world.
    fn make(&mut self, kind: u64, bits: u64) -> u64 {
        let slot = self.slot();
        self.must(
            "make an object",
            self.memory,
            label::UNTYPED_RETYPE,
            &[init::CNODE.0],
            &[kind, bits, 0, 0, slot, 1],
        );
        slot
    }

    fn copy_to(&mut self, node: u64, slot: u64, cap: u64) {
        self.must(
            "copy a capability",
            CPtr(node),
            label::CNODE_COPY,
            &[init::CNODE.0],
            &[slot, RADIX, cap, 64, 15],
        );
    }

    fn move_to(&mut self, node: u64, slot: u64, cap: u64) {
        self.must(
            "move a capability",
            CPtr(node),
            label::CNODE_MOVE,
            &[init::CNODE.0],
            &[slot, RADIX, cap, 64],
        );
    }

    /// Makes a world and starts its workers.
    pub fn build(&mut self) {
        self.worlds += 1;
        self.rng = mix(&[Options::get().seed, self.worlds]);
        self.next = self.first;
        ARENA.shadow.iter().flatten().for_each(|s| s.store(k::EMPTY, Relaxed));
        for (i, state) in ARENA.states.iter().enumerate() {
            state.rng.store(mix(&[self.rng, i as u64]), Relaxed);
            state.role.store(role(i), Relaxed);
        }
        let shared = [self.make(kind::CNODE, RADIX), self.make(kind::CNODE, RADIX)];
        let mut fill = Fill { shared, used: [1, 1] };
        for bits in POOLS {
            let pool = self.make(kind::UNTYPED, bits);
            fill.put(self, pool, k::UNTYPED, true);
        }
        self.endpoints = self.next;
        for _ in 0..ENDPOINTS {
            let ep = self.make(kind::ENDPOINT, 0);
            fill.put(self, ep, k::ENDPOINT, false);
        }
        let kinds = [
            (kind::NOTIFICATION, 0, k::NOTIFICATION, 4),
            (kind::REPLY, 0, k::REPLY, 4),
            (kind::SCHED_CONTEXT, 8, k::CONTEXT, 3),
            (ext::TIMER_TYPE, 0, k::TIMER, 3),
            (kind::TCB, 0, k::TCB, 2),
            (kind::SMALL_PAGE, 0, k::FRAME, 3),
            (kind::CNODE, 3, k::CNODE, 2),
        ];
        for (number, bits, noted, count) in kinds {
            for _ in 0..count {
                let object = self.make(number, bits);
                fill.put(self, object, noted, true);
            }
        }
        let extra = [
            (self.sched_control.0, k::SCHED_CONTROL),
            (init::ASID_CONTROL.0, k::ASID_CONTROL),
            (init::ASID_POOL.0, k::ASID_POOL),
            (self.t.trace.0, k::TRACE),
            (self.device, k::UNTYPED),
        ];
        for (cap, noted) in extra {
            fill.put(self, cap, noted, false);
        }
        let mortal_space = self.mortal_space();
        for i in 0..WORKERS {
            self.worker(i, mortal_space, &mut fill);
        }
        for i in 0..WORKERS {
            self.start(i);
            if i >= MORTAL {
                self.abandon(i, &mut fill);
            }
        }
    }

    /// An address space that workers can take apart while they run in it.
    fn mortal_space(&mut self) -> u64 {
        let vspace = self.make(kind::VSPACE, 0);
        self.must("assign an ASID", init::ASID_POOL, label::ASID_POOL_ASSIGN, &[vspace], &[]);
        for at in TABLES {
            for (kind, map) in tables::TABLES {
                let table = self.make(*kind, 0);
                self.map_table(CPtr(table), *map, vspace, at);
            }
        }
        let copies = self.next;
        self.next += self.image.1 - self.image.0;
        self.map_image(vspace, copies, false);
        vspace
    }

    /// A worker's objects, and what it finds in its capability space.
    fn worker(&mut self, i: usize, mortal_space: u64, fill: &mut Fill) {
        let tcb = self.make(kind::TCB, 0);
        let context = self.make(kind::SCHED_CONTEXT, 8);
        let root = self.make(kind::CNODE, 4);
        let own = self.make(kind::CNODE, RADIX);
        let frame = self.make(kind::SMALL_PAGE, 0);
        let vspace = if i >= MORTAL + 2 {
            mortal_space
        } else {
            self.spaces[if i == 0 { PREDATORS_SPACE } else { 1 + i % (SPACES - 1) }]
        };
        let at = BUFFERS + ((i as u64) << 12);
        self.must("map a buffer", CPtr(frame), label::PAGE_MAP, &[vspace], &[at, 3, tables::DATA]);
        // The root CNode's guard makes a pointer of all 64 bits.
        let guarded = self.slot();
        let guard = CNodeCapData::new(0, 64 - 4 - RADIX).0;
        self.must(
            "mint a root",
            init::CNODE,
            label::CNODE_MINT,
            &[init::CNODE.0],
            &[guarded, 64, root, 64, 15, guard],
        );
        for (slot, cap) in
            [(top::PRIVATE, own), (top::SHARED, fill.shared[0]), (top::SHARED + 1, fill.shared[1])]
        {
            self.must(
                "fill a root",
                CPtr(root),
                label::CNODE_COPY,
                &[init::CNODE.0],
                &[slot, 4, cap, 64, 15],
            );
        }
        if i.is_multiple_of(2) {
            self.copy_to(own, private::ROOT, guarded);
        } else {
            self.must(
                "fill a root",
                CPtr(root),
                label::CNODE_COPY,
                &[init::CNODE.0],
                &[top::FIXED, 4, self.fixed, 64, 15],
            );
        }
        let (reply, ntfn, timer) =
            (self.make(kind::REPLY, 0), self.make(kind::NOTIFICATION, 0), self.make(ext::TIMER_TYPE, 0));
        self.must("bind a timer", CPtr(timer), ext::TIMER_BIND, &[ntfn], &[]);
        let caps = [
            (private::TCB, tcb),
            (private::SHARED, fill.shared[0]),
            (private::SHARED + 1, fill.shared[1]),
            (private::SELF, own),
            (private::VSPACE, vspace),
            (private::BUFFER, frame),
            (private::CONTEXT, context),
            (private::REPLY, reply),
            (private::NOTIFICATION, ntfn),
            (private::TIMER, timer),
            (private::PREY, if i < 2 { tcb } else { self.workers[i - 1].tcb }),
        ];
        for (slot, cap) in caps {
            self.copy_to(own, slot, cap);
        }
        for (cap, noted) in [(context, k::CONTEXT), (ntfn, k::NOTIFICATION)] {
            fill.put(self, cap, noted, false);
        }
        // Nobody reaches the predator, nor the buffer with its arguments, so that it can be believed.
        if role(i) != worker::PREDATOR {
            fill.put(self, frame, k::FRAME, false);
            fill.put(self, tcb, k::TCB, false);
            fill.put(self, vspace, k::VSPACE, false);
        }
        self.workers[i] = Worker { tcb, context, root: guarded, vspace, buffer: frame, seen: 0, still: 0 };
    }

    /// Starts a worker, whatever state it is in.
    fn start(&mut self, i: usize) {
        let w = self.workers[i];
        let roll = self.below(4);
        let (budget, period) = match self.below(6) {
            _ if role(i) == worker::GRINDER => (5000, 5000),
            0 => (5000, 5000),
            1 => (40, 40),
            2 => (50, 400),
            3 => (100, 1000),
            4 => (300, 900),
            _ => (1000, 1000),
        };
        let at = BUFFERS + ((i as u64) << 12);
        let handler = self.endpoints + self.below(ENDPOINTS);
        let priority = match role(i) {
            worker::PREDATOR => 253,
            worker::GRINDER => 1 + self.below(20),
            _ => 1 + self.below(252),
        };
        self.try_call(CPtr(w.context), label::SCHED_CONTEXT_UNBIND, &[], &[]);
        self.try_call(CPtr(w.tcb), label::TCB_SUSPEND, &[], &[]);
        self.try_call(
            self.sched_control,
            label::SCHED_CONTROL_CONFIGURE_FLAGS,
            &[w.context],
            &[budget, period, self.rng & 7, i as u64, self.rng >> 3 & 1],
        );
        self.try_call(CPtr(w.tcb), label::TCB_CONFIGURE, &[w.root, w.vspace, w.buffer], &[0, 0, at]);
        self.try_call(
            CPtr(w.tcb),
            label::TCB_SET_SCHED_PARAMS,
            &[init::TCB.0, w.context, handler],
            &[253, priority],
        );
        if roll == 0 && role(i) != worker::PREDATOR {
            self.try_call(CPtr(w.tcb), label::TCB_SET_TIMEOUT_ENDPOINT, &[handler], &[]);
        }
        let mut words = [0; 2 + arch::CONTEXT[0] as usize];
        words[0] = 1;
        words[1] = arch::CONTEXT[0];
        arch::place(&mut words[2..], worker::entry(), ARENA.states[i].stack_top(), i as u64, 0);
        self.try_call(CPtr(w.tcb), label::TCB_WRITE_REGISTERS, &[], &words);
    }

    /// The world's own copy of everything of a worker is the last one: it is the world's to lose.
    fn abandon(&mut self, i: usize, fill: &mut Fill) {
        let w = self.workers[i];
        for slot in [w.root, w.root - 4, w.root - 3, w.root - 2, w.root - 1] {
            // The guarded copy, and TCB .. frame, as `worker` made them.
            if self.below(4) == 0 {
                fill.put(self, slot, k::OTHER, true);
            } else {
                self.try_call(init::CNODE, label::CNODE_DELETE, &[], &[slot, 64]);
            }
        }
    }

    /// Starts workers again that stand still.
    pub fn kick(&mut self) {
        for i in 0..MORTAL {
            let calls = ARENA.states[i].calls.load(Relaxed);
            let w = &mut self.workers[i];
            w.still = if w.seen == calls { w.still + 1 } else { 0 };
            w.seen = calls;
            if w.still >= 2 {
                w.still = 0;
                self.kicks += 1;
                self.start(i);
            }
        }
    }

    /// Lets the workers work.
    pub fn run(&mut self) {
        let ticks = 20 + self.below(100);
        for _ in 0..ticks {
            self.t.sleep_us(500);
            let [found, page, word] = core::array::from_fn(|i| FINDING.found[i].load(Relaxed));
            if (FOUND..FOUND + 4096).contains(&found) {
                fail(format_args!(
                    "a worker got memory that is not zero: {word:#x} at {:#x}",
                    page + found - FOUND
                ));
            }
            self.kick();
        }
    }

    /// Takes the world back and looks whether all of it is there.
    pub fn take_back(&mut self) {
        let below = self.below(2) == 0;
        let priority = 1 + self.below(252);
        // First this: below the workers, the watchdog has to help.
        watchdog::begins(below);
        if below {
            self.must("lower its priority", init::TCB, label::TCB_SET_PRIORITY, &[init::TCB.0], &[priority]);
        }
        self.must("revoke a world", init::CNODE, label::CNODE_REVOKE, &[], &[self.memory.0, 64]);
        watchdog::ends();
        self.must("raise its priority", init::TCB, label::TCB_SET_PRIORITY, &[init::TCB.0], &[254]);
        // Copies of what is not the world's: the image's frames.
        for slot in self.first..self.next {
            if !world::is_empty(slot) {
                self.must("delete a copy", init::CNODE, label::CNODE_DELETE, &[], &[slot, 64]);
            }
        }
        self.refill();
        for i in 0..512 {
            // SAFETY: the canary's page stays mapped.
            let word = unsafe {
                core::ptr::with_exposed_provenance::<u64>(self.canary as usize).add(i).read_volatile()
            };
            if word != CANARY ^ i as u64 {
                fail(format_args!("memory that nobody has a capability to was written: {word:#x}"));
            }
        }
    }

    /// The whole memory of a world as one frame: all of it is zero, and then all of it holds words that break what still uses it.
    fn refill(&mut self) {
        const AT: u64 = 0x6120_0000;
        let slot = self.first;
        self.must(
            "have all its memory back",
            self.memory,
            label::UNTYPED_RETYPE,
            &[init::CNODE.0],
            &[kind::LARGE_PAGE, 0, 0, 0, slot, 1],
        );
        if self.below(4) == 0 {
            self.must(
                "map its memory",
                CPtr(slot),
                label::PAGE_MAP,
                &[init::VSPACE.0],
                &[AT, 3, tables::DATA],
            );
            let at = core::ptr::with_exposed_provenance_mut::<u64>(AT as usize);
            for i in 0..(1usize << WORLD_BITS) / 8 {
                // SAFETY: the large page was just mapped here, and nobody else has it.
                let old = unsafe { at.add(i).read_volatile() };
                if old != 0 {
                    fail(format_args!("new memory is not zero: {old:#x} at {:#x}", i * 8));
                }
                // SAFETY: as above.
                unsafe { at.add(i).write_volatile(0xdead_beef_dead_bee8) };
            }
        }
        self.must("delete its memory", init::CNODE, label::CNODE_DELETE, &[], &[slot, 64]);
    }
}

/// The largest device untyped: addresses behind all that a machine has.
fn device(info: &BootInfo) -> u64 {
    let count = (info.untyped.end - info.untyped.start) as usize;
    let largest = info
        .untyped_list
        .iter()
        .take(count)
        .enumerate()
        .filter(|(_, u)| u.is_device == 1)
        .max_by_key(|(_, u)| u.size_bits);
    match largest {
        Some((i, _)) => info.untyped.start + i as u64,
        None => fail(format_args!("there is no device memory")),
    }
}

fn role(i: usize) -> u64 {
    match i % STATES {
        0 => worker::PREDATOR,
        1 | 6 => worker::REVOKER,
        2 | 7 => worker::TALKER,
        3 => worker::BURSTER,
        4 => worker::STOPPER,
        5 => worker::GRINDER,
        _ => worker::ANYTHING,
    }
}

/// Where page tables are needed: the image, the buffers, the playground, in the order of their levels.
const TABLES: [u64; 6] = [IMAGE, IMAGE, IMAGE, BUFFERS, BUFFERS, PLAYGROUND];
/// The 2 MiB that the linker puts the image into.
const IMAGE: u64 = 0x20_0000;

/// Filling the shared CNodes.
struct Fill {
    shared: [u64; 2],
    used: [u64; 2],
}

impl Fill {
    fn put(&mut self, s: &mut Supervisor<'_>, cap: u64, noted: u8, moves: bool) {
        let node = s.below(2);
        let index = self.used[node as usize];
        if index >= SLOTS as u64 {
            return;
        }
        self.used[node as usize] += 1;
        if moves {
            s.move_to(self.shared[node as usize], index, cap);
        } else {
            s.copy_to(self.shared[node as usize], index, cap);
        }
        crate::slots::Shared { node, index }.note(noted);
    }
}

const _: () = assert!(ROOT_BITS == 13, "the capability pointers of the root task are slots of its CNode");
