//! The same samples by Linux's own compiler, where this machine lets us use it: bpf(2) with a map's value as the sample's memory.
//!
//! The kernel times its runs itself (`BPF_PROG_TEST_RUN` with a number of repetitions). Its verifier may refuse a sample that ours accepts, or
//! give up; that is said for each.
use std::io::Error;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const MAP_CREATE: i64 = 0;
const MAP_LOOKUP: i64 = 1;
const MAP_UPDATE: i64 = 2;
const PROG_LOAD: i64 = 5;
const PROG_TEST_RUN: i64 = 10;
const ARRAY: u32 = 2;
const SCHED_CLS: u32 = 3;

/// The argument of bpf(2): words at byte offsets, zero elsewhere.
struct Attributes([u8; 144]);

impl Attributes {
    fn new(words: &[(usize, u32)], longs: &[(usize, u64)]) -> Attributes {
        let mut bytes = [0; 144];
        words.iter().for_each(|(at, word)| bytes[*at..at + 4].copy_from_slice(&word.to_le_bytes()));
        longs.iter().for_each(|(at, long)| bytes[*at..at + 8].copy_from_slice(&long.to_le_bytes()));
        Attributes(bytes)
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"))
    }
}

/// # Safety
/// Addresses in the attributes are those of memory that the command may read and write.
unsafe fn bpf(command: i64, attributes: &mut Attributes) -> Result<i32, Error> {
    // SAFETY: the attributes are as long as we say; the rest is this function's condition.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.0.as_mut_ptr(), 144) };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result as i32) }
}

fn descriptor(number: i32) -> OwnedFd {
    // SAFETY: the kernel has just made it for us.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// A sample in the kernel, with its memory.
pub struct Loaded {
    memory: OwnedFd,
    program: OwnedFd,
    bytes: usize,
}

impl Loaded {
    /// Loads instructions that find their memory at r1, and its length in r2.
    pub fn new(instructions: &[u8], bytes: usize) -> Result<Loaded, Error> {
        let mut attributes = Attributes::new(&[(0, ARRAY), (4, 4), (8, bytes as u32), (12, 1)], &[]);
        // SAFETY: no address is passed.
        let memory = descriptor(unsafe { bpf(MAP_CREATE, &mut attributes) }?);
        // r1 = the address of the map's value (a pseudo source, 2), r2 = its length.
        let map = memory.as_raw_fd().to_le_bytes();
        let mut code =
            vec![0x18, 0x21, 0, 0, map[0], map[1], map[2], map[3], 0, 0, 0, 0, 0, 0, 0, 0, 0xb7, 2, 0, 0];
        code.extend((bytes as u32).to_le_bytes());
        code.extend(instructions);
        let licence = c"Dual MIT/GPL";
        let mut attributes = Attributes::new(
            &[(0, SCHED_CLS), (4, (code.len() / 8) as u32)],
            &[(8, code.as_ptr().addr() as u64), (16, licence.as_ptr().addr() as u64)],
        );
        // SAFETY: the instructions and the licence are read, and live.
        let program = descriptor(unsafe { bpf(PROG_LOAD, &mut attributes) }?);
        Ok(Loaded { memory, program, bytes })
    }

    fn value(&self, command: i64, memory: &mut [u64]) -> Result<(), Error> {
        assert_eq!(size_of_val(memory), self.bytes);
        let key = 0u32;
        let mut attributes = Attributes::new(
            &[(0, self.memory.as_raw_fd() as u32)],
            &[(8, (&raw const key).addr() as u64), (16, memory.as_mut_ptr().addr() as u64)],
        );
        // SAFETY: a key of four bytes, and memory of the value's size.
        unsafe { bpf(command, &mut attributes) }.map(drop)
    }

    /// Runs it so many times on this memory, the first time as it is: the lower half of r0 of the last, and nanoseconds of each.
    pub fn run(&self, memory: &mut [u64], times: u32) -> Result<(u32, f64), Error> {
        self.value(MAP_UPDATE, memory)?;
        // The shortest frame that there is.
        let frame = [0u8; 64];
        let mut attributes = Attributes::new(
            &[(0, self.program.as_raw_fd() as u32), (8, 64), (32, times)],
            &[(16, frame.as_ptr().addr() as u64)],
        );
        // SAFETY: the frame is read, and lives; there is no room for one to be written.
        unsafe { bpf(PROG_TEST_RUN, &mut attributes) }?;
        self.value(MAP_LOOKUP, memory)?;
        Ok((attributes.word(4), f64::from(attributes.word(36))))
    }
}
