//! A program out of its functions: relocations applied, calls made relative.
//!
//! Each relocation of a code section is met exactly once, at its instruction: what it names is the section of its symbol, plus
//! the symbol's value, plus the addend that the instruction's field holds. A relocation that fits nothing, a wide load that asks
//! for a map without a relocation, and a relocation of data are refused.

use crate::elf::{Elf, SHF_ALLOC, SHT_REL, SHT_RELA, STT_FUNC, STT_SECTION, Section, Symbol};
use crate::maps::is_data;
use crate::reader::{push, room};
use crate::{Entry, MAX_FUNCTIONS, MAX_INSNS, Object, ObjectError, Piece, Program, line_at, short};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use axiom_bpf_isa::{Insn, opcode, pseudo};

const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;
/// Bytes of one relocation.
const RECORD: usize = 16;

/// One relocation of a code section.
#[derive(Clone, Copy)]
struct Relocation {
    /// Slot from the piece's start.
    slot: usize,
    kind: u32,
    symbol: usize,
    /// Where it stands in the object.
    at: usize,
}

/// Gives each code section its table of relocations, and refuses the tables that nobody applies.
pub(crate) fn check_tables(elf: &mut Elf<'_>) -> Result<(), ObjectError> {
    for index in 0..elf.sections.len() {
        let table = &elf.sections[index];
        if !matches!(table.kind, SHT_REL | SHT_RELA) || table.data.len() == 0 {
            continue;
        }
        let table = *table;
        let at = table.data.at;
        let number = table.info as usize;
        let Some(target) = elf.sections.get(number).copied() else {
            return Err(ObjectError::new(
                at,
                format!("relocations for section {number}, which does not exist"),
            ));
        };
        if target.flags & SHF_ALLOC == 0 && !target.is_code() {
            continue; // Debug information: nobody loads it.
        }
        let name = short(target.text()?);
        if table.kind == SHT_RELA || !table.data.len().is_multiple_of(RECORD) {
            let text = format!(
                "section '{name}': its relocations are not of the kind (REL, 16 bytes each) that clang makes"
            );
            return Err(ObjectError::new(at, text));
        }
        if !target.is_code() {
            return Err(in_data(elf, &table, number as u16, &target));
        }
        if elf.sections[number].relocations != 0 {
            return Err(ObjectError::new(at, format!("section '{name}' has two tables of relocations")));
        }
        elf.sections[number].relocations = index as u16;
    }
    Ok(())
}

/// The refusal of a relocation in something that is not code.
#[cold]
fn in_data(elf: &Elf<'_>, table: &Section<'_>, number: u16, target: &Section<'_>) -> ObjectError {
    let build = || -> Result<ObjectError, ObjectError> {
        let offset = table.data.u64(0)?;
        let (symbol, at) = (elf.symbol((table.data.u64(8)? >> 32) as usize)?, table.data.at);
        let name = short(target.text()?);
        let variable = elf.symbols().find(|s| {
            s.section == number
                && s.size > 0
                && s.kind != STT_SECTION
                && offset.wrapping_sub(s.value) < s.size
        });
        let place = match &variable {
            Some(v) => format!("'{}' in section '{name}' (byte {offset})", short(elf.name(v)?)),
            None => format!("section '{name}' (byte {offset})"),
        };
        let used = used_at(elf, number, variable.as_ref())
            .map_or(String::new(), |(file, line)| format!(", used at {file}:{line}"));
        let what = words(elf, &symbol, 0)?;
        let text = if name == ".maps" {
            format!(
                "{place} is filled with the address of {what}: maps of maps and tables of programs do not exist here"
            )
        } else if name.starts_with(".jumptables") {
            format!("{place}{used} is a jump table: compile with -fno-jump-tables")
        } else {
            format!(
                "{place}{used} holds the address of {what}: data cannot hold addresses here, because a program would read them as numbers. \
                 Make it an array of arrays (const char names[3][8]) or an index, or choose with if or switch"
            )
        };
        Ok(ObjectError::new(at, text))
    };
    build().unwrap_or_else(|error| error)
}

/// The first line of C that refers to a variable, or to anything in its section if that is not known.
fn used_at<'a>(elf: &Elf<'a>, number: u16, variable: Option<&Symbol>) -> Option<(&'a str, u32)> {
    for table in elf.sections.iter().filter(|s| s.kind == SHT_REL) {
        let Some(code) = elf.sections.get(table.info as usize).filter(|s| s.is_code()) else { continue };
        for r in 0..table.data.len() / RECORD {
            let (offset, info) = (table.data.u64(r * RECORD).ok()?, table.data.u64(r * RECORD + 8).ok()?);
            let Ok(symbol) = elf.symbol((info >> 32) as usize) else { continue };
            if symbol.section != number {
                continue;
            }
            let addend = offset.checked_add(4).and_then(|o| code.data.u32(usize::try_from(o).ok()?).ok());
            let to = symbol.value.wrapping_add(addend.unwrap_or(0).into());
            if variable.is_none_or(|v| to.wrapping_sub(v.value) < v.size)
                && let Some(line) = line_at(elf, code, offset)
            {
                return Some((line.file, line.line));
            }
        }
    }
    None
}

/// What a symbol and an addend name, for a sentence.
fn words(elf: &Elf<'_>, symbol: &Symbol, addend: u64) -> Result<String, ObjectError> {
    let section = elf.sections.get(symbol.section as usize).filter(|_| symbol.section != 0);
    let to = symbol.value.wrapping_add(addend);
    let named = |kind: &str, s: &Symbol| -> Result<String, ObjectError> {
        Ok(format!("{kind}'{}'", short(elf.name(s)?)))
    };
    if section.is_some_and(Section::is_code)
        && let Some(f) =
            elf.symbols().find(|s| s.kind == STT_FUNC && s.section == symbol.section && s.value == to)
    {
        return named("function ", &f);
    }
    if symbol.kind != STT_SECTION && !elf.name(symbol)?.is_empty() {
        return named("", symbol);
    }
    match section {
        Some(s) => Ok(format!("byte {to} of section '{}'", short(s.text()?))),
        None => Ok("a symbol without a name".to_string()),
    }
}

impl<'a> Object<'a> {
    /// Reads a program with everything that it calls, relocated.
    pub fn program(&self, entry: &Entry) -> Result<Program, ObjectError> {
        let mut program = Program { insns: Vec::new(), pieces: Vec::new() };
        self.append(&mut program, entry.section_index, entry.offset, entry.size)?;
        let mut done = 0;
        while done < program.pieces.len() {
            let piece = program.pieces[done];
            self.link(&mut program, piece)?;
            done += 1;
        }
        Ok(program)
    }

    fn append(
        &self,
        program: &mut Program,
        section: u16,
        offset: u64,
        size: u64,
    ) -> Result<usize, ObjectError> {
        let code = self.section(section)?;
        // A function written in assembly may have no size: it ends with its section.
        let size = if size == 0 { code.size.saturating_sub(offset) } else { size };
        let to = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
        let bytes = code.data.slice(to(offset), to(size), "a function")?;
        if !offset.is_multiple_of(8) || !size.is_multiple_of(8) || size == 0 {
            return Err(ObjectError::new(
                bytes.at,
                "a function is not made of whole 8-byte instructions".into(),
            ));
        }
        let start = program.insns.len();
        if start + bytes.len() / 8 > MAX_INSNS {
            return Err(ObjectError::new(
                bytes.at,
                format!("the program has more than {MAX_INSNS} instructions"),
            ));
        }
        if program.pieces.len() == MAX_FUNCTIONS {
            return Err(ObjectError::new(
                bytes.at,
                format!("the program reaches more than {MAX_FUNCTIONS} functions"),
            ));
        }
        room(&mut program.insns, bytes.len() / 8)?;
        axiom_bpf_isa::insn::decode_into(bytes.bytes, &mut program.insns);
        push(&mut program.pieces, Piece { start, len: bytes.len() / 8, section, offset })?;
        Ok(start)
    }

    fn section(&self, index: u16) -> Result<&Section<'a>, ObjectError> {
        self.elf
            .sections
            .get(index as usize)
            .ok_or_else(|| ObjectError::new(0, format!("section {index} does not exist")))
    }

    /// The relocations of one piece, in the order of their slots.
    fn relocations(&self, piece: Piece) -> Result<Vec<Relocation>, ObjectError> {
        let mut found: Vec<Relocation> = Vec::new();
        let table = match self.section(piece.section)?.relocations {
            0 => return Ok(found),
            index => self.section(index)?.data,
        };
        let mut sorted = true;
        for r in 0..table.len() / RECORD {
            let record = table.record::<RECORD>(r * RECORD, "a relocation")?;
            let within = record.u64(0).wrapping_sub(piece.offset);
            if within >= piece.len as u64 * 8 {
                continue;
            }
            let at = table.at + r * RECORD;
            if !within.is_multiple_of(8) {
                return Err(self.misplaced(piece, (within / 8) as usize, at));
            }
            let info = record.u64(8);
            let slot = (within / 8) as usize;
            sorted &= found.last().is_none_or(|last| last.slot < slot);
            push(&mut found, Relocation { slot, kind: info as u32, symbol: (info >> 32) as usize, at })?;
        }
        if !sorted {
            found.sort_unstable_by_key(|r| r.slot);
        }
        Ok(found)
    }

    /// Applies the relocations of one piece and makes its calls relative; appends the functions that it calls.
    fn link(&self, program: &mut Program, piece: Piece) -> Result<(), ObjectError> {
        let relocations = self.relocations(piece)?;
        let mut left = relocations.iter().copied().peekable();
        let end = piece.start + piece.len;
        let mut at = piece.start;
        while at < end {
            // What is neither a wide load nor a call is not looked at, unless a relocation says that it is one.
            let near = left.peek().map_or(end, |r| end.min(piece.start + r.slot));
            let plain = |insn: &Insn| !matches!(insn.op, opcode::LDDW | opcode::CALL);
            at += program.insns.get(at..near).map_or(0, |rest| rest.iter().take_while(|i| plain(i)).count());
            let Some(&insn) = program.insns.get(at).filter(|_| at < end) else { break };
            let slot = at - piece.start;
            let relocation = left.next_if(|r| r.slot == slot);
            at += 1;
            match (insn.op, relocation) {
                (opcode::LDDW, relocation) => {
                    let Some(&next) = program.insns.get(at).filter(|_| at < end) else {
                        match relocation {
                            Some(r) => return Err(self.misplaced(piece, slot, r.at)),
                            // Cut off at the end of its function: the verifier says so.
                            None => break,
                        }
                    };
                    match relocation {
                        Some(r) => {
                            let loaded = self.address(piece, slot, insn, next, r)?;
                            program.insns[at - 1] = loaded.0;
                            program.insns[at] = loaded.1;
                        }
                        None if insn.src() != pseudo::IMM64 => {
                            return Err(self.unrelocated(piece, slot, insn));
                        }
                        None => {}
                    }
                    at += 1;
                }
                (opcode::CALL, relocation) if insn.src() == pseudo::LOCAL_CALL => {
                    let start = match relocation {
                        Some(r) => self.called(program, piece, slot, insn, r)?,
                        None => {
                            let to = (piece.offset / 8) as i64 + slot as i64 + 1 + i64::from(insn.imm);
                            let where_ = self.where_(piece, slot);
                            self.function_at(program, piece.section, to, where_)?
                        }
                    };
                    program.insns[at - 1].imm = (start as i64 - at as i64) as i32;
                }
                (_, Some(r)) => return Err(self.misfit(piece, slot, insn, r)),
                (_, None) => {}
            }
        }
        match left.next() {
            // Behind its slot already, or cut off with the last instruction: it is in the middle of a wide load.
            Some(r) => Err(self.misplaced(piece, r.slot, r.at)),
            None => Ok(()),
        }
    }

    /// A wide load of an address: of a map, or of data.
    fn address(
        &self,
        piece: Piece,
        slot: usize,
        insn: Insn,
        next: Insn,
        r: Relocation,
    ) -> Result<(Insn, Insn), ObjectError> {
        if r.kind != R_BPF_64_64 {
            return Err(self.misfit(piece, slot, insn, r));
        }
        let symbol = self.elf.symbol(r.symbol)?;
        let addend = u64::from(insn.imm as u32) | u64::from(next.imm as u32) << 32;
        let to = symbol.value.wrapping_add(addend);
        let load = |kind: u8, map: usize, offset: u32| {
            let first = Insn::new(opcode::LDDW, insn.dst(), kind, 0, map as i32);
            (first, Insn { imm: offset as i32, ..next })
        };
        let declared = |m: &crate::Map<'_>| m.section == symbol.section && m.offset == Some(to);
        if symbol.section != 0
            && let Some(map) = self.maps.iter().position(declared)
        {
            return Ok(load(pseudo::MAP, map, 0));
        }
        let data = |m: &crate::Map<'_>| m.section == symbol.section && m.offset.is_none();
        if symbol.section != 0
            && let Some(map) = self.maps.iter().position(data)
        {
            let size = self.maps[map].def.value_size;
            return match u32::try_from(to).ok().filter(|&o| o < size) {
                Some(offset) => Ok(load(pseudo::MAP_VALUE, map, offset)),
                None => {
                    let what = words(&self.elf, &symbol, addend)?;
                    let text = format!(
                        "{}refers to {what}, at offset {} of section '{}', which has {size} bytes",
                        self.line_words(piece, slot),
                        to as i64,
                        short(self.maps[map].name)
                    );
                    Err(ObjectError::new(r.at, text))
                }
            };
        }
        Err(self.no_such_address(piece, slot, &symbol, addend, r.at))
    }

    /// The refusal of the address of something that has none here.
    #[cold]
    fn no_such_address(
        &self,
        piece: Piece,
        slot: usize,
        symbol: &Symbol,
        addend: u64,
        at: usize,
    ) -> ObjectError {
        let build = || -> Result<ObjectError, ObjectError> {
            let line = self.line_words(piece, slot);
            let what = words(&self.elf, symbol, addend)?;
            let section = self.elf.sections.get(symbol.section as usize);
            let text = match section.filter(|_| symbol.section != 0) {
                None => format!(
                    "{line}needs {what}, which the object does not define: externs (kernel functions and variables) do not exist here"
                ),
                Some(s) if s.is_code() => format!(
                    "{line}takes the address of {what}: callbacks (bpf_loop, bpf_for_each_map_elem, bpf_timer) and function pointers do not exist here. \
                     Call the function directly; in place of bpf_loop write a for loop with a constant maximum; choose between functions with if or switch"
                ),
                Some(s) if s.name.is(".maps") => {
                    format!("{line}points at {what}, where no map starts")
                }
                Some(s) if s.text()?.starts_with(".jumptables") => {
                    format!("{line}uses a jump table: compile with -fno-jump-tables")
                }
                Some(s) => format!(
                    "{line}takes the address of {what} in section '{}', which is neither a map nor data{}",
                    short(s.text()?),
                    if is_data(s.name) { ": the section is empty" } else { "" }
                ),
            };
            Ok(ObjectError::new(at, text))
        };
        build().unwrap_or_else(|error| error)
    }

    /// The function that a call with a relocation calls.
    fn called(
        &self,
        program: &mut Program,
        piece: Piece,
        slot: usize,
        insn: Insn,
        r: Relocation,
    ) -> Result<usize, ObjectError> {
        if r.kind != R_BPF_64_32 {
            return Err(self.misfit(piece, slot, insn, r));
        }
        let symbol = self.elf.symbol(r.symbol)?;
        if symbol.section == 0 {
            let text = format!(
                "{}calls {}, which the object does not define: kernel functions do not exist here, and functions of other files must be included",
                self.line_words(piece, slot),
                words(&self.elf, &symbol, 0)?
            );
            return Err(ObjectError::new(r.at, text));
        }
        if !symbol.value.is_multiple_of(8) {
            return Err(self.misfit(piece, slot, insn, r));
        }
        // The field holds the distance in slots from the symbol, minus one.
        let to = (symbol.value / 8) as i64 + i64::from(insn.imm) + 1;
        self.function_at(program, symbol.section, to, r.at)
    }

    /// Where the function at slot `to` of a section lies in the program; appends it if it is new.
    fn function_at(
        &self,
        program: &mut Program,
        section: u16,
        to: i64,
        where_: usize,
    ) -> Result<usize, ObjectError> {
        let offset = u64::try_from(to).ok().and_then(|s| s.checked_mul(8));
        let Some(offset) = offset else {
            return Err(ObjectError::new(where_, "a call leads before the start of its section".into()));
        };
        if let Some(piece) = program.pieces.iter().find(|p| p.section == section && p.offset == offset) {
            return Ok(piece.start);
        }
        let symbol =
            self.elf.symbols().find(|s| s.kind == STT_FUNC && s.section == section && s.value == offset);
        match symbol {
            Some(s) => self.append(program, section, offset, s.size),
            None => Err(ObjectError::new(
                where_,
                format!("a call leads to byte {offset:#x} of its section, where no function starts"),
            )),
        }
    }

    /// The byte of the object where an instruction stands.
    fn where_(&self, piece: Piece, slot: usize) -> usize {
        let start = self.elf.sections.get(piece.section as usize).map_or(0, |s| s.data.at);
        start + piece.offset as usize + slot * 8
    }

    /// "file.c:12: " or "instruction 3 of section 'x': ".
    fn line_words(&self, piece: Piece, slot: usize) -> String {
        let Some(section) = self.elf.sections.get(piece.section as usize) else { return String::new() };
        match line_at(&self.elf, section, piece.offset + slot as u64 * 8) {
            Some(line) => format!("{}:{}: the program ", short(line.file), line.line),
            None => {
                let name = section.text().map_or("", short);
                format!("instruction {} of section '{name}' ", piece.offset / 8 + slot as u64)
            }
        }
    }

    #[cold]
    fn misfit(&self, piece: Piece, slot: usize, insn: Insn, r: Relocation) -> ObjectError {
        let what = self.elf.symbol(r.symbol).and_then(|s| words(&self.elf, &s, 0));
        let what = match what {
            Ok(what) => what,
            Err(error) => return error,
        };
        let text = format!(
            "{}has a relocation of type {} against {what}, which does not fit its opcode {:#04x}",
            self.line_words(piece, slot),
            r.kind,
            insn.op
        );
        ObjectError::new(r.at, text)
    }

    #[cold]
    fn misplaced(&self, piece: Piece, slot: usize, at: usize) -> ObjectError {
        let text =
            format!("{}has a relocation that points into the middle of it", self.line_words(piece, slot));
        ObjectError::new(at, text)
    }

    #[cold]
    fn unrelocated(&self, piece: Piece, slot: usize, insn: Insn) -> ObjectError {
        let kind = match insn.src() {
            pseudo::MAP => "a map",
            pseudo::MAP_VALUE => "a value of a map",
            3 => "a variable of a kernel",
            pseudo::FUNCTION => "a function",
            5 => "a map by its index",
            6 => "a value of a map by its index",
            _ => "something unknown",
        };
        let text = format!(
            "{}loads the address of {kind} (a 64-bit load of kind {}) without a relocation that says which: \
             name the map or the variable in C, not by hand",
            self.line_words(piece, slot),
            insn.src()
        );
        ObjectError::new(self.where_(piece, slot), text)
    }
}
