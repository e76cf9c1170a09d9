//! When to read files again: SIGHUP, or their content changed.
//!
//! Directories are watched, not files, so editors that rename and Kubernetes' symlink swaps are
//! seen; a burst of events becomes one trigger; a file whose content is what it was is none.
//! Where no events come (network file systems, a directory that was replaced), files are looked
//! at every half minute.
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

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::hash::Hasher;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::files;

/// How long it must be quiet after a change: writers replace several files one after the other.
const QUIET: Duration = Duration::from_millis(200);

/// How long a burst may keep us waiting.
const LONGEST_BURST: Duration = Duration::from_secs(2);

/// How often files are looked at without an event.
const POLL: Duration = Duration::from_secs(30);

/// Watches files.
#[derive(Debug)]
pub struct Watch {
    known: BTreeMap<PathBuf, Seen>,
    hangup: Signal,
    events: mpsc::Receiver<()>,
    poll: Interval,
    /// Something happened that was not looked at yet.
    dirty: bool,
    /// SIGHUP came and was not passed on yet.
    hung_up: bool,
    /// Events come while it lives.
    watcher: RecommendedWatcher,
    directories: BTreeSet<PathBuf>,
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
    #[error("cannot watch {}: {cause}", .directory.display())]
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

/// What a file was when last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Device, inode, length, modified and changed: while they stay, so does the content.
    about: Option<[i64; 7]>,
    content: Option<u64>,
}

impl Watch {
    /// Watches the directories of `files` and listens for SIGHUP.
    ///
    /// # Errors
    ///
    /// [`WatchError`].
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Result<Self, WatchError> {
        // One place: however many events wait, they say "look".
        let (sender, events) = mpsc::channel(1);
        let handler = move |_: notify::Result<notify::Event>| {
            let _ = sender.try_send(());
        };
        let watcher = notify::recommended_watcher(handler)
            .map_err(|cause| WatchError::Notify { directory: PathBuf::from("."), cause })?;
        let mut poll = tokio::time::interval_at(Instant::now() + POLL, POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Self {
            known: BTreeMap::new(),
            hangup: signal(SignalKind::hangup()).map_err(WatchError::Signal)?,
            events,
            poll,
            dirty: false,
            hung_up: false,
            watcher,
            directories: BTreeSet::new(),
        };
        watch.set_files(files);
        Ok(watch)
    }

    /// Watches these files from now on, instead of those before. The content of new ones is what
    /// it is now: look whether it is still what was read.
    ///
    /// A directory that cannot be watched is said so and no error: its files are looked at every
    /// half minute.
    pub fn set_files(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        let files: BTreeSet<PathBuf> = files.into_iter().collect();
        let mut directories: BTreeSet<PathBuf> =
            files.iter().flat_map(|file| directories_of(file)).collect();
        directories.retain(|directory| {
            if self.directories.contains(directory) {
                return true;
            }
            let watched = self.watcher.watch(directory, RecursiveMode::NonRecursive);
            if let Err(error) = &watched {
                tracing::warn!(
                    directory = %directory.display(), %error,
                    "cannot watch for changes; looking every half minute instead"
                );
            }
            watched.is_ok()
        });
        for gone in self.directories.difference(&directories) {
            let _ = self.watcher.unwatch(gone); // at worst a few events too many
        }
        self.directories = directories;
        self.known.retain(|file, _| files.contains(file));
        for file in files {
            self.known.entry(file).or_insert_with_key(|file| look(file, &Seen::default()));
        }
    }

    /// The next reason to read again. Cancel safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Trigger {
        loop {
            if !self.dirty {
                tokio::select! {
                    _ = self.hangup.recv() => self.hung_up = true,
                    _ = self.events.recv() => {}
                    _ = self.poll.tick() => {}
                }
                self.dirty = true;
            }
            self.settle().await;
            let known = self.known.clone();
            // Reading can take long on a slow disk; other tasks go on meanwhile.
            let looked = tokio::task::spawn_blocking(move || {
                let look = |(file, seen): (PathBuf, Seen)| {
                    let now = look(&file, &seen);
                    (file, now)
                };
                known.into_iter().map(look).collect::<BTreeMap<_, _>>()
            });
            let Ok(now) = looked.await else { continue };
            self.dirty = false;
            let differs = |file: &&PathBuf| {
                now.get(*file).map(|seen| seen.content)
                    != self.known.get(*file).map(|seen| seen.content)
            };
            let changed: Vec<PathBuf> = now.keys().filter(differs).cloned().collect();
            self.known = now;
            if std::mem::take(&mut self.hung_up) {
                return Trigger::Signal;
            }
            if !changed.is_empty() {
                return Trigger::Files(changed);
            }
        }
    }

    /// Waits until it has been quiet for a moment, or somebody asks for it now.
    async fn settle(&mut self) {
        let latest = Instant::now() + LONGEST_BURST;
        while !self.hung_up {
            let quiet = (Instant::now() + QUIET).min(latest);
            tokio::select! {
                _ = self.hangup.recv() => self.hung_up = true,
                Some(()) = self.events.recv(), if quiet < latest => {}
                () = tokio::time::sleep_until(quiet) => return,
            }
        }
    }
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

/// Where a change of a file shows: beside it, and beside what it links to.
fn directories_of(file: &Path) -> impl Iterator<Item = PathBuf> {
    let beside = |file: &Path| match file.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    };
    let linked = file.canonicalize().ok().map(|file| beside(&file));
    [Some(beside(file)), linked].into_iter().flatten()
}

/// What a file is now; its content is read only if anything else about it differs.
fn look(file: &Path, before: &Seen) -> Seen {
    let Ok(about) = fs::metadata(file) else { return Seen::default() };
    let inode = [about.dev().cast_signed(), about.ino().cast_signed(), about.size().cast_signed()];
    let [device, inode, size] = inode;
    let about =
        [device, inode, size, about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
    if before.about == Some(about) {
        return *before;
    }
    Seen { about: Some(about), content: fingerprint(file) }
}

/// A hash of the content. Not against an adversary: whoever can write the file needs no
/// collision.
fn fingerprint(file: &Path) -> Option<u64> {
    let (mut file, _) = files::open(file).ok()?;
    let mut hasher = DefaultHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer).ok()? {
            0 => return Some(hasher.finish()),
            read => hasher.write(&buffer[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Long enough for the slowest machine; passing tests do not wait for it.
    const SOON: Duration = Duration::from_secs(20); // less than POLL

    async fn next(watch: &mut Watch) -> Trigger {
        tokio::time::timeout(SOON, watch.changed()).await.expect("a trigger in time")
    }

    /// Nothing was triggered: the next trigger is that of `marker`, written now.
    async fn nothing_but(watch: &mut Watch, marker: &Path) {
        fs::write(marker, "marker").unwrap();
        assert_eq!(next(watch).await, Trigger::Files(vec![marker.to_owned()]));
        fs::remove_file(marker).unwrap();
        assert_eq!(next(watch).await, Trigger::Files(vec![marker.to_owned()]));
    }

    #[tokio::test]
    async fn content_that_changes_triggers_once_however_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "1").unwrap();
        let mut watch = Watch::new([path("a"), path("b"), path("marker")]).unwrap();

        fs::write(path("a"), "2").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![path("a")]));
        fs::write(path("new"), "3").unwrap();
        fs::rename(path("new"), path("a")).unwrap(); // as editors do
        fs::write(path("b"), "1").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![path("a"), path("b")]));
        fs::remove_file(path("b")).unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![path("b")]));

        fs::write(path("a"), "3").unwrap(); // what it was
        fs::write(path("stranger"), "x").unwrap();
        nothing_but(&mut watch, &path("marker")).await;
    }

    #[tokio::test]
    async fn a_symlink_swap_is_a_change() {
        // As Kubernetes mounts a Secret: tls.crt -> ..data/tls.crt, ..data -> ..2026_1
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (version, content) in [("..2026_1", "1"), ("..2026_2", "2")] {
            fs::create_dir(path(version)).unwrap();
            fs::write(path(version).join("tls.crt"), content).unwrap();
        }
        symlink("..2026_1", path("..data")).unwrap();
        symlink("..data/tls.crt", path("tls.crt")).unwrap();
        let mut watch = Watch::new([path("tls.crt"), path("marker")]).unwrap();

        symlink("..2026_2", path("..tmp")).unwrap();
        fs::rename(path("..tmp"), path("..data")).unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![path("tls.crt")]));
        nothing_but(&mut watch, &path("marker")).await;
    }

    #[tokio::test]
    async fn what_a_link_leads_to_is_watched_too() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (link, file) = (here.path().join("link"), there.path().join("file"));
        fs::write(&file, "1").unwrap();
        symlink(&file, &link).unwrap();
        let mut watch = Watch::new([link.clone()]).unwrap();
        fs::write(&file, "2").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![link]));
    }

    #[tokio::test]
    async fn a_dropped_wait_loses_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        let mut watch = Watch::new([file.clone()]).unwrap();
        fs::write(&file, "1").unwrap();
        for _ in 0..100 {
            // Polled once or twice, then dropped wherever it is.
            tokio::select! {
                biased;
                trigger = watch.changed() => {
                    assert_eq!(trigger, Trigger::Files(vec![file.clone()]));
                    return; // a very slow machine
                }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![file]));
    }

    #[tokio::test]
    async fn files_can_be_exchanged() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (a, b) = (one.path().join("a"), two.path().join("b"));
        let mut watch = Watch::new([a.clone()]).unwrap();
        watch.set_files([b.clone()]);
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![b.clone()]));
        // A folder that is not there is no error, and takes nothing from the others.
        watch.set_files([one.path().join("none/c"), b.clone()]);
        fs::write(&b, "2").unwrap();
        assert_eq!(next(&mut watch).await, Trigger::Files(vec![b]));
    }
}
