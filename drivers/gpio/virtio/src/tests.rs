//! The driver against a model of the device, with and without interrupts.

use super::*;
use axiom_virtio::Parts;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

#[derive(Default)]
struct Model {
    offers_irq: bool,
    lines: u16,
    status: u8,
    queues: BTreeMap<u16, (u16, Parts)>,
    /// How many of each queue's chains it has taken.
    taken: [u16; 2],
    direction: BTreeMap<u16, u32>,
    driven: BTreeMap<u16, bool>,
    outside: BTreeMap<u16, bool>,
    irq_type: BTreeMap<u16, u32>,
    latched: Vec<u16>,
    /// Buffers that the driver gave for events: line, head, where the status goes.
    buffers: Vec<(u16, u16, u64)>,
    /// Requests, in their order.
    asked: Vec<(u16, u16, u32)>,
    stuck: bool,
    refuses: bool,
}

#[derive(Clone)]
struct Device(Rc<RefCell<Model>>);

/// Reads and writes the driver's memory, where addresses are the test's own.
fn read<T>(at: u64) -> T {
    // SAFETY: an address inside the test's memory, by the driver under test; numbers only.
    unsafe { (at as *const T).read_volatile() }
}
fn write<T>(at: u64, value: T) {
    // SAFETY: as for reads.
    unsafe { (at as *mut T).write_volatile(value) }
}

impl Model {
    fn level(&self, line: u16) -> bool {
        let map = if self.direction.get(&line) == Some(&OUT) { &self.driven } else { &self.outside };
        map.get(&line).copied().unwrap_or(false)
    }

    /// The next chain that was offered: its head and its two pieces.
    fn next(&mut self, queue: u16) -> Option<(u16, u64, u64)> {
        let (entries, parts) = self.queues[&queue];
        let taken = &mut self.taken[usize::from(queue)];
        if read::<u16>(parts.available + 2) == *taken {
            return None;
        }
        let head: u16 = read(parts.available + 4 + u64::from(*taken % entries) * 2);
        *taken = taken.wrapping_add(1);
        let descriptor = |index: u16| parts.descriptors + u64::from(index) * 16;
        assert_eq!(read::<u16>(descriptor(head) + 12), DESC_NEXT);
        let second = descriptor(read(descriptor(head) + 14));
        assert_eq!(read::<u16>(second + 12), DESC_WRITE);
        Some((head, read(descriptor(head)), read(second)))
    }

    fn give_back(&mut self, queue: u16, head: u16) {
        let (entries, parts) = self.queues[&queue];
        let done: u16 = read(parts.used + 2);
        write(parts.used + 4 + u64::from(done % entries) * 8, u32::from(head));
        write(parts.used + 2, done.wrapping_add(1));
    }

    fn requests(&mut self) {
        if self.stuck {
            return;
        }
        while let Some((head, request, response)) = self.next(REQUESTS) {
            let (what, line, value) =
                (read::<u16>(request), read::<u16>(request + 2), read::<u32>(request + 4));
            self.asked.push((what, line, value));
            let answer = match what {
                ask::GET_DIRECTION => self.direction.get(&line).copied().unwrap_or(0) as u8,
                ask::GET_VALUE => self.level(line).into(),
                ask::SET_VALUE => {
                    self.driven.insert(line, value != 0);
                    0
                }
                ask::SET_DIRECTION => {
                    self.direction.insert(line, value);
                    0
                }
                ask::IRQ_TYPE => {
                    self.irq_type.insert(line, value);
                    self.latched.retain(|latched| *latched != line);
                    0
                }
                other => panic!("{other}"),
            };
            write(response, u8::from(self.refuses));
            write(response + 1, answer);
            self.give_back(REQUESTS, head);
        }
        self.tell();
    }

    fn events(&mut self) {
        while let Some((head, line, status)) = self.next(EVENTS) {
            let line = read::<u16>(line);
            assert!(self.buffers.iter().all(|b| b.0 != line), "two buffers of one line");
            self.buffers.push((line, head, status));
        }
        self.tell();
    }

    fn tell(&mut self) {
        let all = core::mem::take(&mut self.buffers);
        for (line, head, status) in all {
            let edge = self.latched.iter().position(|latched| *latched == line);
            let watched = self.irq_type.get(&line).copied().unwrap_or(0) != 0;
            match edge {
                None if watched => self.buffers.push((line, head, status)),
                _ => {
                    edge.map(|i| self.latched.remove(i));
                    write(status, u8::from(edge.is_some()));
                    self.give_back(EVENTS, head);
                }
            }
        }
    }

    /// The world outside.
    fn set(&mut self, line: u16, level: bool) {
        let before = self.level(line);
        self.outside.insert(line, level);
        let kind = match (before, self.level(line)) {
            (false, true) => 1,
            (true, false) => 2,
            _ => 0,
        };
        if self.irq_type.get(&line).copied().unwrap_or(0) & kind != 0 && !self.latched.contains(&line) {
            self.latched.push(line);
        }
        if self.offers_irq {
            self.tell();
        }
    }
}

impl Transport for Device {
    fn device_id(&self) -> Option<u32> {
        Some(DEVICE_ID)
    }
    fn status(&self) -> u8 {
        self.0.borrow().status
    }
    fn set_status(&mut self, status: u8) {
        self.0.borrow_mut().status = status;
    }
    fn features(&mut self, word: u32) -> u32 {
        if word == 1 { 1 } else { self.0.borrow().offers_irq.into() }
    }
    fn set_features(&mut self, _: u32, _: u32) {}
    fn most(&mut self, queue: u16) -> u16 {
        if queue <= EVENTS { 256 } else { 0 }
    }
    fn set_queue(&mut self, queue: u16, entries: u16, parts: Parts) -> bool {
        self.0.borrow_mut().queues.insert(queue, (entries, parts));
        true
    }
    fn notify(&mut self, queue: u16) {
        let mut m = self.0.borrow_mut();
        if queue == REQUESTS { m.requests() } else { m.events() }
    }
    fn acknowledge(&mut self) {}
    fn config(&self, offset: u16) -> u8 {
        self.0.borrow().lines.to_le_bytes().get(usize::from(offset)).copied().unwrap_or(0)
    }
}

/// Looks this often.
struct Patience(Cell<u32>);

impl Wait for Patience {
    fn begin(&mut self) {
        self.0.set(3);
    }
    fn wait(&mut self) -> bool {
        self.0.set(self.0.get() - 1);
        self.0.get() > 0
    }
    fn handled(&mut self) {}
}

type Gpio = VirtioGpio<Device, Patience>;

fn gpio_with(model: Model) -> (Result<Gpio, Unusable>, Device) {
    let memory = vec![0u64; 2 * DMA_BYTES / 8].leak();
    let virt = (memory.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8;
    let device = Device(Rc::new(RefCell::new(model)));
    // SAFETY: leaked memory of this test; the model takes addresses as they are.
    let dma = unsafe { Dma::new(virt, virt as u64, DMA_BYTES) };
    (VirtioGpio::new(device.clone(), dma, Patience(Cell::new(0))), device)
}

fn gpio(offers_irq: bool) -> (Gpio, Device) {
    let (gpio, device) = gpio_with(Model { offers_irq, lines: 8, ..Model::default() });
    (gpio.unwrap(), device)
}

const NOTHING: Seen = Seen { rising: 0, falling: 0 };

#[test]
fn an_output_has_its_level_before_it_is_one() {
    let (mut gpio, device) = gpio(true);
    assert_eq!((gpio.lines(), gpio.is_polled(), gpio.is_lost()), (8, false, false));
    device.0.borrow_mut().asked.clear();
    gpio.drive(6, true);
    gpio.drive(6, false);
    let asked = device.0.borrow().asked.clone();
    assert_eq!(asked, [(ask::SET_VALUE, 6, 1), (ask::SET_DIRECTION, 6, OUT), (ask::SET_VALUE, 6, 0)]);
    assert!(gpio.is_output(6) && !gpio.level(6) && !gpio.is_output(5));
    gpio.release(6);
    assert!(!gpio.is_output(6));
    assert_eq!(device.0.borrow().direction[&6], IN);
}

#[test]
fn lines_are_found_as_they_are_and_no_more_than_there_is_room_for() {
    for (wired, lines) in [(0, 0), (1, 1), (32, 32), (500, 32)] {
        let model =
            Model { offers_irq: true, lines: wired, direction: [(0, OUT)].into(), ..Model::default() };
        let gpio = gpio_with(model).0.unwrap();
        assert_eq!((gpio.lines(), gpio.is_output(0)), (lines, lines > 0));
    }
}

/// Every order of three settings and three levels, on two lines, with interrupts: what is seen is what the rules of edges say.
#[test]
fn edges_are_seen_as_they_are_watched_for_with_interrupts_and_without() {
    const WATCH: [Option<Edges>; 4] = [None, Some(Edges::Rising), Some(Edges::Falling), Some(Edges::Both)];
    for offers_irq in [true, false] {
        for world in 0..4u32.pow(3) * 2u32.pow(6) {
            let (mut gpio, device) = gpio(offers_irq);
            assert_eq!(gpio.is_polled(), !offers_irq);
            let mut seed = world;
            let mut digit = |base: u32| {
                let digit = seed % base;
                seed /= base;
                digit
            };
            let mut levels = [false; 2];
            for step in 0..3 {
                // A setting of line 3; line 5 is always watched for both.
                let edges = WATCH[digit(4) as usize];
                gpio.watch(3, edges);
                if step == 0 {
                    gpio.watch(5, Some(Edges::Both));
                }
                let now = [digit(2) == 1, digit(2) == 1];
                let mut wanted = NOTHING;
                for (i, line) in [(0, 3u16), (1, 5)] {
                    device.0.borrow_mut().set(line, now[i]);
                    let edges = if line == 3 { edges } else { Some(Edges::Both) };
                    let (rises, falls) = (!levels[i] && now[i], levels[i] && !now[i]);
                    wanted.rising |= u64::from(rises && edges.is_some_and(Edges::rising)) << line;
                    wanted.falling |= u64::from(falls && edges.is_some_and(Edges::falling)) << line;
                }
                levels = now;
                assert_eq!(gpio.take_edges(), wanted, "world {world}, step {step}, interrupts {offers_irq}");
                assert_eq!(gpio.take_edges(), NOTHING);
            }
            assert!(!gpio.is_lost());
        }
    }
}

#[test]
fn an_edge_while_the_one_before_is_served_comes_again() {
    let (mut gpio, device) = gpio(true);
    gpio.watch(4, Some(Edges::Rising));
    for _ in 0..200 {
        let mut m = device.0.borrow_mut();
        m.set(4, true);
        m.set(4, false);
        // The device has no buffer: the edge waits.
        m.set(4, true);
        m.set(4, false);
        drop(m);
        let edge = Seen { rising: 1 << 4, falling: 0 };
        assert_eq!((gpio.take_edges(), gpio.take_edges(), gpio.take_edges()), (edge, edge, NOTHING));
    }
}

#[test]
fn without_interrupts_what_is_over_before_the_look_was_not_seen() {
    let (mut gpio, device) = gpio(false);
    device.0.borrow_mut().set(4, true);
    gpio.watch(4, Some(Edges::Both));
    assert_eq!(gpio.take_edges(), NOTHING, "it was high when watching began");
    device.0.borrow_mut().set(4, false);
    device.0.borrow_mut().set(4, true);
    assert_eq!(gpio.take_edges(), NOTHING);
    device.0.borrow_mut().asked.clear();
    gpio.watch(4, None);
    assert_eq!(gpio.take_edges(), NOTHING);
    assert!(device.0.borrow().asked.is_empty(), "nobody watches: nothing is asked");
}

#[test]
fn a_device_that_does_not_answer_or_refuses_is_lost_and_asked_no_more() {
    let spoils: [fn(&mut Model); 2] = [|m| m.stuck = true, |m| m.refuses = true];
    for spoil in spoils {
        let (mut gpio, device) = gpio(true);
        gpio.drive(6, true);
        spoil(&mut device.0.borrow_mut());
        gpio.drive(6, false);
        assert!(gpio.is_lost());
        assert_eq!(device.0.borrow().status, 0, "reset: it writes nowhere any more");
        let asked = device.0.borrow().asked.len();
        assert!(!gpio.level(5));
        gpio.watch(5, Some(Edges::Both));
        assert_eq!(gpio.take_edges(), NOTHING);
        assert_eq!(device.0.borrow().asked.len(), asked);
        // At the start it is no device.
        let mut model = Model { offers_irq: true, lines: 8, ..Model::default() };
        spoil(&mut model);
        assert!(gpio_with(model).0.is_err());
    }
}

#[test]
fn a_buffer_that_the_device_did_not_have_is_not_believed() {
    // Line 4's is 8: it comes back without an edge, and is given again. The others are of lines that nobody watches, or of none.
    for head in [8, 0, 1, 2, 7, 9, 16, 4000] {
        let (mut gpio, device) = gpio(true);
        gpio.watch(4, Some(Edges::Both));
        device.0.borrow_mut().buffers.clear();
        device.0.borrow_mut().give_back(EVENTS, head);
        assert_eq!(gpio.take_edges(), NOTHING, "{head}");
        assert_eq!(gpio.is_lost(), head != 8, "{head}");
    }
}
