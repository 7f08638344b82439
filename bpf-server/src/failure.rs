//! Why something was not done, in words; and names and numbers for them.

use crate::Platform;
use crate::place::Windows;
use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use axiom_bpf_isa::{Lines, ProgramKind};
use axiom_bpf_object as object;
use axiom_bpf_verdict::{Refused, Wrong};
use axiom_proto::bpf::{MAX_NAME, Refusal};
use axiom_proto::bpf_host::{Limit, MAP_PAGES, Overload};
use core::fmt::Write;

/// Why something was not done: the kind for programs, the sentence for people.
pub(crate) struct Failure {
    pub(crate) refusal: Refusal,
    pub(crate) text: Cow<'static, str>,
    /// The hosting server's figures, if it has no time for the program.
    pub(crate) overload: Option<Overload>,
}

/// A failure with its sentence.
#[cold]
pub(crate) fn fail(refusal: Refusal, text: String) -> Failure {
    Failure { refusal, text: Cow::Owned(text), overload: None }
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
        Failure { refusal, text: refused.text, overload: None }
    }
}

impl From<object::ObjectError> for Failure {
    fn from(error: object::ObjectError) -> Failure {
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

/// Where a program's time goes: the line of its innermost loop.
pub(crate) fn hot_line(lines: &dyn Lines, hot: Option<usize>) -> String {
    match hot.map(|insn| lines.line(insn)) {
        Some(Some(l)) => format!("shorten the loop at {}:{}", l.file.trim_start_matches("./"), l.line),
        Some(None) => String::from("shorten its loops"),
        None => String::from("shorten it"),
    }
}

/// Why a host has no time for a program, and what may be done. `shorten` says how the program could take less.
#[cold]
pub(crate) fn no_time(why: Overload, host: &str, shorten: &str) -> Failure {
    let mut text = String::new();
    // A text grows without failing.
    let _ = why.words(&mut text, "this program", host);
    let _ = match why.limit {
        Limit::Budget => write!(text, ": lower the rate, {shorten}, or raise the budget"),
        Limit::Share => write!(text, ": lower the rate, {shorten}, unload another, or raise the budget"),
        Limit::Waiting => write!(text, ": {shorten}, or lower the fastest rate there"),
    };
    Failure { overload: Some(why), ..fail(Refusal::Overload, text) }
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
    let served = |kind: &&str| ProgramKind::from_section(kind).and_then(|k| platform.host(k)).is_some();
    for kind in kinds.into_iter().filter(served) {
        text += comma;
        text += kind;
        comma = ", ";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_bpf_isa::LineInfo;

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

    struct Source;
    impl Lines for Source {
        fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
            (insn < 50).then_some(LineInfo { file: "./filter.c", line: 31, text: "for (;;)" })
        }
    }

    #[test]
    fn a_lack_of_time_names_the_loop_and_what_to_do() {
        let text = |limit, hot| {
            let why = Overload { limit, millihertz: 3_200_000, needs: 610, left: 400 };
            let failure = no_time(why, "iio-server", &hot_line(&Source, hot));
            assert_eq!((failure.refusal, failure.overload), (Refusal::Overload, Some(why)));
            failure.text.into_owned()
        };
        assert_eq!(
            text(Limit::Budget, Some(7)),
            "at 3,200 Hz this program may need 61 % of iio-server's budget; 40 % is left: lower the rate, shorten the loop at filter.c:31, \
             or raise the budget"
        );
        assert!(
            text(Limit::Share, Some(50)).ends_with("shorten its loops, unload another, or raise the budget")
        );
        assert_eq!(
            text(Limit::Waiting, None),
            "one run of this program may take 610 us; events of iio-server can wait for 400 us more: shorten it, or lower the fastest rate there"
        );
    }
}
