//! How large a message can get, known when it is compiled.
//!
//! [`Largest`] is the number of bytes of postcard that a value takes at most. Messages are declared with `message!`, which adds up
//! their fields. The types of texts and byte slices have no bound, so each says its own after `=`: `name: &'a str = MAX_NAME`. A
//! request or reply that could be larger than its buffer does not compile ([`assert_fits`]), and a test encodes the largest value of each
//! kind.

use crate::wire::MAX_BYTES;

/// What a value takes at most.
pub trait Largest {
    /// Bytes of postcard.
    const LARGEST: usize;
}

/// Bytes of a varint that holds `n`.
const fn varint(n: usize) -> usize {
    match n {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => 3,
    }
}

/// A text or a byte slice of so many bytes.
pub(crate) const fn bounded(bytes: usize) -> usize {
    varint(bytes) + bytes
}

/// The larger one.
pub(crate) const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

macro_rules! numbers {
    ($($number:ty: $bytes:literal)*) => {$(
        impl Largest for $number {
            const LARGEST: usize = $bytes;
        }
    )*};
}

// Seven bits in a byte, but for what is one byte anyway.
numbers! { bool: 1 u8: 1 u16: 3 u32: 5 u64: 10 i32: 5 i64: 10 }

impl Largest for axiom_layout::ClientBadge {
    const LARGEST: usize = u64::LARGEST;
}

impl<T: Largest> Largest for Option<T> {
    const LARGEST: usize = 1 + T::LARGEST;
}

impl<T: Largest, const N: usize> Largest for [T; N] {
    const LARGEST: usize = N * T::LARGEST;
}

impl<const N: usize> Largest for heapless::String<N> {
    const LARGEST: usize = bounded(N);
}

impl<T: Largest> Largest for &T {
    const LARGEST: usize = T::LARGEST;
}

/// Bytes of a field.
macro_rules! field_bytes {
    ($type:ty, $bound:expr) => {
        $crate::largest::bounded($bound)
    };
    ($type:ty) => {
        <$type as $crate::largest::Largest>::LARGEST
    };
}

/// A test's value of a field, as large as can be.
#[cfg(test)]
macro_rules! field_extreme {
    ($type:ty, $bound:expr) => {
        <$type as $crate::largest::tests::Bounded>::bounded($bound)
    };
    ($type:ty) => {
        $crate::largest::tests::longest::<$type>()
    };
}

/// Declares a type of messages, and how large it gets.
macro_rules! message {
    (
        $(#[$meta:meta])*
        pub enum $name:ident $(<$life:lifetime>)? {
            $(
                $(#[$vmeta:meta])*
                $variant:ident
                $({ $( $(#[$fmeta:meta])* $field:ident : $type:ty $(= $bound:expr)? ),* $(,)? })?
                $(( $( $(#[$tmeta:meta])* $inner:ty $(= $inner_bound:expr)? ),* $(,)? ))?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub enum $name $(<$life>)? {
            $(
                $(#[$vmeta])*
                $variant
                $({ $( $(#[$fmeta])* $field: $type ),* })?
                $(( $( $(#[$tmeta])* $inner ),* ))?
            ),*
        }

        impl $(<$life>)? $crate::largest::Largest for $name $(<$life>)? {
            // One byte tells up to 127 kinds apart.
            const LARGEST: usize = 1 + {
                let most = 0;
                $(
                    let bytes = 0
                        $( $( + $crate::largest::field_bytes!($type $(, $bound)?) )* )?
                        $( $( + $crate::largest::field_bytes!($inner $(, $inner_bound)?) )* )?;
                    let most = $crate::largest::larger(most, bytes);
                )*
                most
            };
        }

        #[cfg(test)]
        impl $(<$life>)? $crate::largest::tests::Extreme for $name $(<$life>)? {
            fn extremes() -> std::vec::Vec<Self> {
                std::vec![$(
                    $name::$variant
                    $({ $( $field: $crate::largest::field_extreme!($type $(, $bound)?) ),* })?
                    $(( $( $crate::largest::field_extreme!($inner $(, $inner_bound)?) ),* ))?
                ),*]
            }
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(<$life:lifetime>)? {
            $( $(#[$fmeta:meta])* pub $field:ident : $type:ty $(= $bound:expr)? ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        pub struct $name $(<$life>)? {
            $( $(#[$fmeta])* pub $field: $type ),*
        }

        impl $(<$life>)? $crate::largest::Largest for $name $(<$life>)? {
            const LARGEST: usize = 0 $( + $crate::largest::field_bytes!($type $(, $bound)?) )*;
        }

        #[cfg(test)]
        impl $(<$life>)? $crate::largest::tests::Extreme for $name $(<$life>)? {
            fn extremes() -> std::vec::Vec<Self> {
                std::vec![$name { $( $field: $crate::largest::field_extreme!($type $(, $bound)?) ),* }]
            }
        }
    };
}

/// A request or a reply fits the buffer, whatever is in it: otherwise this does not compile.
pub const fn assert_fits<T: Largest>() {
    assert!(T::LARGEST <= MAX_BYTES, "a message can be larger than its buffer");
}

#[cfg(test)]
pub(crate) use field_extreme;
pub(crate) use {field_bytes, message};

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{bench, bpf, bpf_host, console, gpio, iio, rp1, supervisor, wire};
    use serde::Serialize;
    use std::boxed::Box;
    use std::string::String;
    use std::vec::Vec;

    /// Values as large as can be, one of each kind.
    pub trait Extreme: Sized {
        fn extremes() -> Vec<Self>;
    }

    /// A text or bytes as long as can be.
    pub trait Bounded {
        fn bounded(bytes: usize) -> Self;
    }
    impl Bounded for &str {
        fn bounded(bytes: usize) -> Self {
            Box::leak("x".repeat(bytes).into_boxed_str())
        }
    }
    impl Bounded for &[u8] {
        fn bounded(bytes: usize) -> Self {
            Box::leak(std::vec![0xff; bytes].into_boxed_slice())
        }
    }

    macro_rules! extremes {
        ($($number:ty: $value:expr;)*) => {$(
            impl Extreme for $number {
                fn extremes() -> Vec<Self> {
                    std::vec![$value]
                }
            }
        )*};
    }
    extremes! {
        bool: true;
        u8: u8::MAX;
        u16: u16::MAX;
        u32: u32::MAX;
        u64: u64::MAX;
        i32: i32::MIN;
        i64: i64::MIN;
        bpf::ProgramId: bpf::ProgramId(u32::MAX);
        axiom_layout::ClientBadge: axiom_layout::ClientBadge::new(u64::MAX);
        bpf_host::Numbers: bpf_host::Numbers {
            program: bpf::ProgramId(u32::MAX),
            page: u32::MAX,
            pages: u32::MAX,
            slots: u32::MAX,
            replaces: Some(bpf::ProgramId(u32::MAX)),
            cost: u64::MAX,
            client: axiom_layout::ClientBadge::new(u64::MAX),
        };
        rp1::Peripheral: rp1::Peripheral::from_name("adc").unwrap();
        gpio::Grants: {
            let mut all = gpio::Grants::default();
            for chip in 0..gpio::CHIPS as u8 {
                (0..gpio::LINES).for_each(|line| all.grant_line(gpio::Line { chip, line }, true));
                (0..gpio::CHANNELS).for_each(|channel| all.grant_channel(gpio::Channel { chip, channel }));
            }
            (all.motor_stop, all.motor_rearm) = (true, true);
            all
        };
    }

    /// Of kinds with several values, the one with the most bytes.
    pub fn longest<T: Extreme + Serialize>() -> T {
        T::extremes().into_iter().max_by_key(|value| postcard_bytes(value)).expect("every type has a value")
    }

    impl<T: Extreme + Serialize> Extreme for Option<T> {
        fn extremes() -> Vec<Self> {
            std::vec![Some(longest())]
        }
    }
    impl<T: Extreme + Serialize, const N: usize> Extreme for [T; N] {
        fn extremes() -> Vec<Self> {
            std::vec![core::array::from_fn(|_| longest())]
        }
    }
    impl<const N: usize> Extreme for heapless::String<N> {
        fn extremes() -> Vec<Self> {
            std::vec!["x".repeat(N).as_str().try_into().unwrap()]
        }
    }

    fn postcard_bytes<T: Serialize + ?Sized>(value: &T) -> usize {
        let mut room = [0; 4096];
        postcard::to_slice(value, &mut room).unwrap().len()
    }

    /// Encodes the largest value of each kind; the largest of all is as large as was added up.
    fn judge<T: Extreme + Serialize + Largest>(name: &str) {
        let mut most = 0;
        for value in T::extremes() {
            let bytes = postcard_bytes(&value);
            let mut message = [0; wire::MAX_WORDS * 8];
            assert!(wire::encode(&value, &mut message).is_ok(), "{name}: {bytes} bytes");
            most = most.max(bytes);
        }
        assert_eq!(most, T::LARGEST, "{name}");
        std::println!("{name}: at most {most} of {MAX_BYTES} bytes");
    }

    #[test]
    fn every_message_fits_its_buffer_at_its_largest() {
        macro_rules! all {
            ($($interface:ident)*) => {$(
                judge::<$interface::Request>(concat!(stringify!($interface), "::Request"));
                judge::<$interface::Reply>(concat!(stringify!($interface), "::Reply"));
            )*};
        }
        all!(bench bpf bpf_host console gpio iio rp1 supervisor);
        judge::<crate::Error>("Error");
        assert_eq!(crate::INTERFACES.len(), 8, "an interface is missing above");
    }

    #[test]
    fn varints_take_a_byte_for_seven_bits() {
        for n in [0usize, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0x1f_ffff] {
            assert_eq!(varint(n), postcard_bytes(&(n as u64)), "{n}");
            if n < 4000 {
                assert_eq!(bounded(n), postcard_bytes(String::from("x").repeat(n).as_str()), "{n}");
            }
        }
    }
}
