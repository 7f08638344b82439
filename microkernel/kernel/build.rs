//! Hands the linker script to the linker; only for bare metal.
fn main() {
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let architecture = of("CARGO_CFG_TARGET_ARCH");
    println!("cargo:rerun-if-changed=src/arch/{architecture}/kernel.ld");
    if of("CARGO_CFG_TARGET_OS") == "none" {
        let dir = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets the manifest directory");
        println!("cargo:rustc-link-arg-bins=-T{dir}/src/arch/{architecture}/kernel.ld");
        println!("cargo:rustc-link-arg-bins=--no-dynamic-linker");
        println!("cargo:rustc-link-arg-bins=-static");
        println!("cargo:rustc-link-arg-bins=-znorelro");
    }
}
