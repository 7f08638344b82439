//! The ACPI table "HPET" (section 3.2.4 of the specification): where the block is. It does not hold the period: that is in `GCAP_ID`.

use core::fmt;

/// Bytes of the table.
pub const TABLE_BYTES: usize = 56;

/// What the table says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HpetTable {
    /// Physical address of the block, in bytes.
    pub address: u64,
    /// Its sequence number among the machine's blocks, from 0.
    pub number: u8,
    /// The lower half of `GCAP_ID` as the firmware knows it: vendor, sizes, revision. Read the register, too: firmware errs.
    pub event_timer_block_id: u32,
    /// The shortest period, in ticks of the main counter, at which periodic interrupts are not lost; 0: not stated.
    pub minimum_tick: u16,
    /// How much around the block may be mapped to others without harm.
    pub page_protection: PageProtection,
}

/// How much around the block nothing else is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageProtection {
    /// Nothing is promised.
    None,
    /// The 4 KiB page holds nothing else.
    Page4K,
    /// The 64 KiB hold nothing else.
    Page64K,
    /// A value that the specification does not define.
    Reserved(u8),
}

/// What is wrong with a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableError {
    /// Fewer bytes than the table has.
    TooShort {
        /// Bytes given, or said by the table's own length.
        bytes: usize,
    },
    /// It is another table.
    Signature([u8; 4]),
    /// The table says that it has more bytes than were given.
    Length {
        /// Bytes by the table's own length.
        said: u32,
        /// Bytes given.
        given: usize,
    },
    /// The bytes do not add up to 0.
    Checksum {
        /// Their sum, modulo 256.
        sum: u8,
    },
    /// The block is not in memory.
    AddressSpace(u8),
    /// The block's address is 0, or not a multiple of 8.
    Address(u64),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ACPI table HPET: ")?;
        match *self {
            TableError::TooShort { bytes } => write!(f, "{bytes} bytes, and it has {TABLE_BYTES}"),
            TableError::Signature(s) => write!(f, "its signature is {}", s.escape_ascii()),
            TableError::Length { said, given } => write!(f, "it claims {said} bytes, and {given} are there"),
            TableError::Checksum { sum } => write!(f, "its bytes add up to {sum:#04x}, not to 0"),
            TableError::AddressSpace(s) => {
                write!(f, "the block is in address space {s}, and only memory (0) is understood")
            }
            TableError::Address(a) => write!(f, "the block's address {a:#x} is 0 or not a multiple of 8"),
        }
    }
}

impl core::error::Error for TableError {}

impl HpetTable {
    /// Reads the table from the bytes that begin with it; more may follow.
    pub fn parse(bytes: &[u8]) -> Result<HpetTable, TableError> {
        let Some(table) = bytes.first_chunk::<TABLE_BYTES>() else {
            return Err(TableError::TooShort { bytes: bytes.len() });
        };
        let signature = [table[0], table[1], table[2], table[3]];
        if signature != *b"HPET" {
            return Err(TableError::Signature(signature));
        }
        let u32_at = |n: usize| u32::from_le_bytes([table[n], table[n + 1], table[n + 2], table[n + 3]]);
        let said = u32_at(4);
        let Some(whole) = bytes.get(..said as usize) else {
            return Err(TableError::Length { said, given: bytes.len() });
        };
        if whole.len() < TABLE_BYTES {
            return Err(TableError::TooShort { bytes: whole.len() });
        }
        let sum = whole.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        if sum != 0 {
            return Err(TableError::Checksum { sum });
        }
        // A generic address: space, width, offset, access size, then the address.
        if table[40] != 0 {
            return Err(TableError::AddressSpace(table[40]));
        }
        let address = u64::from(u32_at(44)) | u64::from(u32_at(48)) << 32;
        if address == 0 || !address.is_multiple_of(8) {
            return Err(TableError::Address(address));
        }
        Ok(HpetTable {
            address,
            number: table[52],
            event_timer_block_id: u32_at(36),
            minimum_tick: u16::from_le_bytes([table[53], table[54]]),
            page_protection: match table[55] & 15 {
                0 => PageProtection::None,
                1 => PageProtection::Page4K,
                2 => PageProtection::Page64K,
                other => PageProtection::Reserved(other),
            },
        })
    }

    /// How many timers the firmware says there are; the field holds the number of the last one.
    pub const fn timers(&self) -> u8 {
        (self.event_timer_block_id >> 8 & 0x1f) as u8 + 1
    }
}
