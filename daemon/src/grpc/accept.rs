//! From a listening socket to connections whose peer is known.
//!
//! Nothing a stranger does ends the loop or keeps others out: an accept error backs off, a
//! handshake has a time-out, and when too many are unfinished the oldest gives way.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use pki::{Identity, IdentityError};

use super::connection::Connection;
use super::limits::Limits;
use crate::bounded::Bounded;
use crate::quiet::Quiet;
use crate::shutdown::CancellationToken;
use crate::tls::{Peer, Tls, refusal_in_words};

/// Pauses after accept errors (out of files or memory): doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long, and for how many bytes, a refused client is listened to, so that it can read why:
/// closing on unread bytes would send a reset that overtakes the alert.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// What every handshake needs.
pub(super) struct Acceptor {
    shared: Arc<Shared>,
    ready: mpsc::Sender<Connection>,
    handshakes: JoinSet<()>,
    /// Oldest first; finished ones are cleared away now and then.
    pending: VecDeque<AbortHandle>,
}

struct Shared {
    tls: Arc<Tls>,
    limits: Limits,
    places: Arc<Semaphore>,
    cut: CancellationToken,
    quiet: Quiet,
}

impl Acceptor {
    pub(super) fn new(
        tls: Arc<Tls>,
        limits: &Limits,
        cut: CancellationToken,
        ready: mpsc::Sender<Connection>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(limits.connections));
        let shared = Shared { tls, limits: limits.clone(), places, cut, quiet: Quiet::default() };
        Self {
            shared: Arc::new(shared),
            ready,
            handshakes: JoinSet::new(),
            pending: VecDeque::new(),
        }
    }

    /// Accepts until `stop`.
    pub(super) async fn run(mut self, listener: TcpListener, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = self.handshakes.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, address)) => {
                    pause = FIRST_PAUSE;
                    self.begin(socket, address);
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    metrics::counter!("grpc_accept_errors_total").increment(1);
                    if let Some(suppressed) = self.shared.quiet.pass() {
                        tracing::warn!(%error, ?pause, suppressed, "cannot accept, pausing");
                    }
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn begin(&mut self, socket: TcpStream, address: SocketAddr) {
        let Ok(place) = Arc::clone(&self.shared.places).try_acquire_owned() else {
            self.shared.refuse(address, "too_many", "too many connections");
            return;
        };
        if self.handshakes.len() >= self.shared.limits.handshakes {
            self.drop_oldest();
        }
        let (shared, ready) = (Arc::clone(&self.shared), self.ready.clone());
        let one = shared.handshake(socket, address, place, ready);
        self.pending.push_back(self.handshakes.spawn(one));
        if self.pending.len() > 2 * self.shared.limits.handshakes {
            self.pending.retain(|handshake| !handshake.is_finished());
        }
    }

    fn drop_oldest(&mut self) {
        while let Some(oldest) = self.pending.pop_front() {
            if !oldest.is_finished() {
                oldest.abort();
                metrics::counter!("grpc_handshakes_total", "result" => "displaced").increment(1);
                return;
            }
        }
    }
}

impl Shared {
    async fn handshake(
        self: Arc<Self>,
        socket: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
        ready: mpsc::Sender<Connection>,
    ) {
        let _ = socket.set_nodelay(true); // slower without, but right
        let acceptor = TlsAcceptor::from(self.tls.server_config());
        let accept = acceptor.accept(socket).into_fallible();
        match tokio::time::timeout(self.limits.handshake_timeout, accept).await {
            Ok(Ok(stream)) => {
                metrics::counter!("grpc_handshakes_total", "result" => "ok").increment(1);
                let connection = self.connection(stream, address, place);
                // It only fails when the server has ended.
                let _ = ready.send(connection).await;
            }
            Ok(Err((error, socket))) => {
                let (kind, words) = handshake_error_in_words(&error);
                self.refuse(address, kind, &words);
                linger(socket).await;
            }
            Err(_) => {
                let words =
                    format!("the handshake took longer than {:?}", self.limits.handshake_timeout);
                self.refuse(address, "timeout", &words);
            }
        }
    }

    fn connection(
        &self,
        stream: TlsStream<TcpStream>,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> Connection {
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let identity = certificate.map_or(Err(IdentityError::NoUriSan), Identity::of_certificate);
        let expires = certificate.and_then(|der| pki::validity_of(der).ok()).map(|(_, end)| end);
        let lifetime = self.lifetime(expires);
        let stream = Bounded::new(stream, lifetime, self.cut.clone(), place);
        Connection { stream, peer: Peer { address, identity } }
    }

    /// Until its age and grace are over, and never past its certificate.
    fn lifetime(&self, expires: Option<SystemTime>) -> Duration {
        let age = self.limits.connection_age + self.limits.connection_grace;
        let left = expires.zip(self.tls.now()).map(|(expires, now)| {
            expires.duration_since(now).unwrap_or_default() + Duration::from_secs(1)
        });
        left.map_or(age, |left| left.min(age))
    }

    fn refuse(&self, peer: SocketAddr, kind: &'static str, cause: &str) {
        metrics::counter!("grpc_handshakes_total", "result" => kind).increment(1);
        if kind == "closed" {
            // Load balancers and port scans do nothing else.
            tracing::debug!(%peer, cause, "handshake refused");
        } else if let Some(suppressed) = self.quiet.pass() {
            tracing::warn!(%peer, cause, suppressed, "handshake refused");
        }
    }
}

fn handshake_error_in_words(error: &io::Error) -> (&'static str, String) {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, error.kind()) {
        (Some(error), _) => refusal_in_words(error),
        (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            ("closed", "it closed the connection during the handshake".to_owned())
        }
        (None, _) => ("io", error.to_string()),
    }
}

async fn linger(mut socket: TcpStream) {
    let read_on = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER, read_on).await;
}

/// Errors that `accept` passes on from a connection that is gone already (accept(2)).
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionAborted
            | E::ConnectionReset
            | E::ConnectionRefused
            | E::Interrupted
            | E::HostUnreachable
            | E::NetworkUnreachable
            | E::NetworkDown
            | E::TimedOut
            | E::PermissionDenied
    )
}
