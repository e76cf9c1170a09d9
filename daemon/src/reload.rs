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

use std::fmt;
use std::path::PathBuf;

/// Watches files.
#[derive(Debug)]
pub struct Watch {
    _todo: (),
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
        let _ = files.into_iter();
        todo!()
    }

    /// The next reason to read again. Cancel safe: nothing is lost when the future is dropped.
    pub async fn changed(&mut self) -> Trigger {
        todo!()
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
