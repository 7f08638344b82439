//! What a target is: a whole disk, a partition, a regular file or something else, decided by what the path leads to (links
//! followed, device number looked up), never by how it is spelled.
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A block device's number, as sysfs writes it: `8:16`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub String);

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block(Number),
    /// A regular file.
    File,
    /// Neither: what it is, in words.
    Other(&'static str),
    /// Nothing yet.
    Nothing,
}

/// Looks what stands at a path, links followed.
///
/// # Errors
/// What the system answers, but for "there is nothing", which is [`Kind::Nothing`].
pub fn kind(path: &Path) -> io::Result<Kind> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Kind::Nothing),
        Err(e) => return Err(e),
    };
    let file = metadata.file_type();
    Ok(if file.is_block_device() {
        let number = metadata.rdev();
        Kind::Block(Number(format!("{}:{}", libc::major(number), libc::minor(number))))
    } else if file.is_file() {
        Kind::File
    } else if file.is_dir() {
        Kind::Other("a folder")
    } else if file.is_char_device() {
        Kind::Other("a character device")
    } else {
        Kind::Other("a pipe or socket")
    })
}

/// Where a word of the command line points: a bare name without a file of that name is a disk below `dev`.
pub fn path(word: &str, dev: &Path) -> PathBuf {
    let path = Path::new(word);
    if word.contains('/') || path.exists() || word.contains('.') { path.into() } else { dev.join(word) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("card.img");
        fs::write(&file, "x").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let dangling = folder.path().join("dangling");
        std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
        assert_eq!(kind(&file).unwrap(), Kind::File);
        assert_eq!(kind(&link).unwrap(), Kind::Other("a character device"));
        assert_eq!(kind(Path::new("//dev/../dev/null")).unwrap(), Kind::Other("a character device"));
        assert_eq!(kind(folder.path()).unwrap(), Kind::Other("a folder"));
        assert_eq!(kind(&dangling).unwrap(), Kind::Nothing);
        assert!(kind(&file.join("below")).is_err(), "a file has nothing below it");
    }

    #[test]
    fn a_bare_name_is_a_disk_unless_it_is_a_file() {
        let dev = Path::new("/dev");
        assert_eq!(path("sdb", dev), Path::new("/dev/sdb"));
        assert_eq!(path("card.img", dev), Path::new("card.img"));
        assert_eq!(path("./sdb", dev), Path::new("./sdb"));
    }
}
