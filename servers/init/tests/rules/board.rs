//! PCI functions as numbers: what they say, what of it can be written, and how they come out of a reset.
use axiom_init::pci::places::{Offered, Span};
use axiom_init::pci::{Hardware, Registers};
use axiom_mmio::Io;
use axiom_pci::{Config, ConfigMut, Place};
use sel4_sys::Error;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// Configuration space of bus 0.
pub const SPACE: u64 = 0xb000_0000;
/// Offsets of configuration space.
pub const COMMAND: u16 = 0x04;
const HEADER: u16 = 0x0c;
const BARS: u16 = 0x10;
const CAPABILITIES: u16 = 0x34;
/// In the command register.
pub const MEMORY: u32 = 2;
/// Makes accesses of its own.
pub const MASTER: u32 = 4;

/// What a function does.
#[derive(Clone, Default)]
pub struct Model {
    pub words: BTreeMap<u16, u32>,
    writable: BTreeMap<u16, u32>,
    pub writes: Vec<(u16, u32)>,
    /// A write of these bits here resets it.
    resets_at: Option<(u16, u32)>,
    /// Looks at its name after a reset that find nobody; none are left if it never comes back.
    pub gone: u32,
    /// Looks at its pending accesses that find some.
    pub busy: u32,
    busy_at: Option<(u16, u32)>,
    /// After a reset, these words are so, and stay.
    pub spoils: BTreeMap<u16, u32>,
    looks: u32,
}

/// A function.
#[derive(Clone, Default)]
pub struct Function(pub Rc<RefCell<Model>>);

impl Config for Function {
    fn read(&self, offset: u16) -> u32 {
        let m = &mut *self.0.borrow_mut();
        if m.looks > 0 {
            if offset == 0 {
                m.looks -= 1;
            }
            return u32::MAX;
        }
        let word = m.words.get(&offset).copied().unwrap_or(0);
        match m.busy_at {
            Some((at, bits)) if at == offset && m.busy > 0 => {
                m.busy -= 1;
                word | bits
            }
            _ => word,
        }
    }
}

impl ConfigMut for Function {
    fn write(&mut self, offset: u16, value: u32) {
        let m = &mut *self.0.borrow_mut();
        m.writes.push((offset, value));
        let writable = m.writable.get(&offset).copied().unwrap_or(0);
        let word = m.words.entry(offset).or_default();
        *word = *word & !writable | value & writable;
        if m.resets_at.is_some_and(|(at, bits)| at == offset && value & bits == bits) {
            for bar in 0..6 {
                m.words.entry(BARS + 4 * bar).and_modify(|word| *word &= 0xf);
            }
            m.words.insert(COMMAND, 0x0010_0000);
            m.looks = m.gone;
            for (at, word) in m.spoils.clone() {
                m.words.insert(at, word);
                m.writable.insert(at, 0);
            }
        }
    }
}

/// A device `pci1af4,NNNN`, as firmware leaves it: on, and master of the bus.
pub fn function(device: u16) -> Function {
    let f = Function::default();
    f.word(0, u32::from(device) << 16 | 0x1af4, 0).word(COMMAND, 0x0010_0006, 0x547)
}

impl Function {
    /// A word, and which of its bits can be written.
    pub fn word(self, offset: u16, value: u32, writable: u32) -> Function {
        let mut m = self.0.borrow_mut();
        m.words.insert(offset, value);
        m.writable.insert(offset, writable);
        drop(m);
        self
    }

    /// A BAR of 32 bits, of so many bytes.
    pub fn bar(self, index: u16, base: u64, size: u64) -> Function {
        self.word(BARS + 4 * index, base as u32, size.wrapping_neg() as u32 & !0xf)
    }

    /// A BAR of 64 bits.
    pub fn wide(self, index: u16, base: u64, size: u64) -> Function {
        let mask = size.wrapping_neg();
        let low = self.word(BARS + 4 * index, base as u32 | 0xc, mask as u32 & !0xf);
        low.word(BARS + 4 * index + 4, (base >> 32) as u32, (mask >> 32) as u32)
    }

    /// A bridge to a bus.
    pub fn bridge(self, bus: u8) -> Function {
        self.word(HEADER, 0x0001_0000, 0).word(0x18, u32::from(bus) << 8, 0)
    }

    /// A capability before those that it has: its words at a place.
    pub fn capability(self, number: u8, at: u16, words: [(u32, u32); 3]) -> Function {
        let next = self.0.borrow().words.get(&CAPABILITIES).copied().unwrap_or(0);
        let f = self.word(CAPABILITIES, at.into(), 0);
        let f = f.word(at, words[0].0 & !0xffff | next << 8 | u32::from(number), words[0].1);
        f.word(at + 4, words[1].0, words[1].1).word(at + 8, words[2].0, words[2].1)
    }

    /// Messages, by a table of so many entries in a BAR.
    pub fn messages(self, bar: u8, offset: u32, entries: u32) -> Function {
        self.capability(
            0x11,
            0x50,
            [((entries - 1) << 16, 0xc000_0000), (offset | u32::from(bar), 0), (0, 0)],
        )
    }

    fn resets(self, at: u16, bits: u32, busy: Option<(u16, u32)>) -> Function {
        let mut m = self.0.borrow_mut();
        (m.resets_at, m.busy_at) = (Some((at, bits)), busy);
        drop(m);
        self
    }

    /// A reset by PCI Express.
    pub fn express(self) -> Function {
        let f = self.capability(0x10, 0x60, [(0, 0), (1 << 28, 0), (0, 0x7fff)]);
        f.resets(0x68, 1 << 15, Some((0x68, 1 << 21)))
    }

    /// By Advanced Features.
    pub fn features(self) -> Function {
        let f = self.capability(0x13, 0x70, [(0x0300_0000, 0), (0, 0), (0, 0)]);
        f.resets(0x74, 1, Some((0x74, 1 << 8)))
    }

    /// By a change of power states.
    pub fn power(self) -> Function {
        self.capability(0x01, 0x80, [(0, 0), (0, 3), (0, 0)]).resets(0x84, 3, None)
    }

    /// virtio's registers, at offset 0 of a BAR.
    pub fn virtio(self, bar: u8) -> Function {
        let virtio = |f: Function, kind: u32, at: u16, offset: u32| {
            let f = f.capability(9, at, [(kind << 24 | 0x14 << 16, 0), (bar.into(), 0), (offset, 0)]);
            f.word(at + 12, 0x100, 0).word(at + 16, 4, 0)
        };
        let f = virtio(self, 1, 0x90, 0);
        let f = virtio(f, 2, 0xa4, 0x200);
        let f = virtio(f, 3, 0xb8, 0x300);
        virtio(f, 4, 0xcc, 0x400)
    }

    pub fn set(&self, change: impl FnOnce(&mut Model)) {
        change(&mut self.0.borrow_mut());
    }

    /// Its command register.
    pub fn command(&self) -> u32 {
        self.0.borrow().words[&COMMAND] & 0xffff
    }

    /// Where its BARs say that they are.
    pub fn base(&self, index: u16) -> u32 {
        self.0.borrow().words[&(BARS + 4 * index)] & !0xf
    }

    /// A capability's word.
    pub fn at(&self, offset: u16) -> u32 {
        self.0.borrow().words[&offset]
    }
}

/// A page of registers.
#[derive(Clone)]
pub struct Page(Rc<RefCell<Vec<u8>>>, usize, Rc<Cell<u32>>, Written);

/// Words that were written to registers: offsets in what was touched, and values.
type Written = Rc<RefCell<Vec<(usize, u32)>>>;

impl Io for Page {
    fn read(&self, offset: usize) -> u32 {
        let page = self.0.borrow();
        u32::from_le_bytes(page[self.1 + offset..][..4].try_into().unwrap())
    }
    fn write(&self, offset: usize, value: u32) {
        self.3.borrow_mut().push((offset, value));
        self.0.borrow_mut()[self.1 + offset..][..4].copy_from_slice(&value.to_le_bytes());
    }
}

impl Registers for Page {
    fn read_byte(&self, offset: usize) -> u8 {
        let byte = self.0.borrow()[self.1 + offset];
        // What is being reset says so, for so many looks.
        let left = self.2.get();
        self.2.set(left.saturating_sub(1));
        if left > 0 { 1 } else { byte }
    }
    fn write_byte(&self, offset: usize, value: u8) {
        self.0.borrow_mut()[self.1 + offset] = value;
    }
}

/// A machine's functions.
#[derive(Default)]
pub struct Board {
    functions: BTreeMap<u64, Function>,
    pages: BTreeMap<u64, Rc<RefCell<Vec<u8>>>>,
    /// Looks at a status that find it busy.
    pub status: Rc<Cell<u32>>,
    pub offered: Offered,
    /// Walks that were begun and not ended.
    pub open: u32,
    /// Buses that cannot be looked at.
    pub dark: Vec<u8>,
    /// Handlers that were made: processor, place, slot.
    pub handlers: Vec<(u64, Place, u64)>,
    /// Pages of registers that were touched, in order.
    pub touched: Vec<u64>,
    /// Words that were written there, in order.
    pub written: Written,
}

/// A place on bus 0.
pub fn place(device: u8) -> Place {
    Place { bus: 0, device, function: 0 }
}

impl Board {
    /// RAM up to 2 GiB, registers from there on; neither at 0xfec0_0000, which is the kernel's.
    pub fn new(functions: &[(Place, &Function)]) -> Board {
        let functions = functions.iter().map(|(at, f)| (SPACE + at.page(), (*f).clone())).collect();
        let span = |from, end| Span { from, end };
        let ram = vec![span(0x10_0000, 0x4000_0000), span(0x4000_0000, 0x8000_0000)];
        let registers = vec![span(0xfec0_1000, 1 << 36), span(0x8000_0000, 0xfec0_0000)];
        Board { functions, offered: Offered::new(ram, registers), ..Board::default() }
    }

    /// An entry of a table of messages.
    pub fn entry(&self, at: u64) -> [u32; 4] {
        core::array::from_fn(|i| {
            let page = self.pages.get(&(at & !4095)).expect("somebody was there").borrow();
            u32::from_le_bytes(page[(at & 4095) as usize + 4 * i..][..4].try_into().unwrap())
        })
    }
}

impl Hardware for Board {
    type Config = Function;
    type Registers = Page;

    fn open(&mut self, base: u64, place: Place) -> Result<Function, Error> {
        self.open = 1;
        if self.dark.contains(&place.bus) {
            return Err(Error::FailedLookup);
        }
        let absent = || Function::default().word(0, u32::MAX, 0);
        Ok(self.functions.get(&(base + place.page())).cloned().unwrap_or_else(absent))
    }

    fn close(&mut self) -> Result<(), Error> {
        self.open = 0;
        Ok(())
    }

    fn config<T>(&mut self, page: u64, act: impl FnOnce(&mut Function) -> T) -> Result<T, Error> {
        assert_eq!(self.open, 0, "configuration space is mapped for a walk");
        Ok(act(self.functions.get_mut(&page).ok_or(Error::FailedLookup)?))
    }

    fn registers<T>(&mut self, at: u64, act: impl FnOnce(&Page) -> T) -> Result<T, Error> {
        self.touched.push(at);
        // What is there before anybody writes is no table.
        let page = self.pages.entry(at & !4095).or_insert_with(|| Rc::new(RefCell::new(vec![0x55; 4096])));
        Ok(act(&Page(page.clone(), (at & 4095) as usize, self.status.clone(), self.written.clone())))
    }

    fn offered(&self) -> &Offered {
        &self.offered
    }

    fn handler(&mut self, processor: u64, place: Place, slot: u64) -> Result<(u64, u32), Error> {
        self.handlers.push((processor, place, slot));
        Ok((0xfee0_0000 | processor << 12, slot as u32))
    }
}
