//! The chips that the manifest names: which driver, which registers, which interrupt.
//!
//! `rp1` and `rp1-pwm0` are peripherals of RP1, opened through its server; `soft-pwm` is made in software; any other name is
//! that of one of the server's `devices`, a PL061.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_gpio::{Board, Chip, Line, Mmio, PwmChip, SoftPwm, Stop};
use axiom_pl061::Pl061;
use axiom_rp1_client::Served;
use axiom_rp1_gpio::{Pull, Rp1Gpio};
use axiom_rp1_pwm::{CLOCK_HZ, Rp1Pwm};
use axiom_runtime::proto::env::{Bits, Device, OWN_BITS};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{IrqHandler, Pages, Runtime, Slots, Timer, info, time, warn};
use bcm2712_pac::Block;
use core::ptr::NonNull;

/// Slowest and fastest PWM in software, Hz.
const SOFT_HZ: core::ops::RangeInclusive<u64> = 1..=1000;

/// An interrupt of a chip.
pub struct Irq {
    /// The chip's number.
    pub chip: u8,
    /// Its bit in the notification's badge.
    pub bit: u64,
    /// To let it come again.
    pub again: Again,
}

/// How an interrupt is let in again.
#[derive(Clone, Copy)]
pub enum Again {
    /// At the kernel.
    Handler(IrqHandler),
    /// At RP1's server.
    Served(Served),
}

impl Irq {
    /// The chip was served.
    #[inline]
    pub fn served(&self) {
        match self.again {
            Again::Served(served) => served.signal(),
            Again::Handler(handler) => {
                if handler.ack().is_err() {
                    warn!("an interrupt of chip {} could not be let in again", self.chip);
                }
            }
        }
    }
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
    pub irqs: Vec<Irq>,
    /// The timer of the channel made in software.
    pub soft: Option<SoftTimer>,
    /// Bits that this server gives away.
    own: Bits,
}

/// Opens all chips, and parks the motors. What there is to say is said afterwards: the console may be slow.
pub fn open(rt: Runtime, slots: &mut Slots) -> Found {
    let env = rt.env();
    let again = env.restarts > 0;
    let board = Board::new(env.motors.clone(), if again { Stop::Held } else { Stop::Clear });
    let mut found = Found { board, irqs: Vec::new(), soft: None, own: Bits::of(OWN_BITS) };
    let mut pages = Pages::new(env.scratch);
    // PWM first: its channels stand still before a line is led to them.
    let mut open_pwm = |name: &String| if name == "rp1-pwm0" { rp1_pwm(rt, slots, &mut pages) } else { None };
    let pwm: Vec<Option<Box<dyn PwmChip>>> = env.pwm_chips.iter().map(&mut open_pwm).collect();
    let routes = routes(rt);
    for (number, name) in env.gpio_chips.iter().enumerate() {
        let number = number as u8;
        let chip = match name.as_str() {
            "rp1" => rp1_gpio(rt, &mut found, number, slots, &mut pages, &routes),
            _ => env.devices.iter().find(|d| d.name == *name).and_then(|d| pl061(&mut found, number, d)),
        };
        found.board.add_chip(chip);
    }
    for ((number, name), chip) in env.pwm_chips.iter().enumerate().zip(pwm) {
        if name != "soft-pwm" || !soft_pwm(rt, &mut found, number as u8) {
            found.board.add_pwm(chip);
        }
    }
    found.board.park();
    report(rt, &found.board, again);
    found
}

/// What was found.
fn report(rt: Runtime, board: &Board, again: bool) {
    let env = rt.env();
    for (number, name) in env.gpio_chips.iter().enumerate() {
        match board.lines(number as u8) {
            Some(lines @ 1..) => info!("{name}: {lines} lines"),
            _ => warn!("{name}: not there; its lines are refused"),
        }
    }
    for (number, name) in env.pwm_chips.iter().enumerate() {
        match board.channels(number as u8) {
            Some((channels @ 1.., false)) => info!("{name}: {channels} channels"),
            Some((channels @ 1.., true)) => info!("{name}: {channels} channel, made in software"),
            _ => warn!("{name}: not there; its channels are refused"),
        }
    }
    if env.last_life {
        warn!("the last life of this server: the motors stand, and nobody can rearm them");
    } else if again && !env.motors.is_empty() {
        warn!(
            "started again: the motors are held until somebody rearms them, for nobody knows whether they were"
        );
    }
}

fn pl061(found: &mut Found, number: u8, device: &Device) -> Option<Box<dyn Chip>> {
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
        let again = Again::Handler(IrqHandler(CPtr(i.slot)));
        found.irqs.push(Irq { chip: number, bit: 1 << i.bit, again });
    }
    Some(Box::new(chip))
}

/// `rp1_pwm0_lines = "<channel>:<line> ..."`: where channels of RP1's first PWM block come out.
fn routes(rt: Runtime) -> Vec<(u8, u8)> {
    let text = rt.arg("rp1_pwm0_lines").unwrap_or("");
    let pairs = text.split_whitespace().map(|pair| {
        let (channel, line) = pair.split_once(':')?;
        Some((channel.parse().ok()?, line.parse().ok()?))
    });
    let good: Option<Vec<(u8, u8)>> = pairs.collect();
    good.unwrap_or_else(|| {
        warn!("rp1_pwm0_lines = \"{text}\" is no list of <channel>:<line>; no channel comes out");
        Vec::new()
    })
}

/// `rp1_pulls = "<line>:<none|down|up> ..."`; lines that are not named keep what they have.
fn pulls(rt: Runtime) -> Vec<(u8, Pull)> {
    let text = rt.arg("rp1_pulls").unwrap_or("");
    let pairs = text.split_whitespace().map(|pair| {
        let (line, pull) = pair.split_once(':')?;
        Some((line.parse().ok()?, Pull::from_name(pull)?))
    });
    let good: Option<Vec<(u8, Pull)>> = pairs.collect();
    good.unwrap_or_else(|| {
        warn!("rp1_pulls = \"{text}\" is no list of <line>:<none|down|up>; no pull is changed");
        Vec::new()
    })
}

/// Offsets of the pages that RP1's server gives for `gpio`.
const RIO_AT: usize = 0x4000;
const PADS_AT: usize = 0x8000;

/// Registers of RP1 at an offset of an opened peripheral.
fn rp1_block<B>(
    registers: axiom_rp1_client::Registers,
    offset: usize,
) -> Option<Block<B, bcm2712_pac::Mmio>> {
    let at =
        NonNull::new((registers.start + offset) as *mut u32).filter(|_| offset + 0x4000 <= registers.len)?;
    // SAFETY: RP1's server gave these pages to this server; they are mapped as device memory for its life, four for each
    // block with its atomic views, as just checked.
    Some(Block::new(unsafe { bcm2712_pac::Mmio::new(at) }))
}

fn rp1_gpio(
    rt: Runtime,
    found: &mut Found,
    number: u8,
    slots: &mut Slots,
    pages: &mut Pages,
    routes: &[(u8, u8)],
) -> Option<Box<dyn Chip>> {
    let registers = match axiom_rp1_client::open(rt, slots, pages, "gpio") {
        Ok(registers) => registers,
        Err(failure) => {
            warn!("RP1's lines: {failure}");
            return None;
        }
    };
    let mut chip =
        Rp1Gpio::new(rp1_block(registers, 0)?, rp1_block(registers, RIO_AT)?, rp1_block(registers, PADS_AT)?);
    for (channel, line) in routes {
        if chip.route_pwm0(*channel, *line) {
            found.board.take_line(Line { chip: number, line: *line });
        } else {
            warn!("channel {channel} of RP1's PWM0 does not come out at line {line}");
        }
    }
    for (line, pull) in pulls(rt) {
        if !chip.set_pull(line, pull) {
            warn!("rp1_pulls: there is no line {line}");
        }
    }
    let Some(bit) = found.own.take() else {
        warn!("no bit is left for the interrupt of RP1's lines");
        return None;
    };
    match axiom_rp1_client::interrupt(rt, slots, "gpio", bit) {
        Ok(served) => found.irqs.push(Irq { chip: number, bit: 1 << bit, again: Again::Served(served) }),
        Err(failure) => warn!("RP1's lines have no interrupt, so that no edge is seen: {failure}"),
    }
    Some(Box::new(chip))
}

/// `rp1_pwm0_hz` among the settings.
fn rp1_pwm(rt: Runtime, slots: &mut Slots, pages: &mut Pages) -> Option<Box<dyn PwmChip>> {
    let registers = match axiom_rp1_client::open(rt, slots, pages, "pwm0") {
        Ok(registers) => registers,
        Err(failure) => {
            warn!("RP1's PWM: {failure}");
            return None;
        }
    };
    let hz = rt.arg_number("rp1_pwm0_hz").unwrap_or(1000) as u32;
    let pwm = Rp1Pwm::new(rp1_block(registers, 0)?, CLOCK_HZ, hz);
    if pwm.is_none() {
        warn!("rp1_pwm0_hz = {hz}: the clock of {CLOCK_HZ} Hz has no steps left for a duty");
    }
    pwm.map(|p| Box::new(p) as Box<dyn PwmChip>)
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
    true
}
