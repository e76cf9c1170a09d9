//! The controllers of all services with load-aware steps: what runs once per interval.
//!
//! ```text
//!   plan, verdicts ─▶ seen::look ─▶ Spill (load) ─┐
//!   places, counts ─▶ Guess, Field ────▲          ├─▶ Shares, one per service
//!                                fair::weights ───┘
//! ```
//!
//! A service without such steps costs nothing. One at rest costs a pass over the demand, one whose
//! region dies some dozens; when one interval would take too long, the others wait for the next, in
//! turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dns::name::Name;
use dns::zone::ServiceId;
use geo::{Point, Population, Table};

use crate::plan::{Difference, Generation, Inputs, Services};
use crate::policy::Policy;
use crate::service::Step;
use crate::verdicts::{Health, Shares};

use super::clients::part;
use super::demand::Field;
use super::fair;
use super::guess::{Basis, Guess};
use super::prices::Room;
use super::seen;
use super::spill::{Condition, Interval, Seen, Spill};

/// Distances that one interval looks at: passes × points × endpoints. About a fifth of a second.
const MOST: usize = 200_000_000;

/// The demand that `fair` goes by follows the rates over this time.
const DEMAND_OVER: Duration = Duration::from_secs(10);

/// Weights of `fair` stay until one is off by this share of the largest: a plan is not published for less.
const WORTH: f64 = 0.02;

/// Every controller, and what they share.
#[derive(Debug, Default)]
pub struct Fleet {
    generation: Option<Generation>,
    /// Positions among the plan's services.
    services: Vec<usize>,
    controllers: HashMap<Name, Controller>,
    ground: Option<Ground>,
    /// How often clients were answered.
    recorded: Option<Population>,
    /// It is to be looked at.
    news: bool,
    room: Room,
    /// Who begins: the one who would have been next.
    first: usize,
}

/// Where clients and locations are.
#[derive(Debug)]
struct Ground {
    table: Arc<Table>,
    guess: Guess,
    points: Vec<Point>,
    endpoints: usize,
    field: Field,
}

/// One service's.
#[derive(Debug)]
struct Controller {
    /// Of its endpoints.
    ids: Vec<u64>,
    spill: Spill,
    /// Requests per second of all clients.
    demand: Option<f64>,
    weights: Box<[u32]>,
    /// Since it was looked at last.
    waited: Duration,
}

impl Fleet {
    /// Whether a plan's services have anything to be reckoned.
    pub fn is_needed(services: &Services) -> bool {
        services.services.iter().any(|(_, policy)| policy.dynamic().is_some())
    }

    /// How often clients were answered, by their prefixes. Where that is enough for a guess of where
    /// they are, it is used; a changed guess begins what was learnt anew, so not to be told each second.
    pub fn recorded(&mut self, clients: Population) {
        self.recorded = Some(clients);
        self.news = true;
    }

    /// What says where clients are, before anything is learnt; none where no step asks.
    pub fn basis(&self) -> Option<Basis> {
        self.ground.as_ref().map(|ground| ground.guess.basis)
    }

    /// One interval, `span` after the last: what the plan's services go by from now on, in the order of
    /// [`Policy::dynamic`].
    pub fn interval(&mut self, inputs: &Inputs, health: &Health, span: Duration) -> Arc<[Shares]> {
        self.follow(inputs);
        let services = &inputs.services;
        let mut left = MOST;
        for turn in 0..self.services.len() {
            let at = (self.first + turn) % self.services.len();
            let (name, policy) = &services.services[self.services[at]];
            let Some(controller) = self.controllers.get_mut(name) else { continue };
            controller.waited += span;
            if left == 0 {
                continue;
            }
            let seen: Vec<Seen> = (0..policy.endpoints())
                .map(|endpoint| seen::look(policy, endpoint, services, health))
                .collect();
            let cost = controller.step(policy, &seen, self.ground.as_ref(), &mut self.room);
            left = left.saturating_sub(cost);
            if left == 0 {
                self.first = at + 1;
            }
        }
        in_order(self.services.iter().filter_map(|at| {
            let (name, policy) = &services.services[*at];
            Some((policy, self.controllers.get(name)?.shares(policy)))
        }))
    }

    /// Follows a new plan: keeps what is known of services and endpoints that stay.
    fn follow(&mut self, inputs: &Inputs) {
        if self.generation == Some(inputs.generation) {
            if self.news {
                self.settle(inputs);
            }
            return;
        }
        self.generation = Some(inputs.generation);
        let all = inputs.services.services.iter().enumerate();
        self.services = all.filter(|(_, (_, p))| p.dynamic().is_some()).map(|(at, _)| at).collect();
        let mut before = std::mem::take(&mut self.controllers);
        for at in &self.services {
            let (name, policy) = &inputs.services.services[*at];
            let controller = Controller::new(policy, before.remove(name));
            self.controllers.insert(name.clone(), controller);
        }
        self.settle(inputs);
    }

    fn settle(&mut self, inputs: &Inputs) {
        let news = std::mem::take(&mut self.news);
        let policies = || self.services.iter().map(|at| &inputs.services.services[*at].1);
        if !policies().any(|policy| has_load(policy)) {
            self.ground = None;
            return;
        }
        let endpoints = policies().map(|p| usize::from(p.endpoints())).max().unwrap_or(0);
        let points: Vec<Point> = inputs.services.locations.iter().map(|l| l.point).collect();
        let table = &inputs.geo.table;
        let guess = match self.ground.take() {
            Some(ground) if Arc::ptr_eq(&ground.table, table) && !news => {
                if ground.points == points && ground.endpoints >= endpoints {
                    self.ground = Some(ground);
                    return;
                }
                ground.guess
            }
            before => {
                let before = before.map(|ground| ground.guess);
                let basis = before.as_ref().map(|before| before.basis);
                let guess = Guess::new(table, self.recorded.as_ref(), basis);
                match before {
                    Some(before) if !guess.is_news(&before, &points) => before,
                    _ => {
                        self.controllers.values_mut().for_each(|c| c.spill.forget_places());
                        guess
                    }
                }
            }
        };
        let field = Field::new(&guess.demand, &points, endpoints);
        self.ground = Some(Ground { table: Arc::clone(table), guess, points, endpoints, field });
    }
}

fn has_load(policy: &Policy) -> bool {
    policy.steps().any(|step| *step == Step::Load)
}

impl Controller {
    fn new(policy: &Policy, before: Option<Self>) -> Self {
        let ids: Vec<u64> = (0..policy.endpoints()).map(|e| policy.endpoint_id(e)).collect();
        match before {
            Some(before) if before.ids == ids => before,
            Some(before) => {
                let was = |id: &u64| before.ids.iter().position(|known| known == id);
                let from: Vec<_> = ids.iter().map(was).collect();
                let spill = before.spill.rearranged(&from);
                Self { ids, spill, weights: [].into(), ..before }
            }
            None => Self {
                spill: Spill::new(ids.len()),
                ids,
                demand: None,
                weights: [].into(),
                waited: Duration::ZERO,
            },
        }
    }

    /// Returns the distances that it looked at.
    fn step(
        &mut self,
        policy: &Policy,
        seen: &[Seen],
        ground: Option<&Ground>,
        room: &mut Room,
    ) -> usize {
        let span = std::mem::take(&mut self.waited);
        for step in policy.steps() {
            if let Step::Fair { demand } = step {
                self.weigh(seen, demand.map(|demand| f64::from(demand.get())), span);
            }
        }
        let Some(ground) = ground.filter(|_| has_load(policy)) else { return seen.len() };
        let locations: Vec<u8> = (0..policy.endpoints()).map(|e| policy.location(e)).collect();
        let interval = Interval { field: &ground.field, span };
        let ttl = Duration::from_secs(policy.ttl(false).max(1).into());
        let passes = self.spill.step(&interval, &locations, seen, ttl, room);
        passes * ground.field.mass().len() * seen.len()
    }

    fn weigh(&mut self, seen: &[Seen], stated: Option<f64>, span: Duration) {
        let rates = seen.iter().filter(|seen| seen.is_open()).filter_map(|seen| seen.rate);
        let (sum, count) = rates.fold((0.0, 0), |(sum, count), rate| (sum + rate, count + 1));
        if count > 0 {
            let demand = self.demand.unwrap_or(sum);
            self.demand = Some(demand + (sum - demand) * part(span, DEMAND_OVER));
        }
        let capacity = |seen: &Seen| match seen.condition {
            Condition::Gone => Some(0.0),
            _ => seen.capacity,
        };
        let capacities: Vec<_> = seen.iter().map(capacity).collect();
        let weights = fair::weights(&capacities, stated.or(self.demand));
        let largest = f64::from(weights.iter().copied().max().unwrap_or(0));
        let off = |(a, b): (&u32, &u32)| {
            f64::from(a.abs_diff(*b)) > WORTH * largest || (*a == 0) != (*b == 0)
        };
        if self.weights.len() != weights.len() || self.weights.iter().zip(&weights).any(off) {
            self.weights = weights;
        }
    }

    fn shares(&self, policy: &Policy) -> Shares {
        let prices = if has_load(policy) { self.spill.prices() } else { [].into() };
        Shares { weights: self.weights.clone(), prices }
    }
}

/// Whether a service with load-aware steps is another, or had any.
pub fn is_touched(before: &Services, next: &Services, difference: &Difference) -> bool {
    let has_shares = |services: &Services, id: &ServiceId| {
        let service = services.services.get(id.0 as usize);
        service.is_some_and(|(_, policy)| policy.dynamic().is_some())
    };
    difference.services.iter().any(|id| has_shares(before, id) || has_shares(next, id))
}

/// What was reckoned for a plan before, for the services and endpoints that are still in the next one: a
/// reload changes no answer by itself.
pub fn carried(before: &Services, health: &Health, next: &Services) -> Arc<[Shares]> {
    let dynamic = |(_, policy): &&(Name, Arc<Policy>)| policy.dynamic().is_some();
    let known: HashMap<&Name, &Arc<Policy>> =
        before.services.iter().filter(dynamic).map(|(name, policy)| (name, policy)).collect();
    let carry = |(name, policy): &(Name, Arc<Policy>)| {
        let old = *known.get(name)?;
        let shares = health.shares(old.dynamic()? as usize)?;
        if Arc::ptr_eq(old, policy) {
            return Some(shares.clone());
        }
        let position = |e: u8| {
            let id = policy.endpoint_id(e);
            (0..old.endpoints()).find(|known| old.endpoint_id(*known) == id).map(usize::from)
        };
        let positions: Option<Vec<usize>> = (0..policy.endpoints()).map(position).collect();
        let weights = positions.and_then(|all| {
            all.into_iter().map(|at| shares.weights.get(at).copied()).collect::<Option<Box<_>>>()
        });
        let price = |e: u8| position(e).and_then(|at| shares.prices.get(at)).copied();
        let prices = (0..policy.endpoints()).map(|e| price(e).unwrap_or(0.0)).collect();
        Some(Shares { weights: weights.unwrap_or_default(), prices })
    };
    let needed = next.services.iter().filter(dynamic);
    in_order(needed.map(|service| (&service.1, carry(service).unwrap_or_default())))
}

/// By [`Policy::dynamic`]: a number that no service has any more has no shares.
fn in_order<'p>(all: impl Iterator<Item = (&'p Arc<Policy>, Shares)>) -> Arc<[Shares]> {
    let mut ordered: Vec<Shares> = Vec::new();
    for (policy, shares) in all {
        let Some(at) = policy.dynamic().map(|at| at as usize) else { continue };
        if ordered.len() <= at {
            ordered.resize(at + 1, Shares::default());
        }
        ordered[at] = shares;
    }
    ordered.into()
}
