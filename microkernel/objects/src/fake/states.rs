//! States of a world, whole or as differences, to be put back.
use super::*;

impl FakeWorld {
    /// The state, to be put back.
    pub fn snapshot(&self) -> Snapshot {
        // SAFETY: the block is that long; its words may be anything.
        let memory = unsafe { core::slice::from_raw_parts(self.block.base, self.block.words()) };
        Snapshot { memory: memory.to_vec(), registers: self.registers.borrow().clone() }
    }

    /// Puts a state of this world back.
    pub fn restore(&self, state: &Snapshot) {
        assert_eq!(state.memory.len(), self.block.words(), "a state of another world");
        // SAFETY: both are that long and apart; no reference into the block is in use but to cells.
        unsafe { core::ptr::copy_nonoverlapping(state.memory.as_ptr(), self.block.base, state.memory.len()) };
        *self.registers.borrow_mut() = state.registers.clone();
    }

    /// How the state differs from `start`: pairs of a place and what is there. Few words, however large the world.
    pub fn difference(&self, start: &Snapshot) -> Box<[(u32, u64)]> {
        let (now, then) = (self.registers.borrow(), &start.registers);
        let lines = |r: &Registers| r.pending.iter().fold(0u64, |lines, irq| lines | 1 << irq);
        let kept = |r: &Registers| [r.now, r.deadline, r.thread_pointer, r.fpu, lines(r), r.masked];
        let words = self.block.words();
        // SAFETY: both have that many words and were allocated zeroed; nothing changes them meanwhile. Not for Miri: see `word`.
        let (own, other) = unsafe {
            let own = core::slice::from_raw_parts(self.block.base.cast_const().cast::<u64>(), words);
            (own, core::slice::from_raw_parts(start.memory.as_ptr().cast::<u64>(), words))
        };
        let mut differences = Vec::new();
        // Mostly nothing differs: a chunk at a time.
        for (chunk, (a, b)) in own.chunks(64).zip(other.chunks(64)).enumerate().filter(|(_, (a, b))| a != b) {
            let pairs = a.iter().zip(b).enumerate().filter(|(_, (a, b))| a != b);
            differences.extend(pairs.map(|(i, (a, _))| ((64 * chunk + i) as u32, *a)));
        }
        for (i, (own, other)) in kept(&now).into_iter().zip(kept(then)).enumerate() {
            if own != other {
                differences.push(((words + i) as u32, own));
            }
        }
        differences.into_boxed_slice()
    }

    /// Puts the state back that differs so from `start`; `current` is how the state differs from it now, at most.
    pub fn put_back(&self, start: &Snapshot, current: &[(u32, u64)], difference: &[(u32, u64)]) {
        for (i, _) in current.iter().filter(|(i, _)| (*i as usize) < self.block.words()) {
            self.word(*i as usize).set(word(&start.memory[*i as usize]));
        }
        let mut registers = start.registers.clone();
        for (i, value) in difference {
            match (*i as usize).checked_sub(self.block.words()) {
                None => self.word(*i as usize).set(*value),
                Some(0) => registers.now = *value,
                Some(1) => registers.deadline = *value,
                Some(2) => registers.thread_pointer = *value,
                Some(3) => registers.fpu = *value,
                Some(4) => registers.pending = (0..64).filter(|irq| value >> irq & 1 != 0).collect(),
                _ => registers.masked = *value,
            }
        }
        *self.registers.borrow_mut() = registers;
    }
}
