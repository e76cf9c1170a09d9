//! `geoping.toml`: what is written, checked, and turned into types that cannot be wrong.
//!
//! ```toml
//! [node]
//! name         = "us-central1-a"
//! region       = "us-central1"          # of a cloud, or with a location of its own
//! trust_domain = "test-net.io"          # none: that of the certificate
//! capacity     = 5000                   # requests per second; none: not stated
//! version      = "2.4.1"                # of the service beside it; none: of geoping
//! location     = [41.26, -95.86]        # none: where the region is
//!
//! [listen]
//! grpc           = "0.0.0.0:8443"
//! admin          = "127.0.0.1:9154"
//! drain_wait     = "5s"                 # SIGTERM → DRAINING, NOT_SERVING … this long … GOAWAY
//! drain_deadline = "20s"                # what still runs after GOAWAY is ended then
//!
//! [backend]                             # exactly one of grpc, tcp, http; no section: always OK
//! grpc     = "http://127.0.0.1:50051"   # grpc.health.v1; or tcp = "host:port", http = "http://…/path"
//! service  = "shop.v1.Cart"             # with grpc: whose health; none: the whole server's
//! interval = "2s"
//! timeout  = "1s"
//! rise     = 2
//! fall     = 2
//! [backend.requests]                    # who counts its requests; none: no rate is told
//! metrics  = "http://127.0.0.1:9464/metrics"   # as Prometheus reads them
//! counter  = "grpc_server_started_total"       # summed over its labels
//!
//! [tls]
//! cert = "node.crt"
//! key  = "node.key"
//! ca   = "ca.crt"
//! crl  = "ca.crl"                       # none: revocation is not checked
//!
//! [geo]                                 # as in dnsrouter.toml
//! database = ["city.mmdb"]              # none: the built-in country database
//! [geo.networks]
//! "10.0.0.0/8" = { region = "us-central1" }
//!
//! [limits]                              # what each is for: see `daemon::grpc::Limits`
//! connections        = 4096
//! handshakes         = 1024
//! handshake_timeout  = "5s"
//! streams            = 128              # calls at once on one connection
//! request_timeout    = "30s"
//! keepalive_interval = "30s"
//! keepalive_timeout  = "10s"
//! connection_age     = "5m"             # then callers connect anew, with today's certificates
//! connection_grace   = "1m"
//! ```
//!
//! Paths count from the file's own folder. On SIGHUP and when a file changes, `[node] capacity`,
//! `[backend]`, `[geo]` and `[[region]]` are read again, all or nothing; a change of anything else
//! is refused until the next start ([`Config::fixed_change`]). The contents of the `[tls]` files
//! are read again before all that and wait for none of it.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use daemon::config::{ConfigError, Log, Source, Tls};
use daemon::grpc::Limits;
use daemon::places::Places;
use geo::Point;
use pki::TrustDomain;

use crate::check::Checks;

mod checker;
mod raw;

/// Explicit networks in one file: a generated file a hundred times too large is refused.
pub const MAX_NETWORKS: usize = 100_000;

/// The shortest time-out: less than a packet's way around the world refuses everybody.
pub const MIN_TIME: Duration = Duration::from_millis(100);

/// The longest time-out, and the longest way out: what waits longer has been forgotten.
pub const MAX_TIME: Duration = Duration::from_secs(3600);

/// The longest a connection lives: the usual lifetime of a certificate, which is looked at when
/// connecting only.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Checks closer together than this are load, not observation.
pub const MIN_INTERVAL: Duration = Duration::from_millis(50);

/// A backend checked less often than this is not watched.
pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// A configuration without mistakes, as far as one file can tell.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node's name.
    pub node: String,
    /// The region it stands in.
    pub region: String,
    /// Whose certificates count; none: those of the trust domain of its own.
    pub trust_domain: Option<TrustDomain>,
    /// Of the service beside it; none: of this program.
    pub version: Option<String>,
    /// Where the region is.
    pub location: Point,
    /// Requests per second; none: not stated.
    pub capacity: Option<NonZeroU64>,
    /// Where it listens.
    pub listen: Listen,
    /// How the backend is asked.
    pub checks: Checks,
    /// Where callers are.
    pub geo: Places,
    /// What the server endures, and how it leaves.
    pub limits: Limits,
    /// Its mTLS identity.
    pub tls: Tls,
    /// Where that is written.
    pub tls_span: Range<usize>,
    /// What is logged and how.
    pub log: Log,
    /// What is allowed but should be known, in words.
    pub warnings: Vec<String>,
    /// The file, for mistakes that only other files show.
    pub source: Source,
}

/// `[listen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// gRPC with mTLS.
    pub grpc: SocketAddr,
    /// HTTP: metrics and probes.
    pub admin: Option<SocketAddr>,
}

impl Config {
    /// Reads `file`, with variables and flags (dotted key, value) over it, and checks it.
    ///
    /// # Errors
    ///
    /// Every mistake with its place; nothing was changed.
    pub fn load(
        file: &Path,
        env: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Config, ConfigError> {
        let loaded = daemon::config::load(file, env, flags)?;
        checker::check(loaded, file.parent().unwrap_or(Path::new("")))
    }

    /// As [`Config::load`], from text that is named `name` in errors; paths count from `folder`.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Config, ConfigError> {
        checker::check(daemon::config::parse(name, text, [], &[])?, folder)
    }

    /// The first section of `new` that differs from this one and cannot change while serving.
    pub fn fixed_change(&self, new: &Config) -> Option<&'static str> {
        let drain = |config: &Config| (config.limits.drain_wait, config.limits.drain_deadline);
        [
            ("[node] name", self.node != new.node),
            ("[node] region", self.region != new.region),
            ("[node] trust_domain", self.trust_domain != new.trust_domain),
            ("[node] version", self.version != new.version),
            ("[node] location", self.location != new.location),
            ("[listen] grpc or admin", self.listen != new.listen),
            ("[listen] drain_wait or drain_deadline", drain(self) != drain(new)),
            ("[limits]", self.limits != new.limits),
            ("[tls]", self.tls != new.tls),
            ("[log]", self.log != new.log),
        ]
        .into_iter()
        .find_map(|(section, changed)| changed.then_some(section))
    }
}

#[cfg(test)]
mod tests;
