//! Leftist heaps whose links are in their members: the release queue of threads, and timers (`timer`).
//!
//! The root is the member that comes before all others. Insertion, and removal of any member, cost O(log n) steps: the path
//! that is walked is a right spine, which has at most log2(n + 1) members, and nothing recurses. A member knows the heap's inside only: who takes it
//! out by [`detach`] needs not know which heap it is in, unless it is the root.
use crate::ptr::Ptr;
use core::cell::Cell;

type Link<T> = Cell<Option<Ptr<T>>>;

/// A member's place in its heap. All-zero is in none.
#[repr(C)]
pub struct Links<T> {
    left: Link<T>,
    right: Link<T>,
    parent: Link<T>,
    /// Length of the right spine from here.
    rank: Cell<u8>,
    inside: Cell<bool>,
}

impl<T> Links<T> {
    /// Whether it is in a heap.
    #[inline(always)]
    pub fn is_inside(&self) -> bool {
        self.inside.get()
    }
    pub(crate) fn left(&self) -> Option<Ptr<T>> {
        self.left.get()
    }
    pub(crate) fn right(&self) -> Option<Ptr<T>> {
        self.right.get()
    }
    pub(crate) fn parent(&self) -> Option<Ptr<T>> {
        self.parent.get()
    }
    pub(crate) fn rank(&self) -> u8 {
        self.rank.get()
    }
}

/// What a heap is made of.
pub trait Member: Sized {
    /// Its links.
    fn links(&self) -> &Links<Self>;
    /// Whether it leaves the heap before `other`. An order that does not change while either is inside.
    fn before(&self, other: &Self) -> bool;
}

/// A heap: one word.
#[repr(transparent)]
pub struct Heap<T> {
    root: Link<T>,
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Heap<T> {
    /// An empty heap.
    pub const fn new() -> Heap<T> {
        Heap { root: Cell::new(None) }
    }

    /// The member that comes first.
    #[inline(always)]
    pub fn first(&self) -> Option<Ptr<T>> {
        self.root.get()
    }

    /// Puts another root in the place of one that was [`detach`]ed.
    pub(crate) fn set_root(&self, root: Option<Ptr<T>>) {
        self.root.set(root);
    }
}

impl<T: Member> Heap<T> {
    /// Adds a member that is in no heap: its links are empty.
    #[inline(always)]
    pub fn insert(&self, member: Ptr<T>) {
        let links = member.links();
        links.rank.set(1);
        links.inside.set(true);
        let root = self.root.get();
        self.root.set(if root.is_some() { merge(root, Some(member)) } else { Some(member) });
    }

    /// Takes out a member of this heap.
    #[inline(always)]
    pub fn remove(&self, member: Ptr<T>) {
        let links = member.links();
        if links.left.get().is_none() && links.parent.get().is_none() {
            // The only one: who has no left child has no right one.
            links.inside.set(false);
            self.root.set(None);
        } else if let Some(root) = detach(member) {
            self.root.set(root);
        }
    }

    /// Takes out the member that comes first.
    pub fn pop(&self) -> Option<Ptr<T>> {
        let first = self.root.get()?;
        self.remove(first);
        Some(first)
    }
}

/// Takes a member out of whatever heap it is in. If it was the root, the result is the new one, which the heap's owner has to
/// store.
#[must_use = "a heap whose root was taken out needs its new root"]
pub fn detach<T: Member>(member: Ptr<T>) -> Option<Option<Ptr<T>>> {
    let links = member.links();
    links.inside.set(false);
    let (left, right, parent) = (links.left.take(), links.right.take(), links.parent.take());
    for child in [left, right].into_iter().flatten() {
        child.links().parent.set(None);
    }
    let joined = merge(left, right);
    let Some(parent) = parent else { return Some(joined) };
    let above = parent.links();
    if above.left.get() == Some(member) {
        above.left.set(joined);
    } else {
        above.right.set(joined);
    }
    if let Some(joined) = joined {
        joined.links().parent.set(Some(parent));
    }
    // A rank that falls makes its parent's fall only along a right spine: at most log2(n + 1) members.
    let mut at = Some(parent);
    while let Some(member) = at.filter(|m| settle(*m)) {
        at = member.links().parent.get();
    }
    None
}

fn rank<T: Member>(member: Option<Ptr<T>>) -> u8 {
    member.map_or(0, |m| m.links().rank.get())
}

/// Joins two heaps by their roots, which have no parents; the new root. Of two members neither of which comes before the
/// other, that of `a` is nearer to the root.
fn merge<T: Member>(a: Option<Ptr<T>>, b: Option<Ptr<T>>) -> Option<Ptr<T>> {
    let (Some(a), Some(b)) = (a, b) else { return a.or(b) };
    let (root, mut other) = if b.before(&a) { (b, a) } else { (a, b) };
    // Down the right spine: `other` goes where it comes before what is there, and what was there goes on down.
    let mut at = root;
    loop {
        let links = at.links();
        let below = links.right.get();
        match below.filter(|below| !other.before(below)) {
            Some(below) => at = below,
            None => {
                links.right.set(Some(other));
                other.links().parent.set(Some(at));
                match below {
                    Some(below) => (at, other) = (other, below),
                    None => break,
                }
            }
        }
    }
    // Up again: every member on the way has another right child than before.
    loop {
        settle(at);
        if at == root {
            return Some(root);
        }
        match at.links().parent.get() {
            Some(parent) => at = parent,
            None => return Some(at),
        }
    }
}

/// Restores the leftist order of a member's children, and its rank; whether the rank changed.
fn settle<T: Member>(member: Ptr<T>) -> bool {
    let links = member.links();
    let (left, right) = (links.left.get(), links.right.get());
    if rank(left) < rank(right) {
        links.left.set(right);
        links.right.set(left);
    }
    let new = rank(links.right.get()) + 1;
    links.rank.replace(new) != new
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use super::*;
    use crate::ptr::tests::leak;
    use proptest::prelude::*;
    use std::collections::HashSet;
    use std::vec::Vec;

    struct Item {
        key: Cell<u64>,
        links: Links<Item>,
    }
    impl Member for Item {
        fn links(&self) -> &Links<Item> {
            &self.links
        }
        fn before(&self, other: &Item) -> bool {
            self.key.get() < other.key.get()
        }
    }

    /// The members below `root`, and that they are a well-formed heap: order, parents, leftist, ranks.
    pub(crate) fn members<T: Member>(root: Option<Ptr<T>>) -> Vec<Ptr<T>> {
        fn walk<T: Member>(at: Option<Ptr<T>>, parent: Option<Ptr<T>>, out: &mut Vec<Ptr<T>>) -> u8 {
            let Some(at) = at else { return 0 };
            let links = at.links();
            assert!(links.inside.get() && links.parent.get() == parent, "parent or membership");
            assert!(parent.is_none_or(|p| !at.before(&p)), "a child before its parent");
            out.push(at);
            let left = walk(links.left.get(), Some(at), out);
            let right = walk(links.right.get(), Some(at), out);
            assert!(left >= right, "not leftist");
            assert_eq!(links.rank.get(), right + 1, "rank");
            right + 1
        }
        let mut out = Vec::new();
        walk(root, None, &mut out);
        out
    }

    fn item(key: u64) -> Ptr<Item> {
        let item: Ptr<Item> = leak();
        item.key.set(key);
        item
    }

    /// A heap's shape and keys: before each member's children its key and one, 0 where there is none.
    type Shape = Vec<u8>;
    fn shape(at: Option<Ptr<Item>>, out: &mut Shape) {
        match at {
            None => out.push(0),
            Some(at) => {
                out.push(at.key.get() as u8 + 1);
                shape(at.links.left.get(), out);
                shape(at.links.right.get(), out);
            }
        }
    }
    /// Builds a shape of the items, which are taken in that order.
    fn build(
        shape: &mut impl Iterator<Item = u8>,
        items: &mut impl Iterator<Item = Ptr<Item>>,
        parent: Option<Ptr<Item>>,
    ) -> Option<Ptr<Item>> {
        let key = shape.next().filter(|key| *key > 0)?;
        let item = items.next().unwrap();
        item.key.set(u64::from(key) - 1);
        item.links.inside.set(true);
        item.links.parent.set(parent);
        item.links.left.set(build(shape, items, Some(item)));
        item.links.right.set(build(shape, items, Some(item)));
        item.links.rank.set(rank(item.links.right.get()) + 1);
        Some(item)
    }

    /// All heaps of up to seven members and four keys that insertions and removals of any member lead to: each is well
    /// formed, and holds what was put in and not taken out.
    #[test]
    #[cfg_attr(miri, ignore = "takes too long there")]
    fn every_small_heap_is_well_formed() {
        const KEYS: u8 = 4;
        const MOST: usize = 7;
        let items: Vec<_> = (0..=MOST).map(|_| item(0)).collect();
        let mut seen: HashSet<Shape> = HashSet::from([std::vec![0]]);
        let mut todo: Vec<Shape> = std::vec![std::vec![0]];
        let mut steps = 0u64;
        while let Some(from) = todo.pop() {
            let size = from.iter().filter(|k| **k > 0).count();
            let inserted = if size < MOST { KEYS } else { 0 };
            for step in 0..inserted + size as u8 {
                let heap = Heap {
                    root: Cell::new(build(&mut from.iter().copied(), &mut items.iter().copied(), None)),
                };
                let mut expected: Vec<u64> = items[..size].iter().map(|m| m.key.get()).collect();
                if step < inserted {
                    let new = items[MOST];
                    new.key.set(step.into());
                    [&new.links.left, &new.links.right, &new.links.parent]
                        .iter()
                        .for_each(|link| link.set(None));
                    heap.insert(new);
                    expected.push(step.into());
                } else {
                    let gone = items[(step - inserted) as usize];
                    heap.remove(gone);
                    assert!(!gone.links.is_inside());
                    expected.remove((step - inserted) as usize);
                }
                let mut found: Vec<u64> = members(heap.first()).iter().map(|m| m.key.get()).collect();
                found.sort_unstable();
                expected.sort_unstable();
                assert_eq!(found, expected, "step {step} from {from:?}");
                let mut to = Shape::new();
                shape(heap.first(), &mut to);
                if seen.insert(to.clone()) {
                    todo.push(to);
                }
                steps += 1;
            }
        }
        std::println!("{} heaps, {steps} steps", seen.len());
        assert!(seen.len() > 10_000);
    }

    proptest! {
        #[test]
        fn members_come_out_in_order(keys in prop::collection::vec(0u64..50, 1..200), out in prop::collection::vec(0usize..200, 0..150)) {
            let heap = Heap::new();
            let mut inside: Vec<_> = keys.iter().map(|k| item(*k)).collect();
            inside.iter().for_each(|m| heap.insert(*m));
            for at in out {
                if inside.is_empty() { break }
                heap.remove(inside.remove(at % inside.len()));
            }
            prop_assert_eq!(members(heap.first()).len(), inside.len());
            let mut expected: Vec<_> = inside.iter().map(|m| m.key.get()).collect();
            expected.sort_unstable();
            let popped: Vec<_> = core::iter::from_fn(|| heap.pop()).map(|m| m.key.get()).collect();
            prop_assert_eq!(popped, expected);
        }

        /// The longest way that is walked grows with the logarithm, in a heap that was made to be as lopsided as can be.
        #[test]
        fn the_right_spine_is_short(falling in any::<bool>()) {
            let (heap, many) = (Heap::new(), if cfg!(miri) { 64u64 } else { 4096 });
            for i in 0..many {
                heap.insert(item(if falling { many - i } else { i }));
            }
            prop_assert!(u32::from(rank(heap.first())) <= many.ilog2() + 1);
        }
    }
}
