//! An interpreter that checks everything, written beside RFC 9669 and sharing nothing with the checker: each pointer knows
//! which object it points into, each byte of stack whether it was written and whether it is part of an address, each map
//! has several elements, each record whether it is still held.
use axiom_bpf_isa::{Insn, MapDef, MapType};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum V {
    Undef,
    Num(u64),
    Ptr { object: u32, offset: u64 },
    Map(u32),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Ctx,
    Frame(usize),
    Element(u32, u32),
    /// Reserved at an instruction; still held.
    Record(u32, bool),
}

/// One bit for each byte of an object.
type Mask = [u64; 8];

/// The `n` bits from `at` on, as the lowest ones.
fn bits(m: &Mask, at: usize, n: usize) -> u64 {
    let (word, by) = (at / 64, at % 64);
    let high = if by + n > 64 { m[word + 1] << (64 - by) } else { 0 };
    (m[word] >> by | high) & (u64::MAX >> (64 - n))
}

fn set(m: &mut Mask, at: usize, n: usize, to: bool) {
    for k in at..at + n {
        m[k / 64] = m[k / 64] & !(1 << (k % 64)) | u64::from(to) << (k % 64);
    }
}

/// A piece of memory: at most 512 bytes.
pub struct Object {
    pub what: What,
    pub base: u64,
    /// The program has seen something of where it lies.
    pinned: bool,
    pub size: usize,
    bytes: [u8; 512],
    /// Bytes that were never written.
    pub undefined: Mask,
    /// Bytes that are still part of an address which was stored in the 8 bytes around them.
    pub part: Mask,
    addresses: [V; 64],
    pub writable: bool,
}

impl Object {
    /// What 4 or 8 bytes hold: a number, an address, or neither.
    pub fn holds(&self, at: usize, len: usize) -> V {
        match (bits(&self.part, at, len), bits(&self.undefined, at, len)) {
            (0, 0) => V::Num(self.number(at, len)),
            (0xff, _) if at.is_multiple_of(8) => self.addresses[at / 8],
            _ => V::Undef,
        }
    }

    fn number(&self, at: usize, len: usize) -> u64 {
        self.bytes[at..at + len].iter().rev().fold(0, |n, b| n << 8 | *b as u64)
    }
}

struct Activation {
    back: usize,
    saved: [V; 4],
}

/// A run; its buffers serve the next one.
pub struct Run<'a> {
    pub maps: &'a [MapDef],
    pub r: [V; 10],
    pub objects: Vec<Object>,
    /// Objects of the frames, the entry's first.
    pub frames: Vec<u32>,
    calls: Vec<Activation>,
    pub pc: usize,
    pub steps: u64,
    zero_stack: bool,
    pub lowest: [u64; 8],
    random: u64,
    reserved: u64,
    /// Instructions whose last reservation found no room.
    pub no_room: Vec<u32>,
    spare: Vec<Object>,
    /// An address turned out to be a number: whether it is called the one or the other from now on does not matter.
    pub met: bool,
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

#[cold]
fn no<T>(what: &str) -> Result<T, String> {
    Err(what.to_string())
}

impl<'a> Run<'a> {
    pub fn new(maps: &'a [MapDef]) -> Run<'a> {
        Run {
            maps,
            r: [V::Undef; 10],
            objects: Vec::new(),
            frames: Vec::new(),
            calls: Vec::new(),
            pc: 0,
            steps: 0,
            zero_stack: false,
            lowest: [0; 8],
            random: 1,
            reserved: 0,
            no_room: Vec::new(),
            spare: Vec::new(),
            met: false,
        }
    }

    /// Before the first instruction.
    pub fn begin(&mut self, ctx: &[u8], zero_stack: bool, seed: u64) {
        self.spare.append(&mut self.objects);
        (self.zero_stack, self.random, self.reserved) = (zero_stack, seed | 1, 0);
        (self.pc, self.steps, self.lowest, self.met) = (0, 0, [0; 8], false);
        self.calls.clear();
        self.frames.clear();
        self.no_room.clear();
        self.r = [V::Undef; 10];
        self.r[1] = V::Ptr { object: 0, offset: 0 };
        let object = self.object(What::Ctx, 0x1000_0000, ctx.len(), false);
        self.objects[object as usize].bytes[..ctx.len()].copy_from_slice(ctx);
        let frame = self.frame(0);
        self.frames.push(frame);
    }

    fn object(&mut self, what: What, base: u64, size: usize, writable: bool) -> u32 {
        let mut o = self.spare.pop().unwrap_or(Object {
            what,
            base,
            pinned: false,
            size,
            bytes: [0; 512],
            undefined: [0; 8],
            part: [0; 8],
            addresses: [V::Undef; 64],
            writable,
        });
        (o.what, o.base, o.pinned, o.size, o.writable) = (what, base, false, size, writable);
        (o.undefined, o.part) = ([0; 8], [0; 8]);
        self.objects.push(o);
        self.objects.len() as u32 - 1
    }

    fn frame(&mut self, depth: usize) -> u32 {
        let object = self.object(What::Frame(depth), 0x7fff_0000_0000 + 512 * depth as u64, 512, true);
        let o = &mut self.objects[object as usize];
        if self.zero_stack {
            o.bytes.fill(0);
        } else {
            o.undefined = [u64::MAX; 8];
        }
        object
    }

    fn rand(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn fill(&mut self, object: u32, zeros: bool) {
        let mut noise = [0u8; 64];
        for eight in noise.chunks_exact_mut(8).filter(|_| !zeros) {
            eight.copy_from_slice(&self.rand().to_le_bytes());
        }
        let o = &mut self.objects[object as usize];
        for (k, b) in o.bytes[..o.size].iter_mut().enumerate() {
            *b = noise[k % 64];
        }
    }

    /// The object of an element; elements of a map lie one behind the other.
    fn element(&mut self, map: u32, k: u32) -> u32 {
        if let Some(o) = self.objects.iter().position(|o| o.what == What::Element(map, k)) {
            return o as u32;
        }
        let def = &self.maps[map as usize];
        let size = def.value_size as u64;
        let base = 0x4000_0000_0000 + ((map as u64) << 24) + k as u64 * size.next_multiple_of(8);
        let zeros = self.rand().is_multiple_of(3);
        let object = self.object(What::Element(map, k), base, size as usize, !def.read_only);
        self.fill(object, zeros);
        object
    }

    #[inline]
    pub fn reg(&self, r: u8) -> V {
        if r < 10 {
            self.r[r as usize]
        } else {
            V::Ptr { object: self.frames[self.frames.len() - 1], offset: 512 }
        }
    }

    /// A number to compare with: addresses are where their objects lie.
    pub fn address(&self, v: V) -> Result<u64, String> {
        match v {
            V::Undef => no("a register that was never written is read"),
            V::Num(n) => Ok(n),
            V::Ptr { object, offset } => Ok(self.objects[object as usize].base.wrapping_add(offset)),
            V::Map(m) => Ok(0x5000_0000_0000 + m as u64 * 64),
        }
    }

    /// The number that a comparison has just found an address to be, which is then known as a number, too.
    pub fn met_as(&self, v: V) -> Option<u64> {
        match v {
            V::Ptr { object, .. } if self.met && self.objects[object as usize].pinned => self.address(v).ok(),
            _ => None,
        }
    }

    /// An object may lie anywhere until a comparison tells something of where. So an address outside of its object may be any
    /// number with which it is compared: every other time it is, if the object can lie there.
    fn place_for(&mut self, x: V, y: V, equal: bool) {
        if let (V::Ptr { object, offset }, V::Num(n)) | (V::Num(n), V::Ptr { object, offset }) = (x, y) {
            let (base, o) = (n.wrapping_sub(offset), &self.objects[object as usize]);
            let inside = offset <= o.size as u64;
            if inside && equal && n < 0x1000 {
                return;
            }
            let alone = |o: &Object| o.base.wrapping_sub(base).wrapping_add(0x1000) > 0x2000;
            let fits = base.is_multiple_of(8) && base.wrapping_sub(0x1000) < u64::MAX - 0x2000;
            if equal && !inside && !o.pinned && fits && self.objects.iter().all(alone) && self.rand() & 1 == 0
            {
                self.objects[object as usize].base = base;
                self.met = true;
            }
        }
        for v in [x, y] {
            if let V::Ptr { object, .. } = v {
                self.objects[object as usize].pinned = true;
            }
        }
    }

    #[inline]
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
        let o = &self.objects[object as usize];
        if at > o.size as u64 || at + size as u64 > o.size as u64 {
            return Err(format!("{size} bytes at {} of {:?}, which has {}", at as i64, o.what, o.size));
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
        Ok((object as usize, at as usize))
    }

    fn read(&mut self, v: V, off: i64, size: usize) -> Result<V, String> {
        let (object, at) = self.place(v, off, size, false)?;
        let o = &self.objects[object];
        match (bits(&o.part, at, size), bits(&o.undefined, at, size)) {
            (0, 0) => Ok(V::Num(o.number(at, size))),
            (0xff, _) if size == 8 && at.is_multiple_of(8) => Ok(o.addresses[at / 8]),
            (0, _) => no("stack that was never written is read"),
            _ => no("a part of an address is read"),
        }
    }

    fn write(&mut self, v: V, off: i64, size: usize, value: V) -> Result<(), String> {
        let (object, at) = self.place(v, off, size, true)?;
        let o = &mut self.objects[object];
        let address = match value {
            V::Undef => return no("a register that was never written is stored"),
            V::Num(n) => {
                o.bytes[at..at + size].copy_from_slice(&n.to_le_bytes()[..size]);
                false
            }
            value => {
                if !matches!(o.what, What::Frame(_)) || size != 8 || !at.is_multiple_of(8) {
                    return no("an address is stored where it can be read");
                }
                o.addresses[at / 8] = value;
                true
            }
        };
        if matches!(o.what, What::Frame(_)) {
            set(&mut o.undefined, at, size, false);
            set(&mut o.part, at, size, address);
        }
        Ok(())
    }

    /// Executes one instruction.
    pub fn step(&mut self, code: &[Insn]) -> Step {
        let Some(&i) = code.get(self.pc) else { return no("control leaves the program") };
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
                let next = code[at + 1].imm as u32 as u64;
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
            && self.objects[object as usize].base.wrapping_add(offset).wrapping_add(i.off as u64)
                & (size as u64 - 1)
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
                let x = self.reg(i.dst());
                let y = if i.op & 8 != 0 { self.reg(i.src()) } else { V::Num(i.imm as i64 as u64) };
                if matches!((x, y), (V::Ptr { .. }, _) | (_, V::Ptr { .. })) {
                    self.place_for(x, y, wide && matches!(i.op & 0xf0, 0x10 | 0x50));
                }
                let (x, y) = (self.address(x)?, self.address(y)?);
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

    /// So many bytes from where a register points, which a helper reads.
    fn bytes(&mut self, r: u8, size: usize) -> Result<u64, String> {
        let v = self.reg(r);
        (0..size).try_fold(0, |n, k| match self.read(v, k as i64, 1)? {
            V::Num(b) => Ok(n | b.wrapping_shl(8 * k as u32)),
            _ => no("a part of an address is read"),
        })
    }

    fn map(&self, r: u8) -> Result<(u32, MapDef), String> {
        match self.reg(r) {
            V::Map(m) => Ok((m, self.maps[m as usize])),
            _ => no("a helper wants a map"),
        }
    }

    fn helper(&mut self, at: usize, id: u32) -> Step {
        let result = match id {
            1 => {
                let (m, def) = self.map(1)?;
                let k = self.bytes(2, def.key_size as usize)? as u32;
                let miss = match def.map_type {
                    MapType::Array => k >= def.max_entries,
                    _ => self.rand().is_multiple_of(4),
                };
                if miss { V::Num(0) } else { V::Ptr { object: self.element(m, k % 8), offset: 0 } }
            }
            2 => {
                let def = self.map(1)?.1;
                self.bytes(2, def.key_size as usize)?;
                self.bytes(3, def.value_size as usize)?;
                self.num(4)?;
                V::Num(self.rand())
            }
            5 => V::Num(self.rand()),
            6 => {
                let n = self.num(2)?;
                self.bytes(1, n as usize)?;
                // No format is constant here, so it may print all of them.
                for r in 3..6 {
                    self.num(r)?;
                }
                V::Num(self.rand())
            }
            8 => V::Num(self.rand() as u32 as u64),
            87 => {
                let def = self.map(1)?.1;
                self.bytes(2, def.value_size as usize)?;
                self.num(3)?;
                V::Num(self.rand())
            }
            88 | 89 => {
                let def = self.map(1)?.1;
                for k in 0..def.value_size as i64 {
                    let n = self.rand();
                    self.write(self.reg(2), k, 1, V::Num(n))?;
                }
                V::Num(self.rand())
            }
            130 => {
                self.map(1)?;
                let n = self.num(3)?;
                self.bytes(2, n as usize)?;
                self.num(4)?;
                V::Num(0)
            }
            131 => {
                self.map(1)?;
                let size = self.num(2)?;
                self.num(3)?;
                self.no_room.retain(|site| *site != at as u32);
                if self.rand().is_multiple_of(4) || size > 512 {
                    self.no_room.push(at as u32);
                    V::Num(0)
                } else {
                    self.reserved += 1;
                    let base = 0x6000_0000_0000 + self.reserved * 0x1_0000;
                    let object = self.object(What::Record(at as u32, true), base, size as usize, true);
                    self.fill(object, false);
                    V::Ptr { object, offset: 0 }
                }
            }
            132 | 133 => {
                let V::Ptr { object, offset: 0 } = self.reg(1) else { return no("no record is given back") };
                match &mut self.objects[object as usize].what {
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
