//! The manifest's keys, and the settings of programs, as tables for the book: made of what compose checks by.
use crate::takes::{Count, Kind as Type, Must, Takes};
use axiom_layout::manifest::{Key, Kind, Otherwise, TABLES};
use std::fmt::Write;

/// Where the tables begin and end in a page.
pub const MARKS: (&str, &str) = ("<!-- made by compose's tests, from here -->", "<!-- to here -->");

fn kind(key: &Key) -> String {
    match key.kind {
        Kind::Text => "text".into(),
        Kind::Texts => "list of texts".into(),
        Kind::Number(least, most, unit) => format!("{least} to {most} {unit}"),
        Kind::Flag => "true, false".into(),
        Kind::Tables(_) => "list of tables".into(),
        Kind::Other(words) => words.into(),
    }
}

fn otherwise(key: &Key) -> String {
    match key.default {
        Otherwise::Must => "must be given".into(),
        Otherwise::Number(n) => n.to_string(),
        Otherwise::Flag(yes) => yes.to_string(),
        Otherwise::Words(words) => words.into(),
    }
}

/// The manifest's keys.
pub fn keys() -> String {
    let mut out = String::new();
    for (heading, table) in TABLES {
        let _ = writeln!(out, "\n### {heading}\n\n| key | values | otherwise | |\n|---|---|---|---|");
        for key in *table {
            let _ = writeln!(out, "| `{}` | {} | {} | {} |", key.name, kind(key), otherwise(key), key.doc);
        }
    }
    out
}

/// What a program takes.
pub fn program(name: &str, takes: &Takes) -> String {
    let mut out = format!("\n### {name}\n\n");
    let list = |list: &[String]| if list.is_empty() { "nothing".into() } else { list.join(", ") };
    let _ = writeln!(out, "Rights that it can use: {}.", list(&takes.rights));
    if !takes.hosts.is_empty() {
        let _ = writeln!(out, "It runs programs at `{}/...`.", takes.hosts.join("/...`, `"));
    }
    if !takes.timers.is_empty() || !takes.settings.is_empty() {
        let _ = writeln!(out, "\n| | values | otherwise | |\n|---|---|---|---|");
    }
    for s in &takes.settings {
        let values = match &s.kind {
            Type::Text => "text".into(),
            Type::Words(most) => format!("1 to {most} words"),
            Type::OneOf(list) => list.join(", "),
            Type::Number(least, most) if *most == i64::MAX as u64 => format!("from {least}"),
            Type::Number(least, most) => format!("{least} to {most}"),
            Type::Signed(i64::MIN, i64::MAX) => "whole number".into(),
            Type::Signed(least, most) => format!("{least} to {most}"),
        };
        let words = if matches!(s.kind, Type::Words(_)) { ", each " } else { ": " };
        let form =
            s.form.as_ref().map_or(String::new(), |form| format!("{words}`{}`", form.replace('|', "\\|")));
        let of = s.of.as_ref().map_or(String::new(), |set| format!(", of the manifest's {set}"));
        let otherwise = match (&s.must, &s.default) {
            (Some(Must::Always), _) => "must be given".into(),
            (Some(Must::With(other)), _) => format!("must be given with `{other}`"),
            (Some(Must::Named(key, name)), _) => format!("must be given if `{key}` names `{name}`"),
            (None, default) => default.clone().unwrap_or("none".into()),
        };
        let _ = writeln!(out, "| setting `{}` | {values}{form}{of} | {otherwise} | {} |", s.key, s.doc);
    }
    for t in &takes.timers {
        let count = match &t.count {
            Count::One => "one".into(),
            Count::When(key) => format!("one with `{key}`"),
            Count::Each(key) => format!("one for each of `{key}`"),
            Count::Number(key) => format!("as many as `{key}`"),
        };
        let _ = writeln!(out, "| timer `{}` | {count} | | {} |", t.name, t.doc);
    }
    out
}

/// A page with the tables between its marks made anew; `None` if it has no marks.
pub fn renew(page: &str, tables: &str) -> Option<String> {
    let (head, rest) = page.split_once(MARKS.0)?;
    let (_, tail) = rest.split_once(MARKS.1)?;
    Some(format!("{head}{}\n{tables}\n{}{tail}", MARKS.0, MARKS.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_settings_has_no_table() {
        let timer = "[timer.t]\ndoc = \"It ticks.\"\n";
        let setting = "[setting.s]\ntype = \"text\"\ndoc = \"A word.\"\n";
        let lines = |takes: &str| program("p", &crate::takes::read(takes).unwrap()).matches("\n|").count();
        assert_eq!(
            [("", 0), (timer, 3), (setting, 3)].map(|(takes, n)| (lines(takes), n)),
            [(0, 0), (3, 3), (3, 3)]
        );
        assert_eq!(lines(&(timer.to_owned() + setting)), 4);
    }
}
