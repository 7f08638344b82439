//! The readers of bytes that others wrote, each as a function that takes any bytes and panics only if the reader is wrong.
//!
//! `fuzz/` beside this crate calls them from libFuzzer (`cargo +nightly fuzz run NAME` in this folder, or by hand as
//! docs/src/adding.md says); `fuzz/corpus/NAME` keeps the inputs that reached something new, and `cargo test` runs them
//! on the stable compiler.
#![forbid(unsafe_code)]

mod program;

pub use program::program;

use axiom_boot::{chosen, memory};
use axiom_bpf_object::Object;
use axiom_fdt::{Fdt, Walk};
use axiom_proto::{Error, bench, bpf, bpf_host, bundle, console, env, gpio, iio, rp1, supervisor, wire};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A target: its name, which is its corpus's folder, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 5] =
    [("object", object), ("program", program), ("message", message), ("tree", tree), ("manifest", manifest)];

/// A BPF object: read, and everything in it asked for.
pub fn object(data: &[u8]) {
    let Ok(object) = Object::parse(data) else { return };
    let _ = object.license();
    for map in object.maps() {
        let _ = object.global(map.name);
    }
    for entry in object.programs() {
        let Ok(program) = object.program(entry) else { continue };
        for at in [0, program.insns.len() / 2, program.insns.len(), usize::MAX] {
            let _ = (object.line(&program, at), object.function(&program, at));
        }
    }
}

/// What decodes is written and read again, and is the same.
fn again<'a, T: Deserialize<'a> + Serialize + PartialEq + Debug>(data: &'a [u8]) {
    let Ok(value) = wire::decode::<T>(data) else { return };
    let mut bytes = [0; wire::MAX_WORDS * 8];
    // A message may hold more than its shortest form needs, never less.
    let words = wire::encode(&value, &mut bytes).expect("what came in a message fits a message");
    let length = u16::from_le_bytes([bytes[0], bytes[1]]) as usize;
    assert!(length <= words * 8 - 2);
    // The borrow of `bytes` may be shorter than 'a: compare the forms instead of the values.
    let mut twice = [0; wire::MAX_WORDS * 8];
    assert_eq!(wire::encode(&value, &mut twice), Ok(words));
    assert_eq!(bytes, twice);
}

/// A message, as every interface would read it.
pub fn message(data: &[u8]) {
    let data = &data[..data.len().min(wire::MAX_WORDS * 8)];
    again::<bpf::Request>(data);
    again::<bpf::Reply>(data);
    again::<bpf_host::Request>(data);
    again::<bpf_host::Reply>(data);
    again::<gpio::Request>(data);
    again::<iio::Request>(data);
    again::<rp1::Request>(data);
    again::<supervisor::Request>(data);
    again::<supervisor::Reply>(data);
    again::<console::Request>(data);
    again::<bench::Request>(data);
    again::<Error>(data);
    let _ = wire::decode_plain::<bundle::System>(data);
    let _ = wire::decode_plain::<env::Env>(data);
}

/// A device tree, as the kernel and init walk it.
pub fn tree(data: &[u8]) {
    let _ = axiom_fdt::stated_size(data);
    let Ok(tree) = Fdt::new(data) else { return };
    let _ = (tree.bytes().len(), tree.used(), tree.size());
    let _ = tree.reservations().take(64).count();
    let mut path = String::new();
    // A damaged tree is an error of the walk.
    let _ = tree.walk(|node| {
        path.clear();
        let _ = node.write_path(&mut path);
        for index in 0..3 {
            let _ =
                (node.reg(index), node.window(index), node.pin_interrupt(index), node.gic_interrupt(index));
        }
        let _ =
            (node.u32("#address-cells"), node.u64("reg"), node.text("compatible"), node.interrupt_parent());
        let _ = (node.is_compatible("arm,pl011"), node.is_enabled(), node.ancestor(1), node.is_at("/chosen"));
        Walk::On
    });
    let _ = (tree.at_path("/chosen").is_some(), tree.compatible(axiom_fdt::kernels::GIC_V3).is_some());
    // What the kernel decides from it, and says when it refuses.
    let said = |refusal: axiom_boot::Refusal| refusal.to_string();
    let _ = (chosen::console(&tree), chosen::initrd(&tree).map_err(said));
    if let Ok(mut ram) = memory::ram(&tree) {
        let _ = memory::reserved(&tree, |start, end, _| ram.remove(start, end)).map_err(said);
    }
}

/// A manifest: composed or refused.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Other files are read where it names them: not here.
    if text.contains("extends") || text.len() > 1 << 16 {
        return;
    }
    let name = format!("axiom-fuzz-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    if std::fs::write(&path, text).is_err() {
        return;
    }
    let options = axiom_compose::Options {
        manifest: path.clone(),
        images: Vec::new(),
        blobs: Vec::new(),
        init: "axiom-init".into(),
    };
    let result = axiom_compose::compose(&options);
    let _ = std::fs::remove_file(&path);
    // There are no images here, so every manifest is refused, and every refusal is a sentence.
    for diagnostic in result.err().expect("composed from nothing") {
        assert!(!diagnostic.to_string().is_empty());
    }
}
