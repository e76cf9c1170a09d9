//! DNS over UDP: one plain thread per socket, and the seam between receive and send.
//!
//! Every thread has a socket of its own on the same address (SO_REUSEPORT), so the kernel spreads
//! clients over threads and no two threads ever touch the same memory while they answer. A thread
//! waits for nothing but its socket: no lock, no allocation, no runtime.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use daemon::quiet::Quiet;
use rustix::net::sockopt;
use socket2::{Domain, Protocol, Socket, Type};
use tokio_util::sync::CancellationToken;

use crate::answer::{Query, Reply, Transport, Worker, answer_or_servfail};
use crate::plan::Published;

use super::deferred::{Deferred, Job};

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
/// Those of the system, with the address.
pub fn bind(address: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    // Best effort: the system's rmem_max may allow less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    socket.set_read_timeout(Some(LOOK_UP))?;
    no_fragments(&socket, address)?;
    Ok(socket.into())
}

/// Answers until told to stop. Runs on a thread of its own.
pub fn run(
    socket: &Arc<UdpSocket>,
    plan: &Published,
    deferred: &Deferred,
    worker: &mut Worker,
    stop: &CancellationToken,
) {
    let local = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let quiet = Quiet::default();
    let mut query = [0; QUERY_SIZE];
    let mut answer = [0; ANSWER_SIZE];
    while !stop.is_cancelled() {
        let (length, peer) = match socket.recv_from(&mut query) {
            Ok(received) => received,
            // An ICMP error for an earlier answer shows up here; it concerns nobody else.
            Err(error) if is_transient(error.kind()) => continue,
            Err(error) => {
                // What the system lacks (memory) it lacks for a while: no busy loop, no flood of
                // log lines.
                if let Some(suppressed) = quiet.pass() {
                    tracing::warn!(%local, %error, suppressed, "receiving failed; going on");
                }
                std::thread::sleep(LOOK_UP);
                continue;
            }
        };
        let bytes = &query[..length];
        let query = Query { bytes, peer, local, transport: Transport::Udp, now: SystemTime::now() };
        let reply = answer_or_servfail(&plan.load(), worker, query, &mut answer);
        match reply {
            Reply::Bytes(length) => {
                if socket.send_to(&answer[..length], peer).is_err() {
                    worker.send_failed();
                }
            }
            Reply::Drop => {}
            Reply::Deferred => {
                let socket = Arc::clone(socket);
                let done = Box::new(move |reply: Vec<u8>| {
                    // Who hears nothing asks again.
                    let _ = socket.send_to(&reply, peer);
                });
                let bytes = bytes.into();
                let job = Job { bytes, peer, local, transport: Transport::Udp, done };
                if deferred.submit(job).is_err() {
                    worker.send_failed();
                }
            }
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

/// Answers never rely on path MTU discovery, whose forged ICMP messages could make us fragment
/// (RFC 9715 §3.1, IP_PMTUDISC_OMIT).
fn no_fragments(socket: &Socket, address: SocketAddr) -> std::io::Result<()> {
    if address.is_ipv4() {
        sockopt::set_ip_mtu_discover(socket, sockopt::Ipv4PathMtuDiscovery::OMIT)?;
    } else {
        sockopt::set_ipv6_mtu_discover(socket, sockopt::Ipv6PathMtuDiscovery::OMIT)?;
    }
    Ok(())
}

/// Runs [`run`] on a thread and waits for it; an error when it panicked.
///
/// # Errors
///
/// The panic's message.
pub async fn supervised(
    socket: Arc<UdpSocket>,
    plan: Arc<Published>,
    deferred: Deferred,
    mut worker: Worker,
    stop: CancellationToken,
) -> Result<(), String> {
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("dns-udp".into()).spawn(move || {
        run(&socket, &plan, &deferred, &mut worker, &stop);
        let _ = done.send(());
    });
    thread.map_err(|error| format!("no thread: {error}"))?;
    ended.await.map_err(|_| "the thread panicked".to_owned())
}
