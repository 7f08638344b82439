//! The kernel's trace, as whoever writes or reads it sees it: a header page, then a ring of 16-byte records, in frames that user space
//! maps read-only.
//!
//! The kernel, the servers and the host's tools take the layout from here; nothing of it stands elsewhere. Records are written by one
//! core at a time: a reader takes [`Header::written`] twice and drops what was overwritten in between.
#![no_std]

/// One trace record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Record {
    /// The counter that user space reads.
    pub counter: u64,
    /// What happened: class in bits 15..8.
    pub event: u16,
    /// A small argument.
    pub arg0: u16,
    /// A larger argument.
    pub arg1: u32,
}

/// Magic of [`Header`]: `AXTR`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"AXTR");
/// How many boot records the header page keeps.
pub const BOOT_RECORDS: usize = 200;
/// Records in the ring that follows the header page.
pub const RING_RECORDS: usize = 512;

/// Words of [`Header::stretches`].
pub const STRETCHES: usize = (4096 - 256 - 16 * BOOT_RECORDS) / 8;

/// Pages of the ring with its header.
pub const PAGES: usize = 1 + RING_RECORDS * size_of::<Record>() / 4096;

/// The first page of a trace ring. The ring's records follow in the next pages. Who writes it has cells in the places of plain words.
#[repr(C)]
pub struct Header<H = u32, W = u64, R = Record> {
    /// [`MAGIC`].
    pub magic: H,
    /// 1.
    pub version: H,
    /// Records that the ring holds.
    pub capacity: W,
    /// Records written since boot; the newest is at `(written - 1) % capacity`.
    pub written: W,
    /// Frequency of the counter, Hz.
    pub counter_frequency: W,
    /// Mask of recorded classes, bit = class.
    pub mask: W,
    /// Not used, zero.
    pub reserved: W,
    /// Length of a step of the clock in the records [`event::BOOT_REFERENCE`], femtoseconds; 0 where there is none.
    pub reference_period: W,
    /// The counter when that clock's steps were 0.
    pub reference_start: W,
    /// Boot records kept below.
    pub boot_count: W,
    /// Not used, zero.
    pub reserved2: [W; 23],
    /// Records of the boot class, which the ring never overwrites.
    pub boot: [R; BOOT_RECORDS],
    /// A checked kernel's longest stretches with interrupts off, instructions, by what they were for; zero in any other.
    pub stretches: [W; STRETCHES],
}

/// Classes of events; the bit of a class in a mask is its number.
pub mod class {
    /// Boot, always on.
    pub const BOOT: u32 = 1;
    /// Messages.
    pub const IPC: u32 = 2;
    /// Notifications.
    pub const SIGNAL: u32 = 3;
    /// Interrupts.
    pub const IRQ: u32 = 4;
    /// Context switches.
    pub const SWITCH: u32 = 5;
    /// Faults.
    pub const FAULT: u32 = 6;
    /// Timers.
    pub const TIMER: u32 = 7;
    /// Retype.
    pub const RETYPE: u32 = 8;
    /// Events of servers: the first of the classes that they may name.
    pub const USER: u32 = 16;

    /// The class of an event: the high byte of its number.
    pub const fn of(event: u16) -> u32 {
        (event >> 8) as u32
    }
}

/// Event numbers. The class is the high byte.
pub mod event {
    /// Kernel entry (counter read by its first instructions).
    pub const BOOT_ENTRY: u16 = 0x0100;
    /// Address translation is on.
    pub const BOOT_MMU: u16 = 0x0101;
    /// The device tree was read.
    pub const BOOT_DTB: u16 = 0x0102;
    /// The memory map is made.
    pub const BOOT_MEMORY: u16 = 0x0103;
    /// The interrupt controller is ready.
    pub const BOOT_IRQ: u16 = 0x0104;
    /// The root task's objects exist.
    pub const BOOT_ROOT_OBJECTS: u16 = 0x0105;
    /// The root task is about to run.
    pub const BOOT_ROOT_START: u16 = 0x0106;
    /// init's main; arg1 is its thread.
    pub const BOOT_INIT: u16 = 0x0110;
    /// A server was started; arg0 is its index, arg1 its thread.
    pub const BOOT_SPAWNED: u16 = 0x0111;
    /// A server reported ready; arg0 is its index.
    pub const BOOT_READY: u16 = 0x0112;
    /// Every server is ready.
    pub const BOOT_ALL_READY: u16 = 0x0113;
    /// A second clock's look at an event of boot, right after it: arg0 is the event, arg1 that clock's steps since
    /// [`Header::reference_start`](super::Header::reference_start), the counter that of the same moment.
    pub const BOOT_REFERENCE: u16 = 0x0120;
    /// An IPC message went from one thread to another; arg1 is the receiver.
    pub const IPC: u16 = 0x0200;
    /// A notification was signalled.
    pub const SIGNAL: u16 = 0x0300;
    /// Interrupt entry; arg0 is its number.
    pub const IRQ_ENTRY: u16 = 0x0400;
    /// Interrupt exit.
    pub const IRQ_EXIT: u16 = 0x0401;
    /// Context switch; arg1 is the low half of the thread's address.
    pub const SWITCH: u16 = 0x0500;
    /// A fault; arg0 is its type.
    pub const FAULT: u16 = 0x0600;
    /// A timer expired.
    pub const TIMER: u16 = 0x0700;
    /// Objects were made; arg0 is their type, arg1 how many.
    pub const RETYPE: u16 = 0x0800;
    /// The first event that user space may name.
    pub const USER: u16 = 0x1000;
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::Cell;
    use core::mem::offset_of;

    /// The header as the kernel has it.
    type Written = Header<Cell<u32>, Cell<u64>, Cell<Record>>;

    #[test]
    fn a_record_is_what_readers_of_bytes_expect() {
        assert_eq!(size_of::<Record>(), 16);
        assert_eq!(
            [
                offset_of!(Record, counter),
                offset_of!(Record, event),
                offset_of!(Record, arg0),
                offset_of!(Record, arg1)
            ],
            [0, 8, 10, 12]
        );
    }

    #[test]
    fn the_header_is_the_same_for_who_writes_and_who_reads() {
        macro_rules! places {
            ($($field:ident $at:literal)*) => {$(
                assert_eq!((offset_of!(Header, $field), offset_of!(Written, $field)), ($at, $at), stringify!($field));
            )*};
        }
        places!(magic 0 version 4 capacity 8 written 16 counter_frequency 24 mask 32 boot_count 64 boot 256 stretches 3456);
        assert_eq!((size_of::<Header>(), size_of::<Written>()), (4096, 4096));
        assert_eq!((BOOT_RECORDS, STRETCHES, RING_RECORDS, PAGES), (200, 80, 512, 3));
    }

    #[test]
    fn every_event_is_of_the_class_of_its_name() {
        for (event, of) in [
            (event::BOOT_ENTRY, class::BOOT),
            (event::BOOT_ALL_READY, class::BOOT),
            (event::IPC, class::IPC),
            (event::SIGNAL, class::SIGNAL),
            (event::IRQ_ENTRY, class::IRQ),
            (event::IRQ_EXIT, class::IRQ),
            (event::SWITCH, class::SWITCH),
            (event::FAULT, class::FAULT),
            (event::TIMER, class::TIMER),
            (event::RETYPE, class::RETYPE),
            (event::USER, class::USER),
        ] {
            assert_eq!(class::of(event), of, "{event:#x}");
        }
        assert_eq!(class::of(u16::MAX), 255);
    }
}
