//! Both transports and the queue against a model of a device's registers; whatever the way, the device sees the same.

use super::*;
use axiom_pci::Config;
use pci::{Space, Width};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

/// What a device has seen, by whatever transport.
#[derive(Default)]
struct Seen {
    status: Vec<u8>,
    taken: [u32; 2],
    queues: BTreeMap<u16, (u16, Parts)>,
    notified: Vec<u16>,
    acknowledged: u32,
}

#[derive(Default)]
struct Model {
    seen: Seen,
    regs: BTreeMap<u64, u32>,
    offered: [u32; 2],
    entries: u16,
    /// Asked so often before a reset is done.
    slow: u32,
    refuses_features: bool,
    refuses_vector: bool,
    alive: u8,
}

impl Model {
    fn set_status(&mut self, status: u8) {
        self.seen.status.push(status);
        self.alive = if self.refuses_features { status & !status::FEATURES_OK } else { status };
    }
    fn reg(&self, at: u64) -> u32 {
        self.regs.get(&at).copied().unwrap_or(0)
    }
    fn wide(&self, at: u64) -> u64 {
        u64::from(self.reg(at)) | u64::from(self.reg(at + 4)) << 32
    }
    fn status(&mut self) -> u8 {
        if self.alive == 0 && self.slow > 0 {
            self.slow -= 1;
            return status::ACKNOWLEDGE;
        }
        self.alive
    }
}

#[derive(Clone)]
struct Device(Rc<RefCell<Model>>);

impl axiom_mmio::Io for Device {
    fn read(&self, offset: usize) -> u32 {
        use mmio::reg;
        let mut m = self.0.borrow_mut();
        match offset {
            reg::MAGIC => mmio::MAGIC,
            reg::VERSION => 2,
            reg::DEVICE_ID => 34,
            reg::DEVICE_FEATURES => m.offered[m.reg(reg::DEVICE_FEATURES_SEL as u64) as usize],
            reg::QUEUE_NUM_MAX if m.reg(reg::QUEUE_SEL as u64) == 0 => m.entries.into(),
            reg::STATUS => m.status().into(),
            reg::INTERRUPT_STATUS => 1,
            reg::CONFIG => 0x4433_2211,
            _ => 0,
        }
    }
    fn write(&self, offset: usize, value: u32) {
        use mmio::reg;
        let mut m = self.0.borrow_mut();
        m.regs.insert(offset as u64, value);
        let queue = m.reg(reg::QUEUE_SEL as u64) as u16;
        match offset {
            reg::STATUS => m.set_status(value as u8),
            reg::DRIVER_FEATURES => {
                let word = m.reg(reg::DRIVER_FEATURES_SEL as u64) as usize;
                m.seen.taken[word] = value;
            }
            reg::QUEUE_READY => {
                let entries = m.reg(reg::QUEUE_NUM as u64) as u16;
                let parts = Parts {
                    descriptors: m.wide(reg::QUEUE_DESC as u64),
                    available: m.wide(reg::QUEUE_DRIVER as u64),
                    used: m.wide(reg::QUEUE_DEVICE as u64),
                };
                m.seen.queues.insert(queue, (entries, parts));
            }
            reg::QUEUE_NOTIFY => m.seen.notified.push(value as u16),
            reg::INTERRUPT_ACK => m.seen.acknowledged += value,
            _ => {}
        }
    }
}

/// Where the model's registers are: as in QEMU, with another multiplier, so that it counts.
const BAR: u8 = 4;
const COMMON: u64 = 0;
const DEVICE: u64 = 0x2000;
const NOTIFY: u64 = 0x3000;
const MULTIPLIER: u32 = 8;
const NOTIFY_OFF: u32 = 3;

impl Space for Device {
    fn bytes(&self, bar: u8) -> u64 {
        if bar == BAR { 0x4000 } else { 0 }
    }
    fn read(&self, bar: u8, offset: u64, width: Width) -> u32 {
        assert_eq!(bar, BAR);
        let mut m = self.0.borrow_mut();
        match (offset - COMMON, width) {
            (0x04, Width::Word) => m.offered[m.reg(0x00) as usize],
            (0x14, Width::Byte) => m.status().into(),
            (0x18, Width::Half) if m.reg(0x16) == 0 => m.entries.into(),
            (0x18, Width::Half) => 0,
            (0x1a, Width::Half) if m.refuses_vector => 0xffff,
            (0x1a, Width::Half) => m.reg(0x1a),
            (0x1e, Width::Half) => NOTIFY_OFF,
            (DEVICE.., Width::Byte) if offset < DEVICE + 4 => 0x11 * (offset - DEVICE + 1) as u32,
            other => panic!("read of {other:?}"),
        }
    }
    fn write(&mut self, bar: u8, offset: u64, width: Width, value: u32) {
        assert_eq!(bar, BAR);
        let mut m = self.0.borrow_mut();
        let widths: &[(u64, Width)] = &[
            (0x00, Width::Word),
            (0x08, Width::Word),
            (0x0c, Width::Word),
            (0x10, Width::Half),
            (0x14, Width::Byte),
            (0x16, Width::Half),
            (0x18, Width::Half),
            (0x1a, Width::Half),
            (0x1c, Width::Half),
            (0x20, Width::Word),
            (0x24, Width::Word),
            (0x28, Width::Word),
            (0x2c, Width::Word),
            (0x30, Width::Word),
            (0x34, Width::Word),
        ];
        if offset >= NOTIFY {
            assert_eq!((offset, width), (NOTIFY + u64::from(NOTIFY_OFF * MULTIPLIER), Width::Half));
            m.seen.notified.push(value as u16);
            return;
        }
        assert!(widths.contains(&(offset, width)), "{offset:#x} {width:?}");
        m.regs.insert(offset, value);
        match offset {
            0x14 => m.set_status(value as u8),
            0x0c => {
                let word = m.reg(0x08) as usize;
                m.seen.taken[word] = value;
            }
            0x1c => {
                let parts = Parts { descriptors: m.wide(0x20), available: m.wide(0x28), used: m.wide(0x30) };
                let (queue, entries) = (m.reg(0x16) as u16, m.reg(0x18) as u16);
                m.seen.queues.insert(queue, (entries, parts));
            }
            _ => {}
        }
    }
}

/// Configuration space with the capabilities of QEMU's device, and before them some that must not be taken.
#[derive(Clone)]
struct Space256(BTreeMap<u16, u32>);

impl Config for Space256 {
    fn read(&self, offset: u16) -> u32 {
        self.0.get(&offset).copied().unwrap_or(0)
    }
}

fn capability(
    map: &mut BTreeMap<u16, u32>,
    at: u16,
    next: u16,
    kind: u32,
    region: (u8, u64, u32),
    extra: Option<u32>,
) {
    let length = if extra.is_some() { 20 } else { 16 };
    map.insert(at, 0x09 | u32::from(next) << 8 | length << 16 | kind << 24);
    map.insert(at + 4, region.0.into());
    map.insert(at + 8, region.1 as u32);
    map.insert(at + 12, region.2);
    if let Some(extra) = extra {
        map.insert(at + 16, extra);
    }
}

fn config() -> Space256 {
    let mut map = BTreeMap::from([(0x00, 0x1062_1af4), (0x04, 0x0010_0000), (0x34, 0x40)]);
    // In a BAR that is not there; reaching beyond the BAR; too short for the registers; for ports of another machine.
    capability(&mut map, 0x40, 0x50, 1, (0, 0, 0x1000), None);
    capability(&mut map, 0x50, 0x60, 1, (BAR, 0x3fff, 0x38), None);
    capability(&mut map, 0x60, 0x70, 1, (BAR, 0x1000, 0x37), None);
    capability(&mut map, 0x70, 0x80, 5, (BAR, 0, 4), Some(0));
    capability(&mut map, 0x80, 0x90, 1, (BAR, COMMON, 0x1000), None);
    capability(&mut map, 0x90, 0xa0, 1, (BAR, 0x2000, 0x1000), None);
    capability(&mut map, 0xa0, 0xc0, 4, (BAR, DEVICE, 4), None);
    capability(&mut map, 0xc0, 0x00, 2, (BAR, NOTIFY, 0x1000), Some(MULTIPLIER));
    Space256(map)
}

fn device(entries: u16) -> Device {
    Device(Rc::new(RefCell::new(Model { offered: [0x3000_0001, 1], entries, ..Model::default() })))
}

fn pci_device(entries: u16) -> (pci::Pci<Device>, Device) {
    let device = device(entries);
    (pci::Pci::new(&config(), device.clone()).unwrap(), device)
}

/// Memory with room for a queue, and the queue.
fn queue(most: u16) -> (Queue, Dma) {
    queue_of(0, most)
}

/// The same, of that number.
pub(crate) fn queue_of(number: u16, most: u16) -> (Queue, Dma) {
    let memory = vec![0x5555_5555_5555_5555u64; 2 * 4096 / 8].leak();
    let virt = (memory.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8;
    // SAFETY: leaked memory of this test.
    let dma = unsafe { Dma::new(virt, 0x1_2345_6000, 4096) };
    (Queue::new(number, dma, Layout { descriptors: 0, available: 256, used: 512, most }), dma)
}

fn set_up(transport: &mut impl Transport, most: u16, least: u16) -> Result<Queue, Unusable> {
    let (mut queue, _) = queue(most);
    negotiate(transport, 34, 1)?;
    queue.set_up(transport, least)?;
    start(transport);
    transport.notify(0);
    Ok(queue)
}

fn check(seen: &Seen, entries: u16) {
    assert_eq!(seen.status, [0, 3, 11, 15]);
    assert_eq!(seen.taken, [1, 1], "only what was wanted of what is offered");
    let parts = Parts { descriptors: 0x1_2345_6000, available: 0x1_2345_6100, used: 0x1_2345_6200 };
    assert_eq!(seen.queues[&0], (entries, parts));
    assert_eq!(seen.notified, [0]);
}

#[test]
fn both_ways_lead_to_the_same_device() {
    for (has, agreed) in [(1024, 16), (16, 16), (4, 4), (7, 4), (u16::MAX, 16)] {
        let device = device(has);
        let mut transport = mmio::Mmio(device.clone());
        assert_eq!(set_up(&mut transport, 16, 4).unwrap().entries(), agreed);
        check(&device.0.borrow().seen, agreed);
        let (mut transport, device) = pci_device(has);
        assert_eq!(set_up(&mut transport, 16, 4).unwrap().entries(), agreed);
        check(&device.0.borrow().seen, agreed);
        assert_eq!(device.0.borrow().regs[&0x10], 0xffff, "changes of the configuration interrupt nobody");
        assert_eq!(device.0.borrow().regs[&0x1a], 0, "the queue has the first message");
    }
}

#[test]
fn what_the_device_says_of_itself_is_read_the_same_way() {
    let (mut transport, device) = pci_device(4);
    let by_mmio = mmio::Mmio(device.clone());
    for offset in 0..4 {
        assert_eq!(
            (transport.config(offset), by_mmio.config(offset)),
            (0x11 * (offset as u8 + 1), 0x11 * (offset as u8 + 1))
        );
    }
    assert_eq!(transport.config(4), 0, "beyond the end");
    transport.acknowledge();
    assert_eq!(device.0.borrow().seen.acknowledged, 0, "a message needs no acknowledgement");
    mmio::Mmio(device.clone()).acknowledge();
    assert_eq!(device.0.borrow().seen.acknowledged, 1);
}

#[test]
fn a_reset_is_waited_for_but_not_for_ever() {
    for (slow, fine) in [(5, true), (RESET_LOOKS, true), (RESET_LOOKS + 1, false)] {
        let (mut transport, device) = pci_device(4);
        device.0.borrow_mut().slow = slow;
        assert_eq!(negotiate(&mut transport, 34, 1).is_ok(), fine, "{slow}");
    }
}

#[test]
fn a_device_that_breaks_the_rules_is_given_up() {
    let cases: [fn(&mut Model); 4] =
        [|m| m.offered[1] = 0, |m| m.refuses_features = true, |m| m.entries = 0, |m| m.entries = 3];
    for (i, spoil) in cases.into_iter().enumerate() {
        for by_pci in [false, true] {
            let (mut transport, device) = pci_device(4);
            spoil(&mut device.0.borrow_mut());
            let set = if by_pci {
                set_up(&mut transport, 16, 4).err()
            } else {
                set_up(&mut mmio::Mmio(device.clone()), 16, 4).err()
            };
            assert_eq!(set, Some(Unusable), "{i} {by_pci}");
            assert!(!device.0.borrow().seen.status.contains(&15), "{i}: it never was started");
            if i < 2 {
                assert_eq!(device.0.borrow().seen.status.last(), Some(&128));
            }
        }
    }
    let (mut transport, device) = pci_device(4);
    device.0.borrow_mut().refuses_vector = true;
    assert!(set_up(&mut transport, 16, 4).is_err(), "no message for the queue");
    assert!(device.0.borrow().seen.queues.is_empty());
    assert_eq!(negotiate(&mut transport, 41, 1), Err(Unusable), "another type");
}

#[test]
fn functions_that_are_no_modern_devices_are_refused() {
    let refused = |change: fn(&mut BTreeMap<u16, u32>)| {
        let mut config = config();
        change(&mut config.0);
        pci::Pci::new(&config, device(4)).is_none()
    };
    assert!(!refused(|_| {}));
    assert!(
        refused(|m| {
            m.insert(0, 0x1062_8086);
        }),
        "another vendor"
    );
    assert!(
        refused(|m| {
            m.insert(0, 0x1005_1af4);
        }),
        "a device of the old kind"
    );
    assert!(
        refused(|m| {
            m.insert(0xc0, 0x0210_0009);
        }),
        "notifications without their multiplier"
    );
    assert!(
        refused(|m| {
            m.insert(0x04, 0);
        }),
        "no capabilities"
    );
    // Without its own configuration, which not every device has.
    assert!(!refused(|m| {
        m.insert(0xac, 0x5000);
    }));
}

#[test]
fn a_place_for_notifications_outside_its_region_is_refused() {
    let mut config = config();
    config.0.insert(0xd0, 0x2000);
    let mut transport = pci::Pci::new(&config, device(4)).unwrap();
    assert!(set_up(&mut transport, 16, 4).is_err());
}

#[test]
fn mapped_registers_are_reached_inside_their_bar_only() {
    let mut memory = [0u64; 4];
    let start = memory.as_mut_ptr() as u64;
    let mut bars = [(0, 0); axiom_pci::BARS];
    bars[2] = (start, 30);
    // SAFETY: this test's memory, larger than the range.
    let mut space = unsafe { pci::Mapped::new(bars) };
    for (offset, width, there) in [
        (0, Width::Word, true),
        (24, Width::Word, true),
        (28, Width::Word, false),
        (28, Width::Half, true),
        (29, Width::Byte, true),
        (30, Width::Byte, false),
        (1, Width::Half, false),
        (u64::MAX, Width::Byte, false),
    ] {
        space.write(2, offset, width, 0x1234_5678);
        let ones = u32::MAX;
        let mask = if width == Width::Word { ones } else { (1 << (8 * width as u32)) - 1 };
        assert_eq!(
            space.read(2, offset, width),
            if there { 0x1234_5678 & mask } else { ones },
            "{offset} {width:?}"
        );
    }
    for bar in [0, 3, 6, 255] {
        space.write(bar, 0, Width::Word, 1);
        assert_eq!((space.bytes(bar), space.read(bar, 0, Width::Word)), (0, u32::MAX));
    }
    assert_eq!(space.bytes(2), 30);
}

#[test]
fn heads_come_back_one_by_one_over_the_wrap() {
    let (mut transport, _) = pci_device(4);
    negotiate(&mut transport, 34, 1).unwrap();
    let (mut queue, dma) = queue(16);
    queue.set_up(&mut transport, 4).unwrap();
    assert!(queue.is_done() && queue.take().is_none());
    let mut count = 0u16;
    for round in 0..70_000u32 {
        let head = (round % 4) as u16;
        queue.describe(head, 2048, 8, DESC_WRITE | if head == 3 { 0 } else { DESC_NEXT });
        queue.offer(head);
        queue.publish();
        assert_eq!(dma.get::<u16>(256 + 2), count.wrapping_add(1));
        assert_eq!(dma.get::<u16>(256 + 4 + usize::from(count % 4) * 2), head);
        assert!(!queue.is_done() && queue.take().is_none());
        // The device.
        dma.put(512 + 4 + usize::from(count % 4) * 8, u32::from(head));
        count = count.wrapping_add(1);
        dma.put(512 + 2, count);
        assert!(queue.is_done());
        assert_eq!((queue.take(), queue.take()), (Some(head.into()), None));
    }
    assert_eq!((dma.get::<u64>(0), dma.get::<u32>(8), dma.get::<u16>(12)), (0x1_2345_6800, 8, 3));
    // A reset forgets what was offered.
    queue.offer(0);
    queue.publish();
    assert!(!queue.is_done());
    queue.set_up(&mut transport, 4).unwrap();
    assert!(queue.is_done());
}

#[test]
#[should_panic]
fn memory_is_not_touched_behind_its_end() {
    queue(16).1.put(4092, 0u64);
}
