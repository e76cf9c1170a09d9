//! The hosts of a zone: what is always answered goes into the master file, what is chosen becomes a
//! service, and aliases follow when all others are known.

use std::collections::{BTreeMap, BTreeSet};

use dns::name::Name;
use geo::{ScopeCap, Table, TableBuilder};

use super::labels::{Meaning, Target, meaning};
use super::raw::{Label, RawZone, Record, Rtype};
use crate::import::Imported;
use crate::import::choice::{Answer, Choice, Order, Place, PlaceRule};
use crate::import::service::{Body, Data, Service};
use crate::import::zone::Records;

/// Aliases of aliases; geodns itself would follow a loop for ever.
const MAX_ALIASES: usize = 8;
/// Region names longer than this are numbered instead.
const MAX_NAME: usize = 60;
/// geodns counts what is up to so much farther than the nearest as equally near.
const CLOSE: &str = "5 %";

/// Walks the labels of one zone.
pub(super) struct Hosts<'a> {
    pub(super) apex: &'a Name,
    pub(super) raw: &'a RawZone,
    pub(super) records: &'a mut Records,
    pub(super) imported: &'a mut Imported,
}

/// Labels of one host, by whom they are for.
type ByTarget<'a> = BTreeMap<Target, &'a Label>;

/// A record that is chosen for some clients.
struct Chosen<'a> {
    rtype: Rtype,
    record: &'a Record,
    /// For whom.
    members: BTreeSet<Target>,
}

impl<'a> Hosts<'a> {
    pub(super) fn run(&mut self) {
        let mut hosts: BTreeMap<&'a str, ByTarget<'a>> = BTreeMap::new();
        for (text, label) in &self.raw.labels {
            match meaning(text, self.raw.targeting) {
                Meaning::Host(_, Target::Asn(asn)) => {
                    let why = "nothing says which networks are in that autonomous system";
                    let instead = format!(
                        "name a database in [geo] asn, and add a rule for AS{asn} to the service's fence"
                    );
                    self.imported.findings.left_out(self.at(text), "the label", why, &instead);
                }
                // Without records it is as if it were not there: a larger place's are answered.
                Meaning::Host(_, target) if target != Target::Global && label.is_empty() => {
                    let why = "it has no records, so its clients get those of a larger place";
                    self.imported.findings.note(self.at(text), "the label", why, "nothing");
                    self.unknown(text, label);
                }
                Meaning::Host(host, target) => {
                    if label.is_empty() {
                        self.empty(host);
                    }
                    hosts.entry(host).or_default().insert(target, label);
                }
                Meaning::TooFine => {
                    let why = "clients are told apart by continent, country, ASN and network";
                    let instead = "add the networks of that place to the service's fence";
                    self.imported.findings.left_out(self.at(text), "the label", why, instead);
                }
            }
        }
        if hosts.values().any(|labels| labels.keys().any(|target| *target != Target::Global)) {
            let why = "labels for some clients are no names any more";
            let instead = "use `geoip dig --subnet` to see what those clients get";
            let what = "www.europe and the like, asked for by themselves";
            self.imported.findings.note(self.apex.to_string(), what, why, instead);
        }
        let mut aliases = Vec::new();
        let mut fixed: BTreeMap<&str, Vec<(u32, Rtype, String)>> = BTreeMap::new();
        for (host, labels) in &hosts {
            let Some(name) = self.name(host) else { continue };
            labels.values().for_each(|label| self.unknown(host, label));
            let only = labels.get(&Target::Global).filter(|_| labels.len() == 1);
            match only.and_then(|label| label.alias.as_deref()) {
                Some(to) => aliases.push((*host, name, to)),
                None => {
                    let own = self.host(host, &name, labels, &hosts);
                    fixed.insert(host, own);
                }
            }
        }
        for (host, name, to) in aliases {
            self.alias(host, &name, to, &hosts, &fixed);
        }
    }

    /// A host that is no alias; gives what is always answered, for its aliases.
    fn host(
        &mut self,
        host: &str,
        name: &Name,
        labels: &ByTarget<'a>,
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
    ) -> Vec<(u32, Rtype, String)> {
        let mut types: BTreeSet<Rtype> = BTreeSet::new();
        for target in labels.keys() {
            types.extend(self.found(labels, *target, hosts, 0).keys());
        }
        let mut fixed = Vec::new();
        let mut chosen = Vec::new();
        for rtype in types {
            let of = |target: &Target| self.own(labels, *target, rtype, hosts);
            let targets: Vec<Target> = labels.keys().copied().filter(|t| of(t).is_some()).collect();
            // Who has none of this type of their own gets these too.
            let everywhere = targets == [Target::Global] || rtype == Rtype::Ns;
            let records = of(&Target::Global).unwrap_or_default();
            let most = self.most(labels.get(&Target::Global).copied(), rtype);
            if everywhere && (!is_weighted(rtype, records) || count(records) <= most) {
                let label = labels.get(&Target::Global).copied();
                let ttl = label.and_then(|label| label.ttl).unwrap_or(match rtype {
                    Rtype::Ns => super::NS_TTL,
                    _ => self.raw.ttl,
                });
                for record in records {
                    fixed.push((ttl, rtype, self.data(rtype, record)));
                }
            } else {
                chosen.push(rtype);
            }
        }
        for (ttl, rtype, data) in &fixed {
            self.write(host, name, *ttl, *rtype, data);
        }
        if !chosen.is_empty() {
            self.service(host, name, labels, &chosen, hosts);
        }
        fixed
    }

    /// A name whose records are chosen.
    fn service(
        &mut self,
        host: &str,
        name: &Name,
        labels: &ByTarget<'a>,
        types: &[Rtype],
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
    ) {
        let at = self.at(host);
        let ttls: BTreeSet<u32> =
            labels.values().map(|label| label.ttl.unwrap_or(self.raw.ttl)).collect();
        let ttl = ttls.first().copied().unwrap_or(self.raw.ttl);
        if ttls.len() > 1 {
            let what = format!("TTLs of {ttls:?}");
            self.imported.findings.changed(
                &at,
                &what,
                "a service has one: the shortest",
                "nothing",
            );
        }
        let mut all: BTreeMap<(Rtype, &str), Chosen<'a>> = BTreeMap::new();
        let mut weights = false;
        for target in labels.keys() {
            for rtype in types {
                for record in self.effective(labels, *target, *rtype, hosts) {
                    let chosen = all.entry((*rtype, &record.data)).or_insert_with(|| Chosen {
                        rtype: *rtype,
                        record,
                        members: BTreeSet::new(),
                    });
                    weights |= chosen.record.weight != record.weight;
                    chosen.members.insert(*target);
                }
            }
        }
        if weights {
            let what = "the same record with several weights";
            let why = "an endpoint has one weight, whoever it is for";
            self.imported.findings.changed(&at, what, why, "choose one weight");
        }
        let take = self.take(&at, labels, types, hosts);
        let chosen: Vec<Chosen<'a>> = all.into_values().collect();
        let close = labels.get(&Target::Global).is_some_and(|label| label.closest);
        let choice = match (labels.keys().eq([&Target::Global]), close) {
            (true, true) => self.closest(&at, &chosen, take),
            (true, false) => {
                let of = chosen.iter().map(|chosen| (chosen.record.weight, self.one(chosen)));
                Choice::Weighted { of: of.collect(), take }
            }
            (false, _) => {
                if close {
                    let what = "closest";
                    let why = "it is not combined with labels for some clients";
                    self.imported.findings.left_out(&at, what, why, "use one of the two");
                }
                self.fenced(&at, labels, &chosen, take)
            }
        };
        self.imported.serve(name.clone(), choice, (ttl, None), &at);
    }

    /// These for those: records with the same clients are in one region.
    fn fenced(
        &mut self,
        at: &str,
        labels: &ByTarget<'a>,
        chosen: &[Chosen<'a>],
        take: u32,
    ) -> Choice {
        let mut regions: BTreeMap<&BTreeSet<Target>, String> = BTreeMap::new();
        let mut place = Place { take, ..Place::default() };
        for one in chosen {
            let number = regions.len() + 1;
            let region = regions.entry(&one.members).or_insert_with(|| {
                let names: Vec<String> = one.members.iter().map(|target| target.region()).collect();
                let name = names.join("+");
                if name.len() > MAX_NAME { format!("shared-{number}") } else { name }
            });
            let item = (one.record.weight, self.one(one));
            match place.of.iter_mut().find(|(known, _)| known == region) {
                Some((_, Choice::Weighted { of, .. })) => of.push(item),
                _ => place.of.push((region.clone(), Choice::Weighted { of: vec![item], take: 1 })),
            }
        }
        let mut targets: BTreeSet<Target> = labels.keys().copied().collect();
        let open = self.raw.targeting.global
            && chosen.iter().any(|one| one.members.contains(&Target::Global));
        if !open {
            targets.insert(Target::Global);
            let what = "no records for clients elsewhere";
            let why = "clients that may have nothing are answered REFUSED, not NODATA";
            let instead = "give them an address with refuse = [\"…\"] in the fence's last rule";
            self.imported.findings.changed(at, what, why, instead);
        }
        for target in targets {
            let holds = |members: &BTreeSet<Target>| {
                members.contains(&target) && (open || target != Target::Global)
            };
            let of = regions.iter().filter(|(members, _)| holds(members));
            let order = Order::Any(of.map(|(_, region)| region.clone()).collect());
            place.rules.push(PlaceRule { clients: vec![target.clients()], order });
        }
        Choice::Place(place)
    }

    /// By where the addresses are, as far as the built-in country database knows.
    fn closest(&mut self, at: &str, chosen: &[Chosen<'a>], take: u32) -> Choice {
        let what = "where the addresses are";
        let why =
            "geodns looks it up in its city database; here they are at their countries' centres";
        let instead = "correct the locations of the regions called near-…";
        self.imported.findings.changed(at, what, why, instead);
        let table = countries();
        let mut place = Place { take, within: Some(CLOSE), ..Place::default() };
        for one in chosen {
            let hit = one.record.address.map(|address| table.lookup_source(address));
            let found = hit.map(|hit| *table.place(hit.place));
            let region = match found.and_then(|place| Some((place.country?, place.point()?))) {
                Some((country, point)) => {
                    self.imported.regions.at(&format!("near-{country}"), point)
                }
                None => self.imported.regions.named("near-nowhere"),
            };
            let item = (one.record.weight, self.one(one));
            match place.of.iter_mut().find(|(known, _)| *known == region) {
                Some((_, Choice::Weighted { of, .. })) => of.push(item),
                _ => place.of.push((region, Choice::Weighted { of: vec![item], take: 1 })),
            }
        }
        Choice::Place(place)
    }

    fn one(&self, chosen: &Chosen<'_>) -> Choice {
        let text = self.data(chosen.rtype, chosen.record);
        let mut data = Data::default();
        match chosen.rtype {
            Rtype::A | Rtype::Aaaa => data.addresses.extend(chosen.record.address),
            // What is no name shows when the zone is settled: the service has no data then.
            Rtype::Cname => data.cname = text.parse().ok(),
            Rtype::Mx => data.mx.push(text),
            Rtype::Srv => data.srv.push(text),
            Rtype::Txt | Rtype::Spf => data.txt.push(text),
            Rtype::Ns | Rtype::Ptr => {}
        }
        Choice::One(Answer { data, check: None })
    }

    /// How many are answered at once.
    fn take(
        &mut self,
        at: &str,
        labels: &ByTarget<'a>,
        types: &[Rtype],
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
    ) -> u32 {
        let mut wanted: BTreeSet<u32> = BTreeSet::new();
        for (target, label) in labels {
            for rtype in types {
                let records = self.effective(labels, *target, *rtype, hosts);
                let most = match is_weighted(*rtype, records) {
                    true => self.most(Some(label), *rtype).min(count(records)),
                    false => count(records),
                };
                // One is one, however many could be.
                if most > 0 && count(records) > 1 {
                    wanted.insert(most);
                }
            }
        }
        let take = wanted.last().copied().unwrap_or(1).max(1);
        if wanted.len() > 1 {
            let what = format!("{wanted:?} records at once, for different types or clients");
            let why = format!("a route takes so many of all: {take}");
            let instead = "choose another take, or use several names";
            self.imported.findings.changed(at, &what, &why, instead);
        }
        take
    }

    fn most(&self, label: Option<&Label>, rtype: Rtype) -> u32 {
        match rtype {
            Rtype::Cname => 1,
            _ => label.and_then(|label| label.max_hosts).unwrap_or(self.raw.max_hosts).max(1),
        }
    }

    /// What clients of `target` get: their own records of this type, or those of a larger place.
    fn effective(
        &self,
        labels: &ByTarget<'a>,
        target: Target,
        rtype: Rtype,
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
    ) -> &'a [Record] {
        let larger = labels.keys().copied().filter(|other| *other >= target);
        larger
            .filter(|other| target.is_within(*other))
            .find_map(|other| self.own(labels, other, rtype, hosts))
            .unwrap_or_default()
    }

    fn own(
        &self,
        labels: &ByTarget<'a>,
        target: Target,
        rtype: Rtype,
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
    ) -> Option<&'a [Record]> {
        self.found(labels, target, hosts, 0).get(&rtype).copied()
    }

    /// The records of a label, or of what it is an alias of.
    fn found(
        &self,
        labels: &ByTarget<'a>,
        target: Target,
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
        depth: usize,
    ) -> BTreeMap<Rtype, &'a [Record]> {
        let Some(label) = labels.get(&target) else { return BTreeMap::new() };
        let own = |label: &'a Label| {
            let records = label.records.iter();
            records.map(|(rtype, records)| (*rtype, records.as_slice())).collect()
        };
        let Some(to) = label.alias.as_deref().filter(|_| depth < MAX_ALIASES) else {
            return own(label);
        };
        let Some(others) = hosts.get(to) else { return own(label) };
        let larger = others.keys().copied().filter(|other| target.is_within(*other));
        larger
            .map(|other| self.found(others, other, hosts, depth + 1))
            .find(|m| !m.is_empty())
            .unwrap_or_default()
    }

    fn alias(
        &mut self,
        host: &str,
        name: &Name,
        to: &str,
        hosts: &BTreeMap<&'a str, ByTarget<'a>>,
        fixed: &BTreeMap<&str, Vec<(u32, Rtype, String)>>,
    ) {
        let what = format!("the alias to {to:?}");
        let mut to = to;
        for _ in 0..MAX_ALIASES {
            let only = hosts.get(to).filter(|labels| labels.len() == 1);
            let label = only.and_then(|labels| labels.get(&Target::Global));
            match label.and_then(|label| label.alias.as_deref()) {
                Some(further) => to = further,
                None => break,
            }
        }
        let (Some(records), Some(target)) = (fixed.get(to), self.name(to)) else {
            let why = "there is no such label, or it leads back here";
            self.imported.findings.left_out(self.at(host), &what, why, "nothing: it has no answer");
            return;
        };
        for (ttl, rtype, data) in records.iter().filter(|(_, rtype, _)| *rtype != Rtype::Ns) {
            self.write(host, name, *ttl, *rtype, data);
        }
        let served = self.imported.services.iter().find(|service| service.name == target);
        let Some(Body::Own(own)) = served.map(|service| &service.body) else { return };
        let named = own.endpoints.iter().any(|endpoint| endpoint.data.cname.is_some());
        if named && name != self.apex {
            self.records.add(name, self.raw.ttl, "CNAME", &target.to_string());
            return;
        }
        let more = own.endpoints.iter().any(|endpoint| {
            let data = &endpoint.data;
            !(data.mx.is_empty() && data.srv.is_empty() && data.txt.is_empty())
        });
        if more {
            let why = "an alias answers addresses, not other types that are chosen";
            let instead = "write a service of its own";
            self.imported.findings.left_out(self.at(host), &what, why, instead);
        }
        let body = Body::Alias(target);
        self.imported.services.push(Service { name: name.clone(), body });
    }

    fn write(&mut self, host: &str, name: &Name, ttl: u32, rtype: Rtype, data: &str) {
        let shown = match rtype {
            Rtype::Spf => {
                let why = "the type SPF is not in use any more (RFC 7208 §3.1)";
                let what = "an SPF record, now TXT";
                self.imported.findings.note(self.at(host), what, why, "nothing");
                Rtype::Txt
            }
            other => other,
        };
        self.records.add(name, ttl, shown.text(), data);
    }

    /// Record data with absolute names.
    fn data(&self, rtype: Rtype, record: &Record) -> String {
        let relative = matches!(rtype, Rtype::Cname | Rtype::Srv) && !record.data.ends_with('.');
        match (relative, rtype) {
            (true, _) => super::absolute(&record.data, self.apex),
            (false, Rtype::Ptr) => format!("{}.", record.data.trim_end_matches('.')),
            (false, _) => record.data.clone(),
        }
    }

    fn name(&mut self, host: &str) -> Option<Name> {
        if host.is_empty() {
            return Some(self.apex.clone());
        }
        match Name::from_text(host, self.apex) {
            Ok(name) if !host.ends_with('.') => Some(name),
            _ => {
                let why = "it is no domain name within the zone";
                self.imported.findings.left_out(self.at(host), "the label", why, "correct it");
                None
            }
        }
    }

    /// A name that exists and has nothing. An apex without NS is told when the zone is settled.
    fn empty(&mut self, host: &str) {
        if host.is_empty() {
            return;
        }
        let why = "it has no records: geodns says so (NODATA), a master file has no such names";
        let instead = "give it a record, such as TXT, if NXDOMAIN is not the same to you";
        self.imported.findings.left_out(self.at(host), "the label", why, instead);
    }

    fn unknown(&mut self, host: &str, label: &Label) {
        for key in &label.unknown {
            let (why, instead) = match key.as_str() {
                "health" => (
                    "geodns reads states from files, which others write",
                    "give its endpoints a check, or run geoping beside the service and set ping",
                ),
                _ => ("geodns knows no such record type either", "remove it"),
            };
            self.imported.findings.left_out(self.at(host), key, why, instead);
        }
    }

    fn at(&self, host: &str) -> String {
        format!("{} label {host:?}", self.apex)
    }
}

/// Whether `max_hosts` counts ("Weighted records").
fn is_weighted(rtype: Rtype, records: &[Record]) -> bool {
    rtype.is_always_weighted() || records.iter().any(|record| record.weight > 0)
}

fn count(records: &[Record]) -> u32 {
    u32::try_from(records.len()).unwrap_or(u32::MAX)
}

/// Addresses to countries.
fn countries() -> Table {
    let mut builder = TableBuilder::new(ScopeCap::default());
    geo::builtin::load(&mut builder);
    builder.freeze()
}
