//! `HOST:PORT` as people write it, parsed once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A host, by name or address, and a port. Written `name:443`, `192.0.2.1:443` or
/// `[2001:db8::1]:443`; a leading `https://` is accepted, since endpoints are written so in the
/// programs' configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HostPort {
    host: String,
    port: u16,
}

/// Why a text is no `HOST:PORT`.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum HostPortError {
    #[error("\"{0}\" has no port: write HOST:PORT, for example {0}:443")]
    NoPort(String),
    #[error("\"{0}\" has no host: write HOST:PORT")]
    NoHost(String),
    #[error("\"{0}\" is not a port: 1 to 65535")]
    BadPort(String),
    #[error("\"{0}\" is not a host: a name, an IPv4 address or an [IPv6 address]")]
    BadHost(String),
}

/// The longest name DNS allows, in text (RFC 1035 §2.3.4 and its dots).
const MAX_HOST: usize = 254;

impl HostPort {
    pub(crate) fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Name or address, without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
        if let Ok(socket) = bare.parse::<SocketAddr>() {
            return Self::checked(socket.ip().to_string(), &socket.port().to_string());
        }
        if bare.parse::<IpAddr>().is_ok() {
            let shown = if bare.contains(':') { format!("[{bare}]") } else { bare.to_owned() };
            return Err(HostPortError::NoPort(shown));
        }
        let (host, port) =
            bare.rsplit_once(':').ok_or_else(|| HostPortError::NoPort(bare.to_owned()))?;
        Self::checked(host.to_owned(), port)
    }
}

impl HostPort {
    fn checked(host: String, port: &str) -> Result<Self, HostPortError> {
        if host.is_empty() {
            return Err(HostPortError::NoHost(format!(":{port}")));
        }
        let port = match port.parse::<u16>() {
            Ok(number) if number != 0 => number,
            _ => return Err(HostPortError::BadPort(port.to_owned())),
        };
        let name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || !c.is_ascii();
        if host.parse::<IpAddr>().is_err() && (!host.chars().all(name) || host.len() > MAX_HOST) {
            return Err(HostPortError::BadHost(host));
        }
        Ok(Self { host, port })
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

impl TryFrom<String> for HostPort {
    type Error = HostPortError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<HostPort> for String {
    fn from(endpoint: HostPort) -> Self {
        endpoint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_write_it_round_trip() {
        for text in ["geo.test-net.io:443", "127.0.0.11:8443", "[2001:db8::1]:53"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        let https: HostPort = "https://127.0.0.11:8443".parse().unwrap();
        assert_eq!(https, HostPort::new("127.0.0.11", 8443));
    }

    #[test]
    fn what_is_missing_is_named() {
        use HostPortError::*;
        let cases = [
            ("geo.test-net.io", NoPort("geo.test-net.io".into())),
            ("127.0.0.1", NoPort("127.0.0.1".into())),
            ("::1", NoPort("[::1]".into())),
            (":443", NoHost(":443".into())),
            ("a:0", BadPort("0".into())),
            ("a:https", BadPort("https".into())),
            ("a:65536", BadPort("65536".into())),
            ("a b:1", BadHost("a b".into())),
            ("user@a:1", BadHost("user@a".into())),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<HostPort>(), Err(error), "{text}");
        }
    }
}
