//! Says where the root task lies: below the payload. For the rest its image is as every program's (`servers/image.ld`); only for bare metal.
fn main() {
    println!("cargo:rerun-if-changed=../image.ld");
    if std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default() == "none" {
        println!("cargo:rustc-link-arg-bins=--defsym=__image_base=0x400000");
    }
}
