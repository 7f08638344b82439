//! Address spaces, ports and interrupts of random invocations.
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
    op(PDPT_MAP, Table, &[VSpace], &[Address, Attributes]),
    op(PDPT_UNMAP, Table, &[], &[]),
    op(PAGE_DIRECTORY_MAP, Table, &[VSpace], &[Address, Attributes]),
    op(PAGE_DIRECTORY_UNMAP, Table, &[], &[]),
    op(PAGE_TABLE_MAP, Table, &[VSpace], &[Address, Attributes]),
    op(PAGE_TABLE_UNMAP, Table, &[], &[]),
    op(PAGE_MAP, Frame, &[VSpace], &[Address, VmRights, Attributes]),
    op(PAGE_MAP, Frame, &[VSpace], &[Address, VmRights, Attributes]),
    op(PAGE_UNMAP, Frame, &[], &[]),
    op(PAGE_GET_ADDRESS, Frame, &[], &[]),
    op(ASID_CONTROL_MAKE_POOL, AsidControl, &[Untyped, CNode], &[Empty, Depth]),
    op(ASID_POOL_ASSIGN, AsidPool, &[VSpace], &[]),
];

/// The label of one way to a handler,
pub const ISSUE: u64 = IRQ_ISSUE_HANDLER_IOAPIC;
/// and of the other.
pub const ISSUE_TRIGGER: u64 = IRQ_ISSUE_HANDLER_MSI;

/// Of IRQControl.
pub const INTERRUPT_OPS: &[Op] = &[
    op(IRQ_ISSUE_HANDLER_IOAPIC, Irq, &[CNode], &[Empty, Depth, Flags, Interrupt, Flags, Flags, Interrupt]),
    op(IRQ_ISSUE_HANDLER_MSI, Irq, &[CNode], &[Empty, Depth, Flags, Flags, Flags, Flags, Interrupt]),
];

/// Which tables are mapped at address 0 at first, from the top, and by which label.
pub const TABLES_AT_FIRST: &[(u64, u64)] = &[(20, PDPT_MAP), (21, PAGE_DIRECTORY_MAP), (22, PAGE_TABLE_MAP)];

/// Makes the tables in slots 20 to 23.
///
/// # Errors
/// Of the first that cannot be made.
pub fn retype_tables(make: impl Fn(u64, u64) -> Result<(), Error>) -> Result<(), Error> {
    let kinds = [kind::PDPT, kind::PAGE_DIRECTORY, kind::PAGE_TABLE, kind::PAGE_TABLE];
    (20..24).zip(kinds).try_for_each(|(at, kind)| make(kind, at))
}

/// A handler of a pin that nothing is connected to.
///
/// # Errors
/// Of the kernel.
pub fn interrupt(cnode: CPtr, at: u64, depth: u64) -> Result<(), Error> {
    let words = [at, depth, 0, 19, 1, 1, 19];
    w::invoke(init::IRQ_CONTROL, IRQ_ISSUE_HANDLER_IOAPIC, &[cnode], &words).map(drop)
}
