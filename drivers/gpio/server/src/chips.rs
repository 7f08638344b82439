//! The chips that the manifest names: which driver, which registers, which interrupt.
//!
//! `rp1` and `rp1-pwm0` are peripherals of RP1, opened through its server; `soft-pwm` is made in software; any other name is
//! that of one of the server's `devices`, a PL061.

use axiom_gpio::{Board, Chip, EmergencyStop, Line, Motor, PwmChip, SoftPwm};
use axiom_mmio::Mmio;
use axiom_pl061::Pl061;
use axiom_rp1_client::Served;
use axiom_rp1_gpio::{Pull, Rp1Gpio};
use axiom_rp1_pwm::{CLOCK_HZ, Rp1Pwm};
use axiom_runtime::proto::env::Device;
use axiom_runtime::proto::gpio::{CHANNELS, CHIPS, LINES, Outputs};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Bit, Bits, Class, IrqHandler, Pages, Place, Runtime, Slots, Timer, info, time, warn};
use heapless::Vec;

/// Slowest and fastest PWM in software, Hz.
const SOFT_HZ: core::ops::RangeInclusive<u64> = 1..=1000;

/// Interrupts of all chips: a device has at most four.
pub const IRQS: usize = 4 * CHIPS;
/// The drivers. RP1 is there once.
static PL061S: [Place<Pl061<Mmio>>; CHIPS] = [const { Place::new() }; CHIPS];
static RP1_GPIO: Place<Rp1Gpio<Mmio>> = Place::new();
static RP1_PWM: Place<Rp1Pwm<Mmio>> = Place::new();

/// An interrupt of a chip.
pub struct Irq {
    /// The chip's number.
    pub chip: u8,
    /// Its bit of the notification.
    pub bit: Bit,
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
    /// Its bit of the notification.
    pub bit: Bit,
    /// When it comes next, in ticks; none: it stands still.
    pub next: Option<u64>,
}

/// What was found.
pub struct Found {
    /// The chips.
    pub board: Board,
    /// Their interrupts.
    pub irqs: Vec<Irq, IRQS>,
    /// The timer of the channel made in software.
    pub soft: Option<SoftTimer>,
    /// Bits that this server gives away.
    bits: Bits,
}

/// The motors, all of them: who cannot hold one must not drive anything.
fn motors(outputs: Outputs<'_>) -> Vec<Motor, { axiom_runtime::proto::gpio::MOTORS }> {
    let mut motors = Vec::new();
    for motor in outputs.motors {
        let kept = Motor::try_from(motor).ok().and_then(|kept| motors.push(kept).ok());
        assert!(
            kept.is_some(),
            "motor '{}' has more outputs, or there are more motors, than compose lets a system have",
            motor.name
        );
    }
    motors
}

/// Opens all chips, and parks the motors. What there is to say is said afterwards: the console may be slow.
pub fn open(rt: Runtime, outputs: Outputs<'static>, slots: &mut Slots) -> Found {
    let env = rt.env();
    let again = env.restarts > 0;
    let board = Board::new(motors(outputs), if again { EmergencyStop::Held } else { EmergencyStop::Clear });
    let mut found = Found { board, irqs: Vec::new(), soft: None, bits: Bits::new() };
    let mut pages = Pages::new(env.scratch);
    // PWM first: its channels stand still before a line is led to them.
    let mut rp1_pwm = outputs
        .pwm_chips
        .iter()
        .any(|name| name == "rp1-pwm0")
        .then(|| rp1_pwm(rt, slots, &mut pages))
        .flatten();
    let routes = routes(rt);
    let mut room = Ok(());
    for (number, name) in outputs.gpio_chips.iter().enumerate() {
        let number = number as u8;
        let chip = match name {
            "rp1" => rp1_gpio(rt, &mut found, number, slots, &mut pages, &routes),
            _ => env.device(name).and_then(|d| pl061(rt, &mut found, number, &d)),
        };
        room = room.and(found.board.add_chip(chip));
    }
    for (number, name) in outputs.pwm_chips.iter().enumerate() {
        let soft = if name == "soft-pwm" { soft_pwm(rt, outputs, &mut found, number as u8) } else { None };
        room = room.and(match soft {
            Some(soft) => found.board.add_soft_pwm(soft),
            None => found.board.add_pwm(if name == "rp1-pwm0" { rp1_pwm.take() } else { None }),
        });
    }
    assert!(room.is_ok(), "there are more chips than compose lets a system have");
    found.board.park();
    report(rt, outputs, &found.board, again);
    found
}

/// What was found.
fn report(rt: Runtime, outputs: Outputs<'_>, board: &Board, again: bool) {
    for (number, name) in outputs.gpio_chips.iter().enumerate() {
        match board.lines(number as u8) {
            Some(lines @ 1..) => info!("{name}: {lines} lines"),
            _ => warn!("{name}: not there; its lines are refused"),
        }
    }
    for (number, name) in outputs.pwm_chips.iter().enumerate() {
        match board.channels(number as u8) {
            Some((channels @ 1.., false)) => info!("{name}: {channels} channels"),
            Some((channels @ 1.., true)) => info!("{name}: {channels} channel, made in software"),
            _ => warn!("{name}: not there; its channels are refused"),
        }
    }
    if rt.env().last_life {
        warn!("the last life of this server: the motors stand, and nobody can rearm them");
    } else if again && !outputs.motors.is_empty() {
        warn!(
            "started again: the motors are held until somebody rearms them, for nobody knows whether they were"
        );
    }
}

fn pl061(rt: Runtime, found: &mut Found, number: u8, device: &Device<'_>) -> Option<&'static mut dyn Chip> {
    let registers = rt.registers(device.name, axiom_pl061::REGISTERS_LEN as u64)?;
    let chip = match Pl061::new(registers) {
        Ok(chip) => chip,
        Err(id) => {
            warn!("{}: identifies itself as {id:#010x}, which is no PL061", device.name);
            return None;
        }
    };
    for i in rt.env().interrupts_of(device, false) {
        let again = Again::Handler(IrqHandler(CPtr(i.slot)));
        keep_irq(found, Irq { chip: number, bit: i.bit, again });
    }
    PL061S.get(number as usize).map(|place| place.put(|| chip) as &mut dyn Chip)
}

fn keep_irq(found: &mut Found, irq: Irq) {
    if let Err(irq) = found.irqs.push(irq) {
        warn!(
            "chip {} has more interrupts than this server keeps: edges that only raise the last one are not seen",
            irq.chip
        );
    }
}

/// A list of `<number>:<what>` among the settings; `None` if a pair is none, or there are more than `N`.
fn pairs<T, const N: usize>(text: &str, what: impl Fn(&str) -> Option<T>) -> Option<Vec<(u8, T), N>> {
    let mut list = Vec::new();
    for pair in text.split_whitespace() {
        let (number, rest) = pair.split_once(':')?;
        list.push((number.parse().ok()?, what(rest)?)).ok()?;
    }
    Some(list)
}

/// Where channels of RP1's first PWM block come out.
type Routes = Vec<(u8, u8), { CHANNELS as usize }>;

/// `rp1_pwm0_lines = "<channel>:<line> ..."`.
fn routes(rt: Runtime) -> Routes {
    let text = rt.arg("rp1_pwm0_lines").unwrap_or("");
    pairs(text, |line| line.parse().ok()).unwrap_or_else(|| {
        warn!("rp1_pwm0_lines = \"{text}\" is no list of <channel>:<line>; no channel comes out");
        Vec::new()
    })
}

/// `rp1_pulls = "<line>:<none|down|up> ..."`; lines that are not named keep what they have.
fn pulls(rt: Runtime) -> Vec<(u8, Pull), { LINES as usize }> {
    let text = rt.arg("rp1_pulls").unwrap_or("");
    pairs(text, Pull::from_name).unwrap_or_else(|| {
        warn!("rp1_pulls = \"{text}\" is no list of <line>:<none|down|up>; no pull is changed");
        Vec::new()
    })
}

/// Offsets of the pages that RP1's server gives for `gpio`.
const RIO_AT: usize = 0x4000;
const PADS_AT: usize = 0x8000;

fn rp1_gpio(
    rt: Runtime,
    found: &mut Found,
    number: u8,
    slots: &mut Slots,
    pages: &mut Pages,
    routes: &Routes,
) -> Option<&'static mut dyn Chip> {
    let registers = match axiom_rp1_client::open(rt, slots, pages, "gpio") {
        Ok(registers) => registers,
        Err(failure) => {
            warn!("RP1's lines: {failure}");
            return None;
        }
    };
    let mut chip = Rp1Gpio::new(registers.block(0)?, registers.block(RIO_AT)?, registers.block(PADS_AT)?);
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
    let Some(bit) = found.bits.take(Class::Doorbell) else {
        warn!("no bit is left for the interrupt of RP1's lines");
        return None;
    };
    match axiom_rp1_client::interrupt(rt, slots, "gpio", bit) {
        Ok(served) => keep_irq(found, Irq { chip: number, bit, again: Again::Served(served) }),
        Err(failure) => warn!("RP1's lines have no interrupt, so that no edge is seen: {failure}"),
    }
    Some(RP1_GPIO.put(|| chip))
}

/// `rp1_pwm0_hz` among the settings.
fn rp1_pwm(rt: Runtime, slots: &mut Slots, pages: &mut Pages) -> Option<&'static mut dyn PwmChip> {
    let registers = match axiom_rp1_client::open(rt, slots, pages, "pwm0") {
        Ok(registers) => registers,
        Err(failure) => {
            warn!("RP1's PWM: {failure}");
            return None;
        }
    };
    let hz = rt.arg_number("rp1_pwm0_hz").unwrap_or(1000) as u32;
    let pwm = Rp1Pwm::new(registers.block(0)?, CLOCK_HZ, hz);
    if pwm.is_none() {
        warn!("rp1_pwm0_hz = {hz}: the clock of {CLOCK_HZ} Hz has no steps left for a duty");
    }
    pwm.map(|pwm| RP1_PWM.put(|| pwm) as &mut dyn PwmChip)
}

/// `soft_pwm = "<chip>/<line>"` and `soft_pwm_hz` among the settings; one timer.
fn soft_pwm(rt: Runtime, outputs: Outputs<'_>, found: &mut Found, number: u8) -> Option<SoftPwm> {
    let line = rt.arg("soft_pwm").and_then(|text| {
        let (chip, line) = text.split_once('/')?;
        let chip = outputs.gpio_chips.iter().position(|c| c == chip)? as u8;
        Some(Line { chip, line: line.parse().ok()? })
    });
    let hz = rt.arg_number("soft_pwm_hz").filter(|hz| SOFT_HZ.contains(hz));
    let (Some(line), Some(hz), Some((timer, bit))) = (line, hz, rt.timer("soft-pwm")) else {
        warn!(
            "soft-pwm needs a timer and the settings soft_pwm = \"<chip>/<line>\" and soft_pwm_hz = 1 to 1000"
        );
        return None;
    };
    found.soft = Some(SoftTimer { chip: number, timer, bit, next: None });
    Some(SoftPwm { line, period: time::frequency() / hz })
}
