//! When to read files again: SIGHUP, or their content changed.
//!
//! Directories are watched, not files, so editors that rename and Kubernetes' symlink swaps are
//! seen; a burst of events becomes one trigger; a file whose content is what it was is none.
//!
//! ```no_run
//! # async fn run(tls: std::sync::Arc<daemon::tls::Tls>) -> Result<(), daemon::reload::WatchError> {
//! let mut watch = daemon::reload::Watch::new(tls.files())?;
//! loop {
//!     let trigger = watch.changed().await;
//!     tracing::info!(%trigger, "reloading");
//!     if let Err(error) = tls.reload() {
//!         tracing::error!("{error}");                 // the old one goes on
//!     }
//! }
//! # }
//! ```

#![expect(clippy::disallowed_methods, reason = "IO shell")]

use std::collections::BTreeSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// A burst of events (an editor's, a package manager's, Kubernetes' links) is over when so long
/// nothing happened.
const QUIET: Duration = Duration::from_millis(200);
/// A burst is cut here: files that change all the time must not put a reload off for ever.
const MOST: Duration = Duration::from_secs(2);

/// Watches files.
#[derive(Debug)]
pub struct Watch {
    files: Vec<(PathBuf, Option<u64>)>,
    hashes: RandomState,
    events: mpsc::Receiver<()>,
    hangup: Signal,
    /// Ends the watching when dropped.
    _watcher: RecommendedWatcher,
}

/// Why to read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// SIGHUP: read everything, changed or not.
    Signal,
    /// These files have another content than when last looked at (or are gone, or came back).
    Files(Vec<PathBuf>),
}

/// Why files cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system's file notification failed; often its limit of watches is too low.
    #[error("cannot watch {directory}: {cause}")]
    Notify {
        /// The directory.
        directory: PathBuf,
        /// What the system says.
        cause: notify::Error,
    },
    /// No handler for SIGHUP.
    #[error("cannot listen for SIGHUP: {0}")]
    Signal(std::io::Error),
}

impl Watch {
    /// Watches the directories of `files` and listens for SIGHUP.
    ///
    /// # Errors
    ///
    /// [`WatchError`].
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Result<Self, WatchError> {
        // One place: an event only says "look", and looking takes in all that came before.
        let (happened, events) = mpsc::channel(1);
        let callback = move |_: notify::Result<notify::Event>| {
            let _ = happened.try_send(());
        };
        let files: Vec<PathBuf> = files.into_iter().collect();
        let directories: BTreeSet<PathBuf> = files.iter().flat_map(|f| directories(f)).collect();
        let failed =
            |directory: &Path, cause| WatchError::Notify { directory: directory.to_owned(), cause };
        let mut watcher = notify::recommended_watcher(callback)
            .map_err(|cause| failed(directories.first().map_or(Path::new("."), |d| d), cause))?;
        for directory in &directories {
            watcher
                .watch(directory, RecursiveMode::NonRecursive)
                .map_err(|cause| failed(directory, cause))?;
        }
        let hashes = RandomState::new();
        // Looked at only after watching began, so that no change falls in between.
        let files = files.into_iter().map(|file| {
            let content = content(&hashes, &file);
            (file, content)
        });
        let files = files.collect();
        let hangup = signal(SignalKind::hangup()).map_err(WatchError::Signal)?;
        Ok(Self { files, hashes, events, hangup, _watcher: watcher })
    }

    /// The next reason to read again. Cancel safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Trigger {
        loop {
            tokio::select! {
                Some(()) = self.hangup.recv() => {
                    self.look();
                    return Trigger::Signal;
                }
                Some(()) = self.events.recv() => {}
            }
            let settled =
                async { while tokio::time::timeout(QUIET, self.events.recv()).await.is_ok() {} };
            // Cut or quiet: now is the time to look.
            let _ = tokio::time::timeout(MOST, settled).await;
            let changed = self.look();
            if !changed.is_empty() {
                return Trigger::Files(changed);
            }
        }
    }

    /// Reads every file; returns those whose content is another than last time.
    fn look(&mut self) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (file, known) in &mut self.files {
            let now = content(&self.hashes, file);
            if now != *known {
                *known = now;
                changed.push(file.clone());
            }
        }
        changed
    }
}

/// What stands in a file, as a number; `None` when it cannot be read. For large files size and
/// time stand for the content: a database is replaced, not edited.
fn content(hashes: &RandomState, file: &Path) -> Option<u64> {
    const LARGE: u64 = 16 << 20;
    let meta = std::fs::metadata(file).ok()?;
    if meta.len() > LARGE {
        return Some(hashes.hash_one((meta.len(), meta.modified().ok())));
    }
    Some(hashes.hash_one(std::fs::read(file).ok()?))
}

/// Where changes of a file show: beside it, and beside what it links to.
fn directories(file: &Path) -> impl Iterator<Item = PathBuf> {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let real = file.canonicalize().ok();
    [Some(parent(file)), real.as_deref().map(parent)].into_iter().flatten()
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal => f.write_str("SIGHUP"),
            Self::Files(files) => {
                for (i, file) in files.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, file.display())?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    async fn next(watch: &mut Watch) -> Trigger {
        tokio::time::timeout(Duration::from_secs(20), watch.changed()).await.expect("a trigger")
    }

    #[tokio::test]
    async fn a_replaced_file_is_one_trigger_and_a_touched_one_none() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        let mut watch = Watch::new([a.clone(), b.clone()]).unwrap();
        fs::write(&b, "1").unwrap();
        fs::write(folder.path().join("a.new"), "2").unwrap();
        fs::rename(folder.path().join("a.new"), &a).unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![a]));
    }

    #[tokio::test]
    async fn a_swapped_link_to_a_folder_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["v1", "v2"] {
            fs::create_dir(folder.path().join(version)).unwrap();
            fs::write(folder.path().join(version).join("file"), version).unwrap();
        }
        symlink("v1", folder.path().join("..data")).unwrap();
        symlink("..data/file", folder.path().join("file")).unwrap();
        let file = folder.path().join("file");
        let mut watch = Watch::new([file.clone()]).unwrap();
        symlink("v2", folder.path().join("..new")).unwrap();
        fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![file]));
    }

    #[tokio::test]
    async fn a_file_that_goes_and_comes_back_is_seen_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "1").unwrap();
        let mut watch = Watch::new([file.clone()]).unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![file.clone()]));
        fs::write(&file, "1").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![file]));
    }
}
