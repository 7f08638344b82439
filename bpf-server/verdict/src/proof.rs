//! The section of an object that holds its programs' proofs.
//!
//! ```text
//! "AXPF", u8 version (1), u8 proofs
//! each: u16 length of the program's name, name, u32 length of the proof, the proof
//! ```
//! The bytes come from whoever may load programs: all reading is bounds-checked, and what is wrong is a refusal. What a proof
//! says is the checker's business, which believes none of it.

use alloc::vec::Vec;

/// The section's name.
pub const SECTION: &str = ".axiom.proof";
const START: &[u8; 6] = b"AXPF\x01\0";

/// The section is not one of proofs, or of another version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Damaged;

/// The proof of a program, if there is one.
pub fn find<'a>(section: &'a [u8], program: &str) -> Result<Option<&'a [u8]>, Damaged> {
    let mut rest = section;
    let mut take = |n: usize| -> Result<&'a [u8], Damaged> {
        let (taken, left) = rest.split_at_checked(n).ok_or(Damaged)?;
        rest = left;
        Ok(taken)
    };
    let head = take(START.len())?;
    if head[..5] != START[..5] {
        return Err(Damaged);
    }
    for _ in 0..head[5] {
        let length = take(2)?;
        let name = take(u16::from_le_bytes([length[0], length[1]]).into())?;
        let length = take(4)?;
        let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
        let proof = take(usize::try_from(length).map_err(|_| Damaged)?)?;
        if name == program.as_bytes() {
            return Ok(Some(proof));
        }
    }
    Ok(None)
}

/// The section that holds these proofs; `None` if there are too many, or a name is too long.
pub fn write(proofs: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut section = START.to_vec();
    section[5] = u8::try_from(proofs.len()).ok()?;
    for (name, proof) in proofs {
        section.extend(u16::try_from(name.len()).ok()?.to_le_bytes());
        section.extend(name.as_bytes());
        section.extend(u32::try_from(proof.len()).ok()?.to_le_bytes());
        section.extend(proof);
    }
    Some(section)
}
