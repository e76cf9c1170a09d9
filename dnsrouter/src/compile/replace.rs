//! One service of a plan compiled anew, in the plan as it is.
//!
//! Everything that services share stays: names, places, locations, the numbers of targets. So a
//! change costs what that one service costs, and a row of pointers. What needs more than is there is
//! told, and takes a whole plan.

use std::collections::HashMap;
use std::sync::Arc;

use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::ServiceId;
use geo::Selector;

use crate::plan::{Geo, Services};
use crate::policy::{Policy, Views};
use crate::service::{Endpoint, Form, Service, Step};
use crate::target::{Target, Watched};
use crate::verdicts::TargetId;

/// Why a service does not fit into a plan; the plan is as it was, and a whole one has to be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Names are the plan's.
    #[error("{0} is no service of this plan")]
    Name(Name),
    /// And so is which types stand at a name.
    #[error("{0} would answer other types than in this plan")]
    Types(Name),
    /// Nobody has measured how far it is from everywhere.
    #[error("region {0:?} is not among the locations of this plan")]
    Region(String),
    /// Places are not told apart by these clients, or no route looks at them in this way.
    #[error("no route of this plan has such a fence, bias or preference")]
    View,
    /// Where verdicts of pairs stand behind those of targets, no more of either fit between.
    #[error("no service of this plan has these checks")]
    Targets,
}

/// The services of a plan with another one in the place of that of the same name. What only the old
/// one used stays where it is.
///
/// # Errors
///
/// What the plan lacks for it.
pub fn replace(services: &Services, geo: &Geo, service: &Service) -> Result<Services, Unfit> {
    let unknown = || Unfit::Name(service.name.clone());
    let named = services.services.iter().position(|(name, _)| *name == service.name);
    let at = named.ok_or_else(unknown)?;
    let old = &services.services[at].1;
    if !answers_alike(old, service) {
        return Err(Unfit::Types(service.name.clone()));
    }
    let location = |region: &str| {
        let at = services.locations.iter().position(|location| location.region == region)?;
        u8::try_from(at).ok()
    };
    if let Some(elsewhere) = service.endpoints.iter().find(|e| location(&e.region).is_none()) {
        return Err(Unfit::Region(elsewhere.region.clone()));
    }
    let lists = geo.table.lists();
    if service.route.iter().flat_map(clients).any(|clients| lists.who(clients).is_none()) {
        return Err(Unfit::View);
    }
    let numbers = Numbers::of(services, service)?;
    let mut views = Views::again(lists, &geo.views);
    let id = ServiceId(u32::try_from(at).unwrap_or(u32::MAX));
    let verdict = |watched: &Watched| numbers.verdict(watched);
    let mut policy = Policy::compile(service, id, location, verdict, &mut views);
    if !views.are_built(&geo.views) {
        return Err(Unfit::View);
    }
    policy.number(|| {
        let others = services.services.iter().filter_map(|(_, policy)| policy.dynamic());
        old.dynamic().unwrap_or_else(|| others.max().map_or(0, |last| last + 1))
    });
    policy.settle(geo);
    let mut replaced = services.clone();
    replaced.services[at].1 = Arc::new(policy);
    replaced.targets = numbers.targets;
    Ok(replaced)
}

fn answers_alike(old: &Policy, service: &Service) -> bool {
    let has = |form: Form| service.endpoints.iter().any(|endpoint| endpoint.has(form));
    let binds = |rtype| service.bindings.iter().any(|binding| binding.rtype == rtype);
    Form::ALL.into_iter().all(|form| old.has(form) == has(form))
        && [Rtype::HTTPS, Rtype::SVCB]
            .into_iter()
            .all(|rtype| old.binding(rtype).is_some() == binds(rtype))
}

/// Whom the rules of a step are for.
fn clients(step: &Step) -> Vec<&[Selector]> {
    match step {
        Step::Fence(rules) => rules.iter().map(|rule| &*rule.clients).collect(),
        Step::Nearest(nearest) => nearest.prefer.iter().map(|rule| &*rule.clients).collect(),
        _ => Vec::new(),
    }
}

/// Where the verdicts stand that one service looks at.
struct Numbers {
    targets: Arc<[Arc<Target>]>,
    known: HashMap<Target, TargetId>,
    pairs: HashMap<(TargetId, TargetId), TargetId>,
}

impl Numbers {
    fn of(services: &Services, service: &Service) -> Result<Self, Unfit> {
        let watched: Vec<Watched> =
            service.endpoints.iter().flat_map(Endpoint::all_watched).collect();
        let id = |at: usize| TargetId(u32::try_from(at).unwrap_or(u32::MAX));
        let mut wanted: HashMap<&Target, Option<TargetId>> = watched
            .iter()
            .flat_map(|watched| std::iter::once(&watched.first).chain(&watched.second))
            .map(|target| (target, None))
            .collect();
        for (at, target) in services.targets.iter().enumerate() {
            if let Some(number) = wanted.get_mut(&**target) {
                *number = Some(id(at));
            }
        }
        let mut targets = Arc::clone(&services.targets);
        let new: Vec<&Target> = wanted
            .iter()
            .filter(|(_, number)| number.is_none())
            .map(|(target, _)| *target)
            .collect();
        if !new.is_empty() {
            if !services.pairs.is_empty() {
                return Err(Unfit::Targets);
            }
            let mut new = new;
            new.sort();
            let before = targets.len();
            for (at, target) in new.iter().enumerate() {
                wanted.insert(target, Some(id(before + at)));
            }
            let added = new.into_iter().map(|target| Arc::new(target.clone()));
            targets = targets.iter().cloned().chain(added).collect();
        }
        let known: HashMap<Target, TargetId> =
            wanted.into_iter().filter_map(|(target, id)| Some((target.clone(), id?))).collect();
        let pairs = services.pairs.iter().enumerate();
        let pairs = pairs.map(|(at, pair)| (*pair, id(services.targets.len() + at))).collect();
        let numbers = Self { targets, known, pairs };
        let fits = watched.iter().all(|watched| numbers.find(watched).is_some());
        fits.then_some(numbers).ok_or(Unfit::Targets)
    }

    fn find(&self, watched: &Watched) -> Option<TargetId> {
        let first = *self.known.get(&watched.first)?;
        match &watched.second {
            None => Some(first),
            Some(second) => self.pairs.get(&(first, *self.known.get(second)?)).copied(),
        }
    }

    /// Of a check of the service that they are of.
    fn verdict(&self, watched: &Watched) -> TargetId {
        self.find(watched).unwrap_or(TargetId(u32::MAX))
    }
}
