//! What a revocation list says of itself, and whether an authority really signed it.
//!
//! A handshake trusts a list without asking again, and a list that cannot be verified makes every
//! handshake fail. So a list is checked here before it is used at all.

use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// What matters about a list besides its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlInfo {
    /// Grows with every list of one authority; big-endian, without leading zeros.
    pub number: Vec<u8>,
    /// When it was made.
    pub this_update: SystemTime,
    /// When a newer one should exist.
    pub next_update: Option<SystemTime>,
    /// How many certificates it takes back.
    pub revoked: usize,
}

/// Why a list must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    /// It does not parse, or bytes follow it.
    #[error("the revocation list is malformed: {0}")]
    Malformed(String),
    /// An authority's certificate does not parse.
    #[error("the authority's certificate is malformed: {0}")]
    BadAuthority(String),
    /// It has no number, so an older list could pass for a newer one.
    #[error("the revocation list has no number")]
    Unnumbered,
    /// None of the authorities signed it.
    #[error("the revocation list is not signed by our authority")]
    NotOurs,
}

impl CrlInfo {
    /// Reads `crl` and verifies that one of `authorities` signed it.
    ///
    /// # Errors
    ///
    /// [`CrlError`]; whoever made the file is to blame.
    pub fn verify(
        crl: &CertificateRevocationListDer<'_>,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Self, CrlError> {
        let malformed = |e: &dyn std::fmt::Display| CrlError::Malformed(e.to_string());
        let (rest, list) = CertificateRevocationList::from_der(crl).map_err(|e| malformed(&e))?;
        if !rest.is_empty() {
            return Err(malformed(&"bytes follow it"));
        }
        // RFC 5280 §5.1.1.2: the signed and the unsigned statement of the algorithm agree.
        if list.signature_algorithm != list.tbs_cert_list.signature {
            return Err(malformed(&"it names two signature algorithms"));
        }
        // A signature is whole bytes; the parser would overlook bits that are said to be unused.
        if list.signature_value.unused_bits != 0 {
            return Err(malformed(&"its signature is not whole bytes"));
        }
        if !signed_by_any(&list, authorities)? {
            return Err(CrlError::NotOurs);
        }
        let number = list.crl_number().ok_or(CrlError::Unnumbered)?.to_bytes_be();
        Ok(Self {
            number,
            this_update: list.last_update().to_datetime().into(),
            next_update: list.next_update().map(|time| time.to_datetime().into()),
            revoked: list.iter_revoked_certificates().count(),
        })
    }

    /// Whether this list is older than `other` of the same authority.
    pub fn is_older_than(&self, other: &Self) -> bool {
        (self.number.len(), &self.number) < (other.number.len(), &other.number)
    }

    /// Whether a newer list should exist by now.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        self.next_update.is_some_and(|next| next < now)
    }
}

fn signed_by_any(
    list: &CertificateRevocationList<'_>,
    authorities: &[CertificateDer<'_>],
) -> Result<bool, CrlError> {
    for der in authorities {
        let (_, authority) =
            X509Certificate::from_der(der).map_err(|e| CrlError::BadAuthority(e.to_string()))?;
        let same_name = authority.subject().as_raw() == list.issuer().as_raw();
        if same_name && list.verify_signature(authority.public_key()).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
