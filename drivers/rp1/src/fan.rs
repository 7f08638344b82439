//! The interrupts of RP1: each source belongs to one client. After a source was raised, it stays masked in the chip until its client has
//! served it. A client that is slow or dead therefore delays nobody else's interrupts.

use bcm2712_pac::rp1::Source;
use bcm2712_pac::rp1::intc::{Config, Intc, STAT, config};
use bcm2712_pac::{Block, Io};

/// Sources, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sources(pub u64);

impl Sources {
    /// One.
    pub fn one(source: Source) -> Sources {
        Sources(1 << source.0)
    }
    /// Whether it is among them.
    pub fn has(self, source: Source) -> bool {
        self.0 >> source.0 & 1 != 0
    }
    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        let mut left = self.0 & ((1 << Source::COUNT) - 1);
        core::iter::from_fn(move || {
            let next = (left != 0).then(|| Source(left.trailing_zeros() as u8))?;
            left &= left - 1;
            Some(next)
        })
    }
}

const ENABLE: u32 = Config(0).with_enable(true).0;
const LEVEL: u32 = Config(0).with_iack_enable(true).0;
const IACK: u32 = Config(0).with_iack(true).0;

/// The block.
pub struct Fan<I> {
    intc: Block<Intc, I>,
    /// Sources that have a client.
    attached: Sources,
    /// Sources that were raised, and that their clients have not served yet.
    held: Sources,
    /// Interrupts at which no attached source was up.
    pub spurious: u64,
}

impl<I: Io> Fan<I> {
    /// Takes the block over: whatever was enabled before, is no more.
    pub fn new(io: I) -> Fan<I> {
        let intc = Block::new(io);
        for source in (0..Source::COUNT).map(Source) {
            intc.clear(config(source), ENABLE);
        }
        Fan { intc, attached: Sources::default(), held: Sources::default(), spurious: 0 }
    }

    /// Lets a source come. A source that is attached again is no longer held.
    pub fn attach(&mut self, source: Source) {
        self.attached.0 |= Sources::one(source).0;
        self.held.0 &= !Sources::one(source).0;
        self.intc.set(config(source), LEVEL | ENABLE);
        self.intc.set(config(source), IACK);
    }

    /// Lets a source send its message at each rising edge, with nobody here between it and its client.
    pub fn attach_message(&mut self, source: Source) {
        self.intc.clear(config(source), LEVEL | ENABLE);
        self.intc.set(config(source), ENABLE);
    }

    /// The line is up: the attached sources that are raised and not held. They are masked when this returns, and no posted
    /// write is on its way any more.
    pub fn raised(&mut self) -> Sources {
        let [low, high] = STAT.map(|r| u64::from(self.intc.read(r)));
        let raised = Sources((low | high << 32) & self.attached.0 & !self.held.0);
        for source in raised.iter() {
            self.intc.clear(config(source), ENABLE);
        }
        if raised.0 == 0 {
            self.spurious += 1;
        }
        self.held.0 |= raised.0;
        let _: u32 = self.intc.read(STAT[0]);
        raised
    }

    /// The client has served its source: it may come again.
    pub fn served(&mut self, source: Source) {
        if self.held.has(source) {
            self.held.0 &= !Sources::one(source).0;
            self.intc.set(config(source), ENABLE);
            self.intc.set(config(source), IACK);
        }
    }
}
