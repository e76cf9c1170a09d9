//! What cannot be answered without waiting: updates, and whatever bears a transaction signature.
//!
//! ```text
//!  io::udp, io::tcp ──answer() says Deferred──▶ Deferred::submit ──bounded──▶ one task ──done(reply)──▶ the client
//! ```
//!
//! The thread that received the query copies its octets, submits them and goes on; it never waits.
//! A full queue is told at once: over UDP the client hears nothing and asks again, over TCP the
//! connection is closed.

use std::net::SocketAddr;

use tokio::sync::mpsc;

use crate::answer::Transport;

/// Jobs that may wait. A signed message takes some microseconds to verify, an update some
/// milliseconds to reach the disk: what waits longer than these a client has asked again by then.
pub const MAX_WAITING: usize = 256;

/// One message that somebody else answers.
pub struct Job {
    /// As received.
    pub bytes: Box<[u8]>,
    /// Who sent it.
    pub peer: SocketAddr,
    /// The address it was sent to.
    pub local: SocketAddr,
    /// How it came, and so how long its reply may be.
    pub transport: Transport,
    /// Takes the reply to the client; called at most once. Dropped without a call: no reply.
    pub done: Box<dyn FnOnce(Vec<u8>) + Send>,
}

/// The queue's end that transports hold.
#[derive(Clone)]
pub struct Deferred {
    jobs: mpsc::Sender<Job>,
}

/// As many jobs wait as may; this one was dropped and nothing else changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_WAITING} updates and signed queries wait already; this one was dropped")]
pub struct Full;

impl Deferred {
    /// A queue, and the end that a handler takes jobs from.
    pub fn new() -> (Self, mpsc::Receiver<Job>) {
        let (jobs, waiting) = mpsc::channel(MAX_WAITING);
        (Self { jobs }, waiting)
    }

    /// Hands a job over, without waiting.
    ///
    /// # Errors
    ///
    /// [`Full`], also when nobody handles jobs any more.
    pub fn submit(&self, job: Job) -> Result<(), Full> {
        self.jobs.try_send(job).map_err(|_| Full)
    }
}
