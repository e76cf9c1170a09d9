//! One service of a plan compiled anew, in the plan as it is.
//!
//! Everything that services share stays: names, places, locations, and the numbers of targets that
//! somebody looks at. So a change costs what that one service costs, the pages that it is on, and rows of
//! pointers to all pages. What needs more than is there is told, and takes a
//! [`recompile`](super::recompile).

use std::sync::Arc;

use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::ServiceId;
use geo::Selector;

use crate::plan::{Geo, Services};
use crate::policy::{Policy, Views};
use crate::service::{Endpoint, Form, Service, Step};
use crate::target::{Numbering, Watched};

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
}

/// The services of a plan with another one in the place of that of the same name.
///
/// Where answers of its kind have no scopes of their own in the plan, they have those of the table,
/// which are narrower and right as well, until the next [`recompile`](super::recompile).
///
/// # Errors
///
/// What the plan lacks for it.
pub fn replace(services: &Services, geo: &Geo, service: &Service) -> Result<Services, Unfit> {
    let unknown = || Unfit::Name(service.name.clone());
    let named = services.services.iter().position(|(name, _)| *name == service.name);
    let at = named.ok_or_else(unknown)?;
    let (name, old) = &services.services[at];
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
    let watched = service.endpoints.iter().flat_map(Endpoint::all_watched);
    let mut numbering = Numbering::new(services.targets.clone(), watched);
    let mut views = Views::again(lists, &geo.views);
    let id = ServiceId(u32::try_from(at).unwrap_or(u32::MAX));
    let target = |watched: &Watched| numbering.take(watched);
    let mut policy = Policy::compile(service, id, location, target, &mut views);
    if !views.are_built(&geo.views) {
        return Err(Unfit::View);
    }
    policy.number(|| old.dynamic().unwrap_or_else(|| free_dynamic(services)));
    policy.settle(geo);
    let mut replaced = services.clone();
    replaced.targets = numbering.finish(old.targets());
    replaced.services.set(at, (name.clone(), Arc::new(policy)));
    replaced.written.set(at, service.fingerprint());
    Ok(replaced)
}

/// The first number that no service with shares has.
fn free_dynamic(services: &Services) -> u32 {
    let mut taken: Vec<u32> =
        services.services.iter().filter_map(|(_, policy)| policy.dynamic()).collect();
    taken.sort_unstable();
    (0..).zip(&taken).find(|(at, taken)| at != *taken).map_or(taken.len() as u32, |(at, _)| at)
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
