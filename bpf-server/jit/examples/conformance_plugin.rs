//! A plugin for the public BPF conformance suite (bpf_conformance): runs one program and prints r0.
//!
//! The suite's runner passes the memory in base 16 as the argument and the program's bytes in base 16 on standard input; the
//! answer is r0 in base 16 on standard output. Without options the interpreter runs it; with `--jit` the compiler's code does,
//! under `qemu-aarch64` in the harness of the differential tests (packages qemu-user and gcc-aarch64-linux-gnu).
//!
//! `bpf_conformance_runner --test_file_directory tests --plugin_path target/release/examples/conformance_plugin [--plugin_options --jit]`
use axiom_bpf_interp::{Memory, Region, Regions, Size, Stack, World};
use axiom_bpf_isa::Insn;
use axiom_bpf_jit::{Compiler, Features, no_maps};
use std::io::{Read, Write};
use std::process::{Command, ExitCode, Stdio};

const BASE: u64 = 0x10_0000;
const BUDGET: u64 = 10_000_000;

struct Plain<'a>(Regions<'a>);

impl Memory for Plain<'_> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.0.load(address, size)
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.0.store(address, size, value)
    }
}

impl World for Plain<'_> {
    fn helper(&mut self, id: u64, arguments: [u64; 5]) -> Option<u64> {
        // The one helper that the suite calls: uBPF's "unwind", which goes on when it is given anything but 0.
        (id == 5).then_some(arguments[0])
    }
    fn resolve(&self, _: u8, _: i32, _: i32) -> Option<u64> {
        None
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, String> {
    let digits: String = hex.split_whitespace().collect();
    let pair = |i: usize| digits.get(i..i + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
    (0..digits.len())
        .step_by(2)
        .map(|i| pair(i).ok_or_else(|| format!("'{digits}' is not base 16")))
        .collect()
}

fn program(bytes: &[u8]) -> Vec<Insn> {
    bytes
        .chunks_exact(8)
        .map(|b| {
            let word = |i: usize| i32::from_le_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
            Insn::new(b[0], b[1] & 15, b[1] >> 4, i16::from_le_bytes([b[2], b[3]]), word(4))
        })
        .collect()
}

fn interpret(program: &[Insn], mut memory: Vec<u8>) -> Result<u64, String> {
    let len = memory.len() as u64;
    let mut world = Plain(Regions(vec![Region { base: BASE, bytes: &mut memory, writable: true }]));
    let context = if len == 0 { 0 } else { BASE };
    axiom_bpf_interp::run(program, &mut world, &mut Stack::default(), context, len, &mut { BUDGET })
        .map_err(|fault| fault.to_string())
}

fn compiled(program: &[Insn], memory: &[u8]) -> Result<u64, String> {
    let mut code = vec![0; 1 << 20];
    let length = Compiler::new(Features { lse: false })
        .compile(program, &no_maps, &mut code)
        .map_err(|e| e.to_string())?;
    let harness = std::env::temp_dir().join(format!("axiom-bpf-harness-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/harness.c");
    let built = Command::new("aarch64-linux-gnu-gcc")
        .args(["-O1", "-static", "-o"])
        .arg(&harness)
        .arg(source)
        .status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("the harness could not be built: package gcc-aarch64-linux-gnu".into());
    }
    let mut input = (length as u32).to_le_bytes().to_vec();
    input.extend(&code[..length]);
    input.extend((memory.len() as u32).to_le_bytes());
    input.extend(memory);
    let run = || -> std::io::Result<Vec<u8>> {
        let mut child = Command::new("qemu-aarch64")
            .args(["-cpu", "max"])
            .arg(&harness)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&input)?;
        }
        Ok(child.wait_with_output()?.stdout)
    };
    let output = run().map_err(|e| format!("qemu-aarch64: {e}"));
    // What cannot be removed is a temporary file at worst.
    let _ = std::fs::remove_file(&harness);
    let word = |o: &[u8], i: usize| o.get(i..i + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes);
    match output? {
        o if word(&o, 0) == Some(1) => word(&o, 8).ok_or_else(|| "the harness stopped early".into()),
        _ => Err("the compiled program did not end".into()),
    }
}

fn main() -> ExitCode {
    let mut memory = String::new();
    let mut jit = false;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--jit" => jit = true,
            "--interpret" => jit = false,
            hex => memory = hex.to_owned(),
        }
    }
    let mut text = String::new();
    let result = std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|e| e.to_string())
        .and_then(|_| Ok((program(&bytes(&text)?), bytes(&memory)?)))
        .and_then(|(p, m)| if jit { compiled(&p, &m) } else { interpret(&p, m) });
    match result {
        Ok(r0) => {
            println!("{r0:x}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
