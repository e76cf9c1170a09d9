//! `[[service.endpoint]] check`: what is asked beside, or instead of, a GeoPing.

use std::ops::Range;

use daemon::config::Spanned;

use super::{Checker, raw};
use crate::target::{Authority, Check, Grpc, HostPort, Https};

/// What a body is searched for: a word or a line, not a document.
const MAX_BODY: usize = 256;
/// Path and query of a check.
const MAX_PATH: usize = 1024;
/// Good statuses of a check.
const MAX_STATUSES: usize = 16;
/// The name of a gRPC service.
const MAX_SERVICE: usize = 256;

const KINDS: &str = "{ grpc = \"https://HOST:PORT\", service = \"…\" }, \
                     { https = \"https://HOST/PATH\", status = [200], body = \"…\" } \
                     or { tcp = \"HOST:PORT\" }";

impl Checker<'_> {
    pub(super) fn check(&mut self, raw: &Spanned<raw::Check>) -> Option<Check> {
        let span = raw.span();
        let raw::Check { grpc, https, tcp, .. } = raw.get_ref();
        let kinds = [grpc.is_some(), https.is_some(), tcp.is_some()];
        if kinds.into_iter().filter(|given| *given).count() != 1 {
            self.error(span, "a check is exactly one of grpc, https and tcp", Some(KINDS));
            return None;
        }
        self.strays(raw);
        if let Some(address) = tcp {
            let at = host_port(address, None);
            return self.found(at, address, span).map(Check::Tcp);
        }
        match (grpc, https) {
            (Some(url), _) => self.grpc(url, raw.get_ref(), span),
            (_, Some(url)) => self.https(url, raw.get_ref(), span),
            (None, None) => None,
        }
    }

    /// Keys that belong to another kind.
    fn strays(&mut self, raw: &Spanned<raw::Check>) {
        let raw::Check { grpc, https, service, status, body, host, ca, .. } = raw.get_ref();
        let strays = [
            ("service", service.is_some() && grpc.is_none(), "grpc"),
            ("status", status.is_some() && https.is_none(), "https"),
            ("body", body.is_some() && https.is_none(), "https"),
            ("host", host.is_some() && https.is_none(), "https"),
            ("ca", ca.is_some() && https.is_none(), "https"),
        ];
        for (key, _, kind) in strays.into_iter().filter(|(_, stray, _)| *stray) {
            self.error(raw.span(), format!("{key} belongs to a check by {kind}"), Some(KINDS));
        }
    }

    fn grpc(&mut self, url: &str, raw: &raw::Check, span: Range<usize>) -> Option<Check> {
        let secure = url.starts_with("https://");
        let rest = url.strip_prefix(if secure { "https://" } else { "http://" });
        let usual = if secure { 443 } else { 80 };
        let at =
            rest.and_then(|rest| host_port(rest.strip_suffix('/').unwrap_or(rest), Some(usual)));
        let at = self.found(at, url, span.clone())?;
        if secure && !self.has_tls {
            let help = Some("add [tls]; or http:// for a server without TLS");
            self.error(span.clone(), "a gRPC check by https is mTLS, and there is no [tls]", help);
        }
        let service = raw.service.clone().unwrap_or_default();
        if service.len() > MAX_SERVICE || service.contains(char::is_control) {
            let message = format!("a service is at most {MAX_SERVICE} printable octets");
            self.error(span, message, None);
        }
        Some(Check::Grpc(Grpc { at, secure, service }))
    }

    fn https(&mut self, url: &str, raw: &raw::Check, span: Range<usize>) -> Option<Check> {
        let rest = url.strip_prefix("https://").unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let at = self.found(host_port(authority, Some(443)), url, span.clone())?;
        let printable = |text: &str| text.bytes().all(|octet| octet.is_ascii_graphic());
        if path.len() > MAX_PATH || !printable(&path) || path.contains('#') {
            let message = format!("{path:?} is no path of at most {MAX_PATH} octets");
            self.error(span.clone(), message, Some("percent-encode what is not ASCII"));
        }
        let statuses = raw.status.clone().unwrap_or_else(|| vec![200]);
        let fit = statuses.iter().all(|status| (200..600).contains(status));
        if !fit || statuses.is_empty() || statuses.len() > MAX_STATUSES {
            let message = format!("1 to {MAX_STATUSES} final statuses, from 200 to 599");
            self.error(span.clone(), message, Some("status = [200, 204]"));
        }
        if raw.body.as_ref().is_some_and(|body| body.is_empty() || body.len() > MAX_BODY) {
            let message = format!("what a body must contain is 1 to {MAX_BODY} octets");
            self.error(span.clone(), message, None);
        }
        let name = raw.host.clone().unwrap_or_else(|| at.host.clone());
        if raw.host.is_some() && host_port(&name, Some(443)).is_none_or(|h| h.host != name) {
            let message = format!("{name:?} is no host name");
            self.error(span.clone(), message, Some("without a port"));
        }
        let ca = raw.ca.as_ref().map(|file| {
            let file = self.folder.join(file);
            if !self.authorities.iter().any(|(known, _)| *known == file) {
                self.authorities.push((file.clone(), span));
            }
            // Read with everything else that is in files.
            Authority { file, pem: [].into() }
        });
        let body = raw.body.clone();
        Some(Check::Https(Box::new(Https { at, name, path, statuses, body, ca })))
    }

    fn found(&mut self, at: Option<HostPort>, text: &str, span: Range<usize>) -> Option<HostPort> {
        if at.is_none() {
            self.error(span, format!("{text:?} is no place to check"), Some(KINDS));
        }
        at
    }
}

/// `host[:port]`, an IPv6 address in brackets; without a usual port one must be given.
pub(super) fn host_port(authority: &str, usual: Option<u16>) -> Option<HostPort> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None => rest.is_empty().then_some((host, None))?,
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let port = port.map_or(usual, |port| port.parse().ok()).filter(|port| *port != 0)?;
    (!host.is_empty() && host.len() <= 253 && host.chars().all(allowed))
        .then(|| HostPort { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_a_host_and_a_port() {
        let parsed = |text, usual| host_port(text, usual).map(|at| at.to_string());
        assert_eq!(parsed("203.0.113.10", Some(443)).as_deref(), Some("203.0.113.10:443"));
        assert_eq!(parsed("db.example:5432", None).as_deref(), Some("db.example:5432"));
        assert_eq!(parsed("[2001:db8::1]:1", None).as_deref(), Some("[2001:db8::1]:1"));
        assert_eq!(parsed("[2001:db8::1]", Some(443)).as_deref(), Some("[2001:db8::1]:443"));
        for bad in
            ["a", "a:", "a:0", "a:65536", ":1", "[::1", "[nope]:1", "[::1]x", "u@a:1", "::1:4"]
        {
            assert_eq!(parsed(bad, None), None, "{bad}");
        }
    }
}
