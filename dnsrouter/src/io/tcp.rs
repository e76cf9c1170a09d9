//! DNS over TCP (RFC 7766): length-prefixed messages, several to a connection.
//!
//! A connection is a task; it can be slow, silent or endless without anybody else noticing:
//!
//! ```text
//!  accept ─▶ Table: a seat ─▶ wait for a query ─▶ whole within `slow` ─▶ answer ─▶ taken within `slow`
//!              │ full: the         │ silent for the idle time,                         │
//!              ▼ idlest leaves     ▼ too old, asked too often: end ◀──────────────────┘
//! ```
//!
//! While it waits it holds its socket and little else: the large buffer that an answer is made in
//! is on loan for the making alone, so there are as many as threads and not as connections.

mod table;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use daemon::quiet::Quiet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use crate::plan::Published;

use table::{Seat, Table};

/// After so many answers in a row a connection lets the others of its thread go first. Pipelined
/// queries are always ready, so it would not wait on its own.
const YIELD_EVERY: u32 = 16;
/// What stays allocated between two queries of a connection: an ordinary query is smaller.
const KEPT_FOR_QUERY: usize = 512;
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
            lifetime: Duration::from_secs(300),
        }
    }
}

/// Accepts until told to stop, then lets running answers finish.
///
/// # Errors
///
/// None that end the listener: what accepting can fail with passes.
pub async fn run(
    listener: TcpListener,
    plan: Arc<Published>,
    new_worker: impl Fn() -> Worker + Send + Sync + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    run_within(Limits::default(), listener, plan, new_worker, stop).await
}

/// [`run`] with limits of one's own.
///
/// # Errors
///
/// As there.
pub async fn run_within(
    limits: Limits,
    listener: TcpListener,
    plan: Arc<Published>,
    new_worker: impl Fn() -> Worker + Send + Sync + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(limits.connections));
    let table = Table::new(limits, Instant::now());
    let desks = Arc::new(Desks { free: Mutex::default(), new_worker });
    let tasks = TaskTracker::new();
    let quiet = Quiet::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(suppressed) = quiet.pass() {
                    tracing::warn!(%error, suppressed, "accepting failed; going on");
                }
                if is_out_of_descriptors(&error) {
                    table.make_room();
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Over its share a client is turned away at once: the resolver tries another server.
        let Some(seat) = table.admit(peer.ip(), Instant::now()) else { continue };
        // Whoever had to leave for it is gone in a moment; until then nobody else is accepted.
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = stop.cancelled() => break,
        };
        let (plan, stop, desks) = (Arc::clone(&plan), stop.clone(), Arc::clone(&desks));
        tasks.spawn(async move {
            let leave = seat.leave();
            let conversation = Conversation { stream, peer, plan, desks, seat, limits, stop };
            match leave.run_until_cancelled(conversation.run()).await {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(%peer, %error, "connection ended"),
                None => tracing::debug!(%peer, "connection closed in favour of a newcomer"),
            }
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// One connection, from its first query to its last.
struct Conversation<F> {
    stream: TcpStream,
    peer: SocketAddr,
    plan: Arc<Published>,
    desks: Arc<Desks<F>>,
    seat: Seat,
    limits: Limits,
    stop: CancellationToken,
}

impl<F: Fn() -> Worker> Conversation<F> {
    async fn run(mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let local = self.stream.local_addr()?;
        let born = Instant::now();
        let mut query = Vec::new();
        for asked in 1..=self.limits.queries {
            if born.elapsed() >= self.limits.lifetime || self.stop.is_cancelled() {
                return Ok(());
            }
            let mut prefix = [0; 2];
            let got = self.wait_for_query(&mut prefix).await?;
            if got == 0 {
                return Ok(());
            }
            let whole = read_query(&mut self.stream, prefix, got, &mut query);
            timeout(self.limits.slow, whole).await??;
            self.seat.touch(Instant::now());
            let Some(untaken) = self.answer(&query, local)? else { return Ok(()) };
            if !untaken.is_empty() {
                timeout(self.limits.slow, self.stream.write_all(&untaken)).await??;
                self.seat.touch(Instant::now());
            }
            query.clear();
            query.shrink_to(KEPT_FOR_QUERY);
            if asked % YIELD_EVERY == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// The first octets of a query, how many; 0 when none is to be waited for any longer.
    async fn wait_for_query(&mut self, prefix: &mut [u8; 2]) -> io::Result<usize> {
        let since = Instant::now();
        loop {
            tokio::select! {
                read = timeout(self.limits.least_idle, self.stream.read(prefix)) => match read {
                    Ok(got) => return got,
                    // What it may wait is looked up only now, and again each time: it shrinks
                    // when others come.
                    Err(_) if since.elapsed() < self.seat.idle_time() => {}
                    Err(_) => return Ok(0),
                },
                () = self.stop.cancelled() => return Ok(0),
            }
        }
    }

    /// Answers, and sends what the peer takes at once; returns the rest, or none to hang up.
    fn answer(&self, query: &[u8], local: SocketAddr) -> io::Result<Option<Vec<u8>>> {
        self.desks.lend(|Desk { worker, answer }| {
            let asked = Query {
                bytes: query,
                peer: self.peer,
                local,
                transport: Transport::Tcp { idle: self.seat.idle_time() },
                now: SystemTime::now(),
            };
            let reply = answer_or_servfail(&self.plan.load(), worker, asked, &mut answer[2..]);
            let Reply::Bytes(length) = reply else { return Ok(None) };
            let prefix = u16::try_from(length).map_err(io::Error::other)?;
            // Length and message go out in one write.
            answer[..2].copy_from_slice(&prefix.to_be_bytes());
            let whole = &answer[..2 + length];
            match self.stream.try_write(whole) {
                Ok(taken) => Ok(Some(whole[taken..].to_vec())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(whole.to_vec())),
                Err(error) => Err(error),
            }
        })
    }
}

/// Reads the rest of a message of which `got` octets of the length are there. The buffer grows as
/// octets come, not as the length promises.
async fn read_query(
    stream: &mut TcpStream,
    mut prefix: [u8; 2],
    got: usize,
    query: &mut Vec<u8>,
) -> io::Result<()> {
    stream.read_exact(&mut prefix[got..]).await?;
    let length = usize::from(u16::from_be_bytes(prefix));
    query.reserve(length.min(KEPT_FOR_QUERY));
    let arrived = stream.take(length as u64).read_to_end(query).await?;
    if arrived < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// What it takes to make an answer: counters, randomness, and room for the longest message.
struct Desk {
    worker: Worker,
    answer: Vec<u8>,
}

/// Desks nobody sits at. One is held without an `await`, so there are no more than threads, and
/// counters grow with threads too.
struct Desks<F> {
    free: Mutex<Vec<Desk>>,
    new_worker: F,
}

impl<F: Fn() -> Worker> Desks<F> {
    fn lend<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> T {
        let free = || self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = free().pop();
        let mut desk = taken.unwrap_or_else(|| Desk {
            worker: (self.new_worker)(),
            answer: vec![0; 2 + usize::from(u16::MAX)],
        });
        let result = work(&mut desk);
        free().push(desk);
        result
    }
}
