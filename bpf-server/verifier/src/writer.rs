//! Writes proofs down, in the form that the checker reads ([`axiom_bpf_checker::proof`]).

use alloc::vec::Vec;
use axiom_bpf_checker::Number;
use axiom_bpf_checker::proof::{Form, Ghost, Line, Place};
use axiom_bpf_checker::state::{Frame, Kind, State, Value};
use axiom_bpf_isa::Insn;

/// The section of an object that holds the proofs of its programs.
pub const SECTION: &str = ".axiom.proof";

/// Tells programs of one object apart, cheaply; that a proof is of this program is what the check says.
pub fn fingerprint(insns: &[Insn]) -> u64 {
    let step = |h: u64, i: &Insn| {
        let fields =
            (i.op as u64) | (i.regs as u64) << 8 | (i.off as u16 as u64) << 16 | (i.imm as u32 as u64) << 32;
        (h.rotate_left(5) ^ fields).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    let (eights, rest) = insns.as_chunks::<8>();
    // Chunks, so that there is one turn of the loop for eight of them.
    let h = eights.iter().fold(insns.len() as u64, |h, eight| eight.iter().fold(h, step));
    rest.iter().fold(h, step)
}

/// The proof of a program among those of a section [`SECTION`]: each a fingerprint, a length and the proof.
pub fn find<'a>(section: &'a [u8], insns: &[Insn]) -> Option<&'a [u8]> {
    let (wanted, mut rest) = (fingerprint(insns), section);
    while let Some((of, behind)) = rest.split_first_chunk::<8>() {
        let (length, behind) = behind.split_first_chunk::<4>()?;
        let proof = behind.get(..u32::from_le_bytes(*length) as usize)?;
        if u64::from_le_bytes(*of) == wanted {
            return Some(proof);
        }
        rest = &behind[proof.len()..];
    }
    None
}

/// Adds a proof to a section.
pub fn add(section: &mut Vec<u8>, insns: &[Insn], proof: &[u8]) {
    section.extend_from_slice(&fingerprint(insns).to_le_bytes());
    section.extend_from_slice(&(proof.len() as u32).to_le_bytes());
    section.extend_from_slice(proof);
}

/// Writes a proof.
#[derive(Default)]
pub struct Writer {
    /// What is written so far.
    pub bytes: Vec<u8>,
}

impl Writer {
    /// A number.
    pub fn number(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.bytes.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.bytes.push(v as u8);
    }

    /// A signed number.
    pub fn signed(&mut self, v: i64) {
        self.number((v << 1 ^ v >> 63) as u64);
    }

    fn known(&mut self, n: &Number) {
        if let Some(c) = n.constant() {
            self.bytes.push(0);
            self.signed(c as i64);
        } else if *n == Number::TOP {
            self.bytes.push(1);
        } else if *n == Number::between(n.r64.lo, n.r64.hi) {
            self.bytes.push(2);
            self.signed(n.r64.lo as i64);
            self.number(n.r64.span());
        } else {
            self.bytes.push(3);
            for v in [n.r64.lo, n.r64.hi, n.r32.lo, n.r32.hi, n.bits.value, n.bits.unknown] {
                self.signed(v as i64);
            }
        }
    }

    /// An entry of the table of stated places.
    pub fn place(&mut self, p: &Place) {
        let words = p.slot as u128 | (p.state as u128) << 32 | (p.budget as u128) << 64;
        self.bytes.extend_from_slice(&words.to_le_bytes());
    }

    /// A ghost counter.
    pub fn ghost(&mut self, g: &Ghost) {
        for v in [g.head as u64, g.most, g.cost] {
            self.number(v);
        }
    }

    /// A line.
    pub fn line(&mut self, l: &Line) {
        self.number((l.ghost as u64) << 1 | u64::from(l.form == Form::Length));
        self.signed(l.low);
        self.signed(l.high);
        self.number(l.curve as u64);
        self.known(&l.start);
    }

    fn value(&mut self, v: &Value) {
        let m = &v.moved;
        let flags = v.kind as u8
            | u8::from(v.null) << 3
            | u8::from(v.half) << 4
            | u8::from(v.id != 0) << 5
            | u8::from(m.line != 0) << 6
            | u8::from(m.half) << 7;
        self.bytes.push(flags);
        if matches!(v.kind, Kind::Stack | Kind::Map | Kind::Value | Kind::Record) {
            self.number(v.at as u64);
        }
        if matches!(v.kind, Kind::Value | Kind::Record) {
            self.number(v.of as u64);
        }
        self.known(&v.num);
        if v.id != 0 {
            self.number(v.id as u64);
            self.signed(v.delta as i64);
        }
        if m.line != 0 {
            self.number(m.line as u64);
            self.signed(m.lo);
            self.number(m.hi.wrapping_sub(m.lo) as u64);
            self.number(m.rise as u64);
        }
    }

    fn frame(&mut self, f: &Frame) {
        for (mask, usual) in [(&f.written, 0), (&f.clean, u64::MAX)] {
            let other = |w: &u64| *w != usual;
            self.bytes.push(mask.iter().enumerate().fold(0, |b, (k, w)| b | u8::from(other(w)) << k));
            for w in mask.iter().copied().filter(other) {
                self.bytes.extend_from_slice(&w.to_le_bytes());
            }
        }
        self.number(f.slots.len() as u64);
        for (slot, v) in &f.slots {
            self.bytes.push(*slot as u8);
            self.value(v);
        }
    }

    /// What is stated at one place, but for its budget.
    pub fn state(&mut self, s: &State) {
        self.number(s.ghosts.len() as u64);
        for (g, most) in &s.ghosts {
            self.number(*g as u64);
            self.number(*most);
        }
        let present = |v: &Value| v.kind != Kind::Nothing;
        self.number(s.regs.iter().take(10).enumerate().fold(0, |b, (k, v)| b | u64::from(present(v)) << k));
        for v in s.regs.iter().take(10).filter(|v| present(v)) {
            self.value(v);
        }
        self.number(s.frames.len() as u64);
        for f in s.frames.iter() {
            self.frame(f);
        }
        self.number(s.gaps.len() as u64);
        for g in &s.gaps {
            self.bytes.push(g.of | g.from << 4);
            self.value(&g.value);
        }
        for h in s.held {
            self.number(h as u64);
        }
    }
}
