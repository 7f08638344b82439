//! What the mutants are: `cargo mutants --list`, with lines and columns turned into bytes.
use serde_json::Value;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

/// The kind of change, as `cargo mutants` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Genre {
    /// A function's body becomes a value.
    FnValue,
    /// An arm of a match goes.
    MatchArm,
    /// Text in an expression is replaced: an operator, a guard, a field.
    Expression,
}

/// One change of a source file. Its number is its place in the list, from 1.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub name: String,
    pub file: String,
    pub genre: Genre,
    /// The bytes that are replaced.
    pub span: Range<usize>,
    pub replacement: String,
}

/// The crate's mutants, without what `.cargo/mutants.toml` leaves out.
pub fn mutants(root: &Path, package: &str) -> Result<Vec<Mutant>, String> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "-p", package])
        .current_dir(root)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .map_err(|e| format!("cargo: cannot be started: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "cargo mutants --list failed (cargo install --locked cargo-mutants?): {}",
            said.trim()
        ));
    }
    let list: Vec<Value> =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo mutants --list: not JSON: {e}"))?;
    let mut texts = HashMap::new();
    list.iter().map(|entry| mutant(root, entry, &mut texts)).collect()
}

fn mutant(root: &Path, entry: &Value, texts: &mut HashMap<String, String>) -> Result<Mutant, String> {
    let text = |key: &str| {
        let value = entry[key].as_str().map(String::from);
        value.ok_or_else(|| format!("cargo mutants --list: an entry without `{key}`: its format has changed"))
    };
    let (name, file, replacement) = (text("name")?, text("file")?, text("replacement")?);
    if !texts.contains_key(&file) {
        let read = std::fs::read_to_string(root.join(&file)).map_err(|e| format!("{file}: {e}"))?;
        texts.insert(file.clone(), read);
    }
    let place = |end: &str| {
        let at = |key: &str| entry["span"][end][key].as_u64().map(|n| n as usize);
        let (line, column) = (at("line")?, at("column")?);
        byte(&texts[&file], line, column)
    };
    let span = place("start").zip(place("end")).ok_or_else(|| format!("{name}: is not in its file"))?;
    let genre = match text("genre")?.as_str() {
        "FnValue" => Genre::FnValue,
        "MatchArm" => Genre::MatchArm,
        _ => Genre::Expression,
    };
    Ok(Mutant { name, file, genre, span: span.0..span.1, replacement })
}

/// The byte at a line and a column, both from 1; columns count characters.
pub fn byte(text: &str, line: usize, column: usize) -> Option<usize> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let rest = text.get(start..)?;
    let within = rest.char_indices().map(|(i, _)| i).chain([rest.len()]).nth(column.checked_sub(1)?)?;
    Some(start + within)
}
