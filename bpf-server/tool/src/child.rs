//! The `jit` engine: the compiler's code for AArch64, in a process of its own.
//!
//! The process is a program of some hundred bytes that is made here: it maps the run's memory ([`crate::space`]) and jumps into it.
//! On an AArch64 machine it runs as it is, elsewhere under `qemu-aarch64`. For each helper it leaves the call in the mailbox, sends a
//! byte, and goes on when it gets one back; the helper itself runs in this process, over the same memory.

use crate::Failure;
use crate::space::{self, BASE, Space, at};
use crate::world::World;
use axiom_bpf_isa::abi;
use axiom_bpf_jit::a64::{Asm, Mem, Reg, SP, Width};
use axiom_bpf_jit::{Compiler, Features, Insn};
use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

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

const WRITE: u64 = 64;
const READ: u64 = 63;
const EXIT: u64 = 93;
const MMAP: u64 = 222;
const SVC: u32 = 0xd400_0001;

fn system_call(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg(8), number);
    a.put(SVC);
}

fn load(a: &mut Asm<'_>, to: Reg, word: usize) {
    a.try_mem(Mem::LdrX, to, Reg(9), word as i64 * 8);
}

fn store(a: &mut Asm<'_>, from: Reg, word: usize) {
    a.try_mem(Mem::StrX, from, Reg(9), word as i64 * 8);
}

/// Sends or receives one byte; x9 holds the mailbox.
fn byte(a: &mut Asm<'_>, number: u64) {
    a.mov_imm(Reg(0), if number == WRITE { 1 } else { 0 });
    a.try_add_imm(Width::X64, Reg(1), Reg(9), mail::BYTE as i64 * 8);
    a.mov_imm(Reg(2), 1);
    system_call(a, number);
}

/// The code that enters the program, and a stub for each helper; fills the helper table.
fn stubs(space: &Space) -> Result<(), Failure> {
    let mut code = vec![0; at::CODE - at::STUBS];
    let mut a = Asm::new(&mut code);
    // So often as wanted: r0 = program(table, context, length).
    a.mov_imm(Reg(9), BASE as u64);
    let again = a.words();
    load(&mut a, Reg(1), mail::CONTEXT);
    load(&mut a, Reg(2), mail::LENGTH);
    load(&mut a, Reg(10), mail::ENTRY);
    a.mov_imm(Reg(0), (BASE + at::TABLE) as u64);
    a.blr(Reg(10));
    a.mov_imm(Reg(9), BASE as u64);
    store(&mut a, Reg(0), mail::RESULT);
    load(&mut a, Reg(10), mail::RUNS);
    a.try_add_imm(Width::X64, Reg(10), Reg(10), -1);
    store(&mut a, Reg(10), mail::RUNS);
    let back = again as i32 - a.words() as i32;
    a.cbz(Width::X64, true, Reg(10), back);
    a.mov_imm(Reg(10), DONE);
    store(&mut a, Reg(10), mail::SLOT);
    byte(&mut a, WRITE);
    a.mov_imm(Reg(0), 0);
    system_call(&mut a, EXIT);
    // What all helpers share: x16 holds the slot.
    let common = a.words();
    a.mov_imm(Reg(9), BASE as u64);
    store(&mut a, Reg(16), mail::SLOT);
    for n in 0..5 {
        store(&mut a, Reg(n as u8 + 1), mail::ARGUMENTS + n);
    }
    byte(&mut a, WRITE);
    byte(&mut a, READ);
    load(&mut a, Reg(0), mail::RETURNED);
    a.ret();
    for slot in 0..abi::HELPER_SLOTS {
        let address = (BASE + at::STUBS + a.words() * 4) as u64;
        space.write(at::TABLE + slot * 8, &address.to_le_bytes());
        a.mov_imm(Reg(16), slot as u64);
        let back = common as i32 - a.words() as i32;
        a.b(back);
    }
    if !a.fits() {
        return Err(Failure::Refused("the stubs of the helpers do not fit their place".into()));
    }
    space.write(at::STUBS, &code);
    Ok(())
}

/// The process: maps the memory behind a file that it inherits, and enters it.
fn executable(file: i32) -> Vec<u8> {
    const ADDRESS: u64 = 0x40_0000;
    const HEADERS: u64 = 120;
    let mut code = vec![0; 256];
    let mut a = Asm::new(&mut code);
    // Readable, writable, executable; shared, fixed.
    for (register, value) in
        [(0, BASE as u64), (1, space::SIZE as u64), (2, 7), (3, 0x11), (4, file as u64), (5, 0)]
    {
        a.mov_imm(Reg(register), value);
    }
    system_call(&mut a, MMAP);
    a.mov_imm(Reg(9), (BASE + at::CONTEXT - 4096) as u64);
    a.try_add_imm(Width::X64, SP, Reg(9), 0);
    a.mov_imm(Reg(9), (BASE + at::STUBS) as u64);
    a.blr(Reg(9));
    let length = a.words() * 4;
    code.truncate(length);
    let size = HEADERS + length as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2, 0, 183, 0, 1, 0, 0, 0]);
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

fn start(file: &Temporary) -> Result<Child, Failure> {
    let mut command = if cfg!(target_arch = "aarch64") {
        Command::new(&file.0)
    } else {
        let emulator = std::env::var_os("AXIOM_QEMU_AARCH64").unwrap_or_else(|| "qemu-aarch64".into());
        let mut command = Command::new(emulator);
        command.arg("-cpu").arg("max").arg(&file.0);
        command
    };
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    spawned.map_err(|e| match e.kind() {
        ErrorKind::NotFound => Failure::Refused(
            "--engine jit: the compiler makes code for AArch64, which this machine is not, and qemu-aarch64 is missing: install it \
             (Debian: apt install qemu-user), or use --engine interp"
                .into(),
        ),
        _ => Failure::Refused(format!("--engine jit: the compiled program cannot be started: {e}")),
    })
}

/// Compiles and runs a program so often; returns r0 and the time of all runs.
pub fn run(
    world: &mut World,
    insns: &[Insn],
    zero_stack: bool,
    runs: u64,
) -> Result<(u64, Duration), Failure> {
    let mut code = vec![0; at::STACK - at::CODE];
    let mut compiler = Compiler::new(Features { lse: false });
    compiler.set_zero_stack(zero_stack);
    let length = compiler
        .compile(insns, &|source, imm, next| world.address(source, imm, next), &mut code)
        .map_err(|e| Failure::Refused(format!("it cannot be compiled: {e}")))?;
    world.space.write(at::CODE, &code[..length]);
    stubs(&world.space)?;
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
    let file = Temporary::new(&executable(world.space.file())).map_err(broken)?;
    let mut child = start(&file)?;
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
