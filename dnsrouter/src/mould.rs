//! What frozen zones are changed by: the records of those that updates may change, kept where one
//! of them can be frozen anew, and what stays as it is.
//!
//! Of the other zones nothing but their frozen form is kept. Each zone that can change has a table
//! of its own ([`Zones::freeze_apart`]), so a change costs what its zone is large.

use std::collections::HashMap;
use std::sync::Arc;

use dns::name::{LowerName, Name};
use dns::rr::Rtype;
use dns::zone::{ServiceNode, ZoneData, ZoneError, Zones};

/// Zones, services, and what makes them a plan.
#[derive(Clone)]
pub struct Mould {
    frozen: Arc<Zones>,
    /// Those that can change.
    zones: HashMap<Name, Arc<ZoneData>>,
    services: Arc<Services>,
    rest: u64,
}

struct Services {
    nodes: Vec<ServiceNode>,
    types: HashMap<Name, Vec<Rtype>>,
}

/// A changed zone, frozen with what was there.
pub struct Next {
    zone: Arc<ZoneData>,
    frozen: Arc<Zones>,
}

impl Mould {
    /// Freezes everything; zones that `can_change` says apart from the others. `rest` is the
    /// fingerprint of the other inputs; see [`Zones::freeze`] for the key.
    ///
    /// # Errors
    ///
    /// What goes wrong between zones and services.
    pub fn new(
        zones: Vec<Arc<ZoneData>>,
        can_change: impl Fn(&Name) -> bool,
        nodes: Vec<ServiceNode>,
        hash_key: [u64; 2],
        rest: u64,
    ) -> Result<Self, Vec<ZoneError>> {
        let all = zones.iter().map(|zone| &**zone);
        let frozen = Arc::new(Zones::freeze_apart(all, &nodes, hash_key, &can_change)?);
        let zones = zones.into_iter().filter(|zone| can_change(zone.apex()));
        let zones = zones.map(|zone| (zone.apex().clone(), zone)).collect();
        let types = nodes.iter().map(|node| (node.name.clone(), node.types.clone())).collect();
        Ok(Self { frozen, zones, services: Arc::new(Services { nodes, types }), rest })
    }

    /// All zones, with services among them.
    pub fn frozen(&self) -> &Arc<Zones> {
        &self.frozen
    }

    /// Of everything that people wrote and updates changed.
    pub fn fingerprint(&self) -> u64 {
        use std::hash::Hasher;
        let mut hasher = siphasher::sip::SipHasher13::new();
        hasher.write_u64(self.frozen.fingerprint());
        hasher.write_u64(self.rest);
        hasher.finish()
    }

    /// The zone with this apex, if it can change.
    pub fn zone(&self, apex: &Name) -> Option<&Arc<ZoneData>> {
        self.zones.get(apex)
    }

    /// The types that a service answers at this name; none without one.
    pub fn service(&self, name: &Name) -> &[Rtype] {
        self.services.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// The apex of the zone below `zone` that `name` belongs to, if another than `zone` itself does.
    pub fn below(&self, zone: &Name, name: &Name) -> Option<Name> {
        let mut at = Some(name.clone());
        while let Some(name) = at.filter(|name| name != zone) {
            if self.frozen.zone_at(&LowerName::from(&name)).is_some() {
                return Some(name);
            }
            at = name.parent();
        }
        None
    }

    /// Freezes another content of a zone that can change; [`take`](Self::take) makes it this
    /// mould's.
    ///
    /// # Errors
    ///
    /// What goes wrong between the zone and services, or that it cannot change.
    pub fn next(&self, zone: Arc<ZoneData>) -> Result<Next, Vec<ZoneError>> {
        let frozen = Arc::new(self.frozen.refreeze(&zone, &self.services.nodes)?);
        Ok(Next { zone, frozen })
    }

    /// Goes on from what [`next`](Self::next) made of this; hands back the zone as it was.
    pub fn take(&mut self, next: Next) -> Option<Arc<ZoneData>> {
        self.frozen = next.frozen;
        self.zones.insert(next.zone.apex().clone(), next.zone)
    }
}
