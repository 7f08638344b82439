//! What the benchmark keeps, without the allocator's last word: lists of bounded room that are asked for first, and texts of a fixed size.
//! Memory that is not there is a sentence of the report, never the end of the server.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Arguments, Write};
use core::ops::Deref;

/// A name or a reason: what does not fit is cut.
#[derive(Default)]
pub struct Text<const N: usize = 112>(heapless::String<N>);

impl<const N: usize> Text<N> {
    /// What is said, as far as it fits.
    pub fn of(what: Arguments<'_>) -> Text<N> {
        let mut text = Text::default();
        // It says that it was cut; a name that is cut is a name.
        let _ = text.write_fmt(what);
        text
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let mut length = piece.len().min(self.0.capacity() - self.0.len());
        while !piece.is_char_boundary(length) {
            length -= 1;
        }
        self.0.push_str(&piece[..length]).map_err(|_| fmt::Error)?;
        if length == piece.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::of(format_args!("{text}"))
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// Makes a [`Text`], as `format!` makes a string.
#[macro_export]
macro_rules! text {
    ($($arg:tt)*) => { <$crate::measure::memory::Text>::of(format_args!($($arg)*)) };
}

/// So many bytes cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoMemory(usize);

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no memory for {} bytes", self.0)
    }
}

impl From<NoMemory> for Text {
    fn from(why: NoMemory) -> Text {
        text!("{why}")
    }
}

/// An empty list with room for so many, or why not.
pub fn room<T>(count: usize) -> Result<Vec<T>, NoMemory> {
    let mut list = Vec::new();
    match list.try_reserve_exact(count) {
        Ok(()) => Ok(list),
        Err(_) => Err(NoMemory(count.saturating_mul(size_of::<T>()))),
    }
}

/// Adds to a list, if there is memory for it.
pub fn push<T>(list: &mut Vec<T>, value: T) -> Result<(), NoMemory> {
    if list.try_reserve(1).is_err() {
        return Err(NoMemory((list.len() + 1).saturating_mul(size_of::<T>())));
    }
    list.push(value);
    Ok(())
}

/// What an iterator gives, as a list.
pub fn list<T>(values: impl Iterator<Item = T>) -> Result<Vec<T>, NoMemory> {
    let mut list = room(values.size_hint().0)?;
    for value in values {
        push(&mut list, value)?;
    }
    Ok(list)
}

/// A text of its own length.
pub fn owned(text: &str) -> Result<String, NoMemory> {
    let mut own = String::new();
    match own.try_reserve_exact(text.len()) {
        Ok(()) => own.push_str(text),
        Err(_) => return Err(NoMemory(text.len())),
    }
    Ok(own)
}

/// Values of a series, in place: at most `N`, and further ones are not kept.
pub struct Series<T, const N: usize>(heapless::Vec<T, N>);

impl<T, const N: usize> Series<T, N> {
    /// None yet.
    pub const fn new() -> Series<T, N> {
        Series(heapless::Vec::new())
    }

    /// Adds one.
    #[inline]
    pub fn push(&mut self, value: T) {
        if !self.0.is_full() {
            // There is room, so nothing comes back.
            drop(self.0.push(value));
        }
    }
}

impl<T, const N: usize> Deref for Series<T, N> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}
