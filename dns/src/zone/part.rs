//! One table from what belongs into it: a walk through all its names in canonical order.
//!
//! A checked zone's records are in that order already. What interrupts them (zones of ours inside
//! it, zones of other tables, services) is sorted once and looked up in the records by halving; so
//! nothing else is sorted, and each name is looked at once:
//!
//! ```text
//!   stops     example.      a.example. (zone)     geo.example. (service)
//!   example.  SOA … ──────▶ │ its records there  ──────▶ │ … ──────▶
//!                           │ count no more              │
//!   a.example.              └ SOA … ───────────▶ end     │
//! ```
//!
//! Names come top down, so a stack of the last name's ancestors tells what is above the next: which
//! zone, and what kind of node it is (data, cut, below a cut, below a DNAME, outside). Names between
//! that have no data become nodes on the way. Those on the way to a zone of ours are no names of the
//! zone above unless it has a record or a service at or below them (RFC 4592 §2.2.2).

use super::emit::Emit;
use super::error::{MAX_ERRORS, ZoneError, ZoneFault};
use super::freeze::ServiceNode;
use super::table::{Kind, Node, NodeId, Parent, Slot, Table, ZoneEntry, ZoneId};
use super::{Record, ZoneData};
use crate::name::{LowerName, MAX_LABELS, Name, NameRef};
use crate::rr::Rtype;

/// Optional addresses remembered per RRset: more would not fit a reply anyway, nor the bits that
/// hide some of them ([`crate::resolve`]).
const MAX_OPTIONAL: usize = 32;

/// What goes into one table.
#[derive(Default)]
pub(super) struct Part<'a> {
    /// In canonical order of their apexes; numbered in it from `first` on.
    pub(super) zones: Vec<&'a ZoneData>,
    pub(super) first: ZoneId,
    /// Where zones of other tables begin: all that are directly below a zone of this one; in the
    /// main table, all.
    pub(super) markers: Vec<(&'a Name, ZoneId)>,
    /// Those whose names are in `zones`, or in no zone at all.
    pub(super) services: Vec<&'a ServiceNode>,
    /// The zone of another table that is next above the one zone of this.
    pub(super) above: Option<ZoneId>,
}

impl<'a> Part<'a> {
    /// # Errors
    /// Services that collide with the zones or each other, in canonical order, at most
    /// [`MAX_ERRORS`].
    pub(super) fn freeze(&self, hash_key: [u64; 2]) -> Result<Table, Vec<ZoneError>> {
        let records = self.zones.iter().map(|zone| zone.records().len()).sum::<usize>();
        let mut walk = Walk {
            emit: Emit::new(hash_key, self.first, records + records / 8 + 1),
            above: self.above,
            open: Vec::new(),
            path: Vec::new(),
            links: Vec::new(),
            errors: Vec::new(),
        };
        let done = walk.all(&self.stops());
        if !walk.errors.is_empty() {
            return Err(walk.errors);
        }
        match done.and_then(|()| walk.link()) {
            Some(()) => Ok(walk.emit.finish()),
            None => Err(vec![ZoneError::of(&Name::root(), ZoneFault::TooBig)]),
        }
    }

    fn stops(&self) -> Vec<Stop<'a>> {
        let stop = |name, what| Stop { name, what };
        let zones = self.zones.iter().zip(self.first.0..);
        let zones = zones.map(|(&zone, id)| stop(zone.apex(), What::Zone(zone, ZoneId(id))));
        let markers = self.markers.iter().map(|&(name, zone)| stop(name, What::Marker(zone)));
        let services = self.services.iter();
        let services = services.map(|&service| stop(&service.name, What::Service(service)));
        let mut stops: Vec<_> = zones.chain(markers).chain(services).collect();
        // Stable, so a service comes after the zone whose apex it stands at.
        stops.sort_by_cached_key(|stop| stop.name.as_name().canonical_key());
        stops
    }
}

/// A name at which more happens than that a zone has records.
struct Stop<'a> {
    name: &'a Name,
    what: What<'a>,
}

#[derive(Clone, Copy)]
enum What<'a> {
    Zone(&'a ZoneData, ZoneId),
    Marker(ZoneId),
    Service(&'a ServiceNode),
}

/// What stands at a name beside records.
#[derive(Clone, Copy, Default)]
struct At<'a> {
    apex: Option<(&'a ZoneData, ZoneId)>,
    marker: Option<ZoneId>,
    /// What the zone above has at and below it, for either.
    hidden: &'a [Record],
    service: Option<&'a ServiceNode>,
}

struct Walk<'a> {
    emit: Emit,
    above: Option<ZoneId>,
    /// Zones whose records are not through yet, each inside the one before.
    open: Vec<Open<'a>>,
    /// The last name and all above it, from the root.
    path: Vec<Step<'a>>,
    /// RRsets with which addresses may go along.
    links: Vec<(NodeId, &'a [Record])>,
    errors: Vec<ZoneError>,
}

struct Open<'a> {
    apex: &'a Name,
    rest: &'a [Record],
}

impl<'a> At<'a> {
    /// Whether the zone above knows of what is here, or there is no other zone here.
    fn is_known_above(&self) -> bool {
        self.apex.is_none() && self.marker.is_none() || !self.hidden.is_empty()
    }

    /// DS records that the zone above has for another one here, at the name `lower`.
    fn ds(&self, lower: &[u8]) -> Option<&'a [Record]> {
        let mut sets = self.hidden.chunk_by(|a, b| a.rtype == b.rtype && a.owner == b.owner);
        sets.find(|set| set[0].rtype == Rtype::DS && set[0].owner.lower() == lower)
    }
}

/// A node as those below it see it.
#[derive(Clone, Copy)]
struct Step<'a> {
    lower: &'a [u8],
    id: NodeId,
    kind: Kind,
    zone: ZoneId,
    /// The delegation or DNAME that hides the node, or the node itself at a delegation.
    link: NodeId,
    /// Whether a DNAME hides what is below.
    has_dname: bool,
}

impl Step<'_> {
    /// Whether the node's zone has a say about what is right below.
    fn is_heard(&self) -> bool {
        matches!(self.kind, Kind::Data | Kind::Between) && !self.has_dname
    }
}

impl<'a> Walk<'a> {
    fn all(&mut self, stops: &[Stop<'a>]) -> Option<()> {
        for stops in stops.chunk_by(|a, b| a.name == b.name) {
            let name = stops[0].name;
            self.up_to(name)?;
            let (mut at, mut records) = (At::default(), &[][..]);
            match stops[0].what {
                What::Zone(zone, id) => {
                    at.apex = Some((zone, id));
                    at.hidden = self.enter(name);
                    self.open.push(Open { apex: zone.apex(), rest: zone.records() });
                }
                What::Marker(zone) => {
                    at.marker = Some(zone);
                    at.hidden = self.enter(name);
                }
                What::Service(_) => {}
            }
            if at.marker.is_none()
                && let Some(open) = self.open.last_mut()
            {
                let count = open.rest.iter().take_while(|record| record.owner == *name).count();
                (records, open.rest) = open.rest.split_at(count);
            }
            for stop in stops {
                let What::Service(service) = stop.what else { continue };
                if at.service.replace(service).is_some() {
                    self.error(ZoneError::of(name, ZoneFault::DuplicateService));
                }
            }
            if let Some(service) = at.service {
                self.collisions(service, records);
            }
            self.name(name, records, at)?;
        }
        while let Some(open) = self.open.pop() {
            self.names(open.rest)?;
        }
        // Nothing at all: still there is a root.
        if self.path.is_empty() {
            self.node((&[0], &[0]), &[], At::default(), true)
        } else {
            Some(())
        }
    }

    /// Everything before `name`, which is a stop.
    fn up_to(&mut self, name: &Name) -> Option<()> {
        while let Some(open) = self.open.last_mut() {
            if name.is_subdomain_of(open.apex) {
                let count = open.rest.partition_point(|record| record.owner < *name);
                let (before, rest) = open.rest.split_at(count);
                open.rest = rest;
                return self.names(before);
            }
            let rest = open.rest;
            self.open.pop();
            self.names(rest)?;
        }
        Some(())
    }

    /// Leaves out what the present zone has at and below the apex of another one; says what.
    fn enter(&mut self, apex: &Name) -> &'a [Record] {
        let Some(open) = self.open.last_mut() else { return &[] };
        let count = open.rest.partition_point(|record| record.owner.is_subdomain_of(apex));
        let (hidden, rest) = open.rest.split_at(count);
        open.rest = rest;
        hidden
    }

    /// Records of one zone, between stops.
    fn names(&mut self, records: &'a [Record]) -> Option<()> {
        for at_name in records.chunk_by(|a, b| a.owner == b.owner) {
            self.name(&at_name[0].owner, at_name, At::default())?;
        }
        Some(())
    }

    /// One name, and before it those above it that have not come.
    fn name(&mut self, name: &'a Name, records: &'a [Record], at: At<'a>) -> Option<()> {
        let (lower, wire) = (name.lower(), name.wire());
        let mut starts = [0; MAX_LABELS + 1];
        let (mut start, mut labels) = (0, 0);
        while lower[start] != 0 {
            starts[labels] = start;
            labels += 1;
            start += 1 + usize::from(lower[start]);
        }
        starts[labels] = start;
        self.path.truncate(labels);
        while let Some(last) = self.path.last()
            && *last.lower != lower[starts[labels + 1 - self.path.len()]..]
        {
            self.path.pop();
        }
        let known = at.is_known_above();
        if known {
            self.exist();
        }
        for depth in self.path.len()..labels {
            let start = starts[labels - depth];
            self.node((&lower[start..], &wire[start..]), &[], At::default(), known)?;
        }
        self.node((lower, wire), records, at, true)
    }

    /// The last names of the path that were only on the way to another zone are above one that
    /// their zone has.
    fn exist(&mut self) {
        for at in (1..self.path.len()).rev() {
            let step = &mut self.path[at];
            if step.kind != Kind::Between {
                return;
            }
            let (id, lower) = (step.id, step.lower);
            (step.kind, step.link) = (Kind::Data, id);
            self.emit.exists(id);
            if is_wildcard(lower) {
                self.emit.wildcard(self.path[at - 1].id, id);
            }
        }
    }

    /// One node, right below the last of the path; `known`: its zone has something at or below it.
    fn node(
        &mut self,
        (lower, wire): (&'a [u8], &'a [u8]),
        records: &'a [Record],
        at: At<'a>,
        known: bool,
    ) -> Option<()> {
        let (id, slots_at) = (self.emit.next()?, self.emit.slots_at()?);
        let above = self.path.last().copied();
        let has = |rtype| records.iter().any(|record| record.rtype == rtype);
        let (mut has_cname, has_dname) = (has(Rtype::CNAME), has(Rtype::DNAME));
        for set in records.chunk_by(|a, b| a.rtype == b.rtype) {
            let slot = self.emit.records(set)?;
            self.emit.slot(slot);
            if matches!(slot.rtype, Rtype::NS | Rtype::MX | Rtype::SRV | Rtype::SVCB | Rtype::HTTPS)
            {
                self.links.push((id, set));
            }
        }
        if let Some(service) = at.service {
            has_cname |= service.types.contains(&Rtype::CNAME);
            for &rtype in &service.types {
                self.emit.slot(Slot::service(rtype, service.id));
            }
        }
        let (kind, zone, link) = match (classify(id, &at, above.as_ref(), has(Rtype::NS)), above) {
            ((Kind::Data, zone, _), Some(above)) if !known => (Kind::Between, zone, above.id),
            (class, _) => class,
        };
        if at.marker.is_some() {
            self.emit.marker(id);
            if let Some(ds) = at.ds(lower).filter(|_| link != id) {
                let slot = self.emit.records(ds)?;
                self.emit.slot(slot);
            }
        }
        let depth = self.path.len();
        let node = Node { slots_at, kind, has_cname, has_dname, zone, link, ..Node::default() };
        self.emit.node((lower, wire), depth, node)?;
        if is_wildcard(lower)
            && kind == Kind::Data
            && let Some(above) = above
        {
            self.emit.wildcard(above.id, id);
        }
        if let Some((data, _)) = at.apex {
            let parent = self.parent(above.as_ref(), at.ds(lower))?;
            let soa = data.soa();
            self.emit.zone(ZoneEntry {
                apex: id,
                serial: soa.serial,
                minimum: soa.minimum,
                parent,
            });
        }
        if let Some(service) = at.service {
            self.service(service, kind, link);
        }
        self.path.push(Step { lower, id, kind, zone, link, has_dname });
        Some(())
    }

    /// Of an apex.
    fn parent(&mut self, above: Option<&Step<'_>>, ds: Option<&[Record]>) -> Option<Parent> {
        Some(match above {
            Some(above) if above.kind == Kind::Elsewhere => Parent::Elsewhere(above.zone),
            Some(above) if above.is_heard() => {
                let ds = match ds {
                    Some(ds) => Some(self.emit.records(ds)?),
                    None => None,
                };
                Parent::Here(above.zone, ds)
            }
            _ => self.above.map_or(Parent::None, Parent::Elsewhere),
        })
    }

    /// What cannot be of a service beside records of its own name.
    fn collisions(&mut self, service: &ServiceNode, records: &[Record]) {
        let cname = service.types.contains(&Rtype::CNAME);
        for set in records.chunk_by(|a, b| a.rtype == b.rtype) {
            let fault = match set[0].rtype {
                Rtype::CNAME => ZoneFault::ServiceAtCname,
                rtype if cname => ZoneFault::CnameServiceBeside(rtype),
                rtype if service.types.contains(&rtype) => ZoneFault::ServiceBesideStatic(rtype),
                _ => continue,
            };
            self.error(ZoneError::of(&service.name, fault));
        }
    }

    /// What cannot be of a service by its place.
    fn service(&mut self, service: &ServiceNode, kind: Kind, link: NodeId) {
        let hiding = || self.emit.name(link).to_name();
        let fault = match kind {
            Kind::Data | Kind::Between => return,
            Kind::Outer | Kind::Elsewhere => ZoneFault::ServiceOutsideZones,
            Kind::Cut | Kind::BelowCut => ZoneFault::ServiceBelowCut(hiding()),
            Kind::BelowDname => ZoneFault::ServiceBelowDname(hiding()),
        };
        self.error(ZoneError::of(&service.name, fault));
    }

    fn error(&mut self, error: ZoneError) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(error);
        }
    }

    /// Finds the addresses that go along with NS, MX, SRV, SVCB and HTTPS records.
    fn link(&mut self) -> Option<()> {
        self.emit.enclose();
        self.emit.index();
        let mut lower = LowerName::new();
        let (mut needed, mut optional) = (Vec::new(), Vec::new());
        for (id, set) in std::mem::take(&mut self.links) {
            let (rtype, owner) = (set[0].rtype, set[0].owner.as_name());
            let referral = rtype == Rtype::NS && self.emit.kind(id) == Kind::Cut;
            needed.clear();
            optional.clear();
            for record in set {
                let Some(target) = target(record) else { continue };
                let below = referral && target.is_subdomain_of(owner);
                lower.read(target);
                match self.emit.find_addresses(&lower, referral) {
                    Some(node) if below => needed.push(node),
                    // Several records may lead to one host.
                    Some(node) if optional.contains(&node) => {}
                    Some(node) if optional.len() < MAX_OPTIONAL => optional.push(node),
                    _ => {}
                }
            }
            if !(needed.is_empty() && optional.is_empty()) {
                self.emit.extras(id, rtype, &needed, &optional)?;
            }
        }
        Some(())
    }
}

/// What a node is, by what is above it: its kind, zone and link.
fn classify(
    id: NodeId,
    at: &At<'_>,
    above: Option<&Step<'_>>,
    has_ns: bool,
) -> (Kind, ZoneId, NodeId) {
    if let Some((_, zone)) = at.apex {
        return (Kind::Data, zone, id);
    }
    if let Some(zone) = at.marker {
        let link = above.filter(|above| above.is_heard()).map_or(id, |above| above.id);
        return (Kind::Elsewhere, zone, link);
    }
    let Some(above) = above else { return (Kind::Outer, ZoneId::default(), id) };
    let (kind, link) = match above.kind {
        Kind::Outer => (Kind::Outer, id),
        Kind::Elsewhere => (Kind::Elsewhere, id),
        Kind::Cut | Kind::BelowCut => (Kind::BelowCut, above.link),
        Kind::BelowDname => (Kind::BelowDname, above.link),
        Kind::Data if above.has_dname => (Kind::BelowDname, above.id),
        Kind::Data | Kind::Between if has_ns => (Kind::Cut, id),
        Kind::Data | Kind::Between => (Kind::Data, id),
    };
    (kind, above.zone, link)
}

fn is_wildcard(lower: &[u8]) -> bool {
    lower.starts_with(b"\x01*")
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
