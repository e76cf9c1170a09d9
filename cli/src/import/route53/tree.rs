//! Record sets of one name as a choice; aliases to other records of the zone are put in their place,
//! as in the developer guide's "complex configurations".

use std::collections::{BTreeMap, BTreeSet};

use dns::name::Name;
use geo::{Continent, Country, Point};
use ipnet::IpNet;

use super::Sets;
use super::health::Checks;
use super::raw::{AliasTarget, CidrBlock, RecordSet};
use super::text;
use crate::import::choice::{Answer, Choice, MAX_FOLLOWED, Order, Place, PlaceRule};
use crate::import::service::{self, Check, Data};
use crate::import::{Imported, networks};

/// Aliases to aliases; Amazon's own trees are seldom over three deep.
const MAX_DEPTH: usize = 8;
/// "Multivalue answer routing": up to eight healthy records.
const MULTIVALUE: u32 = 8;
/// What stands for clients that no other rule is for.
const DEFAULT: &str = "*";

/// Which policy a set of records is under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policy {
    Simple,
    Weighted,
    Latency,
    Geolocation,
    Geoproximity,
    Failover,
    Multivalue,
    Cidr,
}

/// What choices are made from.
pub(super) struct Tree<'a> {
    pub(super) sets: &'a Sets,
    pub(super) checks: &'a Checks,
    pub(super) blocks: &'a [CidrBlock],
    pub(super) imported: &'a mut Imported,
    /// Aliases that may still be followed.
    pub(super) room: usize,
}

/// The shortest TTL, which is what all of a group should have.
pub(super) fn ttl(types: &BTreeMap<String, Vec<RecordSet>>, of: &BTreeSet<String>) -> u32 {
    let sets = of.iter().filter_map(|rtype| types.get(rtype)).flatten();
    sets.map(RecordSet::ttl).min().unwrap_or(super::ALIAS_TTL)
}

/// Sets of several types that belong together: the same identifier under the same policy.
struct Joint<'a> {
    sets: Vec<&'a RecordSet>,
}

impl Joint<'_> {
    fn first(&self) -> &RecordSet {
        self.sets[0]
    }
}

impl Tree<'_> {
    /// The choice among the records of these types.
    pub(super) fn choice(
        &mut self,
        name: &Name,
        types: &BTreeSet<String>,
        depth: usize,
    ) -> Option<Choice> {
        let sets = self.sets;
        let all = sets.get(name)?;
        let mut policy = None;
        let mut joints: Vec<Joint<'_>> = Vec::new();
        for rtype in types {
            for set in all.get(rtype).into_iter().flatten() {
                set.unknown(&mut self.imported.findings);
                let own = policy_of(set);
                if *policy.get_or_insert(own) != own {
                    let what = format!("{own:?} of {rtype}");
                    let why = "all types of a name go down one route";
                    let instead = "make the policies of all types the same, or use another name";
                    self.imported.findings.left_out(set.at(), &what, why, instead);
                    continue;
                }
                match joints.iter_mut().find(|joint| alike(joint.first(), set)) {
                    Some(joint) => joint.sets.push(set),
                    None => joints.push(Joint { sets: vec![set] }),
                }
            }
        }
        match policy? {
            Policy::Simple => self.inner(joints.first()?, depth),
            Policy::Weighted => {
                let of = self.each(&joints, depth, |set| set.weight.unwrap_or(0));
                Some(Choice::Weighted { of, take: 1 })
            }
            Policy::Failover => {
                let mut of = self.each(&joints, depth, |set| {
                    set.failover.clone().unwrap_or_default().to_ascii_lowercase()
                });
                // "primary" before "secondary".
                of.sort_by(|(a, _), (b, _)| a.cmp(b));
                Some(Choice::Failover(of))
            }
            Policy::Multivalue => {
                let of = self.each(&joints, depth, |_| ());
                let of = of.into_iter().filter_map(|((), choice)| match choice {
                    Choice::One(answer) => Some(answer),
                    _ => None,
                });
                Some(Choice::All { of: of.collect(), least_up: 1, most: MULTIVALUE })
            }
            Policy::Latency => Some(self.latency(&joints, depth)),
            Policy::Geoproximity => Some(self.proximity(&joints, depth)),
            Policy::Geolocation => Some(self.location(&joints, depth)),
            Policy::Cidr => Some(self.cidr(&joints, depth)),
        }
    }

    fn each<K>(
        &mut self,
        joints: &[Joint<'_>],
        depth: usize,
        key: impl Fn(&RecordSet) -> K,
    ) -> Vec<(K, Choice)> {
        let each = |joint| Some((key(Joint::first(joint)), self.inner(joint, depth)?));
        joints.iter().filter_map(each).collect()
    }

    /// What one set answers: its values, other records of the zone, or something of Amazon's.
    fn inner(&mut self, joint: &Joint<'_>, depth: usize) -> Option<Choice> {
        let mut answer = Answer::default();
        let mut aliased: Option<(Name, Choice)> = None;
        for set in &joint.sets {
            let Some(target) = &set.alias_target else {
                let data = self.data(set);
                let check = self.check(set, &data);
                if !answer.data.is_empty() && !answer.is_checked_like(check.as_ref()) {
                    let what = match &set.health_check_id {
                        Some(id) => format!("the health check {id}"),
                        None => "having no health check".to_owned(),
                    };
                    let why = "an endpoint has one check, and that of another type is taken";
                    let instead = "give all types the same, or make a name for each type";
                    self.imported.findings.changed(set.at(), &what, why, instead);
                }
                answer.check = answer.check.take().or(check);
                answer.data.join(data);
                continue;
            };
            let to = match text::name(&target.dns_name) {
                Ok(to) => to,
                Err(why) => {
                    self.imported.findings.left_out(
                        set.at(),
                        "the alias",
                        &why,
                        "write it yourself",
                    );
                    continue;
                }
            };
            let followed = aliased.as_ref().map(|(other, _)| other).or(answer.data.cname.as_ref());
            if let Some(other) = followed {
                // The AAAA of an alias whose A was followed, with both types.
                if *other != to {
                    let what = format!("the alias to {to}");
                    let why = format!("that of another type leads to {other}");
                    let instead = "let all types lead to the same name";
                    self.imported.findings.left_out(set.at(), &what, &why, instead);
                }
                continue;
            }
            if self.sets.contains_key(&to) && self.room == 0 {
                let what = format!("the alias to {to}");
                let why = format!("over {MAX_FOLLOWED} aliases are behind the name");
                let instead = "point to records sooner";
                self.imported.findings.left_out(set.at(), &what, &why, instead);
            } else if self.sets.contains_key(&to) && depth < MAX_DEPTH {
                self.room -= 1;
                let types = joint.sets.iter().map(|set| set.rtype.clone()).collect();
                let choice = self.choice(&to, &types, depth + 1);
                aliased = choice.map(|choice| (to, self.healthy_with(set, target, choice)));
            } else if self.sets.contains_key(&to) {
                let what = format!("the alias to {to}");
                let why = "aliases lead to aliases over eight deep";
                self.imported.findings.left_out(set.at(), &what, why, "point to records sooner");
            } else {
                let what = format!("the alias to {to}");
                let why = "it is a CNAME now; its health is not looked at";
                let instead = "write a check, or give the addresses behind it";
                self.imported.findings.changed(set.at(), &what, why, instead);
                answer.data.cname = Some(to);
                answer.check = answer.check.take().or_else(|| self.check(set, &Data::default()));
            }
        }
        if let Some((to, _)) = &aliased
            && !answer.data.is_empty()
        {
            let why =
                format!("a set of another type is an alias to {to}, and they are one endpoint");
            let instead = "make both aliases, or make a name for each type";
            let at = joint.first().at();
            self.imported.findings.left_out(at, &answer.data.to_string(), &why, instead);
        }
        let own = || (!answer.data.is_empty()).then_some(Choice::One(answer));
        aliased.map(|(_, choice)| choice).or_else(own)
    }

    /// What a set is checked with.
    fn check(&mut self, set: &RecordSet, data: &Data) -> Option<Check> {
        let id = set.health_check_id.as_ref()?;
        self.checks.of(id, &data.addresses, &set.at(), self.imported)
    }

    /// What an alias leads to, with the alias's own say about its health.
    fn healthy_with(
        &mut self,
        set: &RecordSet,
        target: &AliasTarget,
        mut choice: Choice,
    ) -> Choice {
        if !target.evaluate_target_health && choice.is_checked() {
            let what = "EvaluateTargetHealth = false";
            let why = "records behind the alias are left out while their own checks fail";
            let instead = "compare with what you want when all of them are down";
            self.imported.findings.changed(set.at(), what, why, instead);
        }
        match (&mut choice, &set.health_check_id) {
            (_, None) => {}
            (Choice::One(answer), Some(_)) if answer.check.is_none() => {
                answer.check = self.check(set, &answer.data);
            }
            (_, Some(id)) => {
                let what = format!("the health check {id}");
                let why = "it is the alias's, and what that leads to has checks of its own";
                let instead = "check the records that the alias leads to";
                self.imported.findings.left_out(set.at(), &what, why, instead);
            }
        }
        choice
    }

    fn data(&mut self, set: &RecordSet) -> Data {
        let mut data = Data::default();
        for value in set.values() {
            let value = text::escapes(value);
            match set.rtype.as_str() {
                "A" | "AAAA" => match value.trim().parse() {
                    Ok(address) => data.addresses.push(address),
                    Err(_) => self.wrong(set, &value),
                },
                "CNAME" => match text::name(&value) {
                    Ok(name) => data.cname = Some(name),
                    Err(_) => self.wrong(set, &value),
                },
                "MX" => data.mx.push(from_the_root(value)),
                "SRV" => data.srv.push(from_the_root(value)),
                "TXT" => data.txt.push(value),
                other => {
                    let what = format!("{value:?}");
                    let why = format!("{other} records are never chosen by a policy");
                    let instead = "write the records of one of the sets into the zone file";
                    self.imported.findings.left_out(set.at(), &what, &why, instead);
                }
            }
        }
        data
    }

    fn wrong(&mut self, set: &RecordSet, value: &str) {
        let what = format!("{value:?}");
        let why = "it is no data of this type";
        self.imported.findings.left_out(set.at(), &what, why, "correct it");
    }

    fn latency(&mut self, joints: &[Joint<'_>], depth: usize) -> Choice {
        let what = "latency records";
        let why = "regions are ranked by distance, not by Amazon's measurements of latency";
        let instead = "compare with `geoip explain --client`; bias moves a region's border";
        self.imported.findings.changed("Region", what, why, instead);
        let of = self.each(joints, depth, |set| set.region.clone().unwrap_or_default());
        let of =
            of.into_iter().map(|(region, choice)| (self.imported.regions.named(&region), choice));
        Choice::Place(Place { of: of.collect(), take: 1, ..Place::default() })
    }

    fn proximity(&mut self, joints: &[Joint<'_>], depth: usize) -> Choice {
        let mut place = Place { take: 1, ..Place::default() };
        for joint in joints {
            let set = joint.first();
            let Some(at) = &set.geo_proximity_location else { continue };
            let Some(choice) = self.inner(joint, depth) else { continue };
            let regions = &mut self.imported.regions;
            let region = match (&at.aws_region, &at.coordinates, &at.local_zone_group) {
                (Some(region), ..) => regions.named(region),
                (None, Some(at), _) => {
                    let id = set.set_identifier.as_deref().unwrap_or_default();
                    let degrees = (at.latitude.trim().parse(), at.longitude.trim().parse());
                    match degrees {
                        (Ok(lat), Ok(lon))
                            if Point::new(lat, lon).is_ok_and(|point| {
                                regions.at(id, point);
                                true
                            }) =>
                        {
                            id.to_owned()
                        }
                        _ => regions.named(id),
                    }
                }
                (None, None, group) => regions.named(group.as_deref().unwrap_or("unplaced")),
            };
            if let Some(bias) = at.bias.filter(|bias| *bias != 0) {
                place.bias.insert(region.clone(), bias);
            }
            place.of.push((region, choice));
        }
        Choice::Place(place)
    }

    fn location(&mut self, joints: &[Joint<'_>], depth: usize) -> Choice {
        let mut countries = Vec::new();
        let mut continents = Vec::new();
        let mut default = None;
        let mut place = Place { take: 1, ..Place::default() };
        for joint in joints {
            let set = joint.first();
            let Some(at) = &set.geo_location else { continue };
            if let Some(subdivision) = &at.subdivision_code {
                let what = format!("the subdivision {subdivision}");
                let why = "clients are told apart by continent, country, ASN and network";
                let instead = "add the networks of that place to the rule; its clients are answered \
                               as their country is";
                self.imported.findings.left_out(set.at(), &what, why, instead);
                continue;
            }
            let Some(choice) = self.inner(joint, depth) else { continue };
            let region = match (at.country_code.as_deref(), at.continent_code.as_deref()) {
                (Some(DEFAULT), _) => {
                    let region = "for-all".to_owned();
                    default = Some(region.clone());
                    region
                }
                (Some(code), _) => {
                    let country = code.parse::<Country>().ok();
                    let named =
                        country.and_then(|country| Some((country, service::country(country)?)));
                    let Some((country, clients)) = named else {
                        self.nowhere(set, code);
                        continue;
                    };
                    let region = format!("for-{country}");
                    countries.push((country, clients, region.clone()));
                    region
                }
                (None, code) => {
                    let Some(continent) = code.and_then(|code| code.parse::<Continent>().ok())
                    else {
                        self.nowhere(set, code.unwrap_or_default());
                        continue;
                    };
                    let region = format!("for-continent-{continent}");
                    continents.push((continent, region.clone()));
                    region
                }
            };
            place.of.push((self.imported.regions.named(&region), choice));
        }
        // "If a record is unhealthy": the larger place is next, and at last the default.
        for (country, clients, region) in countries {
            let larger = continents.iter().filter(|(code, _)| Some(*code) == country.continent());
            let order = std::iter::once(region)
                .chain(larger.map(|(_, region)| region.clone()))
                .chain(default.clone());
            let order = Order::Only(order.collect());
            place.rules.push(PlaceRule { clients: vec![clients], order });
        }
        for (continent, region) in continents {
            let order = Order::Only(std::iter::once(region).chain(default.clone()).collect());
            place.rules.push(PlaceRule { clients: vec![service::continent(continent)], order });
        }
        self.otherwise(&mut place, default, joints);
        Choice::Place(place)
    }

    fn nowhere(&mut self, set: &RecordSet, code: &str) {
        let what = format!("the place {code:?}");
        let why = "it is neither a country (ISO 3166-1) nor a continent";
        self.imported.findings.left_out(set.at(), &what, why, "write a rule of your own");
    }

    fn cidr(&mut self, joints: &[Joint<'_>], depth: usize) -> Choice {
        let mut place = Place { take: 1, ..Place::default() };
        let mut default = None;
        let mut nets: Vec<(IpNet, String)> = Vec::new();
        for joint in joints {
            let set = joint.first();
            let Some(config) = &set.cidr_routing_config else { continue };
            let Some(choice) = self.inner(joint, depth) else { continue };
            let location = config.location_name.as_str();
            let region = match location {
                DEFAULT => "for-all".to_owned(),
                location => format!("cidr-{location}"),
            };
            let region = self.imported.regions.named(&region);
            if location == DEFAULT {
                default = Some(region.clone());
            } else {
                let own = self.blocks.iter().filter(|block| block.location_name == location);
                let own: Vec<IpNet> =
                    own.filter_map(|block| block.cidr_block.parse().ok()).collect();
                if own.is_empty() {
                    let what = format!("the networks of the location {location:?}");
                    let why = "they are not among what was imported";
                    let instead = "add the output of `aws route53 list-cidr-blocks`";
                    self.imported.findings.left_out(set.at(), &what, why, instead);
                    continue;
                }
                nets.extend(own.into_iter().map(|net| (net, region.clone())));
            }
            place.of.push((region, choice));
        }
        for (nets, region) in networks::rules(nets) {
            let order = std::iter::once(region).chain(default.clone());
            place.rules.push(PlaceRule {
                clients: nets.iter().map(IpNet::to_string).collect(),
                order: Order::Only(order.collect()),
            });
        }
        self.otherwise(&mut place, default, joints);
        Choice::Place(place)
    }

    /// The rule for everybody else.
    fn otherwise(&mut self, place: &mut Place, default: Option<String>, joints: &[Joint<'_>]) {
        if default.is_none()
            && let Some(joint) = joints.first()
        {
            let what = "no default: no answer for clients elsewhere";
            let why = "clients that may have nothing are answered REFUSED, not NODATA";
            let instead = "add a default, or give them an address with refuse = [\"…\"]";
            let at = format!("{} {}", joint.first().name, joint.first().rtype);
            self.imported.findings.changed(at, what, why, instead);
        }
        let order = Order::Only(default.into_iter().collect());
        place.rules.push(PlaceRule { clients: vec!["all".to_owned()], order });
    }
}

fn policy_of(set: &RecordSet) -> Policy {
    match set {
        _ if set.weight.is_some() => Policy::Weighted,
        _ if set.region.is_some() => Policy::Latency,
        _ if set.geo_location.is_some() => Policy::Geolocation,
        _ if set.geo_proximity_location.is_some() => Policy::Geoproximity,
        _ if set.failover.is_some() => Policy::Failover,
        _ if set.cidr_routing_config.is_some() => Policy::Cidr,
        _ if set.multi_value_answer == Some(true) => Policy::Multivalue,
        _ => Policy::Simple,
    }
}

/// Whether two sets of different types are chosen together.
fn alike(a: &RecordSet, b: &RecordSet) -> bool {
    a.rtype != b.rtype
        && a.set_identifier == b.set_identifier
        && a.weight == b.weight
        && a.region == b.region
        && a.geo_location == b.geo_location
        && a.geo_proximity_location == b.geo_proximity_location
        && a.failover == b.failover
        && a.cidr_routing_config == b.cidr_routing_config
}

/// Route 53 reads the name at the end of a value from the root, with a dot behind it or without.
fn from_the_root(value: String) -> String {
    if value.ends_with('.') { value } else { value + "." }
}
