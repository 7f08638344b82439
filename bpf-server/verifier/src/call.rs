//! Calls of helpers: their arguments, their result, and the references that they give and take.

use crate::exec::{Machine, Note};
use crate::num::Num;
use crate::report::{Memory, Reason, wants};
use crate::state::{FRAME, Kind, Reg, State, made_at, why};
use axiom_bpf_isa::helper::TRACE_VPRINTK;
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
                        self.argument(at, s, p, r, wants::NUMBER);
                    }
                }
                Arg::Map => {
                    let v = self.read(at, s, r);
                    let def = self.env.maps.get(v.at as usize).filter(|_| v.kind == Kind::Map);
                    match def {
                        None => self.argument(at, s, p, r, wants::MAP),
                        Some(d) => {
                            map = Some((v.at, *d));
                            if !p.maps.contains(&d.map_type) {
                                self.fail(at, Reason::WrongMap { helper: p.name, map: v.at, is: d.map_type });
                            }
                            if d.read_only && p.writes_map {
                                self.fail(at, Reason::ReadOnly { memory: Memory::Value { map: v.at } });
                            }
                        }
                    }
                }
                Arg::Key => {
                    let size = map.map_or(0, |m| m.1.key_size);
                    self.readable(at, s, p, r, size as i64, wants::KEY);
                }
                Arg::Value => {
                    let size = map.map_or(0, |m| m.1.value_size);
                    self.readable(at, s, p, r, size as i64, wants::VALUE);
                }
                Arg::Memory => {
                    let size = self.read(at, s, r + 1);
                    let (_, most) = size.num.r64.unsigned();
                    if size.kind != Kind::Number {
                        self.argument(at, s, p, r + 1, wants::SIZE);
                    } else if most > i32::MAX as u64 {
                        self.fail(at, Reason::SizeUnbounded { helper: p.name, argument: r + 1 });
                    } else {
                        self.readable(at, s, p, r, most as i64, wants::MEMORY);
                    }
                }
                Arg::Size => {}
                Arg::ValueOut => {
                    let size = map.map_or(0, |m: (u32, axiom_bpf_isa::MapDef)| m.1.value_size);
                    written = self.writable(at, s, p, r, size as i64);
                }
                Arg::Printed => {
                    let count = *printed.get_or_insert_with(|| self.printed(at, s, p));
                    if n < 2 + count {
                        let v = self.read(at, s, r);
                        if v.kind != Kind::Number {
                            self.prints_address(at, p, r - 2, r, has(&v));
                        }
                    }
                }
                Arg::ConstSize => {
                    let size = self.read(at, s, r).constant().unwrap_or(0);
                    let limit = map.map_or(0, |m| m.1.max_entries as u64);
                    if size == 0 || size > limit {
                        self.argument(at, s, p, r, wants::RESERVED_SIZE);
                    } else {
                        reserve = size as u32;
                    }
                }
                Arg::Reservation => {
                    let v = self.read(at, s, r);
                    let start = v.num.constant() == Some(0);
                    if v.kind != Kind::Reserved || !start {
                        self.argument(at, s, p, r, wants::RESERVATION);
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
    fn argument(&mut self, at: usize, s: &State, p: &HelperProto, argument: u8, wants: &'static str) {
        let v = self.reg(s, argument);
        let has = match wants {
            wants::FORMAT => "another one",
            wants::RESERVED_SIZE if v.kind == Kind::Number => "another number, or not a constant",
            wants::RESERVATION if v.kind == Kind::Reserved => "an address further in",
            _ => has(&v),
        };
        self.fail(at, Reason::Argument { helper: p.name, argument, wants, has });
    }

    #[cold]
    fn prints_address(&mut self, at: usize, p: &HelperProto, value: u8, argument: u8, has: &'static str) {
        self.fail(at, Reason::PrintsAddress { helper: p.name, value, argument, has });
    }

    /// An argument that points to `size` readable bytes.
    fn readable(&mut self, at: usize, s: &mut State, p: &HelperProto, r: u8, size: i64, wants: &'static str) {
        let v = self.read(at, s, r);
        if !v.is_pointer() || v.kind == Kind::Map {
            return self.argument(at, s, p, r, wants);
        }
        if size == 0 && !v.null {
            return;
        }
        let Some((v, span)) = self.access(at, s, r, 0, size, false) else { return };
        if v.kind == Kind::Stack {
            let (from, len) = ((span.low + FRAME) as usize, (span.high - span.low + size) as usize);
            if let Some(f) = s.frame(v.at as usize).filter(|f| f.holds_pointer(from, len)) {
                // The numbers of a long format lie in an array.
                let number =
                    (from..from + len).step_by(8).position(|k| f.holds_pointer(k, 8.min(from + len - k)));
                return match number.and_then(|n| u8::try_from(n + 1).ok()) {
                    Some(n) if p.id == TRACE_VPRINTK && r > 2 => {
                        self.prints_address(at, p, n, r, "an address that was stored there")
                    }
                    _ => self.fail(at, Reason::PointerLeak { into: "a map or a ring buffer" }),
                };
            }
            self.check_stack(at, s, v.at as usize, from, len);
        }
    }
}

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
                self.argument(at, s, p, 1, wants::FORMAT);
                3
            }
        }
    }

    /// An argument that points to `size` bytes that the helper writes. Returns what the loop bounds must know.
    fn writable(&mut self, at: usize, s: &mut State, p: &HelperProto, r: u8, size: i64) -> Option<Note> {
        let v = self.read(at, s, r);
        if !v.is_pointer() || v.kind == Kind::Map {
            self.argument(at, s, p, r, wants::ROOM);
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

/// What a register holds, in words.
fn has(v: &Reg) -> &'static str {
    match (v.kind, v.null) {
        (Kind::Unusable, _) => "nothing that may be used",
        (Kind::Number, _) => "a number",
        (Kind::Ctx, _) => "the address of the context",
        (Kind::Stack, _) => "an address in the stack",
        (Kind::Map, _) => "a map",
        (Kind::Value, false) => "the address of a map's value",
        (Kind::Value, true) => "the address of a map's value, or NULL",
        (Kind::Reserved, false) => "the address of a ring buffer record",
        (Kind::Reserved, true) => "the address of a ring buffer record, or NULL",
    }
}

/// Calls overwrite r0 to r5.
pub fn clobber(s: &mut State) {
    for r in &mut s.regs[..6] {
        *r = Reg::unusable(why::CALL);
    }
}
