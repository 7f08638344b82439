//! What a manifest gives a server, against what its program says it takes ([`crate::takes`]).
use crate::diagnostic::{Diagnostic, nearest};
use crate::fitting::{nearest_word, said_of, words_rule};
use crate::model::{Manifest, Placed, Server};
use crate::takes::{Kind, Must, Names, RIGHTS, Takes, has};
use axiom_layout::form::Form;
use axiom_proto::point::Point;
use std::collections::{BTreeMap, BTreeSet};

/// Checks rights and settings, and fills in what follows from the program: interfaces, attach points, timers.
/// `files` are those of each server, by name.
pub fn check(
    server: &mut Server,
    takes: &Takes,
    files: &BTreeMap<String, Vec<String>>,
    errors: &mut Vec<Diagnostic>,
) {
    let names = names(server, takes, files);
    derived(server, errors);
    rights(server, takes, errors);
    settings(server, takes, &names, errors);
    missing(server, takes, &names, errors);
    lists(server, takes, &names, errors);
    let args: BTreeMap<&str, &str> =
        server.args.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
    let here = |value: String| Placed { value, at: server.at.clone() };
    let timers = takes.timers(&args).into_iter().map(here).collect();
    // Whom nobody gives programs runs none.
    let kinds = if server.loader.is_some() { takes.hosts.as_slice() } else { &[] };
    let hosts = kinds.iter().cloned().map(here).collect();
    (server.timers, server.hosts, server.serves) = (timers, hosts, takes.serves.clone());
}

/// The names that words of this server's settings may have: of what the manifest gives it, and the program's own.
fn names(server: &Server, takes: &Takes, files: &BTreeMap<String, Vec<String>>) -> Names {
    let list = |list: &[Placed<String>]| list.iter().map(|p| p.value.clone()).collect::<Vec<_>>();
    let (lines, channels) = (&server.wishes.gpio, &server.wishes.pwm);
    let called = server.calls.iter().filter_map(|c| files.get(&c.value)).flatten();
    let sets = [
        ("gpio", lines.iter().map(|p| format!("{}/{}", p.value.chip, p.value.number)).collect()),
        ("lines", lines.iter().map(|p| p.value.number.to_string()).collect()),
        ("line_chips", lines.iter().map(|p| p.value.chip.clone()).collect()),
        ("channels", channels.iter().map(|p| p.value.number.to_string()).collect()),
        ("channel_chips", channels.iter().map(|p| p.value.chip.clone()).collect()),
        ("gpio_chips", list(&server.gpio_chips)),
        ("pwm_chips", list(&server.pwm_chips)),
        ("devices", server.devices.iter().map(|d| d.value.name.clone()).collect()),
        ("rp1", list(&server.rp1)),
        ("files", called.cloned().collect::<BTreeSet<_>>().into_iter().collect()),
        ("debugs", list(&server.debugs)),
    ];
    let own = takes.names.iter().map(|(set, names)| (set.clone(), names.clone()));
    sets.map(|(set, names)| (set.to_owned(), names)).into_iter().chain(own).collect()
}

/// What follows from the program is not said.
fn derived(server: &Server, errors: &mut Vec<Diagnostic>) {
    for key in ["timers", "hosts"] {
        if let Some(at) = server.given.get(key) {
            errors.push(Diagnostic::new(
                at,
                format!(
                    "server '{}': {key} is said, and its program \"{}\" says it already",
                    server.name, server.image.value
                ),
                format!("{key} is for programs that do not declare what they take"),
                format!("leave {key} out"),
            ));
        }
    }
}

fn rights(server: &Server, takes: &Takes, errors: &mut Vec<Diagnostic>) {
    for (key, at) in server.given.iter().filter(|(key, _)| !takes.may_have(key)) {
        let used: Vec<&str> = RIGHTS.iter().copied().filter(|right| takes.may_have(right)).collect();
        let list = if used.is_empty() { "no such right".into() } else { used.join(", ") };
        errors.push(Diagnostic::new(
            at,
            format!(
                "server '{}' is given {key}, which its program \"{}\" does not use",
                server.name, server.image.value
            ),
            format!("no right without a use: the program takes {list}"),
            format!("leave {key} out, or add it to rights in its takes.toml"),
        ));
    }
}

/// Whether the program knows its settings, and can use their values.
fn settings(server: &Server, takes: &Takes, names: &Names, errors: &mut Vec<Diagnostic>) {
    for (key, given) in &server.args {
        let Some(setting) = takes.find(key) else {
            let keys = takes.settings.iter().map(|s| s.key.as_str());
            let rule = match takes.settings.is_empty() {
                true => "this program has no settings".into(),
                false => format!("its settings are {}", keys.clone().collect::<Vec<_>>().join(", ")),
            };
            let what = format!("server '{}': its program has no setting '{key}'", server.name);
            errors.push(Diagnostic::new(&given.at, what, rule, nearest(key, keys)));
            continue;
        };
        let value = &given.value;
        if let Some(beginning) = setting.key.strip_prefix('*').and_then(|end| key.strip_suffix(end))
            && let Some((_, own)) = takes.names.first_key_value()
            && !own.iter().any(|name| name == beginning)
        {
            let what = format!("server '{}': the setting {key} is of '{beginning}'", server.name);
            let rule = format!("{} is of one of {}", setting.key, own.join(", "));
            errors.push(Diagnostic::new(
                &given.at,
                what,
                rule,
                nearest(beginning, own.iter().map(String::as_str)),
            ));
            continue;
        }
        let (rule, advice) = match (&setting.kind, setting.wrong_word(value, names)) {
            (kind, None) if kind.fits(value) => continue,
            (kind, Some(word)) if kind.fits(value) => {
                words_rule(&server.name, (key.as_str(), setting), (value.as_str(), word), names)
            }
            (Kind::Text, _) => (format!("{key} is a text"), format!("{key} = \"...\"")),
            (Kind::Words(most), _) => (format!("{key} is 1 to {most} words"), format!("{key} = \"...\"")),
            (Kind::OneOf(list), _) => (
                format!("{key} is one of {}", list.join(", ")),
                nearest(value, list.iter().map(String::as_str)),
            ),
            (Kind::Number(least, most), _) => {
                let near = axiom_layout::form::number(value).map_or(*least, |n| n.clamp(*least, *most));
                (format!("{key} is a whole number, {least} to {most}"), format!("{key} = {near}"))
            }
            (Kind::Signed(least, most), _) => {
                let near = axiom_layout::form::signed(value).unwrap_or(0).clamp(*least, *most);
                let range = if (*least, *most) == (i64::MIN, i64::MAX) {
                    String::new()
                } else {
                    format!(", {least} to {most}")
                };
                (format!("{key} is a whole number{range}"), format!("{key} = {near}"))
            }
        };
        let what = format!("server '{}': the setting {key} = \"{value}\"", server.name);
        errors.push(Diagnostic::new(&given.at, what, rule, advice));
    }
}

/// Whether what must be given is.
fn missing(server: &Server, takes: &Takes, names: &Names, errors: &mut Vec<Diagnostic>) {
    let given = |key: &str| server.args.iter().find(|(k, _)| k == key).map(|(_, v)| &v.at);
    for setting in takes.settings.iter().filter(|s| given(&s.key).is_none()) {
        let key = &setting.key;
        let (at, why) = match &setting.must {
            Some(Must::Always) => (Some(&server.at), "always".into()),
            Some(Must::With(other)) => (given(other), format!("with {other}")),
            Some(Must::Named(list, name)) => {
                let named = names.contains_key(list) && has(names, list, name);
                (named.then(|| server.given.get(list)).flatten(), format!("if {list} names \"{name}\""))
            }
            None => continue,
        };
        let Some(at) = at else { continue };
        let value = match &setting.kind {
            Kind::Number(least, most) => 1000.clamp(*least, *most).to_string(),
            _ => "\"...\"".into(),
        };
        errors.push(Diagnostic::new(
            at,
            format!("server '{}' has no setting {key}", server.name),
            format!("{key} must be given {why}: {}", setting.doc),
            format!("args = {{ {key} = {value} }} in [server.{}]", server.name),
        ));
    }
}

/// Whether the program knows what keys of the manifest name.
fn lists(server: &Server, takes: &Takes, names: &Names, errors: &mut Vec<Diagnostic>) {
    for (key, said) in &takes.lists {
        let (Some(at), Some(form)) = (server.given.get(key), Form::new(said)) else { continue };
        for name in names.get(key).into_iter().flatten() {
            if form.word(name, |set, name| has(names, set, name)).is_some() {
                continue;
            }
            let advice = nearest_word(said, name, names).map(|near| format!("did you mean '{near}'?"));
            errors.push(Diagnostic::new(
                at,
                format!("server '{}': {key} names '{name}', which its program does not know", server.name),
                format!("{key} names {}", said_of(said, names)),
                advice.unwrap_or_else(|| "leave it out".into()),
            ));
        }
    }
}

/// Whether what clients' keys name is what a server has: it is in the words of one of its settings.
pub fn clients(system: &Manifest, takes: &BTreeMap<String, Takes>, errors: &mut Vec<Diagnostic>) {
    let servers = &system.servers;
    for (owner, theirs) in servers.iter().filter_map(|s| Some((s, takes.get(&s.name)?))) {
        for (_, setting) in theirs.clients.iter().filter(|(key, _)| key == "iio") {
            let known = known_of(owner, theirs, setting);
            for (program, at) in system.programs.iter().filter_map(|p| Some((p, p.pinned.as_ref()?))) {
                let Some(Point::Sample { sensor, .. }) = Point::parse(&at.value) else { continue };
                if !known.contains(&sensor) {
                    errors.push(Diagnostic::new(
                        &at.at,
                        format!(
                            "program '{}': pinned_at names '{sensor}', which '{}' does not have",
                            program.name, owner.name
                        ),
                        format!(
                            "a program at iio/... is at a sensor of {setting} of [server.{}]: {}",
                            owner.name,
                            known.join(", ")
                        ),
                        nearest(sensor, known.iter().copied()),
                    ));
                }
            }
        }
    }
    for client in servers {
        for (callee, theirs) in client.calls.iter().filter_map(|c| takes.get_key_value(&c.value)) {
            for (key, setting) in &theirs.clients {
                let wanted = match key.as_str() {
                    "iio" => &client.iio,
                    _ => continue,
                };
                let owner = servers.iter().find(|s| s.name == *callee);
                let known = owner.map_or(Vec::new(), |owner| known_of(owner, theirs, setting));
                for name in wanted.iter().filter(|name| !known.contains(&name.value.as_str())) {
                    errors.push(Diagnostic::new(
                        &name.at,
                        format!(
                            "server '{}': {key} names '{}', which '{callee}' does not have",
                            client.name, name.value
                        ),
                        format!(
                            "{key} names what is in {setting} of [server.{callee}]: {}",
                            known.join(", ")
                        ),
                        nearest(&name.value, known.iter().copied()),
                    ));
                }
            }
        }
    }
}

/// What is before the mark in the words of a server's setting.
fn known_of<'a>(owner: &'a Server, takes: &'a Takes, setting: &str) -> Vec<&'a str> {
    let given = owner.args.iter().find(|(k, _)| k == setting).map(|(_, v)| v.value.as_str());
    let default = takes.find(setting).and_then(|s| s.default.as_deref());
    let words = given.or(default).unwrap_or("");
    words.split_whitespace().map(|word| word.split_once('@').map_or(word, |(name, _)| name)).collect()
}
