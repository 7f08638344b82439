//! init on the kernel's own rules (`axiom_objects`), in ordinary memory: a test is the hardware, the firmware, and the code of every server.
//!
//! Every invocation of init's is made at the rules, which refuse what the kernel would refuse. What init maps for itself is there at its
//! address, as a copy that goes back to its frame before each system call; what it maps for servers is looked at in their frames. Servers
//! are threads that exist and can run: a test makes their system calls, and their faults.
mod kernel;
mod parts;
mod servers;

pub use parts::{PAYLOAD_BYTES, Parts, device, tree};
pub use servers::words;

use kernel::{memory, remove};
use parts::{chunks, next_frames, payload, put_payload};

use axiom_fdt::writer::Builder;
use axiom_init::supervise::Supervisor;
use axiom_init::{arch, extra, sys};
use axiom_layout::{Signals, address};
use axiom_objects::arch::registers::{CAP, FAULT_PC, INFO, MR0, PC, REPLY};
use axiom_objects::cap::{FrameSize, Mapping};
use axiom_objects::fake::{FREQUENCY, FakeWorld, Hardware, Message};
use axiom_objects::machine::Machine as _;
use axiom_objects::object::{Fault, Tcb};
use axiom_objects::ptr::{PhysAddr, Ptr};
use axiom_objects::{Cap, space};
use axiom_proto::bundle::{self, DeviceRequest, System};
use axiom_proto::env::{self, Env, slot};
use axiom_proto::{Error, LABEL_OK, wire};
use sel4_sys::bootinfo::{BootInfo, HEADER_FDT, Header, SlotRegion, UntypedDesc};
use sel4_sys::cap::init;
use sel4_sys::ext::{self, AxiomInfo, BOOTINFO_AXIOM, BOOTINFO_HPET, BOOTINFO_PCI_CONFIG_SPACE, HpetInfo};
use sel4_sys::stubs::Received;
use sel4_sys::{Badge, CPtr, CapRights, IpcBuffer, MessageInfo, host, label, object, syscall};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};
const PAGE: usize = 4096;
/// init's address space.
const OWN: u16 = 1;
/// Where the test's devices are: no RAM there.
pub const DEVICES_AT: u64 = 0x1_0000_0000;
/// So many bytes of them, as a power of two.
pub const DEVICES_BITS: u8 = 28;

/// One machine at a time: init's addresses are what they are.
static ALONE: Mutex<()> = Mutex::new(());

std::thread_local! {
    /// This test has one.
    static HERE: Cell<bool> = const { Cell::new(false) };
}

/// How a run that ended is left.
struct Ended;

/// A page of a server's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapped {
    /// Where it is.
    pub phys: u64,
    /// Registers of a device.
    pub device: bool,
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

/// A frame that init has mapped for itself.
struct Alias {
    frame: PhysAddr,
    bytes: usize,
    device: bool,
    write: bool,
}

struct Inner {
    world: FakeWorld,
    init: Ptr<Tcb>,
    space: Cap,
    aliases: RefCell<BTreeMap<u64, Alias>>,
    /// What is in pages of devices.
    registers: RefCell<BTreeMap<u64, Vec<u8>>>,
    /// Words of theirs that have bits which nobody writes: by address, the bits and what they are.
    fixed: Vec<(u64, u32, u32)>,
    /// Pages of servers: by address space and address.
    pages: RefCell<BTreeMap<(u16, u64), Mapped>>,
    /// Threads by what init called them.
    threads: RefCell<BTreeMap<String, Ptr<Tcb>>>,
    /// The thread that was started last.
    started: Cell<Option<Ptr<Tcb>>>,
    debug_calls: Cell<Option<bool>>,
    said: RefCell<Vec<u8>>,
    /// Invocations so far, by label.
    calls: RefCell<BTreeMap<u64, u64>>,
    /// The invocation with this label fails, after so many of them.
    refuse: Cell<Option<(u64, u64)>>,
}

/// A machine with init on it.
pub struct Machine {
    inner: Rc<Inner>,
    info: &'static BootInfo,
    supervisor: Option<Supervisor>,
    errand: Cell<u64>,
    _alone: MutexGuard<'static, ()>,
}

impl Machine {
    /// A machine with a bundle of this system; init has not run yet.
    pub fn new(system: &System, parts: Parts) -> Machine {
        assert!(!HERE.replace(true), "this test has a machine already: drop that first");
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let ram: u64 = parts.ram.iter().map(|bits| 1u64 << bits).sum();
        // Every world's memory lies near the others', as the rules want it: the heap's, which is elsewhere, is for small things.
        // SAFETY: says where the allocator takes large blocks from, and nothing else.
        unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 16) };
        let slots = 32u64 << parts.slots;
        let world = FakeWorld::with_memory((2 * (ram + slots) + (1 << 20)).next_power_of_two().ilog2());
        world.record_hardware(true);
        let space = world.cnode(parts.slots);
        let init_thread = world.thread(255, space);
        let (root, pool) = (world.allocate(object::VSPACE_BITS as u32), world.allocate(12));
        (&world).shared().asid_pools[0].set(pool.0);
        space::assign((&world).shared(), OWN, root);
        world.put(space, init::TCB.0, Cap::Tcb { tcb: init_thread });
        world.put(space, init::CNODE.0, space);
        world.put(space, init::VSPACE.0, Cap::VSpace { base: root, asid: Some(OWN) });
        world.put(space, init::IRQ_CONTROL.0, Cap::IrqControl);
        #[cfg(axiom_arch = "x86_64")]
        {
            use axiom_objects::arch::ports::Ports;
            world.put(space, init::IO_PORT_CONTROL.0, Cap::Ports(Ports::Control));
            (&world).shared().wiring.pins[0].set(24);
        }
        world.put(space, init::ASID_POOL.0, Cap::AsidPool { base: pool, first_asid: 0 });
        let mut next = init::COUNT;
        let mut provide = |cap| {
            world.put(space, next, cap);
            next += 1;
            next - 1
        };
        let schedcontrol = provide(Cap::SchedControl { core: 0 });
        let (trace_cap, debug_cap) = (provide(Cap::Trace), provide(Cap::Debug));
        let trace_frames = provide(world.frame());
        provide(world.frame());
        let payload = payload(system, parts.bundle);
        let frames = next_frames(&world, &payload, &mut provide);
        let mut untyped_list = [UntypedDesc::default(); sel4_sys::bootinfo::MAX_UNTYPEDS];
        let first_untyped = frames.end;
        let mut count = 0;
        let mut offer = |cap, paddr: u64, size_bits: u8, device: bool| {
            provide(cap);
            let is_device = u8::from(device);
            untyped_list[count] = UntypedDesc { paddr, size_bits, is_device, ..UntypedDesc::default() };
            count += 1;
        };
        for bits in &parts.ram {
            let cap = world.untyped((*bits).into());
            let base = cap.region().map_or(0, |region| region.0);
            offer(cap, base, *bits, false);
        }
        let devices =
            Cap::Untyped { base: PhysAddr(DEVICES_AT), bits: DEVICES_BITS.into(), device: true, free: 0 };
        offer(devices, DEVICES_AT, DEVICES_BITS, true);
        let axiom = AxiomInfo {
            trace_cap,
            trace_frames,
            trace_frame_count: 2,
            debug_cap,
            counter_frequency: FREQUENCY,
            ram_bytes: ram,
            ..AxiomInfo::default()
        };
        let chunks = chunks(&parts, &axiom);
        let page = memory(0, PAGE + chunks.len().next_multiple_of(PAGE), true);
        let buffer = axiom_objects::message::buffer(init_thread, true).expect("init has a buffer");
        let info = BootInfo {
            extra_len: chunks.len() as u64,
            node_id: 0,
            num_nodes: 1,
            num_io_pt_levels: 0,
            ipc_buffer: buffer.addr() as u64,
            empty: SlotRegion { start: next, end: 1 << parts.slots },
            shared_frames: SlotRegion::default(),
            user_image_frames: frames,
            user_image_paging: SlotRegion::default(),
            io_space_caps: SlotRegion::default(),
            extra_bi_pages: SlotRegion::default(),
            init_thread_cnode_size_bits: parts.slots.into(),
            init_thread_domain: 0,
            schedcontrol: SlotRegion { start: schedcontrol, end: schedcontrol + 1 },
            untyped: SlotRegion { start: first_untyped, end: next },
            untyped_list,
        };
        let at = std::ptr::with_exposed_provenance_mut::<BootInfo>(page as usize);
        // SAFETY: new memory with room for both, which stays for good.
        let info = unsafe {
            at.write(info);
            at.cast::<u8>().add(PAGE).copy_from_nonoverlapping(chunks.as_ptr(), chunks.len());
            sys::init_buffer(std::ptr::with_exposed_provenance_mut(buffer.addr()));
            sys::init_debug(CPtr(0));
            &*at
        };
        let inner = Inner {
            world,
            init: init_thread,
            space,
            aliases: RefCell::default(),
            registers: RefCell::new(parts.registers),
            fixed: parts.fixed,
            pages: RefCell::default(),
            threads: RefCell::default(),
            started: Cell::new(None),
            debug_calls: Cell::new(None),
            said: RefCell::default(),
            calls: RefCell::default(),
            refuse: Cell::new(None),
        };
        put_payload(&payload);
        arch::set_ticks(0);
        Machine { inner: Rc::new(inner), info, supervisor: None, errand: Cell::new(0), _alone: alone }
    }

    /// A machine on which this system runs.
    pub fn running(system: &System, parts: Parts) -> Machine {
        let mut machine = Machine::new(system, parts);
        machine.boot().unwrap_or_else(|verdict| panic!("{verdict}"));
        machine
    }

    /// Runs something as init. When that ends the run, what it says is the verdict.
    fn as_init<T>(&self, act: impl FnOnce() -> T) -> Result<T, String> {
        let inner = self.inner.clone();
        let run = || host::with(move |call| inner.system_call(call), act);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(done) => Ok(done),
            Err(why) if why.is::<Ended>() => Err(self.said()),
            Err(why) => resume_unwind(why),
        }
    }

    /// init begins, until it waits; or what it said when it ended the run.
    pub fn boot(&mut self) -> Result<(), String> {
        let info = self.info;
        let supervisor = self.as_init(|| {
            // SAFETY: the machine has put the chunks after BootInfo.
            let extra = unsafe { extra::extra(info) };
            let mut supervisor = axiom_init::prepare(info, &extra, 0);
            supervisor.begin();
            supervisor
        })?;
        self.supervisor = Some(supervisor);
        self.serve()
    }

    /// init serves whatever has come, until it waits; or what it said when it ended the run.
    pub fn serve(&mut self) -> Result<(), String> {
        let mut supervisor = self.supervisor.take().expect("init has begun");
        while self.inner.init.is_runnable() {
            self.inner.world.run(self.inner.init);
            let received = self.inner.received();
            self.as_init(|| supervisor.turn(&received))?;
        }
        self.supervisor = Some(supervisor);
        Ok(())
    }

    /// What was said since the last question.
    pub fn said(&self) -> String {
        let bytes = self.inner.said.take();
        String::from_utf8(bytes).expect("text").replace('\r', "")
    }

    /// Fails the nth invocation with this label from now on, for want of memory.
    pub fn refuse(&self, label: u64, nth: u64) {
        let sofar = self.inner.calls.borrow().get(&label).copied().unwrap_or(0);
        self.inner.refuse.set(Some((label, sofar + nth)));
    }

    /// Invocations with this label so far.
    pub fn calls(&self, label: u64) -> u64 {
        self.inner.calls.borrow().get(&label).copied().unwrap_or(0)
    }

    /// Empty slots of init's.
    pub fn free_slots(&self) -> usize {
        let info = self.info;
        (info.empty.start..info.empty.end).filter(|slot| self.inner.cap(*slot) == Cap::Null).count()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let addresses: Vec<u64> = self.inner.aliases.borrow().keys().copied().collect();
        addresses.into_iter().for_each(|vaddr| self.inner.vanish(vaddr));
        remove(address::PAYLOAD, PAYLOAD_BYTES);
        HERE.set(false);
    }
}
