//! A plan for programs: everything that the name server told, with unknowns as null.

use proto::dnsrouter::v1 as wire;
use serde::Serialize;

use super::{Args, Plan};

#[derive(Debug, Serialize)]
pub(super) struct Object<'a> {
    node: &'a str,
    generation: u64,
    geo: &'a str,
    without: &'a [String],
    config: Option<String>,
    population: Population,
    notes: &'a [String],
    services: Vec<Service<'a>>,
    total: Option<Service<'a>>,
}

#[derive(Debug, Serialize)]
struct Population {
    recorded: bool,
    prefixes: Option<u64>,
    clients: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Service<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    types: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<u32>,
    moved: f64,
    readdressed: f64,
    kilometres: Change,
    fail_open: Change,
    shares: Vec<Share<'a>>,
    flows: Vec<Flow<'a>>,
    countries: Vec<Country<'a>>,
    more_countries: u32,
    drawn: bool,
    sampled: bool,
}

#[derive(Debug, Serialize)]
struct Change {
    before: Option<f64>,
    after: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Share<'a> {
    region: Option<&'a str>,
    instead: Option<&'a str>,
    before: f64,
    after: f64,
    capacity: Option<f64>,
    rate: Change,
}

#[derive(Debug, Serialize)]
struct Flow<'a> {
    from: &'a str,
    to: &'a str,
    share: f64,
}

#[derive(Debug, Serialize)]
struct Country<'a> {
    country: Option<&'a str>,
    clients: f64,
    moved: f64,
    flows: Vec<Flow<'a>>,
}

pub(super) fn of<'a>(args: &'a Args, plan: &'a Plan) -> Object<'a> {
    let head = &plan.head;
    let recorded = args.clients.is_some();
    let service = |service: &'a wire::PlanService| Service {
        name: Some(&service.name),
        types: Some(&service.types),
        change: Some(&service.change),
        services: None,
        ..figures(service)
    };
    Object {
        node: &head.node,
        generation: head.generation,
        geo: &head.geo,
        without: &args.without,
        config: args.config.as_ref().map(|file| file.display().to_string()),
        population: Population {
            recorded,
            prefixes: recorded.then_some(head.prefixes),
            clients: recorded.then_some(head.clients),
        },
        notes: &head.notes,
        services: plan.services.iter().map(service).collect(),
        total: plan.total.as_ref().map(figures),
    }
}

/// As those of a total.
fn figures(service: &wire::PlanService) -> Service<'_> {
    let wire::PlanService { kilometres_before, kilometres_after, .. } = service;
    let shares = service.shares.iter().map(|one| Share {
        region: some(&one.region),
        instead: some(&one.instead),
        before: one.before,
        after: one.after,
        capacity: known(one.capacity),
        rate: Change { before: known(one.rate_before), after: known(one.rate_after) },
    });
    let countries = service.countries.iter().map(|one| Country {
        country: some(&one.country),
        clients: one.clients,
        moved: one.moved,
        flows: flows(&one.flows),
    });
    Service {
        name: None,
        types: None,
        change: None,
        services: Some(service.services),
        moved: service.moved,
        readdressed: service.readdressed,
        kilometres: Change { before: known(*kilometres_before), after: known(*kilometres_after) },
        fail_open: Change {
            before: Some(service.fail_open_before),
            after: Some(service.fail_open_after),
        },
        shares: shares.collect(),
        flows: flows(&service.flows),
        countries: countries.collect(),
        more_countries: service.more_countries,
        drawn: service.drawn,
        sampled: service.sampled,
    }
}

fn flows(flows: &[wire::PlanFlow]) -> Vec<Flow<'_>> {
    flows.iter().map(|one| Flow { from: &one.from, to: &one.to, share: one.share }).collect()
}

fn known(figure: f64) -> Option<f64> {
    Some(figure).filter(|figure| *figure >= 0.0)
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
