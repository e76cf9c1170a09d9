//! From checked zones and services to the frozen table.
//!
//! ```text
//!  1 gather   every name with data goes to its most specific zone    BTreeMap, canonical order
//!  2 fill     names between them, and up to the root, become nodes
//!  3 walk     top down: which zone, what kind (data, cut, below cut, below DNAME, outside)
//!  4 emit     names, slots and data into flat arrays; the hash index
//!  5 link     targets of NS, MX, SRV, SVCB, HTTPS to the nodes that hold their addresses
//! ```

use super::emit::Emit;
use super::error::{MAX_ERRORS, ZoneError, ZoneFault};
use super::table::{Kind, Node, NodeId, Slot, ZoneEntry, ZoneId, Zones};
use super::{Record, ZoneData};
use crate::name::{Name, NameRef};
use crate::rr::{Rtype, Ttl};
use std::collections::{BTreeMap, HashMap};

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

/// Optional addresses remembered per RRset: more would not fit a reply anyway, nor the bits that
/// hide some of them ([`crate::resolve`]).
const MAX_OPTIONAL: usize = 32;

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
        let mut draft = Draft::default();
        draft.gather(zones.into_iter().collect());
        for service in services {
            draft.service(service);
        }
        draft.fill();
        let walked = draft.walk();
        if !draft.errors.is_empty() {
            draft.errors.truncate(MAX_ERRORS);
            return Err(draft.errors);
        }
        draft
            .emit(&walked, hash_key)
            .ok_or_else(|| vec![ZoneError::of(&Name::root(), ZoneFault::TooBig)])
    }
}

/// Everything by name, before it is frozen.
#[derive(Default)]
struct Draft<'a> {
    /// In canonical order of their apexes.
    zones: Vec<&'a ZoneData>,
    by_apex: HashMap<&'a Name, usize>,
    /// By canonical key, so that a parent's key is a prefix of its children's.
    nodes: BTreeMap<Vec<u8>, DraftNode<'a>>,
    /// DS records that a parent zone of ours holds for a zone of ours, by zone.
    parent_ds: HashMap<usize, &'a [Record]>,
    errors: Vec<ZoneError>,
}

struct DraftNode<'a> {
    name: Name,
    /// The zone that has its apex here.
    apex_of: Option<usize>,
    sets: Vec<&'a [Record]>,
    service: Option<&'a ServiceNode>,
}

/// What the walk found out about a node.
struct Walked {
    kind: Kind,
    /// The zone; for [`Kind::Outer`] meaningless.
    zone: usize,
    /// The delegation or DNAME that hides the node, or the node itself at a delegation.
    link: usize,
    /// For an apex: the zone of ours that has the name above it.
    parent_zone: Option<usize>,
    /// Whether a DNAME hides what is below.
    has_dname: bool,
}

impl<'a> Draft<'a> {
    fn gather(&mut self, mut zones: Vec<&'a ZoneData>) {
        zones.sort_by_key(|zone| zone.apex());
        for pair in zones.windows(2) {
            if pair[0].apex() == pair[1].apex() {
                self.errors.push(ZoneError::of(pair[1].apex(), ZoneFault::DuplicateZone));
            }
        }
        self.by_apex = zones.iter().enumerate().map(|(i, zone)| (zone.apex(), i)).collect();
        for (i, &zone) in zones.iter().enumerate() {
            // In canonical order a zone below this one would come next.
            let nested =
                zones.get(i + 1).is_some_and(|next| next.apex().is_subdomain_of(zone.apex()));
            let same_set = |a: &Record, b: &Record| a.rtype == b.rtype && a.owner == b.owner;
            for set in zone.records().chunk_by(same_set) {
                let home = if nested { self.home(&set[0].owner) } else { i };
                if home == i {
                    self.node(&set[0].owner).sets.push(set);
                } else if set[0].rtype == Rtype::DS && set[0].owner == *zones[home].apex() {
                    self.parent_ds.insert(home, set);
                }
            }
        }
        for (i, zone) in zones.iter().enumerate() {
            self.node(zone.apex()).apex_of = Some(i);
        }
        self.zones = zones;
    }

    fn node(&mut self, name: &Name) -> &mut DraftNode<'a> {
        let key = name.as_name().canonical_key();
        self.nodes.entry(key).or_insert_with(|| DraftNode::empty(name.clone()))
    }

    /// The zone with the longest apex at or above `name`, which is inside at least one.
    fn home(&self, name: &Name) -> usize {
        let mut at = Some(name.clone());
        while let Some(ancestor) = at {
            if let Some(&zone) = self.by_apex.get(&ancestor) {
                return zone;
            }
            at = ancestor.parent();
        }
        unreachable!("a checked record is inside its zone")
    }

    fn service(&mut self, service: &'a ServiceNode) {
        let name = &service.name;
        if service.types.is_empty() {
            self.errors.push(ZoneError::of(name, ZoneFault::ServiceWithoutTypes));
        }
        for &rtype in &service.types {
            let structural = matches!(rtype, Rtype::NS | Rtype::SOA | Rtype::DNAME | Rtype::DS);
            if structural || rtype.is_meta() {
                self.errors.push(ZoneError::of(name, ZoneFault::ServiceType(rtype)));
            }
        }
        let mut faults = Vec::new();
        let cname = service.types.contains(&Rtype::CNAME);
        if cname && let Some(&other) = service.types.iter().find(|&&t| t != Rtype::CNAME) {
            faults.push(ZoneFault::CnameServiceBeside(other));
        }
        let node = self.node(name);
        if node.service.replace(service).is_some() {
            faults.push(ZoneFault::DuplicateService);
        }
        for set in &node.sets {
            if set[0].rtype == Rtype::CNAME {
                faults.push(ZoneFault::ServiceAtCname);
            } else if cname {
                faults.push(ZoneFault::CnameServiceBeside(set[0].rtype));
            } else if service.types.contains(&set[0].rtype) {
                faults.push(ZoneFault::ServiceBesideStatic(set[0].rtype));
            }
        }
        self.errors.extend(faults.into_iter().map(|fault| ZoneError::of(name, fault)));
    }

    /// Adds every ancestor of every name, up to the root.
    fn fill(&mut self) {
        // By key: siblings lack the same ancestors.
        let mut missing: HashMap<&[u8], NameRef<'_>> = HashMap::new();
        for (key, node) in &self.nodes {
            let mut key = &key[..];
            let mut above = node.name.as_name();
            while let (Some(parent_key), Some(parent)) = (parent_key(key), above.parent())
                && !self.nodes.contains_key(parent_key)
                && !missing.contains_key(parent_key)
            {
                missing.insert(parent_key, parent);
                (key, above) = (parent_key, parent);
            }
        }
        let missing: Vec<Name> = missing.into_values().map(NameRef::to_name).collect();
        for name in missing {
            self.node(&name);
        }
        self.node(&Name::root());
    }

    /// Decides the kind of every node. In canonical order a node's parent is the last one seen
    /// that is shorter, so a stack of ancestors suffices.
    fn walk(&mut self) -> Vec<Walked> {
        let mut walked: Vec<Walked> = Vec::with_capacity(self.nodes.len());
        let mut stack: Vec<usize> = Vec::new();
        let names: Vec<&Name> = self.nodes.values().map(|node| &node.name).collect();
        let mut errors = Vec::new();
        for (id, node) in self.nodes.values().enumerate() {
            let name = names[id];
            stack.truncate(name.label_count());
            let parent = stack.last().map(|&parent| (parent, &walked[parent]));
            let found = classify(id, node, parent);
            if node.service.is_some() {
                let fault = match found.kind {
                    Kind::Data => None,
                    Kind::Outer => Some(ZoneFault::ServiceOutsideZones),
                    Kind::Cut | Kind::BelowCut => {
                        Some(ZoneFault::ServiceBelowCut(names[found.link].clone()))
                    }
                    Kind::BelowDname => {
                        Some(ZoneFault::ServiceBelowDname(names[found.link].clone()))
                    }
                };
                errors.extend(fault.map(|fault| ZoneError::of(name, fault)));
            }
            walked.push(found);
            stack.push(id);
        }
        self.errors.append(&mut errors);
        walked
    }

    /// Lays everything out flat; `None` if offsets of 32 bits do not reach.
    fn emit(&self, walked: &[Walked], hash_key: [u64; 2]) -> Option<Zones> {
        let mut emit = Emit::new(hash_key, self.nodes.len());
        for (node, found) in self.nodes.values().zip(walked) {
            let name = &node.name;
            let slots_at = emit.slots_at()?;
            let mut slots = Vec::new();
            for set in &node.sets {
                slots.push(static_slot(&mut emit, set)?);
            }
            if let Some(service) = node.service {
                let types = service.types.iter();
                slots.extend(types.map(|&rtype| Slot::service(rtype, service.id)));
            }
            slots.sort_by_key(|slot| slot.rtype);
            slots.dedup_by_key(|slot| slot.rtype);
            let id = emit.node(
                name,
                Node {
                    slots_at,
                    slots: u16::try_from(slots.len()).ok()?,
                    kind: found.kind,
                    has_cname: slots.iter().any(|slot| slot.rtype == Rtype::CNAME),
                    has_dname: node.has(Rtype::DNAME),
                    zone: ZoneId(u32::try_from(found.zone).ok()?),
                    link: NodeId(u32::try_from(found.link).ok()?),
                    ..Node::default()
                },
                slots,
            )?;
            if name.is_wildcard() && found.kind == Kind::Data {
                emit.wildcard(name.parent()?.lower(), id);
            }
        }
        for (i, zone) in self.zones.iter().enumerate() {
            let apex = emit.find(zone.apex().lower())?;
            let parent = walked[apex.index()].parent_zone;
            let parent_ds = match self.parent_ds.get(&i).filter(|_| parent.is_some()) {
                Some(&set) => Some(static_slot(&mut emit, set)?),
                None => None,
            };
            let soa = zone.soa();
            emit.zone(ZoneEntry {
                apex,
                serial: soa.serial,
                minimum: soa.minimum,
                parent: parent.map(|parent| ZoneId(parent as u32)),
                parent_ds,
            });
        }
        self.link(&mut emit)?;
        Some(emit.finish())
    }

    /// Finds the addresses that go along with NS, MX, SRV, SVCB and HTTPS records.
    fn link(&self, emit: &mut Emit) -> Option<()> {
        for (id, node) in self.nodes.values().enumerate() {
            let (id, name) = (NodeId(u32::try_from(id).ok()?), &node.name);
            for rtype in [Rtype::NS, Rtype::MX, Rtype::SRV, Rtype::SVCB, Rtype::HTTPS] {
                let Some(set) = node.set(rtype) else { continue };
                let referral = rtype == Rtype::NS && emit.kind(id) == Kind::Cut;
                let (mut needed, mut optional) = (Vec::new(), Vec::new());
                for record in set {
                    let Some(target) = target(record) else { continue };
                    let below = referral && target.is_subdomain_of(name.as_name());
                    match emit.find_addresses(&target.to_name(), referral) {
                        Some(node) if below => needed.push(node),
                        // Several records may lead to one host.
                        Some(node) if optional.contains(&node) => {}
                        Some(node) if optional.len() < MAX_OPTIONAL => optional.push(node),
                        _ => {}
                    }
                }
                emit.extras(id, rtype, &needed, &optional)?;
            }
        }
        Some(())
    }
}

/// The host that a record leads to, if it says one.
fn target(record: &Record) -> Option<NameRef<'_>> {
    let skip = match record.rtype {
        Rtype::NS => 0,
        Rtype::MX | Rtype::SVCB | Rtype::HTTPS => 2,
        Rtype::SRV => 6,
        _ => return None,
    };
    let (fixed, rest) = record.rdata.split_at_checked(skip)?;
    let target = NameRef::parse(rest).ok()?;
    match record.rtype {
        // RFC 9460 §2.5: the root stands for the owner, and with priority 0 for nothing. A
        // wildcard's owner is whatever was asked for.
        Rtype::SVCB | Rtype::HTTPS if target.is_root() => {
            (*fixed != [0, 0] && !record.owner.is_wildcard()).then(|| record.owner.as_name())
        }
        _ => Some(target),
    }
}

/// What a node is, by what is above it.
fn classify(id: usize, node: &DraftNode<'_>, parent: Option<(usize, &Walked)>) -> Walked {
    let has_dname = node.has(Rtype::DNAME);
    if let Some(zone) = node.apex_of {
        // Below a cut or a DNAME the zone above has nothing to say about this one.
        let parent_zone = parent
            .filter(|(_, parent)| parent.kind == Kind::Data && !parent.has_dname)
            .map(|(_, parent)| parent.zone);
        return Walked { kind: Kind::Data, zone, link: id, parent_zone, has_dname };
    }
    let Some((parent_id, parent)) = parent else {
        return Walked { kind: Kind::Outer, zone: 0, link: id, parent_zone: None, has_dname };
    };
    let (kind, link) = match parent.kind {
        Kind::Outer => (Kind::Outer, id),
        Kind::Cut | Kind::BelowCut => (Kind::BelowCut, parent.link),
        Kind::BelowDname => (Kind::BelowDname, parent.link),
        Kind::Data if parent.has_dname => (Kind::BelowDname, parent_id),
        Kind::Data if node.has(Rtype::NS) => (Kind::Cut, id),
        Kind::Data => (Kind::Data, id),
    };
    Walked { kind, zone: parent.zone, link, parent_zone: None, has_dname }
}

impl<'a> DraftNode<'a> {
    fn empty(name: Name) -> Self {
        DraftNode { name, apex_of: None, sets: Vec::new(), service: None }
    }

    fn set(&self, rtype: Rtype) -> Option<&'a [Record]> {
        self.sets.iter().copied().find(|set| set[0].rtype == rtype)
    }

    fn has(&self, rtype: Rtype) -> bool {
        self.set(rtype).is_some()
    }
}

/// The key of the name above; none for the root.
fn parent_key(key: &[u8]) -> Option<&[u8]> {
    let label = key.strip_suffix(&[0])?;
    let end = label.iter().rposition(|&octet| octet == 0).map_or(0, |at| at + 1);
    Some(&key[..end])
}

fn static_slot(emit: &mut Emit, set: &[Record]) -> Option<Slot> {
    let ttl = set.iter().map(|record| record.ttl).min().unwrap_or(Ttl::ZERO);
    let (data_at, data_len) = emit.data(set.iter().map(|record| &*record.rdata))?;
    let count = u16::try_from(set.len()).ok()?;
    Some(Slot::fixed(set[0].rtype, ttl, count, data_at, data_len))
}
