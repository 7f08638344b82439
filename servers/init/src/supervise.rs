//! Watching over the servers: readiness, requests, faults, restarts.
use crate::memory::{Memory, Pool};
use crate::permanent::{self, Permanent};
use crate::spawn::{self, Context, FAULT_BADGE};
use crate::{Extra, finish, say, sys};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use axiom_fdt::Fdt;
use axiom_proto::bundle::{Restart, System};
use axiom_proto::env::{NOTIFIED, PEER_RESTARTED};
use axiom_proto::supervisor::{self, Reply, Request, State};
use axiom_proto::{LABEL_ERROR, LABEL_OK, wire};
use core::fmt::{self, Write};
use sel4_sys::bootinfo::BootInfo;
use sel4_sys::cap::init;
use sel4_sys::ext::{AxiomInfo, event};
use sel4_sys::fault::{cap_fault, kind as fault, unknown_syscall, user_exception, vm_fault};
use sel4_sys::object::{self as o, kind};
use sel4_sys::stubs::{self, Received};
use sel4_sys::{Badge, CPtr, CapRights, Error, MessageInfo};

struct Life {
    pool: Pool,
    state: State,
    restarts: u32,
    shared_bytes: u64,
    /// It said that it panicked.
    panicked: bool,
}

/// The running system.
pub struct Supervisor {
    system: System,
    memory: Memory,
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
    /// The device tree.
    fdt: Option<&'static [u8]>,
}

/// A message for the waiting thread: tag and first registers; the rest is in the IPC buffer.
type Answer = (MessageInfo, [u64; 4]);

impl Supervisor {
    /// Makes what outlives the servers' restarts.
    pub fn new(info: &BootInfo, extra: &Extra, system: System) -> Result<Supervisor, Error> {
        let mut memory = Memory::new(info);
        let endpoint = memory.make(kind::ENDPOINT, 0, o::ENDPOINT_BITS as u32)?;
        let ready = memory.make(kind::NOTIFICATION, 0, o::NOTIFICATION_BITS as u32)?;
        let reply = memory.make(kind::REPLY, 0, o::REPLY_BITS as u32)?;
        sys::bind_notification(init::TCB, ready)?;
        let fdt = extra.fdt.and_then(|bytes| Fdt::new(bytes).ok());
        if fdt.is_none() {
            say!("no device tree: servers run without devices");
        }
        let mut permanent = Vec::new();
        let mut watchers = Vec::new();
        for server in &system.servers {
            let p = permanent::make(&mut memory, fdt.as_ref(), server)?;
            if server.watches_restarts {
                let slot = memory.slot()?;
                sys::mint(slot, p.notification, CapRights::WRITE, Badge(NOTIFIED | PEER_RESTARTED))?;
                watchers.push(CPtr(slot));
            }
            permanent.push(p);
        }
        let life = |_| Life {
            pool: Pool::default(),
            state: State::Starting,
            restarts: 0,
            shared_bytes: 0,
            panicked: false,
        };
        Ok(Supervisor {
            lives: system.servers.iter().map(life).collect(),
            system,
            memory,
            permanent,
            watchers,
            endpoint,
            ready,
            reply,
            sched_control: CPtr(info.schedcontrol.start),
            payload_frames: spawn::payload_frames(info),
            axiom: extra.axiom,
            image_bytes: (info.user_image_frames.end - info.user_image_frames.start) * 4096,
            all_ready: false,
            fdt: extra.fdt,
        })
    }

    /// Number of servers.
    pub fn count(&self) -> usize {
        self.lives.len()
    }

    /// Builds and starts a server; false (and a line) if that fails.
    pub fn start(&mut self, index: usize) -> bool {
        let context = Context {
            payload_frames: self.payload_frames,
            sched_control: self.sched_control,
            endpoint: self.endpoint,
            ready: self.ready,
            axiom: self.axiom,
            figures: figures(self.axiom, self.memory.allocated),
            servers: &self.system.servers,
            permanent: &self.permanent,
            programs: &self.system.programs,
            motors: &self.system.motors,
            debug_calls: self.system.debug_calls,
        };
        let life = &mut self.lives[index];
        match spawn::spawn(&context, &mut self.memory, &mut life.pool, index, life.restarts) {
            Ok(running) => {
                life.state = State::Starting;
                life.panicked = false;
                life.shared_bytes = running.shared_bytes;
                self.trace(event::BOOT_SPAWNED, index as u16, Some(running.tcb));
                true
            }
            Err(error) => {
                say!("cannot start '{}': {error:?}", self.system.servers[index].name);
                life.state = State::Down;
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
        let mut received = stubs::recv(self.endpoint, self.reply);
        loop {
            received = match self.handle(&received) {
                Some((info, mrs)) => stubs::reply_recv(self.endpoint, info, mrs, self.reply),
                None => stubs::recv(self.endpoint, self.reply),
            };
        }
    }

    fn handle(&mut self, received: &Received) -> Option<Answer> {
        let badge = received.badge.0;
        if badge & FAULT_BADGE != 0 && badge & NOTIFIED == 0 {
            self.faulted((badge & 0xffff) as usize, received);
            return None;
        }
        if received.info.label() == u64::from(supervisor::INTERFACE) {
            return Some(self.request(badge as usize, received));
        }
        if received.info.label() == 0 && received.info.length() == 0 {
            for index in (0..self.lives.len()).filter(|i| badge >> (i % 62) & 1 != 0) {
                self.became_ready(index);
            }
            return None;
        }
        Some(encode(LABEL_ERROR, &axiom_proto::Error::NoSuchInterface))
    }

    fn became_ready(&mut self, index: usize) {
        if self.lives[index].state != State::Starting {
            return;
        }
        self.lives[index].state = State::Ready;
        self.trace(event::BOOT_READY, index as u16, None);
        if self.lives[index].restarts > 0 {
            say!(
                "'{}' is ready again (restart {})",
                self.system.servers[index].name,
                self.lives[index].restarts
            );
            self.watchers.iter().for_each(|w| stubs::signal(*w));
        }
        let waits = |(life, server): (&Life, &axiom_proto::bundle::Server)| {
            server.reports_ready && life.state == State::Starting
        };
        if !self.all_ready && !self.lives.iter().zip(&self.system.servers).any(waits) {
            self.all_ready = true;
            self.trace(event::BOOT_ALL_READY, 0, None);
            say!("all servers are ready");
            if self.system.print_facts {
                let fdt = self.fdt.and_then(|bytes| Fdt::new(bytes).ok());
                facts(self.axiom, fdt.as_ref()).iter().for_each(|line| say!("facts: {line}"));
            }
        }
    }

    fn request(&mut self, badge: usize, received: &Received) -> Answer {
        let bytes = message_bytes(received);
        let caller = badge.wrapping_sub(1);
        match wire::decode::<Request<'_>>(&bytes) {
            Err(error) => encode(LABEL_ERROR, &error),
            Ok(Request::Ready) => {
                if caller < self.lives.len() {
                    self.became_ready(caller);
                }
                encode(LABEL_OK, &Reply::Done)
            }
            Ok(Request::Panicked { text }) => {
                // Once: whoever asks again and again must not fill the log in init's name.
                if let Some((life, server)) = self.lives.get_mut(caller).zip(self.system.servers.get(caller))
                    && !core::mem::replace(&mut life.panicked, true)
                {
                    say!("'{}' panicked: {}", server.name, Printable(text));
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
                        restarts: life.restarts,
                        shared_bytes: life.shared_bytes,
                        own_bytes: life.pool.bytes(),
                    }),
                ),
            },
            Ok(Request::System) => encode(LABEL_OK, &Reply::System(self.figures())),
            Ok(Request::Finish { failure }) => match self.system.servers.get(caller) {
                Some(server) if server.ends_run => finish(failure),
                _ => encode(LABEL_ERROR, &axiom_proto::Error::NotGranted),
            },
        }
    }

    fn figures(&self) -> supervisor::System {
        let a = self.axiom.unwrap_or_default();
        supervisor::System {
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

    /// A server faulted: says who, why and where; then the restart policy decides.
    fn faulted(&mut self, index: usize, received: &Received) {
        let Some(server) = self.system.servers.get(index) else { return };
        say!("'{}' died: {}", server.name, describe(received));
        let life = &mut self.lives[index];
        life.state = State::Down;
        let again = match server.restart {
            Restart::Always => true,
            Restart::Max(most) => life.restarts < most,
            Restart::Never => false,
        };
        // The client that waits for an answer gets one.
        let (info, mrs) = encode(LABEL_ERROR, &axiom_proto::Error::PeerRestarted);
        stubs::nb_send(self.permanent[index].reply, info, mrs);
        life.pool.clear(&mut self.memory);
        if again {
            life.restarts += 1;
            say!("restarting '{}'", self.system.servers[index].name);
            self.start(index);
        } else {
            say!("'{}' stays down: its restart policy is used up", server.name);
        }
    }
}

/// Text of a server's, without the control characters that would draw over other lines.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if c.is_control() { ' ' } else { c }))
    }
}

fn figures(axiom: Option<AxiomInfo>, allocated: u64) -> Vec<(String, u64)> {
    let a = axiom.unwrap_or_default();
    [
        ("kernel_text", a.kernel_text),
        ("kernel_rodata", a.kernel_rodata),
        ("kernel_data", a.kernel_data),
        ("kernel_bss", a.kernel_bss),
        ("boot_allocated", a.boot_allocated),
        ("init_allocated", allocated),
        ("ram", a.ram_bytes),
    ]
    .iter()
    .map(|(name, bytes)| (name.to_string(), *bytes))
    .collect()
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
