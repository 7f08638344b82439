//! A chip's interrupt line, at a pin of another server: it signals this server's notification at each edge.

use axiom_layout::form::{self, Form};
use axiom_runtime::proto::gpio::{Edges, INTERFACE, Line, Reply, Request};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{
    Bit, Bits, Buffer, Class, Endpoint, Notification, Runtime, Slots, call, call_with_cap, warn,
};

/// What the setting says.
const FORM: Form<'static> = form::of(crate::sensors::TAKES, "*_int1");

/// A line that is wired to a chip.
pub struct Interrupt {
    server: Endpoint,
    line: Line,
    /// Set at each edge.
    pub bit: Bit,
    doorbell: CPtr,
}

impl Interrupt {
    /// The line that the manifest's argument `NAME_int1 = "CHIP/LINE"` names, if there is one.
    pub fn open(rt: Runtime, name: &str, bits: &mut Bits, slots: &mut Slots) -> Option<Interrupt> {
        let place = rt.env().args.iter().find(|s| s.key.strip_suffix("_int1") == Some(name))?.value;
        let found = (|| {
            let server = rt
                .serving(INTERFACE)
                .ok_or("the manifest gives this server no channel to one that has lines")?;
            let (chip, line) = self::place(place).ok_or("it must read CHIP/LINE")?;
            let chip = chip_number(server, chip).ok_or("there is no such chip")?;
            let bit = bits.take(Class::Doorbell).ok_or("no bit of its notification is left")?;
            let doorbell = slots.take().ok_or("no free slot for its notification")?;
            Notification::OWN.signaller(doorbell, bit).map_err(|_| "its notification could not be made")?;
            let interrupt = Interrupt { server, line: Line { chip, line }, bit, doorbell };
            if interrupt.subscribe() { Ok(interrupt) } else { Err("it is not granted") }
        })();
        match found {
            Ok(interrupt) => Some(interrupt),
            Err(why) => {
                warn!("{name}: its interrupt line '{place}' cannot be used: {why}; it is sampled by a timer");
                None
            }
        }
    }

    /// Asks for the edges, again after the line's server was restarted.
    pub fn subscribe(&self) -> bool {
        let request = Request::Subscribe { line: self.line, edges: Edges::Rising };
        let mut buffer = Buffer::new();
        let reply =
            call_with_cap::<_, Reply>(self.server, INTERFACE, &request, Some(self.doorbell), &mut buffer);
        matches!(reply, Ok((Reply::Done, _)))
    }
}

/// Chip and line of a text; which chips there are, the lines' server knows.
pub fn place(text: &str) -> Option<(&str, u8)> {
    let word = FORM.word(text, |_, _| true)?;
    Some((word.left.text, word.right?.number? as u8))
}

fn chip_number(server: Endpoint, wanted: &str) -> Option<u8> {
    let mut buffer = Buffer::new();
    for chip in 0.. {
        match call(server, INTERFACE, &Request::Chip { chip }, &mut buffer) {
            Ok(Reply::Chip { name, .. }) if name == wanted => return Some(chip),
            Ok(Reply::Chip { .. }) => {}
            _ => return None,
        }
    }
    None
}
