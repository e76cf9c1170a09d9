//! Which endpoints a client is answered with: a route, compiled, and applied.
//!
//! # The idea
//!
//! A route works on a *weak order*: a list of candidates in groups, the best group first. It
//! starts as one group of all endpoints that have an address of the family, and each step does one
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
//! recovery. [`Policy::scope`] is computed at compile time, per family:
//!
//! | the answer can depend on | scope |
//! |---|---|
//! | nothing of the client (one location, no draw) | /0 |
//! | the client's place | the leaf of the address table that holds it |
//! | a draw per client | the cap (default /24 and /48) |

use std::net::IpAddr;
use std::num::NonZeroU32;

use arrayvec::ArrayVec;

use crate::health::State;
use crate::service::{MAX_ENDPOINTS, Service, Step};

/// An address family; A and AAAA are chosen separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4: type A.
    V4,
    /// IPv6: type AAAA.
    V6,
}

/// Locations that one node ranks: the size of a table on the stack, and of a byte.
pub const MAX_LOCATIONS: usize = 128;

/// Index into the states that [`Health`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetId(pub u32);

/// The verdicts that a choice is made with, one per target; frozen, replaced whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health(Box<[State]>);

impl Health {
    /// In the order of target ids.
    pub fn new(states: impl IntoIterator<Item = State>) -> Self {
        Self(states.into_iter().collect())
    }

    /// The state of one target; what was never listed is unknown.
    pub fn state(&self, target: TargetId) -> State {
        self.0.get(target.0 as usize).copied().unwrap_or(State::Unknown)
    }
}

/// A service's route, compiled against the locations and targets of a plan.
#[derive(Debug, Clone)]
pub struct Policy {
    steps: Box<[Step]>,
    endpoints: Box<[Compiled]>,
    depends: [Depends; 2],
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
    addresses: [Box<[Address]>; 2],
}

/// One address of an endpoint, ready to be written.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    /// The address itself.
    pub ip: IpAddr,
    octets: [u8; 16],
    /// Whose state is its health; none: never probed, always up.
    pub target: Option<TargetId>,
}

impl Address {
    fn new(ip: IpAddr, target: Option<TargetId>) -> Self {
        let mut octets = [0; 16];
        match ip {
            IpAddr::V4(v4) => octets[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => octets = v6.octets(),
        }
        Self { ip, octets, target }
    }

    /// The RDATA of its A or AAAA record.
    pub fn rdata(&self) -> &[u8] {
        if self.ip.is_ipv4() { &self.octets[..4] } else { &self.octets }
    }

    fn is_usable(&self, health: &Health) -> bool {
        self.target.is_none_or(|target| health.state(target).is_usable())
    }
}

/// What of a client an answer can depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Depends {
    Nothing,
    Place,
    Address,
}

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
}

/// One endpoint under consideration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Index into the service's endpoints.
    pub endpoint: u8,
    /// Its group; lower is better, equal is undecided.
    pub group: u8,
}

/// The candidates of one choice: a weak order, best group first.
pub type Candidates = ArrayVec<Candidate, MAX_ENDPOINTS>;

/// What a route chose. Turn it into addresses with [`Policy::addresses`].
#[derive(Debug, Clone)]
pub struct Choice {
    /// The endpoints to answer with, best first.
    pub candidates: Candidates,
    /// Addresses that are not usable are left out.
    only_usable: bool,
    /// `healthy` would have left too little, so everything counts as up.
    pub fail_open: bool,
}

/// Looks over the shoulder of a choice; `explain` records, the query path passes `()`.
pub trait Observer {
    /// `step` made `after` out of `before`.
    fn step(&mut self, step: Step, before: &[Candidate], after: &[Candidate]);
    /// What was seen does not count: the walk begins again with everything up.
    fn restart(&mut self);
}

impl Observer for () {
    #[inline]
    fn step(&mut self, _: Step, _: &[Candidate], _: &[Candidate]) {}
    #[inline]
    fn restart(&mut self) {}
}

impl Policy {
    /// Compiles a service; `location` and `target` give the plan's indices.
    ///
    /// # Panics
    ///
    /// When the service has more than [`MAX_ENDPOINTS`] endpoints, which validation refuses.
    pub fn compile(
        service: &Service,
        mut location: impl FnMut(&str) -> u8,
        mut target: impl FnMut(&crate::service::Target) -> TargetId,
    ) -> Self {
        assert!(service.endpoints.len() <= MAX_ENDPOINTS, "validation limits endpoints");
        let endpoints: Box<[Compiled]> = service
            .endpoints
            .iter()
            .map(|endpoint| {
                let mut of = |v4: bool| -> Box<[Address]> {
                    let family = endpoint.addresses.iter().filter(|ip| ip.is_ipv4() == v4);
                    family
                        .map(|ip| Address::new(*ip, endpoint.target_of(*ip).map(|t| target(&t))))
                        .collect()
                };
                Compiled {
                    addresses: [of(true), of(false)],
                    location: location(&endpoint.region),
                    weight: endpoint.weight,
                    id: endpoint_id(endpoint),
                }
            })
            .collect();
        let mut steps = service.route.clone();
        if !steps.iter().any(|step| matches!(step, Step::Take(_)))
            && let Some(last) = steps.iter().rposition(|step| step.orders())
        {
            steps.insert(last + 1, Step::Take(NonZeroU32::MIN));
        }
        let depends = [Family::V4, Family::V6].map(|family| depends(&steps, &endpoints, family));
        Self {
            depends,
            steps: steps.into(),
            endpoints,
            ttl: u32::try_from(service.ttl.as_secs()).unwrap_or(i32::MAX as u32),
            key: fold(service.name.lower().iter().copied()),
        }
    }

    /// Chooses for one client.
    ///
    /// Never empty when the service has an address of the family: a filter that would leave
    /// nothing is not applied.
    pub fn choose(
        &self,
        family: Family,
        client: &Client<'_>,
        health: &Health,
        observer: &mut impl Observer,
    ) -> Choice {
        self.walk(family, client, Some(health), observer).unwrap_or_else(|| {
            // Fail open: the very answer that would be given if everything were up.
            observer.restart();
            let open = self.walk(family, client, None, observer);
            Choice { fail_open: true, ..open.expect("without verdicts no filter applies") }
        })
    }

    /// Applies every step; `None` when `healthy` would leave too little. Without verdicts
    /// everything counts as up.
    fn walk(
        &self,
        family: Family,
        client: &Client<'_>,
        verdicts: Option<&Health>,
        observer: &mut impl Observer,
    ) -> Option<Choice> {
        let mut candidates = self.all(family);
        let mut only_usable = false;
        for step in &self.steps {
            let before = candidates.clone();
            match (*step, verdicts) {
                (Step::Healthy { min_healthy }, Some(health)) => {
                    let needed = (min_healthy.get() as usize).min(candidates.len());
                    candidates.retain(|c| self.endpoint(c).is_usable(family, health));
                    if candidates.len() < needed {
                        return None;
                    }
                    only_usable = true;
                }
                (Step::Healthy { .. }, None) => {}
                (Step::Nearest, _) => self.rank_nearest(client.order, &mut candidates),
                (Step::Weighted, _) => self.pick_weighted(client.draw, &mut candidates),
                (Step::Take(n), _) => candidates.truncate(n.get() as usize),
            }
            observer.step(*step, &before, &candidates);
        }
        Some(Choice { candidates, only_usable, fail_open: false })
    }

    /// The addresses of a choice, in its order.
    pub fn addresses<'a>(
        &'a self,
        family: Family,
        choice: &'a Choice,
        health: &'a Health,
    ) -> impl Iterator<Item = &'a Address> + Clone {
        choice
            .candidates
            .iter()
            .flat_map(move |candidate| self.endpoint(candidate).of(family))
            .filter(move |address| !choice.only_usable || address.is_usable(health))
    }

    /// The scope prefix length that goes with any answer to a client subnet (module docs).
    pub fn scope(&self, family: Family, client: &Client<'_>) -> u8 {
        match self.depends[family as usize] {
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

    /// Whether it can answer this family at all.
    pub fn has(&self, family: Family) -> bool {
        self.endpoints.iter().any(|endpoint| !endpoint.of(family).is_empty())
    }

    /// Every endpoint's addresses of a family, by endpoint index, for reports.
    pub fn endpoint_addresses(&self, family: Family, endpoint: u8) -> &[Address] {
        self.endpoints[endpoint as usize].of(family)
    }

    /// Index into the plan's locations.
    pub fn location(&self, endpoint: u8) -> u8 {
        self.endpoints[endpoint as usize].location
    }

    /// As configured.
    pub fn weight(&self, endpoint: u8) -> u32 {
        self.endpoints[endpoint as usize].weight
    }

    /// The steps as compiled, the implied cut included.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many endpoints of a family are usable, and how many there are.
    pub fn usable(&self, family: Family, health: &Health) -> (usize, usize) {
        let all = self.endpoints.iter().filter(|endpoint| !endpoint.of(family).is_empty());
        let usable = all.clone().filter(|e| e.is_usable(family, health)).count();
        (usable, all.count())
    }

    /// How many endpoints have a usable address of any family, and how many there are.
    pub fn endpoints_usable(&self, health: &Health) -> (usize, usize) {
        let usable =
            |e: &&Compiled| [Family::V4, Family::V6].into_iter().any(|f| e.is_usable(f, health));
        (self.endpoints.iter().filter(usable).count(), self.endpoints.len())
    }

    /// Whether `healthy` gives up filtering, by its own step's `min_healthy`, in either family.
    pub fn fails_open(&self, health: &Health) -> bool {
        let needed = self.steps.iter().filter_map(|step| match step {
            Step::Healthy { min_healthy } => Some(min_healthy.get() as usize),
            _ => None,
        });
        needed.max().is_some_and(|needed| {
            [Family::V4, Family::V6].into_iter().any(|family| {
                let (usable, all) = self.usable(family, health);
                usable < needed.min(all)
            })
        })
    }

    fn all(&self, family: Family) -> Candidates {
        (0_u8..)
            .zip(&self.endpoints)
            .filter(|(_, endpoint)| !endpoint.of(family).is_empty())
            .map(|(endpoint, _)| Candidate { endpoint, group: 0 })
            .collect()
    }

    fn endpoint(&self, candidate: &Candidate) -> &Compiled {
        &self.endpoints[candidate.endpoint as usize]
    }

    fn rank_nearest(&self, order: &[u8], candidates: &mut Candidates) {
        let mut position = [u8::MAX; MAX_LOCATIONS];
        for (rank, location) in (0_u8..).zip(order) {
            position[*location as usize] = rank;
        }
        let rank = |candidate: &Candidate| position[self.endpoint(candidate).location as usize];
        candidates.sort_unstable_by_key(|c| (c.group, rank(c), c.endpoint));
        regroup(candidates, |a, b| a.group == b.group && rank(a) == rank(b));
    }

    fn pick_weighted(&self, draw: u64, candidates: &mut Candidates) {
        let weight = |c: &Candidate| self.endpoint(c).weight;
        let score = |c: &Candidate| weighted_score(draw, self.endpoint(c).id, weight(c));
        candidates.sort_unstable_by(|a, b| {
            let last_resort = |c: &Candidate| weight(c) == 0;
            (last_resort(a), a.group)
                .cmp(&(last_resort(b), b.group))
                .then_with(|| score(b).total_cmp(&score(a)))
                .then_with(|| a.endpoint.cmp(&b.endpoint))
        });
        regroup(candidates, |_, _| false);
    }
}

impl Compiled {
    fn of(&self, family: Family) -> &[Address] {
        &self.addresses[family as usize]
    }

    fn is_usable(&self, family: Family, health: &Health) -> bool {
        self.of(family).iter().any(|address| address.is_usable(health))
    }
}

/// Numbers the groups of a sorted list anew; neighbours that are not `same` begin a new group.
fn regroup(candidates: &mut Candidates, same: impl Fn(&Candidate, &Candidate) -> bool) {
    let mut group = 0;
    let mut previous: Option<Candidate> = None;
    for candidate in candidates {
        let original = *candidate;
        if previous.is_some_and(|previous| !same(&previous, &original)) {
            group += 1;
        }
        previous = Some(original);
        candidate.group = group;
    }
}

/// The score of one endpoint in a weighted draw; the highest comes first.
///
/// `ln(u) / w` with `u` uniform in (0, 1) makes each endpoint come first with probability
/// w / Σw, and the rest follow as in a draw without replacement (Efraimidis & Spirakis 2006,
/// "Weighted random sampling with a reservoir"). With `u` a hash of client and endpoint it is also
/// weighted rendezvous hashing: a change of one endpoint moves only its own share.
fn weighted_score(draw: u64, endpoint: u64, weight: u32) -> f64 {
    let bits = mix(draw ^ endpoint);
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let uniform = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    uniform.ln() / f64::from(weight.max(1))
}

/// What the answers of a family can depend on: the finest of what its steps look at.
fn depends(steps: &[Step], endpoints: &[Compiled], family: Family) -> Depends {
    let of_family: Vec<_> = endpoints.iter().filter(|e| !e.of(family).is_empty()).collect();
    let location_twice = (1..of_family.len())
        .any(|i| of_family[..i].iter().any(|other| other.location == of_family[i].location));
    let mut split_by_location = false;
    let mut depends = Depends::Nothing;
    for step in steps {
        match step {
            Step::Nearest if of_family.iter().any(|e| e.location != of_family[0].location) => {
                split_by_location = true;
                depends = depends.max(Depends::Place);
            }
            // A draw decides something only where a group can hold two.
            Step::Weighted if of_family.len() > 1 && (!split_by_location || location_twice) => {
                depends = Depends::Address;
            }
            _ => {}
        }
    }
    depends
}

/// The draw of a client subnet: equal inside a prefix, new in each time slot.
pub fn subnet_draw(policy_key: u64, prefix: IpAddr, slot: u64) -> u64 {
    let bits = match prefix {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    #[expect(clippy::cast_possible_truncation, reason = "both halves are mixed in")]
    let (high, low) = ((bits >> 64) as u64, bits as u64);
    mix(mix(mix(policy_key ^ slot).wrapping_add(high)).wrapping_add(low))
}

fn endpoint_id(endpoint: &crate::service::Endpoint) -> u64 {
    let addresses = endpoint.addresses.iter().flat_map(|ip| match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    });
    fold(endpoint.region.bytes().chain(addresses))
}

fn fold(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0x9e37_79b9_7f4a_7c15, |state, byte| mix(state ^ u64::from(byte)))
}

/// A bijective mixer of 64 bits (the finaliser of SplitMix64, Steele et al. 2014).
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
