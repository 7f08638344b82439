//! Set-up, and the loop that feeds.
use axiom_runtime::proto::env::slot;
use axiom_runtime::sel4::CPtr;
use axiom_runtime::{Notification, Runtime, info, time, warn};
use axiom_watchdog::{Timeout, Watchdog};
use bcm2712_pac::{Block, Mmio};
use core::ptr::NonNull;
use core::time::Duration;

axiom_runtime::entry!(main);

/// How often it is fed within its time.
const FEEDINGS: u64 = 4;

fn main(rt: Runtime) -> ! {
    rt.ready();
    if let Err(why) = feed_for_ever(rt) {
        warn!("the watchdog does not watch: {why}");
    }
    // Without a watchdog there is nothing to do.
    loop {
        Notification(CPtr(slot::NOTIFICATION)).wait();
    }
}

fn feed_for_ever(rt: Runtime) -> Result<(), alloc::string::String> {
    use alloc::string::ToString;
    let ms = rt.arg_number("timeout_ms").ok_or("the manifest's args say no timeout_ms")?;
    let timeout = Timeout::new(Duration::from_millis(ms)).map_err(|e| e.to_string())?;
    let device = rt.env().devices.iter().find(|d| d.name == "watchdog").map(|d| d.registers);
    let base = device.filter(|r| r.len > 0).and_then(|r| NonNull::new(r.start as *mut u32));
    let base = base.ok_or("the machine has no device 'watchdog'")?;
    let (timer, _) = rt.timer(0).ok_or("the manifest grants no timer")?;
    // SAFETY: init mapped the registers of the device that the manifest calls "watchdog" for this server alone, for its life.
    let registers = Block::new(unsafe { Mmio::new(base) });
    let mut watchdog = Watchdog::new(registers, timeout);
    let cause =
        if watchdog.was_reset() { "the watchdog's, or one that software asked for" } else { "another" };
    info!("the last reset was {cause}; from now on {ms} ms without a feeding reset the board");
    let period = time::frequency() * ms / 1000 / FEEDINGS;
    timer
        .arm(time::ticks() + period, period)
        .map_err(|e| alloc::format!("its timer cannot be armed: {e:?}"))?;
    watchdog.start();
    loop {
        Notification(CPtr(slot::NOTIFICATION)).wait();
        watchdog.feed();
    }
}
