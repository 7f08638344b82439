//! The vhost-user side of the lines: requests and events, answers back; and a socket at which the world outside moves pins.
//!
//! At the control socket a line of text is a request, and one comes back: `set LINE LEVEL` drives a pin, `get` tells the levels at all pins,
//! or at those that it names: `get 6 7`.

use crate::lines::{Event, LINES, Lines};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, RwLock};
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost_user_backend::{VhostUserBackendMut, VhostUserDaemon, VringRwLock, VringT};
use virtio_queue::{QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::epoll::EventSet;

const IRQ: u64 = 1;
const VERSION_1: u64 = 1 << 32;
const REQUESTS: usize = 0;
const EVENTS: usize = 1;
/// In what the driver offers: it wants no interrupt.
const NO_INTERRUPT: u16 = 1;
const STATUS_OK: u8 = 0;
const STATUS_ERR: u8 = 1;

/// The device.
pub struct Gpio {
    lines: Lines,
    memory: Option<GuestMemoryAtomic<GuestMemoryMmap>>,
    /// The events' queue, once the driver has shown it.
    events: Option<VringRwLock>,
    /// Buffers that the driver gave for events, by line: the chain's head, and where its status goes.
    buffers: [(u16, GuestAddress); LINES as usize],
}

impl Gpio {
    /// With lines at which nothing is connected.
    pub fn new() -> Gpio {
        Gpio {
            lines: Lines::default(),
            memory: None,
            events: None,
            buffers: [(0, GuestAddress(0)); LINES as usize],
        }
    }

    /// The world outside drives a pin; false if there is no such line.
    pub fn set(&mut self, line: u16, level: bool) -> std::io::Result<bool> {
        let there = self.lines.set(line, level);
        self.tell()?;
        Ok(there)
    }

    fn answer(&mut self, vring: &VringRwLock) -> std::io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let memory = memory.memory();
        let chains: Vec<_> =
            vring.get_mut().get_queue_mut().iter(memory.clone()).map_err(std::io::Error::other)?.collect();
        for chain in chains {
            let head = chain.head_index();
            let mut reader = chain.clone().reader(&memory).map_err(std::io::Error::other)?;
            let mut writer = chain.writer(&memory).map_err(std::io::Error::other)?;
            let mut request = [0; 8];
            reader.read_exact(&mut request)?;
            let [w0, w1, l0, l1, v @ ..] = request;
            let value = self.lines.ask(
                u16::from_le_bytes([w0, w1]),
                u16::from_le_bytes([l0, l1]),
                u32::from_le_bytes(v),
            );
            let answer = value.map_or([STATUS_ERR, 0], |value| [STATUS_OK, value]);
            writer.write_all(&answer)?;
            vring.add_used(head, answer.len() as u32).map_err(std::io::Error::other)?;
        }
        // A driver that looks for its answers wants no interrupt for them.
        let flags = vring.get_ref().get_queue().avail_ring();
        let quiet =
            memory.read_obj::<u16>(GuestAddress(flags)).map_err(std::io::Error::other)? & NO_INTERRUPT;
        if quiet == 0 {
            vring.signal_used_queue()?;
        }
        // Who stopped watching gets a buffer back.
        self.tell()
    }

    fn take_events(&mut self, vring: &VringRwLock) -> std::io::Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        let memory = memory.memory();
        let chains: Vec<_> =
            vring.get_mut().get_queue_mut().iter(memory.clone()).map_err(std::io::Error::other)?.collect();
        for chain in chains {
            let head = chain.head_index();
            let status = chain.clone().writable().next().map(|descriptor| descriptor.addr());
            let mut reader = chain.reader(&memory).map_err(std::io::Error::other)?;
            let mut number = [0; 2];
            reader.read_exact(&mut number)?;
            let line = u16::from_le_bytes(number);
            // A driver that breaks the rules does not get its buffer back.
            if let Some(status) = status.filter(|_| self.lines.arm(line)) {
                self.buffers[usize::from(line)] = (head, status);
            }
        }
        self.events = Some(vring.clone());
        self.tell()
    }

    /// Gives back the buffers of events that have come.
    fn tell(&mut self) -> std::io::Result<()> {
        let (Some(memory), Some(vring)) = (&self.memory, &self.events) else { return Ok(()) };
        let memory = memory.memory();
        let mut told = false;
        while let Some((line, event)) = self.lines.next_event() {
            let (head, status) = self.buffers[usize::from(line)];
            memory.write_obj(u8::from(event == Event::Valid), status).map_err(std::io::Error::other)?;
            vring.add_used(head, 1).map_err(std::io::Error::other)?;
            told = true;
        }
        if told { vring.signal_used_queue() } else { Ok(()) }
    }
}

impl VhostUserBackendMut for Gpio {
    type Bitmap = ();
    type Vring = VringRwLock;

    fn num_queues(&self) -> usize {
        2
    }
    fn max_queue_size(&self) -> usize {
        256
    }
    fn features(&self) -> u64 {
        VERSION_1 | IRQ | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::CONFIG
    }
    fn reset_device(&mut self) {
        self.lines.reset();
        self.events = None;
    }
    fn acked_features(&mut self, _features: u64) {
        // A driver begins: what an earlier one drove and watched is gone.
        self.lines.reset();
        self.events = None;
    }
    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        let [low, high] = LINES.to_le_bytes();
        // The number of lines, padding, and no names.
        let all = [low, high, 0, 0, 0, 0, 0, 0];
        let from = all.len().min(offset as usize);
        let to = all.len().min(from + size as usize);
        all[from..to].to_vec()
    }
    fn set_event_idx(&mut self, _enabled: bool) {}
    fn update_memory(&mut self, memory: GuestMemoryAtomic<GuestMemoryMmap>) -> std::io::Result<()> {
        self.memory = Some(memory);
        Ok(())
    }
    fn handle_event(
        &mut self,
        device_event: u16,
        _events: EventSet,
        vrings: &[VringRwLock],
        _thread: usize,
    ) -> std::io::Result<()> {
        match (usize::from(device_event), vrings) {
            (REQUESTS, [requests, ..]) => self.answer(requests),
            (EVENTS, [_, events, ..]) => self.take_events(events),
            _ => Ok(()),
        }
    }
}

/// Serves one connection of the machine in a thread of its own.
pub fn serve(socket: &Path, gpio: &Arc<RwLock<Gpio>>) -> Result<(), String> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let mut daemon =
        VhostUserDaemon::new("axiom-lines".into(), gpio.clone(), memory).map_err(|e| e.to_string())?;
    let socket = socket.to_owned();
    std::thread::spawn(move || {
        if let Err(error) = daemon.serve(&socket) {
            eprintln!("sensor-sim: {}: {error}", socket.display());
        }
    });
    Ok(())
}

/// Serves the control socket in a thread of its own.
pub fn control(socket: &Path, gpio: &Arc<RwLock<Gpio>>) -> Result<(), String> {
    let listener = UnixListener::bind(socket).map_err(|e| format!("{}: {e}", socket.display()))?;
    let gpio = gpio.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // Whoever hangs up is done.
            let _ = converse(stream, &gpio);
        }
    });
    Ok(())
}

fn converse(stream: UnixStream, gpio: &RwLock<Gpio>) -> std::io::Result<()> {
    let mut answers = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let answer = obey(&line?, gpio);
        writeln!(answers, "{answer}")?;
    }
    Ok(())
}

fn obey(line: &str, gpio: &RwLock<Gpio>) -> String {
    let Ok(mut gpio) = gpio.write() else { return "FAIL the simulator has failed before".into() };
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["get", ref wanted @ ..] => {
            let mask = wanted.iter().try_fold(0u64, |mask, line| {
                line.parse::<u16>().ok().filter(|line| *line < LINES).map(|line| mask | 1 << line)
            });
            let all = if wanted.is_empty() { Some(u64::MAX) } else { mask };
            match all {
                Some(mask) => format!("OK {:#018x}", gpio.lines.levels() & mask),
                None => format!("FAIL '{line}': lines are 0 to {}", LINES - 1),
            }
        }
        ["set", line, level @ ("0" | "1")] => match line.parse().map(|line| gpio.set(line, level == "1")) {
            Ok(Ok(true)) => "OK".into(),
            Ok(Err(error)) => format!("FAIL {error}"),
            Ok(Ok(false)) | Err(_) => format!("FAIL there is no line '{line}', only 0 to {}", LINES - 1),
        },
        _ => format!("FAIL '{line}': `set LINE 0|1` or `get`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_outside_moves_pins_and_reads_them() {
        let gpio = RwLock::new(Gpio::new());
        assert_eq!(obey("set 5 1", &gpio), "OK");
        assert_eq!(obey("get", &gpio), "OK 0x0000000000000020");
        assert_eq!(obey("get 5 6", &gpio), "OK 0x0000000000000020");
        assert_eq!(obey("get 6 7", &gpio), "OK 0x0000000000000000");
        for wrong in ["set 8 1", "get 8", "set 5 2", "set x 1", "put", ""] {
            assert!(obey(wrong, &gpio).starts_with("FAIL "), "{wrong}");
        }
        assert_eq!(obey("get", &gpio), "OK 0x0000000000000020");
    }

    #[test]
    fn the_configuration_names_the_lines() {
        let gpio = Gpio::new();
        assert_eq!(gpio.get_config(0, 8), [8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            (gpio.get_config(0, 2), gpio.get_config(7, 4), gpio.get_config(9, u32::MAX)),
            (vec![8, 0], vec![0], vec![])
        );
    }
}
