//! Bounds-checked reading: every access to the object goes through here, and offsets never overflow.

use crate::ObjectError;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Longest name or line of source text.
pub(crate) const MAX_NAME: usize = 1023;

/// A part of the object, which remembers where it lies in the file.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Part<'a> {
        Part { bytes, at: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// `len` bytes from `offset`; `what` names them in the error.
    #[inline]
    pub(crate) fn slice(&self, offset: usize, len: usize, what: &str) -> Result<Part<'a>, ObjectError> {
        match self.bytes.get(offset..).and_then(|rest| rest.get(..len)) {
            Some(bytes) => Ok(Part { bytes, at: self.at + offset }),
            None => Err(beyond(self.at.saturating_add(offset), len, what)),
        }
    }

    /// A record of `N` bytes, copied to where its fields are aligned.
    #[inline]
    pub(crate) fn record<const N: usize>(&self, offset: usize, what: &str) -> Result<Record<N>, ObjectError> {
        let part = self.slice(offset, N, what)?;
        let mut record = Record([0; N]);
        aligned(&mut record.0, part.bytes);
        Ok(record)
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], ObjectError> {
        let end = offset.checked_add(N);
        match end.and_then(|end| self.bytes.get(offset..end)).and_then(|b| b.try_into().ok()) {
            Some(array) => Ok(array),
            None => Err(ObjectError::new(
                self.at.saturating_add(offset),
                "a field reaches beyond the end: the object is cut short or damaged".to_string(),
            )),
        }
    }

    pub(crate) fn u16(&self, offset: usize) -> Result<u16, ObjectError> {
        self.array(offset).map(u16::from_le_bytes)
    }
    pub(crate) fn u32(&self, offset: usize) -> Result<u32, ObjectError> {
        self.array(offset).map(u32::from_le_bytes)
    }
    pub(crate) fn u64(&self, offset: usize) -> Result<u64, ObjectError> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// A zero-terminated string of UTF-8 text.
    pub(crate) fn text(&self, offset: usize) -> Result<&'a str, ObjectError> {
        Name(self.bytes.get(offset..).unwrap_or(&[])).text(self.at.saturating_add(offset))
    }

    /// The same before it is known to be UTF-8, and not longer than it may be: it has an end, which is where it is read as text. In a
    /// table that ends with a zero, as every compiler makes them, each name has one.
    #[inline]
    pub(crate) fn name(&self, offset: usize) -> Result<Name<'a>, ObjectError> {
        let name = Name(self.bytes.get(offset..).unwrap_or(&[]));
        if name.0.last() == Some(&0) || name.end().is_some() {
            return Ok(name);
        }
        Err(bad_name(self.at.saturating_add(offset)))
    }
}

/// Copies words at a time. Out of line: otherwise the compiler sees that the copy is only read and reads the fields where they were, byte
/// by byte, because nothing says how they are aligned.
#[inline(never)]
fn aligned(to: &mut [u8], from: &[u8]) {
    to.copy_from_slice(from);
}

#[cold]
fn beyond(at: usize, len: usize, what: &str) -> ObjectError {
    let text =
        alloc::format!("{what} ({len} bytes) reaches beyond the end: the object is cut short or damaged");
    ObjectError::new(at, text)
}

#[cold]
fn bad_name(at: usize) -> ObjectError {
    ObjectError::new(
        at,
        alloc::format!("a name is not zero-terminated UTF-8 text of at most {MAX_NAME} bytes"),
    )
}

/// A name as the object spells it, with what follows: most are never looked at.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// The name of what has none.
    pub(crate) const NONE: Name<'static> = Name(&[0]);

    /// Where it ends. No more than [`MAX_NAME`] bytes are looked at, so that many references to one long run of bytes cost no time.
    fn end(self) -> Option<usize> {
        self.0[..self.0.len().min(MAX_NAME + 1)].iter().position(|&b| b == 0)
    }

    /// As text; `at` is the offset for the error.
    pub(crate) fn text(self, at: usize) -> Result<&'a str, ObjectError> {
        let text = self.end().and_then(|end| core::str::from_utf8(&self.0[..end]).ok());
        text.ok_or_else(|| bad_name(at))
    }

    #[inline]
    pub(crate) fn is(self, name: &str) -> bool {
        self.behind(name) == Some(0)
    }

    /// The byte behind this beginning, if the name begins so: 0 if that is all.
    #[inline]
    pub(crate) fn behind(self, beginning: &str) -> Option<u8> {
        let there = self.0.get(..beginning.len())?;
        // Byte by byte: most differ at the first or the second.
        let same = there.iter().zip(beginning.as_bytes()).all(|(a, b)| a == b);
        self.0.get(beginning.len()).copied().filter(|_| same)
    }
}

/// Bytes at an aligned address: fields at multiples of their size are read whole.
#[repr(align(8))]
pub(crate) struct Record<const N: usize>(pub(crate) [u8; N]);

impl<const N: usize> Record<N> {
    #[inline(always)]
    fn field<const M: usize>(&self, at: usize) -> [u8; M] {
        // All callers name fields inside the record; should one not, it reads zeros.
        self.0.get(at..at + M).and_then(|b| b.try_into().ok()).unwrap_or([0; M])
    }
    #[inline(always)]
    pub(crate) fn u8(&self, at: usize) -> u8 {
        self.field::<1>(at)[0]
    }
    #[inline(always)]
    pub(crate) fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.field(at))
    }
    #[inline(always)]
    pub(crate) fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.field(at))
    }
    #[inline(always)]
    pub(crate) fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.field(at))
    }
}

/// Room for `more` elements, or the refusal that there is no memory.
pub(crate) fn room<T>(v: &mut Vec<T>, more: usize) -> Result<(), ObjectError> {
    v.try_reserve_exact(more).map_err(|_| ObjectError::no_memory())
}

/// Appends, growing by doubling, or refuses for want of memory.
pub(crate) fn push<T>(v: &mut Vec<T>, value: T) -> Result<(), ObjectError> {
    if v.len() == v.capacity() {
        v.try_reserve(1).map_err(|_| ObjectError::no_memory())?;
    }
    v.push(value);
    Ok(())
}
