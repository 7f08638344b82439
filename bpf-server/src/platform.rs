//! What the loader needs of the system, so that it also runs in tests on an ordinary machine.

use axiom_bpf_isa::ProgramKind;
use axiom_proto::bpf_host;
use core::ops::Range;

/// A hosting server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostId(pub usize);

/// A client's capability that is kept for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Token(pub u64);

/// What a hosting server may do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read only; for code, the host maps it executable.
    Read,
    /// Read and write.
    Write,
}

/// Points of the trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Stage {
    Begin,
    Parsed,
    Verified,
    Compiled,
    Mapped,
    Attached,
}

/// The system underneath.
pub trait Platform {
    /// Frames that are freed together, everywhere, by one revocation.
    type Memory;

    /// Who serves attach points of a kind.
    fn host(&self, kind: ProgramKind) -> Option<HostId>;
    /// A hosting server's name.
    fn host_name(&self, host: HostId) -> &str;
    /// How many hosts there are.
    fn hosts(&self) -> usize;
    /// Pages of memory for programs and maps, of all together.
    fn pages(&self) -> u32;
    /// Makes zeroed frames for a program of a host: so many for code, which come first, and so many for maps.
    fn allocate(&mut self, host: HostId, code: u32, maps: u32) -> Option<Self::Memory>;
    /// Maps frames in a row in this server, read-write. Only for pages that are not mapped here yet.
    fn map(&mut self, memory: &mut Self::Memory, first: u32, pages: u32) -> Option<*mut u8>;
    /// Ends this server's mapping of code pages for good, and makes what was written, `bytes` from the start, visible to
    /// instruction fetch.
    fn seal(&mut self, memory: &mut Self::Memory, first: u32, pages: u32, bytes: usize) -> bool;
    /// Revokes and frees everything that a host had for a program.
    fn free(&mut self, memory: Self::Memory, host: HostId);
    /// Calls a host, passing a frame along.
    fn call_host(
        &mut self,
        host: HostId,
        request: &bpf_host::Request<'_>,
        frame: Option<(&mut Self::Memory, u32, Access)>,
    ) -> Option<bpf_host::Reply>;
    /// Has a host map frames in a row as pages of its map window, in as few messages as it takes. Its first answer that is not
    /// [`bpf_host::Reply::Done`], or that.
    fn give_pages(
        &mut self,
        host: HostId,
        memory: &mut Self::Memory,
        first: u32,
        pages: Range<u32>,
        access: Access,
    ) -> Option<bpf_host::Reply>;
    /// Puts frames into a host's tray, from its first slot on: runs of them, each with its first page and number. False if there is no
    /// tray for that host.
    fn fill_tray(&mut self, host: HostId, memory: &mut Self::Memory, frames: &[(u32, u32, Access)]) -> bool;
    /// Gives a host its tray, which was started anew and has none.
    fn give_tray(&mut self, host: HostId) -> Option<bpf_host::Reply>;
    /// Takes the capability that came with the client's request, to be kept until [`Platform::drop_token`].
    fn take_token(&mut self) -> Option<Token>;
    /// Gives a kept capability up.
    fn drop_token(&mut self, token: Token);
    /// Calls a host, passing a copy of a kept capability along.
    fn call_host_with_token(
        &mut self,
        host: HostId,
        request: &bpf_host::Request<'_>,
        token: Token,
    ) -> Option<bpf_host::Reply>;
    /// Whether so many bytes of memory in a row can be had.
    fn has_memory(bytes: usize) -> bool;
    /// A blob that the manifest gave this server.
    fn blob(&self, name: &str) -> Option<&'static [u8]>;
    /// The time, in milliseconds.
    fn milliseconds(&self) -> u64;
    /// The counter, in ticks.
    fn ticks(&self) -> u64;
    /// The cycle counter.
    fn cycles(&self) -> u64;
    /// Records a trace event: each load has one, where it ends: with the last stage that it came through, and the program's number.
    /// When it began, the message says that the trace shows before it.
    fn trace(&mut self, stage: Stage, argument: u32);
}
