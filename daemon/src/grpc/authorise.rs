//! Who may call what; asked before any handler.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use pki::{Identity, TrustDomain};
use tonic::Status;
use tonic::body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::messages;
use crate::quiet::Quiet;
use crate::tls::Peer;

const HEALTH_METHODS: [&str; 3] =
    ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List"];

/// Who may call what. What is not allowed is denied.
#[derive(Clone)]
pub struct Authorise {
    trust_domain: TrustDomain,
    methods: BTreeMap<&'static str, Rule>,
}

/// Asked at each call, so that its answer may change with the configuration.
type Rule = Arc<dyn Fn(&Identity) -> bool + Send + Sync>;

impl fmt::Debug for Authorise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trust_domain, methods } = self;
        let methods = methods.keys();
        f.debug_struct("Authorise")
            .field("trust_domain", trust_domain)
            .field("methods", &methods)
            .finish()
    }
}

/// Why a call is denied.
#[derive(Debug, PartialEq, Eq)]
struct Denial {
    /// For the metric.
    kind: &'static str,
    /// For the caller and the log.
    words: String,
}

impl Authorise {
    /// Nobody may call anything; callers of another trust domain never may.
    pub fn new(trust_domain: TrustDomain) -> Self {
        Self { trust_domain, methods: BTreeMap::new() }
    }

    /// Lets whom `may` accepts call the method at `path`, such as `/geoping.v1.GeoPing/Status`.
    #[must_use]
    pub fn allow(
        mut self,
        path: &'static str,
        may: impl Fn(&Identity) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.methods.insert(path, Arc::new(may));
        self
    }

    /// Lets everybody of the trust domain call `grpc.health.v1`.
    #[must_use]
    pub fn allow_health(self) -> Self {
        HEALTH_METHODS.into_iter().fold(self, |rules, path| rules.allow(path, |_| true))
    }

    fn decide(&self, peer: Option<&Peer>, path: &str) -> Result<(), Denial> {
        let denied = |kind, words| Err(Denial { kind, words });
        let identity = match peer.map(|peer| &peer.identity) {
            Some(Ok(identity)) => identity,
            Some(Err(error)) => return denied("identity", error.to_string()),
            None => return denied("identity", "the caller is not known".to_owned()),
        };
        if identity.trust_domain != self.trust_domain {
            let ours = &self.trust_domain;
            let words = format!("{identity} is of another trust domain than {ours}");
            return denied("trust_domain", words);
        }
        match self.methods.get(path) {
            Some(may) if may(identity) => Ok(()),
            Some(_) => denied("role", format!("{identity} may not call {path}")),
            None => denied("method", format!("{identity} may not call {}", printable(path))),
        }
    }

    /// The layer that asks before each call; `max_message` bounds request messages, in bytes.
    pub(super) fn layer(self, max_message: usize) -> AuthoriseLayer {
        AuthoriseLayer {
            guard: Arc::new(Guard { rules: self, max_message, quiet: Quiet::default() }),
        }
    }
}

#[derive(Clone)]
pub(super) struct AuthoriseLayer {
    guard: Arc<Guard>,
}

struct Guard {
    rules: Authorise,
    max_message: usize,
    quiet: Quiet,
}

impl Guard {
    fn deny(&self, peer: Option<&Peer>, path: &str, denial: &Denial) -> Status {
        // A stranger's path is no label: there would be no end of them.
        let method = self.rules.methods.get_key_value(path).map_or("unknown", |(path, _)| *path);
        metrics::counter!("grpc_denied_total", "method" => method, "cause" => denial.kind)
            .increment(1);
        if let Some(suppressed) = self.quiet.pass() {
            let peer = peer.map(|peer| peer.address);
            tracing::warn!(?peer, method, cause = denial.words, suppressed, "call denied");
        }
        Status::permission_denied(&denial.words)
    }
}

impl<S> Layer<S> for AuthoriseLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, guard: Arc::clone(&self.guard) }
    }
}

/// A service that only the allowed reach.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        let path = request.uri().path();
        if let Err(denial) = self.guard.rules.decide(peer, path) {
            let status = self.guard.deny(peer, path, &denial);
            return Box::pin(std::future::ready(Ok(status.into_http())));
        }
        let max = self.guard.max_message;
        Box::pin(self.inner.call(request.map(|body| messages::limited(body, max))))
    }
}

/// A stranger's path made fit for a message and a log line.
fn printable(path: &str) -> String {
    const SHOWN: usize = 120;
    path.chars().take(SHOWN).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::{IdentityError, Program, Role};

    const STATUS: &str = "/geoping.v1.GeoPing/Status";
    const EXPLAIN: &str = "/dnsrouter.v1.Control/Explain";

    fn rules() -> Authorise {
        Authorise::new("test-net.io".parse().unwrap())
            .allow(STATUS, |_| true)
            .allow(EXPLAIN, |who| matches!(who.role, Role::User(_)))
            .allow_health()
    }

    fn peer(identity: Result<Identity, IdentityError>) -> Peer {
        Peer { address: ([127, 0, 0, 1], 1).into(), identity }
    }

    fn decide(who: &str, path: &str) -> Result<(), &'static str> {
        rules().decide(Some(&peer(who.parse())), path).map_err(|denial| denial.kind)
    }

    #[test]
    fn what_is_not_allowed_is_denied() {
        let node = "spiffe://test-net.io/region/r/geoping/n";
        let ada = "spiffe://test-net.io/user/ada";
        assert_eq!(decide(node, STATUS), Ok(()));
        assert_eq!(decide(ada, EXPLAIN), Ok(()));
        assert_eq!(decide(ada, "/grpc.health.v1.Health/Watch"), Ok(()));
        assert_eq!(decide(node, EXPLAIN), Err("role"));
        for path in ["/", "", "/geoping.v1.GeoPing/Other", "/geoping.v1.GeoPing/Status/", "//"] {
            assert_eq!(decide(ada, path), Err("method"), "{path}");
        }
        for foreign in [
            "spiffe://a.test-net.io/user/ada",
            "spiffe://test-net.io.example/user/ada",
            "spiffe://xtest-net.io/user/ada",
        ] {
            assert_eq!(decide(foreign, STATUS), Err("trust_domain"), "{foreign}");
        }
        for malformed in ["spiffe://test-net.io/user/a%64a", "https://test-net.io/user/ada"] {
            assert_eq!(decide(malformed, STATUS), Err("identity"), "{malformed}");
        }
        assert_eq!(rules().decide(None, STATUS).unwrap_err().kind, "identity");
    }

    #[test]
    fn a_denial_says_who_and_what() {
        let node = Identity::node(&"test-net.io".parse().unwrap(), "r", Program::Geoping, "n");
        let denial = rules().decide(Some(&peer(node)), EXPLAIN).unwrap_err();
        let expected = format!("spiffe://test-net.io/region/r/geoping/n may not call {EXPLAIN}");
        assert_eq!(denial.words, expected);
        let two = peer(Err(IdentityError::SeveralUriSans(2)));
        let denial = rules().decide(Some(&two), STATUS).unwrap_err();
        assert_eq!(denial.words, "certificate carries two URI SANs, exactly one is allowed");
    }
}
