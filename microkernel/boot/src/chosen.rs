//! What `/chosen` says: where the console is, and where the initial RAM disk lies.
use crate::refusal::{Name, Refusal};
use axiom_fdt::{Fdt, Node};
use core::fmt::{self, Display, Formatter};

const PL011: &str = "arm,pl011";
const START: &str = "linux,initrd-start";
const END: &str = "linux,initrd-end";

/// Why the console is not the one that `stdout-path` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instead {
    /// There is no `stdout-path`.
    Unnamed,
    /// No node is there.
    Absent(Name),
    /// The node is switched off.
    Disabled(Name),
    /// The node is no PL011.
    Foreign(Name),
    /// The node's registers cannot be reached.
    Unreachable(Name),
}

impl Display for Instead {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Instead::Unnamed => f.write_str("/chosen has no stdout-path"),
            Instead::Absent(path) => write!(f, "stdout-path names {path}, which is not there"),
            Instead::Disabled(path) => write!(f, "stdout-path names {path}, which is disabled"),
            Instead::Foreign(path) => write!(f, "stdout-path names {path}, which is not an {PL011}"),
            Instead::Unreachable(path) => {
                write!(f, "stdout-path names {path}, whose registers have no address for the processor")
            }
        }
    }
}

/// The console's UART.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Console {
    /// Its node's path.
    pub path: Name,
    /// Address of its registers.
    pub base: u64,
    /// Their bytes.
    pub size: u64,
    /// Set if it is not what `stdout-path` names: the first enabled PL011 of the tree.
    pub instead: Option<Instead>,
}

/// The PL011 that `stdout-path` names, or else the first that is enabled and has an address; none if there is no such.
#[inline(never)]
pub fn console(fdt: &Fdt<'_>) -> Option<Console> {
    let usable = |node: &Node<'_>| {
        let (base, size) = node.reg(0).filter(|_| node.is_enabled() && node.is_compatible(PL011))?;
        Some(Console { path: Name::of(node), base, size, instead: None })
    };
    let instead = match fdt.at_path("/chosen").and_then(|c| c.text("stdout-path")) {
        None => Instead::Unnamed,
        Some(text) => {
            // What follows the colon are the line's settings.
            let path = text.split(':').next().unwrap_or(text);
            match fdt.at_path(path) {
                None => Instead::Absent(Name::text(path)),
                Some(node) if !node.is_enabled() => Instead::Disabled(Name::text(path)),
                Some(node) if !node.is_compatible(PL011) => Instead::Foreign(Name::text(path)),
                Some(node) => match usable(&node) {
                    Some(console) => return Some(console),
                    None => Instead::Unreachable(Name::text(path)),
                },
            }
        }
    };
    let first = usable(&fdt.find(|node| usable(node).is_some())?)?;
    Some(Console { instead: Some(instead), ..first })
}

/// First byte of the initial RAM disk, and the byte behind its last.
#[inline(never)]
pub fn initrd(fdt: &Fdt<'_>) -> Result<(u64, u64), Refusal> {
    let chosen = fdt.at_path("/chosen");
    let value = |name| chosen.as_ref().and_then(|c| c.prop(name));
    match (value(START), value(END)) {
        (None, None) => Err(Refusal::Rule(
            "no initial RAM disk: /chosen has no linux,initrd-start and -end. The root task (a bundle or a static ELF) \
             is loaded as the initrd; with QEMU, add -initrd FILE",
        )),
        (Some(_), None) => Err(Refusal::NoBound(END, START)),
        (None, Some(_)) => Err(Refusal::NoBound(START, END)),
        (Some(start), Some(end)) => match (bound(START, start)?, bound(END, end)?) {
            (start, end) if start < end => Ok((start, end)),
            (start, end) => Err(Refusal::Empty(start, end)),
        },
    }
}

/// A number of one or two cells. Eight printable bytes are text: no machine has an address so high.
fn bound(name: &'static str, value: &[u8]) -> Result<u64, Refusal> {
    if let Ok(cell) = value.try_into() {
        return Ok(u32::from_be_bytes(cell).into());
    }
    let text = value.split_last().filter(|(last, _)| **last == 0).map(|(_, text)| text);
    if let Some(text) = text.filter(|t| !t.is_empty() && t.iter().all(|b| b.is_ascii_graphic() || *b == b' '))
    {
        return Err(Refusal::TextBound(name, Name::text(core::str::from_utf8(text).unwrap_or("?"))));
    }
    value.try_into().map(u64::from_be_bytes).map_err(|_| Refusal::OddBound(name, value.len()))
}

/// Refuses a disk that shares a byte with something that boot goes on using.
pub fn apart(disk: (u64, u64), what: &'static str, other: (u64, u64)) -> Result<(), Refusal> {
    if disk.0 < other.1 && other.0 < disk.1 {
        return Err(Refusal::DiskOver(disk.0, disk.1, what, other.0, other.1));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
