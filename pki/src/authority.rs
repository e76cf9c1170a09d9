//! The authority itself: a key that signs certificates and what it takes back. No files here.
//!
//! | | lifetime | key | says |
//! |---|---|---|---|
//! | authority | 10 years | EC P-256 | CA, path length 0, may sign certificates and CRLs |
//! | certificate | 24 hours | EC P-256 | server and client, one identity |
//! | CRL | 7 days | | every revoked certificate that is still in date |
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use pki::authority::{Authority, Extra, Validity};
//! use pki::{Identity, Program};
//!
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let ours = "test-net.io".parse()?;
//! let authority = Authority::create(&ours, &Validity::default(), now)?;
//! let ns1 = Identity::node(&ours, "us-central1", Program::Dnsrouter, "ns1")?;
//! let issued = authority.issue(&ns1, &Extra::default(), Validity::default().leaf, now)?;
//! assert_eq!(issued.not_after, now + Duration::from_secs(24 * 3600));
//! assert!(issued.cert_pem.starts_with("-----BEGIN CERTIFICATE-----"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevocationReason,
    RevokedCertParams, SanType, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};

use crate::identity::{Identity, IdentityError, Role, TrustDomain};
use crate::serial::Serial;

/// How far back a certificate's validity begins, so that a peer whose clock is a little behind
/// ours accepts it at once.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// The most DNS names and addresses beside an identity; a certificate travels in every handshake.
pub const MAX_EXTRA_NAMES: usize = 16;

/// How long what is signed lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The authority's own certificate.
    pub authority: Duration,
    /// A certificate, unless asked otherwise. Short: what is about to expire need not be revoked.
    pub leaf: Duration,
    /// A CRL; its readers go on with a stale one, but raise an alarm.
    pub crl: Duration,
}

/// Names beside the identity, for clients that check host names (ours do not).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// DNS names.
    pub dns: Vec<String>,
    /// IP addresses.
    pub ip: Vec<IpAddr>,
}

/// A certificate and its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its private key, PKCS #8 PEM. A secret: it is left out of `Debug`.
    pub key_pem: String,
    /// Its number.
    pub serial: Serial,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

/// A certificate for a key that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The certificate, PEM.
    pub cert_pem: String,
    /// Its number.
    pub serial: Serial,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
}

/// One line of a CRL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Which certificate.
    pub serial: Serial,
    /// When it was taken back.
    pub at: SystemTime,
    /// Why, if somebody said so.
    pub reason: Option<Reason>,
}

/// Why a certificate was taken back (RFC 5280 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Somebody else may have the key.
    KeyCompromise,
    /// The holder has another role now.
    AffiliationChanged,
    /// A newer certificate replaced it.
    Superseded,
    /// The holder no longer runs.
    CessationOfOperation,
    /// The holder may no longer do what it did.
    PrivilegeWithdrawn,
}

/// A key that signs, and the certificate that says so.
pub struct Authority {
    trust_domain: TrustDomain,
    cert_pem: String,
    not_after: SystemTime,
    issuer: Issuer<'static, KeyPair>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The authority's certificate does not parse.
    #[error("the authority's certificate is malformed: {0}")]
    BadCertificate(String),
    /// It parses but is no authority's.
    #[error("the certificate is no authority's: it may not sign certificates and CRLs")]
    NotAnAuthority,
    /// Its name is missing or malformed.
    #[error("the authority's certificate does not name a trust domain: {0}")]
    Nameless(IdentityError),
    /// The private key does not parse.
    #[error("the authority's private key is malformed: {0}")]
    BadKey(String),
    /// The private key belongs to another certificate.
    #[error("the authority's private key does not belong to its certificate")]
    KeyMismatch,
    /// The identity is not of this authority's trust domain.
    #[error("{identity} is not of the trust domain {ours}, which this authority speaks for")]
    ForeignTrustDomain {
        /// For whom a certificate was asked.
        identity: Identity,
        /// For whom there are some.
        ours: TrustDomain,
    },
    /// The identity's fields do not form a valid one.
    #[error(transparent)]
    BadIdentity(#[from] IdentityError),
    /// A DNS name that cannot stand in a certificate, or too many names.
    #[error("'{0}' cannot be an additional name: {1}")]
    BadExtraName(String, &'static str),
    /// The request does not parse, its signature is wrong, or it asks for what we do not sign.
    #[error("the signing request is unusable: {0}")]
    BadRequest(String),
    /// The request names somebody else.
    #[error("the signing request asks for {asked}, not for {expected}")]
    OtherIdentity {
        /// What it asks for.
        asked: String,
        /// What it may have.
        expected: Identity,
    },
    /// The authority is out of date.
    #[error("the authority itself is expired; create a new one")]
    Expired,
    /// A time that X.509 cannot say.
    #[error("the clock or the lifetime is out of range: {0}")]
    BadTime(&'static str),
    /// The system gives no randomness.
    #[error("no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    /// The encoder or the signer failed.
    #[error("signing failed: {0}")]
    Signing(#[from] rcgen::Error),
}

impl Default for Validity {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self { authority: DAY * 3652, leaf: DAY, crl: DAY * 7 }
    }
}

impl Authority {
    /// A new authority for `trust_domain`, with a new key.
    ///
    /// # Errors
    ///
    /// [`AuthorityError::BadTime`], [`AuthorityError::Signing`].
    pub fn create(
        trust_domain: &TrustDomain,
        validity: &Validity,
        now: SystemTime,
    ) -> Result<Self, AuthorityError> {
        let (not_before, not_after) = period(validity.authority, now)?;
        let mut params = CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_after;
        let serial = Serial::random()?;
        params.serial_number = Some(der_serial(&serial));
        // Two authorities of one trust domain (while one succeeds the other) need two names:
        // a verifier finds the authority, and its revocation list, by name.
        let name = format!("GeoPing CA {} {trust_domain}", &serial.to_string()[..8]);
        params.distinguished_name = common_name(&name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![uri(&trust_domain.uri())?];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let cert_pem = params.self_signed(&key)?.pem();
        Self::from_pem(&cert_pem, &key.serialize_pem())
    }

    /// An authority that was created before.
    ///
    /// # Errors
    ///
    /// When the two do not parse, do not belong together or are no authority's.
    pub fn from_pem(cert_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let malformed = |why: &dyn fmt::Display| AuthorityError::BadCertificate(why.to_string());
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes()).map_err(|e| malformed(&e))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| malformed(&e))?;
        let usage = parsed.key_usage().map_err(|e| malformed(&e))?;
        if !parsed.is_ca() || !usage.is_some_and(|u| u.value.key_cert_sign() && u.value.crl_sign())
        {
            return Err(AuthorityError::NotAnAuthority);
        }
        let trust_domain = TrustDomain::of_authority(&der).map_err(AuthorityError::Nameless)?;
        let key = KeyPair::from_pem(key_pem).map_err(|e| AuthorityError::BadKey(e.to_string()))?;
        if key.public_key_raw() != parsed.public_key().subject_public_key.data.as_ref() {
            return Err(AuthorityError::KeyMismatch);
        }
        let not_after = SystemTime::from(parsed.validity().not_after.to_datetime());
        let issuer = Issuer::from_ca_cert_der(&der, key)?;
        Ok(Self { trust_domain, cert_pem: cert_pem.to_owned(), not_after, issuer })
    }

    /// For whom it speaks.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its certificate, which everybody may have.
    pub fn cert_pem(&self) -> &str {
        &self.cert_pem
    }

    /// Its private key, which nobody else may have.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Until when it can sign.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// A new key and a certificate for it.
    ///
    /// The certificate never outlives the authority: a longer `lifetime` is cut.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; nothing was signed.
    pub fn issue(
        &self,
        identity: &Identity,
        extra: &Extra,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let (params, serial) = self.leaf(identity, extra, lifetime, now)?;
        let signed = signed(params.signed_by(&key, &self.issuer)?.pem(), serial, &params);
        Ok(Issued {
            cert_pem: signed.cert_pem,
            key_pem: key.serialize_pem(),
            serial,
            not_before: signed.not_before,
            not_after: signed.not_after,
        })
    }

    /// A certificate for the key of a signing request (PKCS #10, PEM).
    ///
    /// Only the key is taken from the request; every name, usage and time is ours. A URI in the
    /// request must be `identity`, so that nobody believes to have got what was never given.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; nothing was signed.
    pub fn sign_csr(
        &self,
        csr_pem: &str,
        identity: &Identity,
        extra: &Extra,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Signed, AuthorityError> {
        let request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|e| AuthorityError::BadRequest(e.to_string()))?;
        check_request(csr_pem, &request, identity)?;
        let (params, serial) = self.leaf(identity, extra, lifetime, now)?;
        let request = CertificateSigningRequestParams { params, ..request };
        let pem = request.signed_by(&self.issuer)?.pem();
        Ok(signed(pem, serial, &request.params))
    }

    /// Whether this authority's key signed `certificate`: only then does what stands in it count.
    pub(crate) fn has_signed(&self, certificate: &X509Certificate<'_>) -> bool {
        let Ok(own) = CertificateDer::from_pem_slice(self.cert_pem.as_bytes()) else {
            return false;
        };
        let Ok((_, own)) = X509Certificate::from_der(&own) else { return false };
        // RFC 5280 §4.1.1.2: the signed and the unsigned statement of the algorithm agree.
        certificate.signature_algorithm == certificate.tbs_certificate.signature
            && certificate.signature_value.unused_bits == 0
            && certificate.verify_signature(Some(own.public_key())).is_ok()
    }

    /// A list of what was taken back, PEM; `number` must grow with each list.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; nothing was signed.
    pub fn crl_pem(
        &self,
        revoked: &[Revoked],
        number: u64,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, AuthorityError> {
        let lines: Result<Vec<_>, AuthorityError> = revoked.iter().map(Revoked::params).collect();
        let list = CertificateRevocationListParams {
            this_update: x509_time(now)?,
            next_update: x509_time(later(now, lifetime)?)?,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: lines?,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(list.signed_by(&self.issuer)?.pem()?)
    }

    /// Everything about a certificate but its key.
    fn leaf(
        &self,
        identity: &Identity,
        extra: &Extra,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<(CertificateParams, Serial), AuthorityError> {
        let identity = identity.clone().checked()?;
        if identity.trust_domain != self.trust_domain {
            let ours = self.trust_domain.clone();
            return Err(AuthorityError::ForeignTrustDomain { identity, ours });
        }
        if now >= self.not_after {
            return Err(AuthorityError::Expired);
        }
        let (not_before, not_after) = period(lifetime, now)?;
        let serial = Serial::random()?;
        let mut params = CertificateParams::default();
        params.not_before = not_before;
        params.not_after = not_after.min(x509_time(self.not_after)?);
        params.serial_number = Some(der_serial(&serial));
        params.distinguished_name = common_name(last_name(&identity));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(&identity.to_string())?];
        params.subject_alt_names.extend(extra.names()?);
        params.use_authority_key_identifier_extension = true;
        Ok((params, serial))
    }
}

impl Extra {
    fn names(&self) -> Result<Vec<SanType>, AuthorityError> {
        if let Some(name) = self.dns.get(MAX_EXTRA_NAMES.saturating_sub(self.ip.len())) {
            return Err(AuthorityError::BadExtraName(name.clone(), "more than 16 names"));
        }
        if let Some(ip) = self.ip.get(MAX_EXTRA_NAMES) {
            return Err(AuthorityError::BadExtraName(ip.to_string(), "more than 16 names"));
        }
        let dns = self.dns.iter().map(|name| {
            let bad = || AuthorityError::BadExtraName(name.clone(), "not a DNS name");
            rustls_pki_types::DnsName::try_from(name.as_str()).map_err(|_| bad())?;
            Ok(SanType::DnsName(name.as_str().try_into().map_err(|_| bad())?))
        });
        dns.chain(self.ip.iter().map(|&ip| Ok(SanType::IpAddress(ip)))).collect()
    }
}

impl Revoked {
    fn params(&self) -> Result<RevokedCertParams, AuthorityError> {
        Ok(RevokedCertParams {
            serial_number: der_serial(&self.serial),
            revocation_time: x509_time(self.at)?,
            reason_code: self.reason.map(Reason::code),
            invalidity_date: None,
        })
    }
}

impl Reason {
    fn code(self) -> RevocationReason {
        match self {
            Self::KeyCompromise => RevocationReason::KeyCompromise,
            Self::AffiliationChanged => RevocationReason::AffiliationChanged,
            Self::Superseded => RevocationReason::Superseded,
            Self::CessationOfOperation => RevocationReason::CessationOfOperation,
            Self::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
        }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("trust_domain", &self.trust_domain)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued")
            .field("serial", &self.serial)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Whether a request (its signature is verified already) has a key we sign and names nobody else.
fn check_request(
    csr_pem: &str,
    request: &CertificateSigningRequestParams,
    identity: &Identity,
) -> Result<(), AuthorityError> {
    let bad = |why: &str| AuthorityError::BadRequest(why.to_owned());
    for name in &request.params.subject_alt_names {
        match name {
            SanType::URI(asked) if asked.as_str() != identity.to_string() => {
                let (asked, expected) = (asked.as_str().to_owned(), identity.clone());
                return Err(AuthorityError::OtherIdentity { asked, expected });
            }
            _ => {}
        }
    }
    let allowed =
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519];
    if !allowed.iter().any(|kind| *kind == request.public_key.algorithm()) {
        return Err(bad("its key must be EC P-256, EC P-384 or Ed25519"));
    }
    // rcgen guesses the key's kind from the signature's; a P-384 key that signs with SHA-256
    // would be written down as P-256. Compare with the key as it was sent.
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
        .map_err(|e| bad(&e.to_string()))?;
    let (_, parsed) = X509CertificationRequest::from_der(&der).map_err(|e| bad(&e.to_string()))?;
    let sent = parsed.certification_request_info.subject_pki.raw;
    if request.public_key.subject_public_key_info() != sent {
        return Err(bad("its key and its signature are of different kinds"));
    }
    Ok(())
}

fn signed(cert_pem: String, serial: Serial, params: &CertificateParams) -> Signed {
    let (not_before, not_after) = (params.not_before.into(), params.not_after.into());
    Signed { cert_pem, serial, not_before, not_after }
}

/// From a little before `now` to `lifetime` after it, in whole seconds.
fn period(
    lifetime: Duration,
    now: SystemTime,
) -> Result<(OffsetDateTime, OffsetDateTime), AuthorityError> {
    if lifetime < CLOCK_SKEW {
        return Err(AuthorityError::BadTime("the lifetime is shorter than a minute"));
    }
    let start =
        now.checked_sub(CLOCK_SKEW).ok_or(AuthorityError::BadTime("the clock is before 1970"))?;
    Ok((x509_time(start)?, x509_time(later(now, lifetime)?)?))
}

fn later(now: SystemTime, lifetime: Duration) -> Result<SystemTime, AuthorityError> {
    now.checked_add(lifetime).ok_or(AuthorityError::BadTime("the lifetime is too long"))
}

/// X.509 knows whole seconds up to the year 9999 (RFC 5280 §4.1.2.5).
fn x509_time(time: SystemTime) -> Result<OffsetDateTime, AuthorityError> {
    let since_1970 = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| AuthorityError::BadTime("the clock is before 1970"))?;
    i64::try_from(since_1970.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .ok_or(AuthorityError::BadTime("after the year 9999"))
}

fn der_serial(serial: &Serial) -> SerialNumber {
    SerialNumber::from_slice(serial.as_bytes())
}

fn uri(text: &str) -> Result<SanType, AuthorityError> {
    Ok(SanType::URI(text.try_into()?))
}

/// A common name is for people to read; nothing is decided by it.
fn common_name(name: &str) -> DistinguishedName {
    /// RFC 5280, upper bound of a common name.
    const MAX: usize = 64;
    let mut full = DistinguishedName::new();
    full.push(DnType::CommonName, name.chars().take(MAX).collect::<String>());
    full
}

fn last_name(identity: &Identity) -> &str {
    match &identity.role {
        Role::Node { node: name, .. } | Role::User(name) | Role::Member(name) => name,
    }
}

#[cfg(test)]
mod tests;
