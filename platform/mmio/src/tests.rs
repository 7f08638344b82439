//! Registers in plain memory, which is where a test may put them.

use crate::{Atomic, Block, Io, Mmio, ReadOnly, Register, WriteOnly};
use core::cell::RefCell;
use core::ptr::NonNull;
use std::vec::Vec;

crate::value! {
    /// Three fields.
    Fields {
        /// A bit.
        bit / with_bit: [0]
        /// In the middle.
        middle / with_middle: [14:5]
        /// All the others.
        high / with_high: [31:15]
    }
}

crate::block! {
    /// A block.
    Plain from "a test";
    /// The first one.
    FIRST @ 0x0: Fields, ReadWrite;
    /// The last one.
    LAST @ 0xc: u32, ReadWrite;
}

impl Atomic for Plain {
    const XOR: usize = 0x1000;
    const SET: usize = 0x2000;
    const CLEAR: usize = 0x3000;
}

/// What was read and written, in order.
#[derive(Default)]
struct Log(RefCell<Vec<(char, usize, u32)>>);

impl Io for Log {
    fn read(&self, offset: usize) -> u32 {
        self.0.borrow_mut().push(('r', offset, 0));
        0b10
    }
    fn write(&self, offset: usize, value: u32) {
        self.0.borrow_mut().push(('w', offset, value));
    }
}

#[test]
fn mapped_registers_are_those_at_their_offsets_and_no_others() {
    let mut memory = [1u32, 2, 3, 4];
    let start = NonNull::from(&mut memory).cast::<u32>();
    // SAFETY: memory of this test, as large as the block; nobody else uses it while the block lives.
    let block: Block<Plain, Mmio> = Block::new(unsafe { Mmio::new(start) });
    assert_eq!((block.read(FIRST).0, block.read(LAST)), (1, 4));
    block.write(LAST, 0x1234_5678);
    block.modify(FIRST, |f| f.with_bit(false).with_middle(0x3ff));
    assert_eq!(memory, [0x7fe0, 2, 3, 0x1234_5678]);
}

#[test]
fn a_field_keeps_its_neighbours_and_cuts_what_is_too_large() {
    for before in [0, u32::MAX, 0x5555_5555] {
        let f = Fields(before);
        assert_eq!(f.with_middle(u32::MAX).middle(), 0x3ff);
        for value in [0, 1, 0x2aa, 0x3ff] {
            let after = f.with_middle(value);
            assert_eq!((after.bit(), after.middle(), after.high()), (f.bit(), value, f.high()));
        }
        assert_eq!(f.with_bit(true).0, before | 1);
        assert_eq!(f.with_bit(false).0, before & !1);
        assert_eq!(f.with_high(0x1_ffff).0, before | 0xffff_8000);
    }
}

#[test]
fn each_operation_is_so_many_accesses_in_this_order() {
    let log = Log::default();
    let block: Block<Plain, &Log> = Block::new(&log);
    block.modify(FIRST, |f| f.with_bit(true));
    block.set(FIRST, 1);
    block.clear(LAST, 2);
    block.flip(LAST, 3);
    assert_eq!(
        *log.0.borrow(),
        [('r', 0, 0), ('w', 0, 3), ('w', 0x2000, 1), ('w', 0x300c, 2), ('w', 0x100c, 3)]
    );
}

#[test]
fn a_block_lists_its_registers() {
    assert_eq!(REGISTERS, [("FIRST", 0), ("LAST", 0xc)]);
    let only: (Register<Plain, u32, ReadOnly>, Register<Plain, u32, WriteOnly>) =
        (Register::at(4), Register::at(8));
    assert_eq!((only.0.offset(), only.1.offset()), (4, 8));
}
