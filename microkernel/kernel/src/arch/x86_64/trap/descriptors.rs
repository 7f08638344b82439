//! Segments, the interrupt table, the task state.
use super::super::stack::ANYTIME_STACKS;
use core::arch::asm;
use core::cell::UnsafeCell;

/// The kernel's data segment, for VERW, which looks at a selector in memory.
pub static DATA_SEGMENT: u16 = 0x10;
/// Kernel code.
pub const KERNEL_CODE: u16 = 0x08;
/// The task state.
const TASK: u16 = 0x30;

/// The task state segment. Its limit leaves the map of I/O ports out: user space has none.
#[repr(C, packed(4))]
pub struct Task {
    reserved: u32,
    /// Where the processor pushes what it interrupts user space with: behind the running thread's register file.
    pub top: u64,
    others: [u64; 3],
    stacks: [u64; 7],
    reserved2: u64,
    reserved3: u16,
    port_map: u16,
}

/// A table that the processor reads.
#[repr(C, align(16))]
pub struct Shared<T>(UnsafeCell<T>);
// SAFETY: written at boot, on one core, and at the exits to user space by one store; the processor reads it.
unsafe impl<T> Sync for Shared<T> {}

/// The task state.
#[repr(C, align(16))]
pub struct AlignedTask {
    /// The segment begins 4 bytes later, so that its 64-bit words are aligned.
    padding: [u32; 3],
    task: Task,
}

/// This core's task state.
pub static TASK_STATE: Shared<AlignedTask> = Shared(UnsafeCell::new(AlignedTask {
    padding: [0; 3],
    task: Task {
        reserved: 0,
        top: 0,
        others: [0; 3],
        stacks: [0; 7],
        reserved2: 0,
        reserved3: 0,
        port_map: size_of::<Task>() as u16,
    },
}));

/// Bytes from [`TASK_STATE`] to where the running thread's register file ends.
pub const TOP_OFFSET: usize = 16;
const _: () = assert!(core::mem::offset_of!(AlignedTask, task) == 12 && size_of::<Task>() == 104);

/// Flat segments, in SYSRET's order: the user's data before its code. There is none for 32-bit code.
static SEGMENTS: Shared<[u64; 8]> = Shared(UnsafeCell::new([
    0,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
    0,
    0,
]));

/// A gate of the interrupt table.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u16,
    segment: u16,
    stack: u8,
    kind: u8,
    middle: u16,
    high: u32,
    reserved: u32,
}

const ABSENT: Gate = Gate { low: 0, segment: 0, stack: 0, kind: 0, middle: 0, high: 0, reserved: 0 };
static GATES: Shared<[Gate; 256]> = Shared(UnsafeCell::new([ABSENT; 256]));

#[repr(C, packed)]
struct Pointer {
    limit: u16,
    base: u64,
}

const BREAKPOINT: usize = 3;
const OVERFLOW: usize = 4;
/// What may come at any instruction, and its stack's number: non-maskable interrupt, double fault, machine check.
pub const ANYTIME: [(usize, u8); 3] = [(2, 1), (8, 2), (18, 3)];

/// Loads all tables; `stubs` are 16 bytes for each vector.
pub fn load(stubs: u64) {
    let (task, segments, gates) = (TASK_STATE.0.get(), SEGMENTS.0.get(), GATES.0.get());
    // SAFETY: 1. boot is alone, and these tables are not in use yet; 2. the segments are the same as those of the first instructions
    // where those used them; 3. every gate leads to its stub, interrupts off; 4. each of the three stacks is mapped.
    unsafe {
        for (stack, at) in ANYTIME_STACKS.iter().zip(0..) {
            (&raw mut (*task).task.stacks).cast::<u64>().add(at).write_unaligned(stack.top() as u64);
        }
        let base = &raw const (*task).task as u64;
        let limit = size_of::<Task>() as u64 - 1;
        const AVAILABLE: u64 = 0x89 << 40;
        (*segments)[6] = limit | (base & 0xff_ffff) << 16 | AVAILABLE | (base >> 24 & 0xff) << 56;
        (*segments)[7] = base >> 32;
        for (vector, gate) in (*gates).iter_mut().enumerate() {
            let at = stubs + 16 * vector as u64;
            let stack = ANYTIME.iter().find(|a| a.0 == vector).map_or(0, |a| a.1);
            // User space may break and overflow by instructions; other vectors it cannot raise so.
            let user = matches!(vector, BREAKPOINT | OVERFLOW);
            *gate = Gate {
                low: at as u16,
                segment: KERNEL_CODE,
                stack,
                kind: if user { 0xee } else { 0x8e },
                middle: (at >> 16) as u16,
                high: (at >> 32) as u32,
                reserved: 0,
            };
        }
        let segments = Pointer { limit: 63, base: segments as u64 };
        let gates = Pointer { limit: size_of::<[Gate; 256]>() as u16 - 1, base: gates as u64 };
        asm!("lgdt [{}]", in(reg) &raw const segments, options(nostack, readonly));
        asm!("lidt [{}]", in(reg) &raw const gates, options(nostack, readonly));
        asm!("lldt {0:x}", in(reg) 0u16, options(nostack, nomem));
        asm!("ltr {0:x}", in(reg) TASK, options(nostack));
        asm!("mov ss, {0:x}", in(reg) 0x10u16, options(nostack));
    }
}
