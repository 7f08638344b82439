//! The heap: a fixed arena, power-of-two size classes with free lists. Every operation is a few instructions; the price is
//! up to half of each block.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

const CLASSES: usize = 28;
const SMALLEST: usize = 4; // 16 bytes

struct State {
    next: usize,
    end: usize,
    free: [usize; CLASSES],
    used: usize,
}

struct Heap(UnsafeCell<State>);

// SAFETY: a server has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(State { next: 0, end: 0, free: [0; CLASSES], used: 0 }));

/// Gives the heap its arena. Servers need not call it: their entry does.
///
/// # Safety
/// Called once; the range belongs to the heap alone.
pub unsafe fn init(start: usize, len: usize) {
    // SAFETY: one thread, and nothing else uses the state now.
    let state = unsafe { &mut *HEAP.0.get() };
    state.next = start;
    state.end = start + len;
}

/// Bytes of the arena that were taken so far.
pub fn used() -> usize {
    // SAFETY: one thread; the reference ends here.
    unsafe { (*HEAP.0.get()).used }
}

fn class(layout: Layout) -> usize {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST);
    (usize::BITS - (size - 1).leading_zeros()) as usize - SMALLEST
}

// SAFETY: blocks are disjoint parts of the arena, at least as large and as aligned as asked for (a block of 2^n bytes is
// aligned to min(2^n, 4096)); one thread, so no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let state = unsafe { &mut *self.0.get() };
        let class = class(layout);
        if class >= CLASSES || layout.align() > 4096 {
            return core::ptr::null_mut();
        }
        let head = state.free[class];
        if head != 0 {
            // SAFETY: a freed block of this class; its first word links to the next.
            state.free[class] = unsafe { (head as *const usize).read() };
            return head as *mut u8;
        }
        let size = 1usize << (class + SMALLEST);
        let at = state.next.next_multiple_of(size.min(4096));
        match at.checked_add(size) {
            Some(end) if end <= state.end => {
                state.used += end - state.next;
                state.next = end;
                at as *mut u8
            }
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let state = unsafe { &mut *self.0.get() };
        let class = class(layout);
        // SAFETY: the block has at least 16 bytes and nobody uses it any more.
        unsafe { block.cast::<usize>().write(state.free[class]) };
        state.free[class] = block as usize;
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise that size is valid with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if class(new) == class(layout) {
            return block;
        }
        // SAFETY: a new block of at least min(old, new) bytes, copied, then the old one is given up.
        unsafe {
            let to = self.alloc(new);
            if !to.is_null() {
                core::ptr::copy_nonoverlapping(block, to, layout.size().min(size));
                self.dealloc(block, layout);
            }
            to
        }
    }
}
