//! What a manifest gives a server, against what its program says it takes ([`crate::takes`]).
use crate::diagnostic::{Diagnostic, nearest};
use crate::model::{Placed, Server};
use crate::takes::{Kind, RIGHTS, Takes};
use std::collections::BTreeMap;

/// Checks rights and settings, and fills in what follows from the program: interfaces, attach points, timers.
pub fn check(server: &mut Server, takes: &Takes, errors: &mut Vec<Diagnostic>) {
    derived(server, errors);
    rights(server, takes, errors);
    settings(server, takes, errors);
    let args: BTreeMap<&str, &str> =
        server.args.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
    let here = |value: String| Placed { value, at: server.at.clone() };
    let timers = takes.timers(&args).into_iter().map(here).collect();
    // Whom nobody gives programs runs none.
    let kinds = if server.loader.is_some() { takes.hosts.as_slice() } else { &[] };
    let hosts = kinds.iter().cloned().map(here).collect();
    (server.timers, server.hosts, server.serves) = (timers, hosts, takes.serves.clone());
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
fn settings(server: &Server, takes: &Takes, errors: &mut Vec<Diagnostic>) {
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
        if setting.fits(value) {
            continue;
        }
        let (rule, advice) = match &setting.kind {
            kind if setting.form.is_some() && kind.fits(value) => {
                let form = setting.form.as_deref().unwrap_or_default();
                (format!("each word of {key} is {form}"), setting.doc.clone())
            }
            Kind::Text => (format!("{key} is a text"), format!("{key} = \"...\"")),
            Kind::Words(most) => (format!("{key} is 1 to {most} words"), format!("{key} = \"...\"")),
            Kind::OneOf(list) => (
                format!("{key} is one of {}", list.join(", ")),
                nearest(value, list.iter().map(String::as_str)),
            ),
            Kind::Number(least, most) => {
                (format!("{key} is a whole number, {least} to {most}"), format!("{key} = {least}"))
            }
            Kind::Signed => (format!("{key} is a whole number"), format!("{key} = 0")),
        };
        let what = format!("server '{}': the setting {key} = \"{value}\"", server.name);
        errors.push(Diagnostic::new(&given.at, what, rule, advice));
    }
}
