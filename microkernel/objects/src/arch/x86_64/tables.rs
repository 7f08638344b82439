//! Which tables there are.
use sel4_sys::object::kind;

/// Which level a table is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TableKind {
    /// Page table: its entries are pages of 4 KiB.
    Table = 0,
    /// Page directory: 2 MiB an entry.
    Directory = 1,
    /// Page-directory pointer table: 1 GiB an entry.
    Pointers = 2,
}

impl TableKind {
    /// The last level's.
    pub const LAST: TableKind = TableKind::Table;

    /// The table that is an object of this type.
    pub const fn of_object(object: u64) -> Option<TableKind> {
        match object {
            kind::PAGE_TABLE => Some(TableKind::Table),
            kind::PAGE_DIRECTORY => Some(TableKind::Directory),
            kind::PDPT => Some(TableKind::Pointers),
            _ => None,
        }
    }

    /// The table whose place is in an entry of this level.
    pub const fn below(level: u32) -> TableKind {
        match level {
            0 => TableKind::Pointers,
            1 => TableKind::Directory,
            _ => TableKind::Table,
        }
    }

    /// The level of the entry that it is mapped by.
    pub const fn parent_level(self) -> u32 {
        2 - self as u32
    }

    /// In two bits.
    pub const fn bits(self) -> u64 {
        self as u64
    }

    /// From two bits.
    pub const fn from_bits(bits: u64) -> TableKind {
        match bits & 3 {
            0 => TableKind::Table,
            1 => TableKind::Directory,
            _ => TableKind::Pointers,
        }
    }
}
