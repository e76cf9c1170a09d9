//! The directory of a development system: ours, and ours alone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::layout::marker;

/// A claimed directory, locked until dropped. The marker in it says that its files may be
/// overwritten.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
    marker: PathBuf,
    /// Whether the directory was empty, or not there.
    fresh: bool,
    /// Directories that were not there, the innermost first.
    made: Vec<PathBuf>,
}

impl Claim {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// When it is somebody else's, a system runs in it, or it cannot be made.
    pub(crate) fn of(dir: &Path) -> anyhow::Result<Self> {
        let shown = dir.display();
        let marker = marker(dir);
        let used = match fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error).with_context(|| format!("{shown}")),
        };
        if used && !marker.exists() {
            bail!(
                "{shown} has files in it and was not made by `geoip dev up`: choose another --dir"
            );
        }
        let made = dir.ancestors().take_while(|at| !at.exists()).map(Path::to_owned).collect();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .and_then(|()| fs::set_permissions(dir, Permissions::from_mode(0o700)))
            .with_context(|| format!("{shown}: cannot make it"))?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&marker);
        let lock = lock.with_context(|| format!("{}: cannot write it", marker.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock, marker, fresh: !used, made }),
            Err(TryLockError::WouldBlock) => bail!(
                "a system runs in {shown} already: `geoip dev status` shows it; end it by ^C \
                 there, or choose another --dir"
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{}: cannot lock it", marker.display()))
            }
        }
    }

    /// Leaves things as they were found: nothing was started, and nothing else was written.
    pub(crate) fn give_up(self) {
        if !self.fresh {
            return;
        }
        // What cannot be removed is in use by somebody else: it stays.
        let _ = fs::remove_file(&self.marker);
        for dir in &self.made {
            let _ = fs::remove_dir(dir); // only when it is empty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.tex"), "").unwrap();
        let error = Claim::of(dir.path()).unwrap_err().to_string();
        assert!(error.contains("was not made by `geoip dev up`"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_is_claimed_once_at_a_time_and_private() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        let claim = Claim::of(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
        let error = Claim::of(&dir).unwrap_err().to_string();
        assert!(error.contains("runs in"), "{error}");
        drop(claim);
        assert!(Claim::of(&dir).is_ok());
    }

    #[test]
    fn what_is_given_up_is_as_it_was_found() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a/b");
        Claim::of(&dir).unwrap().give_up();
        assert!(!parent.path().join("a").exists(), "what was made is gone");
        fs::create_dir_all(&dir).unwrap();
        Claim::of(&dir).unwrap().give_up();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "what was there stays, as empty");
        drop(Claim::of(&dir).unwrap());
        fs::write(dir.join("more"), "").unwrap();
        Claim::of(&dir).unwrap().give_up();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "a system of earlier stays whole");
    }
}
