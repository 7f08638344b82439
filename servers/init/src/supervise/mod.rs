//! Watching over the servers: readiness, requests, faults, restarts. A life begins in [`start`], asks in [`requests`], ends in [`end`].
mod end;
mod requests;
mod start;
mod tell;

use crate::devices::Machine;
use crate::extra::Extra;
use crate::memory::{Memory, Object, Pool};
use crate::pci::reset::Resetting;
use crate::pci::{ConfigSpace, Mapped, Pci};
use crate::permanent::{self, Permanent};
use crate::rows::SlotRows;
use crate::{arch, heap, say, sys};
use alloc::vec::Vec;
use axiom_fdt::Fdt;
use axiom_layout::address::FUNCTIONS_KIB;
use axiom_layout::restarts::Restarts;
use axiom_layout::{Badge as Who, Bit};
use axiom_proto::bundle::System;
use axiom_proto::supervisor::{self, State};
use axiom_proto::{LABEL_ERROR, Values};
use requests::encode;
use sel4_sys::bootinfo::BootInfo;
use sel4_sys::cap::init;
use sel4_sys::ext::{AxiomInfo, event};
use sel4_sys::stubs::{self, Received};
use sel4_sys::{Badge, CPtr, CapRights, Error, MessageInfo};
use tell::facts;

struct Life {
    pool: Pool,
    state: State,
    restarts: Restarts,
    shared_bytes: u64,
    /// Frames of its stack and its heap, by address.
    stack: SlotRows,
    heap: SlotRows,
    /// The counter at its start.
    started: u64,
    /// When it is started, or its functions' resets go on, while it waits for that.
    due: Option<u64>,
    /// Its PCI functions' resets, before it is built: in the order of its devices.
    resets: Vec<Resetting>,
    /// Its thread, while it lives.
    thread: Option<CPtr>,
    /// Where its untyped memory goes when it asks for it.
    reclaim: Option<(CPtr, u64)>,
    /// It said that it panicked.
    panicked: bool,
}

impl Life {
    fn new() -> Life {
        let (pool, restarts) = (Pool::default(), Restarts::default());
        Life {
            pool,
            state: State::Starting,
            restarts,
            shared_bytes: 0,
            stack: SlotRows::new(),
            heap: SlotRows::new(),
            started: 0,
            due: None,
            resets: Vec::new(),
            thread: None,
            reclaim: None,
            panicked: false,
        }
    }
}

/// Characters of a panic's text that are told.
const PANIC_TEXT: usize = 160;
/// Deaths in a row that are told in full; then every fourth.
const TOLD: u32 = 8;

/// The running system.
pub struct Supervisor {
    system: System,
    memory: Memory,
    pci: Pci,
    permanent: Vec<Permanent>,
    lives: Vec<Life>,
    watchers: Vec<CPtr>,
    endpoint: CPtr,
    ready: CPtr,
    reply: CPtr,
    sched_control: CPtr,
    payload_frames: u64,
    axiom: Option<AxiomInfo>,
    image_bytes: u64,
    all_ready: bool,
    /// Wakes init when a restart is due; none on a kernel without timers, where restarts are immediate.
    timer: Option<CPtr>,
    /// The device tree.
    fdt: Option<&'static [u8]>,
    /// What init serves, as its clients read it.
    supervises: Values,
}

/// A message for the waiting thread: tag and first registers; the rest is in the IPC buffer.
type Answer = (MessageInfo, [u64; 4]);

impl Supervisor {
    /// Makes what outlives the servers' restarts.
    pub fn new(info: &BootInfo, extra: &Extra, system: System, own_pages: u64) -> Result<Supervisor, Error> {
        functions_fit(&system)?;
        let mut memory = Memory::new(info);
        let endpoint = memory.make(Object::ENDPOINT)?;
        let ready = memory.make(Object::NOTIFICATION)?;
        let reply = memory.make(Object::REPLY)?;
        sys::bind_notification(init::TCB, ready)?;
        let fdt = extra.fdt.and_then(|bytes| Fdt::new(bytes).ok());
        let space = ConfigSpace::of(extra);
        if fdt.is_none() && space.is_none() {
            say!("no device tree and no PCI: servers run without devices");
        }
        let devices: Vec<_> = arch::devices().collect();
        let (pci, trouble) = Pci::new(&mut Mapped::new(&mut memory), space, system.pci_window, &devices)?;
        if let Some(trouble) = trouble {
            say!("{trouble}");
        }
        let mut machine = Machine { fdt, pci };
        let timer = match extra.axiom {
            Some(_) => {
                let timer = memory.make(Object::TIMER)?;
                let signal = memory.slot()?;
                sys::mint(signal, ready, CapRights::WRITE, Badge(Who::TIMER.word()))?;
                sys::timer_bind(timer, CPtr(signal))?;
                Some(timer)
            }
            None => None,
        };
        let sched_control = CPtr(info.schedcontrol.start);
        let mut permanent: Vec<Permanent> = Vec::new();
        let mut watchers = Vec::new();
        for (index, server) in system.servers.iter().enumerate() {
            let loader = system.servers.iter().any(|s| s.loader == Some(index as u16));
            let p = permanent::make(
                &mut memory,
                &mut machine,
                &system.servers,
                index,
                &permanent,
                sched_control,
                loader,
            )?;
            if server.watches_restarts {
                let slot = memory.slot()?;
                sys::mint(slot, p.notification, CapRights::WRITE, Badge(Bit::RESTARTED.badge()))?;
                watchers.push(CPtr(slot));
            }
            permanent.push(p);
        }
        Ok(Supervisor {
            lives: system.servers.iter().map(|_| Life::new()).collect(),
            system,
            memory,
            pci: machine.pci,
            permanent,
            watchers,
            endpoint,
            ready,
            reply,
            sched_control,
            // The image's frames are in the order of addresses, init's own first.
            payload_frames: info.user_image_frames.start + own_pages,
            axiom: extra.axiom,
            image_bytes: (info.user_image_frames.end - info.user_image_frames.start) * 4096,
            all_ready: false,
            timer,
            fdt: extra.fdt,
            supervises: Values::of([supervisor::INTERFACE]).ok_or(Error::NotEnoughMemory)?,
        })
    }

    /// Number of servers.
    pub fn count(&self) -> usize {
        self.lives.len()
    }

    fn trace(&self, event: u16, arg0: u16, thread: Option<CPtr>) {
        if let Some(axiom) = self.axiom {
            sys::trace(CPtr(axiom.trace_cap), event, arg0, thread);
        }
    }

    /// Serves for ever.
    pub fn run(&mut self) -> ! {
        let mut received = self.begin();
        loop {
            received = self.turn(&received);
        }
    }

    /// Starts what is due, and waits for the first message.
    pub fn begin(&mut self) -> Received {
        self.start_due();
        stubs::recv(self.endpoint, self.reply)
    }

    /// Serves a message, and waits for the next.
    pub fn turn(&mut self, received: &Received) -> Received {
        match self.handle(received) {
            Some((info, mrs)) => stubs::reply_recv(self.endpoint, info, mrs, self.reply),
            None => stubs::recv(self.endpoint, self.reply),
        }
    }

    fn handle(&mut self, received: &Received) -> Option<Answer> {
        match Who::from_word(received.badge.0)? {
            Who::Fault(index) => {
                self.faulted(index.into(), received);
                None
            }
            Who::Signal(woken) => {
                let servers = self.lives.len();
                let known = woken.ready().map(usize::from).filter(|i| *i < servers);
                known.for_each(|i| self.became_ready(i));
                if woken.timer() {
                    self.start_due();
                }
                None
            }
            Who::Client(index) if received.info.label() == u64::from(supervisor::INTERFACE) => {
                Some(self.request(index.into(), received))
            }
            Who::Client(_) => Some(encode(LABEL_ERROR, &axiom_proto::Error::NoSuchInterface)),
        }
    }

    fn became_ready(&mut self, index: usize) {
        // Who is not built yet said nothing: the capability to say so may be in others' hands.
        if self.lives[index].state != State::Starting || self.lives[index].thread.is_none() {
            return;
        }
        self.lives[index].state = State::Ready;
        self.trace(event::BOOT_READY, index as u16, None);
        if self.lives[index].restarts.count > 0 && self.is_told(index) {
            say!(
                "'{}' is ready again (restart {})",
                self.system.servers[index].name,
                self.lives[index].restarts.count
            );
        }
        if self.lives[index].restarts.count > 0 {
            self.watchers.iter().for_each(|w| stubs::signal(*w));
        }
        self.tell_when_all_are_ready();
    }

    /// Says once that nobody is waited for any more.
    fn tell_when_all_are_ready(&mut self) {
        let waits = |(life, server): (&Life, &axiom_proto::bundle::Server)| {
            server.reports_ready && life.state == State::Starting
        };
        if self.all_ready || self.lives.iter().zip(&self.system.servers).any(waits) {
            return;
        }
        self.all_ready = true;
        self.trace(event::BOOT_ALL_READY, 0, None);
        say!("all servers are ready");
        if self.system.print_facts {
            let fdt = self.fdt.and_then(|bytes| Fdt::new(bytes).ok());
            facts(self.axiom, fdt.as_ref()).iter().for_each(|line| say!("facts: {line}"));
            say!("facts: at most {} bytes of init's heap of {} were in use", heap::most(), heap::BYTES);
        }
    }
}

/// Refuses a bundle whose PCI functions may take more registers than init has slots for. compose refuses such a manifest; but a bundle is
/// data, and what made it may have been something else.
fn functions_fit(system: &System) -> Result<(), Error> {
    let requests = system.servers.iter().flat_map(|server| &server.devices);
    let functions = || requests.clone().filter(|request| axiom_pci::parse(&request.compatible).is_some());
    let kib = functions().fold(0u64, |sum, request| sum.saturating_add(request.registers_kib.into()));
    if kib <= FUNCTIONS_KIB {
        return Ok(());
    }
    say!(
        "the bundle lets the registers of {} PCI functions take {kib} KiB, and init can hand out {FUNCTIONS_KIB}: it is not of this system's \
         compose, which refuses that (registers_kib)",
        functions().count()
    );
    Err(Error::RangeError)
}

fn ticks_of(axiom: Option<AxiomInfo>, microseconds: u64) -> u64 {
    let frequency = axiom.map_or(0, |a| a.counter_frequency);
    (u128::from(microseconds) * u128::from(frequency) / 1_000_000) as u64
}

fn microseconds_of(axiom: Option<AxiomInfo>, ticks: u64) -> u64 {
    let frequency = axiom.map_or(0, |a| a.counter_frequency).max(1);
    (u128::from(ticks) * 1_000_000 / u128::from(frequency)) as u64
}
