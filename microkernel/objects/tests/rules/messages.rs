//! Messages: every length through registers and buffers, every buffer that may or may not be used, every mixture of capabilities.
use axiom_objects::arch::registers::{CAP, INFO, MR0};
use axiom_objects::arch::tables::TableKind;
use axiom_objects::cap::{FrameSize, VmRights};
use axiom_objects::fake::FakeWorld;
use axiom_objects::message::{self, Buffer};
use axiom_objects::object::TCB_BUFFER;
use axiom_objects::transfer::transfer;
use axiom_objects::{Cap, PhysAddr, Ptr, Tcb};
use sel4_sys::{Badge, CapRights, MessageInfo};

const FAST: usize = 4;
const MOST: usize = 120;

/// Two threads with buffers at different places of their pages.
fn two(world: &FakeWorld, space: Cap) -> [Ptr<Tcb>; 2] {
    let threads = [world.passive_thread(1, space), world.passive_thread(1, space)];
    threads[0].ipc_buffer.set(0x40_0400);
    threads[1].ipc_buffer.set(0x80_0c00);
    threads
}

fn buffer(tcb: Ptr<Tcb>) -> Buffer {
    message::buffer(tcb, false).expect("the thread has a buffer")
}

/// Every word of the thread's message and buffer differs from all others.
fn fill(tcb: Ptr<Tcb>, from: u64) {
    (0..FAST).for_each(|i| tcb.regs.set(MR0 + i, from + i as u64));
    buffer(tcb).iter().zip(from + 100..).for_each(|(word, value)| word.set(value));
}

#[test]
fn a_buffer_is_where_its_address_says_within_its_frame() {
    let world = FakeWorld::with_memory(22);
    let tcb = world.passive_thread(1, Cap::Null);
    let base = world.allocate(21);
    for (size, bits) in [(FrameSize::Small, 12), (FrameSize::Large, 21)] {
        for (read, write, device) in (0..8).map(|i| (i & 1 != 0, i & 2 != 0, i & 4 != 0)) {
            let rights = VmRights { read, write };
            tcb.slot(TCB_BUFFER).update(Cap::Frame { base, size, device, rights, mapping: None });
            for place in [0u64, 1024, 3072, (1 << bits) - 1024] {
                tcb.ipc_buffer.set((7 << bits) + place);
                let at = |buffer: Option<Buffer>| buffer.map(|b| b.addr());
                let there = Some(base.kernel() + place as usize);
                assert_eq!(at(message::buffer(tcb, false)), there.filter(|_| read && !device));
                assert_eq!(at(message::buffer(tcb, true)), there.filter(|_| read && write && !device));
            }
        }
    }
    tcb.slot(TCB_BUFFER).update(Cap::PageTable {
        base: PhysAddr(base.0),
        mapping: None,
        kind: TableKind::LAST,
    });
    assert!(message::buffer(tcb, false).is_none());
}

#[test]
fn a_message_register_is_in_a_register_or_in_the_buffer_behind_the_tag() {
    let world = FakeWorld::with_memory(18);
    let [tcb, _] = two(&world, Cap::Null);
    fill(tcb, 1000);
    let words = buffer(tcb);
    for i in 0..MOST {
        let expected = if i < FAST { 1000 + i as u64 } else { 1100 + 1 + i as u64 };
        assert_eq!(message::mr(tcb, Some(words), i), expected, "register {i}");
        assert_eq!(message::mr(tcb, None, i), if i < FAST { expected } else { 0 });
    }
    for i in 0..MOST + 3 {
        fill(tcb, 1000);
        assert_eq!(message::set_mr(tcb, None, i, 7), i < FAST);
        assert_eq!(message::set_mr(tcb, Some(words), i, 7), i < MOST, "register {i}");
        let changed: Vec<usize> = (0..MOST).filter(|j| message::mr(tcb, Some(words), *j) == 7).collect();
        assert_eq!(changed, if i < MOST { vec![i] } else { vec![] });
        let kept = words.iter().zip(1100..).filter(|(word, old)| word.get() == *old).count();
        assert_eq!(kept, 128 - usize::from((FAST..MOST).contains(&i)));
    }
    // Behind the words: the user's, then three capabilities or badges, then where received ones go.
    fill(tcb, 1000);
    assert_eq!([0, 1, 2].map(|i| message::extra_cap(words, i)), [1222, 1223, 1224]);
    assert_eq!(message::receive_slot(words), (1225, 1226, 1227));
    message::set_badge(words, 1, 5);
    assert_eq!(words[123].get(), 5);
}

#[test]
fn every_length_is_copied_and_nothing_behind_it() {
    let world = FakeWorld::with_memory(18);
    let [from, to] = two(&world, Cap::Null);
    for (has_source, has_dest) in [(true, true), (true, false), (false, true), (false, false)] {
        for length in 0..MOST + 4 {
            fill(from, 1000);
            fill(to, 5000);
            let (source, dest) =
                (Some(buffer(from)).filter(|_| has_source), Some(buffer(to)).filter(|_| has_dest));
            let copied = message::copy(from, source, to, dest, length);
            let expected = if has_source && has_dest { length.min(MOST) } else { length.min(FAST) };
            assert_eq!(copied, expected, "of {length}");
            for i in 0..MOST {
                let value = message::mr(to, Some(buffer(to)), i);
                let (old, new) = if i < FAST { (5000, 1000) } else { (5101, 1101) };
                assert_eq!(value - i as u64, if i < copied { new } else { old }, "register {i} of {length}");
            }
            let behind = buffer(to).iter().zip(5100..).skip(1 + MOST).all(|(word, old)| word.get() == old);
            assert!(behind && buffer(to)[0].get() == 5100);
        }
    }
}

#[test]
fn an_answer_of_the_kernel_says_how_much_of_it_found_room() {
    let world = FakeWorld::with_memory(18);
    let [with, without] = two(&world, Cap::Null);
    without.slot(TCB_BUFFER).update(Cap::Null);
    let words: Vec<u64> = (50..190).collect();
    for length in [0, 1, 3, 4, 5, 36, 119, 120, 121, 130] {
        for (tcb, room) in [(with, MOST), (without, FAST)] {
            tcb.regs.set(CAP, 9);
            message::set_reply(tcb, 3, &words[..length]);
            let sent = length.min(room);
            assert_eq!(tcb.regs.get(CAP), 0);
            assert_eq!(tcb.regs.get(INFO), MessageInfo::new(3, 0, 0, sent as u64).0, "{length} words");
            assert!((0..sent).all(|i| message::mr(tcb, message::buffer(tcb, false), i) == words[i]));
        }
    }
}

/// What a sender offers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Offer {
    /// The endpoint that the message goes through, with this badge.
    Through(u64),
    /// A capability that can be copied.
    Other,
    /// One that cannot.
    Bound,
    /// A pointer that leads nowhere.
    Nowhere,
}

/// Where the receiver wants a capability.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Free,
    Taken,
    NoNode,
    Depth(u64),
}

const SPACE: u64 = 1;
const THROUGH: [u64; 2] = [2, 3];
const OTHER: u64 = 4;
const BOUND: u64 = 5;
const TARGET: u64 = 6;

/// What arrives: how many, which as badges, and whether one stands in the receiver's slot.
fn expected(offers: &[Offer], place: Place, grant: bool) -> (u64, u64, bool) {
    if !grant || offers.contains(&Offer::Nowhere) {
        return (0, 0, false);
    }
    let (mut done, mut unwrapped, mut stands) = (0, 0, false);
    for (i, offer) in offers.iter().enumerate() {
        match offer {
            Offer::Through(_) => unwrapped |= 1 << i,
            Offer::Other if place == Place::Free && !stands => stands = true,
            _ => break,
        }
        done += 1;
    }
    (done, unwrapped, stands)
}

#[test]
fn every_mixture_of_capabilities_arrives_as_far_as_it_may() {
    let world = FakeWorld::with_memory(18);
    let space = world.cnode(5);
    let [from, to] = two(&world, space);
    let ep = world.endpoint();
    world.put(space, SPACE, space);
    for (slot, badge) in THROUGH.into_iter().zip([0, 77]) {
        world.put(space, slot, Cap::Endpoint { ep, badge: Badge(badge), rights: CapRights::ALL });
    }
    world.put(space, OTHER, Cap::Endpoint { ep: world.endpoint(), badge: Badge(5), rights: CapRights::ALL });
    world.put(
        space,
        BOUND,
        Cap::PageTable { base: world.allocate(12), mapping: None, kind: TableKind::LAST },
    );
    let kinds = [Offer::Through(0), Offer::Through(77), Offer::Other, Offer::Bound, Offer::Nowhere];
    let mut all: Vec<Vec<Offer>> = vec![vec![]];
    for length in 0..3 {
        let longer = all.iter().filter(|offers| offers.len() == length);
        let longer = longer.flat_map(|offers| kinds.map(|kind| [&offers[..], &[kind]].concat()));
        all.extend(longer.collect::<Vec<_>>());
    }
    let places =
        [Place::Free, Place::Taken, Place::NoNode, Place::Depth(0), Place::Depth(63), Place::Depth(65)];
    let before = world.snapshot();
    for offers in &all {
        for place in places {
            for grant in [true, false] {
                world.restore(&before);
                fill(from, 1000);
                fill(to, 5000);
                from.regs.set(INFO, MessageInfo::new(33, 0, offers.len() as u64, 2).0);
                for (i, offer) in offers.iter().enumerate() {
                    let cptr = match offer {
                        Offer::Through(badge) => THROUGH[usize::from(*badge != 0)],
                        Offer::Other => OTHER,
                        Offer::Bound => BOUND,
                        Offer::Nowhere => 1 << 40,
                    };
                    buffer(from)[122 + i].set(cptr);
                }
                let receive = match place {
                    Place::Free => [SPACE, TARGET, 64],
                    Place::Taken => [SPACE, OTHER, 64],
                    Place::NoNode => [BOUND, TARGET, 64],
                    Place::Depth(depth) => [SPACE, TARGET, depth],
                };
                receive.iter().zip(125..).for_each(|(word, i)| buffer(to)[i].set(*word));
                transfer(&world, from, Some(ep), 21, grant, to);
                let (done, unwrapped, stands) = expected(offers, place, grant);
                let told = MessageInfo(to.regs.get(INFO));
                let tag = MessageInfo::new(33, unwrapped, done, 2);
                assert_eq!((told.0, to.regs.get(CAP)), (tag.0, 21), "{offers:?} to {place:?}, grant {grant}");
                assert_eq!(!world.slot(space, TARGET).is_empty(), stands, "{offers:?} to {place:?}");
                for (i, offer) in offers.iter().enumerate() {
                    let word = buffer(to)[122 + i].get();
                    let badge = if let Offer::Through(badge) = offer { *badge } else { 0 };
                    assert_eq!(word, if unwrapped >> i & 1 != 0 { badge } else { 5222 + i as u64 });
                }
            }
        }
    }
}
