//! What stands in one place, and what may not come back elsewhere: access to devices' registers, and bits of notifications.
//!
//! A line of the servers, the drivers or bpf-server that does by itself what a crate does for everybody is named, with that crate. Tests
//! and comments do not count. Whoever has a reason is in [`RULES`], with the reason.
use std::path::Path;

/// A rule.
struct Single {
    /// What a line says that breaks it, one of these.
    signs: &'static [&'static str],
    /// Files that may, and why.
    may: &'static [(&'static str, &'static str)],
    /// Where it stands instead.
    rule: &'static str,
}

/// The folders that are looked at.
const FOLDERS: [&str; 3] = ["servers", "drivers", "bpf-server/src"];

const RULES: [Single; 2] = [
    Single {
        signs: &["read_volatile(", "write_volatile(", "read_volatile::<", "write_volatile::<"],
        may: &[
            ("drivers/bus/virtio/src/queue.rs", "memory that the device writes, too"),
            ("servers/gpio-demo/src/latency.rs", "the trace ring, which the kernel writes"),
            ("servers/hostile/src/host.rs", "machine code that it wants to run"),
        ],
        rule: "registers of devices are read and written by axiom-mmio (Block, Register), through the runtime's `registers`",
    },
    Single {
        signs: &["1 << 63", "1 << 62", "0x8000_0000_0000_0000", "0x4000_0000_0000_0000"],
        may: &[("servers/layout/src/bits.rs", "where they stand")],
        rule: "marks and bits of notifications are axiom-layout's: Bit, Bits, Signals, Badge",
    },
];

/// Lines of one file that break a rule.
fn lines(file: &str, text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    // Tests of a file stand at its end.
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for single in &RULES {
            let broken = single.signs.iter().find(|sign| line.contains(**sign));
            if let Some(sign) = broken.filter(|_| single.may.iter().all(|(may, _)| *may != file)) {
                wrong.push(format!("{file}:{}: `{sign}`. Rule: {}", number + 1, single.rule));
            }
        }
    }
    wrong
}

fn walk(root: &Path, folder: &Path, seen: &mut usize, wrong: &mut Vec<String>) -> Result<(), String> {
    let read = std::fs::read_dir(folder).map_err(|e| format!("{}: cannot be read: {e}", folder.display()))?;
    for entry in read {
        let path = entry.map_err(|e| format!("{}: cannot be read: {e}", folder.display()))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            if name != "target" && name != "tests" {
                walk(root, &path, seen, wrong)?;
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path)
                .map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
            *seen += 1;
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            wrong.extend(lines(&file, &text));
        }
    }
    Ok(())
}

/// Looks at all of them: how many files, and what is wrong.
pub fn check(root: &Path) -> Result<(usize, Vec<String>), String> {
    let (mut seen, mut wrong) = (0, Vec::new());
    for folder in FOLDERS {
        walk(root, &root.join(folder), &mut seen, &mut wrong)?;
    }
    for (file, _) in RULES.iter().flat_map(|single| single.may) {
        if !root.join(file).exists() {
            wrong.push(format!(
                "{file} may break a rule, and is not there: take it out of axiom-check's module single"
            ));
        }
    }
    wrong.sort();
    Ok((seen, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_that_touches_registers_itself_is_named() {
        let text =
            "//! read_volatile(\nfn f(at: *const u32) -> u32 {\n    unsafe { at.read_volatile() }\n}\n";
        let wrong = lines("drivers/new/src/lib.rs", text);
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].starts_with("drivers/new/src/lib.rs:3: `read_volatile(`"), "{wrong:?}");
        assert!(lines("drivers/bus/virtio/src/queue.rs", text).is_empty());
    }

    #[test]
    fn a_second_mark_of_signals_is_named_and_one_in_tests_is_not() {
        let wrong = lines(
            "servers/x/src/main.rs",
            "const MARK: u64 = 1 << 63;\n#[cfg(test)]\nmod tests {\n    1 << 63\n}\n",
        );
        assert_eq!(wrong.len(), 1);
        assert!(wrong[0].contains("axiom-layout"), "{wrong:?}");
    }

    #[test]
    fn the_tree_keeps_the_rules() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let (seen, wrong) = check(&root).unwrap();
        assert!(seen > 80, "{seen}");
        assert_eq!(wrong, Vec::<String>::new());
    }
}
