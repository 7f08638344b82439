//! The saved corpora, and the inputs that other tests keep, on the stable compiler.
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

#[test]
fn nothing_saved_breaks_a_reader() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in axiom_fuzz::TARGETS {
        let mut inputs = files(&here.join("fuzz/corpus").join(name));
        assert!(inputs.len() >= 4, "the corpus of '{name}' has {} inputs", inputs.len());
        match name {
            "object" => inputs.extend(files(&here.join("../../../bpf-server/object/tests/data"))),
            "manifest" => inputs.extend(files(&here.join("../compose/tests/refusals"))),
            _ => {}
        }
        for input in inputs {
            let data = std::fs::read(&input).unwrap();
            if std::panic::catch_unwind(|| target(&data)).is_err() {
                panic!("{name} breaks on {}", input.display());
            }
            // And cut short, anywhere.
            for at in (0..data.len()).step_by(data.len() / 16 + 1) {
                if std::panic::catch_unwind(|| target(&data[..at])).is_err() {
                    panic!("{name} breaks on the first {at} bytes of {}", input.display());
                }
            }
        }
    }
}
