//! The memory that a check takes, whatever it is given: at most 64 KiB, beside 64 bytes for each context that a proof names. What is
//! found out about the program as a whole is part of it.
use axiom_bpf_checker::proof::MAGIC;
use axiom_bpf_checker::{Env, Limits, Why, check};
use axiom_bpf_isa::{Insn, ProgramKind, helper};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's promise is the same.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn env() -> Env<'static> {
    let limits = Limits::default();
    Env { maps: &[], contents: &[], ctx: ProgramKind::Timer.layout(), helpers: None, limits }
}

fn insn(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

/// Bytes that a check needs at most, and whether it accepts.
fn needed(code: &[Insn]) -> (usize, Result<(), Why>) {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let verdict = check(code, &[], &env()).map(drop).map_err(|f| f.why);
    (MOST.load(Relaxed) - before, verdict)
}

/// Stores that make slots of the frame known, each another number.
fn fill(code: &mut Vec<Insn>, size: i16, slots: i16, salt: i32) {
    for at in 1..=slots {
        code.push(insn(if size == 8 { 0x7a } else { 0x62 }, 10, 0, -at * size, at as i32 + salt));
    }
}

fn end(code: &mut Vec<Insn>) {
    code.extend([insn(0xb7, 0, 0, 0, 0), insn(0x95, 0, 0, 0, 0)]);
}

#[test]
fn a_check_takes_little_memory() {
    for (size, slots) in [(4, 128), (8, 64), (8, 30), (8, 9), (8, 1)] {
        for waiting in [0i16, 1, 2, 8, 11, 12, 13, 40] {
            let mut code = Vec::new();
            code.push(insn(0x79, 2, 1, 0, 0));
            code.push(insn(0x79, 3, 1, 0, 0));
            fill(&mut code, size, slots, 0);
            // Ways to as many places ahead, each with frames of its own.
            for k in 0..waiting {
                let between = (waiting - 1 - k) * 3 + k;
                code.push(insn(0x15, 2, 0, between + 2, k as i32));
                code.push(insn(0x7a, 10, 0, -8, 1000 + k as i32));
                code.push(insn(0x0f, 3, 2, 0, 0));
            }
            (0..waiting).for_each(|_| code.push(insn(0x07, 2, 0, 0, 1)));
            fill(&mut code, size, slots, 7);
            end(&mut code);
            let (bytes, verdict) = needed(&code);
            println!("{slots} of {size} bytes, {waiting} wait: {bytes} bytes, {verdict:?}");
            assert_eq!(
                verdict.is_ok(),
                waiting <= 12 && slots.min(64) * waiting <= 128,
                "{slots} slots, {waiting}"
            );
            assert!(bytes <= 64 << 10, "{slots} slots of {size}, {waiting}: {bytes} bytes");
        }
    }
    // Long, with a branch over every other instruction.
    let mut code = vec![insn(0x79, 2, 1, 0, 0)];
    for k in 0..20_000 {
        code.push(insn(0x25, 2, 0, 1, k));
        code.push(insn(0x07, 2, 0, 0, 1));
    }
    end(&mut code);
    let (bytes, verdict) = needed(&code);
    assert_eq!(verdict, Ok(()));
    assert!(bytes <= 16 << 10, "{bytes} bytes");
    // Calls that are listed, as many as fit into a program.
    for calls in [16, 256, 257, 32_000] {
        let mut code = Vec::new();
        for k in 0..calls {
            code.push(insn(0xb7, 1, 0, 0, k));
            code.push(insn(0x85, 0, 0, 0, helper::MOTOR_EMERGENCY_STOP as i32));
        }
        end(&mut code);
        let (bytes, verdict) = needed(&code);
        assert!(bytes <= 24 << 10, "{calls} calls: {bytes} bytes");
        assert_eq!(verdict, if calls <= 256 { Ok(()) } else { Err(Why::TooComplex) }, "{calls} calls");
    }
    // Contexts that a proof only announces are given up where there is no memory for them.
    let proof = [&MAGIC[..], &[0x80, 0x04]].concat();
    let mut code = Vec::new();
    end(&mut code);
    for (room, expected) in [
        (Some((|bytes| bytes <= 96 << 10) as fn(usize) -> bool), Why::Format),
        (Some(|bytes| bytes < 80 << 10), Why::TooComplex),
    ] {
        let limits = Limits { room, ..Limits::default() };
        assert_eq!(check(&code, &proof, &Env { limits, ..env() }).map_err(|f| f.why), Err(expected));
    }
}
