//! The heap's blocks: power-of-two size classes with free lists over one arena. Taking and giving are a few instructions.
//!
//! When the arena's end is reached and a class is empty, a larger free block is split; when there is none, all free blocks are
//! sorted by address and joined. So what was cut small by one user is whole again for the next, and an allocation fails only
//! when that much memory in a row is not free.
//!
//! Invariant: every byte of `start..next` is in exactly one block, free or in use; a free block's first word links to the next
//! of its class. A block of 2^n bytes is aligned to min(2^n, 4096).

/// Size classes: 16 bytes to 2 GiB.
const CLASSES: usize = 28;
const SMALLEST: usize = 4;
const PAGE: usize = 4096;

/// An arena and its free blocks.
pub struct Blocks {
    start: usize,
    next: usize,
    end: usize,
    free: [usize; CLASSES],
    used: usize,
}

/// The class of a block for `size` bytes aligned to `align`; `CLASSES` or more if there is none.
pub fn class(size: usize, align: usize) -> usize {
    let size = size.max(align).max(1 << SMALLEST);
    (usize::BITS - (size - 1).leading_zeros()) as usize - SMALLEST
}

const fn bytes(class: usize) -> usize {
    1 << (class + SMALLEST)
}

impl Blocks {
    /// No arena.
    pub const fn empty() -> Blocks {
        Blocks { start: 0, next: 0, end: 0, free: [0; CLASSES], used: 0 }
    }

    /// Takes an arena.
    ///
    /// # Safety
    /// The range is readable and writable, belongs to these blocks alone, and is aligned to 16 bytes.
    pub unsafe fn set(&mut self, start: usize, len: usize) {
        self.start = start;
        self.next = start;
        self.end = start + len;
    }

    /// Whether no arena was taken yet.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Most bytes of the arena that were ever in blocks.
    pub fn used(&self) -> usize {
        self.used
    }

    /// A block of this class, or 0.
    #[inline]
    pub fn take(&mut self, class: usize) -> usize {
        if class >= CLASSES {
            return 0;
        }
        let head = self.free[class];
        if head != 0 {
            // SAFETY: a free block of this class; its first word links to the next.
            self.free[class] = unsafe { (head as *const usize).read() };
            return head;
        }
        match self.extend(class) {
            0 => self.search(class),
            at => at,
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// It came from `take` with this class and nobody uses it any more.
    #[inline]
    pub unsafe fn give(&mut self, block: usize, class: usize) {
        // SAFETY: the block has at least 16 bytes and is ours again.
        unsafe { (block as *mut usize).write(self.free[class]) };
        self.free[class] = block;
    }

    /// Whether `size` bytes in a row can be had: [`Blocks::take`] would give a block for them.
    pub fn has(&mut self, size: usize) -> bool {
        let class = class(size, 1);
        if class >= CLASSES {
            return false;
        }
        let there = |b: &Blocks| b.end_of(class).is_some() || b.free[class..].iter().any(|&f| f != 0);
        if there(self) {
            return true;
        }
        self.join();
        there(self)
    }

    /// Where a block at the arena's end would lie, if there is room: its start and end.
    fn end_of(&self, class: usize) -> Option<(usize, usize)> {
        let at = self.next.next_multiple_of(bytes(class).min(PAGE));
        let end = at.checked_add(bytes(class))?;
        (end <= self.end).then_some((at, end))
    }

    /// A block from the arena's end, or 0.
    fn extend(&mut self, class: usize) -> usize {
        let Some((at, end)) = self.end_of(class) else { return 0 };
        self.used = self.used.max(end - self.start);
        let gap = self.next;
        self.next = end;
        // SAFETY: the bytes skipped for alignment are the arena's and in no block yet.
        unsafe { self.carve(gap, at) };
        at
    }

    /// A block out of a larger one, after joining if need be; 0 if there is none.
    #[cold]
    fn search(&mut self, class: usize) -> usize {
        for joined in [false, true] {
            if joined {
                self.join();
                match self.extend(class) {
                    0 => {}
                    at => return at,
                }
            }
            if let Some(larger) = (class..CLASSES).find(|&c| self.free[c] != 0) {
                let at = self.free[larger];
                // SAFETY: a free block; its first word links to the next.
                self.free[larger] = unsafe { (at as *const usize).read() };
                // SAFETY: the rest of the block, which is in no list now.
                unsafe { self.carve(at + bytes(class), at + bytes(larger)) };
                return at;
            }
        }
        0
    }

    /// Makes free blocks of a range, the largest that fit first.
    ///
    /// # Safety
    /// The range is the arena's, in no block, and its ends are multiples of 16.
    unsafe fn carve(&mut self, mut from: usize, to: usize) {
        while from < to {
            let mut class = (usize::BITS - 1 - (to - from).leading_zeros()) as usize - SMALLEST;
            while !from.is_multiple_of(bytes(class).min(PAGE)) {
                class -= 1;
            }
            // SAFETY: inside the range (the caller's promise), aligned as its class wants.
            unsafe { self.give(from, class) };
            from += bytes(class);
        }
    }

    /// Joins neighbours among the free blocks; what lies at the arena's end goes back to it.
    #[cold]
    fn join(&mut self) {
        let mut list = 0;
        for class in 0..CLASSES {
            let mut block = core::mem::take(&mut self.free[class]);
            while block != 0 {
                // SAFETY: free blocks of at least 16 bytes: the first word links, the second is ours to hold the size.
                block = unsafe {
                    let words = block as *mut usize;
                    let next = words.read();
                    words.write(list);
                    words.add(1).write(bytes(class));
                    list = block;
                    next
                };
            }
        }
        // SAFETY: the list was just made of free blocks.
        let mut block = unsafe { sort(list) };
        while block != 0 {
            let start = block;
            let mut end = block;
            while block == end && block != 0 {
                // SAFETY: a block of the list: its two words are as written above.
                unsafe {
                    let words = block as *const usize;
                    end += words.add(1).read();
                    block = words.read();
                }
            }
            if end == self.next {
                self.next = start;
            } else {
                // SAFETY: a run of blocks that are in no list now.
                unsafe { self.carve(start, end) };
            }
        }
    }
}

/// Sorts a list of free blocks by address (merge sort, bottom up).
///
/// # Safety
/// The first word of each block links to the next, 0 at the end.
unsafe fn sort(list: usize) -> usize {
    // Entry n holds a sorted list of 2^n blocks or none.
    let mut sorted = [0usize; usize::BITS as usize];
    let mut rest = list;
    while rest != 0 {
        let mut run = rest;
        // SAFETY: a block of the list, cut off as a list of one.
        unsafe {
            rest = (run as *const usize).read();
            (run as *mut usize).write(0);
        }
        let mut n = 0;
        while sorted[n] != 0 {
            // SAFETY: both are sorted lists of blocks.
            run = unsafe { merge(core::mem::take(&mut sorted[n]), run) };
            n += 1;
        }
        sorted[n] = run;
    }
    // SAFETY: as above.
    sorted.into_iter().fold(0, |all, run| unsafe { merge(all, run) })
}

/// Merges two sorted lists.
///
/// # Safety
/// As for [`sort`].
unsafe fn merge(mut a: usize, mut b: usize) -> usize {
    let mut first = 0usize;
    let mut last: *mut usize = &mut first;
    while a != 0 && b != 0 {
        let least = if a < b { &mut a } else { &mut b };
        // SAFETY: `last` is `first` or the link of a block of the result; `least` is a block.
        unsafe {
            last.write(*least);
            last = *least as *mut usize;
            *least = last.read();
        }
    }
    // SAFETY: as above.
    unsafe { last.write(if a != 0 { a } else { b }) };
    first
}
