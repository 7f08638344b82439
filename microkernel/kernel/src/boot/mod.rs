//! Boot: from what the firmware says to the root task.
//!
//! Nothing here knows a board. The firmware's description ([`arch::firmware`]) says where RAM, interrupt controller, clock, UART and the
//! initial RAM disk are; what is missing is named on the UART and the machine stops.
use crate::arch::firmware::{self, Entry, Firmware};
use crate::arch::{self, paging};
use crate::machine::Core;
use crate::node::node;
use crate::print::{self, println};
use axiom_objects::Ptr;
use axiom_objects::machine::record_phase;
use sel4_sys::ext::event;

mod found;
mod memory;
mod root;

use found::{Fatal, Machine, RING, image_sizes};
use memory::Memory;

/// Boots: afterwards the root task is the current thread.
pub fn start(entry: Entry) {
    arch::stack::guard();
    // SAFETY: the ring is zeroed memory of this image, a valid `Ring`, used by nothing else.
    node().trace.start(unsafe { Ptr::new((&raw const RING).expose_provenance()) }, arch::timer::frequency());
    node().trace.record_at(entry.counter, event::BOOT_ENTRY, 0, 0);
    record_phase(Core, event::BOOT_MMU, 0, 0);
    if let Err(reason) = find_machine(entry).and_then(|firmware| boot(entry, firmware)) {
        println!("axiom: boot stopped: {reason}");
        arch::cpu::power_off();
    }
    print::buffer();
    record_phase(Core, event::BOOT_ROOT_START, 0, 0);
}

fn find_machine(entry: Entry) -> Result<Firmware, Fatal> {
    let firmware = firmware::find(entry)?;
    record_phase(Core, event::BOOT_DTB, 0, 0);
    Ok(firmware)
}

#[inline(never)]
fn boot(entry: Entry, firmware: Firmware) -> Result<(), Fatal> {
    let sizes = image_sizes();
    let image = (entry.image, entry.image + sizes.iter().sum::<u64>());
    let initrd = firmware.initrd(image)?;
    let mut memory = Memory::of(&firmware)?;
    memory.reserve_listed(&firmware)?;
    // Behind the new window only this memory is there: what boot goes on reading must lie in it.
    firmware.check(memory.mapped(), image)?;
    memory.reserve(image.0, image.1)?;
    memory.reserve(initrd.0 & !4095, initrd.1)?;
    let description = firmware.extent();
    memory.reserve(description.0 & !4095, description.1)?;
    let mapped = *memory.mapped();
    let table = || memory.allocate_table();
    if !paging::build_window(mapped.as_slice(), image.0, image.0 + sizes[0] + sizes[1], table) {
        return Err(Fatal::rule("the RAM of this machine is too scattered, or lies above 512 GiB"));
    }
    record_phase(Core, event::BOOT_MEMORY, 0, 0);
    let kernel_devices = firmware.interrupts()?;
    firmware.clock()?;
    node().trace.set_frequency(arch::timer::frequency());
    record_phase(Core, event::BOOT_IRQ, 0, 0);
    firmware.report();
    let machine = Machine { firmware, initrd, image, kernel_devices, entry };
    root::create(&machine, &mut memory)
}
