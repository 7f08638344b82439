//! The root task: reads the bundle, builds the servers that the manifest names with exactly what it grants, then watches
//! over them. It is every server's fault handler; it restarts a server that crashed as that server's policy says.
//!
//! init runs at the highest priority and only on requests, readiness signals, faults and restarts that are due; it never calls a
//! server, so no server can make it wait. What a server sends is never printed, but for the verdict of one that may end the run.
#![no_std]
#![no_main]
extern crate alloc;

mod arch;
mod devices;
mod down;
mod memory;
mod pci;
mod permanent;
mod spawn;
mod supervise;
mod sys;

use alloc::vec::Vec;
use core::fmt::{self, Write};
use linked_list_allocator::Heap;
use sel4_sys::bootinfo::{BootInfo, HEADER_FDT, Header};
use sel4_sys::ext::{
    AxiomInfo, BOOTINFO_AXIOM, BOOTINFO_COMMAND_LINE, BOOTINFO_HPET, BOOTINFO_PCI_CONFIG_SPACE, HpetInfo,
    event,
};

pub(crate) const STACK_SIZE: usize = 32_768;
const HEAP_SIZE: usize = 131_072;
#[repr(C, align(16))]
pub(crate) struct Area<const N: usize>(core::cell::UnsafeCell<[u8; N]>);
// SAFETY: the stack is used by the stack pointer only, the heap by the allocator only; init has one thread.
unsafe impl<const N: usize> Sync for Area<N> {}
pub(crate) static STACK: Area<STACK_SIZE> = Area(core::cell::UnsafeCell::new([0; STACK_SIZE]));
static HEAP: Area<HEAP_SIZE> = Area(core::cell::UnsafeCell::new([0; HEAP_SIZE]));

/// A heap for one thread.
struct OneThread(core::cell::RefCell<Heap>);
// SAFETY: init has one thread, and nothing in it allocates from an interrupt.
unsafe impl Sync for OneThread {}
// SAFETY: the inner heap hands out disjoint blocks of the size and alignment asked for.
unsafe impl core::alloc::GlobalAlloc for OneThread {
    unsafe fn alloc(&self, layout: core::alloc::Layout) -> *mut u8 {
        self.0.borrow_mut().allocate_first_fit(layout).map_or(core::ptr::null_mut(), |p| p.as_ptr())
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: core::alloc::Layout) {
        if let Some(block) = core::ptr::NonNull::new(block) {
            // SAFETY: the caller returns a block of `alloc` with its layout.
            unsafe { self.0.borrow_mut().deallocate(block, layout) };
        }
    }
}
#[global_allocator]
static ALLOCATOR: OneThread = OneThread(core::cell::RefCell::new(Heap::empty()));

/// The kernel's console: init's lines must come out whatever happens to the console server.
pub struct Debug;
impl Write for Debug {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (i, line) in text.split('\n').enumerate() {
            if i > 0 {
                sys::write(b"\r\n");
            }
            sys::write(line.as_bytes());
        }
        Ok(())
    }
}

/// Prints a line of init's.
#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => {{
        // The console takes every byte; there is nothing to report a failure to.
        // Its first character says that the line before may not have ended: init speaks above everybody, also in the middle of a line.
        let _ = core::fmt::Write::write_fmt(&mut $crate::Debug, format_args!("\rinit: {}\n", format_args!($($arg)*)));
    }};
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    finish("init panicked")
}

/// What makes a verdict this run's: whoever started the machine chose it, and only init knows it (`axiom.verdict=...` among the boot
/// arguments). Every server can print to the serial port; none can print this.
struct Token(core::cell::Cell<&'static str>);
// SAFETY: init has one thread.
unsafe impl Sync for Token {}
static TOKEN: Token = Token(core::cell::Cell::new(""));

fn token_of(arguments: &'static str) -> &'static str {
    let mut words = arguments.split_ascii_whitespace();
    words.find_map(|word| word.strip_prefix("axiom.verdict=")).unwrap_or("")
}

/// Ends the run with its verdict: empty is well.
pub fn finish(failure: &str) -> ! {
    let token = match TOKEN.0.get() {
        "" => alloc::string::String::new(),
        token => alloc::format!(" ({token})"),
    };
    // As for `say`. A new line first: whoever wrote last may not have ended its own.
    let _ = if failure.is_empty() {
        Debug.write_fmt(format_args!("\naxiom: run ended: ok{token}\n"))
    } else {
        // Somebody else's words: one line of what can be printed.
        let said: alloc::string::String = axiom_proto::console::printable(failure).collect();
        Debug.write_fmt(format_args!("\naxiom: run ended: FAILED: {said}{token}\n"))
    };
    sys::power_off();
    loop {
        core::hint::spin_loop();
    }
}

/// What the extra BootInfo chunks hold.
pub struct Extra {
    /// The device tree.
    pub fdt: Option<&'static [u8]>,
    /// The boot arguments, where no device tree has them.
    pub arguments: Option<&'static str>,
    /// Where PCI configuration space is, bus 0's, and its last bus, where no device tree says it.
    pub config_space: Option<(u64, u8)>,
    /// The HPET, where the kernel found one.
    pub hpet: Option<HpetInfo>,
    /// The extensions; none on another kernel.
    pub axiom: Option<AxiomInfo>,
}

fn extra(info: &'static BootInfo) -> Extra {
    let mut extra = Extra { fdt: None, arguments: None, config_space: None, hpet: None, axiom: None };
    let start = core::ptr::from_ref(info) as usize + 4096;
    let mut at = 0usize;
    while at + size_of::<Header>() <= info.extra_len as usize {
        // SAFETY: the kernel mapped `extra_len` bytes of chunks behind BootInfo, read-only for us from now on.
        let header = unsafe { *((start + at) as *const Header) };
        let length = header.len as usize;
        if length < size_of::<Header>() || at + length > info.extra_len as usize {
            break;
        }
        let body = start + at + size_of::<Header>();
        match header.id {
            HEADER_FDT => {
                let length = length - size_of::<Header>();
                // SAFETY: as above; the body lies inside the chunk.
                extra.fdt = Some(unsafe { core::slice::from_raw_parts(body as *const u8, length) });
            }
            BOOTINFO_COMMAND_LINE => {
                let length = length - size_of::<Header>();
                // SAFETY: as above; the body lies inside the chunk.
                let bytes = unsafe { core::slice::from_raw_parts(body as *const u8, length) };
                let text = bytes.split(|b| *b == 0).next().unwrap_or(&[]);
                extra.arguments = core::str::from_utf8(text).ok();
            }
            BOOTINFO_PCI_CONFIG_SPACE if length >= size_of::<Header>() + size_of::<[u64; 2]>() => {
                // SAFETY: as above; the words fit.
                let [base, last_bus] = unsafe { (body as *const [u64; 2]).read_unaligned() };
                extra.config_space = u8::try_from(last_bus).ok().map(|last_bus| (base, last_bus));
            }
            BOOTINFO_HPET if length >= size_of::<Header>() + size_of::<HpetInfo>() => {
                // SAFETY: as above; the structure is plain words and fits.
                extra.hpet = Some(unsafe { (body as *const HpetInfo).read_unaligned() });
            }
            BOOTINFO_AXIOM if length >= size_of::<Header>() + size_of::<AxiomInfo>() => {
                // SAFETY: as above; the structure is plain words and fits.
                extra.axiom = Some(unsafe { (body as *const AxiomInfo).read_unaligned() });
            }
            _ => {}
        }
        at += length;
    }
    extra
}

fn payload() -> Result<(axiom_proto::bundle::System, &'static [u8]), &'static str> {
    use axiom_proto::bundle::{ADDRESS, MAGIC};
    let at = ADDRESS as *const u8;
    // SAFETY: `compose` puts the payload's segment at this address in the very file that this code is in; without it,
    // this read faults, and the kernel reports the root task's fault with its address.
    let head = unsafe { core::slice::from_raw_parts(at, 24) };
    if head[..16] != MAGIC {
        return Err(
            "the payload does not begin with the bundle's magic; was it made by another version of compose?",
        );
    }
    let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
    // SAFETY: compose wrote the length of the description that follows, inside the same segment.
    let description = unsafe { core::slice::from_raw_parts(at.add(24), length) };
    let system =
        postcard::from_bytes(description).map_err(|_| "the bundle's description cannot be decoded")?;
    Ok((system, head))
}

#[unsafe(no_mangle)]
extern "C" fn init_main(info: &'static BootInfo) -> ! {
    // SAFETY: BootInfo names this thread's IPC buffer; the heap area is used by the allocator only.
    unsafe {
        sys::init_buffer(info.ipc_buffer as *mut _);
        ALLOCATOR.0.borrow_mut().init(HEAP.0.get().cast(), HEAP_SIZE);
    }
    let extra = extra(info);
    if let Some(axiom) = &extra.axiom {
        sys::init_debug(sel4_sys::CPtr(axiom.debug_cap));
        sys::trace(sel4_sys::CPtr(axiom.trace_cap), event::BOOT_INIT, 0, Some(sel4_sys::cap::init::TCB));
    }
    arch::remember(&extra);
    TOKEN.0.set(token_of(arch::arguments(&extra)));
    let system = match payload() {
        Ok((system, _)) => system,
        Err(reason) => finish(reason),
    };
    if sys::debug_calls(system.debug_calls).is_err() {
        finish("the kernel keeps the debugging calls open")
    }
    let servers = system.servers.len();
    // The machine's own name, where it has one for people: whose board this is, when somebody sends the log.
    let fdt = extra.fdt.and_then(|bytes| axiom_fdt::Fdt::new(bytes).ok());
    let model =
        fdt.as_ref().and_then(|fdt| fdt.at_path("/")?.text("model")).filter(|name| name.contains(' '));
    say!(
        "system '{}' for {}: {servers} server{}{}{}",
        system.name,
        system.board,
        if servers == 1 { "" } else { "s" },
        if model.is_some() { ", on " } else { "" },
        model.unwrap_or("")
    );
    let mut supervisor = match supervise::Supervisor::new(info, &extra, system) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            say!("cannot prepare the system: {error:?}");
            finish("init could not prepare the system")
        }
    };
    let count = supervisor.count();
    let failed: Vec<usize> = (0..count).filter(|i| !supervisor.start(*i)).collect();
    if !failed.is_empty() {
        finish("a server could not be started");
    }
    supervisor.run()
}
