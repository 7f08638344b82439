//! Where memory, slots, or the kernel's consent end: a sentence, never a panic; and nobody else notices.
use crate::machine::{DEVICES_AT, Machine, Parts, device, tree};
use crate::{server, system};
use axiom_layout::restarts::LONGEST_WAIT_US;
use axiom_proto::bundle::{Restart, Server, System};
use axiom_proto::supervisor::{self, INTERFACE, Reply, Request, State};
use sel4_sys::{ext, label};

/// Two servers with something of everything.
fn full() -> (System, Vec<u8>) {
    let uart = device("uart", "t,uart");
    let a = Server {
        devices: vec![uart],
        timers: vec!["tick".into()],
        untyped_kib: 16,
        dma_kib: 8,
        shared_kib: 8,
        scratch_kib: 64,
        trace: true,
        takes_notifications: true,
        watches_restarts: true,
        ..server("a")
    };
    let b = Server { calls: vec![0], signals: vec![0], debugs: vec![0], makes_threads: true, ..server("b") };
    let fdt = tree(|b| {
        let b = b.begin("uart").text("compatible", "t,uart").cells("reg", &[1, 0x1000, 0, 0x1000]);
        b.cells("interrupts", &[0, 4, 4]).end()
    });
    (system(vec![a, b]), fdt)
}

/// That a refused start says why, and ends the run with a sentence.
fn is_told(said: &str) {
    let endings = [
        "init could not prepare the system",
        "a server could not be started",
        "the kernel keeps the debugging calls open",
    ];
    assert!(
        endings.iter().any(|end| said.ends_with(&format!("\naxiom: run ended: FAILED: {end}\n"))),
        "{said}"
    );
    assert!(said.contains("init: cannot ") || said.contains("the kernel keeps"), "{said}");
}

#[test]
fn a_machine_with_too_little_memory_says_so() {
    let mut enough = 0;
    for kib in [4u32, 8, 16, 32, 64, 96, 112, 128, 160, 192, 256, 512] {
        let (system, fdt) = full();
        // As untyped memory of the sizes that its bits have.
        let ram = (12..20).filter(|bit| (kib * 1024) >> bit & 1 != 0).map(|bit| bit as u8).collect();
        match Machine::new(&system, Parts { ram, fdt, ..Parts::default() }).boot() {
            Ok(()) => enough += 1,
            Err(said) => {
                assert_eq!(enough, 0, "{kib} KiB are too few, and fewer were not: {said}");
                assert!(said.contains("no memory or no slot is left"), "{said}");
                is_told(&said);
            }
        }
    }
    assert!(enough >= 1);
}

/// Fails each invocation of a kind in turn, as the kernel may for want of memory.
fn each(label: u64) -> (u64, u64) {
    let (mut nth, mut told) = (1, 0);
    loop {
        let (system, fdt) = full();
        let mut m = Machine::new(&system, Parts { ram: vec![19], fdt, ..Parts::default() });
        m.refuse(label, nth);
        if let Err(said) = m.boot() {
            is_told(&said);
            told += 1;
        }
        if m.calls(label) < nth {
            return (nth - 1, told);
        }
        nth += 1;
    }
}

#[test]
fn whatever_the_kernel_refuses_at_the_start_ends_the_run_with_a_sentence() {
    let all = [
        label::UNTYPED_RETYPE,
        label::CNODE_COPY,
        label::CNODE_MINT,
        label::PAGE_MAP,
        label::PAGE_GET_ADDRESS,
        label::ASID_POOL_ASSIGN,
        label::TCB_CONFIGURE,
        label::TCB_SET_SCHED_PARAMS,
        label::TCB_BIND_NOTIFICATION,
        label::TCB_WRITE_REGISTERS,
        label::SCHED_CONTROL_CONFIGURE_FLAGS,
        label::IRQ_SET_HANDLER,
        label::IRQ_ACK,
        ext::TIMER_BIND,
        ext::DEBUG_CALLS,
    ];
    for label in all {
        let (tried, told) = each(label);
        assert!(tried > 0 && told == tried, "label {label}: {told} of {tried}");
    }
}

#[test]
fn a_restart_that_fails_leaves_that_server_down_and_the_others_as_they_were() {
    let mut tried = 0;
    for nth in 1.. {
        let (system, fdt) = full();
        let mut m = Machine::running(&system, Parts { ram: vec![19], fdt, ..Parts::default() });
        m.kill("a").unwrap();
        m.said();
        let before = m.calls(label::UNTYPED_RETYPE);
        m.refuse(label::UNTYPED_RETYPE, nth);
        m.advance(LONGEST_WAIT_US).unwrap();
        if m.calls(label::UNTYPED_RETYPE) - before < nth {
            break;
        }
        tried += 1;
        assert!(m.said().contains("init: cannot start 'a': no memory or no slot is left"));
        let Ok(Ok(Reply::Server(a))) = m.ask("b", INTERFACE, &Request::Server { index: 0 }) else { panic!() };
        let supervisor::Server { state, restarts, .. } = a;
        assert_eq!((state, restarts), (State::Down, 1));
        m.kill("b").unwrap();
        m.advance(LONGEST_WAIT_US).unwrap();
        assert_eq!(m.env("b").restarts, 1);
        // Its thread is not among those that may be debugged.
        assert!(m.env("b").threads.iter().next().is_none());
    }
    assert!(tried > 10, "{tried}");
}

#[test]
fn who_can_have_nobody_to_answer_for_it_is_spoken_of() {
    let a = Server { restart: Restart::Never, ..server("a") };
    let mut m = Machine::running(&system(vec![a, server("b")]), Parts::default());
    m.refuse(label::UNTYPED_RETYPE, 1);
    m.kill("a").unwrap();
    let said = m.said();
    assert!(said.contains("init: nobody answers for 'a': no memory or no slot is left"), "{said}");
    assert!(said.ends_with("; whoever calls it waits\n"), "{said}");
}

#[test]
fn a_timer_that_cannot_be_armed_makes_restarts_immediate() {
    let mut m = Machine::running(&system(vec![server("a"), server("b")]), Parts::default());
    m.refuse(ext::TIMER_ARM, 1);
    m.kill("a").unwrap();
    assert!(m.said().ends_with("init: the timer for restarts cannot be armed: they are immediate\n"));
    assert_eq!((m.env("a").restarts, m.thread("a").is_runnable()), (1, true));
}

#[test]
fn memory_of_several_sizes_is_used_up_from_the_small_ones() {
    let (system, fdt) = full();
    let ram = vec![18, 12, 16, 13, 17, 12, 14, 19, 15];
    let mut m = Machine::running(&system, Parts { ram, fdt, ..Parts::default() });
    let Ok(Ok(Reply::System(figures))) = m.ask("b", INTERFACE, &Request::System) else { panic!() };
    // What is skipped for alignment counts as used.
    assert!(figures.init_allocated > 100 << 10 && figures.init_allocated < 512 << 10, "{figures:?}");
    assert_eq!(m.registers(DEVICES_AT), vec![0; 4096]);
}

#[test]
fn what_alignment_skips_is_used_for_what_is_smaller() {
    // Each needs untyped memory of a size that is aligned to it, after much that is small.
    let big = |name: &str, untyped_kib| Server { untyped_kib, ..server(name) };
    let servers = vec![big("a", 256), big("b", 128), big("c", 256), server("d")];
    let mut m = Machine::running(&system(servers), Parts::default());
    let mut own = 0;
    for index in 0..4 {
        let Ok(Ok(Reply::Server(s))) = m.ask("d", INTERFACE, &Request::Server { index }) else { panic!() };
        own += s.own_bytes;
    }
    let Ok(Ok(Reply::System(figures))) = m.ask("d", INTERFACE, &Request::System) else { panic!() };
    let rest = figures.init_allocated - own;
    assert!(rest < 32 << 10, "{rest} bytes are nobody's, of {}", figures.init_allocated);
}

#[test]
fn a_segment_has_all_its_pages_whatever_the_file_has_of_them() {
    let mut large = server("a");
    let data = &mut large.segments[1];
    (data.mem_size, data.file_size) = (7 * 4096 + 1, 4096 + 100);
    let from = data.vaddr;
    let m = Machine::running(&system(vec![large]), Parts::default());
    let mapped = |page: u64| m.frame("a", from + page * 4096).map(|f| f.phys);
    let pages: Vec<u64> = (0..8).map(|page| mapped(page).expect("a page of the segment")).collect();
    assert!((1..8).all(|i| !pages[..i].contains(&pages[i])), "each is a page of its own: {pages:x?}");
    assert_eq!(mapped(8), None);
}
