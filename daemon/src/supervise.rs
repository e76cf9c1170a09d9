//! Tasks that must not die quietly: a panic or an error restarts them, and too many of those end
//! the program with the reason.
//!
//! ```no_run
//! # use daemon::supervise::{Intensity, Supervisor};
//! # use daemon::shutdown::CancellationToken;
//! # async fn probe_all(_: CancellationToken) -> std::io::Result<()> { Ok(()) }
//! # async fn main_(stop: CancellationToken) -> std::process::ExitCode {
//! let mut supervisor = Supervisor::new(Intensity::default(), stop.clone());
//! supervisor.spawn("prober", { let stop = stop.clone(); move || probe_all(stop.clone()) });
//! match supervisor.wait(std::time::Duration::from_secs(10)).await {
//!     Ok(()) => std::process::ExitCode::SUCCESS,
//!     Err(exhausted) => {
//!         tracing::error!("{exhausted}");
//!         std::process::ExitCode::from(daemon::supervise::EXIT_EXHAUSTED)
//!     }
//! }
//! # }
//! ```

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use crate::shutdown::CancellationToken;

/// The exit status of a program that gave up (`EX_SOFTWARE` of sysexits.h).
pub const EXIT_EXHAUSTED: u8 = 70;

/// How many restarts within how long are still bad luck, not a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts of one task tolerated within the window.
    pub restarts: u32,
    /// The window.
    pub within: Duration,
}

/// A task failed more often than [`Intensity`] tolerates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{task} failed more than {} times within {:?}, giving up; the last time: {cause}", .intensity.restarts, .intensity.within)]
pub struct Exhausted {
    /// The task's name.
    pub task: &'static str,
    /// The last error or panic message.
    pub cause: String,
    /// The limit that was passed.
    pub intensity: Intensity,
}

/// Owns the program's long-running tasks.
#[derive(Debug)]
pub struct Supervisor {
    _todo: (),
}

impl Default for Intensity {
    fn default() -> Self {
        Self { restarts: 5, within: Duration::from_secs(60) }
    }
}

impl Supervisor {
    /// A supervisor whose tasks are asked to end by cancelling `stop`.
    pub fn new(intensity: Intensity, stop: CancellationToken) -> Self {
        let _ = (intensity, stop);
        todo!()
    }

    /// Runs what `factory` makes, and makes it anew after a panic or an `Err`, with back-off.
    /// `Ok(())` means the task is done and is not run again.
    pub fn spawn<F, Fut, E>(&mut self, name: &'static str, factory: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let _ = (name, factory);
        todo!()
    }

    /// Waits until every task is done, or `stop` is cancelled and `grace` has passed (what still
    /// runs then is aborted and named in the log).
    ///
    /// # Errors
    ///
    /// [`Exhausted`]: a task failed too often; `stop` is cancelled so that the others leave in
    /// order, within `grace`.
    pub async fn wait(self, grace: Duration) -> Result<(), Exhausted> {
        let _ = grace;
        todo!()
    }
}
