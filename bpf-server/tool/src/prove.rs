//! `prove`: finds proofs of an object's programs and writes them into its section `.axiom.proof`, so that the device only has to
//! check them.
//!
//! The object is not laid out anew: the section's bytes, a longer table of section names and a new table of sections are put
//! behind what is there, and the header points to them.

use crate::{Failure, Out, load};
use axiom_bpf_object::Object;
use axiom_bpf_verdict::{self as verdict, Contents};
use axiom_bpf_verifier::{Verifier, proof};
use std::path::Path;

/// Proves one program of an object, or all of them if none is named.
pub fn prove(out: &mut Out, path: &Path, name: &str, output: &Path) -> Result<(), Failure> {
    let bytes = load::file(path)?;
    let object = Object::parse(&bytes).map_err(|e| Failure::Refused(e.to_string()))?;
    let entries = match name {
        "" => object.programs().to_vec(),
        name => vec![*verdict::choose(&object, name).map_err(load::refused)?],
    };
    let contents = Contents::new(&object, &[]).map_err(load::refused)?;
    let known = contents.constants().map_err(load::refused)?;
    let mut verifier = Verifier::new();
    let mut section = Vec::new();
    for entry in &entries {
        let ctx = load::kind(entry.section)?.layout();
        let program = object.program(entry).map_err(|e| Failure::Refused(e.to_string()))?;
        let proof = verdict::prove(&mut verifier, &object, &program, &contents.defs, &known, ctx)
            .map_err(load::refused)?;
        proof::add(&mut section, &program.insns, &proof);
        out.line(format_args!(
            "{}: proved, {} bytes for {} instructions",
            entry.name,
            proof.len(),
            program.insns.len()
        ));
    }
    let whole = with_section(&bytes, proof::SECTION, &section).ok_or_else(|| {
        Failure::Refused(format!("{}: its table of sections cannot be extended", path.display()))
    })?;
    std::fs::write(output, whole).map_err(|e| Failure::Usage(format!("{}: {e}", output.display())))
}

/// Bytes of a section's entry in the table.
const ENTRY: usize = 64;

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    usize::try_from(field.iter().rev().fold(0u64, |n, b| n << 8 | *b as u64)).ok()
}

fn put(bytes: &mut [u8], at: usize, size: usize, value: usize) {
    bytes[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
}

/// A 64-bit little-endian object with one more section, or another one of this name.
fn with_section(object: &[u8], name: &str, data: &[u8]) -> Option<Vec<u8>> {
    let (table, count, names) =
        (number(object, 0x28, 8)?, number(object, 0x3c, 2)?, number(object, 0x3e, 2)?);
    let mut entries = object.get(table..table.checked_add(count.checked_mul(ENTRY)?)?)?.to_vec();
    let place = |k: usize| Some((number(&entries, k * ENTRY + 24, 8)?, number(&entries, k * ENTRY + 32, 8)?));
    let (at, size) = place(names)?;
    let mut strings = object.get(at..at.checked_add(size)?)?.to_vec();
    let is_named = |k: &usize| {
        let from = number(&entries, k * ENTRY, 4).and_then(|n| strings.get(n..));
        from.is_some_and(|s| s.starts_with(name.as_bytes()) && s.get(name.len()) == Some(&0))
    };
    let known = (0..count).find(is_named);
    let mut whole = object.to_vec();
    let k = match known {
        Some(k) => k,
        None => {
            let mut entry = [0; ENTRY];
            put(&mut entry, 0, 4, strings.len());
            strings.extend_from_slice(name.as_bytes());
            strings.push(0);
            entries.extend_from_slice(&entry);
            count
        }
    };
    let mut append = |bytes: &[u8]| {
        whole.resize(whole.len().next_multiple_of(8), 0);
        let at = whole.len();
        whole.extend_from_slice(bytes);
        at
    };
    let data_at = append(data);
    let strings_at = append(&strings);
    let entry = k * ENTRY;
    // Bytes of the program's maker, not loaded, aligned to 8.
    for (field, size, value) in [(4, 4, 1), (8, 8, 0), (24, 8, data_at), (32, 8, data.len()), (48, 8, 8)] {
        put(&mut entries, entry + field, size, value);
    }
    put(&mut entries, names * ENTRY + 24, 8, strings_at);
    put(&mut entries, names * ENTRY + 32, 8, strings.len());
    let table = append(&entries);
    put(&mut whole, 0x28, 8, table);
    put(&mut whole, 0x3c, 2, entries.len() / ENTRY);
    Some(whole)
}
