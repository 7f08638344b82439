//! Watching over the servers: readiness, requests, faults, restarts.
use crate::devices::Machine;
use crate::extra::Extra;
use crate::memory::{Memory, Object, Pool};
use crate::pci::reset::{Next, Outcome, Resetting};
use crate::pci::{ConfigSpace, Mapped, Pci};
use crate::permanent::{self, Permanent};
use crate::say::{Reason, finish};
use crate::spawn::{self, Context, Running};
use crate::{arch, down, say, sys};
use alloc::string::String;
use alloc::vec::Vec;
use axiom_fdt::Fdt;
use axiom_layout::restarts::{self, Restarts};
use axiom_layout::{Badge as Who, Bit};
use axiom_proto::bundle::{Restart, System};
use axiom_proto::console::printable;
use axiom_proto::supervisor::{self, Area, Reply, Request, State};
use axiom_proto::{LABEL_ERROR, LABEL_OK, Values, wire};
use sel4_sys::bootinfo::BootInfo;
use sel4_sys::cap::init;
use sel4_sys::ext::{AxiomInfo, event};
use sel4_sys::fault::{cap_fault, kind as fault, unknown_syscall, user_exception, vm_fault};
use sel4_sys::stubs::{self, Received};
use sel4_sys::{Badge, CPtr, CapRights, Error, MessageInfo};

struct Life {
    pool: Pool,
    state: State,
    restarts: Restarts,
    shared_bytes: u64,
    /// Frames of its stack and its heap, by address.
    stack: Vec<CPtr>,
    heap: Vec<CPtr>,
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
            stack: Vec::new(),
            heap: Vec::new(),
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

    /// Resets a server's PCI functions, then builds and starts it; false (and a line) if it cannot be built. While there is something to wait
    /// for, it is due again, and its callers wait for it. Its functions' faults are not the system's: it stays down, and the others run.
    pub fn start(&mut self, index: usize) -> bool {
        self.lives[index].due = None;
        match self.reset(index) {
            Ok(None) => {}
            Ok(Some(after_us)) => {
                self.lives[index].due = Some(sys::ticks() + ticks_of(self.axiom, after_us));
                return true;
            }
            Err(why) => {
                say!("'{}' is not started: {why}", self.system.servers[index].name);
                self.clear(index);
                self.down(index);
                return true;
            }
        }
        // Whoever debugs others gets their threads: those that wait for a reset come first.
        let mut debugs = self.system.servers[index].debugs.iter().map(|peer| usize::from(*peer));
        if let Some(peer) = debugs.find(|peer| self.is_to_be_reset(*peer)) {
            self.lives[index].due = Some(self.lives[peer].due.unwrap_or_else(sys::ticks) + 1);
            return true;
        }
        self.build(index)
    }

    /// Goes on with the resets of a server's PCI functions: for how long to leave them alone, in microseconds, if they have not ended; or why
    /// it cannot be started.
    fn reset(&mut self, index: usize) -> Result<Option<u64>, String> {
        let permanent = &self.permanent[index];
        let life = &mut self.lives[index];
        life.resets.resize(permanent.functions().count(), Resetting::FIRST);
        let mut wait = None;
        for (function, reset) in permanent.functions().zip(&mut life.resets) {
            let lost = |why: &dyn core::fmt::Display| {
                alloc::format!("PCI function {} does not come back from its reset: {why}", function.place())
            };
            match self.pci.step(&mut Mapped::new(&mut self.memory), function, reset) {
                Ok(Next::After(us)) => wait = wait.max(Some(us)),
                Ok(Next::Ended(Outcome::Lost(why))) => return Err(lost(&why)),
                Ok(Next::Ended(Outcome::Forgot | Outcome::Cannot)) => {}
                Err(error) => return Err(lost(&Reason(error))),
            }
        }
        Ok(wait)
    }

    /// Whether a server will be started, and has functions whose resets have not all ended.
    fn is_to_be_reset(&self, index: usize) -> bool {
        let life = &self.lives[index];
        let ended = life.resets.iter().filter(|reset| reset.outcome().is_some()).count();
        life.state == State::Starting
            && life.thread.is_none()
            && ended < self.permanent[index].functions().count()
    }

    /// Lets those functions of a server that were reset access memory.
    fn let_master(&mut self, index: usize) -> Result<(), Error> {
        for (function, reset) in self.permanent[index].functions().zip(&self.lives[index].resets) {
            if reset.outcome() == Some(Outcome::Forgot) {
                self.pci.set_master(&mut Mapped::new(&mut self.memory), function, true)?;
            } else {
                say!(
                    "PCI function {} cannot be reset: it gets no access to memory, for it could go on with what it was told before",
                    function.place()
                );
            }
        }
        Ok(())
    }

    /// Builds and starts a server; false (and a line) if that fails.
    fn build(&mut self, index: usize) -> bool {
        let threads: Vec<Option<CPtr>> = self.lives.iter().map(|life| life.thread).collect();
        let context = Context {
            payload_frames: self.payload_frames,
            sched_control: self.sched_control,
            endpoint: self.endpoint,
            ready: self.ready,
            axiom: self.axiom,
            supervises: &self.supervises,
            servers: &self.system.servers,
            permanent: &self.permanent,
            threads: &threads,
            debug_calls: self.system.debug_calls,
        };
        let life = &mut self.lives[index];
        let (count, last) = (life.restarts.count, life.restarts.is_last());
        let built = spawn::spawn(&context, &mut self.memory, &mut life.pool, index, count, last);
        // The server runs when init waits, and not before: its functions may access memory from here on.
        match built.and_then(|running| self.let_master(index).map(|()| running)) {
            Ok(running) => {
                let life = &mut self.lives[index];
                life.state = State::Starting;
                life.panicked = false;
                life.shared_bytes = running.shared_bytes;
                (life.stack, life.heap) = (running.stack, running.heap);
                life.started = sys::ticks();
                life.reclaim = running.reclaim;
                life.thread = Some(running.tcb);
                self.trace(event::BOOT_SPAWNED, index as u16, Some(running.tcb));
                true
            }
            Err(error) => {
                say!("cannot start '{}': {}", self.system.servers[index].name, Reason(error));
                self.clear(index);
                self.down(index);
                false
            }
        }
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

    /// The server that is due first, and when.
    fn next_due(&self) -> Option<(u64, usize)> {
        self.lives.iter().enumerate().filter_map(|(i, life)| Some((life.due?, i))).min()
    }

    /// Starts those whose time has come, and sleeps until the next one's.
    fn start_due(&mut self) {
        while let Some((at, index)) = self.next_due()
            && at <= sys::ticks()
        {
            self.start(index);
        }
        if let (Some(timer), Some((at, _))) = (self.timer, self.next_due())
            && sys::timer_arm(timer, at).is_err()
        {
            say!("the timer for restarts cannot be armed: they are immediate");
            while let Some((_, index)) = self.next_due() {
                if !self.is_to_be_reset(index) {
                    self.start(index);
                }
                // Its functions need the time.
                if self.is_to_be_reset(index) {
                    say!(
                        "'{}' is not started: nobody can wait for its PCI functions",
                        self.system.servers[index].name
                    );
                    self.clear(index);
                    self.down(index);
                }
            }
        }
    }

    fn became_ready(&mut self, index: usize) {
        if self.lives[index].state != State::Starting {
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
        }
    }

    fn request(&mut self, caller: usize, received: &Received) -> Answer {
        let bytes = message_bytes(received);
        match wire::decode::<Request<'_>>(&bytes) {
            Err(error) => encode(LABEL_ERROR, &error),
            Ok(Request::Reclaim) => match self.reclaim(caller) {
                Ok(()) => encode(LABEL_OK, &Reply::Done),
                Err(_) => encode(LABEL_ERROR, &axiom_proto::Error::NotGranted),
            },
            Ok(Request::Panicked { text }) => {
                // Once: whoever asks again and again must not fill the log in init's name.
                if let Some((life, server)) = self.lives.get_mut(caller).zip(self.system.servers.get(caller))
                    && !core::mem::replace(&mut life.panicked, true)
                {
                    // Lines of init's go out at the highest priority: a short one.
                    let text: String = printable(text).take(PANIC_TEXT).collect();
                    say!("'{}' panicked: {text}", server.name);
                }
                encode(LABEL_OK, &Reply::Done)
            }
            Ok(Request::Server { index }) => match self.lives.get(index as usize) {
                None => encode(LABEL_OK, &Reply::End),
                Some(life) => encode(
                    LABEL_OK,
                    &Reply::Server(supervisor::Server {
                        name: &self.system.servers[index as usize].name,
                        state: life.state,
                        restarts: life.restarts.count,
                        shared_bytes: life.shared_bytes,
                        own_bytes: life.pool.bytes() + self.kept_bytes(index as usize),
                    }),
                ),
            },
            Ok(Request::Touched { index, area, page }) => self.touched(caller, index, area, page),
            Ok(Request::System) => encode(LABEL_OK, &Reply::System(self.figures())),
            Ok(Request::Finish { failure }) => match self.system.servers.get(caller) {
                Some(server) if server.ends_run => finish(failure),
                _ => encode(LABEL_ERROR, &axiom_proto::Error::NotGranted),
            },
        }
    }

    /// One page: at init's priority, work has a bound.
    fn touched(&mut self, caller: usize, index: u32, area: Area, page: u32) -> Answer {
        if !self.system.servers.get(caller).is_some_and(|server| server.trace) {
            return encode(LABEL_ERROR, &axiom_proto::Error::NotGranted);
        }
        let life = self.lives.get(index as usize);
        let frames = life.map(|life| match area {
            Area::Stack => &life.stack,
            Area::Heap => &life.heap,
        });
        let Some(frame) = frames.and_then(|frames| frames.get(page as usize)).copied() else {
            return encode(LABEL_OK, &Reply::End);
        };
        match spawn::is_touched(&mut self.memory, frame) {
            Ok(touched) => encode(LABEL_OK, &Reply::Touched(touched)),
            Err(_) => encode(LABEL_ERROR, &axiom_proto::Error::Busy),
        }
    }

    /// Memory that outlives a server's restarts.
    fn kept_bytes(&self, index: usize) -> u64 {
        let bits = permanent::untyped_bits(&self.system.servers[index]);
        let untyped = bits.filter(|_| self.permanent[index].untyped.is_some()).map_or(0, |bits| 1 << bits);
        untyped + self.permanent[index].shared.len() as u64 * 4096
    }

    fn figures(&self) -> supervisor::Figures {
        let a = self.axiom.unwrap_or_default();
        supervisor::Figures {
            kernel_text: a.kernel_text,
            kernel_rodata: a.kernel_rodata,
            kernel_data: a.kernel_data,
            kernel_bss: a.kernel_bss,
            boot_allocated: a.boot_allocated,
            ram_bytes: a.ram_bytes,
            bundle_bytes: self.image_bytes,
            init_allocated: self.memory.allocated,
            entry_counter: a.entry_counter,
        }
    }

    /// Empties the untyped memory of a server that has told those who used it, and gives it to this life.
    fn reclaim(&mut self, caller: usize) -> Result<(), Error> {
        let life = self.lives.get_mut(caller).ok_or(Error::RangeError)?;
        let ((cnode, slot), untyped) =
            life.reclaim.zip(self.permanent[caller].untyped).ok_or(Error::IllegalOperation)?;
        sys::revoke(untyped)?;
        Running::give_untyped(cnode, slot, untyped)?;
        life.reclaim = None;
        Ok(())
    }

    /// Whether a death of this server, or a start, is told: lines go out at the highest priority, so not all of them are.
    fn is_told(&self, index: usize) -> bool {
        let hasty = self.lives[index].restarts.hasty;
        hasty <= TOLD || hasty.is_multiple_of(4)
    }

    /// A server faulted: says who, why and where; then the restart policy decides.
    fn faulted(&mut self, index: usize, received: &Received) {
        let why = describe(received);
        if index < self.lives.len() {
            self.died(index, &why);
            self.start_due();
        }
    }

    /// A server's life is over.
    fn died(&mut self, index: usize, why: &str) {
        let server = &self.system.servers[index];
        // The client that waits for an answer gets one.
        let (info, mrs) = encode(LABEL_ERROR, &axiom_proto::Error::PeerRestarted);
        stubs::nb_send(self.permanent[index].reply, info, mrs);
        let most = match server.restart {
            Restart::Always => None,
            Restart::Max(most) => Some(most),
            Restart::Never => Some(0),
        };
        let parks = server.parks;
        let life = &mut self.lives[index];
        life.state = State::Starting;
        life.thread = None;
        self.clear(index);
        let life = &mut self.lives[index];
        (life.stack, life.heap) = (Vec::new(), Vec::new());
        let lived = sys::ticks().wrapping_sub(life.started);
        let next = life.restarts.died(microseconds_of(self.axiom, lived), most, parks);
        let told = self.is_told(index);
        let name = &self.system.servers[index].name;
        if told {
            say!("'{name}' died: {why}");
        }
        let after_us = match next {
            restarts::Next::Down => {
                say!("'{name}' stays down: its restart policy is used up");
                return self.down(index);
            }
            restarts::Next::Last { after_us } => {
                say!("'{name}' has used up its restarts: once more, to park its outputs");
                after_us
            }
            restarts::Next::Again { after_us } => after_us,
        };
        if after_us == 0 || self.timer.is_none() {
            say!("restarting '{}'", self.system.servers[index].name);
            self.start(index);
            return;
        }
        if told {
            say!("'{}' is started again in {} ms", self.system.servers[index].name, after_us / 1000);
        }
        self.lives[index].due = Some(sys::ticks() + ticks_of(self.axiom, after_us));
    }

    /// Takes everything from a server. Its devices' own accesses end first: what they would write to becomes something else.
    fn clear(&mut self, index: usize) {
        for function in self.permanent[index].functions() {
            if let Err(error) = self.pci.set_master(&mut Mapped::new(&mut self.memory), function, false) {
                say!(
                    "a PCI function of '{}' is not switched off: {}",
                    self.system.servers[index].name,
                    Reason(error)
                );
                finish("a device could go on writing to memory that is no longer its server's");
            }
        }
        let life = &mut self.lives[index];
        life.resets.clear();
        life.pool.clear(&mut self.memory);
    }

    /// A server stays down: its callers are told from now on.
    fn down(&mut self, index: usize) {
        let life = &mut self.lives[index];
        life.state = State::Down;
        life.due = None;
        let server = &self.system.servers[index];
        if let Err(error) =
            down::answer_for(&mut self.memory, &mut life.pool, &self.permanent[index], server.priority)
        {
            say!("nobody answers for '{}': {}; whoever calls it waits", server.name, Reason(error));
        }
        self.watchers.iter().for_each(|w| stubs::signal(*w));
        self.tell_when_all_are_ready();
    }
}

fn ticks_of(axiom: Option<AxiomInfo>, microseconds: u64) -> u64 {
    let frequency = axiom.map_or(0, |a| a.counter_frequency);
    (u128::from(microseconds) * u128::from(frequency) / 1_000_000) as u64
}

fn microseconds_of(axiom: Option<AxiomInfo>, ticks: u64) -> u64 {
    let frequency = axiom.map_or(0, |a| a.counter_frequency).max(1);
    (u128::from(ticks) * 1_000_000 / u128::from(frequency)) as u64
}

/// What somebody reports back from a board that nobody tried before.
fn facts(axiom: Option<AxiomInfo>, fdt: Option<&Fdt<'_>>) -> Vec<String> {
    let a = axiom.unwrap_or_default();
    let text = |path: &str, name: &str| {
        fdt.and_then(|f| f.at_path(path)).and_then(|n| n.text(name)).unwrap_or("none")
    };
    let mut cores = String::new();
    if let Some(fdt) = fdt {
        // A tree that ends early was complained of by the kernel.
        let _ = fdt.walk(|node| {
            if node.text("device_type") == Some("cpu") {
                cores += &alloc::format!(" {:#x}", node.u32("reg").unwrap_or(0));
            }
            axiom_fdt::Walk::On
        });
    }
    alloc::vec![
        alloc::format!("{}, {} MiB of RAM, cores{cores}", text("/", "model"), a.ram_bytes >> 20),
        alloc::format!(
            "kernel at {:#x}, entered at EL{}; device tree at {:#x}; stdout {}",
            a.image_address,
            a.entry_level,
            a.fdt_address,
            text("/chosen", "stdout-path")
        ),
        alloc::format!(
            "MIDR {:#x}, MPIDR {:#x}, GICD_TYPER {:#x}, GICD_IIDR {:#x}, counter {} Hz",
            a.midr,
            a.mpidr,
            a.gicd_typer,
            a.gicd_iidr,
            a.counter_frequency
        ),
    ]
}

fn describe(received: &Received) -> String {
    let word = |i: usize| if i < 4 { received.mrs[i] } else { sys::buffer().msg[i] };
    match received.info.label() {
        fault::VM => {
            let what = if word(vm_fault::PREFETCH) != 0 { "jumped to" } else { "touched" };
            alloc::format!(
                "at {:#x} it {what} {:#x}, where nothing is mapped that allows it (fsr {:#x})",
                word(vm_fault::IP),
                word(vm_fault::ADDR),
                word(vm_fault::FSR)
            )
        }
        fault::CAP => alloc::format!(
            "at {:#x} it used capability {:#x}, which it does not have",
            word(cap_fault::IP),
            word(cap_fault::ADDR)
        ),
        fault::UNKNOWN_SYSCALL => alloc::format!(
            "at {:#x} it made the unknown system call {}",
            word(unknown_syscall::FAULT_IP),
            word(unknown_syscall::SYSCALL) as i64
        ),
        fault::USER_EXCEPTION => alloc::format!(
            "at {:#x} an exception (esr {:#x}): an undefined instruction, or `brk` after a panic",
            word(user_exception::FAULT_IP),
            word(user_exception::NUMBER)
        ),
        other => alloc::format!("fault {other}"),
    }
}

fn message_bytes(received: &Received) -> Vec<u8> {
    let words = received.info.length().min(sel4_sys::message::MAX_LENGTH);
    let mut bytes = Vec::with_capacity(words * 8);
    for i in 0..words {
        let word = if i < 4 { received.mrs[i] } else { sys::buffer().msg[i] };
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// A message in registers and IPC buffer.
fn encode<T: serde::Serialize>(label: u64, value: &T) -> Answer {
    let mut bytes = [0; wire::MAX_WORDS * 8];
    let Ok(words) = wire::encode(value, &mut bytes) else {
        return (MessageInfo::new(LABEL_ERROR, 0, 0, 0), [0; 4]);
    };
    let mut mrs = [0; 4];
    for (i, chunk) in bytes.as_chunks::<8>().0.iter().enumerate().take(words) {
        let word = u64::from_le_bytes(*chunk);
        if i < 4 {
            mrs[i] = word;
        } else {
            sys::buffer().msg[i] = word;
        }
    }
    (MessageInfo::new(label, 0, 0, words as u64), mrs)
}
