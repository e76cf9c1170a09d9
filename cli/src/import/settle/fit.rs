//! One service after the other: what of it is larger or stranger than dnsrouter takes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use dns::name::Name;
use dns::rr::Rtype;

use crate::import::findings::Findings;
use crate::import::regions::MAX_REGIONS;
use crate::import::service::{Body, Check, Data, Endpoint, Nearest, Own, Rule, Service, Step};

/// The longest TTL (RFC 2181 §8).
const MAX_TTL: u32 = i32::MAX as u32;
/// Records of one type of one endpoint; this and what follows are dnsrouter's own limits.
const MAX_RECORDS: usize = 32;
const MAX_RULES: usize = 64;
const MAX_VIEWS: usize = 64;
const MAX_LISTS: usize = 64;
const MAX_PATH: usize = 1024;
const MAX_BODY: usize = 256;
const MAX_SERVICES: usize = 20_000;

/// Makes each fit by itself, and then all of them together.
pub(super) fn services(services: &mut Vec<Service>, findings: &mut Findings) {
    for service in services.iter_mut() {
        if let Body::Own(own) = &mut service.body {
            fit(&service.name, own, findings);
        }
    }
    services.retain(|service| match &service.body {
        Body::Own(own) => !own.endpoints.is_empty(),
        Body::Alias(_) => true,
    });
    let mut shared = Shared::default();
    let mut kept = 0;
    services.retain(|service| {
        let fits = kept < MAX_SERVICES && shared.takes(service);
        kept += usize::from(fits);
        if !fits {
            let why = "one configuration has at most 20,000 services, 128 regions, 64 different \
                       fences, 64 different lists of regions and 64 different lists of networks, and \
                       the services before it need them all";
            let instead = "make rules or regions alike, or use a second name server";
            findings.left_out(service.name.to_string(), "the service", why, instead);
        }
        fits
    });
}

fn fit(name: &Name, own: &mut Own, findings: &mut Findings) {
    let at = name.to_string();
    if own.ttl > MAX_TTL {
        let what = format!("the TTL {}", own.ttl);
        findings.changed(&at, &what, "a TTL is at most 2147483647 (RFC 2181 §8)", "nothing");
        own.ttl = MAX_TTL;
    }
    own.ttl_min = own.ttl_min.map(|least| least.min(own.ttl));
    for endpoint in &mut own.endpoints {
        records(&at, &mut endpoint.data, findings);
        check(&at, endpoint, findings);
    }
    own.endpoints.retain(|endpoint| !endpoint.data.is_empty());
    let regions: BTreeSet<&str> =
        own.endpoints.iter().map(|endpoint| endpoint.region.as_str()).collect();
    for step in &mut own.route {
        let rules = match step {
            Step::Fence(rules) => rules,
            Step::Nearest(nearest) => &mut nearest.prefer,
            _ => continue,
        };
        let known =
            |rule: &mut Rule| rule.regions.retain(|region| regions.contains(region.as_str()));
        rules.iter_mut().for_each(known);
        neighbours(rules);
        let Some(over) = rules.len().checked_sub(MAX_RULES).filter(|over| *over > 0) else {
            continue;
        };
        // The last rules are the widest, and must stay.
        for rule in rules.drain(..over) {
            let what = format!("the rule for {}", rule.clients.join(", "));
            let why = "a step has at most 64 rules";
            let instead = "give more clients the same regions, or make several names";
            findings.left_out(&at, &what, why, instead);
        }
    }
}

/// Rules that follow each other and say the same are one.
fn neighbours(rules: &mut Vec<Rule>) {
    rules.dedup_by(|later, before| {
        let same = later.regions == before.regions;
        if same {
            before.clients.append(&mut later.clients);
        }
        same
    });
}

fn records(at: &str, data: &mut Data, findings: &mut Findings) {
    for v4 in [true, false] {
        let mut seen = 0;
        data.addresses.retain(|address| {
            seen += usize::from(address.is_ipv4() == v4);
            let fits = address.is_ipv4() != v4 || seen <= MAX_RECORDS;
            if !fits {
                too_many(at, &address.to_string(), findings);
            }
            fits
        });
    }
    for (rtype, texts) in
        [(Rtype::MX, &mut data.mx), (Rtype::SRV, &mut data.srv), (Rtype::TXT, &mut data.txt)]
    {
        let mut seen = 0;
        texts.retain(|text| {
            if let Err(error) = dns::rdata::parse(rtype, text, &Name::root()) {
                let why = format!("it is no {rtype} record: {error}");
                findings.left_out(at, text, &why, "correct it");
                return false;
            }
            seen += 1;
            if seen > MAX_RECORDS {
                too_many(at, text, findings);
            }
            seen <= MAX_RECORDS
        });
    }
}

fn too_many(at: &str, record: &str, findings: &mut Findings) {
    let why = "an endpoint has at most 32 records of a type";
    findings.left_out(at, record, why, "make several endpoints of them");
}

fn check(at: &str, endpoint: &mut Endpoint, findings: &mut Findings) {
    let Some(Check::Https { url, host, body, .. }) = &endpoint.check else { return };
    let path = url.strip_prefix("https://").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.is_some_and(|path| {
        path.len() <= MAX_PATH
            && path.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'#')
    });
    let hosts = host.iter().all(|host| is_host(host))
        && url[8..]
            .split(['/', ':'])
            .next()
            .is_some_and(|host| host.starts_with('[') || is_host(host));
    let body = body.as_ref().is_none_or(|body| (1..=MAX_BODY).contains(&body.len()));
    if !(path && hosts && body) {
        let what = format!("the check of {url}");
        let why =
            "its host is no host name, or its path or text is longer or stranger than a check's";
        findings.left_out(at, &what, why, "write the check yourself");
        endpoint.check = None;
    }
}

fn is_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_';
    host.parse::<IpAddr>().is_ok()
        || !host.is_empty()
            && host.len() < 254
            && host.chars().all(plain)
            && host.parse::<Name>().is_ok()
}

/// What all services of a configuration share.
#[derive(Default)]
struct Shared {
    regions: BTreeSet<String>,
    fences: Vec<Vec<Rule>>,
    lenses: Vec<Nearest>,
    lists: BTreeSet<Vec<String>>,
}

impl Shared {
    /// Whether there is room for it, which it then has.
    fn takes(&mut self, service: &Service) -> bool {
        let Body::Own(own) = &service.body else { return true };
        let mut regions = self.regions.clone();
        regions.extend(own.endpoints.iter().map(|endpoint| endpoint.region.clone()));
        let mut lists = self.lists.clone();
        let (mut fences, mut lenses) = (Vec::new(), Vec::new());
        for step in &own.route {
            let rules = match step {
                Step::Fence(rules) => {
                    fences.extend((!self.fences.contains(rules)).then(|| rules.clone()));
                    rules
                }
                Step::Nearest(nearest) if *nearest != Nearest::default() => {
                    lenses.extend((!self.lenses.contains(nearest)).then(|| nearest.clone()));
                    &nearest.prefer
                }
                _ => continue,
            };
            let list = |rule: &Rule| {
                let networks = rule.clients.iter().filter(|client| client.contains('/')).cloned();
                let list: Vec<String> = networks.collect();
                (!list.is_empty()).then_some(list)
            };
            lists.extend(rules.iter().filter_map(list));
        }
        let fits = regions.len() <= MAX_REGIONS
            && lists.len() <= MAX_LISTS
            && self.fences.len() + fences.len() <= MAX_VIEWS
            && self.lenses.len() + lenses.len() <= MAX_VIEWS;
        if fits {
            self.regions = regions;
            self.lists = lists;
            self.fences.append(&mut fences);
            self.lenses.append(&mut lenses);
        }
        fits
    }
}
