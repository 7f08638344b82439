//! The interpreter's verdict, and what runs compiled code: on this machine if it is its machine, else under `qemu-aarch64` or `qemu-x86_64`
//! with the cross compiler. Where either is missing the tests say so and pass, unless AXIOM_REQUIRE_QEMU_USER is set.
#![allow(dead_code)]

use axiom_bpf_interp::{Memory, Region, Regions, Size, Stack, World};
use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{Compiler, Features, Machine, no_maps, x64};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const MEMORY: usize = 256;

struct TestWorld<'a>(Regions<'a>);

impl Memory for TestWorld<'_> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.0.load(address, size)
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.0.store(address, size, value)
    }
}

impl World for TestWorld<'_> {
    fn helper(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
        // Those of the harness: the ends of the table's two ranges have their own, and so does what there is none for.
        let id = match id {
            1..=5 | 223 => id,
            0x1_0000 => 224,
            0x1_0001 => 225,
            0x1_001e => 254,
            _ => 255,
        };
        let mut r = id.wrapping_mul(1000003);
        for (x, k) in a.into_iter().zip([1, 3, 5, 7, 11]) {
            r = r.wrapping_add(x.wrapping_mul(k));
        }
        Some(r)
    }
    fn resolve(&self, _: u8, _: i32, _: i32) -> Option<u64> {
        None
    }
}

fn interpret(program: &[Insn], memory: &[u8]) -> (u64, Vec<u8>) {
    let mut memory = memory.to_vec();
    let base = 0x10_0000;
    let mut world = TestWorld(Regions(vec![Region { base, bytes: &mut memory, writable: true }]));
    let mut budget = 1_000_000;
    let mut stack = Stack::default();
    let len = world.0.0[0].bytes.len() as u64;
    let r0 = axiom_bpf_interp::run(program, &mut world, &mut stack, base, len, &mut budget)
        .unwrap_or_else(|fault| panic!("{fault}\n{}", listing(program)));
    (r0, memory)
}

pub fn listing(program: &[Insn]) -> String {
    program.iter().enumerate().map(|(i, x)| format!("{i}: {x:02x?}\n")).collect()
}

/// The harness for a machine, which is built once for all tests and all runs of them.
fn harness(machine: &str, compiler: &str) -> Option<PathBuf> {
    let source = include_str!("../harness.c");
    let mut hasher = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(source, &mut hasher);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let harness = folder.join(format!("jit-harness-{machine}-{:016x}", std::hash::Hasher::finish(&hasher)));
    if harness.exists() {
        return Some(harness);
    }
    // Each thread of each process builds its own; whichever is last is the one that stays.
    let mine = folder.join(format!(
        "jit-harness-{machine}-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let built = Command::new(compiler)
        .args(["-O1", "-static", "-o"])
        .arg(&mine)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness.c"))
        .status()
        .is_ok_and(|s| s.success());
    built.then(|| std::fs::rename(&mine, &harness).expect("the harness gets its name"))?;
    Some(harness)
}

/// What runs the code of a machine: the harness, and the emulator before it where this is another machine.
pub struct Runner {
    harness: PathBuf,
    emulator: Option<&'static str>,
}

impl Runner {
    /// For `aarch64` or `x86_64`.
    pub fn new(machine: &str) -> Option<Runner> {
        let native = std::env::consts::ARCH == machine;
        let (compiler, emulator) = match (native, machine) {
            (true, _) => ("gcc", None),
            (false, "aarch64") => ("aarch64-linux-gnu-gcc", Some("qemu-aarch64")),
            (false, _) => ("x86_64-linux-gnu-gcc", Some("qemu-x86_64")),
        };
        let harness = harness(machine, compiler);
        let runs =
            emulator.is_none_or(|e| Command::new(e).arg("--version").stdout(Stdio::null()).status().is_ok());
        if let Some(harness) = harness
            && runs
        {
            return Some(Runner { harness, emulator });
        }
        assert!(
            std::env::var_os("AXIOM_REQUIRE_QEMU_USER").is_none(),
            "the differential tests need {compiler} and {emulator:?} (packages gcc-aarch64-linux-gnu, qemu-user)"
        );
        eprintln!("skipped: no {compiler} or no {emulator:?}");
        None
    }

    /// Runs the records of `input`; returns what the harness writes.
    pub fn run(&self, input: Vec<u8>) -> Vec<u8> {
        let mut command = match self.emulator {
            Some(emulator) => {
                let mut command = Command::new(emulator);
                command.args(["-cpu", "max"]).arg(&self.harness);
                command
            }
            None => Command::new(&self.harness),
        };
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the harness starts");
        let mut stdin = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let mut output = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
        writer.join().unwrap().unwrap();
        assert!(child.wait().unwrap().success());
        output
    }
}

/// Everything that x86-64 can be told; what needs BMI2 only where this machine has it.
pub fn x64_features() -> Vec<x64::Features> {
    let mut all =
        vec![x64::Features { bmi2: false, blind: None }, x64::Features { bmi2: false, blind: Some(77) }];
    if x64::Features::of_this_machine().is_some_and(|f| f.bmi2) {
        all.push(x64::Features { bmi2: true, blind: None });
        all.push(x64::Features { bmi2: true, blind: Some(0x1234_5678_9abc_def0) });
    }
    all
}

/// Compiles and runs all programs; compares r0 and memory with the interpreter's.
pub fn check_all(cases: &[(String, Vec<Insn>)]) {
    let memory: Vec<u8> = (0..MEMORY).map(|i| (i * 37 + 11) as u8).collect();
    let expected: Vec<_> = cases.iter().map(|(_, program)| interpret(program, &memory)).collect();
    if let Some(runner) = Runner::new("aarch64") {
        for (lse, blind) in
            [(false, None), (true, None), (true, Some(77)), (false, Some(0x1234_5678_9abc_def0))]
        {
            let features = Features { lse, blind };
            check_machine(&runner, features, cases, &memory, &expected);
        }
    }
    if let Some(runner) = Runner::new("x86_64") {
        for features in x64_features() {
            check_machine(&runner, features, cases, &memory, &expected);
        }
    }
}

pub fn check_machine<M: Machine + core::fmt::Debug>(
    runner: &Runner,
    machine: M,
    cases: &[(String, Vec<Insn>)],
    memory: &[u8],
    expected: &[(u64, Vec<u8>)],
) {
    let mut compiler = Compiler::new(machine);
    let mut input = Vec::new();
    let mut codes = Vec::new();
    let mut code = vec![0; 1 << 20];
    for (name, program) in cases {
        let n = compiler
            .compile(program, &no_maps, &mut code)
            .unwrap_or_else(|e| panic!("{name}: {e}\n{}", listing(program)));
        input.extend((n as u32).to_le_bytes());
        input.extend(&code[..n]);
        input.extend((memory.len() as u32).to_le_bytes());
        input.extend(memory);
        codes.push(code[..n].to_vec());
    }
    let output = runner.run(input);
    assert_eq!(output.len(), cases.len() * (16 + MEMORY), "the harness stopped early");
    for (n, got) in output.chunks_exact(16 + MEMORY).enumerate() {
        let (name, program) = &cases[n];
        let (r0, after) = &expected[n];
        let status = u64::from_le_bytes(got[..8].try_into().unwrap());
        let value = u64::from_le_bytes(got[8..16].try_into().unwrap());
        let context = || {
            let words: String = codes[n]
                .chunks(4)
                .map(|w| w.iter().map(|b| format!("{b:02x} ")).collect::<String>() + "\n")
                .collect();
            format!("{name} ({machine:?})\n{}\n{words}", listing(program))
        };
        assert_eq!(status, 1, "status of {}", context());
        assert_eq!(value, *r0, "r0 of {value:#x} {r0:#x} {}", context());
        assert_eq!(&got[16..], &after[..], "memory of {}", context());
    }
}

pub fn i(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op, dst, src, off, imm)
}

pub fn lddw(dst: u8, value: u64) -> [Insn; 2] {
    [i(0x18, dst, 0, 0, value as i32), i(0, 0, 0, 0, (value >> 32) as i32)]
}

pub const INTERESTING: [u64; 18] = [
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xffff,
    0x8000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
    u64::MAX - 1,
    0x0123_4567_89ab_cdef,
    0xffff_ffff_8000_0000,
];

/// A small generator.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 33) % n
    }
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
    pub fn value(&mut self) -> u64 {
        if self.below(2) == 0 { self.pick(&INTERESTING) } else { self.next() >> self.below(64) }
    }
}
