//! What one server endures.

use std::time::Duration;

/// The largest HTTP/2 frame accepted, in bytes: the smallest that may be announced (RFC 9113
/// §4.2). Our messages are small; larger frames would only let one stream block the others.
pub(super) const FRAME_SIZE: u32 = 16 * 1024;

/// Bytes a peer may send on one stream before we read them.
pub(super) const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes a peer may send on one connection before we read them: what it can make us hold.
pub(super) const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// What one server endures; every field says how to choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, unfinished handshakes included; below the limit of open files.
    pub connections: usize,
    /// Unfinished handshakes at once; past it the oldest gives way, so that a flood of stalled
    /// ones never keeps a new caller out.
    pub handshakes: usize,
    /// How long a handshake may take; several round trips of the worst network.
    pub handshake_timeout: Duration,
    /// RPCs at once on one connection; a proxy's worth.
    pub streams: u32,
    /// The largest request message, in bytes; past it RESOURCE_EXHAUSTED.
    pub message: usize,
    /// The largest header list, in bytes; gRPC needs a few hundred.
    pub header_list: u32,
    /// How long an RPC may take until its answer begins.
    pub request_timeout: Duration,
    /// Streams that were reset before we looked at them (rapid reset, CVE-2023-44487); past it
    /// GOAWAY.
    pub pending_resets: usize,
    /// Streams that *we* had to reset for the peer's errors (MadeYouReset, CVE-2025-8671); past
    /// it GOAWAY.
    pub error_resets: usize,
    /// How often a silent peer is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer.
    pub keepalive_timeout: Duration,
    /// How long a connection lives until it gets a GOAWAY; a certificate that expired or was
    /// revoked meanwhile is noticed at the next handshake, at most this later.
    pub connection_age: Duration,
    /// How long RPCs may go on after that GOAWAY; longer than `request_timeout`.
    pub connection_grace: Duration,
    /// How long we answer while saying NOT_SERVING; as long as clients take to notice.
    pub drain_wait: Duration,
    /// How long RPCs may go on after the GOAWAY of a shutdown.
    pub drain_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const fn seconds(seconds: u64) -> Duration {
            Duration::from_secs(seconds)
        }
        Self {
            connections: 4096,
            handshakes: 1024,
            handshake_timeout: seconds(5),
            streams: 128,
            message: 1024 * 1024,
            header_list: 16 * 1024,
            request_timeout: seconds(30),
            pending_resets: 20,
            error_resets: 64,
            keepalive_interval: seconds(30),
            keepalive_timeout: seconds(10),
            connection_age: seconds(300),
            connection_grace: seconds(60),
            drain_wait: seconds(5),
            drain_deadline: seconds(20),
        }
    }
}
