//! From a configuration and a table of places to what is answered from: services against the
//! locations and targets they use, and the places as their routes look at them.
//!
//! | how | when | what is made |
//! |---|---|---|
//! | [`compile`] | at start, and when places or locations are others | everything |
//! | [`recompile`] | at a reload | services that are others, and what they need that is not there |
//! | [`replace`] | one service is another | that service |
//!
//! The three give the same answers. What they number differently (services, targets, lenses) nobody
//! is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use dns::name::Name;
use dns::zone::ServiceId;
use geo::{Distances, Point, Table};

use crate::config::Config;
use crate::pages::Pages;
use crate::plan::{Geo, Location, Services};
use crate::policy::{Built, Policy, Views};
use crate::service::{Alias, Endpoint, Service};
use crate::target::{Numbering, Targets, Watched};

pub use replace::{Unfit, replace};

mod replace;

/// What is compiled.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// All services.
    pub services: Arc<Services>,
    /// The places, as they look at them.
    pub geo: Arc<Geo>,
}

/// A configuration without mistakes, and the table of its places.
pub struct Source<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The number of each of its services: each below their count once.
    pub ids: &'a [ServiceId],
    /// The fingerprint of each.
    pub written: &'a [u128],
    /// Made with the lists of the configuration.
    pub table: Arc<Table>,
    /// What it was made from, for people.
    pub description: String,
}

/// The numbers of a configuration's services: those that a plan has already stay, as far as there are
/// so many services still.
pub fn ids(config: &Config, before: Option<&Services>) -> Vec<ServiceId> {
    let known = before.map(numbers).unwrap_or_default();
    let count = config.services.len();
    let known: Vec<Option<usize>> = config
        .services
        .iter()
        .map(|(service, _)| known.get(&service.name).copied().filter(|at| *at < count))
        .collect();
    let taken: HashSet<usize> = known.iter().copied().flatten().collect();
    let mut free = (0..count).filter(|at| !taken.contains(at));
    let id = |at: Option<usize>| {
        let at = at.or_else(|| free.next()).and_then(|at| u32::try_from(at).ok());
        ServiceId(at.unwrap_or(u32::MAX))
    };
    known.into_iter().map(id).collect()
}

/// Services and places of a configuration.
pub fn compile(source: &Source<'_>) -> Compiled {
    let draft = Draft::new(source, None);
    draft.finish(source, None)
}

/// The same, of which those services are as they were that are written as they were; where nothing is
/// another, all is the very same.
pub fn recompile(before: &Compiled, source: &Source<'_>) -> Compiled {
    if !has_room(before) || !sees_alike(before, source) {
        return compile(source);
    }
    let draft = Draft::new(source, Some(before));
    if draft.views.are_too_many() { compile(source) } else { draft.finish(source, Some(before)) }
}

/// Whether policies that are compiled fit: by places and locations, their numbers are the same.
fn sees_alike(before: &Compiled, source: &Source<'_>) -> bool {
    Arc::ptr_eq(&before.geo.table, &source.table)
        && *before.services.locations == *locations(source.config)
}

/// Whether free numbers are few enough to go on with.
fn has_room(before: &Compiled) -> bool {
    const SPARE: usize = 1024;
    let targets = &before.services.targets;
    targets.free() <= targets.numbers() / 2 + SPARE
}

fn locations(config: &Config) -> Arc<[Location]> {
    let all = config.locations.iter();
    all.map(|(region, point)| Location { region: region.clone(), point: *point }).collect()
}

/// Services by name.
fn numbers(services: &Services) -> HashMap<&Name, usize> {
    services.services.iter().enumerate().map(|(at, (name, _))| (name, at)).collect()
}

/// Policies that are not settled yet, by number.
struct Draft<'a> {
    policies: Vec<(Name, Arc<Policy>)>,
    written: Pages<u128>,
    targets: Targets,
    locations: Arc<[Location]>,
    views: Views<'a>,
}

impl<'a> Draft<'a> {
    fn new(source: &'a Source<'_>, before: Option<&Compiled>) -> Self {
        let Source { config, ids, written, table, .. } = source;
        let none = Services::default();
        let old = before.map_or(&none, |before| &*before.services);
        let known = numbers(old);
        let stays = |service: &Service, written: u128| {
            known.get(&service.name).copied().filter(|at| old.written.get(*at) == Some(&written))
        };
        let all = || config.services.iter().map(|(service, _)| service).zip(*written).zip(*ids);
        let mut policies: Vec<Option<(Name, Arc<Policy>)>> = vec![None; config.services.len()];
        let mut by_id = vec![0; policies.len()];
        let mut gone = vec![true; old.services.len()];
        let mut changed: Vec<(&Service, ServiceId)> = Vec::new();
        for ((service, written), id) in all() {
            by_id[id.0 as usize] = *written;
            let Some(at) = stays(service, *written) else {
                changed.push((service, *id));
                continue;
            };
            gone[at] = false;
            let (name, policy) = &old.services[at];
            let policy = match policy.id() == *id {
                true => Arc::clone(policy),
                false => Arc::new(policy.renumbered(*id)),
            };
            policies[id.0 as usize] = Some((name.clone(), policy));
        }
        let endpoints = changed.iter().flat_map(|(service, _)| &service.endpoints);
        let watched = endpoints.flat_map(Endpoint::all_watched);
        let mut numbering = Numbering::new(old.targets.clone(), watched);
        let lists = table.lists();
        let mut views = match before {
            Some(before) => Views::again(lists, &before.geo.views),
            None => Views::new(lists),
        };
        let locations = locations(config);
        let index: HashMap<&str, u8> =
            (0..).zip(&*locations).map(|(i, location)| (location.region.as_str(), i)).collect();
        let stay = policies.iter().flatten();
        let taken: HashSet<u32> = stay.filter_map(|(_, policy)| policy.dynamic()).collect();
        let mut free = (0..).filter(|at| !taken.contains(at));
        for (service, id) in changed {
            let location = |region: &str| index.get(region).copied();
            let target = |watched: &Watched| numbering.take(watched);
            let mut policy = Policy::compile(service, id, location, target, &mut views);
            policy.number(|| free.next().unwrap_or(u32::MAX));
            policies[id.0 as usize] = Some((service.name.clone(), Arc::new(policy)));
        }
        let gone = old.services.iter().zip(gone).filter(|(_, gone)| *gone);
        let targets = numbering.finish(gone.flat_map(|((_, policy), _)| policy.targets()));
        let policies = policies.into_iter().flatten().collect();
        let written = by_id.into_iter().collect();
        Self { policies, written, targets, locations, views }
    }

    fn finish(self, source: &Source<'_>, before: Option<&Compiled>) -> Compiled {
        let Self { mut policies, written, targets, locations, views } = self;
        let points: Vec<Point> = locations.iter().map(|location| location.point).collect();
        let classes = policies
            .iter()
            .flat_map(|(name, policy)| policy.classes().map(move |class| (name, class)));
        let none = Built::default();
        let built = before.map_or(&none, |before| &before.geo.views);
        let views = views.build_on(built, &source.table, &points, classes);
        let cap = source.config.geo.cap;
        let same = before.filter(|before| {
            let Geo { views: known, cap: known_cap, description, .. } = &*before.geo;
            known.is_same(&views) && *known_cap == cap && *description == source.description
        });
        let geo = match same {
            Some(before) => Arc::clone(&before.geo),
            None => Arc::new(Geo {
                views,
                distances: Distances::new(&points),
                cap,
                table: Arc::clone(&source.table),
                description: source.description.clone(),
            }),
        };
        for (_, policy) in &mut policies {
            if !policy.is_settled(&geo) {
                Arc::make_mut(policy).settle(&geo);
            }
        }
        let aliases = source.config.aliases.iter().map(|(Alias { name, service }, _)| {
            (name.clone(), source.ids.get(*service).copied().unwrap_or(ServiceId(u32::MAX)))
        });
        let aliases = aliases.collect();
        let services = policies.into_iter().collect();
        let services = Services { services, aliases, locations, targets, written };
        let same = before.filter(|before| is_same(&before.services, &services));
        let services = same.map_or_else(|| Arc::new(services), |b| Arc::clone(&b.services));
        Compiled { services, geo }
    }
}

/// Whether nothing is another.
fn is_same(before: &Services, after: &Services) -> bool {
    let (policies, others) = (&before.services, &after.services);
    policies.len() == others.len()
        && policies.iter().zip(others).all(|((_, a), (_, b))| Arc::ptr_eq(a, b))
        && before.aliases == after.aliases
}
