//! Hands the linker script to the linker; only for bare metal.
fn main() {
    println!("cargo:rerun-if-changed=init.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default() == "none" {
        let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
        println!("cargo:rustc-link-arg-bins=-T{dir}/init.ld");
        println!("cargo:rustc-link-arg-bins=-znorelro");
    }
}
