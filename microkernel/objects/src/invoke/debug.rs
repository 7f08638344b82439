//! The Debug capability: what the debugging system calls do, as a right.
//!
//! It is the root task's. Who holds it may write on the kernel's console, name threads and turn the machine off, and decides
//! whether the debugging system calls are there at all: without them a thread without this capability can do none of that.
use super::args::{Args, Invoked, Outcome, Stop};
use crate::cap::Cap;
use crate::machine::Machine;
use sel4_sys::ext;

/// Invokes the Debug capability.
#[cold]
#[inline(never)]
pub fn invoke<M: Machine>(m: M, args: &Args) -> Invoked {
    match args.label {
        ext::DEBUG_WRITE => {
            args.need(1, 0)?;
            let length = args.word(0);
            if length > ext::DEBUG_WRITE_BYTES {
                return Err(Stop::Range { min: 0, max: ext::DEBUG_WRITE_BYTES });
            }
            args.need(1 + length.div_ceil(8) as usize, 0)?;
            let mut taken = 0;
            while taken < length && m.put((args.word(1 + taken as usize / 8) >> (8 * (taken % 8))) as u8) {
                taken += 1;
            }
            Ok(Outcome::Words([taken, 0, 0, 0], 1))
        }
        ext::DEBUG_NAME_THREAD => {
            args.need(4, 1)?;
            let Cap::Tcb { tcb } = args.cap_slot(0)?.cap() else { return Err(Stop::InvalidCapability(1)) };
            let words: [u64; 4] = core::array::from_fn(|i| args.word(i));
            let bytes = words.iter().flat_map(|w| w.to_le_bytes());
            // The last byte stays zero.
            for (cell, byte) in tcb.name.iter().take(tcb.name.len() - 1).zip(bytes) {
                cell.set(byte);
            }
            Ok(Outcome::Done)
        }
        ext::DEBUG_CALLS => {
            args.need(1, 0)?;
            m.allow_debug_calls(args.word(0) != 0);
            Ok(Outcome::Done)
        }
        ext::DEBUG_POWER_OFF => {
            m.power_off();
            Ok(Outcome::Done)
        }
        _ => Err(Stop::IllegalOperation),
    }
}
