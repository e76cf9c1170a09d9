//! A service as its owner describes it: a name, endpoints in regions, and a route over them.
//!
//! These are the validated forms. They come from `[[service]]` in the configuration (later from
//! the directory too) and go into [`crate::policy`], which compiles them.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use dns::name::Name;

/// Endpoints of one service. A candidate set is a stack array of this size, so that choosing
/// allocates nothing; a service that needs more is two services.
pub const MAX_ENDPOINTS: usize = 128;

/// Addresses of one family of one endpoint: more would not fit an answer of 1232 bytes.
pub const MAX_ADDRESSES: usize = 32;

/// Steps of one route.
pub const MAX_STEPS: usize = 16;

/// A validated service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Owner name, inside one of our zones.
    pub name: Name,
    /// Of every address RRset it answers.
    pub ttl: Duration,
    /// The chain, as written.
    pub route: Vec<Step>,
    /// In the order written: the order of last resort.
    pub endpoints: Vec<Endpoint>,
}

/// One step of a route; `design: steps of a route` says what each does to the candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Filters: keeps endpoints with a usable address, unless fewer than `min_healthy` would be
    /// left; then it keeps all (fail open).
    Healthy {
        /// Endpoints that must be left for the filter to apply.
        min_healthy: NonZeroU32,
    },
    /// Ranks: by great-circle distance from the client's place, nearest first.
    Nearest,
    /// Picks: a random order in which an endpoint comes first in proportion to its weight.
    Weighted,
    /// Cuts: keeps the first so many endpoints.
    Take(NonZeroU32),
}

impl Step {
    /// Whether a cut to one endpoint is implied after it when the route has no `take`.
    pub fn orders(self) -> bool {
        matches!(self, Self::Nearest | Self::Weighted)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy { min_healthy: NonZeroU32::MIN } => f.write_str("healthy"),
            Self::Healthy { min_healthy } => write!(f, "healthy (min_healthy {min_healthy})"),
            Self::Nearest => f.write_str("nearest"),
            Self::Weighted => f.write_str("weighted"),
            Self::Take(n) => write!(f, "take {n}"),
        }
    }
}

/// One place where the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of a region whose location is known.
    pub region: String,
    /// A and AAAA, each with a health of its own.
    pub addresses: Vec<IpAddr>,
    /// Share among endpoints that a pick chooses from; 0: only when nothing else is left.
    pub weight: u32,
    /// Requests per second, for load-aware steps.
    pub capacity: Option<u64>,
    /// Its GeoPing, one per way to reach it; none: never probed, always up.
    pub pings: Vec<Ping>,
}

/// `https://host:port` of a GeoPing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ping {
    /// A literal address (IPv6 without brackets) or a host name.
    pub host: String,
    /// TCP port; 443 if the URL has none.
    pub port: u16,
}

impl Ping {
    /// The host as an address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Ping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What the prober pings: one per address and expected region, however many services share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Where to connect.
    pub ping: Ping,
    /// The region its certificate and its reply must name.
    pub region: String,
}

impl Endpoint {
    /// The target whose health is that of `address`; none: always up.
    ///
    /// A `ping` at one of the endpoint's own addresses stands for "this port, on each address":
    /// every address is pinged itself. A `ping` elsewhere (a host name, a management address)
    /// speaks for all addresses, of its own family first when there is one per family.
    pub fn target_of(&self, address: IpAddr) -> Option<Target> {
        let family =
            |ping: &&Ping| ping.address().is_some_and(|a| a.is_ipv4() == address.is_ipv4());
        let ping = self.pings.iter().find(family).or(self.pings.first())?;
        let own = ping.address().is_some_and(|host| self.addresses.contains(&host));
        let ping =
            if own { Ping { host: address.to_string(), port: ping.port } } else { ping.clone() };
        Some(Target { ping, region: self.region.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(addresses: &[&str], pings: &[(&str, u16)]) -> Endpoint {
        Endpoint {
            region: "r".into(),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            weight: 1,
            capacity: None,
            pings: pings.iter().map(|(h, p)| Ping { host: (*h).into(), port: *p }).collect(),
        }
    }

    fn target(endpoint: &Endpoint, address: &str) -> Option<String> {
        endpoint.target_of(address.parse().unwrap()).map(|t| t.ping.to_string())
    }

    #[test]
    fn a_ping_at_an_own_address_is_a_port_on_each_address() {
        let e = endpoint(&["203.0.113.10", "2001:db8::10"], &[("203.0.113.10", 443)]);
        assert_eq!(target(&e, "203.0.113.10").as_deref(), Some("203.0.113.10:443"));
        assert_eq!(target(&e, "2001:db8::10").as_deref(), Some("[2001:db8::10]:443"));
    }

    #[test]
    fn a_ping_elsewhere_speaks_for_all_addresses() {
        let e = endpoint(&["203.0.113.10", "2001:db8::10"], &[("ping.example.com", 8443)]);
        assert_eq!(target(&e, "203.0.113.10").as_deref(), Some("ping.example.com:8443"));
        assert_eq!(target(&e, "2001:db8::10").as_deref(), Some("ping.example.com:8443"));
    }

    #[test]
    fn one_ping_per_family() {
        let e = endpoint(&["203.0.113.10", "2001:db8::10"], &[("127.0.0.1", 1), ("::1", 2)]);
        assert_eq!(target(&e, "203.0.113.10").as_deref(), Some("127.0.0.1:1"));
        assert_eq!(target(&e, "2001:db8::10").as_deref(), Some("[::1]:2"));
    }

    #[test]
    fn no_ping_no_target() {
        assert_eq!(target(&endpoint(&["203.0.113.10"], &[]), "203.0.113.10"), None);
    }
}
