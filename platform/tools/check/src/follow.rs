//! Following a page literally, as somebody new would: what stands under one heading is done in a copy of the tree.
//!
//! Fenced blocks say what they are, after their language:
//!
//! - ```` ```c,file=PATH ````: that file is written;
//! - ```` ```diff,file=PATH ````: lines that begin with a space or `-` stand in that file, once, in this order; those with a space or
//!   `+` take their place;
//! - ```` ```sh,run ````: the commands are run, and must succeed;
//! - ```` ```text,expect ````: these lines must have come, in this order, whatever stands around them; `...` stands for any lines, and runs
//!   of spaces count as one.
//!
//! Blocks without such a word are for reading. A heading without one is refused: it would be followed to nowhere.
use std::path::Path;
use std::process::Command;

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Write a file.
    Write(String, String),
    /// Change a file: old lines, new lines.
    Change(String, String, String),
    /// Run commands.
    Run(String),
    /// Lines of the last run.
    Expect(Vec<String>),
}

/// The steps under a heading, each with its line in the page.
pub fn steps(page: &str, heading: &str) -> Result<Vec<(usize, Step)>, String> {
    let (mut out, mut inside, mut level) = (Vec::new(), false, 0);
    let mut lines = page.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            let indent = line.len() - line.trim_start().len();
            let mut body = String::new();
            for (_, line) in lines.by_ref() {
                if line.trim_start().starts_with("```") {
                    break;
                }
                // In a list, a block is indented as a whole.
                body += line.get(indent.min(line.len() - line.trim_start().len())..).unwrap_or(line);
                body.push('\n');
            }
            if inside && let Some(step) = step(info, body).map_err(|e| format!("line {}: {e}", index + 1))? {
                out.push((index + 1, step));
            }
        } else if line.starts_with('#') {
            let depth = line.chars().take_while(|c| *c == '#').count();
            if line.trim_start_matches('#').trim() == heading {
                (inside, level) = (true, depth);
            } else if depth <= level {
                inside = false;
            }
        }
    }
    if out.is_empty() { Err(format!("there is nothing to follow under '{heading}'")) } else { Ok(out) }
}

fn step(info: &str, body: String) -> Result<Option<Step>, String> {
    let words: Vec<&str> = info.split(',').map(str::trim).collect();
    let file = words.iter().find_map(|w| w.strip_prefix("file="));
    Ok(match (words[0], file) {
        ("diff", Some(file)) => {
            let (mut old, mut new) = (String::new(), String::new());
            for line in body.lines() {
                let (mark, text) = line.split_at_checked(1).unwrap_or((" ", ""));
                let text = format!("{text}\n");
                match mark {
                    " " => (old += &text, new += &text).1,
                    "-" => old += &text,
                    "+" => new += &text,
                    _ => return Err(format!("'{line}' begins with neither a space nor '-' nor '+'")),
                }
            }
            if old.is_empty() {
                return Err("the change has no line by which its place could be found".into());
            }
            Some(Step::Change(file.into(), old, new))
        }
        (_, Some(file)) => Some(Step::Write(file.into(), body)),
        ("sh", None) if words.contains(&"run") => Some(Step::Run(body)),
        ("text", None) if words.contains(&"expect") => {
            Some(Step::Expect(body.lines().map(squeezed).filter(|l| !l.is_empty()).collect()))
        }
        _ => None,
    })
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first of the expected lines that did not come in its turn.
fn missing<'e>(said: &str, expected: &'e [String]) -> Option<&'e str> {
    let mut said = said.lines().map(squeezed);
    expected
        .iter()
        .filter(|e| *e != "...")
        .find(|e| !said.any(|line| line.contains(e.as_str())))
        .map(String::as_str)
}

/// Does the steps in that folder.
pub fn follow(page_path: &str, heading: &str, folder: &Path) -> Result<usize, String> {
    let page = std::fs::read_to_string(page_path).map_err(|e| format!("{page_path}: {e}"))?;
    let steps = steps(&page, heading).map_err(|e| format!("{page_path}: {e}"))?;
    let mut said = String::new();
    for (line, step) in &steps {
        let failed = |why: String| format!("{page_path}:{line}: {why}");
        match step {
            Step::Write(file, text) => {
                let path = folder.join(file);
                let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                made.and_then(|()| std::fs::write(&path, text))
                    .map_err(|e| failed(format!("{file}: {e}")))?;
            }
            Step::Change(file, old, new) => {
                let path = folder.join(file);
                let text = std::fs::read_to_string(&path).map_err(|e| failed(format!("{file}: {e}")))?;
                // Whole lines: what ends like one is another.
                let whole = |at: &usize| *at == 0 || text.as_bytes()[*at - 1] == b'\n';
                let places: Vec<usize> =
                    text.match_indices(old.as_str()).map(|m| m.0).filter(whole).collect();
                let [place] = places[..] else {
                    let places = places.len();
                    return Err(failed(format!(
                        "the lines to change stand {places} times in {file}, not once:\n{old}"
                    )));
                };
                let text = format!("{}{new}{}", &text[..place], &text[place + old.len()..]);
                std::fs::write(&path, text).map_err(|e| failed(format!("{file}: {e}")))?;
            }
            Step::Run(commands) => {
                let done = Command::new("bash")
                    .args(["-euo", "pipefail", "-c", commands])
                    .current_dir(folder)
                    .stdin(std::process::Stdio::null())
                    .output()
                    .map_err(|e| failed(format!("bash cannot be started: {e}")))?;
                said = String::from_utf8_lossy(&done.stdout).into_owned();
                let errors = String::from_utf8_lossy(&done.stderr);
                if !done.status.success() {
                    return Err(failed(format!("{}: {commands}{said}{errors}", done.status)));
                }
                said += &errors;
            }
            Step::Expect(lines) => {
                if let Some(line) = missing(&said, lines) {
                    return Err(failed(format!("the page promises '{line}', which did not come:\n{said}")));
                }
            }
        }
    }
    Ok(steps.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n## First\n\n1. Write:\n   ```c,file=a/b.c\n   int x;\n     int y;\n   ```\n2. Change:\n   ```diff,file=list\n    one\n   -two\n   +three\n   ```\n\n\
        ```sh,run\ncat list a/b.c; echo 'b:   7'\n```\n```text\nto read\n```\n### Deeper\n```text,expect\nthree\n...\nb: 7\n```\n## Second\n```sh,run\nfalse\n```\n## Third\nnothing\n";

    fn folder(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("axiom-follow-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn follow_text(page: &str, heading: &str, name: &str) -> Result<usize, String> {
        let folder = folder(name);
        let path = folder.join("page.md");
        std::fs::write(&path, page).unwrap();
        std::fs::write(folder.join("list"), "zero\none\ntwo\nfour\n").unwrap();
        let result = follow(path.to_str().unwrap(), heading, &folder);
        std::fs::remove_dir_all(folder).unwrap();
        result
    }

    #[test]
    fn a_page_is_followed_to_its_end() {
        assert_eq!(
            steps(PAGE, "First").unwrap()[0],
            (6, Step::Write("a/b.c".into(), "int x;\n  int y;\n".into()))
        );
        assert_eq!(follow_text(PAGE, "First", "good"), Ok(4));
    }

    #[test]
    fn what_does_not_come_out_as_promised_is_named_with_its_line() {
        let failed = |page: &str, heading: &str, name| follow_text(page, heading, name).unwrap_err();
        assert!(failed(PAGE, "Second", "run").contains("page.md:30: exit status: 1: false"));
        assert!(failed(PAGE, "Third", "none").ends_with("there is nothing to follow under 'Third'"));
        let other = PAGE.replace("b: 7\n", "b: 8\n");
        assert!(
            failed(&other, "First", "expect")
                .contains("page.md:24: the page promises 'b: 8', which did not come")
        );
        let twice = PAGE.replace("    one\n   -two\n", "   -o\n");
        assert!(
            failed(&twice, "First", "place")
                .contains("page.md:11: the lines to change stand 0 times in list")
        );
        let bad = PAGE.replace("   +three", "   three");
        assert!(failed(&bad, "First", "mark").contains("line 11: 'three' begins with neither"));
    }

    /// The places that a page changes in this tree besides tests and manifests of its own: a new folder is one place.
    fn places(page: &str, heading: &str) -> std::collections::BTreeSet<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let touched = steps(page, heading).unwrap().into_iter().filter_map(|(_, step)| match step {
            Step::Write(file, _) | Step::Change(file, ..) => Some(file),
            Step::Run(_) | Step::Expect(_) => None,
        });
        let counts = |file: &String| {
            let own = file.ends_with(".toml") && file.starts_with("platform/") && !root.join(file).exists();
            !file.contains("/tests/") && !own
        };
        let new_folder = |file: String| {
            let outermost =
                file.match_indices('/').map(|(at, _)| &file[..at]).find(|f| !root.join(f).exists());
            outermost.map(str::to_owned).unwrap_or(file)
        };
        touched.filter(counts).map(new_folder).collect()
    }

    /// The pages are followed word for word by the tests `page-sensor` and `page-server`: these are all the places there are.
    #[test]
    fn a_sensor_is_added_in_three_places_and_a_server_in_two() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/src/adding.md");
        let page = std::fs::read_to_string(page).unwrap();
        let sensor = [
            "drivers/iio/chips/src/lib.rs",
            "drivers/iio/chips/src/tmp101.rs",
            "drivers/iio/server/src/sensors.rs",
        ];
        assert_eq!(places(&page, "A sensor driver").into_iter().collect::<Vec<_>>(), sensor);
        let server = ["platform/qemu-aarch64/system.toml", "servers/newcomer"];
        assert_eq!(places(&page, "A server").into_iter().collect::<Vec<_>>(), server);
    }
}
