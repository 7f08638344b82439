//! The checks: each makes its objects, and says what it found.
use axiom_root_test::world::{self as w, World};
use axiom_root_test::{arch, say};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sel4_sys::bootinfo::{SlotRegion, UntypedDesc};
use sel4_sys::cap::init;
use sel4_sys::object::{kind, vm_attributes};
use sel4_sys::{CPtr, CapRights, Error, MessageInfo, ext, label, stubs};

static SEEN: AtomicU64 = AtomicU64::new(0);
static CYCLES: AtomicU64 = AtomicU64::new(0);

pub use axiom_root_test::world::Check;

/// All checks, by name.
pub const ALL: &[(&str, Check)] = &[
    ("BootInfo's regions hold what they say", boot_info),
    ("DebugCapIdentify numbers capabilities as libsel4's users know them", identify),
    ("retype and errors in order", retype),
    ("derivation and revocation", revocation),
    ("a CNode in a CNode is destroyed without recursion", nested_cnodes),
    ("call and reply with a passive server", call_reply),
    ("long messages and capabilities travel", long_messages),
    ("signals, waiting and polling", signals),
    ("a periodic timer does not drift", timer),
    ("a fault reaches its handler and the thread goes on", faults),
    ("a budget ends and others run", budget),
    ("mapping, remapping and unmapping", mapping),
    ("the register file reads back", registers),
];

pub(crate) use axiom_root_test::same;

/// The first check, so that what follows the last region is still empty.
fn boot_info(t: &mut World) -> bool {
    let info = t.info;
    same!("nodes", (info.node_id, info.num_nodes, info.init_thread_domain), (0, 1, 0));
    same!("levels of an IOMMU's tables", info.num_io_pt_levels, arch::IO_PAGE_TABLE_LEVELS);
    same!("nothing shared", info.shared_frames, SlotRegion::default());
    same!("no IOSpace", info.io_space_caps, SlotRegion::default());
    same!("slots", (info.empty.end, info.init_thread_cnode_size_bits), (1 << 13, 13));
    let length = |region: SlotRegion| region.end - region.start;
    same!("one SchedControl", length(info.schedcontrol), 1);
    same!("pages of chunks", length(info.extra_bi_pages), info.extra_len.div_ceil(4096));
    let full = [
        info.user_image_frames,
        info.user_image_paging,
        info.extra_bi_pages,
        info.schedcontrol,
        info.untyped,
    ];
    for region in full {
        same!("in order", region.start < region.end && region.end <= info.empty.start, true);
        let empty = (region.start..region.end).find(|slot| w::is_empty(*slot));
        same!("no empty slot", (region, empty), (region, None));
    }
    let filled =
        (info.empty.start..info.empty.end).find(|slot| *slot >= t.first_free() && !w::is_empty(*slot));
    same!("only empty slots", filled, None);
    let (described, rest) = info.untyped_list.split_at(length(info.untyped) as usize);
    for piece in described {
        let (bits, device) = (piece.size_bits, piece.is_device);
        let fits = (4..=47).contains(&bits) && device <= 1 && piece.paddr.is_multiple_of(1 << bits);
        same!("a piece of its size", (piece.paddr, bits, device, fits), (piece.paddr, bits, device, true));
    }
    same!("no piece more", rest.iter().all(|piece| *piece == UntypedDesc::default()), true);
    true
}

fn identify(t: &mut World) -> bool {
    let made = [
        (kind::ENDPOINT, 0, 4),
        (kind::NOTIFICATION, 0, 6),
        (kind::REPLY, 0, 8),
        (kind::CNODE, 4, 10),
        (kind::TCB, 0, 12),
        (kind::SCHED_CONTEXT, 8, 22),
        (kind::VSPACE, 0, 9),
        (kind::SMALL_PAGE, 0, 1),
    ];
    let given = [
        (CPtr(0), 0),
        (init::TCB, 12),
        (init::CNODE, 10),
        (init::VSPACE, 9),
        (init::IRQ_CONTROL, 14),
        (init::ASID_CONTROL, 11),
        (init::ASID_POOL, 13),
        (init::BOOT_INFO, 1),
        (init::DOMAIN, 20),
        (init::SCHED_CONTEXT, 22),
        (CPtr(t.info.schedcontrol.start), 24),
        (t.untyped, 2),
    ];
    for (cap, number) in given {
        same!("given", (cap, w::identify(cap)), (cap, number));
    }
    let tables = arch::TABLES.iter().zip(arch::TABLE_NUMBERS).map(|((kind, _), number)| (*kind, 0, *number));
    for (kind, bits, number) in made.into_iter().chain(tables) {
        same!("made", (kind, w::identify(t.make(kind, bits))), (kind, number));
    }
    true
}

fn retype(t: &mut World) -> bool {
    let slot = t.slots(4);
    let call = |words: &[u64]| w::invoke(t.untyped, label::UNTYPED_RETYPE, &[init::CNODE], words).map(drop);
    same!("too few words", call(&[1, 0, 0, 0, slot]), Err(Error::TruncatedMessage));
    same!("unknown type", call(&[99, 0, 0, 0, slot, 1]), Err(Error::InvalidArgument));
    same!("CNode of size 0", call(&[kind::CNODE, 0, 0, 0, slot, 1]), Err(Error::InvalidArgument));
    same!("too many", call(&[kind::ENDPOINT, 0, 0, 0, slot, 257]), Err(Error::RangeError));
    same!("no such slot", call(&[kind::ENDPOINT, 0, 0, 0, 1 << 13, 1]), Err(Error::RangeError));
    same!("occupied slot", call(&[kind::ENDPOINT, 0, 0, 0, 1, 1]), Err(Error::DeleteFirst));
    // 64 TiB, since the largest piece of a machine with 64 GiB has 32.
    same!("more than there is", call(&[kind::UNTYPED, 46, 0, 0, slot, 1]), Err(Error::NotEnoughMemory));
    same!("four endpoints", call(&[kind::ENDPOINT, 0, 0, 0, slot, 4]), Ok(()));
    true
}

fn revocation(t: &mut World) -> bool {
    let ep = t.make(kind::ENDPOINT, 0);
    let first = t.slots(3);
    let mint = |slot: u64, src: CPtr, badge: u64| {
        w::invoke(init::CNODE, label::CNODE_MINT, &[init::CNODE], &[slot, 64, src.0, 64, 15, badge]).map(drop)
    };
    same!("mint 7", mint(first, ep, 7), Ok(()));
    same!("mint 7 again from the badged", mint(first + 1, CPtr(first), 0), Err(Error::IllegalOperation));
    let copy = |slot: u64, src: CPtr| {
        w::invoke(init::CNODE, label::CNODE_COPY, &[init::CNODE], &[slot, 64, src.0, 64, 15]).map(drop)
    };
    same!("copy of the badged", copy(first + 1, CPtr(first)), Ok(()));
    same!("mint 9", mint(first + 2, ep, 9), Ok(()));
    same!("revoke the badged", w::revoke(CPtr(first)), Ok(()));
    same!("its copy is gone", w::is_empty(first + 1), true);
    same!("9 is still there", w::is_empty(first + 2), false);
    same!("revoke all", w::revoke(ep), Ok(()));
    same!("7 is gone", w::is_empty(first), true);
    same!("9 is gone", w::is_empty(first + 2), true);
    true
}

fn nested_cnodes(t: &mut World) -> bool {
    // A chain: each CNode's last slot holds the only capability to the next; the inner ones also hold endpoints.
    const DEPTH: u64 = 40;
    let root = t.make(kind::CNODE, 2);
    let mut outer = root;
    for i in 0..DEPTH {
        let inner = t.make(kind::CNODE, 2);
        let ep = t.make(kind::ENDPOINT, 0);
        let into = |slot: u64, src: CPtr| {
            w::invoke(outer, label::CNODE_MOVE, &[init::CNODE], &[slot, 2, src.0, 64]).map(drop)
        };
        same!("endpoint in", into(i % 3, ep), Ok(()));
        // The inner one stays reachable for the next round through a copy.
        let copy = t.slots(1);
        same!(
            "copy",
            w::invoke(init::CNODE, label::CNODE_COPY, &[init::CNODE], &[copy, 64, inner.0, 64, 15]).map(drop),
            Ok(())
        );
        same!("CNode in", into(3, inner), Ok(()));
        if outer != root {
            same!("drop copy", w::delete(outer), Ok(()));
        }
        outer = CPtr(copy);
    }
    same!("drop last copy", w::delete(outer), Ok(()));
    same!("delete the first", w::delete(root), Ok(()));
    same!("its slot is empty", w::is_empty(root.0), true);
    true
}

extern "C" fn echo(endpoint: u64, reply: u64) -> ! {
    let (endpoint, reply) = (CPtr(endpoint), CPtr(reply));
    let mut m = stubs::recv(endpoint, reply);
    loop {
        SEEN.store(m.badge.0, SeqCst);
        m = stubs::reply_recv(endpoint, m.info, m.mrs, reply);
    }
}

fn call_reply(t: &mut World) -> bool {
    let ep = t.make(kind::ENDPOINT, 0);
    let reply = t.make(kind::REPLY, 0);
    let server = t.thread(200, echo, ep.0, reply.0);
    t.run_until_blocked(server);
    // Passive: the server runs on its callers' time.
    let unbind = w::invoke(server.sc, label::SCHED_CONTEXT_UNBIND, &[], &[]).map(drop);
    same!("unbind", unbind, Ok(()));
    let client = t.slots(1);
    let minted = w::invoke(init::CNODE, label::CNODE_MINT, &[init::CNODE], &[client, 64, ep.0, 64, 15, 42]);
    same!("mint", minted.map(drop), Ok(()));
    let answer = stubs::call(CPtr(client), MessageInfo::new(5, 0, 0, 3), [11, 22, 33, 0]);
    same!("label and length", (answer.info.label(), answer.info.length()), (5, 3));
    same!("words", answer.mrs, [11, 22, 33, 0]);
    same!("badge", SEEN.load(SeqCst), 42);
    let mut best = u64::MAX;
    for _ in 0..32 {
        let start = w::cycles();
        stubs::call(CPtr(client), MessageInfo(0), [0; 4]);
        best = best.min(w::cycles() - start);
    }
    say!("root-test:   call and reply, passive server, 0 words, same space: {best} cycles");
    true
}

extern "C" fn sum(endpoint: u64, reply: u64) -> ! {
    let (endpoint, reply) = (CPtr(endpoint), CPtr(reply));
    let b = w::thread_buffer();
    b.receive_cnode = init::CNODE.0;
    b.receive_index = RECEIVED.load(SeqCst);
    b.receive_depth = 64;
    let mut m = stubs::recv(endpoint, reply);
    loop {
        let b = w::thread_buffer();
        let words = m.info.length();
        let sum = m.mrs.iter().sum::<u64>() + b.msg[4..words.max(4)].iter().sum::<u64>();
        let info = MessageInfo::new(0, 0, 0, 2);
        m = stubs::reply_recv(endpoint, info, [sum, m.info.extra_caps() as u64, 0, 0], reply);
    }
}
static RECEIVED: AtomicU64 = AtomicU64::new(0);

fn long_messages(t: &mut World) -> bool {
    let ep = t.make(kind::ENDPOINT, 0);
    let reply = t.make(kind::REPLY, 0);
    let gift = t.make(kind::NOTIFICATION, 0);
    RECEIVED.store(t.slots(1), SeqCst);
    let server = t.thread(200, sum, ep.0, reply.0);
    t.run_until_blocked(server);
    for (i, word) in w::buffer().msg.iter_mut().enumerate() {
        *word = i as u64;
    }
    w::buffer().caps_or_badges[0] = gift.0;
    let answer = stubs::call(ep, MessageInfo::new(0, 0, 1, 120), [0, 1, 2, 3]);
    same!("sum of 120 words", answer.mrs[0], (0..120).sum::<u64>());
    same!("capabilities", answer.mrs[1], 1);
    same!("it arrived", w::is_empty(RECEIVED.load(SeqCst)), false);
    true
}

extern "C" fn waiter(ntfn: u64, _: u64) -> ! {
    loop {
        let m = stubs::wait(CPtr(ntfn));
        SEEN.store(m.badge.0, SeqCst);
        CYCLES.store(w::cycles(), SeqCst);
    }
}

fn signals(t: &mut World) -> bool {
    let ntfn = t.make(kind::NOTIFICATION, 0);
    let slots = t.slots(2);
    for (i, badge) in [3u64, 4].iter().enumerate() {
        let words = [slots + i as u64, 64, ntfn.0, 64, CapRights::WRITE.0, *badge];
        same!("mint", w::invoke(init::CNODE, label::CNODE_MINT, &[init::CNODE], &words).map(drop), Ok(()));
    }
    same!("nothing there", stubs::nb_wait(ntfn).badge.0, 0);
    stubs::signal(CPtr(slots));
    stubs::signal(CPtr(slots + 1));
    same!("both badges", stubs::nb_wait(ntfn).badge.0, 7);
    let start = w::cycles();
    stubs::signal(CPtr(slots));
    let cost = w::cycles() - start;
    stubs::nb_wait(ntfn);
    let thread = t.thread(255, waiter, ntfn.0, 0);
    t.run_until_blocked(thread);
    SEEN.store(0, SeqCst);
    stubs::signal(CPtr(slots + 1));
    stubs::yield_now();
    same!("the waiter saw", SEEN.load(SeqCst), 4);
    say!("root-test:   signal, nobody waiting: {cost} cycles");
    true
}

fn timer(t: &mut World) -> bool {
    let ntfn = t.make(kind::NOTIFICATION, 0);
    let timer = t.make(ext::TIMER_TYPE, 0);
    same!("bind", w::invoke(timer, ext::TIMER_BIND, &[ntfn], &[]).map(drop), Ok(()));
    let frequency = w::frequency();
    let period = frequency / 1000;
    let first = w::counter() + period;
    same!("arm", w::invoke(timer, ext::TIMER_ARM, &[], &[first, period]).map(drop), Ok(()));
    let mut worst = 0;
    for i in 0..10 {
        stubs::wait(ntfn);
        let now = w::counter();
        let r = match w::invoke(timer, ext::TIMER_READ, &[], &[]) {
            Ok(r) => r,
            Err(e) => {
                say!("root-test:   read: {e:?}");
                return false;
            }
        };
        // On a busy host whole periods may be missed; what remains lies on the grid all the same.
        let late = r.mrs[2].wrapping_sub(first);
        same!("a deadline of the grid", (late % period, late / period >= i), (0, true));
        worst = worst.max(now.saturating_sub(r.mrs[2]));
    }
    same!("cancel", w::invoke(timer, ext::TIMER_CANCEL, &[], &[]).map(drop), Ok(()));
    say!(
        "root-test:   ten periods of 1 ms; latest wake-up {} ns after its deadline",
        worst * 1_000_000_000 / frequency
    );
    true
}

extern "C" fn faulter(_: u64, _: u64) -> ! {
    // Nothing is mapped there: the handler skips the instruction.
    arch::load(0x1234_5678);
    SEEN.store(99, SeqCst);
    loop {
        core::hint::spin_loop();
    }
}

fn faults(t: &mut World) -> bool {
    use sel4_sys::fault::{kind as fault_kind, vm_fault};
    let ep = t.make(kind::ENDPOINT, 0);
    let reply = t.make(kind::REPLY, 0);
    SEEN.store(0, SeqCst);
    let thread = t.thread_with_handler(100, faulter, 0, 0, ep);
    let m = stubs::recv(ep, reply);
    same!("kind", m.info.label(), fault_kind::VM);
    same!("address", m.mrs[vm_fault::ADDR], 0x1234_5678);
    // Skip the instruction: write the program counter, then answer.
    let pc = m.mrs[vm_fault::IP] + arch::LOAD_BYTES;
    let set = w::invoke(thread.tcb, label::TCB_WRITE_REGISTERS, &[], &[0, 1, pc]).map(drop);
    same!("write pc", set, Ok(()));
    stubs::send(reply, MessageInfo(0), [0; 4]);
    for _ in 0..100 {
        t.sleep_us(1000);
        if SEEN.load(SeqCst) == 99 {
            break;
        }
    }
    same!("it went on", SEEN.load(SeqCst), 99);
    same!("suspend", w::invoke(thread.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    true
}

extern "C" fn spinner(_: u64, _: u64) -> ! {
    loop {
        SEEN.fetch_add(1, SeqCst);
    }
}

fn budget(t: &mut World) -> bool {
    // Higher priority than anybody but us, and greedy: 1 ms of every 10 ms is all it gets.
    SEEN.store(0, SeqCst);
    let thread = t.thread_with_budget(254, spinner, 1000, 10_000);
    let start = w::counter();
    t.sleep_us(50_000);
    let elapsed_us = (w::counter() - start) * 1_000_000 / w::frequency();
    let consumed = match w::invoke(thread.sc, label::SCHED_CONTEXT_CONSUMED, &[], &[]) {
        Ok(r) => r.mrs[0],
        Err(e) => {
            say!("root-test:   consumed: {e:?}");
            return false;
        }
    };
    same!("suspend", w::invoke(thread.tcb, label::TCB_SUSPEND, &[], &[]).map(drop), Ok(()));
    say!("root-test:   a spinner with 1 ms per 10 ms used {consumed} us of {elapsed_us} us");
    // A tenth, on a quiet host: time in which the emulator did not run counts as the spinner's.
    let most = elapsed_us / 2;
    if consumed == 0 || consumed > most {
        say!("root-test:   expected a tenth, at most {most} us");
        return false;
    }
    true
}

fn mapping(t: &mut World) -> bool {
    const AT: u64 = 0x7000_0000;
    let frame = t.make(kind::SMALL_PAGE, 0);
    let map = |vaddr: u64, rights: u64| {
        w::invoke(frame, label::PAGE_MAP, &[init::VSPACE], &[vaddr, rights, vm_attributes::DEFAULT]).map(drop)
    };
    same!("no table", map(AT, 3), Err(Error::FailedLookup));
    same!("unaligned", map(AT + 1, 3), Err(Error::AlignmentError));
    t.map_tables(AT);
    same!("map", map(AT, 3), Ok(()));
    let at = AT as *mut u64;
    // SAFETY: a fresh page is mapped there, for this check alone.
    let zeroed = unsafe { (0..512).all(|i| at.add(i).read_volatile() == 0) };
    same!("zeroed", zeroed, true);
    // SAFETY: as above.
    unsafe { at.write_volatile(77) };
    same!("elsewhere", map(AT + 4096, 3), Err(Error::InvalidArgument));
    same!("remap read-only", map(AT, 2), Ok(()));
    // SAFETY: as above.
    same!("contents", unsafe { at.read_volatile() }, 77);
    let start = w::cycles();
    same!("unmap", w::invoke(frame, label::PAGE_UNMAP, &[], &[]).map(drop), Ok(()));
    let unmap = w::cycles() - start;
    let start = w::cycles();
    same!("map again", map(AT, 3), Ok(()));
    say!("root-test:   page map {} cycles, unmap {unmap} cycles (stubs included)", w::cycles() - start);
    let address = w::invoke(frame, label::PAGE_GET_ADDRESS, &[], &[]).map(|r| r.mrs[0] & 4095);
    same!("address", address, Ok(0));
    true
}

fn registers(t: &mut World) -> bool {
    let thread = t.stopped_thread(1);
    let mut words = [0u64; 2 + arch::WORDS];
    words[1] = arch::WORDS as u64;
    for (i, word) in words.iter_mut().enumerate().skip(2) {
        *word = 0x1000 + i as u64;
    }
    same!("write", w::invoke(thread.tcb, label::TCB_WRITE_REGISTERS, &[], &words).map(drop), Ok(()));
    same!(
        "read",
        w::invoke(thread.tcb, label::TCB_READ_REGISTERS, &[], &[0, arch::WORDS as u64])
            .map(|r| r.info.length()),
        Ok(arch::WORDS)
    );
    for i in arch::KEPT_WORDS {
        same!("register", (i, w::buffer().msg[i]), (i, 0x1000 + i as u64 + 2));
    }
    true
}
