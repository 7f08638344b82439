//! Blocks of an arena: apart, aligned, whole again when they came back, and refused only where there is no room.
use axiom_heap::blocks::{Blocks, class};

#[repr(align(4096))]
struct Arena([u8; SIZE]);
const SIZE: usize = 1 << 16;

/// An arena that is the test's, for good.
fn arena(bytes: usize) -> (Blocks, usize) {
    let start = Box::leak(Box::new(Arena([0; SIZE]))).0.as_mut_ptr().expose_provenance();
    let mut blocks = Blocks::empty();
    assert!(blocks.is_empty());
    assert_eq!((blocks.take(0), blocks.has(1)), (0, false));
    // SAFETY: leaked memory of that size, aligned to a page, which nobody else has.
    unsafe { blocks.set(start, bytes) };
    assert!(!blocks.is_empty());
    (blocks, start)
}

fn size(class: usize) -> usize {
    16 << class
}

#[test]
fn a_class_holds_what_was_asked_for_and_not_twice_as_much() {
    for wanted in 0..5000usize {
        for align in [1, 2, 8, 16, 64, 4096] {
            let bytes = size(class(wanted, align));
            let least = wanted.max(align).max(16);
            assert!(bytes >= least && bytes < 2 * least, "{wanted} at {align}: {bytes}");
        }
    }
    assert_eq!([0, 1, 16, 17, 32, 33].map(|n| class(n, 1)), [0, 0, 0, 1, 1, 2]);
    let mut blocks = arena(SIZE).0;
    assert_eq!(blocks.take(class(usize::MAX / 4, 1)), 0);
    assert!(!blocks.has(usize::MAX / 4));
}

#[test]
fn blocks_lie_apart_and_all_of_the_arena_comes_back() {
    let mut seed = 1u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) as usize % below
    };
    for bytes in [SIZE, SIZE - 16, SIZE - 4080, 16, 4096] {
        let (mut blocks, start) = arena(bytes);
        let mut held: Vec<(usize, usize)> = Vec::new();
        let (mut refused, mut most) = (0, 0);
        for _ in 0..20_000 {
            if random(5) < 2 && !held.is_empty() {
                let (at, class) = held.swap_remove(random(held.len()));
                // SAFETY: it came from `take` and is used no more.
                unsafe { blocks.give(at, class) };
                continue;
            }
            let class = [0, 0, 1, 2, 3, 5, 7, 8, 9, 11][random(10)];
            let can = blocks.has(size(class));
            let at = blocks.take(class);
            assert_eq!(at != 0, can, "{} bytes", size(class));
            if at == 0 {
                refused += 1;
                continue;
            }
            assert!(at >= start && at + size(class) <= start + bytes);
            assert!(at.is_multiple_of(size(class).min(4096)), "{at:#x} for {}", size(class));
            assert!(held.iter().all(|(other, c)| at + size(class) <= *other || other + size(*c) <= at));
            // Whoever has it writes all of it.
            // SAFETY: a block that `take` has just given, of that size.
            unsafe { core::ptr::with_exposed_provenance_mut::<u8>(at).write_bytes(0xa5, size(class)) };
            held.push((at, class));
            most = most.max(held.iter().map(|(_, class)| size(*class)).sum::<usize>());
            assert!(blocks.used() >= most && blocks.used() <= bytes);
        }
        assert!(refused > 100, "{bytes}: {refused}");
        for (at, class) in held.drain(..) {
            // SAFETY: as above.
            unsafe { blocks.give(at, class) };
        }
        // Whole again: the largest block that the arena holds.
        let whole = (0..20).rev().find(|class| size(*class) <= bytes).unwrap_or(0);
        assert!(blocks.has(size(whole)));
        assert_eq!(blocks.take(whole), start);
    }
}

#[test]
fn what_is_said_to_be_there_can_be_taken_whatever_is_asked_for() {
    // 12 KiB are free, but no block of 16.
    let (mut blocks, _) = arena(12 << 10);
    for wanted in [1, 16, 17, 4096, 4097, 8192, 8193, 12 << 10, (12 << 10) + 1] {
        let can = blocks.has(wanted);
        let class = class(wanted, 1);
        let at = blocks.take(class);
        assert_eq!(at != 0, can, "{wanted} bytes");
        if at != 0 {
            // SAFETY: it came from `take` and is used no more.
            unsafe { blocks.give(at, class) };
        }
    }
}
