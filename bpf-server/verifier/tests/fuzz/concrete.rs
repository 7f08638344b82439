//! An interpreter that checks everything, written beside RFC 9669 and sharing nothing with the checker: each pointer knows
//! which object it points into, each byte of stack whether it was written and whether it is part of an address, each map
//! has several elements, each record whether it is still held.
use axiom_bpf_isa::{Insn, MapDef, MapType};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum V {
    Undef,
    Num(u64),
    Ptr { object: usize, offset: u64 },
    Map(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Byte {
    Undef,
    Val(u8),
    /// Part of the address that was stored at this offset.
    Part(u16),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Ctx,
    Frame(usize),
    Element(u32, u32),
    /// Reserved at an instruction; still held.
    Record(u32, bool),
}

pub struct Object {
    pub what: What,
    pub base: u64,
    pub bytes: Vec<Byte>,
    pub stored: Vec<(u16, V)>,
    pub writable: bool,
}

pub struct Activation {
    pub back: usize,
    saved: [V; 4],
}

/// A run.
pub struct Run<'a> {
    pub code: &'a [Insn],
    pub maps: &'a [MapDef],
    pub r: [V; 10],
    pub objects: Vec<Object>,
    /// Objects of the frames, the entry's first.
    pub frames: Vec<usize>,
    pub calls: Vec<Activation>,
    pub pc: usize,
    pub steps: u64,
    pub zero_stack: bool,
    pub lowest: [u64; 8],
    random: u64,
    reserved: u64,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Did {
    Next,
    /// A conditional jump, taken or not.
    Branch(bool),
    Jump,
    Call,
    Return,
    End,
}

type Step = Result<Did, String>;

fn no<T>(what: &str) -> Result<T, String> {
    Err(what.to_string())
}

impl<'a> Run<'a> {
    pub fn new(code: &'a [Insn], maps: &'a [MapDef], ctx: &[u8], zero_stack: bool, seed: u64) -> Run<'a> {
        let mut run = Run {
            code,
            maps,
            r: [V::Undef; 10],
            objects: Vec::with_capacity(12),
            frames: vec![1],
            calls: Vec::new(),
            pc: 0,
            steps: 0,
            zero_stack,
            lowest: [0; 8],
            random: seed | 1,
            reserved: 0,
        };
        let bytes = ctx.iter().map(|b| Byte::Val(*b)).collect();
        run.objects.push(Object {
            what: What::Ctx,
            base: 0x1000_0000,
            bytes,
            stored: vec![],
            writable: false,
        });
        run.frame(0);
        run.r[1] = V::Ptr { object: 0, offset: 0 };
        run
    }

    fn frame(&mut self, depth: usize) -> usize {
        let fresh = if self.zero_stack { Byte::Val(0) } else { Byte::Undef };
        self.objects.push(Object {
            what: What::Frame(depth),
            base: 0x7fff_0000_0000 + 512 * depth as u64,
            bytes: vec![fresh; 512],
            stored: vec![],
            writable: true,
        });
        self.objects.len() - 1
    }

    fn rand(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The object of an element; elements of a map lie one behind the other.
    fn element(&mut self, map: u32, k: u32) -> usize {
        if let Some(o) = self.objects.iter().position(|o| o.what == What::Element(map, k)) {
            return o;
        }
        let size = self.maps[map as usize].value_size as u64;
        let same = self.rand().is_multiple_of(3);
        let bytes = (0..size).map(|_| Byte::Val(if same { 0 } else { self.rand() as u8 })).collect();
        let base = 0x4000_0000_0000 + ((map as u64) << 24) + k as u64 * size.next_multiple_of(8);
        let writable = !self.maps[map as usize].read_only;
        self.objects.push(Object { what: What::Element(map, k), base, bytes, stored: vec![], writable });
        self.objects.len() - 1
    }

    pub fn reg(&self, r: u8) -> V {
        if r < 10 {
            self.r[r as usize]
        } else {
            V::Ptr { object: self.frames[self.frames.len() - 1], offset: 512 }
        }
    }

    /// A number to compare with: addresses are where their objects lie.
    fn address(&self, v: V) -> Result<u64, String> {
        match v {
            V::Undef => no("a register that was never written is read"),
            V::Num(n) => Ok(n),
            V::Ptr { object, offset } => Ok(self.objects[object].base.wrapping_add(offset)),
            V::Map(m) => Ok(0x5000_0000_0000 + m as u64 * 64),
        }
    }

    fn num(&self, r: u8) -> Result<u64, String> {
        match self.reg(r) {
            V::Num(n) => Ok(n),
            V::Undef => no("a register that was never written is read"),
            _ => no("an address is used as a number"),
        }
    }

    /// The object and the first byte of an access.
    fn place(&mut self, v: V, off: i64, size: usize, write: bool) -> Result<(usize, usize), String> {
        let V::Ptr { object, offset } = v else { return no("something that is no address is followed") };
        let at = offset.wrapping_add(off as u64);
        let o = &self.objects[object];
        if at > o.bytes.len() as u64 || at + size as u64 > o.bytes.len() as u64 {
            return Err(format!(
                "{size} bytes at {} of {:?}, which has {}",
                at as i64,
                o.what,
                o.bytes.len()
            ));
        }
        if write && !o.writable {
            return no("read-only memory is written");
        }
        match o.what {
            What::Record(_, false) => return no("a record is used after it was given back"),
            What::Frame(d) if d >= self.frames.len() || self.frames[d] != object => {
                return no("a frame is used after its function returned");
            }
            What::Frame(d) => self.lowest[d] = self.lowest[d].max(512 - at),
            _ => {}
        }
        Ok((object, at as usize))
    }

    fn read(&mut self, v: V, off: i64, size: usize) -> Result<V, String> {
        let (object, at) = self.place(v, off, size, false)?;
        let o = &self.objects[object];
        if let Byte::Part(first) = o.bytes[at]
            && size == 8
            && first as usize == at
            && (at..at + 8).all(|b| o.bytes[b] == Byte::Part(first))
        {
            return Ok(o.stored.iter().find(|s| s.0 == first).expect("stored").1);
        }
        let mut n = 0;
        for b in (at..at + size).rev() {
            match o.bytes[b] {
                Byte::Undef => return no("stack that was never written is read"),
                Byte::Val(v) => n = n << 8 | v as u64,
                Byte::Part(_) => return no("a part of an address is read"),
            }
        }
        Ok(V::Num(n))
    }

    fn write(&mut self, v: V, off: i64, size: usize, value: V) -> Result<(), String> {
        let (object, at) = self.place(v, off, size, true)?;
        let o = &mut self.objects[object];
        match value {
            V::Undef => no("a register that was never written is stored"),
            V::Num(n) => {
                for k in 0..size {
                    o.bytes[at + k] = Byte::Val((n >> (8 * k)) as u8);
                }
                Ok(())
            }
            value => {
                if !matches!(o.what, What::Frame(_)) || size != 8 || !at.is_multiple_of(8) {
                    return no("an address is stored where it can be read");
                }
                o.stored.retain(|s| s.0 as usize != at);
                o.stored.push((at as u16, value));
                o.bytes[at..at + 8].fill(Byte::Part(at as u16));
                Ok(())
            }
        }
    }

    /// Executes one instruction.
    pub fn step(&mut self) -> Step {
        let Some(&i) = self.code.get(self.pc) else { return no("control leaves the program") };
        self.steps += 1;
        let at = self.pc;
        self.pc += 1;
        let (d, s, wide) = (i.dst(), i.src(), i.op & 7 == 7 || i.op & 7 == 5);
        match i.op & 7 {
            4 | 7 => {
                self.r[d as usize] = self.alu(i, wide)?;
                Ok(Did::Next)
            }
            5 | 6 => self.jump(at, i, wide),
            0 => {
                self.pc += 1;
                let next = self.code[at + 1].imm as u32 as u64;
                self.r[d as usize] = match s {
                    0 => V::Num(i.imm as u32 as u64 | next << 32),
                    1 => V::Map(i.imm as u32),
                    2 => V::Ptr { object: self.element(i.imm as u32, 0), offset: next },
                    _ => return no("a wide load of unknown kind"),
                };
                Ok(Did::Next)
            }
            1 => {
                let size = size(i.op);
                let v = self.read(self.reg(s), i.off as i64, size)?;
                let up = 64 - 8 * size as u32;
                self.r[d as usize] = match v {
                    V::Num(n) if i.op & 0xe0 == 0x80 => V::Num(((n << up) as i64 >> up) as u64),
                    v => v,
                };
                Ok(Did::Next)
            }
            _ if i.op == 0xdb || i.op == 0xc3 => self.atomic(i),
            2 => {
                self.write(self.reg(d), i.off as i64, size(i.op), V::Num(i.imm as i64 as u64))?;
                Ok(Did::Next)
            }
            _ => {
                self.write(self.reg(d), i.off as i64, size(i.op), self.reg(s))?;
                Ok(Did::Next)
            }
        }
    }

    fn atomic(&mut self, i: Insn) -> Step {
        let size = size(i.op);
        let V::Num(old) = self.read(self.reg(i.dst()), i.off as i64, size)? else {
            return no("an atomic on an address");
        };
        if let V::Ptr { object, offset } = self.reg(i.dst())
            && self.objects[object].base.wrapping_add(offset).wrapping_add(i.off as u64) & (size as u64 - 1)
                != 0
        {
            return no("an atomic operation that is not aligned");
        }
        let v = self.num(i.src())?;
        let cut = |n: u64| if size == 4 { n as u32 as u64 } else { n };
        let new = match i.imm & 0xf0 {
            0x00 => old.wrapping_add(v),
            0x40 => old | v,
            0x50 => old & v,
            0xa0 => old ^ v,
            0xe0 => v,
            _ if cut(self.num(0)?) == old => v,
            _ => old,
        };
        self.write(self.reg(i.dst()), i.off as i64, size, V::Num(cut(new)))?;
        if i.imm == 0xf1 {
            self.r[0] = V::Num(old);
        } else if i.imm & 1 == 1 {
            self.r[i.src() as usize] = V::Num(old);
        }
        Ok(Did::Next)
    }

    fn alu(&mut self, i: Insn, wide: bool) -> Result<V, String> {
        let (op, register) = (i.op & 0xf0, i.op & 8 != 0);
        let a = self.reg(i.dst());
        let b = if register && op != 0xd0 { self.reg(i.src()) } else { V::Num(i.imm as i64 as u64) };
        match (op, a, b) {
            (0xb0, _, V::Ptr { .. } | V::Map(_)) if wide && i.off == 0 => return Ok(b),
            (0x00, V::Ptr { object, offset }, V::Num(n)) | (0x00, V::Num(n), V::Ptr { object, offset })
                if wide =>
            {
                return Ok(V::Ptr { object, offset: offset.wrapping_add(n) });
            }
            (0x10, V::Ptr { object, offset }, V::Num(n)) if wide => {
                return Ok(V::Ptr { object, offset: offset.wrapping_sub(n) });
            }
            (0x10, V::Ptr { object: p, offset: x }, V::Ptr { object: q, offset: y }) if wide => {
                return if p == q {
                    Ok(V::Num(x.wrapping_sub(y)))
                } else {
                    no("addresses of two objects are subtracted")
                };
            }
            _ => {}
        }
        let x = if op == 0xb0 { 0 } else { self.num(i.dst())? };
        let y = if register && op != 0xd0 { self.num(i.src())? } else { i.imm as i64 as u64 };
        if op == 0xd0 {
            let reverse = wide || register;
            let n = match (i.imm, reverse) {
                (16, false) => x & 0xffff,
                (32, false) => x & 0xffff_ffff,
                (16, true) => (x as u16).swap_bytes() as u64,
                (32, true) => (x as u32).swap_bytes() as u64,
                (64, true) => x.swap_bytes(),
                _ => x,
            };
            return Ok(V::Num(n));
        }
        let bits = if wide { 64 } else { 32 };
        let mask = u64::MAX >> (64 - bits);
        let sign = |v: u64| ((v << (64 - bits)) as i64 >> (64 - bits)) as i128;
        let (ux, uy, sx, sy) = ((x & mask) as i128, (y & mask) as i128, sign(x), sign(y));
        let by = (uy % bits as i128) as u32;
        let signed = i.off == 1;
        let v = match op {
            0x00 => ux + uy,
            0x10 => ux - uy,
            0x20 => return Ok(V::Num(((ux as u128).wrapping_mul(uy as u128) as u64) & mask)),
            0x30 if signed => sx.checked_div(sy).unwrap_or(0),
            0x30 => ux.checked_div(uy).unwrap_or(0),
            0x40 => ux | uy,
            0x50 => ux & uy,
            0x60 => return Ok(V::Num((ux as u64).wrapping_shl(by) & mask)),
            0x70 => ux >> by,
            0x80 => -ux,
            0x90 if signed => sx.checked_rem(sy).unwrap_or(sx),
            0x90 => ux.checked_rem(uy).unwrap_or(ux),
            0xa0 => ux ^ uy,
            0xb0 => match i.off {
                0 => uy,
                n => (y << (64 - n as u32)) as i64 as i128 >> (64 - n as u32),
            },
            _ => sx >> by,
        };
        Ok(V::Num(v as u64 & mask))
    }

    fn jump(&mut self, at: usize, i: Insn, wide: bool) -> Step {
        let to = |off: i64| (at as i64 + 1 + off) as usize;
        match i.op {
            0x05 => self.pc = to(i.off as i64),
            0x06 => self.pc = to(i.imm as i64),
            0x85 if i.src() == 1 => {
                if self.frames.len() == 8 {
                    return no("more than 8 functions are nested");
                }
                let mut a = Activation { back: self.pc, saved: [V::Undef; 4] };
                a.saved.copy_from_slice(&self.r[6..]);
                self.calls.push(a);
                // The interpreter of the system leaves them; no program may look.
                self.r[0] = V::Undef;
                self.r[6..].fill(V::Undef);
                let f = self.frame(self.frames.len());
                self.frames.push(f);
                self.pc = to(i.imm as i64);
                return Ok(Did::Call);
            }
            0x85 => return self.helper(at, i.imm as u32),
            0x8d => {
                let id = self.num(i.dst())?;
                return self.helper(at, u32::try_from(id).map_err(|_| "no such helper")?);
            }
            0x95 => {
                let Some(a) = self.calls.pop() else {
                    self.num(0)?;
                    let held = self.objects.iter().any(|o| matches!(o.what, What::Record(_, true)));
                    return if held { no("a record is still held at the end") } else { Ok(Did::End) };
                };
                self.frames.pop();
                self.r[1..6].fill(V::Undef);
                self.r[6..].copy_from_slice(&a.saved);
                self.pc = a.back;
                return Ok(Did::Return);
            }
            _ => {
                let x = self.address(self.reg(i.dst()))?;
                let y = if i.op & 8 != 0 { self.address(self.reg(i.src()))? } else { i.imm as i64 as u64 };
                let (x, y) = if wide { (x, y) } else { (x as u32 as u64, y as u32 as u64) };
                let (sx, sy) = if wide { (x as i64, y as i64) } else { (x as i32 as i64, y as i32 as i64) };
                let taken = match i.op & 0xf0 {
                    0x10 => x == y,
                    0x20 => x > y,
                    0x30 => x >= y,
                    0x40 => x & y != 0,
                    0x50 => x != y,
                    0x60 => sx > sy,
                    0x70 => sx >= sy,
                    0xa0 => x < y,
                    0xb0 => x <= y,
                    0xc0 => sx < sy,
                    _ => sx <= sy,
                };
                if taken {
                    self.pc = to(i.off as i64);
                }
                return Ok(Did::Branch(taken));
            }
        }
        Ok(Did::Jump)
    }

    fn bytes(&mut self, r: u8, size: usize) -> Result<Vec<u8>, String> {
        let v = self.reg(r);
        (0..size)
            .map(|k| match self.read(v, k as i64, 1)? {
                V::Num(n) => Ok(n as u8),
                _ => no("a part of an address is read"),
            })
            .collect()
    }

    fn helper(&mut self, at: usize, id: u32) -> Step {
        let map = |v: V| match v {
            V::Map(m) => Ok(m),
            _ => no("a helper wants a map"),
        };
        let result = match id {
            1 => {
                let m = map(self.reg(1))?;
                let def = self.maps[m as usize];
                let key = self.bytes(2, def.key_size as usize)?;
                let k = key.iter().rev().fold(0u32, |n, b| n << 8 | *b as u32);
                let miss = match def.map_type {
                    MapType::Array => k >= def.max_entries,
                    _ => self.rand().is_multiple_of(4),
                };
                if miss { V::Num(0) } else { V::Ptr { object: self.element(m, k % 8), offset: 0 } }
            }
            2 => {
                let def = self.maps[map(self.reg(1))? as usize];
                self.bytes(2, def.key_size as usize)?;
                self.bytes(3, def.value_size as usize)?;
                self.num(4)?;
                V::Num(self.rand())
            }
            5 => V::Num(self.rand()),
            8 => V::Num(self.rand() as u32 as u64),
            130 => {
                map(self.reg(1))?;
                let n = self.num(3)?;
                self.bytes(2, n as usize)?;
                self.num(4)?;
                V::Num(0)
            }
            131 => {
                map(self.reg(1))?;
                let size = self.num(2)?;
                self.num(3)?;
                if self.rand().is_multiple_of(4) {
                    V::Num(0)
                } else {
                    self.reserved += 1;
                    let bytes = (0..size).map(|_| Byte::Val(self.rand() as u8)).collect();
                    let base = 0x6000_0000_0000 + self.reserved * 0x1_0000;
                    let what = What::Record(at as u32, true);
                    self.objects.push(Object { what, base, bytes, stored: vec![], writable: true });
                    V::Ptr { object: self.objects.len() - 1, offset: 0 }
                }
            }
            132 | 133 => {
                let V::Ptr { object, offset: 0 } = self.reg(1) else { return no("no record is given back") };
                match &mut self.objects[object].what {
                    What::Record(_, held) if *held => *held = false,
                    _ => return no("a record is given back twice"),
                }
                self.num(2)?;
                V::Undef
            }
            _ => return no("a helper that these programs do not have"),
        };
        self.r[..6].fill(V::Undef);
        self.r[0] = result;
        Ok(Did::Next)
    }
}

fn size(op: u8) -> usize {
    match op & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    }
}
