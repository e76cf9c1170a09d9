//! When to stop: a token that SIGTERM and SIGINT cancel.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let stop = daemon::shutdown::on_signals()?;
//! tokio::spawn({ let stop = stop.clone(); async move { stop.cancelled().await } });
//! # Ok(()) }
//! ```

pub use tokio_util::sync::CancellationToken;

/// A token cancelled by the first SIGTERM or SIGINT. A second one ends the process at once,
/// with status 128 + signal number: somebody is impatient.
///
/// # Errors
///
/// When signal handlers cannot be installed.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    todo!()
}
