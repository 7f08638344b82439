//! The allocator of a server.
use crate::blocks::{Blocks, class};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;

/// Tells compose that the image has a heap.
#[used]
#[unsafe(link_section = ".note.axiom.heap")]
static NOTE: axiom_runtime::Note<0> = axiom_runtime::Note::new(axiom_layout::note::HEAP, []);

struct Heap(UnsafeCell<Blocks>);

// SAFETY: a server has one thread.
unsafe impl Sync for Heap {}

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Blocks::empty()));

impl Heap {
    /// The blocks, with the arena that init gave once the server has started.
    #[allow(clippy::mut_from_ref)]
    fn blocks(&self) -> &mut Blocks {
        // SAFETY: one thread, and no caller keeps the reference while another takes one.
        let blocks = unsafe { &mut *self.0.get() };
        if blocks.is_empty() {
            let (start, len) = axiom_runtime::heap_range();
            // SAFETY: init gave this range to this server's heap alone; it is taken once, since it is not empty then.
            unsafe { blocks.set(start, len) };
        }
        blocks
    }
}

/// Bytes of the arena that were taken so far.
pub fn used() -> usize {
    HEAP.blocks().used()
}

/// Whether so many bytes in a row can be had.
pub fn has(bytes: usize) -> bool {
    HEAP.blocks().has(bytes)
}

// SAFETY: blocks are disjoint parts of the arena, at least as large and as aligned as asked for (a block of 2^n bytes is
// aligned to min(2^n, 4096)); one thread, so no two calls overlap.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > 4096 {
            return core::ptr::null_mut();
        }
        self.blocks().take(class(layout.size(), layout.align())) as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let blocks = self.blocks();
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
