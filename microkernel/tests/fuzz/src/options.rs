//! What the machine's command line asks for: `fuzz.seed=N fuzz.calls=N fuzz.without=storm,budget,ring fuzz.lenient`.
//!
//! QEMU's `-append` puts it into the device tree, whose bytes BootInfo carries.
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use sel4_sys::BootInfo;

/// The options of a run.
#[derive(Clone, Copy)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// How many calls to make.
    pub calls: u64,
    /// Features left out: bits of `worker`.
    pub without: u64,
    /// A late watchdog fails the run.
    pub strict: bool,
}

static OPTIONS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

fn find<'a>(bytes: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let at = bytes.windows(name.len()).position(|w| w == name)?;
    let rest = &bytes[at + name.len()..];
    let length = rest.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(rest.len());
    Some(&rest[..length])
}

fn number(text: Option<&[u8]>, otherwise: u64) -> u64 {
    text.and_then(|t| core::str::from_utf8(t).ok()?.parse().ok()).unwrap_or(otherwise)
}

impl Options {
    /// Reads the device tree behind BootInfo.
    pub fn read(info: &BootInfo) {
        let start = core::ptr::from_ref(info) as usize + 4096;
        // SAFETY: the kernel mapped `extra_len` bytes of chunks behind BootInfo's page, and nobody writes there.
        let bytes = unsafe {
            core::slice::from_raw_parts(
                core::ptr::with_exposed_provenance::<u8>(start),
                info.extra_len as usize,
            )
        };
        let without = find(bytes, b"fuzz.without=").unwrap_or(b"");
        let bit = |name: &[u8], bit| if find(without, name).is_some() { bit } else { 0 };
        let values = [
            number(find(bytes, b"fuzz.seed="), 1),
            number(find(bytes, b"fuzz.calls="), 1_000_000),
            bit(b"storm", crate::worker::STORM)
                | bit(b"budget", crate::worker::BUDGET)
                | bit(b"ring", crate::worker::RING),
            find(bytes, b"fuzz.lenient").is_none().into(),
        ];
        OPTIONS.iter().zip(values).for_each(|(to, value)| to.store(value, Relaxed));
    }

    /// The options.
    pub fn get() -> Options {
        let [seed, calls, without, strict] = core::array::from_fn(|i| OPTIONS[i].load(Relaxed));
        Options { seed, calls, without, strict: strict != 0 }
    }
}
