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

    /// The operation of arithmetic ([`alu`]) or a jump ([`jump`]): the upper four bits.
    pub const fn operation(self) -> u8 {
        self.op & 0xf0
    }

    /// Whether the second operand of arithmetic or a comparison is a register, not the immediate.
    pub const fn has_register(self) -> bool {
        self.op & 8 != 0
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

    /// Arithmetic by name and width: X with a register, K with a constant.
    pub const ADD32K: u8 = 0x04;
    pub const ADD64K: u8 = 0x07;
    pub const ADD64X: u8 = 0x0f;
    pub const AND32K: u8 = 0x54;
    pub const AND64K: u8 = 0x57;
    pub const MOV32K: u8 = 0xb4;
    pub const MOV64K: u8 = 0xb7;
    pub const MOV64X: u8 = 0xbf;
    pub const LSH64K: u8 = 0x67;
    pub const RSH64K: u8 = 0x77;
    pub const ARSH64K: u8 = 0xc7;

    /// Jumps if equal, and if not.
    pub const JEQ32K: u8 = 0x16;
    pub const JEQ32X: u8 = 0x1e;
    pub const JEQ64K: u8 = 0x15;
    pub const JEQ64X: u8 = 0x1d;
    pub const JNE32K: u8 = 0x56;
    pub const JNE32X: u8 = 0x5e;
    pub const JNE64K: u8 = 0x55;
    pub const JNE64X: u8 = 0x5d;

    pub const LDXB: u8 = 0x71;
    pub const LDXH: u8 = 0x69;
    pub const LDXW: u8 = 0x61;
    pub const LDXDW: u8 = 0x79;
    /// Loads that extend the sign.
    pub const LDXSB: u8 = 0x91;
    pub const LDXSH: u8 = 0x89;
    pub const LDXSW: u8 = 0x81;
    /// Stores of an immediate.
    pub const STB: u8 = 0x72;
    pub const STH: u8 = 0x6a;
    pub const STW: u8 = 0x62;
    pub const STDW: u8 = 0x7a;
    /// Stores of a register: bit 0 is set.
    pub const STXB: u8 = 0x73;
    pub const STXH: u8 = 0x6b;
    pub const STXW: u8 = 0x63;
    pub const STXDW: u8 = 0x7b;
    /// Atomic operations of 32 and 64 bits; which one the immediate says.
    pub const ATOMICW: u8 = 0xc3;
    pub const ATOMICDW: u8 = 0xdb;

    /// Of a load or store, the bits that say how it is done, and two of the ways.
    pub const MODE: u8 = 0xe0;
    pub const MODE_MEMSX: u8 = 0x80;
    pub const MODE_ATOMIC: u8 = 0xc0;
    /// Of a load or store, the bits that say how many bytes it is: 4, 2, 1 or 8.
    pub const SIZE: u8 = 0x18;
    pub const SIZE_W: u8 = 0x00;
    pub const SIZE_H: u8 = 0x08;
    pub const SIZE_B: u8 = 0x10;
    pub const SIZE_DW: u8 = 0x18;

    /// The class, in the lower three bits.
    pub const CLASS: u8 = 7;
    /// Arithmetic and jumps: the second operand is a register.
    pub const REGISTER: u8 = 8;
    /// Arithmetic and jumps: the operation ([`super::alu`], [`super::jump`]).
    pub const OPERATION: u8 = 0xf0;
    pub const CLASS_LD: u8 = 0;
    pub const CLASS_LDX: u8 = 1;
    pub const CLASS_ST: u8 = 2;
    pub const CLASS_STX: u8 = 3;
    pub const CLASS_ALU: u8 = 4;
    pub const CLASS_JMP: u8 = 5;
    pub const CLASS_JMP32: u8 = 6;
    pub const CLASS_ALU64: u8 = 7;
}

/// Operations of arithmetic, in the upper four bits of an opcode (RFC 9669, section 4.1).
#[allow(missing_docs)]
pub mod alu {
    pub const ADD: u8 = 0x00;
    pub const SUB: u8 = 0x10;
    pub const MUL: u8 = 0x20;
    /// Signed where the offset is 1.
    pub const DIV: u8 = 0x30;
    pub const OR: u8 = 0x40;
    pub const AND: u8 = 0x50;
    pub const LSH: u8 = 0x60;
    pub const RSH: u8 = 0x70;
    pub const NEG: u8 = 0x80;
    /// Signed where the offset is 1.
    pub const MOD: u8 = 0x90;
    pub const XOR: u8 = 0xa0;
    /// With an offset of 8, 16 or 32 it extends the sign of so many bits.
    pub const MOV: u8 = 0xb0;
    pub const ARSH: u8 = 0xc0;
    /// Byte swaps.
    pub const END: u8 = 0xd0;
}

/// Operations of jumps, in the upper four bits of an opcode (RFC 9669, section 4.3).
#[allow(missing_docs)]
pub mod jump {
    /// A jump without a condition.
    pub const ALWAYS: u8 = 0x00;
    pub const JEQ: u8 = 0x10;
    pub const JGT: u8 = 0x20;
    pub const JGE: u8 = 0x30;
    /// The two have a bit in common.
    pub const JSET: u8 = 0x40;
    pub const JNE: u8 = 0x50;
    pub const JSGT: u8 = 0x60;
    pub const JSGE: u8 = 0x70;
    /// Calls, of all kinds.
    pub const CALLS: u8 = 0x80;
    /// The program's end.
    pub const EXITS: u8 = 0x90;
    pub const JLT: u8 = 0xa0;
    pub const JLE: u8 = 0xb0;
    pub const JSLT: u8 = 0xc0;
    pub const JSLE: u8 = 0xd0;
}

/// Atomic operations, in the immediate of the instruction (RFC 9669, section 5.3).
#[allow(missing_docs)]
pub mod atomic {
    pub const ADD: i32 = 0x00;
    pub const OR: i32 = 0x40;
    pub const AND: i32 = 0x50;
    pub const XOR: i32 = 0xa0;
    /// These give the source register what was there.
    pub const FETCH_ADD: i32 = 0x01;
    pub const FETCH_OR: i32 = 0x41;
    pub const FETCH_AND: i32 = 0x51;
    pub const FETCH_XOR: i32 = 0xa1;
    pub const XCHG: i32 = 0xe1;
    /// Stores the source register if r0 was there, and gives r0 what was there.
    pub const CMPXCHG: i32 = 0xf1;
    /// There are no others.
    pub const ALL: [i32; 10] = [ADD, OR, AND, XOR, FETCH_ADD, FETCH_OR, FETCH_AND, FETCH_XOR, XCHG, CMPXCHG];
}
