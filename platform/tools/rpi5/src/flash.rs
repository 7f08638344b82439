//! Writing an image and reading it back.
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// How much is written at a time.
const CHUNK: usize = 1 << 20;
/// The block layer's "forget what you have cached of this disk" (`BLKFLSBUF` of linux/fs.h).
const FLUSH_BUFFERS: libc::c_ulong = 0x1261;

/// What is going on, for progress messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes go out.
    Writing,
    /// Bytes are compared.
    Verifying,
}

/// Why a card is not good.
#[derive(Debug)]
pub enum Failed {
    /// The system refused.
    Io(&'static str, io::Error),
    /// The disk gave other bytes back than were written: at this offset.
    Differs(u64),
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(what, e) if e.raw_os_error() == Some(libc::EBUSY) => {
                write!(f, "{what}: the disk is in use by somebody ({e})")
            }
            Self::Io(what, e) if e.kind() == io::ErrorKind::PermissionDenied => {
                write!(f, "{what}: {e}; writing to disks needs root: try with sudo")
            }
            Self::Io(what, e) => write!(f, "{what}: {e}"),
            Self::Differs(at) => write!(
                f,
                "byte {at} was read back differently than it was written: the card is worn out or false; try another"
            ),
        }
    }
}

/// Writes the image to a disk or a file and compares what is there afterwards. Other bytes of a disk stay as they are; a file is
/// made exactly as long as the image.
pub fn write(target: &Path, image: &[u8], mut progress: impl FnMut(Step, u64)) -> Result<(), Failed> {
    let disk = std::fs::metadata(target).is_ok_and(|m| m.file_type().is_block_device());
    // On a disk, exclusive means: fail if anybody mounted it meanwhile.
    let flags = if disk { libc::O_EXCL | libc::O_SYNC } else { 0 };
    let mut out = OpenOptions::new()
        .write(true)
        .create(!disk)
        .truncate(!disk)
        .custom_flags(flags)
        .open(target)
        .map_err(|e| Failed::Io("opening for writing", e))?;
    let mut done = 0;
    for chunk in image.chunks(CHUNK) {
        out.write_all(chunk).map_err(|e| Failed::Io("writing", e))?;
        done += chunk.len() as u64;
        progress(Step::Writing, done);
    }
    out.sync_all().map_err(|e| Failed::Io("writing the last bytes", e))?;
    forget(&out, disk).map_err(|e| Failed::Io("emptying the cache before reading back", e))?;
    drop(out);
    let back = File::open(target).map_err(|e| Failed::Io("opening for reading back", e))?;
    compare(back, image, |at| progress(Step::Verifying, at))
}

/// Makes sure that reading back asks the medium, not the cache.
fn forget(file: &File, disk: bool) -> io::Result<()> {
    // SAFETY: the descriptor is open; the call changes no memory of this process.
    let advised = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    if advised != 0 {
        return Err(io::Error::from_raw_os_error(advised));
    }
    // SAFETY: as above; this request has no argument.
    if disk && unsafe { libc::ioctl(file.as_raw_fd(), FLUSH_BUFFERS as _, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Compares the first bytes of `back` with `image`.
pub fn compare<F: Read + Seek>(
    mut back: F,
    image: &[u8],
    mut progress: impl FnMut(u64),
) -> Result<(), Failed> {
    back.seek(SeekFrom::Start(0)).map_err(|e| Failed::Io("reading back", e))?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    for chunk in image.chunks(CHUNK) {
        let got = &mut buffer[..chunk.len()];
        back.read_exact(got).map_err(|e| Failed::Io("reading back", e))?;
        if let Some(i) = got.iter().zip(chunk).position(|(a, b)| a != b) {
            return Err(Failed::Differs((at + i) as u64));
        }
        at += chunk.len();
        progress(at as u64);
    }
    Ok(())
}
