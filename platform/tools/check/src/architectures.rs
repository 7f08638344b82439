//! What differs between architectures stands in folders named `arch`, under the same names for each.
//!
//! A name that one architecture lacks is named: whoever ports the kernel sees what is left to do, and nobody adds to one architecture
//! what the other silently does without. That holds for every file, whatever its kind and however deep it lies; what has no counterpart is
//! listed here with its reason ([`ALONE`]). `target_arch` stands nowhere else, but in the compiler, which is of machines.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where conditions on the architecture may stand outside of `arch` folders: the compiler, and this check's own words.
const ASK: [&str; 2] = ["bpf-server/jit", "platform/tools/check"];

/// A file that one architecture alone has: the `arch` folder, its path there without `.rs`, and why.
type Alone = (&'static str, &'static str, &'static str);

/// Files without a counterpart. One that is not there, or that has one by now, is a mistake too.
const ALONE: [Alone; 5] = [
    ("microkernel/kernel/src/arch", "x86_64/firmware/clock", "aarch64's counter tells its rate"),
    ("microkernel/kernel/src/arch", "x86_64/firmware/pci", "no other firmware leaves bus masters on"),
    ("microkernel/kernel/src/arch", "x86_64/firmware/speculation", "VERW, IBPB and IBRS are x86-64's"),
    (
        "microkernel/kernel/src/arch",
        "x86_64/trap/descriptors",
        "aarch64 has no segments and no table of gates",
    ),
    ("microkernel/kernel/src/arch", "x86_64/trap/sites", "what is rewritten at boot is x86-64's"),
];

/// Files of an architecture, by their paths: `trap.rs` and a folder `trap` are one name.
type Names = BTreeSet<String>;

fn entries(folder: &Path) -> Result<Vec<(String, bool)>, String> {
    let read = std::fs::read_dir(folder).map_err(|e| format!("{}: cannot be read: {e}", folder.display()))?;
    let mut all = Vec::new();
    for entry in read {
        let entry = entry.map_err(|e| format!("{}: cannot be read: {e}", folder.display()))?;
        let kind = entry.file_type().map_err(|e| format!("{}: {e}", entry.path().display()))?;
        all.push((entry.file_name().to_string_lossy().into_owned(), kind.is_dir()));
    }
    all.sort();
    Ok(all)
}

/// Looks at all files below `folder`, and notes its `arch` folders with what each architecture has there.
fn walk(root: &Path, folder: &Path, all: &mut Folders, wrong: &mut Vec<String>) -> Result<(), String> {
    for (name, is_folder) in entries(folder)? {
        let path = folder.join(&name);
        if is_folder && !name.starts_with('.') && name != "target" {
            if name == "arch" {
                let inside = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                all.insert(inside, architectures(&path)?);
            }
            walk(root, &path, all, wrong)?;
        } else if name.ends_with(".rs") {
            let inside = path.strip_prefix(root).unwrap_or(&path);
            let is_arch = inside.components().any(|c| c.as_os_str() == "arch");
            if !is_arch && !ASK.iter().any(|folder| inside.starts_with(folder)) {
                let text = std::fs::read_to_string(&path)
                    .map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
                for (line, text) in text.lines().enumerate() {
                    if text.trim_start().starts_with("//") || !text.contains("target_arch") {
                        continue;
                    }
                    wrong.push(format!(
                        "{}:{}: a condition on the architecture. Rule: what differs between architectures is in a folder arch, \
                         under one name; the rest does not ask",
                        inside.display(),
                        line + 1
                    ));
                }
            }
        }
    }
    Ok(())
}

/// By `arch` folder and architecture, what it has.
type Folders = BTreeMap<String, BTreeMap<String, Names>>;

/// Whether a file in an `arch` folder is an architecture's and not what all share: decided when all folders are known.
fn architectures(folder: &Path) -> Result<BTreeMap<String, Names>, String> {
    let mut all = BTreeMap::new();
    for (name, is_folder) in entries(folder)? {
        if is_folder {
            let mut names = Names::new();
            below(&folder.join(&name), "", &mut names)?;
            all.insert(name, names);
        } else if let Some(name) = name.strip_suffix(".rs") {
            all.entry(name.to_owned()).or_default();
        }
    }
    Ok(all)
}

/// The names of all that lies below a folder.
fn below(folder: &Path, prefix: &str, names: &mut Names) -> Result<(), String> {
    for (name, is_folder) in entries(folder)? {
        let path = format!("{prefix}{}", name.strip_suffix(".rs").unwrap_or(&name));
        if is_folder {
            below(&folder.join(&name), &format!("{path}/"), names)?;
        }
        names.insert(path);
    }
    Ok(())
}

/// Compares the architectures of each `arch` folder. An architecture is what has a folder in one of them: a file of its name in another
/// one is its part there.
fn compare(all: &Folders, mut alone: Vec<Alone>, wrong: &mut Vec<String>) {
    let is_file = |names: &Names| names.is_empty();
    let known: BTreeSet<&String> =
        all.values().flat_map(|a| a.iter().filter(|a| !is_file(a.1)).map(|a| a.0)).collect();
    for (folder, architectures) in all {
        let here: Vec<_> = architectures.iter().filter(|a| known.contains(a.0)).collect();
        for other in known.iter().filter(|_| !here.is_empty()) {
            let Some((_, others)) = here.iter().find(|a| a.0 == *other) else {
                wrong.push(format!(
                    "{folder}: {} has a part, {other} has none. Rule: what is done for one architecture is done for each",
                    here[0].0
                ));
                continue;
            };
            for (architecture, names) in here.iter().filter(|a| a.0 != *other) {
                for name in names.difference(others) {
                    let path = format!("{architecture}/{name}");
                    let count = alone.len();
                    alone.retain(|a| (a.0, a.1) != (folder, &path));
                    // What lies below a name that is missing is missing with it.
                    let above = name.rsplit_once('/').is_some_and(|(above, _)| !others.contains(above));
                    if alone.len() == count && !above {
                        wrong.push(format!(
                            "{folder}: {architecture} has '{name}', {other} has not. Rule: every architecture has the same files with the \
                             same names; what one does not need is a file that says so, or stands in axiom-check's list with its reason"
                        ));
                    }
                }
            }
        }
    }
    for (folder, path, _) in alone {
        wrong.push(format!(
            "{folder}: '{path}' is listed as one architecture's alone, and is not. Rule: a list of exceptions has only those that are; \
             take it out of axiom-check's"
        ));
    }
}

fn check_with(root: &Path, alone: &[Alone]) -> Result<(usize, Vec<String>), String> {
    let (mut wrong, mut all) = (Vec::new(), Folders::new());
    walk(root, root, &mut all, &mut wrong)?;
    compare(&all, alone.to_vec(), &mut wrong);
    wrong.sort();
    Ok((all.len(), wrong))
}

/// How many `arch` folders were looked at, and what is wrong, a sentence each.
pub fn check(root: &Path) -> Result<(usize, Vec<String>), String> {
    check_with(root, &ALONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Tree {
            let root = std::env::temp_dir().join(format!("axiom-check-{}-{name}", std::process::id()));
            for (file, text) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn equal_names_pass() {
        let tree = Tree::new(
            "equal",
            &[
                ("microkernel/k/arch/mod.rs", "#[cfg(target_arch = \"a\")]"),
                ("microkernel/k/arch/a/trap.rs", ""),
                ("microkernel/k/arch/a/kernel.ld", ""),
                ("microkernel/k/arch/b/trap.rs", ""),
                ("microkernel/k/arch/b/trap/tables.rs", ""),
                ("microkernel/k/arch/b/kernel.ld", ""),
                ("bpf-server/jit/src/lib.rs", "#[cfg(target_arch = \"a\")]"),
            ],
        );
        assert_eq!(check_with(&tree.0, &[("microkernel/k/arch", "b/trap/tables", "why")]), Ok((1, vec![])));
        let (_, wrong) = check_with(&tree.0, &[]).unwrap();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].starts_with("microkernel/k/arch: b has 'trap/tables', a has not. Rule:"),
            "{wrong:?}"
        );
    }

    /// However deep, whatever kind of file; and a part that is a file by itself.
    #[test]
    fn nothing_of_one_architecture_is_overlooked() {
        for (file, found) in [
            ("k/arch/a/trap/entry.s", "k/arch: a has 'trap/entry.s', b has not"),
            ("k/arch/a/kernel.ld", "k/arch: a has 'kernel.ld', b has not"),
            ("k/arch/a/one/two/three.rs", "k/arch: a has 'one', b has not"),
            ("k/arch/b/trap/deep/more.rs", "k/arch: b has 'trap/deep', a has not"),
            ("other/arch/a.rs", "other/arch: a has a part, b has none"),
        ] {
            let both = [("k/arch/a/trap.rs", ""), ("k/arch/b/trap/mod.rs", ""), ("k/arch/a/trap/mod.rs", "")];
            let mut files = both.to_vec();
            files.push((file, ""));
            let tree = Tree::new("deep", &files);
            let (_, wrong) = check_with(&tree.0, &[]).unwrap();
            assert_eq!(wrong.len(), 1, "{file}: {wrong:?}");
            assert!(wrong[0].starts_with(&format!("{found}. Rule:")), "{file}: {wrong:?}");
        }
    }

    #[test]
    fn an_exception_that_is_none_is_found() {
        let tree = Tree::new(
            "exception",
            &[("k/arch/a/trap.rs", ""), ("k/arch/b/trap.rs", ""), ("k/arch/b/x.rs", "")],
        );
        let (_, wrong) = check_with(
            &tree.0,
            &[("k/arch", "b/x", "why"), ("k/arch", "b/trap", "why"), ("k/arch", "b/y", "why")],
        )
        .unwrap();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong[0].starts_with("k/arch: 'b/trap' is listed as one architecture's alone, and is not."),
            "{wrong:?}"
        );
        assert!(wrong[1].starts_with("k/arch: 'b/y' is listed"), "{wrong:?}");
    }

    #[test]
    fn a_name_of_one_architecture_and_a_condition_elsewhere_are_found() {
        let tree = Tree::new(
            "unequal",
            &[
                ("microkernel/k/arch/a/trap.rs", ""),
                ("microkernel/k/arch/b/trap.rs", ""),
                ("microkernel/k/arch/b/ports.rs", ""),
                ("microkernel/k/lib.rs", "// target_arch\n\n#[cfg(target_arch = \"a\")]\nmod a;"),
                ("servers/s/src/lib.rs", "const A: bool = cfg!(target_arch = \"a\");"),
            ],
        );
        let (_, wrong) = check_with(&tree.0, &[]).unwrap();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].starts_with("microkernel/k/arch: b has 'ports', a has not. Rule:"), "{wrong:?}");
        assert!(
            wrong[1].starts_with("microkernel/k/lib.rs:3: a condition on the architecture."),
            "{wrong:?}"
        );
        assert!(
            wrong[2].starts_with("servers/s/src/lib.rs:1: a condition on the architecture."),
            "{wrong:?}"
        );
    }
}
