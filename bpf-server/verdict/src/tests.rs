//! Sentences: every wording that is chosen here, with the smallest program that earns it.

use super::*;
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind};

const STATICS: &[u8] = include_bytes!("../../object/tests/data/statics.o");
const CALLS: &[u8] = include_bytes!("../../object/tests/data/calls.o");
const FILTER: &[u8] = include_bytes!("../../object/tests/data/iio_filter.o");

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

const EXIT: Insn = Insn::new(0x95, 0, 0, 0, 0);
const QUEUE: MapDef = MapDef {
    map_type: MapType::Queue,
    key_size: 0,
    value_size: 8,
    max_entries: 2,
    flags: 0,
    read_only: false,
};
const ARRAY: MapDef = MapDef { map_type: MapType::Array, key_size: 4, ..QUEUE };

fn judge(insns: &[Insn], maps: &[MapDef], contents: &[Option<&[u8]>]) -> Result<Accepted, String> {
    let ctx = ProgramKind::Iio.layout();
    let env = Env { maps, contents, ctx, helpers: Some(ctx.kind.helpers()), limits: Limits::default() };
    let program = axiom_bpf_verifier::Program { insns, lines: None };
    axiom_bpf_verifier::verify(&program, &env)
        .map_err(|r| explain(&r, insns, |m| ["first", "second"].get(m as usize).copied()))
}

fn refused(insns: &[Insn], maps: &[MapDef]) -> Vec<String> {
    judge(insns, maps, &[]).expect_err("accepted").lines().map(String::from).collect()
}

#[test]
fn helpers_are_told_by_name_with_what_to_do_instead() {
    for (id, reason, suggestion) in [
        (
            181,
            "bpf_loop (helper 181 of Linux) does not exist here",
            "write a for loop with a constant maximum",
        ),
        (
            93,
            "bpf_spin_lock (helper 93 of Linux) does not exist here",
            "leave it out: a program has its maps to itself",
        ),
        (12, "bpf_tail_call (helper 12 of Linux) does not exist here", "call a __noinline function"),
        (198, "bpf_ringbuf_reserve_dynptr (helper 198 of Linux)", "reserve a constant number of bytes"),
        (
            169,
            "bpf_timer_init (helper 169 of Linux)",
            "put that code into a program of its own at SEC(\"timer/<n>hz\")",
        ),
        (
            110,
            "bpf_sk_storage",
            "helpers of Linux that need its kernel do not exist here; docs/src/program-reference.md lists those that do",
        ),
        (9999, "there is no helper 9999", "call helpers by the names in axiom_bpf.h"),
        (
            0x1_0000,
            "bpf_gpio_get (helper 65536) is not there for programs of this kind: those that have it are at gpio/... and pwm/...",
            "see the list of helpers by kind of program in docs/src/program-reference.md",
        ),
    ] {
        let lines = refused(&[i(0x85, 0, 0, 0, id), i(0xb7, 0, 0, 0, 0), EXIT], &[]);
        if id != 110 {
            assert!(lines[0].starts_with(&format!("Reason:     {reason}")), "{lines:?}");
        }
        assert!(lines.last().unwrap().starts_with(&format!("Suggestion: {suggestion}")), "{lines:?}");
    }
}

#[test]
fn what_the_compiler_was_told_is_said() {
    let old_callx = refused(&[i(0xb7, 1, 0, 0, 5), i(0x8d, 0, 0, 0, 1), EXIT], &[]);
    assert_eq!(
        old_callx[0],
        "Reason:     calls through a register, written as clang 16 and older write it (callx)"
    );
    assert!(old_callx.last().unwrap().contains("clang 17 or newer"));
    let pointer = refused(&[i(0x79, 3, 1, 0, 0), i(0x8d, 3, 0, 0, 0), EXIT], &[]);
    assert!(
        pointer
            .last()
            .unwrap()
            .starts_with("Suggestion: compile with -O2, and declare helpers as axiom_bpf.h")
    );
    let table = refused(&[i(0x0d, 1, 0, 0, 0), EXIT], &[]);
    assert!(
        table[0].contains("jump table") && table.last().unwrap().contains("-fno-jump-tables"),
        "{table:?}"
    );
    let foreign = refused(&[i(0x85, 0, 2, 0, 77), EXIT], &[]);
    assert!(foreign[0].contains("calls function 77 of a kernel's BTF"), "{foreign:?}");
    // As clang -O0 writes it: everything through the stack; here an index that nothing bounds.
    let slow = [
        i(0x7b, 10, 1, -8, 0),
        i(0x79, 1, 10, -8, 0),
        i(0x79, 1, 1, 0, 0),
        i(0x7b, 10, 1, -16, 0),
        i(0x79, 1, 10, -8, 0),
        i(0x79, 2, 10, -16, 0),
        i(0x0f, 1, 2, 0, 0),
        i(0x71, 0, 1, 0, 0),
        EXIT,
    ];
    assert!(
        refused(&slow, &[])
            .last()
            .unwrap()
            .starts_with("Hint:       this looks like code that was compiled without")
    );
    // A loop as -O0 makes it is told to be optimised before it is told to be written as it is.
    let mut loops = slow.to_vec();
    loops[7] = i(0x7b, 10, 1, -16, 0);
    loops[6] = i(0xb7, 1, 0, 0, 1);
    loops[8] = i(0x05, 0, 0, -8, 0);
    let told = refused(&loops, &[]);
    assert!(
        told.iter().any(|l| l.starts_with("Suggestion: compile with -O2; then: count the passes")),
        "{told:?}"
    );
    // What keeps a member of its context, and not the context, was optimised.
    let member =
        [i(0x79, 1, 1, 0, 0), i(0x7b, 10, 1, -8, 0), i(0x79, 2, 10, -8, 0), i(0x71, 0, 2, 0, 0), EXIT];
    assert!(refused(&member, &[]).last().unwrap().starts_with("Suggestion: "));
    let fast = [i(0x79, 2, 1, 0, 0), i(0x0f, 1, 2, 0, 0), i(0x71, 0, 1, 0, 0), EXIT];
    assert!(refused(&fast, &[]).last().unwrap().starts_with("Suggestion: "));
}

fn map(register: u8, index: i32) -> [Insn; 2] {
    [i(0x18, register, 1, 0, index), i(0, 0, 0, 0, 0)]
}

fn program(parts: &[&[Insn]]) -> Vec<Insn> {
    parts.concat()
}

#[test]
fn maps_are_told_by_name() {
    let key = [i(0x62, 10, 0, -4, 0), i(0xbf, 2, 10, 0, 0), i(0x07, 2, 0, 0, -4)];
    let look = program(&[&key, &map(1, 1), &[i(0x85, 0, 0, 0, 1)]]);
    let unchecked = program(&[&look, &[i(0x79, 0, 0, 0, 0), EXIT]]);
    let lines = refused(&unchecked, &[QUEUE, ARRAY]);
    assert_eq!(lines[0], "Reason:     r0 may be NULL: the lookup in map 'second' may not have found the key");
    let beyond = program(&[&look, &[i(0x15, 0, 0, 1, 0), i(0x79, 0, 0, 8, 0), EXIT]]);
    let lines = refused(&beyond, &[QUEUE, ARRAY]);
    assert_eq!(
        lines[0],
        "Reason:     reads 8 bytes at offset 8 of a value of map 'second', which has 8 bytes"
    );
    let lines = refused(&program(&[&look, &[EXIT]]), &[ARRAY, QUEUE]);
    assert_eq!(
        lines[0],
        "Reason:     bpf_map_lookup_elem does not work on map 'second', a queue; it works on array, hash, per-CPU array, \
         per-CPU hash, LRU hash"
    );
    let push = program(&[&key, &map(1, 1), &[i(0x85, 0, 0, 0, 87), EXIT]]);
    let lines = refused(&push, &[QUEUE, ARRAY]);
    assert_eq!(
        lines[0],
        "Reason:     bpf_map_push_elem does not work on map 'second', an array; it works on queue, stack"
    );
    assert!(
        lines.last().unwrap().starts_with("Suggestion: declare the map as one of these kinds, or"),
        "{lines:?}"
    );
    let value = |index: i32, offset: i32| {
        program(&[&[i(0x18, 1, 2, 0, index), i(0, 0, 0, 0, offset), i(0xb7, 0, 0, 0, 0), EXIT]])
    };
    let lines = refused(&value(1, 8), &[QUEUE, ARRAY]);
    assert_eq!(
        lines[0],
        "Reason:     takes the address of byte 8 of map 'second', whose first value ends before that"
    );
    let lines = refused(&value(0, 0), &[QUEUE, ARRAY]);
    assert!(lines[0].contains("a byte of map 'first', a queue: only an array's first value"), "{lines:?}");
    // Without names, and where no map is meant, the verifier's words stay.
    let lines = refused(&program(&[&[i(0x18, 1, 1, 0, 5), i(0, 0, 0, 0, 0)], &[EXIT]]), &[ARRAY]);
    assert_eq!(lines[0], "Reason:     there is no map 5");
}

#[test]
fn a_map_value_offset_outside_the_value_is_refused() {
    let at = |offset: i32| {
        program(&[&[
            i(0x18, 1, 2, 0, 0),
            i(0, 0, 0, 0, offset),
            i(0x73, 1, 1, 0, 0),
            i(0xb7, 0, 0, 0, 1),
            EXIT,
        ]])
    };
    let stores = |offset: i32| {
        let mut p = at(offset);
        p[2] = i(0x72, 1, 0, 0, 7);
        judge(&p, &[ARRAY], &[])
    };
    assert!(stores(0).is_ok() && stores(7).is_ok());
    // The last two are where a signed reading of the offset and an unsigned one differ by 4 GiB.
    for offset in [8, 4096, -1, i32::MIN] {
        assert!(stores(offset).is_err(), "{offset}");
    }
}

/// Calls printk with a format of a read-only map, and the registers as they are.
fn prints(before: &[Insn], size: i32) -> Vec<Insn> {
    let format = [i(0x18, 1, 2, 0, 0), i(0, 0, 0, 0, 0), i(0xb7, 2, 0, 0, size), i(0x85, 0, 0, 0, 6)];
    program(&[before, &format, &[i(0xb7, 0, 0, 0, 0), EXIT]])
}

#[test]
fn printk_looks_at_the_values_that_it_prints() {
    let rodata = MapDef { read_only: true, value_size: 16, max_entries: 1, ..ARRAY };
    let numbers = [i(0xb7, 3, 0, 0, 1), i(0xb7, 4, 0, 0, 2), i(0xb7, 5, 0, 0, 3)];
    let check = |format: &[u8; 16], before: &[Insn]| judge(&prints(before, 16), &[rodata], &[Some(format)]);
    assert!(check(b"nothing to see\0\0", &[]).is_ok(), "registers that are not printed may be anything");
    assert!(check(b"%d %u %x\0\0\0\0\0\0\0\0", &numbers).is_ok());
    assert!(check(b"%d\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &numbers[..1]).is_ok());
    let unwritten = check(b"%d %d\0\0\0\0\0\0\0\0\0\0\0", &numbers[..1]).unwrap_err();
    assert!(
        unwritten.starts_with("Reason:     bpf_trace_printk: argument 4 (r4) has no value\n")
            && unwritten.contains(
                "Suggestion: pass every argument, as axiom_bpf.h declares them, and give the variable"
            ),
        "{unwritten}"
    );
    for (register, is) in [(1, "the address of the context"), (10, "an address in the stack")] {
        let address = check(b"%p\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &[i(0xbf, 3, register, 0, 0)]).unwrap_err();
        let says = format!(
            "Reason:     bpf_printk would print an address: number 1 after the format (in r3 of bpf_trace_printk) is {is}\n"
        );
        assert!(
            address.starts_with(&says) && address.contains("Suggestion: print what it points to"),
            "{address}"
        );
    }
    let second =
        check(b"%d %p\0\0\0\0\0\0\0\0\0\0\0", &[i(0xb7, 3, 0, 0, 1), i(0xbf, 4, 1, 0, 0)]).unwrap_err();
    assert!(
        second.contains("number 2 after the format (in r4 of bpf_trace_printk) is the address"),
        "{second}"
    );
    // More than three numbers lie in an array.
    let long = |stored: u8| {
        let stores: Vec<Insn> =
            (0..4).map(|n| i(0x7b, 10, if n == 2 { stored } else { 6 }, -32 + 8 * n, 0)).collect();
        let call = [i(0xbf, 3, 10, 0, 0), i(0x07, 3, 0, 0, -32), i(0xb7, 4, 0, 0, 32)];
        let format = [i(0x18, 1, 2, 0, 0), i(0, 0, 0, 0, 0), i(0xb7, 2, 0, 0, 16), i(0x85, 0, 0, 0, 177)];
        let code = program(&[&[i(0xb7, 6, 0, 0, 7)], &stores, &call, &format, &[i(0xb7, 0, 0, 0, 0), EXIT]]);
        judge(&code, &[rodata], &[Some(b"%d %d %d %p\0\0\0\0\0")])
    };
    assert!(long(6).is_ok(), "{:?}", long(6));
    let third = long(1).unwrap_err();
    assert!(
        third.contains(
            "number 3 after the format (in r3 of bpf_trace_vprintk) is an address that was stored there"
        ),
        "{third}"
    );
    for format in [b"%s\0\0\0\0\0\0\0\0\0\0\0\0\0\0", b"%d%d%d%d\0\0\0\0\0\0\0\0"] {
        let unknown = check(format, &numbers).unwrap_err();
        assert!(
            unknown.starts_with("Reason:     bpf_trace_printk: argument 1 (r1) must be a format of %d"),
            "{unknown}"
        );
    }
    // A format that is not known now may print all three.
    let unknown =
        |before: &[Insn]| judge(&prints(before, 16), &[MapDef { read_only: false, ..rodata }], &[None]);
    assert!(unknown(&numbers).is_ok());
    assert!(unknown(&numbers[..2]).is_err());
}

#[test]
fn arguments_are_told_with_what_is_there() {
    let lines = refused(&[i(0x85, 0, 0, 0, 87), EXIT], &[QUEUE]);
    assert_eq!(
        lines[0],
        "Reason:     bpf_map_push_elem: argument 1 (r1) must be a map, and is the address of the context"
    );
    assert!(
        lines.last().unwrap().starts_with("Suggestion: pass the address of a map that is declared"),
        "{lines:?}"
    );
    let reserve =
        |size: &[Insn]| program(&[size, &map(1, 0), &[i(0xb7, 3, 0, 0, 0), i(0x85, 0, 0, 0, 131), EXIT]]);
    let ring = MapDef { map_type: MapType::RingBuf, value_size: 0, max_entries: 4096, ..QUEUE };
    let lines = refused(&reserve(&[i(0x79, 2, 1, 0, 0)]), &[ring]);
    assert!(lines[0].ends_with("and is another number, or not a constant"), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("Suggestion: reserve a constant number of bytes"), "{lines:?}");
    // A call that hands over fewer arguments than the helper takes.
    let lines = refused(&program(&[&map(1, 0), &[i(0x85, 0, 0, 0, 87), EXIT]]), &[QUEUE]);
    assert_eq!(lines[0], "Reason:     bpf_map_push_elem: argument 2 (r2) has no value");
    let again = [i(0x85, 0, 0, 0, 5)];
    let lines = refused(&program(&[&again, &[i(0x85, 0, 0, 0, 87), EXIT]]), &[QUEUE]);
    assert_eq!(lines[0], "Reason:     bpf_map_push_elem: argument 1 (r1) has no value");
}

/// Loops in each other, each of so many passes, in an own function that is called: r6 to r9 count.
fn nested(loops: u8, passes: i32) -> Vec<Insn> {
    let mut code: Vec<Insn> = (0..loops).map(|n| i(0xb7, 6 + n, 0, 0, 0)).collect();
    for n in (0..loops).rev() {
        // do { r = 0 for those inside; ... } while (++r < passes): the innermost first.
        code.push(i(0x07, 6 + n, 0, 0, 1));
        let head = if n + 1 == loops { code.len() - 1 } else { (n + 1).into() };
        let back = head as i64 - code.len() as i64 - 1;
        code.push(i(0xa5, 6 + n, 0, back as i16, passes));
    }
    code.extend([i(0xb7, 0, 0, 0, 0), EXIT]);
    code
}

#[test]
fn what_no_number_can_tell_is_told_in_words() {
    let few = judge(&nested(2, 10), &[], &[]).unwrap();
    assert!((100..1000).contains(&few.max_insns), "{few:?}");
    let lines = refused(&nested(2, 900_000), &[]);
    assert!(
        lines[0].starts_with("Reason:     may execute 1620") && lines[0].ends_with("; the limit is 1000000"),
        "{lines:?}"
    );
    let lines = refused(&nested(4, 900_000), &[]);
    assert_eq!(
        lines[0],
        "Reason:     may execute more instructions than 64 bits can count; the limit is 1000000"
    );
    // It is told where most passes are, not at the program's beginning.
    assert!(lines[1].starts_with("At:         instruction 4: r9 += 0x1"), "{lines:?}");
    // A loop whose counter may take every value.
    let whole = [
        i(0x79, 2, 1, 0, 0),
        i(0xb7, 0, 0, 0, 0),
        i(0x07, 0, 0, 0, 1),
        i(0x1d, 0, 2, 1, 0),
        i(0x05, 0, 0, -3, 0),
        EXIT,
    ];
    let lines = refused(&whole, &[]);
    assert_eq!(
        lines[0],
        "Reason:     the loop at instruction 2 may run more often than 64 bits can count: r0 counts the passes, and nothing \
         bounds it sooner"
    );
}

#[test]
fn a_popped_value_is_written_and_a_loop_is_not_bounded_by_it() {
    let pop = |place: i32| {
        program(&[&map(1, 0), &[i(0xbf, 2, 10, 0, 0), i(0x07, 2, 0, 0, place), i(0x85, 0, 0, 0, 88)]])
    };
    let read = program(&[&pop(-8), &[i(0x79, 0, 10, -8, 0), EXIT]]);
    assert!(judge(&read, &[QUEUE], &[]).is_ok());
    let wrong = program(&[&pop(-8), &[i(0x79, 0, 10, -16, 0), EXIT]]);
    assert!(judge(&wrong, &[QUEUE], &[]).is_err(), "only the value's bytes were written");
    let outside = program(&[&pop(-4), &[i(0xb7, 0, 0, 0, 0), EXIT]]);
    assert!(judge(&outside, &[QUEUE], &[]).is_err());
    let context = program(&[
        &[i(0xbf, 6, 1, 0, 0)],
        &map(1, 0),
        &[i(0xbf, 2, 6, 0, 0), i(0x85, 0, 0, 0, 88), i(0xb7, 0, 0, 0, 0), EXIT],
    ]);
    let text = judge(&context, &[QUEUE], &[]).unwrap_err();
    assert!(text.starts_with("Reason:     writes the context, which is read-only"), "{text}");
    // The counter lies where the value goes: it may be anything after each pass.
    let head = [i(0x7a, 10, 0, -8, 0)];
    let count = [i(0x79, 3, 10, -8, 0), i(0x07, 3, 0, 0, 1), i(0x7b, 10, 3, -8, 0)];
    let looped = |place: i32| {
        let body = program(&[&pop(place), &count]);
        let back = [i(0xa5, 3, 0, -(body.len() as i16) - 1, 10), i(0xb7, 0, 0, 0, 0), EXIT];
        judge(&program(&[&head, &body, &back]), &[QUEUE], &[])
    };
    assert!(looped(-16).is_ok());
    let text = looped(-8).unwrap_err();
    assert!(text.contains("may run for ever"), "{text}");
}

#[test]
fn one_of_several_programs_must_be_named() {
    let object = Object::parse(CALLS).unwrap();
    let refused = choose(&object, "").unwrap_err();
    assert_eq!(refused.wrong, Wrong::Ambiguous);
    assert_eq!(refused.text, "the object has 2 programs: say which: first (timer/10hz), second (timer/10hz)");
    assert_eq!(choose(&object, "second").unwrap().section, "timer/10hz");
    let refused = choose(&object, "third").unwrap_err();
    assert_eq!(refused.wrong, Wrong::NotFound);
    assert!(
        refused.text.starts_with("the object has no program 'third'; it has: first (timer/"),
        "{}",
        refused.text
    );
    assert_eq!(choose(&Object::parse(FILTER).unwrap(), "").unwrap().name, "iio_filter");
}

#[test]
fn settings_change_data_or_patch_zeros() {
    let object = Object::parse(STATICS).unwrap();
    let of = |name: &str| object.maps().iter().position(|m| m.name == name).unwrap();
    let settings = [Setting { name: "before", value: -2 }, Setting { name: "between", value: 0x1_0000_0007 }];
    let c = Contents::new(&object, &settings).unwrap();
    let (bss, data, rodata) = (of(".bss"), of(".data"), of(".rodata"));
    assert_eq!(c.bytes(bss), None);
    let patch = *c.patches(bss).next().unwrap();
    assert_eq!((patch.offset, patch.size, &patch.bytes[..4]), (0, 4, &[0xfe, 0xff, 0xff, 0xff][..]));
    assert_eq!(c.patches(data).count(), 0);
    assert_eq!(c.bytes(data), Some(&[7, 0, 0, 0][..]));
    let known = c.constants().unwrap();
    assert_eq!(known[rodata].unwrap()[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!((known[data], known[bss]), (None, None));
    let refused = Contents::new(&object, &[Setting { name: "nobody", value: 0 }]).unwrap_err();
    assert_eq!(refused.text, "the object has no global number 'nobody' to set");
    let array = Contents::new(&object, &[Setting { name: "table", value: 0 }]).unwrap_err();
    assert_eq!(array.wrong, Wrong::NotFound, "16 bytes are no number");
}

#[test]
fn a_whole_object_is_judged_with_its_lines() {
    let object = Object::parse(FILTER).unwrap();
    let program = object.program(choose(&object, "").unwrap()).unwrap();
    let contents = Contents::new(&object, &[]).unwrap();
    let mut verifier = Verifier::new();
    let ctx = ProgramKind::Iio.layout();
    let mut judge = |ctx, room| {
        let (object, program, contents) = (&object, &program, &contents);
        Subject { object, program, contents, ctx, room }.verdict(&mut verifier)
    };
    let accepted = judge(ctx, None).unwrap();
    assert!(accepted.max_insns > 20 && accepted.maps.len() == 3);
    let small = CtxLayout { size: 8, ..ctx };
    let refused = judge(small, None).unwrap_err();
    assert_eq!(refused.wrong, Wrong::Verifier);
    assert!(
        refused.text.contains("At:         ") && refused.text.contains("iio_filter.c:"),
        "{}",
        refused.text
    );
    let none: fn(usize) -> bool = |_| false;
    let refused = judge(ctx, Some(none)).unwrap_err();
    assert!(refused.text.contains("given up"), "{}", refused.text);
}
