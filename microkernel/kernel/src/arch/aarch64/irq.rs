//! The interrupt controller that the device tree names.
use super::controller::Gic;
use super::cpu::read;
use axiom_objects::arch::interrupts::Route;
use core::cell::Cell;

struct State(Cell<Option<Gic>>);
// SAFETY: written once at boot; one core runs in the kernel at a time.
unsafe impl Sync for State {}
static STATE: State = State(Cell::new(None));

/// Uses this controller, which is initialised.
pub fn init(gic: Gic) {
    STATE.0.set(Some(gic));
}

#[inline(always)]
fn with<T>(default: T, f: impl FnOnce(Gic) -> T) -> T {
    match STATE.0.get() {
        Some(gic) => f(gic),
        None => default,
    }
}

/// Highest interrupt number that can be handed out.
pub fn max() -> u32 {
    with(0, |g| g.lines() - 1)
}

/// What the controller says of itself: type, implementer.
pub fn identity() -> (u32, u32) {
    with((0, 0), |g| g.identity())
}

/// Takes the most urgent pending interrupt.
#[inline(always)]
pub fn acknowledge() -> Option<u32> {
    with(None, |g| g.acknowledge())
}

/// The kernel has dealt with an acknowledged interrupt.
#[inline(always)]
pub fn complete(irq: u32) {
    with((), |g| g.complete(irq));
}

/// Keeps a line from interrupting.
pub fn mask(irq: u32) {
    with((), |g| g.mask(irq));
}

/// Lets a line interrupt.
pub fn unmask(irq: u32) {
    with((), |g| g.unmask(irq));
}

/// [`mask`], until the handler of an interrupt that came acknowledges it.
#[inline(always)]
pub fn hold(irq: u32) {
    mask(irq);
}

/// Edge or level.
pub fn route(irq: u32, route: Route) {
    with((), |g| g.set_trigger(irq, route.edge));
}

/// Whether an interrupt waits to be taken: asked at preemption points.
#[inline(always)]
pub fn is_pending() -> bool {
    crate::stretch::split();
    read!("isr_el1") & 1 << 7 != 0
}
