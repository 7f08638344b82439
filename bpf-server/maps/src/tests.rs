//! Against the standard library's collections, with operations from a small generator.

mod edges;
mod kinds;

use super::*;
use std::collections::{HashMap, VecDeque};
use std::string::ToString;
use std::vec;
use std::vec::Vec;

/// Zeroed, 4096-aligned memory.
struct Memory(Vec<u64>, usize);

impl Memory {
    fn new(bytes: usize) -> Memory {
        let v = vec![0u64; bytes / 8 + 2 * PAGE / 8];
        let start = (v.as_ptr() as usize).next_multiple_of(PAGE) - v.as_ptr() as usize;
        Memory(v, start)
    }
    fn base(&mut self) -> *mut u8 {
        let start = self.1;
        self.0.as_mut_ptr().cast::<u8>().wrapping_add(start)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }
}

fn def(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false }
}

fn make(def: MapDef) -> (Memory, Map) {
    let mut memory = Memory::new(bytes_needed(&def).unwrap());
    let base = memory.base();
    // SAFETY: zeroed, aligned, large enough, and kept beside the map.
    let map = unsafe { Map::new(def, base).unwrap() };
    (memory, map)
}

fn get(map: &Map, key: &[u8]) -> Option<Vec<u8>> {
    // SAFETY: the tests pass keys of key_size; a value has value_size bytes.
    unsafe {
        let p = map.lookup(key.as_ptr());
        (!p.is_null()).then(|| core::slice::from_raw_parts(p, map.def.value_size as usize).to_vec())
    }
}

#[test]
fn arrays_have_all_their_elements_and_no_more() {
    let (_m, mut map) = make(def(MapType::Array, 4, 12, 5));
    for i in 0..5u32 {
        assert_eq!(get(&map, &i.to_le_bytes()), Some(vec![0; 12]));
        // SAFETY: key and value have their sizes.
        assert_eq!(unsafe { map.update(i.to_le_bytes().as_ptr(), [i as u8; 12].as_ptr(), 0) }, 0);
    }
    for i in 0..5u32 {
        assert_eq!(get(&map, &i.to_le_bytes()), Some(vec![i as u8; 12]));
    }
    for i in [5u32, 6, u32::MAX] {
        assert_eq!(get(&map, &i.to_le_bytes()), None);
        // SAFETY: key and value have their sizes.
        assert_eq!(unsafe { map.update(i.to_le_bytes().as_ptr(), [0; 12].as_ptr(), 0) }, errno::E2BIG);
    }
    // SAFETY: key and value have their sizes.
    unsafe {
        assert_eq!(map.update([0; 4].as_ptr(), [0; 12].as_ptr(), NOEXIST), errno::EEXIST);
        assert_eq!(map.update([0; 4].as_ptr(), [0; 12].as_ptr(), 3), errno::EINVAL);
        assert_eq!(map.delete([0; 4].as_ptr()), errno::EINVAL);
    }
}

#[test]
fn a_hash_map_agrees_with_the_standard_one() {
    for (key_size, value_size, entries, keys) in
        [(4u32, 8u32, 16u32, 24u64), (1, 1, 7, 12), (13, 5, 64, 100), (8, 24, 1, 3)]
    {
        let (_m, mut map) = make(def(MapType::Hash, key_size, value_size, entries));
        let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
        let mut r = Random(0x1234_5678_9abc ^ key_size as u64);
        for step in 0..20_000u64 {
            let mut key = vec![0; key_size as usize];
            let k = r.below(keys).to_le_bytes();
            let n = key.len().min(8);
            key[..n].copy_from_slice(&k[..n]);
            match r.below(4) {
                0 => {
                    let expected = if model.remove(&key).is_some() { 0 } else { errno::ENOENT };
                    // SAFETY: the key has its size.
                    assert_eq!(unsafe { map.delete(key.as_ptr()) }, expected);
                }
                1 | 2 => {
                    let value = vec![step as u8; value_size as usize];
                    let flags = r.below(3);
                    let expected = match (model.contains_key(&key), flags) {
                        (true, NOEXIST) => errno::EEXIST,
                        (false, EXIST) => errno::ENOENT,
                        (false, _) if model.len() == entries as usize => errno::E2BIG,
                        _ => {
                            model.insert(key.clone(), value.clone());
                            0
                        }
                    };
                    // SAFETY: key and value have their sizes.
                    assert_eq!(unsafe { map.update(key.as_ptr(), value.as_ptr(), flags) }, expected);
                }
                _ => {
                    assert_eq!(get(&map, &key), model.get(&key).cloned());
                    let mut out = vec![0; value_size as usize];
                    // SAFETY: key and buffer have their sizes.
                    let found = unsafe { map.read_shared(key.as_ptr(), out.as_mut_ptr()) };
                    assert_eq!((found == 0).then_some(out), model.get(&key).cloned());
                }
            }
            assert_eq!(map.hash_stats().unwrap().count as usize, model.len());
        }
    }
}

#[test]
fn a_hash_map_survives_spoiled_memory() {
    let mut r = Random(77);
    for _ in 0..300 {
        let d = def(MapType::Hash, 4, 8, 8);
        let (mut memory, mut map) = make(d);
        let n = bytes_needed(&d).unwrap();
        let base = memory.base();
        for round in 0..20 {
            // SAFETY: inside the map's memory.
            unsafe { base.add(r.below(n as u64) as usize).write(r.below(256) as u8) };
            let key = (round as u32 % 10).to_le_bytes();
            // SAFETY: key and value have their sizes. What is checked is that none of these leaves the memory or hangs.
            unsafe {
                map.update(key.as_ptr(), [1; 8].as_ptr(), 0);
                map.lookup(key.as_ptr());
                map.delete(key.as_ptr());
            }
        }
    }
}

#[test]
fn a_ring_hands_over_every_record_in_order_or_says_it_is_full() {
    let d = def(MapType::RingBuf, 0, 0, 4096);
    let (mut memory, mut map) = make(d);
    // SAFETY: the ring's memory, kept beside it.
    let mut consumer = unsafe { Consumer::new(memory.base(), 4096).unwrap() };
    let mut model: VecDeque<Vec<u8>> = VecDeque::new();
    let mut r = Random(99);
    let (mut full, mut passed) = (0, 0);
    for step in 0..50_000u64 {
        if r.below(2) == 0 {
            let data = vec![step as u8; 1 + r.below(300) as usize];
            match r.below(3) {
                0 => {
                    let p = map.ring_reserve(data.len() as u64);
                    if p.is_null() {
                        full += 1;
                        continue;
                    }
                    let dropped = r.below(2) == 0;
                    // SAFETY: the reservation has the data's length and is committed once.
                    unsafe {
                        core::ptr::copy_nonoverlapping(data.as_ptr(), p, data.len());
                        Map::ring_commit(p, dropped);
                    }
                    if !dropped {
                        model.push_back(data);
                    }
                }
                // SAFETY: the data has its length.
                _ => match unsafe { map.ring_output(data.as_ptr(), data.len() as u64) } {
                    0 => model.push_back(data),
                    e => {
                        assert_eq!(e, errno::EAGAIN);
                        full += 1;
                    }
                },
            }
        } else {
            let got = consumer.next(|record| record.bytes.to_vec());
            passed += got.is_some() as u32;
            assert_eq!(got, model.pop_front());
        }
    }
    assert!(full > 50 && passed > 10_000, "{full} {passed}");
    assert_eq!(consumer.damaged, 0);
}

#[test]
fn a_record_is_invisible_until_it_is_submitted() {
    let (mut memory, mut map) = make(def(MapType::RingBuf, 0, 0, 4096));
    // SAFETY: the ring's memory, kept beside it.
    let mut consumer = unsafe { Consumer::new(memory.base(), 4096).unwrap() };
    let p = map.ring_reserve(16);
    // SAFETY: four readable bytes.
    assert_eq!(unsafe { map.ring_output([1, 2, 3, 4].as_ptr(), 4) }, 0);
    assert!(consumer.next(|_| ()).is_none(), "the first record is not finished");
    assert_eq!(map.ring_query(0), 24 + 16);
    // SAFETY: reserved above.
    unsafe {
        p.write_bytes(9, 16);
        Map::ring_commit(p, false);
    }
    assert_eq!(consumer.next(|r| r.bytes.to_vec()), Some(vec![9; 16]));
    assert_eq!(consumer.next(|r| r.bytes.to_vec()), Some(vec![1, 2, 3, 4]));
    assert!(consumer.next(|_| ()).is_none());
    // Linux's answers: no room, too large, nothing at all.
    assert!(map.ring_reserve(4096).is_null());
    // SAFETY: nothing is read: the sizes are refused first.
    unsafe {
        assert_eq!(map.ring_output([0].as_ptr(), 4089), errno::E2BIG);
        assert_eq!(map.ring_output([0].as_ptr(), 0), errno::EINVAL);
    }
}

#[test]
fn a_consumer_that_lies_only_makes_the_ring_full() {
    let (mut memory, mut map) = make(def(MapType::RingBuf, 0, 0, 4096));
    let base = memory.base();
    for lie in [1u64, 8, 4096, 1 << 40, u64::MAX] {
        // SAFETY: the consumer's position is the first word.
        unsafe { base.cast::<u64>().write(lie) };
        for _ in 0..200 {
            // SAFETY: 100 readable bytes.
            let e = unsafe { map.ring_output([7; 100].as_ptr(), 100) };
            assert!(e == 0 || e == errno::EAGAIN);
        }
    }
}

#[test]
fn impossible_shapes_are_refused_with_a_sentence() {
    let cases = [
        (
            def(MapType::Array, 8, 4, 1),
            "a key of 8 bytes: arrays have 4, hashes 1 to 512, queues, stacks and ring buffers none",
        ),
        (
            def(MapType::Hash, 4, 0, 1),
            "a value of 0 bytes: ring buffers have none, other maps 1 byte to 1 MiB",
        ),
        (def(MapType::Array, 4, 1 << 20, 17), "the map needs 17408 KiB, and the most is 16384 KiB"),
        (
            def(MapType::RingBuf, 0, 0, 5000),
            "max_entries is 5000: it must not be 0, and for a ring buffer it is its size in bytes, a power of two of at least 4096",
        ),
    ];
    for (d, text) in cases {
        assert_eq!(bytes_needed(&d).unwrap_err().to_string(), text);
    }
    for (kind, flags, good) in [
        (MapType::Hash, 1, true),
        (MapType::PercpuHash, 1, true),
        (MapType::LruHash, 1, false),
        (MapType::Array, 1, false),
        (MapType::Queue, 1, false),
        (MapType::Hash, 1 << 10, false),
        (MapType::Hash, 3, false),
    ] {
        let key = if kind == MapType::Queue { 0 } else { 4 };
        let d = MapDef { flags, ..def(kind, key, 4, 4) };
        assert_eq!(bytes_needed(&d).err(), (!good).then_some(MapError::Flags(flags)), "{kind:?} {flags:#x}");
    }
}

#[test]
fn the_limits_of_each_kind() {
    use MapType::*;
    for (d, wrong) in [
        (def(Array, 4, 1 << 20, 1), None),
        (def(Array, 4, (1 << 20) + 1, 1), Some(MapError::ValueSize((1 << 20) + 1))),
        (def(PercpuArray, 4, 8, 3), None),
        (def(PercpuArray, 3, 8, 3), Some(MapError::KeySize(3))),
        (def(Hash, 512, 8, 1), None),
        (def(Hash, 513, 8, 1), Some(MapError::KeySize(513))),
        (def(PercpuHash, 0, 8, 1), Some(MapError::KeySize(0))),
        (def(LruHash, 4, 0, 1), Some(MapError::ValueSize(0))),
        (def(LruHash, 4, 4, 0), Some(MapError::Entries(0))),
        (def(Queue, 0, 8, 1), None),
        (def(Queue, 4, 8, 1), Some(MapError::KeySize(4))),
        (def(Stack, 0, 0, 1), Some(MapError::ValueSize(0))),
        (def(Stack, 0, 8, 0), Some(MapError::Entries(0))),
        (def(RingBuf, 0, 0, 4096), None),
        (def(RingBuf, 0, 0, 2048), Some(MapError::Entries(2048))),
        (def(RingBuf, 4, 0, 4096), Some(MapError::KeySize(4))),
        (def(RingBuf, 0, 4, 4096), Some(MapError::ValueSize(4))),
    ] {
        assert_eq!(bytes_needed(&d).err(), wrong, "{d:?}");
    }
    for (d, bytes) in [
        (def(Array, 4, 12, 5), 80),
        (def(Array, 4, 1 << 20, 16), MAX_BYTES),
        (def(Hash, 4, 8, 16), 64 + 64 + 16 * 24),
        (def(Hash, 9, 1, 1), 64 + 8 + (8 + 16 + 8)),
        (def(LruHash, 4, 8, 16), 64 + 64 + 16 * 32),
        (def(Queue, 0, 12, 5), 64 + 80),
        (def(RingBuf, 0, 0, 8192), 2 * PAGE + 8192),
    ] {
        assert_eq!(bytes_needed(&d), Ok(bytes), "{d:?}");
    }
}
