//! What the words of a setting are: a small grammar, which a program writes once, in its `takes.toml`. compose checks the words of a
//! manifest by it before anything boots; the program takes the same words apart by it, with the same functions. So compose lets through
//! exactly what the program can use.
//!
//! A form is one or more alternatives, with a blank between. An alternative is one part, or two with `:`, `/` or `@` between; in brackets,
//! the second may be left out. A part is one of these:
//!
//! | part | what fits |
//! |---|---|
//! | `0-27` | a whole number from and to, decimal; with bounds like `0x08-0x77`, also hexadecimal |
//! | `none\|down\|up` | one of these words |
//! | `{chip}` | a name of a set: compose and the program each know what is in it |
//!
//! `{chip}[@0x08-0x77]` lets `lm75` and `lm75@0x49` through; `0:12 2:14|18` lets `0:12`, `2:14` and `2:18` through, and `0:14` not.

/// What a setting's words are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Form<'f>(&'f str);

/// A part of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'w> {
    /// As it stands there.
    pub text: &'w str,
    /// If it is a number, which.
    pub number: Option<u64>,
}

/// A word of a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'w> {
    /// As it stands there.
    pub text: &'w str,
    /// Before the mark between the parts.
    pub left: Part<'w>,
    /// After it.
    pub right: Option<Part<'w>>,
}

impl<'w> Part<'w> {
    /// What it says: a number in whatever digits, or a text.
    fn said(&self) -> (Option<u64>, &'w str) {
        (self.number, if self.number.is_some() { "" } else { self.text })
    }

    /// Whether two say the same: `7` and `07` do.
    pub fn is(&self, other: &Part<'_>) -> bool {
        self.said() == other.said()
    }
}

impl<'w> Word<'w> {
    /// Whether two say the same: `lm75@72` and `lm75@0x48` do, and `lm75`, where 72 is the usual number of what is before the mark.
    pub fn is(&self, other: &Word<'_>, usual: impl Fn(&str) -> Option<u64>) -> bool {
        fn right<'w>(word: &Word<'w>, usual: &impl Fn(&str) -> Option<u64>) -> (Option<u64>, &'w str) {
            word.right.map_or_else(|| (usual(word.left.text), ""), |right| right.said())
        }
        self.left.is(&other.left) && right(self, &usual) == right(other, &usual)
    }
}

/// A part of a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted<'f> {
    /// A whole number, from and to; whether it may be hexadecimal.
    Number {
        /// The least.
        least: u64,
        /// The largest.
        most: u64,
        /// Whether `0x` and hexadecimal digits are a number, too.
        hexadecimal: bool,
    },
    /// One of the words between bars.
    OneOf(&'f str),
    /// A name of a set.
    Set(&'f str),
}

/// An alternative of a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alternative<'f> {
    /// What is before the mark.
    pub left: Wanted<'f>,
    /// The mark, what is after it, and whether both may be left out.
    pub right: Option<(char, Wanted<'f>, bool)>,
}

const MARKS: [char; 3] = [':', '/', '@'];

/// A whole number as settings have it: decimal digits, nothing else.
pub fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A whole number that may have a minus before it.
pub fn signed(text: &str) -> Option<i64> {
    number(text.strip_prefix('-').unwrap_or(text))?;
    text.parse().ok()
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    if digits.bytes().all(|b| b.is_ascii_hexdigit()) { u64::from_str_radix(digits, 16).ok() } else { None }
}

impl<'f> Wanted<'f> {
    fn read(text: &'f str) -> Option<Wanted<'f>> {
        if let Some(set) = text.strip_prefix('{') {
            return set.strip_suffix('}').filter(|set| !set.is_empty()).map(Wanted::Set);
        }
        if let Some((from, to)) =
            text.split_once('-').filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
        {
            let bound = |text| number(text).or_else(|| hexadecimal(text));
            let (least, most) = (bound(from)?, bound(to)?);
            let hexadecimal = from.starts_with("0x");
            return (least <= most).then_some(Wanted::Number { least, most, hexadecimal });
        }
        let words = text.split('|').all(|word| !word.is_empty() && !word.contains(['[', ']', '{', '}']));
        words.then_some(Wanted::OneOf(text))
    }

    /// The part that a text is, if it fits; `has` says whether a set has a name.
    fn fits<'w>(&self, text: &'w str, has: &impl Fn(&str, &str) -> bool) -> Option<Part<'w>> {
        let name = |fits: bool| fits.then_some(Part { text, number: None });
        match *self {
            Wanted::Set(set) => name(!text.is_empty() && has(set, text)),
            Wanted::OneOf(words) => {
                let fits = words.split('|').any(|word| word == text);
                fits.then(|| Part { text, number: number(text) })
            }
            Wanted::Number { least, most, hexadecimal: hex } => {
                let value = number(text).or_else(|| hexadecimal(text).filter(|_| hex))?;
                (least..=most).contains(&value).then_some(Part { text, number: Some(value) })
            }
        }
    }
}

impl<'f> Form<'f> {
    /// A form, if the text is one.
    pub fn new(text: &'f str) -> Option<Form<'f>> {
        let form = Form(text);
        let whole = !text.is_empty() && text.split(' ').all(|one| Alternative::read(one).is_some());
        whole.then_some(form)
    }

    /// Its alternatives.
    pub fn alternatives(self) -> impl Iterator<Item = Alternative<'f>> {
        self.0.split(' ').filter_map(Alternative::read)
    }

    /// The word that a text is, if it is of this form; `has` says whether a set has a name.
    pub fn word<'w>(self, text: &'w str, has: impl Fn(&str, &str) -> bool) -> Option<Word<'w>> {
        self.alternatives().find_map(|alternative| alternative.word(text, &has))
    }
}

impl<'f> Alternative<'f> {
    fn read(text: &'f str) -> Option<Alternative<'f>> {
        let (text, optional) = match text.strip_suffix(']') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let (left, right) = match text.find(MARKS) {
            None => (text, None),
            Some(at) => (&text[..at], text[at..].chars().next().map(|mark| (mark, &text[at + 1..]))),
        };
        let bracket = left.strip_suffix('[');
        // A bracket is opened where one is closed.
        if bracket.is_some() != optional {
            return None;
        }
        let right = match right {
            None => None,
            Some((mark, right)) => Some((mark, Wanted::read(right)?, optional)),
        };
        Some(Alternative { left: Wanted::read(bracket.unwrap_or(left))?, right })
    }

    fn word<'w>(&self, text: &'w str, has: &impl Fn(&str, &str) -> bool) -> Option<Word<'w>> {
        let alone = |left| Word { text, left, right: None };
        let Some((mark, wanted, optional)) = self.right else { return self.left.fits(text, has).map(alone) };
        match text.split_once(mark) {
            Some((left, right)) => {
                Some(Word { text, left: self.left.fits(left, has)?, right: Some(wanted.fits(right, has)?) })
            }
            None if optional => self.left.fits(text, has).map(alone),
            None => None,
        }
    }
}

/// The form of a setting in the text of a `takes.toml`, for constants of the program that has it.
///
/// # Panics
/// The setting has none, or it is no form: in a constant, when the program is compiled.
pub const fn of<'t>(takes: &'t str, setting: &str) -> Form<'t> {
    Form(value(takes, setting, "form = \"", b'"'))
}

/// A number that a `takes.toml` says of a setting (`least`, `most`), for constants of the program that has it.
///
/// # Panics
/// The setting says no such number: in a constant, when the program is compiled.
pub const fn bound(takes: &str, setting: &str, key: &str) -> u64 {
    let digits = value(takes, setting, key, b'\n').as_bytes();
    let (mut i, mut number) = (0, 0);
    // " = " stands before the number.
    while i < digits.len() {
        match digits[i] {
            b' ' | b'=' => {}
            digit @ b'0'..=b'9' => number = number * 10 + (digit - b'0') as u64,
            _ => panic!("this is no whole number"),
        }
        i += 1;
    }
    number
}

/// What is after a beginning of a line of a setting's section, up to an end.
const fn value<'t>(takes: &'t str, setting: &str, begins: &str, end: u8) -> &'t str {
    let text = takes.as_bytes();
    let mut at = 0;
    let mut inside = false;
    while at < text.len() {
        if text[at] == b'[' {
            inside = is_section(text, at, setting.as_bytes());
        } else if inside && stands(text, at, begins.as_bytes()) {
            let from = at + begins.len();
            let mut to = from;
            while to < text.len() && text[to] != end {
                to += 1;
            }
            return takes.split_at(to).0.split_at(from).1;
        }
        while at < text.len() && text[at] != b'\n' {
            at += 1;
        }
        at += 1;
    }
    panic!("this setting of takes.toml says nothing of that")
}

const fn is_section(text: &[u8], at: usize, setting: &[u8]) -> bool {
    const HEAD: &[u8] = b"[setting.";
    if !stands(text, at, HEAD) {
        return false;
    }
    let plain = stands(text, at + HEAD.len(), setting) && stands(text, at + HEAD.len() + setting.len(), b"]");
    let quoted = stands(text, at + HEAD.len(), b"\"")
        && stands(text, at + HEAD.len() + 1, setting)
        && stands(text, at + HEAD.len() + 1 + setting.len(), b"\"]");
    plain || quoted
}

const fn stands(text: &[u8], at: usize, wanted: &[u8]) -> bool {
    if at + wanted.len() > text.len() {
        return false;
    }
    let mut i = 0;
    while i < wanted.len() {
        if text[at + i] != wanted[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn chips(set: &str, name: &str) -> bool {
        set == "chip" && ["lm75", "bme280"].contains(&name)
    }

    #[track_caller]
    fn tried(form: &str, good: &[&str], bad: &[&str]) {
        let form = Form::new(form).expect("a form");
        for word in good {
            assert!(form.word(word, chips).is_some(), "{word} is refused");
        }
        for word in bad {
            assert_eq!(form.word(word, chips), None, "{word} is let through");
        }
    }

    #[test]
    fn words_are_let_through_that_fit_and_no_others() {
        tried(
            "{chip}[@0x08-0x77]",
            &["lm75", "lm75@0x49", "bme280@119", "lm75@0x08", "lm75@8", "lm75@0x77", "lm75@0x4F"],
            &[
                "",
                "lm76",
                "lm75@",
                "lm75@0x78",
                "lm75@7",
                "lm75@120",
                "lm75@0x",
                "lm75@0x+9",
                "lm75@+9",
                "lm75@49h",
                "@0x49",
                "lm75@0x49@0x49",
                "LM75",
                "lm75 ",
                "lm75@-9",
                "lm75@0x1ffffffffffffffff",
            ],
        );
        tried(
            "0-27:none|down|up",
            &["0:none", "27:up", "7:down"],
            &["28:up", "7", "7:", ":up", "7:dwn", "7:up:up"],
        );
        tried("0-27:none|down|up", &[], &["0x1:up", "+7:up", "7/up", "7:none|down"]);
        tried("0:12 2:14|18", &["0:12", "2:14", "2:18"], &["0:14", "2:12", "2", "0:12 2:14", "1:12"]);
        tried("{chip}/0-63", &["lm75/0", "bme280/63"], &["lm75", "lm75/64", "other/1", "lm75/1/2"]);
        tried("soft-pwm|no", &["soft-pwm", "no"], &["soft", "pwm"]);
        tried("yes|no", &["yes", "no"], &["", "maybe", "yes|no"]);
    }

    #[test]
    fn a_word_comes_in_its_parts() {
        let form = Form::new("{chip}[@0x08-0x77]").unwrap();
        let word = form.word("lm75@0x49", chips).unwrap();
        assert_eq!(
            (word.text, word.left, word.right),
            (
                "lm75@0x49",
                Part { text: "lm75", number: None },
                Some(Part { text: "0x49", number: Some(0x49) })
            )
        );
        assert_eq!(form.word("lm75", chips).unwrap().right, None);
        let both = Form::new("0:12 2:14|18").unwrap().word("2:18", chips).unwrap();
        assert_eq!((both.left.number, both.right.and_then(|r| r.number)), (Some(2), Some(18)));
    }

    #[test]
    fn words_that_say_the_same_are_the_same_however_they_are_written() {
        let usual = |name: &str| (name == "lm75").then_some(0x48);
        let same = |form: &str, a: &str, b: &str| {
            let form = Form::new(form).unwrap();
            let (a, b) = (form.word(a, chips).unwrap(), form.word(b, chips).unwrap());
            assert_eq!(a.is(&b, usual), b.is(&a, usual));
            (a.is(&b, usual), a.left.is(&b.left))
        };
        let sensors = "{chip}[@0x08-0x77]";
        for (a, b) in
            [("lm75", "lm75@72"), ("lm75", "lm75@0x48"), ("lm75@0x49", "lm75@073"), ("lm75", "lm75")]
        {
            assert_eq!(same(sensors, a, b), (true, true), "{a} {b}");
        }
        for (a, b) in [("lm75", "lm75@73"), ("bme280", "bme280@0x76")] {
            assert_eq!(same(sensors, a, b), (false, true), "{a} {b}");
        }
        assert_eq!(same(sensors, "lm75@0x49", "bme280@0x49"), (false, false));
        assert_eq!(same("0-27:none|down|up", "7:up", "07:up"), (true, true));
        assert_eq!(same("0-27:none|down|up", "7:up", "7:down"), (false, true));
        assert_eq!(same("0-27:none|down|up", "7:up", "8:up"), (false, false));
    }

    #[test]
    fn what_is_no_form_is_none() {
        for text in [
            "", " ", "a  b", "{}", "{chip", "3-2", "1-", "1-a", "0x8-x", "a||b", "a:", ":a", "a[:b", "a:b]",
            "a]", "[a]", "a[b:c",
        ] {
            assert_eq!(Form::new(text), None, "{text}");
        }
        let parts: Vec<_> = Form::new("{chip}[@0x8-9] 1-2:a|b").unwrap().alternatives().collect();
        assert_eq!(
            parts,
            [
                Alternative {
                    left: Wanted::Set("chip"),
                    right: Some(('@', Wanted::Number { least: 8, most: 9, hexadecimal: true }, true))
                },
                Alternative {
                    left: Wanted::Number { least: 1, most: 2, hexadecimal: false },
                    right: Some((':', Wanted::OneOf("a|b"), false))
                },
            ]
        );
    }

    #[test]
    fn numbers_are_digits() {
        assert_eq!(
            [number("0"), number("18446744073709551615"), number("007")],
            [Some(0), Some(u64::MAX), Some(7)]
        );
        for text in ["", "+1", "-1", "1 ", "0x1", "18446744073709551616", "١"] {
            assert_eq!(number(text), None, "{text}");
        }
        assert_eq!([signed("-9223372036854775808"), signed("5")], [Some(i64::MIN), Some(5)]);
        for text in ["", "-", "--1", "+1", "- 1", "9223372036854775808", "-0x1"] {
            assert_eq!(signed(text), None, "{text}");
        }
    }

    const TAKES: &str = "serves = []\n[timer.a]\nform = \"t\"\n[setting.a]\nmost = 63\nform = \"0-7\"\n[setting.ab]\nform = \"x|y\"\nleast = 5\nmost = 70\n\
                         [setting.\"*_c\"]\nform = \"{n}/1-2\"";

    #[test]
    fn a_program_has_its_forms_and_bounds_from_its_own_text() {
        const A: Form<'static> = of(TAKES, "a");
        assert_eq!([A, of(TAKES, "ab"), of(TAKES, "*_c")], ["0-7", "x|y", "{n}/1-2"].map(Form));
        const MOST: u64 = bound(TAKES, "a", "most");
        assert_eq!([MOST, bound(TAKES, "ab", "least"), bound(TAKES, "ab", "most")], [63, 5, 70]);
    }

    #[test]
    #[should_panic(expected = "says nothing of that")]
    fn a_setting_without_a_form_is_said() {
        of("[setting.b]\nform = \"0-7\"\n[other]\n", "a");
    }
}
