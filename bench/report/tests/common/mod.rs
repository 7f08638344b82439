//! What the tests of the tool have in common.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A whole run's log.
pub const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/report.log");

/// The tool, run.
pub fn tool(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_axiom-bench-report")).args(args).output().expect("the tool starts")
}

/// A folder of a test's own.
pub fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).expect("a folder of the test's own");
    path
}

/// What other systems are known to need, as the recipes give it.
pub fn beside() -> Vec<String> {
    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/");
    let names = ["linux-qemu-aarch64-icount", "linux-qemu-aarch64-tcg", "sel4-fpu-qemu-aarch64-icount"];
    let files = names.into_iter().chain(["sel4-nofpu-qemu-aarch64-icount"]);
    files.flat_map(|f| ["--beside".to_owned(), format!("{results}{f}.jsonl")]).collect()
}
