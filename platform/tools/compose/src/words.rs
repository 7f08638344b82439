//! The parts of the bundle that only one interface understands: what a client may do there, and what its server owns. compose writes them in
//! that interface's own encoding; init passes them on and does not read them.
use crate::model::{Manifest, Server};
use crate::pins::{self, Rights};
use axiom_proto::bundle::{Grant, Part};
use axiom_proto::{Values, gpio, iio, rp1};
use serde::Serialize;

fn bytes(value: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_allocvec(value).ok()
}

/// What a server may do at others.
pub fn grants(
    s: &Server,
    index: &dyn Fn(&str) -> Option<u16>,
    system: &Manifest,
    rights: &Rights,
) -> Option<Vec<Grant>> {
    let mut grants = Vec::new();
    for peer in &s.calls {
        let at = index(&peer.value)?;
        let Some(callee) = system.servers.iter().find(|o| o.name == peer.value) else { continue };
        let mut grant = |interface, bytes| grants.push(Grant { at, interface, bytes });
        if let Some((_, lines)) =
            rights.servers.iter().find(|r| r.0 == s.name).filter(|_| pins::is_owner(callee))
        {
            grant(gpio::INTERFACE, bytes(lines)?);
        }
        let bridge = callee.devices.iter().any(|d| d.value.ranges);
        if let Some((_, peripherals)) = rights.rp1.iter().find(|r| r.0 == s.name).filter(|_| bridge) {
            grant(rp1::INTERFACE, bytes(peripherals)?);
        }
        if !s.iio.is_empty() {
            let names = Values::of(s.iio.iter().map(|p| p.value.as_str()))?;
            grant(iio::INTERFACE, bytes(&names.list::<&str>())?);
        }
    }
    Some(grants)
}

/// What a server owns: the chips and motors, for their owner; the rights of programs, for who loads them.
pub fn parts(s: &Server, rights: &Rights) -> Option<Vec<Part>> {
    if pins::is_owner(s) {
        let outputs: Vec<(&str, Values, Values)> = rights
            .motors
            .iter()
            .map(|m| Some((m.name.as_str(), Values::of(&m.gpio)?, Values::of(&m.pwm)?)))
            .collect::<Option<_>>()?;
        let motors = Values::of(outputs.iter().map(|(name, gpio, pwm)| gpio::Motor {
            name,
            gpio: gpio.list(),
            pwm: pwm.list(),
        }))?;
        let (lines, channels) = (Values::of(&rights.gpio_chips)?, Values::of(&rights.pwm_chips)?);
        let outputs =
            gpio::Outputs { gpio_chips: lines.list(), pwm_chips: channels.list(), motors: motors.list() };
        return Some(vec![Part { interface: gpio::INTERFACE, bytes: bytes(&outputs)? }]);
    }
    let has = |p: &&gpio::ProgramGrants| s.blobs.iter().any(|b| b.value == p.object);
    let programs: Vec<gpio::ProgramGrants> = rights.programs.iter().filter(has).cloned().collect();
    if programs.is_empty() {
        return Some(Vec::new());
    }
    let known =
        gpio::Rights { gpio_chips: rights.gpio_chips.clone(), pwm_chips: rights.pwm_chips.clone(), programs };
    Some(vec![Part { interface: gpio::INTERFACE, bytes: bytes(&known)? }])
}
