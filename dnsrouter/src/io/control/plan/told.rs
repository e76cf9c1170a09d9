//! What a forecast says, in the form of the wire.

use dns::name::Name;
use proto::dnsrouter::v1 as wire;

use crate::forecast::{Flow, InCountry, Load, Outcome, Whither};

/// Ways that clients of one country, and of a service, take; those that most take are told.
const MAX_COUNTRY_FLOWS: usize = 16;
const MAX_FLOWS: usize = 1000;

/// What is not known.
const UNKNOWN: f64 = -1.0;

/// One service, for the types that the outcome is of.
pub(super) fn service(
    name: &Name,
    change: &str,
    outcome: &Outcome,
    loads: &[Load],
    countries: usize,
) -> wire::PlanService {
    wire::PlanService {
        name: name.to_string(),
        types: outcome.forms.iter().map(ToString::to_string).collect(),
        change: change.into(),
        ..of(outcome, loads, countries)
    }
}

/// So many services together.
pub(super) fn total(services: u32, outcome: &Outcome, countries: usize) -> wire::PlanService {
    wire::PlanService { services, ..of(outcome, &[], countries) }
}

fn of(outcome: &Outcome, loads: &[Load], countries: usize) -> wire::PlanService {
    let [kilometres_before, kilometres_after] = outcome.kilometres.map(|km| km.unwrap_or(UNKNOWN));
    let [fail_open_before, fail_open_after] = outcome.fail_open;
    let moving = outcome.countries.iter().filter(|one| one.moved > 0.0);
    let more = moving.clone().count().saturating_sub(countries);
    wire::PlanService {
        shares: outcome.shares.iter().map(|(to, share)| self::share(to, *share, loads)).collect(),
        moved: outcome.moved,
        readdressed: outcome.readdressed,
        kilometres_before,
        kilometres_after,
        fail_open_before,
        fail_open_after,
        flows: outcome.flows.iter().take(MAX_FLOWS).map(flow).collect(),
        countries: moving.take(countries).map(country).collect(),
        more_countries: u32::try_from(more).unwrap_or(u32::MAX),
        drawn: outcome.drawn,
        sampled: outcome.sampled,
        ..wire::PlanService::default()
    }
}

fn share(to: &Whither, [before, after]: [f64; 2], loads: &[Load]) -> wire::PlanShare {
    let (region, instead) = match to {
        Whither::Region(region) => (region.clone(), String::new()),
        other => (String::new(), words(other)),
    };
    let load = loads.iter().find(|load| load.region == region);
    let figure = |of: fn(&Load) -> Option<f64>| load.and_then(of).unwrap_or(UNKNOWN);
    wire::PlanShare {
        region,
        instead,
        before,
        after,
        capacity: figure(|load| load.capacity),
        rate_before: figure(|load| load.before),
        rate_after: figure(|load| load.after),
    }
}

fn country(one: &InCountry) -> wire::PlanCountry {
    wire::PlanCountry {
        country: one.country.map(|country| country.to_string()).unwrap_or_default(),
        clients: one.clients,
        moved: one.moved,
        flows: one.flows.iter().take(MAX_COUNTRY_FLOWS).map(flow).collect(),
    }
}

fn flow(flow: &Flow) -> wire::PlanFlow {
    wire::PlanFlow { from: words(&flow.from), to: words(&flow.to), share: flow.share }
}

fn words(whither: &Whither) -> String {
    match whither {
        Whither::Region(region) => region.clone(),
        Whither::Outside(outside) => format!("fence: {outside}"),
        Whither::Absent => "no such service".into(),
        Whither::Empty => "an empty answer".into(),
    }
}
