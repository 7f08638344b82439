//! Who looks at which line: programs by attach point, clients by a token (a notification, on the system).
//!
//! A chip watches a line for the union of everybody's edges; who gets which is sorted out here.

use crate::board::Lines;
use crate::{Board, Channel, Edges, Line};
use axiom_proto::bpf_host::PROGRAMS;
use axiom_proto::env::ClientBadge;
use axiom_proto::gpio::{CHIPS, SUBSCRIPTIONS};
use axiom_proto::point::Point;
use heapless::Vec;

/// Subscriptions of one client.
pub const PER_CLIENT: usize = 8;
/// Attach points of a kind that are open: each has a program, or is opened for one.
const OPEN: usize = PROGRAMS as usize;

/// An attach point at a line: line and edges name it.
struct EdgePoint<P> {
    line: Line,
    edges: Edges,
    point: Option<P>,
    programs: usize,
}

/// An attach point at a channel, which names it.
struct DutyPoint<P> {
    channel: Channel,
    point: Option<P>,
}

struct Subscription<N> {
    badge: ClientBadge,
    line: Line,
    edges: Edges,
    token: N,
}

/// All of them. `P` is the host's number of an attach point, `N` what a client is told by.
pub struct Watchers<P, N> {
    gpio_chips: Vec<&'static str, CHIPS>,
    pwm_chips: Vec<&'static str, CHIPS>,
    edges: Vec<EdgePoint<P>, OPEN>,
    duties: Vec<DutyPoint<P>, OPEN>,
    subscriptions: Vec<Subscription<N>, SUBSCRIPTIONS>,
    /// Lines that are not watched for a while.
    silenced: Lines,
}

fn counts(edges: Edges, rising: bool) -> bool {
    if rising { edges.rising() } else { edges.falling() }
}

impl<P: Copy, N: Copy> Watchers<P, N> {
    /// Nobody yet; chips by number, no more of each kind than there can be.
    pub fn new(
        gpio_chips: impl IntoIterator<Item = &'static str>,
        pwm_chips: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let (gpio_chips, pwm_chips) =
            (gpio_chips.into_iter().take(CHIPS).collect(), pwm_chips.into_iter().take(CHIPS).collect());
        let (edges, duties, subscriptions, silenced) = (Vec::new(), Vec::new(), Vec::new(), Lines::default());
        Watchers { gpio_chips, pwm_chips, edges, duties, subscriptions, silenced }
    }

    /// The chip watches a line for everybody who wants its edges. A line that is not there is watched for nobody.
    fn watch(&self, board: &mut Board, line: Line) {
        let points = self.edges.iter().filter(|p| p.line == line && p.programs > 0).map(|p| p.edges);
        let clients = self.subscriptions.iter().filter(|s| s.line == line).map(|s| s.edges);
        let all = points.chain(clients).reduce(|a, b| if a == b { a } else { Edges::Both });
        let all = all.filter(|_| !self.silenced.has(line));
        let _ = board.watch(line, all);
    }

    /// From now on nobody sees edges of the line, whatever is attached meanwhile; until [`Watchers::calm`].
    pub fn silence(&mut self, board: &mut Board, line: Line) {
        if !self.silenced.has(line) {
            self.silenced.add(line);
            self.watch(board, line);
        }
    }

    /// All lines are watched again as they should be.
    pub fn calm(&mut self, board: &mut Board) {
        for line in core::mem::take(&mut self.silenced).iter() {
            self.watch(board, line);
        }
    }

    /// Whether a client may have one more subscription, or another one to this line.
    pub fn has_room(&self, badge: ClientBadge, line: Line) -> bool {
        let own = self.subscriptions.iter().filter(|s| s.badge == badge);
        own.clone().any(|s| s.line == line) || own.count() < PER_CLIENT && !self.subscriptions.is_full()
    }

    /// Adds a client's subscription; returns the token that it takes the place of.
    ///
    /// # Errors
    /// The token, when there is no room ([`Watchers::has_room`]).
    pub fn subscribe(
        &mut self,
        board: &mut Board,
        badge: ClientBadge,
        line: Line,
        edges: Edges,
        token: N,
    ) -> Result<Option<N>, N> {
        if !self.has_room(badge, line) {
            return Err(token);
        }
        let old = self.forget(badge, line);
        self.subscriptions.push(Subscription { badge, line, edges, token }).map_err(|s| s.token)?;
        self.watch(board, line);
        Ok(old)
    }

    /// Ends a client's subscription; returns its token.
    pub fn unsubscribe(&mut self, board: &mut Board, badge: ClientBadge, line: Line) -> Option<N> {
        let old = self.forget(badge, line)?;
        self.watch(board, line);
        Some(old)
    }

    fn forget(&mut self, badge: ClientBadge, line: Line) -> Option<N> {
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
        let Point::Edge { chip, line, edges } = Point::parse(name)? else { return None };
        let chip = self.gpio_chips.iter().position(|c| *c == chip)? as u8;
        Some((Line { chip, line }, edges))
    }

    fn channel_of(&self, name: &str) -> Option<Channel> {
        let Point::Duty { chip, channel } = Point::parse(name)? else { return None };
        let chip = self.pwm_chips.iter().position(|c| *c == chip)? as u8;
        Some(Channel { chip, channel })
    }

    /// Makes an attach point of this name, if there is such a line or channel, and room.
    pub fn open(&mut self, board: &Board, name: &str) -> bool {
        if let Some((line, edges)) = self.edge_of(name) {
            let there = board.lines(line.chip).is_some_and(|n| line.line < n);
            return there && self.edges.push(EdgePoint { line, edges, point: None, programs: 0 }).is_ok();
        }
        let Some(channel) = self.channel_of(name) else { return false };
        let there = board.channels(channel.chip).is_some_and(|(n, _)| channel.channel < n);
        there && self.duties.push(DutyPoint { channel, point: None }).is_ok()
    }

    fn edge_point(&self, name: &str) -> Option<usize> {
        let key = self.edge_of(name)?;
        self.edges.iter().position(|p| (p.line, p.edges) == key)
    }

    fn duty_point(&self, name: &str) -> Option<usize> {
        let channel = self.channel_of(name)?;
        self.duties.iter().position(|p| p.channel == channel)
    }

    /// A point without programs is forgotten.
    pub fn close(&mut self, board: &mut Board, name: &str) {
        if let Some(at) = self.duty_point(name) {
            self.duties.swap_remove(at);
        }
        if let Some(at) = self.edge_point(name) {
            let line = self.edges.swap_remove(at).line;
            self.watch(board, line);
        }
    }

    /// Attach points that are open: what is left behind.
    #[cfg(test)]
    pub(crate) fn open_points(&self) -> usize {
        self.edges.len() + self.duties.len()
    }

    /// So many programs are attached to a point now.
    pub fn changed(&mut self, board: &mut Board, name: &str, point: P, programs: usize) {
        if let Some(at) = self.duty_point(name) {
            self.duties[at].point = Some(point);
        }
        let Some(at) = self.edge_point(name) else { return };
        let p = &mut self.edges[at];
        let (line, before) = (p.line, p.programs);
        (p.point, p.programs) = (Some(point), programs);
        // One more program changes nothing in the chip: setting it again could lose an edge.
        if (before == 0) != (programs == 0) {
            self.watch(board, line);
        }
    }
}
