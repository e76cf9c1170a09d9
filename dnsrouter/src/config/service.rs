//! `[[service]]`: endpoints, addresses, pings and the route.

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use daemon::config::Spanned;

use super::{Checker, MAX_TTL, raw};
use crate::service::{Endpoint, MAX_ADDRESSES, MAX_ENDPOINTS, MAX_STEPS, Ping, Service, Step};

/// Endpoints share among them at most this: weights are ratios, not identifiers.
const MAX_WEIGHT: u32 = 1_000_000;

const STEPS: &str = "the steps are \"healthy\", \"nearest\", \"weighted\", { take = 2 }, \
                     { healthy = { min_healthy = 2 } }";

impl Checker<'_> {
    pub(super) fn services(&mut self, raw: &[raw::Service]) -> Vec<(Service, Range<usize>)> {
        raw.iter().filter_map(|service| self.service(service)).collect()
    }

    fn service(&mut self, raw: &raw::Service) -> Option<(Service, Range<usize>)> {
        let name = self.name(&raw.name)?;
        if *raw.ttl.get_ref() > MAX_TTL {
            self.error(raw.ttl.span(), format!("a TTL is at most {MAX_TTL} seconds"), None);
        }
        let route = self.route(&raw.route);
        let cut = route.iter().position(|step| matches!(step, Step::Take(_)));
        if cut.is_some_and(|cut| route[cut..].iter().any(|s| matches!(s, Step::Healthy { .. }))) {
            self.warnings.push(format!(
                "service {name}: \"healthy\" after a cut sees only what the cut left; a client \
                 whose share of it is down is answered with it all the same (fail open)"
            ));
        }
        if raw.endpoint.is_empty() {
            let help = Some("add [[service.endpoint]] with region and addresses");
            self.error(raw.name.span(), "a service without endpoints has no answer", help);
        }
        if raw.endpoint.len() > MAX_ENDPOINTS {
            let message = format!("{} endpoints; the limit is {MAX_ENDPOINTS}", raw.endpoint.len());
            self.error(raw.name.span(), message, Some("split the service"));
        }
        let mut seen = HashSet::new();
        let endpoints = raw.endpoint.iter().map(|e| self.endpoint(e, &mut seen)).collect();
        let ttl = Duration::from_secs(u64::from(*raw.ttl.get_ref()));
        Some((Service { name, ttl, route, endpoints }, raw.name.span()))
    }

    fn endpoint(&mut self, raw: &raw::Endpoint, seen: &mut HashSet<IpAddr>) -> Endpoint {
        let region = raw.region.get_ref().clone();
        let otherwise = "add a [[region]] with its name and location";
        let found = self.regions.find(&raw.region, otherwise, self.source, &mut self.problems);
        if let Some(point) = found {
            self.use_location(&region, point);
        }
        let mut addresses = Vec::with_capacity(raw.addresses.get_ref().len());
        for text in raw.addresses.get_ref() {
            match text.get_ref().parse::<IpAddr>() {
                Ok(address) if seen.insert(address) => addresses.push(address),
                Ok(address) => {
                    let message = format!("{address} is an address of this service twice");
                    self.error(text.span(), message, Some("RRsets are sets (RFC 2181 §5)"));
                }
                Err(_) => {
                    let message = format!("{:?} is neither IPv4 nor IPv6", text.get_ref());
                    self.error(text.span(), message, None);
                }
            }
        }
        if raw.addresses.get_ref().is_empty() {
            self.error(raw.addresses.span(), "an endpoint without addresses has no answer", None);
        }
        for v4 in [true, false] {
            if addresses.iter().filter(|a| a.is_ipv4() == v4).count() > MAX_ADDRESSES {
                let message = format!("at most {MAX_ADDRESSES} addresses of a family");
                self.error(raw.addresses.span(), message, Some("split the endpoint"));
            }
        }
        let weight = raw.weight.unwrap_or(100);
        if weight > MAX_WEIGHT {
            self.error(raw.region.span(), format!("a weight is at most {MAX_WEIGHT}"), None);
        }
        let pings = raw.ping.as_ref().map(|ping| self.pings(ping)).unwrap_or_default();
        Endpoint { region, addresses, weight, capacity: raw.capacity, pings }
    }

    fn pings(&mut self, raw: &Spanned<raw::Pings>) -> Vec<Ping> {
        if !self.has_tls {
            let help = Some("add [tls], or leave ping out: the endpoint then always counts as up");
            self.error(raw.span(), "a ping is mTLS, and there is no [tls]", help);
        }
        let urls = match raw.get_ref() {
            raw::Pings::One(url) => std::slice::from_ref(url),
            raw::Pings::Several(urls) => urls,
        };
        if urls.is_empty() || urls.len() > 2 {
            let help = Some("leave ping out for an endpoint that is never probed");
            self.error(raw.span(), "one URL, or one for each family", help);
        }
        let mut pings = Vec::with_capacity(urls.len());
        for url in urls {
            match parse_ping(url) {
                Some(ping) => pings.push(ping),
                None => {
                    let help = Some("https://HOST:PORT, e.g. \"https://203.0.113.10:443\"");
                    self.error(raw.span(), format!("{url:?} is no address of a GeoPing"), help);
                }
            }
        }
        pings
    }

    fn route(&mut self, raw: &Spanned<Vec<Spanned<toml::Value>>>) -> Vec<Step> {
        if raw.get_ref().len() > MAX_STEPS {
            self.error(raw.span(), format!("a route has at most {MAX_STEPS} steps"), None);
        }
        let mut steps = Vec::with_capacity(raw.get_ref().len());
        for step in raw.get_ref() {
            match parse_step(step.get_ref()) {
                Ok(step) => steps.push(step),
                Err(message) => self.error(step.span(), message, Some(STEPS)),
            }
        }
        steps
    }
}

fn parse_step(value: &toml::Value) -> Result<Step, String> {
    let healthy = |min_healthy| Step::Healthy { min_healthy };
    match value {
        toml::Value::String(word) => match word.as_str() {
            "healthy" => Ok(healthy(NonZeroU32::MIN)),
            "nearest" => Ok(Step::Nearest),
            "weighted" => Ok(Step::Weighted),
            "take" => Err("take needs a number".to_owned()),
            later @ ("fence" | "latency" | "failover" | "round-robin" | "sticky" | "fair"
            | "load") => Err(format!("the step {later:?} is not in this version")),
            other => Err(format!("{other:?} is no step")),
        },
        toml::Value::Table(table) if table.len() == 1 => {
            let (name, parameters) = table.iter().next().expect("its length is 1");
            match (name.as_str(), parameters) {
                ("take", n) => Ok(Step::Take(count(n).ok_or("take needs a number from 1 on")?)),
                ("healthy", toml::Value::Table(parameters)) => {
                    if let Some(other) = parameters.keys().find(|key| *key != "min_healthy") {
                        return Err(format!("healthy has no parameter {other:?}"));
                    }
                    let Some(least) = parameters.get("min_healthy") else {
                        return Ok(healthy(NonZeroU32::MIN));
                    };
                    Ok(healthy(count(least).ok_or("min_healthy is a number from 1 on")?))
                }
                (other, _) => Err(format!("{other:?} is no step with parameters")),
            }
        }
        _ => Err("a step is a word, or a table with one key".to_owned()),
    }
}

fn count(value: &toml::Value) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(value.as_integer()?).ok()?)
}

/// `https://host[:port]`, nothing behind it.
fn parse_ping(url: &str) -> Option<Ping> {
    let authority = url.strip_prefix("https://")?;
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    let (host, port) = match authority.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or(rest.is_empty().then_some("443"))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "443")),
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty() && host.len() <= 253 && host.chars().all(allowed))
        .then(|| Ping { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings() {
        let parsed = |url| parse_ping(url).map(|ping| ping.to_string());
        assert_eq!(parsed("https://203.0.113.10:443").as_deref(), Some("203.0.113.10:443"));
        assert_eq!(parsed("https://ping.example.com").as_deref(), Some("ping.example.com:443"));
        assert_eq!(parsed("https://[2001:db8::1]:8443/").as_deref(), Some("[2001:db8::1]:8443"));
        assert_eq!(parsed("https://[2001:db8::1]").as_deref(), Some("[2001:db8::1]:443"));
        for bad in [
            "http://a:1",
            "https://",
            "https://a:0",
            "https://a:1/x",
            "https://a:b",
            "a:1",
            "https://[::1",
            "https://[nope]:1",
            "https://u@a:1",
            "https://2001:db8::1:443",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
