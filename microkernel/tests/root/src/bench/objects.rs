//! Capabilities, objects, pages.
use crate::table::{SAMPLES, Table, timed};
use axiom_root_test::arch;
use axiom_root_test::world::{self as w, World, cycles};
use sel4_sys::cap::init;
use sel4_sys::object::kind;
use sel4_sys::{CPtr, Error, label};

const AT: u64 = 0x7000_0000;
const MANY: u64 = 512;

/// All of them.
pub fn measure(world: &mut World, table: &mut Table) {
    for (name, result) in [
        ("kernel.cnode", capabilities(world, table)),
        ("kernel.retype", retype(world, table)),
        ("kernel.page", pages(world, table)),
    ] {
        if let Err(e) = result {
            axiom_root_test::say!("kernel-bench: {name}: {e:?}");
            table.miss(name, "an invocation failed");
        }
    }
}

/// Instructions of an invocation that must succeed.
fn invocation(cap: CPtr, label: u64, caps: &[CPtr], words: &[u64]) -> Result<u64, Error> {
    let start = cycles();
    let result = w::invoke(cap, label, caps, words);
    let spent = cycles().wrapping_sub(start);
    result.map(|_| spent)
}

fn capabilities(world: &mut World, table: &mut Table) -> Result<(), Error> {
    let ep = world.make(kind::ENDPOINT, 0);
    let slot = world.slots(1);
    let (mut copy, mut delete) = ([0; SAMPLES], [0; SAMPLES]);
    for i in 0..SAMPLES {
        copy[i] = invocation(init::CNODE, label::CNODE_COPY, &[init::CNODE], &[slot, 64, ep.0, 64, 15])?;
        delete[i] = invocation(init::CNODE, label::CNODE_DELETE, &[], &[slot, 64])?;
    }
    table.add("kernel.cnode_copy", &copy, 1);
    table.add("kernel.cnode_delete", &delete, 1);
    Ok(())
}

fn retype(world: &mut World, table: &mut Table) -> Result<(), Error> {
    let kinds = [
        (kind::ENDPOINT, "kernel.retype.endpoint"),
        (kind::TCB, "kernel.retype.tcb"),
        (kind::SMALL_PAGE, "kernel.retype.page"),
    ];
    for (kind, name) in kinds {
        let first = world.slots(SAMPLES as u64);
        let mut samples = [0; SAMPLES];
        for (slot, sample) in (first..).zip(&mut samples) {
            *sample =
                invocation(world.untyped, label::UNTYPED_RETYPE, &[init::CNODE], &[kind, 0, 0, 0, slot, 1])?;
        }
        table.add(name, &samples, 1);
    }
    Ok(())
}

fn pages(world: &mut World, table: &mut Table) -> Result<(), Error> {
    world.map_tables(AT);
    let frame = world.make(kind::SMALL_PAGE, 0);
    let (mut map, mut unmap) = ([0; SAMPLES], [0; SAMPLES]);
    for i in 0..SAMPLES {
        map[i] = invocation(frame, label::PAGE_MAP, &[init::VSPACE], &[AT, 3, arch::DATA])?;
        unmap[i] = invocation(frame, label::PAGE_UNMAP, &[], &[])?;
    }
    table.add("kernel.page_map", &map, 1);
    table.add("kernel.page_unmap", &unmap, 1);
    let first = world.slots(MANY);
    for half in [0, MANY / 2] {
        let words = [kind::SMALL_PAGE, 0, 0, 0, first + half, MANY / 2];
        w::invoke(world.untyped, label::UNTYPED_RETYPE, &[init::CNODE], &words)?;
    }
    let mut result = Ok(());
    let spent = timed(|| {
        for i in 0..MANY {
            let mapped =
                w::invoke(CPtr(first + i), label::PAGE_MAP, &[init::VSPACE], &[AT + i * 4096, 3, arch::DATA]);
            if let Err(e) = mapped {
                result = Err(e);
            }
        }
    });
    result?;
    table.add("kernel.page_map.each_of_512", &[spent], MANY);
    Ok(())
}
