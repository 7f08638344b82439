//! Looking capabilities up: pointers as strings of bits, in every small tree of CNodes; and what a lookup that fails says.
use axiom_objects::cspace;
use axiom_objects::fake::FakeWorld;
use axiom_objects::object::{LookupFailure, TCB_CSPACE};
use axiom_objects::{Cap, Ptr, Slot};
use sel4_sys::{Badge, CapRights};

/// A node as the manual draws it: a guard as a string of bits, and a number of bits for the index.
#[derive(Clone)]
struct Node {
    cap: Cap,
    guard: Vec<bool>,
    radix: usize,
}

/// The lowest `count` bits of a number, the highest of them first.
fn bits(number: u64, count: usize) -> Vec<bool> {
    (0..count).rev().map(|bit| number >> bit & 1 != 0).collect()
}

fn number(bits: &[bool]) -> u64 {
    bits.iter().fold(0, |all, bit| all << 1 | u64::from(*bit))
}

fn node(world: &FakeWorld, radix: u32, guard: u64, guard_size: u32) -> Node {
    let Cap::CNode { base, radix, .. } = world.cnode(radix) else { panic!("a CNode is one") };
    let cap = Cap::CNode { base, radix, guard, guard_size };
    Node { cap, guard: bits(guard, guard_size as usize), radix: radix as usize }
}

/// What the manual says: guard, index, and on in the node that the slot holds; `inner` is in slot 1 of `outer`.
fn expected(world: &FakeWorld, nodes: &[&Node], pointer: &[bool]) -> Result<(Ptr<Slot>, u32), LookupFailure> {
    let (node, inner) = nodes.split_first().expect("there is a node");
    let left = pointer.len() as u32;
    let guard_size = node.guard.len();
    if !pointer.starts_with(&node.guard) {
        let (guard, guard_size) = (number(&node.guard), guard_size as u32);
        return Err(LookupFailure::GuardMismatch { bits_left: left, guard, guard_size });
    }
    let rest = &pointer[guard_size..];
    if rest.len() < node.radix {
        let bits_found = (guard_size + node.radix) as u32;
        return Err(LookupFailure::DepthMismatch { bits_left: left, bits_found });
    }
    let (index, rest) = rest.split_at(node.radix);
    let index = number(index);
    if rest.is_empty() || index != 1 || inner.is_empty() {
        return Ok((world.slot(node.cap, index), rest.len() as u32));
    }
    expected(world, inner, rest)
}

#[test]
fn every_pointer_of_every_depth_in_every_small_tree() {
    let world = FakeWorld::with_memory(20);
    let shapes = [(1, 0, 0), (2, 0, 0), (2, 1, 1), (1, 0b10, 2), (3, 0b001, 3), (1, 0, 4)];
    let nodes = shapes.map(|(radix, guard, size)| node(&world, radix, guard, size));
    for outer in &nodes {
        for inner in nodes.iter().map(Some).chain([None]) {
            // Each pair has nodes of its own: a node in itself would be another tree.
            let outer = node(&world, outer.radix as u32, number(&outer.guard), outer.guard.len() as u32);
            let ep = world.endpoint();
            world.put(outer.cap, 0, Cap::Endpoint { ep, badge: Badge(1), rights: CapRights::ALL });
            let mut tree = vec![&outer];
            if let Some(inner) = inner {
                world.slot(outer.cap, 1).update(inner.cap);
                tree.push(inner);
            }
            for depth in 1..=9usize {
                for pointer in 0..1u64 << depth {
                    let found = cspace::resolve(outer.cap.pack(), pointer, depth as u32);
                    let spec = expected(&world, &tree, &bits(pointer, depth));
                    assert_eq!(
                        found,
                        spec,
                        "{pointer:#b} of {depth} bits, {:?} in {:?}",
                        inner.map(|i| i.cap),
                        outer.cap
                    );
                }
            }
        }
    }
}

#[test]
fn a_pointer_of_a_thread_has_sixty_four_bits() {
    let world = FakeWorld::with_memory(18);
    let Cap::CNode { base, radix, .. } = world.cnode(3) else { panic!("a CNode is one") };
    // The guard takes all that the index leaves.
    let guard = 0x123_4567_89ab_cdef;
    let space = Cap::CNode { base, radix, guard, guard_size: 61 };
    let tcb = world.passive_thread(1, Cap::Null);
    let root = tcb.slot(TCB_CSPACE);
    root.update(space);
    world.put(space, 5, Cap::Domain);
    assert_eq!(cspace::lookup_slot(tcb, guard << 3 | 5), Ok(world.slot(space, 5)));
    assert_eq!(cspace::lookup_cap(tcb, guard << 3 | 5), Ok((world.slot(space, 5), Cap::Domain)));
    assert_eq!(cspace::lookup_cap(tcb, guard << 3 | 4), Err(LookupFailure::Missing { bits_left: 0 }));
    let wrong = LookupFailure::GuardMismatch { bits_left: 64, guard, guard_size: 61 };
    assert_eq!(cspace::lookup_slot(tcb, (guard ^ 1 << 60) << 3 | 5), Err(wrong));
    // An empty slot is told with no bits left, wherever in the pointer it was met: here 41 are.
    root.update(Cap::CNode { base, radix, guard: 0, guard_size: 20 });
    assert_eq!(cspace::lookup_cap(tcb, 0), Err(LookupFailure::Missing { bits_left: 0 }));
    root.update(Cap::Null);
    assert_eq!(cspace::lookup_slot(tcb, 5), Err(LookupFailure::InvalidRoot));
    assert_eq!(cspace::lookup(tcb, 5).map(|_| ()), Err(LookupFailure::InvalidRoot));
}
