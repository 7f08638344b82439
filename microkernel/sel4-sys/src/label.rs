//! Invocation labels, MCS (generated numbering of libsel4): those up to [`SCHED_CONTEXT_YIELD_TO`] are every architecture's, the others
//! the architecture's own.
pub use crate::arch::label::*;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: u64 = $value;)*
    };
}
pub(crate) use labels;

labels! {
    /// `seL4_Untyped_Retype`.
    UNTYPED_RETYPE = 1;
    /// `seL4_TCB_ReadRegisters`.
    TCB_READ_REGISTERS = 2;
    /// `seL4_TCB_WriteRegisters`.
    TCB_WRITE_REGISTERS = 3;
    /// `seL4_TCB_CopyRegisters`.
    TCB_COPY_REGISTERS = 4;
    /// `seL4_TCB_Configure`.
    TCB_CONFIGURE = 5;
    /// `seL4_TCB_SetPriority`.
    TCB_SET_PRIORITY = 6;
    /// `seL4_TCB_SetMCPriority`.
    TCB_SET_MC_PRIORITY = 7;
    /// `seL4_TCB_SetSchedParams`.
    TCB_SET_SCHED_PARAMS = 8;
    /// `seL4_TCB_SetTimeoutEndpoint`.
    TCB_SET_TIMEOUT_ENDPOINT = 9;
    /// `seL4_TCB_SetIPCBuffer`.
    TCB_SET_IPC_BUFFER = 10;
    /// `seL4_TCB_SetSpace`.
    TCB_SET_SPACE = 11;
    /// `seL4_TCB_Suspend`.
    TCB_SUSPEND = 12;
    /// `seL4_TCB_Resume`.
    TCB_RESUME = 13;
    /// `seL4_TCB_BindNotification`.
    TCB_BIND_NOTIFICATION = 14;
    /// `seL4_TCB_UnbindNotification`.
    TCB_UNBIND_NOTIFICATION = 15;
    /// `seL4_TCB_SetTLSBase`.
    TCB_SET_TLS_BASE = 16;
    /// `seL4_TCB_SetFlags`.
    TCB_SET_FLAGS = 17;
    /// `seL4_CNode_Revoke`.
    CNODE_REVOKE = 18;
    /// `seL4_CNode_Delete`.
    CNODE_DELETE = 19;
    /// `seL4_CNode_CancelBadgedSends`.
    CNODE_CANCEL_BADGED_SENDS = 20;
    /// `seL4_CNode_Copy`.
    CNODE_COPY = 21;
    /// `seL4_CNode_Mint`.
    CNODE_MINT = 22;
    /// `seL4_CNode_Move`.
    CNODE_MOVE = 23;
    /// `seL4_CNode_Mutate`.
    CNODE_MUTATE = 24;
    /// `seL4_CNode_Rotate`.
    CNODE_ROTATE = 25;
    /// `seL4_IRQControl_Get`.
    IRQ_ISSUE_HANDLER = 26;
    /// `seL4_IRQHandler_Ack`.
    IRQ_ACK = 27;
    /// `seL4_IRQHandler_SetNotification`.
    IRQ_SET_HANDLER = 28;
    /// `seL4_IRQHandler_Clear`.
    IRQ_CLEAR_HANDLER = 29;
    /// `seL4_DomainSet_Set`.
    DOMAIN_SET = 30;
    /// `seL4_DomainSet_ScheduleConfigure`.
    DOMAIN_SCHEDULE_CONFIGURE = 31;
    /// `seL4_DomainSet_ScheduleSetStart`.
    DOMAIN_SCHEDULE_SET_START = 32;
    /// `seL4_SchedControl_ConfigureFlags`.
    SCHED_CONTROL_CONFIGURE_FLAGS = 33;
    /// `seL4_SchedContext_Bind`.
    SCHED_CONTEXT_BIND = 34;
    /// `seL4_SchedContext_Unbind`.
    SCHED_CONTEXT_UNBIND = 35;
    /// `seL4_SchedContext_UnbindObject`.
    SCHED_CONTEXT_UNBIND_OBJECT = 36;
    /// `seL4_SchedContext_Consumed`.
    SCHED_CONTEXT_CONSUMED = 37;
    /// `seL4_SchedContext_YieldTo`.
    SCHED_CONTEXT_YIELD_TO = 38;
}
