//! What the manifest grants to programs, and whether a program keeps to it.
//!
//! Rights belong to a program of an object of the bundle, its name and the object's, loaded by the server that the manifest names as
//! its owner: with settings of anybody's choice they would be anybody's rights. An object that a client sends has none, because its
//! names are only what the client says. Sensors belong to the clients that may start and stop them. What a program does with constant numbers is checked here, before
//! anything of it is placed; numbers that are computed are checked by the helpers, with the same grants.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_isa::ctx::parts;
use axiom_bpf_isa::{Lines, ProgramKind, helper};
use axiom_bpf_verifier::OwnCall;
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::{Channel, Grants, Line, ProgramGrants};
use axiom_proto::number;
use core::fmt::Write;

/// What a program may do that the manifest does not name.
static NOTHING: Grants = Grants::NONE;

/// The rights of programs, and the chips' names.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// By program.
    pub programs: Vec<ProgramGrants>,
    /// GPIO chips by number.
    pub gpio_chips: Vec<String>,
    /// PWM chips by number.
    pub pwm_chips: Vec<String>,
    /// Who may ask.
    pub clients: Vec<Client>,
}

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its badge.
    pub badge: ClientBadge,
    /// Its name in the manifest.
    pub name: String,
    /// Sensors whose samples its programs may see and drop.
    pub sensors: Vec<String>,
}

/// A program, for a refusal.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// Who loads it: a badge.
    pub client: ClientBadge,
    /// The object of the bundle that it comes from; none if a client sent it.
    pub object: Option<&'a str>,
    /// Its name.
    pub program: &'a str,
    /// Its attach point.
    pub point: &'a str,
    /// Its source lines.
    pub lines: &'a dyn Lines,
}

/// What is used without a right to it.
enum Use {
    See(Line),
    Get(Line),
    Set(Line),
    Drive(Channel),
    Cut(Channel),
    Stop,
    Sense(String),
    NoSuch(&'static str, u64, u64),
}

impl Rights {
    /// What the manifest says of a program.
    pub fn entry(&self, object: Option<&str>, program: &str) -> Option<&ProgramGrants> {
        self.programs.iter().find(|p| Some(p.object.as_str()) == object && p.program == program)
    }

    /// A client's name.
    pub fn name(&self, badge: ClientBadge) -> &str {
        self.clients.iter().find(|c| c.badge == badge).map_or("?", |c| c.name.as_str())
    }

    /// The badge of a client's name.
    pub fn badge(&self, name: &str) -> Option<ClientBadge> {
        self.clients.iter().find(|c| c.name == name).map(|c| c.badge)
    }

    /// Whether the manifest names a program as this client's.
    pub fn is_of(&self, client: ClientBadge, object: Option<&str>, program: &str) -> bool {
        self.entry(object, program).is_some_and(|p| self.badge(&p.owner) == Some(client))
    }

    /// What a program may do when this client loads it: what the manifest grants, if the client is its owner.
    pub fn of(&self, client: ClientBadge, object: Option<&str>, program: &str) -> &Grants {
        let entry = self.entry(object, program).filter(|p| self.badge(&p.owner) == Some(client));
        entry.map_or(&NOTHING, |p| &p.grants)
    }

    /// Checks the attach point and every call whose numbers are constants, and says what the program may do; a refusal is the verdict's
    /// text.
    pub fn check(&self, who: &Subject<'_>, calls: &[OwnCall]) -> Result<&Grants, String> {
        let grants = self.of(who.client, who.object, who.program);
        if let Some(wrong) = self.point_use(who, grants) {
            return Err(self.refusal(who, grants, &wrong, None));
        }
        for call in calls {
            if let Some(wrong) = call_use(call, grants) {
                return Err(self.refusal(who, grants, &wrong, Some(call.insn as usize)));
            }
        }
        Ok(grants)
    }

    /// Seeing a line's edges and cutting a channel's duty are rights too.
    fn point_use(&self, who: &Subject<'_>, grants: &Grants) -> Option<Use> {
        if ProgramKind::from_section(who.point) == Some(ProgramKind::Timer) {
            return None; // anybody's
        }
        let (kind, rest) = parts(who.point);
        let own = matches!(kind, "iio" | "gpio" | "pwm");
        let mut rest = rest.filter(|_| own)?.split('/');
        let chip = rest.next()?;
        if kind == "iio" {
            let client = self.clients.iter().find(|c| c.badge == who.client);
            let owns = client.is_some_and(|c| c.sensors.iter().any(|s| s == chip));
            return (!owns).then(|| Use::Sense(chip.into()));
        }
        // A number in another spelling is refused by the hosting server, which has no such point.
        let number = number(rest.next()?)?;
        let names = if kind == "pwm" { &self.pwm_chips } else { &self.gpio_chips };
        // A chip that nobody owns is refused by the hosting server, which knows what it has.
        let chip = names.iter().position(|n| n == chip)? as u8;
        let (line, channel) = (Line { chip, line: number }, Channel { chip, channel: number });
        match kind {
            "gpio" if !grants.may_get(line) => Some(Use::See(line)),
            "pwm" if !grants.may_drive(channel) => Some(Use::Cut(channel)),
            _ => None,
        }
    }

    fn line(&self, line: Line) -> String {
        match self.gpio_chips.get(line.chip as usize) {
            Some(chip) => format!("line {} of chip '{chip}'", line.line),
            None => format!("line {} of GPIO chip {}, which does not exist", line.line, line.chip),
        }
    }

    fn channel(&self, c: Channel) -> String {
        match self.pwm_chips.get(c.chip as usize) {
            Some(chip) => format!("channel {} of chip '{chip}'", c.channel),
            None => format!("channel {} of PWM chip {}, which does not exist", c.channel, c.chip),
        }
    }

    fn refusal(&self, who: &Subject<'_>, grants: &Grants, wrong: &Use, at: Option<usize>) -> String {
        let what = match wrong {
            Use::See(l) => format!("it would see the edges of {}", self.line(*l)),
            Use::Get(l) => format!("bpf_gpio_get reads {}", self.line(*l)),
            Use::Set(l) => format!("bpf_gpio_set drives {}", self.line(*l)),
            Use::Drive(c) => format!("bpf_pwm_set drives {}", self.channel(*c)),
            Use::Cut(c) => format!("it would decide on the duty of {}", self.channel(*c)),
            Use::Stop => String::from("bpf_motor_emergency_stop stops the motors"),
            Use::Sense(sensor) => format!("it would see and drop the samples of {sensor}"),
            Use::NoSuch(call, chip, number) => format!("{call} has the numbers {chip} and {number}"),
        };
        let mut text =
            format!("Reason:     {what}, which the manifest does not grant to program '{}'", who.program);
        if let Some(object) = who.object {
            let _ = write!(text, " of {object}");
        }
        let _ = write!(text, ", loaded by '{}'", self.name(who.client));
        match at.and_then(|insn| Some((insn, who.lines.line(insn)?))) {
            Some((insn, l)) => {
                let _ = write!(
                    text,
                    "\nAt:         {}:{}: {} (instruction {insn})",
                    l.file.trim_start_matches("./"),
                    l.line,
                    l.text.trim()
                );
            }
            None => {
                let _ = write!(text, "\nAt:         attach point {}", who.point);
            }
        }
        let _ = write!(text, "\nGranted:    {}", grants.words(&self.gpio_chips, &self.pwm_chips));
        let entry = |l: &Line, out: &str| {
            self.gpio_chips
                .get(l.chip as usize)
                .map(|c| format!("gpio = [{{ chip = \"{c}\", line = {}{out} }}]", l.line))
        };
        let key = match wrong {
            Use::See(l) | Use::Get(l) => entry(l, ""),
            Use::Set(l) => entry(l, ", out = true"),
            Use::Drive(c) | Use::Cut(c) => {
                let chip = self.pwm_chips.get(c.chip as usize);
                chip.map(|chip| format!("pwm = [{{ chip = \"{chip}\", channel = {} }}]", c.channel))
            }
            Use::Stop => Some("motor_stop = true".into()),
            Use::NoSuch(..) | Use::Sense(_) => None,
        };
        if let Use::Sense(sensor) = wrong {
            let name = self.name(who.client);
            let _ = write!(
                text,
                "\nSuggestion: iio = [\"{sensor}\"] in [server.{name}] of the system's manifest"
            );
            return text;
        }
        let owner = self.entry(who.object, who.program).map(|p| p.owner.as_str());
        if let Some(owner) = owner.filter(|owner| self.badge(owner) != Some(who.client)) {
            let _ = write!(
                text,
                "\nSuggestion: its rights are those of '{owner}' to use (owner in [program.{}])",
                who.program
            );
            return text;
        }
        let _ = match (who.object, key) {
            (None, _) => write!(
                text,
                "\nSuggestion: a program that a client sends has no rights to lines: put its object among the blobs of \
                 bpf-server and its rights into [program.{}] of the system's manifest",
                who.program
            ),
            (Some(_), Some(key)) => {
                write!(text, "\nSuggestion: {key} in [program.{}] of the system's manifest", who.program)
            }
            (Some(_), None) => write!(
                text,
                "\nSuggestion: use a chip of this system: {} chips of lines, {} of channels",
                self.gpio_chips.len(),
                self.pwm_chips.len()
            ),
        };
        text
    }
}

/// The use of a call that has no right, as far as it is known.
fn call_use(call: &OwnCall, grants: &Grants) -> Option<Use> {
    if call.helper == helper::MOTOR_EMERGENCY_STOP {
        return (!grants.motor_stop).then_some(Use::Stop);
    }
    let [Some(chip), Some(number)] = call.args else { return None };
    // As the helpers read them.
    let (chip, number) = (u64::from(chip as u32), u64::from(number as u32));
    let (line, channel) = (Line::from_numbers(chip, number), Channel::from_numbers(chip, number));
    match (call.helper, line, channel) {
        (helper::GPIO_GET, Some(l), _) => (!grants.may_get(l)).then_some(Use::Get(l)),
        (helper::GPIO_SET, Some(l), _) => (!grants.may_set(l)).then_some(Use::Set(l)),
        (helper::PWM_SET, _, Some(c)) => (!grants.may_drive(c)).then_some(Use::Drive(c)),
        (helper::GPIO_GET, ..) => Some(Use::NoSuch("bpf_gpio_get", chip, number)),
        (helper::GPIO_SET, ..) => Some(Use::NoSuch("bpf_gpio_set", chip, number)),
        (helper::PWM_SET, ..) => Some(Use::NoSuch("bpf_pwm_set", chip, number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axiom_bpf_isa::LineInfo;

    struct Source;
    impl Lines for Source {
        fn line(&self, insn: usize) -> Option<LineInfo<'_>> {
            Some(LineInfo { file: "stop.c", line: insn as u32 + 20, text: "  bpf_gpio_set(0, 17, 0);" })
        }
    }

    fn rights() -> Rights {
        let mut grants = Grants::NONE;
        grants.grant_line(Line { chip: 0, line: 5 }, false);
        grants.grant_line(Line { chip: 0, line: 6 }, true);
        grants.grant_channel(Channel { chip: 0, channel: 1 });
        Rights {
            programs: Vec::from([ProgramGrants {
                program: "stop".into(),
                object: "stop.o".into(),
                grants,
                owner: "demo".into(),
                pinned: None,
            }]),
            gpio_chips: Vec::from(["pl061".into()]),
            pwm_chips: Vec::from(["pwm".into()]),
            clients: Vec::from([
                Client {
                    badge: ClientBadge::new(1),
                    name: "demo".into(),
                    sensors: Vec::from(["adxl345".into()]),
                },
                Client { badge: ClientBadge::new(2), name: "other".into(), sensors: Vec::new() },
            ]),
        }
    }

    fn subject<'a>(object: Option<&'a str>, point: &'a str) -> Subject<'a> {
        Subject { client: ClientBadge::new(1), object, program: "stop", point, lines: &Source }
    }

    fn call(helper: u32, chip: u64, number: u64) -> OwnCall {
        OwnCall { insn: 7, helper, args: [Some(chip), Some(number)] }
    }

    #[test]
    fn what_is_granted_passes_and_what_is_computed_is_left_to_the_helper() {
        let who = subject(Some("stop.o"), "gpio/pl061/5/rising");
        let unknown = OwnCall { insn: 1, helper: helper::GPIO_SET, args: [Some(0), None] };
        let calls = [
            call(helper::GPIO_GET, 0, 5),
            call(helper::GPIO_SET, 0, 6),
            call(helper::PWM_SET, 0, 1),
            // The helper's arguments are 32 bits wide.
            call(helper::GPIO_SET, 1 << 32, 6),
            unknown,
        ];
        assert!(rights().check(&who, &calls).is_ok_and(|g| g.may_get(Line { chip: 0, line: 5 })));
        assert_eq!(rights().check(&subject(Some("stop.o"), "pwm/pwm/1"), &[]).map(drop), Ok(()));
    }

    #[test]
    fn a_pin_without_a_grant_is_named_with_its_line_and_where_to_grant_it() {
        let who = subject(Some("stop.o"), "gpio/pl061/5/rising");
        let text = rights().check(&who, &[call(helper::GPIO_SET, 0, 17)]).unwrap_err();
        assert_eq!(
            text,
            "Reason:     bpf_gpio_set drives line 17 of chip 'pl061', which the manifest does not grant to program 'stop' of stop.o, loaded by 'demo'\n\
             At:         stop.c:27: bpf_gpio_set(0, 17, 0); (instruction 7)\n\
             Granted:    read line 5 of chip 'pl061', read and drive line 6 of chip 'pl061', drive channel 1 of chip 'pwm'\n\
             Suggestion: gpio = [{ chip = \"pl061\", line = 17, out = true }] in [program.stop] of the system's manifest"
        );
    }

    #[test]
    fn every_use_needs_its_own_right() {
        let good = "gpio/pl061/5/rising";
        let cases = [
            (good, Some(call(helper::GPIO_SET, 0, 5)), "bpf_gpio_set drives line 5", "line = 5, out = true"),
            (good, Some(call(helper::GPIO_GET, 0, 4)), "bpf_gpio_get reads line 4", "line = 4 }"),
            (good, Some(call(helper::PWM_SET, 0, 0)), "bpf_pwm_set drives channel 0", "channel = 0 }"),
            (
                good,
                Some(call(helper::MOTOR_EMERGENCY_STOP, 0, 0)),
                "stops the motors",
                "motor_stop = true in",
            ),
            (
                good,
                Some(call(helper::GPIO_SET, 3, 6)),
                "GPIO chip 3, which does not exist",
                "use a chip of this",
            ),
            (
                good,
                Some(call(helper::GPIO_SET, 9, 6)),
                "has the numbers 9 and 6",
                "use a chip of this system",
            ),
            ("gpio/pl061/3/both", None, "it would see the edges of line 3", "line = 3 }"),
            ("pwm/pwm/0", None, "it would decide on the duty of channel 0", "channel = 0 }"),
        ];
        for (point, call, reason, suggestion) in cases {
            let text = rights().check(&subject(Some("stop.o"), point), call.as_slice()).unwrap_err();
            assert!(text.contains(reason) && text.contains(suggestion), "{text}");
        }
    }

    #[test]
    fn the_rights_of_a_program_are_its_owners_to_use() {
        let calls = [call(helper::GPIO_SET, 0, 6)];
        let point = "gpio/pl061/5/rising";
        assert_eq!(rights().check(&subject(Some("stop.o"), point), &calls).map(drop), Ok(()));
        for (client, name) in [(2, "other"), (3, "?")] {
            let who = Subject { client: ClientBadge::new(client), ..subject(Some("stop.o"), point) };
            let text = rights().check(&who, &calls).unwrap_err();
            assert!(
                text.contains(&format!("loaded by '{name}'")) && text.contains("those of 'demo' to use"),
                "{text}"
            );
        }
    }

    #[test]
    fn samples_are_seen_and_dropped_by_programs_of_those_who_have_the_sensor() {
        let at = |client, point: &'static str| Subject {
            client: ClientBadge::new(client),
            ..subject(None, point)
        };
        assert_eq!(rights().check(&at(1, "iio/adxl345/accel_x"), &[]).map(drop), Ok(()));
        for who in [at(2, "iio/adxl345/accel_x"), at(1, "iio/lm75/temp"), at(3, "iio/adxl345/accel_x")] {
            let text = rights().check(&who, &[]).unwrap_err();
            assert!(text.contains("it would see and drop the samples of"), "{text}");
        }
        assert_eq!(rights().check(&at(2, "timer/100hz"), &[]).map(drop), Ok(()));
    }

    #[test]
    fn an_object_that_a_client_sends_has_no_rights_whatever_it_calls_itself() {
        for object in [None, Some("other.o")] {
            let who = subject(object, "gpio/pl061/5/rising");
            let text = rights().check(&who, &[]).unwrap_err();
            assert!(text.contains("Granted:    nothing"), "{text}");
            assert!(text.contains("At:         attach point gpio/pl061/5/rising"), "{text}");
        }
        let text = rights().check(&subject(None, "pwm/pwm/1"), &[]).unwrap_err();
        assert!(text.contains("a program that a client sends has no rights to lines"), "{text}");
    }
}
