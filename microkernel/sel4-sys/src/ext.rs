//! Axiom's extensions: Timer objects, trace points, and the BootInfo chunk that announces them.
//!
//! # Timer
//! An object made by `Untyped_Retype` with type [`TIMER_TYPE`] ([`TIMER_BITS`] bits). Invocations:
//!
//! | label | in | out |
//! |---|---|---|
//! | [`TIMER_BIND`] | extra capability 0: the notification to signal, with its badge | |
//! | [`TIMER_UNBIND`] | | |
//! | [`TIMER_ARM`] | MR0 first deadline, ticks, absolute; MR1 period in ticks, or 0 for one shot; extra capability 0, if any: the scheduling context that pays, else the caller's | |
//! | [`TIMER_CANCEL`] | | |
//! | [`TIMER_READ`] | | MR0 expirations and MR1 overruns since the last read; MR2 the last deadline that expired; MR3 the counter as whoever served it saw it |
//!
//! Ticks are those of the counter that user space reads (aarch64: CNTVCT_EL0; x86-64: the time stamp counter). The next deadline of a periodic timer is the previous
//! deadline plus the period, never "now plus the period": a timer does not drift. Deadlines that were missed whole are
//! counted as overruns and skipped. Expiries are served at the priority and on the budget of whose context pays: without budget they
//! come late.
//!
//! # Trace
//! The Trace capability answers [`TRACE_SET_MASK`] (MR0), [`TRACE_EMIT`] (MR0 event, MR1 arg0, MR2 arg1; with a TCB as extra
//! capability 0, arg1 is that thread as context switches name it) and [`TRACE_INFO`] (out: MR0 bytes of the ring with its header page, MR1 records written, MR2 mask).
//!
//! # Debug
//! The Debug capability is what seL4's debugging system calls do, as a right that can be held and passed on.
//!
//! | label | in | out |
//! |---|---|---|
//! | [`DEBUG_WRITE`] | MR0 bytes, up to [`DEBUG_WRITE_BYTES`]; they follow from MR1 on | MR0 how many the console took; ask again for the rest |
//! | [`DEBUG_NAME_THREAD`] | extra capability 0: a TCB; MR0 to MR3 its name, ended by a zero | |
//! | [`DEBUG_CALLS`] | MR0: 0 makes the debugging system calls unknown system calls for everybody, 1 brings them back | |
//! | [`DEBUG_POWER_OFF`] | | does not return |

/// Object type of a Timer.
pub const TIMER_TYPE: u64 = 32;
/// Size of a Timer object, as a power of two.
pub const TIMER_BITS: u64 = 7;

/// Binds a notification to a timer.
pub const TIMER_BIND: u64 = 1024;
/// Takes the notification away.
pub const TIMER_UNBIND: u64 = 1025;
/// Starts the timer.
pub const TIMER_ARM: u64 = 1026;
/// Stops the timer.
pub const TIMER_CANCEL: u64 = 1027;
/// Reads and clears the counts.
pub const TIMER_READ: u64 = 1028;
/// Chooses the classes that are recorded.
pub const TRACE_SET_MASK: u64 = 1040;
/// Records a user event.
pub const TRACE_EMIT: u64 = 1041;
/// Reads the ring's state.
pub const TRACE_INFO: u64 = 1042;

/// Writes on the kernel's console.
pub const DEBUG_WRITE: u64 = 1056;
/// Names a thread in the kernel's diagnostics.
pub const DEBUG_NAME_THREAD: u64 = 1057;
/// Takes the debugging system calls away, or brings them back.
pub const DEBUG_CALLS: u64 = 1058;
/// Turns the machine off.
pub const DEBUG_POWER_OFF: u64 = 1059;
/// Most bytes of a [`DEBUG_WRITE`].
pub const DEBUG_WRITE_BYTES: u64 = 64;

/// The id of the BootInfo chunk that describes the extensions.
pub const BOOTINFO_AXIOM: u64 = 0x4158_0001;

/// The id of the BootInfo chunk with the command line, ended by a zero, where no device tree has it (x86).
pub const BOOTINFO_COMMAND_LINE: u64 = 0x4158_0002;

/// The id of the BootInfo chunk that says where PCI configuration space is (x86, where ACPI has a table MCFG): two words, the address of
/// bus 0's and the last bus; 1 MiB each.
pub const BOOTINFO_PCI_CONFIG_SPACE: u64 = 0x4158_0003;

/// The id of the BootInfo chunk that describes the HPET, where there is one (x86): [`HpetInfo`].
pub const BOOTINFO_HPET: u64 = 0x4158_0004;

/// A structure of words, and the words in their order: whoever writes them lists none by hand.
macro_rules! words {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* pub $field:ident: u64,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $name { $($(#[$fdoc])* pub $field: u64,)* }

        impl $name {
            /// Its words.
            pub const fn words(&self) -> [u64; size_of::<$name>() / 8] {
                [$(self.$field),*]
            }
        }
    };
}

words! {
    /// The body of the chunk [`BOOTINFO_HPET`], after its header. The kernel leaves the counter running, no timer armed.
    pub struct HpetInfo {
        /// Physical address of the block's registers.
        pub address: u64,
        /// GCAP_ID.
        pub capabilities: u64,
        /// Inputs of the I/O APICs that timer 0 can interrupt by, a bit each.
        pub routes: u64,
    }
}

words! {
    /// The body of the chunk [`BOOTINFO_AXIOM`], after its header.
    pub struct AxiomInfo {
        /// Slot of the Trace capability.
        pub trace_cap: u64,
        /// Slot of the first of the trace ring's frame capabilities (read-only small pages).
        pub trace_frames: u64,
        /// How many of them there are; the first holds [`TraceHeader`].
        pub trace_frame_count: u64,
        /// Kernel code, bytes.
        pub kernel_text: u64,
        /// Kernel constants, bytes.
        pub kernel_rodata: u64,
        /// Kernel initialised data, bytes.
        pub kernel_data: u64,
        /// Kernel zeroed data, bytes.
        pub kernel_bss: u64,
        /// RAM that boot took for the kernel's page tables and the root task's objects, bytes; the user image is not in it.
        pub boot_allocated: u64,
        /// Frequency of the counter, Hz.
        pub counter_frequency: u64,
        /// The counter as the first instructions of the kernel read it.
        pub entry_counter: u64,
        /// RAM that the device tree describes, bytes.
        pub ram_bytes: u64,
        /// Physical address that the kernel was loaded at.
        pub image_address: u64,
        /// Physical address of the device tree, or of what the boot loader left (x86).
        pub fdt_address: u64,
        /// Exception level that the kernel was entered at (aarch64).
        pub entry_level: u64,
        /// The core's model: MIDR_EL1, or CPUID's signature.
        pub midr: u64,
        /// The boot core's place: MPIDR_EL1, or the local APIC's identifier.
        pub mpidr: u64,
        /// The interrupt controller: GICD_TYPER, or the first I/O APIC's version register.
        pub gicd_typer: u64,
        /// The interrupt controller: GICD_IIDR, or the local APIC's version register.
        pub gicd_iidr: u64,
        /// Slot of the Debug capability.
        pub debug_cap: u64,
    }
}

pub use axiom_trace::{
    BOOT_RECORDS as TRACE_BOOT_RECORDS, Header as TraceHeader, MAGIC as TRACE_MAGIC, PAGES as TRACE_PAGES,
    RING_RECORDS as TRACE_RING_RECORDS, Record as TraceRecord, STRETCHES as TRACE_STRETCHES, class, event,
};

/// What a stretch with interrupts off was for: indices of [`TraceHeader::stretches`]. Invocations stand at their labels.
pub mod stretch {
    use super::{TIMER_BIND, TIMER_READ, TRACE_INFO, TRACE_SET_MASK};

    /// Timer invocations, in the order of their labels; Trace's follow.
    pub const TIMER: usize = 58;
    const TRACE: usize = TIMER + (TIMER_READ - TIMER_BIND) as usize + 1;
    /// Calls with any other label: messages.
    pub const MESSAGE: usize = TRACE + (TRACE_INFO - TRACE_SET_MASK) as usize + 1;
    /// The other system calls.
    pub const OTHER_CALL: usize = MESSAGE + 1;
    /// Interrupts.
    pub const INTERRUPT: usize = MESSAGE + 2;
    /// Faults.
    pub const FAULT: usize = MESSAGE + 3;
    /// 1 if the kernel measures at all.
    pub const MEASURED: usize = super::TRACE_STRETCHES - 1;

    const _: () = assert!(FAULT < MEASURED);

    /// The index of a label.
    pub const fn of_label(label: u64) -> usize {
        match label {
            1..=57 => label as usize,
            TIMER_BIND..=TIMER_READ => TIMER + (label - TIMER_BIND) as usize,
            TRACE_SET_MASK..=TRACE_INFO => TRACE + (label - TRACE_SET_MASK) as usize,
            _ => MESSAGE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_chunk_are_its_bytes() {
        let info =
            AxiomInfo { trace_cap: 1, kernel_text: 4, midr: 15, debug_cap: 19, ..AxiomInfo::default() };
        let words = info.words();
        assert_eq!((words[0], words[3], words[14], words[18], words.len()), (1, 4, 15, 19, 19));
        // Plain words in a row: nothing lies between them.
        assert_eq!(core::mem::offset_of!(AxiomInfo, debug_cap), 18 * 8);
        assert_eq!(core::mem::offset_of!(AxiomInfo, midr), 14 * 8);
    }
}
