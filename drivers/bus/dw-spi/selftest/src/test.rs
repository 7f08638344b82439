//! The test.

use alloc::string::{String, ToString};
use axiom_bus::Wait;
use axiom_dw_spi::DwSpi;
use axiom_mmio::{Block, Mmio};
use axiom_rp1_client::{Registers, Served, interrupt, open};
use axiom_runtime::proto::supervisor;
use axiom_runtime::{
    Bit, Bits, Buffer, Class, Notification, Pages, Runtime, Slots, Timer, call, plain, time,
};
use bcm2712_pac::rp1::CLK_SYS_HZ;
use bcm2712_pac::rp1::gpio::{self, IoBank, SYS_RIO};
use bcm2712_pac::rp1::rio::{self, Rio};
use embedded_hal::digital::OutputPin;
use embedded_hal::spi::{MODE_0, MODE_1, MODE_2, MODE_3, SpiBus};

axiom_runtime::entry!(main);
axiom_runtime::takes!(include_str!("../takes.toml"));

const HZ: u32 = 10_000_000;
const PATIENCE_NS: u64 = 100_000_000;
const CHIP_SELECT: u8 = 8;
const PAGE: usize = 256;
const BUSY: u8 = 1;

struct Waiter {
    served: Served,
    bit: Bit,
    timer: (Timer, Bit),
    deadline: u64,
    /// Interrupts that were waited for.
    interrupts: u32,
}

impl Wait for Waiter {
    fn begin(&mut self) {
        self.deadline = time::ticks() + time::from_nanoseconds(PATIENCE_NS);
        // A timer that cannot be armed shows as a wait without an end, which the run's time limit ends.
        let _ = self.timer.0.arm(self.deadline, 0);
    }
    fn wait(&mut self) -> bool {
        loop {
            let signals = Notification::OWN.wait();
            if signals.has(self.bit) {
                self.interrupts += 1;
                return true;
            }
            if signals.has(self.timer.1) && time::ticks() >= self.deadline {
                return false;
            }
        }
    }
    fn handled(&mut self) {
        self.served.signal();
    }
}

type Bus = DwSpi<Mmio, Waiter>;

/// GPIO8 as chip select.
struct Select(Block<Rio, Mmio>);

impl embedded_hal::digital::ErrorType for Select {
    type Error = core::convert::Infallible;
}
impl OutputPin for Select {
    fn set_low(&mut self) -> Result<(), Self::Error> {
        self.0.clear(rio::OUT, 1 << CHIP_SELECT);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Self::Error> {
        self.0.set(rio::OUT, 1 << CHIP_SELECT);
        Ok(())
    }
}

struct World {
    rt: Runtime,
    slots: Slots,
    pages: Pages,
    bits: Bits,
}

/// SYS_RIO's pages follow IO_BANK's in what is mapped for `gpio`.
const RIO_AT: usize = 4 * 4096;

impl World {
    /// Where a peripheral's registers are mapped, once.
    fn registers(&mut self, name: &str) -> Result<Registers, String> {
        let found = open(self.rt, &mut self.slots, &mut self.pages, name);
        found.map_err(|f| alloc::format!("{name}: {f}"))
    }

    fn bus(&mut self, name: &str) -> Result<Bus, String> {
        let registers = self.registers(name)?;
        let bit = self.bits.take(Class::Doorbell).ok_or("no bit of the notification is left")?;
        let served =
            interrupt(self.rt, &mut self.slots, name, bit).map_err(|f| alloc::format!("{name}: {f}"))?;
        let timer = self.rt.timer("wait").ok_or("the manifest gives this server no timer")?;
        let waiter = Waiter { served, bit, timer, deadline: 0, interrupts: 0 };
        DwSpi::new(registers.whole(), waiter, CLK_SYS_HZ, HZ, MODE_0).map_err(|e| e.to_string())
    }

    /// GPIO8, high.
    fn select(&mut self) -> Result<Select, String> {
        let registers = self.registers("gpio")?;
        let (bank, rio): (Block<IoBank, _>, Block<Rio, _>) =
            registers.block(0).zip(registers.block(RIO_AT)).ok_or("gpio: too few pages of registers")?;
        rio.set(rio::OUT, 1 << CHIP_SELECT);
        rio.set(rio::OE, 1 << CHIP_SELECT);
        bank.modify(gpio::control(CHIP_SELECT), |c| c.with_function(SYS_RIO));
        Ok(Select(rio))
    }
}

/// The flash behind its chip select.
struct Flash {
    bus: Bus,
    select: Select,
}

impl Flash {
    /// One message: bytes out, then bytes in.
    fn message(&mut self, out: &[u8], back: &mut [u8]) -> Result<(), String> {
        let Ok(()) = self.select.set_low();
        let done = self.bus.write(out).and_then(|()| self.bus.read(back));
        let Ok(()) = self.select.set_high();
        done.map_err(|e| e.to_string())
    }

    /// A message that changes something: until it is done.
    fn change(&mut self, out: &[u8]) -> Result<(), String> {
        self.message(&[0x06], &mut [])?;
        self.message(out, &mut [])?;
        let mut status = [BUSY];
        while status[0] & BUSY != 0 {
            self.message(&[0x05], &mut status)?;
        }
        Ok(())
    }
}

/// Bytes that no shift and no wire that is stuck leaves as they are.
fn pattern(seed: usize) -> [u8; PAGE] {
    core::array::from_fn(|i| (i * 167 + seed * 59 + 13) as u8)
}

fn wire(bus: &mut Bus) -> Result<(), String> {
    for (number, mode) in [MODE_0, MODE_1, MODE_2, MODE_3].into_iter().enumerate() {
        bus.configure(mode);
        for length in [1, 63, 64, 65, PAGE] {
            let sent = pattern(number);
            let mut bytes = sent;
            bus.transfer_in_place(&mut bytes[..length]).map_err(|e| e.to_string())?;
            if bytes != sent {
                return Err(alloc::format!("mode {number}, {length} bytes: what came is not what was sent"));
            }
        }
    }
    Ok(())
}

fn flash(f: &mut Flash, erase: bool) -> Result<(), String> {
    let mut id = [0; 3];
    f.message(&[0x9f], &mut id)?;
    plain!("flash: identification {:02x} {:02x} {:02x}", id[0], id[1], id[2]);
    if id[0] == 0 || id[0] == 0xff {
        return Err("no flash answers".into());
    }
    if !erase {
        return Ok(());
    }
    f.change(&[0x20, 0, 0, 0])?;
    let mut bytes = [0; PAGE];
    f.message(&[0x03, 0, 0, 0], &mut bytes)?;
    if bytes != [0xff; PAGE] {
        return Err("the sector is not erased".into());
    }
    let mut out = [0; PAGE + 4];
    out[0] = 0x02;
    out[4..].copy_from_slice(&pattern(9));
    f.change(&out)?;
    f.message(&[0x03, 0, 0, 0], &mut bytes)?;
    if bytes != pattern(9) {
        return Err("what was read is not what was written".into());
    }
    plain!("flash: a sector erased, a page written and read back");
    Ok(())
}

fn test(rt: Runtime) -> Result<(), String> {
    let env = rt.env();
    let mut world = World { rt, slots: Slots::new(env), pages: Pages::new(env.scratch), bits: Bits::new() };
    let mut loopback = world.bus("spi1")?;
    wire(&mut loopback)?;
    plain!("spi1: what is sent comes back in all modes, {} interrupts", loopback.waiter().interrupts);
    let bus = world.bus("spi0")?;
    let mut f = Flash { bus, select: world.select()? };
    flash(&mut f, rt.arg("erase") == Some("yes"))?;
    plain!("spi0: {} interrupts", f.bus.waiter().interrupts);
    Ok(())
}

fn main(rt: Runtime) -> ! {
    rt.ready();
    let failure = test(rt).err().unwrap_or_default();
    if let Some(init) = rt.channel("init") {
        let request = supervisor::Request::Finish { failure: &failure };
        // There is nobody else to tell.
        let _ = call::<_, supervisor::Reply>(init, supervisor::INTERFACE, &request, &mut Buffer::new());
    }
    loop {
        Notification::OWN.wait();
    }
}
