//! Certificates and authorities, for people and for programs.

use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use pki::index::{Entry, Status};
use pki::{Folder, Identity, TrustDomain};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::output;

/// Where the authority is, and who can read its key.
pub(crate) fn authority(folder: &Folder) -> anyhow::Result<String> {
    Ok(format!(
        "authority of {}\n  {}  its certificate, for every node\n  {}  its revocation list, for \
         every node\n{}",
        folder.trust_domain(),
        folder.ca_cert().display(),
        folder.ca_crl().display(),
        key_line(&folder.ca_key())?
    ))
}

/// The key's place, owner and mode: whoever can read it can be anybody.
fn key_line(key: &Path) -> anyhow::Result<String> {
    let about = std::fs::metadata(key).with_context(|| key.display().to_string())?;
    let mode = about.mode() & 0o777;
    let readers = match mode & 0o077 {
        0 => format!("uid {} and root can read it, nobody else", about.uid()),
        _ => "OTHERS CAN READ IT".to_owned(),
    };
    Ok(format!("  {}  its private key: {readers} (mode {mode:04o})\n", key.display()))
}

/// The paths, for programs.
#[derive(Debug, Serialize)]
pub(crate) struct AuthorityObject {
    trust_domain: String,
    certificate: PathBuf,
    key: PathBuf,
    crl: PathBuf,
}

impl AuthorityObject {
    pub(crate) fn of(folder: &Folder) -> Self {
        Self {
            trust_domain: folder.trust_domain().to_string(),
            certificate: folder.ca_cert(),
            key: folder.ca_key(),
            crl: folder.ca_crl(),
        }
    }
}

/// `issued spiffe://… until 2026-… (serial …)` and where it lies.
pub(crate) fn line(verb: &str, entry: &Entry, now: SystemTime) -> String {
    let mut text = format!(
        "{verb} {} ({}), serial {}\n",
        entry.identity,
        worth(entry.status(now), entry.not_after),
        entry.serial
    );
    if let (Some(cert), Some(key)) = (&entry.cert, &entry.key) {
        let _ = writeln!(text, "  {}\n  {}", cert.display(), key.display());
    }
    text
}

/// Everything on record, newest last, under the authority.
pub(crate) fn list(folder: &Folder, entries: &[Entry], now: SystemTime) -> anyhow::Result<String> {
    let rows = entries.iter().map(|entry| {
        [
            entry.serial.to_string(),
            entry.identity.to_string(),
            worth(entry.status(now), entry.not_after),
            entry.cert.as_ref().map(|cert| cert.display().to_string()).unwrap_or_default(),
        ]
    });
    let table = match entries.is_empty() {
        true => "nothing was issued yet\n".to_owned(),
        false => output::table(&["SERIAL", "IDENTITY", "STATUS", "FILE"], rows),
    };
    Ok(format!("{}\n{table}", authority(folder)?))
}

fn worth(status: Status, not_after: SystemTime) -> String {
    let until = humantime::format_rfc3339_seconds(not_after);
    match status {
        Status::Valid { left } => format!("valid {} until {until}", about(left)),
        Status::Expired { ago } => format!("expired {} ago", about(ago)),
        Status::Revoked(revocation) => {
            let at = humantime::format_rfc3339_seconds(revocation.at);
            let reason = revocation.reason.and_then(|reason| serde_json::to_value(reason).ok());
            let reason = reason.and_then(|value| value.as_str().map(str::to_owned));
            format!("revoked {at}{}", reason.map(|word| format!(", {word}")).unwrap_or_default())
        }
    }
}

/// The two largest units: nobody plans renewals to the second.
fn about(time: Duration) -> String {
    let whole = humantime::format_duration(Duration::from_secs(time.as_secs())).to_string();
    whole.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// What a certificate says of itself, whoever issued it.
#[derive(Debug, Serialize)]
pub(crate) struct Certificate {
    file: PathBuf,
    /// Or why it names nobody.
    identity: Result<String, String>,
    names: Vec<String>,
    serial: String,
    issuer: String,
    not_before: String,
    not_after: String,
    authority: bool,
    #[serde(skip)]
    end: SystemTime,
}

impl Certificate {
    /// The first certificate of the file.
    ///
    /// # Errors
    /// When it cannot be read, or holds none.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let failed = || format!("{}", file.display());
        let der = CertificateDer::from_pem_file(file)
            .map_err(|error| anyhow::anyhow!("no certificate in PEM form: {error}"))
            .with_context(failed)?;
        let (_, certificate) = X509Certificate::from_der(&der).with_context(failed)?;
        let moment = |time: i64| {
            let seconds = u64::try_from(time).unwrap_or_default();
            SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
        };
        let validity = certificate.validity();
        let end = moment(validity.not_after.timestamp());
        let identity = match certificate.is_ca() {
            true => TrustDomain::of_authority(&der).map(|name| format!("the authority of {name}")),
            false => Identity::of_certificate(&der).map(|identity| identity.to_string()),
        };
        Ok(Self {
            file: file.to_owned(),
            identity: identity.map_err(|error| error.to_string()),
            names: names(&certificate),
            serial: certificate.raw_serial_as_string().replace(':', ""),
            issuer: certificate.issuer().to_string(),
            not_before: rfc3339(moment(validity.not_before.timestamp())),
            not_after: rfc3339(end),
            authority: certificate.is_ca(),
            end,
        })
    }

    pub(crate) fn text(&self, now: SystemTime) -> String {
        let identity = match &self.identity {
            Ok(identity) => identity.clone(),
            Err(cause) => format!("none: {cause}"),
        };
        let left = match self.end.duration_since(now) {
            Ok(left) => format!("{} left", about(left)),
            Err(past) => format!("expired {} ago", about(past.duration())),
        };
        let mut text = format!("file      {}\nidentity  {identity}\n", self.file.display());
        if !self.names.is_empty() {
            let _ = writeln!(text, "names     {}", self.names.join(", "));
        }
        let _ = write!(
            text,
            "serial    {}\nissuer    {}\nvalid     {} to {} ({left})\n",
            self.serial, self.issuer, self.not_before, self.not_after
        );
        text
    }
}

/// Names beside the identity.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let names = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    names.collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pki::Reason;
    use pki::index::Revocation;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn what_a_certificate_is_worth_in_words() {
        let end = now() + Duration::from_secs(86_399);
        let valid = Status::Valid { left: Duration::from_secs(86_399) };
        assert_eq!(worth(valid, end), "valid 23h 59m until 2027-01-16T07:59:59Z");
        let expired = Status::Expired { ago: Duration::from_secs(61) };
        assert_eq!(worth(expired, end), "expired 1m 1s ago");
        let reason = Some(Reason::KeyCompromise);
        let revoked = Status::Revoked(Revocation { at: now(), reason });
        assert_eq!(worth(revoked, end), "revoked 2027-01-15T08:00:00Z, key-compromise");
    }

    #[test]
    fn addresses_are_read_from_their_bytes() {
        assert_eq!(address(&[192, 0, 2, 1]).as_deref(), Some("192.0.2.1"));
        assert_eq!(address(&[0; 16]).as_deref(), Some("::"));
        assert_eq!(address(&[1, 2, 3]), None);
    }
}
