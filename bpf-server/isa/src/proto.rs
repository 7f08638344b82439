//! What each helper takes and returns: the table that the verifier checks calls against.

use crate::helper::*;
use crate::map::MapType;

/// What an argument register must hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arg {
    /// Nothing: the register is not looked at.
    None,
    /// Any number.
    Number,
    /// A map of one of the kinds of [`HelperProto::maps`].
    Map,
    /// Readable memory of the map's key size.
    Key,
    /// Readable memory of the map's value size.
    Value,
    /// Writable memory of the map's value size, which the helper fills.
    ValueOut,
    /// Readable memory; the next argument is its size.
    Memory,
    /// The size of the memory before it; zero is allowed.
    Size,
    /// A number that the format in r1 ([`crate::printk`]) prints. Where the format is constant and prints fewer, the register
    /// is not looked at, by the helper neither; where the format is not known, it must be a number.
    Printed,
    /// A constant number of bytes to reserve.
    ConstSize,
    /// Memory that `ringbuf_reserve` returned; the call gives it back.
    Reservation,
}

/// What r0 holds afterwards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Returns {
    /// Nothing: r0 may not be read.
    Nothing,
    /// Any number.
    Number,
    /// A number of 32 bits, zero-extended.
    Number32,
    /// The address of a value of the map, or 0.
    ValueOrNull,
    /// Reserved memory of the size asked for, or 0. It must be submitted or discarded on every path.
    ReservationOrNull,
}

/// One helper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelperProto {
    /// Linux's number, or one of Axiom's own.
    pub id: u32,
    /// As `bpf_<name>` in C.
    pub name: &'static str,
    /// r1 to r5.
    pub args: [Arg; 5],
    /// r0.
    pub returns: Returns,
    /// Kinds of map that it works on.
    pub maps: &'static [MapType],
    /// It writes the map, which a read-only one refuses.
    pub writes_map: bool,
}

use Arg::{ConstSize, Key, Map, Memory, None as No, Number, Printed, Reservation, Size, Value, ValueOut};
use MapType::{Array, Hash, LruHash, PercpuArray, PercpuHash, Queue, RingBuf, Stack};

const KEYED: &[MapType] = &[Array, Hash, PercpuArray, PercpuHash, LruHash];
const HASHES: &[MapType] = &[Hash, PercpuHash, LruHash];
const QUEUES: &[MapType] = &[Queue, Stack];
const RING: &[MapType] = &[RingBuf];

const fn proto(id: u32, name: &'static str, args: [Arg; 5], returns: Returns) -> HelperProto {
    HelperProto { id, name, args, returns, maps: &[], writes_map: false }
}

const fn on(mut p: HelperProto, maps: &'static [MapType], writes_map: bool) -> HelperProto {
    p.maps = maps;
    p.writes_map = writes_map;
    p
}

/// Every helper, in the order of their numbers.
pub const HELPERS: &[HelperProto] = &[
    on(proto(MAP_LOOKUP_ELEM, "map_lookup_elem", [Map, Key, No, No, No], Returns::ValueOrNull), KEYED, false),
    on(
        proto(MAP_UPDATE_ELEM, "map_update_elem", [Map, Key, Value, Number, No], Returns::Number),
        KEYED,
        true,
    ),
    on(proto(MAP_DELETE_ELEM, "map_delete_elem", [Map, Key, No, No, No], Returns::Number), HASHES, true),
    proto(KTIME_GET_NS, "ktime_get_ns", [No, No, No, No, No], Returns::Number),
    proto(TRACE_PRINTK, "trace_printk", [Memory, Size, Printed, Printed, Printed], Returns::Number),
    proto(GET_SMP_PROCESSOR_ID, "get_smp_processor_id", [No, No, No, No, No], Returns::Number32),
    on(proto(MAP_PUSH_ELEM, "map_push_elem", [Map, Value, Number, No, No], Returns::Number), QUEUES, true),
    on(proto(MAP_POP_ELEM, "map_pop_elem", [Map, ValueOut, No, No, No], Returns::Number), QUEUES, true),
    on(proto(MAP_PEEK_ELEM, "map_peek_elem", [Map, ValueOut, No, No, No], Returns::Number), QUEUES, false),
    on(proto(RINGBUF_OUTPUT, "ringbuf_output", [Map, Memory, Size, Number, No], Returns::Number), RING, true),
    on(
        proto(
            RINGBUF_RESERVE,
            "ringbuf_reserve",
            [Map, ConstSize, Number, No, No],
            Returns::ReservationOrNull,
        ),
        RING,
        true,
    ),
    proto(RINGBUF_SUBMIT, "ringbuf_submit", [Reservation, Number, No, No, No], Returns::Nothing),
    proto(RINGBUF_DISCARD, "ringbuf_discard", [Reservation, Number, No, No, No], Returns::Nothing),
    on(proto(RINGBUF_QUERY, "ringbuf_query", [Map, Number, No, No, No], Returns::Number), RING, false),
    proto(TRACE_VPRINTK, "trace_vprintk", [Memory, Size, Memory, Size, No], Returns::Number),
    proto(GPIO_GET, "gpio_get", [Number, Number, No, No, No], Returns::Number),
    proto(GPIO_SET, "gpio_set", [Number, Number, Number, No, No], Returns::Number),
    proto(PWM_SET, "pwm_set", [Number, Number, Number, No, No], Returns::Number),
    proto(MOTOR_EMERGENCY_STOP, "motor_emergency_stop", [No, No, No, No, No], Returns::Number),
];

/// The prototype of a helper number.
pub fn find(id: u32) -> Option<&'static HelperProto> {
    HELPERS.binary_search_by_key(&id, |p| p.id).ok().map(|i| &HELPERS[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_found_by_number() {
        assert!(HELPERS.windows(2).all(|w| w[0].id < w[1].id));
        assert_eq!(find(RINGBUF_RESERVE).map(|p| p.name), Some("ringbuf_reserve"));
        assert_eq!(find(9999), None);
    }

    #[test]
    fn a_size_follows_its_memory() {
        for p in HELPERS {
            for (i, a) in p.args.iter().enumerate() {
                assert_eq!(*a == Memory, p.args.get(i + 1) == Some(&Size), "{}", p.name);
            }
        }
    }
}
