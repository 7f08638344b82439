//! Values in a row that are read where they lie, one after the other: whoever has no heap reads a list of any length.

use core::fmt;
use core::marker::PhantomData;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Values in a row, as postcard writes each of them. Bytes that are no value end the list.
pub struct List<'a, T> {
    bytes: &'a [u8],
    values: PhantomData<fn() -> T>,
}

impl<'a, T> List<'a, T> {
    /// What [`Values`] wrote, or nothing.
    pub const fn of(bytes: &'a [u8]) -> List<'a, T> {
        List { bytes, values: PhantomData }
    }
}

impl<'a, T: Deserialize<'a>> List<'a, T> {
    /// The values in their order.
    pub fn iter(self) -> Iter<'a, T> {
        Iter(self)
    }

    /// The value of this number.
    pub fn get(self, index: usize) -> Option<T> {
        self.iter().nth(index)
    }

    /// The first one.
    pub fn first(self) -> Option<T> {
        self.iter().next()
    }

    /// How many there are.
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.first().is_none()
    }

    /// Whether all bytes are values.
    pub fn is_whole(self) -> bool {
        let mut values = self.iter();
        values.by_ref().for_each(drop);
        values.0.bytes.is_empty()
    }
}

/// The values of a [`List`].
pub struct Iter<'a, T>(List<'a, T>);

impl<'a, T: Deserialize<'a>> Iterator for Iter<'a, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        if self.0.bytes.is_empty() {
            return None;
        }
        let (value, rest) = postcard::take_from_bytes(self.0.bytes).ok()?;
        // A value without bytes would be there for ever.
        let shorter = rest.len() < self.0.bytes.len();
        self.0.bytes = rest;
        shorter.then_some(value)
    }
}

impl<'a, T: Deserialize<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        List::of(&[])
    }
}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for List<'_, T> {}

impl<'a, T: Deserialize<'a> + fmt::Debug> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(self.bytes)
    }
}

impl<'de: 'a, 'a, T> Deserialize<'de> for List<'a, T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(from).map(List::of)
    }
}

/// What a [`List`] lies in, for whoever writes one.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Values(alloc::vec::Vec<u8>);

#[cfg(feature = "alloc")]
impl Values {
    /// These values; `None` for one that postcard cannot write.
    pub fn of<T: Serialize>(values: impl IntoIterator<Item = T>) -> Option<Values> {
        let mut bytes = alloc::vec::Vec::new();
        for value in values {
            bytes = postcard::to_extend(&value, bytes).ok()?;
        }
        Some(Values(bytes))
    }

    /// The list.
    pub fn list<'a, T: Deserialize<'a>>(&'a self) -> List<'a, T> {
        List::of(&self.0)
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    struct Named<'a> {
        name: &'a str,
        number: u64,
    }

    #[test]
    fn a_list_is_read_as_it_was_written_also_inside_another_value() {
        let wanted = [Named { name: "one", number: 1 }, Named { name: "", number: u64::MAX }];
        let values = Values::of(wanted).unwrap();
        let mut bytes = [0; 64];
        let whole = (7u8, values.list::<Named<'_>>(), "behind");
        let used = postcard::to_slice(&whole, &mut bytes).unwrap().len();
        let (before, list, behind): (u8, List<'_, Named<'_>>, &str) =
            postcard::from_bytes(&bytes[..used]).unwrap();
        assert_eq!((before, list.iter().collect::<Vec<_>>(), behind), (7, Vec::from(wanted), "behind"));
        assert_eq!((list.len(), list.get(1), list.get(2), list.is_whole()), (2, Some(wanted[1]), None, true));
        assert!(List::<Named<'_>>::default().is_empty());
    }

    #[test]
    fn what_is_no_value_ends_the_list_and_is_seen() {
        let list: List<'_, &str> = List::of(&[1, b'a', 200, 1]);
        assert_eq!((list.iter().collect::<Vec<_>>(), list.is_whole()), (Vec::from(["a"]), false));
        // Nothing takes no bytes: it is not there for ever.
        assert_eq!(List::<'_, ()>::of(&[0]).len(), 0);
    }
}
