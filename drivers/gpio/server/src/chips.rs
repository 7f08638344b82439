//! The chips that the manifest names: which driver, which registers, which interrupt.
//!
//! A chip's name is the name of the server's device (`devices`) or, for `soft-pwm`, of what is made in software.

use alloc::boxed::Box;
use axiom_gpio::{Board, Chip, Line, Mmio, SoftPwm, Stop};
use axiom_pl061::Pl061;
use axiom_runtime::proto::env::Device;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{IrqHandler, Runtime, Timer, info, time, warn};

/// Slowest and fastest PWM in software, Hz.
const SOFT_HZ: core::ops::RangeInclusive<u64> = 1..=1000;

/// An interrupt of a chip.
pub struct Irq {
    /// The chip's number.
    pub chip: u8,
    /// Its bit in the notification's badge.
    pub bit: u64,
    /// To let it come again.
    pub handler: IrqHandler,
}

/// The timer of the PWM channel that is made in software.
pub struct SoftTimer {
    /// The PWM chip's number.
    pub chip: u8,
    /// The timer.
    pub timer: Timer,
    /// Its bit in the notification's badge.
    pub bit: u64,
    /// When it comes next, in ticks; none: it stands still.
    pub next: Option<u64>,
}

/// What was found.
pub struct Found {
    /// The chips.
    pub board: Board,
    /// Their interrupts.
    pub irqs: alloc::vec::Vec<Irq>,
    /// The timer of the channel made in software.
    pub soft: Option<SoftTimer>,
}

/// Opens all chips, and parks the motors.
pub fn open(rt: Runtime) -> Found {
    let env = rt.env();
    let again = env.restarts > 0;
    if again && !env.motors.is_empty() {
        warn!(
            "started again: the motors are held until somebody rearms them, for nobody knows whether they were"
        );
    }
    let board = Board::new(env.motors.clone(), if again { Stop::Held } else { Stop::Clear });
    let mut found = Found { board, irqs: alloc::vec::Vec::new(), soft: None };
    for (number, name) in env.gpio_chips.iter().enumerate() {
        let chip =
            env.devices.iter().find(|d| d.name == *name).and_then(|d| gpio_chip(&mut found, number as u8, d));
        match &chip {
            Some(chip) => info!("{name}: {} lines", chip.lines()),
            None => warn!("{name}: not there; its lines are refused"),
        }
        found.board.add_chip(chip);
    }
    for (number, name) in env.pwm_chips.iter().enumerate() {
        if name == "soft-pwm" && soft_pwm(rt, &mut found, number as u8) {
            continue;
        }
        warn!("{name}: not there; its channels are refused");
        found.board.add_pwm(None);
    }
    found.board.park();
    found
}

fn gpio_chip(found: &mut Found, number: u8, device: &Device) -> Option<Box<dyn Chip>> {
    if (device.registers.len as usize) < axiom_pl061::REGISTERS_LEN {
        return None;
    }
    // SAFETY: init mapped the device's registers, a page of them as just checked, for this server alone, for its life.
    let registers = unsafe { Mmio::new(device.registers.start as *mut u32) };
    let chip = match Pl061::new(registers) {
        Ok(chip) => chip,
        Err(id) => {
            warn!("{}: identifies itself as {id:#010x}, which is no PL061", device.name);
            return None;
        }
    };
    for i in &device.interrupts {
        found.irqs.push(Irq { chip: number, bit: 1 << i.bit, handler: IrqHandler(CPtr(i.slot)) });
    }
    Some(Box::new(chip))
}

/// `soft_pwm = "<chip>/<line>"` and `soft_pwm_hz` among the settings; one timer.
fn soft_pwm(rt: Runtime, found: &mut Found, number: u8) -> bool {
    let line = rt.arg("soft_pwm").and_then(|text| {
        let (chip, line) = text.split_once('/')?;
        let chip = rt.env().gpio_chips.iter().position(|c| c == chip)? as u8;
        Some(Line { chip, line: line.parse().ok()? })
    });
    let hz = rt.arg_number("soft_pwm_hz").filter(|hz| SOFT_HZ.contains(hz));
    let (Some(line), Some(hz), Some((timer, bit))) = (line, hz, rt.timer(0)) else {
        warn!(
            "soft-pwm needs a timer and the settings soft_pwm = \"<chip>/<line>\" and soft_pwm_hz = 1 to 1000"
        );
        return false;
    };
    found.board.add_soft_pwm(SoftPwm { line, period: time::frequency() / hz });
    found.soft = Some(SoftTimer { chip: number, timer, bit, next: None });
    info!("soft-pwm: one channel at {hz} Hz, made in software on line {}", line.line);
    true
}
