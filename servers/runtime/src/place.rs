//! Room for a value that lives as long as the server: what would be too large for its stack, or is referred to from several places.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

/// Room for one value, filled once.
pub struct Place<T> {
    filled: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: the value is reached by the one reference that `put` gives; a server has one thread besides.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    /// Room.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Place<T> {
        Place { filled: AtomicBool::new(false), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Puts a value there.
    ///
    /// # Panics
    /// There is one already: the first reference to it is still about.
    #[inline]
    #[allow(clippy::mut_from_ref)] // filled once, so there is one reference
    pub fn put(&'static self, make: impl FnOnce() -> T) -> &'static mut T {
        assert!(!self.filled.swap(true, Ordering::Relaxed), "a place is filled once");
        // SAFETY: only the first call gets here, so nobody else has a reference into the cell.
        unsafe { &mut *self.value.get() }.write(make())
    }
}
