//! Object types, sizes and attributes of mappings, x86-64.

/// Pools at most.
pub const ASID_POOLS: usize = 8;

/// What BootInfo says of the levels of an IOMMU's tables: pc99's word for a kernel that has no driver for one.
pub const IO_PAGE_TABLE_LEVELS: u64 = u64::MAX;

/// Type numbers for `Untyped_Retype`, from 7 on.
pub mod kind {
    /// Page-directory pointer table: the level below the root, 512 GiB.
    pub const PDPT: u64 = 7;
    /// Root of an address space (a PML4).
    pub const VSPACE: u64 = 8;
    /// 1 GiB frame.
    pub const HUGE_PAGE: u64 = 9;
    /// 4 KiB frame.
    pub const SMALL_PAGE: u64 = 10;
    /// 2 MiB frame.
    pub const LARGE_PAGE: u64 = 11;
    /// Page table: the lowest level, 2 MiB.
    pub const PAGE_TABLE: u64 = 12;
    /// Page directory: the level above, 1 GiB.
    pub const PAGE_DIRECTORY: u64 = 13;
}

/// Interrupt vectors that handlers can have, as the invocations count them: the first is the processor's 0x30.
pub const USER_VECTORS: u64 = 108;

/// Attributes of a mapping (`seL4_X86_VMAttributes`): an index of the page attribute table, and a bit of Axiom's own.
pub mod vm_attributes {
    /// Write back.
    pub const WRITE_BACK: u64 = 0;
    /// Write through.
    pub const WRITE_THROUGH: u64 = 1;
    /// Not cached, unless the memory type ranges say write combining.
    pub const CACHE_DISABLED: u64 = 2;
    /// Not cached.
    pub const UNCACHEABLE: u64 = 3;
    /// Write combining.
    pub const WRITE_COMBINING: u64 = 4;
    /// Write back, executable.
    pub const DEFAULT: u64 = WRITE_BACK;
    /// Never executable: Axiom's; seL4 has no such bit on x86, where whatever is mapped can be executed.
    pub const EXECUTE_NEVER: u64 = 1 << 16;
}
