//! The authority's memory: every certificate it issued, and which ones it took back.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::authority::{Reason, Revoked};
use crate::identity::Identity;
use crate::serial::Serial;

/// How long an expired certificate is remembered, for "who was that last month".
pub const REMEMBERED: Duration = Duration::from_secs(90 * 24 * 3600);

/// The most certificates remembered; a hundred nodes renewing daily for the whole of
/// [`REMEMBERED`], ten times over.
pub const MAX_ENTRIES: usize = 100_000;

/// The form of the file; a program that does not know it must not write it.
pub(crate) const VERSION: u32 = 1;

/// What `index.json` holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// The file's form.
    pub(crate) version: u32,
    /// The number of the newest CRL.
    pub(crate) crl_number: u64,
    /// When the newest CRL becomes stale.
    #[serde(with = "rfc3339")]
    pub(crate) crl_next_update: SystemTime,
    /// Oldest first.
    pub(crate) certificates: Vec<Entry>,
}

/// One issued certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number.
    pub serial: Serial,
    /// Whom it names.
    pub identity: Identity,
    /// From when it is valid.
    #[serde(with = "rfc3339")]
    pub not_before: SystemTime,
    /// Until when it is valid.
    #[serde(with = "rfc3339")]
    pub not_after: SystemTime,
    /// Whether and why it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
    /// Where the certificate was written, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Where its key was written; none when somebody else holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// When and why a certificate was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revocation {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// Why, if somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// What a certificate is worth at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is accepted, for so long.
    Valid {
        /// Time left.
        left: Duration,
    },
    /// Its time is over.
    Expired {
        /// Since when.
        ago: Duration,
    },
    /// It was taken back.
    Revoked(Revocation),
}

impl Entry {
    /// What it is worth at `now`. Revoked wins over expired.
    pub fn status(&self, now: SystemTime) -> Status {
        if let Some(revocation) = self.revoked {
            return Status::Revoked(revocation);
        }
        match self.not_after.duration_since(now) {
            Ok(left) => Status::Valid { left },
            Err(past) => Status::Expired { ago: past.duration() },
        }
    }
}

impl Index {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self { version: VERSION, crl_number: 0, crl_next_update: now, certificates: Vec::new() }
    }

    /// Every certificate remembered, oldest first.
    pub fn certificates(&self) -> &[Entry] {
        &self.certificates
    }

    /// The certificate of this number.
    pub fn find(&self, serial: &Serial) -> Option<&Entry> {
        self.certificates.iter().find(|entry| entry.serial == *serial)
    }

    /// The lines of a CRL made now. A revoked certificate stays for one more list after its
    /// expiry (RFC 5280 §3.3), so that no reader with a slow clock accepts it again.
    pub(crate) fn revoked(&self, now: SystemTime, crl_lifetime: Duration) -> Vec<Revoked> {
        let still_matters = |entry: &&Entry| entry.not_after + crl_lifetime > now;
        let line = |entry: &Entry| {
            let Revocation { at, reason } = entry.revoked?;
            Some(Revoked { serial: entry.serial, at, reason })
        };
        self.certificates.iter().filter(still_matters).filter_map(line).collect()
    }

    /// Forgets what expired long ago.
    pub(crate) fn forget_old(&mut self, now: SystemTime) {
        self.certificates.retain(|entry| entry.not_after + REMEMBERED > now);
    }

    /// Remembers one more; `false` when there is no room.
    pub(crate) fn add(&mut self, entry: Entry) -> bool {
        let room = self.certificates.len() < MAX_ENTRIES;
        if room {
            self.certificates.push(entry);
        }
        room
    }
}

/// Times as people and other tools read them: `2026-11-21T02:44:41Z`.
mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(time: &SystemTime, to: S) -> Result<S::Ok, S::Error> {
        let text = OffsetDateTime::from(*time).format(&Rfc3339).map_err(ser::Error::custom)?;
        to.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(from)?;
        Ok(OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?.into())
    }
}
