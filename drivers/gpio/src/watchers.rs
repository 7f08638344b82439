//! Who looks at which line: programs by attach point, clients by a token (a notification, on the system).
//!
//! A chip watches a line for the union of everybody's edges; who gets which is sorted out here.

use crate::{Board, Channel, Edges, Line};
use alloc::string::String;
use alloc::vec::Vec;
use axiom_proto::gpio::{CHANNELS, LINES};
use axiom_proto::number;

/// Subscriptions of one client.
pub const PER_CLIENT: usize = 8;

struct EdgePoint<P> {
    name: String,
    line: Line,
    edges: Edges,
    point: Option<P>,
    programs: usize,
}

struct DutyPoint<P> {
    name: String,
    channel: Channel,
    point: Option<P>,
}

struct Subscription<N> {
    badge: u64,
    line: Line,
    edges: Edges,
    token: N,
}

/// All of them. `P` is the host's number of an attach point, `N` what a client is told by.
pub struct Watchers<P, N> {
    gpio_chips: Vec<String>,
    pwm_chips: Vec<String>,
    edges: Vec<EdgePoint<P>>,
    duties: Vec<DutyPoint<P>>,
    subscriptions: Vec<Subscription<N>>,
    /// Lines that are not watched for a while.
    silenced: Vec<Line>,
}

fn counts(edges: Edges, rising: bool) -> bool {
    if rising { edges.rising() } else { edges.falling() }
}

impl<P: Copy, N: Copy> Watchers<P, N> {
    /// Nobody yet; chips by number.
    pub fn new(gpio_chips: Vec<String>, pwm_chips: Vec<String>) -> Self {
        let (edges, duties, subscriptions, silenced) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Watchers { gpio_chips, pwm_chips, edges, duties, subscriptions, silenced }
    }

    /// The chip watches a line for everybody who wants its edges. A line that is not there is watched for nobody.
    fn watch(&self, board: &mut Board, line: Line) {
        let points = self.edges.iter().filter(|p| p.line == line && p.programs > 0).map(|p| p.edges);
        let clients = self.subscriptions.iter().filter(|s| s.line == line).map(|s| s.edges);
        let all = points.chain(clients).reduce(|a, b| if a == b { a } else { Edges::Both });
        let all = all.filter(|_| !self.silenced.contains(&line));
        let _ = board.watch(line, all);
    }

    /// From now on nobody sees edges of the line, whatever is attached meanwhile; until [`Watchers::calm`].
    pub fn silence(&mut self, board: &mut Board, line: Line) {
        if !self.silenced.contains(&line) {
            self.silenced.push(line);
            self.watch(board, line);
        }
    }

    /// All lines are watched again as they should be.
    pub fn calm(&mut self, board: &mut Board) {
        for line in core::mem::take(&mut self.silenced) {
            self.watch(board, line);
        }
    }

    /// Whether a client may have one more subscription, or another one to this line.
    pub fn has_room(&self, badge: u64, line: Line) -> bool {
        let own = self.subscriptions.iter().filter(|s| s.badge == badge);
        own.clone().any(|s| s.line == line) || own.count() < PER_CLIENT
    }

    /// Adds a client's subscription; returns the token that it takes the place of.
    pub fn subscribe(
        &mut self,
        board: &mut Board,
        badge: u64,
        line: Line,
        edges: Edges,
        token: N,
    ) -> Option<N> {
        let old = self.forget(badge, line);
        self.subscriptions.push(Subscription { badge, line, edges, token });
        self.watch(board, line);
        old
    }

    /// Ends a client's subscription; returns its token.
    pub fn unsubscribe(&mut self, board: &mut Board, badge: u64, line: Line) -> Option<N> {
        let old = self.forget(badge, line)?;
        self.watch(board, line);
        Some(old)
    }

    fn forget(&mut self, badge: u64, line: Line) -> Option<N> {
        let at = self.subscriptions.iter().position(|s| s.badge == badge && s.line == line)?;
        Some(self.subscriptions.swap_remove(at).token)
    }

    /// Whom to tell of an edge.
    pub fn told(&self, line: Line, rising: bool) -> impl Iterator<Item = N> + '_ {
        self.subscriptions.iter().filter(move |s| s.line == line && counts(s.edges, rising)).map(|s| s.token)
    }

    /// Attach points whose programs run at an edge.
    #[inline]
    pub fn at_edge(&self, line: Line, rising: bool) -> impl Iterator<Item = P> + '_ {
        self.edges.iter().filter(move |p| p.line == line && counts(p.edges, rising)).filter_map(|p| p.point)
    }

    /// The attach point whose programs decide on a channel's duty.
    pub fn at_duty(&self, channel: Channel) -> Option<P> {
        self.duties.iter().find(|p| p.channel == channel)?.point
    }

    fn edge_of(&self, name: &str) -> Option<(Line, Edges)> {
        let mut parts = name.strip_prefix("gpio/")?.split('/');
        let chip = parts.next()?;
        let chip = self.gpio_chips.iter().position(|c| c == chip)? as u8;
        let line = number(parts.next()?).filter(|l| *l < LINES)?;
        let edges = match parts.next()? {
            "rising" => Edges::Rising,
            "falling" => Edges::Falling,
            "both" => Edges::Both,
            _ => return None,
        };
        parts.next().is_none().then_some((Line { chip, line }, edges))
    }

    fn channel_of(&self, name: &str) -> Option<Channel> {
        let (chip, channel) = name.strip_prefix("pwm/")?.split_once('/')?;
        let chip = self.pwm_chips.iter().position(|c| c == chip)? as u8;
        Some(Channel { chip, channel: number(channel).filter(|c| *c < CHANNELS)? })
    }

    /// Makes an attach point of this name, if there is such a line or channel.
    pub fn open(&mut self, board: &Board, name: &str) -> bool {
        if let Some((line, edges)) = self.edge_of(name) {
            let there = board.lines(line.chip).is_some_and(|n| line.line < n);
            if there {
                self.edges.push(EdgePoint { name: name.into(), line, edges, point: None, programs: 0 });
            }
            return there;
        }
        let Some(channel) = self.channel_of(name) else { return false };
        let there = board.channels(channel.chip).is_some_and(|(n, _)| channel.channel < n);
        if there {
            self.duties.push(DutyPoint { name: name.into(), channel, point: None });
        }
        there
    }

    /// A point without programs is forgotten.
    pub fn close(&mut self, board: &mut Board, name: &str) {
        self.duties.retain(|p| p.name != name);
        if let Some(at) = self.edges.iter().position(|p| p.name == name) {
            let line = self.edges.swap_remove(at).line;
            self.watch(board, line);
        }
    }

    /// Attach points that are open: for tests of what is left behind.
    pub fn open_points(&self) -> usize {
        self.edges.len() + self.duties.len()
    }

    /// So many programs are attached to a point now.
    pub fn changed(&mut self, board: &mut Board, name: &str, point: P, programs: usize) {
        if let Some(p) = self.duties.iter_mut().find(|p| p.name == name) {
            p.point = Some(point);
        }
        let Some(p) = self.edges.iter_mut().find(|p| p.name == name) else { return };
        let (line, before) = (p.line, p.programs);
        (p.point, p.programs) = (Some(point), programs);
        // One more program changes nothing in the chip: setting it again could lose an edge.
        if (before == 0) != (programs == 0) {
            self.watch(board, line);
        }
    }
}
