//! What a checked kernel does besides: it looks at the invariants at every exit, and ends the [stretch](crate::stretch) there.
//! Without the feature `checked` this is empty.

#[cfg(feature = "checked")]
mod on {
    use crate::machine::Core;
    use crate::node::node;
    use crate::stretch;
    use axiom_objects::invariants;
    use core::cell::Cell;

    struct State {
        exits: Cell<u32>,
    }
    /// With the feature `whole`, the whole state is looked at once in so many exits: each reference is looked up among all capabilities.
    const WHOLE: u32 = 1 << 12;
    // SAFETY: one core runs in the kernel at a time, with interrupts masked.
    unsafe impl Sync for State {}
    static STATE: State = State { exits: Cell::new(0) };

    pub fn leave() {
        stretch::split();
        let exits = STATE.exits.get().wrapping_add(1);
        STATE.exits.set(exits);
        let is_turn = cfg!(feature = "whole") && exits.is_multiple_of(WHOLE);
        let verdict =
            if is_turn { invariants::check(Core) } else { invariants::check_running(node(), exits as usize) };
        if let Err(broken) = verdict {
            panic!("invariant broken: {broken}");
        }
    }
}

/// The kernel leaves: to a thread, or to wait for an interrupt.
#[inline(always)]
pub fn leave() {
    #[cfg(feature = "checked")]
    on::leave();
}
