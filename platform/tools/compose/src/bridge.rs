//! Peripherals of the chip behind a bridge: who may open which (`rp1 = ["i2c1"]`).
use crate::diagnostic::{At, Diagnostic, nearest};
use crate::model::Manifest;
use axiom_proto::rp1::{Grants, NAMES, Peripheral};
use std::collections::BTreeMap;

/// Checks what servers open, and puts numbers in.
pub fn resolve(system: &Manifest, errors: &mut Vec<Diagnostic>) -> Vec<(String, Grants)> {
    let owner = system.servers.iter().find(|s| s.devices.iter().any(|d| d.value.ranges));
    let mut opened: BTreeMap<&str, (&str, &At)> = BTreeMap::new();
    let mut all = Vec::new();
    for server in system.servers.iter().filter(|s| !s.rp1.is_empty()) {
        let who = &server.name;
        let first = &server.rp1[0].at;
        match owner {
            None => errors.push(Diagnostic::new(
                first,
                format!("server '{who}' opens peripherals of RP1, but no server has the bridge to it"),
                "the server that hands peripherals out has the bridge, with what lies behind it",
                "devices = [{ name = \"pcie\", compatible = \"brcm,bcm2712-pcie\", ranges = true }] in [server.rp1-server]",
            )),
            Some(o) if !server.calls.iter().any(|c| c.value == o.name) => errors.push(Diagnostic::new(
                first,
                format!("server '{who}' opens peripherals of RP1, but does not call '{}'", o.name),
                "no right without a use",
                format!("calls = [\"{}\"] in [server.{who}]", o.name),
            )),
            Some(_) => {}
        }
        let mut grants = Grants::default();
        for name in &server.rp1 {
            let Some(peripheral) = Peripheral::from_name(&name.value) else {
                errors.push(Diagnostic::new(
                    &name.at,
                    format!("server '{who}': RP1 has no peripheral '{}' that can be opened", name.value),
                    format!("they are {}", NAMES.join(", ")),
                    nearest(&name.value, NAMES),
                ));
                continue;
            };
            if let Some((other, at)) =
                opened.insert(peripheral.name(), (who, &name.at)).filter(|(o, _)| o != who)
            {
                errors.push(Diagnostic::new(
                    &name.at,
                    format!("server '{who}' opens {}, which '{other}' opens", name.value),
                    format!("a peripheral belongs to one server (first given at {at})"),
                    format!("leave it out here, or a call to '{other}'"),
                ));
            }
            grants.grant(peripheral);
        }
        all.push((who.clone(), grants));
    }
    all
}
