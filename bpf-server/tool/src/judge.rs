//! `verify`: the verdict on each program of an object, for people or as JSON. `prove`: the same, and writes the proofs.

use crate::{Failure, Out, elf, load};
use axiom_bpf_isa::{Insn, Lines, proto};
use axiom_bpf_object::{Entry, Object};
use axiom_bpf_verdict::{self as verdict, Contents, Source, Subject, cost};
use axiom_bpf_verifier::{Accepted, Verifier, proof};
use serde_json::{Value, json};
use std::path::Path;

/// One program's verdict.
struct Verdict<'a> {
    entry: Entry<'a>,
    instructions: usize,
    outcome: Result<Accepted, String>,
    /// What the manifest must grant.
    needs: Vec<String>,
    /// The proof that was checked, or found.
    proof: Option<(Vec<Insn>, Vec<u8>)>,
    /// What the worst case costs, and the innermost loop's line.
    cost: Option<cost::Cost>,
    hot: Option<String>,
}

/// Judges one program of an object, or all of them if none is named.
pub fn verify(out: &mut Out, path: &Path, name: &str, json: bool) -> Result<(), Failure> {
    let bytes = load::file(path)?;
    let object = match Object::parse(&bytes) {
        Ok(object) => object,
        Err(error) if json => {
            let text = load::unreadable(path, &bytes, &error);
            let object = path.display().to_string();
            let answer = json!({ "object": object, "verdict": "refused", "reason": text });
            out.line(format_args!("{answer:#}"));
            return Err(Failure::Refused(format!("{}: refused", path.display())));
        }
        Err(error) => return Err(Failure::Refused(load::unreadable(path, &bytes, &error))),
    };
    let entries = match name {
        "" => object.programs().to_vec(),
        name => vec![*verdict::choose(&object, name).map_err(load::refused)?],
    };
    let verdicts: Vec<_> = entries.into_iter().map(|entry| one(&object, entry, false)).collect();
    if json {
        let programs: Vec<_> = verdicts.iter().map(|v| as_json(&object, v)).collect();
        out.line(format_args!("{:#}", json!({ "object": path.display().to_string(), "programs": programs })));
    } else {
        verdicts.iter().for_each(|v| print(out, &object, v));
    }
    all_accepted(path, &verdicts)
}

fn all_accepted(path: &Path, verdicts: &[Verdict<'_>]) -> Result<(), Failure> {
    match verdicts.iter().filter(|v| v.outcome.is_err()).count() {
        0 => Ok(()),
        n => Err(Failure::Refused(format!("{}: {n} of {} refused", path.display(), verdicts.len()))),
    }
}

/// Judges one program of an object, or all of them if none is named, and writes the proofs into it, or into another file. What
/// the object holds of the others stays.
pub fn prove(out: &mut Out, path: &Path, name: &str, to: &Path) -> Result<(), Failure> {
    let bytes = load::file(path)?;
    let object = load::object(path, &bytes)?;
    let chosen = match name {
        "" => None,
        name => Some(*verdict::choose(&object, name).map_err(load::refused)?),
    };
    let is_chosen = |entry: &Entry<'_>| chosen.is_none_or(|c| c == *entry);
    let entries = object.programs().iter().filter(|e| is_chosen(e));
    let verdicts: Vec<_> = entries.map(|entry| one(&object, *entry, true)).collect();
    verdicts.iter().for_each(|v| print(out, &object, v));
    all_accepted(path, &verdicts)?;
    let mut section = Vec::new();
    for v in &verdicts {
        if let Some((insns, proof)) = &v.proof {
            proof::add(&mut section, insns, proof);
        }
    }
    let held = object.section_bytes(proof::SECTION).unwrap_or(&[]);
    for entry in object.programs().iter().filter(|e| !is_chosen(e)) {
        let program = object.program(entry).map_err(|e| Failure::Refused(e.to_string()))?;
        if let Some(proof) = proof::find(held, &program.insns) {
            proof::add(&mut section, &program.insns, proof);
        }
    }
    let whole = elf::with_section(&bytes, proof::SECTION, &section)
        .ok_or_else(|| Failure::Refused("the object has no room for another section".into()))?;
    std::fs::write(to, &whole)
        .map_err(|e| Failure::Usage(format!("{}: cannot be written: {e}", to.display())))?;
    out.line(format_args!("Written:    {}, {} bytes", to.display(), whole.len()));
    Ok(())
}

/// One program's verdict; with `prove` by a new proof, whatever the object holds.
fn one<'a>(object: &Object<'a>, entry: Entry<'a>, prove: bool) -> Verdict<'a> {
    let mut v = Verdict {
        entry,
        instructions: 0,
        outcome: Err(String::new()),
        needs: Vec::new(),
        proof: None,
        cost: None,
        hot: None,
    };
    let mut judge = || -> Result<Accepted, Failure> {
        let kind = load::kind(entry.section)?;
        let program = object.program(&entry).map_err(|e| Failure::Refused(e.to_string()))?;
        v.instructions = program.insns.len();
        for map in object.maps() {
            axiom_bpf_maps::bytes_needed(&map.def)
                .map_err(|e| Failure::Refused(format!("map '{}': {e}", map.name)))?;
        }
        let contents = Contents::new(object, &[]).map_err(load::refused)?;
        let (program, contents) = (&program, &contents);
        let judged = Subject { object, program, contents, ctx: kind.layout(), room: None };
        let mut verifier = Verifier::new();
        let accepted = if prove {
            let (proof, accepted) = judged.prove(&mut verifier).map_err(load::refused)?;
            v.proof = Some((program.insns.clone(), proof));
            accepted
        } else {
            v.proof = judged.proof().map(|proof| (program.insns.clone(), proof.to_vec()));
            judged.verdict(&mut verifier).map_err(load::refused)?
        };
        let lines = Source { object, program };
        v.cost = cost::worst(&program.insns, &contents.defs, accepted.max_insns, accepted.zero_stack);
        let place =
            |l: axiom_bpf_isa::LineInfo<'_>| format!("{}:{}", l.file.trim_start_matches("./"), l.line);
        v.hot = v.cost.and_then(|c| c.hot).and_then(|insn| lines.line(insn)).map(place);
        v.needs = accepted.own_calls.iter().map(|c| own_call(c, &lines)).collect();
        Ok(accepted)
    };
    v.outcome = judge().map_err(|failure| match failure {
        Failure::Refused(text) | Failure::Usage(text) => text,
    });
    v
}

/// A call that the manifest must grant.
fn own_call(call: &axiom_bpf_verifier::OwnCall, lines: &Source<'_, '_>) -> String {
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
    let s = |n: u64| if n == 1 { "" } else { "s" };
    out.line(format_args!("Length:     {} instruction{}", v.instructions, s(v.instructions as u64)));
    out.line(format_args!("Worst case: {} instruction{}", accepted.max_insns, s(accepted.max_insns)));
    if let Some(cost) = v.cost {
        let longest = cost
            .hot
            .and(v.hot.as_deref())
            .map_or(String::new(), |l| format!("; the innermost loop is at {l}"));
        out.line(format_args!(
            "Cost:       {} machine instructions at most, with its helpers{longest}",
            cost.compiled
        ));
    }
    let zeroed = if accepted.zero_stack { ", cleared before each run" } else { "" };
    out.line(format_args!("Stack:      {} bytes{zeroed}", accepted.stack_depth));
    if let Some((_, proof)) = &v.proof {
        out.line(format_args!("Proof:      {} bytes, checked", proof.len()));
    }
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
            "worst_case": a.max_insns, "cost": v.cost.map(|c| c.compiled), "stack": a.stack_depth, "zero_stack": a.zero_stack,
            "proof": v.proof.as_ref().map(|p| p.1.len()),
            "helpers": helpers(a), "needs": v.needs,
            "maps": a.maps.iter().filter_map(|i| object.maps().get(*i as usize)).map(|m| json!({
                "name": m.name, "type": m.def.map_type.words(), "key_size": m.def.key_size,
                "value_size": m.def.value_size, "max_entries": m.def.max_entries,
            })).collect::<Vec<_>>(),
        }),
    }
}
