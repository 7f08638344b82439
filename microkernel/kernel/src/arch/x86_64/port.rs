//! I/O ports.
use axiom_objects::arch::ports::{Access, Ports};
use core::arch::asm;

/// The root task's right to hand ports out.
pub fn all() -> Option<Ports> {
    Some(Ports::Control)
}

/// Their number for debugging: the right to hand ports out, or ports.
pub fn identify(ports: Ports) -> u64 {
    match ports {
        Ports::Control => 31,
        Ports::Range { .. } => 19,
    }
}

/// Reads a byte. Which ports have effects is for whoever calls to know.
pub fn inb(port: u16) -> u8 {
    let value: u8;
    // SAFETY: an access to a port changes no memory of the kernel's: devices that could (bus masters) are off, or are whose
    // holder was given the ports.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes a byte.
pub fn outb(port: u16, value: u8) {
    // SAFETY: as for `inb`.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads 32 bits.
pub fn inl(port: u16) -> u32 {
    let value: u32;
    // SAFETY: as for `inb`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Writes 32 bits.
pub fn outl(port: u16, value: u32) {
    // SAFETY: as for `inb`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) };
}

fn inw(port: u16) -> u16 {
    let value: u16;
    // SAFETY: as for `inb`.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack, preserves_flags)) };
    value
}

fn outw(port: u16, value: u16) {
    // SAFETY: as for `inb`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads or writes a port for user space: what was read.
pub fn access(access: Access) -> u64 {
    match access {
        Access::In { port, bytes: 1 } => inb(port).into(),
        Access::In { port, bytes: 2 } => inw(port).into(),
        Access::In { port, .. } => inl(port).into(),
        Access::Out { port, bytes, data } => {
            match bytes {
                1 => outb(port, data as u8),
                2 => outw(port, data as u16),
                _ => outl(port, data),
            }
            0
        }
    }
}
