//! Who may reach what: every object, capability, mapping and interrupt of every server, as Markdown and as JSON.
use crate::Composed;
use crate::pins::Outputs;
use axiom_proto::bundle::{Restart, Server};
use axiom_proto::gpio::{Grants, Line};
use axiom_proto::{bpf_host, env, iio};
use serde_json::{Value, json};
use std::fmt::Write;

/// One line of a table: what, which rights, why.
struct Row(String, String, String);

fn row(what: impl Into<String>, rights: &str, why: impl Into<String>) -> Row {
    Row(what.into(), rights.into(), why.into())
}

fn objects(s: &Server) -> Vec<Row> {
    let mut rows = vec![
        row("VSpace", "1", "its address space"),
        row("CNode", "1", "its capabilities, 1024 slots"),
        row("TCB", "1", format!("its thread, priority {}", s.priority)),
        row("SchedContext", "1", format!("{} us in every {} us", s.budget_us, s.period_us)),
        row("Reply", "1", "the client that it serves; init answers in its place after a crash"),
        row("Endpoint", "1", "where it receives; survives restarts"),
        row("Notification", "1", "bound to its thread; survives restarts"),
    ];
    if !s.timers.is_empty() {
        rows.push(row("Timer", &s.timers.len().to_string(), "signals its notification"));
    }
    if s.untyped_kib > 0 {
        rows.push(row("Untyped", "1", format!("{} KiB for objects of its own", s.untyped_kib)));
    }
    let pages: u64 = s.segments.iter().filter(|g| g.write).map(|g| g.mem_size.div_ceil(4096)).sum::<u64>()
        + u64::from(s.stack_kib + s.heap_kib + s.dma_kib + s.shared_kib).div_ceil(4)
        + 2;
    rows.push(row(
        "Frame",
        &pages.to_string(),
        "pages of its own (data, stack, heap, devices' memory, messages)",
    ));
    let shared: u64 = s.segments.iter().filter(|g| !g.write).map(|g| g.mem_size.div_ceil(4096)).sum::<u64>()
        + s.blobs.iter().map(|b| b.len.div_ceil(4096)).sum::<u64>();
    rows.push(row("Frame", &shared.to_string(), "pages of the bundle, read-only, where they lie"));
    rows
}

fn capabilities(c: &Composed, s: &Server) -> Vec<Row> {
    let servers = &c.system.servers;
    let mut rows = vec![
        row("own CNode", "all", "moves its own capabilities"),
        row("own endpoint", "receive", "requests"),
        row("own notification", "receive, signal", "interrupts, timers, signals"),
        row("own reply", "all", "answers"),
        row("init", "call", "requests to the supervisor; faults go there"),
    ];
    if c.system.debug_calls {
        rows.push(row(
            "the kernel",
            "debug system calls",
            "**may stop the machine, print and name threads**",
        ));
    }
    if s.hosts_bpf() || s.scratch_kib > 0 || s.makes_threads {
        rows.push(row("own VSpace", "map", "maps frames that it holds or is handed"));
    }
    if s.makes_threads {
        rows.push(row("own TCB, SchedControl", "all", "**may make threads with any budget**"));
    }
    rows.extend(s.calls.iter().map(|i| {
        row(format!("server {}", servers[*i as usize].name), "call", "requests; may hand over capabilities")
    }));
    rows.extend(
        s.signals
            .iter()
            .map(|i| row(format!("server {}", servers[*i as usize].name), "signal", "wakes it, no data")),
    );
    for d in &s.devices {
        if d.messages {
            rows.push(row(
                format!("message interrupts of {}", d.name),
                "acknowledge",
                "to hand out, one to a client",
            ));
        }
        if d.ranges {
            rows.push(row(
                format!("addresses behind {}", d.name),
                "retype, revoke",
                "**all that the bridge reaches**, to hand out",
            ));
        }
        if d.compatible.starts_with("pci") {
            rows.push(row(
                format!("PCI function {}", d.name),
                "use",
                "**it may read and write all memory** (there is no IOMMU), as long as this server lives",
            ));
        }
        if d.interrupts {
            rows.push(row(format!("interrupts of {}", d.name), "acknowledge", format!("`{}`", d.compatible)));
        }
    }
    if !s.timers.is_empty() {
        rows.push(row(format!("timers {}", s.timers.join(", ")), "arm, cancel, read", "time"));
    }
    if s.untyped_kib > 0 {
        rows.push(row(format!("{} KiB untyped", s.untyped_kib), "retype, revoke", "objects of its own"));
    }
    if let Some(peripherals) = rp1(c, s) {
        let names: Vec<&str> = peripherals.iter().map(|p| p.name()).collect();
        rows.push(row(format!("RP1: {}", names.join(", ")), "map, interrupt", "asked for by message"));
    }
    if s.ends_run {
        rows.push(row("the run", "end", "**says whether it was a success**"));
    }
    rows.extend(s.debugs.iter().map(|i| {
        row(
            format!("thread of {}", servers[*i as usize].name),
            "all",
            "**stops it, reads and changes its registers: a test's right**",
        )
    }));
    if let Some(sensors) = sensors(s) {
        rows.push(row(format!("sensors {}", sensors.join(", ")), "start, stop, read out", "by message"));
    }
    if s.trace {
        rows.push(row("trace", "emit, set mask", "**sees the kernel's events**"));
    }
    rows.push(row("init's notification", "signal", "says that it is ready"));
    rows
}

/// Peripherals of RP1 that a server may open.
fn rp1(c: &Composed, s: &Server) -> Option<axiom_proto::rp1::Grants> {
    c.rights.rp1.iter().find(|r| r.0 == s.name).map(|r| r.1)
}

/// What a server may do with lines and channels.
fn grants(c: &Composed, s: &Server) -> Grants {
    c.rights.servers.iter().find(|r| r.0 == s.name).map_or(Grants::NONE, |r| r.1)
}

/// Sensors that a server may start, stop and read out.
fn sensors(s: &Server) -> Option<Vec<&str>> {
    let grant = s.grants.iter().find(|g| g.interface == iio::INTERFACE)?;
    let names: iio::Grants<'_> = postcard::from_bytes(&grant.bytes).ok()?;
    Some(names.iter().collect())
}

fn loader(c: &Composed, s: &Server) -> String {
    s.loader.and_then(|i| c.system.servers.get(i as usize)).map_or("nobody".into(), |l| l.name.clone())
}

fn mappings(c: &Composed, s: &Server) -> Vec<Row> {
    let range = |from: u64, bytes: u64| format!("`{from:#x}`..`{:#x}`", from + bytes);
    let mut rows: Vec<Row> = Vec::new();
    for g in &s.segments {
        let rights = if g.write {
            "rw-"
        } else if g.execute {
            "r-x"
        } else {
            "r--"
        };
        rows.push(row(range(g.vaddr, g.mem_size.next_multiple_of(4096)), rights, "image"));
    }
    if s.heap_kib > 0 {
        rows.push(row("heap", "rw-", format!("{} KiB", s.heap_kib)));
    }
    rows.push(row("stack", "rw-", format!("{} KiB, guard pages on both sides", s.stack_kib)));
    rows.push(row("IPC buffer", "rw-", "messages"));
    rows.push(row(range(env::ADDRESS as u64, env::MAX_PAGES as u64 * 4096), "r--", "what init tells it"));
    for d in &s.devices {
        let id = d.virtio_id.map_or(String::new(), |id| format!(", virtio device {id}"));
        rows.push(row(
            format!("device {}", d.name),
            "rw- device",
            format!(
                "`{}` instance {}{id}; whole pages: what else has registers in them comes along, and init starts nothing if it is \
                 another server's",
                d.compatible, d.instance
            ),
        ));
    }
    if s.dma_kib > 0 {
        rows.push(row(
            "device memory",
            "rw-",
            format!("{} KiB in a row; **a device may write it**", s.dma_kib),
        ));
    }
    if s.shared_kib > 0 {
        rows.push(row(
            "shared memory",
            "rw-",
            format!("{} KiB, given to clients page by page; it outlives a crash", s.shared_kib),
        ));
    }
    for b in &s.blobs {
        rows.push(row(format!("file {}", b.name), "r--", format!("{} bytes", b.len)));
    }
    if s.scratch_kib > 0 {
        rows.push(row("scratch", "as it maps", format!("{} KiB of addresses", s.scratch_kib)));
    }
    if s.hosts_bpf() {
        let code = u64::from(bpf_host::CODE_PAGES) * 4096;
        let maps = u64::from(bpf_host::MAP_PAGES) * 4096;
        rows.push(row(
            range(bpf_host::CODE_WINDOW as u64, code),
            "r-x",
            format!("BPF code from {}, and nobody else; never writable here", loader(c, s)),
        ));
        rows.push(row(range(bpf_host::MAP_WINDOW as u64, maps), "rw- or r--", "BPF maps"));
    }
    rows
}

fn restart(s: &Server) -> String {
    match s.restart {
        Restart::Never => "stays down".into(),
        Restart::Always => "restarted always".into(),
        Restart::Max(1) => "restarted once".into(),
        Restart::Max(n) => format!("restarted {n} times"),
    }
}

/// The report for people.
pub fn markdown(c: &Composed) -> String {
    let servers = &c.system.servers;
    let mut out = format!(
        "# System '{}' for {}\n\nWhat this system grants, and nothing else: a capability that is not listed does not exist.\n\n",
        c.system.name, c.system.board
    );
    // A String takes everything: these writes cannot fail.
    let _ = writeln!(
        out,
        "| server | priority | processor | may call | is called by | devices | after a crash |\n|---|---|---|---|---|---|---|"
    );
    for (i, s) in servers.iter().enumerate() {
        let names = |list: Vec<&str>| if list.is_empty() { "-".into() } else { list.join(", ") };
        let share = match s.budget_us * 1000 / s.period_us.max(1) {
            1000 => "what is left".into(),
            n => format!("{}.{} %", n / 10, n % 10),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            s.name,
            s.priority,
            share,
            names(s.calls.iter().map(|i| servers[*i as usize].name.as_str()).collect()),
            names(
                servers.iter().filter(|o| o.calls.contains(&(i as u16))).map(|o| o.name.as_str()).collect()
            ),
            names(s.devices.iter().map(|d| d.name.as_str()).collect()),
            restart(s)
        );
    }
    for s in servers {
        let _ = writeln!(out, "\n## {}\n", s.name);
        for (title, head, rows) in [
            ("Objects", "object | number | for", objects(s)),
            ("Capabilities", "to | rights | why", capabilities(c, s)),
            ("Mappings", "where | rights | what", mappings(c, s)),
        ] {
            let _ = writeln!(out, "### {title}\n\n| {head} |\n|---|---|---|");
            for Row(a, b, c) in rows {
                let _ = writeln!(out, "| {a} | {b} | {c} |");
            }
            out.push('\n');
        }
        if !s.args.is_empty() {
            let args: Vec<String> = s.args.iter().map(|(k, v)| format!("`{k} = {v}`")).collect();
            let _ = writeln!(out, "Settings: {}", args.join(", "));
        }
    }
    out.push_str(&outputs(c));
    let _ = writeln!(out, "\nThe payload has {} bytes; the bundle {}.", c.payload_bytes, c.elf.len());
    out
}

/// Who may do what with lines, channels and motors, in words.
fn rights(c: &Composed) -> Vec<Row> {
    let (gpio, pwm) = (&c.rights.gpio_chips, &c.rights.pwm_chips);
    if gpio.is_empty() && pwm.is_empty() {
        return Vec::new();
    }
    let servers = c.system.servers.iter().map(|s| (s, grants(c, s))).filter(|(_, g)| *g != Grants::NONE);
    let servers = servers.map(|(s, g)| row(format!("server {}", s.name), &g.words(gpio, pwm), "by message"));
    let programs = c.rights.programs.iter().map(|p| {
        let how = match &p.pinned {
            Some(at) => format!("by helper at {at}, always; only {} may replace or remove it", p.owner),
            None => format!("by helper, where {} has loaded it", p.owner),
        };
        row(format!("program {} of {}", p.program, p.object), &p.grants.words(gpio, pwm), how)
    });
    servers.chain(programs).collect()
}

fn motors(c: &Composed) -> Vec<Row> {
    let (gpio, pwm) = (&c.rights.gpio_chips, &c.rights.pwm_chips);
    let motor = |m: &Outputs| {
        let lines = m.gpio.iter().map(|(l, level)| {
            format!("line {} of {} at {}", l.line, gpio[l.chip as usize], u8::from(*level))
        });
        let channels =
            m.pwm.iter().map(|c| format!("channel {} of {} at 0", c.channel, pwm[c.chip as usize]));
        let stands = lines.chain(channels).collect::<Vec<_>>().join(", ");
        row(format!("motor {}", m.name), &stands, "until it is rearmed")
    };
    c.rights.motors.iter().map(motor).collect()
}

/// Who can make hardware read and write memory, whatever it may touch itself: there is no IOMMU.
fn reach(c: &Composed) -> Vec<Row> {
    let mut rows = Vec::new();
    for s in &c.system.servers {
        for d in &s.devices {
            if d.ranges {
                rows.push(row(
                    format!("server {}", s.name),
                    "**all memory**",
                    format!("by what lies behind {}", d.name),
                ));
            } else if d.compatible.starts_with("pci") {
                rows.push(row(
                    format!("server {}", s.name),
                    "**all memory**",
                    format!("by {}, which is master of its bus while the server lives", d.name),
                ));
            } else if d.compatible == "pnp,0103" {
                rows.push(row(
                    format!("server {}", s.name),
                    "**all memory**",
                    format!(
                        "by {}, whose comparators may store words (FSB) where the chipset has that",
                        d.name
                    ),
                ));
            } else if s.dma_kib > 0 {
                rows.push(row(
                    format!("server {}", s.name),
                    "**all memory**",
                    format!("by {}, whose addresses it writes", d.name),
                ));
            }
        }
        for p in rp1(c, s).iter().flat_map(|g| g.iter()).filter(|p| p.name().starts_with("dma")) {
            rows.push(row(format!("server {}", s.name), "**all memory**", format!("by RP1's {}", p.name())));
        }
    }
    rows
}

/// Lines of RP1 that a peripheral's owner gets switched to it, and that somebody else has a right to besides.
fn contested(c: &Composed) -> Vec<Row> {
    let Some(chip) = c.rights.gpio_chips.iter().position(|name| name == "rp1") else { return Vec::new() };
    let servers = c.rights.servers.iter().map(|(name, grants)| (format!("server {name}"), grants));
    let programs =
        c.rights.programs.iter().map(|p| (format!("program {} of {}", p.program, p.object), &p.grants));
    let all: Vec<(String, &Grants)> = servers.chain(programs).collect();
    let mut rows = Vec::new();
    for s in &c.system.servers {
        for peripheral in rp1(c, s).iter().flat_map(|g| g.iter()) {
            for &line in axiom_rp1::header_lines(peripheral) {
                let at = Line { chip: chip as u8, line };
                for (who, grants) in all.iter().filter(|(_, g)| g.may_get(at)) {
                    let rights = if grants.may_set(at) { "read and drive" } else { "read" };
                    let opens =
                        format!("{} opens {}, which is switched to the same pin", s.name, peripheral.name());
                    rows.push(row(format!("line {line} of rp1"), &format!("{who}: {rights}"), opens));
                }
            }
        }
    }
    rows
}

fn outputs(c: &Composed) -> String {
    let mut out = String::new();
    for (title, head, rows) in [
        ("Pins with two masters", "pin | right | and", contested(c)),
        ("Memory by DMA (no IOMMU checks it)", "who | reaches | how", reach(c)),
        ("Lines and PWM channels", "who | rights | how", rights(c)),
        ("What an emergency stop holds", "motor | stands with | for how long", motors(c)),
    ] {
        if !rows.is_empty() {
            let _ = writeln!(out, "\n## {title}\n\n| {head} |\n|---|---|---|");
            for Row(a, b, c) in rows {
                let _ = writeln!(out, "| {a} | {b} | {c} |");
            }
        }
    }
    out
}

/// The same for programs.
pub fn json(c: &Composed) -> String {
    let rows = |rows: Vec<Row>, keys: [&str; 3]| -> Vec<Value> {
        rows.into_iter().map(|Row(a, b, c)| json!({keys[0]: a, keys[1]: b, keys[2]: c})).collect()
    };
    let names = |list: &[u16]| -> Vec<&str> {
        list.iter().map(|i| c.system.servers[*i as usize].name.as_str()).collect()
    };
    let servers: Vec<Value> = c
        .system
        .servers
        .iter()
        .map(|s| {
            json!({
                "name": s.name, "priority": s.priority, "budget_us": s.budget_us, "period_us": s.period_us,
                "restart": restart(s), "calls": names(&s.calls), "signals": names(&s.signals), "debugs": names(&s.debugs),
                "objects": rows(objects(s), ["object", "number", "for"]),
                "capabilities": rows(capabilities(c, s), ["to", "rights", "why"]),
                "mappings": rows(mappings(c, s), ["where", "rights", "what"]),
            })
        })
        .collect();
    let whole = json!({"system": c.system.name, "board": c.system.board, "payload_bytes": c.payload_bytes, "servers": servers,
        "outputs": rows(rights(c), ["who", "rights", "how"]), "dma": rows(reach(c), ["who", "reaches", "how"]),
        "contested": rows(contested(c), ["pin", "right", "and"]), "motors": rows(motors(c), ["motor", "stands with", "for how long"])});
    format!("{whole:#}\n")
}
