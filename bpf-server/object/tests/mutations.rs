//! Damaged objects, by the structure: fields of the ELF header, of section headers, symbols, relocations, BTF and code are
//! changed to values that mean something there. Nothing may panic, take long, or take memory out of proportion; and what is
//! accepted must keep what the reader promises of it.
//!
//! `AXIOM_MUTATIONS=1000000 cargo test --release -p axiom-bpf-object --test mutations` tries as many; `AXIOM_MUTATION_OBJECTS`
//! names a folder with more objects to start from.

use axiom_bpf_isa::{opcode, pseudo};
use axiom_bpf_object::{MAX_FUNCTIONS, MAX_INSNS, MEMORY_FACTOR, Object};
use axiom_test_memory::{Counting, most};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}

/// A field of the object: where, and how many bytes.
type Field = (usize, usize);

fn read(bytes: &[u8], at: usize, width: usize) -> u64 {
    let mut v = [0; 8];
    if let Some(b) = bytes.get(at..at + width) {
        v[..width].copy_from_slice(b);
    }
    u64::from_le_bytes(v)
}

/// All fields that mean something, by groups that are chosen alike often.
fn fields(bytes: &[u8]) -> Vec<Vec<Field>> {
    let (table, count) = (read(bytes, 0x28, 8) as usize, read(bytes, 0x3c, 2) as usize);
    let widths = |at: usize, widths: &[usize]| -> Vec<Field> {
        let mut next = at;
        let field = |&w: &usize| {
            next += w;
            (next - w, w)
        };
        widths.iter().map(field).collect()
    };
    let mut groups = vec![
        widths(16, &[2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2]),
        vec![],
        vec![],
        vec![],
        vec![],
        vec![],
        vec![],
    ];
    for s in 0..count {
        let at = table + s * 64;
        groups[1].extend(widths(at, &[4, 4, 8, 8, 8, 8, 4, 4, 8, 8]));
        let (kind, flags) = (read(bytes, at + 4, 4), read(bytes, at + 8, 8));
        let (data, size) = (read(bytes, at + 24, 8) as usize, read(bytes, at + 32, 8) as usize);
        let rows = |n: usize, row: &[usize]| {
            (0..size / n).flat_map(|r| widths(data + r * n, row)).collect::<Vec<_>>()
        };
        match kind {
            2 => groups[2].extend(rows(24, &[4, 1, 1, 2, 8, 8])),
            9 => groups[3].extend(rows(16, &[8, 4, 4])),
            _ if flags & 4 != 0 => groups[4].extend(rows(8, &[1, 1, 2, 4])),
            _ if read(bytes, data, 2) == 0xeb9f => groups[5].extend(rows(4, &[4])),
            8 => {}
            _ => groups[6].extend(rows(1, &[1])),
        }
    }
    groups.retain(|g| !g.is_empty());
    groups
}

fn mutate(bytes: &mut Vec<u8>, groups: &[Vec<Field>], r: &mut Random) {
    for _ in 0..1 + r.below(5) {
        let pick = |r: &mut Random| {
            let g = &groups[r.below(groups.len())];
            g[r.below(g.len())]
        };
        let (at, width) = pick(r);
        let old = read(bytes, at, width);
        let value = match r.below(10) {
            0 => old.wrapping_add(1),
            1 => old.wrapping_sub(1),
            2 => old.wrapping_add(8),
            3 => 0,
            4 => u64::MAX,
            5 => 1 << r.below(64),
            6 => bytes.len() as u64 - r.below(65) as u64,
            7 => r.below(256) as u64,
            8 => r.below(bytes.len()) as u64,
            // Another field's value: the offset of another section, the type of another symbol.
            _ => {
                let (from, w) = pick(r);
                read(bytes, from, w)
            }
        };
        if let Some(to) = bytes.get_mut(at..at + width) {
            to.copy_from_slice(&value.to_le_bytes()[..width]);
        }
    }
    match r.below(40) {
        0 => bytes.truncate(r.below(bytes.len())),
        1 => bytes.extend(core::iter::repeat_n(0xff, r.below(4096))),
        _ => {}
    }
}

/// Reads everything there is to read; returns how many programs were read.
fn exercise(bytes: &[u8]) -> usize {
    let Ok(object) = Object::parse(bytes) else { return 0 };
    let _ = (object.license(), object.section_bytes(".axiom.proof"));
    for name in ["maximum", "started", "a"] {
        if let Some(g) = object.global(name) {
            assert!(
                g.offset + g.size <= object.maps()[g.map].def.value_size as usize,
                "'{name}' outside its map"
            );
        }
    }
    let mut read = 0;
    for entry in object.programs() {
        let Ok(program) = object.program(entry) else { continue };
        read += 1;
        let starts: Vec<usize> = program.functions().collect();
        assert!(program.insns.len() <= MAX_INSNS && starts.len() <= MAX_FUNCTIONS);
        for f in 0..starts.len() {
            let end = starts.get(f + 1).copied().unwrap_or(program.insns.len());
            let mut at = starts[f];
            while at < end {
                let i = program.insns[at];
                at += 1;
                if i.op == opcode::LDDW && at < end {
                    let next = program.insns[at];
                    at += 1;
                    match i.src() {
                        pseudo::IMM64 => {}
                        pseudo::MAP => assert!((i.imm as usize) < object.maps().len() && next.imm == 0),
                        pseudo::MAP_VALUE => {
                            let map = &object.maps()[i.imm as usize];
                            assert!(map.def.value_offset(next.imm).is_some(), "{} of {map:?}", next.imm);
                        }
                        other => panic!("a wide load of kind {other} passed the reader"),
                    }
                } else if i.op == opcode::CALL && i.src() == pseudo::LOCAL_CALL {
                    let to = at as i64 + i64::from(i.imm);
                    assert!(starts.contains(&(to as usize)), "a call leads to {to}");
                }
            }
        }
        for at in [0, program.insns.len() / 2, program.insns.len() - 1, usize::MAX] {
            let _ = (object.line(&program, at), object.function(&program, at));
        }
    }
    read
}

fn objects() -> Vec<(String, Vec<u8>)> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data").to_string();
    let more = std::env::var("AXIOM_MUTATION_OBJECTS").ok();
    let mut found = Vec::new();
    for folder in [Some(own), more].into_iter().flatten() {
        for file in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{folder}: {e}")) {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|e| e == "o") {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn damaged_structures_cost_a_refusal_and_no_more() {
    let wanted: usize = std::env::var("AXIOM_MUTATIONS").map_or(20_000, |n| n.parse().expect("a number"));
    let objects = objects();
    let (mut read, mut slowest, mut largest) = (0, Duration::ZERO, 0);
    let mut work = Vec::new();
    let groups: Vec<_> = objects.iter().map(|o| fields(&o.1)).collect();
    for seed in 0..wanted {
        let which = seed % objects.len();
        let (name, whole) = &objects[which];
        work.clear();
        work.extend_from_slice(whole);
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (seed as u64).wrapping_mul(0xff51_afd7_ed55_8ccd));
        random.below(1);
        mutate(&mut work, &groups[which], &mut random);
        let start = Instant::now();
        let (result, peak) = most(|| std::panic::catch_unwind(|| exercise(&work)));
        let time = start.elapsed();
        let programs = result.unwrap_or_else(|_| panic!("seed {seed} of {name} panicked"));
        read += programs.min(1);
        slowest = slowest.max(time);
        // Instructions of one program are beside the factor: twice what they take, while the vector grows.
        let room = MEMORY_FACTOR * work.len() + 2 * 8 * MAX_INSNS;
        assert!(peak <= room, "seed {seed} of {name}: {peak} bytes for an object of {}", work.len());
        assert!(time < Duration::from_secs(2), "seed {seed} of {name}: {time:?}");
        largest = largest.max(peak);
    }
    println!(
        "{wanted} mutated objects of {}: {read} still readable, slowest {slowest:?}, most memory {} KiB",
        objects.len(),
        largest / 1024
    );
    assert!(read * 20 > wanted, "only {read} of {wanted} were readable: the mutations are too coarse");
}
