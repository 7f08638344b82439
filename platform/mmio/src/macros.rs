//! The two macros that blocks are written with.

/// Values of registers: a newtype over `u32` with a getter and a `with_` setter per field.
#[macro_export]
macro_rules! value {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident / $with:ident : $bits:tt)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        #[repr(transparent)]
        pub struct $name(pub u32);
        impl From<u32> for $name {
            #[inline(always)]
            fn from(bits: u32) -> Self { $name(bits) }
        }
        impl From<$name> for u32 {
            #[inline(always)]
            fn from(value: $name) -> u32 { value.0 }
        }
        impl $name { $( $crate::field!($(#[$fdoc])* $field, $with, $bits); )* }
    )*};
}

/// A field: `[bit]` is a bool, `[high:low]` a number.
#[doc(hidden)]
#[macro_export]
macro_rules! field {
    ($(#[$doc:meta])* $field:ident, $with:ident, [$high:literal : $low:literal]) => {
        $(#[$doc])*
        #[inline(always)]
        pub const fn $field(self) -> u32 { (self.0 >> $low) & (u32::MAX >> (31 - ($high - $low))) }
        #[doc = concat!("Sets bits ", $high, " to ", $low, " (see the getter); a value that is too large is cut.")]
        #[inline(always)]
        #[must_use]
        pub const fn $with(self, value: u32) -> Self {
            let mask = u32::MAX >> (31 - ($high - $low));
            Self(self.0 & !(mask << $low) | (value & mask) << $low)
        }
    };
    ($(#[$doc:meta])* $field:ident, $with:ident, [$bit:literal]) => {
        $(#[$doc])*
        #[inline(always)]
        pub const fn $field(self) -> bool { (self.0 >> $bit) & 1 != 0 }
        #[doc = concat!("Sets bit ", $bit, " (see the getter).")]
        #[inline(always)]
        #[must_use]
        pub const fn $with(self, value: bool) -> Self {
            Self(self.0 & !(1 << $bit) | (value as u32) << $bit)
        }
    };
}

/// A block: its type, its registers as constants, each with its source, and for tests a list of them.
#[macro_export]
macro_rules! block {
    ($(#[$doc:meta])* $block:ident from $source:literal;
     $($(#[$rdoc:meta])* $register:ident @ $offset:literal : $value:ty, $access:ident $(, from $other:literal)?;)*) => {
        $(#[$doc])*
        #[doc = ""]
        #[doc = concat!("Source: ", $source, ".")]
        pub struct $block;
        $(
            $(#[$rdoc])*
            #[doc = ""]
            #[doc = concat!("At ", $offset, ". Source: ", $crate::source!($source $(, $other)?), ".")]
            pub const $register: $crate::Register<$block, $value, $crate::$access> = $crate::Register::at($offset);
        )*
        /// Names and offsets of the registers above.
        pub const REGISTERS: &[(&str, usize)] = &[$((stringify!($register), $offset)),*];
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! source {
    ($source:literal) => {
        $source
    };
    ($source:literal, $other:literal) => {
        $other
    };
}
