//! What a machine is made of: RAM, devices, the bundle, and what the kernel says of them.
use super::*;

/// What a machine is made of.
pub struct Parts {
    /// RAM for init, as powers of two.
    pub ram: Vec<u8>,
    /// The device tree.
    pub fdt: Vec<u8>,
    /// What pages of devices hold.
    pub registers: BTreeMap<u64, Vec<u8>>,
    /// Words of theirs that have bits which nobody writes: by address, the bits and what they are.
    pub fixed: Vec<(u64, u32, u32)>,
    /// PCI configuration space: bus 0's, and the last bus.
    pub config_space: Option<(u64, u8)>,
    /// What the kernel says of the HPET.
    pub hpet: Option<HpetInfo>,
    /// The kernel has Axiom's extensions.
    pub extensions: bool,
    /// Slots of init's, as a power of two: as the kernel has it.
    pub slots: u32,
    /// The bundle's first bytes are what they should be.
    pub bundle: bool,
}

impl Default for Parts {
    fn default() -> Parts {
        Parts {
            ram: vec![22],
            fdt: tree(|nothing| nothing),
            registers: BTreeMap::new(),
            fixed: Vec::new(),
            config_space: None,
            hpet: None,
            extensions: true,
            slots: 13,
            bundle: true,
        }
    }
}

/// A device tree with these nodes, whose addresses and sizes take two cells each.
pub fn tree(nodes: impl FnOnce(Builder) -> Builder) -> Vec<u8> {
    let root = Builder::default().begin("").cells("#address-cells", &[2]).cells("#size-cells", &[2]);
    nodes(root.text("model", "a test")).end().blob()
}

/// Bytes of the test's bundle.
pub const PAYLOAD_BYTES: usize = 16 * PAGE;

/// The bundle: its head, then pages that say their number.
pub(super) fn payload(system: &System, good: bool) -> Vec<u8> {
    let description = postcard::to_allocvec(system).expect("a system can be written");
    let mut bytes = bundle::MAGIC.to_vec();
    bytes.extend((description.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(&description);
    assert!(bytes.len() <= 8 * PAGE, "the description takes {} bytes", bytes.len());
    bytes.resize(8 * PAGE, 0);
    for page in 8..16u8 {
        bytes.extend([page; PAGE]);
    }
    if !good {
        bytes[3] = b'?';
    }
    bytes
}

pub(super) fn next_frames(
    world: &FakeWorld,
    payload: &[u8],
    provide: &mut impl FnMut(Cap) -> u64,
) -> SlotRegion {
    let mut region = SlotRegion::default();
    for page in payload.chunks(PAGE) {
        let frame = world.frame();
        let Cap::Frame { base, .. } = frame else { panic!("a frame") };
        // SAFETY: a page of RAM that nobody has yet.
        unsafe { Inner::ram(base, PAGE).copy_from_nonoverlapping(page.as_ptr(), PAGE) };
        let slot = provide(frame);
        region.start = if region.start == 0 { slot } else { region.start };
        region.end = slot + 1;
    }
    region
}

pub(super) fn put_payload(payload: &[u8]) {
    let at = memory(address::PAYLOAD, PAYLOAD_BYTES, true) as *mut u8;
    // SAFETY: new memory of that size.
    unsafe { at.copy_from_nonoverlapping(payload.as_ptr(), payload.len()) };
}

pub(super) fn chunks(parts: &Parts, axiom: &AxiomInfo) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = |id: u64, body: &[u8]| {
        let len = (size_of::<Header>() + body.len().next_multiple_of(8)) as u64;
        bytes.extend([id, len].iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    };
    // A chunk that nobody knows.
    chunk(0x7777, &[1, 2, 3]);
    if !parts.fdt.is_empty() {
        chunk(HEADER_FDT, &parts.fdt);
    }
    if let Some(hpet) = parts.hpet {
        chunk(BOOTINFO_HPET, hpet.words().map(u64::to_le_bytes).as_flattened());
    }
    if let Some((base, last)) = parts.config_space {
        let words = [base, last.into()].map(u64::to_le_bytes);
        chunk(BOOTINFO_PCI_CONFIG_SPACE, words.as_flattened());
    }
    if parts.extensions {
        let words: Vec<u8> = axiom.words().iter().flat_map(|word| word.to_le_bytes()).collect();
        chunk(BOOTINFO_AXIOM, &words);
    }
    bytes
}

/// A request for a device that is there, or the server does not start: its interrupts, no messages, nothing behind it.
pub fn device(name: &str, compatible: &str) -> DeviceRequest {
    DeviceRequest {
        name: name.into(),
        compatible: compatible.into(),
        virtio_id: None,
        instance: 0,
        interrupts: true,
        ranges: false,
        messages: false,
        optional: false,
        registers_kib: 1024,
    }
}
