//! A plain static root task: it prints what BootInfo says, checks the kernel's objects from user space, and ends the run.
#![no_std]
#![no_main]

mod checks;
mod rules;
mod world;

use core::fmt::{self, Write};
use sel4_sys::{BootInfo, stubs};

core::arch::global_asm!(
    ".global _start",
    "_start:",
    "adrp x9, {stack}",
    "add x9, x9, #:lo12:{stack}",
    "add sp, x9, #{size}",
    "mov x29, xzr",
    "bl root_main",
    "b .",
    stack = sym STACK,
    size = const STACK_SIZE,
);

const STACK_SIZE: usize = 32768;
#[repr(C, align(16))]
struct Stack(core::cell::UnsafeCell<[u8; STACK_SIZE]>);
// SAFETY: only the stack pointer uses it.
unsafe impl Sync for Stack {}
static STACK: Stack = Stack(core::cell::UnsafeCell::new([0; STACK_SIZE]));

/// The kernel's debug UART.
pub struct Debug;
impl Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(stubs::debug_put_char);
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => {{ let _ = core::fmt::Write::write_fmt(&mut $crate::Debug, format_args!("{}\r\n", format_args!($($arg)*))); }};
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("root-test: {info}");
    say!("axiom: run ended: FAILED: the root test panicked");
    stubs::debug_halt();
    loop {
        core::hint::spin_loop();
    }
}

#[unsafe(no_mangle)]
extern "C" fn root_main(info: &'static BootInfo) -> ! {
    say!("root-test: BootInfo at {info:p}, IPC buffer at {:#x}, {} nodes", info.ipc_buffer, info.num_nodes);
    say!(
        "root-test: image frames {:?}, paging {:?}, extra {:?}",
        info.user_image_frames,
        info.user_image_paging,
        info.extra_bi_pages
    );
    say!(
        "root-test: untyped {:?}, empty {:?}, schedcontrol {:?}",
        info.untyped,
        info.empty,
        info.schedcontrol
    );
    let count = (info.untyped.end - info.untyped.start) as usize;
    for u in info.untyped_list.iter().take(count).filter(|u| u.is_device == 0) {
        say!("root-test:   RAM {:#x} 2^{}", u.paddr, u.size_bits);
    }
    let mut world = world::World::new(info);
    let mut failed = 0;
    for (name, check) in checks::ALL.iter().chain(rules::ALL) {
        let passed = check(&mut world);
        say!("root-test: {} {name}", if passed { "ok    " } else { "FAILED" });
        failed += u32::from(!passed);
    }
    say!("root-test: {} checks, {failed} failed", checks::ALL.len() + rules::ALL.len());
    if failed == 0 {
        say!("axiom: run ended: ok");
    } else {
        say!("axiom: run ended: FAILED: {failed} kernel checks");
    }
    stubs::debug_halt();
    loop {
        core::hint::spin_loop();
    }
}
