//! What the checks stand on: invocations, objects, threads.
use crate::arch;
use sel4_sys::bootinfo::{BootInfo, Header};
use sel4_sys::cap::init;
use sel4_sys::ext::{AxiomInfo, BOOTINFO_AXIOM};
use sel4_sys::message::IpcBuffer;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::stubs::{self, Received};
use sel4_sys::{CNodeCapData, CPtr, Error, MessageInfo, ext, label, syscall};

pub use crate::arch::{counter, cycles, frequency, thread_pointer};

/// This thread's IPC buffer.
pub fn buffer() -> &'static mut IpcBuffer {
    // SAFETY: every thread here sets its thread pointer to its buffer before anything else; no reference is held over a call.
    unsafe { &mut *(arch::buffer() as *mut IpcBuffer) }
}

/// The same, named for threads.
pub fn thread_buffer() -> &'static mut IpcBuffer {
    buffer()
}

/// Sets this thread's buffer.
pub fn set_buffer(at: u64) {
    name_buffer(at);
    arch::set_thread_pointer(at);
}

/// Where an architecture has no register for its address, a buffer holds it.
fn name_buffer(at: u64) {
    // SAFETY: a buffer is mapped there, and this word of it is the user's own; no reference is held over a call.
    unsafe { (*(at as *mut IpcBuffer)).user_data = at };
}

/// An invocation with libsel4's conventions.
pub fn invoke(cap: CPtr, label: u64, caps: &[CPtr], words: &[u64]) -> Result<Received, Error> {
    let b = buffer();
    for (to, from) in b.caps_or_badges.iter_mut().zip(caps) {
        *to = from.0;
    }
    let mut mrs = [0; 4];
    for (i, word) in words.iter().enumerate() {
        if i < 4 { mrs[i] = *word } else { b.msg[i] = *word }
    }
    let r = stubs::call(cap, MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64), mrs);
    match Error::from_label(r.info.label()) {
        Some(Error::NoError) => Ok(r),
        Some(e) => Err(e),
        None => Err(Error::IllegalOperation),
    }
}

/// Deletes a capability.
pub fn delete(slot: CPtr) -> Result<(), Error> {
    invoke(init::CNODE, label::CNODE_DELETE, &[], &[slot.0, 64]).map(drop)
}

/// Revokes a capability.
pub fn revoke(slot: CPtr) -> Result<(), Error> {
    invoke(init::CNODE, label::CNODE_REVOKE, &[], &[slot.0, 64]).map(drop)
}

/// Whether a slot is empty: a copy out of it fails.
pub fn is_empty(slot: u64) -> bool {
    let scratch = (1 << 13) - 1;
    let copied = invoke(init::CNODE, label::CNODE_COPY, &[init::CNODE], &[scratch, 64, slot, 64, 15]);
    if copied.is_ok() {
        let _ = delete(CPtr(scratch));
    }
    copied.is_err_and(|e| e == Error::FailedLookup)
}

/// A check: false after a line that says why.
pub type Check = fn(&mut World) -> bool;

/// A thread of a check.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Its TCB.
    pub tcb: CPtr,
    /// Its scheduling context.
    pub sc: CPtr,
}

/// What the kernel's debugging call says that a capability is.
pub fn identify(cap: CPtr) -> u64 {
    stubs::debug_call(syscall::DEBUG_CAP_IDENTIFY, cap.0)
}

/// Resources of the checks.
pub struct World {
    /// What the kernel said.
    pub info: &'static BootInfo,
    /// A large RAM untyped.
    pub untyped: CPtr,
    next_slot: u64,
    sched_control: CPtr,
    next_page: u64,
    sleep: Option<(CPtr, CPtr)>,
    /// The Trace capability; null on a kernel without it.
    pub trace: CPtr,
}

/// The extensions' chunk behind BootInfo.
pub fn extensions(info: &BootInfo) -> Option<AxiomInfo> {
    let start = core::ptr::from_ref(info) as usize + 4096;
    let mut at = 0;
    while at + size_of::<Header>() <= info.extra_len as usize {
        // SAFETY: the kernel mapped `extra_len` bytes of chunks behind BootInfo's page.
        let header = unsafe { ((start + at) as *const Header).read_unaligned() };
        let length = header.len as usize;
        if length < size_of::<Header>() {
            return None;
        }
        if header.id == BOOTINFO_AXIOM && length >= size_of::<Header>() + size_of::<AxiomInfo>() {
            // SAFETY: as above; the body is plain words and lies inside the chunk.
            return Some(unsafe {
                ((start + at + size_of::<Header>()) as *const AxiomInfo).read_unaligned()
            });
        }
        at += length;
    }
    None
}

const PAGES: u64 = 0x6000_0000;

impl World {
    /// From BootInfo.
    pub fn new(info: &'static BootInfo) -> World {
        set_buffer(info.ipc_buffer);
        let extensions = extensions(info);
        arch::learn(extensions.as_ref());
        let count = (info.untyped.end - info.untyped.start) as usize;
        let list = &info.untyped_list[..count];
        let best =
            (0..count).filter(|i| list[*i].is_device == 0).max_by_key(|i| list[*i].size_bits).unwrap_or(0);
        let mut world = World {
            info,
            untyped: CPtr(info.untyped.start + best as u64),
            next_slot: info.empty.start,
            sched_control: CPtr(info.schedcontrol.start),
            next_page: PAGES,
            sleep: None,
            trace: extensions.map_or(CPtr::NULL, |axiom| CPtr(axiom.trace_cap)),
        };
        world.map_tables(PAGES);
        world
    }

    /// The first slot that no check has taken.
    pub fn first_free(&self) -> u64 {
        self.next_slot
    }

    /// Empty slots in a row.
    pub fn slots(&mut self, count: u64) -> u64 {
        self.next_slot += count;
        self.next_slot - count
    }

    /// An object.
    pub fn make(&mut self, kind: u64, bits: u64) -> CPtr {
        let slot = self.slots(1);
        match invoke(self.untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind, bits, 0, 0, slot, 1]) {
            Ok(_) => CPtr(slot),
            Err(e) => panic!("cannot make object {kind}: {e:?}"),
        }
    }

    /// All tables for the 2 MiB around an address.
    pub fn map_tables(&mut self, vaddr: u64) {
        while self.map_table(vaddr) {}
    }

    /// The next table towards an address; false when there is none missing.
    pub fn map_table(&mut self, vaddr: u64) -> bool {
        arch::TABLES.iter().any(|(kind, map)| {
            let table = self.make(*kind, 0);
            invoke(table, *map, &[init::VSPACE], &[vaddr, vm_attributes::DEFAULT]).is_ok()
        })
    }

    fn page(&mut self) -> (CPtr, u64) {
        let frame = self.make(kind::SMALL_PAGE, 0);
        let at = self.next_page;
        self.next_page += 4096;
        if let Err(e) = invoke(frame, label::PAGE_MAP, &[init::VSPACE], &[at, 3, arch::DATA]) {
            panic!("cannot map a page: {e:?}");
        }
        (frame, at)
    }

    /// A thread that does not run yet: with the address of its buffer and its stack's end.
    pub fn build(&mut self, priority: u64, budget: u64, period: u64, handler: CPtr) -> (Thread, u64, u64) {
        let (thread, _, buffer, sp) = self.build_with_frame(priority, budget, period, handler);
        (thread, buffer, sp)
    }

    /// The same, with its buffer's frame before the buffer's address.
    pub fn build_with_frame(
        &mut self,
        priority: u64,
        budget: u64,
        period: u64,
        handler: CPtr,
    ) -> (Thread, CPtr, u64, u64) {
        let tcb = self.make(kind::TCB, 0);
        let sc = self.make(kind::SCHED_CONTEXT, 8);
        let (frame, buffer) = self.page();
        let (_, stack) = self.page();
        let guard = CNodeCapData::new(0, 64 - 13);
        let steps = [
            invoke(tcb, label::TCB_CONFIGURE, &[init::CNODE, init::VSPACE, frame], &[guard.0, 0, buffer]),
            invoke(
                self.sched_control,
                label::SCHED_CONTROL_CONFIGURE_FLAGS,
                &[sc],
                &[budget, period, 0, 0, 0],
            ),
            invoke(tcb, label::TCB_SET_SCHED_PARAMS, &[init::TCB, sc, handler], &[255, priority]),
        ];
        if let Some(Err(e)) = steps.into_iter().find(Result::is_err) {
            panic!("cannot make a thread: {e:?}");
        }
        (Thread { tcb, sc }, frame, buffer, stack + 4096)
    }

    /// Starts such a thread.
    pub fn start(
        &mut self,
        thread: Thread,
        entry: extern "C" fn(u64, u64) -> !,
        args: [u64; 2],
        buffer: u64,
        sp: u64,
    ) {
        name_buffer(buffer);
        let (context, count) = arch::first_registers(entry as usize as u64, sp, args, buffer);
        let mut words = [0u64; 2 + arch::WORDS];
        words[0] = 1;
        words[1] = count as u64;
        words[2..].copy_from_slice(&context);
        if let Err(e) = invoke(thread.tcb, label::TCB_WRITE_REGISTERS, &[], &words[..2 + count]) {
            panic!("cannot start a thread: {e:?}");
        }
    }

    /// A thread that runs `entry(a, b)`.
    pub fn thread(&mut self, priority: u64, entry: extern "C" fn(u64, u64) -> !, a: u64, b: u64) -> Thread {
        self.thread_with_handler(priority, entry, a, b, CPtr(0))
    }

    /// The same, with a fault handler.
    pub fn thread_with_handler(
        &mut self,
        priority: u64,
        entry: extern "C" fn(u64, u64) -> !,
        a: u64,
        b: u64,
        handler: CPtr,
    ) -> Thread {
        let (thread, buffer, sp) = self.build(priority, 5000, 5000, handler);
        self.start(thread, entry, [a, b], buffer, sp);
        thread
    }

    /// A thread with a budget.
    pub fn thread_with_budget(
        &mut self,
        priority: u64,
        entry: extern "C" fn(u64, u64) -> !,
        budget: u64,
        period: u64,
    ) -> Thread {
        let (thread, buffer, sp) = self.build(priority, budget, period, CPtr(0));
        self.start(thread, entry, [0; 2], buffer, sp);
        thread
    }

    /// A thread with a budget and an argument.
    pub fn thread_with_args(
        &mut self,
        priority: u64,
        entry: extern "C" fn(u64, u64) -> !,
        a: u64,
        budget: u64,
        period: u64,
    ) -> Thread {
        let (thread, buffer, sp) = self.build(priority, budget, period, CPtr(0));
        self.start(thread, entry, [a, 0], buffer, sp);
        thread
    }

    /// A thread whose first argument is the capability to itself.
    pub fn thread_of_itself(&mut self, priority: u64, entry: extern "C" fn(u64, u64) -> !) -> Thread {
        let (thread, buffer, sp) = self.build(priority, 5000, 5000, CPtr(0));
        self.start(thread, entry, [thread.tcb.0, 0], buffer, sp);
        thread
    }

    /// A thread that does not run.
    pub fn stopped_thread(&mut self, priority: u64) -> Thread {
        self.build(priority, 5000, 5000, CPtr(0)).0
    }

    /// Lets others run for a while.
    pub fn sleep_us(&mut self, us: u64) {
        let (timer, ntfn) = match self.sleep {
            Some(pair) => pair,
            None => {
                let pair = (self.make(ext::TIMER_TYPE, 0), self.make(kind::NOTIFICATION, 0));
                if let Err(e) = invoke(pair.0, ext::TIMER_BIND, &[pair.1], &[]) {
                    panic!("cannot bind a timer: {e:?}");
                }
                self.sleep = Some(pair);
                pair
            }
        };
        let deadline = counter() + us * frequency() / 1_000_000;
        if let Err(e) = invoke(timer, ext::TIMER_ARM, &[], &[deadline, 0]) {
            panic!("cannot arm a timer: {e:?}");
        }
        stubs::wait(ntfn);
    }

    /// Lets a thread run until it has entered a system call. The time that takes depends on how much of the host's time the
    /// emulator gets.
    pub fn run_until_blocked(&mut self, thread: Thread) {
        for _ in 0..1000 {
            self.sleep_us(1000);
            // A system call's number is negative.
            let read = invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, arch::WORDS as u64]);
            if read.is_ok() && (buffer().msg[arch::NUMBER_WORD] as i64) < 0 {
                return;
            }
        }
        panic!("a thread does not reach its first system call");
    }
}
