//! The host's windows in a server of the system: frames that come with messages are moved out of the receive slot and
//! mapped.

use crate::{Budget, Clock, Host, PointId, Server, Stream};
use axiom_proto::Error;
use axiom_proto::bpf_host::{CODE_PAGES, CODE_WINDOW, MAP_PAGES, MAP_SLOTS, MAP_WINDOW, Request, TRAY_BITS};
use axiom_runtime::ClientBadge;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{
    CNode, Doorbell, Frame, Incoming, Probe, Reply, Runtime, Slots, count_refused, ipc, time,
};
use core::num::NonZeroU16;

const PAGE: usize = 4096;

/// The attach points of a server.
pub trait Points {
    /// Asked for a point that does not exist yet: can the server serve it from now on?
    fn open_point(&mut self, name: &str) -> bool;
    /// How often the events of a point that is opened for programs come at most.
    fn stream(&self, name: &str) -> Stream;
    /// So many programs are attached to a point now.
    fn point_changed(&mut self, name: &str, point: PointId, programs: usize);
    /// A point that was opened has no program any more, and is forgotten.
    fn close_point(&mut self, name: &str);
    /// Nothing of what was placed is left; among it was a program that could stop the motors, if `stops`.
    fn was_reset(&mut self, stops: bool) {
        let _ = stops;
    }
}

/// From now on the time of the host's programs is held against the budget that the manifest gives this server. In the background there
/// is none, and nothing is held against it.
pub fn hold_to_budget(rt: Runtime, host: &mut Host, clock: Clock) {
    if let Some((budget, period)) = rt.env().budget_us {
        host.set_budget(Budget { time: budget * 1000, period: period * 1000 }, pace(clock));
    }
}

/// Passes of the loop below, and how often they are measured: the first time brings the loop into the caches.
const PASSES: u64 = 400;
const MEASURED: u32 = 3;

/// Picoseconds of a machine instruction, on average over a division, a multiplication, loads, stores and a branch ([`time::mixed`]), as measured here
/// and now: the shortest of some measurements, since others may run meanwhile.
fn pace(clock: Clock) -> u64 {
    let mut words = [1u64; 2];
    let mut shortest = u64::MAX;
    for _ in 0..MEASURED {
        let before = time::ticks();
        time::mixed(&mut words, PASSES);
        // A tick more: the first and the last are not whole.
        shortest = shortest.min(time::ticks() - before + 1);
    }
    (clock.nanoseconds(shortest) * 1000).div_ceil(PASSES * time::MIXED).max(1)
}

/// The slot of a capability that is kept, or none.
type Kept = Option<NonZeroU16>;

fn cap(kept: Kept) -> Option<CPtr> {
    kept.map(|slot| CPtr(u64::from(slot.get())))
}

/// The frames in the two windows.
pub struct Frames {
    slots: Slots,
    code: [Kept; CODE_PAGES as usize],
    data: [Kept; MAP_PAGES as usize],
    doorbells: [Kept; MAP_SLOTS as usize],
    /// A frame for the next program's code.
    kept: Kept,
    /// Where frames lie that are handed over.
    tray: Kept,
    /// The badge of whoever may place programs here.
    loader: Option<ClientBadge>,
    probe: Option<Probe>,
}

impl Frames {
    /// Empty windows; capabilities are kept in these slots.
    pub fn new(rt: Runtime, slots: Slots) -> Frames {
        let loader = rt.env().clients.iter().find(|c| c.loader).map(|c| c.badge);
        Frames {
            slots,
            loader,
            probe: rt.probe(),
            code: [None; CODE_PAGES as usize],
            data: [None; MAP_PAGES as usize],
            doorbells: [None; MAP_SLOTS as usize],
            kept: None,
            tray: None,
        }
    }

    /// Keeps the notification that came with the message being served, for the server's own use. What is no notification is not kept.
    pub fn keep_received(&mut self) -> Option<Doorbell> {
        let probe = self.probe;
        cap(self.keep(|cap| probe.is_none_or(|p| p.is_notification(cap)))).map(Doorbell)
    }

    /// Gives a kept capability up.
    pub fn forget(&mut self, kept: Doorbell) {
        self.drop_cap(Some(kept.0));
    }

    /// Tells those who wait for the ring buffers of `produced` ([`Host::take_produced`]): to be called after an event's
    /// programs ran.
    #[inline]
    pub fn ring(&self, produced: u64) {
        let mut left = produced;
        while left != 0 {
            let slot = left.trailing_zeros() as usize;
            left &= left - 1;
            if let Some(doorbell) = self.doorbells.get(slot).copied().and_then(cap) {
                Doorbell(doorbell).ring();
            }
        }
    }

    /// Answers a message of whoever places programs. Others are told that this server has no such interface: code that came from
    /// them would run here.
    pub fn serve(&mut self, host: &mut Host, points: &mut impl Points, message: &Incoming<'_>) -> Reply {
        if self.loader != Some(message.badge) {
            count_refused();
            return Reply::error(Error::NoSuchInterface);
        }
        let request = match message.decode::<Request>() {
            Ok(request) => request,
            Err(error) => return Reply::error(error),
        };
        let mut server = Served { frames: self, points, has_frame: message.has_cap };
        let reply = host.handle(&request, &mut server);
        Reply::ok(&reply)
    }

    /// Keeps the capability that came with the message, if `accept` takes it; else it is deleted with the message.
    fn keep(&mut self, accept: impl FnOnce(CPtr) -> bool) -> Kept {
        if !accept(ipc::received()) {
            return None;
        }
        // A server's slots have numbers below 2^16.
        let kept = ipc::take_received(&mut self.slots)?;
        u16::try_from(kept.0).ok().and_then(NonZeroU16::new)
    }

    fn drop_frame(&mut self, at: Kept) {
        self.drop_cap(cap(at));
    }

    fn drop_cap(&mut self, at: Option<CPtr>) {
        if let Some(at) = at {
            // Deleting a mapped frame's capability unmaps it; a revoked one is gone already, which is no error.
            let _ = CNode::OWN.delete(at);
            self.slots.give(at);
        }
    }
}

struct Served<'a, P> {
    frames: &'a mut Frames,
    points: &'a mut P,
    has_frame: bool,
}

impl<P: Points> Server for Served<'_, P> {
    fn map_code(&mut self, page: u32) -> bool {
        if !core::mem::take(&mut self.has_frame) {
            return false;
        }
        let old = self.frames.code[page as usize].take();
        self.frames.drop_frame(old);
        let address = CODE_WINDOW + page as usize * PAGE;
        let kept = self.frames.keep(|f| Frame(f).map_code(address as u64).is_ok());
        self.frames.code[page as usize] = kept;
        kept.is_some()
    }
    fn map_data(&mut self, page: u32, writable: bool) -> bool {
        if !core::mem::take(&mut self.has_frame) {
            return false;
        }
        let old = self.frames.data[page as usize].take();
        self.frames.drop_frame(old);
        let address = MAP_WINDOW + page as usize * PAGE;
        let kept = self.frames.keep(|f| Frame(f).map_data(address as u64, writable).is_ok());
        self.frames.data[page as usize] = kept;
        kept.is_some()
    }
    fn keep_code(&mut self) -> bool {
        if !core::mem::take(&mut self.has_frame) {
            return false;
        }
        self.drop_kept();
        // What is no frame is found out when it is mapped.
        self.frames.kept = self.frames.keep(|_| true);
        self.frames.kept.is_some()
    }
    fn map_kept(&mut self, page: u32) -> bool {
        let kept = self.frames.kept.take();
        self.drop_code(page);
        let address = CODE_WINDOW + page as usize * PAGE;
        if cap(kept).is_none_or(|frame| Frame(frame).map_code(address as u64).is_err()) {
            self.frames.drop_frame(kept);
            return false;
        }
        self.frames.code[page as usize] = kept;
        true
    }
    fn drop_kept(&mut self) {
        let old = self.frames.kept.take();
        self.frames.drop_frame(old);
    }
    fn keep_tray(&mut self) -> bool {
        if !core::mem::take(&mut self.has_frame) {
            return false;
        }
        self.drop_tray();
        // What is no CNode is found out when frames are taken from it.
        self.frames.tray = self.frames.keep(|_| true);
        self.frames.tray.is_some()
    }
    fn drop_tray(&mut self) {
        let old = self.frames.tray.take();
        self.frames.drop_frame(old);
    }
    fn has_tray(&self) -> bool {
        self.frames.tray.is_some()
    }
    fn map_from_tray(&mut self, slot: u32, page: u32, writable: bool) -> bool {
        let old = self.frames.data[page as usize].take();
        self.frames.drop_frame(old);
        let Some(tray) = cap(self.frames.tray) else { return false };
        let Some(to) = self.frames.slots.take() else { return false };
        if CNode(tray).take_out(slot.into(), TRAY_BITS.into(), to).is_err() {
            self.frames.slots.give(to);
            return false;
        }
        let address = MAP_WINDOW + page as usize * PAGE;
        if Frame(to).map_data(address as u64, writable).is_err() {
            self.frames.drop_cap(Some(to));
            return false;
        }
        // As in `keep`.
        let kept = u16::try_from(to.0).ok().and_then(NonZeroU16::new);
        self.frames.data[page as usize] = kept;
        kept.is_some()
    }
    fn has_code(&self, page: u32) -> bool {
        self.frames.code.get(page as usize).is_some_and(Option::is_some)
    }
    fn has_data(&self, page: u32) -> bool {
        self.frames.data.get(page as usize).is_some_and(Option::is_some)
    }
    fn keep_doorbell(&mut self, slot: u32) -> bool {
        if !core::mem::take(&mut self.has_frame) {
            return false;
        }
        let Some(Doorbell(kept)) = self.frames.keep_received() else { return false };
        self.drop_doorbell(slot);
        match self.frames.doorbells.get_mut(slot as usize).zip(u16::try_from(kept.0).ok()) {
            Some((place, kept)) => *place = NonZeroU16::new(kept),
            None => self.frames.drop_cap(Some(kept)),
        }
        true
    }
    fn drop_doorbell(&mut self, slot: u32) {
        let old = self.frames.doorbells.get_mut(slot as usize).and_then(Option::take);
        self.frames.drop_frame(old);
    }
    fn drop_code(&mut self, page: u32) {
        let old = self.frames.code[page as usize].take();
        self.frames.drop_frame(old);
    }
    fn drop_data(&mut self, page: u32) {
        let old = self.frames.data[page as usize].take();
        self.frames.drop_frame(old);
    }
    fn has_frame(&self) -> bool {
        self.has_frame
    }
    fn open_point(&mut self, name: &str) -> bool {
        self.points.open_point(name)
    }
    fn stream(&self, name: &str) -> Stream {
        self.points.stream(name)
    }
    fn point_changed(&mut self, name: &str, point: PointId, programs: usize) {
        self.points.point_changed(name, point, programs);
    }
    fn close_point(&mut self, name: &str) {
        self.points.close_point(name);
    }
    fn was_reset(&mut self, stops: bool) {
        self.points.was_reset(stops);
    }
}
