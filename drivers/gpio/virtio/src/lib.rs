//! virtio-gpio (virtio 1.2, section 5.18): up to 32 lines, interrupts on edges, over whatever [`Transport`] reaches the device.
//!
//! A request is answered by the device, which may be a process of the host: it is waited for, spinning, as long as [`Wait`] says. A device
//! that does not answer in time, or refuses, is lost: nobody knows then what its outputs do. It is reset, so that it writes to no memory any
//! more, nothing is asked of it again, and [`Chip::is_lost`] says so to whoever owns motors.
//!
//! An edge comes as a buffer of the event queue that the device gives back. The buffer is queued again before the level is looked at, so that
//! an edge in between comes again; a line that is watched for both edges has the direction that its level after the edge tells, as with chips
//! that have one bit for both.
//!
//! A device may have no interrupts (QEMU 7.2 leaves the feature out, whatever the back end offers). Then [`Chip::is_polled`] says so, and an edge
//! is a level that differs from the one at the last look; a pulse between two looks is not seen.
//!
//! DMA memory: requests' queue at 0, request at 512, events' queue at 1024, events at 3072.
#![no_std]
#[cfg(test)]
extern crate std;

use axiom_bus::Wait;
use axiom_gpio::{Chip, Edges, Seen};
use axiom_virtio::{DESC_NEXT, DESC_WRITE, Dma, Layout, Queue, Transport, Unusable, fail, negotiate, start};
use core::cell::RefCell;

/// virtio device type of a GPIO controller.
pub const DEVICE_ID: u32 = 41;
/// Lines at most; others of the device are not used.
pub const MOST_LINES: u8 = 32;
/// Bytes of DMA memory that the driver uses.
pub const DMA_BYTES: usize = 4096;

/// VIRTIO_GPIO_F_IRQ.
const IRQ: u32 = 1;
const REQUESTS: u16 = 0;
const EVENTS: u16 = 1;
const REQUEST_LAYOUT: Layout = Layout { descriptors: 0, available: 128, used: 192, most: 4 };
const EVENT_LAYOUT: Layout = Layout { descriptors: 1024, available: 2048, used: 2304, most: 64 };
const REQUEST: usize = 512;
const RESPONSE: usize = 528;
/// An event: the line's number, and the status after it.
const EVENT: usize = 3072;
const EVENT_BYTES: usize = 4;

/// What is asked.
mod ask {
    pub const GET_DIRECTION: u16 = 2;
    pub const SET_DIRECTION: u16 = 3;
    pub const GET_VALUE: u16 = 4;
    pub const SET_VALUE: u16 = 5;
    pub const IRQ_TYPE: u16 = 6;
}

const OUT: u32 = 1;
const IN: u32 = 2;
const STATUS_OK: u8 = 0;
/// The status of an event that is one.
const VALID: u8 = 1;

fn irq_type(edges: Option<Edges>) -> u32 {
    match edges {
        None => 0,
        Some(Edges::Rising) => 1,
        Some(Edges::Falling) => 2,
        Some(Edges::Both) => 3,
    }
}

/// The controller.
pub struct VirtioGpio<T, W>(RefCell<Device<T, W>>);

struct Device<T, W> {
    transport: T,
    wait: W,
    dma: Dma,
    requests: Queue,
    events: Queue,
    lines: u8,
    outputs: u32,
    lost: bool,
    /// Without interrupts: the levels at the last look.
    polled: Option<u32>,
    /// Lines whose event the device has.
    queued: u32,
    /// Lines that had an edge.
    pending: u32,
    watched: [Option<Edges>; MOST_LINES as usize],
}

impl<T: Transport, W: Wait> VirtioGpio<T, W> {
    /// Sets the device up, with [`DMA_BYTES`] of memory: no interrupts, lines as they are.
    pub fn new(mut transport: T, dma: Dma, wait: W) -> Result<VirtioGpio<T, W>, Unusable> {
        let taken = negotiate(&mut transport, DEVICE_ID, IRQ)?;
        let (mut requests, mut events) =
            (Queue::new(REQUESTS, dma, REQUEST_LAYOUT), Queue::new(EVENTS, dma, EVENT_LAYOUT));
        let interrupts = taken & IRQ != 0;
        let mut set = requests.set_up(&mut transport, 2);
        if interrupts {
            set = set.and_then(|()| events.set_up(&mut transport, 2));
        }
        if set.is_err() {
            return Err(fail(&mut transport));
        }
        // Answers are looked for; only events interrupt.
        requests.keep_quiet();
        let wired = u16::from_le_bytes([transport.config(0), transport.config(1)]);
        let room = if interrupts { events.entries() / 2 } else { u16::MAX };
        let lines = wired.min(room).min(MOST_LINES.into()) as u8;
        start(&mut transport);
        let watched = [None; MOST_LINES as usize];
        let mut device = Device {
            transport,
            wait,
            dma,
            requests,
            events,
            lines,
            outputs: 0,
            lost: false,
            polled: if interrupts { None } else { Some(0) },
            queued: 0,
            pending: 0,
            watched,
        };
        for line in 0..lines {
            let driven = device.ask(ask::GET_DIRECTION, line, 0) == OUT as u8;
            device.outputs |= u32::from(driven) << line;
        }
        if device.lost { Err(Unusable) } else { Ok(VirtioGpio(RefCell::new(device))) }
    }
}

impl<T: Transport, W: Wait> Device<T, W> {
    /// Asks for something; the value of the answer, 0 from a device that is lost.
    fn ask(&mut self, what: u16, line: u8, value: u32) -> u8 {
        if self.lost {
            return 0;
        }
        self.dma.put(REQUEST, what);
        self.dma.put(REQUEST + 2, u16::from(line));
        self.dma.put(REQUEST + 4, value);
        self.dma.put(RESPONSE, 0xffu8);
        self.dma.put(RESPONSE + 1, 0u8);
        self.requests.describe(0, REQUEST, 8, DESC_NEXT);
        self.requests.describe(1, RESPONSE, 2, DESC_WRITE);
        self.requests.offer(0);
        self.requests.publish();
        self.wait.begin();
        self.transport.notify(REQUESTS);
        while !self.requests.is_done() {
            // What was done is done, even if it was late.
            if !self.wait.wait() && !self.requests.is_done() {
                return self.lose();
            }
        }
        match self.dma.get::<u8>(RESPONSE) {
            STATUS_OK => self.dma.get(RESPONSE + 1),
            _ => self.lose(),
        }
    }

    fn lose(&mut self) -> u8 {
        self.lost = true;
        self.transport.set_status(0);
        0
    }

    /// Takes back what the device has given back.
    fn pump(&mut self) {
        while let Some(head) = self.events.take() {
            let line = head / 2;
            let had_it = line < u32::from(self.lines) && head % 2 == 0 && self.queued >> line & 1 != 0;
            if !had_it {
                // Nobody knows any more which buffers the device has.
                self.lose();
                return;
            }
            self.queued &= !(1 << line);
            if self.dma.get::<u8>(EVENT + line as usize * EVENT_BYTES + 2) == VALID {
                self.pending |= 1 << line;
            }
        }
    }

    /// Gives the device the events of watched lines that it does not have.
    fn queue_events(&mut self) {
        let mut some = false;
        for line in 0..self.lines {
            if self.watched[usize::from(line)].is_none() || self.queued >> line & 1 != 0 || self.lost {
                continue;
            }
            let (at, head) = (EVENT + usize::from(line) * EVENT_BYTES, u16::from(line) * 2);
            self.dma.put(at, u16::from(line));
            self.dma.put(at + 2, 0u8);
            self.events.describe(head, at, 2, DESC_NEXT);
            self.events.describe(head + 1, at + 2, 1, DESC_WRITE);
            self.events.offer(head);
            self.queued |= 1 << line;
            some = true;
        }
        if some {
            self.events.publish();
            self.transport.notify(EVENTS);
        }
    }

    /// What is there now, of the lines that are watched, and what was there before.
    fn look(&mut self, before: u32) -> Seen {
        let (mut seen, mut levels) = (Seen::default(), before);
        for line in 0..self.lines {
            let Some(edges) = self.watched[usize::from(line)] else { continue };
            let (bit, level) = (1u32 << line, self.level(line));
            if self.lost || level == (before & bit != 0) {
                continue;
            }
            levels ^= bit;
            if level && edges.rising() {
                seen.rising |= u64::from(bit);
            } else if !level && edges.falling() {
                seen.falling |= u64::from(bit);
            }
        }
        self.polled = Some(levels);
        seen
    }

    fn level(&mut self, line: u8) -> bool {
        self.ask(ask::GET_VALUE, line, 0) != 0
    }
}

impl<T: Transport, W: Wait> Chip for VirtioGpio<T, W> {
    fn lines(&self) -> u8 {
        self.0.borrow().lines
    }

    fn is_output(&self, line: u8) -> bool {
        self.0.borrow().outputs >> line & 1 != 0
    }

    fn level(&self, line: u8) -> bool {
        self.0.borrow_mut().level(line)
    }

    fn drive(&mut self, line: u8, level: bool) {
        let device = self.0.get_mut();
        // The level first: a line that becomes an output has it at once.
        device.ask(ask::SET_VALUE, line, level.into());
        if device.outputs >> line & 1 == 0 {
            device.outputs |= 1 << line;
            device.ask(ask::SET_DIRECTION, line, OUT);
        }
    }

    fn release(&mut self, line: u8) {
        let device = self.0.get_mut();
        device.outputs &= !(1 << line);
        device.ask(ask::SET_DIRECTION, line, IN);
    }

    fn watch(&mut self, line: u8, edges: Option<Edges>) {
        let device = self.0.get_mut();
        device.watched[usize::from(line)] = edges;
        if let Some(levels) = device.polled {
            let level = edges.is_some() && device.level(line);
            device.polled = Some(levels & !(1 << line) | u32::from(level) << line);
            return;
        }
        device.ask(ask::IRQ_TYPE, line, irq_type(edges));
        device.pump();
        if edges.is_none() {
            device.pending &= !(1 << line);
        }
        device.queue_events();
    }

    fn take_edges(&mut self) -> Seen {
        let device = self.0.get_mut();
        if let Some(before) = device.polled {
            return device.look(before);
        }
        device.transport.acknowledge();
        device.pump();
        device.queue_events();
        let mut seen = Seen::default();
        let mut pending = core::mem::take(&mut device.pending);
        while pending != 0 {
            let line = pending.trailing_zeros() as u8;
            pending &= pending - 1;
            let rising = match device.watched[usize::from(line)] {
                Some(Edges::Rising) => true,
                Some(Edges::Falling) => false,
                Some(Edges::Both) => device.level(line),
                None => continue,
            };
            *if rising { &mut seen.rising } else { &mut seen.falling } |= 1 << line;
        }
        seen
    }

    fn is_polled(&self) -> bool {
        self.0.borrow().polled.is_some()
    }

    fn is_lost(&self) -> bool {
        self.0.borrow().lost
    }
}

#[cfg(test)]
mod tests;
