//! The sections every program has.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pki::TrustDomain;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// `[node]`: which node this is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique among the nodes of its region.
    pub name: Spanned<String>,
    /// The region it stands in: a well-known one, or one of `[[region]]`.
    pub region: Spanned<String>,
    /// The installation it belongs to; none: that of its own certificate.
    pub trust_domain: Option<TrustDomain>,
}

/// `[tls]`: this node's identity, as PEM files; read again when they change.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Our certificate (and intermediates after it, if any).
    pub cert: PathBuf,
    /// Its private key; readable by nobody else.
    pub key: PathBuf,
    /// The authority whose certificates are trusted.
    pub ca: PathBuf,
    /// What the authority took back; none: revocation is not checked.
    pub crl: Option<PathBuf>,
    /// How to get a new certificate in time; none: somebody else does.
    pub renew: Option<Renew>,
}

/// `[tls.renew]`: a command that replaces `cert` and `key`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renew {
    /// The program and its arguments; no shell is involved.
    pub command: Vec<String>,
    /// After which fraction of the certificate's lifetime, between 0 and 1; late enough not to
    /// bother the authority, early enough to try for hours.
    #[serde(default = "two_thirds", deserialize_with = "fraction")]
    pub at: f64,
    /// How long the command may take before it is ended.
    #[serde(default = "one_minute", with = "super::duration")]
    pub timeout: Duration,
}

/// `[log]`: what goes to stderr.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,daemon::tls=debug`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One readable line.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Tls {
    /// The same files, with relative paths counted from `folder`: the configuration's own.
    pub fn relative_to(self, folder: &Path) -> Self {
        Self {
            cert: folder.join(self.cert),
            key: folder.join(self.key),
            ca: folder.join(self.ca),
            crl: self.crl.map(|crl| folder.join(crl)),
            renew: self.renew,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

fn fraction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    let within = value > 0.0 && value < 1.0;
    within.then_some(value).ok_or_else(|| Error::custom("expected a fraction between 0 and 1"))
}

fn two_thirds() -> f64 {
    0.66
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}
