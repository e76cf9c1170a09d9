//! DNS over TCP (RFC 7766): length-prefixed messages, several to a connection.
//!
//! A connection is a task; it can be slow, silent or endless without anybody else noticing:
//!
//! ```text
//!  accept ─▶ Table: a seat ─▶ wait for a query ─▶ whole within `slow` ─▶ answer ─▶ taken within `slow`
//!              │ full: the         │ silent for the idle time,                         │
//!              ▼ idlest leaves     ▼ too old, asked too often: end ◀──────────────────┘
//!
//!  from a proxy: accept ─▶ a seat ─▶ its header, whole within `slow`: now it is the client's
//! ```
//!
//! While it waits it holds its socket and little else: the large buffer that an answer is made in
//! is on loan for the making alone, so there are as many as threads and not as connections.

mod conversation;
mod desk;
mod inbox;
mod table;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daemon::quiet::Quiet;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Worker;
use crate::plan::Published;

use super::deferred::Deferred;
use super::proxy::Malformed;
use conversation::Conversation;
use desk::Desks;
use table::Table;

/// After the system refused to accept (no descriptors left): pause, then try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the connections of one listener may hold (RFC 9210 §4.2 names these limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. One more, and the idlest is closed for it.
    pub connections: usize,
    /// Connections of one client, which is an IPv4 address or an IPv6 /56: several resolvers
    /// behind one NAT, not one attacker. More are closed at once.
    pub per_client: usize,
    /// How long a connection may be silent while there is room (RFC 7766 §6.2.3: "of the order of
    /// a few seconds").
    pub idle: Duration,
    /// How long when there is none; between the two it shrinks in proportion. Also how often a
    /// silent connection is looked at.
    pub least_idle: Duration,
    /// Within this a query must have arrived whole, and an answer must have been taken.
    pub slow: Duration,
    /// Queries of one connection: as many as there are message ids, a minute of a busy resolver.
    pub queries: u32,
    /// Queries of one connection that somebody else answers ([`Deferred`]) and that may wait at
    /// once; then no more are read from it. A fraction of what may wait in all, so that no
    /// connection can fill the queue.
    pub in_flight: usize,
    /// How long a connection lasts at most, so that nobody owns a place.
    pub lifetime: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_client: 128,
            idle: Duration::from_secs(10),
            least_idle: Duration::from_secs(1),
            slow: Duration::from_secs(5),
            queries: 1 << 16,
            in_flight: 16,
            lifetime: Duration::from_secs(300),
        }
    }
}

/// Where answers come from and what they go through; one listener's.
pub struct Server<F> {
    limits: Limits,
    plan: Arc<Published>,
    deferred: Deferred,
    proxies: Arc<[IpNet]>,
    desks: Desks<F>,
    quiet: Quiet,
}

impl<F: Fn() -> Worker + Send + Sync + 'static> Server<F> {
    /// A server whose threads each get a worker. Peers inside `proxies` must say first whom they
    /// stand for ([`super::proxy`]); nobody else is understood who does.
    pub fn new(
        limits: Limits,
        plan: Arc<Published>,
        deferred: Deferred,
        proxies: Arc<[IpNet]>,
        new_worker: F,
    ) -> Self {
        let (desks, quiet) = (Desks::new(new_worker), Quiet::default());
        Self { limits, plan, deferred, proxies, desks, quiet }
    }

    /// Accepts until told to stop, then lets running answers finish. Nothing that accepting can fail
    /// with ends it: it passes.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let server = Arc::new(self);
        let places = Arc::new(Semaphore::new(server.limits.connections));
        let table = Table::new(server.limits, Instant::now());
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(suppressed) = server.quiet.pass() {
                        tracing::warn!(%error, suppressed, "accepting failed; going on");
                    }
                    if is_out_of_descriptors(&error) {
                        table.make_room();
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let proxied = server.is_proxy(peer);
            let seat = if proxied {
                table.admit_unknown(Instant::now())
            } else {
                // Over its share a client is turned away at once: the resolver tries another
                // server.
                let Some(seat) = table.admit(peer.ip(), Instant::now()) else { continue };
                seat
            };
            // Whoever had to leave for it is gone in a moment; until then nobody else is accepted.
            let place = tokio::select! {
                place = Arc::clone(&places).acquire_owned() => place,
                () = stop.cancelled() => break,
            };
            let leave = seat.leave();
            let talk = Conversation::new(Arc::clone(&server), stream, peer, seat, stop.clone());
            tasks.spawn(async move {
                let talking = async {
                    let talk = talk?;
                    if proxied { talk.run_proxied().await } else { talk.run().await }
                };
                match leave.run_until_cancelled(talking).await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
                    None => tracing::debug!(%peer, "connection closed in favour of a newcomer"),
                }
                drop(place);
            });
        }
        tasks.close();
        tasks.wait().await;
    }
}

impl<F> Server<F> {
    fn is_proxy(&self, peer: SocketAddr) -> bool {
        let address = peer.ip().to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Says so to the operator, who has configured one side or the other wrongly.
    fn not_a_proxy(&self, peer: SocketAddr, malformed: Malformed) {
        if let Some(suppressed) = self.quiet.pass() {
            tracing::warn!(
                %peer, %malformed, suppressed,
                "a peer inside [listen] proxy does not speak the PROXY protocol; closed"
            );
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
