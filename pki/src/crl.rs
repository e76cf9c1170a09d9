//! What a revocation list says of itself, and whether an authority really signed it.
//!
//! A handshake trusts a list without asking again, and a list that cannot be verified makes every
//! handshake fail. So a list is checked here before it is used at all.

use std::time::SystemTime;

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::oid_registry::OID_X509_EXT_ISSUER_DISTRIBUTION_POINT;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// What matters about a list besides its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlInfo {
    /// Whose list it is; only numbers of one source say which list is older.
    pub source: CrlSource,
    /// Grows with every list of one authority; big-endian, without leading zeros.
    pub number: Vec<u8>,
    /// When it was made.
    pub this_update: SystemTime,
    /// When a newer one should exist.
    pub next_update: Option<SystemTime>,
    /// How many certificates it takes back.
    pub revoked: usize,
}

/// Which lists succeed each other: those of one authority about the same certificates
/// (RFC 5280 §5.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlSource {
    /// The authority's name and public key, DER. Not its certificate, which may be made anew.
    authority: [Vec<u8>; 2],
    /// The issuing distribution point (RFC 5280 §5.2.5), DER; none when it is about all.
    part: Option<Vec<u8>>,
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
        let source = CrlSource {
            authority: signer(&list, authorities)?.ok_or(CrlError::NotOurs)?,
            part: list
                .extensions()
                .iter()
                .find(|extension| extension.oid == OID_X509_EXT_ISSUER_DISTRIBUTION_POINT)
                .map(|extension| extension.value.to_vec()),
        };
        let number = list.crl_number().ok_or(CrlError::Unnumbered)?.to_bytes_be();
        Ok(Self {
            source,
            number,
            this_update: list.last_update().to_datetime().into(),
            next_update: list.next_update().map(|time| time.to_datetime().into()),
            revoked: list.iter_revoked_certificates().count(),
        })
    }

    /// Whether `other` is a later list of the same source.
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.source == other.source
            && (self.number.len(), &self.number) < (other.number.len(), &other.number)
    }

    /// Whether a newer list should exist by now.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        self.next_update.is_some_and(|next| next < now)
    }
}

/// Name and key of the authority that signed `list`, if one of `authorities` did.
fn signer(
    list: &CertificateRevocationList<'_>,
    authorities: &[CertificateDer<'_>],
) -> Result<Option<[Vec<u8>; 2]>, CrlError> {
    for der in authorities {
        let (_, authority) =
            X509Certificate::from_der(der).map_err(|e| CrlError::BadAuthority(e.to_string()))?;
        let (name, key) = (authority.subject().as_raw(), authority.public_key());
        if name == list.issuer().as_raw() && list.verify_signature(key).is_ok() {
            return Ok(Some([name.to_vec(), key.raw.to_vec()]));
        }
    }
    Ok(None)
}
