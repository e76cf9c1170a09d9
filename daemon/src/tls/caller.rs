//! The side of a connection that only calls: a person at a command line.
//!
//! A node checks its own certificate at start, because it must be accepted by its peers. A person
//! is better served by asking and hearing what the *server* thinks of the certificate: it is the
//! server that decides, its log should name the cause, and a clock or a list may be wrong here.

use std::path::Path;
use std::sync::Arc;

use pki::{Identity, TrustDomain};
use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;

use super::material::{TlsError, caller_material};
use super::verify::Trust;
use super::{Credentials, Expect, client_config};

/// Whom a person trusts, and what they present: a certificate as it is, or none.
#[derive(Debug)]
pub struct Caller {
    trust: Arc<Trust>,
    trust_domain: TrustDomain,
    certified: Option<Arc<CertifiedKey>>,
    clock: Arc<dyn TimeProvider>,
    provider: Arc<CryptoProvider>,
}

impl Caller {
    /// Reads the authority to trust and, if there are any, a certificate and its key.
    ///
    /// The trust domain is the one the authority speaks for; an authority that says nothing of it
    /// leaves it to our own certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError`] names the file that cannot be read or used. That nobody would accept the
    /// certificate is no error here.
    pub fn load(
        authority: &Path,
        pair: Option<(&Path, &Path)>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Arc<Self>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (authorities, trust, certified) = caller_material(authority, pair, &provider)?;
        let own = certified.as_ref().and_then(|certified| certified.cert.first());
        let of_own = || own.and_then(|der| Identity::of_certificate(der).ok());
        let trust_domain = authorities
            .iter()
            .find_map(|der| TrustDomain::of_authority(der).ok())
            .or_else(|| of_own().map(|identity| identity.trust_domain))
            .ok_or_else(|| TlsError::NoTrustDomain { file: authority.to_owned() })?;
        Ok(Arc::new(Self { trust, trust_domain, certified, clock, provider }))
    }
}

impl Credentials for Caller {
    fn client_config(&self, expect: &Expect) -> Arc<ClientConfig> {
        let resolver: Arc<dyn ResolvesClientCert> = match &self.certified {
            Some(certified) => Arc::new(SingleCertAndKey::from(Arc::clone(certified))),
            None => Arc::new(Nothing),
        };
        let domain = self.trust_domain.clone();
        client_config(
            &self.provider,
            &self.clock,
            Arc::clone(&self.trust),
            domain,
            expect,
            resolver,
        )
    }
}

/// No certificate: the server says what it thinks of that.
#[derive(Debug)]
struct Nothing;

impl ResolvesClientCert for Nothing {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}
