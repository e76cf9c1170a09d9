//! This node's certificate, and whom it lets in: mutual TLS 1.3 with one authority.
//!
//! ```text
//!                  the handshake refuses                      each RPC refuses (crate::grpc)
//!  certificate ──▶ none, another authority, expired, ──▶ Peer ──▶ two URIs, another trust domain,
//!                  not yet valid, wrong purpose,                  malformed, not for this method
//!                  revoked, no URI at all
//! ```
//!
//! ```no_run
//! use daemon::{config, tls::{self, Credentials as _, Expect, Tls}};
//! use pki::Program;
//!
//! # fn run(config: &config::Tls, ours: &pki::TrustDomain) -> Result<(), tls::TlsError> {
//! let tls = Tls::load(config, Some(ours), tls::system_clock())?;
//! println!("we are {} until {:?}", tls.identity(), tls.not_after());
//! let server = tls.server_config();                         // Arc<rustls::ServerConfig>
//! let to_peers = tls.client_config(&Expect::program(Program::Dnsrouter));
//! if let Err(error) = tls.reload() {                        // all or nothing
//!     tracing::error!("{error}");                           // the old certificate goes on
//! }
//! # Ok(()) }
//! ```
//!
//! No host name takes part: who a peer is stands in its certificate's one URI. Sessions are never
//! resumed, since a resumed handshake would look at neither the certificate's dates nor the
//! revocation list. The key exchange prefers X25519MLKEM768, so that what is recorded today stays
//! secret when quantum computers come.

mod caller;
mod material;
mod verify;
mod words;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use pki::{Identity, IdentityError, Program, TrustDomain};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
pub use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ServerConfig};

use crate::config;
use material::Material;
use verify::{ClientVerifier, ServerVerifier, Trust};

pub use caller::Caller;
pub use material::TlsError;
pub use words::{alert_in_words, refusal_in_words};

/// The protocol spoken inside: HTTP/2 (RFC 9113 §3.2).
const ALPN_H2: &[u8] = b"h2";

/// Between two warnings about the same stale revocation list.
const SAY_STALE_EVERY: Duration = Duration::from_secs(3600);

/// This node's identity and trust; certificates inside are swapped by [`Tls::reload`].
#[derive(Debug)]
pub struct Tls {
    config: config::Tls,
    trust_domain: TrustDomain,
    clock: Arc<dyn TimeProvider>,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    /// One reload at a time: an older one must not overwrite a newer one.
    reloading: Mutex<()>,
    stale_said: Mutex<Option<StaleSaid>>,
    warnings: Vec<String>,
}

/// When it was last said that a revocation list is stale.
#[derive(Clone, Copy, Debug)]
struct StaleSaid {
    at: SystemTime,
    /// When the list should have been replaced, which tells a new list from the old one.
    since: SystemTime,
}

/// One consistent set of files and what is built from it.
#[derive(Debug)]
struct Current {
    material: Material,
    server: Arc<ServerConfig>,
}

/// Whom a client expects at the other end, within our trust domain. The default is anybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// The program the server must be.
    pub program: Option<Program>,
    /// The region the server must stand in.
    pub region: Option<String>,
}

/// Who is at the other end of a connection; the gRPC server puts it into request extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// Whom the certificate names, or why it names nobody.
    pub identity: Result<Identity, IdentityError>,
}

/// What a client connects with: a node's [`Tls`], or a person's [`Caller`].
pub trait Credentials: Send + Sync + 'static {
    /// For connecting: no host name; the server's certificate must name whom we `expect`.
    fn client_config(&self, expect: &Expect) -> Arc<ClientConfig>;
}

/// What a [`Tls::reload`] changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Every file is as it was.
    Unchanged,
    /// New connections use what was read.
    Changed,
}

/// The system's clock.
pub fn system_clock() -> Arc<dyn TimeProvider> {
    Arc::new(rustls::time_provider::DefaultTimeProvider)
}

impl Expect {
    /// Any node that runs `program`.
    pub fn program(program: Program) -> Self {
        Self { program: Some(program), region: None }
    }

    /// Only in `region`.
    #[must_use]
    pub fn in_region(self, region: impl Into<String>) -> Self {
        Self { region: Some(region.into()), ..self }
    }

    /// Whether `identity` is expected; the trust domain is not looked at.
    pub fn accepts(&self, identity: &Identity) -> bool {
        self.program.is_none_or(|program| identity.program() == Some(program))
            && self.region.as_deref().is_none_or(|region| identity.region() == Some(region))
    }
}

impl Tls {
    /// Reads and checks the files. Without a trust domain, the one of our own certificate. What is
    /// not as it should be, and no error, is left to be told: [`Tls::warnings`].
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(
        config: &config::Tls,
        trust_domain: Option<&TrustDomain>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let material = Material::read(config)?;
        let trust_domain = trust_domain.unwrap_or(&material.identity.trust_domain).clone();
        let now = now_of(clock.as_ref())?;
        let mut warnings = material.warnings.clone();
        match material.check(config, &trust_domain, now) {
            // A node that did not start could not renew its certificate either, and what needs
            // none of it (DNS) should be served meanwhile.
            Err(error @ TlsError::OutOfTime { .. }) => {
                warnings.push(format!("{error}; peers refuse us until it is renewed"));
            }
            checked => checked?,
        }
        if let Some(error) = material.own_revocation(config) {
            warnings.push(format!("{error}; peers refuse us until it is replaced"));
        }
        let server = server_config(&material, &provider, &clock)
            .map_err(|e| TlsError::of_pair(&config.cert, &config.key, &e))?;
        let mut tls = Self {
            config: config.clone(),
            trust_domain,
            clock,
            provider,
            current: ArcSwap::from_pointee(Current { material, server }),
            reloading: Mutex::new(()),
            stale_said: Mutex::new(None),
            warnings,
        };
        if tls.has_stale_news() {
            tls.warnings.push(tls.stale());
        }
        Ok(Arc::new(tls))
    }

    /// What [`Tls::load`] found that works and should not be so, in words: for whoever has started
    /// this, who has a log by then or only a terminal. Later findings go to the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads the files again; all or nothing.
    ///
    /// Certificate and key are two files, so a reader may see one new and one old. That is a
    /// [`TlsError::KeyMismatch`] here; try again a moment later (`crate::reload` will trigger).
    ///
    /// # Errors
    ///
    /// [`TlsError`]; what was loaded before goes on.
    pub fn reload(&self) -> Result<Reloaded, TlsError> {
        let outcome = self.try_reload();
        let result = match outcome {
            Ok(Reloaded::Changed) => "changed",
            Ok(Reloaded::Unchanged) => "unchanged",
            Err(_) => {
                metrics::counter!("tls_reload_failures_total").increment(1);
                "failed"
            }
        };
        metrics::counter!("tls_reloads_total", "result" => result).increment(1);
        self.observe();
        outcome
    }

    fn try_reload(&self) -> Result<Reloaded, TlsError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.current.load();
        let material = Material::read(&self.config)?;
        if material.same_files(&old.material) {
            return Ok(Reloaded::Unchanged);
        }
        material.check(&self.config, &self.trust_domain, now_of(self.clock.as_ref())?)?;
        material.refuse_older_lists(&old.material, &self.config)?;
        if let Some(error) = material.own_revocation(&self.config) {
            // Others on the list must be kept out all the same; peers decide about us.
            tracing::error!("{error}");
        }
        let server = server_config(&material, &self.provider, &self.clock)
            .map_err(|e| TlsError::of_pair(&self.config.cert, &self.config.key, &e))?;
        for warning in &material.warnings {
            tracing::warn!("{warning}");
        }
        self.current.store(Arc::new(Current { material, server }));
        Ok(Reloaded::Changed)
    }

    /// Who we are.
    pub fn identity(&self) -> Identity {
        self.current.load().material.identity.clone()
    }

    /// The installation we belong to.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// From when our certificate is valid.
    pub fn not_before(&self) -> SystemTime {
        self.current.load().material.not_before
    }

    /// When our certificate ends.
    pub fn not_after(&self) -> SystemTime {
        self.current.load().material.not_after
    }

    /// How long our certificate is still valid; zero when it has expired.
    pub fn time_left(&self) -> Duration {
        let now = self.now().unwrap_or(SystemTime::UNIX_EPOCH);
        self.not_after().duration_since(now).unwrap_or_default()
    }

    /// The clock's time; `None` when it is before 1970.
    pub fn now(&self) -> Option<SystemTime> {
        now_of(self.clock.as_ref()).ok()
    }

    /// The files to watch.
    pub fn files(&self) -> Vec<PathBuf> {
        let config::Tls { cert, key, ca, crl, renew: _ } = &self.config;
        [cert, key, ca].into_iter().chain(crl).cloned().collect()
    }

    /// For accepting: asks for a client certificate of our authority.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// Sets the gauges about dates, and says so when the revocation list is stale. To be called
    /// now and then, since what changes is the time.
    pub fn observe(&self) {
        if self.has_stale_news() {
            tracing::warn!("{}", self.stale());
        }
    }

    fn stale(&self) -> String {
        let file = self.config.crl.as_deref().unwrap_or(Path::new(""));
        let file = file.display();
        format!("{file}: the revocation list is stale; it is used all the same, fetch a newer one")
    }

    /// Sets the gauges about dates; whether to say that the revocation list is stale.
    fn has_stale_news(&self) -> bool {
        let current = self.current.load();
        let material = &current.material;
        metrics::gauge!("tls_certificate_not_after_seconds").set(unix_seconds(material.not_after));
        let Some(now) = self.now() else { return false };
        for next in material.lists.iter().filter_map(|list| list.next_update) {
            metrics::gauge!("tls_crl_next_update_seconds").set(unix_seconds(next));
        }
        let stale = material.lists.iter().filter(|list| list.is_stale(now));
        let since = stale.filter_map(|list| list.next_update).min();
        metrics::gauge!("tls_crl_stale").set(if since.is_some() { 1.0 } else { 0.0 });
        self.is_stale_news(since, now)
    }

    /// Whether to say that a list is stale `since` then; not what was just said.
    fn is_stale_news(&self, since: Option<SystemTime>, now: SystemTime) -> bool {
        let mut said = self.stale_said.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |said: &StaleSaid| {
            let ago = now.duration_since(said.at);
            Some(said.since) == since && ago.is_ok_and(|ago| ago < SAY_STALE_EVERY)
        };
        if since.is_some() && said.as_ref().is_some_and(is_known) {
            return false;
        }
        *said = since.map(|since| StaleSaid { at: now, since });
        said.is_some()
    }
}

impl Credentials for Tls {
    fn client_config(&self, expect: &Expect) -> Arc<ClientConfig> {
        let current = self.current.load();
        let (trust, resolver) = (Arc::clone(&current.material.trust), current.material.resolver());
        let domain = self.trust_domain.clone();
        client_config(&self.provider, &self.clock, trust, domain, expect, resolver)
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn TimeProvider>,
    trust: Arc<Trust>,
    trust_domain: TrustDomain,
    expect: &Expect,
    resolver: Arc<dyn ResolvesClientCert>,
) -> Arc<ClientConfig> {
    let verifier = ServerVerifier { trust, trust_domain, expect: expect.clone() };
    let mut config = ClientConfig::builder_with_details(provider.clone(), clock.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3 cipher suites")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false; // the name would tell a listener whom we look for
    Arc::new(config)
}

fn server_config(
    material: &Material,
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn TimeProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let verifier = ClientVerifier { trust: Arc::clone(&material.trust) };
    let mut config = ServerConfig::builder_with_details(provider.clone(), clock.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(material.resolver());
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn now_of(clock: &dyn TimeProvider) -> Result<SystemTime, TlsError> {
    let since_1970 = clock.current_time().ok_or(TlsError::NoClock)?.as_secs();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970))
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests;
