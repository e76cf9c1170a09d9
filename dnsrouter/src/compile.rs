//! From a configuration and a table of places to what is answered from: services against the
//! locations and targets they use, and the places as their routes look at them.

use std::collections::HashMap;
use std::sync::Arc;

use dns::zone::ServiceId;
use geo::{Distances, Point, Table};

use crate::config::Config;
use crate::plan::{Geo, Location, Services};
use crate::policy::{Policy, Views};
use crate::service::{Alias, Endpoint};
use crate::target::{Numbered, Watched};

pub use replace::{Unfit, replace};

mod replace;

/// Services and places of a configuration without mistakes; `description` says what the table was
/// made from.
pub fn compile(config: &Config, table: Arc<Table>, description: String) -> (Services, Geo) {
    let locations: Box<[Location]> = config
        .locations
        .iter()
        .map(|(region, point)| Location { region: region.clone(), point: *point })
        .collect();
    let index: HashMap<&str, u8> =
        (0..).zip(&locations).map(|(i, location)| (location.region.as_str(), i)).collect();
    let mut targets = Numbered::default();
    let endpoints = config.services.iter().flat_map(|(service, _)| &service.endpoints);
    endpoints.flat_map(Endpoint::all_watched).for_each(|watched| targets.add(&watched));
    let mut views = Views::new(table.lists());
    let mut dynamic = 0;
    let mut compiled: Vec<Policy> = Vec::with_capacity(config.services.len());
    for (id, (service, _)) in (0..).map(ServiceId).zip(&config.services) {
        let target = |watched: &Watched| targets.verdict(watched);
        let location = |region: &str| index.get(region).copied();
        let mut policy = Policy::compile(service, id, location, target, &mut views);
        policy.number(|| {
            dynamic += 1;
            dynamic - 1
        });
        compiled.push(policy);
    }
    let points: Vec<Point> = locations.iter().map(|location| location.point).collect();
    let views = views.build(&table, &points, compiled.iter().flat_map(Policy::classes));
    let distances = Distances::new(&points);
    let geo = Geo { views, distances, cap: config.geo.cap, table, description };
    let named = config.services.iter().zip(compiled).map(|((service, _), mut policy)| {
        policy.settle(&geo);
        (service.name.clone(), Arc::new(policy))
    });
    let services = named.collect();
    let aliases = config.aliases.iter().map(|(Alias { name, service }, _)| {
        (name.clone(), ServiceId(u32::try_from(*service).unwrap_or(u32::MAX)))
    });
    let aliases = aliases.collect();
    let (targets, pairs) = targets.into_parts();
    (Services { services, aliases, locations, targets, pairs }, geo)
}
