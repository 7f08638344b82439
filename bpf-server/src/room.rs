//! Whether there is memory.

use crate::Platform;
use crate::failure::{Failure, no_memory};
use alloc::vec::Vec;

/// Memory that must be there before a request is served: for names, sentences and everything else whose size no client
/// chooses.
pub(crate) const FLOOR: usize = 48 << 10;

/// Whether the small parts of a request still find memory when so many bytes are taken; the heap's blocks may be twice as large
/// as what is asked for.
pub(crate) fn leaves_floor<P: Platform>(bytes: usize) -> bool {
    P::has_memory(FLOOR + 2 * bytes)
}

/// Makes a buffer at least so long, if there is memory.
pub(crate) fn grow<P: Platform>(buffer: &mut Vec<u8>, length: usize) -> Result<(), Failure> {
    let more = length.saturating_sub(buffer.len());
    if (more > 0 && !leaves_floor::<P>(length)) || buffer.try_reserve_exact(more).is_err() {
        return Err(no_memory());
    }
    buffer.resize(buffer.len() + more, 0);
    Ok(())
}
