//! `docs/src/program-reference.md` is what the code says, complete: attach points, contexts, helpers, map types, limits. The page is made here;
//! `just reference` writes it, and this test fails where it is out of date.
use axiom_bpf_checker::state::{DEPTH, FRAME};
use axiom_bpf_isa::map::MapType;
use axiom_bpf_isa::proto::{Arg, HELPERS, HelperProto, Returns};
use axiom_bpf_isa::{ProgramKind, helper};
use axiom_bpf_maps::{MAX_BYTES, PAGE as PAGE_BYTES};
use axiom_bpf_object::{MAX_DATA, MAX_FUNCTIONS, MAX_INSNS, MAX_MAPS, MAX_PROGRAMS};
use axiom_bpf_server::{PER_POINT, PROGRAMS_PER_CLIENT, RATES_PER_CLIENT};
use axiom_proto::{bpf, bpf_host};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/program-reference.md");
const HEADER: &str = include_str!("../programs/include/axiom_bpf.h");

/// The kinds, with the header's structure and how an attach point is written. A new kind does not compile until it stands here.
fn kinds() -> Vec<(ProgramKind, &'static str, &'static str, &'static str)> {
    let all = [ProgramKind::Iio, ProgramKind::Timer, ProgramKind::Gpio, ProgramKind::Pwm];
    let told = all.map(|kind| match kind {
        ProgramKind::Iio => (kind, "iio/<device>/<channel>", "iio_event", "0 drops the sample"),
        ProgramKind::Timer => {
            (kind, "timer/<n>hz", "timer_event", "not looked at; `timer/<n>hz/hpet` where a PC has an HPET")
        }
        ProgramKind::Gpio => {
            (kind, "gpio/<chip>/<line>/<rising\\|falling\\|both>", "gpio_event", "not looked at")
        }
        ProgramKind::Pwm => (kind, "pwm/<chip>/<channel>", "pwm_event", "the most duty that is allowed"),
    });
    told.to_vec()
}

/// A structure of the header, as it stands there.
fn structure(name: &str) -> &'static str {
    let start = HEADER
        .find(&format!("struct {name} {{"))
        .unwrap_or_else(|| panic!("axiom_bpf.h has no struct {name}"));
    let end = HEADER[start..].find("};").expect("its end");
    &HEADER[start..start + end + 2]
}

/// Bytes of its members, padded to eight.
fn size(structure: &str) -> u32 {
    let bytes: u32 = structure
        .lines()
        .filter_map(|l| match l.split_whitespace().next()? {
            "__u64" | "__s64" => Some(8),
            "__u32" | "__s32" => Some(4),
            _ => None,
        })
        .sum();
    bytes.next_multiple_of(8)
}

fn argument(arg: Arg) -> Option<&'static str> {
    Some(match arg {
        Arg::None => return None,
        Arg::Number => "number",
        Arg::Map => "map",
        Arg::Key => "key",
        Arg::Value => "value",
        Arg::ValueOut => "value, written",
        Arg::Memory => "memory",
        Arg::Size => "its size",
        Arg::Printed => "number to print",
        Arg::ConstSize => "constant size",
        Arg::Reservation => "reservation",
    })
}

fn returns(returns: Returns) -> &'static str {
    match returns {
        Returns::Nothing => "nothing",
        Returns::Number => "number",
        Returns::Number32 => "number of 32 bits",
        Returns::ValueOrNull => "value or 0",
        Returns::ReservationOrNull => "reservation or 0",
    }
}

fn map_types() -> Vec<MapType> {
    (0..=u32::from(u16::MAX)).filter_map(MapType::from_number).collect()
}

fn names(maps: &[MapType]) -> String {
    maps.iter().map(|m| m.words()).collect::<Vec<_>>().join(", ")
}

fn number(id: u32) -> String {
    if id >= helper::OWN_FIRST { format!("{id:#x}") } else { id.to_string() }
}

fn row(out: &mut String, h: &HelperProto) {
    let arguments: Vec<&str> = h.args.into_iter().filter_map(argument).collect();
    let served: Vec<&str> = kinds()
        .into_iter()
        .filter(|k| k.0.helpers().contains(&h.id))
        .map(|k| k.1.split('/').next().unwrap_or_default())
        .collect();
    writeln!(
        out,
        "| `bpf_{}` | {} | {} | {} | {} | {} |",
        h.name,
        number(h.id),
        arguments.join("; "),
        returns(h.returns),
        names(h.maps),
        served.join(", ")
    )
    .unwrap();
}

/// What is limited, and to what: the constants that enforce it.
fn limits() -> Vec<(&'static str, String)> {
    let kib = |bytes: usize| format!("{} KiB", bytes >> 10);
    vec![
        ("an object", kib(bpf::MAX_OBJECT)),
        ("programs of an object", MAX_PROGRAMS.to_string()),
        ("maps of an object", MAX_MAPS.to_string()),
        ("functions of a program", MAX_FUNCTIONS.to_string()),
        ("instructions of a program", MAX_INSNS.to_string()),
        ("stack of a function", format!("{FRAME} bytes")),
        ("calls within calls", DEPTH.to_string()),
        ("`.rodata`, `.data` or `.bss`", kib(MAX_DATA as usize)),
        ("a map", format!("{} MiB", MAX_BYTES >> 20)),
        ("maps of one hosting server, together", kib(bpf_host::MAP_PAGES as usize * PAGE_BYTES)),
        ("maps of one hosting server", bpf_host::MAP_SLOTS.to_string()),
        ("code of one hosting server, together", kib(bpf_host::CODE_PAGES as usize * PAGE_BYTES)),
        ("programs of one hosting server", bpf_host::PROGRAMS.to_string()),
        ("programs of one client", PROGRAMS_PER_CLIENT.to_string()),
        ("programs of one client at one attach point", PER_POINT.to_string()),
        ("timer rates of one client", RATES_PER_CLIENT.to_string()),
        ("globals set at a load", bpf::MAX_SETTINGS.to_string()),
        ("a name (program, map, attach point)", format!("{} bytes", bpf::MAX_NAME)),
    ]
}

fn page() -> String {
    let mut out = String::from(
        "<!-- Made from the code by `just reference`: edit bpf-server/tests/reference.rs, not this page. -->\n\n# What a program can use\n\n\
         Complete: what is not here does not load. [Programs](programs.md) says how they are loaded and what they are for.\n\n\
         ## Attach points\n\n\
         | section | context | bytes | most instructions executed | result |\n|---|---|---|---|---|\n",
    );
    for (kind, section, context, result) in kinds() {
        writeln!(
            out,
            "| `SEC(\"{section}\")` | `struct {context}` | {} | {} | {result} |",
            kind.layout().size,
            kind.max_instructions()
        )
        .unwrap();
    }
    out += "\n## Contexts\n\nRead-only, in `r1`. What is read is as the event was: no program changes it.\n";
    for (_, _, context, _) in kinds() {
        write!(out, "\n```c\n{}\n```\n", structure(context)).unwrap();
    }
    out += "\n## Helpers\n\nLinux's numbers; Axiom's own from 0x10000.\n\n\
            | helper | number | arguments | returns | maps | attach points |\n|---|---|---|---|---|---|\n";
    HELPERS.iter().for_each(|h| row(&mut out, h));
    out += "\n## Map types\n\n| type | number | helpers |\n|---|---|---|\n";
    for map in map_types() {
        let helpers: Vec<String> =
            HELPERS.iter().filter(|h| h.maps.contains(&map)).map(|h| format!("`bpf_{}`", h.name)).collect();
        writeln!(out, "| {} | {} | {} |", map.words(), map as u32, helpers.join(", ")).unwrap();
    }
    out += "\n`.rodata`, `.data` and `.bss` are arrays of one value each.\n\n## Limits\n\n| of | at most |\n|---|---|\n";
    for (what, most) in limits() {
        writeln!(out, "| {what} | {most} |").unwrap();
    }
    out
}

#[test]
fn the_page_is_what_the_code_says() {
    let made = page();
    if std::env::var_os("AXIOM_WRITE_DOCS").is_some() {
        std::fs::write(PAGE, &made).expect("the page can be written");
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    let line = made.lines().zip(found.lines()).find(|(a, b)| a != b);
    assert!(made == found, "{PAGE} is out of date: `just reference` writes it; first: {line:?}");
}

#[test]
fn every_context_has_the_size_that_the_verifier_knows() {
    for (kind, _, context, _) in kinds() {
        assert_eq!(size(structure(context)), kind.layout().size, "{context}");
    }
}

#[test]
fn the_header_offers_every_helper_and_map_type_and_no_other() {
    for h in HELPERS {
        let declared = HEADER.lines().find(|l| l.contains(&format!("const bpf_{})(", h.name)));
        assert!(
            declared.is_some_and(|l| l.ends_with(&format!("= (void *){};", number(h.id)))),
            "{}: {declared:?}",
            h.name
        );
    }
    assert_eq!(HEADER.matches("= (void *)").count(), HELPERS.len());
    for map in map_types() {
        assert!(HEADER.contains(&format!(" = {},", map as u32)), "{map:?}");
    }
    assert_eq!(HEADER.matches("  BPF_MAP_TYPE_").count(), map_types().len());
}
