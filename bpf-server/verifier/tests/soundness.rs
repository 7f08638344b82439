//! Accepted programs, run by the reference interpreter on checked memory: none may leave its memory, call what does not
//! exist, or execute more instructions than the verifier's worst case.
//!
//! Programs are random, but shaped: they take map values, cut indices, loop. Nearly all of that is legal code with one or
//! two lines disturbed, so that both answers of the verifier are exercised. `AXIOM_FUZZ_SEEDS` runs more of them.
mod common;
use axiom_bpf_interp::{Fault, Memory, Region, Regions, Size, Stack, World, run};
use axiom_bpf_isa::{Insn, MapDef, MapType, disasm::Disasm};
use axiom_bpf_verifier::{Accepted, Env, Program, Verifier};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 20) % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
    fn imm(&mut self) -> i32 {
        match self.below(8) {
            0 => self.next() as i32,
            1 => self.pick(&[i32::MIN, i32::MAX, -1, 0, 255, 256, 0xffff, -512]),
            _ => self.below(80) as i32 - 8,
        }
    }
}

const VALUE: u32 = 64;
const MAPS: [MapDef; 3] = [
    common::map(MapType::Array, 4, VALUE, 1),
    common::map(MapType::RingBuf, 0, 0, 4096),
    MapDef { read_only: true, ..common::map(MapType::Array, 4, 16, 1) },
];

/// Writes programs.
struct Writer<'a> {
    r: &'a mut Random,
    code: Vec<Insn>,
    depth: u32,
    loops: u32,
    /// Positions of `call` to patch to the function at the end.
    calls: Vec<usize>,
}

impl Writer<'_> {
    fn emit(&mut self, op: u8, dst: u8, src: u8, off: i16, imm: i32) {
        self.code.push(Insn::new(op, dst, src, off, imm));
    }

    /// A number register: r0 to r5 and r8.
    fn number(&mut self) -> u8 {
        self.r.pick(&[0, 1, 2, 3, 4, 5, 8])
    }

    fn arithmetic(&mut self) {
        let d = self.number();
        let s = self.number();
        let class = self.r.pick(&[4, 7, 7]);
        let op = self.r.pick(&[
            0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xb0, 0xc0, 0xd0,
        ]);
        let register = self.r.one_in(2);
        let imm = self.r.imm();
        match op {
            0x80 => self.emit(class | op, d, 0, 0, 0),
            0xd0 => {
                let bits = self.r.pick(&[16, 32, 64]);
                let x = if class == 4 { self.r.pick(&[0, 8]) } else { 0 };
                self.emit(class | op | x, d, 0, 0, bits);
            }
            0x60 | 0x70 | 0xc0 if !register => {
                let by = self.r.below(if class == 7 { 64 } else { 32 }) as i32;
                self.emit(class | op, d, 0, 0, by);
            }
            0x30 | 0x90 => {
                let signed = self.r.below(2) as i16;
                if register {
                    self.emit(class | op | 8, d, s, signed, 0)
                } else {
                    self.emit(class | op, d, 0, signed, imm)
                }
            }
            0xb0 if register => {
                let sign = self.r.pick(&[0, 0, 0, 8, 16, if class == 7 { 32 } else { 0 }]);
                self.emit(class | op | 8, d, s, sign, 0);
            }
            _ if register => self.emit(class | op | 8, d, s, 0, 0),
            _ => self.emit(class | op, d, 0, 0, imm),
        }
    }

    fn bound(&mut self, d: u8) {
        // Cuts a register to something small, in one of several ways.
        let n = self.r.below(70) as i32;
        match self.r.below(6) {
            0 => {
                let mask = self.r.pick(&[7, 15, 31, 63, 0x38, 12]);
                self.emit(0x57, d, 0, 0, mask);
            }
            1 => self.emit(0x97, d, 0, 0, n + 1),
            2 => {
                self.emit(0x25, d, 0, 1, n); // if d > n goto +1
                self.emit(0x05, 0, 0, 1, 0); // goto +1
                self.emit(0xb7, d, 0, 0, n);
            }
            3 => {
                self.emit(0x65, d, 0, 1, n); // s>
                self.emit(0x75, d, 0, 1, 0); // s>= 0
                self.emit(0xb4, d, 0, 0, n);
            }
            4 => {
                self.emit(0xbc, d, d, 0, 0);
                self.emit(0xa6, d, 0, 1, n.max(1)); // w <
                self.emit(0xb4, d, 0, 0, 3);
            }
            _ => self.emit(0x77, d, 0, 0, 58 + n % 6),
        }
    }

    /// Loads or stores at a computed place in the map value (r9), a small one in `.rodata` (r7 is the context).
    fn indexed(&mut self) {
        let i = self.number();
        if !self.r.one_in(6) {
            self.bound(i);
        }
        for _ in 0..self.r.below(3) {
            match self.r.below(7) {
                0 => self.emit(0x67, i, 0, 0, 1),
                1 => self.emit(0x07, i, 0, 0, 3),
                2 => self.emit(0x17, i, 0, 0, 2),
                3 => self.emit(0x77, i, 0, 0, 1),
                4 => self.emit(0x27, i, 0, 0, 3),
                5 => {
                    let j = self.number();
                    self.emit(0x5f, i, j, 0, 0);
                }
                _ => self.emit(0xa7, i, 0, 0, 5),
            }
        }
        let size = self.r.pick(&[0x00, 0x08, 0x10, 0x18]);
        let off = self.r.below(24) as i16 - 4;
        let v = self.number();
        self.emit(0xbf, 6, 9, 0, 0);
        self.emit(0x0f, 6, i, 0, 0);
        match self.r.below(4) {
            0 => self.emit(0x63 & !0x18 | size, 6, v, off, 0),
            1 => self.emit(0x62 & !0x18 | size, 6, 0, off, 7),
            2 if size != 0x18 => self.emit(0x81 & !0x18 | size, v, 6, off, 0),
            _ => self.emit(0x61 & !0x18 | size, v, 6, off, 0),
        }
        self.emit(0xb7, 6, 0, 0, 0);
    }

    fn stack(&mut self) {
        let v = self.number();
        let slot = -8 * (1 + self.r.below(5) as i16);
        match self.r.below(6) {
            0 => self.emit(0x7b, 10, v, slot, 0),
            1 => self.emit(0x79, v, 10, slot, 0),
            2 => self.emit(0x63, 10, v, slot + 4, 0),
            3 => self.emit(0x61, v, 10, slot + 4, 0),
            4 => {
                // An index into the frame.
                let i = self.number();
                self.bound(i);
                self.emit(0xbf, 6, 10, 0, 0);
                self.emit(0x07, 6, 0, 0, -64);
                self.emit(0x0f, 6, i, 0, 0);
                if self.r.one_in(2) {
                    self.emit(0x73, 6, v, 0, 0)
                } else {
                    self.emit(0x71, v, 6, 0, 0)
                }
                self.emit(0xb7, 6, 0, 0, 0);
            }
            _ => {
                self.emit(0xdb, 10, v, slot, 1);
            }
        }
    }

    fn comparison(&mut self, off: i16) -> usize {
        let d = self.number();
        let class = self.r.pick(&[5, 5, 6]);
        let op = self.r.pick(&[0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0]);
        if self.r.one_in(3) {
            let s = self.number();
            self.emit(class | op | 8, d, s, off, 0);
        } else {
            let imm = self.r.imm();
            self.emit(class | op, d, 0, off, imm);
        }
        self.code.len() - 1
    }

    fn patch(&mut self, at: usize) {
        self.code[at].off = (self.code.len() - at - 1) as i16;
    }

    fn branch(&mut self) {
        let at = self.comparison(0);
        self.body(3);
        if self.r.one_in(2) {
            self.emit(0x05, 0, 0, 0, 0);
            let over = self.code.len() - 1;
            self.patch(at);
            self.body(3);
            self.patch(over);
        } else {
            self.patch(at);
        }
    }

    /// Blocks whose order in memory is not that of execution.
    fn tangle(&mut self) {
        self.emit(0x05, 0, 0, 0, 0);
        let over = self.code.len() - 1;
        let first = self.code.len();
        self.body(2);
        self.emit(0x05, 0, 0, 0, 0);
        let end = self.code.len() - 1;
        self.patch(over);
        self.body(2);
        self.emit(0x05, 0, 0, 0, 0);
        let at = self.code.len() - 1;
        self.code[at].off = (first as i64 - at as i64 - 1) as i16;
        self.patch(end);
    }

    fn repeat(&mut self) {
        self.loops += 1;
        // The counter: r8, or a stack variable; the body may disturb it.
        let c = if self.r.one_in(3) { self.number() } else { 8 };
        let (from, to, step) = (self.r.below(20) as i32, self.r.below(40) as i32, 1 + self.r.below(5) as i32);
        let kind = self.r.below(8);
        match kind {
            5 | 6 => {
                let v = 1 << self.r.below(20);
                self.emit(0xb7, c, 0, 0, v);
            }
            _ => {
                let mov = self.r.pick(&[0xb7, 0xb4]);
                self.emit(mov, c, 0, 0, from);
            }
        }
        let head = self.code.len();
        let saved = self.r.one_in(3);
        if saved {
            self.emit(0x7b, 10, c, -48, 0);
        }
        let mut exit = None;
        if self.r.one_in(3) {
            exit = Some(self.comparison(0));
        }
        self.body(4);
        if saved {
            self.emit(0x79, c, 10, -48, 0);
        }
        let narrow = self.r.one_in(3);
        let (add, jump) = if narrow { (0x04, 6) } else { (0x07, 5) };
        match kind {
            0 | 1 => {
                self.emit(add, c, 0, 0, step);
                self.emit(jump | 0xa0, c, 0, 0, to); // <
            }
            2 => {
                self.emit(add, c, 0, 0, -step);
                self.emit(jump | 0x60, c, 0, 0, to - 20); // s>
            }
            3 => {
                self.emit(add, c, 0, 0, step);
                let target = if self.r.one_in(4) { to } else { from + step * (1 + self.r.below(9) as i32) };
                self.emit(jump | 0x50, c, 0, 0, target); // !=
            }
            4 => {
                let s = self.number();
                self.emit(add, c, 0, 0, 1);
                self.emit(jump | 0xb0 | 8, c, s, 0, 0); // <= another register
            }
            5 => {
                self.emit(if narrow { 0x74 } else { 0x77 }, c, 0, 0, step);
                self.emit(jump | 0x50, c, 0, 0, 0);
            }
            6 => {
                self.emit(if narrow { 0x64 } else { 0x67 }, c, 0, 0, 1);
                self.emit(jump | 0xa0, c, 0, 0, 1 << 25);
            }
            _ => {
                let s = self.number();
                self.emit(add | 8, c, s, 0, 0);
                self.emit(jump | 0xa0, c, 0, 0, to);
            }
        }
        let at = self.code.len() - 1;
        self.code[at].off = (head as i64 - at as i64 - 1) as i16;
        if let Some(e) = exit {
            self.patch(e);
        }
    }

    /// A pointer that walks the map value beside a counter, or up to an end pointer.
    fn walk(&mut self) {
        self.loops += 1;
        let step = self.r.pick(&[1, 2, 4, 8, 3, -1, -4, 12]);
        let start = self.r.below(64) as i32;
        let n = self.r.below(20) as i32;
        let kind = self.r.below(4);
        let (c, v) = (8, self.r.pick(&[0, 2, 3]));
        self.emit(0xbf, 6, 9, 0, 0);
        self.emit(0x07, 6, 0, 0, start);
        match kind {
            0 => self.emit(0xb7, c, 0, 0, 0),
            1 => self.emit(0xb4, c, 0, 0, n),
            _ => {
                self.emit(0xbf, 4, 9, 0, 0);
                let end = start + step * n + if self.r.one_in(4) { 1 } else { 0 };
                self.emit(0x07, 4, 0, 0, end);
            }
        }
        let head = self.code.len();
        let store = self.r.one_in(2);
        let size = self.r.pick(&[0x00, 0x08, 0x10, 0x18]);
        let off = if self.r.one_in(3) { self.r.below(16) as i16 - 8 } else { 0 };
        if store {
            self.emit(0x63 & !0x18 | size, 6, v, off, 0)
        } else {
            self.emit(0x61 & !0x18 | size, v, 6, off, 0)
        }
        if self.r.one_in(3) {
            self.arithmetic();
        }
        if self.r.one_in(4) {
            let at = self.comparison(0);
            self.emit(0x05, 0, 0, 1, 0);
            self.patch(at);
            self.emit(0x07, v, 0, 0, 1);
        }
        self.emit(0x07, 6, 0, 0, step);
        match kind {
            0 => {
                self.emit(0x07, c, 0, 0, 1);
                let op = self.r.pick(&[0xa5, 0xc5, 0x55, 0xb5, 0xa6]);
                self.emit(op, c, 0, 0, n);
            }
            1 => {
                self.emit(0x04, c, 0, 0, -1);
                let op = self.r.pick(&[0x55, 0x56, 0x66, 0x76, 0x65]);
                self.emit(op, c, 0, 0, 0);
            }
            2 => self.emit(0x5d, 6, 4, 0, 0),
            _ => {
                let op = self.r.pick(&[0xad, 0x2d, 0xbd, 0x3d]);
                self.emit(op, 6, 4, 0, 0);
            }
        }
        let at = self.code.len() - 1;
        self.code[at].off = (head as i64 - at as i64 - 1) as i16;
        self.emit(0xb7, 6, 0, 0, 0);
        self.emit(0xb7, 4, 0, 0, 9);
        self.emit(0xb7, 8, 0, 0, 9);
    }

    fn reserve(&mut self) {
        let n = 8 * (1 + self.r.below(3) as i32);
        self.emit(0x18, 1, 1, 0, 1);
        self.emit(0, 0, 0, 0, 0);
        self.emit(0xb7, 2, 0, 0, n);
        self.emit(0xb7, 3, 0, 0, 0);
        self.emit(0x85, 0, 0, 0, 131);
        self.emit(0x15, 0, 0, 0, 0);
        let at = self.code.len() - 1;
        let off = self.r.below(n as u64 + 1) as i16 & !7;
        self.emit(0x7b, 0, 8, off, 0);
        self.emit(0xbf, 1, 0, 0, 0);
        self.emit(0xb7, 2, 0, 0, 0);
        let end = 132 + self.r.below(2) as i32;
        self.emit(0x85, 0, 0, 0, end);
        self.patch(at);
        self.refill();
    }

    fn refill(&mut self) {
        for r in 0..6 {
            let v = self.r.imm();
            self.emit(0xb7, r, 0, 0, v);
        }
    }

    fn call(&mut self) {
        self.calls.push(self.code.len());
        if self.r.one_in(2) {
            self.emit(0xbf, 1, 9, 0, 0);
        } else {
            self.emit(0x7a, 10, 0, -8, 1);
            self.emit(0x7a, 10, 0, -16, 1);
            self.emit(0xbf, 1, 10, 0, 0);
            self.emit(0x07, 1, 0, 0, -16);
        }
        let last = self.calls.len() - 1;
        self.calls[last] = self.code.len();
        self.emit(0x85, 0, 1, 0, 0);
        for r in 1..6 {
            self.emit(0xb7, r, 0, 0, 5);
        }
    }

    fn body(&mut self, most: u64) {
        self.depth += 1;
        for _ in 0..1 + self.r.below(most) {
            match self.r.below(20) {
                0..8 => self.arithmetic(),
                8..11 => self.indexed(),
                11..13 => self.stack(),
                13 if self.depth < 4 && self.r.one_in(3) => self.tangle(),
                13 | 14 if self.depth < 5 => self.branch(),
                15 | 16 if self.depth < 4 && self.loops < 3 => self.repeat(),
                17 if self.r.one_in(3) => self.reserve(),
                17 if self.depth < 4 && self.loops < 4 => self.walk(),
                18 if self.r.one_in(3) => self.call(),
                _ => {
                    let (d, off) = (self.number(), self.r.below(29) as i16);
                    self.emit(0x61, d, 7, off, 0);
                }
            }
        }
        self.depth -= 1;
    }

    fn program(&mut self) {
        self.emit(0xbf, 7, 1, 0, 0);
        self.emit(0x62, 10, 0, -4, 0);
        self.emit(0xbf, 2, 10, 0, 0);
        self.emit(0x07, 2, 0, 0, -4);
        self.emit(0x18, 1, 1, 0, 0);
        self.emit(0, 0, 0, 0, 0);
        self.emit(0x85, 0, 0, 0, 1);
        self.emit(0x55, 0, 0, 1, 0);
        self.emit(0x95, 0, 0, 0, 0);
        self.emit(0xbf, 9, 0, 0, 0);
        self.emit(0xb7, 6, 0, 0, 0);
        self.emit(0xb7, 8, 0, 0, 3);
        for slot in 1..9 {
            self.emit(0x7a, 10, 0, -8 * slot, 0);
        }
        for r in 0..6 {
            self.emit(0x61, r, 7, 4 * r as i16, 0);
        }
        self.body(12);
        self.emit(0xb7, 0, 0, 0, 1);
        self.emit(0x95, 0, 0, 0, 0);
        let function = self.code.len();
        for at in core::mem::take(&mut self.calls) {
            self.code[at].imm = (function - at) as i32 - 1;
            // The function's argument: 16 bytes.
            if function >= self.code.len() {
                self.emit(0x71, 0, 1, 3, 0);
                self.emit(0xb7, 2, 0, 0, 0);
                self.emit(0xbf, 3, 1, 0, 0);
                self.emit(0x0f, 3, 2, 0, 0);
                self.emit(0x73, 3, 0, 0, 0);
                self.emit(0x07, 2, 0, 0, 1);
                self.emit(0xa5, 2, 0, -5, 16);
                self.emit(0x73, 10, 0, -1, 0);
                self.emit(0x95, 0, 0, 0, 0);
            }
        }
        // Disturb.
        if self.r.one_in(2) {
            for _ in 0..1 + self.r.below(2) {
                let at = self.r.below(self.code.len() as u64) as usize;
                let change = self.r.next();
                let i = &mut self.code[at];
                match change % 6 {
                    0 => i.imm = i.imm.wrapping_add((change >> 8) as i32 % 9 - 4),
                    1 => i.off = i.off.wrapping_add((change >> 8) as i16 % 9 - 4),
                    2 => i.regs = (i.regs & 0xf0) | ((change >> 8) as u8 % 11),
                    3 => i.regs = i.regs & 0x0f | ((change >> 8) as u8 % 11) << 4,
                    4 => i.op ^= 8,
                    _ => i.op = (i.op & 0x0f) | (change >> 8) as u8 & 0xf0,
                }
            }
        }
    }
}

const MAP_AT: u64 = 0x4010_0000_0000;
const RODATA_AT: u64 = 0x4010_0001_0000;
const RING_AT: u64 = 0x4010_0002_0000;
const CTX_AT: u64 = 0x4000_0000_0000;

struct Host<'a> {
    memory: Regions<'a>,
    reserved: Vec<u64>,
    full: bool,
}

impl Memory for Host<'_> {
    fn load(&mut self, address: u64, size: Size) -> Option<u64> {
        self.memory.load(address, size)
    }
    fn store(&mut self, address: u64, size: Size, value: u64) -> Option<()> {
        self.memory.store(address, size, value)
    }
}

impl World for Host<'_> {
    fn helper(&mut self, id: u64, a: [u64; 5]) -> Option<u64> {
        match id {
            1 => Some(if a[0] == 0x1000 { MAP_AT } else { RODATA_AT }),
            131 if self.full || self.reserved.len() >= 4 => Some(0),
            131 => {
                assert!((a[0] == 0x1001 || a[0] == 0x1002) && a[1] <= 4096, "reserve");
                let at = RING_AT + 0x1000 * self.reserved.len() as u64;
                let old = self.memory.0.iter_mut().find(|r| r.base == at).expect("room");
                assert!(old.bytes.len() >= a[1] as usize);
                self.reserved.push(at);
                Some(at)
            }
            132 | 133 => {
                let i = self.reserved.iter().position(|r| *r == a[0]).expect("a reservation is given back");
                self.reserved.remove(i);
                Some(0)
            }
            2 | 3 | 5 | 6 | 8 | 130 | 134 => Some(7),
            _ => None,
        }
    }
    fn resolve(&self, src: u8, imm: i32, next: i32) -> Option<u64> {
        match src {
            1 => Some(0x1000 + imm as u64),
            2 => Some(if imm == 2 { RODATA_AT } else { MAP_AT } + next as u64),
            _ => None,
        }
    }
}

fn listing(code: &[Insn]) -> String {
    (0..code.len()).map(|i| format!("{i:4}: {}\n", Disasm::at(code, i).unwrap())).collect()
}

fn execute(code: &[Insn], accepted: &Accepted, r: &mut Random, seed: u64, size: u32) {
    for round in 0..6 {
        let mut ctx: Vec<u8> =
            (0..32).map(|_| r.next() as u8 & if round % 2 == 0 { 0xff } else { 0x1f }).collect();
        let mut value: Vec<u8> = (0..size).map(|_| if round == 5 { 0 } else { r.next() as u8 }).collect();
        let mut rodata = vec![7u8; 16];
        let mut rings: Vec<Vec<u8>> = (0..4).map(|_| vec![0xa5; 4096]).collect();
        let mut regions = vec![
            Region { base: CTX_AT, bytes: &mut ctx, writable: false },
            Region { base: MAP_AT, bytes: &mut value, writable: true },
            Region { base: RODATA_AT, bytes: &mut rodata, writable: false },
        ];
        for (i, b) in rings.iter_mut().enumerate() {
            regions.push(Region { base: RING_AT + 0x1000 * i as u64, bytes: b, writable: true });
        }
        let mut host = Host { memory: Regions(regions), reserved: Vec::new(), full: round == 3 };
        let mut stack = Box::new(Stack::default());
        let mut budget = accepted.max_insns;
        match run(code, &mut host, &mut stack, CTX_AT, 0, &mut budget) {
            Ok(_) => {
                assert!(host.reserved.is_empty(), "seed {seed}: a reservation is left\n{}", listing(code))
            }
            Err(Fault::OutOfBudget { at }) => panic!(
                "seed {seed}: more than the {} instructions promised, at {at}\n{}",
                accepted.max_insns,
                listing(code)
            ),
            Err(e) => panic!("seed {seed}: {e}\n{}", listing(code)),
        }
    }
}

#[test]
fn accepted_programs_keep_their_promises() {
    let seeds: u64 = std::env::var("AXIOM_FUZZ_SEEDS").ok().and_then(|v| v.parse().ok()).unwrap_or(6_000);
    let first: u64 = std::env::var("AXIOM_FUZZ_FIRST").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let env = Env { maps: &MAPS, ..common::env() };
    let mut verifier = Verifier::new();
    let (mut accepted, mut with_loops) = (0u64, 0u64);
    let mut reasons = std::collections::BTreeMap::new();
    for seed in first..first + seeds {
        let mut r = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        r.next();
        let mut w = Writer { r: &mut r, code: Vec::new(), depth: 0, loops: 0, calls: Vec::new() };
        w.program();
        let (code, loops) = (w.code, w.loops);
        match verifier.verify(&Program { insns: &code, lines: None }, &env) {
            Ok(a) => {
                accepted += 1;
                with_loops += u64::from(loops > 0);
                execute(&code, &a, &mut r, seed, VALUE);
            }
            Err(e) => {
                let name = format!("{:?}", e.reason);
                if std::env::var("AXIOM_FUZZ_SHOW").is_ok() {
                    println!("{e}\n");
                }
                *reasons.entry(name.split([' ', '{']).next().unwrap().to_string()).or_insert(0) += 1;
            }
        }
    }
    println!("{accepted} of {seeds} accepted, {with_loops} with loops; refused: {reasons:?}");
    assert!(accepted * 8 > seeds, "only {accepted} of {seeds} were accepted: the test tests little");
}

/// Compiled loops with a constant, an offset or a register changed: what is accepted of them must hold, too.
#[test]
fn changed_real_programs_keep_their_promises() {
    let rounds: u64 =
        std::env::var("AXIOM_FUZZ_SEEDS").ok().and_then(|v| v.parse().ok()).unwrap_or(6_000) / 20;
    let mut verifier = Verifier::new();
    let (mut accepted, mut tried) = (0u64, 0u64);
    for name in [
        "fir", "fnv", "crc32", "median", "sieve", "copy", "isqrt", "updates", "topdown", "struct24", "calls",
        "ring", "bsearch", "matrix", "bubble", "datalen", "down", "ringloop", "stackarr", "strlen", "memcmp",
        "sieve16", "log2", "gcd",
    ] {
        let good = common::program(name);
        for seed in 0..rounds {
            let mut r = Random((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name.len() as u64);
            r.next();
            let mut code = good.clone();
            for _ in 0..1 + r.below(2) {
                let at = r.below(code.len() as u64) as usize;
                let change = r.next();
                let i = &mut code[at];
                match change % 7 {
                    0 | 1 => i.imm = i.imm.wrapping_add((change >> 8) as i32 % 9 - 4),
                    2 => i.imm = -i.imm,
                    3 => i.off = i.off.wrapping_add((change >> 8) as i16 % 5 - 2),
                    4 => i.regs = (i.regs & 0xf0) | ((change >> 8) as u8 % 11),
                    5 => i.op ^= 3,
                    _ => i.op = (i.op & 0x0f) | ((change >> 8) as u8 & 0xf0),
                }
            }
            tried += 1;
            if let Ok(a) = verifier.verify(&Program { insns: &code, lines: None }, &common::env()) {
                accepted += 1;
                execute(&code, &a, &mut r, seed, 2048);
            }
        }
    }
    println!("{accepted} of {tried} changed programs accepted");
    assert!(accepted * 20 > tried, "only {accepted} of {tried} were accepted");
}
