//! A tree from Rust, so that tests need no compiler. What is nonsense is written as it is asked for.
extern crate std;
use crate::{BEGIN_NODE, END_NODE, MAGIC, NOP, PROP};
use std::vec::Vec;

/// Collects a tree's blocks.
#[derive(Clone, Default)]
pub struct Builder {
    structure: Vec<u8>,
    strings: Vec<u8>,
    reservations: Vec<u8>,
}

impl Builder {
    /// Begins a node; the root's name is empty.
    pub fn begin(mut self, name: &str) -> Self {
        self.structure.extend(BEGIN_NODE.to_be_bytes());
        self.structure.extend(name.bytes().chain([0]));
        self.pad()
    }

    /// A property of the node that began last.
    pub fn prop(mut self, name: &str, value: &[u8]) -> Self {
        self.structure.extend(PROP.to_be_bytes());
        self.structure.extend((value.len() as u32).to_be_bytes());
        self.structure.extend((self.strings.len() as u32).to_be_bytes());
        self.structure.extend(value);
        self.strings.extend(name.bytes().chain([0]));
        self.pad()
    }

    /// A property of cells.
    pub fn cells(self, name: &str, values: &[u32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_be_bytes()).collect();
        self.prop(name, &bytes)
    }

    /// A property that is a string.
    pub fn text(self, name: &str, value: &str) -> Self {
        let bytes: Vec<u8> = value.bytes().chain([0]).collect();
        self.prop(name, &bytes)
    }

    /// A token that says nothing.
    pub fn nop(self) -> Self {
        self.token(NOP)
    }

    /// Any token.
    pub fn token(mut self, token: u32) -> Self {
        self.structure.extend(token.to_be_bytes());
        self
    }

    /// Ends the node that began last.
    pub fn end(self) -> Self {
        self.token(END_NODE)
    }

    /// An entry of the memory reservation block.
    pub fn reserve(mut self, address: u64, size: u64) -> Self {
        self.reservations.extend(address.to_be_bytes());
        self.reservations.extend(size.to_be_bytes());
        self
    }

    fn pad(mut self) -> Self {
        while !self.structure.len().is_multiple_of(4) {
            self.structure.push(0);
        }
        self
    }

    /// The blob: header, reservations, structure, strings.
    pub fn blob(self) -> Vec<u8> {
        let mut this = self.token(9).reserve(0, 0);
        let (r, s, t) =
            (this.reservations.len() as u32, this.structure.len() as u32, this.strings.len() as u32);
        let header = [MAGIC, 40 + r + s + t, 40 + r, 40 + r + s, 40, 17, 16, 0, t, s];
        let mut out: Vec<u8> = header.iter().flat_map(|w| w.to_be_bytes()).collect();
        out.append(&mut this.reservations);
        out.append(&mut this.structure);
        out.append(&mut this.strings);
        out
    }
}
