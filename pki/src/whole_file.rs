//! Files that are whole or not there: written beside, synced, renamed; and one writer at a time.

#![expect(clippy::disallowed_methods, reason = "IO shell")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use files::{Content, ReadError};

/// How often a held lock is tried before giving up, and how long between; what holds it takes
/// milliseconds.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// The largest file read; an index of the most entries has 40 MiB.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A file, written and synced under another name, that takes its place by [`Prepared::replace`]
/// or [`Prepared::create`]. Dropped, it leaves nothing behind.
pub(crate) struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
    placed: bool,
}

impl Prepared {
    /// Writes `bytes` beside `path`, with exactly the permissions `mode` from the first moment.
    pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let random = u64::from_ne_bytes(random);
        let temporary = path.with_file_name(format!(".{}.{random:016x}", name.display()));
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        let prepared = Self { temporary, path: path.to_owned(), placed: false };
        file.set_permissions(Permissions::from_mode(mode))?; // the umask may have taken some
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(prepared)
    }

    /// Takes the place of whatever is at the path.
    pub(crate) fn replace(mut self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        self.placed = true;
        sync_folder(&self.path)
    }

    /// Takes the place, if there is nothing yet.
    pub(crate) fn create(self) -> io::Result<()> {
        fs::hard_link(&self.temporary, &self.path)?; // fails when the path exists
        fs::remove_file(&self.temporary)?;
        sync_folder(&self.path)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Holds `path` locked until dropped (also when the process dies).
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process is writing, try again"))
}

/// The text of a file, and its permission bits.
pub(crate) fn read(path: &Path) -> Result<(String, u32), ReadError> {
    let Content { octets, mode } = files::read(path, MAX_FILE)?;
    let no_text = |_| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8");
    Ok((String::from_utf8(octets).map_err(no_text)?, mode))
}

/// The permission bits of a folder.
pub(crate) fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}

/// Makes a folder that only its owner may look into, unless there is one.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A rename is durable when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
