//! A service as its owner describes it: a name, endpoints in regions, and a route over them.
//!
//! These are the validated forms. They come from `[[service]]` in the configuration (later from
//! the directory too) and go into [`crate::policy`], which compiles them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use dns::name::Name;
use dns::rr::Rtype;

pub use step::{FenceRule, Figure, Nearest, Percent, Prefer, Step, Tiers};

mod step;

/// Endpoints of one service. A candidate set is a stack array of this size, so that choosing
/// allocates nothing; a service that needs more is two services.
pub const MAX_ENDPOINTS: usize = 128;

/// Records of one form of one endpoint: more would not fit an answer of 1232 bytes.
pub const MAX_RECORDS: usize = 32;

/// Octets of a binding's data as configured; a name, a port and protocol ids need far less.
pub const MAX_BINDING: usize = 512;

/// Steps of one route.
pub const MAX_STEPS: usize = 16;

/// One of the RRsets that a service chooses for a client. Each is chosen by itself, among the
/// endpoints that have it: if the nearest has no IPv6, AAAA comes from the nearest that has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// One host name; then the service has nothing else (RFC 2181 §10.1).
    Cname,
    /// Mail exchangers.
    Mx,
    /// Hosts with ports (RFC 2782).
    Srv,
    /// Texts.
    Txt,
}

impl Form {
    /// In the order of their values.
    pub const ALL: [Self; 6] = [Self::A, Self::Aaaa, Self::Cname, Self::Mx, Self::Srv, Self::Txt];

    /// Its record type.
    pub fn rtype(self) -> Rtype {
        match self {
            Self::A => Rtype::A,
            Self::Aaaa => Rtype::AAAA,
            Self::Cname => Rtype::CNAME,
            Self::Mx => Rtype::MX,
            Self::Srv => Rtype::SRV,
            Self::Txt => Rtype::TXT,
        }
    }

    /// The form of a record type.
    pub fn of(rtype: Rtype) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.rtype() == rtype)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rtype().fmt(f)
    }
}

/// A record that is not an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Of which type.
    pub form: Form,
    /// Its data in wire form, names uncompressed.
    pub rdata: Box<[u8]>,
    /// Its data as configured.
    pub text: String,
}

/// A service binding (RFC 9460) in ServiceMode, to which address hints are added: those of the
/// very client that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// HTTPS or SVCB.
    pub rtype: Rtype,
    /// Priority, target and parameters in wire form, without `ipv4hint` and `ipv6hint`; at most
    /// [`MAX_BINDING`] octets.
    pub rdata: Box<[u8]>,
}

/// A second name for a service: its addresses and bindings, chosen as there. It may stand where a
/// CNAME may not, at a zone's apex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// Owner name, inside one of our zones.
    pub name: Name,
    /// Position of the service among those of the same configuration.
    pub service: usize,
}

/// A validated service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Owner name, inside one of our zones.
    pub name: Name,
    /// Of every RRset it answers.
    pub ttl: Duration,
    /// The chain, as written.
    pub route: Vec<Step>,
    /// In the order written: the order of last resort.
    pub endpoints: Vec<Endpoint>,
    /// HTTPS and SVCB, at most one of each.
    pub bindings: Vec<Binding>,
}

impl Service {
    /// The types it answers, in the order of [`Form::ALL`], bindings last.
    pub fn types(&self) -> Vec<Rtype> {
        let has = |form: &Form| self.endpoints.iter().any(|endpoint| endpoint.has(*form));
        let forms = Form::ALL.into_iter().filter(has).map(Form::rtype);
        forms.chain(self.bindings.iter().map(|binding| binding.rtype)).collect()
    }
}

/// One place where the service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of a region whose location is known.
    pub region: String,
    /// A and AAAA, each with a health of its own.
    pub addresses: Vec<IpAddr>,
    /// What it has beside addresses.
    pub records: Vec<Record>,
    /// Share among endpoints that a pick chooses from; 0: only when nothing else is left.
    pub weight: u32,
    /// For `failover`: a lower one is better.
    pub tier: u8,
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
    /// Whether it has records of this form.
    pub fn has(&self, form: Form) -> bool {
        match form {
            Form::A => self.addresses.iter().any(IpAddr::is_ipv4),
            Form::Aaaa => self.addresses.iter().any(IpAddr::is_ipv6),
            _ => self.records.iter().any(|record| record.form == form),
        }
    }

    /// The target whose health is that of records that are not addresses: the first `ping`, as
    /// written; none: always up.
    pub fn target(&self) -> Option<Target> {
        let ping = self.pings.first()?.clone();
        Some(Target { ping, region: self.region.clone() })
    }

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
            records: Vec::new(),
            weight: 1,
            tier: 1,
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
