//! What a program says it takes: a TOML text in its own source, which `axiom_runtime::takes!` puts into a note of its image. Manifests are
//! checked against it. A program that says nothing is taken for somebody else's, and may be given anything.
//!
//! ```toml
//! serves = ["iio"]                       # interfaces
//! hosts = ["iio"]                        # kinds of attach points on which it runs programs
//! rights = ["dma_kib", "shared_kib"]     # keys of the manifest that it can use
//! [timer.bus]                            # a timer by its name
//! doc = "..."
//! [timer.sensor]                         # sensor/NAME for each word of a setting; `count = "rates"`: rate/0 and so on;
//! each = "sensors"                       # `when = "soft_pwm"`: only if that is set
//! [setting.sensors]
//! type = "words"                         # text, words (most), one-of (values), number (least, most), signed
//! most = 8
//! default = "adxl345 lm75"
//! doc = "..."
//! [setting.pulls]
//! type = "words"
//! most = 64
//! form = "0-27:none|down|up"             # what each word is: `axiom_layout::form`
//! once = "left"                          # what is before the mark is there once; without this, each word
//! doc = "..."
//! [setting.timeout]
//! type = "number"
//! least = 1
//! most = 10
//! must = "always"                        # it must be given; or: if another setting is, or if a key names a text (`pwm_chips:soft`)
//! of = "lines"                           # each word is in a set of the manifest's (`SETS`); a form has them, too: `{gpio_chips}/0-63`
//! doc = "..."
//! [list.pwm_chips]                       # what each text of a key of the manifest is
//! form = "soft-pwm|rp1-pwm0"
//! [client.iio]                           # what clients' keys name: what is before the mark in the words of a setting
//! of = "sensors"
//! [names]                                # sets of the program's own; an empty table is filled in by the program's source
//! chip = ["adxl345", "lm75"]
//! [usual]                                # what is after the mark if it is left out, as a number
//! lm75 = 0x48
//! ```
use axiom_layout::form::{self, Form, Wanted, Word};
use axiom_layout::manifest;
use axiom_proto::INTERFACES;
use std::collections::BTreeMap;
use toml_edit::{Document, Item, TableLike};

/// What a setting may be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// Words, so many at most.
    Words(u64),
    /// One of these.
    OneOf(Vec<String>),
    /// A whole number, from and to.
    Number(u64, u64),
    /// A whole number that may be negative, from and to.
    Signed(i64, i64),
}

impl Kind {
    /// Whether a value is one.
    pub fn fits(&self, value: &str) -> bool {
        match self {
            Kind::Text => !value.is_empty(),
            Kind::Words(most) => (1..=*most).contains(&(value.split_whitespace().count() as u64)),
            Kind::OneOf(list) => list.iter().any(|one| one == value),
            Kind::Number(least, most) => form::number(value).is_some_and(|n| (least..=most).contains(&&n)),
            Kind::Signed(least, most) => form::signed(value).is_some_and(|n| (least..=most).contains(&&n)),
        }
    }
}

/// A setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Its key; one that begins with `*` stands for every key that ends as it does.
    pub key: String,
    /// What it may be.
    pub kind: Kind,
    /// What each of its words is.
    pub form: Option<String>,
    /// The set that each of its words is in.
    pub of: Option<String>,
    /// What is there once.
    pub once: Once,
    /// What is after the mark of a word if it is left out, by what is before.
    pub usual: Usual,
    /// When it must be given.
    pub must: Option<Must>,
    /// What it is otherwise.
    pub default: Option<String>,
    /// What it says.
    pub doc: String,
}

/// What is there once among a setting's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Once {
    /// What each word says, however it is written.
    Word,
    /// What is before the mark.
    Left,
}

/// Numbers that are left out after a mark, by the names before it.
pub type Usual = BTreeMap<String, u64>;

/// When a setting must be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Must {
    /// Always.
    Always,
    /// If this setting is.
    With(String),
    /// If this key of the manifest names this text.
    Named(String, String),
}

/// Names that words may have, by the sets that they are in.
pub type Names = BTreeMap<String, Vec<String>>;

/// Sets that a manifest has for a server: lines that it may use (`CHIP/LINE`, and their parts), channels' chips and numbers, and what its
/// keys name; `files` are those of the servers that it calls.
pub const SETS: &[&str] = &[
    "gpio",
    "lines",
    "line_chips",
    "channels",
    "channel_chips",
    "gpio_chips",
    "pwm_chips",
    "devices",
    "rp1",
    "files",
    "debugs",
];

/// Whether a set has a name. A set that nobody has said has all.
pub fn has(names: &Names, set: &str, name: &str) -> bool {
    names.get(set).is_none_or(|list| list.iter().any(|one| one == name))
}

impl Setting {
    /// Whether a value is one: the words fit their form, and each is there once.
    pub fn fits(&self, value: &str, names: &Names) -> bool {
        self.kind.fits(value) && self.wrong_word(value, names).is_none()
    }

    /// The first word that says what an earlier one says, after that one.
    pub fn again<'v>(&self, value: &'v str, names: &Names) -> Option<(&'v str, &'v str)> {
        let form = self.form.as_deref().and_then(Form::new)?;
        let words =
            || value.split_whitespace().filter_map(|w| form.word(w, |set, name| has(names, set, name)));
        let same = |a: &Word<'_>, b: &Word<'_>| match self.once {
            Once::Word => a.is(b, |name| self.usual.get(name).copied()),
            Once::Left => a.left.is(&b.left),
        };
        let earlier = |i: usize, word: &Word<'_>| words().take(i).find(|earlier| same(earlier, word));
        words()
            .enumerate()
            .find_map(|(i, word)| Some((earlier(i, &word)?, word)))
            .map(|(a, b)| (a.text, b.text))
    }

    /// The first word that does not fit, or says what an earlier one says.
    pub fn wrong_word<'v>(&self, value: &'v str, names: &Names) -> Option<&'v str> {
        let form = self.form.as_deref().and_then(Form::new);
        // A text is one word, from end to end: its program does not look for more.
        let whole = self.kind == Kind::Text;
        let words = || {
            let (one, list) = if whole { (Some(value), "") } else { (None, value) };
            one.into_iter().chain(list.split_whitespace())
        };
        let fits = |word: &str| {
            form.is_none_or(|form| form.word(word, |set, name| has(names, set, name)).is_some())
                && self.of.as_ref().is_none_or(|set| has(names, set, word))
        };
        let again = || self.again(value, names).filter(|_| !whole).map(|(_, again)| again);
        words().find(|word| !fits(word)).or_else(again)
    }
}

/// How many timers of a name there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Count {
    /// One.
    One,
    /// One if this is set.
    When(String),
    /// One for each word of this.
    Each(String),
    /// As many as this says.
    Number(String),
}

/// A timer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timer {
    /// Its name.
    pub name: String,
    /// How many.
    pub count: Count,
    /// What it is for.
    pub doc: String,
}

/// What a program takes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Takes {
    /// Interfaces, by number.
    pub serves: Vec<u16>,
    /// Kinds of attach points.
    pub hosts: Vec<String>,
    /// Keys of the manifest; `*` stands for all.
    pub rights: Vec<String>,
    /// Timers, in their order.
    pub timers: Vec<Timer>,
    /// Settings.
    pub settings: Vec<Setting>,
    /// Forms of the texts of keys of the manifest.
    pub lists: Vec<(String, String)>,
    /// Keys of clients, and the setting whose words have what they may name.
    pub clients: Vec<(String, String)>,
    /// Sets of its own.
    pub names: Names,
}

/// Keys of a server that are rights: whoever does not use one is not given it.
pub const RIGHTS: &[&str] = &[
    "signals",
    "devices",
    "loader",
    "blobs",
    "untyped_kib",
    "dma_kib",
    "shared_kib",
    "scratch_kib",
    "trace",
    "makes_threads",
    "watches_restarts",
    "ends_run",
    "debugs",
    "gpio_chips",
    "pwm_chips",
    "gpio",
    "pwm",
    "motor_stop",
    "motor_rearm",
    "rp1",
    "iio",
];

fn text(table: &dyn TableLike, key: &str) -> Result<Option<String>, String> {
    table.get(key).map(|item| item.as_str().map(str::to_owned).ok_or(format!("{key} is no text"))).transpose()
}

fn texts(table: &dyn TableLike, key: &str) -> Result<Vec<String>, String> {
    let Some(item) = table.get(key) else { return Ok(Vec::new()) };
    let list = item.as_array().and_then(|a| a.iter().map(|v| v.as_str().map(str::to_owned)).collect());
    list.ok_or(format!("{key} is no list of texts"))
}

fn number(table: &dyn TableLike, key: &str) -> Result<u64, String> {
    let found = table.get(key).and_then(Item::as_integer).and_then(|n| u64::try_from(n).ok());
    found.ok_or(format!("{key} is missing, or no whole number"))
}

fn known(table: &dyn TableLike, what: &str, keys: &[&str]) -> Result<(), String> {
    match table.iter().find(|(key, _)| !keys.contains(key)) {
        Some((key, _)) => Err(format!("{what} has no key '{key}' (they are {})", keys.join(", "))),
        None => Ok(()),
    }
}

fn tables<'a>(document: &'a dyn TableLike, key: &str) -> Result<Vec<(&'a str, &'a dyn TableLike)>, String> {
    let Some(item) = document.get(key) else { return Ok(Vec::new()) };
    let table = item.as_table_like().ok_or(format!("{key} is no table"))?;
    let each = |(name, item): (&'a str, &'a Item)| {
        Ok((name, item.as_table_like().ok_or(format!("{key}.{name} is no table"))?))
    };
    table.iter().map(each).collect()
}

/// The bounds of a number that may be negative; without them, every one that there is.
fn signed(table: &dyn TableLike) -> Result<Kind, String> {
    let bound = |key, otherwise| match table.get(key) {
        None => Ok(otherwise),
        Some(item) => item.as_integer().ok_or(format!("{key} is no whole number")),
    };
    Ok(Kind::Signed(bound("least", i64::MIN)?, bound("most", i64::MAX)?))
}

/// Reads a form; the sets that it names are ones that somebody fills.
fn form_of(table: &dyn TableLike, own: Option<&Names>) -> Result<Option<String>, String> {
    let Some(said) = text(table, "form")? else { return Ok(None) };
    let form = Form::new(&said).ok_or_else(|| format!("\"{said}\" is no form"))?;
    for alternative in form.alternatives() {
        let parts = [Some(alternative.left), alternative.right.map(|right| right.1)];
        for set in parts.into_iter().flatten().filter_map(|part| match part {
            Wanted::Set(set) => Some(set),
            _ => None,
        }) {
            set_of(set, own)?;
        }
    }
    Ok(Some(said))
}

/// Refuses a set that is neither the manifest's nor the program's own (any name will do while its source fills those in).
fn set_of(set: &str, own: Option<&Names>) -> Result<(), String> {
    if SETS.contains(&set) || own.is_some_and(|own| own.is_empty() || own.contains_key(set)) {
        return Ok(());
    }
    Err(format!("nobody says what is in '{set}' (the manifest says {})", SETS.join(", ")))
}

fn setting(key: &str, table: &dyn TableLike, own: Option<&Names>, usual: &Usual) -> Result<Setting, String> {
    let at = |why: String| format!("setting {key}: {why}");
    let keys = ["type", "values", "least", "most", "form", "once", "of", "must", "default", "doc"];
    known(table, &format!("setting {key}"), &keys)?;
    let kind = match text(table, "type").map_err(at)?.as_deref() {
        Some("text") => Kind::Text,
        Some("words") => Kind::Words(number(table, "most").map_err(at)?),
        Some("signed") => signed(table).map_err(at)?,
        Some("one-of") => Kind::OneOf(texts(table, "values").map_err(at)?),
        Some("number") => {
            Kind::Number(number(table, "least").map_err(at)?, number(table, "most").map_err(at)?)
        }
        _ => return Err(at("type is text, words, one-of, number or signed".into())),
    };
    let reversed = match &kind {
        Kind::Number(least, most) => least > most,
        Kind::Signed(least, most) => least > most,
        _ => false,
    };
    if reversed {
        return Err(at("least is more than most".into()));
    }
    let (form, default) = (form_of(table, own).map_err(at)?, text(table, "default").map_err(at)?);
    let of = text(table, "of").map_err(at)?;
    if let Some(set) = &of {
        set_of(set, own).map_err(at)?;
    }
    let once = match text(table, "once").map_err(at)?.as_deref() {
        None => Once::Word,
        Some("left") if form.is_some() => Once::Left,
        Some(_) => return Err(at("once is left, and goes with a form".into())),
    };
    let must = text(table, "must").map_err(at)?.map(|when| match when.split_once(':') {
        None if when == "always" => Must::Always,
        None => Must::With(when),
        Some((key, name)) => Must::Named(key.into(), name.into()),
    });
    let doc = text(table, "doc").map_err(at)?.filter(|doc| !doc.is_empty());
    let doc = doc.ok_or_else(|| at("doc is missing".into()))?;
    let usual = usual.clone();
    let setting = Setting { key: key.into(), kind, form, of, once, usual, must, default, doc };
    let none = Names::new();
    match setting.default.as_ref().filter(|default| !setting.fits(default, own.unwrap_or(&none))) {
        Some(default) => Err(at(format!("its default \"{default}\" is none of its values"))),
        None => Ok(setting),
    }
}

/// A table with one text each, by its key.
fn one_text(document: &dyn TableLike, table: &str, key: &str) -> Result<Vec<(String, String)>, String> {
    let each = |(name, entry): (&str, &dyn TableLike)| {
        known(entry, &format!("{table}.{name}"), &[key])?;
        let said = text(entry, key)?.ok_or_else(|| format!("{table}.{name} has no {key}"))?;
        Ok((name.to_owned(), said))
    };
    tables(document, table)?.into_iter().map(each).collect()
}

/// Checks what is said of keys of the manifest and of settings.
fn makes_sense(takes: &Takes) -> Result<(), String> {
    for (key, said) in &takes.lists {
        let whole = SETS.contains(&key.as_str()) && manifest::find(manifest::SERVER, key).is_some();
        if !whole || Form::new(said).is_none() {
            return Err(format!("list.{key}: \"{said}\" is no form, or {key} names nothing"));
        }
    }
    for (key, setting) in &takes.clients {
        let words = takes.find(setting).is_some_and(|s| s.form.is_some());
        if manifest::find(manifest::SERVER, key).is_none() || !words {
            return Err(format!("client.{key}: '{setting}' is no setting with a form, or {key} is no key"));
        }
    }
    for setting in &takes.settings {
        let known = match &setting.must {
            None | Some(Must::Always) => true,
            Some(Must::With(other)) => takes.find(other).is_some(),
            Some(Must::Named(key, _)) => SETS.contains(&key.as_str()),
        };
        if !known {
            return Err(format!("setting {}: must is always, a setting, or KEY:TEXT", setting.key));
        }
    }
    Ok(())
}

fn timer(name: &str, table: &dyn TableLike) -> Result<Timer, String> {
    let at = |why: String| format!("timer {name}: {why}");
    known(table, &format!("timer {name}"), &["doc", "when", "each", "count"])?;
    let rule = |key| text(table, key).map_err(at);
    let count = match (rule("when")?, rule("each")?, rule("count")?) {
        (None, None, None) => Count::One,
        (Some(when), None, None) => Count::When(when),
        (None, Some(each), None) => Count::Each(each),
        (None, None, Some(count)) => Count::Number(count),
        _ => return Err(at("one of when, each and count".into())),
    };
    let doc = rule("doc")?.filter(|doc| !doc.is_empty());
    Ok(Timer { name: name.into(), count, doc: doc.ok_or_else(|| at("doc is missing".into()))? })
}

/// Reads what a program says.
///
/// # Errors
/// A sentence's end: what is wrong.
pub fn read(said: &str) -> Result<Takes, String> {
    let document = Document::parse(said).map_err(|e| format!("is not TOML: {}", e.message()))?;
    let keys = ["serves", "hosts", "rights", "timer", "setting", "list", "client", "names", "usual"];
    known(document.as_table(), "it", &keys)?;
    let table = document.as_table();
    let own: Option<Names> = match table.get("names").map(|item| item.as_table_like()) {
        None => None,
        Some(None) => return Err("names is no table".into()),
        Some(Some(sets)) => Some(
            sets.iter()
                .map(|(set, _)| Ok((set.to_owned(), texts(sets, set)?)))
                .collect::<Result<_, String>>()?,
        ),
    };
    let usual: Usual = match table.get("usual").map(|item| item.as_table_like()) {
        None => Usual::new(),
        Some(None) => return Err("usual is no table".into()),
        Some(Some(usual)) => usual
            .iter()
            .map(|(name, _)| Ok((name.to_owned(), number(usual, name)?)))
            .collect::<Result<_, String>>()?,
    };
    let interface = |name: String| {
        let found = INTERFACES.iter().find(|i| i.0 == name).map(|i| i.1);
        found.ok_or_else(|| format!("there is no interface '{name}'"))
    };
    let takes = Takes {
        serves: texts(table, "serves")?.into_iter().map(interface).collect::<Result<_, _>>()?,
        hosts: texts(table, "hosts")?,
        rights: texts(table, "rights")?,
        timers: tables(table, "timer")?.into_iter().map(|(n, t)| timer(n, t)).collect::<Result<_, _>>()?,
        settings: tables(table, "setting")?
            .into_iter()
            .map(|(k, t)| setting(k, t, own.as_ref(), &usual))
            .collect::<Result<_, _>>()?,
        lists: one_text(table, "list", "form")?,
        clients: one_text(table, "client", "of")?,
        names: own.unwrap_or_default(),
    };
    makes_sense(&takes)?;
    if let Some(right) = takes.rights.iter().find(|r| *r != "*" && !RIGHTS.contains(&r.as_str())) {
        return Err(format!("'{right}' is no right (they are {})", RIGHTS.join(", ")));
    }
    for timer in &takes.timers {
        let (Count::When(key) | Count::Each(key) | Count::Number(key)) = &timer.count else { continue };
        let kind = takes.find(key).map(|s| &s.kind);
        let fits = match timer.count {
            Count::Each(_) => matches!(kind, Some(Kind::Words(_))),
            Count::Number(_) => matches!(kind, Some(Kind::Number(..))),
            _ => kind.is_some(),
        };
        if !fits {
            return Err(format!("timer {}: '{key}' is no setting by which it can be counted", timer.name));
        }
    }
    Ok(takes)
}

impl Takes {
    /// The setting that a key names.
    pub fn find(&self, key: &str) -> Option<&Setting> {
        let named = |s: &&Setting| match s.key.strip_prefix('*') {
            Some(end) => key.len() > end.len() && key.ends_with(end),
            None => s.key == key,
        };
        self.settings.iter().find(named)
    }

    /// Whether it can use a key of the manifest.
    pub fn may_have(&self, key: &str) -> bool {
        !RIGHTS.contains(&key) || self.rights.iter().any(|r| r == "*" || r == key)
    }

    /// The timers that it takes with these settings, each by its own name.
    pub fn timers(&self, args: &BTreeMap<&str, &str>) -> Vec<String> {
        let value = |key: &str| {
            let default = self.find(key).and_then(|s| s.default.as_deref());
            args.get(key).copied().or(default)
        };
        let mut names = Vec::new();
        for timer in &self.timers {
            let name = &timer.name;
            match &timer.count {
                Count::One => names.push(name.clone()),
                Count::When(key) => names.extend(value(key).map(|_| name.clone())),
                Count::Each(key) => {
                    names.extend(
                        value(key).unwrap_or("").split_whitespace().map(|word| format!("{name}/{word}")),
                    );
                }
                Count::Number(key) => {
                    let count = value(key).and_then(form::number).unwrap_or(0);
                    names.extend((0..count.min(64)).map(|n| format!("{name}/{n}")));
                }
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENSORS: &str = r#"
serves = ["iio", "bpf-host"]
hosts = ["iio"]
rights = ["dma_kib"]
[timer.bus]
doc = "d"
[timer.sensor]
each = "sensors"
doc = "d"
[timer.extra]
when = "soft"
doc = "d"
[timer.rate]
count = "rates"
doc = "d"
[setting.sensors]
type = "words"
most = 3
default = "adxl345 lm75"
doc = "d"
[setting.soft]
type = "text"
doc = "d"
[setting.rates]
type = "number"
least = 1
most = 32
default = "2"
doc = "d"
[setting."*_int1"]
type = "text"
doc = "d"
[setting.mode]
type = "one-of"
values = ["a", "b"]
doc = "d"
[setting.low]
type = "signed"
doc = "d"
"#;

    #[test]
    fn timers_are_those_of_what_is_set() {
        let takes = read(SENSORS).unwrap();
        let names = |args: &[(&str, &str)]| takes.timers(&args.iter().copied().collect());
        assert_eq!(names(&[]), ["bus", "sensor/adxl345", "sensor/lm75", "rate/0", "rate/1"]);
        assert_eq!(
            names(&[("sensors", "lm75@0x49"), ("soft", "a/1"), ("rates", "1")]),
            ["bus", "sensor/lm75@0x49", "extra", "rate/0"]
        );
        assert_eq!(takes.serves, [axiom_proto::iio::INTERFACE, axiom_proto::bpf_host::INTERFACE]);
        assert!(takes.may_have("dma_kib") && takes.may_have("priority") && !takes.may_have("trace"));
    }

    #[test]
    fn every_right_is_a_key_of_the_manifest() {
        assert!(RIGHTS.iter().all(|right| manifest::find(manifest::SERVER, right).is_some()));
    }

    #[test]
    fn a_text_with_a_form_is_that_word_and_nothing_else() {
        let takes =
            read("[setting.line]\ntype = \"text\"\nform = \"{gpio_chips}/0-63\"\ndoc = \"d\"\n").unwrap();
        let names = Names::from([("gpio_chips".to_owned(), vec!["pl061".to_owned()])]);
        let setting = takes.find("line").unwrap();
        assert!(setting.fits("pl061/5", &names));
        for text in ["pl061/5 pl061/6", " pl061/5", "pl061/5 ", " ", "pl061/5\n"] {
            assert!(!setting.fits(text, &names), "{text:?}");
        }
    }

    #[test]
    fn settings_are_found_whole_and_values_must_fit() {
        let takes = read(SENSORS).unwrap();
        assert_eq!(takes.find("adxl345_int1").map(|s| &s.kind), Some(&Kind::Text));
        for unknown in ["_int1", "int1", "adxl345_int2", "Mode", "mode ", "*_int1x"] {
            assert_eq!(takes.find(unknown), None, "{unknown}");
        }
        let kind = |key: &str| takes.find(key).unwrap().kind.clone();
        for (key, good, bad) in [
            ("rates", ["1", "32"], ["0", "33"]),
            ("rates", ["5", "5"], ["five", "-5"]),
            ("low", ["-50", "7"], ["", "0x7"]),
            ("mode", ["a", "b"], ["", "c"]),
            ("soft", ["x", "y z"], ["", ""]),
            ("sensors", ["a", "a b  c"], [" ", "a b c d"]),
        ] {
            assert!(
                good.iter().all(|v| kind(key).fits(v)) && !bad.iter().any(|v| kind(key).fits(v)),
                "{key}"
            );
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (said, wrong) in [
            ("serves = [\"ioi\"]", "there is no interface 'ioi'"),
            ("serves = 1", "serves is no list of texts"),
            ("servs = []", "it has no key 'servs'"),
            ("rights = [\"priority\"]", "'priority' is no right"),
            ("[timer.a]\ndoc = \"d\"\neach = \"b\"", "timer a: 'b' is no setting by which it can be counted"),
            ("[timer.a]\ndoc = \"d\"\neach = \"b\"\nwhen = \"c\"", "timer a: one of when, each and count"),
            ("[timer.a]\n", "timer a: doc is missing"),
            (
                "[timer.a]\ndoc = \"d\"\ncount = \"b\"\n[setting.b]\ntype = \"text\"\ndoc = \"d\"",
                "timer a: 'b' is no setting",
            ),
            ("[setting.b]\ntype = \"txt\"\ndoc = \"d\"", "setting b: type is text, words"),
            ("[setting.b]\ntype = \"number\"\nleast = 1\ndoc = \"d\"", "setting b: most is missing"),
            (
                "[setting.b]\ntype = \"number\"\nleast = 1\nmost = 2\ndefault = \"3\"\ndoc = \"d\"",
                "setting b: its default \"3\"",
            ),
            (
                "[setting.b]\ntype = \"number\"\nleast = 5\nmost = 1\nmust = \"always\"\ndoc = \"d\"",
                "setting b: least is more than most",
            ),
            (
                "[setting.b]\ntype = \"signed\"\nleast = 1\nmost = -1\ndoc = \"d\"",
                "setting b: least is more than most",
            ),
            ("[setting.b]\ntype = \"text\"", "setting b: doc is missing"),
            ("[setting.b]\ntype = \"text\"\nunit = 3", "setting b has no key 'unit'"),
            (
                "[setting.b]\ntype = \"number\"\nleast = -1\nmost = 2\ndoc = \"d\"",
                "setting b: least is missing, or no whole number",
            ),
            (
                "[setting.b]\ntype = \"signed\"\nmost = \"2\"\ndoc = \"d\"",
                "setting b: most is no whole number",
            ),
            (
                "[setting.b]\ntype = \"words\"\nmost = 2\nform = \"\"\ndoc = \"d\"",
                "setting b: \"\" is no form",
            ),
            (
                "[setting.b]\ntype = \"text\"\nform = \"{chip}\"\ndoc = \"d\"",
                "setting b: nobody says what is in 'chip'",
            ),
            (
                "[setting.b]\ntype = \"text\"\nof = \"chip\"\ndoc = \"d\"",
                "setting b: nobody says what is in 'chip'",
            ),
            (
                "[setting.b]\ntype = \"text\"\nmust = \"c\"\ndoc = \"d\"",
                "setting b: must is always, a setting, or KEY:TEXT",
            ),
            (
                "[setting.b]\ntype = \"text\"\nmust = \"image:c\"\ndoc = \"d\"",
                "setting b: must is always, a setting, or KEY:TEXT",
            ),
            ("list.image.form = \"0-9\"", "list.image: \"0-9\" is no form, or image names nothing"),
            ("list.devices.form = \"\"", "list.devices: \"\" is no form, or devices names nothing"),
            ("list.devices = {}", "list.devices has no form"),
            ("client.iio.of = \"b\"", "client.iio: 'b' is no setting with a form, or iio is no key"),
            (
                "client.oii.of = \"b\"\n[setting.b]\ntype = \"text\"\nform = \"0-9\"\ndoc = \"d\"",
                "client.oii: 'b' is no setting with a form, or oii is no key",
            ),
            ("names = 1", "names is no table"),
            ("names.chip = 1", "chip is no list of texts"),
            ("setting.b = 1", "setting.b is no table"),
            ("setting = 1", "setting is no table"),
            ("= 1", "is not TOML"),
        ] {
            let why = read(said).unwrap_err();
            assert!(why.contains(wrong), "{said}: {why}");
        }
    }
}
