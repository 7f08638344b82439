//! Files of a crate stand in layers: no circle of uses between them.
//!
//! A use is a path that begins at the crate (`crate::`, `super::`, `self::`), at a module that the file declares, or at a module that it
//! imported. It is followed to the file where the named item stands, through `pub use module::*` as well. What only tests use
//! does not count. Macros that write paths, and `#[path]`, are not followed.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The crates whose files are kept in layers.
pub const LAYERED: [&str; 2] = ["microkernel/objects", "microkernel/kernel"];

/// A module's place in its crate: `["invoke", "args"]`.
type Module = Vec<String>;

/// What was found in one file.
struct Source {
    file: String,
    /// Modules that it declares for others than tests.
    children: BTreeSet<String>,
    /// Children whose items it passes on as its own.
    globs: Vec<String>,
    tokens: Vec<String>,
}

/// Splits Rust into names, `::` and single characters; comments, strings and what only tests see are left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut out: Vec<String> = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && (at(i + 2) == '\'' || at(i + 1) == '\\') {
            i += 2;
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            out.push(chars[start..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            out.push("::".into());
            i += 2;
        } else {
            if !c.is_whitespace() {
                out.push(c.into());
            }
            i += 1;
        }
    }
    without_tests(&out)
}

/// Leaves out items under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut out = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        if !tokens[i..].iter().take(MARK.len()).eq(MARK.iter()) {
            out.push(tokens[i].clone());
            i += 1;
            continue;
        }
        let mut depth = 0;
        while i < tokens.len() {
            let token = tokens[i].as_str();
            i += 1;
            depth += i32::from(token == "{") - i32::from(token == "}");
            if depth == 0 && (token == ";" || token == "}") {
                break;
            }
        }
    }
    out
}

/// The paths of a use tree that begins at `i`, after `prefix`, each with the name under which it is known; and where it ends.
fn tree(tokens: &[String], mut i: usize, prefix: &[String], out: &mut Vec<(Vec<String>, String)>) -> usize {
    let mut path = prefix.to_vec();
    let get = |i: usize| tokens.get(i).map_or("", String::as_str);
    loop {
        match get(i) {
            "{" => {
                i += 1;
                while !matches!(get(i), "}" | "") {
                    i = if get(i) == "," { i + 1 } else { tree(tokens, i, &path, out) };
                }
                return i + 1;
            }
            "*" => {
                out.push((path, "*".into()));
                return i + 1;
            }
            name if name.starts_with(|c: char| c.is_alphabetic() || c == '_') => {
                if name != "self" || path.is_empty() {
                    path.push(name.into());
                }
                if get(i + 1) == "::" {
                    i += 2;
                    continue;
                }
                let known =
                    if get(i + 1) == "as" { get(i + 2) } else { path.last().map_or("", String::as_str) };
                let end = if get(i + 1) == "as" { i + 3 } else { i + 1 };
                out.push((path.clone(), known.into()));
                return end;
            }
            _ => {
                // `path::<T>`: the path ends here.
                out.push((path, String::new()));
                return i.max(1);
            }
        }
    }
}

impl Source {
    fn new(file: String, text: &str) -> Source {
        let tokens = tokens(text);
        let mut children = BTreeSet::new();
        for window in tokens.windows(3) {
            if window[0] == "mod" && window[2] == ";" {
                children.insert(window[1].clone());
            }
        }
        let mut globs = Vec::new();
        for window in tokens.windows(5) {
            if window[0] == "use" && window[2] == "::" && window[3] == "*" && children.contains(&window[1]) {
                globs.push(window[1].clone());
            }
        }
        Source { file, children, globs, tokens }
    }
}

/// The modules of a crate.
struct Crate(BTreeMap<Module, Source>);

impl Crate {
    /// The innermost module that a path, from `from` on, leads into; and whether all of the path was modules.
    fn follow(&self, from: &[String], path: &[String]) -> (Module, bool) {
        let mut at = from.to_vec();
        for (i, name) in path.iter().enumerate() {
            let child = |module: &[String]| [module, std::slice::from_ref(name)].concat();
            let Some(source) = self.0.get(&at) else { return (at, false) };
            if source.children.contains(name) {
                at = child(&at);
                continue;
            }
            let through = source.globs.iter().map(|g| [&at[..], std::slice::from_ref(g)].concat());
            let found = through
                .filter(|m| i + 1 < path.len() || self.0.contains_key(&child(m)))
                .find(|m| self.follow(m, &path[i..]).0 != *m);
            return match found {
                Some(module) => self.follow(&module, &path[i..]),
                None => (at, false),
            };
        }
        (at, true)
    }

    /// Where a path written in `module` begins: the module, and what is left of the path.
    fn begin<'a>(
        &self,
        module: &[String],
        known: &BTreeMap<String, Module>,
        path: &'a [String],
    ) -> Option<(Module, &'a [String])> {
        let first = path.first()?;
        match first.as_str() {
            "crate" => Some((Vec::new(), &path[1..])),
            "self" => Some((module.to_vec(), &path[1..])),
            "super" => {
                let ups = path.iter().take_while(|p| *p == "super").count();
                Some((module[..module.len().checked_sub(ups)?].to_vec(), &path[ups..]))
            }
            name => known.get(name).map(|m| (m.clone(), &path[1..])),
        }
    }

    /// The files that the one of `module` uses.
    fn uses(&self, module: &Module, source: &Source) -> BTreeSet<Module> {
        let mut known: BTreeMap<String, Module> = source
            .children
            .iter()
            .map(|c| (c.clone(), [&module[..], std::slice::from_ref(c)].concat()))
            .collect();
        let mut found = BTreeSet::new();
        // Twice: a module may be used above the line that imports it.
        for _ in 0..2 {
            let mut i = 0;
            while i < source.tokens.len() {
                let starts = source.tokens.get(i + 1).is_some_and(|t| t == "::")
                    && (i == 0 || !matches!(source.tokens[i - 1].as_str(), "::" | "."));
                if !starts {
                    i += 1;
                    continue;
                }
                let mut paths = Vec::new();
                let end = tree(&source.tokens, i, &[], &mut paths);
                for (path, name) in paths {
                    let Some((from, rest)) = self.begin(module, &known, &path) else { continue };
                    let (target, is_module) = self.follow(&from, rest);
                    if is_module && !name.is_empty() && !rest.is_empty() {
                        known.insert(name, target.clone());
                    }
                    found.insert(target);
                }
                i = end.max(i + 1);
            }
        }
        found.remove(module);
        found
    }
}

/// One circle of files in a crate, if there is one: the files in the order in which each uses the next. `files` are names
/// relative to the crate's `src`, with their texts.
pub fn circle(files: &[(String, String)]) -> Option<Vec<String>> {
    let mut modules = BTreeMap::new();
    for (file, text) in files {
        let mut module: Module = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        modules.insert(module, Source::new(file.clone(), text));
    }
    let all = Crate(modules);
    let uses: BTreeMap<&Module, BTreeSet<Module>> = all.0.iter().map(|(m, s)| (m, all.uses(m, s))).collect();
    let mut done = BTreeSet::new();
    for start in all.0.keys() {
        let mut way = Vec::new();
        if search(start, &uses, &mut way, &mut done) {
            return Some(way.iter().map(|m| all.0[m].file.clone()).collect());
        }
    }
    None
}

/// Looks for a circle from `at` on; afterwards `way` is the circle, its first file repeated at the end.
fn search(
    at: &Module,
    uses: &BTreeMap<&Module, BTreeSet<Module>>,
    way: &mut Vec<Module>,
    done: &mut BTreeSet<Module>,
) -> bool {
    if let Some(first) = way.iter().position(|m| m == at) {
        way.drain(..first);
        way.push(at.clone());
        return true;
    }
    if done.contains(at) {
        return false;
    }
    way.push(at.clone());
    for next in uses.get(at).into_iter().flatten() {
        if search(next, uses, way, done) {
            return true;
        }
    }
    way.pop();
    done.insert(at.clone());
    false
}

fn read(folder: &Path, prefix: &str, out: &mut Vec<(String, String)>) -> Result<(), String> {
    let fault = |e: std::io::Error| format!("{}: cannot be read: {e}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            read(&path, &format!("{prefix}{name}/"), out)?;
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
            out.push((format!("{prefix}{name}"), text));
        }
    }
    Ok(())
}

/// Looks for circles in the layered crates below `root`: a sentence for each crate that has one; and the number of files.
pub fn check(root: &Path) -> Result<(usize, Vec<String>), String> {
    let (mut seen, mut wrong) = (0, Vec::new());
    for folder in LAYERED {
        let mut files = Vec::new();
        read(&root.join(folder).join("src"), "", &mut files)?;
        seen += files.len();
        if let Some(way) = circle(&files) {
            wrong.push(format!(
                "{folder}/src: files use each other in a circle: {}. Rule: files stand in layers; let the lower one report what happened, and the \
                 upper one decide.",
                way.join(" -> ")
            ));
        }
    }
    Ok((seen, wrong))
}
