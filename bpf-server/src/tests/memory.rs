//! The loader on the heap that it has on the board: the same allocator, the same size. An allocation that nobody is ready to see
//! fail ends the test's process, as it would end the server.

use super::*;
use axiom_bpf_isa::Insn;
use axiom_heap::blocks::{Blocks, class};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;

/// As the manifest gives it (`heap_kib`).
const HEAP: usize = 1024 << 10;

/// The board's heap for the thread that asks for it, the machine's for everybody else.
struct Switched;

#[repr(align(4096))]
struct Arena(core::cell::UnsafeCell<[u8; HEAP]>);
// SAFETY: only the thread that holds `WINDOWS` and set `ON_BOARD` uses it.
unsafe impl Sync for Arena {}
static ARENA: Arena = Arena(core::cell::UnsafeCell::new([0; HEAP]));
struct Shared(core::cell::UnsafeCell<Blocks>);
// SAFETY: as for the arena.
unsafe impl Sync for Shared {}
static BLOCKS: Shared = Shared(core::cell::UnsafeCell::new(Blocks::empty()));

thread_local! {
    static ON_BOARD: Cell<bool> = const { Cell::new(false) };
}

fn in_arena(block: *mut u8) -> bool {
    (block as usize).wrapping_sub(ARENA.0.get() as usize) < HEAP
}

// SAFETY: blocks of the arena come from `Blocks`, which hands out disjoint ones, aligned as it says; all others from the system.
unsafe impl GlobalAlloc for Switched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if ON_BOARD.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: one thread is on the board at a time (`WINDOWS`).
            return unsafe { (*BLOCKS.0.get()).take(class(layout.size(), layout.align())) as *mut u8 };
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `alloc` with this layout: from the arena if it lies there, else from the system.
        unsafe {
            if in_arena(block) {
                (*BLOCKS.0.get()).give(block as usize, class(layout.size(), layout.align()));
            } else {
                System.dealloc(block, layout);
            }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Switched = Switched;

/// What [`Platform::has_memory`] says here.
pub fn has(bytes: usize) -> bool {
    // SAFETY: as in `alloc`; `has` is asked by the thread that is on the board.
    !ON_BOARD.get() || unsafe { (*BLOCKS.0.get()).has(bytes) }
}

/// Does something on the board's heap.
fn on_board<R>(f: impl FnOnce() -> R) -> R {
    static READY: OnceLock<()> = OnceLock::new();
    READY.get_or_init(|| {
        // SAFETY: once, before anything is taken; the arena is a static of this size.
        unsafe { (*BLOCKS.0.get()).set(ARENA.0.get() as usize, HEAP) };
    });
    ON_BOARD.set(true);
    let result = f();
    ON_BOARD.set(false);
    result
}

/// An object with one program, and so many bytes of `.bss` with a variable `a` in front.
fn object(insns: &[Insn], bss: u64, more_sections: usize) -> Vec<u8> {
    proved_object(insns, bss, more_sections, None)
}

/// The same with a section of proofs.
fn proved_object(insns: &[Insn], bss: u64, more_sections: usize, proof: Option<&[u8]>) -> Vec<u8> {
    let names = b"\0timer/10hz\0.bss\0.strtab\0.symtab\0.axiom.proof\0program\0a\0";
    let at = |name: &[u8]| names.windows(name.len()).position(|w| w == name).unwrap() as u32;
    let code: Vec<u8> = insns.iter().flat_map(|i| i.to_bytes()).collect();
    let mut symbols = vec![0u8; 24];
    let mut symbol = |name: u32, info: u8, section: u16, size: u64| {
        symbols.extend(name.to_le_bytes());
        symbols.extend([info, 0]);
        symbols.extend(section.to_le_bytes());
        symbols.extend(0u64.to_le_bytes());
        symbols.extend(size.to_le_bytes());
    };
    symbol(at(b"program\0"), 0x12, 1, code.len() as u64);
    symbol(at(b"a\0"), 0x11, 2, 4);
    let mut file = vec![0u8; 64];
    let mut headers = vec![0u8; 64];
    let mut section = |name: u32, kind: u32, flags: u64, data: &[u8], size: u64, link: u32| {
        headers.extend(name.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        headers.extend(flags.to_le_bytes());
        headers.extend(0u64.to_le_bytes());
        headers.extend((file.len() as u64).to_le_bytes());
        headers.extend(size.to_le_bytes());
        headers.extend(link.to_le_bytes());
        headers.extend([0; 20]);
        file.extend(data);
    };
    section(at(b"timer/10hz\0"), 1, 6, &code, code.len() as u64, 0);
    section(at(b".bss\0"), 8, 3, &[], bss, 0);
    section(at(b".strtab\0"), 3, 0, names, names.len() as u64, 0);
    section(at(b".symtab\0"), 2, 0, &symbols, symbols.len() as u64, 3);
    if let Some(proof) = proof {
        section(at(b".axiom.proof\0"), 1, 0, proof, proof.len() as u64, 0);
    }
    for _ in 0..more_sections {
        section(at(b".strtab\0"), 1, 0, &[], 0, 0);
    }
    let table = file.len() as u64;
    file.extend(&headers);
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18] = 247;
    file[0x28..0x30].copy_from_slice(&table.to_le_bytes());
    file[0x3a] = 64;
    file[0x3c..0x3e].copy_from_slice(&((headers.len() / 64) as u16).to_le_bytes());
    file[0x3e] = 3;
    file
}

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

const END: [Insn; 2] = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];

/// A loop of so many `if`s, over so many stack variables.
fn branches(ifs: usize, slots: usize) -> Vec<Insn> {
    let mut p = vec![i(0x79, 6, 1, 0, 0), i(0xb7, 7, 0, 0, 0)];
    let slot = |n: usize| -(8 * (n as i16 + 1));
    p.extend((0..slots).map(|s| i(0x7b, 10, 6, slot(s), 0)));
    let head = p.len();
    for k in 0..ifs {
        p.push(i(0x25, 6, 0, 1, k as i32));
        p.push(if slots > 0 { i(0x7b, 10, 7, slot(k % slots), 0) } else { i(0xbf, 8, 7, 0, 0) });
    }
    p.push(i(0x07, 7, 0, 0, 1));
    p.push(i(0xa5, 7, 0, (head as i64 - p.len() as i64 - 1) as i16, 16));
    p.extend(END);
    p
}

/// Uploads and loads; the refusal if it was refused.
fn try_load(l: &mut Loader<Fake>, bytes: &[u8], setting: Option<Setting<'_>>) -> Option<(Refusal, String)> {
    for (n, chunk) in bytes.chunks(800).enumerate() {
        let request = Request::Upload { offset: n as u32 * 800, bytes: chunk };
        if let Reply::Refused(why) = on_board(|| l.handle(ClientBadge::new(1), &request, (0, 0)).reply) {
            return Some((why, text(l)));
        }
    }
    let mut request = load(Source::Uploaded);
    if let Request::Load { settings, .. } = &mut request {
        settings[0] = setting;
    }
    let outcome = on_board(|| match l.handle(ClientBadge::new(1), &request, (0, 0)).reply {
        Reply::Loaded { program, .. } => Ok(program),
        Reply::Refused(why) => Err(why),
        other => panic!("{other:?}"),
    });
    match outcome {
        Ok(program) => {
            let reply = on_board(|| {
                l.handle(ClientBadge::new(1), &Request::Unload { program }, (0, 0)).reply == Reply::Done
            });
            assert!(reply);
            None
        }
        Err(why) => Some((why, text(l))),
    }
}

fn text(l: &mut Loader<Fake>) -> String {
    verdict(l)
}

#[test]
fn no_object_ends_the_server() {
    let fake = Fake::new();
    let mut l = on_board(|| Loader::new(fake, Default::default(), true));
    l.set_rights(Rights { clients: clients(), ..Rights::default() });
    let mut seen = Vec::new();
    for (ifs, slots) in [(100, 0), (400, 0), (800, 0), (1500, 0), (50, 62), (200, 62), (1500, 62), (1500, 8)]
    {
        let refused = try_load(&mut l, &object(&branches(ifs, slots), 8, 0), None);
        if let Some((why, text)) = &refused {
            assert_eq!(*why, Refusal::Verifier, "{text}");
            assert!(text.contains("given up"), "{text}");
        }
        seen.push(refused.is_some());
        assert_eq!(try_load(&mut l, FILTER, None), None, "after {ifs} branches over {slots} slots");
    }
    println!("refused: {seen:?}");
    assert!(seen.contains(&true), "the heap is large enough for all of these: make them larger");
    assert!(!seen[0], "a loop of a hundred branches is an everyday one");
    // As long as an object may be: loop-free, and one of many sections.
    let long: Vec<Insn> = (0..15_800).map(|n| i(0xb7, 2, 0, 0, n)).chain(END).collect();
    let refused = try_load(&mut l, &object(&long, 8, 0), None);
    assert!(refused.as_ref().is_none_or(|r| r.0 != Refusal::Object), "{refused:?}");
    try_load(&mut l, &object(&END, 8, 1900), None);
    assert_eq!(try_load(&mut l, FILTER, None), None);
    // A megabyte of zeros with one number set: nothing of it is copied, the window is what is too small.
    let set = Some(Setting { name: "a", value: 5 });
    let (why, text) = try_load(&mut l, &object(&END, 1 << 20, 0), set).unwrap();
    assert_eq!(why, Refusal::Resources);
    assert!(text.contains("it needs 257 pages of memory"), "{text}");
    let (why, text) = try_load(&mut l, &object(&END, (1 << 20) + 1, 0), set).unwrap();
    assert_eq!((why, text.starts_with(".bss is larger than 1 MiB")), (Refusal::Object, true), "{text}");
    assert_eq!(try_load(&mut l, &object(&END, 4096, 0), set), None);
    // Everybody uploads as much as they can: the first have what they have, the others are refused.
    l.uploads.set_clients(19);
    let mut whole = 0;
    for badge in 2..20 {
        let mut offset = 0;
        loop {
            let request = Request::Upload { offset, bytes: &[7; 800] };
            match on_board(|| l.handle(ClientBadge::new(badge), &request, (0, 0)).reply == Reply::Done) {
                true => offset += 800,
                false => break,
            }
        }
        assert!(offset > 100_000 || whole > 0, "client {badge} could upload {offset} bytes");
        whole += usize::from(offset > 100_000);
    }
    let (why, text) = try_load(&mut l, FILTER, None).unwrap();
    assert_eq!((why, text.contains("wait for 5 s")), (Refusal::Resources, true), "{text}");
    l.platform().now = 5000;
    assert_eq!(try_load(&mut l, FILTER, None), None);
    assert_eq!(l.platform().used(), 0);
    on_board(|| drop(l));
}

/// Calls whose list would be larger than the heap, in a program of a kind that has them: whoever may load anything may send it.
#[test]
fn no_list_of_calls_ends_the_server() {
    let mut l = on_board(|| Loader::new(Fake::new(), Default::default(), true));
    l.set_rights(Rights { clients: clients(), ..Rights::default() });
    let stop = i(0x85, 0, 0, 0, axiom_bpf_isa::helper::MOTOR_EMERGENCY_STOP as i32);
    let code: Vec<Insn> = (0..4200).flat_map(|n| [i(0xb7, 1, 0, 0, n), stop]).chain(END).collect();
    for (n, chunk) in object(&code, 8, 0).chunks(800).enumerate() {
        let request = Request::Upload { offset: n as u32 * 800, bytes: chunk };
        assert!(on_board(|| l.handle(ClientBadge::new(1), &request, (0, 0)).reply == Reply::Done));
    }
    let mut request = load(Source::Uploaded);
    if let Request::Load { point, .. } = &mut request {
        *point = "gpio/gpio/1/rising";
    }
    let why = on_board(|| match l.handle(ClientBadge::new(1), &request, (0, 0)).reply {
        Reply::Refused(why) => Some(why),
        _ => None,
    });
    // The heap may be in too many pieces for the object itself, after what other tests did there.
    let text = text(&mut l);
    let given_up = why == Some(Refusal::Verifier) && text.contains("given up");
    assert!(given_up || why == Some(Refusal::Resources), "{why:?}: {text}");
    assert_eq!(try_load(&mut l, FILTER, None), None);
    on_board(|| drop(l));
}

#[test]
fn a_proof_loads_what_the_board_cannot_analyse() {
    use axiom_bpf_isa::ProgramKind;
    use axiom_bpf_verdict::{Contents, Subject};
    use axiom_bpf_verifier::proof;
    let insns = branches(400, 0);
    let plain = object(&insns, 8, 0);
    // On the developer's machine there is room.
    let parsed = axiom_bpf_object::Object::parse(&plain).unwrap();
    let program = parsed.program(&parsed.programs()[0]).unwrap();
    let contents = Contents::new(&parsed, &[]).unwrap();
    let ctx = ProgramKind::Timer.layout();
    let subject = Subject { object: &parsed, program: &program, contents: &contents, ctx, room: None };
    let (written, accepted) = subject.prove(&mut axiom_bpf_verifier::Verifier::new()).unwrap();
    let mut section = Vec::new();
    proof::add(&mut section, &insns, &written);
    let fake = Fake::new();
    let mut l = on_board(|| Loader::new(fake, Default::default(), true));
    l.set_rights(Rights { clients: clients(), ..Rights::default() });
    let (_, text) =
        try_load(&mut l, &plain, None).expect("the board's heap is large enough: take more branches");
    assert!(text.contains("given up"), "{text}");
    assert_eq!(try_load(&mut l, &proved_object(&insns, 8, 0, Some(&section)), None), None);
    assert!(accepted.max_insns > 12_000);
    // A damaged one is told; another program's is none of this one's, which is analysed as if there were none.
    let mut refused = 0;
    for n in 0..200 {
        let mut damaged = section.clone();
        let at = n * (section.len() - 12) / 200 + 12;
        damaged[at] ^= 1 << (at % 8);
        let bytes = proved_object(&insns, 8, 0, Some(&damaged));
        let Some((why, text)) = try_load(&mut l, &bytes, None) else { continue };
        assert_eq!(why, Refusal::Verifier);
        assert!(text.starts_with("Reason:     the object's proof does not hold: "), "{text}");
        refused += 1;
    }
    assert!(refused > 100, "{refused}");
    for other in [&section[..20], &section[..11], &section[12..], b"", &[0xff; 64]] {
        assert_eq!(try_load(&mut l, &proved_object(&END, 8, 0, Some(other)), None), None);
        let (_, text) = try_load(&mut l, &proved_object(&insns, 8, 0, Some(other)), None).unwrap();
        assert!(text.contains("given up"), "{text}");
    }
    on_board(|| drop(l));
}

#[test]
fn every_request_is_answered_however_little_memory_is_left() {
    let fake = Fake::new();
    let mut l = on_board(|| Loader::new(fake, Default::default(), true));
    l.set_rights(Rights { clients: clients(), ..Rights::default() });
    assert_eq!(try_load(&mut l, FILTER, None), None);
    let mut resources = 0;
    for left in (0..=400).step_by(4) {
        // Somebody else has taken all but so many KiB.
        let ballast: Vec<Vec<u8>> = on_board(|| {
            let mut held: Vec<Vec<u8>> = Vec::with_capacity(4096);
            while has((left + 4) << 10) && held.len() < 4096 {
                held.push(vec![1; 2000]);
            }
            held
        });
        for request in [
            Request::Unload { program: ProgramId(999) },
            Request::Attach { program: ProgramId(999) },
            Request::MapRead { program: ProgramId(999), map: "events", key: &[] },
            Request::Notify { program: ProgramId(999), map: "events" },
            Request::List { after: 0 },
            Request::Load {
                source: Source::Blob("nothing.o"),
                program: "",
                point: "",
                attach: true,
                replaces: None,
                settings: [None; 4],
            },
        ] {
            let refused = on_board(|| {
                matches!(
                    l.handle(ClientBadge::new(3), &request, (0, 0)).reply,
                    Reply::Refused(_) | Reply::End
                )
            });
            assert!(refused, "{left} KiB: {request:?}");
        }
        for bytes in [FILTER, CALLS, &object(&branches(60, 8), 8, 0), &object(&branches(300, 0), 1 << 20, 0)]
        {
            if let Some((why, _)) = try_load(&mut l, bytes, Some(Setting { name: "a", value: 1 })) {
                resources += u32::from(why == Refusal::Resources);
            }
        }
        on_board(|| drop(ballast));
    }
    assert!(resources > 20, "{resources}: memory was never short");
    assert_eq!(try_load(&mut l, FILTER, None), None);
    on_board(|| drop(l));
}

#[test]
fn blocks_are_disjoint_aligned_and_whole_again() {
    let mut arena = vec![0u64; (256 << 10) / 8 + 512];
    let start = (arena.as_mut_ptr() as usize).next_multiple_of(4096);
    let mut b = Blocks::empty();
    // SAFETY: inside the vector, aligned, used by nothing else.
    unsafe { b.set(start, 256 << 10) };
    let mut seed = 1u64;
    let mut random = |n: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 20) % n
    };
    let mut live: Vec<(usize, usize, usize)> = Vec::new();
    let (mut failed, mut taken) = (0, 0);
    for _ in 0..60_000 {
        if random(5) < 3 {
            let scale = random(16);
            let size = 1 + random(1 << scale) as usize;
            let class = class(size, 8);
            let had = b.has(size);
            let at = b.take(class);
            if at == 0 {
                failed += 1;
                continue;
            }
            taken += 1;
            assert!(had || size < 1 << (class + 4), "has said no to {size}");
            let whole = 1usize << (class + 4);
            assert!(at.is_multiple_of(whole.min(4096)) && at >= start && at + whole <= start + (256 << 10));
            for (other, length, _) in &live {
                assert!(at + whole <= *other || other + length <= at, "{at:#x} lies in {other:#x}");
            }
            // SAFETY: the block is ours.
            unsafe { core::slice::from_raw_parts_mut(at as *mut u8, whole).fill(0xee) };
            live.push((at, whole, class));
        } else if !live.is_empty() {
            let (at, _, class) = live.swap_remove(random(live.len() as u64) as usize);
            // SAFETY: taken above with this class, given once.
            unsafe { b.give(at, class) };
        }
    }
    assert!(failed > 100 && taken > 10_000, "{failed} {taken}");
    for (at, _, class) in live {
        // SAFETY: as above.
        unsafe { b.give(at, class) };
    }
    assert!(b.has(256 << 10) && !b.has((256 << 10) + 1), "all of it is one piece again");
    assert!(b.used() <= 256 << 10);
    assert_eq!(b.take(class(256 << 10, 8)), start);
    assert_eq!((b.take(class(16, 8)), b.take(40)), (0, 0));
}
