//! Address spaces and interrupts of random invocations.
use crate::ops::Kind::*;
use crate::ops::Word::*;
use crate::ops::{Op, op};
use crate::world as w;
use sel4_sys::cap::init;
use sel4_sys::label::*;
use sel4_sys::object::kind;
use sel4_sys::{CPtr, Error};

/// Each label with what it takes.
pub const OPS: &[Op] = &[
    op(VSPACE_CLEAN, VSpace, &[], &[Address, Address]),
    op(VSPACE_INVALIDATE, VSpace, &[], &[Address, Address]),
    op(VSPACE_CLEAN_INVALIDATE, VSpace, &[], &[Address, Address]),
    op(VSPACE_UNIFY, VSpace, &[], &[Address, Address]),
    op(PAGE_TABLE_MAP, Table, &[VSpace], &[Address, Attributes]),
    op(PAGE_TABLE_UNMAP, Table, &[], &[]),
    op(PAGE_MAP, Frame, &[VSpace], &[Address, VmRights, Attributes]),
    op(PAGE_MAP, Frame, &[VSpace], &[Address, VmRights, Attributes]),
    op(PAGE_UNMAP, Frame, &[], &[]),
    op(PAGE_CLEAN, Frame, &[], &[Offset, Offset]),
    op(PAGE_INVALIDATE, Frame, &[], &[Offset, Offset]),
    op(PAGE_CLEAN_INVALIDATE, Frame, &[], &[Offset, Offset]),
    op(PAGE_UNIFY, Frame, &[], &[Offset, Offset]),
    op(PAGE_GET_ADDRESS, Frame, &[], &[]),
    op(ASID_CONTROL_MAKE_POOL, AsidControl, &[Untyped, CNode], &[Empty, Depth]),
    op(ASID_POOL_ASSIGN, AsidPool, &[VSpace], &[]),
];

/// The label of one way to a handler,
pub const ISSUE: u64 = IRQ_ISSUE_HANDLER;
/// and of the other.
pub const ISSUE_TRIGGER: u64 = IRQ_ISSUE_HANDLER_TRIGGER;

/// Of IRQControl.
pub const INTERRUPT_OPS: &[Op] = &[
    op(IRQ_ISSUE_HANDLER, Irq, &[CNode], &[Interrupt, Empty, Depth]),
    op(IRQ_ISSUE_HANDLER_TRIGGER, Irq, &[CNode], &[Interrupt, Flags, Empty, Depth]),
];

/// Which tables are mapped at address 0 at first, from the top, and by which label.
pub const TABLES_AT_FIRST: &[(u64, u64)] =
    &[(20, PAGE_TABLE_MAP), (21, PAGE_TABLE_MAP), (22, PAGE_TABLE_MAP)];

/// Makes the tables in slots 20 to 23.
///
/// # Errors
/// Of the first that cannot be made.
pub fn retype_tables(make: impl Fn(u64, u64) -> Result<(), Error>) -> Result<(), Error> {
    (20..24).try_for_each(|at| make(kind::PAGE_TABLE, at))
}

/// A handler of a line that nothing is connected to.
///
/// # Errors
/// Of the kernel.
pub fn interrupt(cnode: CPtr, at: u64, depth: u64) -> Result<(), Error> {
    w::invoke(init::IRQ_CONTROL, IRQ_ISSUE_HANDLER, &[cnode], &[70, at, depth]).map(drop)
}
