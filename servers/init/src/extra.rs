//! What the kernel says besides BootInfo, in the chunks that follow it.
use sel4_sys::bootinfo::{BootInfo, HEADER_FDT, Header};
use sel4_sys::ext::{
    AxiomInfo, BOOTINFO_AXIOM, BOOTINFO_COMMAND_LINE, BOOTINFO_HPET, BOOTINFO_PCI_CONFIG_SPACE, HpetInfo,
};

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

/// Reads the chunks.
///
/// # Safety
/// `info` is what the kernel told this root task: `extra_len` bytes of chunks are mapped at the next page, for good.
pub unsafe fn extra(info: &'static BootInfo) -> Extra {
    let mut extra = Extra { fdt: None, arguments: None, config_space: None, hpet: None, axiom: None };
    let start = core::ptr::from_ref(info) as usize + 4096;
    let mut at = 0usize;
    while at + size_of::<Header>() <= info.extra_len as usize {
        // SAFETY: the kernel mapped `extra_len` bytes of chunks after BootInfo, read-only for us from now on; a chunk may begin anywhere.
        let header = unsafe { ((start + at) as *const Header).read_unaligned() };
        let length = header.len as usize;
        if length < size_of::<Header>() || length > info.extra_len as usize - at {
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
