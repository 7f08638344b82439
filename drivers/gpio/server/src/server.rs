//! The server's loop: requests of clients, edges and duties that run programs, and the silence after a storm of edges.

use crate::chips::{self, Irq, SoftTimer};
use crate::hands::{self, Allowance, Asker, Hands};
use axiom_bpf_host::system::{self, Frames, Points};
use axiom_bpf_host::{Clock, Host, PointId, Stream};
use axiom_gpio::{Board, Edges, EmergencyStop, FULL_DUTY, Grants, Line, PER_CLIENT, Storm, Watchers};
use axiom_runtime::proto::gpio::{
    self, CHIPS, LINES, Outputs, Refusal, Reply as Answer, Request, SUBSCRIPTIONS,
};
use axiom_runtime::proto::{Error, bpf_host};
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{
    Bit, CNode, Doorbell, Incoming, Place, Probe, Reply, Runtime, Service, Signals, Slots, Timer,
    count_refused, info, ipc, serve, time, warn,
};
use core::cell::RefCell;
use heapless::Vec;

axiom_runtime::entry!(main);

/// More edges than this, of all lines together, in a window are a storm: they would use up the server's time. Where programs take
/// longer, fewer are one; programs that leave no time for [`LEAST_EDGES`] are not attached.
const STORM_EDGES: u32 = 200;
const LEAST_EDGES: u32 = 8;
const STORM_WINDOW_NS: u64 = 10_000_000;
/// Attach points that share one of these bounds.
const EDGE_POINTS: u8 = 0;
const DUTY_POINTS: u8 = 1;
/// How long the lines that made it are left alone.
const SILENCE_NS: u64 = 100_000_000;

/// What a program on an edge gets.
#[repr(C)]
struct Edge {
    timestamp: u64,
    chip: u32,
    line: u32,
    edge: u32,
    level: u32,
}

/// What a program on a channel gets.
#[repr(C)]
struct Duty {
    timestamp: u64,
    chip: u32,
    channel: u32,
    requested: u32,
    current: u32,
}

const RISING: u32 = 1;
const FALLING: u32 = 2;

struct Server {
    rt: Runtime,
    outputs: Outputs<'static>,
    host: &'static mut Host,
    frames: Frames,
    hands: &'static RefCell<Hands>,
    watchers: Watchers<PointId, Doorbell>,
    probe: Option<Probe>,
    /// Slots for notifications of clients.
    free: Vec<CPtr, SUBSCRIPTIONS>,
    irqs: Vec<Irq, { chips::IRQS }>,
    soft: Option<SoftTimer>,
    storm: Storm,
    /// When silenced lines are watched again, ticks; and the timer for it, if the manifest gives one for that.
    calm_at: Option<u64>,
    calm: Option<Timer>,
    /// The bit of the timer that looks at chips without interrupts.
    poll: Option<Bit>,
    /// Lines whose storm was reported, by chip: the console may be slow.
    reported: [u64; CHIPS],
    clock: Clock,
    refill_at: u64,
    /// Edges by chip and line.
    edges: [[u64; LINES as usize]; CHIPS],
}

/// Edges in a window that are not yet a storm: their programs fit into the budget, even if they lie at the end of one window and at
/// the beginning of the next.
fn edges_allowed(host: &Host) -> u32 {
    let room = host.room_for(EDGE_POINTS).map_or(STORM_EDGES, |n| u32::try_from(n / 2).unwrap_or(u32::MAX));
    room.clamp(LEAST_EDGES, STORM_EDGES)
}

impl Server {
    /// The edges of a chip: programs first, clients after them.
    fn chip_changed(&mut self, chip: u8) {
        let seen = self.hands.borrow_mut().board.take_edges(chip);
        let timestamp = self.clock.now();
        let mut lines = seen.rising | seen.falling;
        while lines != 0 {
            let number = lines.trailing_zeros() as u8;
            let (bit, line) = (1 << number, Line { chip, line: number });
            lines &= !bit;
            match (seen.rising & bit != 0, seen.falling & bit != 0) {
                (true, true) => {
                    // Both since the last look: the level that it has now came last.
                    let mut all = Grants::NONE;
                    all.grant_line(line, false);
                    let high = self.hands.borrow_mut().board.level(&all, line) == Ok(true);
                    self.edge(line, !high, timestamp);
                    self.edge(line, high, timestamp);
                }
                (rising, _) => self.edge(line, rising, timestamp),
            }
        }
        self.duties();
    }

    /// A chip that does not answer any more: nobody knows what its outputs do. The next life of this server sets it up anew, with the motors
    /// held.
    fn check_chips(&self) {
        if let Some(chip) = self.hands.borrow().board.lost() {
            let name = self.outputs.gpio_chips.get(chip as usize).unwrap_or("?");
            panic!("{name} does not answer any more: the motors are held when this server is started again");
        }
    }

    fn edge(&mut self, line: Line, rising: bool, timestamp: u64) {
        let edge = if rising { RISING } else { FALLING };
        let level = rising.into();
        let mut context = Edge { timestamp, chip: line.chip.into(), line: line.line.into(), edge, level };
        for point in self.watchers.at_edge(line, rising) {
            self.host.run(point, &mut context);
        }
        if let Some(count) = self.edges.get_mut(line.chip as usize) {
            count[line.line as usize] += 1;
        }
        for notification in self.watchers.told(line, rising) {
            notification.ring();
        }
        self.frames.ring(self.host.take_produced());
        if self.storm.edge(line, timestamp) {
            self.silence(timestamp);
        }
    }

    /// Too many edges: those who made them are left alone for a while.
    #[cold]
    fn silence(&mut self, now: u64) {
        let hands = self.hands;
        let board = &mut hands.borrow_mut().board;
        for line in self.storm.loud(now) {
            self.watchers.silence(board, line);
            let Some(reported) = self.reported.get_mut(line.chip as usize) else { continue };
            let before = core::mem::replace(reported, *reported | 1 << line.line);
            if before >> line.line & 1 != 0 {
                continue;
            }
            let chip = self.outputs.gpio_chips.get(line.chip as usize).unwrap_or("?");
            warn!(
                "line {} of {chip} has too many edges: it is not watched for {} ms, each time; this is said once",
                line.line,
                SILENCE_NS / 1_000_000
            );
        }
        let until = time::ticks() + time::from_nanoseconds(SILENCE_NS);
        self.calm_at = Some(until);
        if self.calm.is_some_and(|timer| timer.arm(until, 0).is_err()) {
            warn!("the timer that ends the silence could not be armed: the next event ends it");
        }
    }

    /// Duties that were asked for: the programs on their channels decide, then they are applied.
    fn duties(&mut self) {
        loop {
            let Some(update) = self.hands.borrow_mut().board.next_update() else { break };
            let channel = update.channel();
            let point = self.watchers.at_duty(channel);
            let mut allowed = None;
            if let Some(point) = point {
                let current = self.hands.borrow().board.current(channel).unwrap_or(0);
                let mut context = Duty {
                    timestamp: self.clock.now(),
                    chip: channel.chip.into(),
                    channel: channel.channel.into(),
                    requested: update.requested().into(),
                    current: current.into(),
                };
                self.hands.borrow_mut().deciding = true;
                // A C program returns 32 bits.
                allowed = self.host.run_lowest(point, &mut context).map(|r| r as u32);
                self.hands.borrow_mut().deciding = false;
            }
            let allowed = allowed.map_or(FULL_DUTY, |a| u16::try_from(a).unwrap_or(FULL_DUTY));
            self.hands.borrow_mut().board.apply(update, allowed);
        }
        if self.soft.as_ref().is_some_and(|s| s.next.is_none()) {
            self.switch(time::ticks());
        }
    }

    /// An edge of the channel that is made in software, due at `now`.
    fn switch(&mut self, now: u64) {
        let Some(soft) = &mut self.soft else { return };
        soft.next = self.hands.borrow_mut().board.soft_edge(soft.chip).map(|wait| now + wait);
        if let Some(next) = soft.next
            && soft.timer.arm(next, 0).is_err()
        {
            warn!("the timer of soft-pwm could not be armed: its line is left as it is");
            soft.next = None;
        }
    }

    /// Keeps the notification that came along.
    fn subscribe(
        &mut self,
        board: &mut Board,
        message: &Incoming<'_>,
        line: Line,
        edges: Edges,
    ) -> Result<(), Refusal> {
        if !message.has_cap || !self.watchers.has_room(message.badge, line) {
            return Err(Refusal::NoCapability);
        }
        if self.probe.is_some_and(|p| !p.is_notification(ipc::received())) {
            count_refused();
            return Err(Refusal::NoCapability);
        }
        let to = self.free.pop().ok_or(Refusal::NoCapability)?;
        if CNode::OWN.move_to(to, ipc::received()).is_err() {
            self.keep_slot(to);
            return Err(Refusal::NoCapability);
        }
        match self.watchers.subscribe(board, message.badge, line, edges, Doorbell(to)) {
            Ok(None) => Ok(()),
            Ok(Some(old)) => {
                self.give_back(old.0);
                Ok(())
            }
            Err(refused) => {
                self.give_back(refused.0);
                Err(Refusal::NoCapability)
            }
        }
    }

    /// Empties a client's slot, whatever became of the notification in it.
    fn give_back(&mut self, slot: CPtr) {
        let _ = CNode::OWN.delete(slot);
        self.keep_slot(slot);
    }

    fn keep_slot(&mut self, slot: CPtr) {
        // It came from there.
        let _ = self.free.push(slot);
    }

    fn answer(&mut self, message: &Incoming<'_>, request: &Request) -> Result<Answer<'static>, Refusal> {
        let env = self.rt.env();
        let by = env.grant::<Grants>(message.badge, gpio::INTERFACE).unwrap_or(Grants::NONE);
        let hands = &mut *self.hands.borrow_mut();
        let board = &mut hands.board;
        match *request {
            Request::Chip { chip } => {
                let (Some(name), Some(lines)) =
                    (self.outputs.gpio_chips.get(chip as usize), board.lines(chip))
                else {
                    return Ok(Answer::End);
                };
                return Ok(Answer::Chip { name, lines, software: false });
            }
            Request::PwmChip { chip } => {
                let (Some(name), Some((lines, software))) =
                    (self.outputs.pwm_chips.get(chip as usize), board.channels(chip))
                else {
                    return Ok(Answer::End);
                };
                return Ok(Answer::Chip { name, lines, software });
            }
            Request::Get(line) => {
                let (level, output) = (board.level(&by, line)?, board.is_output(&by, line)?);
                let edges = self.edges.get(line.chip as usize).and_then(|c| c.get(line.line as usize));
                return Ok(Answer::Line { output, level, edges: edges.copied().unwrap_or(0) });
            }
            Request::Set { line, level } => board.set(&by, line, level)?,
            Request::Input(line) => board.release(&by, line)?,
            Request::Subscribe { line, edges } => {
                board.level(&by, line)?;
                self.subscribe(board, message, line, edges)?;
            }
            Request::Unsubscribe(line) => {
                if let Some(old) = self.watchers.unsubscribe(board, message.badge, line) {
                    self.give_back(old.0);
                }
            }
            Request::GetDuty(channel) => return Ok(Answer::Channel { duty: board.duty(&by, channel)? }),
            Request::SetDuty { channel, duty } => {
                hands.request_duty(Asker::Client(message.badge), &by, channel, duty)?
            }
            Request::Stop => board.emergency_stop(&by)?,
            // The life in which outputs are parked lets nobody drive them.
            Request::Rearm if env.last_life => return Err(Refusal::Stopped),
            Request::Rearm => {
                board.rearm(&by)?;
                info!("{} has rearmed the motors", self.rt.client(message.badge));
            }
            Request::Motors => {
                let (stop, motors, refused) = board.motors();
                return Ok(Answer::Motors {
                    stopped: stop == EmergencyStop::Held,
                    motors: motors as u8,
                    refused,
                });
            }
        }
        Ok(Answer::Done)
    }
}

/// The attach points, with the board that they are on.
struct Attached<'a> {
    watchers: &'a mut Watchers<PointId, Doorbell>,
    board: &'a mut Board,
}

impl Points for Attached<'_> {
    fn stream(&self, name: &str) -> Stream {
        if name.starts_with("pwm/") {
            return Stream::Shared {
                group: DUTY_POINTS,
                points: 1,
                most: hands::DUTIES,
                window: hands::WINDOW_NS,
            };
        }
        // An edge concerns the line's point of its direction and that of both.
        Stream::Shared { group: EDGE_POINTS, points: 2, most: LEAST_EDGES, window: STORM_WINDOW_NS }
    }
    fn open_point(&mut self, name: &str) -> bool {
        self.watchers.open(self.board, name)
    }
    fn point_changed(&mut self, name: &str, point: PointId, programs: usize) {
        self.watchers.changed(self.board, name, point, programs);
    }
    fn close_point(&mut self, name: &str) {
        self.watchers.close(self.board, name);
    }
    fn was_reset(&mut self, stops: bool) {
        // Nobody stops the motors from here on until programs are placed again.
        if stops {
            self.board.hold();
            warn!(
                "the programs are gone, among them one that stops the motors: they are held until somebody rearms them"
            );
        }
    }
}

impl Service for Server {
    fn request(&mut self, message: &Incoming<'_>) -> Reply {
        match message.interface {
            bpf_host::INTERFACE if !self.rt.env().last_life => {
                let hands = self.hands;
                let board = &mut hands.borrow_mut().board;
                let mut points = Attached { watchers: &mut self.watchers, board };
                let reply = self.frames.serve(self.host, &mut points, message);
                self.storm.set_most(edges_allowed(self.host));
                reply
            }
            gpio::INTERFACE => {
                let request = match message.decode::<Request>() {
                    Ok(request) => request,
                    Err(error) => return Reply::error(error),
                };
                let answer = self.answer(message, &request).unwrap_or_else(Answer::Refused);
                self.duties();
                self.check_chips();
                Reply::ok(&answer)
            }
            _ => Reply::error(Error::NoSuchInterface),
        }
    }

    fn notified(&mut self, signals: Signals) {
        for i in 0..self.irqs.len() {
            if signals.has(self.irqs[i].bit) {
                self.chip_changed(self.irqs[i].chip);
                self.irqs[i].served();
            }
        }
        if self.poll.is_some_and(|bit| signals.has(bit)) {
            for chip in 0..CHIPS as u8 {
                if self.hands.borrow().board.is_polled(chip) {
                    self.chip_changed(chip);
                }
            }
        }
        if self.calm_at.is_some_and(|at| time::ticks() >= at) {
            self.calm_at = None;
            self.watchers.calm(&mut self.hands.borrow_mut().board);
        }
        if let Some(next) = self.soft.as_ref().filter(|s| signals.has(s.bit)).and_then(|s| s.next)
            && time::ticks() >= next
        {
            self.switch(next);
        }
        let now = time::ticks();
        if now >= self.refill_at {
            self.refill_at = now + time::frequency();
            self.host.refill_log();
        }
        self.check_chips();
    }
}

fn log(text: &str) {
    info!("program: {text}");
}

/// Who may ask for duties: clients that have a channel, and the programs, if somebody places any.
fn askers(rt: Runtime) -> impl Iterator<Item = Asker> {
    let clients = rt.env().clients;
    let drives =
        move |badge| rt.env().grant::<Grants>(badge, gpio::INTERFACE).is_some_and(|g| g.may_drive_some());
    let programs = clients.iter().any(|c| c.loader).then_some(Asker::Programs);
    clients.iter().map(|c| c.badge).filter(move |badge| drives(*badge)).map(Asker::Client).chain(programs)
}

fn main(rt: Runtime) -> ! {
    static HOST: Place<Host> = Place::new();
    static HANDS: Place<RefCell<Hands>> = Place::new();
    static SERVER: Place<Server> = Place::new();
    let env = rt.env();
    let outputs: Outputs<'static> = env.part(gpio::INTERFACE).unwrap_or_default();
    let mut slots = Slots::new(env);
    let subscriptions = (env.clients.len() * PER_CLIENT).min(SUBSCRIPTIONS);
    let free = (0..subscriptions).map_while(|_| slots.take()).collect();
    let found = chips::open(rt, outputs, &mut slots);
    let hands: &'static RefCell<Hands> = HANDS.put(|| {
        RefCell::new(Hands {
            board: found.board,
            deciding: false,
            allowance: Allowance::new(time::from_nanoseconds(hands::WINDOW_NS), askers(rt)),
        })
    });
    let clock = Clock::new(time::frequency());
    let host = HOST.put(|| Host::new(clock, log));
    system::hold_to_budget(rt, host, clock);
    host.set_actuators(hands);
    let server = SERVER.put(|| Server {
        rt,
        outputs,
        host,
        frames: Frames::new(rt, slots),
        hands,
        watchers: Watchers::new(outputs.gpio_chips, outputs.pwm_chips),
        probe: rt.probe(),
        free,
        irqs: found.irqs,
        calm: rt.timer("calm").map(|timer| timer.0),
        soft: found.soft,
        poll: found.poll,
        storm: Storm::new(STORM_WINDOW_NS, STORM_EDGES),
        calm_at: None,
        reported: [0; CHIPS],
        clock,
        refill_at: 0,
        edges: [[0; LINES as usize]; CHIPS],
    });
    rt.ready();
    serve(server)
}
