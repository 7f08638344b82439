//! Object types and sizes (libsel4 `seL4_ObjectType`, `seL4_*Bits`).
pub use crate::arch::object::{ASID_POOLS, IO_PAGE_TABLE_LEVELS, vm_attributes};

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

    pub use crate::arch::object::kind::*;
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
/// Objects that one retype makes at most.
pub const RETYPE_FAN_OUT: u64 = 256;
/// Highest priority.
pub const MAX_PRIORITY: u64 = 255;
