//! What comes out must load: zones and services are frozen as dnsrouter freezes them, and what it
//! would refuse is left out and told.

mod fit;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::{ServiceId, ServiceNode, ZoneData, Zones};
use dns::zonefile::{self, Included, Source};

use super::Imported;
use super::findings::Findings;
use super::service::{Body, Own, Service};
use super::zone::Zone;

/// Times that a zone is read again after lines were taken out: each shows up to twenty mistakes.
const ROUNDS: usize = 50;

const REFUSED: &str = "dnsrouter refuses such a record";
const WILL_REFUSE: &str = "dnsrouter will refuse this zone";

pub(super) fn settle(imported: &mut Imported) {
    let Imported { zones, services, findings, regions, .. } = imported;
    apart(zones, findings);
    let mut names = BTreeSet::new();
    services.retain(|service| {
        let new = names.insert(service.name.clone());
        if !new {
            let why = "the name is served already";
            findings.left_out(service.name.to_string(), "a service", why, "keep one of the two");
        }
        new
    });
    fit::services(services, findings);
    let read: Vec<ZoneData> =
        zones.iter_mut().filter_map(|zone| readable(zone, findings)).collect();
    aliases(services, findings);
    let whole = read.len() == zones.len();
    // Without all zones, services would be blamed for those that are missing.
    while whole && !services.is_empty() {
        let nodes = nodes(services);
        let Err(errors) = Zones::freeze(&read, &nodes, [0; 2]) else { break };
        let blamed: BTreeMap<&Name, String> =
            errors.iter().map(|error| (&error.name, error.fault.to_string())).collect();
        let before = services.len();
        services.retain(|service| {
            let Some(fault) = blamed.get(&service.name) else { return true };
            let instead = "change one of the two names, or the record that is in the way";
            findings.left_out(service.name.to_string(), "the service", fault, instead);
            false
        });
        if services.len() == before {
            for error in &errors {
                let why = error.fault.to_string();
                findings.left_out(
                    error.name.to_string(),
                    WILL_REFUSE,
                    &why,
                    "remove what is wrong",
                );
            }
            break;
        }
        aliases(services, findings);
    }
    let mut used = BTreeSet::new();
    for service in services.iter() {
        let Body::Own(own) = &service.body else { continue };
        used.extend(own.endpoints.iter().map(|endpoint| endpoint.region.clone()));
    }
    used.iter().for_each(|region| {
        regions.named(region);
    });
    regions.keep(|region| used.contains(region));
    regions.judge(findings);
}

/// Each zone once, and each in a file of its own.
fn apart(zones: &mut Vec<Zone>, findings: &mut Findings) {
    let mut apexes = BTreeSet::new();
    zones.retain(|zone| {
        let new = apexes.insert(zone.apex.clone());
        if !new {
            let why = "another file is the same zone";
            findings.left_out(zone.apex.to_string(), "a zone", why, "keep one of the two");
        }
        new
    });
    let mut files = BTreeSet::new();
    for zone in zones {
        // File systems may not tell cases apart.
        let stem = zone.file.clone();
        let mut number = 2;
        while !files.insert(zone.file.to_ascii_lowercase()) {
            zone.file = format!("{number}-{stem}");
            number += 1;
        }
    }
}

/// The zone as data; lines that are refused become comments. None when it still does not read.
fn readable(zone: &mut Zone, findings: &mut Findings) -> Option<ZoneData> {
    for _ in 0..ROUNDS {
        let source = Source { name: &zone.file, text: zone.text.as_bytes() };
        let mut no_include = |_: &str, _: &str| -> Result<Included, String> {
            Err("imported zones include nothing".to_owned())
        };
        let errors = match zonefile::parse(&zone.apex, source, &mut no_include) {
            Ok(loaded) => return Some(loaded.zone),
            Err(errors) => errors,
        };
        let removable = whole_records(&zone.text);
        let mut lines: Vec<String> = zone.text.lines().map(str::to_owned).collect();
        let mut removed = BTreeSet::new();
        for error in &errors {
            let at = format!("{}: {}", zone.apex, error.message);
            let number = (error.position.line as usize).saturating_sub(1);
            if removable.get(number) != Some(&true) {
                let instead = error.help.as_deref().unwrap_or("correct it in the written file");
                findings.left_out(at, WILL_REFUSE, &error.message, instead);
                continue;
            }
            if removed.insert(number) {
                let instead = error.help.as_deref().unwrap_or("correct it, and add it to the zone");
                findings.left_out(at, lines[number].trim(), REFUSED, instead);
                take_out(&mut lines, number);
            }
        }
        if removed.is_empty() {
            return None;
        }
        zone.text = lines.join("\n") + "\n";
    }
    None
}

/// For each line whether it is a whole record that can be taken out by itself.
fn whole_records(text: &str) -> Vec<bool> {
    let mut depth = 0;
    let mut line = |line: &str| {
        let before = depth;
        depth = depth_behind(line, before);
        let head = line.trim_start();
        let is_record = !head.is_empty() && !head.starts_with([';', '$']);
        is_record && before == 0 && depth == 0 && !line.contains(" SOA ")
    };
    text.lines().map(&mut line).collect()
}

/// How many parentheses are open behind a line (RFC 1035 §5.1).
fn depth_behind(line: &str, before: usize) -> usize {
    let (mut depth, mut quoted) = (before, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => quoted = !quoted,
            ';' if !quoted => break,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth
}

/// Makes a record a comment. The one behind it may have its owner from it, and keeps it.
fn take_out(lines: &mut [String], number: usize) {
    let line = std::mem::take(&mut lines[number]);
    let owner = line.split_whitespace().next().filter(|_| !line.starts_with(char::is_whitespace));
    let is_record =
        |line: &&mut String| !line.trim().is_empty() && !line.trim().starts_with([';', '$']);
    let next = lines[number + 1..].iter_mut().find(is_record);
    if let (Some(owner), Some(next)) = (owner, next)
        && next.starts_with(char::is_whitespace)
    {
        next.insert_str(0, owner);
    }
    lines[number] = format!("; refused: {line}");
}

/// Aliases of what is no service, or has no addresses, cannot be.
fn aliases(services: &mut Vec<Service>, findings: &mut Findings) {
    let targets: BTreeSet<Name> = services
        .iter()
        .filter(|service| own(service).is_some_and(has_addresses))
        .map(|service| service.name.clone())
        .collect();
    services.retain(|service| match &service.body {
        Body::Alias(target) if !targets.contains(target) => {
            let what = format!("the alias to {target}");
            let why = "there is no service with addresses of that name in the result";
            findings.left_out(service.name.to_string(), &what, why, "write its records yourself");
            false
        }
        _ => true,
    });
}

fn own(service: &Service) -> Option<&Own> {
    match &service.body {
        Body::Own(own) => Some(own),
        Body::Alias(_) => None,
    }
}

fn has_addresses(own: &Own) -> bool {
    own.endpoints.iter().any(|endpoint| !endpoint.data.addresses.is_empty())
}

fn nodes(services: &[Service]) -> Vec<ServiceNode> {
    let by_name: BTreeMap<&Name, &Own> =
        services.iter().filter_map(|service| Some((&service.name, own(service)?))).collect();
    let node = |(id, service): (u32, &Service)| {
        let types = match &service.body {
            Body::Own(own) => types(own),
            Body::Alias(target) => {
                let mut types = by_name.get(target).map(|own| types(own)).unwrap_or_default();
                types.retain(|rtype| [Rtype::A, Rtype::AAAA].contains(rtype));
                types
            }
        };
        ServiceNode { name: service.name.clone(), id: ServiceId(id), types }
    };
    (0..).zip(services).map(node).collect()
}

fn types(own: &Own) -> Vec<Rtype> {
    let has = |test: &dyn Fn(&super::service::Data) -> bool| {
        own.endpoints.iter().any(|endpoint| test(&endpoint.data))
    };
    let all = [
        (Rtype::A, has(&|data| data.addresses.iter().any(IpAddr::is_ipv4))),
        (Rtype::AAAA, has(&|data| data.addresses.iter().any(IpAddr::is_ipv6))),
        (Rtype::CNAME, has(&|data| data.cname.is_some())),
        (Rtype::MX, has(&|data| !data.mx.is_empty())),
        (Rtype::SRV, has(&|data| !data.srv.is_empty())),
        (Rtype::TXT, has(&|data| !data.txt.is_empty())),
    ];
    all.into_iter().filter_map(|(rtype, has)| has.then_some(rtype)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::choice::{Answer, Choice};
    use crate::import::service::Data;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn service(text: &str) -> Service {
        let data = Data::of_addresses(["192.0.2.1".parse().unwrap()]);
        let own = Choice::One(Answer { data, check: None }).compose(60, None).own.unwrap();
        Service { name: name(text), body: Body::Own(own) }
    }

    const HEAD: &str = "@ 60 SOA ns hostmaster 1 2 3 4 5\n@ 60 NS ns.example.net.\n";

    #[test]
    fn what_would_not_load_is_left_out_and_told() {
        let apex = name("example.com.");
        let text = format!("{HEAD}a 60 A 192.0.2.1\nb 60 A 192.0.2.300\nwww 60 CNAME x\n");
        let alias =
            |of: &str| Service { name: name("c.example.com."), body: Body::Alias(name(of)) };
        let services = vec![
            service("geo.example.com."),
            service("www.example.com."),
            service("a.example.com."),
            alias("www.example.com."),
        ];
        let zones = vec![Zone::new(apex, text)];
        let imported = Imported { zones, services, ..Imported::default() }.settle();
        let left: Vec<_> = imported.services.iter().map(|s| s.name.to_string()).collect();
        assert_eq!(left, ["geo.example.com."]);
        assert!(imported.zones[0].text.contains("; refused: b 60 A 192.0.2.300\n"));
        let told: Vec<_> = imported.findings.list().iter().map(|f| f.what.as_str()).collect();
        assert_eq!(told[0], "b 60 A 192.0.2.300");
        assert_eq!(told.iter().filter(|what| **what == "the service").count(), 2);
        assert!(told.contains(&"the alias to www.example.com."));
    }

    /// What is taken out of a zone leaves the others as they were, whoever their owner is.
    #[test]
    fn a_refused_record_takes_no_other_along() {
        let apex = name("example.com.");
        let text = format!(
            "{HEAD}a 60 A 192.0.2.300\n  60 A 192.0.2.301\n  60 TXT \"a (b\"\n  60 TXT \"c\"\n\
             m 60 A 192.0.2.1\n  60 CNAME x\nn 60 A 192.0.2.2\n"
        );
        let zones = vec![Zone::new(apex.clone(), text)];
        let imported = Imported { zones, ..Imported::default() }.settle();
        let text = &imported.zones[0].text;
        let records: Vec<&str> = text.lines().filter(|line| !line.starts_with(';')).collect();
        let left =
            records.iter().filter(|line| !line.contains("60 SOA") && !line.contains("60 NS"));
        let left: Vec<String> =
            left.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            left,
            ["a 60 TXT \"a (b\"", "60 TXT \"c\"", "m 60 CNAME x", "n 60 A 192.0.2.2"],
            "{text}"
        );
        let mut findings = Findings::default();
        let mut again = Zone::new(apex, text.clone());
        assert!(readable(&mut again, &mut findings).is_some(), "{text}");
        assert!(findings.list().is_empty());
    }

    #[test]
    fn a_zone_that_cannot_be_mended_is_told_and_kept() {
        let zones = vec![Zone::new(name("example.com."), "a 60 A 192.0.2.1\n".to_owned())];
        let imported = Imported { zones, ..Imported::default() }.settle();
        assert_eq!(imported.zones.len(), 1);
        assert!(!imported.findings.is_faithful());
    }
}
