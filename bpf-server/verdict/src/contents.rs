//! What a program's maps hold at first: the object's data, with settings put in.

use crate::{Refused, Wrong, short};
use alloc::borrow::Cow;
use alloc::format;
use alloc::vec::Vec;
use axiom_bpf_isa::MapDef;
use axiom_bpf_object::{self as object, Object};

/// Most settings of one load.
pub const MAX_SETTINGS: usize = 4;

/// A value for a global variable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Setting<'a> {
    /// The variable.
    pub name: &'a str,
    /// Its value; cut to the variable's size.
    pub value: i64,
}

/// A setting of data that is zeros otherwise: written into the map itself, so that a large `.bss` is never copied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Patch {
    /// Which map.
    pub map: usize,
    /// Where in its value.
    pub offset: usize,
    /// How many of the bytes.
    pub size: usize,
    /// Little-endian.
    pub bytes: [u8; 8],
}

/// Shapes and first contents of a program's maps.
#[derive(Debug)]
pub struct Contents<'a> {
    /// By index.
    pub defs: Vec<MapDef>,
    /// The bytes of data sections; none where the map starts as zeros.
    data: Vec<Option<Cow<'a, [u8]>>>,
    patches: Vec<Patch>,
    set: bool,
}

impl<'a> Contents<'a> {
    /// Of an object's maps.
    pub fn new(object: &Object<'a>, settings: &[Setting<'_>]) -> Result<Contents<'a>, Refused> {
        let mut c =
            Contents { defs: Vec::new(), data: Vec::new(), patches: Vec::new(), set: !settings.is_empty() };
        let count = object.maps().len();
        if c.defs.try_reserve_exact(count).is_err() || c.data.try_reserve_exact(count).is_err() {
            return Err(Refused::memory());
        }
        for map in object.maps() {
            c.defs.push(map.def);
            c.data.push(match map.contents {
                object::Contents::Data(bytes) => Some(Cow::Borrowed(bytes)),
                object::Contents::Zero => None,
            });
        }
        for (n, setting) in settings.iter().enumerate() {
            let global = object.global(setting.name).filter(|g| matches!(g.size, 1 | 2 | 4 | 8));
            let (Some(g), true) = (global, n < MAX_SETTINGS) else {
                let text = format!("the object has no global number '{}' to set", short(setting.name));
                return Err(Refused::new(Wrong::NotFound, text));
            };
            let bytes = setting.value.to_le_bytes();
            match &mut c.data[g.map] {
                Some(data) => {
                    own(data)?;
                    if let Some(to) = data.to_mut().get_mut(g.offset..g.offset + g.size) {
                        to.copy_from_slice(&bytes[..g.size]);
                    }
                }
                None => {
                    c.patches.try_reserve(1).map_err(|_| Refused::memory())?;
                    c.patches.push(Patch { map: g.map, offset: g.offset, size: g.size, bytes });
                }
            }
        }
        Ok(c)
    }

    /// Whether settings were put in.
    pub fn is_set(&self) -> bool {
        self.set
    }

    /// The bytes of a read-only map, which the verifier counts as constants.
    pub fn constants(&self) -> Result<Vec<Option<&[u8]>>, Refused> {
        let mut known = Vec::new();
        known.try_reserve_exact(self.data.len()).map_err(|_| Refused::memory())?;
        known.extend(self.data.iter().zip(&self.defs).map(|(d, def)| d.as_deref().filter(|_| def.read_only)));
        Ok(known)
    }

    /// The bytes that a map's first value starts with, if they are not all zeros.
    pub fn bytes(&self, map: usize) -> Option<&[u8]> {
        self.data.get(map)?.as_deref()
    }

    /// What is to be written into a map behind its bytes.
    pub fn patches(&self, map: usize) -> impl Iterator<Item = &Patch> {
        self.patches.iter().filter(move |p| p.map == map)
    }
}

/// Copies borrowed bytes, if there is memory for it.
fn own(data: &mut Cow<'_, [u8]>) -> Result<(), Refused> {
    if let Cow::Borrowed(bytes) = *data {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).map_err(|_| Refused::memory())?;
        copy.extend_from_slice(bytes);
        *data = Cow::Owned(copy);
    }
    Ok(())
}
