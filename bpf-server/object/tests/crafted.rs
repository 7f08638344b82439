//! Objects made by hand, for what clang does not write: every rule of the linker and of the containers, with the smallest object
//! that breaks it.

use axiom_bpf_isa::{Insn, MapType, pseudo};
use axiom_bpf_object::{Contents, MAX_FUNCTIONS, MAX_INSNS, MAX_MAPS, MAX_PROGRAMS, Object};

/// A section: name, type, flags, data, size in memory (for NOBITS), link, info.
#[derive(Clone)]
struct Section {
    name: &'static str,
    kind: u32,
    flags: u64,
    data: Vec<u8>,
    size: u64,
    info: u32,
}

/// A symbol: name, type, global, section, value, size.
type Symbol = (String, u8, bool, u16, u64, u64);

#[derive(Clone, Default)]
struct Builder {
    sections: Vec<Section>,
    symbols: Vec<Symbol>,
}

const CODE: u64 = 6;
const DATA: u64 = 3;
const FUNC: u8 = 2;
const OBJECT: u8 = 1;
const SECTION: u8 = 3;

fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

fn lddw(src: u8, imm: i32, next: i32) -> [Insn; 2] {
    [i(0x18, 1, src, 0, imm), i(0, 0, 0, 0, next)]
}

const END: [Insn; 2] = [Insn::new(0xb7, 0, 0, 0, 0), Insn::new(0x95, 0, 0, 0, 0)];

impl Builder {
    /// Adds a section; returns its number.
    fn section(&mut self, name: &'static str, kind: u32, flags: u64, data: &[u8]) -> u16 {
        self.sections.push(Section {
            name,
            kind,
            flags,
            data: data.to_vec(),
            size: data.len() as u64,
            info: 0,
        });
        self.sections.len() as u16
    }
    fn code(&mut self, name: &'static str, insns: &[Insn]) -> u16 {
        let bytes: Vec<u8> = insns.iter().flat_map(|i| i.to_bytes()).collect();
        self.section(name, 1, CODE, &bytes)
    }
    fn symbol(&mut self, name: &str, kind: u8, section: u16, value: u64, size: u64) -> u32 {
        self.symbols.push((name.into(), kind, kind == FUNC, section, value, size));
        self.symbols.len() as u32
    }
    /// Relocations of a section: offset, type, symbol.
    fn relocate(&mut self, section: u16, kind: u32, records: &[(u64, u32, u32)]) {
        let mut data = Vec::new();
        for (offset, kind, symbol) in records {
            data.extend(offset.to_le_bytes());
            data.extend((u64::from(*symbol) << 32 | u64::from(*kind)).to_le_bytes());
        }
        self.section(".rel", kind, 0, &data);
        self.sections.last_mut().unwrap().info = section.into();
    }
    fn build(&self) -> Vec<u8> {
        let mut names = vec![0u8];
        let mut name = |text: &str| {
            let at = names.len() as u32;
            names.extend(text.as_bytes());
            names.push(0);
            at
        };
        let mut table = vec![0u8; 24];
        for (text, kind, global, section, value, size) in &self.symbols {
            table.extend(name(text).to_le_bytes());
            table.extend([kind | u8::from(*global) << 4, 0]);
            table.extend(section.to_le_bytes());
            table.extend(value.to_le_bytes());
            table.extend(size.to_le_bytes());
        }
        let titles: Vec<u32> = self.sections.iter().map(|s| name(s.name)).collect();
        let (strtab, symtab) = (name(".strtab"), name(".symtab"));
        let mut file = vec![0u8; 64];
        let mut headers = vec![0u8; 64];
        let strings = self.sections.len() as u32 + 1;
        let mut header = |name: u32, kind: u32, flags: u64, data: &[u8], size: u64, link: u32, info: u32| {
            file.resize(file.len().next_multiple_of(8), 0);
            headers.extend(name.to_le_bytes());
            headers.extend(kind.to_le_bytes());
            for word in [flags, 0, file.len() as u64, size] {
                headers.extend(word.to_le_bytes());
            }
            headers.extend(link.to_le_bytes());
            headers.extend(info.to_le_bytes());
            headers.extend([0; 16]);
            file.extend(data);
        };
        for (s, title) in self.sections.iter().zip(titles) {
            header(title, s.kind, s.flags, &s.data, s.size, 0, s.info);
        }
        header(strtab, 3, 0, &names, names.len() as u64, 0, 0);
        header(symtab, 2, 0, &table, table.len() as u64, strings, 0);
        file.resize(file.len().next_multiple_of(8), 0);
        let at = file.len() as u64;
        file.extend(&headers);
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18] = 247;
        file[0x28..0x30].copy_from_slice(&at.to_le_bytes());
        file[0x3a] = 64;
        file[0x3c..0x3e].copy_from_slice(&((headers.len() / 64) as u16).to_le_bytes());
        file[0x3e] = strings as u8;
        file
    }
    /// The first program's instructions.
    fn read(&self) -> Result<Vec<Insn>, String> {
        let bytes = self.build();
        let object = Object::parse(&bytes).map_err(|e| e.to_string())?;
        object.program(&object.programs()[0]).map(|p| p.insns).map_err(|e| e.to_string())
    }
    fn refusal(&self) -> String {
        self.read().expect_err("accepted")
    }
}

/// One program of these instructions in `timer/10hz`, which is section 1.
fn one(insns: &[Insn]) -> Builder {
    let mut b = Builder::default();
    b.code("timer/10hz", insns);
    b.symbol("program", FUNC, 1, 0, insns.len() as u64 * 8);
    b
}

#[test]
fn only_global_functions_outside_text_are_programs() {
    let mut b = one(&END);
    b.code(".text", &END);
    b.symbol("in_text", FUNC, 2, 0, 16);
    b.symbol("no_function", OBJECT, 1, 8, 8);
    b.symbols.push(("hidden".into(), FUNC, false, 1, 8, 8));
    b.section(".data", 1, DATA, &[0; 8]);
    b.symbol("in_data", FUNC, 3, 0, 8);
    b.symbol("nowhere", FUNC, 77, 0, 8);
    let bytes = b.build();
    let object = Object::parse(&bytes).unwrap();
    assert_eq!(object.programs().iter().map(|p| p.name).collect::<Vec<_>>(), ["program"]);
    let mut none = Builder::default();
    none.code(".text", &END);
    none.symbol("in_text", FUNC, 1, 0, 16);
    assert!(none.refusal().starts_with("the object holds no program: mark a function with SEC("));
    let mut empty = Builder::default();
    empty.code("timer/10hz", &[]);
    empty.symbol("program", FUNC, 1, 0, 0);
    assert!(empty.refusal().starts_with("the object holds no program"));
    let mut many = one(&END);
    for n in 1..MAX_PROGRAMS {
        many.symbol(&format!("p{n}"), FUNC, 1, 0, 16);
    }
    assert_eq!(Object::parse(&many.build()).unwrap().programs().len(), MAX_PROGRAMS);
    many.symbol("one_more", FUNC, 1, 0, 16);
    assert!(many.refusal().starts_with(&format!("the object has more than {MAX_PROGRAMS} programs")));
}

#[test]
fn an_address_is_section_plus_value_plus_addend() {
    let mut b = one(&[&lddw(0, 4, 0)[..], &lddw(0, 0, 0), &lddw(0, 7, 0), &END].concat());
    b.section(".data", 1, DATA, &[5; 16]);
    let section = b.symbol("", SECTION, 2, 0, 0);
    let variable = b.symbol("variable", OBJECT, 2, 8, 8);
    // Out of order: they belong to their instructions all the same.
    b.relocate(1, 9, &[(32, 1, variable), (0, 1, section), (16, 1, variable)]);
    let insns = b.read().unwrap();
    let loads: Vec<_> =
        [0, 2, 4].iter().map(|&at| (insns[at].src(), insns[at].imm, insns[at + 1].imm)).collect();
    assert_eq!(loads, [(pseudo::MAP_VALUE, 0, 4), (pseudo::MAP_VALUE, 0, 8), (pseudo::MAP_VALUE, 0, 15)]);
    assert_eq!(insns[0].dst(), 1);
    // One byte beyond, below, and 4 GiB beyond.
    for (imm, next, shown) in [(8, 0, 16u64), (-9, 0, 0xffff_ffff), (0, 1, 1 << 32 | 8), (-8, -1, 0)] {
        let mut b = one(&[&lddw(0, imm, next)[..], &END].concat());
        b.section(".data", 1, DATA, &[5; 16]);
        let variable = b.symbol("variable", OBJECT, 2, 8, 8);
        b.relocate(1, 9, &[(0, 1, variable)]);
        if shown == 0 {
            assert_eq!(b.read().unwrap()[1].imm, 0, "the addend has 64 bits");
            continue;
        }
        let text = b.refusal();
        let wanted = format!(
            "instruction 0 of section 'timer/10hz' refers to 'variable', at offset {shown} of section '.data', which has 16 bytes"
        );
        assert!(text.starts_with(&wanted), "{text}");
    }
}

/// A section's symbol plus what the instruction holds: which function, or which byte, is meant.
#[test]
fn what_an_address_names_is_symbol_plus_addend() {
    let takes = |addend: i32| {
        let mut b = one(&[&lddw(0, addend, 0)[..], &END].concat());
        b.code(".text", &[END, END].concat());
        b.symbols.push(("first".into(), FUNC, false, 2, 0, 16));
        b.symbols.push(("second".into(), FUNC, false, 2, 16, 16));
        b.symbols.push(("".into(), SECTION, false, 2, 0, 0));
        b.relocate(1, 9, &[(0, 1, 4)]);
        b.refusal()
    };
    for (addend, name) in
        [(0, "function 'first'"), (16, "function 'second'"), (8, "byte 8 of section '.text'")]
    {
        let text = takes(addend);
        assert!(text.contains(&format!("takes the address of {name}: callbacks")), "{text}");
    }
}

#[test]
fn relocations_fit_their_instructions() {
    let load = [&lddw(0, 0, 0)[..], &END].concat();
    let with = |insns: &[Insn], records: &[(u64, u32, u32)]| {
        let mut b = one(insns);
        b.section(".bss", 8, DATA, &[]);
        b.sections.last_mut().unwrap().size = 8;
        b.symbol("zero", OBJECT, 2, 0, 8);
        b.relocate(1, 9, records);
        b
    };
    assert!(with(&load, &[(0, 1, 2)]).read().is_ok());
    for (records, text) in [
        (
            &[(0u64, 2u32, 2u32)][..],
            "has a relocation of type 2 against 'zero', which does not fit its opcode 0x18",
        ),
        (
            &[(16, 1, 2)],
            "instruction 2 of section 'timer/10hz' has a relocation of type 1 against 'zero', which does not fit its opcode 0xb7",
        ),
        (
            &[(8, 1, 2)],
            "instruction 1 of section 'timer/10hz' has a relocation that points into the middle of it",
        ),
        (
            &[(4, 1, 2)],
            "instruction 0 of section 'timer/10hz' has a relocation that points into the middle of it",
        ),
        (
            &[(0, 1, 2), (0, 1, 2)],
            "instruction 0 of section 'timer/10hz' has a relocation that points into the middle of it",
        ),
        (
            &[(0, 1, 0)],
            "instruction 0 of section 'timer/10hz' needs a symbol without a name, which the object does not define",
        ),
        (&[(0, 1, 99)], "a symbol (24 bytes) reaches beyond the end"),
        (
            &[(0, 1, 1)],
            "instruction 0 of section 'timer/10hz' takes the address of function 'program': callbacks",
        ),
    ] {
        let got = with(&load, records).refusal();
        assert!(got.contains(text), "{records:?}: {got}");
    }
    // What lies outside the function is another's.
    assert!(with(&load, &[(0, 1, 2), (32, 1, 2), (4000, 77, 99)]).read().is_ok());
    // A wide load that is cut off is the verifier's to refuse, unless it has a relocation.
    assert_eq!(with(&[END[0], lddw(0, 0, 0)[0]], &[]).read().unwrap().len(), 2);
    assert!(with(&[END[0], lddw(0, 0, 0)[0]], &[(8, 1, 2)]).refusal().contains("points into the middle"));
    for (kind, what) in [
        (1, "a map"),
        (2, "a value of a map"),
        (3, "a variable of a kernel"),
        (4, "a function"),
        (5, "a map by its index"),
        (6, "a value of a map by its index"),
        (7, "something unknown"),
    ] {
        let text = with(&[&lddw(kind, 0, 0)[..], &END].concat(), &[]).refusal();
        assert!(text.contains(&format!("loads the address of {what} (a 64-bit")), "{text}");
    }
    for kind in 1..=15 {
        let text = with(&[&lddw(kind, 0, 0)[..], &END].concat(), &[]).refusal();
        assert!(text.contains(&format!("(a 64-bit load of kind {kind}) without a relocation")), "{text}");
        // The byte where the instruction stands.
        assert!(text.ends_with("(byte 64 of the object)"), "{text}");
    }
    // A constant stays what it is, whatever its second half looks like.
    let constant = lddw(0, -5, 0x1800_0018u32 as i32);
    assert_eq!(with(&[&constant[..], &END].concat(), &[]).read().unwrap()[..2], constant);
}

#[test]
fn tables_of_relocations_are_one_each_and_of_the_known_kind() {
    let load = [&lddw(0, 0, 0)[..], &END].concat();
    let base = || {
        let mut b = one(&load);
        b.section(".data", 1, DATA, &[0; 8]);
        b.symbol("zero", OBJECT, 2, 0, 8);
        b
    };
    let mut twice = base();
    twice.relocate(1, 9, &[(0, 1, 2)]);
    twice.relocate(1, 9, &[(0, 1, 2)]);
    assert!(twice.refusal().starts_with("section 'timer/10hz' has two tables of relocations"));
    let mut addends = base();
    addends.relocate(1, 4, &[(0, 1, 2)]);
    assert!(
        addends
            .refusal()
            .starts_with("section 'timer/10hz': its relocations are not of the kind (REL, 16 bytes each)")
    );
    let mut odd = base();
    odd.relocate(1, 9, &[(0, 1, 2)]);
    odd.sections.last_mut().unwrap().data.push(0);
    odd.sections.last_mut().unwrap().size += 1;
    assert!(odd.refusal().contains("its relocations are not of the kind"));
    let mut nowhere = base();
    nowhere.relocate(50, 9, &[(0, 1, 2)]);
    assert!(nowhere.refusal().starts_with("relocations for section 50, which does not exist"));
    // An empty table is none, and debug information is nobody's business, whatever the kind.
    let mut quiet = base();
    quiet.relocate(1, 4, &[]);
    let debug = quiet.section(".debug_info", 1, 0, &[0; 8]);
    quiet.relocate(debug, 4, &[(0, 1, 2)]);
    quiet.relocate(1, 9, &[(0, 1, 2)]);
    assert!(quiet.read().is_ok());
    // In data: named by its variable if there is one; jump tables are told.
    for (name, text) in [
        (
            ".data",
            "'zero' in section '.data' (byte 0) holds the address of 'zero': data cannot hold addresses here",
        ),
        (
            ".jumptables",
            "'table' in section '.jumptables' (byte 0) is a jump table: compile with -fno-jump-tables",
        ),
    ] {
        let mut b = base();
        let target = if name == ".data" { 2 } else { b.section(name, 1, 2, &[0; 8]) };
        if name != ".data" {
            b.symbol("table", OBJECT, target, 0, 8);
        }
        b.relocate(target, 9, &[(0, 2, 2)]);
        assert!(b.refusal().starts_with(text), "{}", b.refusal());
    }
    let mut unnamed = base();
    unnamed.symbols[1].5 = 4;
    unnamed.relocate(2, 9, &[(4, 2, 2)]);
    assert!(
        unnamed.refusal().starts_with("section '.data' (byte 4) holds the address of 'zero'"),
        "{}",
        unnamed.refusal()
    );
    // A jump table that code refers to, and other sections that are neither map nor data.
    for (name, text) in [
        (
            ".jumptables",
            "instruction 0 of section 'timer/10hz' uses a jump table: compile with -fno-jump-tables",
        ),
        (
            "license",
            "takes the address of 'table' in section 'license', which is neither a map nor data (byte",
        ),
    ] {
        let mut b = one(&load);
        b.section(name, 1, 2, &[0; 8]);
        b.symbol("table", OBJECT, 2, 0, 8);
        b.relocate(1, 9, &[(0, 1, 2)]);
        assert!(b.refusal().contains(text), "{}", b.refusal());
    }
    let mut empty = one(&load);
    empty.section(".bss", 8, DATA, &[]);
    empty.symbol("", SECTION, 2, 0, 0);
    empty.relocate(1, 9, &[(0, 1, 2)]);
    assert!(empty.refusal().contains("takes the address of byte 0 of section '.bss' in section '.bss', which is neither a map nor data: the section is empty"), "{}", empty.refusal());
}

#[test]
fn calls_are_linked_by_symbol_and_by_distance() {
    let call = |imm: i32| i(0x85, 0, 1, 0, imm);
    let callee = [i(0xb7, 0, 0, 0, 42), END[1]];
    // By relocation against the section: the distance in slots minus one is in the field.
    let mut b = one(&[&[call(1)], &END[..]].concat());
    b.code(".text", &[&END[..], &callee].concat());
    b.symbols.push(("other".into(), FUNC, false, 2, 0, 16));
    b.symbols.push(("callee".into(), FUNC, false, 2, 16, 16));
    b.symbols.push(("".into(), SECTION, false, 2, 0, 0));
    b.relocate(1, 9, &[(0, 10, 4)]);
    let insns = b.read().unwrap();
    assert_eq!((insns.len(), insns[0].imm, insns[3].imm), (5, 2, 42));
    // By the symbol itself.
    let mut by_name = b.clone();
    by_name.sections[0].data[4..8].copy_from_slice(&(-1i32).to_le_bytes());
    by_name.sections[2].data[8..16].copy_from_slice(&(3u64 << 32 | 10).to_le_bytes());
    assert_eq!(by_name.read().unwrap(), insns);
    // Twice: the function is there once.
    let mut twice = one(&[&[call(1), call(1)], &END[..]].concat());
    twice.sections.push(b.sections[1].clone());
    twice.symbols = b.symbols.clone();
    twice.symbols[0].5 = 32;
    twice.relocate(1, 9, &[(0, 10, 4), (8, 10, 4)]);
    let linked = twice.read().unwrap();
    assert_eq!((linked.len(), linked[0].imm, linked[1].imm), (6, 3, 2));
    // Inside a section, without a relocation; a function that is not at its start.
    let mut inside = one(&[&END[..], &[call(-3)], &END[..], &callee].concat());
    inside.symbols[0] = ("program".into(), FUNC, true, 1, 16, 24);
    inside.symbol("first", FUNC, 1, 0, 16);
    let insns = inside.read().unwrap();
    assert_eq!((insns.len(), insns[0].imm, insns[3].imm), (5, 2, 0));
    let bad = |imm: i32| {
        let mut b = inside.clone();
        b.sections[0].data[20..24].copy_from_slice(&imm.to_le_bytes());
        b.refusal()
    };
    assert!(bad(-4).starts_with("a call leads before the start of its section"), "{}", bad(-4));
    assert!(
        bad(-2).starts_with("a call leads to byte 0x8 of its section, where no function starts"),
        "{}",
        bad(-2)
    );
    assert!(bad(-2).ends_with("(byte 80 of the object)"), "{}", bad(-2));
    // A call with the wrong kind of relocation, of an undefined function, of a symbol between two slots.
    let change = |f: &dyn Fn(&mut Builder)| {
        let mut b = b.clone();
        f(&mut b);
        b.refusal()
    };
    let text = change(&|b| b.sections[2].data[8] = 1);
    assert!(text.contains("has a relocation of type 1 against"), "{text}");
    let text = change(&|b| b.symbols[3].3 = 0);
    assert!(text.contains("calls a symbol without a name, which the object does not define"), "{text}");
    let text = change(&|b| b.symbols[3].4 = 4);
    assert!(text.contains("which does not fit its opcode 0x85"), "{text}");
    // A helper's call has none.
    let text = change(&|b| b.sections[0].data[1] = 0);
    assert!(text.contains("has a relocation of type 10 against"), "{text}");
}

#[test]
fn functions_are_whole_and_limited() {
    let mut assembly = one(&END);
    assembly.symbols[0].5 = 0;
    assert_eq!(assembly.read().unwrap().len(), 2, "a function without a size ends with its section");
    for (value, size, text) in [
        (0u64, 12u64, "a function is not made of whole 8-byte instructions"),
        (4, 8, "a function is not made of whole 8-byte instructions"),
        (16, 0, "a function is not made of whole 8-byte instructions"),
        (0, 24, "a function (24 bytes) reaches beyond the end"),
        (u64::MAX, 8, "reaches beyond the end"),
    ] {
        let mut b = one(&END);
        (b.symbols[0].4, b.symbols[0].5) = (value, size);
        assert!(b.refusal().contains(text), "{value} {size}: {}", b.refusal());
    }
    let most: Vec<Insn> = (0..MAX_INSNS - 2).map(|_| END[0]).chain(END).collect();
    assert_eq!(one(&most).read().unwrap().len(), MAX_INSNS);
    let more: Vec<Insn> = [&most[..], &END[..1]].concat();
    assert!(one(&more).refusal().starts_with(&format!("the program has more than {MAX_INSNS} instructions")));
    // A chain of functions, each calling the next.
    let chain = |functions: usize| {
        let mut insns = Vec::new();
        for n in 0..functions {
            let next = if n + 1 < functions { i(0x85, 0, 1, 0, 1) } else { END[0] };
            insns.extend([next, END[1]]);
        }
        let mut b = one(&insns);
        b.symbols.clear();
        for n in 0..functions {
            b.symbols.push((format!("f{n}"), FUNC, n == 0, 1, n as u64 * 16, 16));
        }
        b.read()
    };
    assert_eq!(chain(MAX_FUNCTIONS).unwrap().len(), 2 * MAX_FUNCTIONS);
    assert!(
        chain(MAX_FUNCTIONS + 1)
            .unwrap_err()
            .starts_with(&format!("the program reaches more than {MAX_FUNCTIONS} functions"))
    );
}

#[test]
fn data_sections_are_maps_of_one_value() {
    let mut b = one(&END);
    b.section(".rodata.str1.1", 1, 2, b"abc\0");
    b.section(".data.special", 1, DATA, &[7; 12]);
    b.section(".bss", 8, DATA, &[]);
    b.sections.last_mut().unwrap().size = 1 << 20;
    b.section(".database", 1, DATA, &[1; 4]);
    b.section(".rodata", 1, 2, &[]);
    let bytes = b.build();
    let object = Object::parse(&bytes).unwrap();
    let maps: Vec<_> =
        object.maps().iter().map(|m| (m.name, m.def.value_size, m.def.read_only, m.contents)).collect();
    assert_eq!(
        maps,
        [
            (".rodata.str1.1", 4, true, Contents::Data(&b"abc\0"[..])),
            (".data.special", 12, false, Contents::Data(&[7; 12][..])),
            (".bss", 1 << 20, false, Contents::Zero),
        ]
    );
    let def = object.maps()[0].def;
    assert_eq!((def.map_type, def.key_size, def.max_entries, def.flags), (MapType::Array, 4, 1, 0));
    b.sections[3].size += 1;
    assert!(b.refusal().starts_with(".bss is larger than 1 MiB"));
    b.sections[3].size = u64::MAX;
    assert!(b.refusal().starts_with(".bss is larger than 1 MiB"));
    let mut many = one(&END);
    for _ in 0..MAX_MAPS {
        many.section(".data", 1, DATA, &[1]);
    }
    assert_eq!(Object::parse(&many.build()).unwrap().maps().len(), MAX_MAPS);
    many.section(".data", 1, DATA, &[1]);
    assert!(many.refusal().starts_with(&format!("the object has more than {MAX_MAPS} maps")));
    for (name, text) in [
        (".maps", "the object declares maps but has no BTF: compile with -g"),
        ("maps", "maps in a section 'maps' are of the old kind"),
    ] {
        let mut b = one(&END);
        b.section(name, 1, DATA, &[0; 32]);
        b.symbol("m", OBJECT, 2, 0, 32);
        assert!(b.refusal().starts_with(text), "{}", b.refusal());
        b.sections[1].flags = CODE;
        assert!(b.read().is_ok(), "code is no map, whatever its name");
    }
}

#[test]
fn globals_lie_inside_their_sections() {
    let mut b = one(&END);
    b.section(".data", 1, DATA, &[7; 12]);
    b.symbol("last", OBJECT, 2, 8, 4);
    b.symbol("over", OBJECT, 2, 9, 4);
    b.symbol("far", OBJECT, 2, u64::MAX, 4);
    b.symbol("code", OBJECT, 1, 0, 4);
    b.symbol("undefined", OBJECT, 0, 0, 4);
    b.symbol("lastly", OBJECT, 2, 0, 4);
    let bytes = b.build();
    let object = Object::parse(&bytes).unwrap();
    let last = object.global("last").unwrap();
    assert_eq!((last.map, last.offset, last.size), (0, 8, 4));
    for name in ["over", "far", "code", "undefined", "las", ""] {
        assert_eq!(object.global(name), None, "{name}");
    }
    assert_eq!(object.license(), None);
}

#[test]
fn names_end_and_are_cut_for_sentences() {
    let long = format!("{}\u{e4}{}", "x".repeat(79), "y".repeat(900));
    let mut b = one(&[&lddw(0, 0, 0)[..], &END].concat());
    let symbol = b.symbol(&long, OBJECT, 0, 0, 0);
    b.relocate(1, 9, &[(0, 1, symbol)]);
    let text = b.refusal();
    assert!(text.contains(&format!("needs '{}', which", "x".repeat(79))), "{text}");
    b.symbols[1].0 = "z".repeat(1023);
    assert!(b.refusal().contains(&format!("needs '{}', which", "z".repeat(80))));
    b.symbols[1].0 = "z".repeat(1024);
    assert!(
        b.refusal().starts_with("a name is not zero-terminated UTF-8 text of at most 1023 bytes"),
        "{}",
        b.refusal()
    );
}

#[test]
fn containers_that_are_not_what_they_should_be() {
    let good = one(&END).build();
    let table = u64::from_le_bytes(good[0x28..0x30].try_into().unwrap()) as usize;
    let with = |changes: &[(usize, u8)]| {
        let mut bytes = good.clone();
        changes.iter().for_each(|(at, b)| bytes[*at] = *b);
        Object::parse(&bytes).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(with(&[]), "");
    for (changes, text) in [
        (&[(4usize, 1u8)][..], "the object is not 64-bit little-endian"),
        (&[(5, 2)], "the object is not 64-bit little-endian"),
        (&[(0x3a, 56)], "section headers of 56 bytes, not 64"),
        (&[(0x3e, 4)], "section 4 should hold the section names, but there are 4 sections"),
        (&[(0x3c, 200)], "the section header table"),
        (&[(0x2f, 1)], "the section header table"),
        // The first section's offset.
        (&[(table + 64 + 31, 0x7f)], "a section (16 bytes) reaches beyond the end"),
        // Its name.
        (&[(table + 64 + 1, 0x7f)], "a name is not zero-terminated"),
    ] {
        let got = with(changes);
        assert!(got.starts_with(text), "{changes:?}: {got}");
    }
}

/// BTF by hand: types in order, and the names that they use.
struct Types {
    types: Vec<u8>,
    strings: Vec<u8>,
    count: u32,
}

impl Types {
    fn new() -> Types {
        Types { types: Vec::new(), strings: vec![0], count: 0 }
    }
    fn name(&mut self, name: &str) -> u32 {
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }
    /// Adds a type; returns its number.
    fn add(&mut self, name: &str, kind: u32, count: u32, size_or_type: u32, extra: &[u32]) -> u32 {
        let name = if name.is_empty() { 0 } else { self.name(name) };
        for word in [name, kind << 24 | count, size_or_type].iter().chain(extra) {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }
    /// `int (*)[n]`, which is how a number is written.
    fn number(&mut self, n: u32) -> u32 {
        let array = self.add("", 3, 0, 0, &[1, 1, n]);
        self.add("", 2, 0, array, &[])
    }
    fn section(&self) -> Vec<u8> {
        let mut s = vec![0x9f, 0xeb, 1, 0];
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [24, 0, types, types, strings] {
            s.extend(word.to_le_bytes());
        }
        s.extend(&self.types);
        s.extend(&self.strings);
        s
    }
}

/// An object with one map `m`, whose type these types are; `before` adds types in front.
fn mapped(
    before: impl FnOnce(&mut Types),
    attributes: &[(&str, u32)],
) -> Result<axiom_bpf_isa::MapDef, String> {
    let mut t = Types::new();
    let int = t.add("int", 1, 0, 4, &[32]);
    assert_eq!(int, 1);
    before(&mut t);
    let mut members = Vec::new();
    for (name, n) in attributes {
        let ty = t.number(*n);
        let name = t.name(name);
        members.extend([name, ty, 0]);
    }
    let shape = t.add("", 4, attributes.len() as u32, 8 * attributes.len() as u32, &members);
    // Behind a typedef and a qualifier, as people write it.
    let constant = t.add("", 10, 0, shape, &[]);
    let alias = t.add("shape_t", 8, 0, constant, &[]);
    let variable = t.add("m", 14, 0, alias, &[1]);
    t.add(".maps", 15, 1, 32, &[variable, 0, 32]);
    built(&t)
}

fn built(t: &Types) -> Result<axiom_bpf_isa::MapDef, String> {
    let mut b = one(&END);
    b.section(".maps", 1, DATA, &[0; 32]);
    b.section(".BTF", 1, 0, &t.section());
    b.symbol("m", OBJECT, 2, 0, 32);
    let bytes = b.build();
    Object::parse(&bytes).map(|o| o.maps()[0].def).map_err(|e| e.to_string())
}

const ARRAY_OF_3: [(&str, u32); 4] = [("type", 2), ("key_size", 4), ("value_size", 8), ("max_entries", 3)];

#[test]
fn maps_are_read_from_their_types() {
    let def = mapped(|_| {}, &ARRAY_OF_3).unwrap();
    assert_eq!((def.map_type, def.key_size, def.value_size, def.max_entries), (MapType::Array, 4, 8, 3));
    assert_eq!((def.flags, def.read_only), (0, false));
    let def = mapped(|_| {}, &[("type", 1), ("map_flags", 1), ("pinning", 1), ("map_extra", 7)]).unwrap();
    assert_eq!((def.map_type, def.flags), (MapType::Hash, 1));
    for (attributes, text) in [
        (&[("type", 99)][..], "map 'm': map type 99 is not supported (hash 1, array 2, per-CPU hash 5,"),
        (&[("max_entries", 3)], "map 'm' does not say its type"),
        (&[("type", 2), ("values", 3)], "map 'm': attribute 'values' is not supported"),
    ] {
        let got = mapped(|_| {}, attributes).unwrap_err();
        assert!(got.starts_with(text), "{got}");
    }
}

#[test]
fn a_type_of_an_unknown_kind_may_have_any_length_that_kinds_have() {
    for (count, words) in [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (9, 9), (9, 18), (9, 27), (9, 36)] {
        let add = |t: &mut Types| {
            t.add("new", 29, count, 0, &vec![u32::MAX; words as usize]);
        };
        let got = mapped(add, &ARRAY_OF_3);
        assert_eq!(got.map(|d| d.max_entries), Ok(3), "{count} members, {words} words");
    }
    // Another length is not guessed, and two of them are not either.
    for unknown in [&[(9u32, 7usize)][..], &[(0, 1), (0, 1)]] {
        let add = |t: &mut Types| {
            for (members, words) in unknown {
                t.add("new", 29, *members, 0, &vec![u32::MAX; *words]);
            }
        };
        let got = mapped(add, &ARRAY_OF_3);
        assert!(
            got.as_ref().is_err_and(
                |e| e.starts_with("map 'm' has no BTF type that can be read: type 2 is of kind 29,")
            ),
            "{got:?}"
        );
    }
    // What stands before it can be read, what stands behind it is told.
    let mut t = Types::new();
    t.add("int", 1, 0, 4, &[32]);
    let variable = t.count + 2;
    t.add(".maps", 15, 1, 32, &[variable, 0, 32]);
    t.add("m", 14, 0, 5, &[1]);
    t.add("new", 29, 9, 0, &[u32::MAX; 7]);
    t.add("", 4, 0, 0, &[]);
    let text = built(&t).unwrap_err();
    assert!(
        text.starts_with(
            "BTF type 5 cannot be read: type 4 before it is of kind 29, which is not known here"
        ),
        "{text}"
    );
    let mut t = Types::new();
    t.add("int", 1, 0, 4, &[32]);
    t.add(".maps", 15, 1, 32, &[3, 0, 32]);
    t.add("m", 14, 0, 77, &[1]);
    assert!(built(&t).unwrap_err().starts_with("BTF type 77 does not exist"));
    let mut t = Types::new();
    t.add("int", 1, 0, 4, &[32]);
    t.add(".maps", 15, 1, 32, &[0, 0, 32]);
    assert!(built(&t).unwrap_err().starts_with("BTF type 0 does not exist"));
    // No struct; typedefs in a circle; another section's variable; no type at all.
    let mut t = Types::new();
    t.add("int", 1, 0, 4, &[32]);
    t.add(".maps", 15, 1, 32, &[3, 0, 32]);
    t.add("m", 14, 0, 1, &[1]);
    assert!(built(&t).unwrap_err().starts_with("map 'm' is not declared as a struct"));
    let mut t = Types::new();
    t.add("round", 8, 0, 1, &[]);
    t.add(".maps", 15, 1, 32, &[3, 0, 32]);
    t.add("m", 14, 0, 1, &[1]);
    assert!(built(&t).unwrap_err().contains("typedefs nest deeper than 32"));
    let mut t = Types::new();
    t.add("", 4, 0, 0, &[]);
    t.add(".data", 15, 1, 32, &[3, 0, 32]);
    t.add("m", 14, 0, 1, &[1]);
    assert!(built(&t).unwrap_err().starts_with("map 'm' has no BTF type: compile with -g"));
}

#[test]
fn sizes_of_types() {
    // As `__type(value, ...)` writes it: a pointer to the type.
    let value = |add: &dyn Fn(&mut Types) -> u32| {
        let mut t = Types::new();
        t.add("int", 1, 0, 4, &[32]);
        let ty = add(&mut t);
        let pointer = t.add("", 2, 0, ty, &[]);
        let (kind, value) = (t.number(1), t.name("value"));
        let name = t.name("type");
        let shape = t.add("", 4, 2, 16, &[name, kind, 0, value, pointer, 64]);
        let variable = t.add("m", 14, 0, shape, &[1]);
        t.add(".maps", 15, 1, 32, &[variable, 0, 32]);
        built(&t).map(|d| d.value_size)
    };
    assert_eq!(value(&|_| 1), Ok(4));
    assert_eq!(value(&|t| t.add("", 3, 0, 0, &[1, 1, 7])), Ok(28));
    assert_eq!(value(&|t| t.add("", 2, 0, 1, &[])), Ok(8));
    assert_eq!(value(&|t| t.add("s", 4, 0, 24, &[])), Ok(24));
    assert_eq!(value(&|t| t.add("u", 5, 0, 12, &[])), Ok(12));
    assert_eq!(value(&|t| t.add("e", 6, 1, 4, &[0, 1])), Ok(4));
    assert_eq!(value(&|t| t.add("e", 19, 1, 8, &[0, 1, 0])), Ok(8));
    assert_eq!(value(&|t| t.add("f", 16, 0, 8, &[])), Ok(8));
    let nested = |t: &mut Types| {
        let inner = t.add("", 3, 0, 0, &[1, 1, 3]);
        let outer = t.add("", 3, 0, 0, &[inner, 1, 5]);
        t.add("v", 9, 0, outer, &[])
    };
    assert_eq!(value(&nested), Ok(60));
    for (add, text) in [
        (&(|t: &mut Types| t.add("", 13, 0, 0, &[])) as &dyn Fn(&mut Types) -> u32, "(kind 13) has no size"),
        (&|t| t.add("", 3, 0, 0, &[1, 1, u32::MAX]), "is larger than 4 GiB"),
        (
            &|t| {
                let mut inner = 1;
                for _ in 0..17 {
                    inner = t.add("", 3, 0, 0, &[inner, 1, 1]);
                }
                inner
            },
            "BTF arrays nest deeper than 16",
        ),
    ] {
        let got = value(add).unwrap_err();
        assert!(got.contains(text), "{got}");
    }
    let mut t = Types::new();
    t.add("int", 1, 0, 4, &[32]);
    for (attribute, text) in [
        ("value", "a map attribute is not written with __type"),
        ("key_size", "a map attribute is not written with __uint"),
    ] {
        let mut t = Types { types: t.types.clone(), strings: t.strings.clone(), count: t.count };
        let name = t.name(attribute);
        let shape = t.add("", 4, 1, 8, &[name, 1, 0]);
        let variable = t.add("m", 14, 0, shape, &[1]);
        t.add(".maps", 15, 1, 32, &[variable, 0, 32]);
        assert!(built(&t).unwrap_err().starts_with(text));
    }
    let mut cut = t.section();
    cut[0] = 0;
    let mut b = one(&END);
    b.section(".maps", 1, DATA, &[0; 32]);
    b.section(".BTF", 1, 0, &cut);
    b.symbol("m", OBJECT, 2, 0, 32);
    assert!(b.refusal().starts_with("the .BTF section does not start with its magic number eb9f"));
}
