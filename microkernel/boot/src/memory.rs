//! RAM as the device tree describes it, and what it reserves of that.
//!
//! Every entry of every list is honoured, or boot stops: a reservation that were skipped would be handed out as memory.
use crate::ranges::{Ranges, TooManyPieces};
use crate::refusal::{Name, Refusal};
use axiom_fdt::{Fdt, Node, Walk};

/// Calls `visit` for every node until one refuses. A tree that cannot be read to its end is refused: nobody knows what it would
/// have reserved there.
fn each(fdt: &Fdt<'_>, mut visit: impl FnMut(&Node<'_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let mut result = Ok(());
    let walked = fdt.walk(|node| {
        result = visit(node);
        if result.is_ok() { Walk::On } else { Walk::Stop }
    });
    result.and(walked.map_err(Refusal::from))
}

/// Calls `visit` for every entry of a node's `reg`: address, size.
pub fn registers(
    node: &Node<'_>,
    mut visit: impl FnMut(u64, u64) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let unreadable = || Refusal::Registers(Name::of(node));
    for index in 0..node.reg_count().ok_or_else(unreadable)? {
        let (address, size) = node.reg(index).ok_or_else(unreadable)?;
        visit(address, size)?;
    }
    Ok(())
}

/// The pages of RAM.
#[inline(never)]
pub fn ram(fdt: &Fdt<'_>) -> Result<Ranges, Refusal> {
    let mut ram = Ranges::new();
    each(fdt, |node| {
        if node.text("device_type") != Some("memory") || !node.is_enabled() {
            return Ok(());
        }
        registers(node, |start, size| {
            let end = start.checked_add(size).ok_or_else(|| Refusal::Registers(Name::of(node)))?;
            Ok(ram.add(start, end)?)
        })
    })?;
    if ram.as_slice().is_empty() {
        return Err(Refusal::Rule(
            "no memory: the device tree has no node with device_type \"memory\" and a reg property",
        ));
    }
    Ok(ram)
}

/// Calls `reserve` for everything that the tree reserves, its reservation block and `/reserved-memory`: start, end, and
/// whether not even a mapping is allowed.
pub fn reserved(
    fdt: &Fdt<'_>,
    mut reserve: impl FnMut(u64, u64, bool) -> Result<(), TooManyPieces>,
) -> Result<(), Refusal> {
    for (start, size) in fdt.reservations() {
        reserve(start, start.saturating_add(size), false)?;
    }
    each(fdt, |node| {
        if node.depth != 2 || node.ancestor(1) != "reserved-memory" || !node.is_enabled() {
            return Ok(());
        }
        let no_map = node.prop("no-map").is_some();
        registers(node, |start, size| Ok(reserve(start, start.saturating_add(size), no_map)?))
    })
}

#[cfg(test)]
mod tests;
