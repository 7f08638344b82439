//! What this algorithm promises of its own notes, beyond what the kernel promises of deletion.
use crate::checker::{Seen, number};
use crate::subject;
use crate::world::{World, slot_at};

/// Checks the zombies' counts and rings.
pub fn check(world: &World, occupied: &[Seen]) -> Result<(), String> {
    counts(world, occupied)?;
    rings(world, occupied)
}

/// What a zombie has emptied is empty, but for the slot that the zombie is in itself.
fn counts(world: &World, occupied: &[Seen]) -> Result<(), String> {
    for s in occupied {
        let (Some(left), Some(piece)) = (subject::left(&s.cap), s.names) else { continue };
        let (base, n) = world.piece_slots(piece);
        let emptied = left as usize..n;
        let refilled =
            emptied.map(|i| base + i * 32).find(|at| *at != s.at && occupied.iter().any(|o| o.at == *at));
        if let Some(at) = refilled {
            return Err(format!("slot {} was emptied and is occupied", number(world, at)));
        }
    }
    Ok(())
}

/// Rings are closed, have one root, and their members are in their own objects' memory.
fn rings(world: &World, occupied: &[Seen]) -> Result<(), String> {
    for s in occupied.iter().filter(|s| subject::left(&s.cap).is_some()) {
        if subject::is_member(slot_at(s.at)) && s.inside != s.names {
            return Err(format!("the member in slot {} is not at home", number(world, s.at)));
        }
        let (mut roots, mut at) = (0, s.at);
        for _ in 0..=occupied.len() {
            let Some(here) = occupied.iter().find(|o| o.at == at && subject::left(&o.cap).is_some()) else {
                return Err(format!(
                    "the ring of slot {} leads to slot {}, no zombie",
                    number(world, s.at),
                    number(world, at)
                ));
            };
            roots += usize::from(!subject::is_member(slot_at(here.at)));
            let (next, _) = subject::neighbours(slot_at(at));
            if !occupied.iter().any(|o| o.at == next.addr() && subject::left(&o.cap).is_some())
                || subject::neighbours(next).1.addr() != at
            {
                return Err(format!("the ring of slot {} is not linked back", number(world, s.at)));
            }
            at = next.addr();
            if at == s.at {
                break;
            }
        }
        if at != s.at || roots != 1 {
            return Err(format!("the ring of slot {} is open or has {roots} roots", number(world, s.at)));
        }
    }
    Ok(())
}
