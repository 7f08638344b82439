//! `disasm` and `maps`.

use crate::args::Origin;
use crate::{Failure, Out, load};
use axiom_bpf_isa::disasm::Disasm;
use axiom_bpf_isa::{Insn, opcode, pseudo};
use axiom_bpf_object::Contents;
use axiom_bpf_verdict as verdict;
use std::path::Path;

/// Prints a program's instructions, with its functions and source lines.
pub fn disasm(out: &mut Out, origin: &Origin) -> Result<(), Failure> {
    let (path, name) = match origin {
        Origin::Raw(path) => {
            let insns = load::raw(&load::file(path)?)?;
            each(&insns, |at| out.line(format_args!("{}", line(&insns, at, &[]))));
            return Ok(());
        }
        Origin::Object(path, name) => (path, name),
    };
    let bytes = load::file(path)?;
    let object = load::object(path, &bytes)?;
    let entries = match name.as_str() {
        "" => object.programs().to_vec(),
        name => vec![*verdict::choose(&object, name).map_err(load::refused)?],
    };
    let names: Vec<&str> = object.maps().iter().map(|m| m.name).collect();
    for entry in entries {
        out.line(format_args!("{} ({}):", entry.name, entry.section));
        let program = object.program(&entry).map_err(|e| Failure::Refused(e.to_string()))?;
        let functions: Vec<usize> = program.functions().collect();
        let mut shown = None;
        each(&program.insns, |at| {
            if at != 0 && functions.contains(&at) {
                out.line(format_args!("{}:", object.function(&program, at).unwrap_or("a function")));
            }
            let source = object.line(&program, at).map(|l| (l.file, l.line, l.text));
            if source != shown
                && let Some((file, number, text)) = source
            {
                out.line(format_args!("; {file}:{number}: {text}"));
            }
            shown = source;
            out.line(format_args!("{}", line(&program.insns, at, &names)));
        });
    }
    Ok(())
}

/// Calls `f` for each instruction; a wide load is one.
fn each(insns: &[Insn], mut f: impl FnMut(usize)) {
    let mut at = 0;
    while at < insns.len() {
        f(at);
        at += if insns[at].op == opcode::LDDW { 2 } else { 1 };
    }
}

fn line(insns: &[Insn], at: usize, maps: &[&str]) -> String {
    let text = Disasm::at(insns, at).map_or(String::new(), |d| d.to_string());
    let i = insns[at];
    let map = maps.get(i.imm as usize).filter(|_| i.op == opcode::LDDW);
    let note = match (i.src(), map) {
        (pseudo::MAP, Some(name)) => format!("  ; map '{name}'"),
        (pseudo::MAP_VALUE, Some(name)) => {
            format!("  ; '{name}' + {}", insns.get(at + 1).map_or(0, |n| n.imm as u32))
        }
        _ => String::new(),
    };
    format!("{at:6}: {text}{note}")
}

/// Prints an object's maps.
pub fn maps(out: &mut Out, path: &Path) -> Result<(), Failure> {
    let bytes = load::file(path)?;
    let object = load::object(path, &bytes)?;
    out.line(format_args!(
        "{:<24} {:<14} {:>6} {:>8} {:>10} {:>10}  contents",
        "name", "type", "key", "value", "entries", "bytes"
    ));
    let mut wrong = Vec::new();
    for map in object.maps() {
        let size = match axiom_bpf_maps::bytes_needed(&map.def) {
            Ok(bytes) => bytes.to_string(),
            Err(error) => {
                wrong.push(format!("map '{}': {error}", map.name));
                "-".into()
            }
        };
        let contents = match map.contents {
            Contents::Zero => "zeros",
            Contents::Data(_) if map.def.read_only => "data, read-only",
            Contents::Data(_) => "data",
        };
        let (d, kind) = (map.def, map.def.map_type.words());
        out.line(format_args!(
            "{:<24} {kind:<14} {:>6} {:>8} {:>10} {size:>10}  {contents}",
            map.name, d.key_size, d.value_size, d.max_entries
        ));
    }
    if wrong.is_empty() { Ok(()) } else { Err(Failure::Refused(wrong.join("\n"))) }
}
