//! From a [`Choice`] to a route and its endpoints.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;

use super::{Answer, Choice, Composed, Misfit, Order, Place};
use crate::import::regions::UNPLACED;
use crate::import::service::{Endpoint, MAX_ENDPOINTS, MAX_WEIGHT, Nearest, Own, Rule, Step};

/// Weights of a failover of two within something else: the second is the last resort.
const FIRST: u32 = 100;
const LAST_RESORT: u32 = 0;

const FLATTEN: &str = "a route is one chain of steps, and this policy is nested too deeply for it";
const SPLIT: &str = "give the inner choice a name of its own, or decide for one of the two";

pub(super) fn compose(choice: Choice, ttl: u32, ttl_min: Option<u32>) -> Composed {
    let mut maker = Maker::default();
    let route = maker.top(choice);
    maker.one_kind();
    maker.each_address_once();
    maker.limit();
    let Maker { endpoints, misfits, .. } = maker;
    let own = (!endpoints.is_empty()).then_some(Own { ttl, ttl_min, route, endpoints });
    Composed { own, misfits }
}

#[derive(Default)]
struct Maker {
    endpoints: Vec<Endpoint>,
    misfits: Vec<Misfit>,
    /// Some group of endpoints is to be picked from by weight.
    picks: bool,
}

/// Where a group of endpoints goes.
#[derive(Clone)]
struct Spot {
    region: String,
    tier: Option<u32>,
}

impl Maker {
    fn top(&mut self, choice: Choice) -> Vec<Step> {
        let healthy = Step::Healthy { min_healthy: 1 };
        let spot = Spot { region: UNPLACED.to_owned(), tier: None };
        match choice {
            Choice::One(answer) => {
                self.put(&spot, answer, None);
                vec![healthy]
            }
            Choice::All { of, least_up, most } => {
                let take = most.min(count(of.len())).max(1);
                let some = take < count(of.len());
                of.into_iter().for_each(|answer| self.put(&spot, answer, None));
                let mut steps = vec![Step::Healthy { min_healthy: least_up.max(1) }];
                steps.extend(some.then_some(Step::Weighted));
                steps.push(Step::Take(take));
                steps
            }
            Choice::Weighted { of, take } => {
                self.weighted(&spot, of, 1.0);
                let mut steps = vec![healthy, Step::Weighted];
                steps.extend((take > 1).then_some(Step::Take(take)));
                steps
            }
            Choice::Failover(of) => self.failover(of),
            Choice::Place(place) => self.place(place, None),
        }
    }

    fn failover(&mut self, of: Vec<(String, Choice)>) -> Vec<Step> {
        let mut nearest = None;
        let mut others = Vec::new();
        let taken: BTreeSet<String> = of.iter().flat_map(|(_, choice)| regions(choice)).collect();
        for (tier, (region, choice)) in (1..).zip(of) {
            let region = apart(&region, &taken);
            match choice {
                Choice::Place(place) if nearest.is_none() => {
                    nearest = Some(self.place(place, Some(tier)));
                }
                Choice::Place(_) => self.misfit(true, "a second choice by place", FLATTEN, SPLIT),
                other => {
                    others.push(region.clone());
                    self.group(&Spot { region, tier: Some(tier) }, other);
                }
            }
        }
        let Some(mut steps) = nearest else {
            let mut steps = vec![Step::Healthy { min_healthy: 1 }, Step::Failover];
            steps.extend(self.picks.then_some(Step::Weighted));
            return steps;
        };
        // A fence that was meant for one tier lets the other tiers through.
        for step in &mut steps {
            if let Step::Fence(rules) = step {
                for rule in rules {
                    let more = others.iter().filter(|other| !rule.regions.contains(other));
                    let more: Vec<String> = more.cloned().collect();
                    rule.regions.extend(more);
                }
            }
        }
        let healthy = steps.iter().position(|step| matches!(step, Step::Healthy { .. }));
        steps.insert(healthy.map_or(0, |at| at + 1), Step::Failover);
        if self.picks && !steps.contains(&Step::Weighted) {
            steps.push(Step::Weighted);
        }
        steps
    }

    fn place(&mut self, place: Place, tier: Option<u32>) -> Vec<Step> {
        let Place { of, rules, bias, within, take } = place;
        // Regions that answer the same are one, because a service has an address only once.
        let mut same: BTreeMap<String, String> = BTreeMap::new();
        let mut kept: Vec<(String, Choice)> = Vec::new();
        for (region, choice) in of {
            match kept.iter().find(|(_, known)| *known == choice) {
                Some((first, _)) => {
                    same.insert(region, first.clone());
                }
                None => kept.push((region, choice)),
            }
        }
        let all: Vec<String> = kept.iter().map(|(region, _)| region.clone()).collect();
        for (region, choice) in kept {
            self.group(&Spot { region, tier }, choice);
        }
        let among = |regions: &[String]| {
            let mut among: Vec<String> = Vec::new();
            for region in regions.iter().map(|region| same.get(region).unwrap_or(region)) {
                if all.contains(region) && !among.contains(region) {
                    among.push(region.clone());
                }
            }
            among
        };
        let ranked =
            rules.is_empty() || rules.iter().any(|rule| !matches!(rule.order, Order::Any(_)));
        let mut fence = Vec::new();
        let mut prefer = Vec::new();
        let mut fenced = 0;
        for rule in rules {
            let (allowed, first) = match &rule.order {
                Order::Distance => (all.clone(), Vec::new()),
                Order::Only(regions) => (among(regions), among(regions)),
                Order::Near(regions) | Order::Any(regions) => (among(regions), Vec::new()),
            };
            if allowed.len() < all.len() {
                fenced = fence.len() + 1;
            }
            // Who may have nothing has no order either.
            if !allowed.is_empty() {
                prefer.push(Rule { clients: rule.clients.clone(), regions: first });
            }
            fence.push(Rule { clients: rule.clients, regions: allowed });
        }
        fence.truncate(fenced);
        // The last rules say no more than what happens without them.
        while prefer.last().is_some_and(|rule| rule.regions.is_empty()) {
            prefer.pop();
        }
        let bias = bias.into_iter().filter(|(region, _)| all.contains(region)).collect();
        let mut steps = Vec::new();
        steps.extend((!fence.is_empty()).then_some(Step::Fence(fence)));
        steps.push(Step::Healthy { min_healthy: 1 });
        steps.extend(ranked.then_some(Step::Nearest(Nearest { within, bias, prefer })));
        if self.picks || within.is_some() || take > 1 || !ranked {
            steps.push(Step::Weighted);
        }
        steps.extend((take > 1).then_some(Step::Take(take)));
        steps
    }

    /// Endpoints that are one group: what is picked from when everything before is equal.
    fn group(&mut self, spot: &Spot, choice: Choice) {
        match choice {
            Choice::One(answer) => self.put(spot, answer, None),
            Choice::All { of, .. } => self.together(spot, of, None),
            Choice::Weighted { of, take } => {
                if take > 1 {
                    let what = format!("{take} answers at once from an inner choice");
                    self.misfit(false, &what, FLATTEN, "one is answered; or give it its own name");
                }
                self.picks = true;
                self.weighted(spot, of, 1.0);
            }
            Choice::Failover(of) => {
                self.picks = true;
                let more = of.len().saturating_sub(2);
                for ((_, choice), weight) in of.into_iter().zip([FIRST, LAST_RESORT]) {
                    self.weigh(spot, choice, weight);
                }
                if more > 0 {
                    let what = format!("{more} more fallbacks of an inner failover");
                    self.misfit(true, &what, FLATTEN, SPLIT);
                }
            }
            Choice::Place(_) => self.misfit(true, "a choice by place", FLATTEN, SPLIT),
        }
    }

    /// Shares of a share: where choices by weight are nested, inner weights are scaled to what
    /// their group has.
    fn weighted(&mut self, spot: &Spot, of: Vec<(u32, Choice)>, share: f64) {
        let nested = of.iter().any(|(_, choice)| matches!(choice, Choice::Weighted { .. }));
        let largest = of.iter().map(|(weight, _)| *weight).max().unwrap_or(0);
        // All zero: all alike, as the products have it.
        let weight_of = |weight: u32| if largest == 0 { FIRST } else { weight };
        let sum: f64 = of.iter().map(|(weight, _)| f64::from(weight_of(*weight))).sum();
        for (weight, choice) in of {
            let weight = weight_of(weight);
            let part = share * f64::from(weight) / sum;
            match choice {
                Choice::Weighted { of, .. } => self.weighted(spot, of, part),
                other if nested || share < 1.0 || largest > MAX_WEIGHT => {
                    self.weigh(spot, other, scaled(part));
                }
                other => self.weigh(spot, other, weight),
            }
        }
    }

    fn weigh(&mut self, spot: &Spot, choice: Choice, weight: u32) {
        match choice {
            Choice::One(answer) => self.put(spot, answer, Some(weight)),
            Choice::All { of, .. } => self.together(spot, of, Some(weight)),
            Choice::Weighted { of, .. } => {
                self.misfit(true, "a choice by weight", FLATTEN, SPLIT);
                if let Some((_, first)) = of.into_iter().next() {
                    self.weigh(spot, first, weight);
                }
            }
            Choice::Failover(of) => {
                self.misfit(true, "the fallback of an inner failover", FLATTEN, SPLIT);
                if let Some((_, first)) = of.into_iter().next() {
                    self.weigh(spot, first, weight);
                }
            }
            Choice::Place(_) => self.misfit(true, "a choice by place", FLATTEN, SPLIT),
        }
    }

    /// One endpoint with all of it.
    fn together(&mut self, spot: &Spot, of: Vec<Answer>, weight: Option<u32>) {
        let check = of.iter().find_map(|answer| answer.check.clone());
        if of.iter().any(|answer| !answer.is_checked_like(check.as_ref())) {
            let what = "different checks of records that are answered together";
            self.misfit(false, what, "an endpoint has one check: the first", SPLIT);
        }
        let mut joined = Answer { check, ..Answer::default() };
        of.into_iter().for_each(|answer| joined.data.join(answer.data));
        self.put(spot, joined, weight);
    }

    fn put(&mut self, spot: &Spot, answer: Answer, weight: Option<u32>) {
        let Answer { data, check } = answer;
        if !data.is_empty() {
            let Spot { region, tier } = spot.clone();
            self.endpoints.push(Endpoint { region, data, weight, tier, check });
        }
    }

    /// A name with a CNAME has nothing else (RFC 2181 §10.1): whichever is more stays.
    fn one_kind(&mut self) {
        let names = self.endpoints.iter().filter(|e| e.data.cname.is_some()).count();
        let mixed = self.endpoints.iter().any(|e| e.data.cname.is_some() && e.data.has_more());
        if names == 0 || names == self.endpoints.len() && !mixed {
            return;
        }
        let keep_names = names > self.endpoints.len() - names;
        let why = "a service answers with addresses or with a host name, not now this and now that";
        let instead = "give the host's addresses, or give all of them a host name";
        for endpoint in std::mem::take(&mut self.endpoints) {
            let (kept, gone) = endpoint.data.clone().split(keep_names);
            if !gone.is_empty() {
                self.misfit(true, &gone.to_string(), why, instead);
            }
            if !kept.is_empty() {
                self.endpoints.push(Endpoint { data: kept, ..endpoint });
            }
        }
    }

    fn each_address_once(&mut self) {
        let mut seen: HashSet<IpAddr> = HashSet::new();
        let mut twice = Vec::new();
        for endpoint in &mut self.endpoints {
            let region = &endpoint.region;
            endpoint.data.addresses.retain(|address| {
                let new = seen.insert(*address);
                if !new {
                    twice.push(format!("{address} a second time, in {region}"));
                }
                new
            });
        }
        self.endpoints.retain(|endpoint| !endpoint.data.is_empty());
        for what in twice {
            let why = "a service has each address once";
            self.misfit(true, &what, why, "use another address there, or decide for one place");
        }
    }

    fn limit(&mut self) {
        if self.endpoints.len() > MAX_ENDPOINTS {
            let what = format!("{} of the endpoints", self.endpoints.len() - MAX_ENDPOINTS);
            self.endpoints.truncate(MAX_ENDPOINTS);
            self.misfit(true, &what, "a service has at most 128", "split it into several names");
        }
    }

    fn misfit(&mut self, left_out: bool, what: &str, why: &'static str, instead: &'static str) {
        let misfit = Misfit { left_out, what: what.to_owned(), why, instead };
        if !self.misfits.contains(&misfit) {
            self.misfits.push(misfit);
        }
    }
}

/// Those that a choice by place tells apart.
fn regions(choice: &Choice) -> impl Iterator<Item = String> {
    let of = match choice {
        Choice::Place(place) => place.of.as_slice(),
        _ => &[],
    };
    of.iter().map(|(region, _)| region.clone())
}

/// A tier that is called like a region of another tier is another one all the same: a fence that
/// lets clients into the one would let them into the other.
fn apart(region: &str, taken: &BTreeSet<String>) -> String {
    let mut called = region.to_owned();
    let mut number = 2;
    while taken.contains(&called) {
        called = format!("{region}-{number}");
        number += 1;
    }
    called
}

/// A share of one as a weight. What had a share keeps one.
fn scaled(share: f64) -> u32 {
    const WHOLE: f64 = 100_000.0;
    match share > 0.0 {
        // In range: a share is at most 1.
        true => ((share * WHOLE).round() as u32).max(1),
        false => 0,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
