//! An I2C bus with two sensors for the emulated machine: a vhost-user-i2c back end for QEMU.
//!
//! An ADXL345 accelerometer at 0x53, which replays a recording, and an LM75 thermometer at 0x48. Start it, wait for its
//! socket, then start QEMU with `-chardev socket,id=vi2c,path=SOCKET -device vhost-user-i2c-device,chardev=vi2c` and shared
//! memory. It ends when QEMU goes away.
//!
//! The accelerometer's interrupt line is told on standard output, `int1 1` and `int1 0`; whoever started the simulator brings
//! it to a pin of the machine.
//!
//! A PC has no pins of its own: with `--lines` there is a controller of eight lines besides, for `-device vhost-user-gpio-pci`, whose pins are
//! moved and read at the socket `--control`.

mod adxl345;
mod backend;
mod gpio;
mod lines;
mod lm75;
mod recording;
mod registers;

use adxl345::{Adxl345, Clock};
use backend::{Bus, Faults};
use recording::Recording;
use registers::Registers;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// A chip on the bus.
pub trait Chip: Send + Sync {
    /// Its address.
    fn address(&self) -> u8;
    /// A write transfer: the first byte usually is a register number.
    fn write(&mut self, bytes: &[u8]);
    /// A read transfer.
    fn read(&mut self, bytes: &mut [u8]);
    /// Time has come to `now`, from the simulator's start. Says the level of its interrupt line when that has changed.
    fn tick(&mut self, _now: Duration) -> Option<bool> {
        None
    }
}

const USAGE: &str =
    "usage: axiom-sensor-sim --socket PATH [--lines PATH --control PATH [--int1-line N]]
                        [--recording CSV] [--clock host|reads]
                        [--chip ADDRESS=REGISTER:BYTES,...] [--nack-from N --nack-count M] [--stick-at N]
  --socket      where QEMU connects
  --lines       where QEMU connects to a controller of eight lines
  --control     where its pins are moved and read: `set LINE 0|1`, `get`
  --int1-line   the line that the accelerometer's interrupt is wired to, besides
  --recording   lines `x,y,z` in g; lines that start with # are comments
  --clock       what makes the accelerometer's samples: the host's time at the programmed rate (the default), or reading them,
                which makes runs alike and keeps the interrupt line still
  --chip        one more chip, by what its registers read: 0x18=06:0054,05:c1a0 (repeatable)
  --nack-from   transfers from this one on are not acknowledged, --nack-count of them
  --stick-at    this transfer never ends: a stuck bus";

struct Options {
    socket: PathBuf,
    lines: Option<PathBuf>,
    control: Option<PathBuf>,
    int1_line: Option<u16>,
    recording: Option<PathBuf>,
    clock: Clock,
    faults: Faults,
    chips: Vec<Registers>,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut socket = None;
    let (mut lines, mut control, mut int1_line) = (None, None, None);
    let mut recording = None;
    let mut faults = Faults::default();
    let mut clock = Clock::Host;
    let mut chips = Vec::new();
    while let Some(name) = args.next() {
        let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: '{value}' is not a number"));
        match name.as_str() {
            "--socket" => socket = Some(PathBuf::from(value)),
            "--lines" => lines = Some(PathBuf::from(value)),
            "--control" => control = Some(PathBuf::from(value)),
            "--int1-line" => {
                let line = number()?;
                int1_line = u16::try_from(line).ok().filter(|n| *n < lines::LINES);
                int1_line.ok_or(format!("--int1-line {line}: lines are 0 to {}", lines::LINES - 1))?;
            }
            "--recording" => recording = Some(PathBuf::from(value)),
            "--clock" => {
                clock = match value.as_str() {
                    "host" => Clock::Host,
                    "reads" => Clock::Reads,
                    _ => return Err(format!("--clock {value}: host or reads")),
                }
            }
            "--chip" => chips.push(Registers::parse(&value)?),
            "--nack-from" => faults.nack_from = Some(number()?),
            "--nack-count" => faults.nack_count = number()?,
            "--stick-at" => faults.stick_at = Some(number()?),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    if lines.is_none() && (control.is_some() || int1_line.is_some()) {
        return Err("--control and --int1-line belong to --lines".into());
    }
    let socket = socket.ok_or("--socket is missing")?;
    Ok(Options { socket, lines, control, int1_line, recording, clock, faults, chips })
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("sensor-sim: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let recording = match &options.recording {
        Some(path) => Recording::read(path),
        None => Recording::built_in(),
    };
    let recording = match recording {
        Ok(recording) => recording,
        Err(error) => {
            eprintln!("sensor-sim: {error}");
            return ExitCode::FAILURE;
        }
    };
    eprintln!("sensor-sim: ADXL345 replays {} ({} samples); LM75", recording.name, recording.len());
    let mut chips: Vec<Box<dyn Chip>> =
        vec![Box::new(Adxl345::new(recording, options.clock)), Box::new(lm75::Lm75::default())];
    chips.extend(options.chips.into_iter().map(|chip| Box::new(chip) as Box<dyn Chip>));
    let gpio = Arc::new(RwLock::new(gpio::Gpio::new()));
    let wired = options.int1_line.map(|line| (gpio.clone(), line));
    let lines = options.lines.as_ref().map_or(Ok(()), |socket| gpio::serve(socket, &gpio));
    let control = options.control.as_ref().map_or(Ok(()), |socket| gpio::control(socket, &gpio));
    let served = lines
        .and(control)
        .and_then(|()| backend::serve(&options.socket, Bus::new(chips, options.faults, wired)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sensor-sim: {error}");
            ExitCode::FAILURE
        }
    }
}
