//! The whole decision for one client, in words: made by [`Policy::choose`], the code that answers,
//! with an observer looking over its shoulder.

use std::net::IpAddr;

use dns::name::Name;
use geo::{Country, Kilometres, Point, Source};
use ipnet::IpNet;

use crate::client::{Asker, truncate};
use crate::plan::Snapshot;
use crate::policy::{Candidate, Family, Health, Observer, Policy};
use crate::service::Step;

/// Why a client gets what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Where the client is taken to be.
    pub place: Place,
    /// One per family asked about.
    pub decisions: Vec<Decision>,
}

/// Where a client is taken to be, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The leaf of the address table.
    pub prefix: IpNet,
    /// Who says so.
    pub source: Source,
    /// The country, if known.
    pub country: Option<Country>,
    /// What distances are measured from; none: the order as written counts.
    pub point: Option<Point>,
}

/// One family's way through the route.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// A or AAAA.
    pub family: Family,
    /// In the order of the route.
    pub steps: Vec<Seen>,
    /// The answer.
    pub addresses: Vec<IpAddr>,
    /// Seconds.
    pub ttl: u32,
    /// That goes with it.
    pub scope: u8,
    /// Nothing healthy was left: decided as if all were up.
    pub fail_open: bool,
}

/// What one step did.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The step.
    pub step: Step,
    /// Every candidate it was given, in the order it left them, dropped ones last.
    pub candidates: Vec<Considered>,
}

/// What one step did to one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Considered {
    /// Its region.
    pub region: String,
    /// Of the family.
    pub addresses: Vec<IpAddr>,
    /// Whether it went on to the next step.
    pub kept: bool,
    /// With the figure that decided.
    pub reason: String,
    /// To the client's place.
    pub distance: Option<Kilometres>,
    /// As configured.
    pub weight: u32,
    /// Of its addresses, in words.
    pub health: String,
}

/// Explains a service's answer to `client` at `now` (seconds since 1970).
pub fn explain(
    snapshot: &Snapshot,
    policy: &Policy,
    client: IpAddr,
    families: &[Family],
    now: u64,
) -> Explanation {
    let geo = &snapshot.inputs.geo;
    let asker = Asker::of_query(geo, client, Some((client, 1)));
    let known = geo.table.place(asker.hit.place);
    let prefix = IpNet::new(truncate(asker.address, asker.hit.scope), asker.hit.scope);
    let place = Place {
        prefix: prefix.unwrap_or_else(|_| IpNet::from(asker.address)),
        source: asker.hit.source,
        country: known.country,
        point: known.point(),
    };
    let decisions = families
        .iter()
        .filter(|family| policy.has(**family))
        .map(|family| {
            let view = View { snapshot, policy, family: *family, from: place.point };
            view.decide(&asker, now)
        })
        .collect();
    Explanation { place, decisions }
}

/// The service called `name`, if there is one.
pub fn find<'a>(snapshot: &'a Snapshot, name: &Name) -> Option<&'a Policy> {
    let services = &snapshot.inputs.services.services;
    services.iter().find(|(owner, _)| owner == name).map(|(_, policy)| policy)
}

/// What a recorder needs to put candidates into words.
struct View<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    family: Family,
    from: Option<Point>,
}

struct Recorder<'a> {
    view: &'a View<'a>,
    seen: Vec<Seen>,
    fail_open: bool,
}

impl Observer for Recorder<'_> {
    fn step(&mut self, step: Step, before: &[Candidate], after: &[Candidate]) {
        let candidates = self.view.considered(step, before, after, self.fail_open);
        self.seen.push(Seen { step, candidates });
    }

    fn restart(&mut self) {
        self.seen.clear();
        self.fail_open = true;
    }
}

impl View<'_> {
    fn decide(&self, asker: &Asker, now: u64) -> Decision {
        let geo = &self.snapshot.inputs.geo;
        let health = &self.snapshot.health;
        let client = asker.client(geo, self.policy, now, 0);
        let mut recorder = Recorder { view: self, seen: Vec::new(), fail_open: false };
        let choice = self.policy.choose(self.family, &client, health, &mut recorder);
        Decision {
            family: self.family,
            steps: recorder.seen,
            addresses: self.policy.addresses(self.family, &choice, health).map(|a| a.ip).collect(),
            ttl: self.policy.ttl(),
            scope: asker.scope(self.policy, self.family, &client),
            fail_open: choice.fail_open,
        }
    }

    fn considered(
        &self,
        step: Step,
        before: &[Candidate],
        after: &[Candidate],
        fail_open: bool,
    ) -> Vec<Considered> {
        let dropped = before.iter().filter(|b| !after.iter().any(|a| a.endpoint == b.endpoint));
        let kept = after.iter().map(|candidate| (candidate, true));
        kept.chain(dropped.map(|candidate| (candidate, false)))
            .enumerate()
            .map(|(rank, (candidate, kept))| {
                let addresses = self.policy.endpoint_addresses(self.family, candidate.endpoint);
                let location = self.policy.location(candidate.endpoint);
                let location = &self.snapshot.inputs.services.locations[location as usize];
                let distance = self.from.map(|from| from.distance(&location.point));
                let weight = self.policy.weight(candidate.endpoint);
                let health = self.health(candidate.endpoint);
                Considered {
                    reason: reason(step, kept, fail_open, rank, distance, weight, &health),
                    region: location.region.clone(),
                    addresses: addresses.iter().map(|address| address.ip).collect(),
                    kept,
                    distance,
                    weight,
                    health,
                }
            })
            .collect()
    }

    /// One word when all addresses agree, else one per address.
    fn health(&self, endpoint: u8) -> String {
        let verdicts: &Health = &self.snapshot.health;
        let addresses = self.policy.endpoint_addresses(self.family, endpoint);
        let word = |address: &crate::policy::Address| match address.target {
            None => "not probed",
            Some(target) => verdicts.state(target).word(),
        };
        let Some(first) = addresses.first().map(word) else { return String::new() };
        if addresses.iter().all(|address| word(address) == first) {
            return first.to_owned();
        }
        let each: Vec<_> = addresses.iter().map(|a| format!("{} {}", a.ip, word(a))).collect();
        each.join(", ")
    }
}

fn reason(
    step: Step,
    kept: bool,
    fail_open: bool,
    rank: usize,
    distance: Option<Kilometres>,
    weight: u32,
    health: &str,
) -> String {
    let place = rank + 1;
    match step {
        Step::Healthy { .. } if fail_open => format!("{health}, but too few are up: fail open"),
        Step::Healthy { .. } => health.to_owned(),
        Step::Nearest => match distance {
            Some(Kilometres(km)) => format!("{place}. at {km:.0} km"),
            None => format!("{place}. as written: the client's place is unknown"),
        },
        Step::Weighted => format!("{place}. in a draw by weight, its own {weight}"),
        Step::Take(n) if kept => format!("{place}. of {n}"),
        Step::Take(n) => format!("beyond the first {n}"),
    }
}
