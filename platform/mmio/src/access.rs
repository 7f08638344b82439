//! Blocks, registers, and who may do what with them.

use core::marker::PhantomData;
use core::ptr::NonNull;

/// A way to a block of 32-bit registers.
pub trait Io {
    /// Reads the register at a byte offset.
    fn read(&self, offset: usize) -> u32;
    /// Writes it.
    fn write(&self, offset: usize, value: u32);
}

/// Registers that are mapped into this address space.
pub struct Mmio(NonNull<u32>);

impl Mmio {
    /// # Safety
    /// `base` is where the registers of one block are mapped, as device memory, with all the pages that the block's offsets
    /// reach, for as long as this lives; nobody else uses them in a way that this user cannot bear.
    pub const unsafe fn new(base: NonNull<u32>) -> Mmio {
        Mmio(base)
    }

    /// Reads a register of 16 bits at a byte offset, a multiple of two.
    #[inline(always)]
    pub fn read_half(&self, offset: usize) -> u16 {
        // SAFETY: the constructor's promise; offsets come from the block's registers.
        unsafe { self.0.byte_add(offset).cast::<u16>().read_volatile() }
    }

    /// Writes a register of 16 bits at a byte offset, a multiple of two.
    #[inline(always)]
    pub fn write_half(&self, offset: usize, value: u16) {
        // SAFETY: as for `read_half`.
        unsafe { self.0.byte_add(offset).cast::<u16>().write_volatile(value) }
    }

    /// Reads a register of eight bits.
    #[inline(always)]
    pub fn read_byte(&self, offset: usize) -> u8 {
        // SAFETY: as for `read_half`.
        unsafe { self.0.byte_add(offset).cast::<u8>().read_volatile() }
    }

    /// Writes a register of eight bits.
    #[inline(always)]
    pub fn write_byte(&self, offset: usize, value: u8) {
        // SAFETY: as for `read_half`.
        unsafe { self.0.byte_add(offset).cast::<u8>().write_volatile(value) }
    }
}

// SAFETY: registers belong to no thread; `new`'s promise speaks of every user.
unsafe impl Send for Mmio {}

impl Io for Mmio {
    #[inline(always)]
    fn read(&self, offset: usize) -> u32 {
        // SAFETY: the constructor's promise; offsets come from the block's registers.
        unsafe { self.0.byte_add(offset).read_volatile() }
    }
    #[inline(always)]
    fn write(&self, offset: usize, value: u32) {
        // SAFETY: as for `read`.
        unsafe { self.0.byte_add(offset).write_volatile(value) }
    }
}

impl<I: Io + ?Sized> Io for &I {
    fn read(&self, offset: usize) -> u32 {
        (**self).read(offset)
    }
    fn write(&self, offset: usize, value: u32) {
        (**self).write(offset, value);
    }
}

/// May be read.
pub struct ReadOnly;
/// May be written.
pub struct WriteOnly;
/// Both.
pub struct ReadWrite;

/// Access that includes reading.
pub trait Readable {}
/// Access that includes writing.
pub trait Writable {}
impl Readable for ReadOnly {}
impl Readable for ReadWrite {}
impl Writable for WriteOnly {}
impl Writable for ReadWrite {}

/// Blocks whose registers have atomic views: where a write flips, sets or clears bits, counted from the register.
pub trait Atomic {
    /// Flips bits; 0 where there is no such view.
    const XOR: usize;
    /// Sets bits.
    const SET: usize;
    /// Clears bits.
    const CLEAR: usize;
}

/// Names its types and owns nothing of them.
type Marker<B, V, A> = PhantomData<fn() -> (B, V, A)>;

/// A register of block `B` with values of type `V`.
pub struct Register<B, V, A> {
    offset: usize,
    of: Marker<B, V, A>,
}

impl<B, V, A> Clone for Register<B, V, A> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B, V, A> Copy for Register<B, V, A> {}

impl<B, V, A> Register<B, V, A> {
    /// The register at a byte offset from the block's start.
    pub const fn at(offset: usize) -> Self {
        Register { offset, of: PhantomData }
    }
    /// Its offset in bytes.
    pub const fn offset(self) -> usize {
        self.offset
    }
}

/// One peripheral's registers.
pub struct Block<B, I> {
    io: I,
    of: PhantomData<fn() -> B>,
}

impl<B, I: Io> Block<B, I> {
    /// The block that `io` reaches.
    pub const fn new(io: I) -> Self {
        Block { io, of: PhantomData }
    }
    /// The way to it.
    pub const fn io(&self) -> &I {
        &self.io
    }
    /// Reads a register.
    #[inline(always)]
    pub fn read<V: From<u32>, A: Readable>(&self, register: Register<B, V, A>) -> V {
        V::from(self.io.read(register.offset))
    }
    /// Writes a register.
    #[inline(always)]
    pub fn write<V: Into<u32>, A: Writable>(&self, register: Register<B, V, A>, value: V) {
        self.io.write(register.offset, value.into());
    }
    /// Reads, changes, writes.
    #[inline(always)]
    pub fn modify<V: From<u32> + Into<u32>, A: Readable + Writable>(
        &self,
        register: Register<B, V, A>,
        change: impl FnOnce(V) -> V,
    ) {
        self.write(register, change(self.read(register)));
    }
}

impl<B: Atomic, I: Io> Block<B, I> {
    /// Sets bits, in one write.
    #[inline(always)]
    pub fn set<V, A: Writable>(&self, register: Register<B, V, A>, bits: u32) {
        self.io.write(register.offset + B::SET, bits);
    }
    /// Clears bits, in one write.
    #[inline(always)]
    pub fn clear<V, A: Writable>(&self, register: Register<B, V, A>, bits: u32) {
        self.io.write(register.offset + B::CLEAR, bits);
    }
    /// Flips bits, in one write, where the block can ([`Atomic::XOR`] is not 0).
    #[inline(always)]
    pub fn flip<V, A: Writable>(&self, register: Register<B, V, A>, bits: u32) {
        const { assert!(B::XOR != 0, "this block has no XOR view") };
        self.io.write(register.offset + B::XOR, bits);
    }
}
