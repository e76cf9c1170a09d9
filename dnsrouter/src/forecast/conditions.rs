//! What is known of targets, as it would be: with regions down, or for another plan.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use dns::zone::ServiceId;

use crate::balance::fleet;
use crate::overrides::Overrides;
use crate::overrides::bound::Bound;
use crate::plan::{Services, Snapshot};
use crate::target::Target;
use crate::verdicts::{Health, Stance, Stances, TargetId, Verdict};

/// The same with all endpoints of some locations down, whatever people say of them.
pub fn without(health: &Health, services: &Services, gone: &[u8]) -> Health {
    let said = health.stances();
    let mut locations = said.locations.to_vec();
    locations.resize(services.locations.len(), Stance::Measured);
    for location in gone {
        locations[usize::from(*location)] = Stance::ForcedDown;
    }
    // An endpoint's own stance counts before its location's.
    let is_gone = |(service, endpoint): (ServiceId, u8)| {
        let policy = services.services.get(service.0 as usize).map(|(_, policy)| policy);
        policy.is_some_and(|policy| gone.contains(&policy.location(endpoint)))
    };
    let stance = |(key, stance): &((ServiceId, u8), Stance)| {
        (*key, if is_gone(*key) { Stance::ForcedDown } else { *stance })
    };
    let endpoints = said.endpoints.iter().map(stance).collect();
    let announced = said.announced.clone();
    let mut health = health.clone();
    health.set_stances(Arc::new(Stances { locations: locations.into(), endpoints, announced }));
    health
}

/// What is known now, for the targets of another plan: those that are new are unknown. What people
/// say counts for what is called so there, and load-aware steps go on with what was reckoned.
pub fn carried(
    present: &Snapshot,
    overrides: &Arc<Overrides>,
    next: &Services,
    now: SystemTime,
) -> Health {
    let before = &present.inputs.services;
    let known: HashMap<&Target, TargetId> =
        before.targets.numbered().map(|(id, target)| (&**target, id)).collect();
    let mut health = Health::new((0..next.targets.numbers()).map(|_| Verdict::UNKNOWN));
    for (id, target) in next.targets.numbered() {
        if let Some(known) = known.get(&**target) {
            health.set(id, *present.health.verdict(*known));
        }
    }
    for (id, (first, second)) in next.targets.pairs() {
        let both = health.verdict(first).with(health.verdict(second));
        health.set(id, both);
    }
    health.set_stances(Arc::new(Bound::new(Arc::clone(overrides), next).stances(now)));
    health.set_shares(fleet::carried(before, &present.health, next));
    health
}
