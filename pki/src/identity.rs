//! Who somebody is: the one URI in a certificate, read strictly.
//!
//! ```text
//! spiffe://test-net.io/region/us-central1/dnsrouter/ns1     a program on a node of a region
//! spiffe://test-net.io/user/ada                             a person
//! spiffe://test-net.io/member/7f3a9c                        a member of the directory
//! └─scheme─┘└─trust domain─┘└──────────── role ──────────┘
//! ```
//!
//! There is one spelling of each identity: what parses prints back byte for byte, so two
//! identities are equal exactly when their text is. Everything that could make two readers
//! disagree (upper case in the trust domain, escapes, ports, queries, empty or dot segments,
//! a second URI beside the first) is refused, never repaired.
//!
//! ```
//! use pki::identity::{Identity, Program, Role, TrustDomain};
//!
//! let ours: TrustDomain = "test-net.io".parse()?;
//! let node = Identity::node(&ours, "us-central1", Program::Dnsrouter, "ns1")?;
//! assert_eq!(node.to_string(), "spiffe://test-net.io/region/us-central1/dnsrouter/ns1");
//!
//! let parsed: Identity = "spiffe://test-net.io/user/ada".parse()?;
//! assert_eq!(parsed.role, Role::User("ada".into()));
//! assert_eq!(parsed.trust_domain, ours);
//! assert!("spiffe://test-net.io.evil.example/user/ada".parse::<Identity>()?.trust_domain != ours);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The longest identity accepted, in bytes; logs, metrics and indexes hold identities, and
/// real ones stay under a hundred.
pub const MAX_URI: usize = 255;

/// The longest trust domain, in bytes: that of a domain name in text form.
pub const MAX_TRUST_DOMAIN: usize = 253;

/// The longest label of a trust domain, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

const SCHEME: &str = "spiffe://";

/// Who somebody is: a role inside a trust domain.
///
/// Reads from and prints as `spiffe://…`; see the [module](self) for the three forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The installation that vouches for the role. Compare it before looking at the role.
    pub trust_domain: TrustDomain,
    /// What the holder is within it.
    pub role: Role,
}

/// What somebody is within a trust domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// One of our programs on a node: `/region/REGION/PROGRAM/NODE`.
    Node {
        /// The region the node stands in, as the configuration spells it.
        region: String,
        /// Which program runs there.
        program: Program,
        /// The node's name, unique within its region and program.
        node: String,
    },
    /// A person: `/user/NAME`.
    User(String),
    /// A member of the directory: `/member/ID`.
    Member(String),
}

/// The programs that hold certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// Answers which region it is, and how that region is.
    Geoping,
    /// The authoritative name server.
    Dnsrouter,
    /// The replicated directory.
    Directory,
}

/// The name of an installation whose members trust one certificate authority.
///
/// Lower-case, DNS-like, compared byte for byte: `test-net.io` has nothing to do with
/// `a.test-net.io`, nor with `test-net.io.example`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

/// Why a text or a certificate names nobody. The one who presented it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// The certificate carries no URI in its subject alternative names.
    #[error("certificate carries no URI SAN, so it names nobody")]
    NoUriSan,
    /// The certificate carries several URIs; which one is meant cannot be known.
    #[error("certificate carries {} URI SANs, exactly one is allowed", in_words(*.0))]
    SeveralUriSans(usize),
    /// The certificate does not parse, or has two subject alternative name extensions.
    #[error("certificate is malformed: {0}")]
    BadCertificate(String),
    /// The text does not begin with `spiffe://`.
    #[error("'{0}' is not a spiffe:// identity")]
    NotSpiffe(String),
    /// The text is longer than [`MAX_URI`].
    #[error("identity is {0} bytes long, at most {MAX_URI} are allowed")]
    TooLong(usize),
    /// The trust domain has a forbidden character, label or length.
    #[error("'{name}' is not a trust domain: {why}")]
    BadTrustDomain {
        /// What was found.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A path segment is empty, a dot segment, or has a forbidden character.
    #[error("'{segment}' is not a name within an identity: {why}")]
    BadSegment {
        /// What was found.
        segment: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The path is none of the three forms.
    #[error(
        "'{0}' is not a known identity path; expected /region/REGION/PROGRAM/NODE, /user/NAME or \
         /member/ID"
    )]
    BadPath(String),
    /// The program within the path is not one of ours.
    #[error("'{0}' is not a program; expected geoping, dnsrouter or directory")]
    UnknownProgram(String),
}

impl Identity {
    /// The identity of `program` on `node` in `region`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::BadSegment`] when a name has characters an identity cannot carry,
    /// [`IdentityError::TooLong`] when the whole is longer than [`MAX_URI`].
    pub fn node(
        trust_domain: &TrustDomain,
        region: &str,
        program: Program,
        node: &str,
    ) -> Result<Self, IdentityError> {
        let (region, node) = (region.to_owned(), node.to_owned());
        Self { trust_domain: trust_domain.clone(), role: Role::Node { region, program, node } }
            .checked()
    }

    /// The identity of a person.
    ///
    /// # Errors
    ///
    /// As [`Identity::node`].
    pub fn user(trust_domain: &TrustDomain, name: &str) -> Result<Self, IdentityError> {
        Self { trust_domain: trust_domain.clone(), role: Role::User(name.to_owned()) }.checked()
    }

    /// The identity of a member of the directory.
    ///
    /// # Errors
    ///
    /// As [`Identity::node`].
    pub fn member(trust_domain: &TrustDomain, id: &str) -> Result<Self, IdentityError> {
        Self { trust_domain: trust_domain.clone(), role: Role::Member(id.to_owned()) }.checked()
    }

    /// The identity a certificate speaks for: its one URI subject alternative name.
    ///
    /// Names of other kinds (DNS, IP) beside it are allowed and mean nothing here; the common
    /// name is never looked at. The signature is *not* checked: that is the handshake's work.
    ///
    /// # Errors
    ///
    /// Any [`IdentityError`]; the certificate's holder is to blame.
    pub fn of_certificate(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let uris = uri_sans(der)?;
        match uris.as_slice() {
            [] => Err(IdentityError::NoUriSan),
            [one] => one.parse(),
            several => Err(IdentityError::SeveralUriSans(several.len())),
        }
    }

    /// The program, when this is the identity of a node.
    pub fn program(&self) -> Option<Program> {
        match &self.role {
            Role::Node { program, .. } => Some(*program),
            Role::User(_) | Role::Member(_) => None,
        }
    }

    /// The region, when this is the identity of a node.
    pub fn region(&self) -> Option<&str> {
        match &self.role {
            Role::Node { region, .. } => Some(region),
            Role::User(_) | Role::Member(_) => None,
        }
    }

    /// The same identity, if its fields (which anybody can fill) form a valid one.
    ///
    /// # Errors
    ///
    /// As parsing its text.
    pub fn checked(self) -> Result<Self, IdentityError> {
        let names: &[&String] = match &self.role {
            Role::Node { region, node, .. } => &[region, node],
            Role::User(name) | Role::Member(name) => &[name],
        };
        for name in names {
            check_segment(name)?;
        }
        let length = self.to_string().len();
        if length > MAX_URI {
            return Err(IdentityError::TooLong(length));
        }
        Ok(self)
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.len() > MAX_URI {
            return Err(IdentityError::TooLong(text.len()));
        }
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| IdentityError::NotSpiffe(printable(text)))?;
        let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
        let trust_domain: TrustDomain = domain.parse()?;

        let segments: Vec<&str> = path.split('/').collect();
        let role = match segments.as_slice() {
            ["region", region, program, node] => {
                check_segment(program)?;
                Role::Node {
                    region: segment(region)?,
                    program: program.parse()?,
                    node: segment(node)?,
                }
            }
            ["user", name] => Role::User(segment(name)?),
            ["member", id] => Role::Member(segment(id)?),
            _ => return Err(IdentityError::BadPath(printable(&format!("/{path}")))),
        };
        Ok(Self { trust_domain, role })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/", self.trust_domain)?;
        match &self.role {
            Role::Node { region, program, node } => write!(f, "region/{region}/{program}/{node}"),
            Role::User(name) => write!(f, "user/{name}"),
            Role::Member(id) => write!(f, "member/{id}"),
        }
    }
}

impl Program {
    /// Every program.
    pub const ALL: [Self; 3] = [Self::Geoping, Self::Dnsrouter, Self::Directory];

    /// Its name, as in an identity's path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Geoping => "geoping",
            Self::Dnsrouter => "dnsrouter",
            Self::Directory => "directory",
        }
    }
}

impl FromStr for Program {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        Self::ALL
            .into_iter()
            .find(|program| program.as_str() == text)
            .ok_or_else(|| IdentityError::UnknownProgram(printable(text)))
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl TrustDomain {
    /// Its name, such as `test-net.io`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URI that names the trust domain itself; the authority's certificate carries it.
    pub fn uri(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// The trust domain a certificate authority speaks for: its one URI `spiffe://DOMAIN`.
    ///
    /// # Errors
    ///
    /// Any [`IdentityError`]: the certificate was not made by [`crate::authority`].
    pub fn of_authority(der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let uris = uri_sans(der)?;
        match uris.as_slice() {
            [] => Err(IdentityError::NoUriSan),
            [one] => one
                .strip_prefix(SCHEME)
                .ok_or_else(|| IdentityError::NotSpiffe(printable(one)))?
                .parse(),
            several => Err(IdentityError::SeveralUriSans(several.len())),
        }
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(name: &str) -> Result<Self, IdentityError> {
        let bad = |why| Err(IdentityError::BadTrustDomain { name: printable(name), why });
        if name.is_empty() {
            return bad("it is empty");
        }
        if name.len() > MAX_TRUST_DOMAIN {
            return bad("it is longer than 253 bytes");
        }
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            return bad("it must be lower case");
        }
        if !name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_')) {
            return bad("only a-z, 0-9, '.', '-' and '_' are allowed");
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return bad("each label between dots has 1 to 63 characters");
            }
            if label.starts_with('-') || label.ends_with('-') {
                return bad("no label begins or ends with '-'");
            }
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TrustDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for TrustDomain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Identity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Identity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From when until when a certificate is valid.
///
/// # Errors
///
/// [`IdentityError::BadCertificate`].
pub fn validity_of(der: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime), IdentityError> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|e| IdentityError::BadCertificate(e.to_string()))?;
    let validity = certificate.validity();
    Ok((validity.not_before.to_datetime().into(), validity.not_after.to_datetime().into()))
}

/// Every URI among the subject alternative names, in order.
fn uri_sans(der: &CertificateDer<'_>) -> Result<Vec<String>, IdentityError> {
    let malformed = |why: &dyn fmt::Display| IdentityError::BadCertificate(why.to_string());
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|e| malformed(&e))?;
    if !rest.is_empty() {
        return Err(malformed(&"bytes follow it"));
    }
    let Some(names) = certificate.subject_alternative_name().map_err(|e| malformed(&e))? else {
        return Ok(Vec::new());
    };
    let uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    Ok(uris.collect())
}

fn segment(text: &str) -> Result<String, IdentityError> {
    check_segment(text)?;
    Ok(text.to_owned())
}

/// SPIFFE-ID §2.2: letters, digits, `.`, `-`, `_`; neither empty nor a dot segment.
fn check_segment(text: &str) -> Result<(), IdentityError> {
    let bad = |why| Err(IdentityError::BadSegment { segment: printable(text), why });
    if text.is_empty() {
        return bad("it is empty");
    }
    if text == "." || text == ".." {
        return bad("dot segments are not allowed");
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return bad("only a-z, A-Z, 0-9, '.', '_' and '-' are allowed");
    }
    Ok(())
}

/// A stranger's text made fit for a log line: control characters escaped, length bounded.
fn printable(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

fn in_words(count: usize) -> String {
    match count {
        2 => "two".to_owned(),
        3 => "three".to_owned(),
        more => more.to_string(),
    }
}

#[cfg(test)]
mod tests;
