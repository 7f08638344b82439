//! Who looks at which line: programs by attach point, clients by notification.

use alloc::string::String;
use alloc::vec::Vec;
use axiom_bpf_host::PointId;
use axiom_bpf_host::system::Points;
use axiom_gpio::{Board, Channel, Edges, Line};
use axiom_runtime::proto::gpio::{CHANNELS, LINES};
use axiom_runtime::sel4::{CPtr, MessageInfo, stubs};
use axiom_runtime::{CNode, warn};

/// An attach point on edges.
pub struct EdgePoint {
    name: String,
    /// Of this line.
    pub line: Line,
    /// These edges.
    pub edges: Edges,
    /// Where its programs are.
    pub point: Option<PointId>,
    programs: usize,
}

/// An attach point on duties.
pub struct DutyPoint {
    name: String,
    /// Of this channel.
    pub channel: Channel,
    /// Where its programs are.
    pub point: Option<PointId>,
}

/// A client that wants to be signalled.
struct Subscription {
    badge: u64,
    line: Line,
    edges: Edges,
    notification: CPtr,
}

/// All of them.
pub struct Watchers {
    gpio_chips: &'static [String],
    pwm_chips: &'static [String],
    /// Attach points on edges.
    pub edges: Vec<EdgePoint>,
    /// Attach points on duties.
    pub duties: Vec<DutyPoint>,
    subscriptions: Vec<Subscription>,
    free: Vec<CPtr>,
}

impl Watchers {
    /// Nobody yet; notifications of clients are kept in these slots.
    pub fn new(gpio_chips: &'static [String], pwm_chips: &'static [String], free: Vec<CPtr>) -> Watchers {
        Watchers {
            gpio_chips,
            pwm_chips,
            edges: Vec::new(),
            duties: Vec::new(),
            subscriptions: Vec::new(),
            free,
        }
    }

    /// The chip watches a line for everybody who wants its edges.
    fn watch(&self, board: &mut Board, line: Line) {
        let points = self.edges.iter().filter(|p| p.line == line && p.programs > 0).map(|p| p.edges);
        let clients = self.subscriptions.iter().filter(|s| s.line == line).map(|s| s.edges);
        let all = points.chain(clients).reduce(|a, b| if a == b { a } else { Edges::Both });
        if board.watch(line, all).is_err() {
            warn!("line {} of chip {} cannot be watched: it is not there", line.line, line.chip);
        }
    }

    /// Keeps a notification that was received; false if there is no room for it.
    pub fn subscribe(
        &mut self,
        board: &mut Board,
        badge: u64,
        line: Line,
        edges: Edges,
        received: CPtr,
    ) -> bool {
        self.unsubscribe(board, badge, line);
        let Some(slot) = self.free.pop() else { return false };
        if CNode::OWN.move_to(slot, received).is_err() {
            self.free.push(slot);
            return false;
        }
        self.subscriptions.push(Subscription { badge, line, edges, notification: slot });
        self.watch(board, line);
        true
    }

    /// Forgets a client's notification for a line.
    pub fn unsubscribe(&mut self, board: &mut Board, badge: u64, line: Line) {
        if let Some(at) = self.subscriptions.iter().position(|s| s.badge == badge && s.line == line) {
            let old = self.subscriptions.swap_remove(at);
            // Whatever lies there, the slot is empty afterwards.
            let _ = CNode::OWN.delete(old.notification);
            self.free.push(old.notification);
            self.watch(board, line);
        }
    }

    /// Signals the clients that wait for this edge.
    pub fn signal(&self, line: Line, rising: bool) {
        for s in self.subscriptions.iter().filter(|s| s.line == line) {
            if if rising { s.edges.rising() } else { s.edges.falling() } {
                // Never waits: a client may have given something that is no notification.
                stubs::nb_send(s.notification, MessageInfo::new(0, 0, 0, 0), [0; 4]);
            }
        }
    }

    fn parse(&self, name: &str) -> Option<(Line, Edges)> {
        let mut parts = name.strip_prefix("gpio/")?.split('/');
        let chip = parts.next()?;
        let chip = self.gpio_chips.iter().position(|c| c == chip)? as u8;
        let line = parts.next()?.parse().ok().filter(|l| *l < LINES)?;
        let edges = match parts.next()? {
            "rising" => Edges::Rising,
            "falling" => Edges::Falling,
            "both" => Edges::Both,
            _ => return None,
        };
        parts.next().is_none().then_some((Line { chip, line }, edges))
    }

    fn parse_duty(&self, name: &str) -> Option<Channel> {
        let (chip, channel) = name.strip_prefix("pwm/")?.split_once('/')?;
        let chip = self.pwm_chips.iter().position(|c| c == chip)? as u8;
        Some(Channel { chip, channel: channel.parse().ok().filter(|c| *c < CHANNELS)? })
    }
}

/// The attach points, with the board that they are on.
pub struct Attached<'a> {
    /// Who looks.
    pub watchers: &'a mut Watchers,
    /// At what.
    pub board: &'a mut Board,
}

impl Points for Attached<'_> {
    fn open_point(&mut self, name: &str) -> bool {
        if let Some((line, edges)) = self.watchers.parse(name) {
            let there = self.board.lines(line.chip).is_some_and(|n| line.line < n);
            if there {
                self.watchers.edges.push(EdgePoint {
                    name: name.into(),
                    line,
                    edges,
                    point: None,
                    programs: 0,
                });
            }
            return there;
        }
        let Some(channel) = self.watchers.parse_duty(name) else { return false };
        let there = self.board.channels(channel.chip).is_some_and(|(n, _)| channel.channel < n);
        if there {
            self.watchers.duties.push(DutyPoint { name: name.into(), channel, point: None });
        }
        there
    }

    fn point_changed(&mut self, name: &str, point: PointId, programs: usize) {
        if let Some(p) = self.watchers.duties.iter_mut().find(|p| p.name == name) {
            p.point = Some(point);
        }
        let Some(p) = self.watchers.edges.iter_mut().find(|p| p.name == name) else { return };
        let (line, before) = (p.line, p.programs);
        (p.point, p.programs) = (Some(point), programs);
        // One more program changes nothing in the chip: setting it again could lose an edge.
        if (before == 0) != (programs == 0) {
            self.watchers.watch(self.board, line);
        }
    }
}
