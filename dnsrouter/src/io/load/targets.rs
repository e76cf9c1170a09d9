//! Hosts that services lead to and that are nowhere: told, never refused, because an update may bring
//! them.

use std::collections::HashSet;

use dns::name::LowerName;
use dns::resolve::Resolution;
use dns::rr::{Rcode, Rtype};
use dns::zone::Zones;

use crate::config::Config;

/// Most of them told one by one: a name that many services share would be told for each.
const MAX_TOLD: usize = 50;

/// A line for each target of a service, once, that is inside our zones and has nothing there.
pub(super) fn missing(config: &Config, zones: &Zones) -> Vec<String> {
    let mut found = Resolution::new();
    let (mut told, mut untold) = (Vec::new(), 0);
    for (service, _) in &config.services {
        let mut seen = HashSet::new();
        for record in service.endpoints.iter().flat_map(|endpoint| &endpoint.records) {
            let Some(target) = record.form.target(&record.rdata) else { continue };
            if !seen.insert(target.wire()) {
                continue;
            }
            zones.resolve(&LowerName::from(target), Rtype::A, &mut found);
            if found.rcode() != Rcode::NXDOMAIN {
                continue;
            }
            if told.len() == MAX_TOLD {
                untold += 1;
                continue;
            }
            let zone = found.zone().map(|zone| zones.zone(zone).apex().to_string());
            told.push(format!(
                "service {}: its {} target {target} names nothing in our zone {}",
                service.name,
                record.form,
                zone.unwrap_or_default()
            ));
        }
    }
    if untold > 0 {
        told.push(format!("{untold} more targets of services name nothing in our zones"));
    }
    told
}
