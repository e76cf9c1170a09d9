//! What must outlive the process: the generation and the last verdicts, in `[state] dir`.
//!
//! One small JSON file, replaced whole (write beside it, sync, rename, sync the folder), so that a
//! crash leaves the old one or the new one. A file that cannot be read is put aside and said so:
//! starting with unknown targets is better than not starting.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use daemon::files::{self, ReadError};
use rustix::fs::{Access, AtFlags, CWD};
use serde::{Deserialize, Serialize};

use crate::monitor::Saved;

const FILE: &str = "state.json";
/// A state file larger than this is not ours.
const MAX_SIZE: u64 = 64 << 20;
/// Raised when the form changes; a file of another version is put aside.
const VERSION: u32 = 1;

/// Counting a reload each nanosecond would take centuries to get here.
const MAX_GENERATION: u64 = u64::MAX / 2;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: u32,
    /// The last generation that was served.
    pub generation: u64,
    /// The last verdicts.
    pub verdicts: Vec<Saved>,
}

impl State {
    /// A state to be kept.
    pub fn new(generation: u64, verdicts: Vec<Saved>) -> Self {
        Self { version: VERSION, generation, verdicts }
    }
}

/// The folder; one node's.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Why state could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("state folder {folder}: {source}")]
pub struct StateError {
    folder: String,
    source: io::Error,
}

impl Folder {
    /// Makes the folder when it is not there, for this user only.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| error(path, source))?;
        Ok(Self(path.to_owned()))
    }

    /// Whether [`open`](Self::open) could be done, as far as can be seen without doing it: what is
    /// there of the path ends in a folder that this user may write to.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn can_be_opened(path: &Path) -> Result<(), StateError> {
        for place in path.ancestors() {
            let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
            // A link that leads nowhere is there, and in the way.
            match fs::symlink_metadata(place) {
                Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
                Err(other) => return Err(error(place, other)),
                Ok(_) => return is_writable(place).map_err(|source| error(place, source)),
            }
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the system says, as an error of this folder.
    pub(super) fn error(&self, source: io::Error) -> StateError {
        error(&self.0, source)
    }

    /// What the last run left; nothing on the first.
    pub fn read(&self) -> State {
        let path = self.0.join(FILE);
        let bytes = match files::read(&path, MAX_SIZE) {
            Ok(content) => content.octets,
            Err(ReadError::System(missing)) if missing.kind() == io::ErrorKind::NotFound => {
                return State::default();
            }
            Err(error) => return self.put_aside(&error.to_string()),
        };
        match serde_json::from_slice::<State>(&bytes) {
            Ok(state) if state.version != VERSION => {
                self.put_aside(&format!("version {} instead of {VERSION}", state.version))
            }
            Ok(state) if state.generation > MAX_GENERATION => {
                self.put_aside(&format!("generation {} was never reached", state.generation))
            }
            Ok(state) => state,
            Err(error) => self.put_aside(&error.to_string()),
        }
    }

    /// Replaces the file; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Those of the system; the old file is then still whole.
    pub fn write(&self, state: &State) -> Result<(), StateError> {
        let octets = serde_json::to_vec(state).map_err(|source| self.error(source.into()))?;
        self.replace(FILE, &octets)
    }

    /// Replaces a file of the folder; on disk when this returns.
    ///
    /// # Errors
    ///
    /// Those of the system; the old file is then still whole.
    pub fn replace(&self, name: &str, octets: &[u8]) -> Result<(), StateError> {
        let replace = || {
            let beside = self.beside(name)?;
            let write = || {
                let mut file =
                    File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
                file.write_all(octets)?;
                file.sync_all()?;
                fs::rename(&beside, self.0.join(name))
            };
            write().inspect_err(|_| {
                // Half a file must not take the room that others need. The first error is the one to
                // tell.
                let _ = fs::remove_file(&beside);
            })?;
            File::open(&self.0)?.sync_all()
        };
        replace().map_err(|source| self.error(source))
    }

    /// Gives a file a second name, at which it stays when it is replaced; nothing if it is not
    /// there. Of a crash the second name keeps the file before or this one.
    ///
    /// # Errors
    ///
    /// Those of the system; nothing changed.
    pub fn keep_as(&self, name: &str, second: &str) -> Result<(), StateError> {
        let keep = || {
            let beside = self.beside(second)?;
            match fs::hard_link(self.0.join(name), &beside) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                linked => linked.and_then(|()| fs::rename(&beside, self.0.join(second))),
            }
        };
        keep().map_err(|source| self.error(source))
    }

    /// Where a new file is made before it gets its name. What is there was left over by a crash, or
    /// planted: a new file, never through a link.
    fn beside(&self, name: &str) -> io::Result<PathBuf> {
        let beside = self.0.join(format!("{name}.new"));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(beside),
        }
    }

    fn put_aside(&self, reason: &str) -> State {
        let path = self.0.join(FILE);
        let aside = self.0.join(format!("{FILE}.unreadable"));
        let moved = fs::rename(&path, &aside);
        tracing::error!(
            file = %path.display(), reason, moved = moved.is_ok(), aside = %aside.display(),
            "the kept state cannot be read; starting without it: targets begin unknown"
        );
        State::default()
    }
}

fn is_writable(place: &Path) -> io::Result<()> {
    if !fs::metadata(place)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // As whom the program acts, which root may have lent it.
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(rustix::fs::accessat(CWD, place, access, AtFlags::EACCESS)?)
}

fn error(folder: &Path, source: io::Error) -> StateError {
    StateError { folder: folder.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health;

    fn verdict() -> Saved {
        Saved {
            address: "203.0.113.10:443".into(),
            region: "us-central1".into(),
            state: health::State::Down,
            since_unix_ms: 1,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("a/b")).unwrap();
        assert_eq!(folder.read(), State::default());
        let state = State::new(7, vec![verdict()]);
        folder.write(&state).unwrap();
        assert_eq!(folder.read(), state);
    }

    #[test]
    fn what_is_in_the_way_of_a_folder_is_told_and_nothing_is_made() {
        let place = tempfile::tempdir().unwrap();
        let below = |path: &str| place.path().join(path);
        fs::write(below("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", below("link")).unwrap();
        let told = |path: &str| Folder::can_be_opened(&below(path)).map_err(|e| e.to_string());
        assert_eq!((told("."), told("a/b/c")), (Ok(()), Ok(())));
        assert!(!below("a").exists());
        for (path, named, why) in [
            ("file", "file", "not a directory"),
            ("file/a/b", "file", "ot a directory"),
            ("link/a", "link", "No such file"),
        ] {
            let told = told(path).unwrap_err();
            assert!(told.contains(named) && told.contains(why), "{path}: {told}");
        }
        let shut = below("shut");
        fs::DirBuilder::new().mode(0o500).create(&shut).unwrap();
        // Root writes everywhere.
        assert_eq!(told("shut/a").is_ok(), rustix::process::geteuid().is_root());
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let place = tempfile::tempdir().unwrap();
        let (victim, folder) = (place.path().join("victim"), place.path().join("state"));
        let folder = Folder::open(&folder).unwrap();
        fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, folder.0.join("state.json.new")).unwrap();
        folder.write(&State::new(1, Vec::new())).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(folder.read().generation, 1);
    }

    #[test]
    fn what_could_not_be_written_leaves_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        fs::create_dir_all(place.path().join("name/taken")).unwrap();
        folder.replace("name", b"octets").unwrap_err();
        assert!(!place.path().join("name.new").exists());
    }

    #[test]
    fn a_torn_or_foreign_file_is_put_aside() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let whole = serde_json::to_vec(&State::new(7, vec![verdict()])).unwrap();
        folder.write(&State::new(u64::MAX, Vec::new())).unwrap();
        assert_eq!(folder.read(), State::default(), "a generation that nobody reaches");
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(place.path().join(FILE), &whole[..length]).unwrap();
            assert_eq!(folder.read(), State::default(), "cut at {length}");
            assert!(place.path().join("state.json.unreadable").exists());
        }
    }
}
