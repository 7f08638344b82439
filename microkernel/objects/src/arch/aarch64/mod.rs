//! aarch64: EL1, 4 KiB granule, 48-bit addresses.
pub mod context;
pub mod paging;
pub mod registers;
