//! All zones: one table for most of them, and one for each that changes by itself.
//!
//! ```text
//!            main                                        apart
//!   ┌ . Outer                       ┐        ┌ . Outer                      ┐
//!   │ example. Data, its zone       │        │ example. Outer               │
//!   │ www.example.                  │   ┌───▶│ dyn.example. Data, its zone  │
//!   │ dyn.example. Elsewhere ───────┼───┘    │ h.dyn.example.               │
//!   └ www.x.dyn.example. a zone too ┘        └ www.x.dyn.example. Elsewhere ┘
//! ```
//!
//! The main table knows where every zone begins: it is always asked first, and what it finds says
//! whether one of the others has to be asked too, which never goes further. So what is in the main
//! table costs nothing more, a name elsewhere one look-up more, and a zone that changes is frozen
//! anew alone: every other table is shared with the snapshot before.
//!
//! A table knows nothing of the content of others. What a zone says of a zone below it (that it
//! delegates it, and the DS records) stands in the parent's table, at the marker. Addresses go along
//! with NS, MX, SRV, SVCB and HTTPS records when they stand in the same table; those that a referral
//! needs always do, being the parent's own.

use super::freeze::ServiceId;
use super::table::{Kind, NodeId, Parent, Slot, Table, ZoneEntry, ZoneId};
use crate::name::{LowerName, NameRef};
use crate::rr::{RRset, Rtype};
use std::sync::Arc;

/// All zones and services, frozen. Look-ups take `&self`, share no state and allocate nothing. A
/// clone shares everything.
#[derive(Clone)]
pub struct Zones {
    pub(super) main: Arc<Table>,
    /// One zone each; they are numbered after those of the main table.
    pub(super) apart: Box<[Arc<Table>]>,
}

impl Zones {
    /// No zone: every name is refused.
    pub fn empty() -> Self {
        Zones::freeze([], &[], [0; 2]).unwrap_or_else(|_| unreachable!("nothing has no faults"))
    }

    fn tables(&self) -> impl Iterator<Item = &Table> {
        std::iter::once(&*self.main).chain(self.apart.iter().map(|table| &**table))
    }

    fn count(&self) -> usize {
        self.main.zones.len() + self.apart.len()
    }

    /// The zones by number: in canonical order of their apexes, those that are frozen apart after
    /// the others.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = Zone<'_>> {
        (0..self.count()).map(|id| self.zone(ZoneId(id as u32)))
    }

    /// One zone.
    ///
    /// # Panics
    /// If `id` is of another, larger `Zones`.
    #[inline]
    pub fn zone(&self, id: ZoneId) -> Zone<'_> {
        assert!(id.index() < self.count(), "a zone of this snapshot");
        Zone { zones: self, table: self.table(id), id }
    }

    /// The zone whose apex is exactly `name`.
    pub fn zone_at(&self, name: &LowerName) -> Option<Zone<'_>> {
        let node = self.main.node(self.main.find(name.wire())?);
        let zone =
            matches!(node.kind, Kind::Data | Kind::Elsewhere).then(|| self.zone(node.zone))?;
        (zone.apex().wire().eq_ignore_ascii_case(name.wire())).then_some(zone)
    }

    /// Every name that exists in the zones, empty non-terminals and glue too; in canonical order,
    /// those of zones that are frozen apart after the others.
    pub fn names(&self) -> impl Iterator<Item = NameRef<'_>> {
        self.tables().flat_map(Table::names)
    }

    /// A number that is equal for equal zones and services, on every node, under any hash key and
    /// whatever is frozen apart.
    pub fn fingerprint(&self) -> u64 {
        self.tables().map(|table| table.fingerprint).fold(0, u64::wrapping_add)
    }

    /// Octets held.
    pub fn memory_bytes(&self) -> usize {
        self.tables().map(Table::memory_bytes).sum()
    }

    /// Whether what is not frozen apart is the very same in both.
    pub fn shares_main(&self, other: &Zones) -> bool {
        Arc::ptr_eq(&self.main, &other.main)
    }

    /// The table of a zone.
    #[inline]
    pub(crate) fn table(&self, zone: ZoneId) -> &Table {
        match zone.index().checked_sub(self.main.zones.len()) {
            None => &self.main,
            Some(place) => &self.apart[place],
        }
    }

    /// Where `name` is.
    #[inline]
    pub fn find(&self, name: &LowerName) -> Found<'_> {
        let (table, node, depth) = self.seek(name);
        Found { table, node, depth }
    }

    /// What answers a question for a type that records have, DS not among them, with nothing
    /// beside it. `found` is where the name is. None: there is more to say; resolve it.
    #[inline]
    pub fn standing<'z>(
        &'z self,
        found: &Found<'z>,
        name: &LowerName,
        rtype: Rtype,
    ) -> Option<Standing<'z>> {
        let Found { table, node, depth } = *found;
        let node = table.node(node);
        if node.kind != Kind::Data {
            return None;
        }
        let zone = Zone::of(self, table, node.zone);
        if depth < name.label_count() {
            let is_alone = !node.has_dname && node.wildcard.is_none();
            return is_alone.then_some(Standing::NoName(zone));
        }
        match table.slot(node, rtype) {
            None => (!node.has_cname).then_some(Standing::NoData(zone)),
            Some(slot) if matches!(rtype, Rtype::A | Rtype::AAAA) => Some(match slot.service {
                Some(service) => Standing::Service(service),
                None => Standing::Records(table.rrset(slot)),
            }),
            Some(_) => None,
        }
    }

    /// The node at `name` or, if there is none, at its closest encloser, in the table that has it,
    /// and how many labels it has; see [`Table::seek`].
    #[inline]
    pub(crate) fn seek(&self, name: &LowerName) -> (&Table, NodeId, usize) {
        let (node, depth) = self.main.seek(name);
        match self.main.node(node) {
            found if found.kind == Kind::Elsewhere => self.seek_elsewhere(name, found.zone),
            _ => (&self.main, node, depth),
        }
    }

    #[cold]
    fn seek_elsewhere(&self, name: &LowerName, zone: ZoneId) -> (&Table, NodeId, usize) {
        let table = self.table(zone);
        let (node, depth) = table.seek(name);
        (table, node, depth)
    }
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zones({} zones, {} names)", self.count(), self.names().count())
    }
}

/// Where a name is, or its closest encloser: see [`Zones::find`].
#[derive(Clone, Copy)]
pub struct Found<'z> {
    pub(crate) table: &'z Table,
    pub(crate) node: NodeId,
    pub(crate) depth: usize,
}

/// See [`Zones::standing`].
#[derive(Clone, Copy, Debug)]
pub enum Standing<'z> {
    /// Addresses from a zone.
    Records(RRset<'z>),
    /// Addresses that the caller chooses for this client.
    Service(ServiceId),
    /// The name exists in this zone, without the type.
    NoData(Zone<'z>),
    /// The name does not exist in this zone.
    NoName(Zone<'z>),
}

/// One zone of [`Zones`].
#[derive(Clone, Copy)]
pub struct Zone<'z> {
    zones: &'z Zones,
    table: &'z Table,
    id: ZoneId,
}

impl<'z> Zone<'z> {
    /// A zone of `table`.
    #[inline]
    pub(crate) fn of(zones: &'z Zones, table: &'z Table, id: ZoneId) -> Self {
        Zone { zones, table, id }
    }

    /// Where it is.
    pub(crate) fn table(&self) -> &'z Table {
        self.table
    }

    fn entry(&self) -> &'z ZoneEntry {
        self.table.entry(self.id)
    }

    /// Its number.
    pub fn id(&self) -> ZoneId {
        self.id
    }

    /// Its name.
    pub fn apex(&self) -> NameRef<'z> {
        self.table.name(self.table.node(self.entry().apex))
    }

    /// The serial of its SOA.
    pub fn serial(&self) -> u32 {
        self.entry().serial
    }

    /// Names that exist in what is frozen together with it: its own, if it is frozen apart.
    pub fn frozen_names(&self) -> usize {
        self.table.names().count()
    }

    /// Its SOA with the TTL it has as an answer.
    pub fn soa(&self) -> RRset<'z> {
        let apex = self.table.node(self.entry().apex);
        let slot = self.table.slot(apex, Rtype::SOA).expect("a checked zone has a SOA");
        self.table.rrset(slot)
    }

    /// Its SOA with the TTL it has in negative answers: min(SOA TTL, MINIMUM) (RFC 2308 §5).
    pub fn negative_soa(&self) -> RRset<'z> {
        let soa = self.soa();
        soa.with_ttl(soa.ttl.min(self.entry().minimum))
    }

    /// Whether this is the apex's node, in the zone's table.
    pub(crate) fn is_apex(&self, node: NodeId) -> bool {
        self.entry().apex == node
    }

    /// The zone of ours that delegates to this one, and the DS records it holds, in its table.
    pub(crate) fn parent(&self) -> Option<(Zone<'z>, Option<&'z Slot>)> {
        match &self.entry().parent {
            Parent::None => None,
            Parent::Here(parent, ds) => Some((Zone { id: *parent, ..*self }, ds.as_ref())),
            Parent::Elsewhere(above) => {
                let table = self.zones.table(*above);
                let marker = table.find(LowerName::from(self.apex()).wire())?;
                let node = table.node(marker);
                let parent = (node.link != marker).then(|| table.node(node.link).zone)?;
                Some((self.zones.zone(parent), table.slot(node, Rtype::DS)))
            }
        }
    }
}

impl std::fmt::Debug for Zone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zone({} serial {})", self.apex(), self.serial())
    }
}
