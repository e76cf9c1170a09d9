//! A service as its owner describes it: a name, endpoints in regions, and a route over them.
//!
//! These are the validated forms. They come from `[[service]]` in the configuration (later from
//! the directory too) and go into [`crate::policy`], which compiles them.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use dns::name::{Name, NameRef};
use dns::rr::Rtype;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::target::{Check, HostPort, Target, Watched};

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

    /// The host that a record of this form, of this data, leads to.
    pub fn target(self, rdata: &[u8]) -> Option<NameRef<'_>> {
        let before = match self {
            Self::Cname => 0,
            Self::Mx => 2,
            Self::Srv => 6,
            Self::A | Self::Aaaa | Self::Txt => return None,
        };
        NameRef::parse(rdata.get(before..)?).ok()
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
    /// Instead, while an answer may have to change soon; at most `ttl`.
    pub ttl_min: Duration,
    /// How long an endpoint that recovered takes until it has its whole weight; zero: no time.
    pub slow_start: Duration,
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

    /// Of everything that its owner wrote, the same on every node. Services that differ have different
    /// ones, as long as nobody looks for two that have not.
    pub fn fingerprint(&self) -> u128 {
        let mut words = Words(SipHasher13::new());
        // Nothing that is written to a hasher is refused.
        let _ = write!(words, "{self:?}");
        words.0.finish128().as_u128()
    }
}

/// Hashes what is written to it.
struct Words(SipHasher13);

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
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
    /// Its GeoPing, one per way to reach it.
    pub pings: Vec<HostPort>,
    /// Another check, beside the ping or instead; without either it is always up.
    pub check: Option<Check>,
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

    /// What speaks for records that are not addresses: the first `ping` and the `check`, as
    /// written; none: they are always up.
    pub fn watched(&self) -> Option<Watched> {
        self.watch(self.pings.first(), None)
    }

    /// What speaks for `address`; none: it is always up.
    ///
    /// A `ping` at one of the endpoint's own addresses stands for "this port, on each address":
    /// every address is pinged itself. A `ping` elsewhere (a host name, a management address)
    /// speaks for all addresses, of its own family first when there is one per family. A `check`
    /// likewise.
    pub fn watched_by(&self, address: IpAddr) -> Option<Watched> {
        let family =
            |ping: &&HostPort| ping.address().is_some_and(|a| a.is_ipv4() == address.is_ipv4());
        self.watch(self.pings.iter().find(family).or(self.pings.first()), Some(address))
    }

    /// Everything that speaks for any of its records.
    pub fn all_watched(&self) -> impl Iterator<Item = Watched> + Clone + '_ {
        let records = self.records.first().and_then(|_| self.watched());
        let addresses = self.addresses.iter().filter_map(|address| self.watched_by(*address));
        addresses.chain(records)
    }

    fn watch(&self, ping: Option<&HostPort>, address: Option<IpAddr>) -> Option<Watched> {
        let ping = ping.map(|ping| Check::GeoPing(ping.clone()));
        let mut checks = ping.into_iter().chain(self.check.clone()).map(|check| {
            let own = check.at().address().is_some_and(|host| self.addresses.contains(&host));
            let check = if own && let Some(address) = address { check.to(address) } else { check };
            Target { check, region: self.region.clone() }
        });
        Some(Watched { first: checks.next()?, second: checks.next() })
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
            pings: pings.iter().map(|(h, p)| HostPort { host: (*h).into(), port: *p }).collect(),
            check: None,
        }
    }

    fn target(endpoint: &Endpoint, address: &str) -> Option<String> {
        let Watched { first, second } = endpoint.watched_by(address.parse().unwrap())?;
        Some(
            first.check.to_string()
                + &second.map_or(String::new(), |s| format!(" and {}", s.check)),
        )
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
    fn a_check_stands_beside_a_ping_or_instead_of_it() {
        let tcp = |host: &str| Some(Check::Tcp(HostPort { host: host.into(), port: 5 }));
        let addresses = ["203.0.113.10", "2001:db8::10"];
        let mut e = Endpoint { check: tcp("203.0.113.10"), ..endpoint(&addresses, &[("p", 443)]) };
        let both = "p:443 and tcp://[2001:db8::10]:5";
        assert_eq!(target(&e, "2001:db8::10").as_deref(), Some(both));
        let written = e.watched().unwrap().second.unwrap();
        assert_eq!(written.check.to_string(), "tcp://203.0.113.10:5");
        e = Endpoint { check: tcp("elsewhere"), ..endpoint(&addresses, &[]) };
        assert_eq!(target(&e, "2001:db8::10").as_deref(), Some("tcp://elsewhere:5"));
    }

    #[test]
    fn no_ping_no_target() {
        assert_eq!(target(&endpoint(&["203.0.113.10"], &[]), "203.0.113.10"), None);
    }
}
