//! A small reader of flattened device trees (Devicetree Specification 0.4, chapter 5), for the kernel and init.
//!
//! Every offset is checked; a truncated or hostile tree ends a walk early or gives [`Bad`], never a panic. Nothing is
//! allocated. Addresses are translated to the root through the `ranges` of the buses on the way.
#![no_std]
#![forbid(unsafe_code)]

pub mod kernels;

const MAGIC: u32 = 0xd00d_feed;
const BEGIN_NODE: u32 = 1;
const END_NODE: u32 = 2;
const PROP: u32 = 3;
const NOP: u32 = 4;
/// Deepest nesting that is followed.
pub const MAX_DEPTH: usize = 16;

/// Why a tree cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// The magic number is not there.
    Magic,
    /// The header's offsets lie outside the blob, or the reservation block has no end in it.
    Header,
    /// The structure block is damaged.
    Structure,
}

/// An interrupt of a GIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Its id.
    pub id: u32,
    /// Whether it is edge-triggered; else by its level.
    pub edge: bool,
}

/// Interrupts in a row, which messages raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// The first.
    pub first: Interrupt,
    /// How many.
    pub count: u32,
}

/// A device tree.
#[derive(Clone, Copy)]
pub struct Fdt<'a> {
    data: &'a [u8],
    structure: &'a [u8],
    strings: &'a [u8],
}

/// A node, with what its parents say of addresses.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    /// Name with unit address.
    pub name: &'a str,
    /// Depth; the root is 0.
    pub depth: usize,
    props: &'a [u8],
    strings: &'a [u8],
    levels: [Level<'a>; MAX_DEPTH],
}

#[derive(Clone, Copy, Default)]
struct Level<'a> {
    name: &'a str,
    address_cells: usize,
    size_cells: usize,
    /// `None`: the bus does not map through; empty: one to one.
    ranges: Option<&'a [u8]>,
    interrupt_parent: Option<u32>,
}

fn be32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The size that a blob's header states, from its first 8 bytes; `None` without the magic number.
pub fn stated_size(header: &[u8]) -> Option<usize> {
    (be32(header, 0)? == MAGIC).then(|| be32(header, 4).unwrap_or(0) as usize)
}

impl<'a> Fdt<'a> {
    /// A tree from a blob that is at least as long as its header says.
    pub fn new(data: &'a [u8]) -> Result<Fdt<'a>, Bad> {
        let size = stated_size(data).ok_or(Bad::Magic)?;
        let data = data.get(..size).ok_or(Bad::Header)?;
        let word = |at| be32(data, at).ok_or(Bad::Header).map(|w| w as usize);
        let block = |start: usize, len: usize| {
            start.checked_add(len).and_then(|end| data.get(start..end)).ok_or(Bad::Header)
        };
        let structure = block(word(8)?, word(36)?)?;
        let strings = block(word(12)?, word(32)?)?;
        let fdt = Fdt { data, structure, strings };
        fdt.reservation_block().ok_or(Bad::Header)?;
        match fdt.token(0) {
            Some((Token::Begin(_), _)) => Ok(fdt),
            _ => Err(Bad::Structure),
        }
    }

    /// The whole blob.
    pub fn bytes(&self) -> &'a [u8] {
        self.data
    }

    /// Bytes up to the end of the last block: emulators pad the blob.
    pub fn used(&self) -> usize {
        let end = |block: &[u8]| block.as_ptr() as usize + block.len() - self.data.as_ptr() as usize;
        end(self.structure).max(end(self.strings)).max(self.reservation_block().map_or(0, end))
    }

    /// Bytes of the blob.
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// The memory reservation block with the entry of zeroes that ends it; `None` if the blob ends first.
    fn reservation_block(&self) -> Option<&'a [u8]> {
        let block = self.data.get(be32(self.data, 16)? as usize..)?;
        let entries = block.as_chunks::<16>().0.iter().position(|entry| *entry == [0; 16])?;
        block.get(..(entries + 1) * 16)
    }

    /// Entries of the memory reservation block: address, size.
    pub fn reservations(&self) -> impl Iterator<Item = (u64, u64)> + 'a {
        let block = self.reservation_block().unwrap_or(&[]);
        let entries = block.as_chunks::<16>().0;
        let entries = entries.split_last().map_or(entries, |(_, listed)| listed);
        entries.iter().filter_map(|entry| Some((cells(entry, 2)?, cells(&entry[8..], 2)?)))
    }

    fn token(&self, at: usize) -> Option<(Token<'a>, usize)> {
        let body = at + 4;
        match be32(self.structure, at)? {
            BEGIN_NODE => {
                let rest = self.structure.get(body..)?;
                let length = rest.iter().position(|b| *b == 0)?;
                let name = core::str::from_utf8(&rest[..length]).ok()?;
                Some((Token::Begin(name), (body + length + 1).next_multiple_of(4)))
            }
            END_NODE => Some((Token::End, body)),
            PROP => {
                let length = be32(self.structure, body)? as usize;
                let end = body.checked_add(8)?.checked_add(length)?;
                self.structure.get(..end)?;
                Some((Token::Prop, end.next_multiple_of(4)))
            }
            NOP => Some((Token::Nop, body)),
            _ => None,
        }
    }

    /// Calls `visit` for every node, parents first, until it says stop.
    pub fn walk(&self, mut visit: impl FnMut(&Node<'a>) -> Walk) -> Result<(), Bad> {
        self.walk_with(&mut visit)
    }

    /// One for all: a copy for each closure would be larger than all the rest.
    #[inline(never)]
    fn walk_with(&self, visit: &mut dyn FnMut(&Node<'a>) -> Walk) -> Result<(), Bad> {
        // One node is changed in place from visit to visit: copying it would cost more than all the rest.
        let mut node = Node {
            name: "",
            depth: 0,
            props: &[],
            strings: self.strings,
            levels: [Level::default(); MAX_DEPTH],
        };
        let (mut at, mut depth) = (0usize, 0usize);
        loop {
            let (token, next) = self.token(at).ok_or(Bad::Structure)?;
            at = next;
            match token {
                Token::Begin(name) => {
                    if depth >= MAX_DEPTH {
                        return Err(Bad::Structure);
                    }
                    node.name = name;
                    node.depth = depth;
                    node.props = self.props_from(at);
                    let cell = |p: &str, default| node.u32(p).map_or(default, |v| v as usize);
                    let inherited = depth.checked_sub(1).and_then(|d| node.levels[d].interrupt_parent);
                    node.levels[depth] = Level {
                        name,
                        address_cells: cell("#address-cells", 2),
                        size_cells: cell("#size-cells", 1),
                        ranges: node.prop("ranges"),
                        interrupt_parent: node.u32("interrupt-parent").or(inherited),
                    };
                    depth += 1;
                    if visit(&node) == Walk::Stop {
                        return Ok(());
                    }
                }
                Token::End => {
                    depth = depth.checked_sub(1).ok_or(Bad::Structure)?;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                Token::Prop | Token::Nop => {}
            }
        }
    }

    /// The properties directly behind a node's name: they precede its children.
    fn props_from(&self, start: usize) -> &'a [u8] {
        let mut at = start;
        while let Some((Token::Prop | Token::Nop, next)) = self.token(at) {
            at = next;
        }
        self.structure.get(start..at).unwrap_or(&[])
    }

    /// The first node for which `matches` holds.
    pub fn find(&self, mut matches: impl FnMut(&Node<'a>) -> bool) -> Option<Node<'a>> {
        let mut found = None;
        let walked = self.walk(|node| {
            if matches(node) {
                found = Some(*node);
                return Walk::Stop;
            }
            Walk::On
        });
        walked.ok().and(found)
    }

    /// The node at an absolute path (`/soc/serial@7d001000`), or at the path of an alias.
    pub fn at_path(&self, path: &str) -> Option<Node<'a>> {
        if path.starts_with('/') {
            return self.find(|n| n.is_at(path));
        }
        let aliases = self.find(|n| n.depth == 1 && n.name == "aliases")?;
        let target = aliases.text(path)?;
        target.starts_with('/').then(|| self.find(|n| n.is_at(target))).flatten()
    }

    /// The first node that is compatible with one of these and not disabled.
    pub fn compatible(&self, names: &[&str]) -> Option<Node<'a>> {
        self.find(|n| n.is_enabled() && names.iter().any(|name| n.is_compatible(name)))
    }
}

/// Whether a walk goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// To the next node.
    On,
    /// No further.
    Stop,
}

enum Token<'a> {
    Begin(&'a str),
    End,
    Prop,
    Nop,
}

/// A big-endian number of 0, 1 or 2 cells (or the low 64 bits of 3).
fn cells(data: &[u8], count: usize) -> Option<u64> {
    let bytes = data.get(..count * 4)?;
    Some(bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte)))
}

impl<'a> Node<'a> {
    /// A property's bytes.
    pub fn prop(&self, name: &str) -> Option<&'a [u8]> {
        let mut at = 0;
        while let Some(token) = be32(self.props, at) {
            if token == NOP {
                at += 4;
                continue;
            }
            let length = be32(self.props, at + 4)? as usize;
            let value = self.props.get(at + 12..at.checked_add(12)?.checked_add(length)?)?;
            let text = self.strings.get(be32(self.props, at + 8)? as usize..)?;
            let end = text.iter().position(|b| *b == 0)?;
            if &text[..end] == name.as_bytes() {
                return Some(value);
            }
            at = (at + 12 + length).next_multiple_of(4);
        }
        None
    }

    /// A property of one cell.
    pub fn u32(&self, name: &str) -> Option<u32> {
        be32(self.prop(name)?, 0)
    }

    /// A property of one or two cells.
    pub fn u64(&self, name: &str) -> Option<u64> {
        let value = self.prop(name)?;
        cells(value, (value.len() / 4).min(2)).filter(|_| value.len() >= 4)
    }

    /// A property's first string.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.prop(name)?.split(|b| *b == 0).next().and_then(|s| core::str::from_utf8(s).ok())
    }

    /// Whether the node says that it is compatible with `name`.
    pub fn is_compatible(&self, name: &str) -> bool {
        self.prop("compatible").is_some_and(|list| list.split(|b| *b == 0).any(|s| s == name.as_bytes()))
    }

    /// Whether the node's status allows its use.
    pub fn is_enabled(&self) -> bool {
        matches!(self.text("status"), None | Some("okay" | "ok"))
    }

    /// The name of the ancestor at `depth`.
    pub fn ancestor(&self, depth: usize) -> &'a str {
        self.levels.get(depth).map_or("", |l| l.name)
    }

    /// Whether this is the node at an absolute path.
    pub fn is_at(&self, path: &str) -> bool {
        let mut parts = path.split('/').filter(|p| !p.is_empty());
        for depth in 1..=self.depth {
            if parts.next() != Some(self.ancestor(depth)) {
                return false;
            }
        }
        parts.next().is_none()
    }

    /// Writes the node's path.
    pub fn write_path(&self, out: &mut dyn core::fmt::Write) -> core::fmt::Result {
        if self.depth == 0 {
            return out.write_str("/");
        }
        (1..=self.depth).try_for_each(|d| write!(out, "/{}", self.ancestor(d)))
    }

    /// Bytes of an entry of `reg`: an address and a size in the parent's cells.
    fn reg_stride(&self) -> Option<usize> {
        let parent = self.levels.get(self.depth.checked_sub(1)?)?;
        Some((parent.address_cells + parent.size_cells) * 4)
    }

    /// How many entries `reg` has, none without that property; `None` if its length is not a whole number of them.
    pub fn reg_count(&self) -> Option<usize> {
        let Some(reg) = self.prop("reg") else { return Some(0) };
        let stride = self.reg_stride()?;
        (stride > 0 && reg.len().is_multiple_of(stride)).then(|| reg.len() / stride)
    }

    /// Range `index` of `reg` as the CPU sees it: address, size.
    pub fn reg(&self, index: usize) -> Option<(u64, u64)> {
        let parent = self.levels.get(self.depth.checked_sub(1)?)?;
        let (a, s) = (parent.address_cells, parent.size_cells);
        let entry = self.prop("reg")?.get(index.checked_mul(self.reg_stride()?)?..)?;
        let address = cells(entry, a)?;
        let size = cells(entry.get(a * 4..)?, s)?;
        Some((self.translate(address)?, size))
    }

    fn translate(&self, address: u64) -> Option<u64> {
        let mut address = address;
        for depth in (1..self.depth).rev() {
            let bus = &self.levels[depth];
            let ranges = bus.ranges?;
            if ranges.is_empty() {
                continue;
            }
            let (child, parent, size) =
                (bus.address_cells, self.levels[depth - 1].address_cells, bus.size_cells);
            let stride = (child + parent + size) * 4;
            let mut mapped = None;
            for entry in ranges.chunks_exact(stride.max(1)) {
                let from = cells(entry, child)?;
                let to = cells(&entry[child * 4..], parent)?;
                let length = cells(&entry[(child + parent) * 4..], size)?;
                if address >= from && address - from < length {
                    mapped = to.checked_add(address - from);
                    break;
                }
            }
            address = mapped?;
        }
        Some(address)
    }

    /// Entry `index` of a bridge's `ranges`: where the CPU sees what lies behind it: address, size.
    pub fn window(&self, index: usize) -> Option<(u64, u64)> {
        let bus = self.levels.get(self.depth)?;
        let parent = self.levels.get(self.depth.checked_sub(1)?)?.address_cells;
        let stride = (bus.address_cells + parent + bus.size_cells) * 4;
        let entry = self.prop("ranges")?.get(index.checked_mul(stride)?..)?;
        let address = cells(entry.get(bus.address_cells * 4..)?, parent)?;
        let size = cells(entry.get((bus.address_cells + parent) * 4..)?, bus.size_cells)?;
        Some((self.translate(address)?, size))
    }

    /// Entry `index` of a bridge's `interrupt-map`, to a GIC without unit addresses.
    pub fn pin_interrupt(&self, index: usize) -> Option<Interrupt> {
        const PIN_PARENT_SPECIFIER: usize = 1 + 1 + 3;
        let address = self.levels.get(self.depth)?.address_cells;
        let map = self.prop("interrupt-map")?;
        let stride = (address + PIN_PARENT_SPECIFIER) * 4;
        if map.len() % stride != 0 {
            return None;
        }
        let entry = map.get(index.checked_mul(stride)? + (address + 2) * 4..)?;
        gic_specifier(entry)
    }

    /// The `msi-ranges` of a block that turns messages into interrupts of a GIC.
    pub fn message_interrupts(&self) -> Option<Messages> {
        const PHANDLE: usize = 4;
        const SPECIFIER: usize = 12;
        let range = self.prop("msi-ranges")?;
        let first = gic_specifier(range.get(PHANDLE..)?)?;
        Some(Messages { first, count: be32(range, PHANDLE + SPECIFIER)? })
    }

    /// The interrupt parent's phandle.
    pub fn interrupt_parent(&self) -> Option<u32> {
        self.levels.get(self.depth)?.interrupt_parent
    }

    /// GIC interrupt `index` (three cells: kind, number, flags).
    pub fn gic_interrupt(&self, index: usize) -> Option<Interrupt> {
        let entry = self.prop("interrupts")?.get(index.checked_mul(12)?..)?;
        gic_specifier(entry)
    }
}

/// An interrupt of a GIC by its cells: kind (0 shared, 1 private to a core), number, flags.
fn gic_specifier(entry: &[u8]) -> Option<Interrupt> {
    const PRIVATE: u32 = 16;
    const SHARED: u32 = 32;
    const END: u32 = 1020;
    let (kind, number, flags) = (be32(entry, 0)?, be32(entry, 4)?, be32(entry, 8)?);
    let (first, end) = match kind {
        0 => (SHARED, END),
        1 => (PRIVATE, SHARED),
        _ => return None,
    };
    let id = first.checked_add(number).filter(|id| *id < end)?;
    Some(Interrupt { id, edge: flags & 3 != 0 })
}

#[cfg(test)]
mod tests;
#[cfg(any(test, feature = "writer"))]
pub mod writer;
