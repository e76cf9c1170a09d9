//! From checked zones and services to frozen tables: what goes into which.
//!
//! ```text
//!   zones ────┐            ┌─▶ the main part    ─▶ Part::freeze ─▶ Table ─┐
//!             ├─ divide ───┼─▶ a zone by itself ─▶ Part::freeze ─▶ Table ─┼─▶ Zones
//!   services ─┘            └─▶ …                                          ┘
//! ```

use super::ZoneData;
use super::error::{MAX_ERRORS, ZoneError, ZoneFault};
use super::part::Part;
use super::table::{Kind, Parent, ZoneId};
use super::zones::Zones;
use crate::name::{LowerName, Name};
use crate::rr::Rtype;
use std::collections::HashMap;
use std::sync::Arc;

/// Number of a service, given by the caller and handed back by resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub u32);

/// A name inside a zone whose RRsets of some types are made per client. May be a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceNode {
    /// The owner name.
    pub name: Name,
    /// What resolution hands back.
    pub id: ServiceId,
    /// The types it answers; for others the name has NODATA or static records.
    pub types: Vec<Rtype>,
}

impl Zones {
    /// Freezes `zones` and `services` into one table. `hash_key` keys the table's hash, so that
    /// nobody can choose names that collide; equal inputs give equal answers under any key.
    ///
    /// # Errors
    /// Services that collide with the zones or each other, zones given twice: all of them, at
    /// most [`MAX_ERRORS`].
    pub fn freeze<'a>(
        zones: impl IntoIterator<Item = &'a ZoneData>,
        services: &'a [ServiceNode],
        hash_key: [u64; 2],
    ) -> Result<Zones, Vec<ZoneError>> {
        Zones::freeze_apart(zones, services, hash_key, |_| false)
    }

    /// [`freeze`](Self::freeze), with a table of its own for each zone that `is_apart` says:
    /// [`refreeze`](Self::refreeze) will change it without a look at the others. All answers are
    /// the same but for additional addresses in another table, which do not come along.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    pub fn freeze_apart<'a>(
        zones: impl IntoIterator<Item = &'a ZoneData>,
        services: &'a [ServiceNode],
        hash_key: [u64; 2],
        is_apart: impl Fn(&Name) -> bool,
    ) -> Result<Zones, Vec<ZoneError>> {
        let mut zones: Vec<&ZoneData> = zones.into_iter().collect();
        zones.sort_by_cached_key(|zone| zone.apex().as_name().canonical_key());
        let twice = zones.windows(2).filter(|pair| pair[0].apex() == pair[1].apex());
        let twice = twice.map(|pair| ZoneError::of(pair[1].apex(), ZoneFault::DuplicateZone));
        let mut errors: Vec<_> = twice.chain(services.iter().flat_map(types)).collect();
        let parts = divide(zones, services, is_apart);
        let mut tables = Vec::with_capacity(parts.len());
        for part in parts {
            match part.freeze(hash_key) {
                Ok(table) => tables.push(Arc::new(table)),
                Err(found) => errors.extend(found),
            }
        }
        if !errors.is_empty() {
            errors.truncate(MAX_ERRORS);
            return Err(errors);
        }
        let apart = tables.split_off(1).into();
        Ok(Zones { main: tables.remove(0), apart })
    }

    /// The same with another content of one zone that was frozen apart, and with the services that
    /// stand in it; all other tables are shared. `services` may name all services: those elsewhere
    /// are left alone.
    ///
    /// # Errors
    /// Services that collide with the zone or each other; a zone that was not frozen apart.
    pub fn refreeze(
        &self,
        zone: &ZoneData,
        services: &[ServiceNode],
    ) -> Result<Zones, Vec<ZoneError>> {
        let found = self.zone_at(&LowerName::from(zone.apex()));
        let place = found.and_then(|zone| zone.id().index().checked_sub(self.main.zones.len()));
        let Some(place) = place else {
            return Err(vec![ZoneError::of(zone.apex(), ZoneFault::NotApart)]);
        };
        let before = &self.apart[place];
        let below: Vec<(Name, ZoneId)> = before
            .markers
            .iter()
            .map(|&marker| before.node(marker))
            .map(|node| (before.name(node).to_name(), node.zone))
            .collect();
        let is_here = |service: &&ServiceNode| {
            let (node, _) = before.seek(&LowerName::from(&service.name));
            !matches!(before.node(node).kind, Kind::Outer | Kind::Elsewhere)
        };
        let part = Part {
            zones: vec![zone],
            first: before.first,
            markers: below.iter().map(|(name, zone)| (name, *zone)).collect(),
            services: services.iter().filter(is_here).collect(),
            above: match before.zones[0].parent {
                Parent::Elsewhere(above) => Some(above),
                Parent::None | Parent::Here(..) => None,
            },
        };
        let mut next = self.clone();
        next.apart[place] = Arc::new(part.freeze(before.hash_key)?);
        Ok(next)
    }
}

/// The main part, and one for each zone that is apart, in the order of their numbers. `zones` are
/// in canonical order.
fn divide<'a>(
    zones: Vec<&'a ZoneData>,
    services: &'a [ServiceNode],
    is_apart: impl Fn(&Name) -> bool,
) -> Vec<Part<'a>> {
    let (apart, main): (Vec<_>, Vec<_>) = zones.into_iter().partition(|zone| is_apart(zone.apex()));
    let first_apart = main.len();
    let mut ids: HashMap<&[u8], usize> = HashMap::with_capacity(first_apart + apart.len());
    ids.extend(main.iter().chain(&apart).enumerate().map(|(id, zone)| (zone.apex().lower(), id)));
    // The part that holds a zone: 0 is the main one.
    let part_of = |id: usize| (id + 1).saturating_sub(first_apart);
    let number = |id: usize| ZoneId(u32::try_from(id).unwrap_or(u32::MAX));
    // The zone with the longest apex that has at most `depth` labels of `name`.
    let home = |name: &LowerName, depth: usize| {
        (0..=depth).rev().find_map(|depth| ids.get(name.suffix(depth)).copied())
    };
    let mut parts = vec![Part { zones: main, ..Part::default() }];
    parts.extend(apart.iter().enumerate().map(|(place, &zone)| Part {
        zones: vec![zone],
        first: number(first_apart + place),
        ..Part::default()
    }));
    if parts.len() == 1 {
        parts[0].services.extend(services);
        return parts;
    }
    let all = parts[0].zones.iter().chain(&apart).copied().enumerate();
    for (id, zone) in all.collect::<Vec<_>>() {
        let apex = LowerName::from(zone.apex());
        let above = apex.label_count().checked_sub(1).and_then(|depth| home(&apex, depth));
        let above = above.filter(|&above| part_of(above) != part_of(id));
        let marker = (zone.apex(), number(id));
        if part_of(id) != 0 {
            parts[0].markers.push(marker);
            parts[part_of(id)].above = above.map(number);
        }
        if let Some(above) = above.filter(|&above| part_of(above) != 0) {
            parts[part_of(above)].markers.push(marker);
        }
    }
    for service in services {
        let name = LowerName::from(&service.name);
        let home = home(&name, name.label_count()).map_or(0, part_of);
        parts[home].services.push(service);
    }
    parts
}

/// What is wrong with a service wherever it stands.
fn types(service: &ServiceNode) -> Vec<ZoneError> {
    let mut faults = Vec::new();
    if service.types.is_empty() {
        faults.push(ZoneFault::ServiceWithoutTypes);
    }
    for &rtype in &service.types {
        let structural = matches!(rtype, Rtype::NS | Rtype::SOA | Rtype::DNAME | Rtype::DS);
        if structural || rtype.is_meta() {
            faults.push(ZoneFault::ServiceType(rtype));
        }
    }
    let cname = service.types.contains(&Rtype::CNAME);
    if cname && let Some(&other) = service.types.iter().find(|&&t| t != Rtype::CNAME) {
        faults.push(ZoneFault::CnameServiceBeside(other));
    }
    faults.into_iter().map(|fault| ZoneError::of(&service.name, fault)).collect()
}
