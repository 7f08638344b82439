//! Preemption points of long invocations.
use crate::fault;
use crate::machine::Machine;
use crate::sched;

/// The invocation stopped half way because something more urgent waits; the thread makes it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preempted;

/// Now and then asks whether something more urgent waits; the invocation is then made again.
pub fn preemption_point<M: Machine>(m: M) -> Result<(), Preempted> {
    if m.looks_up() {
        sched::update_timestamp(m);
        // Both are looked at: with an interrupt pending the budget may be spent too, and its thread may not go on.
        let has_budget = fault::deliver(m, sched::check_budget(m.node()));
        if !has_budget || m.interrupt_pending() {
            return Err(Preempted);
        }
    }
    Ok(())
}
