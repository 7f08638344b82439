//! The chips that the manifest names: which driver, which registers, which interrupt.
//!
//! `rp1` and `rp1-pwm0` are peripherals of RP1, opened through its server; `soft-pwm` is made in software; any other name is
//! that of one of the server's `devices`: a PL061 or, where it is a PCI function, virtio's controller, of which there is one.

use axiom_gpio::{Board, Chip, EmergencyStop, Line, Motor, PwmChip, SoftPwm};
use axiom_mmio::Mmio;
use axiom_pl061::Pl061;
use axiom_rp1_client::Served;
use axiom_rp1_gpio::{Pull, Rp1Gpio};
use axiom_rp1_pwm::{CLOCK_HZ, Rp1Pwm};
use axiom_runtime::form::{self, Form, Word};
use axiom_runtime::proto::env::Device;
use axiom_runtime::proto::gpio::{CHANNELS, CHIPS, LINES, Outputs};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Bit, Bits, Class, IrqHandler, Pages, Place, Runtime, Slots, Timer, info, time, warn};
use axiom_virtio::{Dma, pci};
use axiom_virtio_gpio::VirtioGpio;
use heapless::Vec;

/// What this program takes: its settings are taken apart by the forms that compose checks manifests by.
const TAKES: &str = include_str!("../takes.toml");
axiom_runtime::takes!(TAKES);

/// Slowest and fastest PWM in software, Hz.
const SOFT_HZ: core::ops::RangeInclusive<u64> =
    form::bound(TAKES, "soft_pwm_hz", "least")..=form::bound(TAKES, "soft_pwm_hz", "most");

/// Looks a second at chips without interrupts.
const POLL_HZ: core::ops::RangeInclusive<u64> =
    form::bound(TAKES, "poll_hz", "least")..=form::bound(TAKES, "poll_hz", "most");

/// Interrupts of all chips: a device has at most four.
pub const IRQS: usize = 4 * CHIPS;
/// The drivers. RP1 is there once.
static PL061S: [Place<Pl061<Mmio>>; CHIPS] = [const { Place::new() }; CHIPS];
static VIRTIO: Place<VirtioGpio<pci::Pci<pci::Mapped>, Spin>> = Place::new();
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
    /// The bit of the timer that looks at chips without interrupts, if there are any.
    pub poll: Option<Bit>,
    /// The virtio controller is there.
    virtio: bool,
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
    let mut found =
        Found { board, irqs: Vec::new(), soft: None, poll: None, virtio: false, bits: Bits::new() };
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
            _ => env.device(name).and_then(|d| match env.is_function(&d) {
                true => virtio(rt, &mut found, number, &d),
                false => pl061(rt, &mut found, number, &d),
            }),
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
    let polled = (0..CHIPS as u8).any(|chip| found.board.is_polled(chip));
    if polled {
        found.poll = poll(rt);
    }
    found.board.park();
    report(rt, outputs, &found.board, again);
    found
}

/// Starts the timer that looks at chips without interrupts: `poll_hz` among the settings.
fn poll(rt: Runtime) -> Option<Bit> {
    let hz = rt.arg_number("poll_hz").filter(|hz| POLL_HZ.contains(hz));
    let (Some(hz), Some((timer, bit))) = (hz, rt.timer("poll")) else {
        warn!("a chip has no interrupts, and the manifest no poll_hz = 1 to 1000: no edge of it is seen");
        return None;
    };
    let period = time::frequency() / hz;
    if timer.arm(time::ticks() + period, period).is_err() {
        warn!("the timer that looks at lines without interrupts could not be armed: no edge is seen");
        return None;
    }
    info!("chips without interrupts are looked at {hz} times a second; what is shorter is not seen");
    Some(bit)
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

/// Behind a virtio controller there is a process of the host, which a busy host may keep waiting.
const VIRTIO_PATIENCE_NS: u64 = 1_000_000_000;

/// Waits for an answer by looking again and again: it comes soon, and an edge is served to its end before anything else.
struct Spin(u64);

impl axiom_bus::Wait for Spin {
    fn begin(&mut self) {
        self.0 = time::ticks() + time::from_nanoseconds(VIRTIO_PATIENCE_NS);
    }
    fn wait(&mut self) -> bool {
        core::hint::spin_loop();
        time::ticks() < self.0
    }
    fn handled(&mut self) {}
}

fn virtio(rt: Runtime, found: &mut Found, number: u8, device: &Device<'_>) -> Option<&'static mut dyn Chip> {
    let env = rt.env();
    let Some(dma) = env.dma.filter(|dma| dma.len as usize >= axiom_virtio_gpio::DMA_BYTES) else {
        warn!("{}: the manifest gives no DMA memory (dma_kib = 4)", device.name);
        return None;
    };
    if found.virtio {
        warn!("{}: this server has one virtio controller", device.name);
        return None;
    }
    // SAFETY: init mapped the function's configuration space to read, and each of these pieces of its BARs, for this server alone; they
    // stay. The DMA memory is physically in a row, and nothing else here uses it: there is one controller, as just checked.
    let (config, space, dma) = unsafe {
        (
            axiom_pci::Mmio::new(device.registers.start as *mut u32),
            pci::Mapped::new(env.bars_of(device)),
            Dma::new(dma.virt as *mut u8, dma.phys, dma.len as usize),
        )
    };
    let chip = pci::Pci::new(&config, space).and_then(|t| VirtioGpio::new(t, dma, Spin(0)).ok());
    let Some(chip) = chip else {
        warn!("{}: no modern virtio controller of lines with interrupts", device.name);
        return None;
    };
    found.virtio = true;
    for i in env.interrupts_of(device, false) {
        let again = Again::Handler(IrqHandler(CPtr(i.slot)));
        keep_irq(found, Irq { chip: number, bit: i.bit, again });
    }
    Some(VIRTIO.put(|| chip))
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

/// The words of a setting; `None` if there are more than `N`, or one is none that compose lets through.
fn words<const N: usize>(rt: Runtime, name: &str, form: Form<'static>) -> Option<Vec<Word<'static>, N>> {
    let mut list = Vec::new();
    for text in rt.arg(name).unwrap_or("").split_whitespace() {
        list.push(form.word(text, |_, _| true)?).ok()?;
    }
    Some(list)
}

/// What is before the mark is in no two words.
fn each_left_once(words: &[Word<'_>]) -> bool {
    words.iter().enumerate().all(|(i, word)| words[..i].iter().all(|earlier| !earlier.left.is(&word.left)))
}

/// A channel of RP1's first PWM block, and the line at which it comes out.
struct Route {
    channel: u8,
    line: u8,
}

impl Route {
    fn of(word: &Word<'_>) -> Option<Route> {
        Some(Route { channel: word.left.number? as u8, line: word.right?.number? as u8 })
    }
}

/// Where channels of RP1's first PWM block come out.
type Routes = Vec<Route, { CHANNELS as usize }>;

/// What a word of `rp1_pwm0_lines` is.
const ROUTE: Form<'static> = form::of(TAKES, "rp1_pwm0_lines");

/// `rp1_pwm0_lines = "<channel>:<line> ..."`.
fn routes(rt: Runtime) -> Routes {
    let list = words::<{ CHANNELS as usize }>(rt, "rp1_pwm0_lines", ROUTE);
    if list.is_none() {
        warn!("rp1_pwm0_lines is no list of <channel>:<line>; no channel comes out");
    }
    list.iter().flatten().filter_map(Route::of).collect()
}

/// A line of RP1, and what holds it when nobody drives it.
struct Held {
    line: u8,
    pull: Pull,
}

impl Held {
    fn of(word: &Word<'_>) -> Option<Held> {
        Some(Held { line: word.left.number? as u8, pull: Pull::from_name(word.right?.text)? })
    }
}

/// What a word of `rp1_pulls` is.
const PULL: Form<'static> = form::of(TAKES, "rp1_pulls");

/// `rp1_pulls = "<line>:<none|down|up> ..."`; lines that are not named keep what they have.
fn pulls(rt: Runtime) -> Vec<Held, { LINES as usize }> {
    let list = words::<{ LINES as usize }>(rt, "rp1_pulls", PULL);
    // By reference: the words of a whole chip are much for a stack, once.
    let list = list.as_deref().filter(|list| each_left_once(list));
    if list.is_none() {
        warn!("rp1_pulls is no list of <line>:<none|down|up> with each line once; no pull is changed");
    }
    list.unwrap_or_default().iter().filter_map(Held::of).collect()
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
    for Route { channel, line } in routes {
        if chip.route_pwm0(*channel, *line) {
            found.board.take_line(Line { chip: number, line: *line });
        } else {
            warn!("channel {channel} of RP1's PWM0 does not come out at line {line}");
        }
    }
    for Held { line, pull } in pulls(rt) {
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

/// What `soft_pwm` is.
const SOFT: Form<'static> = form::of(TAKES, "soft_pwm");

/// `soft_pwm = "<chip>/<line>"` and `soft_pwm_hz` among the settings; one timer.
fn soft_pwm(rt: Runtime, outputs: Outputs<'_>, found: &mut Found, number: u8) -> Option<SoftPwm> {
    let line = rt.arg("soft_pwm").and_then(|text| {
        let word = SOFT.word(text, |_, _| true)?;
        let chip = outputs.gpio_chips.iter().position(|c| c == word.left.text)? as u8;
        Some(Line { chip, line: word.right?.number? as u8 })
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

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_rp1_gpio::PWM0_LINES;

    #[test]
    fn what_compose_lets_through_is_what_the_chips_can_do() {
        let all = || (0..=32u8).flat_map(|left| (0..=64u8).map(move |right| (left, right)));
        for (channel, line) in all() {
            let can = PWM0_LINES.iter().any(|(c, l, _)| (*c, *l) == (channel, line));
            let text = format!("{channel}:{line}");
            let route =
                ROUTE.word(&text, |_, _| true).map(|word| Route::of(&word).map(|r| (r.channel, r.line)));
            assert_eq!(route, can.then_some(Some((channel, line))), "{text}");
        }
        for (line, pull) in
            (0..=64u8).flat_map(|line| ["none", "down", "up", "dwn", "Up", ""].map(|pull| (line, pull)))
        {
            let can = Pull::from_name(pull).filter(|_| line < axiom_rp1_gpio::LINES);
            let text = format!("{line}:{pull}");
            let held = PULL.word(&text, |_, _| true).map(|word| Held::of(&word).map(|h| (h.line, h.pull)));
            assert_eq!(held, can.map(|pull| Some((line, pull))), "{text}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        /// What compose lets through is what this server takes apart, whole.
        #[test]
        fn compose_lets_through_what_this_server_can_use(words in proptest::collection::vec("[0-3]{0,2}[:/]?[a-z0-9+]{0,4}|2?0?[0-9]:(none|up|down)|[0-3]:1[2-9]", 1..4)) {
            let said = axiom_compose::takes::read(TAKES).expect("its own text");
            let fits = |key: &str, list: &str| said.find(key).expect("a setting").fits(list, &said.names);
            for word in words.iter().filter(|word| !word.is_empty()) {
                let route = ROUTE.word(word, |_, _| true).and_then(|w| Route::of(&w));
                proptest::prop_assert_eq!(fits("rp1_pwm0_lines", word), route.is_some(), "{}", word);
                let held = PULL.word(word, |_, _| true).and_then(|w| Held::of(&w));
                proptest::prop_assert_eq!(fits("rp1_pulls", word), held.is_some(), "{}", word);
            }
            let list = words.join(" ");
            let pulls: Option<std::vec::Vec<_>> = list.split_whitespace().map(|w| PULL.word(w, |_, _| true)).collect();
            let usable = pulls.is_some_and(|pulls| !pulls.is_empty() && each_left_once(&pulls));
            proptest::prop_assert_eq!(fits("rp1_pulls", &list), usable, "{}", list);
        }
    }

    #[test]
    fn a_line_has_one_pull() {
        let once = |list: &str| {
            let words = list.split_whitespace().map(|word| PULL.word(word, |_, _| true).expect("a pull"));
            each_left_once(&words.collect::<std::vec::Vec<_>>())
        };
        assert_eq!([once(""), once("7:up"), once("7:up 8:up"), once("7:up 17:up")], [true; 4]);
        assert_eq!([once("7:up 7:down"), once("7:up 8:up 07:up"), once("7:up 7:up")], [false; 3]);
    }

    #[test]
    fn a_line_in_software_is_one_that_a_chip_can_have() {
        let line = |text| SOFT.word(text, |_, chip| chip == "pl061").and_then(|word| word.right?.number);
        assert_eq!([line("pl061/0"), line("pl061/63")], [Some(0), Some(63)]);
        assert_eq!([line("pl061/64"), line("other/7"), line("pl061"), line("pl061/+7")], [None; 4]);
        assert_eq!(u64::from(LINES) - 1, 63);
        assert_eq!((SOFT_HZ, POLL_HZ), (1..=1000, 1..=1000));
    }
}
