//! gRPC over mutual TLS: a server that knows who calls, a client that knows who answers.
//!
//! ```text
//!  accept ─▶ handshake ─▶ HTTP/2 ─▶ authorise ─▶ handler
//!  caps,     time-out,     limits    the caller,
//!  back-off  words         on all    the method
//! ```
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use daemon::{grpc::{self, Authorise, Health, Limits, Timeouts}, tls::{Expect, Peer, Tls}};
//! # use pki::{Identity, Program};
//! # async fn run(listener: tokio::net::TcpListener, tls: Arc<Tls>, routes: tonic::service::Routes,
//! #   stop: daemon::shutdown::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! // A server. `routes` holds the services; handlers find the caller in the request:
//! //     request.extensions().get::<Peer>()
//! let (health, health_service) = Health::new();
//! let routes = routes.add_service(health_service);
//! health.set_serving("geoping.v1.GeoPing").await;
//! let authorise = Authorise::new(tls.trust_domain().clone())
//!     .allow("/geoping.v1.GeoPing/Status", |_: &Identity| true)
//!     .allow("/dnsrouter.v1.Control/Explain", |who| matches!(who.role, pki::Role::User(_)))
//!     .allow_health();
//! grpc::serve(listener, tls.clone(), routes, &Limits::default(), authorise, Some(health),
//!             stop.cancelled_owned()).await?;
//!
//! // A client.
//! let endpoint: grpc::Endpoint = "https://127.0.0.1:8443".parse()?;
//! let expect = Expect::program(Program::Geoping).in_region("us-central1");
//! let (channel, peer) = grpc::connect(&endpoint, &tls, &expect, &Timeouts::default()).await?;
//! println!("connected to {}", peer.identity());
//! # let _ = channel; Ok(()) }
//! ```

mod accept;
mod authorise;
mod client;
mod connection;
mod explain;
mod health;
mod limits;
mod messages;
mod plain;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Server;

use crate::shutdown::CancellationToken;
use crate::tls::Tls;

pub use authorise::Authorise;
pub use client::{ConnectError, Endpoint, EndpointError, PeerIdentity, Timeouts, connect};
pub(crate) use explain::tls_words;
pub use explain::{explain, unsent};
pub use health::Health;
pub use limits::Limits;
pub use plain::{PlainError, connect_plain};

use accept::Acceptor;

/// Connections that are ready but not yet taken up; taking one up takes microseconds.
const READY_QUEUE: usize = 16;

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// HTTP/2 could not be served.
    #[error("the gRPC server failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The accept loop ended although nobody asked it to.
    #[error("the gRPC server no longer accepts connections")]
    AcceptEnded,
}

/// Serves `routes` until `shutdown`, then drains: health says NOT_SERVING, and `drain_wait` later
/// connections get a GOAWAY, and `drain_deadline` later what is left is cut.
///
/// Dropping the future cuts everything at once.
///
/// # Errors
///
/// [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    tls: Arc<Tls>,
    routes: tonic::service::Routes,
    limits: &Limits,
    authorise: Authorise,
    health: Option<Health>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let goaway = CancellationToken::new();
    let (ready, connections) = mpsc::channel(READY_QUEUE);
    let acceptor = Acceptor::new(tls, limits, cut.clone(), ready);
    let accepting = acceptor.run(listener, goaway.clone());
    let _accepting = AbortOnDropHandle::new(tokio::spawn(accepting));

    let mut server = pin!(
        http2(limits)
            .layer(authorise.layer(limits.message))
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                ReceiverStream::new(connections).map_ok(),
                goaway.clone().cancelled_owned(),
            )
    );
    tokio::select! {
        ended = &mut server => return ended.map_err(Into::into).and(Err(ServeError::AcceptEnded)),
        () = shutdown => {}
    }
    if let Some(health) = &health {
        health.drain().await;
    }
    tracing::info!(wait = ?limits.drain_wait, "draining: not serving, still answering");
    tokio::select! {
        ended = &mut server => return ended.map_err(Into::into),
        () = tokio::time::sleep(limits.drain_wait) => {}
    }
    goaway.cancel();
    if let Ok(ended) = tokio::time::timeout(limits.drain_deadline, &mut server).await {
        return ended.map_err(Into::into);
    }
    tracing::warn!(after = ?limits.drain_deadline, "connections did not end, cutting them");
    cut.cancel();
    server.await.map_err(Into::into)
}

/// HTTP/2 with a limit on everything a peer can make us keep or do.
fn http2(limits: &Limits) -> Server {
    Server::builder()
        .timeout(limits.request_timeout)
        .concurrency_limit_per_connection(limits.streams as usize)
        .max_concurrent_streams(limits.streams)
        .http2_max_pending_accept_reset_streams(Some(limits.pending_resets))
        .http2_max_local_error_reset_streams(Some(limits.error_resets))
        .http2_max_header_list_size(limits.header_list)
        .max_frame_size(limits::FRAME_SIZE)
        .initial_stream_window_size(limits::STREAM_WINDOW)
        .initial_connection_window_size(limits::CONNECTION_WINDOW)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        // The grace is kept by `connection`: with a grace of its own, tonic 0.14 would wait
        // through both and send no GOAWAY at all.
        .max_connection_age(limits.connection_age)
}

/// `Stream` of connections as the stream of results that tonic wants.
trait MapOk: Sized {
    fn map_ok(self) -> impl tokio_stream::Stream<Item = Result<connection::Connection, Never>>;
}

/// Accepting fails elsewhere, never in the stream.
type Never = std::convert::Infallible;

impl MapOk for ReceiverStream<connection::Connection> {
    fn map_ok(self) -> impl tokio_stream::Stream<Item = Result<connection::Connection, Never>> {
        tokio_stream::StreamExt::map(self, Ok)
    }
}
