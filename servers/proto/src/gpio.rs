//! General-purpose lines and PWM channels: what a client may ask of their server, and what the manifest grants.
//!
//! Chips have numbers: their places in the manifest's `gpio_chips` and `pwm_chips`. Every request is checked against the
//! client's [`Grants`]. An emergency stop holds the outputs of motors, whoever asks, until a client that may do so ends it
//! ([`Request::Rearm`]).

use crate::List;
use crate::MAX_NAME;
use crate::largest::{Largest, message};
#[cfg(feature = "alloc")]
use alloc::{format, string::String, vec::Vec};
use core::fmt;
use serde::{Deserialize, Serialize};

/// The interface's number.
pub const INTERFACE: u16 = 0x50;
/// Chips of each kind in a system.
pub const CHIPS: usize = 4;
/// Lines of a chip.
pub const LINES: u8 = 64;
/// Channels of a PWM chip.
pub const CHANNELS: u8 = 16;
/// The duty that is always on.
pub const FULL_DUTY: u16 = u16::MAX;
/// Motors of a system.
pub const MOTORS: usize = 8;
/// Lines of a motor, and channels.
pub const MOTOR_OUTPUTS: usize = 8;
/// Subscriptions to edges, of all clients together.
pub const SUBSCRIPTIONS: usize = 64;

message! {
    /// A line of a chip.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
    pub struct Line {
        /// The chip's number.
        pub chip: u8,
        /// The line's.
        pub line: u8,
    }
}

message! {
    /// A channel of a PWM chip.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
    pub struct Channel {
        /// The chip's number.
        pub chip: u8,
        /// The channel's.
        pub channel: u8,
    }
}

impl Line {
    /// From the numbers that a program passes.
    #[inline]
    pub fn from_numbers(chip: u64, line: u64) -> Option<Line> {
        (chip < CHIPS as u64 && line < u64::from(LINES))
            .then_some(Line { chip: chip as u8, line: line as u8 })
    }
}

impl Channel {
    /// From the numbers that a program passes.
    #[inline]
    pub fn from_numbers(chip: u64, channel: u64) -> Option<Channel> {
        let good = chip < CHIPS as u64 && channel < u64::from(CHANNELS);
        good.then_some(Channel { chip: chip as u8, channel: channel as u8 })
    }
}

message! {
    /// Which changes of a level count.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Edges {
        /// Low to high.
        Rising,
        /// High to low.
        Falling,
        /// Both.
        Both,
    }
}

impl Edges {
    /// Low to high counts.
    pub fn rising(self) -> bool {
        self != Edges::Falling
    }
    /// High to low counts.
    pub fn falling(self) -> bool {
        self != Edges::Rising
    }
}

/// What a program or a client may do with lines, channels and motors. Nothing by default.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Grants {
    get: [u64; CHIPS],
    set: [u64; CHIPS],
    pwm: [u16; CHIPS],
    /// May stop the motors.
    pub motor_stop: bool,
    /// May end an emergency stop.
    pub motor_rearm: bool,
}

impl Grants {
    /// No rights at all.
    pub const NONE: Grants =
        Grants { get: [0; CHIPS], set: [0; CHIPS], pwm: [0; CHIPS], motor_stop: false, motor_rearm: false };

    /// Whether they are none at all.
    pub fn is_none(&self) -> bool {
        let lines = self.get.iter().chain(&self.set).fold(0, |all, bits| all | bits);
        let channels = self.pwm.iter().fold(0, |all, bits| all | bits);
        lines == 0 && channels == 0 && !self.motor_stop && !self.motor_rearm
    }

    /// Adds the right to read a line and to see its edges; with `set`, to drive it too.
    pub fn grant_line(&mut self, line: Line, set: bool) {
        if let Some(bits) = self.get.get_mut(line.chip as usize).filter(|_| line.line < LINES) {
            *bits |= 1 << line.line;
            self.set[line.chip as usize] |= u64::from(set) << line.line;
        }
    }
    /// Adds the right to set a channel's duty.
    pub fn grant_channel(&mut self, channel: Channel) {
        if let Some(bits) = self.pwm.get_mut(channel.chip as usize).filter(|_| channel.channel < CHANNELS) {
            *bits |= 1 << channel.channel;
        }
    }
    /// Whether a line may be read and its edges seen.
    #[inline]
    pub fn may_get(&self, line: Line) -> bool {
        line.line < LINES && self.get.get(line.chip as usize).is_some_and(|bits| bits >> line.line & 1 != 0)
    }
    /// Whether a line may be driven.
    #[inline]
    pub fn may_set(&self, line: Line) -> bool {
        line.line < LINES && self.set.get(line.chip as usize).is_some_and(|bits| bits >> line.line & 1 != 0)
    }
    /// Whether the duty of any channel may be set.
    pub fn may_drive_some(&self) -> bool {
        self.pwm.iter().any(|channels| *channels != 0)
    }
    /// Whether a channel's duty may be set.
    #[inline]
    pub fn may_drive(&self, channel: Channel) -> bool {
        channel.channel < CHANNELS
            && self.pwm.get(channel.chip as usize).is_some_and(|bits| bits >> channel.channel & 1 != 0)
    }
}

impl Largest for Grants {
    const LARGEST: usize = 2 * <[u64; CHIPS]>::LARGEST + <[u16; CHIPS]>::LARGEST + 2 * bool::LARGEST;
}

#[cfg(feature = "alloc")]
impl Grants {
    /// The rights in words, with the chips' names.
    pub fn words(&self, gpio_chips: &[String], pwm_chips: &[String]) -> String {
        fn name(names: &[String], chip: u8) -> &str {
            names.get(chip as usize).map_or("?", String::as_str)
        }
        let mut words: Vec<String> = Vec::new();
        for chip in 0..CHIPS as u8 {
            for line in (0..LINES).map(|line| Line { chip, line }).filter(|l| self.may_get(*l)) {
                let rights = if self.may_set(line) { "read and drive" } else { "read" };
                words.push(format!("{rights} line {} of chip '{}'", line.line, name(gpio_chips, chip)));
            }
            let channels = (0..CHANNELS).map(|channel| Channel { chip, channel });
            for c in channels.filter(|c| self.may_drive(*c)) {
                words.push(format!("drive channel {} of chip '{}'", c.channel, name(pwm_chips, chip)));
            }
        }
        if self.motor_stop {
            words.push("stop the motors".into());
        }
        if self.motor_rearm {
            words.push("rearm the motors".into());
        }
        if words.is_empty() { "nothing".into() } else { words.join(", ") }
    }
}

/// What the manifest grants to one program of one object of the bundle.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProgramGrants {
    /// The program's name: its function's.
    pub program: String,
    /// The object's file name.
    pub object: String,
    /// Its rights.
    pub grants: Grants,
    /// The only server that may load it with these rights, and replace or remove it.
    pub owner: String,
    /// Its attach point, if it stays whatever becomes of its owner: bpf-server loads it at its own start.
    pub pinned: Option<String>,
}

/// What bpf-server knows of lines, channels and motors.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Rights {
    /// GPIO chips by number.
    pub gpio_chips: Vec<String>,
    /// PWM chips by number.
    pub pwm_chips: Vec<String>,
    /// The rights of programs among its files.
    pub programs: Vec<ProgramGrants>,
}

/// What the owner of the chips owns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Outputs<'a> {
    /// GPIO chips by number, at most [`CHIPS`].
    #[serde(borrow)]
    pub gpio_chips: List<'a, &'a str>,
    /// PWM chips by number, at most [`CHIPS`].
    #[serde(borrow)]
    pub pwm_chips: List<'a, &'a str>,
    /// Motors, at most [`MOTORS`].
    #[serde(borrow)]
    pub motors: List<'a, Motor<'a>>,
}

/// Outputs that drive a motor: what an emergency stop switches off and holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Motor<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its lines, each with the level at which the motor stands; at most [`MOTOR_OUTPUTS`].
    #[serde(borrow)]
    pub gpio: List<'a, (Line, bool)>,
    /// Its channels, at most [`MOTOR_OUTPUTS`]; the motor stands at duty 0.
    #[serde(borrow)]
    pub pwm: List<'a, Channel>,
}

message! {
    /// A request to the server of lines and channels.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Request {
        /// The GPIO chip of this number. Answered by [`Reply::Chip`] or [`Reply::End`].
        Chip {
            /// From 0.
            chip: u8,
        },
        /// The PWM chip of this number. Answered by [`Reply::Chip`] or [`Reply::End`].
        PwmChip {
            /// From 0.
            chip: u8,
        },
        /// A line's state. Answered by [`Reply::Line`].
        Get(Line),
        /// Drives a line, which becomes an output.
        Set {
            /// Which.
            line: Line,
            /// High or low.
            level: bool,
        },
        /// Makes a line an input.
        Input(Line),
        /// Signals the notification that comes along at every edge of a line. One subscription per client and line: another
        /// one takes its place.
        Subscribe {
            /// Which.
            line: Line,
            /// Which changes.
            edges: Edges,
        },
        /// Ends the client's subscription to a line.
        Unsubscribe(Line),
        /// A channel's state. Answered by [`Reply::Channel`].
        GetDuty(Channel),
        /// Asks for a duty. Programs on the channel may lower it; 0 is applied at once.
        SetDuty {
            /// Which.
            channel: Channel,
            /// 0 to [`FULL_DUTY`].
            duty: u16,
        },
        /// Stops all motors and holds them.
        Stop,
        /// Ends the emergency stop: motors may be driven again. They stay where they are until somebody does.
        Rearm,
        /// Whether motors are held. Answered by [`Reply::Motors`].
        Motors,
    }
}

message! {
    /// Why a request was not done.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Refusal {
        /// There is no such chip, line or channel, or its hardware is absent.
        NoSuchLine,
        /// The manifest does not grant it.
        NotGranted,
        /// The emergency stop holds this output.
        Stopped,
        /// The line belongs to something else: a PWM channel made in software.
        Taken,
        /// No notification came along, or there is no room for it: a client has at most eight subscriptions.
        NoCapability,
        /// Duties are asked for faster than programs may be asked about them.
        Busy,
    }
}

impl fmt::Display for Refusal {
    /// In words, after "refused:".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NoSuchLine => "there is no such chip, line or channel, or its hardware is absent",
            Refusal::NotGranted => "the manifest does not grant it",
            Refusal::Stopped => "the emergency stop holds this output",
            Refusal::Taken => "the line belongs to a PWM channel that is made in software",
            Refusal::NoCapability => "no notification came along, or there is no room for one more",
            Refusal::Busy => "duties are asked for faster than programs may be asked about them",
        })
    }
}

message! {
    /// An answer.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
    pub enum Reply<'a> {
        /// Done.
        Done,
        /// A chip.
        Chip {
            /// Its name in the manifest.
            name: &'a str = MAX_NAME,
            /// Lines or channels; 0 when it is absent.
            lines: u8,
            /// Made by software, not hardware.
            software: bool,
        },
        /// No such chip: the list ends.
        End,
        /// A line.
        Line {
            /// Driven by this system.
            output: bool,
            /// High or low.
            level: bool,
            /// Edges seen since the server's start.
            edges: u64,
        },
        /// A channel.
        Channel {
            /// Its duty now.
            duty: u16,
        },
        /// The motors.
        Motors {
            /// The emergency stop holds them.
            stopped: bool,
            /// How many there are.
            motors: u8,
            /// Attempts to drive one that the stop refused.
            refused: u64,
        },
        /// Not done.
        Refused(Refusal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_hold_what_was_granted_and_nothing_else() {
        let mut g = Grants::default();
        assert_eq!(g, Grants::NONE);
        g.grant_line(Line { chip: 0, line: 5 }, false);
        g.grant_line(Line { chip: 1, line: 63 }, true);
        g.grant_channel(Channel { chip: 3, channel: 15 });
        // Out of range: granted to nobody, not to a neighbour.
        g.grant_line(Line { chip: 4, line: 0 }, true);
        g.grant_line(Line { chip: 0, line: 64 }, true);
        g.grant_channel(Channel { chip: 0, channel: 16 });
        let lines = (0..=255).flat_map(|chip| (0..=255).map(move |line| Line { chip, line }));
        let got: std::vec::Vec<_> =
            lines.clone().filter(|l| g.may_get(*l)).map(|l| (l.chip, l.line)).collect();
        assert_eq!(got, [(0, 5), (1, 63)]);
        assert_eq!(lines.filter(|l| g.may_set(*l)).count(), 1);
        let channels = (0..=255).flat_map(|chip| (0..=255).map(move |channel| Channel { chip, channel }));
        assert_eq!(channels.filter(|c| g.may_drive(*c)).count(), 1);
        assert!(g.may_drive_some() && !Grants::NONE.may_drive_some());
        assert_eq!(Line::from_numbers(0, 64), None);
        assert_eq!(Line::from_numbers(1 << 32, 0), None);
        assert_eq!(Channel::from_numbers(3, 15), Some(Channel { chip: 3, channel: 15 }));
    }
}
