//! init's invocations: libsel4's argument layouts as functions, errors as [`Error`].
use crate::arch::{self, Table};
use axiom_fdt::Interrupt;
use core::cell::Cell;
use sel4_sys::cap::init;
use sel4_sys::message::IpcBuffer;
use sel4_sys::stubs::{self, Received};
use sel4_sys::{Badge, CNodeCapData, CPtr, CapRights, Error, MessageInfo, ext, label};

struct Buffer(Cell<*mut IpcBuffer>);
// SAFETY: init has one thread.
unsafe impl Sync for Buffer {}
static BUFFER: Buffer = Buffer(Cell::new(core::ptr::null_mut()));

struct Debug(Cell<CPtr>);
// SAFETY: init has one thread.
unsafe impl Sync for Debug {}
impl core::ops::Deref for Debug {
    type Target = Cell<CPtr>;
    fn deref(&self) -> &Cell<CPtr> {
        &self.0
    }
}
/// The Debug capability, or nothing.
static DEBUG: Debug = Debug(Cell::new(CPtr(0)));

/// Uses this IPC buffer.
///
/// # Safety
/// `buffer` is this thread's IPC buffer, mapped for as long as the thread lives, and nothing else writes to it.
pub unsafe fn init_buffer(buffer: *mut IpcBuffer) {
    BUFFER.0.set(buffer);
}

/// The IPC buffer. Not held across a system call.
pub fn buffer() -> &'static mut IpcBuffer {
    // SAFETY: set by `init_buffer` before anything else; one thread, and no caller keeps the reference over a call.
    unsafe { &mut *BUFFER.0.get() }
}

/// Result of an invocation.
pub type Done = Result<(), Error>;

/// Invokes a capability.
pub fn invoke(cap: CPtr, label: u64, caps: &[CPtr], words: &[u64]) -> Result<Received, Error> {
    let (answer, error) = attempt(cap, label, caps, words);
    match error {
        Error::NoError => Ok(answer),
        error => Err(error),
    }
}

fn attempt(cap: CPtr, label: u64, caps: &[CPtr], words: &[u64]) -> (Received, Error) {
    let b = buffer();
    for (to, from) in b.caps_or_badges.iter_mut().zip(caps) {
        *to = from.0;
    }
    let mut mrs = [0; 4];
    for (i, word) in words.iter().enumerate() {
        if i < 4 {
            mrs[i] = *word;
        } else {
            b.msg[i] = *word;
        }
    }
    let answer = stubs::call(cap, MessageInfo::new(label, 0, caps.len() as u64, words.len() as u64), mrs);
    let error = Error::from_label(answer.info.label()).unwrap_or(Error::IllegalOperation);
    (answer, error)
}

/// Why a mapping was not made.
pub enum Unmapped {
    /// This table is missing.
    Table(Table),
    /// Something else.
    Other(Error),
}

impl From<Error> for Unmapped {
    fn from(error: Error) -> Unmapped {
        Unmapped::Other(error)
    }
}

fn mapped((answer, error): (Received, Error)) -> Result<(), Unmapped> {
    match error {
        Error::NoError => Ok(()),
        // Words of a failed lookup: whose, what failed, bits left.
        Error::FailedLookup => Err(Unmapped::Table(arch::missing_table(answer.mrs[2]))),
        error => Err(Unmapped::Other(error)),
    }
}

/// Makes `count` objects from an untyped, in init's own slots from `first` on.
pub fn retype(untyped: CPtr, kind: u64, bits: u32, first: u64, count: u64) -> Done {
    invoke(untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind, bits.into(), 0, 0, first, count]).map(drop)
}

/// Copies a capability of init's to `slot` of a CNode of `depth` bits.
pub fn copy_to(cnode: CPtr, slot: u64, depth: u32, src: CPtr, rights: CapRights) -> Done {
    invoke(cnode, label::CNODE_COPY, &[init::CNODE], &[slot, depth.into(), src.0, 64, rights.0]).map(drop)
}

/// Copies with a badge or guard.
pub fn mint_to(cnode: CPtr, slot: u64, depth: u32, src: CPtr, rights: CapRights, data: u64) -> Done {
    invoke(cnode, label::CNODE_MINT, &[init::CNODE], &[slot, depth.into(), src.0, 64, rights.0, data])
        .map(drop)
}

/// Copies into one of init's own slots.
pub fn copy(slot: u64, src: CPtr, rights: CapRights) -> Done {
    copy_to(init::CNODE, slot, 64, src, rights)
}

/// Copies into one of init's own slots, with a badge.
pub fn mint(slot: u64, src: CPtr, rights: CapRights, badge: Badge) -> Done {
    mint_to(init::CNODE, slot, 64, src, rights, badge.0)
}

/// Empties one of init's slots.
pub fn delete(slot: CPtr) -> Done {
    invoke(init::CNODE, label::CNODE_DELETE, &[], &[slot.0, 64]).map(drop)
}

/// Deletes what was derived from a capability.
pub fn revoke(slot: CPtr) -> Done {
    invoke(init::CNODE, label::CNODE_REVOKE, &[], &[slot.0, 64]).map(drop)
}

/// Maps a frame.
pub fn map(
    frame: CPtr,
    vspace: CPtr,
    vaddr: u64,
    rights: CapRights,
    attributes: u64,
) -> Result<(), Unmapped> {
    mapped(attempt(frame, label::PAGE_MAP, &[vspace], &[vaddr, rights.0, attributes]))
}

/// Unmaps a frame.
pub fn unmap(frame: CPtr) -> Done {
    invoke(frame, label::PAGE_UNMAP, &[], &[]).map(drop)
}

/// Physical address of a frame.
pub fn frame_address(frame: CPtr) -> Result<u64, Error> {
    invoke(frame, label::PAGE_GET_ADDRESS, &[], &[]).map(|a| a.mrs[0])
}

/// Adds a page table.
pub fn map_table(table: Table, made: CPtr, vspace: CPtr, vaddr: u64) -> Result<(), Unmapped> {
    use sel4_sys::object::vm_attributes::DEFAULT;
    mapped(attempt(made, table.label, &[vspace], &[vaddr, DEFAULT]))
}

/// Gives an address space its identifier.
pub fn assign_asid(vspace: CPtr) -> Done {
    invoke(init::ASID_POOL, label::ASID_POOL_ASSIGN, &[vspace], &[]).map(drop)
}

/// Sets a thread's spaces and IPC buffer.
pub fn configure(
    tcb: CPtr,
    cnode: CPtr,
    guard: CNodeCapData,
    vspace: CPtr,
    buffer_at: u64,
    frame: CPtr,
) -> Done {
    invoke(tcb, label::TCB_CONFIGURE, &[cnode, vspace, frame], &[guard.0, 0, buffer_at]).map(drop)
}

/// Sets priority, scheduling context and fault handler of a thread.
pub fn set_sched_params(tcb: CPtr, priority: u8, sc: CPtr, fault: CPtr) -> Done {
    let p = u64::from(priority);
    invoke(tcb, label::TCB_SET_SCHED_PARAMS, &[init::TCB, sc, fault], &[p, p]).map(drop)
}

/// Gives a scheduling context its budget.
pub fn configure_sc(control: CPtr, sc: CPtr, budget_us: u64, period_us: u64, extra: u64, badge: u64) -> Done {
    let words = [budget_us, period_us, extra, badge, 0];
    invoke(control, label::SCHED_CONTROL_CONFIGURE_FLAGS, &[sc], &words).map(drop)
}

/// Binds a thread's notification.
pub fn bind_notification(tcb: CPtr, ntfn: CPtr) -> Done {
    invoke(tcb, label::TCB_BIND_NOTIFICATION, &[ntfn], &[]).map(drop)
}

/// Sets the first registers of a thread and starts it.
pub fn start(tcb: CPtr, pc: u64, sp: u64, argument: u64) -> Done {
    let registers = arch::first_registers(pc, sp, argument);
    // Flags (resume), count, then the registers.
    let mut words = [0; 16];
    words[0] = 1;
    words[1] = registers.len() as u64;
    words[2..2 + registers.len()].copy_from_slice(&registers);
    invoke(tcb, label::TCB_WRITE_REGISTERS, &[], &words[..2 + registers.len()]).map(drop)
}

/// Makes an interrupt handler.
pub fn irq_handler(wanted: Interrupt, slot: u64) -> Done {
    let (label, words) = arch::irq_handler(wanted, slot);
    invoke(init::IRQ_CONTROL, label, &[init::CNODE], &words).map(drop)
}

/// Sets an interrupt's notification.
pub fn irq_notify(handler: CPtr, ntfn: CPtr) -> Done {
    invoke(handler, label::IRQ_SET_HANDLER, &[ntfn], &[]).map(drop)
}

/// Lets an interrupt come.
pub fn irq_ack(handler: CPtr) -> Done {
    invoke(handler, label::IRQ_ACK, &[], &[]).map(drop)
}

/// Binds a kernel timer to a notification.
pub fn timer_bind(timer: CPtr, ntfn: CPtr) -> Done {
    invoke(timer, sel4_sys::ext::TIMER_BIND, &[ntfn], &[]).map(drop)
}

/// Lets a timer expire once, at this tick of the counter.
pub fn timer_arm(timer: CPtr, at: u64) -> Done {
    invoke(timer, sel4_sys::ext::TIMER_ARM, &[], &[at, 0]).map(drop)
}

pub use crate::arch::ticks;

/// Records a boot event, with the thread that it is about.
pub fn trace(cap: CPtr, event: u16, arg0: u16, thread: Option<CPtr>) {
    // A kernel without trace points refuses; then there is nothing to record to.
    let _ = invoke(cap, sel4_sys::ext::TRACE_EMIT, thread.as_slice(), &[event.into(), arg0.into(), 0]);
}

/// The words of some bytes, the last one filled with zeroes.
fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    core::array::from_fn(|i| {
        let mut word = [0; 8];
        let rest = bytes.get(8 * i..).unwrap_or(&[]);
        let length = rest.len().min(8);
        word[..length].copy_from_slice(&rest[..length]);
        u64::from_le_bytes(word)
    })
}

/// Uses the Debug capability, where the kernel has one.
pub fn init_debug(cap: CPtr) {
    DEBUG.set(cap);
}

/// Leaves the debugging system calls to everybody, or takes them away.
pub fn debug_calls(on: bool) -> Done {
    match DEBUG.get() {
        CPtr(0) => Ok(()),
        cap => invoke(cap, ext::DEBUG_CALLS, &[], &[on.into()]).map(drop),
    }
}

/// Names a thread in the kernel's diagnostics.
pub fn name_thread(tcb: CPtr, name: &str) -> Done {
    match DEBUG.get() {
        CPtr(0) => Ok(()),
        cap => {
            let name = &name.as_bytes()[..name.len().min(31)];
            invoke(cap, ext::DEBUG_NAME_THREAD, &[tcb], &words::<4>(name)).map(drop)
        }
    }
}

/// Writes on the kernel's console: all of it, in one piece, because init runs above everybody who writes there.
pub fn write(text: &[u8]) {
    const BYTES: usize = ext::DEBUG_WRITE_BYTES as usize;
    let cap = DEBUG.get();
    if cap == CPtr(0) {
        return text.iter().for_each(|byte| stubs::debug_put_char(*byte));
    }
    for mut piece in text.chunks(BYTES) {
        while !piece.is_empty() {
            let mut message = [0; 1 + BYTES / 8];
            message[0] = piece.len() as u64;
            message[1..].copy_from_slice(&words::<{ BYTES / 8 }>(piece));
            let length = 1 + piece.len().div_ceil(8);
            // The kernel takes what the UART has room for; it is asked again until all is gone.
            match invoke(cap, ext::DEBUG_WRITE, &[], &message[..length]) {
                Ok(answer) => piece = piece.get(answer.mrs[0] as usize..).unwrap_or(&[]),
                // There is nothing else to say it to.
                Err(_) => return,
            }
        }
    }
}

/// Turns the machine off.
pub fn power_off() {
    match DEBUG.get() {
        CPtr(0) => stubs::debug_halt(),
        // It does not return, but for a refusal, after which there is nothing left to do.
        cap => drop(invoke(cap, ext::DEBUG_POWER_OFF, &[], &[])),
    }
}
