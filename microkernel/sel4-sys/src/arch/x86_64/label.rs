//! Invocation labels from 39 on, x86-64 (libsel4 for `pc99` without IOMMU and virtualisation).
use crate::label::labels;

labels! {
    /// `seL4_X86_PDPT_Map`.
    PDPT_MAP = 39;
    /// `seL4_X86_PDPT_Unmap`.
    PDPT_UNMAP = 40;
    /// `seL4_X86_PageDirectory_Map`.
    PAGE_DIRECTORY_MAP = 41;
    /// `seL4_X86_PageDirectory_Unmap`.
    PAGE_DIRECTORY_UNMAP = 42;
    /// `seL4_X86_PageTable_Map`.
    PAGE_TABLE_MAP = 43;
    /// `seL4_X86_PageTable_Unmap`.
    PAGE_TABLE_UNMAP = 44;
    /// `seL4_X86_Page_Map`.
    PAGE_MAP = 45;
    /// `seL4_X86_Page_Unmap`.
    PAGE_UNMAP = 46;
    /// `seL4_X86_Page_GetAddress`.
    PAGE_GET_ADDRESS = 47;
    /// `seL4_X86_ASIDControl_MakePool`.
    ASID_CONTROL_MAKE_POOL = 48;
    /// `seL4_X86_ASIDPool_Assign`.
    ASID_POOL_ASSIGN = 49;
    /// `seL4_X86_IOPortControl_Issue`.
    IO_PORT_CONTROL_ISSUE = 50;
    /// `seL4_X86_IOPort_In8`.
    IO_PORT_IN8 = 51;
    /// `seL4_X86_IOPort_In16`.
    IO_PORT_IN16 = 52;
    /// `seL4_X86_IOPort_In32`.
    IO_PORT_IN32 = 53;
    /// `seL4_X86_IOPort_Out8`.
    IO_PORT_OUT8 = 54;
    /// `seL4_X86_IOPort_Out16`.
    IO_PORT_OUT16 = 55;
    /// `seL4_X86_IOPort_Out32`.
    IO_PORT_OUT32 = 56;
    /// `seL4_IRQControl_GetIOAPIC`.
    IRQ_ISSUE_HANDLER_IOAPIC = 57;
    /// `seL4_IRQControl_GetMSI`.
    IRQ_ISSUE_HANDLER_MSI = 58;
}
