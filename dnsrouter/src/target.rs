//! What is checked to know whether an address should be answered with.
//!
//! | type | is |
//! |---|---|
//! | [`Check`] | one question to one place, and what counts as a good answer |
//! | [`Target`] | a check, and the region that should answer: has a health of its own |
//! | [`Watched`] | the one or two targets (`ping`, `check`) that speak for an address |
//! | [`Targets`] | the targets of a plan, by the numbers that their verdicts have |
//!
//! A target is what is checked, not who wants to know: services that name the same one share it,
//! its connection and its health.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::verdicts::TargetId;

pub use numbering::Numbering;
pub use numbers::Targets;

mod index;
mod numbering;
mod numbers;

/// Where to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// A literal address (IPv6 without brackets) or a host name.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl HostPort {
    /// The host as an address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// A question to one place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Check {
    /// GeoPing's `Status`, over mTLS; the certificate must be that of a GeoPing in the region.
    GeoPing(HostPort),
    /// `grpc.health.v1.Health/Check`.
    Grpc(Grpc),
    /// A `GET` over TLS.
    Https(Box<Https>),
    /// A connection that is established.
    Tcp(HostPort),
}

/// A check by grpc.health.v1.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Grpc {
    /// Where.
    pub at: HostPort,
    /// Over mTLS within the trust domain; else in plaintext, because the URL says so.
    pub secure: bool,
    /// Whose health; empty: the whole server's.
    pub service: String,
}

/// A check by HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Https {
    /// Where.
    pub at: HostPort,
    /// Whose certificate it must be (SNI), and the `Host` that is asked for.
    pub name: String,
    /// Path and query.
    pub path: String,
    /// The good statuses, at least one.
    pub statuses: Vec<u16>,
    /// What the body must contain; none: it is not looked at.
    pub body: Option<String>,
    /// Who must have issued the certificate; none: one of those that the system trusts.
    pub ca: Option<Authority>,
}

/// Certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Authority {
    /// Where they were read.
    pub file: PathBuf,
    /// PEM; part of what is checked, so that another file content is another target.
    pub pem: Arc<[u8]>,
}

impl Check {
    /// Where it connects to.
    pub fn at(&self) -> &HostPort {
        match self {
            Self::GeoPing(at) | Self::Tcp(at) => at,
            Self::Grpc(grpc) => &grpc.at,
            Self::Https(https) => &https.at,
        }
    }

    /// The same question to another address.
    #[must_use]
    pub fn to(&self, address: IpAddr) -> Self {
        let mut other = self.clone();
        let at = match &mut other {
            Self::GeoPing(at) | Self::Tcp(at) => at,
            Self::Grpc(grpc) => &mut grpc.at,
            Self::Https(https) => &mut https.at,
        };
        at.host = address.to_string();
        other
    }

    /// Its kind, in metrics and in `geoip status`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::GeoPing(_) => "geoping",
            Self::Grpc(_) => "grpc",
            Self::Https(_) => "https",
            Self::Tcp(_) => "tcp",
        }
    }
}

/// Everything that tells two checks apart; a ping is its `host:port`.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GeoPing(at) => at.fmt(f),
            Self::Tcp(at) => write!(f, "tcp://{at}"),
            Self::Grpc(Grpc { at, secure, service }) => {
                let scheme = if *secure { "grpcs" } else { "grpc" };
                write!(f, "{scheme}://{at}/{service}")
            }
            Self::Https(https) => https.fmt(f),
        }
    }
}

impl fmt::Display for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}{}", self.at, self.path)?;
        if self.name != self.at.host {
            write!(f, " host {}", self.name)?;
        }
        if self.statuses != [200] {
            let statuses: Vec<_> = self.statuses.iter().map(u16::to_string).collect();
            write!(f, " status {}", statuses.join(","))?;
        }
        if let Some(body) = &self.body {
            write!(f, " body {body:?}")?;
        }
        if let Some(ca) = &self.ca {
            write!(f, " ca {}", ca.file.display())?;
        }
        Ok(())
    }
}

/// What has a health: a check, and the region that should answer it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// What is asked.
    pub check: Check,
    /// Where it is supposed to be; a ping's certificate and reply must name it.
    pub region: String,
}

/// What speaks for an address. Both must be well; the worse counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Watched {
    /// The `ping`, or the `check` where there is none.
    pub first: Target,
    /// The `check` beside a `ping`.
    pub second: Option<Target>,
}

/// The two targets that make one verdict.
pub type Pair = (TargetId, TargetId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_that_differ_are_called_by_different_names() {
        let at = HostPort { host: "2001:db8::1".into(), port: 443 };
        let plain = Https {
            at: at.clone(),
            name: at.host.clone(),
            path: "/healthz".into(),
            statuses: vec![200],
            body: None,
            ca: None,
        };
        let ca = Authority { file: "ca.pem".into(), pem: Arc::from([]) };
        let https = |https: Https| Check::Https(Box::new(https)).to_string();
        let names = [
            Check::GeoPing(at.clone()).to_string(),
            Check::Tcp(at.clone()).to_string(),
            Check::Grpc(Grpc { at: at.clone(), secure: true, service: "shop".into() }).to_string(),
            Check::Grpc(Grpc { at, secure: false, service: String::new() }).to_string(),
            https(plain.clone()),
            https(Https { name: "www.example".into(), ..plain.clone() }),
            https(Https { statuses: vec![200, 204], body: Some("ok".into()), ..plain.clone() }),
            https(Https { ca: Some(ca), ..plain }),
        ];
        assert_eq!(
            names,
            [
                "[2001:db8::1]:443",
                "tcp://[2001:db8::1]:443",
                "grpcs://[2001:db8::1]:443/shop",
                "grpc://[2001:db8::1]:443/",
                "https://[2001:db8::1]:443/healthz",
                "https://[2001:db8::1]:443/healthz host www.example",
                "https://[2001:db8::1]:443/healthz status 200,204 body \"ok\"",
                "https://[2001:db8::1]:443/healthz ca ca.pem",
            ]
        );
    }

    #[test]
    fn a_check_moves_to_another_address_and_keeps_its_name() {
        let at = HostPort { host: "203.0.113.10".into(), port: 8443 };
        let check = Check::Https(Box::new(Https {
            name: at.host.clone(),
            at,
            path: "/".into(),
            statuses: vec![200],
            body: None,
            ca: None,
        }));
        let moved = check.to("2001:db8::10".parse().unwrap());
        assert_eq!(moved.to_string(), "https://[2001:db8::10]:8443/ host 203.0.113.10");
    }
}
