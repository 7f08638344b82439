//! Invocations that only this architecture has: their checks in order, and what stays when they refuse.
extern crate std;
use crate::arch::interrupts::{FIRST_USER, Route};
use crate::arch::paging::{self, Entry, KernelHalf};
use crate::arch::ports::{Access, Handed, Ports};
use crate::arch::registers::{
    ERROR, FAULT_PC, GS_BASE, PC, R11, RCX, STATUS, SYSTEM_CALL, TLS, is_canonical, sanitise,
};
use crate::arch::tables::TableKind;
use crate::cap::Cap;
use crate::fake::{FakeWorld, Hardware, Message};
use crate::fault_message;
use crate::machine::Machine;
use crate::object::{Fault, Tcb};
use crate::ptr::{PhysAddr, Ptr};
use crate::space;
use proptest::prelude::*;
use sel4_sys::object::kind;
use sel4_sys::{Error, label};
use std::vec::Vec;

const CNODE: u64 = 1;
const UNTYPED: u64 = 2;
const IRQ_CONTROL: u64 = 3;
const PORTS: u64 = 4;
const POOL: u64 = 5;
const FREE: u64 = 8;

struct Scene {
    world: FakeWorld,
    cnode: Cap,
    tcb: Ptr<Tcb>,
}

impl Scene {
    fn new() -> Scene {
        let world = FakeWorld::with_memory(23);
        let cnode = world.cnode(6);
        let tcb = world.thread(100, cnode);
        let pool = world.allocate(12);
        (&world).shared().asid_pools[0].set(pool.0);
        (&world).shared().wiring.pins[0].set(24);
        for (slot, cap) in [
            (CNODE, cnode),
            (UNTYPED, world.untyped(20)),
            (IRQ_CONTROL, Cap::IrqControl),
            (PORTS, Cap::Ports(Ports::Control)),
            (POOL, Cap::AsidPool { base: pool, first_asid: 0 }),
        ] {
            world.put(cnode, slot, cap);
        }
        assert!(world.run(tcb));
        Scene { world, cnode, tcb }
    }

    /// An invocation's error and words.
    fn call(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> (u64, Vec<u64>) {
        let answer = self.world.invoke(self.tcb, cptr, Message { label, words, caps }).expect("it answers");
        (answer.label, answer.words.to_vec())
    }

    fn error(&self, cptr: u64, label: u64, words: &[u64], caps: &[u64]) -> u64 {
        self.call(cptr, label, words, caps).0
    }
}

#[test]
fn the_checks_of_a_pin_come_in_order() {
    let scene = Scene::new();
    let ask = |words: [u64; 7]| {
        let (error, told) = scene.call(IRQ_CONTROL, label::IRQ_ISSUE_HANDLER_IOAPIC, &words, &[CNODE]);
        (error, told[0], told[1])
    };
    let range = Error::RangeError as u64;
    // Each mistake comes before those to its right in the checks: vector, slot, I/O APIC, pin, level, polarity.
    assert_eq!(ask([CNODE, 64, 9, 99, 9, 9, 108]), (range, 0, 107));
    assert_eq!(ask([CNODE, 64, 9, 99, 9, 9, 5]).0, Error::DeleteFirst as u64);
    assert_eq!(ask([FREE, 64, 9, 99, 9, 9, 5]), (range, 0, 0));
    assert_eq!(ask([FREE, 64, 0, 99, 9, 9, 5]), (range, 0, 23));
    assert_eq!(ask([FREE, 64, 0, 4, 9, 9, 5]), (range, 0, 1));
    assert_eq!(ask([FREE, 64, 0, 4, 1, 9, 5]), (range, 0, 1));
    assert!(scene.world.slot(scene.cnode, FREE).is_empty());
    scene.world.take_log();
    assert_eq!(ask([FREE, 64, 0, 4, 1, 1, 5]).0, 0);
    let irq = FIRST_USER + 5;
    let route = Route::Pin { ioapic: 0, pin: 4, level: true, low: true };
    let log = scene.world.take_log();
    assert!(log.contains(&Hardware::Route { irq, route }) && log.contains(&Hardware::Unmask(irq)));
    assert_eq!(ask([FREE + 1, 64, 0, 4, 0, 0, 6]).0, Error::RevokeFirst as u64, "the pin is taken");
    assert_eq!(ask([FREE + 1, 64, 0, 3, 0, 0, 5]).0, Error::RevokeFirst as u64, "the vector is taken");
    assert_eq!(scene.error(CNODE, label::CNODE_DELETE, &[FREE, 64], &[]), 0);
    assert_eq!(ask([FREE + 1, 64, 0, 4, 0, 0, 6]).0, 0);
    assert_eq!((&scene.world).shared().wiring.route(irq), Some(route), "what is not active does not count");
}

#[test]
fn without_an_io_apic_no_pin_is_handed_out() {
    let scene = Scene::new();
    (&scene.world).shared().wiring.pins[0].set(0);
    let words = [FREE, 64, 0, 4, 0, 0, 5];
    let error = |label| scene.error(IRQ_CONTROL, label, &words, &[CNODE]);
    assert_eq!(error(label::IRQ_ISSUE_HANDLER_IOAPIC), Error::IllegalOperation as u64);
    assert_eq!(error(label::IRQ_ISSUE_HANDLER_MSI), 0);
    assert_eq!(error(label::IRQ_ISSUE_HANDLER), Error::IllegalOperation as u64);
}

#[test]
fn an_access_reaches_the_machine_only_inside_its_range() {
    let scene = Scene::new();
    let issue = [0x3f8, 0x3ff, FREE, 64];
    assert_eq!(scene.error(PORTS, label::IO_PORT_CONTROL_ISSUE, &issue, &[CNODE]), 0);
    let labels = [
        (label::IO_PORT_IN8, 1, false),
        (label::IO_PORT_IN16, 2, false),
        (label::IO_PORT_IN32, 4, false),
        (label::IO_PORT_OUT8, 1, true),
        (label::IO_PORT_OUT16, 2, true),
        (label::IO_PORT_OUT32, 4, true),
    ];
    for (label, bytes, writes) in labels {
        for port in 0x3f0..0x408u16 {
            scene.world.take_log();
            let error = scene.error(FREE, label, &[port.into(), 0x1234_5678], &[]);
            let inside = port >= 0x3f8 && port + u16::from(bytes) <= 0x400;
            let expected = if inside { 0 } else { Error::IllegalOperation as u64 };
            assert_eq!(error, expected, "{label} at {port:#x}");
            let access = match writes {
                true => Access::Out { port, bytes, data: 0x1234_5678 },
                false => Access::In { port, bytes },
            };
            assert_eq!(
                scene.world.take_log().contains(&Hardware::Port(access)),
                inside,
                "{label} at {port:#x}"
            );
        }
    }
    // The top of all ports does not wrap.
    let top = [0xffff, 0xffff, FREE + 1, 64];
    assert_eq!(scene.error(PORTS, label::IO_PORT_CONTROL_ISSUE, &top, &[CNODE]), 0);
    assert_eq!(scene.error(FREE + 1, label::IO_PORT_IN8, &[0xffff], &[]), 0);
    assert_eq!(scene.error(FREE + 1, label::IO_PORT_IN16, &[0xffff], &[]), Error::IllegalOperation as u64);
    assert_eq!(scene.error(FREE + 1, label::IO_PORT_OUT8, &[0xffff], &[]), Error::TruncatedMessage as u64);
}

/// Addresses at the edges of the hole, and any.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (0..16u64).prop_map(|by| (1 << 47) - 8 + by),
        (0..16u64).prop_map(|by| (0xffff_8000_0000_0000 - 8) + by),
        Just(0x40_1000),
        Just(0x202),
    ]
}

proptest! {
    /// Ports are a set: beside a list of single ports.
    #[test]
    fn handed_out_ports_are_what_was_handed_out(
        steps in proptest::collection::vec((any::<bool>(), any::<u16>(), 0u16..300), 1..40)
    ) {
        let (handed, mut model) = (Handed::new(), std::vec![false; 1 << 16]);
        for (takes, first, more) in steps {
            let last = first.saturating_add(more);
            let range = first as usize..=last as usize;
            prop_assert_eq!(handed.are_free(first, last), model[range.clone()].iter().all(|taken| !taken));
            if takes { handed.hand_out(first, last) } else { handed.give_back(Ports::Range { first, last }) }
            model[range].fill(takes);
        }
    }

    /// However others write a thread's registers (invocations, copies, answers to faults), its way out is safe: SYSRET is taken only back to
    /// where a system call came from, and whatever else is loaded is canonical, with flags that are a user's.
    #[test]
    fn whoever_writes_a_threads_registers_its_way_out_is_safe(
        came_by_a_call: bool,
        steps in prop::collection::vec((0..7u64, prop::collection::vec(address(), 20)), 1..6),
    ) {
        const CALLED_AT: u64 = 0x40_1000;
        let scene = Scene::new();
        let threads = [scene.world.thread(10, scene.cnode), scene.world.thread(10, scene.cnode)];
        for (slot, tcb) in (FREE..).zip(threads) {
            scene.world.put(scene.cnode, slot, Cap::Tcb { tcb });
            tcb.regs.set(PC, CALLED_AT);
            tcb.regs.set(STATUS, 0x202);
            tcb.regs.set(ERROR, if came_by_a_call { SYSTEM_CALL } else { 0 });
        }
        let [target, other] = threads;
        for (step, words) in steps {
            let mut context = std::vec![0, 20];
            context.extend(&words);
            let answer = |fault| {
                target.fault.set(fault);
                scene.world.set_message(scene.tcb, 0, Message { label: 0, words: &words, caps: &[] });
                fault_message::take_reply(target, scene.tcb);
                target.fault.set(Fault::None);
            };
            match step {
                0 => drop(scene.error(FREE, label::TCB_WRITE_REGISTERS, &context, &[])),
                1 => drop(scene.error(FREE + 1, label::TCB_WRITE_REGISTERS, &context, &[])),
                2 => drop(scene.error(FREE, label::TCB_COPY_REGISTERS, &[words[0] & 12], &[FREE + 1])),
                3 => drop(scene.error(FREE, label::TCB_SET_TLS_BASE, &words[..1], &[])),
                4 => answer(Fault::UserException { number: 6, code: 0 }),
                5 => answer(Fault::UnknownSyscall { number: 99 }),
                _ => answer(Fault::Timeout { badge: 0 }),
            }
            for tcb in [target, other] {
                let [pc, at, tls, gs, rcx, r11, status] =
                    [PC, FAULT_PC, TLS, GS_BASE, RCX, R11, STATUS].map(|register| tcb.regs.get(register));
                prop_assert!([pc, at, tls, gs].into_iter().all(is_canonical), "{:x?}", [pc, at, tls, gs]);
                prop_assert_eq!(status & !0xcd5, 0x202);
                prop_assert!(!tcb.regs.in_call() || (pc, rcx, r11) == (CALLED_AT, CALLED_AT, status));
            }
        }
    }

    /// No register that a user writes makes the kernel's way out fault, or changes its flags.
    #[test]
    fn what_users_write_is_harmless(value: u64) {
        for register in [PC, FAULT_PC, TLS, GS_BASE] {
            let kept = sanitise(register, value);
            prop_assert!(is_canonical(kept) && (kept == value || kept == 0 && !is_canonical(value)));
        }
        prop_assert_eq!(sanitise(STATUS, value) & !0xcd5, 0x202);
    }
}

/// The running thread's bases of FS and GS are in the machine: what it copies onto itself goes there, and a new FS base leaves GS alone, whose
/// file may be older than what the thread wrote.
#[test]
fn what_a_thread_copies_onto_itself_is_loaded() {
    let scene = Scene::new();
    let source = scene.world.thread(10, scene.cnode);
    scene.world.put(scene.cnode, FREE, Cap::Tcb { tcb: scene.tcb });
    scene.world.put(scene.cnode, FREE + 1, Cap::Tcb { tcb: source });
    source.regs.set(TLS, 0x1000);
    source.regs.set(GS_BASE, 0x2000);
    let loaded = |label, words: &[u64], caps: &[u64]| {
        scene.world.take_log();
        assert_eq!(scene.error(FREE, label, words, caps), 0);
        let is_pointer = |entry: &Hardware| matches!(entry, Hardware::ThreadPointer(_));
        scene.world.take_log().into_iter().filter(is_pointer).collect::<Vec<_>>()
    };
    let both = [Hardware::ThreadPointer(0x1000), Hardware::ThreadPointer(0x2000)];
    assert_eq!(loaded(label::TCB_COPY_REGISTERS, &[8], &[FREE + 1]), both);
    assert_eq!(loaded(label::TCB_SET_TLS_BASE, &[0x3000], &[]), [Hardware::ThreadPointer(0x3000)]);
}

/// What a thread copies of itself is what it has: its base of FS is in the machine, and its file may be older than what it wrote.
#[test]
fn what_a_thread_copies_of_itself_is_what_it_has() {
    let scene = Scene::new();
    let target = scene.world.thread(10, scene.cnode);
    scene.world.put(scene.cnode, FREE, Cap::Tcb { tcb: target });
    scene.world.put(scene.cnode, FREE + 1, Cap::Tcb { tcb: scene.tcb });
    scene.tcb.regs.set(TLS, 0x1000);
    // As by WRFSBASE, of which the kernel learns nothing.
    (&scene.world).set_thread_pointer(0x2000);
    assert_eq!(scene.error(FREE, label::TCB_COPY_REGISTERS, &[8], &[FREE + 1]), 0);
    assert_eq!(target.regs.get(TLS), 0x2000);
    (&scene.world).set_thread_pointer(0x3000);
    scene.world.take_log();
    assert_eq!(scene.error(FREE + 1, label::TCB_COPY_REGISTERS, &[8], &[FREE + 1]), 0);
    assert!(
        scene.world.take_log().contains(&Hardware::ThreadPointer(0x3000)),
        "onto itself: it keeps what it has"
    );
}

#[test]
fn each_kind_of_table_has_its_level_and_labels() {
    const AT: u64 = 0x80_0000_0000;
    let scene = Scene::new();
    let kinds = [kind::VSPACE, kind::PDPT, kind::PAGE_DIRECTORY, kind::PAGE_TABLE, kind::SMALL_PAGE];
    for (slot, kind) in (FREE..).zip(kinds) {
        let words = [kind, 0, 0, 0, slot, 1];
        assert_eq!(scene.error(UNTYPED, label::UNTYPED_RETYPE, &words, &[CNODE]), 0);
    }
    let [root, pointers, directory, table, page] = core::array::from_fn(|i| FREE + i as u64);
    assert_eq!(scene.error(POOL, label::ASID_POOL_ASSIGN, &[], &[root]), 0);
    let map = |cptr, label| {
        let (error, told) = scene.call(cptr, label, &[AT, 0], &[root]);
        (error, told[2])
    };
    let missing = Error::FailedLookup as u64;
    // Message register 2: bits that the lookup has left.
    assert_eq!(map(table, label::PAGE_TABLE_MAP), (missing, 39));
    assert_eq!(map(directory, label::PAGE_DIRECTORY_MAP), (missing, 39));
    assert_eq!(map(pointers, label::PDPT_MAP).0, 0);
    assert_eq!(map(table, label::PAGE_TABLE_MAP), (missing, 30));
    assert_eq!(map(directory, label::PAGE_DIRECTORY_MAP).0, 0);
    let (error, told) = scene.call(page, label::PAGE_MAP, &[AT, 3, 0], &[root]);
    assert_eq!((error, told[2]), (missing, 21));
    assert_eq!(map(table, label::PAGE_TABLE_MAP).0, 0);
    assert_eq!(scene.error(page, label::PAGE_MAP, &[AT, 3, 0], &[root]), 0);
    for (cptr, kind) in
        [(pointers, TableKind::Pointers), (directory, TableKind::Directory), (table, TableKind::Table)]
    {
        let cap = scene.world.slot(scene.cnode, cptr).cap();
        assert!(
            matches!(cap, Cap::PageTable { kind: k, mapping: Some(m), .. } if k == kind && m.vaddr == AT)
        );
        assert_eq!(cap.pack().unpack(), cap);
    }
    // The page below the hole is in a table that begins in user space; from the hole on none does.
    let invalid = Error::InvalidArgument as u64;
    let words = [kind::PAGE_TABLE, 0, 0, 0, FREE + 5, 1];
    assert_eq!(scene.error(UNTYPED, label::UNTYPED_RETYPE, &words, &[CNODE]), 0);
    for (at, expected) in
        [((1 << 47) - 4096, missing), ((1 << 47) - 1, missing), (1 << 47, invalid), (u64::MAX, invalid)]
    {
        let error = scene.error(FREE + 5, label::PAGE_TABLE_MAP, &[at, 0], &[root]);
        assert_eq!((at, error), (at, expected));
    }
    // Another table's label is none of its own.
    assert_eq!(scene.error(table, label::PDPT_UNMAP, &[], &[]), Error::IllegalOperation as u64);
    assert_eq!(scene.error(directory, label::PAGE_DIRECTORY_UNMAP, &[], &[]), 0);
    let Cap::VSpace { base, .. } = scene.world.slot(scene.cnode, root).cap() else { panic!("a root") };
    let (entry, level) = space::walk(base, AT, 3);
    assert!(level == 1 && paging::decode(entry.get(), level) == Entry::Invalid);
}

#[test]
fn a_new_root_has_the_kernels_half() {
    let scene = Scene::new();
    // SAFETY: pages of the world's own, zeroed, used as tables alone.
    let [kernel, new] = [(); 2].map(|()| unsafe { paging::table_at(scene.world.allocate(12)) });
    (0..512).for_each(|i| kernel[i].set(i as u64 + 1));
    let half = KernelHalf::new();
    half.take(&kernel);
    half.put(PhysAddr::of_kernel(new.addr()));
    assert!((0..256).all(|i| new[i].get() == 0) && (256..512).all(|i| new[i].get() == i as u64 + 1));
}

#[test]
fn ports_stay_taken_until_their_last_capability_goes() {
    let scene = Scene::new();
    let issue = |first, last, slot| {
        scene.error(PORTS, label::IO_PORT_CONTROL_ISSUE, &[first, last, slot, 64], &[CNODE])
    };
    assert_eq!(issue(5, 4, FREE), Error::InvalidArgument as u64);
    assert_eq!(issue(0x60, 0x64, FREE), 0);
    let copy = [FREE + 1, 64, FREE, 64, 15];
    assert_eq!(scene.error(CNODE, label::CNODE_COPY, &copy, &[CNODE]), 0);
    assert_eq!(scene.error(CNODE, label::CNODE_DELETE, &[FREE, 64], &[]), 0);
    assert_eq!(issue(0x64, 0x70, FREE), Error::RevokeFirst as u64);
    // Taking the control's children back frees them, too.
    assert_eq!(scene.error(CNODE, label::CNODE_REVOKE, &[PORTS, 64], &[]), 0);
    assert!(scene.world.slot(scene.cnode, FREE + 1).is_empty());
    assert_eq!(issue(0x64, 0x70, FREE), 0);
}
