//! A syscall fuzzer: a plain static root task that calls the kernel in every way that a thread can, from a seed.
//!
//! Ten workers, in their own capability and address spaces, and the threads that they start, make calls that mostly mean
//! something and sometimes nothing: [`objects`] knows each object's invocations, [`worker`] what is done with them together.
//! The [`supervisor`] builds their world from one untyped, starts again who stands still, and takes the world back; the
//! [`watchdog`] stands above all and looks whether the machine is alive. Everything follows from the seed, so with
//! instructions counted (`-icount shift=0,sleep=off`) a run repeats exactly.
//!
//! What it checks: the kernel does not stop; the watchdog wakes in time; a revocation ends in time and all memory comes back, zeroed;
//! memory outside of the worlds stays as it was. A checked kernel adds its own invariants.
#![no_std]
#![no_main]

mod arch;
mod arena;
mod calls;
#[path = "../../root/src/arch/mem.rs"]
mod mem;
mod objects;
mod options;
mod random;
mod report;
mod slots;
mod supervisor;
mod watchdog;
mod worker;

use axiom_root_test::world::{self, World};
use axiom_root_test::{end, say};
use core::sync::atomic::Ordering::Relaxed;
use options::Options;
use sel4_sys::BootInfo;
use sel4_sys::cap::init;
use sel4_sys::label;

#[unsafe(no_mangle)]
extern "C" fn root_main(info: &'static BootInfo) -> ! {
    Options::read(info);
    let o = Options::get();
    say!("fuzz: seed {}, {} calls, {} features left out", o.seed, o.calls, o.without);
    let (from, to) = arena::range();
    axiom_root_test::expendable(from, to);
    arena::ARENA.without.store(o.without, Relaxed);
    let mut world = World::new(info);
    watchdog::start(&mut world);
    let lowered = world::invoke(init::TCB, label::TCB_SET_PRIORITY, &[init::TCB], &[254]);
    if lowered.is_err() {
        end(Some(format_args!("the supervisor's priority cannot be set")));
    }
    let mut supervisor = supervisor::Supervisor::new(&mut world, info);
    let started = world::counter();
    while arena::calls() < o.calls {
        supervisor.build();
        supervisor.run();
        supervisor.take_back();
        if supervisor.worlds.is_multiple_of(16) {
            say!("fuzz: {} worlds, {} calls", supervisor.worlds, arena::calls());
        }
    }
    report::print(&supervisor, watchdog::us(world::counter() - started));
    end(None)
}
