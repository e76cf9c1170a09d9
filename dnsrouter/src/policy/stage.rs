//! Steps, compiled for the query path.

use std::num::NonZeroU32;

use crate::service::{Endpoint, Service, Step, Tiers};

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
    Healthy {
        min_healthy: usize,
    },
    Failover {
        /// By endpoint.
        tiers: Box<[u8]>,
    },
    Nearest,
    Weighted {
        /// How many the next cut leaves; 0: there is none.
        cut: usize,
    },
    RoundRobin,
    Sticky,
    Take(usize),
}

impl Stage {
    /// The tier of an endpoint, if this goes by tiers and has one for it.
    pub(super) fn tier(&self, endpoint: u8) -> Option<u8> {
        let Act::Failover { tiers } = &self.act else { return None };
        tiers.get(usize::from(endpoint)).copied().filter(|tier| *tier != UNLISTED)
    }
}

/// The tier of regions that are in none.
const UNLISTED: u8 = u8::MAX;

/// The steps of a service, with the cut that is implied.
pub(super) fn compile(service: &Service) -> Box<[Stage]> {
    let mut steps = service.route.clone();
    if !steps.iter().any(|step| matches!(step, Step::Take(_)))
        && let Some(last) = steps.iter().rposition(Step::orders)
    {
        steps.insert(last + 1, Step::Take(NonZeroU32::MIN));
    }
    let acts: Vec<Act> =
        (0..steps.len()).map(|at| act(&steps[at], &steps[at + 1..], service)).collect();
    steps.into_iter().zip(acts).map(|(step, act)| Stage { step, act }).collect()
}

fn act(step: &Step, rest: &[Step], service: &Service) -> Act {
    match step {
        Step::Healthy { min_healthy } => Act::Healthy { min_healthy: min_healthy.get() as usize },
        Step::Failover(tiers) => {
            let tier = |endpoint: &Endpoint| tier(endpoint, tiers);
            Act::Failover { tiers: service.endpoints.iter().map(tier).collect() }
        }
        Step::Nearest => Act::Nearest,
        Step::Weighted => Act::Weighted { cut: next_cut(rest) },
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

fn tier(endpoint: &Endpoint, tiers: &Tiers) -> u8 {
    match tiers {
        Tiers::OfEndpoints => endpoint.tier,
        Tiers::OfRegions(tiers) => {
            let listed = tiers.iter().position(|regions| regions.contains(&endpoint.region));
            listed.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(UNLISTED)
        }
    }
}
