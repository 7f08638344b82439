//! The derivation list: links, order, completeness, cover.
use super::rules::{Broken, Caps, LONGEST, address, holds, slot_at, slots_inside};
use crate::cap::Cap;
use crate::machine::Machine;
use crate::node::MAX_IRQS;
use crate::object::Slot;
use crate::ptr::Ptr;
use crate::slot;

pub fn check<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let listed = links(caps)?;
    order(caps)?;
    let own = own_slots(m)?;
    cover(m, caps)?;
    complete(caps, own, listed)?;
    interrupts(m, caps)
}

/// The list is linked both ways and has no empty slots. How long it is.
fn links(caps: Caps) -> Result<usize, Broken> {
    let anchor = caps.anchor;
    holds(
        anchor.is_empty() && anchor.prev.get().is_none(),
        "the list begins with the anchor",
        anchor.addr(),
    )?;
    let (mut before, mut count) = (anchor, 0);
    while let Some(slot) = before.next() {
        let at = slot.addr();
        holds(slot.prev.get() == Some(before), "neighbours in the derivation list name each other", at)?;
        holds(!slot.is_empty(), "an empty slot is not in the derivation list", at)?;
        count += 1;
        holds(count < LONGEST, "the derivation list is no circle", at)?;
        before = slot;
    }
    Ok(count)
}

/// Memory stands from the highest address down, what is inside an untyped behind it: neighbours tell for all.
fn order(caps: Caps) -> Result<(), Broken> {
    let mut before: Option<Ptr<Slot>> = None;
    for slot in caps.slots().filter(|slot| slot.cap().region().is_some()) {
        if let Some(before) = before.replace(slot) {
            follows(before, slot)?;
        }
    }
    Ok(())
}

fn follows(before: Ptr<Slot>, slot: Ptr<Slot>) -> Result<(), Broken> {
    let (outer, inner) = (before.cap(), slot.cap());
    let (Some((start, bits)), Some((base, inner_bits))) = (outer.region(), inner.region()) else {
        return Ok(());
    };
    let (end, inner_end) = (start + (1u64 << bits), base + (1u64 << inner_bits));
    let at = slot.addr();
    if inner_end <= start {
        return Ok(());
    }
    holds(start <= base && inner_end <= end, "objects do not overlap, and stand in the order of memory", at)?;
    match outer {
        Cap::Untyped { free, .. } => {
            holds(inner_end <= start + free, "what is in an untyped lies below its free index", at)?;
            holds(slot::is_parent_of(&before, &slot), "an untyped is the parent of what is in it", at)
        }
        _ => holds(outer.same_object(&inner), "an object's memory is no other object's", at),
    }
}

/// The kernel's own slots, of interrupts: how many are occupied. Only an interrupt with a handler has something in it.
fn own_slots<M: Machine>(m: M) -> Result<usize, Broken> {
    let mut occupied = 0;
    for irq in 0..MAX_IRQS as u32 {
        if let Some(slot) = m.shared().irq_slot(irq).filter(|slot| !slot.is_empty()) {
            occupied += 1;
            holds(
                m.shared().irq_active(irq).get(),
                "an interrupt without handler signals nobody",
                slot.addr(),
            )?;
        }
    }
    Ok(occupied)
}

/// Every slot of the list is one of an object that a capability designates.
fn cover<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let (Some(first), Some(last)) = (m.shared().irq_slot(0), m.shared().irq_slot(MAX_IRQS as u32 - 1)) else {
        return Ok(());
    };
    let mut known = (first.addr(), last.addr() + size_of::<Slot>());
    let own = known;
    for slot in caps.slots() {
        let at = slot.addr();
        let inside = |(start, end): (usize, usize)| (start..end).contains(&at);
        if inside(known) || inside(own) {
            continue;
        }
        let holder = caps
            .all()
            .filter_map(|cap| slots_inside(&cap))
            .map(|(start, count)| (start, start + count * size_of::<Slot>()))
            .find(|range| inside(*range));
        holds(holder.is_some(), "every slot is in memory that a capability covers", at)?;
        known = holder.unwrap_or(known);
    }
    Ok(())
}

/// Every occupied slot of an object is in the list.
fn complete(caps: Caps, own: usize, listed: usize) -> Result<(), Broken> {
    let mut occupied = own;
    for (first, count) in caps.objects().filter_map(|cap| slots_inside(&cap)) {
        // Larger CNodes than a small machine's memory are not looked into slot by slot.
        if count > LONGEST {
            return Ok(());
        }
        occupied += (0..count).filter(|i| !slot_at(first + i * size_of::<Slot>()).is_empty()).count();
    }
    holds(occupied == listed, "every occupied slot is in the derivation list, once", caps.anchor.addr())
}

/// A handler's interrupt is active; all its capabilities stand together; nothing else is active.
fn interrupts<M: Machine>(m: M, caps: Caps) -> Result<(), Broken> {
    let mut handlers = 0;
    for cap in caps.objects() {
        let Cap::IrqHandler { irq } = cap else { continue };
        handlers += 1;
        let at = m.shared().irq_slot(irq).map_or(0, |slot| slot.addr());
        holds(m.shared().irq_active(irq).get(), "an interrupt with a handler is active", at)?;
        let runs = caps.objects().filter(|other| other.same_object(&cap)).count();
        holds(runs == 1, "the capabilities to a handler stand together", at)?;
    }
    let active = m.shared().irq_active.iter().filter(|active| active.get()).count();
    holds(active == handlers, "an active interrupt has a handler", address(0))
}
