//! What bpf-server asks of a server that runs programs on its events. Nobody else is answered on this interface: the manifest names
//! who places programs (`loader`), and the hosting server knows its badge.
//!
//! A hosting server has a fixed window of address space: code pages at [`CODE_WINDOW`], map pages at [`MAP_WINDOW`].
//! Each frame comes as a capability with a message; the server maps it itself, code read-and-execute, maps read-write or
//! read-only, and never gets a writable mapping of code. The requests carry only plain numbers: what they mean was
//! decided, verified and compiled by bpf-server.

use crate::bpf::{MAX_NAME, ProgramId};
use crate::env::ClientBadge;
use crate::gpio::Grants;
use crate::largest::{Largest, bounded, message};
use core::fmt;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The interface's number: the label of its messages.
pub const INTERFACE: u16 = 0x21;
/// First address of code.
pub const CODE_WINDOW: usize = axiom_layout::address::PROGRAM_CODE as usize;
/// First address of maps.
pub const MAP_WINDOW: usize = axiom_layout::address::PROGRAM_MAPS as usize;
/// Pages of code that a host can hold.
pub const CODE_PAGES: u32 = 256;
/// Pages of maps that a host can hold.
pub const MAP_PAGES: u32 = 512;
/// Map descriptors of a host. Number 0 is never used: a map's handle in a program is its number.
pub const MAP_SLOTS: u32 = 64;
/// Frames that are handed over at a time.
pub const TRAY: u32 = 1 << TRAY_BITS;
/// Bits of a tray's slots.
pub const TRAY_BITS: u32 = 6;
/// Programs of a host.
pub const PROGRAMS: u32 = 32;
/// Attach points of a host, those included that are opened for a program and go with it.
pub const POINTS: usize = 96;

/// Maps in one message.
pub const MAPS: usize = 8;
/// Bytes of a map in a message.
pub const PLAN: usize = 32;

/// A map to be. Its frames are the next ones of the tray, which the host takes; without any, its pages are there already. In a message
/// it is bytes, so that a message without maps costs nothing for them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapPlan {
    /// Its number, from 1.
    pub slot: u32,
    /// Linux's number of its type.
    pub map_type: u32,
    /// Bytes.
    pub key_size: u32,
    /// Bytes.
    pub value_size: u32,
    /// Entries, or bytes of a ring.
    pub max_entries: u32,
    /// First page in the map window.
    pub page: u32,
    /// How many frames of the tray are its; at most [`TRAY`] in a message.
    pub frames: u32,
    /// Read-only data stays read-only.
    pub writable: bool,
}

impl MapPlan {
    /// Its form in a message: the numbers in their order, little-endian, and 0 or 1.
    pub fn to_bytes(&self) -> [u8; PLAN] {
        let MapPlan { slot, map_type, key_size, value_size, max_entries, page, frames, writable } = *self;
        let numbers = [slot, map_type, key_size, value_size, max_entries, page, frames, writable.into()];
        let mut bytes = [0; PLAN];
        for (to, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *to = number.to_le_bytes();
        }
        bytes
    }

    /// The map of such bytes; anything but 0 is a 1.
    pub fn from_bytes(bytes: &[u8; PLAN]) -> MapPlan {
        let mut numbers = [0; PLAN / 4];
        for (number, from) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = u32::from_le_bytes(*from);
        }
        let [slot, map_type, key_size, value_size, max_entries, page, frames, writable] = numbers;
        let writable = writable != 0;
        MapPlan { slot, map_type, key_size, value_size, max_entries, page, frames, writable }
    }
}

/// The maps of a message, in the order of their frames, if its bytes are whole ones and at most [`MAPS`].
pub fn plans(bytes: &[u8]) -> Option<impl Iterator<Item = MapPlan> + Clone> {
    let (plans, rest) = bytes.as_chunks::<PLAN>();
    (rest.is_empty() && plans.len() <= MAPS).then(|| plans.iter().map(MapPlan::from_bytes))
}

/// Bytes of a program's numbers in a message.
pub const NUMBERS: usize = 40;

/// A program that is attached, in numbers. In a message they are bytes, as many whatever the numbers: they are written and read at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Numbers {
    /// Which.
    pub program: ProgramId,
    /// The code's first page and its number of pages.
    pub page: u32,
    /// See `page`.
    pub pages: u32,
    /// For an interpreted program, its number of instruction slots in those pages; 0 for a compiled one.
    pub slots: u32,
    /// Takes this program's place.
    pub replaces: Option<ProgramId>,
    /// Its worst case, in machine instructions.
    pub cost: u64,
    /// Whose it is, for the share of time that one client may have: a badge, or nobody's if the manifest names the program.
    pub client: ClientBadge,
}

impl Numbers {
    /// Their form in a message: little-endian, in their order; before the number of what is replaced stands 1, or 0 and its number
    /// is 0.
    pub fn to_bytes(&self) -> [u8; NUMBERS] {
        let Numbers { program, page, pages, slots, replaces, cost, client } = *self;
        let (there, old) = replaces.map_or((0, 0), |old| (1, old.0));
        let (cost, client) = ([cost as u32, (cost >> 32) as u32], client.word());
        let client = [client as u32, (client >> 32) as u32];
        let numbers = [program.0, page, pages, slots, there, old, cost[0], cost[1], client[0], client[1]];
        let mut bytes = [0; NUMBERS];
        for (to, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *to = number.to_le_bytes();
        }
        bytes
    }

    /// The numbers of such bytes; anything but 0 is a 1.
    pub fn from_bytes(bytes: &[u8; NUMBERS]) -> Numbers {
        let numbers = at_words(bytes).unwrap_or_else(|| apart(bytes));
        let [program, page, pages, slots, there, old, cost, cost_high, client, client_high] = numbers;
        let long = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        Numbers {
            program: ProgramId(program),
            page,
            pages,
            slots,
            replaces: (there != 0).then_some(ProgramId(old)),
            cost: long(cost, cost_high),
            client: ClientBadge::new(long(client, client_high)),
        }
    }
}

/// Words where they lie, which has to be at a multiple of four: so they do in the message, being its first field. Otherwise they would be
/// read byte by byte, which takes four times as long.
#[inline]
fn at_words(bytes: &[u8; NUMBERS]) -> Option<[u32; NUMBERS / 4]> {
    // SAFETY: any four bytes are a number.
    let (before, words, _) = unsafe { bytes.align_to::<u32>() };
    let words = words.first_chunk().filter(|_| before.is_empty())?;
    Some(words.map(u32::from_le))
}

/// The same, wherever they lie. Out of line: what is the same at all addresses would be read in this way at all of them.
#[cold]
#[inline(never)]
fn apart(bytes: &[u8; NUMBERS]) -> [u32; NUMBERS / 4] {
    let mut words = [0; NUMBERS / 4];
    for (word, from) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*from);
    }
    words
}

impl Serialize for Numbers {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        in_one_piece(&self.to_bytes(), to)
    }
}

/// Out of line: of bytes whose number is known, each would be written by itself.
#[inline(never)]
fn in_one_piece<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_bytes(bytes)
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Numbers, D::Error> {
        let bytes = <&[u8]>::deserialize(from)?;
        let bytes =
            bytes.try_into().map_err(|_| D::Error::invalid_length(bytes.len(), &"a program's numbers"))?;
        Ok(Numbers::from_bytes(bytes))
    }
}

impl Largest for Numbers {
    const LARGEST: usize = bounded(NUMBERS);
}

message! {
    /// A request to a hosting server.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request<'a> {
        /// Which start of the server this is: another answer than before means that it was restarted and has nothing.
        Hello,
        /// Maps the frame that comes along as a code page.
        Code {
            /// Page of the code window.
            page: u32,
        },
        /// Keeps the frame that comes along, for the next program that comes without its first code page. Takes the place of an
        /// earlier one.
        Keep,
        /// Maps the frame that comes along as a map page.
        MapPage {
            /// Page of the map window.
            page: u32,
            /// Read-only data stays read-only.
            writable: bool,
        },
        /// Takes the CNode that comes along as the tray: whoever places programs puts frames into it, the server takes them out. A tray
        /// is there for as long as the server.
        Tray,
        /// Maps the frames of the tray's first slots as map pages in a row, and takes them.
        MapPages {
            /// The first page of the map window.
            page: u32,
            /// How many; at most [`TRAY`].
            count: u32,
            /// Read-only data stays read-only.
            writable: bool,
        },
        /// Maps of a program, with their frames.
        Maps {
            /// Which: see [`plans`].
            #[serde(serialize_with = "crate::wire::bytes")]
            maps: &'a [u8] = MAPS * PLAN,
        },
        /// Signals the notification that comes along when a program has put records into this ring buffer: once for all records
        /// of an event. Takes the place of an earlier one.
        Doorbell {
            /// The ring buffer's number.
            slot: u32,
        },
        /// Forgets a map and gives up its pages.
        RemoveMap {
            /// Its number.
            slot: u32,
        },
        /// Attaches a program whose code is there, after these maps of its. A frame that comes along is its first code page; or the one
        /// that is kept is, if that is said: it is the next program's, and never taken for what should be there and is not.
        Attach {
            /// Which, and all of it that is a number.
            numbers: Numbers,
            /// Where.
            point: &'a str = MAX_NAME,
            /// Its function's name, for what it prints.
            name: &'a str = MAX_NAME,
            /// What it may do with lines, channels and motors; nothing is one byte.
            grants: Option<Grants>,
            /// Those of its maps that are not there yet: see [`plans`].
            #[serde(serialize_with = "crate::wire::bytes")]
            maps: &'a [u8] = MAPS * PLAN,
            /// Its first code page is the frame that is kept.
            kept: bool,
        },
        /// Detaches a program.
        Detach {
            /// Which.
            program: ProgramId,
        },
        /// Gives up code pages.
        RemoveCode {
            /// The first.
            page: u32,
            /// How many.
            pages: u32,
        },
        /// The name of an attach point that is there: for telling somebody who asked for one that is not.
        Point {
            /// Which, from 0; [`Refusal::BadNumber`] after the last.
            index: u32,
        },
        /// Forgets all programs, maps and frames: the server that placed them was started anew. Motors that a program could stop are
        /// stopped and held, since nobody stops them from now on.
        Reset,
        /// How often a program ran.
        Stats {
            /// Which.
            program: ProgramId,
        },
    }
}

message! {
    /// Why a host refused.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Refusal {
        /// The page, slot or program number is out of range or in use.
        BadNumber,
        /// No capability came along, or it could not be mapped, or is no notification where one should be.
        BadFrame,
        /// The map's shape is impossible.
        BadMap,
        /// This server has no such attach point.
        NoSuchPoint,
        /// No such program.
        NoSuchProgram,
        /// No room for another program on this point.
        Full,
        /// This server has no tray yet: it was started anew.
        NoTray,
        /// No time for it.
        Overload(Overload),
    }
}

message! {
    /// Which rule of admission refuses.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Limit {
        /// The part of the server's budget that programs may have; figures are thousandths of the budget.
        Budget,
        /// The part of that which one client's programs may have; figures as before.
        Share,
        /// How long events may wait for programs; figures are microseconds.
        Waiting,
    }
}

message! {
    /// Why there is no time for a program, or for a rate: what it may need, and what is left.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub struct Overload {
        /// The rule.
        pub limit: Limit,
        /// Events in a thousand seconds that it was counted with.
        pub millihertz: u64,
        /// What is asked for may need so much.
        pub needs: u32,
        /// So much is left.
        pub left: u32,
    }
}

impl Overload {
    /// The figures as a sentence's beginning. `who` needs it, in `host`: `this program`, `iio-server`.
    ///
    /// # Errors
    /// The writer's.
    pub fn words(&self, out: &mut dyn fmt::Write, who: &str, host: &str) -> fmt::Result {
        let (needs, left) = (Share(self.needs), Share(self.left));
        match self.limit {
            Limit::Budget => write!(
                out,
                "at {} {who} may need {needs} of {host}'s budget; {left} is left",
                Rate(self.millihertz)
            ),
            Limit::Share => write!(
                out,
                "at {} {who} may need {needs} of {host}'s budget; of what one client may have, {left} is left",
                Rate(self.millihertz)
            ),
            Limit::Waiting if self.needs == u32::MAX => write!(
                out,
                "one run of {who} may take more than an hour; events of {host} can wait for {} us more",
                self.left
            ),
            Limit::Waiting => write!(
                out,
                "one run of {who} may take {} us; events of {host} can wait for {} us more",
                self.needs, self.left
            ),
        }
    }
}

/// Thousandths, shown as a percentage; the most that the word holds stands for all that is more.
struct Share(u32);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 10, self.0 % 10) {
            _ if self.0 == u32::MAX => write!(f, "more than 400,000,000 %"),
            (whole, 0) => write!(f, "{whole} %"),
            (whole, tenth) => write!(f, "{whole}.{tenth} %"),
        }
    }
}

/// Thousandths of a hertz, shown with thousands set apart.
struct Rate(u64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1000, self.0 % 1000);
        match whole {
            0..1000 => write!(f, "{whole}")?,
            1000..1_000_000 => write!(f, "{},{:03}", whole / 1000, whole % 1000)?,
            _ => write!(f, "{},{:03},{:03}", whole / 1_000_000, whole / 1000 % 1000, whole % 1000)?,
        }
        if rest > 0 {
            write!(f, ".{rest:03}")?;
        }
        f.write_str(" Hz")
    }
}

/// The name of an attach point.
pub type PointName = heapless::String<MAX_NAME>;

message! {
    /// An answer of a hosting server.
    #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply {
        /// Done.
        Done,
        /// A number that differs from start to start.
        Generation(u64),
        /// The name of an attach point.
        Point(PointName),
        /// Counts of a program.
        Stats {
            /// Times it ran.
            runs: u64,
            /// Times it returned something other than 0.
            accepted: u64,
        },
        /// Not done.
        Refused(Refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn words(limit: Limit, millihertz: u64, needs: u32, left: u32) -> String {
        let mut text = String::new();
        Overload { limit, millihertz, needs, left }.words(&mut text, "this program", "iio-server").unwrap();
        text
    }

    #[test]
    fn numbers_survive_as_bytes_and_other_lengths_are_no_numbers() {
        let high = |n: u64| n << 40 | n;
        for replaces in [None, Some(ProgramId(0)), Some(ProgramId(7)), Some(ProgramId(u32::MAX))] {
            for client in [ClientBadge::NOBODY, ClientBadge::new(3), ClientBadge::new(u64::MAX)] {
                let (program, cost) = (ProgramId(0x0102_0304), high(0x81_02_03));
                let numbers =
                    Numbers { program, page: 5, pages: u32::MAX, slots: 1 << 31, replaces, cost, client };
                assert_eq!(Numbers::from_bytes(&numbers.to_bytes()), numbers);
                let mut room = [0; 64];
                let bytes = postcard::to_slice(&numbers, &mut room).unwrap();
                assert_eq!(bytes.len(), Numbers::LARGEST);
                assert_eq!(postcard::from_bytes::<Numbers>(bytes), Ok(numbers));
                for other in [0, 1, NUMBERS as u8 - 1, NUMBERS as u8 + 1] {
                    bytes[0] = other;
                    assert!(postcard::from_bytes::<Numbers>(bytes).is_err(), "{other}");
                }
            }
        }
    }

    #[test]
    fn numbers_are_the_same_wherever_they_lie_and_lie_at_a_word_in_their_message() {
        let bytes: [u8; NUMBERS] = core::array::from_fn(|i| (i * 7 + 1) as u8);
        #[repr(align(8))]
        struct Room([u8; NUMBERS + 8]);
        let Room(room) = &mut Room([0; NUMBERS + 8]);
        for offset in 0..8 {
            room[offset..offset + NUMBERS].copy_from_slice(&bytes);
            let there = room[offset..].first_chunk().unwrap();
            assert_eq!(at_words(there).is_some(), offset % 4 == 0, "{offset}");
            assert!(at_words(there).is_none_or(|w| w == apart(there)));
            assert_eq!(Numbers::from_bytes(there), Numbers::from_bytes(&bytes));
        }
        let numbers = Numbers::from_bytes(&bytes);
        let request = Request::Attach {
            numbers,
            point: "timer/1hz",
            name: "tick",
            grants: None,
            maps: &[],
            kept: false,
        };
        let mut message = [0; crate::wire::MAX_WORDS * 8];
        crate::wire::encode(&request, &mut message).unwrap();
        assert_eq!(
            message[4..4 + NUMBERS],
            numbers.to_bytes(),
            "behind two lengths and the variant's number"
        );
    }

    #[test]
    fn an_overload_reads_as_a_sentence_with_figures() {
        assert_eq!(
            words(Limit::Budget, 3_200_000, 610, 400),
            "at 3,200 Hz this program may need 61 % of iio-server's budget; 40 % is left"
        );
        assert_eq!(
            words(Limit::Share, 12_500, 301, 4),
            "at 12.500 Hz this program may need 30.1 % of iio-server's budget; of what one client may have, 0.4 % is left"
        );
        assert_eq!(
            words(Limit::Waiting, 1_000, 1300, 250),
            "one run of this program may take 1300 us; events of iio-server can wait for 250 us more"
        );
        // What no word holds is said in words.
        assert_eq!(
            words(Limit::Budget, 1_000, u32::MAX, 400),
            "at 1 Hz this program may need more than 400,000,000 % of iio-server's budget; 40 % is left"
        );
        assert_eq!(
            words(Limit::Waiting, 1_000, u32::MAX, 250),
            "one run of this program may take more than an hour; events of iio-server can wait for 250 us more"
        );
        assert!(words(Limit::Budget, 1_234_567_891, 1, 0).starts_with("at 1,234,567.891 Hz"));
    }
}
