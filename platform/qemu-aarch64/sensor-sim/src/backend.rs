//! The vhost-user side: requests from the guest's queue, answers back (virtio 1.2, section 5.21).

use crate::Chip;
use crate::gpio::Gpio;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon, VringRwLock, VringT};
use virtio_queue::QueueOwnedT;
use vm_memory::{GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

const ZERO_LENGTH_REQUEST: u64 = 1;
const VERSION_1: u64 = 1 << 32;
const FAIL_NEXT: u32 = 1;
const READ: u32 = 2;
/// How often chips are told of the time when nobody reads them.
const TICK: Duration = Duration::from_millis(1);

/// Faults to inject, by the number of the transfer (from 1).
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// First transfer that is not acknowledged.
    pub nack_from: Option<u64>,
    /// How many of them.
    pub nack_count: u64,
    /// A transfer that never ends.
    pub stick_at: Option<u64>,
}

/// The bus.
pub struct Bus {
    chips: Vec<Box<dyn Chip>>,
    faults: Faults,
    /// The line that the interrupt is wired to.
    wired: Option<(Arc<RwLock<Gpio>>, u16)>,
    transfers: u64,
    started: Instant,
}

/// What becomes of a transfer.
#[derive(PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Acknowledged.
    Done,
    /// Not.
    Nack,
    /// No answer, ever.
    Stuck,
}

impl Bus {
    /// A bus with chips.
    pub fn new(chips: Vec<Box<dyn Chip>>, faults: Faults, wired: Option<(Arc<RwLock<Gpio>>, u16)>) -> Bus {
        Bus { chips, faults, wired, transfers: 0, started: Instant::now() }
    }

    /// Lets time pass for the chips, and tells of interrupt lines that changed.
    pub fn tick(&mut self) {
        let now = self.started.elapsed();
        for level in self.chips.iter_mut().filter_map(|chip| chip.tick(now)) {
            if let Some((gpio, line)) = &self.wired
                && let Ok(mut gpio) = gpio.write()
                && let Err(error) = gpio.set(*line, level)
            {
                eprintln!("sensor-sim: the accelerometer's interrupt: {error}");
            }
            // Where nobody listens, the line leads nowhere.
            let _ = writeln!(std::io::stdout(), "int1 {}", level as u8);
        }
    }

    /// One transfer: `read` is what to fill, or nothing for a write.
    pub fn transfer(&mut self, address: u8, write: &[u8], read: Option<&mut [u8]>) -> Outcome {
        self.transfers += 1;
        let n = self.transfers;
        if self.faults.stick_at == Some(n) {
            return Outcome::Stuck;
        }
        if self.faults.nack_from.is_some_and(|from| n >= from && n < from + self.faults.nack_count) {
            return Outcome::Nack;
        }
        self.tick();
        let Some(chip) = self.chips.iter_mut().find(|c| c.address() == address) else { return Outcome::Nack };
        match read {
            Some(bytes) => chip.read(bytes),
            None => chip.write(write),
        }
        self.tick();
        Outcome::Done
    }
}

struct Backend {
    bus: Bus,
    memory: Option<GuestMemoryAtomic<GuestMemoryMmap>>,
}

impl Backend {
    fn serve_queue(&mut self, vring: &VringRwLock) -> std::io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let memory = memory.memory();
        let chains: Vec<_> =
            vring.get_mut().get_queue_mut().iter(memory.clone()).map_err(std::io::Error::other)?.collect();
        let mut fail = false;
        for chain in chains {
            let head = chain.head_index();
            let mut reader = chain.clone().reader(&memory).map_err(std::io::Error::other)?;
            let mut writer = chain.writer(&memory).map_err(std::io::Error::other)?;
            let mut header = [0; 8];
            reader.read_exact(&mut header)?;
            let address = (u16::from_le_bytes([header[0], header[1]]) >> 1) as u8;
            let flags = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            let mut written = vec![0; reader.available_bytes()];
            reader.read_exact(&mut written)?;
            let room = writer.available_bytes();
            if room == 0 {
                continue; // no room for a status: a driver that breaks the rules gets no answer
            }
            let mut answer = vec![0; room - 1];
            let outcome = if fail {
                Outcome::Nack
            } else if flags & READ != 0 {
                self.bus.transfer(address, &[], Some(&mut answer))
            } else {
                self.bus.transfer(address, &written, None)
            };
            if outcome == Outcome::Stuck {
                continue;
            }
            // A transfer that failed takes those with it that were to follow it.
            fail = outcome == Outcome::Nack && flags & FAIL_NEXT != 0;
            answer.push((outcome == Outcome::Nack) as u8);
            writer.write_all(&answer)?;
            vring.add_used(head, answer.len() as u32).map_err(std::io::Error::other)?;
        }
        vring.signal_used_queue()
    }
}

impl VhostUserBackendMut for Backend {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        1
    }
    fn max_queue_size(&self) -> usize {
        64
    }
    fn features(&self) -> u64 {
        VERSION_1 | ZERO_LENGTH_REQUEST | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ
    }
    fn set_event_idx(&mut self, _enabled: bool) {}
    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> std::io::Result<()> {
        self.memory = Some(memory);
        Ok(())
    }
    fn handle_event(
        &mut self,
        _device_event: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread: usize,
    ) -> std::io::Result<()> {
        match vrings.first() {
            Some(vring) => self.serve_queue(vring),
            None => Ok(()),
        }
    }
}

/// Serves one connection, until the machine goes away.
pub fn serve(socket: &Path, bus: Bus) -> Result<(), String> {
    let backend = Arc::new(RwLock::new(Backend { bus, memory: None }));
    let ticking = Arc::downgrade(&backend);
    std::thread::spawn(move || {
        while let Some(backend) = ticking.upgrade() {
            let Ok(mut backend) = backend.write() else { break };
            backend.bus.tick();
            drop(backend);
            std::thread::sleep(TICK);
        }
    });
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("axiom-sensor-sim".into(), backend, memory).map_err(|e| e.to_string())?;
    daemon.serve(socket).map_err(|e| format!("{}: {e}", socket.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo(u8);
    impl Chip for Echo {
        fn address(&self) -> u8 {
            0x20
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0 = bytes[0];
        }
        fn read(&mut self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn faults_come_when_they_are_asked_for() {
        let faults = Faults { nack_from: Some(3), nack_count: 2, stick_at: Some(6) };
        let mut bus = Bus::new(vec![Box::new(Echo(0))], faults, None);
        let mut got = [0; 2];
        assert_eq!(bus.transfer(0x20, &[7], None), Outcome::Done);
        assert_eq!(bus.transfer(0x20, &[], Some(&mut got)), Outcome::Done);
        assert_eq!(got, [7, 7]);
        assert_eq!(bus.transfer(0x20, &[8], None), Outcome::Nack);
        assert_eq!(bus.transfer(0x20, &[8], None), Outcome::Nack);
        assert_eq!(bus.transfer(0x21, &[8], None), Outcome::Nack, "nobody is there");
        assert_eq!(bus.transfer(0x20, &[8], None), Outcome::Stuck);
        assert_eq!(bus.transfer(0x20, &[9], None), Outcome::Done);
    }
}
