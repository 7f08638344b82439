//! What is wrong with a word of a setting, in a sentence, and the nearest word that would do.
use crate::diagnostic::{distance, near, nearest};
use crate::takes::{Names, Once, SETS, Setting, has};
use axiom_layout::form::{Form, Wanted, number};

/// The rule that a word of a setting (by its key) breaks, and what to try.
pub fn words_rule(
    server: &str,
    (key, setting): (&str, &Setting),
    (value, word): (&str, &str),
    names: &Names,
) -> (String, String) {
    if let Some((first, again)) = setting.again(value, names).filter(|(_, again)| *again == word) {
        let once = format!("each word of {key} is there once");
        return match setting.once {
            Once::Word if first == again => (once, format!("leave one '{word}' out")),
            Once::Word => (
                format!("{once}, however it is written: '{first}' and '{again}' say the same"),
                format!("leave '{first}' or '{again}' out"),
            ),
            Once::Left => (
                format!(
                    "what is before the mark in a word of {key} is there once: '{first}' and '{again}' are of one"
                ),
                format!("leave '{first}' or '{again}' out"),
            ),
        };
    }
    let said = setting.form.as_deref().unwrap_or_default();
    // A form that is one of the manifest's sets says what `of` does.
    let alone =
        said.strip_prefix('{').and_then(|said| said.strip_suffix('}')).filter(|set| SETS.contains(set));
    if let Some(set) = setting.of.as_deref().or(alone).filter(|set| !has(names, set, word)) {
        let list = names.get(set).map_or(&[][..], |list| list);
        let rule = format!("{key} names what this server may use{}: {}", of_key(set), listed(list));
        let known = || list.iter().map(String::as_str);
        let advice = match near(word, known()) {
            // A file is among those of another server.
            None if set == "files" => format!("add \"{word}\" to blobs of a server that '{server}' calls"),
            _ if list.is_empty() => format!("{} in [server.{server}]", key_of(set, word)),
            _ => nearest(word, known()),
        };
        return (rule, advice);
    }
    let rule = format!("each word of {key} is {}", said_of(said, names));
    let near = nearest_word(said, word, names).map(|near| format!("did you mean '{near}'?"));
    (rule, near.unwrap_or_else(|| setting.doc.clone()))
}

/// The key of a manifest by which a server has what is in a set.
fn of_key(set: &str) -> String {
    let key = match set {
        "lines" | "line_chips" => "gpio",
        "channels" | "channel_chips" => "pwm",
        "files" => "blobs of a server that it calls",
        other => other,
    };
    format!(" by {key}")
}

/// That key, with this name in it.
fn key_of(set: &str, name: &str) -> String {
    match (set, name.split_once('/')) {
        ("gpio", Some((chip, line))) => format!("gpio = [{{ chip = \"{chip}\", line = {line} }}]"),
        ("lines", _) => format!("gpio = [{{ chip = \"...\", line = {name} }}]"),
        ("channels", _) => format!("pwm = [{{ chip = \"...\", channel = {name} }}]"),
        _ => format!("{set} = [\"{name}\"]"),
    }
}

fn listed(list: &[String]) -> String {
    if list.is_empty() { "nothing yet".into() } else { list.join(", ") }
}

/// A form in words: sets in capitals, and what is in them.
pub fn said_of(form: &str, names: &Names) -> String {
    let mut said = form.replace(' ', " or ");
    for set in sets(form) {
        said = said.replace(&format!("{{{set}}}"), &set.to_uppercase());
        if let Some(list) = names.get(set) {
            let set = set.to_uppercase();
            said += &match list.is_empty() {
                true => format!(" (there is no {set} yet)"),
                false => format!(", where {set} is one of: {}", listed(list)),
            };
        }
    }
    said
}

/// The sets that a form names.
fn sets(form: &str) -> Vec<&str> {
    let parts = Form::new(form).into_iter().flat_map(Form::alternatives);
    let parts = parts.flat_map(|a| [Some(a.left), a.right.map(|right| right.1)]).flatten();
    parts.filter_map(|part| if let Wanted::Set(set) = part { Some(set) } else { None }).collect()
}

/// The nearest word of a form, if one is near.
pub fn nearest_word(form: &str, word: &str, names: &Names) -> Option<String> {
    let mend = |part: Wanted<'_>, text: &str| -> Option<String> {
        let of = |known: Vec<&str>| known.into_iter().min_by_key(|k| distance(text, k)).map(str::to_owned);
        match part {
            Wanted::Set(set) => match names.get(set) {
                Some(list) => of(list.iter().map(String::as_str).collect()),
                None => Some(text.to_owned()).filter(|text| !text.is_empty()),
            },
            Wanted::OneOf(words) => of(words.split('|').collect()),
            Wanted::Number { least, most, hexadecimal } => {
                let digits = text.strip_prefix("0x").filter(|_| hexadecimal);
                let found = match digits {
                    Some(digits) => u64::from_str_radix(digits, 16).ok(),
                    None => number(text),
                };
                let near = found?.clamp(least, most);
                Some(if digits.is_some() { format!("{near:#04x}") } else { near.to_string() })
            }
        }
    };
    let form = Form::new(form)?;
    let candidates = form.alternatives().filter_map(|a| match a.right {
        Some((mark, right, optional)) => match word.split_once(mark) {
            Some((l, r)) => Some(format!("{}{mark}{}", mend(a.left, l)?, mend(right, r)?)),
            None if optional => mend(a.left, word),
            None => None,
        },
        None => mend(a.left, word),
    });
    let near = candidates.min_by_key(|near| distance(word, near))?;
    (distance(word, &near) <= 1 + word.chars().count() / 3).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chips() -> Names {
        [("chip".to_owned(), ["lm75", "bme280"].map(String::from).to_vec())].into()
    }

    #[test]
    fn the_nearest_word_fits_and_is_near() {
        let near = |form, word| nearest_word(form, word, &chips());
        let some = |word: &str| Some(word.to_owned());
        assert_eq!(near("{chip}[@0x08-0x77]", "lm57@0x49"), some("lm75@0x49"));
        assert_eq!(near("{chip}[@0x08-0x77]", "lm75@0x80"), some("lm75@0x77"));
        assert_eq!(near("{chip}[@0x08-0x77]", "lm75@4"), some("lm75@8"));
        assert_eq!(near("{chip}[@0x08-0x77]", "bme28"), some("bme280"));
        assert_eq!(near("{chip}[@0x08-0x77]", "gyroscope"), None);
        assert_eq!(near("0:12 2:14|18", "2:17"), some("2:14"));
        assert_eq!(near("0:12 2:14|18", "2:28"), some("2:18"));
        assert_eq!(near("0-27:none|down|up", "28:dow"), some("27:down"));
        assert_eq!(near("{other}/0-63", "x/64"), some("x/63"));
        assert_eq!(near("{other}/0-63", "x"), None);
    }

    #[test]
    fn a_form_is_said_with_what_is_in_its_sets() {
        assert_eq!(
            said_of("{chip}[@0x08-0x77]", &chips()),
            "CHIP[@0x08-0x77], where CHIP is one of: lm75, bme280"
        );
        assert_eq!(said_of("{name}/0-63", &chips()), "NAME/0-63");
        assert_eq!(said_of("0:12 2:14|18", &chips()), "0:12 or 2:14|18");
        assert_eq!(key_of("gpio", "pl061/4"), "gpio = [{ chip = \"pl061\", line = 4 }]");
        assert_eq!(key_of("rp1", "i2c1"), "rp1 = [\"i2c1\"]");
        assert_eq!([of_key("lines"), of_key("channels"), of_key("rp1")], [" by gpio", " by pwm", " by rp1"]);
    }
}
