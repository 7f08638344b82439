//! The invocations of every architecture.
use axiom_root_test::ops::Kind::*;
use axiom_root_test::ops::Word::*;
use axiom_root_test::ops::{Op, op};
use sel4_sys::label::*;

/// Each label with what it takes.
pub const ALL: &[Op] = &[
    op(UNTYPED_RETYPE, Untyped, &[CNode], &[Type, Bits, Slot, NodeDepth, Empty, Count]),
    op(TCB_READ_REGISTERS, Tcb, &[], &[Flags, Count]),
    op(TCB_WRITE_REGISTERS, Tcb, &[], &[Flags, Count, Address, Address, Data]),
    op(TCB_COPY_REGISTERS, Tcb, &[Tcb], &[Flags]),
    op(TCB_CONFIGURE, Tcb, &[CNode, VSpace, Frame], &[Data, Data, Address]),
    op(TCB_SET_PRIORITY, Tcb, &[Tcb], &[Priority]),
    op(TCB_SET_MC_PRIORITY, Tcb, &[Tcb], &[Priority]),
    op(TCB_SET_SCHED_PARAMS, Tcb, &[Tcb, Context, Endpoint], &[Priority, Priority]),
    op(TCB_SET_TIMEOUT_ENDPOINT, Tcb, &[Endpoint], &[]),
    op(TCB_SET_IPC_BUFFER, Tcb, &[Frame], &[Address]),
    op(TCB_SET_SPACE, Tcb, &[Endpoint, CNode, VSpace], &[Data, Data]),
    op(TCB_SUSPEND, Tcb, &[], &[]),
    op(TCB_RESUME, Tcb, &[], &[]),
    op(TCB_BIND_NOTIFICATION, Tcb, &[Notification], &[]),
    op(TCB_UNBIND_NOTIFICATION, Tcb, &[], &[]),
    op(TCB_SET_TLS_BASE, Tcb, &[], &[Address]),
    op(TCB_SET_FLAGS, Tcb, &[], &[Flags, Flags]),
    op(CNODE_REVOKE, CNode, &[], &[Slot, Depth]),
    op(CNODE_DELETE, CNode, &[], &[Slot, Depth]),
    op(CNODE_CANCEL_BADGED_SENDS, CNode, &[], &[Slot, Depth]),
    op(CNODE_COPY, CNode, &[CNode], &[Empty, Depth, Slot, Depth, Rights]),
    op(CNODE_MINT, CNode, &[CNode], &[Empty, Depth, Slot, Depth, Rights, Data]),
    op(CNODE_MOVE, CNode, &[CNode], &[Empty, Depth, Slot, Depth]),
    op(CNODE_MUTATE, CNode, &[CNode], &[Empty, Depth, Slot, Depth, Data]),
    op(CNODE_ROTATE, CNode, &[CNode, CNode], &[Empty, Depth, Data, Slot, Depth, Data, Slot, Depth]),
    op(IRQ_ACK, Irq, &[], &[]),
    op(IRQ_SET_HANDLER, Irq, &[Notification], &[]),
    op(IRQ_CLEAR_HANDLER, Irq, &[], &[]),
    op(DOMAIN_SET, Domain, &[Tcb], &[Flags]),
    op(SCHED_CONTROL_CONFIGURE_FLAGS, SchedControl, &[Context], &[Time, Time, Count, Data, Flags]),
    op(SCHED_CONTEXT_BIND, Context, &[Tcb], &[]),
    op(SCHED_CONTEXT_BIND, Context, &[Notification], &[]),
    op(SCHED_CONTEXT_UNBIND, Context, &[], &[]),
    op(SCHED_CONTEXT_UNBIND_OBJECT, Context, &[Tcb], &[]),
    op(SCHED_CONTEXT_CONSUMED, Context, &[], &[]),
    op(SCHED_CONTEXT_YIELD_TO, Context, &[], &[]),
];
