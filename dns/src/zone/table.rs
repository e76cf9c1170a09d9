//! The frozen table and its look-ups.
//!
//! ```text
//!  index (open addressing, SipHash-1-3)      nodes                slots               data
//!  ┌ tag │ id ┐   ┌ name, kind, zone, link ┐   ┌ type, TTL, where ┐   ┌ len rdata len rdata … ┐
//!  │ …   │  7 ┼──▶│ 7: geo.example. Data   ┼──▶│ A: service 3     │   │                       │
//!  └─────┴────┘   └────────────────────────┘   │ TXT: 300 s ──────┼──▶│                       │
//!                                              └──────────────────┘   └───────────────────────┘
//! ```

use super::freeze::ServiceId;
use crate::name::{LowerName, NameRef};
use crate::rr::{RRset, Rtype, Ttl};
use siphasher::sip::SipHasher13;

/// All zones and services, frozen. Look-ups take `&self`, share no state and allocate nothing.
pub struct Zones {
    pub(super) hash_key: [u64; 2],
    /// A power of two of places, at most half of them taken.
    pub(super) index: Box<[Place]>,
    pub(super) nodes: Box<[Node]>,
    pub(super) slots: Box<[Slot]>,
    pub(super) zones: Box<[ZoneEntry]>,
    pub(super) extras: Box<[NodeId]>,
    /// Each name in lower case, then as written.
    pub(super) names: Box<[u8]>,
    pub(super) data: Box<[u8]>,
    /// Labels of the longest name: nothing longer needs hashing.
    pub(super) max_depth: usize,
    pub(super) fingerprint: u64,
}

/// Number of a zone, in the canonical order of their apexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub(super) u32);

impl ZoneId {
    /// Its place among [`Zones::zones`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What stands at a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Outside of every zone, but above one.
    #[default]
    Outer,
    /// Our data, or an empty non-terminal.
    Data,
    /// A delegation.
    Cut,
    /// Below the delegation `link`: only glue.
    BelowCut,
    /// Below the DNAME at `link`: only there because a zone of ours stands deeper.
    BelowDname,
}

/// A name that exists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Node {
    pub(super) name_at: u32,
    pub(super) slots_at: u32,
    pub(super) slots: u16,
    pub(super) name_len: u8,
    pub(crate) kind: Kind,
    pub(crate) has_cname: bool,
    pub(crate) has_dname: bool,
    pub(crate) zone: ZoneId,
    pub(crate) link: NodeId,
    pub(super) wildcard: Option<NodePlusOne>,
}

/// A node number in a form where `Option` takes no room.
pub(super) type NodePlusOne = std::num::NonZeroU32;

/// One RRset of a node: fixed, or a service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) rtype: Rtype,
    pub(super) count: u16,
    pub(super) ttl: Ttl,
    pub(super) data_at: u32,
    pub(super) data_len: u32,
    pub(crate) service: Option<ServiceId>,
    pub(super) extras_at: u32,
    /// Addresses needed with a referral stand first.
    pub(super) needed: u16,
    pub(super) extras: u16,
}

impl Slot {
    pub(super) fn service(rtype: Rtype, id: ServiceId) -> Self {
        Slot { service: Some(id), ..Slot::fixed(rtype, Ttl::ZERO, 0, 0, 0) }
    }

    pub(super) fn fixed(rtype: Rtype, ttl: Ttl, count: u16, data_at: u32, data_len: u32) -> Self {
        Slot {
            rtype,
            count,
            ttl,
            data_at,
            data_len,
            service: None,
            extras_at: 0,
            needed: 0,
            extras: 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ZoneEntry {
    pub(super) apex: NodeId,
    pub(super) serial: u32,
    pub(super) minimum: Ttl,
    /// The zone of ours that holds the delegation.
    pub(super) parent: Option<ZoneId>,
    /// The DS records that zone has for this one.
    pub(super) parent_ds: Option<Slot>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Upper half of the hash.
    pub(super) tag: u32,
    pub(super) id: Option<NodePlusOne>,
}

impl Zones {
    /// No zone: every name is refused.
    pub fn empty() -> Self {
        Zones::freeze([], &[], [0; 2]).unwrap_or_else(|_| unreachable!("nothing has no faults"))
    }

    /// The zones in the canonical order of their apexes.
    pub fn zones(&self) -> impl ExactSizeIterator<Item = Zone<'_>> {
        (0..self.zones.len()).map(|id| Zone { zones: self, id: ZoneId(id as u32) })
    }

    /// One zone.
    ///
    /// # Panics
    /// If `id` is of another, larger `Zones`.
    pub fn zone(&self, id: ZoneId) -> Zone<'_> {
        assert!(id.index() < self.zones.len(), "a zone of this snapshot");
        Zone { zones: self, id }
    }

    /// The zone whose apex is exactly `name`.
    pub fn zone_at(&self, name: &LowerName) -> Option<Zone<'_>> {
        let node = self.node(self.find(name.wire())?);
        let zone = (node.kind == Kind::Data).then(|| self.zone(node.zone))?;
        (zone.apex().wire().eq_ignore_ascii_case(name.wire())).then_some(zone)
    }

    /// Every name that exists in the zones, empty non-terminals and glue too, in canonical order.
    pub fn names(&self) -> impl Iterator<Item = NameRef<'_>> {
        self.nodes.iter().filter(|node| node.kind != Kind::Outer).map(|node| self.name(node))
    }

    /// A number that is equal for equal zones and services, on every node and under any hash key.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Octets held.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.index)
            + size_of_val(&*self.nodes)
            + size_of_val(&*self.slots)
            + size_of_val(&*self.zones)
            + size_of_val(&*self.extras)
            + self.names.len()
            + self.data.len()
    }

    /// The node at `name` or, if there is none, at its closest encloser (RFC 4592 §3.3.1), and how
    /// many labels that has.
    ///
    /// Ancestors of a node are nodes, so existence is monotone in depth. The name itself and its
    /// parent are tried first, being most of all hits and misses; the rest is halved, so that a
    /// name of 127 labels costs seven hashes more.
    #[inline]
    pub(crate) fn seek(&self, name: &LowerName) -> (NodeId, usize) {
        let labels = name.label_count();
        if labels <= self.max_depth
            && let Some(node) = self.find(name.wire())
        {
            return (node, labels);
        }
        self.seek_encloser(name, labels)
    }

    fn seek_encloser(&self, name: &LowerName, labels: usize) -> (NodeId, usize) {
        // The root is node 0 in canonical order, and is never missed.
        let (mut known, mut depth) = (NodeId(0), 0);
        let mut missing = labels.min(self.max_depth + 1);
        let mut probe = missing.saturating_sub(1);
        while depth + 1 < missing {
            match self.find(name.suffix(probe)) {
                Some(node) => (known, depth) = (node, probe),
                None => missing = probe,
            }
            probe = depth.midpoint(missing);
        }
        (known, depth)
    }

    #[inline]
    fn find(&self, lower: &[u8]) -> Option<NodeId> {
        find(&self.index, hash(self.hash_key, lower), |id| {
            self.lower(&self.nodes[id.index()]) == lower
        })
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    #[inline]
    fn lower(&self, node: &Node) -> &[u8] {
        let (at, len) = (node.name_at as usize, usize::from(node.name_len));
        &self.names[at..at + len]
    }

    /// The node's name with the case of the zone file.
    pub(crate) fn name(&self, node: &Node) -> NameRef<'_> {
        let (at, len) = (node.name_at as usize, usize::from(node.name_len));
        NameRef::from_checked(&self.names[at + len..at + 2 * len])
    }

    #[inline]
    pub(crate) fn slots(&self, node: &Node) -> &[Slot] {
        &self.slots[node.slots_at as usize..][..usize::from(node.slots)]
    }

    #[inline]
    pub(crate) fn slot(&self, node: &Node, rtype: Rtype) -> Option<&Slot> {
        self.slots(node).iter().find(|slot| slot.rtype == rtype)
    }

    /// The records of a slot that is not a service's.
    #[inline]
    pub(crate) fn rrset(&self, slot: &Slot) -> RRset<'_> {
        RRset {
            rtype: slot.rtype,
            ttl: slot.ttl,
            count: slot.count,
            data: &self.data[slot.data_at as usize..][..slot.data_len as usize],
        }
    }

    /// Nodes with the addresses of the slot's targets, the needed ones first; and how many those
    /// are.
    #[inline]
    pub(crate) fn extras(&self, slot: &Slot) -> (&[NodeId], usize) {
        let extras = &self.extras[slot.extras_at as usize..][..usize::from(slot.extras)];
        (extras, usize::from(slot.needed))
    }

    #[inline]
    pub(crate) fn wildcard(&self, encloser: &Node) -> Option<&Node> {
        encloser.wildcard.map(|id| &self.nodes[id.get() as usize - 1])
    }
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zones({} zones, {} names)", self.zones.len(), self.nodes.len())
    }
}

/// One zone of [`Zones`].
#[derive(Clone, Copy)]
pub struct Zone<'z> {
    zones: &'z Zones,
    id: ZoneId,
}

impl<'z> Zone<'z> {
    fn entry(&self) -> &'z ZoneEntry {
        &self.zones.zones[self.id.index()]
    }

    /// Its number.
    pub fn id(&self) -> ZoneId {
        self.id
    }

    /// Its name.
    pub fn apex(&self) -> NameRef<'z> {
        self.zones.name(self.zones.node(self.entry().apex))
    }

    /// The serial of its SOA.
    pub fn serial(&self) -> u32 {
        self.entry().serial
    }

    /// Its SOA with the TTL it has as an answer.
    pub fn soa(&self) -> RRset<'z> {
        let apex = self.zones.node(self.entry().apex);
        let slot = self.zones.slot(apex, Rtype::SOA).expect("a checked zone has a SOA");
        self.zones.rrset(slot)
    }

    /// Its SOA with the TTL it has in negative answers: min(SOA TTL, MINIMUM) (RFC 2308 §5).
    pub fn negative_soa(&self) -> RRset<'z> {
        let soa = self.soa();
        soa.with_ttl(soa.ttl.min(self.entry().minimum))
    }

    /// Whether this is the apex's node.
    pub(crate) fn is_apex(&self, node: NodeId) -> bool {
        self.entry().apex == node
    }

    /// The zone of ours that delegates to this one, and the DS records it holds.
    pub(crate) fn parent(&self) -> Option<(Zone<'z>, Option<&'z Slot>)> {
        let entry = self.entry();
        entry.parent.map(|parent| (self.zones.zone(parent), entry.parent_ds.as_ref()))
    }
}

impl std::fmt::Debug for Zone<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Zone({} serial {})", self.apex(), self.serial())
    }
}

#[inline]
pub(super) fn hash(key: [u64; 2], lower: &[u8]) -> u64 {
    SipHasher13::new_with_keys(key[0], key[1]).hash(lower)
}

#[inline]
pub(super) fn find(index: &[Place], hash: u64, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
    let mask = index.len() - 1;
    let mut at = hash as usize & mask;
    let tag = (hash >> 32) as u32;
    loop {
        let place = index[at];
        let id = NodeId(place.id?.get() - 1);
        if place.tag == tag && is(id) {
            return Some(id);
        }
        at = (at + 1) & mask;
    }
}
