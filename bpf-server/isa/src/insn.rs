//! The 64-bit instruction word of RFC 9669.

/// One instruction slot, as it is encoded (little-endian). A wide load takes two.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Insn {
    /// Opcode.
    pub op: u8,
    /// Destination in the low nibble, source in the high one.
    pub regs: u8,
    /// Signed offset.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

impl Insn {
    /// An instruction from its fields.
    pub const fn new(op: u8, dst: u8, src: u8, off: i16, imm: i32) -> Insn {
        Insn { op, regs: (dst & 15) | src << 4, off, imm }
    }

    /// Decodes one slot.
    pub const fn from_bytes(b: [u8; 8]) -> Insn {
        Insn {
            op: b[0],
            regs: b[1],
            off: i16::from_le_bytes([b[2], b[3]]),
            imm: i32::from_le_bytes([b[4], b[5], b[6], b[7]]),
        }
    }

    /// Encodes one slot.
    pub const fn to_bytes(self) -> [u8; 8] {
        let o = self.off.to_le_bytes();
        let i = self.imm.to_le_bytes();
        [self.op, self.regs, o[0], o[1], i[0], i[1], i[2], i[3]]
    }

    /// Destination register number, 0..=15 (above 10 is invalid).
    pub const fn dst(self) -> u8 {
        self.regs & 15
    }

    /// Source register number, or the pseudo source of calls and wide loads.
    pub const fn src(self) -> u8 {
        self.regs >> 4
    }

    /// The instruction class: the low three bits.
    pub const fn class(self) -> u8 {
        self.op & 7
    }
}

/// Decodes a byte string of whole slots; `None` if the length is not a multiple of 8.
#[cfg(feature = "alloc")]
pub fn decode_all(bytes: &[u8]) -> Option<alloc::vec::Vec<Insn>> {
    if !bytes.len().is_multiple_of(8) {
        return None;
    }
    let mut insns = alloc::vec::Vec::with_capacity(bytes.len() / 8);
    decode_into(bytes, &mut insns);
    Some(insns)
}

/// Decodes whole slots and appends them; bytes behind the last whole one are left out.
#[cfg(feature = "alloc")]
pub fn decode_into(bytes: &[u8], insns: &mut alloc::vec::Vec<Insn>) {
    let slots = bytes.as_chunks::<8>().0;
    if cfg!(target_endian = "big") {
        insns.extend(slots.iter().map(|slot| Insn::from_bytes(*slot)));
        return;
    }
    insns.reserve(slots.len());
    // SAFETY: room for all of them behind the last one was just made, where the object does not lie; an instruction has no padding, any
    // bytes are one, and here its fields are in the order of the encoding. They are counted once they are written.
    unsafe {
        let room = insns.as_mut_ptr().add(insns.len());
        core::ptr::copy_nonoverlapping(slots.as_ptr().cast(), room.cast::<[u8; 8]>(), slots.len());
        insns.set_len(insns.len() + slots.len());
    }
}

/// Pseudo sources of a wide load (`lddw`).
pub mod pseudo {
    /// A plain 64-bit constant.
    pub const IMM64: u8 = 0;
    /// The map whose index in the object is `imm`.
    pub const MAP: u8 = 1;
    /// The address of byte `next.imm` of the first value of map `imm`.
    pub const MAP_VALUE: u8 = 2;
    /// The address of a function of the program.
    pub const FUNCTION: u8 = 4;
    /// In a call instruction: a function of the same program, relative to the next slot.
    pub const LOCAL_CALL: u8 = 1;
}

/// Whole opcodes that tools compare with; everything else is class, operation, source.
#[allow(missing_docs)]
pub mod opcode {
    pub const LDDW: u8 = 0x18;
    pub const JA: u8 = 0x05;
    pub const JA32: u8 = 0x06;
    pub const CALL: u8 = 0x85;
    pub const CALLX: u8 = 0x8d;
    pub const EXIT: u8 = 0x95;

    pub const CLASS_LD: u8 = 0;
    pub const CLASS_LDX: u8 = 1;
    pub const CLASS_ST: u8 = 2;
    pub const CLASS_STX: u8 = 3;
    pub const CLASS_ALU: u8 = 4;
    pub const CLASS_JMP: u8 = 5;
    pub const CLASS_JMP32: u8 = 6;
    pub const CLASS_ALU64: u8 = 7;
}
