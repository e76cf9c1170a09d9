//! Which certificates a handshake accepts: one rule for both directions.
//!
//! `rustls` brings two verifiers of its own. Its server-side one is almost ours; its client-side
//! one insists on a host name, of which we have none. Both end in the same call of `webpki`, so
//! that call is made here, once, for both.

use std::sync::Arc;

use pki::{Identity, IdentityError, TrustDomain};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::Expect;

/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1 (RFC 5280 §4.2.1.12), as in DER without its header.
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2.
const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];

/// The authorities we trust and what they took back.
pub(super) struct Trust {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    pub(super) lists: Vec<CertRevocationList<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Server,
    Client,
}

/// What a server asks of its clients: a certificate of ours that names somebody.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) trust: Arc<Trust>,
}

/// What a client asks of a server: a certificate of ours that names whom it expects.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) trust: Arc<Trust>,
    pub(super) trust_domain: TrustDomain,
    pub(super) expect: Expect,
}

/// A server with a good certificate that is not the one we want to talk to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unexpected {
    /// Its certificate names nobody, or nobody in particular.
    #[error(transparent)]
    Unnamed(#[from] IdentityError),
    /// It belongs to another installation.
    #[error("it is {found}, of another trust domain than our {ours}")]
    Foreign { found: Identity, ours: TrustDomain },
    /// It is another program or in another region.
    #[error("it is {found}, but {expected} was expected")]
    Other { found: Identity, expected: String },
}

impl Trust {
    /// Whether `certificate` chains to one of our authorities, is in date, serves `purpose` and
    /// was not taken back.
    ///
    /// The purpose must be written in the certificate (`webpki`'s own `server_auth()` would take
    /// silence for consent). With lists, every certificate below the authority must be covered by
    /// one, stale or not: staleness is an alarm, not an outage.
    pub(super) fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<(), Error> {
        let usage = KeyUsage::required(match purpose {
            Purpose::Server => SERVER_AUTH,
            Purpose::Client => CLIENT_AUTH,
        });
        let lists: Vec<&CertRevocationList<'_>> = self.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        debug_assert_eq!(revocation.is_none(), lists.is_empty());
        EndEntityCert::try_from(certificate)
            .and_then(|end| {
                end.verify_for_usage(
                    self.algorithms.all,
                    &self.anchors,
                    intermediates,
                    now,
                    usage,
                    revocation,
                    None,
                )
                .map(|_| ())
            })
            .map_err(as_rustls)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // our clients have one certificate; nobody needs to know our authority's name
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.trust.verify(end_entity, intermediates, Purpose::Client, now)?;
        match Identity::of_certificate(end_entity) {
            Err(IdentityError::NoUriSan) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            Err(IdentityError::BadCertificate(_)) => Err(CertificateError::BadEncoding.into()),
            // It names somebody, well or badly: each RPC is answered with what is wrong.
            Ok(_) | Err(_) => Ok(ClientCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.trust.verify(end_entity, intermediates, Purpose::Server, now)?;
        self.check_name(end_entity)
            .map_err(|unexpected| CertificateError::Other(OtherError(Arc::new(unexpected))))?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

impl ServerVerifier {
    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), Unexpected> {
        let found = Identity::of_certificate(certificate)?;
        if found.trust_domain != self.trust_domain {
            return Err(Unexpected::Foreign { found, ours: self.trust_domain.clone() });
        }
        if !self.expect.accepts(&found) {
            let program = self.expect.program.map_or("any program", |program| program.as_str());
            let region = self.expect.region.as_deref().unwrap_or("any region");
            let expected = format!("{program} in {region}");
            return Err(Unexpected::Other { found, expected });
        }
        Ok(())
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust")
            .field("anchors", &self.anchors.len())
            .field("lists", &self.lists.len())
            .finish_non_exhaustive()
    }
}

/// `webpki`'s errors in the words of `rustls`, which turns them into alerts.
fn as_rustls(error: webpki::Error) -> Error {
    use webpki::Error as E;
    let error = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => CertificateError::BadEncoding,
        E::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        E::CertNotValidYet { time, not_before } => {
            CertificateError::NotValidYetContext { time, not_before }
        }
        E::CertRevoked => CertificateError::Revoked,
        // A signature that does not fit: an authority that only bears our authority's name.
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => CertificateError::UnknownIssuer,
        E::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        E::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(error)
}

fn no_tls12() -> Error {
    Error::General("only TLS 1.3 is spoken".to_owned())
}
