//! The ACPI tables that a kernel needs: interrupt controllers, HPET, the fixed description, configuration space.
//!
//! Tables and their fields: ACPI specification 6.5, chapter 5; HPET: IA-PC HPET 1.0a, section 3.2.4; MCFG: PCI Firmware 3.3. The crate
//! `acpi` was not taken: it wants a heap or mappings of its own for what are six fields here, and it trusts lengths.
use super::{Bad, Physical, Root, bytes, u32_at, u64_at};

/// Most I/O APICs.
pub const IOAPICS: usize = 8;
/// Most overrides of the old interrupts: there are 16.
pub const OVERRIDES: usize = 16;
/// No table that is read is longer.
const MOST: u32 = 1 << 20;
const HEADER: u32 = 36;

/// An I/O APIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ioapic {
    /// Its registers.
    pub address: u64,
    /// The first global interrupt of its pins.
    pub base: u32,
}

/// Where an old interrupt is wired otherwise than to its own number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// The old number.
    pub source: u8,
    /// The global interrupt.
    pub global: u32,
    /// Polarity in bits 0 and 1, trigger in bits 2 and 3.
    pub flags: u16,
}

/// The power management timer: 3.579545 MHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PmTimer {
    /// Its port.
    pub port: u16,
    /// Whether it has 32 bits; otherwise 24.
    pub is_32_bits: bool,
}

/// What the tables say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// The local APIC's registers.
    pub local_apic: u64,
    /// Processors that are enabled.
    pub processors: u32,
    ioapics: [Ioapic; IOAPICS],
    ioapic_count: usize,
    overrides: [Override; OVERRIDES],
    override_count: usize,
    /// The HPET's registers.
    pub hpet: Option<u64>,
    /// The power management timer.
    pub pm_timer: Option<PmTimer>,
    /// PCI configuration space, segment 0: its address and last bus.
    pub config_space: Option<(u64, u8)>,
    /// The root pointer's first 36 bytes, for whoever reads the tables again.
    pub root: Option<[u8; 36]>,
}

impl Tables {
    /// The I/O APICs.
    pub fn ioapics(&self) -> &[Ioapic] {
        &self.ioapics[..self.ioapic_count]
    }

    /// The overrides.
    pub fn overrides(&self) -> &[Override] {
        &self.overrides[..self.override_count]
    }
}

/// Bytes that add up to 0.
fn adds_up(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b)) == 0
}

/// The root pointer: where the boot loader says, or else below 1 MiB, where the firmware of a BIOS puts it.
fn root(memory: &impl Physical, known: Option<Root>) -> Result<[u8; 36], Bad> {
    let found = match known {
        Some(Root::Copied(copy)) => copy,
        Some(Root::At(at)) => {
            let mut copy = [0; 36];
            if !memory.read(at, &mut copy) && !memory.read(at, &mut copy[..20]) {
                return Err(Bad::Reach("the ACPI root pointer", at));
            }
            copy
        }
        None => (0xe_0000..0x10_0000)
            .step_by(16)
            .filter_map(|at| bytes::<36>(memory, at))
            .find(|copy| copy.starts_with(b"RSD PTR ") && adds_up(&copy[..20]))
            .ok_or(Bad::NoRoot)?,
    };
    if !found.starts_with(b"RSD PTR ") || !adds_up(&found[..20]) {
        return Err(Bad::Checksum(*b"RSDP", if let Some(Root::At(at)) = known { at } else { 0 }));
    }
    Ok(found)
}

/// A table's signature and length, once its bytes add up.
fn header(memory: &impl Physical, at: u64) -> Result<([u8; 4], u32), Bad> {
    let head = bytes::<8>(memory, at).ok_or(Bad::Reach("an ACPI table", at))?;
    let signature = [head[0], head[1], head[2], head[3]];
    let length = u32_at(&head, 4);
    if !(HEADER..=MOST).contains(&length) {
        return Err(Bad::Length(signature, at, length));
    }
    let (mut sum, mut done) = (0u8, 0);
    while done < length {
        let mut piece = [0; 64];
        let piece = &mut piece[..64.min((length - done) as usize)];
        if !memory.read(at + u64::from(done), piece) {
            return Err(Bad::Reach("an ACPI table", at));
        }
        sum = piece.iter().fold(sum, |sum, b| sum.wrapping_add(*b));
        done += piece.len() as u32;
    }
    if sum != 0 {
        return Err(Bad::Checksum(signature, at));
    }
    Ok((signature, length))
}

/// Reads the tables. A table that is not used here may be damaged; one that is used may not.
pub fn read(memory: &impl Physical, known: Option<Root>) -> Result<Tables, Bad> {
    let root = root(memory, known)?;
    let mut tables = Tables { root: Some(root), ..Tables::default() };
    // Revision 2 has the table with 64-bit addresses; some firmware leaves one of the two empty.
    let extended = if root[15] >= 2 { u64_at(&root, 24) } else { 0 };
    let (list, width) = if extended != 0 { (extended, 8) } else { (u32_at(&root, 16).into(), 4) };
    let (_, length) = header(memory, list)?;
    let mut has_controllers = false;
    for i in 0..(length - HEADER) / width {
        let place = list + u64::from(HEADER + i * width);
        let at = match width {
            8 => bytes::<8>(memory, place).map(u64::from_le_bytes),
            _ => bytes::<4>(memory, place).map(|b| u32::from_le_bytes(b).into()),
        };
        let at = at.ok_or(Bad::Reach("the list of ACPI tables", place))?;
        let Some(signature) = bytes::<4>(memory, at) else { continue };
        match &signature {
            b"APIC" => {
                controllers(memory, at, header(memory, at)?.1, &mut tables)?;
                has_controllers = true;
            }
            b"HPET" => tables.hpet = hpet(memory, at)?,
            b"FACP" => tables.pm_timer = fixed(memory, at)?,
            b"MCFG" => tables.config_space = config_space(memory, at)?,
            _ => {}
        }
    }
    if !has_controllers {
        return Err(Bad::Missing(*b"APIC", "the interrupt controllers are unknown"));
    }
    Ok(tables)
}

fn controllers(memory: &impl Physical, at: u64, length: u32, tables: &mut Tables) -> Result<(), Bad> {
    const LOCAL: u8 = 0;
    const IOAPIC: u8 = 1;
    const OVERRIDE: u8 = 2;
    const LOCAL_ADDRESS: u8 = 5;
    let gone = || Bad::Reach("the ACPI table APIC", at);
    if length < HEADER + 8 {
        return Err(Bad::Length(*b"APIC", at, length));
    }
    tables.local_apic = u32_at(&bytes::<8>(memory, at + u64::from(HEADER)).ok_or_else(gone)?, 0).into();
    let mut offset = HEADER + 8;
    while offset < length {
        let place = at + u64::from(offset);
        let left = length - offset;
        let head = if left >= 2 { bytes::<2>(memory, place).ok_or_else(gone)? } else { [0, left as u8] };
        let [kind, size] = head;
        let needed = match kind {
            LOCAL => 8,
            IOAPIC | LOCAL_ADDRESS => 12,
            OVERRIDE => 10,
            _ => 2,
        };
        if size < needed || u32::from(size) > left {
            return Err(Bad::Entry(offset, size));
        }
        let mut entry = [0; 12];
        let entry = &mut entry[..usize::from(needed)];
        if !memory.read(place, entry) {
            return Err(gone());
        }
        match kind {
            LOCAL => tables.processors += u32_at(entry, 4) & 1,
            IOAPIC => {
                let free = tables.ioapics.get_mut(tables.ioapic_count).ok_or(Bad::Ioapics(IOAPICS))?;
                *free = Ioapic { address: u32_at(entry, 4).into(), base: u32_at(entry, 8) };
                tables.ioapic_count += 1;
            }
            // More than there are old interrupts are rubbish, and of no use to the kernel.
            OVERRIDE => {
                if let Some(free) = tables.overrides.get_mut(tables.override_count) {
                    let flags = u16::from_le_bytes([entry[8], entry[9]]);
                    *free = Override { source: entry[3], global: u32_at(entry, 4), flags };
                    tables.override_count += 1;
                }
            }
            LOCAL_ADDRESS => tables.local_apic = u64_at(entry, 4),
            _ => {}
        }
        offset += u32::from(size);
    }
    Ok(())
}

/// The HPET's address, if it is in memory.
fn hpet(memory: &impl Physical, at: u64) -> Result<Option<u64>, Bad> {
    let (signature, length) = header(memory, at)?;
    if length < 56 {
        return Err(Bad::Length(signature, at, length));
    }
    let body = bytes::<56>(memory, at).ok_or(Bad::Reach("the ACPI table HPET", at))?;
    let address = u64_at(&body, 44);
    Ok((body[40] == 0 && address != 0).then_some(address))
}

/// The power management timer, if there is one.
fn fixed(memory: &impl Physical, at: u64) -> Result<Option<PmTimer>, Bad> {
    let (signature, length) = header(memory, at)?;
    if length < 116 {
        return Err(Bad::Length(signature, at, length));
    }
    let body = bytes::<116>(memory, at).ok_or(Bad::Reach("the ACPI table FACP", at))?;
    let (port, bytes, flags) = (u32_at(&body, 76), body[91], u32_at(&body, 112));
    let port = u16::try_from(port).unwrap_or(0);
    Ok((port != 0 && bytes == 4).then_some(PmTimer { port, is_32_bits: flags >> 8 & 1 != 0 }))
}

/// Configuration space of segment 0 from bus 0 on.
fn config_space(memory: &impl Physical, at: u64) -> Result<Option<(u64, u8)>, Bad> {
    let (_, length) = header(memory, at)?;
    for offset in (44..length.saturating_sub(15)).step_by(16) {
        let entry =
            bytes::<16>(memory, at + u64::from(offset)).ok_or(Bad::Reach("the ACPI table MCFG", at))?;
        if entry[8..11] == [0; 3] {
            return Ok(Some((u64_at(&entry, 0), entry[11])));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
