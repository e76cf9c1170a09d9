//! What would change if something were otherwise: where clients are answered to now, where they would
//! be, and who moves.
//!
//! ```text
//!   a Snapshot, as it is ──────────────┐
//!                                      ├─▶ Forecaster ─▶ Outcome, per service: shares by region and
//!   a Snapshot, as it would be ────────┤        ▲        country, flows, kilometres, fences, loads
//!     conditions: regions down, or     │        │
//!     verdicts for another plan        └─▶ Crowd: who asks, and where both tables place them
//! ```
//!
//! Both sides are decided by the code that answers ([`Policy::odds`] watches [`Policy::choose`]), each
//! client as if it asked for its own prefix. What is drawn counts by its probability.
//!
//! # Millions of clients, some thousand questions
//!
//! A route sees little of a client: its rows in a few lenses, its rule in a fence. So clients are put
//! together first, and one of each group is asked for all:
//!
//! | the route looks at | one question for all clients of |
//! |---|---|
//! | order and fence of places | a country with the same rows and rule: some thousand groups |
//! | kilometres (`within`) | a place |
//! | the prefix (`sticky`, `load`, a drain on its way) | a prefix, of those recorded; of the routed world, one of [`SAMPLES`] taken evenly |

use dns::name::Name;
use geo::{Country, PlaceId};

use crate::client::{Asker, Own};
use crate::plan::Snapshot;
use crate::policy::{Client, Draws, Looks, Odds, Outside, Policy};
use crate::service::Form;

pub use conditions::{carried, without};
pub use crowd::{Cell, Crowd, SAMPLES, Sample};
pub use loads::{Load, loads};
pub use totals::Totals;

use groups::{Far, Groups};
use tally::{Side, Tally};

mod conditions;
mod crowd;
mod groups;
mod loads;
mod pieces;
mod tally;
mod totals;

/// Ways to put clients together that are kept for the next service: services have few routes.
const MAX_KEPT: usize = 16;

/// Clients between two looks at whether to go on: what is drawn takes a thousand answers each.
const STRIDE: usize = 64;

/// Where clients are answered to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whither {
    /// Endpoints of this region.
    Region(String),
    /// Nowhere: what their fence says instead.
    Outside(Outside),
    /// Nowhere: there is no such service, or it has no such records.
    Absent,
    /// An empty answer. No route can give one; if it is seen, that is a defect of ours.
    Empty,
}

/// Before and after.
pub type Change = [f64; 2];

/// How one service's clients would move, in shares of all of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Types of which this is true.
    pub forms: Vec<Form>,
    /// The share answered to each, regions in the order of the plan; each sums up to 1.
    pub shares: Vec<(Whither, Change)>,
    /// Who moves, the most first.
    pub flows: Vec<Flow>,
    /// The share that is answered to another region; between nothing and something nobody moves.
    pub moved: f64,
    /// The share that gets other addresses of the same region.
    pub readdressed: f64,
    /// The mean distance, of those that have one.
    pub kilometres: [Option<f64>; 2],
    /// The share for whom more counts as up than is.
    pub fail_open: Change,
    /// By country, those with the most who move first; none: the country is not known.
    pub countries: Vec<InCountry>,
    /// Some probabilities are from draws.
    pub drawn: bool,
    /// From a sample of prefixes, not from all.
    pub sampled: bool,
}

/// From one place of answers to another.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// Before.
    pub from: Whither,
    /// After.
    pub to: Whither,
    /// Of all clients.
    pub share: f64,
}

/// The clients of one country.
#[derive(Debug, Clone, PartialEq)]
pub struct InCountry {
    /// None: not known.
    pub country: Option<Country>,
    /// Their share of all clients.
    pub clients: f64,
    /// The share of all clients that is theirs and moves.
    pub moved: f64,
    /// Who moves, the most first.
    pub flows: Vec<Flow>,
}

/// One service, as it is and as it would be; one of the two at least.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Its owner name.
    pub name: &'a Name,
    /// None: it is new.
    pub before: Option<&'a Policy>,
    /// None: it would be gone.
    pub after: Option<&'a Policy>,
}

/// Whoever asked does not want to know any more, or it takes too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was not finished")]
pub struct Stopped;

/// Services of both by name: those of the first in its order, then what is new.
pub fn pairs<'a>(before: &'a Snapshot, after: &'a Snapshot) -> Vec<Pair<'a>> {
    let of = |snapshot: &'a Snapshot| &snapshot.inputs.services.services;
    let known = |snapshot: &'a Snapshot| -> std::collections::HashMap<&'a Name, &'a Policy> {
        of(snapshot).iter().map(|(name, policy)| (name, &**policy)).collect()
    };
    let (old, new) = (known(before), known(after));
    let kept = of(before).iter().map(|(name, policy)| Pair {
        name,
        before: Some(policy),
        after: new.get(name).copied(),
    });
    let added = of(after).iter().filter(|(name, _)| !old.contains_key(name));
    let added = added.map(|(name, policy)| Pair { name, before: None, after: Some(policy) });
    kept.chain(added).collect()
}

/// Compares two snapshots for one crowd.
pub struct Forecaster<'a> {
    sides: [&'a Snapshot; 2],
    crowd: &'a Crowd,
    /// Seconds since 1970.
    now: u64,
    groups: Vec<([Looks; 2], Groups)>,
    drawn: u64,
}

impl<'a> Forecaster<'a> {
    /// For what is and what would be. The crowd is placed by the tables of both.
    pub fn new(before: &'a Snapshot, after: &'a Snapshot, crowd: &'a Crowd, now: u64) -> Self {
        Self { sides: [before, after], crowd, now, groups: Vec::new(), drawn: 0 }
    }

    /// Answers that were drawn so far, where no closed form is known: most of what it costs.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// One service's clients, by type; types with the same outcome are put together. `go_on` is
    /// asked now and then.
    ///
    /// # Errors
    ///
    /// [`Stopped`].
    pub fn service(
        &mut self,
        pair: Pair<'_>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<Outcome>, Stopped> {
        let policies = [pair.before, pair.after];
        let same =
            policies[0].zip(policies[1]).is_some_and(|(one, other)| std::ptr::eq(one, other));
        // One serves for both where the policy is the same.
        let mut draws: Vec<Draws> =
            (0..if same { 1 } else { 2 }).map(|_| Draws::default()).collect();
        let outcomes = self.outcomes(policies, &mut draws, go_on);
        self.drawn += draws.iter().map(Draws::made).sum::<u64>();
        outcomes
    }

    fn outcomes(
        &mut self,
        policies: [Option<&Policy>; 2],
        draws: &mut [Draws],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<Outcome>, Stopped> {
        let has = |form: Form| policies.iter().flatten().any(|policy| policy.has(form));
        let mut outcomes: Vec<Outcome> = Vec::new();
        for form in Form::ALL.into_iter().filter(|form| has(*form)) {
            let outcome = self.outcome(policies, form, draws, go_on)?;
            let alike = |known: &&mut Outcome| {
                let forms = known.forms.clone();
                **known == Outcome { forms, ..outcome.clone() }
            };
            match outcomes.iter_mut().find(alike) {
                Some(known) => known.forms.push(form),
                None => outcomes.push(outcome),
            }
        }
        Ok(outcomes)
    }

    fn outcome(
        &mut self,
        policies: [Option<&Policy>; 2],
        form: Form,
        draws: &mut [Draws],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Outcome, Stopped> {
        let sides = [0, 1].map(|side| Side::new(self.sides[side], policies[side], form));
        let looks = sides.each_ref().map(Side::looks);
        let by_prefix = looks.iter().any(|looks| looks.prefix);
        let mut tally = Tally::new(&sides);
        if by_prefix {
            self.each_sample(&sides, &mut tally, draws, go_on)?;
        } else {
            self.each_group(&sides, looks, &mut tally, draws, go_on)?;
        }
        let sampled = by_prefix && !self.crowd.is_recorded();
        Ok(Outcome { forms: vec![form], sampled, ..tally.outcome() })
    }

    fn each_group(
        &mut self,
        sides: &[Side<'_>; 2],
        looks: [Looks; 2],
        tally: &mut Tally,
        draws: &mut [Draws],
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Stopped> {
        let at = match self.groups.iter().position(|(known, _)| *known == looks) {
            Some(at) => at,
            None => {
                self.groups.truncate(MAX_KEPT - 1);
                let geo = self.sides.map(|snapshot| &*snapshot.inputs.geo);
                let groups = Groups::of(self.crowd, geo, &looks, go_on).ok_or(Stopped)?;
                self.groups.insert(0, (looks, groups));
                0
            }
        };
        for (number, group) in self.groups[at].1.iter().enumerate() {
            if number % STRIDE == 0 && !go_on() {
                return Err(Stopped);
            }
            let odds = [0, 1].map(|side: usize| {
                let Side { snapshot, policy, form, .. } = &sides[side];
                let client = Client::anybody_at(group.places[side], &snapshot.inputs.geo);
                let draws = of_side(draws, side);
                policy.map(|policy| policy.odds(*form, &client, &snapshot.health, draws))
            });
            tally.add(group.weight, group.country, &odds, &group.far);
        }
        Ok(())
    }

    fn each_sample(
        &self,
        sides: &[Side<'_>; 2],
        tally: &mut Tally,
        draws: &mut [Draws],
        go_on: &dyn Fn() -> bool,
    ) -> Result<(), Stopped> {
        for (number, sample) in self.crowd.samples().iter().enumerate() {
            if number % STRIDE == 0 && !go_on() {
                return Err(Stopped);
            }
            let asked =
                [0, 1].map(|side: usize| self.ask(&sides[side], sample, of_side(draws, side)));
            let places = [0, 1].map(|side: usize| {
                let table = &self.sides[side].inputs.geo.table;
                *table.place(asked[side].1)
            });
            let geo = self.sides.map(|snapshot| &*snapshot.inputs.geo);
            let place = if places[0].is_somewhere() { &places[0] } else { &places[1] };
            let far = Far::from(place, geo, sample.weight);
            let odds = asked.map(|(odds, _)| odds);
            tally.add(sample.weight, places[0].country.or(places[1].country), &odds, &far);
        }
        Ok(())
    }

    /// As one that asks for its own prefix.
    fn ask(&self, side: &Side<'_>, sample: &Sample, draws: &mut Draws) -> (Option<Odds>, PlaceId) {
        let Side { snapshot, policy, form, .. } = side;
        let geo = &snapshot.inputs.geo;
        let asker = crowd::asker(geo, sample.address);
        let odds = policy.map(|policy| self.odds_of(&asker, policy, *form, snapshot, draws));
        (odds, asker.hit.place)
    }

    fn odds_of(
        &self,
        asker: &Asker,
        policy: &Policy,
        form: Form,
        snapshot: &Snapshot,
        draws: &mut Draws,
    ) -> Odds {
        let own = Own { draw: 0, turn: 0 };
        let client = asker.client(&snapshot.inputs.geo, policy, form, || self.now, own);
        policy.odds(form, &client, &snapshot.health, draws)
    }
}

fn of_side(draws: &mut [Draws], side: usize) -> &mut Draws {
    let last = draws.len() - 1;
    &mut draws[side.min(last)]
}
