//! Whether an override would take from a service the last it has.
//!
//! Nothing would break: `healthy` fails open, and the name goes on being answered with everything.
//! But it would be answered with what somebody has just drained or forced down, and that is seldom
//! what they meant.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use dns::name::Name;
use dns::zone::ServiceId;

use super::bound::{Bound, services_of};
use super::{Override, Overrides};
use crate::plan::Services;
use crate::policy::Policy;
use crate::service::{Form, Step};
use crate::verdicts::{Health, Stance};

/// Regions and services that are told of; the rest is counted.
const MAX_TOLD: usize = 4;

/// A service that would have nothing usable left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emptied {
    /// The service.
    pub name: Name,
    /// Of this form.
    pub form: Form,
    /// Its regions, each with the reason why nothing there is usable.
    pub left: Vec<(String, &'static str)>,
}

/// `geo.test-net.io. (A: us-central1 drained, europe-west3 down)`
impl fmt::Display for Emptied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}: ", self.name, self.form)?;
        for (at, (region, why)) in self.left.iter().take(MAX_TOLD).enumerate() {
            write!(f, "{}{region} {why}", if at > 0 { ", " } else { "" })?;
        }
        match self.left.len().saturating_sub(MAX_TOLD) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// Services that `new` would leave with nothing usable, judged by the present verdicts at each
/// moment at which it is whole together with others that were said.
pub fn emptied(
    services: &Services,
    health: &Health,
    before: &Overrides,
    new: &Override,
    now: SystemTime,
) -> Vec<Emptied> {
    let mut after = before.clone();
    if after.set(new.clone(), now).is_err() {
        return Vec::new();
    }
    let (before, after) =
        (Bound::new(Arc::new(before.clone()), services), Bound::new(Arc::new(after), services));
    let touched: Vec<ServiceId> = services_of(&new.subject, services);
    let whole = new.whole_at().max(now);
    let later = before.overrides().iter().map(Override::whole_at);
    let mut moments: Vec<SystemTime> =
        later.filter(|at| *at > whole && !new.is_over(*at)).chain([whole]).collect();
    moments.sort_unstable();
    moments.dedup();
    let mut emptied: Vec<Emptied> = Vec::new();
    for at in moments {
        let at_that_time = |bound: &Bound| {
            let mut health = health.clone();
            health.set_stances(Arc::new(bound.stances(at)));
            health
        };
        let (with, without) = (at_that_time(&after), at_that_time(&before));
        for id in &touched {
            let (name, policy) = &services.services[id.0 as usize];
            if emptied.iter().any(|known| known.name == *name) || !filters(policy) {
                continue;
            }
            let empty = |health, form| policy.has(form) && !has_usable(policy, *id, form, health);
            let form =
                Form::ALL.into_iter().find(|form| empty(&with, *form) && !empty(&without, *form));
            if let Some(form) = form {
                let left = left(services, policy, *id, form, &with);
                emptied.push(Emptied { name: name.clone(), form, left });
            }
        }
    }
    emptied
}

/// Services that an override is about and whose routes look at no health: it changes nothing there.
pub fn untouched<'a>(services: &'a Services, new: &Override) -> Vec<&'a Name> {
    let about = services_of(&new.subject, services);
    let about = about.into_iter().map(|id| &services.services[id.0 as usize]);
    about.filter(|(_, policy)| !filters(policy)).map(|(name, _)| name).collect()
}

fn filters(policy: &Policy) -> bool {
    policy.steps().any(|step| matches!(step, Step::Healthy { .. }))
}

fn has_usable(policy: &Policy, id: ServiceId, form: Form, health: &Health) -> bool {
    (0..policy.endpoints()).any(|endpoint| why_not(policy, id, endpoint, form, health).is_none())
}

/// Why an endpoint has no usable record of a form; none: it has.
fn why_not(
    policy: &Policy,
    id: ServiceId,
    endpoint: u8,
    form: Form,
    health: &Health,
) -> Option<&'static str> {
    let location = policy.location(endpoint);
    let standing = |target| health.endpoint_state(id, endpoint, location, target);
    let mut worst = Some("without any");
    for record in policy.endpoint_records(form, endpoint) {
        let standing = standing(record.target);
        // A drain on its way still leaves somebody there.
        if standing.state.is_usable() {
            return None;
        }
        worst = Some(match health.stances().of(id, endpoint, location) {
            Stance::ForcedDown => "forced down",
            Stance::Draining { .. } => "drained",
            Stance::Measured | Stance::ForcedUp => standing.state.word(),
        });
    }
    worst
}

/// Each region once.
fn left(
    services: &Services,
    policy: &Policy,
    id: ServiceId,
    form: Form,
    health: &Health,
) -> Vec<(String, &'static str)> {
    let mut left: Vec<(String, &'static str)> = Vec::new();
    for endpoint in 0..policy.endpoints() {
        let region = &services.locations[usize::from(policy.location(endpoint))].region;
        let of_form = !policy.endpoint_records(form, endpoint).is_empty();
        if let Some(why) = why_not(policy, id, endpoint, form, health)
            && of_form
            && !left.iter().any(|(known, _)| known == region)
        {
            left.push((region.clone(), why));
        }
    }
    left
}
