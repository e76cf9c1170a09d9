//! What the frozen zones are made from, kept where updates can change a zone: then everything is
//! frozen again.
//!
//! A node without such zones keeps none of this: it would hold every record twice.

use std::collections::HashMap;
use std::sync::Arc;

use dns::name::Name;
use dns::rr::Rtype;
use dns::zone::{ServiceNode, ZoneData, ZoneError, Zones};

/// Zones, services, and what makes them a plan.
#[derive(Clone)]
pub struct Mould {
    zones: Vec<Arc<ZoneData>>,
    places: Arc<HashMap<Name, usize>>,
    services: Arc<Services>,
    hash_key: [u64; 2],
    rest: u64,
}

struct Services {
    nodes: Vec<ServiceNode>,
    types: HashMap<Name, Vec<Rtype>>,
}

/// What came out.
pub struct Frozen {
    /// The zones, with services among them.
    pub zones: Zones,
    /// Of everything that people wrote and updates changed.
    pub fingerprint: u64,
}

impl Mould {
    /// `rest` is the fingerprint of the other inputs; see [`Zones::freeze`] for the key.
    pub fn new(
        zones: Vec<Arc<ZoneData>>,
        nodes: Vec<ServiceNode>,
        hash_key: [u64; 2],
        rest: u64,
    ) -> Self {
        let places = zones.iter().enumerate().map(|(at, zone)| (zone.apex().clone(), at));
        let types = nodes.iter().map(|node| (node.name.clone(), node.types.clone()));
        let (places, types) = (Arc::new(places.collect()), types.collect());
        Self { zones, places, services: Arc::new(Services { nodes, types }), hash_key, rest }
    }

    /// The zone with this apex.
    pub fn zone(&self, apex: &Name) -> Option<&Arc<ZoneData>> {
        self.places.get(apex).map(|&at| &self.zones[at])
    }

    /// Puts a zone in the place of the one with its apex; without one there it does nothing.
    pub fn put(&mut self, zone: Arc<ZoneData>) {
        if let Some(&at) = self.places.get(zone.apex()) {
            self.zones[at] = zone;
        }
    }

    /// The types that a service answers at this name; none without one.
    pub fn service(&self, name: &Name) -> &[Rtype] {
        self.services.types.get(name).map_or(&[], Vec::as_slice)
    }

    /// The apex of the zone below `zone` that `name` belongs to, if another than `zone` itself does.
    pub fn below(&self, zone: &Name, name: &Name) -> Option<Name> {
        let mut at = Some(name.clone());
        while let Some(name) = at.filter(|name| name != zone) {
            if self.places.contains_key(&name) {
                return Some(name);
            }
            at = name.parent();
        }
        None
    }

    /// Freezes everything.
    ///
    /// # Errors
    ///
    /// What goes wrong between zones and services.
    pub fn freeze(&self) -> Result<Frozen, Vec<ZoneError>> {
        use std::hash::Hasher;
        let zones = self.zones.iter().map(|zone| &**zone);
        let zones = Zones::freeze(zones, &self.services.nodes, self.hash_key)?;
        let mut hasher = siphasher::sip::SipHasher13::new();
        hasher.write_u64(zones.fingerprint());
        hasher.write_u64(self.rest);
        Ok(Frozen { zones, fingerprint: hasher.finish() })
    }
}
