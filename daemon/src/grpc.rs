//! gRPC over mutual TLS: a server that knows who calls, a client that knows who answers.
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

use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use pki::{Identity, TrustDomain};
use tokio::net::TcpListener;
use tonic::transport::Channel;

use crate::tls::{Expect, Tls};

/// What one server endures; every field says how to choose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {}

/// Who may call what.
#[derive(Clone, Debug)]
pub struct Authorise {
    _todo: (),
}

/// The server's `grpc.health.v1` state.
#[derive(Clone, Debug)]
pub struct Health {
    _todo: (),
}

/// Where a server is: `https://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address (IPv6 without brackets).
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For name resolution, TCP and the TLS handshake together.
    pub connect: Duration,
    /// For each RPC.
    pub request: Duration,
}

/// Who answers on a channel; follows its reconnections.
#[derive(Clone, Debug)]
pub struct PeerIdentity {
    _todo: (),
}

/// Why a server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {}

/// Why a client could not connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {}

/// The text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an endpoint: {why}; expected https://HOST:PORT")]
pub struct EndpointError {
    text: String,
    why: &'static str,
}

impl Default for Limits {
    fn default() -> Self {
        Self {}
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), request: Duration::from_secs(10) }
    }
}

impl Authorise {
    /// Nobody may call anything; callers of another trust domain never may.
    pub fn new(trust_domain: TrustDomain) -> Self {
        let _ = trust_domain;
        todo!()
    }

    /// Lets whom `may` accepts call the method at `path`, such as `/geoping.v1.GeoPing/Status`.
    pub fn allow(self, path: &'static str, may: fn(&Identity) -> bool) -> Self {
        let _ = (path, may);
        todo!()
    }

    /// Lets everybody of the trust domain call `grpc.health.v1`.
    pub fn allow_health(self) -> Self {
        todo!()
    }
}

impl Health {
    /// A health state (`""` is not serving until told so) and the service that tells it.
    pub fn new() -> (
        Self,
        tonic_health::pb::health_server::HealthServer<impl tonic_health::pb::health_server::Health>,
    ) {
        let (_, service) = tonic_health::server::health_reporter();
        (Self { _todo: () }, service)
    }

    /// `service` (such as `geoping.v1.GeoPing`) and the whole server `""` serve.
    pub async fn set_serving(&self, service: &'static str) {
        let _ = service;
        todo!()
    }

    /// `service` does not serve.
    pub async fn set_not_serving(&self, service: &'static str) {
        let _ = service;
        todo!()
    }
}

impl PeerIdentity {
    /// Who answered the latest handshake.
    pub fn identity(&self) -> Arc<Identity> {
        todo!()
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let _ = text;
        todo!()
    }
}

/// Serves `routes` until `shutdown`, then drains: NOT_SERVING, GOAWAY, a deadline.
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
    let _ = (listener, tls, routes, limits, authorise, health, shutdown);
    todo!()
}

/// Connects, checks who answers, and hands out a channel that reconnects by itself.
///
/// # Errors
///
/// [`ConnectError`] in words fit for a person.
pub async fn connect(
    endpoint: &Endpoint,
    tls: &Arc<Tls>,
    expect: &Expect,
    timeouts: &Timeouts,
) -> Result<(Channel, PeerIdentity), ConnectError> {
    let _ = (endpoint, tls, expect, timeouts);
    todo!()
}

/// What happened, in words: digs TLS alerts and system errors out of a `tonic::Status` or
/// `tonic::transport::Error`.
pub fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let _ = error;
    todo!()
}
