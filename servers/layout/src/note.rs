//! What an image says of itself, in notes of its ELF file: compose reads them, nobody at run time.

/// This system's name in a note.
pub const NAME: &[u8] = b"Axiom\0";
/// The kind of note that says that the image has a heap.
pub const HEAP: [u8; 4] = *b"heap";
/// The kind of note with what the program takes.
pub const TAKES: [u8; 4] = *b"take";

/// A note (ELF's `Elf64_Nhdr`, with this system's name), and its bytes.
#[repr(C, align(4))]
pub struct Note<const N: usize> {
    name_size: u32,
    size: u32,
    kind: [u8; 4],
    name: [u8; 8],
    bytes: [u8; N],
}

/// Bytes before those of a note.
pub const HEAD: usize = core::mem::offset_of!(Note<0>, bytes);

impl<const N: usize> Note<N> {
    /// A note of a kind that says a text, all of whose bytes it has.
    pub const fn text(kind: [u8; 4], text: &str) -> Note<N> {
        let mut bytes = [0; N];
        let mut i = 0;
        while i < N {
            bytes[i] = text.as_bytes()[i];
            i += 1;
        }
        Note::new(kind, bytes)
    }

    /// A note of a kind.
    pub const fn new(kind: [u8; 4], bytes: [u8; N]) -> Note<N> {
        Note { name_size: NAME.len() as u32, size: N as u32, kind, name: *b"Axiom\0\0\0", bytes }
    }
}
