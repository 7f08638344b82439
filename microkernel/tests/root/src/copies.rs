//! The memory functions that all servers link (servers/runtime/src/mem.rs), compared with what they mean, byte by byte.
use crate::checks::Check;
use axiom_root_test::say;
use axiom_root_test::world::World;
use core::cell::UnsafeCell;
use core::hint::black_box;

unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32;
}

/// The checks, by name.
pub const ALL: &[(&str, Check)] =
    &[("copying, moving, filling", copies_and_fills), ("comparing memory", comparing)];

const SIZE: usize = 512;

struct Memory(UnsafeCell<[u8; SIZE]>);

// SAFETY: only the root task's one thread runs the checks that use it.
unsafe impl Sync for Memory {}

static FIRST: Memory = Memory(UnsafeCell::new([0; SIZE]));
static SECOND: Memory = Memory(UnsafeCell::new([0; SIZE]));

fn at(memory: &Memory, offset: usize) -> *mut u8 {
    assert!(offset <= SIZE);
    // SAFETY: inside, or at the end of, the array.
    unsafe { memory.0.get().cast::<u8>().add(offset) }
}

fn get(memory: &Memory, offset: usize) -> u8 {
    // SAFETY: one thread; volatile, so that this loop does not itself become one of the functions under test.
    unsafe { at(memory, offset).read_volatile() }
}

fn put(memory: &Memory, offset: usize, byte: u8) {
    // SAFETY: as for `get`.
    unsafe { at(memory, offset).write_volatile(byte) }
}

fn byte(i: usize) -> u8 {
    (i * 7 + 1) as u8
}

/// Sets both up so that every byte differs from its neighbours.
fn reset() {
    for i in 0..SIZE {
        put(&FIRST, i, byte(i));
        put(&SECOND, i, byte(i) ^ 0xff);
    }
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..=140).chain([191, 192, 193, 255, 256, 257])
}

fn copies_and_fills(_: &mut World) -> bool {
    reset();
    for len in lengths() {
        for (from, to) in [(0, 0), (1, 0), (0, 3), (5, 2), (7, 7), (8, 16)] {
            for i in 0..to + len + 8 {
                put(&SECOND, i, byte(i) ^ 0xff);
            }
            // SAFETY: 257 + 16 bytes at most, inside both arrays.
            let back = unsafe { memcpy(at(&SECOND, to), at(&FIRST, from), black_box(len)) };
            let good = |i: usize| match i.checked_sub(to) {
                Some(n) if n < len => byte(from + n),
                _ => byte(i) ^ 0xff,
            };
            if back != at(&SECOND, to) || (0..to + len + 8).any(|i| get(&SECOND, i) != good(i)) {
                say!("root-test:   memcpy of {len} bytes, {from} to {to}");
                return false;
            }
        }
        for (from, to) in [(40, 40), (40, 41), (41, 40), (40, 70), (70, 40), (40, 103), (140, 40), (40, 140)]
        {
            for i in 0..SIZE {
                put(&FIRST, i, byte(i));
            }
            // SAFETY: 140 + 257 bytes at most, inside the array.
            let back = unsafe { memmove(at(&FIRST, to), at(&FIRST, from), black_box(len)) };
            let good = |i: usize| match i.checked_sub(to) {
                Some(n) if n < len => byte(from + n),
                _ => byte(i),
            };
            if back != at(&FIRST, to) || (0..SIZE).any(|i| get(&FIRST, i) != good(i)) {
                say!("root-test:   memmove of {len} bytes, {from} to {to}");
                return false;
            }
        }
        for to in [0, 1, 5, 8] {
            for i in 0..SIZE {
                put(&SECOND, i, byte(i) ^ 0xff);
            }
            // SAFETY: 8 + 257 bytes at most, inside the array. Only the low byte of the number counts.
            let back = unsafe { memset(at(&SECOND, to), 0x1_a5, black_box(len)) };
            let good = |i: usize| if i >= to && i < to + len { 0xa5 } else { byte(i) ^ 0xff };
            if back != at(&SECOND, to) || (0..SIZE).any(|i| get(&SECOND, i) != good(i)) {
                say!("root-test:   memset of {len} bytes at {to}");
                return false;
            }
        }
        for i in 0..SIZE {
            put(&FIRST, i, byte(i));
        }
    }
    true
}

fn comparing(_: &mut World) -> bool {
    reset();
    for len in lengths() {
        for offset in [0, 1, 4] {
            for i in 0..len {
                put(&SECOND, offset + i, byte(i));
            }
            // SAFETY: 4 + 257 bytes at most, inside both arrays.
            let compare = || unsafe { memcmp(at(&FIRST, 0), at(&SECOND, offset), black_box(len)) };
            let mut good = compare() == 0;
            for differs in [0, len / 2, len.saturating_sub(1)] {
                if differs < len {
                    let (mine, after) = (byte(differs), len - 1);
                    let last = get(&SECOND, offset + after);
                    // The first difference decides, whatever comes behind it.
                    put(&SECOND, offset + after, !last);
                    put(&SECOND, offset + differs, mine.wrapping_add(0x80));
                    good &= compare().signum() == if mine < 0x80 { -1 } else { 1 };
                    put(&SECOND, offset + after, last);
                    put(&SECOND, offset + differs, mine);
                }
            }
            if !good {
                say!("root-test:   memcmp of {len} bytes at {offset}");
                return false;
            }
        }
    }
    true
}
