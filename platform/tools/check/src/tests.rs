//! Each rule with the smallest workspace that breaks it.
use crate::rules::{Layer, check, layer};
use serde_json::{Value, json};

/// A workspace: (folder, crate, its dependencies as `name` or `dev:name`).
fn workspace(crates: &[(&str, &str, &[&str])]) -> Value {
    let packages: Vec<Value> = crates
        .iter()
        .map(|(folder, name, dependencies)| {
            let dependencies: Vec<Value> = dependencies
                .iter()
                .map(|d| match d.split_once(':') {
                    Some((kind, name)) => json!({"name": name, "kind": kind}),
                    None => json!({"name": d, "kind": null}),
                })
                .collect();
            json!({"name": name, "manifest_path": format!("/w/{folder}/Cargo.toml"), "dependencies": dependencies})
        })
        .collect();
    json!({"workspace_root": "/w", "packages": packages})
}

/// The whole permitted shape.
const GOOD: &[(&str, &str, &[&str])] = &[
    ("microkernel/trace", "axiom-trace", &[]),
    ("microkernel/sel4-sys", "sel4-sys", &["axiom-trace"]),
    ("microkernel/objects", "axiom-objects", &["sel4-sys", "dev:proptest"]),
    ("microkernel/fdt", "axiom-fdt", &[]),
    ("microkernel/boot", "axiom-boot", &["axiom-fdt"]),
    ("microkernel/kernel", "axiom-kernel", &["sel4-sys", "axiom-objects", "axiom-fdt", "axiom-boot"]),
    ("servers/proto", "axiom-proto", &["serde", "postcard"]),
    ("servers/runtime", "axiom-runtime", &["sel4-sys", "axiom-proto"]),
    ("servers/heap", "axiom-heap", &["axiom-runtime"]),
    ("servers/demo", "axiom-demo", &["axiom-runtime", "axiom-heap"]),
    ("servers/console", "axiom-console", &["axiom-runtime", "axiom-proto"]),
    ("drivers/iio", "axiom-iio", &["axiom-proto", "heapless"]),
    ("drivers/iio/chips", "axiom-chips", &["embedded-hal"]),
    ("drivers/iio/server", "axiom-iio-server", &["axiom-runtime", "axiom-iio", "axiom-chips"]),
    ("platform/tools/compose", "axiom-compose", &["axiom-proto", "object"]),
];

/// `GOOD` with one more dependency of `who`.
fn with(who: &str, dependency: &str) -> Vec<String> {
    let mut lists: Vec<(&str, &str, Vec<&str>)> = GOOD.iter().map(|(f, n, d)| (*f, *n, d.to_vec())).collect();
    lists.iter_mut().find(|(_, name, _)| *name == who).expect("a crate of GOOD").2.push(dependency);
    let crates: Vec<_> = lists.iter().map(|(f, n, d)| (*f, *n, d.as_slice())).collect();
    check(&workspace(&crates)).unwrap().1
}

#[test]
fn the_permitted_shape_passes() {
    let (seen, wrong) = check(&workspace(GOOD)).unwrap();
    assert_eq!((seen, wrong), (24, vec![]));
}

#[test]
fn the_kernel_never_meets_the_runtime() {
    assert_eq!(
        with("axiom-kernel", "axiom-runtime"),
        [
            "microkernel/kernel/Cargo.toml: axiom-kernel (kernel) depends on axiom-runtime (runtime). Rule: the kernel meets user space \
          only in sel4-sys: it uses sel4-sys, objects and pure libraries."
        ]
    );
    assert!(
        with("axiom-runtime", "axiom-kernel")[0]
            .contains("axiom-runtime (runtime) depends on axiom-kernel (kernel)")
    );
    assert!(with("axiom-runtime", "axiom-objects")[0].contains("it never sees the kernel or a server"));
}

#[test]
fn each_layer_is_kept() {
    for (who, dependency, rule) in [
        ("sel4-sys", "axiom-objects", "and no other crate"),
        ("axiom-trace", "sel4-sys", "uses no other crate"),
        ("axiom-objects", "axiom-kernel", "sees the kernel's interface (sel4-sys) and nothing else"),
        ("axiom-proto", "sel4-sys", "knows neither the kernel nor the runtime"),
        ("axiom-chips", "axiom-runtime", "a chip driver takes a bus in"),
        ("axiom-chips", "axiom-proto", "a chip driver takes a bus in"),
        ("axiom-iio", "sel4-sys", "knows neither kernel nor runtime"),
        ("axiom-console", "axiom-iio-server", "never sees the kernel's insides, a tool or another server"),
        ("axiom-console", "axiom-heap", "is built on the runtime without a heap"),
        ("axiom-iio-server", "axiom-heap", "is built on the runtime without a heap"),
        ("axiom-compose", "axiom-runtime", "never links kernel or runtime"),
    ] {
        let wrong = with(who, dependency);
        assert_eq!(wrong.len(), 1, "{who} -> {dependency}");
        assert!(wrong[0].contains(rule), "{who} -> {dependency}: {}", wrong[0]);
    }
}

#[test]
fn the_kernel_and_the_interface_use_no_foreign_crate() {
    assert_eq!(
        with("axiom-kernel", "spin"),
        [
            "microkernel/kernel/Cargo.toml: axiom-kernel (kernel) depends on spin from outside the workspace. Rule: foreign crates here: none."
        ]
    );
    assert!(
        with("axiom-proto", "log")[0]
            .ends_with("Rule: foreign crates here: serde and postcard and heapless.")
    );
}

#[test]
fn tests_may_use_anything() {
    assert!(with("sel4-sys", "dev:axiom-runtime").is_empty());
}

#[test]
fn a_crate_in_no_layer_is_named() {
    let (_, wrong) = check(&workspace(&[("extras/thing", "thing", &[])])).unwrap();
    assert!(wrong[0].starts_with("extras/thing/Cargo.toml: crate thing is in no layer"));
}

#[test]
fn folders_find_their_layer() {
    for (folder, expected) in [
        ("bpf-server", Layer::Server),
        ("bpf-server/jit", Layer::Library),
        ("bpf-server/host", Layer::ServerLibrary),
        ("drivers/bus/virtio-i2c", Layer::Library),
        ("drivers/iio/chips", Layer::Chip),
        ("drivers/iio/server", Layer::SteadyServer),
        ("servers/heap", Layer::Heap),
        ("servers/hostile", Layer::Server),
        ("microkernel/tests/root", Layer::RootTest),
    ] {
        assert_eq!(layer(folder), Some(expected), "{folder}");
    }
}

#[test]
fn what_is_not_cargos_output_is_said() {
    assert_eq!(
        check(&json!({})).unwrap_err(),
        "the output of cargo metadata has no workspace_root: is this cargo's JSON?"
    );
}

/// The circle in a crate of these files.
fn circle(files: &[(&str, &str)]) -> Option<String> {
    let files: Vec<_> = files.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
    crate::circles::circle(&files).map(|way| way.join(" -> "))
}

#[test]
fn files_in_layers_have_no_circle() {
    let files = [
        ("lib.rs", "mod low; mod high; mod part; pub use high::Thing;"),
        (
            "low.rs",
            "/// See [`crate::high`].\npub struct Low; // crate::high\n const S: &str = \"crate::high\";",
        ),
        ("high.rs", "use crate::{low::Low, part::{self, inner}}; fn f() { part::inner::g(inner::g) }"),
        ("part/mod.rs", "pub mod inner; mod other;"),
        ("part/inner.rs", "use super::other; pub fn g() {}"),
        ("part/other.rs", "use crate::low;"),
    ];
    assert_eq!(circle(&files), None);
}

#[test]
fn a_circle_of_files_is_named_however_it_is_written() {
    let two = |a: &str, b: &str| circle(&[("main.rs", "mod a; mod b;"), ("a.rs", a), ("b.rs", b)]);
    let way = Some("a.rs -> b.rs -> a.rs".to_owned());
    assert_eq!(two("use crate::b;", "use crate::a;"), way);
    assert_eq!(two("use crate::{b::{self, X}};", "fn f() { crate::a::g() }"), way);
    assert_eq!(two("use super::b::X;", "use super::a as c;"), way);
    assert_eq!(two("use crate::b;", "#[cfg(test)] mod tests { use crate::a; }"), None);
    assert_eq!(two("use crate::b;", "#[cfg(test)] mod tests { use crate::a; } use crate::a::X;"), way);
    // A root's item, which stands in another file.
    let root = [("lib.rs", "pub mod a; pub use a::X;"), ("a.rs", "use crate::X;")];
    assert_eq!(circle(&root).as_deref(), Some("lib.rs -> a.rs -> lib.rs"));
    // A module and its parts.
    let parts = [("lib.rs", "mod p;"), ("p/mod.rs", "mod q; fn f() { q::g() }"), ("p/q.rs", "use super::f;")];
    assert_eq!(circle(&parts).as_deref(), Some("p/mod.rs -> p/q.rs -> p/mod.rs"));
    // Through a module that passes another's items on, and through an imported module.
    let glob = [
        ("main.rs", "mod arch; mod print;"),
        ("arch/mod.rs", "mod a64; pub use a64::*;"),
        ("arch/a64/mod.rs", "pub mod uart; pub mod cpu;"),
        ("arch/a64/uart.rs", "use crate::print;"),
        ("arch/a64/cpu.rs", ""),
        ("print.rs", "use crate::arch; fn f() { arch::uart::put() }"),
    ];
    assert_eq!(circle(&glob).as_deref(), Some("arch/a64/uart.rs -> print.rs -> arch/a64/uart.rs"));
}

/// The kernel's crates, as its page lists them.
#[test]
fn the_kernels_page_names_each_of_its_crates() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../microkernel");
    let page = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("Cargo.toml").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| !page.contains(&format!("\n| `{name}/` |")));
    assert_eq!(names, Vec::<String>::new());
}
