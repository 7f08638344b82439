//! Real objects, then the same objects cut short and damaged.

use axiom_bpf_isa::{MapType, opcode, pseudo};
use axiom_bpf_object::{Contents, Object};

const FILTER: &[u8] = include_bytes!("data/iio_filter.o");
const CALLS: &[u8] = include_bytes!("data/calls.o");
const STRAIGHT: &[u8] = include_bytes!("data/straight_2.o");

#[test]
fn the_filter_is_read_whole() {
    let object = Object::parse(FILTER).unwrap();
    assert_eq!(object.license(), Some("Dual MIT/GPL"));
    let names: Vec<_> = object.maps().iter().map(|m| m.name).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let by_name = |name: &str| object.maps().iter().position(|m| m.name == name).unwrap();
    let events = &object.maps()[by_name("events")].def;
    assert_eq!((events.map_type, events.max_entries), (MapType::RingBuf, 4096));
    let counts = &object.maps()[by_name("counts")].def;
    assert_eq!(
        (counts.map_type, counts.key_size, counts.value_size, counts.max_entries),
        (MapType::Array, 4, 8, 2)
    );
    let rodata = &object.maps()[by_name(".rodata")];
    assert!(rodata.def.read_only);
    assert_eq!(rodata.contents, Contents::Data(&[100, 0, 0, 0, 132, 3, 0, 0]));
    let maximum = object.global("maximum").unwrap();
    assert_eq!((maximum.map, maximum.offset, maximum.size), (by_name(".rodata"), 4, 4));
    assert_eq!(object.global("nobody"), None);

    let entry = object.programs()[0];
    assert_eq!((entry.name, entry.section), ("iio_filter", "iio/adxl345/accel_x"));
    let program = object.program(&entry).unwrap();
    assert_eq!(program.insns[program.insns.len() - 1].op, opcode::EXIT);
    let loads: Vec<_> = program
        .insns
        .iter()
        .enumerate()
        .filter(|(_, i)| i.op == opcode::LDDW)
        .map(|(at, i)| (i.src(), i.imm as usize, program.insns[at + 1].imm))
        .collect();
    assert_eq!(loads[0], (pseudo::MAP_VALUE, by_name(".rodata"), 0));
    assert_eq!(loads[1], (pseudo::MAP_VALUE, by_name(".rodata"), 4));
    assert!(loads.contains(&(pseudo::MAP, by_name("events"), 0)));
    assert!(loads.contains(&(pseudo::MAP, by_name("counts"), 0)));

    let line = object.line(&program, 1).unwrap();
    assert!(line.file.ends_with("iio_filter.c"), "{line:?}");
    assert_eq!(line.text, "__s32 value = event->value;");
    assert_eq!(object.function(&program, 5), Some("iio_filter"));
}

#[test]
fn functions_are_linked_behind_their_caller() {
    let object = Object::parse(CALLS).unwrap();
    assert_eq!(object.programs().iter().map(|p| p.name).collect::<Vec<_>>(), ["first", "second"]);
    for entry in object.programs() {
        let program = object.program(entry).unwrap();
        let mut callees = Vec::new();
        for (at, insn) in program.insns.iter().enumerate() {
            if insn.op == opcode::CALL && insn.src() == pseudo::LOCAL_CALL {
                let target = (at as i64 + 1 + insn.imm as i64) as usize;
                assert_eq!(insn.off, 0);
                callees.push(object.function(&program, target).unwrap());
            }
        }
        // Each function's lines come from its own section.
        for start in program.functions() {
            let name = object.function(&program, start).unwrap();
            let line = object.line(&program, start).unwrap();
            assert!(line.text.contains(&format!("{name}(")), "{name}: {line:?}");
        }
        callees.sort();
        callees.dedup();
        assert_eq!(callees, ["leaf", "shared"]);
    }
    let kinds: Vec<_> = object.maps().iter().map(|m| (m.name, m.def.read_only)).collect();
    for expected in [("seen", false), (".rodata", true), (".data", false), (".bss", false)] {
        assert!(kinds.contains(&expected), "{kinds:?}");
    }
}

#[test]
fn an_object_without_debug_information_is_enough_for_a_program_without_maps() {
    let object = Object::parse(STRAIGHT).unwrap();
    let program = object.program(&object.programs()[0]).unwrap();
    assert_eq!(program.insns.len(), 2);
    assert_eq!(object.line(&program, 0), None);
}

/// The byte in the object that holds the kind of the BTF type for which `is` holds: kind, then the count of its members.
fn kind_of_type(bytes: &[u8], is: impl Fn(u8, usize) -> bool) -> usize {
    let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let start = (0..bytes.len()).find(|&i| bytes[i..].starts_with(&[0x9f, 0xeb, 1, 0, 24])).unwrap();
    let (types, length) = (start + 24 + u32_at(start + 8), u32_at(start + 12));
    let mut at = types;
    while at < types + length {
        let (kind, count) = (bytes[at + 7] & 31, u32_at(at + 4) & 0xffff);
        if is(kind, count) {
            return at + 7;
        }
        at += 12
            + match kind {
                1 | 14 | 17 => 4,
                3 => 12,
                4 | 5 | 15 | 19 => count * 12,
                6 | 13 => count * 8,
                _ => 0,
            };
    }
    panic!("no such type");
}

#[test]
fn a_type_of_an_unknown_kind_costs_nothing_unless_a_map_needs_it() {
    // A function's type, which nothing needs.
    let mut bytes = FILTER.to_vec();
    let at = kind_of_type(&bytes, |kind, _| kind == 12);
    bytes[at] = 25;
    let object = Object::parse(&bytes).unwrap();
    assert_eq!(object.maps(), Object::parse(FILTER).unwrap().maps());
    let program = object.program(&object.programs()[0]).unwrap();
    assert_eq!(object.line(&program, 1).unwrap().text, "__s32 value = event->value;");
    // The same with two: what lies behind the first cannot be told, and the maps are there.
    let at = kind_of_type(&bytes, |kind, _| kind == 8);
    bytes[at] = 26;
    let text = refusal(&bytes);
    assert!(
        text.contains("' has no BTF type that can be read: type ")
            && text.contains(" is of kind 26, which is not known here"),
        "{text}"
    );
    // The number behind a map's attribute.
    let mut bytes = FILTER.to_vec();
    let at = kind_of_type(&bytes, |kind, _| kind == 3);
    bytes[at] = 25;
    let text = refusal(&bytes);
    assert!(text.starts_with("a map attribute is not written with __uint"), "{text}");
    let object = Object::parse(STRAIGHT).unwrap();
    assert_eq!(object.section_bytes(".nothing"), None);
    assert!(object.section_bytes("timer/100hz").is_some_and(|b| b.len() == 16));
}

fn refusal(bytes: &[u8]) -> String {
    match Object::parse(bytes) {
        Err(e) => e.to_string(),
        Ok(_) => panic!("accepted"),
    }
}

#[test]
fn refusals_are_sentences_with_offsets() {
    assert_eq!(
        refusal(b""),
        "the ELF header (64 bytes) reaches beyond the end: the object is cut short or damaged (byte 0 of the object)"
    );
    assert_eq!(
        refusal(&[b'x'; 64]),
        "this is not an ELF object: it does not start with 7f 45 4c 46 (byte 0 of the object)"
    );
    let mut other = FILTER.to_vec();
    other[18] = 183;
    assert!(refusal(&other).starts_with("the object is for ELF machine 183, not for BPF (247)"));
    let cut = refusal(&FILTER[..FILTER.len() / 2]);
    assert!(cut.contains("reaches beyond the end"), "{cut}");
}

/// Reads everything there is to read.
fn exercise(bytes: &[u8]) {
    let Ok(object) = Object::parse(bytes) else { return };
    let _ = (object.license(), object.global("maximum"), object.maps().len());
    for entry in object.programs() {
        if let Ok(program) = object.program(entry) {
            for at in 0..program.insns.len().min(12) {
                let _ = (object.line(&program, at), object.function(&program, at));
            }
        }
    }
}

#[test]
fn every_truncation_is_refused_or_read_without_a_panic() {
    for whole in [FILTER, CALLS, STRAIGHT] {
        for n in 0..whole.len() {
            exercise(&whole[..n]);
        }
    }
}

#[test]
fn damaged_objects_never_panic() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |n: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 16) as usize % n
    };
    for whole in [FILTER, CALLS, STRAIGHT] {
        for _ in 0..3_000 {
            let mut bytes = whole.to_vec();
            for _ in 0..1 + random(6) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = 0xff,
                    1 => bytes[at] = random(256) as u8,
                    2 => bytes[at] ^= 1 << random(8),
                    _ => {
                        // Whole words are where sizes and offsets live.
                        let at = at & !7;
                        let value = [0u64, 1, u64::MAX, i64::MAX as u64, 0xffff_ffff][random(5)];
                        if let Some(word) = bytes.get_mut(at..at + 8) {
                            word.copy_from_slice(&value.to_le_bytes());
                        }
                    }
                }
            }
            exercise(&bytes);
        }
    }
}
