//! BootInfo: what the kernel tells the root task (`seL4_BootInfo`).
use crate::Word;

/// Entries of the untyped list.
pub const MAX_UNTYPEDS: usize = 230;

/// A range of slots in the root CNode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct SlotRegion {
    /// First slot.
    pub start: Word,
    /// First slot after it.
    pub end: Word,
}

/// What an untyped capability covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct UntypedDesc {
    /// Physical address.
    pub paddr: Word,
    /// Size, as a power of two.
    pub size_bits: u8,
    /// 1 for device memory.
    pub is_device: u8,
    /// Zero.
    pub padding: [u8; 6],
}

/// The BootInfo frame. Extra chunks follow at the next page.
#[derive(Debug)]
#[repr(C)]
pub struct BootInfo {
    /// Bytes of extra chunks.
    pub extra_len: Word,
    /// This node.
    pub node_id: Word,
    /// Nodes.
    pub num_nodes: Word,
    /// IOMMU page table levels; [`crate::object::IO_PAGE_TABLE_LEVELS`] where the kernel has none.
    pub num_io_pt_levels: Word,
    /// Virtual address of the IPC buffer.
    pub ipc_buffer: Word,
    /// Empty slots.
    pub empty: SlotRegion,
    /// Frames shared between nodes.
    pub shared_frames: SlotRegion,
    /// Frames of the root task's image.
    pub user_image_frames: SlotRegion,
    /// Page tables of the root task's address space.
    pub user_image_paging: SlotRegion,
    /// IOSpace capabilities.
    pub io_space_caps: SlotRegion,
    /// Frames of the extra chunks.
    pub extra_bi_pages: SlotRegion,
    /// Size of the root CNode, as a power of two of slots.
    pub init_thread_cnode_size_bits: Word,
    /// The root task's domain.
    pub init_thread_domain: Word,
    /// SchedControl, one per core.
    pub schedcontrol: SlotRegion,
    /// Untyped capabilities.
    pub untyped: SlotRegion,
    /// What they cover.
    pub untyped_list: [UntypedDesc; MAX_UNTYPEDS],
}

/// The header of an extra chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// What it is.
    pub id: Word,
    /// Bytes with this header.
    pub len: Word,
}

/// A chunk that only fills space.
pub const HEADER_PADDING: Word = 0;
/// The memory map as Multiboot has it (x86).
pub const HEADER_X86_MEMORY_MAP: Word = 2;
/// The ACPI root pointer (x86).
pub const HEADER_X86_ACPI_RSDP: Word = 3;
/// The counter's frequency in MHz (x86); [`crate::ext::AxiomInfo`] has it in Hz.
pub const HEADER_X86_TSC_FREQUENCY: Word = 5;
/// The flattened device tree.
pub const HEADER_FDT: Word = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_holds_it() {
        assert!(size_of::<BootInfo>() <= 4096);
        assert_eq!(core::mem::offset_of!(BootInfo, untyped_list), 8 * (5 + 12 + 2 + 4));
    }
}
