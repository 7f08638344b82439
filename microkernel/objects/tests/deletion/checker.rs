//! What has to be true after every step, written from what the kernel promises and not from how deletion works. Links are read
//! as words of memory, not with the functions under test.
use crate::representation;
use crate::subject;
use crate::world::{Kind, OBJECT, USER, World, slot_at};
use axiom_objects::{Cap, Ptr, Slot, slot};

/// A slot as its four words are.
#[derive(Clone, Copy)]
pub struct Seen {
    pub at: usize,
    pub cap: Cap,
    empty: bool,
    prev: usize,
    next: usize,
    /// The piece of memory whose object the capability designates.
    pub names: Option<usize>,
    /// The piece that the slot is in.
    pub inside: Option<usize>,
}

fn look(world: &World, at: Ptr<Slot>) -> Seen {
    let words = std::ptr::with_exposed_provenance::<[u64; 4]>(at.addr());
    // SAFETY: a slot is 32 bytes of the world's allocation.
    let [w0, _, prev, next] = unsafe { *words };
    let cap = at.cap();
    let empty = w0 == 0;
    let named = match cap {
        Cap::Untyped { device: false, .. } | Cap::Null => None,
        other => other.region(),
    };
    let names = named.and_then(|(base, _)| world.piece_of(base as usize));
    Seen {
        at: at.addr(),
        cap,
        empty,
        prev: prev as usize,
        next: next as usize & !31,
        names,
        inside: world.piece_of(at.addr()),
    }
}

/// Everything that is known of a state.
pub struct Report {
    seen: Vec<Seen>,
    /// Capabilities that are not zombies; zombies outside their own object; slots left, zombies and waiting threads.
    pub measure: (u64, u64, u64),
    /// Pieces whose object is a zombie.
    pub zombies: Vec<usize>,
}

/// Checks the state; what is wrong with it otherwise.
pub fn check(world: &World) -> Result<Report, String> {
    let seen: Vec<Seen> = world.slots().map(|s| look(world, s)).collect();
    let is_slot_memory = |s: &Seen| s.inside.is_none_or(|p| world.holds(p) == OBJECT);
    // Memory that became user memory has no slots: whatever is there is not looked at, unless somebody refers to it.
    let occupied: Vec<Seen> = seen.iter().copied().filter(|s| is_slot_memory(s) && !s.empty).collect();
    let find = |at: usize| occupied.iter().find(|s| s.at == at);
    let covered = |p: usize| occupied.iter().any(|s| s.names == Some(p));
    for s in &occupied {
        if let Some(p) = s.inside
            && !covered(p)
        {
            return Err(format!(
                "slot {} is in memory that no capability covers: {:?}",
                number(world, s.at),
                s.cap
            ));
        }
        for (name, link, back) in [("next", s.next, true), ("previous", s.prev, false)] {
            if link == 0 {
                continue;
            }
            let Some(other) = find(link) else {
                return Err(format!(
                    "the {name} link of slot {} leads to no occupied slot",
                    number(world, s.at)
                ));
            };
            if if back { other.prev != s.at } else { other.next != s.at } {
                return Err(format!("the {name} link of slot {} is not answered", number(world, s.at)));
            }
        }
    }
    for (p, kind) in world.spec.kinds.iter().enumerate() {
        if world.waiting(p) > 0 && !covered(p) {
            return Err(format!("threads wait for the notification that was in piece {p}"));
        }
        let only_zombie = occupied.iter().any(|s| s.names == Some(p) && subject::is_zombie(&s.cap));
        if *kind == Kind::Tcb && world.runs(p) && (only_zombie || !covered(p)) {
            return Err(format!("the thread in piece {p} runs without a capability to it"));
        }
    }
    complete(world, &occupied)?;
    objects(world, &occupied)?;
    untypeds(world, &occupied)?;
    representation::check(world, &occupied)?;
    Ok(summary(world, occupied))
}

pub fn number(world: &World, at: usize) -> usize {
    world.slots().position(|s| s.addr() == at).unwrap_or(usize::MAX)
}

/// Every occupied slot is reached from the heads of the lists, once.
fn complete(world: &World, occupied: &[Seen]) -> Result<(), String> {
    let mut reached = 0;
    for head in occupied.iter().filter(|s| s.prev == 0) {
        let mut at = Some(head);
        while let Some(s) = at {
            reached += 1;
            at = occupied.iter().find(|o| s.next != 0 && o.at == s.next);
        }
    }
    if reached != occupied.len() {
        return Err(format!("{} of {} occupied slots are in the derivation list", reached, occupied.len()));
    }
    let heads = occupied.iter().filter(|s| s.prev == 0).count();
    let expected = if world.spec.parent { 1 } else { world.piece_count() };
    if heads > expected && !world.spec.deletes_untypeds {
        return Err(format!("the derivation list is in {heads} parts instead of {expected}"));
    }
    Ok(())
}

/// Capabilities designate what the memory holds; a zombie is the only capability to its object.
fn objects(world: &World, occupied: &[Seen]) -> Result<(), String> {
    for s in occupied {
        let Some(p) = s.names else {
            if !matches!(s.cap, Cap::Untyped { device: false, .. }) {
                return Err(format!("slot {} designates nothing: {:?}", number(world, s.at), s.cap));
            }
            continue;
        };
        let fits = match (s.cap, world.spec.kinds[p]) {
            (Cap::Untyped { .. }, _) => world.holds(p) == USER,
            (_, _) if world.holds(p) != OBJECT => false,
            (Cap::CNode { radix, .. }, Kind::CNode(r)) => radix == r,
            (Cap::Tcb { .. }, Kind::Tcb)
            | (Cap::Timer { .. }, Kind::Timer)
            | (Cap::Notification { .. }, Kind::Notification(_)) => true,
            (cap, _) => subject::is_zombie(&cap),
        };
        if !fits {
            return Err(format!(
                "slot {} designates what the memory does not hold: {:?}",
                number(world, s.at),
                s.cap
            ));
        }
        if !subject::is_zombie(&s.cap) {
            continue;
        }
        if occupied.iter().any(|o| o.at != s.at && o.names == s.names) {
            return Err(format!(
                "the zombie in slot {} is not the only capability to its object",
                number(world, s.at)
            ));
        }
    }
    Ok(())
}

/// What the kernel takes for an untyped without children has nothing in its memory that anything designates.
fn untypeds(world: &World, occupied: &[Seen]) -> Result<(), String> {
    for s in occupied {
        let Cap::Untyped { device: false, .. } = s.cap else { continue };
        if slot::first_child(slot_at(s.at)).is_some() {
            continue;
        }
        let region = s.cap.region().unwrap_or_default();
        let inside = |o: &&Seen| {
            o.at != s.at
                && !contains(o.cap.region(), region)
                && contains(Some(region), o.cap.region().unwrap_or((0, 0)))
        };
        let named = |o: &&Seen| {
            !matches!(o.cap, Cap::Untyped { device: false, .. }) && o.cap.region() == Some(region)
        };
        if let Some(o) = occupied.iter().find(|o| inside(o) || named(o)) {
            return Err(format!(
                "the untyped in slot {} could be retyped although slot {} refers to its memory",
                number(world, s.at),
                number(world, o.at)
            ));
        }
    }
    Ok(())
}

fn contains(outer: Option<(u64, u32)>, inner: (u64, u32)) -> bool {
    outer.is_some_and(|(base, bits)| inner.0 >= base && inner.0 + (1 << inner.1) <= base + (1 << bits))
}

fn summary(world: &World, seen: Vec<Seen>) -> Report {
    let zombies: Vec<usize> =
        seen.iter().filter(|s| subject::is_zombie(&s.cap)).filter_map(|s| s.names).collect();
    let live = seen.len() - zombies.len();
    let abroad = seen.iter().filter(|s| subject::left(&s.cap).is_some() && s.inside != s.names).count();
    let left: u64 = seen.iter().filter_map(|s| subject::left(&s.cap)).sum();
    let waiting: usize = (0..world.piece_count()).map(|p| world.waiting(p)).sum();
    Report { measure: (live as u64, abroad as u64, left + (zombies.len() + waiting) as u64), zombies, seen }
}

impl Report {
    /// The most steps that a deletion may take from here, by the stated constant: from the slots and objects below the target.
    pub fn bound(&self, world: &World, target: usize, revoke: bool) -> u64 {
        let Some(start) = self.seen.iter().find(|s| s.at == target) else { return 1 };
        let mut below: Vec<usize> = Vec::new();
        let mut children = 0;
        if revoke {
            for s in &self.seen {
                let inside = match (start.cap.region(), s.cap.region()) {
                    (Some(outer), Some(inner)) => contains(Some(outer), inner),
                    _ => false,
                };
                if inside && s.at != start.at {
                    children += 1;
                    below.extend(s.names);
                }
            }
        } else {
            below.extend(start.names);
        }
        let mut at = 0;
        while at < below.len() {
            let piece = below[at];
            let ring = self.seen.iter().filter(|s| s.names == Some(piece) && subject::left(&s.cap).is_some());
            let ring = ring.flat_map(|s| {
                std::iter::successors(Some(s.at), |a| Some(subject::neighbours(slot_at(*a)).0.addr()))
                    .take(self.seen.len())
                    .filter_map(|at| self.seen.iter().find(|o| o.at == at).and_then(|o| o.names))
            });
            let inside = self.seen.iter().filter(|s| s.inside == Some(piece)).filter_map(|s| s.names);
            let found: Vec<usize> = ring.chain(inside).collect();
            for p in found {
                if !below.contains(&p) {
                    below.push(p);
                }
            }
            at += 1;
        }
        below.sort_unstable();
        below.dedup();
        let slots: usize = below.iter().map(|p| world.piece_slots(*p).1).sum();
        let waiting: usize = below.iter().map(|p| world.waiting(*p)).sum();
        (2 * slots + 3 * below.len() + waiting + 2 * children + 2) as u64
    }

    /// What a deletion that says it is done has left; nothing, if it did not.
    pub fn left_over(&self, before: &Report, world: &World, target: usize, revoke: bool) -> Option<String> {
        if let Some(new) = self.zombies.iter().find(|z| !before.zombies.contains(z)) {
            return Some(format!("the object in piece {new} is half deleted"));
        }
        let now = self.seen.iter().find(|s| s.at == target);
        let then = before.seen.iter().find(|s| s.at == target)?;
        if !revoke {
            if now.is_some() {
                return Some("the slot is not empty".into());
            }
            // All that belonged to a half-done deletion is gone with it.
            if subject::left(&then.cap).is_some() && then.names.is_some_and(|p| self.zombies.contains(&p)) {
                return Some("the zombie is not gone".into());
            }
            return None;
        }
        let region = now.filter(|n| n.cap.same_region(&then.cap))?.cap.region()?;
        let other =
            |s: &&Seen| s.at != target && s.cap.region().is_some_and(|inner| contains(Some(region), inner));
        let is_untyped = matches!(then.cap, Cap::Untyped { device: false, .. });
        self.seen
            .iter()
            .find(|s| is_untyped && other(s) && (s.names.is_some() || !contains(s.cap.region(), region)))
            .map(|s| format!("slot {} still holds {:?}", number(world, s.at), s.cap))
    }
}
