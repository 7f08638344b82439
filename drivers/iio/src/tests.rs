use super::*;
use axiom_bpf_maps::{Consumer, PAGE};

#[test]
fn decimals_keep_their_sign() {
    let channel = Channel { name: "in_accel_x", point: "accel_x", scale_nano: 38_300_000, offset: 0 };
    assert_eq!(channel.processed(-100), Decimal { integer: -3, nanos: -830_000_000 });
    assert_eq!(channel.processed(-1), Decimal { integer: 0, nanos: -38_300_000 });
    assert_eq!(channel.attribute("scale"), Some(Decimal { integer: 0, nanos: 38_300_000 }));
    assert_eq!(channel.attribute("offset"), Some(Decimal { integer: 0, nanos: 0 }));
    assert_eq!(channel.attribute("colour"), None);
}

#[test]
fn a_chip_is_given_up_after_three_failures_and_looked_for_later() {
    let mut h = Health::missing();
    assert_eq!(h.step(0), Step::Probe);
    assert!(h.good());
    assert!(!h.bad(10, 100) && !h.bad(11, 100));
    assert!(!h.good(), "a success in between starts the count again");
    assert!(!h.bad(20, 100) && !h.bad(21, 100));
    assert!(h.bad(22, 100), "this one is reported");
    assert_eq!((h.step(23), h.step(121), h.step(122)), (Step::Skip, Step::Skip, Step::Probe));
    assert!(!h.bad(122, 100), "said once");
    assert_eq!(h.step(123), Step::Skip);
    assert!(h.good() && h.present());
}

/// Memory of a ring, and the reader's end of it.
struct Shared(*mut u8, Consumer);

impl Shared {
    fn new() -> Shared {
        // Leaked on purpose: writer and reader keep pointers into it.
        let words = std::vec![0u64; (RING_BYTES + 3 * PAGE) / 8].leak();
        let memory = (words.as_mut_ptr() as usize).next_multiple_of(PAGE) as *mut u8;
        // SAFETY: page-aligned, with two pages more than the data; the only reader.
        let consumer = unsafe { Consumer::new(memory, RING_BYTES as u32) }.unwrap();
        Shared(memory, consumer)
    }

    fn read(&mut self) -> Option<std::vec::Vec<u8>> {
        self.1.next(|record| record.bytes.to_vec())
    }

    /// What the reader can write: its position.
    fn lie(&mut self, position: u64) {
        // SAFETY: the first word of the reader's page.
        unsafe { self.0.cast::<u64>().write_volatile(position) };
    }
}

fn scan(i: u64) -> Scan {
    Scan { timestamp: i, raw: [i as i32; 8] }
}

#[test]
fn a_ring_of_scans_keeps_the_first_and_counts_those_that_find_no_room() {
    let (mut b, mut shared) = (Buffer::default(), Shared::new());
    assert!(!b.push(scan(9), 0xff), "it is off");
    // SAFETY: a ring's memory, zeroed, for the test's life.
    assert!(unsafe { b.start(shared.0, 0b101, 4, 3) });
    assert!(!b.push(scan(9), 0b001), "a chosen channel was dropped by a program");
    let told: std::vec::Vec<bool> = (0..6).map(|i| b.push(scan(i), 0b111)).collect();
    assert_eq!(told, [false, false, true, true, true, true]);
    assert_eq!((b.len(), b.lost(), b.scan_bytes()), (4, 2, 16));
    assert_eq!(shared.read().unwrap(), [0; 16]);
    assert_eq!(shared.read().unwrap(), [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert!(b.push(scan(7), 0b101));
    let left: std::vec::Vec<u8> = core::iter::from_fn(|| Some(shared.read()?[0])).collect();
    assert_eq!((left.as_slice(), b.len()), ([2, 3, 7].as_slice(), 0));
    // One channel: the element is filled to eight bytes, with zeroes.
    let mut other = Shared::new();
    // SAFETY: as above.
    assert!(unsafe { b.start(other.0, 0b010, 1000, 0) });
    assert_eq!(b.shape(), (CAPACITY as u32, 1));
    assert!(b.push(scan(7), 0b010));
    assert_eq!(other.read().unwrap(), [7, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]);
    // SAFETY: as above.
    assert!(!unsafe { b.start(other.0, 0, 1, 1) } && b.channels() == 0);
}

#[test]
fn the_largest_scans_go_round_and_none_is_missed() {
    let (mut b, mut shared) = (Buffer::default(), Shared::new());
    // SAFETY: a ring's memory, zeroed, for the test's life.
    assert!(unsafe { b.start(shared.0, 0xff, CAPACITY as u32, 1) });
    let (mut written, mut read) = (0u64, 0u64);
    for turn in 0..3000 {
        for _ in 0..turn * 7 % 300 {
            b.push(scan(written), 0xff);
            written += u64::from(b.lost() == 0);
            if b.lost() > 0 {
                assert_eq!(b.len(), CAPACITY, "as many as were promised fit, wherever the ring's end is");
                break;
            }
        }
        if b.lost() > 0 {
            break;
        }
        for _ in 0..turn * 11 % 280 {
            let Some(bytes) = shared.read() else { break };
            assert_eq!((bytes.len(), bytes[32]), (SCAN_BYTES, read as u8));
            read += 1;
        }
    }
    assert!(b.lost() > 0 && read > 1000, "{read}");
    while let Some(bytes) = shared.read() {
        assert_eq!(bytes[32], read as u8);
        read += 1;
    }
    assert_eq!(read, written);
}

#[test]
fn a_reader_that_lies_spoils_its_own_position_only() {
    let (mut b, mut shared) = (Buffer::default(), Shared::new());
    let (mut honest, mut other) = (Buffer::default(), Shared::new());
    // SAFETY: two rings' memory, zeroed, for the test's life.
    assert!(unsafe { b.start(shared.0, 0xff, 64, 1) && honest.start(other.0, 1, 64, 1) });
    for lie in [8, 1, u64::MAX, u64::MAX / 2, 1 << 14, 1 << 32, 7, 0] {
        for position in [lie, lie.wrapping_add(48), lie.wrapping_sub(8)] {
            shared.lie(position);
            for i in 0..100 {
                // Lost or kept: the writer goes on, in its own memory (Miri and the sanitizers look).
                b.push(scan(i), 0xff);
                assert!(b.len() <= RING_BYTES / (SCAN_BYTES + 8));
            }
            assert!(honest.push(scan(position), 1));
            assert_eq!(other.read().unwrap()[8..], position.to_le_bytes());
        }
    }
    assert_eq!(honest.lost(), 0);
}

#[test]
fn timestamps_of_batches_rise_and_end_at_the_newest() {
    let list = |s: Stamps, n| (1..=n).map(|i| s.of(i)).collect::<std::vec::Vec<_>>();
    assert_eq!(list(Stamps::new(0, 100, 10, 3), 3), [80, 90, 100]);
    assert_eq!(list(Stamps::new(85, 100, 10, 3), 3), [90, 95, 100], "squeezed in after the last batch");
    assert_eq!(list(Stamps::new(100, 100, 10, 1), 1), [100]);
    assert_eq!(list(Stamps::new(0, 0, 10, 0), 0), []);
}

#[test]
fn the_event_is_the_programs_struct() {
    assert_eq!(size_of::<Event>(), 32);
    assert_eq!(core::mem::offset_of!(Event, value), 16);
    assert_eq!(core::mem::offset_of!(Event, offset), 24);
}
