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
    regard: Option<Regard>,
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
            Self::NoData => f.write_str("no endpoint inside has this type"),
            Self::Stated { rule } => write!(f, "what rule {} states", rule + 1),
            Self::Refused { rule } => write!(f, "refused by rule {}", rule + 1),
        }
    }
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
    /// Chooses for one client.
    ///
    /// Never empty when the service has an address of the form inside the client's fence: a filter
    /// that would leave nothing is not applied. Where nothing is inside, [`Choice::outside`] says
    /// what is answered.
    pub fn choose(
        &self,
        form: Form,
        client: &Client<'_>,
        health: &Health,
        observer: &mut impl Observer,
    ) -> Choice {
        let settled = health.stances().is_empty();
        let hash = if settled { WHOLE } else { self.hash(form, client) };
        let walk = |regard| Walk { policy: self, form, client, health, regard };
        if let Some(choice) = walk(Some(Regard::All { hash })).run(observer) {
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
    pub fn records<'p, 'c>(
        &'p self,
        form: Form,
        choice: &'c Choice,
        health: &'c Health,
    ) -> impl Iterator<Item = &'p Record> + Clone + use<'p, 'c> {
        let usable = move |candidate: &Candidate, record: &Record| {
            let usable = |regard| self.is_usable(candidate.endpoint, record, health, regard);
            choice.regard.is_none_or(usable)
        };
        let chosen = choice.candidates.iter().flat_map(move |candidate| {
            let all = self.endpoint(candidate).of(form).iter();
            all.filter(move |record| usable(candidate, record))
        });
        let stated = match choice.outside {
            Some(Outside::Stated { rule }) => self.stated(rule, form),
            _ => &[],
        };
        let all = chosen.chain(stated);
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

    fn stated(&self, rule: u8, form: Form) -> &[Record] {
        let fence = self.stages.iter().find_map(|stage| match &stage.act {
            Act::Fence { stated, .. } => stated.get(usize::from(rule)),
            _ => None,
        });
        fence.map_or(&[], |stated| stated.records(form))
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
    fn run(&self, observer: &mut impl Observer) -> Option<Choice> {
        let mut choice = Choice {
            candidates: self.policy.all(self.form),
            regard: None,
            fail_open: false,
            outside: None,
        };
        for Stage { step, act } in &self.policy.stages {
            let before = choice.candidates.clone();
            self.apply(act, &mut choice)?;
            observer.step(step, &before, &choice.candidates);
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
