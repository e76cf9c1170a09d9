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

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;

use arrayvec::ArrayVec;
use dns::rr::Rtype;

use crate::service::{self, Binding, Endpoint, Form, MAX_ENDPOINTS, Service, Step, Target};
use crate::verdicts::{Health, TargetId};

/// Locations that one node ranks: the size of a table on the stack, and of a byte.
pub const MAX_LOCATIONS: usize = 128;

/// A service's route, compiled against the locations and targets of a plan.
#[derive(Debug, Clone)]
pub struct Policy {
    steps: Box<[Step]>,
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

/// One record of an endpoint, ready to be written.
#[derive(Debug, Clone)]
pub struct Record {
    data: Data,
    /// Whose state is its health; none: never probed, always up.
    pub target: Option<TargetId>,
}

#[derive(Debug, Clone)]
enum Data {
    V4([u8; 4]),
    V6([u8; 16]),
    Other { rdata: Box<[u8]>, text: Box<str> },
}

impl Record {
    fn address(ip: IpAddr, target: Option<TargetId>) -> Self {
        let data = match ip {
            IpAddr::V4(v4) => Data::V4(v4.octets()),
            IpAddr::V6(v6) => Data::V6(v6.octets()),
        };
        Self { data, target }
    }

    /// Its RDATA, names uncompressed.
    pub fn rdata(&self) -> &[u8] {
        match &self.data {
            Data::V4(octets) => octets,
            Data::V6(octets) => octets,
            Data::Other { rdata, .. } => rdata,
        }
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

/// What a route chose. Turn it into records with [`Policy::records`].
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

/// In presentation form.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.data {
            Data::V4(octets) => IpAddr::from(*octets).fmt(f),
            Data::V6(octets) => IpAddr::from(*octets).fmt(f),
            Data::Other { text, .. } => f.write_str(text),
        }
    }
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
        mut target: impl FnMut(&Target) -> TargetId,
    ) -> Self {
        assert!(service.endpoints.len() <= MAX_ENDPOINTS, "validation limits endpoints");
        let endpoints: Box<[Compiled]> = service
            .endpoints
            .iter()
            .map(|endpoint| Compiled {
                records: Form::ALL.map(|form| compile(endpoint, form, &mut target)),
                location: location(&endpoint.region),
                weight: endpoint.weight,
                id: endpoint_id(endpoint),
            })
            .collect();
        let mut steps = service.route.clone();
        if !steps.iter().any(|step| matches!(step, Step::Take(_)))
            && let Some(last) = steps.iter().rposition(|step| step.orders())
        {
            steps.insert(last + 1, Step::Take(NonZeroU32::MIN));
        }
        let depends = Form::ALL.map(|form| depends(&steps, &endpoints, form));
        Self {
            depends,
            bindings: service.bindings.clone().into(),
            steps: steps.into(),
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
        self.walk(form, client, Some(health), observer).unwrap_or_else(|| {
            // Fail open: the very answer that would be given if everything were up.
            observer.restart();
            let open = self.walk(form, client, None, observer);
            Choice { fail_open: true, ..open.expect("without verdicts no filter applies") }
        })
    }

    /// Applies every step; `None` when `healthy` would leave too little. Without verdicts
    /// everything counts as up.
    fn walk(
        &self,
        form: Form,
        client: &Client<'_>,
        verdicts: Option<&Health>,
        observer: &mut impl Observer,
    ) -> Option<Choice> {
        let mut candidates = self.all(form);
        let mut only_usable = false;
        for step in &self.steps {
            let before = candidates.clone();
            match (*step, verdicts) {
                (Step::Healthy { min_healthy }, Some(health)) => {
                    let needed = (min_healthy.get() as usize).min(candidates.len());
                    candidates.retain(|c| self.endpoint(c).is_usable(form, health));
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
            .flat_map(move |candidate| self.endpoint(candidate).of(form))
            .filter(move |record| !choice.only_usable || record.is_usable(health));
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

    /// The steps as compiled, the implied cut included.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many endpoints of a form are usable, and how many there are.
    pub fn usable(&self, form: Form, health: &Health) -> (usize, usize) {
        let all = self.endpoints.iter().filter(|endpoint| !endpoint.of(form).is_empty());
        let usable = all.clone().filter(|e| e.is_usable(form, health)).count();
        (usable, all.count())
    }

    /// How many endpoints have a usable record of any form, and how many there are.
    pub fn endpoints_usable(&self, health: &Health) -> (usize, usize) {
        let usable = |e: &&Compiled| Form::ALL.into_iter().any(|f| e.is_usable(f, health));
        (self.endpoints.iter().filter(usable).count(), self.endpoints.len())
    }

    /// Whether `healthy` gives up filtering, by its own step's `min_healthy`, in any form.
    pub fn fails_open(&self, health: &Health) -> bool {
        let needed = self.steps.iter().filter_map(|step| match step {
            Step::Healthy { min_healthy } => Some(min_healthy.get() as usize),
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
    fn of(&self, form: Form) -> &[Record] {
        &self.records[form as usize]
    }

    fn is_usable(&self, form: Form, health: &Health) -> bool {
        self.of(form).iter().any(|record| record.is_usable(health))
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

/// What the answers of a form can depend on: the finest of what its steps look at.
fn depends(steps: &[Step], endpoints: &[Compiled], form: Form) -> Depends {
    let having: Vec<_> = endpoints.iter().filter(|e| !e.of(form).is_empty()).collect();
    let location_twice = (1..having.len())
        .any(|i| having[..i].iter().any(|other| other.location == having[i].location));
    let mut split_by_location = false;
    let mut depends = Depends::Nothing;
    for step in steps {
        match step {
            Step::Nearest if having.iter().any(|e| e.location != having[0].location) => {
                split_by_location = true;
                depends = depends.max(Depends::Place);
            }
            // A draw decides something only where a group can hold two.
            Step::Weighted if having.len() > 1 && (!split_by_location || location_twice) => {
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

fn compile(
    endpoint: &Endpoint,
    form: Form,
    target: &mut impl FnMut(&Target) -> TargetId,
) -> Box<[Record]> {
    let mut addresses = |v4: bool| -> Box<[Record]> {
        let of_family = endpoint.addresses.iter().filter(|ip| ip.is_ipv4() == v4);
        of_family
            .map(|ip| Record::address(*ip, endpoint.target_of(*ip).map(|t| target(&t))))
            .collect()
    };
    match form {
        Form::A => addresses(true),
        Form::Aaaa => addresses(false),
        _ => {
            let of_form = endpoint.records.iter().filter(|record| record.form == form);
            let record = |record: &service::Record| Record {
                data: Data::Other { rdata: record.rdata.clone(), text: record.text.clone().into() },
                target: endpoint.target().map(|t| target(&t)),
            };
            of_form.map(record).collect()
        }
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
