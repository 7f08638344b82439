//! References to kernel objects, and physical addresses.
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// Where the kernel sees physical memory: virtual = physical + this. On the host, objects are ordinary allocations and
/// "physical" is their address.
#[cfg(target_os = "none")]
pub const WINDOW: usize = crate::arch::WINDOW;
/// Where the kernel sees physical memory; nothing is shifted on the host.
#[cfg(not(target_os = "none"))]
pub const WINDOW: usize = 0;

/// A physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// The address at which the kernel sees it.
    pub const fn kernel(self) -> usize {
        WINDOW.wrapping_add(self.0 as usize)
    }
    /// The physical address of something in the kernel's window.
    pub const fn of_kernel(address: usize) -> PhysAddr {
        PhysAddr(address.wrapping_sub(WINDOW) as u64)
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phys {:#x}", self.0)
    }
}

/// A reference to a live kernel object.
pub struct Ptr<T>(NonNull<T>);

impl<T> Ptr<T> {
    /// A reference to the object at `address`.
    ///
    /// # Safety
    /// 1. `address` is aligned for `T` and the `T` there is initialised (all-zero bytes are a valid `T` for every kernel object).
    /// 2. The object stays what it is for as long as any copy of the reference is used. The derivation tree
    ///    guarantees that: memory is retyped only when no capability to it remains, and deleting the last capability removes
    ///    the object from every queue and register that holds a `Ptr`.
    /// 3. Only one core runs in the kernel at a time.
    pub const unsafe fn new(address: usize) -> Ptr<T> {
        // SAFETY: an initialised object is not at address 0 (condition 1).
        Ptr(unsafe { NonNull::new_unchecked(core::ptr::with_exposed_provenance_mut(address)) })
    }

    /// The object's address.
    pub fn addr(self) -> usize {
        self.0.as_ptr().expose_provenance()
    }

    /// The object's physical address.
    pub fn phys(self) -> PhysAddr {
        PhysAddr::of_kernel(self.addr())
    }

    /// A reference to an object that outlives the kernel's use of it (a static, or a leaked test object).
    pub const fn from_static(object: &'static T) -> Ptr<T> {
        Ptr(NonNull::from_ref(object))
    }
}

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ptr<T> {}
impl<T> PartialEq for Ptr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Ptr<T> {}

impl<T> Deref for Ptr<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the conditions of `Ptr::new` hold for the lifetime of every copy.
        unsafe { self.0.as_ref() }
    }
}

impl<T> fmt::Debug for Ptr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:p}", self.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::Ptr;

    /// A zeroed object that stays for ever.
    pub(crate) fn leak<T>() -> Ptr<T> {
        let layout = std::alloc::Layout::new::<T>();
        // SAFETY: the layout is not empty; all-zero bytes are valid for every kernel object; the allocation is leaked.
        unsafe { Ptr::new(std::alloc::alloc_zeroed(layout).expose_provenance()) }
    }
}
