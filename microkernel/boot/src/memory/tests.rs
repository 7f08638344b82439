extern crate std;
use super::*;
use axiom_fdt::writer::Builder;
use proptest::prelude::*;
use std::string::ToString;
use std::vec::Vec;

fn root() -> Builder {
    Builder::default().begin("").cells("#address-cells", &[1]).cells("#size-cells", &[1])
}

fn memory(b: Builder, name: &str, reg: &[u32]) -> Builder {
    b.begin(name).text("device_type", "memory").cells("reg", reg)
}

fn listed(blob: &[u8]) -> Result<Vec<(u64, u64, bool)>, Refusal> {
    let mut list = Vec::new();
    reserved(&Fdt::new(blob).unwrap(), |start, end, no_map| {
        list.push((start, end, no_map));
        Ok(())
    })
    .map(|()| list)
}

#[test]
fn ram_is_what_enabled_memory_nodes_say() {
    let b = memory(root(), "memory@1000", &[0x1000, 0x1000, 0x8000, 0x2000]).end();
    let b = memory(b, "memory@20000", &[0x2_0000, 0x1000]).text("status", "disabled").end();
    let b = b.begin("memory").text("device_type", "flash").cells("reg", &[0x4_0000, 0x1000]).end();
    let blob = memory(b, "memory@30000", &[0x3_0000, 0x1000]).text("status", "okay").end().end().blob();
    let ram = ram(&Fdt::new(&blob).unwrap()).unwrap();
    assert_eq!(ram.as_slice(), &[(0x1000, 0x2000), (0x8000, 0xa000), (0x3_0000, 0x3_1000)]);
}

#[test]
fn ram_that_cannot_be_read_is_refused() {
    let refused = |b: Builder| ram(&Fdt::new(&b.end().blob()).unwrap()).unwrap_err();
    assert!(refused(root()).to_string().starts_with("no memory: the device tree has no node"));
    assert_eq!(
        refused(memory(root(), "memory@1", &[0x1000, 0x1000, 0x2000]).end()),
        Refusal::Registers(Name::text("/memory@1"))
    );
    let wide = Builder::default().begin("").cells("#address-cells", &[2]).cells("#size-cells", &[2]);
    assert_eq!(
        refused(memory(wide, "memory@2", &[u32::MAX, 0, 1, 0]).end()),
        Refusal::Registers(Name::text("/memory@2"))
    );
    let many: Vec<u32> = (0..40).flat_map(|i| [i * 0x2000, 0x1000]).collect();
    assert_eq!(refused(memory(root(), "memory@3", &many).end()), Refusal::TooManyPieces);
}

/// Issue 9: the 33rd and later entries were dropped, and that memory handed out.
#[test]
fn every_entry_of_the_reservation_block_is_honoured() {
    let block = (0..100).fold(root(), |b, i| b.reserve(0x1_0000 * i, 0x1000));
    let list = listed(&block.end().blob()).unwrap();
    assert_eq!(list.len(), 100);
    assert_eq!(list[99], (0x63_0000, 0x63_1000, false));
    // An entry at the end of the address space ends there.
    assert_eq!(listed(&root().reserve(u64::MAX, 9).end().blob()).unwrap(), [(u64::MAX, u64::MAX, false)]);
}

#[test]
fn what_reserved_memory_lists_is_honoured() {
    let b = root()
        .begin("reserved-memory")
        .cells("#address-cells", &[1])
        .cells("#size-cells", &[1])
        .prop("ranges", &[]);
    let b = b.begin("a").cells("reg", &[0x1000, 0x1000, 0x5000, 0x1000]).end();
    let b = b.begin("b").cells("reg", &[0x9000, 0x1000]).prop("no-map", &[]).end();
    let b = b.begin("c").cells("reg", &[0xa000, 0x1000]).text("status", "disabled").end();
    let b =
        b.begin("pool").cells("size", &[0x1000]).begin("child").cells("reg", &[0xb000, 0x1000]).end().end();
    let blob = b.end().begin("other").begin("d").cells("reg", &[0xc000, 0x1000]).end().end().end().blob();
    let expected = [(0x1000, 0x2000, false), (0x5000, 0x6000, false), (0x9000, 0xa000, true)];
    assert_eq!(listed(&blob).unwrap(), expected);
}

#[test]
fn a_reservation_that_cannot_be_read_stops_the_boot() {
    let node = |ranges: bool, reg: &[u32]| {
        let b = root().begin("reserved-memory").cells("#address-cells", &[1]).cells("#size-cells", &[1]);
        let b = if ranges { b.prop("ranges", &[]) } else { b };
        b.begin("firmware@9000").cells("reg", reg).end().end().end().blob()
    };
    let refusal = Refusal::Registers(Name::text("/reserved-memory/firmware@9000"));
    assert_eq!(listed(&node(true, &[0x9000])), Err(refusal));
    assert_eq!(listed(&node(false, &[0x9000, 0x1000])), Err(refusal));
    assert_eq!(
        refusal.to_string(),
        "/reserved-memory/firmware@9000: its reg is not a whole number of addresses and sizes, or a bus above it has no ranges \
         property"
    );
}

#[test]
fn too_many_pieces_stop_the_boot() {
    let blob = root().reserve(0x1000, 0x1000).end().blob();
    let refused = reserved(&Fdt::new(&blob).unwrap(), |_, _, _| Err(TooManyPieces));
    assert_eq!(refused, Err(Refusal::TooManyPieces));
    assert!(Refusal::TooManyPieces.to_string().ends_with("is in more than 32 pieces"));
}

#[test]
fn a_tree_that_ends_early_is_refused_and_not_read_half() {
    let b = memory(root(), "memory@1000", &[0x1000, 0x1000]).end();
    let broken = b.token(77).end().blob();
    let fdt = Fdt::new(&broken).unwrap();
    let refusal = Refusal::Tree(axiom_fdt::Bad::Structure);
    assert_eq!((listed(&broken), ram(&fdt).err()), (Err(refusal), Some(refusal)));
    assert!(refusal.to_string().contains("nested deeper than 16"));
}

proptest! {
    /// Whatever the tree reserves is not in what is left of RAM, however many entries it takes to say so.
    #[test]
    fn nothing_reserved_is_left(
        block in prop::collection::vec((0u32..0x80, 0u32..4), 0..48),
        nodes in prop::collection::vec((0u32..0x80, 1u32..4), 0..48),
    ) {
        let b = block.iter().fold(root(), |b, (page, count)| b.reserve(u64::from(page * 4096), u64::from(count * 4096)));
        let b = memory(b, "memory@0", &[0x1000, 0x7f000]).end();
        let b = b.begin("reserved-memory").cells("#address-cells", &[1]).cells("#size-cells", &[1]).prop("ranges", &[]);
        let b = nodes.iter().fold(b, |b, (page, count)| b.begin("r").cells("reg", &[page * 4096, count * 4096]).end());
        let blob = b.end().end().blob();
        let fdt = Fdt::new(&blob).unwrap();
        let mut free = ram(&fdt).unwrap();
        // An entry of zeroes ends the block.
        let ends = block.iter().position(|e| *e == (0, 0)).unwrap_or(block.len());
        let taken = |page: u32| block[..ends].iter().chain(&nodes).any(|(first, count)| (*first..first + count).contains(&page));
        match reserved(&fdt, |start, end, _| free.remove(start, end)) {
            Ok(()) => for page in 1..0x80u32 {
                let at = u64::from(page) * 4096;
                prop_assert_eq!(free.contain(at, at + 4096), !taken(page), "page {}", page);
            },
            Err(refusal) => {
                prop_assert_eq!(refusal, Refusal::TooManyPieces);
                let pieces = (1..0x80).filter(|p| !taken(*p) && (*p == 1 || taken(p - 1))).count();
                prop_assert!(pieces > 16, "{pieces} pieces");
            }
        }
    }
}
