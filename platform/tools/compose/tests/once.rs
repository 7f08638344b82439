//! What stands in one place stands nowhere else: the devices that the kernel keeps, the addresses of servers, and the makers of badges and
//! notification bits. The sources are searched.
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").canonicalize().unwrap()
}

/// Sources below a folder of the repository, tests aside: the path from its root, and the text up to a module of tests.
fn sources(below: &str) -> Vec<(String, String)> {
    let root = root();
    let (mut folders, mut found) = (vec![root.join(below)], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let tests = name == "tests" || name == "tests.rs";
            if path.is_dir() && !tests && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if !tests && (name.ends_with(".rs") || name.ends_with(".ld") || name.ends_with(".toml")) {
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned();
                found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 5, "{below}: are the sources there?");
    found
}

/// The kernel looks for its devices by the list that compose refuses them by. A second list would begin like the first.
#[test]
fn the_kernels_devices_stand_in_one_list() {
    const LIST: &str = "microkernel/fdt/src/kernels.rs";
    let names: Vec<&str> = axiom_fdt::kernels::ALL.iter().flat_map(|list| list.iter().copied()).collect();
    let is_listed = |text: &str| {
        let beginning = |name: &str| name.rsplit_once('-').map_or(name, |(family, _)| family).to_owned();
        names.iter().any(|name| text.contains(&format!("\"{}", beginning(name))))
    };
    let (mut seen, mut kernel) = (Vec::new(), false);
    for folder in ["microkernel", "servers", "drivers", "platform/tools"] {
        for (path, text) in sources(folder) {
            if path.ends_with(".rs") && is_listed(&text) {
                seen.push(path.clone());
            }
            kernel |= path.contains("kernel/src/arch/aarch64") && text.contains("kernels::GIC_V2");
        }
    }
    assert_eq!(seen, [LIST], "a second list of the kernel's devices");
    assert!(kernel, "the kernel looks for its devices by the list");
    assert!(is_listed("node.compatible(&[\"arm,gic-400\"])") && !is_listed("say(\"no arm,gic-400\")"));
}

/// The numbers of a text, as they are written there, without the lines of comments.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let words = lines.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    words.filter_map(|word| u64::from_str_radix(&word.strip_prefix("0x")?.replace('_', ""), 16).ok())
}

/// An address of the layout that somebody writes again. Three are: in the linker's script and by init's build script where images begin,
/// which compose refuses outside of their windows, and of masks and chips' numbers those that happen to be equal.
#[test]
fn addresses_of_servers_are_written_once() {
    const LAYOUT: &str = "servers/layout/src/address.rs";
    /// A number that means something else there.
    const OTHERS: [(&str, u64); 4] = [
        ("servers/image.ld", 0x20_0000),
        ("servers/init/build.rs", 0x40_0000),
        // A pressure's fraction of 2^21, in the data sheet's formula.
        ("drivers/iio/chips/src/bme280.rs", 0x20_0000),
        // A bar of a function that lies.
        ("drivers/bus/pci/src/hostile.rs", 0x1000_0000),
    ];
    let all: Vec<(String, String)> =
        ["servers", "drivers", "bpf-server/src", "bpf-server/host/src", "platform/tools/compose/src"]
            .into_iter()
            .flat_map(sources)
            .collect();
    let layout = &all.iter().find(|(path, _)| path == LAYOUT).unwrap().1;
    let addresses: Vec<u64> = numbers(layout).filter(|n| *n >= 0x10_0000).collect();
    assert!(addresses.len() >= 14, "{addresses:x?}");
    let mut twice = Vec::new();
    for (path, text) in all.iter().filter(|(path, _)| path != LAYOUT) {
        twice.extend(numbers(text).filter(|n| addresses.contains(n)).map(|n| (path.as_str(), n)));
    }
    twice.retain(|found| !OTHERS.contains(found));
    assert!(twice.is_empty(), "{twice:x?}");
}

/// Badges and notification bits are made by the layout: nobody else writes a number into one.
#[test]
fn badges_and_bits_are_made_in_one_crate() {
    let makers = ["Badge(", "Bit(", "Signals(", "ClientBadge("];
    let written = |line: &str, maker: &str| {
        let mut parts = line.split(maker).skip(1);
        parts.any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let mut found = Vec::new();
    for (path, text) in ["servers", "drivers", "bpf-server"].into_iter().flat_map(sources) {
        if path.starts_with("servers/layout/") || !path.ends_with(".rs") {
            continue;
        }
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| makers.iter().any(|maker| written(line, maker))) {
            found.push(format!("{path}: {}", line.trim()));
        }
    }
    // What a call that never came is answered with: no badge of anybody's.
    found.retain(|line| !line.contains("Received { info: MessageInfo(0), badge: Badge(0)"));
    assert!(found.is_empty(), "{found:#?}");
    assert!(written("mint(Badge(1 << 32))", "Badge(") && !written("mint(Badge(bit.badge()))", "Badge("));
}
