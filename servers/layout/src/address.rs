//! Address spaces: a server's from low to high, then init's own.

/// Servers are linked to start here; their image ends before [`HEAP`].
pub const CODE: u64 = 0x20_0000;
/// A server's heap.
pub const HEAP: u64 = 0x0400_0000;
/// The end of a server's stack, which grows down towards its heap. What every server has above its image lies here, in one table of pages,
/// with the buffer and the environment: a table is a page, too.
pub const STACK_TOP: u64 = 0x0c10_0000;
/// Room for heap and stack together, KiB: less a guard between them.
pub const ARENA_KIB: u64 = (STACK_TOP - HEAP) / 1024 - 1024;
/// A server's IPC buffer.
pub const IPC_BUFFER: u64 = 0x0c18_0000;
/// What init tells a server at its start.
pub const ENVIRONMENT: u64 = 0x0c1c_0000;
/// Memory that a server shares with its clients, page by page.
pub const SHARED: u64 = 0x0c80_0000;
/// Most of it, KiB.
pub const SHARED_KIB: u64 = (DMA - SHARED) / 1024;
/// Memory for a server's devices.
pub const DMA: u64 = 0x0d00_0000;
/// Registers of a server's devices, a free page between any two of them.
pub const DEVICES: u64 = 0x0e00_0000;
/// Bytes for registers of a server's devices, with those pages.
pub const DEVICES_BYTES: u64 = TRACE - DEVICES;
/// KiB of addresses that the PCI functions of a system may take, all servers together. init spends four of its 8,192 slots on a page of
/// registers: half of them at most.
pub const FUNCTIONS_KIB: u64 = 4096;
/// The trace ring.
pub const TRACE: u64 = 0x0f00_0000;
/// A server's files, a free page between any two of them.
pub const FILES: u64 = 0x1800_0000;
/// Bytes for a server's files, with those pages.
pub const FILES_BYTES: u64 = SCRATCH - FILES;
/// Addresses that a server maps itself.
pub const SCRATCH: u64 = 0x2000_0000;
/// Code of programs, in a server that runs some: within reach of a branch of compiled code, and of nothing else.
pub const PROGRAM_CODE: u64 = 0x40_0000_0000;
/// Their maps.
pub const PROGRAM_MAPS: u64 = PROGRAM_CODE + 0x1000_0000;

/// init's image: from here to the payload.
pub const INIT: u64 = 0x40_0000;
/// The bundle's payload, in init.
pub const PAYLOAD: u64 = 0x1000_0000;
/// Most bytes of a payload.
pub const PAYLOAD_BYTES: u64 = INIT_PROBE - PAYLOAD;
/// Where init looks at registers.
pub const INIT_PROBE: u64 = 0x3000_0000;
/// Where init fills a server's pages.
pub const INIT_FILL: u64 = 0x3100_0000;
/// Where init looks at PCI configuration space, all of it: 1 MiB a bus.
pub const INIT_CONFIG: u64 = 0x4000_0000;

const _: () = assert!(CODE < HEAP && HEAP < STACK_TOP && STACK_TOP < IPC_BUFFER && IPC_BUFFER < ENVIRONMENT);
const _: () = assert!(
    ENVIRONMENT < SHARED
        && SHARED < DMA
        && DMA < DEVICES
        && DEVICES < TRACE
        && TRACE < FILES
        && FILES < SCRATCH
);
const _: () =
    assert!(INIT < PAYLOAD && PAYLOAD < INIT_PROBE && INIT_PROBE < INIT_FILL && INIT_FILL < INIT_CONFIG);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_window_ends_where_the_next_thing_begins() {
        // A guard of 1 MiB lies between heap and stack.
        assert_eq!(HEAP + ARENA_KIB * 1024 + (1 << 20), STACK_TOP);
        assert_eq!(SHARED + SHARED_KIB * 1024, DMA);
        assert_eq!(FILES + FILES_BYTES, SCRATCH);
        assert_eq!(DEVICES + DEVICES_BYTES, TRACE);
        // One table of the lowest level covers 2 MiB.
        let tables = [STACK_TOP - 4096, IPC_BUFFER, ENVIRONMENT].map(|page| page >> 21);
        assert_eq!(tables, [tables[0]; 3]);
        assert_eq!(PAYLOAD + PAYLOAD_BYTES, INIT_PROBE);
        // Code of programs reaches its maps, and 256 pages of it are far from them.
        assert_eq!(PROGRAM_MAPS - PROGRAM_CODE, 256 << 20);
        const { assert!(SCRATCH + crate::MAX_SCRATCH_KIB * 1024 <= PROGRAM_CODE) };
    }

    #[test]
    fn images_are_linked_to_where_they_are_said_to_be() {
        let script = include_str!("../../image.ld");
        assert!(script.contains(&std::format!("? __image_base : {CODE:#x};")), "{script}");
        let init = include_str!("../../init/build.rs");
        assert!(init.contains(&std::format!("__image_base={INIT:#x}\"")), "{init}");
    }
}
