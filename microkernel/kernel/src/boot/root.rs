//! The root task: its objects, its address space from the ELF file, its BootInfo, and the memory handed to it.
use super::found::{Fatal, Machine, image_sizes, ring_phys};
use super::memory::Memory;
use crate::arch;
use crate::machine::Core;
use crate::node::{node, shared};
use crate::print::println;
use axiom_boot::{Elf, Ranges};
use axiom_objects::arch::paging::{USER_TOP, UserAttributes};
use axiom_objects::arch::registers as r;
use axiom_objects::cap::{FrameSize, Mapping, VmRights};
use axiom_objects::machine::{CacheOp, record_phase};
use axiom_objects::object::{TCB_BUFFER, TCB_CSPACE, TCB_VSPACE, ThreadState};
use axiom_objects::trace;
use axiom_objects::{Cap, PhysAddr, Ptr, SchedContext, Slot, Tcb, slot};
use axiom_objects::{entry, sched, space};
use sel4_sys::bootinfo::{BootInfo, Header, MAX_UNTYPEDS, SlotRegion, UntypedDesc};
use sel4_sys::cap::init;
use sel4_sys::ext::{self, AxiomInfo, event};
use sel4_sys::object as o;

const CNODE_BITS: u32 = 13;
const SC_BITS: u32 = 8;
const ASID: u16 = 1;
const BUDGET_US: u64 = 5000;
/// What follows the image: IPC buffer, BootInfo and its extra pages, each at most so many bytes away from its end.
const BEHIND_IMAGE: u64 = 64 << 20;

struct Builder<'a> {
    memory: &'a mut Memory,
    cnode: PhysAddr,
    root: PhysAddr,
    next: u64,
    /// The slot that was filled last: the next is mostly its neighbour in the derivation list.
    near: Ptr<Slot>,
}

impl Builder<'_> {
    fn slot(&self, index: u64) -> Ptr<Slot> {
        // SAFETY: the root CNode's memory was allocated for 2^13 zeroed slots, and `provide` checks the index.
        unsafe { Ptr::new(self.cnode.kernel() + index as usize * size_of::<Slot>()) }
    }

    fn put(&mut self, index: u64, cap: Cap) {
        let slot = self.slot(index);
        slot::insert_original(self.near, cap, slot);
        self.near = slot;
    }

    /// Puts a capability into the next slot.
    fn provide(&mut self, cap: Cap) -> Result<u64, Fatal> {
        let index = self.next;
        if index >= 1 << CNODE_BITS {
            return Err(Fatal::rule("the root task's image has more pages than its CNode has slots"));
        }
        self.put(index, cap);
        self.next += 1;
        Ok(index)
    }

    fn frame_cap(frame: PhysAddr, vaddr: Option<u64>, rights: VmRights) -> Cap {
        let mapping = vaddr.map(|vaddr| Mapping { asid: ASID, vaddr });
        Cap::Frame { base: frame, size: FrameSize::Small, device: false, rights, mapping }
    }

    /// Makes sure that tables reach the pages from `start` to `end`; their capabilities go to the next slots.
    fn add_tables(&mut self, start: u64, end: u64) -> Result<(), Fatal> {
        let mut at = start;
        while at < end {
            while !space::boot_has_table(self.root, at) {
                let table = self.memory.allocate(o::PAGE_TABLE_BITS as u32)?;
                let (vaddr, kind) = space::boot_map_table(self.root, at, table);
                let mapping = Some(Mapping { asid: ASID, vaddr });
                self.provide(Cap::PageTable { base: table, mapping, kind })?;
            }
            at = (at & !((1 << 21) - 1)) + (1 << 21);
        }
        Ok(())
    }

    fn map(&self, vaddr: u64, frame: PhysAddr, write: bool, execute: bool) {
        space::boot_map(self.root, vaddr, frame, UserAttributes::ram(write, execute));
    }
}

/// Creates the root task and makes it the current thread.
pub fn create(machine: &Machine, memory: &mut Memory) -> Result<(), Fatal> {
    let (start, end) = machine.initrd;
    if !memory.mapped().contain(start, end) {
        return Err(Fatal::rule(
            "the initial RAM disk does not lie in RAM that may be mapped: it is outside of what the firmware describes, or \
             a part of it is reserved (/reserved-memory, no-map); load it elsewhere",
        ));
    }
    // SAFETY: the range is RAM in the window, reserved since the memory map was made; nothing writes to it while this
    // reference lives (frames mapped in place are read-only).
    let file = unsafe {
        core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance::<u8>(PhysAddr(start).kernel()),
            (end - start) as usize,
        )
    };
    let elf = Elf::new(file, arch::cpu::ARCHITECTURE, USER_TOP - BEHIND_IMAGE)?;
    let cnode = memory.allocate(CNODE_BITS + o::SLOT_BITS as u32)?;
    let root = memory.allocate(o::VSPACE_BITS as u32)?;
    shared().kernel_half.put(root);
    let pool = memory.allocate(o::ASID_POOL_BITS as u32)?;
    node().empty_space.set(arch::paging::empty_root(machine.image.0).0);
    shared().asid_pools[0].set(pool.0);
    space::assign(shared(), ASID, root);
    let near = shared().anchor();
    let mut b = Builder { memory, cnode, root, next: init::COUNT, near };

    let (_, last) = elf.bounds();
    let extra_bytes = extra_size(machine);
    let ipc_buffer = last;
    let boot_info = ipc_buffer + 4096;
    let extra = boot_info + 4096;
    let paging_start = b.next;
    for s in elf.segments() {
        b.add_tables(s.vaddr & !4095, s.end().next_multiple_of(4096))?;
    }
    b.add_tables(ipc_buffer, extra + extra_bytes.next_multiple_of(4096))?;
    let paging = SlotRegion { start: paging_start, end: b.next };

    let frames_start = b.next;
    load(&mut b, &elf, start)?;
    let frames = SlotRegion { start: frames_start, end: b.next };

    let buffer_frame = b.memory.allocate(12)?;
    b.map(ipc_buffer, buffer_frame, true, false);
    b.put(init::IPC_BUFFER.0, Builder::frame_cap(buffer_frame, Some(ipc_buffer), VmRights::READ_WRITE));
    let info_frame = b.memory.allocate(12)?;
    b.map(boot_info, info_frame, true, false);
    b.put(init::BOOT_INFO.0, Builder::frame_cap(info_frame, Some(boot_info), VmRights::READ_WRITE));

    let sched_control = SlotRegion { start: b.provide(Cap::SchedControl { core: 0 })?, end: b.next };
    let axiom = provide_trace(&mut b, machine)?;
    let extra_pages = provide_extra(&mut b, machine, extra, extra_bytes, axiom)?;
    b.put(init::VSPACE.0, Cap::VSpace { base: root, asid: Some(ASID) });
    let tcb = threads(&mut b, cnode, ipc_buffer)?;
    b.put(init::IRQ_CONTROL.0, Cap::IrqControl);
    if let Some(ports) = arch::port::all() {
        b.put(init::IO_PORT_CONTROL.0, Cap::Ports(ports));
    }
    b.put(init::ASID_CONTROL.0, Cap::AsidControl);
    b.put(init::ASID_POOL.0, Cap::AsidPool { base: pool, first_asid: 0 });
    b.put(init::DOMAIN.0, Cap::Domain);

    // SAFETY: the frame was just allocated and zeroed; a BootInfo fits into a page (asserted in sel4-sys) and any bytes are valid.
    let info: &mut BootInfo = unsafe { &mut *core::ptr::with_exposed_provenance_mut(info_frame.kernel()) };
    // Written field by field where it lies: it is half as large as the stack. What is not written stays zero.
    info.untyped = provide_untypeds(&mut b, machine, &mut info.untyped_list)?;
    info.extra_len = extra_bytes;
    info.num_nodes = 1;
    info.num_io_pt_levels = o::IO_PAGE_TABLE_LEVELS;
    info.ipc_buffer = ipc_buffer;
    info.empty = SlotRegion { start: b.next, end: 1 << CNODE_BITS };
    info.user_image_frames = frames;
    info.user_image_paging = paging;
    info.extra_bi_pages = extra_pages;
    info.init_thread_cnode_size_bits = CNODE_BITS.into();
    info.schedcontrol = sched_control;
    record_phase(Core, event::BOOT_ROOT_OBJECTS, 0, 0);
    tcb.regs.set(r::CAP, boot_info);
    tcb.regs.set(r::PC, elf.entry());
    tcb.regs.set(r::FAULT_PC, elf.entry());
    launch(tcb);
    Ok(())
}

/// Maps the image page by page in the order of addresses.
fn load(b: &mut Builder<'_>, elf: &Elf<'_>, file_phys: u64) -> Result<(), Fatal> {
    for s in elf.segments().filter(|s| s.write && s.execute) {
        println!(
            "axiom: segment {} of the root task, at {:#x}, is writable and executable",
            s.number, s.vaddr
        );
    }
    for page in elf.pages() {
        let kind = elf.page(page, file_phys);
        if kind.empty {
            b.add_tables(page, page + 4096)?;
        }
        // A whole page of one read-only segment is used where the initrd lies.
        if let Some(offset) = kind.in_place {
            let frame = PhysAddr(file_phys + offset);
            if kind.execute {
                arch::cpu::cache(CacheOp::Unify, frame.kernel(), 4096);
            }
            b.map(page, frame, false, kind.execute);
            b.provide(Builder::frame_cap(frame, Some(page), VmRights { read: true, write: false }))?;
            continue;
        }
        let frame = b.memory.allocate(12)?;
        for (at, bytes) in elf.parts(page) {
            // SAFETY: the frame was just allocated, the part lies inside its page (`Elf::parts`), and the file is elsewhere.
            unsafe {
                let dest = core::ptr::with_exposed_provenance_mut::<u8>(frame.kernel() + at);
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), dest, bytes.len());
            }
        }
        if kind.execute {
            arch::cpu::cache(CacheOp::Unify, frame.kernel(), 4096);
        }
        b.map(page, frame, kind.write || kind.empty, kind.execute);
        b.provide(Builder::frame_cap(frame, Some(page), VmRights::READ_WRITE))?;
    }
    Ok(())
}

fn provide_trace(b: &mut Builder<'_>, machine: &Machine) -> Result<AxiomInfo, Fatal> {
    let trace_cap = b.provide(Cap::Trace)?;
    let debug_cap = b.provide(Cap::Debug)?;
    let trace_frames = b.next;
    let ring = ring_phys(machine.image.0);
    for i in 0..trace::PAGES as u64 {
        let frame = PhysAddr(ring + i * 4096);
        b.provide(Builder::frame_cap(frame, None, VmRights { read: true, write: false }))?;
    }
    let [kernel_text, kernel_rodata, kernel_data, kernel_bss] = image_sizes();
    let (midr, mpidr) = arch::cpu::identity();
    let (gicd_typer, gicd_iidr) = arch::irq::identity();
    Ok(AxiomInfo {
        trace_cap,
        trace_frames,
        trace_frame_count: trace::PAGES as u64,
        kernel_text,
        kernel_rodata,
        kernel_data,
        kernel_bss,
        boot_allocated: 0,
        counter_frequency: arch::timer::frequency(),
        entry_counter: machine.entry.counter,
        ram_bytes: b.memory.ram().iter().map(|r| r.1 - r.0).sum(),
        image_address: machine.entry.image,
        fdt_address: machine.entry.description,
        entry_level: machine.entry.level,
        midr,
        mpidr,
        gicd_typer: gicd_typer.into(),
        gicd_iidr: gicd_iidr.into(),
        debug_cap,
    })
}

fn extra_size(machine: &Machine) -> u64 {
    machine.firmware.chunks_size() + (size_of::<Header>() + size_of::<AxiomInfo>()) as u64
}

/// Writes the extra BootInfo chunks into frames of their own.
fn provide_extra(
    b: &mut Builder<'_>,
    machine: &Machine,
    vaddr: u64,
    bytes: u64,
    mut axiom: AxiomInfo,
) -> Result<SlotRegion, Fatal> {
    let pages = bytes.div_ceil(4096);
    let start = b.next;
    let mut frames = [PhysAddr(0); 64];
    if pages as usize > frames.len() {
        return Err(Fatal::rule("what describes the machine is larger than 256 KiB"));
    }
    for (i, frame) in frames.iter_mut().enumerate().take(pages as usize) {
        *frame = b.memory.allocate(12)?;
        let at = vaddr + 4096 * i as u64;
        b.map(at, *frame, true, false);
        b.provide(Builder::frame_cap(*frame, Some(at), VmRights::READ_WRITE))?;
    }
    axiom.boot_allocated = b.memory.allocated() + (1 << 12);
    let mut at = 0u64;
    let mut write = |data: &[u8]| {
        for byte in data.chunks(1) {
            let dest = frames[(at / 4096) as usize].kernel() + (at % 4096) as usize;
            // SAFETY: inside a frame that was just allocated.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(dest).write(byte[0]) };
            at += 1;
        }
    };
    machine.firmware.write_chunks(&mut write);
    write(&ext::BOOTINFO_AXIOM.to_le_bytes());
    write(&((size_of::<Header>() + size_of::<AxiomInfo>()) as u64).to_le_bytes());
    axiom.words().iter().for_each(|w| write(&w.to_le_bytes()));
    Ok(SlotRegion { start, end: b.next })
}

fn threads(b: &mut Builder<'_>, cnode: PhysAddr, ipc_buffer: u64) -> Result<Ptr<Tcb>, Fatal> {
    let tcb_at = b.memory.allocate(12)?;
    // SAFETY: zeroed memory of a page, allocated for this: the TCB in the first half, the scheduling context in the second.
    let (tcb, sc): (Ptr<Tcb>, Ptr<SchedContext>) =
        unsafe { (Ptr::new(tcb_at.kernel()), Ptr::new(tcb_at.kernel() + (1 << o::TCB_BITS))) };
    b.put(init::TCB.0, Cap::Tcb { tcb });
    b.put(init::SCHED_CONTEXT.0, Cap::SchedContext { sc, bits: SC_BITS });
    let space = Cap::CNode { base: cnode, radix: CNODE_BITS, guard: 0, guard_size: 64 - CNODE_BITS };
    b.put(init::CNODE.0, space);
    slot::insert(space, b.slot(init::CNODE.0), tcb.slot(TCB_CSPACE));
    let vspace = b.slot(init::VSPACE.0);
    slot::insert(vspace.cap(), vspace, tcb.slot(TCB_VSPACE));
    let buffer = b.slot(init::IPC_BUFFER.0);
    slot::insert(buffer.cap(), buffer, tcb.slot(TCB_BUFFER));
    tcb.ipc_buffer.set(ipc_buffer);
    tcb.regs.set(r::STATUS, r::USER_STATUS);
    tcb.priority.set(o::MAX_PRIORITY as u8);
    tcb.mcp.set(o::MAX_PRIORITY as u8);
    for (cell, byte) in tcb.name.iter().zip(b"rootserver") {
        cell.set(*byte);
    }
    sched::update_timestamp(Core);
    sc.configure(2, node().us_to_ticks(BUDGET_US), 0, node().now.get());
    sc.tcb.set(Some(tcb));
    tcb.sc.set(Some(sc));
    sched::own(node(), sc, tcb);
    Ok(tcb)
}

fn launch(tcb: Ptr<Tcb>) {
    let n = node();
    tcb.state.set(ThreadState::Running);
    sched::update_timestamp(Core);
    n.consumed.set(0);
    n.enqueue(tcb, false);
    sched::reschedule(n);
    entry::leave(Core);
}

fn provide_untypeds(
    b: &mut Builder<'_>,
    machine: &Machine,
    list: &mut [UntypedDesc; MAX_UNTYPEDS],
) -> Result<SlotRegion, Fatal> {
    let start = b.next;
    let ram = b.memory.free_ranges();
    let mut left = 0;
    for &(from, to) in ram.as_slice() {
        left += provide_range(b, list, start, from, to, false)?;
    }
    let mut devices = Ranges::all(1 << arch::cpu::physical_bits());
    for &(from, to) in b.memory.ram() {
        devices.remove(from, to)?;
    }
    for &(from, to) in machine.kernel_devices.iter().filter(|d| d.0 < d.1) {
        devices.remove(from, to)?;
    }
    let mut left_devices = 0;
    for &(from, to) in devices.as_slice() {
        left_devices += provide_range(b, list, start, from, to, true)?;
    }
    if left > 0 || left_devices > 0 {
        println!(
            "axiom: BootInfo has room for {MAX_UNTYPEDS} untypeds: {left:#x} bytes of RAM and {left_devices:#x} bytes of device addresses \
             are not handed out"
        );
    }
    Ok(SlotRegion { start, end: b.next })
}

/// Hands a range out in the largest aligned powers of two; the bytes that do not fit into the list, which stay unused.
fn provide_range(
    b: &mut Builder<'_>,
    list: &mut [UntypedDesc; MAX_UNTYPEDS],
    first: u64,
    from: u64,
    to: u64,
    device: bool,
) -> Result<u64, Fatal> {
    let mut at = from;
    while at < to {
        let Some(place) = list.get_mut((b.next - first) as usize) else { break };
        let aligned = if at == 0 { o::MAX_UNTYPED_BITS as u32 } else { at.trailing_zeros() };
        let bits = aligned.min((to - at).ilog2()).min(o::MAX_UNTYPED_BITS as u32);
        *place = UntypedDesc { paddr: at, size_bits: bits as u8, is_device: device.into(), padding: [0; 6] };
        b.provide(Cap::Untyped { base: PhysAddr(at), bits, device, free: 0 })?;
        at += 1 << bits;
    }
    Ok(to - at)
}
