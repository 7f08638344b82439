//! The `jit` engines: the compilers' code, in a process of its own.
//!
//! The process is a program of some hundred bytes that is made here: it maps the run's memory ([`crate::space`]) and jumps into it.
//! On its own machine it runs as it is, elsewhere under `qemu-aarch64` or `qemu-x86_64`. For each helper it leaves the call in the mailbox, sends a
//! byte, and goes on when it gets one back; the helper itself runs in this process, over the same memory.

use crate::Failure;
use crate::space::{BASE, Space, at};
use crate::world::World;
use axiom_bpf_isa::abi;
use axiom_bpf_jit::{CompileError, Insn, Resolve};
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

mod a64;
mod x64;

/// Compiles instructions, with their stacks cleared or not, into the code of a machine; returns its length.
type Compile = fn(&[Insn], bool, Resolve, &mut [u8]) -> Result<usize, CompileError>;

/// A machine that there is a compiler for.
pub struct Machine {
    name: &'static str,
    /// Its number in ELF's headers.
    elf: u16,
    emulator: &'static str,
    /// The variable of the environment that names another emulator.
    override_emulator: &'static str,
    compile: Compile,
    /// The code at [`at::STUBS`] and the helper table; `None` where it does not fit.
    stubs: fn(&mut [u8], &mut [u64]) -> Option<()>,
    /// The process's first code; returns its length.
    entry: fn(&mut [u8], i32) -> usize,
}

impl Machine {
    /// By its name: `aarch64`, `x86_64`; or this machine, AArch64 where there is no compiler for it.
    pub fn of(name: Option<&str>) -> &'static Machine {
        match name.unwrap_or(std::env::consts::ARCH) {
            "x86_64" => &x64::X64,
            _ => &a64::A64,
        }
    }

    /// Whether its code runs here without an emulator.
    pub fn native(&self) -> bool {
        self.name == std::env::consts::ARCH
    }

    /// What its times are.
    pub fn by(&self) -> String {
        if self.native() {
            "compiled".into()
        } else {
            format!("compiled, under {}: not the board's time", self.emulator)
        }
    }
}

/// Words of the mailbox.
mod mail {
    pub const ENTRY: usize = 0;
    pub const CONTEXT: usize = 1;
    pub const LENGTH: usize = 2;
    pub const RESULT: usize = 3;
    pub const RUNS: usize = 4;
    pub const SLOT: usize = 5;
    pub const ARGUMENTS: usize = 6;
    pub const RETURNED: usize = 11;
    pub const BYTE: usize = 12;
}

/// What stands in [`mail::SLOT`] at the end.
const DONE: u64 = 0xffff;
/// A program that takes longer is stopped.
const LIMIT: Duration = Duration::from_secs(10);

/// The executable as a file, which goes with this value.
struct Temporary(std::path::PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> std::io::Result<Temporary> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = std::env::temp_dir().join(format!("axiom-bpf-{}", std::process::id()));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
        let temporary = Temporary(path);
        file.write_all(bytes)?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed is a temporary file at worst.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn stubs(machine: &Machine, space: &Space) -> Result<(), Failure> {
    let mut code = vec![0; at::CODE - at::STUBS];
    let mut table = vec![0; abi::HELPER_SLOTS];
    (machine.stubs)(&mut code, &mut table)
        .ok_or_else(|| Failure::Refused("the stubs of the helpers do not fit their place".into()))?;
    let table: Vec<u8> = table.iter().flat_map(|address| address.to_le_bytes()).collect();
    space.write(at::TABLE, &table);
    space.write(at::STUBS, &code);
    Ok(())
}

/// The process: an executable of one segment.
fn executable(machine: &Machine, file: i32) -> Vec<u8> {
    const ADDRESS: u64 = 0x40_0000;
    const HEADERS: u64 = 120;
    let mut code = vec![0; 256];
    let length = (machine.entry)(&mut code, file);
    code.truncate(length);
    let size = HEADERS + length as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, 0]);
    elf.extend(machine.elf.to_le_bytes());
    elf.extend([1, 0, 0, 0]);
    for word in [ADDRESS + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // One segment, readable and executable.
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, ADDRESS, ADDRESS, size, size, 4096] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}

fn start(machine: &Machine, file: &Temporary) -> Result<Child, Failure> {
    let mut command = if machine.native() {
        Command::new(&file.0)
    } else {
        let emulator = std::env::var_os(machine.override_emulator).unwrap_or_else(|| machine.emulator.into());
        let mut command = Command::new(emulator);
        command.arg("-cpu").arg("max").arg(&file.0);
        command
    };
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    spawned.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Failure::Refused(format!(
            "--engine jit: the code is for {}, which this machine is not, and {} is missing: install it \
             (Debian: apt install qemu-user), or use --engine interp",
            machine.name, machine.emulator
        )),
        _ => Failure::Refused(format!("--engine jit: the compiled program cannot be started: {e}")),
    })
}

/// Compiles and runs a program so often; returns r0 and the time of all runs.
pub fn run(
    machine: &Machine,
    world: &mut World,
    insns: &[Insn],
    zero_stack: bool,
    runs: u64,
) -> Result<(u64, Duration), Failure> {
    let mut code = vec![0; at::STACK - at::CODE];
    let resolve = |source, imm, next| world.address(source, imm, next);
    let length = (machine.compile)(insns, zero_stack, &resolve, &mut code)
        .map_err(|e| Failure::Refused(format!("it cannot be compiled: {e}")))?;
    world.space.write(at::CODE, &code[..length]);
    stubs(machine, &world.space)?;
    let context = world.context_now().len() as u64;
    for (word, value) in [
        (mail::ENTRY, (BASE + at::CODE) as u64),
        (mail::CONTEXT, world.context_address()),
        (mail::LENGTH, context),
        (mail::RUNS, runs),
    ] {
        world.space.set_word(word, value);
    }
    let broken = |e: std::io::Error| Failure::Refused(format!("--engine jit: {e}"));
    let file = Temporary::new(&executable(machine, world.space.file())).map_err(broken)?;
    let mut child = start(machine, &file)?;
    let result = serve(world, &mut child);
    // It has ended, or it is stopped now; both leave something to collect.
    let _ = child.kill();
    let status = child.wait().map_err(broken)?;
    let time = result?.ok_or_else(|| {
        use std::os::unix::process::ExitStatusExt;
        let how = match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => status.to_string(),
        };
        Failure::Refused(format!("the compiled program was stopped ({how}): it left its memory or its code"))
    })?;
    Ok((world.space.word(mail::RESULT), time))
}

/// Serves helpers until the program ends; `None` if its process ended before.
fn serve(world: &mut World, child: &mut Child) -> Result<Option<Duration>, Failure> {
    let (Some(mut input), Some(mut output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Failure::Refused("--engine jit: the process has no pipes".into()));
    };
    // Reads wait in a thread of their own, so that a program that never ends does not hold the tool.
    let (sender, received) = channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while let Ok(1) = output.read(&mut byte) {
            if sender.send(()).is_err() {
                break;
            }
        }
    });
    let started = Instant::now();
    loop {
        let left = LIMIT.saturating_sub(started.elapsed());
        match received.recv_timeout(left) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {
                let text = format!("the compiled program did not end within {} s", LIMIT.as_secs());
                return Err(Failure::Refused(text));
            }
        }
        let slot = world.space.word(mail::SLOT);
        if slot == DONE {
            return Ok(Some(started.elapsed()));
        }
        let arguments = core::array::from_fn(|n| world.space.word(mail::ARGUMENTS + n));
        let own = abi::OWN_FIRST_SLOT as u64;
        let id = if slot < own { slot } else { slot - own + u64::from(abi::OWN_FIRST) };
        let Some(result) = world.call(id, arguments) else {
            return Err(Failure::Refused(format!(
                "the program calls helper {id}, which does not exist here"
            )));
        };
        world.space.set_word(mail::RETURNED, result);
        if input.write_all(&[0]).and_then(|()| input.flush()).is_err() {
            return Ok(None);
        }
    }
}
