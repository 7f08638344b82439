//! Calls of helpers: their arguments, their result, and the references that they give and take.

use crate::exec::{Machine, Note};
use crate::num::Num;
use crate::report::{Memory, Reason};
use crate::state::{FRAME, Kind, Reg, State, made_at, why};
use axiom_bpf_isa::proto::{self, Arg, HelperProto, Returns};

impl Machine<'_> {
    pub(crate) fn helper(&mut self, at: usize, id: u32, s: &mut State) {
        let Some(p) = proto::find(id).filter(|p| self.env.helpers.is_none_or(|h| h.contains(&p.id))) else {
            self.fail(at, Reason::UnknownHelper { id });
            clobber(s);
            s.regs[0] = Reg::number(Num::TOP);
            return;
        };
        if !self.helpers.contains(&id) {
            self.helpers.push(id);
        }
        let mut map = None;
        let mut reserve = 0;
        let mut printed = None;
        let mut written = None;
        for n in 0..5 {
            let r = n as u8 + 1;
            match p.args[n] {
                Arg::None => {}
                Arg::Number => {
                    if self.read(at, s, r).kind != Kind::Number {
                        self.argument(at, p, r, "a number");
                    }
                }
                Arg::Map => {
                    let v = self.read(at, s, r);
                    let def = self.env.maps.get(v.at as usize).filter(|_| v.kind == Kind::Map);
                    match def {
                        None => self.argument(at, p, r, "a map"),
                        Some(d) => {
                            map = Some((v.at, *d));
                            if !p.maps.contains(&d.map_type) {
                                self.fail(at, Reason::WrongMap { helper: p.name, map: v.at });
                            }
                            if d.read_only && p.writes_map {
                                self.fail(at, Reason::ReadOnly { memory: Memory::Value { map: v.at } });
                            }
                        }
                    }
                }
                Arg::Key => {
                    let size = map.map_or(0, |m| m.1.key_size);
                    self.readable(at, s, p, r, size as i64, "the address of a key");
                }
                Arg::Value => {
                    let size = map.map_or(0, |m| m.1.value_size);
                    self.readable(at, s, p, r, size as i64, "the address of a value");
                }
                Arg::Memory => {
                    let size = self.read(at, s, r + 1);
                    let (_, most) = size.num.r64.unsigned();
                    if size.kind != Kind::Number {
                        self.argument(at, p, r + 1, "a size");
                    } else if most > i32::MAX as u64 {
                        self.fail(at, Reason::SizeUnbounded { helper: p.name, argument: r + 1 });
                    } else {
                        self.readable(at, s, p, r, most as i64, "the address of readable memory");
                    }
                }
                Arg::Size => {}
                Arg::ValueOut => {
                    let size = map.map_or(0, |m: (u32, axiom_bpf_isa::MapDef)| m.1.value_size);
                    written = self.writable(at, s, p, r, size as i64);
                }
                Arg::Printed => {
                    let count = *printed.get_or_insert_with(|| self.printed(at, s, p));
                    if n < 2 + count && self.read(at, s, r).kind != Kind::Number {
                        self.argument(at, p, r, "a number");
                    }
                }
                Arg::ConstSize => {
                    let size = self.read(at, s, r).constant().unwrap_or(0);
                    let limit = map.map_or(0, |m| m.1.max_entries as u64);
                    if size == 0 || size > limit {
                        self.argument(at, p, r, "a constant size, not 0 and not larger than the ring buffer");
                    } else {
                        reserve = size as u32;
                    }
                }
                Arg::Reservation => {
                    let v = self.read(at, s, r);
                    let start = v.num.constant() == Some(0);
                    if v.kind != Kind::Reserved || !start {
                        self.argument(at, p, r, "the address that bpf_ringbuf_reserve returned");
                    } else if v.null {
                        self.fail(at, Reason::MaybeNull { register: r, map: None });
                    }
                    if v.kind == Kind::Reserved {
                        s.release(v.at, self.depth);
                    }
                }
            }
        }
        // Of the places that arguments point to, the loop bounds need to know only what is overwritten.
        self.note(at, written.unwrap_or(Note::None));
        clobber(s);
        s.regs[0] = match p.returns {
            Returns::Nothing => Reg::unusable(why::VOID),
            Returns::Number => Reg::number(Num::TOP),
            Returns::Number32 => Reg::number(Num::of_width(32)),
            Returns::ValueOrNull => match map {
                Some((m, _)) => {
                    let id = made_at(at as u32);
                    Reg { null: true, size: id, id, ..Reg::pointer(Kind::Value, m) }
                }
                None => Reg::number(Num::TOP),
            },
            Returns::ReservationOrNull => {
                let site = at as u32;
                if s.holds(site) {
                    self.fail(at, Reason::StillHeld { reserved_at: site });
                    s.release(site, self.depth);
                }
                if !s.hold(site) {
                    self.fail(at, Reason::TooManyHeld);
                }
                Reg { null: true, id: made_at(site), size: reserve, ..Reg::pointer(Kind::Reserved, site) }
            }
        };
    }

    #[cold]
    fn argument(&mut self, at: usize, p: &HelperProto, argument: u8, wants: &'static str) {
        self.fail(at, Reason::Argument { helper: p.name, argument, wants });
    }

    /// An argument that points to `size` readable bytes.
    fn readable(&mut self, at: usize, s: &mut State, p: &HelperProto, r: u8, size: i64, wants: &'static str) {
        let v = self.read(at, s, r);
        if !v.is_pointer() || v.kind == Kind::Map {
            return self.argument(at, p, r, wants);
        }
        if size == 0 && !v.null {
            return;
        }
        let Some((v, span)) = self.access(at, s, r, 0, size, false) else { return };
        if v.kind == Kind::Stack {
            let (from, len) = ((span.low + FRAME) as usize, (span.high - span.low + size) as usize);
            if s.frame(v.at as usize).is_some_and(|f| f.holds_pointer(from, len)) {
                return self.fail(at, Reason::PointerLeak { into: "a map or a ring buffer" });
            }
            self.check_stack(at, s, v.at as usize, from, len);
        }
    }
}

/// What the first arguments of a format's numbers must be.
const FORMAT: &str = "a format of %d %i %u %x %X %c %p (with l, ll, h, a width) and at most three of them";

impl Machine<'_> {
    /// How many registers a format prints: all three if it is not known now.
    fn printed(&mut self, at: usize, s: &State, p: &HelperProto) -> usize {
        let (format, size) = (self.reg(s, 1), self.reg(s, 2).constant());
        let map = format.at as usize;
        let constant = format.kind == Kind::Value && self.env.maps.get(map).is_some_and(|m| m.read_only);
        let (Some(from), Some(size), true) = (format.num.constant(), size, constant) else { return 3 };
        let contents = self.env.contents.get(map).copied().flatten();
        let Some(bytes) = usize::try_from(from).ok().and_then(|from| contents?.get(from..)) else { return 3 };
        let bytes = &bytes[..bytes.len().min(usize::try_from(size).unwrap_or(usize::MAX))];
        match axiom_bpf_isa::printk::values(bytes) {
            Ok(count @ 0..=3) => count,
            _ => {
                self.argument(at, p, 1, FORMAT);
                3
            }
        }
    }

    /// An argument that points to `size` bytes that the helper writes. Returns what the loop bounds must know.
    fn writable(&mut self, at: usize, s: &mut State, p: &HelperProto, r: u8, size: i64) -> Option<Note> {
        let v = self.read(at, s, r);
        if !v.is_pointer() || v.kind == Kind::Map {
            self.argument(at, p, r, "the address of memory that takes a value");
            return None;
        }
        let (v, span) = self.access(at, s, r, 0, size, true)?;
        if v.kind != Kind::Stack {
            return None;
        }
        let (from, len) = ((span.low + FRAME) as usize, (span.high - span.low + size) as usize);
        let frame = v.at as usize;
        if span.low == span.high {
            s.frame_mut(frame).store(from, len, None);
        } else {
            s.frame_mut(frame).store_within(from, len);
        }
        (frame == self.depth).then_some(Note::Frame(from as u16, (from + len) as u16))
    }
}

/// Calls overwrite r0 to r5.
pub fn clobber(s: &mut State) {
    for r in &mut s.regs[..6] {
        *r = Reg::unusable(why::CALL);
    }
}
