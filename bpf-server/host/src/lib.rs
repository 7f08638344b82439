//! What a server links to run BPF programs on its own events.
//!
//! The server registers attach points, forwards bpf-server's messages to [`Host::handle`], and calls [`Host::run`] when
//! something happens. Programs were verified and compiled elsewhere; here they are code pages in a fixed window, maps in
//! another, and a table of helpers. Everything is changed by the server's own loop, so a program is attached or replaced
//! between two events by construction.
//!
//! Nothing here allocates: a host has room for so many attach points, programs and maps, and refuses the next one.
//!
//! Between an event and a program's first instruction lie a bounds check, three loads and an indirect call.
#![no_std]

mod arch;
mod helpers;
mod load;
mod requests;
#[cfg(feature = "system")]
pub mod system;
#[cfg(test)]
mod tests;

use axiom_bpf_interp::{Insn, Memory, Size, Stack, Trusted, World};
use axiom_bpf_isa::abi;
use axiom_bpf_maps::Map;
use axiom_proto::bpf::ProgramId;
use axiom_proto::bpf_host::{MAP_SLOTS, Overload, POINTS, PROGRAMS, PointName};
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::{Channel, Grants, Line};
use core::cell::RefCell;
use heapless::Vec;

pub use helpers::Clock;
pub use load::{Budget, Stream};
pub use requests::Server;

/// Most programs on one attach point.
pub const CHAIN: usize = 4;
/// There is a bit for each program.
const _: () = assert!(PROGRAMS == u32::BITS);
/// An interpreted program stops after this many instructions; the verifier's bound is normally far below it.
const INTERPRETER_BUDGET: u64 = 1 << 22;

/// A helper as compiled code calls it.
pub type Helper = extern "C" fn(*mut Runtime, u64, u64, u64, u64, u64) -> u64;
/// A compiled program.
pub type Entry = extern "C" fn(*mut Runtime, *mut u8, u64) -> u64;

/// What compiled code gets as its first argument: the helper table, then what helpers need.
#[repr(C)]
pub struct Runtime {
    helpers: [Helper; abi::HELPER_SLOTS],
    maps: [Option<Map>; MAP_SLOTS as usize],
    clock: Clock,
    log: fn(&str),
    /// Messages that programs may still print before the next refill, and how many were dropped since the last one.
    log_allowance: u32,
    log_dropped: u32,
    /// Bit n: map n received a ring buffer record since [`Host::take_produced`].
    produced: u64,
    /// The program that runs now.
    running: *const Identity,
    actuators: Option<&'static RefCell<dyn Actuators>>,
}

/// Who a program is to the helpers: its name, and what it may do with lines, channels and motors.
#[derive(Clone, Copy)]
struct Identity {
    name: Name,
    grants: Grants,
}

/// The beginning of a program's name; aligned, so that it is copied in words.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Name {
    bytes: [u8; 31],
    length: u8,
}

impl Name {
    const NONE: Name = Name { bytes: [0; 31], length: 0 };

    fn new(text: &str) -> Name {
        let mut name = Name::NONE;
        let mut length = text.len().min(name.bytes.len());
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        name.bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
        name.length = length as u8;
        name
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.length as usize]).unwrap_or("")
    }
}

static NOBODY: Identity = Identity { name: Name::NONE, grants: Grants::NONE };

/// What the helpers for lines, channels and motors do in a server that has some. Results are the helper's: 0, a level, or
/// a negative errno.
pub trait Actuators {
    /// The level of a line.
    fn gpio_get(&mut self, by: &Grants, line: Line) -> i64;
    /// Drives a line.
    fn gpio_set(&mut self, by: &Grants, line: Line, level: bool) -> i64;
    /// Asks for a duty.
    fn pwm_set(&mut self, by: &Grants, channel: Channel, duty: u16) -> i64;
    /// Stops all motors and holds them.
    fn motor_emergency_stop(&mut self, by: &Grants) -> i64;
}

/// An attach point of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PointId(u32);

impl PointId {
    /// No point: it has no programs.
    pub const NOWHERE: PointId = PointId(u32::MAX);
}

struct Point {
    name: PointName,
    chain: [u8; CHAIN],
    len: u8,
    /// Opened for a program: it goes with the last one. Others are the server's own, and stay.
    opened: bool,
    /// How often its events come.
    stream: Stream,
}

/// How a program is run.
#[derive(Clone, Copy)]
enum Code {
    Native(Entry),
    Interpreted(&'static [Insn]),
}

#[derive(Clone, Copy)]
struct Program {
    id: ProgramId,
    point: PointId,
    code: Code,
    runs: u64,
    accepted: u64,
    identity: Identity,
    /// Its worst case, nanoseconds.
    time: u64,
    /// Whose share of the time it takes; 0: nobody's.
    client: ClientBadge,
}

/// The programs, maps and attach points of one server.
pub struct Host {
    runtime: Runtime,
    points: Vec<Point, POINTS>,
    programs: [Option<Program>; PROGRAMS as usize],
    /// Bit n: there is a program at place n. Whoever looks for one passes the empty places over.
    live: u32,
    stack: Stack,
    generation: u64,
    /// What programs' time is held against; `None`: nothing.
    budget: Option<Budget>,
    /// Picoseconds of a machine instruction.
    pace: u64,
}

impl Host {
    /// A host without points. `log` receives what programs print.
    pub fn new(clock: Clock, log: fn(&str)) -> Host {
        Host {
            runtime: Runtime {
                helpers: helpers::table(),
                maps: [const { None }; MAP_SLOTS as usize],
                clock,
                log,
                log_allowance: helpers::LOG_BURST,
                log_dropped: 0,
                produced: 0,
                running: &NOBODY,
                actuators: None,
            },
            points: Vec::new(),
            programs: [None; PROGRAMS as usize],
            live: 0,
            stack: Stack::default(),
            generation: clock.now(),
            budget: None,
            pace: 1000,
        }
    }

    /// From now on there must be time for programs: in this budget, at so many picoseconds for a machine instruction.
    pub fn set_budget(&mut self, budget: Budget, pace: u64) {
        (self.budget, self.pace) = (Some(budget), pace);
    }

    /// The events of these points come as often as this from now on, if their programs have time for that.
    ///
    /// # Errors
    /// They have not; nothing has changed.
    pub fn set_stream(&mut self, points: &[PointId], stream: Stream) -> Result<(), Overload> {
        let of = |id: PointId, point: &Point| if points.contains(&id) { stream } else { point.stream };
        if let Some(budget) = &self.budget {
            let after = self.sum(budget, of, |_| true);
            if !load::fits(&after, budget) {
                let before = self.sum(budget, |_, p| p.stream, |_| true);
                load::Change { before, after, share: None, stream }.admit(budget)?;
                // Whoever has a program where the rate changes keeps to its share.
                let there = |p: &&Program| p.client != ClientBadge::NOBODY && points.contains(&p.point);
                for client in self.live().map(|(_, p)| p).filter(there).map(|p| p.client) {
                    let own = |p: &Program| p.client == client;
                    let share = Some((self.sum(budget, |_, p| p.stream, own), self.sum(budget, of, own)));
                    load::Change { before, after, share, stream }.admit(budget)?;
                }
            }
        }
        for point in points {
            if let Some(p) = self.points.get_mut(point.0 as usize) {
                p.stream = stream;
            }
        }
        Ok(())
    }

    /// How often the events of a point come at most.
    pub fn stream(&self, point: PointId) -> Stream {
        self.points.get(point.0 as usize).map_or(Stream::Silent, |p| p.stream)
    }

    /// How many events of a group of points fit into a period beside all other programs; `None` without a program on any of them.
    pub fn room_for(&self, group: u8) -> Option<u64> {
        let budget = self.budget.as_ref()?;
        let sum = self.sum(budget, |_, p| p.stream, |_| true);
        let (own, each) = sum.group(group);
        let left = load::for_programs(budget).saturating_sub(sum.time() - own);
        left.checked_div(each)
    }

    /// The programs that are there, and their places.
    fn live(&self) -> impl Iterator<Item = (usize, &Program)> {
        let mut left = self.live;
        core::iter::from_fn(move || {
            let place = left.trailing_zeros() as usize;
            let program = self.programs.get(place)?.as_ref()?;
            left &= left - 1;
            Some((place, program))
        })
    }

    /// The first place without a program.
    fn free_place(&self) -> Option<usize> {
        let place = self.live.trailing_ones() as usize;
        (place < self.programs.len()).then_some(place)
    }

    /// Puts a program into a place, instead of what was there.
    fn put(&mut self, place: usize, program: Program) {
        if let Some(there) = self.programs.get_mut(place) {
            *there = Some(program);
            self.live |= 1 << place;
        }
    }

    /// Empties a place.
    fn take(&mut self, place: usize) -> Option<Program> {
        let program = self.programs.get_mut(place)?.take()?;
        self.live &= !(1 << place);
        Some(program)
    }

    /// What the points' programs need, those that `counts` takes.
    fn sum(
        &self,
        budget: &Budget,
        stream: impl Fn(PointId, &Point) -> Stream,
        counts: impl Fn(&Program) -> bool,
    ) -> load::Sum {
        let mut sum = load::Sum::new(budget);
        for (i, point) in self.points.iter().enumerate().filter(|(_, p)| !p.name.is_empty()) {
            let chain = point.chain[..point.len as usize].iter();
            let programs = chain.filter_map(|i| self.programs[*i as usize].as_ref()).filter(|p| counts(p));
            let cost = programs.fold(0u64, |all, p| all.saturating_add(p.time));
            sum.add(stream(PointId(i as u32), point), cost);
        }
        sum
    }

    /// Nanoseconds of so many machine instructions.
    fn time_of(&self, cost: u64) -> u64 {
        match cost.checked_mul(self.pace) {
            Some(picoseconds) => picoseconds.div_ceil(1000),
            None => (cost / 1000).saturating_add(1).saturating_mul(self.pace),
        }
    }

    /// From now on, programs reach these outputs, as far as their grants go. They are not borrowed while programs run.
    pub fn set_actuators(&mut self, actuators: &'static RefCell<dyn Actuators>) {
        self.runtime.actuators = Some(actuators);
    }

    /// Adds an attach point by the name that programs use (their section's); `None` when there are [`POINTS`], or the name is too
    /// long for a message.
    pub fn add_point(&mut self, name: &str) -> Option<PointId> {
        self.new_point(name, false)
    }

    /// The place of the next point: one that an opened point has left, whose number nobody holds since it has no program, or a new one.
    fn free_point(&self) -> Option<usize> {
        let left = self.points.iter().position(|p| p.name.is_empty());
        left.or_else(|| (!self.points.is_full()).then_some(self.points.len()))
    }

    fn new_point(&mut self, name: &str, opened: bool) -> Option<PointId> {
        let name = PointName::try_from(name).ok()?;
        let point = Point { name, chain: [0; CHAIN], len: 0, opened, stream: Stream::Silent };
        let place = self.free_point()?;
        match self.points.get_mut(place) {
            Some(left) => *left = point,
            None => self.points.push(point).ok()?,
        }
        Some(PointId(place as u32))
    }

    /// Attach points that have a name: for tests of what is left behind.
    pub fn points(&self) -> usize {
        self.points.iter().filter(|p| !p.name.is_empty()).count()
    }

    /// The point of a name.
    pub fn point(&self, name: &str) -> Option<PointId> {
        let found = self.points.iter().position(|p| p.name == name && !name.is_empty());
        found.map(|i| PointId(i as u32))
    }

    /// How many programs are attached to a point.
    pub fn attached(&self, point: PointId) -> usize {
        self.points.get(point.0 as usize).map_or(0, |p| p.len as usize)
    }

    /// Runs the point's programs on an event; true if all of them returned something other than 0 (or there is none).
    ///
    /// `C` is the context's layout: at least as large as the program kind's, in the layout that the verifier knows.
    #[inline]
    pub fn run<C>(&mut self, point: PointId, context: &mut C) -> bool {
        let mut accepted = true;
        self.each(point, context, |result| accepted &= result != 0);
        accepted
    }

    /// Runs the point's programs on an event, and returns the smallest result; `None` if there is no program.
    #[inline]
    pub fn run_lowest<C>(&mut self, point: PointId, context: &mut C) -> Option<u64> {
        let mut lowest = None;
        self.each(point, context, |result| lowest = Some(lowest.map_or(result, |l: u64| l.min(result))));
        lowest
    }

    #[inline]
    fn each<C>(&mut self, point: PointId, context: &mut C, mut result: impl FnMut(u64)) {
        let Some(p) = self.points.get(point.0 as usize) else { return };
        let context = (&raw mut *context).cast::<u8>();
        let runtime = &raw mut self.runtime;
        for &index in &p.chain[..p.len as usize] {
            let Some(program) = &mut self.programs[index as usize] else { continue };
            // SAFETY: the runtime is the host's own; nobody else uses it between two programs.
            unsafe { (*runtime).running = &raw const program.identity };
            let returned = match program.code {
                Code::Native(entry) => entry(runtime, context, size_of::<C>() as u64),
                Code::Interpreted(insns) => {
                    interpret(runtime, &mut self.stack, insns, context, size_of::<C>() as u64)
                }
            };
            program.runs += 1;
            program.accepted += (returned != 0) as u64;
            result(returned);
        }
    }

    /// The maps whose rings received records since the last call, one bit each.
    pub fn take_produced(&mut self) -> u64 {
        core::mem::take(&mut self.runtime.produced)
    }

    /// Lets programs print again, and says how many of their lines were dropped since the last call: call it now and then, for
    /// example once a second.
    pub fn refill_log(&mut self) {
        self.runtime.log_allowance = helpers::LOG_BURST;
        match core::mem::take(&mut self.runtime.log_dropped) {
            0 => {}
            n => {
                let mut line = helpers::LogLine::new();
                line.note(format_args!(
                    "{n} lines that programs printed were dropped: {} are written between two of these",
                    helpers::LOG_BURST
                ));
                (self.runtime.log)(line.as_str());
            }
        }
    }
}

/// Runs a program that was not compiled. Out of line: compiled ones are the rule.
#[cold]
fn interpret(runtime: *mut Runtime, stack: &mut Stack, insns: &[Insn], context: *mut u8, len: u64) -> u64 {
    struct Own {
        runtime: *mut Runtime,
        memory: Trusted,
    }
    impl Memory for Own {
        fn load(&mut self, address: u64, size: Size) -> Option<u64> {
            self.memory.load(address, size)
        }
        fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
            self.memory.store(address, size, value)
        }
        fn update(&mut self, address: u64, size: Size, f: &mut dyn FnMut(u64) -> u64) -> Option<u64> {
            self.memory.update(address, size, f)
        }
    }
    impl World for Own {
        fn helper(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
            let slot = abi::slot(u32::try_from(id).ok()?)?;
            // SAFETY: the runtime outlives the run; helpers are called by nobody else meanwhile.
            let call = unsafe { (&(*self.runtime).helpers)[slot] };
            Some(call(self.runtime, a[0], a[1], a[2], a[3], a[4]))
        }
        fn resolve(&self, _: u8, _: i32, _: i32) -> Option<u64> {
            None // bpf-server has put the values in
        }
    }
    // SAFETY: bpf-server sends only programs that its verifier accepted for this point's context and these maps.
    let memory = unsafe { Trusted::new() };
    let mut budget = INTERPRETER_BUDGET;
    // A fault cannot happen to a verified program; if it does, the sample is dropped.
    axiom_bpf_interp::run(insns, &mut Own { runtime, memory }, stack, context as u64, len, &mut budget)
        .unwrap_or(0)
}
