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

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use dns::rr::Rtype;
use dns::zone::ServiceId;
use geo::{Mask, Place, PlaceId, Slot};

use crate::plan::Geo;
use crate::service::{Binding, Endpoint, Form, MAX_ENDPOINTS, Service, Step};
use crate::target::Watched;
use crate::verdicts::{Health, TargetId, WHOLE};

use direct::Direct;
use hash::fold;
use leaving::Regard;
use scope::Sight;
use stage::{Act, Stage};

pub use choose::{Choice, Observer, Open, Outside, Records};
pub use hash::{mix, prefix_stick, subnet_draw};
pub use odds::{Draws, Looks, Odds};
pub use order::{Candidate, Candidates};
pub use record::Record;
pub use views::{Built, Class, MAX_CLASSES, MAX_VIEWS, Views};

mod choose;
mod direct;
mod hash;
mod leaving;
mod odds;
mod order;
mod pick;
mod rank;
mod record;
mod scope;
mod stage;
mod views;

/// A service's route, compiled against the locations and targets of a plan.
#[derive(Debug, Clone)]
pub struct Policy {
    id: ServiceId,
    stages: Box<[Stage]>,
    endpoints: Box<[Compiled]>,
    sights: [Sight; FORMS],
    /// By form, where the route is one that needs no order.
    direct: [Option<Box<Direct>>; FORMS],
    bindings: Box<[Binding]>,
    ttl: u32,
    ttl_min: u32,
    slow_start: Duration,
    key: u64,
    takes_turns: bool,
    /// Where its shares are; none: no step needs any.
    dynamic: Option<u32>,
}

/// One endpoint as the query path sees it.
#[derive(Debug, Clone)]
struct Compiled {
    location: u8,
    weight: u32,
    /// Requests per second.
    capacity: Option<u64>,
    /// Identity for draws: the same on every node and after every reload.
    id: u64,
    records: [Box<[Record]>; FORMS],
}

/// What a drain has not left to the last client is usable.
const LAST: Regard = Regard::All { hash: WHOLE };

/// What an endpoint can be given out as.
const FORMS: usize = Form::ALL.len();

/// The client as a route sees it.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Where places and locations are.
    pub geo: &'a Geo,
    /// The client's place.
    pub place: PlaceId,
    /// The address that was looked up: what scopes and drains go by.
    pub address: IpAddr,
    /// Where the table has it.
    pub slot: Slot,
    /// Whether the answer is for all of a scope, not for `address` alone.
    pub is_subnet: bool,
    /// Prefix length of the leaf that holds the client's address.
    pub leaf: u8,
    /// Prefix length at which draws are made, and the finest scope.
    pub cap: u8,
    /// What a draw is made from: equal for every address inside the scope when the answer is for a
    /// client subnet, fresh for each query when it is for the one who asks.
    pub draw: u64,
    /// What a client sticks to: of its prefix alone, also of one who asks for itself.
    pub stick: u64,
    /// Whose turn it is: of the prefix and the time for a client subnet, else a count.
    pub turn: u64,
}

impl<'a> Client<'a> {
    /// Whoever is at a place: for routes that look at nothing else of a client.
    pub fn anybody_at(place: PlaceId, geo: &'a Geo) -> Self {
        Self {
            geo,
            place,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            slot: Slot::default(),
            is_subnet: false,
            leaf: geo.cap.v4(),
            cap: geo.cap.v4(),
            draw: 0,
            stick: 0,
            turn: 0,
        }
    }

    /// What distances are measured from.
    pub fn whereabouts(&self) -> &'a Place {
        self.geo.table.place(self.place)
    }
}

impl Policy {
    /// Compiles the service that a plan numbers `id`; `location` and `target` give the plan's indices,
    /// and `views` gathers how routes look at places. The scopes of its class are found by [`Policy::settle`].
    ///
    /// # Panics
    ///
    /// When the service has more than [`MAX_ENDPOINTS`] endpoints, or one in a region that is no
    /// location: validation refuses both.
    pub fn compile(
        service: &Service,
        id: ServiceId,
        mut location: impl FnMut(&str) -> Option<u8>,
        mut target: impl FnMut(&Watched) -> TargetId,
        views: &mut Views<'_>,
    ) -> Self {
        assert!(service.endpoints.len() <= MAX_ENDPOINTS, "validation limits endpoints");
        let endpoints: Box<[Compiled]> = service
            .endpoints
            .iter()
            .map(|endpoint| Compiled {
                records: Form::ALL.map(|form| record::compile(endpoint, form, &mut target)),
                location: location(&endpoint.region).expect("validation places every region"),
                weight: endpoint.weight,
                capacity: endpoint.capacity,
                id: endpoint_id(endpoint),
            })
            .collect();
        let stages = stage::compile(service, &mut location, views);
        let sights = Form::ALL.map(|form| Sight::of(&stages, &endpoints, form, views));
        let direct = Form::ALL.map(|form| Direct::of(&stages, &endpoints, form));
        Self {
            id,
            sights,
            direct,
            takes_turns: stages.iter().any(|stage| matches!(stage.act, Act::RoundRobin)),
            bindings: service.bindings.clone().into(),
            stages,
            endpoints,
            ttl: seconds(service.ttl),
            ttl_min: seconds(service.ttl_min.min(service.ttl)),
            slow_start: service.slow_start,
            key: fold(service.name.lower().iter().copied()),
            dynamic: None,
        }
    }

    /// Finds its scopes among those of the plan.
    pub fn settle(&mut self, geo: &Geo) {
        self.sights.iter_mut().for_each(|sight| sight.settle(geo));
    }

    /// Whether its scopes are where it looks for them.
    pub(crate) fn is_settled(&self, geo: &Geo) -> bool {
        self.sights.iter().all(|sight| sight.is_settled(geo))
    }

    /// The same one with another number.
    pub(crate) fn renumbered(&self, id: ServiceId) -> Self {
        Self { id, ..self.clone() }
    }

    /// What the answers of each of its forms can tell apart, where that is a class.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.sights.iter().filter_map(Sight::class)
    }

    /// The binding of this type, HTTPS or SVCB.
    pub fn binding(&self, rtype: Rtype) -> Option<&Binding> {
        self.bindings.iter().find(|binding| binding.rtype == rtype)
    }

    /// The scope prefix length that goes with any answer to a client subnet (module docs).
    pub fn scope(&self, form: Form, client: &Client<'_>) -> u8 {
        self.sights[form as usize].scope(client)
    }

    /// Whether its answers of a form depend on more of a client than its place, so on a draw.
    pub fn draws(&self, form: Form) -> bool {
        self.sights[form as usize].draws()
    }

    /// Seconds, of every RRset; fewer while the service is unsettled
    /// ([`Health::is_unsettled`]).
    pub fn ttl(&self, unsettled: bool) -> u32 {
        if unsettled { self.ttl_min } else { self.ttl }
    }

    /// How long an endpoint that recovered takes until it has its whole weight.
    pub fn slow_start(&self) -> Duration {
        self.slow_start
    }

    /// Every verdict that it looks at, some of them more than once.
    pub fn targets(&self) -> impl Iterator<Item = TargetId> + '_ {
        let records = self.endpoints.iter().flat_map(|endpoint| endpoint.records.iter().flatten());
        records.filter_map(|record| record.target)
    }

    /// Of the service, in the plan it was compiled for.
    pub fn id(&self) -> ServiceId {
        self.id
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

    /// As configured, in requests per second; none: not stated.
    pub fn capacity(&self, endpoint: u8) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "requests per second")]
        self.endpoints[endpoint as usize].capacity.map(|capacity| capacity as f64)
    }

    /// The tier that `failover` gives an endpoint, from 1 on; none: it is in none.
    pub fn tier(&self, step: &Step, endpoint: u8) -> Option<u8> {
        self.stages.iter().find(|stage| stage.step == *step)?.tier(endpoint)
    }

    /// The steps as compiled, the implied cut included.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().map(|stage| &stage.step)
    }

    /// Numbers it among the services with shares, if a step of its needs any.
    pub fn number(&mut self, dynamic: impl FnOnce() -> u32) {
        let needs = |stage: &Stage| matches!(stage.act, Act::Load | Act::Fair { .. });
        self.dynamic = self.stages.iter().any(needs).then(dynamic);
    }

    /// Where its shares are among those of [`Health`]; none: no step needs any.
    pub fn dynamic(&self) -> Option<u32> {
        self.dynamic
    }

    /// Identity of an endpoint for draws: the same on every node and after every reload.
    pub fn endpoint_id(&self, endpoint: u8) -> u64 {
        self.endpoints[endpoint as usize].id
    }

    /// Whether recovered endpoints get their weight little by little.
    fn starts_slowly(&self) -> bool {
        !self.slow_start.is_zero()
    }

    /// The lens through which a step of its looks; none: it looks at no place.
    pub fn lens(&self, step: &Step) -> Option<u8> {
        match self.stages.iter().find(|stage| stage.step == *step)?.act {
            Act::Nearest { lens, .. } => Some(lens),
            _ => None,
        }
    }

    /// The rule of the fence that a client matches, from its place.
    pub fn fence_rule(&self, client: &Client<'_>) -> Option<u8> {
        let fence = self.stages.iter().find_map(|stage| match stage.act {
            Act::Fence { fence, .. } => Some(fence),
            _ => None,
        })?;
        client.geo.views.fences[usize::from(fence)].allowed(client.place).1
    }

    /// Whether anybody has a turn, which is to be counted.
    pub fn takes_turns(&self) -> bool {
        self.takes_turns
    }

    /// How many endpoints of a form are usable for anybody, and how many there are.
    pub fn usable(&self, form: Form, health: &Health) -> (usize, usize) {
        self.usable_in(Mask::MAX, form, health)
    }

    /// How many endpoints have a record of any form that is usable for anybody, and how many there
    /// are.
    pub fn endpoints_usable(&self, health: &Health) -> (usize, usize) {
        let usable = |endpoint: &u8| {
            Form::ALL.into_iter().any(|form| self.has_usable(*endpoint, form, health, LAST))
        };
        ((0..self.endpoints()).filter(usable).count(), self.endpoints.len())
    }

    /// Whether `healthy` gives up filtering, by its own step's `min_healthy`, in any form, for
    /// anybody or for the clients of a fence's rule.
    pub fn fails_open(&self, geo: &Geo, health: &Health) -> bool {
        let needed = self.stages.iter().filter_map(|stage| match stage.act {
            Act::Healthy { min_healthy } => Some(min_healthy),
            _ => None,
        });
        let fence = self.stages.iter().find_map(|stage| match stage.act {
            Act::Fence { fence, .. } => Some(&geo.views.fences[usize::from(fence)]),
            _ => None,
        });
        let within = fence.into_iter().flat_map(|fence| fence.masks()).chain([Mask::MAX]);
        needed.max().is_some_and(|needed| {
            within.clone().any(|mask| {
                Form::ALL.into_iter().any(|form| {
                    let (usable, all) = self.usable_in(mask, form, health);
                    usable < needed.min(all)
                })
            })
        })
    }

    fn usable_in(&self, mask: Mask, form: Form, health: &Health) -> (usize, usize) {
        let all = (0..self.endpoints()).filter(|endpoint| {
            mask & 1 << self.location(*endpoint) != 0
                && !self.endpoint_records(form, *endpoint).is_empty()
        });
        let usable = all.clone().filter(|endpoint| self.has_usable(*endpoint, form, health, LAST));
        (usable.count(), all.count())
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
}

impl Compiled {
    fn of(&self, form: Form) -> &[Record] {
        &self.records[form as usize]
    }
}

fn seconds(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_secs()).unwrap_or(i32::MAX as u32)
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
