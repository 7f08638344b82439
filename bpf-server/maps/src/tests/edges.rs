//! The edges: constants that programs see, rings that are exactly full or taken over by a new producer, headers that make no
//! sense, readers that meet a writer.

use super::*;

#[test]
fn errors_are_linuxs_numbers() {
    use errno::*;
    let all = [EPERM, ENOENT, E2BIG, EAGAIN, EBUSY, EEXIST, ENODEV, EINVAL, EOPNOTSUPP];
    assert_eq!(all, [-1, -2, -7, -11, -16, -17, -19, -22, -95]);
    assert_eq!((NOEXIST, EXIST, PAGE, MAX_BYTES), (1, 2, 4096, 16 << 20));
    assert_eq!([1, 7, 8, 9].map(stride), [8, 8, 8, 16]);
}

#[test]
fn every_shape_error_is_a_sentence() {
    for (error, text) in [
        (MapError::KeySize(3), "a key of 3 bytes: arrays have 4,"),
        (MapError::ValueSize(0), "a value of 0 bytes: ring buffers have none,"),
        (MapError::Entries(0), "max_entries is 0: it must not be 0,"),
        (MapError::TooLarge(17 << 20), "the map needs 17408 KiB, and the most is 16384 KiB"),
        (MapError::Flags(8), "map_flags 0x8: only BPF_F_NO_PREALLOC (1)"),
    ] {
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

fn ring(size: u32) -> (Memory, Map, Consumer) {
    let (mut memory, map) = make(def(MapType::RingBuf, 0, 0, size));
    // SAFETY: the ring's memory, kept beside it.
    let consumer = unsafe { Consumer::new(memory.base(), size).unwrap() };
    (memory, map, consumer)
}

fn put(map: &mut Map, bytes: &[u8]) -> i64 {
    // SAFETY: the bytes have their length.
    unsafe { map.ring_output(bytes.as_ptr(), bytes.len() as u64) }
}

#[test]
fn a_ring_is_full_when_no_byte_is_left() {
    let (_m, mut map, mut consumer) = ring(4096);
    assert!(map.ring_reserve(0).is_null() && map.ring_reserve(4089).is_null());
    assert_eq!(put(&mut map, &[1; 4088]), 0, "with its header it is exactly the ring");
    assert_eq!(put(&mut map, &[2; 1]), errno::EAGAIN);
    assert_eq!(map.ring_query(0), 4096);
    assert_eq!(consumer.available(), 4096);
    assert_eq!(consumer.next(|r| r.bytes.len()), Some(4088));
    assert_eq!((map.ring_query(0), consumer.available()), (0, 0));
    assert_eq!([1, 2, 3, 4, 99].map(|q| map.ring_query(q)), [4096, 4096, 4096, 0, 0]);
    // Half and half; the second ends exactly at the end, so nothing is skipped.
    assert_eq!((put(&mut map, &[3; 2040]), put(&mut map, &[4; 2040])), (0, 0));
    assert_eq!(map.ring_query(3), 8192);
    assert_eq!(consumer.next(|r| r.bytes[0]), Some(3));
    // 2048 bytes are free at the start, in a row; a record of 2041 needs 8 more.
    assert_eq!(put(&mut map, &[5; 2041]), errno::EAGAIN);
    assert_eq!(put(&mut map, &[6; 2040]), 0);
    assert_eq!((consumer.next(|r| r.bytes[0]), consumer.next(|r| r.bytes[0])), (Some(4), Some(6)));
    assert_eq!(consumer.next(|r| r.bytes[0]), None);
}

#[test]
fn what_does_not_fit_before_the_end_starts_again() {
    let (mut memory, mut map, mut consumer) = ring(4096);
    assert_eq!(put(&mut map, &[1; 3000]), 0);
    assert_eq!(consumer.next(|r| r.bytes.len()), Some(3000));
    // 1088 bytes are left before the end, and the skipped ones count as used.
    assert_eq!(put(&mut map, &[2; 1081]), 0);
    assert_eq!(map.ring_query(0), 1088 + 1096);
    // SAFETY: inside the ring's memory: the skipped record's header and the new one's, with Linux's page offset.
    let words = unsafe {
        let data = memory.base().add(2 * PAGE);
        let at = |o: usize| data.add(o).cast::<u32>().read();
        [at(3008), at(0), at(4)]
    };
    assert_eq!(words, [1080 | 1 << 30, 1081, 2]);
    assert_eq!(put(&mut map, &[3; 1904]), 0, "exactly the rest");
    assert_eq!(put(&mut map, &[3; 1]), errno::EAGAIN);
    assert_eq!(consumer.next(|r| r.bytes.to_vec()), Some(vec![2; 1081]));
    assert_eq!(consumer.next(|r| r.bytes.len()), Some(1904));
    assert_eq!(consumer.damaged, 0);
}

#[test]
fn a_producer_that_takes_over_goes_on_where_the_last_one_was() {
    let d = def(MapType::RingBuf, 0, 0, 8192);
    let (mut memory, mut map, mut consumer) = ring(8192);
    for n in 0..5u8 {
        assert_eq!(put(&mut map, &[n; 1000]), 0);
    }
    assert_eq!(consumer.next(|r| r.bytes[0]), Some(0));
    // SAFETY: the ring's memory, kept beside it; the former producer is not used any more.
    let mut map = unsafe { Map::new(d, memory.base()).unwrap() };
    assert_eq!(map.ring_query(3), 5 * 1008);
    assert_eq!((put(&mut map, &[5; 1000]), put(&mut map, &[6; 1000]), put(&mut map, &[7; 1000])), (0, 0, 0));
    assert_eq!(put(&mut map, &[8; 1000]), 0, "exactly the room of the one that was read");
    assert_eq!(put(&mut map, &[9; 1]), errno::EAGAIN, "what was not read is still there");
    // SAFETY: as above; a new consumer goes on, too.
    let mut consumer = unsafe { Consumer::new(memory.base(), 8192).unwrap() };
    let read: Vec<u8> = core::iter::from_fn(|| consumer.next(|r| r.bytes[0])).collect();
    assert_eq!(read, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(d.max_entries as u64, map.ring_query(1));
}

#[test]
fn headers_that_make_no_sense_end_at_the_producers_position() {
    let lies: [(u64, u64, u32); 5] = [
        // Producer's position, consumer's, the header there.
        (64, 0, 1000),    // longer than what is there
        (4096, 0, 4096),  // longer than the ring
        (5000, 0, 8),     // further ahead than the ring is large
        (4104, 4088, 16), // beyond the end
        (64, 4, 8),       // not at a multiple of 8
    ];
    for (produced, consumed, header) in lies {
        let (mut memory, _map, _) = ring(4096);
        let base = memory.base();
        // SAFETY: inside the ring's memory.
        unsafe {
            base.cast::<u64>().write(consumed);
            base.add(PAGE).cast::<u64>().write(produced);
            base.add(2 * PAGE + (consumed & 4088) as usize).cast::<u32>().write(header);
        }
        // SAFETY: the ring's memory, kept beside it.
        let mut consumer = unsafe { Consumer::new(base, 4096).unwrap() };
        assert_eq!(consumer.next(|r| r.bytes.len()), None, "{produced} {consumed} {header}");
        assert_eq!((consumer.damaged, consumer.available()), (1, 0));
        assert_eq!(consumer.next(|r| r.bytes.len()), None);
        assert_eq!(consumer.damaged, 1);
    }
    let (mut memory, _map, _) = ring(4096);
    for size in [0, 1, 2048, 4097, 12288] {
        // SAFETY: refused before anything is read.
        assert!(unsafe { Consumer::new(memory.base(), size) }.is_none());
    }
}

#[test]
fn a_record_in_progress_is_waited_for_and_a_dropped_one_skipped() {
    let (_m, mut map, mut consumer) = ring(4096);
    let (a, b) = (map.ring_reserve(16), map.ring_reserve(24));
    assert_eq!(b as usize - a as usize, 24);
    assert!(consumer.next(|_| ()).is_none());
    // SAFETY: reserved above, each committed once.
    unsafe {
        Map::ring_commit(b, false);
        assert!(consumer.next(|_| ()).is_none(), "the first is not finished");
        Map::ring_commit(a, true);
    }
    assert_eq!(consumer.next(|r| r.bytes.len()), Some(24));
    assert_eq!(consumer.damaged, 0);
}

#[test]
fn a_reader_gives_up_while_a_writer_is_busy() {
    let d = def(MapType::Hash, 4, 8, 4);
    let (mut memory, mut map) = make(d);
    let key = 7u32.to_le_bytes();
    // SAFETY: key and value have their sizes.
    assert_eq!(unsafe { map.update(key.as_ptr(), [9; 8].as_ptr(), 0) }, 0);
    let sequence = memory.base().cast::<u64>();
    let mut out = [0; 8];
    let mut read = || {
        // SAFETY: key and buffer have their sizes.
        unsafe { map.read_shared(key.as_ptr(), out.as_mut_ptr()) }
    };
    // SAFETY: the sequence is the map's first word.
    unsafe {
        assert_eq!(sequence.read(), 2, "one change of the structure is two steps");
        assert_eq!(read(), 0);
        sequence.write(3);
        assert_eq!(read(), errno::EAGAIN);
        sequence.write(4);
        assert_eq!(read(), 0);
    }
    // A change of a value is no change of the structure.
    // SAFETY: key and value have their sizes.
    unsafe {
        assert_eq!(map.update(key.as_ptr(), [1; 8].as_ptr(), 0), 0);
        assert_eq!(sequence.read(), 4);
        assert_eq!(map.delete(key.as_ptr()), 0);
        assert_eq!(sequence.read(), 6);
    }
    let (_q, queue) = make(def(MapType::Queue, 0, 8, 4));
    // SAFETY: a queue reads no key, and the buffer is large enough.
    assert_eq!(unsafe { queue.read_shared(key.as_ptr(), out.as_mut_ptr()) }, errno::ENOENT);
}

#[test]
fn all_entries_of_a_hash_are_visited_once() {
    for kind in [MapType::Hash, MapType::LruHash] {
        let (_m, mut map) = make(def(kind, 4, 8, 9));
        let mut keys = Vec::new();
        for n in 0..9u32 {
            let (key, value) = ((n * 77).to_le_bytes(), u64::from(n).to_le_bytes());
            // SAFETY: key and value have their sizes.
            assert_eq!(unsafe { map.update(key.as_ptr(), value.as_ptr(), 0) }, 0);
        }
        map.for_each(|key, value| {
            // SAFETY: a key and a value of the map.
            let (key, value) =
                unsafe { (key.cast::<u32>().read_unaligned(), value.cast::<u64>().read_unaligned()) };
            assert_eq!(u64::from(key), value * 77);
            keys.push(key);
        });
        keys.sort_unstable();
        assert_eq!(keys, (0..9).map(|n| n * 77).collect::<Vec<_>>());
    }
    let (_m, array) = make(def(MapType::Array, 4, 8, 9));
    array.for_each(|_, _| panic!("an array has no entries of this kind"));
    assert_eq!(array.base() as usize % 8, 0);
    assert_eq!(array.element(1) as usize - array.element(0) as usize, 8);
}

#[test]
fn keys_of_every_length_are_told_apart() {
    for key_size in [1u32, 3, 7, 8, 9, 15, 16, 17, 64, 512] {
        let (_m, mut map) = make(def(MapType::Hash, key_size, 1, 600));
        // Keys that differ in one byte only, at every place.
        for at in 0..key_size as usize {
            let mut key = vec![0u8; key_size as usize];
            key[at] = 1;
            let value = [at as u8];
            // SAFETY: key and value have their sizes.
            let result = unsafe { map.update(key.as_ptr(), value.as_ptr(), NOEXIST) };
            assert_eq!(result, 0, "{key_size} {at}");
        }
        for at in 0..key_size as usize {
            let mut key = vec![0u8; key_size as usize];
            key[at] = 1;
            assert_eq!(get(&map, &key), Some(vec![at as u8]), "{key_size} {at}");
            key[at] = 2;
            assert_eq!(get(&map, &key), None);
        }
    }
}

#[test]
fn chains_are_short_for_keys_that_count() {
    let (mut memory, mut map) = make(def(MapType::Hash, 8, 8, 256));
    for n in 0..256u64 {
        // SAFETY: key and value have their sizes.
        assert_eq!(unsafe { map.update(n.to_le_bytes().as_ptr(), [0; 8].as_ptr(), 0) }, 0);
    }
    // SAFETY: the buckets lie behind the header: 256 words.
    let buckets = unsafe { core::slice::from_raw_parts(memory.base().add(64).cast::<u32>(), 256) };
    let used = buckets.iter().filter(|b| **b != 0).count();
    assert!(used > 120, "{used} of 256 buckets are used by 256 keys");
}

/// Writes a word of a map's memory, as somebody who maps it may.
fn spoil(map: &Map, offset: usize, word: u32) {
    // SAFETY: inside the map's memory, aligned; the map reads it as atomics.
    unsafe { map.base().add(offset).cast::<u32>().write_volatile(word) }
}

#[test]
fn links_that_lead_nowhere_end_and_circles_are_left() {
    const MOST: u32 = 6;
    let (_m, mut map) = make(def(MapType::Hash, 4, 8, MOST));
    for n in 0..3u32 {
        let (key, value) = (n.to_le_bytes(), u64::from(n).to_le_bytes());
        // SAFETY: key and value have their sizes.
        assert_eq!(unsafe { map.update(key.as_ptr(), value.as_ptr(), 0) }, 0);
    }
    // Buckets come behind the header of 64 bytes; an entry begins with its link.
    let visited = |map: &Map| {
        let mut n = 0;
        map.for_each(|_, _| n += 1);
        n
    };
    assert_eq!(visited(&map), 3);
    // Every bucket leads to an entry behind the last one. Entries have 24 bytes each, and are the last in memory.
    let bytes = bytes_needed(map.def()).unwrap();
    let entries = bytes - MOST as usize * 24;
    for link in [MOST + 1, u32::MAX] {
        (64..entries).step_by(4).for_each(|word| spoil(&map, word, link));
        assert_eq!(visited(&map), 0, "buckets lead to {link}");
    }
    for n in 0..40u32 {
        let key = n.to_le_bytes();
        // SAFETY: a key of its size.
        let found = unsafe { map.lookup(key.as_ptr()) } as usize;
        let inside = found.wrapping_sub(map.base() as usize);
        assert!(found == 0 || inside < bytes, "{inside}");
    }
    // All buckets, and all entries, lead to the first entry: no more are visited than there can be.
    (64..bytes).step_by(4).for_each(|word| spoil(&map, word, 1));
    assert_eq!(visited(&map), MOST as usize);
}

#[test]
fn a_long_queue_keeps_its_header() {
    let (_m, mut map) = make(def(MapType::Queue, 0, 8, 100));
    for round in 0..3u64 {
        for n in 0..100u64 {
            let value = (round * 1000 + n).to_le_bytes();
            // SAFETY: a value of its size.
            assert_eq!(unsafe { map.push(value.as_ptr(), 0) }, 0, "{n}");
        }
        for n in 0..100u64 {
            let mut value = [0; 8];
            // SAFETY: room for a value.
            assert_eq!(unsafe { map.pop(value.as_mut_ptr()) }, 0, "{n}");
            assert_eq!(u64::from_le_bytes(value), round * 1000 + n);
        }
    }
    // What a neighbour writes there is taken for what it can be.
    spoil(&map, 0, u32::MAX);
    spoil(&map, 4, u32::MAX);
    let mut value = [0; 8];
    // SAFETY: room for a value.
    assert_eq!(unsafe { map.pop(value.as_mut_ptr()) }, 0);
}
