//! The documents: every link leads somewhere, every page of the book is in its summary, and every name of the code that a page points to
//! still exists at the lines that it gives.
//!
//! A place in the code is a link whose text is a name in backquotes and whose target ends in `#L12` or `#L12-L40`: the item of that name (or
//! the label, in assembly) begins in the first of these lines and ends in the last. `axiom-check book --fix` puts the lines right.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The documents' folders and files.
const ROOTS: [&str; 8] =
    ["README.md", "docs", "microkernel", "platform", "bpf-server", "drivers", "servers", ".github"];

/// A link in a page.
#[derive(Clone, Debug, PartialEq)]
struct Link {
    line: usize,
    text: String,
    target: String,
}

/// The links of a page, but for those in code.
fn links(page: &str) -> Vec<Link> {
    let mut out = Vec::new();
    let mut fenced = false;
    for (index, line) in page.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let Some(end) = line[at..].find(')') else { continue };
            let start = line[..at].rfind('[').map_or(at, |s| s + 1);
            let code = line[..start].matches('`').count() % 2 == 1;
            if !code {
                let (text, target) = (line[start..at].to_owned(), line[at + 2..at + end].to_owned());
                out.push(Link { line: index + 1, text, target });
            }
        }
    }
    out
}

/// How a heading is linked to.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter_map(
            |c| if c == ' ' { Some('-') } else { (c.is_alphanumeric() || "-_".contains(c)).then_some(c) },
        )
        .collect()
}

fn headings(page: &str) -> BTreeSet<String> {
    let mut fenced = false;
    page.lines()
        .filter(|l| {
            fenced ^= l.trim_start().starts_with("```");
            !fenced && l.starts_with('#')
        })
        .map(|l| anchor(l.trim_start_matches('#')))
        .collect()
}

/// First and last line of the item or label of that name.
fn place(source: &str, name: &str) -> Option<(usize, usize)> {
    let name = name.trim_end_matches("()").rsplit("::").next()?;
    let lines: Vec<&str> = source.lines().collect();
    let is_word = |text: &str| !text.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    let defines = |line: &str| {
        let kinds =
            ["fn ", "struct ", "enum ", "const ", "static ", "trait ", "type ", "macro_rules! ", "mod "];
        let item = kinds.iter().any(|kind| {
            line.match_indices(kind).any(|(at, _)| {
                let before = line[..at].trim();
                let quiet = !before.contains("//") && !before.contains('"')
                    || before == r#"extern "C""#
                    || before.ends_with(r#"extern "C""#);
                quiet && line[at + kind.len()..].strip_prefix(name).is_some_and(is_word)
            })
        });
        item || line.trim() == format!("{name}:")
    };
    let first = lines.iter().position(|l| defines(l))?;
    if lines[first].trim() == format!("{name}:") {
        // A label's code ends before the next one.
        let label =
            |l: &&str| l.trim().ends_with(':') || l.trim().starts_with(".global") || l.trim().is_empty();
        let length = lines[first + 1..].iter().position(label).unwrap_or(0);
        return Some((first + 1, first + 1 + length));
    }
    let (mut depth, mut seen) = (0i32, false);
    for (index, line) in lines[first..].iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        depth += code.matches(['{', '(', '[']).count() as i32 - code.matches(['}', ')', ']']).count() as i32;
        seen |= code.contains('{');
        if depth <= 0 && (seen || code.trim_end().ends_with(';')) {
            return Some((first + 1, first + 1 + index));
        }
    }
    None
}

/// `#L12` or `#L12-L40`.
fn lines_of(fragment: &str) -> Option<(usize, usize)> {
    let (first, last) = fragment.strip_prefix('L')?.split_once("-L").unwrap_or((&fragment[1..], ""));
    let first = first.parse().ok()?;
    Some((first, if last.is_empty() { first } else { last.parse().ok()? }))
}

fn fragment_of((first, last): (usize, usize)) -> String {
    if first == last { format!("L{first}") } else { format!("L{first}-L{last}") }
}

/// What is wrong with a page; with `fix`, its text with the lines put right.
fn check_page(path: &Path, page: &str) -> (Vec<String>, String) {
    let (mut wrong, mut fixed) = (Vec::new(), page.to_owned());
    let folder = path.parent().unwrap_or(Path::new(""));
    for link in links(page) {
        let mut complain =
            |why: String| wrong.push(format!("{}:{}: {}: {why}", path.display(), link.line, link.target));
        if link.target.contains("://") || link.target.starts_with("mailto:") {
            continue;
        }
        let (file, fragment) = link.target.split_once('#').unwrap_or((&link.target, ""));
        let target = if file.is_empty() { path.to_owned() } else { folder.join(file) };
        if !target.exists() {
            complain("this file does not exist".into());
            continue;
        }
        if fragment.is_empty() {
            continue;
        }
        let text = std::fs::read_to_string(&target).unwrap_or_default();
        if target.extension().is_some_and(|e| e == "md") {
            if !headings(&text).contains(fragment) {
                complain("the page has no such heading".into());
            }
        } else if let (Some(given), Some(name)) =
            (lines_of(fragment), link.text.strip_prefix('`').and_then(|t| t.strip_suffix('`')))
        {
            match place(&text, name) {
                None => complain(format!("there is no '{name}' in it any more")),
                Some(found) => {
                    // Whoever inserts a line above need not mend every page: the item must begin within the lines.
                    if !(given.0..=given.1).contains(&found.0) {
                        complain(format!(
                            "'{name}' is in lines {} to {}: `just places` puts it right",
                            found.0, found.1
                        ));
                    }
                    let target = format!("{file}#{}", fragment_of(found));
                    fixed = fixed.replace(
                        &format!("[{}]({})", link.text, link.target),
                        &format!("[{}]({target})", link.text),
                    );
                }
            }
        } else {
            complain("a place in the code is written [`name`](file.rs#L1-L9)".into());
        }
    }
    (wrong, fixed)
}

fn pages(root: &Path, out: &mut Vec<PathBuf>) {
    if root.is_file() && root.extension().is_some_and(|e| e == "md") {
        out.push(root.to_owned());
    }
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| !p.ends_with("target")).collect();
    entries.sort();
    entries.iter().for_each(|path| pages(path, out));
}

/// Pages of the book that its summary leaves out, or names twice.
fn summary(root: &Path) -> Result<Vec<String>, String> {
    let path = root.join("docs/src/SUMMARY.md");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let named: Vec<String> = links(&text).into_iter().map(|l| l.target).collect();
    let mut all = Vec::new();
    pages(&root.join("docs/src"), &mut all);
    let mut wrong = Vec::new();
    for page in all.iter().filter(|p| !p.ends_with("SUMMARY.md")) {
        let name = page.strip_prefix(root.join("docs/src")).unwrap_or(page).display().to_string();
        let times = named.iter().filter(|n| **n == name).count();
        if times != 1 {
            wrong.push(format!("{}: '{name}' is in it {times} times, and should be once", path.display()));
        }
    }
    Ok(wrong)
}

/// Checks every document below `root`: links looked at, and what is wrong. With `fix`, lines of places are written anew.
pub fn check(root: &Path, fix: bool) -> Result<(usize, Vec<String>), String> {
    let mut all = Vec::new();
    ROOTS.iter().for_each(|r| pages(&root.join(r), &mut all));
    let (mut seen, mut wrong) = (0, Vec::new());
    for path in all {
        let mut page = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        if fix {
            let (_, fixed) = check_page(&path, &page);
            if fixed != page {
                std::fs::write(&path, &fixed).map_err(|e| format!("{}: {e}", path.display()))?;
                page = fixed;
            }
        }
        seen += links(&page).len();
        wrong.extend(check_page(&path, &page).0);
    }
    wrong.extend(summary(root)?);
    Ok((seen, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "// fn later is not here\npub fn first(a: u8) -> u8 {\n    if a > 0 {\n        1\n    } else {\n        2\n    }\n}\n\nconst LATER: [u8; 2] = [\n    1,\n    2,\n];\nimpl X {\n    fn later(\n        &self,\n    ) {\n    }\n}\n    \"asm\n    .global entry\nentry:\n    b 1f\n    nop\n\nother:\n";

    #[test]
    fn items_and_labels_are_found_whole() {
        assert_eq!(place(SOURCE, "first"), Some((2, 8)));
        assert_eq!(place(SOURCE, "module::LATER"), Some((10, 13)));
        assert_eq!(place(SOURCE, "X::later()"), Some((15, 18)));
        assert_eq!(place(SOURCE, "entry"), Some((22, 24)));
        assert_eq!((place(SOURCE, "fir"), place(SOURCE, "last")), (None, None));
    }

    fn tree(page: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let docs = folder.path().join("docs/src");
        std::fs::create_dir_all(&docs).unwrap();
        std::fs::write(folder.path().join("a.rs"), SOURCE).unwrap();
        std::fs::write(docs.join("SUMMARY.md"), "- [Page](page.md)\n").unwrap();
        std::fs::write(docs.join("page.md"), page).unwrap();
        let path = folder.path().to_owned();
        (folder, path)
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named() {
        let page = "# A page, here\n[ok](page.md#a-page-here) [web](https://x.y) `[code](no.md)`\n```\n[code](no.md)\n```\n\
            [gone](gone.md)\n[part](page.md#gone)\n[`first`](../../a.rs#L2-L8)\n[`later`](../../a.rs#L1-L3)\n[`lost`](../../a.rs#L1)\n[what](../../a.rs#L1)\n";
        let (_folder, root) = tree(page);
        let (seen, wrong) = check(&root, false).unwrap();
        assert_eq!(seen, 9);
        let expected = [
            ":6: gone.md: this file does not exist",
            ":7: page.md#gone: the page has no such heading",
            ":9: ../../a.rs#L1-L3: 'later' is in lines 15 to 18",
            ":10: ../../a.rs#L1: there is no 'lost' in it any more",
            ":11: ../../a.rs#L1: a place in the code is written",
        ];
        assert_eq!(wrong.len(), expected.len(), "{wrong:#?}");
        for (line, text) in wrong.iter().zip(expected) {
            assert!(line.contains(text), "{line}");
        }
    }

    #[test]
    fn lines_are_put_right_and_pages_outside_the_summary_are_named() {
        let (_folder, root) = tree("[`later`](../../a.rs#L0) and [`first`](../../a.rs#L0)\n");
        assert_eq!(check(&root, true).unwrap(), (3, Vec::new()));
        let page = std::fs::read_to_string(root.join("docs/src/page.md")).unwrap();
        assert_eq!(page, "[`later`](../../a.rs#L15-L18) and [`first`](../../a.rs#L2-L8)\n");
        std::fs::write(root.join("docs/src/other.md"), "").unwrap();
        let wrong = check(&root, false).unwrap().1;
        assert!(wrong[0].contains("'other.md' is in it 0 times"), "{wrong:?}");
    }
}
