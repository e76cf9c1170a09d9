//! Random small zones against a model that walks down label by label as RFC 1034 §4.3.2 is
//! written, over plain lists and without an index.

use crate::resolve::show;
use dns::name::{LowerName, Name};
use dns::resolve::{MAX_CHAIN, Resolution};
use dns::rr::{Rtype, Ttl};
use dns::zone::{Record, ServiceId, ServiceNode, ZoneData, Zones};
use proptest::prelude::*;

/// The zones' apexes: one inside another, one far below, one beside them, one inside the second.
pub(crate) const APEXES: [&str; 5] = ["z.", "a.z.", "b.a.b.z.", "y.", "c.a.z."];

/// A record or service before it is known whether it may stand there.
#[derive(Clone, Debug)]
pub(crate) enum Seed {
    Record { zone: usize, owner: String, rtype: Rtype, target: String },
    Service { owner: String },
}

pub(crate) fn any_owner() -> impl Strategy<Value = String> {
    let label = prop::sample::select(vec!["a", "b", "c", "*"]);
    (prop::collection::vec(label, 0..4), prop::sample::select(vec!["z.", "z.", "y."])).prop_map(
        |(labels, zone)| labels.iter().map(|label| format!("{label}.")).collect::<String>() + zone,
    )
}

pub(crate) fn any_seed() -> impl Strategy<Value = Seed> {
    let rtype = prop::sample::select(vec![
        Rtype::A,
        Rtype::A,
        Rtype::TXT,
        Rtype::CNAME,
        Rtype::CNAME,
        Rtype::NS,
        Rtype::DNAME,
        Rtype::DS,
    ]);
    prop_oneof![
        9 => (0..APEXES.len(), any_owner(), rtype, any_owner()).prop_map(
            |(zone, owner, rtype, target)| Seed::Record { zone, owner, rtype, target }
        ),
        1 => any_owner().prop_map(|owner| Seed::Service { owner }),
    ]
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn record(owner: &str, rtype: Rtype, target: &str) -> Record {
    let rdata = match rtype {
        Rtype::A => vec![192, 0, 2, 1],
        Rtype::TXT => b"\x01x".to_vec(),
        Rtype::DS => vec![0; 36],
        Rtype::SOA => [name("ns.net.").wire(), name("h.net.").wire(), &[0; 20]].concat(),
        _ => name(target).wire().to_vec(),
    };
    let ttl = Ttl::from_secs(300);
    Record { owner: name(owner), rtype, ttl, rdata: rdata.into(), position: None }
}

/// The zones and services that the seeds make; seeds that may not stand are left out.
pub(crate) struct World {
    pub(crate) zones: Vec<ZoneData>,
    pub(crate) services: Vec<ServiceNode>,
    pub(crate) frozen: Zones,
}

impl World {
    pub(crate) fn grow(seeds: &[Seed], count: usize) -> World {
        let mut sets: Vec<Vec<Record>> = (APEXES[..count].iter())
            .map(|apex| vec![record(apex, Rtype::SOA, ""), record(apex, Rtype::NS, "ns.net.")])
            .collect();
        let mut services: Vec<ServiceNode> = Vec::new();
        let build = |sets: &[Vec<Record>]| -> Option<Vec<ZoneData>> {
            let pairs = APEXES.iter().zip(sets);
            pairs.map(|(apex, set)| ZoneData::new(name(apex), set.clone()).ok()).collect()
        };
        for seed in seeds {
            match seed {
                Seed::Record { zone, owner, rtype, target } => {
                    let Some(set) = sets.get_mut(zone % count) else { continue };
                    set.push(record(owner, *rtype, target));
                    if build(&sets)
                        .is_none_or(|zones| Zones::freeze(&zones, &services, [0; 2]).is_err())
                    {
                        sets[zone % count].pop();
                    }
                }
                Seed::Service { owner } => {
                    let id = ServiceId(services.len() as u32);
                    services.push(ServiceNode { name: name(owner), id, types: vec![Rtype::A] });
                    let zones = build(&sets).unwrap();
                    if Zones::freeze(&zones, &services, [0; 2]).is_err() {
                        services.pop();
                    }
                }
            }
        }
        let zones = build(&sets).unwrap();
        let frozen = Zones::freeze(&zones, &services, [9, 9]).unwrap();
        World { zones, services, frozen }
    }

    /// The apex of the zone that has `name`.
    pub(crate) fn home(&self, name: &Name) -> Option<Name> {
        let zones = self.zones.iter().map(ZoneData::apex);
        zones
            .filter(|apex| name.is_subdomain_of(apex))
            .max_by_key(|apex| apex.label_count())
            .cloned()
    }

    fn found(&self, question: &Name, qtype: Rtype) -> Vec<String> {
        let mut found = Resolution::new();
        self.frozen.resolve(&LowerName::from(question), qtype, &mut found);
        let mut lines = vec![format!("{} {}", found.rcode(), found.authoritative())];
        lines.extend(found.answer().map(show));
        lines.extend(found.authority().map(|entry| format!("ns {}", show(entry))));
        let mut glue: Vec<_> = found.additional().map(|(_, entry)| show(entry)).collect();
        glue.sort();
        glue.dedup();
        lines.extend(glue);
        lines
    }

    /// What the model says.
    fn expected(&self, question: &Name, qtype: Rtype) -> Vec<String> {
        let mut state =
            Model { world: self, qtype, answer: Vec::new(), rest: Vec::new(), owners: Vec::new() };
        let mut rcode = state.name(question, true);
        if rcode == "REFUSED" && !state.answer.is_empty() {
            rcode = "NOERROR";
        }
        let referral =
            state.answer.is_empty() && state.rest.iter().any(|line| line.contains(" NS "));
        let authoritative = rcode != "REFUSED" && !referral;
        let mut lines = vec![format!("{rcode} {authoritative}")];
        lines.extend(state.answer);
        lines.extend(state.rest);
        lines
    }
}

struct Model<'a> {
    world: &'a World,
    qtype: Rtype,
    answer: Vec<String>,
    rest: Vec<String>,
    /// Names of the chain that own an answer.
    owners: Vec<Name>,
}

impl Model<'_> {
    /// The zone with the longest apex above `name`; for DS rather the one above an apex.
    fn zone(&self, name: &Name) -> Option<&ZoneData> {
        let above = |name: &Name| {
            let zones = self.world.zones.iter().filter(|zone| name.is_subdomain_of(zone.apex()));
            zones.max_by_key(|zone| zone.apex().label_count())
        };
        let zone = above(name)?;
        if self.qtype == Rtype::DS
            && zone.apex() == name
            && let Some(parent) = name.parent().and_then(|parent| above(&parent))
            && self.cut(parent, &name.parent().unwrap()).is_none()
            && self.dname(parent, name).is_none()
        {
            return Some(parent);
        }
        Some(zone)
    }

    fn at(&self, zone: &ZoneData, name: &Name, rtype: Rtype) -> Vec<Record> {
        let records = zone.records().iter();
        records.filter(|record| record.owner == *name && record.rtype == rtype).cloned().collect()
    }

    /// The names from just below the apex down to `name`.
    fn path(zone: &ZoneData, name: &Name) -> Vec<Name> {
        let mut path = vec![name.clone()];
        while path.last().is_some_and(|last| last != zone.apex()) {
            let parent = path.last().unwrap().parent().unwrap();
            path.push(parent);
        }
        path.pop();
        path.reverse();
        path
    }

    fn cut(&self, zone: &ZoneData, name: &Name) -> Option<Name> {
        Self::path(zone, name).into_iter().find(|at| !self.at(zone, at, Rtype::NS).is_empty())
    }

    fn dname(&self, zone: &ZoneData, name: &Name) -> Option<Name> {
        let above = name.parent()?;
        let mut path = vec![zone.apex().clone()];
        if above.is_subdomain_of(zone.apex()) {
            path.extend(Self::path(zone, &above));
        } else {
            return None;
        }
        path.into_iter().find(|at| !self.at(zone, at, Rtype::DNAME).is_empty())
    }

    fn home(&self, name: &Name) -> Option<Name> {
        self.world.home(name)
    }

    /// Whether something of this zone stands at or below `name`, also where another zone of ours
    /// hides it.
    fn exists(&self, zone: &ZoneData, name: &Name) -> bool {
        let is_service = |owner: &Name| {
            owner.is_subdomain_of(name) && self.home(owner).as_ref() == Some(zone.apex())
        };
        zone.records().iter().any(|record| record.owner.is_subdomain_of(name))
            || self.world.services.iter().any(|service| is_service(&service.name))
    }

    fn owner_text(name: &Name, first: bool) -> String {
        if first { "?".to_owned() } else { name.to_string() }
    }

    fn name(&mut self, name: &Name, first: bool) -> &'static str {
        if self.owners.contains(name) || self.owners.len() == MAX_CHAIN {
            return "NOERROR";
        }
        let Some(zone) = self.zone(name).cloned() else { return "REFUSED" };
        let soa = format!("ns {} 0 SOA ns.net.", zone.apex());
        if let Some(cut) = self.cut(&zone, name)
            && !(self.qtype == Rtype::DS && cut == *name)
        {
            self.refer(&zone, &cut);
            return "NOERROR";
        }
        if let Some(dname) = self.dname(&zone, name) {
            return self.redirect(&zone, &dname, name, first);
        }
        let owner = Self::owner_text(name, first);
        if self.home(name).as_ref() != Some(zone.apex()) {
            // DS above the apex of a zone of ours: of the parent's data there it is all we see.
            let records = self.at(&zone, name, Rtype::DS);
            match records.is_empty() {
                true => self.rest.push(soa),
                false => self.put(&owner, &records),
            }
            return "NOERROR";
        }
        let mut stand_in = name.clone();
        if !self.exists(&zone, name) {
            let mut encloser = name.parent().unwrap();
            while !self.exists(&zone, &encloser) {
                encloser = encloser.parent().unwrap();
            }
            stand_in = encloser.wildcard().unwrap();
            if !self.exists(&zone, &stand_in) {
                self.rest.push(soa);
                let mut zones = self.world.zones.iter();
                let above_a_zone = zones.any(|other| other.apex().is_subdomain_of(name));
                return if above_a_zone { "NOERROR" } else { "NXDOMAIN" };
            }
        }
        let service = self.world.services.iter().find(|service| service.name == stand_in);
        if let Some(service) = service.filter(|_| self.qtype == Rtype::A) {
            self.answer.push(format!("{owner} A service {}", service.id.0));
            return "NOERROR";
        }
        let records = self.at(&zone, &stand_in, self.qtype);
        if !records.is_empty() {
            self.put(&owner, &records);
            if self.qtype == Rtype::NS {
                self.addresses(&records, false);
            }
            return "NOERROR";
        }
        let cname = self.at(&zone, &stand_in, Rtype::CNAME);
        if cname.is_empty() {
            self.rest.push(soa);
            return "NOERROR";
        }
        self.put(&owner, &cname);
        self.owners.push(name.clone());
        let target = Name::from_wire(&cname[0].rdata).unwrap();
        match self.name(&target, false) {
            "REFUSED" => "NOERROR",
            rcode => rcode,
        }
    }

    fn refer(&mut self, zone: &ZoneData, cut: &Name) {
        let records = self.at(zone, cut, Rtype::NS);
        let mut line = format!("ns {cut} 300 NS");
        for record in &records {
            line += &format!(" {}", Name::from_wire(&record.rdata).unwrap());
        }
        self.rest.push(line);
        self.addresses(&records, true);
    }

    /// Addresses of name servers: of our own data, and below a cut too if this is a referral.
    fn addresses(&mut self, servers: &[Record], referral: bool) {
        let mut found = Vec::new();
        for server in servers {
            let target = Name::from_wire(&server.rdata).unwrap();
            let Some(home) = self.home(&target) else { continue };
            let zone = self.world.zones.iter().find(|zone| *zone.apex() == home).unwrap();
            if !referral && self.cut(zone, &target).is_some() {
                continue;
            }
            if !self.at(zone, &target, Rtype::A).is_empty() {
                found.push(format!("{target} 300 A 192.0.2.1"));
            }
            let service = self.world.services.iter().find(|service| service.name == target);
            if let Some(service) = service.filter(|_| !referral) {
                found.push(format!("{target} A service {}", service.id.0));
            }
        }
        found.sort();
        found.dedup();
        self.rest.extend(found);
    }

    fn redirect(
        &mut self,
        zone: &ZoneData,
        dname: &Name,
        name: &Name,
        first: bool,
    ) -> &'static str {
        let records = self.at(zone, dname, Rtype::DNAME);
        let target = Name::from_wire(&records[0].rdata).unwrap();
        let line = format!("{dname} 300 DNAME {target}");
        if !self.answer.contains(&line) {
            self.answer.push(line);
        }
        let keep = name.wire().len() - dname.wire().len();
        let wire = [&name.wire()[..keep], target.wire()].concat();
        let Ok(made) = Name::from_wire(&wire) else { return "YXDOMAIN" };
        self.answer.push(format!("{} 300 CNAME made {made}", Self::owner_text(name, first)));
        self.owners.push(name.clone());
        if self.qtype == Rtype::CNAME {
            return "NOERROR";
        }
        match self.name(&made, false) {
            "REFUSED" => "NOERROR",
            rcode => rcode,
        }
    }

    fn put(&mut self, owner: &str, records: &[Record]) {
        let data: Vec<String> = records
            .iter()
            .map(|record| match record.rtype {
                Rtype::A => "192.0.2.1".to_owned(),
                Rtype::TXT => "x".to_owned(),
                Rtype::DS => "36 octets".to_owned(),
                _ => dns::name::NameRef::parse(&record.rdata).unwrap().to_string(),
            })
            .collect();
        let first = &records[0];
        self.answer.push(format!("{owner} {} {} {}", first.ttl, first.rtype, data.join(" ")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_random_zone_answers_as_the_model_does(
        seeds in prop::collection::vec(any_seed(), 0..16),
        count in 1..=APEXES.len(),
        questions in prop::collection::vec(any_owner(), 12),
    ) {
        let world = World::grow(&seeds, count);
        for question in &questions {
            for qtype in [Rtype::A, Rtype::TXT, Rtype::CNAME, Rtype::NS, Rtype::DS, Rtype::DNAME] {
                let question = name(question);
                prop_assert_eq!(
                    world.found(&question, qtype),
                    world.expected(&question, qtype),
                    "{} {}\n{:#?}\n{:?}", question, qtype,
                    world.zones.iter().flat_map(ZoneData::records)
                        .map(|record| format!("{} {} {:?}", record.owner, record.rtype,
                            String::from_utf8_lossy(&record.rdata))).collect::<Vec<_>>(),
                    world.services
                );
            }
        }
    }
}
