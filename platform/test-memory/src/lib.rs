//! An allocator that counts what each thread holds, for tests of what something takes at most.
//!
//! ```
//! use axiom_test_memory::{Counting, most};
//!
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//!
//! let (list, bytes) = most(|| (drop(vec![0u8; 1000]), vec![0u8; 10]).1);
//! assert!(list.len() == 10 && bytes >= 1000);
//! ```
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

thread_local! {
    /// What a thread holds, and the most that it held since it was asked to look.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

fn count(by: isize) {
    // A thread that ends frees after its counters are gone: nobody asks then.
    let _ = HELD.try_with(|held| {
        let now = held.get().0 + by;
        held.set((now, held.get().1.max(now)));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise: the block came from `alloc` above, that is from the system.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Runs something; the most bytes that this thread held beside what it held before. Only with [`Counting`] as the allocator.
pub fn most<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let done = act();
    (done, (HELD.get().1 - before) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    #[test]
    fn what_was_held_at_once_counts_and_what_was_there_before_does_not() {
        let before = vec![0u8; 4096];
        let (kept, bytes) = most(|| {
            drop(vec![0u8; 300]);
            let (a, b) = (vec![0u8; 100], vec![0u8; 150]);
            drop(a);
            b
        });
        assert_eq!((kept.len(), bytes, before.len()), (150, 300, 4096));
        assert_eq!(most(|| drop(kept)).1, 0);
        // Another thread's is its own.
        let ((), bytes) = most(|| {
            std::thread::scope(|scope| scope.spawn(|| drop(vec![0u8; 1 << 20])).join().expect("it ends"))
        });
        assert!(bytes < 1 << 16, "{bytes}");
    }
}
