//! Maps as programs declare them.

/// Kinds of map, with Linux's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
#[allow(missing_docs)]
pub enum MapType {
    Hash = 1,
    Array = 2,
    ProgArray = 3,
    PercpuArray = 6,
    LruHash = 9,
    Queue = 22,
    Stack = 23,
    RingBuf = 27,
}

impl MapType {
    /// From Linux's number.
    pub fn from_number(n: u32) -> Option<MapType> {
        Some(match n {
            1 => MapType::Hash,
            2 => MapType::Array,
            3 => MapType::ProgArray,
            6 => MapType::PercpuArray,
            9 => MapType::LruHash,
            22 => MapType::Queue,
            23 => MapType::Stack,
            27 => MapType::RingBuf,
            _ => return None,
        })
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
