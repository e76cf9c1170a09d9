//! DNS over TCP (RFC 7766): length-prefixed messages, several to a connection.
//!
//! A connection is a task; it can be slow, silent or endless without anybody else noticing:
//!
//! ```text
//!  accept ─▶ Table: a seat ─▶ wait for a query ─▶ whole within `slow` ─▶ answer ─▶ taken within `slow`
//!              │ full: the         │ silent for the idle time,                         │
//!              ▼ idlest leaves     ▼ too old, asked too often: end ◀──────────────────┘
//!
//!  from a proxy: accept ─▶ the lobby ─▶ its header, whole within `slow` ─▶ Table: the client's seat
//! ```
//!
//! All listeners of a node seat their connections at one table: its limits are the node's, and whoever
//! floods one address has to leave for a newcomer at another.
//!
//! While it waits it holds its socket and little else: the large buffer that an answer is made in
//! is on loan for the making alone, so there are as many as threads and not as connections.

mod budget;
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
use crate::config::{TCP_CONNECTIONS, TCP_IDLE, TCP_SHARE};
use crate::plan::Published;

use super::deferred::Deferred;
use super::proxy::Malformed;
use budget::Budget;
use conversation::Conversation;
use desk::Desks;
use table::Table;

/// After the system refused to accept (no descriptors left) and no place could be made: pause, then
/// try again. Whoever has to leave is waited for that long at most.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// So many have to leave in a row for one that cannot be accepted; then there is a pause all the
/// same. Descriptors that others take as fast must not cost us every connection.
const EVICTIONS: u32 = 8;

/// What the connections of a node may hold (RFC 9210 §4.2 names these limits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. One more, and the idlest is closed for it.
    pub connections: usize,
    /// Connections from proxies that have not said yet for whom, beside the others. One more, and
    /// the oldest of them is closed.
    pub pending: usize,
    /// Octets of messages above 4 KiB that are not whole yet, of all connections together. For one
    /// more, whoever has been at it longest is closed. A thousand of the longest.
    pub unfinished: usize,
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
            connections: TCP_CONNECTIONS,
            pending: 512,
            unfinished: 64 << 20,
            per_client: TCP_CONNECTIONS / TCP_SHARE,
            idle: TCP_IDLE,
            least_idle: Duration::from_secs(1),
            slow: Duration::from_secs(5),
            in_flight: 16,
            lifetime: Duration::from_secs(300),
        }
    }
}

/// The connections of all listeners of a node.
#[derive(Clone)]
pub struct Connections {
    limits: Limits,
    table: Arc<Table>,
    budget: Arc<Budget>,
    /// Counts sockets; the table counts those who may stay.
    places: Arc<Semaphore>,
}

impl Connections {
    /// None yet.
    pub fn new(limits: Limits) -> Self {
        let most = limits.connections.saturating_add(limits.pending).min(Semaphore::MAX_PERMITS);
        let table = Table::new(limits, Instant::now());
        let budget = Budget::new(limits.unfinished);
        Self { limits, table, budget, places: Arc::new(Semaphore::new(most)) }
    }
}

/// Where answers come from and what they go through; one listener's.
pub struct Server<F> {
    limits: Limits,
    connections: Connections,
    plan: Arc<Published>,
    deferred: Deferred,
    proxies: Arc<[IpNet]>,
    desks: Desks<F>,
    /// Of accepting, which strangers can make fail; of proxies, whose mistakes must not hide that.
    failing: Quiet,
    malformed: Quiet,
}

impl<F: Fn() -> Worker + Send + Sync + 'static> Server<F> {
    /// A server whose threads each get a worker. Peers inside `proxies` must say first whom they
    /// stand for ([`super::proxy`]); nobody else is understood who does.
    pub fn new(
        connections: Connections,
        plan: Arc<Published>,
        deferred: Deferred,
        proxies: Arc<[IpNet]>,
        new_worker: F,
    ) -> Self {
        Self {
            limits: connections.limits,
            connections,
            plan,
            deferred,
            proxies,
            desks: Desks::new(new_worker),
            failing: Quiet::default(),
            malformed: Quiet::default(),
        }
    }

    /// Accepts until told to stop, then lets running answers finish. Nothing that accepting can fail
    /// with ends it: it passes.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let server = Arc::new(self);
        let Connections { table, places, .. } = &server.connections;
        let tasks = TaskTracker::new();
        let mut evicted = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(suppressed) = server.failing.pass() {
                        tracing::warn!(%error, suppressed, "accepting failed; going on");
                    }
                    let tries = is_out_of_descriptors(&error) && evicted < EVICTIONS;
                    if tries && table.make_room(ACCEPT_PAUSE).await {
                        evicted += 1;
                    } else {
                        evicted = 0;
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    continue;
                }
            };
            evicted = 0;
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
                place = Arc::clone(places).acquire_owned() => place,
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
        if let Some(suppressed) = self.malformed.pass() {
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
