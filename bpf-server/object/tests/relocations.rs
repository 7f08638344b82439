//! What relocations name, and the refusal of those that nobody applies. The objects are made by `tests/data/build`.

use axiom_bpf_isa::{opcode, pseudo};
use axiom_bpf_object::Object;

fn object(bytes: &[u8]) -> Object<'_> {
    Object::parse(bytes).unwrap_or_else(|e| panic!("{e}"))
}

/// The wide loads of the first program that name maps: kind, map's name, offset.
fn loads<'a>(object: &Object<'a>) -> Vec<(u8, &'a str, i32)> {
    let program = object.program(&object.programs()[0]).unwrap_or_else(|e| panic!("{e}"));
    let wide = program.insns.iter().enumerate().filter(|(_, i)| i.op == opcode::LDDW && i.src() != 0);
    wide.map(|(at, i)| (i.src(), object.maps()[i.imm as usize].name, program.insns[at + 1].imm)).collect()
}

/// The refusal of an object, or of its first program.
fn refusal(bytes: &[u8]) -> String {
    match Object::parse(bytes).and_then(|o| o.program(&o.programs()[0]).map(|_| ())) {
        Err(error) => error.to_string(),
        Ok(()) => panic!("accepted"),
    }
}

#[test]
fn two_maps_that_only_the_distance_tells_apart_are_two() {
    let object = object(include_bytes!("data/statics.o"));
    let loads = loads(&object);
    let maps: Vec<_> = loads.iter().filter(|l| l.0 == pseudo::MAP).map(|l| l.1).collect();
    assert_eq!(maps, ["first", "second"]);
    assert!(loads.contains(&(pseudo::MAP_VALUE, ".rodata", 16)), "the table: {loads:?}");
    assert!(loads.iter().any(|l| l.1 == ".bss") && loads.iter().any(|l| l.1 == ".data"), "{loads:?}");
}

#[test]
fn addresses_in_data_are_refused_with_section_symbol_and_line() {
    let text = refusal(include_bytes!("data/names.o"));
    assert!(text.starts_with("'names' in section '.rodata' (byte 0), used at ./names.c:5 holds the address of byte 0 of section '.rodata.str1.1': data cannot hold addresses here"), "{text}");
    let text = refusal(include_bytes!("data/pointer.o"));
    assert!(text.starts_with("'where' in section '.data' (byte 8), used at ./pointer.c:6 holds the address of 'counter': data cannot hold"), "{text}");
    let text = refusal(include_bytes!("data/nested.o"));
    assert!(
        text.starts_with(
            "'outer' in section '.maps' (byte 56) is filled with the address of 'inner': maps of maps"
        ),
        "{text}"
    );
}

#[test]
fn addresses_that_do_not_exist_are_refused_by_their_names() {
    let text = refusal(include_bytes!("data/callback.o"));
    assert!(
        text.starts_with(
            "./callback.c:5: the program takes the address of function 'step': callbacks (bpf_loop,"
        ),
        "{text}"
    );
    let text = refusal(include_bytes!("data/foreign.o"));
    assert!(
        text.starts_with(
            "./foreign.c:4: the program calls 'kernel_function', which the object does not define"
        ),
        "{text}"
    );
    let text = refusal(include_bytes!("data/by_hand.o"));
    assert!(text.starts_with("./by_hand.c:13: the program loads the address of a value of a map (a 64-bit load of kind 2) without a relocation"), "{text}");
}
