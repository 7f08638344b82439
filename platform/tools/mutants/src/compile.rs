//! The copy of the repository, its woven files, and the compiler's word on which branches are programs.
//!
//! An error inside of a branch makes its mutant unviable, as it would be on its own. A function that a constant needs gets its `const`
//! back. Any other error is told as it is: the woven text is not what was meant.
use crate::list::Mutant;
use crate::weave::{self, Woven};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crate with all of its mutants, ready to run.
pub struct Built {
    pub mutants: Vec<Mutant>,
    /// The site of each mutant that can be chosen.
    pub sites: BTreeMap<u32, u32>,
    pub unviable: BTreeSet<u32>,
    pub left: Vec<(u32, &'static str)>,
    /// Mutants in files that this build does not compile: another architecture's.
    pub elsewhere: Vec<u32>,
    /// The test programs.
    pub programs: Vec<PathBuf>,
    /// Where tests run: the crate's folder in the copy.
    pub folder: PathBuf,
}

/// How often the compiler is asked before something else must be wrong.
const ROUNDS: usize = 40;

/// Weaves the crate's mutants in a copy of the repository, and builds its tests, and those of the crates `with` it.
pub fn build(
    root: &Path,
    output: &Path,
    package: &str,
    with: &[String],
    mutants: Vec<Mutant>,
) -> Result<Built, String> {
    let copy = output.join("tree");
    copy_tree(root, &copy)?;
    let manifest = manifest(&copy, package)?;
    let library = manifest.with_file_name("src").join("lib.rs");
    let library = library.strip_prefix(&copy).map_err(|e| e.to_string())?.to_string_lossy().into_owned();
    let mut texts = BTreeMap::new();
    for file in mutants.iter().map(|mutant| &mutant.file).chain([&library]) {
        if !texts.contains_key(file) {
            let text = std::fs::read_to_string(root.join(file)).map_err(|e| format!("{file}: {e}"))?;
            texts.insert(file.clone(), text);
        }
    }
    let known = Known::new(output, &mutants, &texts);
    let (mut unviable, mut stay_constant) = known.read();
    for round in 0..ROUNDS {
        let files = weave_all(&texts, &mutants, &unviable, &stay_constant)?;
        let count: usize = files.values().map(|woven| woven.sites.len()).sum();
        println!("build {}: {count} mutants as branches, {} unviable", round + 1, unviable.len());
        for (file, woven) in &files {
            let mut text = woven.text.clone();
            // A program is a crate of its own beside the library.
            if *file == library || file.ends_with("/src/main.rs") {
                text.push_str(&switch(mutants.len()));
            }
            write_if_new(&copy.join(file), text.as_bytes())?;
        }
        if !files.contains_key(&library) {
            let text = format!("{}{}", texts[&library], switch(mutants.len()));
            write_if_new(&copy.join(&library), text.as_bytes())?;
        }
        let messages = cargo(&copy, package, with)?;
        let mut verdict = Verdict::default();
        for message in messages.iter().filter(|message| message["reason"] == "compiler-message") {
            verdict.add(&message["message"], &files);
        }
        if verdict.errors == 0 {
            let programs = programs(&messages);
            if programs.is_empty() {
                return Err(format!("{package} has no tests that could be built; see above"));
            }
            known.write(&unviable, &stay_constant)?;
            let compiled = compiled(&copy, &programs)?;
            let mut sites = BTreeMap::new();
            let mut left = Vec::new();
            for woven in files.into_values() {
                sites.extend(woven.sites);
                left.extend(woven.left);
            }
            let needed = left.iter().filter(|(_, why)| *why == weave::NEEDED);
            unviable.extend(needed.map(|(id, _)| *id));
            left.retain(|(_, why)| *why != weave::NEEDED);
            let is_elsewhere = |id: &u32| !compiled.contains(&mutants[*id as usize - 1].file);
            let elsewhere: Vec<u32> = (1..=mutants.len() as u32).filter(is_elsewhere).collect();
            sites.retain(|id, _| !is_elsewhere(id));
            left.retain(|(id, _)| !is_elsewhere(id));
            let folder = manifest.parent().unwrap_or(&copy).to_path_buf();
            return Ok(Built { mutants, sites, unviable, left, elsewhere, programs, folder });
        }
        if verdict.unviable.is_empty() && verdict.constants.is_empty() {
            return Err(format!("the woven copy in {} does not compile:\n{}", copy.display(), verdict.other));
        }
        unviable.append(&mut verdict.unviable);
        stay_constant.append(&mut verdict.constants);
    }
    Err(format!("the compiler still objects after {ROUNDS} rounds; look into {}", copy.display()))
}

/// What the compiler said of the same sources before: then they are not built again.
struct Known {
    path: PathBuf,
    /// Of the sources and the list of mutants.
    digest: String,
}

impl Known {
    fn new(output: &Path, mutants: &[Mutant], texts: &BTreeMap<String, String>) -> Known {
        let mut hasher = DefaultHasher::new();
        texts.hash(&mut hasher);
        flags().hash(&mut hasher);
        mutants.iter().for_each(|mutant| (&mutant.name, &mutant.replacement).hash(&mut hasher));
        Known { path: output.join("known.txt"), digest: format!("{:016x}", hasher.finish()) }
    }

    /// Mutants that are unviable, and functions that stay constant.
    fn read(&self) -> (BTreeSet<u32>, BTreeSet<String>) {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let mut lines = text.lines();
        if lines.next() != Some(&self.digest) {
            return Default::default();
        }
        let words =
            |line: Option<&str>| line.unwrap_or_default().split(' ').map(String::from).collect::<Vec<_>>();
        let unviable = words(lines.next()).iter().filter_map(|word| word.parse().ok()).collect();
        (unviable, words(lines.next()).into_iter().filter(|name| !name.is_empty()).collect())
    }

    fn write(&self, unviable: &BTreeSet<u32>, constant: &BTreeSet<String>) -> Result<(), String> {
        let unviable: Vec<String> = unviable.iter().map(u32::to_string).collect();
        let constant: Vec<&str> = constant.iter().map(String::as_str).collect();
        let text = format!("{}\n{}\n{}\n", self.digest, unviable.join(" "), constant.join(" "));
        write_if_new(&self.path, text.as_bytes())
    }
}

fn weave_all(
    texts: &BTreeMap<String, String>,
    mutants: &[Mutant],
    unviable: &BTreeSet<u32>,
    stay_constant: &BTreeSet<String>,
) -> Result<BTreeMap<String, Woven>, String> {
    let mut by_file: BTreeMap<&str, Vec<(u32, &Mutant)>> = BTreeMap::new();
    for (i, mutant) in mutants.iter().enumerate() {
        let id = i as u32 + 1;
        let list = by_file.entry(&mutant.file).or_default();
        if !unviable.contains(&id) {
            list.push((id, mutant));
        }
    }
    let mut files = BTreeMap::new();
    let mut first_site = 0;
    for (file, list) in by_file {
        let woven = weave::weave(&texts[file], &list, stay_constant, first_site)
            .map_err(|e| format!("{file}: {e}"))?;
        first_site += woven.sites.len() as u32;
        files.insert(file.to_string(), woven);
    }
    Ok(files)
}

/// What decides at run time which mutant is there: a module at the end of the crate's lib.rs (and main.rs).
fn switch(count: usize) -> String {
    format!(
        r#"
#[allow(missing_docs)]
pub mod woven {{
    extern crate std;
    use std::io::Write;
    use std::sync::atomic::{{AtomicBool, AtomicU32, Ordering::Relaxed}};
    const TRACED: u32 = u32::MAX - 1;
    const UNKNOWN: u32 = u32::MAX;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNKNOWN);
    static PASSED: [AtomicBool; {count}] = [const {{ AtomicBool::new(false) }}; {count}];
    #[inline]
    pub fn at(site: u32) -> u32 {{
        let chosen = CHOSEN.load(Relaxed);
        if chosen < TRACED {{ chosen }} else {{ first(site) }}
    }}
    #[cold]
    #[inline(never)]
    fn first(site: u32) -> u32 {{
        if CHOSEN.load(Relaxed) == UNKNOWN {{
            let told = std::env::var("AXIOM_MUTANT").ok();
            let told = told.and_then(|told| told.parse().ok()).unwrap_or(0);
            let traced = std::env::var_os("AXIOM_MUTANT_TRACE").is_some();
            CHOSEN.store(if traced {{ TRACED }} else {{ told }}, Relaxed);
            return at(site);
        }}
        if !PASSED[site as usize].swap(true, Relaxed) {{
            let path = std::env::var_os("AXIOM_MUTANT_TRACE").expect("it was there");
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).expect("a trace file");
            file.write_all(std::format!("{{site}}\n").as_bytes()).expect("a trace file that takes lines");
        }}
        0
    }}
}}
"#
    )
}

#[derive(Default)]
struct Verdict {
    errors: usize,
    unviable: BTreeSet<u32>,
    constants: BTreeSet<String>,
    other: String,
}

impl Verdict {
    fn add(&mut self, message: &Value, files: &BTreeMap<String, Woven>) {
        if message["level"] != "error" {
            return;
        }
        let text = message["message"].as_str().unwrap_or_default();
        let spans = message["spans"].as_array().map_or(&[][..], |spans| spans);
        if spans.is_empty() {
            // "aborting due to ..."
            return;
        }
        self.errors += 1;
        for primary in [true, false] {
            let spans = spans.iter().filter(|span| span["is_primary"] == primary);
            let found: Vec<u32> = spans.filter_map(|span| whose(span, files)).collect();
            if !found.is_empty() {
                self.unviable.extend(found);
                return;
            }
        }
        if let Some(rest) = text.split_once("cannot call non-const").map(|(_, rest)| rest)
            && let Some(name) = rest.split('`').nth(1)
        {
            let name = name.rsplit("::").next().unwrap_or(name);
            self.constants.insert(name.into());
            return;
        }
        let _ = writeln!(self.other, "{}", message["rendered"].as_str().unwrap_or(text));
    }
}

/// The mutant in whose branch an error is.
fn whose(span: &Value, files: &BTreeMap<String, Woven>) -> Option<u32> {
    let woven = files.get(span["file_name"].as_str()?)?;
    let (start, end) = (span["byte_start"].as_u64()? as usize, span["byte_end"].as_u64()? as usize);
    let around = woven.places.iter().filter(|(place, _)| place.start <= start && end <= place.end);
    around.min_by_key(|(place, _)| place.len()).map(|(_, id)| *id)
}

fn cargo(copy: &Path, package: &str, with: &[String]) -> Result<Vec<Value>, String> {
    let mut command = Command::new("cargo");
    command.args(["test", "--no-run", "--message-format=json"]).args([
        "--config",
        "profile.dev.debug=0",
        // Tests, and the crates that they lean on, run for each mutant: that costs more than building them once.
        "--config",
        "profile.dev.opt-level=1",
        "--config",
        "profile.dev.incremental=true",
    ]);
    for package in std::iter::once(package).chain(with.iter().map(String::as_str)) {
        let fast = format!("profile.dev.package.{package}.opt-level=2");
        command.args(["-p", package, "--config", &fast]);
    }
    let output = command
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
        .env("RUSTFLAGS", flags())
        .output()
        .map_err(|e| format!("cargo: cannot be started: {e}"))?;
    let messages: Result<Vec<Value>, _> = output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect();
    let messages = messages.map_err(|e| format!("cargo test: not JSON: {e}"))?;
    let explained = messages.iter().any(|message| message["message"]["level"] == "error");
    if !output.status.success() && !explained {
        return Err(format!("cargo test -p {package}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(messages)
}

/// The caller's flags, which may choose the architecture; and no lints, which branches would not stand.
fn flags() -> String {
    let given = std::env::var("RUSTFLAGS").unwrap_or_default();
    format!("{given} --cap-lints=allow").trim_start().into()
}

/// The sources that programs were made of, by what the compiler noted beside each: `PROGRAM: SOURCE...`.
fn compiled(copy: &Path, programs: &[PathBuf]) -> Result<BTreeSet<String>, String> {
    let mut files = BTreeSet::new();
    for program in programs {
        let path = program.with_extension("d");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let sources = sources(&text);
        files.extend(sources.into_iter().map(|source| {
            let within =
                Path::new(&source).strip_prefix(copy).map(|path| path.to_string_lossy().into_owned());
            within.unwrap_or(source)
        }));
    }
    Ok(files)
}

/// The sources in a rule for `make`, in which a space within a name is `\ `.
pub fn sources(rules: &str) -> BTreeSet<String> {
    let lines = rules.lines().filter_map(|line| line.split_once(": ").map(|(_, sources)| sources));
    let names = lines.flat_map(|line| {
        let line = line.replace("\\ ", "\0");
        line.split_whitespace().map(|name| name.replace('\0', " ")).collect::<Vec<_>>()
    });
    names.collect()
}

fn programs(messages: &[Value]) -> Vec<PathBuf> {
    let built = messages
        .iter()
        .filter(|message| message["reason"] == "compiler-artifact" && message["profile"]["test"] == true);
    built.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).collect()
}

/// The crate's Cargo.toml in the copy.
fn manifest(copy: &Path, package: &str) -> Result<PathBuf, String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version=1", "--no-deps"])
        .current_dir(copy)
        .output()
        .map_err(|e| format!("cargo: cannot be started: {e}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: not JSON: {e}"))?;
    let packages = metadata["packages"].as_array().map_or(&[][..], |list| list);
    let found = packages.iter().find(|entry| entry["name"] == package);
    let path = found.and_then(|entry| entry["manifest_path"].as_str());
    path.map(PathBuf::from).ok_or_else(|| format!("{package} is no crate of this workspace"))
}

/// Copies what git knows and what it would take; files that are the same stay, so that cargo has less to do, and those that
/// were copied before and are gone go: a module that moved must not be there twice.
pub fn copy_tree(root: &Path, copy: &Path) -> Result<(), String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git: cannot be started: {e}"))?;
    if !output.status.success() {
        return Err(format!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let listed = String::from_utf8(output.stdout).map_err(|_| "git ls-files: a name that is not UTF-8")?;
    let list = copy.with_file_name("copied.txt");
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    let before = std::fs::read_to_string(&list).unwrap_or_default();
    let mut copied = String::new();
    for file in listed.split('\0').filter(|file| !file.is_empty()) {
        // A file that was deleted is still listed.
        if let Ok(text) = std::fs::read(root.join(file)) {
            write_if_new(&copy.join(file), &text)?;
            copied += file;
            copied.push('\0');
        }
    }
    let now: std::collections::BTreeSet<&str> = copied.split('\0').collect();
    for gone in before.split('\0').filter(|file| !now.contains(file)) {
        let path = copy.join(gone);
        if path.exists() {
            std::fs::remove_file(&path).map_err(|e| told(&path, e))?;
        }
    }
    std::fs::write(&list, &copied).map_err(|e| told(&list, e))
}

fn write_if_new(path: &Path, text: &[u8]) -> Result<(), String> {
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let told = |e: std::io::Error| format!("{}: {e}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(told)?;
    }
    std::fs::write(path, text).map_err(told)
}
