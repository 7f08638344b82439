//! What a program reaches: its context, its maps, the helpers. The maps are the device's code over the run's memory.
//!
//! Every pointer is looked at before it is followed, so that a program that was not verified can be run, too.

use crate::Failure;
use crate::load::Ready;
use crate::space::{self, Space, at};
use axiom_bpf_interp as interp;
use axiom_bpf_isa::{MapDef, MapType, helper, printk, pseudo};
use axiom_bpf_maps::{Consumer, Map, PAGE, bytes_needed, errno};
use std::ops::Range;
use std::time::Instant;

/// Lines that a program may print in one run of the tool.
const LINES: usize = 1000;

/// A map of the program.
struct Own {
    name: String,
    map: Map,
    /// Its memory.
    range: Range<usize>,
}

/// What the helpers are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Helpers {
    /// The device's.
    Device,
    /// One: a lookup in map 0.
    Lookup,
    /// One: the conformance suite's number 5, which hands its argument back.
    Suite,
}

/// Everything outside the program's registers.
pub struct World {
    // Before the space, so that no map outlives its memory.
    maps: Vec<Own>,
    helpers: Helpers,
    context: Range<usize>,
    context_writable: bool,
    /// The stack of compiled code, or the interpreter's.
    pub stack: Range<usize>,
    /// What it printed.
    pub printed: Vec<String>,
    started: Instant,
    /// The memory.
    pub space: Space,
}

fn stack_range() -> Range<usize> {
    space::BASE + at::STACK..space::BASE + at::CONTEXT
}

impl World {
    /// Makes a program's maps and puts its context in place.
    pub fn new(ready: &Ready, context: &[u8], helpers: Helpers) -> Result<World, Failure> {
        let space = Space::new()?;
        let start = space::BASE + at::CONTEXT;
        if context.len() > at::MAPS - at::CONTEXT {
            return Err(Failure::Usage(format!(
                "the context has {} bytes, more than the {} that a run has room for",
                context.len(),
                at::MAPS - at::CONTEXT
            )));
        }
        space.write(at::CONTEXT, context);
        let mut world = World {
            maps: Vec::new(),
            helpers,
            context: start..start + context.len(),
            context_writable: ready.raw,
            stack: stack_range(),
            printed: Vec::new(),
            started: Instant::now(),
            space,
        };
        let mut next = at::MAPS;
        for wanted in &ready.maps {
            let refuse = |text: String| Failure::Refused(format!("map '{}': {text}", wanted.name));
            let bytes = bytes_needed(&wanted.def).map_err(|e| refuse(e.to_string()))?;
            let end = next + bytes;
            if end > space::SIZE {
                return Err(refuse(format!(
                    "no room for its {bytes} bytes: a run has {} MiB for maps",
                    (space::SIZE - at::MAPS) >> 20
                )));
            }
            world.space.write(next, &wanted.bytes[..wanted.bytes.len().min(wanted.def.value_size as usize)]);
            // SAFETY: pages of the space that nothing else uses, zeros or the first value, mapped as long as the world lives.
            let map = unsafe { Map::new(wanted.def, world.space.pointer(next)) }
                .map_err(|e| refuse(e.to_string()))?;
            let range = space::BASE + next..space::BASE + end;
            world.maps.push(Own { name: wanted.name.clone(), map, range });
            next = end.next_multiple_of(PAGE);
        }
        Ok(world)
    }

    /// The context's address, or 0 if it is empty.
    pub fn context_address(&self) -> u64 {
        if self.context.is_empty() { 0 } else { self.context.start as u64 }
    }

    /// The context's bytes now.
    pub fn context_now(&self) -> Vec<u8> {
        self.space.read(at::CONTEXT, self.context.len())
    }

    /// Whether the program may read or write there.
    fn allowed(&self, address: u64, length: u64, write: bool) -> bool {
        let inside = |r: &Range<usize>| {
            let (start, end) = (r.start as u64, r.end as u64);
            address >= start && address.checked_add(length).is_some_and(|e| e <= end)
        };
        inside(&self.stack)
            || (inside(&self.context) && (!write || self.context_writable))
            || self.maps.iter().any(|m| inside(&m.range) && (!write || !m.map.def().read_only))
    }

    fn bytes(&self, address: u64, length: u64) -> Option<&[u8]> {
        if length == 0 {
            return Some(&[]);
        }
        if !self.allowed(address, length, false) {
            return None;
        }
        // SAFETY: live memory of the run or of the interpreter's stack, as just checked; the program does not run now.
        Some(unsafe { core::slice::from_raw_parts(address as *const u8, length as usize) })
    }

    fn map(&mut self, handle: u64) -> Option<&mut Own> {
        let index =
            if self.helpers == Helpers::Lookup { 0 } else { usize::try_from(handle).ok()?.checked_sub(1)? };
        self.maps.get_mut(index)
    }

    fn def(&mut self, handle: u64) -> Option<MapDef> {
        self.map(handle).map(|m| *m.map.def())
    }

    /// What a wide load with a pseudo source loads.
    pub fn address(&self, source: u8, imm: i32, next: i32) -> Option<u64> {
        let index = usize::try_from(imm).ok()?;
        let own = self.maps.get(index)?;
        match source {
            pseudo::MAP => Some(index as u64 + 1),
            pseudo::MAP_VALUE => Some(own.range.start as u64 + u64::from(own.map.def().value_offset(next)?)),
            _ => None,
        }
    }

    /// Calls a helper; `None` if there is none of that number.
    pub fn call(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
        match self.helpers {
            Helpers::Suite => return (id == 5).then_some(a[0]),
            Helpers::Lookup if id != u64::from(helper::MAP_LOOKUP_ELEM) => return None,
            _ => {}
        }
        let id = u32::try_from(id).ok()?;
        let einval = Some(errno::EINVAL as u64);
        Some(match id {
            helper::KTIME_GET_NS => self.started.elapsed().as_nanos() as u64 + 1,
            helper::GET_SMP_PROCESSOR_ID => 0,
            helper::TRACE_PRINTK => {
                let format = self.bytes(a[0], a[1].min(printk::MAX_FORMAT as u64))?.to_vec();
                self.print(&format, &a[2..])
            }
            helper::TRACE_VPRINTK => {
                let format = self.bytes(a[0], a[1].min(printk::MAX_FORMAT as u64))?.to_vec();
                let data = self.bytes(a[2], a[3])?;
                if !data.len().is_multiple_of(8) {
                    return einval;
                }
                let numbers: Vec<u64> =
                    data.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).collect();
                self.print(&format, &numbers)
            }
            helper::RINGBUF_SUBMIT | helper::RINGBUF_DISCARD => {
                let ring = |m: &Own| {
                    let first = (m.range.start + 2 * PAGE + 8) as u64;
                    m.map.def().map_type == MapType::RingBuf && (first..m.range.end as u64).contains(&a[0])
                };
                if !a[0].is_multiple_of(8) || !self.maps.iter().any(ring) {
                    return einval;
                }
                // SAFETY: the header lies in a ring's data, aligned, as just checked.
                unsafe { Map::ring_commit(a[0] as *mut u8, id == helper::RINGBUF_DISCARD) };
                0
            }
            helper::GPIO_GET | helper::GPIO_SET | helper::PWM_SET | helper::MOTOR_EMERGENCY_STOP => {
                errno::EPERM as u64
            }
            _ => self.map_call(id, a)?,
        })
    }

    fn map_call(&mut self, id: u32, a: [u64; 5]) -> Option<u64> {
        let lookup = id == helper::MAP_LOOKUP_ELEM;
        let handle = a[0];
        let Some(def) = self.def(handle) else {
            return axiom_bpf_isa::proto::find(id).map(|_| if lookup { 0 } else { errno::EINVAL as u64 });
        };
        let (key, value) = (u64::from(def.key_size), u64::from(def.value_size));
        // What each helper follows: r2 and r3.
        let (second, third, write) = match id {
            helper::MAP_LOOKUP_ELEM | helper::MAP_DELETE_ELEM => (key, 0, false),
            helper::MAP_UPDATE_ELEM => (key, value, false),
            helper::MAP_PUSH_ELEM => (value, 0, false),
            helper::MAP_POP_ELEM | helper::MAP_PEEK_ELEM => (value, 0, true),
            helper::RINGBUF_OUTPUT => (a[2], 0, false),
            helper::RINGBUF_RESERVE | helper::RINGBUF_QUERY => (0, 0, false),
            _ => return None,
        };
        let readable = |address: u64, length: u64, write| length == 0 || self.allowed(address, length, write);
        if !readable(a[1], second, write) || !readable(a[2], third, false) {
            return Some(if lookup { 0 } else { errno::EINVAL as u64 });
        }
        let own = self.map(handle)?;
        let map = &mut own.map;
        let (r2, r3) = (a[1] as *mut u8, a[2] as *const u8);
        // SAFETY: r2 and r3 point to as many bytes as the map's shape says, as just checked.
        Some(unsafe {
            match id {
                helper::MAP_LOOKUP_ELEM => map.lookup(r2) as u64,
                helper::MAP_UPDATE_ELEM if !def.read_only => map.update(r2, r3, a[3]) as u64,
                helper::MAP_DELETE_ELEM if !def.read_only => map.delete(r2) as u64,
                helper::MAP_PUSH_ELEM => map.push(r2, a[2]) as u64,
                helper::MAP_POP_ELEM => map.pop(r2) as u64,
                helper::MAP_PEEK_ELEM => map.peek(r2) as u64,
                helper::RINGBUF_OUTPUT if def.map_type == MapType::RingBuf => {
                    map.ring_output(r2, a[2]) as u64
                }
                helper::RINGBUF_RESERVE if def.map_type == MapType::RingBuf => map.ring_reserve(a[1]) as u64,
                helper::RINGBUF_QUERY if def.map_type == MapType::RingBuf => map.ring_query(a[1]),
                helper::RINGBUF_RESERVE => 0,
                _ => errno::EINVAL as u64,
            }
        })
    }

    fn print(&mut self, format: &[u8], numbers: &[u64]) -> u64 {
        let mut line = String::new();
        let count = printk::values(format);
        if count.is_ok_and(|n| n > numbers.len()) || printk::write(&mut line, format, |n| numbers[n]).is_err()
        {
            return errno::EINVAL as u64;
        }
        if self.printed.len() < LINES {
            self.printed.push(line.trim_end().to_string());
        }
        line.len() as u64
    }

    /// What the maps hold, a line or more for each.
    pub fn describe(&self) -> Vec<String> {
        self.maps.iter().flat_map(describe).collect()
    }
}

/// Entries of a map that are shown.
const SHOWN: u32 = 16;

fn describe(own: &Own) -> Vec<String> {
    let def = *own.map.def();
    let mut lines = vec![format!("map '{}' ({}):", own.name, def.map_type.words())];
    let hex = |p: *const u8, n: u32| -> String {
        // SAFETY: a value of the map, or a key of this function's own, of so many bytes; nothing runs now.
        let bytes = unsafe { core::slice::from_raw_parts(p, n as usize) };
        bytes.iter().take(64).map(|b| format!("{b:02x}")).collect()
    };
    match def.map_type {
        MapType::Array | MapType::PercpuArray => {
            let zero = |p: *const u8| hex(p, def.value_size).bytes().all(|b| b == b'0');
            let set = (0..def.max_entries).filter(|i| !zero(own.map.element(*i)));
            let shown: Vec<String> = set
                .take(SHOWN as usize)
                .map(|i| format!("  [{i}] = {}", hex(own.map.element(i), def.value_size)))
                .collect();
            if shown.is_empty() {
                lines.push("  all zeros".into());
            }
            lines.extend(shown);
        }
        MapType::RingBuf => {
            // SAFETY: the ring's pages, mapped in a row; the program does not run, and nobody else consumes.
            let consumer = unsafe { Consumer::new(own.map.base(), def.max_entries) };
            let Some(mut consumer) = consumer else { return lines };
            let mut count = 0;
            while let Some(line) = consumer.next(|r| hex(r.bytes.as_ptr(), r.bytes.len() as u32)) {
                if count < SHOWN {
                    lines.push(format!("  record: {line}"));
                }
                count += 1;
            }
            lines.push(format!("  {count} record{}", if count == 1 { "" } else { "s" }));
        }
        MapType::Queue | MapType::Stack => {
            let mut copy = own.map.clone();
            let mut value = vec![0; def.value_size as usize];
            let mut count = 0;
            // SAFETY: the buffer has the value's size. Taking is what empties it; nothing runs any more.
            while unsafe { copy.pop(value.as_mut_ptr()) } == 0 {
                if count < SHOWN {
                    lines.push(format!("  next: {}", hex(value.as_ptr(), def.value_size)));
                }
                count += 1;
            }
            lines.push(format!("  {count} values"));
        }
        MapType::Hash | MapType::PercpuHash | MapType::LruHash => {
            let mut count = 0;
            own.map.for_each(|key, value| {
                if count < SHOWN {
                    lines.push(format!("  {} = {}", hex(key, def.key_size), hex(value, def.value_size)));
                }
                count += 1;
            });
            lines.push(format!("  {count} entries"));
        }
    }
    lines
}

impl interp::Memory for World {
    fn load(&mut self, address: u64, size: interp::Size) -> Option<u64> {
        let bytes = self.bytes(address, size.bytes() as u64)?;
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
    fn store(&mut self, address: u64, size: interp::Size, value: u64) -> Option<()> {
        if !self.allowed(address, size.bytes() as u64, true) {
            return None;
        }
        let bytes = value.to_le_bytes();
        // SAFETY: live writable memory of the run, as just checked.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, size.bytes()) };
        Some(())
    }
}

impl interp::World for World {
    fn helper(&mut self, id: u64, args: [u64; 5]) -> Option<u64> {
        self.call(id, args)
    }
    fn resolve(&self, source: u8, imm: i32, next: i32) -> Option<u64> {
        self.address(source, imm, next)
    }
}
