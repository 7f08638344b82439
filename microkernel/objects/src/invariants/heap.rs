//! Leftist heaps: order, parents, ranks.
use super::rules::{Broken, LONGEST, holds};
use crate::heap::{Links, Member};
use crate::ptr::Ptr;

/// Looks at every member of a heap, from its root on; how many there are.
pub fn each<T: Member>(
    root: Option<Ptr<T>>,
    mut rule: impl FnMut(Ptr<T>) -> Result<(), Broken>,
) -> Result<usize, Broken> {
    if let Some(root) = root {
        holds(root.links().parent().is_none(), "the root of a heap has no parent", root.addr())?;
    }
    let (mut inside, mut steps) = (0, 0);
    // Down to the left as far as it goes, then up to the next that has a right child: no stack is needed.
    let (mut at, mut from) = (root, None::<Ptr<T>>);
    while let Some(member) = at {
        let links = member.links();
        let entered = from.is_none() || from == links.parent();
        steps += 1;
        holds(steps < LONGEST, "a heap is no circle", member.addr())?;
        if entered {
            inside += 1;
            well_formed(member)?;
            rule(member)?;
        }
        let next = match (links.left().filter(|_| entered), links.right()) {
            (Some(left), _) => Some(left),
            (None, Some(right)) if from != Some(right) => Some(right),
            _ => links.parent(),
        };
        (at, from) = (next, Some(member));
    }
    Ok(inside)
}

fn well_formed<T: Member>(member: Ptr<T>) -> Result<(), Broken> {
    let (at, links) = (member.addr(), member.links());
    holds(links.is_inside(), "a member of a heap knows that", at)?;
    let rank = |child: Option<Ptr<T>>| child.map_or(0, |child| child.links().rank());
    for child in [links.left(), links.right()].into_iter().flatten() {
        holds(child.links().parent() == Some(member), "a member of a heap knows its parent", at)?;
        holds(!child.before(&member), "no member of a heap comes before its parent", at)?;
    }
    holds(rank(links.left()) >= rank(links.right()), "a heap leans to the left", at)?;
    holds(links.rank() == rank(links.right()) + 1, "a member's rank is its right spine's length", at)
}

/// What a member that is inside of whatever heap is linked to.
pub fn neighbours<T>(links: &Links<T>) -> impl Iterator<Item = Ptr<T>> {
    [links.left(), links.right(), links.parent()].into_iter().flatten()
}
