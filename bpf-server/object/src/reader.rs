//! Bounds-checked reading: every access to the object goes through here, and offsets never overflow.

use crate::Error;
use alloc::string::ToString;

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
    pub(crate) fn slice(&self, offset: usize, len: usize, what: &str) -> Result<Part<'a>, Error> {
        let end = offset.checked_add(len);
        match end.and_then(|end| self.bytes.get(offset..end)) {
            Some(bytes) => Ok(Part { bytes, at: self.at + offset }),
            None => Err(Error::new(
                self.at.saturating_add(offset),
                alloc::format!(
                    "{what} ({len} bytes) reaches beyond the end: the object is cut short or damaged"
                ),
            )),
        }
    }

    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], Error> {
        let end = offset.checked_add(N);
        match end.and_then(|end| self.bytes.get(offset..end)).and_then(|b| b.try_into().ok()) {
            Some(array) => Ok(array),
            None => Err(Error::new(
                self.at.saturating_add(offset),
                "a field reaches beyond the end: the object is cut short or damaged".to_string(),
            )),
        }
    }

    pub(crate) fn u8(&self, offset: usize) -> Result<u8, Error> {
        self.array::<1>(offset).map(|b| b[0])
    }
    pub(crate) fn u16(&self, offset: usize) -> Result<u16, Error> {
        self.array(offset).map(u16::from_le_bytes)
    }
    pub(crate) fn u32(&self, offset: usize) -> Result<u32, Error> {
        self.array(offset).map(u32::from_le_bytes)
    }
    pub(crate) fn u64(&self, offset: usize) -> Result<u64, Error> {
        self.array(offset).map(u64::from_le_bytes)
    }

    /// A zero-terminated string of UTF-8 text.
    pub(crate) fn text(&self, offset: usize) -> Result<&'a str, Error> {
        let rest = self.bytes.get(offset..).unwrap_or(&[]);
        let end = rest.iter().position(|&b| b == 0);
        match end.map(|end| core::str::from_utf8(&rest[..end])) {
            Some(Ok(text)) => Ok(text),
            _ => Err(Error::new(
                self.at.saturating_add(offset),
                "a name is not zero-terminated UTF-8 text".to_string(),
            )),
        }
    }
}
