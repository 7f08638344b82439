//! The kernel's operations in instructions: a plain static root task for an seL4 MCS BootInfo, so that the same file runs on
//! any kernel with that interface.
//!
//! Run it with instructions counted (`-icount shift=0`): the cycle counter then counts them exactly. Every figure has the cost of
//! reading the counter twice subtracted, is taken after a warm-up, and includes the user's stub.
#![no_std]
#![no_main]

mod interrupts;
mod messages;
mod objects;
mod table;

use axiom_root_test::world::World;
use axiom_root_test::{arch, end, say};
use sel4_sys::BootInfo;
use table::Table;

#[unsafe(no_mangle)]
extern "C" fn root_main(info: &'static BootInfo) -> ! {
    let mut world = World::new(info);
    if !table::counts_instructions() {
        end(Some(format_args!(
            "{} does not count instructions here: start QEMU with -icount shift=0",
            arch::INSTRUCTION_COUNTER
        )));
    }
    say!("{}", axiom_bench_metrics::BEGIN);
    say!(
        "{{\"circumstances\":{{\"format\":{},\"board\":\"{}\",\"system\":\"kernel bench\",\"instruction_exact\":true,\"emulated\":true,\"commit\":\"{}\",\"compiler\":\"{}\"}}}}",
        axiom_bench_metrics::FORMAT_VERSION,
        arch::BOARD,
        env!("AXIOM_COMMIT"),
        env!("AXIOM_COMPILER")
    );
    let mut table = Table::new();
    messages::measure(&mut world, &mut table);
    objects::measure(&mut world, &mut table);
    interrupts::measure(&mut world, &mut table, info);
    say!("{{\"metrics\":{}}}", table.printed);
    say!("{}", axiom_bench_metrics::END);
    if table.missing == 0 {
        end(None)
    } else {
        end(Some(format_args!("{} metrics are missing", table.missing)))
    }
}
