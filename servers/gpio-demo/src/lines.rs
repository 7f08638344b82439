//! The server of lines, as a client sees it.

use axiom_runtime::proto::Error;
use axiom_runtime::proto::gpio::{Channel, Edges, INTERFACE, Line, Refusal, Reply, Request};
use axiom_runtime::{Bit, Buffer, CNode, Endpoint, Notification, Slots, call, call_with_cap, plain};
use core::fmt;

/// A client of it.
#[derive(Clone, Copy)]
pub struct Lines(pub Endpoint);

/// Why a request was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The server says so.
    Refused(Refusal),
    /// It could not be asked.
    Error(Error),
    /// Its answer is not one to this request.
    Surprise,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(why) => why.fmt(f),
            Failure::Error(error) => error.fmt(f),
            Failure::Surprise => f.write_str("the answer makes no sense"),
        }
    }
}

/// What the motors do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Motors {
    /// Held by an emergency stop.
    pub stopped: bool,
    /// Attempts that were refused.
    pub refused: u64,
}

impl Lines {
    /// A request that is done or not.
    pub fn ask(self, request: Request) -> Result<(), Failure> {
        match call(self.0, INTERFACE, &request, &mut Buffer::new()) {
            Ok(Reply::Done) => Ok(()),
            Ok(Reply::Refused(why)) => Err(Failure::Refused(why)),
            Ok(_) => Err(Failure::Surprise),
            Err(error) => Err(Failure::Error(error)),
        }
    }

    /// Drives a line.
    pub fn set(self, line: Line, level: bool) -> Result<(), Failure> {
        self.ask(Request::Set { line, level })
    }

    /// From now on, edges of a line set a bit of this server's notification.
    pub fn subscribe(self, slots: &mut Slots, line: Line, edges: Edges, bit: Bit) -> Result<(), Failure> {
        let Some(signal) = slots.take() else { return Err(Failure::Surprise) };
        if Notification::OWN.signaller(signal, bit).is_err() {
            return Err(Failure::Surprise);
        }
        let request = Request::Subscribe { line, edges };
        let mut buffer = Buffer::new();
        let answer = call_with_cap::<_, Reply>(self.0, INTERFACE, &request, Some(signal), &mut buffer);
        let result = match answer {
            Ok((Reply::Done, _)) => Ok(()),
            Ok((Reply::Refused(why), _)) => Err(Failure::Refused(why)),
            Ok(_) => Err(Failure::Surprise),
            Err(error) => Err(Failure::Error(error)),
        };
        // The server has a copy of its own, or none.
        if CNode::OWN.delete(signal).is_ok() {
            slots.give(signal);
        }
        result
    }

    /// Level and edges of a line.
    pub fn get(self, line: Line) -> Result<(bool, u64), Failure> {
        match call(self.0, INTERFACE, &Request::Get(line), &mut Buffer::new()) {
            Ok(Reply::Line { level, edges, .. }) => Ok((level, edges)),
            Ok(Reply::Refused(why)) => Err(Failure::Refused(why)),
            Ok(_) => Err(Failure::Surprise),
            Err(error) => Err(Failure::Error(error)),
        }
    }

    /// A channel's duty.
    pub fn duty(self, channel: Channel) -> Option<u16> {
        match call(self.0, INTERFACE, &Request::GetDuty(channel), &mut Buffer::new()) {
            Ok(Reply::Channel { duty }) => Some(duty),
            _ => None,
        }
    }

    /// The motors; asked twice, because the server may be on its way back.
    pub fn motors(self) -> Option<Motors> {
        for _ in 0..2 {
            if let Ok(Reply::Motors { stopped, refused, .. }) =
                call(self.0, INTERFACE, &Request::Motors, &mut Buffer::new())
            {
                return Some(Motors { stopped, refused });
            }
        }
        None
    }

    /// Prints the chips.
    pub fn show(self) {
        for (request, what) in
            [(Request::Chip { chip: 0 }, "line"), (Request::PwmChip { chip: 0 }, "PWM channel")]
        {
            let mut request = request;
            loop {
                let mut buffer = Buffer::new();
                let Ok(Reply::Chip { name, lines, software }) =
                    call(self.0, INTERFACE, &request, &mut buffer)
                else {
                    break;
                };
                let many = if lines == 1 { "" } else { "s" };
                plain!("{name}: {lines} {what}{many}{}", if software { ", made in software" } else { "" });
                match &mut request {
                    Request::Chip { chip } | Request::PwmChip { chip } => *chip += 1,
                    _ => break,
                }
            }
        }
    }
}
