//! Room for a value in tests, where a process runs many servers one after another.
use std::marker::PhantomData;

/// Room for one value of each server that runs here.
pub struct Place<T>(PhantomData<fn() -> T>);

impl<T> Place<T> {
    /// Room.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Place<T> {
        Place(PhantomData)
    }

    /// Puts a value there, for good.
    #[allow(clippy::mut_from_ref)] // each call has a place of its own
    pub fn put(&'static self, make: impl FnOnce() -> T) -> &'static mut T {
        Box::leak(Box::new(make()))
    }
}
