//! What the documents say about how large the checker is: in all, by file, and its longest file.
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The checker's files: name, lines of code (no blank ones, no comments), all lines.
fn files() -> Vec<(String, usize, usize)> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let code = |l: &&str| !l.trim_start().is_empty() && !l.trim_start().starts_with("//");
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        (name, text.lines().filter(code).count(), text.lines().count())
    };
    let folder = fs::read_dir(format!("{ROOT}/bpf-server/checker/src")).unwrap();
    folder.map(|entry| read(&entry.unwrap().path())).collect()
}

/// A document in one line.
fn document(path: &str) -> String {
    fs::read_to_string(format!("{ROOT}/docs/{path}"))
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn the_checker_is_as_large_as_the_documents_say() {
    let files = files();
    let all: usize = files.iter().map(|f| f.1).sum();
    let all = format!("{},{:03}", all / 1000, all % 1000);
    for (page, wanted) in [
        ("src/verifier.md", format!("with the kernel: {all} lines of code")),
        ("src/verifier.md", format!("says {all} (")),
        ("src/caveats.md", format!("the checker has {all} lines of code")),
        (
            "adr/0010-how-large-the-checker-is.md",
            format!("It has {all} lines of code, in {} files", files.len()),
        ),
        (
            "adr/0010-how-large-the-checker-is.md",
            format!("the longest has {} lines with its comments", files.iter().map(|f| f.2).max().unwrap()),
        ),
    ] {
        assert!(document(page).contains(&wanted), "docs/{page} does not say: {wanted}");
    }
    // The table: each file is in one row, and each row has the sum of its files.
    let page = fs::read_to_string(format!("{ROOT}/docs/src/verifier.md")).unwrap();
    let mut told = Vec::new();
    for row in page.lines().filter(|l| l.starts_with("| `") && l.contains(".rs`")) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let names: Vec<&str> = columns[1].split(", ").map(|n| n.trim_matches('`')).collect();
        let lines: usize = files.iter().filter(|f| names.contains(&f.0.as_str())).map(|f| f.1).sum();
        assert_eq!(columns[3], lines.to_string(), "docs/src/verifier.md: {row}");
        told.extend(names);
    }
    told.sort();
    let mut there: Vec<&str> = files.iter().map(|f| f.0.as_str()).collect();
    there.sort();
    assert_eq!(told, there);
}
