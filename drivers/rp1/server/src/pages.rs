//! Frames for the addresses behind the PCIe bridge. init gives them as untyped memory, from which each page is cut out once.

use axiom_runtime::proto::env::Window;
use axiom_runtime::sel4::object::kind;
use axiom_runtime::sel4::{CPtr, Error};
use axiom_runtime::{Frame, Slots, Untyped};
use heapless::Vec;

/// Pieces that are not cut further, yet: each page that is cut out of a window leaves one of every size above it at most.
const PIECES: usize = 192;
/// Pages that are handed out: all peripherals have fewer.
const FRAMES: usize = 96;

#[derive(Clone, Copy)]
struct Piece {
    untyped: Untyped,
    base: u64,
    bits: u8,
}

/// The addresses behind the bridge.
pub struct Behind {
    pieces: Vec<Piece, PIECES>,
    frames: Vec<(u64, Frame), FRAMES>,
}

impl Behind {
    /// What init gave; windows that there is no room for are as if they were not there.
    pub fn new(windows: impl Iterator<Item = Window>) -> Behind {
        let piece = |w: Window| Piece { untyped: Untyped(CPtr(w.slot)), base: w.base, bits: w.bits };
        Behind { pieces: windows.map(piece).take(PIECES).collect(), frames: Vec::new() }
    }

    /// Whether an address is there.
    pub fn covers(&self, address: u64) -> bool {
        self.piece(address).is_some() || self.frames.iter().any(|f| f.0 == address & !4095)
    }

    fn piece(&self, address: u64) -> Option<usize> {
        self.pieces.iter().position(|p| address >= p.base && address - p.base < 1 << p.bits)
    }

    /// The frame of a page.
    pub fn frame(&mut self, page: u64, slots: &mut Slots) -> Result<Frame, Error> {
        if let Some((_, frame)) = self.frames.iter().find(|f| f.0 == page) {
            return Ok(*frame);
        }
        if self.frames.is_full() {
            return Err(Error::NotEnoughMemory);
        }
        loop {
            // Two halves take the place of one piece.
            if self.pieces.is_full() {
                return Err(Error::NotEnoughMemory);
            }
            let i = self.piece(page).ok_or(Error::FailedLookup)?;
            let p = self.pieces[i];
            if p.bits == 12 {
                let slot = slots.take().ok_or(Error::NotEnoughMemory)?;
                p.untyped.frames(slot, 1)?;
                self.pieces.swap_remove(i);
                self.frames.push((page, Frame(slot))).map_err(|_| Error::NotEnoughMemory)?;
                return Ok(Frame(slot));
            }
            // Halves, until one is the page.
            let half = p.bits - 1;
            let first = slots.take_row(2).ok_or(Error::NotEnoughMemory)?;
            p.untyped.retype(kind::UNTYPED, half.into(), first, 2)?;
            self.pieces.swap_remove(i);
            for n in 0..2 {
                let base = p.base + (n << half);
                let half = Piece { untyped: Untyped(CPtr(first.0 + n)), base, bits: half };
                self.pieces.push(half).map_err(|_| Error::NotEnoughMemory)?;
            }
        }
    }
}
