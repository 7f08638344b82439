//! Maps as programs declare them.

/// Kinds of map, with Linux's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum MapType {
    Hash = 1,
    Array = 2,
    PercpuHash = 5,
    PercpuArray = 6,
    LruHash = 9,
    Queue = 22,
    Stack = 23,
    RingBuf = 27,
}

impl MapType {
    /// The kinds and their numbers, for sentences.
    pub const LIST: &'static str = "hash 1, array 2, per-CPU hash 5, per-CPU array 6, LRU hash 9, queue 22, stack 23, ring buffer 27 are";

    /// From Linux's number.
    pub fn from_number(n: u32) -> Option<MapType> {
        Some(match n {
            1 => MapType::Hash,
            2 => MapType::Array,
            5 => MapType::PercpuHash,
            6 => MapType::PercpuArray,
            9 => MapType::LruHash,
            22 => MapType::Queue,
            23 => MapType::Stack,
            27 => MapType::RingBuf,
            _ => return None,
        })
    }

    /// As a person calls it.
    pub const fn words(self) -> &'static str {
        match self {
            MapType::Hash => "hash",
            MapType::Array => "array",
            MapType::PercpuHash => "per-CPU hash",
            MapType::PercpuArray => "per-CPU array",
            MapType::LruHash => "LRU hash",
            MapType::Queue => "queue",
            MapType::Stack => "stack",
            MapType::RingBuf => "ring buffer",
        }
    }

    /// A hash of any kind.
    pub const fn is_hash(self) -> bool {
        matches!(self, MapType::Hash | MapType::PercpuHash | MapType::LruHash)
    }
}

/// A map's shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapDef {
    /// Its kind.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Entries; for a ring buffer, bytes.
    pub max_entries: u32,
    /// Linux's map_flags.
    pub flags: u32,
    /// Programs may only read it (`.rodata`).
    pub read_only: bool,
}

impl MapDef {
    /// What the second half of a wide load of a map's value ([`crate::pseudo::MAP_VALUE`]) says: an offset inside the first
    /// value, unsigned. Everybody who reads the field asks here, so that it has one meaning; `None` is refused.
    pub fn value_offset(&self, field: i32) -> Option<u32> {
        let offset = field as u32;
        (self.map_type == MapType::Array && offset < self.value_size).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn numbers_name_the_kinds_that_the_list_names() {
        for number in 0..40 {
            let listed = MapType::LIST
                .trim_end_matches(" are")
                .split(", ")
                .any(|k| k.ends_with(&std::format!(" {number}")));
            match MapType::from_number(number) {
                Some(kind) => {
                    assert_eq!(kind as u32, number);
                    assert!(MapType::LIST.contains(&std::format!("{} {number}", kind.words())), "{kind:?}");
                }
                None => assert!(!listed, "{number}"),
            }
        }
    }

    #[test]
    fn an_offset_lies_inside_the_value_or_is_none() {
        let mut def = MapDef {
            map_type: MapType::Array,
            key_size: 4,
            value_size: 16,
            max_entries: 1,
            flags: 0,
            read_only: false,
        };
        assert_eq!([0, 1, 15].map(|o| def.value_offset(o)), [Some(0), Some(1), Some(15)]);
        assert_eq!([16, i32::MAX, -1, i32::MIN].map(|o| def.value_offset(o)), [None; 4]);
        def.map_type = MapType::Hash;
        assert_eq!(def.value_offset(0), None);
    }
}
