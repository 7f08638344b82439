//! The rules that join servers: who calls whom, who owns what, whether it all fits.
use crate::diagnostic::{At, Diagnostic, nearest};
use crate::model::{HEAP_KIB, Manifest, Placed, Server};
use axiom_layout::address::{ARENA_KIB, DEVICES_BYTES, FUNCTIONS_KIB};
use axiom_layout::{Class, bits};
use axiom_proto::env;
use std::collections::BTreeMap;

/// Checks everything that needs no file.
pub fn check(system: &Manifest, errors: &mut Vec<Diagnostic>) {
    let by_name: BTreeMap<&str, &Server> = system.servers.iter().map(|s| (s.name.as_str(), s)).collect();
    for server in &system.servers {
        channels(server, &by_name, errors);
        time(server, errors);
        room(server, errors);
        bits_of(server, errors);
        told(server, errors);
    }
    functions(&system.servers, errors);
    hosting(system, &by_name, errors);
    debugging(system, &by_name, errors);
    cycles(system, &by_name, errors);
    utilisation(system, errors);
    background(system, errors);
    owners(system, errors);
}

fn channels(server: &Server, by_name: &BTreeMap<&str, &Server>, errors: &mut Vec<Diagnostic>) {
    let who = &server.name;
    for (list, verb) in [(&server.calls, "calls"), (&server.signals, "signals"), (&server.debugs, "debugs")] {
        for peer in list {
            let name = peer.value.as_str();
            if name == "init" {
                errors.push(Diagnostic::new(
                    &peer.at,
                    format!("server '{who}' {verb} 'init'"),
                    "every server has a channel to init; it is not granted by name",
                    format!("leave 'init' out of {verb}"),
                ));
            } else if name == who {
                errors.push(Diagnostic::new(
                    &peer.at,
                    format!("server '{who}' {verb} itself"),
                    "a server that waits for itself waits for ever",
                    format!("leave '{who}' out of {verb}"),
                ));
            } else if !by_name.contains_key(name) {
                errors.push(Diagnostic::new(
                    &peer.at,
                    format!("server '{who}' {verb} '{name}', which no [server.{name}] describes"),
                    format!("{verb} names servers of this system"),
                    nearest(name, by_name.keys().copied().filter(|k| k != who)),
                ));
            }
        }
    }
    for peer in &server.calls {
        let Some(callee) = by_name.get(peer.value.as_str()).filter(|c| c.name != *who) else { continue };
        if let Some(clients) = &callee.clients
            && !clients.value.contains(who)
        {
            errors.push(Diagnostic::new(
                &peer.at,
                format!("server '{who}' calls '{}', which does not let it", callee.name),
                format!(
                    "'{}' is called only by its clients ({}: clients = {:?})",
                    callee.name, clients.at, clients.value
                ),
                format!("add \"{who}\" to clients of [server.{}], or leave the call out", callee.name),
            ));
        }
        let (mine, theirs) = (server.number("priority"), callee.number("priority"));
        if theirs < mine {
            errors.push(Diagnostic::new(
                &peer.at,
                format!("server '{who}' (priority {mine}) calls '{}' (priority {theirs})", callee.name),
                "calls go uphill, to a server of higher priority: else a client holds up those between",
                format!("priority of '{}' above {mine}, or of '{who}' below {theirs}", callee.name),
            ));
        } else if theirs == mine {
            let what =
                format!("server '{who}' and '{}', which it calls, both have priority {mine}", callee.name);
            let rule = "calls go uphill, to a server of higher priority: equals can wait for each other";
            let advice = format!("priority = {} for '{}'", (mine + 1).min(254), callee.name);
            errors.push(Diagnostic::new(&peer.at, what, rule, advice));
        }
    }
    if let Some(clients) = &server.clients {
        for client in &clients.value {
            match by_name.get(client.as_str()) {
                None => errors.push(Diagnostic::new(
                    &clients.at,
                    format!(
                        "server '{who}' grants itself to '{client}', which no [server.{client}] describes"
                    ),
                    "clients names servers of this system",
                    nearest(client, by_name.keys().copied().filter(|k| k != who)),
                )),
                Some(c) if !c.calls.iter().any(|p| p.value == *who) => errors.push(Diagnostic::new(
                    &clients.at,
                    format!("server '{who}' lets '{client}' call it, but '{client}' does not"),
                    "no right without a use",
                    format!("leave '{client}' out, or calls = [\"{who}\"] in [server.{client}]"),
                )),
                _ => {}
            }
        }
    }
}

fn time(server: &Server, errors: &mut Vec<Diagnostic>) {
    let (budget, period) = (server.number("budget_us"), server.number("period_us"));
    if budget > period {
        errors.push(Diagnostic::new(
            server.number_at("budget_us"),
            format!("server '{}': budget_us = {budget} is more than period_us = {period}", server.name),
            "a server runs at most its budget in every period",
            format!("budget_us = {period}"),
        ));
    }
}

/// Whether the sources of a server's notification have a bit each.
fn bits_of(server: &Server, errors: &mut Vec<Diagnostic>) {
    let with = server.devices.iter().filter(|d| d.value.interrupts);
    let bridges = with.clone().filter(|d| d.value.ranges).count();
    let timers = server.timers.len();
    let (devices, room) = (with.count(), Class::Timer.room());
    let need = bits::hardware(devices, bridges, timers);
    if need > room {
        errors.push(Diagnostic::new(
            server.timers.first().map_or(&server.at, |t| &t.at),
            format!("server '{}' has {timers} timers and {devices} devices with interrupts: {need} bits", server.name),
            format!(
                "timers and interrupts share {room} bits of the server's notification: a timer takes one, a device with interrupts \
                 {0}, a bridge {0} more",
                bits::INTERRUPTS_PER_DEVICE
            ),
            match timers.checked_sub(need - room) {
                Some(fits) => format!("settings by which it has {fits} timers"),
                None => "interrupts = false for devices that raise none".into(),
            },
        ));
    }
}

/// Who runs programs, for whom, and who signals whom.
fn hosting(system: &Manifest, by_name: &BTreeMap<&str, &Server>, errors: &mut Vec<Diagnostic>) {
    let mut served: BTreeMap<&str, (&str, &At)> = BTreeMap::new();
    for server in &system.servers {
        let who = &server.name;
        let Some(first) = server.hosts.first() else {
            if let Some(loader) = &server.loader {
                errors.push(Diagnostic::new(
                    &loader.at,
                    format!("server '{who}' has a loader, but runs no programs"),
                    "loader names who places programs in a server with hosts",
                    "hosts = [\"timer\"], or leave loader out",
                ));
            }
            continue;
        };
        for kind in &server.hosts {
            if let Some((other, at)) = served.insert(&kind.value, (who, &kind.at)) {
                errors.push(Diagnostic::new(
                    &kind.at,
                    format!("server '{who}' runs programs on '{}/...', which '{other}' does", kind.value),
                    format!("attach points of a kind belong to one server (first given at {at})"),
                    format!("leave '{}' out of one of them", kind.value),
                ));
            }
        }
        match server.loader.as_ref().map(|l| (l, by_name.get(l.value.as_str()))) {
            Some((_, Some(loader))) if loader.calls.iter().any(|c| c.value == *who) => {}
            Some((name, Some(_))) => errors.push(Diagnostic::new(
                &name.at,
                format!("server '{who}' takes programs from '{}', which does not call it", name.value),
                "no right without a use",
                format!("add \"{who}\" to calls of [server.{}]", name.value),
            )),
            Some((name, None)) => errors.push(Diagnostic::new(
                &name.at,
                format!(
                    "server '{who}' takes programs from '{0}', which no [server.{0}] describes",
                    name.value
                ),
                "loader names a server of this system",
                nearest(&name.value, by_name.keys().copied().filter(|k| k != who)),
            )),
            None => errors.push(Diagnostic::new(
                &first.at,
                format!("server '{who}' runs programs, but nobody may place them"),
                "loader names the only server whose programs it runs: their code runs inside it",
                "loader = \"bpf-server\"",
            )),
        }
    }
    for server in &system.servers {
        let from = system.servers.iter().filter(|s| s.signals.iter().any(|p| p.value == server.name));
        if let Some(extra) = from.clone().nth(Class::Peer.room()) {
            errors.push(Diagnostic::new(
                &extra.at,
                format!("server '{}' is signalled by {} servers", server.name, from.count()),
                format!(
                    "a server is signalled by at most {} others, each with a bit of its own",
                    Class::Peer.room()
                ),
                "take signals together in one server",
            ));
        }
    }
}

/// Rights over other servers' threads are a test's; and there is a thread only of a server that starts earlier.
fn debugging(system: &Manifest, by_name: &BTreeMap<&str, &Server>, errors: &mut Vec<Diagnostic>) {
    for server in &system.servers {
        let who = &server.name;
        for peer in &server.debugs {
            if !system.test {
                errors.push(Diagnostic::new(
                    &peer.at,
                    format!("server '{who}' debugs '{}', and this is no test's system", peer.value),
                    "a right over another server's thread ends every promise about that server: no product has it",
                    "leave debugs out, or test = true in the [system] of a test",
                ));
            }
            let Some(other) = by_name.get(peer.value.as_str()).filter(|o| o.name != *who) else { continue };
            let (mine, theirs) = (server.number("priority"), other.number("priority"));
            if theirs <= mine {
                errors.push(Diagnostic::new(
                    &peer.at,
                    format!("server '{who}' (priority {mine}) debugs '{}' (priority {theirs})", other.name),
                    "servers start by their priority, and a thread is given to who starts after it",
                    format!("priority of '{who}' below {theirs}"),
                ));
            }
        }
    }
}

/// A server's share of the processor, in millionths; none is kept for one in the background.
pub fn share_ppm(server: &Server) -> u64 {
    if server.flag("background") {
        return 0;
    }
    server.number("budget_us") * 1_000_000 / server.number("period_us").max(1)
}

fn utilisation(system: &Manifest, errors: &mut Vec<Diagnostic>) {
    // More than all is named by itself.
    let sum: u64 = system.servers.iter().map(|s| share_ppm(s).min(1_000_000)).sum();
    if sum > 1_000_000 {
        let Some(largest) = system.servers.iter().max_by_key(|s| share_ppm(s)) else { return };
        let keep = share_ppm(largest).saturating_sub(sum - 1_000_000);
        let advice = match keep * largest.number("period_us") / 1_000_000 {
            budget if budget >= 20 => {
                format!("budget_us = {budget} for '{}', which has the largest share", largest.name)
            }
            _ => "smaller budgets or longer periods for several servers".into(),
        };
        errors.push(Diagnostic::new(
            largest.number_at("budget_us"),
            format!("the budgets add up to {}.{} % of the processor", sum / 10_000, sum / 1000 % 10),
            "all budgets together fit one processor (100 %)",
            advice,
        ));
    }
}

/// Nothing bounds a server in the background but the priorities above it.
fn background(system: &Manifest, errors: &mut Vec<Diagnostic>) {
    let (behind, bounded): (Vec<&Server>, Vec<&Server>) =
        system.servers.iter().partition(|s| s.flag("background"));
    let Some(lowest) = bounded.into_iter().min_by_key(|s| s.number("priority")) else { return };
    let floor = lowest.number("priority");
    for server in behind {
        let priority = server.number("priority");
        if priority >= floor {
            errors.push(Diagnostic::new(
                server.number_at("priority"),
                format!(
                    "server '{}' runs in the background with priority {priority}; '{}', which has a budget, has {floor}",
                    server.name, lowest.name
                ),
                "whoever has a budget has a higher priority than everybody in the background, who could take all of its time",
                match floor {
                    1 => format!("a higher priority for '{}'", lowest.name),
                    _ => format!("priority = {}, or background = true for '{}' as well", floor - 1, lowest.name),
                },
            ));
        }
    }
}

fn room(server: &Server, errors: &mut Vec<Diagnostic>) {
    let (heap, stack) = (server.number("heap_kib"), server.number("stack_kib"));
    if heap + stack > ARENA_KIB {
        errors.push(Diagnostic::new(
            server.number_at("heap_kib"),
            format!("server '{}': heap_kib = {heap} and stack_kib = {stack} overlap", server.name),
            format!("heap and stack share a window of {ARENA_KIB} KiB"),
            format!("heap_kib = {}", ARENA_KIB - stack),
        ));
    }
    for key in ["stack_kib", "heap_kib", "dma_kib", "shared_kib", "scratch_kib"] {
        let value = server.number(key);
        if !value.is_multiple_of(4) {
            errors.push(Diagnostic::new(
                server.number_at(key),
                format!("server '{}': {key} = {value} is not whole pages", server.name),
                "memory is given in pages of 4 KiB",
                format!("{key} = {}", value.next_multiple_of(4)),
            ));
        }
    }
    let untyped = server.number("untyped_kib");
    if untyped != 0 && (!untyped.is_power_of_two() || untyped < 4) {
        errors.push(Diagnostic::new(
            server.number_at("untyped_kib"),
            format!("server '{}': untyped_kib = {untyped} is not a power of two from 4", server.name),
            "untyped memory comes in powers of two",
            format!("untyped_kib = {}", untyped.next_power_of_two().max(4)),
        ));
    }
}

/// Whether init has slots for the registers of all PCI functions, whatever they say of themselves, and each server addresses for its own;
/// other devices say less than they could take.
fn functions(servers: &[Server], errors: &mut Vec<Diagnostic>) {
    const { assert!(FUNCTIONS_KIB * 1024 <= DEVICES_BYTES / 2) };
    let functions = || servers.iter().flat_map(|s| &s.devices).filter(|d| d.value.is_function);
    let sum: u64 = functions().map(|d| u64::from(d.value.registers_kib)).sum();
    if sum > FUNCTIONS_KIB
        && let Some(last) = functions().next_back()
    {
        let count = functions().count() as u64;
        errors.push(Diagnostic::new(
            &last.at,
            format!("the registers of the system's {count} PCI functions may take {sum} KiB"),
            format!("init can hand out {FUNCTIONS_KIB} KiB of them; a function may take as many as its registers_kib says"),
            format!("registers_kib = {} for each, or what each takes", (FUNCTIONS_KIB / count / 4 * 4).max(8)),
        ));
    }
}

/// A server's heap goes with its program: whoever cannot allocate has none, who can has [`HEAP_KIB`] if nothing is said.
pub fn heap(server: &mut Server, allocates: bool, errors: &mut Vec<Diagnostic>) {
    let heap = server.number("heap_kib");
    if allocates && heap == 0 {
        server.numbers.insert("heap_kib", Placed { value: HEAP_KIB, at: server.at.clone() });
    } else if !allocates && heap > 0 {
        errors.push(Diagnostic::new(
            server.number_at("heap_kib"),
            format!(
                "server '{}' has heap_kib = {heap}, but its program \"{}\" has no heap",
                server.name, server.image.value
            ),
            "memory for a heap is given to programs that allocate: those that link axiom-heap",
            "leave heap_kib out",
        ));
    }
}

/// Settings and names of files, which init tells a server; what else it tells is known at its start, when init refuses what does not fit.
fn told(server: &Server, errors: &mut Vec<Diagnostic>) {
    const ROOM: usize = env::MAX_PAGES * 4096 - size_of::<env::Header>();
    // Each text has its length before it.
    let settings = server.args.iter().map(|(key, given)| key.len() + given.value.len() + 2);
    let bytes: usize = settings.chain(server.blobs.iter().map(|blob| blob.value.len() + 1)).sum();
    if bytes > ROOM {
        errors.push(Diagnostic::new(
            &server.at,
            format!("server '{}': its settings and the names of its files take {bytes} bytes", server.name),
            format!("what init tells a server at its start fits {} pages, {ROOM} bytes", env::MAX_PAGES),
            "shorter settings, or fewer files",
        ));
    }
}

/// What a system must hold in RAM besides images and files, KiB.
fn own_kib(server: &Server) -> u64 {
    ["stack_kib", "heap_kib", "dma_kib", "shared_kib", "untyped_kib"]
        .iter()
        .map(|k| server.number(k))
        .sum::<u64>()
        + 128
}

/// Whether it fits the board's RAM, with what kernel and init need; the bundle's size is known by then.
pub fn memory(system: &Manifest, bundle_bytes: u64, errors: &mut Vec<Diagnostic>) {
    let own: u64 = system.servers.iter().map(own_kib).sum();
    let need = own + bundle_bytes.div_ceil(1024) + 4096;
    let have = system.memory_mib * 1024;
    if need > have {
        let Some(largest) = system.servers.iter().max_by_key(|s| s.number("heap_kib")) else { return };
        let heap = largest.number("heap_kib");
        let fits = heap.saturating_sub(need - have) / 4 * 4;
        errors.push(Diagnostic::new(
            largest.number_at("heap_kib"),
            format!(
                "the servers need {need} KiB; server '{}' has the largest heap, heap_kib = {heap}",
                largest.name
            ),
            format!(
                "all servers, the bundle and the kernel fit the board's RAM: memory_mib = {}",
                system.memory_mib
            ),
            if fits >= 4 {
                format!("heap_kib = {fits}")
            } else {
                format!("memory_mib = {}", need.div_ceil(1024))
            },
        ));
    }
}

/// Circles of calls, each named once, by its path.
fn cycles(system: &Manifest, by_name: &BTreeMap<&str, &Server>, errors: &mut Vec<Diagnostic>) {
    let mut reported: Vec<Vec<&str>> = Vec::new();
    for start in &system.servers {
        let mut paths: Vec<Vec<&str>> = vec![vec![&start.name]];
        let mut seen: Vec<&str> = Vec::new();
        while let Some(path) = paths.pop() {
            let Some(server) = path.last().and_then(|name| by_name.get(name)) else { continue };
            for peer in &server.calls {
                let name = peer.value.as_str();
                if name == start.name && path.len() > 1 {
                    let mut members = path.clone();
                    members.sort_unstable();
                    if !reported.contains(&members) {
                        reported.push(members);
                        errors.push(Diagnostic::new(
                            &peer.at,
                            format!("calls go in a circle: {} -> {name}", path.join(" -> ")),
                            "calls make no circle: its servers would wait for each other for ever",
                            format!("signals = [\"{name}\"] in [server.{}] instead of the call", server.name),
                        ));
                    }
                } else if !seen.contains(&name) && !path.contains(&name) {
                    seen.push(name);
                    let mut longer = path.clone();
                    longer.push(name);
                    paths.push(longer);
                }
            }
        }
    }
}

fn owners(system: &Manifest, errors: &mut Vec<Diagnostic>) {
    let mut owner: BTreeMap<(&str, Option<u32>, u32), (&str, &At)> = BTreeMap::new();
    for server in &system.servers {
        for device in &server.devices {
            let d = &device.value;
            let key = (d.compatible.as_str(), d.virtio_id, d.instance);
            if let Some((first, at)) = owner.insert(key, (&server.name, &device.at)) {
                let id = d.virtio_id.map_or(String::new(), |id| format!(", virtio_id {id}"));
                errors.push(Diagnostic::new(
                    &device.at,
                    format!(
                        "server '{}' is given {} (instance {}{id}), which '{first}' has",
                        server.name, d.compatible, d.instance
                    ),
                    format!("a device belongs to one server (first given at {at})"),
                    format!("instance = {}, or a call to '{first}'", d.instance + 1),
                ));
            }
        }
    }
}
