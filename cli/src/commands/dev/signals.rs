//! SIGTERM and SIGINT, one after the other: the first asks to end, the next one to hurry. Neither
//! ends the process by itself, so that nothing is left behind.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Handlers; a signal that comes while nobody waits is not lost.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// # Errors
    /// The system's.
    pub(crate) fn new() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one. Returns the exit status that stands for it.
    pub(crate) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        }
    }
}
