//! `axiom-runner`: one run of Axiom in QEMU, from the sensor simulator's start to the verdict.
//!
//! The console is shown and logged. Two things decide the exit status: the verdict line (`axiom: run ended: ok`, or `FAILED: why`, with the
//! word that only init was told), and the texts that `--expect` and `--forbid` name. No child process is left, whatever happens: they are
//! ended on every way out, and the kernel ends them if this process is killed.
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

mod children;
mod console;
mod inject;
mod options;
mod symbols;
mod watch;

use children::{Terminal, Tied};
use console::Console;
use inject::Injector;
use options::Options;
use symbols::Symbols;
use watch::{State, Watch};

/// Bytes of a socket's path (`sun_path`, with its end).
const LONGEST_SOCKET: usize = 107;

/// Why there was no verdict.
enum NoVerdict {
    /// Could not start.
    Start(String),
    /// Not as expected.
    Failed(String),
    /// Out of time.
    Timeout(String),
    /// A signal.
    Interrupted,
}

/// What children say.
enum Said {
    /// A piece of QEMU's output.
    Console(Vec<u8>),
    /// The accelerometer's interrupt line changed.
    Interrupt(bool),
}

/// A folder for the socket, gone with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("axiom-runner-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is a temporary file at worst.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() -> ExitCode {
    axiom_terminal::end_with_the_pipe();
    let mut options = match options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("axiom-runner: {message}");
            return ExitCode::from(2);
        }
    };
    if let Some(server) = &options.elf_of {
        let symbols = Symbols::new(&options.kernel, options.bundle.as_deref(), Symbols::folders());
        return match symbols.server(server) {
            Ok(file) => {
                println!("{}", file.display());
                ExitCode::SUCCESS
            }
            Err(why) => {
                eprintln!("axiom-runner: {why}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(log) = &options.explain {
        return explain(&options, log);
    }
    if !options.root_task && !options.no_verdict && !options.probe {
        options.token = match options::random_token() {
            Ok(token) => Some(token),
            Err(message) => {
                eprintln!("axiom-runner: {message}");
                return ExitCode::from(2);
            }
        };
    }
    let (message, code) = match run(&options) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(NoVerdict::Start(why)) => (why, 2),
        Err(NoVerdict::Failed(why)) => (why, 1),
        Err(NoVerdict::Timeout(why)) => (why, 3),
        Err(NoVerdict::Interrupted) => ("interrupted".into(), 130),
    };
    eprintln!("axiom-runner: {}: {message}", options.name);
    ExitCode::from(code)
}

/// Shows a captured log, with what its addresses mean.
fn explain(o: &Options, log: &Path) -> ExitCode {
    let text = match std::fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).replace('\r', ""),
        Err(error) => {
            eprintln!("axiom-runner: {}: cannot be read: {error}", log.display());
            return ExitCode::from(2);
        }
    };
    let symbols = Symbols::new(&o.kernel, o.bundle.as_deref(), Symbols::folders());
    let mut show = axiom_terminal::Show::new(axiom_terminal::colours_wanted(), None);
    for line in text.lines() {
        for line in std::iter::once(line.to_owned()).chain(symbols.explain(line)) {
            print!("{}", show.line(&line).unwrap_or_default());
        }
    }
    ExitCode::SUCCESS
}

fn needed(path: &Path, what: &str, made_by: &str) -> Result<(), NoVerdict> {
    if path.is_file() {
        return Ok(());
    }
    Err(NoVerdict::Start(format!("{what} {} is not there; `{made_by}` makes it", path.display())))
}

fn start_simulator(o: &Options, scratch: &Scratch, log: &Path) -> Result<Option<(Tied, PathBuf)>, NoVerdict> {
    if o.no_sensors {
        return Ok(None);
    }
    let program = o
        .simulator
        .clone()
        .or_else(|| Some(std::env::current_exe().ok()?.with_file_name("axiom-sensor-sim")));
    let Some(program) = program.filter(|p| p.is_file()) else {
        return Err(NoVerdict::Start(
            "the sensor simulator is not there; `just tools` makes it, --no-sensors runs without".into(),
        ));
    };
    let socket = scratch.0.join("i2c.sock");
    // The length of a socket's path is the kernel's, and what it says of it helps nobody.
    if socket.as_os_str().len() > LONGEST_SOCKET {
        return Err(NoVerdict::Start(format!(
            "the temporary folder {} is too long for a socket's path ({} bytes, at most {LONGEST_SOCKET}): set TMPDIR to a shorter one",
            scratch.0.display(),
            socket.as_os_str().len()
        )));
    }
    let output = File::create(log)
        .map_err(|e| NoVerdict::Start(format!("{}: cannot be written: {e}", log.display())))?;
    let errors = output.try_clone().map_err(|e| NoVerdict::Start(e.to_string()))?;
    let mut command = Command::new(&program);
    command.arg("--socket").arg(&socket).args(&o.sensor_args).stdin(Stdio::null()).stderr(errors);
    let mut sockets = vec![socket.clone()];
    if o.lines_device.is_some() {
        let (lines, control) = (options::lines_socket(&socket), inject::control_socket(&scratch.0));
        command.arg("--lines").arg(&lines).arg("--control").arg(&control);
        sockets.extend([lines, control]);
    }
    // Where instructions are counted, runs are to be alike: the host's time stays out.
    if o.icount && !o.sensor_args.iter().any(|a| a == "--clock") {
        command.args(["--clock", "reads"]);
    }
    let wired = o.sensor_interrupt.is_some();
    command.stdout(if wired { Stdio::piped() } else { output.into() });
    let mut simulator = Tied::spawn(&mut command)
        .map_err(|e| NoVerdict::Start(format!("{}: cannot be started: {e}", program.display())))?;
    let end = Instant::now() + Duration::from_secs(10);
    while !sockets.iter().all(|socket| socket.exists()) {
        if !simulator.runs() || Instant::now() > end {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            return Err(NoVerdict::Start(format!("the sensor simulator did not start: {}", said.trim())));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(Some((simulator, socket)))
}

/// The emulator's file, on the path or where it was said to be.
fn emulator(o: &Options) -> Option<PathBuf> {
    if o.qemu.components().count() > 1 {
        return Some(o.qemu.clone()).filter(|p| p.is_file());
    }
    std::env::split_paths(&std::env::var_os("PATH")?).map(|p| p.join(&o.qemu)).find(|p| p.is_file())
}

/// Whether QEMU ended by itself, with this status.
fn ended_with(qemu: &mut Tied, wanted: i32) -> Result<(), NoVerdict> {
    let why = match (qemu.wait(Duration::from_secs(2)), qemu.status()) {
        (_, Some(status)) if status == wanted => return Ok(()),
        (_, Some(status)) => format!("QEMU ended with status {status}"),
        (true, None) => "QEMU was ended by a signal".into(),
        (false, None) => "QEMU goes on".into(),
    };
    Err(NoVerdict::Failed(format!(
        "{why} after the verdict; the kernel's own end is status {wanted}, and a crash of the machine has status 0"
    )))
}

fn run(o: &Options) -> Result<(), NoVerdict> {
    let Some(emulator) = emulator(o) else {
        return Err(NoVerdict::Start(format!(
            "the emulator {} is not there; {}",
            o.qemu.display(),
            o.qemu_hint
        )));
    };
    if o.probe {
        println!("{}", emulator.display());
        return Ok(());
    }
    if o.iso {
        needed(&o.iso_file, "the image", "just image-x86_64")?;
        if o.uefi {
            needed(&o.uefi_firmware, "the UEFI firmware", "./justw qemu-x86_64 --uefi")?;
        }
    } else {
        needed(&o.kernel, "the kernel", "just kernel")?;
        if let Some(bundle) = &o.bundle {
            needed(bundle, "the bundle", "just bundle")?;
        }
    }
    children::catch_signals();
    let terminal = Terminal::remember();
    std::fs::create_dir_all(&o.logs).map_err(|e| NoVerdict::Start(format!("{}: {e}", o.logs.display())))?;
    let log_path = o.logs.join(format!("{}.log", o.name));
    let mut console = Console::new(o, &log_path)
        .map_err(|e| NoVerdict::Start(format!("{}: cannot be written: {e}", log_path.display())))?;
    let scratch = Scratch::new().map_err(|e| NoVerdict::Start(format!("temporary folder: {e}")))?;
    let mut simulator = start_simulator(o, &scratch, &o.logs.join(format!("{}.sensors.log", o.name)))?;

    let nudges = o.icount && !options::counting(o, simulator.is_some()).contains("sleep=off");
    let mut injector = Injector::new(&o.after, o.sensor_interrupt.as_deref(), nudges, &scratch.0);
    let mut command = Command::new(&emulator);
    command.args(options::qemu_arguments(o, simulator.as_ref().map(|s| s.1.as_path())));
    command.args(injector.qemu_arguments());
    let typed = if terminal.is_there() && !o.quiet { Stdio::inherit() } else { Stdio::null() };
    command.stdin(typed).stdout(Stdio::piped()).stderr(Stdio::piped());
    if !o.quiet {
        eprintln!("axiom-runner: log {}; leave QEMU with Ctrl-A x", log_path.display());
    }
    let mut qemu = Tied::spawn(&mut command).map_err(|e| {
        NoVerdict::Start(format!("{}: cannot be started: {e}; {}", o.qemu.display(), o.qemu_hint))
    })?;
    let (send, said) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        qemu.child().stdout.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
        qemu.child().stderr.take().map(|p| Box::new(p) as Box<dyn Read + Send>),
    ];
    for mut pipe in pipes.into_iter().flatten() {
        let send = send.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                if send.send(Said::Console(buffer[..n].to_vec())).is_err() {
                    break;
                }
            }
        });
    }
    if let Some(lines) = simulator.as_mut().and_then(|s| s.0.child().stdout.take()) {
        let send = send.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                let level = match line.as_str() {
                    "int1 0" => false,
                    "int1 1" => true,
                    _ => continue,
                };
                if send.send(Said::Interrupt(level)).is_err() {
                    break;
                }
            }
        });
    }
    drop(send);

    let mut watch = Watch::new(o);
    let symbols = Symbols::new(&o.kernel, o.bundle.as_deref(), Symbols::folders());
    let started = Instant::now();
    // When the verdict came: QEMU has a moment to end by itself. Without a verdict it would not.
    let grace = if o.no_verdict { Duration::ZERO } else { Duration::from_secs(2) };
    let mut ended: Option<Instant> = None;
    let mut heard = Instant::now();
    let outcome = loop {
        if children::signal().is_some() {
            break Err(NoVerdict::Interrupted);
        }
        match said.recv_timeout(Duration::from_millis(50)) {
            Ok(Said::Interrupt(level)) => {
                if let Err(why) = injector.interrupt(level) {
                    // A machine that ends closes its sockets first.
                    std::thread::sleep(Duration::from_millis(500));
                    if ended.is_none() && qemu.runs() {
                        break Err(NoVerdict::Failed(format!("the sensor's interrupt line: {why}")));
                    }
                }
            }
            Ok(Said::Console(bytes)) => {
                heard = Instant::now();
                for line in console.feed(&bytes) {
                    if *watch.line(&line) != State::Running {
                        ended.get_or_insert_with(Instant::now);
                    }
                    for said in symbols.explain(&line) {
                        console.add(&said);
                        watch.line(&said);
                    }
                    // Answers of the machine stand between its lines.
                    for answer in injector.line(&line).map_err(NoVerdict::Failed)? {
                        console.add(&answer);
                        watch.line(&answer);
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) if heard.elapsed() > inject::SILENCE => {
                // One that ends does not answer, and its end is seen by other signs.
                let _ = injector.nudge();
                heard = Instant::now();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break Ok("QEMU ended"),
        }
        if ended.is_some_and(|e| e.elapsed() >= grace) && !o.linger {
            break Ok("the run ended");
        }
        if !o.timeout.is_zero() && started.elapsed() > o.timeout && ended.is_none() {
            break Err(NoVerdict::Timeout(format!("no end after {} s", o.timeout.as_secs())));
        }
    };
    let status = match (&outcome, o.exit_status) {
        // What has no verdict may go on for ever.
        (Ok(_), Some(wanted)) if !o.no_verdict => ended_with(&mut qemu, wanted),
        _ => Ok(()),
    };
    drop(qemu);
    for line in console.finish() {
        watch.line(&line);
    }
    let outcome = match outcome {
        Ok(why) => watch.finish(why).map_err(NoVerdict::Failed),
        Err(NoVerdict::Timeout(why)) => watch.finish(&why).map_err(NoVerdict::Timeout),
        other => other.map(drop),
    };
    let outcome = outcome.and(status);
    if o.quiet && outcome.is_err() {
        console.tail(&log_path);
    }
    if !o.quiet && console.has_report {
        eprintln!("axiom-runner: its figures as tables and charts: ./justw report {}", log_path.display());
    }
    outcome
}
