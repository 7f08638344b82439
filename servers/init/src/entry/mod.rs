//! The program on Axiom.

mod arch;

use axiom_init::{extra, heap, say, sys};
use linked_list_allocator::Heap;
use sel4_sys::bootinfo::BootInfo;

const STACK_SIZE: usize = 32_768;
#[repr(C, align(16))]
struct Area<const N: usize>(core::cell::UnsafeCell<[u8; N]>);
// SAFETY: the stack is used by the stack pointer only, the heap by the allocator only; init has one thread.
unsafe impl<const N: usize> Sync for Area<N> {}
static STACK: Area<STACK_SIZE> = Area(core::cell::UnsafeCell::new([0; STACK_SIZE]));
static HEAP: Area<{ heap::BYTES }> = Area(core::cell::UnsafeCell::new([0; heap::BYTES]));

/// A heap for one thread.
struct OneThread(core::cell::RefCell<Heap>);
// SAFETY: init has one thread, and nothing in it allocates from an interrupt.
unsafe impl Sync for OneThread {}
// SAFETY: the inner heap hands out disjoint blocks of the size and alignment asked for.
unsafe impl core::alloc::GlobalAlloc for OneThread {
    unsafe fn alloc(&self, layout: core::alloc::Layout) -> *mut u8 {
        let mut inner = self.0.borrow_mut();
        let Ok(block) = inner.allocate_first_fit(layout) else {
            let free = inner.free();
            drop(inner);
            axiom_init::say!(
                "init's heap of {} bytes has no {} in a row left ({free} are free): fewer servers or devices, or a larger heap (servers/init/src/heap.rs)",
                heap::BYTES,
                layout.size()
            );
            // Nothing that follows may need the heap.
            say::finish("init's heap is full")
        };
        heap::note(inner.used());
        block.as_ptr()
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: core::alloc::Layout) {
        if let Some(block) = core::ptr::NonNull::new(block) {
            // SAFETY: the caller returns a block of `alloc` with its layout.
            unsafe { self.0.borrow_mut().deallocate(block, layout) };
        }
    }
}
#[global_allocator]
static ALLOCATOR: OneThread = OneThread(core::cell::RefCell::new(Heap::empty()));

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    axiom_init::say!("{info}");
    say::finish("init panicked")
}

#[unsafe(no_mangle)]
extern "C" fn init_main(info: &'static BootInfo) -> ! {
    unsafe extern "C" {
        static __image_start: u8;
        static __image_end: u8;
    }
    // SAFETY: BootInfo names this thread's IPC buffer; the heap area is used by the allocator only; the kernel mapped the chunks after
    // BootInfo.
    let extra = unsafe {
        sys::init_buffer(info.ipc_buffer as *mut _);
        ALLOCATOR.0.borrow_mut().init(HEAP.0.get().cast(), heap::BYTES);
        extra::extra(info)
    };
    // The linker says where init's own image is: whole pages, as its script has it.
    let own = &raw const __image_end as u64 - &raw const __image_start as u64;
    axiom_init::prepare(info, &extra, own / 4096).run()
}
