//! The file: the kernel's segments, the page of what is handed over, the module.
use crate::acpi::Tables;
use crate::elf::{self, Kernel, Segment};

/// Where what is handed over lies: above any kernel, in RAM of the smallest machine.
pub const DESCRIPTION: u64 = 0x100_0000;
/// Where the ACPI tables lie.
pub const ACPI: u64 = DESCRIPTION + 0x2000;
/// A page that a case may put a device's registers into.
pub const REGISTERS: u64 = DESCRIPTION + 0x4000;
const END: u64 = DESCRIPTION + 0x8000;
/// Where the module lies.
pub const MODULE: u64 = 0x200_0000;

/// An entry of the memory map: start, size, type.
pub type Entry = (u64, u64, u32);

/// What a module is said to be.
#[derive(Clone, Copy)]
pub enum Module {
    /// None.
    Absent,
    /// Where it is.
    There,
    /// From an address, so many bytes.
    Claimed(u64, u64),
}

/// How the kernel is entered.
pub enum Protocol {
    /// PVH, with a start info of this version.
    Pvh(u32),
    /// Multiboot2; the tags are put together by this: from module, memory map and root pointer.
    Multiboot2(fn(Module2, &[Entry], &[u8]) -> Vec<u8>),
    /// Neither: what eax and ebx hold.
    Neither(u32, u32),
}

/// First byte of a module and the one after its last, for Multiboot2.
pub type Module2 = Option<(u32, u32)>;

/// What is handed over.
pub struct Handover {
    /// How.
    pub protocol: Protocol,
    /// The memory map.
    pub map: Vec<Entry>,
    /// The tables.
    pub tables: Tables,
    /// Where the root pointer is said to be; none for where it is.
    pub root: Option<u64>,
    /// The module.
    pub module: Module,
    /// What the module holds, if not the file that was given.
    pub contents: Option<Vec<u8>>,
    /// What lies in the page of registers.
    pub registers: Vec<u8>,
}

/// The end of a machine without interest in its exit: the runner's device, a port of QEMU's.
const COMMAND_LINE: &[u8] = b"axiom.exit=0xf4\0";
const MULTIBOOT2: u32 = 0x36d7_6289;

fn long(bytes: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
}

/// PVH's start info, version 1, with what it names after it.
fn start_info(at: u64, version: u32, map: &[Entry], root: u64, module: Option<(u64, u64)>) -> Vec<u8> {
    let (line, list, entries) = (at + 64, at + 96, at + 128);
    let mut b = Vec::new();
    for word in [0x336e_c578, version, 0, u32::from(module.is_some())] {
        b.extend(word.to_le_bytes());
    }
    long(&mut b, &[list, line, root, entries, map.len() as u64]);
    b.resize(64, 0);
    b.extend(COMMAND_LINE);
    b.resize(96, 0);
    let (start, size) = module.unwrap_or((0, 0));
    long(&mut b, &[start, size, 0, u64::MAX]);
    for &(start, size, kind) in map {
        long(&mut b, &[start, size]);
        [kind, 0xaaaa_aaaa].iter().for_each(|w| b.extend(w.to_le_bytes()));
    }
    b
}

/// A tag of Multiboot2's information.
pub fn tag(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut b = [kind.to_le_bytes(), (8 + body.len() as u32).to_le_bytes()].concat();
    b.extend(body);
    b.resize(b.len().next_multiple_of(8), 0xcc);
    b
}

/// The tag of a module.
pub fn module_tag(module: Module2) -> Vec<u8> {
    module.map_or_else(Vec::new, |(start, end)| {
        tag(3, &[&start.to_le_bytes()[..], &end.to_le_bytes(), b"bundle\0"].concat())
    })
}

/// The tag of a memory map whose entries have so many bytes: more than 24 are the future's.
pub fn map_tag(map: &[Entry], entry_size: usize) -> Vec<u8> {
    let mut body = [(entry_size as u32).to_le_bytes(), 0u32.to_le_bytes()].concat();
    for &(start, size, kind) in map {
        let mut entry = Vec::new();
        long(&mut entry, &[start, size]);
        entry.extend(kind.to_le_bytes());
        entry.resize(entry_size, 0xaa);
        body.extend(entry);
    }
    tag(6, &body)
}

/// The tag of the command line.
pub fn line_tag() -> Vec<u8> {
    tag(1, COMMAND_LINE)
}

/// Builds the file.
pub fn build(kernel: &Kernel, module: &[u8], handover: Handover) -> Result<Vec<u8>, String> {
    let module = handover.contents.as_deref().unwrap_or(module);
    let claimed = match handover.module {
        Module::Absent => None,
        Module::There => Some((MODULE, module.len() as u64)),
        Module::Claimed(start, size) => Some((start, size)),
    };
    let acpi = handover.tables.build(ACPI);
    let info_at = DESCRIPTION + 0x100;
    let (info, eax, ebx) = match handover.protocol {
        Protocol::Pvh(version) => {
            let root = handover.root.unwrap_or(ACPI);
            (start_info(info_at, version, &handover.map, root, claimed), 0, info_at as u32)
        }
        Protocol::Multiboot2(tags) => {
            let module = claimed.map(|(start, size)| (start as u32, (start + size) as u32));
            let tags = tags(module, &handover.map, &acpi[..36]);
            let mut info = [(8 + tags.len() as u32).to_le_bytes(), [0; 4]].concat();
            info.extend(tags);
            (info, MULTIBOOT2, info_at as u32)
        }
        Protocol::Neither(eax, ebx) => (Vec::new(), eax, ebx),
    };
    // mov eax; mov ebx; jmp.
    let mut page = vec![0xb8];
    page.extend(eax.to_le_bytes());
    page.push(0xbb);
    page.extend(ebx.to_le_bytes());
    page.push(0xe9);
    page.extend(kernel.entry.wrapping_sub(DESCRIPTION as u32 + page.len() as u32 + 4).to_le_bytes());
    for (at, bytes, room) in [
        (info_at, &info, ACPI - info_at),
        (ACPI, &acpi, REGISTERS - ACPI),
        (REGISTERS, &handover.registers, END - REGISTERS),
    ] {
        if bytes.len() as u64 > room {
            return Err(format!("{} bytes do not fit at {at:#x}", bytes.len()));
        }
        page.resize((at - DESCRIPTION) as usize, 0);
        page.extend(bytes);
    }
    page.resize((END - DESCRIPTION) as usize, 0);
    let at = |physical_address: u64, bytes: &[u8]| Segment {
        flags: 7,
        virtual_address: physical_address,
        physical_address,
        bytes: bytes.to_vec(),
        memory: bytes.len() as u64,
    };
    let more = [at(DESCRIPTION, &page), at(MODULE, module)];
    for s in &kernel.segments {
        let end = s.physical_address.saturating_add(s.memory);
        if more.iter().any(|m| s.physical_address < m.physical_address + m.memory && m.physical_address < end)
        {
            return Err(format!(
                "the kernel has a segment at {:#x}, where this needs its own",
                s.physical_address
            ));
        }
    }
    let segments: Vec<Segment> = kernel.segments.iter().cloned().chain(more).collect();
    Ok(elf::write(&segments, DESCRIPTION as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    fn kernel(at: u64) -> Kernel {
        let segment = Segment {
            flags: 5,
            virtual_address: at,
            physical_address: at,
            bytes: vec![0x90; 100],
            memory: 4096,
        };
        Kernel { segments: vec![segment], entry: at as u32 }
    }

    /// The instructions put the registers right and lead to the kernel's entry, in every case.
    #[test]
    fn every_case_is_built_and_leads_to_the_kernel() {
        for case in cases::all() {
            let file = build(&kernel(0x20_0000), b"module", (case.handover)()).unwrap();
            let whole = Kernel::parse(&file).unwrap();
            assert_eq!(u64::from(whole.entry), DESCRIPTION, "{}", case.name);
            let page = &whole.segments.iter().find(|s| s.physical_address == DESCRIPTION).unwrap().bytes;
            assert_eq!((page[0], page[5], page[10]), (0xb8, 0xbb, 0xe9));
            let distance = i32::from_le_bytes(page[11..15].try_into().unwrap());
            assert_eq!(DESCRIPTION as i64 + 15 + i64::from(distance), 0x20_0000, "{}", case.name);
        }
    }

    #[test]
    fn a_kernel_in_the_way_is_refused() {
        let case = &cases::all()[0];
        for at in [DESCRIPTION - 1, DESCRIPTION + 0x7000, MODULE] {
            assert!(
                build(&kernel(at), b"module", (case.handover)()).unwrap_err().contains("needs its own"),
                "{at:#x}"
            );
        }
    }
}
