//! Lines, PWM channels and motors: `gpio_chips` and `pwm_chips` of their owner, what servers and `[program.<name>]` may do
//! with them, and which outputs are a `[motor.<name>]`. Chips are named here and numbered in the bundle.
use crate::diagnostic::{At, Diagnostic, nearest};
use crate::model::{Manifest, Placed, Reader, Server, names, number_of};
use crate::source::{Located, RawServer};
use axiom_layout::manifest::{CHANNEL, Key, Kind, LINE, MOTOR, MOTOR_LINE, PROGRAM};
use axiom_proto::gpio::{self, CHANNELS, CHIPS, Channel, Grants, LINES, Line, MOTOR_OUTPUTS, MOTORS};
use axiom_proto::point::{FORMS, Point};
use std::collections::BTreeMap;

// The schema's ranges are the messages'.
const _: () = assert!(matches!(LINE[1].kind, Kind::Number(0, most, _) if most + 1 == LINES as u64));
const _: () = assert!(matches!(MOTOR_LINE[1].kind, Kind::Number(0, most, _) if most + 1 == LINES as u64));
const _: () = assert!(matches!(CHANNEL[1].kind, Kind::Number(0, most, _) if most + 1 == CHANNELS as u64));

/// A line or channel that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pin {
    /// The chip's name.
    pub chip: String,
    /// The line or channel.
    pub number: u8,
    /// `out` of a line; of a motor's line `stop`, the level at which it stands.
    pub flag: bool,
}

/// What a server or program asks for.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Lines.
    pub gpio: Vec<Placed<Pin>>,
    /// Channels.
    pub pwm: Vec<Placed<Pin>>,
    /// To stop the motors.
    pub motor_stop: bool,
    /// To end an emergency stop.
    pub motor_rearm: bool,
}

impl Wishes {
    fn any(&self) -> bool {
        !self.gpio.is_empty() || !self.pwm.is_empty() || self.motor_stop || self.motor_rearm
    }
}

/// A program's rights.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name: its function's.
    pub name: String,
    /// Its heading.
    pub at: At,
    /// The object of the bundle that it is in.
    pub object: Placed<String>,
    /// What it may do.
    pub wishes: Wishes,
    /// Who alone may load it with these rights, and replace or remove it.
    pub owner: Placed<String>,
    /// It stays, at this attach point.
    pub pinned: Option<Placed<String>>,
}

/// A motor.
#[derive(Clone, Debug)]
pub struct Motor {
    /// Its name.
    pub name: String,
    /// Its heading.
    pub at: At,
    /// Its lines; the flag is the level at which it stands.
    pub gpio: Vec<Placed<Pin>>,
    /// Its channels.
    pub pwm: Vec<Placed<Pin>>,
}

/// What a motor hangs on, in numbers.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The motor's name.
    pub name: String,
    /// Lines, each with the level at which it stands.
    pub gpio: Vec<(Line, bool)>,
    /// Channels.
    pub pwm: Vec<Channel>,
}

/// Everything in numbers.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// By server.
    pub servers: Vec<(String, Grants)>,
    /// By program.
    pub programs: Vec<gpio::ProgramGrants>,
    /// The motors.
    pub motors: Vec<Outputs>,
    /// GPIO chips by number.
    pub gpio_chips: Vec<String>,
    /// PWM chips by number.
    pub pwm_chips: Vec<String>,
    /// Peripherals of RP1, by server.
    pub rp1: Vec<(String, axiom_proto::rp1::Grants)>,
}

fn located(table: &toml_edit::InlineTable, at: &At) -> BTreeMap<String, Located> {
    table.iter().map(|(k, v)| (k.to_owned(), Located { value: v.clone(), at: at.clone() })).collect()
}

/// A list of `{ chip = "...", line = N }`; `flag` is the third key, if there is one.
fn pins(r: &mut Reader<'_>, key: &str, table: &'static [Key]) -> Vec<Placed<Pin>> {
    let keys = names(table);
    let (number, flag) = (keys[1], keys.get(2).copied());
    let Some(found) = r.keys.get(key).cloned() else { return Vec::new() };
    let example = format!("{key} = [{{ chip = \"pl061\", {number} = 5 }}]");
    let list = found.value.as_array().map(|a| a.iter().map(|v| v.as_inline_table()).collect::<Vec<_>>());
    let Some(list) = list.filter(|l| l.iter().all(Option::is_some)) else {
        r.wrong(&found, &format!("{key} is a list of tables"), &example);
        return Vec::new();
    };
    let mut pins: Vec<Placed<Pin>> = Vec::new();
    for pin in list.into_iter().flatten() {
        let keys = located(pin, &found.at);
        let who = format!("{}, {key}", r.who);
        let mut p = Reader { who, keys: &keys, at: &found.at, errors: r.errors };
        p.unknown(&names(table));
        let chip = p.text("chip", "chip = \"pl061\"");
        let n = p.number(&number_of(table, number));
        let flag = match flag {
            // The level at which a motor stands is a level: 0 or 1.
            Some("stop") => p.number(&number_of(table, "stop")),
            Some(name) => {
                let value = u64::from(p.flag(name, false));
                Some(Placed { value, at: found.at.clone() })
            }
            None => Some(Placed { value: 0, at: found.at.clone() }),
        };
        if let (Some(chip), Some(n), Some(flag)) = (chip, n, flag) {
            let pin = Pin { chip: chip.value, number: n.value as u8, flag: flag.value != 0 };
            pins.push(Placed { value: pin, at: found.at.clone() });
        }
    }
    pins
}

/// What a server or program asks for.
pub(crate) fn wishes(r: &mut Reader<'_>) -> Wishes {
    Wishes {
        gpio: pins(r, "gpio", LINE),
        pwm: pins(r, "pwm", CHANNEL),
        motor_stop: r.flag("motor_stop", false),
        motor_rearm: r.flag("motor_rearm", false),
    }
}

/// Reads `[program.<name>]`.
pub(crate) fn program(raw: &RawServer, errors: &mut Vec<Diagnostic>) -> Option<Program> {
    let mut r = Reader { who: format!("program '{}'", raw.name), keys: &raw.keys, at: &raw.at, errors };
    r.unknown(&names(PROGRAM));
    let object = r.text("object", &format!("object = \"{}.o\"", raw.name));
    let owner = r.text(
        "owner",
        "owner = \"demo\": the server that alone may load it with these rights, and remove it",
    );
    let pinned = match raw.keys.contains_key("pinned_at") {
        true => r.text("pinned_at", "pinned_at = \"gpio/pl061/4/rising\""),
        false => None,
    };
    let wishes = wishes(&mut r);
    Some(Program {
        name: raw.name.clone(),
        at: raw.at.clone(),
        object: object?,
        wishes,
        owner: owner?,
        pinned,
    })
}

/// Reads `[motor.<name>]`.
pub(crate) fn motor(raw: &RawServer, errors: &mut Vec<Diagnostic>) -> Option<Motor> {
    let mut r = Reader { who: format!("motor '{}'", raw.name), keys: &raw.keys, at: &raw.at, errors };
    r.unknown(&names(MOTOR));
    let gpio = pins(&mut r, "gpio", MOTOR_LINE);
    let pwm = pins(&mut r, "pwm", CHANNEL);
    if gpio.is_empty() && pwm.is_empty() {
        errors.push(Diagnostic::new(
            &raw.at,
            format!("motor '{}' has no outputs", raw.name),
            "a motor is the lines and channels that an emergency stop switches off",
            "gpio = [{ chip = \"pl061\", line = 6, stop = 0 }]",
        ));
        return None;
    }
    Some(Motor { name: raw.name.clone(), at: raw.at.clone(), gpio, pwm })
}

struct Resolver<'a> {
    gpio: Vec<&'a str>,
    pwm: Vec<&'a str>,
    errors: &'a mut Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn chip(&mut self, who: &str, pin: &Placed<Pin>, pwm: bool) -> Option<u8> {
        let names = if pwm { &self.pwm } else { &self.gpio };
        let found = names.iter().position(|n| *n == pin.value.chip);
        if found.is_none() {
            let key = if pwm { "pwm_chips" } else { "gpio_chips" };
            let known = names.join(", ");
            let advice = if names.is_empty() {
                format!("{key} = [\"{}\"] in [server.gpio-server]", pin.value.chip)
            } else {
                nearest(&pin.value.chip, names.iter().copied())
            };
            let rule = format!("chips are named by {key} of the server that owns them ({known})");
            let what = format!("{who}: no server owns a chip '{}'", pin.value.chip);
            self.errors.push(Diagnostic::new(&pin.at, what, rule, advice));
        }
        found.map(|n| n as u8)
    }

    fn line(&mut self, who: &str, pin: &Placed<Pin>) -> Option<Line> {
        Some(Line { chip: self.chip(who, pin, false)?, line: pin.value.number })
    }

    fn channel(&mut self, who: &str, pin: &Placed<Pin>) -> Option<Channel> {
        Some(Channel { chip: self.chip(who, pin, true)?, channel: pin.value.number })
    }

    fn grants(&mut self, who: &str, wishes: &Wishes) -> Grants {
        let mut grants = Grants::NONE;
        grants.motor_stop = wishes.motor_stop;
        grants.motor_rearm = wishes.motor_rearm;
        for pin in &wishes.gpio {
            if let Some(line) = self.line(who, pin) {
                grants.grant_line(line, pin.value.flag);
            }
        }
        for pin in &wishes.pwm {
            if let Some(channel) = self.channel(who, pin) {
                grants.grant_channel(channel);
            }
        }
        grants
    }
}

/// Whether a server owns the chips.
pub fn is_owner(s: &Server) -> bool {
    !s.gpio_chips.is_empty() || !s.pwm_chips.is_empty()
}

fn values(list: &[Placed<String>]) -> Vec<&str> {
    list.iter().map(|p| p.value.as_str()).collect()
}

/// Checks what was asked for against who owns what, and puts numbers in.
pub fn resolve(system: &Manifest, errors: &mut Vec<Diagnostic>) -> Rights {
    let mut owners = system.servers.iter().filter(|s| is_owner(s));
    let owner = owners.next();
    if let (Some(first), Some(second)) = (owner, owners.next()) {
        errors.push(Diagnostic::new(
            &second.at,
            format!("servers '{}' and '{}' both own chips", first.name, second.name),
            "one server owns all lines and channels, so that an emergency stop reaches every motor",
            format!("move the chips of '{}' to '{}'", second.name, first.name),
        ));
    }
    let (gpio, pwm) =
        owner.map_or((Vec::new(), Vec::new()), |o| (values(&o.gpio_chips), values(&o.pwm_chips)));
    for (list, key) in [(&gpio, "gpio_chips"), (&pwm, "pwm_chips")] {
        if let Some(owner) = owner.filter(|_| list.len() > CHIPS) {
            errors.push(Diagnostic::new(
                &owner.at,
                format!("server '{}': {key} names {} chips", owner.name, list.len()),
                format!("{key} names at most {CHIPS}"),
                "leave some out",
            ));
        }
    }
    let chips = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
    let mut rights = Rights { gpio_chips: chips(&gpio), pwm_chips: chips(&pwm), ..Rights::default() };
    let mut r = Resolver { gpio, pwm, errors };
    for server in system.servers.iter().filter(|s| s.wishes.any()) {
        let who = format!("server '{}'", server.name);
        let calls = owner.is_some_and(|o| server.calls.iter().any(|c| c.value == o.name));
        if let Some(owner) = owner.filter(|_| !calls) {
            r.errors.push(Diagnostic::new(
                &server.at,
                format!("{who} has rights to lines, channels or motors, but does not call '{}'", owner.name),
                "no right without a use",
                format!("calls = [\"{}\"] in [server.{}]", owner.name, server.name),
            ));
        }
        rights.servers.push((server.name.clone(), r.grants(&who, &server.wishes)));
    }
    for program in &system.programs {
        let object = &program.object.value;
        let known: Vec<&str> = system.servers.iter().flat_map(|s| values(&s.blobs)).collect();
        if !known.contains(&object.as_str()) {
            r.errors.push(Diagnostic::new(
                &program.object.at,
                format!("program '{}': object = \"{object}\" is no file of the system", program.name),
                "rights are given to programs of the bundle: the object is among the blobs of the server that loads it",
                nearest(object, known.iter().copied().filter(|k| k.ends_with(".o"))),
            ));
        }
        let who = format!("program '{}'", program.name);
        owner_of(system, program, r.errors);
        pinned(system, program, &mut r);
        let grants = r.grants(&who, &program.wishes);
        rights.programs.push(gpio::ProgramGrants {
            program: program.name.clone(),
            object: object.clone(),
            grants,
            owner: program.owner.value.clone(),
            pinned: program.pinned.as_ref().map(|p| p.value.clone()),
        });
    }
    one_motor(system, r.errors);
    if let Some(extra) = system.motors.get(MOTORS) {
        r.errors.push(Diagnostic::new(
            &extra.at,
            format!("motor '{}' is number {}", extra.name, system.motors.len()),
            format!("the server of lines and channels has room for {MOTORS} motors"),
            "outputs that stop together can be one motor",
        ));
    }
    for motor in &system.motors {
        for (pins, what) in [(&motor.gpio, "lines"), (&motor.pwm, "channels")] {
            if let Some(extra) = pins.get(MOTOR_OUTPUTS) {
                r.errors.push(Diagnostic::new(
                    &extra.at,
                    format!("motor '{}' has {} {what}", motor.name, pins.len()),
                    format!("a motor has at most {MOTOR_OUTPUTS} {what}"),
                    "two motors",
                ));
            }
        }
        let who = format!("motor '{}'", motor.name);
        let gpio = motor.gpio.iter().filter_map(|p| Some((r.line(&who, p)?, p.value.flag))).collect();
        let pwm = motor.pwm.iter().filter_map(|p| r.channel(&who, p)).collect();
        rights.motors.push(Outputs { name: motor.name.clone(), gpio, pwm });
    }
    rights
}

/// A program that is pinned stays at an attach point that there is: else it would never run, and a stop that it makes never come.
fn pinned(system: &Manifest, program: &Program, r: &mut Resolver<'_>) {
    let Some(at) = &program.pinned else { return };
    let who = format!("program '{}'", program.name);
    let Some(point) = Point::parse(&at.value) else {
        r.errors.push(Diagnostic::new(
            &at.at,
            format!("{who}: pinned_at = \"{}\" is no attach point", at.value),
            format!("attach points are {FORMS}"),
            "pinned_at = \"gpio/pl061/4/rising\"",
        ));
        return;
    };
    let pin = |chip: &str, number| Placed {
        value: Pin { chip: chip.into(), number, flag: false },
        at: at.at.clone(),
    };
    match point {
        Point::Edge { chip, line, .. } => drop(r.chip(&who, &pin(chip, line), false)),
        Point::Duty { chip, channel } => drop(r.chip(&who, &pin(chip, channel), true)),
        Point::Rate { .. } | Point::Sample { .. } => {}
    }
    let kinds = || system.servers.iter().flat_map(|s| values(&s.hosts));
    // Who runs programs is known by the images; where one is missing, that is the mistake.
    if kinds().next().is_some() && !kinds().any(|kind| kind == point.kind()) {
        r.errors.push(Diagnostic::new(
            &at.at,
            format!("{who}: no server runs programs at '{}/...'", point.kind()),
            "a program is pinned where a server of this system runs programs",
            nearest(point.kind(), kinds()),
        ));
    }
}

/// Whoever may load a program calls the server that has its object.
fn owner_of(system: &Manifest, program: &Program, errors: &mut Vec<Diagnostic>) {
    let owner = &program.owner;
    let loads = |s: &Server| s.blobs.iter().any(|b| b.value == program.object.value);
    let Some(server) = system.servers.iter().find(|s| s.name == owner.value) else {
        errors.push(Diagnostic::new(
            &owner.at,
            format!(
                "program '{0}': owner = \"{1}\", which no [server.{1}] describes",
                program.name, owner.value
            ),
            "a program belongs to a server of this system",
            nearest(&owner.value, system.servers.iter().map(|s| s.name.as_str())),
        ));
        return;
    };
    let mut loaders = system.servers.iter().filter(|s| loads(s)).peekable();
    let calls = |s: &Server| s.name == server.name || server.calls.iter().any(|c| c.value == s.name);
    // An object that nobody has is another mistake.
    if loaders.peek().is_some() && !loaders.any(calls) {
        errors.push(Diagnostic::new(
            &owner.at,
            format!(
                "program '{}': its owner '{}' calls no server that has {}",
                program.name, owner.value, program.object.value
            ),
            "a program's owner is a client of the server that loads it",
            format!("add that server to calls of [server.{}]", owner.value),
        ));
    }
}

/// An output belongs to one motor: two could ask for different levels.
fn one_motor(system: &Manifest, errors: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<(&str, u8, &str), (&str, &At)> = BTreeMap::new();
    for motor in &system.motors {
        for (pins, what) in [(&motor.gpio, "line"), (&motor.pwm, "channel")] {
            for pin in pins {
                let key = (pin.value.chip.as_str(), pin.value.number, what);
                if let Some((other, at)) = seen.insert(key, (&motor.name, &pin.at)) {
                    let (chip, number) = (&pin.value.chip, pin.value.number);
                    errors.push(Diagnostic::new(
                        &pin.at,
                        format!(
                            "motor '{}': {what} {number} of chip '{chip}' is an output of motor '{other}'",
                            motor.name
                        ),
                        format!("an output belongs to one motor (first given at {at})"),
                        "leave it out of one of them",
                    ));
                }
            }
        }
    }
}
