//! Calls of helpers: their arguments, their result, and the ring buffer records that they give and take.

use crate::fault::Why;
use crate::memory::fill;
use crate::state::{Kind, State, Value};
use crate::step::Machine;
use crate::{MAX_OWN_CALLS, Number, OwnCall};
use axiom_bpf_isa::helper;
use axiom_bpf_isa::proto::{self, Arg, Returns};

impl Machine<'_> {
    pub(crate) fn helper(&mut self, at: usize, id: u32, s: &mut State) -> Result<(), Why> {
        let p = proto::find(id).filter(|p| self.env.helpers.is_none_or(|h| h.contains(&p.id)));
        let p = p.ok_or(Why::UnknownHelper)?;
        if !self.found.helpers.contains(&id) {
            self.found.helpers.push(id);
        }
        if id >= helper::OWN_FIRST {
            self.list(OwnCall { insn: at as u32, helper: id, args: [1, 2].map(|r| s.reg(r).constant()) })?;
        }
        let mut map = None;
        let (mut reserve, mut printed) = (0, None);
        for (r, arg) in (1..).zip(p.args) {
            let wrong = Why::Argument { register: r };
            match arg {
                Arg::None | Arg::Size => {}
                Arg::Number => drop(s.number(r)?),
                Arg::Map => {
                    let v = s.read(r)?;
                    let def =
                        self.env.maps.get(v.at as usize).filter(|_| v.kind == Kind::Map).ok_or(wrong)?;
                    if !p.maps.contains(&def.map_type) || v.num.constant() != Some(0) {
                        return Err(Why::WrongMap);
                    }
                    if def.read_only && p.writes_map {
                        return Err(Why::ReadOnly);
                    }
                    map = Some((v.at, *def));
                }
                Arg::Key => self.readable(s, r, map.ok_or(wrong)?.1.key_size as i64)?,
                Arg::Value => self.readable(s, r, map.ok_or(wrong)?.1.value_size as i64)?,
                Arg::ValueOut => self.filled(s, r, map.ok_or(wrong)?.1.value_size as i64)?,
                Arg::Printed => {
                    // Registers that the format does not print are not looked at.
                    let count = match printed {
                        Some(count) => count,
                        None => self.printed(s)?,
                    };
                    printed = Some(count);
                    if (r as usize) < 3 + count {
                        s.number(r)?;
                    }
                }
                Arg::Memory => {
                    let most = s.number(r + 1)?.num.r64.unsigned().1;
                    if most > i32::MAX as u64 {
                        return Err(Why::Argument { register: r + 1 });
                    }
                    self.readable(s, r, most as i64)?;
                }
                Arg::ConstSize => {
                    let size = s.number(r)?.constant().and_then(|n| u32::try_from(n).ok()).ok_or(wrong)?;
                    if size == 0 || size > map.ok_or(wrong)?.1.max_entries {
                        return Err(wrong);
                    }
                    reserve = size;
                }
                Arg::Reservation => {
                    let v = *s.read(r)?;
                    if v.kind != Kind::Record || v.null || v.num.constant() != Some(0) || !s.holds(v.at) {
                        return Err(wrong);
                    }
                    s.release(v.at);
                }
            }
        }
        s.regs.lose(0..6);
        let result = match p.returns {
            Returns::Nothing => Value::NOTHING,
            Returns::Number => Value::number(Number::TOP),
            Returns::Number32 => Value::number(Number::of_width(32)),
            Returns::ValueOrNull => {
                let (at, _) = map.ok_or(Why::WrongMap)?;
                // Another lookup finds another element, for all that is known.
                let (of, id) = (self.name()?, self.name()?);
                Value { null: true, of, id, ..Value::pointer(Kind::Value, at) }
            }
            Returns::ReservationOrNull => {
                // What an instruction reserves is given back before it reserves again: so it names what it reserved.
                let site = u32::try_from(at).map_err(|_| Why::Shape)?;
                if s.holds(site) || self.given.contains(&(site + 1)) || !s.hold(site) {
                    return Err(Why::StillHeld);
                }
                let id = self.name()?;
                Value { null: true, of: reserve, id, ..Value::pointer(Kind::Record, site) }
            }
        };
        s.write(0, result);
        Ok(())
    }

    /// Lists a call, once. The list is in order, so that finding it in a long one costs little, and short, so that nobody runs
    /// out of memory for it.
    fn list(&mut self, call: OwnCall) -> Result<(), Why> {
        let calls = &mut self.found.own_calls;
        let Err(place) = calls.binary_search(&call) else { return Ok(()) };
        if calls.len() == MAX_OWN_CALLS {
            return Err(Why::TooComplex);
        }
        calls.insert(place, call);
        Ok(())
    }

    /// How many registers the format in r1, of r2 bytes, prints: all three if it is not constant.
    fn printed(&self, s: &State) -> Result<usize, Why> {
        let (format, size) = (s.reg(1), s.reg(2).constant());
        let map = format.at as usize;
        let constant = format.kind == Kind::Value
            && format.of == 0
            && self.env.maps.get(map).is_some_and(|m| m.read_only);
        let (Some(from), Some(size), true) = (format.num.constant(), size, constant) else { return Ok(3) };
        let Some(contents) = self.env.contents.get(map).copied().flatten() else { return Ok(3) };
        let place = usize::try_from(from).ok().zip(usize::try_from(size).ok());
        let bytes =
            place.and_then(|(from, size)| contents.get(from..from.checked_add(size)?.min(contents.len())));
        match axiom_bpf_isa::printk::values(bytes.ok_or(Why::OutOfBounds)?) {
            Ok(count @ 0..=3) => Ok(count),
            _ => Err(Why::Argument { register: 1 }),
        }
    }

    /// An argument that points to `size` bytes, which the helper fills with a number whatever it answers.
    fn filled(&mut self, s: &mut State, register: u8, size: i64) -> Result<(), Why> {
        let span = self.access(s, register, 0, size, true)?;
        if span.kind == Kind::Stack { fill(s, &span) } else { Ok(()) }
    }

    /// An argument that points to `size` readable bytes.
    fn readable(&mut self, s: &State, register: u8, size: i64) -> Result<(), Why> {
        let v = s.read(register)?;
        if size == 0 && v.is_pointer() && !v.null && v.kind != Kind::Map {
            return Ok(());
        }
        let span = self.access(s, register, 0, size, false)?;
        if span.kind == Kind::Stack { self.read_stack(s, &span) } else { Ok(()) }
    }
}
