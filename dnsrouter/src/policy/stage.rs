//! Steps, compiled for the query path.

use std::num::NonZeroU32;

use geo::{Bias, Within};

use super::record::Record;
use super::views::Views;
use crate::balance::fair;
use crate::service::{Endpoint, FenceRule, Figure, Form, Nearest, Percent, Service, Step, Tiers};

/// One step, and what it does.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    /// As written, for people.
    pub(super) step: Step,
    pub(super) act: Act,
}

/// What a step does to candidates.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Fence {
        /// Of the plan's fences.
        fence: u8,
        /// By rule.
        stated: Box<[Stated]>,
    },
    Healthy {
        min_healthy: usize,
    },
    Failover {
        /// By endpoint.
        tiers: Box<[u8]>,
    },
    Nearest {
        /// Of the plan's lenses.
        lens: u8,
        band: Option<Band>,
    },
    Least {
        figure: Figure,
        within: Option<Percent>,
    },
    Load,
    Weighted {
        /// How many the next cut leaves; 0: there is none.
        cut: usize,
    },
    Fair {
        cut: usize,
        /// By endpoint, from what is configured, as long as nothing is measured.
        weights: Box<[u32]>,
    },
    RoundRobin,
    Sticky,
    Take(usize),
}

/// What is said to clients whose fence holds no endpoint.
#[derive(Debug, Clone)]
pub(super) struct Stated {
    /// A and AAAA; without any, they are refused.
    addresses: [Box<[Record]>; 2],
}

/// What counts as equally near.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) within: Within,
    /// By location, where there is any.
    pub(super) bias: Box<[(u8, Bias)]>,
    /// By rule of `prefer`, how many locations go before distance.
    pub(super) preferred: Box<[u8]>,
}

/// The tier of regions that are in none.
const UNLISTED: u8 = u8::MAX;

impl Stage {
    /// The tier of an endpoint, if this goes by tiers and has one for it.
    pub(super) fn tier(&self, endpoint: u8) -> Option<u8> {
        let Act::Failover { tiers } = &self.act else { return None };
        tiers.get(usize::from(endpoint)).copied().filter(|tier| *tier != UNLISTED)
    }
}

impl Stated {
    fn new(rule: &FenceRule) -> Self {
        let family = |v4: bool| {
            let addresses = rule.refuse.iter().filter(|ip| ip.is_ipv4() == v4);
            addresses.map(|ip| Record::address(*ip, None)).collect()
        };
        Self { addresses: [family(true), family(false)] }
    }

    /// Of a form.
    pub(super) fn records(&self, form: Form) -> &[Record] {
        match form {
            Form::A => &self.addresses[0],
            Form::Aaaa => &self.addresses[1],
            _ => &[],
        }
    }

    /// Whether nothing is said at all.
    pub(super) fn is_refusal(&self) -> bool {
        self.addresses.iter().all(|addresses| addresses.is_empty())
    }
}

/// The steps of a service, fences first, with the cut that is implied.
pub(super) fn compile(
    service: &Service,
    location: &mut impl FnMut(&str) -> Option<u8>,
    views: &mut Views<'_>,
) -> Box<[Stage]> {
    let mut steps = service.route.clone();
    steps.sort_by_key(|step| !matches!(step, Step::Fence(_)));
    if !steps.iter().any(|step| matches!(step, Step::Take(_)))
        && let Some(last) = steps.iter().rposition(Step::orders)
    {
        steps.insert(last + 1, Step::Take(NonZeroU32::MIN));
    }
    let acts: Vec<Act> = (0..steps.len())
        .map(|at| act(&steps[at], &steps[at + 1..], service, location, views))
        .collect();
    steps.into_iter().zip(acts).map(|(step, act)| Stage { step, act }).collect()
}

fn act(
    step: &Step,
    rest: &[Step],
    service: &Service,
    location: &mut impl FnMut(&str) -> Option<u8>,
    views: &mut Views<'_>,
) -> Act {
    match step {
        Step::Fence(rules) => Act::Fence {
            fence: views.fence(rules, location),
            stated: rules.iter().map(Stated::new).collect(),
        },
        Step::Healthy { min_healthy } => Act::Healthy { min_healthy: min_healthy.get() as usize },
        Step::Failover(tiers) => {
            let tier = |endpoint: &Endpoint| tier(endpoint, tiers);
            Act::Failover { tiers: service.endpoints.iter().map(tier).collect() }
        }
        Step::Nearest(nearest) => {
            let lens = views.lens(nearest, location);
            let band = nearest.within.map(|within| band(within, nearest, location));
            Act::Nearest { lens, band }
        }
        Step::Least { figure, within } => Act::Least { figure: *figure, within: *within },
        Step::Load => Act::Load,
        Step::Weighted => Act::Weighted { cut: next_cut(rest) },
        Step::Fair { demand } => {
            #[expect(clippy::cast_precision_loss, reason = "requests per second")]
            let capacity = |endpoint: &Endpoint| endpoint.capacity.map(|capacity| capacity as f64);
            let capacities: Vec<_> = service.endpoints.iter().map(capacity).collect();
            let demand = demand.map(|demand| f64::from(demand.get()));
            Act::Fair { cut: next_cut(rest), weights: fair::weights(&capacities, demand) }
        }
        Step::RoundRobin => Act::RoundRobin,
        Step::Sticky => Act::Sticky,
        Step::Take(n) => Act::Take(n.get() as usize),
    }
}

/// How many are taken of what a pick has ordered; 0 if all are, or another order is made first.
fn next_cut(rest: &[Step]) -> usize {
    match rest.iter().find(|step| step.orders() || matches!(step, Step::Take(_))) {
        Some(Step::Take(n)) => n.get() as usize,
        _ => 0,
    }
}

/// From 1 on.
fn tier(endpoint: &Endpoint, tiers: &Tiers) -> u8 {
    match tiers {
        Tiers::OfEndpoints => endpoint.tier,
        Tiers::OfRegions(tiers) => {
            let listed = tiers.iter().position(|regions| regions.contains(&endpoint.region));
            listed.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(UNLISTED)
        }
    }
}

fn band(within: Within, nearest: &Nearest, location: &mut impl FnMut(&str) -> Option<u8>) -> Band {
    let preferred = nearest.prefer.iter().map(|rule| {
        let known = rule.regions.iter().filter(|region| location(region).is_some()).count();
        u8::try_from(known).unwrap_or(u8::MAX)
    });
    let preferred = preferred.collect();
    let bias = nearest.bias.iter().filter_map(|(region, bias)| Some((location(region)?, *bias)));
    Band { within, bias: bias.collect(), preferred }
}
