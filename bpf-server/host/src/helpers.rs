//! The helpers, by Linux's numbers. Each trusts its arguments as far as the verifier proved them and no further: map
//! handles and flags are checked again, because that costs a compare.

use crate::arch;
use crate::{Actuators, Helper, Runtime};
use axiom_bpf_isa::{MapType, abi, helper, printk};
use axiom_bpf_maps::{Map, errno};
use axiom_proto::gpio::{Channel, Grants, Line};
use core::fmt::Write;

/// Lines that programs print between two refills.
pub(crate) const LOG_BURST: u32 = 32;
const EINVAL: u64 = errno::EINVAL as u64;

/// Converts counter ticks to nanoseconds: `ticks * multiplier >> 32`.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    multiplier: u64,
}

impl Clock {
    /// A clock for a counter of this many ticks per second.
    pub fn new(frequency: u64) -> Clock {
        Clock { multiplier: ((1_000_000_000u128 << 32) / frequency.max(1) as u128) as u64 }
    }

    /// Ticks as nanoseconds.
    #[inline]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        ((ticks as u128 * self.multiplier as u128) >> 32) as u64
    }

    /// Now, in nanoseconds of the machine's counter.
    #[inline]
    pub fn now(self) -> u64 {
        self.nanoseconds(arch::counter())
    }
}

/// The table that compiled code calls through.
pub(crate) fn table() -> [Helper; abi::HELPER_SLOTS] {
    let mut t: [Helper; abi::HELPER_SLOTS] = [unknown; abi::HELPER_SLOTS];
    t[helper::MAP_LOOKUP_ELEM as usize] = map_lookup;
    t[helper::MAP_UPDATE_ELEM as usize] = map_update;
    t[helper::MAP_DELETE_ELEM as usize] = map_delete;
    t[helper::KTIME_GET_NS as usize] = ktime_get_ns;
    t[helper::TRACE_PRINTK as usize] = trace_printk;
    t[helper::GET_SMP_PROCESSOR_ID as usize] = processor_id;
    t[helper::MAP_PUSH_ELEM as usize] = map_push;
    t[helper::MAP_POP_ELEM as usize] = map_pop;
    t[helper::MAP_PEEK_ELEM as usize] = map_peek;
    t[helper::TRACE_VPRINTK as usize] = trace_vprintk;
    t[helper::RINGBUF_OUTPUT as usize] = ringbuf_output;
    t[helper::RINGBUF_RESERVE as usize] = ringbuf_reserve;
    t[helper::RINGBUF_SUBMIT as usize] = ringbuf_submit;
    t[helper::RINGBUF_DISCARD as usize] = ringbuf_discard;
    t[helper::RINGBUF_QUERY as usize] = ringbuf_query;
    for (id, call) in [
        (helper::GPIO_GET, gpio_get as Helper),
        (helper::GPIO_SET, gpio_set),
        (helper::PWM_SET, pwm_set),
        (helper::MOTOR_EMERGENCY_STOP, motor_emergency_stop),
    ] {
        if let Some(slot) = abi::slot(id) {
            t[slot] = call;
        }
    }
    t
}

/// The runtime behind the pointer that compiled code passes on.
#[inline]
fn runtime<'a>(rt: *mut Runtime) -> &'a mut Runtime {
    // SAFETY: `Host::run` passes its own runtime, which stays where it is while a program runs; one runs at a time and
    // no helper keeps the reference.
    unsafe { &mut *rt }
}

#[inline]
fn map(rt: &mut Runtime, handle: u64) -> Option<&mut Map> {
    rt.maps.get_mut(handle as usize).and_then(|m| m.as_mut())
}

#[inline]
fn ring(rt: &mut Runtime, handle: u64) -> Option<&mut Map> {
    map(rt, handle).filter(|m| m.def().map_type == MapType::RingBuf)
}

extern "C" fn unknown(_: *mut Runtime, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    EINVAL
}

extern "C" fn map_lookup(rt: *mut Runtime, handle: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved key_size readable bytes.
        Some(m) => unsafe { m.lookup(key as *const u8) as u64 },
        None => 0,
    }
}

extern "C" fn map_update(rt: *mut Runtime, handle: u64, key: u64, value: u64, flags: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved key_size and value_size readable bytes.
        Some(m) if !m.def().read_only => unsafe {
            m.update(key as *const u8, value as *const u8, flags) as u64
        },
        _ => EINVAL,
    }
}

extern "C" fn map_delete(rt: *mut Runtime, handle: u64, key: u64, _: u64, _: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved key_size readable bytes.
        Some(m) => unsafe { m.delete(key as *const u8) as u64 },
        None => EINVAL,
    }
}

extern "C" fn ktime_get_ns(rt: *mut Runtime, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    runtime(rt).clock.now()
}

extern "C" fn processor_id(_: *mut Runtime, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    0
}

extern "C" fn ringbuf_output(
    rt: *mut Runtime,
    handle: u64,
    data: u64,
    size: u64,
    _flags: u64,
    _: u64,
) -> u64 {
    let rt = runtime(rt);
    let Some(m) = ring(rt, handle) else { return EINVAL };
    // SAFETY: the verifier proved `size` readable bytes.
    let result = unsafe { m.ring_output(data as *const u8, size) };
    if result == 0 {
        rt.produced |= 1 << (handle & 63);
    }
    result as u64
}

extern "C" fn ringbuf_reserve(rt: *mut Runtime, handle: u64, size: u64, _flags: u64, _: u64, _: u64) -> u64 {
    let rt = runtime(rt);
    let Some(m) = ring(rt, handle) else { return 0 };
    let data = m.ring_reserve(size) as u64;
    if data != 0 {
        rt.produced |= 1 << (handle & 63);
    }
    data
}

extern "C" fn ringbuf_submit(_: *mut Runtime, data: u64, _flags: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: the verifier proved that it is a live reservation, released exactly once.
    unsafe { Map::ring_commit(data as *mut u8, false) };
    0
}

extern "C" fn ringbuf_discard(_: *mut Runtime, data: u64, _flags: u64, _: u64, _: u64, _: u64) -> u64 {
    // SAFETY: as for submit.
    unsafe { Map::ring_commit(data as *mut u8, true) };
    0
}

extern "C" fn ringbuf_query(rt: *mut Runtime, handle: u64, what: u64, _: u64, _: u64, _: u64) -> u64 {
    ring(runtime(rt), handle).map_or(0, |m| m.ring_query(what))
}

/// Calls the server's outputs with the rights of the program that runs.
#[inline]
fn act(rt: *mut Runtime, f: impl FnOnce(&mut dyn Actuators, &Grants) -> i64) -> u64 {
    let rt = runtime(rt);
    let Some(actuators) = rt.actuators else { return errno::EPERM as u64 };
    let Ok(mut actuators) = actuators.try_borrow_mut() else { return errno::EBUSY as u64 };
    // SAFETY: `Host::each` sets it to the running program's identity, which does not move while it runs.
    let grants = unsafe { &(*rt.running).grants };
    f(&mut *actuators, grants) as u64
}

/// Numbers are of 32 bits, as the prototypes in C say.
#[inline]
fn number(register: u64) -> u64 {
    u64::from(register as u32)
}

extern "C" fn gpio_get(rt: *mut Runtime, chip: u64, line: u64, _: u64, _: u64, _: u64) -> u64 {
    let Some(line) = Line::from_numbers(number(chip), number(line)) else { return errno::EPERM as u64 };
    act(rt, |a, by| a.gpio_get(by, line))
}

extern "C" fn gpio_set(rt: *mut Runtime, chip: u64, line: u64, level: u64, _: u64, _: u64) -> u64 {
    let Some(line) = Line::from_numbers(number(chip), number(line)) else { return errno::EPERM as u64 };
    act(rt, |a, by| a.gpio_set(by, line, number(level) != 0))
}

extern "C" fn pwm_set(rt: *mut Runtime, chip: u64, channel: u64, duty: u64, _: u64, _: u64) -> u64 {
    let channel = Channel::from_numbers(number(chip), number(channel));
    let Some(channel) = channel else { return errno::EPERM as u64 };
    let Ok(duty) = u16::try_from(number(duty)) else { return EINVAL };
    act(rt, |a, by| a.pwm_set(by, channel, duty))
}

extern "C" fn motor_emergency_stop(rt: *mut Runtime, _: u64, _: u64, _: u64, _: u64, _: u64) -> u64 {
    act(rt, |a, by| a.motor_emergency_stop(by))
}

extern "C" fn map_push(rt: *mut Runtime, handle: u64, value: u64, flags: u64, _: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved value_size readable bytes.
        Some(m) => unsafe { m.push(value as *const u8, flags) as u64 },
        None => EINVAL,
    }
}

extern "C" fn map_pop(rt: *mut Runtime, handle: u64, value: u64, _: u64, _: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved value_size writable bytes.
        Some(m) => unsafe { m.pop(value as *mut u8) as u64 },
        None => EINVAL,
    }
}

extern "C" fn map_peek(rt: *mut Runtime, handle: u64, value: u64, _: u64, _: u64, _: u64) -> u64 {
    match map(runtime(rt), handle) {
        // SAFETY: the verifier proved value_size writable bytes.
        Some(m) => unsafe { m.peek(value as *mut u8) as u64 },
        None => EINVAL,
    }
}

/// One line for the log; what does not fit is cut, and marked.
pub(crate) struct LogLine {
    bytes: [u8; 256],
    length: usize,
    cut: bool,
}

impl LogLine {
    pub(crate) fn new() -> LogLine {
        LogLine { bytes: [0; 256], length: 0, cut: false }
    }

    /// Adds text; it never fails, it cuts.
    pub(crate) fn note(&mut self, text: core::fmt::Arguments<'_>) {
        let _ = self.write_fmt(text);
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = core::str::from_utf8(&self.bytes[..self.length]).unwrap_or("");
        text.trim_end()
    }
}

impl core::fmt::Write for LogLine {
    /// Characters that would move a terminal's cursor become spaces: a program prints lines, not screens.
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        const MARK: &str = "...";
        for c in text.chars() {
            let c = if c.is_control() { ' ' } else { c };
            if self.cut {
                return Ok(());
            }
            if self.length + c.len_utf8() + MARK.len() > self.bytes.len() {
                self.cut = true;
                self.bytes[self.length..self.length + MARK.len()].copy_from_slice(MARK.as_bytes());
                self.length += MARK.len();
                return Ok(());
            }
            self.length += c.encode_utf8(&mut self.bytes[self.length..]).len();
        }
        Ok(())
    }
}

/// Prints a line after the program's name. Returns the length of the text, or -EAGAIN if too much was printed lately, or -EINVAL
/// for a format that is not known; then nothing is printed.
fn print(rt: &mut Runtime, format: &[u8], value: impl FnMut(usize) -> u64) -> u64 {
    let mut line = LogLine::new();
    // SAFETY: `Host::each` sets it to the running program's identity, which does not move while it runs.
    let name = unsafe { (*rt.running).name };
    line.note(format_args!("{}: ", name.as_str()));
    let before = line.length;
    if printk::write(&mut line, format, value).is_err() {
        return EINVAL;
    }
    if rt.log_allowance == 0 {
        rt.log_dropped = rt.log_dropped.saturating_add(1);
        return errno::EAGAIN as u64;
    }
    rt.log_allowance -= 1;
    (rt.log)(line.as_str());
    (line.length - before) as u64
}

/// The bytes of a format.
///
/// # Safety
/// `format` points to `size` readable bytes.
unsafe fn format_bytes<'a>(format: u64, size: u64) -> &'a [u8] {
    let size = size.min(printk::MAX_FORMAT as u64) as usize;
    if size == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { core::slice::from_raw_parts(format as *const u8, size) }
}

extern "C" fn trace_printk(rt: *mut Runtime, format: u64, size: u64, a: u64, b: u64, c: u64) -> u64 {
    // SAFETY: the verifier proved `size` readable bytes.
    let bytes = unsafe { format_bytes(format, size) };
    if printk::values(bytes).is_ok_and(|n| n > 3) {
        return EINVAL;
    }
    print(runtime(rt), bytes, |n| [a, b, c].get(n).copied().unwrap_or(0))
}

extern "C" fn trace_vprintk(
    rt: *mut Runtime,
    format: u64,
    size: u64,
    data: u64,
    data_size: u64,
    _: u64,
) -> u64 {
    // SAFETY: the verifier proved `size` readable bytes.
    let bytes = unsafe { format_bytes(format, size) };
    let there = data_size / 8;
    if !data_size.is_multiple_of(8) || printk::values(bytes).is_ok_and(|n| n as u64 > there) {
        return EINVAL;
    }
    print(runtime(rt), bytes, |n| {
        // SAFETY: the verifier proved `data_size` readable bytes, and the format prints no more numbers than lie there.
        unsafe { (data as *const u64).add(n).read_unaligned() }
    })
}
