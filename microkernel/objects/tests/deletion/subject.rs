//! The one place that knows the algorithm under test and how it represents a zombie.
use axiom_objects::fake::FakeWorld;
use axiom_objects::zombie::{self, Zombie};
use axiom_objects::{Cap, Ptr, Slot, delete};
use std::rc::Rc;

/// Whether the measure of `checker` has to fall with every step.
pub const HAS_MEASURE: bool = true;

/// What an invocation asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Long {
    Delete,
    Revoke,
}

/// Runs an invocation; true when it says that it is done. `at_point` is called at every preemption point and says whether to
/// go on.
pub fn run(machine: &FakeWorld, long: Long, target: Ptr<Slot>, at_point: Rc<dyn Fn() -> bool>) -> bool {
    machine.preempt_when(move || !at_point());
    let result = match long {
        Long::Delete => delete::delete(machine, target),
        Long::Revoke => delete::revoke(machine, target),
    };
    machine.preempt_never();
    result.is_ok()
}

/// How many slots a slot-holding zombie has left to empty.
pub fn left(cap: &Cap) -> Option<u64> {
    match cap {
        Cap::Zombie(z) if z.holds_slots() => Some(z.left()),
        _ => None,
    }
}

/// Whether the capability is a zombie.
pub fn is_zombie(cap: &Cap) -> bool {
    matches!(cap, Cap::Zombie(_))
}

/// Whether it is a zombie that another one is responsible for.
pub fn is_member(at: Ptr<Slot>) -> bool {
    Zombie::in_slot(&at).is_some_and(Zombie::is_member)
}

/// The neighbours in a zombie's ring: next and previous.
pub fn neighbours(at: Ptr<Slot>) -> (Ptr<Slot>, Ptr<Slot>) {
    (zombie::next(at), zombie::prev(at))
}
