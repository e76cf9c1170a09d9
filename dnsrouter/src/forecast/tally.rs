//! Adds up what groups of clients are answered with, before and after.
//!
//! Who moves follows from the shares of each group: as many as have to, so what stays in a region on
//! both sides stays, and what is lost goes to those that gain, in proportion. Weighted draws and sticky
//! hashes move no more than that either (they are rendezvous hashes).

use std::collections::BTreeMap;

use geo::Country;

use super::groups::{Far, Mean};
use super::{Change, Flow, InCountry, Outcome, Whither};
use crate::plan::Snapshot;
use crate::policy::{Looks, Odds, Policy};
use crate::service::Form;

/// Shares that are smaller are rounding.
const NOTHING: f64 = 1e-12;

/// One side of a comparison, for one service and type.
pub(super) struct Side<'a> {
    pub(super) snapshot: &'a Snapshot,
    /// None: there is no such service, or it has no such type.
    pub(super) policy: Option<&'a Policy>,
    pub(super) form: Form,
}

impl<'a> Side<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, policy: Option<&'a Policy>, form: Form) -> Self {
        Self { snapshot, policy: policy.filter(|policy| policy.has(form)), form }
    }

    pub(super) fn looks(&self) -> Looks {
        self.policy.map(|policy| policy.looks(&self.snapshot.health)).unwrap_or_default()
    }

    fn region(&self, policy: &Policy, endpoint: u8) -> &'a str {
        let location = policy.location(endpoint);
        &self.snapshot.inputs.services.locations[usize::from(location)].region
    }
}

/// Flows by position of where from and where to.
type Flows = BTreeMap<(usize, usize), f64>;

#[derive(Debug, Default)]
struct CountryTally {
    clients: f64,
    moved: f64,
    flows: Flows,
}

/// Sums in the making.
pub(super) struct Tally {
    whither: Vec<Whither>,
    /// By side and endpoint: its region's position in `whither`, its identity's in `addresses`, and
    /// its location.
    endpoints: [Vec<(usize, usize, u8)>; 2],
    shares: Vec<Change>,
    flows: Flows,
    countries: BTreeMap<Option<Country>, CountryTally>,
    moved: f64,
    readdressed: f64,
    mean: Mean,
    fail_open: Change,
    drawn: bool,
    /// Of one group: by position, before and after. Kept for their memory.
    now: Vec<Change>,
    addresses: Vec<Change>,
}

impl Tally {
    pub(super) fn new(sides: &[Side<'_>; 2]) -> Self {
        let mut whither = vec![Whither::Absent, Whither::Empty];
        let mut identities: Vec<u64> = Vec::new();
        let mut endpoints = [Vec::new(), Vec::new()];
        for (side, endpoints) in sides.iter().zip(&mut endpoints) {
            let Some(policy) = side.policy else { continue };
            for endpoint in 0..policy.endpoints() {
                let region = Whither::Region(side.region(policy, endpoint).to_owned());
                let region = position(&mut whither, region);
                let identity = position(&mut identities, policy.endpoint_id(endpoint));
                endpoints.push((region, identity, policy.location(endpoint)));
            }
        }
        Self {
            shares: vec![[0.0; 2]; whither.len()],
            now: vec![[0.0; 2]; whither.len()],
            addresses: vec![[0.0; 2]; identities.len()],
            whither,
            endpoints,
            flows: Flows::new(),
            countries: BTreeMap::new(),
            moved: 0.0,
            readdressed: 0.0,
            mean: Mean::default(),
            fail_open: [0.0; 2],
            drawn: false,
        }
    }

    /// Clients of one country, of this weight together, who are all answered alike; none: there is
    /// nobody to answer.
    pub(super) fn add(
        &mut self,
        weight: f64,
        country: Option<Country>,
        odds: &[Option<Odds>; 2],
        far: &Far,
    ) {
        self.now.fill([0.0; 2]);
        self.addresses.fill([0.0; 2]);
        for (side, odds) in odds.iter().enumerate() {
            self.spread(side, weight, odds.as_ref(), far);
        }
        for (sum, now) in self.shares.iter_mut().zip(&self.now) {
            sum[0] += weight * now[0];
            sum[1] += weight * now[1];
        }
        let of_country = self.countries.entry(country).or_default();
        of_country.clients += weight;
        let lost = |now: &Change| (now[0] - now[1]).max(0.0);
        let gained = |now: &Change| (now[1] - now[0]).max(0.0);
        let all: f64 = self.now.iter().map(lost).sum();
        let others: f64 = self.addresses.iter().map(lost).sum();
        if all <= NOTHING {
            self.readdressed += weight * if others > NOTHING { others } else { 0.0 };
            return;
        }
        let mut moved = 0.0;
        for (from, before) in self.now.iter().enumerate().filter(|(_, now)| lost(now) > 0.0) {
            for (to, after) in self.now.iter().enumerate().filter(|(_, now)| gained(now) > 0.0) {
                let share = weight * lost(before) * gained(after) / all;
                *self.flows.entry((from, to)).or_default() += share;
                *of_country.flows.entry((from, to)).or_default() += share;
                let absent = [from, to].iter().any(|at| self.whither[*at] == Whither::Absent);
                moved += if absent { 0.0 } else { share };
            }
        }
        self.moved += moved;
        of_country.moved += moved;
        self.readdressed += (weight * others - moved).max(0.0);
    }

    fn spread(&mut self, side: usize, weight: f64, odds: Option<&Odds>, far: &Far) {
        let Some(odds) = odds else {
            let absent = position(&mut self.whither, Whither::Absent);
            self.now[absent][side] = 1.0;
            return;
        };
        self.fail_open[side] += if odds.fail_open { weight } else { 0.0 };
        self.drawn |= odds.drawn;
        for (endpoint, share) in &odds.shares {
            let (region, identity, location) = self.endpoints[side][usize::from(*endpoint)];
            self.now[region][side] += share;
            self.addresses[identity][side] += share;
            self.mean.add(side, *share, far, location);
        }
        if odds.shares.is_empty() {
            let whither = odds.outside.map_or(Whither::Empty, Whither::Outside);
            let at = position(&mut self.whither, whither);
            self.shares.resize(self.whither.len(), [0.0; 2]);
            self.now.resize(self.whither.len(), [0.0; 2]);
            self.now[at][side] = 1.0;
        }
    }

    /// Without forms, and as if nothing was sampled: whoever has added knows.
    pub(super) fn outcome(self) -> Outcome {
        let whither = self.whither;
        let there = whither.iter().cloned().zip(self.shares.iter().copied());
        let is_said = |(whither, share): &(Whither, Change)| {
            matches!(whither, Whither::Region(_)) || *share != [0.0; 2]
        };
        let mut shares: Vec<_> = there.filter(is_said).collect();
        // Regions as they came, then what is none.
        shares.sort_by_key(|(whither, _)| !matches!(whither, Whither::Region(_)));
        let flows = |flows: Flows| named(flows, &whither);
        let countries = self.countries.into_iter().map(|(country, tally)| InCountry {
            country,
            clients: tally.clients,
            moved: tally.moved,
            flows: flows(tally.flows),
        });
        let mut countries: Vec<InCountry> = countries.collect();
        countries
            .sort_by(|a, b| b.moved.total_cmp(&a.moved).then_with(|| a.country.cmp(&b.country)));
        Outcome {
            forms: Vec::new(),
            shares,
            flows: flows(self.flows),
            moved: self.moved,
            readdressed: self.readdressed,
            kilometres: self.mean.kilometres(),
            fail_open: self.fail_open,
            countries,
            drawn: self.drawn,
            sampled: false,
        }
    }
}

fn named(flows: Flows, whither: &[Whither]) -> Vec<Flow> {
    let flow = |((from, to), share): ((usize, usize), f64)| Flow {
        from: whither[from].clone(),
        to: whither[to].clone(),
        share,
    };
    let mut flows: Vec<Flow> = flows.into_iter().map(flow).collect();
    // Stable: equal ones in the order of regions.
    flows.sort_by(|a, b| b.share.total_cmp(&a.share));
    flows
}

/// The position of `one`, which is added if it is new.
fn position<T: PartialEq>(all: &mut Vec<T>, one: T) -> usize {
    all.iter().position(|known| *known == one).unwrap_or_else(|| {
        all.push(one);
        all.len() - 1
    })
}
