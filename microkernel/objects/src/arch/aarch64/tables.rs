//! Which tables there are.
use sel4_sys::object::kind;

/// Which level a table is made for: any below the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableKind;

impl TableKind {
    /// The last level's.
    pub const LAST: TableKind = TableKind;

    /// The table that is an object of this type.
    pub const fn of_object(object: u64) -> Option<TableKind> {
        if object == kind::PAGE_TABLE { Some(TableKind) } else { None }
    }

    /// The table whose place is in an entry of this level.
    pub const fn below(_: u32) -> TableKind {
        TableKind
    }

    /// In two bits.
    pub const fn bits(self) -> u64 {
        0
    }

    /// From two bits.
    pub const fn from_bits(_: u64) -> TableKind {
        TableKind
    }
}
