//! Object types and sizes, aarch64 (libsel4 `seL4_ObjectType`, `seL4_*Bits`).

/// Type numbers for `Untyped_Retype`.
pub mod kind {
    /// Untyped memory.
    pub const UNTYPED: u64 = 0;
    /// Thread control block.
    pub const TCB: u64 = 1;
    /// Endpoint.
    pub const ENDPOINT: u64 = 2;
    /// Notification.
    pub const NOTIFICATION: u64 = 3;
    /// Capability node.
    pub const CNODE: u64 = 4;
    /// Scheduling context.
    pub const SCHED_CONTEXT: u64 = 5;
    /// Reply object.
    pub const REPLY: u64 = 6;
    /// 1 GiB frame.
    pub const HUGE_PAGE: u64 = 7;
    /// Root of an address space.
    pub const VSPACE: u64 = 8;
    /// 4 KiB frame.
    pub const SMALL_PAGE: u64 = 9;
    /// 2 MiB frame.
    pub const LARGE_PAGE: u64 = 10;
    /// Page table, any level below the root.
    pub const PAGE_TABLE: u64 = 11;
}

/// Capability slot, bits.
pub const SLOT_BITS: u64 = 5;
/// TCB, bits.
pub const TCB_BITS: u64 = 11;
/// Endpoint, bits.
pub const ENDPOINT_BITS: u64 = 4;
/// Notification, bits.
pub const NOTIFICATION_BITS: u64 = 6;
/// Reply object, bits.
pub const REPLY_BITS: u64 = 5;
/// Smallest scheduling context, bits.
pub const MIN_SCHED_CONTEXT_BITS: u64 = 7;
/// Bytes of a scheduling context with its two basic refills.
pub const CORE_SCHED_CONTEXT_BYTES: u64 = 128;
/// Bytes of a further refill.
pub const REFILL_BYTES: u64 = 16;
/// Smallest untyped, bits.
pub const MIN_UNTYPED_BITS: u64 = 4;
/// Largest untyped, bits.
pub const MAX_UNTYPED_BITS: u64 = 47;
/// Small page, bits.
pub const PAGE_BITS: u64 = 12;
/// Large page, bits.
pub const LARGE_PAGE_BITS: u64 = 21;
/// Huge page, bits.
pub const HUGE_PAGE_BITS: u64 = 30;
/// Page table, bits.
pub const PAGE_TABLE_BITS: u64 = 12;
/// VSpace root, bits.
pub const VSPACE_BITS: u64 = 12;
/// ASID pool, bits.
pub const ASID_POOL_BITS: u64 = 12;
/// Address spaces of a pool.
pub const ASID_POOL_ENTRIES: usize = 512;
/// Pools at most.
pub const ASID_POOLS: usize = 128;
/// Objects that one retype makes at most.
pub const RETYPE_FAN_OUT: u64 = 256;
/// Highest priority.
pub const MAX_PRIORITY: u64 = 255;

/// Attributes of a mapping (`seL4_ARM_VMAttributes`).
pub mod vm_attributes {
    /// Cacheable.
    pub const CACHEABLE: u64 = 1;
    /// Parity (no effect).
    pub const PARITY: u64 = 2;
    /// Cacheable, executable.
    pub const DEFAULT: u64 = 3;
    /// Never executable.
    pub const EXECUTE_NEVER: u64 = 4;
}
