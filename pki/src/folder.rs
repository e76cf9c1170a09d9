//! An authority that lasts: a folder with its key, its list and its memory.
//!
//! ```text
//! pki/            0700   only its owner looks inside
//!   ca.crt        0644   copy it to every node
//!   ca.key        0600   never leaves this folder
//!   ca.crl        0644   copy it to every node, at least weekly
//!   index.json    0600   what was issued and taken back
//!   lock          0600   one writer at a time
//! ```
//!
//! Every write is whole or absent. The index is written before what it speaks of: a crash leaves
//! at worst a certificate on record that nobody got, never one that nobody remembers.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use pki::folder::{Folder, Target};
//! use pki::{Extra, Identity, Reason};
//!
//! # let scratch = tempfile::tempdir()?;
//! # let dir = scratch.path().join("pki");
//! # let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
//! let ours = "test-net.io".parse()?;
//! let folder = Folder::create(&dir, &ours, now)?;
//! let ada = Identity::user(&ours, "ada")?;
//! let target = Target::named(&dir, "ada");                       // ada.crt, ada.key
//! let entry = folder.issue(&ada, &Extra::default(), None, &target, now)?;
//! folder.renew(&target, None, now)?;                             // same identity, new key
//! folder.revoke(&entry.serial, Some(Reason::Superseded), now)?;  // and a new ca.crl
//! for entry in folder.list()? {
//!     println!("{} {} {:?}", entry.serial, entry.identity, entry.status(now));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use files::ReadError;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::{Authority, AuthorityError, Extra, Reason, Signed, Validity};
use crate::identity::{Identity, IdentityError, TrustDomain};
use crate::index::{self, Entry, Index, Revocation, Status};
use crate::serial::Serial;
use crate::whole_file::{self, Prepared};

pub use error::FolderError;

const PUBLIC: u32 = 0o644;
const SECRET: u32 = 0o600;

/// An authority in a folder.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    authority: Authority,
    validity: Validity,
}

/// Where a certificate and its key go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The certificate, 0644.
    pub cert: PathBuf,
    /// The key, 0600.
    pub key: PathBuf,
}

impl Target {
    /// `NAME.crt` and `NAME.key` in `dir`.
    pub fn named(dir: &Path, name: &str) -> Self {
        Self { cert: dir.join(format!("{name}.crt")), key: dir.join(format!("{name}.key")) }
    }
}

impl Folder {
    /// Makes the folder and an authority in it, with an empty CRL.
    ///
    /// # Errors
    ///
    /// [`FolderError`]; an authority that exists is never touched.
    pub fn create(
        dir: &Path,
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Self, FolderError> {
        let validity = Validity::default();
        let write = |cause| write_error(dir, "nothing was changed", cause);
        whole_file::private_folder(dir).map_err(write)?;
        refuse_open_folder(dir)?;
        let refused =
            |cause| FolderError::Authority { dir: dir.to_owned(), cause: Box::new(cause) };
        let authority = Authority::create(trust_domain, &validity, now).map_err(refused)?;
        let folder = Self { dir: dir.to_owned(), authority, validity };
        let _lock = folder.lock()?;
        for file in [folder.ca_key(), folder.ca_cert(), folder.index_file()] {
            if file.exists() {
                return Err(FolderError::Exists(file));
            }
        }
        // The certificate last: `open` needs it, so a half-made folder does not look like one.
        let key = folder.authority.key_pem();
        place_new(&folder.ca_key(), key.as_bytes(), SECRET, "no authority was created")?;
        folder.write_crl(&mut Index::new(now), now, "the authority is incomplete, remove it")?;
        let cert = folder.authority.cert_pem();
        place_new(&folder.ca_cert(), cert.as_bytes(), PUBLIC, "the authority is incomplete")?;
        Ok(folder)
    }

    /// Opens a folder that [`Folder::create`] made.
    ///
    /// # Errors
    ///
    /// When a file is missing, damaged, or others may read the key.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        let (key, cert) = (dir.join("ca.key"), dir.join("ca.crt"));
        let cert_pem = read(&cert)?;
        refuse_open_folder(dir)?;
        let (key_pem, mode) = whole_file::read(&key).map_err(|cause| read_error(&key, cause))?;
        if mode & 0o077 != 0 {
            return Err(FolderError::OpenKey(key));
        }
        let authority = Authority::from_pem(&cert_pem, &key_pem).map_err(|cause| {
            FolderError::Authority { dir: dir.to_owned(), cause: Box::new(cause) }
        })?;
        Ok(Self { dir: dir.to_owned(), authority, validity: Validity::default() })
    }

    /// For whom it speaks.
    pub fn trust_domain(&self) -> &TrustDomain {
        self.authority.trust_domain()
    }

    /// The authority's certificate, for every node.
    pub fn ca_cert(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// The authority's key, for nobody.
    pub fn ca_key(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// The revocation list, for every node.
    pub fn ca_crl(&self) -> PathBuf {
        self.dir.join("ca.crl")
    }

    /// Everything remembered, oldest first.
    ///
    /// # Errors
    ///
    /// When the index cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, FolderError> {
        Ok(self.read_index()?.certificates)
    }

    /// A new key and certificate, in files that must not exist yet.
    ///
    /// `lifetime` is 24 hours unless given, and never longer than the authority's.
    ///
    /// # Errors
    ///
    /// [`FolderError`] says what was changed.
    pub fn issue(
        &self,
        identity: &Identity,
        extra: &Extra,
        lifetime: Option<Duration>,
        target: &Target,
        now: SystemTime,
    ) -> Result<Entry, FolderError> {
        let _lock = self.lock()?;
        for file in [&target.cert, &target.key] {
            if file.exists() {
                return Err(FolderError::Exists(file.clone()));
            }
        }
        self.issue_to(identity, extra, lifetime, target, now, Prepared::create)
    }

    /// A certificate for the key of a signing request; written to `cert`, which must not exist.
    ///
    /// # Errors
    ///
    /// [`FolderError`] says what was changed.
    pub fn sign_csr(
        &self,
        csr_pem: &str,
        identity: &Identity,
        extra: &Extra,
        lifetime: Option<Duration>,
        cert: &Path,
        now: SystemTime,
    ) -> Result<Entry, FolderError> {
        let _lock = self.lock()?;
        if cert.exists() {
            return Err(FolderError::Exists(cert.to_owned()));
        }
        let lifetime = lifetime.unwrap_or(self.validity.leaf);
        let signed = self
            .authority
            .sign_csr(csr_pem, identity, extra, lifetime, now)
            .map_err(|cause| self.refused(cause))?;
        let file = prepare(cert, &signed.cert_pem, PUBLIC, "nothing was changed")?;
        let entry = self.remember(identity, &signed, cert, None, now)?;
        file.create().map_err(|e| write_error(cert, RECORDED, e))?;
        Ok(entry)
    }

    /// A new key and certificate for whom the certificate at `target` names, with its additional
    /// names, in its place. Also when it is expired; never when it is revoked.
    ///
    /// # Errors
    ///
    /// [`FolderError`] says what was changed.
    pub fn renew(
        &self,
        target: &Target,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<Entry, FolderError> {
        let _lock = self.lock()?;
        let old = Old::read(&target.cert, &self.authority)?;
        let index = self.read_index()?;
        let known = old.serial.and_then(|serial| index.find(&serial));
        let Some(known) = known.filter(|entry| entry.identity == old.identity) else {
            let why = "the index does not know it".to_owned();
            return Err(FolderError::NotOurs { file: target.cert.clone(), why });
        };
        if let Status::Revoked(_) = known.status(now) {
            return Err(FolderError::NotRenewed(known.serial));
        }
        self.issue_to(&old.identity, &old.extra, lifetime, target, now, Prepared::replace)
    }

    /// Takes a certificate back and writes a new CRL.
    ///
    /// # Errors
    ///
    /// [`FolderError`] says what was changed.
    pub fn revoke(
        &self,
        serial: &Serial,
        reason: Option<Reason>,
        now: SystemTime,
    ) -> Result<Entry, FolderError> {
        let _lock = self.lock()?;
        let mut index = self.read_index()?;
        let entry = index
            .certificates
            .iter_mut()
            .find(|entry| entry.serial == *serial)
            .ok_or(FolderError::UnknownSerial(*serial))?;
        if entry.revoked.is_some() {
            return Err(FolderError::RevokedAlready(*serial));
        }
        entry.revoked = Some(Revocation { at: now, reason });
        let entry = entry.clone();
        self.write_crl(
            &mut index,
            now,
            "the certificate is on record as revoked, but the old list still stands",
        )?;
        Ok(entry)
    }

    /// Writes a new CRL with the same lines, before the old one becomes stale.
    ///
    /// # Errors
    ///
    /// [`FolderError`] says what was changed.
    pub fn refresh_crl(&self, now: SystemTime) -> Result<(), FolderError> {
        let _lock = self.lock()?;
        self.write_crl(&mut self.read_index()?, now, "the old list still stands")
    }

    /// Issues and writes both files, by creating or by replacing them.
    fn issue_to(
        &self,
        identity: &Identity,
        extra: &Extra,
        lifetime: Option<Duration>,
        target: &Target,
        now: SystemTime,
        place: fn(Prepared) -> io::Result<()>,
    ) -> Result<Entry, FolderError> {
        let lifetime = lifetime.unwrap_or(self.validity.leaf);
        let issued = self
            .authority
            .issue(identity, extra, lifetime, now)
            .map_err(|cause| self.refused(cause))?;
        // Both are on disk, synced, before either takes its place: what can fail fails here.
        let key = prepare(&target.key, &issued.key_pem, SECRET, "nothing was changed")?;
        let cert = prepare(&target.cert, &issued.cert_pem, PUBLIC, "nothing was changed")?;
        let signed = Signed {
            cert_pem: issued.cert_pem,
            serial: issued.serial,
            not_before: issued.not_before,
            not_after: issued.not_after,
        };
        let entry = self.remember(identity, &signed, &target.cert, Some(&target.key), now)?;
        place(key).map_err(|e| write_error(&target.key, RECORDED, e))?;
        place(cert).map_err(|e| {
            write_error(&target.cert, "the new key is in place but not its certificate", e)
        })?;
        Ok(entry)
    }

    /// Puts a certificate on record, and renews a CRL that is past half of its time.
    fn remember(
        &self,
        identity: &Identity,
        signed: &Signed,
        cert: &Path,
        key: Option<&Path>,
        now: SystemTime,
    ) -> Result<Entry, FolderError> {
        let mut index = self.read_index()?;
        index.forget_old(now);
        let entry = Entry {
            serial: signed.serial,
            identity: identity.clone(),
            not_before: signed.not_before,
            not_after: signed.not_after,
            revoked: None,
            cert: Some(cert.to_owned()),
            key: key.map(Path::to_owned),
        };
        if !index.add(entry.clone()) {
            return Err(FolderError::Full);
        }
        if now + self.validity.crl / 2 > index.crl_next_update {
            self.write_crl(&mut index, now, "the old list still stands, nothing was issued")?;
        } else {
            self.write_index(&index, "nothing was issued")?;
        }
        Ok(entry)
    }

    /// Writes the index, then the list it leads to.
    fn write_crl(
        &self,
        index: &mut Index,
        now: SystemTime,
        changed: &'static str,
    ) -> Result<(), FolderError> {
        index.crl_number += 1;
        index.crl_next_update = now + self.validity.crl;
        let revoked = index.revoked(now, self.validity.crl);
        let pem = self
            .authority
            .crl_pem(&revoked, index.crl_number, self.validity.crl, now)
            .map_err(|cause| self.refused(cause))?;
        let list = prepare(&self.ca_crl(), &pem, PUBLIC, "nothing was changed")?;
        self.write_index(index, "nothing was changed")?;
        list.replace().map_err(|e| write_error(&self.ca_crl(), changed, e))
    }

    fn write_index(&self, index: &Index, changed: &'static str) -> Result<(), FolderError> {
        let file = self.index_file();
        let error = |cause| write_error(&file, changed, cause);
        let text = serde_json::to_string_pretty(index).map_err(|e| error(e.into()))?;
        prepare(&file, &text, SECRET, changed)?.replace().map_err(error)
    }

    fn read_index(&self) -> Result<Index, FolderError> {
        let file = self.index_file();
        let damaged = |why| FolderError::BadIndex { file: file.clone(), why };
        let index: Index =
            serde_json::from_str(&read(&file)?).map_err(|e| damaged(e.to_string()))?;
        if index.version != index::VERSION {
            return Err(damaged(format!("its version {} is of another program", index.version)));
        }
        Ok(index)
    }

    fn lock(&self) -> Result<File, FolderError> {
        let file = self.dir.join("lock");
        whole_file::lock(&file).map_err(|cause| FolderError::Locked { file, cause })
    }

    fn index_file(&self) -> PathBuf {
        self.dir.join("index.json")
    }

    fn refused(&self, cause: AuthorityError) -> FolderError {
        FolderError::Authority { dir: self.dir.clone(), cause: Box::new(cause) }
    }
}

const RECORDED: &str = "the certificate is on record, but its files were not written";

/// What a certificate to renew says, once it is known that the authority said it.
struct Old {
    identity: Identity,
    serial: Option<Serial>,
    extra: Extra,
}

impl Old {
    /// Nothing in the file counts before its signature: its names will be certified again.
    fn read(file: &Path, authority: &Authority) -> Result<Self, FolderError> {
        let not_ours = |why: String| FolderError::NotOurs { file: file.to_owned(), why };
        let pem = read(file)?;
        let der =
            CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| not_ours(e.to_string()))?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|e| not_ours(e.to_string()))?;
        if !authority.has_signed(&parsed) {
            return Err(not_ours("its signature is not ours".to_owned()));
        }
        let identity =
            Identity::of_certificate(&der).map_err(|e: IdentityError| not_ours(e.to_string()))?;
        Ok(Self {
            identity,
            serial: Serial::of_der_integer(parsed.raw_serial()),
            extra: extra_names(&parsed),
        })
    }
}

fn extra_names(certificate: &X509Certificate<'_>) -> Extra {
    let mut extra = Extra::default();
    let names = certificate.subject_alternative_name().ok().flatten();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => extra.dns.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                extra.ip.extend(v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)));
            }
            _ => {}
        }
    }
    extra
}

fn refuse_open_folder(dir: &Path) -> Result<(), FolderError> {
    let mode = whole_file::mode(dir).map_err(|cause| read_error(dir, cause.into()))?;
    if mode & 0o077 == 0 { Ok(()) } else { Err(FolderError::OpenFolder(dir.to_owned())) }
}

fn prepare(
    file: &Path,
    text: &str,
    mode: u32,
    changed: &'static str,
) -> Result<Prepared, FolderError> {
    Prepared::write(file, text.as_bytes(), mode).map_err(|e| write_error(file, changed, e))
}

fn place_new(
    file: &Path,
    bytes: &[u8],
    mode: u32,
    changed: &'static str,
) -> Result<(), FolderError> {
    Prepared::write(file, bytes, mode)
        .and_then(Prepared::create)
        .map_err(|e| write_error(file, changed, e))
}

fn read(file: &Path) -> Result<String, FolderError> {
    whole_file::read(file).map(|(text, _)| text).map_err(|cause| read_error(file, cause))
}

fn read_error(file: &Path, cause: ReadError) -> FolderError {
    FolderError::Read { file: file.to_owned(), cause }
}

fn write_error(file: &Path, changed: &'static str, cause: io::Error) -> FolderError {
    FolderError::Write { file: file.to_owned(), changed, cause }
}

#[cfg(test)]
mod tests;
