//! DNS over UDP: one plain thread per socket, and the seam between receive and send.
//!
//! Every thread has a socket of its own on the same address (SO_REUSEPORT), so the kernel spreads
//! clients over threads and no two threads ever touch the same memory while they answer. A thread
//! waits for nothing but its socket: no lock, no allocation, no runtime.
//!
//! ```text
//!   kernel ──up to 32 queries──▶ answer each, all from one snapshot ──▶ up to 32 answers ──▶ kernel
//!             one call                                                   one call, no waiting
//! ```
//!
//! A batch is what has come already; nobody waits for it to fill. An answer leaves from the address
//! that was asked, also where the socket is bound to all of them (0.0.0.0, ::): clients ignore any
//! other, and firewalls between drop it.

mod nap;
mod own;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::quiet::Quiet;
use datagrams::{BATCH, Offer, Slot};
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use crate::plan::Published;

use super::deferred::{Deferred, Job};

use nap::Naps;

pub use own::Own;

/// No query is longer: the largest UDP payload we advertise, with room for padding options.
const QUERY_SIZE: usize = 4096;
/// The largest answer over UDP (RFC 9715 advises against fragments; `answer` stays below).
const ANSWER_SIZE: usize = 1232;
/// How often an idle thread looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(200);
/// Queries that may wait in the kernel while a thread is scheduled away.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A socket that shares its address with its siblings.
///
/// # Errors
///
/// Those of the system.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // Best effort: the system's rmem_max may allow less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Where answers come from and what they go through; one thread's.
pub struct Server {
    socket: Arc<UdpSocket>,
    bound: SocketAddr,
    plan: Arc<Published>,
    deferred: Deferred,
    own: Own,
    nap: Option<Duration>,
    untold: Quiet,
    queries: Box<[Slot<QUERY_SIZE>]>,
    answers: Box<[Slot<ANSWER_SIZE>]>,
}

impl Server {
    /// Prepares a bound socket, and everything that a thread needs to answer on it.
    ///
    /// # Errors
    ///
    /// Those of the system: the socket is not one for DNS over UDP.
    pub fn new(
        socket: Arc<UdpSocket>,
        plan: Arc<Published>,
        deferred: Deferred,
        own: Own,
    ) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        no_fragments(&socket, bound)?;
        datagrams::tell_no_more(&socket);
        if bound.ip().is_unspecified() {
            datagrams::tell_addresses(&socket, bound)?;
        }
        Ok(Self {
            socket,
            bound,
            plan,
            deferred,
            own,
            nap: None,
            untold: Quiet::default(),
            queries: (0..BATCH).map(|_| Slot::new()).collect(),
            answers: (0..BATCH).map(|_| Slot::new()).collect(),
        })
    }

    /// The same, waiting so long for more queries where they come densely; for 0 never.
    #[must_use]
    pub fn napping(self, nap: Duration) -> Self {
        Self { nap: Some(nap).filter(|nap| !nap.is_zero()), ..self }
    }

    /// Answers until told to stop. Allocates nothing but the jobs that others answer
    /// ([`Reply::Deferred`]).
    pub fn run(&mut self, worker: &mut Worker, stop: &CancellationToken) {
        let quiet = Quiet::default();
        let mut offer = Offer::default();
        let mut naps = self.nap.map(Naps::new);
        while !stop.is_cancelled() {
            let received = match datagrams::receive(
                &self.socket,
                &mut self.queries[..offer.slots()],
            ) {
                Ok(received) => received,
                // An ICMP error for an earlier answer shows up here; it concerns nobody else.
                Err(error) if is_transient(error.kind()) => continue,
                Err(error) => {
                    // What the system lacks (memory) it lacks for a while: no busy loop, no flood
                    // of log lines.
                    if let Some(suppressed) = quiet.pass() {
                        let local = self.bound;
                        tracing::warn!(%local, %error, suppressed, "receiving failed; going on");
                    }
                    std::thread::sleep(LOOK_UP);
                    continue;
                }
            };
            offer.filled(received);
            let now = SystemTime::now();
            let answered = self.answer(received, now, worker);
            self.send(answered, worker);
            if let Some(naps) = &mut naps {
                naps.after(received, now);
            }
        }
    }

    /// Makes the answers to the first so many queries; returns how many there are.
    fn answer(&mut self, received: usize, now: SystemTime, worker: &mut Worker) -> usize {
        let snapshot = self.plan.load();
        let mut answered = 0;
        for query in &self.queries[..received] {
            let Some(peer) = query.peer() else { continue };
            let asked = query.asked(self.bound.port());
            if asked.is_none() && query.is_cut() {
                // An answer from another address than the one asked helps nobody.
                if let Some(suppressed) = self.untold.pass() {
                    let local = self.bound;
                    tracing::warn!(
                        %local, suppressed,
                        "the socket's options leave no room for the address a query was sent to; \
                         dropped"
                    );
                }
                continue;
            }
            let local = asked.unwrap_or(self.bound);
            if self.own.is(peer, local) {
                worker.forged();
                continue;
            }
            let bytes = query.bytes();
            let answer = &mut self.answers[answered];
            let query = Query { bytes, peer, local, transport: Transport::Udp, now };
            match answer_or_servfail(&snapshot, worker, query, answer.buffer()) {
                Reply::Bytes(length) => {
                    answer.address(length, peer, asked);
                    answered += 1;
                }
                Reply::Drop => {}
                Reply::Deferred(lane) => {
                    let done = Box::new(later(Arc::clone(&self.socket), peer, asked));
                    let bytes = bytes.into();
                    let job = Job { bytes, peer, local, transport: Transport::Udp, lane, done };
                    if self.deferred.submit(job).is_err() {
                        worker.queue_full(lane);
                    }
                }
            }
        }
        answered
    }

    /// Sends the first so many answers. One that the kernel does not take is counted and left: who
    /// hears nothing asks again.
    fn send(&self, answered: usize, worker: &Worker) {
        let mut rest = &self.answers[..answered];
        while !rest.is_empty() {
            let sent = datagrams::send(&self.socket, rest).unwrap_or_else(|_| {
                worker.send_failed();
                1
            });
            rest = &rest[sent.max(1)..];
        }
    }
}

/// Sends a reply that somebody else has made, from the address that was asked.
fn later(
    socket: Arc<UdpSocket>,
    peer: SocketAddr,
    asked: Option<SocketAddr>,
) -> impl FnOnce(Vec<u8>) + Send {
    move |reply| {
        let mut answer = Slot::<ANSWER_SIZE>::new();
        let Some(room) = answer.buffer().get_mut(..reply.len()) else {
            tracing::error!(%peer, length = reply.len(), "a reply too long for UDP was not sent");
            return;
        };
        room.copy_from_slice(&reply);
        answer.address(reply.len(), peer, asked);
        if let Err(error) = datagrams::send(&socket, &[answer]) {
            tracing::debug!(%peer, %error, "the kernel did not take a reply");
        }
    }
}

fn is_transient(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock
            | ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::ConnectionRefused
    )
}

/// No answer is cut into fragments, of which an attacker could replace one, and no ICMP message,
/// which anybody can forge, has a say (RFC 9715 §3.1, R1 and R2). With its headers an answer has at
/// most 1,280 octets: it fits wherever IPv6 does.
///
/// In IPv4 that is IP_PMTUDISC_PROBE, not OMIT as elsewhere. Both ignore what the kernel learnt of a
/// path; OMIT leaves cutting to routers, while PROBE says "don't fragment". Such a packet needs no
/// identification (RFC 6864 §4.1), which costs the kernel more than any other step of sending one.
fn no_fragments(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::PROBE)?;
    } else {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::OMIT)?;
    }
    Ok(())
}

/// Runs a [`Server`] on a thread and waits for it; an error when it panicked.
///
/// # Errors
///
/// Those of the system, or that it panicked.
pub async fn supervised(
    server: io::Result<Server>,
    mut worker: Worker,
    stop: CancellationToken,
) -> Result<(), String> {
    let mut server = server.map_err(|error| error.to_string())?;
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("dns-udp".into()).spawn(move || {
        server.run(&mut worker, &stop);
        let _ = done.send(());
    });
    thread.map_err(|error| format!("no thread: {error}"))?;
    ended.await.map_err(|_| "the thread panicked".to_owned())
}
