//! What a `[[service]]` may say and hardly means. It is said at `--check`, at start and at reload; the
//! service is served as it is written.
//!
//! | doubt | because |
//! |---|---|
//! | checks, and no `healthy` | what is down is answered |
//! | weights, tiers, slow start, and no step for them | nobody looks at them; a weight of 0 drains nothing |
//! | regions without an endpoint of the service | a name of a region that was meant to be another |
//! | `least-…`, and endpoints without a ping | they come last, whatever their load |
//! | rules behind one for `all`, `refuse` beside endpoints | they are never reached |
//! | more that must be healthy than there are | it fails open with the first that is down |

use std::collections::BTreeSet;

use geo::Selector;

use super::Checker;
use crate::service::{Endpoint, FenceRule, Figure, Service, Step, Tiers};

/// The weight of an endpoint that says none.
const USUAL_WEIGHT: u32 = 100;
/// Likewise its tier.
const USUAL_TIER: u8 = 1;

impl Checker<'_> {
    /// Says what is hardly meant.
    pub(super) fn doubt(&mut self, service: &Service) {
        let mut doubts = Vec::new();
        steps(service, &mut doubts);
        unused(service, &mut doubts);
        for step in &service.route {
            match step {
                Step::Fence(rules) => fence(service, rules, &mut doubts),
                Step::Least { figure, .. } => unknown(service, *figure, &mut doubts),
                Step::Failover(Tiers::OfRegions(tiers)) => {
                    nowhere(service, step, tiers.iter().flatten(), &mut doubts);
                }
                Step::Nearest(nearest) => {
                    let preferred = nearest.prefer.iter().flat_map(|rule| &rule.regions);
                    let biased = nearest.bias.iter().map(|(region, _)| region);
                    nowhere(service, step, preferred.chain(biased), &mut doubts);
                    let clients = nearest.prefer.iter().map(|rule| rule.clients.as_slice());
                    unreached("prefer", clients, &mut doubts);
                }
                _ => {}
            }
        }
        let said = doubts.into_iter().map(|doubt| format!("service {}: {doubt}", service.name));
        self.warnings.extend(said);
    }
}

fn steps(service: &Service, doubts: &mut Vec<String>) {
    let Service { route, endpoints, .. } = service;
    let is_healthy = |step: &Step| matches!(step, Step::Healthy { .. });
    let cut = route.iter().position(|step| matches!(step, Step::Take(_)));
    if cut.is_some_and(|cut| route[cut..].iter().any(is_healthy)) {
        doubts.push(
            "\"healthy\" after a cut sees only what the cut left; a client whose share of it is down \
             is answered with it all the same (fail open)"
                .to_owned(),
        );
    }
    if !route.iter().any(is_healthy) {
        if route.iter().any(|step| matches!(step, Step::Failover(_))) {
            doubts.push("\"failover\" without \"healthy\" never leaves the first tier".to_owned());
        }
        if endpoints.iter().any(|endpoint| endpoint.all_watched().next().is_some()) {
            doubts.push(
                "endpoints are checked, and without \"healthy\" what is down is answered all the same"
                    .to_owned(),
            );
        }
    }
    for step in route {
        if let Step::Healthy { min_healthy } = step
            && min_healthy.get() as usize > endpoints.len().max(1)
        {
            doubts.push(format!(
                "min_healthy = {min_healthy}, and endpoints are {}: as soon as one is down, all are \
                 answered (fail open)",
                endpoints.len()
            ));
        }
    }
}

/// Numbers that no step looks at.
fn unused(service: &Service, doubts: &mut Vec<String>) {
    let Service { route, endpoints, slow_start, .. } = service;
    let picks = route.iter().any(|step| {
        matches!(step, Step::Weighted | Step::RoundRobin | Step::Sticky | Step::Fair { .. })
    });
    let by_tier = route.contains(&Step::Failover(Tiers::OfEndpoints));
    let first = |differs: &dyn Fn(&Endpoint) -> bool| {
        endpoints.iter().find(|endpoint| differs(endpoint)).map(|endpoint| &endpoint.region)
    };
    if let Some(region) = first(&|e| e.weight != USUAL_WEIGHT).filter(|_| !picks) {
        doubts.push(format!(
            "the weight of {region} counts for nothing, 0 neither: no step of the route picks by \
             weight (\"weighted\", \"sticky\")"
        ));
    }
    if let Some(region) = first(&|e| e.tier != USUAL_TIER).filter(|_| !by_tier) {
        doubts.push(format!(
            "the tier of {region} counts for nothing: the route has no \"failover\" by endpoints"
        ));
    }
    if !slow_start.is_zero() && !picks {
        doubts.push(
            "slow_start scales weights, and no step of the route picks by weight (\"weighted\", \
             \"sticky\")"
                .to_owned(),
        );
    }
}

/// Endpoints of which nothing brings the figure that a step goes by: only a GeoPing tells load.
fn unknown(service: &Service, figure: Figure, doubts: &mut Vec<String>) {
    let (of, what) = match figure {
        Figure::ResponseTime => ("neither ping nor check", "round trip"),
        Figure::Connections => ("no ping", "requests in flight"),
        Figure::Resource => ("no ping", "processors"),
    };
    let is_known = |endpoint: &&Endpoint| match figure {
        Figure::ResponseTime => endpoint.all_watched().next().is_some(),
        Figure::Connections | Figure::Resource => !endpoint.pings.is_empty(),
    };
    if let Some(endpoint) = service.endpoints.iter().find(|endpoint| !is_known(endpoint)) {
        doubts.push(format!(
            "\"{}\" has {} last, as it has {of} that could tell its {what}",
            figure.name(),
            endpoint.region
        ));
    }
}

fn fence(service: &Service, rules: &[FenceRule], doubts: &mut Vec<String>) {
    let has = |region: &String| service.endpoints.iter().any(|e| e.region == *region);
    for (number, FenceRule { clients, regions, refuse }) in (1..).zip(rules) {
        let inside = regions.iter().any(has);
        if !inside && !regions.is_empty() {
            let answer = if refuse.is_empty() { "are refused" } else { "get what it states" };
            doubts.push(format!(
                "fence, rule {number} ({}): no endpoint is in {}, so these clients {answer}",
                some(clients),
                some(regions)
            ));
        }
        if inside && !refuse.is_empty() {
            doubts.push(format!(
                "fence, rule {number} ({}): refuse is never answered, since endpoints are inside",
                some(clients)
            ));
        }
    }
    unreached("fence", rules.iter().map(|rule| rule.clients.as_slice()), doubts);
}

/// Of rules the first that a client matches counts.
fn unreached<'a>(
    what: &str,
    rules: impl ExactSizeIterator<Item = &'a [Selector]>,
    doubts: &mut Vec<String>,
) {
    let count = rules.len();
    let all = rules.take(count.saturating_sub(1)).position(|who| who.contains(&Selector::All));
    if let Some(all) = all {
        doubts.push(format!(
            "{what}: rules behind rule {} are never reached, since that is for all",
            all + 1
        ));
    }
}

/// Regions that a step names, and the service is not in.
fn nowhere<'a>(
    service: &Service,
    step: &Step,
    regions: impl Iterator<Item = &'a String>,
    doubts: &mut Vec<String>,
) {
    let has = |region: &&String| service.endpoints.iter().any(|e| e.region == **region);
    let absent: BTreeSet<&String> = regions.filter(|region| !has(region)).collect();
    if !absent.is_empty() {
        let absent: Vec<_> = absent.into_iter().collect();
        let name = if matches!(step, Step::Failover(_)) { "failover" } else { "nearest" };
        doubts.push(format!("\"{name}\" names {}, where no endpoint is", some(&absent)));
    }
}

/// The first few of a list.
fn some<T: std::fmt::Display>(list: &[T]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = list.iter().take(SHOWN).map(T::to_string).collect();
    let more = list.len().saturating_sub(SHOWN);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
