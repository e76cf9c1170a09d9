//! Which endpoints a client is answered with: a route, compiled, and applied.
//!
//! # The idea
//!
//! A route works on a *weak order*: a list of candidates in groups, the best group first. It
//! starts as one group of all endpoints that have an address of the form, and each step does one
//! of four things:
//!
//! ```text
//!   start      [ a b c d e ]                 one group: nobody is preferred
//!   healthy    [ a b   d e ]                 a filter drops candidates
//!   nearest    [ b d ] [ a ] [ e ]           a rank splits groups, nearest location first
//!   weighted   [ d ] [ b ] [ a ] [ e ]       a pick orders each group by a weighted draw
//!   take 1     [ d ]                         a cut keeps the first so many
//! ```
//!
//! So steps compose in any order and number: a rank followed by a pick applies the pick within the
//! best rank, and `take 2` over a best rank of one goes on to the next rank. When the route has no
//! `take`, one is implied after the last rank or pick.
//!
//! # The scope that goes with an answer
//!
//! A resolver may reuse an answer for every client inside the scope we return (RFC 7871 §7.3.1),
//! so the scope says which part of the client's address the answer *can* depend on. That is a
//! property of the service and the address tables, not of the moment's health: otherwise an answer
//! given while one region was left would be cached for the whole world (/0) and outlive the
//! recovery. [`Policy::scope`] is computed at compile time, per form:
//!
//! | the answer can depend on | scope |
//! |---|---|
//! | nothing of the client (one location, no draw) | /0 |
//! | the client's place | the leaf of the address table that holds it |
//! | a draw per client | the cap (default /24 and /48) |

use std::net::IpAddr;

use dns::rr::Rtype;
use dns::zone::ServiceId;

use crate::service::{Binding, Endpoint, Form, MAX_ENDPOINTS, Service, Step, Target};
use crate::verdicts::{Health, TargetId, WHOLE};

use hash::fold;
use leaving::Regard;
use pick::Weighed;
use scope::Depends;
use stage::{Act, Stage};

pub use hash::{mix, prefix_stick, subnet_draw};
pub use order::{Candidate, Candidates};
pub use record::Record;

mod hash;
mod leaving;
mod order;
mod pick;
mod rank;
mod record;
mod scope;
mod stage;

/// Locations that one node ranks: the size of a table on the stack, and of a byte.
pub const MAX_LOCATIONS: usize = 128;

/// A service's route, compiled against the locations and targets of a plan.
#[derive(Debug, Clone)]
pub struct Policy {
    id: ServiceId,
    stages: Box<[Stage]>,
    endpoints: Box<[Compiled]>,
    depends: [Depends; FORMS],
    bindings: Box<[Binding]>,
    ttl: u32,
    key: u64,
}

/// One endpoint as the query path sees it.
#[derive(Debug, Clone)]
struct Compiled {
    location: u8,
    weight: u32,
    /// Identity for draws: the same on every node and after every reload.
    id: u64,
    records: [Box<[Record]>; FORMS],
}

/// What an endpoint can be given out as.
const FORMS: usize = Form::ALL.len();

/// The client as a route sees it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Locations by distance from the client's place, nearest first.
    pub order: &'a [u8],
    /// Prefix length of the leaf that holds the client's address.
    pub leaf: u8,
    /// Prefix length at which draws are made, and the finest scope.
    pub cap: u8,
    /// What a draw is made from: equal for every address inside the scope when the answer is for a
    /// client subnet, fresh for each query when it is for the one who asks.
    pub draw: u64,
    /// What a client sticks to: of its prefix alone, also of one who asks for itself.
    pub stick: u64,
    /// Whose it is: what a drain goes by.
    pub address: IpAddr,
    /// Whether the answer is for all of a scope, not for `address` alone.
    pub is_subnet: bool,
    /// Whose turn it is: of the prefix and the time for a client subnet, else a count.
    pub turn: u64,
}

/// What a route chose. Turn it into records with [`Policy::records`].
#[derive(Debug, Clone)]
pub struct Choice {
    /// The endpoints to answer with, best first.
    pub candidates: Candidates,
    /// Addresses that are not usable are left out; none: whatever they are.
    regard: Option<Regard>,
    /// `healthy` would have left too little, so everything counts as up.
    pub fail_open: bool,
}

/// Looks over the shoulder of a choice; `explain` records, the query path passes `()`.
pub trait Observer {
    /// `step` made `after` out of `before`.
    fn step(&mut self, step: &Step, before: &[Candidate], after: &[Candidate]);
    /// What was seen does not count: the walk begins again with more.
    fn restart(&mut self, open: Open);
}

impl Observer for () {
    #[inline]
    fn step(&mut self, _: &Step, _: &[Candidate], _: &[Candidate]) {}
    #[inline]
    fn restart(&mut self, _: Open) {}
}

/// What is taken in again when too little would be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// What is being drained, as far as it is up.
    Drained,
    /// Everything, as if it were up.
    All,
}

impl Policy {
    /// Compiles the service that a plan numbers `id`; `location` and `target` give the plan's
    /// indices.
    ///
    /// # Panics
    ///
    /// When the service has more than [`MAX_ENDPOINTS`] endpoints, which validation refuses.
    pub fn compile(
        service: &Service,
        id: ServiceId,
        mut location: impl FnMut(&str) -> u8,
        mut target: impl FnMut(&Target) -> TargetId,
    ) -> Self {
        assert!(service.endpoints.len() <= MAX_ENDPOINTS, "validation limits endpoints");
        let endpoints: Box<[Compiled]> = service
            .endpoints
            .iter()
            .map(|endpoint| Compiled {
                records: Form::ALL.map(|form| record::compile(endpoint, form, &mut target)),
                location: location(&endpoint.region),
                weight: endpoint.weight,
                id: endpoint_id(endpoint),
            })
            .collect();
        let stages = stage::compile(service);
        let depends = Form::ALL.map(|form| scope::depends(&stages, &endpoints, form));
        Self {
            id,
            depends,
            bindings: service.bindings.clone().into(),
            stages,
            endpoints,
            ttl: u32::try_from(service.ttl.as_secs()).unwrap_or(i32::MAX as u32),
            key: fold(service.name.lower().iter().copied()),
        }
    }

    /// Chooses for one client.
    ///
    /// Never empty when the service has an address of the form: a filter that would leave
    /// nothing is not applied.
    pub fn choose(
        &self,
        form: Form,
        client: &Client<'_>,
        health: &Health,
        observer: &mut impl Observer,
    ) -> Choice {
        let settled = health.stances().is_empty();
        let hash = if settled { WHOLE } else { self.hash(form, client) };
        let regard = Regard::All { hash };
        if let Some(choice) = self.walk(form, client, Some((health, regard)), observer) {
            return choice;
        }
        if !settled {
            observer.restart(Open::Drained);
            let open = self.walk(form, client, Some((health, Regard::NoDrains)), observer);
            if let Some(choice) = open {
                return Choice { fail_open: true, ..choice };
            }
        }
        // Fail open: the very answer that would be given if everything were up.
        observer.restart(Open::All);
        let open = self.walk(form, client, None, observer);
        Choice { fail_open: true, ..open.expect("without verdicts no filter applies") }
    }

    /// Applies every step; `None` when `healthy` would leave too little. Without verdicts
    /// everything counts as up.
    fn walk(
        &self,
        form: Form,
        client: &Client<'_>,
        verdicts: Option<(&Health, Regard)>,
        observer: &mut impl Observer,
    ) -> Option<Choice> {
        let mut candidates = self.all(form);
        let mut regarded = None;
        for Stage { step, act } in &self.stages {
            let before = candidates.clone();
            match (act, verdicts) {
                (Act::Healthy { min_healthy }, Some((health, regard))) => {
                    let needed = (*min_healthy).min(candidates.len());
                    candidates.retain(|c| self.has_usable(c.endpoint, form, health, regard));
                    if candidates.len() < needed {
                        return None;
                    }
                    regarded = Some(regard);
                }
                (Act::Healthy { .. }, None) => {}
                (Act::Failover { tiers }, _) => {
                    order::rank_by(&mut candidates, |c| tiers[c.endpoint as usize]);
                }
                (Act::Nearest, _) => {
                    let location = |c: &Candidate| self.endpoint(c).location;
                    rank::nearest(&mut candidates, client.order, location);
                }
                (Act::Weighted { cut }, _) => {
                    pick::weighted(&mut candidates, client.draw, *cut, |c| self.weigh(c));
                }
                (Act::Sticky, _) => {
                    pick::weighted(&mut candidates, client.stick, 0, |c| self.weigh(c));
                }
                (Act::RoundRobin, _) => {
                    pick::round_robin(&mut candidates, client.turn, |c| self.weigh(c));
                }
                (Act::Take(n), _) => candidates.truncate(*n),
            }
            observer.step(step, &before, &candidates);
        }
        Some(Choice { candidates, regard: regarded, fail_open: false })
    }

    /// The records of a choice, in its order, each once (RFC 2181 §5); of host names only the first, since an RRset of two
    /// CNAMEs may not be (RFC 2181 §10.1).
    pub fn records<'p, 'c>(
        &'p self,
        form: Form,
        choice: &'c Choice,
        health: &'c Health,
    ) -> impl Iterator<Item = &'p Record> + Clone + use<'p, 'c> {
        let all = choice
            .candidates
            .iter()
            .flat_map(move |candidate| {
                let of_form = self.endpoint(candidate).of(form).iter();
                of_form.map(move |record| (candidate.endpoint, record))
            })
            .filter(move |(endpoint, record)| {
                let usable = |regard| self.is_usable(*endpoint, record, health, regard);
                choice.regard.is_none_or(usable)
            })
            .map(|(_, record)| record);
        // Regions may share a mail host; an address belongs to one endpoint.
        let shared = !matches!(form, Form::A | Form::Aaaa);
        let before = all.clone();
        let first = move |(at, record): &(usize, &'p Record)| {
            !shared || !before.clone().take(*at).any(|other| other.rdata() == record.rdata())
        };
        all.enumerate().filter(first).map(|(_, record)| record).take(if form == Form::Cname {
            1
        } else {
            usize::MAX
        })
    }

    /// The binding of this type, HTTPS or SVCB.
    pub fn binding(&self, rtype: Rtype) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.rtype == rtype)
    }

    /// The scope prefix length that goes with any answer to a client subnet (module docs).
    pub fn scope(&self, form: Form, client: &Client<'_>) -> u8 {
        match self.depends[form as usize] {
            Depends::Nothing => 0,
            Depends::Place => client.leaf,
            Depends::Address => client.cap,
        }
    }

    /// Seconds, of every address RRset.
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// Keeps the draws of different services apart.
    pub fn key(&self) -> u64 {
        self.key
    }

    /// Whether it can answer this form at all.
    pub fn has(&self, form: Form) -> bool {
        self.endpoints.iter().any(|endpoint| !endpoint.of(form).is_empty())
    }

    /// How many endpoints there are.
    pub fn endpoints(&self) -> u8 {
        u8::try_from(self.endpoints.len()).unwrap_or(u8::MAX)
    }

    /// An endpoint's records of a form, for reports.
    pub fn endpoint_records(&self, form: Form, endpoint: u8) -> &[Record] {
        self.endpoints[endpoint as usize].of(form)
    }

    /// Index into the plan's locations.
    pub fn location(&self, endpoint: u8) -> u8 {
        self.endpoints[endpoint as usize].location
    }

    /// As configured.
    pub fn weight(&self, endpoint: u8) -> u32 {
        self.endpoints[endpoint as usize].weight
    }

    /// The tier that `failover` gives an endpoint, from 1 on; none: it is in none.
    pub fn tier(&self, step: &Step, endpoint: u8) -> Option<u8> {
        self.stages.iter().find(|stage| stage.step == *step)?.tier(endpoint)
    }

    /// The steps as compiled, the implied cut included.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().map(|stage| &stage.step)
    }

    /// Whether anybody has a turn, which is to be counted.
    pub fn takes_turns(&self) -> bool {
        self.stages.iter().any(|stage| matches!(stage.act, Act::RoundRobin))
    }

    /// How many endpoints of a form are usable, and how many there are.
    ///
    /// What a drain has not left to the last client is usable.
    pub fn usable(&self, form: Form, health: &Health) -> (usize, usize) {
        let all = (0..self.endpoints()).filter(|e| !self.endpoint_records(form, *e).is_empty());
        let last = Regard::All { hash: WHOLE };
        let usable = all.clone().filter(|e| self.has_usable(*e, form, health, last)).count();
        (usable, all.count())
    }

    /// How many endpoints have a usable record of any form, and how many there are.
    pub fn endpoints_usable(&self, health: &Health) -> (usize, usize) {
        let last = Regard::All { hash: WHOLE };
        let usable =
            |e: &u8| Form::ALL.into_iter().any(|form| self.has_usable(*e, form, health, last));
        ((0..self.endpoints()).filter(usable).count(), self.endpoints.len())
    }

    /// Whether `healthy` gives up filtering, by its own step's `min_healthy`, in any form.
    pub fn fails_open(&self, health: &Health) -> bool {
        let needed = self.stages.iter().filter_map(|stage| match stage.act {
            Act::Healthy { min_healthy } => Some(min_healthy),
            _ => None,
        });
        needed.max().is_some_and(|needed| {
            Form::ALL.into_iter().any(|form| {
                let (usable, all) = self.usable(form, health);
                usable < needed.min(all)
            })
        })
    }

    fn all(&self, form: Form) -> Candidates {
        (0_u8..)
            .zip(&self.endpoints)
            .filter(|(_, endpoint)| !endpoint.of(form).is_empty())
            .map(|(endpoint, _)| Candidate { endpoint, group: 0 })
            .collect()
    }

    fn endpoint<'p>(&'p self, candidate: &Candidate) -> &'p Compiled {
        &self.endpoints[candidate.endpoint as usize]
    }

    fn weigh(&self, candidate: &Candidate) -> Weighed {
        let Compiled { id, weight, .. } = *self.endpoint(candidate);
        Weighed { id, weight }
    }
}

impl Compiled {
    fn of(&self, form: Form) -> &[Record] {
        &self.records[form as usize]
    }
}

fn endpoint_id(endpoint: &Endpoint) -> u64 {
    let addresses = endpoint.addresses.iter().flat_map(|ip| match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    });
    let records = endpoint.records.iter().flat_map(|record| record.rdata.iter().copied());
    fold(endpoint.region.bytes().chain(addresses).chain(records))
}

#[cfg(test)]
mod tests;
