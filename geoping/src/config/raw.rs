//! The file as it is written. Unknown keys are errors; what can be wrong carries its place.

use std::net::SocketAddr;
use std::time::Duration;

use daemon::config::{Log, Spanned, Tls};
use daemon::places::{Geo, Region};
use pki::TrustDomain;
use serde::Deserialize;

/// `geoping.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Raw {
    /// Who this node is and what it is good for.
    pub(crate) node: Node,
    /// Where it listens and how it leaves.
    pub(crate) listen: Listen,
    /// The service beside it; none: always well.
    pub(crate) backend: Option<Spanned<Backend>>,
    /// Its mTLS identity. Needed; optional here for the sake of a better message.
    pub(crate) tls: Option<Spanned<Tls>>,
    /// Where callers are.
    #[serde(default)]
    pub(crate) geo: Geo,
    /// Regions that are not built in, or are elsewhere.
    #[serde(default)]
    pub(crate) region: Vec<Region>,
    /// What the server endures.
    #[serde(default)]
    pub(crate) limits: Limits,
    /// What is logged and how.
    pub(crate) log: Option<Spanned<Log>>,
}

/// `[node]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Node {
    /// Unique within its region.
    pub(crate) name: Spanned<String>,
    /// Where it stands.
    pub(crate) region: Spanned<String>,
    /// Whose certificates count; none: those of the trust domain of its own.
    pub(crate) trust_domain: Option<TrustDomain>,
    /// Requests per second this region is good for; 0 or none: not stated.
    #[serde(default)]
    pub(crate) capacity: u64,
    /// Of the service beside it; none: of this program.
    pub(crate) version: Option<Spanned<String>>,
    /// Latitude, longitude in degrees; none: where the region is.
    pub(crate) location: Option<Spanned<[f64; 2]>>,
}

/// `[listen]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    /// gRPC, mTLS.
    pub(crate) grpc: SocketAddr,
    /// HTTP: /metrics /livez /readyz; none: not served.
    pub(crate) admin: Option<SocketAddr>,
    /// From "leave me" to the first GOAWAY. Default 5 s.
    pub(crate) drain_wait: Option<Spanned<Time>>,
    /// From GOAWAY to the end of what still runs. Default 20 s.
    pub(crate) drain_deadline: Option<Spanned<Time>>,
}

/// `[limits]`; what each is for is said where `daemon::grpc::Limits` declares it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Limits {
    /// Connections at once. Default 4096.
    pub(crate) connections: Option<Spanned<u32>>,
    /// Unfinished handshakes at once. Default 1024.
    pub(crate) handshakes: Option<Spanned<u32>>,
    /// Default 5 s.
    pub(crate) handshake_timeout: Option<Spanned<Time>>,
    /// Calls at once on one connection. Default 128.
    pub(crate) streams: Option<Spanned<u32>>,
    /// Default 30 s.
    pub(crate) request_timeout: Option<Spanned<Time>>,
    /// Default 30 s.
    pub(crate) keepalive_interval: Option<Spanned<Time>>,
    /// Default 10 s.
    pub(crate) keepalive_timeout: Option<Spanned<Time>>,
    /// Default 1 h.
    pub(crate) connection_age: Option<Spanned<Time>>,
    /// Default 60 s.
    pub(crate) connection_grace: Option<Spanned<Time>>,
}

/// A duration with its unit, such as `"5s"`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Time(#[serde(with = "daemon::config::duration")] pub(crate) Duration);

/// `[backend]`: exactly one of the first three.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backend {
    /// URL of a server that offers grpc.health.v1.
    pub(crate) grpc: Option<Spanned<String>>,
    /// `host:port` that accepts connections.
    pub(crate) tcp: Option<Spanned<String>>,
    /// URL that answers a GET with success.
    pub(crate) http: Option<Spanned<String>>,
    /// With `grpc`: the service asked for; none: the whole server.
    pub(crate) service: Option<Spanned<String>>,
    /// Default 2 s.
    pub(crate) interval: Option<Spanned<Time>>,
    /// Default 1 s, at most the interval.
    pub(crate) timeout: Option<Spanned<Time>>,
    /// Default 2.
    pub(crate) rise: Option<Spanned<u32>>,
    /// Default 2.
    pub(crate) fall: Option<Spanned<u32>>,
    /// Who counts its requests.
    pub(crate) requests: Option<Requests>,
}

/// `[backend.requests]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requests {
    /// URL that answers a GET with Prometheus' text.
    pub(crate) metrics: Spanned<String>,
    /// Name of the counter there.
    pub(crate) counter: Spanned<String>,
}
