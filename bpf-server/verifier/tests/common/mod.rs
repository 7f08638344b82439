//! Reads the committed test objects: one program section, `.text` behind it, maps by their symbol names.
#![allow(dead_code)]
use axiom_bpf_isa::{Insn, MapDef, MapType, ProgramKind, insn::decode_all};
use axiom_bpf_verifier::{Env, Limits};

pub const fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false }
}

/// The maps that the programs name.
pub const NAMES: [&str; 3] = ["scratch", "table", "events"];
pub const MAPS: [MapDef; 3] =
    [map(MapType::Array, 4, 2048, 1), map(MapType::Hash, 4, 8, 64), map(MapType::RingBuf, 0, 0, 4096)];

pub fn env() -> Env<'static> {
    Env {
        maps: &MAPS,
        contents: &[],
        ctx: ProgramKind::Iio.layout(),
        helpers: None,
        limits: Limits::default(),
    }
}

/// An instruction.
pub const fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

/// The end of a program.
pub const EXIT: Insn = i(0x95, 0, 0, 0, 0);

fn u(b: &[u8], at: usize, n: usize) -> usize {
    b[at..at + n].iter().rev().fold(0, |v, x| v << 8 | *x as usize)
}

fn name(strings: &[u8], at: usize) -> &str {
    let end = strings[at..].iter().position(|b| *b == 0).unwrap();
    std::str::from_utf8(&strings[at..at + end]).unwrap()
}

/// Loads `tests/programs/<name>.o`.
pub fn program(file: &str) -> Vec<Insn> {
    let path = format!("{}/tests/programs/{file}.o", env!("CARGO_MANIFEST_DIR"));
    let b = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (table, count, names) = (u(&b, 0x28, 8), u(&b, 0x3c, 2), u(&b, 0x3e, 2));
    let section = |i: usize| {
        let h = table + i * 64;
        (u(&b, h, 4), u(&b, h + 4, 4), u(&b, h + 24, 8), u(&b, h + 32, 8), u(&b, h + 40, 4), u(&b, h + 44, 4))
    };
    let bytes = |i: usize| {
        let s = section(i);
        &b[s.2..s.2 + s.3]
    };
    let section_name = |i: usize| name(bytes(names), section(i).0);
    let main = (0..count).find(|i| section_name(*i).starts_with("iio/")).unwrap();
    let text = (0..count).find(|i| section_name(*i) == ".text").unwrap();
    let mut insns = decode_all(bytes(main)).unwrap();
    let main_len = insns.len();
    insns.extend(decode_all(bytes(text)).unwrap());
    for i in 0..count {
        let s = section(i);
        let base = match s.5 {
            t if s.1 == 9 && t == main => 0,
            t if s.1 == 9 && t == text => main_len,
            _ => continue,
        };
        let symbols = bytes(s.4);
        let strings = bytes(section(s.4).4);
        for r in bytes(i).chunks_exact(16) {
            let (at, kind, sym) = (base + u(r, 0, 8) / 8, u(r, 8, 4), u(r, 12, 4) * 24);
            let (symbol, value) = (name(strings, u(symbols, sym, 4)), u(symbols, sym + 8, 8));
            if kind == 1 {
                let index = NAMES.iter().position(|n| *n == symbol).unwrap();
                insns[at].regs |= 1 << 4;
                insns[at].imm = index as i32;
            } else {
                // A call: the target's section offset, or the symbol's.
                let addend = if symbol.is_empty() { (insns[at].imm + 1) as usize } else { value / 8 };
                insns[at].imm = (main_len + addend) as i32 - at as i32 - 1;
            }
        }
    }
    insns
}
