//! What a random invocation is drawn from: what each label takes, and from which pool each argument comes.

/// What a capability is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whatever there is.
    Any,
    /// CNode.
    CNode,
    /// Thread.
    Tcb,
    /// Endpoint.
    Endpoint,
    /// Notification.
    Notification,
    /// Reply object.
    Reply,
    /// Scheduling context.
    Context,
    /// Untyped memory.
    Untyped,
    /// Root of an address space.
    VSpace,
    /// Page table.
    Table,
    /// Frame.
    Frame,
    /// ASIDControl.
    AsidControl,
    /// ASID pool.
    AsidPool,
    /// SchedControl.
    SchedControl,
    /// Domain.
    Domain,
    /// IRQHandler.
    Irq,
}

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A slot of the scene's CNode that is occupied at first.
    Slot,
    /// One that is empty at first.
    Empty,
    /// Bits of a slot's address.
    Depth,
    /// Bits of a CNode's address, none for the one that is given.
    NodeDepth,
    /// Rights of a capability.
    Rights,
    /// A badge, or a CNode's guard.
    Data,
    /// An object type.
    Type,
    /// Size of an object, bits.
    Bits,
    /// How many.
    Count,
    /// Flags, switches, numbers of registers.
    Flags,
    /// A priority.
    Priority,
    /// Microseconds.
    Time,
    /// An address in user space.
    Address,
    /// Rights of a mapping.
    VmRights,
    /// Attributes of a mapping.
    Attributes,
    /// A distance in a frame.
    Offset,
    /// An interrupt.
    Interrupt,
}

/// An invocation.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Its label.
    pub label: u64,
    /// What it is for.
    pub target: Kind,
    /// The capabilities that it takes.
    pub caps: &'static [Kind],
    /// The words that it takes.
    pub words: &'static [Word],
}

/// A table's row.
pub const fn op(label: u64, target: Kind, caps: &'static [Kind], words: &'static [Word]) -> Op {
    Op { label, target, caps, words }
}
