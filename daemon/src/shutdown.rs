//! When to stop: a token that SIGTERM and SIGINT cancel.
//!
//! ```no_run
//! # async fn run() -> std::io::Result<()> {
//! let stop = daemon::shutdown::on_signals()?;
//! tokio::spawn({ let stop = stop.clone(); async move { stop.cancelled().await } });
//! # Ok(()) }
//! ```

use tokio::signal::unix::{Signal, SignalKind, signal};
pub use tokio_util::sync::CancellationToken;

/// A token cancelled by the first SIGTERM or SIGINT. A second one ends the process at once,
/// with status 128 + signal number: somebody is impatient.
///
/// # Errors
///
/// When signal handlers cannot be installed.
pub fn on_signals() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        let (name, _) = either(&mut terminate, &mut interrupt).await;
        tracing::info!("{name}: leaving in order; once more ends at once");
        token.cancel();
        let (name, status) = either(&mut terminate, &mut interrupt).await;
        tracing::warn!("{name} again: leaving at once");
        std::process::exit(status);
    });
    Ok(stop)
}

/// The name of the signal that came, and the exit status that stands for it.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = terminate.recv() => ("SIGTERM", 128 + 15),
        _ = interrupt.recv() => ("SIGINT", 128 + 2),
    }
}
