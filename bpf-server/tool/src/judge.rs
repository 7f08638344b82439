//! `verify`: the verdict on each program of an object, for people or as JSON.

use crate::{Failure, Out, load};
use axiom_bpf_isa::proto;
use axiom_bpf_object::{Entry, Object};
use axiom_bpf_verdict::{self as verdict, Contents, Source};
use axiom_bpf_verifier::Accepted;
use serde_json::{Value, json};
use std::path::Path;

/// One program's verdict.
struct Verdict<'a> {
    entry: Entry<'a>,
    instructions: usize,
    outcome: Result<Accepted, String>,
    /// What the manifest must grant.
    needs: Vec<String>,
}

/// Judges one program of an object, or all of them if none is named.
pub fn verify(out: &mut Out, path: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let bytes = load::file(path)?;
    let object = match Object::parse(&bytes) {
        Ok(object) => object,
        Err(error) if json => {
            let text = error.to_string();
            out.line(format_args!(
                "{:#}",
                json!({ "object": path.display().to_string(), "verdict": "refused", "reason": text })
            ));
            return Err(Failure::Refused(format!("{}: refused", path.display())));
        }
        Err(error) => return Err(Failure::Refused(error.to_string())),
    };
    let entries = match name {
        "" => object.programs().to_vec(),
        name => vec![*verdict::choose(&object, name).map_err(load::refused)?],
    };
    let verdicts: Vec<_> = entries.into_iter().map(|entry| one(&object, entry)).collect();
    if json {
        let programs: Vec<_> = verdicts.iter().map(|v| as_json(&object, v)).collect();
        out.line(format_args!("{:#}", json!({ "object": path.display().to_string(), "programs": programs })));
    } else {
        verdicts.iter().for_each(|v| print(out, &object, v));
    }
    match verdicts.iter().filter(|v| v.outcome.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::Refused(format!("{}: {n} of {} refused", path.display(), verdicts.len()))),
    }
}

fn one<'a>(object: &Object<'a>, entry: Entry<'a>) -> Verdict<'a> {
    let mut instructions = 0;
    let mut needs = Vec::new();
    let mut judge = || -> Result<Accepted, Failure> {
        let kind = load::kind(entry.section)?;
        let program = object.program(&entry).map_err(|e| Failure::Refused(e.to_string()))?;
        instructions = program.insns.len();
        for map in object.maps() {
            axiom_bpf_maps::bytes_needed(&map.def)
                .map_err(|e| Failure::Refused(format!("map '{}': {e}", map.name)))?;
        }
        let contents = Contents::new(object, &[]).map_err(load::refused)?;
        let accepted = load::judge(object, &program, &contents, kind)?;
        let lines = Source { object, program: &program };
        needs = accepted.own_calls.iter().map(|c| own_call(c, &lines)).collect();
        Ok(accepted)
    };
    let outcome = judge().map_err(|failure| match failure {
        Failure::Refused(text) | Failure::Usage(text) => text,
    });
    Verdict { entry, instructions, outcome, needs }
}

/// A call that the manifest must grant.
fn own_call(call: &axiom_bpf_verifier::OwnCall, lines: &Source<'_, '_>) -> String {
    use axiom_bpf_isa::Lines;
    let name = proto::find(call.helper).map_or("?", |p| p.name);
    let number = |a: Option<u64>| a.map_or("computed".to_string(), |n| n.to_string());
    let arguments = match call.helper {
        axiom_bpf_isa::helper::MOTOR_EMERGENCY_STOP => String::new(),
        _ => call.args.map(number).join(", "),
    };
    let at = match lines.line(call.insn as usize) {
        Some(l) => format!("{}:{}", l.file.trim_start_matches("./"), l.line),
        None => format!("instruction {}", call.insn),
    };
    format!("bpf_{name}({arguments}) at {at}")
}

fn helpers(accepted: &Accepted) -> Vec<String> {
    let name = |id: &u32| proto::find(*id).map_or(format!("helper {id}"), |p| format!("bpf_{}", p.name));
    accepted.helpers.iter().map(name).collect()
}

fn print(out: &mut Out, object: &Object<'_>, v: &Verdict<'_>) {
    let head = format!("{} ({})", v.entry.name, v.entry.section);
    let accepted = match &v.outcome {
        Ok(accepted) => accepted,
        Err(reason) => return out.line(format_args!("{head}: refused\n{reason}")),
    };
    out.line(format_args!("{head}: accepted"));
    out.line(format_args!("Length:     {} instructions", v.instructions));
    out.line(format_args!("Worst case: {} instructions", accepted.max_insns));
    let zeroed = if accepted.zero_stack { ", cleared before each run" } else { "" };
    out.line(format_args!("Stack:      {} bytes{zeroed}", accepted.stack_depth));
    let or_none = |list: Vec<String>| if list.is_empty() { "none".to_string() } else { list.join(", ") };
    out.line(format_args!("Helpers:    {}", or_none(helpers(accepted))));
    let map =
        |i: &u32| object.maps().get(*i as usize).map(|m| format!("{} ({})", m.name, m.def.map_type.words()));
    out.line(format_args!("Maps:       {}", or_none(accepted.maps.iter().filter_map(map).collect())));
    if !v.needs.is_empty() {
        out.line(format_args!("Needs:      a grant in the manifest for {}", v.needs.join("; ")));
    }
}

fn as_json(object: &Object<'_>, v: &Verdict<'_>) -> Value {
    let (name, section) = (v.entry.name, v.entry.section);
    match &v.outcome {
        Err(reason) => {
            let field = |label: &str| {
                reason.lines().find_map(|l| l.strip_prefix(label)).map(|rest| rest.trim().to_string())
            };
            json!({
                "program": name, "section": section, "verdict": "refused",
                "reason": field("Reason:").unwrap_or_else(|| reason.clone()),
                "at": field("At:"), "suggestion": field("Suggestion:"), "text": reason,
            })
        }
        Ok(a) => json!({
            "program": name, "section": section, "verdict": "accepted", "instructions": v.instructions,
            "worst_case": a.max_insns, "stack": a.stack_depth, "zero_stack": a.zero_stack,
            "helpers": helpers(a), "needs": v.needs,
            "maps": a.maps.iter().filter_map(|i| object.maps().get(*i as usize)).map(|m| json!({
                "name": m.name, "type": m.def.map_type.words(), "key_size": m.def.key_size,
                "value_size": m.def.value_size, "max_entries": m.def.max_entries,
            })).collect::<Vec<_>>(),
        }),
    }
}
