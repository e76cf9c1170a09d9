//! `[[service]]`: endpoints, addresses, pings and the route.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use daemon::config::Spanned;
use dns::name::Name;
use dns::rr::Rtype;

use super::check::host_port;
use super::{Checker, MAX_TTL, raw};
use crate::binding::{IPV4HINT, IPV6HINT};
use crate::service::{
    Alias, Binding, Endpoint, Form, MAX_BINDING, MAX_ENDPOINTS, MAX_RECORDS, Record, Service, Step,
};
use crate::target::HostPort;

/// Endpoints share among them at most this: weights are ratios, not identifiers.
const MAX_WEIGHT: u32 = 1_000_000;

/// Tiers are few; a large number is a typo.
const MAX_TIER: u32 = 100;

/// Why no client can connect to an address, if none can.
fn nobody(address: IpAddr) -> Option<&'static str> {
    match address {
        _ if address.is_unspecified() => Some("it is any address, and nobody's"),
        _ if address.is_multicast() => Some("it is for multicast"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("it is for broadcast"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            Some("write the IPv4 address that it stands for")
        }
        _ => None,
    }
}

impl Checker<'_> {
    /// Everything with endpoints of its own.
    pub(super) fn services(&mut self, raw: &[raw::Service]) -> Vec<(Service, Range<usize>)> {
        let own = raw.iter().filter(|service| service.alias.is_none());
        own.filter_map(|service| self.service(service)).collect()
    }

    fn service(&mut self, raw: &raw::Service) -> Option<(Service, Range<usize>)> {
        let name = self.name(&raw.name)?;
        let (Some(ttl), Some(route)) = (&raw.ttl, &raw.route) else {
            let help = Some("ttl = 60, route = [\"healthy\", \"nearest\"]; or alias = \"…\"");
            self.error(raw.name.span(), "a service needs ttl and route", help);
            return None;
        };
        if *ttl.get_ref() > MAX_TTL {
            self.error(ttl.span(), format!("a TTL is at most {MAX_TTL} seconds"), None);
        }
        let span = route.span();
        let route = self.route(route);
        if raw.endpoint.is_empty() {
            let help = Some("add [[service.endpoint]] with region and addresses");
            self.error(raw.name.span(), "a service without endpoints has no answer", help);
        }
        if raw.endpoint.len() > MAX_ENDPOINTS {
            let message = format!("{} endpoints; the limit is {MAX_ENDPOINTS}", raw.endpoint.len());
            self.error(raw.name.span(), message, Some("split the service"));
        }
        let mut seen = HashSet::new();
        let endpoints: Vec<_> = raw.endpoint.iter().map(|e| self.endpoint(e, &mut seen)).collect();
        self.never_full(&name, &route, &endpoints);
        let bindings = [(Rtype::HTTPS, &raw.https), (Rtype::SVCB, &raw.svcb)];
        let bindings = bindings
            .into_iter()
            .filter_map(|(rtype, text)| self.binding(rtype, text.as_ref()?))
            .collect();
        let ttl_min = self.ttl_min(*ttl.get_ref(), raw.ttl_min.as_ref());
        let slow_start = raw.slow_start.as_ref().map_or(Duration::ZERO, |s| self.duration(s));
        let ttl = Duration::from_secs(u64::from(*ttl.get_ref()));
        let service = Service { name, ttl, ttl_min, slow_start, route, endpoints, bindings };
        self.host_names(&service, &raw.endpoint, span);
        self.doubt(&service);
        Some((service, raw.name.span()))
    }

    /// What the TTL falls to. Default: a sixth, but not below 5 s, where resolvers ask often enough
    /// to be felt.
    fn ttl_min(&mut self, ttl: u32, given: Option<&Spanned<u32>>) -> Duration {
        const USUAL_LEAST: u32 = 5;
        let least = match given {
            Some(given) if *given.get_ref() > ttl => {
                let message = format!("ttl_min is at most ttl, which is {ttl}");
                self.error(given.span(), message, None);
                ttl
            }
            Some(given) => *given.get_ref(),
            None => (ttl / 6).max(USUAL_LEAST).min(ttl),
        };
        Duration::from_secs(u64::from(least))
    }

    /// `load` needs to know what endpoints are good for.
    fn never_full(&mut self, service: &Name, route: &[Step], endpoints: &[Endpoint]) {
        if !route.contains(&Step::Load) {
            return;
        }
        let is_known = |e: &&Endpoint| e.capacity.is_some() || e.all_watched().next().is_some();
        if let Some(endpoint) = endpoints.iter().find(|endpoint| !is_known(endpoint)) {
            self.warnings.push(format!(
                "service {service}: \"load\" never finds {} full: it has no capacity, and no ping \
                 that could tell one",
                endpoint.region
            ));
        }
    }

    /// Second names of the services.
    pub(super) fn aliases(
        &mut self,
        raw: &[raw::Service],
        services: &[(Service, Range<usize>)],
    ) -> Vec<(Alias, Range<usize>)> {
        let mut aliases = Vec::new();
        let by_name: HashMap<&Name, usize> =
            services.iter().enumerate().map(|(at, (service, _))| (&service.name, at)).collect();
        for service in raw {
            let Some(of) = &service.alias else { continue };
            let more = service.ttl.is_some()
                || service.ttl_min.is_some()
                || service.slow_start.is_some()
                || service.route.is_some()
                || service.https.is_some()
                || service.svcb.is_some()
                || !service.endpoint.is_empty();
            if more {
                let help = Some("remove the rest, or the alias");
                self.error(of.span(), "an alias has a name and nothing else of its own", help);
            }
            let (Some(name), Some(target)) = (self.name(&service.name), self.name(of)) else {
                continue;
            };
            match by_name.get(&target) {
                None => {
                    let message = format!("no service here is called {target}");
                    let help = Some("an alias leads to a service with endpoints, in one step");
                    self.error(of.span(), message, help);
                }
                Some(at) if services[*at].0.endpoints.iter().all(|e| e.addresses.is_empty()) => {
                    let message = format!("{target} has no addresses an alias could answer");
                    self.error(of.span(), message, None);
                }
                Some(at) => aliases.push((Alias { name, service: *at }, service.name.span())),
            }
        }
        aliases
    }

    /// A host name stands alone (RFC 2181 §10.1), and there is one of it.
    fn host_names(&mut self, service: &Service, raw: &[raw::Endpoint], route: Range<usize>) {
        let Some(cname) = raw.iter().find_map(|endpoint| endpoint.cname.as_ref()) else { return };
        if service.types().iter().any(|rtype| *rtype != Rtype::CNAME) {
            let help = Some("give every endpoint a cname and nothing else, or none a cname");
            self.error(cname.span(), "a name with a CNAME has no other data", help);
        }
        let many = |step: &Step| matches!(step, Step::Take(n) if n.get() > 1);
        if service.route.iter().any(many) {
            let help = Some("take = 1, or leave it out");
            self.error(route, "a name has one CNAME; the route takes several", help);
        }
    }

    fn endpoint(&mut self, raw: &raw::Endpoint, seen: &mut HashSet<IpAddr>) -> Endpoint {
        let region = raw.region.get_ref().clone();
        let otherwise = "add a [[region]] with its name and location";
        let found = self.regions.find(&raw.region, otherwise, self.source, &mut self.problems);
        if let Some(point) = found {
            self.use_location(&region, point);
        }
        let addresses =
            raw.addresses.as_ref().map(|raw| self.addresses(raw, seen)).unwrap_or_default();
        let records = self.records(raw);
        if raw.addresses.is_none() && records.is_empty() {
            let help = Some("addresses, cname, mx, srv or txt");
            self.error(raw.region.span(), "an endpoint without records has no answer", help);
        }
        let weight = raw.weight.unwrap_or(100);
        if weight > MAX_WEIGHT {
            self.error(raw.region.span(), format!("a weight is at most {MAX_WEIGHT}"), None);
        }
        let tier = raw.tier.as_ref().map_or(1, |tier| {
            if !(1..=MAX_TIER).contains(tier.get_ref()) {
                self.error(tier.span(), format!("a tier is from 1 to {MAX_TIER}"), None);
            }
            u8::try_from(*tier.get_ref()).unwrap_or(u8::MAX)
        });
        let pings = raw.ping.as_ref().map(|ping| self.pings(ping)).unwrap_or_default();
        let check = raw.check.as_ref().and_then(|check| self.check(check));
        let capacity = raw.capacity;
        Endpoint { region, addresses, records, weight, tier, capacity, pings, check }
    }

    fn addresses(
        &mut self,
        raw: &Spanned<Vec<Spanned<String>>>,
        seen: &mut HashSet<IpAddr>,
    ) -> Vec<IpAddr> {
        let mut addresses = Vec::with_capacity(raw.get_ref().len());
        for text in raw.get_ref() {
            match text.get_ref().parse::<IpAddr>() {
                Ok(address) if let Some(why) = nobody(address) => {
                    let message = format!("{address} is no address of an endpoint: {why}");
                    self.error(text.span(), message, None);
                }
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
        if raw.get_ref().is_empty() {
            self.error(raw.span(), "an endpoint without addresses has no answer", None);
        }
        for v4 in [true, false] {
            if addresses.iter().filter(|a| a.is_ipv4() == v4).count() > MAX_RECORDS {
                let message = format!("at most {MAX_RECORDS} addresses of a family");
                self.error(raw.span(), message, Some("split the endpoint"));
            }
        }
        addresses
    }

    /// What an endpoint has beside addresses.
    fn records(&mut self, raw: &raw::Endpoint) -> Vec<Record> {
        let cname = raw.cname.as_slice();
        let forms = [
            (Form::Cname, cname),
            (Form::Mx, &raw.mx),
            (Form::Srv, &raw.srv),
            (Form::Txt, &raw.txt),
        ];
        let mut records: Vec<Record> = Vec::new();
        for (form, texts) in forms {
            if let Some(first) = texts.get(MAX_RECORDS) {
                self.error(first.span(), format!("at most {MAX_RECORDS} {form} records"), None);
            }
            for text in texts {
                let Some(rdata) = self.rdata(form.rtype(), text) else { continue };
                self.single_label(form, &rdata, text);
                if records.iter().any(|known| known.form == form && known.rdata == rdata) {
                    let help = Some("RRsets are sets (RFC 2181 §5)");
                    self.error(text.span(), format!("the same {form} record twice"), help);
                }
                records.push(Record { form, rdata, text: text.get_ref().clone() });
            }
        }
        records
    }

    /// The data of one record. Names count from the root: the final dot may be left out.
    fn rdata(&mut self, rtype: Rtype, text: &Spanned<String>) -> Option<Box<[u8]>> {
        // A text that nobody quoted is one string, not one per word.
        let plain = rtype == Rtype::TXT && !text.get_ref().trim_start().starts_with('"');
        let read = match plain {
            true => character_string(text.get_ref()),
            false => dns::rdata::parse(rtype, text.get_ref(), &Name::root())
                .map_err(|error| format!("{rtype} record: {error}")),
        };
        match read {
            Ok(rdata) => Some(rdata),
            Err(message) => {
                let help = Some(match rtype {
                    Rtype::MX => "\"10 mail.example.\"",
                    Rtype::SRV => "\"0 5 443 host.example.\": priority, weight, port, host",
                    Rtype::TXT => "a text, or quoted strings: '\"one\" \"two\"'",
                    Rtype::CNAME => "\"host.example.\"",
                    _ => "\"1 . alpn=h2 port=8443\"",
                });
                self.error(text.span(), message, help);
                None
            }
        }
    }

    /// A host name of one label and without its final dot was meant to be longer, or would be a top
    /// level domain's.
    fn single_label(&mut self, form: Form, rdata: &[u8], text: &Spanned<String>) {
        let target = form.target(rdata).filter(|target| target.labels().count() == 1);
        let Some(target) = target.map(|target| target.to_string()) else { return };
        // Of what is written in full the origin makes no difference.
        let elsewhere = Name::root().child(b"origin").ok();
        let other = elsewhere
            .and_then(|origin| dns::rdata::parse(form.rtype(), text.get_ref(), &origin).ok());
        if other.is_none_or(|other| *other != *rdata) {
            let message = format!("the target would be {target}, right below the root");
            let help = format!("write the full name, or \"{target}\" if it is meant");
            self.error(text.span(), message, Some(&help));
        }
    }

    fn binding(&mut self, rtype: Rtype, text: &Spanned<String>) -> Option<Binding> {
        let rdata = self.rdata(rtype, text)?;
        let wrong = match rdata.as_ref() {
            [0, 0, ..] => Some((
                "AliasMode has no addresses to hint at",
                "write it into the zone file, or make this an alias",
            )),
            // Priority, the root, and then the first parameter.
            [_, _, 0, parameters @ ..] if has_hints(parameters) => Some((
                "ipv4hint and ipv6hint are added: they are those of the client",
                "leave them out",
            )),
            [_, _, 0, ..] => None,
            _ => Some((
                "hints are this name's addresses, so the target is this name",
                "\".\" as the target; other targets go into the zone file",
            )),
        };
        if let Some((message, help)) = wrong {
            self.error(text.span(), message, Some(help));
        }
        if rdata.len() > MAX_BINDING {
            let message = format!("{} octets of data; the limit is {MAX_BINDING}", rdata.len());
            self.error(text.span(), message, None);
        }
        Some(Binding { rtype, rdata })
    }

    fn pings(&mut self, raw: &Spanned<raw::Pings>) -> Vec<HostPort> {
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
}

/// One string of a TXT record.
fn character_string(text: &str) -> Result<Box<[u8]>, String> {
    let length = u8::try_from(text.len())
        .map_err(|_| format!("a text of {} octets; a string has at most 255", text.len()))?;
    Ok(std::iter::once(length).chain(text.bytes()).collect())
}

/// Whether service parameters have addresses (RFC 9460 §7.3) already.
fn has_hints(mut parameters: &[u8]) -> bool {
    while let [k0, k1, l0, l1, rest @ ..] = parameters {
        if matches!(u16::from_be_bytes([*k0, *k1]), IPV4HINT | IPV6HINT) {
            return true;
        }
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        parameters = rest.get(length..).unwrap_or_default();
    }
    false
}

/// `https://host[:port]`, nothing behind it.
fn parse_ping(url: &str) -> Option<HostPort> {
    let authority = url.strip_prefix("https://")?;
    host_port(authority.strip_suffix('/').unwrap_or(authority), Some(443))
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
