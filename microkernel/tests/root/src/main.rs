//! A plain static root task: it prints what BootInfo says, checks the kernel's objects from user space, and ends the run.
#![no_std]
#![no_main]

mod checks;
mod copies;
mod lifetime;
#[path = "arch/mem.rs"]
mod mem;
mod rules;
mod time;

use axiom_root_test::{end, say, world};
use sel4_sys::BootInfo;

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
    let all = checks::ALL.iter().chain(rules::ALL).chain(copies::ALL).chain(time::ALL).chain(lifetime::ALL);
    let all = all.chain(axiom_root_test::arch::checks::ALL);
    for (name, check) in all.clone() {
        let passed = check(&mut world);
        say!("root-test: {} {name}", if passed { "ok    " } else { "FAILED" });
        failed += u32::from(!passed);
    }
    say!("root-test: {} checks, {failed} failed", all.count());
    if failed == 0 { end(None) } else { end(Some(format_args!("{failed} kernel checks"))) }
}
