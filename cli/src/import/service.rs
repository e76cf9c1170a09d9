//! A service as dnsrouter's configuration writes it: a name, a route, endpoints in regions.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use dns::name::Name;
use geo::{Continent, Country, Selector};

/// Endpoints of one service; dnsrouter has the same limit.
pub(crate) const MAX_ENDPOINTS: usize = 128;
/// The largest weight; dnsrouter has the same limit.
pub(crate) const MAX_WEIGHT: u32 = 1_000_000;

/// `[[service]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub(crate) name: Name,
    pub(crate) body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Another name of a service.
    Alias(Name),
    Own(Own),
}

/// What a service has that is no alias.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Own {
    /// Seconds.
    pub(crate) ttl: u32,
    /// What the TTL falls to when an answer is about to change.
    pub(crate) ttl_min: Option<u32>,
    pub(crate) route: Vec<Step>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// A step of a route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Fence(Vec<Rule>),
    Healthy {
        min_healthy: u32,
    },
    /// By the endpoints' tiers.
    Failover,
    Nearest(Nearest),
    Weighted,
    Take(u32),
}

/// How `nearest` ranks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Nearest {
    /// What counts as equally near, such as "5 %".
    pub(crate) within: Option<&'static str>,
    pub(crate) bias: BTreeMap<String, i8>,
    pub(crate) prefer: Vec<Rule>,
}

/// Which regions whom: of several rules, the first that a client matches counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    /// "DE", "continent:EU", "AS64496", "192.0.2.0/24", "all".
    pub(crate) clients: Vec<String>,
    pub(crate) regions: Vec<String>,
}

/// `[[service.endpoint]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) region: String,
    pub(crate) data: Data,
    pub(crate) weight: Option<u32>,
    pub(crate) tier: Option<u32>,
    pub(crate) check: Option<Check>,
}

/// What an endpoint is given out as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Data {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) cname: Option<Name>,
    /// As in a master file, names absolute.
    pub(crate) mx: Vec<String>,
    pub(crate) srv: Vec<String>,
    pub(crate) txt: Vec<String>,
}

impl Data {
    pub(crate) fn of_addresses(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { addresses: addresses.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn of_cname(target: Name) -> Self {
        Self { cname: Some(target), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether there is something beside a host name.
    pub(crate) fn has_more(&self) -> bool {
        *self != Self { cname: self.cname.clone(), ..Self::default() }
    }

    /// The host name and the rest: what is kept, then what is not.
    pub(crate) fn split(mut self, keep_cname: bool) -> (Self, Self) {
        let name = Self { cname: self.cname.take(), ..Self::default() };
        if keep_cname { (name, self) } else { (self, name) }
    }

    /// Adds what `other` has and this has not.
    pub(crate) fn join(&mut self, other: Self) {
        fn add<T: PartialEq>(to: &mut Vec<T>, from: Vec<T>) {
            for item in from {
                if !to.contains(&item) {
                    to.push(item);
                }
            }
        }
        add(&mut self.addresses, other.addresses);
        add(&mut self.mx, other.mx);
        add(&mut self.srv, other.srv);
        add(&mut self.txt, other.txt);
        self.cname = self.cname.take().or(other.cname);
    }
}

/// As a list, for people.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.addresses.iter().map(IpAddr::to_string).collect();
        parts.extend(self.cname.iter().map(|name| format!("CNAME {name}")));
        for (kind, list) in [("MX", &self.mx), ("SRV", &self.srv), ("TXT", &self.txt)] {
            parts.extend(list.iter().map(|record| format!("{kind} {record}")));
        }
        f.write_str(&parts.join(", "))
    }
}

/// How an endpoint's health is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Something listens.
    Tcp(SocketAddr),
    /// A page is there.
    Https {
        url: String,
        /// Whose certificate it shall be, when that is not the URL's host.
        host: Option<String>,
        status: Vec<u16>,
        body: Option<String>,
    },
}

impl Check {
    /// Whether both ask the same of the addresses that an endpoint has: a port of one of them is
    /// that port of each.
    pub(crate) fn asks_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => one.port() == other.port(),
            _ => self == other,
        }
    }
}

/// Of a country, in `clients`; none: dnsrouter knows no such country.
pub(crate) fn country(country: Country) -> Option<String> {
    country.continent().map(|_| Selector::Country(country).to_string())
}

/// Of a continent, in `clients`.
pub(crate) fn continent(continent: Continent) -> String {
    format!("continent:{continent}")
}
