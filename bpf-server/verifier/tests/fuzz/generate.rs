//! Programs that reach the dangerous places: tiny dense loops, mixtures of 32- and 64-bit operations, values known by half,
//! shifts by every amount, computed stack offsets, torn spills, elements of maps, calls in loops.
mod kinds;

use axiom_bpf_isa::Insn;
use kinds::*;

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
    pub fn imm(&mut self) -> i32 {
        match self.below(12) {
            0 => self.next() as i32,
            1 => self.pick(&[i32::MIN, i32::MAX, -1, 0, 255, 256, 0xffff, 64, 32, 31, 63]),
            2 => 1 << self.below(31),
            _ => self.below(14) as i32 - 5,
        }
    }
}

/// The kinds, by name.
pub const KINDS: [&str; 16] = [
    "dense", "halves", "shifts", "series", "frame", "torn", "elements", "calls", "ends", "wraps", "straight",
    "helpers", "sums", "records", "mixed", "apart",
];
/// Number of the kind that calls functions.
pub const CALLS: usize = 7;
/// Number of the kind whose counts wrap.
pub const WRAPS: usize = 9;
/// Number of the kind that adds up what grows itself.
pub const SUMS: usize = 12;
/// Number of the kind whose functions reserve records and give them back.
pub const RECORDS: usize = 13;
/// Number of the kind that mixes halves, records and constants, with code that no run comes to.
pub const MIXED: usize = 14;
/// Number of the kind about how far two registers are apart.
pub const APART: usize = 15;
/// Helpers that the programs may call.
pub const HELPERS: [u32; 12] = [1, 2, 5, 6, 8, 87, 88, 89, 130, 131, 132, 133];

struct Writer<'a> {
    r: &'a mut Random,
    code: Vec<Insn>,
    kind: usize,
    /// Number registers in use.
    regs: &'static [u8],
    /// r6 is an element or nothing: what a search has found so far.
    found: bool,
}

impl Writer<'_> {
    fn emit(&mut self, op: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.code.push(Insn::new(op, dst, src, off, imm));
    }

    fn reg(&mut self) -> u8 {
        self.r.pick(self.regs)
    }

    fn value(&mut self, d: u8) {
        match self.r.below(10) {
            0 => {
                let off = 16 + self.r.below(8) as i16;
                self.emit(0x71, d, 9, off, 0);
            }
            1 => self.emit(0x61, d, 9, 4, 0),
            2 => self.emit(0x79, d, 9, 8, 0),
            3 => self.emit(0x91, d, 9, 17, 0),
            4 => self.emit(0x81, d, 9, 20, 0),
            5 => {
                let imm = self.r.next() as i32;
                let op = self.r.pick(&[0xb4, 0xb7]);
                self.emit(op, d, 0, 0, imm);
            }
            _ => {
                let imm = self.r.imm();
                let op = self.r.pick(&[0xb7, 0xb7, 0xb4]);
                self.emit(op, d, 0, 0, imm);
            }
        }
    }

    fn arithmetic(&mut self) {
        let (d, s) = (self.reg(), self.reg());
        let class = match self.kind {
            1 => self.r.pick(&[4, 7]),
            _ => self.r.pick(&[7, 7, 4]),
        };
        let ops: &[u8] = match self.kind {
            2 => &[0x60, 0x70, 0xc0, 0x70, 0x30, 0xb0, 0x50, 0x00],
            3 => &[0x00, 0x00, 0x00, 0x10, 0xb0],
            1 => &[0x00, 0x10, 0xb0, 0xb0, 0x70, 0x50, 0x60, 0x30],
            _ => &[
                0x00, 0x00, 0x00, 0x10, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0,
                0xb0, 0xc0, 0xd0,
            ],
        };
        let op = self.r.pick(ops);
        let register = self.r.one_in(2);
        let imm = self.r.imm();
        match op {
            0x80 => self.emit(class | op, d, 0, 0, 0),
            0xd0 => {
                let x = if class == 4 { self.r.pick(&[0, 8]) } else { 0 };
                let bits = self.r.pick(&[16, 32, 64]);
                self.emit(class | op | x, d, 0, 0, bits);
            }
            0x60 | 0x70 | 0xc0 if !register => {
                let by = self.r.pick(&[1, 1, 1, 2, 3, 31, 32, 33, 63, 64, 65, 0, 128, 8]);
                self.emit(class | op, d, 0, 0, by);
            }
            0x30 | 0x90 => {
                let off = self.r.below(2) as i16;
                if register {
                    self.emit(class | op | 8, d, s, off, 0);
                } else {
                    let imm = self.r.pick(&[1, 2, 3, 4, 10, -1, 0, imm]);
                    self.emit(class | op, d, 0, off, imm);
                }
            }
            0xb0 if register => {
                let sign = self.r.pick(&[0, 0, 0, 0, 8, 16, if class == 7 { 32 } else { 0 }]);
                self.emit(class | op | 8, d, s, sign, 0);
            }
            _ if register => self.emit(class | op | 8, d, s, 0, 0),
            _ => self.emit(class | op, d, 0, 0, imm),
        }
    }

    /// r6 or r7, moved by a number, is written to or read from.
    fn memory(&mut self) {
        let (p, i, v) = (self.r.pick(&[if self.found { 7 } else { 6 }, 7]), self.reg(), self.reg());
        if self.r.one_in(3) {
            let mask = self.r.pick(&[7, 31, 60]);
            self.emit(0x57, i, 0, 0, mask);
        }
        self.emit(0xbf, 5, p, 0, 0);
        if !self.r.one_in(4) {
            self.emit(0x0f, 5, i, 0, 0);
        }
        let off = self.r.below(40) as i16;
        match self.r.below(4) {
            0 if self.r.one_in(3) => {
                let op = self.r.pick(&[0xdb, 0xc3]);
                let imm = self.r.pick(&[0, 1, 0x40, 0x51, 0xa1, 0xe1, 0xf1]);
                self.emit(op, 5, v, off & !3, imm);
            }
            0 => self.emit(0x72, 5, 0, off, 1),
            1 => self.emit(0x73, 5, v, off, 0),
            2 => self.emit(0x71, v, 5, off, 0),
            _ => self.emit(0x63, 5, v, off, 0),
        }
        let imm = self.r.imm();
        self.emit(0xb7, 5, 0, 0, imm);
    }

    /// What a search does with what it found, and may not have found yet.
    fn search(&mut self) {
        let d = self.reg();
        match self.r.below(7) {
            0 | 1 => self.emit(0xbf, 6, 7, 0, 0),
            2 => self.emit(0xb7, 6, 0, 0, 0),
            3 | 4 => {
                let op = self.r.pick(&[0x1d, 0x5d, 0x5d, 0xad, 0x2d, 0x3d, 0xbd]);
                let (a, b) = self.r.pick(&[(6, 7), (7, 6)]);
                self.emit(op, a, b, 1, 0);
                self.emit(0x07, d, 0, 0, 1);
            }
            5 => {
                // What was found is only followed if there is something.
                self.emit(0x15, 6, 0, 1, 0);
                self.emit(0x71, d, 6, 3, 0);
            }
            _ => self.memory(),
        }
    }

    fn pointers(&mut self) {
        if self.found {
            return self.search();
        }
        let d = self.reg();
        match self.r.below(7) {
            0 => {
                self.emit(0xbf, 5, 6, 0, 0);
                self.emit(0x1f, 5, 7, 0, 0);
                self.emit(0xbf, d, 5, 0, 0);
            }
            1 => {
                let imm = self.r.below(9) as i32 - 2;
                let p = self.r.pick(&[6, 7]);
                self.emit(0x07, p, 0, 0, imm);
            }
            2 => self.emit(0x0f, 6, d, 0, 0),
            3 => {
                let op = self.r.pick(&[0x1d, 0x5d, 0xad, 0x2d, 0x3d]);
                self.emit(op, 6, 7, 1, 0);
                self.emit(0x07, d, 0, 0, 1);
            }
            4 => self.emit(0xbf, 6, 7, 0, 0),
            5 if self.r.one_in(3) => {
                // The first element, named by the program itself.
                let offset = self.r.pick(&[0, 8, 60, 63, 64, -1, -8]);
                self.emit(0x18, 6, 2, 0, 0);
                self.emit(0, 0, 0, 0, offset);
            }
            _ => self.memory(),
        }
    }

    /// What grows by a constant, and what grows by that.
    fn sum(&mut self) {
        let class = self.r.pick(&[7, 7, 7, 4]);
        let by = self.r.pick(&[0, 1, 1, 2, 3, 8, -1, -5]);
        match self.r.below(6) {
            0 | 1 => self.emit(class | 0x08, 3, 2, 0, 0),
            2 | 3 => self.emit(class, 2, 0, 0, by),
            4 => self.emit(class, 3, 0, 0, by),
            _ => self.emit(class | 0x08, 4, 3, 0, 0),
        }
    }

    /// A helper's call, and what is left of the registers.
    fn helper(&mut self) {
        let (s, t) = (self.reg(), self.reg());
        match self.r.below(6) {
            0 | 1 => return self.record(),
            2 => {
                self.emit(0xbf, 4, s, 0, 0);
                self.map(1);
                self.somewhere(2);
                let most = self.r.pick(&[8, 15, 16, 24]);
                self.emit(0xbf, 3, 4, 0, 0);
                self.emit(0x57, 3, 0, 0, most);
                self.emit(0x85, 0, 0, 0, 130);
            }
            3 => {
                self.emit(0xbf, 3, s, 0, 0);
                self.emit(0xbf, 4, t, 0, 0);
                self.emit(0xbf, 5, 3, 0, 0);
                self.somewhere(1);
                let size = self.r.below(9) as i32;
                self.emit(0xb7, 2, 0, 0, size);
                self.emit(0x85, 0, 0, 0, 6);
            }
            _ => {
                self.emit(0xbf, 3, s, 0, 0);
                self.map(2);
                self.somewhere(2);
                let id = self.r.pick(&[87, 88, 89]);
                self.emit(0x85, 0, 0, 0, id);
            }
        }
        self.afresh(0);
    }

    fn map(&mut self, map: i32) {
        self.emit(0x18, 1, 1, 0, map);
        self.emit(0, 0, 0, 0, 0);
    }

    /// A register points to 16 bytes or more that can be read.
    fn somewhere(&mut self, d: u8) {
        let (from, by) = self.r.pick(&[(10, -16), (10, -24), (6, 0), (7, 40), (10, -8)]);
        self.emit(0xbf, d, from, 0, 0);
        self.emit(0x07, d, 0, 0, by);
    }

    /// Registers hold numbers again.
    fn afresh(&mut self, from: u8) {
        for r in from..6 {
            let imm = self.r.imm();
            self.emit(0xb7, r, 0, 0, imm);
        }
    }

    /// A record is reserved, written, and given back: mostly.
    fn record(&mut self) {
        self.map(1);
        let size = self.r.pick(&[8, 16, 24]);
        self.emit(0xb7, 2, 0, 0, size);
        self.emit(0xb7, 3, 0, 0, 0);
        self.emit(0x85, 0, 0, 0, 131);
        let spilled = self.r.one_in(3);
        if spilled {
            self.emit(0x7b, 10, 0, -40, 0);
        }
        let at = self.code.len();
        let zero = self.r.pick(&[0x15, 0x15, 0x15, 0x55]);
        self.emit(zero, 0, 0, 0, 0);
        self.afresh(2);
        if spilled {
            self.emit(0x79, 0, 10, -40, 0);
        }
        let off = self.r.below(16) as i16;
        let (op, s) = (self.r.pick(&[0x7b, 0x63, 0x73]), self.r.pick(&[3, 8]));
        self.emit(op, 0, s, off, 0);
        self.emit(0xbf, 1, 0, 0, 0);
        self.emit(0xb7, 2, 0, 0, 0);
        let id = self.r.pick(&[132, 133]);
        if !self.r.one_in(9) {
            self.emit(0x85, 0, 0, 0, id);
        }
        if self.r.one_in(9) {
            self.emit(0x79, 1, 10, -40, 0);
            self.emit(0x71, 1, 1, 0, 0);
        }
        self.code[at].off = (self.code.len() - at - 1) as i16;
        self.afresh(0);
    }

    fn frame(&mut self) {
        let (v, i) = (self.reg(), self.reg());
        let slot = self.r.pick(&[-8i16, -16, -24]);
        match self.r.below(9) {
            0 => self.emit(0x7b, 10, v, slot, 0),
            1 => self.emit(0x79, v, 10, slot, 0),
            2 => {
                let off = slot + self.r.pick(&[0, 4]);
                self.emit(0x63, 10, v, off, 0);
            }
            3 => self.emit(0x61, v, 10, slot, 0),
            4 => self.emit(0x7b, 10, if self.kind == 5 { 9 } else { v }, slot, 0),
            5 => self.emit(0x72, 10, 0, slot + 3, 1),
            _ => {
                let mask = self.r.pick(&[4, 7, 8, 12, 1]);
                self.emit(0x57, i, 0, 0, mask);
                self.emit(0xbf, 5, 10, 0, 0);
                self.emit(0x0f, 5, i, 0, 0);
                let (op, off) =
                    self.r.pick(&[(0x63, -8), (0x73, -8), (0x63, -16), (0x71, -8), (0x61, -16), (0x6b, -24)]);
                if op == 0x71 || op == 0x61 {
                    self.emit(op, v, 5, off, 0)
                } else {
                    self.emit(op, 5, v, off, 0)
                }
                self.emit(0xb7, 5, 0, 0, 0);
            }
        }
    }

    fn one(&mut self) {
        match self.kind {
            4 | 5 if !self.r.one_in(3) => self.frame(),
            6 if self.r.one_in(2) => self.pointers(),
            11 if self.r.one_in(2) => self.helper(),
            12 if !self.r.one_in(6) => self.sum(),
            7 | 9 if self.r.one_in(3) => {
                if self.r.one_in(2) {
                    self.emit(0xbf, 1, 10, 0, 0);
                    self.emit(0x07, 1, 0, 0, -16);
                } else {
                    self.emit(0xbf, 1, 6, 0, 0);
                }
                let s = self.reg();
                self.emit(0xbf, 2, s, 0, 0);
                self.emit(0x85, 0, 1, 0, 0);
                if self.found {
                    // What the function left, in r0 or where r1 led, is handed to it again.
                    if self.r.one_in(2) {
                        let (op, s, off) = self.r.pick(&[(0xbf, 0, 0), (0x79, 10, -16)]);
                        self.emit(op, 1, s, off, 0);
                        self.emit(0xb7, 2, 0, 0, 1);
                        self.emit(0x85, 0, 1, 0, 0);
                    }
                    self.emit(0xb7, 0, 0, 0, 0);
                }
                for r in 1..6 {
                    let imm = self.r.imm();
                    self.emit(0xb7, r, 0, 0, imm);
                }
            }
            _ if self.r.one_in(9) => self.memory(),
            _ if self.r.one_in(8) => {
                // Skips the next one.
                let off = 1;
                self.compare(off);
                self.arithmetic();
            }
            _ => self.arithmetic(),
        }
    }

    fn compare(&mut self, off: i16) {
        let (d, s) = (self.reg(), self.reg());
        let class = self.r.pick(&[5, 5, 6]);
        let op = self.r.pick(&[0x10, 0x20, 0x30, 0x40, 0x50, 0x50, 0x60, 0x70, 0xa0, 0xa0, 0xb0, 0xc0, 0xd0]);
        if self.r.one_in(4) {
            self.emit(class | op | 8, d, s, off, 0);
        } else {
            let imm = self.r.imm();
            self.emit(class | op, d, 0, off, imm);
        }
    }

    fn jump_back(&mut self, head: usize, at: usize) {
        self.code[at].off = (head as i64 - at as i64 - 1) as i16;
    }

    fn repeat(&mut self, nested: bool) {
        // A register that the body may not notice counts, or whatever the body does must.
        let counter = if self.kind != 12 && self.r.one_in(2) { None } else { Some(8u8) };
        if counter.is_some() {
            let imm = self.r.below(4) as i32;
            self.emit(0xb7, 8, 0, 0, imm);
        }
        let head = self.code.len();
        let n = 1 + self.r.below(if nested { 3 } else { 5 });
        for _ in 0..n {
            self.one();
        }
        if !nested && self.r.one_in(6) {
            self.repeat(true);
        }
        match counter {
            Some(c) => {
                let step = self.r.pick(&[1, 1, 1, 2, 3]);
                let add = self.r.pick(&[7, 4]);
                self.emit(add, c, 0, 0, step);
                let end = self.r.below(20) as i32;
                let op = self.r.pick(&[0xa5, 0xa6, 0x55, 0xb5, 0xc5]);
                self.emit(op, c, 0, 0, end);
            }
            None => self.compare(0),
        }
        let at = self.code.len() - 1;
        self.jump_back(head, at);
    }
}

/// Slots in front of what the kinds differ in: two lookups.
pub const PROLOGUE: usize = 21;

/// The function at a program's end leaves an address of its own frame, if it leaves an address; tells where: in r0, or where r1 leads.
pub fn hand_out(code: &mut [Insn]) -> Option<bool> {
    let (last, in_r0) = match code {
        [.., last, Insn { op: 0x95, .. }] if *last == Insn::new(0xbf, 0, 1, 0, 0) => (last, true),
        [.., last, Insn { op: 0x95, .. }] if *last == Insn::new(0x7b, 1, 1, 0, 0) => (last, false),
        _ => return None,
    };
    last.regs = last.regs & 0x0f | 10 << 4;
    Some(in_r0)
}

/// Changes a program a little: an operand, an operator, a width, a place, or a whole instruction.
pub fn change(r: &mut Random, code: &mut [Insn], kind: usize) {
    let first = if kind >= RECORDS || r.one_in(12) { 0 } else { PROLOGUE.min(code.len() - 1) };
    let at = first + r.below((code.len() - first) as u64) as usize;
    let i = &mut code[at];
    let memory = i.op & 7 < 4;
    match r.below(14) {
        0 | 1 if i.op == 0x85 => i.imm = r.pick(&HELPERS) as i32,
        0 => i.imm = r.imm(),
        1 => {
            i.imm = r.pick(&[i.imm.wrapping_add(1), i.imm.wrapping_sub(1), i.imm.wrapping_neg(), i.imm << 1])
        }
        2 => i.regs = i.regs & 0xf0 | r.below(11) as u8,
        3 => i.regs = i.regs & 0x0f | (r.below(11) as u8) << 4,
        4 if memory => i.off = i.off.wrapping_add(r.pick(&[-16, -8, -4, -1, 1, 4, 8, 16])),
        4 => i.off = r.pick(&[i.off.wrapping_add(1), i.off.wrapping_sub(1), 0, 1, 8, 16, 32]),
        5 if !memory => i.op ^= 3,
        6 if !memory => i.op = i.op & 0x0f | (r.below(14) as u8) << 4,
        7 if memory => i.op ^= 2,
        7 => i.op ^= 8,
        5 | 8 if memory => i.op = i.op & !0x18 | (r.below(4) as u8) << 3,
        9 => {
            let next = (at + 1).min(code.len() - 1);
            code.swap(at, next);
        }
        10 if r.one_in(2) => *i = Insn::new(0xbf, 3, 3, 0, 0),
        10 => *i = Insn::new(0xbf, r.below(5) as u8, 10, 0, 0),
        // What is added here is taken away there.
        11 | 12 if matches!(i.op, 0x04 | 0x07) => {
            let (register, by) = (i.dst(), r.imm());
            let adds = |i: &Insn| matches!(i.op, 0x04 | 0x07) && i.dst() == register;
            if let Some(other) = (first..code.len()).find(|k| *k != at && adds(&code[*k])) {
                code[at].imm = code[at].imm.wrapping_sub(by);
                code[other].imm = code[other].imm.wrapping_add(by);
                let class = r.pick(&[0, 0, 3]);
                code[at].op ^= class;
            }
        }
        _ => {
            let mut w = Writer {
                r,
                code: Vec::with_capacity(4),
                kind: kind % 4,
                regs: &[0, 1, 2, 3, 4, 8],
                found: false,
            };
            w.arithmetic();
            code[at] = w.code[0];
        }
    }
}

/// A program of one kind. r9 is the context, r6 and r7 are elements of map 0.
pub fn program(r: &mut Random, kind: usize) -> Vec<Insn> {
    let regs: &'static [u8] = if matches!(kind, 7 | 9 | 11) { &[0, 3, 4, 8] } else { &[0, 1, 2, 3, 4] };
    let mut w = Writer { r, code: Vec::with_capacity(64), kind, regs, found: false };
    // A search among elements; a function that hands out addresses.
    w.found = matches!(kind, 6 | 7) && w.r.one_in(4);
    let whole: Option<fn(&mut Writer)> = match kind {
        RECORDS => Some(records),
        MIXED => Some(mixed),
        APART => Some(apart),
        _ => None,
    };
    if let Some(whole) = whole {
        if kind != RECORDS {
            w.regs = if kind == MIXED { &[1, 2, 3, 4, 5] } else { &[3, 4, 5, 8] };
        }
        whole(&mut w);
        return w.code;
    }
    w.emit(0xbf, 9, 1, 0, 0);
    lookup(&mut w, 6, 0);
    let key = w.r.pick(&[0, 3, 3]);
    lookup(&mut w, 7, key);
    if matches!(kind, 4 | 5 | 7 | 9 | 10 | 11) {
        for slot in [-8, -16, -24] {
            let imm = w.r.imm();
            w.emit(0x7a, 10, 0, slot, imm);
        }
    }
    let first = if w.r.one_in(8) && kind != 12 { 1 } else { 0 };
    w.emit(0xb7, 8, 0, 0, 0);
    w.emit(0xb7, 5, 0, 0, 0);
    for d in first..5 {
        w.value(d);
    }
    if kind == 6 && w.found {
        w.emit(0xb7, 6, 0, 0, 0);
    }
    if kind == 12 {
        let (start, add) = (w.r.below(6) as i32, w.r.below(6) as i32);
        w.emit(0xb7, 2, 0, 0, add);
        w.emit(0xb7, 3, 0, 0, start);
    }
    for _ in 0..w.r.below(3) {
        w.one();
    }
    if kind == 10 {
        straight(&mut w)
    } else {
        w.repeat(false)
    }
    if w.r.one_in(3) {
        w.one();
    }
    if w.r.one_in(2) {
        w.memory();
    }
    if first == 1 {
        w.emit(0xb7, 0, 0, 0, 0);
        if w.r.one_in(4) {
            let last = w.code.len() - 1;
            w.compare(1);
            w.code.swap(last, last + 1);
        }
    }
    w.emit(0x95, 0, 0, 0, 0);
    let function = w.code.len();
    let calls: Vec<usize> =
        (0..function).filter(|k| w.code[*k].op == 0x85 && w.code[*k].src() == 1).collect();
    if !calls.is_empty() {
        for at in calls {
            w.code[at].imm = (function - at) as i32 - 1;
        }
        if kind == 9 {
            nested(&mut w);
            return w.code;
        }
        // r1 = 16 bytes of someone's, r2 = a number.
        w.emit(0xb7, 0, 0, 0, 0);
        w.emit(0xb7, 3, 0, 0, 1);
        w.emit(0xbf, 4, 2, 0, 0);
        w.regs = &[0, 2, 3, 4];
        w.kind = w.r.pick(&[0, 1, 2, 3]);
        let head = w.code.len();
        for _ in 0..1 + w.r.below(3) {
            w.arithmetic();
        }
        match w.r.below(4) {
            0 => w.emit(0x72, 1, 0, 3, 1),
            1 => w.emit(0x63, 1, 2, 4, 0),
            2 => w.emit(0x7b, 10, 2, -8, 0),
            _ => {}
        }
        w.compare(0);
        let at = w.code.len() - 1;
        w.jump_back(head, at);
        if w.found {
            // What r1 leads to may be left; the function's own frame may not (see `hand_out`).
            let (op, d) = w.r.pick(&[(0x7b, 1), (0xbf, 0), (0xbf, 0)]);
            w.emit(op, d, 1, 0, 0);
        }
        w.emit(0x95, 0, 0, 0, 0);
    }
    w.code
}
