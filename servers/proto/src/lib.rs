//! Message types of the Axiom servers, one module per interface.
//!
//! A message's label is its interface's number ([`bpf::INTERFACE`] and so on); its registers hold a [`wire`] payload:
//! two bytes of length, then postcard. Replies have label [`LABEL_OK`], or [`LABEL_ERROR`] with an [`Error`].
//! Nothing here knows the system: host tools decode the same types.
#![no_std]
#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bench;
pub mod bpf;
pub mod bpf_host;
#[cfg(feature = "alloc")]
pub mod bundle;
pub mod console;
pub mod env;
pub mod gpio;
pub mod iio;
pub mod largest;
mod list;
pub mod point;
pub mod rp1;
pub mod supervisor;
pub mod wire;

pub use largest::Largest;
pub use list::List;
#[cfg(feature = "alloc")]
pub use list::Values;

use core::fmt;
use largest::message;
use serde::{Deserialize, Serialize};

/// Interfaces by name, as programs and manifests say them.
pub const INTERFACES: [(&str, u16); 8] = [
    ("console", console::INTERFACE),
    ("supervisor", supervisor::INTERFACE),
    ("bpf", bpf::INTERFACE),
    ("bpf-host", bpf_host::INTERFACE),
    ("bench", bench::INTERFACE),
    ("iio", iio::INTERFACE),
    ("gpio", gpio::INTERFACE),
    ("rp1", rp1::INTERFACE),
];

/// Longest name in a message, of whatever it is.
pub const MAX_NAME: usize = 64;
/// Label of a reply that carries the interface's own reply type.
pub const LABEL_OK: u64 = 0;
/// Label of a reply that carries an [`Error`].
pub const LABEL_ERROR: u64 = 0xffff;

/// A number in a name, in the one way to write it: decimal, without a sign or leading zeros. Otherwise `05` and `5` would be two names
/// of one thing.
pub fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    T::try_from(number_of(text.as_bytes())?).ok()
}

/// As [`number`], of bytes.
#[inline]
fn number_of(text: &[u8]) -> Option<u64> {
    let digit = |byte: u8| Some(u64::from(byte.wrapping_sub(b'0'))).filter(|d| *d < 10);
    let (first, more) = text.split_first()?;
    let first = digit(*first).filter(|d| *d != 0 || more.is_empty())?;
    if text.len() < 20 {
        // Nineteen digits are never too many.
        return more.iter().try_fold(first, |number, byte| Some(number * 10 + digit(*byte)?));
    }
    let add = |number: u64, byte: &u8| number.checked_mul(10)?.checked_add(digit(*byte)?);
    more.iter().try_fold(first, add)
}

message! {
    /// What can go wrong with any request, whatever its interface.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Error {
        /// The payload is not a request of the interface.
        Malformed,
        /// The server does not serve this interface (or not to this client).
        NoSuchInterface,
        /// The answer did not fit a message.
        TooLarge,
        /// The server crashed while it had this request; it is started again. Ask again.
        PeerRestarted,
        /// Not now: resources are used up.
        Busy,
        /// The manifest does not give the client the right to ask this.
        NotGranted,
        /// The server died as often as its restart policy allows, and stays down.
        PeerDown,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Malformed => "the request is malformed",
            Error::NoSuchInterface => "the server does not serve this interface to this client",
            Error::TooLarge => "the answer does not fit a message",
            Error::PeerRestarted => "the server crashed while it had the request and is started again",
            Error::Busy => "the server's resources are used up",
            Error::NotGranted => "the manifest does not give the client the right to ask this",
            Error::PeerDown => "the server is down, and its restarts are used up",
        })
    }
}

impl core::error::Error for Error {}

/// Requests and replies of all interfaces fit their buffers.
macro_rules! fits {
    ($($interface:ident)*) => {$(
        const _: () = largest::assert_fits::<$interface::Request<'static>>();
        const _: () = largest::assert_fits::<$interface::Reply<'static>>();
    )*};
}
const _: () = largest::assert_fits::<Error>();
fits!(bpf iio console supervisor);
const _: () = largest::assert_fits::<bpf_host::Request<'static>>();
const _: () = largest::assert_fits::<bpf_host::Reply>();
const _: () = largest::assert_fits::<gpio::Request>();
const _: () = largest::assert_fits::<gpio::Reply<'static>>();
const _: () = largest::assert_fits::<rp1::Request>();
const _: () = largest::assert_fits::<rp1::Reply>();
const _: () = largest::assert_fits::<bench::Request>();
const _: () = largest::assert_fits::<bench::Reply>();

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_number_has_one_spelling() {
        for n in 0..=255u8 {
            assert_eq!(number::<u8>(&n.to_string()), Some(n));
        }
        for n in [0, 9_999_999_999_999_999_999, 10_000_000_000_000_000_000, u64::MAX] {
            assert_eq!(number::<u64>(&n.to_string()), Some(n));
        }
        for text in
            ["18446744073709551616", "18446744073709551620", "99999999999999999999", "100000000000000000000"]
        {
            assert_eq!(number::<u64>(text), None, "{text}");
        }
        for text in ["", "00", "05", "+5", "-0", " 5", "5 ", "256", "0x5", "\u{665}"] {
            assert_eq!(number::<u8>(text), None, "{text:?}");
        }
    }
}
