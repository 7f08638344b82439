//! Why something was not done, in words; and names and numbers for them.

use crate::Platform;
use crate::place::Windows;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use axiom_bpf_object as object;
use axiom_bpf_verdict::{Refused, Wrong};
use axiom_proto::bpf::{MAX_NAME, Refusal};
use axiom_proto::bpf_host::MAP_PAGES;

/// Why something was not done: the kind for programs, the sentence for people.
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) text: Cow<'static, str>,
}

/// A failure with its sentence.
#[cold]
pub(crate) fn fail(refusal: Refusal, text: String) -> Failure {
    Failure { refusal, text: Cow::Owned(text) }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let refusal = match refused.wrong {
            Wrong::Object => Refusal::Object,
            Wrong::Verifier => Refusal::Verifier,
            Wrong::NotFound => Refusal::NotFound,
            Wrong::Ambiguous => Refusal::BadRequest,
            Wrong::Memory => Refusal::Resources,
        };
        Failure { refusal, text: refused.text }
    }
}

impl From<object::Error> for Failure {
    fn from(error: object::Error) -> Failure {
        Refused::from(error).into()
    }
}

/// There is no memory: says so without taking any.
pub(crate) fn no_memory() -> Failure {
    Refused::memory().into()
}

/// As much of a name as is kept and shown.
pub(crate) fn shown(name: &str) -> &str {
    let mut end = name.len().min(MAX_NAME);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Why a map finds no place in its host's window.
pub(crate) fn no_room_for_map(windows: &Windows, bytes: usize, pages: u32) -> String {
    if windows.free_slots() == 0 {
        return String::from(
            "the hosting server has as many maps as it can have: unload a program that has some",
        );
    }
    let (free, longest) = windows.free_maps();
    format!(
        "it takes {bytes} bytes, which are {pages} pages of 4 KiB; the hosting server's map window has {free} of {MAP_PAGES} pages free, \
         at most {longest} in a row: lower max_entries, or unload a program that has maps"
    )
}

/// The kinds of attach point, for somebody who asked for one that nobody serves.
pub(crate) fn nobody_serves<P: Platform>(platform: &P, point: &str) -> String {
    let mut text = format!("nobody serves attach points like '{}'; there are: ", shown(point));
    let kinds = [
        "iio/<device>/<channel>",
        "timer/<n>hz",
        "gpio/<chip>/<line>/<rising|falling|both>",
        "pwm/<chip>/<channel>",
    ];
    let mut comma = "";
    for kind in kinds.into_iter().filter(|k| platform.host(k).is_some()) {
        text += comma;
        text += kind;
        comma = ", ";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_told_with_sizes() {
        let mut windows = Windows::new();
        assert!(windows.take_map(400).is_some() && windows.take_map(100).is_some());
        let text = no_room_for_map(&windows, 70_000, 18);
        assert_eq!(
            text,
            "it takes 70000 bytes, which are 18 pages of 4 KiB; the hosting server's map window has 12 of 512 pages free, \
             at most 12 in a row: lower max_entries, or unload a program that has maps"
        );
        while windows.take_map(0).is_some() {}
        let text = no_room_for_map(&windows, 70_000, 18);
        assert!(text.starts_with("the hosting server has as many maps as it can have"), "{text}");
        assert_eq!(shown(&"\u{e4}".repeat(40)).len(), 64);
        assert_eq!(shown(&format!("x{}", "\u{e4}".repeat(40))).len(), 63);
    }
}
