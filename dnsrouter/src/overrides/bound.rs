//! Overrides against one plan: who is meant, by index, so that what follows at a moment is
//! reckoned without looking for a name.
//!
//! Made anew when the plan or the overrides change; asked at each tick ([`Bound::stances`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use dns::zone::ServiceId;

use super::subject::{Owner, Subject, id_of, is_at};
use super::{Kind, Order, Override, Overrides, Progress};
use crate::plan::Services;
use crate::verdicts::{Stance, Stances, WHOLE};

/// A TTL falls so much earlier than it has to: a tick may come late, and an answer takes its time.
const MARGIN: Duration = Duration::from_secs(3);

/// Overrides, and what of a plan each is about.
#[derive(Debug, Clone, Default)]
pub struct Bound {
    overrides: Arc<Overrides>,
    /// In the order of [`Overrides::iter`].
    all: Box<[Override]>,
    /// By location, positions in `all`; the first that is in force counts.
    locations: Box<[Vec<usize>]>,
    /// By endpoint, the same.
    endpoints: BTreeMap<(ServiceId, u8), Vec<usize>>,
    drains: Box<[Drain]>,
}

/// A drain, and for which services that matters.
#[derive(Debug, Clone)]
struct Drain {
    /// Position among all overrides.
    at: usize,
    /// With the seconds that answers of each are kept.
    services: Vec<(ServiceId, u32)>,
}

impl Bound {
    /// Finds what each override is about.
    pub fn new(overrides: Arc<Overrides>, services: &Services) -> Self {
        let all: Box<[Override]> = overrides.iter().cloned().collect();
        let mut locations = vec![Vec::new(); services.locations.len()];
        let mut endpoints: BTreeMap<(ServiceId, u8), Vec<usize>> = BTreeMap::new();
        let mut drains = Vec::new();
        for (at, one) in all.iter().enumerate() {
            let meant = Meant::of(&one.subject, services);
            if let Some(location) = meant.location {
                locations[location].push(at);
            }
            for endpoint in &meant.endpoints {
                endpoints.entry(*endpoint).or_default().push(at);
            }
            if one.order.kind() == Kind::Drain {
                let about = meant.services(services).into_iter();
                let services = about.map(|id| (id, ttl(services, id))).collect();
                drains.push(Drain { at, services });
            }
        }
        for chain in endpoints.values_mut() {
            chain.sort_by_key(|at| (rank(&all[*at].subject), all[*at].order.kind()));
        }
        Self { overrides, all, locations: locations.into(), endpoints, drains: drains.into() }
    }

    /// Those it was made of.
    pub fn overrides(&self) -> &Arc<Overrides> {
        &self.overrides
    }

    /// What follows at `now`. Those that are over count as not said.
    pub fn stances(&self, now: SystemTime) -> Stances {
        let locations = self.locations.iter().map(|chain| self.first(chain, now));
        let mut locations: Vec<Stance> = locations.collect();
        if locations.iter().all(|stance| *stance == Stance::Measured) {
            locations.clear();
        }
        let endpoints = self.endpoints.iter().map(|(key, chain)| (*key, self.first(chain, now)));
        let endpoints = endpoints.filter(|(_, stance)| *stance != Stance::Measured).collect();
        Stances { locations: locations.into(), endpoints, announced: self.announced(now) }
    }

    /// The first of a chain that is in force.
    fn first(&self, chain: &[usize], now: SystemTime) -> Stance {
        let stance = chain.iter().find_map(|at| stance(&self.all[*at], now));
        stance.unwrap_or(Stance::Measured)
    }

    /// Services whose answers must not be kept for long: one kept now would be kept into a drain,
    /// or a drain of theirs is under way.
    fn announced(&self, now: SystemTime) -> Box<[ServiceId]> {
        let mut announced: Vec<ServiceId> = Vec::new();
        for Drain { at, services } in &self.drains {
            let one = &self.all[*at];
            if one.is_over(now) {
                continue;
            }
            let kept_for = match one.progress(now) {
                Progress::Announced(from) => from.duration_since(now).unwrap_or_default(),
                Progress::Gone(WHOLE) => continue,
                Progress::Gone(_) => Duration::ZERO,
            };
            let soon = |ttl: u32| kept_for <= Duration::from_secs(ttl.into()) + MARGIN;
            announced.extend(services.iter().filter(|(_, ttl)| soon(*ttl)).map(|(id, _)| *id));
        }
        announced.sort_unstable();
        announced.dedup();
        announced.into()
    }
}

/// The services that a subject is about.
pub fn services_of(subject: &Subject, services: &Services) -> Vec<ServiceId> {
    Meant::of(subject, services).services(services)
}

/// What an override makes of its subject at a moment; none: nothing yet, or nothing any more.
fn stance(one: &Override, now: SystemTime) -> Option<Stance> {
    if one.is_over(now) {
        return None;
    }
    match (one.order, one.progress(now)) {
        (Order::Up, _) => Some(Stance::ForcedUp),
        (Order::Down, _) => Some(Stance::ForcedDown),
        (Order::Drain { .. }, Progress::Announced(_)) => None,
        (Order::Drain { .. }, Progress::Gone(gone)) => Some(Stance::Draining { gone }),
    }
}

/// Narrow subjects first.
fn rank(subject: &Subject) -> u8 {
    match subject {
        Subject::Endpoint { address: Some(_), .. } => 0,
        Subject::Endpoint { address: None, .. } => 1,
        Subject::Service(_) => 2,
        Subject::Region(_) => 3,
    }
}

/// What of a plan a subject means.
struct Meant {
    location: Option<usize>,
    endpoints: Vec<(ServiceId, u8)>,
}

impl Meant {
    fn of(subject: &Subject, services: &Services) -> Self {
        let nothing = Self { location: None, endpoints: Vec::new() };
        let (Owner(name), region, address) = match subject {
            Subject::Region(region) => {
                let mut locations = services.locations.iter();
                let location = locations.position(|location| location.region == *region);
                return Self { location, ..nothing };
            }
            Subject::Service(service) => (service, None, None),
            Subject::Endpoint { service, region, address } => (service, Some(region), *address),
        };
        let Some(service) = id_of(services, name) else { return nothing };
        let Ok(id) = u32::try_from(service) else { return nothing };
        let endpoints = (0..services.services[service].1.endpoints()).filter(|endpoint| {
            region.is_none_or(|region| is_at(services, service, *endpoint, region, address))
        });
        let endpoints = endpoints.map(|endpoint| (ServiceId(id), endpoint)).collect();
        Self { location: None, endpoints }
    }

    /// The services that it is a part of.
    fn services(&self, services: &Services) -> Vec<ServiceId> {
        let all = (0..).map(ServiceId).zip(&services.services);
        let touches = |id: ServiceId, location: Option<usize>| match location {
            Some(location) => {
                let policy = &services.services[id.0 as usize].1;
                (0..policy.endpoints()).any(|e| usize::from(policy.location(e)) == location)
            }
            None => self.endpoints.first().is_some_and(|(service, _)| *service == id),
        };
        all.map(|(id, _)| id).filter(|id| touches(*id, self.location)).collect()
    }
}

fn ttl(services: &Services, id: ServiceId) -> u32 {
    services.services[id.0 as usize].1.ttl(false)
}
