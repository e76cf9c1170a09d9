//! What was wrong with a check, told apart: "down" alone sends people looking in the wrong place.

use std::fmt;

/// Why a check failed. Each points at somebody else to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The name has no address.
    Resolve,
    /// The network does not lead there.
    Unreachable,
    /// Nothing listens there.
    Refused,
    /// Connected, and cut off before there was an answer.
    Closed,
    /// No answer in time.
    Timeout,
    /// No common TLS: version, algorithms, or no TLS at all.
    Tls,
    /// Somebody answers who is not who they should be: another authority, an expired certificate,
    /// another name or SAN; or they say that of us.
    Identity,
    /// The answer names another region than the one it is configured for.
    Region,
    /// Something answers that does not speak what is asked, or not in a form understood here.
    Version,
    /// It answers, and says that it cannot serve.
    Unavailable,
    /// An HTTP status that is not in the list.
    Status,
    /// The body does not contain what it should.
    Body,
}

impl Fault {
    /// The word used in `geoip status`, in metrics and in the log.
    pub fn word(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Identity => "identity",
            Self::Region => "region",
            Self::Version => "version",
            Self::Unavailable => "unavailable",
            Self::Status => "status",
            Self::Body => "body",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
