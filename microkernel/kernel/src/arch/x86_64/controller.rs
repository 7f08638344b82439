//! The local APIC (xAPIC: registers in memory) and the I/O APICs (82093AA); the old controllers are shut.
//!
//! Every interrupt has a vector of its own and goes to the boot core. A level-triggered pin is masked until its handler acknowledges; an edge
//! that came while its pin is masked would be lost, so those pins stay open.
use super::cpu::{self, msr, read_msr, write_msr};
use super::port::outb;

const ID: usize = 0x20;
const VERSION: usize = 0x30;
const TASK_PRIORITY: usize = 0x80;
const END: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const IN_SERVICE: usize = 0x100;
const REQUESTED: usize = 0x200;
const TIMER: usize = 0x320;
const THERMAL: usize = 0x330;
const COUNTERS: usize = 0x340;
const LINT0: usize = 0x350;
const LINT1: usize = 0x360;
const ERROR: usize = 0x370;
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVIDE: usize = 0x3e0;

const MASKED: u32 = 1 << 16;
const NMI: u32 = 4 << 8;
const ENABLED: u32 = 1 << 8;
const BY_DEADLINE: u32 = 2 << 17;
const BY_ONE: u32 = 0xb;

/// The vector of interrupts that were gone when they were asked for.
pub const SPURIOUS_VECTOR: u32 = 0xff;
/// The timer's vector, as seL4 has it.
pub const TIMER_VECTOR: u32 = 0x9d;

/// A local APIC whose registers are mapped.
#[derive(Clone, Copy)]
pub struct Local(usize);

impl Local {
    fn get(self, register: usize) -> u32 {
        // SAFETY: the registers are mapped as a device's (condition of `start`); each is read as 32 bits, which has no effect.
        unsafe { ((self.0 + register) as *const u32).read_volatile() }
    }

    fn put(self, register: usize, value: u32) {
        // SAFETY: as above; what is written says how interrupts reach this core, and nothing else.
        unsafe { ((self.0 + register) as *mut u32).write_volatile(value) };
    }

    /// Switches it on, with everything masked but what comes at any time; nothing is in service.
    ///
    /// # Safety
    /// `registers` is where the processor's local APIC is mapped.
    pub unsafe fn start(registers: usize) -> Local {
        const X2: u64 = 1 << 10;
        const ON: u64 = 1 << 11;
        let base = read_msr(msr::APIC_BASE);
        // SAFETY: the register is there where there is an APIC. Registers in memory need the older mode, which is reached through off.
        unsafe {
            if base & X2 != 0 {
                write_msr(msr::APIC_BASE, base & !(X2 | ON));
            }
            write_msr(msr::APIC_BASE, base & !X2 | ON);
        }
        let local = Local(registers);
        local.put(SPURIOUS, ENABLED | SPURIOUS_VECTOR);
        local.put(TASK_PRIORITY, 0);
        let entries = local.get(VERSION) >> 16 & 0xff;
        local.put(TIMER, MASKED | TIMER_VECTOR);
        local.put(LINT0, MASKED);
        local.put(LINT1, NMI);
        local.put(ERROR, MASKED | SPURIOUS_VECTOR);
        if entries >= 4 {
            local.put(COUNTERS, MASKED);
        }
        if entries >= 5 {
            local.put(THERMAL, MASKED);
        }
        local.put(DIVIDE, BY_ONE);
        local.put(INITIAL_COUNT, 0);
        // What firmware left in service would keep others out: at most one for each vector.
        for _ in 0..256 {
            if (0..8).all(|i| local.get(IN_SERVICE + 0x10 * i) == 0) {
                break;
            }
            local.put(END, 0);
        }
        local
    }

    /// Its identifier.
    pub fn id(self) -> u32 {
        self.get(ID) >> 24
    }

    /// Its version register.
    pub fn version(self) -> u32 {
        self.get(VERSION)
    }

    /// The interrupt that is in service is dealt with.
    #[inline(always)]
    pub fn end(self) {
        self.put(END, 0);
    }

    /// Whether one of the kernel's vectors waits.
    pub fn is_requested(self) -> bool {
        (1..5).any(|i| self.get(REQUESTED + 0x10 * i) != 0)
    }

    /// Opens the timer: counting down, or by the counter's deadline.
    pub fn open_timer(self, by_deadline: bool) {
        self.put(TIMER, TIMER_VECTOR | if by_deadline { BY_DEADLINE } else { 0 });
        // The first write of a deadline must not pass the one above (SDM 3A, 11.5.4.1).
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }

    /// Counts down from so many; 0 stops.
    #[inline(always)]
    pub fn count_down(self, count: u32) {
        self.put(INITIAL_COUNT, count);
    }

    /// How far it has counted.
    pub fn count(self) -> u32 {
        self.get(CURRENT_COUNT)
    }
}

/// An I/O APIC whose registers are mapped.
#[derive(Clone, Copy)]
pub struct Io(usize);

const IO_VERSION: u32 = 1;
const IO_ENTRIES: u32 = 0x10;

impl Io {
    /// Masks all its pins.
    ///
    /// # Safety
    /// `registers` is where the I/O APIC is mapped.
    pub unsafe fn start(registers: usize) -> Io {
        let io = Io(registers);
        for pin in 0..io.pins() {
            io.put(IO_ENTRIES + 2 * pin, MASKED);
            io.put(IO_ENTRIES + 2 * pin + 1, 0);
        }
        io
    }

    fn select(self, register: u32) -> *mut u32 {
        // SAFETY: the registers are mapped as a device's (condition of `start`): the first chooses what the second shows.
        unsafe { (self.0 as *mut u32).write_volatile(register) };
        (self.0 + 0x10) as *mut u32
    }

    fn get(self, register: u32) -> u32 {
        // SAFETY: as in `select`; reading has no effect.
        unsafe { self.select(register).read_volatile() }
    }

    fn put(self, register: u32, value: u32) {
        // SAFETY: as in `select`; what is written says how a pin reaches the core.
        unsafe { self.select(register).write_volatile(value) };
    }

    /// Its version register.
    pub fn version(self) -> u32 {
        self.get(IO_VERSION)
    }

    /// Its pins: real ones have more than 24.
    pub fn pins(self) -> u32 {
        (self.version() >> 16 & 0xff).min(119) + 1
    }

    /// Wires a pin to a vector of a core, masked.
    pub fn wire(self, pin: u32, vector: u32, core: u32, level: bool, low: bool) {
        let (level, low) = (u32::from(level) << 15, u32::from(low) << 13);
        self.put(IO_ENTRIES + 2 * pin, MASKED);
        self.put(IO_ENTRIES + 2 * pin + 1, core << 24);
        self.put(IO_ENTRIES + 2 * pin, vector | level | low | MASKED);
    }

    /// Keeps a pin from interrupting, or lets it.
    pub fn set_masked(self, pin: u32, masked: bool) {
        let register = IO_ENTRIES + 2 * pin;
        let old = self.get(register);
        self.put(register, if masked { old | MASKED } else { old & !MASKED });
    }
}

/// Shuts the two old controllers. They are moved to vectors of their own first: even a masked one can raise its last line.
pub fn shut_old_controllers() {
    for (port, vector) in [(0x20, 0x20), (0xa0, 0x28)] {
        outb(port, 0x11);
        outb(port + 1, vector);
        outb(port + 1, if port == 0x20 { 4 } else { 2 });
        outb(port + 1, 1);
        outb(port + 1, 0xff);
    }
}

/// Whether there is a local APIC.
pub fn is_there() -> bool {
    cpu::cpuid(1, 0).edx >> 9 & 1 != 0
}
