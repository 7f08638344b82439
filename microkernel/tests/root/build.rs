//! Records what the figures were taken with: commit (from `platform/tools/axiom-cargo`) and compiler.
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=AXIOM_COMMIT");
    println!("cargo:rerun-if-env-changed=RUSTC");
    let commit = std::env::var("AXIOM_COMMIT").unwrap_or_else(|_| "unknown".into());
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let compiler = Command::new(rustc).arg("--version").output().ok().filter(|out| out.status.success());
    let compiler = compiler.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
    println!("cargo:rustc-env=AXIOM_COMMIT={commit}");
    println!("cargo:rustc-env=AXIOM_COMPILER={}", compiler.unwrap_or_else(|| "unknown".into()));
}
