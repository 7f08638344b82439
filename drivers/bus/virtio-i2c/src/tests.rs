//! The driver against a model of the device with one chip: 256 registers behind a pointer, at address 0x53.

use super::*;
use std::cell::RefCell;
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

#[derive(Default)]
struct Model {
    regs: std::collections::HashMap<usize, u32>,
    chip: Vec<u8>,
    pointer: usize,
    seen: u16,
    stuck: bool,
    notified: u32,
}

#[derive(Clone)]
struct Device(Rc<RefCell<Model>>);

impl Model {
    fn address(&self, register: usize) -> *mut u8 {
        let low = self.regs[&register] as u64;
        let high = self.regs[&(register + 4)] as u64;
        (low | high << 32) as *mut u8
    }

    /// What the device does when it is notified.
    fn work(&mut self) {
        self.notified += 1;
        if self.stuck {
            return;
        }
        let (desc, avail, used) = (
            self.address(reg::QUEUE_DESC.offset()),
            self.address(reg::QUEUE_DRIVER.offset()),
            self.address(reg::QUEUE_DEVICE.offset()),
        );
        // SAFETY: addresses and indices are those of the driver under test, in the test's memory.
        unsafe {
            let index = avail.cast::<u16>().add(1).read();
            let mut failed = false;
            while self.seen != index {
                let head = avail.cast::<u16>().add(2 + (self.seen % QUEUE) as usize).read();
                let mut chain = vec![];
                let mut at = head;
                loop {
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

impl Io for Device {
    fn read(&self, offset: usize) -> u32 {
        let m = self.0.borrow();
        match offset {
            _ if offset == reg::MAGIC.offset() => MAGIC,
            _ if offset == reg::VERSION.offset() => 2,
            _ if offset == reg::DEVICE_ID.offset() => DEVICE_ID,
            _ if offset == reg::DEVICE_FEATURES.offset() => 1,
            _ if offset == reg::QUEUE_NUM_MAX.offset() => 64,
            _ => m.regs.get(&offset).copied().unwrap_or(0),
        }
    }
    fn write(&self, offset: usize, value: u32) {
        let mut m = self.0.borrow_mut();
        m.regs.insert(offset, value);
        match offset {
            _ if offset == reg::QUEUE_NOTIFY.offset() => m.work(),
            _ if offset == reg::STATUS.offset() && value == 0 => m.seen = 0,
            _ => {}
        }
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

fn bus() -> (VirtioI2c<Device, Patience>, Device) {
    let memory = vec![0u64; 2 * DMA_BYTES / 8].leak();
    let virt = (memory.as_mut_ptr() as usize).next_multiple_of(4096) as *mut u8;
    let device = Device(Rc::new(RefCell::new(Model { chip: vec![0; 256], ..Model::default() })));
    // SAFETY: leaked memory of this test; the model takes addresses as they are.
    let dma = unsafe { Dma::new(virt, virt as u64) };
    (VirtioI2c::new(device.clone(), dma, Patience(0)).unwrap(), device)
}

#[test]
fn registers_are_written_and_read_back() {
    let (mut bus, device) = bus();
    for round in 0..100u8 {
        bus.write(0x53, &[0x20, round, round ^ 0xff]).unwrap();
        let mut got = [0; 2];
        bus.write_read(0x53, &[0x20], &mut got).unwrap();
        assert_eq!(got, [round, round ^ 0xff]);
    }
    assert_eq!(device.0.borrow().notified, 200, "one notification per transaction");
}

#[test]
fn a_chip_that_is_not_there_is_not_acknowledged_and_nothing_else_breaks() {
    let (mut bus, _) = bus();
    assert_eq!(bus.write(0x54, &[0]), Err(VirtioError::NoAcknowledge));
    assert_eq!(bus.write_read(0x54, &[0], &mut [0; 6]), Err(VirtioError::NoAcknowledge));
    assert_eq!(bus.write(0x53, &[0]), Ok(()));
    assert_eq!(bus.write(0x53, &[]), Ok(()), "an empty write asks whether somebody is there");
}

#[test]
fn a_stuck_bus_times_out_and_works_again_when_it_is_free() {
    let (mut bus, device) = bus();
    device.0.borrow_mut().stuck = true;
    assert_eq!(bus.write(0x53, &[1, 2]), Err(VirtioError::Timeout));
    assert_eq!(bus.resets, 1);
    device.0.borrow_mut().stuck = false;
    assert_eq!(bus.write(0x53, &[1, 2]), Ok(()));
}

#[test]
fn a_device_that_interrupts_without_getting_on_times_out() {
    let (mut bus, device) = bus();
    device.0.borrow_mut().stuck = true;
    // Its interrupt is up all the time; the waiter says when the time is over.
    device.0.borrow_mut().regs.insert(reg::INTERRUPT_STATUS.offset(), 1);
    assert_eq!(bus.write(0x53, &[1, 2]), Err(VirtioError::Timeout));
    assert!(device.0.borrow().regs[&reg::INTERRUPT_ACK.offset()] == 1);
}

#[test]
fn what_is_too_long_is_refused() {
    let (mut bus, device) = bus();
    assert_eq!(bus.write(0x53, &[0; DATA_BYTES + 1]), Err(VirtioError::TooLong));
    assert_eq!(bus.write(0x53, &[0; DATA_BYTES]), Ok(()));
    let mut ops = [(); MAX_OPS + 1].map(|()| Operation::Write(&[0]));
    assert_eq!(bus.transaction(0x53, &mut ops), Err(VirtioError::TooLong));
    assert_eq!(device.0.borrow().notified, 1);
}
