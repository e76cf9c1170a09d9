//! A route applied to one client: step by step, and what is said when nothing may be chosen.

use std::fmt;

use geo::Kilometres;

use super::leaving::Regard;
use super::order::{self, Candidate, Candidates};
use super::pick::{self, Weighed};
use super::rank::{self, Seen};
use super::stage::{Act, Stage};
use super::{Client, Compiled, Policy, Record};
use crate::balance::dither;
use crate::service::{Figure, Form, Step};
use crate::verdicts::{Health, Verdict, WHOLE};

/// What a route chose. Turn it into records with [`Policy::records`].
#[derive(Debug, Clone)]
pub struct Choice {
    /// The endpoints to answer with, best first.
    pub candidates: Candidates,
    /// Addresses that are not usable are left out; none: whatever they are.
    pub(super) regard: Option<Regard>,
    /// `healthy` would have left too little, so everything counts as up.
    pub fail_open: bool,
    /// The client's fence holds nothing to choose from.
    pub outside: Option<Outside>,
}

/// What is said to clients whose fence holds nothing of a form. It is never silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// Endpoints inside only lack this form, or the rule states addresses of the other family.
    NoData,
    /// The addresses that the rule states.
    Stated {
        /// Position among the fence's rules.
        rule: u8,
    },
    /// No endpoint is inside, and the rule states nothing.
    Refused {
        /// Position among the fence's rules.
        rule: u8,
    },
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData => f.write_str("nothing inside or stated has this type"),
            Self::Stated { rule } => write!(f, "what rule {} states", rule + 1),
            Self::Refused { rule } => write!(f, "refused by rule {}", rule + 1),
        }
    }
}

/// Looks over the shoulder of a choice; `explain` records, the query path passes `()`.
pub trait Observer {
    /// Whether it looks at all: then every step is walked.
    const WATCHES: bool = true;

    /// `step` made `after` out of `before`.
    fn step(&mut self, step: &Step, before: &[Candidate], after: &[Candidate]);
    /// What was seen does not count: the walk begins again with more.
    fn restart(&mut self, open: Open);
}

impl Observer for () {
    const WATCHES: bool = false;

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

impl Choice {
    /// Of candidates inside the client's fence.
    pub(super) fn of(candidates: Candidates, regard: Option<Regard>) -> Self {
        Self { candidates, regard, fail_open: false, outside: None }
    }
}

impl Policy {
    /// Chooses for one client.
    ///
    /// Never empty when the service has an address of the form inside the client's fence: a filter
    /// that would leave nothing is not applied. Where nothing is inside, [`Choice::outside`] says
    /// what is answered.
    pub fn choose<O: Observer>(
        &self,
        form: Form,
        client: &Client<'_>,
        health: &Health,
        observer: &mut O,
    ) -> Choice {
        let settled = health.stances().is_empty();
        let walk = |regard| Walk { policy: self, form, client, health, regard };
        if !O::WATCHES
            && settled
            && let Some(direct) = &self.direct[form as usize]
        {
            let mut choice = Choice::of(Candidates::new(), None);
            if walk(Some(Regard::Measured)).directly(direct, &mut choice) {
                return choice;
            }
        }
        let regard = match settled {
            true => Regard::Measured,
            false => Regard::All { hash: self.hash(form, client) },
        };
        if let Some(choice) = walk(Some(regard)).run(observer) {
            return choice;
        }
        if !settled {
            observer.restart(Open::Drained);
            if let Some(choice) = walk(Some(Regard::NoDrains)).run(observer) {
                return Choice { fail_open: true, ..choice };
            }
        }
        // Fail open: the very answer that would be given if everything were up.
        observer.restart(Open::All);
        let open = walk(None).run(observer);
        Choice { fail_open: true, ..open.expect("without verdicts no filter applies") }
    }

    /// The records of a choice, in its order, each once (RFC 2181 §5); of host names only the first,
    /// since an RRset of two CNAMEs may not be (RFC 2181 §10.1).
    #[inline]
    pub fn records<'p, 'c>(
        &'p self,
        form: Form,
        choice: &'c Choice,
        health: &'c Health,
    ) -> Records<'p, 'c> {
        Records { policy: self, choice, health, form, candidate: 0, record: 0, stated: 0 }
    }

    /// How far a client sees an endpoint, in kilometres: the distance, what the endpoint's load adds
    /// to it, and a little that is the client's own. Without verdicts no load is known.
    pub fn cost(&self, endpoint: u8, client: &Client<'_>, health: Option<&Health>) -> f64 {
        let Compiled { location, id, .. } = self.endpoints[endpoint as usize];
        let km = client.geo.distances.between(client.whereabouts(), usize::from(location));
        let Kilometres(km) = km.unwrap_or(Kilometres(0.0));
        let price = health.map_or(0.0, |health| self.price(endpoint, health));
        km + f64::from(price) + f64::from(dither(client.stick, id))
    }

    /// A figure of an endpoint as pings carried it; none: they do not say.
    pub fn figure(&self, figure: Figure, form: Form, endpoint: u8, health: &Health) -> Option<f64> {
        let records = self.endpoint_records(form, endpoint).iter();
        let mut verdicts = records.filter_map(|record| Some(health.verdict(record.target?)));
        verdicts.find_map(|verdict: &Verdict| match figure {
            Figure::Connections => verdict.told.then_some(f64::from(verdict.in_flight)),
            Figure::ResponseTime => (verdict.rtt > 0).then_some(f64::from(verdict.rtt)),
            Figure::Resource => verdict.told.then_some(f64::from(verdict.load)),
        })
    }

    /// What the load of an endpoint adds to its distance, in kilometres.
    pub fn price(&self, endpoint: u8, health: &Health) -> f32 {
        let shares = self.dynamic.and_then(|at| health.shares(at as usize));
        shares.and_then(|shares| shares.prices.get(endpoint as usize)).copied().unwrap_or(0.0)
    }

    /// The weight that `fair` gives an endpoint; none: the route has no such step.
    pub fn fair_weight(&self, endpoint: u8, health: &Health) -> Option<u32> {
        let stated = self.stages.iter().find_map(|stage| match &stage.act {
            Act::Fair { weights, .. } => Some(weights),
            _ => None,
        })?;
        let shares = self.dynamic.and_then(|at| health.shares(at as usize));
        let measured = shares.and_then(|shares| shares.weights.get(endpoint as usize));
        measured.or(stated.get(endpoint as usize)).copied()
    }

    /// As what a weight of an endpoint counts now: less while it warms up or is degraded. Without
    /// verdicts all of it does.
    pub fn weight_now(
        &self,
        weight: u32,
        form: Form,
        endpoint: u8,
        health: Option<&Health>,
    ) -> u32 {
        let mut targets = self.endpoint_records(form, endpoint).iter().filter_map(|r| r.target);
        match health.zip(targets.next()) {
            Some((health, target)) => health.verdict(target).weigh(weight, self.starts_slowly()),
            None => weight,
        }
    }

    fn stated(&self, rule: u8, form: Form) -> &[Record] {
        let fence = self.stages.iter().find_map(|stage| match &stage.act {
            Act::Fence { stated, .. } => stated.get(usize::from(rule)),
            _ => None,
        });
        fence.map_or(&[], |stated| stated.records(form))
    }
}

/// See [`Policy::records`].
#[derive(Clone)]
pub struct Records<'p, 'c> {
    policy: &'p Policy,
    choice: &'c Choice,
    health: &'c Health,
    form: Form,
    /// Where it is: of the choice, of that endpoint's, and behind them all of what a fence states.
    candidate: usize,
    record: usize,
    stated: usize,
}

impl<'p> Records<'p, '_> {
    /// The next one, said before or not.
    #[inline]
    fn following(&mut self) -> Option<&'p Record> {
        let Self { policy, choice, health, form, .. } = *self;
        while let Some(candidate) = choice.candidates.get(self.candidate) {
            let all = policy.endpoint(candidate).of(form);
            while let Some(record) = all.get(self.record) {
                self.record += 1;
                let usable = |regard| policy.is_usable(candidate.endpoint, record, health, regard);
                if choice.regard.is_none_or(usable) {
                    return Some(record);
                }
            }
            self.candidate += 1;
            self.record = 0;
        }
        let Some(Outside::Stated { rule }) = choice.outside else { return None };
        let record = policy.stated(rule, form).get(self.stated)?;
        self.stated += 1;
        Some(record)
    }

    /// Whether a record equal to this one came before it.
    fn is_repeated(&self, record: &Record) -> bool {
        let mut before = self.policy.records(self.form, self.choice, self.health);
        let earlier = std::iter::from_fn(|| before.following());
        let mut earlier = earlier.take_while(|earlier| !std::ptr::eq(*earlier, record));
        earlier.any(|earlier| earlier.rdata() == record.rdata())
    }
}

impl<'p> Iterator for Records<'p, '_> {
    type Item = &'p Record;

    #[inline]
    fn next(&mut self) -> Option<&'p Record> {
        match self.form {
            // An address belongs to one endpoint; regions may share a mail host.
            Form::A | Form::Aaaa => self.following(),
            Form::Cname if (self.candidate, self.record, self.stated) != (0, 0, 0) => None,
            _ => loop {
                let record = self.following()?;
                if !self.is_repeated(record) {
                    return Some(record);
                }
            },
        }
    }
}

/// One way through a route.
pub(super) struct Walk<'a> {
    pub(super) policy: &'a Policy,
    pub(super) form: Form,
    pub(super) client: &'a Client<'a>,
    pub(super) health: &'a Health,
    /// None: everything counts as up.
    pub(super) regard: Option<Regard>,
}

impl Walk<'_> {
    /// Applies every step; `None` when `healthy` would leave too little.
    pub(super) fn run<O: Observer>(&self, observer: &mut O) -> Option<Choice> {
        let mut choice = Choice::of(self.policy.all(self.form), None);
        for Stage { step, act } in &self.policy.stages {
            let before = O::WATCHES.then(|| choice.candidates.clone());
            self.apply(act, &mut choice)?;
            if let Some(before) = before {
                observer.step(step, &before, &choice.candidates);
            }
            if choice.outside.is_some() {
                break;
            }
        }
        Some(choice)
    }

    fn apply(&self, act: &Act, choice: &mut Choice) -> Option<()> {
        let (policy, client) = (self.policy, self.client);
        let candidates = &mut choice.candidates;
        let location = |candidate: &Candidate| policy.endpoint(candidate).location;
        match act {
            Act::Fence { fence, stated } => {
                let fence = &client.geo.views.fences[usize::from(*fence)];
                let (allowed, rule) = fence.allowed(client.place);
                candidates.retain(|candidate| allowed & 1 << location(candidate) != 0);
                if let Some(rule) = rule.filter(|_| candidates.is_empty()) {
                    let inside = |endpoint: &Compiled| allowed & 1 << endpoint.location != 0;
                    let has_endpoint = policy.endpoints.iter().any(inside);
                    let stated = &stated[usize::from(rule)];
                    choice.outside = Some(match stated.records(self.form) {
                        _ if has_endpoint => Outside::NoData,
                        [] if stated.is_refusal() => Outside::Refused { rule },
                        [] => Outside::NoData,
                        _ => Outside::Stated { rule },
                    });
                }
            }
            Act::Healthy { min_healthy } => {
                let Some(regard) = self.regard else { return Some(()) };
                let needed = (*min_healthy).min(candidates.len());
                candidates.retain(|candidate| {
                    policy.has_usable(candidate.endpoint, self.form, self.health, regard)
                });
                if candidates.len() < needed {
                    return None;
                }
                choice.regard = Some(regard);
            }
            Act::Failover { tiers } => {
                order::rank_by(candidates, |candidate| tiers[candidate.endpoint as usize]);
            }
            Act::Nearest { lens, band } => {
                let row = client.geo.views.lenses[usize::from(*lens)].row(client.place);
                let seen = Seen {
                    order: row.order,
                    matched: row.matched,
                    from: client.whereabouts(),
                    geo: client.geo,
                };
                rank::nearest(candidates, &seen, band.as_ref(), location);
            }
            Act::Least { figure, within } => rank::least(
                candidates,
                |candidate| policy.figure(*figure, self.form, candidate.endpoint, self.health),
                |least| within.map_or(least, |within| within.above(least)),
            ),
            Act::Load => {
                let health = self.regard.map(|_| self.health);
                let cost = |candidate: &Candidate| policy.cost(candidate.endpoint, client, health);
                rank::least(candidates, |candidate| Some(cost(candidate)), |least| least);
            }
            Act::Weighted { cut } => {
                pick::weighted(candidates, client.draw, *cut, |candidate| self.weigh(candidate));
            }
            Act::Fair { cut, .. } => pick::weighted(candidates, client.draw, *cut, |candidate| {
                self.weigh_fairly(candidate)
            }),
            Act::Sticky => {
                pick::weighted(candidates, client.stick, 0, |candidate| self.weigh(candidate));
            }
            Act::RoundRobin => {
                pick::round_robin(candidates, client.turn, |candidate| self.weigh(candidate));
            }
            Act::Take(n) => candidates.truncate(*n),
        }
        Some(())
    }

    pub(super) fn weigh(&self, candidate: &Candidate) -> Weighed {
        self.weighed(candidate, self.policy.endpoint(candidate).weight)
    }

    /// By what `fair` makes of its capacity.
    pub(super) fn weigh_fairly(&self, candidate: &Candidate) -> Weighed {
        let fair = self.policy.fair_weight(candidate.endpoint, self.health);
        self.weighed(candidate, fair.unwrap_or(self.policy.endpoint(candidate).weight))
    }

    /// A weight as it counts now: less while the endpoint warms up or is degraded.
    fn weighed(&self, candidate: &Candidate, weight: u32) -> Weighed {
        let policy = self.policy;
        let endpoint = policy.endpoint(candidate);
        let whole = Weighed { id: endpoint.id, weight, share: WHOLE };
        let mut targets = endpoint.of(self.form).iter().filter_map(|record| record.target);
        match targets.next().filter(|_| self.regard.is_some()) {
            None => whole,
            Some(target) => {
                let verdict = self.health.verdict(target);
                let weigh = |weight| verdict.weigh(weight, policy.starts_slowly());
                let share = u16::try_from(weigh(WHOLE.into())).unwrap_or(WHOLE);
                Weighed { weight: weigh(weight), share, ..whole }
            }
        }
    }
}
