//! The heap: a fixed arena of [`blocks`](crate::blocks). The price of its speed is up to half of each block.

use crate::blocks::{Blocks, class};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

struct Heap(UnsafeCell<Blocks>);

// SAFETY: a server has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Blocks::empty()));

/// Gives the heap its arena. Servers need not call it: their entry does.
///
/// # Safety
/// Called once; the range belongs to the heap alone.
pub unsafe fn init(start: usize, len: usize) {
    // SAFETY: one thread, and nothing else uses the blocks now; the range is the caller's promise.
    unsafe { (*HEAP.0.get()).set(start, len) };
}

/// Bytes of the arena that were taken so far.
pub fn used() -> usize {
    // SAFETY: one thread; the reference ends here.
    unsafe { (*HEAP.0.get()).used() }
}

/// Whether so many bytes in a row can be had.
pub fn has(bytes: usize) -> bool {
    // SAFETY: one thread; the reference ends here.
    unsafe { (*HEAP.0.get()).has(bytes) }
}

// SAFETY: blocks are disjoint parts of the arena, at least as large and as aligned as asked for (a block of 2^n bytes is
// aligned to min(2^n, 4096)); one thread, so no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return core::ptr::null_mut();
        }
        // SAFETY: as above.
        let blocks = unsafe { &mut *self.0.get() };
        blocks.take(class(layout.size(), layout.align())) as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let blocks = unsafe { &mut *self.0.get() };
        // SAFETY: the block came from `alloc` with this layout and nobody uses it any more.
        unsafe { blocks.give(block as usize, class(layout.size(), layout.align())) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise that size is valid with this alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if class(size, layout.align()) == class(layout.size(), layout.align()) {
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
