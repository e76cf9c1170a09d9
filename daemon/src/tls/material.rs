//! What the files say, read at once and checked together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use pki::crl::{CrlError, CrlInfo};
use pki::{Identity, IdentityError, TrustDomain};
use rustls::crypto::CryptoProvider;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, Error};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, TrustAnchor, UnixTime,
};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::verify::{Purpose, Trust};
use super::words::refusal_in_words;
use crate::config;
use crate::files::{self, Content, ReadError};

/// The largest certificate, key or authority file, in bytes; a chain of ten has 10 KiB.
const MAX_PEM: u64 = 1024 * 1024;

/// The largest revocation list, in bytes: some 200,000 lines.
const MAX_CRL: u64 = 16 * 1024 * 1024;

/// Why the files cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: {cause}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {why}", .file.display())]
    BadFile {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Our own certificate names nobody.
    #[error("{}: {cause}", .file.display())]
    Nameless {
        /// The certificate.
        file: PathBuf,
        /// What is wrong.
        cause: IdentityError,
    },
    /// Our own certificate is for another installation.
    #[error("{}: it is for {identity}, but [node] trust_domain is {ours}", .file.display())]
    ForeignTrustDomain {
        /// The certificate.
        file: PathBuf,
        /// Whom it names.
        identity: Box<Identity>,
        /// Where we belong.
        ours: TrustDomain,
    },
    /// Key and certificate are not a pair; perhaps only one of them was replaced yet.
    #[error("{} is not the key of the certificate {}", .key.display(), .cert.display())]
    KeyMismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Our peers would refuse our own certificate.
    #[error("{}: our own {why}", .file.display())]
    Unacceptable {
        /// The certificate.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// Our own certificate has expired, or is not valid yet.
    #[error("{}: our own {why}", .file.display())]
    OutOfTime {
        /// The certificate.
        file: PathBuf,
        /// Since when, or until when.
        why: String,
    },
    /// Neither the authority nor our own certificate says which installation this is.
    #[error("{}: this authority names no trust domain, and neither does our own certificate; give \
             a certificate that does", .file.display())]
    NoTrustDomain {
        /// The authority.
        file: PathBuf,
    },
    /// A revocation list is damaged or not of our authority.
    #[error("{}: {cause}", .file.display())]
    BadCrl {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        cause: CrlError,
    },
    /// A revocation list is older than the one in use; it would let revoked ones in again.
    #[error("{}: this revocation list is older than the one in use", .file.display())]
    OlderCrl {
        /// The file.
        file: PathBuf,
    },
    /// The clock is before 1970.
    #[error("the system's clock is before 1970, certificates cannot be checked")]
    NoClock,
}

/// One consistent set of files, parsed.
pub(super) struct Material {
    pub(super) identity: Identity,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) trust: Arc<Trust>,
    pub(super) lists: Vec<CrlInfo>,
    chain: Vec<CertificateDer<'static>>,
    certified: Arc<CertifiedKey>,
    /// Certificate, key, authority, list, as they were on disk.
    raw: [Vec<u8>; 4],
    /// What works, and should not be so.
    pub(super) warnings: Vec<String>,
}

impl Material {
    /// Reads the files and sees whether they fit together.
    pub(super) fn read(config: &config::Tls) -> Result<Self, TlsError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = read(&config.key, MAX_PEM)?;
        let warnings = known_to_everybody(&config.key, &key).into_iter().collect();
        let raw = [
            read(&config.cert, MAX_PEM)?.octets,
            key.octets,
            read(&config.ca, MAX_PEM)?.octets,
            match &config.crl {
                Some(file) => read(file, MAX_CRL)?.octets,
                None => Vec::new(),
            },
        ];

        let certified = certified(&config.cert, &raw[0], &config.key, &raw[1], &provider)?;
        let chain = certified.cert.clone();
        let own = &chain[0]; // `all_in` found at least one
        let identity = Identity::of_certificate(own)
            .map_err(|cause| TlsError::Nameless { file: config.cert.clone(), cause })?;
        let (not_before, not_after) =
            pki::validity_of(own).map_err(|why| bad(&config.cert, &why.to_string()))?;

        let authorities = all_in(&config.ca, &raw[2], "certificate")?;
        let (lists, parsed) = match &config.crl {
            Some(file) => revocation(file, &raw[3], &authorities)?,
            None => Default::default(),
        };
        let anchors = anchors(&config.ca, &authorities)?;
        let algorithms = provider.signature_verification_algorithms;
        let trust = Arc::new(Trust { anchors, lists: parsed, algorithms });
        let certified = Arc::new(certified);
        Ok(Self { identity, not_before, not_after, trust, lists, chain, certified, raw, warnings })
    }

    /// Whether our peers, who trust the same authority, would accept us at `now`.
    ///
    /// Being revoked is not looked at here, see [`Material::own_revocation`].
    pub(super) fn check(
        &self,
        config: &config::Tls,
        ours: &TrustDomain,
        now: SystemTime,
    ) -> Result<(), TlsError> {
        if self.identity.trust_domain != *ours {
            return Err(TlsError::ForeignTrustDomain {
                file: config.cert.clone(),
                identity: Box::new(self.identity.clone()),
                ours: ours.clone(),
            });
        }
        match self.verify_own(now) {
            Ok(()) | Err(Error::InvalidCertificate(CertificateError::Revoked)) => Ok(()),
            Err(error) => {
                let (file, why) = (config.cert.clone(), refusal_in_words(&error).1);
                Err(if is_about_time(&error) {
                    TlsError::OutOfTime { file, why }
                } else {
                    TlsError::Unacceptable { file, why }
                })
            }
        }
    }

    /// That we were taken back ourselves, if so.
    pub(super) fn own_revocation(&self, config: &config::Tls) -> Option<TlsError> {
        match self.verify_own(self.not_after) {
            Err(error @ Error::InvalidCertificate(CertificateError::Revoked)) => {
                let why = refusal_in_words(&error).1;
                Some(TlsError::Unacceptable { file: config.cert.clone(), why })
            }
            _ => None,
        }
    }

    /// Whether each list is at least as new as the one in use of the same authority. How the
    /// files are written, and in which order, does not matter.
    pub(super) fn refuse_older_lists(
        &self,
        old: &Self,
        config: &config::Tls,
    ) -> Result<(), TlsError> {
        let is_older = |new: &CrlInfo| old.lists.iter().any(|old| new.is_older_than(old));
        match &config.crl {
            Some(file) if self.lists.iter().any(is_older) => {
                Err(TlsError::OlderCrl { file: file.clone() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn same_files(&self, other: &Self) -> bool {
        self.raw == other.raw
    }

    /// Always presents our one certificate.
    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }

    /// A person's certificate may be good for calling only, so either purpose will do.
    fn verify_own(&self, now: SystemTime) -> Result<(), Error> {
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(since_1970);
        let (own, intermediates) = (&self.chain[0], &self.chain[1..]);
        match self.trust.verify(own, intermediates, Purpose::Client, now) {
            Err(Error::InvalidCertificate(CertificateError::InvalidPurpose)) => {
                self.trust.verify(own, intermediates, Purpose::Server, now)
            }
            other => other,
        }
    }
}

impl TlsError {
    /// What rustls says about certificate and key together.
    pub(super) fn of_pair(cert: &Path, key: &Path, error: &Error) -> Self {
        match error {
            Error::InconsistentKeys(_) => {
                Self::KeyMismatch { cert: cert.to_owned(), key: key.to_owned() }
            }
            other => bad(key, &format!("unusable private key: {other}")),
        }
    }
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Material")
            .field("identity", &self.identity)
            .field("not_after", &self.not_after)
            .field("lists", &self.lists)
            .finish_non_exhaustive()
    }
}

/// A certificate chain with its private key.
fn certified(
    cert: &Path,
    cert_pem: &[u8],
    key: &Path,
    key_pem: &[u8],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<CertificateDer<'static>> = all_in(cert, cert_pem, "certificate")?;
    let private = PrivateKeyDer::from_pem_slice(key_pem)
        .map_err(|_| bad(key, "it holds no private key in PEM form"))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|e| TlsError::of_pair(cert, key, &e))
}

/// What a [`Caller`](super::Caller) is made of; nothing is checked against anything.
#[expect(clippy::type_complexity, reason = "three parts, used once")]
pub(super) fn caller_material(
    authority: &Path,
    pair: Option<(&Path, &Path)>,
    provider: &CryptoProvider,
) -> Result<(Vec<CertificateDer<'static>>, Arc<Trust>, Option<Arc<CertifiedKey>>), TlsError> {
    let authorities = all_in(authority, &read(authority, MAX_PEM)?.octets, "certificate")?;
    let trust = Trust {
        anchors: anchors(authority, &authorities)?,
        lists: Vec::new(),
        algorithms: provider.signature_verification_algorithms,
    };
    let pair = pair.map(|(cert, key)| {
        let (of_cert, of_key) = (read(cert, MAX_PEM)?, read(key, MAX_PEM)?);
        if let Some(warning) = known_to_everybody(key, &of_key) {
            tracing::warn!("{warning}");
        }
        certified(cert, &of_cert.octets, key, &of_key.octets, provider).map(Arc::new)
    });
    Ok((authorities, Arc::new(trust), pair.transpose()?))
}

fn is_about_time(error: &Error) -> bool {
    use CertificateError as C;
    matches!(
        error,
        Error::InvalidCertificate(
            C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. }
        )
    )
}

/// The lists in a file: what they say, and as the verifier wants them.
///
/// The verifier asks the first list of an authority only, so of several the newest is kept.
fn revocation(
    file: &Path,
    pem: &[u8],
    authorities: &[CertificateDer<'static>],
) -> Result<(Vec<CrlInfo>, Vec<CertRevocationList<'static>>), TlsError> {
    let lists: Vec<CertificateRevocationListDer<'static>> = all_in(file, pem, "revocation list")?;
    let mut newest: Vec<(CrlInfo, CertRevocationList<'static>)> = Vec::new();
    for der in &lists {
        let info = CrlInfo::verify(der, authorities)
            .map_err(|cause| TlsError::BadCrl { file: file.to_owned(), cause })?;
        let parsed = OwnedCertRevocationList::from_der(der)
            .map_err(|e| bad(file, &format!("unusable revocation list: {e:?}")))?;
        match newest.iter_mut().find(|(known, _)| known.source == info.source) {
            Some(known) if known.0.is_older_than(&info) => *known = (info, parsed.into()),
            Some(_) => {}
            None => newest.push((info, parsed.into())),
        }
    }
    Ok(newest.into_iter().unzip())
}

fn anchors(
    file: &Path,
    authorities: &[CertificateDer<'static>],
) -> Result<Vec<TrustAnchor<'static>>, TlsError> {
    let each = authorities.iter().map(|der| {
        let anchor = webpki::anchor_from_trusted_cert(der)
            .map_err(|e| bad(file, &format!("unusable authority: {e:?}")))?;
        Ok(anchor.to_owned())
    });
    each.collect()
}

/// Every PEM section of a kind; at least one.
fn all_in<T: PemObject>(file: &Path, pem: &[u8], what: &str) -> Result<Vec<T>, TlsError> {
    let all: Vec<T> = T::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| bad(file, &format!("damaged PEM: {e}")))?;
    if all.is_empty() {
        Err(bad(file, &format!("it holds no {what} in PEM form")))
    } else {
        Ok(all)
    }
}

fn read(file: &Path, limit: u64) -> Result<Content, TlsError> {
    match files::read(file, limit) {
        Ok(content) => Ok(content),
        Err(ReadError::System(cause)) => Err(TlsError::Read { file: file.to_owned(), cause }),
        Err(other) => Err(bad(file, &other.to_string())),
    }
}

/// A key for everybody's eyes works, so it is no error; but it is no secret either.
fn known_to_everybody(key: &Path, content: &Content) -> Option<String> {
    (content.mode & 0o007 != 0).then(|| {
        let key = key.display();
        format!("{key}: everybody on this machine can read or write the private key; chmod 600")
    })
}

fn bad(file: &Path, why: &str) -> TlsError {
    TlsError::BadFile { file: file.to_owned(), why: why.to_owned() }
}
