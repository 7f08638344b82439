//! The kinds that forget by themselves (LRU), have no keys (queue, stack) or one value per CPU, against models; and the same
//! with memory that a peer spoils.

use super::*;
use proptest::prelude::*;

/// What a program does.
#[derive(Clone, Debug)]
enum Step {
    Lookup(u8),
    Update(u8, u8, u64),
    Delete(u8),
    /// From another server: does not count as use.
    Read(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..12u8;
    let step = prop_oneof![
        key.clone().prop_map(Step::Lookup),
        (key.clone(), any::<u8>(), 0..4u64).prop_map(|(k, v, f)| Step::Update(k, v, f)),
        (key.clone(), any::<u8>(), Just(0)).prop_map(|(k, v, f)| Step::Update(k, v, f)),
        key.clone().prop_map(Step::Delete),
        key.prop_map(Step::Read),
    ];
    proptest::collection::vec(step, 1..200)
}

/// A hash with a limit, the last used at the end.
struct Model {
    entries: Vec<([u8; 5], [u8; 3])>,
    most: usize,
    drops: bool,
}

impl Model {
    fn get(&mut self, key: [u8; 5], uses: bool) -> Option<[u8; 3]> {
        let at = self.entries.iter().position(|e| e.0 == key)?;
        if uses {
            let entry = self.entries.remove(at);
            self.entries.push(entry);
            return Some(entry.1);
        }
        Some(self.entries[at].1)
    }
    fn update(&mut self, key: [u8; 5], value: [u8; 3], flags: u64) -> i64 {
        let at = self.entries.iter().position(|e| e.0 == key);
        match (at, flags) {
            (_, 3..) => return errno::EINVAL,
            (Some(_), NOEXIST) => return errno::EEXIST,
            (None, EXIST) => return errno::ENOENT,
            (Some(at), _) => {
                self.entries.remove(at);
            }
            (None, _) if self.entries.len() == self.most && self.drops => {
                self.entries.remove(0);
            }
            (None, _) if self.entries.len() == self.most => return errno::E2BIG,
            (None, _) => {}
        }
        self.entries.push((key, value));
        0
    }
}

fn hash_agrees(kind: MapType, most: u32, steps: &[Step]) -> Result<(), TestCaseError> {
    let (_m, mut map) = make(def(kind, 5, 3, most));
    let mut model = Model { entries: Vec::new(), most: most as usize, drops: kind == MapType::LruHash };
    for step in steps {
        let key = |k: u8| [k, 0, 7, 0, k.wrapping_mul(31)];
        match *step {
            Step::Lookup(k) => {
                prop_assert_eq!(get(&map, &key(k)), model.get(key(k), true).map(|v| v.to_vec()));
            }
            Step::Update(k, v, flags) => {
                let value = [v, k, 1];
                // SAFETY: key and value have their sizes.
                let result = unsafe { map.update(key(k).as_ptr(), value.as_ptr(), flags) };
                prop_assert_eq!(result, model.update(key(k), value, flags));
            }
            Step::Delete(k) => {
                let at = model.entries.iter().position(|e| e.0 == key(k));
                let expected = at.map_or(errno::ENOENT, |at| {
                    model.entries.remove(at);
                    0
                });
                // SAFETY: the key has its size.
                prop_assert_eq!(unsafe { map.delete(key(k).as_ptr()) }, expected);
            }
            Step::Read(k) => {
                let mut out = [0; 3];
                // SAFETY: key and buffer have their sizes.
                let result = unsafe { map.read_shared(key(k).as_ptr(), out.as_mut_ptr()) };
                prop_assert_eq!((result == 0).then_some(out), model.get(key(k), false));
            }
        }
        prop_assert_eq!(map.hash_stats().unwrap().count as usize, model.entries.len());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn an_lru_hash_drops_what_was_used_longest_ago(most in 1..9u32, steps in steps()) {
        hash_agrees(MapType::LruHash, most, &steps)?;
    }

    #[test]
    fn a_hash_per_cpu_is_a_hash(most in 1..9u32, steps in steps()) {
        hash_agrees(MapType::PercpuHash, most, &steps)?;
        hash_agrees(MapType::Hash, most, &steps)?;
    }

    #[test]
    fn queues_and_stacks_hand_out_what_was_put_in(
        stack in any::<bool>(),
        most in 1..6u32,
        steps in proptest::collection::vec((0..4u8, any::<[u8; 5]>(), 0..4u64), 1..120),
    ) {
        let kind = if stack { MapType::Stack } else { MapType::Queue };
        let (_m, mut map) = make(def(kind, 0, 5, most));
        let mut model: VecDeque<[u8; 5]> = VecDeque::new();
        for (what, value, flags) in steps {
            if what < 2 {
                let expected = match flags {
                    1 | 3 => errno::EINVAL,
                    0 if model.len() == most as usize => errno::E2BIG,
                    _ => {
                        if model.len() == most as usize {
                            model.pop_front();
                        }
                        model.push_back(value);
                        0
                    }
                };
                // SAFETY: the value has its size.
                prop_assert_eq!(unsafe { map.push(value.as_ptr(), flags) }, expected);
                continue;
            }
            let next = if stack { model.back() } else { model.front() }.copied();
            let mut out = [0x55u8; 5];
            // SAFETY: the buffer has the value's size.
            let result = unsafe { if what == 2 { map.peek(out.as_mut_ptr()) } else { map.pop(out.as_mut_ptr()) } };
            prop_assert_eq!(result, if next.is_some() { 0 } else { errno::ENOENT });
            prop_assert_eq!(out, next.unwrap_or([0; 5]));
            if what == 3 {
                let _ = if stack { model.pop_back() } else { model.pop_front() };
            }
        }
    }

    #[test]
    fn spoiled_memory_costs_contents_and_no_more(
        kind in prop_oneof![Just(MapType::LruHash), Just(MapType::Queue), Just(MapType::Stack)],
        most in 1..9u32,
        writes in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<u8>()), 1..60),
    ) {
        let keyed = kind == MapType::LruHash;
        let d = def(kind, if keyed { 4 } else { 0 }, 8, most);
        let bytes = bytes_needed(&d).unwrap();
        // What lies behind the map's memory must stay as it is.
        let mut memory = Memory::new(bytes + 64);
        let base = memory.base();
        // SAFETY: zeroed, aligned, large enough, and kept beside the map.
        let mut map = unsafe { Map::new(d, base).unwrap() };
        for (at, byte, key) in writes {
            // SAFETY: inside the map's memory; key and value have their sizes.
            unsafe {
                base.add(at as usize % bytes).write(byte);
                let key = u32::from(key % 12).to_le_bytes();
                let mut value = [key[0]; 8];
                if keyed {
                    map.update(key.as_ptr(), value.as_ptr(), 0);
                    map.lookup(key.as_ptr());
                    map.read_shared(key.as_ptr(), value.as_mut_ptr());
                    map.delete(key.as_ptr());
                } else {
                    map.push(value.as_ptr(), u64::from(key[0] & 2));
                    map.peek(value.as_mut_ptr());
                    map.pop(value.as_mut_ptr());
                }
                let behind = core::slice::from_raw_parts(base.add(bytes), 64);
                prop_assert!(behind.iter().all(|b| *b == 0));
            }
        }
    }
}

#[test]
fn each_kind_refuses_the_others_operations() {
    let (_q, mut queue) = make(def(MapType::Queue, 0, 8, 2));
    let (_h, mut hash) = make(def(MapType::Hash, 4, 8, 2));
    let mut value = [7u8; 8];
    // SAFETY: keys and values have their sizes; what has no key reads none.
    unsafe {
        assert!(queue.lookup([0; 4].as_ptr()).is_null());
        assert_eq!(queue.update([0; 4].as_ptr(), value.as_ptr(), 0), errno::EOPNOTSUPP);
        assert_eq!(queue.delete([0; 4].as_ptr()), errno::EOPNOTSUPP);
        assert_eq!(hash.push(value.as_ptr(), 0), errno::EOPNOTSUPP);
        assert_eq!(hash.pop(value.as_mut_ptr()), errno::EOPNOTSUPP);
        assert_eq!(hash.peek(value.as_mut_ptr()), errno::EOPNOTSUPP);
    }
    assert_eq!(value, [7; 8], "nothing was written");
    assert_eq!(queue.hash_stats(), None);
}

#[test]
fn a_value_of_an_array_per_cpu_is_an_arrays() {
    let (_m, mut map) = make(def(MapType::PercpuArray, 4, 8, 3));
    // SAFETY: key and value have their sizes.
    unsafe {
        assert_eq!(map.update(2u32.to_le_bytes().as_ptr(), [9; 8].as_ptr(), 0), 0);
        assert_eq!(map.update(3u32.to_le_bytes().as_ptr(), [9; 8].as_ptr(), 0), errno::E2BIG);
        assert_eq!(map.update([0; 4].as_ptr(), [9; 8].as_ptr(), NOEXIST), errno::EEXIST);
        assert_eq!(map.delete([0; 4].as_ptr()), errno::EINVAL);
    }
    assert_eq!(
        [0u32, 1, 2, 3].map(|i| get(&map, &i.to_le_bytes()).map(|v| v[0])),
        [Some(0), Some(0), Some(9), None]
    );
}
