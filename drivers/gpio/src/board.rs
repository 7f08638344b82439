//! All chips of the machine, and the only way to their outputs.
//!
//! Every method that could drive an output takes the caller's [`Grants`] and passes the emergency stop. The chips are
//! private to this module: code outside it, be it a message, a helper or a timer, has no other path to a register.

use crate::{Channel, Chip, Edges, Grants, Line, PwmChip, Refusal, Seen};
use axiom_proto::gpio::{self, CHANNELS, CHIPS, LINES, MOTOR_OUTPUTS, MOTORS};
use heapless::{Deque, Vec};

/// Updates of duties that wait for the programs on their channels: the newest of each channel.
const WAITING: usize = CHIPS * CHANNELS as usize;

/// More chips, motors or outputs than a system has: compose refuses such a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMany;

/// Outputs that drive a motor: what an emergency stop switches off and holds.
#[derive(Clone, Debug, Default)]
pub struct Motor {
    /// Its lines, each with the level at which the motor stands.
    pub gpio: Vec<(Line, bool), MOTOR_OUTPUTS>,
    /// Its channels; the motor stands at duty 0.
    pub pwm: Vec<Channel, MOTOR_OUTPUTS>,
}

impl TryFrom<gpio::Motor<'_>> for Motor {
    type Error = TooMany;
    fn try_from(from: gpio::Motor<'_>) -> Result<Motor, TooMany> {
        let mut motor = Motor::default();
        for line in from.gpio {
            motor.gpio.push(line).map_err(|_| TooMany)?;
        }
        for channel in from.pwm {
            motor.pwm.push(channel).map_err(|_| TooMany)?;
        }
        Ok(motor)
    }
}

/// Lines, a bit each, by chip.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lines([u64; CHIPS]);

impl Lines {
    pub(crate) fn add(&mut self, line: Line) {
        if let Some(chip) = self.0.get_mut(line.chip as usize).filter(|_| line.line < LINES) {
            *chip |= 1 << line.line;
        }
    }
    #[inline]
    pub(crate) fn has(&self, line: Line) -> bool {
        line.line < LINES && self.0.get(line.chip as usize).is_some_and(|chip| chip >> line.line & 1 != 0)
    }
    pub(crate) fn iter(self) -> impl Iterator<Item = Line> {
        let all = (0..CHIPS as u8).flat_map(|chip| (0..LINES).map(move |line| Line { chip, line }));
        all.filter(move |line| self.has(*line))
    }
}

/// Whether the motors are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmergencyStop {
    /// They may be driven.
    Clear,
    /// They stand until somebody rearms them.
    Held,
}

/// A PWM channel made in software: a line that a timer switches.
#[derive(Clone, Copy, Debug)]
pub struct SoftPwm {
    /// The line.
    pub line: Line,
    /// Ticks of a period.
    pub period: u64,
}

struct Soft {
    pwm: SoftPwm,
    duty: u16,
    high: bool,
}

enum Pwm {
    Hardware(&'static mut dyn PwmChip, [u16; CHANNELS as usize]),
    Software(Soft),
    Absent,
}

/// A duty that somebody with the right to it asked for. Only [`Board`] makes it.
#[derive(Debug)]
pub struct Update {
    channel: Channel,
    requested: u16,
}

impl Update {
    /// Of which channel.
    pub fn channel(&self) -> Channel {
        self.channel
    }
    /// What was asked for.
    pub fn requested(&self) -> u16 {
        self.requested
    }
}

/// The chips.
pub struct Board {
    gpio: Vec<Option<&'static mut dyn Chip>, CHIPS>,
    pwm: Vec<Pwm, CHIPS>,
    motors: Vec<Motor, MOTORS>,
    /// Lines that a PWM channel comes out at: nobody else drives them.
    taken: Lines,
    stop: EmergencyStop,
    refused: u64,
    waiting: Deque<Update, WAITING>,
}

type Done = Result<(), Refusal>;

impl Board {
    /// A board with these motors and no chips yet. After a crash of the server, begin with [`EmergencyStop::Held`]: nobody knows
    /// whether the stop held before.
    pub fn new(motors: Vec<Motor, MOTORS>, stop: EmergencyStop) -> Board {
        let (gpio, pwm, taken, waiting) = (Vec::new(), Vec::new(), Lines::default(), Deque::new());
        Board { gpio, pwm, motors, taken, stop, refused: 0, waiting }
    }

    /// Adds the next GPIO chip; `None` is one that is absent.
    ///
    /// # Errors
    /// There are [`CHIPS`].
    pub fn add_chip(&mut self, chip: Option<&'static mut dyn Chip>) -> Result<(), TooMany> {
        self.gpio.push(chip).map_err(|_| TooMany)
    }

    /// Adds the next PWM chip; `None` is one that is absent.
    ///
    /// # Errors
    /// There are [`CHIPS`].
    pub fn add_pwm(&mut self, chip: Option<&'static mut dyn PwmChip>) -> Result<(), TooMany> {
        let pwm = chip.map_or(Pwm::Absent, |chip| Pwm::Hardware(chip, [0; CHANNELS as usize]));
        self.pwm.push(pwm).map_err(|_| TooMany)
    }

    /// Adds a PWM chip of one channel that is made in software.
    ///
    /// # Errors
    /// There are [`CHIPS`].
    pub fn add_soft_pwm(&mut self, pwm: SoftPwm) -> Result<(), TooMany> {
        let there = self.chip(pwm.line).is_ok();
        self.take_line(pwm.line);
        let pwm = if there { Pwm::Software(Soft { pwm, duty: 0, high: false }) } else { Pwm::Absent };
        self.pwm.push(pwm).map_err(|_| TooMany)
    }

    /// A PWM channel comes out at this line: from now on it is driven by that channel alone.
    pub fn take_line(&mut self, line: Line) {
        self.taken.add(line);
    }

    /// All motors to where they stand. Called once when the chips are there, and by every stop.
    pub fn park(&mut self) {
        self.waiting.clear();
        for i in 0..self.motors.len() {
            for j in 0..self.motors[i].gpio.len() {
                let (line, level) = self.motors[i].gpio[j];
                if let Ok(chip) = self.chip(line) {
                    chip.drive(line.line, level);
                }
            }
            for j in 0..self.motors[i].pwm.len() {
                let channel = self.motors[i].pwm[j];
                self.apply_duty(channel, 0);
            }
        }
    }

    /// Lines of a GPIO chip; 0 if it is absent; `None` after the last.
    pub fn lines(&self, chip: u8) -> Option<u8> {
        self.gpio.get(chip as usize).map(|c| c.as_ref().map_or(0, |c| c.lines()))
    }

    /// Whether a GPIO chip has no interrupts.
    pub fn is_polled(&self, chip: u8) -> bool {
        self.gpio.get(chip as usize).is_some_and(|c| c.as_ref().is_some_and(|c| c.is_polled()))
    }

    /// A GPIO chip that does not answer any more.
    pub fn lost(&self) -> Option<u8> {
        self.gpio.iter().position(|c| c.as_ref().is_some_and(|c| c.is_lost())).map(|n| n as u8)
    }

    /// Channels of a PWM chip, and whether it is made in software; 0 if it is absent; `None` after the last.
    pub fn channels(&self, chip: u8) -> Option<(u8, bool)> {
        self.pwm.get(chip as usize).map(|c| match c {
            Pwm::Hardware(c, _) => (c.channels(), false),
            Pwm::Software(_) => (1, true),
            Pwm::Absent => (0, false),
        })
    }

    fn chip(&mut self, line: Line) -> Result<&mut dyn Chip, Refusal> {
        match self.gpio.get_mut(line.chip as usize) {
            Some(Some(chip)) if line.line < chip.lines() => Ok(*chip),
            _ => Err(Refusal::NoSuchLine),
        }
    }

    /// The level at which the line's motor stands, if it is a motor's.
    fn parked(&self, line: Line) -> Option<bool> {
        let lines = self.motors.iter().flat_map(|m| &m.gpio);
        lines.clone().find(|(l, _)| *l == line).map(|(_, level)| *level)
    }

    fn is_motor(&self, channel: Channel) -> bool {
        self.motors.iter().any(|m| m.pwm.contains(&channel))
    }

    fn refuse<T>(&mut self) -> Result<T, Refusal> {
        self.refused += 1;
        Err(Refusal::Stopped)
    }

    /// The level of a line.
    #[inline]
    pub fn level(&mut self, by: &Grants, line: Line) -> Result<bool, Refusal> {
        if !by.may_get(line) {
            return Err(Refusal::NotGranted);
        }
        let chip = self.chip(line)?;
        Ok(chip.level(line.line))
    }

    /// Whether the system drives a line.
    pub fn is_output(&mut self, by: &Grants, line: Line) -> Result<bool, Refusal> {
        if !by.may_get(line) {
            return Err(Refusal::NotGranted);
        }
        let chip = self.chip(line)?;
        Ok(chip.is_output(line.line))
    }

    /// Drives a line.
    #[inline]
    pub fn set(&mut self, by: &Grants, line: Line, level: bool) -> Done {
        if !by.may_set(line) {
            return Err(Refusal::NotGranted);
        }
        if self.taken.has(line) {
            return Err(Refusal::Taken);
        }
        if self.stop == EmergencyStop::Held && self.parked(line).is_some_and(|at| at != level) {
            return self.refuse();
        }
        self.chip(line)?.drive(line.line, level);
        Ok(())
    }

    /// Makes a line an input: a motor's may not let go of its output while it is held.
    pub fn release(&mut self, by: &Grants, line: Line) -> Done {
        if !by.may_set(line) {
            return Err(Refusal::NotGranted);
        }
        if self.taken.has(line) {
            return Err(Refusal::Taken);
        }
        if self.stop == EmergencyStop::Held && self.parked(line).is_some() {
            return self.refuse();
        }
        self.chip(line)?.release(line.line);
        Ok(())
    }

    /// Which edges of a line are seen. Drives nothing.
    pub fn watch(&mut self, line: Line, edges: Option<Edges>) -> Done {
        self.chip(line)?.watch(line.line, edges);
        Ok(())
    }

    /// The edges of a chip since the last call.
    #[inline]
    pub fn take_edges(&mut self, chip: u8) -> Seen {
        match self.gpio.get_mut(chip as usize) {
            Some(Some(chip)) => chip.take_edges(),
            _ => Seen::default(),
        }
    }

    /// The duty of a channel.
    pub fn duty(&self, by: &Grants, channel: Channel) -> Result<u16, Refusal> {
        if !by.may_drive(channel) {
            return Err(Refusal::NotGranted);
        }
        self.current(channel).ok_or(Refusal::NoSuchLine)
    }

    /// The duty of a channel, for the programs on it.
    pub fn current(&self, channel: Channel) -> Option<u16> {
        match self.pwm.get(channel.chip as usize)? {
            Pwm::Hardware(chip, duties) if channel.channel < chip.channels() => {
                duties.get(channel.channel as usize).copied()
            }
            Pwm::Hardware(..) => None,
            Pwm::Software(s) => (channel.channel == 0).then_some(s.duty),
            Pwm::Absent => None,
        }
    }

    /// Asks for a duty. 0 is applied at once; the rest waits for [`Board::next_update`].
    pub fn request_duty(&mut self, by: &Grants, channel: Channel, duty: u16) -> Done {
        if !by.may_drive(channel) {
            return Err(Refusal::NotGranted);
        }
        if self.current(channel).is_none() {
            return Err(Refusal::NoSuchLine);
        }
        if duty != 0 && self.stop == EmergencyStop::Held && self.is_motor(channel) {
            return self.refuse();
        }
        // The newest request counts.
        self.waiting.retain(|u| u.channel != channel);
        if duty == 0 {
            self.apply_duty(channel, 0);
            return Ok(());
        }
        // There is room for one of each channel.
        self.waiting.push_back(Update { channel, requested: duty }).map_err(|_| Refusal::NoSuchLine)
    }

    /// A duty that waits for the programs on its channel.
    #[inline]
    pub fn next_update(&mut self) -> Option<Update> {
        self.waiting.pop_front()
    }

    /// Applies a duty, cut to what the programs on the channel allow.
    pub fn apply(&mut self, update: Update, allowed: u16) {
        let duty = update.requested.min(allowed);
        if duty != 0 && self.stop == EmergencyStop::Held && self.is_motor(update.channel) {
            self.refused += 1;
            return;
        }
        self.apply_duty(update.channel, duty);
    }

    fn apply_duty(&mut self, channel: Channel, duty: u16) {
        match self.pwm.get_mut(channel.chip as usize) {
            Some(Pwm::Hardware(chip, duties)) if channel.channel < chip.channels() => {
                if let Some(d) = duties.get_mut(channel.channel as usize) {
                    *d = duty;
                    chip.set_duty(channel.channel, duty);
                }
            }
            Some(Pwm::Software(s)) if channel.channel == 0 => {
                s.duty = duty;
                if duty == 0 {
                    s.high = false;
                    let line = s.pwm.line;
                    self.drive_soft(line, false);
                }
            }
            _ => {}
        }
    }

    fn drive_soft(&mut self, line: Line, level: bool) {
        if let Ok(chip) = self.chip(line) {
            chip.drive(line.line, level);
        }
    }

    /// The next edge of a channel made in software: switches its line and says after how many ticks to come again;
    /// `None` when it stands still (duty 0, or always on).
    pub fn soft_edge(&mut self, chip: u8) -> Option<u64> {
        let Some(Pwm::Software(s)) = self.pwm.get_mut(chip as usize) else { return None };
        let on = s.pwm.period * u64::from(s.duty) / u64::from(u16::MAX);
        let (line, whole) = (s.pwm.line, on == s.pwm.period);
        let wait = match (on, s.high) {
            (0, _) => None,
            _ if whole => None,
            (_, true) => Some(s.pwm.period - on),
            (_, false) => Some(on),
        };
        s.high = on != 0 && (whole || !s.high);
        let high = s.high;
        self.drive_soft(line, high);
        wait
    }

    /// Stops all motors and holds them. Whoever may call this gets here: it is never refused for another reason.
    pub fn emergency_stop(&mut self, by: &Grants) -> Done {
        if !by.motor_stop {
            return Err(Refusal::NotGranted);
        }
        self.hold();
        Ok(())
    }

    /// Stops all motors and holds them, because nobody watches over them any more.
    pub fn hold(&mut self) {
        self.stop = EmergencyStop::Held;
        self.park();
    }

    /// Ends the emergency stop. The motors stay where they are.
    pub fn rearm(&mut self, by: &Grants) -> Done {
        if !by.motor_rearm {
            return Err(Refusal::NotGranted);
        }
        self.stop = EmergencyStop::Clear;
        Ok(())
    }

    /// Whether motors are held, how many there are, and how often the stop refused to let one be driven.
    pub fn motors(&self) -> (EmergencyStop, usize, u64) {
        (self.stop, self.motors.len(), self.refused)
    }
}
