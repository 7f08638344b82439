//! The server's loop: peripherals that clients open, and interrupts that are passed on to those who wait for them.

use crate::pages::Behind;
use axiom_mmio::{Block, Mmio};
use axiom_rp1::{Facts, Fan, chip, find, msix, place, switch};
use axiom_runtime::proto::Error;
use axiom_runtime::proto::env::ClientBadge;
use axiom_runtime::proto::rp1::{
    Absence, Grants, INTERFACE, InterruptPath, Peripheral, Refusal, Reply as Answer, Request,
};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{
    Bit, Bits, CNode, Class, Doorbell, Frame, Incoming, IrqHandler, Notification, Pages, Place, Reply,
    Runtime, Service, Signals, Slots, info, ipc, serve, warn,
};
use bcm2712_pac::rp1::gpio::{IoBank, Pads};
use bcm2712_pac::rp1::sysinfo::{CHIP_ID, SysInfo};
use bcm2712_pac::rp1::{INTC, IO_BANK, PADS, SYSINFO, Source};
use bcm2712_pac::soc::mip::Mip;
use bcm2712_pac::soc::pcie::Pcie;
use heapless::Vec;

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

/// INTA is shared. If it comes so many times in a row without a source that a client waits for, it stays masked until a client has
/// served its source.
const STORM: u64 = 16;
/// The registers of the root complex that are used end here.
const RC_BYTES: u64 = 0x9004;
/// Those of the block that turns messages into interrupts.
const MIP_BYTES: u64 = 0xc0;

/// Those who wait for a source: each takes a bit that this server gives away.
const WAITERS: usize = Class::Doorbell.room();

/// Who waits for a source.
struct Waiter {
    source: Source,
    /// What is signalled: the client's.
    signal: Doorbell,
    /// What the client signals when it has served the source: this server's notification, with a bit for each waiter.
    served: CPtr,
    /// That bit.
    bit: Bit,
}

/// The chip, found.
struct Chip {
    id: u32,
    base: u64,
    fan: Fan<Mmio>,
    bank: Block<IoBank, Mmio>,
    pads: Block<Pads, Mmio>,
}

struct Server {
    rt: Runtime,
    chip: Result<Chip, Absence>,
    behind: &'static mut Behind,
    slots: Slots,
    waiters: Vec<Waiter, WAITERS>,
    bits: Bits,
    /// INTA: its handler and its bit.
    line: Option<(IrqHandler, Bit)>,
    /// Interrupts of their own for the sources: slots of the handlers, in a row. Then INTA is left alone.
    messages: Option<(u64, u32)>,
    /// INTA is masked at the interrupt controller, since it came for nothing too often.
    silenced: bool,
    /// Interrupts for nothing, in a row.
    in_vain: u64,
}

type Opened = Result<(Answer, CPtr), Refusal>;

impl Server {
    fn granted(&self, badge: ClientBadge, peripheral: Peripheral) -> bool {
        self.rt.env().grant::<Grants>(badge, INTERFACE).is_some_and(|grants| grants.has(peripheral))
    }

    fn open(&mut self, badge: ClientBadge, peripheral: Peripheral, page: u8) -> Opened {
        // Who may not have it learns nothing else about it.
        if !self.granted(badge, peripheral) {
            return Err(Refusal::NotGranted);
        }
        let chip = self.chip.as_ref().map_err(|absence| Refusal::Absent(*absence))?;
        let base = chip.base;
        let place = place(peripheral).ok_or(Refusal::NoSuchPage)?;
        let offset = place.page(page).ok_or(Refusal::NoSuchPage)?;
        let frame = self.behind.frame(base + offset as u64, &mut self.slots).map_err(|_| Refusal::Full)?;
        // Its lines are switched here, so that whoever drives a bus needs no right to lines.
        let lines = if page == 0 { switch(peripheral, &chip.bank, &chip.pads) } else { &[] };
        if !lines.is_empty() {
            info!("{} goes to {}, with lines {lines:?}", peripheral.name(), self.rt.client(badge));
        }
        Ok((Answer::Page { pages: place.pages() }, frame.0))
    }

    fn interrupt(&mut self, badge: ClientBadge, peripheral: Peripheral, has_cap: bool) -> Opened {
        if !self.granted(badge, peripheral) {
            return Err(Refusal::NotGranted);
        }
        let chip = self.chip.as_mut().map_err(|absence| Refusal::Absent(*absence))?;
        let source = place(peripheral).and_then(|p| p.source).ok_or(Refusal::NoInterrupt)?;
        if let Some((first, count)) = self.messages {
            if u32::from(source.0) >= count {
                return Err(Refusal::NoInterrupt);
            }
            chip.fan.attach_message(source);
            info!("{}: interrupt {} is {}'s own", peripheral.name(), source.0, self.rt.client(badge));
            return Ok((Answer::Handler, CPtr(first + u64::from(source.0))));
        }
        if self.line.is_none() {
            return Err(Refusal::NoInterrupt);
        }
        if !has_cap || self.rt.probe().is_some_and(|p| !p.is_notification(ipc::received())) {
            return Err(Refusal::NoCapability);
        }
        let known = self.waiters.iter().position(|w| w.source == source);
        let i = match known {
            Some(i) => {
                // The new notification takes the old one's slot.
                CNode::OWN.delete(self.waiters[i].signal.0).map_err(|_| Refusal::Full)?;
                i
            }
            None => {
                if self.waiters.is_full() {
                    return Err(Refusal::Full);
                }
                let bit = self.bits.take(Class::Doorbell).ok_or(Refusal::Full)?;
                let (signal, served) =
                    (self.slots.take().ok_or(Refusal::Full)?, self.slots.take().ok_or(Refusal::Full)?);
                Notification::OWN.signaller(served, bit).map_err(|_| Refusal::Full)?;
                let waiter = Waiter { source, signal: Doorbell(signal), served, bit };
                self.waiters.push(waiter).map_err(|_| Refusal::Full)?;
                self.waiters.len() - 1
            }
        };
        CNode::OWN.move_to(self.waiters[i].signal.0, ipc::received()).map_err(|_| Refusal::Full)?;
        chip.fan.attach(source);
        info!("{}: interrupt {} goes to {}", peripheral.name(), source.0, self.rt.client(badge));
        Ok((Answer::Interrupt, self.waiters[i].served))
    }

    /// INTA is up.
    fn distribute(&mut self) {
        let (Ok(chip), Some((handler, _))) = (&mut self.chip, self.line) else { return };
        let raised = chip.fan.raised();
        for waiter in self.waiters.iter().filter(|w| raised.has(w.source)) {
            waiter.signal.ring();
        }
        self.in_vain = if raised.0 == 0 { self.in_vain + 1 } else { 0 };
        if self.in_vain < STORM {
            let _ = handler.ack();
        } else if !self.silenced {
            self.silenced = true;
            warn!(
                "INTA stays up without a source that anybody waits for; it is masked until a driver has served one"
            );
        }
    }

    /// Clients that have served their source.
    fn served(&mut self, signals: Signals) {
        let Ok(chip) = &mut self.chip else { return };
        for waiter in self.waiters.iter().filter(|w| signals.has(w.bit)) {
            chip.fan.served(waiter.source);
        }
        if self.silenced {
            self.silenced = false;
            self.in_vain = 0;
            if let Some((handler, _)) = self.line {
                let _ = handler.ack();
            }
        }
    }
}

impl Service for Server {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        if message.interface != INTERFACE {
            return Reply::error(Error::NoSuchInterface);
        }
        let badge = message.badge;
        let opened = match message.decode::<Request>() {
            Err(error) => return Reply::error(error),
            Ok(Request::Chip) => {
                let path = match (self.messages, self.line) {
                    (Some(_), _) => InterruptPath::Msi,
                    (None, Some(_)) => InterruptPath::IntA,
                    (None, None) => InterruptPath::None,
                };
                return Reply::ok(&match &self.chip {
                    Ok(chip) => Answer::Chip { id: chip.id, base: chip.base, interrupts: path },
                    Err(absence) => Answer::Refused(Refusal::Absent(*absence)),
                });
            }
            Ok(Request::Open { peripheral, page }) => self.open(badge, peripheral, page),
            Ok(Request::Interrupt(peripheral)) => self.interrupt(badge, peripheral, message.has_cap),
        };
        match opened {
            Ok((answer, cap)) => Reply::ok_with_cap(&answer, cap),
            Err(refusal) => Reply::ok(&Answer::Refused(refusal)),
        }
    }

    fn notified(&mut self, signals: Signals) {
        if signals.any(Class::Doorbell) {
            self.served(signals);
        }
        // With messages INTA stays masked as it came.
        if self.messages.is_none() && self.line.is_some_and(|(_, bit)| signals.has(bit)) {
            self.distribute();
        }
    }
}

/// What a board's owner may be asked for.
fn tell(facts: &Facts) {
    info!("facts: PCIe status {:#x}, device {:#010x}, BAR1 at PCI {:#x}", facts.status, facts.id, facts.bar1);
    for (i, w) in facts.windows.iter().enumerate() {
        if let Some(w) = w {
            info!("facts: window {i}: PCI {:#x} at {:#x}..={:#x}", w.pci, w.start, w.last);
        }
    }
}

/// What the registers behind the bridge are mapped with.
struct Room {
    behind: &'static mut Behind,
    slots: Slots,
    pages: Pages,
}

impl Room {
    /// Maps a page behind the bridge.
    fn map(&mut self, address: u64) -> Result<Mmio, Absence> {
        let nowhere = Absence::Elsewhere(address);
        let frame: Frame = self.behind.frame(address & !4095, &mut self.slots).map_err(|_| nowhere)?;
        self.pages.registers(&[frame]).map_err(|_| nowhere)
    }
}

fn look(rc: &Block<Pcie, Mmio>, room: &mut Room) -> Result<(Chip, Facts), Absence> {
    let (facts, found) = find(rc);
    tell(&facts);
    let base = found?;
    if !room.behind.covers(base) {
        return Err(Absence::Elsewhere(base));
    }
    let mut at = |offset: usize| room.map(base + offset as u64);
    let sysinfo: Block<SysInfo, Mmio> = Block::new(at(SYSINFO)?);
    let id = chip(sysinfo.read(CHIP_ID))?;
    let (fan, bank, pads) = (Fan::new(at(INTC)?), Block::new(at(IO_BANK[0])?), Block::new(at(PADS[0])?));
    Ok((Chip { id, base, fan, bank, pads }, facts))
}

/// Sets messages up, if the manifest asks for them; where that fails, the shared line is used.
fn messages(rt: Runtime, rc: &Block<Pcie, Mmio>, facts: &Facts, room: &mut Room) -> Option<(u64, u32)> {
    if rt.arg("interrupts") != Some("msi") {
        return None;
    }
    let device = rt.env().device("mip");
    let (Some(mip), Some(given)) =
        (rt.registers("mip", MIP_BYTES), device.map(|d| d.messages).filter(|m| m.1 > 0))
    else {
        warn!(
            "interrupts = \"msi\", but the manifest or the machine has no device 'mip' with messages; INTA is used"
        );
        return None;
    };
    let table = msix::table(rc, facts).and_then(|at| Ok((at, room.map(at)?)));
    match table {
        Ok((at, table)) => {
            msix::enable(rc, (&table, (at & 4095) as usize), &Block::<Mip, _>::new(mip));
            Some(given)
        }
        Err(absence) => {
            warn!("RP1's messages cannot be set up: {absence}; INTA is used");
            None
        }
    }
}

fn main(rt: Runtime) -> ! {
    static BEHIND: Place<Behind> = Place::new();
    static SERVER: Place<Server> = Place::new();
    let env = rt.env();
    let device = env.device("pcie");
    let behind = BEHIND
        .put(|| Behind::new(env.windows.iter().filter(|w| device.is_some_and(|d| d.index == w.device))));
    let mut room = Room { behind, slots: Slots::new(env), pages: Pages::new(env.scratch) };
    let line =
        device.and_then(|d| env.interrupts_of(&d, true).next()).map(|i| (IrqHandler(CPtr(i.slot)), i.bit));
    let mut given = None;
    let chip = match rt.registers("pcie", RC_BYTES).map(Block::new) {
        Some(rc) => look(&rc, &mut room).map(|(chip, facts)| {
            given = messages(rt, &rc, &facts, &mut room);
            chip
        }),
        None => Err(Absence::NoRootComplex),
    };
    match &chip {
        Ok(chip) => {
            let how =
                if given.is_some() { "a message for each interrupt" } else { "all interrupts over INTA" };
            info!("RP1 {:#010x} at {:#x}, {how}", chip.id, chip.base);
        }
        Err(absence) => warn!("RP1 is not there: {absence}"),
    }
    if chip.is_ok() && line.is_none() && given.is_none() {
        warn!("the device tree names no interrupt for RP1; its drivers poll");
    }
    rt.ready();
    let Room { behind, slots, .. } = room;
    let waiters = Vec::new();
    serve(SERVER.put(|| Server {
        rt,
        chip,
        behind,
        slots,
        waiters,
        bits: Bits::new(),
        line,
        messages: given,
        silenced: false,
        in_vain: 0,
    }))
}
