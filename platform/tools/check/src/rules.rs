//! The layers, who may depend on whom, and the check itself.
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a crate stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layer {
    /// The layout of the kernel's trace: `axiom-trace`.
    Trace,
    /// The kernel's interface: `sel4-sys`.
    Abi,
    /// The kernel's rules, host-testable.
    Objects,
    /// The kernel.
    Kernel,
    /// Root tasks that test the kernel: they see its interface and nothing else.
    RootTest,
    /// Message types.
    Proto,
    /// What every server links.
    Runtime,
    /// Pure code that knows neither kernel nor messages: chip drivers, BPF's parts, the device-tree reader.
    Library,
    /// Pure code that also speaks messages.
    ServiceLibrary,
    /// A chip driver: a library that fills its device class's traits.
    Chip,
    /// What several servers share, built on the runtime.
    ServerLibrary,
    /// The heap of servers that have one.
    Heap,
    /// A server.
    Server,
    /// A server on which others wait in real time: it has no heap.
    SteadyServer,
    /// What stands in for the kernel where servers are tested on the developer's machine.
    FakeKernel,
    /// A tool that runs on the developer's machine.
    HostTool,
}
use Layer::*;

impl Layer {
    /// What a crate of this layer may use, from the workspace.
    fn may_use(self) -> &'static [Layer] {
        match self {
            Trace => &[],
            Abi => &[Trace],
            Proto => &[Library],
            Objects => &[Abi],
            Kernel => &[Abi, Objects, Library],
            RootTest => &[Abi, Library, RootTest],
            Library => &[Library, Trace],
            ServiceLibrary => &[Library, ServiceLibrary, Proto],
            Runtime => &[Abi, Proto, Library],
            Chip => &[Library, ServiceLibrary],
            ServerLibrary => &[Abi, Proto, Library, ServiceLibrary, Runtime],
            Heap => &[Library, Runtime],
            SteadyServer => &[Abi, Proto, Library, Chip, ServiceLibrary, Runtime, ServerLibrary],
            Server => &[Abi, Proto, Library, Chip, ServiceLibrary, Runtime, ServerLibrary, Heap],
            FakeKernel => &[Abi, Proto, Library, Runtime],
            HostTool => &[Proto, Library, ServiceLibrary, HostTool, Trace],
        }
    }

    /// The rule, for whoever broke it.
    fn rule(self) -> &'static str {
        match self {
            Trace => "the trace's layout is numbers for everybody and uses no other crate",
            Abi => "sel4-sys is the interface alone: it uses the trace's layout and no other crate",
            Objects => {
                "objects sees the kernel's interface (sel4-sys) and nothing else, so that it runs on the host"
            }
            Kernel => {
                "the kernel meets user space only in sel4-sys: it uses sel4-sys, objects and pure libraries"
            }
            RootTest => {
                "a test root task sees the kernel's interface (sel4-sys), pure libraries and other test root tasks, no runtime"
            }
            Proto => "proto is message types: it knows neither the kernel nor the runtime",
            Library => {
                "a library is pure code: bus or bytes in, results out; it knows neither kernel, runtime nor messages"
            }
            ServiceLibrary => {
                "a service library speaks messages (proto) but knows neither kernel nor runtime, so that it runs on the host"
            }
            Chip => {
                "a chip driver takes a bus in and gives numbers out: it sees libraries and its class's core, never messages, runtime or kernel"
            }
            ServerLibrary => {
                "what servers share is built on the runtime; it never sees the kernel's insides, a tool or a server"
            }
            Runtime => "the runtime is built on sel4-sys and proto; it never sees the kernel or a server",
            Heap => "the heap is built on the runtime",
            SteadyServer => {
                "a server that serves samples, timers, lines, the console, the watchdog or RP1 is built on the runtime without a heap; it \
                 never sees the kernel's insides, a tool or another server"
            }
            Server => {
                "a server is built on the runtime; it never sees the kernel's insides, a tool or another server"
            }
            FakeKernel => {
                "what stands in for the kernel knows its interface and the runtime, and no server that runs on it"
            }
            HostTool => "a host tool decodes proto and uses libraries; it never links kernel or runtime",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Trace => "trace layout",
            Abi => "interface",
            Objects => "objects",
            Kernel => "kernel",
            RootTest => "test root task",
            Proto => "proto",
            Runtime => "runtime",
            Library => "library",
            ServiceLibrary => "service library",
            Chip => "chip driver",
            ServerLibrary => "server library",
            Heap => "heap",
            Server => "server",
            SteadyServer => "server without a heap",
            FakeKernel => "stand-in for the kernel",
            HostTool => "host tool",
        }
    }
}

/// Folder -> layer; the first match wins, so longer paths stand first.
const LAYERS: &[(&str, Layer)] = &[
    ("microkernel/trace", Trace),
    ("microkernel/sel4-sys", Abi),
    ("microkernel/objects", Objects),
    ("microkernel/fdt", Library),
    ("microkernel/boot", Library),
    ("microkernel/kernel", Kernel),
    ("microkernel/tests/", RootTest),
    ("servers/layout", Library),
    ("servers/proto", Proto),
    ("servers/runtime", Runtime),
    ("servers/heap", Heap),
    ("servers/fake-kernel", FakeKernel),
    ("servers/console", SteadyServer),
    ("servers/", Server),
    ("drivers/iio/server", SteadyServer),
    ("drivers/timer", SteadyServer),
    ("drivers/gpio/server", SteadyServer),
    ("drivers/bus/dw-spi/selftest", Server),
    ("drivers/rp1/server", SteadyServer),
    ("drivers/watchdog/server", SteadyServer),
    ("drivers/rp1/client", ServerLibrary),
    ("drivers/iio/client", ServerLibrary),
    ("drivers/rp1", ServiceLibrary),
    ("drivers/gpio", ServiceLibrary),
    ("drivers/iio", ServiceLibrary),
    ("drivers/", Library),
    ("bpf-server/host", ServerLibrary),
    ("bpf-server/client", ServerLibrary),
    ("bpf-server/tool", HostTool),
    ("bpf-server/", Library),
    ("bpf-server", Server),
    ("bench/server", Server),
    ("bench/metrics", Library),
    ("bench/", HostTool),
    ("platform/bcm2712-pac", Library),
    ("platform/hpet-rs", Library),
    ("platform/mmio", Library),
    ("platform/", HostTool),
];
/// Chip drivers lie below their class's core.
const CHIPS: [&str; 3] = ["drivers/iio/", "drivers/gpio/", "drivers/pwm/"];

/// The layer of a crate in that folder of the workspace.
pub fn layer(folder: &str) -> Option<Layer> {
    if CHIPS.iter().any(|c| folder.strip_prefix(c).is_some_and(|rest| !matches!(rest, "server" | "client"))) {
        return Some(Chip);
    }
    LAYERS.iter().find(|(prefix, _)| folder.starts_with(prefix)).map(|(_, layer)| *layer)
}

/// What foreign crates a layer may use; `None` is no limit.
fn foreign(layer: Layer) -> Option<&'static [&'static str]> {
    match layer {
        Trace | Abi | Objects | Kernel => Some(&[]),
        Proto => Some(&["serde", "postcard", "heapless"]),
        _ => None,
    }
}

/// Reads `cargo metadata --no-deps` and says what is wrong, a sentence each; and how many dependencies it looked at.
pub fn check(metadata: &Value) -> Result<(usize, Vec<String>), String> {
    let missing = |what: &str| format!("the output of cargo metadata has no {what}: is this cargo's JSON?");
    let root = metadata["workspace_root"].as_str().ok_or_else(|| missing("workspace_root"))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| missing("packages"))?;
    let folder_of = |path: &str| path.strip_prefix(root).map(|p| p.trim_start_matches('/').to_owned());
    let mut layers: BTreeMap<String, Layer> = BTreeMap::new();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().ok_or_else(|| missing("package name"))?;
        let manifest = package["manifest_path"].as_str().ok_or_else(|| missing("manifest_path"))?;
        let folder = folder_of(manifest.trim_end_matches("/Cargo.toml"))
            .ok_or_else(|| format!("crate {name} lies outside the workspace, at {manifest}"))?;
        match layer(&folder) {
            Some(layer) => drop(layers.insert(name.to_owned(), layer)),
            None => wrong.push(format!(
                "{folder}/Cargo.toml: crate {name} is in no layer: put it below microkernel, servers, drivers, bpf-server, bench or platform, \
                 or name its folder in platform/tools/check/src/rules.rs"
            )),
        }
    }
    let mut seen = 0;
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(&from) = layers.get(name) else { continue };
        let manifest = folder_of(package["manifest_path"].as_str().unwrap_or_default()).unwrap_or_default();
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may use anything: they are not linked into what runs.
            if dependency["kind"].as_str() == Some("dev") {
                continue;
            }
            let Some(to_name) = dependency["name"].as_str() else { continue };
            seen += 1;
            match layers.get(to_name) {
                Some(to) if from.may_use().contains(to) => {}
                Some(to) => wrong.push(format!(
                    "{manifest}: {name} ({}) depends on {to_name} ({}). Rule: {}.",
                    from.name(),
                    to.name(),
                    from.rule()
                )),
                None => {
                    let build = dependency["kind"].as_str() == Some("build");
                    if let Some(allowed) = foreign(from)
                        && !build
                        && !allowed.contains(&to_name)
                    {
                        let list = if allowed.is_empty() { "none".into() } else { allowed.join(" and ") };
                        wrong.push(format!(
                            "{manifest}: {name} ({}) depends on {to_name} from outside the workspace. Rule: foreign crates here: {list}.",
                            from.name()
                        ));
                    }
                }
            }
        }
    }
    Ok((seen, wrong))
}
