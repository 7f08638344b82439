//! Entries of tables: what decodes to what was encoded, memory types, and what a device's frame never is.
extern crate std;
use crate::arch::paging::{
    CACHE_DISABLED, Entry, LARGE, LARGE_ATTRIBUTE, NO_EXECUTE, OUTSIDE_WINDOW, USER, USER_TOP,
    UserAttributes, VALID, WRITE, WRITE_THROUGH, decode, frame_level, shift, table_entry, user_entry,
};
use crate::cap::{FrameSize, VmRights};
use crate::ptr::PhysAddr;
use proptest::prelude::*;
use sel4_sys::object::vm_attributes as a;

const ALL: VmRights = VmRights { read: true, write: true };

proptest! {
    /// Whatever its rights and memory type, a page decodes to its frame, and a table to itself; never one to the other.
    #[test]
    fn entries_decode_to_what_they_were_made_of(
        place in 0u64..1 << 46, size in 0u32..3, read: bool, write: bool, attributes in 0u64..1 << 17, device: bool,
    ) {
        let size = [FrameSize::Small, FrameSize::Large, FrameSize::Huge][size as usize];
        let (level, frame) = (frame_level(size), PhysAddr(place & !((1 << size.bits()) - 1)));
        let entry = user_entry(frame, level, UserAttributes::asked(VmRights { read, write }, attributes, device));
        prop_assert!(decode(entry, level) == Entry::Leaf(frame));
        prop_assert_eq!(entry & USER != 0, read || write);
        prop_assert_eq!(entry & WRITE != 0, write);
        prop_assert_eq!(entry & OUTSIDE_WINDOW != 0, device);
        prop_assert_eq!(entry & NO_EXECUTE != 0, device || attributes & a::EXECUTE_NEVER != 0);
        let table = PhysAddr(place & !4095);
        for level in 0..3 {
            prop_assert!(decode(table_entry(table), level) == Entry::Table(table));
        }
        prop_assert!(decode(entry & !VALID, level) == Entry::Invalid);
    }
}

/// The index of the page attribute table in an entry.
fn memory_type(entry: u64, level: u32) -> u64 {
    let high = if level == 3 { LARGE } else { LARGE_ATTRIBUTE };
    u64::from(entry & WRITE_THROUGH != 0)
        | u64::from(entry & CACHE_DISABLED != 0) << 1
        | u64::from(entry & high != 0) << 2
}

#[test]
fn a_devices_frame_is_never_cached() {
    for level in 1..4 {
        for attributes in 0..8 {
            let kind = |device| {
                let asked = UserAttributes::asked(ALL, attributes, device);
                memory_type(user_entry(PhysAddr(0), level, asked), level)
            };
            let expected = if attributes > 4 { a::UNCACHEABLE } else { attributes };
            assert_eq!(kind(false), expected, "RAM, attributes {attributes}, level {level}");
            let uncached = if attributes == a::WRITE_COMBINING { attributes } else { a::UNCACHEABLE };
            assert_eq!(kind(true), uncached, "a device, attributes {attributes}, level {level}");
        }
    }
}

#[test]
fn the_page_below_the_hole_is_not_user_space() {
    assert_eq!(USER_TOP + 1 + 4096, 1 << 47);
    assert_eq!((shift(0), shift(1), shift(2), shift(3)), (39, 30, 21, 12));
}
