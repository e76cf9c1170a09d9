//! What a check of the backend asks, and what an answer means: the pure half of a check. The
//! other half, which connects, is [`crate::io::backend`].
//!
//! | `[backend]` | asks | well | degraded | unavailable |
//! |---|---|---|---|---|
//! | `grpc = "http://host:port"` | `grpc.health.v1.Health/Check` for `service` | `SERVING` | `UNKNOWN`; refused for want of resources | `NOT_SERVING`, any other refusal, no answer |
//! | `tcp = "host:port"` | a connection | established | – | refused, timed out |
//! | `http = "http://host:port/path"` | `GET` | 2xx | 429 | any other status, no answer |
//!
//! `https://` in place of `http://` speaks mutual TLS with this node's own certificate to a
//! backend whose certificate is of the same trust domain. A redirect is not followed: where it
//! leads is not the service beside this node. Each check is a connection of its own, so that a
//! service which has stopped accepting is found out.

use std::fmt;

use http::uri::{PathAndQuery, Uri};
use tonic::Code;

use crate::backend::{Condition, Policy};
use crate::counter::Counter;

/// What to ask, and when; `check` is absent where no backend is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// The question.
    pub check: Option<Check>,
    /// Its rhythm.
    pub policy: Policy,
    /// Where the backend counts its requests.
    pub counter: Option<Counter>,
}

/// A question to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// `grpc.health.v1` for the service of this name; the empty name means the whole server.
    Grpc(Origin, String),
    /// Whether a connection is accepted.
    Tcp(Origin),
    /// Whether a `GET` of this path is answered with success.
    Http(Origin, PathAndQuery),
}

/// Where the backend listens, and whether it is spoken to over mutual TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Over mutual TLS.
    pub secure: bool,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// Why a text is not a place to check. The one who configures it is to blame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Not `host:port`.
    #[error("'{0}' is not of the form host:port")]
    NotHostPort(String),
    /// Not `http://host:port` nor `https://host:port`.
    #[error("'{0}' is not of the form http://host:port or https://host:port")]
    NotUrl(String),
    /// A path where there is none to ask for.
    #[error(
        "'{0}' has a path; grpc takes http://host:port alone, the service is named by `service`"
    )]
    Path(String),
}

impl Check {
    /// A check by `grpc.health.v1` at `url` for `service`.
    ///
    /// # Errors
    ///
    /// [`CheckError`] when `url` is not of the form `http[s]://host[:port]`.
    pub fn grpc(url: &str, service: impl Into<String>) -> Result<Check, CheckError> {
        let (origin, path) = parse_url(url)?;
        match path.as_str() {
            "/" => Ok(Check::Grpc(origin, service.into())),
            _ => Err(CheckError::Path(url.to_owned())),
        }
    }

    /// A check whether `address`, a `host:port`, accepts connections.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotHostPort`].
    pub fn tcp(address: &str) -> Result<Check, CheckError> {
        let wrong = || CheckError::NotHostPort(address.to_owned());
        let authority: http::uri::Authority = address.parse().map_err(|_| wrong())?;
        let port = authority.port_u16().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = bare(authority.host());
        // What stands before an `@` is a login, and would be dropped silently.
        if host.is_empty() || address.contains('@') {
            return Err(wrong());
        }
        Ok(Check::Tcp(Origin { secure: false, host, port }))
    }

    /// A check by a `GET` of `url`.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotUrl`].
    pub fn http(url: &str) -> Result<Check, CheckError> {
        parse_url(url).map(|(origin, path)| Check::Http(origin, path))
    }

    /// Where an `http[s]://host[:port]/path` leads.
    ///
    /// # Errors
    ///
    /// [`CheckError::NotUrl`].
    pub fn url(url: &str) -> Result<(Origin, PathAndQuery), CheckError> {
        parse_url(url)
    }

    /// Where the backend is asked.
    pub fn origin(&self) -> &Origin {
        match self {
            Check::Grpc(origin, _) | Check::Tcp(origin) | Check::Http(origin, _) => origin,
        }
    }

    /// Whether the check needs this node's certificate.
    pub fn needs_tls(&self) -> bool {
        self.origin().secure
    }
}

impl Origin {
    /// `host:port`, an IPv6 address in brackets, as a URI's authority and the `Host` header
    /// spell it.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.needs_tls() { "https" } else { "http" };
        let authority = self.origin().authority();
        match self {
            Check::Grpc(_, service) if service.is_empty() => {
                write!(f, "grpc health of {scheme}://{authority}")
            }
            Check::Grpc(_, service) => {
                write!(f, "grpc health of {service} at {scheme}://{authority}")
            }
            Check::Tcp(_) => write!(f, "tcp connection to {authority}"),
            Check::Http(_, path) => write!(f, "GET {scheme}://{authority}{path}"),
        }
    }
}

/// What an answer of `grpc.health.v1` means: `status` is the number of a `ServingStatus`.
pub fn grpc_answer(status: i32) -> Condition {
    const UNKNOWN: i32 = 0;
    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;
    match status {
        SERVING => Condition::ok(),
        UNKNOWN => Condition::degraded("the backend says UNKNOWN of its own health"),
        NOT_SERVING => Condition::unavailable("the backend says NOT_SERVING"),
        other => Condition::unavailable(format!("the backend says health status {other}")),
    }
}

/// What a refused health call means.
pub fn grpc_refusal(code: Code, message: &str, service: &str) -> Condition {
    match code {
        Code::ResourceExhausted => {
            Condition::degraded(format!("the backend is out of resources: {message}"))
        }
        Code::NotFound => {
            Condition::unavailable(format!("the backend knows no health of service '{service}'"))
        }
        Code::Unimplemented => Condition::unavailable(
            "the backend does not offer grpc.health.v1; check it by `tcp` or `http`",
        ),
        code => Condition::unavailable(format!("the health check failed: {code:?}: {message}")),
    }
}

/// What the status of an HTTP response means.
pub fn http_answer(status: http::StatusCode) -> Condition {
    match status {
        status if status.is_success() => Condition::ok(),
        http::StatusCode::TOO_MANY_REQUESTS => {
            Condition::degraded("the backend answered 429: busy")
        }
        status if status.is_redirection() => Condition::unavailable(format!(
            "the backend answered {status}, a redirect; give the path it leads to"
        )),
        status => Condition::unavailable(format!("the backend answered {status}")),
    }
}

fn parse_url(url: &str) -> Result<(Origin, PathAndQuery), CheckError> {
    let wrong = || CheckError::NotUrl(url.to_owned());
    let parts = url.parse::<Uri>().map_err(|_| wrong())?.into_parts();
    let authority = parts.authority.ok_or_else(wrong)?;
    let (secure, usual_port) = match parts.scheme.as_ref().map(http::uri::Scheme::as_str) {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(wrong()),
    };
    let host = bare(authority.host());
    let port = match authority.as_str().rsplit_once(']').unwrap_or(("", authority.as_str())).1 {
        // A colon with no number that fits behind it is a mistake, not the usual port.
        tail if tail.contains(':') => authority.port_u16().filter(|port| *port != 0),
        _ => Some(usual_port),
    };
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(wrong());
    }
    let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
    Ok((Origin { secure, host, port: port.ok_or_else(wrong)? }, path))
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Health;

    #[test]
    fn places_to_check_are_read_in_every_spelling() {
        let cases = [
            ("http://127.0.0.1:50051", (false, "127.0.0.1", 50051), "/"),
            ("https://[::1]:8443/healthz?deep=1", (true, "::1", 8443), "/healthz?deep=1"),
            ("http://backend.internal/", (false, "backend.internal", 80), "/"),
            ("https://[2001:db8::1]", (true, "2001:db8::1", 443), "/"),
        ];
        for (url, (secure, host, port), path) in cases {
            let origin = Origin { secure, host: host.into(), port };
            let expected = Check::Http(origin, path.parse().unwrap());
            assert_eq!(Check::http(url), Ok(expected), "{url}");
        }
        let tcp = Check::tcp("[::1]:6379").unwrap();
        assert_eq!(tcp.origin().authority(), "[::1]:6379");
        assert_eq!(tcp.to_string(), "tcp connection to [::1]:6379");
        let grpc = Check::grpc("http://127.0.0.1:50051", "shop.v1.Cart").unwrap();
        assert_eq!(grpc.to_string(), "grpc health of shop.v1.Cart at http://127.0.0.1:50051");
    }

    #[test]
    fn what_is_no_place_to_check_is_refused_with_the_expected_form() {
        for url in [
            "",
            "127.0.0.1:80",
            "ftp://host:1",
            "http://",
            "http://:80",
            "http://host:0",
            "/health",
            "http://host:70000",
            "http://me:secret@host:1",
            "http://host:",
            "http://a b:1",
        ] {
            assert_eq!(Check::http(url), Err(CheckError::NotUrl(url.into())), "{url:?}");
        }
        for address in ["", "host", "host:0", ":80", "http://host:80", "host:99999", "me@host:1"] {
            let refused = Err(CheckError::NotHostPort(address.into()));
            assert_eq!(Check::tcp(address), refused, "{address:?}");
        }
        let path = "http://host:1/shop.v1.Cart";
        assert_eq!(Check::grpc(path, ""), Err(CheckError::Path(path.into())));
    }

    #[test]
    fn answers_mean_what_the_table_says() {
        let http = |code| http_answer(http::StatusCode::from_u16(code).unwrap()).health;
        for (codes, health) in [
            (&[200, 204, 299][..], Health::Ok),
            (&[429], Health::Degraded),
            (&[100, 301, 308, 401, 404, 500, 502, 503, 999], Health::Unavailable),
        ] {
            for code in codes {
                assert_eq!(http(*code), health, "{code}");
            }
        }
        let grpc = [Health::Degraded, Health::Ok, Health::Unavailable, Health::Unavailable];
        for (status, health) in (0..).zip(grpc) {
            assert_eq!(grpc_answer(status).health, health, "{status}");
        }
        let refusal = |code| grpc_refusal(code, "m", "s").health;
        assert_eq!(refusal(Code::ResourceExhausted), Health::Degraded);
        for code in [Code::NotFound, Code::Unimplemented, Code::Unavailable, Code::Internal] {
            assert_eq!(refusal(code), Health::Unavailable, "{code:?}");
        }
    }

    #[test]
    fn whatever_is_not_well_says_why() {
        for condition in [grpc_answer(0), grpc_answer(2), grpc_answer(7)] {
            assert!(!condition.detail.is_empty());
        }
        assert!(grpc_refusal(Code::NotFound, "", "shop").detail.contains("'shop'"));
        assert!(http_answer(http::StatusCode::FOUND).detail.contains("redirect"));
    }
}
