//! What a PC's firmware and boot loader say: where RAM, interrupt controllers, clocks and the root task's module are. What is missing
//! is a sentence.
use super::controller::{self, Io, Local};
use super::cpu::FEATURES;
use super::{console, cpu, fpu, irq, paging, timer};
use crate::node::{node, shared};
use crate::print::println;
use axiom_boot::pc::fpu::Strange;
use axiom_boot::pc::{Bad, Handover, Map, Physical, Tables, acpi, multiboot, start_info};
use axiom_boot::{Ranges, Refusal, TooManyPieces, chosen, elf};
use axiom_objects::PhysAddr;
use core::cell::Cell;
use core::fmt::{self, Display, Formatter};
use sel4_sys::bootinfo::{HEADER_X86_ACPI_RSDP, HEADER_X86_MEMORY_MAP, HEADER_X86_TSC_FREQUENCY};
use sel4_sys::ext::{BOOTINFO_COMMAND_LINE, BOOTINFO_HPET, BOOTINFO_PCI_CONFIG_SPACE, HpetInfo};

mod clock;
mod pci;
mod speculation;

use clock::{Clock, Measurement};

/// Why boot cannot go on.
pub enum Fatal {
    /// What every architecture refuses.
    Common(Refusal),
    /// What a PC lacks.
    Pc(Bad),
}

impl Fatal {
    /// A rule that needs no number.
    pub const fn rule(text: &'static str) -> Fatal {
        Fatal::Common(Refusal::rule(text))
    }
}

impl Display for Fatal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Fatal::Common(refusal) => refusal.fmt(f),
            Fatal::Pc(bad) => bad.fmt(f),
        }
    }
}

impl From<Refusal> for Fatal {
    fn from(refusal: Refusal) -> Fatal {
        Fatal::Common(refusal)
    }
}
impl From<TooManyPieces> for Fatal {
    fn from(pieces: TooManyPieces) -> Fatal {
        Fatal::Common(pieces.into())
    }
}
impl From<elf::ElfError> for Fatal {
    fn from(error: elf::ElfError) -> Fatal {
        Fatal::Common(error.into())
    }
}
impl From<Bad> for Fatal {
    fn from(bad: Bad) -> Fatal {
        Fatal::Pc(bad)
    }
}

/// Most blocks of registers that the interrupt controllers have.
pub const CONTROLLER_BLOCKS: usize = 1 + acpi::IOAPICS;
/// Most bytes of the command line that are kept.
const COMMAND_LINE: usize = 256;
/// Memory that boot's window reaches.
const REACH: u64 = 1 << 32;
/// What firmware, start info and real-mode vectors use below it is not told apart.
const LOW: u64 = 1 << 20;

/// How the kernel was entered.
#[derive(Clone, Copy)]
pub struct Entry {
    /// What eax held.
    pub eax: u32,
    /// Where the boot loader's description is.
    pub description: u64,
    /// Where the image is.
    pub image: u64,
    /// The counter at the first instruction.
    pub counter: u64,
    /// Not known here.
    pub level: u64,
}

/// What describes the machine: all of it copied, since it lies in memory that is handed out.
pub struct Firmware {
    handover: Handover,
    map: Map,
    tables: Tables,
    line: [u8; COMMAND_LINE],
    line_length: usize,
    measurement: Cell<Measurement>,
    clock: Cell<Option<Clock>>,
    functions: Cell<pci::Functions>,
    speculation: speculation::Decided,
}

/// Physical memory through boot's window.
struct Window;

impl Physical for Window {
    fn read(&self, at: u64, bytes: &mut [u8]) -> bool {
        if at.checked_add(bytes.len() as u64).is_none_or(|end| end > REACH) {
            return false;
        }
        let from: *const u8 = core::ptr::with_exposed_provenance(PhysAddr(at).kernel());
        // SAFETY: boot's window maps all of the first 4 GiB; what lies there are bytes. They are RAM or ROM that firmware describes, or
        // read as ones.
        unsafe { core::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
        true
    }
}

/// What was handed over, and what has to be known first: where lines go, and how the machine is turned off.
pub fn find(entry: Entry) -> Result<Firmware, Fatal> {
    console::init();
    let mut map = Map::new();
    let handover = if entry.eax == multiboot::MAGIC {
        multiboot::read(&Window, entry.description, &mut map)?
    } else {
        start_info::read(&Window, entry.description, &mut map)?
            .ok_or(Bad::Protocol(entry.eax, entry.description as u32))?
    };
    let mut line = [0; COMMAND_LINE];
    let line_length = handover.command_line.map_or(0, |at| {
        (0..COMMAND_LINE)
            .take_while(|i| Window.read(at.wrapping_add(*i as u64), &mut line[*i..*i + 1]) && line[*i] != 0)
            .count()
    });
    if let Some(port) = option(&line[..line_length], "axiom.exit=") {
        cpu::set_exit_port(port);
    }
    let forced = words(&line[..line_length]).any(|word| word == "axiom.mitigate=all");
    // SAFETY: boot's window is loaded until `build_window`, and there is no thread yet.
    let speculation = unsafe { speculation::Decided::apply(forced) };
    if fpu::saving().is_none() {
        return Err(Bad::Processor("FXSAVE and SSE").into());
    }
    if !controller::is_there() {
        return Err(Bad::Processor("local APIC").into());
    }
    let tables = acpi::read(&Window, handover.root)?;
    registers_apart(&map.ram()??, &tables)?;
    let measurement = Cell::new(Measurement::begin(&tables)?);
    Ok(Firmware {
        handover,
        map,
        tables,
        line,
        line_length,
        measurement,
        clock: Cell::new(None),
        functions: Cell::default(),
        speculation,
    })
}

/// Refuses registers that would be memory: the kernel is going to write there.
fn registers_apart(ram: &Ranges, tables: &Tables) -> Result<(), Bad> {
    let ioapics = tables.ioapics().iter().map(|io| ("an I/O APIC", io.address));
    let hpet = tables.hpet.map(|at| ("the HPET", at));
    for (what, at) in [("the local APIC", tables.local_apic)].into_iter().chain(ioapics).chain(hpet) {
        if ram.as_slice().iter().any(|&(start, end)| (start..end).contains(&at)) {
            return Err(Bad::InRam(what, at));
        }
    }
    Ok(())
}

/// Why less of the FPU's state is stored than the processor announces.
struct Left(Option<Strange>);

impl Display for Left {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Strange::Components(mask)) => {
                write!(f, "; xsave unused, its components {mask:#x} lack x87 or sse")
            }
            Some(Strange::Avx(bytes, at)) => {
                write!(f, "; avx unused, cpuid 0xd has {bytes} bytes of it at {at}, not 256 at 576")
            }
            Some(Strange::Size(bytes, mask)) => {
                write!(f, "; more is unused, cpuid 0xd says {bytes} bytes for components {mask:#x}")
            }
        }
    }
}

/// The words of the command line that are text.
fn words(line: &[u8]) -> impl Iterator<Item = &str> {
    // A word that is no text is none of ours, and hides none of the others.
    let words =
        line.split(|byte| byte.is_ascii_whitespace()).filter_map(|word| core::str::from_utf8(word).ok());
    words.filter(|word| !word.is_empty())
}

/// A 16-bit number, in hexadecimal with 0x or decimal, behind a word of the command line.
fn option(line: &[u8], name: &str) -> Option<u16> {
    let value = words(line).find_map(|word| word.strip_prefix(name))?;
    match value.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => value.parse().ok(),
    }
}

impl Firmware {
    /// First byte of the module, and the byte behind its last, apart from the kernel.
    pub fn initrd(&self, image: (u64, u64)) -> Result<(u64, u64), Fatal> {
        let (start, end) = self.handover.module.ok_or(Bad::NoModule)?;
        if end <= start {
            return Err(Bad::EmptyModule(start, end).into());
        }
        chosen::apart((start, end), "the kernel's image", image)?;
        Ok((start, end))
    }

    /// Where the description itself lies: nowhere any more.
    pub fn extent(&self) -> (u64, u64) {
        (0, 0)
    }

    /// RAM.
    pub fn ram(&self) -> Result<Ranges, Fatal> {
        Ok(self.map.ram()??)
    }

    /// Everything that is reserved: start, end, and whether not even a mapping is allowed. What is no RAM is not in [`Firmware::ram`].
    pub fn reserved(
        &self,
        mut reserve: impl FnMut(u64, u64, bool) -> Result<(), TooManyPieces>,
    ) -> Result<(), Fatal> {
        Ok(reserve(0, LOW, false)?)
    }

    /// Refuses memory in which boot cannot go on.
    pub fn check(&self, mapped: &Ranges, image: (u64, u64)) -> Result<(), Fatal> {
        let module = self.initrd(image)?;
        for (what, (start, end)) in [("the kernel", image), ("the module", module)] {
            if !mapped.contain(start, end) {
                return Err(Bad::NotInRam(what, start, end).into());
            }
        }
        Ok(())
    }

    /// Prepares the interrupt controllers: their registers, which are not handed out. All bus masters are off afterwards.
    #[inline(never)]
    pub fn interrupts(&self) -> Result<[(u64, u64); CONTROLLER_BLOCKS], Fatal> {
        const UNREACHABLE: Fatal = Fatal::rule("an APIC's registers lie where no address reaches");
        self.functions.set(pci::stop_masters());
        controller::shut_old_controllers();
        let mut blocks = [(0, 0); CONTROLLER_BLOCKS];
        let page = |at: u64| (at & !4095, (at & !4095) + 4096);
        let at = self.tables.local_apic;
        blocks[0] = page(at);
        let registers = paging::map_device(at, 4096).ok_or(UNREACHABLE)?;
        // SAFETY: the ACPI tables say that the local APIC is there.
        irq::init(unsafe { Local::start(registers) });
        let wiring = &shared().wiring;
        for (i, ioapic) in self.tables.ioapics().iter().enumerate() {
            blocks[1 + i] = page(ioapic.address);
            let registers = paging::map_device(ioapic.address, 32).ok_or(UNREACHABLE)?;
            // SAFETY: the ACPI tables say that an I/O APIC is there.
            let io = unsafe { Io::start(registers) };
            wiring.pins[i].set(io.pins());
            irq::add(i, io);
        }
        wiring.huge_pages.set(FEATURES.huge_pages.get());
        paging::share(&shared().kernel_half);
        let mut measurement = self.measurement.get();
        measurement.with_local_timer();
        self.measurement.set(measurement);
        Ok(blocks)
    }

    /// Starts the clock.
    pub fn clock(&self) -> Result<(), Fatal> {
        let clock = self.measurement.get().end()?;
        self.clock.set(Some(clock));
        timer::init(clock.frequency, clock.ratio);
        node().init(clock.frequency, irq::TIMER);
        Ok(())
    }

    /// Says what was found and what protects: a mitigation is present, absent, or not needed.
    pub fn report(&self) {
        let f = &FEATURES;
        let has = |there: &Cell<bool>| if there.get() { "yes" } else { "absent" };
        let functions = self.functions.get();
        println!(
            "axiom: facts: nx yes, smep {}, smap {}, umip {}, fsgsbase {}, 1g pages {}, pcid not used, \
             selectors cleared between address spaces, bus masters off: {} of {} functions",
            has(&f.smep),
            has(&f.smap),
            has(&f.umip),
            has(&f.fsgsbase),
            has(&f.huge_pages),
            functions.masters,
            functions.found,
        );
        if let Some(saving) = fpu::saving() {
            println!(
                "axiom: facts: {} state by {} in {} bytes, cleared when its thread stops running{}",
                saving.registers(),
                saving.instructions.name(),
                saving.bytes,
                Left(saving.strange),
            );
        }
        self.speculation.report();
        if let Some(clock) = self.clock.get() {
            println!(
                "axiom: clock: counter {} Hz by the {} in {} us, within {} ppm; rate {}; timer {}, {} of 1000 steps a tick; \
                 {} I/O APICs, {} processors",
                clock.frequency,
                clock.reference,
                clock.microseconds,
                clock.error_ppm,
                if f.invariant_tsc.get() { "invariant" } else { "not said to be invariant" },
                if f.tsc_deadline.get() { "by deadline" } else { "one-shot" },
                (clock.ratio * 1000) >> 32,
                self.tables.ioapics().len(),
                self.tables.processors,
            );
        }
        if self.handover.modules > 1 {
            println!(
                "axiom: {} modules; only the first is the root task's, the others are RAM",
                self.handover.modules
            );
        }
    }

    /// Bytes of BootInfo's chunks that describe the machine.
    pub fn chunks_size(&self) -> u64 {
        let space = self.tables.config_space.map_or(0, |_| SPACE_CHUNK);
        (ROOT_CHUNK + MAP_CHUNK + FREQUENCY_CHUNK + self.line_chunk() + space + self.hpet_chunk()) as u64
    }

    fn hpet(&self) -> Option<HpetInfo> {
        self.tables.hpet.and_then(|at| self.measurement.get().hpet(at))
    }

    fn hpet_chunk(&self) -> usize {
        if self.hpet().is_some() { CHUNK_HEADER + size_of::<HpetInfo>() } else { 0 }
    }

    fn line_chunk(&self) -> usize {
        let before = ROOT_CHUNK + MAP_CHUNK + FREQUENCY_CHUNK;
        (before + CHUNK_HEADER + self.line_length + 1).next_multiple_of(8) - before
    }

    /// Writes those chunks: the ACPI root pointer, the memory map as Multiboot has it, the counter's frequency in MHz as seL4 has it, the
    /// command line, where PCI configuration space is, and the HPET where there is one.
    pub fn write_chunks(&self, mut write: impl FnMut(&[u8])) {
        let header = |write: &mut dyn FnMut(&[u8]), id: u64, length: usize| {
            write(&id.to_le_bytes());
            write(&(length as u64).to_le_bytes());
        };
        header(&mut write, HEADER_X86_ACPI_RSDP, ROOT_CHUNK);
        write(&self.tables.root.unwrap_or([0; 36]));
        header(&mut write, HEADER_X86_MEMORY_MAP, MAP_CHUNK);
        let entries = self.map.entries();
        let shown = entries.len().min(MAP_ENTRIES);
        write(&((shown * MAP_ENTRY) as u32).to_le_bytes());
        for i in 0..MAP_ENTRIES {
            let entry = entries.get(i).copied().unwrap_or_default();
            write(&(MAP_ENTRY as u32 - 4).to_le_bytes());
            write(&entry.start.to_le_bytes());
            write(&entry.size.to_le_bytes());
            write(&entry.kind.to_le_bytes());
        }
        header(&mut write, HEADER_X86_TSC_FREQUENCY, FREQUENCY_CHUNK);
        write(&((timer::frequency() / 1_000_000) as u32).to_le_bytes());
        let length = self.line_chunk();
        header(&mut write, BOOTINFO_COMMAND_LINE, length);
        write(&self.line[..self.line_length]);
        (0..length - CHUNK_HEADER - self.line_length).for_each(|_| write(&[0]));
        if let Some((address, last_bus)) = self.tables.config_space {
            header(&mut write, BOOTINFO_PCI_CONFIG_SPACE, SPACE_CHUNK);
            write(&address.to_le_bytes());
            write(&u64::from(last_bus).to_le_bytes());
        }
        if let Some(hpet) = self.hpet() {
            header(&mut write, BOOTINFO_HPET, CHUNK_HEADER + size_of::<HpetInfo>());
            [hpet.address, hpet.capabilities, hpet.routes].iter().for_each(|w| write(&w.to_le_bytes()));
        }
    }
}

const CHUNK_HEADER: usize = 16;
const ROOT_CHUNK: usize = CHUNK_HEADER + 36;
const MAP_ENTRIES: usize = 50;
const MAP_ENTRY: usize = 24;
const MAP_CHUNK: usize = CHUNK_HEADER + 4 + MAP_ENTRIES * MAP_ENTRY;
const FREQUENCY_CHUNK: usize = CHUNK_HEADER + 4;
const SPACE_CHUNK: usize = CHUNK_HEADER + 16;
