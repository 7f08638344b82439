//! init on the kernel's own rules (`axiom_objects`), in ordinary memory: a test is the hardware, the firmware, and the code of every server.
//!
//! Every invocation of init's is made at the rules, which refuse what the kernel would refuse. What init maps for itself is there at its
//! address, as a copy that goes back to its frame before each system call; what it maps for servers is looked at in their frames. Servers
//! are threads that exist and can run: a test makes their system calls, and their faults.
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
use axiom_proto::bundle::{self, System};
use axiom_proto::env::{self, Env, slot};
use axiom_proto::{Error, LABEL_OK, wire};
use sel4_sys::bootinfo::{BootInfo, HEADER_FDT, Header, SlotRegion, UntypedDesc};
use sel4_sys::cap::init;
use sel4_sys::ext::{self, AxiomInfo, BOOTINFO_AXIOM, BOOTINFO_PCI_CONFIG_SPACE};
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

/// What a machine is made of.
pub struct Parts {
    /// RAM for init, as powers of two.
    pub ram: Vec<u8>,
    /// The device tree.
    pub fdt: Vec<u8>,
    /// What pages of devices hold.
    pub registers: BTreeMap<u64, Vec<u8>>,
    /// Words of theirs that have bits which nobody writes: by address, the bits and what they are.
    pub fixed: Vec<(u64, u32, u32)>,
    /// PCI configuration space: bus 0's, and the last bus.
    pub config_space: Option<(u64, u8)>,
    /// The kernel has Axiom's extensions.
    pub extensions: bool,
    /// Slots of init's, as a power of two: as the kernel has it.
    pub slots: u32,
    /// The bundle's first bytes are what they should be.
    pub bundle: bool,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            ram: vec![22],
            fdt: tree(|nothing| nothing),
            registers: BTreeMap::new(),
            fixed: Vec::new(),
            config_space: None,
            extensions: true,
            slots: 13,
            bundle: true,
        }
    }
}

/// A device tree with these nodes, whose addresses and sizes take two cells each.
pub fn tree(nodes: impl FnOnce(Builder) -> Builder) -> Vec<u8> {
    let root = Builder::default().begin("").cells("#address-cells", &[2]).cells("#size-cells", &[2]);
    nodes(root.text("model", "a test")).end().blob()
}

/// A machine with init on it.
pub struct Machine {
    inner: Rc<Inner>,
    info: &'static BootInfo,
    supervisor: Option<Supervisor>,
    errand: Cell<u64>,
    _alone: MutexGuard<'static, ()>,
}

/// New memory, anywhere or at an address where nothing is yet; it stays until it is taken away.
fn memory(address: u64, bytes: usize, write: bool) -> u64 {
    let place = if address == 0 { 0 } else { libc::MAP_FIXED_NOREPLACE };
    let may = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    // SAFETY: a new mapping takes nothing away from anybody.
    let got = unsafe {
        libc::mmap(address as *mut _, bytes, may, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | place, -1, 0)
    };
    assert_ne!(got, libc::MAP_FAILED, "nothing can be mapped at {address:#x}");
    got as u64
}

fn remove(address: u64, bytes: usize) {
    // SAFETY: `memory` made it, and nobody refers to it any more.
    unsafe { libc::munmap(address as *mut _, bytes) };
}

impl Inner {
    /// The bytes of a frame of RAM.
    fn ram(frame: PhysAddr, bytes: usize) -> *mut u8 {
        debug_assert!(frame.kernel().is_multiple_of(PAGE) && bytes > 0);
        std::ptr::with_exposed_provenance_mut(frame.kernel())
    }

    fn appear(&self, vaddr: u64, alias: Alias) {
        let at = memory(vaddr, alias.bytes, true) as *mut u8;
        for (page, offset) in (0..).zip((0..alias.bytes).step_by(PAGE)) {
            let registers = self.registers.borrow();
            let from = if alias.device {
                let Some(held) = registers.get(&(alias.frame.0 + page * PAGE as u64)) else { continue };
                held.as_ptr()
            } else {
                // SAFETY: inside the frame.
                unsafe { Inner::ram(alias.frame, alias.bytes).add(offset) }
            };
            // SAFETY: both are a page, and apart.
            unsafe { at.add(offset).copy_from_nonoverlapping(from, PAGE) };
        }
        if !alias.write {
            // SAFETY: this mapping's own protection.
            unsafe { libc::mprotect(at.cast(), alias.bytes, libc::PROT_READ) };
        }
        self.aliases.borrow_mut().insert(vaddr, alias);
    }

    fn vanish(&self, vaddr: u64) {
        let alias = self.aliases.borrow_mut().remove(&vaddr).expect("init maps what is unmapped");
        remove(vaddr, alias.bytes);
    }

    /// What init wrote reaches its frames.
    fn write_back(&self) {
        for (vaddr, alias) in self.aliases.borrow().iter().filter(|(_, alias)| alias.write) {
            let from = *vaddr as *const u8;
            let mut registers = self.registers.borrow_mut();
            let to = if alias.device {
                registers.entry(alias.frame.0).or_insert_with(|| vec![0; PAGE]).as_mut_ptr()
            } else {
                Inner::ram(alias.frame, alias.bytes)
            };
            // SAFETY: a page each, and apart.
            unsafe { to.copy_from_nonoverlapping(from, PAGE) };
        }
        let mut registers = self.registers.borrow_mut();
        for (at, bits, value) in &self.fixed {
            let Some(page) = registers.get_mut(&(at & !4095)) else { continue };
            let word = &mut page[(at & 4095) as usize..][..4];
            let written = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            word.copy_from_slice(&(written & !bits | value & bits).to_le_bytes());
        }
    }

    fn buffer(&self) -> &IpcBuffer {
        let buffer = axiom_objects::message::buffer(self.init, false).expect("init has a buffer");
        // SAFETY: a page of the world's that holds init's IPC buffer; nobody writes it while the test looks.
        unsafe { &*std::ptr::with_exposed_provenance(buffer.addr()) }
    }

    fn cap(&self, slot: u64) -> Cap {
        let Cap::CNode { radix, .. } = self.space else { panic!("init has slots") };
        if slot < 1 << radix { self.world.slot(self.space, slot).cap() } else { Cap::Null }
    }

    /// Where init has this mapped, if it has.
    fn own(cap: Cap) -> Option<u64> {
        match cap {
            Cap::Frame { mapping: Some(Mapping { asid: OWN, vaddr }), .. } => Some(vaddr),
            _ => None,
        }
    }

    fn system_call(&self, call: host::Syscall) -> Received {
        self.write_back();
        let (world, init) = (&self.world, self.init);
        let label = call.info.label();
        if call.number == syscall::DEBUG_PUT_CHAR || call.number == syscall::DEBUG_HALT {
            self.said.borrow_mut().push(call.cap.0 as u8);
            self.leave_if(call.number == syscall::DEBUG_HALT);
            return Received { info: call.info, badge: Badge(0), mrs: call.mrs };
        }
        if call.number == syscall::CALL {
            let mut calls = self.calls.borrow_mut();
            let count = calls.entry(label).or_default();
            *count += 1;
            if self.refuse.get() == Some((label, *count)) {
                let refused = MessageInfo::new(sel4_sys::Error::NotEnoughMemory as u64, 0, 0, 0);
                return Received { info: refused, badge: Badge(0), mrs: [0; 4] };
            }
        }
        let (before, deleted) = (self.cap(call.cap.0), self.cap(call.mrs[0]));
        let named = self.buffer().caps_or_badges[0];
        assert!(world.run(init), "init makes a system call, so it can run");
        init.regs.set(INFO, call.info.0);
        init.regs.set(CAP, call.cap.0);
        init.regs.set(REPLY, call.reply.0);
        (0..4).for_each(|i| init.regs.set(MR0 + i, call.mrs[i]));
        loop {
            world.system_call(init, call.number);
            if world.current() != init || init.regs.get(PC) != init.regs.get(FAULT_PC) {
                break;
            }
        }
        let received = self.received();
        if call.number == syscall::CALL && received.info.label() == 0 {
            self.follow(label, before, deleted, call, named);
        }
        let mut off = false;
        for event in world.take_log() {
            match event {
                Hardware::Put(byte) => self.said.borrow_mut().push(byte),
                Hardware::PowerOff => off = true,
                Hardware::DebugCalls(on) => self.debug_calls.set(Some(on)),
                _ => {}
            }
        }
        self.leave_if(off);
        received
    }

    fn leave_if(&self, off: bool) {
        if off {
            resume_unwind(Box::new(Ended));
        }
    }

    fn received(&self) -> Received {
        let regs = &self.init.regs;
        let mrs = core::array::from_fn(|i| regs.get(MR0 + i));
        Received { info: MessageInfo(regs.get(INFO)), badge: Badge(regs.get(CAP)), mrs }
    }

    /// An invocation succeeded: what it means for memory, and for what the test knows.
    fn follow(&self, label: u64, before: Cap, deleted: Cap, call: host::Syscall, named: u64) {
        match label {
            label::PAGE_MAP => {
                let Cap::Frame { base, size, device, rights, mapping: Some(mapping) } = self.cap(call.cap.0)
                else {
                    panic!("what was mapped is no mapped frame")
                };
                let write = rights.write && call.mrs[1] & CapRights::WRITE.0 != 0;
                if mapping.asid != OWN {
                    let execute = call.mrs[2] & object::vm_attributes::EXECUTE_NEVER == 0;
                    let there = Mapped { phys: base.0, device, write, execute };
                    self.pages.borrow_mut().insert((mapping.asid, mapping.vaddr), there);
                    return;
                }
                assert_eq!(named, init::VSPACE.0);
                let bytes = if size == FrameSize::Small { PAGE } else { 1 << size.bits() };
                self.appear(mapping.vaddr, Alias { frame: base, bytes, device, write });
            }
            label::PAGE_UNMAP => self.vanish(Inner::own(before).expect("init unmaps what it mapped")),
            label::CNODE_DELETE if call.cap == init::CNODE => {
                if let Some(vaddr) = Inner::own(deleted) {
                    self.vanish(vaddr);
                }
            }
            label::TCB_WRITE_REGISTERS => {
                let Cap::Tcb { tcb } = before else { panic!("a thread is started") };
                self.started.set(Some(tcb));
            }
            ext::DEBUG_NAME_THREAD => {
                let Cap::Tcb { tcb } = self.cap(named) else { panic!("a thread is named") };
                let bytes: Vec<u8> =
                    call.mrs.into_iter().flat_map(u64::to_le_bytes).take_while(|b| *b != 0).collect();
                let name = String::from_utf8(bytes).expect("a name is text");
                self.threads.borrow_mut().insert(name, tcb);
            }
            _ => {}
        }
    }
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
            trace_frame_count: 1,
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
            // SAFETY: the machine has put the chunks behind BootInfo.
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

    /// A device's registers.
    pub fn registers(&self, page: u64) -> Vec<u8> {
        self.inner.registers.borrow().get(&page).cloned().unwrap_or_else(|| vec![0; PAGE])
    }

    /// Where init's RAM is.
    pub fn ram_at(&self) -> u64 {
        let mut untyped = self.info.untyped_list.iter();
        untyped.find(|u| u.is_device == 0 && u.size_bits > 0).expect("there is RAM").paddr
    }

    /// A device changes a word of its registers.
    pub fn set_register(&self, at: u64, word: u32) {
        let mut registers = self.inner.registers.borrow_mut();
        let page = registers.entry(at & !4095).or_insert_with(|| vec![0; PAGE]);
        page[(at & 4095) as usize..][..4].copy_from_slice(&word.to_le_bytes());
    }

    /// A word of a device's registers.
    pub fn register(&self, at: u64) -> u32 {
        let page = self.registers(at & !4095);
        u32::from_le_bytes(page[(at & 4095) as usize..][..4].try_into().expect("four bytes"))
    }

    /// Whether there was a server's thread.
    pub fn was_started(&self, name: &str) -> bool {
        self.inner.threads.borrow().contains_key(name)
    }

    /// A server's thread, or the last one that had this name.
    pub fn thread(&self, name: &str) -> Ptr<Tcb> {
        *self.inner.threads.borrow().get(name).unwrap_or_else(|| panic!("there was no thread '{name}'"))
    }

    /// The thread that was started last, which the kernel was told no name of.
    pub fn call_last(&self, name: &str) {
        let tcb = self.inner.started.get().expect("a thread was started");
        self.inner.threads.borrow_mut().insert(name.into(), tcb);
    }

    fn asid(&self, name: &str) -> u16 {
        let slot = self.thread(name).slot(axiom_objects::object::TCB_VSPACE);
        match slot.cap() {
            Cap::VSpace { asid: Some(asid), .. } => asid,
            other => panic!("'{name}' has no address space but {other:?}"),
        }
    }

    /// The frame that a server has at a page.
    pub fn frame(&self, name: &str, page: u64) -> Option<Mapped> {
        self.inner.pages.borrow().get(&(self.asid(name), page)).copied()
    }

    /// A page of a server's.
    pub fn page(&self, name: &str, page: u64) -> Option<&[u8]> {
        let mapped = self.frame(name, page).filter(|mapped| !mapped.device)?;
        // SAFETY: a page of the world's RAM, which the test alone looks at meanwhile.
        Some(unsafe { core::slice::from_raw_parts(Inner::ram(PhysAddr(mapped.phys), PAGE), PAGE) })
    }

    /// Writes into a page of a server's, as the server would.
    pub fn write(&self, name: &str, page: u64, byte: u8) {
        let mapped = self.frame(name, page).filter(|mapped| !mapped.device);
        let mapped = mapped.unwrap_or_else(|| panic!("'{name}' has no page at {page:#x}"));
        // SAFETY: as in `page`, and no reference to it lives.
        unsafe { Inner::ram(PhysAddr(mapped.phys), PAGE).write(byte) };
    }

    /// What a server was told.
    pub fn env(&self, name: &str) -> Env<'static> {
        let pages = (0..env::MAX_PAGES as u64).map_while(|i| self.page(name, env::ADDRESS as u64 + 4096 * i));
        let bytes: &'static [u8] = pages.flatten().copied().collect::<Vec<u8>>().leak();
        // SAFETY: the header is plain words, and the bytes are at least a page.
        let header = unsafe { bytes.as_ptr().cast::<env::Header>().read_unaligned() };
        assert_eq!(header.magic, env::MAGIC);
        let body = &bytes[size_of::<env::Header>()..][..header.env_len as usize];
        let env: Env<'static> = wire::decode_plain(body).expect("an environment");
        assert!(env.is_whole());
        env
    }

    /// What a server has in a slot.
    pub fn slot(&self, name: &str, slot: u64) -> Cap {
        let cspace = self.thread(name).slot(axiom_objects::object::TCB_CSPACE).cap();
        self.inner.world.slot(cspace, slot).cap()
    }

    /// A server makes a system call.
    fn act(&mut self, name: &str, number: i64, slot: u64, message: Message<'_>) {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        self.inner.world.set_message(tcb, slot, message);
        self.inner.world.system_call(tcb, number);
        self.inner.world.take_log();
    }

    /// A server signals, or sends nothing.
    pub fn signal(&mut self, name: &str, slot: u64) -> Result<(), String> {
        self.act(name, syscall::SEND, slot, Message::default());
        self.serve()
    }

    /// A server says that it is ready.
    pub fn ready(&mut self, name: &str) {
        let slot = self.env(name).ready;
        self.signal(name, slot).unwrap_or_else(|verdict| panic!("{verdict}"));
    }

    /// A server calls, and is served or waits.
    pub fn call(&mut self, name: &str, slot: u64, label: u64, words: &[u64]) -> Result<(), String> {
        self.act(name, syscall::CALL, slot, Message { label, words, caps: &[] });
        self.serve()
    }

    /// The answer that a server found.
    pub fn answer<R: Deserialize<'static>>(&self, name: &str) -> Result<R, Error> {
        let tcb = self.thread(name);
        assert!(tcb.is_runnable(), "'{name}' waits for its answer");
        let info = MessageInfo(tcb.regs.get(INFO));
        let buffer = axiom_objects::message::buffer(tcb, false);
        let words = (0..info.length()).map(|i| axiom_objects::message::mr(tcb, buffer, i));
        let bytes: &'static [u8] = words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>().leak();
        if info.label() == LABEL_OK {
            return Ok(wire::decode(bytes).expect("an answer in the interface's words"));
        }
        Err(wire::decode(bytes).expect("an error in its words"))
    }

    /// A server asks init in words of an interface; `Err` of the outer result is the end of the run.
    pub fn ask<R: Deserialize<'static>>(
        &mut self,
        name: &str,
        interface: u16,
        request: &impl Serialize,
    ) -> Result<Result<R, Error>, String> {
        let slot = self.env(name).channels.iter().find(|c| c.name == "init").expect("a channel").slot;
        self.call(name, slot, interface.into(), &words(request))?;
        Ok(self.answer(name))
    }

    /// A message, or a signal, to init from somebody with any badge: `of` is a server, whose capabilities are copied for this. What is not
    /// answered by init waits for ever, and is forgotten.
    pub fn intrude(&mut self, of: &str, badge: u64, label: u64, words: &[u64]) -> Result<(), String> {
        let (world, env) = (&self.inner.world, self.env(of));
        let badge = Badge(badge);
        let (cap, number) = if badge.0 >> 63 != 0 {
            let Cap::Notification { ntfn, rights, .. } = self.slot(of, env.ready) else { panic!() };
            (Cap::Notification { ntfn, badge, rights }, syscall::SEND)
        } else {
            let slot = env.channels.iter().find(|c| c.name == "init").expect("a channel").slot;
            let Cap::Endpoint { ep, rights, .. } = self.slot(of, slot) else { panic!() };
            (Cap::Endpoint { ep, badge, rights }, syscall::CALL)
        };
        let space = world.cnode(2);
        let tcb = world.thread(10, space);
        world.put(space, 1, cap);
        assert!(world.run(tcb));
        world.set_message(tcb, 1, Message { label, words, caps: &[] });
        world.system_call(tcb, number);
        world.take_log();
        self.serve()
    }

    /// A line asks to be served, and the server looks at its notification.
    pub fn interrupt(&mut self, name: &str, irq: u32) -> Signals {
        self.inner.world.run((&self.inner.world).node().idle());
        self.inner.world.raise(irq);
        self.inner.world.interrupt();
        self.poll(name)
    }

    /// A server invokes a capability of its own; the error's number.
    pub fn invoke(&mut self, name: &str, slot: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        let answer = self.inner.world.invoke(tcb, slot, Message { label, words, caps });
        self.inner.world.take_log();
        answer.expect("it runs on").label
    }

    /// A server makes so many pages of its untyped memory, in a row of slots; the error's number.
    pub fn retype(&mut self, name: &str, untyped: u64, first: u64, count: u64) -> u64 {
        let words = [object::kind::SMALL_PAGE, 0, 0, 0, first, count];
        self.invoke(name, untyped, label::UNTYPED_RETYPE, &words, &[slot::CNODE])
    }

    /// A capability is given by one server to another, as a message would.
    pub fn give(&mut self, to: &str, at: u64, from: &str, slot: u64) {
        let space = |name: &str| self.thread(name).slot(axiom_objects::object::TCB_CSPACE).cap();
        let world = &self.inner.world;
        let (from, to) = (world.slot(space(from), slot), world.slot(space(to), at));
        let copy = axiom_objects::derive::derive(from, from.cap()).expect("it can be copied");
        axiom_objects::slot::insert(copy, from, to);
    }

    /// Whether a server's address space has all tables for an address.
    pub fn has_table(&self, name: &str, at: u64) -> bool {
        let root = space::root_of((&self.inner.world).shared(), self.asid(name)).expect("it lives");
        space::boot_has_table(root, at)
    }

    /// The world that the rules run in.
    pub fn world(&self) -> &FakeWorld {
        &self.inner.world
    }

    /// Whether the kernel's debug calls are there, as init last said.
    pub fn debug_calls(&self) -> Option<bool> {
        self.inner.debug_calls.get()
    }

    fn context(&self, name: &str) -> Ptr<axiom_objects::object::SchedContext> {
        self.thread(name).sc.get().expect("it has a scheduling context")
    }

    /// A server's budget and period.
    pub fn budget(&self, name: &str) -> (u64, u64) {
        let sc = self.context(name);
        (sc.refills().map(|refill| refill.amount).sum(), sc.period.get())
    }

    /// What a server may use now of its budget.
    pub fn left(&self, name: &str) -> u64 {
        self.context(name).head_refill().amount
    }

    /// A server runs for so long.
    pub fn spend(&mut self, name: &str, us: u64) {
        let world = &self.inner.world;
        assert!(world.run(self.thread(name)));
        world.advance(us);
        world.interrupt();
        world.take_log();
    }

    /// The time, in microseconds.
    pub fn time(&self) -> u64 {
        self.inner.world.time()
    }

    /// The bits that a server finds set in its notification.
    pub fn poll(&mut self, name: &str) -> Signals {
        self.act(name, syscall::NB_WAIT, slot::NOTIFICATION, Message::default());
        Signals::from_badge(self.thread(name).regs.get(CAP)).unwrap_or_default()
    }

    /// What the thread in the place of a server that is down does next: it receives, or answers and receives.
    pub fn run_down(&mut self, answers: bool) {
        let tcb = self.thread("down");
        // SAFETY: init's own words for this thread, which stay; its first argument says where.
        let errand: &[u64; 4] = unsafe { &*std::ptr::with_exposed_provenance(self.errand.get() as usize) };
        let [endpoint, reply, info, word] = *errand;
        assert!(self.inner.world.run(tcb), "the thread in a server's place cannot run");
        tcb.regs.set(CAP, endpoint);
        tcb.regs.set(REPLY, reply);
        tcb.regs.set(INFO, info);
        tcb.regs.set(MR0, word);
        self.inner.world.system_call(tcb, if answers { syscall::REPLY_RECV } else { syscall::RECV });
        self.inner.world.take_log();
    }

    /// The thread in the place of a server that is down has begun.
    pub fn begin_down(&mut self) {
        self.errand.set(self.thread("down").regs.get(CAP));
        self.run_down(false);
    }

    /// A server waits for the next message.
    pub fn wait(&mut self, name: &str) {
        let tcb = self.thread(name);
        tcb.regs.set(REPLY, slot::REPLY);
        self.act(name, syscall::RECV, slot::ENDPOINT, Message::default());
    }

    /// A server faults, and init has served that.
    pub fn fault(&mut self, name: &str, fault: Fault) -> Result<(), String> {
        let tcb = self.thread(name);
        assert!(self.inner.world.run(tcb), "'{name}' cannot run");
        self.inner.world.fault(tcb, fault);
        self.inner.world.take_log();
        self.serve()
    }

    /// A server dies.
    pub fn kill(&mut self, name: &str) -> Result<(), String> {
        self.fault(name, Fault::Vm { addr: 0x10, fsr: 0x82000006, instruction: false })
    }

    /// Time passes while nobody runs.
    pub fn advance(&mut self, us: u64) -> Result<(), String> {
        let world = &self.inner.world;
        world.run((&world).node().idle());
        world.advance(us);
        arch::set_ticks(world.time());
        world.interrupt();
        world.take_log();
        self.serve()
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

/// A message's words.
pub fn words(value: &impl Serialize) -> Vec<u64> {
    let mut bytes = vec![0; wire::MAX_WORDS * 8];
    let words = wire::encode(value, &mut bytes).expect("it fits a message");
    bytes.as_chunks::<8>().0.iter().take(words).map(|word| u64::from_le_bytes(*word)).collect()
}

/// Bytes of the test's bundle.
pub const PAYLOAD_BYTES: usize = 16 * PAGE;

/// The bundle: its head, then pages that say their number.
fn payload(system: &System, good: bool) -> Vec<u8> {
    let description = postcard::to_allocvec(system).expect("a system can be written");
    let mut bytes = bundle::MAGIC.to_vec();
    bytes.extend((description.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&description);
    assert!(bytes.len() <= 8 * PAGE, "the description takes {} bytes", bytes.len());
    bytes.resize(8 * PAGE, 0);
    for page in 8..16u8 {
        bytes.extend([page; PAGE]);
    }
    if !good {
        bytes[3] = b'?';
    }
    bytes
}

fn next_frames(world: &FakeWorld, payload: &[u8], provide: &mut impl FnMut(Cap) -> u64) -> SlotRegion {
    let mut region = SlotRegion::default();
    for page in payload.chunks(PAGE) {
        let frame = world.frame();
        let Cap::Frame { base, .. } = frame else { panic!("a frame") };
        // SAFETY: a page of RAM that nobody has yet.
        unsafe { Inner::ram(base, PAGE).copy_from_nonoverlapping(page.as_ptr(), PAGE) };
        let slot = provide(frame);
        region.start = if region.start == 0 { slot } else { region.start };
        region.end = slot + 1;
    }
    region
}

fn put_payload(payload: &[u8]) {
    let at = memory(address::PAYLOAD, PAYLOAD_BYTES, true) as *mut u8;
    // SAFETY: new memory of that size.
    unsafe { at.copy_from_nonoverlapping(payload.as_ptr(), payload.len()) };
}

fn chunks(parts: &Parts, axiom: &AxiomInfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = |id: u64, body: &[u8]| {
        let len = (size_of::<Header>() + body.len().next_multiple_of(8)) as u64;
        bytes.extend([id, len].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    };
    // A chunk that nobody knows.
    chunk(0x7777, &[1, 2, 3]);
    if !parts.fdt.is_empty() {
        chunk(HEADER_FDT, &parts.fdt);
    }
    if let Some((base, last)) = parts.config_space {
        let words = [base, last.into()].map(u64::to_le_bytes);
        chunk(BOOTINFO_PCI_CONFIG_SPACE, words.as_flattened());
    }
    if parts.extensions {
        let words: Vec<u8> = axiom.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        chunk(BOOTINFO_AXIOM, &words);
    }
    bytes
}
