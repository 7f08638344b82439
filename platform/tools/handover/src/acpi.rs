//! The ACPI tables of QEMU's q35, as far as a kernel reads them, built from nothing: a case changes one thing of them.
//!
//! Layouts: ACPI 6.5, chapter 5; IA-PC HPET 1.0a, 3.2.4; PCI Firmware 3.3 (MCFG).

/// Bytes of a table's header.
const HEADER: usize = 36;

/// Where damage is done, and what is different.
#[derive(Clone)]
pub struct Tables {
    /// With 64-bit addresses (revision 2, XSDT), or with the old list of 32-bit ones.
    pub is_extended: bool,
    /// Tables whose checksum is wrong; `RSDP` is the root pointer.
    pub damaged: Vec<[u8; 4]>,
    /// Tables that are not there.
    pub absent: Vec<[u8; 4]>,
    /// Where the local APIC is.
    pub local_apic: u32,
    /// I/O APICs: all the same one.
    pub ioapics: usize,
    /// Where that is.
    pub ioapic: u32,
    /// Bytes at the end of the table of interrupt controllers.
    pub more_controllers: Vec<u8>,
    /// Where the HPET is.
    pub hpet: u64,
    /// The power management timer's port.
    pub pm_timer: u32,
    /// A length to write into the table APIC's header.
    pub wrong_length: Option<u32>,
}

impl Default for Tables {
    fn default() -> Self {
        Tables {
            is_extended: false,
            damaged: Vec::new(),
            absent: Vec::new(),
            local_apic: 0xfee0_0000,
            ioapics: 1,
            ioapic: 0xfec0_0000,
            more_controllers: Vec::new(),
            hpet: 0xfed0_0000,
            pm_timer: 0x608,
            wrong_length: None,
        }
    }
}

/// Sets the byte that makes a sum 0.
fn settle(bytes: &mut [u8], checksum_at: usize) {
    bytes[checksum_at] = 0;
    bytes[checksum_at] = bytes.iter().fold(0u8, |sum, b| sum.wrapping_sub(*b));
}

impl Tables {
    fn table(&self, signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut table = signature.to_vec();
        table.extend(((HEADER + body.len()) as u32).to_le_bytes());
        table.extend([1, 0]);
        table.extend(b"AXIOM HANDOVER");
        table.resize(HEADER, 0);
        table.extend(body);
        settle(&mut table, 9);
        if self.damaged.contains(signature) {
            table[9] = table[9].wrapping_add(1);
        }
        if let (b"APIC", Some(length)) = (signature, self.wrong_length) {
            table[4..8].copy_from_slice(&length.to_le_bytes());
        }
        table
    }

    fn controllers(&self) -> Vec<u8> {
        let mut body = [self.local_apic.to_le_bytes(), 1u32.to_le_bytes()].concat();
        body.extend([0, 8, 0, 0, 1, 0, 0, 0]);
        for id in 0..self.ioapics {
            body.extend([1, 12, id as u8, 0]);
            body.extend(self.ioapic.to_le_bytes());
            body.extend(0u32.to_le_bytes());
        }
        for (source, flags) in [(0u8, 0u16), (5, 13), (9, 13), (10, 13), (11, 13)] {
            body.extend([2, 10, 0, source]);
            body.extend(u32::from(if source == 0 { 2 } else { source }).to_le_bytes());
            body.extend(flags.to_le_bytes());
        }
        body.extend(&self.more_controllers);
        body
    }

    /// All of them for an address, one after the other; the root pointer is the first.
    pub fn build(&self, at: u64) -> Vec<u8> {
        let mut hpet = vec![0; 20];
        hpet[..4].copy_from_slice(&0x8086_a201u32.to_le_bytes());
        hpet[8..16].copy_from_slice(&self.hpet.to_le_bytes());
        let mut fixed = vec![0; 116 - HEADER];
        fixed[76 - HEADER..][..4].copy_from_slice(&self.pm_timer.to_le_bytes());
        fixed[91 - HEADER] = 4;
        let mut space = vec![0; 8];
        space.extend(0xb000_0000u64.to_le_bytes());
        space.extend([0, 0, 0, 255, 0, 0, 0, 0]);
        let there = |signature: &[u8; 4]| !self.absent.contains(signature);
        let tables: Vec<Vec<u8>> =
            [(b"FACP", fixed), (b"APIC", self.controllers()), (b"HPET", hpet), (b"MCFG", space)]
                .iter()
                .filter(|(signature, _)| there(signature))
                .map(|(signature, body)| self.table(signature, body))
                .collect();
        const ROOT: usize = 40;
        let width = if self.is_extended { 8 } else { 4 };
        let list_at = at + ROOT as u64;
        let mut next = list_at + (HEADER + width * tables.len()).next_multiple_of(8) as u64;
        let mut addresses = Vec::new();
        for table in &tables {
            addresses.extend(&next.to_le_bytes()[..width]);
            next += table.len().next_multiple_of(8) as u64;
        }
        let list = self.table(if self.is_extended { b"XSDT" } else { b"RSDT" }, &addresses);

        let mut root = b"RSD PTR ".to_vec();
        root.extend([0; 7]);
        root.push(if self.is_extended { 2 } else { 0 });
        root.extend((if self.is_extended { 0 } else { list_at as u32 }).to_le_bytes());
        root.extend(36u32.to_le_bytes());
        root.extend((if self.is_extended { list_at } else { 0 }).to_le_bytes());
        root.extend([0; 4]);
        settle(&mut root[..20], 8);
        settle(&mut root, 32);
        if self.damaged.contains(b"RSDP") {
            root[8] = root[8].wrapping_add(1);
        }
        root.resize(ROOT, 0);
        let mut all = root;
        for table in std::iter::once(&list).chain(&tables) {
            all.extend(table);
            all.resize(all.len().next_multiple_of(8), 0);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looked at as a kernel does: every address of the list leads to a table that adds up, but for the one that is damaged.
    #[test]
    fn tables_add_up_unless_they_are_to_be_damaged() {
        let sum = |b: &[u8]| b.iter().fold(0u8, |s, b| s.wrapping_add(*b));
        for is_extended in [false, true] {
            for damaged in [None, Some(*b"RSDP"), Some(*b"HPET"), Some(*b"APIC")] {
                let at = 0x10_2000u64;
                let tables =
                    Tables { is_extended, damaged: damaged.into_iter().collect(), ..Tables::default() };
                let all = tables.build(at);
                let long =
                    |o: usize, n: usize| all[o..o + n].iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
                assert_eq!(sum(&all[..20]) == 0, damaged != Some(*b"RSDP"));
                let list = (if is_extended { long(24, 8) } else { long(16, 4) } - at) as usize;
                let width = if is_extended { 8 } else { 4 };
                let length = long(list + 4, 4) as usize;
                assert_eq!((length - HEADER) / width, 4);
                for i in 0..4 {
                    let table = (long(list + HEADER + i * width, width) - at) as usize;
                    let bytes = &all[table..table + long(table + 4, 4) as usize];
                    assert_eq!(sum(bytes) == 0, damaged.is_none_or(|d| bytes[..4] != d), "{:?}", &bytes[..4]);
                }
            }
        }
    }
}
