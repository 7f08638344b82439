//! Manifest text to located values. `extends = "other.toml"` starts from another manifest: keys given again replace those
//! there, `args` are merged, `removed = true` takes a server out.
use crate::diagnostic::{At, Diagnostic, near, nearest};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use toml_edit::{Document, Item, TableLike, Value};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Located {
    /// The value.
    pub value: Value,
    /// Where.
    pub at: At,
}

/// The table of a server, a program or a motor, uninterpreted.
#[derive(Clone, Debug)]
pub struct RawServer {
    /// Its name.
    pub name: String,
    /// Its heading.
    pub at: At,
    /// Its keys but `args`.
    pub keys: BTreeMap<String, Located>,
    /// Its `args`.
    pub args: BTreeMap<String, Located>,
}

/// A manifest, uninterpreted.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// `[system]`.
    pub system: BTreeMap<String, Located>,
    /// The servers in the order of the text.
    pub servers: Vec<RawServer>,
    /// The programs' rights.
    pub programs: Vec<RawServer>,
    /// The motors.
    pub motors: Vec<RawServer>,
    /// Where the text starts.
    pub at: Option<At>,
}

const SHAPE: &str = "a manifest has [system], tables [server.<name>], [program.<name>], [motor.<name>], and at most one `extends`";

/// Reads a manifest and those that it extends; nothing if one of them cannot be read, for without it the others only seem wrong.
pub fn load(path: &Path, errors: &mut Vec<Diagnostic>) -> Option<Raw> {
    load_below(path, errors, None, 0)
}

/// Where a manifest is extended, and as what.
type Extended<'a> = (&'a At, &'a str);

/// Says that a manifest cannot be read, and which one there is.
fn unreadable(path: &Path, why: &std::io::Error, top: &At, extended: Option<Extended<'_>>) -> Diagnostic {
    let said = extended.map_or(path, |(_, said)| Path::new(said));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let stem =
        |file: &Path| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let advice = match std::fs::read_dir(folder) {
        Err(_) => format!("there is no folder {}", folder.display()),
        Ok(entries) => {
            let files = entries.flatten().map(|entry| entry.path());
            let manifests =
                files.filter(|file| file.extension().is_some_and(|end| end == "toml") && file.is_file());
            let stems: Vec<String> = manifests.map(|file| stem(&file)).collect();
            match near(&stem(said), stems.iter().map(String::as_str)) {
                Some(near) => {
                    format!("did you mean '{}'?", said.with_file_name(format!("{near}.toml")).display())
                }
                None => "no manifest in that folder has a name like it".into(),
            }
        }
    };
    match extended {
        None => Diagnostic::new(
            top,
            format!("the manifest cannot be read: {why}"),
            "a manifest is a TOML file",
            advice,
        ),
        Some((at, said)) => Diagnostic::new(
            at,
            format!("extends = \"{said}\": {} cannot be read: {why}", path.display()),
            "extends names a manifest by its path from the folder of the one that extends it",
            advice,
        ),
    }
}

fn load_below(
    path: &Path,
    errors: &mut Vec<Diagnostic>,
    extended: Option<Extended<'_>>,
    depth: usize,
) -> Option<Raw> {
    let file: Rc<str> = path.display().to_string().into();
    let top = At { file: file.clone(), line: 1 };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) => {
            errors.push(unreadable(path, &e, &top, extended));
            return None;
        }
    };
    let at = |span: Option<std::ops::Range<usize>>| At {
        file: file.clone(),
        line: 1 + text[..span.map_or(0, |s| s.start.min(text.len()))].matches('\n').count(),
    };
    let document = match Document::parse(text.as_str()) {
        Ok(document) => document,
        Err(e) => {
            let what = format!("not TOML: {}", e.message().lines().collect::<Vec<_>>().join(", "));
            errors.push(Diagnostic::new(
                &at(e.span()),
                what,
                "a manifest is TOML 1.1; each key once",
                "mend this line",
            ));
            return None;
        }
    };
    let mut raw = match document.get("extends") {
        None => Raw::default(),
        Some(item) => match item.as_str() {
            Some(base) if depth < 4 => {
                let below = path.parent().unwrap_or(Path::new("")).join(base);
                load_below(&below, errors, Some((&at(item.span()), base)), depth + 1)?
            }
            _ => {
                errors.push(Diagnostic::new(
                    &at(item.span()),
                    format!("extends = {} leads nowhere", item.to_string().trim()),
                    "extends names one manifest; at most four lie on top of each other",
                    "extends = \"../system.toml\"",
                ));
                return None;
            }
        },
    };
    raw.at = Some(top);
    for (key, item) in document.iter() {
        let place = at(document.key(key).and_then(|k| k.span()).or(item.span()));
        match (key, item.as_table_like()) {
            ("extends", _) => {}
            ("system", Some(table)) => raw.system.extend(values(table, &at)),
            ("server", Some(table)) => servers("server", table, &at, &mut raw.servers, errors),
            ("program", Some(table)) => servers("program", table, &at, &mut raw.programs, errors),
            ("motor", Some(table)) => servers("motor", table, &at, &mut raw.motors, errors),
            _ => errors.push(Diagnostic::new(
                &place,
                format!("'{key}' is not part of a manifest"),
                SHAPE,
                nearest(key, ["system", "server", "program", "motor", "extends"]),
            )),
        }
    }
    Some(raw)
}

type Place<'a> = dyn Fn(Option<std::ops::Range<usize>>) -> At + 'a;

fn values(table: &dyn TableLike, at: &Place<'_>) -> BTreeMap<String, Located> {
    let mut found = BTreeMap::new();
    for (key, item) in table.iter() {
        let span = table.key(key).and_then(|k| k.span()).or(item.span());
        let value = match item {
            Item::Value(value) => value.clone(),
            Item::Table(inner) => Value::InlineTable(inner.clone().into_inline_table()),
            Item::ArrayOfTables(inner) => Value::Array(inner.clone().into_array()),
            Item::None => continue,
        };
        found.insert(key.to_owned(), Located { value, at: at(span) });
    }
    found
}

fn servers(
    kind: &str,
    table: &dyn TableLike,
    at: &Place<'_>,
    list: &mut Vec<RawServer>,
    errors: &mut Vec<Diagnostic>,
) {
    // Those of the manifest that this one extends.
    let extended: Vec<String> = list.iter().map(|s| s.name.clone()).collect();
    for (name, item) in table.iter() {
        let place = at(table.key(name).and_then(|k| k.span()).or(item.span()));
        let Some(inner) = item.as_table_like() else {
            errors.push(Diagnostic::new(
                &place,
                format!("{kind}.{name} = {} is not a table", item.to_string().trim()),
                SHAPE,
                format!("[{kind}.{name}]"),
            ));
            continue;
        };
        let mut keys = values(inner, at);
        let args = match (inner.get("args").and_then(Item::as_table_like), keys.remove("args")) {
            (Some(args), _) => values(args, at),
            (None, Some(wrong)) => {
                errors.push(Diagnostic::new(
                    &wrong.at,
                    format!("{kind} '{name}': args = {} is not a table", wrong.value.to_string().trim()),
                    "args are settings by name",
                    "args = { rate = \"100\" }",
                ));
                BTreeMap::new()
            }
            _ => BTreeMap::new(),
        };
        if let Some(removed) = keys.remove("removed") {
            if removed.value.as_bool() != Some(true) {
                errors.push(Diagnostic::new(
                    &removed.at,
                    format!("{kind} '{name}': removed = {} says nothing", removed.value.to_string().trim()),
                    format!("removed = true takes a {kind} out, and no {kind} is removed otherwise"),
                    "removed = true, or leave it out",
                ));
                continue;
            }
            let before = list.len();
            list.retain(|s| s.name != name);
            if list.len() == before {
                errors.push(Diagnostic::new(
                    &removed.at,
                    format!("{kind} '{name}': removed = true takes nothing out"),
                    format!("removed = true takes out a {kind} of the manifest that this one extends"),
                    nearest(name, list.iter().map(|s| s.name.as_str())),
                ));
            }
            continue;
        }
        match list.iter_mut().find(|s| s.name == name) {
            Some(server) => {
                server.keys.extend(keys);
                server.args.extend(args);
            }
            None => match mistyped(kind, name, &keys, &extended) {
                Some((must, meant)) => errors.push(Diagnostic::new(
                    &place,
                    format!(
                        "[{kind}.{name}] is not in the manifest that this one extends, and has no {must}"
                    ),
                    format!(
                        "a table changes the {kind} of its name there, or describes a new one, with {must}"
                    ),
                    format!("did you mean '{meant}'?"),
                )),
                None => list.push(RawServer { name: name.to_owned(), at: place, keys, args }),
            },
        }
    }
}

/// A new table without what it cannot do without, whose name is nearly one of the manifest that this one extends: what is missing, and that
/// name.
fn mistyped<'a>(
    kind: &str,
    name: &str,
    keys: &BTreeMap<String, Located>,
    extended: &'a [String],
) -> Option<(&'static str, &'a str)> {
    let must = match kind {
        "server" => "image",
        "program" => "object",
        _ => return None,
    };
    let meant = near(name, extended.iter().map(String::as_str)).filter(|_| !keys.contains_key(must));
    meant.map(|meant| (must, meant))
}
