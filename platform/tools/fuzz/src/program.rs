//! Programs: what the verifier accepts keeps its promises when it runs.

use axiom_bpf_interp::{Fault, Memory, Region, Regions, Size, Stack, World, run};
use axiom_bpf_isa::insn::decode_all;
use axiom_bpf_isa::{MapDef, MapType, ProgramKind};
use axiom_bpf_verifier::{Env, Limits, Program, verify};

const CONTEXT_AT: u64 = 0x4000_0000_0000;
const VALUE_AT: u64 = 0x4010_0000_0000;
const RING_AT: u64 = 0x4010_0002_0000;
const VALUE: u32 = 64;
/// Handles of maps, as the program sees them, start here.
const HANDLES: u64 = 0x1000;

const fn map(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> MapDef {
    MapDef { map_type, key_size, value_size, max_entries, flags: 0, read_only: false }
}

const MAPS: [MapDef; 3] =
    [map(MapType::Array, 4, VALUE, 1), map(MapType::Hash, 4, 8, 64), map(MapType::RingBuf, 0, 0, 4096)];

/// Memory, and helpers that answer something allowed.
struct Host<'a> {
    memory: Regions<'a>,
    reserved: Vec<u64>,
}

impl Memory for Host<'_> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.memory.load(address, size)
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.memory.store(address, size, value)
    }
}

impl World for Host<'_> {
    fn helper(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
        match id {
            // A value of the hash is not there; that of the array is.
            1 => Some(if a[0] == HANDLES { VALUE_AT } else { 0 }),
            131 => {
                assert!(a[0] == HANDLES + 2 && a[1] <= 4096, "a reservation that the verifier allows");
                if self.reserved.len() == 4 {
                    return Some(0);
                }
                let at = (0..4).map(|i| RING_AT + 0x1000 * i).find(|at| !self.reserved.contains(at))?;
                self.reserved.push(at);
                Some(at)
            }
            132 | 133 => {
                let i = self.reserved.iter().position(|r| *r == a[0]).expect("a reservation is given back");
                self.reserved.remove(i);
                Some(0)
            }
            _ => Some(7),
        }
    }
    fn resolve(&self, src: u8, imm: i32, next: i32) -> Option<u64> {
        match src {
            1 => Some(HANDLES + imm as u64),
            2 => Some(VALUE_AT + next as u64),
            _ => None,
        }
    }
}

/// Instructions: refused, or they stay inside their memory and their bound.
pub fn program(data: &[u8]) {
    let Some(code) = decode_all(&data[..data.len() & !7]) else { return };
    // Nobody waits for a program that is allowed to run for a million instructions.
    let limits = Limits { instructions: 20_000, work: 100_000, ..Limits::default() };
    let env = Env { maps: &MAPS, contents: &[], ctx: ProgramKind::Iio.layout(), helpers: None, limits };
    let Ok(accepted) = verify(&Program { insns: &code, lines: None }, &env) else { return };
    for fill in [0x00, 0x5a, 0xff] {
        let mut context = [fill; 32];
        let mut value = [fill; VALUE as usize];
        let mut rings = [[0xa5u8; 4096]; 4];
        let mut regions = vec![
            Region { base: CONTEXT_AT, bytes: &mut context, writable: false },
            Region { base: VALUE_AT, bytes: &mut value, writable: true },
        ];
        for (i, bytes) in rings.iter_mut().enumerate() {
            regions.push(Region { base: RING_AT + 0x1000 * i as u64, bytes, writable: true });
        }
        let mut host = Host { memory: Regions(regions), reserved: Vec::new() };
        let mut budget = accepted.max_insns;
        match run(&code, &mut host, &mut Box::new(Stack::default()), CONTEXT_AT, 0, &mut budget) {
            Ok(_) => assert!(host.reserved.is_empty(), "a reservation is left"),
            Err(Fault::OutOfBudget { at }) => {
                panic!("more than the {} instructions promised, at {at}", accepted.max_insns)
            }
            Err(fault) => panic!("{fault}"),
        }
    }
}
