//! The whole decision for one client, in words: made by [`Policy::choose`], the code that answers,
//! with an observer looking over its shoulder.

use std::fmt;
use std::net::IpAddr;

use arrayvec::ArrayVec;
use dns::name::{LowerName, Name};
use dns::resolve::Resolution;
use dns::rr::Rcode;
use dns::zone::ServiceId;
use geo::{Country, Kilometres, Point, Source};
use ipnet::IpNet;

use crate::client::{Asker, Own, truncate};
use crate::health::State;
use crate::plan::{self, Snapshot};
use crate::policy::{Candidate, Choice, Client, Observer, Open, Outside, Policy, Record};
use crate::service::{Form, Step};
use crate::verdicts::{Health, Stance, Verdict, WHOLE};

use words::Facts;

mod words;

/// Why a client gets what it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Where the client is taken to be.
    pub place: Place,
    /// One per form asked about.
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

/// One form's way through the route.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Of which records.
    pub form: Form,
    /// In the order of the route.
    pub steps: Vec<Seen>,
    /// The answer, in presentation form.
    pub records: Vec<String>,
    /// Seconds.
    pub ttl: u32,
    /// That goes with it.
    pub scope: u8,
    /// Nothing healthy was left: decided as if all were up.
    pub fail_open: bool,
    /// The client's fence holds nothing of the form: what is answered instead.
    pub outside: Option<Outside>,
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
    /// Of the form, in presentation form.
    pub records: Vec<String>,
    /// Whether it went on to the next step.
    pub kept: bool,
    /// With the figure that decided.
    pub reason: String,
    /// To the client's place; from a country the mean over its networks.
    pub distance: Option<Kilometres>,
    /// As configured.
    pub weight: u32,
    /// Of its records, in words.
    pub health: String,
}

/// Explains a service's answer to `client` at `now` (seconds since 1970).
pub fn explain(
    snapshot: &Snapshot,
    policy: &Policy,
    client: IpAddr,
    forms: &[Form],
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
    let decisions = forms
        .iter()
        .filter(|form| policy.has(**form))
        .map(|form| {
            let view = View { snapshot, policy, form: *form, from: known };
            view.decide(&asker, now)
        })
        .collect();
    Explanation { place, decisions }
}

/// The service called `name`, or of which that is an alias, if there is one.
pub fn find<'a>(snapshot: &'a Snapshot, name: &Name) -> Option<&'a Policy> {
    let plan::Services { services, aliases, .. } = &*snapshot.inputs.services;
    let alias = aliases.iter().find(|(alias, _)| alias == name);
    match alias {
        Some((_, ServiceId(id))) => services.get(*id as usize).map(|(_, policy)| &**policy),
        None => services.iter().find(|(owner, _)| owner == name).map(|(_, policy)| &**policy),
    }
}

/// The service that a name leads to, as the zones have it: through a wildcard, or their CNAMEs.
///
/// # Errors
///
/// It leads to none; the response code of who asks for it.
pub fn lead<'a>(snapshot: &'a Snapshot, name: &Name, forms: &[Form]) -> Result<&'a Name, Rcode> {
    let plan::Services { services, .. } = &*snapshot.inputs.services;
    let name = LowerName::from(name);
    let mut resolution = Resolution::new();
    let mut rcode = Rcode::REFUSED;
    for form in forms {
        snapshot.inputs.zones.resolve(&name, form.rtype(), &mut resolution);
        rcode = resolution.rcode();
        if let Some((ServiceId(id), _)) = resolution.service()
            && let Some((owner, _)) = services.get(id as usize)
        {
            return Ok(owner);
        }
    }
    Err(rcode)
}

/// What a recorder needs to put candidates into words.
struct View<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    form: Form,
    from: &'a geo::Place,
}

struct Recorder<'a> {
    view: &'a View<'a>,
    client: &'a Client<'a>,
    seen: Vec<Seen>,
    open: Option<Open>,
}

impl Observer for Recorder<'_> {
    fn step(&mut self, step: &Step, before: &[Candidate], after: &[Candidate]) {
        let candidates = self.view.considered(step, before, after, self);
        self.seen.push(Seen { step: step.clone(), candidates });
    }

    fn restart(&mut self, open: Open) {
        self.seen.clear();
        self.open = Some(open);
    }
}

impl View<'_> {
    fn decide(&self, asker: &Asker, now: u64) -> Decision {
        let geo = &self.snapshot.inputs.geo;
        let health = &self.snapshot.health;
        // Of a resolver that asks for itself, one draw of many.
        let client = asker.client(geo, self.policy, self.form, || now, Own { draw: 0, turn: 0 });
        let mut recorder = Recorder { view: self, client: &client, seen: Vec::new(), open: None };
        let choice = self.policy.choose(self.form, &client, health, &mut recorder);
        let records = self.policy.records(self.form, &choice, health);
        Decision {
            form: self.form,
            steps: recorder.seen,
            records: records.map(Record::to_string).collect(),
            ttl: self.policy.ttl(health.is_unsettled(self.policy.id())),
            scope: asker.scope(self.policy, self.form, &client),
            fail_open: choice.fail_open,
            outside: choice.outside,
        }
    }

    fn considered(
        &self,
        step: &Step,
        before: &[Candidate],
        after: &[Candidate],
        recorder: &Recorder<'_>,
    ) -> Vec<Considered> {
        let dropped = before.iter().filter(|b| !after.iter().any(|a| a.endpoint == b.endpoint));
        let kept = after.iter().map(|candidate| (candidate, true));
        kept.chain(dropped.map(|candidate| (candidate, false)))
            .enumerate()
            .map(|(rank, (candidate, kept))| {
                let records = self.policy.endpoint_records(self.form, candidate.endpoint);
                let at = usize::from(self.policy.location(candidate.endpoint));
                let location = &self.snapshot.inputs.services.locations[at];
                let group = |all: &[Candidate]| {
                    let own = all.iter().find(|other| other.endpoint == candidate.endpoint);
                    own.map(|own| own.group)
                };
                let own = group(before);
                let alone = before.iter().filter(|other| Some(other.group) == own).count() == 1;
                let distance = self.snapshot.inputs.geo.distances.between(self.from, at);
                let health = self.health(candidate.endpoint);
                let facts = Facts {
                    policy: self.policy,
                    verdicts: &self.snapshot.health,
                    form: self.form,
                    client: recorder.client,
                    open: recorder.open,
                    candidate: *candidate,
                    kept,
                    alone,
                    rank: rank + 1,
                    region: &location.region,
                    distance,
                    health: &health,
                };
                Considered {
                    reason: facts.reason(step),
                    region: location.region.clone(),
                    records: records.iter().map(Record::to_string).collect(),
                    kept,
                    distance,
                    weight: self.policy.weight(candidate.endpoint),
                    health,
                }
            })
            .collect()
    }

    /// One word when all records agree, else one per record.
    fn health(&self, endpoint: u8) -> String {
        let measured = self.measured(endpoint);
        match self.policy.stance(endpoint, &self.snapshot.health) {
            Stance::Measured => measured,
            Stance::ForcedUp => format!("forced up ({measured})"),
            Stance::ForcedDown => format!("forced down ({measured})"),
            Stance::Draining { gone: WHOLE } => format!("drained ({measured})"),
            Stance::Draining { gone } => {
                let percent = u32::from(gone) * 100 / u32::from(WHOLE);
                format!("draining, {percent} % of clients gone ({measured})")
            }
        }
    }

    fn measured(&self, endpoint: u8) -> String {
        let verdicts: &Health = &self.snapshot.health;
        let records = self.policy.endpoint_records(self.form, endpoint);
        let word = |record: &Record| match record.target {
            None => "not probed",
            Some(target) => match verdicts.verdict(target) {
                Verdict { damped: true, state: State::Down, .. } => "down, damped",
                Verdict { damped: true, state: State::Degraded, .. } => "degraded, damped",
                verdict => verdict.state.word(),
            },
        };
        let Some(first) = records.first().map(word) else { return String::new() };
        if records.iter().all(|record| word(record) == first) {
            return first.to_owned();
        }
        let each: Vec<_> = records.iter().map(|r| format!("{r} {}", word(r))).collect();
        each.join(", ")
    }
}

/// A choice in one line, for whoever asks over DNS: made without allocating.
pub struct Reason<'a> {
    snapshot: &'a Snapshot,
    policy: &'a Policy,
    form: Form,
    asker: Asker,
    endpoints: ArrayVec<u8, MAX_NAMED>,
    fail_open: bool,
    outside: Option<Outside>,
}

/// Endpoints named in one line.
const MAX_NAMED: usize = 3;

impl<'a> Reason<'a> {
    /// Of a choice that was just made.
    pub fn new(
        snapshot: &'a Snapshot,
        policy: &'a Policy,
        form: Form,
        asker: &Asker,
        choice: &Choice,
    ) -> Self {
        let endpoints = choice.candidates.iter().map(|candidate| candidate.endpoint);
        Self {
            snapshot,
            policy,
            form,
            asker: *asker,
            endpoints: endpoints.take(MAX_NAMED).collect(),
            fail_open: choice.fail_open,
            outside: choice.outside,
        }
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { inputs, health } = self.snapshot;
        let place = inputs.geo.table.place(self.asker.hit.place);
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let location = usize::from(self.policy.location(*endpoint));
            f.write_str(if at > 0 { ", " } else { "" })?;
            f.write_str(&inputs.services.locations[location].region)?;
            if let Some(Kilometres(km)) = inputs.geo.distances.between(place, location) {
                write!(f, " {km:.0} km")?;
            }
        }
        if let Some(outside) = self.outside {
            write!(f, "fence: {outside}")?;
        }
        let leaf = truncate(self.asker.address, self.asker.hit.scope);
        write!(f, " from {leaf}/{}", self.asker.hit.scope)?;
        if let Some(country) = place.country {
            write!(f, " ({country})")?;
        }
        let (up, all) = self.policy.usable(self.form, health);
        write!(f, "; {} {up} of {all} up", self.form)?;
        f.write_str(if self.fail_open { ", fail open;" } else { ";" })?;
        for step in self.policy.steps() {
            write!(f, " {step}")?;
        }
        Ok(())
    }
}
