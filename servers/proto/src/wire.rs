//! Payloads in message registers: two bytes of length (little-endian), then postcard.

use crate::Error;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// Words that a payload may take: the message registers but one, which is left to the runtime.
pub const MAX_WORDS: usize = 119;
/// Bytes of postcard that fit.
pub const MAX_BYTES: usize = MAX_WORDS * 8 - 2;

/// Writes a value into message bytes; returns how many words they take.
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut [u8]) -> Result<usize, Error> {
    let end = out.len().min(MAX_WORDS * 8);
    let (head, body) = out[..end].split_at_mut_checked(2).ok_or(Error::TooLarge)?;
    let used = encode_plain(value, body)?;
    head.copy_from_slice(&(used as u16).to_le_bytes());
    Ok((used + 2).div_ceil(8))
}

/// Reads a value from message bytes. Strings and byte slices borrow from them.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    let (head, body) = bytes.split_at_checked(2).ok_or(Error::Malformed)?;
    let len = u16::from_le_bytes([head[0], head[1]]) as usize;
    postcard::from_bytes(body.get(..len).ok_or(Error::Malformed)?).map_err(|_| Error::Malformed)
}

/// Writes bytes in one piece; a slice by itself is written element by element, which looks the same but takes longer.
/// For `#[serde(serialize_with = "...")]`.
pub fn bytes<S: serde::Serializer>(bytes: &&[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

/// Reads a value that is not a message: no length in front.
pub fn decode_plain<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Error> {
    postcard::from_bytes(bytes).map_err(|_| Error::Malformed)
}

/// Writes a value that is not a message; returns its bytes' number.
pub fn encode_plain<T: Serialize + ?Sized>(value: &T, out: &mut [u8]) -> Result<usize, Error> {
    postcard::serialize_with_flavor(value, Out { bytes: out, used: 0 }).map_err(|_| Error::TooLarge)
}

/// Where a value is written. Most numbers of a message are one byte long, which is written here, and of nothing nothing is; postcard's own
/// slices call a copying function for both.
struct Out<'a> {
    bytes: &'a mut [u8],
    used: usize,
}

impl Flavor for Out<'_> {
    type Output = usize;

    #[inline(always)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        *self.bytes.get_mut(self.used).ok_or(postcard::Error::SerializeBufferFull)? = byte;
        self.used += 1;
        Ok(())
    }

    #[inline(always)]
    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        match data {
            [] => return Ok(()),
            [byte] => return self.try_push(*byte),
            _ => {}
        }
        let rest = self.bytes.get_mut(self.used..).and_then(|rest| rest.get_mut(..data.len()));
        rest.ok_or(postcard::Error::SerializeBufferFull)?.copy_from_slice(data);
        self.used += data.len();
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::{Request, Source};

    #[test]
    fn a_load_survives_the_wire_and_the_largest_one_fits() {
        let name = core::str::from_utf8(&[b'n'; crate::bpf::MAX_NAME]).unwrap();
        let bytes = [7; crate::bpf::MAX_INLINE];
        for source in [Source::Inline(&bytes), Source::Rest { offset: u32::MAX, bytes: &bytes }] {
            let request = Request::Load {
                source,
                program: name,
                point: "",
                attach: true,
                replaces: None,
                settings: [None; crate::bpf::MAX_SETTINGS],
            };
            let mut bytes = [0; MAX_WORDS * 8];
            let words = encode(&request, &mut bytes).unwrap();
            assert_eq!(decode::<Request>(&bytes[..words * 8]), Ok(request));
        }
        let request = Request::Upload { offset: u32::MAX, bytes: &[7; crate::bpf::MAX_PIECE] };
        let mut bytes = [0; MAX_WORDS * 8];
        let words = encode(&request, &mut bytes).unwrap();
        assert_eq!(decode::<Request>(&bytes[..words * 8]), Ok(request));
    }

    #[test]
    fn nonsense_is_malformed_and_too_much_is_too_large() {
        assert_eq!(decode::<Request>(&[]), Err(Error::Malformed));
        assert_eq!(decode::<Request>(&[200, 0, 1]), Err(Error::Malformed));
        assert_eq!(decode::<Request>(&[1, 0, 0xee]), Err(Error::Malformed));
        let mut small = [0; 16];
        let long = Request::Upload { offset: 0, bytes: &[0; 100] };
        assert_eq!(encode(&long, &mut small), Err(Error::TooLarge));
        let mut large = [0; 2048];
        let over = Request::Upload { offset: 0, bytes: &[0; MAX_BYTES] };
        assert_eq!(encode(&over, &mut large), Err(Error::TooLarge));
    }
}
