//! Files that people write and name: read whole, bounded, and never waited for.
//!
//! A name may lead anywhere: to a FIFO that nobody writes, to a device that never ends, to a file
//! that grows. Whoever reads it must come back, or one wrong name stops every later reload.
//!
//! ```
//! # fn main() -> Result<(), files::ReadError> {
//! # let path = std::path::Path::new("Cargo.toml");
//! let content = files::read(path, 64 * 1024)?;
//! if content.mode & 0o007 != 0 { /* everybody on this machine may read it */ }
//! # Ok(()) }
//! ```

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Why a file was not read; its name is left to whoever knows what it is for.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("{0}")]
    System(#[from] io::Error),
    /// It is a folder.
    #[error("it is a directory")]
    Directory,
    /// A FIFO, a socket or a device.
    #[error("it is not a regular file")]
    NotRegular,
    /// It is larger than this many octets.
    #[error("it is larger than {}", size(*.0))]
    TooLarge(u64),
}

/// A file that was read.
#[derive(Debug)]
pub struct Content {
    /// All of it.
    pub octets: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// Reads a regular file, links followed, of at most `limit` octets.
///
/// # Errors
///
/// It cannot be read, is something else, or is larger; nothing more than the limit and one octet
/// was read.
pub fn read(path: &Path, limit: u64) -> Result<Content, ReadError> {
    let (file, about) = open(path)?;
    let mut octets = Vec::new();
    // One more than allowed, so that a file that grows is noticed too.
    file.take(limit.saturating_add(1)).read_to_end(&mut octets)?;
    if octets.len() as u64 > limit {
        return Err(ReadError::TooLarge(limit));
    }
    Ok(Content { octets, mode: about.permissions().mode() & 0o7777 })
}

/// Opens a regular file, links followed, and says what it is.
///
/// # Errors
///
/// It cannot be opened, or is something else.
pub fn open(path: &Path) -> Result<(File, Metadata), ReadError> {
    // Without waiting for whoever may one day write a FIFO. The type is asked of what was opened:
    // what a name leads to can change in between.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(ReadError::Directory);
    }
    if !about.is_file() {
        return Err(ReadError::NotRegular);
    }
    Ok((file, about))
}

fn size(octets: u64) -> String {
    match octets {
        0..1024 => format!("{octets} octets"),
        1024..0x10_0000 => format!("{} KiB", octets >> 10),
        _ => format!("{} MiB", octets >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    fn told(path: &Path, limit: u64) -> String {
        read(path, limit).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_read_up_to_its_limit_also_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "12345678").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        let content = read(&link, 8).unwrap();
        assert_eq!((content.octets.as_slice(), content.mode), (&b"12345678"[..], 0o640));
        assert_eq!(told(&file, 7), "it is larger than 7 octets");
        assert!(told(&folder.path().join("none"), 7).starts_with("No such file"));
    }

    #[test]
    fn nothing_is_waited_for_and_nothing_endless_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        assert_eq!(told(&fifo, 7), "it is not a regular file");
        assert_eq!(told(Path::new("/dev/zero"), 7), "it is not a regular file");
        assert_eq!(told(folder.path(), 7), "it is a directory");
    }

    #[test]
    fn limits_are_said_in_the_unit_that_fits() {
        assert_eq!([64, 64 << 10, 2 << 20].map(size), ["64 octets", "64 KiB", "2 MiB"]);
    }
}
