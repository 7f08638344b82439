//! Object types, sizes and attributes of mappings, aarch64.

/// Pools at most.
pub const ASID_POOLS: usize = 128;

/// What BootInfo says of the levels of an IOMMU's tables: there are none.
pub const IO_PAGE_TABLE_LEVELS: u64 = 0;

/// Type numbers for `Untyped_Retype`, from 7 on.
pub mod kind {
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
