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
use crate::name::{LowerName, Name, NameRef};
use crate::rr::{RRset, Rtype, Ttl};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// All zones and services, frozen. Look-ups take `&self`, share no state and allocate nothing.
pub struct Zones {
    hash_key: [u64; 2],
    /// A power of two of places, at most half of them taken.
    index: Box<[Place]>,
    nodes: Box<[Node]>,
    slots: Box<[Slot]>,
    zones: Box<[ZoneEntry]>,
    extras: Box<[NodeId]>,
    /// Each name in lower case, then as written.
    names: Box<[u8]>,
    data: Box<[u8]>,
    /// Labels of the longest name: nothing longer needs hashing.
    max_depth: usize,
    fingerprint: u64,
}

/// Number of a zone, in the canonical order of their apexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(pub(super) u32);

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
type NodePlusOne = std::num::NonZeroU32;

/// One RRset of a node: fixed, or a service's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) rtype: Rtype,
    count: u16,
    ttl: Ttl,
    data_at: u32,
    data_len: u32,
    pub(crate) service: Option<ServiceId>,
    extras_at: u32,
    /// Addresses needed with a referral stand first.
    needed: u16,
    extras: u16,
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
struct Place {
    /// Upper half of the hash.
    tag: u32,
    id: Option<NodePlusOne>,
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
        assert!((id.0 as usize) < self.zones.len(), "a zone of this snapshot");
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
        &self.zones.zones[self.id.0 as usize]
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
fn hash(key: [u64; 2], lower: &[u8]) -> u64 {
    SipHasher13::new_with_keys(key[0], key[1]).hash(lower)
}

#[inline]
fn find(index: &[Place], hash: u64, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
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

/// The arrays while they grow. `None` from its functions: an offset does not fit into 32 bits.
pub(super) struct Emit {
    zones: Zones,
    nodes: Vec<Node>,
    slots: Vec<Slot>,
    entries: Vec<ZoneEntry>,
    extras: Vec<NodeId>,
    names: Vec<u8>,
    data: Vec<u8>,
}

impl Emit {
    pub(super) fn new(hash_key: [u64; 2], nodes: usize) -> Self {
        let zones = Zones {
            hash_key,
            index: vec![Place::default(); (nodes * 2).next_power_of_two()].into(),
            nodes: Box::default(),
            slots: Box::default(),
            zones: Box::default(),
            extras: Box::default(),
            names: Box::default(),
            data: Box::default(),
            max_depth: 0,
            fingerprint: 0,
        };
        Emit {
            zones,
            nodes: Vec::with_capacity(nodes),
            slots: Vec::new(),
            entries: Vec::new(),
            extras: Vec::new(),
            names: Vec::new(),
            data: Vec::new(),
        }
    }

    pub(super) fn slots_at(&self) -> Option<u32> {
        u32::try_from(self.slots.len()).ok()
    }

    pub(super) fn data<'r>(
        &mut self,
        rdatas: impl Iterator<Item = &'r [u8]>,
    ) -> Option<(u32, u32)> {
        let at = self.data.len();
        for rdata in rdatas {
            self.data.extend_from_slice(&u16::try_from(rdata.len()).ok()?.to_be_bytes());
            self.data.extend_from_slice(rdata);
        }
        Some((u32::try_from(at).ok()?, u32::try_from(self.data.len() - at).ok()?))
    }

    pub(super) fn node(&mut self, name: &Name, node: Node, slots: Vec<Slot>) -> Option<NodeId> {
        let id = NodeId(u32::try_from(self.nodes.len()).ok()?);
        let place_id = NodePlusOne::new(id.0.checked_add(1)?)?;
        self.nodes.push(Node {
            name_at: u32::try_from(self.names.len()).ok()?,
            name_len: u8::try_from(name.lower().len()).ok()?,
            ..node
        });
        self.names.extend_from_slice(name.lower());
        self.names.extend_from_slice(name.wire());
        self.slots.extend(slots);
        self.zones.max_depth = self.zones.max_depth.max(name.label_count());
        let hash = hash(self.zones.hash_key, name.lower());
        let mask = self.zones.index.len() - 1;
        let mut at = hash as usize & mask;
        while self.zones.index[at].id.is_some() {
            at = (at + 1) & mask;
        }
        self.zones.index[at] = Place { tag: (hash >> 32) as u32, id: Some(place_id) };
        Some(id)
    }

    pub(super) fn find(&self, lower: &[u8]) -> Option<NodeId> {
        find(&self.zones.index, hash(self.zones.hash_key, lower), |id| {
            let node = self.nodes[id.index()];
            self.names[node.name_at as usize..].starts_with(lower)
        })
    }

    pub(super) fn kind(&self, id: NodeId) -> Kind {
        self.nodes[id.index()].kind
    }

    /// Notes that `wildcard` is the `*` below `encloser`, which has come before it.
    pub(super) fn wildcard(&mut self, encloser: &[u8], wildcard: NodeId) {
        if let Some(encloser) = self.find(encloser) {
            self.nodes[encloser.index()].wildcard = NodePlusOne::new(wildcard.0 + 1);
        }
    }

    pub(super) fn zone(&mut self, entry: ZoneEntry) {
        self.entries.push(entry);
    }

    /// The node at `target` if it has addresses that may go along: our own data, and with a
    /// referral also glue.
    pub(super) fn find_addresses(&self, target: &Name, referral: bool) -> Option<NodeId> {
        let id = self.find(target.lower())?;
        let node = self.nodes[id.index()];
        let known =
            node.kind == Kind::Data || referral && matches!(node.kind, Kind::Cut | Kind::BelowCut);
        let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
        let addresses = slots.iter().any(|slot| {
            matches!(slot.rtype, Rtype::A | Rtype::AAAA) && !(referral && slot.service.is_some())
        });
        (known && addresses).then_some(id)
    }

    /// Notes the addresses that go along with an RRset.
    pub(super) fn extras(
        &mut self,
        id: NodeId,
        rtype: Rtype,
        needed: &[NodeId],
        optional: &[NodeId],
    ) -> Option<()> {
        let at = u32::try_from(self.extras.len()).ok()?;
        self.extras.extend_from_slice(needed);
        self.extras.extend_from_slice(optional);
        let node = self.nodes[id.index()];
        let slots = &mut self.slots[node.slots_at as usize..][..usize::from(node.slots)];
        let slot = slots.iter_mut().find(|slot| slot.rtype == rtype)?;
        slot.extras_at = at;
        slot.needed = u16::try_from(needed.len()).ok()?;
        slot.extras = u16::try_from(needed.len() + optional.len()).ok()?;
        Some(())
    }

    pub(super) fn finish(self) -> Zones {
        let fingerprint = self.fingerprint();
        Zones {
            nodes: self.nodes.into(),
            slots: self.slots.into(),
            zones: self.entries.into(),
            extras: self.extras.into(),
            names: self.names.into(),
            data: self.data.into(),
            fingerprint,
            ..self.zones
        }
    }

    /// Hashes all content under a fixed key; array order is canonical, so equal content is equal.
    fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write_u64(self.entries.len() as u64);
        for entry in &self.entries {
            hasher.write_u32(entry.apex.0);
            hasher.write_u32(entry.parent.map_or(u32::MAX, |parent| parent.0));
            write_slot(&mut hasher, entry.parent_ds.as_ref());
        }
        for node in &self.nodes {
            hasher.write_u8(node.kind as u8);
            hasher.write_u16(node.slots);
            let slots = &self.slots[node.slots_at as usize..][..usize::from(node.slots)];
            for slot in slots {
                write_slot(&mut hasher, Some(slot));
            }
        }
        hasher.write(&self.names);
        hasher.write(&self.data);
        hasher.finish()
    }
}

fn write_slot(hasher: &mut SipHasher13, slot: Option<&Slot>) {
    let Some(slot) = slot else { return hasher.write_u8(0) };
    hasher.write_u8(1);
    hasher.write_u16(slot.rtype.0);
    hasher.write_u16(slot.count);
    hasher.write_u32(slot.ttl.as_secs());
    hasher.write_u32(slot.data_len);
    hasher.write_u32(slot.service.map_or(u32::MAX, |service| service.0));
}
