//! Invocation labels from 39 on, aarch64 (libsel4 for `qemu-arm-virt`).
use crate::label::labels;

labels! {
    /// `seL4_ARM_VSpace_Clean_Data`.
    VSPACE_CLEAN = 39;
    /// `seL4_ARM_VSpace_Invalidate_Data`.
    VSPACE_INVALIDATE = 40;
    /// `seL4_ARM_VSpace_CleanInvalidate_Data`.
    VSPACE_CLEAN_INVALIDATE = 41;
    /// `seL4_ARM_VSpace_Unify_Instruction`.
    VSPACE_UNIFY = 42;
    /// `seL4_ARM_SMC_Call`.
    SMC_CALL = 43;
    /// `seL4_ARM_PageTable_Map`.
    PAGE_TABLE_MAP = 44;
    /// `seL4_ARM_PageTable_Unmap`.
    PAGE_TABLE_UNMAP = 45;
    /// `seL4_ARM_Page_Map`.
    PAGE_MAP = 46;
    /// `seL4_ARM_Page_Unmap`.
    PAGE_UNMAP = 47;
    /// `seL4_ARM_Page_Clean_Data`.
    PAGE_CLEAN = 48;
    /// `seL4_ARM_Page_Invalidate_Data`.
    PAGE_INVALIDATE = 49;
    /// `seL4_ARM_Page_CleanInvalidate_Data`.
    PAGE_CLEAN_INVALIDATE = 50;
    /// `seL4_ARM_Page_Unify_Instruction`.
    PAGE_UNIFY = 51;
    /// `seL4_ARM_Page_GetAddress`.
    PAGE_GET_ADDRESS = 52;
    /// `seL4_ARM_ASIDControl_MakePool`.
    ASID_CONTROL_MAKE_POOL = 53;
    /// `seL4_ARM_ASIDPool_Assign`.
    ASID_POOL_ASSIGN = 54;
    /// `seL4_IRQControl_GetTrigger`.
    IRQ_ISSUE_HANDLER_TRIGGER = 55;
    /// `seL4_IRQControl_IssueSGISignal`.
    IRQ_ISSUE_SGI_SIGNAL = 56;
}
