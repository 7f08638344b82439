//! The driver against a model of the device with one chip: 256 registers that a pointer chooses, at address 0x53.

use super::*;
use axiom_virtio::Parts;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

#[derive(Default)]
struct Model {
    /// Entries that it can do, and has.
    most: u16,
    entries: u16,
    parts: Option<Parts>,
    status: u8,
    acknowledged: u32,
    chip: Vec<u8>,
    pointer: usize,
    seen: u16,
    stuck: bool,
    notified: u32,
}

#[derive(Clone)]
struct Device(Rc<RefCell<Model>>);

impl Model {
    /// What the device does when it is notified.
    fn work(&mut self) {
        self.notified += 1;
        if self.stuck {
            return;
        }
        let parts = self.parts.unwrap();
        let [desc, avail, used] = [parts.descriptors, parts.available, parts.used].map(|at| at as *mut u8);
        let mut described = 0;
        // SAFETY: addresses and indices are those of the driver under test, in the test's memory.
        unsafe {
            let index = avail.cast::<u16>().add(1).read();
            let mut failed = false;
            while self.seen != index {
                let head = avail.cast::<u16>().add(2 + (self.seen % self.entries) as usize).read();
                let mut chain = vec![];
                let mut at = head;
                loop {
                    described += 1;
                    assert!(
                        at < self.entries && described <= self.entries,
                        "more descriptors than the queue has"
                    );
                    let d = desc.add(at as usize * 16);
                    let address = d.cast::<u64>().read() as *mut u8;
                    let len = d.add(8).cast::<u32>().read() as usize;
                    let flags = d.add(12).cast::<u16>().read();
                    chain.push((address, len, flags));
                    if flags & DESC_NEXT == 0 {
                        break;
                    }
                    at = d.add(14).cast::<u16>().read();
                }
                let header = chain[0].0;
                let chip = header.cast::<u16>().read() >> 1;
                let flags = header.add(4).cast::<u32>().read();
                let ok = chip == 0x53 && !failed;
                if ok && chain.len() == 3 {
                    let (data, len, _) = chain[1];
                    for i in 0..len {
                        if flags & READ != 0 {
                            data.add(i).write(self.chip[self.pointer % 256]);
                            self.pointer += 1;
                        } else if i == 0 {
                            self.pointer = data.read() as usize;
                        } else {
                            self.chip[self.pointer % 256] = data.add(i).read();
                            self.pointer += 1;
                        }
                    }
                }
                failed = !ok && flags & FAIL_NEXT != 0;
                let status = chain.last().unwrap();
                assert_eq!((status.1, status.2 & DESC_WRITE), (1, DESC_WRITE));
                status.0.write(!ok as u8);
                self.seen = self.seen.wrapping_add(1);
                used.cast::<u16>().add(1).write(self.seen);
            }
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
        let mut m = self.0.borrow_mut();
        m.status = status;
        if status == 0 {
            m.seen = 0;
        }
    }
    fn features(&mut self, _: u32) -> u32 {
        1
    }
    fn set_features(&mut self, _: u32, taken: u32) {
        assert_eq!(taken, 1);
    }
    fn most(&mut self, queue: u16) -> u16 {
        if queue == REQUESTS { self.0.borrow().most } else { 0 }
    }
    fn set_queue(&mut self, queue: u16, entries: u16, parts: Parts) -> bool {
        let mut m = self.0.borrow_mut();
        (m.entries, m.parts) = (entries, Some(parts));
        queue == REQUESTS
    }
    fn notify(&mut self, _: u16) {
        self.0.borrow_mut().work();
    }
    fn acknowledge(&mut self) {
        self.0.borrow_mut().acknowledged += 1;
    }
    fn config(&self, _: u16) -> u8 {
        0
    }
}

struct Patience(u32);

impl Wait for Patience {
    fn begin(&mut self) {
        self.0 = 3;
    }
    fn wait(&mut self) -> bool {
        self.0 -= 1;
        self.0 > 0
    }
    fn handled(&mut self) {}
}

/// By registers in memory, and by PCI.
const MOST: [u16; 2] = [1024, 4];

fn bus(most: u16) -> (VirtioI2c<Device, Patience>, Device) {
    let memory = vec![0u64; 2 * DMA_BYTES / 8].leak();
    let virt = (memory.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8;
    let device = Device(Rc::new(RefCell::new(Model { most, chip: vec![0; 256], ..Model::default() })));
    // SAFETY: leaked memory of this test; the model takes addresses as they are.
    let dma = unsafe { Dma::new(virt, virt as u64, DMA_BYTES) };
    (VirtioI2c::new(device.clone(), dma, Patience(0)).unwrap(), device)
}

#[test]
fn registers_are_written_and_read_back() {
    for (most, notified) in [(1024, 200), (16, 200), (6, 300), (4, 300)] {
        let (mut bus, device) = bus(most);
        for round in 0..100u8 {
            bus.write(0x53, &[0x20, round, round ^ 0xff]).unwrap();
            let mut got = [0; 2];
            bus.write_read(0x53, &[0x20], &mut got).unwrap();
            assert_eq!(got, [round, round ^ 0xff]);
        }
        assert_eq!(device.0.borrow().notified, notified, "as many requests at once as there is room for");
    }
}

#[test]
fn a_long_transaction_is_the_same_in_a_small_queue() {
    let answers = MOST.map(|most| {
        let (mut bus, _) = bus(most);
        bus.write(0x53, &[0x10, 1, 2, 3, 4, 5, 6]).unwrap();
        let (mut a, mut b, mut c) = ([0; 3], [0; 1], [0; 2]);
        let mut operations = [
            Operation::Write(&[0x10]),
            Operation::Read(&mut a),
            Operation::Read(&mut b),
            Operation::Write(&[0x14]),
            Operation::Read(&mut c),
        ];
        bus.transaction(0x53, &mut operations).unwrap();
        (a, b, c)
    });
    assert_eq!(answers, [([1, 2, 3], [4], [5, 6]); 2]);
}

#[test]
fn a_chip_that_is_not_there_is_not_acknowledged_and_nothing_else_breaks() {
    for most in MOST {
        let (mut bus, device) = bus(most);
        assert_eq!(bus.write(0x54, &[0]), Err(VirtioError::NoAcknowledge));
        let before = device.0.borrow().notified;
        assert_eq!(bus.write_read(0x54, &[0], &mut [0; 6]), Err(VirtioError::NoAcknowledge));
        assert_eq!(device.0.borrow().notified - before, 1, "what was to follow is not sent");
        assert_eq!(bus.write(0x53, &[0]), Ok(()));
        assert_eq!(bus.write(0x53, &[]), Ok(()), "an empty write asks whether somebody is there");
    }
}

#[test]
fn a_stuck_bus_times_out_and_works_again_when_it_is_free() {
    for most in MOST {
        let (mut bus, device) = bus(most);
        device.0.borrow_mut().stuck = true;
        assert_eq!(bus.write(0x53, &[1, 2]), Err(VirtioError::Timeout));
        assert_eq!(bus.resets, 1);
        device.0.borrow_mut().stuck = false;
        assert_eq!(bus.write(0x53, &[1, 2]), Ok(()));
    }
}

#[test]
fn a_device_that_interrupts_without_getting_on_times_out() {
    let (mut bus, device) = bus(1024);
    device.0.borrow_mut().stuck = true;
    // Its interrupt is up all the time; the waiter says when the time is over.
    assert_eq!(bus.write(0x53, &[1, 2]), Err(VirtioError::Timeout));
    assert!(device.0.borrow().acknowledged > 0);
}

#[test]
fn what_is_too_long_is_refused() {
    for most in MOST {
        let (mut bus, device) = bus(most);
        assert_eq!(bus.write(0x53, &[0; DATA_BYTES + 1]), Err(VirtioError::TooLong));
        assert_eq!(bus.write(0x53, &[0; DATA_BYTES]), Ok(()));
        let mut ops = [(); MAX_OPS + 1].map(|()| Operation::Write(&[0]));
        assert_eq!(bus.transaction(0x53, &mut ops), Err(VirtioError::TooLong));
        assert_eq!(device.0.borrow().notified, 1);
    }
}

#[test]
fn a_queue_without_room_for_a_request_is_refused() {
    for most in [0, 1, 2, 3] {
        let memory = vec![0u64; 2 * DMA_BYTES / 8].leak();
        let virt = (memory.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8;
        let device = Device(Rc::new(RefCell::new(Model { most, ..Model::default() })));
        // SAFETY: leaked memory of this test.
        let dma = unsafe { Dma::new(virt, virt as u64, DMA_BYTES) };
        assert_eq!(
            VirtioI2c::new(device.clone(), dma, Patience(0)).err(),
            Some(VirtioError::Adapter),
            "{most}"
        );
        assert_eq!(device.0.borrow().status, 128, "given up");
    }
}
