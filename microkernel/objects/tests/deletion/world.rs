//! A small machine: a piece of memory with a few objects, each in its own untyped, and what its threads can do with them.
//! The whole state is bytes, so it can be copied, compared and put back.
use crate::subject::Long;
use axiom_objects::fake::FakeWorld;
use axiom_objects::object::{Notification, NotificationState, TCB_SLOTS, ThreadState};
use axiom_objects::{Cap, PhysAddr, Ptr, Slot, Tcb, slot};
use sel4_sys::{Badge, CapRights};

/// What a piece of untyped memory can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A CNode with 2 to the power of this slots.
    CNode(u32),
    /// A thread.
    Tcb,
    /// A notification with so many waiting threads.
    Notification(usize),
    /// A timer.
    Timer,
}

/// What the memory holds now, as far as whoever retyped it last knows. Stored as a byte per piece.
pub const OBJECT: u8 = 1;
/// User memory, full of bytes that nothing in the kernel may look at.
pub const USER: u8 = 2;

const POISON: u8 = 0x5a;

/// How a world is made, and what its threads may do.
#[derive(Clone, Debug)]
pub struct Spec {
    pub name: &'static str,
    pub kinds: Vec<Kind>,
    /// Slots of the first thread's root CNode beyond those with the untypeds.
    pub free: usize,
    /// Where capabilities are at the start: (slot, piece). Slots count from the root's free slots on, then through the objects.
    pub placed: Vec<(usize, usize)>,
    /// One untyped is the parent of all others.
    pub parent: bool,
    /// Capabilities to an object at most; 0: no copies, moves and swaps.
    pub copies: usize,
    pub moves: bool,
    pub swaps: bool,
    /// Memory without children may become objects and user memory again.
    pub retypes: bool,
    /// Untypeds' capabilities are moved and deleted too.
    pub deletes_untypeds: bool,
}

impl Spec {
    pub fn of(name: &'static str, kinds: &[Kind], free: usize) -> Spec {
        Spec {
            name,
            kinds: kinds.to_vec(),
            free,
            placed: Vec::new(),
            parent: true,
            copies: 2,
            moves: true,
            swaps: true,
            retypes: true,
            deletes_untypeds: false,
        }
    }
}

pub struct World {
    pub spec: Spec,
    /// The rest of the machine.
    pub machine: FakeWorld,
    memory: usize,
    /// Bytes that make up the state: root slots, pieces, and a byte per piece for what it holds.
    size: usize,
    pieces: Vec<usize>,
    waiters: Vec<Ptr<Tcb>>,
}

/// What a thread does in one go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    Long(Long, usize),
    Copy(usize, usize),
    Move(usize, usize),
    Swap(usize, usize),
    Retype(usize, usize, u8),
    /// A CNode as a thread's CSpace, or a notification as what a timer signals.
    Install(usize, usize),
}

impl World {
    pub fn new(spec: Spec) -> World {
        let roots = spec.kinds.len() + 1 + spec.free;
        let mut at = roots * 32;
        let mut pieces = Vec::new();
        for kind in &spec.kinds {
            let size = 1usize << size_bits(*kind);
            at = at.next_multiple_of(size);
            pieces.push(at);
            at += size;
        }
        let size = at + 8;
        let layout = std::alloc::Layout::from_size_align(size.next_power_of_two(), size.next_power_of_two());
        // SAFETY: the layout is not empty; the allocation is leaked.
        let memory = unsafe { std::alloc::alloc_zeroed(layout.unwrap()) }.expose_provenance();
        let waiters = spec.kinds.iter().map(|k| if let Kind::Notification(n) = k { *n } else { 0 }).sum();
        let waiters = (0..waiters).map(|_| leaked_tcb()).collect();
        let pieces = pieces.into_iter().map(|at| memory + at).collect();
        let world = World { spec, machine: FakeWorld::with_memory(16), memory, size, pieces, waiters };
        world.populate();
        world
    }

    fn populate(&self) {
        let n = self.spec.kinds.len();
        let parent = self.root_slot(n);
        let bits = self.size.next_power_of_two().ilog2();
        let all = Cap::Untyped { base: PhysAddr(self.memory as u64), bits, device: false, free: 1 << bits };
        if self.spec.parent {
            slot::insert_root(all, parent);
        }
        for i in 0..n {
            let cap = self.untyped(i);
            if self.spec.parent {
                slot::insert_new(cap, parent, self.root_slot(i));
            } else {
                slot::insert_root(cap, self.root_slot(i));
            }
        }
        for (_, piece) in &self.spec.placed {
            self.fill(*piece, OBJECT);
        }
        for (k, (at, piece)) in self.spec.placed.iter().enumerate() {
            let earlier = self.spec.placed[..k].iter().find(|(_, other)| other == piece);
            let dest = self.place(*at);
            match earlier {
                None => self.hand_out(*piece, OBJECT, self.root_slot(*piece), dest),
                Some((other, _)) => {
                    let from = self.place(*other);
                    slot::insert(from.cap(), from, dest);
                }
            }
        }
    }

    /// Slot by the numbers of `Spec::placed`.
    fn place(&self, index: usize) -> Ptr<Slot> {
        self.slots().nth(self.spec.kinds.len() + 1 + index).unwrap()
    }

    fn root_slot(&self, index: usize) -> Ptr<Slot> {
        slot_at(self.memory + index * 32)
    }

    fn untyped(&self, i: usize) -> Cap {
        let bits = size_bits(self.spec.kinds[i]);
        Cap::Untyped { base: PhysAddr(self.pieces[i] as u64), bits, device: false, free: 0 }
    }

    pub fn roots(&self) -> usize {
        self.spec.kinds.len() + 1 + self.spec.free
    }

    pub fn piece_count(&self) -> usize {
        self.pieces.len()
    }

    /// What a piece of memory holds.
    pub fn holds(&self, piece: usize) -> u8 {
        // SAFETY: the byte is inside the world's allocation.
        unsafe { *std::ptr::with_exposed_provenance::<u8>(self.memory + self.size - 8 + piece) }
    }

    fn set_holds(&self, piece: usize, what: u8) {
        // SAFETY: the byte is inside the world's allocation.
        unsafe { *std::ptr::with_exposed_provenance_mut::<u8>(self.memory + self.size - 8 + piece) = what }
    }

    /// The slots that a piece of this kind has: address of the first, and how many.
    pub fn piece_slots(&self, piece: usize) -> (usize, usize) {
        let base = self.pieces[piece];
        match self.spec.kinds[piece] {
            Kind::CNode(radix) => (base, 1 << radix),
            // SAFETY: the piece has the size and alignment of a TCB, whatever it holds.
            Kind::Tcb => (unsafe { Ptr::<Tcb>::new(base) }.slot(0).addr(), TCB_SLOTS),
            Kind::Timer => (base, 1),
            Kind::Notification(_) => (base, 0),
        }
    }

    pub fn piece_region(&self, piece: usize) -> (u64, u32) {
        (self.pieces[piece] as u64, size_bits(self.spec.kinds[piece]))
    }

    /// All places where slots can be: the root's, then those of every piece, whatever it holds now.
    pub fn slots(&self) -> impl Iterator<Item = Ptr<Slot>> + '_ {
        let pieces = (0..self.pieces.len()).flat_map(|p| {
            let (base, n) = self.piece_slots(p);
            (0..n).map(move |i| slot_at(base + i * 32))
        });
        (0..self.roots()).map(|i| self.root_slot(i)).chain(pieces)
    }

    /// Which piece of memory an address is in; `None` for the root's slots.
    pub fn piece_of(&self, address: usize) -> Option<usize> {
        (0..self.pieces.len()).find(|p| {
            let (base, bits) = self.piece_region(*p);
            (base as usize..base as usize + (1 << bits)).contains(&address)
        })
    }

    // ---- the state ----

    pub fn save(&self) -> Box<[u64]> {
        let mut words = vec![0u64; self.size / 8 + self.waiters.len()].into_boxed_slice();
        // SAFETY: both are at least `size` bytes, and nothing else refers to the world's memory meanwhile.
        unsafe {
            let from = std::ptr::with_exposed_provenance::<u8>(self.memory);
            std::ptr::copy_nonoverlapping(from, words.as_mut_ptr().cast(), self.size);
        }
        for (i, tcb) in self.waiters.iter().enumerate() {
            words[self.size / 8 + i] = u64::from(tcb.blocked_ntfn.get().is_some());
        }
        words
    }

    pub fn load(&self, words: &[u64]) {
        // SAFETY: both are at least `size` bytes, and nothing else refers to the world's memory meanwhile.
        unsafe {
            let to = std::ptr::with_exposed_provenance_mut::<u8>(self.memory);
            std::ptr::copy_nonoverlapping(words.as_ptr().cast(), to, self.size);
        }
        // A queue is its threads that still wait, in their order.
        let mut at = 0;
        for (piece, kind) in self.spec.kinds.iter().enumerate() {
            let Kind::Notification(n) = *kind else { continue };
            let mut next = None;
            for i in (at..at + n).rev().filter(|i| words[self.size / 8 + *i] != 0) {
                let tcb = self.waiters[i];
                tcb.ep_next.set(next);
                tcb.ep_prev.set(None);
                // SAFETY: threads wait only while the piece holds a notification.
                tcb.blocked_ntfn.set(Some(unsafe { Ptr::new(self.pieces[piece]) }));
                if let Some(next) = next {
                    next.ep_prev.set(Some(tcb));
                }
                next = Some(tcb);
            }
            for i in (at..at + n).filter(|i| words[self.size / 8 + *i] == 0) {
                self.waiters[i].blocked_ntfn.set(None);
            }
            at += n;
        }
    }

    /// Threads that wait for the notification in a piece.
    pub fn waiting(&self, piece: usize) -> usize {
        let base = self.pieces[piece];
        self.waiters.iter().filter(|t| t.blocked_ntfn.get().is_some_and(|n| n.addr() == base)).count()
    }

    /// Whether the thread whose TCB a piece holds, or held, runs.
    pub fn runs(&self, piece: usize) -> bool {
        // SAFETY: the piece holds a TCB, or what is left of one.
        let tcb: Ptr<Tcb> = unsafe { Ptr::new(self.pieces[piece]) };
        self.holds(piece) == OBJECT && tcb.state.get() == ThreadState::Running
    }

    // ---- what threads do ----

    /// Prepares a piece's memory, as a retype would: zeroed for an object, or with what a user wrote.
    fn fill(&self, piece: usize, what: u8) {
        let (base, bits) = self.piece_region(piece);
        let fill = if what == USER { POISON } else { 0 };
        // SAFETY: the piece is inside the world's allocation.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(base as usize).write_bytes(fill, 1 << bits) };
        self.set_holds(piece, what);
    }

    /// The first capability to what a piece's memory holds.
    fn hand_out(&self, piece: usize, what: u8, untyped: Ptr<Slot>, dest: Ptr<Slot>) {
        let (base, bits) = self.piece_region(piece);
        let cap = if what == USER {
            // Untyped device memory stands for a frame: the kernel looks into neither, and it comes in all sizes.
            Cap::Untyped { base: PhysAddr(base), bits, device: true, free: 0 }
        } else {
            self.new_object(piece, base)
        };
        if let Cap::Untyped { base, bits, .. } = untyped.cap() {
            untyped.update(Cap::Untyped { base, bits, device: false, free: 1 << bits });
        }
        slot::insert_new(cap, untyped, dest);
    }

    fn new_object(&self, piece: usize, base: u64) -> Cap {
        // SAFETY: for each: the piece has the object's size and alignment, and was just zeroed.
        unsafe {
            match self.spec.kinds[piece] {
                Kind::CNode(radix) => Cap::CNode { base: PhysAddr(base), radix, guard: 0, guard_size: 0 },
                Kind::Tcb => {
                    let tcb: Ptr<Tcb> = Ptr::new(base as usize);
                    tcb.state.set(ThreadState::Running);
                    Cap::Tcb { tcb }
                }
                Kind::Timer => Cap::Timer { timer: Ptr::new(base as usize) },
                Kind::Notification(n) => {
                    let ntfn: Ptr<Notification> = Ptr::new(base as usize);
                    let first: usize = self.spec.kinds[..piece]
                        .iter()
                        .map(|k| if let Kind::Notification(n) = k { *n } else { 0 })
                        .sum();
                    let mut next = None;
                    for tcb in self.waiters[first..first + n].iter().rev() {
                        tcb.ep_next.set(next);
                        tcb.blocked_ntfn.set(Some(ntfn));
                        next = Some(*tcb);
                    }
                    ntfn.head.set(next);
                    ntfn.tail.set(self.waiters[first..first + n].last().copied());
                    ntfn.state.set(if n > 0 { NotificationState::Waiting } else { NotificationState::Idle });
                    Cap::Notification { ntfn, badge: Badge(0), rights: CapRights::READ_WRITE }
                }
            }
        }
    }

    /// Everything that some thread can do now: the first thread, whose CNode is the root, and every thread whose TCB is in the
    /// world, runs, and has a CSpace.
    pub fn ops(&self) -> Vec<Op> {
        let slots: Vec<_> = self.slots().collect();
        let root: Vec<usize> = (0..self.roots()).collect();
        let mut ops = Vec::new();
        self.ops_of(&slots, root, &mut ops);
        for (piece, kind) in self.spec.kinds.iter().enumerate() {
            if *kind == Kind::Tcb && self.runs(piece) {
                let (first, _) = self.piece_slots(piece);
                if let Some(reached) = self.cnode_slots(&slots, slot_at(first)) {
                    self.ops_of(&slots, reached, &mut ops);
                }
            }
        }
        ops
    }

    fn cnode_slots(&self, slots: &[Ptr<Slot>], at: Ptr<Slot>) -> Option<Vec<usize>> {
        let Cap::CNode { base, radix, .. } = at.cap() else { return None };
        let first = slots.iter().position(|s| s.addr() as u64 == base.0)?;
        Some((first..first + (1 << radix)).collect())
    }

    fn ops_of(&self, slots: &[Ptr<Slot>], mut reached: Vec<usize>, ops: &mut Vec<Op>) {
        let mut at = 0;
        while at < reached.len() {
            for inner in self.cnode_slots(slots, slots[reached[at]]).unwrap_or_default() {
                if !reached.contains(&inner) {
                    reached.push(inner);
                }
            }
            at += 1;
        }
        let mut add = |op| {
            if !ops.contains(&op) {
                ops.push(op);
            }
        };
        let empty: Vec<usize> = reached.iter().copied().filter(|i| slots[*i].is_empty()).collect();
        for &i in reached.iter().filter(|i| !slots[**i].is_empty()) {
            let cap = slots[i].cap();
            let is_untyped = matches!(cap, Cap::Untyped { device: false, .. });
            let is_user = matches!(cap, Cap::Untyped { device: true, .. });
            if !is_untyped || self.spec.deletes_untypeds {
                add(Op::Long(Long::Delete, i));
            }
            if slot::first_child(slots[i]).is_some() {
                add(Op::Long(Long::Revoke, i));
            }
            let copies = slots.iter().filter(|s| !s.is_empty() && s.cap().same_object(&cap)).count();
            let can_copy =
                !is_untyped && !is_user && !crate::subject::is_zombie(&cap) && copies < self.spec.copies;
            for &to in &empty {
                if can_copy {
                    add(Op::Copy(i, to));
                }
                if self.spec.moves && (!is_untyped || self.spec.deletes_untypeds) {
                    add(Op::Move(i, to));
                }
                if is_untyped && self.spec.retypes && slot::first_child(slots[i]).is_none() {
                    add(Op::Retype(i, to, OBJECT));
                    add(Op::Retype(i, to, USER));
                }
            }
            if self.spec.swaps && !is_untyped {
                for &other in reached.iter().filter(|o| **o > i && !slots[**o].is_empty()) {
                    if !matches!(slots[other].cap(), Cap::Untyped { device: false, .. }) {
                        add(Op::Swap(i, other));
                    }
                }
            }
            let fits: (_, fn(&Cap) -> bool) = match cap {
                Cap::Tcb { tcb } => (tcb.slot(0), |cap| matches!(cap, Cap::CNode { .. })),
                Cap::Timer { timer } => (timer.slot(), |cap| matches!(cap, Cap::Notification { .. })),
                _ => continue,
            };
            for &from in reached.iter().filter(|from| fits.0.is_empty() && fits.1(&slots[**from].cap())) {
                add(Op::Install(i, from));
            }
        }
    }

    /// Does what takes one step.
    pub fn apply(&self, op: Op) {
        let slots: Vec<_> = self.slots().collect();
        match op {
            Op::Copy(a, b) => slot::insert(slots[a].cap(), slots[a], slots[b]),
            Op::Move(a, b) => slot::move_to(slots[a].cap(), slots[a], slots[b]),
            Op::Swap(a, b) => slot::swap(slots[a].cap(), slots[a], slots[b].cap(), slots[b]),
            Op::Retype(a, b, what) => {
                let Cap::Untyped { base, .. } = slots[a].cap() else { unreachable!("no untyped") };
                let piece = self.pieces.iter().position(|p| *p as u64 == base.0);
                // The parent of all is given back as the pieces that it was.
                match piece.filter(|p| self.piece_region(*p) == slots[a].cap().region().unwrap()) {
                    Some(piece) => {
                        self.fill(piece, what);
                        self.hand_out(piece, what, slots[a], slots[b]);
                    }
                    None => {
                        for i in 0..self.pieces.len() {
                            if self.root_slot(i).is_empty() {
                                slot::insert_new(self.untyped(i), slots[a], self.root_slot(i));
                            }
                        }
                    }
                }
            }
            Op::Install(holder, from) => {
                let dest = match slots[holder].cap() {
                    Cap::Tcb { tcb } => tcb.slot(0),
                    Cap::Timer { timer } => timer.slot(),
                    _ => unreachable!("nothing to install into"),
                };
                slot::insert(slots[from].cap(), slots[from], dest);
            }
            Op::Long(..) => unreachable!("deletions are run step by step"),
        }
    }
}

pub fn slot_at(address: usize) -> Ptr<Slot> {
    // SAFETY: the callers' addresses are those of slots in a world's allocation, which is leaked.
    unsafe { Ptr::new(address) }
}

fn leaked_tcb() -> Ptr<Tcb> {
    let layout = std::alloc::Layout::new::<Tcb>();
    // SAFETY: the layout is not empty; all-zero bytes are a valid TCB; the allocation is leaked.
    unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) }
}

fn size_bits(kind: Kind) -> u32 {
    match kind {
        Kind::CNode(radix) => radix + 5,
        Kind::Tcb => 11,
        Kind::Notification(_) => 6,
        Kind::Timer => 7,
    }
}
