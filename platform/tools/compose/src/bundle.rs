//! Writing the bundle: the payload, and the ELF around it.
use crate::image::{Image, Segment};
use axiom_layout::address::PAYLOAD_BYTES;
use axiom_proto::bundle::{ADDRESS, MAGIC, System};

/// Collects blobs; offsets count from the payload's start.
pub struct Blobs {
    start: u64,
    bytes: Vec<u8>,
}

impl Blobs {
    /// Blobs after a description of at most that many bytes.
    pub fn behind(description: usize) -> Self {
        Self {
            start: (MAGIC.len() as u64 + 8 + description as u64).next_multiple_of(4096),
            bytes: Vec::new(),
        }
    }

    /// Whether a payload with them is no larger than one may be; how large it would be, if not.
    pub fn fit(&self) -> Result<(), String> {
        fits(self.start + self.bytes.len() as u64)
    }

    /// Adds a blob on pages of its own; returns its offset.
    pub fn add(&mut self, bytes: &[u8]) -> u64 {
        let offset = self.start + self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4096), 0);
        offset
    }
}

/// Whether init has addresses for a payload of so many bytes.
fn fits(bytes: u64) -> Result<(), String> {
    if bytes > PAYLOAD_BYTES { Err(format!("the payload has {bytes} bytes")) } else { Ok(()) }
}

/// The payload; `None` if the description does not fit before the blobs.
pub fn payload(system: &System, blobs: &Blobs) -> Option<Vec<u8>> {
    let description = postcard::to_allocvec(system).ok()?;
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&(description.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&description);
    if out.len() as u64 > blobs.start {
        return None;
    }
    out.resize(blobs.start as usize, 0);
    out.extend_from_slice(&blobs.bytes);
    Some(out)
}

/// An ELF with init's segments and the payload's, each on file pages of its own so that it can be mapped where it lies.
pub fn elf(init: &Image, payload: &[u8]) -> Vec<u8> {
    let last = Segment {
        vaddr: ADDRESS as u64,
        mem_size: payload.len() as u64,
        bytes: payload.to_vec(),
        write: false,
        execute: false,
    };
    let segments: Vec<&Segment> = init.segments.iter().chain([&last]).collect();
    let mut out = Vec::new();
    out.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    out.extend_from_slice(&2u16.to_le_bytes()); // ET_EXEC
    out.extend_from_slice(&init.machine.number().to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&init.entry.to_le_bytes());
    out.extend_from_slice(&64u64.to_le_bytes()); // program headers
    out.extend_from_slice(&0u64.to_le_bytes()); // no section headers
    out.extend_from_slice(&0u32.to_le_bytes());
    for half in [64, 56, segments.len() as u16, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    let mut offset = 4096u64;
    for s in &segments {
        let flags = 4 + 2 * u32::from(s.write) + u32::from(s.execute);
        out.extend_from_slice(&1u32.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        // A segment that only reserves memory has no bytes in the file.
        for word in [offset, s.vaddr, s.vaddr, s.bytes.len() as u64, s.mem_size, 4096] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        offset += (s.bytes.len() as u64).next_multiple_of(4096);
    }
    for s in &segments {
        out.resize(out.len().next_multiple_of(4096), 0);
        out.extend_from_slice(&s.bytes);
    }
    out.resize(out.len().next_multiple_of(4096), 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;

    fn system(name: usize) -> System {
        System { name: "n".repeat(name), ..System::default() }
    }

    #[test]
    fn blobs_lie_on_pages_behind_a_description_that_fits_to_the_byte() {
        // A magic of 16 bytes, two lengths of four: a description of 4072 fills the first page.
        assert_eq!([4071, 4072, 4073].map(|n| Blobs::behind(n).start), [4096, 4096, 8192]);
        let mut blobs = Blobs::behind(1000);
        assert_eq!([blobs.add(&[7; 4097]), blobs.add(&[]), blobs.add(&[8])], [4096, 12_288, 12_288]);
        let fits = (0..4072).rev().find(|n| payload(&system(*n), &blobs).is_some()).unwrap();
        let whole = payload(&system(fits), &blobs).unwrap();
        assert_eq!(
            postcard::to_allocvec(&system(fits)).unwrap().len(),
            4072,
            "not one byte of the page is left"
        );
        assert_eq!(whole.len(), 4096 + 8192 + 4096);
        assert_eq!((&whole[..16], &whole[16..24]), (&MAGIC[..], &[0xe8, 0x0f, 0, 0, 0, 0, 0, 0][..]));
        assert_eq!((whole[4095 + 4097], whole[4096 + 4097], whole[12_288]), (7, 0, 8));
        assert_eq!(payload(&system(fits + 1), &blobs), None);
    }

    #[test]
    fn a_payload_ends_where_inits_next_window_begins() {
        assert_eq!(PAYLOAD_BYTES, 512 << 20);
        assert_eq!([fits(0), fits(PAYLOAD_BYTES)], [Ok(()), Ok(())]);
        let too_large = fits(PAYLOAD_BYTES + 1);
        assert_eq!(too_large, Err("the payload has 536870913 bytes".into()));
        // The description counts, too: blobs that nearly fit do not after a page more of it.
        let mut blobs = Blobs::behind(1000);
        blobs.add(&[7]);
        assert_eq!((blobs.start, blobs.bytes.len(), blobs.fit()), (4096, 4096, Ok(())));
        blobs.start = PAYLOAD_BYTES - 4096;
        assert_eq!(blobs.fit(), Ok(()));
        blobs.add(&[8]);
        assert_eq!(blobs.fit(), Err(format!("the payload has {} bytes", PAYLOAD_BYTES + 4096)));
    }

    #[test]
    fn the_elf_maps_what_init_and_the_payload_are() {
        let segment = |vaddr, bytes: &[u8], mem_size, write, execute| Segment {
            vaddr,
            mem_size,
            bytes: bytes.to_vec(),
            write,
            execute,
        };
        let segments = vec![
            segment(0x40_0000, b"code", 4, false, true),
            segment(0x40_1000, &[5; 5000], 5000, false, false),
            segment(0x40_4000, b"data", 9000, true, false),
        ];
        let init =
            Image { machine: image::Machine::Aarch64, entry: 0x40_0000, segments, heap: false, takes: None };
        let payload = [9; 10_000];
        let read = image::read(&elf(&init, &payload), 0..u64::MAX).unwrap();
        assert_eq!((read.entry, read.segments.len()), (init.entry, 4));
        assert_eq!(read.segments[..3], init.segments[..]);
        assert_eq!(read.segments[3], segment(ADDRESS as u64, &payload, 10_000, false, false));
    }
}
