//! What differs between architectures stands in folders named `arch`, under the same names for each.
//!
//! A name that one architecture lacks is named: whoever ports the kernel sees what is left to do, and nobody adds to one architecture
//! what the other silently does without. `target_arch` stands nowhere else, but in the compiler, which is of machines.
use std::collections::BTreeMap;
use std::path::Path;

/// Where conditions on the architecture may stand outside of `arch` folders: the compiler, and this check's own words.
const ASK: [&str; 2] = ["bpf-server/jit", "platform/tools/check"];

/// Folders and files of an architecture: `trap.rs` and `trap/` are one name.
type Names = Vec<String>;

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

/// Looks at all `arch` folders below `folder`: how many there are.
fn walk(root: &Path, folder: &Path, wrong: &mut Vec<String>) -> Result<usize, String> {
    let mut seen = 0;
    for (name, is_folder) in entries(folder)? {
        let path = folder.join(&name);
        if is_folder && !name.starts_with('.') && name != "target" {
            if name == "arch" {
                seen += 1;
                compare(root, &path, wrong)?;
            }
            seen += walk(root, &path, wrong)?;
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
    Ok(seen)
}

/// Compares the architectures in an `arch` folder.
fn compare(root: &Path, folder: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let mut architectures: BTreeMap<String, Names> = BTreeMap::new();
    for (name, is_folder) in entries(folder)? {
        if is_folder {
            let mut names: Names = entries(&folder.join(&name))?
                .into_iter()
                .map(|(name, _)| name.strip_suffix(".rs").map(str::to_owned).unwrap_or(name))
                .collect();
            names.dedup();
            architectures.insert(name, names);
        }
    }
    let inside = folder.strip_prefix(root).unwrap_or(folder).display();
    for (architecture, names) in &architectures {
        for (other, others) in architectures.iter().filter(|(other, _)| *other != architecture) {
            for name in names.iter().filter(|name| !others.contains(name)) {
                wrong.push(format!(
                    "{inside}: {architecture} has '{name}', {other} has not. Rule: every architecture has the same files with the \
                     same names; what one does not need is a file that says so"
                ));
            }
        }
    }
    Ok(())
}

/// How many `arch` folders were looked at, and what is wrong, a sentence each.
pub fn check(root: &Path) -> Result<(usize, Vec<String>), String> {
    let mut wrong = Vec::new();
    let seen = walk(root, root, &mut wrong)?;
    Ok((seen, wrong))
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
    fn equal_names_pass_whatever_is_below_them() {
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
        assert_eq!(check(&tree.0), Ok((1, vec![])));
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
        let (_, wrong) = check(&tree.0).unwrap();
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
